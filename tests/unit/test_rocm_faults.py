"""What users complained of with ROCm in WSL is recognised by its text, or by what is found, and has its remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.backends.rocm import faults as rocm_faults
from ansible.module_utils.colab_ready.backends.rocm import releases as rocm_releases
from ansible.module_utils.colab_ready.backends.rocm.faults import (
    REMEDIES,
    RULES,
    Evidence,
    State,
    notes_for,
    remedy_for,
    worth_a_retry,
)
from ansible.module_utils.colab_ready.gpu.readers import rocminfo

FIXTURES = Path(__file__).parents[1] / "fixtures/rocminfo"
GB = 1000**3


def read(name: str) -> str:
    return (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")


def heard(name: str, state: State | None = None, ended: str = "") -> Evidence:
    return Evidence(heard=read(name).splitlines(), ended=ended, state=state or State())


def said(text: str, state: State | None = None, ended: str = "") -> Evidence:
    return Evidence(said=[text], ended=ended, state=state or State())


# A host where nothing is wrong that would explain a failure.
FINE = State(
    windows_build=26200, distribution="ubuntu", line="10.0.0", amd=True, id_known=True, gfx="gfx1100", integrated=False,
    detection="", bridge_cached=True, torch="2.13.0+rocm10.0.0",
)  # fmt: skip
OLD = replace(FINE, line="7.2.1", torch="2.9.1+rocm7.2.1.lw.gitff65f5bc", detection="1")
SEEN = rocminfo.parse(read("good_7.2.1_rx_9060_xt"))
BOTH = rocminfo.parse(read("good_10.0.0_card_beside_igpu"))
ONLY_CPU = rocminfo.parse(read("cpu_only_6.3.4_rx_6800_xt"))
NATIVE = State(wsl=False, distribution="ubuntu", line="10.0.0", amd=True, gfx="gfx1100", torch="2.13.0+rocm10.0.0")

# Facts, section 5: the number of the complaint, what is there, the remedy.
COMPLAINTS: list[tuple[int, Evidence, str]] = [
    (
        1,
        said("E: Unable to locate package hsa-runtime-rocr4wsl-amdgpu", replace(FINE, line="7.0.0")),
        "rocm_release_without_wsl",
    ),
    (1, heard("bad_not_loaded", replace(FINE, line="7.0.2")), "rocm_release_without_wsl"),
    (
        2,
        said("E: Unable to locate package hsa-runtime-rocr4wsl-amdgpu", replace(FINE, line="6.1")),
        "rocm_release_without_wsl",
    ),
    (3, heard("bad_no_wddm_7.2", replace(FINE, line="7.2.0", gfx="gfx1151", integrated=True)), "rocm_bridge_too_old"),
    (3, heard("bad_no_wddm_10.0", FINE), "rocm_no_adapter"),
    (4, heard("bad_unsupported_gpu"), "rocm_card_unsupported"),
    (5, heard("bad_out_of_resources", replace(FINE, amd=False)), "rocm_without_amd"),
    (5, Evidence(ended="timeout", state=replace(FINE, amd=False)), "rocm_without_amd"),
    (5, Evidence(ended="timeout", state=FINE), "rocm_hangs"),
    (6, heard("bad_override", FINE), "rocm_override_wanted"),
    (6, said("misc dxg: dxg: dxgkio_query_adapter_info: Ioctl failed: -22"), "rocm_dmesg"),
    (
        6,
        said('error gathering device information while adding custom device "/dev/kfd": no such file or directory'),
        "rocm_native_devices",
    ),
    (6, said("ls: cannot access '/dev/dri': No such file or directory"), "rocm_native_devices"),
    (
        7,
        said("modprobe: FATAL: Module amdgpu not found in directory /lib/modules/6.6.87.2-microsoft-standard-WSL2"),
        "rocm_kernel_package",
    ),
    (7, said("Error! Bad return status for module build: amdgpu-dkms"), "rocm_kernel_package"),
    (8, heard("bad_hsa_init", replace(OLD, detection="")), "rocm_detection_off"),
    (8, heard("bad_hsa_init", replace(FINE, detection="0")), "rocm_detection_forbidden"),
    (
        9,
        said(
            "error while loading shared libraries: librocdxg.so.1: cannot open shared object file: No such file or directory"
        ),
        "rocm_bridge_not_found",
    ),
    (9, heard("bad_hsa_init", replace(FINE, bridge_cached=False)), "rocm_bridge_not_found"),
    (9, heard("bad_hsa_init", replace(OLD, windows_build=19045)), "rocm_windows_10"),
    (10, heard("bad_bridge_not_found", FINE), "rocm_bridge_not_found"),
    (10, said("libhsa-runtime64.so.1: undefined symbol: hsaKmtOpenKFD"), "rocm_bridge_not_found"),
    (11, heard("bad_vram_10", FINE), "rocm_no_free_memory"),
    (11, heard("bad_vram_10", replace(FINE, windows_build=19045)), "rocm_windows_10"),
    (
        13,
        said("torch.cuda.is_available() is False", replace(FINE, rocminfo=SEEN, torch="2.13.0+cu130", torch_devices=0)),
        "rocm_other_torch",
    ),
    (13, said("", replace(FINE, rocminfo=SEEN, torch="2.13.0", torch_devices=0)), "rocm_other_torch"),
    (14, said("RuntimeError: hipErrorNoDevice", replace(OLD, bundled_hsa=True)), "rocm_bundled_hsa"),
    (14, said("", replace(OLD, rocminfo=SEEN, torch_devices=0, bundled_hsa=True)), "rocm_bundled_hsa"),
    (15, said("Device count: 0", replace(FINE, rocminfo=SEEN, torch_devices=0)), "rocm_torch_blind"),
    (15, said("", replace(FINE, rocminfo=SEEN, torch_devices=0)), "rocm_torch_blind"),
    (15, said("RuntimeError: No HIP GPUs are available", FINE), "rocm_torch_blind"),
    (16, heard("bad_hsa_init", replace(FINE, line="6.4.1")), "rocm_driver_pairing"),
    (17, Evidence(state=replace(FINE, line="6.3.4", gfx="gfx1030", id_known=False, rocminfo=ONLY_CPU)), "rocm_rdna2"),
    (17, heard("bad_no_wddm_10.0", replace(FINE, gfx="gfx1030", id_known=False)), "rocm_rdna2"),
    (18, heard("bad_no_wddm_10.0", replace(FINE, gfx="gfx1102", id_known=False)), "rocm_dids_missing"),
    (18, Evidence(state=replace(FINE, gfx="gfx1102", id_known=False, rocminfo=ONLY_CPU)), "rocm_dids_missing"),
    (20, said("RuntimeError: HIP error: device kernel image is invalid"), "rocm_wrong_device"),
    (20, said("HIP error: no kernel image is available for execution on the device"), "rocm_wrong_device"),
    (21, heard("bad_hsa_init", replace(OLD, gfx="gfx1201", detection="")), "rocm_detection_off"),
    (23, heard("bad_out_of_resources", replace(FINE, distribution="ol", line="6.2.3")), "rocm_only_ubuntu"),
    (24, said("/sbin/ldconfig.real: /usr/lib/wsl/lib/libcuda.so.1 is not a symbolic link"), "cuda_library_not_a_link"),
    (25, heard("bad_not_loaded", replace(OLD, packages=["libhsa-runtime64-1", "libhsakmt1"])), "rocm_shadowed"),
    (
        26,
        said("ERROR: torch-2.9.1-cp312-cp312-linux_x86_64.whl is not a supported wheel on this platform."),
        "rocm_wheel_python",
    ),
]
# Those that are no failure: said beside a sum that came out right.
NOTES: list[tuple[int, State, list[str]]] = [
    (11, replace(FINE, free_bytes=0), ["rocm_no_free_memory"]),
    (11, replace(FINE, free_bytes=0, windows_build=19045), ["rocm_windows_10"]),
    (
        12,
        replace(FINE, gfx="gfx1151", integrated=True, torch_bytes=63 * GB, wsl_bytes=63 * GB),
        ["rocm_memory_of_wsl", "rocm_resizable_bar"],
    ),
    (12, replace(FINE, gfx="gfx1151", integrated=True, torch_bytes=96 * GB, wsl_bytes=63 * GB), []),
    (19, replace(FINE, rocminfo=rocminfo.parse(read("good_10.0.0_card_beside_igpu"))), ["rocm_igpu_too"]),
    (19, replace(FINE, rocminfo=SEEN), []),
    (22, replace(FINE, card_bytes=25 * GB, torch_bytes=int(22.4 * GB)), ["rocm_reserved_memory"]),
    (22, replace(FINE, card_bytes=25 * GB, torch_bytes=int(24.9 * GB)), []),
    (0, replace(NATIVE, free_bytes=0, card_bytes=25 * GB, torch_bytes=int(22.4 * GB)), []),
    (0, FINE, []),
    (0, State(), []),
]


@pytest.mark.parametrize(("number", "evidence", "remedy"), COMPLAINTS)
def test_a_complaint_is_recognised_and_has_its_remedy(number: int, evidence: Evidence, remedy: str) -> None:
    assert remedy_for(evidence) == remedy


@pytest.mark.parametrize(("number", "state", "notes"), NOTES)
def test_what_is_so_and_no_fault_is_said(number: int, state: State, notes: list[str]) -> None:
    assert notes_for(state) == notes


def test_none_of_the_26_complaints_is_left_out() -> None:
    assert {number for number, _, _ in [*COMPLAINTS, *NOTES]} == set(range(27))


# What rocminfo says, on a host where nothing else is known, and where it is fine.
TEXTS = {
    "bad_assertion_6.3.4": ("rocm_driver_assertion", "rocm_driver_assertion"),
    "bad_bridge_not_found": ("rocm_bridge_not_found", "rocm_bridge_not_found"),
    "bad_create_context": ("rocm_start_failed", "rocm_start_failed"),
    "bad_hsa_init": ("rocm_no_gpu", "rocm_no_gpu"),
    "bad_no_wddm_10.0": ("rocm_no_adapter", "rocm_no_adapter"),
    "bad_no_wddm_7.2": ("rocm_no_adapter", "rocm_no_adapter"),
    "bad_not_loaded": ("rocm_without_bridge", "rocm_without_bridge"),
    "bad_out_of_resources": ("rocm_card_unsupported", "rocm_card_unsupported"),
    # In WSL nobody prints these two.
    "bad_native_kfd_container": ("rocm_card_unsupported", "rocm_card_unsupported"),
    "bad_native_kfd_permission": ("rocm_native_devices", "rocm_native_devices"),
    "bad_override": ("rocm_override_wanted", "rocm_override_wanted"),
    "bad_unsupported_gpu": ("rocm_card_unsupported", "rocm_card_unsupported"),
    "bad_vram_10": ("rocm_no_free_memory", "rocm_no_free_memory"),
}


def test_every_recorded_failure_of_rocminfo_is_tested() -> None:
    assert set(TEXTS) == {path.stem for path in FIXTURES.glob("bad_*.txt")}


@pytest.mark.parametrize("name", TEXTS)
def test_a_failure_of_rocminfo_has_a_remedy_whatever_else_is_known(name: str) -> None:
    assert (remedy_for(heard(name)), remedy_for(heard(name, FINE))) == TEXTS[name]
    assert remedy_for(Evidence(heard=[read(name).upper()])) == TEXTS[name][0]


# More than the complaints: what a text means where more is known.
MORE: list[tuple[Evidence, str]] = [
    (heard("bad_not_loaded", replace(OLD, detection="")), "rocm_detection_off"),
    (heard("bad_not_loaded", State(wsl=False)), "rocm_module_missing"),
    # Who may open /dev/kfd, by what rocminfo prints in the group, out of it, and in a container.
    (heard("bad_native_kfd_permission", NATIVE), "rocm_kfd_permission"),
    (heard("bad_native_kfd_container", NATIVE), "rocm_kfd_container"),
    *(
        (said(text, NATIVE), remedy)
        for text, remedy in (
            ("Unable to open /dev/kfd read-write: No such file or directory", "rocm_kfd_container"),
            ('mia is not member of "video" group, the default DRM access group.', "rocm_kfd_permission"),
            ("libdrm: /dev/dri/renderD128: Permission denied", "rocm_kfd_permission"),
            ("hsa api call failure\nCall returned HSA_STATUS_ERROR_OUT_OF_RESOURCES: ...", "rocm_native_no_gpu"),
        )
    ),
    # What the runtime prints before it ends the program, and what torch raises.
    *(
        (said(text, state, ended), remedy)
        for state in (FINE, NATIVE)
        for text, ended, remedy in (
            ("HW Exception by GPU node-1 (Agent handle: 0x5a7b1c0) reason :GPU Hang", "signal", "rocm_gpu_hang"),
            ("amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 timeout, signaled seq=1", "signal", "rocm_gpu_hang"),
            (
                "Memory access fault by GPU node-1 (Agent handle: 0x55d3) on address 0x7f2c. Reason: Unknown.",
                "signal",
                "rocm_memory_fault",
            ),
            ("HIP error: an illegal memory access was encountered", "", "rocm_memory_fault"),
            ("HIP error: unspecified launch failure", "", "rocm_memory_fault"),
            (
                ":0:rocdevice.cpp:2984: Callback: Queue 0x7f aborting with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent "
                "attempted to access memory beyond the largest legal address. code: 0x29",
                "signal",
                "rocm_memory_fault",
            ),
            (
                "Callback: Queue 0x7f aborting with error : HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception.",
                "signal",
                "rocm_memory_fault",
            ),
            (
                "Callback: Queue 0x7f aborting with error : HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION: The agent attempted to execute an illegal "
                "shader instruction.",
                "signal",
                "rocm_wrong_device",
            ),
        )
    ),
    # There is no Windows, so nothing is to be done there.
    (heard("bad_hsa_init", State(wsl=False)), "rocm_native_no_gpu"),
    (Evidence(state=State(wsl=False, rocminfo=ONLY_CPU)), "rocm_native_no_gpu"),
    (Evidence(ended="timeout", state=State(wsl=False)), "rocm_native_driver"),
    (Evidence(ended="signal", state=State(wsl=False)), "rocm_native_driver"),
    (said("something else", NATIVE), "rocm_native_unknown"),
    (said("ImportError: libquadmath.so.0: cannot open shared object file", NATIVE), "rocm_native_files"),
    (
        said("RuntimeError: No HIP GPUs are available", replace(NATIVE, rocminfo_remedy="rocm_native_unknown")),
        "rocm_torch_blind",
    ),
    # What is so with the bridge, or set for it, is nothing where there is none.
    (heard("bad_hsa_init", replace(NATIVE, gfx="gfx1030")), "rocm_native_no_gpu"),
    (heard("bad_unsupported_gpu", replace(NATIVE, gfx="gfx1030")), "rocm_card_unsupported"),
    (Evidence(state=replace(NATIVE, gfx="gfx1030", rocminfo=ONLY_CPU)), "rocm_native_no_gpu"),
    (said("libhsa-runtime64.so.1: undefined symbol: hsaKmtOpenKFD", NATIVE), "rocm_native_unknown"),
    (said("rocprofiler_register library not found", NATIVE, ended="signal"), "rocm_native_driver"),
    (said("RuntimeError: No HIP GPUs are available", replace(NATIVE, bundled_hsa=True)), "rocm_torch_blind"),
    (said("", replace(NATIVE, rocminfo=SEEN, torch_devices=0, bundled_hsa=True)), "rocm_torch_blind"),
    # Where the bridge speaks it was found and asked.
    (heard("bad_no_wddm_7.2", replace(OLD, detection="")), "rocm_no_adapter"),
    (heard("bad_no_wddm_10.0", replace(FINE, bridge_cached=False)), "rocm_no_adapter"),
    (heard("bad_no_wddm_10.0", replace(FINE, amd=False)), "rocm_without_amd"),
    (said("E: Usecase implementation 'wsl' is not supported or invalid"), "rocm_usecase_gone"),
    (said("pid:380 [CreateContext] fail c000000d"), "rocm_start_failed"),
    (said("rocprofiler_register library not found", ended="signal"), "rocm_profiler"),
    (Evidence(ended="signal", state=FINE), "rocm_start_failed"),
    (Evidence(state=replace(FINE, rocminfo=ONLY_CPU)), "rocm_only_cpu"),
    (Evidence(state=replace(FINE, rocminfo=ONLY_CPU, windows_build=19045)), "rocm_windows_10"),
    (Evidence(state=replace(FINE, rocminfo=ONLY_CPU, amd=False)), "rocm_without_amd"),
    (Evidence(state=replace(FINE, rocminfo=ONLY_CPU, line="6.3.4")), "rocm_driver_pairing"),
    (Evidence(state=replace(OLD, rocminfo=ONLY_CPU, detection="")), "rocm_detection_off"),
    (Evidence(state=replace(FINE, rocminfo=BOTH, card_listed=False)), "rocm_card_not_listed"),
    (
        Evidence(state=replace(FINE, rocminfo=BOTH, card_listed=False, gfx="gfx1102", id_known=False)),
        "rocm_dids_missing",
    ),
    (Evidence(state=replace(FINE, rocminfo=BOTH, card_listed=False, torch_devices=0)), "rocm_card_not_listed"),
    (said("ModuleNotFoundError: No module named 'rocm_sdk'", FINE), "rocm_files_missing"),
    (
        said("ImportError: libamdhip64.so.7: cannot open shared object file: No such file or directory", FINE),
        "rocm_files_missing",
    ),
    (
        said("rocminfo: error while loading shared libraries: libatomic.so.1: cannot open shared object file", FINE),
        "rocm_files_missing",
    ),
    (heard("bad_override", replace(FINE, bridge_cached=False)), "rocm_override_wanted"),
    # Where rocminfo has failed before, that torch sees nothing only follows.
    (
        said("RuntimeError: No HIP GPUs are available", replace(FINE, rocminfo_remedy="rocm_bridge_not_found")),
        "rocm_bridge_not_found",
    ),
    (Evidence(ended="timeout", state=replace(FINE, rocminfo_remedy="rocm_no_adapter")), "rocm_no_adapter"),
    (
        said("RuntimeError: No HIP GPUs are available", replace(FINE, rocminfo_remedy="rocm_unknown")),
        "rocm_torch_blind",
    ),
    (
        said("HIP error: device kernel image is invalid", replace(FINE, rocminfo_remedy="rocm_no_adapter")),
        "rocm_wrong_device",
    ),
    # The runtime of the wheels says so where all is well.
    (
        said(
            "[hsakmt_hsa_loader_init] dlopen libhsa-runtime64.so failed - libhsa-runtime64.so: cannot open shared object file",
            FINE,
        ),
        "rocm_unknown",
    ),
    # Another torch in the environment, and nothing else to go by.
    (
        said("AssertionError: Torch not compiled with CUDA enabled", replace(FINE, torch="2.13.0+cpu")),
        "rocm_other_torch",
    ),
    # A harmless line beside the true cause.
    (
        Evidence(heard=["query_adapter_info: Ioctl failed: -2", *read("bad_no_wddm_10.0").splitlines()], state=FINE),
        "rocm_no_adapter",
    ),
    (said("something else", FINE), "rocm_unknown"),
    (Evidence(), "rocm_unknown"),
]


@pytest.mark.parametrize(("evidence", "remedy"), MORE)
def test_what_is_known_of_the_host_decides_among_the_causes(evidence: Evidence, remedy: str) -> None:
    assert remedy_for(evidence) == remedy


ENDS = ("", "signal", "timeout")


@pytest.mark.parametrize("ended", ENDS)
@pytest.mark.parametrize("gfx", ["gfx1100", "gfx1030", "gfx1151"])
def test_outside_of_wsl_no_remedy_is_one_of_windows_or_of_the_bridge(gfx: str, ended: str) -> None:
    states = [replace(NATIVE, gfx=gfx, rocminfo=seen, torch_devices=0) for seen in (None, SEEN, ONLY_CPU)]
    words = [*(read(path.stem) for path in FIXTURES.glob("bad_*.txt")), "libatomic.so.1: cannot open shared object file",
             "No module named 'rocm_sdk'", "hsaKmtOpenKFD", "rocprofiler-register", "hipErrorNoDevice", "invalid device function", ""]  # fmt: skip
    for state in states:
        for text in words:
            remedy = remedy_for(said(text, state, ended))
            cause, do, where = REMEDIES[remedy]
            # The bridge's own words do not come from a host without it.
            if re.search(r"librocdxg|thunk_proxy", text):
                continue
            assert where == "linux", remedy
            assert not re.search(r"Adrenalin|PowerShell|in WSL before|rocm_experimental", cause + do), remedy
            assert re.search(r"(?<!in WSL perhaps ./colab-ready -e colab_backend=)directml", do) is None, remedy


def test_outside_of_wsl_the_libraries_that_are_missing_are_named_since_no_run_installs_them() -> None:
    line = rocm_releases.line_of(rocm_releases.DEFAULT)
    assert line is not None and line.prerequisites
    _, do, where = REMEDIES["rocm_native_files"]
    assert f"sudo apt-get install {' '.join(line.prerequisites)}" in do and where == "linux"


def test_only_the_known_failure_at_the_start_is_tried_once_more() -> None:
    assert worth_a_retry(heard("bad_create_context", FINE))
    assert worth_a_retry(Evidence(ended="signal", state=FINE))
    assert not worth_a_retry(heard("bad_no_wddm_10.0", FINE))
    assert not worth_a_retry(heard("bad_bridge_not_found", FINE, ended="signal"))
    assert not worth_a_retry(Evidence(ended="timeout", state=FINE))
    assert not worth_a_retry(Evidence(ended="signal", state=replace(FINE, wsl=False)))


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_remedy_can_be_reached_and_is_said_in_full() -> None:
    reached = (
        {remedy for _, _, remedy in COMPLAINTS} | {remedy for _, remedy in MORE} | {one[0] for one in TEXTS.values()}
    )
    reached |= {remedy for _, _, notes in NOTES for remedy in notes}
    assert reached == set(REMEDIES)
    for cause, do, where in REMEDIES.values():
        assert where in ("linux", "windows", "bios")
        assert cause.endswith((".", ")")) and do.endswith(".")
        assert not re.search(r"[{}]|\.\.|\s\s|\.;", f"{cause} {do}")


def test_a_rule_has_a_text_or_a_state_and_names_a_remedy() -> None:
    assert all(rule.text or rule.when for rule in RULES)
    assert {rule.remedy for rule in RULES} <= set(REMEDIES)


def test_no_remedy_tells_to_set_an_override_or_to_install_a_kernel_module() -> None:
    for cause, do, _ in REMEDIES.values():
        assert not re.search(r"export HSA_OVERRIDE|install \S*(dkms|oem)", cause + do)
    assert "Do not set it" in rocm_faults.REMEDIES["rocm_override_wanted"][1]

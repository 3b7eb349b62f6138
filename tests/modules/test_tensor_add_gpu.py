"""tensor_add on CUDA, ROCm and XPU, as Ansible runs it: right where the card is, and an answer with a remedy for each way in
which it was seen to fail.

No GPU is here. tests/doubles/torch_stand_in is no torch: it counts the devices that a test names, and says so in their names.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends import torch_devices
from ansible.module_utils.colab_ready.backends.registry import TORCH_DEVICES
from ansible.module_utils.colab_ready.backends.rocm.faults import State
from ansible.module_utils.colab_ready.gpu.readers.rocminfo import Agent, Rocminfo
from ansible.module_utils.colab_ready.process import probe
from ansible.module_utils.colab_ready.proof import tensor, tensor_verdict
from ansible.module_utils.colab_ready.proof.probes import tensor_probe
from ansible.module_utils.colab_ready.proof.report import REQUIRED_CHECKS, build_report, person_message
from ansible.module_utils.testing import patch_module_args
from doubles.torch_stand_in import build
from modules.test_colab_handshake import Server, handshake

PROJECT = Path(__file__).parents[2]
TORCH_STAND_IN = PROJECT / "tests/doubles/torch_stand_in"
STEPS = tensor_verdict.TENSOR_BACKENDS["rocm"]["steps"]
SECONDS = 30.0

IGPU = {"name": "AMD Radeon(TM) Graphics (stand-in)", "gfx": "gfx1036", "bytes": 1 << 29}
RADEON = {"name": "AMD Radeon RX 9070 XT (stand-in)", "gfx": "gfx1201", "bytes": 16 << 30}
OLD = {"name": "NVIDIA GeForce GTX 1080 (stand-in)", "capability": "6.1", "bytes": 8 << 30}
RTX = {"name": "NVIDIA GeForce RTX 4070 (stand-in)", "capability": "8.9", "bytes": 12 << 30}
UHD = {"name": "Intel(R) UHD Graphics 770 (stand-in)", "bytes": 4 << 30}
ARC = {"name": "Intel(R) Arc(TM) A770 Graphics (stand-in)", "bytes": 16 << 30}
VERSIONS = {"rocm": "2.13.0+rocm10.0.0", "cuda": "2.14.0+cu132", "xpu": "2.13.0+xpu", "cpu": "2.14.0+cpu"}
DEVICES = {"rocm": [RADEON], "cuda": [RTX], "xpu": [ARC], "cpu": []}
CARDS: dict[str, dict[str, Any]] = {
    "rocm": {"names": ["AMD Radeon RX 9070 XT"], "gfx": ["gfx1201"], "others": ["AMD Radeon(TM) Graphics"]},
    "cuda": {"names": ["NVIDIA GeForce RTX 4070"], "others": ["NVIDIA GeForce GTX 1080"], "capability": "8.9"},
    "xpu": {"names": ["Intel(R) Arc(TM) A770 Graphics"], "others": ["Intel(R) UHD Graphics 770"]},
}
GPUS = ("cuda", "rocm", "xpu")


@pytest.fixture(autouse=True)
def wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    """In WSL, whatever computer this is."""
    monkeypatch.setattr("ansible.module_utils.colab_ready.wsl.version.wsl_facts", lambda: {"version": 2})


def environment(
    backend: str, fault: str = "", devices: list[dict[str, Any]] | None = None, **more: str
) -> dict[str, str]:
    return {
        "PYTHONPATH": str(TORCH_STAND_IN),
        "TORCH_STAND_IN_BACKEND": backend,
        "TORCH_STAND_IN_VERSION": VERSIONS[backend],
        "TORCH_STAND_IN_DEVICES": json.dumps(DEVICES[backend] if devices is None else devices),
        "TORCH_STAND_IN_FAULT": fault,
        **more,
    }


def add(backend: str, fault: str = "", made_for: str = "", devices: Any = None, **arguments: Any) -> dict[str, Any]:
    """The module, with arguments as Ansible hands them over."""
    given = {"python": sys.executable, "backend": backend, "card": CARDS[backend], "timeout_seconds": SECONDS}
    settings = environment(made_for or backend, fault, devices, **arguments.pop("env", {}))
    written = io.StringIO()
    with (
        patch_module_args({**given, "environment": settings, **arguments}),
        contextlib.redirect_stdout(written),
        pytest.raises(SystemExit),
    ):
        runpy.run_path(str(PROJECT / "library/tensor_add.py"), run_name="__main__")
    return dict(json.loads(written.getvalue()))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where another test has loaded Ansible's controller side, it shows a warning at once, and the same words only once."""
    shown: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, text, **more: shown.append(text))
    return shown


# --- where all is well ----------------------------------------------------------------------------------------------

GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "rocm": ("cuda:0", {"name": RADEON["name"], "gfx": "gfx1201", "hip": "10.0.0-stand-in", "memory_bytes": 16 << 30}),
    "cuda": ("cuda:0", {"name": RTX["name"], "capability": "8.9", "cuda": "13.2", "memory_bytes": 12 << 30}),
    "xpu": ("xpu:0", {"name": ARC["name"], "memory_bytes": 16 << 30}),
}


@pytest.mark.parametrize("backend", GPUS)
def test_the_sum_is_on_the_card_and_the_answer_shows_what_it_is(backend: str, warnings: list[str]) -> None:
    device, gpu = GOOD[backend]
    result = add(backend)
    assert (result["ok"], result["reasons"], result["remedies"], warnings) == (True, [], [], [])
    assert (result["device"], result["device_type"]) == (device, device.partition(":")[0])
    assert result["gpu"] == {**gpu, "index": 0, "free_bytes": gpu["memory_bytes"]}
    assert (result["index"], result["adapter"], result["tries"]) == (0, gpu["name"], 1)
    assert [step["id"] for step in result["steps"]] == STEPS
    assert all(step["ok"] for step in result["steps"])
    assert result["text"].count("tensor([") == result["text"].count(f"device='{device}')") == 3
    assert result["versions"]["torch"] == VERSIONS[backend]
    values = result["values"]
    assert all(abs(a + b - c) < 1e-6 for a, b, c in zip(values["a"], values["b"], values["sum"], strict=True))
    rates = result["throughput"]
    assert rates["bytes"] == 16 << 20 and rates["device_bytes_per_second"] > 0


def test_where_there_is_no_gpu_to_speak_of_the_answer_has_none() -> None:
    assert add("rocm", devices=[])["gpu"] is None


BESIDE: dict[str, tuple[str, dict[str, Any], int]] = {
    "the card is the second, after the processor's graphics": ("rocm", {"devices": [IGPU, RADEON]}, 1),
    "the card is the first": ("rocm", {"devices": [RADEON, IGPU]}, 0),
    "by its gfx, where its box has another name": (
        "rocm",
        {"devices": [IGPU, RADEON], "card": {"names": ["Sapphire Pulse"], "gfx": ["gfx1201"]}},
        1,
    ),
    "the gfx of a borrowed target": (
        "rocm",
        {
            "devices": [IGPU, {**RADEON, "gfx": "gfx1030", "name": "AMD Radeon Graphics (stand-in)"}],
            "card": {"names": ["AMD Radeon RX 6700 XT"], "gfx": ["gfx1031", "gfx1030"]},
        },
        1,
    ),
    "by its memory and gfx, where the runtime has one name for all": (
        "rocm",
        {
            "devices": [
                {**IGPU, "name": "AMD Radeon Graphics (stand-in)"},
                {**RADEON, "name": "AMD Radeon Graphics (stand-in)"},
            ],
            "card": {
                "names": ["Navi 48"],
                "gfx": ["gfx1201"],
                "others": ["Radeon Graphics"],
                "device_id": "7550",
                "bytes": 16 << 30,
            },
        },
        1,
    ),
    "the newer one of two": ("cuda", {"devices": [OLD, RTX]}, 1),
    "by what it can": ("cuda", {"devices": [OLD, RTX], "card": {"names": ["AD104"], "capability": "8.9"}}, 1),
    "an Arc beside the processor's": ("xpu", {"devices": [UHD, ARC]}, 1),
    "by its id, where the driver has no name for it": (
        "xpu",
        {"devices": [UHD, {**ARC, "name": "Intel(R) Graphics [0x56a5] (stand-in)"}]},
        1,
    ),
    "a number that was named": ("rocm", {"devices": [IGPU, RADEON], "device": 0}, 0),
    "by the adapter's name alone": (
        "rocm",
        {"devices": [IGPU, RADEON], "card": None, "adapter": "AMD Radeon RX 9070 XT"},
        1,
    ),
    "nobody decided": ("cuda", {"devices": [OLD, RTX], "card": None}, 0),
}


@pytest.mark.parametrize("name", BESIDE)
def test_the_decided_card_adds_wherever_it_stands(name: str, warnings: list[str]) -> None:
    backend, arguments, index = BESIDE[name]
    result = add(backend, **arguments)
    assert (result["ok"], result["reasons"]) == (True, [])
    assert (result["index"], result["gpu"]["index"]) == (index, index)
    assert result["device"] == f"{TORCH_DEVICES[backend].device_type}:{index}"
    assert [one["index"] for one in result["devices"]] == [0, 1]
    assert result["adapter"] == arguments["devices"][index]["name"]
    # One that says no number in a notebook gets the first.
    assert [f"torch.device('{result['device']}')" in text for text in warnings] == [True] * index


# --- where it is not ------------------------------------------------------------------------------------------------

# fault: (the step that fails, how the process ended, the remedy, words of the reason)
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "rocm_create_context": ("count", "signal", "rocm_start_failed", "[CreateContext] fail 11"),
    "rocm_blind": ("count", "ok", "rocm_no_device", "torch sees no GPU: RuntimeError: No HIP GPUs are available"),
    "rocm_no_adapter": ("count", "ok", "rocm_no_adapter", "torch sees no GPU"),
    "rocm_no_bridge": ("count", "ok", "rocm_bridge_not_found", "torch sees no GPU"),
    "rocm_assertion": ("count", "signal", "rocm_driver_assertion", "thunk_proxy"),
    "rocm_gpu_hang": ("add", "signal", "rocm_gpu_hang", "killed by SIGABRT"),
    "rocm_memory_fault": ("add", "signal", "rocm_memory_fault", "killed by SIGABRT"),
    "rocm_profiler": ("count", "signal", "rocm_profiler", "killed by SIGABRT"),
    "rocm_sdk_missing": ("import_torch", "ok", "rocm_files_missing", "No module named 'rocm_sdk'"),
    "rocm_hip_no_device": ("name", "ok", "rocm_no_device", "no ROCm-capable device"),
    "rocm_only_igpu": (
        "name",
        "ok",
        "adapter_not_seen",
        "does not see AMD Radeon RX 9070 XT (gfx1201); it sees 0: AMD Radeon(TM)",
    ),
    "rocm_no_gfx": ("", "ok", "gpu_facts", "torch does not say of the device: gfx"),
    "rocm_kernel_image": ("add", "ok", "rocm_wrong_device", "device kernel image is invalid"),
    "rocm_memory": ("copy", "ok", "gpu_memory", "HIP out of memory"),
    "rocm_nothing_free": ("copy", "ok", "rocm_no_free_memory", "of which 0 bytes is free"),
    "cuda_no_driver": ("count", "ok", "cuda_no_driver", "torch sees no GPU: RuntimeError: Found no NVIDIA driver"),
    "cuda_driver_old": ("count", "ok", "cuda_driver_old", "too old (found version 12060)"),
    "cuda_blind": ("count", "ok", "cuda_no_device", "No CUDA GPUs are available"),
    "cuda_start_memory": ("count", "ok", "cuda_init", "Error 2: out of memory"),
    "cuda_error_500": ("count", "ok", "cuda_mismatch", "named symbol not found"),
    "cuda_error_802": ("count", "ok", "cuda_fabric", "torch sees no GPU"),
    "cuda_error_803": ("count", "ok", "cuda_mismatch", "unsupported display driver"),
    "cuda_error_804": ("count", "ok", "cuda_compat", "torch sees no GPU"),
    "cuda_busy": ("copy", "ok", "cuda_busy", "busy or unavailable"),
    "cuda_kernel_image": ("add", "ok", "cuda_kernel_image", "no kernel image is available"),
    "cuda_memory": ("copy", "ok", "gpu_memory", "CUDA out of memory"),
    "cuda_illegal_access": ("copy_back", "ok", "cuda_failed", "an illegal memory access"),
    "cuda_surprise": ("copy", "ok", "cuda_unknown", "a word that nobody knows"),
    "xpu_segfault": ("count", "signal", "xpu_crashes", "killed by SIGSEGV"),
    "xpu_abort": ("count", "signal", "xpu_crashes", "Abort was called at 63 line"),
    "xpu_blind": ("count", "ok", "xpu_no_device", "No XPU devices are available"),
    "xpu_no_level_zero": ("import_torch", "ok", "xpu_runtime", "libze_loader.so.1"),
    "xpu_lost": ("add", "ok", "xpu_lost", "UR_RESULT_ERROR_DEVICE_LOST"),
    "xpu_resources": ("copy", "ok", "gpu_memory", "UR_RESULT_ERROR_OUT_OF_RESOURCES"),
    "xpu_memory": ("copy", "ok", "gpu_memory", "XPU out of memory"),
    "xpu_float64": ("copy_back", "ok", "xpu_float64", "fp64"),
    "xpu_error_unknown": ("copy", "ok", "xpu_failed", "UR_RESULT_ERROR_UNKNOWN"),
}
# The same on each of them; {} is the backend.
ON_EACH: dict[str, tuple[str, str, str, str]] = {
    "gpu_elsewhere": ("add", "ok", "wrong_device", ":1, expected"),
    "gpu_on_the_cpu": ("add", "ok", "wrong_device", "on cpu, expected a device of type"),
    "gpu_wrong_sum": ("compare", "ok", "wrong_sum", "value 3"),
    "gpu_nan": ("compare", "ok", "wrong_sum", "nan"),
    "gpu_copy_segfault": ("copy", "signal", "{}_crashes", "the last finished step is device"),
    "gpu_copy_back_segfault": ("copy_back", "signal", "{}_crashes", "the last finished step is add"),
    "import_torch:library": ("import_torch", "ok", "torch_broken", "libtorch_cpu.so"),
    "import_torch:segfault": ("import_torch", "signal", "torch_crashes", "killed by SIGSEGV"),
    "import_torch:memory": ("import_torch", "ok", "out_of_memory", "MemoryError"),
    "count:illegal": ("count", "signal", "cpu_too_old", "killed by SIGILL"),
    "name:oom_killer": ("name", "signal", "out_of_memory", "killed by SIGKILL"),
    "copy:os_exit_3": ("copy", "exit", "{}_crashes", "status 3"),
}
CASES = [(fault.partition("_")[0], fault, *row) for fault, row in FAULTS.items()]
CASES += [(backend, fault, *row) for fault, row in ON_EACH.items() for backend in GPUS]


@pytest.mark.parametrize(
    ("backend", "fault", "step", "kind", "remedy", "words"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_each_fault_is_an_answer_that_names_the_step_and_the_remedy(
    backend: str, fault: str, step: str, kind: str, remedy: str, words: str
) -> None:
    result = add(backend, fault)
    assert (result["ok"], result.get("failed")) == (False, None)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == ([step] if step else [])
    assert result["not_reached"] == (STEPS[STEPS.index(step) + 1 :] if step else [])
    assert result["exit"]["kind"] == kind
    assert result["reasons"][0].startswith(f"{step or 'name'}: ") and words in result["reasons"][0]
    # On ROCm a death without a word is what AMD's bridge does now and then.
    expected = {"rocm_crashes": "rocm_unknown" if kind == "exit" else "rocm_start_failed"}
    named = remedy.format(backend)
    assert [one["id"] for one in result["remedies"]] == [expected.get(named, named)]
    # The host is not ready, and the person reads what to do.
    report = build_report({}, {}, {**{name: {"ok": True} for name in REQUIRED_CHECKS}, "tensor_add": result}, "now")
    assert report["ready"] is False
    assert result["remedies"][0]["do"] in person_message(report)
    known = build.faults().get(fault)
    assert known is None or known["step"] == step


def test_every_fault_of_the_stand_in_is_in_these_tables() -> None:
    assert set(build.faults()) == {*FAULTS, *(name for name in ON_EACH if ":" not in name), *PASSED_BUT, *HANGS}


HANGS = {"rocm_hang": "rocm_hangs", "cuda_hang": "cuda_hangs", "xpu_hang": "xpu_hangs"}


@pytest.mark.parametrize("fault", HANGS)
def test_a_driver_that_does_not_come_back_is_given_up_once(fault: str) -> None:
    result = add(fault.partition("_")[0], fault, timeout_seconds=1.5)
    assert (result["ok"], result["exit"]["kind"], result["tries"]) == (False, "timeout", 1)
    assert result["reasons"] == ["count: no end within 1.5 s; the last finished step is build"]
    assert [one["id"] for one in result["remedies"]] == [HANGS[fault]]


@pytest.mark.parametrize("backend", GPUS)
@pytest.mark.parametrize("made_for", ["cpu", *GPUS])
def test_a_torch_of_another_backend_is_named_before_a_device_is_asked_for(backend: str, made_for: str) -> None:
    """As pip puts it there over ours: its driver is not ours, and a count of 0 would be blamed on ours."""
    if made_for == backend:
        return
    result = add(backend, made_for=made_for)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == ["build"]
    assert VERSIONS[made_for] in result["reasons"][0] and result["not_reached"][0] == "count"
    assert [one["id"] for one in result["remedies"]] == [f"{backend}_other_torch"]


NOT_THERE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a number that is not there": ("cuda", {"device": 3}, "no_such_device"),
    "another card of NVIDIA": ("cuda", {"devices": [OLD]}, "adapter_not_seen"),
    "two alike": (
        "rocm",
        {"devices": [RADEON, RADEON], "card": {"names": ["Navi 48"], "gfx": ["gfx1201"]}},
        "adapter_unclear",
    ),
    "only the processor's": ("xpu", {"devices": [UHD]}, "adapter_not_seen"),
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_no_other_device_is_taken_for_the_decided_card(name: str) -> None:
    backend, arguments, remedy = NOT_THERE[name]
    result = add(backend, **arguments)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == ["name"]
    assert ([one["id"] for one in result["remedies"]], result["device"]) == ([remedy], None)
    assert [one["name"] for one in result["devices"]] == [one["name"] for one in arguments.get("devices", [RTX])]


# fault: (backend, words of the warning, or none)
PASSED_BUT = {
    "gpu_death_at_exit": ("cuda", "did not end well: killed by SIGSEGV"),
    "gpu_throughput": ("rocm", "(the throughput) did not end well"),
    "xpu_free_untold": ("xpu", ""),
    "rocm_create_context_once": ("rocm", "the second one passed"),
}


@pytest.mark.parametrize("fault", PASSED_BUT)
def test_what_does_not_touch_the_sum_is_one_warning(fault: str, warnings: list[str], tmp_path: Path) -> None:
    backend, words = PASSED_BUT[fault]
    result = add(backend, fault, env={"TORCH_STAND_IN_MEMORY": str(tmp_path)})
    assert (result["ok"], result["reasons"], result["remedies"]) == (True, [], [])
    assert [words in text for text in warnings] == ([True] if words else [])
    assert (result["gpu"]["free_bytes"] is None) is (fault == "xpu_free_untold")


# --- once more ------------------------------------------------------------------------------------------------------


def test_a_start_that_fails_now_and_then_is_tried_once_more_and_said(warnings: list[str], tmp_path: Path) -> None:
    result = add("rocm", "rocm_create_context_once", env={"TORCH_STAND_IN_MEMORY": str(tmp_path)})
    assert (result["ok"], result["tries"]) == (True, 2)
    assert "count: killed by SIGSEGV" in warnings[0] and "[CreateContext] fail 11" in warnings[0]


def test_one_that_always_fails_is_tried_twice_and_not_more(warnings: list[str], tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho >> {runs}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    result = add("rocm", "rocm_create_context", python=str(python))
    assert (result["ok"], result["tries"], len(runs.read_text())) == (False, 2, 2)
    assert [one["id"] for one in result["remedies"]] == ["rocm_start_failed"]
    assert ["the second one failed too" in text for text in warnings] == [True]


@pytest.mark.parametrize(
    ("backend", "fault"),
    [("cuda", "gpu_copy_segfault"), ("xpu", "xpu_segfault"), ("rocm", "gpu_wrong_sum"), ("rocm", "rocm_assertion")],
)
def test_nothing_else_is_tried_again(backend: str, fault: str) -> None:
    assert add(backend, fault)["tries"] == 1


def test_outside_of_wsl_it_is_not_tried_again_and_nothing_is_to_do_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.module_utils.colab_ready.wsl.version.wsl_facts", lambda: None)
    result = add("rocm", "rocm_create_context")
    assert (result["ok"], result["tries"]) == (False, 1)
    for backend, fault in (("rocm", "rocm_create_context"), ("cuda", "cuda_driver_old"), ("xpu", "xpu_blind")):
        assert [one["where"] for one in add(backend, fault)["remedies"]] == ["linux"]


# --- what is known of the host --------------------------------------------------------------------------------------

ONLY_CPU = Rocminfo("wsl", "1.15", [Agent("CPU", "AMD Ryzen", "", "", "", 0)], True)
SEEN = Rocminfo(
    "wsl", "1.15", [*ONLY_CPU.agents, Agent("GPU", "AMD Radeon RX 9070 XT", "gfx1201", "", "", 16 << 30)], True
)
NOTHING = Rocminfo("", "", [], False)

# what is known, the fault of torch: the remedy
KNOWN: dict[str, tuple[State, str, str]] = {
    "rocminfo sees the card": (State(rocminfo=SEEN, card_listed=True), "rocm_blind", "rocm_torch_blind"),
    "rocminfo sees the processor alone": (State(rocminfo=ONLY_CPU), "rocm_blind", "rocm_only_cpu"),
    "rocminfo sees another GPU": (State(rocminfo=SEEN, card_listed=False), "rocm_blind", "rocm_card_not_listed"),
    "rocminfo failed too": (State(rocminfo=NOTHING), "rocm_blind", "rocm_no_device"),
    "an old Windows": (State(windows_build=19045), "rocm_blind", "rocm_windows_10"),
    "no card of AMD": (State(amd=False), "rocm_hang", "rocm_without_amd"),
    "a card that the bridge has no id of": (
        State(id_known=False, gfx="gfx1102"),
        "rocm_only_igpu",
        "rocm_dids_missing",
    ),
    "a card of before RDNA3": (State(id_known=False, gfx="gfx1031"), "rocm_only_igpu", "rocm_rdna2"),
    "7.2 without its variable": (
        State(line="7.2.4", detection="", rocminfo=ONLY_CPU),
        "rocm_blind",
        "rocm_detection_off",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_the_host_decides_among_the_causes(name: str) -> None:
    state, fault, remedy = KNOWN[name]
    answer = tensor.run_tensor(
        "rocm", sys.executable, card=CARDS["rocm"], wsl=True, env=environment("rocm", fault),
        timeout_seconds=1.5 if fault == "rocm_hang" else SECONDS, rocm_state=state,
    )  # fmt: skip
    assert [one["id"] for one in answer["remedies"]] == [remedy]


@pytest.mark.parametrize("name", ["libhsa-runtime64.so", "libhsa-runtime64.so.1.2"])
def test_a_runtime_that_torch_brought_is_named_where_it_blinds_torch(tmp_path: Path, name: str) -> None:
    files = {f"torch/lib/{name}": b"not a library"}
    wheel = build.torch_wheel(tmp_path, "2.9.1+rocm7.2.4.lw", "rocm", [], files=files)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    answer = tensor.run_tensor(
        "rocm", sys.executable, wsl=True, env={"PYTHONPATH": str(tmp_path / "site")}, timeout_seconds=SECONDS,
        rocm_state=State(rocminfo=SEEN, line="7.2.4", detection="1"),
    )  # fmt: skip
    assert [one["id"] for one in answer["remedies"]] == ["rocm_bundled_hsa"]


# --- killed at any step ---------------------------------------------------------------------------------------------

KILLER = """
import os, signal
_main = main
def main(params, report):
    def deadly(line):
        report(line)
        if line.get("step") == params["at"] and bool(line.get("begin")) is params["begin"]:
            os.kill(os.getpid(), signal.SIGKILL)
    _main(params, deadly)
"""


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("step", [*STEPS, "throughput"])
def test_killed_in_or_after_a_step_the_answer_names_the_last_one_that_was_finished(step: str, begin: bool) -> None:
    params = {
        "backend": "cuda",
        "device": None,
        "adapter": None,
        "card": CARDS["cuda"],
        "wsl": True,
        "side": TORCH_DEVICES["cuda"],
        "at": step,
        "begin": begin,
    }
    source = probe.probe_source(tensor_probe, torch_devices) + KILLER
    outcome = probe.run_probe(source, params, sys.executable, SECONDS, env=environment("cuda"))
    answer = tensor_verdict.judge_tensor(outcome, "cuda")
    if step == "throughput":
        assert (answer["ok"], answer["reasons"]) == (True, [])
        assert any("SIGKILL" in text for text in answer["warnings"])
        return
    finished = STEPS[: STEPS.index(step) + (0 if begin else 1)]
    assert answer["ok"] is False and "SIGKILL" in answer["reasons"][0]
    assert [one["id"] for one in answer["steps"] if one["ok"]] == finished
    assert answer["last_finished"] == (finished[-1] if finished else None)


# --- the cell -------------------------------------------------------------------------------------------------------

# kernel: (backend, fault, number of the device, remedies of the cell)
CELLS: dict[str, tuple[str, str, int, list[str]]] = {
    "cuda": ("cuda", "", 1, []),
    "rocm": ("rocm", "", 1, []),
    "xpu": ("xpu", "", 1, []),
    "cuda_blind": ("cuda", "cuda_blind", 0, ["cuda_no_device"]),
    "rocm_image": ("rocm", "rocm_kernel_image", 1, ["rocm_wrong_device"]),
    "xpu_lost": ("xpu", "xpu_lost", 0, ["xpu_lost"]),
    "cuda_elsewhere": ("cuda", "gpu_elsewhere", 0, ["wrong_device"]),
    "wrong_torch": ("cpu", "", 0, ["cuda_other_torch"]),
    # Without a word, and without its backend, it may be any.
    "rocm_dies": ("rocm", "gpu_copy_segfault", 0, ["kernel_died"]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, server_python: Path, kernel_python: Path) -> Iterator[Server]:
    """A real Jupyter Server with kernels whose torch is the stand-in."""
    folder = tmp_path_factory.mktemp("server")
    started = Server(folder, server_python, kernel_python, {}, "colab_http_over_ws")
    try:
        launch = [str(kernel_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        both = {"cuda": [OLD, RTX], "rocm": [IGPU, RADEON], "xpu": [UHD, ARC], "cpu": []}
        for name, (backend, fault, _index, _remedies) in CELLS.items():
            started.kernel(folder, name, launch, **environment(backend, fault, both[backend]))
        yield started
    finally:
        started.stop()


@pytest.mark.parametrize("kernel", CELLS)
def test_colabs_cell_adds_on_the_card_that_was_proven_or_names_the_remedy(
    server: Server, server_python: Path, kernel: str
) -> None:
    backend, _fault, index, remedies = CELLS[kernel]
    kind = TORCH_DEVICES[backend].device_type if backend in TORCH_DEVICES else "cuda"
    result, _written = handshake(
        python=str(server_python), url=server.url, token_file=str(server.token_file), kernel_name=kernel, device_type=kind,
        device=index, wait_seconds=20, timeout_seconds=60,
    )  # fmt: skip
    assert [one["id"] for one in result["remedies"]] == remedies
    assert result["ok"] is not bool(remedies)
    for cell in result["cell"].values():
        assert (cell["device"], cell["device_type"]) == (f"{kind}:{index}", kind)
        assert cell["output"].count(f"device='{kind}:{index}')") == 3


@pytest.mark.parametrize(
    ("wsl", "backend", "remedy", "where"),
    [
        (True, "rocm", "rocm_start_failed", "windows"),
        (True, "cuda", "cuda_crashes", "windows"),
        (False, "rocm", "rocm_native_driver", "linux"),
        (False, "cuda", "cuda_crashes", "linux"),
        (False, "xpu", "kernel_died", "linux"),
    ],
)
def test_a_kernel_that_died_on_a_gpu_has_the_remedy_of_its_backend_and_of_this_host(
    server: Server,
    server_python: Path,
    monkeypatch: pytest.MonkeyPatch,
    wsl: bool,
    backend: str,
    remedy: str,
    where: str,
) -> None:
    monkeypatch.setattr(
        "ansible.module_utils.colab_ready.proof.handshake.wsl_facts", lambda: {"version": 2} if wsl else None
    )
    result, _written = handshake(
        python=str(server_python), url=server.url, token_file=str(server.token_file), kernel_name="rocm_dies",
        device_type="cuda", backend=backend, http_over_ws=False, wait_seconds=20, timeout_seconds=60,
    )  # fmt: skip
    told = next(one for one in result["remedies"] if one["id"] == remedy)
    assert told["where"] == where
    assert wsl or "Adrenalin" not in told["do"]


# --- the stand-in ---------------------------------------------------------------------------------------------------


def test_a_wheel_of_the_stand_in_installs_and_is_the_same_when_made_again(tmp_path: Path) -> None:
    made = [
        build.torch_wheel(
            tmp_path / str(count), VERSIONS["rocm"], "rocm", [{"name": "AMD Radeon RX 9070 XT", "gfx": "gfx1201"}],
            requires=["rocm-sdk-core==10.0.0"], extras={"device-gfx1201": ["rocm-sdk-device-gfx1201==10.0.0"]},
        )
        for count in (1, 2)
    ]  # fmt: skip
    assert made[0].read_bytes() == made[1].read_bytes()
    folder = made[0].parent
    build.wheel(folder, "rocm-sdk-core", "10.0.0", scripts={"rocminfo": "#!/bin/sh\necho a stand-in\n"})
    build.wheel(folder, "rocm-sdk-device-gfx1201", "10.0.0", files={"rocm_sdk_device/kernels": b"\0"})
    uv = subprocess.run(
        ["uv", "pip", "install", "--no-index", "--find-links", str(folder), "--target", str(tmp_path / "site"),
         f"torch[device-gfx1201]=={VERSIONS['rocm']}"],
        capture_output=True, text=True, check=False, env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert uv.returncode == 0, uv.stderr
    assert (tmp_path / "site/rocm_sdk_device/kernels").exists()
    said = subprocess.run([tmp_path / "site/bin/rocminfo"], capture_output=True, text=True, check=True)
    assert said.stdout == "a stand-in\n"
    with zipfile.ZipFile(made[0]) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        for line in archive.read(record).decode().splitlines():
            path, digest, _size = line.rsplit(",", 2)
            if path != record:
                hashed = base64.urlsafe_b64encode(hashlib.sha256(archive.read(path)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={hashed}"
        assert "stand-in" in archive.read(record.replace("RECORD", "METADATA")).decode()
    result = add("rocm", env={"PYTHONPATH": str(tmp_path / "site")})
    assert (result["ok"], result["adapter"]) == (True, "AMD Radeon RX 9070 XT (stand-in)")


@pytest.mark.parametrize(("given", "ok"), [({}, False), ({"HSA_ENABLE_DXG_DETECTION": "1"}, True)])
def test_the_stand_in_counts_nothing_without_the_variables_that_it_needs(
    tmp_path: Path, given: dict[str, str], ok: bool
) -> None:
    device = {"name": "AMD Radeon RX 9070 XT", "gfx": "gfx1201"}
    wheel = build.torch_wheel(
        tmp_path, "2.9.1+rocm7.2.4", "rocm", [device], environment={"HSA_ENABLE_DXG_DETECTION": "1"}
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    result = add("rocm", env={"PYTHONPATH": str(tmp_path / "site"), **given}, devices=[device])
    # TORCH_STAND_IN_DEVICES adds devices, and no variables.
    assert result["ok"] is ok
    (tmp_path / "site/torch/fault").write_text("gpu_wrong_sum\n")
    settings = {**environment("rocm"), "PYTHONPATH": str(tmp_path / "site"), "HSA_ENABLE_DXG_DETECTION": "1"}
    del settings["TORCH_STAND_IN_FAULT"]
    answer = tensor.run_tensor("rocm", sys.executable, wsl=True, env=settings, timeout_seconds=SECONDS)
    assert [one["id"] for one in answer["remedies"]] == ["wrong_sum"]

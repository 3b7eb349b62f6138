"""Every way in which torch-directml was seen to fail has a remedy: the texts are recorded ones, with where they are from."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.directml import faults
from ansible.module_utils.colab_ready.proof import remedies
from ansible.module_utils.colab_ready.proof.probes import tensor_probe

PROJECT = Path(__file__).parents[2]
IN_WSL = {"wsl": True, "dxg": "open", "libraries": list(faults.D3D12_LIBRARIES)}
WITHOUT_LIBRARIES = {**IN_WSL, "libraries": []}
WITHOUT_DXG = {**IN_WSL, "dxg": "missing"}
DENIED = {**IN_WSL, "dxg": "denied"}
LINUX = {"wsl": False, "dxg": "missing", "libraries": []}


def said(*texts: str, **more: Any) -> faults.Evidence:
    return faults.Evidence(said=texts, **{"host": IN_WSL, "python": "3.11.2", "torch": "2.4.1+cpu", **more})


def heard(*lines: str, **more: Any) -> faults.Evidence:
    return dataclasses.replace(said(**more), said=(), heard=lines)


def died(signal: str, *lines: str, **more: Any) -> faults.Evidence:
    return heard(*lines, ended="signal", signal=signal, **more)


CANNOT_OPEN = "cannot open shared object file: No such file or directory"

# What the real wheel did without a GPU.
RUN: dict[str, tuple[faults.Evidence, str]] = {
    "no WSL libraries, in WSL": (said(f"OSError: libd3d12.so: {CANNOT_OPEN}", host=WITHOUT_LIBRARIES), "directml_libraries"),
    "no WSL libraries, and no /dev/dxg": (said(f"OSError: libd3d12.so: {CANNOT_OPEN}", host=WITHOUT_DXG), "directml_no_dxg"),
    "no WSL at all": (said(f"OSError: libd3d12.so: {CANNOT_OPEN}", host=LINUX), "directml_not_wsl"),
    "libdxcore is missing": (said(f"OSError: libdxcore.so: {CANNOT_OPEN}", host={**IN_WSL, "libraries": ["libd3d12.so"]}), "directml_libraries"),
    "the loader does not look into WSL's folder": (said(f"OSError: libdxcore.so: {CANNOT_OPEN}"), "directml_loader"),
    "the same under torch 2.13: the name is behind it": (said("OSError: Could not load this library: /x/torch_directml/libdirectml.so", f"OSError: libd3d12.so: {CANNOT_OPEN}", host=LINUX), "directml_not_wsl"),
    "the same, and nothing behind it": (said("OSError: Could not load this library: /x/torch_directml/libdirectml.so", host=LINUX), "directml_not_wsl"),
    "the wheel's own library is gone": (said(f"OSError: libdirectml.so: {CANNOT_OPEN}"), "directml_damaged"),
    "a library that is not Windows'": (said(f"OSError: libgomp.so.1: {CANNOT_OPEN}"), "torch_broken"),
    "stubs: a random number": (said("RuntimeError: Unknown error -1184559632"), "directml_unknown"),
    "stubs: it dies": (died("SIGSEGV"), "directml_crashes"),
    "the factory fails": (said("RuntimeError: Unknown error -805306367"), "directml_no_gpu_for_wsl"),
    "the factory fails, as nobody gives /dev/dxg": (said("RuntimeError: Unknown error -805306367", host=WITHOUT_DXG), "directml_no_dxg"),
    "the factory fails, as /dev/dxg is not ours": (said("RuntimeError: Unknown error -805306367", host=DENIED), "directml_dxg_denied"),
    "the factory fails with 0x80070057": (said("RuntimeError: Unknown error -2147024809"), "directml_invalid_argument"),
    "no adapter, and device(0)": (said("Exception: Invalid device_id argument supplied 0. device_id must be in range [0, 0)."), "directml_no_adapter"),
    "one adapter, and device(1)": (said("Exception: Invalid device_id argument supplied 1. device_id must be in range [0, 1)."), "directml_no_such_device"),
    "no adapter, and .to()": (died("SIGSEGV"), "directml_crashes"),
    "D3D12CreateDevice never returns": (heard(ended="timeout"), "directml_hangs"),
    "torch_directml was not imported": (said("ModuleNotFoundError: No module named 'torch.privateuseone'"), "directml_not_loaded"),
    "only its module is there": (said("NotImplementedError: Could not run 'aten::empty_strided' with arguments from the 'PrivateUse1' backend."), "directml_not_loaded"),
    "under torch 2.13": (said("ImportError: /x/torch_directml_native.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZNK3c1010TensorImpl20is_contiguous_custom"), "directml_torch_mismatch"),
    "numpy 2 under torch 2.2, at the import": (heard("A module that was compiled using NumPy 1.x cannot be run in NumPy 2.0.2 as it may crash."), "directml_numpy"),
    "numpy 2 under torch 2.2, later": (said("RuntimeError: Numpy is not available"), "directml_numpy"),
    "the package is not there": (said("ModuleNotFoundError: No module named 'torch_directml'"), "directml_missing"),
    "the package cannot be there": (said("ModuleNotFoundError: No module named 'torch_directml'", python="3.13.1"), "directml_python"),
    "nor there": (said("ModuleNotFoundError: No module named 'torch_directml'", python="3.7.9"), "directml_python"),
    "E_ACCESSDENIED": (said("RuntimeError: Unknown error -2147024891"), "directml_access_denied"),
    "E_FAIL": (said("RuntimeError: Unknown error -2147467259"), "directml_failed"),
    "DXGI_ERROR_UNSUPPORTED": (said("RuntimeError: Unknown error -2005270524"), "directml_unsupported"),
    "DXGI_ERROR_DEVICE_REMOVED": (said("RuntimeError: Unknown error -2005270523"), "directml_device_removed"),
    "DXGI_ERROR_DEVICE_HUNG": (said("RuntimeError: Unknown error -2005270522"), "directml_device_removed"),
    "a signal that has no name here": (died("SIGBUS"), "directml_crashes"),
    "left without a word": (heard(ended="ok"), "directml_crashes"),
    "an abort with another build": (died("SIGABRT", torch="2.4.1+cu121"), "directml_aborts"),
    "words that nobody knows": (said("RuntimeError: a surprise"), "directml_unknown"),
    "too many dimensions": (died("SIGABRT", "[F dml.cc:1] Check failed: rank <= DML_TENSOR_DIMENSION_COUNT_MAX"), "directml_unsupported_type"),
}  # fmt: skip

# What users met.
MET: dict[str, tuple[faults.Evidence, str]] = {
    "microsoft/DirectML#29, microsoft/WSL#6096, #5786": (said(f"OSError: libd3d12.so: {CANNOT_OPEN}", host=WITHOUT_LIBRARIES), "directml_libraries"),
    "lshqqytiger/stable-diffusion-webui-amdgpu#176": (said(f"OSError: libd3d12.so: {CANNOT_OPEN}", host=LINUX), "directml_not_wsl"),
    "microsoft/DirectML#503": (died("SIGSEGV"), "directml_crashes"),
    "microsoft/DirectML#378": (died("SIGSEGV", "Fatal Python error: Segmentation fault"), "directml_crashes"),
    "microsoft/DirectML#451": (said("RuntimeError: Unknown error -2147024809"), "directml_invalid_argument"),
    "microsoft/DirectML#361": (said("RuntimeError: Unknown error -2147024882"), "directml_allocator"),
    "microsoft/DirectML#361, its other line": (died("SIGABRT", "[W dml_heap_allocator.cc:97] DML allocator out of memory!"), "directml_allocator"),
    "microsoft/DirectML#672": (dataclasses.replace(said("RuntimeError: Unknown error -2005270521"), heard=("D3D12: Removing Device.",)), "directml_device_removed"),
    "microsoft/DirectML#672, its other line": (died("SIGABRT", "D3D12: Removing Device."), "directml_device_removed"),
    "microsoft/DirectML#141, microsoft/WSL#5455": (died("SIGABRT", "HRESULT failed with 0xd0000001: DXCoreCreateAdapterFactory"), "directml_no_gpu_for_wsl"),
    "microsoft/DirectML#27": (said("RuntimeError: found 0 compatible adapters"), "directml_no_adapter"),
    "microsoft/DirectML#430, #396, #438, #699": (said("RuntimeError: The GPU device does not support Double (Float64) operations!"), "directml_float64"),
    "microsoft/DirectML#421": (died("SIGABRT", "[F dml_util.cc:118] Invalid or unsupported data type ComplexFloat."), "directml_unsupported_type"),
    "microsoft/DirectML#704, #688": (died("SIGABRT", "[F dml_util.cc:118] Invalid or unsupported data type BFloat16."), "directml_unsupported_type"),
    "microsoft/DirectML#570": (died("SIGABRT"), "directml_torch_build"),
    "microsoft/DirectML#627": (said("ImportError: torch_directml_native.so: undefined symbol: _ZN2at4_ops"), "directml_torch_mismatch"),
    "microsoft/DirectML#432": (said("ModuleNotFoundError: No module named 'torch_directml_native'"), "directml_damaged"),
    "microsoft/DirectML#648": (said("ImportError: cannot import name 'autocast' from 'torch.amp' (unknown location)"), "directml_torch_mixed"),
    "microsoft/DirectML#554, #544": (said("ERROR: No matching distribution found for torch-directml"), "directml_python"),
    "microsoft/DirectML#554, the line before": (said("ERROR: Could not find a version that satisfies the requirement torch-directml (from versions: none)"), "directml_python"),
    "microsoft/DirectML#608": (heard("A module that was compiled using NumPy 1.x cannot be run in"), "directml_numpy"),
    "microsoft/DirectML#604, #654, #678, #724": (said("UserWarning: The operator 'aten::_foreach_add_.List' is not currently supported on the DML backend and will fall back to run on the CPU."), "directml_cpu_fallback"),
    "microsoft/DirectML#579": (said("RuntimeError: Could not allocate tensor with 4194304 bytes. There is not enough GPU video memory available!"), "directml_video_memory"),
    "nix-community/NixOS-WSL#623, microsoft/WSL#14144": (died("SIGABRT", "ID3D12DeviceFactory::CreateDevice failed"), "directml_create_device"),
}  # fmt: skip
CASES = {**RUN, **MET}


@pytest.mark.parametrize("name", CASES)
def test_each_recorded_failure_has_its_remedy(name: str) -> None:
    evidence, remedy = CASES[name]
    assert faults.remedy_for(evidence) == remedy
    assert remedy in remedies.REMEDIES


# microsoft/DirectML#239 is a question of the name: the probe finds it out.
NAMED_BY_THE_PROBE = {"directml_stubs", "directml_only_software", "adapter_not_seen"}


def test_no_remedy_stands_there_for_nothing() -> None:
    assert {remedy for _evidence, remedy in CASES.values()} | NAMED_BY_THE_PROBE == {*faults.REMEDIES, "torch_broken"}


def test_every_problem_that_the_probe_can_name_has_a_remedy() -> None:
    named = set()
    for node in ast.walk(ast.parse((PROJECT / "module_utils/colab_ready/proof/probes/tensor_probe.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Wrong":
            # The others are words of torch_devices.
            named |= {str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)}
    assert named >= NAMED_BY_THE_PROBE
    assert not named - set(remedies.REMEDIES)


def test_the_error_itself_counts_more_than_what_was_heard_besides() -> None:
    both = dataclasses.replace(said("RuntimeError: Unknown error -2147024809"), heard=("D3D12: Removing Device.",))
    assert faults.remedy_for(both) == "directml_invalid_argument"


@pytest.mark.parametrize("remedy", faults.REMEDIES)
def test_no_remedy_lends_the_wheels_empty_libraries(remedy: str) -> None:
    cause, do, where = faults.REMEDIES[remedy]
    assert "LD_LIBRARY_PATH=" not in cause + do
    assert where in ("linux", "windows")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unknown error -2147024809", "Unknown error -2147024809 (0x80070057 E_INVALIDARG)"),
        (
            "RuntimeError: Unknown error -805306367 here",
            "RuntimeError: Unknown error -805306367 (0xD0000001 STATUS_UNSUCCESSFUL) here",
        ),
        ("Unknown error -1184559632", "Unknown error -1184559632 (0xB9650DF0)"),
        ("Unknown error 5", "Unknown error 5 (0x00000005)"),
        ("Unknown error", "Unknown error"),
        ("Unknown error -2147024809 (0x80070057 E_INVALIDARG)", "Unknown error -2147024809 (0x80070057 E_INVALIDARG)"),
    ],
)
def test_a_number_is_told_in_the_way_in_which_it_can_be_looked_up(text: str, expected: str) -> None:
    assert faults.with_names(text) == expected
    assert faults.with_names(expected) == expected


@pytest.mark.parametrize("code", faults.HRESULTS)
def test_each_known_code_is_known_signed_and_as_hex(code: int) -> None:
    name, remedy = faults.HRESULTS[code]
    assert faults.remedy_for(said(f"RuntimeError: Unknown error {code - (1 << 32)}")) == remedy
    assert faults.remedy_for(said(f"HRESULT failed with 0x{code:08x}: CreateSomething")) == remedy
    assert name in faults.with_names(f"Unknown error {code - (1 << 32)}")


# --- which adapter --------------------------------------------------------------------------------------------------

IGPU, CARD, SOFTWARE = "AMD Radeon(TM) Graphics", "AMD Radeon RX 6700 XT", "Microsoft Basic Render Driver"


@pytest.mark.parametrize(
    ("names", "index", "adapter", "expected"),
    [
        ([CARD], None, CARD, 0),
        ([IGPU, CARD], None, CARD, 1),
        ([IGPU, CARD], None, "amd  radeon rx 6700 xt", 1),
        ([CARD, "AMD Radeon Graphics"], None, IGPU, 1),
        ([f"{CARD} (CPU stand-in)"], None, CARD, 0),
        ([f"{CARD} (CPU stand-in)", CARD], None, CARD, 1),
        (["AMD Radeon RX 6700", CARD], None, "AMD Radeon RX 6700", 0),
        ([CARD, CARD], None, CARD, 0),
        ([IGPU, CARD], 1, IGPU, 1),
        ([IGPU, CARD], None, None, 0),
        ([SOFTWARE, CARD], None, None, 1),
        ([SOFTWARE, CARD], None, CARD, 1),
    ],
)
def test_the_decided_adapter_is_found_by_its_name(
    names: list[str], index: int | None, adapter: str | None, expected: int
) -> None:
    assert tensor_probe.choose(names, index, adapter, 0)[0] == expected


@pytest.mark.parametrize(
    ("names", "index", "adapter", "problem"),
    [
        ([IGPU], None, CARD, "adapter_not_seen"),
        ([IGPU, "Intel(R) Iris(R) Xe Graphics"], None, CARD, "adapter_not_seen"),
        ([CARD], None, "AMD Radeon RX 6700", "adapter_not_seen"),
        ([SOFTWARE], None, CARD, "directml_only_software"),
        ([SOFTWARE], None, None, "directml_only_software"),
        ([CARD], 1, CARD, "directml_no_such_device"),
        ([CARD], -1, None, "directml_no_such_device"),
    ],
)
def test_no_other_adapter_is_taken_in_its_place(
    names: list[str], index: int | None, adapter: str | None, problem: str
) -> None:
    with pytest.raises(tensor_probe.Wrong) as caught:
        tensor_probe.choose(names, index, adapter, 0)
    assert caught.value.problem == problem
    assert all(name in str(caught.value) for name in names)

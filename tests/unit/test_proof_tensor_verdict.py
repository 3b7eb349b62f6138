"""What tensor_add says of what its child brought home."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.registry import BACKENDS, TORCH_DEVICES
from ansible.module_utils.colab_ready.proof import remedies, tensor_verdict
from ansible.module_utils.colab_ready.proof.probes import tensor_probe

PROJECT = Path(__file__).parents[2]
STEPS = tensor_verdict.TENSOR_BACKENDS["cpu"]["steps"]
A = [0.5, 0.25, 0.125, 0.75, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5]
B = [0.25, 0.25, 0.5, 0.125, 0.0, 0.5, 0.5, 0.5, 0.5, 0.25]
SUM = [a + b for a, b in zip(A, B, strict=True)]
GOOD: dict[str, Any] = {
    "steps": [{"step": name, "ok": True, "seconds": 0.1, "detail": "fine"} for name in STEPS],
    "running": [],
    "last_step": "compare",
    "result": {
        "values": {"a": A, "b": B, "sum": SUM, "expected": SUM},
        "device": "cpu",
        "device_type": "cpu",
        "text": "tensor([0.5])",
        "versions": {"python": "3.11.2", "torch": "2.13.0+cpu", "numpy": None},
        "warnings": [],
    },
    "exit": {"kind": "ok", "signal": None, "code": 0, "class": None, "text": "", "problem": None},
    "noise": [],
    "noise_lines": 0,
    "stderr_tail": [],
    "seconds": 1.5,
}


def outcome(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changes}


def ended(kind: str, **more: Any) -> dict[str, Any]:
    return {**GOOD["exit"], "kind": kind, **more}


def died_in(step: str, how: dict[str, Any], **more: Any) -> dict[str, Any]:
    before = GOOD["steps"][: STEPS.index(step)]
    return outcome(steps=before, running=[step], last_step=step, result=None, exit=how, **more)


def failed_in(step: str, **said: Any) -> dict[str, Any]:
    steps = [*GOOD["steps"][: STEPS.index(step)], {"step": step, "ok": False, "seconds": 0.1, **said}]
    return outcome(steps=steps, last_step=step, result={"versions": {"python": "3.11.2"}, "warnings": []})


def with_values(**changes: Any) -> dict[str, Any]:
    result = {**GOOD["result"], "values": {**GOOD["result"]["values"], **changes}}
    return outcome(result=result)


def test_a_good_outcome_is_ok_and_complete() -> None:
    answer = tensor_verdict.judge_tensor(GOOD, "cpu")
    assert (answer["ok"], answer["reasons"], answer["remedies"], answer["warnings"]) == (True, [], [], [])
    assert (answer["device"], answer["device_type"], answer["seconds"]) == ("cpu", "cpu", 1.5)
    assert answer["steps"][0] == {"id": "import_torch", "ok": True, "seconds": 0.1, "detail": "fine"}
    assert answer["versions"] == {"python": "3.11.2", "torch": "2.13.0+cpu", "numpy": None}


SIGSEGV = ended("signal", signal="SIGSEGV", code=-11, text="killed by SIGSEGV")
SIGILL = ended("signal", signal="SIGILL", code=-4, text="killed by SIGILL")
SIGKILL = ended("signal", signal="SIGKILL", code=-9, text="killed by SIGKILL")
TIMEOUT = ended("timeout", code=-9, text="no end within 120 s")
MISSING = {"class": "ModuleNotFoundError", "text": "No module named 'torch'"}
OTHER_MISSING = {"class": "ModuleNotFoundError", "text": "No module named 'typing_extensions'"}
LIBRARY = {"class": "OSError", "text": "libgomp.so.1: cannot open shared object file"}

# name: (outcome, remedies, words of the first reason)
BAD: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "torch missing": (failed_in("import_torch", detail="x", error=MISSING), ["torch_missing"], "import_torch: x"),
    "torch incomplete": (failed_in("import_torch", detail="x", error=OTHER_MISSING), ["torch_broken"], "import_torch"),
    "torch broken": (failed_in("import_torch", detail="x", error=LIBRARY), ["torch_broken"], "import_torch"),
    "no memory": (failed_in("copy", detail="x", error={"class": "MemoryError"}), ["out_of_memory"], "copy: x"),
    "wrong device": (failed_in("add", detail="on meta", problem="wrong_device"), ["wrong_device"], "add: on meta"),
    "crash": (died_in("copy", SIGSEGV), ["torch_crashes"], "copy: killed by SIGSEGV"),
    "crash with last words": (
        died_in(
            "copy",
            SIGSEGV,
            stderr_tail=["what(): no adapter", "Fatal Python error: Aborted", 'File "a.py", line 7 in f'],
        ),
        ["torch_crashes"],
        'copy: killed by SIGSEGV (what(): no adapter / at File "a.py", line 7 in f)',
    ),
    "old processor": (died_in("import_torch", SIGILL), ["cpu_too_old"], "import_torch: killed by SIGILL"),
    "killed": (died_in("import_torch", SIGKILL), ["out_of_memory"], "killed by SIGKILL"),
    "hang": (died_in("add", TIMEOUT), ["check_hangs"], "add: no end within 120 s"),
    "left without a word": (died_in("add", ended("ok")), ["torch_broken"], "add: the process ended without a word"),
    "left between two steps": (
        outcome(steps=GOOD["steps"][:3], result=None),
        ["python_broken"],
        "add was not reached: the process ended without a result",
    ),
    "every step but no result": (outcome(result=None), ["python_broken"], "no result came"),
    "python missing": (
        outcome(steps=[], result=None, exit=ended("not_started", problem="python_missing", text="/x does not exist")),
        ["python_missing"],
        "import_torch was not reached: /x does not exist",
    ),
    "python of another machine": (
        outcome(steps=[], result=None, exit=ended("not_started", problem="python_not_a_program", text="no program")),
        ["python_broken"],
        "no program",
    ),
    "python without its library": (
        outcome(
            steps=[], result=None, exit=ended("exit", code=1, text="ended with status 1"), stderr_tail=["no encodings"]
        ),
        ["python_broken"],
        "ended with status 1 (no encodings)",
    ),
    "the probe says ok, the sum is not": (with_values(sum=[*SUM[:9], 0.0]), ["wrong_sum"], "compare: value 9"),
    "the CPU says another sum": (with_values(expected=[*SUM[:9], 0.0]), ["wrong_sum"], "as the CPU says"),
    "zeros": (with_values(sum=[0.0] * 10), ["wrong_sum"], "value 0"),
    "nan": (with_values(sum=[float("nan"), *SUM[1:]]), ["wrong_sum"], "finite"),
    "infinite": (with_values(a=[float("inf"), *A[1:]]), ["wrong_sum"], "finite"),
    "too few": (with_values(sum=SUM[:9]), ["wrong_sum"], "expected 10 values"),
    "words": (with_values(sum=["one"] * 10), ["wrong_sum"], "finite"),
    "no values": (outcome(result={**GOOD["result"], "values": None}), ["wrong_sum"], "no values"),
    "a device that is another": (
        outcome(result={**GOOD["result"], "device": "meta", "device_type": "meta"}),
        ["wrong_device"],
        "on meta, expected a device of type cpu",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_went_wrong_is_named_with_its_remedy(name: str) -> None:
    given, remedies, words = BAD[name]
    answer = tensor_verdict.judge_tensor(given, "cpu")
    assert answer["ok"] is False
    assert words in answer["reasons"][0]
    assert [one["id"] for one in answer["remedies"]] == remedies
    assert "NaN" not in json.dumps(answer) and "Infinity" not in json.dumps(answer)


def test_a_step_that_was_died_in_has_no_time_and_the_later_ones_are_not_reached() -> None:
    answer = tensor_verdict.judge_tensor(died_in("add", SIGSEGV), "cpu")
    assert answer["steps"][-1] == {"id": "add", "ok": False, "seconds": None, "detail": "killed by SIGSEGV"}
    assert answer["not_reached"] == ["copy_back", "compare"]
    assert answer["exit"] == {"kind": "signal", "signal": "SIGSEGV", "code": -11, "text": "killed by SIGSEGV"}


def test_a_death_at_exit_is_passed_with_a_warning() -> None:
    answer = tensor_verdict.judge_tensor(outcome(exit=SIGSEGV), "cpu")
    assert answer["ok"] is True
    assert answer["warnings"] == ["everything was done, but then the process did not end well: killed by SIGSEGV"]


STRAY = "Dropped Escape call with ulEscapeCode : 0x03007703"


@pytest.mark.parametrize(
    ("noise", "stderr", "expected"),
    [
        ([], [], []),
        ([STRAY], [STRAY], ["the GPU driver wrote its harmless 'Dropped Escape call' line (2 times)"]),
        ([f"tens{STRAY}or"], [], ["harmless", "also printed: tensor"]),
        (["D3D12: Removing Device."], [], ["also printed: D3D12: Removing Device."]),
        ([], ["some warning of a library"], []),
    ],
)
def test_the_stray_line_is_harmless_and_the_rest_is_quoted(
    noise: list[str], stderr: list[str], expected: list[str]
) -> None:
    answer = tensor_verdict.judge_tensor(outcome(noise=noise, noise_lines=len(noise), stderr_tail=stderr), "cpu")
    assert answer["ok"] is True
    assert len(answer["warnings"]) == len(expected)
    assert all(words in text for words, text in zip(expected, answer["warnings"], strict=True))


@pytest.mark.parametrize(
    "junk",
    [
        {"steps": [{"step": "import_torch"}], "result": {}},
        {"steps": [{"step": "import_torch", "ok": "yes", "seconds": "long", "detail": None, "error": 7}]},
        {"steps": [{"step": "no such step", "ok": False}], "result": None},
        {"result": {"values": [1], "versions": 3, "warnings": "none", "device_type": 4}},
        {"result": {"values": {"a": None}}, "noise": ["x"] * 20, "noise_lines": 5},
    ],
)
def test_nonsense_from_the_child_is_never_ok_and_never_an_error(junk: dict[str, Any]) -> None:
    answer = tensor_verdict.judge_tensor(outcome(**junk), "cpu")
    assert answer["ok"] is False
    assert answer["reasons"] and answer["remedies"]
    json.dumps(answer, allow_nan=False)


def test_probe_and_verdict_know_the_backends_of_the_registry() -> None:
    """The probe has a way of its own to those whose devices torch does not count."""
    assert (
        set(tensor_verdict.TENSOR_BACKENDS)
        == {one.name for one in BACKENDS}
        == {*tensor_probe.BACKENDS, *TORCH_DEVICES}
    )
    for one in BACKENDS:
        backend = tensor_probe.backend_of({"backend": one.name, "side": TORCH_DEVICES.get(one.name)})
        assert tensor_verdict.TENSOR_BACKENDS[one.name]["device_type"] == backend.device_type == one.device_type


# --- DirectML -------------------------------------------------------------------------------------------------------

DML_STEPS = tensor_verdict.TENSOR_BACKENDS["directml"]["steps"]
CARD = "AMD Radeon RX 6700 XT"
TOLD: dict[str, dict[str, Any]] = {
    "import_torch": {
        "version": "2.4.1+cpu",
        "host": {"wsl": True, "dxg": "open", "libraries": ["libd3d12.so", "libd3d12core.so", "libdxcore.so"]},
    },
    "import_backend": {"version": "0.2.5.dev240914"},
    "name": {
        "devices": [{"index": 0, "name": "AMD Radeon(TM) Graphics"}, {"index": 1, "name": CARD}],
        "index": 1,
        "adapter": CARD,
    },
}
RATES = {"device_bytes_per_second": 4e10, "cpu_bytes_per_second": 6e9, "bytes": 16777216}
ON_DML: dict[str, Any] = {
    **GOOD,
    "steps": [{"step": name, "ok": True, "seconds": 0.1, "detail": "fine", **TOLD.get(name, {})} for name in DML_STEPS]
    + [{"step": "throughput", "ok": True, "seconds": 0.1, **RATES}],
    "result": {
        **GOOD["result"],
        "device": "privateuseone:1",
        "device_type": "privateuseone",
        "versions": {"python": "3.11.2", "torch": "2.4.1+cpu", "numpy": "2.4.6", "torch_directml": "0.2.5.dev240914"},
    },
}


def on_dml(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ON_DML), **changes}


def dml_died_in(step: str, how: dict[str, Any], *stderr: str) -> dict[str, Any]:
    steps = ON_DML["steps"][: DML_STEPS.index(step)]
    return on_dml(steps=steps, running=[step], last_step=step, result=None, exit=how, stderr_tail=list(stderr))


def dml_failed_in(step: str, text: str, kind: str = "RuntimeError", **said: Any) -> dict[str, Any]:
    error = {} if "problem" in said else {"error": {"class": kind, "text": text}}
    failed = {"step": step, "ok": False, "seconds": 0.1, "detail": f"{kind}: {text}", **error, **said}
    steps = [*ON_DML["steps"][: DML_STEPS.index(step)], failed]
    return on_dml(steps=steps, last_step=step, result={"versions": {"python": "3.11.2"}, "warnings": []})


def dml_result(**changes: Any) -> dict[str, Any]:
    return on_dml(result={**ON_DML["result"], **changes})


def test_a_good_sum_on_directml_says_which_card_and_how_fast() -> None:
    answer = tensor_verdict.judge_tensor(ON_DML, "directml")
    assert (answer["ok"], answer["reasons"], answer["warnings"]) == (True, [], [])
    assert (answer["device_type"], answer["index"], answer["adapter"]) == ("privateuseone", 1, CARD)
    assert answer["devices"] == TOLD["name"]["devices"]
    assert answer["throughput"] == RATES
    assert [step["id"] for step in answer["steps"]] == DML_STEPS
    assert answer["last_finished"] == "compare"
    assert answer["versions"]["torch_directml"] == "0.2.5.dev240914"


def test_the_cpu_has_no_list_of_devices_and_no_throughput() -> None:
    answer = tensor_verdict.judge_tensor(GOOD, "cpu")
    assert (answer["index"], answer["devices"], answer["adapter"], answer["throughput"]) == (None, [], None, None)


SIGABRT = ended("signal", signal="SIGABRT", code=-6, text="killed by SIGABRT")
FELL_BACK = "The operator 'aten::add.Tensor' is not currently supported on the DML backend and will fall back to run on the CPU."
OTHER_FELL_BACK = FELL_BACK.replace("aten::add.Tensor", "aten::_foreach_add_.List")
BAD_ON_DML: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "torch missing": (dml_failed_in("import_torch", "No module named 'torch'", "ModuleNotFoundError"), ["torch_missing"], "import_torch"),
    "torch broken": (dml_failed_in("import_torch", "libgomp.so.1: cannot open shared object file", "OSError"), ["torch_broken"], "import_torch"),
    "torch crashes before the backend comes": (dml_died_in("import_torch", SIGSEGV), ["torch_crashes"], "import_torch: killed by SIGSEGV"),
    "two torches": (dml_failed_in("import_torch", "cannot import name 'autocast' from 'torch.amp' (unknown location)", "ImportError"), ["directml_torch_mixed"], "autocast"),
    "an abort with the CPU build": (dml_died_in("copy", SIGABRT), ["directml_torch_build"], "copy: killed by SIGABRT; the last finished step is device"),
    "an abort that says why": (dml_died_in("copy", SIGABRT, "[W dml_heap_allocator.cc:97] DML allocator out of memory!"), ["directml_allocator"], "out of memory!); the last finished step is device"),
    "a crash": (dml_died_in("copy", SIGSEGV), ["directml_crashes"], "killed by SIGSEGV"),
    "a hang": (dml_died_in("count", TIMEOUT), ["directml_hangs"], "count: no end within 120 s; the last finished step is import_backend"),
    "memory ran out": (dml_died_in("count", SIGKILL), ["out_of_memory"], "killed by SIGKILL"),
    "an old processor": (dml_died_in("import_backend", SIGILL), ["cpu_too_old"], "killed by SIGILL"),
    "left without a word": (dml_died_in("add", ended("ok")), ["directml_crashes"], "without a word"),
    "a number": (dml_failed_in("copy", "Unknown error -2147024809"), ["directml_invalid_argument"], "Unknown error -2147024809 (0x80070057 E_INVALIDARG)"),
    "a library that is named behind the error": (
        dml_failed_in("import_backend", "x", error={"class": "OSError", "text": "Could not load this library: /x/libdirectml.so", "chain": ["OSError: libdxcore.so: cannot open shared object file"]}),
        ["directml_loader"],
        "import_backend",
    ),
    "no adapter": (dml_failed_in("count", "none", problem="directml_no_adapter"), ["directml_no_adapter"], "count"),
    "another adapter": (dml_failed_in("name", "none", problem="adapter_not_seen"), ["adapter_not_seen"], "name"),
    "wrong device": (dml_failed_in("add", "on cpu", problem="wrong_device"), ["wrong_device"], "add"),
    "words that nobody knows": (dml_failed_in("copy", "surprise"), ["directml_unknown"], "surprise"),
    "the CPU added, and native code said so": (on_dml(stderr_tail=["[W dml.cc:3] " + FELL_BACK]), ["directml_cpu_fallback"], "add: [W dml.cc:3] The operator"),
    "the CPU added, and Python said so": (dml_result(warnings=["UserWarning: " + FELL_BACK]), ["directml_cpu_fallback"], "add: UserWarning: The operator"),
    "numpy of another age": (on_dml(stderr_tail=["A module that was compiled using NumPy 1.x cannot be run in", "NumPy 2.0.2 as it may crash."]), ["directml_numpy"], "numpy arrays"),
    "numpy that torch does not take": (dml_result(numpy_clash="RuntimeError: Numpy is not available"), ["directml_numpy"], "Numpy is not available"),
    "a device of another type": (dml_result(device="cpu", device_type="cpu"), ["wrong_device"], "expected a device of type privateuseone"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ON_DML)
def test_what_went_wrong_on_directml_is_named_with_its_remedy(name: str) -> None:
    given, remedies, words = BAD_ON_DML[name]
    answer = tensor_verdict.judge_tensor(given, "directml")
    assert answer["ok"] is False
    assert words in answer["reasons"][0]
    assert [one["id"] for one in answer["remedies"]] == remedies
    assert answer["throughput"] in (None, RATES)


@pytest.mark.parametrize("dxg", ["missing", "denied"])
def test_an_adapter_that_is_not_there_is_first_a_question_of_dev_dxg(dxg: str) -> None:
    given = dml_failed_in("count", "none", problem="directml_no_adapter")
    given["steps"][0]["host"]["dxg"] = dxg
    remedy = {"missing": "directml_no_dxg", "denied": "directml_dxg_denied"}[dxg]
    assert [one["id"] for one in tensor_verdict.judge_tensor(given, "directml")["remedies"]] == [remedy]


def test_what_was_found_before_a_death_is_told() -> None:
    answer = tensor_verdict.judge_tensor(dml_died_in("copy", SIGSEGV), "directml")
    assert (answer["index"], answer["adapter"], answer["devices"]) == (1, CARD, TOLD["name"]["devices"])
    assert (answer["versions"]["torch"], answer["versions"]["torch_directml"]) == ("2.4.1+cpu", "0.2.5.dev240914")
    assert answer["last_finished"] == "device"


def test_another_operator_that_falls_back_is_a_warning() -> None:
    answer = tensor_verdict.judge_tensor(dml_result(warnings=["UserWarning: " + OTHER_FELL_BACK]), "directml")
    assert (answer["ok"], len(answer["warnings"])) == (True, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"running": ["throughput"], "exit": SIGSEGV}, "killed by SIGSEGV"),
        ({"running": ["throughput"], "exit": ended("timeout", text="the result came, but then no end")}, "no end"),
        ({"steps": [*ON_DML["steps"][:-1], {"step": "throughput", "ok": False, "detail": "Unknown error -2147024882"}]}, "0x8007000E"),
    ],
)  # fmt: skip
def test_a_throughput_that_goes_wrong_is_one_warning_and_no_more(changes: dict[str, Any], words: str) -> None:
    steps = [step for step in ON_DML["steps"] if step["step"] != "throughput"]
    answer = tensor_verdict.judge_tensor(on_dml(**{"steps": steps, **changes}), "directml")
    assert (answer["ok"], answer["reasons"], answer["throughput"]) == (True, [], None)
    assert [words in text and "throughput" in text for text in answer["warnings"]] == [True]


@pytest.mark.parametrize(
    "junk",
    [
        {"steps": [{"step": "import_torch", "ok": True, "host": 3, "version": []}], "result": None},
        {"steps": [{"step": "name", "ok": True, "devices": [7, {"index": {}}], "index": True, "adapter": 3}]},
        {"steps": [{"step": "import_backend", "ok": False, "error": {"chain": 5, "class": None}}]},
        {"steps": [{"step": "throughput", "ok": True, "bytes": float("nan")}], "result": {"numpy_clash": [1]}},
    ],
)
def test_nonsense_from_the_child_on_directml_is_never_ok_and_never_an_error(junk: dict[str, Any]) -> None:
    answer = tensor_verdict.judge_tensor(on_dml(**junk), "directml")
    assert answer["ok"] is False
    assert answer["reasons"] and answer["remedies"]
    json.dumps(answer, allow_nan=False)


class Device:
    def __init__(self, name: str) -> None:
        self.type = name.partition(":")[0]
        self.name = name

    def __str__(self) -> str:
        return self.name


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cpu", "tensor([0.5])"), ("cuda:0", "tensor([0.5], device='cuda:0')")],
)
def test_the_articles_text_names_a_device_that_is_not_the_cpu(device: str, expected: str) -> None:
    class Copy:
        def __repr__(self) -> str:
            return "tensor([0.5])"

    assert tensor_probe.article_text(Copy(), Device(device)) == expected


# --- CUDA, ROCm, XPU ------------------------------------------------------------------------------------------------

GPU_STEPS = tensor_verdict.TENSOR_BACKENDS["rocm"]["steps"]
RADEON = {"name": "AMD Radeon RX 9070 XT", "index": 1, "memory_bytes": 16 << 30, "hip": "10.0.25264", "gfx": "gfx1201"}
OF_GPU: dict[str, dict[str, Any]] = {
    "import_torch": {"version": "2.13.0+rocm10.0.0", "host": {"wsl": True}},
    "build": {"built": {"hip": "10.0.25264"}, "bundled_hsa": False},
    "count": {"count": 2},
    "name": {"devices": [{"index": 0, "name": "AMD Radeon(TM) Graphics"}, RADEON], "index": 1, "adapter": RADEON["name"], "gpu": RADEON},
}  # fmt: skip
ON_GPU: dict[str, Any] = {
    **GOOD,
    "steps": [{"step": name, "ok": True, "seconds": 0.1, "detail": "fine", **OF_GPU.get(name, {})} for name in GPU_STEPS]
    + [{"step": "throughput", "ok": True, "seconds": 0.1, "free_bytes": 14 << 30, **RATES}],
    "result": {**GOOD["result"], "device": "cuda:1", "device_type": "cuda"},
}  # fmt: skip


def on_gpu(name: dict[str, Any] | None = None, **result: Any) -> dict[str, Any]:
    given = copy.deepcopy(ON_GPU)
    next(step for step in given["steps"] if step["step"] == "name").update(name or {})
    given["result"].update(result)
    return given


def test_a_good_sum_on_rocm_shows_the_card_hip_and_the_gfx() -> None:
    answer = tensor_verdict.judge_tensor(ON_GPU, "rocm")
    assert (answer["ok"], answer["reasons"]) == (True, [])
    assert answer["gpu"] == {**RADEON, "free_bytes": 14 << 30}
    assert (answer["index"], answer["adapter"]) == (1, RADEON["name"])
    assert answer["devices"] == OF_GPU["name"]["devices"]


# what the probe told: (the remedy, words of the reason). The probe itself said that all is well.
LATE: dict[str, tuple[dict[str, Any], str, str]] = {
    "another device of the same type": (on_gpu(device="cuda:0"), "wrong_device", "on cuda:0, and device 1 was taken"),
    "a device of another type": (
        on_gpu(device="cpu", device_type="cpu"),
        "wrong_device",
        "expected a device of type cuda",
    ),
    "no gfx": (on_gpu({"gpu": {**RADEON, "gfx": None}}), "gpu_facts", "torch does not say of the device: gfx"),
    "neither name nor HIP": (on_gpu({"gpu": {**RADEON, "name": "", "hip": ""}}), "gpu_facts", "name, hip"),
    "nothing of the card": (on_gpu({"gpu": None}), "gpu_facts", "name, hip, gfx"),
    "no number": (on_gpu({"index": None}), "gpu_facts", "index"),
    "zeros": (on_gpu(values={"a": A, "b": B, "sum": [0.0] * 10, "expected": SUM}), "wrong_sum", "value 0"),
}


@pytest.mark.parametrize("name", LATE)
def test_the_probes_own_word_is_not_enough_on_a_gpu(name: str) -> None:
    given, remedy, words = LATE[name]
    answer = tensor_verdict.judge_tensor(given, "rocm")
    assert answer["ok"] is False and words in answer["reasons"][0]
    assert answer["remedies"][0]["id"] == remedy


@pytest.mark.parametrize(("backend", "kind"), [("cuda", "cuda"), ("rocm", "cuda"), ("xpu", "xpu")])
def test_a_card_that_is_not_the_first_has_the_device_for_a_notebook_said_once(backend: str, kind: str) -> None:
    card = {**RADEON, "cuda": "13.2", "capability": "8.9"}
    given = on_gpu({"gpu": card}, device=f"{kind}:1", device_type=kind)
    (told,) = tensor_verdict.judge_tensor(given, backend)["warnings"]
    assert f"torch.device('{kind}:1')" in told
    first = on_gpu({"gpu": {**card, "index": 0}, "index": 0}, device=f"{kind}:0", device_type=kind)
    assert tensor_verdict.judge_tensor(first, backend)["warnings"] == []
    # Where the sum is wrong, the device is not one to be used.
    wrong = on_gpu({"gpu": card}, device=f"{kind}:0", device_type=kind)
    assert tensor_verdict.judge_tensor(wrong, backend)["warnings"] == []


# the step that the child died in, or that failed, on which backend: the remedy. Of a death before torch is there, the probe
# does not say whether this is WSL.
NATIVELY: list[tuple[str, str, dict[str, Any], str]] = [
    ("cpu", "add", TIMEOUT, "check_hangs"),
    ("cpu", "import_torch", SIGKILL, "out_of_memory"),
    ("cuda", "import_torch", TIMEOUT, "check_hangs"),
    ("cuda", "copy", TIMEOUT, "cuda_hangs"),
    ("cuda", "copy", SIGSEGV, "cuda_crashes"),
    ("xpu", "import_torch", SIGKILL, "out_of_memory"),
    ("xpu", "copy", TIMEOUT, "xpu_hangs"),
]


@pytest.mark.parametrize(("backend", "step", "how", "remedy"), NATIVELY)
def test_outside_of_wsl_no_remedy_sends_to_windows(backend: str, step: str, how: dict[str, Any], remedy: str) -> None:
    (told,) = tensor_verdict.judge_tensor(died_in(step, how), backend, wsl=False)["remedies"]
    assert (told["id"], told["where"]) == (remedy, "linux")
    assert "wsl --shutdown" not in told["do"] or re.search(r"\b[Ii]n WSL: ", told["do"])
    (in_wsl,) = tensor_verdict.judge_tensor(died_in(step, how), backend, wsl=True)["remedies"]
    assert in_wsl["do"] == remedies.REMEDIES[remedy][1]


def test_outside_of_wsl_a_card_that_torch_does_not_see_is_looked_for_in_the_kernel() -> None:
    given = copy.deepcopy(ON_GPU)
    failed = {
        "step": "name",
        "ok": False,
        "seconds": 0.1,
        "detail": "torch does not see it",
        "problem": "adapter_not_seen",
    }
    given.update(steps=[*given["steps"][: GPU_STEPS.index("name")], failed], result=None)
    (told,) = tensor_verdict.judge_tensor(given, "cuda", wsl=False)["remedies"]
    assert (told["id"], told["where"]) == ("adapter_not_seen", "linux")
    assert "lspci" in told["do"] and "Windows" not in told["do"]
    assert "Windows" in tensor_verdict.judge_tensor(given, "cuda")["remedies"][0]["do"]


def test_torch_may_leave_out_the_number_of_the_current_device() -> None:
    assert tensor_verdict.judge_tensor(on_gpu(device="cuda"), "rocm")["ok"] is True


@pytest.mark.parametrize("backend", ["cuda", "rocm", "xpu"])
@pytest.mark.parametrize(
    "junk",
    [
        {"steps": [{"step": "name", "ok": True, "gpu": [1], "devices": 3, "index": "1"}]},
        {"steps": [{"step": "count", "ok": False, "count": True, "error": {"chain": {}, "text": None}}]},
        {"steps": [{"step": "build", "ok": False, "bundled_hsa": 3, "problem": "no such problem"}], "result": None},
        {"steps": [{"step": "throughput", "ok": True, "free_bytes": float("inf")}], "result": {"warnings": 3}},
    ],
)
def test_nonsense_from_the_child_on_a_gpu_is_never_ok_and_never_an_error(backend: str, junk: dict[str, Any]) -> None:
    answer = tensor_verdict.judge_tensor({**copy.deepcopy(ON_GPU), **junk}, backend)
    assert answer["ok"] is False
    assert answer["reasons"] and answer["remedies"]
    json.dumps(answer, allow_nan=False)

"""What tensor_add says of what its child brought home."""

from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready import tensor_probe, verdict

PROJECT = Path(__file__).parents[2]
STEPS = verdict.TENSOR_BACKENDS["cpu"]["steps"]
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
    answer = verdict.judge_tensor(GOOD, "cpu")
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
    answer = verdict.judge_tensor(given, "cpu")
    assert answer["ok"] is False
    assert words in answer["reasons"][0]
    assert [one["id"] for one in answer["remedies"]] == remedies
    assert "NaN" not in json.dumps(answer) and "Infinity" not in json.dumps(answer)


def test_a_step_that_was_died_in_has_no_time_and_the_later_ones_are_not_reached() -> None:
    answer = verdict.judge_tensor(died_in("add", SIGSEGV), "cpu")
    assert answer["steps"][-1] == {"id": "add", "ok": False, "seconds": None, "detail": "killed by SIGSEGV"}
    assert answer["not_reached"] == ["copy_back", "compare"]
    assert answer["exit"] == {"kind": "signal", "signal": "SIGSEGV", "code": -11, "text": "killed by SIGSEGV"}


def test_a_death_at_exit_is_passed_with_a_warning() -> None:
    answer = verdict.judge_tensor(outcome(exit=SIGSEGV), "cpu")
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
    answer = verdict.judge_tensor(outcome(noise=noise, noise_lines=len(noise), stderr_tail=stderr), "cpu")
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
    answer = verdict.judge_tensor(outcome(**junk), "cpu")
    assert answer["ok"] is False
    assert answer["reasons"] and answer["remedies"]
    json.dumps(answer, allow_nan=False)


def test_probe_verdict_and_module_know_the_same_backends() -> None:
    known = sorted(tensor_probe.BACKENDS)
    assert sorted(verdict.TENSOR_BACKENDS) == known
    for name, backend in tensor_probe.BACKENDS.items():
        assert verdict.TENSOR_BACKENDS[name]["device_type"] == backend.device_type
    documentation = runpy.run_path(str(PROJECT / "library/tensor_add.py"), run_name="read")["DOCUMENTATION"]
    assert f"choices: [{', '.join(known)}]" in documentation


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

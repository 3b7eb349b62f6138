"""tensor_add as Ansible runs it: right with the real torch, and an answer whatever a torch can do to its process.

The faults come from tests/doubles/torch_stand_in, which is no torch and says so in its version.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends import torch_devices
from ansible.module_utils.colab_ready.process import probe
from ansible.module_utils.colab_ready.proof import tensor_verdict
from ansible.module_utils.colab_ready.proof.probes import tensor_probe
from ansible.module_utils.testing import patch_module_args

PROJECT = Path(__file__).parents[2]
TORCH_STAND_IN = PROJECT / "tests/doubles/torch_stand_in"
STEPS = ["import_torch", "device", "copy", "add", "copy_back", "compare"]


def tensor_add(**arguments: Any) -> dict[str, Any]:
    """The module, with arguments as Ansible hands them over."""
    written = io.StringIO()
    with patch_module_args(arguments), contextlib.redirect_stdout(written), pytest.raises(SystemExit):
        runpy.run_path(str(PROJECT / "library/tensor_add.py"), run_name="__main__")
    return json.loads(written.getvalue())


def with_stand_in(fault: str = "", **arguments: Any) -> dict[str, Any]:
    environment = {"PYTHONPATH": str(TORCH_STAND_IN), "TORCH_STAND_IN_FAULT": fault}
    return tensor_add(**{"python": sys.executable, "environment": environment, "timeout_seconds": 20, **arguments})


def judged(fault: str) -> dict[str, Any]:
    """Without the module around it, which hands warnings over to Ansible and its way of showing them."""
    environment = {"PYTHONPATH": str(TORCH_STAND_IN), "TORCH_STAND_IN_FAULT": fault}
    source, params = probe.probe_source(tensor_probe, torch_devices), {"backend": "cpu", "device": None}
    return tensor_verdict.judge_tensor(probe.run_probe(source, params, sys.executable, 20, env=environment), "cpu")


@pytest.mark.smoke("tensor_add")
def test_the_real_torch_adds_and_ansible_shows_the_articles_text(run_module: Any, kernel_python: Path) -> None:
    result = run_module("tensor_add", {"python": str(kernel_python)}, check=True)
    assert result["reasons"] == []
    assert (result["ok"], result["changed"]) == (True, False)
    assert (result["device"], result["device_type"], result["exit"]["kind"]) == ("cpu", "cpu", "ok")
    values = result["values"]
    for a, b, total in zip(values["a"], values["b"], values["sum"], strict=True):
        assert abs(a + b - total) < 1e-6
    assert len(set(values["a"] + values["b"])) == 20
    assert result["text"].count("tensor([") == 3
    assert f"{values['sum'][0]:.4f}" in result["text"]
    assert [step["id"] for step in result["steps"]] == STEPS
    assert all(step["ok"] for step in result["steps"])
    assert result["versions"]["torch"] and "stand" not in result["versions"]["torch"]
    assert result["versions"]["numpy"] and result["versions"]["python"]


def test_the_stand_in_says_that_it_is_one() -> None:
    result = with_stand_in()
    assert result["ok"] is True
    assert "stand" in result["versions"]["torch"]


# fault: (the step that fails, how the process ended, the remedy, words of the reason)
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "import_torch:library": ("import_torch", "ok", "torch_broken", "libtorch_cpu.so: cannot open shared object file"),
    "import_torch:segfault": ("import_torch", "signal", "torch_crashes", "killed by SIGSEGV"),
    "import_torch:sys_exit": ("import_torch", "exception", "torch_broken", "torch said good-bye"),
    "import_torch:memory": ("import_torch", "ok", "out_of_memory", "MemoryError"),
    "copy:segfault": ("copy", "signal", "torch_crashes", "killed by SIGSEGV"),
    "copy:abort": ("copy", "signal", "torch_crashes", "std::runtime_error"),
    "copy:illegal": ("copy", "signal", "cpu_too_old", "killed by SIGILL"),
    "copy:oom_killer": ("copy", "signal", "out_of_memory", "killed by SIGKILL"),
    "copy:os_exit": ("copy", "ok", "torch_broken", "without a word"),
    "copy:os_exit_3": ("copy", "exit", "torch_broken", "status 3"),
    "copy:raise": ("copy", "ok", "torch_broken", "Unknown error -2147024809"),
    "add:abort": ("add", "signal", "torch_crashes", "killed by SIGABRT"),
    "add:wrong_device": ("add", "ok", "wrong_device", "privateuseone:0, expected a device of type cpu"),
    "add:wrong_sum": ("compare", "ok", "wrong_sum", "value 3"),
    "add:nan": ("compare", "ok", "wrong_sum", "nan"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_an_answer_that_names_the_step(fault: str) -> None:
    step, kind, remedy, words = FAULTS[fault]
    result = with_stand_in(fault)
    assert (result["ok"], result.get("failed")) == (False, None)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == [step]
    assert result["not_reached"] == STEPS[STEPS.index(step) + 1 :]
    assert result["exit"]["kind"] == kind
    assert result["reasons"][0].startswith(f"{step}: ")
    assert words in result["reasons"][0]
    assert [one["id"] for one in result["remedies"]] == [remedy]


@pytest.mark.parametrize("fault", ["copy:hang", "add:child_hangs"])
def test_a_hang_that_no_signal_reaches_ends_at_the_timeout(fault: str) -> None:
    result = with_stand_in(fault, timeout_seconds=0.7)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == [fault.partition(":")[0]]
    assert (result["exit"]["kind"], result["remedies"][0]["id"]) == ("timeout", "check_hangs")
    assert result["seconds"] < 10


PASSED_BUT = {
    "copy:die_at_exit": "did not end well: killed by SIGABRT",
    "import_torch:noise": "a library says hello on stdout",
    "copy:flood": "no end of words",
    "add:warn": "will fall back to run on the CPU",
}


@pytest.mark.parametrize("fault", PASSED_BUT)
def test_what_does_not_touch_the_sum_is_a_warning(fault: str) -> None:
    result = judged(fault)
    assert (result["ok"], result["reasons"]) == (True, [])
    assert any(PASSED_BUT[fault] in text for text in result["warnings"]), result["warnings"]
    assert len(json.dumps(result)) < 20_000


def test_the_drivers_stray_line_is_told_as_harmless() -> None:
    warnings = judged("import_torch:noise")["warnings"]
    assert any("harmless" in text for text in warnings)
    assert not any("0x03007703" in text for text in warnings)


def test_the_module_hands_warnings_to_ansible(capsys: pytest.CaptureFixture[str]) -> None:
    result = with_stand_in("copy:die_at_exit")
    # In a process where another test has loaded Ansible's controller side, warnings are shown at once instead.
    shown = json.dumps(result.get("warnings")) + capsys.readouterr().err
    assert "did not end well: killed by SIGABRT" in shown


def test_torch_that_is_not_installed_is_an_answer() -> None:
    result = tensor_add(python="/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable)
    if result["ok"]:
        pytest.skip("this computer's own Python has torch")
    assert result["reasons"] == ["import_torch: ModuleNotFoundError: No module named 'torch'"]
    assert [one["id"] for one in result["remedies"]] == ["torch_missing"]


@pytest.mark.parametrize(
    ("python", "remedy"),
    [
        ("/no/such/python", "python_missing"),
        ("/etc/passwd", "python_not_executable"),
        ("/bin/true", "python_broken"),
        ("/bin/false", "python_broken"),
    ],
)
def test_a_python_that_is_none_is_an_answer(python: str, remedy: str) -> None:
    result = tensor_add(python=python)
    assert (result["ok"], result["steps"], result["not_reached"]) == (False, [], STEPS)
    assert [one["id"] for one in result["remedies"]] == [remedy]
    assert len(result["reasons"]) == 1


def test_a_broken_environment_of_python_is_an_answer(tmp_path: Path) -> None:
    result = tensor_add(python=sys.executable, environment={"PYTHONHOME": str(tmp_path)})
    assert [one["id"] for one in result["remedies"]] == ["python_broken"]
    assert "encodings" in result["reasons"][0]


def test_an_unknown_user_is_an_answer() -> None:
    result = with_stand_in(user="nobody-of-this-name")
    assert [one["id"] for one in result["remedies"]] == ["no_such_user"]


def test_the_cpu_has_no_second_device() -> None:
    assert with_stand_in(device=0)["ok"] is True
    result = with_stand_in(device=1)
    assert result["reasons"][0].startswith("device: ValueError")


@pytest.mark.parametrize("backend", ["mps", "auto", ""])
def test_a_backend_that_is_none_is_refused(backend: str) -> None:
    result = with_stand_in(backend=backend)
    assert result["failed"] is True
    assert f"backend is {backend!r}, expected one of cuda, rocm, xpu, directml, cpu" in result["msg"]


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_timeout_of_nothing_is_refused(seconds: float) -> None:
    result = with_stand_in(timeout_seconds=seconds)
    assert result["failed"] is True
    assert "expected more than 0" in result["msg"]

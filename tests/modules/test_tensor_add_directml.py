"""tensor_add and colab_handshake on DirectML, as Ansible runs them: right where the backend is, and an answer with a remedy
for each way in which it was seen to fail.

torch is the real one; the backend is tests/doubles/torch_directml_stand_in, which torch itself takes for a device. What
can be shown without any torch is shown with tests/doubles/torch_stand_in, which is quick.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import pwd
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends import torch_devices
from ansible.module_utils.colab_ready.process import probe
from ansible.module_utils.colab_ready.proof import tensor_verdict
from ansible.module_utils.colab_ready.proof.probes import tensor_probe
from ansible.module_utils.colab_ready.proof.report import REQUIRED_CHECKS, build_report, person_message
from ansible.module_utils.testing import patch_module_args
from modules.test_colab_handshake import Server, handshake

PROJECT = Path(__file__).parents[2]
TORCH_STAND_IN = PROJECT / "tests/doubles/torch_stand_in"
CARD = "AMD Radeon RX 6700 XT"
STEPS = tensor_verdict.TENSOR_BACKENDS["directml"]["steps"]
SECONDS = 60.0
REST_IS_FINE = {name: {"ok": True} for name in REQUIRED_CHECKS}


@pytest.fixture(scope="session")
def double() -> ModuleType:
    path = PROJECT / "tests/doubles/torch_directml_stand_in/build.py"
    spec = importlib.util.spec_from_file_location("torch_directml_stand_in_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stand_in(double: ModuleType, kernel_python: Path) -> Path:
    """The folder with the stand-in for torch_directml, built for the real torch of the kernel environment."""
    return Path(double.folder(kernel_python))


class Add:
    """The module, with arguments as Ansible hands them over; the program runs in the kernel environment."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder = python, folder

    def __call__(self, fault: str = "", devices: str = "", **arguments: Any) -> dict[str, Any]:
        environment = {"PYTHONPATH": str(self.folder), "TORCH_DIRECTML_STAND_IN_FAULT": fault}
        if devices:
            environment["TORCH_DIRECTML_STAND_IN_DEVICES"] = devices
        given = {"python": str(self.python), "backend": "directml", "adapter": CARD, "timeout_seconds": SECONDS}
        written = io.StringIO()
        with (
            patch_module_args({**given, "environment": environment, **arguments}),
            contextlib.redirect_stdout(written),
            pytest.raises(SystemExit),
        ):
            runpy.run_path(str(PROJECT / "library/tensor_add.py"), run_name="__main__")
        return dict(json.loads(written.getvalue()))


@pytest.fixture(scope="session")
def add(kernel_python: Path, stand_in: Path) -> Add:
    return Add(kernel_python, stand_in)


@pytest.fixture(autouse=True)
def no_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of WSL, whatever computer this is: what WSL changes in a remedy is in tests/unit/test_directml_faults.py."""
    monkeypatch.setattr("ansible.module_utils.colab_ready.wsl.version.wsl_facts", lambda: None)


# --- where all is well ----------------------------------------------------------------------------------------------


def test_the_sum_is_on_the_device_and_reads_like_the_article(
    run_module: Any, kernel_python: Path, stand_in: Path
) -> None:
    arguments = {"python": str(kernel_python), "backend": "directml", "adapter": CARD}
    result = run_module("tensor_add", {**arguments, "environment": {"PYTHONPATH": str(stand_in)}}, check=True)
    assert result["reasons"] == []
    assert (result["ok"], result["changed"], result["exit"]["kind"]) == (True, False, "ok")
    assert (result["device"], result["device_type"], result["index"]) == ("privateuseone:0", "privateuseone", 0)
    assert result["text"].count("tensor([") == result["text"].count("device='privateuseone:0')") == 3
    values = result["values"]
    for a, b, total in zip(values["a"], values["b"], values["sum"], strict=True):
        assert abs(a + b - total) < 1e-6
    assert [step["id"] for step in result["steps"]] == STEPS
    assert (all(step["ok"] for step in result["steps"]), result["last_finished"]) == (True, "compare")
    # A test that passes with it shows nothing about a card, and the answer says whose it is.
    assert "stand" in result["versions"]["torch_directml"] and "stand-in" in result["adapter"]
    assert result["devices"] == [{"index": 0, "name": result["adapter"]}]
    rates = result["throughput"]
    assert set(rates) == {"device_bytes_per_second", "cpu_bytes_per_second", "bytes"}
    assert all(rate > 0 for rate in rates.values())


PRINTS = """
import sys
import torch, torch_directml
exec(sys.stdin.read())
probe = sys.modules[main.__module__]
for size in (1, 3, 10, 40):
    tensor = torch.rand(size).to(torch_directml.device())
    print(repr(str(tensor)), repr(probe.article_text(tensor.to("cpu"), tensor.device)), sep="\\n")
"""


def test_the_text_made_from_a_copy_is_the_one_that_torch_prints_for_the_device(
    kernel_python: Path, stand_in: Path
) -> None:
    """Of ten values; torch breaks its lines by their width, and a copy does not know how wide the device's name is."""
    done = subprocess.run(
        [kernel_python, "-c", PRINTS],
        input=probe.probe_source(tensor_probe, torch_devices),
        env={"PYTHONPATH": str(stand_in)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert lines[4] == lines[5] and "device='privateuseone:0')" in lines[4]
    broken_anywhere = [" ".join(line.replace("\\n", " ").split()) for line in lines]
    assert broken_anywhere[::2] == broken_anywhere[1::2]


@pytest.mark.parametrize(
    ("arguments", "index"),
    [({}, 1), ({"adapter": "amd radeon(tm) graphics"}, 0), ({"adapter": None}, 0), ({"device": 1, "adapter": None}, 1)],
)
def test_the_card_that_was_chosen_adds_and_no_other(add: Add, arguments: dict[str, Any], index: int) -> None:
    result = add(devices=f"AMD Radeon(TM) Graphics\n{CARD}", **arguments)
    assert (result["ok"], result["index"], result["device"]) == (True, index, f"privateuseone:{index}")
    assert result["adapter"] == result["devices"][index]["name"]


# --- where it is not ------------------------------------------------------------------------------------------------

# fault: (the step that fails, how the process ended, the remedy, words of the reason). Outside of WSL.
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "no_libd3d12": ("import_backend", "ok", "directml_not_wsl", "OSError: libd3d12.so: cannot open shared object file"),
    "no_libdxcore": ("import_backend", "ok", "directml_not_wsl", "libdxcore.so: cannot open shared object file"),
    "no_libd3d12_chained": ("import_backend", "ok", "directml_not_wsl", "(from OSError: libd3d12.so: cannot open"),
    "undefined_symbol": ("import_backend", "ok", "directml_torch_mismatch", "undefined symbol"),
    "native_missing": ("import_backend", "ok", "directml_damaged", "No module named 'torch_directml_native'"),
    "autocast_missing": ("import_backend", "ok", "directml_torch_mixed", "autocast"),
    "numpy_clash": ("import_backend", "ok", "directml_numpy", "NumPy 1.x"),
    "import_abort": ("import_backend", "signal", "directml_torch_build", "killed by SIGABRT"),
    "import_segfault": ("import_backend", "signal", "directml_crashes", "killed by SIGSEGV"),
    "not_available": ("count", "ok", "directml_no_adapter", "is_available() is False"),
    "no_devices": ("count", "ok", "directml_no_adapter", "device_count() is 0"),
    "factory_failed": ("count", "ok", "directml_no_gpu_for_wsl", "0xD0000001"),
    "stub_libraries": ("count", "signal", "directml_crashes", "killed by SIGSEGV"),
    "name_80070057": ("name", "ok", "directml_invalid_argument", "0x80070057 E_INVALIDARG"),
    "only_software": ("name", "ok", "directml_only_software", "Microsoft Basic Render Driver"),
    "wrong_adapter": ("name", "ok", "adapter_not_seen", f"does not see {CARD}; it sees 0: AMD Radeon(TM) Graphics"),
    "not_registered": ("copy", "ok", "directml_not_loaded", "torch.privateuseone"),
    "device_segfault": ("copy", "signal", "directml_crashes", "killed by SIGSEGV"),
    "copy_abort": ("copy", "signal", "directml_torch_build", "killed by SIGABRT"),
    "copy_error_80070005": ("copy", "ok", "directml_access_denied", "0x80070005 E_ACCESSDENIED"),
    "copy_error_80004005": ("copy", "ok", "directml_failed", "0x80004005 E_FAIL"),
    "copy_error_887a0004": ("copy", "ok", "directml_unsupported", "0x887A0004 DXGI_ERROR_UNSUPPORTED"),
    "copy_error_887a0007": ("copy", "ok", "directml_device_removed", "0x887A0007 DXGI_ERROR_DEVICE_RESET"),
    "out_of_memory": ("copy", "ok", "directml_allocator", "0x8007000E E_OUTOFMEMORY"),
    "video_memory": ("copy", "ok", "directml_video_memory", "not enough GPU video memory"),
    "create_device_failed": ("copy", "ok", "directml_create_device", "CreateDevice failed"),
    "add_segfault": ("add", "signal", "directml_crashes", "killed by SIGSEGV"),
    "add_abort": ("add", "signal", "directml_unsupported_type", "unsupported data type ComplexFloat"),
    "add_float64": ("add", "ok", "directml_float64", "Double (Float64)"),
    "cpu_fallback": ("add", "ok", "directml_cpu_fallback", "will fall back to run on the CPU"),
    "wrong_device": ("add", "ok", "wrong_device", "on cpu, expected a device of type privateuseone"),
    "copy_back_segfault": ("copy_back", "signal", "directml_crashes", "killed by SIGSEGV"),
    "wrong_sum": ("compare", "ok", "wrong_sum", "value 3"),
    "nan_sum": ("compare", "ok", "wrong_sum", "nan"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_an_answer_that_names_the_step_and_the_remedy(add: Add, fault: str) -> None:
    step, kind, remedy, words = FAULTS[fault]
    result = add(fault)
    assert (result["ok"], result.get("failed")) == (False, None)
    assert [one["id"] for one in result["steps"] if not one["ok"]] == [step]
    assert result["last_finished"] == STEPS[STEPS.index(step) - 1]
    assert result["not_reached"] == STEPS[STEPS.index(step) + 1 :]
    assert result["exit"]["kind"] == kind
    assert result["reasons"][0].startswith(f"{step}: ") and words in result["reasons"][0]
    assert [one["id"] for one in result["remedies"]] == [remedy]
    assert result["throughput"] is None
    # The host is not ready, and the person reads what to do.
    report = build_report({}, {}, {**REST_IS_FINE, "tensor_add": result}, "now")
    assert (report["ready"], report["remedies"][0]["id"]) == (False, remedy)
    assert report["remedies"][0]["do"] in person_message(report)


def test_a_driver_that_does_not_come_back_is_given_up(add: Add) -> None:
    result = add("device_hang", timeout_seconds=15)
    assert (result["ok"], result["exit"]["kind"]) == (False, "timeout")
    assert result["reasons"] == ["count: no end within 15 s; the last finished step is import_backend"]
    assert [one["id"] for one in result["remedies"]] == ["directml_hangs"]


# fault: words of the warning, or none.
PASSED_BUT = {
    "float64_repr": "",
    "cpu_fallback_elsewhere": "aten::_foreach_add_",
    "stray_line_stdout": "harmless 'Dropped Escape call'",
    "stray_line_stderr": "harmless 'Dropped Escape call'",
    "death_at_exit": "did not end well: killed by SIGSEGV",
    "throughput_crash": "(the throughput) did not end well: killed by SIGSEGV",
}


@pytest.mark.parametrize("fault", PASSED_BUT)
def test_what_does_not_touch_the_sum_is_one_warning(add: Add, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    # Where another test has loaded Ansible's controller side, it shows a warning at once, and the same words only once.
    monkeypatch.setattr(AnsibleModule, "warn", lambda self, text, **more: shown.append(text))
    result = add(fault)
    assert (result["ok"], result["reasons"]) == (True, [])
    assert PASSED_BUT[fault] in json.dumps(shown)
    assert "0x03007703" not in json.dumps([result, shown])
    assert (result["throughput"] is None) is (fault == "throughput_crash")
    assert build_report({}, {}, {**REST_IS_FINE, "tensor_add": result}, "now")["ready"] is True


def test_the_stand_in_knows_every_fault_of_these_tables(double: ModuleType) -> None:
    known = double.faults()
    assert {*FAULTS, *PASSED_BUT} <= set(known)
    assert {fault: known[fault]["step"] for fault in FAULTS} == {fault: row[0] for fault, row in FAULTS.items()}


# --- killed at any step ---------------------------------------------------------------------------------------------

# STAND-IN for torch_directml over the stand-in for torch: names, and nothing that computes.
NAMES_ONLY = """
import torch
__version__ = "0.0.0+stand.in"
def is_available(): return True
def device_count(): return 1
def device_name(number): return "AMD Radeon RX 6700 XT (stand-in)"
def default_device(): return 0
def device(number=None): return torch.device(f"privateuseone:{number or 0}")
"""
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


@pytest.fixture
def names_only(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "torch_directml").mkdir()
    (tmp_path / "torch_directml/__init__.py").write_text(NAMES_ONLY)
    return {"PYTHONPATH": f"{TORCH_STAND_IN}:{tmp_path}"}


def judged(environment: dict[str, str], tail: str = "", **params: Any) -> dict[str, Any]:
    source = probe.probe_source(tensor_probe, torch_devices) + tail
    known = {"backend": "directml", "device": None, "adapter": CARD, "wsl": True}
    outcome = probe.run_probe(source, {**known, **params}, sys.executable, SECONDS, env=environment)
    return tensor_verdict.judge_tensor(outcome, "directml")


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_killed_in_or_after_a_step_the_report_names_the_last_one_that_was_finished(
    names_only: dict[str, str], step: str, begin: bool
) -> None:
    finished = STEPS[: STEPS.index(step) + (0 if begin else 1)]
    answer = judged(names_only, KILLER, at=step, begin=begin)
    assert answer["ok"] is False
    assert [one["id"] for one in answer["steps"] if one["ok"]] == finished
    assert answer["last_finished"] == (finished[-1] if finished else None)
    told = person_message(build_report({}, {}, {"tensor_add": answer}, "now"))
    assert "SIGKILL" in told
    assert not finished or f"the last finished step is {finished[-1]}" in told


@pytest.mark.parametrize("begin", [True, False])
def test_killed_when_the_answer_was_given_it_stays_given(names_only: dict[str, str], begin: bool) -> None:
    answer = judged(names_only, KILLER, at="throughput", begin=begin)
    assert (answer["ok"], answer["reasons"]) == (True, [])
    assert any("SIGKILL" in text or "throughput" in text for text in answer["warnings"])


def test_the_wheels_own_empty_libraries_are_seen_before_they_are_asked(tmp_path: Path) -> None:
    """A file that the process has mapped is as good as one that the loader took."""
    package = tmp_path / "torch_directml"
    package.mkdir()
    (package / "libdxcore.so").write_bytes(b"not a library" * 1000)
    mapped = "import mmap, pathlib\n_file = open(pathlib.Path(__file__).with_name('libdxcore.so'), 'rb')\n"
    mapped += "_map = mmap.mmap(_file.fileno(), 0, prot=mmap.PROT_READ)\n"
    (package / "__init__.py").write_text(mapped + NAMES_ONLY)
    answer = judged({"PYTHONPATH": f"{TORCH_STAND_IN}:{tmp_path}"})
    assert [one["id"] for one in answer["remedies"]] == ["directml_stubs"]
    assert answer["reasons"][0].startswith("import_backend: ") and str(package / "libdxcore.so") in answer["reasons"][0]


def test_a_dev_dxg_that_windows_does_not_give_is_named_in_place_of_the_library(tmp_path: Path) -> None:
    if Path("/dev/dxg").exists():
        pytest.skip("this computer is a WSL with graphics")
    package = tmp_path / "torch_directml"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('libd3d12.so: cannot open shared object file: No such file')")
    environment = {"PYTHONPATH": f"{TORCH_STAND_IN}:{tmp_path}"}
    for wsl, remedy in ((True, "directml_no_dxg"), (False, "directml_not_wsl")):
        assert [one["id"] for one in judged(environment, wsl=wsl)["remedies"]] == [remedy]


def test_without_the_package_the_answer_is_that_it_is_not_there() -> None:
    answer = judged({"PYTHONPATH": str(TORCH_STAND_IN)})
    assert [one["id"] for one in answer["remedies"]] == ["directml_missing"]


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_names_the_card_that_added_and_tells_what_to_know_once(
    run_module: Any, tmp_path: Path, names_only: dict[str, str]
) -> None:
    """On a host whose kernel environment has the stand-ins, and that has no server."""
    python = tmp_path / "prefix/kernels/directml/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={names_only["PYTHONPATH"]} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    settings = {"kernel": "directml", "device_type": "privateuseone", "prefix": str(tmp_path / "prefix")}
    settings |= {"user": pwd.getpwuid(os.geteuid()).pw_name, "token_file": str(tmp_path / "token")}
    path = tmp_path / "runtime.json"
    path.write_text(json.dumps({**settings, "config_dir": str(tmp_path), "port": 1, "http_over_ws": True}))
    gpu = {"backend": {"name": "directml", "adapter": 3}, "adapters": [{"index": 3, "name": CARD}]}
    arguments = {"runtime_config": str(path), "gpu": gpu}
    report = run_module("readiness_report", arguments, check=True, env={"WSL_INTEROP": ""})["report"]
    found = report["checks"]["tensor_add"]
    assert (found["ok"], found["device"], found["adapter"]) == (True, "privateuseone:0", f"{CARD} (stand-in)")
    assert report["ready"] is False
    for word in (
        "maintenance mode",
        "CVE-2025-32434",
        "CVE-2026-24747",
        "foreach=False",
        "no float64, complex or bfloat16",
    ):
        assert sum(word in warning for warning in report["warnings"]) == 1, word


# --- the cell -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, server_python: Path, kernel_python: Path, stand_in: Path
) -> Iterator[Server]:
    """A real Jupyter Server with kernels for DirectML: a good one and some that fail."""
    folder = tmp_path_factory.mktemp("server")
    started = Server(folder, server_python, kernel_python, {}, "colab_http_over_ws")
    try:
        launch = [str(kernel_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        for fault in ("", *CELLS):
            environment = {"PYTHONPATH": str(stand_in), "TORCH_DIRECTML_STAND_IN_FAULT": fault}
            environment["TORCH_DIRECTML_STAND_IN_DEVICES"] = f"AMD Radeon(TM) Graphics\n{CARD}"
            started.kernel(folder, f"directml_{fault}" if fault else "directml", launch, **environment)
        yield started
    finally:
        started.stop()


# fault: (remedy, words). `stray_line_stdout` is no fault of the cell.
CELLS = {
    "stray_line_stdout": ("", ""),
    "no_devices": ("directml_no_adapter", "found 0 compatible adapters"),
    "copy_error_80070057": ("directml_invalid_argument", "0x80070057 E_INVALIDARG"),
    "device_segfault": ("directml_crashes", "the kernel died"),
}


def visit(server: Server, python: Path, kernel: str, **more: Any) -> dict[str, Any]:
    arguments = {"python": str(python), "url": server.url, "token_file": str(server.token_file), "wait_seconds": 20}
    asked = {"kernel_name": kernel, "device_type": "privateuseone", "timeout_seconds": 60, **more}
    return handshake(**arguments, **asked)[0]


@pytest.mark.parametrize(("kernel", "device"), [("directml", 1), ("directml_stray_line_stdout", 0)])
def test_colabs_cell_adds_on_the_same_device_and_prints_what_the_article_prints(
    server: Server, server_python: Path, kernel: str, device: int
) -> None:
    result = visit(server, server_python, kernel, device=device)
    assert (result["ok"], result["reasons"]) == (True, [])
    for cell in result["cell"].values():
        assert (cell["device"], cell["device_type"], len(cell["sum"])) == (
            f"privateuseone:{device}",
            "privateuseone",
            10,
        )
        assert cell["output"].count(f"device='privateuseone:{device}')") == 3
        assert "Dropped Escape" not in cell["output"]


@pytest.mark.parametrize("fault", [fault for fault in CELLS if CELLS[fault][0]])
def test_a_cell_that_fails_on_the_device_names_the_drivers_remedy(
    server: Server, server_python: Path, fault: str
) -> None:
    remedy, words = CELLS[fault]
    result = visit(server, server_python, f"directml_{fault}")
    assert result["ok"] is False
    assert "cell" in {step["id"] for step in result["steps"] if not step["ok"]}
    assert words in " ".join(result["reasons"])
    assert remedy in [one["id"] for one in result["remedies"]]


def test_a_cell_on_the_cpu_is_not_taken_for_one_on_the_device(server: Server, server_python: Path) -> None:
    """The kernel of the CPU has no torch_directml: nothing falls back to what is there."""
    result = visit(server, server_python, "python3")
    assert result["ok"] is False
    assert [one["id"] for one in result["remedies"]] == ["directml_missing"]

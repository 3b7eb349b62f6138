"""The stand-in for torch_directml works as a device of torch, and each of its faults is the one that was recorded.

One process imports torch and forks for every question: importing it each time would take a second or more.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doubles.torch_directml_stand_in import build

BUILD = Path(build.__file__)
NAME = "AMD Radeon RX 6700 XT (CPU stand-in)"

# Runs under the kernel environment's Python. A child marks each step on a pipe before it begins; its output goes to files.
WARDEN = r"""
import json, os, resource, signal, sys, tempfile, time, warnings
import torch

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def child(question, pipe):
    def say(**what):
        os.write(pipe, (json.dumps(what) + "\n").encode())
    def begin(step):
        say(begin=step)
    os.environ.update(question["environment"])
    sys.path.insert(0, question["folder"])
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            begin("import_backend")
            import torch_directml
            exec(question["source"], {"torch": torch, "dml": torch_directml, "begin": begin, "say": say})
        say(warnings=[str(one.message) for one in caught])
        begin("exit")
    except Exception as error:
        cause = error.__cause__
        say(error={"class": type(error).__name__, "text": str(error), "cause": cause and str(cause)})

def asleep(pid):
    with open(f"/proc/{pid}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[0] == "S"

# The exit code, and whether it had to be sent away because it slept for half a second without a break.
def ended(pid, hangs):
    calm, sent = 0, False
    while True:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got:
            return os.waitstatus_to_exitcode(status), sent
        calm = calm + 1 if asleep(pid) else 0
        if hangs and calm >= 25 and not sent:
            sent = True
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.02)

def main():
    for line in sys.stdin:
        question = json.loads(line)
        there, here = os.pipe()
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            os.close(there)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            return child(question, here)
        os.close(here)
        code, hung = ended(pid, question["hangs"])
        with open(there) as stream:
            said = [json.loads(one) for one in stream]
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
        print(json.dumps({"code": code, "hung": hung, "said": said, "stdout": texts[0], "stderr": texts[1]}), flush=True)

main()
"""

# The article's program, with the questions that come before it.
ARTICLE = """
begin("count")
say(available=dml.is_available(), count=dml.device_count(), default=dml.default_device())
begin("name")
say(name=dml.device_name(0))
begin("device")
device = dml.device()
say(device=str(device))
begin("copy")
first, second = torch.rand(10), torch.rand(10)
t1, t2 = first.to(device), second.to(device)
begin("add")
t3 = t1 + t2
say(sum_on=str(t3.device))
begin("copy_back")
copy = t3.to("cpu")
begin("compare")
say(wrong=[n for n, (a, b) in enumerate(zip(copy.tolist(), (first + second).tolist())) if not a == b])
begin("throughput")
many = torch.ones(2000).to(device)
say(many=(many + many).to("cpu").sum().item())
begin("repr")
say(repr=repr(t3), plain=repr(copy))
"""


@dataclass
class Answer:
    code: int
    hung: bool
    said: dict[str, Any]
    step: str
    stdout: str
    stderr: str


@dataclass
class Warden:
    process: subprocess.Popen[str]
    folder: Path

    def ask(self, source: str = ARTICLE, fault: str = "", devices: str | None = None, hangs: bool = False) -> Answer:
        environment = {"TORCH_DIRECTML_STAND_IN_FAULT": fault}
        if devices is not None:
            environment["TORCH_DIRECTML_STAND_IN_DEVICES"] = devices
        question = {"source": source, "environment": environment, "folder": str(self.folder), "hangs": hangs}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        said: dict[str, Any] = {}
        for one in answer["said"]:
            said.update(one)
        return Answer(answer["code"], answer["hung"], said, said["begin"], answer["stdout"], answer["stderr"])


@pytest.fixture(scope="module")
def folder(kernel_python: Path) -> Path:
    return build.folder(kernel_python)


@pytest.fixture(scope="module")
def warden(kernel_python: Path, folder: Path) -> Iterator[Warden]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TORCH_")}
    with subprocess.Popen(
        [kernel_python, "-c", WARDEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Warden(process, folder)
        assert process.stdin
        process.stdin.close()
    assert process.returncode == 0


# --- the good case --------------------------------------------------------------------------------------------------


def test_the_articles_program_runs_on_it_and_prints_as_in_the_article(warden: Warden) -> None:
    answer = warden.ask()
    said = answer.said
    assert (answer.code, answer.step, answer.stdout, answer.stderr) == (0, "exit", "", "")
    assert (said["available"], said["count"], said["default"], said["name"]) == (True, 1, 0, NAME)
    assert (said["device"], said["sum_on"], said["wrong"], said["many"]) == (*["privateuseone:0"] * 2, [], 4000.0)
    assert said["warnings"] == []
    numbers = re.compile(r"\d\.\d{4}")
    assert re.fullmatch(r"tensor\(\[[^\]]+\n[^\]]+\], device='privateuseone:0'\)", said["repr"])
    assert numbers.findall(said["repr"]) == numbers.findall(said["plain"]) and said["repr"].count(",") == 10


def test_it_says_that_it_is_a_stand_in(warden: Warden, folder: Path) -> None:
    said = warden.ask("say(version=dml.__version__, text=dml.__doc__, name=dml.device_name(0))").said
    assert said["version"] == "0.0.0+stand.in"
    assert "STAND-IN" in said["text"] and "stand-in" in said["name"]
    (metadata,) = folder.glob("*.dist-info/METADATA")
    assert "Name: torch-directml-stand-in\n" in metadata.read_text()


EXPRESSIONS = {
    "broadcast": "rows + column",
    "scalar": "1.0 - values * 2 + 3",
    "a sum with a factor": "torch.add(values, values, alpha=3)",
    "in place": "values.clone().add_(values)",
    "in place, with a scalar": "values.clone().add_(1)",
    "into another": "torch.add(values, values, out=torch.empty(0, device=device))",
    "into a slice": "grown(values)",
    "views": "rows.t().contiguous()[1:, ::2].flatten().reshape(2, -1)",
    "an operator that is not its own": "torch.softmax(rows @ rows.t(), dim=0)",
    "whole numbers": "torch.arange(6, device=device) + torch.ones(6, device=device, dtype=torch.int64)",
    "two types": "values + torch.arange(6, device=device)",
    "float64": "values.double() + 1",
    "one value": "torch.tensor(values.sum().item() + values[2].item())",
    "nothing": "values[:0] + values[:0]",
    "gradients": "gradient(values)",
    "a layer that learns": "learned(rows)",
}
ON_BOTH = """
def grown(values):
    result = torch.zeros(8, device=values.device)
    result[1:7] += values
    return result
def gradient(values):
    x = values.clone().requires_grad_()
    (x + x * x).sum().backward()
    return x.grad
def learned(rows):
    torch.manual_seed(1)
    layer = torch.nn.Linear(3, 1).to(rows.device)
    steps = torch.optim.SGD(layer.parameters(), lr=0.1, foreach=False)
    layer(rows).pow(2).mean().backward()
    steps.step()
    return layer.weight.detach()
results = []
for device in ("cpu", "privateuseone:0"):
    values = torch.tensor([0.5, -1.25, 2.0, 3.5, 0.0, 7.0]).to(device)
    rows, column = values.view(2, 3), torch.tensor([[1.0], [2.0]]).to(device)
    results.append(EXPRESSION)
say(same=torch.allclose(results[0], results[1].cpu()), types=[str(one.dtype) for one in results])
"""


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_what_the_cpu_computes_it_computes_too(warden: Warden, expression: str) -> None:
    answer = warden.ask(ON_BOTH.replace("EXPRESSION", expression))
    assert answer.code == 0 and "error" not in answer.said, answer
    assert answer.said["same"] and len(set(answer.said["types"])) == 1


@pytest.mark.parametrize(("kind", "word"), [("complex64", "ComplexFloat"), ("bfloat16", "BFloat16")])
def test_a_type_that_the_real_one_cannot_hold_ends_the_process(warden: Warden, kind: str, word: str) -> None:
    answer = warden.ask(f"torch.ones(2, dtype=torch.{kind}).to(dml.device())")
    assert answer.code == -6
    assert f"dml_util.cc:118] Invalid or unsupported data type {word}." in answer.stderr


def test_two_devices_are_two(warden: Warden) -> None:
    source = """
say(count=dml.device_count(), names=[dml.device_name(n) for n in range(3)], device=str(dml.device(1)))
one, other = torch.ones(2).to(dml.device(0)), torch.ones(2).to(dml.device(1))
say(kept=str((other + other).device), moved=(one + other.to(one.device)).tolist())
one + other
"""
    said = warden.ask(source, devices="first (stand-in)\n\n second (stand-in) \n").said
    assert (said["count"], said["names"]) == (2, ["first (stand-in)", "second (stand-in)", ""])
    assert (said["device"], said["kept"], said["moved"]) == ("privateuseone:1", "privateuseone:1", [2.0, 2.0])
    assert "same device" in said["error"]["text"]


# --- the faults -----------------------------------------------------------------------------------------------------

STRAY = "Dropped Escape call with ulEscapeCode : 0x03007703\n"
REMOVING = "D3D12: Removing Device.\n"
NO_FLOAT64 = "The GPU device does not support Double (Float64) operations!"
CLASH = "A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2"


@dataclass(frozen=True)
class Seen:
    """How the article's program fares: the step that it last began, its end, and the recorded texts."""

    step: str
    end: int | str = 0  # an exception's class, a signal's number below zero, "hang"
    text: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    stdout: str = ""
    stderr: str = ""


def unknown(number: int, step: str = "copy", stdout: str = "", stderr: str = "") -> Seen:
    return Seen(step, "RuntimeError", f"Unknown error {number}", stdout=stdout, stderr=stderr)


# The texts are those that were recorded from the real wheel, or that users report: not taken from the stand-in.
SEEN: dict[str, Seen] = {
    "no_libd3d12": Seen(
        "import_backend", "OSError", "libd3d12.so: cannot open shared object file: No such file or directory"
    ),
    "no_libdxcore": Seen(
        "import_backend", "OSError", "libdxcore.so: cannot open shared object file: No such file or directory"
    ),
    "no_libd3d12_chained": Seen("import_backend", "OSError", "/libdirectml.so"),
    "undefined_symbol": Seen(
        "import_backend", "ImportError", ".so: undefined symbol: _ZNK3c1010TensorImpl20is_contiguous_custom"
    ),
    "native_missing": Seen("import_backend", "ModuleNotFoundError", "No module named 'torch_directml_native'"),
    "autocast_missing": Seen(
        "import_backend", "ImportError", "cannot import name 'autocast' from 'torch.amp' (unknown location)"
    ),
    "numpy_clash": Seen("import_backend", "ImportError", CLASH, stderr=CLASH),
    "import_abort": Seen("import_backend", -6),
    "import_segfault": Seen("import_backend", -11),
    "import_hang": Seen("import_backend", "hang"),
    "not_registered": Seen("copy", "ModuleNotFoundError", "No module named 'torch.privateuseone'"),
    "no_kernels": Seen(
        "copy",
        "NotImplementedError",
        "Could not run 'aten::empty_strided' with arguments from the 'PrivateUse1' backend",
    ),
    "not_available": Seen("exit", said={"available": False, "count": 1}),
    "no_devices": Seen(
        "copy", -11, said={"available": False, "count": 0, "default": 0, "name": "", "device": "privateuseone:0"}
    ),
    "factory_failed": unknown(-805306367, "count"),
    "factory_failed_hresult": Seen(
        "count", "RuntimeError", "HRESULT failed with 0xd0000001: DXCoreCreateAdapterFactory"
    ),
    "factory_failed_80070057": unknown(-2147024809, "count"),
    "stub_libraries": Seen("count", -11),
    "stub_libraries_random": Seen("count", "RuntimeError", "Unknown error -"),
    "count_segfault": Seen("count", -11),
    "device_hang": Seen("count", "hang"),
    "name_80070057": unknown(-2147024809, "name"),
    "name_segfault": Seen("name", -11),
    "name_hang": Seen("name", "hang"),
    "only_software": Seen("exit", said={"count": 1, "name": "Microsoft Basic Render Driver"}),
    "wrong_adapter": Seen("exit", said={"count": 1, "name": "AMD Radeon(TM) Graphics (CPU stand-in)"}),
    "device_call_segfault": Seen("device", -11),
    "device_call_hang": Seen("device", "hang"),
    "device_segfault": Seen("copy", -11, said={"available": True, "count": 1, "device": "privateuseone:0"}),
    "copy_abort": Seen("copy", -6),
    "copy_hang": Seen("copy", "hang"),
    "copy_error_80070057": unknown(-2147024809),
    "copy_error_8007000e": unknown(-2147024882),
    "copy_error_80070005": unknown(-2147024891),
    "copy_error_80004005": unknown(-2147467259),
    "copy_error_887a0004": unknown(-2005270524),
    "copy_error_887a0005": unknown(-2005270523),
    "copy_error_887a0006": unknown(-2005270522),
    "copy_error_887a0007": unknown(-2005270521, stdout=STRAY, stderr=REMOVING),
    "copy_error_d0000001": unknown(-805306367),
    "out_of_memory": unknown(-2147024882, stderr="[W dml_heap_allocator.cc:97] DML allocator out of memory!\n"),
    "video_memory": Seen(
        "copy",
        "RuntimeError",
        "Could not allocate tensor with 40 bytes. There is not enough GPU video memory available!",
    ),
    "create_device_failed": Seen("copy", "RuntimeError", "ID3D12DeviceFactory::CreateDevice failed", stderr=STRAY),
    "add_segfault": Seen("add", -11),
    "add_hang": Seen("add", "hang"),
    "add_abort": Seen("add", -6, stderr="[F dml_util.cc:118] Invalid or unsupported data type ComplexFloat.\n"),
    "add_abort_bfloat16": Seen("add", -6, stderr=" dml_util.cc:118] Invalid or unsupported data type BFloat16.\n"),
    "add_float64": Seen("add", "RuntimeError", NO_FLOAT64),
    "add_rank": Seen("add", "RuntimeError", "Check failed: rank <= DML_TENSOR_DIMENSION_COUNT_MAX"),
    "add_error_887a0006": unknown(-2005270522, "add"),
    "cpu_fallback": Seen(
        "exit",
        text="The operator 'aten::add.out' is not currently supported on the DML backend and will fall back to run on the CPU",
        said={"sum_on": "privateuseone:0", "wrong": []},
    ),
    "wrong_device": Seen("exit", said={"sum_on": "cpu", "wrong": []}),
    "copy_back_segfault": Seen("copy_back", -11),
    "copy_back_hang": Seen("copy_back", "hang"),
    "copy_back_error_887a0005": unknown(-2005270523, "copy_back", stderr=REMOVING),
    "wrong_sum": Seen("exit", said={"sum_on": "privateuseone:0", "wrong": [3]}),
    "nan_sum": Seen("exit", said={"sum_on": "privateuseone:0", "wrong": [3]}),
    "float64_repr": Seen("repr", "RuntimeError", NO_FLOAT64, said={"wrong": [], "many": 4000.0}),
    "cpu_fallback_elsewhere": Seen(
        "exit", text="'aten::_foreach_add_.Scalar' is not currently supported on the DML backend", said={"wrong": []}
    ),
    "stray_line_stdout": Seen("exit", said={"wrong": []}, stdout=STRAY),
    "stray_line_stderr": Seen("exit", said={"wrong": []}, stderr=STRAY),
    "stray_line_glued": Seen("exit", said={"wrong": []}, stdout=f"loading{STRAY}{STRAY.rstrip()}loading"),
    "throughput_crash": Seen("throughput", -11, said={"wrong": []}),
    "throughput_hang": Seen("throughput", "hang", said={"wrong": []}),
    "throughput_error_887a0007": unknown(-2005270521, "throughput", stderr=REMOVING),
    "death_at_exit": Seen("exit", -11, said={"wrong": [], "many": 4000.0}),
    "abort_at_exit": Seen("exit", -6, said={"wrong": [], "many": 4000.0}, stderr="terminate called"),
}


def test_every_fault_is_in_the_table() -> None:
    assert build.faults().keys() == SEEN.keys()


@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_is_what_was_recorded(warden: Warden, fault: str) -> None:
    seen = SEEN[fault]
    answer = warden.ask(fault=fault, hangs=seen.end == "hang")
    error = answer.said.get("error") or {}
    raised = isinstance(seen.end, str) and seen.end != "hang"
    assert (answer.step, error.get("class")) == (seen.step, seen.end if raised else None), answer
    # What hangs was ended by SIGTERM from outside, as the real one.
    code = 0 if raised else -15 if seen.end == "hang" else seen.end
    assert (answer.code, answer.hung) == (code, seen.end == "hang")
    assert not seen.text or seen.text in (error["text"] if raised else "\n".join(answer.said["warnings"]))
    assert {key: answer.said[key] for key in seen.said} == seen.said
    for stream, words in ((answer.stdout, seen.stdout), (answer.stderr, seen.stderr)):
        assert words in stream if words else stream == ""


@pytest.mark.parametrize("fault", SEEN)
def test_a_fault_says_which_step_of_tensor_add_it_is_meant_for(fault: str) -> None:
    """What only the caller can see, because nothing raises, it sees at the step that is named."""
    step, ends = build.faults()[fault]["step"], SEEN[fault].step
    assert step in (
        "",
        "import_backend",
        "count",
        "name",
        "device",
        "copy",
        "add",
        "copy_back",
        "compare",
        "throughput",
    )
    only_seen = {"not_available", "no_devices", "only_software", "wrong_adapter", "cpu_fallback", "wrong_device"}
    only_seen |= {"wrong_sum", "nan_sum"}
    assert step == ("" if ends in ("exit", "repr") else ends) or fault in only_seen


def test_the_missing_library_is_named_by_the_exception_behind(warden: Warden) -> None:
    said = warden.ask(fault="no_libd3d12_chained").said
    assert said["error"]["cause"] == "libd3d12.so: cannot open shared object file: No such file or directory"


def test_stub_libraries_give_another_number_each_time(warden: Warden) -> None:
    texts = {warden.ask(fault="stub_libraries_random").said["error"]["text"] for _ in range(3)}
    assert len(texts) == 3 and all(re.fullmatch(r"Unknown error -\d+", text) for text in texts)


@pytest.mark.parametrize(
    "use", ["torch.empty(1, device='privateuseone:0')", "dml.has_float64_support()", "dml.gpu_memory(0)"]
)
def test_without_a_device_every_use_of_it_is_a_segfault(warden: Warden, use: str) -> None:
    answer = warden.ask(use, fault="no_devices")
    assert (answer.code, answer.stderr) == (-11, "")
    assert warden.ask(use).code == 0


@pytest.mark.parametrize(("fault", "number", "end"), [("no_devices", 0, 0), ("", 1, 1), ("", -1, 1)])
def test_a_device_number_that_is_not_there_is_refused(warden: Warden, fault: str, number: int, end: int) -> None:
    error = warden.ask(f"dml.device({number})", fault=fault).said["error"]
    assert (error["class"], error["text"]) == (
        "Exception",
        f"Invalid device_id argument supplied {number}. device_id must be in range [0, {end}).",
    )


def test_a_fault_that_does_not_exist_is_an_error(warden: Warden) -> None:
    error = warden.ask(fault="copy_eror_80070057").said["error"]
    assert error["class"] == "ValueError" and "copy_eror_80070057" in error["text"]


# --- the package ----------------------------------------------------------------------------------------------------


def build_py(*arguments: Path | str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BUILD, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_command_builds_the_same_wheel_each_time_and_compiles_once(
    kernel_python: Path, folder: Path, tmp_path: Path
) -> None:
    """`folder` has compiled it: no compiler is needed any more."""
    made = []
    for name in ("one", "two"):
        done = build_py("--python", kernel_python, "--out", tmp_path / name, CXX="/no/such/compiler")
        assert done.returncode == 0, done.stderr
        path = Path(done.stdout.strip())
        assert path == tmp_path / name / "torch_directml_stand_in-0.0.0+stand.in-py3-none-linux_x86_64.whl"
        made.append(path.read_bytes())
    assert made[0] == made[1]


def test_the_installed_wheel_takes_its_fault_and_its_devices_from_files_beside_it(
    uv: Path, kernel_python: Path, tmp_path: Path
) -> None:
    wheel = build.wheel(kernel_python, tmp_path / "wheels")
    site = tmp_path / "site"
    command: list[str | Path] = [uv, "pip", "install", "--offline", "--no-deps"]
    command += ["--python", kernel_python, "--target", site, wheel]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    program = "import torch_directml as d; print(d.device_name(0)); d.is_available(); print(d.device_name(1))"

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TORCH_")}
        environment.update(more, PYTHONPATH=str(site))
        return subprocess.run(
            [kernel_python, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    (site / "torch_directml" / "devices").write_text("one (stand-in)\nother (stand-in)\n")
    assert run().stdout == "one (stand-in)\nother (stand-in)\n"
    (site / "torch_directml" / "fault").write_text("factory_failed\nanother line\n")
    done = run()
    assert done.returncode == 1 and "RuntimeError: Unknown error -805306367" in done.stderr
    # The variable goes first, an empty one too.
    assert run(TORCH_DIRECTML_STAND_IN_FAULT="").returncode == 0
    assert run(TORCH_DIRECTML_STAND_IN_FAULT="import_segfault").returncode == -11


def test_the_wheel_pins_the_torch_that_it_was_compiled_for(kernel_python: Path, folder: Path) -> None:
    version = build.ask(kernel_python, "import importlib.metadata as m; print(m.version('torch'))")
    (metadata,) = folder.glob("*.dist-info/METADATA")
    assert f"Requires-Dist: torch=={version.partition('+')[0]}\n" in metadata.read_text()


@pytest.mark.parametrize(
    ("python", "words"), [("/no/such/python", "cannot be run"), (sys.executable, "has no usable torch")]
)
def test_a_python_without_torch_is_told(python: str, words: str, tmp_path: Path) -> None:
    done = build_py("--python", python, "--out", tmp_path / "wheels")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr and "Do: name " in done.stderr


def test_a_missing_compiler_is_told(kernel_python: Path, tmp_path: Path) -> None:
    done = build_py(
        *("--python", kernel_python, "--out", tmp_path / "wheels"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        CXX="/no/such/compiler",
    )
    assert done.returncode == 1 and "g++ is missing" in done.stderr and "Do: " in done.stderr

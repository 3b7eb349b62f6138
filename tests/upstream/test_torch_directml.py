"""The real torch-directml without a GPU: each of its failures that needs none is told right, by the module as it is.

A part of its own (`./colab-ready test directml-real`): it fetches 2.9 GB. What a WSL has around it is played: /dev/dxg
(tests/doubles/dxg_stand_in) and two libraries (tests/doubles/directx_stand_in), out of which no device comes. So nothing
here shows a sum on a GPU.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

import host_pip
import pytest
import python_environments
import torch_directml_wheel
from ansible.module_utils.colab_ready.python import uv_errors
from ansible.module_utils.colab_ready.wsl.version import wsl_facts
from ansible.module_utils.testing import patch_module_args
from conftest import RunModule
from doubles import directx_stand_in
from doubles.dxg_stand_in import Adapter, DxgDouble
from torch_directml_wheel import Wheel

PROJECT = Path(__file__).resolve().parents[2]
# The download comes with the first test.
pytestmark = pytest.mark.timeout(2400)


@pytest.fixture(scope="session")
def wheel() -> Iterator[Wheel]:
    with torch_directml_wheel.installed() as found:
        yield found


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both stand-ins for WSL's libraries."""
    return directx_stand_in.build(tmp_path_factory.mktemp("wsl-libraries"))


@pytest.fixture(scope="session")
def d3d12_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return directx_stand_in.build(tmp_path_factory.mktemp("d3d12-alone"), ["libd3d12.so"])


@pytest.fixture(scope="session")
def under_newer_torch(wheel: Wheel, kernel_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a `pip install` that moves torch leaves behind: torch-directml beside the torch of the CPU backend."""
    folder = tmp_path_factory.mktemp("beside-newer-torch")
    for path in (wheel.packages / "torch_directml", wheel.native):
        (folder / path.name).symlink_to(path)
    assert wheel.native.name.startswith(f"torch_directml_native.cpython-3{sys.version_info[1]}-"), "one Python for both"
    return {"python": str(kernel_python), "PYTHONPATH": str(folder)}


@pytest.fixture(scope="session")
def without_native(wheel: Wheel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The package without its native module, and with the torch that it wants (microsoft/DirectML#432)."""
    folder = tmp_path_factory.mktemp("without-native")
    for path in wheel.packages.iterdir():
        if not path.name.startswith("torch_directml_native"):
            (folder / path.name).symlink_to(path)
    # Isolated from the packages of the environment, which have it.
    return {"python": str(wheel.python.resolve()), "PYTHONPATH": str(folder)}


@pytest.fixture
def wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    """A WSL, by the mark that its init leaves in the environment."""
    monkeypatch.setenv("WSL_INTEROP", "/run/WSL/1_interop")


@pytest.fixture(scope="session")
def dxg() -> Iterator[dict[str, str]]:
    with DxgDouble([Adapter()]) as double:
        yield double.env


def tensor_add(**arguments: Any) -> dict[str, Any]:
    """The module, with arguments as Ansible hands them over; the probe is a process of the real environment."""
    written = io.StringIO()
    with patch_module_args({"backend": "directml", **arguments}), contextlib.redirect_stdout(written):
        with pytest.raises(SystemExit):
            runpy.run_path(str(PROJECT / "library/tensor_add.py"), run_name="__main__")
    return dict(json.loads(written.getvalue()))


# --- its failures ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """`where`: which libraries the loader finds, and beside which torch. `wish`: what the stand-ins answer."""

    step: str
    words: str
    remedies: tuple[str, ...]
    where: str = "libraries"
    wish: str = ""
    exit: str = "ok"
    environment: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 60


def device_fails(code: str, name: str, *remedies: str) -> Failure:
    """One adapter is counted (its creation was asked about), and then cannot be created (as microsoft/DirectML#451)."""
    return Failure("name", f"0x{code} {name}", remedies, wish=f"adapters=1 probe=0 device=0x{code}")


FAILURES = {
    "no library of WSL": Failure("import_backend", "libd3d12.so: cannot open", ("directml_libraries",), where="nothing"),
    "no libdxcore": Failure("import_backend", "libdxcore.so: cannot open", ("directml_libraries",), where="d3d12 alone"),
    # Its error does not name the library, only the one that it was raised from does.
    "no library of WSL, newer torch": Failure(
        "import_backend", "Could not load this library", ("directml_libraries",), where="newer torch, nothing"
    ),
    "newer torch": Failure(
        "import_backend", "undefined symbol", ("directml_torch_mismatch",), where="newer torch, libraries"
    ),
    "its native module is gone": Failure(
        "import_backend", "torch_directml_native", ("directml_damaged",), where="without native"
    ),
    "the wheel's own empty libraries": Failure("import_backend", "empty", ("directml_stubs",), where="stubs"),
    "the factory says 0xd0000001": Failure(
        "count", "0xD0000001 STATUS_UNSUCCESSFUL", ("directml_no_gpu_for_wsl",), wish="factory=0xd0000001"
    ),
    "the factory says 0x80070057": Failure(
        "count", "0x80070057 E_INVALIDARG", ("directml_invalid_argument",), wish="factory=0x80070057"
    ),
    "no adapter": Failure("count", "device_count() is 0", ("directml_no_adapter",)),
    "an adapter without a device": Failure("count", "device_count() is 0", ("directml_no_adapter",), wish="adapters=1"),
    "an adapter that is hidden": Failure(
        "count", "device_count() is 0", ("directml_no_adapter",), wish="adapters=1",
        environment=(("DML_VISIBLE_DEVICES", "5"),),
    ),
    "a driver that does not come back": Failure(
        "count", "no end within", ("directml_hangs",), wish="adapters=1 device=hang", exit="timeout", timeout_seconds=15
    ),
    "a device that is refused": device_fails("80070005", "E_ACCESSDENIED", "directml_access_denied"),
    "a device that wants another argument": device_fails("80070057", "E_INVALIDARG", "directml_invalid_argument"),
    "a device without memory": device_fails("8007000E", "E_OUTOFMEMORY", "directml_allocator"),
    "a device that fails": device_fails("80004005", "E_FAIL", "directml_failed"),
    "a device that is not supported": device_fails("887A0004", "DXGI_ERROR_UNSUPPORTED", "directml_unsupported"),
    "a device that was removed": device_fails("887A0005", "DXGI_ERROR_DEVICE_REMOVED", "directml_device_removed"),
    "a device that hung": device_fails("887A0006", "DXGI_ERROR_DEVICE_HUNG", "directml_device_removed"),
    "a device that was reset": device_fails("887A0007", "DXGI_ERROR_DEVICE_RESET", "directml_device_removed"),
}  # fmt: skip


@pytest.fixture(scope="session")
def places(
    wheel: Wheel,
    libraries: Path,
    d3d12_alone: Path,
    under_newer_torch: dict[str, Any],
    without_native: dict[str, Any],
) -> dict[str, dict[str, Any]]:
    """`python`, and environment variables, by Failure.where."""
    own = {"python": str(wheel.python)}
    return {
        "nothing": own,
        "libraries": {**own, **directx_stand_in.environment(libraries)},
        "d3d12 alone": {**own, **directx_stand_in.environment(d3d12_alone)},
        "stubs": {**own, **directx_stand_in.environment(wheel.packages / "torch_directml")},
        "newer torch, nothing": under_newer_torch,
        "newer torch, libraries": {**under_newer_torch, **directx_stand_in.environment(libraries)},
        "without native": {**without_native, **directx_stand_in.environment(libraries)},
    }


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_names_its_step_and_its_remedy(
    name: str, places: dict[str, dict[str, Any]], wsl: None, dxg: dict[str, str]
) -> None:
    wanted = FAILURES[name]
    environment = {**places[wanted.where], **dict(wanted.environment), **dxg}
    if "DIRECTX_STAND_IN" in environment:
        environment["DIRECTX_STAND_IN"] = wanted.wish
    result = tensor_add(
        python=environment.pop("python"), environment=environment, timeout_seconds=wanted.timeout_seconds
    )
    assert (result["ok"], result["device"], result["values"]) == (False, None, None)
    assert [step["id"] for step in result["steps"] if not step["ok"]] == [wanted.step]
    assert result["reasons"][0].startswith(f"{wanted.step}: ")
    assert wanted.words in result["reasons"][0]
    assert tuple(one["id"] for one in result["remedies"]) == wanted.remedies
    assert result["exit"]["kind"] == wanted.exit


def test_outside_of_wsl_the_missing_library_is_no_matter_of_drivers(
    run_module: RunModule, wheel: Wheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lshqqytiger/stable-diffusion-webui-amdgpu#176. As Ansible runs it."""
    monkeypatch.delenv("WSL_INTEROP", raising=False)
    result = run_module("tensor_add", {"python": str(wheel.python), "backend": "directml"}, check=True)
    if wsl_facts() is not None:
        pytest.skip("this is WSL")
    assert (result["failed"], result["changed"], result["ok"]) == (False, False, False)
    assert "libd3d12.so: cannot open shared object file" in result["reasons"][0]
    assert [one["id"] for one in result["remedies"]] == ["directml_not_wsl"]


def test_in_wsl_without_the_device_no_driver_is_blamed(places: dict[str, dict[str, Any]], wsl: None) -> None:
    if Path("/dev/dxg").exists():
        pytest.skip("this is WSL")
    for where in ("nothing", "libraries"):
        environment = dict(places[where])
        result = tensor_add(python=environment.pop("python"), environment=environment)
        assert [one["id"] for one in result["remedies"]] == ["directml_no_dxg"], where


def test_an_environment_without_it_says_so(kernel_python: Path) -> None:
    result = tensor_add(python=str(kernel_python))
    assert result["reasons"][0].startswith("import_backend: ModuleNotFoundError")
    assert [one["id"] for one in result["remedies"]] == ["directml_missing"]


# --- why the probe asks as it does ----------------------------------------------------------------------------------


def test_the_articles_program_ends_with_sigsegv_where_there_is_no_adapter(wheel: Wheel, libraries: Path) -> None:
    """The device has a name all the same, so its name proves nothing; is_available() must come first."""
    environment = directx_stand_in.environment(libraries)
    article = "import torch, torch_directml\ndml = torch_directml.device()\nprint(dml)\ntorch.rand(10).to(dml)"
    done = wheel.run(article, environment)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGSEGV, "privateuseone:0\n", "")
    asked = wheel.run("import torch_directml as d; print(d.is_available(), d.device_count())", environment)
    assert (asked.returncode, asked.stdout.split()) == (0, ["False", "0"])


def test_the_empty_libraries_of_the_wheel_repair_the_import_and_nothing_else(wheel: Wheel) -> None:
    """Which is why the role never puts that folder before WSL's."""
    environment = directx_stand_in.environment(wheel.packages / "torch_directml")
    done = wheel.run("import torch_directml; print('imported'); print(torch_directml.device_count())", environment)
    assert done.stdout.startswith("imported\n")
    assert done.returncode == -signal.SIGSEGV or re.search(r"RuntimeError: Unknown error -?\d+", done.stderr)


def test_a_python_that_it_has_no_wheel_for_is_told() -> None:
    """From the package index itself: pip says `from versions: none` there (microsoft/DirectML#554, #544)."""
    wish = f"{torch_directml_wheel.release()['package']}=={torch_directml_wheel.RELEASE}\n"
    done = subprocess.run(
        [str(python_environments.find_uv()), "pip", "compile", "-", "--no-deps", "--python-version", "3.13"],
        input=wish,
        env={**host_pip.uv_environment(), "UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    problem = uv_errors.explain(done.stderr)
    assert (problem.kind, done.returncode) == ("wrong_python", 1), done.stderr
    assert "torch-directml" in problem.what and "`cp38`" in problem.what and "`cp312`" in problem.what


# --- what the role's table says of it -------------------------------------------------------------------------------


def requirements(wheel: Wheel) -> dict[str, str]:
    (metadata,) = wheel.packages.glob("torch_directml-*.dist-info/METADATA")
    lines = Parser().parsestr(metadata.read_text(encoding="utf-8")).get_all("Requires-Dist") or []
    split = (re.fullmatch(r"([\w-]+)\s*\(?(.*?)\)?", line) for line in lines)
    return {found.group(1): found.group(2) for found in split if found}


def test_the_wheel_wants_the_torch_of_the_roles_table(wheel: Wheel) -> None:
    row = torch_directml_wheel.release()
    assert requirements(wheel) == {"torch": f"=={row['torch']}", "torchvision": f"=={row['torchvision']}"}


def test_the_native_library_needs_no_cuda_so_that_the_cpu_build_can_do(wheel: Wheel) -> None:
    needed = wheel.needed(wheel.native) + wheel.needed(wheel.packages / "torch_directml" / "libdirectml.so")
    assert {"libd3d12.so", "libdxcore.so", "libtorch_cpu.so"} <= set(needed)
    assert not [name for name in needed if re.search("cuda|cublas|cudnn|nv|hip", name)]


def test_that_torch_adds_on_the_cpu(wheel: Wheel) -> None:
    """The lock's packages are a whole environment: what fails above is DirectML."""
    result = tensor_add(backend="cpu", python=str(wheel.python))
    assert (result["ok"], result["reasons"]) == (True, [])
    assert result["versions"]["torch"].partition("+")[0] == torch_directml_wheel.release()["torch"]

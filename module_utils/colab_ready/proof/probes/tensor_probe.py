# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The article's program, step by step: add two tensors of ten random values on the device and look at the sum.

The text of this file is run by the kernel environment's Python (process/probe.py); torch is nowhere else. It needs nothing but
torch and the backend, and torch_devices, whose text comes with it: not even numpy, since `tolist()` on the copy in the CPU's
memory is enough.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from ...backends import torch_devices

COUNT = 10
# Single precision: the last bit of a sum below 2 is 1.2e-7.
TOLERANCE = 1e-6
NOTES = 10
TEXT_CHARACTERS = 300
# For the throughput: 16 MiB of single precision, large enough that a card is not only waited for.
FLOATS = 4 << 20
ROUNDS = 8

Report = Callable[[dict], None]


class StepFailed(Exception):
    """The step has been reported; the rest is not reached."""


class Wrong(Exception):
    """Nothing raised, but what came out is not right. `problem` is the word that the verdict looks up."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(text)
        self.problem = problem


def short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())[:TEXT_CHARACTERS]


def chain_of(error: BaseException) -> list[str]:
    """What an error was raised from: with newer torch the missing library is named there alone."""
    said: list[str] = []
    behind = error.__cause__ or error.__context__
    while behind is not None and len(said) < 5:
        said.append(short(behind))
        behind = behind.__cause__ or behind.__context__
    return said


@contextlib.contextmanager
def step(report: Report, name: str) -> Iterator[dict]:
    """Say that the step begins before it does: a SIGSEGV leaves no chance to say it afterwards."""
    report({"step": name, "begin": True})
    said: dict = {}
    started = time.perf_counter()

    def tell(ok: bool, **more: Any) -> None:
        report({"step": name, "ok": ok, "seconds": round(time.perf_counter() - started, 4), **said, **more})

    try:
        yield said
    except Wrong as wrong:
        tell(False, detail=str(wrong)[:TEXT_CHARACTERS], problem=wrong.problem)
        raise StepFailed(name) from wrong
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        what = {"class": type(error).__name__, "text": str(error)[:2000], "where": where, "chain": chain_of(error)}
        cause = f" (from {short(error.__cause__)})" if error.__cause__ else ""
        tell(False, detail=short(error) + cause, error=what)
        raise StepFailed(name) from error
    tell(True)


# --- backends -------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What the steps of one run share."""

    params: dict
    report: Report
    result: dict
    caught: list
    # The one that was chosen, where the backend has any of torch_devices.
    chosen: torch_devices.Device | None = None


@dataclass(frozen=True)
class Backend:
    """How one backend names its device; `find` runs its steps up to, and including, `device`."""

    device_type: str
    find: Callable[[Run, Any], Any]


def cpu_device(run: Run, torch: Any) -> Any:
    with step(run.report, "device") as said:
        index = run.params.get("device")
        if index not in (None, 0):
            raise ValueError(f"the CPU is one device, number 0; there is no number {index}")
        said["detail"] = "cpu"
        return torch.device("cpu")


# Where WSL puts the libraries of Windows' driver (microsoft/WSL's init mounts them there), and the device that they open.
WSL_LIBRARIES = "/usr/lib/wsl/lib"
D3D12_LIBRARIES = ("libd3d12.so", "libd3d12core.so", "libdxcore.so")
DXG = "/dev/dxg"


def what_windows_gives(params: dict) -> dict:
    """Looked at by the user who runs the kernels; the verdict tells causes apart by it."""
    there = os.path.exists(DXG)
    dxg = "missing" if not there else "open" if os.access(DXG, os.R_OK | os.W_OK) else "denied"
    found = [name for name in D3D12_LIBRARIES if os.path.exists(os.path.join(WSL_LIBRARIES, name))]
    return {"wsl": params.get("wsl"), "dxg": dxg, "libraries": found}


def stubs_in_use(module: Any) -> list[str]:
    """The wheel brings libraries of these names that are empty (for its linker). Where the loader takes them instead of
    WSL's, the import succeeds and the first question ends the process, or gets a random answer."""
    folder = os.path.dirname(os.path.realpath(str(module.__file__ or ""))) + os.sep
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = {line.rstrip("\n").partition("/")[2] for line in maps}
    except OSError:
        return []
    mapped = {os.path.realpath("/" + path) for path in paths if path.endswith(D3D12_LIBRARIES)}
    return sorted(path for path in mapped if path.startswith(folder))


def version_of(module: Any) -> str | None:
    if getattr(module, "__version__", None):
        return str(module.__version__)
    with contextlib.suppress(Exception):
        return metadata.version("torch-directml")
    return None


SOFTWARE = re.compile(r"microsoft basic render", re.IGNORECASE)


def plain_name(name: str) -> str:
    """Names as one source writes them and another: trade marks and blanks do not count."""
    return " ".join(re.sub(r"\((?:R|TM|C)\)|[®™©]", " ", name, flags=re.IGNORECASE).split()).casefold()


def find_adapter(wanted: str, names: list[str]) -> list[int]:
    """The numbers of the devices of that name. One that only adds a remark in brackets at its end counts if none fits."""
    name = plain_name(wanted)
    exact = [index for index, other in enumerate(names) if plain_name(other) == name]
    return exact or [
        index for index, other in enumerate(names) if re.sub(r"\s*\([^()]*\)$", "", plain_name(other)) == name
    ]


def choose(names: list[str], index: int | None, adapter: str | None, default: int) -> tuple[int, str]:
    """(number of the device, a remark), or Wrong."""
    there = "; ".join(f"{number}: {name or 'without a name'}" for number, name in enumerate(names))
    if index is not None:
        if not 0 <= index < len(names):
            raise Wrong("directml_no_such_device", f"there is no device number {index}; there is {there}")
        return index, ""
    hardware = [number for number, name in enumerate(names) if not SOFTWARE.search(name)]
    if not hardware:
        raise Wrong("directml_only_software", f"there is no device but software ({there})")
    if adapter:
        found = find_adapter(adapter, names)
        if not found:
            raise Wrong("adapter_not_seen", f"torch_directml does not see {adapter}; it sees {there}")
        return found[0], f"; {len(found)} devices have this name" if len(found) > 1 else ""
    return (default if default in hardware else hardware[0]), ""


def directml_device(run: Run, torch: Any) -> Any:
    report, params, result = run.report, run.params, run.result
    with step(report, "import_backend") as said:
        import torch_directml

        version = result["versions"]["torch_directml"] = version_of(torch_directml)
        said["detail"] = f"torch_directml {version}"
        said["version"] = version
        stubs = stubs_in_use(torch_directml)
        if stubs:
            raise Wrong("directml_stubs", f"the loader took {', '.join(stubs)}, which are empty")
    with step(report, "count") as said:
        # device() has a name to give even where there is no device, and the first tensor on it is a SIGSEGV
        # (microsoft/DirectML#503). A count above 0 is real: for each, D3D12CreateDevice has succeeded.
        available, count = bool(torch_directml.is_available()), int(torch_directml.device_count())
        said["detail"] = f"{count} device{'' if count == 1 else 's'}"
        if count < 1 or not available:
            text = (
                f"is_available() is {available}, device_count() is {count}: there is no adapter that DirectML can use"
            )
            raise Wrong("directml_no_adapter", text)
    with step(report, "name") as said:
        names = [str(torch_directml.device_name(number)).strip("\0 \t\r\n") for number in range(count)]
        said["devices"] = result["devices"] = [{"index": number, "name": name} for number, name in enumerate(names)]
        index, remark = choose(names, params.get("device"), params.get("adapter"), int(torch_directml.default_device()))
        said["index"], said["adapter"] = result["index"], result["adapter"] = index, names[index]
        said["detail"] = f"{index}: {names[index]}{remark}"
    with step(report, "device") as said:
        device = torch_directml.device(index)
        said["detail"] = str(device)
    return device


# --- whose devices torch counts --------------------------------------------------------------------------------------


def why_none(namespace: Any) -> str:
    """What torch says when it is made to start although it counts nothing: mostly the driver's own words."""
    try:
        namespace.init()
    except Exception as error:
        return f": {short(error)}"
    return ""


def bundled_hsa(torch: Any) -> bool:
    """Whether this torch brings a ROCm runtime that knows no WSL (ROCm/hip#3710)."""
    folder = os.path.join(os.path.dirname(str(torch.__file__ or "")), "lib")
    try:
        return any(name.startswith("libhsa-runtime64.so") for name in os.listdir(folder))
    except OSError:
        return False


def gpu_device(run: Run, torch: Any) -> Any:
    report, params, result = run.report, run.params, run.result
    with step(report, "build") as said:
        side = torch_devices.TorchDevices(*params["side"])
        built = torch_devices.built_for(torch)
        versions = {"cuda": built.cuda, "hip": built.hip, "xpu": built.xpu}
        said["built"] = {key: version for key, version in versions.items() if version}
        if side.version == "hip":
            said["bundled_hsa"] = bundled_hsa(torch)
        wrong = torch_devices.build_problem(side, built)
        if wrong:
            raise Wrong(*wrong)
        said["detail"] = ", ".join(f"{key} {version}" for key, version in said["built"].items()) or side.name
    with step(report, "count") as said:
        namespace = getattr(torch, side.device_type)
        count = said["count"] = int(namespace.device_count())
        said["detail"] = f"{count} device{'' if count == 1 else 's'}"
        if count < 1:
            raise Wrong(f"{side.name}_no_device", f"torch sees no GPU{why_none(namespace)}")
    with step(report, "name") as said:
        there = torch_devices.devices(side, namespace)
        said["devices"] = [torch_devices.facts(side, device, built) for device in there]
        card = params.get("card") or {"names": [params["adapter"]] if params.get("adapter") else []}
        wanted = torch_devices.Wanted(**card)
        chosen, problem, why = torch_devices.choose(side, there, wanted, params.get("device"))
        if chosen is None:
            raise Wrong(problem, why)
        said["index"], said["adapter"] = chosen.index, chosen.name
        said["gpu"] = result["gpu"] = torch_devices.facts(side, chosen, built)
        said["detail"] = why
    with step(report, "device") as said:
        device = torch.device(f"{side.device_type}:{chosen.index}")
        said["detail"] = str(device)
    run.chosen = chosen
    return device


BACKENDS = {
    "cpu": Backend("cpu", cpu_device),
    "directml": Backend("privateuseone", directml_device),
}


def backend_of(params: dict) -> Backend:
    """A backend of its own kind, or one whose devices torch counts."""
    own = BACKENDS.get(params["backend"])
    return own or Backend(torch_devices.TorchDevices(*params["side"]).device_type, gpu_device)


# --- the sum --------------------------------------------------------------------------------------------------------


def article_text(copy: Any, device: Any) -> str:
    """What `print(tensor)` shows, made from the copy in the CPU's memory: printing on the device converts to float64,
    which many GPUs refuse although they can add (microsoft/DirectML#430)."""
    text = repr(copy)
    if device.type == "cpu" or not text.endswith(")"):
        return text
    return f"{text[:-1]}, device='{device}')"


def compare(values: dict) -> str:
    """Empty, or the first value that is wrong. Written so that a NaN is wrong too."""
    for index, (a, b, got, expected) in enumerate(
        zip(values["a"], values["b"], values["sum"], values["expected"], strict=False)
    ):
        if not abs(got - expected) <= TOLERANCE:
            return f"value {index}: {a!r} + {b!r} gave {got!r}, the CPU says {expected!r}"
    lengths = {key: len(values[key]) for key in ("a", "b", "sum", "expected")}
    if set(lengths.values()) != {COUNT}:
        return f"expected {COUNT} values each, got {lengths}"
    return ""


# A silent return to the CPU adds just as well, and would pass for a working GPU.
FALLBACK = re.compile(r"operator 'aten::add[._'].{0,40}not currently supported.{0,40}fall back to run on the CPU")


def fallback_in(caught: list) -> str:
    return next(
        (text for text in (" ".join(str(note.message).split()) for note in caught) if FALLBACK.search(text)), ""
    )


def add(backend: Backend, run: Run) -> Any:
    report, result = run.report, run.result
    with step(report, "import_torch") as said:
        directml = run.params["backend"] == "directml"
        said["host"] = what_windows_gives(run.params) if directml else {"wsl": run.params.get("wsl")}
        import torch

        said["version"] = result["versions"]["torch"] = str(torch.__version__)
        said["detail"] = f"torch {torch.__version__}"
    device = backend.find(run, torch)
    with step(report, "copy"):
        first, second = torch.rand(COUNT), torch.rand(COUNT)
        t1, t2 = first.to(device), second.to(device)
    with step(report, "add") as said:
        t3 = t1 + t2
        result["device"], result["device_type"] = str(t3.device), str(t3.device.type)
        said["detail"] = f"the sum is on {t3.device}"
        fallback = fallback_in(run.caught) if run.params["backend"] in ("cpu", "directml") else ""
        if fallback:
            raise Wrong("directml_cpu_fallback", f"the sum is on {t3.device}, and {fallback}")
        if t3.device.type != backend.device_type:
            raise Wrong("wrong_device", f"the sum is on {t3.device}, expected a device of type {backend.device_type}")
        if run.chosen is not None:
            side = torch_devices.TorchDevices(*run.params["side"])
            other = torch_devices.same_device(t3.device.type, t3.device.index, run.chosen, side)
            if other:
                raise Wrong("wrong_device", other)
    with step(report, "copy_back"):
        copies = [tensor.to("cpu") for tensor in (t1, t2, t3)]
        result["text"] = "\n".join(article_text(copy, t3.device) for copy in copies)
    with step(report, "compare"):
        values = {
            "a": first.tolist(),
            "b": second.tolist(),
            "sum": copies[2].tolist(),
            "expected": (first + second).tolist(),
        }
        result["values"] = values
        wrong = compare(values)
        if wrong:
            raise Wrong("wrong_sum", wrong)
    return device


def numpy_clash(torch: Any) -> str:
    """torch 2.3 and older with numpy 2: everything adds, and the first `.numpy()` of a notebook raises."""
    try:
        torch.zeros(1).numpy()
    except RuntimeError as error:
        return short(error)
    return ""


def rate(tensor: Any) -> float:
    """Bytes added per second. DirectML has no synchronize(); a number that is fetched waits for all the work before it."""
    total = tensor + tensor
    total[0].to("cpu")
    started = time.perf_counter()
    for _ in range(ROUNDS):
        total = total + tensor
    total[0].to("cpu")
    return round(ROUNDS * FLOATS * 4 / (time.perf_counter() - started))


def free_bytes(torch: Any, device: Any) -> int | None:
    """Of the card's memory. Some drivers in WSL do not say (pytorch/pytorch#194576)."""
    try:
        return int(getattr(torch, device.type).mem_get_info(device.index)[0])
    except Exception:
        return None


def throughput(report: Report, device: Any) -> None:
    """Not part of the answer: whoever reads it may tell a card from software by it."""
    with step(report, "throughput") as said:
        import torch

        if device.type != "privateuseone":
            said["free_bytes"] = free_bytes(torch, device)
        values = torch.rand(FLOATS)
        said["bytes"] = FLOATS * 4
        said["cpu_bytes_per_second"] = rate(values)
        said["device_bytes_per_second"] = rate(values.to(device))


def main(params: dict, report: Report) -> None:
    result: dict = {"versions": {"python": platform.python_version(), "torch": None, "numpy": None}}
    device = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(StepFailed):
            device = add(backend_of(params), Run(params, report, result, caught))
        if device is not None and params["backend"] == "directml" and importlib.util.find_spec("numpy"):
            import torch

            result["numpy_clash"] = numpy_clash(torch)
    notes = [short(note.message) if isinstance(note.message, Warning) else str(note.message) for note in caught]
    result["warnings"] = list(dict.fromkeys(notes))[:NOTES]
    with contextlib.suppress(Exception):
        result["versions"]["numpy"] = metadata.version("numpy")
    report({"result": result})
    if device is not None and params["backend"] != "cpu":
        with contextlib.suppress(StepFailed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            throughput(report, device)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The article's program, step by step: add two tensors of ten random values on the device and look at the sum.

The text of this file is run by the kernel environment's Python (child.py); torch is nowhere else. It needs nothing but
torch: not even numpy, since `tolist()` on the copy in the CPU's memory is enough.
"""

from __future__ import annotations

import contextlib
import platform
import time
import traceback
import warnings
from dataclasses import dataclass
from typing import Any, Callable, Iterator

COUNT = 10
# Single precision: the last bit of a sum below 2 is 1.2e-7.
TOLERANCE = 1e-6
NOTES = 10
TEXT_CHARACTERS = 300

Report = Callable[[dict], None]


@dataclass(frozen=True)
class Backend:
    """How one backend names its device; what must be imported first goes into `device` too."""

    device_type: str
    device: Callable[[Any, Any], Any]


def cpu_device(torch: Any, index: Any) -> Any:
    if index not in (None, 0):
        raise ValueError(f"the CPU is one device, number 0; there is no number {index}")
    return torch.device("cpu")


BACKENDS = {"cpu": Backend("cpu", cpu_device)}


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
        tell(
            False, detail=short(error), error={"class": type(error).__name__, "text": str(error)[:2000], "where": where}
        )
        raise StepFailed(name) from error
    tell(True)


def article_text(copy: Any, device: Any) -> str:
    """What `print(tensor)` shows, made from the copy in the CPU's memory: printing on the device converts to float64,
    which many GPUs refuse although they can add (microsoft/DirectML#430)."""
    text = repr(copy)
    if device.type == "cpu" or not text.endswith(")"):
        return text
    return f"{text[:-1]}, device='{device}')"


def compare(values: dict) -> str:
    """Empty, or the first value that is wrong. Written so that a NaN is wrong too."""
    for index, (a, b, got, expected) in enumerate(zip(values["a"], values["b"], values["sum"], values["expected"])):
        if not abs(got - expected) <= TOLERANCE:
            return f"value {index}: {a!r} + {b!r} gave {got!r}, the CPU says {expected!r}"
    lengths = {key: len(values[key]) for key in ("a", "b", "sum", "expected")}
    if set(lengths.values()) != {COUNT}:
        return f"expected {COUNT} values each, got {lengths}"
    return ""


def add(backend: Backend, index: Any, report: Report, result: dict) -> None:
    with step(report, "import_torch") as said:
        import torch

        result["versions"]["torch"] = str(torch.__version__)
        said["detail"] = f"torch {torch.__version__}"
    with step(report, "device") as said:
        device = backend.device(torch, index)
        said["detail"] = str(device)
    with step(report, "copy"):
        first, second = torch.rand(COUNT), torch.rand(COUNT)
        t1, t2 = first.to(device), second.to(device)
    with step(report, "add") as said:
        t3 = t1 + t2
        result["device"], result["device_type"] = str(t3.device), str(t3.device.type)
        said["detail"] = f"the sum is on {t3.device}"
        if t3.device.type != backend.device_type:
            # A silent return to the CPU adds just as well, and would pass for a working GPU.
            raise Wrong("wrong_device", f"the sum is on {t3.device}, expected a device of type {backend.device_type}")
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


def main(params: dict, report: Report) -> None:
    result: dict = {"versions": {"python": platform.python_version(), "torch": None, "numpy": None}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(StepFailed):
            add(BACKENDS[params["backend"]], params.get("device"), report, result)
    notes = [short(note.message) if isinstance(note.message, Warning) else str(note.message) for note in caught]
    result["warnings"] = list(dict.fromkeys(notes))[:NOTES]
    with contextlib.suppress(Exception):
        from importlib import metadata

        result["versions"]["numpy"] = metadata.version("numpy")
    report({"result": result})

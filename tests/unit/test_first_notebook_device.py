"""Which device the first cell of docs/first-notebook.ipynb takes where there is a GPU. torch is no torch here."""

from __future__ import annotations

import builtins
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs/first-notebook.ipynb"
REPORT = "/var/lib/colab-ready/report.json"


def report(index: Any) -> str:
    return json.dumps({"checks": {"tensor_add": {"index": index}}})


def first_cell(
    monkeypatch: pytest.MonkeyPatch, text: str | None, available: bool, backend: str = "directml"
) -> tuple[str, str]:
    """(the device, what was printed), with that report and two devices of the backend, the first of them the default."""

    def device(name: str, number: int | None = None) -> SimpleNamespace:
        return SimpleNamespace(type=name.partition(":")[0], name=name if number is None else f"{name}:{number}")

    directml = SimpleNamespace(
        is_available=lambda: available,
        device_count=lambda: 2,
        default_device=lambda: 0,
        device_name=lambda number: f"card {number}",
        device=lambda number: device(f"privateuseone:{number}"),
    )
    no = SimpleNamespace(is_available=lambda: False)
    two = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda number: f"card {number}"
    )
    torch = SimpleNamespace(
        __version__="0.0.0+stand.in",
        version=SimpleNamespace(hip="10.0" if backend == "rocm" else None),
        cuda=two if backend in ("cuda", "rocm") else no,
        xpu=two if backend == "xpu" else no,
        device=device,
    )
    for name, module in {"torch": torch, "torch_directml": directml}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if backend == "directml" else None)
    really, said = open, io.StringIO()

    def opened(path: Any, *more: Any, **named: Any) -> Any:
        if path != REPORT:
            return really(path, *more, **named)
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "".join(next(cell for cell in cells if cell["id"] == "device")["source"])
    known: dict[str, Any] = {"print": lambda *words: said.write(" ".join(map(str, words)) + "\n")}
    monkeypatch.setattr(builtins, "open", opened)
    exec(compile(code, "<cell>", "exec"), known)
    return str(known["device"].name), said.getvalue()


REPORTS = [
    (report(1), 1),
    (report(0), 0),
    (None, 0),
    (report(None), 0),
    (report(2), 0),
    ("{}", 0),
    ("no report", 0),
    (json.dumps({"checks": []}), 0),
]


@pytest.mark.parametrize(("text", "number"), REPORTS)
def test_the_card_that_was_proven_is_taken_and_otherwise_the_default(
    monkeypatch: pytest.MonkeyPatch, text: str | None, number: int
) -> None:
    device, said = first_cell(monkeypatch, text, available=True)
    assert device == f"privateuseone:{number}"
    assert f"a GPU through DirectML: card {number}" in said


@pytest.mark.parametrize(("backend", "kind"), [("cuda", "cuda"), ("rocm", "cuda"), ("xpu", "xpu")])
@pytest.mark.parametrize(("text", "number"), REPORTS)
def test_the_same_on_the_other_gpus(
    monkeypatch: pytest.MonkeyPatch, backend: str, kind: str, text: str | None, number: int
) -> None:
    """The first is often the graphics inside the processor (ROCm/TheRock#3392)."""
    device, said = first_cell(monkeypatch, text, available=False, backend=backend)
    assert device == f"{kind}:{number}"
    title = {"cuda": "CUDA", "rocm": "ROCm", "xpu": "XPU"}[backend]
    assert f"a GPU through {title}: card {number}" in said


def test_where_directml_has_no_device_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = first_cell(monkeypatch, report(1), available=False)
    assert device == "cpu"
    assert "torch_directml finds no graphics card" in said

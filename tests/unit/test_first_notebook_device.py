"""Which device the first cell of docs/first-notebook.ipynb takes where there is DirectML. torch is no torch here."""

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


def first_cell(monkeypatch: pytest.MonkeyPatch, text: str | None, available: bool) -> tuple[str, str]:
    """(the device, what was printed), with that report and two DirectML devices, the first of them the default."""

    def device(name: str) -> SimpleNamespace:
        return SimpleNamespace(type=name.partition(":")[0], name=name)

    directml = SimpleNamespace(
        is_available=lambda: available,
        device_count=lambda: 2,
        default_device=lambda: 0,
        device_name=lambda number: f"card {number}",
        device=lambda number: device(f"privateuseone:{number}"),
    )
    no = SimpleNamespace(is_available=lambda: False)
    torch = SimpleNamespace(__version__="0.0.0+stand.in", cuda=no, xpu=no, device=device)
    for name, module in {"torch": torch, "torch_directml": directml}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
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


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (report(1), 1),
        (report(0), 0),
        (None, 0),
        (report(None), 0),
        (report(2), 0),
        ("{}", 0),
        ("no report", 0),
        (json.dumps({"checks": []}), 0),
    ],
)
def test_the_card_that_was_proven_is_taken_and_otherwise_the_default(
    monkeypatch: pytest.MonkeyPatch, text: str | None, number: int
) -> None:
    device, said = first_cell(monkeypatch, text, available=True)
    assert device == f"privateuseone:{number}"
    assert f"a GPU through DirectML: card {number}" in said


def test_where_directml_has_no_device_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    device, said = first_cell(monkeypatch, report(1), available=False)
    assert device == "cpu"
    assert "torch_directml finds no graphics card" in said

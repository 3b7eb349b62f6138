"""Who may use whom in module_utils/colab_ready, and the map of it in CONTRIBUTING.md: tools/rooms.py keeps both."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest


def test_every_room_uses_only_what_it_may_and_the_map_is_true(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, project / "tools" / "rooms.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("place", "text", "wrong"),
    [
        ("gpu/detect.py", "from ..core.text import printable", []),
        (
            "gpu/detect.py",
            "def late():\n    from ..decision.decide import decide",
            ["gpu/detect.py:2: gpu uses decision"],
        ),
        ("gpu/readers/dxg.py", "from ...backends import base", ["gpu/readers/dxg.py:1: gpu uses backends"]),
        (
            "backends/xpu/host.py",
            "from ..rocm import host",
            ["backends/xpu/host.py:1: backends/xpu uses backends/rocm"],
        ),
        ("backends/base.py", "from .rocm.releases import LINES", ["backends/base.py:1: backends uses backends/rocm"]),
        (
            "backends/xpu/judge.py",
            "from ..registry import BACKENDS",
            ["backends/xpu/judge.py:1: backends/xpu uses backends/registry"],
        ),
        ("backends/registry.py", "from .xpu.judge import BACKEND as XPU", []),
        ("core/text.py", "from .. import files", ["core/text.py:1: core uses files"]),
        ("core/text.py", "import ansible.errors", ["core/text.py:1: an import that is not relative"]),
        ("core/text.py", "from launcher import caller", ["core/text.py:1: an import that is not relative"]),
        (
            "core/text.py",
            "from ansible.module_utils.colab_ready.files.trust import x",
            ["core/text.py:1: an import that is not relative"],
        ),
        (
            "proof/report.py",
            "import ansible.module_utils.colab_ready.core.redact",
            ["proof/report.py:1: an import that is not relative"],
        ),
        (
            "core/text.py",
            "from ansible.module_utils import colab_ready",
            ["core/text.py:1: an import that is not relative"],
        ),
        ("wsl/facts.py", "from ..proof.report import ready", ["wsl/facts.py:1: wsl uses proof"]),
        ("proof/report.py", "from ..decision.decide import decide", []),
        ("proof/report.py", "from ..lab.room import read_room", ["proof/report.py:1: proof uses lab"]),
        ("lab/room.py", "from ..core.problem import Refused", []),
        ("lab/room.py", "from ..system.init import x", ["lab/room.py:1: lab uses system"]),
        ("loose.py", "", ["loose.py: in no room"]),
        ("shed/loose.py", "", ["shed/loose.py: in no room"]),
        ("core/__init__.py", "import os", ["core/__init__.py: not empty"]),
    ],
)
def test_a_wrong_import_is_found(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, text: str, wrong: list[str]
) -> None:
    monkeypatch.syspath_prepend(str(project / "tools"))
    import rooms

    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert rooms.wrong_imports(tmp_path) == wrong


def test_the_registry_imports_judges_alone(project: Path) -> None:
    """gpu_device takes along all that it imports."""
    tree = ast.parse((project / "module_utils/colab_ready/backends/registry.py").read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert names[0] == "base" and len(names) > 5
    assert not [name for name in names[1:] if not name.endswith(".judge")]


def test_no_file_is_longer_than_600_lines_and_no_function_than_60(project: Path) -> None:
    folders = ("module_utils", "launcher", "library", "callback_plugins", "inventory_plugins", "roles")
    long = []
    for path in [path for folder in folders for path in (project / folder).rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        sizes = {path.name: (text.count("\n"), 600)}
        for one in ast.walk(ast.parse(text)):
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)):
                sizes[one.name] = ((one.end_lineno or 0) - one.lineno + 1, 60)
        long += [f"{path}: {name} has {lines} lines" for name, (lines, most) in sizes.items() if lines > most]
    assert not long, "\n".join(long)

#!/usr/bin/env python3
"""Draw the rooms of module_utils/colab_ready, and who uses whom, into CONTRIBUTING.md; name each import that a room may not have.

tools/rooms.py            writes the map
tools/rooms.py --check    says where the map or an import is wrong, and ends with 1 (the static tests ask this)
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CODE = PROJECT / "module_utils" / "colab_ready"
PAGE = PROJECT / "CONTRIBUTING.md"
BEGIN, END = "<!-- rooms: written by tools/rooms.py -->\n", "<!-- end of rooms -->\n"

# What each room holds, and the rooms that it may use. A folder in backends/ is a room of its own, and so is the registry.
ROOMS: dict[str, tuple[str, str]] = {
    "core": ("problems and their messages, text, the lines on the terminal, origins, accounts", ""),
    "process": ("programs with limits, children without root's rights, probes", "core"),
    "files": ("safe reading, atomic writing, removal, who could change a path, the journal", "core process"),
    "system": ("the distribution, its Pythons, init, file systems, ports, groups", "core process files"),
    "wsl": ("WSL and the Windows around it: wsl.conf, interop, registry", "core process files system"),
    "apt": ("apt and dpkg: client, output, keys", "core process files system"),
    "fetch": ("wheels by hash, from wherever pip's configuration says", "core process"),
    "python": ("environments: lock files, pip's configuration, uv, builder", "core process files system fetch"),
    "settings": ("what may be set: its types and rules, and what a host remembers of it", "core process files"),
    "gpu": ("which adapters a host has, and what is known of each; decides nothing", "core process files system wsl"),
    "backends": (
        "what all backends share: what bears on each, the host's packages, torch's devices",
        "core process files system wsl apt python gpu",
    ),
    "backends/*": (
        "one backend: its rule (`judge.py`), what it installs, what it needs of the host, how it fails; none knows another",
        "core process files system wsl apt python gpu backends",
    ),
    "backends/registry": ("the backends, a row each: their judges and data alone", "backends backends/*"),
    "decision": (
        "which backend a host gets, and why",
        "core process files system wsl python gpu backends backends/registry",
    ),
    "host_check": (
        "what a host must have before anything is changed",
        "core process files system wsl python settings backends/registry",
    ),
    "jupyter": (
        "the server's extension, configuration folders and their repair",
        "core process files system wsl python",
    ),
    "browser": ("the browsers' managed policy", "core process files system wsl"),
    "proof": ("the tensor sum, the way from Colab, remedies, the report", "*"),
    "lab": (
        "a room of computers, as the controller sees it: their list, what a run made of each",
        "core settings backends/registry",
    ),
}


def room_of(parts: list[str]) -> str:
    """Return the room of a file or a module, by the parts of its path below the code."""
    pair = "/".join(parts[:2])
    return pair if pair in ROOMS or (parts[0] == "backends" and (CODE / pair).is_dir()) else parts[0]


def row_of(room: str) -> str:
    """Return the name of the row that stands for a room."""
    return room if room in ROOMS else f"{room.partition('/')[0]}/*"


def imports(path: Path, code: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the room of each import from another room; the room is "absolute" where the import is not relative.

    Raises SyntaxError.
    """
    parts = path.relative_to(code).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*parts[: -node.level], *(node.module.split(".") if node.module else [])]
            # `from . import a_room` names the room, `from .a_room import x` has it in the path.
            rooms = {room_of([*base, alias.name]) for alias in node.names} - {room_of(list(parts))}
            yield from ((node.lineno, room) for room in sorted(rooms))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            names = [f"{module}.{alias.name}".strip(".").split(".") for alias in node.names]
            if any("colab_ready" in name or name[0] in ("ansible", "launcher", "colab_runtime") for name in names):
                yield node.lineno, "absolute"


def allowed_to(row: str) -> list[str]:
    """Return the rooms that a row may use."""
    allowed = ROOMS[row][1].split()
    return list(ROOMS)[: list(ROOMS).index(row)] if allowed == ["*"] else allowed


def wrong_imports(code: Path) -> list[str]:
    """Return what breaks the rule, a line each; an unknown room and a file outside of them too."""
    wrong = []
    for path in sorted(code.rglob("*.py")):
        place = path.relative_to(code)
        room = room_of(list(place.with_suffix("").parts))
        if path.name == "__init__.py":
            wrong += [f"{place}: not empty"] if path.stat().st_size else []
        elif row_of(room) not in ROOMS:
            wrong.append(f"{place}: in no room")
        else:
            allowed = allowed_to(row_of(room))
            wrong += [
                f"{place}:{line}: "
                + ("an import that is not relative" if other == "absolute" else f"{room} uses {other}")
                for line, other in imports(path, code)
                if other == "absolute" or row_of(other) not in allowed
            ]
    return wrong


def drawing() -> str:
    """Return the map: a row for each room, from the ground up."""
    rows = ["| room | what is in it | it may use |", "| --- | --- | --- |"]
    for room, (holds, allowed) in ROOMS.items():
        others = "every room above" if allowed == "*" else " ".join(f"`{one}`" for one in allowed.split()) or "nothing"
        shown = "`backends/registry.py`" if room == "backends/registry" else f"`{room}/`"
        rows.append(f"| {shown} | {holds} | {others} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the rooms into CONTRIBUTING.md.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; end with 1 if the map or an import is wrong"
    )
    options = parser.parse_args()
    wrong = wrong_imports(CODE)
    page = PAGE.read_text(encoding="utf-8")
    new = re.sub(f"{BEGIN}.*{END}", lambda _: BEGIN + drawing() + END, page, flags=re.DOTALL)
    if new != page and options.check:
        wrong.append("CONTRIBUTING.md: the map of the rooms is out of date. Do: tools/rooms.py")
    elif new != page:
        PAGE.write_text(new, encoding="utf-8")
    print("\n".join(wrong), file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

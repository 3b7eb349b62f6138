"""The user puts something else in the place of a file that root's commands read or run; what was there stays beside it.

plant.py pipe FILE             a named pipe that nobody writes to
plant.py text FILE TEXT        this text; the escapes of a Python string are known
plant.py brackets FILE         200000 opening brackets
plant.py program FILE SCRIPT   a shell script, in which $real is what was there
plant.py deep FOLDER           1500 folders, one in the other
plant.py back FILE             what was there before
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

DEPTH = 1500


def aside(path: Path) -> Path:
    return path.with_name(f".aside-{path.name}")


def nothing(path: Path) -> Path:
    """A note that there was nothing."""
    return path.with_name(f".nothing-{path.name}")


def take_away(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        path.rename(aside(path))
    else:
        nothing(path).touch()


def pipe(path: Path) -> None:
    take_away(path)
    os.mkfifo(path)


def text(path: Path, content: str) -> None:
    take_away(path)
    path.write_text(ast.literal_eval(f'"""{content}"""'))


def brackets(path: Path) -> None:
    text(path, "[" * 200000)


def program(path: Path, script: str) -> None:
    take_away(path)
    path.write_text(f"#!/bin/sh\nreal='{aside(path)}'\n{script}\n")
    path.chmod(0o755)


def deep(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.chdir(path)
    for _ in range(DEPTH):
        os.mkdir("deeper")
        os.chdir("deeper")


def back(path: Path) -> None:
    """Where neither note is there any more, root has put another folder in place of this one, and what is there stays."""
    if os.path.lexists(aside(path)):
        aside(path).replace(path)
    elif os.path.lexists(nothing(path)):
        path.unlink(missing_ok=True)
        nothing(path).unlink()


if __name__ == "__main__":
    actions: dict[str, Callable[..., None]] = {
        "pipe": pipe,
        "text": text,
        "brackets": brackets,
        "program": program,
        "deep": deep,
        "back": back,
    }
    actions[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])

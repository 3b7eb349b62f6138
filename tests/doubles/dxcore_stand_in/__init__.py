"""Compile the stand-in for libdxcore.so into a folder."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("dxcore_stand_in.c")


def build(library: Path, without: Sequence[str] = ()) -> Path:
    """`without`: ENUM3, CLOSE, FLAT (all four): the functions to leave out."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError(
            "The stand-in for libdxcore.so cannot be compiled: there is no C compiler. Expected: cc, gcc or clang. "
            "Do: apt install gcc libc6-dev."
        )
    library.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    # What those alone have used is left over.
    command += ["-Wno-unused", *(f"-DWITHOUT_{name}" for name in without)] if without else []
    done = subprocess.run([*command, "-o", str(library), str(SOURCE)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"The stand-in for libdxcore.so cannot be compiled by {compiler}:\n{done.stderr}")
    return library

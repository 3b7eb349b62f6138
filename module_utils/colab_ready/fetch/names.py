# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which wheels fit a computer, by their file names.

Pure. https://packaging.python.org/en/latest/specifications/binary-distribution-format/ has the names,
https://peps.python.org/pep-0600/ the platforms of Linux.
"""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple

# What the platforms of before PEP 600 stand for.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_PLATFORM = re.compile(r"manylinux_([0-9]{1,3})_([0-9]{1,3})_(\w+)")
_LEGACY_PLATFORM = re.compile(r"(manylinux1|manylinux2010|manylinux2014)_(\w+)")
NAME_CHARACTERS = 300


class Computer(NamedTuple):
    """What a wheel has to fit: CPython's minor version, the processor (as `uname -m` has it), the version of glibc."""

    minor: int
    machine: str
    glibc: tuple[int, int]

    @classmethod
    def here(cls, minor: int = sys.version_info[1]) -> Computer:
        """This computer; a glibc that does not say its version is taken for the oldest of a host's (Ubuntu 22.04)."""
        try:
            said = re.fullmatch(r"glibc ([0-9]+)\.([0-9]+).*", os.confstr("CS_GNU_LIBC_VERSION") or "")
        except (OSError, ValueError):
            said = None
        return cls(minor, os.uname().machine, (int(said[1]), int(said[2])) if said else (2, 35))


class Wheel(NamedTuple):
    """The parts of a wheel's file name."""

    project: str
    version: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]


def parse_name(filename: str) -> Wheel | None:
    """Return the parts of a file name; None where it is no wheel's."""
    parts = filename[: -len(".whl")].split("-") if filename.endswith(".whl") else []
    if len(parts) not in (5, 6) or len(filename) > NAME_CHARACTERS or "/" in filename or not all(parts):
        return None
    python, abi, platform = parts[-3:]
    project = re.sub(r"[-_.]+", "-", parts[0]).lower()
    return Wheel(project, parts[1], *(tuple(one.split(".")) for one in (python, abi, platform)))


def fits(wheel: Wheel, computer: Computer) -> bool:
    """Tell whether a wheel can be installed here, on CPython."""
    return any(_fits_python(python, abi, computer.minor) for python in wheel.pythons for abi in wheel.abis) and any(
        _fits_platform(platform, computer) for platform in wheel.platforms
    )


def _fits_python(python: str, abi: str, minor: int) -> bool:
    if abi == "none":
        return python in ("py3", "py2.py3", f"py3{minor}", f"cp3{minor}")
    if abi == "abi3":
        found = re.fullmatch(r"cp3([0-9]{1,2})", python)
        return found is not None and int(found[1]) <= minor
    return python == abi == f"cp3{minor}"


def _fits_platform(platform: str, computer: Computer) -> bool:
    if platform in ("any", f"linux_{computer.machine}"):
        return True
    if found := _PLATFORM.fullmatch(platform):
        return found[3] == computer.machine and (int(found[1]), int(found[2])) <= computer.glibc
    found = _LEGACY_PLATFORM.fullmatch(platform)
    return found is not None and found[2] == computer.machine and _LEGACY[found[1]] <= computer.glibc

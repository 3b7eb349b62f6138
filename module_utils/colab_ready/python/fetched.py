# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons that uv fetched for hosts whose own do not fit: which one to fetch, and which are there.

They lie in a folder of their own, cpython-3.12.16-linux-x86_64-gnu/bin/python3.12 and so on, and belong to who built
the environments: a student's programs run in them and must not be able to change them.
"""

from __future__ import annotations

import glob
import os
import re

from ..files.trust import distrust_way
from . import lock as lock_file

# Newest first: the later it is given up, the better.
SERIES = tuple(f"3.{minor}" for minor in range(14, 9, -1))
# Beside it lies a link without the patch release (cpython-3.12-linux-x86_64-gnu); the folder itself outlives it.
_FOLDER = re.compile(r"cpython-(3)\.([0-9]+)\.([0-9]+)-[a-z0-9_-]+")


def series_for(requires: str) -> str | None:
    """The newest series of Python that fits, such as 3.12 for >=3.10,<3.13."""
    return next((series for series in SERIES if lock_file.matches(f"{series}.99", requires)), None)


def pythons_in(folder: str) -> list[str]:
    """The interpreters in the folder, newest first."""
    found = []
    for name in glob.glob("cpython-*", root_dir=folder):
        match = _FOLDER.fullmatch(name)
        if match and not os.path.islink(os.path.join(folder, name)):
            version = tuple(int(part) for part in match.groups())
            found.append((version, os.path.join(folder, name, "bin", f"python3.{version[1]}")))
    return [path for _version, path in sorted(found, reverse=True) if os.path.exists(path)]


def version_of(path: str) -> str:
    """Of an interpreter in the folder, by the name of its own."""
    match = _FOLDER.fullmatch(path.split("/")[-3])
    return ".".join(match.groups()) if match else ""


def folder_problem(folder: str) -> str | None:
    """Why programs in the folder must not be run by root or handed to a student; None if they may."""
    if not os.path.isabs(folder):
        return f"pythons_dir is '{folder}'. Expected an absolute path. Correct it"
    if os.path.islink(folder):
        return f"{folder} is a symbolic link. Expected a real folder for the Pythons. Take the link away"
    reason = distrust_way(folder, (0, os.geteuid()))
    if reason:
        return (
            f"others can change the Pythons in {folder}: {reason}. Expected a folder of its own for the Pythons that uv "
            "fetches. Correct owner and mode, or take it away, then run ./colab-ready again"
        )
    return None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Pythons of a host, and uv."""

from __future__ import annotations

import glob
import os
import re
import shutil
from typing import NamedTuple

from ..files import safe_open, trust
from ..process import identity
from ..process.program import stdout_of

# What is asked of a candidate Python.
_ASK_PYTHON = 'import json, sys; print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3]}))'


def python_candidates(folder: str = "/usr/bin") -> list[str]:
    """The system's Pythons: python3 first, then by number, newest first. Never PATH: it leads into pyenv shims."""
    numbered = [
        path
        for path in glob.glob(f"{glob.escape(folder)}/python3.*")
        if re.fullmatch(r"python3\.[0-9]+", path[len(folder) + 1 :])
    ]
    numbered.sort(key=lambda path: int(path.rsplit(".", 1)[1]), reverse=True)
    found = []
    real = set()
    for path in [f"{folder}/python3", *numbered]:
        if os.access(path, os.X_OK) and os.path.realpath(path) not in real:
            real.add(os.path.realpath(path))
            found.append(path)
    return found


class Python(NamedTuple):
    """An interpreter."""

    path: str
    version: str


def ask_python(path: str) -> Python | None:
    """What it says of itself.

    One that somebody else than root can change does not get root's rights, but those of who called.
    """
    foreign = os.geteuid() == 0 and trust.distrust_way(path, (0,)) is not None
    account = identity.who_called(os.environ) if foreign else None
    answer = safe_open.parse_object(stdout_of([path, "-I", "-S", "-c", _ASK_PYTHON], account=account)) or {}
    version = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){2}", str(answer.get("version")))
    return Python(path, version[0]) if version else None


def find_uv(path: str | None = None, home: str | None = None) -> str | None:
    """The uv that the caller would get. A pyenv shim is none: it fails where that Python has no uv."""
    search = os.environ.get("PATH", os.defpath) if path is None else path
    folders = [folder for folder in search.split(os.pathsep) if "/shims" not in folder]
    home = os.path.expanduser("~") if home is None else home
    return shutil.which("uv", path=os.pathsep.join([*folders, f"{home}/.local/bin", "/usr/local/bin"]))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell somebody's work in the home of the runtime's user from what the server and IPython leave there by themselves."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

sqlite: Any = None
with suppress(ImportError):  # a Python that was built without it
    import sqlite3

    sqlite = sqlite3

# Caches and state that programs make and make again; all else is work, hidden or not, and so is what is not known here.
LITTER = frozenset(
    (
        ".cache .nv .triton .ipython/README .ipython/nbextensions .ipython/profile_default/db .ipython/profile_default/log "
        ".ipython/profile_default/pid .ipython/profile_default/security .ipython/profile_default/startup/README "
        ".local/share/jupyter/runtime .local/share/jupyter/lab/workspaces .local/share/jupyter/nbsignatures.db "
        ".local/share/jupyter/notebook_secret"
    ).split()
)
# All cells that were ever run, with what was typed into them; it is there, and empty, as soon as a kernel has started.
HISTORY = ".ipython/profile_default/history.sqlite"
FOLDERS = frozenset(os.path.dirname(path) for path in (*LITTER, HISTORY)) | {
    ".config", ".config/matplotlib", ".ipython", ".local", ".local/share"
}  # fmt: skip
TOPS = sorted({path.partition("/")[0] for path in (*LITTER, *FOLDERS) if path})


def find_work(home: str, most: int = 5) -> list[str]:
    """Return the first paths of somebody's work, relative to the home. Raises OSError where it cannot be told."""
    found: list[str] = []
    waiting = [""]
    while waiting and len(found) < most:
        folder = waiting.pop()
        for name in sorted(os.listdir(os.path.join(home, folder))):
            path = os.path.join(folder, name)
            info = os.lstat(os.path.join(home, path))
            if len(found) >= most:
                break
            if path in FOLDERS and stat.S_ISDIR(info.st_mode):
                waiting.append(path)
            elif not _is_litter(home, path, info):
                found.append(path)
    return found[:most]


def _is_litter(home: str, path: str, info: os.stat_result) -> bool:
    if path == HISTORY and stat.S_ISREG(info.st_mode):
        return _is_empty(os.path.join(home, path))
    return path in LITTER and (stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode))


def _is_empty(path: str) -> bool:
    """Tell whether no cell stands in IPython's history; what is no such file counts as work."""
    if sqlite is None:
        return False
    try:
        history = sqlite.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        try:
            return history.execute("SELECT 1 FROM history LIMIT 1").fetchone() is None
        finally:
            history.close()
    except sqlite.Error:
        return False

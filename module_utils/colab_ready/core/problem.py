# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be, in one message: what is wrong, what was expected, what to do."""

from __future__ import annotations

import errno
import os


class Problem(Exception):
    """What is wrong, what was expected, what to do."""


class UnsafePath(OSError):
    """A path that is not followed, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ELOOP, why)

    def __str__(self) -> str:
        return str(self.strerror)


def explain(error: Problem | OSError, path: str) -> str:
    """Return the message: a Problem's own, or a sentence for what the kernel said of a path, and one for what to do."""
    if isinstance(error, Problem):
        return str(error)
    if isinstance(error, UnsafePath):
        return (
            f"{error}. Expected directories that only root and their owner write to. Replace the link by a directory."
        )
    todo = {
        errno.EACCES: "Run the task with become: true.",
        errno.EPERM: "Run the task with become: true; look with lsattr whether it is immutable.",
        errno.ENOSPC: "Free some space on that file system (df -h, df -i).",
        errno.EDQUOT: "Free some of that account's quota.",
        errno.EROFS: "Mount that file system for writing.",
    }.get(error.errno or 0, "Look at it with ls -la, then run again.")
    place = error.filename if isinstance(error.filename, str) and os.path.isabs(error.filename) else path
    return f"{place}: {os.strerror(error.errno or 0)}. Expected to be able to read and write it. {todo}"

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be, in one message: what is wrong, what was expected, what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

AS_ROOT = "Run it as root: ./colab-ready does, and a playbook of your own with become: true"


@dataclass(frozen=True)
class Problem:
    """What is wrong, what was expected, what to do."""

    id: str
    what: str
    expected: str
    do: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def sentence(self) -> str:
        return f"{self.what}. Expected: {self.expected}. Do: {self.do}."


class Refused(Exception):
    """What cannot be, with all that is wrong; a text says by itself what was expected and what to do."""

    def __init__(self, *problems: Problem | str) -> None:
        super().__init__("\n".join(one if isinstance(one, str) else one.sentence() for one in problems))
        self.problems = tuple(one for one in problems if not isinstance(one, str))


class UnsafePath(OSError):
    """A path that is not followed, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ELOOP, why)

    def __str__(self) -> str:
        return str(self.strerror)


def explain(error: Refused | OSError, path: str) -> str:
    """Return the message: that of Refused, or a sentence for what the kernel said of a path, and one for what to do."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, UnsafePath):
        return (
            f"{error}. Expected directories that only root and their owner write to. Replace the link by a directory."
        )
    todo = {
        errno.EACCES: f"{AS_ROOT}.",
        errno.EPERM: f"{AS_ROOT}; look with lsattr whether it is immutable.",
        errno.ENOSPC: "Free some space on that file system (df -h, df -i).",
        errno.EDQUOT: "Free some of that account's quota.",
        errno.EROFS: "Mount that file system for writing.",
    }.get(error.errno or 0, "Look at it with ls -la, then run again.")
    place = error.filename if isinstance(error.filename, str) and os.path.isabs(error.filename) else path
    return f"{place}: {os.strerror(error.errno or 0)}. Expected to be able to read and write it. {todo}"


def message(
    problems: Sequence[Problem], after: str = "Nothing was changed, and what -e gave is not remembered."
) -> str:
    """All problems as one text to act on; `after` says what the host is like now."""
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{number}. {problem.sentence()}" for number, problem in enumerate(problems, 1)]
    return "\n".join([f"This host and what was asked for do not fit ({count}). {after}".rstrip(), *lines])

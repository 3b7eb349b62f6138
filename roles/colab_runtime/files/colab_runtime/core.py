# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of colab-runtime uses: its constants, its one exception, and texts that somebody else chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from colab_ready.files import trust
from colab_ready.system import ports

SETTINGS = "/etc/colab-ready/runtime.json"
PROGRAM = ports.PROGRAM
SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What --force does besides.
ENDS = "it ends running notebooks"
EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3
EXIT_LATER = 75  # EX_TEMPFAIL: the same start can succeed later (port taken, disk not mounted yet)
EXIT_SETTINGS = 78  # EX_CONFIG: only a person or the playbook can repair it; the unit does not retry this one
START_SECONDS = 20.0
RUNNING = "Running: http://localhost:{}/ (the address with its token: colab-runtime url)"
SERVER_STOP_SECONDS = 10.0
REST_STOP_SECONDS = 2.0
LOG_BYTES_MAX = 2 * 1024 * 1024
NOTE_BYTES_MAX = 1024 * 1024  # 65536 groups at most (NGROUPS_MAX in linux/limits.h)
PROC_BYTES_MAX = 64 * 1024


class Problem(Exception):
    """Something the caller has to hear: what is wrong, what was expected, what to do; in one message."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code


def parse_json(text: str | bytes) -> Any:
    """Return what the text says. Raises ValueError, for absurd nesting too."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def is_number(value: Any) -> bool:
    """Tell whether a value out of a file is a number such as a process, a port or a count has."""
    return type(value) is int and 0 <= value < 2**32


def quoted(lines: Sequence[str]) -> str:
    """Lines of a log below a message of ours: what they say is theirs."""
    return "\n".join(f"  {line}" for line in lines) or "  (none)"


def visible(text: str) -> str:
    """Return the text with control characters written out: an escape sequence could write to root's terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def say(text: str, end: str = "\n") -> None:
    """Print to the terminal; all that this program prints goes through here."""
    print(visible(text), end=end, flush=True)


def user_name(uid: int) -> str:
    return f"'{trust.user_name(uid)}'"

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a program of this host, with a limit.

One that hangs in a driver, or that leaves children which keep its output open, is left behind in time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..core.text import decoded, first_words
from .identity import Account
from .run import run

# A program that only says its version: 20 times what the slowest machine seen needed.
PROGRAM_SECONDS = 10.0
# dpkg's list of all packages is the longest.
ANSWER_BYTES = 4 << 20


class NotAnswered(Exception):
    """It could not be started (`code` is cannot_start, `number` the errno), or took too long (timeout)."""

    def __init__(self, code: str, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.number = number


class Answer(NamedTuple):
    """What a program printed, and its exit status."""

    status: int
    output: bytes
    errors: bytes

    @property
    def text(self) -> str:
        return decoded(self.output)

    @property
    def words(self) -> str:
        """For a message: what it says first, on stderr or else on stdout."""
        return first_words(decoded(self.errors) if self.errors.strip() else self.text)


def ask(argv: Sequence[str], seconds: float, environ: Mapping[str, str] | None = None, cwd: str = "/") -> Answer:
    """Run a program in a session of its own, with nothing of the caller's environment but what is given. Or NotAnswered."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(environ or {})}
    done = run(argv, seconds, env=environment, cwd=cwd, most=ANSWER_BYTES)
    if done.problem:
        why = os.strerror(done.number) if done.number else done.stderr
        raise NotAnswered("cannot_start", f"{argv[0]} cannot be started: {why}", done.number)
    if done.timed_out:
        raise NotAnswered("timeout", f"{argv[0]} did not answer within {seconds:g} s")
    return Answer(done.status, done.output, done.errors)


def stdout_of(argv: Sequence[str], seconds: float = PROGRAM_SECONDS, account: Account | None = None) -> str | None:
    """Return the output of a program that ended well in time, or None."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    done = run(argv, seconds, account=account, env=env, most=ANSWER_BYTES)
    return done.stdout if done.ok and not done.cut_off else None

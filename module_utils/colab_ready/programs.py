# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs, started with a limit: those of this host, and those of the Windows around it.

One that hangs in a driver, or that leaves children which keep its output open, is left behind in time.
"""

from __future__ import annotations

import os
import re
from typing import Mapping, NamedTuple, Sequence

from ansible.module_utils.colab_ready.host import read_text
from ansible.module_utils.colab_ready.process.run import run
from ansible.module_utils.colab_ready.wsl import decoded, first_words, interop_sockets, program_candidates

ANSWER_BYTES = 4 << 20
SOCKETS_TRIED = 3
# What WSL's /init says when it cannot start a Windows program; its exit status is not a special one.
_INIT_SAYS = re.compile(r"^<\d>.*ERROR|Util[A-Z]\w+:\d+", re.MULTILINE)


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

    @property
    def is_of_init(self) -> bool:
        """Whether it is not the program that speaks but WSL, which could not start it."""
        return bool(_INIT_SAYS.search(decoded(self.errors)) or _INIT_SAYS.search(self.text))


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


# --- of Windows -----------------------------------------------------------------------------------------------------


def windows_places(program: str, etc: str, proc: str) -> list[str]:
    """Where a program of Windows ("Windows/System32/reg.exe") may be on this WSL, likeliest first."""
    return program_candidates(program, read_text(f"{etc}/wsl.conf") or "", read_text(f"{proc}/self/mountinfo") or "")


def windows_program(program: str, etc: str, proc: str) -> str | None:
    return next((path for path in windows_places(program, etc, proc) if os.path.exists(path)), None)


def ways_to_windows(run_dir: str) -> list[str | None]:
    """The sockets to try in turn, the caller's own first (None: WSL finds one): sudo takes away the variable that names it."""
    return [os.environ.get("WSL_INTEROP") or None, *interop_sockets(run_dir)[:SOCKETS_TRIED]]


def ask_windows(argv: Sequence[str], seconds: float, socket: str | None) -> Answer:
    # In a directory that Windows has too.
    return ask(argv, seconds, {"WSL_INTEROP": socket} if socket else {}, os.path.dirname(argv[0]))

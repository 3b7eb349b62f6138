# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of the Windows around this WSL, through its own reg.exe.

Nothing of what reg.exe says in words is understood, since it says it in the language and code page of that Windows. What
is read are the names of keys and types, which are the same everywhere.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import NamedTuple

from ..core.problem import Refused
from ..core.remedy import give
from ..process.program import Answer, NotAnswered
from .interop import ask_windows, is_of_init, ways_to_windows, windows_program

POLICIES_KEY = r"SOFTWARE\Policies"
PROGRAM = "Windows/System32/reg.exe"
_HIVES = {"HKEY_LOCAL_MACHINE": "HKLM", "HKEY_CURRENT_USER": "HKCU"}
_VALUE = re.compile(r"(?: {4}|\t)(?P<name>.*?)(?: {4}|\t)(?P<type>REG_[A-Z0-9_]+)(?:(?: {4}|\t)(?P<data>.*))?")

_AGAIN = "run wsl --shutdown in Windows, and open the WSL window again"
_NO_INTEROP = "Let /etc/wsl.conf have enabled=true under [interop], " + _AGAIN
_NO_DRIVE = "Let /etc/wsl.conf have enabled=true under [automount], " + _AGAIN
_STUCK = "Run wsl --shutdown in Windows and open the WSL window again"
_ASK_THERE = r"Run reg query HKLM\SOFTWARE\Policies in Windows' own command prompt and see what it says"


class Value(NamedTuple):
    name: str
    type: str
    data: str


class Entry(NamedTuple):
    """One value to be set or removed."""

    key: str
    name: str
    data: str


class ChangeRefused(Exception):
    """Windows did not let a change happen, and what it said."""


def unavailable(why: str, todo: str) -> Refused:
    return Refused(
        "The registry of Windows cannot be reached from this WSL: %s. Expected Windows' reg.exe to answer, because the "
        "browser runs on Windows. %s. To leave Windows out: %s." % (why, todo, give("browser_policy_windows=never"))
    )


# ---- what it says -----------------------------------------------------------------------------


def normal_key(key: str) -> str:
    hive, _, rest = key.strip().partition("\\")
    hive = _HIVES.get(hive.upper(), hive.upper())
    return "%s\\%s" % (hive, rest) if rest else hive


def parse_query(text: str) -> dict[str, list[Value]]:
    """The keys (in small letters) and their values in the output of `reg query`."""
    keys: dict[str, list[Value]] = {}
    current: list[Value] | None = None
    for line in text.replace("\r", "").split("\n"):
        if line.startswith("HKEY_"):
            current = keys.setdefault(normal_key(line).lower(), [])
            continue
        found = _VALUE.fullmatch(line)
        if found and current is not None:
            current.append(Value(found["name"], found["type"], found["data"] or ""))
    return keys


def change_command(subject: Entry | str, gone: bool) -> list[str]:
    """Make an entry, or take (`gone`) an entry or a key away."""
    if isinstance(subject, str):
        return ["reg", "delete", subject, "/f"]
    value = [subject.key, "/v", subject.name]
    return ["reg", "delete", *value, "/f"] if gone else ["reg", "add", *value, "/t", "REG_SZ", "/d", subject.data, "/f"]


# ---- asking it --------------------------------------------------------------------------------


class Registry:
    """One reg.exe (empty: wherever Windows' is). It is asked in children of this process, each with a limit."""

    def __init__(self, program: str, etc: str, proc: str, run_dir: str, timeout_seconds: float) -> None:
        self.program = program
        self.etc = etc
        self.proc = proc
        self.run_dir = run_dir
        self.timeout_seconds = timeout_seconds
        self._socket: str | None = None
        self._answered = False

    def query(self, key: str, deep: bool = False) -> dict[str, list[Value]] | None:
        """What is at this key (`deep`: and below it); None if it does not exist.

        That reg.exe answers at all is seen before, by a key that every Windows has.
        """
        if not self._answered:
            self._wake()
        answer = self._run(["query", key, *(["/s"] if deep else [])])
        # Exit status 1 is all that tells a missing key; everybody may read this part of the registry.
        return parse_query(answer.text) if answer.status == 0 else None

    def change(self, command: Sequence[str]) -> None:
        answer = self._run(command[1:])
        if answer.status != 0:
            raise ChangeRefused(answer.words)

    def _wake(self) -> None:
        """Find the way to Windows. sudo takes WSL_INTEROP away; WSL mostly finds its socket without, and not always."""
        said, todo = "", _ASK_THERE
        for socket in ways_to_windows(self.run_dir):
            self._socket = socket
            answer = self._run(["query", "HKLM\\" + POLICIES_KEY])
            if answer.status == 0 and parse_query(answer.text):
                self._answered = True
                return
            said = said or answer.words
            if not is_of_init(answer):
                break
            todo = _NO_INTEROP
        raise unavailable("%s says %r" % (self.program, said), todo)

    def _run(self, arguments: Sequence[str]) -> Answer:
        try:
            self.program = self.program or windows_program(PROGRAM, self.etc, self.proc)
            return ask_windows([self.program, *arguments], self.timeout_seconds, self._socket, self.etc)
        except NotAnswered as error:
            raise unavailable(str(error), _todo(error)) from None


def _todo(error: NotAnswered) -> str:
    if error.code == "timeout":
        return _STUCK
    return _NO_DRIVE if error.number == errno.ENOENT else _NO_INTEROP

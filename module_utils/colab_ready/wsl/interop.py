# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start programs of the Windows around this WSL, with a limit and with the rights of who called."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..core.text import decoded
from ..files.plain import open_plain
from ..files.safe_open import read_system_text
from ..process.boundary import BoundaryError, run_as
from ..process.identity import who_called
from ..process.program import Answer, NotAnswered, ask
from .facts import init_beside, interop_sockets, program_candidates

# Of what a program of Windows prints; more of it than any that is asked here says.
PIPE_BYTES = 256 << 10
SOCKETS_TRIED = 3
# What WSL's /init says when it cannot start a Windows program; its exit status is not a special one.
_INIT_SAYS = re.compile(r"^<\d>.*ERROR|Util[A-Z]\w+:\d+", re.MULTILINE)


def is_of_init(answer: Answer) -> bool:
    """Tell whether it is not the program that speaks but WSL, which could not start it."""
    return bool(_INIT_SAYS.search(decoded(answer.errors)) or _INIT_SAYS.search(answer.text))


# A drive whose other end hangs must not hang us.
DRIVE_SECONDS = 5.0


def as_caller(work: Callable[[], Any], seconds: float = DRIVE_SECONDS) -> Any:
    """Do what concerns a drive of Windows with the rights of who called, in a child; return the answer, as JSON says it.

    Who owns what proves nothing there: anybody may have put a link, a pipe or a program. Raises OSError.
    """

    def safely() -> dict[str, Any]:
        try:
            return {"value": work()}
        except OSError as error:
            return {"error": [error.errno, error.strerror, error.filename]}

    try:
        said = run_as(who_called(os.environ), safely, seconds)
    except BoundaryError as error:
        raise OSError(errno.EIO, str(error)) from None
    if "error" in said:
        raise OSError(*said["error"])
    return said["value"]


def windows_program(program: str, etc: str, proc: str, seconds: float = DRIVE_SECONDS) -> str:
    """Return the place of a program of Windows ("Windows/System32/reg.exe") on this WSL. Or NotAnswered."""
    places = program_candidates(
        program, read_system_text(f"{etc}/wsl.conf") or "", read_system_text(f"{proc}/self/mountinfo") or ""
    )
    found = None
    with suppress(OSError):
        found = as_caller(lambda: next((path for path in places if _is_of_windows(path)), None), seconds)
    if found is None:
        text = f"there is no {places[0]} that begins with MZ and that no link leads to"
        raise NotAnswered("cannot_start", text, errno.ENOENT)
    return str(found)


def _is_of_windows(path: str) -> bool:
    """Tell whether Windows would start a file: a plain one that no link leads to and that begins with MZ. A script does not."""
    try:
        with open_plain(path) as handle:
            return os.read(handle, 2) == b"MZ"
    except OSError:
        return False


def ways_to_windows(run_dir: str) -> list[str | None]:
    """The sockets to try in turn, the caller's own first (None: WSL finds one): sudo takes away the variable that names it."""
    return [os.environ.get("WSL_INTEROP") or None, *interop_sockets(run_dir)[:SOCKETS_TRIED]]


def ask_windows(argv: Sequence[str], seconds: float, socket: str | None, etc: str) -> Answer:
    """Run a program of Windows with the rights of who called, never with root's. Or NotAnswered."""

    def work() -> list[Any]:
        try:
            answer = _ask_there(argv, seconds, {"WSL_INTEROP": socket} if socket else {}, init_beside(etc))
        except NotAnswered as error:
            return [error.code, str(error), error.number]
        return [answer.status, *(said[:PIPE_BYTES].decode("latin-1") for said in (answer.output, answer.errors))]

    try:
        first, output, errors = as_caller(work, seconds + DRIVE_SECONDS)
    except OSError as error:
        raise NotAnswered("timeout", f"{argv[0]}: {error.strerror}", error.errno) from None
    if isinstance(first, str):
        raise NotAnswered(first, output, errors)
    return Answer(first, output.encode("latin-1"), errors.encode("latin-1"))


def _ask_there(argv: Sequence[str], seconds: float, environ: Mapping[str, str], init: str) -> Answer:
    program = argv[0]
    if os.path.lexists(program) and not _is_of_windows(program):
        raise NotAnswered("cannot_start", f"{program} is not a plain file that begins with MZ, as Windows' programs do")
    # In a directory that Windows has too.
    folder = os.path.dirname(program)
    try:
        return ask(argv, seconds, environ, folder)
    except NotAnswered as error:
        if error.number != errno.ENOEXEC or not os.access(init, os.X_OK):
            raise
    # The kernel's handler for .exe is lost (a restart of systemd-binfmt does it: microsoft/WSL#8843); it starts WSL's init so.
    return ask([init, program, *argv], seconds, environ, folder)

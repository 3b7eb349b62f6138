"""A person at a terminal: a program on a pseudo terminal, and what is typed there at a prompt."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

CTRL_C = "\x03"
PROMPT = re.compile(rb"[Pp]assword( for \w+)?: ")


@dataclass(frozen=True)
class Seen:
    """What stood on the terminal, how often it was asked for a password, and how the program ended."""

    text: str
    asked: int
    status: int


def at_terminal(command: Sequence[str], types: Sequence[str] = (), seconds: float = 120) -> Seen:
    """Run a program; at each prompt for a password type the next of `types`, then Enter alone."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], [*command])
    out, asked, waiting = b"", 0, list(types)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            out += piece
        if len([*PROMPT.finditer(out)]) > asked:
            asked += 1
            time.sleep(0.3)  # sudo throws away what was typed before it asked
            word = waiting.pop(0) if waiting else ""
            os.write(terminal, word.encode() if word == CTRL_C else word.encode() + b"\n")
    else:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    return Seen(out.decode(errors="replace").replace("\r\n", "\n"), asked, status)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a function of this program in a copy of the process, and come back whatever happens to it.

For a look at a driver that costs a few milliseconds and must not cost more: a new interpreter (probe.py, which a
probe under another Python needs) takes longer to start than such a look takes. The function has to return something
that JSON can say. What is done with another user's files is done so as well (boundary.py).
"""

from __future__ import annotations

import faulthandler
import json
import math
import mmap
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from .identity import dump_no_core
from .run import signal_name

# A process stuck in a driver survives SIGKILL: wait this long for it, then report and go on.
BURIAL_SECONDS = 0.5

ANSWER_BYTES = 4 << 20
STEP_BYTES = 128
# How often it is asked whether somebody has stopped it.
STOPPED_SECONDS = 1.0
TEXT_CHARACTERS = 2000

# What a work is given, to say what it is at.
Say = Callable[[str], None]


class Outcome(NamedTuple):
    """How it went. kind: ok, timeout, stopped, crashed, exception, not_started, ended. `step` is what it was at last."""

    kind: str
    value: Any = None
    text: str = ""
    step: str = ""


def run_forked(
    work: Callable[[Say], Any],
    timeout_seconds: float,
    burial_seconds: float = BURIAL_SECONDS,
    prepare: Callable[[int], None] | None = None,
) -> Outcome:
    """Call `work` in a copy of this process; it has `timeout_seconds`, and then `burial_seconds` to be gone.

    `prepare` is called first in the copy, with the descriptor of its answer; a session that it makes is ended with it.
    """
    return run_together([work], timeout_seconds, burial_seconds, prepare)[0]


def run_together(
    works: Sequence[Callable[[Say], Any]],
    timeout_seconds: float,
    burial_seconds: float = BURIAL_SECONDS,
    prepare: Callable[[int], None] | None = None,
    ends_all: Callable[[Outcome], bool] = lambda outcome: False,
) -> list[Outcome]:
    """Call each in a copy of its own, at the same time. The first outcome that `ends_all` ends the others, as kind ended."""
    deadline = time.monotonic() + timeout_seconds
    copies = [_Copy(work, timeout_seconds, burial_seconds, prepare) for work in works]
    try:
        while waiting := [copy for copy in copies if copy.outcome is None]:
            for copy in _heard(waiting, deadline):
                copy.end()
                if copy.outcome is not None and ends_all(copy.outcome):
                    for other in waiting:
                        other.end(Outcome("ended", text="another one failed"))
    finally:
        for copy in copies:
            copy.end()
    return [copy.outcome for copy in copies if copy.outcome is not None]


class _Copy:
    """A copy of this process at its work, and what it has said so far; its outcome once that is known."""

    def __init__(
        self,
        work: Callable[[Say], Any],
        timeout_seconds: float,
        burial_seconds: float,
        prepare: Callable[[int], None] | None,
    ) -> None:
        self.outcome: Outcome | None = None
        self._timeout, self._burial = timeout_seconds, burial_seconds
        self._said = bytearray()
        self._complete = self._stopped = False
        # The copy writes into this page and wakes nobody up with it.
        self._page = mmap.mmap(-1, STEP_BYTES)
        self.reader, writer = os.pipe()
        try:
            self.pid = os.fork()
        except OSError as error:
            self.pid = -1
            os.close(self.reader)
            self._page.close()
            self.outcome = Outcome("not_started", text=f"no process can be started: {error}")
        if self.pid == 0:
            _be_the_copy(work, self._page, self.reader, writer, timeout_seconds + burial_seconds, prepare)
        os.close(writer)

    def read(self) -> bool:
        """Take what it says; tell whether that is all."""
        data = os.read(self.reader, 1 << 16)
        self._said += data
        self._complete = not data or len(self._said) >= ANSWER_BYTES
        return self._complete

    def is_stopped(self) -> bool:
        """Whether somebody has stopped it."""
        try:
            self._stopped = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            self._stopped = False
        return self._stopped

    def end(self, outcome: Outcome | None = None) -> None:
        """Bury it, and say how it went, unless that is known; `outcome` in place of what it said."""
        if self.outcome is not None:
            return
        os.close(self.reader)
        # It ends by itself right after its last word; who has not said it by now will not.
        status = _bury(self.pid, self._burial, at_once=not (self._complete and self._said))
        step = self._page[:].rstrip(b"\0").decode("utf-8", "replace")
        self._page.close()
        if outcome is None and self._stopped:
            outcome = Outcome("stopped", text="somebody stopped it (SIGSTOP), so it was ended", step=step)
        answer = bytes(self._said) if self._complete else None
        self.outcome = outcome or _judge(answer, status, step, self._timeout)


def _heard(copies: Sequence[_Copy], deadline: float) -> list[_Copy]:
    """Wait a while; return those that have said all, were stopped, or have no time left."""
    poll = select.poll()
    for copy in copies:
        poll.register(copy.reader, select.POLLIN)
    left = deadline - time.monotonic()
    if left <= 0:
        return [*copies]
    ready = {number for number, _event in poll.poll(math.ceil(min(left, STOPPED_SECONDS) * 1000))}
    if not ready:
        return [copy for copy in copies if copy.is_stopped()]
    return [copy for copy in copies if copy.reader in ready and copy.read()]


def _judge(answer: bytes | None, status: int | None, step: str, timeout_seconds: float) -> Outcome:
    if answer is None:
        text = f"no answer within {timeout_seconds:g} s"
        if status is None:
            text += "; the process survived SIGKILL, so it is stuck in the kernel (a driver), and is still there"
        return Outcome("timeout", text=text, step=step)
    try:
        said = json.loads(answer.decode())
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict) and "value" in said:
        return Outcome("ok", said["value"], step=step)
    if isinstance(said, dict) and "exception" in said:
        return Outcome("exception", text=str(said["exception"]), step=step)
    if status is not None and os.WIFSIGNALED(status):
        return Outcome("crashed", text=f"killed by {signal_name(os.WTERMSIG(status))}", step=step)
    return Outcome("crashed", text="ended without an answer", step=step)


def _kill(pid: int) -> None:
    """End it, and all of its session where it has made one."""
    for end in (os.killpg, os.kill):
        try:
            end(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _bury(pid: int, seconds: float, at_once: bool) -> int | None:
    """Its wait status; None if it is still there after that time, or if somebody else has waited for it."""
    until = time.monotonic() + seconds
    patience = time.monotonic() if at_once else time.monotonic() + seconds / 2
    killed = False
    nap = 0.0002
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            # Where SIGCHLD is ignored the kernel buries it, and nobody learns how it died.
            return 0
        if ended:
            return status
        now = time.monotonic()
        if now >= until:
            return None
        if now >= patience and not killed:
            killed = True
            _kill(pid)
        time.sleep(nap)
        nap = min(nap * 1.5, 0.02)


# --- in the copy ----------------------------------------------------------------------------------------------------


def _be_the_copy(
    work: Callable[[Say], Any],
    page: mmap.mmap,
    reader: int,
    writer: int,
    seconds: float,
    prepare: Callable[[int], None] | None,
) -> NoReturn:
    """Never returns: the caller's code after the fork is the other process's."""
    try:
        os.close(reader)
        _settle(seconds)
        if prepare is not None:
            prepare(writer)

        def say(step: str) -> None:
            page[:] = step.encode()[:STEP_BYTES].ljust(STEP_BYTES, b"\0")

        try:
            answer = json.dumps({"value": work(say)})
        except BaseException as error:
            answer = json.dumps({"exception": f"{type(error).__name__}: {error}"[:TEXT_CHARACTERS]})
        data = answer.encode()
        while data:
            data = data[os.write(writer, data) :]
    finally:
        # Not sys.exit: what the other process registered to do at its end is not for the copy to do.
        os._exit(0)


def _settle(seconds: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    # SIGALRM's default action ends the copy even inside native code, should the other process be killed before it can.
    signal.alarm(int(seconds) + 2)
    # A driver's own chatter (facts: microsoft/DirectML#672) must not get into what a module prints.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    # It may have a descriptor of its own, and would report there, as if the other process had crashed.
    faulthandler.disable()
    dump_no_core()

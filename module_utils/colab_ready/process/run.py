# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program with limits on its time and its output, as another user where that is wanted.

A program may hang in a driver, print without end, leave children that keep its output open, or be another user's: what it does
makes nobody wait beyond the limit, fills nobody's memory, and is believed by nobody who did not ask.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.text import readable_lines
from .identity import Account, account_named, become, current_account, dump_no_core

# A process stuck in a driver's ioctl may survive SIGKILL: wait this long for it, then report and go on.
BURIAL_SECONDS = 5.0
# What a grandchild that keeps our pipes open may add after the program itself has ended.
ECHO_SECONDS = 0.5
# rocminfo prints 4 KB for each GPU, uv some 100 bytes for each package.
OUTPUT_BYTES = 256 << 10
# Enough for a dump of faulthandler in an import, and for what was said before it.
ERROR_BYTES = 64 << 10
STDERR_LINES = 80
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A program that never came to run: the shell's status for it.
NOT_STARTED = 127


class Heard:
    """What a program printed so far: the first of its output, the last of its errors, and whether there was more."""

    def __init__(self, last_words: bytes = b"", most: int = OUTPUT_BYTES) -> None:
        self.output = b""
        self.errors = b""
        self.cut_off = False
        # Something other than None once the program has nothing more to say.
        self.result: Any = None
        self.exception: dict[str, str] | None = None
        self._last_words = last_words
        self._most = most

    def stdout(self, data: bytes) -> None:
        room = self._most - len(self.output)
        self.cut_off = self.cut_off or len(data) > room
        if room > 0:
            self.output += data[:room]
            if self._last_words and self._last_words in self.output:
                self.result = {}

    def stderr(self, data: bytes) -> None:
        self.errors = (self.errors + data)[-ERROR_BYTES:]

    def channel(self, data: bytes) -> None:
        """A pipe of its own, which only a probe has."""


@dataclass(frozen=True)
class Finished:
    """A program that ended, or was ended because it took too long; `problem` says in one word why it never started."""

    status: int
    output: bytes
    errors: bytes
    timed_out: bool = False
    cut_off: bool = False
    problem: str = ""
    number: int | None = None

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.timed_out

    @property
    def stdout(self) -> str:
        return self.output.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self.errors.decode("utf-8", "replace")


def run(
    argv: Sequence[str],
    seconds: float,
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: str = "/",
    most: int = OUTPUT_BYTES,
) -> Finished:
    """Run a program in a session of its own, with these variables alone, and return what came of it; never raises for it.

    `account` is whose rights it gets (default: this process's). At the limit, and when it ends, its whole group is killed.
    """
    heard = Heard(most=most)
    try:
        process = start(argv, account or current_account(), dict(env or {}), cwd=cwd)
    except NotStarted as error:
        return Finished(NOT_STARTED, b"", str(error).encode(), problem=error.problem, number=error.number)
    talk = Conversation(process, heard, stdin)
    talk.hear_out(seconds)
    status = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Finished(status, heard.output, heard.errors, talk.signalled or not talk.buried, heard.cut_off)


def run_program(
    argv: Sequence[str],
    timeout_seconds: float,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    *,
    last_words: bytes = b"",
    exit_seconds: float = 2.0,
) -> dict[str, Any]:
    """Run a program that may take the driver down with it; return {output, errors, cut_off, exit, seconds}.

    `exit` is as of run_probe. `output` is what it printed until it ended or was ended, its first 256 KiB; `cut_off` tells whether
    there was more. Once it has printed its `last_words` it has `exit_seconds` to end.
    """
    started = time.monotonic()
    heard = Heard(last_words)
    try:
        account = account_of(user)
        alarm = int(timeout_seconds + exit_seconds + BURIAL_SECONDS) + 1
        process = start(argv, account, child_environment(account, env), umask=0o077, alarm_seconds=alarm)
    except NotStarted as error:
        ended = exit_of("not_started", text=str(error), problem=error.problem)
    else:
        talk = Conversation(process, heard)
        talk.hear_out(timeout_seconds, exit_seconds=exit_seconds)
        ended = how_it_ended(talk)
    return {
        "output": heard.output.decode("utf-8", "replace"),
        "errors": readable_lines(heard.errors)[-STDERR_LINES:],
        "cut_off": heard.cut_off,
        "exit": ended,
        "seconds": round(time.monotonic() - started, 3),
    }


# --- starting -------------------------------------------------------------------------------------------------------


class NotStarted(Exception):
    """A program that could not be started; `problem` says why in one word, `number` is the errno."""

    def __init__(self, problem: str, text: str, number: int | None = None) -> None:
        super().__init__(text)
        self.problem = problem
        self.number = number


def account_of(user: str | None) -> Account:
    """Return the account of that name, or this process's; raises NotStarted."""
    try:
        return account_named(user) if user is not None else current_account()
    except KeyError:
        raise NotStarted("no_such_user", f"the user {user} does not exist") from None


def child_environment(account: Account, extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return the few variables a service would have, and `extra`.

    What the caller's shell exports (PYTHONPATH, an activated virtualenv, LD_LIBRARY_PATH, a proxy) is not there when the kernel
    runs, so a probe must not see it either.
    """
    return {
        "PATH": DEFAULT_PATH,
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        # A proof leaves nothing behind, compiled files included.
        "PYTHONDONTWRITEBYTECODE": "1",
        **(extra or {}),
    }


def start(
    argv: Sequence[str],
    account: Account,
    env: Mapping[str, str],
    *,
    cwd: str = "/",
    umask: int = -1,
    alarm_seconds: int = 0,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, as the account, with pipes for its three streams; raises NotStarted."""
    if os.geteuid() not in (0, account.uid):
        raise NotStarted("not_root", f"only root may run a program as {account.name}")
    give_up_root = become(account)

    def prepare() -> None:
        give_up_root()
        dump_no_core()
        # One that was set before exec rings after it, also inside native code, should this process be killed before it can.
        signal.alarm(alarm_seconds)

    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=pass_fds,
            cwd=cwd,
            env=dict(env),
            umask=umask,
            start_new_session=True,
            preexec_fn=prepare,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _why_not_started(argv[0], account.name, error) from error


def _why_not_started(program: str, who: str, error: Exception) -> NotStarted:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, FileNotFoundError):
        if os.path.islink(program):
            text = f"{program} is a link to {os.readlink(program)}, which does not exist"
        elif os.path.exists(program):
            text = f"{program} needs an interpreter or a loader that does not exist"
        else:
            text = f"{program} does not exist"
        return NotStarted("python_missing", text, number)
    if isinstance(error, PermissionError):
        return NotStarted("python_not_executable", f"{who} may not execute {program}", number)
    if number == errno.ENOEXEC:
        return NotStarted("python_not_a_program", f"{program} is not a program for this machine", number)
    return NotStarted("python_not_started", f"{program} could not be started: {error}", number)


# --- listening ------------------------------------------------------------------------------------------------------


class Conversation:
    """Feed a program its input, hear it out, and see it end. Nothing that it or its children do makes this wait longer."""

    def __init__(
        self, process: subprocess.Popen[bytes], heard: Heard, job: bytes = b"", channel: int | None = None
    ) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self.process = process
        self.heard = heard
        self.limit_text = ""
        self.signalled = False
        self.buried = False
        self._job = memoryview(job)
        self._selector = selectors.DefaultSelector()
        self._hear: dict[int, Callable[[bytes], None]] = {
            process.stdout.fileno(): heard.stdout,
            process.stderr.fileno(): heard.stderr,
        }
        if channel is not None:
            self._hear[channel] = heard.channel
        self._channel = channel
        self._stdin = process.stdin.fileno()
        os.set_blocking(self._stdin, False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        for descriptor in self._hear:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._open = len(self._hear)

    def hear_out(self, seconds: float, grace: float = 0.0, exit_seconds: float = 2.0) -> None:
        """Stay within the limits, and leave nothing of the program."""
        try:
            self._run(seconds, grace, exit_seconds)
        finally:
            self._end(grace)

    def _run(self, timeout: float, grace: float, exit_seconds: float) -> None:
        limit = time.monotonic() + timeout
        self.limit_text = f"no end within {timeout:g} s"
        actions: list[tuple[signal.Signals, float]] = [(signal.SIGKILL, BURIAL_SECONDS)]
        if grace > 0:
            actions.insert(0, (signal.SIGTERM, grace))
        saw_result = False
        ended_at: float | None = None
        nap = 0.002
        while True:
            now = time.monotonic()
            if ended_at is None and self._has_ended():
                ended_at = now
                # Whatever it started ends with it, so that its pipes close too.
                self._signal_group(signal.SIGKILL)
            if ended_at is not None and (self._open == 0 or now >= ended_at + ECHO_SECONDS):
                return
            if self.heard.result is not None and not saw_result and not self.signalled:
                saw_result = True
                if now + exit_seconds < limit:
                    limit = now + exit_seconds
                    self.limit_text = f"the result came, but then no end within {exit_seconds:g} s"
            if ended_at is None and now >= limit:
                if not actions:
                    return
                signal_number, patience = actions.pop(0)
                self.signalled = True
                self._signal_group(signal_number)
                limit = now + patience
            # A pipe wakes us up. Only with every pipe closed nothing does: the process is about to end, so look often.
            if self._open == 0:
                nap = min(nap * 1.5, 0.1)
            self._listen(nap if self._open == 0 else 0.1)

    def _end(self, grace: float) -> None:
        """Leave nothing running and no descriptor open, also when this process was interrupted in between."""
        if not self._has_ended():
            if grace > 0 and not self.signalled:
                self._signal_group(signal.SIGTERM)
                self._wait(grace)
            self._signal_group(signal.SIGKILL)
            self._wait(BURIAL_SECONDS)
        if self._has_ended():
            self.buried = True
            self.process.wait()
        self._selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if self._channel is not None:
            os.close(self._channel)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._has_ended() and time.monotonic() < until:
            self._listen(0.05)

    def _has_ended(self) -> bool:
        """Without reaping it: as long as it is a zombie its group's number cannot go to somebody else."""
        if self.process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _listen(self, seconds: float) -> None:
        for key, _events in self._selector.select(seconds):
            descriptor = key.fd
            if descriptor == self._stdin:
                self._feed()
                continue
            try:
                data = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                continue
            if data:
                self._hear[descriptor](data)
            else:
                self._selector.unregister(descriptor)
                self._open -= 1

    def _feed(self) -> None:
        try:
            self._job = self._job[os.write(self._stdin, self._job) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._job = self._job[:0]
        if not self._job and self.process.stdin is not None:
            self._selector.unregister(self._stdin)
            self.process.stdin.close()


# --- telling --------------------------------------------------------------------------------------------------------


def exit_of(kind: str, **more: Any) -> dict[str, Any]:
    """Return how something ended, with all fields; see run_probe."""
    result: dict[str, Any] = {"kind": kind, "signal": None, "code": None, "class": None, "text": "", "problem": None}
    result.update(more)
    return result


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def how_it_ended(talk: Conversation) -> dict[str, Any]:
    """Return how the program of a conversation ended; see run_probe."""
    code = talk.process.returncode
    if talk.signalled or not talk.buried:
        text = talk.limit_text
        if not talk.buried:
            text += "; it survived SIGKILL, so it is stuck in the kernel (a driver), and is still there"
        return exit_of("timeout", code=code, text=text)
    if code < 0:
        return exit_of("signal", code=code, signal=signal_name(-code), text=f"killed by {signal_name(-code)}")
    exception = talk.heard.exception
    if exception is not None:
        return exit_of("exception", code=code, text=exception["text"], **{"class": exception["class"]})
    if code != 0:
        return exit_of("exit", code=code, text=f"ended with status {code}")
    return exit_of("ok", code=0)

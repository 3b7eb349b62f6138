# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a probe under another Python, or a program, as another user, and come back whatever happens to it.

A GPU driver can end the interpreter with a bare SIGSEGV, abort it, hang in the kernel, write to the process's
descriptors, or die when everything is done (facts: microsoft/DirectML#503, #570, #672). So a probe is a child in a
session of its own, speaks JSON lines on a pipe that nothing else knows, and is read and waited for with limits.

A probe's source defines `main(params, report)`; it calls `report` with
    {"step": id, "begin": true}               before a step,
    {"step": id, "ok": bool, "seconds": s, …}  after it,
    {"result": {…}}                            at the end.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import resource
import selectors
import signal
import subprocess
import time
import types
from typing import Any, Callable, Mapping, Sequence

# What the other interpreter is told on its command line: the same for every probe, and free of secrets. The source and
# its parameters come on stdin, reports go to the descriptor that is named in argv.
BOOT = r"""
import json, os, resource, signal, sys, types
channel = int(sys.argv[1])
os.set_inheritable(channel, False)
sys.path[:] = [entry for entry in sys.path if entry]
job = json.loads(sys.stdin.buffer.read().decode())
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
sys.argv[:] = [job["name"]]
# No core dump: 1 byte also keeps a piped core_pattern (WSL's crash collector) away, which 0 does not (core(5)).
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (1, hard) if hard else (0, 0))
signal.alarm(job["alarm_seconds"])
def report(line):
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[os.write(channel, data):]
probe = types.ModuleType(job["name"])
sys.modules[job["name"]] = probe
try:
    exec(compile(job["source"], "<" + job["name"] + ">", "exec"), probe.__dict__)
    probe.main(job["params"], report)
except BaseException as error:
    report({"exception": {"class": type(error).__name__, "text": str(error)[:2000]}})
    sys.exit(1)
"""

# A process stuck in a driver's ioctl may survive SIGKILL: wait this long for it, then report and go on.
BURIAL_SECONDS = 5.0
# What a grandchild that keeps our pipes open may add after the probe itself has ended.
ECHO_SECONDS = 0.5

CHANNEL_BYTES = 4 << 20
NOISE_BYTES = 16 << 10
NOISE_LINES = 20
# Of a program's output more is wanted: rocminfo prints 4 KB for each GPU.
OUTPUT_BYTES = 256 << 10
# A dump of faulthandler is long when it happens in an import, and what was said before it is wanted too.
STDERR_LINES = 80
LINE_CHARACTERS = 300

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_probe(
    source: str,
    params: dict[str, Any],
    python: str,
    timeout_seconds: float,
    user: str | None = None,
    env: dict[str, str] | None = None,
    *,
    name: str = "probe",
    grace_seconds: float = 0.0,
    exit_seconds: float = 10.0,
) -> dict[str, Any]:
    """Run `source` in `python`; return {steps, running, last_step, result, exit, noise, noise_lines, stderr_tail, seconds}.

    exit is {kind, signal, code, text, class, problem}. Its kind is one of: ok; exception (one escaped from the probe);
    exit (another non-zero status); signal; timeout; not_started (problem says why).
    At the timeout the probe's whole group gets SIGTERM, and SIGKILL `grace_seconds` later. Once the result has come, the
    probe has `exit_seconds` to end.
    """
    started = time.monotonic()
    try:
        process, channel = _start(python, user, env)
    except _NotStarted as reason:
        return _outcome(_Heard(), _exit("not_started", text=str(reason), problem=reason.problem), started)
    # SIGALRM's default action ends the probe even inside native code, should this process be killed before it can.
    alarm = int(timeout_seconds + grace_seconds + exit_seconds + BURIAL_SECONDS) + 1
    job = {"name": name, "source": source, "params": params, "alarm_seconds": alarm}
    talk = _Conversation(process, channel, json.dumps(job).encode())
    try:
        talk.run(timeout_seconds, grace_seconds, exit_seconds)
    finally:
        talk.end(grace_seconds)
    return _outcome(talk.heard, _how_it_ended(process, talk), started)


def run_program(
    argv: Sequence[str],
    timeout_seconds: float,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    *,
    last_words: bytes = b"",
    exit_seconds: float = 2.0,
) -> dict[str, Any]:
    """Run a program; return {output, errors, cut_off, exit, seconds}, exit as of run_probe.

    `output` is what it printed until it ended or was ended, its first 256 KiB; `cut_off`, whether there was more. Once it has
    printed its `last_words` it has `exit_seconds` to end.
    """
    started = time.monotonic()
    heard = _Printed(last_words)
    try:
        process = _start_program(argv, user, dict(env or {}), int(timeout_seconds + exit_seconds + BURIAL_SECONDS) + 1)
    except _NotStarted as reason:
        return _printed(heard, _exit("not_started", text=str(reason), problem=reason.problem), started)
    # It knows no channel: this one is closed before the first word.
    channel, writer = os.pipe()
    os.close(writer)
    talk = _Conversation(process, channel, b"", heard)
    try:
        talk.run(timeout_seconds, 0.0, exit_seconds)
    finally:
        talk.end(0.0)
    return _printed(heard, _how_it_ended(process, talk), started)


def probe_source(probe: types.ModuleType) -> str:
    """The text of a probe's module; a module that Ansible sent is in a zip file, so there is no file to open."""
    loader = getattr(probe, "__loader__", None)
    text = loader.get_source(probe.__name__) if loader is not None else None
    if text is None:
        raise ValueError(f"the source of {probe.__name__} is not at hand")
    return str(text)


# --- starting -------------------------------------------------------------------------------------------------------


class _NotStarted(Exception):
    def __init__(self, problem: str, text: str) -> None:
        super().__init__(text)
        self.problem = problem


def child_environment(account: pwd.struct_passwd | None, extra: dict[str, str] | None) -> dict[str, str]:
    """The few variables a service would have. What the caller's shell exports (PYTHONPATH, an activated virtualenv,
    LD_LIBRARY_PATH, a proxy) is not there when the kernel runs, so the probe must not see it either."""
    result = {
        "PATH": DEFAULT_PATH,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        # A proof leaves nothing behind, compiled files included.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if account is not None:
        result.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    result.update(extra or {})
    return result


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None:
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            return None
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise _NotStarted("no_such_user", f"the user {user} does not exist") from None
    if os.geteuid() not in (0, account.pw_uid):
        raise _NotStarted("not_root", f"only root may run a probe as {user}")
    return account


def _become(account: pwd.struct_passwd | None) -> Callable[[], None]:
    """Before the exec, never after it: the kernel environment's Python belongs to that user and must not run as root."""
    switch = account is not None and os.geteuid() == 0 and account.pw_uid != 0

    def prepare() -> None:
        os.umask(0o077)
        if switch and account is not None:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)

    return prepare


def _start(python: str, user: str | None, env: dict[str, str] | None) -> tuple[subprocess.Popen[bytes], int]:
    account = _account(user)
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [python, "-X", "faulthandler", "-u", "-c", BOOT, str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=[writer],
            cwd="/",
            env=child_environment(account, env),
            start_new_session=True,
            preexec_fn=_become(account),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        os.close(reader)
        raise _why_not_started(python, account, error) from error
    finally:
        os.close(writer)
    return process, reader


def _start_program(
    argv: Sequence[str], user: str | None, env: dict[str, str], alarm_seconds: int
) -> subprocess.Popen[bytes]:
    account = _account(user)
    become = _become(account)

    def prepare() -> None:
        become()
        # As in BOOT. An alarm that was set before exec rings after it.
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (1, hard) if hard else (0, 0))
        signal.alarm(alarm_seconds)

    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env=child_environment(account, env),
            start_new_session=True,
            preexec_fn=prepare,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise _why_not_started(argv[0], account, error) from error


def _why_not_started(python: str, account: pwd.struct_passwd | None, error: Exception) -> _NotStarted:
    who = account.pw_name if account is not None else f"uid {os.geteuid()}"
    if isinstance(error, FileNotFoundError):
        if os.path.islink(python):
            return _NotStarted("python_missing", f"{python} is a link to {os.readlink(python)}, which does not exist")
        if os.path.exists(python):
            return _NotStarted("python_missing", f"{python} needs an interpreter or a loader that does not exist")
        return _NotStarted("python_missing", f"{python} does not exist")
    if isinstance(error, PermissionError):
        return _NotStarted("python_not_executable", f"{who} may not execute {python}")
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return _NotStarted("python_not_a_program", f"{python} is not a program for this machine")
    text = f"{python} could not be started: {error}"
    return _NotStarted("python_not_started", text)


# --- listening ------------------------------------------------------------------------------------------------------


class _Heard:
    """What came from the probe so far. It is another user's program: bounded, and believed only in shape."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.running: list[str] = []
        self.last_step: str | None = None
        self.result: dict[str, Any] | None = None
        self.exception: dict[str, str] | None = None
        self.noise = b""
        self.noise_lines = 0
        self.stderr = b""
        self._room = CHANNEL_BYTES
        self._rest = b""

    def channel(self, data: bytes) -> None:
        if self._room <= 0:
            return
        self._room -= len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            try:
                self._line(json.loads(line.decode()))
            except (ValueError, RecursionError):
                continue

    def _line(self, said: Any) -> None:
        if not isinstance(said, dict):
            return
        if isinstance(said.get("result"), dict):
            self.result = said["result"]
        elif isinstance(said.get("exception"), dict):
            self.exception = {key: str(said["exception"].get(key, ""))[:2000] for key in ("class", "text")}
        elif isinstance(said.get("step"), str):
            step = said["step"]
            if said.get("begin"):
                self.last_step = step
                self.running.append(step)
            else:
                self.running = [other for other in self.running if other != step]
                self.steps.append(said)

    def stdout(self, data: bytes) -> None:
        self.noise_lines += data.count(b"\n")
        self.noise = (self.noise + data)[:NOISE_BYTES]

    def err(self, data: bytes) -> None:
        self.stderr = (self.stderr + data)[-NOISE_BYTES:]


class _Printed(_Heard):
    """What a program prints; it has no channel, and its result is that its last words have come."""

    def __init__(self, last_words: bytes) -> None:
        super().__init__()
        self.cut_off = False
        self._last_words = last_words

    def stdout(self, data: bytes) -> None:
        room = OUTPUT_BYTES - len(self.noise)
        self.cut_off = self.cut_off or len(data) > room
        if room > 0:
            self.noise += data[:room]
            if self._last_words and self._last_words in self.noise:
                self.result = {}


class _Conversation:
    """Feed the probe its job, hear it out, and see it end."""

    def __init__(self, process: subprocess.Popen[bytes], channel: int, job: bytes, heard: _Heard | None = None) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self.process = process
        self.heard = heard or _Heard()
        self.limit_text = ""
        self.signalled = False
        self.buried = False
        self._job = memoryview(job)
        self._selector = selectors.DefaultSelector()
        self._hear: dict[int, Callable[[bytes], None]] = {
            channel: self.heard.channel,
            process.stdout.fileno(): self.heard.stdout,
            process.stderr.fileno(): self.heard.err,
        }
        self._channel = channel
        self._stdin = process.stdin.fileno()
        os.set_blocking(self._stdin, False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        for descriptor in self._hear:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._open = 3

    def run(self, timeout: float, grace: float, exit_seconds: float) -> None:
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
                # Whatever the probe started ends with it, so that its pipes close too.
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

    def end(self, grace: float) -> None:
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


def _exit(kind: str, **more: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"kind": kind, "signal": None, "code": None, "class": None, "text": "", "problem": None}
    result.update(more)
    return result


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _how_it_ended(process: subprocess.Popen[bytes], talk: _Conversation) -> dict[str, Any]:
    code = process.returncode
    if talk.signalled or not talk.buried:
        text = talk.limit_text
        if not talk.buried:
            text += "; it survived SIGKILL, so it is stuck in the kernel (a driver), and is still there"
        return _exit("timeout", code=code, text=text)
    if code < 0:
        return _exit("signal", code=code, signal=signal_name(-code), text=f"killed by {signal_name(-code)}")
    said = talk.heard.exception
    if said is not None:
        return _exit("exception", code=code, text=said["text"], **{"class": said["class"]})
    if code != 0:
        return _exit("exit", code=code, text=f"ended with status {code}")
    return _exit("ok", code=0)


def readable_lines(data: bytes) -> list[str]:
    """Lines for a report: no control characters, no empty ones, none longer than a reader wants."""
    lines = re.split(r"[\r\n]+", data.decode("utf-8", "replace"))
    plain = ("".join(c if c.isprintable() else " " for c in line).strip() for line in lines)
    return [line[:LINE_CHARACTERS] for line in plain if line]


def _outcome(heard: _Heard, ended: dict[str, Any], started: float) -> dict[str, Any]:
    return {
        "steps": heard.steps,
        "running": heard.running,
        "last_step": heard.last_step,
        "result": heard.result,
        "exit": ended,
        "noise": readable_lines(heard.noise)[:NOISE_LINES],
        "noise_lines": heard.noise_lines,
        "stderr_tail": readable_lines(heard.stderr)[-STDERR_LINES:],
        "seconds": round(time.monotonic() - started, 3),
    }


def _printed(heard: _Printed, ended: dict[str, Any], started: float) -> dict[str, Any]:
    return {
        "output": heard.noise.decode("utf-8", "replace"),
        "errors": readable_lines(heard.stderr)[-STDERR_LINES:],
        "cut_off": heard.cut_off,
        "exit": ended,
        "seconds": round(time.monotonic() - started, 3),
    }

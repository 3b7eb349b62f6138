# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager where systemd is not PID 1: it restarts the server, keeps its log and ends all below it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from colab_ready.core.text import printable
from colab_ready.files.safe_open import open_file, read_object
from colab_ready.process.identity import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, load_prctl
from colab_ready.process.run import signal_name
from colab_ready.system.ports import find_open
from colab_ready.system.processes import alive, descendants, send, started_ticks, uids_of

from .core import EXIT_LATER, EXIT_SETTINGS, LOG_BYTES_MAX, REST_STOP_SECONDS, SERVER_STOP_SECONDS, Problem, is_number
from .settings import Settings, background_environment, own_command, require_owner

HEALTHY_SECONDS = 60.0
BACKOFF_SECONDS_MAX = 30.0
LOOK_SECONDS = 5.0
# The unit has the same limits (WatchdogSec=, TimeoutStartSec=).
WATCHDOG_SECONDS = 120.0
SLOW_START_SECONDS = 120.0
LOG_FILES = 5
WORDS_AT_ONCE = 64


def describe_exit(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by {signal_name(os.WTERMSIG(status))}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


def backoff_seconds(failures: int) -> float:
    """1, 2, 4, 8, 16, 30, 30 ... seconds before the next try."""
    return min(float(2 ** min(failures, 10)), BACKOFF_SECONDS_MAX)


class RotatingLog:
    """server.log, and .1 to .4 behind it. A full disk loses lines, never the server."""

    def __init__(self, path: str, bytes_max: int = LOG_BYTES_MAX, files: int = LOG_FILES) -> None:
        self.path, self.bytes_max, self.files = path, bytes_max, files
        self.fd = -1

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if self.fd < 0:
                self.fd = open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            if os.fstat(self.fd).st_size + len(data) > self.bytes_max and os.fstat(self.fd).st_size:
                self.rotate()
            os.write(self.fd, data)

    def rotate(self) -> None:
        os.close(self.fd)
        self.fd = -1
        for number in range(self.files - 1, 0, -1):
            older = f"{self.path}.{number}"
            newer = f"{self.path}.{number - 1}" if number > 1 else self.path
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        self.fd = open_file(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def note(self, text: str) -> None:
        self.write(f"[colab-runtime {time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n".encode())


class RunDir:
    """What the supervisor leaves in /run/colab-ready. The lock decides whether one runs; the pid alone never does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock_path = os.path.join(path, "supervisor.lock")
        self.pid_path = os.path.join(path, "supervisor.pid")
        self.state_path = os.path.join(path, "supervisor.json")
        self.notify_path = os.path.join(path, "notify")

    def is_ours(self, pid: int) -> bool:
        """Whether a process is of whose folder this is: what stands in it about a supervisor is that user's word."""
        return os.stat(self.path).st_uid in uids_of(pid)

    def take_lock(self, seconds: float) -> int | None:
        """The lock, or None when another supervisor has it. Waits only for those who merely look (`locked`): who
        waited for a supervisor to end would start a server behind the back of the `stop` that ended it."""
        fd = open_file(self.lock_path, os.O_RDWR | os.O_CREAT)
        end = time.monotonic() + seconds
        while True:
            for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
                try:
                    fcntl.flock(fd, kind | fcntl.LOCK_NB)
                except OSError:
                    continue
                if kind == fcntl.LOCK_EX:
                    return fd
                fcntl.flock(fd, fcntl.LOCK_UN)
                break
            else:
                end = 0.0  # held for itself alone: a supervisor
            if time.monotonic() >= end:
                os.close(fd)
                return None
            time.sleep(0.02)

    def locked(self) -> bool:
        try:
            fd = open_file(self.lock_path)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except OSError:
            return True
        finally:
            os.close(fd)

    def write(self, state: dict[str, Any]) -> None:
        for path, text in ((self.state_path, json.dumps(state) + "\n"), (self.pid_path, f"{state['pid']}\n")):
            draft = f"{path}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            fd = open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(draft, path)

    def clear(self) -> None:
        for path in (self.state_path, self.pid_path, self.notify_path):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def state(self) -> dict[str, Any] | None:
        """What the running supervisor last said; None when none runs or what is written is from another life."""
        if not self.locked():
            return None
        state = read_object(self.state_path) or {}
        with contextlib.suppress(KeyError, TypeError):
            if is_number(state["pid"]) and started_ticks(state["pid"]) == state["started_ticks"]:
                known = {key: value for key, value in state.items() if value is not None}
                return {key: value if is_number(value) else printable(value, 200) for key, value in known.items()}
        return {}  # it has the lock but has not written yet

    def waits(self) -> bool:
        """Whether the supervisor is between two servers, and says so."""
        return (self.state() or {}).get("state") == "waiting"

    def holders(self, *locks: str) -> list[int]:
        """Each process that has one of these files open, as far as they are found in time."""
        return [pid for pid in find_open(set(locks), seconds=LOOK_SECONDS) if self.is_ours(pid)]

    def supervisors(self, seconds: float = 2.0) -> list[int]:
        """The pid of the running supervisor, proven by lock and start time; where the files are gone or nonsense, of each
        process that has the lock open."""
        end = time.monotonic() + seconds
        while True:
            state = self.state()
            if state and "pid" in state and self.is_ours(state["pid"]):
                return [state["pid"]]
            if state is None:
                return self.holders(f"{self.lock_path} (deleted)")
            if time.monotonic() >= end:
                return self.holders(self.lock_path)
            time.sleep(0.05)


class Supervisor:
    """Runs the server, restarts it when it ends or hangs, keeps its output, and ends everything below it when told to stop.

    The sockets that hold the port stay open all the while: they are inherited, and named in the server's command.
    """

    def __init__(self, command: Sequence[str], run_dir: RunDir, log: RotatingLog) -> None:
        self.command, self.run_dir, self.log = list(command), run_dir, log
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready = False
        self.last_word = 0.0
        self.last_look = 0.0
        self.stop_asked = False
        self.restarts = 0
        self.server = 0
        self.server_status: int | None = None
        self.output = -1
        self.wake_reader, self.wake_writer = socket.socketpair()
        self.prctl = load_prctl()

    def on_stop(self, number: int, frame: Any) -> None:
        self.stop_asked = True

    def stopping(self) -> bool:
        return self.stop_asked

    def run(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.run_dir.notify_path)
        self.notified.bind(self.run_dir.notify_path)
        self.notified.setblocking(False)
        self.wake_reader.setblocking(False)
        self.wake_writer.setblocking(False)
        signal.set_wakeup_fd(self.wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self.on_stop)
        signal.signal(signal.SIGINT, self.on_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        # Orphans of the server (kernels after a crash, what a notebook sent to the background) come back to us, as
        # they would stay in a unit's cgroup; so nothing outlives `stop`.
        self.prctl(PR_SET_CHILD_SUBREAPER, 1)
        failures = 0
        while not self.stopping():
            started = time.monotonic()
            self.start_server()
            self.write_state("starting")
            self.wait_for_end()
            status = self.server_status if self.server_status is not None else 0
            self.end_rest()
            if self.stopping():
                break
            if time.monotonic() - started >= HEALTHY_SECONDS:
                failures = 0
            how = describe_exit(status)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_SETTINGS:
                self.log.note(f"The server {how}: the lines above say what to repair. It is not tried again.")
                return EXIT_SETTINGS
            delay = backoff_seconds(failures)
            failures += 1
            self.restarts += 1
            self.log.note(f"The server {how}; it is started again in {delay:.0f} s.")
            self.write_state("waiting", how)
            self.pump(time.monotonic() + delay, self.stopping)
        self.log.note("Stopped.")
        return 0

    def write_state(self, state: str, last_exit: str | None = None) -> None:
        with contextlib.suppress(OSError):
            self.run_dir.write(
                {
                    "pid": os.getpid(),
                    "started_ticks": started_ticks(os.getpid()),
                    "state": state,
                    "server_pid": self.server or None,
                    "restarts": self.restarts,
                    "since": int(time.time()),
                    "last_exit": last_exit,
                }
            )

    def start_server(self) -> None:
        self.close_output()
        self.output, child_end = os.pipe()
        os.set_blocking(self.output, False)
        parent = os.getpid()
        self.server_status = None
        self.hear()  # what an earlier one has said
        self.ready = False
        self.last_word = self.last_look = time.monotonic()
        self.server = os.fork()
        if self.server == 0:
            self.exec_server(parent, child_end)
        os.close(child_end)
        self.log.note(f"Starting the server, pid {self.server}.")

    def exec_server(self, parent: int, output: int) -> NoReturn:
        """In the child: a group of its own, our pipe as its output, and an end when the supervisor ends."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)
            self.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(EXIT_LATER)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ["NOTIFY_SOCKET"] = self.run_dir.notify_path
            os.environ["WATCHDOG_USEC"] = str(int(WATCHDOG_SECONDS * 1e6))
            os.execv(self.command[0], self.command)
        except BaseException as error:  # a forked child must never return into the parent's code
            with contextlib.suppress(OSError):
                os.write(2, f"{self.command[0]} cannot be run: {error}\n".encode())
        os._exit(127)

    def wait_for_end(self) -> None:
        self.pump(None, lambda: self.stopping() or self.hangs() or self.server_status is not None)
        if self.server_status is None and not self.stopping():
            self.log.note(
                f"The server, pid {self.server}, has not answered for {WATCHDOG_SECONDS:.0f} s and is killed."
            )
            send(self.server, signal.SIGKILL)
            self.pump(time.monotonic() + REST_STOP_SECONDS, lambda: self.server_status is not None)
        if self.server_status is None:
            # The server first and alone: it shuts its kernels down in good order.
            send(self.server, signal.SIGTERM)
            self.pump(time.monotonic() + SERVER_STOP_SECONDS, lambda: self.server_status is not None)
        if self.server_status is None:
            self.log.note(f"The server did not stop within {SERVER_STOP_SECONDS:.0f} s and is killed.")
            send(self.server, signal.SIGKILL)
            self.pump(time.monotonic() + REST_STOP_SECONDS, lambda: self.server_status is not None)
        self.server = 0

    def hear(self) -> None:
        """Take what the server says of itself, as systemd would (sd_notify(3)): that it is ready, and that it still answers."""
        with contextlib.suppress(OSError):
            for _ in range(WORDS_AT_ONCE):
                words = self.notified.recv(4096).split(b"\n")
                self.last_word = time.monotonic()
                if b"READY=1" in words and not self.ready:
                    self.ready = True
                    self.write_state("running")

    def hangs(self) -> bool:
        """Whether the server has said nothing for too long, in time that has passed for us too: a computer that was paused
        wakes up its server and us together."""
        now = time.monotonic()
        if now - self.last_look > 2 * LOOK_SECONDS:
            self.last_word = now
        self.last_look = now
        return now - self.last_word > (WATCHDOG_SECONDS if self.ready else SLOW_START_SECONDS)

    def end_rest(self) -> None:
        """Whatever the server left: asked to end, then killed, as often as something new appears."""
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
            rest = descendants(os.getpid())
            if not rest:
                break
            for pid in rest:
                send(pid, number)
            self.pump(time.monotonic() + REST_STOP_SECONDS, lambda: not descendants(os.getpid()))
        self.drain()

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.server:
                    self.server_status = status

    def drain(self) -> None:
        with contextlib.suppress(OSError):
            while self.output >= 0:
                data = os.read(self.output, 65536)
                if not data:
                    self.close_output()
                    return
                self.log.write(data)

    def close_output(self) -> None:
        if self.output >= 0:
            os.close(self.output)
            self.output = -1

    def pump(self, until: float | None, done: Callable[[], bool]) -> None:
        """Carry output to the log and collect the dead until `done()` or the time is up."""
        while True:
            self.reap()
            if done():
                return
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            watched: list[Any] = [self.wake_reader, self.notified] + ([self.output] if self.output >= 0 else [])
            ready, _, _ = select.select(watched, [], [], LOOK_SECONDS if left is None else min(left, 0.5))
            if self.wake_reader in ready:
                with contextlib.suppress(BlockingIOError):
                    self.wake_reader.recv(4096)
            if self.notified in ready:
                self.hear()
            if self.output in ready:
                self.drain()


def supervise(settings: Settings, sockets: Sequence[int]) -> int:
    """The background process; EXIT_LATER where another one was quicker. `sockets` hold the port."""
    require_owner(settings, "start")
    if os.geteuid() == 0:
        raise Problem("The supervisor must not run as root.", EXIT_SETTINGS)
    run_dir = RunDir(settings.run_dir)
    lock = run_dir.take_lock(0.5)
    if lock is None:
        return EXIT_LATER
    command = [sys.executable, "-I", *own_command(settings, "serve", *socket_options(sockets))]
    for one in sockets:
        os.set_inheritable(one, True)
    try:
        return Supervisor(command, run_dir, RotatingLog(settings.log_file)).run()
    finally:
        run_dir.clear()


def socket_options(sockets: Sequence[int]) -> list[str]:
    """The words that tell `supervise` and `serve` which of their open files hold the port."""
    return [word for one in sockets for word in ("--socket", str(one))]


def detach(settings: Settings, sockets: Sequence[socket.socket]) -> subprocess.Popen[bytes]:
    """Start the supervisor away from this terminal, with none of the caller's open files (Ansible's pipes, a script's lock) but
    the sockets that hold the port."""
    numbers = [one.fileno() for one in sockets]
    return subprocess.Popen(
        [sys.executable, "-I", *own_command(settings, "supervise", *socket_options(numbers))],
        pass_fds=numbers,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=background_environment(dict(os.environ), settings.account),
        umask=0o022,
        start_new_session=True,
    )


def stop_supervisor(settings: Settings) -> bool:
    """True when one ran. Bounded: the supervisor kills its server in time, and is killed itself when it does not."""
    run_dir = RunDir(settings.run_dir)
    ending = {pid: started_ticks(pid) for pid in run_dir.supervisors()}
    below = [one for pid in ending for one in descendants(pid)]

    def gone(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while any(alive(pid) and started_ticks(pid) == born for pid, born in ending.items()):
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return True

    for pid in ending:
        send(pid, signal.SIGTERM)
        send(pid, signal.SIGCONT)  # one that was stopped does not hear of it
    if gone(SERVER_STOP_SECONDS + 4 * REST_STOP_SECONDS + 2.0):
        return bool(ending)
    for pid in [*ending, *filter(run_dir.is_ours, below)]:
        send(pid, signal.SIGKILL)
    if not gone(5.0):
        raise Problem(
            f"The supervisor (pid {', '.join(map(str, ending))}) cannot be ended. Expected: SIGKILL ends it. Do: see what it "
            f"waits for (ps -o pid,stat,wchan,args -p {','.join(map(str, ending))}); with stat D that is a device or a network "
            "disk, which has to come back; or restart the computer (WSL, in PowerShell: wsl --shutdown)"
        )
    run_dir.clear()
    return True

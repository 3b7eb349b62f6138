# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook as a child that is never left alone: it ends with us, and what it leaves behind ends after it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from colab_ready.files.safe_open import read_object, read_text
from colab_ready.process.identity import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, load_prctl
from colab_ready.system.processes import children, descendants, process_ids, send

from . import options
from .words import Stop, interrupted, say

# What ends a run.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Ctrl-C reaches Ansible through the terminal as well, and ends it in peace; what is still there then is told again.
SENT_AFTER = ((3.0, signal.SIGINT), (10.0, signal.SIGTERM), (20.0, signal.SIGKILL))
ORPHANS_SECONDS = 5.0
# More than this is needed in any folder that is written into.
ROOM_LEAST = 4 << 20


# Ctrl-C while Ansible is still importing itself is its end, without Python's traceback; later Ansible ends in peace.
START = """
import sys
sys.path[:] = [one for one in sys.path if one]  # never the current directory
import importlib, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
program = importlib.import_module("ansible.cli." + sys.argv[1].rpartition("-")[2])
signal.signal(signal.SIGINT, signal.default_int_handler)
del sys.argv[0]
sys.exit(program.main())
"""


class Outcome(NamedTuple):
    """The exit status of ansible-playbook, and by host what the module readiness_report returned; None where it did not run."""

    status: int
    proofs: dict[str, dict[str, Any] | None]


def run(
    ansible: Path,
    playbook: Path,
    arguments: list[str],
    environ: Mapping[str, str],
    scratch: Path,
    talk: int | None,
    quiet: bool,
) -> Outcome:
    """Run a playbook in the current directory. `talk` is the pipe from the caller: he ends the run by closing it."""
    proofs = scratch / "proofs"
    prctl = load_prctl()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    wake = _listen()
    process = subprocess.Popen(
        [*program(ansible), str(playbook), *arguments],
        env={**environ, **places(playbook.parent.parent, scratch), "COLAB_READY_PROOFS": str(proofs)},
        stdin=_stdin(arguments),
        stdout=sys.stderr if quiet else None,
        umask=0o022,
        preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
    )
    told = _wait(process, wake, talk)
    end_orphans(str(playbook), everything=told is not None or process.returncode < 0)
    if told == signal.SIGINT or process.returncode == -signal.SIGINT:
        interrupted()
    if told:
        sys.exit(128 + told)
    if process.returncode < 0:
        raise Stop(
            f"ansible-playbook was ended by signal {-process.returncode} ({signal.strsignal(-process.returncode)}). Expected: it "
            "ends by itself; where memory ran out the kernel says so (dmesg). Do: start again, the next run carries on.",
            128 - process.returncode,
        )
    if process.returncode and (full := full_place(str(scratch.parent), "/tmp", "/var")):
        say(f"{full} is full. Expected: room there. Do: df -h {full}; take away what is not needed, then start again.")
    return Outcome(process.returncode, read_object(str(proofs)) or {})


def program(path: Path) -> list[str]:
    """Return the words that start a program of Ansible's (bin/ansible-NAME of its environment)."""
    return [str(path.parent / "python"), "-c", START, str(path)]


def full_place(*folders: str) -> str | None:
    """Return the first of these folders that next to nothing can be written into."""
    return next((folder for folder in folders if shutil.disk_usage(folder).free < ROOM_LEAST), None)


def _stdin(arguments: list[str]) -> int:
    """The terminal where Ansible asks before each task; nothing for it to read otherwise."""
    if not any(option.name == "--step" for option in options.parse(arguments)):
        return subprocess.DEVNULL
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise Stop(
            "--step asks at a terminal before each task, and there is none. Expected: a terminal. Do: leave it out, or choose "
            "by --tags.",
            2,
        ) from None


def places(checkout: Path, scratch: Path) -> dict[str, str]:
    """The variables that keep Ansible's files together, and out of everybody's home."""
    home = scratch / "ansible"
    config = str(checkout / "ansible.cfg")
    return {
        "ANSIBLE_CONFIG": config,
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        # Where a module unpacks itself, and leaves that when it is killed: Python asks this one, other programs ask TMPDIR alone.
        "TEMP": str(scratch),
        # Ansible parses these paths as Python once; a folder named 1is would be warned of, again and again.
        "PYTHONWARNINGS": "ignore::SyntaxWarning",
    }


def is_proven(ready: Iterable[bool], ran: bool, parsed: Iterable[options.Option]) -> bool:
    """Tell whether the proof was made; `ready` is what each report of this run says, `ran` whether there was a task at all.

    Ansible's 0 is not enough: a run that never came to the proof has it, too. Raises Stop where nobody asked for that.
    """
    said = [*ready]
    if not all(said):
        raise Stop("NOT READY: the report has the reasons. Do: ./colab-ready verify")
    if not said and not (ran and options.chooses(parsed)):
        raise Stop("the run ended without proving that the computer is READY.")
    return bool(said)


def _listen() -> int:
    """Have signals, the end of a child among them, arrive as bytes."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, frame: None)
    return read


def _wait(process: subprocess.Popen[bytes], wake: int, talk: int | None) -> signal.Signals | None:
    """Wait for the end; the signal that wanted it, if one did."""
    told: signal.Signals | None = None
    began, sent = 0.0, 0
    while process.poll() is None:
        watched = [wake] if talk is None or told else [wake, talk]
        for ready in select.select(watched, [], [], 0.5 if told else None)[0]:
            wanted = told_by(ready)
            if wanted and not told:
                told, began = wanted, time.monotonic()
                sent = 0 if told == signal.SIGINT else 1
                if sent:
                    process.send_signal(signal.SIGTERM)
        while told and sent < len(SENT_AFTER) and time.monotonic() - began > SENT_AFTER[sent][0]:
            process.send_signal(SENT_AFTER[sent][1])
            sent += 1
    return told


def told_by(pipe: int) -> signal.Signals | None:
    """Which signal that ends a run came through a pipe, by its number; whose pipe is closed is gone, and ends it too."""
    numbers = os.read(pipe, 1000)
    return next((one for one in ENDING if one in numbers), None if numbers else signal.SIGTERM)


def end_orphans(marker: str, everything: bool) -> None:
    """End what a dead ansible-playbook has left to us: its forks, which have its command line, and where it did not end by
    itself the modules that they ran. A server that was started for another user stays."""
    end = time.monotonic() + ORPHANS_SECONDS
    asked: set[int] = set()
    while time.monotonic() < end + 1:
        _reap()
        left = children().get(os.getpid(), [])
        forks = [pid for pid in left if _is_told(pid, marker)]
        others = [pid for pid in left if everything and pid not in forks and _is_ours(pid)]
        if not forks and not others:
            return
        for pid in others:
            hard = time.monotonic() > end
            if hard or pid not in asked:
                _signal_tree(pid, signal.SIGKILL if hard else signal.SIGTERM)
            asked.add(pid)
        for pid in forks:
            send(pid, signal.SIGKILL)
        time.sleep(0.02)


def end_leftovers(marker: str) -> None:
    """End what is left of a run that was killed whole: processes of ours whose command line names its folder."""
    for pid in process_ids():
        if pid != os.getpid() and _is_ours(pid) and _is_told(pid, marker):
            say(f"ending process {pid}, which an interrupted run has left")
            _signal_tree(pid, signal.SIGKILL)


def _signal_tree(top: int, number: int) -> None:
    for pid in [*reversed(descendants(top)), top]:
        send(pid, number)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _is_told(pid: int, marker: str) -> bool:
    """Whether this stands in the command line of a process."""
    return marker in (read_text(f"/proc/{pid}/cmdline") or "")


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    return False

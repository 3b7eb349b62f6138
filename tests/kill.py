#!/usr/bin/env python3
"""Kill processes of a host, for the rows of faults. Runs on the host itself.

kill.py first TEXT    SIGKILL for the oldest process with this in its command line, once there is one
kill.py run           SIGKILL for ./colab-ready and all below it
kill.py interrupt     SIGINT for ./colab-ready and its group, as Ctrl-C at a terminal
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def command_lines() -> dict[int, str]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in (1, os.getpid(), os.getppid()):
            with contextlib.suppress(OSError):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def with_parents(pid: int) -> list[int]:
    line = [pid]
    while line[-1] > 1:
        line.append(parent(line[-1]))
    return line


def main() -> None:
    told = command_lines()
    if sys.argv[1] == "first":
        end = time.monotonic() + 30
        while not (doomed := [pid for pid in sorted(told) if sys.argv[2] in told[pid]][:1]) and time.monotonic() < end:
            time.sleep(0.05)
            told = command_lines()
    elif sys.argv[1] == "interrupt":
        (top,) = [pid for pid in sorted(told) if "./colab-ready" in told[pid].split()][:1]
        os.killpg(os.getpgid(top), signal.SIGINT)
        doomed = []
    else:
        tops = {pid for pid, text in told.items() if text.split()[-1:] and "./colab-ready" in text.split()}
        doomed = [pid for pid in told if tops & {*with_parents(pid)}]
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

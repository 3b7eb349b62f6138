# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes there are, and which started which: what /proc/PID/stat tells everybody without ever waiting. And signals."""

from __future__ import annotations

import contextlib
import os

from ..files.safe_open import read_text


def process_ids(proc: str = "/proc") -> list[int]:
    return sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def stat_fields(pid: int, proc: str = "/proc") -> list[str]:
    """The fields of /proc/PID/stat after the program's name, which may hold blanks and brackets itself; none if it is gone."""
    return (read_text(f"{proc}/{pid}/stat") or "").rpartition(")")[2].split()


def alive(pid: int) -> bool:
    return stat_fields(pid)[:1] not in ([], ["Z"], ["X"])


def started_ticks(pid: int, proc: str = "/proc") -> int | None:
    """When the process started, in ticks since boot: together with the pid it names one process for ever."""
    fields = stat_fields(pid, proc)
    return int(fields[19]) if len(fields) > 19 else None


def uids_of(pid: int, proc: str = "/proc") -> set[int]:
    """Whose rights a process has: its real, effective and saved user. The folder in /proc is root's where a process says that it
    must not be dumped, so its owner tells nothing."""
    lines = (read_text(f"{proc}/{pid}/status") or "").splitlines()
    return next((set(map(int, line.split()[1:4])) for line in lines if line.startswith("Uid:")), set())


def processes_of(uid: int) -> list[int]:
    """Every living process that has the rights of a user."""
    return [pid for pid in process_ids() if uid in uids_of(pid) and alive(pid)]


def children(proc: str = "/proc") -> dict[int, list[int]]:
    """The living processes, by the one that started them or has adopted them."""
    found: dict[int, list[int]] = {}
    for pid in process_ids(proc):
        fields = stat_fields(pid, proc)
        if len(fields) > 1 and fields[0] != "Z":
            found.setdefault(int(fields[1]), []).append(pid)
    return found


def descendants(pid: int, proc: str = "/proc") -> list[int]:
    """Every living process below `pid`, the nearest first. A notebook's kernel has a session of its own: no group reaches it."""
    below = children(proc)
    found = below.get(pid, [])[:]
    for child in found:
        found += below.get(child, [])
    return found


def send(pid: int, number: int) -> None:
    """Send a signal to a process, which may be gone or another user's by now."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of what runs for the runtime's user, by root: nothing of that user's is asked, believed or waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from colab_ready.core.accounts import is_runtime_account
from colab_ready.files.safe_open import read_bytes
from colab_ready.process.boundary import BoundaryError, run_as
from colab_ready.process.identity import Account
from colab_ready.system.processes import descendants, processes_of, send

from .core import PROC_BYTES_MAX, Problem
from .settings import Settings
from .supervisor import LOOK_SECONDS, RunDir

END_SECONDS = 20.0
# The role colab gives it to the account that it makes, and takes no other away.


def is_own_account(settings: Settings) -> bool:
    """Whether the account was made for the runtime, so that all that runs with its rights is of the runtime."""
    return is_runtime_account(settings.account.pw_gecos)


def with_mark(pids: list[int], mark: bytes) -> list[int]:
    """Those that were started with this in their environment. Who hides it is not found."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if mark in read_bytes(f"/proc/{pid}/environ", PROC_BYTES_MAX).split(b"\0"):
                found.append(pid)
    return found


def rest_of(settings: Settings) -> list[int]:
    """What runs of the runtime: all of its own account. Of a person's account what holds the supervisor's lock, with all below
    it, and what has inherited the server's environment; a login of that person's is none of it."""
    account = settings.account
    theirs = processes_of(account.pw_uid)
    if is_own_account(settings) or not theirs:
        return theirs
    run_dir = RunDir(settings.run_dir)
    found = run_dir.holders(run_dir.lock_path, f"{run_dir.lock_path} (deleted)")
    found += [below for pid in found for below in descendants(pid)]
    mark = f"JUPYTER_TOKEN_FILE={settings.token_file}".encode()
    user = Account(account.pw_name, account.pw_uid, account.pw_gid, (), "/")
    # Where a process's memory is a file of its own making, reading it can hang.
    with contextlib.suppress(BoundaryError):
        found += run_as(user, lambda: with_mark(theirs, mark), LOOK_SECONDS)
    return [pid for pid in theirs if pid in found]


def end_rest(settings: Settings) -> bool:
    """Kill what runs, again and again until nothing does; tell whether anything did. The user's own command cannot."""
    if os.geteuid() != 0:
        return False
    account = settings.account
    user = Account(account.pw_name, account.pw_uid, account.pw_gid, (), "/")
    end = time.monotonic() + END_SECONDS
    ended = False
    while rest := rest_of(settings):
        if time.monotonic() > end:
            raise Problem(
                f"{len(rest)} processes of '{settings.user}' cannot be ended. Expected: SIGKILL ends them. Do: see what they are "
                f"(ps -p {','.join(map(str, rest[:5]))}), then sudo colab-runtime stop"
            )
        ended = True
        for pid in rest:
            send(pid, signal.SIGKILL)
        if is_own_account(settings):
            # All at once, which no chain of forks outruns.
            with contextlib.suppress(BoundaryError):
                run_as(user, kill_all, 1.0)
        time.sleep(0.05)
    return ended


def kill_all() -> None:
    """In a child with the user's rights: end everything that it may end."""
    if 0 not in os.getresuid():
        os.kill(-1, signal.SIGKILL)

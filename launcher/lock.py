# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on this computer: a file of root's that names its holder, whom the kernel lets go when he dies.

It lies in root's cache, which nobody else can open: whoever can open a file can lock it for ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator

from .words import Stop, say

WAIT_SECONDS = 30 * 60
WORD_SECONDS = 10


@contextlib.contextmanager
def hold(
    path: str, holder: str, pause: Callable[[float], object] = time.sleep, wait: float = WAIT_SECONDS
) -> Iterator[None]:
    """Wait for the lock with words, hold it, and say in it who holds it. No program that is started inherits it."""
    descriptor = _take(path, pause, wait)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def where_unheld(folder: str | os.PathLike[str], action: Callable[[], object]) -> None:
    """Do something about a run's folder where nobody holds it: its run is dead."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            action()
        finally:
            os.close(descriptor)


def _take(path: str, pause: Callable[[float], object], wait: float) -> int:
    began = time.monotonic()
    said = -1
    while True:
        descriptor = _open(path)
        if _try(descriptor):
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
            continue
        holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "which does not say who it is"
        os.close(descriptor)
        process = (re.findall(r"process (\d+)", holder) or ["PROCESS"])[0]
        waited = time.monotonic() - began
        if waited >= wait:
            raise Stop(
                f"another colab-ready ({holder}) has worked on this computer for more than {wait / 60:.0f} minutes. Expected: it "
                f"ends by itself. Do: see what it does (ps -fp {process}), end it if it hangs (sudo kill {process}), then start "
                "again."
            )
        if int(waited // WORD_SECONDS) > said:
            said = int(waited // WORD_SECONDS)
            after = f" ({said * WORD_SECONDS} s)" if said else ""
            say(f"another colab-ready works on this computer: {holder}; waiting for it to end{after}")
        pause(0.2)


def _open(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stop(
            f"the lock {path} cannot be opened: {error.strerror}. Do: look what is there, and take it away."
        ) from None
    if os.fstat(descriptor).st_uid != os.getuid():
        raise Stop(f"the lock {path} is somebody else's. Expected: root's. Do: take it away.")
    return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_at(path: str, descriptor: int) -> bool:
    """Whether the file that was locked is still the one there: `remove` takes it away."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    return False

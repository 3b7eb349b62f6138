# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a tree that somebody else may have made and may be changing: without recursion, links or other file systems.

A folder in a folder is first moved up beside its parent, so that no depth is too deep: paths and descriptors stay short.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice

# Who goes on putting files into the tree meanwhile is not outrun for ever.
PASSES = 5
ENTRIES_MOST = 10_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_path(path: str) -> None:
    """Remove what is at a path, a folder with all in it; nothing there is fine. Raises OSError.

    The folders above it have to be trusted: nobody else may be able to put a link in their place.
    """
    parent = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_at(parent, os.path.basename(path))
    finally:
        os.close(parent)


def remove_at(parent: int, name: str) -> None:
    """Remove what lies under a name in an open folder; nothing there is fine. Raises OSError."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    empty_at(parent, name)
    os.rmdir(name, dir_fd=parent)


def empty_at(parent: int, name: str) -> None:
    """Remove all that is in a folder, and leave the folder. Raises OSError."""
    with _opened(parent, name) as top:
        for _pass in range(PASSES):
            if not _empty(top):
                return
    raise OSError(errno.ENOTEMPTY, "somebody puts files there all the time", name)


def _empty(top: int) -> bool:
    """Go through all that is in the folder once; tell whether something came or stayed."""
    device = os.fstat(top).st_dev
    prefix = f".removed-{secrets.token_hex(8)}-"
    count = 0
    pending = list(_clear(top))
    while pending:
        name = pending.pop()
        with _opened(top, name, device) as folder:
            for below in _clear(folder):
                count += 1
                if _lifted(folder, below, top, f"{prefix}{count}"):
                    pending.append(f"{prefix}{count}")
        try:
            os.rmdir(name, dir_fd=top)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
    with os.scandir(top) as entries:
        return next(entries, None) is not None


def _lifted(folder: int, name: str, top: int, new_name: str) -> bool:
    """Move a folder up; where that cannot be (overlayfs, for what comes from a lower layer) remove it where it is."""
    try:
        os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=top)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remove_at(folder, name)
        return False
    return True


def _clear(folder: int) -> Iterator[str]:
    """Unlink everything but the folders in a folder; name these one by one: who made them can have made millions."""
    with os.scandir(folder) as entries:
        for entry in islice(entries, ENTRIES_MOST):
            if entry.is_dir(follow_symlinks=False):
                yield entry.name
                continue
            with suppress(FileNotFoundError):
                os.unlink(entry.name, dir_fd=folder)


@contextmanager
def _opened(parent: int, name: str, device: int | None = None) -> Iterator[int]:
    handle = os.open(name, _FOLDER, dir_fd=parent)
    try:
        if device is not None and os.fstat(handle).st_dev != device:
            raise OSError(errno.EBUSY, "another file system is mounted there", name)
        yield handle
    finally:
        os.close(handle)

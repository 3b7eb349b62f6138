# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain files in folders where somebody else may put links: no part of a path is followed, the last one included.

Everything raises OSError. Links are not followed for root's sake alone: on a drive of Windows they lead out of what was meant.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..core.problem import UnsafePath
from .atomic import replace_at
from .guarded_paths import look_at, open_parent
from .safe_open import open_file


@contextmanager
def open_plain_parent(path: str) -> Iterator[tuple[int, str]]:
    """Open the folder of a path step by step; yield its descriptor and the last name, which is a plain file's or nobody's."""
    try:
        with open_parent(path, follow=False) as (folder, name):
            entry = look_at(folder, name)
            if entry is not None and entry.kind == "link":
                raise UnsafePath(f"{name} is a link, which is not followed there")
            if entry is not None and entry.kind != "file":
                raise OSError(errno.EINVAL, "not a regular file")
            yield folder, name
    except UnsafePath as error:
        raise OSError(error.errno, error.strerror, path) from None


@contextmanager
def open_plain(path: str) -> Iterator[int]:
    """Open a regular file for reading."""
    with open_plain_parent(path) as (folder, name):
        handle = open_file(name, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def replace_plain(path: str, content: bytes | None, uid: int, gid: int, mode: int) -> None:
    """Put a file in the place of a plain one, or of none, in one step, with these rights or with less; None: remove it.

    Who may not give it to the group does not give its rights to another. A drive of Windows has neither owners nor modes of ours.
    """

    def dress(handle: int) -> None:
        with suppress(PermissionError):
            os.fchown(handle, uid, gid)
        with suppress(PermissionError):
            os.fchmod(handle, mode if os.fstat(handle).st_gid == gid else mode & ~0o070)

    with open_plain_parent(path) as (folder, name):
        if content is None:
            os.unlink(name, dir_fd=folder)
        else:
            replace_at(folder, name, content, dress)

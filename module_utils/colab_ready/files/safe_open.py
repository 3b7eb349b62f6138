# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a file that somebody else may have made: it may be a link, a pipe, a device, endless, or nonsense.

No link is followed in the last part of the path unless the caller says so, nothing is waited for, and no more is read than was
allowed. `follow` is for files of the system's (/etc/os-release is a link), never for files below a user's folder.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

TEXT_BYTES = 1 << 20


def open_file(
    path: str, flags: int = os.O_RDONLY, mode: int = 0o600, *, follow: bool = False, dir_fd: int | None = None
) -> int:
    """Open a regular file, by default for reading, and return its descriptor; anything else is an OSError."""
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags, mode, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return handle


def read_bytes(path: str, most: int = TEXT_BYTES, *, follow: bool = False, dir_fd: int | None = None) -> bytes:
    """Return a file's content; one that is longer than `most` bytes is an OSError, as is anything but a regular file."""
    handle = open_file(path, follow=follow, dir_fd=dir_fd)
    try:
        content = bytearray()
        # Piece by piece: what /proc says has no size beforehand.
        while len(content) <= most:
            piece = os.read(handle, min(1 << 20, most + 1 - len(content)))
            if not piece:
                return bytes(content)
            content += piece
    finally:
        os.close(handle)
    raise OSError(errno.EFBIG, "too long", path)


def read_text(path: str, most: int = TEXT_BYTES, *, follow: bool = False) -> str | None:
    """Return a file's text, what is no UTF-8 replaced; None where there is none that can be read."""
    try:
        return read_bytes(path, most, follow=follow).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def parse_json(text: str | bytes | None) -> Any:
    """Return what the text says in JSON; None for anything else, absurd nesting and numbers included."""
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None


def parse_object(text: str | bytes | None) -> dict[str, Any] | None:
    """Return the JSON object that the text is; None for anything else."""
    data = parse_json(text)
    return data if isinstance(data, dict) else None


def read_object(path: str, most: int = TEXT_BYTES, *, follow: bool = False) -> dict[str, Any] | None:
    """Return the JSON object in a file; None where there is none that can be read."""
    return parse_object(read_text(path, most, follow=follow))


def read_system_text(path: str) -> str | None:
    """Return the text of a file of the system's, which may be a link; None where there is none to read."""
    return read_text(path, follow=True)

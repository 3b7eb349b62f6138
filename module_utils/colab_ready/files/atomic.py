# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a file in one step: whoever reads it meanwhile, or after a power cut, has the old one or the new one, whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_at(folder: int, name: str, content: bytes, dress: Callable[[int], object]) -> None:
    """Put a new file in the place of whatever file, link or empty folder has this name in an open folder. Raises OSError.

    Until `dress` gives it its owner and mode, by its descriptor, nobody else may read it.
    """
    # One fixed name per file: what a killed run left is taken away by the next one.
    temporary = f".{name}.colab-ready-new"
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=folder)
    handle = os.open(temporary, _NEW, 0o600, dir_fd=folder)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(handle, left) :]
            dress(handle)
            os.fsync(handle)
        finally:
            os.close(handle)
        with suppress(OSError):  # all else than an empty folder
            os.rmdir(name, dir_fd=folder)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise

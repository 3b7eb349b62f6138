# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which build of Windows is around a WSL: 19041 to 19045 is Windows 10, 22000 and newer Windows 11.

Nothing in Linux says it, and `cmd.exe /c ver` would take a tenth of a second and a working interop. So: a GPU driver of
WDDM 3.0 or newer runs on Windows 11 only (Windows refuses to load a newer model than its own:
https://learn.microsoft.com/windows-hardware/drivers/ddi/d3dkmddi/ne-d3dkmddi-_dxgk_wddmversion), and then nobody is
asked. Else a file of Windows is read, which bears the build in its version resource; where the drive is mounted that
takes a few milliseconds, and where it is not, no program of Windows could be found to be asked either.

A yearly release of the same system keeps the files of the first one: 19041 stands for 19045 too, 22621 for 22631.
"""

from __future__ import annotations

import os
import struct

from ..files.plain import open_plain
from ..process.program import NotAnswered
from .facts import Fact, reason
from .interop import as_caller, windows_program

# Small, on every Windows, and its resources hold nothing but its version.
LIBRARY = "Windows/System32/kernel32.dll"
# A drive whose other end hangs must not hang us.
TIMEOUT_SECONDS = 2.0

HEADER_BYTES = 4096
RESOURCE_BYTES = 1 << 20
# VS_FIXEDFILEINFO begins with this signature and the version of the structure.
FIXED_INFO = struct.pack("<II", 0xFEEF04BD, 0x00010000)


def parse_build(header: bytes, resources: bytes) -> int | None:
    """The third part of a library's version, if the first is that of every Windows since 10."""
    place = resources.find(FIXED_INFO)
    if not header.startswith(b"MZ") or place < 0 or len(resources) < place + 16:
        return None
    high, low = struct.unpack_from("<II", resources, place + 8)
    return low >> 16 if high >> 16 == 10 and low >> 16 else None


def resource_section(header: bytes) -> tuple[int, int] | None:
    """Where the section .rsrc of a PE file lies, and how long it is; None where there is none such."""
    try:
        (start,) = struct.unpack_from("<I", header, 0x3C)
        signature, sections, optional = struct.unpack_from("<4s2xH12xH", header, start)
        if signature != b"PE\0\0":
            return None
        for index in range(sections):
            name, size, pointer = struct.unpack_from("<8s8xII", header, start + 24 + optional + 40 * index)
            if name == b".rsrc\0\0\0":
                return pointer, min(size, RESOURCE_BYTES)
    except struct.error:
        pass
    return None


def read_build(path: str) -> int | None:
    """The build that a library of Windows bears. Or OSError."""
    with open_plain(path) as handle:
        header = os.pread(handle, HEADER_BYTES, 0)
        section = resource_section(header)
        return parse_build(header, os.pread(handle, section[1], section[0])) if section else None


def windows_build(
    wanted: bool,
    etc: str = "/etc",
    proc: str = "/proc",
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Fact:
    """Return the build; or None and why, also where nothing depends on it (not `wanted`)."""
    if not wanted:
        return None, reason("not_asked", "nothing hangs on it: each GPU has a driver of Windows 11, or there is none")
    try:
        path = windows_program(LIBRARY, etc, proc, timeout_seconds)
        build = as_caller(lambda: read_build(path), timeout_seconds)
    except NotAnswered as error:
        return None, reason("no_drive", str(error))
    except OSError as error:
        return None, reason("unreadable", f"{path} cannot be read: {error.strerror}")
    if build is None:
        return None, reason("not_said", f"{path} bears no version of Windows 10 or 11")
    return build, None

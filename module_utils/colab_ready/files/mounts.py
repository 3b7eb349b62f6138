# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file systems that are mounted, from a /proc/self/mountinfo."""

from __future__ import annotations

import re

# No owners, modes or links as Linux means them: Windows drives in WSL (9p, drvfs), FAT, NTFS.
FOREIGN_FILESYSTEMS = frozenset(
    ("9p", "drvfs", "exfat", "fuseblk", "msdos", "ntfs", "ntfs3", "v9fs", "vfat", "virtiofs")
)


def parse_mounts(mountinfo: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """(mount point, type, options) of each line of a /proc/self/mountinfo (proc(5))."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        about = right.split(" ")
        if len(fields) > 5 and len(about) > 2:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), fields[4])
            options = tuple(dict.fromkeys(fields[5].split(",") + about[2].split(",")))
            mounts.append((point, about[0], options))
    return mounts


def mount_of(path: str, mountinfo: str) -> tuple[str | None, tuple[str, ...]]:
    """Type and options of the file system that holds `path`; of several on one point the last one is seen."""
    best: tuple[int, str | None, tuple[str, ...]] = (-1, None, ())
    for point, kind, options in parse_mounts(mountinfo):
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= best[0]:
            best = (len(point), kind, options)
    return best[1], best[2]


def drive_without_modes(path: str, mountinfo: str) -> str:
    """Return where the drive that holds `path` is mounted, if it keeps no modes, so that chmod changes nothing there: Windows' in
    WSL do with the option metadata. Empty for any other."""
    best = ("", "", "")
    for point, kind, options in parse_mounts(mountinfo):
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, kind, ";".join(options))
    return best[0] if best[1] in FOREIGN_FILESYSTEMS and "metadata" not in best[2].split(";") else ""

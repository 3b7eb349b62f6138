# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what is at a path, and which file system it is on or would be."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..files import trust
from ..files.mounts import mount_of
from ..files.safe_open import read_system_text


@dataclass(frozen=True)
class Place:
    """What is at a path that may not exist yet, and the file system that it is or would be on."""

    path: str
    kind: str = "missing"
    target: str = ""
    uid: int = 0
    entries: tuple[str, ...] | None = ()
    existing: str = "/"
    free_bytes: int = 0
    free_inodes: int | None = None
    filesystem: str | None = None
    options: tuple[str, ...] = ()
    # How others than root could change what root starts there.
    distrust: str | None = None


def look_at(path: str, proc: str = "/proc") -> Place:
    """What is at an absolute path."""
    existing = path
    while not os.path.isdir(existing) and existing != "/":
        existing = os.path.dirname(existing) or "/"
    kind, target, uid = "missing", "", 0
    entries: tuple[str, ...] | None = ()
    try:
        info = os.lstat(path)
    except OSError:
        pass
    else:
        uid = info.st_uid
        if os.path.islink(path):
            kind, target = "symlink", os.readlink(path)
        elif os.path.isdir(path):
            kind = "directory"
            try:
                entries = tuple(sorted(os.listdir(path)))
            except OSError:
                entries = None
        else:
            kind = "file"
    space = os.statvfs(existing)
    filesystem, options = mount_of(os.path.realpath(existing), read_system_text(f"{proc}/self/mountinfo") or "")
    return Place(
        path=path,
        kind=kind,
        target=target,
        uid=uid,
        entries=entries,
        existing=existing,
        free_bytes=space.f_bavail * space.f_frsize,
        # Some file systems (btrfs, overlay on it) do not count inodes and say 0.
        free_inodes=space.f_favail if space.f_files else None,
        filesystem=filesystem,
        options=options,
        distrust=_distrust_prefix(path) if kind == "directory" else trust.distrust_way(path, {0}),
    )


def _distrust_prefix(path: str) -> str | None:
    """Say how others than root could change the folders of a prefix in which root starts programs."""
    for name in ("tools", "server", "pythons"):
        reason = trust.distrust_way(f"{path}/{name}", {0})
        if reason:
            return reason
    return trust.distrust_tree(f"{path}/tools", {0}) or trust.distrust_tree(f"{path}/server/bin", {0})

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and files by descriptor, for work in places where other users may write.

A path that was looked at can lead somewhere else a moment later, if somebody else may write along it. Here every
directory is opened once, step by step and without following what others could have placed, and what is looked at or
changed afterwards is that descriptor.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import NamedTuple

from ..core.problem import Refused, UnsafePath
from . import safe_open
from .atomic import replace_at

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Attributes(NamedTuple):
    uid: int
    gid: int
    mode: int


class Entry(NamedTuple):
    """What lies under a name: `kind` is directory, file, link or special."""

    kind: str
    uid: int
    gid: int
    mode: int
    links: int
    has_acl: bool = False

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.uid, self.gid, self.mode)


def _entry(info: os.stat_result, has_acl: bool = False) -> Entry:
    kinds = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(info.st_mode), "special")
    return Entry(kind, info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode), info.st_nlink, has_acl)


@contextmanager
def open_directory(path: str, owners: Set[int] = frozenset(), follow: bool = True) -> Iterator[int]:
    """A descriptor of the directory at this absolute path.

    Without `follow`, no symbolic link on the way is, and no step goes up.

    A symbolic link on the way is followed only where it and its directory belong to root or to us and nobody else may
    write there; from then on every directory must belong to root, to us or to `owners`. So /home may be a link, and
    ~/.jupyter may not.
    """
    trusted = {0, os.geteuid()}
    handle = os.open("/", _DIRECTORY)
    try:
        todo = _parts(path)
        links, walked = 0, ""
        while todo:
            name = todo.pop()
            here = os.fstat(handle)
            info = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if not follow and (stat.S_ISLNK(info.st_mode) or name == ".."):
                raise UnsafePath("%s/%s is a link, which is not followed there" % (walked, name))
            if stat.S_ISLNK(info.st_mode):
                links += 1
                foreign = {info.st_uid, here.st_uid} - trusted
                if foreign or here.st_mode & WRITABLE_BY_OTHERS or links > _MAX_LINKS:
                    raise UnsafePath("%s/%s is a symbolic link, which is not followed there" % (walked, name))
                target = os.readlink(name, dir_fd=handle)
                if os.path.isabs(target):
                    os.close(handle)
                    handle, walked = os.open("/", _DIRECTORY), ""
                todo += _parts(target)
                continue
            opened = os.open(name, _DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle, walked = opened, "%s/%s" % (walked, name)
            if links and os.fstat(handle).st_uid not in trusted | owners:
                raise UnsafePath("%s leads over a symbolic link to a directory of another user" % path)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def open_parent(path: str, follow: bool = True) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that this path lies in, and the last name. Errors name the path."""
    folder, name = os.path.split(path)
    try:
        with open_directory(folder, follow=follow) as handle:
            yield handle, name
    except UnsafePath:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def look(handle: int) -> Entry:
    """What this descriptor is."""
    try:
        has_acl = "system.posix_acl_access" in os.listxattr(handle)
    except OSError:
        has_acl = False
    return _entry(os.fstat(handle), has_acl)


def look_at(parent: int, name: str) -> Entry | None:
    """What lies in a directory under this name, without opening it."""
    try:
        return _entry(os.stat(name, dir_fd=parent, follow_symlinks=False))
    except FileNotFoundError:
        return None


@contextmanager
def open_entry(parent: int, name: str, directory: bool = False) -> Iterator[int]:
    """A descriptor of a directory or a regular file in this directory; anything else is an OSError."""
    handle = os.open(name, _DIRECTORY, dir_fd=parent) if directory else safe_open.open_file(name, dir_fd=parent)
    try:
        yield handle
    finally:
        os.close(handle)


def set_attributes(handle: int, wanted: Attributes) -> None:
    now = look(handle).attributes
    if (now.uid, now.gid) != (wanted.uid, wanted.gid):
        os.fchown(handle, wanted.uid, wanted.gid)
    # After chown, which clears the set-id bits.
    if look(handle).mode != wanted.mode:
        os.fchmod(handle, wanted.mode)


def make_directory(parent: int, name: str, wanted: Attributes) -> None:
    os.mkdir(name, 0o700, dir_fd=parent)
    with open_entry(parent, name, directory=True) as handle:
        set_attributes(handle, wanted)


def read(parent: int, name: str) -> bytes:
    """The content of a regular file that is no longer than a configuration file can be. Raises OSError."""
    return safe_open.read_bytes(name, dir_fd=parent)


def read_file(path: str) -> tuple[Entry | None, bytes | None]:
    """What is at this path, if anything, and its content; a link is not followed and has none. Raises Problem, OSError."""
    try:
        with open_parent(path) as (handle, name):
            entry = look_at(handle, name)
            if entry is not None and entry.kind not in ("file", "link"):
                raise Refused("%s is a %s. Expected a file, or nothing. Move it away." % (path, entry.kind))
            return entry, read(handle, name) if entry is not None and entry.kind == "file" else None
    except FileNotFoundError:
        return None, None


def read_own_file(path: str) -> tuple[Entry | None, bytes | None]:
    """The same of a place where a link is an error."""
    entry, content = read_file(path)
    if entry is not None and entry.kind == "link":
        raise Refused("%s is a link. Expected a file, or nothing. Replace it by one." % path)
    return entry, content


def write_file(path: str, content: bytes | None, wanted: Attributes) -> None:
    """Put a new file in the place of whatever file or link is at this path; None: take that away."""
    with open_parent(path) as (handle, name):
        if content is None:
            os.unlink(name, dir_fd=handle)
        else:
            replace_at(handle, name, content, lambda new: set_attributes(new, wanted))

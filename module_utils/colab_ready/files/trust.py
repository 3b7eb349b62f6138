# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether somebody else can change what root is about to run or to read.

One rule for the checkout, the prefix, the settings and every program: each folder from / to the path, and each file in
a tree, belongs to one of the trusted users (`uids`), and nobody else may write to it. Each function returns None, or
one clause that names the path and its owner.
"""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import stat
from collections import deque
from collections.abc import Collection

LINKS_MAX = 40  # as in the kernel (path_resolution(7))
ENTRIES_MAX = 200_000
ACCESS_LIST = "system.posix_acl_access"


def distrust_way(path: str, uids: Collection[int]) -> str | None:
    """How others can put something else in place of an absolute path, along its folders and links or in itself.

    In a folder like /tmp (sticky bit) they can only make what is not there yet. A path that does not exist is judged by
    the folders that do.
    """
    waiting = deque(_parts(path))
    here, open_folder, links = "/", False, 0
    reason = _change(here, os.lstat(here), uids)
    while waiting and not reason:
        name = waiting.popleft()
        if name == "..":
            here, open_folder = os.path.dirname(here), False
            continue
        child = os.path.join(here, name)
        try:
            info = os.lstat(child)
        except FileNotFoundError:
            return f"{child} is not there yet, and everybody may make it" if open_folder else None
        except OSError as error:
            return f"{child} cannot be looked at ({error.strerror})"
        reason = _change(child, info, uids)
        if stat.S_ISLNK(info.st_mode):
            links += 1
            if links > LINKS_MAX:
                return f"{path} leads through more than {LINKS_MAX} symbolic links"
            target = os.readlink(child)
            waiting.extendleft(reversed(_parts(target)))
            if target.startswith("/"):
                here, open_folder = "/", False
            continue
        open_folder = bool(reason and waiting and info.st_mode & stat.S_ISVTX and info.st_uid in uids)
        if open_folder:
            reason = None
        here = child
    return reason


def distrust_tree(path: str, uids: Collection[int], limit: int = ENTRIES_MAX, *, follow: bool = False) -> str | None:
    """How others can change a file or a folder below (and including) a path; a link counts with the way to where it leads.

    `follow` is for a tree whose reader follows links: then what lies below the target counts too.
    """
    waiting, seen, followed = [path, *([os.path.realpath(path)] if os.path.islink(path) else [])], 0, set()
    while waiting:
        folder = waiting.pop()
        try:
            info = os.lstat(folder)
            if not stat.S_ISDIR(info.st_mode):
                entries = []
            else:
                with os.scandir(folder) as found:
                    entries = list(found)
        except FileNotFoundError:
            continue  # gone since it was listed
        except OSError as error:
            return f"{folder} cannot be looked at ({error.strerror})"
        reason = _change(folder, info, uids) or (distrust_way(folder, uids) if stat.S_ISLNK(info.st_mode) else None)
        seen += len(entries)
        if seen > limit and not reason:
            reason = f"{path} holds more than {limit} files"
        if reason:
            return reason
        waiting.extend(entry.path for entry in entries)
        if follow and stat.S_ISLNK(info.st_mode) and (target := os.path.realpath(folder)) not in followed:
            followed.add(target)
            waiting.append(target)
    return None


@functools.cache
def others_in_group(gid: int, uids: frozenset[int]) -> frozenset[int]:
    """Return a group's members besides root and the trusted users; a user's private group has none."""
    members = {account.pw_uid for account in pwd.getpwall() if account.pw_gid == gid}
    with contextlib.suppress(KeyError):
        for name in grp.getgrgid(gid).gr_mem:
            with contextlib.suppress(KeyError):
                members.add(pwd.getpwnam(name).pw_uid)
    return frozenset(members - {0, *uids})


def user_name(uid: int) -> str:
    """Name a user; one without an account by the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _change(path: str, info: os.stat_result, uids: Collection[int]) -> str | None:
    """How others can change one file or folder. The mode of a link means nothing."""
    if info.st_uid not in uids:
        return f"{path} belongs to {user_name(info.st_uid)}"
    if stat.S_ISLNK(info.st_mode):
        return None
    mode = stat.S_IMODE(info.st_mode)
    if mode & 0o002:
        return f"{path} (of {user_name(info.st_uid)}) can be changed by everybody: its mode is {mode:04o}"
    if mode & 0o020:
        # An access list that grants writing to anybody shows in the bits of the group.
        with contextlib.suppress(OSError):
            if ACCESS_LIST in os.listxattr(path):
                return f"{path} (of {user_name(info.st_uid)}) can be changed by others: it has an access control list"
        if others_in_group(info.st_gid, frozenset(uids)):
            return f"{path} (of {user_name(info.st_uid)}) can be changed by its group: its mode is {mode:04o}"
    return None

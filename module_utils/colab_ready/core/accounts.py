# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and names of users and groups. What has no account is named by its number."""

from __future__ import annotations

import grp
import os
import pwd

# By this the account is known that was made for the runtime, and for nothing else.
RUNTIME_COMMENT = "colab-ready runtime user"


def is_runtime_account(comment: str) -> bool:
    """Whether an account's comment is that of the account made for the runtime. Behind a comma stands what its user may change
    (chfn(1))."""
    return comment.partition(",")[0] == RUNTIME_COMMENT


def uid_of(name: str) -> int | None:
    """Return the number of a user, given by name or number."""
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """Return the number of a group, given by name or number."""
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def primary_gid(uid: int) -> int:
    """Return the group that a user's new files get; of a user without an account, this process's."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return os.getegid()


def user_name(uid: int) -> str:
    """Name a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Name a group."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

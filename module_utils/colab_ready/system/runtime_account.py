# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which account the runtime is to have."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from ..core.accounts import is_runtime_account


@dataclass(frozen=True)
class Account:
    """The part of a passwd entry that matters here."""

    name: str
    uid: int
    home: str
    home_exists: bool = True
    # Made for the runtime, and its home where such an account has it is open to others.
    home_open: bool = False


def account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    ours = is_runtime_account(entry.pw_gecos) and entry.pw_dir == f"/home/{name}"
    return Account(
        entry.pw_name, entry.pw_uid, entry.pw_dir, os.path.isdir(entry.pw_dir), ours and is_open(entry.pw_dir)
    )


def is_open(folder: str) -> bool:
    """Whether a folder lets others than its owner in."""
    try:
        return bool(os.lstat(folder).st_mode & 0o077)
    except OSError:
        return False

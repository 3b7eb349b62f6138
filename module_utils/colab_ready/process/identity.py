# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose rights a process has, and giving up root's for good."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

# <linux/prctl.h>
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38


@dataclass(frozen=True)
class Account:
    """An account of the host; `groups` are all of its group ids."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


# Who owns nothing; the number is the kernel's own for "no user".
NOBODY = Account("nobody", 65534, 65534, (65534,), "/")


def account_named(name: str) -> Account:
    """Look an account up; raises KeyError where the host has none of that name."""
    return _account(pwd.getpwnam(name))


def current_account() -> Account:
    """Return the account that this process acts as; one without a passwd entry is called by its number."""
    uid = os.geteuid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(str(uid), uid, os.getegid(), tuple(os.getgroups()), "/")


def who_called(environ: Mapping[str, str]) -> Account:
    """Return whose rights gets what root must not do with its own: the caller's, behind sudo or doas, or else nobody's."""
    if os.geteuid() != 0:
        return current_account()
    for name in (environ.get("SUDO_USER"), environ.get("DOAS_USER")):
        with suppress(KeyError):
            account = account_named(name or "")
            if account.uid != 0:
                return account
    return NOBODY


def _account(entry: pwd.struct_passwd) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def changes_identity(account: Account) -> bool:
    """Tell whether a child has to give up root to act as the account."""
    return os.geteuid() == 0 and account.uid != 0


def become(account: Account) -> Callable[[], None]:
    """Return what a new child calls before anything else: from then on it has the account's rights and no way back.

    no_new_privs keeps setuid programs, sudo among them, from giving root back. What is loaded here is loaded before the fork.
    """
    switch = changes_identity(account)
    prctl = load_prctl()

    def give_up_root() -> None:
        if switch:
            os.setgroups(list(account.groups))
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        # It dies with its parent. After the ids: a change of them clears it.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    return give_up_root


def load_prctl() -> Callable[[int, int], object]:
    """prctl(2) of this process; where it cannot be had a safety net is lost, and nothing else."""
    try:
        call = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return lambda option, value: None
    return lambda option, value: call(option, value, 0, 0, 0)


def dump_no_core() -> None:
    """For a new child: 1 byte also keeps a piped core_pattern (WSL's crash collector) away, which 0 does not (core(5))."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (1, hard) if hard else (0, 0))

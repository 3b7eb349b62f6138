# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups whose members may open a GPU's device files (no WSL has them): who gets into them, and out of them again.

The record (backends/host.py) keeps a pair, user and group, for each membership that was not there before; a group that is not
there is not made, as then no device file can be its own.
"""

from __future__ import annotations

import grp
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..core.accounts import primary_gid
from ..core.problem import Problem
from ..core.remedy import pick
from . import runtime_account

# Starts a program and says its exit status.
Run = Callable[[Sequence[str]], int]


class Memberships(NamedTuple):
    """Of the wanted groups, those that a user is to join, and those that there are not."""

    to_join: list[str]
    missing: list[str]


def user_problem(user: str, backend: str) -> Problem | None:
    if runtime_account.account(user) is not None:
        return None
    do = pick("colab_user=NAME", "one that exists")
    return Problem(f"{backend}_user", f"there is no user {user}", "the user who runs the kernels", do)


def look(user: str, wanted: Sequence[str]) -> Memberships:
    """The group that is a user's own by passwd counts as one that the user is in. In check mode there may be no user yet."""
    account = runtime_account.account(user)
    own = primary_gid(account.uid) if account else None
    members = {one.gr_name: [*one.gr_mem, *([user] if one.gr_gid == own else [])] for one in grp.getgrall()}
    there = [name for name in wanted if name in members]
    return Memberships(
        [name for name in there if user not in members[name]], [name for name in wanted if name not in there]
    )


def join(
    user: str, name: str, recorded: list[list[str]], write: Callable[[], None], run: Run, backend: str
) -> Problem | None:
    """It is recorded before it is done, so that it can be taken back whatever ends this run."""
    pair = [user, name]
    is_new = pair not in recorded
    if is_new:
        recorded.append(pair)
        write()
    if run(["/usr/sbin/usermod", "--append", "--groups", name, user]) == 0:
        return None
    if is_new:
        # Whoever does it by hand, as the message says, keeps it.
        recorded.remove(pair)
        write()
    do = f"sudo usermod -aG {name} {user}, which says why not; then ./colab-ready"
    return Problem(f"{backend}_group", f"{user} could not be put into the group {name}", "a member", do)


def still_there(recorded: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """A member may have gone since then, and so may the group or the user."""
    members = {one.gr_name: one.gr_mem for one in grp.getgrall()}
    return [(user, name) for user, name in recorded if user in members.get(name, ())]


def leave(user: str, name: str, run: Run) -> str | None:
    """A sentence if it cannot be taken back."""
    command = ["/usr/bin/gpasswd", "--delete", user, name]
    if run(command) == 0:
        return None
    return f"{user} stays in the group {name}, which {command[0]} did not change: sudo gpasswd --delete {user} {name}"

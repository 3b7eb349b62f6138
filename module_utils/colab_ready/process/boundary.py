# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one boundary between root and a user: work on what the user owns, done whole in a child that has given up root for good.

Root calls `run_as` with the account and a function; the function's answer comes back, bounded in size and time, and nothing in it
may choose what root executes. The child has the account's ids and groups, no_new_privs, a session of its own, no descriptor but
its answer's, and dies with its parent. It is a fork, so all that the function uses has to be imported before the call: Ansible's
modules run from a zip file that the account may not read. A program that the function starts may live on under the account's id;
it has none of root's descriptors.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any

from .fork import Outcome, run_forked
from .identity import Account, become, changes_identity

# What the account's files can make the child, and what it starts, use of memory: uv and torch map far less.
MEMORY_BYTES = 16 << 30


class BoundaryError(Exception):
    """The child gave no answer; `kind` is as of fork.Outcome, without ok."""

    def __init__(self, account: Account, outcome: Outcome) -> None:
        super().__init__(f"what is done with the rights of {account.name} gave no answer: {outcome.text}")
        self.kind = outcome.kind
        self.step = outcome.step


def run_as(account: Account, work: Callable[[], Any], seconds: float) -> Any:
    """Call `work` with the rights of the account alone and return its answer, as JSON says it. Raises BoundaryError.

    Where this process is the account already, or is no root, the work is done here: there is nothing to give up.
    """
    if not changes_identity(account):
        return work()
    outcome = run_forked(lambda _say: work(), seconds, prepare=_prepare(account))
    if outcome.kind != "ok":
        raise BoundaryError(account, outcome)
    return outcome.value


def _prepare(account: Account) -> Callable[[int], None]:
    give_up_root = become(account)

    def prepare(writer: int) -> None:
        os.setsid()
        os.chdir("/")
        os.closerange(3, writer)
        os.closerange(writer + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, MEMORY_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        give_up_root()

    return prepare

"""Finding 9: root's commands waited for ever, or grew without a limit, for what a user had left."""

from __future__ import annotations

import pytest
from security.hangs import HANGS
from security.hosts import SecurityHost
from security.mixes import draw, try_mix

NAMED = {hang.name: hang for hang in HANGS}
# Everything that can be there at once. Without systemd all of it is possible.
MOST = [
    "the pid of the supervisor is a pipe",
    "the state of the supervisor is a pipe",
    "the lock of the supervisor is a pipe",
    "the log of the server is a pipe",
    "pyvenv.cfg is a pipe",
    "pip.conf is a pipe",
    "a child keeps the output",
    "somebody locks /etc/os-release",
    "somebody locks the kernels' environment",
]


def test_no_pipe_no_lock_and_no_child_makes_root_wait(plain_host: SecurityHost) -> None:
    assert try_mix(plain_host, [NAMED[name] for name in MOST]) == []


def test_no_answer_makes_root_wait_or_grow(plain_host: SecurityHost) -> None:
    names = ("the server answers one byte at a time", "Python prints without end")
    assert try_mix(plain_host, [NAMED[name] for name in names]) == []


def test_who_stops_his_processes_does_not_stop_root(root_host: SecurityHost) -> None:
    assert try_mix(root_host, [NAMED["somebody stops who looks at his processes"]]) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_no_mix_of_them_makes_root_wait(student_host: SecurityHost, seed: int) -> None:
    mix = draw(student_host, seed)
    assert try_mix(student_host, mix) == [], [hang.name for hang in mix]

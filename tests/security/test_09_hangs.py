"""Finding 9: root's commands waited for ever, or grew without a limit, for what a user had left."""

from __future__ import annotations

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


# These two have what is not among the above: a server that drips, a Python that prints on, a child that is stopped. Each
# command that asks such a server waits as long as it may.
def test_the_mix_of_seed_8_makes_nobody_wait(plain_host: SecurityHost) -> None:
    assert try_mix(plain_host, draw(plain_host, 8), commands=("url", "stop --force")) == []


def test_the_mix_of_seed_43_makes_nobody_wait(student_host: SecurityHost) -> None:
    assert try_mix(student_host, draw(student_host, 43)) == []

"""The ways in which root's commands were made to wait for ever, or to grow without a limit (finding 9), each as something to
plant and to take back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from security.hosts import ATTACKS, KERNEL, SecurityHost

PORT = "8888"
RUN = "/run/colab-ready"
# A number that no other sleep has, by which the left behind are found.
LEFT_BEHIND = "sleep 86413"
KEEPS_OUTPUT = f'setsid {LEFT_BEHIND} &\nexec "$real" "$@"'
# A kernel is the real one: it is what the server runs, not root.
KERNELS_RUN = 'case "$*" in *ipykernel*) exec "$real" "$@";; esac'
PRINTS_ON = f"{KERNELS_RUN}\nexec yes 'there is no end of it'"

Planted = Callable[[SecurityHost], "contextlib.AbstractContextManager[None]"]


@dataclass(frozen=True)
class Hang:
    """Two of the same `place` exclude each other. Those of the port need a server that was stopped before."""

    name: str
    place: str
    planted: Planted
    only_without_systemd: bool = False


def file(how: str, path: str, *more: str) -> Planted:
    @contextlib.contextmanager
    def planted(host: SecurityHost) -> Iterator[None]:
        target = path.replace("~", host.home)
        # systemd takes this folder away where the server is stopped.
        if path.startswith(RUN) and host.run("test", "-d", RUN).returncode != 0:
            yield
            return
        host.attack("plant.py", how, target, *more, user=host.user)
        try:
            yield
        finally:
            host.run("python3", "-I", f"{ATTACKS}/plant.py", "back", target, user=host.user)
            host.end(LEFT_BEHIND)

    return planted


def lock(path: str) -> Planted:
    return lambda host: host.attacking("hold.py", "lock", path, user="bob")


def port(how: str, of_the_user: bool) -> Planted:
    return lambda host: host.attacking("hold.py", how, PORT, user=host.user if of_the_user else "bob")


HANGS = [
    Hang("the pid of the supervisor is a pipe", f"{RUN}/supervisor.pid", file("pipe", f"{RUN}/supervisor.pid")),
    Hang("pyvenv.cfg is a pipe", "pyvenv.cfg", file("pipe", f"{KERNEL}/pyvenv.cfg")),
    Hang("pip.conf is a pipe", "pip.conf", file("pipe", "~/.config/pip/pip.conf")),
    Hang("a child keeps the output", "python", file("program", f"{KERNEL}/bin/python", KEEPS_OUTPUT)),
    Hang("Python prints without end", "python", file("program", f"{KERNEL}/bin/python", PRINTS_ON)),
    Hang("the state of the supervisor is a pipe", "json", file("pipe", f"{RUN}/supervisor.json"), True),
    Hang("the lock of the supervisor is a pipe", "lock", file("pipe", f"{RUN}/supervisor.lock"), True),
    Hang("the log of the server is a pipe", "log", file("pipe", "/var/log/colab-ready/server.log"), True),
    Hang("the server answers one byte at a time", "port", port("drip", of_the_user=True)),
    Hang("somebody locks /etc/os-release", "os-release", lock("/etc/os-release")),
    Hang("somebody locks the kernels' environment", "environment", lock(KERNEL)),
    Hang("somebody stops who looks at his processes", "port", port("freeze", of_the_user=False)),
]


def possible(host: SecurityHost) -> list[Hang]:
    return [hang for hang in HANGS if not (host.systemd and hang.only_without_systemd)]

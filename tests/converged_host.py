"""A host that `./colab-ready` converged, for the tests that knock at its door: clients, attackers, a browser.

Three ways to one, the first that applies:

- COLAB_READY_TEST_HERE=1 (`./colab-ready test browser --here`): this computer itself. It is converged, tried, broken and
  repaired: for throw-away computers, such as a fresh container without a Docker engine.
- COLAB_READY_TEST_HOST=NAME: a container that is there and converged already; it is left as it is found.
- else a fresh container, converged once for all these tests, and taken away after them.

The server listens on the host's own loopback, so a test enters the host's network (`ConvergedHost.network`) and is, for
the server and for the browser it starts, on the same computer.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import docker_engine

PROJECT = Path(__file__).resolve().parent.parent
HERE = "COLAB_READY_TEST_HERE"
GIVEN = "COLAB_READY_TEST_HOST"
CLONE_NEWNET = 0x40000000  # <linux/sched.h>
MINUTE = 60
RUNTIME = "/usr/local/bin/colab-runtime"
CONFIG = "/etc/colab-ready/jupyter/jupyter_server_config.json"


class HostError(RuntimeError):
    """There is no converged host, and what to do about it."""


@dataclass(frozen=True)
class ConvergedHost:
    """`container` is its name; None for this computer. `home` holds the checkout."""

    container: str | None
    checkout: str

    # --- what happens on the host

    def run(
        self, *command: str, user: str = "root", stdin: str | None = None, timeout: float = 5 * MINUTE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there; the caller looks at the exit code."""
        if self.container is not None:
            pipe = ["--interactive"] if stdin is not None else []
            arguments = ["exec", *pipe, "--user", user, self.container, *command]
            return docker_engine.docker(*arguments, check=False, stdin=stdin, timeout=timeout)
        become = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [*become, *command], input=stdin or "", capture_output=True, text=True, timeout=timeout, check=False
        )

    def must(self, *command: str, user: str = "root", stdin: str | None = None, timeout: float = 5 * MINUTE) -> str:
        """Run a command there that has to succeed; its stdout."""
        done = self.run(*command, user=user, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def colab_ready(self, *arguments: str, timeout: float = 15 * MINUTE) -> subprocess.CompletedProcess[str]:
        return self.run(f"{self.checkout}/colab-ready", *arguments, timeout=timeout)

    def converge(self, *arguments: str) -> None:
        done = self.colab_ready(*arguments)
        if done.returncode != 0:
            raise HostError(
                f"./colab-ready ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )

    def verify(self) -> dict[str, Any]:
        """The report of `./colab-ready verify --json`, whatever it says."""
        done = self.colab_ready("verify", "--json")
        assert done.stdout.startswith("{"), f"verify wrote no report ({done.returncode}):\n{done.stdout}\n{done.stderr}"
        return dict(json.loads(done.stdout))

    def restart(self) -> None:
        """Start the server anew; it answers when this returns."""
        done = self.run(RUNTIME, "restart", "--force")
        if done.returncode != 0:
            log = self.run("journalctl", "--no-pager", "--output", "short-precise", "-n", "150").stdout
            raise AssertionError(f"restart ended with {done.returncode}:\n{done.stdout}\n{done.stderr}\n{log}")

    # --- its files

    def read(self, path: str) -> str:
        return self.must("cat", path)

    def write(self, path: str, text: str) -> None:
        """Replace what is in a file; a file that is there keeps its owner and mode."""
        self.must("sh", "-c", 'cat >"$1"', "write", path, stdin=text)

    @contextlib.contextmanager
    def changed(self, files: Mapping[str, str]) -> Iterator[None]:
        """The host with other text in these files and the server started anew; as it was, afterwards."""
        before = {path: self.read(path) for path in files}
        try:
            for path, text in files.items():
                self.write(path, text)
            self.restart()
            yield
        finally:
            for path, text in before.items():
                self.write(path, text)
            self.restart()

    @contextlib.contextmanager
    def server_settings(self, **changes: Any) -> Iterator[None]:
        """The server with other ServerApp settings (None: without), as somebody's editor would leave them."""
        config = json.loads(self.read(CONFIG))
        settings = {**config["ServerApp"], **changes}
        config["ServerApp"] = {key: value for key, value in settings.items() if value is not None}
        with self.changed({CONFIG: json.dumps(config)}):
            yield

    # --- its door

    @property
    def settings(self) -> dict[str, Any]:
        """What the runtime runs with (/etc/colab-ready/runtime.json): user, port, prefix, ..."""
        return dict(json.loads(self.read("/etc/colab-ready/runtime.json")))

    @property
    def port(self) -> int:
        return int(self.settings["port"])

    @property
    def base(self) -> str:
        """The server's address, without a token and without a slash at the end."""
        return f"http://localhost:{self.port}"

    @property
    def token(self) -> str:
        return self.read("/etc/colab-ready/token")

    @property
    def user(self) -> str:
        """Who runs the kernels."""
        return str(self.settings["user"])

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This thread, and the programs and threads it starts, in the host's network: its loopback is theirs."""
        if self.container is None:
            yield
            return
        target = f"/proc/{self.process()}/ns/net"
        mine = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(target)
            try:
                yield
            finally:
                _set_network(mine)
        finally:
            os.close(mine)

    def process(self) -> int:
        """The first process of the container, as this computer counts. Another one after the container's restart."""
        assert self.container is not None
        return int(docker_engine.docker("inspect", "--format", "{{.State.Pid}}", self.container).stdout)

    def root(self) -> Path:
        """The host's file tree, as this computer sees it."""
        return Path("/") if self.container is None else Path(f"/proc/{self.process()}/root")


def _enter(path: str) -> None:
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_network(target)
        finally:
            os.close(target)
    except PermissionError as error:
        raise HostError(
            f"The container's network cannot be entered ({error}). Expected: root, since these tests stand on the host's "
            "own loopback. Do: run them as root, or in a throw-away container: ./colab-ready test browser --here."
        ) from error


def _set_network(descriptor: int) -> None:
    """setns(2); os.setns comes with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def is_this_computer() -> bool:
    return os.environ.get(HERE) == "1"


@contextlib.contextmanager
def converged() -> Iterator[ConvergedHost]:
    """See above. Without HERE an engine has to answer."""
    if is_this_computer():
        host = ConvergedHost(None, str(PROJECT))
        host.converge()
        yield host
        return
    given = os.environ.get(GIVEN)
    if given:
        yield ConvergedHost(given, "/root/colab-ready")
        return
    name = f"colab-ready-door-{os.getpid()}"
    docker_engine.create(name, "systemd", outfitted=True)
    try:
        host = ConvergedHost(name, "/root/colab-ready")
        docker_engine.docker(
            "exec", "--interactive", name, "sh", "-c", 'mkdir "$1" && tar -x --no-same-owner -C "$1"', "unpack",
            host.checkout, stdin=checkout.archive(),
        )  # fmt: skip
        host.converge()
        yield host
    finally:
        docker_engine.remove(name)

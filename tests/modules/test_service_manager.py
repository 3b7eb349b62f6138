"""colab_http_over_ws.service_manager in a real Jupyter Server: the manager's sockets, and the word that the server answers."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from extension_server import EXTENSION, SECONDS, TOKEN

PROGRAM = """
from colab_http_over_ws import service_manager
service_manager.install({sockets})
from jupyter_server.serverapp import main
main()
"""
LIMIT_SECONDS = 2.0
FILES = 100


class Managed:
    """A server, and its manager."""

    def __init__(self, folder: Path, python: Path) -> None:
        config = folder / "config"
        config.mkdir()
        (folder / "token").write_text(TOKEN)
        self.sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self.sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # no IPv6 here
            self.sockets.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        names = ("jupyterlab", "notebook", "notebook_shim", "jupyter_lsp", "jupyter_server_terminals")
        app = {"port": self.port, "port_retries": 0, "jpserver_extensions": dict.fromkeys(names, False)}
        (config / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": app}))
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        numbers = [one.fileno() for one in self.sockets]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-c", PROGRAM.format(sockets=numbers), "--no-browser", "--allow-root"],
                pass_fds=numbers,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
                cwd=folder,
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": str(folder),
                    "PYTHONPATH": str(EXTENSION),
                    "JUPYTER_CONFIG_DIR": str(config),
                    "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
                    "JUPYTER_TOKEN_FILE": str(folder / "token"),
                    "NOTIFY_SOCKET": str(folder / "notify"),
                    "WATCHDOG_USEC": str(int(LIMIT_SECONDS * 1e6)),
                    "WATCHDOG_PID": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def hears(self, seconds: float) -> bytes | None:
        """What the server says next; None where it says nothing in this time."""
        self.manager.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            return self.manager.recv(1000)
        return None

    def falls_silent(self) -> bool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if self.hears(LIMIT_SECONDS) is None:
                return True
        return False

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def exhausted(self) -> Iterator[None]:
        """With more connections than it has descriptors."""
        held = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(FILES)]
        yield
        for one in held:
            one.close()


@pytest.fixture
def managed(tmp_path: Path, server_python: Path) -> Iterator[Managed]:
    made = Managed(tmp_path, server_python)
    yield made
    made.process.kill()
    made.process.wait()
    for one in (made.manager, *made.sockets):
        one.close()


def answer(address: str, port: int) -> bytes:
    with socket.create_connection((address, port), SECONDS) as client:
        client.sendall(b"GET /api HTTP/1.0\r\n\r\n")
        return client.recv(100)


@pytest.mark.parametrize("state", [Managed.stopped, Managed.exhausted])
def test_a_server_says_that_it_answers_as_long_as_it_does(
    managed: Managed, state: Callable[[Managed], contextlib.AbstractContextManager[None]]
) -> None:
    assert managed.hears(SECONDS) == b"READY=1\nWATCHDOG=1"
    for one in managed.sockets:
        assert b" 200 " in answer(one.getsockname()[0], managed.port)
    # On the manager's sockets, and on no others.
    held = {f"socket:[{os.fstat(one.fileno()).st_ino}]" for one in managed.sockets}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    links = Path(f"/proc/{managed.process.pid}/fd").iterdir()
    assert {link.readlink().name for link in links if link.is_symlink()} & listening == held
    assert managed.hears(LIMIT_SECONDS) is not None
    with state(managed):
        assert managed.falls_silent()
    assert managed.hears(SECONDS) is not None, "it does not recover"

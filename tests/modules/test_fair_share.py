"""colab_http_over_ws.fair_share under a real tornado: many idle connections of one account, and another account's request."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from extension_server import EXTENSION

SHARE, CROWD = 40, 10
MANY = 300
# With fewer descriptors than there are strangers.
SERVER = f"""
import asyncio, resource
from colab_http_over_ws import fair_share
from tornado import httpserver, netutil, web
resource.setrlimit(resource.RLIMIT_NOFILE, (MANY - 50, MANY))
fair_share.SHARE, fair_share.CROWD = {SHARE}, {CROWD}
INSTALL
class Hello(web.RequestHandler):
    def get(self):
        self.write("hello")
async def main():
    server = httpserver.HTTPServer(web.Application([("/", Hello)]))
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets + netutil.bind_sockets(sockets[0].getsockname()[1], "::1"))
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
""".replace("MANY", str(MANY))
CROWD_OF_ANOTHER = """
import os, socket, sys
os.setuid(65534)
held = []
for _ in range(int(sys.argv[2])):
    held.append(socket.create_connection((sys.argv[3], int(sys.argv[1])), timeout=30))
print("ready", flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another account's connections take root")


@contextlib.contextmanager
def serving(python: Path, folder: Path, install: str) -> Iterator[tuple[int, subprocess.Popen[str], Path]]:
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(python), "-c", SERVER.replace("INSTALL", install)],
            env={"PYTHONPATH": str(EXTENSION)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process, log
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def crowd(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """Idle connections of the account nobody."""
    command = [sys.executable, "-c", CROWD_OF_ANOTHER, str(port), str(MANY), address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def answered(port: int) -> bool:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().read() == b"hello"
        except OSError:
            return False


def opened(process: subprocess.Popen[str]) -> int:
    return len(os.listdir(f"/proc/{process.pid}/fd"))


@needs_root
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_idle_connections_of_another_account_leave_room_and_a_short_log(
    tmp_path: Path, server_python: Path, address: str
) -> None:
    with serving(server_python, tmp_path, "fair_share.install()") as (port, process, log):
        before = opened(process)
        with crowd(port, address):
            assert all(answered(port) for _ in range(10))
            end = time.monotonic() + 30
            while opened(process) - before > SHARE + CROWD and time.monotonic() < end:
                time.sleep(0.1)
            assert 0 < opened(process) - before <= SHARE + CROWD
            # in several pieces, as a slow client
            with socket.create_connection(("127.0.0.1", port), timeout=5) as mine:
                mine.sendall(b"GET / HTTP/1.1\r\n")
                time.sleep(0.5)
                mine.sendall(b"Host: x\r\n\r\n")
                assert mine.recv(4096).startswith(b"HTTP/1.1 200")
        assert log.read_text().count("\n") == 1 and "number 65534 has 40 connections" in log.read_text()


@needs_root
def test_without_it_they_shut_everybody_out_and_fill_the_log(tmp_path: Path, server_python: Path) -> None:
    """What is prevented, so that the test above is known to try it."""
    with serving(server_python, tmp_path, "") as (port, _, log), crowd(port):
        assert not answered(port)
        assert log.read_text().count("Too many open files") > 10

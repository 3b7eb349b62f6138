"""Two hundred callers without a token at once: the server keeps answering its owner, and lets go of them afterwards."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import converged_host
import pytest
from door.visitor import COLAB, DOOR, PROXIED, Visitor, kernel_says, session, through

Host = converged_host.ConvergedHost
MANY = 200
# Descriptors that come and go with the server's own work: its kernel, the owner's sockets, a file that is being read.
SPARE = 12
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Server:
    host: Host
    owner: Visitor
    kernel: str
    pid: int

    def open_files(self) -> int:
        """How many descriptors the server has open. Its own user asks: root of a container may not look."""
        return len(self.host.must("ls", f"/proc/{self.pid}/fd", user=self.host.user).split())

    def sees_a_crowd(self, before: int) -> bool:
        """Whether it has as many descriptors more as there are strangers; it takes them up one by one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not (found := self.open_files() - before >= MANY) and time.monotonic() < end:
            time.sleep(0.2)
        return found

    def let_go(self, before: int) -> int:
        """How many descriptors too many there still are, when the server has had its time. Fails if it is another one."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (more := self.open_files() - before) > SPARE and time.monotonic() < end:
            time.sleep(0.2)
        return more


@pytest.fixture(scope="module")
def server(converged: Host) -> Iterator[Server]:
    with contextlib.ExitStack() as kept:
        with converged.network():
            owner = Visitor(converged.port, converged.token)
            kernel = kept.enter_context(session(owner))
            the_owner_is_served(owner, kernel)
        pid = json.loads(converged.must(converged_host.RUNTIME, "status", "--json"))["pid"]
        yield Server(converged, owner, kernel, pid)
        with converged.network():
            kept.close()


def handshake(port: int, target: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", f"Host: localhost:{port}", f"Origin: {COLAB}", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    return "\r\n".join(lines).encode()


@contextlib.contextmanager
def crowd(port: int, first_words: bytes) -> Iterator[list[bytes]]:
    """Connections that say this and then stay, whatever they hear; what each of them heard at first."""
    with contextlib.ExitStack() as held:
        wires = []
        for _ in range(MANY):
            wires.append(held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)))
            wires[-1].sendall(first_words)
        whole = first_words.endswith(b"\r\n\r\n")
        yield [wire.recv(4096).partition(b"\r\n")[0] if whole else b"" for wire in wires]


# What the crowd says, and what it may hear.
CROWDS = {
    "the kernel's channels": ("/api/kernels/{kernel}/channels?session_id=flood", b"HTTP/1.1 403"),
    "http_over_ws": (f"{DOOR}?min_version=0.0.7", b"HTTP/1.1 403"),
    "proxied_ws": (f"{PROXIED}/api/kernels/{{kernel}}/channels", b"HTTP/1.1 403"),
    # Colab asks this door before it has a token, so it opens; to how many at once is the guard's affair.
    "diagnose": (f"{DOOR}/diagnose?min_version=0.0.7", b"HTTP/1.1 "),
    "a wrong token": ("/api/kernels/{kernel}/channels?token=wrong", b"HTTP/1.1 403"),
}
SILENT = {
    "nothing at all": b"",
    "half a request": b"GET /http_over_websocket HTTP/1.1\r\nHost: local",
    "no HTTP": b"\x16\x03\x01",
}


def the_owner_is_served(owner: Visitor, kernel: str) -> None:
    """Through every door, on connections of their own."""
    assert owner.ask("GET", "/api/kernelspecs").status == 200
    with owner.socket(owner.with_token(f"/api/kernels/{kernel}/channels")) as opened:
        assert kernel_says(opened) == "42"
    with owner.socket(owner.through_door()) as opened:
        assert through(opened, "GET", "/api/kernelspecs").status == 200
    with owner.socket(owner.through_door(f"{PROXIED}/api/kernels/{kernel}/channels")) as opened:
        assert kernel_says(opened) == "42"
    with owner.socket(owner.through_door(f"{DOOR}/diagnose")) as opened:
        opened.send("the owner")
        assert json.loads(opened.recv(timeout=PATIENCE_SECONDS))["message_id"] == "the owner"


@pytest.mark.parametrize("what", [*CROWDS, *SILENT])
def test_the_owner_is_served_while_two_hundred_strangers_stand_at_the_door(
    inside: Host, server: Server, what: str
) -> None:
    before = server.open_files()
    if what in SILENT:
        words, expected = SILENT[what], b""
    else:
        words, expected = handshake(server.owner.port, CROWDS[what][0].format(kernel=server.kernel)), CROWDS[what][1]
    with crowd(server.owner.port, words) as heard:
        assert len(heard) == MANY
        assert [line for line in heard if not line.startswith(expected)] == []
        # Who says nothing whole is waited for: the count of descriptors is known to see a crowd.
        assert what not in ("nothing at all", "half a request") or server.sees_a_crowd(before)
        the_owner_is_served(server.owner, server.kernel)
    assert server.let_go(before) <= SPARE
    the_owner_is_served(server.owner, server.kernel)


def test_sockets_of_diagnose_that_say_much_do_not_starve_the_owner(inside: Host, server: Server) -> None:
    """The one door that opens without a token: its callers send as much as it takes, and read nothing."""
    stranger = server.owner.but(token=None)
    words = handshake(stranger.port, stranger.through_door(f"{DOOR}/diagnose"))
    # Masked text frames of 1000 letters, as many as the line takes.
    much = (b"\x81\xfe\x03\xe8" + bytes(4) + b"x" * 1000) * 200
    before = server.open_files()
    with contextlib.ExitStack() as wires:
        for _ in range(MANY):
            wire = wires.enter_context(socket.create_connection(("127.0.0.1", stranger.port), timeout=PATIENCE_SECONDS))
            wire.sendall(words)
            wire.setblocking(False)
            with contextlib.suppress(OSError):
                wire.send(much)
        the_owner_is_served(server.owner, server.kernel)
    assert server.let_go(before) <= SPARE
    the_owner_is_served(server.owner, server.kernel)

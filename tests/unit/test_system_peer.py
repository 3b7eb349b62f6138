"""Whose the other end of a connection is: the server's half of exactly this one, once it is accepted, and of nobody else."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.system import peer
from ansible.module_utils.colab_ready.system.peer import ForeignPeer
from ansible.module_utils.colab_ready.system.ports import decode_address

V4, V6 = "127.0.0.1", "::1"
NOBODY = pwd.getpwnam("nobody").pw_uid
HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can serve as somebody else")


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("host", [V4, V6, "::ffff:127.0.0.1", "2001:db8::123:4567:89ab:cdef"])
def test_an_address_is_written_as_it_is_read(host: str, byteorder: str) -> None:
    assert decode_address(peer.encode_address(host, 8888, byteorder), byteorder) == (host, 8888)


def row(local: str, remote: str, uid: object, inode: object, state: str = "01") -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1 0000000053a9 20\n"


SERVER, CLIENT = peer.encode_address(V4, 8888), peer.encode_address(V4, 40000)
MAPPED_SERVER, MAPPED_CLIENT = (peer.encode_address(f"::ffff:{V4}", port) for port in (8888, 40000))
OTHER_CLIENT = peer.encode_address(V4, 40001)
LISTENER = row(SERVER, "00000000:0000", 1000, 7, "0A")
OURS, THEIRS = row(SERVER, CLIENT, 1000, 77), row(SERVER, CLIENT, 1001, 77)
# tcp, tcp6 (None: not there), and what is said of a connection of which uid 1000 should have the other end
TABLES: dict[str, tuple[str | None, str | None, str]] = {
    "the user's": (LISTENER + OURS, "", ""),
    "the user's, in a kernel without IPv6": (OURS, None, ""),
    "the user's, on a socket of IPv6": (LISTENER, row(MAPPED_SERVER, MAPPED_CLIENT, 1000, 77), ""),
    "the user's, and one that waited before": (row(SERVER, CLIENT, 0, 0, "06") + OURS, "", ""),
    "another user's": (LISTENER + THEIRS, "", "peer_foreign"),
    "another user's, on a socket of IPv6": ("", row(MAPPED_SERVER, MAPPED_CLIENT, 1001, 77), "peer_foreign"),
    "root's": (row(SERVER, CLIENT, 0, 77), "", "peer_foreign"),
    "two of them": (OURS + THEIRS, "", "peer_foreign"),
    "not accepted": (LISTENER + row(SERVER, CLIENT, 0, 0), "", "peer_silent"),
    "not accepted, with its listener's uid": (row(SERVER, CLIENT, 1000, 0, "03"), "", "peer_silent"),
    "closed": (row(SERVER, CLIENT, 0, 0, "06"), "", "peer_silent"),
    "a listener and no connection": (LISTENER, "", "peer_unseen"),
    "the user's connection to somebody else": (row(SERVER, OTHER_CLIENT, 1000, 77), "", "peer_unseen"),
    "the client's half alone": (row(CLIENT, SERVER, 1000, 77), "", "peer_unseen"),
    "nonsense": (f"{SERVER} {CLIENT} 01\n" + row(SERVER, CLIENT, "me", 77), "", "peer_unseen"),
    "no table": (None, None, "peer_unknown"),
}


class Connection(socket.socket):
    """A socket as far as it is asked for its two ends."""

    def getpeername(self) -> tuple[str, int]:
        return V4, 8888

    def getsockname(self) -> tuple[str, int]:
        return V4, 40000


@pytest.mark.parametrize("case", TABLES)
def test_only_the_users_accepted_half_of_this_connection_counts(tmp_path: Path, case: str) -> None:
    tcp, tcp6, refusal = TABLES[case]
    (tmp_path / "net").mkdir()
    for name, text in (("tcp", tcp), ("tcp6", tcp6)):
        if text is not None:
            (tmp_path / "net" / name).write_text(HEADER + text)
    with Connection() as connection:
        if not refusal:
            return peer.require_peer(connection, 1000, 0.0, str(tmp_path))
        with pytest.raises(ForeignPeer) as refused:
            peer.require_peer(connection, 1000, 0.0, str(tmp_path))
    assert refused.value.problem == refusal and str(refused.value)
    return None


@contextlib.contextmanager
def connected(address: str, listening: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection to this address, and who listens for it."""
    family = socket.AF_INET6 if ":" in listening else socket.AF_INET
    with socket.create_server((listening, 0), family=family, dualstack_ipv6=listening == "::") as listener:
        with socket.create_connection((address, listener.getsockname()[1])) as connection:
            yield connection, listener


@pytest.mark.parametrize(("address", "listening"), [(V4, V4), (V4, "::"), (V6, V6), (V6, "::")])
def test_this_kernel_tells_whose_a_connection_is(address: str, listening: str) -> None:
    with connected(address, listening) as (connection, listener):
        with pytest.raises(ForeignPeer) as refused:
            peer.require_peer(connection, os.geteuid(), 0.05)
        assert refused.value.problem == "peer_silent"
        with listener.accept()[0]:
            peer.require_peer(connection, os.geteuid())
            with pytest.raises(ForeignPeer) as refused:
                peer.require_peer(connection, NOBODY)
            assert refused.value.problem == "peer_foreign"
            assert str(connection.getpeername()[1]) in str(refused.value)


def test_a_connection_that_is_accepted_later_is_waited_for() -> None:
    with connected(V4, V4) as (connection, listener):
        accepting = f"import socket, time; time.sleep(0.3); kept = socket.socket(fileno={listener.fileno()}).accept(); time.sleep(9)"
        with subprocess.Popen([sys.executable, "-c", accepting], pass_fds=[listener.fileno()]) as server:
            try:
                peer.require_peer(connection, os.geteuid(), 9.0)
            finally:
                server.kill()


def test_one_that_is_never_accepted_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "ACCEPT_SECONDS", 0.2)
    began = time.monotonic()
    with connected(V4, V4) as (connection, _listener), pytest.raises(ForeignPeer):
        peer.require_peer(connection, os.geteuid(), 60.0)
    assert time.monotonic() - began < 5


@needs_root
def test_who_accepts_owns_the_connection_whoever_has_listened() -> None:
    """So a socket that systemd listens on for the server is the server's, and not root's."""
    with connected(V4, V4) as (connection, listener):
        accepting = f"import socket, time; kept = socket.socket(fileno={listener.fileno()}).accept(); time.sleep(9)"
        program = ["/usr/bin/python3", "-c", accepting]
        with subprocess.Popen(program, pass_fds=[listener.fileno()], user=NOBODY, cwd="/") as server:
            try:
                peer.require_peer(connection, NOBODY)
            finally:
                server.kill()

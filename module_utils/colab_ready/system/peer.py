# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the other end of a connection on loopback is. Loopback and its ports are shared by all users of a machine.

A look at who listens says nothing about a connection that is made afterwards: somebody can take the port in between. So first
connect, then `require_peer`, then send. The standard library alone: the handshake's probe has the text of this file with it.
"""

from __future__ import annotations

import pwd
import socket
import sys
import time

# The backlog of a busy server; without a kernel's help (a server that is stopped) it does not accept at all.
ACCEPT_SECONDS = 3.0
# A Windows program in WSL's mirrored mode never has a row. Ours has one from the start, but a table that changes while it is read
# may be read without it.
ROW_SECONDS = 0.5
# As in ports.py: all ports of a host in use, 150 bytes for each connection.
TABLE_BYTES = 64 << 20
MAPPED = "::ffff:"


class ForeignPeer(OSError):
    """The other end is not known to be the runtime's. `problem` is the word for which the handshake has a remedy."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(text)
        self.problem = problem


def encode_address(host: str, port: int, byteorder: str = sys.byteorder) -> str:
    """Return an address as /proc/net/tcp{,6} has it: 32-bit words in the machine's byte order, then the port."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    if byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return f"{raw.hex().upper()}:{port:04X}"


def find_rows(text: str, local: str, remote: str) -> list[tuple[int, int]]:
    """Return (uid, inode) of each socket between these two addresses. Lines that are no such rows are passed over."""
    found = []
    for line in text.splitlines():
        if f" {local} {remote} " not in line:
            continue
        fields = line.split()
        try:
            found.append((int(fields[7]), int(fields[9])))
        except (IndexError, ValueError):
            continue
    return found


def find_owners(server: tuple[str, int], client: tuple[str, int], proc: str = "/proc") -> tuple[bool, set[int]]:
    """Tell whether the server's half of a connection is there, and whose it is: nobody's yet while it is not accepted."""
    # An IPv4 connection to a socket of IPv6 is in the table of IPv6.
    tables = [("tcp6", "")] if ":" in server[0] else [("tcp", ""), ("tcp6", MAPPED)]
    there, unreadable = False, 0
    for table, before in tables:
        try:
            with open(f"{proc}/net/{table}", encoding="ascii", errors="replace") as file:
                text = file.read(TABLE_BYTES)
        except OSError:  # perhaps no IPv6 in this kernel
            unreadable += 1
            continue
        rows = find_rows(text, *(encode_address(f"{before}{host}", port) for host, port in (server, client)))
        owners = {uid for uid, inode in rows if inode}
        if owners:
            return True, owners
        there = there or bool(rows)
    if unreadable == len(tables):
        raise ForeignPeer(
            "peer_unknown", f"{proc}/net/{tables[0][0]}, which says whose a connection is, cannot be read"
        )
    return there, set()


def user_of(uid: int) -> str:
    try:
        return f"'{pwd.getpwuid(uid).pw_name}'"
    except KeyError:
        return f"uid {uid}"


def require_peer(connection: socket.socket, uid: int, seconds: float = ACCEPT_SECONDS, proc: str = "/proc") -> None:
    """Return when the server's half of this very connection is a socket of that user's.

    Raises ForeignPeer, in time: it is another user's (or root's), nobody's who is to be seen here, or has not been accepted:
    until then it has neither owner nor inode. Raises OSError where the connection is closed already.
    """
    ends = (connection.getpeername(), connection.getsockname())
    server, client = ((str(end[0]).removeprefix(MAPPED), int(end[1])) for end in ends)
    began = time.monotonic()
    seen = False
    while True:
        there, owners = find_owners(server, client, proc)
        others = sorted(owners - {uid})
        if others:
            names = ", ".join(map(user_of, others))
            raise ForeignPeer("peer_foreign", f"port {server[1]} is served by {names}, not by {user_of(uid)}")
        if owners:
            return
        seen = seen or there
        if time.monotonic() - began >= min(seconds, ACCEPT_SECONDS if seen else ROW_SECONDS):
            break
        time.sleep(0.005)
    if seen:
        raise ForeignPeer("peer_silent", f"what listens on port {server[1]} has not accepted the connection")
    raise ForeignPeer(
        "peer_unseen",
        f"port {server[1]} is served by nobody of this system (on WSL perhaps by a Windows program: netstat -ano there)",
    )

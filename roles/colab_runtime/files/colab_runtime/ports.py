# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the port, and what the server there answers."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from colab_ready.core.text import printable
from colab_ready.system.peer import ForeignPeer, require_peer
from colab_ready.system.ports import Listener, Process, holder_of, listeners_on, socket_unit_holds

from .core import EXIT_LATER, PROGRAM, Problem, user_name
from .settings import Settings
from .supervisor import RunDir
from .token import good_token

ANSWER_BYTES_MAX = 4 * 1024 * 1024
NAME_CHARACTERS = 60
BACKLOG = 128  # tornado's
HANDED_FIRST = 3  # SD_LISTEN_FDS_START


def program_name(process: Process) -> str:
    """A short, harmless name: the program and, for an interpreter, what it runs; never all arguments."""
    words = process.argv
    if words and re.match(r"python|node|java|ruby|perl|sh$|bash$", os.path.basename(words[0])):
        for before, word in zip(words, words[1:], strict=False):
            if word == "-c" or before == "-m" or not word.startswith("-"):
                what = f"-m {word}" if before == "-m" else os.path.basename(word)
                return printable(f"{os.path.basename(words[0])} {what}", NAME_CHARACTERS)
    return printable(process.program, NAME_CHARACTERS) or "unknown program"


def describe_holder(port: int, proc: str = "/proc") -> str:
    """'pid 4711 (python3 -m http.server, user 'bob')', or as much of it as this user may know."""
    found = listeners_on(port, proc)
    if not found:
        return "a process that this user cannot see (on WSL perhaps a Windows program: netstat -ano there)"
    holder = found[0]
    process = holder_of(holder, proc)
    owner = "root" if holder.uid == 0 else user_name(holder.uid)
    if process is None:
        return f"a process of {owner} (its number: sudo ss -ltnp 'sport = :{port}')"
    return f"pid {process.pid} ({program_name(process)}, user {owner})"


def another_port(settings: Settings) -> str:
    other = settings.port + 1 if 1023 < settings.port < 65535 else 8888
    return f"choose another port: ./colab-ready -e colab_port={other}"


def port_taken(settings: Settings) -> str:
    holder = describe_holder(settings.port)
    return f"Port {settings.port} is taken by {holder}. End that program, or {another_port(settings)}"


def handed_sockets() -> list[int]:
    """The descriptors of the sockets that systemd holds the port with (sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "0") if os.environ.get("LISTEN_PID") == str(os.getpid()) else "0"
    return list(range(HANDED_FIRST, HANDED_FIRST + int(count)))


def listen(settings: Settings, beside_own: bool = False) -> list[socket.socket]:
    """Take the port on every address that localhost can mean, so that nobody else gets it while these sockets are open.

    `beside_own`: where another process of this account holds it in the same way. What comes then is for either of the two, and
    the port is never free while the one takes it over from the other. Of another account nobody can (socket(7), SO_REUSEPORT).
    """
    found: list[socket.socket] = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with contextlib.ExitStack() as undo:
                one = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(beside_own))
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, settings.port))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.listen(BACKLOG)
                undo.pop_all()
                found.append(one)
        except OSError as error:
            if found and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue  # no IPv6 here
            for one in found:
                one.close()
            if error.errno == errno.EADDRINUSE:
                raise Problem(port_taken(settings), EXIT_LATER) from None
            why = f"'{settings.user}' cannot listen on port {settings.port} of {address}: {error.strerror}"
            raise Problem(f"{why}. Do: {another_port(settings)}", EXIT_LATER) from None
    return found


class Received:
    """As much of a socket as http.client wants to read an answer that is here already."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> BinaryIO:
        return io.BytesIO(self.data)


def exchange(address: str, port: int, uid: int, request: bytes, end: float) -> bytes:
    """Send a request to a server of this user and return all that comes back until the connection is closed. Raises OSError, in
    time: ForeignPeer before anything is sent."""
    data = bytearray()
    with socket.create_connection((address, port), max(end - time.monotonic(), 0.001)) as connection:
        require_peer(connection, uid, end - time.monotonic())
        connection.sendall(request)
        while len(data) <= ANSWER_BYTES_MAX:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                return bytes(data)
            data += piece
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def get(settings: Settings, path: str, token: str | None = None, seconds: float = 3.0) -> tuple[int, bytes] | None:
    """Status and body of one GET; None when nothing answers HTTP, whole and in time. Raises ForeignPeer where a server answers
    that is not known to be our user's: it has been sent nothing, and no other address of localhost is tried."""
    host = f"localhost:{settings.port}"
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept-Encoding: identity", "Connection: close"]
    lines += [f"Authorization: token {token}"] if token else []
    request = "\r\n".join([*lines, "", ""]).encode("ascii")
    end = time.monotonic() + seconds
    for address in ("127.0.0.1", "::1"):
        try:
            received: Any = Received(exchange(address, settings.port, settings.account.pw_uid, request, end))
            response = http.client.HTTPResponse(received)
            response.begin()
            return response.status, response.read()
        except ForeignPeer:
            raise
        except (OSError, ValueError, http.client.HTTPException):
            continue
    return None


def fetch(settings: Settings, path: str, token: str | None = None, seconds: float = 3.0) -> tuple[int, bytes] | None:
    """The same, and None where a stranger answers."""
    with contextlib.suppress(ForeignPeer):
        return get(settings, path, token, seconds)
    return None


def ask(settings: Settings, token: str | None = None, seconds: float = 3.0) -> int | None:
    """The HTTP status of /api (anyone may ask) or, with a token, of /api/status; None when our user's server does not answer."""
    answer = fetch(settings, "/api/status" if token else "/api", token, seconds)
    return answer[0] if answer else None


def is_ours(settings: Settings, listener: Listener) -> bool:
    """Whether systemd has the port for us, or a supervisor, and not another program of the same user."""
    if settings.systemd:
        return listener.uid == 0 and (settings.moved or socket_unit_holds(settings.port) is not False)
    if listener.uid != settings.account.pw_uid or RunDir(settings.run_dir).locked():
        return listener.uid == settings.account.pw_uid
    holder = holder_of(listener)
    return holder is None or PROGRAM in holder.argv


def stranger(settings: Settings) -> str | None:
    """Who else listens on our port, or None. It names him; whom a connection has led to is seen from the connection alone
    (`exchange`)."""
    found = listeners_on(settings.port) or []
    return None if all(is_ours(settings, one) for one in found) else describe_holder(settings.port)


def in_time(true: Callable[[], bool], seconds: float) -> bool:
    """Whether it becomes true in this time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)
    return True


def answers(settings: Settings, seconds: float = 3.0) -> bool:
    return ask(settings, seconds=seconds) is not None


def has_old_token(settings: Settings) -> bool:
    """Whether our own server runs and refuses the token that the file has: Jupyter reads the file at its start only."""
    token = good_token(settings)
    return token is not None and ask(settings, token) in (401, 403)


def accepts(settings: Settings, token: str | None) -> bool:
    return token is not None and ask(settings, token) == 200

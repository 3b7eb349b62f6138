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
from collections.abc import Sequence
from typing import Any, BinaryIO

from colab_ready.core.text import printable
from colab_ready.system.peer import ForeignPeer, require_peer
from colab_ready.system.ports import Process, holder_of, listeners_on

from .core import EXIT_LATER, Problem, parse_json, user_name
from .settings import Settings
from .token import good_token, read_token

ANSWER_BYTES_MAX = 4 * 1024 * 1024
NAMES_SHOWN = 5
NAME_CHARACTERS = 60


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


def port_is_free(port: int) -> bool:
    """Try what the server will do: bind both loopback addresses, as far as the machine has them."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def port_taken(settings: Settings) -> str:
    other = settings.port + 1 if settings.port < 65535 else settings.port - 1
    return (
        f"Port {settings.port} is taken by {describe_holder(settings.port)}. "
        f"End that program, or choose another port: ./colab-ready -e colab_port={other}"
    )


def require_port(settings: Settings) -> None:
    if not port_is_free(settings.port):
        raise Problem(port_taken(settings), EXIT_LATER)


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


def stranger(settings: Settings) -> str | None:
    """Who listens on our port without being our user, or None. It names him; whom a connection has led to is seen from the
    connection alone (`exchange`)."""
    for listener in listeners_on(settings.port) or []:
        if listener.uid != settings.account.pw_uid:
            return describe_holder(settings.port)
    return None


def answers(settings: Settings, seconds: float = 3.0) -> bool:
    return not stranger(settings) and ask(settings, seconds=seconds) is not None


def runs_no_kernel(settings: Settings) -> bool:
    """Whether the server says so itself; one that says something else, or nothing, may run some."""
    answer = fetch(settings, "/api/kernels", read_token(settings.token_file, settings.account.pw_uid))
    return answer is not None and answer[0] == 200 and answer[1].strip() == b"[]"


def has_old_token(settings: Settings) -> bool:
    """Whether our own server runs and refuses the token that the file has: Jupyter reads the file at its start only."""
    if stranger(settings):
        return False
    token = good_token(settings)
    return token is not None and ask(settings, token) in (401, 403)


def what_would_end(sessions: Any, kernels: Any, terminals: Any) -> list[str]:
    """The names of what a restart ends, from the server's answers; a kernel without a notebook goes by its number."""
    named = {session["kernel"]["id"]: session.get("path") or session.get("name") for session in sessions}
    names = [f"'{printable(named.get(one['id']) or 'kernel ' + one['id'][:8], NAME_CHARACTERS)}'" for one in kernels]
    return names + [f"terminal {printable(one['name'], NAME_CHARACTERS)}" for one in terminals]


def shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"


def at_stake(settings: Settings, token: str | None) -> list[str] | None:
    """What a restart of the running server would end; None when a server runs that does not say."""
    found = listeners_on(settings.port)
    if found is not None and settings.account.pw_uid not in [one.uid for one in found]:
        return []
    if token is None or stranger(settings):
        return None
    lists: list[Any] = []
    for path in ("/api/sessions", "/api/kernels", "/api/terminals"):
        answer = fetch(settings, path, token)
        if answer is None or answer[0] != 200:
            if answer and answer[0] == 404 and path == "/api/terminals":
                lists.append([])  # a server without terminals
                continue
            return None
        try:
            lists.append(parse_json(answer[1]))
        except ValueError:
            return None
    try:
        return what_would_end(*lists)
    except (TypeError, KeyError, AttributeError):
        return None


def accepts(settings: Settings, token: str | None) -> bool:
    return token is not None and not stranger(settings) and ask(settings, token) == 200

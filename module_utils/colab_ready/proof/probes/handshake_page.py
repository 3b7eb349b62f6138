# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page in a browser, as tornado's client can be one: its requests, its websockets, and HTTP through /http_over_websocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import socket
import uuid
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from ...system import peer
from .handshake_ledger import REQUEST_SECONDS, Problem

MIN_VERSION = "0.0.7"
OVER = "/http_over_websocket"
# Not a browser's: the server notes when one of those came (browser_seen.json).
USER_AGENT = "colab-ready"


def own_agent(token: str) -> str:
    """Return the User-Agent by which the server marks in its log what comes of these requests (its own_requests.py)."""
    return f"{USER_AGENT} {hmac.new(token.encode(), b'verify', 'sha256').hexdigest()[:32]}"


# --- whom it asks ---------------------------------------------------------------------------------------------------


def know_localhost() -> None:
    """Let localhost be what it is to browsers, who do not ask (RFC 6761): /etc/hosts may lack it, or have it wrong
    (jupyterlab/jupyterlab#5410)."""
    from tornado import netutil

    class Loopback(netutil.DefaultLoopResolver):
        async def resolve(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[tuple[int, Any]]:
            if host != "localhost":
                return list(await super().resolve(host, port, socket.AddressFamily(family)))
            return [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port))]

    netutil.Resolver.configure(Loopback)


def guard_connections(uid: int) -> None:
    """Let tornado send nothing, from now on, over a connection of which this user does not have the other end."""
    from tornado import tcpclient

    of_tornado: Any = tcpclient.TCPClient
    connect = of_tornado.connect

    async def guarded(client: Any, *arguments: Any, **more: Any) -> Any:
        stream = await connect(client, *arguments, **more)
        try:
            await asyncio.get_running_loop().run_in_executor(None, peer.require_peer, stream.socket, uid)
        except peer.ForeignPeer as foreign:
            stream.close()
            raise Problem(foreign.problem, str(foreign)) from None
        except BaseException:
            stream.close()
            raise
        return stream

    of_tornado.connect = guarded


# --- who asks -------------------------------------------------------------------------------------------------------


class Page:
    """A page in a browser: where it comes from, and the token it knows (or none)."""

    def __init__(
        self, base: str, origin: str, token: str | None, host: str | None = None, agent: str = USER_AGENT
    ) -> None:
        from tornado.httpclient import AsyncHTTPClient

        self.base = base
        # What the page puts into the messages of /http_over_websocket is a path, the server's base URL included.
        self.prefix = urlsplit(base).path
        self.origin = origin
        self.token = token
        self._host = host
        self._agent = agent
        self._client = AsyncHTTPClient(force_instance=True, max_clients=20)

    def but(self, **changes: str | None) -> Page:
        """The same page from elsewhere, with another token (None: without), or under another name for this host."""
        same: dict[str, Any] = {"base": self.base, "origin": self.origin, "token": self.token, "host": self._host}
        same["agent"] = self._agent
        return Page(**{**same, **changes})

    def _request(self, url: str, **more: Any) -> Any:
        from tornado.httpclient import HTTPRequest

        headers = {"Origin": self.origin, **more.pop("headers", {})}
        if self._host is not None:
            headers["Host"] = self._host
        more.update(connect_timeout=5, request_timeout=REQUEST_SECONDS, user_agent=self._agent)
        return HTTPRequest(url, headers=headers, **more)

    def _url(self, path: str, query: dict[str, str]) -> str:
        return f"{self.base}{path}?{urlencode(query)}" if query else f"{self.base}{path}"

    async def fetch(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        query = {"token": self.token} if self.token else {}
        text = None if body is None else json.dumps(body)
        sent = dict(headers or {})
        if text is not None:
            sent["Content-Type"] = "application/json"
        request = self._request(self._url(path, query), method=method, body=text, headers=sent, follow_redirects=False)
        return await self._client.fetch(request, raise_error=False)

    async def socket(self, path: str, query: dict[str, str]) -> Any:
        from tornado.websocket import websocket_connect

        url = self._url(path, query)
        return await websocket_connect(self._request("ws" + url[len("http") :]))

    async def kernel_socket(self, kernel: str) -> Any:
        query = {"session_id": uuid.uuid4().hex}
        if self.token:
            query["token"] = self.token
        return await self.socket(f"/api/kernels/{kernel}/channels", query)

    def over_query(self, auth_base: str | None = None) -> dict[str, str]:
        """What Colab appends (googlecolab/jupyter_http_over_ws#26): the credentials go into the authentication URL, which
        is this server's unless another base is given."""
        query = {"min_version": MIN_VERSION}
        if self.token:
            query["jupyter_http_over_ws_auth_url"] = f"{auth_base or self.base}/?token={quote(self.token, safe='')}"
        return query

    async def over_socket(self, path: str = "", auth_base: str | None = None, **query: str) -> Any:
        return await self.socket(OVER + path, {**query, **self.over_query(auth_base)})

    async def proxied_kernel_socket(self, kernel: str, auth_base: str | None = None) -> Any:
        path = f"/proxied_ws/api/kernels/{kernel}/channels"
        return await self.over_socket(path, auth_base, session_id=uuid.uuid4().hex)


async def handshake_status(opening: Awaitable[Any]) -> int:
    """101 when the server let the socket open (it is closed again), else the HTTP status it refused it with."""
    from tornado.httpclient import HTTPError

    try:
        socket = await opening
    except HTTPError as error:
        return error.code
    socket.close()
    return 101


async def status(request: Awaitable[Any]) -> int:
    return int((await request).code)


async def unrefused(
    tries: Mapping[str, Awaitable[int]], allowed: tuple[int, ...], who: str, expected: str = "403"
) -> list[str]:
    """What was answered otherwise than a stranger is to be answered."""
    codes = dict(zip((f"{what} {who}".strip() for what in tries), await asyncio.gather(*tries.values()), strict=False))
    return [f"{what} was answered {code}, expected {expected}" for what, code in codes.items() if code not in allowed]


@contextlib.contextmanager
def refused_socket(problems: dict[int, str], otherwise: str) -> Iterator[None]:
    """Turns the HTTP status with which a websocket was refused into the problem it stands for."""
    from tornado.httpclient import HTTPError

    try:
        yield
    except HTTPError as error:
        if error.code == 599:
            raise Problem("no_answer", f"the websocket did not open: {error.message}") from error
        problem = problems.get(error.code, otherwise)
        raise Problem(problem, f"the websocket was refused with {error.code} {error.message}") from error


def answer_problem(method: str, path: str, status: int) -> str:
    """What an unexpected status means."""
    if "/api/sessions" not in path:
        return "broken_answer"
    if method == "DELETE":
        return "session_gone" if status in (404, 410) else "session_not_deleted"
    return "kernel_not_started" if status >= 500 else "session_refused"


class OverHttp:
    """HTTP requests through an open /http_over_websocket."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, str, bytes]:
        message_id = uuid.uuid4().hex
        asked = {"path": path, "method": method, "message_id": message_id}
        if body is not None:
            asked["body"] = json.dumps(body)
        await self._socket.write_message(json.dumps(asked))
        status, text, data = 0, "", b""
        while True:
            message = await self._socket.read_message()
            if message is None:
                said = f"{self._socket.close_code or 'without a word'} {self._socket.close_reason or ''}".strip()
                raise Problem("ws_closed", f"{method} {path}: the server closed the websocket ({said})")
            answer = json.loads(message)
            if answer.get("message_id") != message_id:
                continue
            status, text = answer.get("status", status), answer.get("statusText", text)
            data += base64.b64decode(answer.get("data", ""))
            if answer.get("done"):
                return status, text, data

    async def expect(self, expected: int, method: str, path: str, body: Any = None) -> Any:
        status, text, data = await self.request(method, path, body)
        if status == expected:
            return json.loads(data.decode()) if data else None
        if status == 403:
            raise Problem("ws_token_refused", f"{method} {path} was answered 403 {text}, expected {expected}")
        if status == 500 and "server-side exception" in text:
            # Fixed text of jupyter_http_over_ws: what was asked for inside could not be asked for.
            raise Problem("ws_authentication_broken", f"{method} {path} was answered 500 {text}")
        said = data.decode("utf-8", "replace") or text
        text = f"{method} {path} was answered {status}, expected {expected}: {said}"
        raise Problem(answer_problem(method, path, status), text)

    def close(self) -> None:
        self._socket.close()

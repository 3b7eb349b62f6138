# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handlers for `/http_over_websocket` that let nobody in who does not prove the token.

Google's handlers check the Origin only: their sockets open for every local program, the token being looked at later, in
the answers to what was asked inside. And the server itself fetches the auth URL, following redirects. Here:

- The two sockets that lead to the server refuse the websocket's opening with 403 unless the caller proves the token: in
  the auth URL, which is how Colab does it, or as Jupyter has it everywhere (in the address, in a header, by a cookie).
- Nothing is fetched. What an auth URL was fetched for, a cookie, the proven token in a header does as well; so no
  redirect is followed either, and the leading blank that tornado 6.5 and newer refuse in Google's Cookie header
  ("HTTPInputError: Invalid header value") does not come up.
- What is asked for inside goes to the address at which the caller reached this server, whatever the path says.
- `/diagnose` answers Colab's page without a token, because Colab asks it so, but little, and few at a time.

A good token does not excuse a foreign Origin here, as it does elsewhere in Jupyter.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

from tornado import httpclient, httputil, websocket
from tornado.log import app_log

from . import door

# For a kernel that starts from a cold disk; tornado's own limit is 20 s.
SECONDS = 60.0
# A close reason shares a control frame of 125 bytes with the code (RFC 6455, 5.5).
REASON_BYTES = 123
# A kernel's output is its user's own, and where the kernel's socket is opened directly there is no limit either.
KERNEL_MESSAGE_BYTES = 1 << 30
DIAGNOSE_SOCKETS = 16
DIAGNOSE_BYTES = 4096
DIAGNOSE_IDLE_SECONDS = 30.0


class Guard(websocket.WebSocketHandler):
    """What all three have in common. `google` is the module with Google's handlers, PATH what its handler answers."""

    google: Any
    PATH: str

    async def prepare(self) -> None:
        if not door.is_text(self.request.query_arguments):
            # Jupyter would stumble over it while it looks for a token, and fill the log with its tracebacks.
            self.set_status(400)
            self.finish("What stands behind the question mark has to be UTF-8.")
            return
        # Jupyter's: the Host header, and who is asking. A request that it has sent to the login page is over.
        await super().prepare()  # type: ignore[misc]
        text = "" if self._finished else self.refusal()
        if text:
            self.set_status(403)
            self.finish(text)

    def refusal(self) -> str:
        """Why the socket does not open; empty if it does."""
        handler: Any = self
        # tornado asks this too, but believes a Sec-Fetch-Site header before it looks.
        return "" if handler.check_origin(handler.get_origin()) else "This page may not open this websocket."

    def skip_check_origin(self) -> bool:
        return False

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        super().close(code, reason and reason.encode("ascii", "replace")[:REASON_BYTES].decode("ascii"))


class TokenGuard(Guard):
    """For who proves the token. What such a caller asks for inside is asked with the caller's own credentials."""

    credentials: dict[str, str]
    address: str

    def refusal(self) -> str:
        handler: Any = self
        request, provider = handler.request, handler.identity_provider
        text = super().refusal()
        if text:
            return text
        if not provider.auth_enabled:
            return "This server has no token, so it does not open this websocket."
        urls = [url.decode("utf-8", "replace") for url in request.query_arguments.get(door.AUTH_URL, [])]
        if not all(door.is_this_server(url, request.protocol, request.host) for url in urls):
            return "The auth URL is not this server's."
        token = door.token_in(urls[-1]) if urls else ""
        if not door.same(token, handler.token):
            if not handler.current_user:
                return "This websocket opens for who proves the token."
            token = provider.get_token(handler) if handler.token_authenticated else ""
        # Who is known by a cookie is believed a POST only together with the other cookie's value.
        cookie = self.get_cookie("_xsrf")
        self.credentials = {"Authorization": f"token {token}"} if token else {"X-XSRFToken": cookie or ""}
        # Not from the Host header, which the caller has written and which may name another port.
        host, port = request.connection.stream.socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return ""

    def inside(self, target: str, scheme: str, **more: Any) -> httpclient.HTTPRequest:
        """A request to this server, as the caller."""
        headers = httputil.HTTPHeaders()
        for name, value in door.passed_on(self.request.headers.get_all()):
            headers.add(name, value)
        headers.update({**self.credentials, "Host": self.request.host})
        if more.get("body") is not None:
            # tornado would call a POST's body a form, and Jupyter then look for a token in it.
            headers["Content-Type"] = "application/json"
        return httpclient.HTTPRequest(
            f"{scheme}://{self.address}{target}",
            headers=headers,
            follow_redirects=False,
            connect_timeout=SECONDS,
            request_timeout=SECONDS,
            # It is this server, met at its own address; no certificate has that name.
            validate_cert=False,
            **more,
        )


class HttpGuard(TokenGuard):
    """`/http_over_websocket`. tornado reads a message when the one before is answered: one is in flight at a time."""

    async def on_message(self, message: str | bytes) -> None:
        with contextlib.suppress(websocket.WebSocketClosedError):
            try:
                asked = door.read_message(message)
            except door.BadMessage as bad:
                await self.tell(400, str(bad), bad.message_id)
            else:
                await self.answer(asked)

    async def answer(self, asked: door.Asked) -> None:
        sent: list[Any] = []
        pieces = self.google._StreamingResponseEmitter(
            asked.message_id, lambda one: sent.append(self.write_message(one))
        )

        def heading(line: str) -> None:
            # The login cookie is for a browser to keep, not for a script to read.
            if not line.lower().startswith("set-cookie:"):
                pieces.header_callback(line)

        async def piece(data: bytes) -> None:
            pieces.streaming_callback(data)
            # A caller that does not read makes the server wait, not collect.
            while sent:
                await sent.pop()

        request = self.inside(
            asked.target,
            self.request.protocol,
            method=asked.method,
            body=asked.body,
            allow_nonstandard_methods=True,
            header_callback=heading,
            streaming_callback=piece,
        )
        try:
            await httpclient.AsyncHTTPClient().fetch(request, raise_error=False)
        except Exception as error:
            app_log.warning("colab_http_over_ws: a request inside the websocket failed: %s", error)
            # Google's words, which callers know.
            text = "Uncaught server-side exception. Check logs for additional details."
            await self.tell(500, text, asked.message_id)
        else:
            pieces.done()
            await asyncio.gather(*sent)

    async def tell(self, status: int, text: str, message_id: str | int | None) -> None:
        known = {} if message_id is None else {"message_id": message_id}
        await self.write_message({**known, "done": True, "status": status, "statusText": text})


class ProxyGuard(TokenGuard):
    """`/http_over_websocket/proxied_ws/...`: one websocket of this server, usually a kernel's, passed through."""

    target = ""
    kernel: Any = None
    listening: Any = None

    def refusal(self) -> str:
        text = super().refusal()
        if not text:
            try:
                self.target = door.proxied_target(self.request.path, self.request.query, self.PATH[: -len(".+")])
            except ValueError as error:
                text = str(error)
        return text

    async def open(self, *_: str, **__: str) -> None:
        request = self.inside(self.target, "wss" if self.request.protocol == "https" else "ws")
        try:
            self.kernel = await websocket.websocket_connect(request, max_message_size=KERNEL_MESSAGE_BYTES)
        except Exception as error:
            # Google's words, as above. The code tells a refusal (403) from an address that is none (404).
            code = error.code if isinstance(error, httpclient.HTTPError) else 500
            self.close(code, "Uncaught error when proxying request")
        else:
            if self.ws_connection is None:  # the caller did not wait
                self.kernel.close()
            self.listening = asyncio.ensure_future(self.listen())

    async def listen(self) -> None:
        with contextlib.suppress(websocket.WebSocketClosedError):
            while True:
                message = await self.kernel.read_message()
                if message is None:
                    break
                await self.write_message(message, binary=isinstance(message, bytes))
        self.kernel.close()
        self.close(self.kernel.close_code, self.kernel.close_reason)

    async def on_message(self, message: str | bytes) -> None:
        # Without a kernel the socket is about to close; one that has just gone is noticed by `listen`.
        if isinstance(message, bytes) and not door.is_whole(message):
            self.close(1007, "This is no message for a kernel.")
            return
        with contextlib.suppress(websocket.WebSocketClosedError):
            if self.kernel is not None:
                await self.kernel.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        if self.kernel is not None:
            self.kernel.close()


class DiagnoseGuard(Guard):
    """`/http_over_websocket/diagnose`: anybody on this host may ask, so the oldest socket makes room for a new one."""

    asking: ClassVar[list[DiagnoseGuard]] = []
    max_message_size = DIAGNOSE_BYTES
    idle: Any = None

    def open(self, *_: str, **__: str) -> None:
        self.asking.append(self)
        self.wait()
        if len(self.asking) > DIAGNOSE_SOCKETS:
            self.asking[0].leave(1013, "Too many diagnoses at a time.")

    def wait(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        self.idle = asyncio.get_running_loop().call_later(DIAGNOSE_IDLE_SECONDS, self.leave, 1001, "Nothing was asked.")

    async def on_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.leave(1003, "A text is required.")
            return
        self.wait()
        found = self.google._validate_min_version(self.get_argument("min_version", None))
        answer = {
            "message_id": message,
            "extension_version": str(self.google.HANDLER_VERSION),
            "has_authentication_cookie": bool(self.get_cookie("_xsrf")),
            "is_outdated_extension": found.error_reason == self.google.ExtensionValidationError.OUTDATED_VERSION,
        }
        # Waits until it is read, so that who only asks is not collected for.
        with contextlib.suppress(websocket.WebSocketClosedError):
            await self.write_message(answer)

    def leave(self, code: int, reason: str) -> None:
        self.on_close()
        self.close(code, reason)

    def on_close(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        if self in self.asking:
            self.asking.remove(self)


# Google's name: the guard, and the class of Google's that it stands before. The proxying one finds its own base class by the
# name that is replaced here, and has nothing left that the guard does not do itself.
GUARDS: dict[str, tuple[type[Guard], str]] = {
    "HttpOverWebSocketHandler": (HttpGuard, "HttpOverWebSocketHandler"),
    "HttpOverWebSocketDiagnosticHandler": (DiagnoseGuard, "_WebSocketHandlerBase"),
    "ProxiedSocketHandler": (ProxyGuard, "_WebSocketHandlerBase"),
}


def install(handlers: Any) -> None:
    """Put the guards into the module from which Google's package takes its handlers to register them."""
    for name, (guard, base) in GUARDS.items():
        original = getattr(handlers, name)
        if not issubclass(original, Guard):
            contents = {"google": handlers, "PATH": original.PATH}
            setattr(handlers, name, type(f"Guarded{name}", (guard, getattr(handlers, base)), contents))

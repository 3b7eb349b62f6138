"""Who knocks at the door: one caller of the converged server, with or without a token, an Origin, a Host of its own.

http.client and the package websockets, and nothing of this project: what is seen here was not seen with the eyes of the
code that is tested.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

COLAB = "https://colab.research.google.com"
EVIL = "https://evil.example"
SECONDS = 30
DOOR = "/http_over_websocket"
PROXIED = f"{DOOR}/proxied_ws"
WISH = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Visitor:
    """`origin` None: no browser, a program of this computer. `host` None: the Host header that belongs to the address."""

    port: int
    token: str | None = None
    origin: str | None = COLAB
    host: str | None = None
    cookie: str | None = None
    xsrf: str | None = None
    # What the auth URL says instead of the server's own address ({token} is the token).
    auth_url: str | None = None

    def but(self, **changes: Any) -> Visitor:
        return replace(self, **changes)

    @property
    def netloc(self) -> str:
        return self.host or f"localhost:{self.port}"

    def headers(self) -> dict[str, str]:
        named = {"Origin": self.origin, "Cookie": self.cookie, "X-XSRFToken": self.xsrf}
        return {name: value for name, value in named.items() if value is not None}

    def with_token(self, path: str) -> str:
        """Colab's way on the direct door: the token in the query."""
        return f"{path}{'&' if '?' in path else '?'}{urlencode({'token': self.token})}" if self.token else path

    def http(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, seconds: int = SECONDS
    ) -> Answer:
        connection = http.client.HTTPConnection("localhost", self.port, timeout=seconds)
        data = None if body is None else json.dumps(body)
        try:
            connection.putrequest(method, path, skip_host=True)
            sent = {"Host": self.netloc, **self.headers(), **(headers or {})}
            if data is not None:
                sent |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(data.encode() if data is not None else None)
            response = connection.getresponse()
            cookies = tuple(value for name, value in response.getheaders() if name.lower() == "set-cookie")
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read(), cookies)
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.http(method, self.with_token(path), body, headers)

    def socket(self, path: str, seconds: float = SECONDS) -> ClientConnection:
        """A websocket; InvalidStatus tells with which status it was refused."""
        opened = connect(
            f"ws://{self.netloc}{path}",
            sock=socket.create_connection(("127.0.0.1", self.port), timeout=seconds),
            origin=None if self.origin is None else Origin(self.origin),
            additional_headers={name: value for name, value in self.headers().items() if name != "Origin"},
            open_timeout=seconds,
            close_timeout=2,
            ping_interval=None,
            max_size=None,
            compression=None,
            proxy=None,
            legacy=True,
        )
        assert isinstance(opened, ClientConnection)
        return opened

    def through_door(self, path: str = DOOR, **query: str) -> str:
        """Colab's way on the other door, as googlecolab/jupyter_http_over_ws#26 shows it: the token is in the auth URL."""
        own = f"http://{self.netloc}/" + ("?token={token}" if self.token else "")
        url = (own if self.auth_url is None else self.auth_url).replace("{token}", self.token or "")
        known = {"min_version": "0.0.7", "jupyter_http_over_ws_auth_url": url} if url else {"min_version": "0.0.7"}
        return f"{path}{'&' if '?' in path else '?'}{urlencode({**known, **query}, quote_via=quote, safe='')}"

    def refusal(self, path: str) -> int | None:
        """The HTTP status with which the websocket handshake is refused; None when the socket opens."""
        try:
            self.socket(path).close()
        except InvalidStatus as error:
            return error.response.status_code
        return None


def through(opened: ClientConnection, method: str, path: str, **more: Any) -> Answer:
    """One HTTP request through /http_over_websocket: pieces in base64, the first one with the status."""
    number = uuid.uuid4().hex
    opened.send(json.dumps({"method": method, "path": path, "message_id": number, **more}))
    status, body = 0, b""
    headers: Mapping[str, str] = {}
    while True:
        piece = json.loads(opened.recv(timeout=SECONDS))
        if piece.get("message_id") != number:
            continue
        status, headers = piece.get("status", status), piece.get("headers", headers)
        body += base64.b64decode(piece.get("data", ""))
        if piece.get("done"):
            return Answer(status, headers, body)


def tell_kernel(opened: ClientConnection, code: str) -> str:
    """Have a cell run through an open kernel socket, and wait for nothing. Answers with the number of the message."""
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "session": number, "username": "v", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    opened.send(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"})
    )
    return number


def kernel_says(opened: ClientConnection, code: str = "6 * 7") -> str:
    """The result of a cell that runs through an open kernel socket."""
    number = tell_kernel(opened, code)
    result = "nothing"
    while True:
        received = json.loads(opened.recv(timeout=SECONDS))
        if received["parent_header"].get("msg_id") != number:
            continue
        if received["msg_type"] == "execute_result":
            result = str(received["content"]["data"]["text/plain"])
        elif received["msg_type"] == "error":
            result = f"{received['content']['ename']}: {received['content']['evalue']}"
        elif received["msg_type"] == "status" and received["content"]["execution_state"] == "idle":
            return result


def notebook(name: str | None = None) -> dict[str, Any]:
    """A session as Colab's page asks for it."""
    name = name or f"door-{uuid.uuid4().hex[:8]}.ipynb"
    return {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}


@contextlib.contextmanager
def session(owner: Visitor) -> Iterator[str]:
    """A session of the owner; gives the id of its kernel. A refusal must not be for want of a kernel."""
    answer = owner.ask("POST", "/api/sessions", notebook())
    assert answer.status == 201, answer
    try:
        yield str(answer.json()["kernel"]["id"])
    finally:
        owner.ask("DELETE", f"/api/sessions/{answer.json()['id']}")


def log_in(port: int, token: str) -> tuple[str, str]:
    """A browser that was here with its token: its Cookie header from then on, and the value of its _xsrf cookie."""
    jar: dict[str, str] = {}
    browser = Visitor(port, token, origin=None)
    for path in (browser.with_token("/tree"), browser.with_token("/lab"), browser.with_token("/login")):
        for cookie in (
            browser.but(cookie="; ".join(f"{k}={v}" for k, v in jar.items()) or None).http("GET", path).cookies
        ):
            name, _, value = cookie.partition(";")[0].partition("=")
            jar[name] = value
    assert "_xsrf" in jar and any(name.startswith("username-") for name in jar), sorted(jar)
    return "; ".join(f"{name}={value}" for name, value in jar.items()), jar["_xsrf"]


@dataclass
class Listener:
    """Another server on the same loopback. It counts who comes, and answers what it was told to."""

    port: int
    answer: bytes
    seen: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def listening(port: int = 0, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", port)) as server:
        listener = Listener(server.getsockname()[1], answer)

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:  # the shutdown below
                    return
                with caller:
                    caller.settimeout(1)
                    try:
                        listener.seen.append(caller.recv(65536))
                        caller.sendall(listener.answer)
                    except OSError as error:
                        listener.seen.append(str(error).encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()

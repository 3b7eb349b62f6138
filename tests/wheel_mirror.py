"""A package index on loopback with one project, which has one fault at a time."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Callable
from typing import Any

NAME = "tool-1.0-py3-none-manylinux_2_17_x86_64.whl"
CONTENT = bytes(range(256)) * 2000
# How much of a wheel comes before the line breaks off.
PIECE = 300000


class Mirror:
    """An index with one project. `answers` come first, one for each request for the wheel; then it is well."""

    def __init__(self, name: str = NAME, content: bytes = CONTENT) -> None:
        self.name, self.content = name, content
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: list[Callable[[http.server.BaseHTTPRequestHandler], None]] = []
        self.page: Callable[[http.server.BaseHTTPRequestHandler], None] = self.list_wheels
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_args: Any) -> None:
                pass

            def do_GET(self) -> None:
                mirror.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if self.path.endswith("/"):
                    mirror.page(self)
                elif mirror.answers:
                    mirror.answers.pop(0)(self)
                else:
                    send_file(self)

        self.server = Server(("127.0.0.1", 0), Handler, self)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def sum(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def list_wheels(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        send(handler, 200, f'<a href="/f/{self.name}#sha256={self.sum}">'.encode(), {"Content-Type": "text/html"})

    def wheels_asked(self) -> list[dict[str, str]]:
        return [headers for path, headers in self.asked if path.endswith(".whl")]


class Server(http.server.ThreadingHTTPServer):
    """One that its handlers can ask for the mirror."""

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler], mirror: Mirror
    ) -> None:
        super().__init__(address, handler)
        self.mirror = mirror


def mirror_of(handler: http.server.BaseHTTPRequestHandler) -> Mirror:
    assert isinstance(handler.server, Server)
    return handler.server.mirror


def content_of(handler: http.server.BaseHTTPRequestHandler) -> bytes:
    return mirror_of(handler).content


def send(
    handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def send_file(handler: http.server.BaseHTTPRequestHandler) -> None:
    said = handler.headers.get("Range", "")
    begin = int(said.removeprefix("bytes=").rstrip("-")) if said else 0
    send(handler, 206 if said else 200, content_of(handler)[begin:], {"Content-Type": "application/octet-stream"})


def begin(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content_of(handler))))
    handler.end_headers()
    handler.wfile.write(content_of(handler)[:PIECE])
    handler.wfile.flush()


def cut(handler: http.server.BaseHTTPRequestHandler) -> None:
    begin(handler)
    handler.connection.close()


def stall(handler: http.server.BaseHTTPRequestHandler) -> None:
    begin(handler)
    time.sleep(1.5)


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _number in range(40):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def status(number: int, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    return lambda handler: send(
        handler, number, b"", {name.replace("_", "-"): value for name, value in headers.items()}
    )


def whole_again(handler: http.server.BaseHTTPRequestHandler) -> None:
    send(handler, 200, content_of(handler))

"""A websocket client that says whatever it is told to, the impossible included: for the fuzz.

RFC 6455 by hand and no more of it than that needs. Nothing is corrected on the way out, and all that comes in is kept.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

BODY_BYTES = 100_000  # more than is read of a stranger
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """One frame, with a mask of zeros."""
    first = (0x80 if final else 0) | (reserved << 4) | opcode
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([first, mask | len(payload)])
    elif len(payload) < 1 << 16:
        head = bytes([first, mask | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = bytes([first, mask | 127]) + len(payload).to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + payload


def opening(target: str, headers: Mapping[str, str]) -> bytes:
    """A websocket's opening handshake; a header of the caller's own takes the place of ours, an empty name is left out."""
    known = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    known |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", **headers}
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in known.items() if name), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass")


class Gone(Exception):
    """The server has ended the connection. `clean`: after a close frame."""

    def __init__(self, clean: bool, code: int | None = None) -> None:
        super().__init__(f"closed {'with ' + str(code) if clean else 'without a word'}")
        self.clean, self.code = clean, code


class Wire:
    """One TCP connection to the server. `said` is all that came back, decoded or not: no answer escapes the checks."""

    def __init__(self, port: int, seconds: float) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.rest = b""
        self.said: list[bytes] = []
        self.wait(seconds)

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def wait(self, seconds: float) -> None:
        """From now on, for so long at most."""
        self.seconds = seconds
        self.socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        """A server that has enough does not read to the end: that is seen when its answer is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone(clean=False)
        self.rest += data

    def response(self) -> bytes:
        """The HTTP answer to what was sent, its body as far as Content-Length says; empty if there was none."""
        try:
            while b"\r\n\r\n" not in self.rest:
                self.more()
            head, _, self.rest = self.rest.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            while len(self.rest) < length:
                self.more()
        except Gone:
            self.said.append(self.rest)
            return self.rest
        whole, self.rest = head + b"\r\n\r\n" + self.rest[:length], self.rest[length:]
        self.said.append(whole)
        return whole

    def open(self, target: str, headers: Mapping[str, str]) -> bool:
        """Ask for a websocket; a body that the headers announce is sent, or the server would wait for it."""
        length = headers.get("Content-Length", "")
        body = b"x" * min(int(length), BODY_BYTES) if re.fullmatch("[0-9]{1,18}", length) else b""
        self.send(opening(target, headers) + body)
        return self.response().startswith(b"HTTP/1.1 101")

    def read(self) -> tuple[int, bytes]:
        """The next frame of the server; Gone when there is none, a close frame included."""
        while len(self.rest) < 2:
            self.more()
        size, start = self.rest[1] & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            while len(self.rest) < start:
                self.more()
            size = int.from_bytes(self.rest[2:start], "big")
        while len(self.rest) < start + size:
            self.more()
        opcode, payload = self.rest[0] & 0x0F, self.rest[start : start + size]
        self.rest = self.rest[start + size :]
        self.said.append(payload)
        if opcode == CLOSE:
            raise Gone(clean=True, code=int.from_bytes(payload[:2], "big") if payload else None)
        return opcode, payload

    def message(self) -> Any:
        """The next message, which has to be JSON."""
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            opcode, payload = self.read()
            if opcode in (TEXT, BINARY):
                return json.loads(payload)
        raise TimeoutError("no message, only pings")


def request(method: str, path: str, **more: Any) -> tuple[str, bytes]:
    """A valid message for /http_over_websocket, and the id under which it is answered."""
    number = uuid.uuid4().hex
    return number, json.dumps({"method": method, "path": path, "message_id": number, **more}).encode()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller of `/http_over_websocket` says, taken apart and judged: who proves the token, what a message asks for.

No server, no socket: text in, a decision out. `guard` acts on it.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

AUTH_URL = "jupyter_http_over_ws_auth_url"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
ID_CHARACTERS = 256
# RFC 3986: what an address may hold as it is. All else is quoted; a "%" is taken for a quote that is there already.
ADDRESS = "!$%&'()*+,-./:;=?@_~[]"
# They belong to the one connection on which they came (RFC 9110, 7.6.1), or describe a body that is not passed on.
# Sec-*: the websocket's own opening, and what a browser said about that.
OWN_HEADERS = {
    "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip


class BadMessage(Exception):
    """A message that asks for nothing that can be done, and whom to tell so."""

    def __init__(self, text: str, message_id: Any = None) -> None:
        super().__init__(text)
        self.message_id = message_id


class Asked(NamedTuple):
    """One HTTP request, as a message asks for it."""

    message_id: str | int
    method: str
    target: str
    body: bytes | None


def is_text(arguments: Mapping[str, Sequence[bytes]]) -> bool:
    """Whether all that an address carries behind its question mark is UTF-8; of a name tornado has made a text already."""
    try:
        for value in itertools.chain.from_iterable(arguments.values()):
            value.decode("utf-8")
    except UnicodeError:
        return False
    return True


def same(token: str, known: str) -> bool:
    """Compared in constant time; an empty token is nobody's."""
    return bool(known) and hmac.compare_digest(token.encode("utf-8", "surrogatepass"), known.encode())


def is_this_server(url: str, scheme: str, host: str) -> bool:
    """Whether an auth URL names the server that it was sent to: the same scheme, the very text of the Host header."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(host) and (parts.scheme, parts.netloc) == (scheme, host)


def token_in(url: str) -> str:
    """The token that an auth URL carries; the last one, as Jupyter reads an address."""
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=100)
    except ValueError:
        return ""
    return dict(pairs).get("token", "")


def request_target(path: Any) -> str:
    """What to ask this server for. Behind the server's own address no path of that shape leads to another one."""
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//"):
        raise ValueError("The path has to begin with a single slash.")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise ValueError("The path may not hold control characters.")
    try:
        return quote(path, safe=ADDRESS)
    except UnicodeEncodeError:
        raise ValueError("The path is not Unicode.") from None


def _body(said: dict[str, Any]) -> bytes | None:
    encoded, body = said.get("body_base64"), said.get("body")
    try:
        if isinstance(encoded, str) and encoded:
            return base64.b64decode(encoded, validate=True)
        if encoded in (None, "") and (body is None or isinstance(body, str)):
            return None if body is None else body.encode()
    except ValueError:
        pass
    raise ValueError("The body has to be a text, or base64 in body_base64.")


def read_message(message: str | bytes) -> Asked:
    """A message of protocol 0.0.7, or BadMessage."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        raise BadMessage("JSON input is required.") from None
    if not isinstance(said, dict):
        raise BadMessage("A JSON object is required.")
    message_id = said.get("message_id")
    if not isinstance(message_id, (str, int)) or len(str(message_id)) > ID_CHARACTERS:
        raise BadMessage(f"message_id has to be a text or an integer of at most {ID_CHARACTERS} characters.")
    method = said.get("method")
    if not isinstance(method, str) or method.upper() not in METHODS:
        raise BadMessage(f"method has to be one of {', '.join(METHODS)}.", message_id)
    try:
        return Asked(message_id, method.upper(), request_target(said.get("path")), _body(said))
    except ValueError as error:
        raise BadMessage(str(error), message_id) from None


def proxied_target(path: str, query: str, prefix: str) -> str:
    """Where a proxied websocket leads: the address without our prefix and without our own parameters."""
    before, _, rest = path.partition(prefix)
    target = request_target(f"{before}/{rest}")
    if target.startswith(before + prefix.rsplit("/", 2)[0]):
        raise ValueError("This address leads back to itself.")
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    kept = urlencode([pair for pair in pairs if pair[0] not in (AUTH_URL, "min_version")], errors="surrogateescape")
    return f"{target}?{kept}" if kept else target


def is_whole(message: bytes) -> bool:
    """Whether a kernel's binary message is as long as its first number, the count of its parts, demands.

    jupyter_server 2.21 believes the number (deserialize_binary_message) and builds a format of up to 2 GB from it: a JSON
    text in a binary frame, which is a count of two thousand million, stopped a server for half a minute.
    """
    count = int.from_bytes(message[:4], "big")
    return 0 < 4 * count <= len(message) - 4


def passed_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of the headers that opened the websocket, those that a request inside it inherits."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in OWN_HEADERS and not name.lower().startswith("sec-")
    ]

"""Who gets what at the door of a converged server: every kind of caller times every kind of request."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import converged_host
import pytest
from door.visitor import (
    COLAB,
    DOOR,
    EVIL,
    PROXIED,
    WISH,
    Visitor,
    kernel_says,
    listening,
    log_in,
    notebook,
    session,
    through,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus

Host = converged_host.ConvergedHost


@dataclass(frozen=True)
class Ground:
    """The owner, and a kernel of theirs: nobody is to be refused for want of one."""

    owner: Visitor
    kernel: str
    cookie: str
    xsrf: str

    @property
    def wrong(self) -> str:
        token = self.owner.token or ""
        return ("0" if token[0] != "0" else "1") + token[1:]


@pytest.fixture(scope="module")
def ground(converged: Host) -> Iterator[Ground]:
    # Each test enters the host's network for itself (`inside`); this one, for the time between them, twice.
    with contextlib.ExitStack() as kept:
        with converged.network():
            owner = Visitor(converged.port, converged.token)
            cookie, xsrf = log_in(owner.port, owner.token or "")
            kernel = kept.enter_context(session(owner))
        yield Ground(owner, kernel, cookie, xsrf)
        with converged.network():
            kept.close()


# --- the requests: what the caller gets, in one or two words --------------------------------------------------------


def may_read(visitor: Visitor, headers: Any) -> str:
    """What the caller's browser does with the answer to a request that carries credentials. A program reads anyway."""
    if visitor.origin is None:
        return ""
    allowed = headers.get("access-control-allow-origin") == visitor.origin
    return " readable" if allowed and headers.get("access-control-allow-credentials") == "true" else " unreadable"


def get(visitor: Visitor, ground: Ground) -> str:
    answer = visitor.ask("GET", "/api/kernelspecs")
    assert (b'"kernelspecs"' in answer.body) == (answer.status == 200), answer.body
    return f"{answer.status}{may_read(visitor, answer.headers)}"


def version(visitor: Visitor, ground: Ground) -> str:
    return str(visitor.ask("GET", "/api").status)


def post(visitor: Visitor, ground: Ground) -> str:
    answer = visitor.ask("POST", "/api/sessions", notebook())
    if answer.status == 201:
        ground.owner.ask("DELETE", f"/api/sessions/{answer.json()['id']}")
    return str(answer.status)


def preflight(visitor: Visitor, ground: Ground) -> str:
    answer = visitor.http("OPTIONS", "/api/sessions", headers=WISH)
    return f"{answer.status}{may_read(visitor, answer.headers)}"


def kernel(visitor: Visitor, ground: Ground) -> str:
    try:
        with visitor.socket(visitor.with_token(f"/api/kernels/{ground.kernel}/channels?session_id=door")) as opened:
            return f"runs: {kernel_says(opened)}"
    except InvalidStatus as error:
        return str(error.response.status_code)


def diagnose(visitor: Visitor, ground: Ground) -> str:
    try:
        with visitor.socket(visitor.through_door(f"{DOOR}/diagnose")) as opened:
            opened.send("a question")
            return "answers" if json.loads(opened.recv(timeout=5))["message_id"] == "a question" else "talks nonsense"
    except InvalidStatus as error:
        return str(error.response.status_code)


def door(visitor: Visitor, ground: Ground) -> str:
    try:
        with visitor.socket(visitor.through_door()) as opened:
            return f"opens, {through(opened, 'GET', '/api/kernelspecs').status}"
    except InvalidStatus as error:
        return str(error.response.status_code)


def proxied(visitor: Visitor, ground: Ground) -> str:
    path = visitor.through_door(f"{PROXIED}/api/kernels/{ground.kernel}/channels?session_id=door")
    try:
        with visitor.socket(path) as opened:
            return f"runs: {kernel_says(opened)}"
    except InvalidStatus as error:
        return str(error.response.status_code)
    except ConnectionClosed as error:
        return f"opens, closes {error.rcvd.code if error.rcvd else 'without a word'}"


REQUESTS = {
    "GET": get,
    "GET /api": version,
    "POST session": post,
    "OPTIONS": preflight,
    "kernel": kernel,
    "diagnose": diagnose,
    "http_over_ws": door,
    "proxied_ws": proxied,
}


# --- the callers ----------------------------------------------------------------------------------------------------


def callers(ground: Ground, other_port: int) -> dict[str, Visitor]:
    owner, stranger = ground.owner, ground.owner.but(token=None)
    logged_in = stranger.but(cookie=ground.cookie, auth_url="")
    foreign = f"rebound.example:{owner.port}"
    return {
        "good token, Colab": owner,
        "no token, Colab": stranger,
        "wrong token, Colab": owner.but(token=ground.wrong),
        "good token, no Origin": owner.but(origin=None),
        "no token, no Origin": stranger.but(origin=None),
        "wrong token, no Origin": owner.but(token=ground.wrong, origin=None),
        "no token, evil origin": stranger.but(origin=EVIL),
        "wrong token, evil origin": owner.but(token=ground.wrong, origin=EVIL),
        "good token, evil origin": owner.but(origin=EVIL),
        "good token, foreign Host": owner.but(host=foreign),
        "no token, foreign Host": stranger.but(host=foreign),
        "good token, foreign Host, its own origin": owner.but(host=foreign, origin=f"http://{foreign}"),
        "auth URL of another host": owner.but(auth_url=f"http://rebound.example:{owner.port}/?token={{token}}"),
        "auth URL of the host's other name": owner.but(auth_url=f"http://127.0.0.1:{owner.port}/?token={{token}}"),
        "auth URL of another port": owner.but(auth_url=f"http://localhost:{other_port}/?token={{token}}"),
        "cookie, Colab": logged_in,
        "cookie, xsrf header, Colab": logged_in.but(xsrf=ground.xsrf),
        "cookie, evil origin": logged_in.but(origin=EVIL),
        "cookie, xsrf header, evil origin": logged_in.but(origin=EVIL, xsrf=ground.xsrf),
        "cookie, xsrf header, foreign Host": logged_in.but(host=foreign, origin=None, xsrf=ground.xsrf),
    }


# The answers. `readable`: the browser shows it to the page (Access-Control-Allow-Origin is the page's own, and
# -Credentials is true); an answer that is not readable was given all the same. `-`: the caller differs from another row
# only in the auth URL, which this request does not carry.
COLUMNS = ("GET", "GET /api", "POST session", "OPTIONS", "kernel", "diagnose", "http_over_ws", "proxied_ws")
RUNS = "runs: 42"
ANSWERS: dict[str, tuple[str, ...]] = {
    "good token, Colab": (
        "200 readable", "200", "201", "200 readable", RUNS, "answers", "opens, 200", RUNS,
    ),
    # `diagnose` answers Colab's page before it has a token: it tells the protocol's version and no more.
    # http_over_ws: the published package opens here, and proxied_ws opens and then closes with 403.
    "no token, Colab": (
        "403 readable", "200", "403", "200 readable", "403", "answers", "403", "403",
    ),
    "wrong token, Colab": (
        "403 readable", "200", "403", "200 readable", "403", "answers", "403", "403",
    ),
    "good token, no Origin": (
        "200", "200", "201", "200", RUNS, "answers", "opens, 200", RUNS,
    ),
    # A program of another user on this computer. The published package opens http_over_ws here.
    "no token, no Origin": (
        "403", "200", "403", "200", "403", "answers", "403", "403",
    ),
    "wrong token, no Origin": (
        "403", "200", "403", "200", "403", "answers", "403", "403",
    ),
    "no token, evil origin": (
        "404 unreadable", "404", "404", "200 unreadable", "403", "403", "403", "403",
    ),
    "wrong token, evil origin": (
        "404 unreadable", "404", "404", "200 unreadable", "403", "403", "403", "403",
    ),
    # The token is the whole defence of the direct door: with it a page of any origin writes, and opens a kernel.
    "good token, evil origin": (
        "200 unreadable", "200", "201", "200 unreadable", RUNS, "403", "403", "403",
    ),
    # A name that somebody else's DNS turned into 127.0.0.1.
    "good token, foreign Host": (
        "403 readable", "403", "403", "403 readable", "403", "403", "403", "403",
    ),
    "no token, foreign Host": (
        "403 readable", "403", "403", "403 readable", "403", "403", "403", "403",
    ),
    "good token, foreign Host, its own origin": (
        "403 unreadable", "403", "403", "403 unreadable", "403", "403", "403", "403",
    ),
    # The published package opens http_over_ws here and answers each request inside with 500.
    "auth URL of another host": (
        "-", "-", "-", "-", "-", "answers", "403", "403",
    ),
    "auth URL of the host's other name": (
        "-", "-", "-", "-", "-", "answers", "403", "403",
    ),
    "auth URL of another port": (
        "-", "-", "-", "-", "-", "answers", "403", "403",
    ),
    "cookie, Colab": (
        "200 readable", "200", "403", "200 readable", RUNS, "answers", "opens, 200", RUNS,
    ),
    "cookie, xsrf header, Colab": (
        "200 readable", "200", "201", "200 readable", RUNS, "answers", "opens, 200", RUNS,
    ),
    "cookie, evil origin": (
        "404 unreadable", "404", "404", "200 unreadable", "403", "403", "403", "403",
    ),
    "cookie, xsrf header, evil origin": (
        "404 unreadable", "404", "404", "200 unreadable", "403", "403", "403", "403",
    ),
    "cookie, xsrf header, foreign Host": (
        "403", "403", "403", "403", "403", "403", "403", "403",
    ),
}  # fmt: skip
CELLS = [
    pytest.param(caller, request, expected, id=f"{caller}: {request}")
    for caller, row in ANSWERS.items()
    for request, expected in zip(COLUMNS, row, strict=True)
    if expected != "-"
]


@pytest.mark.parametrize(("caller", "request_", "expected"), CELLS)
def test_each_caller_gets_what_the_table_says(
    inside: Host, ground: Ground, caller: str, request_: str, expected: str
) -> None:
    with listening() as other:
        assert REQUESTS[request_](callers(ground, other.port)[caller], ground) == expected
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


# --- what anybody gets who just asks --------------------------------------------------------------------------------

ASKED = {
    "/": (200, ""),
    "/tree": (302, "/login?next=%2Ftree"),
    "/lab": (302, "/login?next=%2Flab"),
    "/files/.bashrc": (302, "/login?next="),
    "/api/spec.yaml": (302, "/login?next="),
    "/login": (200, ""),
    "/static/favicon.ico": (200, ""),
    "/metrics": (403, ""),
    "/api": (200, ""),
    "/api/me": (403, ""),
    "/api/status": (403, ""),
    "/api/terminals": (403, ""),
    "/api/config/notebook": (403, ""),
    "/api/contents": (403, ""),
    "/api/kernels": (403, ""),
    "/api/sessions": (403, ""),
    # The published package says 400 to each of these: it looks for a websocket first, and for a token never.
    "/http_over_websocket": (403, ""),
    "/http_over_websocket/proxied_ws/api/kernels": (403, ""),
    "/http_over_websocket/diagnose": (400, ""),
}


@pytest.mark.parametrize(("path", "status", "to"), [(path, *rest) for path, rest in ASKED.items()], ids=[*ASKED])
def test_who_asks_without_a_token_sees_a_way_to_log_in_and_nothing_else(
    inside: Host, ground: Ground, path: str, status: int, to: str
) -> None:
    answer = ground.owner.but(token=None, origin=None).http("GET", path)
    assert answer.status == status
    assert answer.headers.get("location", "").startswith(to)
    for secret in (ground.owner.token or "", ground.kernel, "Traceback"):
        assert secret.encode() not in answer.body


def test_an_answer_to_a_stranger_sets_no_cookie_that_lets_in(inside: Host, ground: Ground) -> None:
    stranger = ground.owner.but(token=None, origin=None)
    jar = [
        cookie.partition(";")[0] for path in ("/", "/login", "/lab") for cookie in stranger.http("GET", path).cookies
    ]
    assert stranger.but(cookie="; ".join(jar) or None).http("GET", "/api/kernelspecs").status == 403


# --- the auth URL: Colab's way through, and nobody else's ------------------------------------------------------------


def test_colabs_way_through_is_open_while_the_same_door_is_shut_without_the_token(inside: Host, ground: Ground) -> None:
    """The published package lets everybody of Colab's origin open both sockets. Colab's page has the token all the same."""
    channel = f"{PROXIED}/api/kernels/{ground.kernel}/channels?session_id=door"
    for path in (DOOR, channel):
        assert ground.owner.refusal(ground.owner.through_door(path)) is None
        for visitor in (
            ground.owner.but(token=None),
            ground.owner.but(token=ground.wrong),
            ground.owner.but(auth_url=""),
        ):
            assert visitor.refusal(visitor.through_door(path)) == 403
    with ground.owner.socket(ground.owner.through_door()) as opened:
        assert through(opened, "GET", "/api/kernelspecs").status == 200
        made = through(opened, "POST", "/api/sessions", body=json.dumps(notebook()))
        assert made.status == 201
        assert through(opened, "DELETE", f"/api/sessions/{made.json()['id']}").status == 204
    with ground.owner.socket(ground.owner.through_door(channel)) as opened:
        assert kernel_says(opened) == "42"


# {own} and {other} are host:port, {token} the good token.
AUTH_URLS = {
    "other port": "http://{other}/?token={token}",
    "other port, token in the user part": "http://{token}@{other}/?token={token}",
    "own address in the user part": "http://{own}@{other}/?token={token}",
    "own address in the user part, backslash": "http://{own}\\@{other}/?token={token}",
    "own address behind the backslash": "http://{other}\\@{own}/?token={token}",
    "own address in the fragment": "http://{other}#@{own}/?token={token}",
    "own address in the query": "http://{other}?@{own}/&token={token}",
    "own address in the path": "http://{other}/{own}/?token={token}",
    "name below ours": "http://{own}.rebound.example/?token={token}",
    "no scheme": "//{other}/?token={token}",
    "three slashes": "http:///{other}/?token={token}",
    "other scheme, own address": "https://{own}/?token={token}",
    "websocket scheme": "ws://{own}/?token={token}",
    "file": "file:///etc/passwd?token={token}",
    "gopher": "gopher://{other}/?token={token}",
    "user part": "http://user:word@{own}/?token={token}",
    "user part, empty": "http://@{own}/?token={token}",
    "address as a number": "http://2130706433:{port}/?token={token}",
    "IPv4 for localhost": "http://127.0.0.1:{port}/?token={token}",
    "IPv6 for localhost": "http://[::1]:{port}/?token={token}",
    "any address": "http://0.0.0.0:{port}/?token={token}",
    "dot at the end": "http://localhost.:{port}/?token={token}",
    "ideographic full stop": "http://localhost\u3002:{port}/?token={token}",
    "full-width letters": "http://\uff4cocalhost:{port}/?token={token}",
    "full-width port": "http://localhost:\uff18888/?token={token}",
    "zero before the port": "http://localhost:0{port}/?token={token}",
    "no port": "http://localhost/?token={token}",
    "line break in front": "\r\nhttp://{other}/?token={token}",
    "line break in the host": "http://{own}\r\n.{other}/?token={token}",
    "tab in the host": "http://local\thost:{port}/?token={token}",
    "not an address": "{token}",
    "token twice, the first one wrong": "http://{own}/?token=wrong&token={token}",
    "token in the fragment": "http://{own}/#token={token}",
    "token in the path": "http://{own}/token={token}",
    "token with a blank": "http://{own}/?token={token}%20",
    "half of the token": "http://{own}/?token={half}",
    "empty token": "http://{own}/?token=",
}  # fmt: skip
# These are the server's own address in another spelling, or the good token among others: a guard may see through them.
MAY_OPEN = {"user part, empty", "tab in the host", "line break in front", "token twice, the first one wrong"}


@pytest.mark.parametrize("what", [*AUTH_URLS])
def test_an_auth_url_that_is_not_the_servers_own_address_opens_nothing_and_is_never_asked_for(
    inside: Host, ground: Ground, what: str
) -> None:
    token, port = ground.owner.token or "", ground.owner.port
    with listening() as other:
        names = {"own": f"localhost:{port}", "other": f"localhost:{other.port}", "port": port, "half": token[:24]}
        visitor = ground.owner.but(auth_url=AUTH_URLS[what].format(token=token, **names))
        for path in (DOOR, f"{PROXIED}/api/kernels/{ground.kernel}/channels?session_id=door"):
            refusal = visitor.refusal(visitor.through_door(path))
            assert refusal in ((400, 403, None) if what in MAY_OPEN else (400, 403))
            if refusal is None and path == DOOR:
                with visitor.socket(visitor.through_door(path)) as opened:
                    through(opened, "GET", "/api/kernelspecs")
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


REDIRECTS = {
    "to a path that looks like a host": "http://{own}//{other}/?token={token}",
    "to the next page, another port": "http://{own}/login?next=http%3A%2F%2F{other}%2F&token={token}",
    "to the next page, no scheme": "http://{own}/login?next=%2F%2F{other}%2F&token={token}",
    "to the next page, three slashes": "http://{own}/login?next=%2F%2F%2F{other}%2F&token={token}",
    "to the next page, backslash": "http://{own}/login?next=%5C%5C{other}%5C&token={token}",
    "to a slash at the end": "http://{own}//{other}/%2e%2e/?token={token}",
    "to a folder that looks like a host": "http://{own}/lab//{other}/?token={token}",
    "to a file that looks like a host": "http://{own}/files//{other}/?token={token}",
}


@pytest.mark.parametrize("what", [*REDIRECTS])
def test_an_auth_url_that_redirects_leads_nowhere_else(inside: Host, ground: Ground, what: str) -> None:
    with listening() as other:
        names = {"own": f"localhost:{ground.owner.port}", "other": f"localhost:{other.port}"}
        url = REDIRECTS[what].format(token=ground.owner.token, **names)
        knock_with(ground, ground.owner.but(auth_url=url))
        assert not other.seen, f"the server followed to another port {len(other.seen)} times"


def test_an_auth_url_does_not_make_the_server_ask_colabs_own_host(inside: Host, ground: Ground) -> None:
    """Jupyter's login page redirects to the allowed origin: the one host that is not its own and that it trusts."""
    names = inside.read("/etc/hosts")
    url = f"http://localhost:{ground.owner.port}/login?next={COLAB}/elsewhere&token={{token}}"
    with listening(443) as other:
        try:
            inside.write("/etc/hosts", f"{names}\n127.0.0.1 {COLAB.partition('//')[2]}\n")
            knock_with(ground, ground.owner.but(auth_url=url))
        finally:
            inside.write("/etc/hosts", names)
        assert not other.seen, f"the server went to the page's host: {len(other.seen)} times"


def knock_with(ground: Ground, visitor: Visitor) -> None:
    """Both sockets, and a request inside each that opens: what counts is whom the server asks on the way."""
    for path in (DOOR, f"{PROXIED}/api/kernels/{ground.kernel}/channels?session_id=door"):
        with contextlib.suppress(InvalidStatus, ConnectionClosed, TimeoutError):
            with visitor.socket(visitor.through_door(path), seconds=5) as opened:
                opened.send(json.dumps({"method": "GET", "path": "/api/kernelspecs", "message_id": "1"}))
                opened.recv(timeout=5)


OTHER_HOSTS = (
    "localhost:{other}",
    "127.0.0.1:{other}",
    "localhost:{own}@localhost:{other}",
    "localhost:{other}#:{own}",
)


@pytest.mark.parametrize("host", OTHER_HOSTS)
def test_a_host_header_does_not_tell_the_server_whom_to_ask(inside: Host, ground: Ground, host: str) -> None:
    """The published package asks whoever the Host header names, and any port of localhost passes Jupyter's check."""
    away = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nSet-Cookie: _xsrf=1\r\n\r\nelsewhere"
    with listening(answer=away) as other:
        named = host.format(own=ground.owner.port, other=other.port)
        for token in (ground.owner.token, None):
            for query in (
                f"min_version=0.0.7&jupyter_http_over_ws_auth_url=http://{named}/?token={token}",
                "",
                f"token={token}",
            ):
                for path in (DOOR, f"{PROXIED}/api/kernels/{ground.kernel}/channels"):
                    raw_knock(ground.owner.port, named, f"{path}?{query}")
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


def raw_knock(
    port: int, host: str, target: str, message: bytes = b'{"method":"GET","path":"/x","message_id":"1"}'
) -> bytes:
    """A handshake as it is written here, and one message behind it; what the server says to it within a second."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {host}",
            f"Origin: {COLAB}",
            "Upgrade: websocket",
            "Connection: Upgrade",
        ]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
        wire.sendall("\r\n".join(lines).encode())
        answer = wire.recv(65536)
        if answer.startswith(b"HTTP/1.1 101"):
            wire.sendall(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
            wire.settimeout(1)
            with contextlib.suppress(TimeoutError):
                answer += wire.recv(65536)
        return answer


# --- paths: in the address of proxied_ws, and in the messages of http_over_ws ------------------------------------------

PATHS = {
    "at": "@{other}/",
    "user and at": "x:y@{other}/",
    "two slashes": "//{other}/",
    "three slashes": "///{other}/",
    "absolute": "http://{other}/",
    "absolute behind a slash": "/http://{other}/",
    "dots": "/../../{other}/",
    "dots, quoted": "/%2e%2e/%2e%2e/{other}/",
    "dots and two slashes": "/..//{other}/",
    "slashes, quoted": "/%2f%2f{other}%2f",
    "backslashes": "\\\\{other}\\",
    "slash and backslash": "/\\{other}/",
    "backslashes, quoted": "/%5c%5c{other}%5c",
    "line break, quoted": "/x%0d%0aHost:%20{other}%0d%0a",
    "null, quoted": "/%00@{other}/",
    "question mark": "?@{other}/",
    "question mark, quoted": "/%3f@{other}/",
    "fragment, quoted": "/%23@{other}/",
    "ideographic full stop, quoted": "/%E3%80%82@{other}/",
    "semicolon": "/;@{other}/",
    "colon": ":1@{other}/",
    "the prefix again": "/http_over_websocket/proxied_ws//{other}/",
}
# What no address line can carry, but a message can.
MESSAGE_PATHS = {
    **PATHS,
    "line break": "/x\r\nHost: {other}\r\n\r\n",
    "line break in front": "\r\n//{other}/",
    "blank": " http://{other}/",
    "blank and version": "/ HTTP/1.1\r\nHost: {other}\r\nX:",
    "null": "/\x00@{other}/",
    "fragment": "/#@{other}/",
    "fragment at once": "#@{other}/",
    "ideographic full stop": "/\u3002@{other}/",
    "full-width slash": "\uff0f\uff0f{other}\uff0f",
    "tab": "\t//{other}/",
    "empty": "",
}


@pytest.mark.parametrize("what", [*PATHS])
def test_no_path_leads_proxied_ws_to_another_server(inside: Host, ground: Ground, what: str) -> None:
    """It ends in a refusal, or in the server's own 404: never at the listener, which a slip would reach."""
    with listening() as other:
        path = PATHS[what].format(other=f"localhost:{other.port}")
        target = ground.owner.through_door(f"{PROXIED}/{path}")
        answer = raw_knock(ground.owner.port, ground.owner.netloc, target)
        assert answer.startswith((b"HTTP/1.1 101", *(b"HTTP/1.1 %d" % status for status in (302, 400, 403, 404)))), (
            answer
        )
        assert b"Traceback" not in answer
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


def test_an_absolute_address_in_the_request_line_leads_nowhere_else(inside: Host, ground: Ground) -> None:
    with listening() as other:
        target = ground.owner.through_door(f"{PROXIED}/api/kernels/{ground.kernel}/channels")
        for start in (f"http://localhost:{other.port}", f"//localhost:{other.port}", f"@localhost:{other.port}"):
            answer = raw_knock(ground.owner.port, ground.owner.netloc, start + target)
            assert not answer.startswith(b"HTTP/1.1 101"), answer
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


@pytest.mark.parametrize("what", [*MESSAGE_PATHS])
def test_no_path_in_a_message_leads_to_another_server(inside: Host, ground: Ground, what: str) -> None:
    """And the socket lives on: the next request is answered."""
    with listening() as other, ground.owner.socket(ground.owner.through_door()) as opened:
        path = MESSAGE_PATHS[what].format(other=f"localhost:{other.port}")
        answer = through(opened, "GET", path)
        # 599 is tornado's word for a request that could not be sent.
        assert answer.status in (200, 301, 302, 400, 403, 404, 405, 500, 599)
        assert b"Traceback" not in answer.body
        assert through(opened, "GET", "/api/kernelspecs").status == 200
        assert not other.seen, f"the server connected to another port {len(other.seen)} times"


def test_the_listener_of_these_tests_hears_the_server_when_it_is_called(inside: Host, ground: Ground) -> None:
    """Else it would have proven nothing: a cell of the runtime's own kernel calls it, from where the server stands."""
    with listening() as other:
        code = (
            f"import urllib.request; urllib.request.urlopen('http://localhost:{other.port}/heard', timeout=10).status"
        )
        with ground.owner.socket(ground.owner.with_token(f"/api/kernels/{ground.kernel}/channels")) as opened:
            assert kernel_says(opened, code) == "200"
        assert any(b"/heard" in request for request in other.seen)


# --- no token, no server ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copy:
    """Settings like the runtime's, for a server that nobody needs: other port, other folders, its own token file."""

    host: Host
    folder: str

    def refusal(self, token: str, config: dict[str, Any] | None = None, mode: str = "0600") -> tuple[int, str]:
        """How `colab-runtime serve` ends with this token and these server settings, and what it says."""
        user, folder = self.host.user, self.folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {
            **self.host.settings,
            "port": port,
            "token_file": f"{folder}/token",
            "config_dir": f"{folder}/jupyter",
            # Whose server takes the port itself, where systemd has no socket for it.
            "service_manager": "colab-runtime",
        }
        settings |= {"run_dir": f"{folder}/run", "log_dir": f"{folder}/log"}
        managed = json.loads(self.host.read(converged_host.CONFIG))
        for section, values in (config or {}).items():
            managed[section] = {**managed.get(section, {}), **values}
        managed["ServerApp"]["port"] = port
        for name, text in {
            "token": token,
            "runtime.json": json.dumps(settings),
            "jupyter/jupyter_server_config.json": json.dumps(managed),
            "jupyter/migrated": "",
        }.items():
            self.host.write(f"{folder}/{name}", text)
        self.host.must("chown", user, f"{folder}/token", f"{folder}/run", f"{folder}/log")
        self.host.must("chmod", mode, f"{folder}/token")
        return self.serve(port)

    def serve(self, port: int) -> tuple[int, str]:
        """A server that answers is ended at once, and shall not have been refused."""
        script = 'echo $$ >"$1/run/pid"; exec "$2" --settings "$1/runtime.json" serve'
        command = ("sh", "-c", script, "serve", self.folder, converged_host.RUNTIME)
        with concurrent.futures.ThreadPoolExecutor(1) as background:
            running = background.submit(self.host.run, *command, user=self.host.user)
            while not running.done():
                with contextlib.suppress(OSError):
                    Visitor(port, origin=None).http("GET", "/api", seconds=5)
                    self.host.must("sh", "-c", 'kill -KILL "$(cat "$1")"', "kill", f"{self.folder}/run/pid")
                    return SERVED, running.result().stderr
                time.sleep(0.1)
        done = running.result()
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(inside: Host) -> Iterator[Copy]:
    folder = inside.must("mktemp", "-d", "/run/colab-ready-copy.XXXXXX").strip()
    try:
        inside.must("chmod", "0755", folder)
        inside.must("mkdir", *(f"{folder}/{name}" for name in ("jupyter", "run", "log")))
        yield Copy(inside, folder)
    finally:
        inside.must("rm", "-r", folder)


SERVED = -1
GOOD = "a-good-token-for-a-server-that-nobody-starts"
TOKENS = {
    "nothing": "",
    "a line break": "\n",
    "blanks": " " * 40,
    "a token and a line break": f"{GOOD}\n",
    "too short": "short",
    "the article's way to switch it off": "''",
}
CONFIGS = {
    "IdentityProvider": {"IdentityProvider": {"token": ""}},
    "PasswordIdentityProvider": {"PasswordIdentityProvider": {"token": ""}},
    "ServerApp": {"ServerApp": {"token": ""}},
    "NotebookApp": {"NotebookApp": {"token": ""}},
    "ServerApp, no token wanted": {"ServerApp": {"token": "", "password": ""}},
}


@pytest.mark.parametrize("what", [*TOKENS])
def test_a_server_with_an_empty_or_weak_token_is_refused_before_it_starts(copy: Copy, what: str) -> None:
    code, said = copy.refusal(TOKENS[what])
    assert code == 78, said
    assert "token" in said and f"{copy.folder}/token" in said


def test_a_token_that_others_can_read_is_refused_before_the_server_starts(copy: Copy) -> None:
    code, said = copy.refusal(GOOD, mode="0644")
    assert code == 78, said
    assert "can be reached by other users" in said


@pytest.mark.parametrize("what", [*CONFIGS])
def test_a_configuration_that_empties_the_token_is_refused_before_the_server_starts(copy: Copy, what: str) -> None:
    """The token's file is good; the setting would win over it, and everybody on this computer would be let in."""
    code, said = copy.refusal(GOOD, CONFIGS[what])
    assert code == 78, "it served" if code == SERVED else said
    assert "jupyter_server_config.json" in said and "token" in said


def test_the_copy_of_these_tests_serves_with_a_good_token(copy: Copy) -> None:
    """Else the refusals above would have proven nothing."""
    code, said = copy.refusal(GOOD)
    assert code == SERVED, said


def test_no_role_offers_an_empty_token(inside: Host) -> None:
    """The token is made on the host; no variable of any role carries one."""
    found = inside.run(
        "grep", "-rniE", r"^\s*[a-z_]*(token|password)[a-z_]*:", f"{inside.checkout}/roles", "--include=main.yml"
    )
    assert found.returncode == 1, found.stdout

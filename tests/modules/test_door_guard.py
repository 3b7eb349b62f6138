"""The guard before /http_over_websocket, in a real Jupyter Server: who gets in, where what is asked inside goes, and what
a server does with messages that are none. And what else the extension does: build-info, and the note of a browser."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible.module_utils.colab_ready.proof.probes import handshake_page
from extension_server import EXTENSION, ORIGIN, SECONDS, TOKEN, Server, whole_answer
from websockets.exceptions import ConnectionClosed

EVIL = "https://evil.example"
PROXIED = "/proxied_ws/api/kernels/none/channels"
SOCKETS = ["", PROXIED]
LARGE = 1_000_000


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, server_python: str) -> Iterator[Any]:
    with contextlib.ExitStack() as running:

        def started(**options: Any) -> Server:
            # No cell is run here, so the kernel's Python need not exist.
            server = Server(tmp_path_factory.mktemp("server"), str(server_python), "/no/python", **options)
            running.callback(server.stop)
            return server

        yield started


@pytest.fixture(scope="module")
def server(start: Any) -> Server:
    found: Server = start()
    return found


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Any]:
    """Another server on this loopback: `port`, and `seen`, what was said to it."""

    class Listener:
        seen: list[bytes] = []
        port = 0

    with socket.create_server(("127.0.0.1", 0)) as listening:
        Listener.port = listening.getsockname()[1]

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _address = listening.accept()
                    with caller:
                        Listener.seen.append(caller.recv(4096))

        threading.Thread(target=listen, daemon=True).start()
        yield Listener
        listening.shutdown(socket.SHUT_RDWR)


def logged_in(server: Server) -> dict[str, str]:
    """The headers of a browser that was here with its token."""
    browser = requests.Session()
    assert browser.get(f"http://{server.host}/login?token={TOKEN}", timeout=SECONDS).status_code in (200, 404)
    browser.get(f"http://{server.host}/login", timeout=SECONDS)
    cookies = {one.name: one.value for one in browser.cookies}
    assert "_xsrf" in cookies and len(cookies) == 2
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


# --- who gets in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "0", TOKEN.upper()])
@pytest.mark.parametrize("origin", [ORIGIN, None])
def test_who_does_not_prove_the_token_gets_no_socket(
    server: Server, path: str, token: str | None, origin: str | None
) -> None:
    assert server.opening(path, token=token, origin=origin) == 403
    if token is not None:
        assert server.opening(path, token=None, origin=origin, query={"token": token}) == 403


@pytest.mark.parametrize("way", ["auth URL", "query", "header", "cookie"])
def test_who_proves_the_token_is_served_whichever_way_it_was_proven(server: Server, way: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "auth URL": {},
        "query": {"token": None, "query": {"token": TOKEN}},
        "header": {"token": None, "headers": {"Authorization": f"token {TOKEN}"}},
        "cookie": {"token": None, "headers": logged_in(server)},
    }
    assert server.ask("GET", "/api/kernelspecs", **options[way])[0] == 200
    # A POST is what a cookie alone is not enough for; the path has a query already, which Google's handler broke.
    assert server.ask("POST", "/api/contents?x=1", {"type": "file"}, **options[way])[0] == 201
    assert server.opening("/proxied_ws/api/events/subscribe", **options[way]) == 101


@pytest.mark.parametrize("way", ["query", "header", "cookie"])
def test_a_large_body_of_who_proves_the_token_is_read(server: Server, way: str) -> None:
    headers, query = {"header": ({"Authorization": f"token {TOKEN}"}, {}), "query": ({}, {"token": TOKEN})}.get(
        way, ({}, {})
    )
    if way == "cookie":
        headers = logged_in(server)
        headers["X-XSRFToken"] = dict(one.split("=", 1) for one in headers["Cookie"].split("; "))["_xsrf"].strip('"')
    large = json.dumps({"type": "file", "format": "text", "content": "x" * LARGE})
    done = requests.put(
        f"http://{server.host}/api/contents/{way}", large, headers=headers, params=query, timeout=SECONDS
    )
    assert done.status_code == 201, done.text


@pytest.mark.parametrize(
    "headers", [{"Content-Length": str(LARGE)}, {"Transfer-Encoding": "chunked"}], ids=["whole", "pieces"]
)
@pytest.mark.parametrize("query", ["", "?token=wrong", f"?token={TOKEN[:-1]}", "?token=%ff"])
def test_no_large_body_is_read_of_a_stranger(server: Server, headers: dict[str, str], query: str) -> None:
    lines = [
        f"PUT /api/contents/large{query} HTTP/1.1",
        f"Host: {server.host}",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    piece = b"x" * LARGE
    body = piece if "Content-Length" in headers else b"%x\r\n%s\r\n" % (len(piece), piece)
    name, port = server.host.split(":")
    with socket.create_connection((name, int(port)), SECONDS) as stranger:
        stranger.sendall("\r\n".join([*lines, "", ""]).encode())
        with contextlib.suppress(ConnectionError):
            stranger.sendall(body)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = stranger.recv(4096)
    assert answer.split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b""), answer


def test_a_login_form_is_read(server: Server) -> None:
    assert (
        requests.post(f"http://{server.host}/login", {"password": "wrong"}, timeout=SECONDS).status_code == 403
    )  # no _xsrf


@pytest.mark.parametrize("path", [*SOCKETS, "/diagnose"])
@pytest.mark.parametrize("origin", [EVIL, ORIGIN + "/", "http://colab.research.google.com", "null"])
@pytest.mark.parametrize(
    "more", [{}, {"query": {"token": TOKEN}}, {"headers": {"Sec-Fetch-Site": "none"}}], ids=["", "query", "fetch"]
)
def test_the_token_does_not_excuse_another_origin(server: Server, path: str, origin: str, more: dict[str, Any]) -> None:
    assert server.opening(path, origin=origin, **more) == 403


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/?token={token}",
        "http://localhost:{other}/?token={token}",
        "http://127.0.0.1:{own}/?token={token}",
        "https://localhost:{own}/?token={token}",
        "ws://localhost:{own}/?token={token}",
        "http://localhost:{own}@localhost:{other}/?token={token}",
        "http://user@localhost:{own}/?token={token}",
        "http://localhost:{own}\\@localhost:{other}/?token={token}",
        "http://localhost:{own}.elsewhere.example/?token={token}",
        "http://[::1/?token={token}",
        "//localhost:{own}/?token={token}",
        "/?token={token}",
        "?token={token}",
        "{token}",
        "http://localhost:{own}/{token}",
        "http://localhost:{own}/#?token={token}",
    ],
)
def test_an_auth_url_of_elsewhere_or_without_the_token_opens_nothing_and_nothing_is_fetched(
    server: Server, elsewhere: Any, path: str, url: str
) -> None:
    own = server.host.rpartition(":")[2]
    elsewhere.seen.clear()
    asked = url.format(own=own, other=elsewhere.port, token=TOKEN)
    assert server.opening(path, query={"jupyter_http_over_ws_auth_url": asked}) == 403
    if "?token=" in url and "localhost:{own}/" not in url:
        # Nor does a token that is proven otherwise excuse it.
        assert server.opening(path, query={"jupyter_http_over_ws_auth_url": asked, "token": TOKEN}) == 403
    assert elsewhere.seen == []


def test_a_server_whose_authentication_is_off_opens_neither_socket(start: Any) -> None:
    open_to_all = start(settings={"IdentityProvider": {"token": ""}})
    assert requests.get(f"http://{open_to_all.host}/api/contents", timeout=SECONDS).status_code == 200
    for path in SOCKETS:
        assert open_to_all.opening(path, token=None) == 403
        assert open_to_all.opening(path, token="") == 403


# --- where it leads -------------------------------------------------------------------------------------------------


def test_a_host_header_that_names_another_port_does_not_lead_there(server: Server, elsewhere: Any) -> None:
    elsewhere.seen.clear()
    host = f"localhost:{elsewhere.port}"
    query = {"jupyter_http_over_ws_auth_url": f"http://{host}/?token={TOKEN}"}
    with server.socket(query=query, host=host) as opened:
        opened.send(json.dumps({"method": "GET", "path": "/api/kernelspecs", "message_id": "1"}))
        assert whole_answer(opened)[0]["status"] == 200
    assert server.opening(PROXIED, query=query, host=host) == 101
    assert elsewhere.seen == []


TRICKS = [
    "/@{other}/",
    "/\\{other}/",
    "/%2F%2F{other}/",
    "/..//{other}/",
    "/;@{other}/",
    "/#@{other}/",
    "/api?@{other}/",
    "/ü",
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_path_leads_away_from_this_server(server: Server, elsewhere: Any, path: str) -> None:
    elsewhere.seen.clear()
    asked = path.format(other=f"localhost:{elsewhere.port}")
    assert server.ask("GET", asked, text=True)[0] in (200, 302, 404)
    assert server.opening("/proxied_ws" + asked.replace("ü", "%C3%BC").replace("#", "%23")) in (101, 403, 404)
    assert elsewhere.seen == []


@pytest.mark.parametrize(
    "path", ["//elsewhere.example/", "/http_over_websocket", "/http_over_websocket/proxied_ws/api"]
)
def test_a_proxied_path_that_is_none_or_leads_back_is_refused(server: Server, path: str) -> None:
    assert server.opening("/proxied_ws" + path) in (403, 404)


def test_a_redirect_is_handed_over_and_not_followed(server: Server) -> None:
    with server.socket() as opened:
        opened.send(json.dumps({"method": "GET", "path": "/api/kernelspecs/", "message_id": "1"}))
        answer, _data = whole_answer(opened)
    assert answer["status"] == 302
    assert answer["headers"]["Location"] == "/api/kernelspecs"


def test_no_cookie_of_the_server_reaches_the_script(server: Server) -> None:
    direct = requests.get(f"http://{server.host}/api/status?token={TOKEN}", timeout=SECONDS)
    assert "Set-Cookie" in direct.headers
    with server.socket() as opened:
        opened.send(json.dumps({"method": "GET", "path": "/api/status", "message_id": "1"}))
        answer, _data = whole_answer(opened)
    assert answer["status"] == 200
    assert "Set-Cookie" not in answer["headers"]


# --- messages -------------------------------------------------------------------------------------------------------

GOOD = {"path": "/api", "method": "GET", "message_id": "7"}
BAD: dict[str, tuple[Any, Any]] = {  # the message, and the message_id of its answer
    "no JSON": ("{", None),
    "nothing": ("", None),
    "bytes that are no text": (b"\xff\xfe\xff", None),
    "deep": ("[" * 100_000, None),
    "a list": ([GOOD], None),
    "a number": (7, None),
    "null": (None, None),
    "no message_id": ({"path": "/api", "method": "GET"}, None),
    "message_id null": ({**GOOD, "message_id": None}, None),
    "message_id of another type": ({**GOOD, "message_id": ["7"]}, None),
    "message_id too long": ({**GOOD, "message_id": "7" * 10_000}, None),
    "message_id not finite": ('{"path": "/api", "method": "GET", "message_id": 1e999}', None),
    "no path": ({"method": "GET", "message_id": "7"}, "7"),
    "message_id a number": ({"method": "GET", "message_id": 7}, 7),
    "message_id half a character": ({"method": "GET", "message_id": "\ud800"}, "\ud800"),
    "path of another type": ({**GOOD, "path": 7}, "7"),
    "path empty": ({**GOOD, "path": ""}, "7"),
    "path a blank": ({**GOOD, "path": " "}, "7"),
    "path with two slashes": ({**GOOD, "path": "//elsewhere.example/"}, "7"),
    "path a user part": ({**GOOD, "path": "@elsewhere.example/"}, "7"),
    "path a port": ({**GOOD, "path": ":1/"}, "7"),
    "path an address": ({**GOOD, "path": "http://elsewhere.example/"}, "7"),
    "path with a line end": ({**GOOD, "path": "/api HTTP/1.1\r\nX: y"}, "7"),
    "path half a character": ({**GOOD, "path": "/\ud800"}, "7"),
    "method of another type": ({**GOOD, "method": 7}, "7"),
    "method unknown": ({**GOOD, "method": "BREW"}, "7"),
    "method of a proxy": ({**GOOD, "method": "CONNECT"}, "7"),
    "method with a line end": ({**GOOD, "method": "GET\r\nX: y"}, "7"),
    "body of another type": ({**GOOD, "body": {}}, "7"),
    "body half a character": ({**GOOD, "body": "\ud800"}, "7"),
    "body_base64 of another type": ({**GOOD, "body_base64": ["eA=="]}, "7"),
    "body_base64 broken": ({**GOOD, "body_base64": "x"}, "7"),
    "body_base64 no base64": ({**GOOD, "body_base64": "ä-_"}, "7"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_message_is_answered_with_400_and_the_socket_goes_on(server: Server, what: str) -> None:
    message, message_id = BAD[what]
    with server.socket() as opened:
        opened.send(message if isinstance(message, (str, bytes)) else json.dumps(message))
        answer = json.loads(opened.recv(timeout=SECONDS))
        assert set(answer) - {"message_id"} == {"done", "status", "statusText"}
        assert (answer["status"], answer["done"], answer.get("message_id")) == (400, True, message_id)
        opened.send(json.dumps(GOOD))
        assert whole_answer(opened)[0]["status"] == 200
    assert "Traceback" not in server.log


def test_many_messages_at_once_are_answered_each_with_its_id(server: Server) -> None:
    with server.socket() as opened:
        for number in range(50):
            opened.send(json.dumps({**GOOD, "message_id": number}))
        answers = [whole_answer(opened)[0] for _ in range(50)]
    assert [(one["message_id"], one["status"]) for one in answers] == [(number, 200) for number in range(50)]


def test_a_message_of_nine_megabytes_passes_and_one_of_eleven_closes_the_socket(server: Server) -> None:
    model = json.dumps({"type": "file", "format": "text", "content": "x" * 9_000_000})
    with server.socket() as opened:
        opened.send(json.dumps({"path": "/api/contents/big.txt", "method": "PUT", "message_id": "1", "body": model}))
        assert whole_answer(opened)[0]["status"] == 201
        with pytest.raises(ConnectionClosed):
            opened.send(" " * 11_000_000)
            opened.recv(timeout=SECONDS)
    assert server.ask("GET", "/api")[0] == 200


def test_a_body_that_looks_like_a_form_is_not_read_as_one(server: Server) -> None:
    """tornado calls the body of a POST a form unless told otherwise, and Jupyter looks for the token in forms first."""
    body = base64.b64encode(b'{"type": "file", "x": "&token=wrong&"}').decode()
    with server.socket() as opened:
        opened.send(json.dumps({"path": "/api/contents", "method": "post", "message_id": 1, "body_base64": body}))
        assert whole_answer(opened)[0]["status"] == 201


@pytest.mark.parametrize("min_version", ["0.0.8", "x" * 4000, "ü" * 200])
def test_a_version_that_closes_the_socket_does_so_in_good_order(server: Server, min_version: str) -> None:
    """With Google's code 400, which is no code that a websocket may have, so a client calls it a protocol error."""
    with server.socket(query={"min_version": min_version}) as opened, pytest.raises(ConnectionClosed) as closed:
        opened.recv(timeout=SECONDS)
    assert closed.value.sent is not None and closed.value.sent.reason == "invalid status code"
    assert "Traceback" not in server.log


@pytest.mark.parametrize("path", [*SOCKETS, "/diagnose"])
def test_a_version_that_is_no_text_is_told_so_before_the_socket_opens(server: Server, path: str) -> None:
    assert server.opening(f"{path}?min_version=%ff&x=", token=None) == 400


# --- diagnose -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", PROXIED, "/diagnose"])
@pytest.mark.parametrize("query", ["token=%ED%A0%80", "min_version=%ff", "jupyter_http_over_ws_auth_url=%ff"])
def test_an_address_that_is_no_text_is_refused_without_a_traceback_in_the_log(
    server: Server, path: str, query: str
) -> None:
    before = len(server.log_file.read_text())
    answer = requests.get(
        f"http://{server.host}/http_over_websocket{path}?{query}",
        headers={"Origin": ORIGIN, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        | {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode()},
        timeout=SECONDS,
    )
    assert answer.status_code == 400
    assert "Traceback" not in answer.text + server.log_file.read_text()[before:]


def test_more_diagnoses_than_there_is_room_for_push_the_oldest_out(server: Server) -> None:
    with contextlib.ExitStack() as kept:
        opened = [kept.enter_context(server.socket("/diagnose", token=None)) for _ in range(20)]
        opened[-1].send("the last")
        assert json.loads(opened[-1].recv(timeout=SECONDS))["message_id"] == "the last"
        for pushed_out in opened[:4]:
            with pytest.raises(ConnectionClosed) as closed:
                pushed_out.recv(timeout=SECONDS)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
        opened[4].send("the first that stays")
        assert json.loads(opened[4].recv(timeout=SECONDS))["message_id"] == "the first that stays"


@pytest.mark.parametrize(("message", "code"), [("x" * 5000, 1009), (b"\x00", 1003)], ids=["too long", "binary"])
def test_a_diagnosis_of_what_is_no_short_text_ends_the_socket(server: Server, message: str | bytes, code: int) -> None:
    with server.socket("/diagnose", token=None) as opened:
        opened.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=SECONDS)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == code


def test_a_diagnosis_that_nobody_asks_for_is_ended(start: Any, tmp_path: Path) -> None:
    shutil.copytree(EXTENSION, tmp_path / "copy")
    source = tmp_path / "copy/colab_http_over_ws/guard.py"
    text = source.read_text()
    assert "DIAGNOSE_IDLE_SECONDS = 30.0" in text
    source.write_text(text.replace("DIAGNOSE_IDLE_SECONDS = 30.0", "DIAGNOSE_IDLE_SECONDS = 0.2"))
    with start(extension=tmp_path / "copy").socket("/diagnose", token=None) as opened:
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=SECONDS)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


# --- errors that a page can read, and build-info ---------------------------------------------------------------------

ERRORS = [
    ("GET", "/api/colab/build-info", 404),
    ("GET", "/no/such/page", 404),
    ("OPTIONS", "/", 405),
    ("GET", "/api/kernelspecs/none", 404),
    ("POST", "/api/kernels/none/interrupt", 404),
    ("GET", "/api/contents/none", 404),
    ("PUT", "/api/sessions", 405),
    ("GET", "/files/none", 404),
    ("GET", "/static/none", 404),
]


@pytest.mark.parametrize("origin", [ORIGIN, EVIL])
@pytest.mark.parametrize(("method", "path", "status"), ERRORS)
def test_an_error_is_for_colabs_page_to_read_and_for_no_other(
    server: Server, method: str, path: str, status: int, origin: str
) -> None:
    address = f"http://{server.host}{path}?token={TOKEN}"
    answer = requests.request(method, address, headers={"Origin": origin}, timeout=SECONDS)
    headers = answer.raw.headers
    assert answer.status_code == status
    assert headers.getlist("Access-Control-Allow-Origin") == [ORIGIN]
    assert headers.getlist("Access-Control-Allow-Credentials") == ["true"]
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert len(headers.getlist("Content-Security-Policy")) == 1


def test_a_page_of_elsewhere_is_refused_without_being_told_more(server: Server) -> None:
    answer = requests.get(f"http://{server.host}/api/kernelspecs", headers={"Origin": EVIL}, timeout=SECONDS)
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_build_info_is_told_only_with_a_tag_and_only_to_who_knows_the_token(start: Any) -> None:
    server = start(settings={"ColabHttpOverWs": {"build_info": "release-colab-1_RC00"}})
    address = f"http://{server.host}/api/colab/build-info"
    headers = {"Origin": ORIGIN}
    told = requests.get(f"{address}?token={TOKEN}", headers=headers, timeout=SECONDS)
    assert told.status_code == 200
    assert told.headers["Content-Type"].startswith("application/json")
    assert told.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert told.text.startswith(")]}'\n")
    assert json.loads(told.text.partition("\n")[2]) == {"release_tag": "release-colab-1_RC00"}
    assert requests.get(address, headers=headers, timeout=SECONDS).status_code == 403
    assert requests.options(address, headers=headers, timeout=SECONDS).status_code == 200


# --- the note of a browser ------------------------------------------------------------------------------------------

BROWSER = {"Origin": ORIGIN, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}


def noted(server: Server, request: str, status: int) -> dict[str, Any]:
    """The note, once that request is in it: it is written when the answer has gone out."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            note: dict[str, Any] = json.loads((server.runtime / "browser_seen.json").read_text())
            if (note["last_request"], note["last_status"]) == (request, status):
                return note
        time.sleep(0.02)
    raise AssertionError(f"{request} {status} was never noted")


def test_a_browser_with_colabs_page_is_noted_and_nobody_else(start: Any) -> None:
    server = start()
    path = server.runtime / "browser_seen.json"
    address = f"http://{server.host}/api/kernelspecs"
    for others in ({}, {**BROWSER, "Origin": EVIL}, {**BROWSER, "User-Agent": "colab-ready"}, {"Origin": ORIGIN}):
        requests.get(address, headers=others, timeout=SECONDS)
    assert requests.get(f"{address}?token={TOKEN}", headers=BROWSER, timeout=SECONDS).status_code == 200
    first = noted(server, "GET /api/kernelspecs", 200)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (first["schema"], first["origin"], first["requests"]) == (1, ORIGIN, 1)
    requests.get(address, headers=BROWSER, timeout=SECONDS)
    then = noted(server, "GET /api/kernelspecs", 403)
    assert (then["requests"], then["first_at"]) == (2, first["first_at"])
    assert server.opening(headers={"User-Agent": BROWSER["User-Agent"]}) == 101
    assert noted(server, "GET /http_over_websocket", 101)["requests"] == 3
    assert TOKEN not in path.read_text()
    assert [one.name for one in server.runtime.iterdir() if "browser_seen" in one.name] == [path.name]


def test_what_verify_asked_for_is_marked_in_the_log_and_nobody_else_passes_for_it(start: Any) -> None:
    server = start()
    address = f"http://{server.host}/api/kernelspecs"
    for agent in (handshake_page.own_agent(TOKEN), handshake_page.own_agent("another"), "colab-ready"):
        assert requests.get(address, headers={"User-Agent": agent, "Origin": EVIL}, timeout=SECONDS).status_code == 404
    blocked = [line for line in server.log.splitlines() if "Blocking Cross Origin" in line]
    assert ["(asked by ./colab-ready verify)" in line for line in blocked] == [True, False, False]


def test_after_all_of_this_the_log_holds_no_token(server: Server) -> None:
    assert "403 GET /http_over_websocket" in server.log
    assert TOKEN not in server.log

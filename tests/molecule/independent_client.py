#!/usr/bin/env python3
"""A Colab page's way to the runtime, by somebody who never saw this project's code.

Reads the address (what `colab-runtime url` prints) from standard input, so that the token is in no argument list. Uses
http.client and the package websockets, nothing else. Runs 1+1 and a torch sum through both doors with Colab's Origin,
then knocks without token, with a wrong token and from another Origin. Prints what it saw as JSON; ends with 0 when all
of it is as it should be.

    colab-runtime url | independent_client.py
    colab-runtime url | independent_client.py --direct-only      (colab_http_over_ws: false)
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

COLAB = "https://colab.research.google.com"
STRANGER = "https://evil.example"
SECONDS = 60
CELLS = {
    "1+1": "2",
    "import torch; (torch.tensor([1.0, 2.0]) + torch.tensor([10.0, 20.0])).tolist()": "[11.0, 22.0]",
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Page:
    """A browser page: where it talks to, with which token, and which Origin its browser sends along."""

    host: str
    token: str
    origin: str = COLAB
    report: list[dict[str, Any]] = field(default_factory=list)

    def expect(self, what: str, holds: bool, saw: Any) -> None:
        self.report.append({"what": what, "ok": bool(holds), "saw": saw})

    def with_token(self, path: str) -> str:
        return f"{path}{'&' if '?' in path else '?'}{urlencode({'token': self.token})}" if self.token else path

    def http(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=SECONDS)
        sent = {"Origin": self.origin, **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body)
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, self.with_token(path), body=data, headers=sent)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def socket(self, path: str) -> ClientConnection:
        return connect(
            f"ws://{self.host}{path}", origin=Origin(self.origin), open_timeout=SECONDS, max_size=None, proxy=None
        )

    def refused(self, path: str) -> Any:
        """The HTTP status of the refusal; `closed` for one that closes without a word; else what was let in."""
        try:
            with self.socket(path) as socket:
                socket.recv(timeout=5)
                return "answered"
        except InvalidStatus as error:
            return error.response.status_code
        except ConnectionClosed:
            return "closed"
        except TimeoutError:
            return "silent"


def run_cell(socket: ClientConnection, session: str, code: str) -> str:
    """Execute code; its result as text, or what went wrong."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": session, "username": "page"}
    header["version"] = "5.3"
    # A cell in the history is somebody's work, for which `remove` keeps the home.
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    socket.send(json.dumps(message))
    result, replied, idle = "no result", False, False
    while not (replied and idle):
        received = json.loads(socket.recv(timeout=SECONDS))
        if received["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        kind, content = received["msg_type"], received["content"]
        if kind == "execute_result":
            result = content["data"]["text/plain"]
        elif kind == "error":
            result = f"{content['ename']}: {content['evalue']}"
        elif kind == "execute_reply":
            replied = True
        elif kind == "status" and content["execution_state"] == "idle":
            idle = True
    return result


def notebook() -> dict[str, Any]:
    name = f"independent-{uuid.uuid4().hex[:8]}.ipynb"
    return {"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}}


def direct(page: Page) -> None:
    wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = page.http("OPTIONS", "/api/sessions", headers=wish)
    allowed = {
        name: answer.headers.get(f"access-control-allow-{name}") for name in ("origin", "credentials", "methods")
    }
    page.expect(
        "direct: the preflight lets Colab's page in",
        answer.status == 200 and allowed["origin"] == COLAB and allowed["credentials"] == "true",
        {"status": answer.status, **allowed},
    )
    answer = page.http("GET", "/api/kernelspecs")
    readable = answer.headers.get("access-control-allow-origin") == COLAB
    page.expect(
        "direct: the kernel python3 is listed",
        answer.status == 200 and readable and "python3" in answer.json()["kernelspecs"],
        answer.status,
    )
    answer = page.http("POST", "/api/sessions", notebook())
    page.expect("direct: a session starts", answer.status == 201, answer.status)
    if answer.status != 201:
        return
    session = answer.json()
    channel = f"/api/kernels/{session['kernel']['id']}/channels?session_id={uuid.uuid4().hex}"
    with page.socket(page.with_token(channel)) as socket:
        for code, expected in CELLS.items():
            saw = run_cell(socket, uuid.uuid4().hex, code)
            page.expect(f"direct: {code}", saw == expected, saw)
    answer = page.http("DELETE", f"/api/sessions/{session['id']}")
    page.expect("direct: the session ends", answer.status == 204, answer.status)


def over_socket(socket: ClientConnection, method: str, path: str, body: Any = None) -> Answer:
    """One HTTP request through /http_over_websocket (pieces in base64, the first one with the status)."""
    number = uuid.uuid4().hex
    message: dict[str, Any] = {"method": method, "path": path, "message_id": number}
    if body is not None:
        message["body_base64"] = base64.b64encode(json.dumps(body).encode()).decode()
    socket.send(json.dumps(message))
    answer = Answer(0, {}, b"")
    while True:
        piece = json.loads(socket.recv(timeout=SECONDS))
        if piece.get("message_id") != number:
            continue
        answer.status = piece.get("status", answer.status)
        answer.body += base64.b64decode(piece.get("data", ""))
        if piece.get("done"):
            return answer


def door(page: Page, path: str = "/http_over_websocket") -> str:
    """The way in as googlecolab/jupyter_http_over_ws#26 shows it: the token travels inside the auth URL."""
    inside = quote(f"http://{page.host}/" + (f"?token={page.token}" if page.token else ""), safe="")
    return f"{path}{'&' if '?' in path else '?'}min_version=0.0.7&jupyter_http_over_ws_auth_url={inside}"


def http_over_ws(page: Page) -> None:
    with page.socket(door(page)) as socket:
        answer = over_socket(socket, "GET", "/api/kernelspecs")
        listed = answer.status == 200 and "python3" in answer.json()["kernelspecs"]
        page.expect("http_over_ws: the kernel python3 is listed", listed, answer.status)
        answer = over_socket(socket, "POST", "/api/sessions", notebook())
        page.expect("http_over_ws: a session starts", answer.status == 201, answer.status)
        if answer.status != 201:
            return
        session = answer.json()
        channel = f"/http_over_websocket/proxied_ws/api/kernels/{session['kernel']['id']}/channels"
        with page.socket(door(page, f"{channel}?session_id={uuid.uuid4().hex}")) as kernel:
            for code, expected in CELLS.items():
                saw = run_cell(kernel, uuid.uuid4().hex, code)
                page.expect(f"http_over_ws: {code}", saw == expected, saw)
        answer = over_socket(socket, "DELETE", f"/api/sessions/{session['id']}")
        page.expect("http_over_ws: the session ends", answer.status == 204, answer.status)


def shut(page: Page, who: str, kernel: str, extension: bool) -> None:
    """Nothing of the runtime reaches a caller without the token: no list, no session, no kernel."""
    answer = page.http("GET", "/api/kernelspecs")
    page.expect(f"{who}: no list of kernels", answer.status in (403, 404), answer.status)
    answer = page.http("POST", "/api/sessions", notebook())
    page.expect(f"{who}: no session", answer.status in (403, 404), answer.status)
    saw = page.refused(page.with_token(f"/api/kernels/{kernel}/channels?session_id=x"))
    page.expect(f"{who}: no kernel", saw in (403, 404), saw)
    if not extension:
        return
    saw = page.refused(door(page))
    page.expect(f"{who}: http_over_ws is shut", saw == 403, saw)
    saw = page.refused(door(page, f"/http_over_websocket/proxied_ws/api/kernels/{kernel}/channels?session_id=x"))
    page.expect(f"{who}: no kernel through http_over_ws", saw == 403, saw)


def stranger_with_token(page: Page, extension: bool) -> None:
    """With the token in hand the browser still gives another site nothing to read, and the sockets are shut to it."""
    answer = page.http("GET", "/api/kernelspecs")
    allowed = answer.headers.get("access-control-allow-origin")
    page.expect("another Origin with the token: its browser may not read", allowed not in (page.origin, "*"), allowed)
    if extension:
        saw = page.refused(door(page))
        page.expect("another Origin with the token: http_over_ws is shut", saw == 403, saw)


def knock(page: Page, extension: bool) -> list[dict[str, Any]]:
    """All of it, on a kernel that is really there: a refusal must not be for want of one."""
    session = page.http("POST", "/api/sessions", notebook())
    if session.status != 201:
        return [{"what": "a kernel to guard", "ok": False, "saw": session.status}]
    kernel = session.json()["kernel"]["id"]
    wrong = page.token[::-1] if page.token != page.token[::-1] else f"{page.token}0"
    report: list[dict[str, Any]] = []
    for who, token, origin in (
        ("without token", "", COLAB),
        ("wrong token", wrong, COLAB),
        ("another Origin", "", STRANGER),
        ("another Origin, wrong token", wrong, STRANGER),
    ):
        visitor = Page(page.host, token, origin, report)
        shut(visitor, who, kernel, extension)
    stranger_with_token(Page(page.host, page.token, STRANGER, report), extension)
    page.http("DELETE", f"/api/sessions/{session.json()['id']}")
    return report


def main() -> int:
    extension = "--direct-only" not in sys.argv[1:]
    url = urlsplit(sys.stdin.read().strip())
    token = parse_qs(url.query).get("token", [""])[0]
    page = Page(url.netloc, token)
    page.expect("the address names a host and a token", bool(url.netloc and token), url.netloc)
    for way in (direct, http_over_ws) if extension else (direct,):
        try:
            way(page)
        except (OSError, TimeoutError, ConnectionClosed, InvalidStatus, KeyError, ValueError) as error:
            page.expect(f"{way.__name__} goes through to its end", False, f"{type(error).__name__}: {error}")
    report = page.report + knock(page, extension)
    failed = [entry for entry in report if not entry["ok"]]
    print(json.dumps({"ok": not failed, "failed": failed, "seen": report}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

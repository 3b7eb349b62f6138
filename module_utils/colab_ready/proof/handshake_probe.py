# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Be Colab's page for three seconds: its requests, in its order, with its Origin, and then those of strangers.

The text of this file is run by the server environment's Python (process/probe.py), which has tornado. Two doors lead in: the
direct one (HTTP with CORS and the kernel's websocket: what Colab was seen to use in googlecolab/colabtools#5302 and
#5371), and /http_over_websocket (the jupyter_http_over_ws package's protocol 0.0.7). Both must end in an executed cell:
on a broken stack the second one opens and answers its own diagnosis, and still serves nothing.

The token is read here, from its file, and every text that leaves this process goes through `Redactor`. It is sent over no
connection of which the other end is not known to be the runtime's (`guard_connections`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import json
import logging
import os
import platform
import pwd
import re
import signal
import stat
import sys
import time
import uuid
from typing import Any, Awaitable, Callable, Iterator, Mapping
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from ..system import peer

MIN_VERSION = "0.0.7"
STRANGER = "https://evil.example"
STRANGER_HOST = "evil.example"
OVER = "/http_over_websocket"
WRONG_TOKEN = "0" * 48
# Not a browser's: the server notes when one of those came (browser_seen.json).
USER_AGENT = "colab-ready"
TOKEN_CHARACTERS = 16

REQUEST_SECONDS = 15.0
FIRST_ANSWER_SECONDS = 10.0
# A kernel that starts from a cold disk takes its time; jupyter_server itself gives one up after five starts, 18 s.
KERNEL_SECONDS = 30.0
CLEANUP_SECONDS = 10.0
TEXT_CHARACTERS = 300
OUTPUT_CHARACTERS = 2000
# As tensor_probe.py has it.
COUNT = 10
TOLERANCE = 1e-6

# How a cell comes to its device, by torch's word for its type. On DirectML it asks first: device() answers without any
# adapter too, and the first tensor on it ends the kernel.
DEVICE_IN_CELL = {
    "cpu": "device = torch.device('cpu')",
    "privateuseone": """\
import torch_directml
if not torch_directml.is_available():
    raise RuntimeError("torch_directml found 0 compatible adapters")
device = torch_directml.device({index})""",
    # Here the first tensor raises, with the driver's own words.
    "cuda": "device = torch.device('cuda', {index})",
    "xpu": "device = torch.device('xpu', {index})",
}

# The article's program. What it prints is made from copies on the CPU (see tensor_probe.py).
CELL = """
import json, platform, torch
{device}
a, b = torch.rand({count}), torch.rand({count})
x, y = a.to(device), b.to(device)
c = x + y
for tensor in (x, y, c):
    shown = str(tensor.to("cpu"))
    print(shown if c.device.type == "cpu" else shown[:-1] + ", device='" + str(tensor.device) + "')")
print({mark!r} + json.dumps({{
    "a": a.tolist(), "b": b.tolist(), "sum": c.to("cpu").tolist(), "device": str(c.device),
    "device_type": c.device.type, "index": c.device.index, "torch": str(torch.__version__), "python": platform.python_version(),
}}))
"""
# A driver writes it to the descriptors, at any place (see proof/steps.py).
STRAY_LINE = re.compile(r"Dropped Escape call with ulEscapeCode : 0x[0-9A-Fa-f]+\n?")

Report = Callable[[dict], None]


# --- what a step may say --------------------------------------------------------------------------------------------


class Problem(Exception):
    """A step's bad end. `problem` is the word that the verdict looks up."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(text)
        self.problem = problem


class ProbeFailed(Exception):
    """This probe itself could not go on."""


class DoorStays(Exception):
    """A step has failed and was reported; what depends on it is not reached."""


class Redactor:
    """Takes the token out of texts, in each form in which an address may carry it."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def learn(self, token: str) -> None:
        once = quote(token, safe="")
        forms = {token, token.strip(), once, quote_plus(token), quote(once, safe=""), json.dumps(token)[1:-1]}
        # A word of a few letters is no secret (`token_weak`), and would turn every text into dots.
        self._secrets = sorted((form for form in forms if len(form) >= 8), key=len, reverse=True)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[token]")
        return re.sub(r"(token(?:=|%3D|%253D))[^&\s\"'\\]+", r"\1[token]", text, flags=re.IGNORECASE)

    def any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.any(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.any(item) for item in value]
        return value


class RedactedStream:
    """stdout and stderr of this process: asyncio and tornado write tracebacks there by themselves."""

    def __init__(self, stream: Any, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.text(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def port_problem(error: BaseException) -> str:
    """Whether nothing listens. A host without IPv6 says EADDRNOTAVAIL for ::1, the other address of localhost."""
    nobody = isinstance(error, OSError) and error.errno in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL)
    return "port_refused" if nobody else "no_http_answer"


def short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())[:TEXT_CHARACTERS]


class Ledger:
    """Runs steps and writes down how each ended."""

    def __init__(self, report: Report, deadline: float) -> None:
        self._report = report
        self._deadline = deadline

    async def step(
        self,
        name: str,
        work: Awaitable[Any],
        limit: float = REQUEST_SECONDS,
        silence: str = "no_answer",
        late: bool = False,
    ) -> Any:
        """The work's value; it returns (value, detail). `silence` is the problem if it takes too long. `late`: it may
        pass the deadline, because it clears away."""
        if not late:
            limit = max(min(limit, self._deadline - time.monotonic()), 0.01)
        self._report({"step": name, "begin": True})
        started = time.perf_counter()

        def tell(ok: bool, detail: str, **more: Any) -> None:
            seconds = round(time.perf_counter() - started, 4)
            self._report({"step": name, "ok": ok, "seconds": seconds, "detail": detail[:TEXT_CHARACTERS], **more})

        try:
            value, detail = await asyncio.wait_for(work, limit)
        except Problem as problem:
            tell(False, str(problem), problem=problem.problem)
        except asyncio.TimeoutError:
            tell(False, f"no answer within {limit:.3g} s", problem=silence)
        except Exception as error:
            tell(False, short(error), problem="broken_answer")
        else:
            tell(True, detail)
            return value
        raise DoorStays(name)


# --- whom it asks ---------------------------------------------------------------------------------------------------


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

    def __init__(self, base: str, origin: str, token: str | None, host: str | None = None) -> None:
        from tornado.httpclient import AsyncHTTPClient

        self.base = base
        # What the page puts into the messages of /http_over_websocket is a path, the server's base URL included.
        self.prefix = urlsplit(base).path
        self.origin = origin
        self.token = token
        self._host = host
        self._client = AsyncHTTPClient(force_instance=True, max_clients=20)

    def but(self, **changes: str | None) -> Page:
        """The same page from elsewhere, with another token (None: without), or under another name for this host."""
        same: dict[str, Any] = {"base": self.base, "origin": self.origin, "token": self.token, "host": self._host}
        return Page(**{**same, **changes})

    def _request(self, url: str, **more: Any) -> Any:
        from tornado.httpclient import HTTPRequest

        headers = {"Origin": self.origin, **more.pop("headers", {})}
        if self._host is not None:
            headers["Host"] = self._host
        more.update(connect_timeout=5, request_timeout=REQUEST_SECONDS, user_agent=USER_AGENT)
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
    codes = dict(zip((f"{what} {who}".strip() for what in tries), await asyncio.gather(*tries.values())))
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
                said = f"{self._socket.close_code} {self._socket.close_reason or ''}".strip()
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


# --- the kernel -----------------------------------------------------------------------------------------------------


async def execute(socket: Any, code: str) -> dict[str, str]:
    """Run a cell; {stdout, result}. Messages as jupyter_server's default (JSON text) protocol has them."""
    message_id = uuid.uuid4().hex
    header = {
        "msg_id": message_id,
        "msg_type": "execute_request",
        "session": uuid.uuid4().hex,
        "username": "",
        "version": "5.3",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    await socket.write_message(json.dumps({**request, "buffers": []}))
    said = {"stdout": "", "result": ""}
    replied = idle = False
    while not (replied and idle):
        text = await socket.read_message()
        if text is None:
            reason = f"{socket.close_code} {socket.close_reason or ''}".strip()
            raise Problem("kernel_socket_closed", f"the kernel's websocket was closed ({reason})")
        message = json.loads(text)
        kind, content = message.get("msg_type"), message.get("content", {})
        if kind == "status" and content.get("execution_state") in ("restarting", "autorestarting", "dead"):
            raise Problem("kernel_died", "the kernel died; jupyter_server says it is " + content["execution_state"])
        if message.get("parent_header", {}).get("msg_id") != message_id:
            continue
        if kind == "stream" and content.get("name") == "stdout":
            said["stdout"] = (said["stdout"] + content.get("text", ""))[-(1 << 16) :]
        elif kind == "execute_result":
            said["result"] = str(content.get("data", {}).get("text/plain", ""))
        elif kind == "error":
            raise Problem(*cell_error(content))
        elif kind == "execute_reply":
            replied = True
            if content.get("status") != "ok":
                raise Problem(*cell_error(content))
        elif kind == "status":
            idle = content.get("execution_state") == "idle"
    return said


def cell_error(content: dict[str, Any]) -> tuple[str, str]:
    name, value = str(content.get("ename")), str(content.get("evalue"))
    missing = name == "ModuleNotFoundError" and "'torch'" in value
    return ("torch_missing" if missing else "cell_failed", f"the cell ended with {name}: {value}")


def read_cell(stdout: str, mark: str, device_type: str, index: int = 0) -> dict[str, Any]:
    """What the torch cell printed: checked against plain Python's own addition, and against the device that was named."""
    shown, found, rest = STRAY_LINE.sub("", stdout).partition(mark)
    if not found:
        raise Problem("cell_failed", f"the cell did not print its values, but: {stdout[-TEXT_CHARACTERS:]}")
    values, _end = json.JSONDecoder().raw_decode(rest)
    a, b, c = values["a"], values["b"], values["sum"]
    if not {len(a), len(b), len(c)} == {COUNT}:
        raise Problem("wrong_sum", f"expected {COUNT} values, got {len(a)}, {len(b)} and {len(c)}")
    for place in range(COUNT):
        if not abs(a[place] + b[place] - c[place]) <= TOLERANCE:
            text = f"value {place}: {a[place]!r} + {b[place]!r} gave {c[place]!r}"
            raise Problem("wrong_sum", text)
    if values["device_type"] != device_type:
        raise Problem("wrong_device", f"the sum is on {values['device']}, expected a device of type {device_type}")
    if device_type != "cpu" and values.get("index") not in (None, index):
        raise Problem("wrong_device", f"the sum is on {values['device']}, expected number {index}")
    return {"output": shown.strip()[:OUTPUT_CHARACTERS], **values}


def cell_code(device_type: str, index: int, mark: str) -> str:
    return CELL.format(device=DEVICE_IN_CELL[device_type].format(index=index), mark=mark, count=COUNT)


async def torch_cell(socket: Any, device_type: str, index: int) -> dict[str, Any]:
    mark = f"colab-ready-{uuid.uuid4().hex}:"
    code = cell_code(device_type, index, mark)
    return read_cell((await execute(socket, code))["stdout"], mark, device_type, index)


def answer_problem(method: str, path: str, status: int) -> str:
    """What an unexpected status means."""
    if "/api/sessions" not in path:
        return "broken_answer"
    if method == "DELETE":
        return "session_gone" if status in (404, 410) else "session_not_deleted"
    return "kernel_not_started" if status >= 500 else "session_refused"


async def insist(delete: Callable[[], Awaitable[Any]]) -> None:
    """jupyter_server answers 500 while it restarts a kernel that has died; a moment later it deletes it. When it gave
    the kernel up it has forgotten the session by itself."""
    for patience in (0.5, 1.0, 2.0, 0.0):
        try:
            await delete()
            return
        except Problem as problem:
            if problem.problem == "session_gone":
                return
            if problem.problem != "session_not_deleted" or not patience:
                raise
        await asyncio.sleep(patience)


def kernel_of(session: Any) -> tuple[str, str]:
    """(session id, kernel id)"""
    return str(session["id"]), str(session["kernel"]["id"])


# --- the visit ------------------------------------------------------------------------------------------------------


class Visit:
    """The page's visit to one server: what its doors share."""

    def __init__(self, params: dict[str, Any], report: Report, redactor: Redactor) -> None:
        self.params = params
        self.redactor = redactor
        self.token: str | None = None
        # Who has to have the port: the server runs as who asks here, or else as the owner of the token.
        self.uid = os.geteuid()
        self.page = Page(params["url"].rstrip("/"), params["origin"], None)
        self.ledger = Ledger(report, time.monotonic() + params["timeout_seconds"])
        # The paths of the sessions that were asked for and may still be there.
        self.paths: set[str] = set()
        self.cells: dict[str, dict[str, Any]] = {}
        self.versions = {"server_python": platform.python_version()}
        self.warnings: list[str] = []
        # The torch cell of the second door runs on the first door's kernel, which has imported torch already: a second
        # import would cost a second. If the first door did not get there (None), the second does it all by itself.
        self.direct_kernel: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.over_done = asyncio.Event()

    async def run(self) -> None:
        with contextlib.suppress(DoorStays):
            self.token = await self.ledger.step("token_file", self.token_file())
        self.page = self.page.but(token=self.token)
        try:
            wait = self.params["wait_seconds"]
            await self.ledger.step("port", self.port(wait), limit=wait + REQUEST_SECONDS)
            await self.ledger.step("port_owner", self.port_owner())
        except DoorStays:
            return
        over = self.params["http_over_ws"]
        if not over:
            self.over_done.set()
        doors = [DirectDoor(self).walk(), *([OverDoor(self).walk()] if over else []), *ShutDoors(self).tries(over)]
        await asyncio.gather(*doors)

    def result(self) -> dict[str, Any]:
        return {"cell": self.cells, "versions": self.versions, "warnings": self.warnings}

    async def token_file(self) -> tuple[str, str]:
        path = self.params["token_file"]
        try:
            # Neither wait at a named pipe nor follow a link that somebody put there.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Problem("token_missing", f"{path} does not exist") from None
        except OSError as error:
            me = pwd.getpwuid(os.geteuid()).pw_name
            raise Problem("token_unreadable", f"{me} cannot read {path}: {error.strerror}") from None
        try:
            about = os.fstat(descriptor)
            self.uid = self.uid or about.st_uid
            if not stat.S_ISREG(about.st_mode):
                raise Problem("token_unreadable", f"{path} is not a regular file")
            token = os.read(descriptor, 4096).decode("ascii", "replace")
        finally:
            os.close(descriptor)
        self.redactor.learn(token)
        if token.strip() == "":
            raise Problem("token_empty", f"{path} is empty: that would switch authentication off")
        if token != token.strip() or not token.isprintable() or not token.isascii():
            # jupyter_server takes the file's text as it is, and strips what a request brings: the two never match.
            raise Problem(
                "token_malformed", f"{path} has blanks, line ends or other characters that no address can carry"
            )
        if len(token) < TOKEN_CHARACTERS:
            raise Problem("token_weak", f"{path} has {len(token)} characters, expected at least {TOKEN_CHARACTERS}")
        # From here on the token is known, and the doors can be tried; a wrong mode is this step's failure alone.
        self.token = token
        mode = stat.S_IMODE(about.st_mode)
        if mode & 0o077:
            raise Problem(
                "token_mode", f"{path} has mode {mode:04o}, expected 0600: other users of this host can read it"
            )
        if about.st_uid != os.geteuid() and os.geteuid() != 0:
            raise Problem("token_owner", f"{path} belongs to uid {about.st_uid}, expected {os.geteuid()}")
        return token, f"mode {mode:04o}, {len(token)} characters"

    async def port(self, wait: float) -> tuple[None, str]:
        """Any HTTP answer will do: whether it is a good one is the doors' business."""
        from tornado.httpclient import HTTPError

        started = time.monotonic()
        pause = 0.05
        last = "nothing was tried"
        problem = "port_refused"
        stranger = self.page.but(token=None)
        while True:
            try:
                await stranger.fetch("GET", "/api")
            except (OSError, HTTPError, EOFError) as error:
                last, problem = short(error), port_problem(error)
            except Exception as error:
                last, problem = short(error), "no_http_answer"
            else:
                return None, f"answered after {time.monotonic() - started:.2f} s"
            if time.monotonic() - started + pause > wait:
                raise Problem(problem, f"no answer from {self.page.base} within {wait:g} s: {last}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def port_owner(self) -> tuple[None, str]:
        """That what answers is the runtime's; after this nothing is sent to anybody else."""
        guard_connections(self.uid)
        await self.page.but(token=None).fetch("GET", "/api")
        return None, f"uid {self.uid}"

    async def torch_cell(self, door: str, socket: Any) -> dict[str, Any]:
        said = await torch_cell(socket, self.params["device_type"], int(self.params.get("device") or 0))
        self.cells[door] = {key: said[key] for key in ("output", "device", "device_type", "sum")}
        self.versions.update(torch=said["torch"], kernel_python=said["python"])
        return said

    async def clear_away(self) -> None:
        """End what a failed or interrupted step may have left: a session is known by its path even if the answer to the
        request that made it never came."""
        if not self.paths or self.token is None:
            return
        try:
            response = await self.page.fetch("GET", "/api/sessions")
            sessions = [one for one in json.loads(response.body.decode()) if one.get("path") in self.paths]
            for one in sessions:
                session, kernel = kernel_of(one)
                done = await self.page.fetch("DELETE", f"/api/sessions/{session}")
                if done.code != 204:
                    await self.page.fetch("DELETE", f"/api/kernels/{kernel}")
        except Exception as error:
            self.warnings.append(f"a kernel of this probe may still run: {short(error)}")


# --- the doors ------------------------------------------------------------------------------------------------------


class Door:
    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page
        self.step = visit.ledger.step


class OpenDoor(Door):
    """One through which the page gets a kernel, whichever way it asks."""

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit)
        # No file of this name is made: a session only keeps the name.
        self.path = f"colab-ready-{uuid.uuid4().hex}"

    async def ask(self, method: str, path: str, expected: int, body: Any = None) -> Any:
        raise NotImplementedError

    async def kernelspecs(self) -> tuple[None, str]:
        kernel = self.visit.params["kernel_name"]
        names = sorted((await self.ask("GET", "/api/kernelspecs", 200))["kernelspecs"])
        there = ", ".join(names) or "none"
        if kernel not in names:
            raise Problem("kernel_not_listed", f"the kernel {kernel} is not among the server's kernels ({there})")
        return None, f"kernels: {there}"

    async def session(self) -> tuple[tuple[str, str], str]:
        self.visit.paths.add(self.path)
        kernel = {"name": self.visit.params["kernel_name"]}
        asked = {"path": self.path, "name": self.path, "type": "notebook", "kernel": kernel}
        session, kernel_id = kernel_of(await self.ask("POST", "/api/sessions", 201, asked))
        return (session, kernel_id), f"kernel {kernel_id}"

    async def session_delete(self, session: str) -> tuple[None, str]:
        await insist(lambda: self.ask("DELETE", f"/api/sessions/{session}", 204))
        self.visit.paths.discard(self.path)
        return None, "the kernel has ended"


class DirectDoor(OpenDoor):
    """HTTP with CORS, and the kernel's websocket."""

    async def walk(self) -> None:
        session, ready = "", None
        try:
            await self.step("preflight", self.preflight())
            if self.visit.token is None:
                return
            with contextlib.suppress(DoorStays):
                await self.step("build_info", self.build_info())
            await self.step("api", self.api())
            await self.step("kernelspecs", self.kernelspecs())
            session, kernel = await self.step("session", self.session())
            # jupyter_server opens it when the kernel has answered for the first time.
            work = self.kernel_socket(kernel)
            socket = await self.step("kernel_socket", work, limit=KERNEL_SECONDS, silence="kernel_silent")
            with contextlib.closing(socket):
                # Enough for a slow import, and some left for the other door should this kernel hang.
                limit = 0.6 * float(self.visit.params["timeout_seconds"])
                await self.step("cell", self.cell(socket), limit=limit, silence="check_hangs")
            ready = kernel
        except DoorStays:
            pass
        finally:
            self.visit.direct_kernel.set_result(ready)
        if session:
            await self.visit.over_done.wait()
            with contextlib.suppress(DoorStays):
                await self.step("session_delete", self.session_delete(session), limit=CLEANUP_SECONDS, late=True)

    def readable(self, response: Any) -> None:
        """A page may read an answer only with these two headers; a browser hides anything else from it."""
        origin = response.headers.get("Access-Control-Allow-Origin")
        if origin != self.page.origin:
            said = "no Access-Control-Allow-Origin" if origin is None else f"Access-Control-Allow-Origin: {origin}"
            raise Problem("allow_origin_wrong", f"the answer has {said}, expected {self.page.origin}")
        credentials = response.headers.get("Access-Control-Allow-Credentials")
        if credentials != "true":
            said = "has no" if credentials is None else f"says {credentials} for"
            raise Problem(
                "allow_credentials_missing", f"the answer {said} Access-Control-Allow-Credentials, expected true"
            )

    async def preflight(self) -> tuple[None, str]:
        headers = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        # A browser sends a preflight without credentials; the token is in the address all the same.
        response = await self.page.fetch("OPTIONS", "/api/kernelspecs", headers=headers)
        if response.code == 403:
            raise Problem("host_refused", "OPTIONS /api/kernelspecs was answered 403, expected 200 or 204")
        if response.code not in (200, 204):
            raise Problem("not_jupyter", f"OPTIONS /api/kernelspecs was answered {response.code}, expected 200 or 204")
        self.readable(response)
        methods = {word.strip() for word in response.headers.get("Access-Control-Allow-Methods", "").upper().split(",")}
        names = {word.strip() for word in response.headers.get("Access-Control-Allow-Headers", "").lower().split(",")}
        lacking = sorted(({"POST", "DELETE"} - methods) | ({"content-type"} - names))
        if lacking:
            raise Problem("preflight_too_narrow", f"the preflight does not allow {', '.join(lacking)}")
        return None, f"allows {self.page.origin} with credentials"

    async def build_info(self) -> tuple[None, str]:
        """Colab asks what image this is. No is an answer too, if the page can read it: a browser makes a network error of
        one that it hides (googlecolab/colabtools#5302)."""
        response = await self.answered("GET", "/api/colab/build-info", (404, 200))
        try:
            self.readable(response)
        except Problem as problem:
            raise Problem("build_info_unreadable", f"a page cannot read the {response.code}: {problem}") from None
        return None, f"a {response.code} that the page can read"

    async def answered(self, method: str, path: str, expected: tuple[int, ...], body: Any = None) -> Any:
        response = await self.page.fetch(method, path, body)
        if response.code in expected:
            return response
        said = f"{method} {path} was answered {response.code}, expected {' or '.join(map(str, expected))}"
        if response.code in (401, 403):
            raise Problem("token_refused", said)
        more = (response.body or b"").decode("utf-8", "replace")
        raise Problem(answer_problem(method, path, response.code), f"{said}: {more}")

    async def ask(self, method: str, path: str, expected: int, body: Any = None) -> Any:
        response = await self.answered(method, path, (expected,), body)
        self.readable(response)
        return json.loads(response.body.decode()) if response.body else None

    async def api(self) -> tuple[None, str]:
        said = await self.ask("GET", "/api", 200)
        version = said.get("version") if isinstance(said, dict) else None
        if not version:
            raise Problem("not_jupyter", "GET /api does not name a Jupyter version")
        self.visit.versions["jupyter_server"] = str(version)
        return None, f"jupyter_server {version}"

    async def kernel_socket(self, kernel: str) -> tuple[Any, str]:
        with refused_socket({401: "token_refused", 403: "token_refused"}, "kernel_socket_refused"):
            return await self.page.kernel_socket(kernel), "open"

    async def cell(self, socket: Any) -> tuple[None, str]:
        said = await self.visit.torch_cell("direct", socket)
        return None, f"torch {said['torch']} added {COUNT} values on {said['device']}"


class OverDoor(OpenDoor):
    """/http_over_websocket: HTTP in messages, and the kernel's websocket by proxy."""

    over: OverHttp | None = None

    async def ask(self, method: str, path: str, expected: int, body: Any = None) -> Any:
        assert self.over is not None
        return await self.over.expect(expected, method, self.page.prefix + path, body)

    async def walk(self) -> None:
        session = ""
        try:
            await self.step("ws_diagnose", self.diagnose())
            if self.visit.token is None:
                return
            self.over = await self.step("ws_open", self.open())
            await self.step("ws_kernelspecs", self.first_answer(self.kernelspecs()))
            session, kernel = await self.step("ws_session", self.session())
            socket = await self.step("ws_kernel_socket", self.kernel_socket(kernel))
            with contextlib.closing(socket):
                limit = float(self.visit.params["timeout_seconds"])
                await self.step("ws_cell", self.cell(socket), limit=limit, silence="check_hangs")
        except DoorStays:
            pass
        finally:
            self.visit.over_done.set()
        if session:
            with contextlib.suppress(DoorStays):
                await self.step("ws_session_delete", self.session_delete(session), limit=CLEANUP_SECONDS, late=True)
        if self.over is not None:
            self.over.close()

    async def diagnose(self) -> tuple[None, str]:
        # As the page asks: without the authentication URL.
        stranger = self.page.but(token=None)
        with refused_socket({404: "ws_not_loaded", 403: "ws_origin_refused"}, "broken_answer"):
            socket = await stranger.over_socket("/diagnose")
        with contextlib.closing(socket):
            message_id = uuid.uuid4().hex
            await socket.write_message(message_id)
            message = await socket.read_message()
        if message is None:
            raise Problem("ws_closed", f"the diagnosis was closed ({socket.close_code} {socket.close_reason})")
        said = json.loads(message)
        version = said.get("extension_version")
        if said.get("message_id") != message_id:
            raise Problem("broken_answer", "the diagnosis did not return the message's id")
        if said.get("is_outdated_extension"):
            raise Problem(
                "ws_outdated", f"the extension speaks protocol {version}, Colab asks for {MIN_VERSION} or newer"
            )
        self.visit.versions["http_over_ws_protocol"] = str(version)
        return None, f"protocol {version}"

    async def open(self) -> tuple[OverHttp, str]:
        # The origin was good enough for the diagnosis.
        with refused_socket({404: "ws_not_loaded", 403: "ws_token_refused"}, "broken_answer"):
            return OverHttp(await self.page.over_socket()), "open"

    async def first_answer(self, asked: Awaitable[Any]) -> Any:
        """The first request through it. With the published package it ends here on tornado 6.5 and newer: no answer on
        6.5, a closed websocket on 6.6, because the cookies it sends to itself are refused."""
        try:
            return await asyncio.wait_for(asked, FIRST_ANSWER_SECONDS)
        except asyncio.TimeoutError:
            raise Problem("ws_authentication_broken", f"no answer within {FIRST_ANSWER_SECONDS:g} s") from None
        except Problem as problem:
            if problem.problem == "ws_closed":
                raise Problem("ws_authentication_broken", str(problem)) from None
            raise

    async def kernel_socket(self, kernel: str) -> tuple[Any, str]:
        with refused_socket({404: "ws_not_loaded", 403: "ws_token_refused"}, "broken_answer"):
            return await self.page.proxied_kernel_socket(kernel), "open"

    async def cell(self, socket: Any) -> tuple[None, str]:
        try:
            two = (await asyncio.wait_for(execute(socket, "1+1"), KERNEL_SECONDS))["result"]
        except asyncio.TimeoutError:
            raise Problem("kernel_silent", f"the kernel did not answer within {KERNEL_SECONDS:g} s") from None
        if two != "2":
            raise Problem("cell_failed", f"1+1 gave {two!r}")
        shared = await self.visit.direct_kernel
        if shared is None:
            said = await self.visit.torch_cell("http_over_ws", socket)
        else:
            with contextlib.closing((await self.kernel_socket(shared))[0]) as second:
                said = await self.visit.torch_cell("http_over_ws", second)
        self.visit.cells["http_over_ws"]["output"] = f"{two}\n{said['output']}"
        whose = "its own kernel" if shared is None else "the direct door's kernel"
        return None, f"1+1 = {two}; torch {said['torch']} added {COUNT} values on {said['device']}, in {whose}"


class ShutDoors(Door):
    """Strangers, who must get nothing."""

    def tries(self, over: bool) -> list[Awaitable[None]]:
        nobody = self.page.but(token=None)
        guesser = self.page.but(token=WRONG_TOKEN)
        checks = {
            "shut_no_token": self.api_is_shut(nobody),
            "shut_wrong_token": self.api_is_shut(guesser),
            "shut_foreign_origin": self.origin_is_shut(),
        }
        if self.visit.token is not None:
            checks["shut_foreign_host"] = self.host_is_shut(over)
        if over:
            checks["shut_ws_no_token"] = self.over_is_shut(nobody, "without a token")
            checks["shut_ws_wrong_token"] = self.over_is_shut(guesser, "with a wrong token")
            if self.visit.token is not None:
                checks["shut_ws_auth_url"] = self.auth_url_is_shut()
            checks["shut_ws_foreign_origin"] = self.over_origin_is_shut()
        elif self.visit.token is not None:
            checks["shut_ws_off"] = self.over_is_off()
        return [self.shut(name, work) for name, work in checks.items()]

    async def shut(self, name: str, work: Awaitable[list[str]]) -> None:
        async def look() -> tuple[None, str]:
            found = await work
            if found:
                raise Problem(name.replace("shut_", "open_", 1), "; ".join(found))
            return None, "refused"

        with contextlib.suppress(DoorStays):
            await self.step(name, look())

    async def refusals(self, page: Page, allowed: tuple[int, ...], who: str) -> list[str]:
        """What of the direct door opens for this page. An empty POST would only be told what it lacks (400)."""
        requests = {
            "GET /api/kernelspecs": status(page.fetch("GET", "/api/kernelspecs")),
            "GET /api/contents": status(page.fetch("GET", "/api/contents")),
            "POST /api/sessions": status(page.fetch("POST", "/api/sessions", {})),
        }
        # Of a kernel that does not exist: 404 comes from looking for it, and only who was let in makes that happen.
        socket = {"the kernel websocket": handshake_status(page.kernel_socket(str(uuid.uuid4())))}
        return [*await unrefused(requests, allowed, who), *await unrefused(socket, (401, 403), who)]

    async def api_is_shut(self, page: Page) -> list[str]:
        # 404 is what jupyter_server says to an origin that it does not let in.
        return await self.refusals(page, (401, 403, 404), "with a wrong token" if page.token else "without a token")

    async def origin_is_shut(self) -> list[str]:
        found = []
        for token, words in ((None, "without a token"), (WRONG_TOKEN, "with a wrong token")):
            page = self.page.but(origin=STRANGER, token=token)
            found += await self.refusals(page, (401, 403, 404), f"from {STRANGER} {words}")
        response = await self.page.but(origin=STRANGER, token=None).fetch("OPTIONS", "/api/kernelspecs")
        allowed = response.headers.get("Access-Control-Allow-Origin")
        if allowed in ("*", STRANGER):
            found.append(f"the preflight from {STRANGER} was answered with Access-Control-Allow-Origin: {allowed}")
        return found

    async def host_is_shut(self, over: bool) -> list[str]:
        """DNS rebinding: a stranger's name that leads to 127.0.0.1. Refused even to who knows the token."""
        found = await self.refusals(self.page.but(host=STRANGER_HOST), (403,), f"with Host: {STRANGER_HOST}")
        if over:
            opening = {OVER: handshake_status(self.page.but(host=STRANGER_HOST).over_socket())}
            found += await unrefused(opening, (403, 404), f"with Host: {STRANGER_HOST}")
        return found

    async def over_is_shut(self, page: Page, who: str, auth_base: str | None = None) -> list[str]:
        """Both websockets have to be refused before they open. 404 is what a server without the extension says."""
        openings = {
            OVER: handshake_status(page.over_socket(auth_base=auth_base)),
            f"{OVER}/proxied_ws": handshake_status(page.proxied_kernel_socket(str(uuid.uuid4()), auth_base)),
        }
        return await unrefused(openings, (401, 403, 404), who)

    async def auth_url_is_shut(self) -> list[str]:
        """The good token, in the address of somebody else: a server that went there would hand it over. So the other host
        is one that is nowhere (RFC 2606), and the other port one that only root may listen on."""
        here = urlsplit(self.page.base)
        elsewhere = {
            "another host": f"{here.scheme}://{STRANGER_HOST}:{here.port or 80}",
            "another port": f"{here.scheme}://{here.hostname}:1",
            "another scheme": f"https://{here.netloc}",
            "another host behind the name of this one": f"{here.scheme}://{here.netloc}@{STRANGER_HOST}",
        }
        found = []
        for what, base in elsewhere.items():
            found += await self.over_is_shut(self.page, f"with an auth URL of {what}", base)
        return found

    async def over_origin_is_shut(self) -> list[str]:
        page = self.page.but(origin=STRANGER)
        openings = {
            OVER: handshake_status(page.over_socket()),
            f"{OVER}/diagnose": handshake_status(page.over_socket("/diagnose")),
            f"{OVER}/proxied_ws": handshake_status(page.proxied_kernel_socket(str(uuid.uuid4()))),
        }
        return await unrefused(openings, (403, 404), f"from {STRANGER}")

    async def over_is_off(self) -> list[str]:
        requests = {f"GET {path}": status(self.page.fetch("GET", path)) for path in (OVER, f"{OVER}/diagnose")}
        return await unrefused(requests, (404,), "", "404")


async def visit(params: dict[str, Any], report: Report, redactor: Redactor) -> None:
    import tornado

    made = Visit(params, report, redactor)
    made.versions["tornado"] = str(tornado.version)
    task = asyncio.ensure_future(made.run())
    # Told to end (the parent's time is up, or it was interrupted itself): stop asking, but still clear away.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(made.clear_away(), CLEANUP_SECONDS)
    report({"result": made.result()})


def main(params: dict[str, Any], report: Report) -> None:
    redactor = Redactor()
    sys.stdout, sys.stderr = RedactedStream(sys.stdout, redactor), RedactedStream(sys.stderr, redactor)
    # Refused sockets and closed connections are what this probe looks for; nobody needs their tracebacks.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.disable(logging.CRITICAL)

    def report_redacted(line: dict) -> None:
        report(redactor.any(line))

    try:
        asyncio.run(visit(params, report_redacted, redactor))
    except Exception as error:
        # Its text may quote an address; the one who reports it outside knows nothing of the token.
        raise ProbeFailed(redactor.text(short(error))) from None

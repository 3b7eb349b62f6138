# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Be Colab's page for three seconds: its requests, in its order, with its Origin, and then those of strangers.

The text of this file, with those that it imports, is run by the server environment's Python (process/probe.py), which has
tornado. Two doors lead in: the direct one (HTTP with CORS and the kernel's websocket: what Colab was seen to use in
googlecolab/colabtools#5302 and #5371), and /http_over_websocket (the jupyter_http_over_ws package's protocol 0.0.7). Both
must end in an executed cell: on a broken stack the second one opens and answers its own diagnosis, and still serves nothing.

The token is read here, from its file, and every text that leaves this process goes through `Redactor`. It is sent over no
connection of which the other end is not known to be the runtime's (`guard_connections`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from .handshake_cell import COUNT, execute
from .handshake_ledger import REQUEST_SECONDS, DoorStays, Problem, RedactedStream, Redactor, Report, short
from .handshake_page import (
    MIN_VERSION,
    OVER,
    OverHttp,
    Page,
    answer_problem,
    handshake_status,
    refused_socket,
    status,
    unrefused,
)
from .handshake_visit import Visit, kernel_of

STRANGER = "https://evil.example"
STRANGER_HOST = "evil.example"
WRONG_TOKEN = "0" * 48

FIRST_ANSWER_SECONDS = 10.0
# A kernel that starts from a cold disk takes its time; jupyter_server itself gives one up after five starts, 18 s.
KERNEL_SECONDS = 30.0
CLEANUP_SECONDS = 10.0


class ProbeFailed(Exception):
    """This probe itself could not go on."""


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


# --- the visit ------------------------------------------------------------------------------------------------------


async def try_doors(visit: Visit) -> None:
    """Read the token, see whose the port is, and then try each door, all at once."""
    with contextlib.suppress(DoorStays):
        visit.token = await visit.ledger.step("token_file", visit.token_file())
    visit.page = visit.page.but(token=visit.token)
    try:
        wait = visit.params["wait_seconds"]
        await visit.ledger.step("port", visit.port(wait), limit=wait + REQUEST_SECONDS)
        await visit.ledger.step("port_owner", visit.port_owner())
    except DoorStays:
        return
    over = visit.params["http_over_ws"]
    if not over:
        visit.over_done.set()
    doors = [DirectDoor(visit).walk(), *([OverDoor(visit).walk()] if over else []), *ShutDoors(visit).tries(over)]
    await asyncio.gather(*doors)


async def visit(params: dict[str, Any], report: Report, redactor: Redactor) -> None:
    import tornado

    made = Visit(params, report, redactor)
    made.versions["tornado"] = str(tornado.version)
    task = asyncio.ensure_future(try_doors(made))
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

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's visit to one server: the token it brings, whose the port is, and what has to be cleared away afterwards."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import platform
import pwd
import socket
import stat
import time
from typing import Any

from .handshake_cell import torch_cell
from .handshake_ledger import Ledger, Problem, Redactor, Report, short
from .handshake_page import Page, guard_connections, know_localhost, own_agent

TOKEN_CHARACTERS = 16


def port_problem(error: BaseException) -> str:
    """Whether nothing listens. A host without IPv6 says EADDRNOTAVAIL for ::1, the other address of localhost."""
    if isinstance(error, socket.gaierror):
        return "no_localhost"
    nobody = isinstance(error, OSError) and error.errno in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL)
    return "port_refused" if nobody else "no_http_answer"


def kernel_of(session: Any) -> tuple[str, str]:
    """(session id, kernel id)"""
    return str(session["id"]), str(session["kernel"]["id"])


class Visit:
    """The page's visit to one server: what its doors share."""

    def __init__(self, params: dict[str, Any], report: Report, redactor: Redactor) -> None:
        self.params = params
        self.redactor = redactor
        self.token: str | None = None
        # Who has to have the port: the server runs as who asks here, or else as the owner of the token.
        self.uid = os.geteuid()
        know_localhost()
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
                problem = port_problem(error)
                last = "nothing listens there" if problem == "port_refused" else short(error)
            except Exception as error:
                last, problem = short(error), "no_http_answer"
            else:
                return None, f"answered after {time.monotonic() - started:.2f} s"
            if time.monotonic() - started + pause > wait:
                raise Problem(problem, f"no answer from {self.page.base} within {wait:g} s: {last}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def port_owner(self) -> tuple[None, str]:
        """That what answers is the runtime's; after this nothing is sent to anybody else. Another program of the same user
        is named alone, since each door would find something else wrong with it."""
        guard_connections(self.uid)
        server = (await self.page.but(token=None).fetch("GET", "/api")).headers.get("Server", "")
        if not server.startswith("TornadoServer/"):
            raise Problem(
                "not_jupyter", f"a program answers that is no Jupyter server ({server or 'it does not say which'})"
            )
        if self.token:
            self.page = self.page.but(agent=own_agent(self.token))
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

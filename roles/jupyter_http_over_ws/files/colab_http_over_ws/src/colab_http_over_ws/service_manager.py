# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service manager (systemd, or the supervisor of colab-runtime) hands to the server, and what it hears from it.

The manager holds the port, so that nobody else has it while one server ends and another begins; the server listens on the
manager's sockets. It says that it is ready, and goes on to say that it answers (sd_notify(3)): not that it has time to, but
that a request like any other is accepted and answered. A server that says so no more is ended and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any

from jupyter_server.serverapp import ServerApp
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.ioloop import IOLoop

STARTING_SECONDS = 0.1
# Of the limit: a word in time although one request fails.
WATCHDOG_SHARE = 4


def install(descriptors: Sequence[int]) -> None:
    """Have Jupyter's server listen on these sockets, and nowhere else. Its children inherit neither them nor the manager's
    address."""
    sockets = [socket.socket(fileno=one) for one in descriptors]
    for one in sockets:
        one.setblocking(False)
        one.set_inheritable(False)
    manager = os.environ.pop("NOTIFY_SOCKET", "")
    limit = float(os.environ.pop("WATCHDOG_USEC", 0)) / 1e6
    os.environ.pop("WATCHDOG_PID", None)

    def bind(app: Any) -> bool:
        app.http_server.add_sockets(sockets)
        if manager:
            # Not the configuration's port: another one may wait for a restart.
            IOLoop.current().spawn_callback(report, sockets[0].getsockname()[1], manager, limit)
        return True

    ServerApp._find_http_port = lambda app: None
    ServerApp._bind_http_server_tcp = bind


async def report(port: int, manager: str, limit: float) -> None:
    """Tell the manager again and again that the server answers. `limit` is how many seconds it waits to hear so; 0: for ever."""
    client = AsyncHTTPClient(force_instance=True)
    pause = STARTING_SECONDS
    while True:
        with contextlib.suppress(OSError, HTTPClientError):
            await client.fetch(f"http://127.0.0.1:{port}/api", headers={"Host": f"localhost:{port}"})
            notify(manager, "READY=1\nWATCHDOG=1")
            if not limit:
                return
            pause = limit / WATCHDOG_SHARE
        await asyncio.sleep(pause)


def notify(manager: str, text: str) -> None:
    """Send a text to the service manager's socket."""
    address = f"\0{manager[1:]}" if manager.startswith("@") else manager
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(text.encode("ascii"), address)

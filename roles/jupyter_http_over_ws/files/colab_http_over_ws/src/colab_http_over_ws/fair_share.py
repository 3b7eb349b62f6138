# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let no account of this machine take all connections of the server, which has about 4000 and logs each one beyond in vain.

Loopback belongs to all accounts, and the kernel says whose each connection is. Only a crowd is asked, and together: a look into
the kernel's table takes milliseconds.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import Counter
from typing import Any

from tornado import httpserver
from tornado.ioloop import IOLoop
from tornado.log import app_log

SHARE = 500
CROWD = 100
CROWD_SECONDS = 0.1


class HTTPServer(httpserver.HTTPServer):
    """tornado's, for all that it accepts, websockets included."""

    def initialize(self, *arguments: Any, **options: Any) -> None:
        self._open: list[tuple[Any, str]] = []
        self._waiting: list[tuple[Any, Any]] = []
        self._told: set[int | None] = set()
        super().initialize(*arguments, **options)

    def handle_stream(self, stream: Any, address: Any) -> None:
        self._waiting.append((stream, address))
        if len(self._open) >= CROWD:
            self._open = [one for one in self._open if not one[0].closed()]
        if len(self._open) < CROWD:
            self._admit({})
        elif len(self._waiting) >= SHARE:
            self._admit(owners())
        elif len(self._waiting) == 1:
            IOLoop.current().call_later(CROWD_SECONDS, lambda: self._admit(owners()))

    def _admit(self, owner: dict[str, int]) -> None:
        waiting, self._waiting = self._waiting, []
        have = Counter(owner.get(pair) for stream, pair in self._open if not stream.closed())
        for stream, address in waiting:
            with contextlib.suppress(OSError):  # it has gone meanwhile
                pair = f"{as_kernel_says(address)} {as_kernel_says(stream.socket.getsockname())}"
                account = owner.get(pair)
                if have[account] >= SHARE:
                    self._refuse(stream, account)
                    continue
                have[account] += 1
                self._open.append((stream, pair))
                super().handle_stream(stream, address)

    def _refuse(self, stream: Any, account: int | None) -> None:
        stream.close()
        if account not in self._told:
            self._told.add(account)
            app_log.warning("The account with the number %s has %d connections open; more are closed", account, SHARE)


def as_kernel_says(address: Any) -> str:
    """Write an address as it stands in /proc/net/tcp and tcp6."""
    raw = socket.inet_pton(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, address[0])
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(raw) // 4}I", raw)) + f":{address[1]:04X}"


def owners() -> dict[str, int]:
    """Return whose each TCP socket of this machine is, by its own and its other end's address."""
    found = {}
    mapped = as_kernel_says(("::ffff:0.0.0.0", 0))[
        :24
    ]  # IPv4 from a socket of IPv6, which is seen as IPv4 by the other end
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as rows:
            next(rows)
            for fields in map(str.split, rows):
                found[f"{fields[1]} {fields[2]}".replace(mapped, "")] = int(fields[7])
    return found


def install() -> None:
    """Have every HTTPServer of this process be one of these."""
    httpserver.HTTPServer.configure(HTTPServer)

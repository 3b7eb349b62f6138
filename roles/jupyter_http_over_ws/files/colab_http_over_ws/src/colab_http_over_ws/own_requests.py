# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mark in the server's log what comes of a request of `./colab-ready verify`, which plays strangers and is refused like them.

Its User-Agent ends in a code that only who knows the token can make, so that no stranger passes for it.
"""

from __future__ import annotations

import hmac
import logging
from contextvars import ContextVar
from typing import Any

MARK = "(asked by ./colab-ready verify) "
_own: ContextVar[bool] = ContextVar("own", default=False)


def agent(token: str) -> str:
    """The User-Agent of who verifies a server with this token (handshake_page.py makes the same)."""
    return "colab-ready " + hmac.new(token.encode(), b"verify", "sha256").hexdigest()[:32]


class Marked(logging.Filter):
    """For log handlers. What a handler does has the context of its request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _own.get():
            record.msg, record.args = MARK + record.getMessage(), None
        return True


def install(server_app: Any) -> None:
    """Have the requests of this server told apart, and its log say so."""
    token = getattr(server_app.identity_provider, "token", "")
    if not token:
        return
    application, own = server_app.web_app, agent(token).encode()
    find_handler = application.find_handler

    def find_and_note(request: Any, **more: Any) -> Any:
        _own.set(hmac.compare_digest(request.headers.get("User-Agent", "").encode(), own))
        return find_handler(request, **more)

    application.find_handler = find_and_note
    for handler in getattr(server_app.log, "logger", server_app.log).handlers:
        handler.addFilter(Marked())

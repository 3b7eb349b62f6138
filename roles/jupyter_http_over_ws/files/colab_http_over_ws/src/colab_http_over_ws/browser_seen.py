# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Note that a browser with Colab's page came, in `browser_seen.json` in the server's runtime folder.

A browser that is not allowed to reach this device sends nothing at all, so the missing note is the only thing on this
side that tells "the browser was never here" from "it was, and was refused".
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

NAME = "browser_seen.json"
SCHEMA = 1
# A page that loads asks for dozens of things at once.
SECONDS = 5.0
PATH_CHARACTERS = 200


class BrowserSeen:
    """Called with a handler when its answer is done. Never raises."""

    def __init__(self, folder: str, origin: str, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(folder, NAME)
        self.origin = origin
        self._clock = clock
        self._note: dict[str, Any] = {}
        self._written = (0.0, 0)  # when, and the hundred of the status
        # A server that has just started has seen nobody.
        with contextlib.suppress(OSError):
            self.path.unlink()

    def __call__(self, handler: Any) -> None:
        request, status = handler.request, handler.get_status()
        headers = request.headers
        if headers.get("Origin") != self.origin or not headers.get("User-Agent", "").startswith("Mozilla/"):
            return
        now = self._clock()
        at = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
        self._note = {
            "schema": SCHEMA,
            "origin": self.origin,
            "first_at": self._note.get("first_at", at),
            "last_at": at,
            "last_status": status,
            "last_request": f"{request.method} {request.path[:PATH_CHARACTERS]}",
            "requests": self._note.get("requests", 0) + 1,
        }
        written_at, kind = self._written
        if abs(now - written_at) >= SECONDS or kind != status // 100:
            self._written = (now, status // 100)
            with contextlib.suppress(OSError):
                self._write(json.dumps(self._note))

    def _write(self, text: str) -> None:
        new = self.path.with_name(f".{NAME}.new")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        new.replace(self.path)


def watch(server_app: Any) -> None:
    """From now on each answer of this server is looked at, after it was logged."""
    settings = server_app.web_app.settings
    log, seen = settings.get("log_function"), BrowserSeen(server_app.runtime_dir, settings.get("allow_origin", ""))

    def log_and_look(handler: Any) -> None:
        if log is not None:
            log(handler)
        seen(handler)

    settings["log_function"] = log_and_look

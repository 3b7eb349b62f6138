# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep tokens out of the server's log.

Colab puts the token into the query (`?token=`), and into the auth URL that it passes to `/http_over_websocket`. Two
writers put such an address into the log as it came:

- jupyter_http_over_ws, where its own handlers are used: "proxying WebSocket connection to: ...", for every kernel socket,
  and the traceback of an auth URL that it refuses;
- tornado's `RequestHandler.log_exception`, under Jupyter Server 2.21 too: "404 GET /api/contents/...?token=... : No
  such file", for every request that ends in an HTTPError with a message. (Jupyter Server's own access line is clean.)
"""

from __future__ import annotations

import logging
import re
from typing import Any

# A value ends at the next parameter, also where the whole address is itself a (doubly) quoted parameter.
_TOKEN = re.compile(r"(token(?:=|%(?:25)*3D))(?:(?!%(?:25)*26)[^&\s\"'()<>#,;])+", re.IGNORECASE)
_AUTH_URL = re.compile(r"(jupyter_http_over_ws_auth_url=)[^&\s\"'<>]+")
_FORMATTER = logging.Formatter()


def hide(text: str) -> str:
    """The text with the value of every `token=` in it replaced, quoted addresses and whole auth URLs included."""
    return _TOKEN.sub(r"\1[secret]", _AUTH_URL.sub(r"\1[secret]", text))


class HideSecrets(logging.Filter):
    """For log handlers; `ServerApp.logging_config` can name it as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The address with a generated token that a server prints when it starts is meant to be copied by its user.
        if record.module not in ("serverapp", "notebookapp"):
            record.msg, record.args = hide(record.getMessage()), None
            if record.exc_info and not record.exc_text:
                # Formatters print this text where it is set, instead of formatting the exception themselves.
                record.exc_text = hide(_FORMATTER.formatException(record.exc_info))
        return True


def install(log: Any) -> None:
    """Put the filter, once, on the log's handlers: they also see what tornado's loggers pass on."""
    for handler in getattr(log, "logger", log).handlers:
        if not any(isinstance(present, HideSecrets) for present in handler.filters):
            handler.addFilter(HideSecrets())

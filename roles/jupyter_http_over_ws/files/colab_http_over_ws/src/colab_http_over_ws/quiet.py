# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep out of the server's log what is no fault: a browser that went away while something was on its way to it."""

from __future__ import annotations

import logging


class CutConnections(logging.Filter):
    """For the logger asyncio: tornado leaves the future of such a message alone, and each was a traceback of 36 lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or kind.__name__ != "WebSocketClosedError"

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cover user names and passwords in addresses."""

from __future__ import annotations

import re
from urllib.parse import unquote

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^/\s'\"]+(:(?!\d*/)[^\s'\"]*)?)@")


def redact(text: str) -> str:
    """The text with the user and password of every address in it covered."""
    return _USERINFO.sub(lambda match: match.group("scheme") + "***@", text)


def secrets_in(text: str) -> list[str]:
    """Every userinfo in the text and every password alone, plain and percent-decoded, for a log filter."""
    found: list[str] = []
    for match in _USERINFO.finditer(text):
        userinfo = match.group("userinfo")
        name, separator, password = userinfo.partition(":")
        # A token is often written as the user with no password behind it.
        secret = password if separator else name
        for one in (userinfo, secret, unquote(secret)):
            if len(one) >= 4 and one not in found:
                found.append(one)
    return found

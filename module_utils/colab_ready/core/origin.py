# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the origin of a page: scheme, host and port."""

from __future__ import annotations

import re

from .problem import Refused

ORIGIN = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(\d{1,5}))?")


def check_origin(origin: str) -> str:
    """Return the origin as it was given, if it is one and nothing wider. Raises Refused."""
    if not ORIGIN.fullmatch(origin):
        raise Refused(
            "origin is %r. Expected one page's origin: scheme and host in small letters, without a path or a wildcard, "
            "such as https://colab.research.google.com. Correct it." % origin
        )
    return origin

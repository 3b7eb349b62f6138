# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock can be right, without asking the network: certificates and apt's lists go by it."""

from __future__ import annotations

import glob
import re
import time
from email.utils import parsedate_to_datetime

from ..files.safe_open import read_system_text

# This project's locks are no older: a clock that shows less was reset (an empty battery, a board without one).
NO_EARLIER = 1793491200  # 2026-11-01
# In WSL Windows keeps the hardware clock: https://github.com/microsoft/WSL/issues/8204
HARDWARE_CLOCK = "/sys/class/rtc/rtc0/since_epoch"
# The archive's own clock is in them, below a signature.
SIGNED_LISTS = "/var/lib/apt/lists/*_InRelease"
MAY_DIFFER_SECONDS = 300


def wrong_clock(kernel: str, now: float, hardware_clock: str = HARDWARE_CLOCK, lists: str = SIGNED_LISTS) -> str | None:
    """Return how one can tell that the clock is wrong, or None. On a PC of its own the hardware's may show local time."""
    shown = f"the clock shows {_text(now)}"
    if now < NO_EARLIER:
        return f"{shown}, which is past"
    newest = max(map(_time_of, glob.glob(lists)), default=0)
    if newest - now > MAY_DIFFER_SECONDS:
        return f"{shown}, and apt's lists are of {_text(newest)}"
    told = (read_system_text(hardware_clock) or "").strip() if "microsoft" in kernel.lower() else ""
    true = int(told) if told.isdecimal() else 0
    if true < NO_EARLIER or abs(true - now) < MAY_DIFFER_SECONDS:
        return None
    return f"{shown}, and Windows' {_text(true)}"


def _time_of(path: str) -> float:
    """Return when an archive made a list; 0 where that cannot be read."""
    try:
        with open(path, "rb") as stream:
            told = re.search(rb"^Date: (.*)$", stream.read(4096), re.MULTILINE)
        return parsedate_to_datetime(told[1].decode("ascii")).timestamp() if told else 0
    except (OSError, ValueError):
        return 0


def _text(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))

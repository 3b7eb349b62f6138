# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of WSL that leave the GPU out: asked where there is none, since the driver is then not to blame.

https://learn.microsoft.com/windows/wsl/wsl-config; microsoft/WSL#8931, #41473.
"""

from __future__ import annotations

import glob
import os

from ..files.plain import open_plain
from ..files.safe_open import read_system_text
from .conf import Key, decode, parse, wsl_conf_value
from .facts import program_candidates
from .interop import as_caller

_FALSE, _TRUE = ("false", "0"), ("true", "1")
# Of .wslconfig; a kernel of one's own has no dxgkrnl unless one built it in, whatever its path is.
_IN_WSLCONFIG = (
    Key("wsl2", "gpuSupport", "", _FALSE),
    Key("wsl2", "safeMode", "", _TRUE),
    Key("wsl2", "kernel", "", ()),
)
_FILE_BYTES = 64 << 10
_FILES_MAX = 32


def gpu_left_out(etc: str = "/etc", proc: str = "/proc") -> str | None:
    """Return the setting that leaves the GPU out and the file that it is in, as words; None where none does."""
    wsl_conf = read_system_text(f"{etc}/wsl.conf") or ""
    if (wsl_conf_value(wsl_conf.encode(), "gpu", "enabled") or "").lower() in _FALSE:
        return "enabled=false under [gpu] in /etc/wsl.conf"
    places = program_candidates("Users", wsl_conf, read_system_text(f"{proc}/self/mountinfo") or "")
    try:
        found = as_caller(lambda: _read_all(places))
    except OSError:
        return None
    return next((told for path, text in found if (told := _in_wslconfig(path, text.encode("latin-1")))), None)


def _read_all(places: list[str]) -> list[list[str]]:
    """Return each .wslconfig that the caller may read, with its path: Windows lets everybody read their own."""
    found = []
    paths = [path for place in places for path in glob.glob(f"{glob.escape(place)}/*/.wslconfig")]
    for path in paths[:_FILES_MAX]:
        try:
            with open_plain(path) as handle:
                found.append([path, os.read(handle, _FILE_BYTES).decode("latin-1")])
        except OSError:
            continue
    return found


def _in_wslconfig(path: str, content: bytes) -> str | None:
    try:
        parsed = parse(decode(content, windows=True)[2], skips_invalid=True)
    except ValueError:
        return None
    for key in _IN_WSLCONFIG:
        value = parsed.value(key)
        if value and (value.lower() in key.same or not key.same):
            return f"{key.name}={value} under [{key.section}] in {path}"
    return None

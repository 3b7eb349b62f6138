# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which distribution a host has."""

from __future__ import annotations

import os
import re
from typing import Any

from ..files.safe_open import read_system_text

# By their code names, as who builds on one writes it (UBUNTU_CODENAME).
UBUNTU = {
    "focal": "20.04",
    "jammy": "22.04",
    "noble": "24.04",
    "plucky": "25.04",
    "questing": "25.10",
    "resolute": "26.04",
}


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): shell-like assignments, values plain or quoted."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([A-Z0-9_]+)=(.*)$", line)
        if match:
            value = match.group(2).strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = re.sub(r"\\([\\\"$`])", r"\1", value[1:-1])
            found[match.group(1)] = value
    return found


def os_facts(etc: str = "/etc", usr: str = "/usr") -> dict[str, Any]:
    """Which distribution this is, and whether it has apt."""
    release = parse_os_release(read_system_text(f"{etc}/os-release") or read_system_text(f"{usr}/lib/os-release") or "")
    like = release.get("ID_LIKE", "").split()
    below = release.get("UBUNTU_CODENAME") or (release.get("VERSION_CODENAME", "") if "ubuntu" in like else "")
    return {
        "id": release.get("ID"),
        "id_like": like,
        # Of Linux Mint, Pop!_OS, Zorin and others the Ubuntu that they are built on, whose packages they take.
        "ubuntu": release.get("VERSION_ID") if release.get("ID") == "ubuntu" else UBUNTU.get(below.lower()),
        "version_id": release.get("VERSION_ID"),
        "codename": release.get("VERSION_CODENAME"),
        "name": release.get("PRETTY_NAME") or release.get("NAME"),
        "apt": os.access(f"{usr}/bin/apt-get", os.X_OK),
    }

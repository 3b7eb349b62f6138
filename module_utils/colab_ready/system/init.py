# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what runs as PID 1."""

from __future__ import annotations

import os
import re

from ..files.safe_open import read_system_text
from ..process.program import stdout_of


def service_manager(proc: str = "/proc", run_dir: str = "/run") -> str:
    """systemd only where it is PID 1: in a container, or on a WSL without it, it may just be installed."""
    booted = os.path.isdir(f"{run_dir}/systemd/system")
    return "systemd" if booted and (read_system_text(f"{proc}/1/comm") or "").strip() == "systemd" else "none"


def systemd_version() -> str | None:
    """The installed systemd's version, running or not."""
    first = (stdout_of(["systemctl", "--version"]) or "").split("\n", 1)[0]
    match = re.match(r"systemd (\S+)", first)
    return match.group(1) if match else None

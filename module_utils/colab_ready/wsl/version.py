# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell whether this is WSL, and which."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..files.safe_open import read_system_text
from ..system.init import service_manager


def wsl_version(version_text: str, osrelease: str, has_run_wsl: bool, environ: Mapping[str, str]) -> int | None:
    """1, 2, or None outside of WSL.

    WSL 1 answers with kernel 4.4 and "-Microsoft"; Microsoft's WSL 2 kernels say "microsoft" and mostly
    "-WSL2". A kernel of the user's own says neither; there WSL's init betrays itself by /run/WSL and WSL_INTEROP.
    """
    said = f"{version_text} {osrelease}".lower()
    if "microsoft" in said:
        return 1 if re.match(r"[34]\.4\.", osrelease) and "wsl2" not in said else 2
    if has_run_wsl or environ.get("WSL_INTEROP"):
        return 2
    return None


def wsl_facts(
    proc: str = "/proc", dev: str = "/dev", run_dir: str = "/run", environ: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """version, kernel, systemd, dxg; None outside of WSL."""
    osrelease = (read_system_text(f"{proc}/sys/kernel/osrelease") or "").strip()
    version = wsl_version(
        read_system_text(f"{proc}/version") or "",
        osrelease,
        os.path.isdir(f"{run_dir}/WSL"),
        os.environ if environ is None else environ,
    )
    if version is None:
        return None
    return {
        "version": version,
        "kernel": osrelease or None,
        "systemd": service_manager(proc, run_dir) == "systemd",
        "dxg": os.path.exists(f"{dev}/dxg"),
    }

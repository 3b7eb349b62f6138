# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side of a ROCm plan, as far as it can be thought out without touching the host: pure functions.

host.py looks and acts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.problem import Problem
from ...core.remedy import give, reset


def judge_deb(deb: Mapping[str, str], sha256: str, variable: str) -> Problem | None:
    if sha256 == deb["sha256"]:
        return None
    what = f"{deb['file']} from {deb['url']} has the SHA-256 checksum {sha256}; it was not installed"
    do = f"{reset('rocm_bridge_sha256', 'rocm_amd_smi_sha256')}; if it stays, take it from elsewhere: "
    do += f"{give(f'{variable}=ADDRESS')}; and never correct the checksum to fit a file"
    return Problem("rocm_checksum", what, deb["sha256"], do)


# --- files ----------------------------------------------------------------------------------------------------------

PROFILE = "/etc/profile.d/colab-ready-rocm.sh"
# Of the service, and of colab-runtime where there is no systemd. In the form of systemd's EnvironmentFile.
ENVIRONMENT = "/etc/colab-ready/environment.d/rocm.conf"
LOADER = "/etc/ld.so.conf.d/colab-ready-rocm.conf"
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_./:,+-]*")


def setting_files(plan: Mapping[str, Any]) -> dict[str, str]:
    """Path and text of what programs read at their start. No environment, no file."""
    files = {}
    environment: Mapping[str, str] = plan["environment"]
    wrong = [name for name, value in environment.items() if not _SAFE_VALUE.fullmatch(value)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: a value that a shell would read otherwise")
    head = f"# Made by colab-ready for ROCm {plan['line']}.\n"
    if environment:
        pairs = [f"{name}={value}" for name, value in sorted(environment.items())]
        files[PROFILE] = head + "".join(f"export {pair}\n" for pair in pairs)
        files[ENVIRONMENT] = head + "".join(f"{pair}\n" for pair in pairs)
    if plan["loader"]:
        files[LOADER] = head + "".join(f"{folder}\n" for folder in plan["loader"])
    return files

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server would start again, at the next boot or after a crash: the one that runs has read everything already."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.remedy import AGAIN_FIRST, Remedy, check_of
from ..files.safe_open import parse_object, read_bytes

UNIT = "/etc/systemd/system/colab-ready.service"
BOOT_LINK = "/etc/systemd/system/multi-user.target.wants/colab-ready.service"  # the unit's WantedBy=
REASONS_MAX = 5
REMEDY = Remedy("The server that runs would not start again as it is.", f"{AGAIN_FIRST}: it puts back what is missing.")


def judge_next_start(
    settings: Mapping[str, Any], damages: Mapping[str, list[str]], stale: Sequence[str] = (), root: str = "/"
) -> dict[str, Any]:
    """Compare what the next start reads with what was put there; `damages` are those of the environments, by folder, and `stale`
    are the units that systemd cannot start as it knows them."""
    put = settings.get("files")
    reasons = [
        _file_problem(root, path, str(digest)) for path, digest in (put if isinstance(put, dict) else {}).items()
    ]
    if settings.get("service_manager") == "systemd":
        reasons += [_boot_problem(root), *(f"systemd cannot start {unit} as it has read it" for unit in stale)]
    configs = os.path.join(settings["config_dir"], "**", "*.json")
    reasons += [_config_problem(path) for path in sorted(glob.glob(configs, recursive=True))]
    found = [reason for reason in reasons if reason]
    found += [f"{folder}: {problem}" for folder, problems in damages.items() for problem in problems]
    more = [f"{len(found) - REASONS_MAX} more like these"] if len(found) > REASONS_MAX else []
    few = [*found[:REASONS_MAX], *more]
    detail = "; ".join(few) or "all of it is as it was put there"
    return check_of("next_start", not found, detail, few, [REMEDY.told("next_start")] if found else [])


def _file_problem(root: str, path: str, digest: str) -> str:
    place = os.path.join(root, path.lstrip("/"))
    try:
        if hashlib.sha256(read_bytes(place)).hexdigest() != digest:
            return f"{path} is not what ./colab-ready put there"
        program = "/bin/" in path and not os.stat(place).st_mode & stat.S_IXOTH
        return f"{path} may not be executed" if program else ""
    except FileNotFoundError:
        return f"{path} is gone"
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        return f"{path} is no plain file of root's ({why})"


def _boot_problem(root: str) -> str:
    leads = os.path.realpath(os.path.join(root, BOOT_LINK.lstrip("/")))
    wanted = os.path.realpath(os.path.join(root, UNIT.lstrip("/")))
    return "" if leads == wanted else f"{os.path.basename(UNIT)} is not enabled, so it does not start at boot"


def _config_problem(path: str) -> str:
    try:
        return "" if parse_object(read_bytes(path)) is not None else f"{path} is no JSON object"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"

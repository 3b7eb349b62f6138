# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root runs no Python, no uv and nothing below a folder that somebody else can change."""

from __future__ import annotations

import os

from ..files.trust import distrust_way

ROOT = (0,)


def distrusted(place: str) -> str | None:
    """Say how somebody else than root can change a program or a place; None where nobody can, or this is not root."""
    return distrust_way(place, ROOT) if os.geteuid() == 0 else None


def refusal(place: str, user: str | None = None) -> str | None:
    """Return the one message where root (not `user`) would use a place that somebody else can change; None if it may."""
    reason = distrusted(place) if user in (None, "", "root") else None
    if reason is None:
        return None
    return (
        f"Root does not use {place}: {reason}. Expected it, and each folder on the way to it, to be root's, and nobody "
        "else to be able to write there. Correct owner and mode (chown, chmod), or choose another place."
    )

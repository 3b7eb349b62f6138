# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which adapter of a host a backend is to compute on, from what the module gpu_device returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..gpu import catalog
from ..gpu.catalog import NO, OPT_IN, YES


def card_for(
    gpu: Mapping[str, Any], backend: str, vendor_id: str, wsl: bool, unknown: str = NO
) -> Mapping[str, Any] | None:
    """From what gpu_device returned: the adapter that was decided on for a backend, or the vendor's best one. Never by its
    place in a list: a processor's own graphics often come first. `unknown`: as what a card counts that no table has."""
    adapters = gpu.get("adapters") or []
    decided = gpu.get("backend") or {}
    for one in (decided, decided.get("recommended") or {}):
        if one.get("name") == backend and one.get("adapter") is not None:
            return next((adapter for adapter in adapters if adapter.get("index") == one["adapter"]), None)
    levels = [NO, OPT_IN, YES]

    def rank(adapter: Mapping[str, Any]) -> tuple[int, bool, int]:
        family = catalog.family_of(adapter)
        level = ((family.wsl if wsl else family.linux).level or NO) if family else unknown
        return levels.index(level), bool(adapter.get("primary")), int(adapter.get("dedicated_bytes") or 0)

    theirs = [one for one in adapters if one.get("vendor_id") == vendor_id and not one.get("software")]
    return max(theirs, key=rank, default=None)

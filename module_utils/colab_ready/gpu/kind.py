# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what an adapter is: its name for people, and whether there is a GPU to compute on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import catalog


def describe(adapter: Mapping[str, Any]) -> str:
    """An adapter in one short phrase, with no more than is known."""
    if not adapter.get("name") and not adapter.get("vendor_id") and adapter.get("driver"):
        return f"graphics with the driver {adapter['driver']}"
    name = adapter.get("name") or "{} {}:{}".format(
        adapter.get("vendor") or "adapter", adapter.get("vendor_id") or "?", adapter.get("device_id") or "?"
    )
    return name if str(name).startswith(str(adapter.get("vendor"))) else f"{adapter.get('vendor') or ''} {name}".strip()


def label(adapter: Mapping[str, Any]) -> str:
    """What a student calls it, with AMD's name of the chip where that decides: "Radeon RX 6800 XT (gfx1030)"."""
    gfx = catalog.gfx_of(adapter)
    return f"{catalog.product_of(adapter) or describe(adapter)}{f' ({gfx})' if gfx else ''}"


def kind_of(adapter: Mapping[str, Any]) -> str:
    """In one word, what an adapter is that is no GPU."""
    if adapter.get("compute_only"):
        return "NPU"
    if adapter.get("software") or adapter.get("vendor_id") == catalog.MICROSOFT:
        return "software"
    return "display" if adapter.get("render") is False else "unknown"


def why_no_gpu(adapter: Mapping[str, Any]) -> str | None:
    """Why there is nothing to compute on behind an adapter; None if there is."""
    if adapter.get("software", False) or adapter.get("vendor_id") == catalog.MICROSOFT:
        return "it is software, not a GPU"
    if adapter.get("compute_only"):
        return "it is a neural processor (NPU), and PyTorch has no backend for it here"
    if adapter.get("software", False) is None:
        return "whether it is a GPU is not known"
    if adapter.get("render", True) is False:
        return "it is a display without a GPU behind it"
    return None


def is_integrated(adapter: Mapping[str, Any]) -> bool:
    """Part of the processor? The table knows its chips; for others Windows' hybrid bits, then the memory of its own."""
    family = catalog.family_of(adapter)
    if family is not None:
        return family.integrated
    if adapter.get("hybrid") in ("discrete", "integrated"):
        return bool(adapter["hybrid"] == "integrated")
    return int(adapter.get("dedicated_bytes") or 0) < 2 * 1024**3

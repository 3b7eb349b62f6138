# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A graphics adapter as every reader gives it: all its keys, who told each, and the reason beside what is null."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..process.fork import Say, run_forked

VENDORS = {
    "1002": "AMD",
    "1013": "Cirrus Logic",
    "102b": "Matrox",
    "106b": "Apple",
    "10de": "NVIDIA",
    "1234": "QEMU",
    "1414": "Microsoft",
    "15ad": "VMware",
    "1a03": "ASPEED",
    "1af4": "Red Hat (virtio)",
    "1b36": "Red Hat",
    "80ee": "VirtualBox",
    "8086": "Intel",
    # Qualcomm's GPUs are ACPI devices, whose vendor Windows gives as the four letters of their ACPI name (mozilla/angle#33).
    "5143": "Qualcomm",
    "4d4f4351": "Qualcomm",
}
MICROSOFT = "1414"

# The keys of an adapter, in their order. gfx and product are for the table of GPUs to fill in.
KEYS = (
    "index name vendor vendor_id device_id subsystem_vendor_id subsystem_id revision address driver driver_version wddm "
    "dedicated_bytes software render compute_only hybrid detachable primary luid gfx product source"
).split()
ID_KEYS = ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision")
# The kernel's own limit.
ADAPTERS_MAX = 64

Reasons = dict[str, dict[str, str]]
Adapters = list[dict[str, Any]]
# None where the adapters cannot be known; the reason is then that of "adapters".
Reading = tuple[Adapters | None, Reasons]


class Unknown(NamedTuple):
    """Why a value is null."""

    reason: str
    detail: str

    def said(self) -> dict[str, str]:
        return self._asdict()


class Failure(Exception):
    """Why nothing can be known."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.why = Unknown(reason, detail)


def plain(text: str) -> str:
    """Return a name without what moves a terminal's cursor or turns the direction of writing."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:260]


def assemble(described: Sequence[Mapping[str, Any]], source: str, silent: str) -> tuple[Adapters, Reasons]:
    """Return adapters with all their keys. A value is Unknown, or missing where `source` does not say such a thing (`silent`)."""
    adapters: Adapters = []
    reasons: Reasons = {}
    for index, given in enumerate(described[:ADAPTERS_MAX]):
        values = {**given, "vendor": _vendor(given)}
        known = {key: value for key, value in values.items() if not isinstance(value, Unknown)}
        adapters.append({**dict.fromkeys(KEYS), **known, "index": index, "source": dict.fromkeys(known, source)})
        for key in KEYS:
            if key not in known and key not in ("index", "primary", "source", "gfx", "product"):
                reasons[f"adapters[{index}].{key}"] = values.get(key, Unknown("not_said", silent)).said()
    mark_primary(adapters)
    return adapters, reasons


def _vendor(values: Mapping[str, Any]) -> Any:
    vendor_id = values["vendor_id"]
    if isinstance(vendor_id, Unknown):
        return vendor_id
    unknown = Unknown("unknown_vendor", f"{vendor_id} is no vendor that is known")
    return VENDORS.get(vendor_id) or values.get("vendor") or unknown


def mark_primary(adapters: Sequence[dict[str, Any]]) -> None:
    """The one with most memory of its own, then the discrete one of a pair; never by its place, unless all are alike."""
    candidates = [
        adapter
        for adapter in adapters
        if adapter["software"] is False and adapter["render"] is not False and adapter["compute_only"] is not True
    ]
    rank = {"discrete": 2, None: 1, "integrated": 0}
    best = max(
        candidates,
        key=lambda one: (one["dedicated_bytes"] or 0, rank[one["hybrid"]], -one["index"]),
        default=None,
    )
    for adapter in adapters:
        adapter["primary"] = adapter is best


def failed(why: Unknown) -> Reading:
    """Return a reading that came to nothing."""
    return None, {"adapters": why.said()}


def read_forked(read: Callable[[Say], Reading], seconds: float) -> Reading:
    """Return what a copy of this process has read, which may hang in a driver or be killed by it."""
    outcome = run_forked(read, seconds)
    if outcome.kind == "ok":
        adapters, reasons = outcome.value
        return adapters, reasons
    code = {"timeout": "timeout", "crashed": "crashed", "not_started": "no_child"}.get(outcome.kind, "unexpected")
    return failed(Unknown(code, f"{outcome.text}, at: {outcome.step}" if outcome.step else outcome.text))

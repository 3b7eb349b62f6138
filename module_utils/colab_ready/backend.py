# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend a host gets, and why: data and one pure function.

A backend enters by a line in BACKENDS; which adapters it wants will be data there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence


@dataclass(frozen=True)
class Backend:
    """One way to run PyTorch. `device_type` is torch's own word for it."""

    name: str
    device_type: str
    available_in_this_version: bool
    on: str


BACKENDS = (
    Backend("cuda", "cuda", False, "NVIDIA graphics"),
    # ROCm's torch answers to the name cuda as well.
    Backend("rocm", "cuda", False, "AMD graphics"),
    Backend("xpu", "xpu", False, "Intel graphics"),
    # torch-directml registers as PrivateUse1 and has no name of its own.
    Backend("directml", "privateuseone", False, "any DirectX 12 graphics, in WSL"),
    Backend("cpu", "cpu", True, "every host"),
)

# What colab_backend may say.
BACKEND_WISHES = ("auto", *(backend.name for backend in BACKENDS))


class Refusal(ValueError):
    """A wish that cannot be met: what is wrong, what was expected, what to do."""


def describe(adapter: Mapping[str, Any]) -> str:
    """An adapter in one short phrase, with no more than is known."""
    name = adapter.get("name") or "{} {}:{}".format(
        adapter.get("vendor") or "adapter", adapter.get("vendor_id") or "?", adapter.get("device_id") or "?"
    )
    return name if str(name).startswith(str(adapter.get("vendor"))) else f"{adapter.get('vendor') or ''} {name}".strip()


def choose_adapter(wish: str | None, adapters: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any] | None:
    """The adapter that was asked for: by index, or by part of its name or address."""
    if not wish or adapters is None:
        return None
    if wish.isdecimal():
        found = [adapter for adapter in adapters if adapter.get("index") == int(wish)]
    else:
        found = [
            adapter
            for adapter in adapters
            if any(wish.lower() in str(adapter.get(key) or "").lower() for key in ("name", "vendor", "address"))
        ]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{adapter.get('index')}: {describe(adapter)}" for adapter in adapters) or "none"
    raise Refusal(
        f"colab_gpu is {wish!r}, which fits {'no' if not found else len(found)} adapter{'s' if len(found) > 1 else ''} "
        f"of this host. Expected: one of {listed}. Do: set colab_gpu to the number in front, or leave it empty."
    )


def _what_there_is(adapters: Sequence[Mapping[str, Any]] | None, why_unknown: str | None) -> str:
    if adapters is None:
        return f"which graphics this host has is not known: {why_unknown}"
    hardware = [describe(adapter) for adapter in adapters if not adapter.get("software")]
    if hardware:
        return f"found {', '.join(hardware)}"
    if adapters:
        return "no GPU found, only " + ", ".join(f"{describe(adapter)} (software)" for adapter in adapters)
    return "no GPU found"


def decide(
    wish: str,
    adapters: Sequence[Mapping[str, Any]] | None,
    why_unknown: str | None = None,
    gpu: str | None = None,
    backends: Sequence[Backend] = BACKENDS,
) -> dict[str, Any]:
    """name, device_type, chosen_by, reasons, rejected of the backend that this host gets; or a Refusal.

    `adapters` is None when they cannot be known, for the reason `why_unknown`. The order of `backends` is the
    order of preference.
    """
    available = [backend for backend in backends if backend.available_in_this_version]
    expected = " or ".join(["auto", *(backend.name for backend in available)])
    wished = next((backend for backend in backends if backend.name == wish), None)
    if wish != "auto" and wished is None:
        raise Refusal(
            f"colab_backend is {wish!r}, which is no backend. Expected: {expected}. "
            "Do: set colab_backend to one of them."
        )
    if wished is not None and not wished.available_in_this_version:
        raise Refusal(
            f"colab_backend is {wish!r}, which this version of colab-ready does not bring yet. Expected: {expected}. "
            "Do: set colab_backend to one of them, or use a later version."
        )
    choose_adapter(gpu, adapters)

    chosen = wished or next(backend for backend in available if backend.name == "cpu")
    reasons = ["colab_backend asks for it"] if wished else []
    reasons.append(_what_there_is(adapters, why_unknown))
    if not wished:
        reasons.append("this version of colab-ready brings no GPU backend yet, so PyTorch runs on the CPU")
    if gpu and chosen.name == "cpu":
        reasons.append(f"colab_gpu ({gpu}) has no effect on the CPU")
    return {
        "name": chosen.name,
        "device_type": chosen.device_type,
        "chosen_by": "colab_backend" if wished else "auto",
        "reasons": reasons,
        "rejected": [
            {
                "name": backend.name,
                "why": "colab_backend asks for another one"
                if backend.available_in_this_version
                else f"not in this version of colab-ready (it is for {backend.on})",
            }
            for backend in backends
            if backend is not chosen
        ],
    }

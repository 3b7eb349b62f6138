# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was decided, for whoever installs it: nothing of it is judged a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.problem import Problem, Refused


class Decided(NamedTuple):
    """Of the decision of gpu_device: the adapter ({} for the CPU), the settings that it hangs on, and the Python."""

    adapter: Mapping[str, Any]
    settings: Mapping[str, Any]
    python: Mapping[str, Any]


def decided(gpu: Mapping[str, Any], backend: str) -> Decided:
    """From what gpu_device returned. Raises Refused where it did not decide on this backend."""
    decision = gpu.get("backend") or {}
    adapters = [one for one in gpu.get("adapters") or () if one.get("index") == decision.get("adapter")]
    missing = {"settings", "python", "python_requires"} - decision.keys()
    if decision.get("name") != backend or missing or bool(adapters) is (backend == "cpu"):
        what = f"gpu holds no decision for {backend}"
        do = f"give it what gpu_device returned with backend: {backend}"
        raise Refused(Problem(f"{backend}_undecided", what, "a backend, its adapter, settings and Python", do))
    return Decided(next(iter(adapters), {}), decision["settings"], decision["python"])

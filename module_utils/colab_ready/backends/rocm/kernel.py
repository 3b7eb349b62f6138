# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of a ROCm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel import Kernel
from .releases import numbers_of


def kernel(plan: Mapping[str, Any], requires: str) -> Kernel:
    """AMD's wheels up to 7.2 state all that they need; the newer ones bring their runtime as packages that are theirs to choose,
    so they are installed with what they depend on."""
    torch = plan["torch"]
    classic = numbers_of(plan["line"]) < (7, 13)
    source = {"index": torch["index"]} if torch["index"] else {"find_links": torch["find_links"]}
    source = source if classic else {**source, "dependencies": True}
    pinned = [{"requirement": one, "variable": "python_env_torch_index", **source} for one in torch["requirements"]]
    return Kernel(
        "Python 3 (ROCm)",
        "kernel_7.2.txt" if classic else "kernel.txt",
        pinned,
        torch["constraints"],
        requires,
        plan["environment"],
        torch["drop_bundled_hsa"],
    )

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of a build for CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel import Kernel, exact, pin


def kernel(
    build: Mapping[str, Any], locks: Mapping[str, str], requires: str, index: str, allow_default: bool
) -> Kernel:
    """`locks` are texts by release and build, beside those that the role has as files."""
    # torch before torchvision: a build that ends early leaves the smaller hole.
    pinned = [
        pin(name, build[name], build["tag"], index or build["index"], "cuda_index", allow_default)
        for name in ("torch", "torchvision")
    ]
    lock = locks.get(build["lock"]) or f"kernel_{build['lock']}.txt"
    return Kernel("Python 3 (CUDA)", lock, pinned, exact(pinned, ["torch", "torchvision"]), requires)

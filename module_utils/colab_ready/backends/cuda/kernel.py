# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of a build for CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel import Kernel, optional, pin, torchaudio_of

# PyTorch's index of cu132 has no torchaudio (pytorch/pytorch#193651). The package index's is this build: torchaudio/version.py in
# its wheel says 2.11.1+cu132.
TORCHAUDIO = {"cu132": {"requirement": "torchaudio==2.11.1"}}


def kernel(
    build: Mapping[str, Any], locks: Mapping[str, str], requires: str, index: str, allow_default: bool
) -> Kernel:
    """`locks` are texts by release and build, beside those that the role has as files."""
    # torch before torchvision: a build that ends early leaves the smaller hole.
    releases = {
        "torch": build["torch"],
        "torchvision": build["torchvision"],
        "torchaudio": torchaudio_of(build["torch"]),
    }
    *pinned, audio = (
        pin(name, version, build["tag"], index or build["index"], "cuda_index", allow_default)
        for name, version in releases.items()
    )
    lock = locks.get(build["lock"]) or f"kernel_{build['lock']}.txt"
    pinned.append(optional(TORCHAUDIO.get(build["tag"], audio)))
    return Kernel("Python 3 (CUDA)", lock, pinned, [], requires)

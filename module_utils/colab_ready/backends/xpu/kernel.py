# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of PyTorch's XPU build.

torch 2.14.0+xpu was seen to compute wrong on Arc cards (119 of 200 results of one detector), and its index had no triton-xpu 3.8
for all Pythons when this was written; 2.13.0 has neither trouble. triton-xpu is on PyTorch's index alone.
"""

from __future__ import annotations

from ..kernel import Kernel, optional, torchaudio_of

TORCH = "2.13.0"
# triton-xpu and torch before torchvision: a build that ends early leaves the smaller hole.
BUILDS = ("triton-xpu==3.7.2", f"torch=={TORCH}+xpu", "torchvision==0.28.0+xpu")


def kernel(lock: str, requires: str, index: str) -> Kernel:
    """The default index's torch is made for CUDA, so it can never come instead."""
    builds = (*BUILDS, f"torchaudio=={torchaudio_of(TORCH)}+xpu")
    *pinned, audio = ({"requirement": build, "index": index, "variable": "xpu_index"} for build in builds)
    return Kernel("Python 3 (XPU)", lock or f"kernel_{TORCH}_xpu.txt", [*pinned, optional(audio)], [], requires)

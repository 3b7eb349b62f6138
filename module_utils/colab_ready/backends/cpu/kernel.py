# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of the CPU.

The local part of the version (+cpu) is on no default index, so a build with several GB of CUDA can never come instead.
"""

from __future__ import annotations

from ..kernel import Kernel, optional, pin, torchaudio_of

TORCH = "2.13.0"
# The one that takes this torch: https://github.com/pytorch/vision#installation, and its wheel's metadata
TORCHVISION = "0.28.0"
# https://pytorch.org/get-started/locally/
INDEX = "https://download.pytorch.org/whl/cpu"


def kernel(requires: str, index: str, allow_default: bool) -> Kernel:
    releases = {"torch": TORCH, "torchvision": TORCHVISION, "torchaudio": torchaudio_of(TORCH)}
    torch, *others = (
        pin(name, version, "cpu", index or INDEX, "python_env_torch_index", allow_default)
        for name, version in releases.items()
    )
    return Kernel("Python 3 (CPU)", "kernel_cpu.txt", [torch, *map(optional, others)], [], requires)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user of torch-directml should know of it."""

from __future__ import annotations

from ...python.lock import matches

# The CVEs of torch.load(weights_only=True): number, first version without it.
_CVES = (("CVE-2025-32434", "2.6.0"), ("CVE-2026-24747", "2.10.0"))


def warnings_for(torch: str) -> list[str]:
    """What a user of torch-directml should be told once, for the torch that it runs with."""
    warnings = [
        "torch-directml is in maintenance mode: Microsoft mends security and compliance only, and no newer PyTorch or Python "
        "will be supported. Where ROCm, CUDA or XPU work, they are the better choice.",
    ]
    open_cves = [f"{number} (fixed in PyTorch {fixed})" for number, fixed in _CVES if matches(torch, f"<{fixed}")]
    if open_cves:
        warnings.append(
            f"PyTorch {torch.partition('+')[0]}, the one that torch-directml needs, has {' and '.join(open_cves)}: torch.load "
            "of a file can run a stranger's code, with weights_only=True too. Load model files of people you trust, or "
            "safetensors files."
        )
    return [
        *warnings,
        "DirectML has no float64, complex or bfloat16: stay with float32 or float16, and copy a tensor to the CPU before you "
        'print it (x.to("cpu")). Complex and bfloat16 end Python without a message.',
        "Give PyTorch's optimizers foreach=False (torch.optim.Adam(parameters, foreach=False)): otherwise DirectML sends their "
        "work to the CPU.",
    ]

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CUDA runs on a GPU of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...gpu import catalog
from ...gpu.catalog import NO, YES
from ..base import GB, MB, SHUTDOWN, Backend, Finding, HostFacts, Size, no_device_file, other_driver, own_support
from ..torch_devices import TorchDevices


def findings(adapter: Mapping[str, Any], host: HostFacts, _settings: Mapping[str, Any]) -> Iterator[Finding]:
    """**NVIDIA gets CUDA** where the driver is there: in WSL the Windows driver (it puts `libcuda.so` into `/usr/lib/wsl/lib`;
    nothing is installed in Linux), on native Linux NVIDIA's own driver, not `nouveau`."""
    family = catalog.family_of(adapter)
    yield own_support(family, host) if family else Finding(YES, "NVIDIA's driver brings CUDA")
    if host.behind_windows:
        if host.libcuda is False:
            why = "the NVIDIA driver on Windows has put no libcuda.so into /usr/lib/wsl/lib"
            yield Finding(NO, why, f"install NVIDIA's current driver on Windows, then {SHUTDOWN}")
    elif adapter.get("driver") != "nvidia":
        do = "install NVIDIA's driver (on Ubuntu: sudo ubuntu-drivers install), then restart the computer"
        yield other_driver(adapter, "which has no CUDA", do)
    elif host.nvidia_device is False:
        yield no_device_file(host, "/dev/nvidia0", "--gpus all")


# To fetch: 2.6 GB of wheels whose sizes the index states, and PyTorch's own, about 0.7 GB. Disk: docs/cuda.md.
BACKEND = Backend(
    "cuda",
    "cuda",
    "NVIDIA graphics",
    "CUDA",
    findings,
    catalog.NVIDIA,
    architectures=("x86_64", "aarch64"),
    size=lambda _settings: Size(3300 * MB, 10 * GB),
    torch=TorchDevices("cuda", "CUDA", "cuda", "cuda", "capability"),
)

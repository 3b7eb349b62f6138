# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether ROCm runs on a GPU of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...core.text import listed
from ...gpu import catalog
from ...gpu.catalog import NO, OPT_IN
from ..base import (
    GB,
    UBUNTU,
    Backend,
    Finding,
    HostFacts,
    no_device_file,
    on_ubuntu,
    other_driver,
    own_support,
    system_of,
)


def findings(adapter: Mapping[str, Any], host: HostFacts) -> Iterator[Finding]:
    family = catalog.family_of(adapter)
    if family is None:
        why = f"the table of AMD's GPUs does not have {adapter.get('vendor_id')}:{adapter.get('device_id')}"
        yield Finding(
            NO, why, "if AMD lists it for ROCm, tell us, or add its line to module_utils/colab_ready/gpu/catalog.py"
        )
        return
    own = own_support(family, host)
    # The card is what takes a wish of its own (backends/rocm/plan.py); a system that AMD does not name takes none.
    yield replace(own, do="rocm_experimental: true") if own.level == OPT_IN else own
    named, fits = on_ubuntu(host, family.line)
    if host.behind_windows:
        if not fits:
            kind = "Ryzen processors" if family.line == "ryzen" else "Radeon cards"
            why = f"AMD's ROCm in WSL for {kind} is made for Ubuntu {listed(named)}, this is {system_of(host)}"
            yield Finding(NO, why, UBUNTU)
        if host.windows_10:
            yield Finding(NO, "AMD supports ROCm in WSL on Windows 11 only, this is Windows 10", "update to Windows 11")
        return
    if not fits:
        yield Finding(OPT_IN, f"AMD's ROCm for it is made for Ubuntu {listed(named)}, this is {system_of(host)}")
    if adapter.get("driver") != "amdgpu":
        yield other_driver(adapter, "which ROCm cannot use", "use the kernel's amdgpu driver")
    elif host.kfd is False:
        yield no_device_file(host, "/dev/kfd", "--device /dev/kfd --device /dev/dri")


# Its torch answers to the name cuda as well. Python: the wheels of ROCm 10.0; another rocm_version has others. Disk: for one
# chip they are 1.1 GB to fetch (ROCm/TheRock RELEASES.md), the same libraries as packages take 6.2 GB (releases.py), and torch
# comes beside them. What AMD's packages take, where asked for, is rocm_host's to say.
BACKEND = Backend("rocm", "cuda", "AMD graphics", "ROCm", findings, catalog.AMD, python=(11, 14), disk_bytes=8 * GB)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether DirectML runs on a GPU of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...gpu import catalog
from ...gpu.catalog import NO, OPT_IN, YES
from ..base import CAUTION, GB, UPDATE, Backend, Finding, HostFacts

NOT_WINDOWS = "DirectML is a part of Windows, and this is not WSL"


def findings(adapter: Mapping[str, Any], host: HostFacts) -> Iterator[Finding]:
    if not host.behind_windows:
        yield Finding(NO, NOT_WINDOWS)
        return
    family = catalog.family_of(adapter)
    vendor = adapter.get("vendor_id")
    if family is not None:
        yield Finding(family.directml.level or OPT_IN, family.directml.why)
    elif vendor in (catalog.AMD, catalog.NVIDIA, catalog.INTEL, *catalog.QUALCOMM):
        yield Finding(YES, "DirectML works on every DirectX 12 GPU whose Windows driver supports WSL")
    else:
        yield Finding(OPT_IN, f"GPUs of this vendor ({vendor}) are not known to work with DirectML in WSL")
    if host.d3d12 is False:
        yield Finding(NO, "libd3d12.so, WSL's DirectX, is not in /usr/lib/wsl/lib", UPDATE)
    if host.windows_10:
        yield Finding(CAUTION, "Microsoft promises DirectML in WSL from Windows 11 on, and this is Windows 10")


# torch-directml registers as PrivateUse1 and has no name of its own. Disk: with torch's CPU build, and pip's cache; the
# default index's build with CUDA alone takes 5.1 GB (directml_torch_build: index).
BACKEND = Backend(
    "directml",
    "privateuseone",
    "any DirectX 12 graphics, in WSL",
    "DirectML",
    findings,
    tier=1,
    python=(10, 12),
    disk_bytes=2 * GB,
    needs_windows=NOT_WINDOWS,
    python_note="torch-directml's last wheels are for 3.8 to 3.12, and the other packages of the kernel begin with 3.10",
)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether PyTorch's XPU runs on a GPU of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.remedy import give
from ...core.text import listed
from ...gpu import catalog
from ...gpu.catalog import NO, OPT_IN
from ..base import (
    CAUTION,
    GB,
    MB,
    UBUNTU,
    Backend,
    Finding,
    HostFacts,
    Size,
    no_device_file,
    on_ubuntu,
    other_driver,
    own_support,
    system_of,
)
from ..torch_devices import TorchDevices

_ELSE_DIRECTML = f"if ./colab-ready ends with NOT READY: {give('colab_backend=directml')}"


def findings(adapter: Mapping[str, Any], host: HostFacts, _settings: Mapping[str, Any]) -> Iterator[Finding]:
    """**Intel gets XPU** if PyTorch lists the GPU and the Ubuntu. Intel's compute runtime, which it needs, is for
    Ubuntu 22.04, 24.04, 26.04 alone; on what is built on one of these (Linux Mint, Pop!_OS, Zorin OS) XPU comes on request."""
    family = catalog.family_of(adapter)
    unknown = Finding(OPT_IN, "the table of Intel's GPUs does not have it; if it is a new one, XPU may work")
    yield own_support(family, host) if family else unknown
    named, fits = on_ubuntu(host, family.line if family else "")
    is_known = host.distribution not in (None, "ubuntu") or host.ubuntu_release is not None
    if is_known and host.ubuntu_release not in catalog.INTELS_RUNTIME:
        why = f"Intel's compute runtime is for Ubuntu {listed(catalog.INTELS_RUNTIME)}, this is {system_of(host)}"
        yield Finding(NO, why, UBUNTU if host.behind_windows else "run colab-ready on one of these")
    elif host.is_derived:
        why = f"Intel's compute runtime is for Ubuntu {listed(catalog.INTELS_RUNTIME)}, this is {system_of(host)}"
        yield Finding(OPT_IN, why)
    elif not fits:
        yield Finding(OPT_IN, f"PyTorch lists Ubuntu {listed(named)} for XPU on it, this is {system_of(host)}")
    if host.behind_windows:
        if host.windows_10:
            yield Finding(OPT_IN, "PyTorch lists Windows 11 for XPU, this is Windows 10")
        # torch 2.13 ended on an Arc in WSL (intel/torch-xpu-ops#4045). PyTorch lists WSL from 2.14 on (pytorch/pytorch#192398),
        # which was seen to compute wrong (roles/xpu/vars). Others run 2.13 in WSL (pytorch/pytorch#194576), and the proof tells.
        yield Finding(
            CAUTION, "PyTorch 2.13 does not promise XPU in WSL, and crashed there on an Arc card", _ELSE_DIRECTML
        )
    elif adapter.get("driver") not in ("i915", "xe"):
        yield other_driver(adapter, "which XPU cannot use", "use the kernel's xe or i915 driver")
    elif host.render_node is False:
        yield no_device_file(host, "/dev/dri/renderD128", "--device /dev/dri")


# To fetch: 1.2 GB of Intel's wheels whose sizes the index states, and PyTorch's own of 1.0 GB (pytorch/pytorch#143838). Nobody
# has written down what it takes on disk; three times as much is what CUDA's takes.
BACKEND = Backend(
    "xpu",
    "xpu",
    "Intel graphics",
    "XPU",
    findings,
    catalog.INTEL,
    python_requires=">=3.10,<3.14",
    size=lambda _settings: Size(2300 * MB, 7 * GB),
    torch=TorchDevices("xpu", "XPU", "xpu", "xpu"),
)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether ROCm runs on a GPU of a host, and the release of it that is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ...core.remedy import give, pick, reset
from ...core.text import listed
from ...gpu import catalog
from ...gpu.catalog import NO, OPT_IN
from ...gpu.kind import label
from ..base import (
    GB,
    MB,
    SETTING,
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
from . import releases
from .releases import Line


def findings(adapter: Mapping[str, Any], host: HostFacts, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """**AMD gets ROCm** if AMD supports that very chip there: in WSL on Windows 11 with an Ubuntu that AMD names (on Debian, Kali
    and others it is DirectML), on native Linux with the `amdgpu` driver and `/dev/kfd`."""
    family = catalog.family_of(adapter)
    gfx = catalog.gfx_of(adapter)
    if family is None or family.vendor_id != catalog.AMD:
        why = f"the table of AMD's GPUs does not have {adapter.get('vendor_id')}:{adapter.get('device_id')}"
        yield Finding(
            NO, why, "if AMD lists it for ROCm, tell us, or add its line to module_utils/colab_ready/gpu/catalog.py"
        )
        return
    own = own_support(family, host)
    # The card is what takes an option of its own; a system that AMD does not name takes none.
    on_request = Finding(OPT_IN, own.why, "rocm_experimental=true", settings["experimental"])
    yield on_request if own.level == OPT_IN else own
    yield from _of_wsl(family, host, settings) if host.behind_windows else _of_linux(adapter, family, host)
    if gfx is not None:
        yield from _of_settings(adapter, gfx, host, settings)


def _of_wsl(family: catalog.Family, host: HostFacts, settings: Mapping[str, Any]) -> Iterator[Finding]:
    named = catalog.UBUNTU.get(family.line, ((), ()))[0]
    kind = "Ryzen processors" if family.line == "ryzen" else "Radeon cards"
    default, line = _line({"version": ""}), _line(settings)
    if not _has(default, host, named):
        wanted = listed(_common(default, named))
        yield Finding(
            NO, f"AMD's ROCm in WSL for {kind} is made for Ubuntu {wanted}, this is {system_of(host)}", UBUNTU
        )
    elif not _has(line, host, named):
        wanted = listed(_common(line, named))
        why = f"ROCm {line.version} in WSL for {kind} is made for Ubuntu {wanted}, this is {system_of(host)}"
        yield Finding(SETTING, why, f"{reset('rocm_version')}; or {UBUNTU}")
    elif host.is_derived:
        yield Finding(OPT_IN, f"AMD's ROCm in WSL is made for Ubuntu {listed(named)}, this is {system_of(host)}")
    if host.windows_10:
        # ROCm/librocdxg#22: what the bridge asks the driver for came with Windows 11.
        yield Finding(NO, "AMD supports ROCm in WSL on Windows 11 only, this is Windows 10", "update to Windows 11")


def _common(line: Line, named: tuple[str, ...]) -> list[str]:
    return [release for release in named if release in line.releases] or list(line.releases)


def _has(line: Line, host: HostFacts, named: tuple[str, ...]) -> bool:
    return not host.distribution or host.ubuntu_release in _common(line, named)


def _of_linux(adapter: Mapping[str, Any], family: catalog.Family, host: HostFacts) -> Iterator[Finding]:
    named, fits = on_ubuntu(host, family.line)
    if not fits:
        yield Finding(OPT_IN, f"AMD's ROCm for it is made for Ubuntu {listed(named)}, this is {system_of(host)}")
    if adapter.get("driver") != "amdgpu":
        yield other_driver(adapter, "which ROCm cannot use", "use the kernel's amdgpu driver")
    elif host.kfd is False:
        yield no_device_file(host, "/dev/kfd", "--device /dev/kfd --device /dev/dri")


# --- what was asked for -----------------------------------------------------------------------------------------------


def _line(settings: Mapping[str, Any]) -> Line:
    """The release that is asked for; the default where that is none to be had."""
    line = releases.line_of(settings["version"] or releases.DEFAULT)
    default = releases.line_of(releases.DEFAULT)
    assert default is not None
    return line if line is not None and line.offered else default


def requires(settings: Mapping[str, Any]) -> str:
    return releases.python_requires(_line(settings))


def size(settings: Mapping[str, Any]) -> Size:
    """What the wheels take for one chip, and AMD's packages where they are asked for."""
    line = _line(settings)
    full = settings["system_packages"] or not line.light
    more = (line.download_bytes, line.disk_bytes) if full else (0, 0)
    return Size(1200 * MB + more[0], 8 * GB + more[1])


def _of_settings(
    adapter: Mapping[str, Any], gfx: str, host: HostFacts, settings: Mapping[str, Any]
) -> Iterator[Finding]:
    wsl = host.behind_windows
    there = [one.version for one in releases.LINES if one.offered and (wsl or one.light)]
    other = pick("rocm_version=VERSION", f"one of {listed(there)}") + f", which takes {releases.DEFAULT}"
    asked = releases.line_of(settings["version"] or releases.DEFAULT)
    if asked is None:
        yield Finding(SETTING, f"ROCm {settings['version']} is not in the table of this version", other)
        return
    if not asked.offered:
        yield Finding(SETTING, f"ROCm {asked.version} {asked.why_not.format(releases.DEFAULT)}", other)
        return
    if not wsl and not asked.light:
        why = f"ROCm {asked.version} is offered here for WSL alone; without WSL only the wheels are installed"
        yield Finding(SETTING, why, other)
        return
    if releases.target_of(gfx, asked)[0] not in asked.targets:
        others = [
            one.version for one in releases.LINES if one.offered and releases.target_of(gfx, one)[0] in one.targets
        ]
        level = SETTING if releases.DEFAULT in others else NO
        do = give(f"rocm_version={others[0]}") if others else ""
        yield Finding(level, f"ROCm {asked.version} has nothing for {label(adapter)}", do)
    full = settings["system_packages"] or not asked.light
    if full and not (wsl and host.distribution) and host.ubuntu_release not in asked.releases:
        why = f"AMD has packages of ROCm {asked.version} for Ubuntu {listed(asked.releases)}, this is {system_of(host)}"
        do = (
            give("rocm_system_packages=false") + ", which needs none of them"
            if asked.light
            else "run colab-ready on one of these"
        )
        yield Finding(SETTING, why, do)
    if settings["torch"] and settings["torch"] not in [one.version for one in asked.torch]:
        why = f"there is no PyTorch {settings['torch']} for ROCm {asked.version} in the table"
        have = listed([one.version for one in asked.torch])
        yield Finding(SETTING, why, pick("rocm_torch=VERSION", f"one of {have}"))
    if wsl:
        yield from _of_bridge(asked, settings)


def _of_bridge(line: Line, settings: Mapping[str, Any]) -> Iterator[Finding]:
    bridge = settings["bridge_version"] or line.bridges[0]
    if bridge not in line.bridges:
        why = f"AMD's bridge {bridge} is not made for ROCm {line.version}, and the wrong one corrupts memory"
        yield Finding(SETTING, why, f"{reset('rocm_bridge_version')}, which takes {listed(line.bridges)}")
        return
    asked = [(releases.BRIDGES[bridge], "bridge_sha256")]
    asked += [(releases.AMD_SMI[bridge], "amd_smi_sha256")] if settings["amd_smi"] else []
    for asset, name in asked:
        given = settings[name]
        if given and not re.fullmatch(r"[0-9a-f]{64}", given.lower(), re.ASCII):
            do = pick(f"rocm_{name}=CHECKSUM", "64 hexadecimal digits")
            yield Finding(SETTING, f"rocm_{name} is no SHA-256 checksum", do)
        elif not given and not asset.sha256:
            do = f"{give(f'rocm_{name}=CHECKSUM')} with the one that GitHub shows beside the file; or {reset('rocm_version')}"
            yield Finding(
                SETTING, f"the checksum of {asset.file}, which root installs, is not known to this version", do
            )


# Its torch answers to the name cuda as well.
TORCH_DEVICES = TorchDevices("rocm", "ROCm", "cuda", "hip", "gfx")
# Python: the wheels of ROCm 10.0; another rocm_version has others. Disk: for one
# chip they are 1.1 GB to fetch (ROCm/TheRock RELEASES.md), the same libraries as packages take 6.2 GB (releases.py), and torch
# comes beside them. What AMD's packages take, where asked for, is releases.py's to say.
BACKEND = Backend(
    "rocm",
    "cuda",
    "AMD graphics",
    "ROCm",
    findings,
    catalog.AMD,
    python_requires=requires({"version": ""}),
    requires=requires,
    settings={
        "version": "",
        "torch": "",
        "system_packages": False,
        "amd_smi": False,
        "experimental": False,
        "bridge_version": "",
        "bridge_sha256": "",
        "amd_smi_sha256": "",
    },
    size=size,
    torch=TORCH_DEVICES,
)

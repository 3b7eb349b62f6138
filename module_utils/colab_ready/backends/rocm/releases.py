# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of ROCm and what each wants of a WSL: data. backends/rocm/plan.py chooses one.

Which card may have ROCm, and on which Ubuntu, is in gpu/catalog.py; here is what a release itself has. Where it comes from:
  10.0.0, 7.14.0   ROCm/legacy-rocm-build docs/install/include/{100-prerequisites,200-install}.rst;
                   https://rocm.docs.amd.com/en/latest/install/rocm.html; PyTorch: AMD's install page, ROCm/TheRock RELEASES.md
  7.2.x            https://rocm.docs.amd.com/projects/radeon-ryzen/en/docs-7.2/ (howto_wsl), file listing of
                   https://repo.radeon.com/rocm/manylinux/; the tags of the wheels decide about Python
  bridge           ROCm/librocdxg README (which with which), its releases; checksums: ROCm/rocm-cli, which is AMD's too,
                   and for 1.2.1 and 1.2.2 others that pin the same
  which pairs      HsaNodeProperties is 376 bytes in 7.2 and 396 later, and the call carries no size: a bridge of another
                   time corrupts memory (rocprofiler-sdk, "Using rocprofv3 on WSL2"). So only pairs that AMD's pages name,
                   and for 7.2 the one that its users run
  refused          ROCm/legacy-rocm-build#3561, #3563, #5361, #5535, #3051
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...gpu import catalog

DEFAULT = "10.0.0"


# --- the bridge -----------------------------------------------------------------------------------------------------


class Asset(NamedTuple):
    """A package from the bridge's release page. `sha256` is empty where nobody that we know of has written it down."""

    file: str
    sha256: str


BRIDGE_ADDRESS = "https://github.com/ROCm/librocdxg/releases/download/v{version}/"
# The library that ROCm's runtime loads in WSL in place of the kernel driver. dids.conf comes with it since 1.2.1.
BRIDGES: Mapping[str, Asset] = {
    "1.2.2": Asset("rocdxg-roct_1.2.2_amd64.deb", "28ded1254811192ebace1f76c0227580184af7b27ab2475fb9728295a702d541"),
    "1.2.1": Asset("rocdxg-roct_1.2.1_amd64.deb", "7889eef45a1132ed2dde88d8ea1356bf791ec9c05802a18940bc81b970e850e0"),
}
# amd-smi for WSL; the ordinary one, and rocm-smi, do not work there.
AMD_SMI: Mapping[str, Asset] = {
    "1.2.2": Asset(
        "rocdxg-amd-smi-lib_1.2.2_amd64.deb", "f9b601457ea513a223c7dd2cc281fb0aef1d11f21f38ce6108dc76e665ad6cc5"
    ),
    "1.2.1": Asset("rocdxg-amd-smi-lib_1.2.1_amd64.deb", ""),
}
AMD_SMI_PREREQUISITES = ("python3-pip", "python3-wheel", "python3-argcomplete")
# Where it installs its library; both must be in the loader's cache (ROCm/librocdxg#46).
BRIDGE_FOLDER = "/opt/rocm/lib"


# --- packages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repository:
    """For apt. {release} stands for 2404, {codename} for noble. File, keyring and form are those of AMD's page: who has
    followed it before has the same, and apt takes no source twice with two keys."""

    path: str
    address: str
    suite: str
    key: str
    keyring: str
    deb822: bool = False
    # Of the key as it is served, and of the key itself; empty where not known.
    key_sha256: str = ""
    key_fingerprint: str = ""
    # Its packages come before those of Ubuntu with the same names.
    pin_path: str = ""
    pin: str = ""


class Torch(NamedTuple):
    """One set of wheels, by torch's public version. {gfx} stands for the card's target."""

    version: str
    requirements: Sequence[str]


@dataclass(frozen=True)
class Line:
    """A release. Of one that is not offered only `version` and `why_not` are there."""

    version: str
    why_not: str = ""
    # What AMD's page names; never a condition: nobody has published which driver version is which Adrenalin.
    windows_driver: str = ""
    bridges: Sequence[str] = ()
    # In the service and in login shells, before anything looks for a GPU (unslothai/unsloth#9729).
    environment: Mapping[str, str] = field(default_factory=dict)
    prerequisites: Sequence[str] = ()
    repository: Repository | None = None
    packages: Sequence[str] = ()
    # Whether torch works without those packages, as its wheels bring the runtime.
    light: bool = False
    # torch's own copy of the runtime does not know WSL; it has to go, so that the system's is found.
    drop_bundled_hsa: bool = False
    releases: Sequence[str] = ()
    # Minor versions of Python 3 with wheels.
    pythons: Sequence[int] = ()
    targets: Sequence[str] = ()
    # Whether torch's source is an index or a page of files (find-links).
    wheels: str = ""
    wheels_are_index: bool = True
    torch: Sequence[Torch] = ()
    numpy: str = ""
    download_bytes: int = 0
    disk_bytes: int = 0

    @property
    def offered(self) -> bool:
        return not self.why_not


# AMD's ID and codename of the releases of Ubuntu that it has packages for.
CODENAMES: Mapping[str, str] = {"22.04": "jammy", "24.04": "noble", "26.04": "resolute"}

_KEYRING = "/etc/apt/keyrings/amdrocm.gpg"
_PREREQUISITES = ("libatomic1", "libquadmath0")
# fmt: off
_TARGETS = (
    "gfx1201", "gfx1200", "gfx1100", "gfx1101", "gfx1102", "gfx1103", "gfx1030", "gfx1150", "gfx1151", "gfx1152",
    "gfx1153", "gfx950", "gfx942", "gfx90a", "gfx908",
)
# fmt: on
_TARGETS_7_2 = ("gfx1201", "gfx1200", "gfx1100", "gfx1101", "gfx1150", "gfx1151")


def _core_sdk(rocm: str, torch: str, vision: str, audio: str) -> Torch:
    return Torch(
        torch,
        (
            f"torch[device-{{gfx}}]=={torch}+rocm{rocm}",
            f"torchvision[device-{{gfx}}]=={vision}+rocm{rocm}",
            f"torchaudio=={audio}+rocm{rocm}",
        ),
    )


def _manylinux(torch: str, vision: str, audio: str, triton: str) -> Torch:
    return Torch(
        torch.partition("+")[0],
        (f"torch=={torch}", f"torchvision=={vision}", f"torchaudio=={audio}", f"triton=={triton}"),
    )


def _classic(version: str) -> Repository:
    return Repository(
        "/etc/apt/sources.list.d/rocm.list",
        f"https://repo.radeon.com/rocm/apt/{version}",
        "{codename}",
        "https://repo.radeon.com/rocm/rocm.gpg.key",
        "/etc/apt/keyrings/rocm.gpg",
        key_sha256="2de99e2354646a90d9903e2a669fc4e36b02c1bbff7075c481e12d7edab2c88b",
        key_fingerprint="CA8BB4727A47B4D09B4EE8969386B48A1A693C5C",
        pin_path="/etc/apt/preferences.d/rocm-pin-600",
        pin="Package: *\nPin: release o=repo.radeon.com\nPin-Priority: 600\n",
    )


# Detection of WSL is off before 7.13. The profiler's registration ends the process in WSL (ROCm/rocm-systems#2981).
_ENVIRONMENT_7_2 = {"HSA_ENABLE_DXG_DETECTION": "1", "ROCPROFILER_REGISTER_ENABLED": "0"}
_PACKAGES_7_2 = ("rocm-libs", "rocminfo", "hip-runtime-amd")
GB = 1000**3

NO_BRIDGE = "has no bridge to WSL at all"
_OLD_BRIDGE = (
    "uses the bridge of before 7.2.1, which works with its own Windows driver only; every card that it knew is in {}"
)
_PREVIEW = "was a preview of 7.14"
_SAME = "differs from 7.2.4 only in age"

# What the releases of the Core SDK have in common, and those of before it.
_CORE_SDK = Line(
    "",
    prerequisites=_PREREQUISITES,
    light=True,
    releases=("22.04", "24.04", "26.04"),
    pythons=(11, 12, 13, 14),
    targets=_TARGETS,
    download_bytes=980 * 1000**2,
    disk_bytes=int(6.2 * GB),
)
_7_2 = Line(
    "",
    windows_driver="Adrenalin 26.2.2",
    bridges=("1.2.2",),
    environment=_ENVIRONMENT_7_2,
    prerequisites=_PREREQUISITES,
    packages=_PACKAGES_7_2,
    drop_bundled_hsa=True,
    targets=_TARGETS_7_2,
    wheels_are_index=False,
    numpy="==1.26.4",
    download_bytes=5 * GB,
    disk_bytes=23 * GB,
)

LINES: Sequence[Line] = (
    replace(
        _CORE_SDK,
        version="10.0.0",
        windows_driver="Adrenalin 26.8.1",
        bridges=("1.2.2",),
        repository=Repository(
            "/etc/apt/sources.list.d/amdrocm-stable.sources",
            "https://stable.repo.amd.com/rocm/core/packages/ubuntu{release}/",
            "stable",
            "https://stable.repo.amd.com/rocm/gpg/packages.gpg",
            _KEYRING,
            deb822=True,
        ),
        packages=("amdrocm10.0-{gfx}",),
        wheels="https://stable.repo.amd.com/rocm/whl-next/",
        torch=(
            _core_sdk("10.0.0", "2.13.0", "0.28.0", "2.11.0.2"),
            _core_sdk("10.0.0", "2.12.0", "0.27.0", "2.11.0"),
            _core_sdk("10.0.0", "2.11.0", "0.26.0", "2.11.0"),
        ),
    ),
    replace(
        _CORE_SDK,
        version="7.14.0",
        windows_driver="Adrenalin 26.6.4",
        bridges=("1.2.1",),
        repository=Repository(
            "/etc/apt/sources.list.d/rocm.list",
            "https://repo.amd.com/rocm/packages-multi-arch/ubuntu{release}",
            "stable",
            "https://repo.amd.com/rocm/packages-multi-arch/gpg/rocm.gpg",
            _KEYRING,
        ),
        packages=("amdrocm7.14-{gfx}",),
        wheels="https://repo.amd.com/rocm/whl-multi-arch/",
        torch=(_core_sdk("7.14.0", "2.11.0", "0.26.0", "2.11.0"),),
    ),
    replace(
        _7_2,
        version="7.2.4",
        repository=_classic("7.2.4"),
        releases=("24.04",),
        # There are wheels for 3.13 as well, but none of numpy 1.26.4 for it.
        pythons=(11, 12),
        wheels="https://repo.radeon.com/rocm/manylinux/rocm-rel-7.2.4/",
        torch=(
            _manylinux(
                "2.10.0+rocm7.2.4.lw.git3d3aa833",
                "0.25.0+rocm7.2.4.git82df5f59",
                "2.10.0+rocm7.2.4.git5047768f",
                "3.6.0+rocm7.2.4.git4ed88892",
            ),
            _manylinux(
                "2.9.1+rocm7.2.4.lw.git39497456",
                "0.24.0+rocm7.2.4.gitb919bd0c",
                "2.9.0+rocm7.2.4.gite3c6ee2b",
                "3.5.1+rocm7.2.4.gita272dfa8",
            ),
        ),
    ),
    Line("7.2.3", _SAME),
    Line("7.2.2", _SAME),
    replace(
        _7_2,
        version="7.2.1",
        repository=_classic("7.2.1"),
        releases=("22.04", "24.04"),
        pythons=(10, 12),
        wheels="https://repo.radeon.com/rocm/manylinux/rocm-rel-7.2.1/",
        torch=(
            _manylinux(
                "2.9.1+rocm7.2.1.lw.gitff65f5bc",
                "0.24.0+rocm7.2.1.gitb919bd0c",
                "2.9.0+rocm7.2.1.gite3c6ee2b",
                "3.5.1+rocm7.2.1.gita272dfa8",
            ),
        ),
    ),
    Line("7.2.0", _OLD_BRIDGE),
    Line("7.1.1", "is not known to work in WSL: nobody has said whether its bridge was published"),
    Line("7.1.0", "is not known to work in WSL: nobody has said whether its bridge was published"),
    Line("6.4.4", _OLD_BRIDGE),
    Line("6.4.2.1", _OLD_BRIDGE),
    Line("6.4.1", _OLD_BRIDGE),
    Line("6.4.0", _OLD_BRIDGE),
    Line("6.3.4", _OLD_BRIDGE),
    Line("6.3.0", _OLD_BRIDGE),
    Line("6.2.3", _OLD_BRIDGE),
    Line("6.2.0", NO_BRIDGE),
    Line("6.1.3", _OLD_BRIDGE),
)


def line_of(version: str) -> Line | None:
    """The line of a version as people write it: 7.2 is 7.2.0, 10 is 10.0.0. None: a version that is not known."""
    numbers = numbers_of(version)
    wanted = (numbers + (0, 0, 0))[: max(3, len(numbers))] if numbers else ()
    found = next((line for line in LINES if numbers_of(line.version) == wanted), None)
    if found is None and wanted[:2] == (7, 0):
        return Line(version, NO_BRIDGE)
    if found is None and (7, 9) <= wanted[:2] <= (7, 13):
        return Line(version, _PREVIEW)
    if found is None and wanted and wanted < (6, 1, 3):
        # ROCm/legacy-rocm-build#3051
        return Line(version, NO_BRIDGE)
    return found


def target_of(gfx: str, line: Line) -> tuple[str, str]:
    """What the wheels for a chip are made for, and the override that it takes."""
    borrowed = catalog.BORROWED_TARGETS.get(gfx)
    return borrowed if borrowed and gfx not in line.targets else (gfx, "")


def python_requires(line: Line) -> str:
    """The Pythons with wheels as a specifier; 3.10 and 3.12 alone are >=3.10,<3.13,!=3.11.*"""
    first, last = min(line.pythons), max(line.pythons)
    without = [f"!=3.{minor}.*" for minor in range(first, last) if minor not in line.pythons]
    return ",".join([f">=3.{first}", f"<3.{last + 1}", *without])


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers of a version; empty where it is none."""
    parts = version.strip().split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() and part.isascii() for part in parts) else ()


def has_no_bridge(version: str) -> bool:
    line = line_of(version)
    return line is not None and line.why_not == NO_BRIDGE


def needs_detection(version: str) -> bool:
    """Whether this ROCm looks for WSL's GPU only with HSA_ENABLE_DXG_DETECTION=1."""
    return (7, 2, 1) <= numbers_of(version) < (7, 13)


def offered() -> list[str]:
    return [line.version for line in LINES if line.offered]

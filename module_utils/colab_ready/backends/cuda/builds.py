# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of PyTorch's CUDA builds fits a driver and a card, and whether WSL's driver is hidden by one for Linux.

Data and pure functions. Where it comes from:
  builds of a release     pytorch/pytorch RELEASE.md, Release Compatibility Matrix
  code in a build         the same file, PyTorch CUDA Support Matrix; pytorch/pytorch#157517
  older driver, same CUDA https://docs.nvidia.com/deploy/cuda-compatibility/ (minor version compatibility)
  drivers in WSL          https://docs.nvidia.com/cuda/wsl-user-guide/ (only Windows' driver, and packages without one)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ...core.problem import Problem, Refused
from ...core.remedy import give, pick, reset
from ...system import ldconfig as loader_cache

INDEX = "https://download.pytorch.org/whl/"


class Build(NamedTuple):
    """`first` and `last` are the compute capabilities that it has code for."""

    tag: str
    cuda: tuple[int, int]
    first: tuple[int, int]
    last: tuple[int, int]


# Newest first. Ada (8.9) runs 8.6's code; the newest Blackwell (12.1) is made from 12.0's.
BUILDS: Sequence[Build] = (
    Build("cu132", (13, 2), (7, 5), (12, 99)),
    Build("cu130", (13, 0), (7, 5), (12, 99)),
    Build("cu128", (12, 8), (7, 0), (12, 99)),
    Build("cu126", (12, 6), (5, 0), (9, 0)),
)


class Torch(NamedTuple):
    """A release, what goes with it, and the builds that there are of it."""

    version: str
    torchvision: str
    builds: Sequence[str]


# Newest first. cu132 is called experimental for 2.13 and 2.12, so it is not taken there.
RELEASES: Sequence[Torch] = (
    Torch("2.14.0", "0.29.0", ("cu132", "cu130", "cu126")),
    Torch("2.13.0", "0.28.0", ("cu130", "cu126")),
    Torch("2.12.1", "0.27.1", ("cu130", "cu126")),
    Torch("2.11.0", "0.26.0", ("cu130", "cu128", "cu126")),
)

UPDATE = "install NVIDIA's current driver on Windows (without WSL: on this host)"


def parse_ceiling(text: str) -> tuple[int, int] | None:
    """The newest CUDA that the driver runs, from nvidia-smi's heading. Since driver 610 it says "CUDA UMD Version"."""
    found = re.search(r"CUDA(?: UMD)? Version: *([0-9]{1,3})\.([0-9]{1,3})", text)
    return (int(found[1]), int(found[2])) if found else None


def parse_driver(text: str) -> str:
    """Return the driver's version by nvidia-smi's heading, or nothing. Since driver 610 it says "KMD Version"."""
    found = re.search(r"(?:Driver|KMD) Version: *([0-9]+(?:\.[0-9]+)+)", text)
    return found[1] if found else ""


def ceiling_of(number: int) -> tuple[int, int]:
    """The same from cuDriverGetVersion's number: 13020 is 13.2."""
    return number // 1000, number % 1000 // 10


def parse_capability(text: str) -> tuple[int, int] | None:
    """From `nvidia-smi --query-gpu=compute_cap --format=csv,noheader`, one GPU per line: the first that can be read."""
    found = re.search(r"^ *([0-9]{1,2})\.([0-9]) *$", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else None


def choose_build(
    ceiling: tuple[int, int] | None,
    capability: tuple[int, int] | None = None,
    torch: str = "",
    requested: str = "",
    index: str = INDEX,
) -> dict[str, Any]:
    """The newest build that the driver runs and that has code for the card. Raises Refused.

    {tag, torch, torchvision, index, requirements, why, cautions}. What is not known is None and forbids nothing, but
    without a ceiling the oldest build is taken, as every driver that is in use runs it.
    """
    release = next((one for one in RELEASES if one.version == torch), None) if torch else RELEASES[0]
    if release is None:
        known = " or ".join(one.version for one in RELEASES)
        raise _refusal(f"PyTorch {torch} is not in the table for CUDA", known, pick("cuda_torch=VERSION"))
    builds = [build for build in BUILDS if build.tag in release.builds]
    if requested and requested not in release.builds:
        what = f"PyTorch {release.version} has no build {requested}"
        raise _refusal(what, " or ".join(release.builds), pick("cuda_build=BUILD"))
    with_code = [build for build in builds if capability is None or build.first <= capability <= build.last]
    if not with_code:
        what = f"No CUDA build of PyTorch {release.version} has code for a card of compute capability {_dotted(capability)}"
        least = f"{_dotted(min(build.first for build in builds))} or newer"
        raise _refusal(what, least, f"{give('colab_backend=cpu')}, or, in WSL, {give('colab_backend=directml')}")
    fitting = [build for build in with_code if requested in ("", build.tag)]
    cautions: list[str] = []
    if ceiling is None:
        taken = fitting[-1] if fitting else None
        why = "the newest CUDA that the driver runs is not known, so the oldest build is taken"
    else:
        taken = next((build for build in fitting if build.cuda <= ceiling), None)
        why = f"the driver runs CUDA up to {_dotted(ceiling)}"
        if taken is None:
            # NVIDIA: within a major version an older driver runs it, but for what is new in the minor one.
            taken = next((build for build in reversed(fitting) if build.cuda[0] == ceiling[0]), None)
            if taken:
                cautions.append(
                    f"The driver is made for CUDA {_dotted(ceiling)}, the build for {_dotted(taken.cuda)}; NVIDIA promises "
                    f"that it runs, but for what is new. Better: {UPDATE}."
                )
    if taken is None:
        raise _no_fit(release, ceiling, capability, requested, with_code)
    return {
        "tag": taken.tag,
        "torch": release.version,
        "torchvision": release.torchvision,
        "index": f"{index.rstrip('/')}/{taken.tag}",
        "requirements": [f"torch=={release.version}+{taken.tag}", f"torchvision=={release.torchvision}+{taken.tag}"],
        "why": why + (f", and the card is of compute capability {_dotted(capability)}" if capability else ""),
        "cautions": cautions,
    }


def _dotted(version: tuple[int, int] | None) -> str:
    return "?" if version is None else f"{version[0]}.{version[1]}"


def _refusal(what: str, expected: str, do: str) -> Refused:
    return Refused(Problem("cuda_build", what, expected, do))


def _no_fit(
    release: Torch,
    ceiling: tuple[int, int] | None,
    capability: tuple[int, int] | None,
    requested: str,
    builds: Sequence[Build],
) -> Refused:
    if requested and requested not in [build.tag for build in builds]:
        what = f"The build {requested} has no code for a card of compute capability {_dotted(capability)}"
        return _refusal(what, " or ".join(build.tag for build in builds), reset("cuda_build"))
    least = _dotted(min(build.cuda for build in builds if requested in ("", build.tag)))
    needs = f"PyTorch {release.version}{f' {requested}' if requested else ''} needs {least} for this card"
    what = f"NVIDIA's driver runs CUDA up to {_dotted(ceiling)}, and {needs}"
    return _refusal(what, f"a driver for CUDA {least} or newer", UPDATE)


# --- a driver for Linux, in WSL -------------------------------------------------------------------------------------

# Packages that bring a libcuda.so of their own, or a kernel module. cuda-toolkit-12-8 and the libraries bring neither.
DRIVER_PACKAGES = re.compile(
    r"(lib)?nvidia-(driver|dkms|kernel|utils|compute|open|headless|firmware)(-\S*)?|libcuda1(-\S*)?|cuda(-\d+-\d+)?"
    r"|cuda-drivers(-\S*)?|cuda-compat(-\S*)?|libnvidia-ml1|xserver-xorg-video-nvidia(-\S*)?"
)
WSL_FOLDER = "/usr/lib/wsl/"


def linux_driver_in_wsl(packages: Iterable[str], ldconfig: str = "", modules: str = "") -> Problem | None:
    """A driver that hides Windows' own: by installed packages, by the loader's cache, by /proc/modules. None: all well."""
    names = sorted({name.partition(":")[0] for name in packages})
    found = [name for name in names if DRIVER_PACKAGES.fullmatch(name)]
    library = loader_cache.first(ldconfig, "libcuda.so.1")
    if found:
        what = f"NVIDIA's driver for Linux is installed in this WSL ({', '.join(found)})"
        do = f"sudo apt-get remove {' '.join(found)}; then in PowerShell: wsl --shutdown; then in the WSL window: ./colab-ready"
    elif library and not library.startswith(WSL_FOLDER):
        what = f"the loader takes CUDA from {library} instead of Windows' driver"
        do = f"remove what installed it (dpkg -S {library}), or its folder from /etc/ld.so.conf.d; then run sudo ldconfig"
    elif re.search(r"^nvidia ", modules, re.MULTILINE):
        what, do = "a kernel module of NVIDIA is loaded in this WSL", "remove it from the kernel that you built for WSL"
    else:
        return None
    return Problem("cuda_linux_driver", what, "none: CUDA in WSL comes with the driver on Windows", do)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of a release of torch-directml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel import Kernel, optional, pin, torchaudio_of
from .releases import TORCH_BUILDS, all_releases

# https://pytorch.org/get-started/locally/
INDEX = "https://download.pytorch.org/whl/cpu"


def kernel(settings: Mapping[str, Any], requires: str, index: str, allow_default: bool) -> Kernel:
    build, release = settings["torch_build"], all_releases(settings)[settings["release"]]
    torch = [name for name in ("torch", "torchvision") if release.get(name)]
    hashes = [f"--hash=sha256:{one}" for one in release.get("hashes") or ()]
    own = f"{release['package']}=={release['version']}"
    # torch before torchvision before torch-directml: a build that ends early leaves the smaller hole.
    releases = {name: release[name] for name in torch} | {"torchaudio": torchaudio_of(release["torch"])}
    pinned: list[dict[str, Any]] = [
        pin(name, version, "cpu", index or INDEX, "python_env_torch_index", allow_default)
        if build == "cpu"
        else {"requirement": f"{name}=={version}"}
        for name, version in releases.items()
    ]
    audio = optional(pinned.pop())
    # The package index's torch and torchvision are in the lock.
    pinned = [*(pinned if build == "cpu" else []), {"requirement": " ".join([own, *hashes])}, audio]
    constraints = [f"{name}=={release[name]}" for name in torch if build != "cpu"]
    constraints += [f"numpy{release['numpy']}"] if release.get("numpy") else []
    return Kernel("Python 3 (DirectML)", release[TORCH_BUILDS[build]], pinned, constraints, requires)

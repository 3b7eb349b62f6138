# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host needs so that torch reaches an Intel GPU as xpu: Intel's compute runtime, and no kernel driver.

Data and one pure function. The wheels carry SYCL, not the runtime below it: Level Zero's loader (libze1), Intel's part of
it (libze-intel-gpu1), and OpenCL, which some use. Which cards can have it is in gpu/catalog.py. Where it comes from:
  packages      https://dgpu-docs.intel.com/driver/client/overview.html; vladmandic/sdnext's wiki on Intel Arc (in WSL)
  Ubuntu 26.04  has them itself, new enough, in universe; 24.04's own (23.43) know no card after Arc A
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.text import listed
from ...gpu import catalog
from ...gpu.catalog import OPT_IN
from ...gpu.kind import label

PACKAGES = ("libze1", "libze-intel-gpu1", "intel-opencl-icd")
ADDRESS = "https://repositories.intel.com/gpu/ubuntu"
KEY = "https://repositories.intel.com/gpu/intel-graphics.key"
KEYRING = "/etc/apt/keyrings/intel-graphics.gpg"
SOURCES = "/etc/apt/sources.list.d/intel-gpu.sources"


class Release(NamedTuple):
    """A release of Ubuntu; with no component the packages are its own."""

    codename: str
    component: str = ""


RELEASES: Mapping[str, Release] = {
    "22.04": Release("jammy", "unified"),
    "24.04": Release("noble", "unified"),
    "26.04": Release("resolute"),
}


def choose_packages(
    adapter: Mapping[str, Any], version: str | None, in_wsl: bool, address: str = ADDRESS, key: str = KEY
) -> dict[str, Any]:
    """{packages, repository or None, groups, cautions} for a card and a release of Ubuntu that judge.py found to fit."""
    family = catalog.family_of(adapter)
    support = catalog.Support(OPT_IN, "the table of Intel's GPUs does not have it")
    if family is not None:
        support = family.wsl if in_wsl else family.linux
    release = RELEASES.get(version or "", Release(""))
    cautions = [] if support.level == catalog.YES else [f"{label(adapter)}: {support.why}"]
    named = catalog.UBUNTU.get(family.line, ((), ()))[0 if in_wsl else 1] if family else ()
    if named and version not in named:
        cautions.append(f"PyTorch lists Ubuntu {listed(named)} for XPU on {label(adapter)}, this is {version}")
    repository = None
    if release.component:
        repository = {
            "path": SOURCES,
            "key": key,
            "keyring": KEYRING,
            "text": "Types: deb\n"
            f"URIs: {address}\n"
            f"Suites: {release.codename}\n"
            f"Components: {release.component}\n"
            "Architectures: amd64\n"
            f"Signed-By: {KEYRING}\n",
        }
    return {
        "packages": list(PACKAGES),
        "repository": repository,
        # /dev/dxg is open to everybody; natively the render node is the group's.
        "groups": [] if in_wsl else ["render", "video"],
        "cautions": cautions,
    }

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether DirectML runs on a GPU of a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.remedy import give
from ...core.text import listed
from ...gpu import catalog
from ...gpu.catalog import NO, OPT_IN, YES
from ...python.lock import LockError, split_specifier
from ..base import CAUTION, MB, SETTING, UPDATE, Backend, Finding, HostFacts, Size
from .releases import DEFAULT, RELEASE_KEYS, TORCH_BUILDS, all_releases

NOT_WINDOWS = "DirectML is a part of Windows, and this is not WSL"


def findings(adapter: Mapping[str, Any], host: HostFacts, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """**Every other GPU in WSL gets DirectML** if it is new enough for it. DirectML needs Windows: native Linux has none."""
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
    yield from _of_release(settings)


def _of_release(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the release that is asked for is one, and complete enough to be installed."""
    releases, name = all_releases(settings), settings["release"]
    if name not in releases:
        do = f"{give('directml_release=RELEASE')} with one of {listed(sorted(releases))}, or describe yours in directml_releases"
        yield Finding(SETTING, f"directml_release is {name!r}, which is no known release of torch-directml", do)
        return
    release = releases[name]
    missing = [key for key in RELEASE_KEYS if not (isinstance(release, Mapping) and release.get(key))]
    lock = TORCH_BUILDS.get(settings["torch_build"], "")
    if missing:
        why = f"the release {name} of directml_releases lacks {listed(missing)}"
        yield Finding(SETTING, why, "complete it, or take another release")
    elif not release.get(lock):
        other = next((build for build, key in TORCH_BUILDS.items() if release.get(key)), None)
        do = give(f"directml_torch_build={other}") if other else f"give it a {lock} in directml_releases"
        build = settings["torch_build"]
        why = f"the release {name} has no {lock or 'lock'}, so it cannot be had with directml_torch_build={build}"
        yield Finding(SETTING, why, do)
    elif not is_range(str(release["python"])):
        yield Finding(
            SETTING,
            f"the release {name} has a wrong python: {release['python']!r}",
            "correct it in directml_releases, to a range such as >=3.10,<3.13",
        )


def requires(settings: Mapping[str, Any]) -> str:
    release = all_releases(settings).get(settings["release"])
    wanted = str((release or {}).get("python") if isinstance(release, Mapping) else "")
    return wanted if is_range(wanted) else BACKEND.python_requires


def is_range(text: str) -> bool:
    """Whether it says which Pythons will do."""
    try:
        return bool(split_specifier(text))
    except LockError:
        return False


# torch-directml registers as PrivateUse1 and has no name of its own. What the default index's build with CUDA takes
# (directml_torch_build: index) was measured; see bench/README.md.
BACKEND = Backend(
    "directml",
    "privateuseone",
    "any DirectX 12 graphics, in WSL",
    "DirectML",
    findings,
    tier=1,
    python_requires=">=3.10,<3.13",
    requires=requires,
    settings={"release": DEFAULT, "releases": {}, "torch_build": "cpu"},
    size=lambda settings: (
        Size(2900 * MB, 5100 * MB) if settings["torch_build"] == "index" else Size(350 * MB, 1600 * MB)
    ),
    needs_windows=NOT_WINDOWS,
    python_note="torch-directml's last wheels are for 3.8 to 3.12, and the other packages of the kernel begin with 3.10",
)

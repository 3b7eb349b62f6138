# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can run torch-directml, judged before anything is installed.

Pure functions: what was seen goes in, problems and sentences come out. All problems are said at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.problem import Problem
from ...core.remedy import UNTIL_THEN, give
from ...system import ldconfig

# What libdirectml.so, which comes with the wheel, loads by name. Windows brings them, into this folder.
LIBRARY_FOLDER = "/usr/lib/wsl/lib"
LIBRARIES = ("libd3d12.so", "libd3d12core.so", "libdxcore.so")
# Where the loader looks without being told: nothing of it can be taken out of a configuration.
_SYSTEM_FOLDER = re.compile(r"(/usr(/local)?)?/lib(64)?(/x86_64-linux-gnu)?")


def check_stubs(stubs: Mapping[str, str]) -> list[Problem]:
    """None in the place of Windows' own libraries. `stubs`: by name, where the loader takes it from, if not from WSL's folder.
    Whether the loader knows that one is settled by wsl_host."""
    problems = []
    if stubs:
        places = sorted({path.rsplit("/", 1)[0] for path in stubs.values()})
        others = [place for place in places if not _SYSTEM_FOLDER.fullmatch(place)]
        files = sorted(path for path in stubs.values() if path.rsplit("/", 1)[0] not in others)
        do = [f"take {' '.join(files)} away (dpkg -S {files[0]} shows the package that brought it)"] if files else []
        if others:
            do.append(
                f"take {' and '.join(others)} out of LD_LIBRARY_PATH and of /etc/ld.so.conf.d (grep -r {others[0]} "
                "/etc/ld.so.conf*)"
            )
        problems.append(
            Problem(
                "directml_stubs",
                f"programs on this host get {', '.join(sorted(stubs))} from {', '.join(places)}, not from WSL",
                f"{LIBRARY_FOLDER} first: files of these names elsewhere are mostly empty stubs, and crash Python",
                f"{', '.join(do)}, then run: sudo ldconfig",
            )
        )
    return problems


def check_download(python: Mapping[str, Any], seen: str, unreachable: str | None) -> list[Problem]:
    """Whether a Python that has to be fetched can be. `unreachable`: why nobody answers."""
    if not unreachable:
        return []
    what = f"torch-directml has wheels for Python {python['requires']} only, and no Python of this host fits ({seen})"
    install = f"install Python {python['use']} and name it: {give('python_env_python=PATH')}"
    mirror = f"name a mirror of python-build-standalone (or file:///FOLDER): {give('python_env_python_mirror=ADDRESS')}"
    return [
        Problem(
            "directml_python",
            f"{what}; uv would fetch Python {python['use']}, but {unreachable}",
            f"a Python {python['requires']}, or the way to that download",
            f"see to the network; or {mirror}; or {install}; {UNTIL_THEN}",
        )
    ]


# --- the loader -----------------------------------------------------------------------------------------------------


def stubs_in_cache(printed: str, folder: str = LIBRARY_FOLDER) -> dict[str, str]:
    """Of what `ldconfig -p` prints: the libraries that the loader takes from elsewhere. The first line of a name wins."""
    found = ldconfig.parse(printed)
    first = {name: found[name][0] for name in LIBRARIES if name in found}
    return {name: path for name, path in first.items() if not path.startswith(folder + "/")}


def has_ssl(printed: str) -> bool:
    """Whether `ldconfig -p` lists some libssl, which AMD's driver library was reported to want."""
    return ldconfig.first(printed, "libssl.so") is not None

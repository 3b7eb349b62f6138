# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can run torch-directml, judged before anything is installed.

Pure functions: what was seen goes in, problems and sentences come out. All problems are said at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.problem import Problem
from ...python.lock import LockError, split_specifier
from ...system import ldconfig
from ..base import check_windows

# The wheels are for no other processor.
ARCHITECTURE = "x86_64"
# What libdirectml.so, which comes with the wheel, loads by name. Windows brings them, into this folder.
LIBRARY_FOLDER = "/usr/lib/wsl/lib"
LIBRARIES = ("libd3d12.so", "libd3d12core.so", "libdxcore.so")
# What a release has to say of itself; the rest may be empty.
RELEASE_KEYS = ("package", "version", "torch", "python")
# Where the loader looks without being told: nothing of it can be taken out of a configuration.
_SYSTEM_FOLDER = re.compile(r"(/usr(/local)?)?/lib(64)?(/x86_64-linux-gnu)?")
TORCH_BUILDS = {"cpu": "lock", "index": "lock_index"}

_ANOTHER = "or set colab_backend: cpu"
_UPDATE = "in PowerShell: wsl --update, then wsl --shutdown, and install the newest driver of the GPU on Windows"


@dataclass(frozen=True)
class PythonState:
    """Where the environment's Python would come from."""

    # The first that fits: of the environment that is there, of the host, of those that uv fetched before.
    fitting: str | None = None
    # What was looked at and did not fit, one phrase each.
    rejected: Sequence[str] = ()
    # Whether python_env_python names one, and then no other is taken.
    named: bool = False
    # What uv would fetch (3.12), where it may, and why that cannot be reached (None: it can).
    series: str | None = None
    fetch_allowed: bool = True
    unreachable: str | None = None


@dataclass(frozen=True)
class Seen:
    """What the host says. None is not known, and forbids nothing."""

    architecture: str
    # 1, 2, or None outside of WSL.
    wsl: int | None
    dxg: bool | None
    dxg_failure: str | None
    # Which of LIBRARIES are in WSL's folder.
    libraries: Mapping[str, bool]
    # Name of a library: where the loader takes it from, where that is not WSL's folder.
    stubs: Mapping[str, str]
    python: PythonState


# --- the release ----------------------------------------------------------------------------------------------------


def check_release(name: str, releases: Mapping[str, Any], torch_build: str) -> Problem | None:
    """Whether the release is one, and complete enough to be installed."""
    if name not in releases:
        return _release_problem(
            f"directml_release is {name!r}, which is no known release of torch-directml",
            f"one of {', '.join(sorted(releases)) or 'none'}",
            "set directml_release to one of them, or describe yours in directml_releases",
        )
    release = releases[name]
    missing = [key for key in RELEASE_KEYS if not (isinstance(release, Mapping) and release.get(key))]
    if missing:
        return _release_problem(
            f"the release {name} of directml_releases lacks {', '.join(missing)}",
            f"{', '.join(RELEASE_KEYS)} and a lock for each release",
            "complete it, or take another release",
        )
    lock = TORCH_BUILDS[torch_build]
    if not release.get(lock):
        other = next((build for build, key in TORCH_BUILDS.items() if release.get(key)), None)
        return _release_problem(
            f"the release {name} has no {lock}, so it cannot be had with directml_torch_build: {torch_build}",
            "a release that is locked for that build of torch",
            f"set directml_torch_build: {other}" if other else f"give it a {lock} in directml_releases",
        )
    try:
        split_specifier(str(release["python"]))
    except LockError as error:
        what = f"the release {name} has a wrong python: {error}".rstrip(".")
        return _release_problem(what, "a range such as >=3.10,<3.13", "correct it in directml_releases")
    return None


def _release_problem(what: str, expected: str, do: str) -> Problem:
    return Problem("directml_release", what, expected, do)


# --- the host -------------------------------------------------------------------------------------------------------


def check_machine(seen: Seen) -> Problem | None:
    """Processor, WSL, its GPU device: each makes the next question pointless."""
    if seen.architecture != ARCHITECTURE:
        return Problem(
            "directml_architecture",
            f"this processor is {seen.architecture}, and torch-directml is made for x86-64 alone",
            "an x86-64 processor",
            "set colab_backend: cpu",
        )
    if seen.wsl is None:
        what = "this is not WSL, and DirectML is a part of Windows"
        return Problem("directml_wsl", what, "WSL 2 on Windows 11", "set colab_backend: auto or cpu")
    return check_windows("directml", seen.wsl, seen.dxg, seen.dxg_failure, _ANOTHER)


def check_libraries(seen: Seen) -> list[Problem]:
    """Windows' own libraries, and none in their place. Whether the loader knows the folder is settled by wsl_host."""
    problems = []
    missing = [name for name in LIBRARIES if not seen.libraries.get(name)]
    if missing:
        problems.append(
            Problem(
                "directml_libraries",
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in {LIBRARY_FOLDER}, where Windows puts "
                "what DirectML needs",
                f"{', '.join(LIBRARIES)} there",
                f"{_UPDATE}. Do not take files of the same names from a Python package: those are empty; {_ANOTHER}",
            )
        )
    if seen.stubs:
        places = sorted({path.rsplit("/", 1)[0] for path in seen.stubs.values()})
        others = [place for place in places if not _SYSTEM_FOLDER.fullmatch(place)]
        files = sorted(path for path in seen.stubs.values() if path.rsplit("/", 1)[0] not in others)
        do = [f"take {' '.join(files)} away (dpkg -S {files[0]} shows the package that brought it)"] if files else []
        if others:
            do.append(
                f"take {' and '.join(others)} out of LD_LIBRARY_PATH and of /etc/ld.so.conf.d (grep -r {others[0]} "
                "/etc/ld.so.conf*)"
            )
        problems.append(
            Problem(
                "directml_stubs",
                f"programs on this host get {', '.join(sorted(seen.stubs))} from {', '.join(places)}, not from WSL",
                f"{LIBRARY_FOLDER} first: files of these names elsewhere are mostly empty stubs, and crash Python",
                f"{', '.join(do)}, then run: sudo ldconfig",
            )
        )
    return problems


def check_python(requires: str, python: PythonState) -> Problem | None:
    """An interpreter for which there are wheels, or the way to one."""
    if python.fitting:
        return None
    seen = "; ".join(dict.fromkeys(python.rejected)) or "there is none in /usr/bin"
    what = f"torch-directml has wheels for Python {requires} only, and no Python of this host fits ({seen})"
    install = f"install Python {python.series or '3.12'} and name it with python_env_python"
    expected = f"a Python {requires}"
    if python.named:
        what = f"python_env_python does not fit torch-directml: {seen}"
        do = "name one that fits, or leave python_env_python empty"
    elif not python.fetch_allowed or python.series is None:
        what = f"{what}, and none may be fetched"
        do = f"set colab_python_fetch: true, or {install}, {_ANOTHER}"
    elif python.unreachable:
        what = f"{what}; uv would fetch Python {python.series}, but {python.unreachable}"
        expected = f"{expected}, or the way to that download"
        mirror = "python_env_python_mirror to a mirror of python-build-standalone (file:///FOLDER for a folder)"
        do = f"see to the network, or set {mirror}, or {install}, {_ANOTHER}"
    else:
        return None
    return Problem("directml_python", what, expected, do)


def judge(name: str, releases: Mapping[str, Any], torch_build: str, seen: Seen) -> list[Problem]:
    """Everything that is in the way. On a host that cannot have DirectML at all, that alone is said."""
    machine = check_machine(seen)
    if machine is not None:
        return [machine]
    release = check_release(name, releases, torch_build)
    found = [release, *check_libraries(seen)]
    if release is None:
        found.append(check_python(str(releases[name]["python"]), seen.python))
    return [one for one in found if one is not None]


# --- the loader -----------------------------------------------------------------------------------------------------


def stubs_in_cache(printed: str, folder: str = LIBRARY_FOLDER) -> dict[str, str]:
    """Of what `ldconfig -p` prints: the libraries that the loader takes from elsewhere. The first line of a name wins."""
    found = ldconfig.parse(printed)
    first = {name: found[name][0] for name in LIBRARIES if name in found}
    return {name: path for name, path in first.items() if not path.startswith(folder + "/")}


def has_ssl(printed: str) -> bool:
    """Whether `ldconfig -p` lists some libssl, which AMD's driver library was reported to want."""
    return ldconfig.first(printed, "libssl.so") is not None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python a kernel gets: one order, and one choice, for the check before a run, the decision, and the build."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Protocol, TypeVar

from ..core.text import listed
from ..system.interpreters import ask_python, python_candidates
from . import fetched
from .lock import matches


class _HasVersion(Protocol):
    @property
    def version(self) -> str: ...


Found = TypeVar("Found", bound=_HasVersion)


def candidates(folder: str = "/usr/bin", named: str | None = None) -> list[str]:
    """The Pythons that are tried, in this order: the named one alone, or the system's. Those that uv fetched come after."""
    return [named] if named else python_candidates(folder)


def first_fitting(
    paths: Iterable[str], requires: str, ask: Callable[[str], Found | None], user: str = ""
) -> tuple[Found | None, list[str]]:
    """Return what the first that fits says of itself, and why each before it does not: each one asked costs some 20 ms."""
    rejected: list[str] = []
    for path in paths:
        found = ask(path)
        if found is not None and matches(found.version, requires):
            return found, rejected
        unusable = f"does not start{f' as {user}' if user else ''}" if os.path.lexists(path) else "does not exist"
        rejected.append(f"{path} {unusable}" if found is None else f"{path} is {found.version}")
    return None, rejected


def known(host: Mapping[str, Any], named: str | None, pythons_dir: str) -> dict[str, Any]:
    """What a decision has to know of a host's Pythons: versions and places in the order of the choice, and whether one is named.

    The system's are in `host` already, by their names alone; only one that is named is started.
    """
    if named:
        found = ask_python(named)
        return {"pythons": [found.version] if found else [], "python_paths": [named], "python_named": True}
    there = [] if fetched.folder_problem(pythons_dir) else fetched.pythons_in(pythons_dir)
    return {
        "pythons": [*(host.get("pythons") or ()), *map(fetched.version_of, there)] or None,
        "python_paths": [*(host.get("python_paths") or ()), *there] or None,
        "python_named": False,
    }


def choose(requires: str, pythons: Sequence[str] | None, paths: Sequence[str] | None, named: bool) -> dict[str, Any]:
    """requires; use: the version that is taken, or the series that uv fetches; path: where it is; fetch: whether uv has to bring
    it. None: not known, or none."""
    choice: dict[str, Any] = {"requires": requires, "use": None, "path": None, "fetch": None}
    if pythons is None:
        return choice
    for version, path in zip_longest(pythons, paths or ()):
        if re.match(r"3\.[0-9]+", version or "") and matches(version, requires):
            return {**choice, "use": version, "path": path, "fetch": False}
    return {**choice, "use": None if named else fetched.series_for(requires), "fetch": not named}


def in_words(requires: str) -> str:
    """A range as people say it: 3.11 to 3.14, or 3.10 and 3.12."""
    fitting = [series for series in reversed(fetched.SERIES) if matches(f"{series}.99", requires)]
    if not fitting:
        return requires
    first, last = (fetched.SERIES.index(series) for series in (fitting[0], fitting[-1]))
    return f"{fitting[0]} to {fitting[-1]}" if 2 < len(fitting) == first - last + 1 else listed(fitting)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ldconfig -p` prints: which file the loader takes for the name of a library."""

from __future__ import annotations

import re

_LINE = re.compile(r"^\t(\S+) \(([^)]*)\) => (/.*)$", re.MULTILINE)
# A library for another architecture than the programs' own is of no use to them.
_WORD_SIZE = re.compile(r"x86-64|64bit|AArch64")


def parse(text: str) -> dict[str, list[str]]:
    """Each library with its paths, that which counts first. Of 32-bit ones nothing."""
    found: dict[str, list[str]] = {}
    for name, flags, path in _LINE.findall(text):
        if _WORD_SIZE.search(flags):
            found.setdefault(name, []).append(path)
    return found


def names_in(text: str, folder: str) -> set[str]:
    """The libraries that the cache has from this folder."""
    return {name for name, paths in parse(text).items() if any(path.rpartition("/")[0] == folder for path in paths)}


def first(text: str, name: str) -> str | None:
    """The path that the loader takes for this name, or for the name with a version behind it."""
    cache = parse(text)
    for library, paths in cache.items():
        if library == name or library.startswith(name + "."):
            return paths[0]
    return None

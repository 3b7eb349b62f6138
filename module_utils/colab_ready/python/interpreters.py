# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python of a host fits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..system.interpreters import ask_python
from .lock import matches


def first_fitting(paths: Iterable[str], requires: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Return what the first that fits says of itself, and why each before it does not: each one asked costs some 20 ms."""
    rejected: list[str] = []
    for path in paths:
        found = ask_python(path)
        if found is not None and matches(found["version"], requires):
            return found, rejected
        rejected.append(f"{path} does not start" if found is None else f"{path} is {found['version']}")
    return None, rejected

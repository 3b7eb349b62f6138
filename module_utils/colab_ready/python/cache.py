# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an environment's downloads lie while it is built."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable


def cache_of(cache_dir: str, path: str, uid: int | str) -> str:
    """Return the folder of one account's downloads for the environment at `path`: uv hands files on by hard links, and those
    keep their owner. It is emptied when the environment is built, so each environment has one of its own."""
    return os.path.join(cache_dir, f"{uid}-{hashlib.sha256(path.encode()).hexdigest()[:16]}")


def begun(prefix: str, backends: Iterable[str]) -> list[str]:
    """Return those backends whose environments were begun below `prefix`, whoever built them: part of what they take is there."""
    folder = glob.escape(f"{prefix}/cache")
    return [name for name in backends if glob.glob(cache_of(folder, f"{prefix}/kernels/{name}", "*"))]

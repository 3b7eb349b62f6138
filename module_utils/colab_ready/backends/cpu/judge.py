# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU runs on every host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...gpu.catalog import YES
from ..base import Backend, Finding, HostFacts


def findings(_adapter: Mapping[str, Any], _host: HostFacts, _settings: Mapping[str, Any]) -> Iterator[Finding]:
    """**No GPU, or none that can be used: the CPU**, with the reason and what to do."""
    yield Finding(YES, "PyTorch runs on every processor")


BACKEND = Backend("cpu", "cpu", "every host", "CPU", findings, tier=2, architectures=("x86_64", "aarch64"))

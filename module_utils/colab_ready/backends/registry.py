# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backends: an import is a row, and BACKENDS collects them. Their order is the order of preference among equals."""

# ruff: noqa: F401

from __future__ import annotations

from .base import Backend

# isort: off
from .cuda.judge import BACKEND as CUDA
from .rocm.judge import BACKEND as ROCM
from .xpu.judge import BACKEND as XPU
from .directml.judge import BACKEND as DIRECTML
from .cpu.judge import BACKEND as CPU
# isort: on

BACKENDS: tuple[Backend, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Backend))
# What each is to torch, where torch counts its devices.
TORCH_DEVICES = {one.name: one.torch for one in BACKENDS if one.torch}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of the sum as a whole: the probe is run and judged, and run once more where a failure is known to come and go.

The module tensor_add and the report both prove it this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends import torch_devices
from ..backends.registry import TORCH_DEVICES
from ..backends.rocm.faults import State
from ..process.probe import probe_source, run_probe
from . import torch_faults
from .probes import tensor_probe
from .tensor_verdict import judge_tensor


def run_tensor(
    backend: str,
    python: str,
    *,
    device: int | None = None,
    adapter: str | None = None,
    card: Mapping[str, Any] | None = None,
    wsl: bool,
    user: str | None = None,
    env: Mapping[str, Any] = {},
    timeout_seconds: float,
    rocm_state: State | None = None,
) -> dict[str, Any]:
    """What tensor_add returns, with its warnings, and `tries`: how often the program ran. `timeout_seconds` is for each of
    them. `rocm_state` is what is known of the host, for the remedy of a run on ROCm that failed."""
    params: dict[str, Any] = {"backend": backend, "device": device, "adapter": adapter, "wsl": wsl}
    params.update(card=card and dict(card), side=TORCH_DEVICES.get(backend))

    def run() -> dict[str, Any]:
        outcome = run_probe(
            probe_source(tensor_probe, torch_devices),
            params,
            python,
            timeout_seconds,
            user=user,
            env={key: str(value) for key, value in env.items()},
            name="tensor_probe",
        )
        return judge_tensor(outcome, backend, rocm_state or State(wsl=wsl), wsl)

    answer, tries = torch_faults.tried(run, int(backend == "rocm" and wsl))
    return {**answer, "tries": tries}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of the sum as a whole: the probe is run and judged, and run once more where a failure is known to come and go.

The module tensor_add and the report both prove it this way.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible.module_utils.colab_ready import tensor_probe, torch_devices, torch_faults
from ansible.module_utils.colab_ready.process.probe import probe_source, run_probe
from ansible.module_utils.colab_ready.rocm_faults import State
from ansible.module_utils.colab_ready.verdict import judge_tensor


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
    rocm_state: State | Callable[[], State] | None = None,
) -> dict[str, Any]:
    """What tensor_add returns, with its warnings, and `tries`: how often the program ran. `timeout_seconds` is for each of
    them. `rocm_state` is what is known of the host; it is asked for only where a run on ROCm failed."""
    params = {"backend": backend, "device": device, "adapter": adapter, "card": card and dict(card), "wsl": wsl}
    if backend in torch_devices.DEVICE_TYPES:
        params["torch_devices"] = probe_source(torch_devices)

    def run() -> dict[str, Any]:
        return run_probe(
            probe_source(tensor_probe),
            params,
            python,
            timeout_seconds,
            user=user,
            env={key: str(value) for key, value in env.items()},
            name="tensor_probe",
        )

    state: State | None = None

    def judge(outcome: dict[str, Any]) -> dict[str, Any]:
        nonlocal state
        answer = judge_tensor(outcome, backend, state, wsl)
        if answer["ok"] or backend != "rocm" or state is not None:
            return answer
        state = (rocm_state() if callable(rocm_state) else rocm_state) or State(wsl=wsl)
        return judge_tensor(outcome, backend, state, wsl)

    answer = judge(run())
    answer["tries"] = 1
    if backend == "rocm" and wsl and torch_faults.worth_a_retry(answer):
        first = answer["reasons"][0]
        answer = judge(run())
        answer["tries"] = 2
        answer["warnings"].insert(0, torch_faults.told_of_a_retry(first, answer["ok"]))
    return answer

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe of colab_handshake brought home, judged: ok or not, why, what to do. Data in, data out."""

from __future__ import annotations

from typing import Any

from ..backends.directml import faults as directml_faults
from ..backends.registry import TORCH_DEVICES
from ..core.remedy import Evidence
from . import torch_faults
from .remedies import on_this_host, remedies_for
from .steps import end_of, ended_problem, exit_warnings, plain, public, settle_steps, table_of, texts_of

_DIRECT = (
    "token_file port port_owner preflight build_info api kernelspecs session kernel_socket cell session_delete".split()
)
_OVER = "ws_diagnose ws_open ws_kernelspecs ws_session ws_kernel_socket ws_cell ws_session_delete".split()
_SHUT = ("shut_no_token", "shut_wrong_token", "shut_foreign_origin", "shut_foreign_host")
_SHUT_OVER = ("shut_ws_no_token", "shut_ws_wrong_token", "shut_ws_auth_url", "shut_ws_foreign_origin")
# What a cell that failed is called by handshake_probe.py, and how it ended in the words of process/run.py.
_CELL_ENDED = {"cell_failed": "", "kernel_died": "signal", "check_hangs": "timeout"}


def handshake_plan(http_over_ws: bool) -> dict[str, str]:
    """Step id: door, in the order in which they are told."""
    plan = dict.fromkeys(_DIRECT, "direct")
    if http_over_ws:
        plan.update(dict.fromkeys(_OVER, "http_over_ws"))
    plan.update(dict.fromkeys(_SHUT, "shut"))
    plan.update(dict.fromkeys(_SHUT_OVER if http_over_ws else ("shut_ws_off",), "shut"))
    return plan


def handshake_problem(
    step: dict[str, Any], ended: dict[str, Any], device_type: str, backend: str = "", wsl: bool = True
) -> str:
    """Which remedy a failed step wants. A cell that fails on a GPU mostly has the driver's reasons."""
    problem = str(step["problem"] or ended_problem(ended, "broken_answer"))
    if device_type == "cpu" or step["id"] not in ("cell", "ws_cell") or problem not in _CELL_ENDED:
        return problem
    how = _CELL_ENDED[problem]
    if device_type != "privateuseone":
        fits = backend in TORCH_DEVICES and TORCH_DEVICES[backend].device_type == device_type
        return torch_faults.cell_remedy(backend if fits else "", device_type, step["detail"], how, wsl) or problem
    if how == "timeout":
        return "directml_hangs"
    found = directml_faults.remedy_for(Evidence(said=[step["detail"]], ended=how))
    return problem if found == "directml_unknown" else found


def judge_handshake(
    outcome: dict[str, Any], http_over_ws: bool, device_type: str = "cpu", backend: str = "", *, wsl: bool = True
) -> dict[str, Any]:
    """Everything that colab_handshake returns. `backend` tells ROCm from CUDA where the cell runs on a device of cuda."""
    plan = handshake_plan(http_over_ws)
    ended = outcome["exit"]
    result = outcome["result"] or {}
    steps, not_reached = settle_steps(outcome, list(plan))
    failed = [step for step in steps if not step["ok"]]
    problems = [handshake_problem(step, ended, device_type, backend, wsl) for step in failed]
    for step in failed:
        step["detail"] = directml_faults.with_names(step["detail"])
    reasons = [f"{step['id']}: {step['detail']}" for step in failed]
    if not failed and (not_reached or not outcome["result"]):
        reasons.append(f"the handshake could not be tried: {end_of(outcome)}")
        problems.append(ended_problem(ended, "python_broken"))
    ok = not reasons
    notes = texts_of(result.get("warnings"))
    return {
        "ok": ok,
        "steps": [public(step, door=plan[step["id"]]) for step in steps],
        "not_reached": not_reached,
        "reasons": reasons,
        "remedies": on_this_host(remedies_for(problems), device_type, wsl),
        "warnings": notes + (exit_warnings(outcome) if ok else []),
        "cell": plain(table_of(result.get("cell"))),
        "versions": plain(table_of(result.get("versions"))),
        "seconds": outcome["seconds"],
    }

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of the way from Colab as a whole: the probe is run and judged.

The module colab_handshake and the report both prove it this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..process.probe import probe_source, run_probe
from ..system import peer
from ..wsl.version import wsl_facts
from .handshake_verdict import judge_handshake
from .probes import handshake_cell, handshake_ledger, handshake_page, handshake_probe, handshake_visit

# The probe, and what it imports.
PROBE = (handshake_probe, handshake_visit, handshake_page, handshake_cell, handshake_ledger, peer)
# After its own deadline the probe deletes what it made; then it is told to end, and then ended.
CLEARING_SECONDS = 30.0
GRACE_SECONDS = 12.0


def run_handshake(params: Mapping[str, Any], python: str, user: str | None, backend: str) -> dict[str, Any]:
    """Return what colab_handshake returns, with its warnings. `params` are those of handshake_probe."""
    outcome = run_probe(
        probe_source(*PROBE),
        dict(params),
        python,
        params["timeout_seconds"] + CLEARING_SECONDS,
        user=user,
        name="handshake_probe",
        grace_seconds=GRACE_SECONDS,
    )
    return judge_handshake(outcome, params["http_over_ws"], params["device_type"], backend, wsl=wsl_facts() is not None)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters as programs tell them: nvidia-smi and rocminfo, and what all such programs have in common.

Each knows only its own vendor's. Their words are for people, so what does not look as expected is not read at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ...process.program import Answer, NotAnswered, ask
from ...wsl.facts import LIBRARY_FOLDER
from ..adapter import Failure, Reading, Unknown, assemble, failed, plain
from . import rocminfo

SECONDS = 10.0

NVIDIA_FIELDS = ("name", "pci.device_id", "pci.sub_device_id", "memory.total", "driver_version", "pci.bus_id")
NVIDIA_QUERY = (f"--query-gpu={','.join(NVIDIA_FIELDS)}", "--format=csv,noheader,nounits")


# --- what they have in common ---------------------------------------------------------------------------------------


def _ask(name: str, program: str | None, arguments: Sequence[str], seconds: float) -> Answer:
    """Run a program, with a limit. Or a Failure."""
    if program is None:
        raise Failure("tool_missing", f"there is no {name}")
    try:
        return ask([program, *arguments], seconds)
    except NotAnswered as error:
        raise Failure(error.code, str(error)) from None


def _need_success(name: str, answer: Answer) -> None:
    if answer.status != 0:
        raise Failure("tool_failed", f"{name} ended with status {answer.status} and said: {answer.words}")


# --- nvidia-smi -----------------------------------------------------------------------------------------------------


def _first_program(*places: str) -> str | None:
    """Never PATH: a service's or sudo's is another than the user's, and it may have been planted."""
    return next((place for place in places if os.access(place, os.X_OK)), None)


def find_nvidia_smi(usr: str = "/usr") -> str | None:
    """WSL's own first."""
    return _first_program(f"{usr}/{LIBRARY_FOLDER}/nvidia-smi", f"{usr}/bin/nvidia-smi", f"{usr}/local/bin/nvidia-smi")


def _pair(text: str) -> tuple[str, str] | None:
    """0x268410DE: the device's id, then the vendor's."""
    match = re.fullmatch(r"0x([0-9a-f]{4})([0-9a-f]{4})", text.strip().lower())
    return (match.group(1), match.group(2)) if match else None


def parse_nvidia_smi(text: str) -> list[dict[str, Any]]:
    """One GPU per line, as --format=csv,noheader,nounits prints them. Lines of another kind are none."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.rsplit(",", len(NVIDIA_FIELDS) - 1)]
        ids = _pair(parts[1]) if len(parts) == len(NVIDIA_FIELDS) else None
        if ids is None:
            continue
        values: dict[str, Any] = {
            "name": plain(parts[0]) or Unknown("not_said", "nvidia-smi gives no name"),
            "device_id": ids[0],
            "vendor_id": ids[1],
            "software": False,
            "compute_only": False,
        }
        board = _pair(parts[2])
        if board:
            values["subsystem_id"], values["subsystem_vendor_id"] = board
        # MiB. "[N/A]" where the memory is the computer's.
        if re.fullmatch(r"[0-9]{1,9}", parts[3], re.ASCII):
            values["dedicated_bytes"] = int(parts[3]) << 20
        # NVIDIA's own numbering, 581.29, not Windows' 32.0.15.8129.
        if re.fullmatch(r"[0-9]+(\.[0-9]+)+", parts[4], re.ASCII):
            values["driver_version"] = parts[4]
        bus = re.fullmatch(r"0000([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", parts[5].lower())
        if bus:
            values["address"] = bus.group(1)
        found.append(values)
    return found


def read_nvidia_smi(program: str | None, seconds: float = SECONDS) -> Reading:
    """The GPUs of NVIDIA; those of others it does not know."""
    try:
        answer = _ask("nvidia-smi", program, NVIDIA_QUERY, seconds)
        # Exit status 6: no device. Some versions say it with 0.
        if answer.status == 6 or "No devices were found" in answer.text:
            raise Failure("no_adapters", "nvidia-smi finds no GPU of NVIDIA")
        _need_success("nvidia-smi", answer)
        found = parse_nvidia_smi(answer.text)
        if not found:
            raise Failure("bad_answer", f"nvidia-smi printed no GPU: {answer.words}")
    except Failure as failure:
        return failed(failure.why)
    return assemble(found, "nvidia-smi", "nvidia-smi does not say it")


# --- rocminfo -------------------------------------------------------------------------------------------------------


def find_rocminfo(usr: str = "/usr", root: str = "/") -> str | None:
    return _first_program(
        f"{root.rstrip('/')}/opt/rocm/bin/rocminfo", f"{usr}/bin/rocminfo", f"{usr}/local/bin/rocminfo"
    )


def parse_rocminfo(text: str) -> list[dict[str, Any]]:
    """Its agents that are GPUs of AMD. The processor is an agent as well."""
    found = []
    for agent in rocminfo.parse(text).gpus:
        named = plain(agent.name) if agent.name != agent.gfx else ""
        values: dict[str, Any] = {
            "name": named or Unknown("not_said", "rocminfo gives no name"),
            # It knows no others.
            "vendor_id": "1002",
            "gfx": agent.gfx,
            "software": False,
            "compute_only": False,
            "render": True,
        }
        said = {"device_id": agent.device_id, "address": agent.address, "dedicated_bytes": agent.bytes}
        found.append({**values, **{key: value for key, value in said.items() if value}})
    return found


def read_rocminfo(program: str | None, seconds: float = SECONDS) -> Reading:
    """The GPUs of AMD that ROCm can use; others it does not know."""
    try:
        answer = _ask("rocminfo", program, (), seconds)
        _need_success("rocminfo", answer)
        found = parse_rocminfo(answer.text)
        if not found:
            raise Failure("no_adapters", "rocminfo finds no GPU of AMD; if there is one, update its driver")
    except Failure as failure:
        return failed(failure.why)
    return assemble(found, "rocminfo", "rocminfo does not say it")

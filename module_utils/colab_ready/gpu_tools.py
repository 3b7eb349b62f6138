# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters as programs tell them: nvidia-smi and rocminfo, and what all such programs have in common.

Each knows only its own vendor's. Their words are for people, so what does not look as expected is not read at all.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping, Sequence

from ansible.module_utils.colab_ready import programs, rocminfo
from ansible.module_utils.colab_ready.dxg import (
    KEYS,
    VENDORS,
    Adapters,
    Failure,
    Reading,
    Reasons,
    Unknown,
    mark_primary,
)
from ansible.module_utils.colab_ready.programs import Answer, NotAnswered
from ansible.module_utils.colab_ready.wsl import LIBRARY_FOLDER

SECONDS = 10.0
ADAPTERS_MAX = 64

NVIDIA_FIELDS = ("name", "pci.device_id", "pci.sub_device_id", "memory.total", "driver_version", "pci.bus_id")
NVIDIA_QUERY = (f"--query-gpu={','.join(NVIDIA_FIELDS)}", "--format=csv,noheader,nounits")


# --- what they have in common ---------------------------------------------------------------------------------------


def ask(
    argv: Sequence[str], seconds: float = SECONDS, environ: Mapping[str, str] | None = None, cwd: str = "/"
) -> Answer:
    """Run a program, with a limit. Or a Failure."""
    try:
        return programs.ask(argv, seconds, environ, cwd)
    except NotAnswered as error:
        raise Failure(error.code, str(error)) from None


def plain(text: str) -> str:
    """A name without what moves a terminal's cursor."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())[:200]


def assemble(described: Sequence[Mapping[str, Any]], source: str, silent: str) -> tuple[Adapters, Reasons]:
    """Adapters with all their keys. A value is Unknown, or missing where `source` does not say such a thing (`silent`)."""
    adapters: Adapters = []
    reasons: Reasons = {}
    for index, values in enumerate(described[:ADAPTERS_MAX]):
        known = {key: value for key, value in values.items() if not isinstance(value, Unknown)}
        if "vendor" not in known and known.get("vendor_id") in VENDORS:
            known["vendor"] = VENDORS[known["vendor_id"]]
        adapters.append(
            {**dict.fromkeys(KEYS), **known, "index": index, "primary": False, "source": dict.fromkeys(known, source)}
        )
        for key in KEYS:
            if key not in known and key not in ("index", "primary", "source", "gfx", "product"):
                value = values.get(key, Unknown("not_said", silent))
                reasons[f"adapters[{index}].{key}"] = value.said()
    mark_primary(adapters)
    return adapters, reasons


def failed(why: Unknown) -> Reading:
    return None, {"adapters": why.said()}


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
    if program is None:
        return failed(Unknown("tool_missing", "there is no nvidia-smi"))
    try:
        answer = ask([program, *NVIDIA_QUERY], seconds)
    except Failure as failure:
        return failed(failure.why)
    text = answer.text
    found = parse_nvidia_smi(text)
    # Exit status 6: no device. Some versions say it with 0.
    if answer.status == 6 or "No devices were found" in text:
        return failed(Unknown("no_adapters", "nvidia-smi finds no GPU of NVIDIA"))
    if answer.status != 0:
        return failed(Unknown("tool_failed", f"nvidia-smi ended with status {answer.status} and said: {answer.words}"))
    if not found:
        return failed(Unknown("bad_answer", f"nvidia-smi printed no GPU: {answer.words}"))
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
    if program is None:
        return failed(Unknown("tool_missing", "there is no rocminfo"))
    try:
        answer = ask([program], seconds)
    except Failure as failure:
        return failed(failure.why)
    found = parse_rocminfo(answer.text)
    if answer.status != 0:
        return failed(Unknown("tool_failed", f"rocminfo ended with status {answer.status} and said: {answer.words}"))
    if not found:
        return failed(Unknown("no_adapters", "rocminfo finds no GPU of AMD"))
    return assemble(found, "rocminfo", "rocminfo does not say it")

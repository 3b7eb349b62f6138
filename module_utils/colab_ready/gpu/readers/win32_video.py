# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of Windows, asked of its own PowerShell: slow (seconds), and needs WSL's interop.

Win32_VideoController has displays only, so no NPU; its memory is a number of 32 bits.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

from ...core.text import first_words
from ...process.program import NotAnswered
from ...wsl.interop import ask_windows, is_of_init, ways_to_windows, windows_program
from ..adapter import ID_KEYS, MICROSOFT, Failure, Reading, Unknown, assemble, failed, plain

PROGRAM = "Windows/System32/WindowsPowerShell/v1.0/powershell.exe"
# It answers in 1 to 5 s.
SECONDS = 10.0
COMMAND = (
    "$ProgressPreference='SilentlyContinue';"
    "[Console]::OutputEncoding=[Text.Encoding]::UTF8;"
    "Get-CimInstance Win32_VideoController | Select-Object Name,PNPDeviceID,DriverVersion,AdapterRAM | ConvertTo-Json -Compress"
)
# What a driver with 4 GiB or more fills in: all that fits into 32 bits, in whole MiB.
RAM_CAP = (1 << 32) - (1 << 20)


def parse_device(identity: str) -> dict[str, Any]:
    """PCI\\VEN_1002&DEV_744C&SUBSYS_0E3B1002&REV_C8\\6&...: the ids. Qualcomm's GPUs are ACPI\\VEN_QCOM&DEV_0C36\\..."""
    match = re.match(
        r"(?:PCI\\VEN_([0-9A-F]{4})|ACPI\\VEN_(QCOM))&DEV_([0-9A-F]{4})(?:&SUBSYS_([0-9A-F]{4})([0-9A-F]{4}))?(?:&REV_([0-9A-F]{2})\b)?",
        identity.upper(),
    )
    if match is None:
        return {
            **dict.fromkeys(ID_KEYS, Unknown("not_pci", "Windows' id of it is not that of a PCI device")),
            # ROOT\BASICRENDER, SWD\REMOTEDISPLAYENUM, VMBUS: made up by Windows.
            "software": True if identity else Unknown("no_ids", "Windows gives no id of it"),
        }
    vendor, qualcomm, device, subsystem, subvendor, revision = match.groups()
    values = ("4d4f4351" if qualcomm else vendor, device, subvendor, subsystem, revision)
    ids = {
        field: value.lower() if value else Unknown("not_said", "Windows' id of it does not have it")
        for field, value in zip(ID_KEYS, values, strict=False)
    }
    return {**ids, "software": ids["vendor_id"] == MICROSOFT}


def parse_controllers(text: str) -> list[dict[str, Any]]:
    """What ConvertTo-Json prints: an object, or a list of them where there are several. Or a Failure."""
    begin = re.search(r"[\[{]", text)
    try:
        said, _ = json.JSONDecoder().raw_decode(text, begin.start() if begin else 0)
    except (ValueError, RecursionError):
        raise Failure("bad_answer", f"PowerShell printed no adapters: {first_words(text)}") from None
    found = []
    for entry in said if isinstance(said, list) else [said]:
        if not isinstance(entry, dict):
            raise Failure("bad_answer", f"PowerShell printed something else than adapters: {first_words(text)}")
        memory, version = entry.get("AdapterRAM"), str(entry.get("DriverVersion") or "")
        known = isinstance(memory, int) and not isinstance(memory, bool) and 0 <= memory < RAM_CAP
        no_memory = "Windows' number for it ends at 4 GiB" if memory else "Windows does not say it"
        found.append(
            {
                **parse_device(str(entry.get("PNPDeviceID") or "")),
                "name": plain(str(entry.get("Name") or "")) or Unknown("not_said", "Windows gives no name"),
                "driver_version": version
                if re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,5}){3}", version, re.ASCII)
                else Unknown("not_said", "Windows gives no version of the driver"),
                "dedicated_bytes": memory if known else Unknown("capped" if memory else "not_said", no_memory),
                "compute_only": False,
            }
        )
    if not found:
        raise Failure("no_adapters", "PowerShell lists no adapter")
    return found


def read_adapters(
    etc: str = "/etc",
    proc: str = "/proc",
    run_dir: str = "/run",
    interop_works: bool | None = None,
    seconds: float = SECONDS,
) -> Reading:
    """The adapters that Windows lists."""
    if interop_works is False:
        return failed(Unknown("no_interop", "programs of Windows cannot be started from this WSL"))
    try:
        program = windows_program(PROGRAM, etc, proc)
    except NotAnswered as error:
        return failed(Unknown("tool_missing", str(error)))
    until = time.monotonic() + seconds
    command = [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", COMMAND]
    trouble = Unknown("no_interop", "programs of Windows cannot be started from this WSL")
    for socket in ways_to_windows(run_dir):
        try:
            answer = ask_windows(command, max(until - time.monotonic(), 0.1), socket, etc)
            if answer.status == 0 and answer.output.strip():
                found = parse_controllers(answer.text)
                return assemble(found, "powershell", "PowerShell was not asked, or does not say it")
        except NotAnswered as error:
            return failed(Unknown(error.code, str(error)))
        except Failure as failure:
            return failed(failure.why)
        said = f"powershell.exe ended with status {answer.status} and said: {answer.words}"
        if not is_of_init(answer):
            return failed(Unknown("tool_failed", said))
        trouble = Unknown("no_interop", said)
    return failed(trouble)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVIDIA's driver says of itself on this host: by nvidia-smi, and by libcuda as any program would get it.

Both can hang in a driver or die in it, so neither is asked without a limit, nor in this process.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ...files import safe_open
from ...gpu.readers import vendor_tools
from ...process.fork import Say, run_forked
from ...process.program import NotAnswered, ask, stdout_of
from ..base import HostFacts
from . import plan as cuda_plan
from .plan import Library, Seen, Spoken

SECONDS = 10.0
_MAPPED = re.compile(r"(/\S*/libcuda\.so[\w.]*)$", re.MULTILINE)


def ask_nvidia_smi(program: str | None, arguments: Sequence[str], seconds: float) -> Spoken:
    if program is None:
        return Spoken(why="there is no nvidia-smi")
    try:
        answer = ask([program, *arguments], seconds)
    except NotAnswered as error:
        return Spoken(why=str(error))
    text = f"{answer.text}\n{answer.errors.decode('utf-8', 'replace')}"
    why = "" if answer.status == 0 else f"nvidia-smi ended with status {answer.status} and said: {answer.words}"
    return Spoken(text, answer.status, why)


def installed_packages(dpkg_query: str) -> tuple[str, ...]:
    """Not those of which only the configuration is left."""
    said = stdout_of([dpkg_query, "--show", "--showformat=${Package} ${db:Status-Status}\\n"]) or ""
    rows = (line.split() for line in said.splitlines())
    return tuple(row[0] for row in rows if row[1:] == ["installed"])


def ask_library(names: Sequence[str], seconds: float = SECONDS) -> Library:
    """The first of these that the loader finds: in a copy of this process, which it may take with it."""
    outcome = run_forked(partial(_ask_library, tuple(names)), seconds)
    if outcome.kind == "ok":
        said: Mapping[str, Any] = outcome.value
        return Library(said.get("path"), said.get("version"), said.get("init"), str(said.get("why", "")))
    at = f" in {outcome.step}" if outcome.step else ""
    return Library(why=f"{names[0]}: {outcome.text}{at}")


def _ask_library(names: Sequence[str], say: Say) -> dict[str, Any]:
    library, why = None, ""
    for name in names:
        say(f"loading {name}")
        try:
            library = ctypes.CDLL(name)
            break
        except OSError as error:
            why = why or str(error)
    if library is None:
        return {"why": why}
    found = _MAPPED.findall(safe_open.read_system_text("/proc/self/maps") or "")
    said: dict[str, Any] = {"path": found[0] if found else name}
    number = ctypes.c_int(0)
    try:
        say("cuDriverGetVersion")
        if library.cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value > 0:
            said["version"] = number.value
        say("cuInit")
        said["init"] = int(library.cuInit(0))
    except AttributeError as error:
        said["why"] = str(error)
    return said


def look(
    gpu: Mapping[str, Any], usr: str, proc: str, ldconfig: str, dpkg_query: str, library: str, seconds: float
) -> Seen:
    """Return everything that plan.judge asks for. `gpu` is what gpu/detect.py's look() says."""
    in_wsl = HostFacts.of(gpu.get("host")).behind_windows
    program = vendor_tools.find_nvidia_smi(usr)
    heading = ask_nvidia_smi(program, (), seconds)
    # One that hangs will hang again.
    query = ask_nvidia_smi(program, cuda_plan.QUERY, seconds) if heading.status is not None else heading
    names = [library, f"{usr}/lib/wsl/lib/{library}"] if in_wsl and "/" not in library else [library]
    known = Seen(in_wsl, heading=heading, query=query, library=ask_library(names, seconds))
    if not in_wsl:
        return known
    return replace(
        known,
        packages=installed_packages(dpkg_query),
        ldconfig=stdout_of([ldconfig, "-p"]) or "",
        modules=safe_open.read_system_text(f"{proc}/modules") or "",
    )

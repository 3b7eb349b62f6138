# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe brought home (process/probe.py), read: its steps in order, how it ended, and what it left on its descriptors.

The judges of tensor_add and of colab_handshake both read it with this. Step ids are names that documents refer to: they
may be added, not changed.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

T = TypeVar("T")

# Written by a GPU driver straight to the descriptors, on runs that work and on runs that fail (microsoft/DirectML#672,
# nix-community/NixOS-WSL#623): says nothing. It may be glued to another line.
STRAY_LINE = re.compile(r"Dropped Escape call with ulEscapeCode : 0x[0-9A-Fa-f]+")
# How faulthandler begins; the signal itself is known from the exit status.
SIGNAL_DUMP = re.compile(
    r"Fatal Python error: (Segmentation fault|Aborted|Bus error|Illegal instruction|Floating[ -]point exception)"
)
EXCEPTION_LINE = re.compile(r"\w+(Error|Exception): ")
QUOTED_LINES = 3


def ended_badly(ended: dict[str, Any]) -> str:
    """How the child ended, in words; empty when it ended well."""
    kind = ended["kind"]
    if kind == "ok":
        return ""
    if kind == "exception":
        return f"{ended['class']}: {ended['text']}" if ended["text"] else str(ended["class"])
    return str(ended["text"])


def ended_problem(ended: dict[str, Any], otherwise: str) -> str:
    """The remedy for a child that ended in the middle."""
    kind = ended["kind"]
    if kind == "not_started":
        known = ended["problem"] in ("python_missing", "python_not_executable", "no_such_user", "not_root")
        return str(ended["problem"]) if known else "python_broken"
    if kind == "timeout":
        return "check_hangs"
    if kind == "signal":
        return {"SIGILL": "cpu_too_old", "SIGKILL": "out_of_memory"}.get(ended["signal"], otherwise)
    return otherwise


def last_words(outcome: dict[str, Any]) -> str:
    """The end of stderr, for a death that left nothing else: what native code said, and of faulthandler's dump
    (https://docs.python.org/3/library/faulthandler.html) the place that died, which comes first."""
    said: list[str] = []
    place: list[str] = []
    dumping = False
    for line in outcome["stderr_tail"]:
        if line.startswith("Fatal Python error"):
            dumping = True
            if not SIGNAL_DUMP.match(line):
                # Python could not even start; it has listed its paths before, which nobody wants to read.
                said = [line]
        elif dumping:
            if line.startswith("File ") and not place:
                place.append("at " + line)
            elif EXCEPTION_LINE.match(line):
                said.append(line)
        elif not STRAY_LINE.search(line):
            said.append(line)
    return " / ".join(said[-QUOTED_LINES:] + place)


def end_of(outcome: dict[str, Any]) -> str:
    """How a child ended that gave no result, with its last words."""
    words = last_words(outcome) if outcome["exit"]["kind"] in ("exit", "signal") else ""
    bad = ended_badly(outcome["exit"]) or "the process ended without a result"
    return f"{bad} ({words})" if words else bad


def noise_warnings(outcome: dict[str, Any]) -> list[str]:
    result = []
    heard = outcome["noise"] + outcome["stderr_tail"]
    stray = sum(len(STRAY_LINE.findall(line)) for line in heard)
    if stray:
        result.append(f"the GPU driver wrote its harmless 'Dropped Escape call' line ({stray} times)")
    others = [line for line in (STRAY_LINE.sub("", line).strip() for line in outcome["noise"]) if line]
    if others:
        more = max(outcome["noise_lines"], len(others)) - QUOTED_LINES
        also = f" (and {more} lines more)" if more > 0 else ""
        result.append(f"the process also printed: {' / '.join(others[:QUOTED_LINES])}{also}")
    return result


def exit_warnings(outcome: dict[str, Any]) -> list[str]:
    """A crash after the work is done (seen with torch-directml's sibling for TensorFlow): passed, but said."""
    bad = ended_badly(outcome["exit"])
    return [f"everything was done, but then the process did not end well: {bad}"] if bad else []


def settle_steps(outcome: dict[str, Any], planned: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """(steps in order, ids not reached). A step that began and never ended is the one the child died in."""
    told = {step["step"]: step for step in outcome["steps"]}
    steps = []
    for name in planned:
        step = told.get(name)
        if step is not None:
            settled = {
                "id": name,
                "ok": step.get("ok") is True,
                "seconds": number_of(step.get("seconds")),
                "detail": str(step.get("detail", "")),
                "problem": str(step.get("problem") or ""),
                "error": table_of(step.get("error")),
            }
        elif name in outcome["running"]:
            bad = ended_badly(outcome["exit"]) or "the process ended without a word"
            settled = {
                "id": name,
                "ok": False,
                "seconds": None,
                "detail": bad,
                "problem": "",
                "error": {},
                "died": True,
            }
        else:
            continue
        steps.append(settled)
    seen = {step["id"] for step in steps}
    return steps, [name for name in planned if name not in seen]


def number_of(value: Any) -> float | None:
    try:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return None
    return float(value) if good else None


def value_of(kind: type[T], value: Any) -> T | None:
    """The value if it is of this very type; True is no number."""
    return value if type(value) is kind else None


def table_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def texts_of(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def plain(value: Any) -> Any:
    """Ready for JSON that others read: NaN and infinities are written as words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def public(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": step["id"], **more, "ok": step["ok"], "seconds": step["seconds"], "detail": step["detail"]}

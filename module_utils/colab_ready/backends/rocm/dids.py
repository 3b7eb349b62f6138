# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dids.conf, the list of further cards that AMD's bridge to WSL may open: read, added to, and taken back from.

Pure functions. A line is DEVICEID,MAJOR,MINOR,STEPPING, each in decimal or, after 0x, in hexadecimal; # begins a comment;
256 entries at most; librocdxg.so looks for it in ../share/rocdxg beside itself, and what it has built in wins
(ROCm/librocdxg#44; shared/src/utils.cpp). A text that is nothing but that stays byte for byte as it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ...core.problem import Problem

FILE = "share/rocdxg/dids.conf"
ENTRIES_MAX = 256

_NUMBER = r"(0[xX][0-9a-fA-F]+|[0-9]+)"
_LINE = re.compile(r"\s*" + r"\s*,\s*".join([_NUMBER] * 4) + r"\s*(?:#.*)?", re.ASCII)
_GFX = re.compile(r"gfx([1-9][0-9]?)([0-9])([0-9a-f])")


class Entry(NamedTuple):
    """A card's device id, and the parts of its gfx: gfx1102 is 11, 0, 2."""

    device_id: int
    major: int
    minor: int
    stepping: int

    def line(self) -> str:
        return f"0x{self.device_id:04X},{self.major},{self.minor},{self.stepping}"

    @property
    def gfx(self) -> str:
        return f"gfx{self.major}{self.minor}{self.stepping:x}"


class Merged(NamedTuple):
    """The text to write, the lines that are new in it, and what stands in the way."""

    text: str
    added: list[str]
    problems: list[Problem]


def path_beside(library: str) -> str:
    """Where the bridge at this path (its links resolved) looks."""
    return os.path.normpath(os.path.join(os.path.dirname(library), os.pardir, FILE))


def entry_for(device_id: str, gfx: str) -> Entry:
    """From a PCI id ("7480") and AMD's name of the chip ("gfx1102")."""
    parts = _GFX.fullmatch(gfx)
    if parts is None or not re.fullmatch(r"[0-9a-f]{4}", device_id.lower(), re.ASCII):
        raise ValueError(f"{device_id} and {gfx} are no card")
    return Entry(int(device_id, 16), int(parts[1]), int(parts[2]), int(parts[3], 16))


def parse(text: str) -> list[Entry]:
    """The entries; a line that is neither one nor a comment is nobody's."""
    lines = map(_LINE.fullmatch, text.splitlines())
    return [Entry(*map(_value, found.groups())) for found in lines if found]


def merge(text: str, wanted: Iterable[Entry]) -> Merged:
    """The text with the entries that it lacks at its end. Somebody's own entry for the same card is never overruled."""
    entries = parse(text)
    own = {entry.device_id: entry for entry in reversed(entries)}
    added: list[str] = []
    problems: list[Problem] = []
    for entry in wanted:
        there = own.setdefault(entry.device_id, entry)
        if there is not entry:
            if there != entry:
                problems.append(_other(there, entry))
        elif len(entries) + len(added) >= ENTRIES_MAX:
            problems.append(_full(entry))
        else:
            added.append(entry.line())
    if not added:
        return Merged(text, added, problems)
    newline = "\r\n" if "\r\n" in text else "\n"
    begun = text if not text or text.endswith("\n") else text + newline
    return Merged(begun + "".join(line + newline for line in added), added, problems)


def without(text: str, added: Iterable[str]) -> str:
    """The text without the lines that merge() added. The last of several equal ones goes: the first was there before. A
    newline that was missing at the end of the text stays."""
    lines = text.splitlines(keepends=True)
    for line in reversed(list(added)):
        for index in range(len(lines) - 1, -1, -1):
            if lines[index].strip() == line:
                del lines[index]
                break
    return "".join(lines)


def _value(text: str) -> int:
    # Not int(text, 0), which takes no decimal number with a leading zero.
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _other(there: Entry, entry: Entry) -> Problem:
    return Problem(
        "dids_other",
        f"dids.conf says that the card {entry.device_id:04x} is {there.gfx}, and it is {entry.gfx}",
        f"the line {entry.line()}, or none for this card",
        "remove or correct that line",
    )


def _full(entry: Entry) -> Problem:
    return Problem(
        "dids_full",
        f"dids.conf has {ENTRIES_MAX} entries already, and AMD's bridge reads no more",
        f"room for the line {entry.line()}",
        "remove entries of cards that this computer does not have",
    )

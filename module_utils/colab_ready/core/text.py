# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that came from somebody else's program or file, made fit for a terminal and a report."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

LINE_CHARACTERS = 300


def printable(text: object, most: int = LINE_CHARACTERS) -> str:
    """Return one line without control characters (an escape sequence could write to root's terminal), cut at `most`."""
    return "".join(c if c.isprintable() else " " for c in str(text)).strip()[:most]


def readable_lines(data: bytes) -> list[str]:
    """Return the lines of a program's output that say something, each printable."""
    lines = (printable(line) for line in re.split(r"[\r\n]+", data.decode("utf-8", "replace")))
    return [line for line in lines if line]


def cleaned(value: Any) -> Any:
    """Return what JSON said with each text in it as one printable line, infinities and NaN as words, and no huge number.

    Raises RecursionError.
    """
    if isinstance(value, int) and value.bit_length() > 63:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return printable(value, len(value))
    if isinstance(value, dict):
        return {printable(key): cleaned(item) for key, item in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


def decoded(output: bytes) -> str:
    """Return a program's text, in whichever encoding Windows gave it; what we look for is ASCII in all of them."""
    if output.startswith(b"\xff\xfe") or output[1:2] == b"\0":
        return output.decode("utf-16-le", "replace").lstrip("\ufeff")
    try:
        return output.decode("utf-8")
    except UnicodeDecodeError:
        return output.decode("cp437")


def first_words(output: str) -> str:
    """The first line that says something, for a message."""
    lines = ("".join(c if c.isprintable() else " " for c in line).strip() for line in re.split(r"[\r\n]+", output))
    return next((line[:200] for line in lines if line), "nothing")


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: ``0.4 s``, ``12 s``, ``2 min 05 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def listed(words: Sequence[str] | None, nothing: str = "none") -> str:
    """Return the words as a list in a sentence: "a, b and c"."""
    words = list(words or ())
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else nothing

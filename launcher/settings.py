# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `settings`: what this computer remembers of what was asked for, and forgetting it."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from colab_ready.core.problem import Refused
from colab_ready.settings import memory
from colab_ready.settings.values import Setting, parse_table

from .words import Stop


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Stop(
            f"{message}. Expected: ./colab-ready settings [--all], or --reset [NAME...]. Do: leave the rest out.", 2
        )


def parse(words: Sequence[str], known: dict[str, Setting]) -> tuple[bool, list[str] | None]:
    """Return whether all settings are asked for, and the names to forget (none: all of them) or None."""
    parser = _Parser(add_help=False)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--reset", nargs="*", metavar="NAME")
    options = parser.parse_args(words)
    for name in options.reset or ():
        # What another version has left can be forgotten too.
        if name not in known and name not in _remembered(or_nothing=True):
            close = difflib.get_close_matches(name, known, n=1)
            perhaps = (
                f"write {close[0]} if that is what was meant" if close else "./colab-ready settings --all lists them"
            )
            raise Stop(f"there is no setting {name!r}. Expected: a variable of colab-ready. Do: {perhaps}.", 2)
    return options.all, options.reset


def known_settings(checkout: Path) -> dict[str, Setting]:
    """Return the settings of this version."""
    return parse_table(json.loads((checkout / "roles/host_settings/files/settings.json").read_bytes()))


def show(known: dict[str, Setting], everything: bool) -> None:
    """Print what is remembered, and the defaults too if they are asked for."""
    remembered = _remembered()
    rows = [
        (
            memory.show(name),
            memory.show(value),
            "remembered" if name in known else "remembered, and not known to this version",
        )
        for name, value in sorted(remembered.items())
    ]
    if everything:
        rows += [(name, memory.show(one.default), "default") for name, one in known.items() if name not in remembered]
    for name, value, source in rows:
        print(f"{name:<32} {value:<32} {source}")
    if not rows:
        print("Nothing is remembered: the defaults hold. ./colab-ready settings --all lists them.")
    else:
        print("\nAn inventory and -e come before these. ./colab-ready settings --reset NAME forgets one.")
    sys.stdout.flush()


def reset(names: list[str], known: dict[str, Setting]) -> int:
    """Forget settings, as root; say which."""
    try:
        forgotten = memory.forget(names, memory.FILE)
    except Refused as error:
        raise Stop(str(error)) from None
    except OSError as error:
        raise Stop(
            f"{memory.FILE}: {error.strerror}. Expected: to be able to write it. Do: look at it with ls -la."
        ) from None
    for name in forgotten:
        default = f"; its default is {memory.show(known[name].default)}" if name in known else ""
        print(f"forgotten: {name}{default}")
    print("The next ./colab-ready goes by that." if forgotten else "Nothing of that was remembered.", flush=True)
    return 0


def _remembered(or_nothing: bool = False) -> dict[str, object]:
    try:
        return memory.read(memory.FILE)
    except Refused as error:
        if or_nothing:
            return {}
        raise Stop(str(error)) from None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of what was asked for: root's file, without secrets, that nobody else can write.

What is given (by an inventory, with -e, by a play) comes before what is remembered, and that before the roles' defaults.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.problem import Problem, Refused
from ..core.redact import redact
from ..core.text import printable
from ..files.plain import replace_plain
from ..files.safe_open import read_object
from ..files.trust import distrust_way
from .values import Setting, convert

FILE = "/etc/colab-ready/settings.json"
SCHEMA = 1
TEXT_CHARACTERS = 1000
SHOWN_CHARACTERS = 60
FORGET = "./colab-ready settings --reset"


@dataclass
class Resolved:
    """What holds for a run, what of it is remembered (`recalled`), what the host remembers after it, and what does not fit."""

    values: dict[str, Any] = field(default_factory=dict)
    recalled: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read(path: str, uids: Collection[int] = (0,)) -> dict[str, Any]:
    """Return the values by name, those of other versions too; none where there is no file. Raises Refused."""
    if not os.path.lexists(path):
        return {}
    reason = distrust_way(path, uids)
    data = None if reason else read_object(path)
    values = (data or {}).get("settings")
    if isinstance(values, dict) and (data or {}).get("schema") == SCHEMA:
        return values
    mend = f"see who it belongs to (ls -la {path}) and give it to root" if reason else f"correct it (sudo cat {path})"
    raise Refused(
        Problem(
            "settings",
            reason or f"{path} is damaged, or of another version",
            f"what ./colab-ready wrote there, and root alone may change it (JSON, schema {SCHEMA})",
            f"{mend}; or forget it ({FORGET}), and give again with -e what should hold",
        )
    )


def content(memory: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the file holds."""
    return {"schema": SCHEMA, "settings": dict(memory)}


def resolve(
    known: Mapping[str, Setting], current: Mapping[str, Any], given: Collection[str], memory: Mapping[str, Any]
) -> Resolved:
    """Decide which value holds for each setting; `current` has the values without memory, `given` whose names surely were given.

    A value that differs from the default was given by somebody, wherever Ansible has it from.
    """
    found = Resolved(memory=dict(memory))
    for name, setting in known.items():
        try:
            value = convert(name, setting, current.get(name, setting.default))
            if name in given or value != setting.default:
                _remember(found, name, setting, value)
            elif name in memory and setting.remembered:
                found.recalled[name] = value = _recall(name, setting, memory[name])
            found.values[name] = value
        except Refused as error:
            found.problems += error.problems
            # `verify` and `remove` go on without it.
            found.warnings += [str(error)] if name not in given else []
    strange = [name for name in memory if name not in known or not known[name].remembered]
    if strange:
        names = " ".join(printable(name) for name in strange)
        found.warnings.append(
            f"{FILE} has what this version of colab-ready does not know, and nothing goes by it: {names}. Do: {FORGET} {names}"
        )
    return found


def _remember(found: Resolved, name: str, setting: Setting, value: Any) -> None:
    if not setting.remembered:
        return
    found.memory.pop(name, None)
    reason = _reason_against(value)
    if reason:
        found.warnings.append(
            f"{name} {reason}, and is not remembered. Do: give it with every run, or keep it in an inventory."
        )
    else:
        found.memory[name] = value


def _reason_against(value: Any) -> str | None:
    """Say why a value is not kept in a file that everybody may read."""
    texts = value if isinstance(value, list) else [str(value)]
    # A signature or a token may stand in a query.
    if any(redact(text) != text or re.search(r"://\S*\?", text) for text in texts):
        return "may hold a password"
    if any(len(text) > TEXT_CHARACTERS or not text.isprintable() for text in texts):
        return "is a long text"
    return None


def _recall(name: str, setting: Setting, value: Any) -> Any:
    try:
        return convert(name, setting, value)
    except Refused as error:
        (problem,) = error.problems
        raise Refused(Problem(name, f"{problem.what} in {FILE}", problem.expected, problem.do)) from None


def show(value: Any) -> str:
    """Return a value as a person reads it, on one line."""
    return printable(value if isinstance(value, str) and value else json.dumps(value), SHOWN_CHARACTERS)


def beyond_defaults(known: Mapping[str, Setting], memory: Mapping[str, Any]) -> list[str]:
    """Return "name=value" for each remembered setting that is not the default."""
    return [
        f"{name}={show(memory[name])}" for name in known if memory.get(name, known[name].default) != known[name].default
    ]


def forget(names: Collection[str], path: str, uids: Collection[int] = (0,)) -> list[str]:
    """Forget these settings, or all of them; return the names of those that were remembered. Raises Refused and OSError."""
    if not names:
        # A damaged file too: this is how to be rid of it.
        try:
            forgotten = sorted(read(path, uids))
        except Refused:
            forgotten = [path]
        if os.path.lexists(path):
            replace_plain(path, None, 0, 0, 0)
        return forgotten
    memory = read(path, uids)
    forgotten = sorted(set(names) & memory.keys())
    left = {name: value for name, value in memory.items() if name not in forgotten}
    if forgotten:
        text = json.dumps(content(left), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        replace_plain(path, text.encode(), 0, 0, 0o644)
    return forgotten

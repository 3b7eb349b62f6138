# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate the value of a setting, a variable that a person may set, before any role reads it.

Types and choices are those of the roles' argument_specs; tools/settings_table.py writes them into
roles/host_settings/files/settings.json. What a type cannot say stands in RULES.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.origin import check_origin
from ..core.problem import Problem, Refused
from ..core.redact import redact
from ..core.remedy import give, reset

PORT_MIN = 1024
PORT_MAX = 65535
# What Ansible's filter `bool` and its type bool read the same: the filter takes "y" and "t" for false.
BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Setting(NamedTuple):
    """One variable: its type in argument_specs, and whether a host may remember it."""

    type: str
    default: Any
    choices: Sequence[str] = ()
    remembered: bool = True


class Rule(NamedTuple):
    """What is expected, what to do, and the value as the roles take it; `convert` raises ValueError, perhaps with a reason."""

    expected: str
    do: str
    convert: Callable[[Any], Any]


def parse_table(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Setting]:
    """Return the settings that settings.json lists. Raises TypeError."""
    return {name: Setting(**row) for name, row in table.items()}


def convert(name: str, setting: Setting, value: Any) -> Any:
    """Return the value in its own type. Raises Refused."""
    rule = _rule(name, setting)
    try:
        return rule.convert(value)
    except Refused:
        why = ""
    except ValueError as error:
        why = str(error)
    has, wrong = "is", value
    if setting.type == "list" and isinstance(items := _items(value), list):
        strangers = [item for item in items if not _is_item(item, setting.choices)]
        has, wrong = ("has", strangers[0]) if strangers else ("is", value)
    close = difflib.get_close_matches(str(wrong).lower(), setting.choices, n=1)
    perhaps = f", perhaps {close[0]}" if close else ""
    do = f"{rule.do.replace('NAME', name)}{perhaps}; or {reset(name)}"
    raise Refused(Problem(name, f"{name} {has} {redact(repr(wrong))}{why}", rule.expected, do))


def _rule(name: str, setting: Setting) -> Rule:
    """Return the rule of the name, or else that of the type."""
    for pattern, rule in RULES.items():
        if re.fullmatch(pattern, name):
            return rule
    if setting.type == "list":
        some = ", ".join(setting.choices)
        return Rule(
            f"a list of some of {some}" if some else "a list of texts",
            give(f'\'{{"NAME": ["{setting.choices[0] if some else "..."}"]}}\''),
            lambda value: _list(value, setting.choices),
        )
    if setting.choices:
        return Rule(
            "one of " + ", ".join(setting.choices),
            f"{VALUE} with one of them",
            lambda value: _one(value, setting.choices),
        )
    if name.endswith("_seconds"):
        return TYPES[f"{setting.type} seconds"]
    return TYPES[setting.type]


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool | int | str) or str(value).lower() not in BOOLEANS:
        raise ValueError
    return BOOLEANS[str(value).lower()]


def _whole(value: Any, least: int = 0, most: int = 999_999_999) -> int:
    """Return a whole number that came as one or as its digits. Booleans are integers in Python and no numbers."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value), re.ASCII):
        raise ValueError
    if not least <= int(value) <= most:
        raise ValueError
    return int(value)


def _port(value: Any) -> int:
    number = _whole(value.strip() if isinstance(value, str) else value, 1, PORT_MAX)
    if number < PORT_MIN:
        raise ValueError(f" (a port below {PORT_MIN} needs root, and a notebook server does not run as root)")
    return number


def _seconds(value: Any) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", str(value), re.ASCII) or float(value) <= 0:
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    """Return a text; a number without quotes in YAML is one, and nothing is an empty one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError
    return "" if value is None else str(value)


def _one(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError
    return str(value)


def _items(value: Any) -> Any:
    """Return what may be a list; a text, which -e gives, is split as Ansible does."""
    return value.split(",") if isinstance(value, str) else value


def _is_item(item: Any, choices: Sequence[str]) -> bool:
    return item in choices if choices else isinstance(item, str) and bool(item)


def _list(value: Any, choices: Sequence[str]) -> list[str]:
    items = _items(value)
    if not isinstance(items, list) or not all(_is_item(item, choices) for item in items):
        raise ValueError
    return [str(item) for item in items]


def _octal_mode(value: Any) -> str:
    # 0755 without quotes is the number 493 in YAML.
    if not re.fullmatch(r"[0-7]{4}", str(value), re.ASCII):
        raise ValueError
    return str(value)


def _origin(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return check_origin(value)


VALUE = give("NAME=VALUE")
TYPES = {
    "bool": Rule("true or false", give("NAME=true"), _boolean),
    "int": Rule("a whole number", VALUE, _whole),
    "int seconds": Rule("a whole number of seconds above 0", VALUE, lambda value: _whole(value, 1)),
    "float seconds": Rule("a number of seconds above 0", VALUE, _seconds),
    "str": Rule("a text", VALUE, _text),
    "path": Rule("a path", VALUE, _text),
}
# The values that a type and its choices cannot say, by the whole name.
RULES = {
    "colab_port": Rule(
        f"a whole number from {PORT_MIN} to {PORT_MAX}",
        f"{give('NAME=8888')}, or with another one",
        _port,
    ),
    "jupyter_config_dir_mode": Rule('four octal digits in quotes, such as "0755"', VALUE, _octal_mode),
    ".*_origin": Rule(
        "scheme and host of one page, without a path or a wildcard, such as https://colab.research.google.com",
        VALUE,
        _origin,
    ),
}

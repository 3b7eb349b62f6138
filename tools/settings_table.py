#!/usr/bin/env python3
"""Write roles/host_settings/files/settings.json: the variables that a person may set, from what the roles say about themselves.

Types and choices are those of the argument_specs (of type raw, that of the default), defaults those of defaults/. What the
playbooks hand to a role is none, nor is a dictionary (a lab's, in an inventory). What a role hands to another one, and
what is of one run alone, are checked and not remembered.

    tools/settings_table.py            writes the file
    tools/settings_table.py --check    ends with 1 where it is out of date (the static tests ask this)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
FILE = PROJECT / "roles" / "host_settings" / "files" / "settings.json"
TYPES = {bool: "bool", int: "int", str: "str"}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def handed(node: Any) -> Iterator[str]:
    """Yield the names below each `vars:` of a playbook or a file of tasks."""
    if isinstance(node, dict):
        if isinstance(node.get("vars"), dict):
            yield from node["vars"]
        for value in node.values():
            yield from handed(value)
    elif isinstance(node, list):
        for value in node:
            yield from handed(value)


def table(project: Path) -> dict[str, dict[str, Any]]:
    """Return a row for each setting, by role and name."""
    wiring = {name for path in (project / "playbooks").glob("*.yml") for name in handed(load(path))}
    unremembered = {name for path in project.glob("roles/*/tasks/*.yml") for name in handed(load(path))}
    unremembered |= {"colab_remember", "colab_restart"}
    rows: dict[str, dict[str, Any]] = {}
    # The usual ones first.
    for folder in sorted((project / "roles").iterdir(), key=lambda role: (role.name != "colab", role.name)):
        specs = load(folder / "meta" / "argument_specs.yml")["argument_specs"]
        defaults = load(folder / "defaults" / "main.yml") or {}
        for name, option in specs["main"].get("options", {}).items():
            kind = option["type"]
            if name in wiring or name not in defaults or kind == "dict" or option.get("elements") == "dict":
                continue
            row = {"type": TYPES[type(defaults[name])] if kind == "raw" else kind, "default": defaults[name]}
            row |= {"choices": option["choices"]} if "choices" in option else {}
            rows[name] = row | ({"remembered": False} if name in unremembered else {})
    return rows


def written(rows: dict[str, dict[str, Any]]) -> str:
    """Return the file, a line for each setting."""
    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write roles/host_settings/files/settings.json.")
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 if the file is out of date")
    options = parser.parse_args()
    text = written(table(PROJECT))
    if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        print("roles/host_settings/files/settings.json is out of date. Do: tools/settings_table.py", file=sys.stderr)
        return 1
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Write roles/<role>/README.md from what the role says about itself.

meta/argument_specs.yml gives the words, defaults/main.yml the defaults; where the roles run, the project's README says.

    tools/role_readme.py            writes the pages that are out of date
    tools/role_readme.py --check    names them and ends with 1 (the static tests ask this)
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
# Ansible's markup in descriptions: code, bold, italics, address, link.
MARKUP = (
    (re.compile(r"\b[CVOEP]\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bRV\(([^)]*)\)"), r"`\1`"),
    (re.compile(r"\bB\(([^)]*)\)"), r"**\1**"),
    (re.compile(r"\bI\(([^)]*)\)"), r"*\1*"),
    (re.compile(r"\bU\(([^)]*)\)"), r"<\1>"),
    (re.compile(r"\bL\(([^,)]*),\s*([^)]*)\)"), r"[\1](\2)"),
)


def markdown(text: str | list[str]) -> str:
    joined = " ".join(text) if isinstance(text, list) else text
    for pattern, replacement in MARKUP:
        joined = pattern.sub(replacement, joined)
    return " ".join(joined.split())


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def default_of(name: str, option: dict[str, Any], defaults: dict[str, Any]) -> str:
    if name in defaults:
        value = defaults[name]
    elif "default" in option:
        value = option["default"]
    else:
        return "required" if option.get("required") else ""
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value, ensure_ascii=False)}`"


def type_of(option: dict[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else kind


def rows(options: dict[str, Any], defaults: dict[str, Any], prefix: str = "") -> list[str]:
    result = []
    for name, option in options.items():
        words = markdown(option.get("description", ""))
        if option.get("choices"):
            choices = ", ".join(f"`{choice}`" for choice in option["choices"])
            words = f"{words} One of {choices}."
        default = default_of(name, option, {} if prefix else defaults)
        result.append(f"| `{prefix}{name}` | {type_of(option)} | {cell(default)} | {cell(words)} |")
        mark = "[]." if option.get("type") == "list" else "."
        result += rows(option.get("options") or {}, {}, f"{prefix}{name}{mark}")
    return result


def table(entry: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    options = entry.get("options") or {}
    if not options:
        return ["It takes no variables."]
    return ["| variable | type | default | meaning |", "| --- | --- | --- | --- |", *rows(options, defaults)]


def page(role: Path) -> str:
    def read(name: str) -> dict[str, Any]:
        path = role / name
        return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}

    specs = read("meta/argument_specs.yml").get("argument_specs", {})
    defaults = read("defaults/main.yml")
    note = "<!-- Written by tools/role_readme.py; change meta/ and defaults/, not this page. -->"
    lines = [f"# {role.name}", "", note, ""]
    for name, entry in specs.items():
        if name != "main":
            lines += [f"## Entry point `{name}`", ""]
        lines += [f"{markdown(entry['short_description'])}.", ""]
        words = entry.get("description", [])
        for paragraph in words if isinstance(words, list) else [words]:
            lines += [markdown(paragraph), ""]
        lines += ["## Variables" if name == "main" else "### Variables", "", *table(entry, defaults), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the roles' README pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; name the pages that are out of date")
    wish = parser.parse_args()
    stale = 0
    for specs in sorted(PROJECT.glob("roles/*/meta/argument_specs.yml")):
        role = specs.parent.parent
        readme = role / "README.md"
        text = page(role)
        if readme.exists() and readme.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        state = "out of date: run tools/role_readme.py" if wish.check else "written"
        print(f"{readme.relative_to(PROJECT)} is {state}")
        if not wish.check:
            readme.write_text(text, encoding="utf-8")
    return 1 if wish.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

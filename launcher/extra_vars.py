# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was given with -e and --tags, read before Ansible does: of what it cannot read it makes a wall of words, or nothing."""

from __future__ import annotations

import difflib
import json
import shlex
import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path

from .options import Option
from .words import Stop

# The tags that people choose by (docs/ansible.md), and what Ansible means by others.
TAGS = ("backend", "jupyter", "python", "service", "verify")
ANSIBLES = {"all", "always", "never", "tagged", "untagged"}
# Run by the Python that has Ansible: what is given, in, and what is wrong with it, out.
READ = """
import json, sys, yaml
for text in json.load(sys.stdin):
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        told = None if root is None or isinstance(root, yaml.MappingNode) else [1, "that is no NAME: VALUE"]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        told = [mark.line + 1 if mark else 0, getattr(error, "problem", None) or str(error)]
    print(json.dumps(told))
"""


def check(command: str, options: Iterable[Option], known: Collection[str]) -> None:
    """Stop at a word of -e that says nothing, at a name that is nearly one of ours, at a tag that is none."""
    for option in options:
        value = option.value or ""
        if option.name in ("--tags", "--skip-tags"):
            _check_tags(command, option.name, value)
        elif option.name == "--extra-vars" and not value.startswith(("@", "/", ".")):
            _check_names(value, known)


def _check_tags(command: str, name: str, value: str) -> None:
    tags = () if command == "remove" else TAGS
    asked = [tag.strip() for tag in value.split(",")]
    good = [tag for tag in asked if tag in {*tags, *ANSIBLES}]
    wrong = [tag for tag in asked if tag not in good]
    if wrong:
        there = ", ".join(tags) or f"none: {command} has no parts"
        do = f"{name} {','.join(good)}" if good else f"use {name} with some of them" if tags else f"leave {name} out"
        raise Stop(f"there is no tag '{wrong[0]}'. Expected: {there}. Do: {do}.", 2)


def _check_names(value: str, known: Collection[str]) -> None:
    names: Iterable[str]
    if value.lstrip().startswith(("{", "[")):
        try:
            names = list(json.loads(value))
        except ValueError:
            return  # YAML, which root's half reads
    elif "{{" in value or "{%" in value:
        return
    else:
        names = [_name(word, value) for word in _words(value)]
    for name in names:
        close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.75)
        if close and name not in known and str(name).startswith("colab_"):
            raise Stop(f"there is no variable {name}. Expected: one of colab-ready's. Do: write {close[0]}.", 2)


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        raise Stop(f"-e {value} has a quote that is not closed. Expected: NAME=VALUE. Do: close it.", 2) from None


def _name(word: str, value: str) -> str:
    name, is_given, _value = word.partition("=")
    if not (is_given and name.isidentifier()):
        first = next((one for one in _words(value) if one.isidentifier()), "NAME")
        raise Stop(
            f"-e {shlex.quote(value)} gives '{word}' no value. Expected: NAME=VALUE, without blanks around the =. Do: write "
            f"-e {first}=VALUE; a value with blanks, or a list: -e '{{\"{first}\": …}}'.",
            2,
        )
    return name


def check_readable(python: Path, options: Iterable[Option], folder: Path) -> None:
    """Stop at variables that are no YAML, with the file and the line."""
    texts: dict[str, str] = {}
    for value in [option.value or "" for option in options if option.name == "--extra-vars"]:
        if value.startswith("@"):
            texts[value.rpartition("/")[2]] = (folder / value[1:]).read_text(encoding="utf-8", errors="replace")
        elif value.lstrip().startswith(("{", "[")):
            texts[f"-e {value}"] = value
    texts = {shown: text for shown, text in texts.items() if not text.startswith("$ANSIBLE_VAULT")}
    if not texts:
        return
    command = [str(python), "-I", "-c", READ]
    done = subprocess.run(command, input=json.dumps([*texts.values()]), capture_output=True, text=True, check=False)
    for shown, line in zip(texts, done.stdout.splitlines(), strict=False):
        if (told := json.loads(line)) is not None:
            at = "" if shown.startswith("-e ") else f"line {told[0]} "
            raise Stop(
                f"{at}{'of ' if at else ''}{shown} cannot be read: {told[1]}. Expected: YAML, NAME: VALUE in each line, or JSON, "
                '{"NAME": VALUE}. Do: correct it.',
                2,
            )

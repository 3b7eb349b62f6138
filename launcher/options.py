# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options for ansible-playbook: which there are, and how they are understood."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .words import Stop

WITH_VALUE = {
    "--extra-vars": ("-e",),
    "--inventory": ("-i", "--inventory-file"),
    "--limit": ("-l",),
    "--tags": ("-t",),
    "--skip-tags": (),
    "--start-at-task": (),
    "--forks": ("-f",),
    "--connection": ("-c",),
    "--user": ("-u",),
    "--timeout": ("-T",),
    "--private-key": ("--key-file",),
    "--ssh-common-args": (),
    "--ssh-extra-args": (),
    "--scp-extra-args": (),
    "--sftp-extra-args": (),
    "--module-path": ("-M",),
    "--vault-id": (),
    "--vault-password-file": ("--vault-pass-file",),
    "--connection-password-file": ("--conn-pass-file",),
    "--become-method": (),
    "--become-user": (),
    "--become-password-file": ("--become-pass-file",),
}
FLAGS = {
    "--help": ("-h",),
    "--version": (),
    "--verbose": ("-v",),
    "--check": ("-C",),
    "--diff": ("-D",),
    "--step": (),
    "--syntax-check": (),
    "--list-hosts": (),
    "--list-tasks": (),
    "--list-tags": (),
    "--flush-cache": (),
    "--force-handlers": (),
    "--become": ("-b",),
    "--ask-pass": ("-k",),
    "--ask-vault-password": ("-J", "--ask-vault-pass"),
    "--ask-become-pass": ("-K",),
}
NAMES = {name: first for table in (WITH_VALUE, FLAGS) for first, more in table.items() for name in (first, *more)}
LOOKING = {"--check", "--syntax-check", "--list-hosts", "--list-tasks", "--list-tags", "--help", "--version"}
BECOMING = {"--ask-become-pass", "--become-password-file", "--become-method", "--become-user"}


class Option(NamedTuple):
    """One option by its first name, and its value if it takes one."""

    name: str
    value: str | None = None

    def argument(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


def parse(arguments: list[str]) -> list[Option]:
    """Understand the words as ansible-playbook does: `-e@x`, `-vve x`, `--extra-vars=x`, shortened long names."""
    found: list[Option] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            first = _first_name(name)
            takes = first in WITH_VALUE
            found.append(Option(first, (value if equals else _next(name, waiting)) if takes else None))
        elif word.startswith("-") and len(word) > 1:
            found += _cluster(word, waiting)
        else:
            raise Stop(
                f"'{word}' belongs to no option. Expected: options begin with -. Do: quote a value with blanks.", 2
            )
    return found


def _cluster(word: str, waiting: list[str]) -> list[Option]:
    found: list[Option] = []
    for place, letter in enumerate(word[1:], 2):
        first = _first_name(f"-{letter}")
        if first in WITH_VALUE:
            return [*found, Option(first, word[place:] or _next(f"-{letter}", waiting))]
        found.append(Option(first))
    return found


def _first_name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    meant = {first for known, first in NAMES.items() if name.startswith("--") and known.startswith(name)}
    if len(meant) == 1 and len(name) > 2:
        return meant.pop()
    raise Stop(f"{name} is no option. Expected: one of ./colab-ready help, or of ansible-playbook --help.", 2)


def _next(name: str, waiting: list[str]) -> str:
    if not waiting:
        raise Stop(f"{name} wants a value. Do: write it behind.", 2)
    return waiting.pop(0)


def only_looks(options: Iterable[Option]) -> bool:
    """Tell whether ansible-playbook changes and proves nothing."""
    return any(option.name in LOOKING for option in options)


def refuse_becoming(options: Iterable[Option], environ: Mapping[str, str]) -> None:
    """Stop where Ansible is told how to become root: here the system's sudo has done it, once."""
    told = [option.name for option in options if option.name in BECOMING]
    told += sorted(name for name in environ if name.startswith("ANSIBLE_BECOME"))
    if told:
        raise Stop(
            f"{told[0]} has no meaning here: the system's sudo asks for the password itself, once, at the terminal. Expected: a"
            " run without it. Do: leave it out; where nobody can type, sudo ./colab-ready, or NOPASSWD in sudoers.",
            2,
        )

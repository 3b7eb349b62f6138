# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options for ansible-playbook: which there are, and how they are understood."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from .words import Stop, unknown_option

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
    "--restart": (),
}
# Ours, and how ansible-playbook is told.
RESTART = ("--extra-vars", '{"colab_restart": true}')
LOOKING = {"--check", "--syntax-check", "--list-hosts", "--list-tasks", "--list-tags", "--help", "--version"}
# They may leave the proof out.
CHOOSING = {"--tags", "--skip-tags", "--start-at-task", "--step"}
BECOMING = {"--ask-become-pass", "--become-password-file", "--become-method", "--become-user"}


class Option(NamedTuple):
    """One option by its first name, and its value if it takes one."""

    name: str
    value: str | None = None

    def argument(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


class _Collect(argparse.Action):
    """Note an option by its first name, in the order of the words."""

    def __call__(self, _parser: object, found: argparse.Namespace, value: Any, _name: object = None) -> None:
        name = self.option_strings[0]
        found.options.append(
            Option(*RESTART) if name == "--restart" else Option(name, None if self.nargs == 0 else value)
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from . import settings  # with what only it needs

        word = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        do = unknown_option(word, settings.known_settings(Path(__file__).resolve().parents[1]))
        raise Stop(f"{message}. Expected: options of ./colab-ready help, or of ansible-playbook --help. Do: {do}", 2)


def parse(arguments: list[str]) -> list[Option]:
    """Understand the words as ansible-playbook does: `-e@x`, `-vve x`, `--extra-vars=x`, shortened long names."""
    parser = _Parser(add_help=False)
    for table, nargs in ((WITH_VALUE, None), (FLAGS, 0)):
        for first, more in table.items():
            parser.add_argument(first, *more, action=_Collect, nargs=nargs, dest="options")
    return list(parser.parse_args(arguments, argparse.Namespace(options=[])).options)


def only_looks(options: Iterable[Option]) -> bool:
    """Tell whether ansible-playbook changes and proves nothing."""
    return any(option.name in LOOKING for option in options)


def chooses(options: Iterable[Option]) -> bool:
    """Tell whether not all tasks are asked for."""
    return any(option.name in CHOOSING for option in options)


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

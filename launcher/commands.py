# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of ./colab-ready, and which process runs them: root's half for this computer, the caller's own for others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from . import caller, extra_vars, option_files, options, variables
from .words import RUNTIME, USAGE, VERSION, Stop, interrupted, say, unknown_command

PLAYBOOK_COMMANDS = ("verify", "remove")
# The parts of the tests, and their folders.
PARTS = {
    "static": ["static"],
    "unit": ["unit", "modules"],
    "molecule": ["molecule"],
    "browser": ["browser", "door"],
    "security": ["security"],
}
# Never among all.
NAMED = {"quick": ["static", "unit", "modules"], "directml-real": ["upstream"]}
MARKED = {"quick": ["-m", "quick"]}
TOKEN = "/etc/colab-ready/token"


def main(arguments: list[str], checkout: Path) -> int:
    """Run one command; its exit status. What cannot go on is one message."""
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(143))
    try:
        return Launcher(checkout, os.environ).run(arguments)
    except Stop as stop:
        say(str(stop))
        return stop.status
    except KeyboardInterrupt:
        interrupted()


class Launcher:
    """The checkout, who calls, and what was asked for."""

    def __init__(self, checkout: Path, environ: Mapping[str, str]) -> None:
        self.checkout = checkout
        self.home = caller.home_of(os.geteuid(), environ)
        # Beside root the owner of the checkout, behind sudo or doas too.
        self.trusted = frozenset((0, os.geteuid() or caller.uid_behind_root(environ)))
        self.environ = dict(environ)

    def run(self, arguments: list[str]) -> int:
        word, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
        if word == "help" or {"-h", "--help"} & {*arguments}:
            print(USAGE, end="")
        elif word == "--version":
            print(f"colab-ready {VERSION}")
        elif word == "lab":
            from . import lab  # with what only it needs

            return lab.run(self, rest)
        elif word == "test":
            self.test(rest)
        elif word == "url":
            return self.url()
        elif word == "settings":
            return self.settings(rest)
        elif word in PLAYBOOK_COMMANDS:
            return self.play(word, rest)
        elif word == "" or word.startswith("-"):
            return self.play("converge", arguments)
        else:
            raise unknown_command(word)
        return 0

    def play(self, command: str, arguments: list[str]) -> int:
        """Run a playbook: on this computer as root, on others as the caller."""
        wants_json = command == "verify" and "--json" in arguments
        arguments = [one for one in arguments if not (wants_json and one == "--json")]
        from . import settings  # with what only it needs

        parsed = options.parse(arguments)
        extra_vars.check(command, parsed, settings.known_settings(self.checkout))
        if command != "converge" and options.Option(*options.RESTART) in parsed:
            raise Stop(f"--restart has no meaning for {command}. Expected: ./colab-ready --restart.", 2)
        if not shutil.which("apt-get"):
            raise Stop(
                "this is not Debian or Ubuntu (there is no apt-get). Expected Debian 12 or Ubuntu 22.04 or newer. Do: on "
                "Windows, run it inside such a WSL distribution."
            )
        caller.check_checkout(self.checkout, self.trusted)
        listed = None
        if option_files.asks_inventory(parsed, self.trusted):
            from . import remote  # with what only it needs

            option_files.check_inventories(parsed, None)
            if os.geteuid() == 0:
                option_files.check_programs(parsed, self.environ, self.trusted)
            listed = remote.inventory(self, parsed)
            if not remote.is_local(listed, parsed):
                return remote.play(self, command, [one.argument() for one in parsed], wants_json)
            option_files.check_inventories(parsed, self.trusted)
        options.refuse_becoming(parsed, self.environ)
        shipped = option_files.ship(parsed, self.environ, self.trusted)
        if listed is not None:
            shipped.arguments.append(
                f"--inventory={shipped.add('inventory.yml', json.dumps(remote.as_file(listed)).encode())}"
            )
        told = caller.header(command, self.environ, arguments=shipped.arguments, json=wants_json)
        status = caller.run_as_root(self.checkout, told, shipped.files)
        if command == "remove" and status == 0 and not options.only_looks(parsed):
            shutil.rmtree(self.cache, ignore_errors=True)
            with contextlib.suppress(OSError):  # there was none before, or it holds more
                self.cache.parent.rmdir()
        return status

    def url(self) -> int:
        """Print the address, as root where the caller may not read the token."""
        if not os.access(RUNTIME, os.X_OK):
            raise Stop("this computer is not set up yet. Do: ./colab-ready")
        before = [] if os.access(TOKEN, os.R_OK) else caller.become()
        return subprocess.run([*before, RUNTIME, "url"], env=variables.own(self.environ), check=False).returncode

    def settings(self, words: list[str]) -> int:
        """Print what this computer remembers, or forget it as root."""
        from . import settings  # with what only it needs

        known = settings.known_settings(self.checkout)
        everything, names = settings.parse(words, known)
        if names is None:
            settings.show(known, everything)
            return 0
        caller.check_checkout(self.checkout, self.trusted)
        return caller.run_as_root(self.checkout, caller.header("settings", self.environ, arguments=names), [])

    @property
    def cache(self) -> Path:
        """A directory that is the caller's alone."""
        told = self.environ.get("XDG_CACHE_HOME", "")
        own = told.startswith("/") and self.home == self.environ.get("HOME")
        return Path(told if own else f"{self.home}/.cache") / "colab-ready"

    def test(self, words: list[str]) -> NoReturn:
        """Become pytest, in an environment of the tests' own."""
        parts, rest = chosen_parts(words)
        caller.check_checkout(self.checkout, self.trusted)
        places = [f"tests/{folder}" for part in parts for folder in {**PARTS, **NAMED}[part]]
        if "tests/static" in places and not (shutil.which("git") and (self.checkout / ".git").exists()):
            raise Stop(
                "these tests read what git tracks. Expected: git, and a checkout that it cloned. Do: apt-get install git, git "
                "clone the project; or choose others: ./colab-ready test unit"
            )
        from . import remote  # with what only it needs

        environ = remote.own_environment(self)
        for word, name in (("--no-docker", "COLAB_READY_NO_DOCKER"), ("--here", "COLAB_READY_TEST_HERE")):
            if word in rest:
                environ[name] = "1"
        folder = remote.environment(self, "dev")
        environ["PATH"] = f"{folder}/bin:{self.environ.get('PATH', os.defpath)}"
        os.chdir(self.checkout)
        rest = MARKED.get(parts[0], []) + [word for word in rest if word not in ("--no-docker", "--here")]
        os.execve(folder / "bin/python", [str(folder / "bin/python"), "-m", "pytest", *rest, *places], environ)


def chosen_parts(words: list[str]) -> tuple[list[str], list[str]]:
    """The parts to run, and what goes to pytest."""
    if not words or words[0].startswith("-"):
        parts, rest = list(PARTS), words
    elif words[0] in (*PARTS, *NAMED):
        parts, rest = words[:1], words[1:]
    else:
        raise Stop(f"there is no test part '{words[0]}'. Known: {' '.join((*PARTS, *NAMED))}.", 2)
    if "--here" in rest and parts != ["browser"]:
        raise Stop("--here is for the part browser alone: ./colab-ready test browser --here", 2)
    return parts, rest

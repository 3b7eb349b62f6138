# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of ./colab-ready, and which process runs them: root's half for this computer, the caller's own for others."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from . import caller, controller, options, playbook, root, variables
from .options import Option
from .words import USAGE, VERSION, Stop, interrupted, say

PLAYBOOK_COMMANDS = ("verify", "remove")
PARTS = ("static", "unit", "molecule", "browser")
BESIDE = {"unit": "tests/abi", "browser": "tests/door"}
GROUP = "colab_hosts"
INVENTORY_OPTIONS = (
    "--inventory",
    "--limit",
    "--extra-vars",
    "--vault-id",
    "--vault-password-file",
    "--ask-vault-password",
)


def main(arguments: list[str], checkout: Path) -> int:
    """Run one command; its exit status. What cannot go on is one message."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
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
        self.person = caller.person(environ)
        self.trusted = frozenset((0, self.person.uid))
        self.environ = dict(environ)

    def run(self, arguments: list[str]) -> int:
        word, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
        if word == "help" or {"-h", "--help"} & {word, *(rest if word != "test" else [])}:
            print(USAGE, end="")
        elif word == "--version":
            print(f"colab-ready {VERSION}")
        elif word == "lab":
            raise Stop("the command 'lab' is not in this version; one computer at a time is.", 2)
        elif word == "test":
            self.test(rest)
        elif word == "url":
            return self.url()
        elif word in PLAYBOOK_COMMANDS:
            return self.play(word, rest)
        elif word == "" or word.startswith("-"):
            return self.play("converge", arguments)
        else:
            raise Stop(
                f"there is no command '{word}'. Known: verify, url, remove, test, help; options begin with -.", 2
            )
        return 0

    def play(self, command: str, arguments: list[str]) -> int:
        """Run a playbook: on this computer as root, on others as the caller."""
        wants_json = command == "verify" and "--json" in arguments
        arguments = [one for one in arguments if not (wants_json and one == "--json")]
        parsed = options.parse(arguments)
        if not shutil.which("apt-get"):
            raise Stop(
                "this is not Debian or Ubuntu (there is no apt-get). Expected Debian 12 or Ubuntu 22.04 or newer. Do: on "
                "Windows, run it inside such a WSL distribution."
            )
        caller.check_checkout(self.checkout, self.trusted)
        inventory = self.inventory(parsed) if asks_inventory(parsed, self.trusted) else None
        if inventory is not None and not is_local(inventory, parsed):
            return self.play_as_caller(command, arguments, parsed, wants_json)
        options.refuse_becoming(parsed, self.environ)
        shipped = options.ship(parsed, self.environ, self.trusted)
        if inventory is not None:
            name = shipped.add("inventory.yml", json.dumps(as_inventory(inventory)).encode())
            shipped.arguments.append(f"--inventory={name}")
        told = caller.header(command, self.environ, arguments=shipped.arguments, json=wants_json)
        status = caller.run_as_root(self.checkout, told, shipped.files)
        if command == "remove" and status == 0 and not options.only_looks(parsed):
            shutil.rmtree(self.cache(), ignore_errors=True)
        return status

    def play_as_caller(self, command: str, arguments: list[str], parsed: list[Option], wants_json: bool) -> int:
        """Run a playbook for other computers, with the caller's keys and passwords."""
        environ = variables.own(self.environ)
        ansible = self.environment("controller") / "bin" / "ansible-playbook"
        book = self.checkout / "playbooks" / f"{root.PLAYBOOKS[command]}.yml"
        with self.scratch() as folder:
            outcome = playbook.run(ansible, book, arguments, environ, folder, None, quiet=wants_json)
        if wants_json:
            say("this run wrote no report here: each host has its own, /var/lib/colab-ready/report.json")
        if outcome.status or command == "remove" or options.only_looks(parsed):
            return outcome.status
        root.check_verdict(outcome.verdict)
        if command == "converge":
            print("address: colab-runtime url, on each host")
        return 1 if wants_json else 0

    def inventory(self, parsed: list[Option]) -> dict[str, Any]:
        """What ansible-inventory makes of the options, run as the caller."""
        program = self.environment("controller") / "bin" / "ansible-inventory"
        asked = [option.argument() for option in parsed if option.name in INVENTORY_OPTIONS]
        with self.scratch() as folder:
            environ = {
                **variables.own(self.environ),
                "ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg"),
                "ANSIBLE_HOME": str(folder),
                "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
            done = subprocess.run([program, "--list", *asked], env=environ, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise Stop(
                "the inventory cannot be read. Expected: hosts in the group colab_hosts. Do: see what Ansible says above."
            )
        return dict(json.loads(done.stdout))

    def url(self) -> int:
        """Print the address, as root where the caller may not read the token."""
        if not os.access(root.RUNTIME, os.X_OK):
            raise Stop("this computer is not set up yet. Do: ./colab-ready")
        may_read = os.access("/etc/colab-ready/token", os.R_OK) or (os.geteuid() != 0 and not caller.find_become())
        before = [] if may_read else caller.become()
        return subprocess.run([*before, root.RUNTIME, "url"], env=variables.own(self.environ), check=False).returncode

    # --- the caller's own cache

    def cache(self) -> Path:
        """A directory that is the caller's alone."""
        told = self.environ.get("XDG_CACHE_HOME", "")
        own = told.startswith("/") and self.person.home == self.environ.get("HOME")
        return Path(told if own else f"{self.person.home}/.cache") / "colab-ready"

    def make_cache(self) -> Path:
        path = self.cache()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            fine = path.stat().st_uid == os.geteuid()
        except OSError:
            fine = False
        if not fine:
            raise Stop(
                f"the environment with Ansible belongs into {path}, which cannot be created or is not yours. Do: correct its "
                "owner, or set XDG_CACHE_HOME to a directory of yours."
            )
        return path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="run.", dir=self.make_cache(), ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def environment(self, kind: str) -> Path:
        """The environment of this kind in the caller's cache."""
        cache = self.make_cache()
        files = [(path, text or "") for path, text in caller.pip_files(self.environ, self.person.home)]
        environ = variables.own(self.environ)
        network, uv_arguments = controller.sources(files, self.environ, self.person.home)
        lock = self.checkout / "requirements" / f"{kind}.txt"
        uv = options.find_tool("uv", self.environ.get("PATH", ""))
        become = [] if os.geteuid() == 0 else [caller.find_become() or "sudo"]
        with controller.only_one(cache):
            return controller.Builder(kind, lock, cache, {**environ, **network}, uv, uv_arguments, become).get()

    # --- test

    def test(self, words: list[str]) -> NoReturn:
        """Become pytest, in an environment of the tests' own."""
        parts, rest = chosen_parts(words)
        caller.check_checkout(self.checkout, self.trusted)
        places = [place for part in parts for place in self.places(part, only=len(parts) == 1)]
        environ = variables.own(self.environ)
        for word, name in (("--no-docker", "COLAB_READY_NO_DOCKER"), ("--here", "COLAB_READY_TEST_HERE")):
            if word in rest:
                environ[name] = "1"
        folder = self.environment("dev")
        environ["PATH"] = f"{folder}/bin:{self.environ.get('PATH', os.defpath)}"
        os.chdir(self.checkout)
        rest = [word for word in rest if word not in ("--no-docker", "--here")]
        os.execve(folder / "bin/python", [str(folder / "bin/python"), "-m", "pytest", *rest, *places], environ)

    def places(self, part: str, only: bool) -> list[str]:
        if (self.checkout / "tests" / part).is_dir():
            return [f"tests/{part}"] + ([BESIDE[part]] if part in BESIDE else [])
        if only:
            raise Stop(f"the {part} tests are not in this version.", 2)
        return []


def chosen_parts(words: list[str]) -> tuple[list[str], list[str]]:
    """The parts to run, and what goes to pytest."""
    if not words or words[0].startswith("-"):
        parts, rest = list(PARTS), words
    elif words[0] in (*PARTS, "directml-real"):
        parts, rest = [words[0].replace("directml-real", "real")], words[1:]
    else:
        raise Stop(f"there is no test part '{words[0]}'. Known: {' '.join(PARTS)} directml-real.", 2)
    if "--here" in rest and parts != ["browser"]:
        raise Stop("--here is for the part browser alone: ./colab-ready test browser --here", 2)
    return parts, rest


def asks_inventory(parsed: list[Option], trusted: frozenset[int]) -> bool:
    """Whether the options can change which hosts are meant, or how they are reached."""
    for option in parsed:
        value = option.value or ""
        if option.name == "--inventory" or (option.name == "--connection" and value != "local"):
            return True
        if option.name == "--extra-vars":
            text = options.read_named(value[1:], trusted).decode(errors="replace") if value.startswith("@") else value
            if re.search(r"ansible_connection|ansible_host\b", text):
                return True
    return False


def is_local(inventory: Mapping[str, Any], parsed: list[Option]) -> bool:
    """Whether every host of the run is this computer, without a connection to anywhere."""
    default = next((option.value for option in reversed(parsed) if option.name == "--connection"), "ssh")
    known = inventory.get("_meta", {}).get("hostvars", {})
    hosts = hosts_of(inventory, GROUP)
    return bool(hosts) and all(known.get(host, {}).get("ansible_connection", default) == "local" for host in hosts)


def hosts_of(inventory: Mapping[str, Any], group: str) -> set[str]:
    """The hosts of a group and of the groups in it."""
    found, waiting, seen = set(), [group], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            entry = inventory.get(name, {})
            found.update(entry.get("hosts", []))
            waiting.extend(entry.get("children", []))
    return found


def as_inventory(listed: Mapping[str, Any]) -> dict[str, Any]:
    """What `ansible-inventory --list` printed, as an inventory file: root runs no script that made it."""
    groups: dict[str, Any] = {
        name: {
            "hosts": {host: {} for host in entry.get("hosts", [])},
            "children": {one: {} for one in entry.get("children", [])},
        }
        for name, entry in listed.items()
        if name not in ("_meta", "all")
    }
    return {"all": {"hosts": dict(listed.get("_meta", {}).get("hostvars", {})), "children": groups}}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the caller does without root: the cache of environments, the inventory, a run for other computers, with its keys."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import caller, controller, extra_vars, lock, options, playbook, variables
from .options import Option
from .words import PLAYBOOKS, Stop, say

if TYPE_CHECKING:
    from .commands import Launcher

GROUP = "colab_hosts"
REFUSED = re.compile(r"\[ERROR\]: (.* cannot be used \(.*\n(?:\d+\. .*\n?)+)")
YOUNG_SECONDS = 60  # between a folder's making and its holding
INVENTORY_OPTIONS = "--inventory --limit --extra-vars --vault-id --vault-password-file --ask-vault-password".split()


def play(launcher: Launcher, command: str, arguments: list[str], wants_json: bool) -> int:
    """Run a playbook for other computers, with the caller's keys and passwords."""
    ansible = environment(launcher, "controller") / "bin" / "ansible-playbook"
    book = launcher.checkout / "playbooks" / f"{PLAYBOOKS[command]}.yml"
    with scratch(launcher) as folder:
        outcome = playbook.run(ansible, book, arguments, own_environment(launcher), folder, None, quiet=wants_json)
    if wants_json:
        say("this run wrote no report here: each host has its own, /var/lib/colab-ready/report.json")
    if outcome.status or command == "remove" or options.only_looks(options.parse(arguments)):
        return outcome.status
    made = [proof["ready"] is True for proof in outcome.proofs.values() if proof]
    if playbook.is_proven(made, bool(outcome.proofs), options.parse(arguments)) and command == "converge":
        print("address: colab-runtime url, on each host")
    return 1 if wants_json else 0


def inventory(launcher: Launcher, parsed: list[Option], more: Mapping[str, str] = {}) -> dict[str, Any]:
    """What ansible-inventory makes of the options, run as the caller: no script of an inventory's runs as root. `more` are
    variables for Ansible."""
    program = environment(launcher, "controller") / "bin" / "ansible-inventory"
    extra_vars.check_readable(program.parent / "python", parsed, Path())
    asked = [option.argument() for option in parsed if option.name in INVENTORY_OPTIONS]
    with scratch(launcher) as folder:
        environ = {**own_environment(launcher), **playbook.places(launcher.checkout, folder), **more}
        done = subprocess.run(
            [*playbook.program(program), "--list", *asked], env=environ, capture_output=True, check=False
        )
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode and (refused := REFUSED.search(said)):
        # What lab_csv says of a list. Ansible repeats it in words of its own.
        print(refused[1].rstrip(), file=sys.stderr)
        raise Stop(
            "this list is no room. Expected: one without a mistake. Do: correct what is named above, then start again."
        )
    print(said, end="", file=sys.stderr)
    if done.returncode:
        raise Stop(
            f"the inventory cannot be read, or --limit names none of its hosts. Expected: hosts in the group {GROUP}. Do: see "
            "what Ansible says above."
        )
    listed = dict(json.loads(done.stdout))
    if not hosts_of(listed, GROUP):
        raise Stop(
            f"no host of the group {GROUP} is meant. Expected: one in the inventory, which --limit lets through. Do: see what "
            "ansible-inventory --graph says, and correct the inventory or --limit."
        )
    return listed


def is_local(listed: Mapping[str, Any], parsed: list[Option]) -> bool:
    """Whether every host of the run is this computer, without a connection to anywhere."""
    default = next((option.value for option in reversed(parsed) if option.name == "--connection"), "ssh")
    known = listed.get("_meta", {}).get("hostvars", {})
    return all(known.get(one, {}).get("ansible_connection", default) == "local" for one in hosts_of(listed, GROUP))


def hosts_of(listed: Mapping[str, Any], group: str) -> set[str]:
    """The hosts of a group and of the groups in it."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [group]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            entry = listed.get(name, {})
            found.update(entry.get("hosts", []))
            waiting.extend(entry.get("children", []))
    return found


def as_file(listed: Mapping[str, Any]) -> dict[str, Any]:
    """What `ansible-inventory --list` printed, as an inventory that root's half reads."""
    groups: dict[str, Any] = {
        name: {
            "hosts": {host: {} for host in entry.get("hosts", [])},
            "children": {child: {} for child in entry.get("children", [])},
        }
        for name, entry in listed.items()
        if name not in ("_meta", "all")
    }
    return {"all": {"hosts": dict(listed.get("_meta", {}).get("hostvars", {})), "children": groups}}


def own_environment(launcher: Launcher) -> dict[str, str]:
    """The caller's environment, where Python's compiled files do not come into the checkout."""
    return {**variables.own(launcher.environ), "PYTHONPYCACHEPREFIX": str(launcher.cache / "compiled")}


def make_cache(launcher: Launcher) -> Path:
    """Make the caller's cache, which nobody else may have made."""
    path = launcher.cache
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
def scratch(launcher: Launcher) -> Iterator[Path]:
    """A folder for one run, which holds it; those of runs that were killed go."""
    cache = make_cache(launcher)
    for old in cache.glob("run.*"):
        if old.stat().st_mtime < time.time() - YOUNG_SECONDS:
            lock.where_unheld(old, partial(shutil.rmtree, old, ignore_errors=True))
    with tempfile.TemporaryDirectory(prefix="run.", dir=cache, ignore_cleanup_errors=True) as folder:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(folder)
        finally:
            os.close(descriptor)


def environment(launcher: Launcher, kind: str) -> Path:
    """The environment of this kind in the caller's cache."""
    cache = make_cache(launcher)
    files = [(path, text or "") for path, text in caller.pip_files(launcher.environ, launcher.home)]
    found = controller.sources(files, launcher.environ, launcher.home)
    environ = {**variables.own(launcher.environ), **found.variables}
    lock_file = launcher.checkout / "requirements" / f"{kind}.txt"
    uv_lock = launcher.checkout / "roles/python_env/files/uv.txt"
    # Never what the current directory holds.
    uv = shutil.which(
        "uv", path=":".join(one for one in launcher.environ.get("PATH", "").split(":") if one.startswith("/"))
    )
    become = [] if os.geteuid() == 0 else [caller.find_become() or "sudo"]
    with lock.hold(str(cache / "lock"), f"process {os.getpid()}, which prepares its environment"):
        return controller.Builder(kind, lock_file, cache, environ, uv, uv_lock, found, become).get()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `lab`: one run for a room of computers, as the caller, with the caller's keys."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from . import caller, extra_vars, option_files, options, playbook, remote
from .words import Stop

if TYPE_CHECKING:
    from .commands import Launcher

# What a run is for, and its playbook.
MODES = {"--plan": "plan", "--verify": "verify", "--remove": "remove", "--addresses": "addresses"}
# `ini` takes any text for host names, a refused list too.
INVENTORIES = "lab_csv,host_list,script,auto,yaml,toml"
# A computer that falls silent is given up after a minute; a question that nobody would see is none.
SSH = "-C -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
ANSWER_SECONDS = "10"
FORKS_LEAST = 8


def run(launcher: Launcher, words: Sequence[str]) -> int:
    """Run a playbook for every computer of a room; its exit status is 0 only where all are well. Raises Stop."""
    chosen = [word for word in words if word in MODES]
    arguments = [word for word in words if word not in MODES]
    if len(chosen) > 1:
        raise Stop(
            f"{' and '.join(chosen)} cannot be done at once. Expected: one of them, or none to set up. Do: choose one.",
            2,
        )
    mode = MODES[chosen[0]] if chosen else "site"
    from . import settings  # with what only it needs

    parsed = options.parse(arguments)
    extra_vars.check("converge", parsed, settings.known_settings(launcher.checkout))
    room = _list_of(parsed)
    caller.check_checkout(launcher.checkout, launcher.trusted)
    if os.geteuid() == 0:
        option_files.check_programs(parsed, launcher.environ, launcher.trusted)
    enabled = {"ANSIBLE_INVENTORY_ENABLED": INVENTORIES}
    listed = remote.inventory(launcher, parsed, enabled)
    known = listed.get("_meta", {}).get("hostvars", {})
    hosts = remote.hosts_of(listed, remote.GROUP)
    if not shutil.which("ssh") and any(known.get(one, {}).get("ansible_connection", "ssh") == "ssh" for one in hosts):
        raise Stop(
            "there is no ssh here, by which computers are reached. Expected: ssh. Do: sudo apt-get install openssh-client."
        )
    folder = _room(launcher, Path(room))
    cores = os.cpu_count() or 1
    environ = {
        **remote.own_environment(launcher),
        **enabled,
        "ANSIBLE_STRATEGY": "host_pinned",
        "ANSIBLE_FORKS": str(min(len(hosts), max(FORKS_LEAST, 4 * cores))),
        "ANSIBLE_STDOUT_CALLBACK": "colab_room",
        "ANSIBLE_TIMEOUT": ANSWER_SECONDS,
        "ANSIBLE_SSH_ARGS": SSH + ("" if options.Option("--ask-pass") in parsed else " -o BatchMode=yes"),
        # Empty: a run that says nothing new of the computers.
        "COLAB_READY_ROOM": "" if mode == "addresses" else str(folder),
        "COLAB_READY_ROOM_PLANS": "1" if mode == "plan" else "",
    }
    ansible = remote.environment(launcher, "controller") / "bin" / "ansible-playbook"
    with _held(folder), remote.scratch(launcher) as scratch:
        book = launcher.checkout / "playbooks" / f"{mode}.yml"
        told = [option.argument() for option in parsed]
        if mode == "addresses":
            (folder / "addresses").mkdir(mode=0o700, exist_ok=True)
            told.append("--extra-vars=" + json.dumps({"lab_addresses": str(folder / "addresses")}))
        outcome = playbook.run(ansible, book, told, environ, scratch, None, quiet=False)
    if mode == "addresses":
        print(
            f"addresses: {folder}/addresses, a file for each computer; each holds a token, so give it to who sits there alone"
        )
    if outcome.status or mode in ("plan", "remove", "addresses") or options.only_looks(parsed):
        return 1 if outcome.status else 0
    playbook.is_proven([one["ready"] is True for one in outcome.proofs.values() if one], bool(outcome.proofs), parsed)
    return 0


def _list_of(parsed: Sequence[options.Option]) -> str:
    """Return the first inventory that is named. Raises Stop where there is none."""
    inventories = [option.value or "" for option in parsed if option.name == "--inventory"]
    if not inventories:
        raise Stop(
            "which room is not said. Expected: its list. Do: ./colab-ready lab -i room.csv, or -i and the folder that holds it; "
            "docs/lab.md has an example.",
            2,
        )
    for path in inventories:
        if "," not in path and not os.path.exists(path):
            raise Stop(
                f"there is no {path}. Expected: a list of a room, or the folder that holds it. Do: correct the path.", 2
            )
    return inventories[0]


def _room(launcher: Launcher, inventory: Path) -> Path:
    """Return the folder of the room's records, by the name of its list or of the folder that holds it."""
    place = inventory.absolute()
    name = place.stem if place.is_file() and place.stem != "room" else (place if place.is_dir() else place.parent).name
    state = launcher.environ.get("XDG_STATE_HOME", "")
    top = Path(state if state.startswith("/") else f"{launcher.home}/.local/state")
    folder = top / "colab-ready" / "rooms" / (re.sub(r"[^\w.-]", "_", name) or "room")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Stop(
            f"the records of the room belong into {folder}, which cannot be made: {error.strerror}. Do: correct its owner."
        ) from None
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep others of one's runs from the room. Raises Stop."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop(
                f"another ./colab-ready lab works on this room ({folder.name}). Expected: one at a time. Do: wait until it ends."
            ) from None
        yield
    finally:
        os.close(descriptor)

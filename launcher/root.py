# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's half: from a snapshot in a folder of root's, with an environment made from nothing, one run of ansible-playbook.

It believes the caller's half what the caller may decide (options, variables), and asks sudo or doas who the caller is.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colab_ready.core.text import printable
from colab_ready.files.safe_open import parse_object, read_text
from colab_ready.files.trust import distrust_way, user_name
from colab_ready.python import pip_config

from . import caller, controller, extra_vars, lock, options, playbook, settings, variables
from .words import PLAYBOOKS, RUNTIME, Stop, interrupted, say

REPORT = Path("/var/lib/colab-ready/report.json")
YOUNG_SECONDS = 60


def main(header: Mapping[str, Any], folder: str, talk: int) -> int:
    """Do what the header says, and leave nothing of this run."""
    try:
        return Run(header, Path(folder), talk).run()
    except Stop as stop:
        say(str(stop))
        return stop.status
    except KeyboardInterrupt:
        interrupted()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def caller_of(header: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Who called, as sudo's own variables say it, which the modules read; doas names the user alone."""
    # Without USER, which sudo sets to root, and su leaves at who called it.
    told, uid = int(header["uid"]), caller.uid_behind_root({**environ, "USER": "root"})
    if told not in (0, uid):
        raise Stop(
            f"this run says that {user_name(told)} called it, and sudo says {user_name(uid)}. Do: start it again."
        )
    if not uid:
        return {}
    account = pwd.getpwuid(uid)
    return {"SUDO_USER": account.pw_name, "SUDO_UID": str(uid), "SUDO_GID": str(account.pw_gid)}


class Run:
    """One run and what it needs."""

    def __init__(self, header: Mapping[str, Any], folder: Path, talk: int) -> None:
        self.command: str = header["command"]
        self.arguments: list[str] = [*header["arguments"]]
        self.header, self.folder, self.talk = header, folder, talk
        self.cache, self.tree = folder.parent, folder / "tree"
        self.lock_path = str(self.cache / "lock")
        self.caller = caller_of(header, os.environ)
        self.environ = variables.for_root(header["variables"], self.caller)

    def run(self) -> int:
        os.chdir(self.folder)  # the files that the caller named have names from here
        who = self.caller.get("SUDO_USER", "root")
        words = f"{self._called()}, process {os.getpid()}, of {who}, since {time.strftime('%H:%M:%S')}"
        with lock.hold(self.lock_path, words):
            self._clean()
            return self._run()

    def _run(self) -> int:
        if self.command == "settings":
            return settings.reset(self.arguments, settings.known_settings(self.tree))
        controller_folder = self._controller()
        ansible = controller_folder / "bin" / "ansible-playbook"
        extra_vars.check_readable(controller_folder / "bin" / "python", options.parse(self.arguments), self.folder)
        book = self.tree / "playbooks" / f"{PLAYBOOKS[self.command]}.yml"
        json_wanted = bool(self.header.get("json"))
        started = time.time_ns()
        outcome = playbook.run(ansible, book, self.arguments, self.environ, self.folder, self.talk, quiet=json_wanted)
        reports = read_reports(outcome.proofs, started)
        if json_wanted and not reports:
            say("this run wrote no report")
            return outcome.status or 1
        if json_wanted:
            print(reports[0], end="", flush=True)
        if outcome.status or self._only_looks():
            return outcome.status
        if self.command == "remove":
            self._forget()
            return 0
        ready = [(parse_object(report) or {}).get("ready") is True for report in reports]
        ran = bool(outcome.proofs) and not any(outcome.proofs.values())
        if playbook.is_proven(ready, ran, options.parse(self.arguments)) and self.command == "converge":
            print_address(bool(self.header.get("show_address")))
        return 0

    def _called(self) -> str:
        return f"./colab-ready {self.command}" if self.command != "converge" else "./colab-ready"

    def _only_looks(self) -> bool:
        return options.only_looks(options.parse(self.arguments))

    def _controller(self) -> Path:
        everybodys = pip_config.global_config_files(self.environ)
        # What the caller may not read, root reads, where it is the computer's own.
        files = [
            (path, text or (path in everybodys and not distrust_way(path, {0}) and read_text(path, follow=True)) or "")
            for path, text in self.header["pip_files"]
        ]
        found = controller.sources(files, self.environ, self.header["home"])
        # Nothing is left in root's home.
        environ = {**self.environ, **found.variables, "UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
        locks = self.tree / "requirements/controller.txt", self.tree / "roles/python_env/files/uv.txt"
        builder = controller.Builder(
            "controller", locks[0], self.cache, environ, find_uv(), locks[1], found, talk=self.talk
        )
        if self.command == "verify" and not builder.is_complete and not os.path.exists(RUNTIME):
            # Nothing is installed only to say so.
            raise Stop("this computer is not set up. Expected: a runtime to prove. Do: ./colab-ready", 2)
        return builder.get()

    def _clean(self) -> None:
        """Take away what is left of runs that were killed: whose folder nobody holds."""
        for folder in [*self.cache.glob("run.*"), *self.cache.glob("new.*")]:
            lock.where_unheld(folder, functools.partial(self._forget_run, folder))
        # Moved before it is taken away: half a tree would be taken for one.
        for number, tree in enumerate(self.cache.glob("tree-*")):
            if tree.stat().st_mtime < time.time() - controller.WEEK:
                tree.rename(self.folder / f"old-{number}")

    def _forget_run(self, folder: Path) -> None:
        if folder.name.startswith("run.") or folder.stat().st_mtime < time.time() - YOUNG_SECONDS:
            playbook.end_leftovers(str(folder))
            shutil.rmtree(folder, ignore_errors=True)

    def _forget(self) -> None:
        """After a removal: the environments, and the lock, which who waits for it looks at again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        # Another run, which waits, has its folder there, and runs from its tree.
        trees = [] if [*self.cache.glob("run.*")] else [*self.cache.glob("tree-*")]
        for path in [*self.cache.glob("controller*"), *self.cache.glob("wheels"), *trees]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):
            os.unlink(self.lock_path)
            self.cache.rmdir()
        own = Path(caller.home_of(os.geteuid(), os.environ), ".cache/colab-ready")
        if self.caller and own.exists():
            say(f"{own} stays: what root needed for tests or for an inventory. Do: sudo rm -r {own}")


def read_reports(proofs: Mapping[str, Mapping[str, Any] | None], started: int) -> list[str]:
    """Return the reports that this run wrote, never those of an earlier one; they are where the module said, or by default."""
    said = [str(proof["report"]) for proof in proofs.values() if proof and proof.get("report")]
    reports = []
    for path in dict.fromkeys(said or [str(REPORT)]):
        # Where it was wanted in another place, that may be a folder of the caller's: no link is followed there.
        with contextlib.suppress(OSError):
            if os.lstat(path).st_mtime_ns >= started:
                reports.append(read_text(path) or "")
    return reports


def find_uv() -> str | None:
    """The uv that root may start: root's own, whatever the caller's PATH has."""
    found = shutil.which("uv", path=variables.ROOT_PATH)
    return found if found and not distrust_way(found, {0}) else None


def print_address(show: bool) -> None:
    """The address where it is wanted: a token does not belong into a log."""
    address = ""
    if show:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                [RUNTIME, "url"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=True
            )
            address = printable(done.stdout.strip())
    if address:
        print(f'\nPaste this into Colab (Connect, then "Connect to a local runtime"):\n\n  {address}\n', flush=True)
    else:
        print("address: ./colab-ready url", flush=True)
    sys.stdout.flush()

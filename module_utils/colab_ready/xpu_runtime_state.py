# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel's compute runtime as one state: its repository with key, the packages, and who may open the GPU; and back again.

The order is such that nothing is left half done: the key is looked at before it is written, the repository is read and the
installation is simulated before a package is touched, and what was written is taken back where one of these fails. Each step
is recorded before it is done, so that a run that dpkg or a power cut ended can be taken back like a whole one.
"""

from __future__ import annotations

import base64
import copy
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible.module_utils.colab_ready import apt_words, gpu_groups, managed, openpgp, programs
from ansible.module_utils.colab_ready import xpu_runtime_plan as thinking
from ansible.module_utils.colab_ready.core.refusal import Problem
from ansible.module_utils.colab_ready.files.safe_open import read_object
from ansible.module_utils.colab_ready.host import run
from ansible.module_utils.colab_ready.pip_config import redact
from ansible.module_utils.colab_ready.rocm_host_packages import ENVIRONMENT, PROXIES, Stopped, fetch

UPDATE_SECONDS = 300.0
INSTALL_SECONDS = 1800.0
GROUP_SECONDS = 60.0


@dataclass
class Places:
    """Others than these are for tests."""

    etc: str = "/etc"
    apt_get: str = "/usr/bin/apt-get"
    dpkg_query: str = "/usr/bin/dpkg-query"
    record: str = "/var/lib/colab-ready/xpu_runtime.json"

    def at(self, path: str) -> str:
        return self.etc + path[len("/etc") :] if path.startswith("/etc/") else path


@dataclass
class Outcome:
    changed: bool = False
    packages: dict[str, str] = field(default_factory=dict)
    changed_paths: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Runtime:
    def __init__(self, places: Places, check: bool) -> None:
        self.places, self.check = places, check
        known = read_object(places.record)
        self.record: dict[str, Any] = {**_nothing(), **(known or {})}
        # As it was when this run began; None: there was none.
        self.old = copy.deepcopy(self.record) if known else None
        self.outcome = Outcome()
        self.undo: list[managed.Entry] = []
        # What dpkg said just before it was let loose.
        self.listing_before: str | None = None
        self.made_folder = ""

    # --- looking ---

    def listing(self) -> str:
        # dpkg-query ends with 1 where it does not know one of the names, so all are asked for.
        return run([self.places.dpkg_query, "--show", f"--showformat={apt_words.LIST_FORMAT}"]) or ""

    def installed(self) -> dict[str, str]:
        return apt_words.installed_packages(self.listing())

    # --- acting ---

    def present(self, plan: Mapping[str, Any], fingerprints: Sequence[str], user: str = "") -> Outcome:
        repository = plan["repository"]
        groups = plan["groups"] if user else []
        nobody = gpu_groups.user_problem(user, "xpu") if groups else None
        if nobody is not None and not self.check:
            raise Stopped(nobody)
        try:
            if repository is not None:
                self._put_repository(repository, fingerprints)
            self._put_packages(plan["packages"], repository)
        except BaseException:
            self._take_back()
            raise
        # Where this fails, what is installed stays.
        self._join(user, groups)
        return self.outcome

    def absent(self) -> Outcome:
        """What this module put there, and nothing else."""
        listing = self.listing()
        there = apt_words.packages_with_files(listing)
        ours, needed = self._removable([name for name in self.record["new"] if name in there])
        if needed:
            self.outcome.notes.append(
                f"These packages of Intel's runtime stay, as others need them: {', '.join(needed)}."
            )
        if ours:
            try:
                if not self.check:
                    self._apt(["--yes", "purge", *ours], INSTALL_SECONDS, "the removal")
            except BaseException:
                self.outcome.changed = self.listing() != listing
                raise
            self._changed("packages", "".join(f"{name}\n" for name in ours), "")
        # The source first: apt never sees it without its key.
        self._write([_entry(path, was) for path, was in sorted(self.record["files"].items(), reverse=True)])
        for folder in [] if self.check else self.record["folders"]:
            with suppress(OSError):
                os.rmdir(folder)
        for user, name in gpu_groups.still_there(self.record["groups"]):
            self._changed(f"group {name}", f"{user}\n", "")
            stays = None if self.check else gpu_groups.leave(user, name, self._status)
            self.outcome.notes += [stays] if stays else []
        if self.old is not None:
            self._write([managed.Entry(self.places.record, state="absent")])
        return self.outcome

    def _removable(self, ours: list[str]) -> tuple[list[str], list[str]]:
        """Those that can go without taking others' packages along, and the rest."""
        needed: list[str] = []
        while ours and self._removes(ours) - set(ours):
            wanted = [name for name in ours if self._removes([name]) - {*ours, name}]
            needed += wanted or ours
            ours = [name for name in ours if name not in needed]
        return ours, needed

    def _removes(self, names: Sequence[str]) -> set[str]:
        said = self._apt(["--simulate", "purge", *names], UPDATE_SECONDS, "the removal")
        return set(apt_words.simulated(said).remove)

    def _put_repository(self, repository: Mapping[str, str], fingerprints: Sequence[str]) -> None:
        keyring, source = self.places.at(repository["keyring"]), self.places.at(repository["path"])
        key = self._key(repository["key"], keyring, fingerprints)
        text = repository["text"].encode()
        folder = os.path.dirname(keyring)
        # Debian 12 and Ubuntu 24.04 have it; where it is there, its mode is its owner's.
        entries = [] if os.path.isdir(folder) else [managed.Entry(folder, state="directory", mode=0o755)]
        self.record["folders"] += [entry.path for entry in entries]
        # A source that names our key is of a run whose record was lost, and so is the key.
        lost = managed.look(source).content == text
        for path, content in ((keyring, key), (source, text)):
            self._note_what_was(path, content, lost)
            entries.append(managed.Entry(path, content=content, mode=0o644))
        if not self.check:
            self._write_record()
        self._write(entries, undoable=True)

    def _note_what_was(self, path: str, content: bytes, ours: bool) -> None:
        seen = managed.look(path)
        if seen.kind == "symlink":
            what = f"{path} is a link to {seen.target}"
            do = "move the link away, then run ./colab-ready again"
            raise Stopped(Problem("xpu_files", what, "a file of its own, or nothing", do))
        if path in self.record["files"]:
            return
        was = None if ours or seen.content is None else base64.b64encode(seen.content).decode("ascii")
        self.record["files"][path] = was
        if was is not None and seen.content != content:
            self.outcome.notes.append(f"{path} was there, and is replaced; ./colab-ready remove puts it back.")

    def _key(self, address: str, keyring: str, fingerprints: Sequence[str]) -> bytes:
        """The one that is there, if it came from this address and is still whole; otherwise a fetched one."""
        early = thinking.fingerprints_problem(fingerprints, address)
        if early is not None:
            raise Stopped(early)
        seen = managed.look(keyring)
        if seen.content and self.record["key"] == redact(address):
            try:
                if thinking.key_problem(openpgp.fingerprints(seen.content), fingerprints, address) is None:
                    return seen.content
            except openpgp.NotAKey:
                pass
        shown = redact(address)
        try:
            raw = fetch(address, openpgp.KEY_BYTES_MAX, "xpu_apt_key_unreachable", "xpu_apt_key")
            key = openpgp.binary(raw)
            found = openpgp.fingerprints(key)
        except openpgp.NotAKey as error:
            what = f"what {shown} gives is no key: {error}"
            raise Stopped(Problem("xpu_apt_key", what, "a public key", "correct xpu_apt_key")) from None
        wrong = thinking.key_problem(found, fingerprints, shown)
        if wrong is not None:
            raise Stopped(wrong)
        return key

    def _put_packages(self, packages: Sequence[str], repository: Mapping[str, str] | None) -> None:
        listing = self.listing()
        before = apt_words.installed_packages(listing)
        recorded = self.record["packages"] if repository is not None else None
        missing = thinking.wanting(packages, before, recorded)
        self.outcome.packages = {name: before[name] for name in packages if name in before}
        if not missing and not self.outcome.changed:
            return
        if missing and self.check:
            # What apt would do is not known before it has read the repository.
            self._changed(
                "packages",
                lines(self.outcome.packages),
                lines({**self.outcome.packages, **dict.fromkeys(missing, "?")}),
            )
            return
        if self.check:
            return
        known, new = self.record["new"], []
        if repository is not None:
            self._read(self.places.at(repository["path"]))
        if missing:
            steps = self._simulate(missing)
            wrong = thinking.judge_steps(steps)
            if wrong is not None:
                raise Stopped(wrong)
            new = steps.new
            self.record["new"] = sorted({*known, *new})
            self._write_record()
            self.listing_before = listing
            command = ["--yes", "--no-install-recommends", "install", *missing]
            self._apt(command, INSTALL_SECONDS, "the installation")
        after = self.installed()
        gone = [name for name in packages if name not in after]
        if gone:
            raise Stopped(thinking.apt_problem(f"E: {', '.join(gone)} did not get installed", "the installation"))
        now = {name: after[name] for name in packages}
        if now != self.outcome.packages:
            self._changed("packages", lines(self.outcome.packages), lines(now))
        self.outcome.packages = now
        self.record["new"] = sorted({*known, *(name for name in new if name in after)})
        self.record["packages"] = dict(now) if repository is not None else {}
        self.record["key"] = redact(repository["key"]) if repository is not None else ""
        self._write_record()

    def _read(self, source: str) -> None:
        """This source alone, and strictly: what else is wrong on this host is not ours to refuse."""
        options = ["-o", f"Dir::Etc::sourcelist={source}", "-o", "Dir::Etc::sourceparts=-"]
        options += ["-o", "APT::Get::List-Cleanup=0", "-o", "APT::Update::Error-Mode=any"]
        self._apt([*options, "update"], UPDATE_SECONDS, "Intel's repository")

    def _simulate(self, missing: Sequence[str]) -> apt_words.Steps:
        command = ["--simulate", "--no-install-recommends", "install", *missing]
        try:
            return apt_words.simulated(self._apt(command, UPDATE_SECONDS, "Intel's packages"))
        except Stopped:
            # Lists of the distribution that are missing or old: once, and then it counts.
            self._apt(["update"], UPDATE_SECONDS, "the distribution's packages")
            return apt_words.simulated(self._apt(command, UPDATE_SECONDS, "Intel's packages"))

    def _apt(self, arguments: Sequence[str], seconds: float, where: str) -> str:
        environ = {**ENVIRONMENT, **{name: value for name, value in os.environ.items() if name.lower() in PROXIES}}
        command = [self.places.apt_get, "-o", "DPkg::Lock::Timeout=120", *arguments]
        try:
            answer = programs.ask(command, seconds, environ)
        except programs.NotAnswered as error:
            raise Stopped(
                Problem("xpu_apt", f"{where}: {error}", "an answer of apt", "run ./colab-ready again")
            ) from None
        text = answer.text + answer.errors.decode("utf-8", "replace")
        if answer.status != 0:
            raise Stopped(thinking.apt_problem(answer.errors.decode("utf-8", "replace") or text, where))
        return text

    # --- groups ---

    def _join(self, user: str, groups: Sequence[str]) -> None:
        """After the packages, as one of them may bring a group."""
        to_join = gpu_groups.look(user, groups).to_join if groups else []
        for name in to_join:
            if not self.check:
                problem = gpu_groups.join(user, name, self.record["groups"], self._write_record, self._status, "xpu")
                if problem is not None:
                    raise Stopped(problem)
            self._changed(f"group {name}", "", f"{user}\n")

    def _status(self, command: Sequence[str]) -> int:
        try:
            return programs.ask(command, GROUP_SECONDS).status
        except programs.NotAnswered:
            return 1

    # --- files ---

    def _write_record(self) -> None:
        folder = os.path.dirname(self.places.record)
        if not os.path.isdir(folder):
            managed.apply(managed.Change(folder, "make_directory", mode=0o755))
            self.made_folder = folder
        entry = managed.Entry(self.places.record, content=managed.canonical_json(self.record), mode=0o644)
        change = managed.decide(entry, managed.look(entry.path), managed.Host.here())
        if change is not None:
            managed.apply(change)

    def _write(self, entries: Sequence[managed.Entry], undoable: bool = False) -> None:
        changes, problems = managed.plan(entries, managed.Host.here(), self.check)
        if problems:
            raise Stopped(
                Problem("xpu_files", problems[0], "files of our own", "see to that, then run ./colab-ready again")
            )
        for change in changes:
            self.outcome.changed = True
            self.outcome.changed_paths.append(change.path)
            binary = change.path.endswith(".gpg")
            self.outcome.diff.append({**change.diff(), **({"before": "", "after": "a key\n"} if binary else {})})
            if self.check:
                continue
            if undoable and change.action != "make_directory":
                self.undo.append(_as_it_was(change))
            managed.apply(change)

    def _take_back(self) -> None:
        """All that was written. But what dpkg has begun stays with its record: it is mended with the repository, not without."""
        if self.listing_before is not None and self.listing() != self.listing_before:
            was, now = (apt_words.packages_with_files(one) for one in (self.listing_before, self.listing()))
            gone, came = (
                {name: one[name] for name in one if one[name] != other.get(name)}
                for one, other in ((was, now), (now, was))
            )
            self._changed("packages", lines(gone), lines(came))
            return
        self.outcome = Outcome(packages=self.outcome.packages)
        if self.check:
            return
        changes, _ = managed.plan(self.undo, managed.Host.here())
        for change in changes:
            managed.apply(change)
        for folder in self.record["folders"]:
            if self.old is None or folder not in self.old["folders"]:
                with suppress(OSError):
                    os.rmdir(folder)
        self.record = self.old or _nothing()
        if self.old is not None:
            self._write_record()
        else:
            with suppress(OSError):
                os.remove(self.places.record)
                os.rmdir(self.made_folder)

    def _changed(self, header: str, before: str, after: str) -> None:
        self.outcome.changed = True
        self.outcome.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})


def _nothing() -> dict[str, Any]:
    """A record. `files` has what was in the place of each of ours, or null for nothing; `folders` are those that we made."""
    return {"schema": 1, "packages": {}, "new": [], "files": {}, "folders": [], "key": "", "groups": []}


def _entry(path: str, was: str | None) -> managed.Entry:
    """As it was before this module."""
    if was is None:
        return managed.Entry(path, state="absent")
    return managed.Entry(path, content=base64.b64decode(was), mode=0o644)


def _as_it_was(change: managed.Change) -> managed.Entry:
    seen = managed.look(change.path)
    if seen.kind == "file":
        return managed.Entry(change.path, content=seen.content, mode=seen.mode)
    return managed.Entry(change.path, state="absent")


def lines(packages: Mapping[str, str]) -> str:
    return "".join(f"{name} {packages[name]}\n" for name in sorted(packages))

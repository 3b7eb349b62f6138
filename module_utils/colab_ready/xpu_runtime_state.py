# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel's compute runtime as one state: its repository with key, the packages, and who may open the GPU; and back again.

The order is such that nothing is left half done: the key is looked at before it is written, the repository is read and the
installation is simulated before a package is touched, and what was written is taken back where one of these fails.
"""

from __future__ import annotations

import os
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible.module_utils.colab_ready import apt_words, gpu_groups, managed, openpgp, programs
from ansible.module_utils.colab_ready import xpu_runtime_plan as thinking
from ansible.module_utils.colab_ready.host import read_json, run
from ansible.module_utils.colab_ready.pip_config import redact
from ansible.module_utils.colab_ready.preflight import Problem

UPDATE_SECONDS = 300.0
INSTALL_SECONDS = 1800.0
KEY_SECONDS = 30.0
GROUP_SECONDS = 60.0
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "ALL_PROXY", "all_proxy")


class Stopped(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.sentence())
        self.problem = problem


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
        self.record: dict[str, Any] = read_json(places.record) or {}
        self.outcome = Outcome()
        self.undo: list[managed.Entry] = []

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
        except Stopped:
            self._take_back()
            raise
        # Where this fails, what is installed stays.
        self._join(user, groups)
        return self.outcome

    def absent(self) -> Outcome:
        """What this module put there, and nothing else."""
        ours, needed = self._removable([name for name in self.record.get("new", []) if name in self.installed()])
        if needed:
            self.outcome.notes.append(
                f"These packages of Intel's runtime stay, as others need them: {', '.join(needed)}."
            )
        if ours:
            if not self.check:
                self._apt(["--yes", "remove", *ours], INSTALL_SECONDS, "the removal")
            self._changed("packages", "".join(f"{name}\n" for name in ours), "")
        paths = [path for path in self.record.get("paths", []) if os.path.lexists(path)]
        self._write([managed.Entry(path, state="absent") for path in paths])
        for user, name in gpu_groups.still_there(self.record.get("groups", [])):
            self._changed(f"group {name}", f"{user}\n", "")
            stays = None if self.check else gpu_groups.leave(user, name, self._status)
            self.outcome.notes += [stays] if stays else []
        if self.record:
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
        said = self._apt(["--simulate", "remove", *names], UPDATE_SECONDS, "the removal")
        return set(apt_words.simulated(said).remove)

    def _put_repository(self, repository: Mapping[str, str], fingerprints: Sequence[str]) -> None:
        keyring, source = self.places.at(repository["keyring"]), self.places.at(repository["path"])
        key = self._key(repository["key"], keyring, fingerprints)
        folder = os.path.dirname(keyring)
        # Debian 12 and Ubuntu 24.04 have it; where it is there, its mode is its owner's.
        entries = [] if os.path.isdir(folder) else [managed.Entry(folder, state="directory", mode=0o755)]
        entries.append(managed.Entry(keyring, content=key, mode=0o644))
        entries.append(managed.Entry(source, content=repository["text"].encode(), mode=0o644))
        self._write(entries, undoable=True)

    def _key(self, address: str, keyring: str, fingerprints: Sequence[str]) -> bytes:
        """The one that is there, if it came from this address and is still whole; otherwise a fetched one."""
        early = thinking.fingerprints_problem(fingerprints, address)
        if early is not None:
            raise Stopped(early)
        seen = managed.look(keyring)
        if seen.content and self.record.get("key") == redact(address):
            try:
                if thinking.key_problem(openpgp.fingerprints(seen.content), fingerprints, address) is None:
                    return seen.content
            except openpgp.NotAKey:
                pass
        shown = redact(address)
        try:
            key = openpgp.binary(fetch(address))
            found = openpgp.fingerprints(key)
        except openpgp.NotAKey as error:
            what = f"what {shown} gives is no key: {error}"
            raise Stopped(Problem("xpu_apt_key", what, "a public key", "correct xpu_apt_key")) from None
        except OSError as error:
            why = getattr(error, "reason", error)
            raise Stopped(
                Problem(
                    "xpu_apt_key_unreachable",
                    f"the key {shown} cannot be fetched ({why})",
                    "the key of Intel's repository",
                    "look whether this computer reaches it (a proxy?), or set xpu_apt_key to a mirror or to file:///FILE",
                )
            ) from None
        wrong = thinking.key_problem(found, fingerprints, shown)
        if wrong is not None:
            raise Stopped(wrong)
        return key

    def _put_packages(self, packages: Sequence[str], repository: Mapping[str, str] | None) -> None:
        listing = self.listing()
        before = apt_words.installed_packages(listing)
        recorded = self.record.get("packages", {}) if repository is not None else None
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
        new: list[str] = []
        if repository is not None:
            self._read(self.places.at(repository["path"]))
        if missing:
            steps = self._simulate(missing)
            wrong = thinking.judge_steps(steps)
            if wrong is not None:
                raise Stopped(wrong)
            new = steps.new
            try:
                self._apt(
                    ["--yes", "--no-install-recommends", "install", *missing], INSTALL_SECONDS, "the installation"
                )
            except Stopped:
                if self.listing() != listing:
                    # What is installed half is mended with the repository, not without.
                    self.undo = []
                raise
        after = self.installed()
        gone = [name for name in packages if name not in after]
        if gone:
            raise Stopped(thinking.apt_problem(f"E: {', '.join(gone)} did not get installed", "the installation"))
        now = {name: after[name] for name in packages}
        if now != self.outcome.packages:
            self._changed("packages", lines(self.outcome.packages), lines(now))
        self.outcome.packages = now
        self._remember(now, [name for name in new if name in after], repository)

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
        environ = {
            "DEBIAN_FRONTEND": "noninteractive",
            **{key: os.environ[key] for key in PROXIES if key in os.environ},
        }
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
        if to_join and not self.check:
            # On a host that had it all no run has written one yet.
            self.record = {"schema": 1, "groups": [], **self.record}
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

    def _remember(self, packages: Mapping[str, str], new: Sequence[str], repository: Mapping[str, str] | None) -> None:
        self.record = {
            "schema": 1,
            "packages": dict(packages) if repository is not None else {},
            "new": sorted({*self.record.get("new", []), *new}),
            "paths": [self.places.at(repository[key]) for key in ("path", "keyring")] if repository else [],
            "key": redact(repository["key"]) if repository else "",
            "groups": self.record.get("groups", []),
        }
        self._write_record()

    def _write_record(self) -> None:
        folder = os.path.dirname(self.places.record)
        if not os.path.isdir(folder):
            managed.apply(managed.Change(folder, "make_directory", mode=0o755))
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
        """All that was written, but not packages that dpkg stopped half-way in."""
        self.outcome.changed, self.outcome.diff, self.outcome.changed_paths = False, [], []
        if self.check:
            return
        changes, _ = managed.plan(self.undo, managed.Host.here())
        for change in changes:
            managed.apply(change)

    def _changed(self, header: str, before: str, after: str) -> None:
        self.outcome.changed = True
        self.outcome.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})


def _as_it_was(change: managed.Change) -> managed.Entry:
    seen = managed.look(change.path)
    if seen.kind == "file":
        return managed.Entry(change.path, content=seen.content, mode=seen.mode)
    return managed.Entry(change.path, state="absent")


def lines(packages: Mapping[str, str]) -> str:
    return "".join(f"{name} {packages[name]}\n" for name in sorted(packages))


def fetch(address: str) -> bytes:
    """A key. Or an OSError."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "file":
        with open(urllib.parse.unquote(parts.path), "rb") as stream:
            return stream.read(openpgp.KEY_BYTES_MAX)
    if parts.scheme not in ("http", "https"):
        raise OSError(f"{redact(address)} is no address")
    try:
        with urllib.request.urlopen(address, timeout=KEY_SECONDS) as answer:
            return bytes(answer.read(openpgp.KEY_BYTES_MAX))
    except ValueError as error:
        raise OSError(str(error)) from None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the rules of policy.py to this host: look, report, and (except in check mode) repair."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..core.origin import check_origin
from ..core.problem import Refused, explain
from ..files.changes import Changes
from ..files.guarded_paths import Attributes
from ..files.journal import Journal
from ..files.safe_open import read_bytes
from ..wsl import registry as windows_registry
from ..wsl.registry import POLICIES_KEY, ChangeRefused, Entry, Registry, Value
from ..wsl.version import wsl_facts
from .policy import (
    BROWSERS,
    FILE,
    LOOPBACK,
    OLDER,
    Plan,
    RegistryPlan,
    holds,
    missing_keys,
    plan_file,
    plan_registry,
    read_policies,
    render,
    with_parents,
)

# Our files are known by their name.
RECORD = {"directories": [str], "entries": [{"key": str, "name": str, "data": str}], "keys": [str]}


class Step(NamedTuple):
    """One change of the registry: an entry made, or an entry or a key (`gone`) taken away."""

    subject: Entry | str
    gone: bool = True

    @property
    def command(self) -> list[str]:
        return windows_registry.change_command(self.subject, self.gone)

    @property
    def place(self) -> str:
        one = self.subject
        return one if isinstance(one, str) else "%s\\%s" % (one.key, one.name)

    @property
    def content(self) -> str:
        return "key" if isinstance(self.subject, str) else self.subject.data


class Repair:
    """One run over one host. What it finds and changes is collected in its attributes."""

    def __init__(self, params: Mapping[str, Any], check: bool) -> None:
        self.changes = Changes(check)
        self.journal = Journal(self.changes, os.path.abspath(params["state_file"]), RECORD)
        self.origin = params["origin"]
        self.policies = [LOOPBACK, OLDER] if params["older_browsers"] else [LOOPBACK]
        self.etc = params["etc"]
        # None where there is no Windows around this host, or it is to be left alone.
        self.registry: Registry | None = None
        if params["windows"] == "auto" and wsl_facts(params["proc"], run_dir=params["run"]):
            places = (params["reg"], params["etc"], params["proc"], params["run"])
            self.registry = Registry(*places, timeout_seconds=params["timeout_seconds"])
        self.grants: list[dict[str, str]] = []
        self.problems: list[str] = []
        self._attributes = Attributes(os.geteuid(), os.getegid(), 0o644)

    @property
    def entries(self) -> list[Entry]:
        """What of ours the registry has, as far as it is known."""
        return [Entry(**one) for one in self.journal.data["entries"]]

    def run(self, wanted: Sequence[str]) -> None:
        """Let these browsers have the policy, and no others."""
        record = self.journal.read("entries in the registry and folders made before are not removed with the rest")
        try:
            for name in BROWSERS:
                for folder in BROWSERS[name].folders:
                    self._file(name, os.path.join(self.etc, folder), name in wanted)
            record["directories"] = self.changes.remove_directories(record["directories"])
            # The entries of others are asked for only where ours are wanted or known: nothing of Windows is started else.
            if self.registry is not None and (wanted or record["entries"] or record["keys"]):
                self._registry(self.registry, wanted)
        finally:
            self.journal.write()

    def _told(self, name: str, plan: Plan | RegistryPlan) -> None:
        self.grants += [{"browser": name, "policy": policy, "place": place} for policy, place in plan.grants.items()]
        self.problems += plan.problems

    # ---- files --------------------------------------------------------------------------------

    def _file(self, name: str, folder: str, wanted: bool) -> None:
        path = os.path.join(folder, FILE)
        plan = Plan({}, {}, [])
        if wanted:
            title = BROWSERS[name].title
            plan = plan_file(title, path, _others(folder), self.policies, self.origin)
        content = render(plan.content)
        if content:
            directory = self._attributes._replace(mode=0o755)
            # Only what is missing is made; a folder that is there keeps its rights.
            made = self.changes.ensure_directory(folder, directory, directory, exact=False)
            known = self.journal.data["directories"]
            known += [one for one in made if one not in known]
        self.changes.put(path, content or None, self._attributes)
        self._told(name, plan)

    # ---- the registry -------------------------------------------------------------------------

    def _registry(self, registry: Registry, wanted: Sequence[str]) -> None:
        record, ours = self.journal.data, self.entries
        known = [name for name in BROWSERS if any(_below(name, one) for one in [*record["keys"], *_keys_of(ours)])]
        keys = _look(registry, "HKLM", list(dict.fromkeys([*wanted, *known])))
        if wanted:
            keys.update(_look(registry, "HKCU", wanted))
        entries: list[Entry] = []
        additions: list[Entry] = []
        for name in wanted:
            plan = plan_registry(BROWSERS[name], keys, ours, self.policies, self.origin)
            entries += plan.entries
            additions += plan.add
            self._told(name, plan)

        drop = [entry for entry in ours if entry not in entries]
        steps = [Step(entry, gone=False) for entry in additions]
        steps += [Step(entry) for entry in drop if holds(keys, entry)]
        made = missing_keys(_keys_of(additions), keys)
        left = self._empty_keys(registry, keys, entries, drop)
        steps += [Step(key) for key in left]
        # What is not there any more is not ours any more.
        record["entries"] = [entry._asdict() for entry in ours if holds(keys, entry)]
        record["keys"] = [key for key in record["keys"] if key.lower() in keys]
        self._take(registry, steps, made)

    def _empty_keys(
        self, registry: Registry, keys: dict[str, list[Value]], entries: list[Entry], drop: list[Entry]
    ) -> list[str]:
        """Those of the keys that were made here in which nothing will be left, innermost first."""
        needed = {one.lower() for entry in entries for one in with_parents(entry.key)}
        candidates = [key for key in self.journal.data["keys"] if key.lower() not in needed]
        gone: list[str] = []
        for key in sorted(candidates, key=len, reverse=True):
            # Deleting a key takes all below it along, so all of it is looked at, whoever's it is.
            found = registry.query(key, deep=True)
            if found is None:
                keys.pop(key.lower(), None)
                continue
            found = {key.lower(): [], **found}
            keys.update(found)
            dropped = {(entry.key.lower(), entry.name) for entry in drop}
            values = [one for one in found for value in found[one] if (one, value.name) not in dropped]
            below = set(found) - {key.lower(), *(one.lower() for one in gone)}
            if not values and not below:
                gone.append(key)
        return gone

    def _take(self, registry: Registry, steps: list[Step], made: list[str]) -> None:
        for number, step in enumerate(steps):
            if not self.changes.check:
                try:
                    registry.change(step.command)
                except ChangeRefused as error:
                    left = "; ".join(" ".join(one.command) for one in steps[number:])
                    raise Refused(refused(str(error), left)) from None
                self._remember(step, made)
            absent = "%s: absent\n" % step.place
            there = "%s: %s\n" % (step.place, step.content)
            self.changes.note(step.place, *((there, absent) if step.gone else (absent, there)))

    def _remember(self, step: Step, made: list[str]) -> None:
        """Step by step, so that a later refusal does not make us forget what was done."""
        record = self.journal.data
        if isinstance(step.subject, str):
            record["keys"].remove(step.subject)
        elif step.gone:
            record["entries"].remove(step.subject._asdict())
        else:
            above = [key for key in made if key in with_parents(step.subject.key) and key not in record["keys"]]
            record["entries"].append(step.subject._asdict())
            record["keys"] += above


# ---- all of it --------------------------------------------------------------------------------


def settle(params: Mapping[str, Any], check: bool) -> tuple[dict[str, Any], list[str]]:
    """What the module browser_policy does with its parameters; its result, with the problems in it, and warnings."""
    repair = Repair(params, check)
    changes, problems = repair.changes, repair.problems
    try:
        check_origin(params["origin"])
        repair.run([name for name in BROWSERS if name in params["browsers"]] if params["state"] == "present" else [])
    except (Refused, OSError) as error:
        problems.append(explain(error, params["etc"]))
    result = {
        "changed": bool(changes.places),
        "changed_places": changes.places,
        "grants": repair.grants,
        "problems": problems,
        "diff": changes.diff,
    }
    return result, changes.warnings


# ---- looking ----------------------------------------------------------------------------------


def _others(folder: str) -> dict[str, dict[str, Any]]:
    """What the other files of a folder set, by path. The browser reads whatever lies there, over links too."""
    found: dict[str, dict[str, Any]] = {}
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return found
    for name in names:
        path = os.path.join(folder, name)
        if name != FILE:
            with suppress(OSError):
                found[path] = read_policies(read_bytes(path, follow=True))
    return found


def _look(registry: Registry, hive: str, browsers: Sequence[str]) -> dict[str, list[Value]]:
    """The policies of these browsers in one hive; of keys beside theirs only that they are there."""
    top = "\\".join((hive, POLICIES_KEY))
    vendors = registry.query(top) or {}
    keys = dict(vendors)
    for name in browsers:
        # Without the vendor's key there is no need to ask for the browser's.
        if "\\".join((top, BROWSERS[name].key.partition("\\")[0])).lower() in vendors:
            key = "\\".join((top, BROWSERS[name].key))
            found = registry.query(key, deep=True)
            if found is not None:
                keys.update({key.lower(): [], **found})
    return keys


def _below(name: str, key: str) -> bool:
    root = "\\".join(("HKLM", POLICIES_KEY, BROWSERS[name].key))
    return (key + "\\").lower().startswith(root.lower() + "\\")


def _keys_of(entries: list[Entry]) -> list[str]:
    return [entry.key for entry in entries]


# ---- telling ----------------------------------------------------------------------------------


def refused(said: str, commands: str) -> str:
    # The commands come last and without a full stop, so that they can be copied.
    return (
        "Windows did not let its registry be changed (it says %r). Expected the rights of an administrator, since what a "
        "browser's policy says is for an administrator to decide. Open the WSL window with Run as administrator and do "
        "this again; or leave Windows out (./colab-ready -e browser_policy_windows=never); or have an administrator run in "
        "Windows' PowerShell: %s" % (said, commands)
    )

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of browser_policy, applied to this host: look, say, and (but for check mode) repair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ansible.module_utils.colab_ready import windows_registry
from ansible.module_utils.colab_ready.browser_policy import (
    BROWSERS,
    FILE,
    LOOPBACK,
    OLDER,
    POLICIES_KEY,
    Entry,
    Plan,
    Value,
    check_origin,
    holds,
    missing_keys,
    plan_file,
    plan_registry,
    read_policies,
    render,
)
from ansible.module_utils.colab_ready.extension import Problem, describe, ensure_directories, write_record
from ansible.module_utils.colab_ready.files.safe_open import parse_object, read_bytes
from ansible.module_utils.colab_ready.guarded_paths import (
    Attributes,
    UnsafePath,
    look,
    look_at,
    open_directory,
    read,
    write,
)
from ansible.module_utils.colab_ready.guarded_paths import Entry as Found
from ansible.module_utils.colab_ready.host import wsl_facts
from ansible.module_utils.colab_ready.managed import explain
from ansible.module_utils.colab_ready.windows_registry import Refused, Registry

SCHEMA = 1


class Settings(NamedTuple):
    """`registry` is None where there is no Windows around this host, or it is to be left alone."""

    origin: str
    policies: list[str]
    browsers: list[str]
    etc: str
    registry: Registry | None
    state_file: str
    check: bool


class State(NamedTuple):
    """What was put here, so that this and nothing else is taken away. Our files are known by their name."""

    directories: list[str]
    entries: list[Entry]
    keys: list[str]


NOTHING = State([], [], [])
NO_SETTINGS = Settings("", [], [], "", None, "", True)


class Step(NamedTuple):
    """One change of the registry: an entry made, or an entry or a key (`gone`) taken away."""

    command: list[str]
    subject: Entry | str
    gone: bool = False

    @property
    def place(self) -> str:
        one = self.subject
        return one if isinstance(one, str) else "%s\\%s" % (one.key, one.name)

    @property
    def content(self) -> str:
        return "key" if isinstance(self.subject, str) else self.subject.data


class Repair:
    """One run over one host. What it finds and changes is collected in its attributes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.before = ""
        self.after = ""
        self.places: list[str] = []
        self.grants: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self._attributes = Attributes(os.geteuid(), os.getegid(), 0o644)
        self._state = NOTHING
        self._record_is_broken = False
        # Our files: those that stay or come, and those that go.
        self._files: set[str] = set()
        self._gone: set[str] = set()

    def converge(self) -> None:
        self._run(self.settings.browsers)

    def remove(self) -> None:
        self._run([])

    def _run(self, wanted: list[str]) -> None:
        before = self._state = self._read_state()
        try:
            for name in BROWSERS:
                for folder in BROWSERS[name].folders:
                    self._file(name, os.path.join(self.settings.etc, folder), name in wanted)
            self._drop_directories()
            # The entries of others are asked for only where ours are wanted or known: nothing of Windows is started else.
            if self.settings.registry is not None and (wanted or before.entries or before.keys):
                self._registry(self.settings.registry, wanted)
        finally:
            self._write_state(before)

    def _change(self, place: str, before: str, after: str) -> None:
        self.places.append(place)
        self.before += before
        self.after += after

    def _grant(self, name: str, policy: str, place: str) -> None:
        self.grants.append({"browser": name, "policy": policy, "place": place})

    # ---- files --------------------------------------------------------------------------------

    def _file(self, name: str, folder: str, wanted: bool) -> None:
        path = os.path.join(folder, FILE)
        plan = Plan({}, {}, [])
        if wanted:
            title = BROWSERS[name].title
            plan = plan_file(title, path, _others(folder), self.settings.policies, self.settings.origin)
        content = render(plan.content)
        if content:
            directory = self._attributes._replace(mode=0o755)
            # Only what is missing is made; a folder that is there keeps its rights.
            if not os.path.isdir(folder):
                made, _ = ensure_directories({folder: directory}, directory, self.settings.check)
                if not self.settings.check:
                    known = self._state.directories
                    self._state = self._state._replace(directories=[*known, *(one for one in made if one not in known)])
                for one in made:
                    self._change(one, describe(one, None), describe(one, Found("directory", *directory, links=0)))
        (self._files if content else self._gone).add(path)
        self._put(folder, path, content)
        for policy, place in plan.grants.items():
            self._grant(name, policy, place)
        self.problems += plan.problems

    def _put(self, folder: str, path: str, content: bytes) -> None:
        """Our file with this content and everybody's to read, or (empty) none."""
        result = Found("file", *self._attributes, links=1) if content else None
        try:
            with open_directory(folder) as handle:
                found = look_at(handle, FILE)
                if found is not None and found.kind not in ("file", "link"):
                    raise Problem("%s is a %s. Expected a file, or nothing. Move it away." % (path, found.kind))
                # A link is replaced, unread.
                now = read(handle, FILE) if found is not None and found.kind == "file" else None
                if content and found is not None and now == content and found.attributes == self._attributes:
                    return
                if not content and found is None:
                    return
                if not self.settings.check:
                    if content:
                        write(handle, FILE, content, self._attributes)
                    else:
                        os.unlink(FILE, dir_fd=handle)
        except FileNotFoundError:
            if not content:
                return
            if not self.settings.check:
                raise
            found, now = None, None
        self._change(path, describe(path, found, now), describe(path, result, content or None))

    def _drop_directories(self) -> None:
        """Remove those of the directories made here that nothing needs any more."""
        gone: set[str] = set()
        for path in reversed(self._state.directories):
            parent, name = os.path.split(path)
            if any(one.startswith(path + "/") for one in self._files):
                continue
            try:
                with open_directory(path) as itself:
                    # In check mode, what would be gone is there still.
                    left = {os.path.join(path, child) for child in os.listdir(itself)} - gone - self._gone
                    entry = look(itself)
                if left:
                    continue
                if not self.settings.check:
                    with open_directory(parent) as handle:
                        os.rmdir(name, dir_fd=handle)
            except FileNotFoundError:
                gone.add(path)
                continue
            gone.add(path)
            self._change(path, describe(path, entry), describe(path, None))
        kept = [path for path in self._state.directories if path not in gone]
        self._state = self._state._replace(directories=kept)

    # ---- the registry -------------------------------------------------------------------------

    def _registry(self, registry: Registry, wanted: list[str]) -> None:
        settings, state = self.settings, self._state
        known = [name for name in BROWSERS if any(_below(name, one) for one in [*state.keys, *_keys_of(state.entries)])]
        keys = _look(registry, "HKLM", list(dict.fromkeys([*wanted, *known])))
        if wanted:
            keys.update(_look(registry, "HKCU", wanted))
        entries: list[Entry] = []
        additions: list[Entry] = []
        for name in wanted:
            plan = plan_registry(BROWSERS[name], keys, state.entries, settings.policies, settings.origin)
            entries += plan.entries
            additions += plan.add
            self.problems += plan.problems
            for policy, place in plan.grants.items():
                self._grant(name, policy, place)

        drop = [entry for entry in state.entries if entry not in entries]
        steps = [Step(windows_registry.add_command(entry), entry) for entry in additions]
        steps += [Step(windows_registry.delete_command(one), one, gone=True) for one in drop if holds(keys, one)]
        made = missing_keys(_keys_of(additions), keys)
        left = self._empty_keys(registry, keys, entries, drop)
        steps += [Step(windows_registry.delete_key_command(key), key, gone=True) for key in left]
        # What is not there any more is not ours any more.
        self._state = state._replace(
            entries=[entry for entry in state.entries if holds(keys, entry)],
            keys=[key for key in state.keys if key.lower() in keys],
        )
        self._take(registry, steps, made)

    def _empty_keys(
        self, registry: Registry, keys: dict[str, list[Value]], entries: list[Entry], drop: list[Entry]
    ) -> list[str]:
        """Those of the keys that were made here in which nothing will be left, innermost first."""
        needed = {one.lower() for entry in entries for one in _with_parents(entry.key)}
        candidates = [key for key in self._state.keys if key.lower() not in needed]
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
            if not self.settings.check:
                try:
                    registry.change(step.command)
                except Refused as error:
                    left = "; ".join(" ".join(one.command) for one in steps[number:])
                    raise Problem(refused(str(error), left)) from None
                self._remember(step, made)
            absent = "%s: absent\n" % step.place
            there = "%s: %s\n" % (step.place, step.content)
            self._change(step.place, *((there, absent) if step.gone else (absent, there)))

    def _remember(self, step: Step, made: list[str]) -> None:
        """Step by step, so that a later refusal does not make us forget what was done."""
        state = self._state
        if isinstance(step.subject, str):
            self._state = state._replace(keys=[key for key in state.keys if key != step.subject])
        elif step.gone:
            self._state = state._replace(entries=[entry for entry in state.entries if entry != step.subject])
        else:
            above = [key for key in made if key in _with_parents(step.subject.key) and key not in state.keys]
            self._state = state._replace(entries=[*state.entries, step.subject], keys=[*state.keys, *above])

    # ---- what was put here --------------------------------------------------------------------

    def _read_state(self) -> State:
        parent, name = os.path.split(self.settings.state_file)
        try:
            with open_directory(parent) as handle:
                data = parse_object(read(handle, name)) or {}
            entries = [Entry(str(one["key"]), str(one["name"]), str(one["data"])) for one in data["entries"]]
            return State([str(one) for one in data["directories"]], entries, [str(one) for one in data["keys"]])
        except FileNotFoundError:
            return NOTHING
        except (OSError, KeyError, TypeError) as error:
            self._record_is_broken = True
            self.warnings.append(
                "%s, the record of what was put here, could not be read (%s). It is begun anew; entries in the registry and "
                "folders made before are not removed with the rest." % (self.settings.state_file, error)
            )
            return NOTHING

    def _write_state(self, before: State) -> None:
        if self.settings.check or (before == self._state and not self._record_is_broken):
            return
        data: dict[str, Any] = self._state._asdict()
        data["entries"] = [entry._asdict() for entry in self._state.entries]
        write_record(self.settings.state_file, None if self._state == NOTHING else {"schema": SCHEMA, **data})


# ---- all of it --------------------------------------------------------------------------------


def settle(params: Mapping[str, Any], check: bool) -> tuple[dict[str, Any], list[str]]:
    """What the module browser_policy does with its parameters; its result, with the problems in it, and warnings."""
    repair = Repair(NO_SETTINGS)
    stopped = ""
    try:
        repair = Repair(settings_of(params, check))
        if params["state"] == "present":
            repair.converge()
        else:
            repair.remove()
    except Problem as error:
        stopped = str(error)
    except UnsafePath as error:
        stopped = "%s. Expected directories that only root writes to. Replace the link by a directory." % error
    except OSError as error:
        stopped = explain(error, str(error.filename or params["etc"]))
    result = {
        "changed": bool(repair.places),
        "changed_places": repair.places,
        "grants": repair.grants,
        "problems": [*repair.problems, *([stopped] if stopped else [])],
        "diff": {"before": repair.before, "after": repair.after},
    }
    return result, repair.warnings


def settings_of(params: Mapping[str, Any], check: bool) -> Settings:
    registry = None
    if params["windows"] == "auto" and wsl_facts(params["proc"], run_dir=params["run"]):
        places = (params["reg"], params["etc"], params["proc"], params["run"])
        registry = Registry(*places, timeout_seconds=params["timeout_seconds"])
    return Settings(
        origin=check_origin(params["origin"]),
        policies=[LOOPBACK, OLDER] if params["older_browsers"] else [LOOPBACK],
        browsers=[name for name in BROWSERS if name in params["browsers"]],
        etc=params["etc"],
        registry=registry,
        state_file=os.path.abspath(params["state_file"]),
        check=check,
    )


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


def _look(registry: Registry, hive: str, browsers: list[str]) -> dict[str, list[Value]]:
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


def _with_parents(key: str) -> list[str]:
    names = key.split("\\")
    return ["\\".join(names[:depth]) for depth in range(1, len(names) + 1)]


# ---- telling ----------------------------------------------------------------------------------


def refused(said: str, commands: str) -> str:
    # The commands come last and without a full stop, so that they can be copied.
    return (
        "Windows did not let its registry be changed (it says %r). Expected the rights of an administrator, since what a "
        "browser's policy says is for an administrator to decide. Open the WSL window with Run as administrator and do "
        "this again; or leave Windows out (-e browser_policy_windows=never); or have an administrator run in Windows' "
        "PowerShell: %s" % (said, commands)
    )

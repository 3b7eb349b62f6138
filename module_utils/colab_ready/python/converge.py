# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's part of an environment: look at it, compare it with what is wanted, and take the steps between the two.

All of it runs in one process with the rights of the environment's owner (boundary.py), who may have put anything there.
What that process cannot do, or must not choose, it asks for (`Needs`), and is started again with it. What is to be done
is decided in environment.py (`compare`) and said before anything is touched, so check mode and the real run differ only
in that the steps are not taken. Each step can be interrupted: the note in the environment says that a build is under
way, and the next run looks at what is really there.
"""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from ..core.redact import redact
from ..core.remedy import give, reset
from ..files.removal import remove_path
from ..files.safe_open import read_text
from ..files.trust import distrust_tree
from ..process.run import child_environment
from . import environment, fetched, interpreters, wheel
from . import lock as lock_file
from .environment import Desired, Installed, Interpreter, Plan
from .installer import Installer, Outcome, Work, empty_folder
from .trusted import ROOT, distrusted
from .uv import ANSWER_SECONDS, ENDS, INSTALL_SECONDS, Failure, as_failure, execute, make_lock

# An environment with torch has some 60,000 files.
FILES_MOST = 1_000_000
# Why root is asked to empty an environment.
BEYOND_REPAIR = "what was there could not be repaired and was built anew"
FOREIGN = "folders of another user are in the way (`sudo pip` leaves such), so it was built anew"


class Needs(Exception):
    """What the work cannot go on without: uv, python (a fetched one), room (an empty folder)."""


def attempt(work: Work) -> dict[str, Any]:
    """Do the work and return its outcome as JSON can say it, with what it needs or why it failed."""
    convergence = Convergence(work)
    outcome = convergence.outcome
    try:
        convergence.converge()
    except Needs as needs:
        outcome.needs = list(needs.args)
    except ENDS as error:
        failure = as_failure(convergence.doing, error)
        outcome.failure, outcome.kind = str(failure), failure.kind
    return asdict(outcome)


class Convergence(Installer):
    """One environment and what is wanted of it."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.outcome = Outcome(before=list(work.before), reasons=list(work.reasons))
        self.fetched = ""
        self.memory: dict[str, Any] = {}

    def converge(self) -> None:
        usable, why_new = self._look()
        self.fresh = usable is None
        found = self.interpreter = usable or self._choose_python()
        self.markers = self.interpreter.markers()
        self.site = environment.site_packages(self.path, self.interpreter.series)
        self.desired = self._read_desired()
        self.memory = {} if self.fresh else environment.read_memory(self.path)
        installed = {} if self.fresh else environment.scan(self.site)
        # Before a rebuild this is what is lost.
        before = scan_any(self.path) if self.fresh else installed
        self.plan = self._compare(installed, self.memory)
        lost = environment.lost_files(self.path, self.memory)
        # Without our note nobody knows what is lost, so the environment itself is made again, around what is installed.
        self.plan.itself = bool(lost) or not (self.fresh or self.memory)
        self.plan.reasons += lost
        reasons = self._reasons(why_new, installed)
        self.pin_sources = {str(k): str(v) for k, v in (self.memory.get("pinned") or {}).items()}
        self.outcome.changed = self.fresh or not self.plan.empty or bool(reasons)
        self.outcome.reasons.extend(one for one in reasons if one not in self.outcome.reasons)
        self.outcome.before = self.outcome.before or environment.listing(before)
        if self.outcome.changed and self.work.check_mode:
            self.outcome.after = environment.predicted(self.desired, self.plan, installed, self.memory)
        else:
            installed = self._carry_out() if self.outcome.changed else installed
            self.outcome.after = environment.listing(installed)
        self.outcome.packages = {name: package.version for name, package in sorted(installed.items())}
        self.outcome.python = {"path": self.python, "version": found.version, "base": found.base}
        self.outcome.pinned = self.pin_sources
        self.outcome.notes = [redact(note) for note in self.sources.notes]
        self.outcome.left_out = [redact(note) for note in self.left_out]

    def _reasons(self, why_new: str, installed: Mapping[str, Installed]) -> list[str]:
        # A folder that was emptied for this is one that had its reason.
        reasons = [one for one in ("" if self.work.reasons else why_new, self.fetched) if one]
        if self.fresh:
            return reasons
        reasons = reasons or self.plan.reasons or self._constraints_differ(installed)
        if not reasons and self.memory.get("state") != "complete":
            reasons = ["the last build did not end" if self.memory else "it was not recorded yet"]
        return reasons

    # -- changing

    def _carry_out(self) -> dict[str, Installed]:
        # Before anything is touched: without it nothing can be put in place of what is taken away.
        needs = ["uv"] if (self.fresh or self.plan.for_uv) and self.work.uv is None else []
        needs += ["room"] if self.fresh and os.listdir(self.path) else []
        if needs:
            raise Needs(*needs)
        changeable = "" if self.fresh else self._changeable(whole=True)
        if changeable:
            self.outcome.reasons.append(changeable)
            raise Needs("room")
        try:
            return self._take_steps()
        except (Failure, OSError) as error:
            failure = as_failure(self.doing, error)
        if self.fresh and not environment.scan(self.site):
            # Nothing came of it, so nothing stays of it.
            with suppress(OSError):
                empty_folder(self.path)
        foreign = failure.kind == "permission" and self._foreign_folder()
        if self.fresh or not (foreign or failure.kind == "damaged"):
            raise failure
        # uv itself cannot read what lies there, or may not touch it: nothing in it can be trusted to be repaired in place.
        self.outcome.reasons.append(FOREIGN if foreign else BEYOND_REPAIR)
        raise Needs("room")

    def _take_steps(self) -> dict[str, Installed]:
        kept: dict[str, Any] = {key: value for key, value in self.memory.items() if key in environment.MEMORY_PARTS}
        needs_uv = self.fresh or self.plan.for_uv
        if needs_uv:
            self._check_uv()
            make_lock(self.path)
        self._remember({**kept, "made": self.memory.get("made", []), "state": "building"})
        if needs_uv:
            self._drop_unreadable()
        if self.fresh or self.plan.itself:
            # Around what is installed bin/python stays the link that it is.
            began = time.time()
            self._make_venv(self.interpreter.executable if self.fresh else os.readlink(self.python))
            if not self.memory:
                self.memory["made"] = environment.own_files(self.path, began)
                self._remember({**kept, "made": self.memory["made"], "state": "building"})
        # Found before anything is installed: no source for them, and nothing is half there.
        for pins, order in [(pins, self._find_pins(pins)) for pins in self._pin_groups()]:
            if order is not None:
                self._install_pins(pins, order)
        if self.plan.locked:
            self._install_locked()
        self._write_constraints(environment.scan(self.site))
        if self.plan.packages:
            self._install_packages()
        for package in self.plan.local:
            self._install_local(package)
        for name in environment.bundled_hsa(self.site) if self.work.request.drop_bundled_hsa else []:
            os.unlink(os.path.join(self.site, name))
        if self.work.request.compile_bytecode and self.memory.get("state") == "building":
            # uv compiles last, and what it installs alone: it was ended before that.
            argv = [self.python, "-I", "-m", "compileall", "-q", "-j", "0", self.site]
            execute(argv, child_environment(self.account, None), INSTALL_SECONDS)
        installed = environment.scan(self.site)
        memory = self._new_memory(installed)
        # A card's own packages are 1 GB each, and those of the last card go.
        unneeded = environment.unneeded(self.site, installed, kept.get("brought", {}), self.desired, self.markers)
        self.outcome.reasons.extend(f"{installed[name]} is not needed any more" for name in unneeded)
        gone = {*unneeded, *environment.compare(self.desired, installed, {}, memory).remove}
        if gone:
            self._remove(gone)
            installed = environment.scan(self.site)
        left = self._compare(installed, memory)
        if not left.empty:
            raise Failure(
                f"{self.doing}: uv said it was done, but {'; '.join(left.reasons[:5])}. Expected everything that was "
                "installed to be there. Run this again; if it stays, something changes the folder at the same time.",
                kind="incomplete",
            )
        self._write_constraints(installed)
        self._remember(memory)
        if needs_uv:
            self._note_disagreements()
            with suppress(OSError):
                os.unlink(os.path.join(self.path, ".lock"))
            # After a success nobody needs it; after a failure the next run goes on with it.
            with suppress(OSError):
                empty_folder(self.cache)
        return installed

    def _new_memory(self, installed: Mapping[str, Installed]) -> dict[str, Any]:
        resolved = environment.required_by(self.site, installed, self.desired.packages, self.markers)
        return {
            "state": "complete",
            "locked": sorted(self.desired.locked),
            "made": self.memory.get("made", []),
            "pinned": {pin.name: self.pin_sources.get(pin.name, "") for pin in self.desired.pins},
            "bringing": {pin.name: pin.requirement.text for pin in self.desired.bringing},
            "brought": {name: installed[name].version for name in self._brought(installed)},
            "local": {package.name: package.digest for package in self.desired.local},
            "left_out": {
                pin.name: pin.requirement.text for pin in self.desired.pins if pin.optional and not pin.is_in(installed)
            },
            "packages": {"specs": self.desired.specs(), "resolved": sorted(resolved)},
        }

    # -- looking

    def _look(self) -> tuple[Interpreter | None, str]:
        """Return the interpreter of a usable environment, or None and why a new one is needed."""
        kind = environment.kind_of(self.path)
        if kind in ("missing", "empty"):
            return None, "there is no environment yet"
        owner = os.lstat(self.path).st_uid
        if owner != self.account.uid:
            return None, f"it belongs to the user with id {owner}, not to {self.account.name}"
        changeable = self._changeable()
        if changeable:
            return None, changeable
        config = environment.read_config(self.path)
        if not config.get("home"):
            building = environment.read_memory(self.path).get("state") == "building"
            return None, "the last build did not end" if building else "its pyvenv.cfg is missing or unreadable"
        interpreter = self._ask(self.python)
        if interpreter is None:
            return None, "its Python does not start any more"
        if not os.path.islink(self.python):
            return None, "its bin/python is not the link that it was made as"
        made_with = config.get("version_info") or config.get("version") or ""
        if not os.path.isdir(environment.site_packages(self.path, interpreter.series)) or (
            made_with and not made_with.startswith(interpreter.series + ".")
        ):
            return None, f"it was made for Python {made_with or '?'}, and the host has {interpreter.version} now"
        if not lock_file.matches(interpreter.version, self.work.request.python_requires):
            return None, f"it has Python {interpreter.version}, and {self.work.request.python_requires} is wanted"
        if self.work.request.python and os.path.realpath(self.work.request.python) != interpreter.base:
            wanted = self._choose_python()
            if wanted.base != interpreter.base:
                return None, f"it was made with {interpreter.base}, and {wanted.base} is wanted"
        return interpreter, ""

    def _changeable(self, whole: bool = False) -> str:
        """Root runs nothing in an environment of its own that somebody else can change.

        A look runs its interpreter without its packages; uv runs it with them, so then the whole of it counts.
        """
        if os.geteuid() != 0:
            return ""
        started_with = (self.python, os.path.join(self.path, "pyvenv.cfg"))
        reasons = [distrusted(place) for place in started_with]
        if whole:
            # An interrupted uv leaves its lock file, which everybody may write.
            with suppress(OSError):
                os.unlink(os.path.join(self.path, ".lock"))
            reasons.append(distrust_tree(self.path, ROOT, FILES_MOST))
        return next((f"somebody else than root can change it: {reason}" for reason in reasons if reason), "")

    def _ask(self, python: str) -> Interpreter | None:
        argv = [python, "-I", "-S", "-c", environment.INTERPRETER_PROBE]
        done = execute(argv, child_environment(self.account, None), ANSWER_SECONDS)
        return environment.parse_interpreter(done.stdout) if done.ok else None

    def _first_fitting(self, pythons: Sequence[str]) -> tuple[Interpreter | None, list[str]]:
        return interpreters.first_fitting(pythons, self.work.request.python_requires, self._ask, self.account.name)

    def _choose_python(self) -> Interpreter:
        request = self.work.request
        found, rejected = self._first_fitting(interpreters.candidates(named=request.python))
        if found is not None:
            return found
        seen = "; ".join(dict.fromkeys(rejected)) or "there is none in /usr/bin"
        fetch = request.python_fetch and not request.python
        series = fetched.series_for(request.python_requires) if fetch else None
        if series is None:
            raise Failure(
                f"{self.doing}: no Python fits ({seen}). Expected one that fits {request.python_requires}. Install such a "
                f"Python with the distribution's packages, or name one: {give('python_env_python=PATH')}.",
                kind="interpreter",
            )
        return self._fetched_python(series, seen)

    def _fetched_python(self, series: str, seen: str) -> Interpreter:
        """The newest in pythons_dir that fits; where there is none, uv is to fetch one."""
        folder = self.work.request.pythons_dir
        unsafe = fetched.folder_problem(folder)
        if unsafe:
            raise Failure(f"{self.doing}: {unsafe}.")
        found, _rejected = self._first_fitting(fetched.pythons_in(folder))
        if found is not None and not self.work.fetched:
            return found
        self.fetched = f"no Python of this host fits ({seen}), so uv fetches Python {series}"
        if found is not None:
            return found
        if self.work.check_mode:
            # Which patch release that will be, uv knows.
            place = os.path.join(folder, f"cpython-{series}", "bin", f"python{series}")
            return Interpreter(place, place, series, "cpython")
        if self.work.fetched:
            raise Failure(
                f"{self.doing}: the Python {series} that uv fetched into {folder} does not start as {self.account.name}. "
                "Expected one that does. Check the modes of the folders on the way, and whether programs may run there."
            )
        self.outcome.seen = seen
        raise Needs("python")

    def _read_desired(self) -> Desired:
        local = [self._local_package(folder) for folder in self.work.request.local_packages]
        asked = {one.name for one in self.work.packages}
        pins = [replace(pin, optional=pin.optional and pin.name not in asked) for pin in self.work.pins]
        elsewhere = {pin.name for pin in pins} | {one.name for one in local}
        locked = lock_file.select(self.work.entries, self.markers)
        return Desired(
            locked={name: entry for name, entry in locked.items() if name not in elsewhere},
            pins=pins,
            packages=[
                one
                for one in self.work.packages
                if not one.marker or lock_file.evaluate_marker(one.marker, self.markers)
            ],
            local=local,
            exact=self.work.request.exact,
        )

    def _local_package(self, folder: str) -> wheel.Package:
        try:
            return wheel.read_package(folder)
        except OSError as error:
            if self.work.check_mode and isinstance(error, FileNotFoundError):
                # another task would have put it there
                return wheel.Package(lock_file.normalize(os.path.basename(folder.rstrip("/"))), "0", folder, {})
            raise Failure(
                f"The source folder {folder} cannot be read ({error.strerror}). Expected a folder with a "
                f"pyproject.toml. Do: put it there, or name another with -e, or {reset('python_env_local_packages')}."
            ) from None

    def _compare(self, installed: Mapping[str, Installed], memory: Mapping[str, Any]) -> Plan:
        from_lock = set(self.desired.locked) | {pin.name for pin in self.desired.pins}
        taken_out = environment.BUNDLED_HSA if self.work.request.drop_bundled_hsa else None
        problems = {}
        for name in sorted(self.desired.names(memory) & set(installed)):
            problem = environment.examine(
                self.site, installed[name], name not in from_lock, taken_out if name == "torch" else None
            )
            if problem:
                problems[name] = problem
        unwanted = environment.bundled_hsa(self.site) if taken_out else []
        return environment.compare(self.desired, installed, problems, memory, unwanted)

    def _constraints_differ(self, installed: Mapping[str, Installed]) -> list[str]:
        path = os.path.join(self.path, environment.CONSTRAINTS)
        there = read_text(path)
        if there is None and os.path.lexists(path):
            return [f"{environment.CONSTRAINTS} is no plain file"]
        return (
            []
            if (there or "") == self._constraints_text(installed)
            else [f"{environment.CONSTRAINTS} says something else"]
        )

    def _foreign_folder(self) -> bool:
        """Tell whether a folder in the environment is another user's: its files cannot be replaced by this one."""
        waiting = [self.path]
        while waiting:
            with suppress(OSError), os.scandir(waiting.pop()) as entries:
                folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
                if any(entry.stat(follow_symlinks=False).st_uid != self.account.uid for entry in folders):
                    return True
                waiting += [entry.path for entry in folders]
        return False

    # -- files

    def _remember(self, memory: Mapping[str, Any]) -> None:
        content = {"schema": environment.MEMORY_SCHEMA, **memory}
        self._write(environment.MEMORY, json.dumps(content, indent=2, sort_keys=True) + "\n")

    def _write_constraints(self, installed: Mapping[str, Installed]) -> None:
        text = self._constraints_text(installed)
        if text:
            self._write(environment.CONSTRAINTS, text)
        else:
            remove_path(os.path.join(self.path, environment.CONSTRAINTS))

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all, and never through a link that lies where the file should be."""
        target = os.path.join(self.path, name)
        draft = f"{target}.new"
        remove_path(draft)
        with open(draft, "x", encoding="utf-8") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), 0o644)
        if os.path.isdir(target) and not os.path.islink(target):
            remove_path(target)
        os.replace(draft, target)


def scan_any(path: str) -> dict[str, Installed]:
    """Return what is in an environment whose Python may be gone."""
    found: dict[str, Installed] = {}
    for site in sorted(glob.glob(os.path.join(glob.escape(path), "lib", "*", "site-packages"))):
        found.update(environment.scan(site))
    return found

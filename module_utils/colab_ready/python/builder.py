# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that turn one environment into the wanted one, and the reading before and after.

What is to be done is decided in environment.py (`compare`) and said before anything is touched, so check mode and the
real run differ only in that the steps are not taken. Each step can be interrupted: the note in the environment says
that a build is under way, and the next run looks at what is really there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Mapping

from .. import environment as env_state
from .. import fetched_pythons, lockfile, pip_config, uv_errors
from .installer import Installer, Request
from ..environment import Installed, Interpreter, Pin, Plan, Wish
from .uv import (
    Account,
    Failure,
    Finished,
    account_named,
    acting_as,
    base_environment,
    current_account,
    run,
)

PYTHON_CANDIDATES = ("/usr/bin/python3", *(f"/usr/bin/python3.{minor}" for minor in range(14, 9, -1)))
# How long to wait for another run that works on the same environment.
LOCK_SECONDS = 300.0
# What else of uv's settings is about where a Python comes from: https://docs.astral.sh/uv/reference/environment/
PYTHON_SOURCE_VARIABLES = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")


@dataclass
class Outcome:
    """What came of it, as the module returns it."""

    changed: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    python: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


# ---- where packages come from -----------------------------------------------------------------


def read_sources(request: Request, environ: Mapping[str, str]) -> pip_config.Sources:
    """The host's pip configuration and the environment, as sources; raises PipConfigError."""
    accounts = [account_named(name) for name in request.pip_config_users or default_config_users(request, environ)]
    homes = list(dict.fromkeys(account.home for account in accounts))
    files = []
    for path in pip_config.config_files(environ, homes):
        # A file in somebody's home is read with that user's rights: it may be a link to one that user may not read.
        owner = next((one for one in accounts if path.startswith(one.home.rstrip("/") + "/")), None)
        with acting_as(owner or current_account()):
            try:
                with open(path, encoding="utf-8") as stream:
                    files.append((path, stream.read(1 << 20)))
            except (OSError, UnicodeDecodeError):
                # pip passes over a file it cannot open.
                continue
    sources = pip_config.with_uv_settings(pip_config.merge(files, environ, homes[0] if homes else None), environ)
    kept = []
    for one in sources.find_links:
        if one.startswith("/") and not os.path.isdir(one) and not os.path.isfile(one):
            sources = sources.note(f"the wheel folder {one} of pip's configuration does not exist")
        else:
            kept.append(one)
    return replace(sources, find_links=tuple(kept))


def default_config_users(request: Request, environ: Mapping[str, str]) -> list[str]:
    """Who called (behind sudo or become), then who the environment is for: the first one's word wins."""
    caller = environ.get("SUDO_USER") if os.geteuid() == 0 else None
    names = [caller or current_account().name]
    if request.user:
        names.append(request.user)
    known = []
    for name in dict.fromkeys(names):
        with suppress(Failure):
            account_named(name)
            known.append(name)
    return known


# ---- the environment --------------------------------------------------------------------------


class Builder(Installer):
    """One environment and what is wanted of it."""

    def __init__(self, request: Request, environ: Mapping[str, str], check_mode: bool) -> None:
        super().__init__(request, environ, current_account())
        self.check_mode = check_mode
        self.account = self._account(request.user)
        self.outcome = Outcome()
        self.fetched = ""

    # -- present

    def build(self) -> Outcome:
        self._check_user()
        self._check_place()
        self.sources = read_sources(self.request, self.environ)
        if self.check_mode:
            self._converge()
        else:
            self._make_folder()
            try:
                with self._only_one():
                    self._converge_or_rebuild()
            except BaseException:
                # Nothing was built: nothing stays, not even the folder that was made for it.
                with suppress(OSError):
                    os.rmdir(self.path)
                raise
        self.outcome.sources = {
            **self.sources.describe(),
            "pinned": self.pin_sources,
            "notes": [pip_config.redact(note) for note in self.sources.notes],
        }
        return self.outcome

    def _converge_or_rebuild(self) -> None:
        try:
            self._converge()
        except Failure as failure:
            if failure.kind != "damaged":
                raise
            # uv itself cannot read what lies there: nothing in it can be trusted to be repaired in place.
            self._clear()
            self.outcome.reasons.append("what was there could not be repaired and was built anew")
            self._converge()

    def _converge(self) -> None:
        with acting_as(self.account):
            memory = env_state.read_memory(self.path)
        interpreter, why_new = self._look()
        fresh = interpreter is None
        if interpreter is None:
            interpreter = self._choose_python()
        wish = self._wish(interpreter)
        site = env_state.site_packages(self.path, interpreter.series)
        installed = {} if fresh else self._scan(site)
        # Before a rebuild this is what is lost.
        before = self._scan_any() if fresh else installed
        if fresh:
            memory = {}
        plan = self._compare(wish, site, installed, memory, interpreter)
        reasons = [one for one in (why_new, self.fetched) if one] or plan.reasons
        constraints = "" if fresh else self._constraints_differ()
        if constraints:
            reasons = [*reasons, constraints]
        if not reasons and memory.get("state") != "complete":
            reasons = ["the last build did not end" if memory else "it was not recorded yet"]
        changed = fresh or not plan.empty or bool(reasons)
        self.pin_sources = {str(k): str(v) for k, v in (memory.get("pinned") or {}).items()}
        self.outcome.changed = self.outcome.changed or changed
        self.outcome.reasons.extend(reasons)
        self.outcome.before = self.outcome.before or env_state.listing(before)
        if changed and not self.check_mode:
            installed = self._carry_out(wish, plan, interpreter, site, memory, fresh)
            self.outcome.after = env_state.listing(installed)
        elif changed:
            self.outcome.after = env_state.predicted(wish, plan, installed)
        else:
            self.outcome.after = env_state.listing(installed)
        self.outcome.packages = {name: package.version for name, package in sorted(installed.items())}
        self.outcome.python = {
            "path": os.path.join(self.path, "bin", "python"),
            "version": interpreter.version_text,
            "base": interpreter.base,
        }

    def _carry_out(
        self, wish: Wish, plan: Plan, interpreter: Interpreter, site: str, memory: dict[str, Any], fresh: bool
    ) -> dict[str, Installed]:
        kept = ("packages", "local", "pinned", "brought")
        remembered: dict[str, Any] = {key: memory[key] for key in kept if key in memory}
        needs_uv = fresh or plan.for_uv
        if needs_uv:
            # Before anything is touched: without it nothing can be put in place of what is taken away.
            self._provide_uv(interpreter.executable)
        if fresh:
            self._clear()
        self._adopt()
        self._remember({**remembered, "state": "building"})
        if needs_uv:
            self._make_cache()
            self._drop_unreadable(site)
        if fresh:
            self._make_venv(interpreter)
        self._write_constraints()
        try:
            local = self._install(wish, plan, site, interpreter, remembered.get("local") or {})
        except Failure:
            if fresh and not self._scan(site):
                # Nothing came of it, so nothing stays of it.
                self._clear()
            raise
        self._take_out_files(site)
        installed = self._scan(site)
        needs = self._needs(site, installed, wish, interpreter)
        unneeded = self._unneeded(site, installed, wish, remembered.get("brought") or {}, needs, interpreter)
        if unneeded:
            self._remove(unneeded)
            self.outcome.reasons.extend(f"{installed[name]} is not needed any more" for name in unneeded)
            installed = self._scan(site)
        memory = {
            "schema": env_state.MEMORY_SCHEMA,
            "state": "complete",
            "python": {"base": interpreter.base, "version": interpreter.version_text},
            "pinned": {pin.name: self.pin_sources.get(pin.name, "") for pin in wish.pins},
            "brought": {name: installed[name].version for name in sorted(set(needs) - wish.fixed) if name in installed},
            "local": local,
            "packages": {"specs": wish.specs(), "resolved": self._resolved(site, installed, wish, interpreter)},
        }
        foreign = env_state.compare(wish, installed, {}, memory, needs).remove
        if foreign:
            self._remove(foreign)
            installed = self._scan(site)
        left = self._compare(wish, site, installed, memory, interpreter)
        if not left.empty:
            raise Failure(
                f"{self.doing}: uv said it was done, but {'; '.join(left.reasons[:5])}. Expected everything that was "
                "installed to be there. Run this again; if it stays, something changes the folder at the same time.",
                kind="incomplete",
            )
        self._remember(memory)
        with acting_as(self.account):
            told = env_state.disagreements(site, installed, wish, interpreter.markers())
        for one in told:
            self.sources = self.sources.note(one)
        if needs_uv:
            # uv's own lock file, which it leaves with mode 0666.
            with acting_as(self.account), suppress(OSError):
                os.unlink(os.path.join(self.path, ".lock"))
            self._empty_cache()
        return installed

    def _install(
        self, wish: Wish, plan: Plan, site: str, interpreter: Interpreter, built: Mapping[str, str]
    ) -> dict[str, str]:
        """The plan's steps; returns the digest of every local package."""
        # Found before anything is installed: no source for them, and nothing is half there.
        bringing = self._find_bringing(wish) if plan.bringing else []
        for pin in plan.pins:
            if not pin.dependencies:
                self.pin_sources[pin.name] = self._install_pin(pin, plan)
        if plan.locked:
            self._install_locked(plan)
        for pins, excluded, found in bringing:
            self._install_bringing(pins, excluded, found, plan, wish.fixed)
        if plan.packages:
            self._install_packages(wish, plan, site, self._needs(site, self._scan(site), wish, interpreter))
        digests = {package.name: built.get(package.name, "") for package in wish.local}
        for package in plan.local:
            self._install_local(package)
            digests[package.name] = package.digest
        return digests

    # -- absent

    def remove(self) -> Outcome:
        self._check_place()
        kind = env_state.kind_of(self.path)
        if kind != "environment":
            if kind in ("other", "file"):
                raise Failure(self._foreign(kind, "removed"))
            return self.outcome
        self.outcome.before = env_state.listing(self._scan_any())
        self.outcome.changed = True
        self.outcome.reasons = ["it is to be absent"]
        if not self.check_mode:
            shutil.rmtree(self.path)
        return self.outcome

    # -- looking

    def _account(self, user: str | None) -> Account:
        if not user:
            return current_account()
        try:
            return account_named(user)
        except Failure:
            if self.check_mode:
                # another task would have made the account, and then there is nothing of its own to look at
                return current_account()
            raise

    def _check_user(self) -> None:
        me = os.geteuid()
        if me not in (0, self.account.uid):
            raise Failure(
                f"{self.doing}: it is for {self.account.name}, but this runs as {current_account().name}. Expected "
                f"root or {self.account.name} itself. Run it with become."
            )

    def _check_place(self) -> None:
        if not os.path.isabs(self.path) or os.path.normpath(self.path) != self.path.rstrip("/") or self.path == "/":
            raise Failure(f"path is '{self.path}'. Expected an absolute path without '..'. Correct it.")
        self.path = self.path.rstrip("/")
        link = env_state.planted_link(self.path) if os.geteuid() == 0 else None
        if link is None and os.path.islink(self.path):
            link = self.path
        if link:
            raise Failure(
                f"{link} is a symbolic link. Expected a real folder: root does not build an environment through a link "
                "that somebody may turn elsewhere. Take the link away, or choose another path."
            )

    def _foreign(self, kind: str, what: str) -> str:
        shown = "a file" if kind == "file" else "a folder with other things in it"
        return (
            f"{self.path} is {shown}, so it is not {what}. Expected nothing there, an empty folder, or an environment "
            f"(with {env_state.MEMORY} or pyvenv.cfg). Move it away, or choose another path."
        )

    def _look(self) -> tuple[Interpreter | None, str]:
        """The interpreter of a usable environment, or None and why a new one is needed."""
        kind = env_state.kind_of(self.path)
        if kind in ("other", "file"):
            raise Failure(self._foreign(kind, "touched"))
        if kind in ("missing", "empty"):
            return None, "there is no environment yet"
        owner = os.lstat(self.path).st_uid
        if owner != self.account.uid:
            return None, f"it belongs to the user with id {owner}, not to {self.account.name}"
        with acting_as(self.account):
            config = env_state.read_config(self.path)
            building = env_state.read_memory(self.path).get("state") == "building"
        if not config.get("home"):
            return None, "the last build did not end" if building else "its pyvenv.cfg is missing or unreadable"
        interpreter = self._ask(os.path.join(self.path, "bin", "python"))
        if interpreter is None:
            return None, "its Python does not start any more"
        made_with = config.get("version_info") or config.get("version") or ""
        if not os.path.isdir(env_state.site_packages(self.path, interpreter.series)) or (
            made_with and not made_with.startswith(interpreter.series + ".")
        ):
            return None, f"it was made for Python {made_with or '?'}, and the host has {interpreter.version_text} now"
        if not lockfile.matches(interpreter.version_text, self.request.python_requires):
            return None, f"it has Python {interpreter.version_text}, and {self.request.python_requires} is wanted"
        if self.request.python and os.path.realpath(self.request.python) != interpreter.base:
            wanted = self._choose_python()
            if wanted.base != interpreter.base:
                return None, f"it was made with {interpreter.base}, and {wanted.base} is wanted"
        return interpreter, ""

    def _ask(self, python: str) -> Interpreter | None:
        argv = [python, "-I", "-S", "-c", env_state.INTERPRETER_PROBE]
        done = run(argv, base_environment(self.account), self.account, timeout=30)
        return env_state.parse_interpreter(done.stdout) if done.ok else None

    def _choose_python(self) -> Interpreter:
        wanted = self.request.python_requires
        rejected = []
        for python in [self.request.python] if self.request.python else PYTHON_CANDIDATES:
            if not os.path.lexists(python):
                if self.request.python:
                    rejected.append(f"{python} does not exist")
                continue
            found = self._ask(python)
            if found is None:
                rejected.append(f"{python} does not start as {self.account.name}")
            elif not lockfile.matches(found.version_text, wanted):
                rejected.append(f"{python} is {found.version_text}")
            else:
                return found
        seen = "; ".join(dict.fromkeys(rejected)) or "there is none in /usr/bin"
        series = fetched_pythons.series_for(wanted) if self.request.python_fetch and not self.request.python else None
        if series is None:
            raise Failure(
                f"{self.doing}: no Python fits ({seen}). Expected one that fits {wanted}. Install such a Python with "
                "the distribution's packages, or name one with python_env_python.",
                kind="interpreter",
            )
        return self._fetched_python(series, seen)

    # -- a Python that the host does not have

    def _fetched_python(self, series: str, seen: str) -> Interpreter:
        """The newest in pythons_dir that fits; uv fetches one where there is none."""
        folder = self.request.pythons_dir
        unsafe = fetched_pythons.folder_problem(folder)
        if unsafe:
            raise Failure(f"{self.doing}: {unsafe}.")
        found = self._look_for_fetched(folder)
        if found is not None:
            return found
        self.fetched = f"no Python of this host fits ({seen}), so uv fetches Python {series}"
        if self.check_mode:
            # Which patch release that will be, uv knows.
            place = os.path.join(folder, f"cpython-{series}", "bin", f"python{series}")
            return Interpreter(place, place, tuple(int(part) for part in series.split(".")), "", "cpython")
        done = self._fetch_python(series)
        found = self._look_for_fetched(folder) if done.ok else None
        if found is None:
            problem = uv_errors.explain_download(done.text)
            mirror = (
                "Correct python_env_python_mirror"
                if self.request.python_mirror
                else ("Set python_env_python_mirror to a mirror of that download (file:///FOLDER for a folder)")
            )
            raise Failure(
                f"{self.doing}: no Python of this host fits ({seen}), and uv could not fetch Python {series}: "
                f"{problem.what}. Expected a Python that fits {self.request.python_requires}, or a download that can be "
                f"reached. {mirror}, or install such a Python and name it with python_env_python.",
                problem,
            )
        return found

    def _look_for_fetched(self, folder: str) -> Interpreter | None:
        for python in fetched_pythons.pythons_in(folder):
            found = self._ask(python)
            if found is not None and lockfile.matches(found.version_text, self.request.python_requires):
                return found
        return None

    def _fetch_python(self, series: str) -> Finished:
        """With the rights of who runs this, so that root's Python stays root's, whoever the environment is for."""
        folder = self.request.pythons_dir
        told = {name: self.environ[name] for name in PYTHON_SOURCE_VARIABLES if self.environ.get(name)}
        if self.request.python_mirror:
            told["UV_PYTHON_INSTALL_MIRROR"] = self.request.python_mirror
        settings = {**told, "UV_PYTHON_INSTALL_DIR": folder, "UV_PYTHON_DOWNLOADS": "manual"}
        try:
            os.makedirs(folder, mode=0o755, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".cache-") as cache:
                settings["UV_CACHE_DIR"] = cache
                # It checks the archive against a sha256 that it carries itself.
                done = self._uv_run(
                    ["python", "install", "--no-bin", f"cpython-{series}"], settings=settings, account=current_account()
                )
        except OSError as error:
            raise self._os_failure(error) from None
        finally:
            # uv's own lock file has mode 0666.
            with suppress(OSError):
                os.unlink(os.path.join(folder, ".lock"))
        return done

    def _wish(self, interpreter: Interpreter) -> Wish:
        markers = interpreter.markers()
        pins = tuple(self._pin(one) for one in self.request.pinned)
        local = []
        for folder in self.request.local_packages:
            try:
                local.append(env_state.read_local_package(folder))
            except OSError as error:
                if self.check_mode and isinstance(error, FileNotFoundError):
                    # another task would have put it there
                    name = lockfile.normalize(os.path.basename(folder.rstrip("/")))
                    local.append(env_state.LocalPackage(name, "0", folder, ""))
                    continue
                raise Failure(
                    f"The source folder {folder} cannot be read ({error.strerror}). Expected a folder with a "
                    "pyproject.toml. Put it there, or take it out of local_packages."
                ) from None
        elsewhere = {pin.name for pin in pins} | {one.name for one in local}
        locked = lockfile.select(lockfile.parse_lock(self.request.lock), markers)
        packages = [lockfile.parse_requirement(one) for one in self.request.packages]
        return Wish(
            locked={name: entry for name, entry in locked.items() if name not in elsewhere},
            pins=pins,
            packages=[one for one in packages if not one.marker or lockfile.evaluate_marker(one.marker, markers)],
            local=local,
            exact=self.request.exact,
        )

    def _pin(self, data: Mapping[str, Any]) -> Pin:
        text, *hashes = str(data["requirement"]).split("--hash=")
        requirement = lockfile.parse_requirement(text)
        conditions = lockfile.split_specifier(requirement.specifier)
        if len(conditions) != 1 or conditions[0][0] != "==" or conditions[0][1].endswith("*"):
            raise Failure(
                f"The pinned requirement '{text.strip()}' leaves the version open. Expected one such as "
                "torch==2.13.0+cpu. Correct it."
            )
        index, place = data.get("index") or None, data.get("find_links") or None
        if index and place:
            raise Failure(
                f"The pinned requirement '{text.strip()}' names both index and find_links. Expected one of them. Take the "
                "other out."
            )
        if place and not place.startswith("/") and "://" not in place:
            raise Failure(
                f"The pinned requirement '{text.strip()}' has find_links '{place}'. Expected the address of a page of wheels, "
                "or the absolute path of a folder of them. Correct it."
            )
        default = data.get("default_requirement") if data.get("allow_default") else None
        return Pin(
            requirement=requirement,
            hashes=tuple(one.strip() for one in hashes),
            index=index,
            find_links=place,
            dependencies=bool(data.get("dependencies")),
            variable=str(data.get("variable") or ""),
            default=lockfile.parse_requirement(str(default)) if default else None,
            default_refused=bool(data.get("default_requirement")) and default is None,
        )

    def _scan_any(self) -> dict[str, Installed]:
        """What is in an environment whose Python may be gone."""
        with acting_as(self.account):
            try:
                folders = sorted(os.listdir(os.path.join(self.path, "lib")))
            except OSError:
                return {}
            found: dict[str, Installed] = {}
            for folder in folders:
                found.update(env_state.scan(os.path.join(self.path, "lib", folder, "site-packages")))
            return found

    def _compare(
        self,
        wish: Wish,
        site: str,
        installed: Mapping[str, Installed],
        memory: Mapping[str, Any],
        interpreter: Interpreter,
    ) -> Plan:
        needs = self._needs(site, installed, wish, interpreter)
        from_lock = set(wish.locked) | {pin.name for pin in wish.pins}
        taken_out = env_state.BUNDLED_HSA if self.request.drop_bundled_hsa else None
        problems = {}
        with acting_as(self.account):
            for name in sorted((wish.names(memory) | set(needs)) & set(installed)):
                problem = env_state.examine(
                    site, installed[name], name not in from_lock, taken_out if name == "torch" else None
                )
                if problem:
                    problems[name] = problem
            unwanted = env_state.bundled_hsa(site) if taken_out else []
        return env_state.compare(wish, installed, problems, memory, needs, unwanted)

    def _needs(
        self, site: str, installed: Mapping[str, Installed], wish: Wish, interpreter: Interpreter
    ) -> dict[str, str]:
        if not wish.bringing:
            return {}
        with acting_as(self.account):
            return env_state.needed_by(site, installed, wish.bringing, interpreter.markers(), wish.fixed)

    def _unneeded(
        self,
        site: str,
        installed: Mapping[str, Installed],
        wish: Wish,
        brought: Mapping[str, str],
        needs: Mapping[str, str],
        interpreter: Interpreter,
    ) -> list[str]:
        """A card's own packages are 1 GB each: those of the last card go, unless something of a user's needs them."""
        with acting_as(self.account):
            return env_state.unneeded(site, installed, brought, wish, needs, interpreter.markers())

    def _take_out_files(self, site: str) -> None:
        if not self.request.drop_bundled_hsa:
            return
        try:
            with acting_as(self.account):
                for name in env_state.bundled_hsa(site):
                    os.unlink(os.path.join(site, name))
        except OSError as error:
            raise self._os_failure(error) from None

    def _resolved(
        self, site: str, installed: Mapping[str, Installed], wish: Wish, interpreter: Interpreter
    ) -> list[str]:
        if not wish.packages:
            return []
        with acting_as(self.account):
            return sorted(env_state.required_by(site, installed, wish.packages, interpreter.markers()))

    def _constraints_differ(self) -> str:
        path = os.path.join(self.path, env_state.CONSTRAINTS)
        wanted = self._constraints_text()
        with acting_as(self.account):
            try:
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                with open(handle, encoding="utf-8", errors="replace") as stream:
                    there = stream.read(1 << 20)
            except OSError:
                there = ""
                if os.path.lexists(path):
                    return f"{env_state.CONSTRAINTS} is no plain file"
        return "" if there == wanted else f"{env_state.CONSTRAINTS} says something else"

    # -- folders and files, with the account's rights

    def _make_folder(self) -> None:
        try:
            parent = os.path.dirname(self.path)
            os.makedirs(parent, mode=0o755, exist_ok=True)
            if not os.path.lexists(self.path):
                os.mkdir(self.path, 0o755)
                self._give(self.path)
            elif env_state.kind_of(self.path) in ("other", "file"):
                raise Failure(self._foreign(env_state.kind_of(self.path), "touched"))
            elif os.lstat(self.path).st_uid != self.account.uid:
                # What another user left in it is nobody's to keep: that user could have prepared it.
                self.outcome.before = env_state.listing(self._scan_any())
                if os.geteuid() == 0 and os.listdir(self.path):
                    self._clear()
                    self.outcome.changed = True
                    self.outcome.reasons.append(f"it belonged to another user than {self.account.name}")
                self._give(self.path)
        except OSError as error:
            raise self._os_failure(error) from None

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """A lock on the folder itself: it needs no file, and it goes with the process that holds it."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            end = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Failure(
                            f"{self.doing}: another run works on it since {LOCK_SECONDS:.0f} seconds. Expected to be "
                            "the only one. Wait until the other one has ended, then run this again.",
                            kind="busy",
                        ) from None
                    time.sleep(0.2)
            yield
        finally:
            os.close(handle)

    def _clear(self) -> None:
        """An empty folder. shutil.rmtree follows no links on Linux, so root may do this in a user's folder."""
        try:
            for entry in os.listdir(self.path):
                place = os.path.join(self.path, entry)
                if stat.S_ISDIR(os.lstat(place).st_mode):
                    shutil.rmtree(place)
                else:
                    os.unlink(place)
        except OSError as error:
            raise self._os_failure(error) from None

    def _adopt(self) -> None:
        """Give the account what somebody else put into its environment (`sudo pip install` is enough for that).

        Only with root's rights, and only through descriptors: no link is followed, and a file with a second name,
        which could be a hard link to somebody else's, is left alone.
        """
        if os.geteuid() != 0:
            return
        try:
            for _place, folders, files, handle in os.fwalk(self.path):
                for name in folders + files:
                    found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                    if found.st_uid != self.account.uid:
                        self._adopt_one(name, handle)
        except OSError as error:
            raise self._os_failure(error) from None

    def _adopt_one(self, name: str, folder: int) -> None:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
                os.chown(f"/proc/self/fd/{handle}", self.account.uid, self.account.gid)
        finally:
            os.close(handle)

    def _remember(self, memory: Mapping[str, Any]) -> None:
        content = {"schema": env_state.MEMORY_SCHEMA, **memory}
        self._write(env_state.MEMORY, json.dumps(content, indent=2, sort_keys=True) + "\n")

    def _write_constraints(self) -> None:
        text = self._constraints_text()
        if text:
            self._write(env_state.CONSTRAINTS, text)
            return
        with acting_as(self.account), suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, env_state.CONSTRAINTS))

    def _write(self, name: str, text: str) -> None:
        """Whole or not at all, and never through a link that lies where the file should be."""
        try:
            with acting_as(self.account):
                handle, draft = tempfile.mkstemp(dir=self.path, prefix=".colab-ready-")
                try:
                    with open(handle, "w", encoding="utf-8") as stream:
                        stream.write(text)
                        os.fchmod(stream.fileno(), 0o644)
                    target = os.path.join(self.path, name)
                    if os.path.isdir(target) and not os.path.islink(target):
                        shutil.rmtree(target)
                    os.replace(draft, target)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(draft)
                    raise
        except OSError as error:
            raise self._os_failure(error) from None

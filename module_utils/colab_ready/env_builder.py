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
from typing import Any, Iterator, Mapping, Sequence

from ansible.module_utils.colab_ready import environment as env_state
from ansible.module_utils.colab_ready import fetched_pythons, lockfile, pip_config, uv_errors
from ansible.module_utils.colab_ready.environment import Installed, Interpreter, Pin, Plan, Wish
from ansible.module_utils.colab_ready.uv_process import (
    Account,
    Failure,
    Finished,
    Uv,
    account_named,
    acting_as,
    base_environment,
    bootstrap_pythons,
    current_account,
    pip_settings,
    provide_uv,
    run,
)

PYTHON_CANDIDATES = ("/usr/bin/python3", *(f"/usr/bin/python3.{minor}" for minor in range(14, 9, -1)))
# A request that only finds out whether a source is there. A torch index that is slower than this is not waited for;
# for the host's own sources uv may try twice.
PIN_PROBE = {"UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
HOST_PROBE = {"UV_HTTP_CONNECT_TIMEOUT": "6", "UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1"}
PROBE_SECONDS = 60.0
# How long to wait for another run that works on the same environment.
LOCK_SECONDS = 300.0
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# What else of uv's settings is about where a Python comes from: https://docs.astral.sh/uv/reference/environment/
PYTHON_SOURCE_VARIABLES = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")
CONSTRAINTS_HEAD = "# Written by colab-ready: what an installation in this environment may not move.\n"


@dataclass(frozen=True)
class Request:
    """What the module was asked for."""

    path: str
    lock: str = ""
    packages: Sequence[str] = ()
    pinned: Sequence[Mapping[str, Any]] = ()
    local_packages: Sequence[str] = ()
    constraints: Sequence[str] = ()
    exact: bool = False
    compile_bytecode: bool = False
    python: str | None = None
    python_requires: str = ">=3.10,<3.15"
    python_fetch: bool = False
    python_mirror: str | None = None
    pythons_dir: str = ""
    user: str | None = None
    tools_dir: str = ""
    uv: str | None = None
    uv_lock: str = ""
    cache_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    pip_config_users: Sequence[str] = ()


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


def credentials_place(account: Account, cache: str) -> dict[str, str]:
    """After a 404 or a refusal uv asks its store of credentials, and leaves a lock file where that would be (uv 0.13): in the
    cache, which goes, unless the account has a store."""
    kept = os.path.isdir(os.path.join(account.home, ".local/share/uv/credentials"))
    return {} if kept else {"UV_CREDENTIALS_DIR": os.path.join(cache, "credentials")}


class Builder:
    """One environment and what is wanted of it."""

    def __init__(self, request: Request, environ: Mapping[str, str], check_mode: bool) -> None:
        self.request = request
        self.check_mode = check_mode
        self.environ = {**environ, **request.environment}
        self.path = request.path
        self.doing = f"The environment {self.path} could not be built"
        self.account = self._account(request.user)
        self.outcome = Outcome()
        self.sources = pip_config.Sources()
        self.pin_sources: dict[str, str] = {}
        self.reached = False
        self.unreached: list[uv_errors.Problem] = []
        self.fetched = ""
        self._uv: Uv | None = None

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
        plan = env_state.compare(wish, installed, self._problems(wish, site, installed, memory), memory)
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
        remembered: dict[str, Any] = {key: memory[key] for key in ("packages", "local", "pinned") if key in memory}
        needs_uv = fresh or not plan.empty
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
        if plan.pins:
            for pin in plan.pins:
                self.pin_sources[pin.name] = self._install_pin(pin, plan)
        if plan.locked:
            self._install_locked(plan)
        if plan.packages:
            self._install_packages(wish, plan, site)
        local = dict(remembered.get("local") or {})
        for package in plan.local:
            self._install_local(package)
            local[package.name] = package.digest
        installed = self._scan(site)
        memory = {
            "schema": env_state.MEMORY_SCHEMA,
            "state": "complete",
            "python": {"base": interpreter.base, "version": interpreter.version_text},
            "pinned": {pin.name: self.pin_sources.get(pin.name, "") for pin in wish.pins},
            "local": {package.name: local.get(package.name, "") for package in wish.local},
            "packages": {"specs": wish.specs(), "resolved": self._resolved(site, installed, wish, interpreter)},
        }
        foreign = env_state.compare(wish, installed, {}, memory).remove
        if foreign:
            self._remove(foreign)
            installed = self._scan(site)
        left = env_state.compare(wish, installed, self._problems(wish, site, installed, memory), memory)
        if not left.empty:
            raise Failure(
                f"{self.doing}: uv said it was done, but {'; '.join(left.reasons[:5])}. Expected everything that was "
                "installed to be there. Run this again; if it stays, something changes the folder at the same time.",
                kind="incomplete",
            )
        self._remember(memory)
        if needs_uv:
            # uv's own lock file, which it leaves with mode 0666.
            with acting_as(self.account), suppress(OSError):
                os.unlink(os.path.join(self.path, ".lock"))
            self._empty_cache()
        return installed

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
        default = data.get("default_requirement") if data.get("allow_default") else None
        return Pin(
            requirement=requirement,
            hashes=tuple(one.strip() for one in hashes),
            index=data.get("index") or None,
            variable=str(data.get("variable") or ""),
            default=lockfile.parse_requirement(str(default)) if default else None,
            default_refused=bool(data.get("default_requirement")) and default is None,
        )

    def _scan(self, site: str) -> dict[str, Installed]:
        with acting_as(self.account):
            return env_state.scan(site)

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

    def _problems(
        self, wish: Wish, site: str, installed: Mapping[str, Installed], memory: Mapping[str, Any]
    ) -> dict[str, str]:
        from_lock = set(wish.locked) | {pin.name for pin in wish.pins}
        problems = {}
        with acting_as(self.account):
            for name in sorted(wish.names(memory) & set(installed)):
                problem = env_state.examine(site, installed[name], from_address=name not in from_lock)
                if problem:
                    problems[name] = problem
        return problems

    def _resolved(
        self, site: str, installed: Mapping[str, Installed], wish: Wish, interpreter: Interpreter
    ) -> list[str]:
        if not wish.packages:
            return []
        with acting_as(self.account):
            return sorted(env_state.required_by(site, installed, wish.packages, interpreter.markers()))

    def _constraints_text(self) -> str:
        lines = [line.strip() for line in self.request.constraints if line.strip()]
        return CONSTRAINTS_HEAD + "".join(line + "\n" for line in lines) if lines else ""

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

    def _give(self, path: str) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

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

    @property
    def cache(self) -> str:
        """One cache for each account: uv hands files on by hard links, and those keep their owner."""
        return os.path.join(self.request.cache_dir, str(self.account.uid))

    def _make_cache(self) -> None:
        try:
            os.makedirs(self.request.cache_dir, mode=0o755, exist_ok=True)
            try:
                os.mkdir(self.cache, 0o700)
                self._give(self.cache)
            except FileExistsError:
                found = os.lstat(self.cache)
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.account.uid:
                    raise Failure(
                        f"{self.cache} is not a folder of {self.account.name}. Expected a cache that only this user "
                        "writes. Take it away, then run this again."
                    ) from None
        except OSError as error:
            raise self._os_failure(error) from None

    def _empty_cache(self) -> None:
        """After a success nobody needs it; after a failure the next run goes on with it."""
        with acting_as(self.account), suppress(OSError):
            for entry in os.listdir(self.cache):
                shutil.rmtree(os.path.join(self.cache, entry), ignore_errors=True)
                with suppress(OSError):
                    os.unlink(os.path.join(self.cache, entry))
        if os.geteuid() in (0, self.account.uid):
            with suppress(OSError):
                os.rmdir(self.cache)

    def _drop_unreadable(self, site: str) -> None:
        """uv cannot uninstall what has no readable RECORD, and stops at one that is nonsense."""
        with acting_as(self.account):
            for package in env_state.scan(site).values():
                for folder in (package.folder, *package.others):
                    alone = Installed(package.name, package.version, folder)
                    problem = env_state.examine(site, alone, from_address=True)
                    if problem == env_state.NO_RECORD:
                        place = os.path.join(site, folder)
                        if os.path.isdir(place) and not os.path.islink(place):
                            shutil.rmtree(place, ignore_errors=True)
                        else:
                            with suppress(OSError):
                                os.unlink(place)

    def _os_failure(self, error: OSError) -> Failure:
        problem = uv_errors.explain_os_error(error)
        return Failure(problem.message(self.doing), problem)

    # -- uv

    def _provide_uv(self, chosen: str | None = None) -> Uv:
        if self._uv is None:
            self._uv = provide_uv(
                self.request.uv,
                self.request.tools_dir,
                self.request.uv_lock,
                self.account,
                bootstrap_pythons(chosen or self.request.python),
                pip_settings(self.sources, self.environ),
            )
        return self._uv

    def _uv_run(
        self,
        arguments: Sequence[str],
        stdin: str = "",
        sources: pip_config.Sources | None = None,
        settings: Mapping[str, str] | None = None,
        timeout: float | None = None,
        account: Account | None = None,
    ) -> Finished:
        sources = sources or self.sources
        account = account or self.account
        certificates = any(os.path.exists(path) for path in SYSTEM_CERTIFICATES)
        env = {
            **base_environment(account),
            **{name: value for name, value in self.request.environment.items() if not name.startswith(("PIP_", "UV_"))},
            **pip_config.uv_environment(sources, self.environ, certificates),
            **pip_config.inherited_uv_settings(self.environ),
            "UV_CACHE_DIR": self.cache,
            **credentials_place(account, (settings or {}).get("UV_CACHE_DIR", self.cache)),
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            **(settings or {}),
        }
        if "UV_CONFIG_FILE" not in env:
            # A uv.toml in somebody's home is not part of what was asked for.
            env["UV_NO_CONFIG"] = "1"
        return run([self._provide_uv().path, *arguments], env, account, stdin, timeout)

    def _pip(
        self,
        arguments: Sequence[str],
        requirements: str = "",
        sources: pip_config.Sources | None = None,
        settings: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Finished:
        sources = sources or self.sources
        command = ["pip", "install", "--python", os.path.join(self.path, "bin", "python")]
        if self.request.compile_bytecode and "--dry-run" not in arguments:
            command.append("--compile-bytecode")
        command += [*pip_config.uv_arguments(sources), *arguments]
        if requirements:
            command += ["--requirements", "-"]
        return self._uv_run(command, requirements, sources, settings, timeout)

    def _must(self, done: Finished, what: str = "") -> None:
        if done.ok:
            return
        problem = uv_errors.explain(done.text)
        if problem.kind == "no_version" and self.unreached:
            # The likelier cause: the source that has it is the one that is down.
            first = self.unreached[0]
            what = f"{problem.what}, and one could not be asked: {first.what}"
            problem = replace(problem, kind=first.kind, what=what, do=first.do)
        doing = f"{self.doing} ({what})" if what else self.doing
        raise Failure(problem.message(doing), problem)

    def _make_venv(self, interpreter: Interpreter) -> None:
        # One that uv fetched is none of its managed ones here (it is not told the folder): the environment then names the
        # very release, not uv's link that moves to the next.
        command = ["venv", "--no-managed-python", "--allow-existing", "--python", interpreter.executable, self.path]
        self._must(self._uv_run(command))

    def _reach(
        self, sources: pip_config.Sources, requirement: str, settings: Mapping[str, str]
    ) -> tuple[pip_config.Sources, uv_errors.Problem | None]:
        """The sources that answer, asked for one requirement, and why it cannot be had from them (None: it can).

        pip passes over an index that does not answer; uv stops there. So the dead ones are taken out beforehand.
        """
        while True:
            arguments = ["--dry-run", "--no-deps", "--reinstall"]
            done = self._pip(arguments, requirement, sources, settings, PROBE_SECONDS)
            if done.ok:
                return sources, None
            problem = uv_errors.explain(done.text)
            if not problem.unreachable:
                return sources, problem
            reduced = sources.without(problem.address or "")
            if reduced == sources or reduced.empty:
                return sources, problem
            self.unreached.append(problem)
            sources = reduced.note(f"left out: {problem.what}")

    def _reach_host(self, requirement: str) -> uv_errors.Problem | None:
        if self.reached:
            return None
        self.sources, problem = self._reach(self.sources, requirement, HOST_PROBE)
        if problem is not None and problem.unreachable:
            raise Failure(problem.message(self.doing), problem)
        self.reached = True
        return problem

    def _install_pin(self, pin: Pin, plan: Plan) -> str:
        """Install one pinned package from the first source that has it; returns the source's name."""
        again = ["--reinstall-package", pin.name] if pin.name in plan.reinstall else []
        hashes = "".join(f" --hash={one}" for one in pin.hashes)
        arguments = ["--no-deps", *(["--require-hashes"] if hashes else []), *again]
        line = pin.requirement.text + hashes
        tried = []
        if pin.index:
            shown = pip_config.redact(pin.index)
            sources, problem = self._reach(self.sources.only_index(pin.index), line, PIN_PROBE)
            if problem is None:
                self._must(self._pip(arguments, line, sources), pin.requirement.text)
                return shown
            tried.append(f"{shown}: {problem.what}")
            self.sources = self.sources.note(f"{pin.requirement.text} does not come from {shown}: {problem.what}")
        sources, problem = self._reach(self.sources, line, HOST_PROBE)
        if problem is None:
            self.sources, self.reached = sources, True
            self._must(self._pip(arguments, line, sources), pin.requirement.text)
            return "the host's pip configuration"
        tried.append(f"the host's pip configuration: {problem.what}")
        if pin.default is not None:
            done = self._pip([*again], pin.default.text)
            if done.ok:
                self.sources = self.sources.note(f"{pin.default.text} was taken in place of {pin.requirement.text}")
                return "the host's pip configuration (default build)"
            tried.append(f"{pin.default.text}: {uv_errors.explain(done.text).what}")
        variable = pin.variable or "the pinned requirement's index"
        switch = ", or set python_env_allow_default_torch to take the default build (several GB)"
        allow = switch if pin.default_refused else ""
        raise Failure(
            f"{self.doing}: {pin.requirement.text} cannot be had. Tried: {'; '.join(tried)}. Expected a source with "
            f"exactly this build, because another one may bring several GB. Set {variable} to an index that has it, or "
            f"put its wheel into a find-links folder of pip's configuration{allow}.",
            problem,
        )

    def _install_locked(self, plan: Plan) -> None:
        self._reach_host(f"{plan.locked[0].name}=={plan.locked[0].version}")
        again = [
            one for entry in plan.locked if entry.name in plan.reinstall for one in ("--reinstall-package", entry.name)
        ]
        done = self._pip(["--no-deps", "--require-hashes", *again], lockfile.render(plan.locked, plan.reinstall))
        self._must(done)

    def _install_packages(self, wish: Wish, plan: Plan, site: str) -> None:
        """The packages without a lock. What is locked or pinned is a constraint for them, so that they cannot move it
        and be moved back by the next run."""
        locked = {pin.name for pin in wish.pins} | set(wish.locked)
        installed = self._scan(site)
        fixed = "".join(f"{installed[name]}\n" for name in sorted(locked) if name in installed)
        if not any(one.name in locked for one in wish.packages):
            self._reach_host(wish.packages[0].text)
        with acting_as(self.account):
            handle, constraints = tempfile.mkstemp(dir=self.cache, prefix="constraints-", suffix=".txt")
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(self._constraints_text() + fixed)
        names = sorted(plan.reinstall - locked - {one.name for one in wish.local})
        again = [one for name in names for one in ("--reinstall-package", name)]
        text = "".join(one.text + "\n" for one in wish.packages)
        self._must(
            self._pip(["--constraints", constraints, *again], text), ", ".join(one.text for one in wish.packages)
        )

    def _install_local(self, package: env_state.LocalPackage) -> None:
        """Build from a copy: a build may write beside the source, which belongs to root."""
        try:
            with acting_as(self.account):
                stage = os.path.join(
                    tempfile.mkdtemp(dir=self.cache, prefix="source-"), os.path.basename(package.folder)
                )
                shutil.copytree(package.folder, stage, ignore=shutil.ignore_patterns(*env_state.BUILD_LEFTOVERS))
        except (OSError, shutil.Error) as error:
            raise Failure(
                f"{self.doing}: the source folder {package.folder} cannot be copied ({error}). Expected a folder that "
                f"{self.account.name} may read, and room for it. Correct its mode, then run this again."
            ) from None
        self._must(self._pip(["--no-deps", "--reinstall-package", package.name, stage]), package.name)

    def _remove(self, names: Sequence[str]) -> None:
        command = ["pip", "uninstall", "--python", os.path.join(self.path, "bin", "python"), *names]
        self._must(self._uv_run(command))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv does to an environment, step by step: sources that answer are found, packages are put there or taken away.

This is the user's part: it runs in a process that has the rights of the environment's owner and no others. Which steps
there are is converge.py's business. Nothing is built from what an index hands out: a hash in a lock binds a file, and
not the build tools that a source would fetch.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from ..core.redact import redact
from ..core.remedy import give
from ..files.removal import empty_at, remove_path
from ..process.identity import Account
from ..process.run import Finished
from . import environment, pip_config, uv_errors, wheel
from . import lock as lock_file
from .cache import cache_of
from .environment import Desired, Installed, Interpreter, Pin, Plan
from .uv import INSTALL_SECONDS, Failure, Request, execute, failed, patiently, said, uv_environment, uv_version

# A request that only finds out whether a source is there. A torch index that is slower than this is not waited for;
# for the host's own sources uv may try twice.
PIN_PROBE = {"UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0"}
HOST_PROBE = {"UV_HTTP_CONNECT_TIMEOUT": "6", "UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1"}
# Once more for one that is slow: a school's proxy may look into each answer before it passes it on.
SLOW_PROBE = {"UV_HTTP_CONNECT_TIMEOUT": "20", "UV_HTTP_TIMEOUT": "50", "UV_HTTP_RETRIES": "0"}
PROBE_SECONDS = 60.0
# An index that knows a name is the only one asked for it. The caller's own strategy would let the host's indexes outbid a pin's.
FIRST_INDEX = {"UV_INDEX_STRATEGY": "first-index"}
# Kinds of problem that another source beside the first may solve.
LACKING = ("no_version", "no_wheel", "conflict", "wrong_python", "not_there", "unknown")
# AMD hands its selector of packages out as source alone. It comes with a pin, is built with the locked tools that are no
# index's to choose, and never with root's rights.
BUILDABLE = "rocm"
BUILD_TOOLS = "setuptools"
BUILDING = ("--only-binary", ":all:", "--no-binary", BUILDABLE, "--no-build-isolation-package", BUILDABLE)
# Kinds that say more about why a pin cannot be had than that one more source lacks it.
TELLING = ("wrong_python", "no_extra")
HOSTS_OWN = "the host's pip configuration"
# What starts a kernel, and what pip builds others with: the first may not be moved, the second has to be free.
KERNEL = "ipykernel"
TORCH = "torch"
FREE = ("pip", "setuptools", "wheel")
CONSTRAINTS_HEAD = """\
# Written by colab-ready. An installation in this environment keeps to it: the builds that fit the backend and each other,
# and the versions that they and the kernel say that they need. Another build is refused, as it would not work here.
"""


def empty_folder(path: str) -> None:
    """Remove all that is in a folder, of whatever depth, through no link. Raises OSError."""
    parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        empty_at(parent, os.path.basename(path))
    finally:
        os.close(parent)


@dataclass(frozen=True)
class Order:
    """What uv is asked for: from which sources, which packages (lines of a requirements file), and how."""

    sources: pip_config.Sources
    lines: str = ""
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    # What the sources are called.
    shown: str = ""
    # Only where the default build is taken: what did not have the pinned one.
    tried: Sequence[tuple[str, uv_errors.Problem]] = ()


Answer = tuple[Order, uv_errors.Problem | None]


def _texts(pins: Sequence[Pin]) -> str:
    return ", ".join(one.requirement.text for one in pins)


def _names(pins: Sequence[Pin]) -> set[str]:
    return {pin.name for pin in pins}


def _reinstall(names: Collection[str]) -> tuple[str, ...]:
    return tuple(one for name in sorted(names) for one in ("--reinstall-package", name))


def _not_there(pin: Pin) -> uv_errors.Problem | None:
    """A folder that does not exist: uv says of an index in one that it lacks the package."""
    address = pin.index or pin.find_links or ""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file"):
        return None
    folder = unquote(parts.path) if parts.scheme else address
    return None if os.path.exists(folder) else uv_errors.not_there(folder)


@dataclass(frozen=True)
class Work:
    """All that the user's part is told, and has at hand; `before` and `reasons` are what an earlier attempt found."""

    request: Request
    environ: Mapping[str, str]
    account: Account
    check_mode: bool
    # What the request says about packages, read once, before anything is touched.
    entries: Sequence[lock_file.LockEntry]
    pins: Sequence[Pin]
    packages: Sequence[lock_file.Requirement]
    sources: pip_config.Sources
    uv: str | None = None
    fetched: bool = False
    before: Sequence[str] = ()
    reasons: Sequence[str] = ()


@dataclass
class Outcome:
    """What came of it: what the module returns, or what is needed first (with what was seen), or why it failed."""

    changed: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    packages: dict[str, str] = field(default_factory=dict)
    python: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    pinned: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    seen: str = ""
    failure: str = ""
    kind: str = ""


class Installer:
    """One environment and where its packages come from."""

    interpreter: Interpreter
    markers: Mapping[str, str]
    site: str
    desired: Desired
    plan: Plan
    fresh: bool

    def __init__(self, work: Work) -> None:
        self.work = work
        self.path = work.request.path
        self.python = os.path.join(self.path, "bin", "python")
        self.account = work.account
        self.sources = work.sources
        self.doing = f"The environment {self.path} could not be built"
        self.cache = cache_of(work.request.cache_dir, work.request.path, work.account.uid)
        self.pin_sources: dict[str, str] = {}
        self.reached = False
        self.unreached: list[uv_errors.Problem] = []
        # Sources of pins that did not answer, which are not asked a second time.
        self.silent: dict[str, uv_errors.Problem] = {}
        # The names whose default build is taken.
        self.defaults: set[str] = set()
        # Why, for each optional pin that no source has.
        self.left_out: list[str] = []

    # -- files

    def _constraints_text(self, installed: Mapping[str, Installed]) -> str:
        lines = [line.strip() for line in self.work.request.constraints if line.strip()]
        lines += self._builds_and_needs(installed) if self.desired.pins else []
        return CONSTRAINTS_HEAD + "".join(line + "\n" for line in lines) if lines else ""

    def _builds_and_needs(self, installed: Mapping[str, Installed]) -> list[str]:
        """pip asks for what is to be installed alone; what is there already, and would break by it, has to be said here."""
        builds = {
            pin.name: installed[pin.name].version if pin.is_in(installed) else str(pin.requirement.version)
            for pin in self.desired.pins
        }
        builds |= {KERNEL: installed[KERNEL].version} if KERNEL in installed else {}
        roots = [*(pin.requirement for pin in self.desired.pins), lock_file.parse_requirement(KERNEL)]
        needs = environment.needs_of(self.site, installed, roots, self.markers)
        stated = {name: ",".join(sorted(filter(None, asked))) for name, asked in sorted(needs.items())}
        return [f"{name}=={version}" for name, version in builds.items()] + [
            name + versions for name, versions in stated.items() if versions and name not in {*builds, *FREE}
        ]

    def _drop_unreadable(self) -> None:
        """uv cannot uninstall what has no readable RECORD, and stops at one that is nonsense."""
        for package in environment.scan(self.site).values():
            for folder in (package.folder, *package.others):
                alone = Installed(package.name, package.version, folder)
                if environment.examine(self.site, alone, from_address=True) == environment.NO_RECORD:
                    remove_path(os.path.join(self.site, folder))

    # -- uv

    def _check_uv(self) -> None:
        uv = str(self.work.uv)
        if uv_version(uv) is None:
            raise Failure(
                f"{uv} cannot be run as {self.account.name}. Expected a uv program that this user may read and run. Correct "
                "the path or its mode, or name no uv: it is then installed from its lock."
            )

    def _uv_run(
        self, arguments: Sequence[str], order: Order | None = None, seconds: float = INSTALL_SECONDS
    ) -> Finished:
        order = order or Order(self.sources)
        env = uv_environment(self.work.request, self.work.environ, order.sources, self.account, self.cache)
        kept, configuration = pip_config.withhold({**env, **order.settings})
        del kept["UV_NO_CONFIG"]
        kept["UV_CONFIG_FILE"] = "/dev/stdin"
        return execute([str(self.work.uv), *arguments], kept, seconds, configuration)

    def _pip(self, order: Order, *more: str, seconds: float = INSTALL_SECONDS) -> Finished:
        command = ["pip", "install", "--python", self.python, *pip_config.uv_arguments(order.sources)]
        command += [*order.arguments, *more]
        if "--no-binary" not in command:
            command.append("--no-build")
        if self.work.request.compile_bytecode and "--dry-run" not in command:
            command.append("--compile-bytecode")
        if order.lines:
            command += ["--requirements", self._list_of("packages", order.lines)]
        if "UV_HTTP_TIMEOUT" in order.settings:  # it only asks, and is impatient on purpose
            return self._uv_run(command, order, seconds)
        return patiently(
            order.sources,
            lambda more: self._uv_run(command, replace(order, settings={**order.settings, **more}), seconds),
        )

    def _install(self, order: Order, what: str = "") -> None:
        self._must(self._pip(order), what)

    def _must(self, done: Finished, what: str = "") -> None:
        if done.ok:
            return
        problem = self._with_addresses(uv_errors.explain(said(done)))
        if problem.kind == "no_version" and self.unreached:
            # The likelier cause: the source that has it is the one that is down.
            first = self.unreached[0]
            why = f"{problem.what}, and one could not be asked: {first.what}"
            problem = replace(problem, kind=first.kind, what=why, do=first.do)
        raise failed(f"{self.doing} ({what})" if what else self.doing, problem)

    def _with_addresses(self, problem: uv_errors.Problem) -> uv_errors.Problem:
        """Return a problem of some index with the addresses that were asked, where it names none."""
        unnamed = problem.kind == "no_version" or uv_errors.SOME_INDEX in problem.what
        if not unnamed or not self.sources.addresses:
            return problem
        return replace(problem, what=f"{problem.what} (asked: {', '.join(self.sources.addresses)})")

    def _make_venv(self, interpreter: str) -> None:
        # One that uv fetched is none of its managed ones here (it is not told the folder): the environment then names the
        # very release, not uv's link that moves to the next.
        command = ["venv", "--no-managed-python", "--allow-existing", "--python", interpreter, self.path]
        self._must(self._uv_run(command))

    def _reach(self, order: Order, *more: str, seconds: float = PROBE_SECONDS, names: Collection[str] = ()) -> Answer:
        """The order with those sources that answer, and why it cannot be had from them (None: it can). Of the packages in
        `names`, no extra may be lacking.

        pip passes over an index that does not answer; uv stops there. So the dead ones are taken out beforehand.
        """
        while True:
            done = self._pip(order, "--dry-run", *more, seconds=seconds)
            problem = uv_errors.missing_extra(said(done), names) if done.ok else uv_errors.explain(said(done))
            if problem is None or not problem.unreachable:
                return order, problem
            reduced = order.sources.without(problem.address or "")
            if reduced == order.sources or reduced.empty:
                return order, problem
            self.unreached.append(problem)
            order = replace(order, sources=reduced.note(f"left out: {problem.what}"))

    def _reach_host(self, requirement: str) -> None:
        if self.reached:
            return
        for probe in (HOST_PROBE, SLOW_PROBE):
            order, problem = self._reach(Order(self.sources, requirement, settings=probe), "--no-deps", "--reinstall")
            if problem is None or not problem.slow:
                break
        if problem is not None and problem.unreachable and problem.kind != uv_errors.LINE:
            raise failed(self.doing, self._with_addresses(problem))
        self.sources, self.reached = order.sources, True

    # -- pinned packages

    def _pin_groups(self) -> list[list[Pin]]:
        """The pins to install: each alone, but those that bring what they depend on together with all of the same source."""
        groups: dict[tuple[str | None, ...], list[Pin]] = {}
        for pin in self.desired.pins:
            if pin.dependencies and self.plan.bringing:
                groups.setdefault((pin.index, pin.find_links), []).append(pin)
            elif pin in self.plan.pins:
                groups[(pin.name,)] = [pin]
        return list(groups.values())

    def _find_pins(self, pins: Sequence[Pin]) -> Order | None:
        """The first source that has these pins, which name the same one, and what they bring; nothing is installed yet.

        None for an optional one that no source has.
        """
        first = pins[0]
        lines = "".join(pin.requirement.text + "".join(f" --hash={one}" for one in pin.hashes) + "\n" for pin in pins)
        arguments = ("--no-deps", *(["--require-hashes"] if first.hashes else []))
        if first.dependencies:
            # What is locked or pinned elsewhere is no business of theirs: uv neither looks for it nor moves it.
            elsewhere = self.desired.fixed - _names(pins)
            arguments = ("--excludes", self._list_of("excluded", "".join(f"{name}\n" for name in sorted(elsewhere))))
        order = Order(self.sources, lines, arguments, shown=HOSTS_OWN)
        tried: list[tuple[str, uv_errors.Problem]] = []
        if first.index or first.find_links:
            own = self.sources.only(first.index, first.find_links)
            shown = redact(first.index or first.find_links or "")
            missing = _not_there(first) or self.silent.get(shown)
            if missing:
                tried.append((shown, missing))
            else:
                found = self._try(replace(order, sources=own, shown=shown), PIN_PROBE, pins, tried)
                if found is not None:
                    return found
                if tried[-1][1].unreachable:
                    self.silent[shown] = tried[-1][1]
            self.sources = self.sources.note(f"{_texts(pins)} does not come from {shown}: {tried[-1][1].what}")
            order = replace(order, sources=self.sources)
        found = self._try(order, HOST_PROBE, pins, tried)
        if found is not None:
            self.sources, self.reached = found.sources, True
            return found
        if first.default is None or not self._may_be_default(first):
            if first.optional:
                self._leave_out(first, tried)
                return None
            raise self._cannot_be_had(pins, tried)
        defaults = "".join((pin.default or pin.requirement).text + "\n" for pin in pins)
        order = replace(order, lines=defaults, arguments=arguments if first.dependencies else ())
        reached, problem = self._reach(replace(order, settings=HOST_PROBE), "--no-deps", "--reinstall")
        if problem is not None and first.optional:
            self._leave_out(first, [*tried, (defaults.strip(), problem)])
            return None
        self.defaults |= _names(pins)
        return replace(reached, settings={}, shown=f"{HOSTS_OWN} (default build)", tried=tried)

    def _may_be_default(self, pin: Pin) -> bool:
        """Whether torch is the default build: that of another package fits no other torch."""
        torch = next((one for one in self.desired.pins if one.name == TORCH), pin)
        if torch is pin or torch in self.plan.pins:
            return torch is pin or TORCH in self.defaults
        return not replace(torch, default=None).is_in(environment.scan(self.site))

    def _leave_out(self, pin: Pin, tried: Sequence[tuple[str, uv_errors.Problem]]) -> None:
        known = "; ".join(f"{shown}: {problem.what}" for shown, problem in tried)
        again = json.dumps({"colab_extra_packages": [pin.name]})
        self.left_out.append(
            f"{pin.requirement.text} is left out, as no source has it ({known}). A notebook's pip refuses every other build of "
            f"{pin.name}, which would not work here. To ask for it again: ./colab-ready -e '{again}'."
        )

    def _try(
        self, order: Order, probe: Mapping[str, str], pins: Sequence[Pin], tried: list[tuple[str, uv_errors.Problem]]
    ) -> Order | None:
        """Ask sources for the pins, and for what they bring; where something is not there, that goes to what was tried."""
        alone = ("--no-deps", "--reinstall") if pins[0].dependencies else ("--reinstall",)
        found, problem = self._reach(replace(order, settings=probe), *alone)
        order = replace(found, settings=order.settings)
        if problem is None and pins[0].dependencies:
            order, problem = self._resolve(order, pins)
            if problem is not None and problem.kind in LACKING and order.shown != HOSTS_OWN:
                # What it lacks, the host's own sources may have. The pin's index has the first word on every name, so that no
                # other build of the same comes instead.
                tried.append((order.shown, problem))
                both = self.sources.led_by(pins[0].index, pins[0].find_links)
                shown = f"{order.shown} and {HOSTS_OWN}"
                order, problem = self._resolve(replace(order, sources=both, settings=FIRST_INDEX, shown=shown), pins)
        if problem is not None:
            tried.append((order.shown, problem))
            return None
        return order

    def _resolve(self, order: Order, pins: Sequence[Pin]) -> Answer:
        """Ask whether all that comes with the pins is there, AMD's one source included."""
        names = _names(pins)
        order, problem = self._reach(order, *_reinstall(names), seconds=INSTALL_SECONDS, names=names)
        to_build = problem is not None and problem.kind == "no_wheel" and problem.package == BUILDABLE
        tools = self._build_tools() if to_build and BUILDING[0] not in order.arguments else None
        if tools is None:
            return order, problem
        settings = {**order.settings, "PYTHONPATH": tools}
        return self._resolve(replace(order, arguments=(*order.arguments, *BUILDING), settings=settings), pins)

    def _build_tools(self) -> str | None:
        """Return a folder with the locked tools for a build; None where the lock has none, and never as root."""
        entry = self.desired.locked.get(BUILD_TOOLS)
        if entry is None or self.account.uid == 0:
            return None
        folder = os.path.join(self.cache, "build-tools")
        arguments = ("--target", folder, "--no-deps", "--require-hashes")
        self._install(Order(self.sources, lock_file.render([entry]), arguments), BUILD_TOOLS)
        return folder

    def _cannot_be_had(self, pins: Sequence[Pin], tried: Sequence[tuple[str, uv_errors.Problem]]) -> Failure:
        """The one message for pins that no source has."""
        first = pins[0]
        named = f": {give(f'{first.variable}=ADDRESS')}" if first.variable else ""
        known = "; ".join(f"{shown}: {problem.what}" for shown, problem in tried)
        with_all = " with what it depends on" if first.dependencies else ""
        kind = "a page of wheels" if first.find_links else "an index"
        advice = f"Name {kind} that has it{with_all}{named}, or put its wheel into a find-links folder of pip's"
        advice += " configuration"
        told = next((one for _shown, one in tried if one.kind in TELLING), None)
        if told is not None and told.kind == "wrong_python":
            choice = f"Choose another Python: {give('python_env_python=PATH')}"
            advice = f"{choice}. Otherwise, {advice[0].lower()}{advice[1:]}"
        if first.default_refused:
            advice += f", or take the default build (several GB): {give('python_env_allow_default_torch=true')}"
        return Failure(
            f"{self.doing}: {_texts(pins)} cannot be had{with_all}. Tried: {known}. Expected a source with exactly this build, "
            f"because another one may bring several GB. {advice}.",
            (told or tried[-1][1]).kind,
        )

    def _install_pins(self, pins: Sequence[Pin], order: Order) -> None:
        again = _reinstall(self.plan.reinstall - (self.desired.fixed - _names(pins)))
        done = self._pip(order, *again)
        broken = None if done.ok else uv_errors.explain(said(done))
        if broken is not None and broken.unreachable and order.shown not in (HOSTS_OWN, "") and not order.tried:
            # It answered when it was asked, and does not deliver: perhaps the host's own sources have the same build.
            found = self._try(replace(order, sources=self.sources, shown=HOSTS_OWN), HOST_PROBE, pins, [])
            if found is not None:
                self.sources = self.sources.note(f"{_texts(pins)} does not come from {order.shown}: {broken.what}")
                order, done = found, self._pip(found, *again)
        if order.tried:
            lines = " ".join(order.lines.split())
            if not done.ok:
                raise self._cannot_be_had(pins, [*order.tried, (lines, uv_errors.explain(said(done)))])
            self.sources = self.sources.note(f"{lines} was taken in place of {_texts(pins)}")
        self._must(done, _texts(pins))
        self.pin_sources.update({pin.name: order.shown for pin in pins})

    def _list_of(self, what: str, text: str) -> str:
        """A file for uv to read, in the cache."""
        handle, path = tempfile.mkstemp(dir=self.cache, prefix=f"{what}-", suffix=".txt")
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def _brought(self, installed: Mapping[str, Installed]) -> set[str]:
        """What the pins bring, as what is installed says."""
        roots = [pin.requirement for pin in self.desired.bringing]
        return environment.required_by(self.site, installed, roots, self.markers) - self.desired.fixed

    def _note_disagreements(self) -> None:
        """Tell where a package wants another version than the locked one, which has the last word."""
        if not self.desired.bringing:
            return
        done = self._uv_run(["pip", "check", "--python", self.python])
        found = re.findall(r"(The package `[^`]+` requires `([\w.-]+)[^`]*`, but `[^`]+` is installed)", said(done))
        for told, name in found:
            if lock_file.normalize(name) in self.desired.locked:
                self.sources = self.sources.note(f"{told}; that is locked, and stays")

    # -- all others

    def _install_locked(self) -> None:
        plan = self.plan
        self._reach_host(f"{plan.locked[0].name}=={plan.locked[0].version}")
        again = _reinstall(plan.reinstall & {entry.name for entry in plan.locked})
        lines = lock_file.render(plan.locked, plan.reinstall)
        self._install(Order(self.sources, lines, ("--no-deps", "--require-hashes", *again)))

    def _install_packages(self) -> None:
        """The packages without a lock. What is locked or pinned, or came with a pin, is a constraint for them, so that
        they cannot move it and be moved back by the next run."""
        installed = environment.scan(self.site)
        locked = _names(self.desired.pins) | set(self.desired.locked) | self._brought(installed)
        fixed = "".join(f"{installed[name]}\n" for name in sorted(locked) if name in installed)
        if not any(one.name in locked for one in self.desired.packages):
            self._reach_host(self.desired.packages[0].text)
        constraints = self._list_of("constraints", self._constraints_text(installed) + fixed)
        again = _reinstall(self.plan.reinstall - locked - self.desired.fixed)
        texts = [one.text for one in self.desired.packages]
        lines = "".join(f"{text}\n" for text in texts)
        self._install(Order(self.sources, lines, ("--constraints", constraints, *again)), ", ".join(texts))

    def _install_local(self, package: wheel.Package) -> None:
        place = package.write(tempfile.mkdtemp(dir=self.cache, prefix="wheel-"))
        nowhere = pip_config.Sources(no_index=True)
        arguments = ("--no-deps", "--reinstall-package", package.name, place)
        self._install(Order(nowhere, arguments=arguments), package.name)

    def _remove(self, names: Collection[str]) -> None:
        self._must(self._uv_run(["pip", "uninstall", "--python", self.python, *sorted(names)]))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed in a virtual environment, and what is missing from the desired state.

Reading is cheap on purpose (no interpreter, no metadata parser): a kernel environment with torch has 30,000 recorded
files, and "nothing to do" has to be found in a few tenths of a second. It is total, too: a file that the environment's
user damaged counts as none. `compare` is pure: it takes what was read and what is wanted, and returns what to do and why.
"""

from __future__ import annotations

import csv
import glob
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..files.safe_open import parse_object, read_bytes, read_object, read_text
from .lock import (
    LockEntry,
    LockError,
    Requirement,
    evaluate_marker,
    marker_environment,
    normalize,
    parse_requirement,
    same_version,
)
from .wheel import Package

# Our own note in an environment: what was asked, what came of it, whether the build ended.
MEMORY = "colab-ready.json"
CONSTRAINTS = "constraints.txt"
MEMORY_SCHEMA = 1
MEMORY_PARTS = ("packages", "local", "pinned", "bringing", "brought", "left_out")

# Asked of an interpreter with -I -S: no site, no user folder, about 15 ms. sys._base_executable is what the standard
# library's own venv module uses to find the real interpreter behind an environment.
INTERPRETER_PROBE = """
import json, os, sys
release, number = sys.version_info[3:]
suffix = {"alpha": "a%d", "beta": "b%d", "candidate": "rc%d"}.get(release)
print(json.dumps({
    "executable": sys.executable,
    "base": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
    "version": "%d.%d.%d" % sys.version_info[:3] + (suffix % number if suffix else ""),
    "implementation": sys.implementation.name,
}))
"""
_PYTHON_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}((a|b|rc)[0-9]{1,4})?")
# Said of a package that uv cannot uninstall.
NO_RECORD = "has no readable RECORD"
# torch's own copy of AMD's runtime. Up to ROCm 7.2 it does not know WSL, and hides the system's from torch (AMD's page on PyTorch
# in WSL has it deleted).
BUNDLED_HSA = "torch/lib/libhsa-runtime64.so"
# torch's with ROCm has some 3 MB.
RECORD_MOST = 1 << 26
METADATA_MOST = 1 << 22
CONFIG_MOST = 1 << 16
DECIDED_LATER = "(version decided when it is installed)"
Accepts = Callable[[str], bool]


# ---- the interpreter --------------------------------------------------------------------------


@dataclass(frozen=True)
class Interpreter:
    """A Python that ran and told about itself."""

    executable: str
    base: str
    version: str
    implementation: str

    @property
    def series(self) -> str:
        return ".".join(self.version.split(".")[:2])

    def markers(self) -> dict[str, str]:
        return marker_environment(self.version, self.implementation, os.uname().machine)


def parse_interpreter(output: str) -> Interpreter | None:
    """Return the answer to INTERPRETER_PROBE, or None where that is no answer."""
    said = parse_object((output.strip().splitlines() or [""])[-1]) or {}
    texts = [said.get(key) for key in ("executable", "base", "version", "implementation")]
    if not all(isinstance(text, str) for text in texts) or not _PYTHON_VERSION.fullmatch(str(said["version"])):
        return None
    return Interpreter(*map(str, texts))


# ---- the folder -------------------------------------------------------------------------------


def kind_of(path: str) -> str:
    """Return missing, empty, environment (ours to work on), other (somebody's folder), or file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "missing"
    if not stat.S_ISDIR(mode):
        return "file"
    if any(os.path.lexists(os.path.join(path, name)) for name in (MEMORY, "pyvenv.cfg")):
        return "environment"
    with os.scandir(path) as entries:
        return "empty" if next(entries, None) is None else "other"


def read_config(path: str) -> dict[str, str]:
    """Return pyvenv.cfg as a dictionary; empty where it is missing or nonsense."""
    text = read_text(os.path.join(path, "pyvenv.cfg"), CONFIG_MOST) or ""
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, separator, value in pairs if separator}


def read_memory(path: str) -> dict[str, Any]:
    """Return our note in the environment; empty where it is missing or nonsense."""
    data = read_object(os.path.join(path, MEMORY), METADATA_MOST) or {}
    if data.get("schema") != MEMORY_SCHEMA:
        return {}
    return {key: value for key, value in data.items() if key not in MEMORY_PARTS or isinstance(value, dict)}


def own_files(path: str, began: float) -> list[str]:
    """The names of what an environment itself is made of: what lies in it and in its bin, put there since `began` (seconds since
    the epoch), when it was made and nothing was installed yet."""
    found = {*os.listdir(path), *(f"bin/{name}" for name in os.listdir(os.path.join(path, "bin")))}
    found -= {MEMORY, CONSTRAINTS, ".lock", "bin", "lib"}
    # The kernel stamps files with the time of its last tick; uv leaves two as they are where they lie there already.
    return sorted(
        name
        for name in found
        if name in ("CACHEDIR.TAG", "lib64") or os.lstat(os.path.join(path, name)).st_ctime > began - 0.1
    )


def lost_files(path: str, memory: Mapping[str, Any]) -> list[str]:
    """Of the environment's own files those that are gone; of one whose note does not name them, none."""
    made = memory.get("made")
    names = [name for name in made if isinstance(name, str)] if isinstance(made, list) else []
    lost = [name for name in names if not os.path.lexists(os.path.join(path, name))]
    return [f"files of its own are missing ({', '.join(lost[:5])})"] if lost else []


def site_packages(path: str, series: str) -> str:
    return os.path.join(path, "lib", f"python{series}", "site-packages")


# ---- what is installed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """One package in an environment, as its .dist-info folder's name says it."""

    name: str
    version: str
    folder: str
    # More folders for the same name: what an interrupted upgrade leaves.
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def scan(site: str) -> dict[str, Installed]:
    """Every package in a site-packages folder, by name. A folder that cannot be listed has none."""
    found: dict[str, Installed] = {}
    for folder in sorted(glob.glob("*.dist-info", root_dir=site)):
        project, _dash, version = folder[: -len(".dist-info")].rpartition("-")
        name = normalize(project)
        if not name:
            continue
        known = found.get(name)
        others = (*known.others, known.folder) if known else ()
        found[name] = Installed(name, version, folder, others)
    return found


def examine(site: str, package: Installed, from_address: bool = False, taken_out: str | None = None) -> str | None:
    """What is wrong with a package's files: gone, or of another size than recorded.

    A package that was installed from an address or a folder is no locked one, whatever its version says, unless
    `from_address` allows it. Files whose names begin with `taken_out` are missing on purpose.
    """
    if package.others:
        return f"is there more than once ({', '.join((*package.others, package.folder))})"
    try:
        text = read_bytes(os.path.join(site, package.folder, "RECORD"), RECORD_MOST).decode()
        handle = os.open(site, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return NO_RECORD
    try:
        if f"{package.folder}/METADATA," not in text:
            # Somebody else's RECORD.
            return NO_RECORD
        return _examine_record(text, handle, from_address, taken_out)
    finally:
        os.close(handle)


def _examine_record(text: str, site: int, from_address: bool, taken_out: str | None) -> str | None:
    counted = 0
    for line in text.splitlines():
        if not line:
            continue
        try:
            file, _digest, size = next(csv.reader([line]), []) if '"' in line else line.rsplit(",", 2)
        except (ValueError, csv.Error):
            return NO_RECORD
        if file.endswith(".dist-info/direct_url.json") and not from_address:
            return "was installed from an address of its own"
        if not size:
            # RECORD itself, and what an installer compiled.
            continue
        if taken_out and file.startswith(taken_out):
            continue
        counted += 1
        try:
            actual = os.stat(file, dir_fd=site).st_size
            if actual != int(size):
                return f"has a changed file ({file})"
        except (OSError, ValueError):
            return f"lacks a file ({file})"
    return None if counted else NO_RECORD


def damages(path: str) -> list[str]:
    """What is missing from an environment, or damaged, by the note of who built it; nothing in it is run."""
    memory = read_memory(path)
    if not read_config(path).get("home"):
        return ["its pyvenv.cfg is missing or unreadable"]
    if memory.get("state") != "complete":
        return ["the last build did not end" if memory else f"its {MEMORY} is missing or unreadable"]
    site = next(iter(sorted(glob.glob(os.path.join(glob.escape(path), "lib", "python3*", "site-packages")))), "")
    installed = scan(site)
    packages = memory.get("packages", {}).get("resolved")
    names = {name for part in ("pinned", "brought", "local") for name in memory.get(part, {})}
    names.update(map(str, [*(packages or ()), *(memory.get("locked") or ())]))
    names -= set(memory.get("left_out", {}))
    found = {name: examine(site, one, True, BUNDLED_HSA) for name, one in sorted(installed.items()) if name in names}
    gone = [f"{name} is missing" for name in sorted(names - set(installed))]
    return [*lost_files(path, memory), *(f"{name} {problem}" for name, problem in found.items() if problem), *gone]


def bundled_hsa(site: str) -> list[str]:
    """The files of torch's own copy of AMD's runtime, as they are named below site-packages."""
    places = {one: os.path.join(site, one) for one in sorted(glob.glob(f"{BUNDLED_HSA}*", root_dir=site))}
    return [one for one, place in places.items() if os.path.islink(place) or not os.path.isdir(place)]


def required_by(
    site: str, installed: Mapping[str, Installed], roots: Sequence[Requirement], markers: Mapping[str, str]
) -> set[str]:
    """The names that the roots pull in, themselves included, as far as they are installed."""
    return set(needs_of(site, installed, roots, markers))


def needs_of(
    site: str, installed: Mapping[str, Installed], roots: Sequence[Requirement], markers: Mapping[str, str]
) -> dict[str, set[str]]:
    """The same names, and which versions of each the others ask for."""
    asked: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    pending = deque((root.name, extra) for root in roots for extra in ("", *root.extras))
    stated: dict[str, list[Requirement]] = {}
    while pending:
        name, extra = pending.popleft()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        asked.setdefault(name, set())
        if name not in stated:
            stated[name] = _stated(os.path.join(site, installed[name].folder, "METADATA"))
        for requirement in stated[name]:
            try:
                if requirement.marker and not evaluate_marker(requirement.marker, {**markers, "extra": extra}):
                    continue
            except LockError:
                # A marker of a future standard: rather one name too many.
                pass
            pending.extend((requirement.name, wanted) for wanted in ("", *requirement.extras))
            asked.setdefault(requirement.name, set()).add(requirement.specifier)
    return {name: versions for name, versions in asked.items() if name in installed}


def unneeded(
    site: str,
    installed: Mapping[str, Installed],
    brought: Collection[str],
    desired: Desired,
    markers: Mapping[str, str],
) -> list[str]:
    """Of what came with a pin once, what nothing in the environment needs any more, be it wanted or a user's own."""
    candidates = (set(brought) & set(installed)) - desired.names({})
    roots = [*(pin.requirement for pin in desired.pins), *desired.packages]
    roots += [Requirement(name, (), "", None, None, name) for name in installed if name not in candidates]
    return sorted(candidates - required_by(site, installed, roots, markers)) if candidates else []


def _stated(path: str) -> list[Requirement]:
    """What a package's metadata say that it requires."""
    head = (read_text(path, METADATA_MOST) or "").partition("\n\n")[0]
    found = []
    for text in re.findall(r"^Requires-Dist:(.*)$", head, re.MULTILINE):
        with suppress(ValueError):
            found.append(parse_requirement(text.strip()))
    return found


# ---- what is to be done -----------------------------------------------------------------------


@dataclass(frozen=True)
class Pin:
    """A package that comes from an index of its own."""

    requirement: Requirement
    hashes: tuple[str, ...] = ()
    # Where it comes from: an index, or a page or folder of wheels. Neither: from the host's own sources.
    index: str | None = None
    find_links: str | None = None
    # Whether it brings what it depends on, as far as that is neither locked nor pinned.
    dependencies: bool = False
    # Whether it is left out where no source has it.
    optional: bool = False
    variable: str = ""
    # What may be taken in its place, and whether something could be, if it were allowed.
    default: Requirement | None = None
    default_refused: bool = False

    @property
    def name(self) -> str:
        return self.requirement.name

    def accepts(self, version: str) -> bool:
        return self.requirement.accepts(version) or (self.default is not None and self.default.accepts(version))

    def is_in(self, installed: Mapping[str, Installed]) -> bool:
        with suppress(ValueError):
            return self.name in installed and self.accepts(installed[self.name].version)
        return False


@dataclass(frozen=True)
class Desired:
    """What an environment should hold."""

    locked: Mapping[str, LockEntry] = field(default_factory=dict)
    pins: Sequence[Pin] = ()
    packages: Sequence[Requirement] = ()
    local: Sequence[Package] = ()
    exact: bool = False

    @property
    def bringing(self) -> list[Pin]:
        """The pins that bring what they depend on."""
        return [pin for pin in self.pins if pin.dependencies]

    @property
    def fixed(self) -> set[str]:
        """The names that nothing else may move."""
        return set(self.locked) | {pin.name for pin in self.pins} | {one.name for one in self.local}

    def names(self, memory: Mapping[str, Any]) -> set[str]:
        """Everything whose files are worth a look."""
        return self.fixed | self.resolved(memory) | set(self.brought(memory))

    def specs(self) -> list[str]:
        return sorted(one.text for one in self.packages)

    def resolved(self, memory: Mapping[str, Any]) -> set[str]:
        """The unlocked packages, with what they came to last time."""
        names = memory.get("packages", {}).get("resolved") if self.packages else None
        return {one.name for one in self.packages} | set(map(str, names if isinstance(names, list) else ()))

    def brought(self, memory: Mapping[str, Any]) -> dict[str, str]:
        """What came with the pins last time, with its versions; nobody's business once none of them brings anything."""
        found, fixed = memory.get("brought", {}) if self.bringing else {}, self.fixed
        return {name: str(version) for name, version in found.items() if name not in fixed}


@dataclass
class Plan:
    """The steps between an environment and its desired state."""

    locked: list[LockEntry] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    # Whether uv is to look at the pins that bring what they depend on, and at what they brought.
    bringing: bool = False
    # Whether the environment's own files are to be made again, around what is installed.
    itself: bool = False
    packages: bool = False
    local: list[Package] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    # Files below site-packages to take out.
    take_out: list[str] = field(default_factory=list)
    # Names that uv must put there again although their version is the right one.
    reinstall: set[str] = field(default_factory=set)
    # Why, one line each; a person reads them.
    reasons: list[str] = field(default_factory=list)

    @property
    def for_uv(self) -> bool:
        parts = (self.itself, self.locked, self.pins, self.bringing, self.packages, self.local, self.remove)
        return any(map(bool, parts))

    @property
    def empty(self) -> bool:
        return not (self.for_uv or self.take_out)


def compare(
    desired: Desired,
    installed: Mapping[str, Installed],
    problems: Mapping[str, str],
    memory: Mapping[str, Any],
    unwanted_files: Sequence[str] = (),
) -> Plan:
    """What is to be done so that the desired state holds, and nothing more; `problems` are the damaged packages."""
    comparison = _Comparison(desired, installed, problems, memory, Plan(take_out=list(unwanted_files)))
    plan = comparison.plan
    comparison.compare_pins()
    for name, entry in sorted(desired.locked.items()):
        if comparison.differs(name, partial(same_version, entry.version), entry.version):
            plan.locked.append(entry)
    comparison.compare_packages()
    for package in desired.local:
        if comparison.differs(package.name):
            plan.local.append(package)
        elif memory.get("local", {}).get(package.name) != package.digest:
            plan.local.append(package)
            plan.reasons.append(f"the source of {package.name} changed")
    plan.reasons.extend(f"{one} is there, and hides the system's" for one in unwanted_files)
    if desired.exact:
        plan.remove = sorted(set(installed) - desired.names(memory))
        plan.reasons.extend(f"{installed[name]} is not wanted here" for name in plan.remove)
    return plan


@dataclass(frozen=True)
class _Comparison:
    """An environment and its desired state, and the plan that comes of them."""

    desired: Desired
    installed: Mapping[str, Installed]
    problems: Mapping[str, str]
    memory: Mapping[str, Any]
    plan: Plan

    def compare_pins(self) -> None:
        """What the pins brought last time is known; what they should bring where that is not right any more, uv knows.

        Those that no source had are asked for again with the next pin that is.
        """
        plan = self.plan
        left_out = [pin for pin in self.desired.pins if self.is_left_out(pin)]
        for pins in ([pin for pin in self.desired.pins if pin not in left_out], left_out):
            if pins is not left_out or plan.pins:
                plan.pins += [pin for pin in pins if self.differs(pin.name, pin.accepts, pin.requirement.version)]
        plan.bringing = any(pin.dependencies for pin in plan.pins)
        for pin in self.desired.bringing:
            if self.memory.get("bringing", {}).get(pin.name) != pin.requirement.text and pin not in plan.pins:
                plan.reasons.append(f"{pin.requirement.text} was not asked for last time")
                plan.bringing = True
        for name, version in sorted(self.desired.brought(self.memory).items()):
            if self.differs(name, partial(same_version, version), version):
                plan.bringing = True

    def is_left_out(self, pin: Pin) -> bool:
        told = self.memory.get("left_out", {}).get(pin.name)
        return pin.optional and told == pin.requirement.text and not pin.is_in(self.installed)

    def compare_packages(self) -> None:
        plan, packages = self.plan, self.desired.packages
        if not packages:
            return
        # What else was moved may no longer fit them; uv looks, which costs nothing when it does.
        plan.packages = bool(plan.pins or plan.locked or plan.bringing)
        before = len(plan.reasons)
        for name in sorted(self.desired.resolved(self.memory) - self.desired.fixed):
            asked = [one for one in packages if one.name == name]
            self.differs(name, partial(_accepted_by_all, asked), ", ".join(one.text for one in asked))
        if len(plan.reasons) == before and self.memory.get("packages", {}).get("specs") != self.desired.specs():
            plan.reasons.append("other packages are asked for than last time")
        plan.packages = plan.packages or len(plan.reasons) > before

    def differs(self, name: str, accepts: Accepts = lambda _version: True, wanted: str | None = None) -> bool:
        """Say in the plan what is wrong with a package, and whether uv is to put it there again; False where nothing is."""
        package, problem = self.installed.get(name), self.problems.get(name)
        if package is None:
            self.plan.reasons.append(f"{name} is missing")
            return True
        try:
            fits = accepts(package.version)
        except ValueError:
            fits = False
        if fits and not problem:
            return False
        why = problem if fits else f"{package.version} is installed, {wanted} is wanted"
        self.plan.reasons.append(f"{name} {why}")
        # To uv ==2.4.1 is met by 2.4.1+cpu as well, so it would leave that where the build without a name is wanted.
        if problem or "+" in package.version:
            self.plan.reinstall.add(name)
        return True


def _accepted_by_all(requirements: Sequence[Requirement], version: str) -> bool:
    return all(one.accepts(version) for one in requirements)


def listing(installed: Mapping[str, Installed]) -> list[str]:
    """name==version, one a line, as a diff shows it."""
    return [str(package) for _name, package in sorted(installed.items())]


def predicted(desired: Desired, plan: Plan, installed: Mapping[str, Installed], memory: Mapping[str, Any]) -> list[str]:
    """The listing after the plan, as far as it can be known before."""
    after = {name: package.version for name, package in installed.items() if name not in plan.remove}
    after.update(desired.brought(memory))
    after.update({entry.name: entry.version for entry in plan.locked})
    after.update({pin.name: pin.requirement.version or "" for pin in plan.pins})
    after.update({package.name: package.version for package in plan.local})
    lines = {name: f"{name}=={version}" for name, version in after.items()}
    if plan.packages:
        for requirement in desired.packages:
            if requirement.name not in after or not requirement.accepts(after[requirement.name]):
                lines[requirement.name] = f"{requirement.text} {DECIDED_LATER}"
    return [line for _name, line in sorted(lines.items())]

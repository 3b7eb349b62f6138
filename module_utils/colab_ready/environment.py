# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is installed in a virtual environment, and what is missing from a wish.

Reading is cheap on purpose (no interpreter, no metadata parser): a kernel environment with torch has 30,000 recorded
files, and "nothing to do" has to be found in a few tenths of a second. It is total, too: a file that the environment's
user damaged counts as none. `compare` is pure: it takes what was read and what is wanted, and returns what to do and why.
"""

from __future__ import annotations

import csv
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Collection, Iterable, Iterator, Mapping, Sequence

from ansible.module_utils.colab_ready.files.safe_open import parse_object, read_bytes, read_object, read_text
from ansible.module_utils.colab_ready.lockfile import (
    LockEntry,
    LockError,
    Requirement,
    evaluate_marker,
    marker_environment,
    normalize,
    parse_requirement,
    parse_version,
    same_version,
)

# Our own note in an environment: what was asked, what came of it, whether the build ended.
MEMORY = "colab-ready.json"
CONSTRAINTS = "constraints.txt"
MEMORY_SCHEMA = 1
MEMORY_PARTS = ("packages", "local", "pinned", "brought")

# Asked of an interpreter with -I -S: no site, no user folder, about 15 ms. sys._base_executable is what the standard
# library's own venv module uses to find the real interpreter behind an environment.
INTERPRETER_PROBE = """
import json, os, sys
version = sys.version_info
suffix = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(version[3], "")
print(json.dumps({
    "version": list(version[:3]),
    "suffix": suffix + str(version[4]) if suffix else "",
    "implementation": sys.implementation.name,
    "executable": sys.executable,
    "base": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
    "platform": sys.platform,
}))
"""
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


# ---- the interpreter --------------------------------------------------------------------------


@dataclass(frozen=True)
class Interpreter:
    """A Python that ran and told about itself."""

    executable: str
    base: str
    version: tuple[int, ...]
    suffix: str
    implementation: str

    @property
    def version_text(self) -> str:
        return ".".join(str(part) for part in self.version) + self.suffix

    @property
    def series(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    def markers(self) -> dict[str, str]:
        host = os.uname()
        return marker_environment(self.version, self.implementation, host.machine, host.sysname, self.suffix)


def parse_interpreter(output: str) -> Interpreter | None:
    """Return the answer to INTERPRETER_PROBE, or None where that is no answer."""
    said = parse_object((output.strip().splitlines() or [""])[-1]) or {}
    version, texts = said.get("version"), [said.get(key) for key in ("executable", "base", "suffix", "implementation")]
    if not isinstance(version, list) or len(version) != 3 or not all(type(part) is int for part in version):
        return None
    if not all(isinstance(text, str) for text in texts) or not _readable(".".join(map(str, version)) + str(texts[2])):
        return None
    executable, base, suffix, implementation = map(str, texts)
    return Interpreter(executable, base, tuple(version), suffix, implementation)


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
    try:
        lines = read_bytes(os.path.join(path, "pyvenv.cfg"), CONFIG_MOST).decode().splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name.strip().lower(): value.strip() for name, separator, value in pairs if separator}


def read_memory(path: str) -> dict[str, Any]:
    """Return our note in the environment; empty where it is missing or nonsense."""
    data = read_object(os.path.join(path, MEMORY), METADATA_MOST) or {}
    if data.get("schema") != MEMORY_SCHEMA:
        return {}
    return {key: value for key, value in data.items() if key not in MEMORY_PARTS or isinstance(value, dict)}


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
    try:
        names = sorted(entry.name for entry in os.scandir(site) if entry.name.endswith(".dist-info"))
    except OSError:
        return {}
    found: dict[str, Installed] = {}
    for folder in names:
        project, _dash, version = folder[: -len(".dist-info")].rpartition("-")
        name = normalize(project)
        if not name:
            continue
        known = found.get(name)
        if known:
            found[name] = Installed(name, version, folder, (*known.others, known.folder))
        else:
            found[name] = Installed(name, version, folder)
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


def bundled_hsa(site: str) -> list[str]:
    """The files of torch's own copy of AMD's runtime, as they are named below site-packages."""
    folder, name = os.path.split(BUNDLED_HSA)
    try:
        with os.scandir(os.path.join(site, folder)) as entries:
            found = [one.name for one in entries if one.name.startswith(name) and not one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(os.path.join(folder, one) for one in found)


def required_by(
    site: str, installed: Mapping[str, Installed], roots: Sequence[Requirement], markers: Mapping[str, str]
) -> set[str]:
    """The names that the roots pull in, themselves included, as far as they are installed."""
    names = {root.name for root in roots}
    names |= {wanted.name for _who, wanted in _requirements(site, installed, roots, markers)}
    return names & set(installed)


def needed_by(
    site: str,
    installed: Mapping[str, Installed],
    pins: Sequence[Pin],
    markers: Mapping[str, str],
    elsewhere: Collection[str],
) -> dict[str, str]:
    """What those pins need beyond what is installed from `elsewhere` (locked, pinned, from a folder): each name with what
    is wrong about it, or with nothing."""
    needs: dict[str, str] = {}
    for pin in pins:
        package = installed.get(pin.name)
        if package is None or not _accepts(pin.requirement, package.version):
            continue
        lacking = sorted(set(pin.requirement.extras) - _metadata(site, package)[1])
        if lacking:
            needs[pin.name] = f"{package} has no extra {', '.join(lacking)}"
    roots = [pin.requirement for pin in pins]
    for who, wanted in _requirements(site, installed, roots, markers, elsewhere):
        if wanted.name in elsewhere:
            continue
        package = installed.get(wanted.name)
        if package is None:
            why = f"{wanted.name}, which {who} needs, is missing"
        elif not _accepts(wanted, package.version):
            why = f"{package.name} {package.version} is installed, and {who} needs {wanted.specifier}"
        else:
            why = ""
        needs[wanted.name] = needs.get(wanted.name) or why
    return needs


def unneeded(
    site: str,
    installed: Mapping[str, Installed],
    brought: Collection[str],
    wish: Wish,
    needs: Collection[str],
    markers: Mapping[str, str],
) -> list[str]:
    """Of what came with a pin once, what nothing in the environment needs any more, be it wanted or a user's own."""
    wanted = wish.names({}) | set(needs)
    candidates = {name for name in brought if name in installed and name not in wanted}
    roots = [*(pin.requirement for pin in wish.pins), *wish.packages]
    roots += [Requirement(name, (), "", None, None, name) for name in installed if name not in candidates]
    return sorted(candidates - required_by(site, installed, roots, markers)) if candidates else []


def disagreements(site: str, installed: Mapping[str, Installed], wish: Wish, markers: Mapping[str, str]) -> list[str]:
    """Where what came with a pin wants another version than the locked one, which has the last word."""
    told = set()
    for who, wanted in _requirements(site, installed, [pin.requirement for pin in wish.bringing], markers, wish.fixed):
        package = installed.get(wanted.name)
        if wanted.name in wish.locked and package is not None and not _accepts(wanted, package.version):
            told.add(
                f"{who} states that it needs {wanted.name}{wanted.specifier}; {package.version} is locked, and stays"
            )
    return sorted(told)


def _requirements(
    site: str,
    installed: Mapping[str, Installed],
    roots: Iterable[Requirement],
    markers: Mapping[str, str],
    ends: Collection[str] = (),
) -> Iterator[tuple[str, Requirement]]:
    """Every requirement that is stated and holds, from the roots on, after the name of who states it. What is not
    installed states none, and those of the names in `ends` are not asked for."""
    seen: set[tuple[str, str]] = set()
    pending = deque((root.name, extra) for root in roots for extra in ("", *root.extras))
    stated: dict[str, list[Requirement]] = {}
    while pending:
        name, extra = pending.popleft()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        if name not in stated:
            stated[name] = _metadata(site, installed[name])[0]
        for requirement in stated[name]:
            try:
                if requirement.marker and not evaluate_marker(requirement.marker, {**markers, "extra": extra}):
                    continue
            except (LockError, RecursionError):
                # A marker of a future standard: rather one name too many.
                pass
            yield name, requirement
            if requirement.name not in ends:
                pending.extend((requirement.name, wanted) for wanted in ("", *requirement.extras))


def _metadata(site: str, package: Installed) -> tuple[list[Requirement], set[str]]:
    """What a package requires, and the extras that it has."""
    requires: list[Requirement] = []
    extras: set[str] = set()
    text = read_text(os.path.join(site, package.folder, "METADATA"), METADATA_MOST) or ""
    for line in text.split("\n"):
        if not line.strip():
            break
        if line.startswith("Provides-Extra:"):
            extras.add(normalize(line.split(":", 1)[1].strip()))
        if line.startswith("Requires-Dist:"):
            try:
                requires.append(parse_requirement(line.split(":", 1)[1].strip()))
            except ValueError:
                continue
    return requires, extras


# ---- what is to be done -----------------------------------------------------------------------


@dataclass(frozen=True)
class LocalPackage:
    """A package whose source lies on the host."""

    name: str
    version: str
    folder: str
    digest: str


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
    variable: str = ""
    # What may be taken in its place, and whether something could be, if it were allowed.
    default: Requirement | None = None
    default_refused: bool = False

    @property
    def name(self) -> str:
        return self.requirement.name

    def accepts(self, version: str) -> bool:
        return self.requirement.accepts(version) or (self.default is not None and self.default.accepts(version))


@dataclass(frozen=True)
class Wish:
    """What an environment should hold."""

    locked: Mapping[str, LockEntry] = field(default_factory=dict)
    pins: Sequence[Pin] = ()
    packages: Sequence[Requirement] = ()
    local: Sequence[LocalPackage] = ()
    exact: bool = False

    def names(self, memory: Mapping[str, Any]) -> set[str]:
        """Everything whose files are worth a look."""
        return self.fixed | {one.name for one in self.packages} | set(self._resolved(memory))

    @property
    def bringing(self) -> list[Pin]:
        """The pins that bring what they depend on."""
        return [pin for pin in self.pins if pin.dependencies]

    @property
    def fixed(self) -> set[str]:
        """The names that nothing else may move."""
        return set(self.locked) | {pin.name for pin in self.pins} | {one.name for one in self.local}

    def specs(self) -> list[str]:
        return sorted(one.text for one in self.packages)

    def _resolved(self, memory: Mapping[str, Any]) -> list[str]:
        """What the unlocked packages came to last time; nobody's business once none is wanted."""
        remembered = memory.get("packages")
        if not self.packages or not isinstance(remembered, dict):
            return []
        names = remembered.get("resolved")
        return [str(name) for name in names] if isinstance(names, list) else []

    def resolved(self, memory: Mapping[str, Any]) -> set[str]:
        return set(self._resolved(memory)) | {one.name for one in self.packages}


@dataclass
class Plan:
    """The steps between an environment and a wish."""

    locked: list[LockEntry] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    # Whether uv is to look at the pins that bring what they depend on, and at what they brought.
    bringing: bool = False
    # What these need and lack.
    lacking: list[str] = field(default_factory=list)
    packages: bool = False
    local: list[LocalPackage] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    # Files below site-packages to take out.
    take_out: list[str] = field(default_factory=list)
    # Names that uv must put there again although their version is the right one.
    reinstall: set[str] = field(default_factory=set)
    # Why, one line each; a person reads them.
    reasons: list[str] = field(default_factory=list)

    @property
    def for_uv(self) -> bool:
        return bool(self.locked or self.pins or self.bringing or self.packages or self.local or self.remove)

    @property
    def empty(self) -> bool:
        return not (self.for_uv or self.take_out)


def compare(
    wish: Wish,
    installed: Mapping[str, Installed],
    problems: Mapping[str, str],
    memory: Mapping[str, Any],
    needs: Mapping[str, str] | None = None,
    unwanted_files: Sequence[str] = (),
) -> Plan:
    """What is to be done so that the wish holds, and nothing more.

    `problems` are the damaged packages, `needs` is what the pins with dependencies need (see needed_by).
    """
    plan = Plan()
    for pin in wish.pins:
        why = _difference(pin.name, installed, problems, pin.accepts, pin.requirement.specifier.lstrip("="))
        if why:
            plan.pins.append(pin)
            plan.bringing = plan.bringing or pin.dependencies
            plan.reasons.append(why)
            _again(plan, pin.name, installed, problems)
    _compare_needs(plan, needs or {}, problems, wish.fixed)
    for name, entry in sorted(wish.locked.items()):
        if any(name == pin.name for pin in wish.pins):
            continue
        why = _difference(
            name, installed, problems, lambda version, e=entry: same_version(version, e.version), entry.version
        )
        if why:
            plan.locked.append(entry)
            plan.reasons.append(why)
            _again(plan, name, installed, problems)
    _compare_packages(plan, wish, installed, problems, memory)
    for package in wish.local:
        remembered = memory.get("local") if isinstance(memory.get("local"), dict) else {}
        why = None
        if package.name not in installed:
            why = f"{package.name} is missing"
        elif package.name in problems:
            why = f"{package.name} {problems[package.name]}"
        elif (remembered or {}).get(package.name) != package.digest:
            why = f"the source of {package.name} changed"
        if why:
            plan.local.append(package)
            plan.reasons.append(why)
            plan.reinstall.add(package.name)
    plan.take_out = list(unwanted_files)
    plan.reasons.extend(f"{one} is there, and hides the system's" for one in unwanted_files)
    if wish.exact:
        wanted = wish.names(memory) | wish.resolved(memory) | set(needs or {}) | brought(wish, memory)
        plan.remove = sorted(name for name in installed if name not in wanted)
        plan.reasons.extend(f"{installed[name]} is not wanted here" for name in plan.remove)
    return plan


def brought(wish: Wish, memory: Mapping[str, Any]) -> set[str]:
    """What came with the pins last time; nobody's business once none of them brings anything."""
    remembered = memory.get("brought")
    return {str(name) for name in remembered} if wish.bringing and isinstance(remembered, dict) else set()


def _compare_needs(plan: Plan, needs: Mapping[str, str], problems: Mapping[str, str], fixed: Collection[str]) -> None:
    for name, why in sorted(needs.items()):
        if why:
            plan.lacking.append(name)
        elif name in problems and name not in fixed:
            why = f"{name} {problems[name]}"
            plan.reinstall.add(name)
        if why:
            plan.bringing = True
            plan.reasons.append(why)


def _compare_packages(
    plan: Plan,
    wish: Wish,
    installed: Mapping[str, Installed],
    problems: Mapping[str, str],
    memory: Mapping[str, Any],
) -> None:
    if not wish.packages:
        return
    elsewhere = wish.fixed
    reasons = []
    for requirement in wish.packages:
        package = installed.get(requirement.name)
        if package is None:
            reasons.append(f"{requirement.name} is missing")
        elif not _accepts(requirement, package.version):
            reasons.append(f"{requirement.name} {package.version} is installed, {requirement.text} is wanted")
    remembered = memory.get("packages")
    specs = remembered.get("specs") if isinstance(remembered, dict) else None
    if not reasons and specs != wish.specs():
        reasons.append("other packages are asked for than last time")
    for name in sorted(wish.resolved(memory) - elsewhere):
        if name not in installed and not any(one.name == name for one in wish.packages):
            reasons.append(f"{name} is missing")
        elif name in problems:
            reasons.append(f"{name} {problems[name]}")
            plan.reinstall.add(name)
    # What else was moved may no longer fit them; uv looks, which costs nothing when it does.
    plan.packages = bool(reasons) or bool(plan.pins or plan.locked or plan.bringing)
    plan.reasons.extend(reasons)


def _difference(
    name: str, installed: Mapping[str, Installed], problems: Mapping[str, str], accepts: Any, wanted: str
) -> str | None:
    package = installed.get(name)
    if package is None:
        return f"{name} is missing"
    if not _readable(package.version) or not accepts(package.version):
        return f"{name} {package.version} is installed, {wanted} is wanted"
    return f"{name} {problems[name]}" if name in problems else None


def _readable(version: str) -> bool:
    try:
        parse_version(version)
    except ValueError:
        return False
    return True


def _accepts(requirement: Requirement, version: str) -> bool:
    """Tell whether an installed version meets what a package's metadata ask for, either of which may be nonsense."""
    try:
        return requirement.accepts(version)
    except ValueError:
        return False


def _again(plan: Plan, name: str, installed: Mapping[str, Installed], problems: Mapping[str, str]) -> None:
    # To uv ==2.4.1 is met by 2.4.1+cpu as well, so it would leave that where the build without a name is wanted.
    if name in installed and (name in problems or "+" in installed[name].version):
        plan.reinstall.add(name)


def listing(installed: Mapping[str, Installed]) -> list[str]:
    """name==version, one a line, as a diff shows it."""
    return [str(package) for _name, package in sorted(installed.items())]


def predicted(wish: Wish, plan: Plan, installed: Mapping[str, Installed]) -> list[str]:
    """The listing after the plan, as far as it can be known before."""
    after = {name: package.version for name, package in installed.items() if name not in plan.remove}
    after.update({entry.name: entry.version for entry in plan.locked})
    after.update({pin.name: pin.requirement.specifier.lstrip("= ") for pin in plan.pins})
    after.update({package.name: package.version for package in plan.local})
    lines = {name: f"{name}=={version}" for name, version in after.items()}
    lines.update({name: f"{name} {DECIDED_LATER}" for name in plan.lacking if name not in wish.fixed})
    if plan.packages:
        for requirement in wish.packages:
            if requirement.name not in after or not requirement.accepts(after[requirement.name]):
                lines[requirement.name] = f"{requirement.text} {DECIDED_LATER}"
    return [line for _name, line in sorted(lines.items())]

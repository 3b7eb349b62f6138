# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock (the hashed requirements of all platforms, as `uv pip compile --universal` writes them), read for one Python.

The target may have no `packaging` library, so the few rules that are needed live here: names (PEP 503), versions and
specifiers (PEP 440), environment markers (PEP 508). Pure: text and dictionaries in, data out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Collection, Iterable, Mapping, Sequence

# The marker variables whose values are versions and are compared as such; all others are compared as text.
VERSION_VARIABLES = ("python_version", "python_full_version", "implementation_version")
TEXT_VARIABLES = (
    "sys_platform",
    "platform_machine",
    "platform_system",
    "platform_release",
    "platform_version",
    "os_name",
    "implementation_name",
    "platform_python_implementation",
    "extra",
)

# Python refuses to read numbers of more than 4300 digits.
VERSION_CHARACTERS = 255
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = re.compile(
    r"""
    \s*v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre_kind>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre>[0-9]+)?)?
    (?P<post_part>-(?P<post_bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post>[0-9]+)?)?
    (?P<dev_part>[-_.]?dev[-_.]?(?P<dev>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    \s*
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PRE = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_SPECIFIER = re.compile(r"\s*(?P<operator>===|==|~=|!=|<=|>=|<|>)\s*(?P<version>[^\s,;<>=!~][^\s,;<>=~]*)\s*")
_REQUIREMENT = re.compile(
    rf"\s*(?P<name>{_NAME})\s*(?:\[(?P<extras>[^\]]*)\])?\s*"
    r"(?:@\s*(?P<url>\S+)|\(?(?P<specifier>(?:===|==|~=|!=|<=|>=|<|>)[^;()]*)\)?)?\s*(?:(?:;|\s;)\s*(?P<marker>.+))?"
)
_HASH = re.compile(r"--hash[= ]([a-z0-9]+:[0-9a-f]+)")
_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<operator>===|==|~=|!=|<=|>=|<|>)|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\")"
)
_NEVER = 1 << 62


class LockError(ValueError):
    """A lock, requirement or marker that cannot be understood; the text is one message for the user."""


def normalize(name: str) -> str:
    """A project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- versions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A version in parts that compare as PEP 440 says."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[int, int]
    post: int
    dev: int
    local: tuple[tuple[int, int, str], ...]

    @property
    def prerelease(self) -> bool:
        return self.pre[0] >= 0 and self.pre[0] < _NEVER or self.dev != _NEVER

    def key(self) -> tuple[Any, ...]:
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        return (self.epoch, release, self.pre, self.post, self.dev, self.local)

    def public(self) -> tuple[Any, ...]:
        return self.key()[:-1]


def parse_version(text: str) -> Version:
    match = _VERSION.fullmatch(text) if len(text) <= VERSION_CHARACTERS else None
    if not match:
        raise LockError(
            f"'{text[:VERSION_CHARACTERS]}' is no version. Expected one such as 2.13.0 or 2.13.0+cpu. Correct it."
        )
    has_pre, has_post, has_dev = match["pre_kind"], match["post_part"], match["dev_part"]
    if has_pre:
        pre = (_PRE[has_pre.lower()], int(match["pre"] or 0))
    elif has_dev and not has_post:
        # 1.0.dev1 comes before 1.0a1.
        pre = (-1, 0)
    else:
        pre = (_NEVER, 0)
    local = tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.split(r"[-_.]", (match["local"] or "").lower())
        if part
    )
    return Version(
        epoch=int(match["epoch"] or 0),
        release=tuple(int(part) for part in match["release"].split(".")),
        pre=pre,
        post=int(match["post"] or match["post_bare"] or 0) if has_post else -1,
        dev=int(match["dev"] or 0) if has_dev else _NEVER,
        local=local,
    )


def same_version(left: str, right: str) -> bool:
    """Whether two spellings mean the same version, local part included (2.0 and 2.0.0 do)."""
    try:
        return parse_version(left).key() == parse_version(right).key()
    except LockError:
        return left == right


def matches(version: str, specifier: str) -> bool:
    """Whether a version fits a comma-separated specifier such as `>=3.10,<3.15` (all parts must)."""
    return all(_fits(version, operator, operand) for operator, operand in split_specifier(specifier))


def split_specifier(specifier: str) -> list[tuple[str, str]]:
    parts = []
    for part in specifier.split(","):
        if not part.strip():
            continue
        match = _SPECIFIER.fullmatch(part)
        if not match:
            raise LockError(
                f"'{part.strip()}' is no version condition. Expected one such as >=3.10 or ==2.13.0. Correct it."
            )
        parts.append((match["operator"], match["version"]))
    return parts


def _fits(version: str, operator: str, operand: str) -> bool:
    if operator == "===":
        return version.strip().lower() == operand.strip().lower()
    mine = parse_version(version)
    if operand.endswith(".*") and operator in ("==", "!="):
        prefix = parse_version(operand[:-2])
        padded = mine.release + (0,) * len(prefix.release)
        equal = mine.epoch == prefix.epoch and padded[: len(prefix.release)] == prefix.release
        return equal == (operator == "==")
    other = parse_version(operand)
    if operator in ("==", "!="):
        # A condition without a local part fits every build of that version: ==2.13.0 takes 2.13.0+cpu.
        equal = mine.key() == other.key() if other.local else mine.public() == other.public()
        return equal == (operator == "==")
    if operator == "~=":
        prefix_release = other.release[:-1]
        padded = mine.release + (0,) * len(other.release)
        same_series = mine.epoch == other.epoch and padded[: len(prefix_release)] == prefix_release
        return same_series and mine.public() >= other.public()
    if operator == ">=":
        return mine.public() >= other.public()
    if operator == "<=":
        return mine.public() <= other.public()
    around_final = mine.key()[:2] == other.key()[:2] and not other.prerelease and other.post < 0
    if operator == "<":
        # <3.12 does not mean 3.12rc1.
        return mine.public() < other.public() and not (around_final and mine.prerelease)
    # >1.7 does not mean 1.7.post1.
    return mine.public() > other.public() and not (around_final and mine.post >= 0)


# ---- markers ----------------------------------------------------------------------------------


def evaluate_marker(marker: str, environment: Mapping[str, str]) -> bool:
    """Whether a PEP 508 marker holds in an environment (the variables as text; `extra` may be left out)."""
    return _Marker(marker, environment).evaluate()


class _Marker:
    """Recursive descent over `or`, `and`, brackets and comparisons."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self.text = text
        self.environment = environment
        self.tokens = self._tokens()
        self.place = 0

    def evaluate(self) -> bool:
        value = self._or()
        if self.place != len(self.tokens):
            raise self._error(f"'{self.tokens[self.place][1]}' stands where it should end")
        return value

    def _error(self, problem: str) -> LockError:
        return LockError(
            f"The marker `{self.text}` cannot be understood: {problem}. Expected a PEP 508 marker such as "
            "python_full_version >= '3.11'. Compile the lock again with `uv pip compile --universal`."
        )

    def _tokens(self) -> list[tuple[str, str]]:
        tokens, place = [], 0
        text = self.text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if not match:
                raise self._error(f"'{text[place:].strip()[:20]}' is unknown")
            place = match.end()
            kind = match.lastgroup or ""
            tokens.append(("text" if kind in ("single", "double") else kind, match[kind]))
        return tokens

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self.place += 1
        return token

    def _or(self) -> bool:
        value = self._and()
        while self._peek() == ("word", "or"):
            self._take()
            value = self._and() or value
        return value

    def _and(self) -> bool:
        value = self._atom()
        while self._peek() == ("word", "and"):
            self._take()
            value = self._atom() and value
        return value

    def _atom(self) -> bool:
        if self._peek() == ("bracket", "("):
            self._take()
            value = self._or()
            if self._take() != ("bracket", ")"):
                raise self._error("a bracket is not closed")
            return value
        left = self._operand()
        kind, operator = self._take()
        if kind == "word" and operator == "not" and self._peek() == ("word", "in"):
            self._take()
            operator = "not in"
        elif kind != "operator" and (kind, operator) != ("word", "in"):
            raise self._error(f"'{operator or 'the end'}' stands where a comparison should")
        return self._compare(left, operator, self._operand())

    def _operand(self) -> tuple[str | None, str]:
        """The variable's name, or None for a literal, and its value."""
        kind, value = self._take()
        if kind == "text":
            return None, value
        if kind == "word" and value in VERSION_VARIABLES + TEXT_VARIABLES:
            if value == "extra":
                return value, self.environment.get("extra", "")
            if value not in self.environment:
                raise self._error(f"nothing is known about {value} here")
            return value, self.environment[value]
        raise self._error(f"'{value or 'the end'}' is no variable")

    def _compare(self, left: tuple[str | None, str], operator: str, right: tuple[str | None, str]) -> bool:
        if operator == "in":
            return left[1] in right[1]
        if operator == "not in":
            return left[1] not in right[1]
        names = (left[0], right[0])
        if any(name in VERSION_VARIABLES for name in names):
            if left[0] is None:
                # '3.11' <= python_version: the variable's value is the version, the literal the condition.
                turned = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
                return _fits(right[1], turned.get(operator, operator), left[1])
            return _fits(left[1], operator, right[1])
        if "extra" in names:
            left, right = (None, normalize(left[1])), (None, normalize(right[1]))
        if operator in ("==", "==="):
            return left[1] == right[1]
        if operator == "!=":
            return left[1] != right[1]
        if operator == "~=":
            raise self._error("~= compares versions only")
        return {
            "<": left[1] < right[1],
            ">": left[1] > right[1],
            "<=": left[1] <= right[1],
            ">=": left[1] >= right[1],
        }[operator]


# ---- requirements and locks -------------------------------------------------------------------


@dataclass(frozen=True)
class Requirement:
    """One requirement as a person writes it."""

    name: str
    extras: tuple[str, ...]
    specifier: str
    url: str | None
    marker: str | None
    text: str

    def accepts(self, version: str) -> bool:
        """Whether an installed version fits; a direct address cannot be judged by its version."""
        return self.url is not None or matches(version, self.specifier)


def parse_requirement(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text.split(" #", 1)[0].strip())
    if not match or "\n" in text:
        raise LockError(
            f"'{text}' is no requirement. Expected a package with or without a version, such as transformers or "
            "transformers>=4.40. Correct it; options of pip have no place in it."
        )
    specifier = (match["specifier"] or "").strip()
    for operator, operand in split_specifier(specifier):
        # Only to hear now, not later, that it is none.
        _fits("0", operator, operand)
    extras = tuple(normalize(one.strip()) for one in (match["extras"] or "").split(",") if one.strip())
    marker = match["marker"]
    return Requirement(
        name=normalize(match["name"]),
        extras=extras,
        specifier=specifier,
        url=match["url"],
        marker=marker.strip() if marker else None,
        text=text.strip(),
    )


@dataclass(frozen=True)
class LockEntry:
    """One line of a lock: a package, its one version, and the files that may be installed for it."""

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str | None = None
    extras: tuple[str, ...] = ()

    def requirement(self) -> str:
        """The line as uv takes it; the marker held already when it comes to that."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return " ".join([f"{self.name}{extras}=={self.version}", *(f"--hash={one}" for one in self.hashes)])


def parse_lock(text: str) -> list[LockEntry]:
    """Every entry of a lock, whatever its marker. Anything but exact versions with hashes is refused."""
    entries = []
    for number, line in _logical_lines(text):
        if line.startswith("-"):
            raise _lock_error(number, line, "is an option, and a lock names no address")
        requirement_text = line.split(" --hash", 1)[0]
        try:
            requirement = parse_requirement(requirement_text)
        except LockError:
            raise _lock_error(number, requirement_text, "is no requirement") from None
        conditions = split_specifier(requirement.specifier)
        if requirement.url or len(conditions) != 1 or conditions[0][0] != "==" or conditions[0][1].endswith("*"):
            raise _lock_error(number, requirement_text, "leaves the version open")
        hashes = tuple(_HASH.findall(line))
        if not hashes:
            raise _lock_error(number, requirement_text, "has no hash")
        parse_version(conditions[0][1])
        entries.append(LockEntry(requirement.name, conditions[0][1], hashes, requirement.marker, requirement.extras))
    return entries


def select(entries: Iterable[LockEntry], environment: Mapping[str, str]) -> dict[str, LockEntry]:
    """The entries that hold for one Python, by name."""
    chosen: dict[str, LockEntry] = {}
    for entry in entries:
        if entry.marker and not evaluate_marker(entry.marker, environment):
            continue
        other = chosen.get(entry.name)
        if other and not same_version(other.version, entry.version):
            raise LockError(
                f"The lock wants {entry.name} both as {other.version} and as {entry.version} for Python "
                f"{environment.get('python_full_version', '?')}. Expected one version. Compile the lock again with "
                "`uv pip compile --universal --generate-hashes`."
            )
        chosen[entry.name] = entry
    return chosen


def render(entries: Iterable[LockEntry], exactly: Collection[str] = ()) -> str:
    """The entries as a requirements file for `uv pip install --require-hashes`. Those named in `exactly` are not met by a
    build of the same version (== takes 2.4.1+cpu for 2.4.1)."""
    lines = {entry.name: entry.requirement() for entry in entries}
    return "".join((line.replace("==", "===", 1) if name in exactly else line) + "\n" for name, line in lines.items())


def marker_environment(
    version: Sequence[int], implementation: str, machine: str, system: str = "Linux", suffix: str = ""
) -> dict[str, str]:
    """The marker variables of a Python on this host. `suffix` is rc1 and the like."""
    return {
        "python_version": ".".join(str(part) for part in version[:2]),
        "python_full_version": ".".join(str(part) for part in version[:3]) + suffix,
        "implementation_version": ".".join(str(part) for part in version[:3]) + suffix,
        "implementation_name": implementation,
        "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(implementation, implementation),
        "sys_platform": system.lower(),
        "platform_system": system,
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
        "os_name": "posix",
    }


def _logical_lines(text: str) -> Iterable[tuple[int, str]]:
    """Lines with their continuations joined and comments gone, with the number of the first."""
    joined, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not joined:
            start = number
        if line.endswith("\\"):
            joined += line[:-1].strip() + " "
            continue
        joined += line
        if joined.strip():
            yield start, joined.strip()
        joined = ""
    if joined.strip():
        yield start, joined.strip()


def _lock_error(number: int, line: str, problem: str) -> LockError:
    shown = line if len(line) <= 80 else line[:77] + "..."
    return LockError(
        f"Line {number} of the lock, `{shown}`, {problem}. Expected `name==version` with --hash=sha256:... for each. "
        "Compile the lock again with `uv pip compile --universal --generate-hashes --no-emit-index-url`."
    )

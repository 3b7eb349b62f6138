# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock (the hashed requirements of all platforms, as `uv pip compile --universal` writes them), read for one Python.

The target may have no `packaging` library, so the few rules that are needed live here: names (PEP 503), versions and
specifiers (PEP 440), environment markers (PEP 508). Pure: text and dictionaries in, data out.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# The marker variables whose values are versions and are compared as such; all others are compared as text.
VERSION_VARIABLES = {"python_version", "python_full_version", "implementation_version"}
# A marker in a lock of ours has less than 200; Python's parser can be made to fail by what is very long.
MARKER_CHARACTERS = 4000
# What of Python's own comparisons a marker may have, by its name in a version's condition.
_OPERATORS: dict[type[ast.cmpop], tuple[str, Callable[[str, str], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", lambda part, whole: part in whole),
    ast.NotIn: ("not in", lambda part, whole: part not in whole),
}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}

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
_NEVER = 1 << 62


class LockError(ValueError):
    """A lock, requirement or marker that cannot be understood; the text is one message for the user."""


def normalize(name: str) -> str:
    """A project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- versions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A version; `public`, which is all but its local part, compares as PEP 440 says, and so does `key`."""

    release: tuple[int, ...]
    public: tuple[Any, ...]
    local: tuple[tuple[int, int, str], ...]
    before_final: bool
    after_final: bool

    def key(self) -> tuple[Any, ...]:
        return (*self.public, self.local)

    def begins_as(self, other: Version, parts: int) -> bool:
        padded = self.release + (0,) * parts
        return self.public[0] == other.public[0] and padded[:parts] == other.release[:parts]


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
    post = int(match["post"] or match["post_bare"] or 0) if has_post else -1
    dev = int(match["dev"] or 0) if has_dev else _NEVER
    release, significant = (
        tuple(int(part) for part in numbers.split("."))
        for numbers in (match["release"], re.sub(r"(\.0+)+$", "", match["release"]))
    )
    public = (int(match["epoch"] or 0), significant, pre, post, dev)
    return Version(release, public, local, bool(has_pre or has_dev), bool(has_post))


def same_version(left: str, right: str) -> bool:
    """Whether two spellings mean the same version, local part included (2.0 and 2.0.0 do)."""
    try:
        return parse_version(left).key() == parse_version(right).key()
    except LockError:
        return left == right


def matches(version: str, specifier: str) -> bool:
    """Whether a version fits a comma-separated specifier such as `>=3.10,<3.15` (all parts must)."""
    return all(_fits(version, condition, operand) for condition, operand in split_specifier(specifier))


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


def _fits(version: str, condition: str, operand: str) -> bool:
    if condition == "===":
        return version.strip().lower() == operand.strip().lower()
    mine = parse_version(version)
    if operand.endswith(".*") and condition in ("==", "!="):
        series = parse_version(operand[:-2])
        return mine.begins_as(series, len(series.release)) == (condition == "==")
    other = parse_version(operand)
    if condition in ("==", "!="):
        # A condition without a local part fits every build of that version: ==2.13.0 takes 2.13.0+cpu.
        equal = mine.key() == other.key() if other.local else mine.public == other.public
        return equal == (condition == "==")
    if condition == "~=":
        return mine.begins_as(other, len(other.release) - 1) and mine.public >= other.public
    if condition == ">=":
        return mine.public >= other.public
    if condition == "<=":
        return mine.public <= other.public
    around_final = mine.public[:2] == other.public[:2] and not other.before_final and not other.after_final
    if condition == "<":
        # <3.12 does not mean 3.12rc1.
        return mine.public < other.public and not (around_final and mine.before_final)
    # >1.7 does not mean 1.7.post1.
    return mine.public > other.public and not (around_final and mine.after_final)


# ---- markers ----------------------------------------------------------------------------------


def evaluate_marker(marker: str, environment: Mapping[str, str]) -> bool:
    """Whether a PEP 508 marker holds in an environment (the variables as text; `extra` may be left out).

    Its grammar is a part of Python's own. What is not (`~=`, `===`), no lock of uv's has.
    """
    try:
        if len(marker) > MARKER_CHARACTERS:
            raise ValueError(f"it has more than {MARKER_CHARACTERS} characters")
        return _holds(ast.parse(marker.strip(), mode="eval").body, {"extra": "", **environment})
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LockError(
            f"The marker `{marker[:VERSION_CHARACTERS]}` cannot be understood: {error}. Expected a PEP 508 marker such as "
            "python_full_version >= '3.11'. Compile the lock again with `uv pip compile --universal`."
        ) from None


def _holds(node: ast.expr, environment: Mapping[str, str]) -> bool:
    if isinstance(node, ast.BoolOp):
        values = [_holds(value, environment) for value in node.values]
        return all(values) if isinstance(node.op, ast.And) else any(values)
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or type(node.ops[0]) not in _OPERATORS:
        raise ValueError(f"'{ast.unparse(node)}' stands where a comparison should")
    condition, compare = _OPERATORS[type(node.ops[0])]
    (name, left), (other_name, right) = (_operand(one, environment) for one in (node.left, node.comparators[0]))
    if {name, other_name} & VERSION_VARIABLES and condition not in ("in", "not in"):
        if name is None:
            # '3.11' <= python_version: the variable's value is the version, the literal the condition.
            return _fits(right, _TURNED.get(condition, condition), left)
        return _fits(left, condition, right)
    if "extra" in (name, other_name):
        left, right = normalize(left), normalize(right)
    return compare(left, right)


def _operand(node: ast.expr, environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The variable's name, or None for a literal, and its value."""
    if isinstance(node, ast.Name) and node.id in environment:
        return node.id, environment[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        # Between its quotes stands what it says: no prefix, no escape, no second literal.
        if (node.end_col_offset or 0) - node.col_offset == len(node.value.encode()) + 2:
            return None, node.value
    raise ValueError(f"'{ast.unparse(node)}' is neither a known variable nor a plain text")


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

    @property
    def version(self) -> str | None:
        """The one version that it takes; None where it leaves that open."""
        match = re.fullmatch(r"==\s*([^,*=\s]+)", self.specifier)
        return match[1] if match else None

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
    # Only to hear now, not later, that it is none.
    for condition, operand in split_specifier(specifier):
        _fits("0", condition, operand)
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

    def line(self, equals: str) -> str:
        """The line as uv takes it; the marker held already when it comes to that."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return " ".join([f"{self.name}{extras}{equals}{self.version}", *(f"--hash={one}" for one in self.hashes)])


def parse_lock(text: str) -> list[LockEntry]:
    """Every entry of a lock, whatever its marker. Anything but exact versions with hashes is refused."""
    entries = []
    for raw in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*$", "", raw).strip()
        if not line:
            continue
        if line.startswith("-"):
            raise _lock_error(line, "is an option, and a lock names no address")
        requirement_text = line.split(" --hash", 1)[0].strip()
        try:
            requirement = parse_requirement(requirement_text)
        except LockError:
            raise _lock_error(requirement_text, "is no requirement") from None
        if requirement.version is None:
            raise _lock_error(requirement_text, "leaves the version open")
        hashes = tuple(_HASH.findall(line))
        if not hashes:
            raise _lock_error(requirement_text, "has no hash")
        entries.append(LockEntry(requirement.name, requirement.version, hashes, requirement.marker, requirement.extras))
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
    return "".join(entry.line("===" if entry.name in exactly else "==") + "\n" for entry in entries)


def marker_environment(version: str, implementation: str, machine: str) -> dict[str, str]:
    """The marker variables of a Python, such as 3.11.2 or 3.15.0rc1, on Linux."""
    return {
        "python_version": ".".join(version.split(".")[:2]),
        "python_full_version": version,
        "implementation_version": version,
        "implementation_name": implementation,
        "platform_python_implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(implementation, implementation),
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "platform_release": "",
        "platform_version": "",
        "os_name": "posix",
    }


def _lock_error(line: str, problem: str) -> LockError:
    shown = line if len(line) <= 80 else line[:77] + "..."
    return LockError(
        f"The lock's line `{shown}` {problem}. Expected `name==version` with --hash=sha256:... for each. "
        "Compile the lock again with `uv pip compile --universal --generate-hashes --no-emit-index-url`."
    )

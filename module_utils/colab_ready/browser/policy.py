# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The browsers' managed policy that lets one page reach the loopback address unasked: rules, without touching a host.

What is said here about Chromium was tried with Chromium 156 on Debian 12 (its permission states under written policies),
but for Windows and the names and versions of the policies, which are from their published descriptions.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.origin import ORIGIN
from ..files.safe_open import parse_json, parse_object
from ..wsl.registry import POLICIES_KEY, Entry, Value

FILE = "colab-ready.json"

# Browsers from 146 on know the first, which is about this device alone. 139 to 145 know the second only; it allows
# the page every device of the local network too, in newer browsers as well.
LOOPBACK = "LoopbackNetworkAllowedForUrls"
OLDER = "LocalNetworkAccessAllowedForUrls"
OLDER_BLOCKED = "LocalNetworkAccessBlockedForUrls"
LOOPBACK_BLOCKED = "LoopbackNetworkBlockedForUrls"
# The more specific pattern decides; of equally specific ones, the last policy in this order.
RANKED = (OLDER, OLDER_BLOCKED, LOOPBACK, LOOPBACK_BLOCKED)
ALLOWING = (LOOPBACK, OLDER)
# Lists of several files are one list only for the policies named here.
MERGED = "PolicyListMultipleSourceMergeList"


class Browser(NamedTuple):
    """`folders` are below /etc; `key` is below SOFTWARE\\Policies of the registry."""

    title: str
    folders: tuple[str, ...]
    key: str


BROWSERS = {
    "chrome": Browser("Google Chrome", ("opt/chrome/policies/managed",), r"Google\Chrome"),
    # The second is where Ubuntu's snap looks (its interface etc-chromium-browser-policies).
    "chromium": Browser("Chromium", ("chromium/policies/managed", "chromium-browser/policies/managed"), "Chromium"),
    "edge": Browser("Microsoft Edge", ("opt/edge/policies/managed",), r"Microsoft\Edge"),
    "brave": Browser("Brave", ("brave/policies/managed",), r"BraveSoftware\Brave"),
}


_PATTERN = re.compile(
    r"(?:(?P<scheme>\*|[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\[\*\.\])?[^\s/:*\[\]]*)(?::(?P<port>\*|\d+))?(?:/.*)?"
)
_STRING = r'"(?:\\.|[^"\\])*"'
_COMMENTS = re.compile(_STRING + r"|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMAS = re.compile(_STRING + r"|,(?=\s*[}\]])", re.DOTALL)


# ---- what the browser makes of it -------------------------------------------------------------


class Setting(NamedTuple):
    """One policy's list, and what sets it."""

    patterns: tuple[str, ...]
    source: str


# What is in force: the setting of each policy that is set.
Settings = Mapping[str, Setting]


class Verdict(NamedTuple):
    """`allowed` is None where the browser asks the user; `policy` decided it, which `source` sets."""

    allowed: bool | None
    policy: str = ""
    source: str = ""


def patterns_of(value: Any) -> tuple[str, ...]:
    """The patterns in a policy's value; a value of another shape has none, and still takes the place of others."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def specificity(pattern: str, origin: str) -> tuple[int, int, int] | None:
    """How closely a pattern describes this origin (host, scheme, port), or None if it does not."""
    found = _PATTERN.fullmatch(pattern.strip().lower())
    scheme, host, port = _parts(origin)
    if not found or found["scheme"] not in (None, "*", scheme) or found["port"] not in (None, "*", port):
        return None
    wanted = found["host"]
    if wanted in ("*", "[*.]"):
        closeness = 0
    elif wanted.startswith("[*.]"):
        domain = wanted[len("[*.]") :]
        if host != domain and not host.endswith("." + domain):
            return None
        closeness = len(domain)
    elif wanted == host:
        closeness = len(host) + 1
    else:
        return None
    return closeness, int(found["scheme"] == scheme), int(found["port"] == port)


def _parts(origin: str) -> tuple[str, str, str]:
    found = ORIGIN.fullmatch(origin)
    assert found
    return found[1], found[2], found[3] or {"http": "80", "https": "443"}[found[1]]


def judge(settings: Settings, origin: str, older: bool = False) -> Verdict:
    """Whether a page of this origin may reach the loopback address unasked; `older`: in a browser before 146."""
    best: tuple[Any, ...] = ()
    verdict = Verdict(None)
    for rank, policy in enumerate(RANKED):
        if policy not in settings or (older and policy not in (OLDER, OLDER_BLOCKED)):
            continue
        for pattern in settings[policy].patterns:
            close = specificity(pattern, origin)
            if close is not None and (close, rank) > best:
                best = (close, rank)
                verdict = Verdict(policy in ALLOWING, policy, settings[policy].source)
    return verdict


# ---- files ------------------------------------------------------------------------------------


def read_policies(content: bytes) -> dict[str, Any]:
    """What the browser reads in a policy file: it bears comments and a comma too many, and passes over a broken file."""
    text = content.decode("utf-8", "replace")
    text = text[1:] if text.startswith("\ufeff") else text
    for loose in (_COMMENTS, _TRAILING_COMMAS):
        text = loose.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    return parse_object(text) or {}


def in_force(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Setting]:
    """What files of one folder set together: of a policy in several, the last file by name counts alone.

    Every file counts, whatever it is called; unless MERGED names the policy: then the lists are joined.
    """
    order = sorted(files, key=os.fsencode)
    settings: dict[str, Setting] = {}
    for policy in (MERGED, *RANKED):
        setting = [path for path in order if policy in files[path]]
        if not setting:
            continue
        patterns = patterns_of(files[setting[-1]][policy])
        if is_merged(settings, policy):
            patterns = tuple(one for path in setting for one in patterns_of(files[path][policy]))
        settings[policy] = Setting(patterns, setting[-1])
    return settings


def is_merged(settings: Settings, policy: str) -> bool:
    return MERGED in settings and policy != MERGED and not {policy, "*"}.isdisjoint(settings[MERGED].patterns)


class Plan(NamedTuple):
    """`content` of our file (empty: no file); `grants`: which policy is granted by what; and what stands in the way."""

    content: dict[str, list[str]]
    grants: dict[str, str]
    problems: list[str]


def plan_file(
    title: str, path: str, others: Mapping[str, Mapping[str, Any]], wanted: Sequence[str], origin: str
) -> Plan:
    """What our file of a folder holds, beside the files of others, which stay in force as they are."""
    plan = Plan({}, {}, [])
    foreign = in_force(others)
    for policy in wanted:
        if policy in foreign and not is_merged(foreign, policy):
            verdict = judge(foreign, origin, older=policy == OLDER)
            if verdict.allowed:
                plan.grants[policy] = verdict.source
            else:
                plan.problems.append(superseded(title, policy, foreign[policy].source, origin))
            continue
        plan.content[policy] = [origin]
        verdict = judge(in_force({**others, path: plan.content}), origin, older=policy == OLDER)
        if verdict.allowed:
            plan.grants[policy] = path
        else:
            plan.problems.append(blocked(title, verdict, origin))
    return plan


def render(content: Mapping[str, list[str]]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode("utf-8") if content else b""


def superseded(title: str, policy: str, source: str, origin: str) -> str:
    return (
        "%s sets %s for %s without %s, and the browser takes only one list. Expected %s in it. Add it there: what "
        "others made is not edited here, nor put out of force." % (source, policy, title, origin, origin)
    )


def blocked(title: str, verdict: Verdict, origin: str) -> str:
    return (
        "%s in %s forbids %s to reach this device with %s. Expected no such entry. Take it out there: what others made "
        "is not edited here." % (verdict.policy, verdict.source, origin, title)
    )


# ---- the registry -----------------------------------------------------------------------------


# The values of each key that exists; keys in small letters, since the registry does not tell them apart.
Keys = Mapping[str, Sequence[Value]]


def is_number(name: str) -> bool:
    """Of a list's values the browser reads those with a number for a name."""
    return re.fullmatch(r"-?\d+", name, re.ASCII) is not None


def free_number(names: Iterable[str]) -> str:
    taken = {int(name) for name in names if is_number(name)}
    number = 1
    while number in taken:
        number += 1
    return str(number)


def holds(keys: Keys, entry: Entry) -> bool:
    return any(
        value.name == entry.name and value.data == entry.data and value.type == "REG_SZ"
        for value in keys.get(entry.key.lower(), ())
    )


def in_registry(keys: Keys, browser: Browser, ours: Iterable[Entry] = ()) -> dict[str, Setting]:
    """What the registry has in force, without what is ours: the computer's list, and the user's where it has none."""
    mine = {(entry.key.lower(), entry.name) for entry in ours}
    settings: dict[str, Setting] = {}
    for policy in RANKED:
        for hive in ("HKLM", "HKCU"):
            root = "\\".join((hive, POLICIES_KEY, browser.key))
            key = "\\".join((root, policy))
            values = [value for value in keys.get(key.lower(), ()) if is_number(value.name)]
            kept = [value.data for value in values if (key.lower(), value.name) not in mine]
            # A list can also be one value, as JSON; a key of that name takes its place.
            text = [value.data for value in keys.get(root.lower(), ()) if value.name.lower() == policy.lower()]
            if kept:
                settings[policy] = Setting(tuple(kept), key)
            elif text and not values:
                settings[policy] = Setting(patterns_of(parse_json(text[-1])), "%s in %s" % (policy, root))
            if policy in settings:
                break
    return settings


class RegistryPlan(NamedTuple):
    """`entries`: what of ours is to be there, of which `add` is missing."""

    entries: list[Entry]
    add: list[Entry]
    grants: dict[str, str]
    problems: list[str]


def plan_registry(
    browser: Browser, keys: Keys, recorded: Iterable[Entry], wanted: Sequence[str], origin: str
) -> RegistryPlan:
    """What of ours the registry should hold for this browser; entries of others stay."""
    plan = RegistryPlan([], [], {}, [])
    ours = [entry for entry in recorded if holds(keys, entry)]
    foreign = in_registry(keys, browser, ours)
    settings = dict(foreign)
    for policy in wanted:
        key = "\\".join(("HKLM", POLICIES_KEY, browser.key, policy))
        older = policy == OLDER
        kept = [entry for entry in ours if entry.key.lower() == key.lower() and entry.data == origin][:1]
        if not kept and judge(foreign, origin, older).allowed:
            plan.grants[policy] = judge(foreign, origin, older).source
            continue
        there = foreign.get(policy, Setting((), key))
        if not kept and there.source != key:
            plan.problems.append(superseded(browser.title, policy, there.source, origin))
            continue
        if not kept:
            kept = [Entry(key, free_number(value.name for value in keys.get(key.lower(), ())), origin)]
            plan.add.extend(kept)
        plan.entries.extend(kept)
        patterns = there.patterns if there.source == key else ()
        settings[policy] = Setting((*patterns, origin), key)
        verdict = judge(settings, origin, older)
        if verdict.allowed:
            plan.grants[policy] = key
        else:
            plan.problems.append(blocked(browser.title, verdict, origin))
    return plan


def with_parents(key: str) -> list[str]:
    """A key and those above it, outermost first."""
    names = key.split("\\")
    return ["\\".join(names[:depth]) for depth in range(1, len(names) + 1)]


def missing_keys(keys: Iterable[str], existing: Keys) -> list[str]:
    """These keys and the ones above them below HKLM\\SOFTWARE\\Policies that do not exist, outermost first."""
    top = "HKLM\\" + POLICIES_KEY
    below = (one for key in keys for one in with_parents(key) if len(one) > len(top))
    return list(dict.fromkeys(one for one in below if one.lower() not in existing))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and dpkg print, read; and what they complain of, as one problem with what to do. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..core.clock import NO_LONGER, NOT_YET, SET_CLOCK, TRUE_TIME
from ..core.problem import Problem
from ..core.remedy import give, pick

# Asked of dpkg-query, so that versions and states are not guessed from columns.
LIST_FORMAT = "${Package}\t${Version}\t${db:Status-Status}\n"
# Left out on purpose in small images (dpkg's path-exclude).
_NOT_MISSED = re.compile(r"/usr/share/(doc|man|info|locale|lintian)/")
# A guest's kernel is Windows', and a native one is its owner's.
KERNEL_PACKAGE = re.compile(r"linux-(image|headers|modules|firmware|oem|intel)\S*|\S+-dkms(-\S+)?|dkms")


def installed_packages(text: str) -> dict[str, str]:
    """What is installed in good order, with its version, from `dpkg-query --show` with LIST_FORMAT."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def packages_with_files(text: str) -> dict[str, str]:
    """The same, and what dpkg was stopped in: all that has files on this host."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] not in ("not-installed", "config-files")}


def damaged_files(text: str) -> list[str]:
    """The files that `dpkg --verify` misses or finds changed. Configuration is its owner's, and is no damage."""
    found = re.findall(r"^(?:\S{9}|missing) +(c )?(/.*)$", text, re.MULTILINE)
    return [path for is_configuration, path in found if not is_configuration and not _NOT_MISSED.match(path)]


def conffile_sums(text: str) -> dict[str, str]:
    """Each configuration file with its MD5 sum as it was shipped, from `dpkg-query --show --showformat ${Conffiles}`."""
    return dict(re.findall(r"^ (/\S+) ([0-9a-f]{32})", text, re.MULTILINE))


class Steps(NamedTuple):
    """What apt would do. `install` has versions; `new` are those of it that are not there yet."""

    install: dict[str, str]
    new: list[str]
    remove: list[str]


def simulated(text: str) -> Steps:
    """From what `apt-get --simulate` prints."""
    install: dict[str, str] = {}
    new: list[str] = []
    for name, was, version in re.findall(r"^Inst (\S+?)(?::\S+)? (\[[^\]]*\] )?\((\S+) ", text, re.MULTILINE):
        install[name] = version
        new += [] if was else [name]
    return Steps(install, new, re.findall(r"^(?:Remv|Purg) (\S+?)(?::\S+)? \[", text, re.MULTILINE))


def judge_steps(steps: Steps, may_go: Sequence[str], owner: str, title: str) -> list[Problem]:
    """What apt must not do on the way to the packages of `title`."""
    problems = []
    kernels = sorted(name for name in steps.install if KERNEL_PACKAGE.fullmatch(name))
    if kernels:
        what = f"{title} would bring a kernel or its modules ({', '.join(kernels)})"
        do = f"look with apt-cache rdepends who asks for it; the address in {owner}_apt_address may be another repository"
        problems.append(Problem(f"{owner}_kernel_package", what, "none: colab-ready never installs one", do))
    foreign = sorted(set(steps.remove) - set(may_go))
    if foreign:
        what = f"apt would take away packages that are not colab-ready's ({', '.join(foreign)})"
        do = f"if you can do without them: sudo apt-get remove {' '.join(foreign)}, then run ./colab-ready again"
        problems.append(Problem(f"{owner}_would_remove", what, f"{title} beside what is there", do))
    return problems


_AGAIN = "then run ./colab-ready again"


class Complaint(NamedTuple):
    name: str
    # {name} is its first group that matched, {unmet} what apt says of each package that does not fit.
    pattern: str
    what: str
    expected: str
    # {address} is that of the source that apt complains of.
    do: str
    # What else helps who has an address of his own set: {owner} begins the names of settings.
    setting: str = ""


# The first that matches counts: apt complains of much more than went wrong.
COMPLAINTS = (
    Complaint(
        "busy",
        r"Could not get lock|is another process using it|lock was locked by another process",
        "another program installs packages",
        "apt and dpkg free for this run",
        f"wait until it is done, {_AGAIN}",
    ),
    Complaint(
        "interrupted",
        r"dpkg was interrupted|dpkg --configure -a",
        "an earlier installation was broken off",
        "packages that are either installed or not",
        f"sudo dpkg --configure -a, {_AGAIN}",
    ),
    Complaint(
        "space",
        r"No space left on device|don't have enough free space",
        "the disk is full",
        "room for the packages",
        f"free some space (df -h /), {_AGAIN}",
    ),
    Complaint(
        "clock",
        f"{NOT_YET}|{NO_LONGER}",
        "by this computer's clock a list or certificate is not valid yet, or no longer",
        TRUE_TIME,
        f"{SET_CLOCK}, {_AGAIN}. If the clock is right, that mirror has not been renewed: take another",
    ),
    # Of apt-pkg/deb/debmetaindex.cc; apt reads no source at all then. The makers' own guides name other key files than ours.
    Complaint(
        "conflict",
        r"Conflicting values set for option Signed-By",
        "this repository is configured already, with another key file",
        "one entry for it",
        "remove the other file for this address (grep -rl {address} /etc/apt/sources.list.d), then run ./colab-ready again",
    ),
    Complaint(
        "sources",
        r"Malformed (?:entry|stanza|line)|Type '[^']*' is not known on|Unable to parse|The list of sources could not be read|"
        r"method driver \S+ could not be found",
        "apt cannot read its own lists of sources",
        "one source in each line, as sources.list(5) has it",
        f"correct or take away the file in /etc/apt that it is about, {_AGAIN}",
    ),
    Complaint(
        "checksum",
        r"Hash Sum mismatch|unexpected size|Clearsigned file isn't valid",
        "a file of the repository is not the one that its signed list names",
        "files with the checksums of the list",
        "try again in an hour, when the mirror is in step; if it stays, do not install from there",
    ),
    Complaint(
        "signature",
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|no longer signed|not available: |"
        r"signatures? (?:were|was|couldn't)|Missing key|Sub-process \S*(?:gpgv|sqv)\S* returned an error",
        "the repository's signature is not by its key",
        "a list signed by the key that was fetched",
        "try again later; if it stays, fetch the key that its maker names now",
        "if they are not the maker's: "
        + give("{owner}_apt_key=ADDRESS")
        + " with the key of {owner}_apt_address, and its fingerprint",
    ),
    Complaint(
        "package",
        r"Unable to locate package|has no installation candidate|Couldn't find any package|No packages found",
        "a package is not in the repository",
        "all packages that belong together",
        "sudo apt-get update, and see that the sources of the distribution are complete (on Ubuntu: universe)",
        pick("{owner}_apt_address=ADDRESS", "a complete mirror"),
    ),
    Complaint(
        "overwrites",
        r"trying to overwrite '[^']+', which is also in package (\S+)",
        "two packages have the same file",
        "packages of one maker",
        f"if you can do without the other: sudo apt-get remove {{name}}, {_AGAIN}",
    ),
    Complaint(
        "broken",
        r"--fix-broken|apt-get -f install",
        "what is installed lacks something that it needs{unmet}",
        "packages that are either whole or not there",
        f"sudo apt --fix-broken install, which says beforehand what it would remove, {_AGAIN}",
    ),
    Complaint(
        "unmet",
        r"unmet dependencies|Unable to satisfy dependencies|held broken packages|Unmet dependencies|generated breaks|"
        r"dependency problems|unsatisfiable constraints",
        "packages do not fit together{unmet}",
        "packages of one release, from sources that belong together",
        "apt-cache policy PACKAGE says for each of them which source its version is from, apt-mark showhold what is held back: "
        f"remove the source that does not belong to this release, or what came from it, {_AGAIN}",
    ),
    Complaint(
        "script",
        r"installed (\S+) package (?:pre|post)-\w+ script|error processing (?:package|archive) (\S+)|"
        r"[Tt]he package (\S+) needs to be reinstalled",
        "the package {name} does not install",
        "packages that are installed in good order",
        "sudo dpkg --configure -a says why; a package that nothing needs goes with sudo dpkg --remove --force-remove-reinstreq "
        f"{{name}}, {_AGAIN}",
    ),
    Complaint(
        "unreachable",
        r"Could not resolve|Failed to fetch|Could not connect|Unable to connect|Connection (?:failed|refused|timed out)|"
        r"404  Not Found|does not have a Release file|Temporary failure|Cannot initiate|Certificate verification failed|"
        r"File not found",
        "the repository cannot be read",
        "an answer from it",
        "look whether this computer reaches it (a proxy?)",
        give("{owner}_apt_address=ADDRESS", "{owner}_apt_key=ADDRESS") + " with a mirror's",
    ),
)


def apt_problem(text: str, where: str, owner: str = "", more: Mapping[str, str] | None = None) -> Problem:
    """Return one problem for what apt or dpkg printed. Its id begins with `owner` (rocm, xpu), whose settings may help; `more` is
    what else to do, by the complaint's name."""
    prefix = f"{owner}_" if owner else ""
    for one in COMPLAINTS:
        match = re.search(one.pattern, text, re.MULTILINE)
        if match:
            # apt ends it with a slash, which the file may lack, and writes file:/ where the file has file:///.
            source = re.search(r"regarding source \w+:/*(\S*?)/? ", text)
            line = text[text.rfind("\n", 0, match.start()) + 1 :].splitlines()[0]
            words = first_complaint(text)
            if not re.search(one.pattern, words) and not line.endswith(":"):
                words = first_complaint(line)
            name = next((group for group in match.groups() if group), "PACKAGE")
            known = {"owner": owner, "address": source[1] if source else "ADDRESS", "name": name, "unmet": unmet(text)}
            setting = f"; or {one.setting}" if owner and one.setting else ""
            do = (one.do + setting).format(**known) + (more or {}).get(one.name, "")
            return Problem(
                f"{prefix}apt_{one.name}", f"{where}: {one.what.format(**known)} ({words})", one.expected, do
            )
    last = f"sudo dpkg --configure -a, sudo apt-get -f install: they say what is in the way; {_AGAIN}"
    return Problem(f"{prefix}apt", f"{where}: {first_complaint(text)}", "packages that install", last)


def unmet(text: str) -> str:
    """Return what apt and dpkg say of the packages that do not fit, at most four of them."""
    # A package's second line has no name, and stands below the first.
    rows = re.findall(r"^ (?:(\S+) : | {3,})((?:Pre)?Depends|Conflicts|Breaks): (.*?) *$", text, re.MULTILINE)
    rows += re.findall(r"^ (\S+) (depends) on (.*?)[;.]?(?: however:)? *$", text, re.MULTILINE)
    told, package = [], ""
    for name, kind, what in rows:
        package = name or package
        told.append(f"{package} {kind.lower()} {'on ' if kind.endswith('epends') else ''}{what}")
    return ": " + "; ".join(list(dict.fromkeys(told))[:4]) if told else ""


def first_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "Err:"))] or [
        one for one in lines if "error" in one.lower()
    ]
    return re.sub(r"^[EW]: |\.$", "", (errors or lines or ["it said nothing"])[0])[:300]

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt and dpkg print, read; and what they complain of, as one problem with what to do. Pure functions, for each module
that installs the packages of a GPU's maker (rocm_host_plan.py, xpu_runtime_plan.py)."""

from __future__ import annotations

import re
from typing import Mapping, NamedTuple

from ansible.module_utils.colab_ready.core.refusal import Problem

# Asked of dpkg-query, so that versions and states are not guessed from columns.
LIST_FORMAT = "${Package}\t${Version}\t${db:Status-Status}\n"
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


def kernels_in(steps: Steps) -> list[str]:
    """What colab-ready never installs."""
    return sorted(name for name in steps.install if KERNEL_PACKAGE.fullmatch(name))


class Complaint(NamedTuple):
    name: str
    pattern: str
    what: str
    expected: str
    # Empty: it is the repository's owner who knows. {address} is that of the source that apt complains of.
    do: str = ""


# The first that matches counts: apt complains of much more than went wrong.
COMPLAINTS = (
    Complaint(
        "busy",
        r"Could not get lock|is another process using it|lock was locked by another process",
        "another program installs packages",
        "apt and dpkg free for this run",
        "wait until it is done, then run ./colab-ready again",
    ),
    Complaint(
        "space",
        r"No space left on device|don't have enough free space",
        "the disk is full",
        "room for the packages",
        "free some space (df -h /), then run ./colab-ready again",
    ),
    Complaint(
        "checksum",
        r"Hash Sum mismatch|unexpected size|Clearsigned file isn't valid",
        "a file of the repository is not the one that its signed list names",
        "files with the checksums of the list",
        "try again in an hour, when the mirror is in step; if it stays, do not install from there",
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
        "signature",
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|no longer signed|not available: |"
        r"signatures? (?:were|was|couldn't)|Missing key|Sub-process \S*(?:gpgv|sqv)\S* returned an error",
        "the repository's signature is not by its key",
        "a list signed by the key that was fetched",
    ),
    Complaint(
        "package",
        r"Unable to locate package|has no installation candidate|Couldn't find any package|No packages found",
        "a package is not in the repository",
        "all packages that belong together",
    ),
    Complaint(
        "unreachable",
        r"Could not resolve|Failed to fetch|Could not connect|Unable to connect|Connection (?:failed|refused|timed out)|"
        r"404  Not Found|does not have a Release file|Temporary failure|Cannot initiate|Certificate verification failed|"
        r"File not found",
        "the repository cannot be read",
        "an answer from it",
    ),
)


def apt_problem(text: str, where: str, owner: str, do: Mapping[str, str]) -> Problem:
    """One problem for what apt or dpkg said. Its id begins with `owner` (rocm, xpu); `do` says what to do of a signature, a
    package and unreachable, where the owner's own variables count."""
    words = first_complaint(text)
    for one in COMPLAINTS:
        if re.search(one.pattern, text):
            # apt ends it with a slash, which the file may lack, and writes file:/ where the file has file:///.
            source = re.search(r"regarding source \w+:/*(\S*?)/? ", text)
            then = (one.do or do[one.name]).replace("{address}", source[1] if source else "ADDRESS")
            return Problem(f"{owner}_apt_{one.name}", f"{where}: {one.what} ({words})", one.expected, then)
    last = "sudo apt-get -f install says what is in the way; then run ./colab-ready again"
    return Problem(f"{owner}_apt", f"{where}: {words}", "packages that install", last)


def first_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "Err:"))] or [
        one for one in lines if "error" in one.lower()
    ]
    return re.sub(r"^E: |\.$", "", (errors or lines or ["it said nothing"])[0])[:300]

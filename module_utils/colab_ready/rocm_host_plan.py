# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side of a ROCm plan, as far as it can be thought out without touching the host: pure functions.

What dpkg and apt print becomes data, what they complain about becomes one problem with what to do, and settings become the
text of files. rocm_host_state.py looks and acts.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Sequence

from ansible.module_utils.colab_ready import gpus
from ansible.module_utils.colab_ready.preflight import Problem
from ansible.module_utils.colab_ready.rocm_plan import NEVER_IN_WSL

# Asked of dpkg-query, so that versions and states are not guessed from columns.
LIST_FORMAT = "${Package}\t${Version}\t${db:Status-Status}\n"
# A guest's kernel is Windows', and a native one is its owner's.
KERNEL_PACKAGE = re.compile(r"linux-(image|headers|modules|firmware)\S*|\S+-dkms|dkms")
# Left out on purpose in small images (dpkg's path-exclude).
_NOT_MISSED = re.compile(r"/usr/share/(doc|man|info|locale|lintian)/")
_HEX40 = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


class Card(NamedTuple):
    """The adapter that ROCm is for, or why there is none."""

    adapter: Mapping[str, Any]
    problem: Problem | None = None


def choose_card(gpu: Mapping[str, Any], wsl: bool) -> Card:
    """From what gpu_device returned: the one that was decided on, or the best of AMD's. Never by its place in a list: a
    processor's own graphics often come first."""
    adapters = gpu.get("adapters") or []
    decided = gpu.get("backend") or {}
    for one in (decided, decided.get("recommended") or {}):
        if one.get("name") == "rocm" and one.get("adapter") is not None:
            return Card(next(adapter for adapter in adapters if adapter.get("index") == one["adapter"]))
    ours = [adapter for adapter in adapters if adapter.get("vendor_id") == gpus.AMD and not adapter.get("software")]
    if not ours:
        what = "there is no graphics adapter of AMD here" if adapters else "no graphics adapter can be seen here"
        where = "Windows shows it to this WSL" if wsl else "its driver amdgpu is loaded"
        # ROCm/rocm-systems#1153: without a card its programs hang.
        return Card({}, Problem("rocm_no_card", what, f"one of AMD, and that {where}", "set colab_backend: auto"))
    ranks = {gpus.YES: 2, gpus.OPT_IN: 1}

    def rank(adapter: Mapping[str, Any]) -> tuple[int, bool, int]:
        family = gpus.family_of(adapter)
        level = (family.wsl if wsl else family.linux).level if family else gpus.NO
        return ranks.get(level or gpus.NO, 0), bool(adapter.get("primary")), adapter.get("dedicated_bytes") or 0

    return Card(max(ours, key=rank))


# --- dpkg -----------------------------------------------------------------------------------------------------------


def installed_packages(text: str) -> dict[str, str]:
    """What is installed in good order, with its version, from `dpkg-query --show` with LIST_FORMAT."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def damaged_files(text: str) -> list[str]:
    """The files that `dpkg --verify` misses or finds changed. Configuration is its owner's, and is no damage."""
    found = re.findall(r"^(?:\S{9}|missing) +(c )?(/.*)$", text, re.MULTILINE)
    return [path for is_configuration, path in found if not is_configuration and not _NOT_MISSED.match(path)]


def conffile_sums(text: str) -> dict[str, str]:
    """Each configuration file with its MD5 sum as it was shipped, from `dpkg-query --show --showformat ${Conffiles}`."""
    return dict(re.findall(r"^ (/\S+) ([0-9a-f]{32})", text, re.MULTILINE))


# --- apt ------------------------------------------------------------------------------------------------------------


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


def judge_steps(steps: Steps, may_go: Sequence[str], line: str) -> list[Problem]:
    """What apt must not do on the way."""
    problems = []
    kernels = sorted(name for name in steps.install if KERNEL_PACKAGE.fullmatch(name) or NEVER_IN_WSL.fullmatch(name))
    if kernels:
        what = f"the packages of ROCm {line} would bring a kernel or its modules ({', '.join(kernels)})"
        do = "look with apt-cache showpkg who asks for it; the address in rocm_apt_address may be another repository"
        problems.append(Problem("rocm_kernel_package", what, "none: colab-ready never installs one", do))
    foreign = sorted(set(steps.remove) - set(may_go))
    if foreign:
        what = f"apt would take away packages that are not colab-ready's ({', '.join(foreign)})"
        do = f"if you can do without them: sudo apt-get remove {' '.join(foreign)}, then run ./colab-ready again"
        problems.append(Problem("rocm_would_remove", what, f"ROCm {line} beside what is there", do))
    return problems


# The first that matches counts: apt complains of much more than went wrong.
_COMPLAINTS: Sequence[tuple[str, str, str, str, str]] = (
    (
        r"Could not get lock|is another process using it|lock was locked by another process",
        "rocm_apt_busy",
        "another program installs packages",
        "apt and dpkg free for this run",
        "wait until it is done, then run ./colab-ready again",
    ),
    (
        r"No space left on device|don't have enough free space",
        "rocm_apt_space",
        "the disk is full",
        "room for the packages",
        "free some space (df -h /), then run ./colab-ready again",
    ),
    (
        r"Hash Sum mismatch|unexpected size|Clearsigned file isn't valid",
        "rocm_apt_checksum",
        "a file of the repository is not the one that its signed list names",
        "files with the checksums of the list",
        "try again in an hour, when the mirror is in step; if it stays, do not install from there",
    ),
    (
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|not available: |signatures? (?:were|was|couldn't)|"
        r"Sub-process \S*(?:gpgv|sqv)\S* returned an error|no longer signed|Missing key",
        "rocm_apt_signature",
        "the repository's signature is not by its key",
        "a list signed by the key that was fetched",
        "set rocm_apt_key to the key of rocm_apt_address, and its rocm_apt_key_fingerprint; if both are AMD's, try again later",
    ),
    (
        r"(?:Unable to locate package|has no installation candidate|Couldn't find any package|No packages found)",
        "rocm_apt_package",
        "a package is not in the repository",
        "all packages of this release of ROCm",
        "set rocm_apt_address to a complete mirror, or leave it empty",
    ),
    (
        r"Could not resolve|Failed to fetch|Could not connect|Unable to connect|Connection (?:failed|refused|timed out)|"
        r"404  Not Found|does not have a Release file|Temporary failure|Cannot initiate|Certificate verification failed|"
        r"File not found",
        "rocm_apt_unreachable",
        "the repository cannot be read",
        "an answer from it",
        "look whether this computer reaches it (a proxy?), or set rocm_apt_address and rocm_apt_key to a mirror; "
        "with rocm_system_packages: false ROCm 7.14 and newer need no repository",
    ),
)


def apt_problem(text: str, where: str) -> Problem:
    """One problem for what apt or dpkg said."""
    words = _first_complaint(text)
    for pattern, name, what, expected, do in _COMPLAINTS:
        if re.search(pattern, text):
            return Problem(name, f"{where}: {what} ({words})", expected, do)
    do = "sudo apt-get -f install says what is in the way; then run ./colab-ready again"
    return Problem("rocm_apt", f"{where}: {words}", "packages that install", do)


def _first_complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    chosen = next((line for line in lines if line.startswith(("E: ", "Err:"))), "")
    chosen = (
        chosen or next((line for line in lines if "error" in line.lower()), "") or (lines or ["it said nothing"])[0]
    )
    return re.sub(r"^E: |\.$", "", chosen)[:300]


# --- the repository's key -------------------------------------------------------------------------------------------


def check_key_wish(repository: Mapping[str, str]) -> list[Problem]:
    """What can be said of a key before it is fetched."""
    problems = []
    fingerprint = repository["key_fingerprint"]
    if fingerprint and not _HEX40.fullmatch(fingerprint):
        what = f"{fingerprint} is no fingerprint of a key"
        problems.append(
            Problem("rocm_apt_fingerprint", what, "40 hexadecimal digits", "correct rocm_apt_key_fingerprint")
        )
    pinned = fingerprint or repository["key_sha256"]
    if not pinned and repository["key"].partition("://")[0] == "http":
        what = f"the key {repository['key']} would come unprotected, and nothing says which key it should be"
        do = "set rocm_apt_key_fingerprint (gpg --show-keys FILE prints it), or use an https address"
        problems.append(Problem("rocm_apt_key_unknown", what, "https, or the key's fingerprint", do))
    return problems


def judge_key(repository: Mapping[str, str], sha256: str, fingerprints: Sequence[str]) -> Problem | None:
    """Whether what was fetched is the key that is meant."""
    wanted = repository["key_fingerprint"]
    if wanted:
        # That of the key outlives a new form of the file: an added signature, an extended date.
        if wanted in fingerprints:
            return None
        what = f"the key at {repository['key']} is {', '.join(fingerprints)}"
        return Problem("rocm_apt_key", what, wanted, "do not install from there; if the key was changed, set "
                       "rocm_apt_key_fingerprint to the new one as AMD or your mirror publishes it")  # fmt: skip
    if repository["key_sha256"] in ("", sha256):
        return None
    what = f"the key at {repository['key']} has the checksum {sha256}"
    return Problem("rocm_apt_key", what, repository["key_sha256"], "do not install from there")


def judge_deb(deb: Mapping[str, str], sha256: str, variable: str) -> Problem | None:
    if sha256 == deb["sha256"]:
        return None
    what = f"{deb['file']} from {deb['url']} has the SHA-256 checksum {sha256}; it was not installed"
    do = f"try again; if it stays, take it from {variable} = another address, and never correct the checksum to fit a file"
    return Problem("rocm_checksum", what, deb["sha256"], do)


# --- files ----------------------------------------------------------------------------------------------------------

PROFILE = "/etc/profile.d/colab-ready-rocm.sh"
# Of the service, and of colab-runtime where there is no systemd. In the form of systemd's EnvironmentFile.
ENVIRONMENT = "/etc/colab-ready/environment.d/rocm.conf"
LOADER = "/etc/ld.so.conf.d/colab-ready-rocm.conf"
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_./:,+-]*")


def setting_files(plan: Mapping[str, Any]) -> dict[str, str]:
    """Path and text of what programs read at their start. No environment, no file."""
    files = {}
    environment: Mapping[str, str] = plan["environment"]
    wrong = [name for name, value in environment.items() if not _SAFE_VALUE.fullmatch(value)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: a value that a shell would read otherwise")
    head = f"# Made by colab-ready for ROCm {plan['line']}.\n"
    if environment:
        pairs = [f"{name}={value}" for name, value in sorted(environment.items())]
        files[PROFILE] = head + "".join(f"export {pair}\n" for pair in pairs)
        files[ENVIRONMENT] = head + "".join(f"{pair}\n" for pair in pairs)
    if plan["loader"]:
        files[LOADER] = head + "".join(f"{folder}\n" for folder in plan["loader"])
    return files


def repository_files(repository: Mapping[str, str] | None) -> dict[str, str]:
    """Without the keyring, which is known when it has been fetched."""
    if repository is None:
        return {}
    files = {repository["path"]: repository["text"]}
    if repository["pin_path"]:
        files[repository["pin_path"]] = repository["pin"]
    return files


# --- groups ---------------------------------------------------------------------------------------------------------


def groups_to_join(wanted: Sequence[str], members: Mapping[str, Sequence[str]], user: str) -> list[str]:
    """Of the groups that there are (a small image lacks them), those that the user is not in."""
    return [name for name in wanted if name in members and user not in members[name]]

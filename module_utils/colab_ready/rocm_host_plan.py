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

from ansible.module_utils.colab_ready import apt_words, gpus
from ansible.module_utils.colab_ready.apt_words import Steps, kernels_in
from ansible.module_utils.colab_ready.backend import card_for
from ansible.module_utils.colab_ready.core.refusal import Problem

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
    card = card_for(gpu, "rocm", gpus.AMD, wsl)
    if card is not None:
        return Card(card)
    what = "there is no graphics adapter of AMD here" if gpu.get("adapters") else "no graphics adapter can be seen here"
    where = "Windows shows it to this WSL" if wsl else "its driver amdgpu is loaded"
    # ROCm/rocm-systems#1153: without a card its programs hang.
    return Card({}, Problem("rocm_no_card", what, f"one of AMD, and that {where}", "set colab_backend: auto"))


# --- dpkg -----------------------------------------------------------------------------------------------------------


def damaged_files(text: str) -> list[str]:
    """The files that `dpkg --verify` misses or finds changed. Configuration is its owner's, and is no damage."""
    found = re.findall(r"^(?:\S{9}|missing) +(c )?(/.*)$", text, re.MULTILINE)
    return [path for is_configuration, path in found if not is_configuration and not _NOT_MISSED.match(path)]


def conffile_sums(text: str) -> dict[str, str]:
    """Each configuration file with its MD5 sum as it was shipped, from `dpkg-query --show --showformat ${Conffiles}`."""
    return dict(re.findall(r"^ (/\S+) ([0-9a-f]{32})", text, re.MULTILINE))


# --- apt ------------------------------------------------------------------------------------------------------------


def judge_steps(steps: Steps, may_go: Sequence[str], line: str) -> list[Problem]:
    """What apt must not do on the way."""
    problems = []
    kernels = kernels_in(steps)
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


_DO = {
    "signature": "set rocm_apt_key to the key of rocm_apt_address, and its rocm_apt_key_fingerprint; if both are AMD's, try "
    "again later",
    "package": "set rocm_apt_address to a complete mirror, or leave it empty",
    "unreachable": "look whether this computer reaches it (a proxy?), or set rocm_apt_address and rocm_apt_key to a mirror; "
    "with rocm_system_packages: false ROCm 7.14 and newer need no repository",
}


def apt_problem(text: str, where: str) -> Problem:
    return apt_words.apt_problem(text, where, "rocm", _DO)


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

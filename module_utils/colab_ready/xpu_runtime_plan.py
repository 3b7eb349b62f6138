# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel's compute runtime on a host, as far as it can be thought out without touching it: pure functions.

Which packages a card gets is said by xpu_packages.py; here is what is missing of them, what apt must not do on the way, and
what its complaints mean. xpu_runtime_state.py looks and acts.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, NamedTuple, Sequence

from ansible.module_utils.colab_ready import gpus
from ansible.module_utils.colab_ready.backend import Refusal
from ansible.module_utils.colab_ready.preflight import Problem

# The keys of Intel's graphics repositories, that of today and that of 2024; both are in the file that Intel offers. Read off
# it by two others who pin it, as nobody here reaches it; what signs is a subkey of the second, 28DA432DAAC8BAEA.
KEY_FINGERPRINTS = (
    "E0258B57D9C442D5DB1855C271740E4DE392BFE3",
    "4E9EFCDEF82800256C1E7C64B02DB9BD8C321DCB",
)
# A guest's kernel is Windows', and a native one is its owner's.
KERNEL_PACKAGE = re.compile(r"linux-(image|headers|modules|firmware|oem|intel)\S*|\S+-dkms|dkms")
# Asked of dpkg-query, so that versions and states are not guessed from columns.
LIST_FORMAT = "${Package}\t${Version}\t${db:Status-Status}\n"


def choose_card(gpu: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """From what gpu_device returned: the adapter that was decided on, or the best of Intel's. Never by its place."""
    adapters = gpu.get("adapters") or []
    decided = gpu.get("backend") or {}
    for one in (decided, decided.get("recommended") or {}):
        if one.get("name") == "xpu" and one.get("adapter") is not None:
            return next((adapter for adapter in adapters if adapter.get("index") == one["adapter"]), None)
    ours = [adapter for adapter in adapters if adapter.get("vendor_id") == gpus.INTEL and not adapter.get("software")]
    in_wsl = bool(gpu.get("wsl"))
    levels = {gpus.YES: 2, gpus.OPT_IN: 1}

    def rank(adapter: Mapping[str, Any]) -> tuple[int, bool, int]:
        family = gpus.family_of(adapter)
        support = (family.wsl if in_wsl else family.linux) if family else None
        level = levels.get(str(support.level), 0) if support else 1
        return level, bool(adapter.get("primary")), int(adapter.get("dedicated_bytes") or 0)

    return max(ours, key=rank, default=None)


def problem_of(refusal: Refusal, name: str) -> Problem:
    """A Refusal's one sentence, in the three parts that it has."""
    what, _, rest = str(refusal).partition(". Expected: ")
    expected, _, do = rest.partition(". Do: ")
    return Problem(name, what, expected, do.rstrip("."))


def no_card(gpu: Mapping[str, Any]) -> Problem:
    wsl = gpu.get("wsl")
    what = "Windows shows this WSL no graphics of Intel" if wsl else "this host has no graphics of Intel"
    return Problem("xpu_no_card", what, "an Intel GPU", "set colab_backend: auto")


# --- dpkg and apt ---------------------------------------------------------------------------------------------------


def installed_packages(text: str) -> dict[str, str]:
    """What is installed in good order, with its version, from `dpkg-query --show` with LIST_FORMAT."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def wanting(packages: Sequence[str], installed: Mapping[str, str], recorded: Mapping[str, str] | None) -> list[str]:
    """What is not there; and with a repository (`recorded` is not None), what is there of another source: Ubuntu 24.04's own
    runtime knows no card after Arc A. What was installed from there before may be upgraded by its owner."""
    return [
        name for name in packages
        if name not in installed or (recorded is not None and name not in recorded)
    ]  # fmt: skip


class Steps(NamedTuple):
    """What apt would do. `new` are those of `install` that are not there yet."""

    install: list[str]
    new: list[str]
    remove: list[str]


def simulated(text: str) -> Steps:
    """From what `apt-get --simulate` prints."""
    rows = re.findall(r"^Inst (\S+?)(?::\S+)? (\[[^\]]*\] )?\(", text, re.MULTILINE)
    return Steps(
        [name for name, _ in rows],
        [name for name, was in rows if not was],
        re.findall(r"^(?:Remv|Purg) (\S+?)(?::\S+)? \[", text, re.MULTILINE),
    )


def judge_steps(steps: Steps) -> Problem | None:
    kernels = sorted(name for name in steps.install if KERNEL_PACKAGE.fullmatch(name))
    if kernels:
        what = f"Intel's runtime would bring a kernel or its modules ({', '.join(kernels)})"
        do = "look with apt-cache rdepends who asks for it; xpu_apt_address may be another repository"
        return Problem("xpu_kernel_package", what, "none: colab-ready never installs one", do)
    if steps.remove:
        what = f"apt would take away packages for it ({', '.join(sorted(steps.remove))})"
        do = f"if you can do without them: sudo apt-get remove {' '.join(sorted(steps.remove))}, then run ./colab-ready again"
        return Problem("xpu_would_remove", what, "Intel's runtime beside what is there", do)
    return None


# The first that matches counts, as apt complains of much more than went wrong: pattern, id, what, expected, what to do.
_COMPLAINTS: Sequence[tuple[str, str, str, str, str]] = (
    (
        r"Could not get lock|is another process using it|lock was locked",
        "xpu_apt_busy", "another program installs packages", "apt and dpkg free for this run",
        "wait until it is done, then run ./colab-ready again",
    ),
    (
        r"No space left on device|don't have enough free space",
        "xpu_apt_space", "the disk is full", "room for the packages", "free some space (df -h /), then run ./colab-ready again",
    ),
    (
        r"Hash Sum mismatch|unexpected size|Clearsigned file isn't valid",
        "xpu_apt_checksum", "a file is not the one that the repository's signed list names", "files with the sums of the list",
        "try again in an hour, when the mirror is in step; if it stays, do not install from there",
    ),
    (
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|no longer signed|signatures? (?:were|was|couldn't)|Missing key|"
        r"Sub-process \S*(?:gpgv|sqv)\S* returned an error",
        "xpu_apt_signature", "the repository's signature is not by its key", "a list signed by the key that was fetched",
        "set xpu_apt_key to the key of xpu_apt_address; if both are Intel's, try again later",
    ),
    (
        r"Unable to locate package|has no installation candidate|Couldn't find any package",
        "xpu_apt_package", "a package is not there", "libze1, libze-intel-gpu1 and intel-opencl-icd",
        "set xpu_apt_address to a complete mirror, or leave it empty; on Ubuntu 26.04: sudo add-apt-repository universe",
    ),
    (
        r"Could not resolve|Failed to fetch|Could not connect|Unable to connect|Connection (?:failed|refused|timed out)|"
        r"404  Not Found|does not have a Release file|Temporary failure|Certificate verification failed|File not found",
        "xpu_apt_unreachable", "the repository cannot be read", "an answer from it",
        "look whether this computer reaches it (a proxy?), or set xpu_apt_address and xpu_apt_key to a mirror",
    ),
)  # fmt: skip


def apt_problem(text: str, where: str) -> Problem:
    """One problem for what apt or dpkg said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith(("E: ", "Err:"))), (lines or ["it said nothing"])[0])
    words = re.sub(r"^E: |\.$", "", first)[:300]
    for pattern, name, what, expected, do in _COMPLAINTS:
        if re.search(pattern, text):
            return Problem(name, f"{where}: {what} ({words})", expected, do)
    do = "sudo apt-get -f install says what is in the way; then run ./colab-ready again"
    return Problem("xpu_apt", f"{where}: {words}", "packages that install", do)


# --- the key --------------------------------------------------------------------------------------------------------


def key_problem(found: Sequence[str], allowed: Sequence[str], address: str) -> Problem | None:
    """A key that is none of those that are known becomes no anchor of trust. Nothing allowed: a mirror's own, unknown."""
    wanted = {one.replace(" ", "").upper() for one in allowed}
    strange = [one for one in found if wanted and one not in wanted]
    if not strange:
        return None
    return Problem(
        "xpu_apt_key",
        f"the key at {address} is another one than is known ({', '.join(strange)})",
        f"{' or '.join(sorted(wanted))}",
        "if that is your mirror's own key, set xpu_apt_key_fingerprints to it; otherwise do not install from there",
    )


def fingerprints_problem(allowed: Sequence[str], address: str) -> Problem | None:
    """What can be said before the key is fetched."""
    wrong = [one for one in allowed if not re.fullmatch(r"([0-9A-F]{40}|[0-9A-F]{64})", one.replace(" ", "").upper())]
    if wrong:
        what = f"{wrong[0]} in xpu_apt_key_fingerprints is no fingerprint of a key"
        return Problem("xpu_apt_fingerprint", what, "40 hexadecimal digits", "correct it")
    if not allowed and address.partition("://")[0] == "http":
        what = f"the key {address} would come unprotected, and nothing says which key it should be"
        do = "set xpu_apt_key_fingerprints (gpg --show-keys FILE prints it), or use an https address"
        return Problem("xpu_apt_key_unknown", what, "https, or the key's fingerprint", do)
    return None

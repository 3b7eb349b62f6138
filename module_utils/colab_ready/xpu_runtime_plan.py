# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel's compute runtime on a host, as far as it can be thought out without touching it: pure functions.

Which packages a card gets is said by xpu_packages.py; here is what is missing of them, what apt must not do on the way, and
what its complaints mean. xpu_runtime_state.py looks and acts.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

from ansible.module_utils.colab_ready import apt_words, gpus
from ansible.module_utils.colab_ready.apt_words import Steps, kernels_in
from ansible.module_utils.colab_ready.backend import card_for
from ansible.module_utils.colab_ready.core.refusal import Problem


def choose_card(gpu: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """From what gpu_device returned: the adapter that was decided on, or the best of Intel's. Never by its place."""
    return card_for(gpu, "xpu", gpus.INTEL, bool(gpu.get("wsl")), unknown=gpus.OPT_IN)


def no_card(gpu: Mapping[str, Any]) -> Problem:
    wsl = gpu.get("wsl")
    what = "Windows shows this WSL no graphics of Intel" if wsl else "this host has no graphics of Intel"
    return Problem("xpu_no_card", what, "an Intel GPU", "set colab_backend: auto")


# --- dpkg and apt ---------------------------------------------------------------------------------------------------


def wanting(packages: Sequence[str], installed: Mapping[str, str], recorded: Mapping[str, str] | None) -> list[str]:
    """What is not there; and with a repository (`recorded` is not None), what is there of another source: Ubuntu 24.04's own
    runtime knows no card after Arc A. What was installed from there before may be upgraded by its owner."""
    return [
        name for name in packages
        if name not in installed or (recorded is not None and name not in recorded)
    ]  # fmt: skip


def judge_steps(steps: Steps) -> Problem | None:
    kernels = kernels_in(steps)
    if kernels:
        what = f"Intel's runtime would bring a kernel or its modules ({', '.join(kernels)})"
        do = "look with apt-cache rdepends who asks for it; xpu_apt_address may be another repository"
        return Problem("xpu_kernel_package", what, "none: colab-ready never installs one", do)
    if steps.remove:
        what = f"apt would take away packages for it ({', '.join(sorted(steps.remove))})"
        do = f"if you can do without them: sudo apt-get remove {' '.join(sorted(steps.remove))}, then run ./colab-ready again"
        return Problem("xpu_would_remove", what, "Intel's runtime beside what is there", do)
    return None


_DO = {
    "signature": "set xpu_apt_key to the key of xpu_apt_address; if both are Intel's, try again later",
    "package": "set xpu_apt_address to a complete mirror of libze1, libze-intel-gpu1 and intel-opencl-icd, or leave it empty; on "
    "Ubuntu 26.04: sudo add-apt-repository universe",
    "unreachable": "look whether this computer reaches it (a proxy?), or set xpu_apt_address and xpu_apt_key to a mirror",
}


def apt_problem(text: str, where: str) -> Problem:
    return apt_words.apt_problem(text, where, "xpu", _DO)


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

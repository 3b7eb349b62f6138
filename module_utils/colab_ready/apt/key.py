# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a repository's key is the one that is meant: pure functions. `variable` is the setting that names its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.problem import Problem
from ..core.redact import redact
from ..core.remedy import give, reset

_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")


def check_key(repository: Mapping[str, Any], variable: str) -> list[Problem]:
    """Say what can be said of a key before it is fetched."""
    owner = variable.partition("_")[0]
    problems = [
        Problem(
            f"{owner}_apt_fingerprint",
            f"{one} in {variable} is no fingerprint of a key",
            "all of its 40 or 64 hexadecimal digits",
            f"{give(f'{variable}=FINGERPRINT')} (gpg --show-keys FILE prints it), or {reset(variable)}",
        )
        for one in repository["fingerprints"]
        if not _FINGERPRINT.fullmatch(one)
    ]
    pinned = repository["fingerprints"] or repository["key_sha256"]
    if not pinned and repository["key"].partition("://")[0] == "http":
        what = f"the key {redact(repository['key'])} would come unprotected, and nothing says which key it should be"
        owners = f"{give(f'{variable}=FINGERPRINT')} with what its owner says (gpg --show-keys FILE prints it)"
        do = f"{give(f'{owner}_apt_key=https://ADDRESS')}; or {owners}"
        problems.append(Problem(f"{owner}_apt_key_unknown", what, "https, or the key's fingerprint", do))
    return problems


def judge(repository: Mapping[str, Any], variable: str, sha256: str, found: Sequence[str]) -> Problem | None:
    """Say why what was fetched is not the key that is meant, or not that alone: apt would trust each in the ring."""
    allowed, name = repository["fingerprints"], f"{variable.partition('_')[0]}_apt_key"
    at = f"the key at {redact(repository['key'])}"
    # A fingerprint outlives a new form of the file: an added signature, an extended date.
    strange = [one for one in found if one not in allowed]
    if allowed and strange:
        what = f"{at} is another one than is known ({', '.join(strange)})"
        do = f"if it is your mirror's own or its owner's new: {give(f'{variable}=FINGERPRINT')}; else do not install from there"
        return Problem(name, what, " or ".join(sorted(allowed)), do)
    if allowed or repository["key_sha256"] in ("", sha256):
        return None
    return Problem(name, f"{at} has the checksum {sha256}", repository["key_sha256"], "do not install from there")

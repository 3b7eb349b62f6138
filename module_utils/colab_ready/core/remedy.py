# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tables of faults have in common: what is known of a failure, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


def give(*settings: str) -> str:
    """Return the command that sets variables, each as NAME=VALUE. They are remembered."""
    return " ".join(["./colab-ready", *(f"-e {one}" for one in settings)])


def reset(*names: str) -> str:
    """Return the commands that bring defaults back, whether what holds is remembered or was given in this run."""
    given = "them" if names[1:] else "it"
    return f"./colab-ready settings --reset {' '.join(names)}, then ./colab-ready without {given}"


def pick(setting: str, which: str = "one of them") -> str:
    """Return the command for a value that is to be chosen, given as NAME=PLACEHOLDER, and the way back to the default."""
    return f"{give(setting)} with {which}; or {reset(setting.partition('=')[0])}"


# Where everything is unless colab_prefix says otherwise; the report puts the prefix of its host in its place.
PREFIX = "/opt/colab-ready"


def rebuild(kernel: str = "*") -> str:
    """Return the commands that build the environment of the kernels anew."""
    return f"sudo rm -r {PREFIX}/kernels/{kernel} (what %pip has installed goes too), then ./colab-ready"


def build_anew(kernel: str = "*") -> str:
    return f"{rebuild(kernel)}; install nothing over torch with pip or conda."


ANY_BACKEND = f"{give('colab_backend=auto')}, or another one of them"
# Before a command of Linux in what is to be done on Windows; without WSL it is left out.
HERE = "in the WSL window: "
USE_CPU = f"{HERE}{give('colab_backend=cpu')} (the GPU again: ./colab-ready settings --reset colab_backend, then ./colab-ready)"
UNTIL_THEN = f"until then {USE_CPU}"
AGAIN = "run ./colab-ready again"
AGAIN_FIRST = "Run ./colab-ready again"
VERIFY = "run ./colab-ready verify"
# What has one meaning whatever the backend, so no table is asked.
SETTLED = ("torch_missing", "out_of_memory", "cpu_too_old")


def within(sentence: str) -> str:
    """Return a sentence as it stands behind other words."""
    return sentence[0].lower() + sentence[1:]


class Remedy(NamedTuple):
    """The cause of a fault, what to do about it, and where: linux (this host), windows, bios or browser."""

    cause: str
    do: str
    where: str = "linux"

    def told(self, name: str) -> dict[str, str]:
        """Return the remedy as modules and the report have it."""
        return {"id": name, **self._asdict()}


@dataclass(frozen=True)
class Evidence:
    """What is known of a step that failed.

    `said` is the error with what it was raised from; `heard`, what native code and programs printed besides. `ended`: how the
    process ended in this step, in the words of process/run.py; empty where the step ended with an error of Python.
    """

    said: Sequence[str] = ()
    heard: Sequence[str] = ()
    ended: str = ""
    signal: str = ""
    step: str = ""
    # The remedy that the step would have on any backend, and the probe's own word for what is wrong.
    usual: str = ""
    problem: str = ""
    torch: str = ""
    python: str = ""
    # How many devices torch counted, and whether it brings a ROCm runtime of its own; None: not asked.
    count: int | None = None
    bundled_hsa: bool | None = None
    # wsl (bool or None), dxg (missing, denied, open or None), libraries (those in WSL's folder)
    host: Mapping[str, Any] = field(default_factory=dict)

    @property
    def early(self) -> bool:
        """Whether torch was only imported, so that no driver was asked for anything yet."""
        return self.step == "import_torch"


def check_of(
    name: str,
    ok: bool | None,
    detail: str,
    reasons: Sequence[str] = (),
    remedies: Sequence[Mapping[str, str]] = (),
    *,
    seconds: float = 0.0,
    **more: Any,
) -> dict[str, Any]:
    """Return a check of the report that has one step."""
    step = {"id": name, "ok": ok, "seconds": seconds, "detail": detail}
    return {"ok": ok, "seconds": seconds, "steps": [step], "reasons": [*reasons], "remedies": [*remedies], **more}

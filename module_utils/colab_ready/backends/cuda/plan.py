# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether NVIDIA's driver of a host can run PyTorch, and which build it gets, judged before anything is installed.

Pure functions: what was seen goes in, problems and a plan come out. The tables of builds are in builds.py. In WSL the
driver is Windows' alone, and nothing is put into the distribution; without WSL it is the one that is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...core.problem import Problem, Refused
from ...core.remedy import HERE, UNTIL_THEN, give, reset
from ...core.text import listed
from . import builds as cuda_builds

LIBRARY = "libcuda.so.1"
# Those that the role has, RELEASE_BUILD each.
LOCKS = ("2.14.0_cu132", "2.14.0_cu130", "2.14.0_cu126")
# compute_cap came with driver 470; an older nvidia-smi says that it is no valid field.
QUERY = ("--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")

WINDOWS_DRIVER = "install NVIDIA's current driver on Windows, then in PowerShell: wsl --update; wsl --shutdown"
LINUX_DRIVER = (
    "install the driver that your distribution offers (Ubuntu: sudo ubuntu-drivers install), restart the computer"
)


class Spoken(NamedTuple):
    """What nvidia-smi printed, all of it. Where it did not answer, `why` says so."""

    text: str = ""
    status: int | None = None
    why: str = ""


class Library(NamedTuple):
    """libcuda as a program gets it: from where, what cuDriverGetVersion says, what cuInit returned, or why none of that."""

    path: str | None = None
    version: int | None = None
    init: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Seen:
    """What the host says. None is not known, and forbids nothing."""

    # Whether the GPU is Windows'.
    wsl: bool
    # Installed packages, `ldconfig -p` and /proc/modules, which are looked at in WSL alone.
    packages: Sequence[str] = ()
    ldconfig: str = ""
    modules: str = ""
    heading: Spoken = Spoken()
    query: Spoken = Spoken()
    library: Library = Library()


@dataclass(frozen=True)
class Options:
    """What was asked for. Empty: the newest that fits."""

    torch: str = ""
    build: str = ""
    index: str = cuda_builds.INDEX
    # What can be built, RELEASE_BUILD each.
    locks: Sequence[str] = ()
    # The name of the card that was decided on.
    adapter: str = ""


@dataclass(frozen=True)
class Verdict:
    problems: Sequence[Problem] = ()
    # As cuda_builds.choose_build gives it, with the name of its lock; None where there are problems.
    build: Mapping[str, Any] | None = None
    driver: Mapping[str, Any] = field(default_factory=dict)
    cautions: Sequence[str] = ()


# --- the host -------------------------------------------------------------------------------------------------------


def _otherwise(wsl: bool) -> str:
    return f"{UNTIL_THEN}; or {give('colab_backend=directml')}" if wsl else UNTIL_THEN.replace(HERE, "")


# --- what the driver says -------------------------------------------------------------------------------------------

_SHUTDOWN, _RESTART = "in PowerShell: wsl --shutdown", "restart the computer"
_END = "end what uses it (nvidia-smi shows it)"
_FABRIC = (
    "on this host, or on the one that this container or virtual machine runs on, install nvidia-fabricmanager of the driver's "
    "very version{driver} (boards since B200 want nvlsm too); sudo systemctl enable --now nvidia-fabricmanager; then "
    "./colab-ready"
)

# What nvidia-smi says in place of an answer: the id, what it means, what to do in WSL, and what without.
_SAID: Sequence[tuple[str, str, str, str, str]] = (
    # microsoft/WSL#9962, #10389: the driver of Windows is an old one, or WSL is.
    (
        r"GPU access blocked by the operating system", "cuda_blocked",
        "Windows does not let this WSL reach the card of NVIDIA", WINDOWS_DRIVER, LINUX_DRIVER,
    ),
    (
        r"Driver/library version mismatch", "cuda_mismatch",
        "NVIDIA's driver was updated and the old one is still running", _SHUTDOWN, _RESTART,
    ),
    (
        r"couldn't communicate with the NVIDIA driver|Driver Not Loaded", "cuda_driver",
        "NVIDIA's driver does not run", WINDOWS_DRIVER, LINUX_DRIVER,
    ),
    (
        r"Unable to determine the device handle|GPU is lost", "cuda_lost",
        "NVIDIA's driver has lost the card", "restart Windows", "restart the computer",
    ),
    (
        r"NVML: Insufficient Permissions", "cuda_devices",
        "this user may not open the driver's devices", WINDOWS_DRIVER,
        "add the user to the group that ls -l /dev/nvidia* shows, often video",
    ),
    (
        r"NVML: Unknown Error", "cuda_devices",
        "the driver's devices have been taken away from this container, or the driver is broken", WINDOWS_DRIVER,
        f"start the container anew (a systemctl daemon-reload on its host takes its devices); else {_RESTART}",
    ),
    (
        r"No devices were found", "cuda_no_device",
        "NVIDIA's driver finds no card", WINDOWS_DRIVER, LINUX_DRIVER,
    ),
)  # fmt: skip

_NO_STUBS = (
    "find where its folder is named (grep -rn stubs /etc/ld.so.conf.d ~/.bashrc ~/.profile) and delete that line; then sudo "
    "ldconfig, and ./colab-ready in a new terminal"
)
# What cuInit returns (cuda.h, CUresult) where it says more than that it failed: the same columns.
_INIT: Mapping[int, tuple[str, str, str, str]] = {
    34: (
        "cuda_stub", "programs load a stub of libcuda, made for linking alone, in place of the driver's", _NO_STUBS, _NO_STUBS,
    ),
    100: ("cuda_no_device", "NVIDIA's driver finds no card", WINDOWS_DRIVER, LINUX_DRIVER),
    2: ("cuda_memory", "the card's memory is full", f"{_END}; {_SHUTDOWN}", _END),
    46: ("cuda_busy", "another program has the card for itself", f"{_END}; {_SHUTDOWN}", _END),
    304: (
        "cuda_devices", "the driver's devices cannot be opened (/dev/nvidiactl, /dev/nvidia-uvm)", WINDOWS_DRIVER,
        "see who may open them (ls -l /dev/nvidia*); where nvidia-uvm is missing: sudo nvidia-modprobe -u -c 0; a container "
        "wants --gpus all",
    ),
    500: ("cuda_mismatch", "libcuda and NVIDIA's driver are of different versions", _SHUTDOWN, _RESTART),
    802: (
        "cuda_fabric", "the cards are joined by NVSwitch, and the service that joins them does not run",
        WINDOWS_DRIVER, _FABRIC,
    ),
    803: (
        "cuda_mismatch", "libcuda and NVIDIA's driver are of different versions", _SHUTDOWN, _RESTART,
    ),
    804: (
        "cuda_compat", "libcuda is of a compatibility package (cuda-compat) that is not for this card",
        "sudo apt-get remove 'cuda-compat-*'", "sudo apt-get remove 'cuda-compat-*'",
    ),
    **dict.fromkeys(
        (805, 806, 807),
        (
            "cuda_mps", "NVIDIA's Multi-Process Service does not answer", _SHUTDOWN,
            "restart it (echo quit | sudo nvidia-cuda-mps-control; sudo nvidia-cuda-mps-control -d), or take "
            "CUDA_MPS_PIPE_DIRECTORY out of the environment",
        ),
    ),
}  # fmt: skip


def _problem(row: Sequence[str], said: str, wsl: bool) -> Problem:
    name, what, windows, linux = row
    return Problem(name, f"{what} ({said})", "a driver that answers", f"{windows if wsl else linux}; {_otherwise(wsl)}")


def check_driver(seen: Seen) -> Problem | None:
    """Whether there is a driver, and what it complains of. A nvidia-smi that is missing is none: the library counts."""
    said = f"{seen.heading.text}\n{seen.query.text}"
    for pattern, *row in _SAID:
        found = re.search(pattern, said)
        if found:
            return _problem(row, f"nvidia-smi: {found[0]}", seen.wsl)
    library = seen.library
    if library.init:
        known = _INIT.get(library.init, ("cuda_init", "NVIDIA's driver does not start", WINDOWS_DRIVER, LINUX_DRIVER))
        version = cuda_builds.parse_driver(seen.heading.text)
        known = (*known[:3], known[3].replace("{driver}", f", {version}" if version else ", as nvidia-smi shows it"))
        return _problem(known, f"cuInit of {library.path or LIBRARY} returned {library.init}", seen.wsl)
    if library.version is None and cuda_builds.parse_ceiling(seen.heading.text) is None:
        why = "; ".join(filter(None, [library.why, seen.heading.why]))
        return _problem(("cuda_driver", "no driver of NVIDIA answers", WINDOWS_DRIVER, LINUX_DRIVER), why, seen.wsl)
    return None


def check_wsl(seen: Seen) -> list[Problem]:
    """No driver for Linux hides Windows' own. Whether the loader knows the folder is settled by wsl_host, later."""
    hidden = cuda_builds.linux_driver_in_wsl(seen.packages, seen.ldconfig, seen.modules)
    taken = seen.library.path
    if hidden is None and taken and not taken.startswith(cuda_builds.WSL_FOLDER):
        # LD_LIBRARY_PATH comes before the cache.
        do = f"take {taken.rpartition('/')[0]} out of LD_LIBRARY_PATH (grep -rs LD_LIBRARY_PATH /etc/environment /etc/profile.d)"
        what = f"programs get CUDA from {taken} instead of Windows' driver"
        hidden = Problem("cuda_linux_driver", what, "none: CUDA in WSL comes with the driver on Windows", do)
    return [hidden] if hidden else []


# --- what the card and the driver can -------------------------------------------------------------------------------


class Ceiling(NamedTuple):
    """The newest CUDA that the driver runs; who said it."""

    version: tuple[int, int] | None
    source: str


def ceiling(seen: Seen) -> Ceiling:
    """By nvidia-smi's heading; by libcuda where that is missing or says N/A."""
    told = cuda_builds.parse_ceiling(seen.heading.text)
    if told:
        return Ceiling(told, "nvidia-smi")
    if seen.library.version:
        return Ceiling(cuda_builds.ceiling_of(seen.library.version), "libcuda")
    return Ceiling(None, "")


class Card(NamedTuple):
    name: str
    capability: tuple[int, int] | None
    driver: str


def parse_cards(text: str) -> list[Card]:
    """One card per line, as QUERY has nvidia-smi print them. Lines of another kind are none."""
    cards = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 2)]
        if len(parts) == 3 and parts[0] and re.fullmatch(r"[0-9]+(\.[0-9]+)+", parts[2], re.ASCII):
            cards.append(Card(parts[0], cuda_builds.parse_capability(parts[1]), parts[2]))
    return cards


def card_of(cards: Sequence[Card], name: str) -> Card | None:
    """The decided one by its name, never by its place; with one card alone the name does not matter."""
    wanted = _plain(name)
    named = [card for card in cards if wanted and _plain(card.name) == wanted]
    if named:
        return named[0]
    return cards[0] if len(cards) == 1 else None


def _plain(name: str) -> str:
    words = re.sub(r"\((tm|r)\)", " ", name.lower()).split()
    return " ".join(word for word in words if word != "nvidia")


def weakest(cards: Sequence[Card]) -> tuple[int, int] | None:
    """Where it is not known which card it will be, the build has to have code for each: the oldest decides."""
    return min((card.capability for card in cards if card.capability), default=None)


# --- all of it ------------------------------------------------------------------------------------------------------


def check_lock(build: Mapping[str, Any], locks: Sequence[str]) -> None:
    """A Refused where the build cannot be made."""
    name = lock_name(build)
    if name not in locks:
        what = f"there is no lock for PyTorch {build['torch']}+{build['tag']} ({name})"
        do = f"{reset('cuda_torch', 'cuda_build')}; or give the lock in cuda_locks"
        raise Refused(Problem("cuda_lock", what, f"one of {listed(sorted(locks), 'none')}", do))


def lock_name(build: Mapping[str, Any]) -> str:
    return f"{build['torch']}_{build['tag']}"


def judge(seen: Seen, asked: Options) -> Verdict:
    """Everything that is in the way, or the build."""
    found = check_wsl(seen) if seen.wsl else []
    # What hides Windows' driver is why it does not answer.
    driver = None if found else check_driver(seen)
    problems = [*found, *([driver] if driver else [])]
    top = ceiling(seen)
    cards = parse_cards(seen.query.text)
    card = card_of(cards, asked.adapter)
    capability = card.capability if card else weakest(cards)
    said = {
        "version": (card or (cards[0] if cards else Card("", None, ""))).driver or None,
        "ceiling": ".".join(map(str, top.version)) if top.version else None,
        "source": top.source or None,
        "card": card.name if card else None,
        "capability": ".".join(map(str, capability)) if capability else None,
        "library": seen.library.path,
    }
    if problems:
        return Verdict(problems, driver=said)
    try:
        build = cuda_builds.choose_build(top.version, capability, asked.torch, asked.build, asked.index)
        check_lock(build, asked.locks)
    except Refused as refusal:
        return Verdict(refusal.problems, driver=said)
    cautions = list(build["cautions"])
    if top.source == "libcuda" and seen.heading.why:
        cautions.append(f"nvidia-smi did not say which CUDA the driver runs ({seen.heading.why}); libcuda did")
    if len(cards) > 1 and card is None:
        cautions.append(
            f"Which of {listed([one.name for one in cards])} will compute is not known, so the build is one for the oldest."
        )
    return Verdict((), {**build, "lock": lock_name(build)}, said, cautions)

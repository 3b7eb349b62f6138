# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a backend runs on a GPU of a host: what a backend and a host say about themselves, and judge().

Each verdict is yes, only when it is asked for (opt_in), or no, with a sentence that a student can act on. What is not
known about a host is None and forbids nothing: the proof has the last word. The rule of one backend is the `findings` of its
judge.py; here is what bears on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ..core.remedy import give, pick
from ..core.text import listed
from ..gpu import catalog
from ..gpu.catalog import DXG_SHUT, NO, OPT_IN, YES
from ..gpu.kind import label, why_no_gpu
from ..python.interpreters import choose, in_words
from .torch_devices import TorchDevices

CAUTION = "caution"
# It would be a yes, but for what one of its settings says.
SETTING = "setting"

# Windows 11 begins with this build.
WINDOWS_11 = 22000
MB, GB = 1000**2, 1000**3
# The driver model with which GPUs in WSL came: https://devblogs.microsoft.com/directx/directx-heart-linux/
WSL_WDDM = 2.9


class Size(NamedTuple):
    """What a build takes, about, in bytes: to fetch, and on disk."""

    download: int
    disk: int


# The server's environment, and uv: the sizes that the index states of the wheels of their locks, and what they take unpacked.
SHARED = Size(75 * MB, 270 * MB)
# A kernel's environment with PyTorch for the CPU alone: 126 MB of wheels beside torch's 192 MB.
SMALL = Size(320 * MB, 1200 * MB)


@dataclass(frozen=True)
class Backend:
    """One way to run PyTorch. `device_type` is torch's own word for it, `findings` its rule."""

    name: str
    device_type: str
    on: str
    title: str
    findings: Callable[[Mapping[str, Any], HostFacts, Mapping[str, Any]], Iterator[Finding]]
    # The vendor whose own it is; DirectML is nobody's.
    vendor_id: str | None = None
    # 0: made by the GPU's vendor and kept up to date. 1: runs.
    tier: int = 0
    # The Pythons that it has packages for; where that hangs on its settings, `requires` says it of them.
    python_requires: str = ">=3.10,<3.15"
    requires: Callable[[Mapping[str, Any]], str] | None = None
    # The variables of its role on which the decision hangs, without the role's name in front, and what each is when it is empty.
    settings: Mapping[str, Any] = field(default_factory=dict)
    architectures: tuple[str, ...] = ("x86_64",)
    # What its environment takes, with what it needs of the host; it may hang on its settings.
    size: Callable[[Mapping[str, Any]], Size] = lambda _settings: SMALL
    # What it is to torch, where torch counts its devices; the proof finds the card among them.
    torch: TorchDevices | None = None
    # Why there is none on native Linux, where that is so.
    needs_windows: str = ""
    # Why other Pythons than those are no use, where the packages' own names promise more.
    python_note: str = ""

    def settings_in(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Its settings out of the variables of all roles."""
        return {name: _of_kind(empty, variables.get(f"{self.name}_{name}")) for name, empty in self.settings.items()}

    def python(self, host: HostFacts, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The Python that it gets (python/interpreters.py, choose)."""
        requires = self.requires(settings) if self.requires else self.python_requires
        return choose(requires, host.pythons, host.python_paths, bool(host.python_named))


def _of_kind(empty: Any, value: Any) -> Any:
    """A variable as what its setting is; -e gives texts."""
    if value in (None, ""):
        return empty
    if isinstance(empty, bool):
        return str(value).lower() in ("true", "yes", "on", "1")
    if isinstance(empty, Mapping):
        return value if isinstance(value, Mapping) else empty
    return str(value).strip()


@dataclass(frozen=True)
class HostFacts:
    """What a host says about itself. None: not known."""

    # 1, 2, or None outside of WSL.
    wsl: int | None = None
    # Whether /dev/dxg can be used, and if not the code of the failure (see DXG).
    dxg: bool | None = None
    dxg_failure: str | None = None
    # The setting of WSL that leaves the GPU out, and its file.
    gpu_left_out: str | None = None
    windows_build: int | None = None
    # ID and VERSION_ID of os-release.
    distribution: str | None = None
    distribution_version: str | None = None
    # The release of Ubuntu that it is, or is built on, and what it calls itself.
    ubuntu: str | None = None
    system: str | None = None
    architecture: str | None = None
    # The Pythons that are there, the preferred one first, and whether uv can fetch another.
    pythons: Sequence[str] | None = None
    python_fetch: bool | None = None
    # Where those are, in the same order; and whether python_env_python names the only one.
    python_paths: Sequence[str] | None = None
    python_named: bool | None = None
    # In /usr/lib/wsl/lib: libcuda.so.1; libd3d12.so with libd3d12core.so; libdxcore.so.
    libcuda: bool | None = None
    d3d12: bool | None = None
    dxcore: bool | None = None
    # Device files of native drivers: /dev/kfd, /dev/nvidia0, /dev/dri/renderD128 and the like.
    kfd: bool | None = None
    nvidia_device: bool | None = None
    render_node: bool | None = None
    container: bool | None = None
    # On the file system that the environments are, or will be, on; and the backends whose environments are there already.
    disk_free_bytes: int | None = None
    built: Sequence[str] | None = None
    # Those that a run has begun to build, so that part of what they take is no longer free.
    begun: Sequence[str] | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any] | HostFacts | None) -> HostFacts:
        """From a dictionary that may have fewer keys, or others besides."""
        if isinstance(facts, HostFacts):
            return facts
        known = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in (facts or {}).items() if key in known})

    @property
    def behind_windows(self) -> bool:
        """Whether the GPUs are those of a Windows host, as in WSL."""
        return self.wsl is not None or bool(self.dxg)

    @property
    def ubuntu_release(self) -> str | None:
        return self.ubuntu or (self.distribution_version if self.distribution == "ubuntu" else None)

    @property
    def is_derived(self) -> bool:
        """Whether it is built on an Ubuntu, and is none: packages fit, and nobody has tried them there."""
        return self.distribution not in (None, "ubuntu") and self.ubuntu_release is not None

    @property
    def windows_10(self) -> bool:
        """Whether it is known to be an older Windows than 11."""
        return self.windows_build is not None and self.windows_build < WINDOWS_11


@dataclass(frozen=True)
class Finding:
    """One thing that bears on whether a backend runs on an adapter. `do`: the way out of a no; of what is only on request, the
    variable that has to say so beside colab_backend, and `given`, whether it does."""

    level: str
    why: str
    do: str = ""
    given: bool = False

    def sentence(self) -> str:
        return f"{self.why}. Do: {self.do}" if self.do else self.why


@dataclass(frozen=True)
class Verdict(Finding):
    """What all findings together come to."""

    cautions: tuple[str, ...] = ()
    # It would not be a yes either if what forbids it were mended.
    at_best_opt_in: bool = False
    # What has to be set for what is only on request, and what of it is not, beside colab_backend.
    settings: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    def about(self, title: str) -> str:
        """The sentence, after the backend's name unless it begins with that."""
        return self.sentence() if self.why.startswith(title) else f"{title}: {self.sentence()}"


@dataclass(frozen=True)
class Candidate:
    """A backend on an adapter."""

    adapter: Mapping[str, Any]
    backend: Backend
    verdict: Verdict


# --- Python ---------------------------------------------------------------------------------------------------------


def _of_python(backend: Backend, host: HostFacts, settings: Mapping[str, Any]) -> Iterator[Finding]:
    python = backend.python(host, settings)
    if host.pythons is None or python["path"] or (python["use"] and not python["fetch"]):
        return
    note = f" ({backend.python_note})" if backend.python_note else ""
    needs = f"{backend.title} needs Python {in_words(python['requires'])}{note}"
    if host.python_named:
        path = next(iter(host.python_paths or ()), "")
        state = f"is {host.pythons[0]}" if host.pythons else "does not start"
        do = pick("python_env_python=PATH", "one that fits")
        yield Finding(SETTING, f"{needs}, and {path}, which python_env_python names, {state}", do)
    elif host.python_fetch is False or not python["use"]:
        do = f"install Python {python['use'] or python['requires']}"
        yield Finding(NO, f"{needs}, this host has {listed(host.pythons)}, and no other can be fetched", do)
    else:
        yield Finding(
            CAUTION, f"{needs}, this host has {listed(host.pythons)}: Python {python['use']} is fetched for it"
        )


# --- what a build takes -----------------------------------------------------------------------------------------------

# A line of 100 Mbit/s; what else a run does (bench/README.md); and what unpacking takes.
BYTES_PER_SECOND = 12.5 * MB
RUN_SECONDS = 50
DISK_BYTES_PER_SECOND = 100 * MB


def in_gigabytes(size: int) -> str:
    """Return a number of bytes as people read it: 0.4 GB, 8 GB."""
    gigabytes = size / GB
    return f"{gigabytes:.1f} GB" if gigabytes < 9.95 and round(gigabytes, 1) % 1 else f"{gigabytes:.0f} GB"


def work_of(backend: Backend, host: HostFacts, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is to be fetched and built for a backend, about; None where its environment is there.

    download_bytes, disk_bytes, seconds, and text, which says them to a person.
    """
    if backend.name in (host.built or ()):
        return None
    parts = [backend.size(settings), *([] if host.built else [SHARED])]
    download, disk = (sum(sizes) for sizes in zip(*parts, strict=True))
    seconds = RUN_SECONDS + download / BYTES_PER_SECOND + disk / DISK_BYTES_PER_SECOND
    free = f" ({in_gigabytes(host.disk_free_bytes)} are free)" if host.disk_free_bytes is not None else ""
    text = (
        f"{backend.title} is to be set up: about {in_gigabytes(download)} to fetch, {in_gigabytes(disk)} of disk{free}, "
        f"{round(seconds / 60) or 1} min on a line of 100 Mbit/s"
    )
    return {"download_bytes": download, "disk_bytes": disk, "seconds": round(seconds), "text": text}


# --- what bears on every backend --------------------------------------------------------------------------------------

SHUTDOWN = "in PowerShell: wsl --shutdown"
UBUNTU = "in PowerShell: wsl --install Ubuntu-24.04, and run colab-ready there"
UPDATE = "in PowerShell: wsl --update, then wsl --shutdown; and install the newest driver of the GPU on Windows"
_NO_DEVICE = (
    "the GPU device of WSL, /dev/dxg, is not there, so Windows gives this WSL no GPU",
    UPDATE,
)
_NO_ANSWER = ("Windows did not say which GPUs there are", UPDATE)
# What went wrong with /dev/dxg, by dxg.py's code: what it means, what to do.
DXG: Mapping[str, tuple[str, str]] = {
    "dxg_missing": _NO_DEVICE,
    "dxg_no_driver": _NO_DEVICE,
    "dxg_no_device": ("the GPU device of WSL, /dev/dxg, has lost its connection to Windows", SHUTDOWN),
    "dxg_denied": (
        "this user may not open /dev/dxg, though WSL lets everybody",
        f"{SHUTDOWN}; if it is so again, look for a udev rule or a script that changes the mode of /dev/dxg",
    ),
    "dxg_forbidden": ("this container may not open /dev/dxg", "start the container with --device /dev/dxg"),
    "dxg_unopenable": ("/dev/dxg, the GPU device of WSL, cannot be opened", UPDATE),
    "dxg_not_dxg": ("/dev/dxg is something else than WSL's GPU device", f"{SHUTDOWN}, which makes /dev anew"),
    "too_many_adapters": ("Windows names more adapters than WSL can list", "deactivate virtual displays on Windows"),
    "timeout": ("Windows did not say in time which GPUs there are", f"{SHUTDOWN}, then run colab-ready again"),
    **dict.fromkeys(("enum_failed", "enum_unstable", "query_failed", "crashed", "no_child", "unexpected"), _NO_ANSWER),
}


def of_windows(host: HostFacts) -> Iterator[Finding]:
    """Whether a GPU of Windows can be reached at all."""
    if host.wsl == 1:
        do = "in PowerShell: wsl --set-version NAME 2 (wsl --list says this distribution's NAME)"
        yield Finding(NO, "WSL 1 has no GPUs, only WSL 2 does", do)
    elif host.gpu_left_out:
        why = f"a setting leaves the GPU out of WSL: {host.gpu_left_out}"
        yield Finding(NO, why, f"take that line out, then {SHUTDOWN}")
    elif host.behind_windows and (host.dxg is False or host.dxg_failure):
        code = host.dxg_failure or "dxg_missing"
        why, do = DXG.get(code, (f"/dev/dxg does not work ({code})", UPDATE))
        if host.container and code == "dxg_missing":
            why = "there is no /dev/dxg in this container"
            do = "start the container with --device /dev/dxg and /usr/lib/wsl mounted"
        yield Finding(NO if code in DXG_SHUT else CAUTION, why, do)
    elif host.behind_windows and host.dxcore is False:
        # The drivers of all vendors speak to Windows through it.
        yield Finding(NO, "libdxcore.so, through which WSL reaches the GPU, is not in /usr/lib/wsl/lib", UPDATE)


def _of_machine(backend: Backend, adapter: Mapping[str, Any], host: HostFacts) -> Iterator[Finding]:
    if host.architecture and host.architecture not in backend.architectures:
        yield Finding(
            NO, f"{backend.title} has packages for {listed(backend.architectures)} only, this is {host.architecture}"
        )
    if adapter.get("detachable"):
        yield Finding(CAUTION, f"{label(adapter)} can be unplugged; run ./colab-ready again when it was")
    # On Windows 10 every driver is, and no newer one helps.
    if host.behind_windows and _number(adapter.get("wddm")) < WSL_WDDM and not host.windows_10:
        why = f"the Windows driver of {label(adapter)} is older than GPUs in WSL (WDDM {adapter.get('wddm')})"
        yield Finding(CAUTION, why, "install the newest one")


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("inf")


def system_of(host: HostFacts) -> str:
    """Return what the system calls itself, and for one that is built on another that too."""
    name = host.system or f"{(host.distribution or '').capitalize()} {host.distribution_version or ''}".strip()
    return f"{name}, built on Ubuntu {host.ubuntu_release}" if host.is_derived else name or "another"


def on_ubuntu(host: HostFacts, line: str) -> tuple[tuple[str, ...], bool]:
    """The releases that the vendor names, and whether this is one of them, or nobody knows."""
    named = catalog.UBUNTU.get(line, ((), ()))[0 if host.behind_windows else 1]
    known = host.distribution is not None
    return named, not named or not known or (host.distribution == "ubuntu" and host.distribution_version in named)


def own_support(family: catalog.Family, host: HostFacts) -> Finding:
    support = family.wsl if host.behind_windows else family.linux
    return Finding(support.level or OPT_IN, support.why)


# --- what several backends say --------------------------------------------------------------------------------------


def other_driver(adapter: Mapping[str, Any], but: str, do: str) -> Finding:
    driver = adapter.get("driver")
    if driver == "vfio-pci":
        return Finding(NO, "it is reserved for a virtual machine (driver vfio-pci)", "run colab-ready in that one")
    return Finding(NO, f"its driver is {driver}, {but}" if driver else "no driver has taken it", do)


def no_device_file(host: HostFacts, path: str, option: str) -> Finding:
    if host.container:
        return Finding(NO, f"there is no {path} in this container", f"start the container with {option}")
    return Finding(NO, f"there is no {path}", "restart the computer; if it is still missing, install the driver again")


def judge(backend: Backend, adapter: Mapping[str, Any], host: HostFacts, settings: Mapping[str, Any]) -> Verdict:
    """Whether this backend runs on this adapter of this host as its settings want it, and why, or why not."""
    findings: list[Finding] = []
    if backend.name != "cpu":
        no_gpu = why_no_gpu(adapter)
        if no_gpu:
            findings.append(Finding(NO, no_gpu))
        elif backend.vendor_id not in (None, adapter.get("vendor_id")):
            findings.append(Finding(NO, f"{backend.title} is for {backend.on}"))
        findings += of_windows(host)
    findings += backend.findings(adapter, host, settings)
    findings += _of_machine(backend, adapter, host)
    findings += _of_python(backend, host, settings)
    cautions = tuple(found.sentence() for found in findings if found.level == CAUTION)
    on_request = [found for found in findings if found.level == OPT_IN]
    wanted = [found.why for found in on_request]
    for level in (NO, SETTING):
        for found in findings:
            if found.level == level:
                return Verdict(
                    level, "; ".join([*wanted[:1], found.why]), found.do, cautions=cautions, at_best_opt_in=bool(wanted)
                )
    if wanted:
        named = dict.fromkeys(found.do for found in on_request if found.do)
        lacks = tuple(dict.fromkeys(found.do for found in on_request if found.do and not found.given))
        all_ = (f"colab_backend={backend.name}", *named)
        why, do = "; ".join(wanted), f"to try it: {give(*all_)}"
        return Verdict(OPT_IN, why, do, cautions=cautions, settings=all_, lacks=lacks)
    return Verdict(YES, next(found.why for found in findings if found.level == YES), cautions=cautions)

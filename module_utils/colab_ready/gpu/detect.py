# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is known of a host's GPUs, each adapter from where this kind of host has it.

Native Linux: sysfs. WSL 2: /dev/dxg, and if that does not tell, what else may know, in order. WSL 1 has no GPUs.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..files.safe_open import read_system_text
from ..system.interpreters import python_candidates
from ..system.os_release import os_facts
from ..wsl import facts as wsl
from ..wsl.gpu_settings import gpu_left_out
from ..wsl.windows_build import windows_build
from . import catalog
from .adapter import Reading
from .kind import why_no_gpu
from .readers import dxcore, dxg, vendor_tools, win32_video
from .readers import sysfs as drm


class Places(NamedTuple):
    """Where to look. Others than these are for tests."""

    sysfs: str = "/sys"
    proc: str = "/proc"
    dev: str = "/dev"
    run: str = "/run"
    etc: str = "/etc"
    usr: str = "/usr"
    pci_ids: Sequence[str] = drm.PCI_IDS
    # How long /dev/dxg may take to answer.
    dxg_seconds: float = dxg.TIMEOUT_SECONDS
    # Where the environments are, or will be.
    prefix: str = "/opt/colab-ready"

    @property
    def root(self) -> str:
        """Where /etc is."""
        return os.path.dirname(self.etc.rstrip("/")) or "/"


# --- the host -------------------------------------------------------------------------------------------------------


def in_container(places: Places) -> bool:
    """By the marks that Docker, Podman and systemd leave. WSL is no container, whatever systemd calls it."""
    marks = (f"{places.root}/.dockerenv", f"{places.run}/.containerenv")
    said = (read_system_text(f"{places.run}/systemd/container") or "wsl").strip()
    return any(os.path.exists(mark) for mark in marks) or said != "wsl"


def pythons(usr: str) -> dict[str, str]:
    """The minor versions of the system's Pythons and where they are, the preferred one first, by their names: nothing
    is started."""
    found: dict[str, str] = {}
    for path in map(os.path.realpath, python_candidates(f"{usr}/bin")):
        name = os.path.basename(path)
        if re.fullmatch(r"python3\.[0-9]+", name):
            found.setdefault(name[len("python") :], path)
    return found


def disk_free_bytes(path: str) -> wsl.Fact:
    """What an ordinary user may still write there, or where it would be made."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    try:
        system = os.statvfs(path)
    except OSError as error:
        return None, wsl.reason("not_said", f"the disk of {path} does not say it: {error.strerror}")
    return system.f_bavail * system.f_frsize, None


def built(prefix: str) -> list[str]:
    """The backends whose environments are there."""
    found = glob.glob(f"{glob.escape(prefix)}/kernels/*/pyvenv.cfg")
    return sorted(os.path.basename(os.path.dirname(path)) for path in found)


def host_facts(places: Places, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """What backends/base.py's HostFacts wants to know, as far as files tell. `said` is what WSL says of itself."""
    system = os_facts(places.etc, places.usr)
    interpreters = pythons(places.usr)
    facts: dict[str, Any] = {
        "wsl": said["version"] if said else None,
        "distribution": system["id"],
        "distribution_version": system["version_id"],
        "ubuntu": system["ubuntu"],
        "system": system["name"],
        "architecture": os.uname().machine,
        "pythons": list(interpreters) or None,
        "python_paths": list(interpreters.values()) or None,
        "container": in_container(places),
        "built": built(places.prefix),
    }
    if said:
        there = said["libraries"]
        facts["libcuda"] = there["libcuda.so.1"]
        facts["d3d12"] = there["libd3d12.so"] and there["libd3d12core.so"]
        facts["dxcore"] = there["libdxcore.so"]
    else:
        facts["kfd"] = os.path.exists(f"{places.dev}/kfd")
        facts["nvidia_device"] = bool(glob.glob(f"{glob.escape(places.dev)}/nvidia[0-9]*"))
        facts["render_node"] = bool(glob.glob(f"{glob.escape(places.dev)}/dri/renderD*"))
    return facts


# --- the ways to the adapters ---------------------------------------------------------------------------------------


class Found(NamedTuple):
    """`reasons` is by path. `ways` says of each way that was tried how it went. `dxg` is None where nobody asked it."""

    adapters: list[dict[str, Any]] | None
    reasons: dict[str, wsl.Reason]
    ways: list[dict[str, Any]]
    dxg: bool | None = None
    dxg_failure: str | None = None


Way = Callable[[], Reading]


def _way(name: str, reading: Reading) -> dict[str, Any]:
    adapters, reasons = reading
    why = {"reason": None, "detail": None} if adapters is not None else reasons["adapters"]
    return {"name": name, "ok": adapters is not None, **why}


def tells_something(adapters: Sequence[Mapping[str, Any]] | None) -> bool:
    """No adapters is an answer. Adapters of which nobody says what they are is none."""
    return adapters is not None and (not adapters or any(one["vendor_id"] is not None for one in adapters))


def other_ways(places: Places, interop_works: bool | None) -> list[tuple[str, Way]]:
    """Who else may know the adapters of Windows, the one that knows most first."""
    return [
        ("dxcore", lambda: dxcore.read_adapters_safely(places.usr)),
        ("powershell", lambda: win32_video.read_adapters(places.etc, places.proc, places.run, interop_works)),
        ("nvidia-smi", lambda: vendor_tools.read_nvidia_smi(vendor_tools.find_nvidia_smi(places.usr))),
        ("rocminfo", lambda: vendor_tools.read_rocminfo(vendor_tools.find_rocminfo(places.usr, places.root))),
    ]


def of_windows(places: Places, others: Sequence[tuple[str, Way]]) -> Found:
    """The adapters that Windows shows, and how it went with each way until one told them."""
    first = dxg.read_adapters_safely(places.dev, places.dxg_seconds)
    ways = [_way("dxg", first)]
    failure = None if first[0] is not None else first[1]["adapters"]["reason"]
    usable = failure not in catalog.DXG_SHUT
    if tells_something(first[0]):
        return Found(first[0], first[1], ways, usable, failure)
    for name, ask in others:
        reading = ask()
        ways.append(_way(name, reading))
        # An empty list of theirs only says that they know of none.
        if reading[0] and tells_something(reading[0]):
            return Found(reading[0], reading[1], ways, usable, failure)
    if failure == "dxg_missing":
        # Windows shows this WSL none, which is all that counts.
        return Found([], {}, ways, usable, failure)
    return Found(first[0], first[1], ways, usable, failure)


def of_linux(places: Places) -> Found:
    adapters, reasons = drm.read_adapters(places.sysfs, places.pci_ids)
    return Found(adapters, reasons, [{"name": "sysfs", "ok": True, "reason": None, "detail": None}])


def complete(found: Found) -> None:
    """What the table of GPUs adds, with the reason where it does not."""
    for index, adapter in enumerate(found.adapters or []):
        for key, value in (("gfx", catalog.gfx_of(adapter)), ("product", catalog.product_of(adapter))):
            if value is not None:
                adapter[key] = value
                adapter["source"][key] = "table"
        unlisted = wsl.reason("not_in_table", "the table of GPUs does not have it, or not with this revision")
        others = wsl.reason("not_amd", "only AMD's GPUs have such a name")
        if adapter["gfx"] is None:
            amd = adapter["vendor_id"] in (None, catalog.AMD)
            found.reasons[f"adapters[{index}].gfx"] = unlisted if amd else others
        if adapter["product"] is None:
            found.reasons[f"adapters[{index}].product"] = unlisted


# A driver of this model or a newer one runs on Windows 11 alone.
WINDOWS_11_WDDM = 3.0


def leaves_windows_open(adapters: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether there is a GPU whose driver leaves open which Windows it runs on."""
    return any(why_no_gpu(adapter) is None and not _only_on_11(adapter.get("wddm")) for adapter in adapters or ())


def _only_on_11(wddm: Any) -> bool:
    try:
        return float(wddm) >= WINDOWS_11_WDDM
    except (TypeError, ValueError):
        return False


# --- all of it ------------------------------------------------------------------------------------------------------


def look(places: Places, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """wsl, adapters, ways, host (what the decision needs to know of it) and null_reasons by path, each {reason, detail}."""
    said, reasons = wsl.facts(places.proc, places.dev, places.run, places.etc, places.usr, environ)
    host = host_facts(places, said)
    if said and said["version"] == 1:
        found = Found([], {}, [], False)
    elif said:
        found = of_windows(places, other_ways(places, said["interop"]))
    elif os.path.exists(f"{places.dev}/dxg"):
        # A Hyper-V guest that is not WSL: the adapters are the host's as well, and nobody else knows them.
        found = of_windows(places, [])
        if found.dxg_failure == "dxg_not_dxg":
            found = of_linux(places)
    else:
        found = of_linux(places)
    complete(found)
    host["dxg"] = bool(found.dxg)
    host["dxg_failure"] = found.dxg_failure
    libraries = said["libraries"] if said else {}
    if said and said["version"] == 2 and not host["container"] and (not found.dxg or not libraries["libdxcore.so"]):
        host["gpu_left_out"] = gpu_left_out(places.etc, places.proc)
    looked_up = {"disk_free_bytes": disk_free_bytes(places.prefix)}
    if said:
        looked_up["windows_build"] = windows_build(leaves_windows_open(found.adapters), places.etc, places.proc)
    for key, (value, why) in looked_up.items():
        host[key] = value
        if why is not None:
            reasons[f"host.{key}"] = why
    return {
        "wsl": said,
        "adapters": found.adapters,
        "ways": found.ways,
        "host": host,
        "null_reasons": {**reasons, **found.reasons},
    }

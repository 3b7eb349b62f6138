# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a WSL says about itself: its settings, the way to Windows' programs, the libraries and drivers of the GPUs.

Reads files only, as anybody, and starts nothing. Every place is an argument, so that a test can build a small WSL in a
folder. What cannot be known is None, with {"reason": code, "detail": text} beside it.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..files.mounts import parse_mounts
from ..files.safe_open import read_bytes, read_system_text
from ..system.os_release import os_facts
from .conf import wsl_conf_value
from .version import wsl_facts

# Below /usr; WSL mounts it from Windows: https://devblogs.microsoft.com/directx/directx-heart-linux/
LIBRARY_FOLDER = "lib/wsl/lib"
DRIVER_FOLDER = "lib/wsl/drivers"
# Who needs them: the first all, the next three DirectML, the others CUDA.
LIBRARIES = (
    "libdxcore.so",
    "libd3d12.so",
    "libd3d12core.so",
    "libdirectml.so",
    "libcuda.so.1",
    "libnvidia-ml.so.1",
    "nvidia-smi",
)

# The folder of drivers can be Windows' whole store. These are the packages of graphics: NVIDIA, AMD, Intel, Qualcomm.
GRAPHICS_DRIVER = re.compile(
    r"(nv_disp\w*|nv(ac|am|bl|cv|dd|de|dm|ha|hd|hm|ht|lt|mi|mo|sm|sz|to|tf|vf)\w{0,3}|[uc][0-9]{6,8}|iigd\w*|igdlh\w*|cui_\w*|qcdx\w*)"
    r"\.inf_(amd64|arm64)_",
    re.IGNORECASE,
)
DRIVERS_MAX = 16

Reason = dict[str, str]
# A value, or None and why.
Fact = tuple[Any, "Reason | None"]


def reason(code: str, detail: str) -> Reason:
    return {"reason": code, "detail": detail}


# --- /etc/wsl.conf --------------------------------------------------------------------------------------------------


def automount_root(wsl_conf: str) -> str:
    """The folder of Windows' drives by /etc/wsl.conf."""
    root = wsl_conf_value(wsl_conf.encode(), "automount", "root")
    return (root or "/mnt/").rstrip("/") + "/"


def program_candidates(program: str, wsl_conf: str, mountinfo: str) -> list[str]:
    """Where a program of Windows ("Windows/System32/reg.exe") may be, likeliest first.

    PATH does not say: interop's part of it can be switched off, or planted.
    """
    drives = [point for point, kind, _ in parse_mounts(mountinfo) if kind in ("9p", "drvfs", "virtiofs")]
    places = [automount_root(wsl_conf) + "c", *sorted(drives)]
    return [os.path.join(place, program) for place in dict.fromkeys(places)]


# --- starting programs of Windows -----------------------------------------------------------------------------------


def init_beside(etc: str) -> str:
    """WSL's own init, which starts programs of Windows. It is beside /etc."""
    return os.path.join(os.path.dirname(etc.rstrip("/")), "init")


def interop_sockets(run_dir: str) -> list[str]:
    """The sockets to Windows, newest first. sudo takes WSL_INTEROP, which names the caller's own one, away.

    WSL's init makes them as root, for everybody (mode 0777), in a folder in which everybody may make others.
    """
    found = []
    for path in glob.glob(f"{glob.escape(run_dir)}/WSL/*_interop"):
        with suppress(OSError):
            info = os.lstat(path)
            if info.st_uid in (0, os.geteuid()):
                found.append((info.st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def interop(proc: str = "/proc", etc: str = "/etc", init: str = "/init") -> Fact:
    """Whether programs of Windows can be started; if not, or if that is not known, why."""
    enabled = wsl_conf_value((read_system_text(f"{etc}/wsl.conf") or "").encode(), "interop", "enabled")
    if (enabled or "").lower() in ("false", "0"):
        return False, reason("switched_off", "/etc/wsl.conf has enabled=false under [interop]")
    folder = f"{proc}/sys/fs/binfmt_misc"
    status = read_system_text(f"{folder}/status")
    if status is None:
        return None, reason("binfmt_unmounted", "binfmt_misc, where the kernel says it, is not mounted")
    if status.strip() == "disabled":
        return False, reason(
            "binfmt_disabled", "binfmt_misc, the kernel's way to start other programs, is switched off"
        )
    # The second is the name that WSL's own fix for systemd uses: microsoft/WSL#8843.
    entries = [read_system_text(f"{folder}/{name}") for name in ("WSLInterop", "WSLInterop-late")]
    found = [entry for entry in entries if entry is not None]
    if not found:
        why = "the kernel has no handler WSLInterop for .exe; a restart of systemd-binfmt takes it away"
        return False, reason("not_registered", why)
    on = [entry for entry in found if entry.startswith("enabled")]
    if not on:
        return False, reason("handler_disabled", "the kernel's handler WSLInterop for .exe is switched off")
    if not os.path.exists(init) and any(re.search(r"^interpreter /init$", entry, re.MULTILINE) for entry in on):
        return False, reason("no_init", "the kernel's handler for .exe is /init, and that is not there")
    return True, None


# --- libraries and drivers ------------------------------------------------------------------------------------------


def libraries(usr: str = "/usr") -> dict[str, bool]:
    """Which of WSL's own libraries for GPUs are there. A link that leads nowhere is not."""
    return {name: os.path.exists(f"{usr}/{LIBRARY_FOLDER}/{name}") for name in LIBRARIES}


def loader_knows(folder: str, cache: str = "/etc/ld.so.cache") -> Fact:
    """Whether the loader finds the libraries of a folder by itself.

    The cache holds the full path of each library that ldconfig saw, as a string with a null behind it (glibc's
    elf/cache.c); which format's table leads there need not be known.
    """
    try:
        data = read_bytes(cache, 64 << 20, follow=True)
    except OSError as error:
        return None, reason("no_cache", f"{cache} cannot be read: {error.strerror}")
    if b"glibc-ld.so.cache" not in data[: 16 << 20] and not data.startswith(b"ld.so-1.7.0"):
        return None, reason("unknown_cache", f"{cache} is not a cache of glibc's loader")
    return re.search(rb"(?<![\w./-])%s/lib[^/\0]+\0" % re.escape(os.fsencode(folder)), data) is not None, None


def driver_folders(usr: str = "/usr") -> Fact:
    """The packages of graphics drivers that Windows shows to WSL: a hint, no more."""
    try:
        names = os.listdir(f"{usr}/{DRIVER_FOLDER}")
    except OSError as error:
        return None, reason("no_drivers", f"/usr/{DRIVER_FOLDER} cannot be read: {error.strerror}")
    return sorted(name for name in names if GRAPHICS_DRIVER.match(name))[:DRIVERS_MAX], None


def memory_bytes(proc: str = "/proc") -> Fact:
    """What WSL may use at most, which is half of the computer's memory unless .wslconfig says otherwise."""
    match = re.search(r"^MemTotal:\s+([0-9]+) kB$", read_system_text(f"{proc}/meminfo") or "", re.MULTILINE)
    if match is None:
        return None, reason("not_said", "/proc/meminfo does not say it")
    return int(match.group(1)) * 1024, None


# --- all of it ------------------------------------------------------------------------------------------------------


def facts(
    proc: str = "/proc",
    dev: str = "/dev",
    run_dir: str = "/run",
    etc: str = "/etc",
    usr: str = "/usr",
    environ: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any] | None, dict[str, Reason]]:
    """All that a WSL says about itself, and by key why something is not known, or why interop does not work."""
    found = wsl_facts(proc, dev, run_dir, environ)
    if found is None:
        return None, {"wsl": reason("not_wsl", "this is not WSL")}
    system = os_facts(etc, usr)
    asked: dict[str, Fact] = {
        "kernel": (found["kernel"], reason("not_said", "osrelease cannot be read")),
        "interop": interop(proc, etc, init_beside(etc)),
        "loader": loader_knows("/usr/" + LIBRARY_FOLDER, f"{etc}/ld.so.cache"),
        "drivers": driver_folders(usr),
        "memory_bytes": memory_bytes(proc),
    }
    reasons = {
        f"wsl.{key}": why
        for key, (value, why) in asked.items()
        if why is not None and (value is None or (key == "interop" and value is False))
    }
    for key in ("id", "version_id"):
        if system[key] is None:
            reasons[f"wsl.distribution.{key}"] = reason("not_said", "os-release does not say it")
    said = {
        **found,
        **{key: value for key, (value, _) in asked.items()},
        "distribution": {"id": system["id"], "version_id": system["version_id"]},
        "libraries": libraries(usr),
    }
    keys = "version kernel distribution systemd interop dxg libraries loader drivers memory_bytes".split()
    return {key: said[key] for key in keys}, reasons

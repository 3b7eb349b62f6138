# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the running server was started with, and why a new one would be another."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from colab_ready.files.safe_open import open_file, read_bytes, read_object
from colab_ready.system.ports import UNIT, listeners_on, process, systemd_let_go
from colab_ready.system.processes import processes_of, started_ticks

from .core import LOG_BYTES_MAX, Problem, is_number
from .settings import Settings
from .trust import environment_files

UNIT_FILE = Path("/etc/systemd/system", UNIT)
LIBRARY = Path(__file__).resolve().parents[1]
KERNEL_FILE = re.compile(r"/kernel-[^/]+\.json")
# What of the stamp has changed, in words.
PARTS = {
    "settings": "the settings",
    "driver": "the driver's environment",
    "configuration": "the server's configuration",
    "packages": "the server's packages",
    "unit": UNIT,
    "program": "colab-runtime itself",
}
CLOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Served:
    """What a server has noted of its own start. Its kernels have its groups, whatever the account joins later."""

    stamp: dict[str, str]
    port: int
    http_over_ws: bool
    gid: int
    groups: tuple[int, ...]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def contents(*paths: Path) -> list[tuple[str, str]]:
    """Files of root's by name, each with a digest of what is in it; those that are not there are left out."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            found.append((str(path), hashlib.sha256(read_bytes(str(path), LOG_BYTES_MAX, follow=True)).hexdigest()))
    return found


def versions(*paths: str) -> list[tuple[str, int, int, int]]:
    """What tells one version of each file from another, for who may not read them; those that are not there are left out."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            info = os.stat(path)
            found.append((path, info.st_ino, info.st_size, info.st_mtime_ns))
    return found


def stamp_of(settings: Settings) -> dict[str, str]:
    """What a server is started with, as digests of what is there, so that a change which is undone is none. The kernel is none of
    it, since Jupyter reads the kernelspec whenever a kernel starts, nor is the port, which belongs to who holds it. A folder that
    is closed to the user counts as empty for root too, or root would see another digest than the server has noted."""
    driver: list[str] = []
    with contextlib.suppress(OSError, Problem):
        if os.stat(settings.environment_dir).st_mode & 0o005 == 0o005:
            driver = environment_files(settings.environment_dir, settings.account.pw_uid)
    return {
        "settings": digest(asdict(replace(settings, port=0, kernel="", moved=False))),
        "driver": digest(versions(*driver)),
        "configuration": digest(contents(*sorted(Path(settings.config_dir).rglob("*")))),
        "packages": digest(versions(os.path.join(settings.prefix, "server/colab-ready.json"))),
        "unit": digest(contents(UNIT_FILE) if settings.systemd else []),
        "program": digest(contents(*sorted(LIBRARY.rglob("*.py")))),
    }


def note_start(settings: Settings, descriptor: int) -> None:
    """Note what this server is started with, and the port of the socket that it is given. Without the note nobody knows."""
    with socket.socket(fileno=os.dup(descriptor)) as one:
        port = one.getsockname()[1]
    note = Served(stamp_of(settings), port, settings.http_over_ws, os.getgid(), tuple(os.getgroups()))
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.stamp_file)  # whatever it is
        fd = open_file(settings.stamp_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump(asdict(note), file)


def read_note(settings: Settings) -> Served | None:
    """The note of the server that runs, or None: there is none, or one of another version. The note is the user's, so root takes
    it for a text and no more."""
    try:
        data = read_object(settings.stamp_file) or {}
        note = Served(**{**data, "stamp": dict(data["stamp"]), "groups": tuple(data["groups"])})
    except (KeyError, TypeError, ValueError):
        return None
    numbers = [note.port, note.gid, *note.groups]
    good = all(map(is_number, numbers)) and 0 < note.port < 65536 and isinstance(note.http_over_ws, bool)
    return note if good and note.stamp.keys() == PARTS.keys() else None


def as_served(settings: Settings) -> Settings:
    """The settings by which the server can be asked that runs, also one of another version: where another port waits for a
    restart, it has the old one."""
    note = read_object(settings.stamp_file) or {}
    port, over = note.get("port"), note.get("http_over_ws")
    served = replace(settings, http_over_ws=over) if isinstance(over, bool) else settings
    if not isinstance(port, int) or not is_number(port) or port == settings.port:
        return served
    holders = {one.uid for one in listeners_on(port) or []}
    holds = (0 if settings.systemd else settings.account.pw_uid) in holders
    return replace(served, port=port, moved=True) if holds else served


def lacks_groups(settings: Settings, gid: int, groups: Sequence[int]) -> list[str]:
    """The groups that the account has and a process with these has not. More than the account has is nobody's fault:
    a drop-in of the unit can give more (SupplementaryGroups=), and another group of its own (Group=)."""
    wanted = set(os.getgrouplist(settings.account.pw_name, gid)) - {gid, *groups}
    names = []
    for one in sorted(wanted):
        try:
            names.append(grp.getgrgid(one).gr_name)
        except KeyError:
            names.append(str(one))
    return names


def kernels_of(settings: Settings) -> list[tuple[str, float]]:
    """The kernels that run in an environment of ours: its name, and when each began."""
    kernels = os.path.join(settings.prefix, "kernels", "")
    now, since_boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    found = []
    for pid in processes_of(settings.account.pw_uid):
        argv, ticks = getattr(process(pid), "argv", ()), started_ticks(pid)
        if ticks is not None and argv and argv[0].startswith(kernels) and any(map(KERNEL_FILE.search, argv)):
            began = now - since_boot + ticks / os.sysconf("SC_CLK_TCK")
            found.append((argv[0].removeprefix(kernels).partition("/")[0], began))
    return found


def has_old_kernels(settings: Settings) -> bool:
    """Whether a kernel runs that one which is started now would differ from: of another environment, or of this one before it was
    changed."""
    changed = 0.0
    with contextlib.suppress(OSError):
        changed = os.stat(os.path.join(settings.prefix, "kernels", settings.kernel, "colab-ready.json")).st_mtime
    return any(name != settings.kernel or began < changed - CLOCK_SECONDS for name, began in kernels_of(settings))


def what_waits(settings: Settings) -> list[str]:
    """Why a new server, or its kernels, would be others than those that run."""
    note = read_note(settings)
    if note is None:
        return ["the server was started by another version of colab-runtime"]
    now = stamp_of(settings)
    why = [f"{words} changed" for part, words in PARTS.items() if note.stamp[part] != now[part]]
    if note.port != settings.port:
        why.insert(0, f"it moves from port {note.port} to {settings.port}")
    elif settings.systemd and systemd_let_go(settings.port):
        why.append(f"systemd does not hold port {settings.port} any more, which is lost when the server ends")
    groups = lacks_groups(settings, note.gid, note.groups)
    if groups:
        why.append(
            f"the server and its notebooks lack what '{settings.user}' is in by now: {', '.join(groups)} (groups)"
        )
    if settings.kernel and has_old_kernels(settings):
        why.append("the environment of notebooks changed after some of them were started")
    return why

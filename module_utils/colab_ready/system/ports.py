# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a port, read from /proc, as root or not.

/proc/net/tcp names the account of every socket to everybody; which process has it open stands in
/proc/<pid>/fd, and those links only their owner and root may read.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import socket
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.text import printable
from ..files.safe_open import read_text
from ..process.boundary import BoundaryError, run_as
from ..process.identity import Account
from ..process.run import DEFAULT_PATH, run
from .processes import process_ids, stat_fields

# include/net/tcp_states.h
_TCP_LISTEN = 0x0A
# All ports of a host in use, 150 bytes for each connection.
_TABLE_BYTES = 64 << 20
_ANOTHER_SECONDS = 5.0
_SYSTEMD_SECONDS = 10.0

UNIT = "colab-ready.service"
SOCKET = "colab-ready.socket"
PROGRAM = "/usr/local/bin/colab-runtime"


@dataclass(frozen=True)
class Listener:
    """One listening socket."""

    address: str
    port: int
    uid: int
    inode: int


@dataclass(frozen=True)
class Process:
    """What everybody may see of a process."""

    pid: int
    uid: int
    program: str
    argv: tuple[str, ...] = ()
    cgroup: str = ""
    parent: int = 0


def decode_address(text: str, byteorder: str = sys.byteorder) -> tuple[str, int]:
    """An address of /proc/net/tcp{,6}: 32-bit words in the machine's byte order, then the port."""
    digits, _, port = text.partition(":")
    raw = bytes.fromhex(digits)
    if byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, raw), int(port, 16)


def parse_listeners(text: str) -> list[Listener]:
    """The listening sockets of a /proc/net/tcp or tcp6. Lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        try:
            if int(fields[3], 16) != _TCP_LISTEN:
                continue
            address, port = decode_address(fields[1])
            found.append(Listener(address, port, int(fields[7]), int(fields[9])))
        except (IndexError, ValueError):
            continue
    return found


def answers_localhost(address: str) -> bool:
    """Whether a browser that asks localhost reaches this address, so that a server there is in our way."""
    return address in ("0.0.0.0", "127.0.0.1", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0")


def listeners_on(port: int, proc: str = "/proc") -> list[Listener] | None:
    """Who listens on localhost's `port`; None where this kernel does not say."""
    # Perhaps no IPv6 in this kernel.
    tables = [text for name in ("tcp", "tcp6") if (text := read_text(f"{proc}/net/{name}", _TABLE_BYTES)) is not None]
    found = [listener for text in tables for listener in parse_listeners(text)]
    ours = [listener for listener in found if listener.port == port and answers_localhost(listener.address)]
    return ours if tables else None


def process(pid: int, proc: str = "/proc") -> Process | None:
    """What is to be seen of one process; None when it is gone or hidden (hidepid)."""
    folder = f"{proc}/{pid}"
    try:
        uid = os.stat(folder).st_uid
    except OSError:
        return None
    stat = stat_fields(pid, proc)
    return Process(
        pid=pid,
        uid=uid,
        program=printable(read_text(f"{folder}/comm") or ""),
        argv=tuple(printable(part) for part in (read_text(f"{folder}/cmdline") or "").split("\0") if part),
        cgroup=read_text(f"{folder}/cgroup") or "",
        parent=int(stat[1]) if len(stat) > 1 else 0,
    )


def find_open(wanted: Container[str], proc: str = "/proc", seconds: float = math.inf) -> Iterator[int]:
    """The processes that have one of these files or sockets open, named as in /proc/PID/fd, as far as we may look, and get in
    that time: a user's processes can have millions of descriptors."""
    end = time.monotonic() + seconds
    for pid in process_ids(proc):
        folder = f"{proc}/{pid}/fd"
        # Another account's process, or one that has just ended, or has closed it.
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if time.monotonic() > end:
                    return
                with contextlib.suppress(OSError):
                    if os.readlink(f"{folder}/{name}") in wanted:
                        yield pid
                        break


def find_holder(inodes: Iterable[int], proc: str = "/proc") -> Process | None:
    """The process that has one of these sockets open, as far as we may look."""
    pid = next(find_open({f"socket:[{inode}]" for inode in inodes}, proc, _ANOTHER_SECONDS), None)
    return None if pid is None else process(pid, proc)


def find_holder_as(uid: int, inodes: Iterable[int], proc: str = "/proc") -> Process | None:
    """The same for the root of a container, which lacks CAP_SYS_PTRACE and may not look into others' processes.

    A child takes the place of that account (each group its processes have, in turn) and looks.
    """
    wanted = list(inodes)
    groups = set()
    for pid in process_ids(proc):
        try:
            info = os.stat(f"{proc}/{pid}")
        except OSError:
            continue
        if info.st_uid == uid:
            groups.add(info.st_gid)
    end = time.monotonic() + _ANOTHER_SECONDS
    for gid in sorted(groups):
        account = Account(str(uid), uid, gid, (), "/")
        try:
            pid = run_as(account, lambda: getattr(find_holder(wanted, proc), "pid", None), end - time.monotonic())
        except BoundaryError:
            continue
        if isinstance(pid, int):
            return process(pid, proc)
    return None


def holder_of(listener: Listener, proc: str = "/proc") -> Process | None:
    """The process behind a listening socket, as far as we may look or take another account's place to look."""
    found = find_holder([listener.inode], proc)
    return find_holder_as(listener.uid, [listener.inode], proc) if found is None and os.geteuid() == 0 else found


def socket_unit_holds(port: int) -> bool | None:
    """Whether systemd holds this port for the runtime, so that a listener of root's is ours; None where it does not say."""
    shown = run(
        ["systemctl", "show", SOCKET, "--property=ActiveState,Listen"], _SYSTEMD_SECONDS, env={"PATH": DEFAULT_PATH}
    )
    if not shown.ok:
        return None
    lines = shown.stdout.splitlines()
    return "ActiveState=active" in lines and any(f":{port} (Stream)" in line for line in lines)


def systemd_let_go(port: int, proc: str = "/proc") -> bool:
    """Whether systemd has none of the runtime's sockets on this port open, so that the port goes with the server.

    Where the unit's file named another port when systemd read it, the unit stays active without them, and `systemctl show` says
    nothing of it (systemd 252). False where nobody may look, and where nobody listens.
    """
    wanted = {f"socket:[{one.inode}]" for one in listeners_on(port, proc) or [] if one.uid == 0}
    opened = set()
    try:
        for name in os.listdir(f"{proc}/1/fd"):
            with contextlib.suppress(FileNotFoundError):
                opened.add(os.readlink(f"{proc}/1/fd/{name}"))
    except OSError:
        return False
    return bool(wanted) and not wanted & opened


def stale_units() -> list[str]:
    """The runtime's units that systemd cannot start as it knows them (LoadState; systemctl(1)): the watchdog of one that was
    masked when it was read hears nothing any more, and ends the server. Empty where it does not say."""
    shown = run(
        ["systemctl", "show", UNIT, SOCKET, "--property=Id,LoadState"], _SYSTEMD_SECONDS, env={"PATH": DEFAULT_PATH}
    )
    known = [dict(line.split("=", 1) for line in one.splitlines()) for one in shown.stdout.split("\n\n") if one.strip()]
    return [one.get("Id", UNIT) for one in known if one.get("LoadState") != "loaded"] if shown.ok else []


def is_of_runtime(candidate: Process, prefix: str | None) -> bool:
    """Whether a process shows a mark of ours: its unit, the command (the supervisor, which holds the port), or a program of the
    server environment. Nothing that its user keeps in a file is asked."""
    return bool(re.search(rf"/{re.escape(UNIT)}(/|$)", candidate.cgroup, re.MULTILINE)) or runs_server(
        candidate, prefix
    )


def runs_server(candidate: Process, prefix: str | None) -> bool:
    """Whether it is the supervisor or the server, and not a notebook of theirs."""
    if PROGRAM in candidate.argv[:3]:
        return True
    return bool(prefix) and any(part.startswith(f"{prefix}/server/bin/") for part in candidate.argv[:2])


def ours(
    port: int,
    listeners: Iterable[Listener],
    holder: Process | None,
    others: Iterable[Process],
    settings: Mapping[str, Any] | None,
    runtime_uid: int | None,
) -> bool:
    """Whether the runtime itself listens there.

    `settings` is runtime.json, `runtime_uid` the account named in it, `others` the processes that are to
    be seen. Where we may look, the process that holds the socket decides. Where we may not, the socket has to
    belong to the runtime's account and one of that account's processes has to bear the mark, or all of them
    are hidden (hidepid), and then the account and the port in runtime.json are all there is to go by.
    """
    configured = (settings or {}).get("port")
    # Settings that are damaged say nothing; the process itself still bears its mark.
    if not isinstance(configured, int):
        configured = None
    if configured is not None and configured != port:
        return False
    prefix = (settings or {}).get("prefix")
    prefix = prefix if isinstance(prefix, str) else None
    if holder is not None:
        return runtime_uid in (None, holder.uid) and is_of_runtime(holder, prefix)
    if configured is None or runtime_uid is None or any(listener.uid != runtime_uid for listener in listeners):
        return False
    theirs = [other for other in others if other.uid == runtime_uid]
    return not theirs or any(is_of_runtime(other, prefix) for other in theirs)


def who_listens(
    port: int, settings: Mapping[str, Any] | None, runtime_uid: int | None, proc: str = "/proc"
) -> tuple[list[Listener], Process | None, bool]:
    """The listeners, the process behind them, and whether all of them are ours.

    A stranger comes before us: a browser that asks localhost may get ::1 where we have 127.0.0.1.
    """
    listeners = listeners_on(port, proc) or []
    held = any(one.uid == 0 for one in listeners) and socket_unit_holds(port)
    others = [seen for seen in (process(pid, proc) for pid in process_ids(proc)) if seen] if listeners else []
    for listener in listeners:
        if held and listener.uid == 0:
            continue
        if settings and settings.get("port") != port and runtime_uid is not None:
            # Our server stays where it is while another port waits for a restart.
            server = find_holder_as(runtime_uid, [listener.inode], proc)
            if server is not None and runs_server(server, str(settings.get("prefix"))):
                continue
        holder = holder_of(listener, proc)
        if not ours(port, [listener], holder, others, settings, runtime_uid):
            return [listener], holder, False
    return listeners, None, bool(listeners)


def bind_error(port: int) -> str | None:
    """Why a server could not listen on 127.0.0.1:port, asked the way tornado does it; None if it could.

    With WSL's mirrored networking a Windows program can hold a port that no file in /proc shows.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return os.strerror(error.errno or errno.EINVAL)
    return None

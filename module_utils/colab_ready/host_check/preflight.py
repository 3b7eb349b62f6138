# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host and what is requested fit, before anything is changed.

Pure functions: what was seen goes in, facts and problems come out. All problems are said at once, so
that nobody mends one to meet the next.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.accounts import RUNTIME_COMMENT
from ..core.clock import SET_CLOCK, TRUE_TIME
from ..core.problem import Problem, Refused
from ..core.remedy import give, pick
from ..files.mounts import FOREIGN_FILESYSTEMS
from ..settings.values import Setting, convert
from ..system.filesystem import Place
from ..system.interpreters import Python
from ..system.ports import Listener, Process
from ..system.runtime_account import Account

# Who runs the kernels when root itself called and nobody else is in sight (design: never root).
SYSTEM_USER = "colab"
SYSTEM_USER_HOME = "/home/colab"

ARCHITECTURES = ("x86_64", "aarch64")
TESTED_SYSTEMS = "Debian 12 or newer, Ubuntu 22.04 or newer"

# A kernel environment with torch has about 40,000 files.
BUILD_INODES = 60_000
# Room for reports, logs and a small upgrade. What an environment takes, the decision knows (decide.py).
OWN_BYTES = 256 * 1024 * 1024
BUILT_INODES = 1_000

# The only names that this project puts into its prefix.
PREFIX_ENTRIES = frozenset(("cache", "kernels", "pythons", "server", "share", "src", "tools"))

# Directories of the system: a prefix is a directory of its own, never one of these.
SYSTEM_DIRECTORIES = frozenset(
    (
        "/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /libx32 /lost+found /media /mnt /opt /proc /root /run /sbin "
        "/snap /srv /sys /tmp /usr /usr/bin /usr/etc /usr/games /usr/include /usr/lib /usr/lib64 /usr/libexec "
        "/usr/local /usr/local/bin /usr/local/etc /usr/local/lib /usr/local/sbin /usr/local/share /usr/local/src "
        "/usr/sbin /usr/share /usr/src /var /var/cache /var/lib /var/lib/colab-ready /var/local /var/log "
        "/var/log/colab-ready /var/opt /var/run /var/spool /var/tmp /etc/colab-ready /run/colab-ready"
    ).split()
)
# Kernel file systems under which nothing can be installed.
KERNEL_DIRECTORIES = ("/boot", "/dev", "/proc", "/run", "/sys")


@dataclass(frozen=True)
class PortState:
    """What stands on the requested port."""

    listeners: Sequence[Listener] = ()
    holder: Process | None = None
    ours: bool = False
    bind_error: str | None = None
    # Names of the accounts of the listeners, in their order.
    users: Sequence[str] = ()


@dataclass(frozen=True)
class Requested:
    """What was asked for; `port` as it came."""

    backend: str
    backends: Sequence[str]
    port: Any
    user: str
    prefix: str
    python_requires: str


@dataclass(frozen=True)
class Seen:
    """What the host says."""

    uid: int
    caller: str
    sudo_user: str | None
    accounts: Mapping[str, Account | None]
    hostname: str
    architecture: str
    os: Mapping[str, Any]
    service_manager: str
    systemd: str | None
    uv: str | None
    # The first of the system's that fits, and why those before it do not.
    python: Python | None
    rejected: Sequence[str]
    place: Place | None
    settings: Mapping[str, Any] | None = None
    port: PortState = field(default_factory=PortState)
    # How one can tell that the clock is wrong.
    clock: str | None = None
    # The environments in which notebooks of the runtime's user run now, where it may become another's.
    kernels: Sequence[str] = ()


@dataclass(frozen=True)
class UserChoice:
    """Who runs the kernels, and who said so: colab_user, caller, sudo, system_user."""

    name: str
    chosen_by: str
    account: Account | None


# ---- what is requested ------------------------------------------------------------------------


def check_backend(backend: str, backends: Sequence[str]) -> Problem | None:
    if backend in backends:
        return None
    close = difflib.get_close_matches(backend.lower(), backends, n=1)
    return Problem(
        "backend",
        f"colab_backend is {backend!r}",
        "one of " + ", ".join(backends),
        give(f"colab_backend={close[0]}" if close else "colab_backend=auto") + ", or another one of them",
    )


def parse_port(raw: Any) -> tuple[int | None, Problem | None]:
    """Return the port as a number, or what is wrong with it."""
    try:
        return convert("colab_port", Setting("int", 8888), raw), None
    except Refused as error:
        return None, error.problems[0]


def check_port(port: int, state: PortState) -> Problem | None:
    """Whether the port is free, or the runtime's own."""
    if state.ours:
        return None
    other = f"take another port: {give('colab_port=NUMBER')}"
    if state.holder is not None:
        who = state.users[0] if state.users else str(state.holder.uid)
        line = " ".join(state.holder.argv)
        shown = f" ({line[:80]})" if line and line != state.holder.program else ""
        what = f"is taken by process {state.holder.pid}, {state.holder.program}{shown}, of user {who}"
        do = f"end that program, or {other}"
    elif state.listeners:
        who = " and ".join(dict.fromkeys(state.users)) or "somebody else"
        what = f"is taken by a program of user {who}, which only root may look up"
        do = f"see which it is with: sudo ss -ltnp 'sport = :{port}', and end it, or {other}"
    elif state.bind_error is not None:
        what = f"of 127.0.0.1 cannot be had ({state.bind_error}), though nothing in this Linux listens there"
        do = (
            f"in WSL look on Windows with: netstat -ano | findstr :{port}, and end that program; where that shows none, Windows "
            f"has reserved the port (netsh int ip show excludedportrange protocol=tcp), so {other}"
        )
    else:
        return None
    return Problem("port_taken", f"port {port} {what}", "a port on which nothing listens, or our own runtime", do)


def choose_user(requested: str, seen: Seen) -> UserChoice:
    """Who is requested; else who called; else who became root to call; else an account of our own."""
    if requested:
        return UserChoice(requested, "colab_user", seen.accounts.get(requested))
    if seen.uid != 0:
        return UserChoice(seen.caller, "caller", seen.accounts.get(seen.caller))
    behind = seen.accounts.get(seen.sudo_user) if seen.sudo_user else None
    if behind is not None and behind.uid != 0:
        return UserChoice(behind.name, "sudo", behind)
    return UserChoice(SYSTEM_USER, "system_user", seen.accounts.get(SYSTEM_USER))


_ANOTHER_USER = pick("colab_user=NAME", "another account")


def check_user(choice: UserChoice) -> Problem | None:
    said = (
        f"colab_user is {choice.name!r}"
        if choice.chosen_by == "colab_user"
        else f"the kernels would run as {choice.name}"
    )
    expected = "an account that exists, is not root, and has a home directory"
    if choice.account is None:
        if choice.chosen_by == "system_user":
            return None
        return Problem(
            "user",
            f"{said}, and this host has no such account",
            expected,
            f"create it (sudo adduser {choice.name}), or {_ANOTHER_USER}"
            if re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", choice.name)
            else _ANOTHER_USER,
        )
    if choice.account.uid == 0:
        return Problem(
            "user_root",
            f"{said}, and that is root: every notebook could do anything on this host",
            expected,
            _ANOTHER_USER,
        )
    if not choice.account.home_exists:
        return Problem(
            "user_home",
            f"{said}, and its home {choice.account.home or '(none)'} is missing",
            expected,
            f"create it (sudo mkhomedir_helper {choice.name}), or {_ANOTHER_USER}",
        )
    return None


def check_change_of_user(choice: UserChoice, seen: Seen) -> Problem | None:
    before = former_user(choice.name, seen.settings)
    if not before or not seen.kernels:
        return None
    return Problem(
        "user_busy",
        f"notebooks of {before!r} run, and would end if {choice.name!r} (colab_user) runs them from now on",
        "none runs",
        "sudo colab-runtime stop, which names those in use; or ./colab-ready --restart, which ends them",
    )


def former_user(name: str, settings: Mapping[str, Any] | None) -> str | None:
    """Return who runs the kernels of this host until now, where that is another one than `name`."""
    before = (settings or {}).get("user")
    return before if isinstance(before, str) and before not in ("", name) else None


# ---- the place --------------------------------------------------------------------------------


def prefix_shape(prefix: str) -> Problem | None:
    """What can be said of a prefix without looking at the host."""
    expected = "an absolute path of its own, such as /opt/colab-ready, of letters, digits and . _ + - only"
    do = pick("colab_prefix=PATH", "such a path")
    parts = prefix.split("/")
    if not prefix.startswith("/") or prefix != "/" and not all(parts[1:]) or "." in parts or ".." in parts:
        return Problem("prefix", f"colab_prefix is {prefix!r}, not a plain absolute path", expected, do)
    if not re.fullmatch(r"[A-Za-z0-9._+/-]+", prefix):
        # Spaces, % and quotes mean something in a systemd unit and in the first line of a script.
        return Problem("prefix", f"colab_prefix is {prefix!r}, with characters that scripts stumble over", expected, do)
    below_kernel = any(prefix.startswith(folder + "/") for folder in KERNEL_DIRECTORIES)
    if prefix in SYSTEM_DIRECTORIES or below_kernel:
        return Problem("prefix", f"colab_prefix is {prefix}, a directory of the system", expected, do)
    return None


def is_built(place: Place, settings: Mapping[str, Any] | None) -> bool:
    """Whether the big downloads are done: the settings are written after the environments."""
    return "kernels" in (place.entries or ()) and (settings or {}).get("prefix") == place.path


def check_prefix(place: Place, settings: Mapping[str, Any] | None, homes: Iterable[str] = ()) -> Problem | None:
    """What the host says of a prefix of good shape."""
    expected = "a path where nothing is yet, an empty directory, or our own from an earlier run"
    do = pick("colab_prefix=PATH", "such a path")
    if place.distrust:
        return Problem(
            "prefix_trust",
            f"colab_prefix is {place.path}, and {place.distrust}",
            "a path along which root alone can change anything, since root starts programs there",
            f"{give('colab_prefix=PATH')} with such a path, as /opt/colab-ready is; or look what others put there, then give it "
            "to root",
        )
    built_in = (settings or {}).get("prefix")
    if isinstance(built_in, str) and built_in != place.path:
        return Problem(
            "prefix_moved",
            f"colab_prefix is {place.path}, but this host was set up in {built_in}, which would be left behind",
            "the same prefix",
            f"{give(f'colab_prefix={built_in}')}; or first: ./colab-ready remove",
        )
    # Ctrl-C in the first run leaves our names and no settings yet; root made them.
    entries = place.entries or ()
    foreign = sorted(set(entries) - PREFIX_ENTRIES)
    why = ""
    if place.kind == "symlink":
        why = f"a symbolic link to {place.target}"
    elif place.kind == "file":
        why = "which is not a directory"
    elif place.path in homes:
        why = "a home directory"
    elif place.kind == "directory" and place.entries is None:
        why = "which cannot be looked into"
    elif place.kind == "directory" and entries and built_in != place.path and (foreign or place.uid != 0):
        why = f"which holds something else ({', '.join((foreign or sorted(entries))[:3])})"
    if why:
        return Problem("prefix", f"colab_prefix is {place.path}, {why}", expected, do)
    if place.filesystem in FOREIGN_FILESYSTEMS:
        return Problem(
            "prefix_filesystem",
            f"colab_prefix {place.path} would lie on {place.filesystem}, which keeps no Linux owners and permissions",
            "a file system of Linux's own, such as ext4",
            f"{give('colab_prefix=PATH')} with a path outside of /mnt and other Windows drives",
        )
    for option, what in (("ro", "which is mounted read-only"), ("noexec", "from which no program may be started")):
        if option in place.options:
            return Problem(
                "prefix_filesystem",
                f"colab_prefix {place.path} would lie on a file system {what}",
                "one mounted with rw and exec",
                f"{give('colab_prefix=PATH')} with another path, or mount that one differently",
            )
    return None


def human(size: int) -> str:
    """Bytes for a person: 3.2 GiB, 180 MiB."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GiB"
    return f"{size / (1 << 20):.0f} MiB"


def check_space(place: Place, needs_inodes: int) -> Problem | None:
    if place.free_bytes < OWN_BYTES:
        return Problem(
            "disk_space",
            f"only {human(place.free_bytes)} are free for {place.path} (on the file system of {place.existing})",
            f"at least {human(OWN_BYTES)}",
            f"free some space there, or take a path with more: {give('colab_prefix=PATH')}",
        )
    if place.free_inodes is not None and place.free_inodes < needs_inodes:
        return Problem(
            "disk_inodes",
            f"only {place.free_inodes} more files fit on the file system of {place.existing} (df -i)",
            f"at least {needs_inodes}",
            f"remove files there, or take a path on another file system: {give('colab_prefix=PATH')}",
        )
    return None


# ---- the system -------------------------------------------------------------------------------


def check_os(facts: Mapping[str, Any]) -> Problem | None:
    family = {facts.get("id"), *facts.get("id_like", ())}
    if family & {"debian", "ubuntu"} and facts.get("apt"):
        return None
    name = facts.get("name") or facts.get("id") or "a system that does not say its name"
    lacks = " without apt-get" if family & {"debian", "ubuntu"} else ""
    return Problem(
        "os",
        f"this is {name}{lacks}",
        f"{TESTED_SYSTEMS}, or a relative of theirs with apt",
        "use such a system; in WSL: wsl --install -d Ubuntu",
    )


def check_architecture(architecture: str) -> Problem | None:
    if architecture in ARCHITECTURES:
        return None
    return Problem(
        "architecture",
        f"this processor is {architecture}",
        " or ".join(ARCHITECTURES) + ", for which PyTorch is built",
        "use a computer, and a Linux, with 64 bits",
    )


def check_python(rejected: Sequence[str], requires: str) -> Problem:
    """Where no Python of the system fits."""
    return Problem(
        "python",
        f"no Python of this system fits: {', '.join(rejected) or 'there is none in /usr/bin'}",
        f"a Python {requires} in /usr/bin",
        f"install one with apt if this release has it (python3.12 or the like), or use {TESTED_SYSTEMS}",
    )


# ---- together ---------------------------------------------------------------------------------


def judge(requested: Requested, seen: Seen) -> tuple[dict[str, Any], list[Problem]]:
    """The host's facts for the roles, and everything that is in the way."""
    choice = choose_user(requested.user, seen)
    port, port_problem = parse_port(requested.port)
    python = seen.python
    problems = [
        check_backend(requested.backend, requested.backends),
        port_problem if port is None else check_port(port, seen.port),
        check_user(choice),
        check_change_of_user(choice, seen),
        check_os(seen.os),
        check_architecture(seen.architecture),
        None if python else check_python(seen.rejected, requested.python_requires),
        Problem("clock", seen.clock, TRUE_TIME, SET_CLOCK) if seen.clock else None,
        prefix_shape(requested.prefix),
    ]
    inodes = BUILD_INODES
    if seen.place is not None:
        homes = {account.home for account in seen.accounts.values() if account is not None}
        problems.append(check_prefix(seen.place, seen.settings, homes))
        if is_built(seen.place, seen.settings):
            inodes = BUILT_INODES
        problems.append(check_space(seen.place, inodes))

    home = choice.account.home if choice.account else SYSTEM_USER_HOME if choice.chosen_by == "system_user" else None
    facts = {
        "caller": seen.caller,
        "uid": seen.uid,
        "sudo_user": seen.sudo_user,
        "root_caller": seen.uid == 0,
        "user": choice.name,
        "user_chosen_by": choice.chosen_by,
        "user_exists": choice.account is not None,
        "user_comment": RUNTIME_COMMENT,
        "home_open": choice.account is None or choice.account.home_open,
        "user_home": home,
        "port": port,
        "prefix": requested.prefix,
        "backend": requested.backend,
        "disk": {
            "path": seen.place.existing if seen.place else None,
            "free_bytes": seen.place.free_bytes if seen.place else None,
        },
        "service_manager": seen.service_manager,
        "systemd": seen.systemd,
        "os": {key: seen.os.get(key) for key in ("id", "version_id", "codename", "name")},
        "architecture": seen.architecture,
        "python": {"path": python.path, "version": python.version} if python else None,
        "uv": seen.uv,
        "hostname": seen.hostname,
        "runtime": {key: (seen.settings or {}).get(key) for key in ("user", "service_manager", "prefix", "port")},
    }
    return facts, [problem for problem in problems if problem is not None]

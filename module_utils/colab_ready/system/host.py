# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about itself: accounts, system, init, Python, file systems, WSL.

Nothing here judges (host_check does) and nothing changes anything. Every place that is read is an
argument, so that a test can build a small host in a folder.
"""

from __future__ import annotations

import errno
import glob
import os
import pwd
import re
import shutil
import socket
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ..core.accounts import is_runtime_account
from ..files import safe_open, trust
from ..files.mounts import mount_of
from ..process import identity
from ..process import run as processes

# A program that only says its version: 20 times what the slowest machine seen needed.
PROGRAM_SECONDS = 10.0
# dpkg's list of all packages is the longest.
ANSWER_BYTES = 4 << 20

# What is asked of a candidate Python. find_spec: Debian takes ensurepip out of python3 and ships it with python3-venv.
_ASK_PYTHON = """
import importlib.util, json, sys
version = "%d.%d.%d" % sys.version_info[:3]
print(json.dumps({"version": version, "ensurepip": bool(importlib.util.find_spec("ensurepip"))}))
"""


def read_text(path: str) -> str | None:
    """Return the text of a file of the system's, which may be a link; None where there is none to read."""
    return safe_open.read_text(path, follow=True)


def run(argv: Sequence[str], seconds: float = PROGRAM_SECONDS, account: identity.Account | None = None) -> str | None:
    """The output of a program that ended well in time, or None."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    done = processes.run(argv, seconds, account=account, env=env, most=ANSWER_BYTES)
    return done.stdout if done.ok and not done.cut_off else None


# ---- accounts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """The part of a passwd entry that matters here."""

    name: str
    uid: int
    home: str
    home_exists: bool = True
    # Made for the runtime, and its home where such an account has it is open to others.
    home_open: bool = False


def account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None
    ours = is_runtime_account(entry.pw_gecos) and entry.pw_dir == f"/home/{name}"
    return Account(
        entry.pw_name, entry.pw_uid, entry.pw_dir, os.path.isdir(entry.pw_dir), ours and is_open(entry.pw_dir)
    )


def is_open(folder: str) -> bool:
    """Whether a folder lets others than its owner in."""
    try:
        return bool(os.lstat(folder).st_mode & 0o077)
    except OSError:
        return False


# ---- system -----------------------------------------------------------------------------------


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): shell-like assignments, values plain or quoted."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*([A-Z0-9_]+)=(.*)$", line)
        if match:
            value = match.group(2).strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = re.sub(r"\\([\\\"$`])", r"\1", value[1:-1])
            found[match.group(1)] = value
    return found


def os_facts(etc: str = "/etc", usr: str = "/usr") -> dict[str, Any]:
    """Which distribution this is, and whether it has apt."""
    release = parse_os_release(read_text(f"{etc}/os-release") or read_text(f"{usr}/lib/os-release") or "")
    return {
        "id": release.get("ID"),
        "id_like": release.get("ID_LIKE", "").split(),
        "version_id": release.get("VERSION_ID"),
        "codename": release.get("VERSION_CODENAME"),
        "name": release.get("PRETTY_NAME"),
        "apt": os.access(f"{usr}/bin/apt-get", os.X_OK),
    }


def service_manager(proc: str = "/proc", run_dir: str = "/run") -> str:
    """systemd only where it is PID 1: in a container, or on a WSL without it, it may just be installed."""
    booted = os.path.isdir(f"{run_dir}/systemd/system")
    return "systemd" if booted and (read_text(f"{proc}/1/comm") or "").strip() == "systemd" else "none"


def systemd_version() -> str | None:
    """The installed systemd's version, running or not."""
    first = (run(["systemctl", "--version"]) or "").split("\n", 1)[0]
    match = re.match(r"systemd (\S+)", first)
    return match.group(1) if match else None


def find_uv(path: str | None = None, home: str | None = None) -> str | None:
    """The uv that the caller would get. A pyenv shim is none: it fails where that Python has no uv."""
    search = os.environ.get("PATH", os.defpath) if path is None else path
    folders = [folder for folder in search.split(os.pathsep) if "/shims" not in folder]
    home = os.path.expanduser("~") if home is None else home
    return shutil.which("uv", path=os.pathsep.join([*folders, f"{home}/.local/bin", "/usr/local/bin"]))


# ---- Python -----------------------------------------------------------------------------------


def python_candidates(folder: str = "/usr/bin") -> list[str]:
    """The system's Pythons: python3 first, then by number, newest first. Never PATH: it leads into pyenv shims."""
    numbered = [
        path
        for path in glob.glob(f"{glob.escape(folder)}/python3.*")
        if re.fullmatch(r"python3\.[0-9]+", path[len(folder) + 1 :])
    ]
    numbered.sort(key=lambda path: int(path.rsplit(".", 1)[1]), reverse=True)
    found = []
    real = set()
    for path in [f"{folder}/python3", *numbered]:
        if os.access(path, os.X_OK) and os.path.realpath(path) not in real:
            real.add(os.path.realpath(path))
            found.append(path)
    return found


def ask_python(path: str) -> dict[str, Any] | None:
    """Its version, and whether it can make a venv with pip in it (ensurepip).

    One that somebody else than root can change does not get root's rights, but those of who called.
    """
    foreign = os.geteuid() == 0 and trust.distrust_way(path, (0,)) is not None
    account = identity.who_called(os.environ) if foreign else None
    answer = safe_open.parse_object(run([path, "-I", "-S", "-c", _ASK_PYTHON], account=account)) or {}
    version = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){2}", str(answer.get("version")))
    return {"path": path, "version": version[0], "ensurepip": bool(answer.get("ensurepip"))} if version else None


# ---- file systems -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """What is at a path that may not exist yet, and the file system that it is or would be on."""

    path: str
    kind: str = "missing"
    target: str = ""
    uid: int = 0
    entries: tuple[str, ...] | None = ()
    existing: str = "/"
    free_bytes: int = 0
    free_inodes: int | None = None
    filesystem: str | None = None
    options: tuple[str, ...] = ()
    # How others than root could change what root starts there.
    distrust: str | None = None


def look_at(path: str, proc: str = "/proc") -> Place:
    """What is at an absolute path."""
    existing = path
    while not os.path.isdir(existing) and existing != "/":
        existing = os.path.dirname(existing) or "/"
    kind, target, uid = "missing", "", 0
    entries: tuple[str, ...] | None = ()
    try:
        info = os.lstat(path)
    except OSError:
        pass
    else:
        uid = info.st_uid
        if os.path.islink(path):
            kind, target = "symlink", os.readlink(path)
        elif os.path.isdir(path):
            kind = "directory"
            try:
                entries = tuple(sorted(os.listdir(path)))
            except OSError:
                entries = None
        else:
            kind = "file"
    space = os.statvfs(existing)
    filesystem, options = mount_of(os.path.realpath(existing), read_text(f"{proc}/self/mountinfo") or "")
    return Place(
        path=path,
        kind=kind,
        target=target,
        uid=uid,
        entries=entries,
        existing=existing,
        free_bytes=space.f_bavail * space.f_frsize,
        # Some file systems (btrfs, overlay on it) do not count inodes and say 0.
        free_inodes=space.f_favail if space.f_files else None,
        filesystem=filesystem,
        options=options,
        distrust=_distrust_prefix(path) if kind == "directory" else trust.distrust_way(path, {0}),
    )


def _distrust_prefix(path: str) -> str | None:
    """Say how others than root could change the folders of a prefix in which root starts programs."""
    for name in ("tools", "server", "pythons"):
        reason = trust.distrust_way(f"{path}/{name}", {0})
        if reason:
            return reason
    return trust.distrust_tree(f"{path}/tools", {0}) or trust.distrust_tree(f"{path}/server/bin", {0})


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


# ---- WSL --------------------------------------------------------------------------------------


def wsl_version(version_text: str, osrelease: str, has_run_wsl: bool, environ: Mapping[str, str]) -> int | None:
    """1, 2, or None outside of WSL.

    WSL 1 answers with kernel 4.4 and "-Microsoft"; Microsoft's WSL 2 kernels say "microsoft" and mostly
    "-WSL2". A kernel of the user's own says neither; there WSL's init betrays itself by /run/WSL and WSL_INTEROP.
    """
    said = f"{version_text} {osrelease}".lower()
    if "microsoft" in said:
        return 1 if re.match(r"[34]\.4\.", osrelease) and "wsl2" not in said else 2
    if has_run_wsl or environ.get("WSL_INTEROP"):
        return 2
    return None


def wsl_facts(
    proc: str = "/proc", dev: str = "/dev", run_dir: str = "/run", environ: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """version, kernel, systemd, dxg; None outside of WSL."""
    osrelease = (read_text(f"{proc}/sys/kernel/osrelease") or "").strip()
    version = wsl_version(
        read_text(f"{proc}/version") or "",
        osrelease,
        os.path.isdir(f"{run_dir}/WSL"),
        os.environ if environ is None else environ,
    )
    if version is None:
        return None
    return {
        "version": version,
        "kernel": osrelease or None,
        "systemd": service_manager(proc, run_dir) == "systemd",
        "dxg": os.path.exists(f"{dev}/dxg"),
    }

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Jupyter a host has, where it reads its configuration, and who could write there: rules, without touching a host.

Whoever writes to a configuration directory of Jupyter runs code as everybody who starts a Jupyter that reads it, and as
root if root does; a sticky bit changes nothing about it, since a new file is enough.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ..core.remedy import reset
from ..files.guarded_paths import WRITABLE_BY_OTHERS, Attributes, Entry

# jupyter_core/paths.py: SYSTEM_CONFIG_PATH, not below sys.prefix.
SYSTEM_CONFIG_DIRS = ("/usr/local/etc/jupyter", "/etc/jupyter")
# The same file: SYSTEM_JUPYTER_PATH. Kernels and extensions of the page lie there.
SYSTEM_DATA_DIRS = ("/usr/local/share/jupyter", "/usr/share/jupyter")
# What jupyter_server and notebook read below a configuration directory, besides the files in it.
_READ_BELOW = ("nbconfig", "serverconfig", "labconfig")

# Distribution names as in the names of their metadata directories, compared in this form.
JUPYTER = ("jupyter_server", "notebook")
NEEDED = ("jupyter_server", "jupyter_http_over_ws", "six")
_METADATA = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*?)-(\d[^-]*)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")
_INTERPRETER = re.compile(r"python(3\.\d+)")


class User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class Installation(NamedTuple):
    """The distributions that concern us in one Python: the system's (user None), or one user's own."""

    python: str
    user: str | None
    versions: dict[str, str]


class Weakness(NamedTuple):
    """Why somebody else could write here, and what it should be instead (None: that is not ours to say)."""

    why: str
    wanted: Attributes | None


# ---- where Jupyter looks ----------------------------------------------------------------------


def config_path(prefix: str, home: str, system_dirs: Sequence[str] = SYSTEM_CONFIG_DIRS) -> list[str]:
    """`jupyter --paths`, config, in its order, for a Python with this sys.prefix and its user site switched on.

    As jupyter_core's jupyter_config_path() has it, but for the environment of the caller (JUPYTER_CONFIG_DIR,
    JUPYTER_CONFIG_PATH and the like), which is nobody's but the caller's.
    """
    user = [os.path.join(home, ".jupyter"), os.path.join(home, ".local", "etc", "jupyter")]
    environment = [path for path in [os.path.join(prefix, "etc", "jupyter")] if path not in system_dirs]
    return [*user, *environment, *system_dirs]


def user_data_dirs(home: str) -> list[str]:
    """`jupyter --paths`, data, of one user; and ~/.ipython, whose kernels jupyter_client adds (kernelspec.py)."""
    return [os.path.join(home, ".local", "share", "jupyter"), os.path.join(home, ".ipython")]


def is_read(name: str) -> bool:
    """Whether Jupyter reads what lies in a subdirectory of this name."""
    return name.endswith(".d") or name in _READ_BELOW


# ---- which Jupyter there is -------------------------------------------------------------------


def python_version(path: str) -> str | None:
    """The version that the name of an interpreter says ("3.11"), without running it."""
    match = _INTERPRETER.fullmatch(os.path.basename(path))
    return match[1] if match else None


def system_sites(prefix: str, version: str) -> list[str]:
    """Where Debian's Python finds packages of apt and of root's pip (its `posix_local` scheme)."""
    local = os.path.join(prefix, "local", "lib", "python" + version, "dist-packages")
    return [local, os.path.join(prefix, "lib", "python3", "dist-packages")]


def user_site(home: str, version: str) -> str:
    return os.path.join(home, ".local", "lib", "python" + version, "site-packages")


def distributions(names: Iterable[str]) -> dict[str, str]:
    """Distribution and version, from the names of what lies in a directory of packages."""
    matches = (_METADATA.fullmatch(name) for name in names)
    return {re.sub(r"[-_.]+", "_", match[1]).lower(): match[2] for match in matches if match}


def installation(python: str, user: str | None, found: Mapping[str, str]) -> Installation | None:
    """What of these distributions concerns us, if anything."""
    versions = {name: found[name] for name in sorted({*JUPYTER, *NEEDED, "tornado"} & set(found))}
    return Installation(python, user, versions) if {*JUPYTER, NEEDED[1]} & set(versions) else None


def missing_for_extension(python: str, installations: Iterable[Installation]) -> dict[str | None, list[str]]:
    """Per user of this Python (None: whoever sees the system's packages alone) what the extension still lacks.

    Only for those who have a Jupyter there; a user sees the system's packages too.
    """
    mine = [one for one in installations if one.python == python]
    system = next((set(one.versions) for one in mine if one.user is None), set())
    seen = {one.user: set(one.versions) | system for one in mine}
    return {
        user: [name for name in NEEDED if name not in visible]
        for user, visible in seen.items()
        if set(JUPYTER) & visible
    }


# ---- who could write there --------------------------------------------------------------------


def weakness(
    entry: Entry,
    owner: tuple[int, int],
    in_home: bool,
    others_in_group: Callable[[int], list[str]],
    user_name: Callable[[int], str],
) -> Weakness | None:
    """Why others than root and the rightful owner could change this, in that owner's home or in the system.

    `others_in_group` names the members of a group but for root and that owner.
    """
    whys = []
    mode = entry.mode
    if entry.kind not in ("link", "special"):
        if mode & stat.S_IWOTH:
            # Who opened it to everybody did not think of its group, whoever may be in that tomorrow.
            whys.append("everybody may write to it")
            mode &= ~WRITABLE_BY_OTHERS
        elif mode & stat.S_IWGRP:
            others = others_in_group(entry.gid)
            if entry.has_acl:
                whys.append("an access control list lets others write to it")
                mode &= ~stat.S_IWGRP
            elif others:
                whys.append("its group may write to it, with %s in it" % ", ".join(others[:5]))
                mode &= ~stat.S_IWGRP
    uid, gid = entry.uid, entry.gid
    foreign = uid not in (0, owner[0])
    if foreign:
        whys.append("it belongs to %s" % user_name(uid))
    if not whys:
        return None
    wanted: Attributes | None = Attributes(uid, gid, mode)
    if foreign:
        # A system directory has one owner. A file that somebody put there, and anything in a user's home, wants a
        # human look first.
        wanted = Attributes(*owner, mode=mode) if not in_home and entry.kind == "directory" else None
    elif entry.kind == "file" and entry.links > 1:
        # The other name may be a file that has nothing to do with Jupyter.
        wanted = None
    elif wanted == entry.attributes:
        wanted = None
    return Weakness(" and ".join(whys), wanted)


def advice(path: str, entry: Entry, rightful: str) -> str:
    """What a human should do about what is not repaired."""
    if entry.kind == "link":
        return "look at where the link leads (ls -l %s); remove it if it is not yours" % path
    if rightful != "root" and entry.kind == "directory":
        return (
            "remove what lies there and is not yours, for Jupyter runs it (ls -lA %s), then: sudo chown %s: %s && sudo chmod "
            "go-w %s" % (path, rightful, path, path)
        )
    return (
        "look at what it holds: Jupyter runs it as whoever starts Jupyter. "
        "Then remove it, or keep it: sudo chown %s: %s && sudo chmod go-w %s" % (rightful, path, path)
    )


def drive_advice(user: str) -> str:
    """What helps where chmod does not: https://learn.microsoft.com/windows/wsl/wsl-config#automount-settings."""
    return (
        'in WSL put the line options = "metadata,umask=022" below [automount] in /etc/wsl.conf, then in PowerShell: wsl '
        "--shutdown; or give %s a home in Linux (sudo usermod -d /home/%s -m %s); elsewhere mount the drive with umask=022"
        % (user, user, user)
    )


def danger_of(path: str, mode: int) -> str:
    """What a mode that was asked for lets others do, or an empty text."""
    if not mode & stat.S_IWOTH:
        return ""
    # Both were tried: a planted jupyter_server_config.py ran as whoever started Jupyter, with mode 1777 too, and a
    # jupyter_server_config.json opened the server without a token.
    return (
        "%s gets the mode %04o as asked for: every local user can then put a jupyter_server_config.py there, which runs as "
        "whoever starts a Jupyter of the system's Python, root included. Expected 0755. Do: %s."
        % (path, mode, reset("jupyter_config_dir_mode"))
    )


# ---- what is wanted ---------------------------------------------------------------------------


class Wanted(NamedTuple):
    """What the system's configuration directory should be, and for which Pythons the extension is installed."""

    directory: bool
    entry: bool
    pythons: list[str]
    reasons: list[str]


def decide(create: str, extension: str | None, installations: list[Installation]) -> Wanted:
    """From what was found. The directory is made for a Jupyter that is there, the entry where the extension can load."""
    missing = {python: missing_for_extension(python, installations) for python in {one.python for one in installations}}
    jupyters = sorted(python for python, users in missing.items() if users)
    directory = create == "always" or (create == "auto" and bool(jupyters))
    reasons = []
    pythons = []
    if not jupyters:
        reasons.append("no Jupyter is installed for the system's Python")
    for python in jupyters if extension else []:
        users = missing[python]
        if any(not lacks for lacks in users.values()):
            pythons.append(python)
            continue
        for user, lacks in sorted(users.items(), key=lambda item: item[0] or ""):
            who = "user %s" % user if user else "the system"
            packages = " ".join(lacks)
            how = "as that user: %s -m pip install --user" % python if user else "sudo %s -m pip install" % python
            reasons.append(
                "the Jupyter of %s (%s) lacks %s, so %s is not enabled for it; %s --break-system-packages --no-deps %s"
                % (who, python, packages, extension, how, packages)
            )
    if create == "never":
        pythons = []
        reasons.append("create is never")
    return Wanted(directory, bool(pythons), pythons, reasons)

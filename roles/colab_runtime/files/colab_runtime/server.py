# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server itself: what must hold before it starts, its environment, and what it was started with."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

from colab_ready.files.safe_open import open_file, read_object
from colab_ready.system.ports import SOCKET

from .core import EXIT_LATER, EXIT_SETTINGS, SAFE_PATH, Problem, is_number, say, user_name
from .ports import accepts, handed_sockets, listen, port_taken, stranger
from .settings import Settings, account_environment
from .token import forget_cookies_of_another_token, good_token, read_token
from .trust import SYSTEM_DATA, closed_data, driver_environment, environment_files, require_config, require_own_places

WSL_PROGRAMS = "/usr/lib/wsl/lib"  # nvidia-smi lies there; a login shell of WSL has it in PATH, a service has not


def server_environment(outside: dict[str, str], settings: Settings, account: pwd.struct_passwd) -> dict[str, str]:
    """The environment in which Jupyter sees exactly our configuration, whatever lies in the user's home or shell.

    JUPYTER_CONFIG_DIR takes the place of ~/.jupyter, which would win over a root-owned environment: an old file there
    cannot switch the token off. The token travels as the name of a file.
    """
    kept = {
        key: value
        for key, value in outside.items()
        # XDG_* of a login shell would move the user's Jupyter data, which a service would then not find.
        if not key.startswith(("JUPYTER", "PYTHON", "CONDA", "XDG_", "LISTEN_"))
        and key not in ("VIRTUAL_ENV", "WSL_INTEROP")
    }
    path = kept.get("PATH", SAFE_PATH)
    if os.path.isdir(WSL_PROGRAMS) and WSL_PROGRAMS not in path.split(":"):
        path += f":{WSL_PROGRAMS}"
    if not any(key in kept for key in ("LANG", "LC_ALL", "LC_CTYPE")):
        kept["LANG"] = "C.UTF-8"  # names of files in Korean, in a service without a language
    lab = os.path.join(account.pw_dir, ".local/share/jupyter/lab")
    return {
        **kept,
        **account_environment(account),
        "PATH": path,
        "JUPYTER_CONFIG_DIR": settings.config_dir,
        "JUPYTER_PATH": os.path.join(settings.prefix, "share/jupyter"),
        "JUPYTER_RUNTIME_DIR": settings.jupyter_dir,
        "JUPYTER_TOKEN_FILE": settings.token_file,
        "JUPYTER_PREFER_ENV_PATH": "1",
        # JupyterLab would keep these two below the config folder, which is root's.
        "JUPYTERLAB_SETTINGS_DIR": os.path.join(lab, "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": os.path.join(lab, "workspaces"),
    }


# Jupyter without the configuration of the machine: a jupyter_config or jupyter_lab_config file left in /etc/jupyter or
# /usr/local/etc/jupyter by another installation can set an empty token, and then it does (tried with 2.21.1). And
# without those folders of kernels and pages that others can change: a kernel that another user had put into a
# /usr/local/share/jupyter/kernels with mode 0777 was offered, and ran as the runtime's user (tried with 2.21.1). And with a limit
# of each account's connections, since four thousand idle ones of another user shut the owner out and filled the log. The
# kernelspec of the server's own ipykernel is none for notebooks: where ours is gone, a cell would run there, without torch.
LAUNCHER = """\
import sys
import jupyter_core.paths as paths
paths.SYSTEM_CONFIG_PATH.clear()
closed, every = [*{closed!r}, sys.prefix + "/share/jupyter/kernels"], paths.jupyter_path
def jupyter_path(*below):
    return [path for path in every(*below) if not any((path + "/").startswith(folder + "/") for folder in closed)]
paths.jupyter_path = jupyter_path
from colab_http_over_ws import fair_share, service_manager
fair_share.install()
service_manager.install({sockets!r})
from jupyter_server.serverapp import main
main()
"""


def server_command(settings: Settings, closed: Sequence[str] = (), sockets: Sequence[int] = ()) -> list[str]:
    """`-I`, because otherwise a student's random.py in the start folder, or a package of `pip install --user`, would
    take the place of the server's own; kernels do not inherit it."""
    return [
        os.path.join(settings.prefix, "server/bin/python"),
        "-I",
        "-c",
        LAUNCHER.format(closed=list(closed), sockets=list(sockets)),
    ]


def require_servable(settings: Settings) -> None:
    """Everything that must hold before the server starts, asked as the user who will run it; one Problem at a time."""
    account = settings.account
    if os.geteuid() == 0:
        raise Problem(
            f"The server must not run as root: a notebook could then do anything. Run it as '{settings.user}', or use "
            "`colab-runtime start`, which changes to that user by itself.",
            EXIT_SETTINGS,
        )
    if os.geteuid() != account.pw_uid:
        raise Problem(
            f"The server runs as '{settings.user}', and you are {user_name(os.geteuid())}. "
            "Do: sudo colab-runtime start",
            EXIT_SETTINGS,
        )
    read_token(settings.token_file, account.pw_uid)
    require_config(settings.config_dir, account.pw_uid)
    require_own_places(settings.prefix, account.pw_uid)
    with contextlib.suppress(OSError):  # closed to the user, but not to systemd
        environment_files(settings.environment_dir, account.pw_uid)
    python = server_command(settings)[0]
    if not os.access(python, os.X_OK):
        raise Problem(f"The server's Python {python} is missing. Do: ./colab-ready, which builds it.", EXIT_LATER)
    if not os.path.isdir(settings.root_dir):
        raise Problem(
            f"The start folder {settings.root_dir}, the home of '{settings.user}', does not exist (or its disk is not mounted). "
            "Do: create it, or mount its disk.",
            EXIT_LATER,
        )


def require_sockets(settings: Settings, given: Sequence[int]) -> list[int]:
    """What holds the port: what we were given, or what we take ourselves. Under systemd that is the socket unit's: what we took
    would be free between two servers."""
    sockets = list(given) or handed_sockets()
    if not sockets and settings.systemd:
        why = port_taken(settings) if stranger(settings) else f"{SOCKET} does not hold port {settings.port}"
        raise Problem(f"{why}. See: systemctl status {SOCKET}", EXIT_LATER)
    sockets = sockets or [one.detach() for one in listen(settings)]
    for one in sockets:
        os.set_inheritable(one, True)
    return sockets


def serve(settings: Settings, given: Sequence[int]) -> NoReturn:
    require_servable(settings)
    sockets = require_sockets(settings, given)
    account = settings.account
    try:
        os.makedirs(settings.jupyter_dir, mode=0o700, exist_ok=True)
        os.chdir(settings.root_dir)
    except OSError as error:
        raise Problem(f"{error.filename} cannot be used by '{settings.user}': {error.strerror}.", EXIT_LATER) from None
    # with systemd the unit's EnvironmentFile= has brought it
    driver = {} if settings.systemd else driver_environment(settings.environment_dir, account.pw_uid)
    environment = server_environment({**os.environ, **driver}, settings, account)
    own = os.path.join(account.pw_dir, ".local/share/jupyter")
    closed = closed_data((*SYSTEM_DATA, own), account.pw_uid)
    for folder, why in closed.items():
        say(f"Not read, kernels and extensions of {folder}: {why}. See ./colab-ready verify")
    command = server_command(settings, list(closed), sockets)
    forget_cookies_of_another_token(settings)
    note_stamp(settings)
    os.execve(command[0], command, environment)


def stamp_of(settings: Settings) -> str:
    """What a server is started with, as a digest. Of runtime.json only what the server sees of it: not the kernel, whose
    kernelspec Jupyter reads whenever a kernel starts. A folder that is closed to the user counts as empty for root too,
    or root would see another digest than the server has noted."""
    files = []
    with contextlib.suppress(OSError):
        # uv_env writes its note anew whenever it has changed a package.
        packages = os.stat(os.path.join(settings.prefix, "server/colab-ready.json"))
        files.append(["packages", packages.st_ino, packages.st_size, packages.st_mtime_ns])
    with contextlib.suppress(OSError, Problem):
        if os.stat(settings.environment_dir).st_mode & 0o005 == 0o005:
            for path in environment_files(settings.environment_dir, settings.account.pw_uid):
                info = os.stat(path)
                files.append([path, info.st_ino, info.st_size, info.st_mtime_ns])
    return hashlib.sha256(json.dumps([asdict(settings), files], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Served:
    """What a server has noted of its own start. Its kernels have its groups, whatever the account joins later."""

    digest: str
    port: int
    gid: int
    groups: tuple[int, ...]


def note_stamp(settings: Settings) -> None:
    """Without the note the server is restarted once more than it need be."""
    note = Served(stamp_of(settings), settings.port, os.getgid(), tuple(os.getgroups()))
    with contextlib.suppress(OSError):
        fd = open_file(settings.stamp_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            json.dump(asdict(note), file)


def read_stamp(settings: Settings) -> Served | None:
    """The note of the server that runs, or None: there is none, or one of an older program, which knew no groups. The
    note is the user's, so root takes it for a text and no more."""
    try:
        data = read_object(settings.stamp_file) or {}
        note = Served(data["digest"], data["port"], data["gid"], tuple(data["groups"]))
    except (KeyError, TypeError):
        return None
    numbers = [note.port, note.gid, *note.groups]
    return note if isinstance(note.digest, str) and all(map(is_number, numbers)) else None


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


def stale(settings: Settings, note: Served) -> str | None:
    """Why a new server would be another one than that which runs, or None."""
    if note.digest != stamp_of(settings):
        return (
            "the settings, the server's packages or the driver's environment have changed since the server was started"
        )
    groups = lacks_groups(settings, note.gid, note.groups)
    if groups:
        return f"the server and its notebooks lack what '{settings.user}' is in by now: {', '.join(groups)} (groups)"
    return None


def runs_as_it_would_start(settings: Settings) -> bool:
    """Whether our own server answers, has the file's token and was started with what a new one would be started with."""
    note = read_stamp(settings)
    return note is not None and not stale(settings, note) and accepts(settings, good_token(settings))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server itself: what must hold before it starts, and its environment."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Sequence
from typing import NoReturn

from colab_ready.system.ports import SOCKET

from .core import EXIT_LATER, EXIT_SETTINGS, SAFE_PATH, Problem, say, user_name
from .ports import handed_sockets, listen, port_taken, stranger
from .served import note_start
from .settings import Settings, account_environment
from .token import forget_cookies_of_another_token, read_token
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
        raise Problem(f"{why}. Do: sudo colab-runtime start", EXIT_LATER)
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
        raise Problem(
            f"{error.filename} cannot be used by '{settings.user}': {error.strerror}. Expected: a folder of that user's. Do: "
            f"ls -ld {error.filename}; sudo chown {settings.user}: {error.filename}; sudo chmod u+rwx {error.filename}; then "
            "colab-runtime start",
            EXIT_LATER,
        ) from None
    # with systemd the unit's EnvironmentFile= has brought it
    driver = {} if settings.systemd else driver_environment(settings.environment_dir, account.pw_uid)
    environment = server_environment({**os.environ, **driver}, settings, account)
    own = os.path.join(account.pw_dir, ".local/share/jupyter")
    closed = closed_data((*SYSTEM_DATA, own), account.pw_uid)
    for folder, why in closed.items():
        say(f"Not read, kernels and extensions of {folder}: {why}. See ./colab-ready verify")
    command = server_command(settings, list(closed), sockets)
    forget_cookies_of_another_token(settings)
    note_start(settings, sockets[0])
    os.execve(command[0], command, environment)

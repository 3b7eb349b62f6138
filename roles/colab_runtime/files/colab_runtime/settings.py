# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""runtime.json, and whose rights act on it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from typing import NoReturn

from colab_ready.files.safe_open import read_bytes
from colab_ready.files.trust import distrust_way

from .core import EXIT_SETTINGS, NOTE_BYTES_MAX, PROGRAM, SAFE_PATH, SETTINGS, Problem, parse_json, user_name

MANAGERS = ("systemd", "colab-runtime")


@dataclass(frozen=True)
class Settings:
    path: str
    user: str
    prefix: str
    port: int
    service_manager: str
    root_dir: str
    token_file: str
    config_dir: str
    run_dir: str = "/run/colab-ready"
    log_dir: str = "/var/log/colab-ready"
    environment_dir: str = "/etc/colab-ready/environment.d"
    http_over_ws: bool = True
    kernel: str = ""
    # Of a server that still listens where an earlier run has put it.
    moved: bool = False

    @property
    def jupyter_dir(self) -> str:
        """Jupyter's own runtime folder: connection files, cookie secret, and who came by (browser_seen.json)."""
        return os.path.join(self.run_dir, "jupyter")

    @property
    def stamp_file(self) -> str:
        """What the running server was started with."""
        return os.path.join(self.run_dir, "served")

    @property
    def log_file(self) -> str:
        return os.path.join(self.log_dir, "server.log")

    @property
    def account(self) -> pwd.struct_passwd:
        try:
            account = pwd.getpwnam(self.user)
        except KeyError:
            raise Problem(
                f"{self.path} names the user '{self.user}', and this machine has no such user. Expected: an account that exists. "
                "Do: ./colab-ready -e colab_user=NAME with one, or ./colab-ready settings --reset colab_user, then ./colab-ready",
                EXIT_SETTINGS,
            ) from None
        if account.pw_uid == 0:
            raise Problem(
                f"{self.path} names '{self.user}', which is root; notebooks must not run as root. Expected: another account. "
                "Do: ./colab-ready -e colab_user=NAME with one, or ./colab-ready settings --reset colab_user, then ./colab-ready",
                EXIT_SETTINGS,
            )
        return account

    @property
    def systemd(self) -> bool:
        return self.service_manager == "systemd"


def parse_settings(text: str, path: str) -> Settings:
    """Check the content of runtime.json; everything that is wrong goes into one message."""
    try:
        data = parse_json(text)
    except ValueError as error:
        raise Problem(f"{path} is not JSON ({error}). Run ./colab-ready again: it writes it.", EXIT_SETTINGS) from None
    if not isinstance(data, dict):
        raise Problem(f"{path} must hold one JSON object. Run ./colab-ready again: it writes it.", EXIT_SETTINGS)
    wrong: list[str] = []
    if data.get("schema") != 1:
        wrong.append(f"schema is {data.get('schema')!r}, this program reads 1")
    if not isinstance(data.get("user"), str) or not data.get("user"):
        wrong.append("user must be a name")
    port = data.get("port")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        wrong.append(f"port is {port!r}, expected 1 to 65535")
    if data.get("service_manager") not in MANAGERS:
        wrong.append(f"service_manager is {data.get('service_manager')!r}, expected one of {', '.join(MANAGERS)}")
    folders = ["prefix", "root_dir", "token_file", "config_dir"]
    folders += [key for key in ("run_dir", "log_dir", "environment_dir") if key in data]
    for key in folders:
        if not isinstance(data.get(key), str) or not os.path.isabs(data[key]):
            wrong.append(f"{key} must be an absolute path")
    if not isinstance(data.get("http_over_ws", True), bool):
        wrong.append("http_over_ws must be true or false")
    if not isinstance(data.get("kernel", ""), str):
        wrong.append("kernel must be a name")
    if wrong:
        raise Problem(f"{path}: {'; '.join(wrong)}. Run ./colab-ready again: it writes it.", EXIT_SETTINGS)
    known = ["user", "port", "service_manager", "http_over_ws", "kernel", *folders]
    return Settings(path=path, **{key: data[key] for key in known if key in data})


def load_settings(path: str) -> Settings:
    """The settings; root acts on them, so only root may have written them, or who asks."""
    try:
        text = read_bytes(path, NOTE_BYTES_MAX, follow=True).decode("utf-8", "replace")
    except FileNotFoundError:
        raise Problem(
            f"{path} does not exist, so there is no Colab runtime on this machine. Run ./colab-ready first.",
            EXIT_SETTINGS,
        ) from None
    except OSError as error:
        raise Problem(
            f"{path} cannot be read: {error.strerror}. Expected: a file that ./colab-ready wrote. "
            f"Do: sudo mv -T {path} {path}.old, then ./colab-ready",
            EXIT_SETTINGS,
        ) from None
    # The folder by itself: in one like /tmp another file could have been there when it was read.
    folder, uids = os.path.dirname(os.path.abspath(path)), (0, os.geteuid())
    distrust = distrust_way(folder, uids) or distrust_way(os.path.abspath(path), uids)
    if distrust:
        raise Problem(
            f"{distrust}; expected a file of root that only root can write. "
            f"Do: sudo chown root:root {path} && sudo chmod 0644 {path}, then look into it before you go on.",
            EXIT_SETTINGS,
        )
    return parse_settings(text, path)


def require_owner(settings: Settings, command: str) -> None:
    """Only root and the runtime's user may touch the runtime; all others are sent away with a word."""
    if os.geteuid() not in (0, settings.account.pw_uid):
        raise Problem(
            f"`colab-runtime {command}` is for '{settings.user}' and root, and you are {user_name(os.geteuid())}. "
            f"Do: sudo colab-runtime {command}"
        )


def login_shell(shell: str) -> str:
    """A shell that a terminal in JupyterLab can run: the system user of a container has nologin."""
    if os.path.basename(shell) in ("", "nologin", "false"):
        return "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    return shell


def account_environment(account: pwd.struct_passwd) -> dict[str, str]:
    return {
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": login_shell(account.pw_shell),
    }


def background_environment(outside: dict[str, str], account: pwd.struct_passwd) -> dict[str, str]:
    """What a background server gets from the shell that started it: language, time zone and proxies, like a unit.

    WSL_INTEROP is left out on purpose: it names the socket of one terminal, and WSL's /init looks for a living one by
    itself when the variable is missing (microsoft/WSL, util.cpp, UtilConnectToInteropServer).
    """
    proxies = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    kept = {
        key: value
        for key, value in outside.items()
        if key in ("LANG", "LANGUAGE", "TZ", "WSL_DISTRO_NAME") or key.startswith("LC_") or key.lower() in proxies
    }
    return {**kept, **account_environment(account), "PATH": SAFE_PATH}


def become(settings: Settings) -> None:
    """Root becomes the runtime's user for good, before any file of that user is touched. Others stay who they are."""
    if os.geteuid() != 0:
        return
    account = settings.account
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if 0 in (os.getuid(), os.geteuid()) or os.getresuid().count(account.pw_uid) != 3:
        raise Problem("Root's rights could not be given up; nothing was started.")
    # 0022, not 0077: kernels inherit it, and a student's files should look like those made in a terminal. Jupyter
    # makes its own secret files 0600 by itself, and the folder they lie in is 0700.
    os.umask(0o022)
    environment = background_environment(dict(os.environ), account)
    os.environ.clear()
    os.environ.update(environment)


def usable_sudo() -> str | None:
    """sudo, where it asks no password (it would have to ask on a terminal that may not be there)."""
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
        return sudo
    return None


def as_root(why: str, settings: Settings, *words: str) -> NoReturn:
    """Do the same as root where sudo asks no password."""
    sudo = usable_sudo()
    if sudo:
        os.execv(sudo, [sudo, "-n", *own_command(settings, *words)])
    raise Problem(f"{why}, and sudo is missing or asks for a password. Do: sudo colab-runtime {' '.join(words)}")


def own_command(settings: Settings, *words: str) -> list[str]:
    option = [] if settings.path == SETTINGS else ["--settings", settings.path]
    return [PROGRAM, *option, *words]

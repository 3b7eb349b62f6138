# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's half: it reads what the caller may read, asks the system's own sudo one time, and waits for root's half."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colab_ready.files.safe_open import read_text
from colab_ready.files.trust import distrust_tree, distrust_way, user_name
from colab_ready.python import pip_config

from . import snapshot, variables
from .playbook import ENDING
from .words import Stop, interrupted

FOLDERS = ("/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/sbin")
BECOME = ("sudo", "sudo.ws", "doas")
PYTHON = "/usr/bin/python3"
# All that stands in an argument list: the rest comes through the pipe.
FIRST = "import sys; s = sys.stdin.buffer; exec(compile(s.read(int(s.readline(20))), 'boot', 'exec'), {'__name__': '__boot__'})"


def uid_behind_root(environ: Mapping[str, str]) -> int:
    """Who became root, as sudo and doas tell it; su leaves USER at who called it."""
    if environ.get("SUDO_UID", "").isdigit():
        return int(environ["SUDO_UID"])
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(environ.get("DOAS_USER") or environ["USER"]).pw_uid
    return 0


def home_of(uid: int, environ: Mapping[str, str]) -> str:
    """HOME, but root's own for root: sudo can leave it at the caller's, and root's files there could not be removed."""
    home = environ.get("HOME", "")
    with contextlib.suppress(OSError):
        if home and (uid or os.stat(home).st_uid == 0):
            return home
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/root" if uid == 0 else "/"


def check_checkout(checkout: Path, uids: frozenset[int]) -> None:
    """Stop where somebody else can change what will run."""
    if not checkout.stat().st_mode & 0o002:
        # What begins with a dot (git's, an editor's, the tests' caches) runs nowhere.
        names = sorted(one for one in os.listdir(checkout) if not one.startswith("."))
        reason = distrust_way(str(checkout), uids)
        for name in names:
            reason = reason or distrust_tree(str(checkout / name), uids)
        if not reason:
            return
        owners = " and ".join(sorted(user_name(uid) for uid in uids))
        raise Stop(
            f"{reason}, and what lies in {checkout} runs as root. Expected: all of it, and every folder above it, belongs to "
            f"{owners} and nobody else may write there. Do: look what was changed, then correct the owner (chown) and the mode "
            "(chmod go-w), or get the project again into your home.",
            2,
        )
    raise Stop(
        f"everybody on this computer may write to {checkout}, and Ansible ignores its settings there (folders below /mnt/c look "
        f"so to Linux). Expected: a checkout in your home in Linux. Do: cp -r '{checkout}' ~/colab-ready && cd ~/colab-ready "
        "(on a Linux disk, chmod o-w will do).",
        2,
    )


def pip_files(environ: Mapping[str, str], home: str) -> list[tuple[str, str | None]]:
    """Pip's configuration files, the weakest first, with their text where the caller may read them."""
    return [(path, read_text(path, follow=True)) for path in pip_config.config_files(environ, [home])]


def header(command: str, environ: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """What root's half is told, beside the files."""
    home = home_of(os.geteuid(), environ)
    return {
        "command": command,
        "uid": os.geteuid(),
        "home": home,
        "variables": variables.allowed(environ),
        "pip_files": pip_files(environ, home),
        "show_address": sys.stdout.isatty() or environ.get("COLAB_READY_SHOW_URL") == "1",
        **more,
    }


def run_as_root(checkout: Path, told: dict[str, Any], named: list[tuple[str, bytes]]) -> int:
    """Start root's half, send it everything, wait for it; its exit status."""
    command = [*become(), roots_python(), "-I", "-B", "-c", FIRST]
    boot = (checkout / "launcher" / "boot.py").read_bytes()
    load = snapshot.pack(boot, told, snapshot.collect(checkout), named)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/")
    assert process.stdin
    try:
        process.stdin.write(load[:-1])
        process.stdin.flush()
        # With its last byte root's half begins: from then on a signal is for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        process.stdin.write(load[-1:])
        process.stdin.flush()
    except BrokenPipeError:
        raise refused(command, process.wait()) from None
    except KeyboardInterrupt:
        # sudo, which has heard it as well, still has to give the terminal its echo back.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        interrupted()
    _pass_signals_on(process.stdin.fileno())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    status = process.wait()
    return status if status >= 0 else 128 - status


def _pass_signals_on(talk: int) -> None:
    """Root's half may not be reached by a signal: a user's process cannot send one to root's."""

    def tell(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            os.write(talk, bytes([number]))

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell)


def roots_python() -> str:
    """A Python that root may run: root's along its whole way, which the caller cannot change."""
    reasons = [
        (path, distrust_way(path, {0})) for path in dict.fromkeys((sys.executable, PYTHON)) if os.path.exists(path)
    ]
    for path, reason in reasons:
        if not reason:
            return path
    told = "; ".join(reason or "" for _path, reason in reasons)
    raise Stop(f"root may not run this Python: {told}. Expected: one of root's. Do: apt-get install python3.")


def become() -> list[str]:
    """What stands before a command so that root runs it; nothing if root calls."""
    if os.geteuid() == 0:
        return []
    if no_new_privileges():
        raise Stop(
            "no process may become root here, as in a notebook's cell. Expected: a terminal of your own, not from a notebook. "
            "Do: open one on this computer, and start ./colab-ready there."
        )
    program = find_become()
    if not program:
        raise Stop(
            "this needs root, and there is no sudo here. Do: run it as root (su -c ./colab-ready), or as root: apt-get install "
            f"sudo && adduser {user_name(os.geteuid())} sudo, then log in again."
        )
    quiet = [] if has_terminal() else ["-n"]
    return [program, *quiet] if program.endswith("doas") else [program, *quiet, "--"]


def find_become() -> str | None:
    """The system's own program for it, in places that are root's alone."""
    paths = (os.path.join(folder, name) for name in BECOME for folder in FOLDERS)
    return next((path for path in paths if os.access(path, os.X_OK) and not distrust_way(path, {0})), None)


def refused(command: Sequence[str], status: int) -> Exception:
    """What is said beside sudo's own words when it did not start root's half."""
    name = os.path.basename(command[0]) if os.geteuid() else "root's half"
    if os.geteuid() and not has_terminal():
        return Stop(
            f"{name} needs a password, or a terminal, and there is no terminal here; nothing was changed. Expected: a terminal, "
            "or a user who needs no password. Do: ./colab-ready in a terminal; a job that runs by itself belongs to root (sudo "
            f"crontab -e), with a checkout of root's: ./colab-ready -e colab_user={user_name(os.geteuid())}"
        )
    if os.geteuid():
        user = user_name(os.geteuid())
        return Stop(
            f"{name} did not let {user} become root; nothing was changed. Expected: the password of a user who may use {name}. "
            f"Do: start again; where {user} may not use it, run it as root (su -c ./colab-ready)."
        )
    return Stop(f"{command[0]} ended with {status} before it had read what to do. Do: start again.")


def no_new_privileges() -> bool:
    """Whether the kernel keeps this process and its children from ever becoming root."""
    with contextlib.suppress(OSError):
        return "\nNoNewPrivs:\t1" in Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return False


def has_terminal() -> bool:
    """Whether there is a terminal to ask for a password, wherever stdin comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True

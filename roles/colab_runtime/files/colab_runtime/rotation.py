# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new token, and no server left that knows the old one."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

from colab_ready.files.removal import remove_path
from colab_ready.system.ports import find_holder, listeners_on
from colab_ready.system.processes import alive, send

from .activity import at_stake, refuse_to_end
from .commands import prepare_folders, restart_supervised
from .core import ENDS, EXIT_FAILED, EXIT_LATER, SERVER_STOP_SECONDS, START_SECONDS, Problem, say
from .ending import end_rest
from .ports import accepts, answers
from .served import as_served
from .settings import Settings, become, own_command, require_owner, usable_sudo
from .status import show_token
from .supervisor import RunDir
from .systemd import SYSTEMD_SECONDS, kill_unit, run_quietly, systemctl, unit_properties
from .token import RENEWED, forget_cookies, good_token, make_token, read_token

START_IN_CHILD_SECONDS = 180.0  # more than systemd gets for a start

DEAD = "The old address is dead all the same; the next colab-runtime start makes one more token"


def end_own_server(settings: Settings) -> bool:
    """Without root, under systemd: the server is our own process, and the unit starts another (Restart=always)."""
    pid = int(unit_properties().get("MainPID", "0"))
    if not pid:
        holder = find_holder([one.inode for one in listeners_on(settings.port) or []])  # of what we may look into
        pid = holder.pid if holder else 0
    if not pid:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(pid, number)
        end = time.monotonic() + SERVER_STOP_SECONDS
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.1)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if answers(as_served(settings), seconds=1.0):
            return True
        time.sleep(0.2)
    raise Problem(
        f"systemd has not started it again within {START_SECONDS:.0f} s. Do: sudo colab-runtime start", EXIT_LATER
    )


def restart_if_running(settings: Settings) -> bool:
    """False when no server ran: none is started then."""
    if settings.systemd:
        if os.geteuid() != 0:
            return end_own_server(settings)
        if unit_properties().get("ActiveState") not in ("active", "activating", "reloading"):
            return False
        systemctl(settings, "restart")
        return True
    if os.geteuid() == 0 and os.path.isdir(settings.run_dir):
        prepare_folders(settings, "restart")
    become(settings)
    if not RunDir(settings.run_dir).supervisors():
        return False
    restart_supervised(settings)
    return True


def renew_token(settings: Settings) -> int:
    """Before systemd takes the port. At a boot nobody had it: units come before users. Once the boot is behind its sockets,
    somebody may have had it."""
    if os.geteuid() != 0:
        raise Problem("`colab-runtime renew-token` is for systemd. Do: colab-runtime token --rotate")
    try:
        booting = run_quietly("systemctl", "is-active", "sockets.target", seconds=SYSTEMD_SECONDS).returncode != 0
    except subprocess.TimeoutExpired:
        booting = False
    if not booting:
        make_token(settings)
        say(RENEWED)
    return 0


def end_at_once(settings: Settings) -> bool:
    """End all of the runtime without asking it, and take away what it kept while it ran, cookies too; tell whether it ran."""
    run_dir = RunDir(settings.run_dir)
    if settings.systemd:
        ran = unit_properties().get("ActiveState") in ("active", "activating", "reloading", "deactivating")
        kill_unit()
        try:
            systemctl(settings, "stop")
        finally:
            end_rest(settings)
    else:
        ran = run_dir.locked() or bool(run_dir.holders(f"{run_dir.lock_path} (deleted)"))
        end_rest(settings)
    remove_path(settings.run_dir)  # systemd keeps it for a server that it was about to start again
    if not settings.systemd:
        prepare_folders(settings, "start")
    return ran


def start_in_child(settings: Settings) -> None:
    """`start` becomes the user, whom a process of a person's account that is left can stop: it is not waited for without end."""
    start = [sys.executable, "-I", *own_command(settings, "start")]
    try:
        done = run_quietly(*start, seconds=START_IN_CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise Problem(
            f"no start within {START_IN_CHILD_SECONDS:.0f} s. Do: sudo colab-runtime stop --force, then sudo colab-runtime start"
        ) from None
    if done.returncode != 0:
        raise Problem(done.stderr.strip().removeprefix("colab-runtime: "), done.returncode)


def unwritten(settings: Settings, error: OSError, otherwise: str) -> Problem:
    """Say that the old token stays, and what to do about that."""
    place, full = error.filename or settings.token_file, error.errno in (errno.ENOSPC, errno.EDQUOT)
    do = "free some space there (df -h, df -i), then do the same again" if full else otherwise
    return Problem(
        f"The token was not changed: {place} cannot be written ({error.strerror}). Expected: to be able to write it. Do: {do}"
    )


def pull_brake(settings: Settings) -> int:
    """Root's `--force`: a new token, whatever the user's processes do; then none of them is left; then another token, since they
    could still read the first one, in a file that none of them has open. Nothing of the user's is read or asked before that."""
    try:
        make_token(settings)
    except OSError as error:
        raise unwritten(settings, error, "look at it as root (ls -ld, lsattr), then do the same again") from None
    try:
        ran = end_at_once(settings)
        make_token(settings)
    except (Problem, OSError, KeyboardInterrupt) as problem:
        raise Problem(
            f"The token is new, but not all of the runtime has ended: {str(problem) or 'interrupted'}\n"
            "CAUTION: what is left may still accept the old token. Do: sudo colab-runtime stop --force; where that ends it, sudo "
            "colab-runtime start, then colab-runtime url; otherwise restart this computer (WSL: wsl --shutdown in PowerShell)."
        ) from None
    if ran:
        try:
            start_in_child(settings)
            if not accepts(settings, good_token(settings)):
                raise Problem("it does not act on the new token. Do: colab-runtime restart")
        except (Problem, OSError) as problem:
            raise Problem(f"The token is new, but the server was not restarted with it: {problem}\n{DEAD}.") from None
    tell_new(ran)
    return 0


def tell_new(running: bool) -> None:
    if running:
        say("The token is new. The old address is dead: pages and notebooks that used it are cut off.")
        say("The new address for Colab: colab-runtime url")
    else:
        say("The token is new and the old address is dead. The server is not running: colab-runtime start")
        say("The new address for Colab, once it runs: colab-runtime url")


def rotate_token(settings: Settings, force: bool) -> int:
    """A new token, and no server left that knows the old one; or one message, and what is true then."""
    uid = settings.account.pw_uid
    if settings.systemd and os.geteuid() != 0:
        sudo = usable_sudo()
        if sudo:
            option = ["--force"] if force else []
            os.execv(sudo, [sudo, "-n", *own_command(settings, "token", "--rotate", *option)])
    if force and os.geteuid() == 0:
        return pull_brake(settings)
    old = good_token(settings)  # a bad one is a reason more to make a new one
    if not force:
        ending = at_stake(as_served(settings), old)
        refuse_to_end(
            ending, "A new token restarts the server", "if the token has leaked: colab-runtime token --rotate"
        )
    try:
        forget_cookies(settings)  # first, so that no step behind it can leave a new token with the old cookies
        make_token(settings)
    except OSError as error:
        where = "in a terminal, as /etc is read-only in a notebook: " if error.errno == errno.EROFS else ""
        raise unwritten(settings, error, f"{where}sudo colab-runtime token --rotate --force ({ENDS})") from None
    try:
        # Again: a server that crashed just now has started once more, with the old token and a new secret.
        forget_cookies(settings)
        restarted = restart_if_running(settings)
        served = as_served(settings)
        if restarted and (not accepts(served, read_token(settings.token_file, uid)) or accepts(served, old)):
            raise Problem("it does not act on the new token. Do: colab-runtime restart")
    except KeyboardInterrupt:
        raise Problem(
            "Interrupted: the token is new, the server may have the old one. Do: colab-runtime restart", 130
        ) from None
    except (Problem, OSError) as problem:
        left = (
            "CAUTION: the server still takes the old one. Do: sudo colab-runtime stop --force"
            if accepts(as_served(settings), old)
            else DEAD
        )
        code = problem.code if isinstance(problem, Problem) else EXIT_FAILED
        raise Problem(f"The token is new, but the server was not restarted with it: {problem}\n{left}.", code) from None
    tell_new(restarted)
    return 0


def command_token(settings: Settings, rotate: bool, force: bool) -> int:
    require_owner(settings, "token --rotate" if rotate else "token")
    return rotate_token(settings, force) if rotate else show_token(settings)

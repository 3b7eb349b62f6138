# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""start, stop and restart."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Sequence

from colab_ready.files.safe_open import open_file
from colab_ready.system.ports import listeners_on, stale_units

from .activity import HANGS, at_stake, shortened, spare
from .core import ENDS, EXIT_LATER, EXIT_SETTINGS, RUNNING, START_SECONDS, Problem, quoted, say, user_name
from .ending import end_rest
from .ports import accepts, answers, has_old_token, in_time, listen, port_taken, stranger
from .served import as_served, lacks_groups, what_waits
from .server import require_servable
from .settings import Settings, as_root, become, require_owner
from .status import how_to_restart, last_lines
from .supervisor import RunDir, detach, stop_supervisor
from .systemd import reload_units, run_in_time, systemctl, tell_boot, unit_is_active
from .token import RENEWED, good_token, make_token

LOCK_SECONDS = 2.0  # from a supervisor's birth to its lock


def prepare_folders(settings: Settings, verb: str) -> None:
    """/run is empty after each reboot. Root makes the two folders again; the user alone may not, and does `verb` as root."""
    account = settings.account
    for path, mode in ((settings.run_dir, 0o700), (settings.log_dir, 0o750)):
        if os.geteuid() == 0:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, mode)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                info = os.fstat(fd)
                if info.st_uid not in (0, account.pw_uid):
                    raise Problem(
                        f"{path} belongs to {user_name(info.st_uid)}. Expected: to '{settings.user}', who runs the notebooks. "
                        f"Do: sudo rm -r {path} (what is in it goes), then sudo colab-runtime start"
                    )
                if info.st_uid != account.pw_uid:
                    os.fchown(fd, account.pw_uid, account.pw_gid)
                if stat.S_IMODE(info.st_mode) != mode:
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
            continue
        try:
            info = os.stat(path)
        except FileNotFoundError:
            as_root(f"{path} does not exist (it goes away with each reboot) and only root may make it", settings, verb)
        if info.st_uid != os.geteuid() or info.st_mode & 0o022:
            as_root(f"{path} does not belong to '{settings.user}' alone", settings, verb)


def require_writable(settings: Settings) -> None:
    """Files of an earlier runtime user in our folders would stop the supervisor where nobody sees it."""
    for path in (RunDir(settings.run_dir).lock_path, settings.log_file):
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                os.unlink(path)  # a link or a pipe, which is no use to anybody
            os.close(open_file(path, os.O_WRONLY))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Problem(
                f"{path} cannot be used by '{settings.user}': {error.strerror} (was colab_user changed?). Expected a file "
                f"of that user's. Do: sudo rm -r {os.path.dirname(path)}, then sudo colab-runtime start"
            ) from None


def renew(settings: Settings, served: Settings, force: bool, restart: Callable[[], int]) -> int | None:
    """Restart a server that a new one would differ from, where nobody loses anything by it or `force` is given; or say what
    waits for a restart. None where the server stays. `served` is how it can be asked."""
    if has_old_token(served):
        say("The server takes a token that was replaced: restarting it, whatever runs in it.")
        return restart()
    token = good_token(settings)
    why = what_waits(settings)
    if not why or not accepts(served, token):  # it is only starting, or hangs
        return None
    if settings.systemd and not served.moved:
        # One that comes back after a crash is the new one; but where the port is another, systemd would let go of the old one.
        reload_units()
    ending = at_stake(served, token)
    # Of the groups, what we start without systemd has no more than we have: an old terminal's are old.
    able = os.geteuid() == 0 if settings.systemd else not lacks_groups(settings, os.getgid(), os.getgroups())
    taken = served.moved and stranger(settings)
    if able and (force or ending == []) and not taken:
        ends = f", which ends {shortened(ending)}" if ending else ""
        say(f"Restarting the server{ends}: {'; '.join(why)}.")
        return restart()
    what = shortened(ending) if ending else "what runs in it, which it does not say"
    ends = "" if ending == [] else f" A restart ends {what}."
    if taken:
        say(f"Restart pending: {'; '.join(why)}. {port_taken(settings)}")
    else:
        todo = how_to_restart(able) if ending != [] else "Do: sudo colab-runtime restart"
        say(f"Restart pending: {'; '.join(why)}.{ends} {todo}")
    return None


def command_start(settings: Settings, force: bool = False) -> int:
    require_owner(settings, "start")
    served = as_served(settings)
    if settings.systemd:
        if not unit_is_active():
            return systemctl(settings, "start")
        if stale_units():
            reload_units()
        renewed = renew(settings, served, force, lambda: systemctl(settings, "restart"))
        if renewed is not None:
            return renewed
        if not in_time(lambda: answers(served), START_SECONDS):
            say(f"{HANGS} Restarting it.")
            return systemctl(settings, "restart")
        say(f"The server is already running: http://localhost:{served.port}/")
        tell_boot()
        return 0
    prepare_folders(settings, "start")
    if stranger(served):  # asked while still root, who can name every process
        raise Problem(port_taken(served), EXIT_LATER)
    become(settings)
    run_dir = RunDir(settings.run_dir)
    if run_dir.locked():
        waits = run_dir.waits()
        renewed = None if waits else renew(settings, served, force, lambda: restart_supervised(settings))
        return join_start(settings, run_dir) if renewed is None else renewed
    return start_supervised(settings)


def start_supervised(settings: Settings, held: Sequence[socket.socket] = ()) -> int:
    """Start a server that is not there. `held` is what holds the port; who takes it anew makes the token anew, too: a page that
    asked there meanwhile may have told it to another user."""
    run_dir = RunDir(settings.run_dir)
    require_writable(settings)
    sockets = list(held)
    try:
        require_servable(settings)
        sockets = sockets or listen(settings)
    except Problem:
        # It may be another `start` that was quicker, and its server that has the port.
        if in_time(run_dir.locked, LOCK_SECONDS):
            return join_start(settings, run_dir)
        raise
    if not held:
        make_token(settings)
        say(RENEWED)
    failure = watch_start(settings, detach(settings, sockets))
    if failure is None:
        say(RUNNING.format(settings.port))
        return 0
    if failure == "busy":
        return join_start(settings, run_dir)
    shown = quoted(last_lines(settings.log_file, 15))
    if not failure:
        raise Problem(
            f"The server runs but does not answer on port {settings.port} after {START_SECONDS:.0f} s; it may still be "
            f"starting: colab-runtime status. The last lines of {settings.log_file}:\n{shown}"
        )
    stop_supervisor(settings)
    raise Problem(
        f"The server did not start: it {failure}, and is not tried again. Expected: it answers. Do: what its own message says, "
        f"in the last lines of {settings.log_file} below; or else ./colab-ready, which repairs what it has installed.\n{shown}"
    )


def watch_start(settings: Settings, supervisor: subprocess.Popen[bytes]) -> str | None:
    """None when the server answers, "" when the time is up, "busy" when another supervisor was quicker, else how the
    server ended."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        ended = supervisor.poll()
        if ended is not None:
            known = {EXIT_LATER: "busy", EXIT_SETTINGS: f"ended with exit code {EXIT_SETTINGS}"}
            return known.get(ended, "was given up by its supervisor")
        if answers(settings, seconds=1.0):
            return None
        state = RunDir(settings.run_dir).state() or {}
        if state.get("state") == "waiting":
            return str(state.get("last_exit"))
        time.sleep(0.2)
    return ""


def join_start(settings: Settings, run_dir: RunDir) -> int:
    """A supervisor runs already: its server answers, or will soon, or is made to, or the caller hears why not."""
    end = time.monotonic() + START_SECONDS
    served = as_served(settings)
    while run_dir.locked() and time.monotonic() < end:
        if answers(served, seconds=1.0):
            say(f"The server is already running: http://localhost:{served.port}/")
            return 0
        state = run_dir.state() or {}
        if state.get("state") == "waiting":
            raise Problem(
                f"A supervisor runs already, but its server {state.get('last_exit')} and is tried again. "
                "See colab-runtime logs; colab-runtime restart tries at once."
            )
        time.sleep(0.2)
    if (run_dir.state() or {}).get("state") == "running":
        say(f"{HANGS} Restarting it.")
        return restart_supervised(settings)
    raise Problem(
        f"A supervisor runs already, but nothing answers on port {settings.port}. "
        "See colab-runtime logs; colab-runtime restart starts afresh, and where it cannot: "
        f"sudo colab-runtime token --rotate --force ({ENDS})"
    )


def command_stop(settings: Settings, force: bool) -> int:
    """Root stays root: a child with the user's rights could be stopped by whom it is to end."""
    require_owner(settings, "stop")
    if not force:
        spare(as_served(settings), "stop")
    if settings.systemd:
        try:
            return systemctl(settings, "stop")
        finally:
            end_rest(settings)
    stopped = stop_supervisor(settings)
    say("Stopped." if end_rest(settings) or stopped else "Not running.")
    return 0


def stop_without_settings(path: str) -> int:
    """What `stop` does as root where the settings are lost or damaged, so that the host can be repaired or cleared.

    The unit has one name everywhere, and the supervisor's folder belongs to who runs it.
    """
    stopped = unit_is_active()
    if os.path.isdir("/run/systemd/system"):  # also a unit that waits to be tried again
        run_in_time("stop")
    try:
        owner = pwd.getpwuid(os.lstat(Settings.run_dir).st_uid)
    except (OSError, KeyError):
        owner = None
    if owner and owner.pw_uid != 0:
        settings = Settings(path, owner.pw_name, "/", 0, "colab-runtime", "/", "/", "/")
        stopped = stop_supervisor(settings) or stopped
        stopped = end_rest(settings) or stopped
    say("Stopped." if stopped else "Not running.")
    return 0


def command_restart(settings: Settings, force: bool = False) -> int:
    require_owner(settings, "restart")
    served = as_served(settings)
    if served.moved and stranger(settings):  # before anything ends
        raise Problem(port_taken(settings), EXIT_LATER)
    if not force:
        spare(served, "restart")
    if settings.systemd:
        return systemctl(settings, "restart")
    prepare_folders(settings, "restart")
    become(settings)
    return restart_supervised(settings)


def restart_supervised(settings: Settings) -> int:
    """End the supervisor that runs and start another, to which the port is handed over where it stays the same."""
    ours = [one for one in listeners_on(settings.port) or [] if one.uid == settings.account.pw_uid]
    held: list[socket.socket] = []
    if ours and RunDir(settings.run_dir).locked():
        with contextlib.suppress(Problem):  # one of an older version
            held = listen(settings, beside_own=True)
    stop_supervisor(settings)
    return start_supervised(settings, held)

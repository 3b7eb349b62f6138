# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit, where systemd is PID 1."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Sequence

from colab_ready.system.ports import SOCKET, UNIT, listeners_on, socket_unit_holds, systemd_let_go

from .core import ENDS, RUNNING, START_SECONDS, Problem, quoted, say
from .ports import answers, in_time, port_taken, stranger
from .settings import Settings, as_root
from .token import RENEWED, token_made

BOOT_LINK = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"  # the unit's WantedBy=
# More than the unit's own limits: TimeoutStopSec=, and TimeoutStartSec= besides.
STOP_LIMIT = 22.0
START_LIMIT = 150.0
SYSTEMD_SECONDS = 10.0


def run_quietly(*words: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's programs and return what it said. Raises OSError and subprocess.TimeoutExpired."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)


def systemctl(settings: Settings, verb: str) -> int:
    """start, stop or restart the unit; it has started when the server answers."""
    if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        raise Problem(
            f"{settings.path} says that systemd runs this runtime, but this machine was not booted with systemd. "
            "Run ./colab-ready again, or (WSL) put systemd=true into [boot] of /etc/wsl.conf and restart WSL."
        )
    if os.geteuid() != 0:
        # What would be lost was asked before.
        as_root(f"To {verb} a systemd service needs root", settings, verb, *(["--force"] if verb != "start" else []))
    began, made = int(time.time()), token_made(settings)
    ran = unit_properties().get("ActiveState") not in ("inactive", "failed")
    if verb != "stop":
        reload_units()
        if not holds_port(settings):
            # The socket is to have another port, or the service runs without it, and so it would not be started.
            run_in_time("stop")
    done = run_in_time(verb)
    if verb == "stop" and done.returncode == 0:
        say("Stopped." if ran else "Not running.")
        return 0
    if done.returncode == 0 and in_time(lambda: answers(settings), START_SECONDS):
        if token_made(settings) != made:
            say(RENEWED)
        say(RUNNING.format(settings.port))
        tell_boot()
        return 0
    if verb != "stop" and stranger(settings):
        raise Problem(f"{port_taken(settings)}. {UNIT} tries again every few seconds.")
    # Without --lines, which beside --since means the first ones (systemd 252).
    reading = ["journalctl", "--unit", UNIT, "--since", f"@{began}", "--no-pager", "--output", "cat"]
    lines: list[str] = []
    for _ in range(5):  # journald is a step behind the service whose last words it writes down
        lines = run_quietly(*reading).stdout.splitlines()
        reason = refusal(lines)
        if reason:
            raise Problem(reason)
        time.sleep(0.2)
    why = (done.stderr or done.stdout).strip() or f"it does not answer on port {settings.port}"
    raise Problem(
        f"systemd could not {verb} {UNIT}: {why.rstrip('.')}. Do: ./colab-ready, which repairs what is broken. The last lines of "
        f"its log:\n{quoted(lines[-15:])}"
    )


def kill_unit() -> None:
    """End all of the service at once."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        run_quietly("systemctl", "kill", "--signal=SIGKILL", UNIT, seconds=SYSTEMD_SECONDS)


def run_in_time(verb: str) -> subprocess.CompletedProcess[str]:
    """Start or restart the service, or stop it and its socket. Who asks systemd for more time (EXTEND_TIMEOUT_USEC), which a
    process of the user's may do without end, is killed."""
    units = [UNIT, SOCKET] if verb == "stop" else [UNIT]
    for _ in range(2):
        try:
            return run_quietly("systemctl", verb, *units, seconds=STOP_LIMIT if verb == "stop" else START_LIMIT)
        except subprocess.TimeoutExpired:
            kill_unit()
    raise Problem(
        f"systemd could not {verb} {UNIT} in time, and killing it did not help. Expected seconds. "
        f"Do: sudo colab-runtime token --rotate --force ({ENDS})"
    )


def holds_port(settings: Settings) -> bool:
    """Whether the socket unit has the settings' port. What it says it listens on is what its file says by now."""
    listens = any(one.uid == 0 for one in listeners_on(settings.port) or [])
    return listens and socket_unit_holds(settings.port) is True and not systemd_let_go(settings.port)


def tell_boot() -> None:
    """The playbook listens for this: asking systemd itself takes a module half a second in every run."""
    if not os.path.lexists(BOOT_LINK):
        say(f"It does not start at boot. Do: sudo systemctl enable {UNIT}")


def refusal(lines: Sequence[str]) -> str | None:
    """The sentence with which `serve` refused to start, if that is what happened."""
    prefix = "colab-runtime: "
    return next((line[len(prefix) :] for line in reversed(lines) if line.startswith(prefix)), None)


def unit_properties() -> dict[str, str]:
    """What systemd knows about the unit; empty when it cannot be asked (a user on a host without D-Bus)."""
    wanted = "LoadState,ActiveState,SubState,MainPID,NRestarts,Result"
    try:
        done = run_quietly("systemctl", "show", UNIT, f"--property={wanted}", seconds=SYSTEMD_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if done.returncode == 0 and "=" in line)


def unit_is_active() -> bool:
    return unit_properties().get("ActiveState") in ("active", "reloading")


def reload_units() -> None:
    """Let systemd read what the playbook has written, or was on its way to when it was interrupted."""
    if os.geteuid() == 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run_quietly("systemctl", "daemon-reload", seconds=START_LIMIT)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""status, logs, url and token: what the commands tell that change nothing."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from colab_ready.core.text import printable
from colab_ready.files.safe_open import open_file, read_bytes
from colab_ready.system.peer import ForeignPeer
from colab_ready.system.ports import UNIT

from .activity import serves
from .core import EXIT_NOT_RUNNING, LOG_BYTES_MAX, PROC_BYTES_MAX, Problem, is_number, parse_json, say
from .ports import get, stranger
from .served import as_served, kernels_of, what_waits
from .settings import Settings, become, require_owner, usable_sudo
from .supervisor import RunDir
from .systemd import unit_properties
from .token import read_token


def open_log(path: str) -> TextIO:
    """The log, at most its last part. Raises OSError."""
    file = os.fdopen(open_file(path), encoding="utf-8", errors="replace")
    file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES_MAX))
    return file


def last_lines(path: str, count: int) -> list[str]:
    try:
        with open_log(path) as file:
            return file.read(LOG_BYTES_MAX).splitlines()[-count:] if count else []
    except OSError:
        return []


def last_browser(settings: Settings) -> tuple[dict[str, Any] | None, str]:
    """What the server's extension noted about requests from Colab's page since the server started, and one line for a
    person. The folder is the user's, so root takes what lies there for a text and no more."""
    if not settings.http_over_ws:
        return None, "not known: the extension that notes it is off (colab_http_over_ws)"
    path = os.path.join(settings.jupyter_dir, "browser_seen.json")
    try:
        noted = parse_json(read_bytes(path, PROC_BYTES_MAX))
        found = {
            "seen": True,
            "at": printable(noted["last_at"], 60),
            "origin": printable(noted["origin"], 60),
            "request": printable(noted["last_request"], 200),
            "requests": noted["requests"],
            "status": noted["last_status"],
        }
        if not (is_number(found["requests"]) and is_number(found["status"])):
            raise ValueError("no numbers")
    except FileNotFoundError:
        return {"seen": False}, "never since the server started"
    except PermissionError:
        return None, f"not known to you: only '{settings.user}' and root may look (sudo colab-runtime status)"
    except OSError as error:
        return None, f"not known: {path} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError):
        return None, f"not known: {path} is not what the extension writes"
    refused = " (refused: does Colab have an old address? colab-runtime url prints today's)"
    return found, (
        f"{found['at']}, {found['request']}, answered {found['status']}{refused if found['status'] in (401, 403) else ''}"
    )


def how_to_restart(as_oneself: bool = True) -> str:
    command = f"{'' if as_oneself else 'sudo '}colab-runtime restart --force"
    return (
        f"Do: ./colab-ready, or colab-runtime start, once no notebook is in use; or at once, whatever runs: {command}"
    )


def look(settings: Settings, foreign: str | None, waiting: Sequence[str] | None) -> dict[str, Any]:
    """Everything `status` reports; `foreign` is who else holds the port, `waiting` why a restart is pending, if the caller may
    know. It never sends the token."""
    refused, answering = None, False
    try:
        answer = get(settings, "/api") if not foreign and serves(settings) else None
        answering = answer is not None and answer[0] == 200
        if answer and not answering:
            refused = f"what answers on port {settings.port} is not this runtime's server (HTTP {answer[0]} for /api)"
    except ForeignPeer as peer:
        refused = str(peer)
    report: dict[str, Any] = {
        "schema": 1,
        "running": answering,
        "state": "running" if answering else "stopped",
        "answers": answering,
        "address": f"http://localhost:{settings.port}/",
        "port": settings.port,
        "user": settings.user,
        "service_manager": settings.service_manager,
        "http_over_ws": settings.http_over_ws,
        "restart_pending": None,
        "kernels": sorted({name for name, _ in kernels_of(settings)}),
        "pid": None,
        "restarts": None,
        "detail": None,
        "browser": None,
        "browser_detail": None,
    }
    if answering:
        report["browser"], report["browser_detail"] = last_browser(settings)
        report["restart_pending"] = waiting
    if settings.systemd:
        unit = unit_properties()
        if unit:
            report["pid"] = int(unit.get("MainPID", "0")) or None
            report["restarts"] = int(unit["NRestarts"]) if unit.get("NRestarts", "").isdigit() else None
            active, sub = unit.get("ActiveState", ""), unit.get("SubState", "")
            if unit.get("LoadState") != "loaded":
                report["detail"] = f"{UNIT} is not installed. Do: ./colab-ready"
            elif not answering:
                report["state"] = {"active": "starting", "activating": "starting", "failed": "failed"}.get(
                    active, "stopped"
                )
                if sub == "auto-restart":
                    report["state"] = "waiting"
                report["detail"] = f"{UNIT} is {active} ({sub}), result: {unit.get('Result', 'unknown')}"
    else:
        state = RunDir(settings.run_dir).state()
        if state:
            report["pid"], report["restarts"] = state.get("server_pid"), state.get("restarts")
            if not answering:
                report["state"] = "waiting" if state.get("state") == "waiting" else "starting"
                if state.get("last_exit"):
                    report["detail"] = f"the server {state['last_exit']} and is tried again; see colab-runtime logs"
    if foreign:
        report["detail"] = f"port {settings.port} is held by {foreign}, which is not this runtime"
    elif refused:
        report["detail"] = refused
    return report


def command_status(settings: Settings, as_json: bool) -> int:
    served = as_served(settings)
    foreign = stranger(served)  # root can name every process, so it looks before it becomes the user
    # What the server has noted is closed to others.
    waiting = what_waits(settings) if os.geteuid() in (0, settings.account.pw_uid) else None
    if not settings.systemd:
        become(settings)
    report = look(served, foreign, waiting)
    if as_json:
        say(json.dumps(report, sort_keys=True))
    else:
        facts = [f"user {report['user']}", f"managed by {report['service_manager']}"]
        facts += [f"pid {report['pid']}"] if report["pid"] else []
        facts += [f"restarts {report['restarts']}"] if report["restarts"] is not None else []
        say(f"{report['state']}: {report['address']} ({', '.join(facts)})")
        if report["detail"]:
            say(report["detail"])
        if report["restart_pending"]:
            say(f"restart pending: {'; '.join(report['restart_pending'])}. {how_to_restart()}")
        if report["browser_detail"]:
            say(f"last request from a browser: {report['browser_detail']}")
    return 0 if report["running"] else EXIT_NOT_RUNNING


def follow(path: str, file: TextIO | None) -> Iterator[str]:
    """What is appended to `path` behind the position of `file`, across rotations, until interrupted."""
    while True:
        if file is None:
            with contextlib.suppress(OSError):
                file = open_log(path)  # stays open until the log is rotated
        text = file.read(LOG_BYTES_MAX) if file else ""
        if text:
            yield text
            continue
        if file:
            with contextlib.suppress(OSError):
                now, then = os.stat(path), os.fstat(file.fileno())
                if (now.st_ino, now.st_dev) != (then.st_ino, then.st_dev):
                    file.close()
                    file = None
                    continue
        time.sleep(0.3)


def command_logs(settings: Settings, keep_on: bool, count: int) -> int:
    if settings.systemd:
        command = ["journalctl", "--unit", UNIT, "--lines", str(count), "--no-pager"]
        command += ["--follow"] if keep_on else []
        sudo = usable_sudo() if os.geteuid() != 0 else None
        # Without root journalctl may show only a part, and says so itself.
        command = [sudo, "-n", *command] if sudo else command
        os.execvp(command[0], command)
    require_owner(settings, "logs")
    become(settings)
    file = None
    try:
        file = open_log(settings.log_file)
    except FileNotFoundError:
        if not keep_on:
            why = f"There is no log yet: {settings.log_file} appears with the first colab-runtime start."
            raise Problem(why) from None
    except OSError as error:
        raise Problem(
            f"{settings.log_file} cannot be read: {error.strerror}. Expected: a file of '{settings.user}'. "
            f"Do: sudo mv -T {settings.log_file} {settings.log_file}.old, then colab-runtime restart"
        ) from None
    lines = file.read(LOG_BYTES_MAX).splitlines() if file else []
    for line in lines[-count:] if count else []:
        say(line)
    for text in follow(settings.log_file, file) if keep_on else ():
        say(text, end="")
    return 0


def command_url(settings: Settings) -> int:
    """Print the address only when it works: the server answers, it is our user's, and it knows this token."""
    account = settings.account
    settings = as_served(settings)
    foreign = stranger(settings)
    become(settings)
    token = read_token(settings.token_file, account.pw_uid)
    if foreign:
        raise Problem(
            f"Port {settings.port} is held by {foreign}, not by this runtime, so the token is not sent there. "
            "End that program, then: colab-runtime start"
        )
    try:
        answer = get(settings, "/api/status", token) if serves(settings) else None
    except ForeignPeer as peer:
        if peer.problem == "peer_silent":
            raise Problem(f"The server does not answer: {peer}. Do: colab-runtime restart") from None
        todo = "end the program that has the port, then colab-runtime restart"
        raise Problem(f"The token is not sent there: {peer}. Do: {todo}") from None
    if answer is None:
        raise Problem(f"The server does not answer on port {settings.port}. Do: colab-runtime start")
    status = answer[0]
    if status in (401, 403):
        raise Problem("The server answers, but with another token than the file has. Do: colab-runtime restart")
    if status != 200:
        raise Problem(
            f"The server on port {settings.port} answers /api/status with HTTP {status}. Expected 200. "
            "Do: colab-runtime logs says why; then colab-runtime restart."
        )
    say(f"http://localhost:{settings.port}/?token={token}")
    return 0


def show_token(settings: Settings) -> int:
    """All about the token but the token."""
    become(settings)
    read_token(settings.token_file, settings.account.pw_uid)
    info = os.stat(settings.token_file)
    days = max(0, int(time.time() - info.st_mtime)) // 86400
    age = {0: "within the last day", 1: "a day ago"}.get(days, f"{days} days ago")
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.st_mtime))
    say(f"{settings.token_file}: made {age} ({made}), mode {stat.S_IMODE(info.st_mode):04o}, of '{settings.user}'")
    say("The address that holds it: colab-runtime url. If somebody else may know it: colab-runtime token --rotate")
    return 0

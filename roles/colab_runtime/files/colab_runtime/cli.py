# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, stop and look at the Jupyter server that Google Colab connects to.

One command for two situations. Where systemd is PID 1, colab-ready.service owns the server and this program only
passes the word on. Where it is not (WSL without `systemd=true`, a container), this program is the service manager: a
supervisor in the background that restarts the server, keeps its log and ends it together with its kernels.

    start, stop, restart      the server, whoever manages it; none ends a notebook that is in use, but with --force
    status [--json]           exit 0 when the server answers, 3 when not; and what waits for a restart
    logs [-f] [-n LINES]      what the server said
    url                       the address to paste into Colab, token included, and nothing else
    token [--rotate]          where the token is kept; a new one in its place, after which the old address is dead
    serve                     the server itself, in the foreground (run by the unit and by the supervisor)

The port is never free while the runtime is meant to run: a socket unit of systemd's or the supervisor holds it, and hands it to
one server after the other. Where it was free, the token is made anew before a server takes it.

Standard library only, Python 3.10 or newer: it runs on the host's own Python.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from .commands import command_restart, command_start, command_stop, stop_without_settings
from .core import EXIT_FAILED, SAFE_PATH, SETTINGS, Problem, visible
from .rotation import command_token, renew_token
from .server import serve
from .settings import load_settings
from .status import command_logs, command_status, command_url
from .supervisor import supervise

FORCE = "COLAB_RUNTIME_FORCE"  # as --force, for who does not know whether the command is of a version that has it
COMMAND_SECONDS = 25.0  # for `status`, `url` and `token`, whatever another user does meanwhile


def parse_arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="colab-runtime", description="The Jupyter server of this machine that Google Colab connects to."
    )
    parser.add_argument(
        "--settings", default=os.environ.get("COLAB_RUNTIME_SETTINGS", SETTINGS), help="default: %(default)s"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, does, forced in (
        ("start", "start the server in the background", "restart it at once if that is pending, whatever runs in it"),
        ("stop", "stop the server and its kernels", "also while notebooks run"),
        ("restart", "stop, then start", "also while notebooks run"),
    ):
        command = commands.add_parser(name, help=does)
        command.add_argument("--force", action="store_true", help=forced, default=os.environ.get(FORCE) == "1")
    status = commands.add_parser("status", help="exit 0 when the server answers, 3 when not")
    status.add_argument("--json", action="store_true", help="one JSON object")
    logs = commands.add_parser("logs", help="what the server said")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("-n", "--lines", type=int, default=50, help="default: %(default)s")
    commands.add_parser("url", help="the address to paste into Colab, with its token")
    token = commands.add_parser("token", help="where the token is kept, and since when; never the token itself")
    token.add_argument("--rotate", action="store_true", help="make a new one; the old address is dead then")
    token.add_argument("--force", action="store_true", help="with --rotate: also while notebooks run")
    for name, does in (
        ("serve", "the server in the foreground (used by the service)"),
        ("supervise", "the background process (used by start)"),
    ):
        command = commands.add_parser(name, help=does)
        command.add_argument(
            "--socket", type=int, action="append", default=[], help="an open file that holds the port, by its number"
        )
    commands.add_parser("renew-token", help="where nobody held the port since the last time (used by the socket unit)")
    arguments = parser.parse_args(words)
    if arguments.command == "token" and arguments.force and not arguments.rotate:
        token.error("--force goes with --rotate")
    return arguments


def give_up(number: int, frame: Any) -> NoReturn:
    raise Problem(
        f"No answer within {COMMAND_SECONDS:.0f} s. Expected less than a second. "
        "Do: sudo colab-runtime stop --force, then sudo colab-runtime start"
    )


def main(words: Sequence[str]) -> int:
    if os.geteuid() == 0:
        os.environ["PATH"] = SAFE_PATH
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of another language than the terminal's
    arguments = parse_arguments(words)
    if arguments.command in ("status", "url") or (arguments.command == "token" and not arguments.rotate):
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, COMMAND_SECONDS)
    try:
        try:
            settings = load_settings(arguments.settings)
        except Problem:
            if arguments.command != "stop" or os.geteuid() != 0:
                raise
            return stop_without_settings(arguments.settings)
        actions: dict[str, Callable[[], int]] = {
            "start": lambda: command_start(settings, arguments.force),
            "stop": lambda: command_stop(settings, arguments.force),
            "restart": lambda: command_restart(settings, arguments.force),
            "status": lambda: command_status(settings, arguments.json),
            "logs": lambda: command_logs(settings, arguments.follow, max(arguments.lines, 0)),
            "url": lambda: command_url(settings),
            "token": lambda: command_token(settings, arguments.rotate, arguments.force),
            "serve": lambda: serve(settings, arguments.socket),
            "supervise": lambda: supervise(settings, arguments.socket),
            "renew-token": lambda: renew_token(settings),
        }
        return actions[arguments.command]()
    except Problem as problem:
        print(visible(f"colab-runtime: {problem}"), file=sys.stderr)
        return EXIT_FAILED if arguments.command == "url" else problem.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(visible(f"colab-runtime: {error.filename or arguments.command}: {error.strerror}"), file=sys.stderr)
        return EXIT_FAILED

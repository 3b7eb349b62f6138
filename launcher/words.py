# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the launcher says, and the one way in which it gives up."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection
from typing import NoReturn

from colab_ready.core.text import printable

VERSION = "0.2.0"
MESSAGE_CHARACTERS = 3000
RUNTIME = "/usr/local/bin/colab-runtime"
PLAYBOOKS = {"converge": "site", "verify": "verify", "remove": "remove"}
USAGE = """\
Usage: ./colab-ready [COMMAND] [OPTION...]

  (no command)        set up this computer and prove it; exit status 0 only when it is READY, or options left the proof out
  verify [--json]     prove it, change nothing; --json: the report and nothing else on stdout
  url                 print the address to paste into Colab (it holds the token: keep it to yourself)
  settings [--all]    print what this computer remembers of what was given with -e, and with --all the defaults too;
                      --reset [NAME...] forgets these, or all
  remove              take away what was put here, and nothing else
  test [PART]         run the project's tests: static, unit, molecule, browser, security, or all of them; never among all:
                      quick (static, unit's functions, each module once), and
                      directml-real (torch-directml as it is published, without a GPU; fetches 2.9 GB)
                      (--no-docker leaves out what needs Docker; --here has browser set up and try this computer itself,
                      a throw-away one; more options go to pytest)
  lab -i LIST         set up a room of computers by a list of them (docs/lab.md), and prove each; --plan, --verify, --addresses or
                      --remove instead; exit status 0 only when every one is well
  help, --version

More options go to ansible-playbook, for example:
  ./colab-ready -e colab_port=9000      ./colab-ready --check      ./colab-ready -v      ./colab-ready --tags python

No run ends a notebook that is in use: what needs a restart of the server waits, and is reported as pending.
  ./colab-ready --restart               restarts it at once, whatever runs

What is given with -e holds until something else is given, or `settings --reset` forgets it.

Root is needed for this computer: the system's sudo asks for the password, once. Without a terminal: sudo ./colab-ready

Environment: COLAB_READY_PYTHON (the Python to use), COLAB_READY_SHOW_URL=1 (print the address, token included, even
where stdout is no terminal).
"""


class Stop(Exception):
    """A run that cannot go on: the one message (what is wrong, what was expected, what to do) and the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


# What somebody may look for here, and what does it.
ELSEWHERE = {
    **{word: f"colab-runtime {word}" for word in ("start", "stop", "restart", "status", "logs", "token")},
    **dict.fromkeys(("uninstall", "delete", "purge", "clean"), "./colab-ready remove"),
    **dict.fromkeys(("update", "upgrade"), "git pull && ./colab-ready"),
    **dict.fromkeys(("install", "setup", "run", "up", "converge", "repair"), "./colab-ready"),
    **dict.fromkeys(("check", "doctor", "report"), "./colab-ready verify"),
}
COMMANDS = ("verify", "url", "settings", "remove", "lab", "test", "help")


def unknown_command(word: str) -> Stop:
    """Return what is said of a word that is no command."""
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    meant = f"-e {word}" if "=" in word else close[0] if close else "help"
    do = ELSEWHERE.get(word) or f"./colab-ready {meant}"
    return Stop(f"there is no command '{word}'. Expected: {', '.join(COMMANDS)}, or an option (-…). Do: {do}", 2)


def unknown_option(word: str, settings: Collection[str]) -> str:
    """Return what to do instead of an option that there is not."""
    bare = {"-p": "port"}.get(word, word.lstrip("-").partition("=")[0].replace("-", "_"))
    if word == "--json":
        return "./colab-ready verify --json"
    names = {name.removeprefix("colab_"): f"-e {name}=VALUE" for name in settings if name.startswith("colab_")}
    ours = {**{name: f"./colab-ready {name}" for name in COMMANDS}, **names, **ELSEWHERE}
    close = difflib.get_close_matches(bare, ours, n=1, cutoff=0.75)
    return ours[close[0]] if close else "./colab-ready help"


def say(text: str) -> None:
    """Say something that is not the result: on stderr."""
    print(f"colab-ready: {printable(text, MESSAGE_CHARACTERS)}", file=sys.stderr, flush=True)


def interrupted() -> NoReturn:
    """End as a program that Ctrl-C ended."""
    say("interrupted; the next run carries on")
    sys.exit(130)

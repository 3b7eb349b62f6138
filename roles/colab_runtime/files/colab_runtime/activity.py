# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server runs, and what runs in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from colab_ready.core.text import printable
from colab_ready.system.ports import listeners_on

from .core import EXIT_LATER, START_SECONDS, Problem, parse_json, say
from .ports import NAME_CHARACTERS, answers, fetch, has_old_token, in_time, stranger
from .settings import Settings
from .supervisor import RunDir
from .systemd import unit_properties
from .token import good_token, read_token

NAMES_SHOWN = 5
USED_SECONDS = 24 * 3600.0
HANGS = f"The server has not answered for {START_SECONDS:.0f} s."


def serves(settings: Settings) -> bool:
    """Whether there may be a server that answers. Where there is none, who asks would only wait, or have systemd start one."""
    if settings.systemd:
        unit = unit_properties()
        return unit.get("ActiveState") not in ("inactive", "failed") and unit.get("SubState") != "auto-restart"
    found = listeners_on(settings.port)
    holds = found is None or settings.account.pw_uid in [one.uid for one in found]
    return holds and not RunDir(settings.run_dir).waits()


def is_in_use(kernel: dict[str, Any], now: float) -> bool:
    """Whether somebody would miss what a kernel has in memory: it executes, a page is connected to it, or it was active within a
    day. One of which that is not said counts."""
    if kernel.get("execution_state") != "idle" or kernel.get("connections") != 0:
        return True
    try:
        return now - datetime.fromisoformat(kernel["last_activity"].replace("Z", "+00:00")).timestamp() < USED_SECONDS
    except (KeyError, ValueError, TypeError, AttributeError):
        return True


def what_would_end(sessions: Any, kernels: Any, terminals: Any, now: float) -> list[str]:
    """The names of what a restart would take from somebody, from the server's answers; a kernel without a notebook goes by its
    number. A terminal does not say what runs in it, so each counts."""
    named = {session["kernel"]["id"]: session.get("path") or session.get("name") for session in sessions}
    used = [one["id"] for one in kernels if is_in_use(one, now)]
    names = [f"'{printable(named.get(one) or 'kernel ' + one[:8], NAME_CHARACTERS)}'" for one in used]
    return names + [f"terminal {printable(one['name'], NAME_CHARACTERS)}" for one in terminals]


def shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"


def at_stake(settings: Settings, token: str | None) -> list[str] | None:
    """What a restart of the running server would end (`what_would_end`); None when a server runs that does not say."""
    if stranger(settings) or not serves(settings):
        return []
    if token is None:
        return None
    lists: list[Any] = []
    for path in ("/api/sessions", "/api/kernels", "/api/terminals"):
        answer = fetch(settings, path, token)
        if answer is None or answer[0] != 200:
            if answer and answer[0] == 404 and path == "/api/terminals":
                lists.append([])  # a server without terminals
                continue
            return None
        try:
            lists.append(parse_json(answer[1]))
        except ValueError:
            return None
    try:
        sessions, kernels, terminals = lists
        return what_would_end(sessions, kernels, terminals, time.time())
    except (TypeError, KeyError, AttributeError):
        return None


def refuse_to_end(ending: Sequence[str] | None, effect: str, todo: str) -> None:
    """Raise a Problem that names what runs, unless nothing does."""
    if ending is None:
        who = "The server runs but does not say which notebooks do (it hangs, or has another token than the file)"
    elif ending:
        who = f"{len(ending)} running: {shortened(ending)}"
    else:
        return
    raise Problem(
        f"{who}. {effect}, and what runs loses its variables; nothing was changed. Expected no running notebook or terminal. "
        f"Do: end them first, or, {todo} --force",
        EXIT_LATER,
    )


def spare(settings: Settings, verb: str) -> None:
    """Raise a Problem where `verb` would end somebody's notebook. A server that hangs is nobody's use, and one that still takes a
    token which was replaced must not go on."""
    # What could not start again is told now.
    token = read_token(settings.token_file, settings.account.pw_uid) if verb == "restart" else good_token(settings)
    ending = at_stake(settings, token)
    if ending is None and not in_time(lambda: answers(settings), START_SECONDS):
        say(HANGS)
    elif ending is not None or not has_old_token(settings):
        refuse_to_end(ending, f"A {verb} ends the server", f"to lose them: colab-runtime {verb}")

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the server runs, and what runs in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from colab_ready.core.text import printable
from colab_ready.system.ports import listeners_on

from .core import parse_json
from .ports import NAME_CHARACTERS, fetch
from .settings import Settings
from .supervisor import RunDir
from .systemd import unit_properties
from .token import read_token

NAMES_SHOWN = 5


def serves(settings: Settings) -> bool:
    """Whether there may be a server that answers. Where there is none, who asks would only wait, or have systemd start one."""
    if settings.systemd:
        unit = unit_properties()
        return unit.get("ActiveState") not in ("inactive", "failed") and unit.get("SubState") != "auto-restart"
    found = listeners_on(settings.port)
    holds = found is None or settings.account.pw_uid in [one.uid for one in found]
    return holds and not RunDir(settings.run_dir).waits()


def runs_no_kernel(settings: Settings) -> bool:
    """Whether the server says so itself; one that says something else, or nothing, may run some."""
    answer = fetch(settings, "/api/kernels", read_token(settings.token_file, settings.account.pw_uid))
    return answer is not None and answer[0] == 200 and answer[1].strip() == b"[]"


def what_would_end(sessions: Any, kernels: Any, terminals: Any) -> list[str]:
    """The names of what a restart ends, from the server's answers; a kernel without a notebook goes by its number."""
    named = {session["kernel"]["id"]: session.get("path") or session.get("name") for session in sessions}
    names = [f"'{printable(named.get(one['id']) or 'kernel ' + one['id'][:8], NAME_CHARACTERS)}'" for one in kernels]
    return names + [f"terminal {printable(one['name'], NAME_CHARACTERS)}" for one in terminals]


def shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"


def at_stake(settings: Settings, token: str | None) -> list[str] | None:
    """What a restart of the running server would end; None when a server runs that does not say."""
    if not serves(settings):
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
        return what_would_end(*lists)
    except (TypeError, KeyError, AttributeError):
        return None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says whatever its output looks like: first which variables are misspelt, last whether the hosts are READY."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible.utils.color import ANSIBLE_COLOR
from ansible.utils.vars import load_extra_vars

# As modules find it (ansible.cfg, module_utils); for plugins Ansible does not look there.
ansible.module_utils.__path__ = [
    *ansible.module_utils.__path__,
    str(Path(__file__).resolve().parents[1] / "module_utils"),
]

from ansible.module_utils.colab_ready.core.output import while_read  # noqa: E402 - the path comes first
from ansible.module_utils.colab_ready.proof import verdict  # noqa: E402 - the same

DOCUMENTATION = r"""
name: colab_verdict
type: aggregate
short_description: Whether the hosts are READY, behind whatever else the output is
version_added: "0.2.0"
author: the colab-ready authors (@colab-ready)
description:
  - At the end of a run the C(summary) of the C(readiness_report) module is shown as a table, with the verdict below it, and what
    waits for C(wsl --shutdown). Behind a stdout callback other than C(colab_progress) it goes to stderr.
  - Where tags, C(--start-at-task) or C(--step) have left the proof out, it says so.
  - When the environment variable E(COLAB_READY_PROOFS) names a file, each host of the run is written into it as JSON, with what
    the module said of it (V(ready)) and where its report is (V(report)), or V(null); this is how the launcher learns it.
"""

LEFT_OUT = "the proof was left out, and nothing is said of READY. Do: ./colab-ready verify"
NOTHING = (
    "no task was run. Expected: a host in the group colab_hosts, and a task of the name behind --start-at-task. "
    "Do: see --list-hosts and --list-tasks"
)


def variables_of(roles: Path) -> dict[str, set[str]]:
    """The variables that may be set, by role: the names in its argument specification."""
    found: dict[str, set[str]] = {}
    for file in roles.glob("*/meta/argument_specs.yml"):
        role = file.parent.parent.name
        with contextlib.suppress(OSError, ValueError):
            # Each stands at the start of its line, whatever follows it.
            found[role] = set(re.findall(rf"^ *({role}_[a-z0-9_]+):", file.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def misspelt(names: Iterable[str], variables: Mapping[str, Iterable[str]]) -> list[str]:
    """A warning for each name given with -e that looks like a variable of ours and is none: Ansible ignores it."""
    known = sorted(set().union(*variables.values()))
    said = []
    for name in sorted(set(names) - set(known)):
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if close or any(name.startswith(f"{role}_") for role in variables):
            close = close or difflib.get_close_matches(name, known, n=1)
            perhaps = f"write {close[0]} if that is what was meant" if close else "leave it out"
            said.append(
                f"{name} is no variable of colab-ready and changes nothing. Do: {perhaps}; docs/settings.md has them."
            )
    return said


class CallbackModule(CallbackBase):
    """The plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "colab_verdict"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._proves = False
        self._summaries: dict[str, verdict.Summary] = {}
        self._unproven: dict[str, list[Mapping[str, Any]]] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}
        self._works: dict[str, str] = {}
        self._stopped_at: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # -e alone: in an inventory stand variables of other projects, too.
        for text in misspelt(load_extra_vars(playbook._loader), variables_of(Path(playbook._basedir).parent / "roles")):
            self._display.warning(text)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._proves |= any(role.get_name().rpartition(".")[2] == "readiness" for role in play.roles)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool = False) -> None:
        # Only now is the name templated; Ansible puts the raw one back afterwards.
        self._names[task._uuid] = (task.name or task.get_name()).strip()

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def v2_runner_on_ok(self, result: Any) -> None:
        host, action = result._host.get_name(), result._task.action
        if summary := verdict.summary_of(action, result._result):
            self._summaries[host] = summary
        if unproven := verdict.unproven_of(action, result._result):
            self._unproven[host] = unproven
        if work := verdict.work_of(action, result._result):
            self._works[host] = work
        if action.rpartition(".")[2] == "host_settings":
            self._settings[host] = result._result

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.v2_runner_on_ok(result)
        if not ignore_errors:
            self.v2_runner_on_unreachable(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._stopped_at[result._host.get_name()] = self._names.get(result._task._uuid, "?")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        totals = {host: stats.summarize(host) for host in sorted(stats.processed)}
        stopped = {
            host: self._stopped_at.get(host, "?")
            for host, total in totals.items()
            if total["failures"] or total["unreachable"]
        }
        if "COLAB_READY_ROOM" not in os.environ:  # colab_room has said it
            for line in self._end(stopped, not totals, sum(total["changed"] for total in totals.values())):
                self._print(line)
        path = os.environ.get("COLAB_READY_PROOFS")
        if path:
            proofs = {host: {"ready": one.ready, "report": one.path} for host, one in self._summaries.items()}
            Path(path).write_text(json.dumps({**dict.fromkeys(totals), **proofs}), encoding="utf-8")

    def _end(self, stopped: Mapping[str, str], nothing: bool, changed: int) -> Iterable[verdict.Line]:
        """The lines that end the run; of a playbook that has nothing to do with READY none, behind a foreign callback."""
        word = verdict.verdict(self._summaries, stopped, bool(context.CLIARGS.get("check")))
        if not (self._is_ours() or self._proves or self._summaries or self._unproven):
            return
        if self._summaries and word != "check":
            yield from verdict.table(self._summaries)
            yield []
        seconds = time.monotonic() - self._began
        for line in verdict.verdict_lines(
            word, self._summaries, stopped, changed, seconds, self._unproven, self._works
        ):
            # The launcher knows more about the address (it may print it) and speaks after this.
            if not (line[0][0] == "address: " and os.environ.get("COLAB_READY_PROOFS")):
                yield line
        for host, result in self._settings.items() if word not in ("check", "none") else ():
            yield from verdict.settings_lines(result, word == "ready", host if len(self._settings) > 1 else "")
        if word == "none" and self._proves:
            yield [(f"  {NOTHING if nothing else LEFT_OUT}", "")]

    def _is_ours(self) -> bool:
        return bool(constants.config.get_config_value("DEFAULT_STDOUT_CALLBACK") == "colab_progress")

    def _print(self, line: verdict.Line) -> None:
        """Behind a foreign callback to stderr: what it prints may be read by a program."""
        with while_read():
            sys.stdout.flush()
            self._display.display(verdict.rendered(line, ANSIBLE_COLOR), stderr=not self._is_ours())

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: the step that is running, and the steps that are done. The end is colab_verdict's.

The upper half is pure (results go in, lines come out), the lower half is the plugin that Ansible calls.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.color import ANSIBLE_COLOR

# As modules find it (ansible.cfg, module_utils); for plugins Ansible does not look there.
ansible.module_utils.__path__ = [
    *ansible.module_utils.__path__,
    str(Path(__file__).resolve().parents[1] / "module_utils"),
]

from ansible.module_utils.colab_ready.core import screen  # noqa: E402 - the path comes first
from ansible.module_utils.colab_ready.proof import verdict  # noqa: E402 - the same

DOCUMENTATION = r"""
name: colab_progress
type: stdout
short_description: The running step, and the finished steps with their seconds
version_added: "0.1.0"
author: the colab-ready authors (@colab-ready)
description:
  - On a terminal, the running step is shown with its time ticking.
  - Elsewhere each finished step is one line, and a step of more than 10 seconds says every 10 seconds that it lives.
  - With C(-v) and more, the output is that of P(ansible.builtin.default#callback).
  - The end of the run is shown by the callback C(colab_verdict).
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout_callback in the configuration
"""

MARKS = {
    "ok": ("✓", "green"),
    "changed": ("●", "yellow"),
    "failed": ("✗", "bold red"),
    "unreachable": ("✗", "bold red"),
    "ignored": ("!", "yellow"),
}

# Steps that only prepare others say nothing to a person when they go well.
QUIET_ACTIONS = frozenset(("assert", "include_vars", "meta", "set_fact", "set_stats", "validate_argument_spec"))

# What Ansible says about sudo's password in its versions, and what a person can act on.
PASSWORD_TROUBLES = {
    "Duplicate become password prompt|Incorrect sudo password": (
        "sudo did not accept the password.\nExpected the password of a user who may use sudo. Do: start again."
    ),
    "Missing sudo password|sudo: a password is required": (
        "sudo wants a password, and none was given.\nDo: start again with --ask-become-pass, or through ./colab-ready."
    ),
    # sudo-rs, Ubuntu's sudo since 25.10, asks in words that Ansible does not know.
    "Timed out waiting for become|waiting for privilege escalation prompt|Premature end of stream waiting for": (
        "Ansible waited in vain for sudo, whose way to ask for a password it may not know (sudo-rs).\n"
        "Expected a sudo that needs no password, or one that Ansible knows. Do: ./colab-ready, which leaves the asking to sudo."
    ),
}

# So much of a failed command's output is shown; the rest is there with -v.
COMMAND_TAIL_LINES = 10


def step_line(state: str, seconds: float, name: str, host: str = "", symbols: bool = False) -> verdict.Line:
    """A finished step: what came of it, how long it took, which it was."""
    symbol, style = MARKS[state]
    mark = f"  {symbol}" if symbols else f"{state:<11}"
    note = f" ({state})" if symbols and state in ("changed", "ignored", "unreachable") else ""
    where = f" [{host}]" if host else ""
    return [(mark, style), (f" {verdict.duration(seconds):>11}  ", "dim"), (name, ""), (where, "dim"), (note, style)]


def failure_text(result: Mapping[str, Any]) -> str:
    """Why a step failed, as the module says it: no JSON, no stack, nothing that no_log hides."""
    if result.get("censored"):
        return str(result["censored"])
    failed_items = [item for item in result.get("results") or [] if isinstance(item, Mapping) and item.get("failed")]
    if failed_items:
        return "\n".join(dict.fromkeys(failure_text(item) for item in failed_items))
    message = result.get("msg") or "failed without a message"
    for pattern, text in PASSWORD_TROUBLES.items():
        if re.search(pattern, str(message)):
            return text
    told = message if isinstance(message, list) else [str(message).removeprefix("Task failed: ").strip()]
    lines = [str(part) for part in told]
    command = result.get("cmd")
    if command and result.get("rc"):
        words = command if isinstance(command, str) else " ".join(str(word) for word in command)
        lines = [f"{words}: exit status {result['rc']}"]
        output = str(result.get("stderr") or result.get("stdout") or "").strip()
        lines += output.splitlines()[-COMMAND_TAIL_LINES:]
    elif result.get("module_stderr"):
        lines += str(result["module_stderr"]).strip().splitlines()[-1:]
    if "Traceback" in str(result.get("exception")):
        lines.append("(more with -vvv)")
    return "\n".join(lines)


class Screen(screen.Screen):
    """The lines of steps."""

    def line(self, *parts: tuple[str, str]) -> None:
        self.put(verdict.rendered(parts, ANSIBLE_COLOR))

    def block(self, text: str, style: str = "") -> None:
        """A text of several lines, indented, with air around it."""
        for line in ["", *text.splitlines(), ""]:
            self.line((f"    {line}" if line else "", style))


class Event:
    """With -v, leave this event to the default callback. What it brings is made harmless either way."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __set_name__(self, owner: type, name: str) -> None:
        @functools.wraps(self.method)
        def choose(plugin: CallbackModule, *args: Any, **kwargs: Any) -> Any:
            for result in args:
                if isinstance(getattr(result, "_result", None), dict):
                    result._result.update(verdict.harmless(result._result))
            method = self.method if plugin.screen else getattr(DefaultCallback, name)
            return method(plugin, *args, **kwargs)

        setattr(owner, name, choose)


# Of any type: an event stands in its class for a method, which it makes of itself.
unless_verbose: Any = Event


def nothing(_plugin: CallbackModule, *_args: Any, **_kwargs: Any) -> None:
    """What has been said already, or is no news to a person."""


class CallbackModule(DefaultCallback):
    """The plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "colab_progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.screen: Any = None  # a Screen, unless the default callback speaks
        self._explained: set[str] = set()
        self._diffs: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._hosts = 1
        self._builds = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if self._display.verbosity > 0:
            super().v2_playbook_on_start(playbook)
            return
        understands_cursor = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.screen = Screen(self._display, understands_cursor)
        if context.CLIARGS.get("check"):
            self.screen.line(("check mode: nothing will be changed", "bold"))

    @unless_verbose
    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play
        # What only proves builds nothing; in check mode it is said at the end.
        roles = [role.get_name() for role in play.roles]
        self._builds = "python_env" in roles and not context.CLIARGS.get("check")
        self._hosts = len(play.get_variable_manager()._inventory.get_hosts(play.hosts)) if play.hosts else 1
        self.screen.line((play.get_name().strip(), "bold"))

    @unless_verbose
    def v2_playbook_on_no_hosts_matched(self) -> None:
        self.screen.line(("no host of the inventory is meant by this play", "yellow"))

    @unless_verbose
    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool = False) -> None:
        # Only now is the name templated; Ansible puts the raw one back afterwards.
        self._names[task._uuid] = (task.name or task.get_name()).strip()

    v2_playbook_on_handler_task_start = unless_verbose(v2_playbook_on_task_start.method)

    @unless_verbose
    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        name = self._name(task)
        self.screen.start((host.get_name(), task._uuid), f"{name} [{host.get_name()}]" if self._hosts > 1 else name)

    @unless_verbose
    def v2_runner_on_ok(self, result: Any) -> None:
        summary = verdict.summary_of(result._task.action, result._result)
        if summary and not summary.ready:
            self._explained.add(result._host.get_name())
        changed = result.is_changed()
        quiet = result._task.action.rpartition(".")[2] in QUIET_ACTIONS or isinstance(result._task, TaskInclude)
        self._finished(result, None if quiet and not changed else "changed" if changed else "ok")
        if result._task.action.rpartition(".")[2] == "debug" and "msg" in result._result:
            self.screen.block(failure_text(result._result))
        if self._builds and (work := verdict.work_of(result._task.action, result._result)):
            self.screen.block(f"{result._host.get_name()}: {work}" if self._hosts > 1 else work)

    @unless_verbose
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._finished(result, "ignored" if ignore_errors else "failed")
        # The end of the run says why this host is not ready: the step that acts on it need not repeat the reasons.
        if result._host.get_name() not in self._explained:
            self.screen.block(failure_text(result._result), "" if ignore_errors else "red")

    @unless_verbose
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._finished(result, "unreachable")
        self.screen.block(failure_text(result._result), "red")

    @unless_verbose
    def v2_runner_on_skipped(self, result: Any) -> None:
        self._finished(result, None)

    @unless_verbose
    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._handle_warnings(result._result)

    v2_runner_item_on_failed = unless_verbose(v2_runner_item_on_ok.method)

    # The running step goes on ticking; what fails or stops all hosts is said as the step itself fails.
    v2_runner_item_on_skipped = v2_runner_retry = v2_playbook_on_include = unless_verbose(nothing)
    v2_runner_on_async_poll = v2_runner_on_async_ok = v2_runner_on_async_failed = unless_verbose(nothing)
    v2_playbook_on_no_hosts_remaining = unless_verbose(nothing)

    @unless_verbose
    def v2_on_file_diff(self, result: Any) -> None:
        results = result._result["results"] if result._task.loop and "results" in result._result else [result._result]
        texts = [self._get_diff(one["diff"]) for one in results if one.get("diff") and one.get("changed")]
        self._diffs[self._key(result)] = "".join(text for text in texts if text)

    @unless_verbose
    def v2_playbook_on_stats(self, stats: Any) -> None:
        self.screen.line()
        self.screen.close()

    def _finished(self, result: Any, state: str | None) -> None:
        """End a step; say so unless its state is None."""
        seconds = self.screen.finish(self._key(result))
        if state is not None:
            host = self.host_label(result) if self._hosts > 1 else ""
            self.screen.line(*step_line(state, seconds, self._name(result._task), host, self.screen.ticks))
        self._handle_warnings(result._result)
        diff = self._diffs.pop(self._key(result), "")
        if diff:
            self._display.display(diff)

    def _name(self, task: Any) -> str:
        return self._names.get(task._uuid) or task.get_name().strip()

    def _key(self, result: Any) -> tuple[str, str]:
        return result._host.get_name(), result._task._uuid

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: the step that is running, the steps that are done, and the verdict.

The upper half is pure (results go in, lines come out), the lower half is the plugin that Ansible calls.
"""

from __future__ import annotations

import atexit
import contextlib
import difflib
import functools
import itertools
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.color import ANSIBLE_COLOR
from ansible.utils.vars import load_extra_vars

DOCUMENTATION = r"""
name: colab_progress
type: stdout
short_description: The running step, the finished steps with their seconds, and whether the host is READY
version_added: "0.1.0"
author: the colab-ready authors (@colab-ready)
description:
  - On a terminal, the running step is shown with its time ticking.
  - Elsewhere each finished step is one line, and a step of more than 10 seconds says every 10 seconds that it lives.
  - At the end the C(summary) of the C(readiness_report) module is shown as a table, with the verdict below it, and what
    waits for C(wsl --shutdown).
  - With C(-v) and more, the output is that of P(ansible.builtin.default#callback).
  - When the environment variable E(COLAB_READY_RESULT) names a file, the verdict is written into it as one word
    (V(ready), V(not ready), V(check), V(none)); this is how the launcher learns it.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout_callback in the configuration
"""

# A line is a list of (text, style); where Ansible writes without colours, the texts alone are taken.
Line = list[tuple[str, str]]
# As ECMA-48 numbers them (SGR).
STYLES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "bold green": "1;32", "bold red": "1;31"}

HEARTBEAT_SECONDS = 10
FRAME_SECONDS = 0.2
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

MARKS = {
    "ok": ("✓", "green"),
    "changed": ("●", "yellow"),
    "failed": ("✗", "bold red"),
    "unreachable": ("✗", "bold red"),
    "ignored": ("!", "yellow"),
}

# Steps that only prepare others say nothing to a person when they go well.
QUIET_ACTIONS = frozenset(("assert", "include_vars", "meta", "set_fact", "set_stats", "validate_argument_spec"))

# The titles of the table; the summary's keys are these in small letters, with underscores.
COLUMNS = ("host", "backend", "GPU", "tensor sum", "handshake", "seconds")

PLACES = {"windows": "in Windows", "browser": "in the browser", "wsl": "in Linux", "bios": "in the BIOS"}

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

# What moves the cursor, changes colours, titles or the order of letters; the text that carries it may be another user's.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
DEPTH_MAX = 50


class Summary(NamedTuple):
    """The verdict of one host, and what to do about it."""

    row: Mapping[str, Any]
    remedies: list[Mapping[str, Any]]

    @property
    def ready(self) -> bool:
        return self.row.get("ready") is True


def harmless(value: Any, depth: int = 0) -> Any:
    """Return a result without control characters in its texts; lines stay lines."""
    if isinstance(value, str):
        return CONTROL.sub(" ", value)
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        return {harmless(key): harmless(one, depth + 1) for key, one in value.items()}
    return [harmless(one, depth + 1) for one in value] if isinstance(value, (list, tuple)) else value


def duration(seconds: float) -> str:
    """Seconds as a person reads them: ``0.4 s``, ``12 s``, ``2 min 05 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def ticking(seconds: float) -> str:
    """The time of a step that is still running: whole seconds, or the last digit would flicker."""
    return duration(int(seconds)) if seconds >= 10 else f"{int(seconds)} s"


def cell(value: Any) -> str:
    """One value of the table: never None, True or a float with 15 digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "ok" if value else "failed"
    if isinstance(value, float):
        return f"{value:.1f}"
    return " ".join(str(value).split())


def table_rows(summaries: Iterable[Summary]) -> list[list[str]]:
    """The table that ends a run, its heading first."""
    keys = [title.lower().replace(" ", "_") for title in COLUMNS]
    return [list(COLUMNS)] + [[cell(summary.row.get(key)) for key in keys] for summary in summaries]


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as aligned text, two blanks between the columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def step_line(state: str, seconds: float, name: str, host: str = "", symbols: bool = False) -> Line:
    """A finished step: what came of it, how long it took, which it was."""
    symbol, style = MARKS[state]
    mark = f"  {symbol}" if symbols else f"{state:<11}"
    note = f" ({state})" if symbols and state in ("changed", "ignored", "unreachable") else ""
    where = f" [{host}]" if host else ""
    return [(mark, style), (f" {duration(seconds):>11}  ", "dim"), (name, ""), (where, "dim"), (note, style)]


def running_line(seconds: float, name: str) -> str:
    """The sign of life of a long step, where nothing can tick."""
    return f"{'running':<11} {ticking(seconds):>11}  {name}"


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


def remedy_text(remedy: Mapping[str, Any]) -> str:
    """One thing to do: cause, remedy, place."""
    place = PLACES.get(str(remedy.get("where")), "")
    cause, do = str(remedy.get("cause") or ""), str(remedy.get("do") or "")
    text = ": ".join(part.rstrip(" .") if part is cause else part for part in (cause, do) if part)
    return f"{text} ({place})" if place else text


def to_do(remedies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What leads to READY: what a page in a browser makes of it comes after that (the check `browser` of the report)."""
    return [remedy for remedy in remedies if not str(remedy.get("id")).startswith("browser_")]


def of_wsl(remedies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What Windows has to do for WSL, whether the host is ready or not (the check `wsl_host` of the report)."""
    return [remedy for remedy in remedies if str(remedy.get("id")).startswith("wsl_")]


def verdict(summaries: Mapping[str, Summary], hosts: Iterable[str], stopped: Iterable[str], check: bool) -> str:
    """One word for a run: ``ready`` only when every host of it is."""
    hosts, stopped = list(hosts), set(stopped)
    if check and not stopped:
        return "check"
    if not summaries and not stopped:
        return "none"
    if hosts and not stopped and all(host in summaries and summaries[host].ready for host in hosts):
        return "ready"
    return "not ready"


def verdict_lines(
    word: str,
    summaries: Mapping[str, Summary],
    stopped_at: Mapping[str, str],
    changed: int,
    seconds: float,
    unproven: Mapping[str, Sequence[Mapping[str, Any]]] = {},
) -> list[Line]:
    """What stands below the table. `unproven` is what is to do on hosts of which no report speaks."""
    if word == "check":
        return [[("check mode", "bold"), (f"  {changed} would change; nothing was changed, nothing proven", "")]]
    good = {"none": "done", "ready": "READY"}.get(word)
    title = (good, "bold green") if good else ("NOT READY" if summaries else "STOPPED", "bold red")
    lines: list[Line] = [[title, (f"  {changed} changed, {duration(seconds)}", "")]]
    hosts = sorted({*summaries, *stopped_at, *unproven})
    for host in hosts:
        prefix = f"  {host}: " if len(hosts) > 1 else "  "
        summary = summaries.get(host)
        if summary is None:
            said = [f"stopped at: {stopped_at[host]}"] if host in stopped_at else []
            remedies = list(unproven.get(host, ()))
        elif not summary.ready:
            said, remedies = summary.row.get("reasons") or [], to_do(summary.remedies)
        elif word == "ready" and len(hosts) == 1:
            prefix, said, remedies = "", str(summary.row.get("hint") or "").splitlines(), []
        else:  # that no browser has come is true of every host of a lab, and no news
            said, remedies = [], of_wsl(summary.remedies)
        lines += [[(f"{prefix}{one}", "")] for one in said]
        lines += [[(f"{prefix}to do: ", "bold"), (remedy_text(one), "")] for one in remedies]
    if word == "ready":
        hints = dict.fromkeys(str(s.row["address_hint"]) for s in summaries.values() if s.row.get("address_hint"))
        lines += [[("address: ", ""), (hint, "bold")] for hint in hints]
    return lines


def summary_of(action: str, result: Mapping[str, Any]) -> Summary | None:
    """The summary that the readiness_report module returns, if this result is one."""
    row = result.get("summary")
    if action.rpartition(".")[2] != "readiness_report" or not isinstance(row, Mapping):
        return None
    report = result.get("report")
    remedies = (report.get("remedies") if isinstance(report, Mapping) else None) or []
    return Summary(row, [remedy for remedy in remedies if isinstance(remedy, Mapping)])


def unproven_of(action: str, result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What waits for Windows by the module wsl_host, for runs that end without a report, as a removal does."""
    remedies = result.get("remedies")
    if action.rpartition(".")[2] != "wsl_host" or not isinstance(remedies, list):
        return []
    return of_wsl(remedy for remedy in remedies if isinstance(remedy, Mapping))


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
                f"{name} is no variable of colab-ready and changes nothing. Do: {perhaps}; README.md has the usual ones."
            )
    return said


def settings_line(result: Mapping[str, Any], ready: bool, host: str = "") -> Line:
    """What holds beyond the defaults, by the module host_settings; of a run that was stopped what was remembered before it."""
    recalled = result.get("recalled") or {}
    held = [one for one in result.get("beyond_defaults") or [] if ready or one.partition("=")[0] in recalled]
    where = f" of {host}" if host else ""
    return [(f"settings{where}: {', '.join(held)} (./colab-ready settings)", "")] if held else []


class Screen:
    """Writes lines, and below them, on a terminal, the one line that ticks.

    The ticking line is written straight to the terminal and not through Ansible's display: Ansible forks a worker per task,
    and a forked copy of a thread's locks is a deadlock waiting to happen.
    """

    def __init__(self, display: Any, ticks: bool) -> None:
        self._display = display
        self._write = display.display
        self._main_process = os.getpid()
        self._lock = threading.RLock()
        # What is running, by host and task: its name, and since when.
        self._steps: dict[tuple[str, str], tuple[str, float]] = {}
        self._said: dict[tuple[str, str], int] = {}
        self._end = threading.Event()
        self._drawn = self._blank = False
        self._frames = itertools.cycle(FRAMES)
        self.ticks = ticks
        if ticks:
            # Warnings come from everywhere in Ansible: whatever it prints, the ticking line makes room first.
            display.display = self._above
        atexit.register(self.close)
        threading.Thread(target=self._tick, name="colab_progress", daemon=True).start()

    def start(self, key: tuple[str, str], name: str) -> None:
        with self._lock:
            self._steps[key] = (name, time.monotonic())

    def finish(self, key: tuple[str, str]) -> float:
        """End a step and return its seconds."""
        with self._lock:
            self._said.pop(key, None)
            _name, started = self._steps.pop(key, ("", time.monotonic()))
        return time.monotonic() - started

    def line(self, *parts: tuple[str, str]) -> None:
        parts = tuple((harmless(part).replace("\n", " "), style) for part, style in parts)
        text = "".join(part for part, _style in parts).rstrip()
        if text or not self._blank:
            self._above("".join(itertools.starmap(styled, parts)) if text and ANSIBLE_COLOR else text)
        self._blank = not text

    def block(self, text: str, style: str = "") -> None:
        """A text of several lines, indented, with air around it."""
        for line in ["", *text.splitlines(), ""]:
            self.line((f"    {line}" if line else "", style))

    def table(self, rows: list[list[str]]) -> None:
        for number, text in enumerate(aligned(rows)):
            self.line((text, "" if number else "bold"))

    def close(self) -> None:
        if os.getpid() != self._main_process:
            return
        self._end.set()
        with self._lock:
            self._steps.clear()
            self._erase()
            if self.ticks:
                self._display.display = self._write

    def _above(self, *args: Any, **kwargs: Any) -> Any:
        if os.getpid() != self._main_process:  # a worker's copy: its lines travel to the main process by themselves
            return self._write(*args, **kwargs)
        with self._lock:
            self._erase()
            return self._write(*args, **kwargs)

    def _tick(self) -> None:
        while not self._end.wait(FRAME_SECONDS if self.ticks else 1.0):
            with self._lock:
                if not self._steps or self._end.is_set():
                    continue
                if self.ticks:
                    self._draw()
                else:
                    self._say_alive()
                    # Ansible leaves that to the system, and a pipe would keep the lines until the end.
                    with contextlib.suppress(OSError, ValueError):
                        sys.stdout.flush()

    def _draw(self) -> None:
        name, started = min(self._steps.values(), key=lambda step: step[1])
        others = len(self._steps) - 1
        text = f"  {next(self._frames)} {ticking(time.monotonic() - started):>11}  {name}"
        text += f" (and {others} more)" if others else ""
        self._to_terminal("\r\x1b[2K" + text[: shutil.get_terminal_size().columns - 1])
        self._drawn = True

    def _say_alive(self) -> None:
        for key, (name, started) in self._steps.items():
            seconds = time.monotonic() - started
            tens = int(seconds // HEARTBEAT_SECONDS)
            if tens > self._said.get(key, 0):
                self._said[key] = tens
                self._write(running_line(tens * HEARTBEAT_SECONDS, name))

    def _erase(self) -> None:
        if self._drawn:
            self._to_terminal("\r\x1b[2K")
            self._drawn = False

    def _to_terminal(self, text: str) -> None:
        # A closed terminal ends the run by its own signal; the ticking must not.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), text.encode("utf-8", "replace"))


def styled(text: str, style: str) -> str:
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style else text


class Event:
    """With -v, leave this event to the default callback. What it brings is made harmless either way."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __set_name__(self, owner: type, name: str) -> None:
        @functools.wraps(self.method)
        def choose(plugin: CallbackModule, *args: Any, **kwargs: Any) -> Any:
            for result in args:
                if isinstance(getattr(result, "_result", None), dict):
                    result._result.update(harmless(result._result))
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
        self._began = time.monotonic()
        self._summaries: dict[str, Summary] = {}
        self._unproven: dict[str, list[Mapping[str, Any]]] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}
        self._stopped_at: dict[str, str] = {}
        self._diffs: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._hosts = 1

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # -e alone: in an inventory stand variables of other projects, too.
        for text in misspelt(load_extra_vars(playbook._loader), variables_of(Path(playbook._basedir).parent / "roles")):
            self._display.warning(text)
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
        self._note(result)
        changed = result.is_changed()
        quiet = result._task.action.rpartition(".")[2] in QUIET_ACTIONS or isinstance(result._task, TaskInclude)
        self._finished(result, None if quiet and not changed else "changed" if changed else "ok")
        if result._task.action.rpartition(".")[2] == "debug" and "msg" in result._result:
            self.screen.block(failure_text(result._result))

    @unless_verbose
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host = result._host.get_name()
        self._note(result)
        self._finished(result, "ignored" if ignore_errors else "failed")
        if not ignore_errors:
            self._stopped_at[host] = self._name(result._task)
        # A verdict of this host is shown at the end, with its reasons: the step that acts on it need not repeat them.
        if host not in self._summaries or self._summaries[host].ready:
            self.screen.block(failure_text(result._result), "" if ignore_errors else "red")

    @unless_verbose
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._finished(result, "unreachable")
        self._stopped_at[result._host.get_name()] = self._name(result._task)
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

    def v2_playbook_on_stats(self, stats: Any) -> None:
        totals = {host: stats.summarize(host) for host in sorted(stats.processed)}
        stopped = [host for host, total in totals.items() if total["failures"] or total["unreachable"]]
        word = verdict(self._summaries, totals, stopped, bool(context.CLIARGS.get("check")))
        if self.screen is None:
            super().v2_playbook_on_stats(stats)
        else:
            self._show_end(word, stopped, sum(total["changed"] for total in totals.values()))
            self.screen.close()
        path = os.environ.get("COLAB_READY_RESULT")
        if path:
            Path(path).write_text(word + "\n", encoding="utf-8")

    def _show_end(self, word: str, stopped: list[str], changed: int) -> None:
        self.screen.line()
        if self._summaries and word != "check":
            self.screen.table(table_rows(self._summaries.values()))
            self.screen.line()
        stopped_at = {host: self._stopped_at.get(host, "?") for host in stopped}
        seconds = time.monotonic() - self._began
        for line in verdict_lines(word, self._summaries, stopped_at, changed, seconds, self._unproven):
            # The launcher knows more about the address (it may print it) and speaks after this.
            if not (line[0][0] == "address: " and os.environ.get("COLAB_READY_RESULT")):
                self.screen.line(*line)
        for host, result in self._settings.items() if word in ("ready", "not ready") else ():
            if line := settings_line(result, word == "ready", host if len(self._settings) > 1 else ""):
                self.screen.line(*line)

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

    def _note(self, result: Any) -> None:
        """Keep what the end of the run needs of a result."""
        host, action = result._host.get_name(), result._task.action
        if summary := summary_of(action, result._result):
            self._summaries[host] = summary
        if unproven := unproven_of(action, result._result):
            self._unproven[host] = unproven
        if action.rpartition(".")[2] == "host_settings":
            self._settings[host] = result._result

    def _name(self, task: Any) -> str:
        return self._names.get(task._uuid) or task.get_name().strip()

    def _key(self, result: Any) -> tuple[str, str]:
        return result._host.get_name(), result._task._uuid

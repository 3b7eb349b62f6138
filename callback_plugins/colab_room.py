# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run for a room of computers: a line for each when it ends, what they need at the end, and a record and a page of them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.utils.color import ANSIBLE_COLOR
from jinja2 import Environment, FileSystemLoader, StrictUndefined

# As modules find it (ansible.cfg, module_utils); for plugins Ansible does not look there.
ansible.module_utils.__path__ = [
    *ansible.module_utils.__path__,
    str(Path(__file__).resolve().parents[1] / "module_utils"),
]

from ansible.module_utils.colab_ready.core import screen  # noqa: E402 - the path comes first
from ansible.module_utils.colab_ready.core.text import duration  # noqa: E402 - the same
from ansible.module_utils.colab_ready.files.guarded_paths import Attributes, write_file  # noqa: E402 - the same
from ansible.module_utils.colab_ready.lab import record  # noqa: E402 - the same
from ansible.module_utils.colab_ready.proof import verdict  # noqa: E402 - the same

DOCUMENTATION = r"""
name: colab_room
type: stdout
short_description: A room of computers, a line for each when it ends, and a page at the end
version_added: "0.2.0"
author: the colab-ready authors (@colab-ready)
description:
  - Each computer is one line when it ends, by its name in the inventory. On a terminal a line with the counts ticks below;
    elsewhere it is printed every 10 seconds.
  - At the end stands what is to be done, what most computers need first, and the C(--limit) for those with which the run was not
    well.
  - Into the folder that E(COLAB_READY_ROOM) names, if any, it writes C(hosts/NAME.json) for each computer, and C(room.html),
    C(room.csv) and C(room.json) about all whose records are there.
  - With C(-v) and more, the output is that of P(ansible.builtin.default#callback), with the same lines at the end.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout_callback, by C(./colab-ready lab)
"""

MARKS = {
    "ready": ("✓", "green"),
    "planned": ("✓", "green"),
    "done": ("✓", "green"),
    "off": ("-", "yellow"),
    "lost": ("✗", "bold red"),
    "stopped": ("✗", "bold red"),
    "not ready": ("✗", "bold red"),
}
PAGE = "room.html.j2"
# Actions that run on the controller alone.
HERE = frozenset(("assert", "debug", "include_role", "include_vars", "meta", "set_fact", "validate_argument_spec"))


class Room(screen.Screen):
    """The screen of a room: the line that ticks counts computers, not steps."""

    def __init__(self, display: Any, ticks: bool, count: Callable[[], str]) -> None:
        self._count = count
        self._printed = 0.0
        super().__init__(display, ticks)

    def running(self) -> str:
        (name, _task), (step, started) = min(self._steps.items(), key=lambda item: item[1][1])
        return f"{self._count()}   {name}: {step}, {screen.ticking(time.monotonic() - started)}"

    def _say_alive(self) -> None:
        if time.monotonic() - self._printed >= screen.HEARTBEAT_SECONDS:
            self._printed = time.monotonic()
            self.put(self.running())

    def line(self, *parts: tuple[str, str]) -> None:
        self._printed = time.monotonic()
        self.put(verdict.rendered(parts, ANSIBLE_COLOR))


class CallbackModule(DefaultCallback):
    """The plugin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "colab_room"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        place = os.environ.get("COLAB_READY_ROOM")
        self._folder = Path(place) if place else None
        self._plans = os.environ.get("COLAB_READY_ROOM_PLANS") == "1"
        self._records: dict[str, dict[str, Any]] = {}
        self._first: dict[str, float] = {}
        self._hosts: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._answered: set[str] = set()
        self._room: Any = None

    # -- events

    def v2_playbook_on_start(self, playbook: Any) -> None:
        ticks = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        if self._display.verbosity:
            super().v2_playbook_on_start(playbook)
            ticks = False
        self._room = Room(self._display, ticks, self._progress)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if self._display.verbosity:
            super().v2_playbook_on_play_start(play)
        inventory = play.get_variable_manager()._inventory
        self._hosts.update({host.get_name(): host for host in inventory.get_hosts(play.hosts)})
        if not self._records:
            self._room.line(
                (play.get_name().strip(), "bold"),
                (f": {len(self._hosts)} computer{'s' if len(self._hosts) > 1 else ''}", ""),
            )

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._first.setdefault(host.get_name(), time.monotonic())
        self._room.start((host.get_name(), task._uuid), self._step(task))

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result(result)
        name, data = result._host.get_name(), result._result
        summary = verdict.summary_of(result._task.action, data)
        if summary:
            report = data.get("report") if isinstance(data.get("report"), Mapping) else {}
            self._end(name, **record.of_report(verdict.harmless(report)))
        elif self._plans and result._task.action.rpartition(".")[2] == "gpu_device":
            backend = data.get("backend") or {}
            adapters = data.get("adapters") or []
            card = next((one.get("name") for one in adapters if one.get("index") == backend.get("adapter")), None)
            work = verdict.work_of(result._task.action, data) or f"{backend.get('name')} is there already"
            self._end(name, state="planned", cause=work, backend=backend.get("name"), gpu=card)
        elif self._display.verbosity:
            super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result(result)
        if self._display.verbosity:
            super().v2_runner_on_failed(result, ignore_errors)
        if ignore_errors:
            return
        cause, do = record.of_problems(str(verdict.harmless(result._result).get("msg") or ""))
        self._end(result._host.get_name(), state="stopped", step=self._step(result._task), cause=cause, do=do)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._room.finish((result._host.get_name(), result._task._uuid))
        name = result._host.get_name()
        said = str(verdict.harmless(result._result).get("msg") or "")
        cause, do = record.why_unreachable(said, self._address(name))
        state = "lost" if name in self._answered else "off"
        if self._display.verbosity:
            super().v2_runner_on_unreachable(result)
        self._end(name, state=state, step=self._step(result._task), cause=cause, do=do)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result(result)
        if self._display.verbosity:
            super().v2_runner_on_skipped(result)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool = False) -> None:
        # Only now is the name templated; Ansible puts the raw one back afterwards.
        self._names[task._uuid] = (task.name or task.get_name()).strip()
        if self._display.verbosity:
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for name in self._hosts:
            if name not in self._records:
                ran = name in stats.processed
                self._end(name, state="done" if ran else "stopped", cause="" if ran else "no task was run")
        self._room.close()
        self._last_lines([self._records[name] for name in sorted(self._hosts)])
        if self._folder:
            with contextlib.suppress(OSError):
                self._write(self._folder, self._kept(self._folder))
                self._room.line(("page: ", ""), (str(self._folder / "room.html"), "bold"))

    # Nothing of these is news for a room.
    def v2_playbook_on_no_hosts_remaining(self) -> None: ...
    def v2_playbook_on_include(self, included_file: Any) -> None: ...
    def v2_runner_item_on_ok(self, result: Any) -> None: ...
    def v2_runner_item_on_failed(self, result: Any) -> None: ...
    def v2_runner_item_on_skipped(self, result: Any) -> None: ...
    def v2_runner_retry(self, result: Any) -> None: ...

    # -- records

    def _result(self, result: Any) -> None:
        name = result._host.get_name()
        self._room.finish((name, result._task._uuid))
        # Some actions ask the computer nothing.
        if result._task.action.rpartition(".")[2] not in HERE and "skipped" not in result._result:
            self._answered.add(name)

    def _step(self, task: Any) -> str:
        return self._names.get(task._uuid) or task.get_name().strip()

    def _address(self, name: str) -> str:
        return str(self._hosts[name].vars.get("ansible_host") or name)

    def _end(self, name: str, **parts: Any) -> None:
        """A computer has ended; what comes behind a worse end does not mend it."""
        if self._records.get(name, {}).get("state") not in (None, *record.GOOD):
            return
        variables = self._hosts[name].vars
        made = {
            "schema": record.SCHEMA,
            "name": name,
            "address": self._address(name),
            "transport": self._group(name),
            "step": "",
            "cause": "",
            "do": "",
            "seconds": round(time.monotonic() - self._first.get(name, time.monotonic()), 1),
            "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "user": variables.get("colab_user"),
            **dict.fromkeys(("backend", "gpu", "driver", "torch", "device", "tensor_sum", "throughput")),
            **parts,
        }
        self._records[name] = made
        if self._folder:
            with contextlib.suppress(OSError):
                _put(self._folder / "hosts" / f"{name}.json", json.dumps(made, indent=1) + "\n")
        self._say_end(made)

    def _group(self, name: str) -> str:
        groups = [group.name for group in self._hosts[name].groups]
        return next((one for one in ("linux", "wsl", "localhost") if one in groups), "")

    def _say_end(self, made: Mapping[str, Any]) -> None:
        mark, style = MARKS[made["state"]]
        title = record.STATES[made["state"]]
        what = " ".join(str(one) for one in (made["backend"], made["gpu"]) if one)
        where = f" at “{made['step']}”" if made["step"] and made["state"] != "off" else ""
        told = what if made["state"] == "ready" else f"{what + ': ' if what else ''}{made['cause']}"
        width = max(len(name) for name in self._hosts)
        self._room.line(
            (f"  {mark} ", style), (f"{made['name']:<{width}}  ", ""), (f"{title:<13}", style),
            (f" {duration(made['seconds']):>11}  ", "dim"), (f"{told}{where}", ""),
        )  # fmt: skip

    def _progress(self) -> str:
        counted = record.counts(self._records.values())
        return f"{len(self._records)} of {len(self._hosts)}" + (f": {counted}" if counted else "")

    # -- the end

    def _last_lines(self, records: list[dict[str, Any]]) -> None:
        well = all(one["state"] in record.GOOD for one in records)
        self._room.line()
        for cause, do, names in record.causes(records):
            self._room.line((f"  {record.sentence(cause, do, names)}", ""))
        style = "bold green" if well else "bold red"
        seconds = duration(time.monotonic() - self._began)
        self._room.line((record.counts(records) or "no computer", style), (f"  of {len(records)}, {seconds}", ""))
        if not well:
            self._room.line(("again, for these alone: ", ""), (f"--limit {record.limit(records)}", "bold"))

    def _kept(self, folder: Path) -> list[Mapping[str, Any]]:
        """The records of the room: of this run, and of earlier ones for computers that it left out."""
        kept: dict[str, Any] = {}
        for path in sorted((folder / "hosts").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                one = json.loads(path.read_text(encoding="utf-8"))
                if one.get("schema") == record.SCHEMA and one.get("state") in record.STATES:
                    kept[path.stem] = one
        return record.ordered(kept.values())

    def _write(self, folder: Path, records: list[Mapping[str, Any]]) -> None:
        _put(folder / "room.json", json.dumps({"schema": record.SCHEMA, "hosts": records}, indent=1) + "\n")
        _put(folder / "room.csv", _csv(records))
        fast = max((one["throughput"] or 0 for one in records), default=0)
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        text = environment.get_template(PAGE).render(
            title=folder.name, records=records, causes=record.causes(records), counts=record.counts(records),
            states=record.STATES, good=record.GOOD, fast=fast, duration=duration,
            made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        )  # fmt: skip
        _put(folder / "room.html", text)


def _put(path: Path, text: str) -> None:
    """Replace a file of the room in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(str(path), text.encode("utf-8"), Attributes(os.geteuid(), os.getegid(), 0o600))


def _csv(records: list[Mapping[str, Any]]) -> str:
    """A table for spreadsheets; no cell is a formula (OWASP, "CSV injection")."""
    columns = [key for key in (records[0] if records else {}) if key != "schema"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for one in records:
        cells = ["" if one.get(key) is None else str(one.get(key)) for key in columns]
        writer.writerow([f"'{cell}" if cell[:1] in "=+-@\t\r" and cell else cell for cell in cells])
    return out.getvalue()

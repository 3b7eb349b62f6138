# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a probe under another Python, as another user, and come back whatever happens to it.

A GPU driver can end the interpreter with a bare SIGSEGV, abort it, hang in the kernel, write to the process's
descriptors, or die when everything is done (facts: microsoft/DirectML#503, #570, #672). So a probe is a child in a
session of its own, speaks JSON lines on a pipe that nothing else knows, and is read and waited for with limits.

A probe's source defines `main(params, report)`; it calls `report` with
    {"step": id, "begin": true}               before a step,
    {"step": id, "ok": bool, "seconds": s, …}  after it,
    {"result": {…}}                            at the end.
"""

from __future__ import annotations

import json
import os
import time
import types
from collections.abc import Mapping
from typing import Any

from ..core.text import cleaned, readable_lines
from .run import (
    BURIAL_SECONDS,
    STDERR_LINES,
    Conversation,
    Heard,
    NotStarted,
    account_of,
    child_environment,
    exit_of,
    how_it_ended,
    start,
)

# What the other interpreter is told on its command line: the same for every probe, and free of secrets. The source and
# its parameters come on stdin, reports go to the descriptor that is named in argv.
BOOT = r"""
import json, os, sys, types
channel = int(sys.argv[1])
os.set_inheritable(channel, False)
sys.path[:] = [entry for entry in sys.path if entry]
job = json.loads(sys.stdin.buffer.read().decode())
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
os.close(null)
sys.argv[:] = [job["name"]]
def report(line):
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[os.write(channel, data):]
probe = types.ModuleType(job["name"])
sys.modules[job["name"]] = probe
try:
    exec(compile(job["source"], "<" + job["name"] + ">", "exec"), probe.__dict__)
    probe.main(job["params"], report)
except BaseException as error:
    report({"exception": {"class": type(error).__name__, "text": str(error)[:2000]}})
    sys.exit(1)
"""

# The start of a text that is made of several modules: they find each other by their names, relative ones too, and the packages
# around them are as empty as ours.
IMPORTER = r"""
import sys
from importlib.machinery import ModuleSpec
class Sources(dict):
    def find_spec(self, name, path=None, target=None):
        package = any(other.startswith(name + ".") for other in self)
        return ModuleSpec(name, self, is_package=package) if package or name in self else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(self.get(module.__name__, ""), "<" + module.__name__ + ">", "exec"), module.__dict__)
"""

CHANNEL_BYTES = 4 << 20
NOISE_BYTES = 16 << 10
NOISE_LINES = 20


def run_probe(
    source: str,
    params: dict[str, Any],
    python: str,
    timeout_seconds: float,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    *,
    name: str = "probe",
    grace_seconds: float = 0.0,
    exit_seconds: float = 10.0,
) -> dict[str, Any]:
    """Run `source` in `python`; return {steps, running, last_step, result, exit, noise, noise_lines, stderr_tail, seconds}.

    exit is {kind, signal, code, text, class, problem}. Its kind is one of: ok; exception (one escaped from the probe);
    exit (another non-zero status); signal; timeout; not_started (problem says why).
    At the timeout the probe's whole group gets SIGTERM, and SIGKILL `grace_seconds` later. Once the result has come, the
    probe has `exit_seconds` to end.
    """
    started = time.monotonic()
    heard = _Steps()
    reader, writer = os.pipe()
    alarm = int(timeout_seconds + grace_seconds + exit_seconds + BURIAL_SECONDS) + 1
    try:
        account = account_of(user)
        argv = [python, "-X", "faulthandler", "-u", "-c", BOOT, str(writer)]
        process = start(
            argv, account, child_environment(account, env), umask=0o077, alarm_seconds=alarm, pass_fds=[writer]
        )
    except NotStarted as reason:
        os.close(reader)
        return _outcome(heard, exit_of("not_started", text=str(reason), problem=reason.problem), started)
    finally:
        os.close(writer)
    job = json.dumps({"name": name, "source": source, "params": params}).encode()
    talk = Conversation(process, heard, job, reader)
    talk.hear_out(timeout_seconds, grace_seconds, exit_seconds)
    return _outcome(heard, how_it_ended(talk), started)


def probe_source(probe: types.ModuleType, *others: types.ModuleType) -> str:
    """Return one text that is this probe and those of our modules that it imports, which are nowhere in the other Python."""
    sources = {module.__name__.removeprefix("ansible.module_utils."): _text_of(module) for module in (probe, *others)}
    return f"{IMPORTER}sys.meta_path.insert(0, Sources({sources!r}))\nfrom {next(iter(sources))} import main\n"


def _text_of(module: types.ModuleType) -> str:
    """A module that Ansible sent is in a zip file, so there is no file to open."""
    loader = getattr(module, "__loader__", None)
    text = loader.get_source(module.__name__) if loader is not None else None
    if text is None:
        raise ValueError(f"the source of {module.__name__} is not at hand")
    return str(text)


class _Steps(Heard):
    """What came from the probe so far. It is another user's program: bounded, and believed only in shape."""

    def __init__(self) -> None:
        super().__init__(most=NOISE_BYTES)
        self.steps: list[dict[str, Any]] = []
        self.running: list[str] = []
        self.last_step: str | None = None
        self.noise_lines = 0
        self._room = CHANNEL_BYTES
        self._rest = b""

    def channel(self, data: bytes) -> None:
        if self._room <= 0:
            return
        self._room -= len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            try:
                self._line(cleaned(json.loads(line.decode())))
            except (ValueError, RecursionError):
                continue

    def _line(self, said: Any) -> None:
        if not isinstance(said, dict):
            return
        if isinstance(said.get("result"), dict):
            self.result = said["result"]
        elif isinstance(said.get("exception"), dict):
            self.exception = {key: str(said["exception"].get(key, ""))[:2000] for key in ("class", "text")}
        elif isinstance(said.get("step"), str):
            step = said["step"]
            if said.get("begin"):
                self.last_step = step
                self.running.append(step)
            else:
                self.running = [other for other in self.running if other != step]
                self.steps.append(said)

    def stdout(self, data: bytes) -> None:
        self.noise_lines += data.count(b"\n")
        super().stdout(data)


def _outcome(heard: _Steps, ended: dict[str, Any], started: float) -> dict[str, Any]:
    return {
        "steps": heard.steps,
        "running": heard.running,
        "last_step": heard.last_step,
        "result": heard.result,
        "exit": ended,
        "noise": readable_lines(heard.output)[:NOISE_LINES],
        "noise_lines": heard.noise_lines,
        "stderr_tail": readable_lines(heard.errors)[-STDERR_LINES:],
        "seconds": round(time.monotonic() - started, 3),
    }

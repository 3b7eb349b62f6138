# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a run on the terminal, and below them one that ticks."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import sys
import threading
import time
from typing import Any

from .output import while_read
from .text import duration

HEARTBEAT_SECONDS = 10
FRAME_SECONDS = 0.2
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def ticking(seconds: float) -> str:
    """The time of a step that is still running: whole seconds, or the last digit would flicker."""
    return duration(int(seconds)) if seconds >= 10 else f"{int(seconds)} s"


def running_line(seconds: float, name: str) -> str:
    """The sign of life of a long step, where nothing can tick."""
    return f"{'running':<11} {ticking(seconds):>11}  {name}"


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

    def put(self, text: str) -> None:
        """Print a line; of several empty ones the first."""
        if text or not self._blank:
            self._above(text)
        self._blank = not text

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
        with self._lock, while_read():
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

    def running(self) -> str:
        """Return the line that ticks, without its first sign."""
        name, started = min(self._steps.values(), key=lambda step: step[1])
        others = f" (and {len(self._steps) - 1} more)" if len(self._steps) > 1 else ""
        return f"{ticking(time.monotonic() - started):>11}  {name}{others}"

    def _draw(self) -> None:
        text = f"  {next(self._frames)} {self.running()}"
        self._to_terminal("\r\x1b[2K" + text[: shutil.get_terminal_size().columns - 1])
        self._drawn = True

    def _say_alive(self) -> None:
        """Print a sign of life of each long step, where nothing can tick."""
        for key, (name, started) in self._steps.items():
            seconds = time.monotonic() - started
            tens = int(seconds // HEARTBEAT_SECONDS)
            if tens > self._said.get(key, 0):
                self._said[key] = tens
                self._above(running_line(tens * HEARTBEAT_SECONDS, name))

    def _erase(self) -> None:
        if self._drawn:
            self._to_terminal("\r\x1b[2K")
            self._drawn = False

    def _to_terminal(self, text: str) -> None:
        # A closed terminal ends the run by its own signal; the ticking must not.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), text.encode("utf-8", "replace"))

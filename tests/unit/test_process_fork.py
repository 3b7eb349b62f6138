"""A copy of the process may do anything: run_forked comes back, with the truth, and leaves nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible.module_utils.colab_ready.process import fork as forked
from ansible.module_utils.colab_ready.process.fork import Say, run_forked, run_together


def test_the_value_comes_back_as_json_says_it() -> None:
    outcome = run_forked(lambda say: {"word": "ä\ud800", "big": 1 << 64, "list": (1, None)}, 10)
    assert (outcome.kind, outcome.value) == ("ok", {"word": "ä\ud800", "big": 1 << 64, "list": [1, None]})


def test_the_copy_does_not_go_on_with_what_its_caller_does_next(tmp_path: Path) -> None:
    run_forked(lambda say: 1, 10)
    with open(tmp_path / "who", "a", encoding="ascii") as stream:
        stream.write(f"{os.getpid()}\n")
    time.sleep(0.3)
    assert (tmp_path / "who").read_text() == f"{os.getpid()}\n"


def test_more_than_a_pipe_holds_comes_back() -> None:
    assert run_forked(lambda say: "x" * 1_000_000, 10).value == "x" * 1_000_000


def hang(say: Say) -> NoReturn:
    say("knocking")
    while True:
        time.sleep(60)


def hang_and_ignore(say: Say) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    hang(say)


def crash(say: Say) -> None:
    say("reading at 0")
    ctypes.string_at(0)


def leave(say: Say) -> None:
    os._exit(3)


def fail(say: Say) -> None:
    say("dividing")
    raise ZeroDivisionError("by zero")


def say_what_json_cannot(say: Say) -> object:
    return object()


def exit_with_a_word(say: Say) -> None:
    sys.exit("good-bye")


ENDS: list[tuple[Callable[[Say], Any], float, str, str, str]] = [
    (hang, 0.2, "timeout", "no answer within 0.2 s", "knocking"),
    (hang_and_ignore, 0.2, "timeout", "no answer within 0.2 s", "knocking"),
    (crash, 20, "crashed", "killed by SIGSEGV", "reading at 0"),
    (leave, 20, "crashed", "ended without an answer", ""),
    (fail, 20, "exception", "ZeroDivisionError: by zero", "dividing"),
    (say_what_json_cannot, 20, "exception", "TypeError: Object of type object is not JSON serializable", ""),
    (exit_with_a_word, 20, "exception", "SystemExit: good-bye", ""),
]


@pytest.mark.parametrize(("work", "seconds", "kind", "text", "step"), ENDS, ids=[case[0].__name__ for case in ENDS])
def test_however_it_ends_it_is_told(work: Any, seconds: float, kind: str, text: str, step: str) -> None:
    outcome = run_forked(work, seconds)
    assert (outcome.kind, outcome.text, outcome.step, outcome.value) == (kind, text, step, None)


def children() -> set[str]:
    """The processes of ours, ended ones too: what other tests keep for later is among them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(stat.parent.name)
    return found


def test_nothing_is_left_behind() -> None:
    before, processes = set(os.listdir("/proc/self/fd")), children()
    for work in (hang, crash, leave, fail, lambda say: 1):
        run_forked(work, 0.2)
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == processes


def test_a_copy_that_survives_the_kill_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    real_fork = os.fork

    def fork() -> int:
        started.append(real_fork())
        return started[-1]

    monkeypatch.setattr(forked.os, "fork", fork)
    monkeypatch.setattr(forked.os, "waitpid", lambda pid, options: (0, 0))
    outcome = run_forked(hang, 0.1, burial_seconds=0.1)
    monkeypatch.undo()
    os.waitpid(started[0], 0)
    assert outcome.kind == "timeout"
    assert "survived SIGKILL" in outcome.text


def test_a_program_that_buries_no_children_gets_its_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run_forked(lambda say: 5, 10) == forked.Outcome("ok", 5)
        assert run_forked(crash, 10).kind == "crashed"
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_where_no_process_can_be_started_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(forked.os, "fork", fork)
    outcome = run_forked(lambda say: 1, 10)
    assert outcome.kind == "not_started"
    assert "Resource temporarily unavailable" in outcome.text
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_it_prints_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    def print_a_lot(say: Say) -> str:
        os.write(1, b"Dropped Escape call with ulEscapeCode : 0x03007703\n")
        os.write(2, b"and more\n")
        return "done"

    assert run_forked(print_a_lot, 10).value == "done"
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_caller_leaves_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(forked, "_heard", interrupt)
    processes = children()
    with pytest.raises(KeyboardInterrupt):
        run_forked(hang, 60)
    assert children() == processes


def test_those_that_work_together_answer_in_their_order() -> None:
    def slow(say: Say) -> str:
        time.sleep(0.3)
        return "slow"

    outcomes = run_together([slow, lambda say: "quick", fail], 10)
    assert [(one.kind, one.value) for one in outcomes] == [("ok", "slow"), ("ok", "quick"), ("exception", None)]


def test_one_that_fails_ends_the_others_at_once_and_leaves_nothing() -> None:
    processes, began = children(), time.monotonic()
    outcomes = run_together([hang, fail, lambda say: "quick"], 60, ends_all=lambda one: one.kind == "exception")
    assert [one.kind for one in outcomes[:2]] == ["ended", "exception"] and outcomes[2].kind in ("ok", "ended")
    assert time.monotonic() - began < 30 and children() == processes


def test_each_of_those_that_work_together_has_its_limit() -> None:
    outcomes = run_together([hang, lambda say: "quick"], 0.5)
    assert [(one.kind, one.step) for one in outcomes] == [("timeout", "knocking"), ("ok", "")]

"""What the progress callback makes of results, without a run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core import screen

PLUGIN = Path(__file__).parents[2] / "callback_plugins" / "colab_progress.py"


def load_plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colab_progress_under_test", PLUGIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


progress = load_plugin()


def text_of(lines: list[Any]) -> str:
    return "\n".join("".join(text for text, _style in line) for line in lines)


SUDO_RS = (
    "Ansible waited in vain for sudo, whose way to ask for a password it may not know (sudo-rs).\nExpected a sudo that needs no "
    "password, or one that Ansible knows. Do: ./colab-ready, which leaves the asking to sudo."
)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0 s"), (9.99, "9 s"), (10.5, "10 s"), (59.9, "59 s"), (61, "1 min 01 s")]
)
def test_a_running_step_counts_whole_seconds(seconds: float, text: str) -> None:
    assert screen.ticking(seconds) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"msg": "port 8888 is taken.\nDo: -e colab_port=9000"}, "port 8888 is taken.\nDo: -e colab_port=9000"),
        ({"msg": ["one", "two"]}, "one\ntwo"),
        ({}, "failed without a message"),
        ({"censored": "hidden by no_log", "msg": "hunter2"}, "hidden by no_log"),
        (
            {
                "msg": "All items completed",
                "results": [{"failed": True, "msg": "a"}, {"msg": "fine"}, {"failed": True, "msg": "b"}],
            },
            "a\nb",
        ),
        ({"msg": "x", "results": [{"failed": True, "msg": "same"}, {"failed": True, "msg": "same"}]}, "same"),
        ({"msg": "x", "results": [{"failed": True, "censored": "hidden", "msg": "hunter2"}]}, "hidden"),
        (
            {"msg": "non-zero return code", "cmd": ["ls", "/gone"], "rc": 2, "stderr": "ls: cannot access '/gone'\n"},
            "ls /gone: exit status 2\nls: cannot access '/gone'",
        ),
        ({"msg": "x", "cmd": "false", "rc": 1, "stdout": "only stdout"}, "false: exit status 1\nonly stdout"),
        ({"msg": "MODULE FAILURE", "module_stderr": "Traceback\nKeyError: 'a'\n"}, "MODULE FAILURE\nKeyError: 'a'"),
        ({"msg": "it broke", "exception": "Traceback ..."}, "it broke\n(more with -vvv)"),
        ({"msg": "Task failed: Module failed: it broke"}, "Module failed: it broke"),
        (
            {
                "msg": "Task failed: Duplicate become password prompt encountered waiting for become success.\n>>> Standard"
            },
            "sudo did not accept the password.\nExpected the password of a user who may use sudo. Do: start again.",
        ),
        (
            {"msg": "Premature end of stream ...\n>>> Standard Error\nsudo: a password is required"},
            "sudo wants a password, and none was given.\nDo: start again with --ask-become-pass, or through ./colab-ready.",
        ),
        # Recorded with sudo-rs 0.2.15: with --ask-become-pass, and without.
        (
            {
                "msg": "Task failed: Timed out waiting for become success or become password prompt.\n>>> Standard Error\n"
                "[sudo: [sudo via ansible, key=uoncybgvqizyxvotviytykwmpcubjflo] password:] Password:"
            },
            SUDO_RS,
        ),
        ({"msg": "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error"}, SUDO_RS),
        ({"msg": "a refusal", "exception": "(traceback unavailable)"}, "a refusal"),
    ],
)
def test_a_failure_is_the_message_of_the_module_and_nothing_else(result: dict[str, Any], text: str) -> None:
    assert progress.failure_text(result) == text


def test_of_a_failed_command_only_the_end_of_its_output_is_shown() -> None:
    text = progress.failure_text({"cmd": "make", "rc": 1, "stderr": "\n".join(f"line {i}" for i in range(500))})
    assert text.splitlines()[1] == "line 490" and text.splitlines()[-1] == "line 499"


@pytest.mark.parametrize(
    ("state", "symbols", "text"),
    [
        ("ok", False, "ok                0.4 s  Name"),
        ("changed", False, "changed           0.4 s  Name"),
        ("unreachable", False, "unreachable       0.4 s  Name"),
        ("ok", True, "  ✓       0.4 s  Name"),
        ("changed", True, "  ●       0.4 s  Name (changed)"),
        ("failed", True, "  ✗       0.4 s  Name"),
    ],
)
def test_a_finished_step_is_one_line(state: str, symbols: bool, text: str) -> None:
    assert text_of([progress.step_line(state, 0.4, "Name", "", symbols)]) == text


EVIL = "\x1b]0;OWNED\x07\x1b[2K\u202e\r"


class Shown:
    """As much of Ansible's display as a screen needs."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, text: str) -> None:
        self.lines.append(text)


def test_a_line_and_a_block_are_harmless_and_a_line_is_one_line() -> None:
    shown = Shown()
    screen = progress.Screen(shown, False)
    screen.line((f"NOT{EVIL}\nREADY", "bold"))
    screen.block(f"x{EVIL}")
    screen.close()
    assert all(line.isprintable() for line in shown.lines) and "NOT ]0;OWNED  [2K   READY" in shown.lines


def test_what_an_event_brings_is_made_harmless_with_and_without_verbosity(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(progress.DefaultCallback, "v2_runner_on_ok", lambda self, result: seen.append(result._result))
    plugin = progress.CallbackModule.__new__(progress.CallbackModule)
    plugin.screen = None
    result = type("Result", (), {"_result": {"warnings": [EVIL]}})()
    plugin.v2_runner_on_ok(result)
    assert seen == [{"warnings": [" ]0;OWNED  [2K  "]}]

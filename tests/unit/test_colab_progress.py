"""What the progress callback makes of results, without a run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

PLUGIN = Path(__file__).parents[2] / "callback_plugins" / "colab_progress.py"


def load_plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colab_progress_under_test", PLUGIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


progress = load_plugin()

READY = {
    "host": "pc",
    "ready": True,
    "backend": "cpu",
    "gpu": "none",
    "tensor_sum": "ok (cpu)",
    "handshake": "ok",
    "seconds": 3.14159,
    "reasons": [],
    "address_hint": "./colab-ready url",
}
BROKEN = {**READY, "ready": False, "handshake": "failed", "reasons": ["colab_handshake: connection refused"]}
REMEDY = {"id": "server_down", "cause": "The server is down.", "do": "colab-runtime start", "where": "wsl"}
PERMISSION = {"id": "browser_permission", "cause": "Nobody came.", "do": "Allow it.", "where": "browser"}
RESTART = {"id": "wsl_shutdown", "cause": "WSL waits", "do": "wsl --shutdown", "where": "windows"}


def summary(row: dict[str, Any], *remedies: dict[str, Any]) -> Any:
    return progress.Summary(row, list(remedies))


def text_of(lines: list[Any]) -> str:
    return "\n".join("".join(text for text, _style in line) for line in lines)


SUDO_RS = (
    "Ansible waited in vain for sudo, whose way to ask for a password it may not know (sudo-rs).\nExpected a sudo that needs no "
    "password, or one that Ansible knows. Do: ./colab-ready, which leaves the asking to sudo."
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (605, "10 min 05 s"),
    ],
)
def test_a_duration_reads_like_a_clock(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0 s"), (9.99, "9 s"), (10.5, "10 s"), (59.9, "59 s"), (61, "1 min 01 s")]
)
def test_a_running_step_counts_whole_seconds(seconds: float, text: str) -> None:
    assert progress.ticking(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "ok"), (False, "failed"), (3.14159, "3.1"), (3, "3"), ("two\n lines", "two lines"), ("", "")],
)
def test_a_cell_is_short_text(value: Any, text: str) -> None:
    assert progress.cell(value) == text


def test_the_table_is_aligned_and_has_a_row_per_host() -> None:
    rows = progress.table_rows([summary(READY), summary({**BROKEN, "host": "a-longer-name"})])
    assert progress.aligned(rows) == [
        "host           backend  GPU   tensor sum  handshake  seconds",
        "pc             cpu      none  ok (cpu)    ok         3.1",
        "a-longer-name  cpu      none  ok (cpu)    failed     3.1",
    ]


def test_a_row_without_a_value_is_no_error() -> None:
    assert progress.table_rows([summary({"host": "pc"})])[1] == ["pc", "-", "-", "-", "-", "-"]


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
    ("remedy", "text"),
    [
        (REMEDY, "The server is down: colab-runtime start (in Linux)"),
        (
            {"cause": "The driver is old", "do": "Update it.", "where": "windows"},
            "The driver is old: Update it. (in Windows)",
        ),
        ({"do": "Allow it", "where": "browser"}, "Allow it (in the browser)"),
        ({"do": "Switch it off", "where": "bios"}, "Switch it off (in the BIOS)"),
        ({"do": "Allow it", "where": "elsewhere"}, "Allow it"),
    ],
)
def test_a_remedy_is_one_sentence_with_its_place(remedy: dict[str, Any], text: str) -> None:
    assert progress.remedy_text(remedy) == text


@pytest.mark.parametrize(
    ("rows", "hosts", "stopped", "check", "word"),
    [
        ({"pc": READY}, ["pc"], [], False, "ready"),
        ({"pc": BROKEN}, ["pc"], [], False, "not ready"),
        ({"pc": BROKEN}, ["pc"], ["pc"], False, "not ready"),
        ({"pc": READY}, ["pc"], ["pc"], False, "not ready"),
        ({"pc": READY}, ["pc", "other"], [], False, "not ready"),
        ({"pc": READY}, [], [], False, "not ready"),
        ({"pc": {**READY, "ready": "yes"}}, ["pc"], [], False, "not ready"),
        ({}, ["pc"], ["pc"], False, "not ready"),
        ({}, ["pc"], [], False, "none"),
        ({}, [], [], False, "none"),
        ({"pc": READY}, ["pc"], [], True, "check"),
        ({"pc": BROKEN}, ["pc"], ["pc"], True, "not ready"),
    ],
)
def test_ready_needs_every_host_to_be_proven(
    rows: dict[str, Any], hosts: list[str], stopped: list[str], check: bool, word: str
) -> None:
    assert progress.verdict({host: summary(row) for host, row in rows.items()}, hosts, stopped, check) == word


def test_ready_tells_the_changes_and_where_the_address_is() -> None:
    lines = progress.verdict_lines("ready", {"pc": summary(READY)}, {}, 0, 4.2)
    assert text_of(lines) == "READY  0 changed, 4.2 s\naddress: ./colab-ready url"


def test_ready_has_one_line_about_the_browser_and_only_for_a_single_host() -> None:
    hinted = {**READY, "hint": "no browser has come yet"}
    lines = progress.verdict_lines("ready", {"pc": summary(hinted)}, {}, 0, 4.2)
    assert text_of(lines) == "READY  0 changed, 4.2 s\nno browser has come yet\naddress: ./colab-ready url"
    lab = progress.verdict_lines("ready", {"a": summary(hinted), "b": summary(hinted)}, {}, 0, 4.2)
    assert "browser" not in text_of(lab)


def test_ready_has_a_line_for_each_hint() -> None:
    hinted = {**READY, "hint": "wsl --shutdown\nno browser has come yet"}
    lines = progress.verdict_lines("ready", {"pc": summary(hinted, RESTART)}, {}, 0, 4.2)
    assert text_of(lines).splitlines()[1:] == [
        "wsl --shutdown",
        "no browser has come yet",
        "address: ./colab-ready url",
    ]


def test_of_a_lab_each_pc_whose_wsl_has_to_be_started_again_is_named_ready_or_not() -> None:
    said = "to do: WSL waits: wsl --shutdown (in Windows)"
    ready = {"a": summary(READY, RESTART, PERMISSION), "b": summary(READY, PERMISSION), "c": summary(READY, RESTART)}
    text = text_of(progress.verdict_lines("ready", ready, {}, 0, 4.2))
    assert text.splitlines()[1:] == [f"  a: {said}", f"  c: {said}", "address: ./colab-ready url"]
    mixed = {"a": summary(READY, RESTART), "b": summary(BROKEN, REMEDY, RESTART)}
    text = text_of(progress.verdict_lines("not ready", mixed, {}, 0, 4.2))
    assert text.splitlines()[1:] == [
        f"  a: {said}",
        "  b: colab_handshake: connection refused",
        "  b: to do: The server is down: colab-runtime start (in Linux)",
        f"  b: {said}",
    ]


def test_a_run_without_a_report_tells_what_waits_for_windows_and_check_mode_does_not() -> None:
    removed = text_of(progress.verdict_lines("none", {}, {}, 3, 2, {"pc": [RESTART]}))
    assert removed.splitlines()[1:] == ["  to do: WSL waits: wsl --shutdown (in Windows)"]
    stopped = text_of(progress.verdict_lines("not ready", {}, {"pc": "Have the tools"}, 3, 2, {"pc": [RESTART]}))
    assert stopped.splitlines()[1:] == [
        "  stopped at: Have the tools",
        "  to do: WSL waits: wsl --shutdown (in Windows)",
    ]
    assert "shutdown" not in text_of(progress.verdict_lines("check", {}, {}, 3, 2, {"pc": [RESTART]}))


@pytest.mark.parametrize(
    ("action", "remedies", "found"),
    [
        ("wsl_host", [{"id": "wsl_shutdown"}], ["wsl_shutdown"]),
        ("ansible.legacy.wsl_host", [{"id": "wsl_update"}, {"id": "other"}], ["wsl_update"]),
        ("wsl_host", None, []),
        ("wsl_host", [None, "text"], []),
        ("tensor_add", [{"id": "wsl_shutdown"}], []),
    ],
)
def test_only_the_module_of_wsl_speaks_of_a_restart(action: str, remedies: Any, found: list[str]) -> None:
    assert [remedy["id"] for remedy in progress.unproven_of(action, {"remedies": remedies})] == found


def test_a_host_that_is_not_ready_is_not_told_about_the_browser() -> None:
    lines = progress.verdict_lines("not ready", {"pc": summary(BROKEN, PERMISSION, REMEDY)}, {}, 3, 61)
    assert "colab-runtime start" in text_of(lines) and "Nobody came" not in text_of(lines)


def test_not_ready_tells_reasons_and_remedies() -> None:
    lines = progress.verdict_lines("not ready", {"pc": summary(BROKEN, REMEDY)}, {"pc": "Refuse"}, 3, 61)
    assert text_of(lines) == (
        "NOT READY  3 changed, 1 min 01 s\n"
        "  colab_handshake: connection refused\n"
        "  to do: The server is down: colab-runtime start (in Linux)"
    )


def test_a_stop_before_the_proof_names_the_step() -> None:
    lines = progress.verdict_lines("not ready", {}, {"pc": "Have the tools"}, 1, 2)
    assert text_of(lines) == "STOPPED  1 changed, 2.0 s\n  stopped at: Have the tools"


def test_of_several_hosts_only_the_broken_ones_are_explained_by_name() -> None:
    summaries = {"a": summary(READY), "b": summary(BROKEN)}
    text = text_of(progress.verdict_lines("not ready", summaries, {"c": "Have the tools"}, 0, 1))
    assert "a: " not in text
    assert "  b: colab_handshake: connection refused" in text
    assert "  c: stopped at: Have the tools" in text


def test_check_mode_never_says_ready() -> None:
    text = text_of(progress.verdict_lines("check", {"pc": summary(READY)}, {}, 5, 1))
    assert text == "check mode  5 would change; nothing was changed, nothing proven"


@pytest.mark.parametrize("action", ["readiness_report", "ansible.legacy.readiness_report"])
def test_only_the_report_module_speaks_for_a_host(action: str) -> None:
    result = {"summary": BROKEN, "report": {"remedies": [REMEDY]}}
    found = progress.summary_of(action, result)
    assert found is not None and not found.ready and found.remedies == [REMEDY]
    assert progress.summary_of("ansible.builtin.command", result) is None
    assert progress.summary_of(action, {"summary": "text"}) is None


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


OURS = {"colab": {"colab_port", "colab_gpu"}, "rocm": {"rocm_version"}, "browser_policy": {"browser_policy_enabled"}}


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("colab_prot", "Do: write colab_port if"),
        ("colba_port", "Do: write colab_port if"),
        ("colab-port", "Do: write colab_port if"),
        ("rocm_versoin", "Do: write rocm_version if"),
        ("browser_policy_enable", "Do: write browser_policy_enabled if"),
        ("rocm_zzzzzzzzzzzzzzzzzzzz", "Do: leave it out"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(name: str, guess: str) -> None:
    said = progress.misspelt(["colab_port", name], OURS)
    assert len(said) == 1
    assert said[0].startswith(f"{name} is no variable of colab-ready and changes nothing. ") and guess in said[0]


@pytest.mark.parametrize("names", [[], ["colab_port", "rocm_version"], ["ansible_become", "school_proxy", "port", "x"]])
def test_variables_of_ours_and_of_others_are_not_called_misspelt(names: list[str]) -> None:
    assert progress.misspelt(names, OURS) == []
    assert progress.misspelt(["colab_prot"], {}) == [], "not where our roles are not known"


def test_every_variable_that_the_roles_document_is_known() -> None:
    roles = Path(__file__).parents[2] / "roles"
    variables = progress.variables_of(roles)
    assert sorted(variables) == sorted(path.name for path in roles.iterdir() if path.is_dir())
    for role, names in variables.items():
        options = yaml.safe_load((roles / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
        path = roles / role / "defaults/main.yml"
        assert names == {*options, *(yaml.safe_load(path.read_text()) if path.exists() else ())}, role


EVIL = "\x1b]0;OWNED\x07\x1b[2K\u202e\r"


def test_nothing_of_a_result_writes_to_a_terminal_and_lines_stay_lines() -> None:
    result = {"msg": f"a{EVIL}\nb\tc", EVIL: [EVIL, {"x": (EVIL, 1, None, 1.5, True)}]}
    assert progress.harmless(result) == {
        "msg": "a ]0;OWNED  [2K  \nb\tc",
        " ]0;OWNED  [2K  ": [" ]0;OWNED  [2K  ", {"x": [" ]0;OWNED  [2K  ", 1, None, 1.5, True]}],
    }


class Shown:
    """As much of Ansible's display as a screen needs."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, text: str) -> None:
        self.lines.append(text)


def test_a_line_a_block_and_a_table_are_harmless_and_a_line_is_one_line() -> None:
    shown = Shown()
    screen = progress.Screen(shown, False)
    screen.line((f"NOT{EVIL}\nREADY", "bold"))
    screen.block(f"x{EVIL}")
    screen.table([["host"], [f"h{EVIL}"]])
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

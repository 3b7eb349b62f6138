"""The lines that end a run, from what the module readiness_report returned."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready.proof import verdict

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
REMEDY = {"id": "server_down", "cause": "The server is down.", "do": "colab-runtime start", "where": "linux"}
PERMISSION = {"id": "browser_permission", "cause": "Nobody came.", "do": "Allow it.", "where": "browser"}
RESTART = {"id": "wsl_shutdown", "cause": "WSL waits", "do": "wsl --shutdown", "where": "windows"}


def summary(row: dict[str, Any], *remedies: dict[str, Any]) -> Any:
    return verdict.Summary(row, list(remedies))


def text_of(lines: list[Any]) -> str:
    return "\n".join("".join(text for text, _style in line) for line in lines)


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
    assert verdict.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "ok"), (False, "failed"), (3.14159, "3.1"), (3, "3"), ("two\n lines", "two lines"), ("", "")],
)
def test_a_cell_is_short_text(value: Any, text: str) -> None:
    assert verdict.cell(value) == text


def test_the_table_is_aligned_and_has_a_row_per_host_by_its_name_in_the_inventory() -> None:
    table = verdict.table({"pc": summary({**READY, "host": "uname-says"}), "a-longer-name": summary(BROKEN)})
    assert text_of(table).splitlines() == [
        "host           backend  GPU   tensor sum  handshake  seconds",
        "a-longer-name  cpu      none  ok (cpu)    failed     3.1",
        "pc             cpu      none  ok (cpu)    ok         3.1",
    ]


def test_a_row_without_a_value_is_no_error() -> None:
    assert text_of(verdict.table({"pc": summary({})})).splitlines()[1].split() == ["pc", "-", "-", "-", "-", "-"]


@pytest.mark.parametrize(
    ("remedy", "text"),
    [
        (REMEDY, "The server is down: colab-runtime start (in Linux)"),
        (
            {"cause": "The driver is old", "do": "Update it.", "where": "windows"},
            "The driver is old. Update it (in Windows)",
        ),
        ({"do": "Allow it", "where": "browser"}, "Allow it (in the browser)"),
        ({"do": "Switch it off", "where": "bios"}, "Switch it off (in the BIOS)"),
        ({"do": "Allow it", "where": "elsewhere"}, "Allow it"),
    ],
)
def test_a_remedy_is_one_sentence_with_its_place(remedy: dict[str, Any], text: str) -> None:
    assert verdict.remedy_text(remedy) == text


@pytest.mark.parametrize(
    ("rows", "stopped", "check", "word"),
    [
        ({"pc": READY}, [], False, "ready"),
        ({"pc": READY, "other": READY}, [], False, "ready"),
        ({"pc": BROKEN}, [], False, "not ready"),
        ({"pc": BROKEN}, ["pc"], False, "not ready"),
        ({"pc": READY, "other": BROKEN}, ["other"], False, "not ready"),
        ({"pc": READY}, ["pc"], False, "stopped"),
        ({"pc": READY}, ["other"], False, "stopped"),
        ({"pc": {**READY, "ready": "yes"}}, [], False, "not ready"),
        ({}, ["pc"], False, "stopped"),
        ({}, [], False, "none"),
        ({}, [], True, "check"),
        ({}, ["pc"], True, "stopped"),
    ],
)
def test_ready_is_what_every_report_says_in_a_run_that_did_not_stop(
    rows: dict[str, Any], stopped: list[str], check: bool, word: str
) -> None:
    assert verdict.verdict({host: summary(row) for host, row in rows.items()}, stopped, check) == word


def test_ready_tells_the_changes_and_where_the_address_is() -> None:
    lines = verdict.verdict_lines("ready", {"pc": summary(READY)}, {}, 0, 4.2)
    assert text_of(lines) == "READY  0 changed, 4.2 s\naddress: ./colab-ready url"


def test_ready_has_one_line_about_the_browser_and_only_for_a_single_host() -> None:
    hinted = {**READY, "hint": "no browser has come yet"}
    lines = verdict.verdict_lines("ready", {"pc": summary(hinted)}, {}, 0, 4.2)
    assert text_of(lines) == "READY  0 changed, 4.2 s\nno browser has come yet\naddress: ./colab-ready url"
    lab = verdict.verdict_lines("ready", {"a": summary(hinted), "b": summary(hinted)}, {}, 0, 4.2)
    assert "browser" not in text_of(lab)


def test_ready_has_a_line_for_each_hint() -> None:
    hinted = {**READY, "hint": "wsl --shutdown\nno browser has come yet"}
    lines = verdict.verdict_lines("ready", {"pc": summary(hinted, RESTART)}, {}, 0, 4.2)
    assert text_of(lines).splitlines()[1:] == [
        "wsl --shutdown",
        "no browser has come yet",
        "address: ./colab-ready url",
    ]


def test_of_a_lab_each_pc_whose_wsl_has_to_be_started_again_is_named_ready_or_not() -> None:
    said = "to do: WSL waits: wsl --shutdown (in Windows)"
    ready = {"a": summary(READY, RESTART, PERMISSION), "b": summary(READY, PERMISSION), "c": summary(READY, RESTART)}
    text = text_of(verdict.verdict_lines("ready", ready, {}, 0, 4.2))
    assert text.splitlines()[1:] == [f"  a: {said}", f"  c: {said}", "address: ./colab-ready url"]
    mixed = {"a": summary(READY, RESTART), "b": summary(BROKEN, REMEDY, RESTART)}
    text = text_of(verdict.verdict_lines("not ready", mixed, {}, 0, 4.2))
    assert text.splitlines()[1:] == [
        f"  a: {said}",
        "  b: colab_handshake: connection refused",
        "  b: to do: The server is down: colab-runtime start (in Linux)",
        f"  b: {said}",
    ]


def test_a_run_without_a_report_tells_what_waits_for_windows_and_check_mode_does_not() -> None:
    removed = text_of(verdict.verdict_lines("none", {}, {}, 3, 2, {"pc": [RESTART]}))
    assert removed.splitlines()[1:] == ["  to do: WSL waits: wsl --shutdown (in Windows)"]
    stopped = text_of(verdict.verdict_lines("stopped", {}, {"pc": "Have the tools"}, 3, 2, {"pc": [RESTART]}))
    assert stopped.splitlines()[1:] == [
        "  stopped at: Have the tools",
        "  to do: WSL waits: wsl --shutdown (in Windows)",
    ]
    assert "shutdown" not in text_of(verdict.verdict_lines("check", {}, {}, 3, 2, {"pc": [RESTART]}))


@pytest.mark.parametrize(
    ("action", "remedies", "found"),
    [
        ("wsl_host", [{"id": "wsl_shutdown"}, {"id": "restart_pending"}], ["wsl_shutdown", "restart_pending"]),
        ("ansible.legacy.wsl_host", [{"id": "wsl_update"}, {"id": "other"}], ["wsl_update"]),
        ("wsl_host", None, []),
        ("wsl_host", [None, "text"], []),
        ("tensor_add", [{"id": "wsl_shutdown"}], []),
    ],
)
def test_only_the_module_of_wsl_speaks_of_a_restart(action: str, remedies: Any, found: list[str]) -> None:
    assert [remedy["id"] for remedy in verdict.unproven_of(action, {"remedies": remedies})] == found


def test_a_host_that_is_not_ready_is_not_told_about_the_browser() -> None:
    lines = verdict.verdict_lines("not ready", {"pc": summary(BROKEN, PERMISSION, REMEDY)}, {}, 3, 61)
    assert "colab-runtime start" in text_of(lines) and "Nobody came" not in text_of(lines)


def test_not_ready_tells_reasons_and_remedies() -> None:
    lines = verdict.verdict_lines("not ready", {"pc": summary(BROKEN, REMEDY)}, {"pc": "Refuse"}, 3, 61)
    assert text_of(lines) == (
        "NOT READY  3 changed, 1 min 01 s\n"
        "  colab_handshake: connection refused\n"
        "  to do: The server is down: colab-runtime start (in Linux)"
    )


def test_a_stop_before_the_proof_names_the_step() -> None:
    lines = verdict.verdict_lines("stopped", {}, {"pc": "Have the tools"}, 1, 2)
    assert text_of(lines) == "STOPPED  1 changed, 2.0 s\n  stopped at: Have the tools"


def test_a_ready_host_on_which_a_later_task_failed_is_told_which() -> None:
    lines = verdict.verdict_lines("stopped", {"pc": summary(READY)}, {"pc": "Tidy up"}, 1, 2)
    assert text_of(lines) == "STOPPED  1 changed, 2.0 s\n  stopped at: Tidy up"


def test_of_several_hosts_only_the_broken_ones_are_explained_by_name() -> None:
    summaries = {"a": summary(READY), "b": summary(BROKEN)}
    text = text_of(verdict.verdict_lines("not ready", summaries, {"c": "Have the tools"}, 0, 1))
    assert "a: " not in text
    assert "  b: colab_handshake: connection refused" in text
    assert "  c: stopped at: Have the tools" in text


def test_check_mode_never_says_ready() -> None:
    text = text_of(verdict.verdict_lines("check", {"pc": summary(READY)}, {}, 5, 1))
    assert text == "check mode  5 would change; nothing was changed, nothing proven"


@pytest.mark.parametrize("action", ["readiness_report", "ansible.legacy.readiness_report"])
def test_only_the_report_module_speaks_for_a_host(action: str) -> None:
    result = {"summary": BROKEN, "report": {"remedies": [REMEDY]}}
    found = verdict.summary_of(action, result)
    assert found is not None and not found.ready and found.remedies == [REMEDY]
    assert verdict.summary_of("ansible.builtin.command", result) is None
    assert verdict.summary_of(action, {"summary": "text"}) is None


EVIL = "\x1b]0;OWNED\x07\x1b[2K\u202e\r"


def test_nothing_of_a_result_writes_to_a_terminal_and_lines_stay_lines() -> None:
    result = {"msg": f"a{EVIL}\nb\tc", EVIL: [EVIL, {"x": (EVIL, 1, None, 1.5, True)}]}
    assert verdict.harmless(result) == {
        "msg": "a ]0;OWNED  [2K  \nb\tc",
        " ]0;OWNED  [2K  ": [" ]0;OWNED  [2K  ", {"x": [" ]0;OWNED  [2K  ", 1, None, 1.5, True]}],
    }


@pytest.mark.parametrize(
    ("ready", "recalled", "host", "text"),
    [
        (True, {}, "", "settings: colab_port=9000, colab_gpu=1 (./colab-ready settings)"),
        # Where the run stopped, what was given now may have been refused; what was remembered held.
        (False, {"colab_gpu": "1"}, "pc", "settings of pc: colab_gpu=1 (./colab-ready settings)"),
        (False, {}, "", ""),
    ],
)
def test_the_end_says_what_holds_beyond_the_defaults(
    ready: bool, recalled: dict[str, Any], host: str, text: str
) -> None:
    result = {"recalled": recalled, "beyond_defaults": ["colab_port=9000", "colab_gpu=1"]}
    lines = verdict.settings_lines(result, ready, host)
    assert "".join(part for line in lines for part, _style in line) == text

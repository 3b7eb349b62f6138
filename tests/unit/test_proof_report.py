# SPDX-License-Identifier: GPL-3.0-or-later
"""The report says ready only when every proof is there, and says why when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core.remedy import rebuild
from ansible.module_utils.colab_ready.proof.report import (
    FINDINGS_MAX,
    REQUIRED_CHECKS,
    build_report,
    judge_browser,
    judge_config_dirs,
    judge_extension,
    judge_restart,
    judge_server_config,
    not_set_up,
    parse_browser_note,
    person_message,
    summarize,
    with_runtime,
)
from ansible.module_utils.colab_ready.wsl.conf import judge_wsl_host

HOST = {"hostname": "pc-07"}
CPU: dict[str, Any] = {
    "wsl": None,
    "adapters": [],
    "backend": {"name": "cpu", "device_type": "cpu", "chosen_by": "policy", "reasons": ["no GPU"], "rejected": []},
}
GOOD: dict[str, dict[str, Any]] = {
    "tensor_add": {"ok": True, "seconds": 1.5, "device": "cpu", "versions": {"torch": "2.13.0+cpu"}, "changed": False},
    "colab_handshake": {"ok": True, "seconds": 2.5, "steps": [{"id": "preflight", "ok": True}]},
    "extension": {"ok": True, "seconds": 0.0},
    "server_config": {"ok": True, "seconds": 0.0},
    "next_start": {"ok": True, "seconds": 0.0},
}


def report_of(**changes):
    checks = {name: dict(check) for name, check in GOOD.items()}
    for name, change in changes.items():
        if change is None:
            del checks[name]
        else:
            checks[name].update(change)
    return build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")


def test_all_proofs_ok_is_ready_without_a_reason():
    report = report_of()
    assert report["ready"] is True
    assert report["reasons"] == []
    assert report["versions"] == {"torch": "2.13.0+cpu"}


@pytest.mark.parametrize(
    ("decided", "kernel", "chosen_by"),
    [
        ("directml", "directml", "auto"),
        ("directml", "cpu", "runtime"),
        ("cpu", "directml", "runtime"),
        (None, "cpu", None),
    ],
)
def test_the_backend_of_the_report_is_the_one_that_is_there(
    decided: str | None, kernel: str, chosen_by: str | None
) -> None:
    decision = {
        "name": decided, "device_type": "x", "chosen_by": "auto", "adapter": 1, "gfx": "gfx1031",
        "recommended": {"name": "rocm"}, "reasons": ["found a card"], "rejected": [{"name": "xpu", "why": "no"}],
    }  # fmt: skip
    gpu = {"wsl": {"version": 2}, "backend": decision if decided else None}
    card = {"names": ["the card of the run"]}
    found = dict(with_runtime(gpu, kernel, "y", card))
    assert found["wsl"] == gpu["wsl"]
    if chosen_by != "runtime":
        assert found == gpu
        return
    backend = found["backend"]
    assert set(backend) == {*decision, "card"} and backend["card"] == card
    assert (backend["name"], backend["device_type"], backend["chosen_by"]) == (kernel, "y", "runtime")
    assert (backend["adapter"], backend["gfx"], backend["rejected"]) == (None, None, [])
    assert backend["recommended"] == {"name": "rocm"}
    assert f"set up with {kernel}" in backend["reasons"][0]
    assert f"take {decided} now: found a card" in backend["reasons"][0]


@pytest.mark.parametrize("name", REQUIRED_CHECKS)
def test_a_missing_proof_is_not_ready(name):
    report = report_of(**{name: None})
    assert report["ready"] is False
    assert report["reasons"] == ["%s: not run" % name]


@pytest.mark.parametrize("name", REQUIRED_CHECKS)
@pytest.mark.parametrize("not_true", [False, None, 1, "yes"])
def test_only_true_counts_as_proven(name, not_true):
    report = report_of(**{name: {"ok": not_true, "reasons": ["it broke"]}})
    assert report["ready"] is False
    assert report["reasons"] == ["%s: it broke" % name]


def test_a_failed_check_without_words_still_gives_a_reason():
    assert report_of(tensor_add={"ok": False})["reasons"] == ["tensor_add: failed without a reason"]


def test_a_remedy_named_twice_is_given_once_and_warnings_name_their_check():
    remedy = {"id": "server_down", "cause": "nothing answers", "do": "colab-runtime start", "where": "linux"}
    report = report_of(
        tensor_add={"ok": False, "reasons": ["a"], "remedies": [remedy], "warnings": ["slow"]},
        colab_handshake={"ok": False, "reasons": ["b"], "remedies": [remedy]},
    )
    assert report["remedies"] == [remedy]
    assert report["warnings"] == ["tensor_add: slow"]


def test_the_report_keeps_the_answers_and_drops_the_tool_s_own_keys():
    report = report_of(colab_handshake={"invocation": {"module_args": {}}, "diff": []})
    assert report["checks"]["colab_handshake"] == GOOD["colab_handshake"]
    json.dumps(report)


@pytest.mark.parametrize(
    ("adapters", "expected"),
    [
        (None, "unknown"),
        ([], "none"),
        ([{"name": "Radeon", "software": False}], "Radeon"),
        ([{"name": "Basic Render", "software": True}], "none"),
        ([{"name": "AI Boost", "software": False, "compute_only": True}], "none"),
        ([{"name": None, "vendor_id": "1002", "device_id": "73df"}], "1002:73df"),
    ],
)
def test_the_summary_names_the_gpu_or_says_that_it_does_not_know(adapters, expected):
    report = report_of()
    report["adapters"] = adapters
    assert summarize(report)["gpu"] == expected


def test_the_summary_tells_proven_failed_and_not_run_apart():
    summary = summarize(report_of(colab_handshake={"ok": False, "reasons": ["403"]}))
    assert (summary["tensor_sum"], summary["handshake"], summary["ready"]) == ("ok (cpu)", "failed", False)
    assert summarize(report_of(tensor_add=None))["tensor_sum"] == "not run"


@pytest.mark.parametrize(
    ("content", "wanted", "ok"),
    [
        ('{"ServerApp": {"jpserver_extensions": {"x": true}}}', True, True),
        ('{"ServerApp": {"jpserver_extensions": {"x": false}}}', True, False),
        ('{"ServerApp": {"jpserver_extensions": {"x": true}}}', False, False),
        ('{"ServerApp": {"jpserver_extensions": {"x": false}}}', False, True),
        ('{"ServerApp": {}}', True, False),
        ("[]", True, False),
        ("{", True, False),
        (None, True, False),
        (None, False, True),
    ],
)
def test_the_extension_counts_only_as_its_file_says(tmp_path, content, wanted, ok):
    if content is not None:
        (tmp_path / "jupyter_server_config.d").mkdir()
        (tmp_path / "jupyter_server_config.d" / "x.json").write_text(content)
    check = judge_extension(str(tmp_path), "x", wanted)
    assert check["ok"] is ok
    assert bool(check["reasons"]) is not ok
    assert bool(check["remedies"]) is not ok


def test_a_host_without_settings_fails_every_required_check_and_says_what_to_run():
    checks = not_set_up("")
    assert all(checks[name]["ok"] is False and checks[name]["reasons"] for name in REQUIRED_CHECKS)
    report = build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")
    assert report["ready"] is False
    assert [remedy["id"] for remedy in report["remedies"]] == ["not_set_up"]
    assert report["reasons"] == ["this host is not set up"]
    assert report["remedies"][0]["do"] == "run ./colab-ready"


def test_a_host_whose_settings_a_folder_replaced_is_told_why_and_to_move_that_first():
    report = build_report(HOST, CPU, not_set_up("/etc/x cannot be read", "/etc/x"), "2026-01-01T00:00:00Z")
    assert report["reasons"] == ["this host is not set up: /etc/x cannot be read"]
    assert report["remedies"][0]["do"] == "sudo mv -T /etc/x /etc/x.old, then ./colab-ready"


def test_a_reason_that_checks_share_is_given_once_with_their_names():
    report = report_of(
        tensor_add={"ok": False, "reasons": ["a", "c"]},
        colab_handshake={"ok": False, "reasons": ["b", "a"]},
        extension=None,
        server_config=None,
    )
    assert report["reasons"] == [
        "tensor_add, colab_handshake: a",
        "tensor_add: c",
        "colab_handshake: b",
        "extension, server_config: not run",
    ]


def test_a_person_reads_ready_or_the_reasons_with_what_to_do():
    assert person_message(report_of()) == "READY"
    remedy = {"id": "x", "cause": "c", "do": "Press the button.", "where": "windows"}
    text = person_message(report_of(tensor_add={"ok": False, "reasons": ["it broke"], "remedies": [remedy]}))
    assert text.splitlines() == ["NOT READY", "- tensor_add: it broke", "  do (windows): Press the button."]


@pytest.mark.parametrize(("prefix", "there"), [(None, "/opt/colab-ready"), ("/srv/lab", "/srv/lab")])
def test_a_remedy_names_the_folder_that_this_host_has(prefix, there):
    check = {
        **GOOD["tensor_add"],
        "remedies": [{"id": "x", "cause": "c", "do": f"{rebuild('cpu')}.", "where": "linux"}],
    }
    report = build_report({**HOST, "prefix": prefix}, CPU, {**GOOD, "tensor_add": check}, "2026-03-02T09:14:11Z")
    assert f"sudo rm -r {there}/kernels/cpu (" in report["remedies"][0]["do"]


def test_a_configuration_directory_that_others_may_write_to_is_a_warning_with_a_remedy():
    finding = {"path": "/usr/etc/jupyter", "mode": "0777", "why": "everybody may write to it", "do": ""}
    checks = dict(GOOD, config_dirs=judge_config_dirs([finding]))
    report = build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")
    assert report["ready"] is True
    assert report["warnings"] == [
        "config_dirs: /usr/etc/jupyter (0777): everybody may write to it. Do: run ./colab-ready, which tightens it"
    ]
    assert [remedy["id"] for remedy in report["remedies"]] == ["config_dir_open"]
    assert judge_config_dirs([])["ok"] is True


# --- what somebody may have planted

PLANTED = {
    "path": "/etc/jupyter/jupyter_server_config.json",
    "owner": "mallory",
    "mode": "0644",
    "why": "it belongs to mallory",
    "do": "look at what it holds",
    "planted": "switches the token off (ServerApp.token)",
}
OPEN = {
    "path": "/etc/jupyter",
    "owner": "root",
    "mode": "0777",
    "why": "everybody may write to it",
    "do": "",
    "planted": None,
}


def test_what_is_planted_and_what_merely_stands_open_are_two_remedies_and_ready_stays():
    check = judge_config_dirs([OPEN, PLANTED])
    report = build_report(HOST, CPU, dict(GOOD, config_dirs=check), "2026-01-01T00:00:00Z")
    planted, opened = report["remedies"]
    assert report["ready"] is True
    assert (planted["id"], opened["id"]) == ("config_planted", "config_dir_open")
    assert "jupyter_server_config.json (of mallory) switches the token off" in planted["cause"]
    assert "look at what it holds" in planted["do"] and "tightens it" not in planted["do"]
    assert opened["do"] == "run ./colab-ready, which tightens it"
    assert [remedy["id"] for remedy in judge_config_dirs([PLANTED])["remedies"]] == ["config_planted"]
    assert "JUPYTER_PATH adds cannot be known" in check["steps"][0]["detail"]


def test_thousands_of_planted_files_do_not_make_a_report_of_thousands_of_lines():
    many = [dict(PLANTED, path=f"/etc/jupyter/{number}.json") for number in range(5000)]
    check = judge_config_dirs([OPEN, *many])
    assert len(check["reasons"]) == len(check["warnings"]) == FINDINGS_MAX + 1
    assert "4981 more like these" in check["reasons"][-1]
    assert len(json.dumps(check)) < 20000


def test_what_others_can_change_of_the_server_is_a_reason_not_to_be_ready():
    finding = dict(OPEN, path="/opt/colab-ready/server/etc/jupyter")
    report = build_report(HOST, CPU, dict(GOOD, server_config=judge_server_config([finding])), "2026-01-01T00:00:00Z")
    assert report["ready"] is False
    assert report["reasons"] == ["server_config: /opt/colab-ready/server/etc/jupyter (0777): everybody may write to it"]
    assert [remedy["id"] for remedy in report["remedies"]] == ["server_config_open"]
    assert judge_server_config([])["ok"] is True


@pytest.mark.parametrize(
    ("waiting", "ok", "said"),
    [
        (["the settings changed", "x"], False, "the settings changed; x"),
        ([], True, "nothing waits"),
        (None, None, "not known"),
    ],
)
def test_what_waits_for_a_restart_is_said_and_takes_nothing_from_ready(waiting, ok, said):
    check = judge_restart(waiting)
    assert check["ok"] is ok and said in check["steps"][0]["detail"]
    report = build_report(HOST, CPU, {**GOOD, "restart": check}, "2026-01-01T00:00:00Z")
    assert report["ready"] is True
    assert ["./colab-ready --restart" in one["do"] and said in one["cause"] for one in report["remedies"]] == [
        True
    ] * bool(waiting)
    assert ("restart pending" in person_message(report)) is bool(waiting)


# --- the browser

NOTE = {
    "schema": 1,
    "origin": "https://colab.research.google.com",
    "first_at": "2026-01-02T03:04:05+00:00",
    "last_at": "2026-01-02T03:05:06+00:00",
    "last_status": 200,
    "last_request": "GET /api/kernelspecs",
    "requests": 7,
}


@pytest.mark.parametrize(
    ("note", "problem", "handshake_ok", "ok", "remedy", "detail"),
    [
        (NOTE, "", True, True, None, "last at 2026-01-02T03:05:06+00:00: GET /api/kernelspecs, answered 200"),
        (dict(NOTE, last_status=404), "", True, True, None, "answered 404"),
        (dict(NOTE, last_status=500), "", False, True, None, "answered 500"),
        (dict(NOTE, last_status=403), "", True, False, "browser_token", "answered 403"),
        (dict(NOTE, last_status=401), "", False, False, "browser_token", "answered 401"),
        ({}, "", True, None, "browser_permission", "no browser has asked"),
        ({}, "", False, None, None, "no browser has asked"),
        (None, "the extension is off", True, None, None, "not known: the extension is off"),
    ],
)
def test_a_browser_was_let_in_or_refused_or_never_came_or_is_not_known(note, problem, handshake_ok, ok, remedy, detail):
    check = judge_browser(note, problem, handshake_ok)
    assert check["ok"] is ok
    assert [one["id"] for one in check["remedies"]] == ([remedy] if remedy else [])
    assert all(one["where"] == "browser" and "docs/connect.md#browser" in one["do"] for one in check["remedies"])
    assert [(step["id"], step["ok"]) for step in check["steps"]] == [("browser", ok)]
    assert detail in check["steps"][0]["detail"]
    report = build_report(HOST, CPU, dict(GOOD, browser=check), "2026-01-01T00:00:00Z")
    assert (report["ready"], report["reasons"]) == (True, [])
    assert [one["id"] for one in report["remedies"]] == ([remedy] if remedy else [])


@pytest.mark.parametrize(
    ("request_line", "told"),
    [
        ("GET /api/contents/my diary.ipynb", "GET /api/contents/..."),
        ("POST /api/sessions", "POST /api/sessions"),
        ("GET /", "GET /"),
        ("GET", "GET "),
    ],
)
def test_the_name_of_a_notebook_does_not_get_into_a_report_for_everybody(request_line, told):
    check = judge_browser(dict(NOTE, last_request=request_line), "", True)
    assert check["last_request"] == told
    assert "diary" not in json.dumps(check)


@pytest.mark.parametrize("change", [{}, {"last_request": "GET /" + "x" * 200}, {"something_of_tomorrow": 1}])
def test_the_extensions_note_is_read(change):
    read = parse_browser_note(json.dumps({**NOTE, **change}))
    assert read == {key: value for key, value in {**NOTE, **change}.items() if key in NOTE and key != "schema"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", "[" * 100000]
    + [
        json.dumps({**NOTE, **change})
        for change in (
            {"schema": 2}, {"last_status": "200"}, {"last_status": True}, {"requests": None}, {"last_request": 7},
            {"last_request": "GET /\x1b[31m"}, {"origin": "x" * 301},
        )
    ],
)  # fmt: skip
def test_a_note_that_is_none_is_refused(text):
    with pytest.raises(ValueError):
        parse_browser_note(text)


def test_ready_stays_ready_with_one_line_about_the_browser():
    nobody = build_report(HOST, CPU, dict(GOOD, browser=judge_browser({}, "", True)), "2026-01-01T00:00:00Z")
    assert person_message(nobody).splitlines() == ["READY", summarize(nobody)["hint"]]
    assert "docs/connect.md#browser" in summarize(nobody)["hint"]
    seen = build_report(HOST, CPU, dict(GOOD, browser=judge_browser(NOTE, "", True)), "2026-01-01T00:00:00Z")
    assert (person_message(seen), summarize(seen)["hint"]) == ("READY", None)
    checks = dict(GOOD, tensor_add={"ok": False, "reasons": ["x"]}, browser=judge_browser({}, "", True))
    broken = build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")
    assert summarize(broken)["hint"] is None
    assert person_message(broken).splitlines() == ["NOT READY", "- tensor_add: x"]


# --- WSL


@pytest.mark.parametrize(
    ("codes", "ids", "types"),
    [
        (["systemd_waits"], ["wsl_shutdown"], ["wsl --shutdown"]),
        (["systemd_waits", "keep_running_waits"], ["wsl_shutdown"], ["wsl --shutdown"]),
        (["systemd_failed"], ["wsl_update"], ["wsl --update; wsl --shutdown"]),
        (
            ["systemd_failed", "keep_running_waits"],
            ["wsl_shutdown", "wsl_update"],
            ["wsl --shutdown", "wsl --update; wsl --shutdown"],
        ),
    ],
)
def test_a_restart_of_wsl_that_is_due_keeps_nobody_from_ready_and_is_said_with_what_to_type(codes, ids, types):
    checks = dict(GOOD, wsl_host=judge_wsl_host(codes), browser=judge_browser({}, "", True))
    report = build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")
    assert (report["ready"], report["checks"]["wsl_host"]["ok"]) == (True, False)
    assert [remedy["id"] for remedy in report["remedies"]] == [*ids, "browser_permission"]
    ready, *lines = person_message(report).splitlines()
    assert (ready, "\n".join(lines)) == ("READY", summarize(report)["hint"])
    assert [line.rpartition("PowerShell: ")[2] for line in lines[:-1]] == types
    assert "browser" in lines[-1]


def test_a_host_that_is_not_ready_is_told_about_wsl_as_well():
    checks = dict(GOOD, tensor_add={"ok": False, "reasons": ["x"]}, wsl_host=judge_wsl_host(["systemd_waits"]))
    broken = build_report(HOST, CPU, checks, "2026-01-01T00:00:00Z")
    assert (summarize(broken)["hint"], broken["reasons"]) == (None, ["tensor_add: x"])
    assert "wsl --shutdown in Windows' PowerShell" in person_message(broken).splitlines()[-1]


def test_a_wsl_for_which_nothing_waits_says_nothing():
    report = build_report(HOST, CPU, dict(GOOD, wsl_host=judge_wsl_host([])), "2026-01-01T00:00:00Z")
    assert (report["checks"]["wsl_host"]["ok"], person_message(report)) == (True, "READY")


def test_what_is_to_do_in_the_bios_is_said_with_its_place():
    remedy = {"id": "rocm_resizable_bar", "cause": "c", "do": "Switch it on.", "where": "bios"}
    text = person_message(report_of(tensor_add={"ok": False, "reasons": ["x"], "remedies": [remedy]}))
    assert text.splitlines()[-1] == "  do (bios): Switch it on."

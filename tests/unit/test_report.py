# SPDX-License-Identifier: GPL-3.0-or-later
"""The report says ready only when every proof is there, and says why when it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.colab_ready.report import (
    REQUIRED_CHECKS,
    build_report,
    judge_config_dirs,
    judge_extension,
    not_set_up,
    person_message,
    summarize,
)

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
    remedy = {"id": "server_down", "cause": "nothing answers", "do": "colab-runtime start", "where": "wsl"}
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
    report = build_report(HOST, CPU, not_set_up("/etc/x", "No such file"), "2026-01-01T00:00:00Z")
    assert report["ready"] is False
    assert len(report["reasons"]) == len(REQUIRED_CHECKS)
    assert [remedy["id"] for remedy in report["remedies"]] == ["not_set_up"]


def test_a_person_reads_ready_or_the_reasons_with_what_to_do():
    assert person_message(report_of()) == "READY"
    remedy = {"id": "x", "cause": "c", "do": "Press the button.", "where": "windows"}
    text = person_message(report_of(tensor_add={"ok": False, "reasons": ["it broke"], "remedies": [remedy]}))
    assert text.splitlines() == ["NOT READY", "- tensor_add: it broke", "  do (windows): Press the button."]


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

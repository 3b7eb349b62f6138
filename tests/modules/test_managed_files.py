"""managed_files, as Ansible runs it: one list is one state, check mode says the same, and no secret is ever shown."""

from __future__ import annotations

import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from conftest import RunModule

NOBODY = "colab-ready-test-has-no-such-account"
SECRET = "correct-horse-battery-staple"


def wanted(root: Path) -> list[dict[str, Any]]:
    return [
        {"path": f"{root}/etc", "state": "directory"},
        {"path": f"{root}/etc/runtime.json", "json": True, "content": {"port": 8888, "a": [True, None]}},
        {"path": f"{root}/etc/token", "generate": 24},
        {"path": f"{root}/etc/password", "secret_content": SECRET},
        {"path": f"{root}/program", "content": "#!/bin/sh\n", "mode": "0755"},
        {"path": f"{root}/old", "state": "absent", "recursive": True},
    ]


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


@pytest.mark.smoke("managed_files")
def test_a_state_is_foreseen_made_kept_and_repaired(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "old" / "deep").mkdir(parents=True)
    args = {"files": wanted(tmp_path)}
    paths = [entry["path"] for entry in args["files"]]
    before = sorted(tmp_path.rglob("*"))

    foreseen = run_module("managed_files", args, check=True)
    assert sorted(tmp_path.rglob("*")) == before, "check mode touched something"
    made = run_module("managed_files", args)
    for result in (foreseen, made):
        assert result["changed"] is True
        assert result["changed_paths"] == paths
        assert result["created_paths"] == paths[:-1]
    assert (tmp_path / "etc" / "runtime.json").read_text() == (
        '{\n  "a": [\n    true,\n    null\n  ],\n  "port": 8888\n}\n'
    )
    assert not (tmp_path / "old").exists()
    token = (tmp_path / "etc" / "token").read_text()
    assert len(token) == 48

    again = run_module("managed_files", args)
    assert (again["changed"], again["changed_paths"]) == (False, [])

    (tmp_path / "etc").chmod(0o777)
    (tmp_path / "etc" / "runtime.json").write_text(json.dumps({"port": 8888, "a": [True, None]}))
    (tmp_path / "etc" / "token").chmod(0o644)
    repaired = run_module("managed_files", args)
    assert repaired["changed_paths"] == paths[:3]
    assert repaired["created_paths"] == []
    assert len(new := (tmp_path / "etc" / "token").read_text()) == 48 and new != token, "others could read it"
    assert [mode(tmp_path / name) for name in ("etc", "etc/token", "etc/password", "program")] == [
        "0755", "0600", "0600", "0755",
    ]  # fmt: skip


def test_no_secret_is_in_the_result_the_diff_or_the_arguments(run_module: RunModule, tmp_path: Path) -> None:
    args = {"files": [entry for entry in wanted(tmp_path) if entry["path"] != f"{tmp_path}/old"]}
    # Only from this verbosity on does ansible print them.
    result = run_module("managed_files", args, env={"ANSIBLE_VERBOSITY": "3"})
    assert {"diff", "invocation"} <= set(result), "they are not in it, so this test would prove nothing"
    assert SECRET not in json.dumps(result)
    assert (tmp_path / "etc" / "token").read_text().strip() not in json.dumps(result)
    assert (tmp_path / "etc" / "password").read_text() == SECRET


def test_on_a_virgin_host_check_mode_foresees_what_a_missing_account_will_own(
    run_module: RunModule, tmp_path: Path
) -> None:
    args = {"files": [{"path": f"{tmp_path}/x", "content": "", "owner": NOBODY}]}
    foreseen = run_module("managed_files", args, check=True)
    assert foreseen["changed_paths"] == [f"{tmp_path}/x"]
    refused = run_module("managed_files", args)
    assert refused["failed"] is True
    assert NOBODY in refused["msg"] and "Create it first" in refused["msg"]
    assert not (tmp_path / "x").exists()


def test_all_that_is_impossible_is_said_at_once_and_nothing_is_changed(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "folder/mine").mkdir(parents=True)
    entries: list[dict[str, Any]] = [
        {"path": f"{tmp_path}/good", "content": ""},
        {"path": f"{tmp_path}/folder", "content": ""},
        {"path": f"{tmp_path}/no/parent", "content": ""},
        {"path": f"{tmp_path}/folder/..", "state": "absent", "recursive": True},
        {"path": "/usr/local", "state": "absent", "recursive": True},
    ]
    odd = run_module("managed_files", {"files": entries})
    assert odd["failed"] is True
    assert "folder/..: " in odd["msg"]
    impossible = run_module(
        "managed_files", {"files": [entry for entry in entries if not entry["path"].endswith("..")]}
    )
    assert impossible["failed"] is True
    for words in ("Nothing was changed", "a directory is there", "no does not exist", "directory of the system"):
        assert words in impossible["msg"]
    assert sorted(os.listdir(tmp_path)) == ["folder"]
    assert os.path.isdir("/usr/local")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_wrong_owner_is_repaired_and_the_group_follows(run_module: RunModule, tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    args = {"files": [{"path": f"{tmp_path}/token", "generate": 16, "owner": "nobody"}]}
    run_module("managed_files", args)
    info = (tmp_path / "token").stat()
    assert (info.st_uid, info.st_gid) == (account.pw_uid, account.pw_gid)
    os.chown(tmp_path / "token", 0, 0)
    repaired = run_module("managed_files", args, env={"ANSIBLE_VERBOSITY": "3"})
    assert repaired["changed"] is True
    assert "owner: root\n" in repaired["diff"][0]["before"]
    assert (tmp_path / "token").stat().st_uid == account.pw_uid

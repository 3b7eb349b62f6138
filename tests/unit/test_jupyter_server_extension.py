"""What becomes of an extension's configuration file, as a table, and how it is written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.files.changes import Changes
from ansible.module_utils.colab_ready.jupyter import server_extension
from hypothesis import given
from hypothesis import strategies as st

NAME = "colab_http_over_ws"
ME = (os.getuid(), os.getgid())


def config(**extensions: Any) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": extensions}}


def raw(data: Any) -> bytes:
    return json.dumps(data).encode()


OTHERS = {"LanguageServerManager": {"x": [1]}, "ServerApp": {"port": 1, "jpserver_extensions": {"other": False}}}
BOTH = {
    "LanguageServerManager": {"x": [1]},
    "ServerApp": {"port": 1, "jpserver_extensions": {"other": False, NAME: True}},
}


@pytest.mark.parametrize(
    ("content", "enabled", "written"),
    [
        pytest.param(None, True, config(colab_http_over_ws=True), id="missing"),
        pytest.param(None, False, config(colab_http_over_ws=False), id="missing, to be disabled"),
        pytest.param(None, None, None, id="missing and to be absent"),
        pytest.param(raw(config(colab_http_over_ws=True)), True, None, id="already enabled"),
        pytest.param(
            raw(config(colab_http_over_ws=True)), False, config(colab_http_over_ws=False), id="to be disabled"
        ),
        pytest.param(raw(config(colab_http_over_ws=1)), True, config(colab_http_over_ws=True), id="no boolean"),
        pytest.param(raw(config(colab_http_over_ws=True)), None, b"", id="only ours, to be absent"),
        pytest.param(raw({}), True, config(colab_http_over_ws=True), id="empty object"),
        pytest.param(raw({}), None, None, id="empty object that is not ours"),
        pytest.param(raw(OTHERS), True, BOTH, id="others stay"),
        pytest.param(raw(BOTH), None, OTHERS, id="others stay, ours goes"),
        pytest.param(raw(OTHERS), None, None, id="only others"),
        pytest.param(raw({"x": 1} | config(colab_http_over_ws=True)), None, {"x": 1}, id="no empty ServerApp stays"),
    ],
)
def test_only_our_entry_is_changed(content: bytes | None, enabled: bool | None, written: Any) -> None:
    decision = server_extension.decide(content, NAME, enabled)
    assert decision.trouble == ""
    if isinstance(written, dict):
        assert decision.content is not None
        assert json.loads(decision.content) == written
    else:
        assert decision.content == written


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b'{"ServerApp": ', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        ('﻿{"ServerApp": {}}'.encode(), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "another shape"),
        (b"true", "another shape"),
        (b'{"ServerApp": []}', "another shape"),
        (b'{"ServerApp": {"jpserver_extensions": ["x"]}}', "another shape"),
    ],
)
def test_what_jupyter_could_not_use_is_replaced_and_said(content: bytes, says: str) -> None:
    decision = server_extension.decide(content, NAME, True)
    assert says in decision.trouble
    assert decision.content is not None
    assert json.loads(decision.content) == config(colab_http_over_ws=True)


@given(st.binary(max_size=80), st.sampled_from([True, False, None]))
def test_no_content_can_break_it_and_a_second_run_has_nothing_to_do(content: bytes, enabled: bool | None) -> None:
    once = server_extension.decide(content, NAME, enabled).content
    result = content if once is None else once or None
    if result is not None or enabled is None:
        assert server_extension.decide(result, NAME, enabled).content is None


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "a.json/..", "1a", "a..b", "é", "a\n"])
def test_a_name_that_is_no_module_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="Expected the name of the Python module"):
        server_extension.check_name(name)


def test_a_backup_is_not_read_by_jupyter_and_has_one_name_for_one_content() -> None:
    name = server_extension.backup_name(NAME, b"x")
    assert name == server_extension.backup_name(NAME, b"x") != server_extension.backup_name(NAME, b"y")
    assert not name.endswith(".json")


def converge(config_dir: Path, enabled: bool | None, check: bool = False) -> Changes:
    changes = Changes(check)
    server_extension.converge_entry(changes, str(config_dir), NAME, enabled, ME)
    return changes


def folder_with(tmp_path: Path, content: bytes | None = None) -> Path:
    folder = tmp_path / server_extension.FOLDER
    folder.mkdir()
    if content is not None:
        (folder / f"{NAME}.json").write_bytes(content)
    return folder


def test_unusable_content_is_kept_beside_it_and_a_warning_says_where(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, b"{broken")
    outcome = converge(tmp_path, True)
    (backup,) = (path for path in folder.iterdir() if path.name != f"{NAME}.json")
    assert backup.read_bytes() == b"{broken"
    assert backup.name in outcome.warnings[0]
    assert json.loads((folder / f"{NAME}.json").read_text()) == config(colab_http_over_ws=True)


def test_a_link_in_the_files_place_is_replaced_and_its_target_untouched(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    target = tmp_path / "target"
    target.write_text("precious")
    (folder / f"{NAME}.json").symlink_to(target)
    assert converge(tmp_path, True).places
    assert target.read_text() == "precious"
    assert not (folder / f"{NAME}.json").is_symlink()


def test_a_directory_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    (folder_with(tmp_path) / f"{NAME}.json").mkdir()
    with pytest.raises(Refused, match="is a directory. Expected a file"):
        converge(tmp_path, True)


@pytest.mark.parametrize("mode", [0o666, 0o600])
def test_the_files_mode_is_repaired_by_a_new_file(tmp_path: Path, mode: int) -> None:
    file = folder_with(tmp_path, raw(config(colab_http_over_ws=True))) / f"{NAME}.json"
    os.link(file, tmp_path / "other-name")
    file.chmod(mode)
    assert converge(tmp_path, True).places
    assert file.stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "other-name").stat().st_mode & 0o7777 == mode


def test_absent_leaves_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, raw(config(colab_http_over_ws=True)))
    (folder / "other.json").write_text("{}")
    assert converge(tmp_path, None).places
    assert sorted(path.name for path in folder.iterdir()) == ["other.json"]


def test_absent_where_nothing_is_changes_nothing(tmp_path: Path) -> None:
    folder_with(tmp_path)
    assert not converge(tmp_path, None).places
    assert not converge(tmp_path / "none", None).places

"""A host is not READY whose server would not start at the next boot, whatever the one that runs answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.proof.next_start import BOOT_LINK, UNIT, judge_next_start

COMMAND = "/usr/local/bin/colab-runtime"


def host_of(root: Path) -> dict[str, object]:
    """A root with all that the next start reads, and its settings."""
    files = {}
    for path in (UNIT, COMMAND):
        place = root / path[1:]
        place.parent.mkdir(parents=True)
        place.write_text(path)
        place.chmod(0o755)
        files[path] = hashlib.sha256(path.encode()).hexdigest()
    link = root / BOOT_LINK[1:]
    link.parent.mkdir()
    link.symlink_to(root / UNIT[1:])
    config = root / "etc/jupyter"
    config.mkdir()
    (config / "jupyter_server_config.json").write_text("{}")
    return {"files": files, "service_manager": "systemd", "config_dir": str(config)}


def masked(root: Path) -> None:
    (root / UNIT[1:]).unlink()
    (root / UNIT[1:]).symlink_to("/dev/null")


def folder(root: Path) -> None:
    (root / COMMAND[1:]).unlink()
    (root / COMMAND[1:]).mkdir()


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda root: None, ""),
    "unit gone": (lambda root: (root / UNIT[1:]).unlink(), f"{UNIT} is gone"),
    "unit changed": (lambda root: (root / UNIT[1:]).write_text("x"), f"{UNIT} is not what"),
    "unit masked": (masked, f"{UNIT} is no plain file"),
    "unit not enabled": (lambda root: (root / BOOT_LINK[1:]).unlink(), "colab-ready.service is not enabled"),
    "command gone": (lambda root: (root / COMMAND[1:]).unlink(), f"{COMMAND} is gone"),
    "command without x": (lambda root: (root / COMMAND[1:]).chmod(0o644), f"{COMMAND} may not be executed"),
    "command a folder": (folder, f"{COMMAND} is no plain file"),
    "configuration": (lambda root: (root / "etc/jupyter/x.json").write_text("{,"), "x.json is no JSON object"),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_what_the_next_start_reads_is_what_was_put_there(tmp_path: Path, broken: str) -> None:
    settings = host_of(tmp_path)
    break_it, said = BREAKS[broken]
    break_it(tmp_path)
    check = judge_next_start(settings, {}, root=str(tmp_path))
    assert check["ok"] is not bool(said)
    assert [reason for reason in check["reasons"] if said in reason] or not said
    assert [remedy["id"] for remedy in check["remedies"]] == (["next_start"] if said else [])


def test_a_damaged_environment_is_a_reason_and_an_older_host_is_judged_by_what_it_noted(tmp_path: Path) -> None:
    settings = {**host_of(tmp_path), "files": None, "service_manager": "colab-runtime"}
    assert judge_next_start(settings, {"/opt/x": []}, root=str(tmp_path))["ok"] is True
    check = judge_next_start(settings, {"/opt/x": [f"p{number} is missing" for number in range(9)]}, root=str(tmp_path))
    assert (check["reasons"][0], check["reasons"][-1]) == ("/opt/x: p0 is missing", "4 more like these")


def test_a_unit_that_systemd_knows_in_another_form_is_a_reason_where_systemd_runs_it(tmp_path: Path) -> None:
    settings = host_of(tmp_path)
    check = judge_next_start(settings, {}, ["colab-ready.socket"], str(tmp_path))
    assert check["reasons"] == ["systemd cannot start colab-ready.socket as it has read it"]
    assert judge_next_start({**settings, "service_manager": "colab-runtime"}, {}, ["x"], str(tmp_path))["ok"] is True

"""The module readiness_report as a play runs it, on a host with settings and no runtime: what is looked at beside the proofs."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings as the role colab_runtime writes them, for a prefix where nothing is."""
    path = tmp_path / "runtime.json"
    nowhere = str(tmp_path / "nowhere")
    path.write_text(
        json.dumps(
            {
                "kernel": "cpu",
                "device_type": "cpu",
                "prefix": nowhere,
                "user": getpass.getuser(),
                "port": 8888,
                "token_file": f"{nowhere}/token",
                "config_dir": nowhere,
                "run_dir": nowhere,
                "http_over_ws": True,
            }
        )
    )
    return path


@pytest.mark.smoke("readiness_report")
def test_a_host_that_was_set_up_with_another_backend_is_not_reported_as_the_one_of_today(
    run_module: Any, settings: Path
) -> None:
    """./colab-ready -e colab_backend=cpu on a computer with a card, then ./colab-ready verify."""
    gpu = {"backend": {"name": "directml", "device_type": "privateuseone", "adapter": 0, "reasons": ["found a card"]}}
    result = run_module("readiness_report", {"runtime_config": str(settings), "gpu": gpu}, check=True)
    assert (result["summary"]["backend"], result["report"]["backend"]["device_type"]) == ("cpu", "cpu")


@pytest.mark.parametrize("in_wsl", [True, False])
def test_what_waits_for_a_restart_of_wsl_is_a_check_of_its_own_in_wsl_only(
    run_module: Any, settings: Path, in_wsl: bool
) -> None:
    # A WSL whose kernel is the user's own is known by this variable; empty, it is none.
    environment = {"WSL_INTEROP": "/run/WSL/8_interop" if in_wsl else ""}
    if not in_wsl and "microsoft" in Path("/proc/version").read_text(encoding="utf-8").lower():
        pytest.skip("this computer is a WSL itself")
    result = run_module("readiness_report", {"runtime_config": str(settings)}, check=True, env=environment)
    checks = result["report"]["checks"]
    assert (result["ready"], result["report_path"]) == (False, None)
    assert {"tensor_add", "colab_handshake", "config_dirs", "server_config", "browser", "extension"} <= set(checks)
    assert ("wsl_host" in checks) is in_wsl
    assert not in_wsl or [step["id"] for step in checks["wsl_host"]["steps"]] == ["wsl_host"]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o666, "can be changed by everybody"),
        ("[" * 200_000, 0o644, "no JSON object"),
        ("{}", 0o644, "no JSON object with a prefix"),
    ],
)
def test_settings_that_others_can_write_or_that_are_nonsense_are_not_believed(
    run_module: Any, settings: Path, content: str | None, mode: int, said: str
) -> None:
    if content is not None:
        settings.write_text(content)
    settings.chmod(mode)
    result = run_module("readiness_report", {"runtime_config": str(settings)}, check=True)
    assert not result["ready"] and said in result["summary"]["reasons"][0]


@pytest.mark.parametrize(
    ("in_the_way", "user", "said", "do"),
    [
        ("empty", None, "runtime.json cannot be read (it is a folder)", "run ./colab-ready"),
        ("full", None, "runtime.json cannot be read (it is a folder)", "runtime.json.old, then ./colab-ready"),
        (None, "nobody-of-that-name", "there is no user 'nobody-of-that-name'", "run ./colab-ready"),
        (None, None, "nowhere/server: its pyvenv.cfg is missing", "it puts back what is missing"),
    ],
)
def test_a_host_that_cannot_be_proven_is_told_the_one_reason_and_what_ends_it(
    run_module: Any, settings: Path, in_the_way: str | None, user: str | None, said: str, do: str
) -> None:
    if in_the_way:
        settings.unlink()
        settings.mkdir()
        if in_the_way == "full":
            (settings / "mine").touch()
    elif user:
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "user": user}))
    result = run_module("readiness_report", {"runtime_config": str(settings)}, check=True)
    assert said in "\n".join(result["summary"]["reasons"]) and "please report" not in result["message"]
    assert do in "\n".join(remedy["do"] for remedy in result["report"]["remedies"])


@pytest.mark.parametrize("full", [False, True])
def test_a_folder_in_the_reports_place_costs_nobody_the_verdict(
    run_module: Any, settings: Path, tmp_path: Path, full: bool
) -> None:
    report = tmp_path / "report.json"
    report.mkdir()
    if full:
        (report / "mine").touch()
    settings.unlink()
    result = run_module("readiness_report", {"runtime_config": str(settings), "report": str(report)})
    if full:
        assert result["failed"] and result["msg"].startswith("NOT READY") and f"sudo mv -T {report} " in result["msg"]
    else:
        assert json.loads(report.read_text())["ready"] is result["ready"]


def test_nothing_is_run_below_a_folder_that_others_can_change(run_module: Any, settings: Path, tmp_path: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "nowhere").chmod(0o777)
    result = run_module("readiness_report", {"runtime_config": str(settings)}, check=True)
    assert f"nothing there is believed or run: {tmp_path}/nowhere" in result["summary"]["reasons"][0]

"""The look through folders of configuration and kernels that a user may have filled."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.jupyter import config_repair
from ansible.module_utils.colab_ready.jupyter.config_paths import User


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / ".local/share/jupyter/kernels/x").mkdir(parents=True)
    return home


def audited(home: Path) -> list[str]:
    user = User("student", os.getuid(), os.getgid(), str(home))
    settings = config_repair.Settings(prefix=str(home.parent / "usr"), users=[user], system_dirs=[])
    repair = config_repair.Repair(settings)
    return [finding["why"] for finding in [*repair.audit_data([]), *config_repair.Repair(settings).audit()]]


def test_a_folder_of_kernels_without_a_bottom_is_one_finding(home: Path, deepen: Callable[[Path], None]) -> None:
    deepen(home / ".local/share/jupyter/kernels/x")
    (why,) = [why for why in audited(home) if "not looked at further" in why]
    assert "deeper" in why


@pytest.mark.parametrize("folder", [".local/share/jupyter/kernels", ".local/share/jupyter/kernels/x", ".jupyter"])
def test_a_folder_that_is_far_too_full_is_one_finding(home: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_repair, "ENTRIES_MAX", 30)
    (home / folder).mkdir(exist_ok=True)
    for number in range(40):
        (home / folder / f"{number}.json").touch()
    assert sum("not looked at further" in why for why in audited(home)) == 1


def test_a_file_that_is_far_too_long_is_a_finding(home: Path) -> None:
    with (home / ".local/share/jupyter/kernels/x/kernel.json").open("wb") as file:
        file.truncate(1 << 40)
    assert any("too long" in why for why in audited(home))

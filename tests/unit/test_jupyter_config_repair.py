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


@pytest.mark.parametrize(
    ("mount", "keeps_modes"),
    [
        ("9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\134;uid=1000;gid=1000;symlinkroot=/mnt/", False),
        ("9p C: rw,aname=drvfs;path=C:;uid=1000;metadata;umask=022", True),
        ("vfat /dev/sdb1 rw,uid=1000,fmask=0000,dmask=0000", False),
        ("ext4 /dev/sdb1 rw", True),
    ],
    ids=["a Windows drive", "with metadata", "a stick", "a disk"],
)
def test_a_home_on_a_drive_that_keeps_no_modes_is_one_finding_with_the_mount_s_option(
    home: Path, tmp_path: Path, mount: str, keeps_modes: bool
) -> None:
    (home / ".jupyter").mkdir()
    (home / ".local/etc/jupyter").mkdir(parents=True)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777)
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"22 1 0:20 / / rw - ext4 /dev/sda rw\n90 22 0:50 / {home.parent} rw - {mount}\n")
    user = User("student", os.getuid(), os.getgid(), str(home))
    settings = config_repair.Settings(
        prefix=str(tmp_path / "usr"), users=[user], system_dirs=[], check=False, mountinfo=str(mountinfo)
    )
    repair = config_repair.Repair(settings)
    repair._audit()
    if keeps_modes:
        assert len(repair.findings) > 2 and any("chmod" in one["do"] for one in repair.findings)
        return
    (found,) = repair.findings
    assert (found["path"], found["repaired"]) == (str(home.parent), False)
    assert 'options = "metadata,umask=022"' in found["do"] and "chmod" not in found["do"]
    assert (home / ".jupyter").stat().st_mode & 0o777 == 0o777

"""Finding 11: in the folder of a Windows user root followed a link and copied what it leads to, and ran what is called cmd.exe.

WSL is emulated, as in tests/modules/test_wsl_host.py, whose host in a folder this is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.windows_drive import open_folder
from modules.test_wsl_host import BACKUP, Wsl

SECRET = "the-content-of-a-file-of-roots\n"


@pytest.fixture
def wsl(run_module: Any) -> Iterator[Wsl]:
    if os.geteuid() != 0:
        pytest.skip("only root has what an attacker of root wants")
    with open_folder() as folder:
        yield Wsl(folder / "host", run_module)


@pytest.mark.parametrize("which", ["wslconfig", "backup"])
def test_no_link_in_the_folder_of_windows_is_followed(wsl: Wsl, tmp_path: Path, which: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    if which == "wslconfig":
        wsl.wslconfig.symlink_to(secret)
    else:
        wsl.wslconfig.write_text("[wsl2]\n")
        Path(f"{wsl.wslconfig}{BACKUP}").symlink_to(secret)
    said = wsl.module(keep_running=True)
    assert "Traceback" not in str(said)
    assert secret.read_text() == SECRET
    copies = [
        path
        for path in wsl.root.rglob("*")
        if path.is_file() and not path.is_symlink() and SECRET in path.read_text(errors="replace")
    ]
    assert copies == []


def test_a_script_that_is_called_like_a_program_of_windows_is_not_started(wsl: Wsl, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    program = wsl.windows / "cmd.exe"
    program.write_text(f"#!/bin/sh\nid -u >>{mark}\necho 'C:\\Users\\Jürgen 山田'\n")
    program.chmod(0o777)
    result = wsl.module(keep_running=True)
    assert not mark.exists(), mark.read_text()
    assert "Traceback" not in str(result)

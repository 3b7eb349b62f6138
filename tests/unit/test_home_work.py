"""What in a home is somebody's work, and what the server and IPython leave there by themselves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.system.home import HISTORY, TOPS, find_work


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """As a converged and verified host has it."""
    for folder in ("log", "startup", "pid", "security", "db"):
        (tmp_path / ".ipython/profile_default" / folder).mkdir(parents=True)
    (tmp_path / ".ipython/profile_default/startup/README").write_text("This is the IPython startup directory")
    (tmp_path / ".local/share/jupyter/runtime").mkdir(parents=True)
    (tmp_path / ".local/share/jupyter/nbsignatures.db").touch()
    (tmp_path / ".cache/torch").mkdir(parents=True)
    history = sqlite3.connect(tmp_path / HISTORY)
    history.execute("CREATE TABLE history (session integer, line integer, source text, source_raw text)")
    history.execute("CREATE TABLE sessions (session integer primary key)")
    history.execute("INSERT INTO sessions VALUES (1)")
    history.commit()
    history.close()
    return tmp_path


def test_what_programs_make_by_themselves_is_no_work(home: Path) -> None:
    assert find_work(str(home)) == []
    assert {path.name for path in home.iterdir()} <= set(TOPS)


@pytest.mark.parametrize(
    "path",
    [
        "n.ipynb",
        ".work/n.ipynb",
        ".bash_history",
        ".cachet",
        ".ipython/profile_default/startup/00-mine.py",
        ".ipython/profile_default/ipython_config.py",
        ".ipython/profile_mine/history.sqlite",
        ".ipython/extensions/mine.py",
        ".local/bin/tool",
        ".local/share/notes.txt",
        ".local/share/jupyter/kernels/mine/kernel.json",
        ".local/share/jupyter/lab/user-settings/theme",
        ".config/matplotlib/matplotlibrc",
    ],
)
def test_all_else_is_work_hidden_or_not(home: Path, path: str) -> None:
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text("x")
    (found,) = find_work(str(home))
    assert path.startswith(found)


def test_a_link_or_a_pipe_where_programs_keep_their_own_is_work(home: Path) -> None:
    (home / ".nv").symlink_to("/etc")
    os.mkfifo(home / ".triton")
    assert find_work(str(home)) == [".nv", ".triton"]


def test_a_history_with_a_cell_in_it_and_one_that_is_none_is_work(home: Path) -> None:
    history = sqlite3.connect(home / HISTORY)
    history.execute("INSERT INTO history VALUES (1, 1, 'x = 1', 'x = 1')")
    history.commit()
    history.close()
    assert find_work(str(home)) == [HISTORY]
    (home / HISTORY).write_bytes(b"[" * 200_000)
    assert find_work(str(home)) == [HISTORY]
    (home / HISTORY).unlink()
    os.mkfifo(home / HISTORY)
    assert find_work(str(home)) == [HISTORY]


def test_neither_depth_nor_number_stops_the_look(home: Path, deepen: Callable[[Path], None]) -> None:
    deepen(home / ".cache")
    assert find_work(str(home)) == []
    for number in range(30):
        (home / f"{number}.txt").touch()
    assert len(find_work(str(home))) == 5

"""A tree that somebody else made goes whole, whatever its shape, and nothing outside of it."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.files import removal


def deep(folder: Path, depth: int) -> None:
    """Folders in folders, deeper than a path can be long."""
    program = "import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(int(sys.argv[2])):\n    os.mkdir('d' * 20); os.chdir('d' * 20)\nopen('last', 'w')"
    subprocess.run(["python3", "-c", program, str(folder), str(depth)], check=True)


def test_no_depth_is_too_deep(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    deep(top, 3000)
    removal.remove_path(str(top))
    assert not os.path.lexists(top)


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("here")
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    (top / "a" / "link").symlink_to(kept)
    (top / "link").symlink_to(kept / "file")
    os.mkfifo(top / "a" / "pipe")
    removal.remove_path(str(top))
    assert not top.exists()
    assert (kept / "file").read_text() == "here"


@pytest.mark.parametrize("kind", ["file", "link", "pipe", "nothing"])
def test_what_is_no_folder_goes_too(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "it"
    if kind == "file":
        place.write_text("x")
    elif kind == "link":
        place.symlink_to(tmp_path)
    elif kind == "pipe":
        os.mkfifo(place)
    removal.remove_path(str(place))
    assert not os.path.lexists(place)
    assert tmp_path.is_dir()


def test_the_folder_itself_may_stay(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    handle = os.open(tmp_path, os.O_RDONLY)
    removal.empty_at(handle, "a")
    os.close(handle)
    assert os.listdir(tmp_path / "a") == []
    assert os.listdir(tmp_path) == ["a"]


def test_another_file_system_is_an_error_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "top" / "mounted").mkdir(parents=True)
    real = os.fstat
    inode = (tmp_path / "top" / "mounted").stat().st_ino

    def fstat(handle: int) -> os.stat_result:
        found = real(handle)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if found.st_ino == inode else found

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(OSError, match="another file system"):
        removal.remove_path(str(tmp_path / "top"))
    assert (tmp_path / "top" / "mounted").is_dir()


def test_a_folder_with_many_names_is_not_kept_in_memory(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    handle = os.open(top, os.O_RDONLY)
    for number in range(10_000):
        os.mknod(f"{number:05d}" + "x" * 240, dir_fd=handle)
    os.close(handle)
    tracemalloc.start()
    try:
        removal.remove_path(str(top))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not top.exists()
    assert most < 1 << 20

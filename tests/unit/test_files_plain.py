"""Files in folders where somebody else may put links: nothing on the way is followed, nothing but a plain file is replaced."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.files.plain import open_plain, replace_plain
from ansible.module_utils.colab_ready.process.identity import NOBODY, who_called


def replace(path: Path | str, content: bytes = b"new", mode: int = 0o640) -> None:
    replace_plain(str(path), content, os.geteuid(), os.getegid(), mode)


def test_a_file_is_made_replaced_read_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    path.parent.mkdir()
    for content in (b"one", b"two"):
        replace(path, content)
        with open_plain(str(path)) as handle:
            assert os.read(handle, 9) == content
    assert (path.stat().st_mode & 0o777, os.listdir(path.parent)) == (0o640, ["file"])
    replace_plain(str(path), None, 0, 0, 0)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("place", ["file", "folder", "pipe", "directory", "up"])
def test_what_is_no_plain_file_or_is_reached_over_a_link_is_left_and_named(tmp_path: Path, place: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").write_bytes(b"old")
    path = tmp_path / "file"
    if place == "file":
        path.symlink_to(target / "file")
    elif place == "folder":
        (tmp_path / "link").symlink_to(target)
        path = tmp_path / "link" / "file"
    elif place == "up":
        (tmp_path / "below").mkdir()
        path = tmp_path / "below" / ".." / "target" / "file"
    else:
        os.mkfifo(path) if place == "pipe" else path.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=str(path)) as raised:
        replace(path)
    assert raised.value.errno == (errno.EINVAL if place in ("pipe", "directory") else errno.ELOOP)
    for refuse in (lambda: open_plain(str(path)).__enter__(), lambda: replace_plain(str(path), None, 0, 0, 0)):
        with pytest.raises(OSError):
            refuse()
    assert (sorted(tmp_path.rglob("*")), (target / "file").read_bytes()) == (before, b"old")


def test_a_write_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace(path)
    assert (os.listdir(tmp_path), path.read_bytes()) == (["file"], b"old")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as somebody else")
@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"SUDO_USER": "games"}, "games"),
        ({"DOAS_USER": "games"}, "games"),
        ({"SUDO_USER": "root"}, "nobody"),
        ({"SUDO_USER": "no such user"}, "nobody"),
        ({}, "nobody"),
    ],
)
def test_who_called_is_never_root(environ: dict[str, str], name: str) -> None:
    assert who_called(environ).uid == (NOBODY.uid if name == "nobody" else pwd.getpwnam(name).pw_uid)

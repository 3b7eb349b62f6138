"""Whether somebody else can change what root would run: one rule, on real folders, with made-up accounts."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.files import trust

ME = os.geteuid()
BOB = 4711
TRUSTED = {0, ME}


@pytest.fixture(autouse=True)
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Me with a group of my own (5000), bob with his (4711); a group of both (6000), and one of mine alone (7000)."""
    people = {"me": (ME, 5000), "bob": (BOB, 4711)}
    known = [pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh")) for name, (uid, gid) in people.items()]
    groups: dict[int, list[str]] = {5000: [], 4711: [], 6000: ["me", "bob"], 7000: ["me", "gone"]}

    def by_gid(gid: int) -> grp.struct_group:
        return grp.struct_group((f"group {gid}", "x", gid, groups[gid]))

    monkeypatch.setattr(pwd, "getpwall", lambda: known)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {one.pw_name: one for one in known}[name])
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {one.pw_uid: one for one in known}[uid])
    monkeypatch.setattr(grp, "getgrgid", by_gid)
    trust.others_in_group.cache_clear()
    yield
    trust.others_in_group.cache_clear()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file in folders that only I may write to: place/a/b/file."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    for path in (tmp_path, tmp_path / "a", folder, folder / "file"):
        path.chmod(0o755)
    return tmp_path


def mode(path: str, bits: int) -> Callable[[Path], None]:
    return lambda place: (place / path).chmod(bits)


def owner(path: str, uid: int, gid: int = -1, bits: int | None = None) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        os.chown(place / path, uid, gid, follow_symlinks=False)
        if bits is not None:
            (place / path).chmod(bits)

    return change


def link(path: str, target: str) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        (place / path).symlink_to(target.replace("PLACE", str(place)))

    return make


NEEDS_ROOT = pytest.mark.skipif(ME != 0, reason="only root can give a file away")
# what is done to the place, the path that is judged, words of the answer (none: trusted)
WAYS = [
    pytest.param([], "a/b/file", "", id="mine"),
    pytest.param([mode("a", 0o777)], "a/b/file", "a (of me) can be changed by everybody: its mode is 0777", id="open parent"),
    pytest.param([mode("a/b/file", 0o666)], "a/b/file", "file (of me) can be changed by everybody", id="open file"),
    pytest.param([mode("a", 0o1777)], "a/b/file", "", id="sticky parent"),
    pytest.param([mode("a/b", 0o1777)], "a/b", "b (of me) can be changed by everybody: its mode is 1777", id="sticky itself"),
    pytest.param([mode("a", 0o1777)], "a/new", "new is not there yet, and everybody may make it", id="to come, in a sticky one"),
    pytest.param([], "a/new/other", "", id="to come, in mine"),
    pytest.param([link("a/l", "b/file")], "a/l", "", id="link"),
    pytest.param([link("a/l", "PLACE/a/b")], "a/l/file", "", id="absolute link on the way"),
    pytest.param([link("a/l", "l")], "a/l", "leads through more than 40 symbolic links", id="circle"),
    pytest.param([mode("a/b", 0o777), link("l", "a/b/file")], "l", "b (of me) can be changed by everybody", id="link's way"),
    pytest.param([mode("a/b", 0o777)], "a/b/../../a", "b (of me) can be changed", id="through a folder and back"),
    pytest.param([owner("a", BOB)], "a/b/file", "a belongs to bob", id="bob's parent", marks=NEEDS_ROOT),
    pytest.param([owner("a/b/file", BOB)], "a/b/file", "file belongs to bob", id="bob's file", marks=NEEDS_ROOT),
    pytest.param([owner("a", 12345)], "a/b/file", "a belongs to user 12345", id="nobody's parent", marks=NEEDS_ROOT),
    pytest.param([owner("a", BOB, -1, 0o1777)], "a/b/file", "a belongs to bob", id="bob's sticky", marks=NEEDS_ROOT),
    pytest.param(
        [link("a/l", "b/file"), owner("a/l", BOB)], "a/l", "a/l belongs to bob", id="bob's link", marks=NEEDS_ROOT
    ),
    pytest.param([owner("a", -1, 5000, 0o775)], "a/b/file", "", id="private group", marks=NEEDS_ROOT),
    pytest.param([owner("a", -1, 7000, 0o775)], "a/b/file", "", id="a group of mine alone", marks=NEEDS_ROOT),
    pytest.param(
        [owner("a", -1, 6000, 0o775)], "a/b/file", "can be changed by its group: its mode is 0775", id="bob is in the group",
        marks=NEEDS_ROOT,
    ),
    pytest.param([owner("a", -1, 4711, 0o775)], "a/b/file", "changed by its group", id="bob's own group", marks=NEEDS_ROOT),
    pytest.param([owner("a", -1, 6000, 0o755)], "a/b/file", "", id="a group that may not write", marks=NEEDS_ROOT),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "words"), WAYS)
def test_a_way_is_trusted_when_nobody_else_can_change_it(
    place: Path, changes: list[Callable[[Path], None]], path: str, words: str
) -> None:
    for change in changes:
        change(place)
    reason = trust.distrust_way(f"{place}/{path}", TRUSTED)
    assert (words in reason) if words and reason else (reason or "") == words


TREES = [
    case
    for case in WAYS
    if case.id in ("mine", "open file", "bob's file", "bob's link", "bob is in the group", "circle")
]


@pytest.mark.parametrize(("changes", "path", "words"), TREES)
def test_a_tree_is_trusted_when_all_of_it_is(
    place: Path, changes: list[Callable[[Path], None]], path: str, words: str
) -> None:
    for change in changes:
        change(place)
    reason = trust.distrust_tree(str(place / "a"), TRUSTED)
    assert (words.removeprefix("a/") in reason) if words and reason else (reason or "") == words


def test_a_tree_counts_where_its_links_lead(place: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / "a" / "l").symlink_to(place / "elsewhere")
    assert trust.distrust_tree(str(place / "a"), TRUSTED) is None
    (place / "elsewhere").chmod(0o777)
    assert "elsewhere (of me) can be changed by everybody" in str(trust.distrust_tree(str(place / "a"), TRUSTED))


def test_a_reader_that_follows_links_has_what_lies_behind_them_judged(place: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "file").write_text("x")
    (place / "elsewhere" / "round").symlink_to(place / "a")
    (place / "a" / "l").symlink_to(place / "elsewhere")
    assert trust.distrust_tree(str(place / "a"), TRUSTED, follow=True) is None
    (place / "elsewhere" / "file").chmod(0o666)
    assert trust.distrust_tree(str(place / "a"), TRUSTED) is None
    reason = trust.distrust_tree(str(place / "a"), TRUSTED, follow=True)
    assert "elsewhere/file (of me) can be changed by everybody" in str(reason)


def test_a_tree_that_is_itself_a_link_counts_with_all_that_is_there(place: Path) -> None:
    (place / "elsewhere").mkdir()
    (place / "elsewhere" / "file").touch()
    (place / "l").symlink_to(place / "elsewhere")
    assert trust.distrust_tree(str(place / "l"), TRUSTED) is None
    (place / "elsewhere" / "file").chmod(0o666)
    assert "elsewhere/file (of me) can be changed by everybody" in str(trust.distrust_tree(str(place / "l"), TRUSTED))


def test_a_tree_has_a_bound_and_depth_is_none(place: Path) -> None:
    assert "holds more than 1 files" in str(trust.distrust_tree(str(place), TRUSTED, limit=1))
    folder = os.open(place, os.O_RDONLY)
    for _ in range(1200):  # deeper than Python recurses
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    try:
        assert trust.distrust_tree(str(place), TRUSTED) is None
    finally:
        subprocess.run(["rm", "-rf", str(place / "d")], check=True)


@pytest.mark.skipif(not shutil.which("setfacl"), reason="no setfacl here")
def test_an_access_list_that_grants_writing_is_seen(place: Path) -> None:
    done = subprocess.run(["setfacl", "-m", "u:65534:rwx", str(place / "a")], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("a file system without access lists")
    assert "it has an access control list" in str(trust.distrust_way(f"{place}/a/b/file", TRUSTED))

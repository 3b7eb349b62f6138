"""A list of files and directories becomes true in the fewest steps, or is refused whole."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.files import desired
from ansible.module_utils.colab_ready.files.desired import Entry, Host, Seen

TOKEN = b"0123456789abcdef" * 4

# A host on which accounts are these, every directory exists, and root is at work.
ACCOUNTS = {"root": 0, "student": 1000, "staff": 50}
ROOT = Host(
    is_empty=lambda path: False,
    is_directory=lambda path: True,
    uid_of=ACCOUNTS.get,
    gid_of=ACCOUNTS.get,
    primary_gid=lambda uid: uid,
    mounts=frozenset({"/", "/proc", "/mnt/c", "/srv/big/disk"}),
    homes=frozenset({"/root", "/home/student", "/var/lib/colab/home"}),
)
STUDENT = replace(ROOT, euid=1000, groups=frozenset({1000}))

FILE = Seen("file", 0o644, 0, 0, b"text\n")
DIRECTORY = Seen("directory", 0o755, 0, 0)


# --- what may be asked for ------------------------------------------------------------------------------------------

ENTRIES: list[tuple[str, dict[str, Any], Entry]] = [
    ("text", {"path": "/a/b", "content": "x"}, Entry("/a/b", content=b"x")),
    ("empty text", {"path": "/a/b", "content": ""}, Entry("/a/b", content=b"")),
    ("not ASCII", {"path": "/a/b", "content": "grün"}, Entry("/a/b", content="grün".encode())),
    ("slashes too many", {"path": "/a//b/", "content": ""}, Entry("/a/b", content=b"")),
    (
        "data as JSON",
        {"path": "/a/b", "json": True, "content": {"z": 1, "a": ["ü"]}},
        Entry("/a/b", content='{\n  "a": [\n    "ü"\n  ],\n  "z": 1\n}\n'.encode()),
    ),
    ("JSON text", {"path": "/a/b", "json": True, "content": '{"b":1}'}, Entry("/a/b", content=b'{\n  "b": 1\n}\n')),
    ("JSON false", {"path": "/a/b", "json": True, "content": False}, Entry("/a/b", content=b"false\n")),
    ("secret text", {"path": "/a/b", "secret_content": "s"}, Entry("/a/b", content=b"s", secret=True)),
    ("random bytes", {"path": "/a/b", "generate": 24}, Entry("/a/b", generate=24, secret=True)),
    (
        "directory",
        {"path": "/a", "state": "directory", "owner": "student", "group": "staff", "mode": "2750"},
        Entry("/a", "directory", owner="student", group="staff", mode=0o2750),
    ),
    ("absent", {"path": "/a", "state": "absent"}, Entry("/a", "absent")),
    (
        "absent with all options as a module fills them in",
        {"path": "/a", "state": "absent", "content": None, "json": False, "recursive": True, "mode": None},
        Entry("/a", "absent", recursive=True),
    ),
]


@pytest.mark.parametrize(("raw", "entry"), [case[1:] for case in ENTRIES], ids=[case[0] for case in ENTRIES])
def test_an_entry_is_understood(raw: dict[str, Any], entry: Entry) -> None:
    assert desired.parse_entry(raw) == entry


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("relative path", {"path": "a/b", "content": ""}, "absolute"),
    ("dots in the path", {"path": "/a/../b", "content": ""}, "absolute"),
    ("the root", {"path": "/", "state": "directory"}, "absolute"),
    ("unknown state", {"path": "/a", "state": "touch"}, "absent, directory, file"),
    ("no content", {"path": "/a"}, "no content given"),
    ("two contents", {"path": "/a", "content": "", "generate": 16}, "content and generate given"),
    ("data without json", {"path": "/a", "content": {"b": 1}}, "set json: true"),
    ("a number without json", {"path": "/a", "content": 0}, "set json: true"),
    ("text that is no JSON", {"path": "/a", "json": True, "content": "{"}, "not JSON"),
    ("json of random bytes", {"path": "/a", "json": True, "generate": 16}, "json is true"),
    ("a token that can be guessed", {"path": "/a", "generate": 8}, "from 16"),
    ("a mode that YAML read as a number", {"path": "/a", "content": "", "mode": "420"}, "four octal digits"),
    ("a mode in letters", {"path": "/a", "content": "", "mode": "u=rw"}, "four octal digits"),
    ("a mode with a nine", {"path": "/a", "content": "", "mode": "0694"}, "four octal digits"),
    ("content of a directory", {"path": "/a", "state": "directory", "content": ""}, "content means nothing"),
    ("mode of nothing", {"path": "/a", "state": "absent", "mode": "0644"}, "mode means nothing"),
    ("recursive file", {"path": "/a", "content": "", "recursive": True}, "recursive means nothing"),
]


@pytest.mark.parametrize(("raw", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_senseless_entry_is_refused_with_what_was_expected(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match="Expected") as refusal:
        desired.parse_entry(raw)
    assert words in str(refusal.value)


def test_every_senseless_entry_of_a_list_is_named() -> None:
    raws = [{"path": "a"}, {"path": "/b", "content": ""}, {"path": "/b/", "state": "absent"}, {"path": "/c"}]
    entries, problems = desired.parse_entries(raws)
    assert [entry.path for entry in entries] == ["/b"]
    assert [problem.split(":")[0] for problem in problems] == ["a", "/b/", "/c"]
    assert "listed twice" in problems[1]


# --- one step or none -----------------------------------------------------------------------------------------------

TEXT = Entry("/a/b", content=b"text\n")
SECRET = Entry("/a/b", generate=32, secret=True)

TRUE_ALREADY: list[tuple[str, Entry, Seen]] = [
    ("same file", TEXT, FILE),
    ("same file, everything said", replace(TEXT, owner="root", group="root", mode=0o644), FILE),
    ("same directory", Entry("/a/b", "directory"), DIRECTORY),
    ("token of the right length", SECRET, Seen("file", 0o600, 0, 0, TOKEN)),
    ("token that fewer may use", replace(SECRET, mode=0o640), Seen("file", 0o640, 0, 0, TOKEN)),
    ("token that somebody made longer", SECRET, Seen("file", 0o600, 0, 0, b"x" * 99)),
    ("absent", Entry("/a/b", "absent"), desired.MISSING),
]


@pytest.mark.parametrize(("entry", "seen"), [case[1:] for case in TRUE_ALREADY], ids=[case[0] for case in TRUE_ALREADY])
def test_what_is_true_already_needs_no_step(entry: Entry, seen: Seen) -> None:
    assert desired.decide(entry, seen, ROOT) is None


# What is there, what must happen, and the diff: one line each before and after, | for a new line.
MADE = "mode: 0644|owner: root|group: root|"
HIDDEN = "content: hidden, as it was| -> content: hidden, new|"
STEPS: list[tuple[str, Entry, Seen, str, str]] = [
    ("new file", TEXT, desired.MISSING, "write", f"state: absent| -> state: file|{MADE}text|"),
    ("other content", TEXT, replace(FILE, content=b"old\n"), "write", "old| -> text|"),
    ("both", TEXT, replace(FILE, content=b"old\n", mode=0o777), "write", "mode: 0777|old| -> mode: 0644|text|"),
    ("mode", TEXT, replace(FILE, mode=0o600), "attributes", "mode: 0600| -> mode: 0644|"),
    ("owner", replace(TEXT, owner="student", group="root"), FILE, "attributes", "owner: root| -> owner: student|"),
    (
        "group of the owner",
        replace(TEXT, owner="student"),
        replace(FILE, uid=1000),
        "attributes",
        "group: root| -> group: student|",
    ),
    ("group", replace(TEXT, group="staff"), FILE, "attributes", "group: root| -> group: staff|"),
    ("not text", TEXT, replace(FILE, content=b"\xff\xfe"), "write", "content: 2 bytes that are not text| -> text|"),
    ("too large", TEXT, replace(FILE, content=None), "write", "content: too large to show| -> text|"),
    (
        "link in a file's place",
        TEXT,
        Seen("symlink", target="/x"),
        "write",
        f"state: symlink to /x| -> state: file|{MADE}text|",
    ),
    (
        "new directory",
        Entry("/a/b", "directory"),
        desired.MISSING,
        "make_directory",
        f"state: absent| -> state: directory|{MADE.replace('644', '755')}",
    ),
    (
        "directory open to all",
        Entry("/a/b", "directory"),
        replace(DIRECTORY, mode=0o777),
        "attributes",
        "mode: 0777| -> mode: 0755|",
    ),
    (
        "new token",
        SECRET,
        desired.MISSING,
        "write",
        f"state: absent| -> state: file|{MADE.replace('644', '600')}content: hidden, new|",
    ),
    ("empty token", SECRET, Seen("file", 0o600, 0, 0, b""), "write", HIDDEN),
    ("token too short", SECRET, Seen("file", 0o600, 0, 0, TOKEN[1:]), "write", HIDDEN),
    ("token of two lines", SECRET, Seen("file", 0o600, 0, 0, TOKEN + b"\n" + TOKEN), "write", HIDDEN),
    ("token with a newline at its end", SECRET, Seen("file", 0o600, 0, 0, TOKEN + b"\n"), "write", HIDDEN),
    (
        "token that another account knows",
        SECRET,
        Seen("file", 0o600, 1000, 1000, TOKEN),
        "write",
        "owner: student|group: student|content: hidden, as it was| -> owner: root|group: root|content: hidden, new|",
    ),
    (
        "token that others may read",
        SECRET,
        Seen("file", 0o640, 0, 0, TOKEN),
        "write",
        "mode: 0640|content: hidden, as it was| -> mode: 0600|content: hidden, new|",
    ),
    (
        "link in a token's place",
        SECRET,
        Seen("symlink", target="/x"),
        "write",
        f"state: symlink to /x| -> state: file|{MADE.replace('644', '600')}content: hidden, new|",
    ),
    ("file that must go", Entry("/a/b", "absent"), FILE, "remove", "state: file| -> state: absent|"),
    ("link that must go", Entry("/a/b", "absent"), Seen("symlink"), "remove", "state: symlink| -> state: absent|"),
    (
        "directory that must go",
        Entry("/a/b", "absent", recursive=True),
        DIRECTORY,
        "remove_tree",
        "state: directory| -> state: absent|",
    ),
]


@pytest.mark.parametrize(
    ("entry", "seen", "action", "diff"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS]
)
def test_what_is_not_true_needs_this_step(
    monkeypatch: pytest.MonkeyPatch, entry: Entry, seen: Seen, action: str, diff: str
) -> None:
    names = {number: name for name, number in ACCOUNTS.items()}
    monkeypatch.setattr(desired, "user_name", names.get)
    monkeypatch.setattr(desired, "group_name", names.get)
    change = desired.decide(entry, seen, ROOT)
    assert change is not None
    assert change.action == action
    assert f"{change.before} -> {change.after}".replace("\n", "|") == diff
    assert change.created == (seen.kind == "missing")


IMPOSSIBLE: list[tuple[str, Entry, Seen, Host, str]] = [
    ("directory in a file's place", TEXT, DIRECTORY, ROOT, "a directory is there"),
    ("file in a directory's place", Entry("/a/b", "directory"), FILE, ROOT, "a file is there"),
    ("link in a directory's place", Entry("/a/b", "directory"), Seen("symlink", target="/x"), ROOT, "symlink to /x"),
    ("pipe in a file's place", TEXT, Seen("special file"), ROOT, "a device, pipe or socket"),
    ("hard link to a file of the system's", replace(TEXT, owner="student"), replace(FILE, links=2), ROOT, "hard links"),
    ("no such owner", replace(TEXT, owner="nobody-here"), FILE, ROOT, "owner is 'nobody-here'"),
    ("no such group", replace(TEXT, group="nobody-here"), FILE, ROOT, "group is 'nobody-here'"),
    ("directory without recursive", Entry("/a/b", "absent"), DIRECTORY, ROOT, "recursive: true"),
    ("gift to root", replace(TEXT, owner="root"), desired.MISSING, STUDENT, "become: true"),
    ("root's file", replace(TEXT, owner="student"), FILE, STUDENT, "become: true"),
    ("somebody else's group", replace(TEXT, group="staff"), desired.MISSING, STUDENT, "become: true"),
]


@pytest.mark.parametrize(
    ("entry", "seen", "host", "words"), [case[1:] for case in IMPOSSIBLE], ids=[case[0] for case in IMPOSSIBLE]
)
def test_what_cannot_be_is_refused_with_what_to_do(entry: Entry, seen: Seen, host: Host, words: str) -> None:
    with pytest.raises(Refused, match="Expected") as refusal:
        desired.decide(entry, seen, host)
    assert words in str(refusal.value)


def test_an_account_that_is_still_to_be_made_counts_in_check_mode() -> None:
    entry = replace(TEXT, owner="nobody-here", group="nobody-here")
    change = desired.decide(entry, desired.MISSING, ROOT, check=True)
    assert change is not None
    assert "owner: nobody-here\ngroup: nobody-here\n" in change.after


NOT_OURS_TO_REMOVE: list[tuple[str, str]] = [
    *((path, "system") for path in "/ /usr /etc /opt /home /root /data /usr/local /usr/local/bin /var/lib".split()),
    *((path, "system") for path in "/usr/etc /etc/systemd /etc/systemd/system /usr/lib/systemd".split()),
    ("/home/student", "home directory"),
    ("/var/lib/colab", "home directory"),
    ("/mnt/c", "mounted"),
    ("/srv/big", "mounted"),
]


@pytest.mark.parametrize(("path", "why"), NOT_OURS_TO_REMOVE, ids=[path for path, _ in NOT_OURS_TO_REMOVE])
def test_directories_of_the_system_homes_and_mounts_are_never_removed(path: str, why: str) -> None:
    assert why in (desired.why_protected(path, ROOT.mounts, ROOT.homes) or "")


@pytest.mark.parametrize("path", ["/opt/colab-ready", "/etc/colab-ready", "/var/lib/colab-ready", "/usr/etc/jupyter"])
def test_a_directory_of_our_own_may_be_removed(path: str) -> None:
    assert desired.why_protected(path, ROOT.mounts, ROOT.homes) is None


# --- a whole list ---------------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Host:
    return Host.here()


def entries_of(*raws: dict[str, Any]) -> list[Entry]:
    entries, problems = desired.parse_entries(raws)
    assert not problems
    return entries


def converge(entries: list[Entry], host: Host) -> list[str]:
    changes, problems = desired.plan(entries, host)
    assert not problems
    for change in changes:
        desired.apply(change)
    return [change.path for change in changes]


def test_a_missing_parent_is_an_error_unless_an_earlier_entry_makes_it(tmp_path: Path, host: Host) -> None:
    inside = {"path": f"{tmp_path}/new/file", "content": ""}
    folder = {"path": f"{tmp_path}/new", "state": "directory"}
    changes, problems = desired.plan(entries_of(inside, folder), host)
    assert "does not exist" in problems[0]
    assert len(problems) == 1
    assert converge(entries_of(folder, inside), host) == [f"{tmp_path}/new", f"{tmp_path}/new/file"]


def test_one_impossible_entry_leaves_all_others_alone(tmp_path: Path, host: Host) -> None:
    (tmp_path / "folder/mine").mkdir(parents=True)
    wanted = entries_of({"path": f"{tmp_path}/a", "content": ""}, {"path": f"{tmp_path}/folder", "content": ""})
    assert len(desired.plan(wanted, host)[1]) == 1
    assert not (tmp_path / "a").exists()
    # An empty one is nobody's loss.
    (tmp_path / "folder/mine").rmdir()
    assert converge(wanted, host) == [f"{tmp_path}/a", f"{tmp_path}/folder"]
    assert (tmp_path / "folder").is_file()


def test_what_lies_in_a_directory_that_goes_is_missing_for_later_entries(tmp_path: Path, host: Host) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("")
    gone = {"path": f"{tmp_path}/old", "state": "absent", "recursive": True}
    changes, problems = desired.plan(entries_of(gone, {"path": f"{tmp_path}/old/file", "state": "absent"}), host)
    assert ([change.path for change in changes], problems) == ([f"{tmp_path}/old"], [])
    problems = desired.plan(entries_of(gone, {"path": f"{tmp_path}/old/file", "content": ""}), host)[1]
    assert len(problems) == 1


def test_the_second_time_nothing_changes_and_a_token_stays(tmp_path: Path, host: Host) -> None:
    wanted = entries_of(
        {"path": f"{tmp_path}/d", "state": "directory", "mode": "0750"},
        {"path": f"{tmp_path}/d/j", "json": True, "content": {"a": 1}},
        {"path": f"{tmp_path}/d/t", "generate": 32},
    )
    old = os.umask(0o077)
    try:
        assert len(converge(wanted, host)) == 3
    finally:
        os.umask(old)
    token = (tmp_path / "d" / "t").read_text()
    assert len(token) == 64
    assert converge(wanted, host) == []
    assert (tmp_path / "d" / "t").read_text() == token
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("d", "d/j", "d/t")}
    assert modes == {"d": 0o750, "d/j": 0o644, "d/t": 0o600}
    assert sorted(os.listdir(tmp_path / "d")) == ["j", "t"], "a temporary file was left"


def test_a_link_in_a_files_place_is_replaced_and_its_target_untouched(tmp_path: Path, host: Host) -> None:
    target = tmp_path / "target"
    target.write_text("theirs")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to(target)
    converge(entries_of({"path": f"{tmp_path}/link", "content": "ours", "mode": "0600"}), host)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "ours"
    assert target.read_text() == "theirs"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_link_that_appears_after_the_look_is_not_followed(tmp_path: Path, host: Host) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.write_text("x")
    mine.chmod(0o600)
    theirs.write_text("x")
    theirs.chmod(0o640)
    changes, _ = desired.plan(entries_of({"path": str(mine), "content": "x"}), host)
    mine.unlink()
    mine.symlink_to(theirs)
    with pytest.raises(OSError):
        desired.apply(changes[0])
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o640


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    changes, _ = desired.plan(entries_of({"path": str(file), "content": "new"}), host)

    def disk_is_full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", disk_is_full)
    with pytest.raises(OSError) as failure:
        desired.apply(changes[0])
    assert "df -h" in desired.explain(failure.value, str(file))
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_a_killed_run_left_is_taken_away_by_the_next_write(tmp_path: Path, host: Host) -> None:
    (tmp_path / ".file.colab-ready-new").write_text("half")
    converge(entries_of({"path": f"{tmp_path}/file", "content": "new"}), host)
    assert os.listdir(tmp_path) == ["file"]


def test_a_tree_goes_without_following_links_out_of_it(tmp_path: Path, host: Host) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "file").write_text("")
    (tmp_path / "tree" / "a" / "link").symlink_to(kept)
    converge(entries_of({"path": f"{tmp_path}/tree", "state": "absent", "recursive": True}), host)
    assert os.listdir(tmp_path) == ["kept"]
    assert (kept / "file").exists()


def test_a_tree_of_any_depth_goes(tmp_path: Path, host: Host, deepen: Callable[[Path], None]) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    deepen(tree)
    assert converge(entries_of({"path": str(tree), "state": "absent", "recursive": True}), host) == [str(tree)]
    assert not tree.exists()


def test_a_tree_whose_way_others_can_change_stays_and_is_named(tmp_path: Path, host: Host) -> None:
    (tmp_path / "open" / "tree").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    entries = entries_of({"path": str(tmp_path / "open/tree"), "state": "absent", "recursive": True})
    _changes, (problem,) = desired.plan(entries, host)
    assert f"{tmp_path}/open" in problem and "can be changed by everybody" in problem and "remove it by hand" in problem


def test_the_owner_of_the_way_may_be_named(tmp_path: Path, host: Host) -> None:
    seen: list[set[int]] = []
    told = replace(host, distrust=lambda path, uids: seen.append(set(uids)), uid_of={"student": 4711}.get)
    (tmp_path / ".cache").mkdir()
    entry = {"path": str(tmp_path / ".cache"), "state": "absent", "recursive": True, "owner": "student"}
    changes, problems = desired.plan(entries_of(entry), told)
    assert (len(changes), problems, seen) == (1, [], [{0, host.euid, 4711}])


def test_what_others_put_into_a_directory_of_ours_is_taken_away_with_a_word(
    tmp_path: Path, host: Host, deepen: Callable[[Path], None]
) -> None:
    etc = tmp_path / "etc"
    (etc / "conf.d").mkdir(parents=True)
    (etc / "good.py").write_text("ours")
    (etc / "conf.d" / "evil.json").write_text("{}")
    (etc / "conf.d" / "evil.json").chmod(0o666)
    (etc / "lab").mkdir()
    (etc / "lab").chmod(0o777)
    deepen(etc / "lab")
    (etc / "listed").write_text("x")
    etc.chmod(0o777)
    (etc / "listed").chmod(0o666)
    entries = entries_of(
        {"path": str(etc), "state": "directory", "purge_foreign": True}, {"path": str(etc / "listed"), "content": "x"}
    )
    changes, problems = desired.plan(entries, host)
    warned = [change.path for change in changes if change.warning]
    assert (problems, warned) == ([], [str(etc / "conf.d/evil.json"), str(etc / "lab")])
    # Who could write to it may still have it open.
    assert [change.action for change in changes if change.path == str(etc / "listed")] == ["write"]
    assert len(converge(entries, host)) == 4
    assert sorted(path.name for path in etc.rglob("*")) == ["conf.d", "good.py", "listed"]
    assert converge(entries, host) == []


@pytest.mark.parametrize("uid", [4711, 0])
def test_what_belongs_to_somebody_else_is_foreign_and_what_is_roots_is_not(
    tmp_path: Path, host: Host, uid: int
) -> None:
    if os.geteuid() != 0:
        pytest.skip("root may give files away")
    (tmp_path / "jupyter_server_config.py").write_text("")
    os.chown(tmp_path / "jupyter_server_config.py", uid, -1)
    assert desired.foreign_in(str(tmp_path), 0) == ([str(tmp_path / "jupyter_server_config.py")] if uid else [])


def test_a_file_that_its_owner_holds_a_lease_on_is_made_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 48, encoding="ascii")
    program = (
        "import fcntl, os, signal, sys, time; signal.signal(signal.SIGIO, signal.SIG_IGN); "
        "fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(token)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        said = holder.stdout.readline()
        seen = desired.look(str(token))
        holder.kill()
    if not said:
        pytest.skip("this file system has no leases")
    assert (seen.kind, seen.content) == ("file", None)

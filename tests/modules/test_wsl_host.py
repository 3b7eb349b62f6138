"""The module wsl_host as a play runs it, in a small WSL in a folder: Windows is a stand-in, the loader's cache a real one."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.wsl.repair import restart_codes_here, settle
from fixtures.windows_drive import give, open_folder, uids, windows_program

PROFILE = "C:\\Users\\Jürgen 山田"
BACKUP = ".colab-ready-backup"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as somebody else")
WAITS = "systemd is switched on in /etc/wsl.conf, and starts when WSL starts next"


class Wsl:
    """A WSL 2 as far as the module looks at it."""

    def __init__(self, root: Path, run_module: Any) -> None:
        self.root = root
        self.run_module = run_module
        self.etc, self.proc, self.usr = root / "etc", root / "proc", root / "usr"
        self.windows = root / "drives/c/Windows/System32"
        self.profile = root / "drives/c/Users/Jürgen 山田"
        for folder in (
            self.etc / "ld.so.conf.d",
            self.usr / "lib/systemd",
            root / "sbin",
            root / "var/lib",
            root / "run/WSL",
        ):
            folder.mkdir(parents=True)
        for folder in (self.proc / "sys/kernel/random", self.proc / "1", self.windows, self.profile):
            folder.mkdir(parents=True)
        (self.proc / "sys/kernel/osrelease").write_text("5.15.153.1-microsoft-standard-WSL2\n")
        (self.usr / "lib/systemd/systemd").touch()
        (root / "sbin/init").symlink_to("../usr/lib/systemd/systemd")
        self.boot("a", systemd=False)
        # Every WSL's file, so that the stand-in is found the way the real one is.
        self.wsl_conf = self.etc / "wsl.conf"
        self.theirs = f"# mine\r\n[automount]\r\nroot = {root}/drives/ # ours\r\n".encode()
        self.wsl_conf.write_bytes(self.theirs)
        self.wslconfig = self.profile / ".wslconfig"
        windows_program(root, self.windows / "cmd.exe", self.windows)
        self.state("profile.txt", PROFILE)
        for folder in (root / "drives/c/Users", self.profile):
            give(folder).chmod(0o755)
        self.state_file = root / "var/lib/colab-ready/wsl_host.json"
        # The system's own ldconfig, on a cache of this folder.
        (self.etc / "ld.so.conf").write_text(f"include {self.etc}/ld.so.conf.d/*.conf\n")
        real = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin")
        self.script(
            root / "sbin/ldconfig", f"exec '{real}' -X -f '{self.etc}/ld.so.conf' -C '{self.etc}/ld.so.cache' \"$@\""
        )
        self.args: dict[str, Any] = {
            "etc": str(self.etc),
            "usr": str(self.usr),
            "proc": str(self.proc),
            "run": str(root / "run"),
            "wslpath": "",
            "ldconfig": str(root / "sbin/ldconfig"),
            "state_file": str(self.state_file),
        }
        self.defaults: dict[str, Any] = {
            "state": "present",
            "systemd": True,
            "keep_running": False,
            "cmd": "",
            "timeout_seconds": 20.0,
        }

    @staticmethod
    def script(path: Path, line: str) -> None:
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)

    def boot(self, boot_id: str, systemd: bool) -> None:
        """What a start of WSL leaves to be seen."""
        (self.proc / "sys/kernel/random/boot_id").write_text(f"{boot_id}\n")
        (self.proc / "1/comm").write_text("systemd\n" if systemd else "init\n")
        folder = self.root / "run/systemd/system"
        if systemd:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            shutil.rmtree(folder.parent, ignore_errors=True)

    def gpu(self) -> Path:
        """The folder of the GPU libraries, with real (empty) libraries of these names."""
        folder = self.usr / "lib/wsl/lib"
        folder.mkdir(parents=True)
        for name in ("libdxcore.so", "libd3d12.so"):
            command = ["cc", "-shared", "-x", "c", "/dev/null", f"-Wl,-soname,{name}", "-o", str(folder / name)]
            subprocess.run(command, check=True)
        return folder

    def loader_lists(self) -> list[str]:
        done = subprocess.run([self.args["ldconfig"], "-p"], capture_output=True, text=True, check=False)
        return sorted(line.split()[0] for line in done.stdout.splitlines() if f" => {self.usr}/lib/wsl/lib/" in line)

    def module(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """The module, as a play runs it."""
        result: dict[str, Any] = self.run_module("wsl_host", self.args | args, check=check)
        return result

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """What the module does, in this process, which is quicker."""
        result, warnings = settle(self.defaults | self.args | args, check)
        return {**result, "failed": bool(result["problems"]), "msg": " ".join(result["problems"]), "warnings": warnings}

    def codes(self) -> list[str]:
        """What the report says."""
        return restart_codes_here(str(self.etc), str(self.proc), str(self.root / "run"), str(self.state_file))

    def faults(self, **faults: Any) -> None:
        self.state("faults.json", json.dumps(faults))

    def state(self, name: str, text: str) -> None:
        """Write a file of the stand-in's."""
        (self.windows / name).write_text(text, encoding="utf-8")
        give(self.windows / name)

    def users_file(self, content: bytes) -> None:
        """Write the Windows user's .wslconfig, as Windows would."""
        self.wslconfig.write_bytes(content)
        give(self.wslconfig)

    def calls(self) -> list[str]:
        """What cmd.exe was asked since the last time."""
        log = self.windows / "calls.log"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return text.splitlines()

    def listing(self) -> list[str]:
        """All there is, with what is in it. ldconfig's cache is not put back, but filled again."""
        found = []
        for path in sorted(self.root.rglob("*")):
            if path.name not in ("calls.log", "uids.log", "ld.so.cache"):
                content = path.read_bytes() if path.is_file() else b""
                found.append(f"{path.relative_to(self.root)} {path.lstat().st_mode:o} {content!r}")
        return found


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def wsl(run_module: Any) -> Iterator[Wsl]:
    with open_folder() as folder:
        yield Wsl(folder / "host", run_module)


@pytest.mark.smoke("wsl_host")
def test_all_of_it_is_done_once_and_nothing_is_left_of_it(wsl: Wsl) -> None:
    folder = wsl.gpu()
    wsl.users_file(b"\xef\xbb\xbf[wsl2]\r\nmemory=4GB\r\n")
    wsl.wsl_conf.chmod(0o640)
    before = wsl.listing()
    would = wsl.module(check=True, keep_running=True)
    assert (would["failed"], would["changed"], wsl.listing()) == (False, True, before)
    assert would["restart_needed"] != []

    done = wsl.module(keep_running=True)
    assert (done["failed"], done["changed_places"]) == (False, would["changed_places"])
    assert done["changed_places"] == [
        f"{wsl.wsl_conf}{BACKUP}",
        str(wsl.wsl_conf),
        f"{wsl.wslconfig}{BACKUP}",
        str(wsl.wslconfig),
        f"{wsl.etc}/ld.so.conf.d/colab-ready-wsl.conf",
        f"{wsl.etc}/ld.so.cache",
    ]
    assert wsl.wsl_conf.read_bytes() == wsl.theirs + b"\r\n[boot]\r\nsystemd=true\r\n"
    assert wsl.wsl_conf.stat().st_mode & 0o777 == 0o640
    assert Path(f"{wsl.wsl_conf}{BACKUP}").read_bytes() == wsl.theirs
    assert wsl.wslconfig.read_bytes().endswith(b"memory=4GB\r\n\r\n[general]\r\ninstanceIdleTimeout=-1\r\n")
    assert wsl.loader_lists() == ["libd3d12.so", "libdxcore.so"]
    # Others' programs read it, whatever umask root has.
    loader = wsl.etc / "ld.so.conf.d/colab-ready-wsl.conf"
    assert (loader.stat().st_mode & 0o777, str(folder) in loader.read_text()) == (0o644, True)
    assert done["restart_needed"] == would["restart_needed"]
    assert [remedy["id"] for remedy in done["remedies"]] == ["wsl_shutdown"]

    again = wsl.module(keep_running=True)
    assert (again["changed"], again["restart_needed"]) == (False, done["restart_needed"])

    would_go = wsl.module(check=True, state="absent")
    gone = wsl.module(state="absent")
    assert (gone["failed"], gone["changed_places"]) == (False, would_go["changed_places"])
    assert wsl.listing() == before
    assert wsl.loader_lists() == []
    assert wsl.module(state="absent")["changed"] is False


def test_the_diff_shows_the_files(wsl: Wsl) -> None:
    wsl.users_file("\ufeff[wsl2]\r\nmemory=4GB\r\n".encode("utf-16-le"))
    diff = wsl(check=True, keep_running=True)["diff"]
    assert f"{wsl.wsl_conf}: file" in diff["before"]
    assert "systemd=true" in diff["after"].replace(diff["before"], "")
    assert "[general]\r\ninstanceIdleTimeout=-1" in diff["after"]
    assert wsl(keep_running=True)["diff"] == diff


# --- elsewhere ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "file", "why"),
    [
        ("6.8.0-45-generic", "", "this is not WSL"),
        ("4.4.0-19041-Microsoft", "", "this is WSL 1"),
        ("5.15.153.1-microsoft-standard-WSL2", ".dockerenv", "this is a container"),
        ("5.15.153.1-microsoft-standard-WSL2", "run/.containerenv", "this is a container"),
    ],
)
def test_elsewhere_nothing_is_done_and_that_is_said(
    wsl: Wsl, monkeypatch: pytest.MonkeyPatch, kernel: str, file: str, why: str
) -> None:
    monkeypatch.delenv("WSL_INTEROP", raising=False)
    wsl.gpu()
    (wsl.root / "run/WSL").rmdir()
    (wsl.proc / "sys/kernel/osrelease").write_text(kernel + "\n")
    if file:
        (wsl.root / file).touch()
    before = wsl.listing()
    result = wsl(keep_running=True)
    assert (result["changed"], result["failed"], wsl.listing(), wsl.calls()) == (False, False, before, [])
    assert len(result["skipped_parts"]) == 1
    assert why in result["skipped_parts"][0]
    assert wsl(state="absent")["changed"] is False


# --- systemd --------------------------------------------------------------------------------------------------------


def test_a_restart_is_asked_for_until_systemd_runs(wsl: Wsl) -> None:
    assert wsl()["restart_needed"] == [WAITS]
    assert (wsl()["restart_needed"], wsl.codes()) == ([WAITS], ["systemd_waits"])
    wsl.boot("b", systemd=True)
    assert (wsl()["restart_needed"], wsl.codes()) == ([], [])


def test_a_restart_that_did_not_help_is_not_asked_for_again(wsl: Wsl) -> None:
    wsl()
    wsl.boot("b", systemd=False)
    assert [remedy["id"] for remedy in wsl()["remedies"]] == ["wsl_update"]


def test_a_file_that_was_not_there_is_made_and_goes_again(wsl: Wsl) -> None:
    wsl.wsl_conf.unlink()
    wsl()
    assert (wsl.wsl_conf.read_bytes(), wsl.wsl_conf.stat().st_mode & 0o777) == (b"[boot]\nsystemd=true\n", 0o644)
    assert not Path(f"{wsl.wsl_conf}{BACKUP}").exists()
    wsl(state="absent")
    assert not wsl.wsl_conf.exists()


def test_what_is_so_already_is_not_touched_nor_taken_away(wsl: Wsl) -> None:
    wsl.wsl_conf.write_bytes(b"[boot]\nSystemd = TRUE\n")
    before = wsl.listing()
    result = wsl()
    assert (result["changed"], result["restart_needed"]) == (False, [WAITS])
    assert wsl(state="absent")["changed"] is False
    assert wsl.listing() == before


@pytest.mark.parametrize("broken", [b"[boot]\nsystemd=false\n", b"[user]\ndefault=me\n", b"", None])
def test_what_was_broken_is_repaired(wsl: Wsl, broken: bytes | None) -> None:
    wsl()
    wsl.wsl_conf.unlink() if broken is None else wsl.wsl_conf.write_bytes(broken)
    assert wsl()["changed"] is True
    assert b"systemd=true" in wsl.wsl_conf.read_bytes()
    # The copy is of the first time.
    assert Path(f"{wsl.wsl_conf}{BACKUP}").read_bytes() == wsl.theirs
    result = wsl(state="absent")
    assert wsl.wsl_conf.read_bytes() == (broken or b"") if wsl.wsl_conf.exists() else broken is None
    # What the user wrote is not what it was, so the copy stays, and that is said.
    assert Path(f"{wsl.wsl_conf}{BACKUP}").exists()
    assert any(BACKUP in warning for warning in result["warnings"]) or broken is None


def test_the_users_later_edits_stay(wsl: Wsl) -> None:
    wsl.wsl_conf.write_bytes(b"[boot]\nsystemd=false # why\n")
    wsl()
    assert wsl.wsl_conf.read_bytes() == b"[boot]\nsystemd=true # why\n"
    with wsl.wsl_conf.open("ab") as stream:
        stream.write(b"[user]\ndefault=me\n")
    assert wsl()["changed"] is False
    wsl(state="absent")
    assert wsl.wsl_conf.read_bytes() == b"[boot]\nsystemd=false # why\n[user]\ndefault=me\n"
    assert not wsl.state_file.parent.exists()


def test_a_copy_of_somebody_else_is_not_overwritten(wsl: Wsl) -> None:
    other = Path(f"{wsl.wsl_conf}{BACKUP}")
    other.write_text("theirs")
    wsl()
    wsl(state="absent")
    assert other.read_text() == "theirs"


def test_systemd_is_left_as_it_is_where_it_is_not_wanted_or_not_there(wsl: Wsl) -> None:
    assert wsl(systemd=False)["changed"] is False
    (wsl.root / "sbin/init").unlink()
    result = wsl()
    assert (result["changed"], result["restart_needed"]) == (False, [])
    assert any("systemd-sysv" in why for why in result["skipped_parts"])


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"default=me\n; x\n", "line 2"), ("[boot]\n".encode("utf-16"), "UTF-16"), (None, "is a link")],
)
def test_a_file_that_cannot_be_changed_is_named_and_stays_and_the_rest_is_done(
    wsl: Wsl, content: bytes | None, word: str
) -> None:
    wsl.gpu()
    if content is None:
        target = wsl.wsl_conf.rename(wsl.etc / "real.conf")
        wsl.wsl_conf.symlink_to(target)
    else:
        wsl.wsl_conf.write_bytes(content)
    result = wsl()
    assert (result["failed"], len(result["problems"])) == (True, 1)
    assert str(wsl.wsl_conf) in result["msg"]
    assert word in result["msg"]
    assert content is None or wsl.wsl_conf.read_bytes() == content
    assert wsl.loader_lists() == ["libd3d12.so", "libdxcore.so"]


def test_what_removal_undoes_waits_for_a_restart_too(wsl: Wsl) -> None:
    wsl(keep_running=True)
    wsl.boot("b", systemd=True)
    assert wsl(keep_running=True)["restart_needed"] == []
    result = wsl(state="absent")
    assert [("systemd" in text, "wslconfig" in text) for text in result["restart_needed"]] == [
        (True, False),
        (False, True),
    ]
    (remedy,) = result["remedies"]
    assert (remedy["id"], "wsl --shutdown" in remedy["do"]) == ("wsl_shutdown", True)
    assert "./colab-ready" not in remedy["do"], "which would put it there again"


# --- no idle shutdown -----------------------------------------------------------------------------------------------


def test_windows_is_left_alone_unless_it_is_asked_for(wsl: Wsl) -> None:
    wsl()
    assert (wsl.calls(), wsl.wslconfig.exists()) == ([], False)


def test_the_windows_users_file_is_made_and_a_restart_asked_for_until_there_was_one(wsl: Wsl) -> None:
    result = wsl(keep_running=True, systemd=False)
    assert (result["problems"], wsl.wslconfig.read_bytes()) == ([], b"[general]\r\ninstanceIdleTimeout=-1\r\n")
    assert wsl.codes() == ["keep_running_waits"]
    assert wsl.calls() == ["/d /u /c echo %USERPROFILE%"]
    # Later runs need no Windows.
    wsl.faults(interop=True)
    assert wsl(keep_running=True, systemd=False)["changed"] is False
    assert (wsl.codes(), wsl.calls()) == (["keep_running_waits"], [])
    wsl.boot("b", systemd=False)
    assert (wsl(keep_running=True, systemd=False)["restart_needed"], wsl.codes()) == ([], [])
    # Not wanted any more, it stays until it is removed.
    assert wsl(systemd=False)["changed"] is False
    wsl(state="absent")
    assert not wsl.wslconfig.exists()
    assert wsl.calls() == []


def test_the_windows_users_file_keeps_its_encoding_and_its_rights(wsl: Wsl) -> None:
    wsl.users_file("\ufeff[general]\r\ninstanceIdleTimeout=60000 # 山\r\n".encode("utf-16-le"))
    wsl.wslconfig.chmod(0o444)
    before = wsl.wslconfig.stat()
    assert wsl(keep_running=True)["problems"] == []
    assert wsl.wslconfig.read_bytes().decode("utf-16") == "[general]\r\ninstanceIdleTimeout=-1 # 山\r\n"
    after = wsl.wslconfig.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    wsl(state="absent")
    assert wsl.wslconfig.read_bytes().decode("utf-16") == "[general]\r\ninstanceIdleTimeout=60000 # 山\r\n"
    assert not Path(f"{wsl.wslconfig}{BACKUP}").exists()


@pytest.mark.parametrize("place", ["file", "folder", "folder above"])
def test_a_link_on_the_way_to_the_users_file_is_said_and_nothing_is_copied_or_written(wsl: Wsl, place: str) -> None:
    secrets = wsl.root / "root's own"
    (secrets / wsl.profile.name).mkdir(parents=True)
    targets = {"file": secrets / ".wslconfig", "folder": secrets, "folder above": secrets}
    for secret in (secrets / ".wslconfig", secrets / wsl.profile.name / ".wslconfig"):
        secret.write_bytes(b"root:hash\n")
        secret.chmod(0o600)
    link = {"file": wsl.wslconfig, "folder": wsl.profile, "folder above": wsl.profile.parent}[place]
    if place != "file":
        shutil.move(link, wsl.root / "moved")
    link.symlink_to(targets[place])
    # Whoever made the link can enter what it leads to: only that it is a link keeps the file from being written.
    for folder in (secrets, secrets / wsl.profile.name):
        give(folder).chmod(0o777)
    wsl(systemd=False)
    before = wsl.listing()
    result = wsl(systemd=False, keep_running=True)
    assert (result["failed"], len(result["problems"]), wsl.listing()) == (True, 1, before)
    assert f"{link.name} is a link" in result["msg"]
    assert "wsl_host_keep_running=false" in result["msg"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_in_the_place_of_the_users_is_said_and_stays(wsl: Wsl, kind: str) -> None:
    os.mkfifo(wsl.wslconfig, 0o666) if kind == "pipe" else wsl.wslconfig.mkdir(0o777)
    give(wsl.wslconfig)
    result = wsl(keep_running=True)
    assert (result["failed"], "not a regular file" in result["msg"]) == (True, True)
    assert not wsl.wslconfig.is_file()
    assert not Path(f"{wsl.wslconfig}{BACKUP}").exists()


@as_root
def test_what_only_root_may_read_is_not_read_for_whoever_called(wsl: Wsl) -> None:
    wsl.wslconfig.write_bytes(b"[wsl2]\nmemory=4GB\n")
    wsl.wslconfig.chmod(0o600)
    result = wsl(keep_running=True)
    assert (result["failed"], "Permission denied" in result["msg"]) == (True, True)
    assert os.listdir(wsl.profile) == [".wslconfig"]


@as_root
@pytest.mark.parametrize(("mode", "copied"), [(0o640, 0o600), (0o644, 0o604), (0o600, 0o600)])
def test_a_copy_is_readable_by_no_more_than_the_file_was(wsl: Wsl, mode: int, copied: int) -> None:
    wsl.users_file(b"[wsl2]\nmemory=4GB\n")
    # A group that the caller's own files do not get.
    os.chown(wsl.wslconfig, wsl.profile.stat().st_uid, 0)
    wsl.wslconfig.chmod(mode)
    assert wsl(keep_running=True)["problems"] == []
    assert Path(f"{wsl.wslconfig}{BACKUP}").stat().st_mode & 0o777 == copied
    assert wsl.wslconfig.stat().st_mode & 0o777 == copied


@as_root
@pytest.mark.parametrize("caller", ["", "root", "games"])
def test_windows_is_asked_as_who_called_and_never_as_root(
    wsl: Wsl, monkeypatch: pytest.MonkeyPatch, caller: str
) -> None:
    monkeypatch.setenv("SUDO_USER", caller)
    uid = pwd.getpwnam("games").pw_uid if caller == "games" else 65534
    for one in (wsl.profile, wsl.windows, wsl.windows / "profile.txt"):
        os.chown(one, uid, uid)
    assert wsl(keep_running=True)["problems"] == []
    assert (uids(wsl.windows), wsl.wslconfig.stat().st_uid) == ({uid}, uid)


@pytest.mark.parametrize("kind", ["a script", "a link"])
def test_what_is_called_cmd_exe_and_is_no_program_of_windows_is_not_started(wsl: Wsl, kind: str) -> None:
    program, marker = wsl.windows / "cmd.exe", wsl.root / "drives/c/started"
    give(marker.parent)
    if kind == "a script":
        wsl.script(program, f"touch '{marker}'\necho '{PROFILE}'")
    else:
        program.rename(program.with_name("other.exe"))
        program.symlink_to("other.exe")
    for cmd in ("", str(program)):
        result = wsl(keep_running=True, cmd=cmd)
        assert (result["failed"], "begins with MZ" in result["msg"]) == (True, True)
    assert (marker.exists(), wsl.calls(), wsl.wslconfig.exists()) == (False, [], False)


def test_a_timeout_that_the_user_set_later_is_repaired_or_left_by_the_wish(wsl: Wsl) -> None:
    wsl(keep_running=True)
    wsl.users_file(b"[general]\ninstanceIdleTimeout=1\n")
    assert wsl()["changed"] is False
    assert wsl(keep_running=True)["changed"] is True
    assert wsl.wslconfig.read_bytes() == b"[general]\ninstanceIdleTimeout=-1\n"
    wsl(state="absent")
    assert wsl.wslconfig.read_bytes() == b"[general]\ninstanceIdleTimeout=1\n"


@pytest.mark.parametrize(
    ("faults", "word"),
    [
        ({"interop": True}, "accept4 failed"),
        ({"unset": True}, "%USERPROFILE%"),
        ({"hang": True}, "did not answer within 0.5 s"),
        (None, "there is no"),
        ({"profile": "C:\\Users\\somebody else"}, "is not there"),
    ],
)
def test_a_windows_out_of_reach_is_said_with_what_to_write_there_and_the_rest_is_done(
    wsl: Wsl, faults: dict[str, Any] | None, word: str
) -> None:
    if faults is None:
        (wsl.windows / "cmd.exe").unlink()
    else:
        wsl.faults(**faults)
        wsl.state("profile.txt", faults.get("profile", PROFILE))
    result = wsl(keep_running=True, timeout_seconds=0.5 if faults == {"hang": True} else 20.0)
    assert (result["failed"], len(result["problems"])) == (True, 1)
    for text in (
        word,
        ".wslconfig",
        "[general]",
        "instanceIdleTimeout=-1",
        "wsl --shutdown",
        "wsl_host_keep_running=false",
    ):
        assert text in result["msg"]
    assert b"systemd=true" in wsl.wsl_conf.read_bytes()


def test_the_way_to_windows_is_found_without_the_variable_that_sudo_takes_away(
    wsl: Wsl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WSL_INTEROP", raising=False)
    socket = wsl.root / "run/WSL/8_interop"
    socket.touch()
    wsl.faults(socket=str(socket), autorun="Welcome\r\n")
    assert wsl(keep_running=True)["problems"] == []


def test_wslpath_says_where_the_folder_is(wsl: Wsl) -> None:
    elsewhere = wsl.root / "elsewhere"
    elsewhere.mkdir()
    give(elsewhere)
    wsl.script(wsl.root / "wslpath", f"[ \"$1 $2\" = '-u {PROFILE}' ] && echo '{elsewhere}'")
    assert wsl(keep_running=True, wslpath=str(wsl.root / "wslpath"))["problems"] == []
    assert ((elsewhere / ".wslconfig").exists(), wsl.wslconfig.exists()) == (True, False)


# --- the loader's cache ---------------------------------------------------------------------------------------------


def test_the_loader_is_left_alone_where_wsl_has_done_it(wsl: Wsl) -> None:
    folder = wsl.gpu()
    (wsl.etc / "ld.so.conf.d/ld.wsl.conf").write_text(f"{folder}\n")
    subprocess.run([wsl.args["ldconfig"]], check=True)
    assert wsl(systemd=False)["changed"] is False


def test_a_cache_that_was_not_filled_since_is_filled(wsl: Wsl) -> None:
    folder = wsl.gpu()
    own = wsl.etc / "ld.so.conf.d/ld.wsl.conf"
    own.write_text(f"{folder}\n")
    assert wsl(systemd=False)["changed_places"] == [f"{wsl.etc}/ld.so.cache"]
    assert wsl.loader_lists() == ["libd3d12.so", "libdxcore.so"]
    assert wsl(systemd=False)["changed"] is False
    assert os.listdir(own.parent) == [own.name]


def test_ours_goes_when_wsl_does_it_again(wsl: Wsl) -> None:
    folder = wsl.gpu()
    wsl(systemd=False)
    (wsl.etc / "ld.so.conf.d/ld.wsl.conf").write_text(f"{folder}\n")
    assert wsl(systemd=False)["changed"] is True
    assert os.listdir(wsl.etc / "ld.so.conf.d") == ["ld.wsl.conf"]
    assert (wsl.loader_lists(), wsl(systemd=False)["changed"]) == (["libd3d12.so", "libdxcore.so"], False)
    assert not wsl.state_file.exists()


@pytest.mark.parametrize("damage", ["", "/nonexistent\n", None])
def test_a_damaged_loader_file_is_repaired(wsl: Wsl, damage: str | None) -> None:
    wsl.gpu()
    wsl(systemd=False)
    file = wsl.etc / "ld.so.conf.d/colab-ready-wsl.conf"
    good = file.read_text()
    file.unlink() if damage is None else file.write_text(damage)
    subprocess.run([wsl.args["ldconfig"]], check=True)
    assert wsl(systemd=False)["changed"] is True
    assert (file.read_text(), wsl.loader_lists()) == (good, ["libd3d12.so", "libdxcore.so"])


def test_without_gpu_libraries_or_ldconfig_the_loader_is_left_alone(wsl: Wsl) -> None:
    assert any("no GPU libraries" in why for why in wsl(systemd=False)["skipped_parts"])
    wsl.gpu()
    result = wsl(systemd=False, ldconfig="/nonexistent")
    assert (result["changed"], any("there is no /nonexistent" in why for why in result["skipped_parts"])) == (
        False,
        True,
    )


def test_a_loader_that_does_not_find_them_is_said(wsl: Wsl) -> None:
    wsl.gpu()
    wsl.script(wsl.root / "sbin/ldconfig", "exit 0")
    result = wsl(systemd=False)
    assert (result["failed"], "libd3d12.so, libdxcore.so" in result["msg"]) == (True, True)


# --- the record -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"schema": 1, "wsl_conf": 1}', '{"schema": 9}', '{"schema": 1, "wsl_conf": {"was": [1]}}'],
)
def test_a_broken_record_is_begun_anew_and_said(wsl: Wsl, damage: str) -> None:
    wsl()
    wsl.state_file.write_text(damage)
    assert "systemd_waits" in wsl.codes()
    result = wsl(state="absent")
    assert (result["failed"], "could not be read" in result["warnings"][0]) == (False, True)
    assert not wsl.state_file.exists()
    assert b"systemd=true" in wsl.wsl_conf.read_bytes()

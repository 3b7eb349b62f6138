"""The module browser_policy as a play runs it: policy files in a folder, and a registry behind a stand-in for reg.exe."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.browser.policy_files import settle
from fixtures.windows_drive import give, open_folder, uids, windows_program

COLAB = "https://colab.research.google.com"
LOOPBACK = "LoopbackNetworkAllowedForUrls"
OLDER = "LocalNetworkAccessAllowedForUrls"
SOFTWARE = "HKEY_LOCAL_MACHINE\\SOFTWARE"
POLICIES = f"{SOFTWARE}\\Policies"
MICROSOFT = f"{POLICIES}\\Microsoft"
CHROME = f"{POLICIES}\\Google\\Chrome"
USER = "HKEY_CURRENT_USER\\SOFTWARE\\Policies"
ALL_FOLDERS = ("opt/chrome", "chromium", "chromium-browser", "opt/edge")


class Place:
    """A host in a folder: its /etc, and the record of what was put there."""

    def __init__(self, root: Path, run_module: Any) -> None:
        self.root = root
        self.run_module = run_module
        self.etc = root / "etc"
        self.state_file = root / "var/lib/colab-ready/browser_policy.json"
        self.args: dict[str, Any] = {
            "etc": str(self.etc),
            "proc": str(root / "proc"),
            "run": str(root / "run"),
            "state_file": str(self.state_file),
        }
        self.defaults: dict[str, Any] = {
            "state": "present",
            "origin": COLAB,
            "browsers": ["chrome", "chromium", "edge"],
            "older_browsers": False,
            "windows": "auto",
            "reg": "",
            "timeout_seconds": 20.0,
        }
        (self.etc / "opt").mkdir(parents=True)
        (root / "var/lib").mkdir(parents=True)
        (root / "proc/sys/kernel").mkdir(parents=True)
        (root / "run").mkdir()

    def module(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """The module, as a play runs it."""
        result: dict[str, Any] = self.run_module("browser_policy", self.args | args, check=check)
        return result

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """What the module does, in this process, which is quicker."""
        result, _ = settle(self.defaults | self.args | args, check)
        return {**result, "failed": bool(result["problems"]), "msg": " ".join(result["problems"])}

    def file(self, folder: str) -> Path:
        return self.etc / folder / "policies/managed/colab-ready.json"

    def other(self, folder: str, name: str, policies: dict[str, Any]) -> Path:
        path = self.file(folder).with_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(policies))
        return path

    def listing(self) -> list[str]:
        """All there is, with what is in it."""
        found = []
        for path in sorted(self.root.rglob("*")):
            if path.name not in ("calls.log", "uids.log"):
                text = path.read_text() if path.is_file() else ""
                found.append(f"{path.relative_to(self.root)} {path.lstat().st_mode:o} {text}")
        return found


class Wsl(Place):
    """The same inside WSL. Windows is a stand-in: a registry in a JSON file, and a program that answers for it."""

    def __init__(self, root: Path, run_module: Any) -> None:
        super().__init__(root, run_module)
        self.windows = root / "drives/c/Windows/System32"
        self.windows.mkdir(parents=True)
        (root / "proc/sys/kernel/osrelease").write_text("5.15.153.1-microsoft-standard-WSL2\n")
        (self.etc / "wsl.conf").write_text(f"[automount]\nroot = {root}/drives/ # ours\n")
        windows_program(root, self.windows / "reg.exe", self.windows)
        # What is on every Windows, as far as it is asked.
        self.registry = {SOFTWARE: {}, POLICIES: {}, MICROSOFT: {}, f"{MICROSOFT}\\SystemCertificates": {}}

    @property
    def registry(self) -> dict[str, dict[str, list[str]]]:
        return dict(json.loads((self.windows / "registry.json").read_text()))

    @registry.setter
    def registry(self, keys: dict[str, dict[str, list[str]]]) -> None:
        self.state("registry.json", keys)

    def faults(self, **faults: Any) -> None:
        self.state("faults.json", faults)

    def state(self, name: str, content: Any) -> None:
        """Write a file of the stand-in's, which it may write itself."""
        (self.windows / name).write_text(json.dumps(content, indent=2))
        give(self.windows / name)

    def calls(self) -> list[str]:
        """What reg.exe was asked since the last time."""
        log = self.windows / "calls.log"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return text.splitlines()

    def values(self, key: str) -> dict[str, str]:
        return {name: data for name, (_, data) in self.registry.get(key, {}).items()}


@pytest.fixture(autouse=True)
def plain_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def linux(tmp_path: Path, run_module: Any) -> Place:
    return Place(tmp_path / "host", run_module)


@pytest.fixture
def wsl(run_module: Any) -> Iterator[Wsl]:
    with open_folder() as folder:
        yield Wsl(folder / "host", run_module)


# --- Linux ----------------------------------------------------------------------------------------------------------


@pytest.mark.smoke("browser_policy")
def test_every_browser_gets_a_file_once_and_nothing_is_left_of_it(linux: Place) -> None:
    (linux.etc / "chromium").mkdir()
    before = linux.listing()
    would = linux.module(check=True)
    assert (would["changed"], linux.listing()) == (True, before)

    done = linux.module()
    assert done["changed_places"] == would["changed_places"]
    for folder in ALL_FOLDERS:
        assert json.loads(linux.file(folder).read_text()) == {LOOPBACK: [COLAB]}
        # Everybody's browser reads it, whatever umask root has.
        assert linux.file(folder).stat().st_mode & 0o777 == 0o644
        assert linux.file(folder).parent.stat().st_mode & 0o777 == 0o755
    assert {grant["place"] for grant in done["grants"]} == {str(linux.file(folder)) for folder in ALL_FOLDERS}
    assert linux.module()["changed"] is False

    would_go = linux.module(check=True, state="absent")
    assert linux.module(state="absent")["changed_places"] == would_go["changed_places"] != []
    assert linux.listing() == before
    assert linux.module(state="absent")["changed"] is False


def test_only_the_browsers_and_the_policies_that_are_asked_for_are_there(linux: Place) -> None:
    linux(older_browsers=True)
    assert json.loads(linux.file("chromium").read_text()) == {LOOPBACK: [COLAB], OLDER: [COLAB]}
    assert linux(browsers=["edge"], origin="https://colab.example.org")["changed"] is True
    assert json.loads(linux.file("opt/edge").read_text()) == {LOOPBACK: ["https://colab.example.org"]}
    assert [path.name for path in linux.etc.rglob("*")] == ["opt", "edge", "policies", "managed", "colab-ready.json"]
    assert linux(browsers=[])["changed"] is True
    assert ([path.name for path in linux.etc.rglob("*")], linux.state_file.exists()) == (["opt"], False)


@pytest.mark.parametrize("damage", ["", "{", '{"LoopbackNetworkAllowedForUrls": ["*"]}', "link", "mode"])
def test_a_damaged_file_is_repaired(linux: Place, tmp_path: Path, damage: str) -> None:
    linux()
    file, theirs = linux.file("chromium"), tmp_path / "theirs"
    theirs.write_text("theirs")
    if damage == "mode":
        file.chmod(0o600)
    else:
        file.unlink()
        file.symlink_to(theirs) if damage == "link" else file.write_text(damage)
    assert linux()["changed"] is True
    assert json.loads(file.read_text()) == {LOOPBACK: [COLAB]}
    assert (file.is_symlink(), file.stat().st_mode & 0o777) == (False, 0o644)
    assert theirs.read_text() == "theirs"


@pytest.mark.parametrize("name", ["aaa.json", "zzz.json", "zzz.json.bak"])
def test_a_file_of_others_that_leaves_the_page_out_is_named_and_stays_in_force(linux: Place, name: str) -> None:
    linux()
    other = linux.other("chromium", name, {LOOPBACK: ["https://school.example"], "BookmarkBarEnabled": False})
    result = linux()
    assert result["failed"] is True
    for word in (str(other), LOOPBACK, "Chromium", COLAB, "Add it there"):
        assert word in result["msg"]
    # Ours would put theirs out of force, or be out of force itself.
    assert not linux.file("chromium").exists()
    assert json.loads(linux.file("opt/chrome").read_text()) == {LOOPBACK: [COLAB]}

    other.write_text(json.dumps({LOOPBACK: ["https://school.example", COLAB]}))
    result = linux()
    assert (result["failed"], result["changed"]) == (False, False)
    assert {"browser": "chromium", "policy": LOOPBACK, "place": str(other)} in result["grants"]
    linux(state="absent")
    assert json.loads(other.read_text())[LOOPBACK] == ["https://school.example", COLAB]


def test_a_folder_in_which_others_put_something_stays(linux: Place) -> None:
    linux()
    other = linux.other("chromium", "school.json", {"BookmarkBarEnabled": False})
    linux(state="absent")
    assert [path for path in linux.etc.rglob("*") if path.is_file()] == [other]
    other.unlink()
    assert linux(state="absent")["changed"] is True
    assert not (linux.etc / "chromium").exists()


def test_check_mode_says_the_same_as_the_run_after_it(linux: Place) -> None:
    """Whatever is damaged: what would be made again is not also said to go."""
    linux()
    linux.file("chromium").unlink()
    linux.file("opt/edge").write_text("{")
    would = linux(check=True)["changed_places"]
    assert would == [str(linux.file("chromium")), str(linux.file("opt/edge"))]
    assert linux()["changed_places"] == would
    linux.other("opt/edge", "school.json", {LOOPBACK: []})
    assert linux(check=True)["changed_places"] == linux()["changed_places"] == [str(linux.file("opt/edge"))]


def test_a_broken_record_is_begun_anew_and_said(linux: Place) -> None:
    linux(browsers=["chrome"])
    linux.state_file.write_text("{}")
    _, warnings = settle(linux.defaults | linux.args | {"state": "absent"}, False)
    assert "could not be read" in warnings[0]
    assert not linux.state_file.exists()
    assert [path.name for path in linux.etc.rglob("*")] == ["opt", "chrome", "policies", "managed"]


def test_windows_is_not_looked_for_outside_of_wsl(linux: Place) -> None:
    assert linux(reg="/nonexistent/reg.exe")["failed"] is False


def test_an_origin_that_is_wider_than_one_page_is_refused(linux: Place) -> None:
    result = linux.module(origin="*")
    assert (result["failed"], "Expected one page's origin" in result["msg"]) == (True, True)
    assert not list(linux.etc.glob("*/*"))


# --- WSL ------------------------------------------------------------------------------------------------------------


def test_windows_gets_an_entry_for_each_browser_once_and_nothing_is_left_of_it(wsl: Wsl) -> None:
    before = wsl.listing()
    would = wsl.module(check=True)
    assert (would["changed"], wsl.listing()) == (True, before)
    assert not [call for call in wsl.calls() if not call.startswith("query")]

    done = wsl.module()
    assert (done["failed"], done["changed_places"]) == (False, would["changed_places"])
    for browser in ("Google\\Chrome", "Chromium", "Microsoft\\Edge"):
        assert wsl.registry[f"{POLICIES}\\{browser}\\{LOOPBACK}"] == {"1": ["REG_SZ", COLAB]}
    # WSL has browsers of its own, too.
    assert json.loads(wsl.file("chromium").read_text()) == {LOOPBACK: [COLAB]}

    # Nothing is written twice, so a later run needs no administrator.
    wsl.faults(denied=True)
    assert wsl.module()["changed"] is False
    wsl.faults()
    would_go = wsl.module(check=True, state="absent")
    assert wsl.module(state="absent")["changed_places"] == would_go["changed_places"] != []
    (wsl.windows / "faults.json").unlink()
    assert wsl.listing() == before
    wsl.calls()
    assert wsl.module(state="absent")["changed"] is False
    assert wsl.calls() == []


def test_the_entries_of_others_stay(wsl: Wsl) -> None:
    theirs = {
        f"{CHROME}\\{LOOPBACK}": {
            "1": ["REG_SZ", "https://school.example"],
            "note": ["REG_SZ", COLAB],
            "3": ["REG_SZ", "x y"],
        },
        CHROME: {"": ["REG_SZ", "(value not set)"], "HomepageLocation": ["REG_SZ", "https://school.example/a b"]},
        f"{POLICIES}\\Google": {},
        f"{POLICIES}\\Google\\Update": {"AutoUpdateCheckPeriodMinutes": ["REG_DWORD", "0x0"]},
    }
    wsl.registry = before = wsl.registry | theirs
    wsl(browsers=["chrome"])
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"1": "https://school.example", "note": COLAB, "3": "x y", "2": COLAB}
    assert wsl(browsers=["chrome"])["changed"] is False
    wsl(state="absent")
    assert wsl.registry == before


def test_what_others_put_below_our_keys_meanwhile_stays(wsl: Wsl) -> None:
    wsl(browsers=["chrome"])
    update = {f"{POLICIES}\\Google\\Update": {"UpdateDefault": ["REG_DWORD", "0x1"]}}
    wsl.registry = wsl.registry | update
    wsl(state="absent")
    keys = set(wsl.registry)
    assert keys - {POLICIES, SOFTWARE} - {key for key in keys if "Microsoft" in key} == {f"{POLICIES}\\Google", *update}


def test_a_page_that_others_let_in_is_theirs_and_is_not_taken_away(wsl: Wsl) -> None:
    theirs = {f"{CHROME}\\{LOOPBACK}": {"7": ["REG_SZ", "[*.]google.com"]}, CHROME: {}, f"{POLICIES}\\Google": {}}
    wsl.registry = before = wsl.registry | theirs
    result = wsl(browsers=["chrome"])
    assert result["grants"][-1]["place"] == f"HKLM\\SOFTWARE\\Policies\\Google\\Chrome\\{LOOPBACK}"
    wsl(state="absent")
    assert wsl.registry == before


def test_a_removed_entry_comes_back_and_a_browser_not_wanted_any_more_loses_its_own(wsl: Wsl) -> None:
    wsl(browsers=["chrome", "edge"])
    wsl.registry = {**wsl.registry, f"{CHROME}\\{LOOPBACK}": {}}
    assert wsl(browsers=["chrome", "edge"])["changed"] is True
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"1": COLAB}
    moved = wsl(browsers=["chrome"], origin="https://colab.example.org")
    assert (moved["problems"], moved["changed"]) == ([], True)
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"2": "https://colab.example.org"}
    assert not [key for key in wsl.registry if "Edge" in key]
    assert wsl(browsers=[])["changed"] is True
    assert not [key for key in wsl.registry if "Google" in key]


def test_a_list_of_the_users_own_is_not_put_out_of_force(wsl: Wsl) -> None:
    chrome = f"{USER}\\Google\\Chrome"
    mine = {f"{chrome}\\{LOOPBACK}": {"1": ["REG_SZ", "https://me.example"]}}
    wsl.registry = wsl.registry | {USER: {}, f"{USER}\\Google": {}, chrome: {}} | mine
    result = wsl(browsers=["chrome"])
    assert result["failed"] is True
    assert f"HKCU\\SOFTWARE\\Policies\\Google\\Chrome\\{LOOPBACK} sets" in result["msg"]
    assert f"{CHROME}\\{LOOPBACK}" not in wsl.registry


@pytest.mark.parametrize("encoding", ["cp850", "utf-16"])
def test_a_windows_in_another_language_is_understood(wsl: Wsl, encoding: str) -> None:
    wsl.faults(language="de", encoding=encoding)
    wsl.registry = before = wsl.registry | {f"{POLICIES}\\Google": {"": ["REG_SZ", "(Wert nicht gesetzt: ä)"]}}
    assert wsl(browsers=["chrome"])["failed"] is False
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"1": COLAB}
    assert wsl(browsers=["chrome"])["changed"] is False
    wsl.faults(language="de", encoding=encoding, denied=True)
    assert "Zugriff verweigert" in wsl(state="absent")["msg"]
    wsl.faults(language="de", encoding=encoding)
    wsl(state="absent")
    assert wsl.registry == before


def test_without_an_administrator_one_message_says_what_an_administrator_runs(wsl: Wsl) -> None:
    wsl.faults(denied=True, allowed=1)
    result = wsl.module(browsers=["chrome", "edge"])
    assert (result["failed"], result["changed"]) == (True, True)
    assert "Run as administrator" in result["msg"]
    command = f"reg add HKLM\\SOFTWARE\\Policies\\Microsoft\\Edge\\{LOOPBACK} /v 1 /t REG_SZ /d {COLAB} /f"
    assert result["msg"].endswith(f"PowerShell: {command}")
    # What went well before is known, and goes again; what an administrator adds with that command is found.
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"1": COLAB}
    assert wsl.module(check=True, browsers=["chrome", "edge"])["changed"] is True
    wsl.faults(denied=True)
    result = wsl.module(state="absent")
    assert f"reg delete HKLM\\SOFTWARE\\Policies\\Google\\Chrome\\{LOOPBACK} /v 1 /f; " in result["msg"]
    wsl.faults()
    assert wsl.module(state="absent")["failed"] is False
    assert not [key for key in wsl.registry if "Google" in key]
    assert not wsl.state_file.exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"hang": True}, "did not answer within 1 s"),
        ({"interop": True}, "UtilAcceptVsock"),
        ({"disabled": True}, "Registry editing has been disabled"),
    ],
)
def test_a_windows_that_does_not_answer_is_one_message(wsl: Wsl, fault: dict[str, Any], words: str) -> None:
    wsl.faults(**fault)
    for check in (True, False):
        result = wsl(check=check, timeout_seconds=1)
        assert result["failed"] is True
        for word in (words, "Expected Windows' reg.exe to answer", "browser_policy_windows=never"):
            assert word in result["msg"]
    assert not wsl.state_file.exists() or "HKLM" not in wsl.state_file.read_text()
    # The files are there, and Windows can be left out.
    assert json.loads(wsl.file("chromium").read_text()) == {LOOPBACK: [COLAB]}
    result = wsl(windows="never")
    assert (result["failed"], result["changed"]) == (False, False)


@pytest.mark.parametrize("program", ["missing", "not executable", "without interop", "a script"])
def test_a_program_that_cannot_be_started_is_one_message(wsl: Wsl, program: str) -> None:
    path = wsl.windows / "reg.exe"
    if program == "missing":
        path.unlink()
    elif program == "not executable":
        path.chmod(0o644)
    elif program == "without interop":
        # What a Windows program is to a kernel that nobody told about it, where WSL's init is not there either.
        (wsl.root / "init").unlink()
    else:
        path.write_text(f"#!/bin/sh\ntouch '{wsl.windows}/started'\n")
    result = wsl()
    assert (result["failed"], (wsl.windows / "started").exists()) == (True, False)
    assert str(path) in result["msg"]
    assert "wsl --shutdown" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as somebody else")
def test_windows_is_asked_as_somebody_else_than_root(wsl: Wsl) -> None:
    assert wsl()["failed"] is False
    assert uids(wsl.windows) == {wsl.windows.stat().st_uid} != {0}


def test_where_sudo_lost_the_way_to_windows_another_window_s_is_taken(wsl: Wsl) -> None:
    sockets = wsl.root / "run/WSL"
    sockets.mkdir()
    for age, name in enumerate(["9_interop", "11_interop", "10_interop"]):
        (sockets / name).touch()
        os.utime(sockets / name, (1000 - age, 1000 - age))
    wsl.faults(socket=str(sockets / "11_interop"))
    assert wsl(browsers=["chrome"])["failed"] is False
    assert wsl.values(f"{CHROME}\\{LOOPBACK}") == {"1": COLAB}

"""xpu_backend and the role around it: a small system in a folder, with stand-ins for apt-get and dpkg-query, and a real key."""

from __future__ import annotations

import base64
import grp
import hashlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.colab_ready.apt import client as apt_client
from ansible.module_utils.colab_ready.apt.client import Apt
from ansible.module_utils.colab_ready.backends.xpu.host import XpuHost
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.process.program import Answer
from ansible.module_utils.colab_ready.python import lock as lock_file
from ansible.module_utils.colab_ready.system import groups as gpu_groups
from ansible.module_utils.colab_ready.system import runtime_account
from conftest import ansible_environment
from fixtures.decisions import with_decision

DOUBLES = Path(__file__).parents[1] / "doubles"
PACKAGES = ["libze1", "libze-intel-gpu1", "intel-opencl-icd"]
INTELS = {"libze1": "1.21.1", "libze-intel-gpu1": "25.31", "intel-opencl-icd": "25.31", "libigc2": "2.18"}
ARC = {
    "index": 0, "vendor_id": "8086", "vendor": "Intel", "device_id": "56a0", "name": "Intel(R) Arc(TM) A770 Graphics",
    "dedicated_bytes": 16 << 30, "driver": "xe",
}  # fmt: skip
UHD = {**ARC, "index": 1, "device_id": "3e92", "name": "Intel(R) UHD Graphics 630", "dedicated_bytes": 0}


def machine(wsl: bool, version: str = "24.04") -> dict[str, Any]:
    """What gpu_device says of it."""
    host = {"wsl": 2 if wsl else None, "distribution": "ubuntu", "distribution_version": version}
    return with_decision({"adapters": [UHD, ARC], "host": host}, "xpu")


WSL, LINUX = machine(True), machine(False)


def key(seed: int) -> tuple[bytes, str]:
    """A version 4 RSA key of no use, as a packet, and its fingerprint."""
    number = (2048).to_bytes(2, "big") + bytes([0x80 | seed]) + bytes(range(255))
    body = b"\x04" + (0x65000000 + seed).to_bytes(4, "big") + b"\x01" + number + b"\x00\x11\x01\x00\x01"
    print_ = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()
    return b"\xc6" + b"\xff" + len(body).to_bytes(4, "big") + body, print_


def armoured(data: bytes) -> bytes:
    head, end = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", b"-----END PGP PUBLIC KEY BLOCK-----\n"
    return head + base64.encodebytes(data) + end


class SmallSystem:
    """Ubuntu 24.04 with its own runtime of 2023 on offer, nothing of it installed."""

    def __init__(self, root: Path, run_module: Any) -> None:
        self.root, self.run_module, self.version = root, run_module, "24.04"
        self.etc = root / "etc"
        (self.etc / "apt/sources.list.d").mkdir(parents=True)
        self.source = self.etc / "apt/sources.list.d/intel-gpu.sources"
        self.keyring = self.etc / "apt/keyrings/intel-graphics.gpg"
        self.record = root / "var/xpu_runtime.json"
        self.record.parent.mkdir()
        self.packages(own={"intel-opencl-icd": "23.43"}, installed={"base-files": "13"})
        for name in ("apt-get", "dpkg-query"):
            command = f"exec '{sys.executable}' '{DOUBLES / 'standin_apt.py'}' '{root}' {name} \"$@\""
            (root / name).write_text(f"#!/bin/sh\n{command}\n")
            (root / name).chmod(0o755)
        self.data, self.fingerprint = key(1)
        self.file = root / "intel-graphics.key"
        self.file.write_bytes(armoured(self.data))
        self.args: dict[str, Any] = {
            "gpu": WSL, "etc": str(self.etc), "apt_get": str(root / "apt-get"), "dpkg_query": str(root / "dpkg-query"),
            "state_file": str(self.record), "apt_key": self.file.as_uri(), "apt_key_fingerprints": [self.fingerprint],
            "apt_address": "https://apt.example/gpu/ubuntu",
        }  # fmt: skip

    def release(self, version: str) -> None:
        self.version = version
        self.args["gpu"] = machine(True, version)

    def packages(self, **state: Any) -> None:
        path = self.root / "apt.json"
        known: dict[str, Any] = {"repository": INTELS, "source": str(self.source), "lists": True}
        if path.exists():
            known = json.loads(path.read_text())
        depends = {"libze-intel-gpu1": ["libigc2"], "intel-opencl-icd": ["libigc2"]}
        path.write_text(json.dumps({"depends": depends, "own": {}, **known, **state}))

    def installed(self) -> dict[str, str]:
        return dict(json.loads((self.root / "apt.json").read_text())["installed"])

    def calls(self) -> list[str]:
        """What apt-get was asked since the last time."""
        log = self.root / "calls.log"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return text.splitlines()

    def module(self, check: bool = False, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        return dict(self.run_module("xpu_backend", {**self.args, **more}, check=check, diff=True, env=env))

    def listing(self) -> dict[str, bytes]:
        ours = (self.etc, self.record.parent)
        paths = [path for folder in ours for path in folder.rglob("*")]
        return {str(path): path.read_bytes() if path.is_file() else b"a folder" for path in paths}

    def prefix(self, program: str, script: str) -> None:
        """Let a stand-in's script do something more, before it becomes the stand-in."""
        path = self.root / program
        path.write_text(path.read_text().replace("exec ", f"{script} exec ", 1))


@pytest.fixture
def system(tmp_path: Path, run_module: Any) -> SmallSystem:
    return SmallSystem(tmp_path, run_module)


@pytest.mark.smoke("xpu_backend")
def test_check_mode_says_what_would_change_and_changes_nothing(system: SmallSystem) -> None:
    before = system.listing()
    found = system.module(check=True)
    assert (found["failed"], found["changed"]) == (False, True)
    assert str(system.source) in found["changed_paths"]
    assert (system.listing(), system.installed(), system.calls()) == (before, {"base-files": "13"}, [])


def test_the_runtime_is_installed_once_and_taken_back_as_it_was(system: SmallSystem) -> None:
    before, installed = system.listing(), system.installed()
    found = system.module()
    assert (found["failed"], found["changed"], found["problems"]) == (False, True, [])
    assert found["card"] == ARC["name"] and found["groups"] == []
    assert found["packages"] == {name: INTELS[name] for name in PACKAGES}
    assert system.installed() == {**installed, **INTELS}
    assert system.keyring.read_bytes() == system.data, "apt reads a .gpg in binary form only"
    assert "URIs: https://apt.example/gpu/ubuntu\nSuites: noble\n" in system.source.read_text()
    update = next(call for call in system.calls() if " update " in call)
    assert f"Dir::Etc::SourceList={system.source}" in update and "Error-Mode=any" in update
    # Again: nothing, and apt is not even asked.
    again = system.module()
    assert (again["changed"], again["packages"], system.calls()) == (False, found["packages"], [])
    gone = system.module(state="absent")
    assert gone["changed"] is True
    assert any(" purge --yes " in call for call in system.calls()), "configuration files would stay"
    assert (system.listing(), system.installed()) == (before, installed)
    assert system.module(state="absent")["changed"] is False


def test_the_distribution_s_own_old_one_is_replaced_and_stays_when_ours_goes(system: SmallSystem) -> None:
    system.packages(installed={"base-files": "13", "intel-opencl-icd": "23.43"})
    system.module()
    assert system.installed()["intel-opencl-icd"] == "25.31"
    # What its owner upgrades afterwards is nothing to do for us.
    system.packages(installed={**system.installed(), "libze1": "1.22"})
    assert system.module()["changed"] is False
    system.module(state="absent")
    # And what it needs now stays with it.
    assert system.installed() == {"base-files": "13", "intel-opencl-icd": "25.31", "libigc2": "2.18"}


def test_what_others_need_stays_and_that_is_said(system: SmallSystem) -> None:
    system.module()
    system.packages(installed={**system.installed(), "blender": "4.3"}, depends={"blender": ["libze1"]})
    found = system.module(state="absent")
    assert set(system.installed()) == {"base-files", "blender", "libze1"}
    assert found["failed"] is False
    assert not system.source.exists()


def test_a_source_that_was_deleted_or_edited_is_repaired(system: SmallSystem) -> None:
    system.module()
    system.source.write_text("Types: deb\nURIs: https://elsewhere.example\n")
    system.keyring.unlink()
    assert system.module()["changed"] is True
    assert "apt.example" in system.source.read_text() and system.keyring.read_bytes() == system.data
    assert system.module()["changed"] is False


def test_an_ubuntu_with_its_own_new_one_gets_no_repository(system: SmallSystem) -> None:
    system.release("26.04")
    system.packages(own=INTELS)
    found = system.module()
    assert found["packages"] == {name: INTELS[name] for name in PACKAGES}
    assert not system.source.exists() and not system.keyring.exists()
    assert system.module()["changed"] is False


def test_lists_that_were_never_read_are_read_once(system: SmallSystem) -> None:
    """As in a fresh container or a fresh WSL."""
    system.release("26.04")
    system.packages(own=INTELS, lists=False)
    assert system.module()["changed"] is True
    assert [call.split()[-1] for call in system.calls() if "update" in call] == ["update"]


def test_without_wsl_the_groups_are_said(system: SmallSystem) -> None:
    assert system.module(gpu=LINUX, check=True)["groups"] == ["render", "video"]


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"apt_key_fingerprints": ["AB12"]}, "xpu_apt_fingerprint", ["AB12", "40 or 64 hexadecimal digits"]),
        ({"apt_key_fingerprints": ["F" * 40]}, "xpu_apt_key", ["another one than is known", "xpu_apt_key_fingerprints"]),
        (
            {"apt_key_fingerprints": [], "apt_key": "http://127.0.0.1:1/key"},
            "xpu_apt_key_unknown", ["come unprotected", "https"],
        ),
        ({"apt_key": "https://127.0.0.1:1/key"}, "xpu_apt_key_unreachable", ["cannot be read", "mirror"]),
        ({"apt_key": "file:///etc/hostname"}, "xpu_apt_key", ["is no key"]),
        ({"fault": "unsigned"}, "xpu_apt_signature", ["is not by its key", "is not signed"]),
        ({"fault": "unreachable"}, "xpu_apt_unreachable", ["cannot be read", "xpu_apt_address"]),
        ({"fault": "busy"}, "xpu_apt_busy", ["another program installs", "wait"]),
        ({"repository": {"libze1": "1.21.1"}}, "xpu_apt_package", ["libze-intel-gpu1", "xpu_apt_address"]),
        ({"fault": "kernel"}, "xpu_kernel_package", ["intel-i915-dkms", "never installs one"]),
        ({"fault": "removes"}, "xpu_would_remove", ["intel-media"]),
    ],
    ids=[
        "no fingerprint", "another key", "a key over http",
        "no network for the key", "no key", "bad signature", "no repository", "busy", "incomplete mirror", "a kernel",
        "a removal",
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_message_and_nothing_stays_half_done(
    system: SmallSystem, change: dict[str, Any], name: str, words: list[str]
) -> None:
    change = dict(change)
    for word in ("fault", "repository"):
        if word in change:
            system.packages(**{word: change.pop(word)})
    before, installed = system.listing(), system.installed()
    found = system.module(**change)
    assert (found["failed"], found["changed"]) == (True, False)
    assert [one["id"] for one in found["problems"]] == [name]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert " Expected: " in found["msg"] and " Do: " in found["msg"]
    assert (system.listing(), system.installed()) == (before, installed)


def test_a_source_of_before_is_put_back_when_the_new_one_fails(system: SmallSystem) -> None:
    system.source.write_text("Types: deb\nURIs: https://my.example\n")
    system.packages(fault="unsigned")
    assert system.module()["failed"] is True
    assert system.source.read_text() == "Types: deb\nURIs: https://my.example\n"


def test_a_repository_that_moved_is_read_before_it_stays(system: SmallSystem) -> None:
    """Also where nothing is to be installed: apt would complain of it on somebody's next day."""
    system.module()
    before = system.listing()
    system.packages(fault="unsigned")
    found = system.module(apt_address="https://moved.example/gpu/ubuntu")
    assert [one["id"] for one in found["problems"]] == ["xpu_apt_signature"]
    assert system.listing() == before
    system.packages(fault="")
    assert system.module(apt_address="https://moved.example/gpu/ubuntu")["changed"] is True
    assert "moved.example" in system.source.read_text()


def test_packages_that_are_not_what_the_list_names_leave_nothing_behind(system: SmallSystem) -> None:
    before, installed = system.listing(), system.installed()
    system.packages(fault="checksum")
    assert [one["id"] for one in system.module()["problems"]] == ["xpu_apt_checksum"]
    assert (system.listing(), system.installed()) == (before, installed)


@pytest.mark.parametrize(("fault", "name"), [("half", "xpu_apt"), ("checksum", "xpu_apt_checksum")])
def test_an_installation_that_broke_is_mended_by_the_next_run(system: SmallSystem, fault: str, name: str) -> None:
    system.packages(fault=fault)
    found = system.module()
    assert [one["id"] for one in found["problems"]] == [name]
    # What is there half wants its repository.
    assert system.source.exists() is (fault == "half")
    system.packages(fault="")
    assert system.module()["packages"] == {name: INTELS[name] for name in PACKAGES}


def test_what_dpkg_left_half_done_is_said_and_can_be_taken_back(system: SmallSystem) -> None:
    before, installed = system.listing(), system.installed()
    system.packages(fault="half")
    tab = "$(printf '\\t')"
    half = f"s/^\\(libze1{tab}.*{tab}\\)installed$/\\1half-configured/"
    path = system.root / "dpkg-query"
    path.write_text(f'{path.read_text().replace("exec ", "", 1).rstrip()} | sed "{half}"\n')
    found = system.module()
    assert (found["failed"], found["changed"]) == (True, True)
    assert "./colab-ready remove takes it back" in found["msg"] and "Nothing was changed" not in found["msg"]
    assert str(system.source) in found["changed_paths"]
    system.packages(fault="")
    assert system.module(state="absent")["changed"] is True
    assert (system.listing(), system.installed()) == (before, installed)


INSTALLATION = "APT::Keep-Downloaded-Packages=false"


@pytest.mark.parametrize("step", ["update", "--simulate", "--download-only", INSTALLATION])
@pytest.mark.parametrize("end", ["interrupt", "kill"])
def test_a_run_that_is_ended_leaves_nothing_that_remove_does_not_take_back(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch, step: str, end: str
) -> None:
    """After reading the repository, after the simulation, and after dpkg was done but nothing could be said of it any more."""
    before, installed = system.listing(), system.installed()
    asked = Apt.apt

    def ended(self: Apt, words: list[str], *more: Any, **others: Any) -> str:
        said = asked(self, words, *more, **others)
        if step in words:
            if end == "kill":
                os._exit(9)
            raise KeyboardInterrupt
        return said

    with monkeypatch.context() as patch:
        patch.setattr(Apt, "apt", ended)
        if end == "kill":
            child = os.fork()
            if not child:
                here(system, wsl=True, user="")
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        else:
            with pytest.raises(KeyboardInterrupt):
                here(system, wsl=True, user="")
    # What could be taken back at once has been.
    left = end == "kill" or step == INSTALLATION
    assert (system.listing() != before, system.record.exists()) == (left, left)
    assert (system.installed() != installed) is (step == INSTALLATION)
    assert system.module(state="absent")["changed"] is left
    assert (system.listing(), system.installed()) == (before, installed)


def test_a_run_that_was_ended_is_carried_on_by_the_next(system: SmallSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    before, installed = system.listing(), system.installed()
    asked = Apt.apt

    def ended(self: Apt, words: list[str], *more: Any, **others: Any) -> str:
        said = asked(self, words, *more, **others)
        return str(1 / 0) if INSTALLATION in words else said

    with monkeypatch.context() as patch:
        patch.setattr(Apt, "apt", ended)
        with pytest.raises(ZeroDivisionError):
            here(system, wsl=True, user="")
    assert system.installed() != installed
    assert system.module()["packages"] == {name: INTELS[name] for name in PACKAGES}
    assert system.module()["changed"] is False
    system.module(state="absent")
    assert (system.listing(), system.installed()) == (before, installed)


def test_a_removal_that_failed_half_way_has_changed_something(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.module()
    asked = Apt.apt

    def stops(self: Apt, words: list[str], where: str = "apt", strict: bool = False) -> str:
        said = asked(self, words, where, strict)
        if "--yes" in words:
            raise Refused(self.problem("E: dpkg", where))
        return said

    runtime = host_of(system, "absent")
    with monkeypatch.context() as patch:
        patch.setattr(Apt, "apt", stops)
        with pytest.raises(Refused):
            runtime.absent()
    assert runtime.record.touched is True
    assert system.record.exists() and system.module(state="absent")["failed"] is False
    assert not system.source.exists()


def test_files_of_others_in_our_places_are_put_back(system: SmallSystem) -> None:
    system.keyring.parent.mkdir()
    system.keyring.write_bytes(b"theirs")
    system.source.write_text("Types: deb\nURIs: https://my.example\n")
    before = system.listing()
    notes = here(system, wsl=True, user="").changes.warnings
    assert [one.partition(" was there, and is replaced")[0] for one in notes] == [
        str(system.keyring),
        str(system.source),
    ]
    assert "apt.example" in system.source.read_text() and system.keyring.read_bytes() == system.data
    # What came in between does not count as theirs.
    assert system.module(apt_address="https://moved.example/gpu/ubuntu")["changed"] is True
    system.module(state="absent")
    assert system.listing() == before


def test_a_key_that_others_have_in_the_same_place_stays(system: SmallSystem) -> None:
    system.keyring.parent.mkdir()
    system.keyring.write_bytes(system.data)
    before = system.listing()
    assert here(system, wsl=True, user="").changes.warnings == []
    system.module(state="absent")
    assert system.listing() == before


def test_what_is_there_of_a_lost_record_goes_with_the_next(system: SmallSystem) -> None:
    system.module()
    system.record.unlink()
    system.module()
    system.module(state="absent")
    assert not system.source.exists() and not system.keyring.exists()


def test_a_link_in_our_place_is_refused(system: SmallSystem) -> None:
    system.source.symlink_to("/nowhere")
    found = system.module()
    assert (found["failed"], found["changed"]) == (True, False)
    assert f"{system.source} is a link. Expected a file, or nothing. Replace it by one." in found["msg"]
    assert system.source.is_symlink() and not system.record.exists() and not system.keyring.parent.exists()


def test_an_answer_that_is_no_http_is_one_message(system: SmallSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(b"220 this is a mail server\r\n")

        threading.Thread(target=answer, daemon=True).start()
        found = system.module(apt_key=f"http://127.0.0.1:{server.getsockname()[1]}/key")
    assert [one["id"] for one in found["problems"]] == ["xpu_apt_key_unreachable"]
    assert "220 this is a mail server" in found["msg"]


def test_the_diff_shows_files_and_packages_but_no_key(system: SmallSystem) -> None:
    foreseen, shown = (here(system, check=check, wsl=True, user="").changes.diff for check in (True, False))
    assert foreseen == shown
    assert f"{system.keyring}: the repository's key\n" in shown["after"]
    assert f"{system.source}:\nTypes: deb\n" in shown["after"] and "Suites: noble" in shown["after"]
    assert "package libze1: absent\n" in shown["before"]
    assert "package libze1: newest of its repository\n" in shown["after"]


def test_nothing_is_done_without_a_decision_for_it(system: SmallSystem) -> None:
    found = system.module(gpu={**WSL, "backend": {**WSL["backend"], "name": "directml"}})
    assert [one["id"] for one in found["problems"]] == ["xpu_undecided"]


def test_a_mirror_s_password_is_nowhere(system: SmallSystem) -> None:
    env = {"ANSIBLE_VERBOSITY": "3"}
    found = system.module(apt_key="https://kid:hunter22@127.0.0.1:1/key", env=env)
    assert found["failed"] is True
    assert "hunter22" not in json.dumps(found)


# --- the groups -----------------------------------------------------------------------------------------------------


class Groups:
    """A stand-in for the groups of a host where there is a student, and for what usermod and gpasswd do to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, members: dict[str, list[str]], own: str = "student") -> None:
        self.members = {"student": [], **members}
        self.status = 0
        self.numbers = {name: 5000 + place for place, name in enumerate(self.members)}
        student = runtime_account.Account("student", 5000, "/home/student")
        self.ask = apt_client.ask
        monkeypatch.setattr(runtime_account, "account", lambda name: student if name == "student" else None)
        monkeypatch.setattr(gpu_groups, "primary_gid", lambda uid: self.numbers[own])
        monkeypatch.setattr(grp, "getgrall", self.all)
        monkeypatch.setattr(apt_client, "ask", self.run)

    def all(self) -> list[grp.struct_group]:
        return [grp.struct_group((name, "x", self.numbers[name], who)) for name, who in self.members.items()]

    def run(self, argv: list[str], *more: Any) -> Answer:
        if argv[0] == "/usr/sbin/usermod" and not self.status:
            assert argv[1:3] == ["--append", "--groups"] and argv[4] == "student"
            self.members[argv[3]].append("student")
        elif argv[0] == "/usr/bin/gpasswd" and not self.status:
            assert argv[1:3] == ["--delete", "student"]
            self.members[argv[3]].remove("student")
        elif argv[0] not in ("/usr/sbin/usermod", "/usr/bin/gpasswd"):
            return self.ask(argv, *more)
        return Answer(self.status, b"", b"")

    def of_the_student(self) -> list[str]:
        return sorted(name for name, who in self.members.items() if "student" in who)


def host_of(
    system: SmallSystem, state: str = "present", check: bool = False, wsl: bool = False, user: str = "student"
) -> XpuHost:
    gpu = machine(wsl, system.version)
    return XpuHost({**system.args, "state": state, "gpu": gpu, "user": user, "environment": {}}, check)


def here(system: SmallSystem, state: str = "present", **more: Any) -> XpuHost:
    """The module without Ansible around it, in this process, whose groups are the stand-in's."""
    runtime = host_of(system, state, **more)
    if state == "absent":
        runtime.absent()
    else:
        runtime.present()
    return runtime


def memberships(runtime: XpuHost, side: str) -> list[str]:
    """The groups of the diff that name the student before (or after)."""
    return sorted(re.findall(r"^group (\S+): with student$", runtime.changes.diff[side], re.MULTILINE))


@pytest.mark.parametrize("had_it_all", [False, True], ids=["packages come", "packages were there"])
@pytest.mark.parametrize(
    ("members", "own", "wsl", "joined"),
    [
        ({"render": [], "video": ["other"]}, "student", False, ["render", "video"]),
        ({"video": []}, "student", False, ["video"]),
        ({}, "student", False, []),
        ({"render": [], "video": ["student"]}, "student", False, ["render"]),
        ({"render": [], "video": []}, "render", False, ["video"]),
        ({"render": ["student"], "video": ["student"]}, "student", False, []),
        ({"render": [], "video": []}, "student", True, []),
    ],
    ids=["both", "no render", "neither", "one from before", "the own group", "both from before", "WSL"],
)
def test_the_user_joins_the_groups_that_there_are_and_leaves_those_that_were_joined(
    system: SmallSystem,
    monkeypatch: pytest.MonkeyPatch,
    members: dict[str, list[str]],
    own: str,
    wsl: bool,
    joined: list[str],
    had_it_all: bool,
) -> None:
    if had_it_all:
        system.release("26.04")
        system.packages(own=INTELS, installed=INTELS)
    groups = Groups(monkeypatch, members, own)
    before, was = groups.of_the_student(), system.listing()
    foreseen = here(system, check=True, wsl=wsl)
    assert (memberships(foreseen, "after"), groups.of_the_student(), system.listing()) == (joined, before, was)
    done = here(system, wsl=wsl)
    assert memberships(done, "after") == joined
    assert groups.of_the_student() == sorted([*before, *joined])
    assert done.record.touched is (bool(joined) or not had_it_all)
    recorded = json.loads(system.record.read_text())["groups"] if system.record.exists() else []
    assert recorded == [["student", name] for name in joined]
    assert here(system, wsl=wsl).record.touched is False
    foreseen = here(system, "absent", check=True)
    assert (memberships(foreseen, "before"), groups.of_the_student()) == (joined, sorted([*before, *joined]))
    assert memberships(here(system, "absent"), "before") == joined
    assert (groups.of_the_student(), system.listing()) == (before, was)
    assert here(system, "absent").record.touched is False


def test_what_is_recorded_of_the_groups_outlives_a_later_installation(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Groups(monkeypatch, {"video": []})
    here(system)
    system.packages(installed={"base-files": "13"})
    here(system)
    assert system.installed()["libze1"] == INTELS["libze1"]
    here(system, "absent")
    assert groups.of_the_student() == []


def test_a_membership_that_its_owner_ended_is_made_again_and_recorded_once(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Groups(monkeypatch, {"video": []})
    here(system)
    groups.members["video"].clear()
    assert here(system).record.touched is True
    assert json.loads(system.record.read_text())["groups"] == [["student", "video"]]
    groups.members["video"].clear()
    # And one that is gone needs no taking back.
    groups.status = 3
    assert here(system, "absent").changes.warnings == []


def test_a_group_that_cannot_be_joined_is_one_message_and_the_rest_stays(
    system: SmallSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Groups(monkeypatch, {"video": []})
    groups.status = 10
    runtime = host_of(system)
    with pytest.raises(Refused) as refusal:
        runtime.present()
    assert runtime.record.touched is True and str(system.source) in runtime.changes.places
    assert refusal.value.problems[0].id == "xpu_group"
    assert refusal.value.problems[0].do == "sudo usermod -aG video student, which says why not; then ./colab-ready"
    assert system.source.exists() and system.installed()["libze1"] == INTELS["libze1"]
    # As the message says; what was done by hand is not ours to take back.
    groups.members["video"].append("student")
    groups.status = 0
    assert here(system).record.touched is False
    here(system, "absent")
    assert groups.of_the_student() == ["video"]


def test_a_group_that_cannot_be_left_is_said(system: SmallSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(monkeypatch, {"video": []})
    here(system)
    groups.status = 1
    (note,) = here(system, "absent").changes.warnings
    assert "student stays in the group video" in note and "sudo gpasswd --delete student video" in note


def test_a_user_that_there_is_not_is_refused_before_anything_is_changed(system: SmallSystem) -> None:
    before, installed = system.listing(), system.installed()
    found = system.module(gpu=LINUX, user="nobody-of-this-name")
    assert [one["id"] for one in found["problems"]] == ["xpu_user"]
    assert (
        "there is no user nobody-of-this-name" in found["msg"]
        and "Do: ./colab-ready -e colab_user=NAME with one" in found["msg"]
    )
    assert (system.listing(), system.installed()) == (before, installed)
    # In check mode the run may be the one that makes the user.
    assert system.module(gpu=LINUX, user="nobody-of-this-name", check=True)["failed"] is False


# --- the role -------------------------------------------------------------------------------------------------------


def play(project: Path, tmp_path: Path, content: dict[str, Any], **variables: Any) -> subprocess.CompletedProcess[str]:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, **content}]))
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", tmp_path / "play.yml",
         "-e", f"ansible_python_interpreter={sys.executable}", "-e", f"@{tmp_path / 'variables.json'}"],
        env={**ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "default"}, capture_output=True, text=True, cwd=project,
        check=False,
    )  # fmt: skip


def test_the_role_leaves_the_groups_to_the_module_which_records_them(
    system: SmallSystem, project: Path, tmp_path: Path
) -> None:
    args = {name: value for name, value in system.args.items() if not name.startswith(("gpu", "apt_a", "apt_k"))}
    content = {"roles": ["xpu"], "module_defaults": {"xpu_backend": args}}
    given = {f"xpu_{name}": system.args[name] for name in ("apt_address", "apt_key", "apt_key_fingerprints")}
    done = play(project, tmp_path, content, gpu_backend_detected=LINUX, gpu_backend_user="nobody-of-this-name", **given)
    assert "there is no user nobody-of-this-name" in done.stdout
    tasks = yaml.safe_load((project / "roles/xpu/tasks/main.yml").read_text())
    assert not [one for one in tasks if "ansible.builtin.user" in one]


class Proxy(http.server.BaseHTTPRequestHandler):
    """A stand-in for a school's proxy, which knows one file."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "http://key.invalid/key" else 404)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


def test_the_role_lets_the_key_and_apt_go_through_the_proxy(system: SmallSystem, project: Path, tmp_path: Path) -> None:
    """sudo takes it out of the environment."""
    system.prefix("apt-get", f"echo \"$http_proxy\" >>'{tmp_path}/proxies';")
    args = {name: value for name, value in system.args.items() if not name.startswith(("gpu", "apt_a", "apt_k"))}
    handler = type("Handler", (Proxy,), {"content": system.file.read_bytes()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"http://kid:hunter22@127.0.0.1:{server.server_port}"
        content = {"roles": ["xpu"], "module_defaults": {"xpu_backend": args}}
        given = {"xpu_apt_key": "http://key.invalid/key", "xpu_apt_key_fingerprints": [system.fingerprint]}
        told = {"gpu_backend_detected": WSL, "gpu_backend_user": "", "python_env_environment": {"http_proxy": proxy}}
        done = play(project, tmp_path, content, **told, **given)
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    assert set((tmp_path / "proxies").read_text().split()) == {proxy}
    assert "hunter22" not in done.stdout + done.stderr


@pytest.fixture
def describe(system: SmallSystem, project: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What the role says of the kernel environment, by way of gpu_backend_kernel as playbooks/site.yml asks for it."""

    def ask(**variables: Any) -> dict[str, Any]:
        out = tmp_path / "kernel.json"
        args = {name: value for name, value in system.args.items() if not name.startswith(("gpu", "apt_a", "apt_k"))}
        content = {
            "module_defaults": {"xpu_backend": args},
            "roles": [{"role": "gpu_backend", "when": False}, "xpu"],
            "tasks": [{"copy": {"content": "{{ gpu_backend_kernel | to_json }}", "dest": str(out)}}],
        }
        given = {f"xpu_{name}": system.args[name] for name in ("apt_address", "apt_key", "apt_key_fingerprints")}
        told = {"gpu_backend_name": "xpu", "gpu_backend_detected": WSL, "gpu_backend_user": ""}
        done = play(project, tmp_path, content, **told, **given, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(out.read_text()))

    return ask


def test_the_kernel_is_torch_from_its_index_and_intel_s_libraries_locked(
    describe: Callable[..., dict[str, Any]],
) -> None:
    found = describe()
    pinned = [one["requirement"] for one in found["pinned"]]
    own = ["triton-xpu==3.7.2", "torch==2.13.0+xpu", "torchvision==0.28.0+xpu", "torchaudio==2.11.0+xpu"]
    assert (pinned, found["pinned"][3]["optional"]) == (own, True)
    assert {one["index"] for one in found["pinned"]} == {"https://download.pytorch.org/whl/xpu"}
    # The default index's torch is made for CUDA.
    assert not [one for one in found["pinned"] if one.get("allow_default") or one.get("default_requirement")]
    assert found["constraints"] == []
    assert found["python_requires"] == ">=3.10,<3.14"
    locked = {one.name: one for one in lock_file.parse_lock(found["lock"])}
    assert not set(locked) & {"torch", "torchvision", "triton", "triton-xpu"}
    assert not [name for name in locked if name.startswith(("nvidia", "cuda"))]
    assert {"intel-sycl-rt", "onemkl-sycl-blas", "intel-pti", "umf", "tcmlib", "ipykernel", "pip", "pillow"} <= set(
        locked
    )
    assert locked["intel-sycl-rt"].version == "2026.0.0"
    assert all(one.hashes for one in locked.values())
    assert "://" not in found["lock"]


def test_a_mirror_of_the_index_and_a_lock_of_one_s_own_are_taken(system: SmallSystem) -> None:
    index = "https://mirror.example/xpu"
    assert {one["index"] for one in system.module(index=index)["kernel"]["pinned"]} == {index}
    own = f"alpha==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    found = system.module(index=index, torch_index="file:///srv/torch", lock=own)["kernel"]
    assert {one["index"] for one in found["pinned"]} == {"file:///srv/torch"}
    assert found["lock"] == own

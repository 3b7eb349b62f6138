"""A host and what is requested fit, or every reason why not is said at once, before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core.problem import message
from ansible.module_utils.colab_ready.host_check import preflight
from ansible.module_utils.colab_ready.host_check.preflight import PortState, Problem, Requested, Seen
from ansible.module_utils.colab_ready.python import interpreters
from ansible.module_utils.colab_ready.system import clock
from ansible.module_utils.colab_ready.system.filesystem import Place
from ansible.module_utils.colab_ready.system.interpreters import Python
from ansible.module_utils.colab_ready.system.ports import Listener, Process
from ansible.module_utils.colab_ready.system.runtime_account import Account

STUDENT = Account("student", 1000, "/home/student")
REQUESTED = Requested(
    backend="auto",
    backends=("auto", "rocm", "cpu"),
    port=8888,
    user="",
    prefix="/opt/colab-ready",
    python_requires=">=3.10,<3.15",
)
PLACE = Place(
    "/opt/colab-ready", existing="/opt", free_bytes=100 << 30, free_inodes=10**6, filesystem="ext4", options=("rw",)
)
SEEN = Seen(
    uid=1000,
    caller="student",
    sudo_user=None,
    accounts={
        "root": Account("root", 0, "/root"),
        "toor": Account("toor", 0, "/root"),
        "student": STUDENT,
        "homeless": Account("homeless", 1001, "/home/homeless", home_exists=False),
    },
    hostname="pc-07",
    architecture="x86_64",
    os={"id": "debian", "id_like": [], "version_id": "12", "codename": "bookworm", "name": "Debian 12", "apt": True},
    service_manager="systemd",
    systemd="252",
    uv=None,
    python=Python("/usr/bin/python3", "3.11.2"),
    rejected=(),
    place=PLACE,
)


def test_a_good_host_has_no_problems_and_says_what_the_roles_need() -> None:
    facts, problems = preflight.judge(REQUESTED, SEEN)
    assert problems == []
    assert facts == {
        "caller": "student",
        "uid": 1000,
        "sudo_user": None,
        "root_caller": False,
        "user": "student",
        "user_chosen_by": "caller",
        "user_exists": True,
        "user_comment": "colab-ready runtime user",
        "home_open": False,
        "user_home": "/home/student",
        "port": 8888,
        "prefix": "/opt/colab-ready",
        "backend": "auto",
        "disk": {"path": "/opt", "free_bytes": 100 << 30},
        "service_manager": "systemd",
        "systemd": "252",
        "os": {"id": "debian", "version_id": "12", "codename": "bookworm", "name": "Debian 12"},
        "architecture": "x86_64",
        "python": {"path": "/usr/bin/python3", "version": "3.11.2"},
        "uv": None,
        "hostname": "pc-07",
        "runtime": {"user": None, "service_manager": None, "prefix": None, "port": None},
    }


def test_a_prefix_that_moved_is_refused_and_both_ways_out_are_named() -> None:
    settings = {"user": "student", "service_manager": "systemd", "prefix": "/srv/colab", "port": 9000}
    facts, problems = preflight.judge(REQUESTED, replace(SEEN, settings=settings))
    assert facts["runtime"] == settings
    assert [problem.id for problem in problems] == ["prefix_moved"]
    assert "./colab-ready -e colab_prefix=/srv/colab; or first: ./colab-ready remove" in problems[0].sentence()


def test_all_problems_are_in_one_message_that_says_what_to_do() -> None:
    requested = replace(REQUESTED, backend="rocmm", port="http", user="ghost", prefix="/usr")
    seen = replace(SEEN, architecture="i686", os={"id": "fedora"}, python=None, place=None)
    facts, problems = preflight.judge(requested, seen)
    assert [problem.id for problem in problems] == [
        "backend",
        "colab_port",
        "user",
        "os",
        "architecture",
        "python",
        "prefix",
    ]
    lines = message(problems).splitlines()
    assert "7 problems" in lines[0]
    assert [line[:3] for line in lines[1:]] == [f"{number}. " for number in range(1, 8)]
    assert all(". Expected: " in line and ". Do: " in line for line in lines[1:])
    assert facts["python"] is None


# --- one thing at a time --------------------------------------------------------------------------------------------

# what differs in what is requested, what differs on the host, the problem, words of its sentence
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, list[str]]] = [
    ("unknown backend", {"backend": "ROCm"}, {}, "backend", ["'ROCm'", "auto, rocm, cpu", "-e colab_backend=rocm, or another"]),
    ("backend like none", {"backend": "xyz"}, {}, "backend", ["'xyz'", "-e colab_backend=auto, or another one of them."]),
    ("user that does not exist", {"user": "ghost"}, {}, "user", ["'ghost'", "adduser ghost"]),
    ("user that could never exist", {"user": "rm -rf"}, {}, "user", ["'rm -rf'", "Do: ./colab-ready -e colab_user=NAME with another account; or"]),
    ("root as user", {"user": "root"}, {}, "user_root", ["'root'", "that is root"]),
    ("root by another name", {"user": "toor"}, {}, "user_root", ["'toor'", "that is root"]),
    ("user without a home", {"user": "homeless"}, {}, "user_home", ["/home/homeless is missing", "mkhomedir_helper"]),
    ("caller without a home", {}, {"uid": 1001, "caller": "homeless"}, "user_home", ["would run as homeless"]),
    ("caller without an account", {}, {"uid": 4242, "caller": "4242"}, "user", ["would run as 4242"]),
    ("another system", {}, {"os": {"id": "fedora", "name": "Fedora 43"}}, "os", ["Fedora 43", "Debian 12"]),
    ("Debian's relative without apt", {}, {"os": {"id": "x", "id_like": ["debian"]}}, "os", ["without apt-get"]),
    ("a system without a name", {}, {"os": {}}, "os", ["does not say its name"]),
    ("a processor with 32 bits", {}, {"architecture": "armv7l"}, "architecture", ["armv7l", "x86_64 or aarch64"]),
    ("an old Python", {}, {"python": None, "rejected": ["/usr/bin/python3 is 3.9.2"]}, "python", ["/usr/bin/python3 is 3.9.2"]),
    ("a new Python", {}, {"python": None, "rejected": ["/usr/bin/python3 is 3.15.0"]}, "python", [">=3.10,<3.15"]),
    ("no Python", {}, {"python": None}, "python", ["there is none in /usr/bin"]),
    ("a clock that stood still", {}, {"clock": "the clock shows 2026-11-29"}, "clock", ["shows 2026-11-29", "hwclock -s", "timedatectl"]),
    ("a disk too small", {}, {"place": replace(PLACE, free_bytes=255 << 20)}, "disk_space", ["only 255 MiB", "256 MiB"]),
    ("no room for more files", {}, {"place": replace(PLACE, free_inodes=59_999)}, "disk_inodes", ["59999", "df -i"]),
    ("a Windows drive", {}, {"place": replace(PLACE, filesystem="9p")}, "prefix_filesystem", ["9p", "/mnt"]),
    ("a read-only disk", {}, {"place": replace(PLACE, options=("ro",))}, "prefix_filesystem", ["read-only"]),
    ("a disk without programs", {}, {"place": replace(PLACE, options=("rw", "noexec"))}, "prefix_filesystem", ["no program may"]),
    ("a link", {}, {"place": replace(PLACE, kind="symlink", target="/data")}, "prefix", ["a symbolic link to /data"]),
    ("a file", {}, {"place": replace(PLACE, kind="file")}, "prefix", ["not a directory"]),
    ("somebody's home", {}, {"place": replace(PLACE, path="/home/student", kind="directory")}, "prefix", ["a home directory"]),
    ("a closed directory", {}, {"place": replace(PLACE, kind="directory", entries=None)}, "prefix", ["cannot be looked into"]),
    ("somebody's work", {}, {"place": replace(PLACE, kind="directory", entries=("server", "thesis"))}, "prefix", ["(thesis)"]),
    ("somebody's folder of our names", {}, {"place": replace(PLACE, kind="directory", entries=("src",), uid=1000)}, "prefix", ["(src)"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("requested", "host", "problem", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_misfit_is_one_problem_and_said_plainly(
    requested: dict[str, Any], host: dict[str, Any], problem: str, words: list[str]
) -> None:
    problems = preflight.judge(replace(REQUESTED, **requested), replace(SEEN, **host))[1]
    assert [found.id for found in problems] == [problem]
    sentence = problems[0].sentence()
    assert [word for word in words if word not in sentence] == []


SETTINGS = {"prefix": "/opt/colab-ready", "port": 8888, "user": "student"}
OURS = replace(PLACE, kind="directory", entries=("cache", "kernels", "pythons", "server", "share", "src", "tools"))

FITS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a relative of Debian", {}, {"os": {"id": "linuxmint", "id_like": ["ubuntu", "debian"], "apt": True}}),
    ("a processor of Arm", {}, {"architecture": "aarch64"}),
    ("exactly enough space", {}, {"place": replace(PLACE, free_bytes=256 << 20, free_inodes=60_000)}),
    ("a file system that counts no files", {}, {"place": replace(PLACE, free_inodes=None)}),
    ("an empty directory", {}, {"place": replace(PLACE, kind="directory", uid=1000)}),
    ("what a first run that was stopped left", {}, {"place": replace(PLACE, kind="directory", entries=("tools", "src"))}),
    ("our own, with something beside", {}, {"place": replace(OURS, entries=(*(OURS.entries or ()), "x")), "settings": SETTINGS}),
    ("little space, but all is built", {}, {"place": replace(OURS, free_bytes=300 << 20, free_inodes=2000), "settings": SETTINGS}),
]  # fmt: skip


@pytest.mark.parametrize(("requested", "host"), [case[1:] for case in FITS], ids=[case[0] for case in FITS])
def test_what_fits_is_no_problem(requested: dict[str, Any], host: dict[str, Any]) -> None:
    assert preflight.judge(replace(REQUESTED, **requested), replace(SEEN, **host))[1] == []


def test_a_first_run_that_was_stopped_still_needs_its_files() -> None:
    seen = replace(SEEN, place=replace(OURS, free_inodes=2000), settings=None)
    assert [problem.id for problem in preflight.judge(REQUESTED, seen)[1]] == ["disk_inodes"]


@pytest.mark.parametrize(
    ("user", "kernels", "refused"), [("teacher", ["cpu"], True), ("teacher", [], False), ("student", ["cpu"], False)]
)
def test_no_notebook_ends_because_another_account_is_to_run_them(user: str, kernels: list[str], refused: bool) -> None:
    accounts = {**SEEN.accounts, "teacher": Account("teacher", 1001, "/home/teacher")}
    seen = replace(SEEN, place=OURS, settings=SETTINGS, kernels=kernels, accounts=accounts)
    problems = preflight.judge(replace(REQUESTED, user=user), seen)[1]
    assert [problem.id for problem in problems] == ["user_busy"] * refused
    if refused:
        assert "notebooks of 'student' run" in problems[0].what and "'teacher'" in problems[0].what


# --- the port -------------------------------------------------------------------------------------------------------

PORTS = [(8888, 8888), ("8888", 8888), (" 1024 ", 1024), ("65535", 65535)]
NO_PORTS: list[Any] = [
    0,
    80,
    1023,
    65536,
    -8888,
    True,
    None,
    8888.0,
    "",
    "http",
    "8888x",
    "0x22b8",
    "80 88",
    "٨٨٨٨",
    [8888],
    {},
]


@pytest.mark.parametrize(("raw", "port"), PORTS)
def test_a_port_may_come_as_number_or_text(raw: object, port: int) -> None:
    assert preflight.parse_port(raw) == (port, None)


@pytest.mark.parametrize("raw", NO_PORTS, ids=repr)
def test_what_is_no_port_is_refused_with_the_range(raw: object) -> None:
    port, problem = preflight.parse_port(raw)
    assert port is None
    assert problem is not None
    assert "from 1024 to 65535" in problem.expected


def test_a_privileged_port_is_refused_with_the_reason() -> None:
    problem = preflight.parse_port(443)[1]
    assert problem is not None
    assert "does not run as root" in problem.what


LISTENER = Listener("127.0.0.1", 8888, 1000, 5)
NOTEBOOK = Process(345, 1000, "jupyter-noteboo", ("/usr/bin/python3", "/usr/bin/jupyter-notebook", "--port=8888"))

PORT_STATES: list[tuple[str, PortState, list[str]]] = [
    ("free", PortState(), []),
    ("ours", PortState([LISTENER], NOTEBOOK, ours=True, users=["student"]), []),
    (
        "a known process",
        PortState([LISTENER], NOTEBOOK, users=["student"]),
        ["process 345, jupyter-noteboo (/usr/bin/python3 /usr/bin/jupyter-notebook", "of user student"],
    ),
    (
        "a process that only root may see",
        PortState([LISTENER, LISTENER], users=["root", "root"]),
        ["a program of user root, which only root may look up", "sudo ss -ltnp"],
    ),
    (
        "a program on Windows",
        PortState(bind_error="Address already in use"),
        ["Address already in use", "netstat -ano", "netsh int ip show excludedportrange protocol=tcp"],
    ),
]


@pytest.mark.parametrize(("state", "words"), [case[1:] for case in PORT_STATES], ids=[case[0] for case in PORT_STATES])
def test_a_taken_port_names_who_holds_it_as_far_as_one_may_know(state: PortState, words: list[str]) -> None:
    problem = preflight.check_port(8888, state)
    assert (problem is None) == (not words)
    assert problem is None or [word for word in words if word not in problem.sentence()] == []


# --- the user -------------------------------------------------------------------------------------------------------

# uid, caller, SUDO_USER, requested, user, chosen by, exists, home
USERS: list[tuple[str, int, str, str | None, str, str, str, bool, str | None]] = [
    ("somebody", 1000, "student", None, "", "student", "caller", True, "/home/student"),
    ("somebody with an old SUDO_USER", 1000, "student", "homeless", "", "student", "caller", True, "/home/student"),
    ("root by sudo", 0, "root", "student", "", "student", "sudo", True, "/home/student"),
    ("root by sudo of root", 0, "root", "root", "", "colab", "system_user", False, "/home/colab"),
    ("root by sudo of nobody known", 0, "root", "ghost", "", "colab", "system_user", False, "/home/colab"),
    ("root", 0, "root", None, "", "colab", "system_user", False, "/home/colab"),
    ("root with a requested", 0, "root", "homeless", "student", "student", "colab_user", True, "/home/student"),
]


@pytest.mark.parametrize(
    ("uid", "caller", "sudo", "requested", "user", "by", "exists", "home"),
    [case[1:] for case in USERS],
    ids=[case[0] for case in USERS],
)
def test_the_kernels_run_as_who_called_and_never_as_root(
    uid: int, caller: str, sudo: str | None, requested: str, user: str, by: str, exists: bool, home: str
) -> None:
    facts, problems = preflight.judge(
        replace(REQUESTED, user=requested), replace(SEEN, uid=uid, caller=caller, sudo_user=sudo)
    )
    assert problems == []
    assert (facts["user"], facts["user_chosen_by"], facts["user_exists"], facts["user_home"]) == (
        user,
        by,
        exists,
        home,
    )
    assert facts["root_caller"] == (uid == 0)


# --- shape of a prefix, versions ------------------------------------------------------------------------------------

GOOD_PREFIXES = ["/opt/colab-ready", "/opt/colab", "/srv/x/y.1_2+3", "/home/student/colab", "/data"]
BAD_PREFIXES = [
    "", "opt/colab", "~/colab", "/opt//colab", "/opt/../etc", "/opt/.", "/opt/my colab", "/opt/50%", "/opt/a'b", "/opt/ü",
    "/", "/usr", "/usr/local", "/etc", "/etc/colab-ready", "/home", "/tmp", "/run/colab", "/proc/1", "/dev/shm/x",
    "/opt/a\n",
]  # fmt: skip


@pytest.mark.parametrize("prefix", GOOD_PREFIXES)
def test_a_path_of_its_own_is_a_prefix(prefix: str) -> None:
    assert preflight.prefix_shape(prefix) is None


@pytest.mark.parametrize("prefix", BAD_PREFIXES)
def test_system_directories_and_odd_paths_are_no_prefix(prefix: str) -> None:
    assert isinstance(preflight.prefix_shape(prefix), Problem)


def test_the_first_python_that_fits_is_taken(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    there = {
        "/usr/bin/python3": Python("/usr/bin/python3", "3.9.2"), "/x": None, f"{tmp_path}/broken": None,
        "/usr/bin/python3.12": Python("/usr/bin/python3.12", "3.12.3"),
    }  # fmt: skip
    found = interpreters.first_fitting(there, ">=3.10", there.__getitem__)
    rejected = ["/usr/bin/python3 is 3.9.2", "/x does not exist", f"{tmp_path}/broken does not start"]
    assert found == (there["/usr/bin/python3.12"], rejected)
    assert interpreters.first_fitting([], ">=3.10", there.__getitem__) == (None, [])


def test_a_prefix_that_others_can_change_is_refused_with_the_owner_named() -> None:
    place = replace(PLACE, path="/home/student/cr", distrust="/home/student belongs to student")
    problem = preflight.check_prefix(place, None)
    assert problem is not None and problem.id == "prefix_trust"
    assert "colab_prefix is /home/student/cr, and /home/student belongs to student" in problem.what


WSL = "6.6.87.2-microsoft-standard-WSL2"
TODAY = 1796052614


@pytest.mark.parametrize(
    ("kernel", "now", "hardware", "told"),
    [
        (WSL, TODAY, TODAY + 200, None),
        (WSL, TODAY - 51_000, TODAY, "the clock shows 2026-11-30 01:20 UTC, and Windows' 2026-11-30 15:30 UTC"),
        (WSL, TODAY + 51_000, TODAY, "and Windows' 2026-11-30 15:30 UTC"),
        (WSL, TODAY, "", None),
        (WSL, TODAY, 946684800, None),
        # A PC that shares its clock with a Windows keeps local time in it.
        ("6.12.41-amd64", TODAY, TODAY + 3600, None),
        ("6.12.41-amd64", 946684800, TODAY, "2000-01-01 00:00 UTC, which is past"),
    ],
)
def test_a_clock_that_cannot_be_right_is_seen(
    kernel: str, now: float, hardware: object, told: str | None, tmp_path: Path
) -> None:
    (tmp_path / "since_epoch").write_text(f"{hardware}\n")
    found = clock.wrong_clock(kernel, now, str(tmp_path / "since_epoch"), "/nonexistent")
    assert found is None if told is None else told in str(found)
    assert clock.wrong_clock(kernel, TODAY, str(tmp_path / "none"), "/nonexistent") is None


def test_a_clock_that_is_behind_apt_s_own_lists_is_wrong(tmp_path: Path) -> None:
    for name, date in (
        ("deb_dists_noble_InRelease", "Thu, 23 Apr 2026 12:00:00 UTC"),
        ("deb_dists_noble-updates_InRelease", "Mon, 30 Nov 2026 15:30:14 UTC"),
        ("x_dists_x_InRelease", "of tomorrow"),
        ("lock", "Sun, 30 Nov 2036 15:30:14 UTC"),
    ):
        (tmp_path / name).write_text(f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x\nDate: {date}\n")
    found = [clock.wrong_clock("6.12", now, "/none", f"{tmp_path}/*_InRelease") for now in (TODAY - 51_000, TODAY - 60)]
    assert found == ["the clock shows 2026-11-30 01:20 UTC, and apt's lists are of 2026-11-30 15:30 UTC", None]

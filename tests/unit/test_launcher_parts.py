"""The launcher's parts as functions: options, files that travel, variables, the snapshot, the lock, who may become root."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "module_utils")]

from launcher import boot, caller, lock, option_files, options, playbook, remote, root, snapshot, variables  # noqa: E402 - the path comes first
from launcher.options import Option  # noqa: E402 - as above
from launcher.words import Stop, say  # noqa: E402 - as above

TRUSTED = frozenset((0, os.geteuid()))

# --- options --------------------------------------------------------------------------------------------------------

SPELLINGS = [
    (["-e", "a=b c"], ["--extra-vars=a=b c"]),
    (["-ea=b"], ["--extra-vars=a=b"]),
    (["--extra-vars=a=b"], ["--extra-vars=a=b"]),
    (["--extra-vars", "a=b"], ["--extra-vars=a=b"]),
    (["--extra", "a=b"], ["--extra-vars=a=b"]),
    (["-vvve", "x=1", "-C"], ["--verbose", "--verbose", "--verbose", "--extra-vars=x=1", "--check"]),
    (["-i", "a", "--inventory-file=b", "--inventory", "c"], ["--inventory=a", "--inventory=b", "--inventory=c"]),
    (["--vault-pass-file", "f", "-J"], ["--vault-password-file=f", "--ask-vault-password"]),
    (["-e-x"], ["--extra-vars=-x"]),
    (["--restart", "-v"], ['--extra-vars={"colab_restart": true}', "--verbose"]),
    (["-e", ""], ["--extra-vars="]),
    ([], []),
]


@pytest.mark.parametrize(("words", "arguments"), SPELLINGS)
def test_options_are_understood_as_ansible_understands_them(words: list[str], arguments: list[str]) -> None:
    assert [option.argument() for option in options.parse(words)] == arguments


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-e", "a=b", "c=d"], "unrecognized arguments: c=d"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--list"], "ambiguous option: --list could match --list-hosts, --list-tasks, --list-tags"),
        (["-Z"], "unrecognized arguments: -Z"),
        (["-e"], "--extra-vars/-e: expected one argument"),
        (["-e", "-x"], "--extra-vars/-e: expected one argument"),
        (["--", "a=b"], "unrecognized arguments: -- a=b"),
    ],
)
def test_what_is_no_option_is_one_message(words: list[str], message: str) -> None:
    with pytest.raises(Stop, match=message) as caught:
        options.parse(words)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("words", "variables_"),
    [
        (["-K"], {}),
        (["--become-pass-file=x"], {}),
        (["--become-method", "su"], {}),
        (["--become-user=x"], {}),
        ([], {"ANSIBLE_BECOME_PASS": "x"}),
    ],
)
def test_how_ansible_would_become_root_is_refused_in_one_message(words: list[str], variables_: dict[str, str]) -> None:
    with pytest.raises(Stop, match="has no meaning here.*sudo ./colab-ready, or NOPASSWD") as caught:
        options.refuse_becoming(options.parse(words), variables_)
    assert caught.value.status == 2
    options.refuse_becoming(options.parse(["-b", "-v"]), {"ANSIBLE_VAULT_PASSWORD_FILE": "x"})


# --- named files ----------------------------------------------------------------------------------------------------


def shipped(words: list[str], environ: dict[str, str] | None = None) -> tuple[list[str], dict[str, bytes]]:
    option_files.read_named.cache_clear()
    found = option_files.ship(options.parse(words), environ or {}, TRUSTED)
    return found.arguments, dict(found.files)


@pytest.mark.parametrize(
    "spelling", [["-e", "@my.yml"], ["-e@my.yml"], ["--extra-vars=@my.yml"], ["-ve", "@./my.yml"], ["-e", "@~/my.yml"]]
)
def test_a_file_of_variables_travels_and_is_named_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: list[str]
) -> None:
    (tmp_path / "my.yml").write_text("a: b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments, files = shipped(spelling)
    assert arguments[-1] == "--extra-vars=@named/0/my.yml"
    assert files == {"named/0/my.yml": b"a: b\n"}


def test_a_file_of_hosts_travels(tmp_path: Path) -> None:
    (tmp_path / "hosts.retry").write_text("here\n")
    arguments, files = shipped(["--limit", f"@{tmp_path}/hosts.retry"])
    assert arguments == ["--limit=@named/0/hosts.retry"] and files == {"named/0/hosts.retry": b"here\n"}


def test_a_password_travels_and_a_program_for_it_runs_as_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("one\n")
    (tmp_path / "script").write_text("#!/bin/sh\necho two\n")
    (tmp_path / "my-client.sh").write_text('#!/bin/sh\necho "$@"\n')
    for name in ("script", "my-client.sh"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    arguments, files = shipped(
        ["--vault-password-file=file", "--vault-id", "a@script", "--vault-id=b@my-client.sh", "--vault-id", "c@prompt"],
        {"ANSIBLE_VAULT_PASSWORD_FILE": "script", "ANSIBLE_VAULT_IDENTITY_LIST": "d@file"},
    )
    assert list(files.values()) == [b"one\n", b"two\n", b"--vault-id b\n", b"one\n", b"two\n"]
    assert arguments == [
        "--vault-password-file=named/0/file",
        "--vault-id=a@named/1/password",
        "--vault-id=b@named/2/password",
        "--vault-id=c@prompt",
        "--vault-id=d@named/3/file",
        "--vault-password-file=named/4/password",
    ]


def test_a_pipe_travels_as_what_it_brings(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"a: b\n")
    os.close(write)
    arguments, files = shipped(["-e", f"@/dev/fd/{read}"])
    os.close(read)
    assert list(files.values()) == [b"a: b\n"] and arguments == [f"--extra-vars=@named/0/{read}"]


@pytest.mark.parametrize(
    "words", [["-e", "@gone.yml"], ["--vault-password-file=gone.yml"], ["--vault-id", "x@gone.yml"]]
)
def test_a_file_that_is_not_there_is_named(words: list[str]) -> None:
    with pytest.raises(Stop, match=r"gone\.yml cannot be read: No such file or directory"):
        shipped(words)


def test_a_file_that_somebody_else_can_change_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.yml"
    path.write_text("a: b\n")
    path.chmod(0o666)
    with pytest.raises(Stop, match=r"my\.yml .* can be changed by everybody.*root would go by it"):
        shipped(["-e", f"@{path}"])
    with pytest.raises(Stop, match="can be changed by everybody"):
        option_files.check_inventories([Option("--inventory", str(path))], TRUSTED)


def test_modules_of_the_callers_are_refused() -> None:
    with pytest.raises(Stop, match="--module-path is not for a run as root"):
        shipped(["-M", "/home/me/modules"])


# --- which hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "asks"),
    [
        ([], False),
        (["-c", "local"], False),
        (["-c", "ssh"], True),
        (["-i", "x"], True),
        (["-e", "colab_port=1"], False),
        (["-e", "ansible_connection=ssh"], True),
        (["-e", '{"ansible_host": "far"}'], True),
        (["-e", "@FILE"], True),
        (["-e", "ansible_hosts_are_nice=1"], False),
    ],
)
def test_ansible_is_asked_for_the_hosts_where_the_options_may_change_them(
    tmp_path: Path, words: list[str], asks: bool
) -> None:
    (tmp_path / "vars.yml").write_text("ansible_connection: ssh\n")
    parsed = options.parse([word.replace("FILE", str(tmp_path / "vars.yml")) for word in words])
    assert option_files.asks_inventory(parsed, TRUSTED) is asks


def listed(**connections: str | None) -> dict[str, Any]:
    hostvars = {host: {"ansible_connection": one} if one else {} for host, one in connections.items()}
    return {
        "_meta": {"hostvars": hostvars},
        "all": {"children": ["ungrouped", "colab_hosts"]},
        "colab_hosts": {"hosts": [*connections][:1], "children": ["room"]},
        "room": {"hosts": [*connections][1:], "children": ["colab_hosts"]},
        "others": {"hosts": ["elsewhere"]},
    }


@pytest.mark.parametrize(
    ("connections", "words", "local"),
    [
        ({"a": "local"}, [], True),
        ({"a": "local", "b": "local"}, [], True),
        ({"a": "local", "b": "ssh"}, [], False),
        ({"a": "local", "b": None}, [], False),
        ({"a": None}, ["-c", "local"], True),
        ({"a": "ssh"}, ["-c", "local"], False),
    ],
)
def test_a_run_is_local_when_every_host_of_it_is(
    connections: dict[str, str | None], words: list[str], local: bool
) -> None:
    assert remote.is_local(listed(**connections), options.parse(words)) is local


def test_an_inventory_travels_as_what_ansible_made_of_it() -> None:
    assert remote.as_file(listed(a="local", b=None)) == {
        "all": {
            "hosts": {"a": {"ansible_connection": "local"}, "b": {}},
            "children": {
                "colab_hosts": {"hosts": {"a": {}}, "children": {"room": {}}},
                "room": {"hosts": {"b": {}}, "children": {"colab_hosts": {}}},
                "others": {"hosts": {"elsewhere": {}}, "children": {}},
            },
        }
    }


# --- variables ------------------------------------------------------------------------------------------------------

PASSED = (
    "PIP_INDEX_URL PIP_FIND_LINKS PIP_DEFAULT_TIMEOUT UV_DEFAULT_INDEX UV_INDEX_SCHOOL_PASSWORD https_proxy NO_PROXY "
    "SSL_CERT_FILE LANG LC_MESSAGES TZ TERM NO_COLOR WSL_INTEROP ANSIBLE_NOCOLOR"
).split()
STOPPED = (
    "PATH HOME PYTHONPATH LD_PRELOAD LD_LIBRARY_PATH ANSIBLE_LIBRARY ANSIBLE_CONFIG ANSIBLE_LOG_PATH ANSIBLE_BECOME_PASS "
    "PIP_TARGET PIP_PREFIX UV_PYTHON UV_CONFIG_FILE UV_PROJECT XDG_CONFIG_HOME SUDO_USER BASH_ENV IFS GCONV_PATH TMPDIR "
    "SECRET_PIP_INDEX_URL"
).split()


def test_root_gets_the_variables_on_the_list_and_no_other() -> None:
    environ = {name: f"value of {name}" for name in (*PASSED, *STOPPED)}
    assert variables.allowed(environ).keys() - {"LC_ALL"} == set(PASSED)
    # Root's half asks again: what comes through the pipe is the caller's word.
    made = variables.for_root(environ, {"SUDO_USER": "me"})
    assert made.keys() == {*PASSED, "PATH", "HOME", "USER", "LOGNAME", "SUDO_USER"}
    assert (made["PATH"], made["HOME"], made["SUDO_USER"]) == (variables.ROOT_PATH, "/root", "me")


def test_the_callers_own_process_keeps_all_but_what_is_for_others() -> None:
    environ = dict.fromkeys(
        ("PATH", "SSH_AUTH_SOCK", "ANSIBLE_BECOME_PASS", "ANSIBLE_LIBRARY", "PYTHONPATH", "PIP_TARGET"), "x"
    )
    assert variables.own(environ).keys() - {"LC_ALL"} == {"PATH", "SSH_AUTH_SOCK", "ANSIBLE_BECOME_PASS"}


@pytest.mark.parametrize(
    ("told", "environ", "found"),
    [
        (0, {}, {}),
        (
            65534,
            {"SUDO_UID": "65534", "SUDO_USER": "a lie"},
            {"SUDO_USER": "nobody", "SUDO_UID": "65534", "SUDO_GID": "65534"},
        ),
        (65534, {"DOAS_USER": "nobody"}, {"SUDO_USER": "nobody", "SUDO_UID": "65534", "SUDO_GID": "65534"}),
        (0, {"SUDO_UID": "65534"}, {"SUDO_USER": "nobody", "SUDO_UID": "65534", "SUDO_GID": "65534"}),
        (0, {"SUDO_UID": "0"}, {}),
        (65534, {"SUDO_UID": "1"}, None),
        (65534, {}, None),
    ],
)
def test_who_called_is_what_sudo_says(told: int, environ: dict[str, str], found: dict[str, str] | None) -> None:
    if found is not None:
        assert root.caller_of({"uid": told}, environ) == found
        return
    with pytest.raises(Stop, match="this run says that nobody called it, and sudo says"):
        root.caller_of({"uid": told}, environ)


# --- the snapshot ---------------------------------------------------------------------------------------------------


def test_the_snapshot_holds_the_product_and_nothing_compiled(tmp_path: Path) -> None:
    for path in (
        "library/a.py",
        "library/__pycache__/a.pyc",
        "roles/r/files/x.pyc",
        "tests/t.py",
        ".git/config",
        "colab-ready",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "mine.yml").symlink_to(tmp_path / "tests" / "t.py")
    os.mkfifo(tmp_path / "inventory" / "pipe")
    for name in set(snapshot.PRODUCT) - {"library", "roles", "colab-ready", "inventory"}:
        (tmp_path / name).write_text("")
    files = {name: data for name, data in snapshot.collect(tmp_path) if data}
    assert files == {
        "library/a.py": b"library/a.py",
        "colab-ready": b"colab-ready",
        "inventory/mine.yml": b"tests/t.py",
    }


def test_the_real_snapshot_is_all_that_a_run_needs() -> None:
    names = {name for name, _data in snapshot.collect(PROJECT)}
    for name in (
        "ansible.cfg",
        "playbooks/site.yml",
        "launcher/root.py",
        "module_utils/colab_ready/python/pip_config.py",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests", ".", "docs"))]


@pytest.fixture
def without_root_half(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """boot.run up to where it hands over: what it hands over."""
    handed: list[Any] = []

    def main(*arguments: Any) -> int:
        handed.append(arguments)
        return 7

    monkeypatch.setattr(root, "main", main)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(os, "umask", lambda mask: None)
    return handed


class Stream(io.BytesIO):
    def fileno(self) -> int:
        return 0


Files = list[tuple[str, bytes]]


def unpacked(tmp_path: Path, files: Files, named: Files | None = None, cut: int | None = None) -> int:
    load = Stream(snapshot.pack(b"", {"command": "verify"}, files, named or [])[:cut])
    assert load.read(boot.length(load)) == b""
    return boot.run(load, str(tmp_path / "cache"))


def found_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_packed_is_unpacked_into_folders_of_roots(tmp_path: Path, without_root_half: list[Any]) -> None:
    product = [("a", b"1"), ("b/c/d", b"\0" * 100000), ("b/e", b"")]
    assert unpacked(tmp_path, product, [("named/0/x", b"2")]) == 7
    header, name, _talk = without_root_half[0]
    folder = Path(name)
    assert header["command"] == "verify"
    assert found_below(folder / "tree") == dict(product)
    assert (folder / "named/0/x").read_bytes() == b"2"
    assert folder.name.startswith("run.")
    other = os.open(folder, os.O_RDONLY)
    with pytest.raises(BlockingIOError):  # who cleans up sees that it is held
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_the_same_product_is_written_once_and_another_one_beside_it(
    tmp_path: Path, without_root_half: list[Any]
) -> None:
    for product in ([("a", b"1")], [("a", b"1")], [("a", b"2")], [("b", b"1")]):
        unpacked(tmp_path, product)
    first, second, *others = [(Path(folder) / "tree").resolve() for _header, folder, _talk in without_root_half]
    assert first == second and found_below(first) == {"a": b"1"}
    assert [found_below(other) for other in others] == [{"a": b"2"}, {"b": b"1"}]
    assert not list((tmp_path / "cache").glob("run.*/new"))


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a/\0b", "a/"])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_name_that_leads_out_of_it_is_refused(
    tmp_path: Path, without_root_half: list[Any], name: str, is_named: bool
) -> None:
    files: tuple[Files, Files] = ([], [(name, b"x")]) if is_named else ([(name, b"x")], [])
    with pytest.raises(SystemExit, match="is no name for a file of the snapshot"):
        unpacked(tmp_path, *files)
    assert not without_root_half and not (tmp_path / "x").exists()


def test_a_name_twice_is_not_written_twice(tmp_path: Path, without_root_half: list[Any]) -> None:
    with pytest.raises(FileExistsError):
        unpacked(tmp_path, [("a", b"x"), ("a", b"y")])


def test_a_snapshot_that_broke_off_is_not_run(tmp_path: Path, without_root_half: list[Any]) -> None:
    with pytest.raises(SystemExit, match="the snapshot broke off"):
        unpacked(tmp_path, [("a", b"x" * 1000)], cut=-1)
    assert not without_root_half


@pytest.mark.parametrize("text", [b"", b"x\n", b"-1\n", b"99999999999\n", b"1" * 100])
def test_what_is_no_length_is_no_snapshot(text: bytes) -> None:
    with pytest.raises(SystemExit, match="is no snapshot"):
        boot.length(io.BytesIO(text))


def test_a_cache_that_is_not_roots_is_refused(tmp_path: Path, without_root_half: list[Any]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="is no folder of root's"):
        unpacked(tmp_path, [("a", b"x")])
    if os.geteuid() == 0:
        (tmp_path / "cache").unlink()
        (tmp_path / "cache").mkdir()
        os.chown(tmp_path / "cache", 65534, 65534)
        with pytest.raises(SystemExit, match="is no folder of root's"):
            unpacked(tmp_path, [("a", b"x")])


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_cache_in_which_others_may_have_put_something_is_refused(
    tmp_path: Path, without_root_half: list[Any], mode: int
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(mode)
    with pytest.raises(SystemExit, match="or others may write there"):
        unpacked(tmp_path, [("a", b"x")])


def test_an_open_cache_is_closed(tmp_path: Path, without_root_half: list[Any]) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    unpacked(tmp_path, [("a", b"x")])
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_what_comes_first_through_the_pipe_needs_nothing_of_the_rest() -> None:
    assert "import launcher" not in (PROJECT / "launcher" / "boot.py").read_text()
    assert len(caller.FIRST) < 200 and "\n" not in caller.FIRST  # it stands in sudo's log


# --- the lock -------------------------------------------------------------------------------------------------------


def test_who_waits_is_told_for_whom_at_once_and_every_ten_seconds_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "lock")
    now = [1000.0]
    monkeypatch.setattr(lock.time, "monotonic", lambda: now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds

    with (
        lock.hold(path, "./colab-ready verify, process 7, of student, since 20:00:00", pause),
        pytest.raises(Stop, match=r"process 7, of student.* has worked on this computer for more than 1 minutes"),
        lock.hold(path, "the second", pause, wait=60),
    ):
        raise AssertionError("two hold it")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "colab-ready: another colab-ready works on this computer: ./colab-ready verify, process 7, of student, since 20:00:00; "
        "waiting for it to end"
    )
    assert [line[-6:] for line in lines[1:]] == ["(10 s)", "(20 s)", "(30 s)", "(40 s)", "(50 s)"]


def test_the_lock_names_its_holder_is_roots_alone_and_is_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("an old holder with a much longer name than the one that comes now")
    path.chmod(0o600)
    with lock.hold(str(path), "me"):
        assert path.read_text() == "me" and path.stat().st_mode & 0o777 == 0o600
        mine = [one for one in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{one}") == str(path)]
        assert mine and not any(os.get_inheritable(int(one)) for one in mine)


def test_a_lock_that_was_taken_away_meanwhile_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def removed(_seconds: float) -> None:
        first.__exit__(None, None, None)
        path.unlink(missing_ok=True)

    first = lock.hold(str(path), "first")
    first.__enter__()
    with lock.hold(str(path), "second", removed):
        assert path.read_text() == "second"


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("content")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(Stop, match="cannot be opened"), lock.hold(str(tmp_path / "lock"), "me"):
        pass
    assert (tmp_path / "precious").read_text() == "content"


# --- becoming root --------------------------------------------------------------------------------------------------


def program(path: Path, mode: int = 0o755) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="the programs have to be root's")
@pytest.mark.parametrize(
    ("there", "foreign", "chosen"),
    [
        (["sudo", "sudo.ws", "doas"], [], "sudo"),
        (["sudo.ws", "doas"], [], "sudo.ws"),
        (["doas"], [], "doas"),
        (["sudo", "doas"], ["sudo"], "doas"),
        (["sudo"], ["sudo"], None),
        ([], [], None),
    ],
)
def test_the_systems_own_sudo_is_chosen_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], foreign: list[str], chosen: str | None
) -> None:
    for name in there:
        program(tmp_path / name)
        if name in foreign:
            os.chown(tmp_path / name, 65534, 65534)
    monkeypatch.setattr(caller, "FOLDERS", (str(tmp_path),))
    assert caller.find_become() == (chosen and str(tmp_path / chosen))


@pytest.mark.skipif(os.geteuid() != 0, reason="root's Python has to be root's")
def test_root_runs_no_python_that_somebody_else_can_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "mine")
    program(tmp_path / "roots")
    os.chown(tmp_path / "mine", 65534, 65534)
    monkeypatch.setattr(caller, "PYTHON", str(tmp_path / "roots"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "roots"))
    assert caller.roots_python() == str(tmp_path / "roots")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "mine"))
    assert caller.roots_python() == str(tmp_path / "roots")
    (tmp_path / "roots").unlink()
    with pytest.raises(Stop, match="root may not run this Python: .*mine belongs to nobody"):
        caller.roots_python()


@pytest.mark.parametrize(
    ("terminal", "program_", "expected"),
    [
        (True, "/usr/bin/sudo", ["/usr/bin/sudo", "--"]),
        (False, "/usr/bin/sudo", ["/usr/bin/sudo", "-n", "--"]),
        (True, "/usr/bin/doas", ["/usr/bin/doas"]),
        (False, "/usr/bin/doas", ["/usr/bin/doas", "-n"]),
    ],
)
def test_where_nobody_can_type_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, program_: str, expected: list[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(caller, "no_new_privileges", lambda: False)
    monkeypatch.setattr(caller, "has_terminal", lambda: terminal)
    monkeypatch.setattr(caller, "find_become", lambda: program_)
    assert caller.become() == expected


@pytest.mark.parametrize(
    ("environ", "uid"),
    [
        ({}, 0),
        ({"SUDO_UID": "65534"}, 65534),
        ({"DOAS_USER": "nobody"}, 65534),
        ({"USER": "nobody"}, 65534),
        ({"USER": "?"}, 0),
    ],
)
def test_behind_root_is_who_became_root(environ: dict[str, str], uid: int) -> None:
    assert caller.uid_behind_root(environ) == uid


def test_pips_files_are_read_as_the_caller_and_a_pipe_holds_nothing_up(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "pip"
    folder.mkdir(parents=True)
    (folder / "pip.conf").write_text("[global]\nindex-url = http://mirror.invalid/simple\n")
    (tmp_path / ".pip").mkdir()
    os.mkfifo(tmp_path / ".pip" / "pip.conf")
    found = dict(caller.pip_files({"XDG_CONFIG_DIRS": str(tmp_path / "none")}, str(tmp_path)))
    assert "mirror.invalid" in str(found[str(folder / "pip.conf")])
    assert found[str(tmp_path / ".pip" / "pip.conf")] is None
    assert json.dumps(found)


def test_nothing_that_is_said_can_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b]0;owned\x07b\r\u202e ü")
    assert capsys.readouterr().err == "colab-ready: a ]0;owned b   ü\n"


# --- Ctrl-C and Ansible's start -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "out"),
    [
        ("print('here', flush=True); time.sleep(30)", -signal.SIGINT, "here\n"),
        (
            "def main():\n    try:\n        print('here', flush=True); time.sleep(30)\n"
            "    except KeyboardInterrupt:\n        print('in peace')\n        return 99",
            99,
            "here\nin peace\n",
        ),
    ],
    ids=["while it is imported", "while it runs"],
)
def test_ctrl_c_ends_ansible_without_a_traceback(tmp_path: Path, body: str, status: int, out: str) -> None:
    (tmp_path / "lib" / "ansible" / "cli").mkdir(parents=True)
    for folder in ("ansible", "ansible/cli"):
        (tmp_path / "lib" / folder / "__init__.py").touch()
    (tmp_path / "lib" / "ansible" / "cli" / "slow.py").write_text(f"import time\n{body}\n")
    (tmp_path / "signal.py").write_text("raise SystemExit('the current directory was imported from')")
    command = [sys.executable, "-c", playbook.START, str(tmp_path / "bin" / "ansible-slow")]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, stdout=-1, stderr=-1) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        assert (process.wait(20), "here\n" + process.stdout.read(), process.stderr.read()) == (status, out, "")

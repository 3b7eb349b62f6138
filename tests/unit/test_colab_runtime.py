"""The thinking of colab-runtime: what it believes, what it refuses, whom it names, what Jupyter gets to see."""

from __future__ import annotations

import errno
import grp
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from ansible.module_utils.colab_ready.backends.rocm.host_plan import setting_files
from colab_ready.system.ports import SOCKET, UNIT, Listener, listeners_on, process
from colab_ready.system.processes import alive, descendants, started_ticks
from colab_runtime.activity import at_stake, is_in_use, serves, what_would_end
from colab_runtime.commands import command_start
from colab_runtime.core import EXIT_LATER, EXIT_SETTINGS, SAFE_PATH, Problem
from colab_runtime.ports import describe_holder, handed_sockets, listen, program_name, stranger
from colab_runtime.rotation import renew_token
from colab_runtime.served import as_served, has_old_kernels, kernels_of, lacks_groups, note_start, read_note, what_waits
from colab_runtime.server import require_sockets, server_command, server_environment
from colab_runtime.settings import Settings, background_environment, load_settings, login_shell, parse_settings
from colab_runtime.supervisor import (
    SLOW_START_SECONDS,
    WATCHDOG_SECONDS,
    RotatingLog,
    RunDir,
    backoff_seconds,
    describe_exit,
)
from colab_runtime.systemd import BOOT_LINK, refusal, systemctl, tell_boot
from colab_runtime.token import TOKEN_RANDOM_BYTES, read_token, token_file_problem, token_problem, write_token
from colab_runtime.trust import (
    closed_data,
    driver_environment,
    environment_files,
    parse_environment,
    require_config,
    require_own_places,
    secret_setting,
)

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "roles" / "colab_runtime" / "files" / "colab_runtime"
TEMPLATES = PROJECT / "roles" / "colab_runtime" / "templates"


ME = pwd.getpwuid(os.getuid())
GOOD: dict[str, Any] = {
    "schema": 1,
    "user": ME.pw_name,
    "prefix": "/opt/colab-ready",
    "port": 8888,
    "service_manager": "systemd",
    "root_dir": "/home/student",
    "token_file": "/etc/colab-ready/token",
    "config_dir": "/etc/colab-ready/jupyter",
    "kernel": "cpu",
    "http_over_ws": True,
}
TOKEN = "0123456789abcdef" * 3


def settings(**changes: Any) -> Any:
    return parse_settings(json.dumps({**GOOD, **changes}), "/etc/colab-ready/runtime.json")


# --- settings


def test_settings_of_the_role_are_read_and_more_keys_do_no_harm() -> None:
    read = settings(something_of_tomorrow=1)
    assert (read.user, read.port, read.systemd) == (ME.pw_name, 8888, True)
    assert read.log_file == "/var/log/colab-ready/server.log"
    assert read.run_dir == "/run/colab-ready"
    assert read.environment_dir == "/etc/colab-ready/environment.d"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "schema is 2"),
        ({"user": ""}, "user must be a name"),
        ({"port": 0}, "port is 0"),
        ({"port": 65536}, "port is 65536"),
        ({"port": "8888"}, "port is '8888'"),
        ({"port": True}, "port is True"),
        ({"service_manager": "upstart"}, "service_manager is 'upstart'"),
        ({"prefix": "opt/colab-ready"}, "prefix must be an absolute path"),
        ({"token_file": None}, "token_file must be an absolute path"),
        ({"run_dir": "run"}, "run_dir must be an absolute path"),
        ({"environment_dir": 7}, "environment_dir must be an absolute path"),
        ({"http_over_ws": "yes"}, "http_over_ws must be true or false"),
        ({"kernel": 7}, "kernel must be a name"),
    ],
)
def test_wrong_settings_are_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem) as caught:
        settings(**changes)
    assert said in str(caught.value)
    assert caught.value.code == EXIT_SETTINGS


def test_all_wrong_settings_are_in_one_message() -> None:
    with pytest.raises(Problem) as caught:
        settings(port=0, user="")
    assert "port is 0" in str(caught.value) and "user must be" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"'])
def test_settings_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(Problem, match=r"Run \./colab-ready"):
        parse_settings(text, "/x/runtime.json")


@pytest.mark.parametrize(
    ("mode", "folder", "said"),
    [
        (0o644, 0o755, None),
        (0o600, 0o755, None),
        (0o646, 0o755, "can be changed by everybody: its mode is 0646"),
        (0o644, 0o777, "can be changed by everybody: its mode is 0777"),
        (0o644, 0o1777, "can be changed by everybody: its mode is 1777"),
    ],
)
def test_settings_are_believed_only_where_nobody_else_can_write(
    tmp_path: Path, mode: int, folder: int, said: str | None
) -> None:
    path = tmp_path / "etc" / "runtime.json"
    path.parent.mkdir()
    path.write_text(json.dumps(GOOD))
    path.chmod(mode)
    path.parent.chmod(folder)
    if said is None:
        assert load_settings(str(path)).port == 8888
        return
    with pytest.raises(Problem, match=said) as caught:
        load_settings(str(path))
    assert caught.value.code == EXIT_SETTINGS


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_root_believes_roots_settings_alone_and_waits_for_no_pipe(tmp_path: Path) -> None:
    path = tmp_path / "runtime.json"
    path.write_text(json.dumps(GOOD))
    os.chown(path, 65534, 65534)
    with pytest.raises(Problem, match="belongs to nobody; expected a file of root"):
        load_settings(str(path))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Problem, match="cannot be read: not a regular file"):
        load_settings(str(path))


# --- token


@pytest.mark.parametrize(
    ("mode", "owner", "said"),
    [
        (stat.S_IFREG | 0o600, 1000, None),
        (stat.S_IFREG | 0o400, 1000, None),
        (stat.S_IFREG | 0o640, 1000, "mode 0640"),
        (stat.S_IFREG | 0o604, 1000, "mode 0604"),
        (stat.S_IFREG | 0o620, 1000, "mode 0620"),
        (stat.S_IFREG | 0o600, 0, "belongs to"),
        (stat.S_IFREG | 0o600, 1001, "belongs to"),
    ],
)
def test_a_token_file_is_of_its_user_alone(mode: int, owner: int, said: str | None) -> None:
    answer = token_file_problem(mode, owner, 1000)
    assert answer is None if said is None else said in (answer or "")


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (TOKEN, None),
        ("A-b_c.d~" * 4, None),
        ("", "is empty"),
        (" \n", "is empty"),
        (TOKEN + "\n", "newline"),
        (TOKEN[:31], "too short: 31"),
        (TOKEN + "&x", "cannot carry"),
        (TOKEN + "\ufffd", "cannot carry"),
    ],
)
def test_a_token_is_long_and_fits_into_an_address(token: str, said: str | None) -> None:
    answer = token_problem(token)
    assert answer is None if said is None else said in (answer or "")


@pytest.mark.parametrize(("content", "mode"), [(TOKEN + "\n", 0o600), (TOKEN[:20], 0o600), (TOKEN, 0o644)])
def test_a_refused_token_is_not_in_the_message(tmp_path: Path, content: str, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="ascii")
    path.chmod(mode)
    with pytest.raises(Problem) as caught:
        read_token(str(path), os.getuid())
    assert TOKEN[:20] not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_good_token_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN, encoding="ascii")
    path.chmod(0o600)
    assert read_token(str(path), os.getuid()) == TOKEN


def test_a_token_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(TOKEN, encoding="ascii")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "token").symlink_to("real")
    with pytest.raises(Problem, match="symbolic link"):
        read_token(str(tmp_path / "token"), os.getuid())


# --- what a backend's driver wants in the environment


@pytest.mark.parametrize(
    ("text", "found", "wrong"),
    [
        ("", {}, []),
        ("# a word\n; another\n\n  \t\nA=1\nB_2=/opt/rocm/lib:x,+-.\n", {"A": "1", "B_2": "/opt/rocm/lib:x,+-."}, []),
        ("A=1", {"A": "1"}, []),  # no newline at the end
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, []),
        ("  A = 1 \t\nB\t=\t2\n", {"A": "1", "B": "2"}, []),
        ("\tA=  1 2  \n", {"A": "1 2"}, []),
        ("A=\n", {"A": ""}, []),
        ("A=1\nA=2\n", {"A": "2"}, []),
        ("A=b=c # d\n", {"A": "b=c # d"}, []),
        ("A=$(touch x) `touch x` ${B} ; touch x & | %n\n", {"A": "$(touch x) `touch x` ${B} ; touch x & | %n"}, []),
        ("export A=1\nB=2\n", {"B": "2"}, [1]),
        ("A\n=1\n1A=1\nA-B=1\nB=2\n", {"B": "2"}, [1, 2, 3, 4]),
        ("A='1'\nB=\"1\"\nC=1\\\nD=2\n", {"D": "2"}, [1, 2, 3]),
        ("A=1\x00\nB=\x1b[31m\nC=\u00e4\nD=\ufffd\nE=x\x0bF=2\n", {}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_line_of_the_environment_means_itself_or_is_not_taken(
    text: str, found: dict[str, str], wrong: list[int]
) -> None:
    assert parse_environment(text) == (found, wrong)


def test_all_that_the_role_rocm_writes_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {
        "HSA_ENABLE_DXG_DETECTION": "1",
        "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
        "FOLDERS": "/opt/rocm/lib:/a,b+c-d",
        "NONE": "",
    }
    written = setting_files({"line": "7.2.4", "environment": wanted, "loader": []})
    path = f"{settings().environment_dir}/rocm.conf"
    assert parse_environment(written[path]) == (wanted, [])


@pytest.fixture
def environment_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "environment.d"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    for name, text in {
        "b.conf": "A=b\nB=b\nC='c'\n",
        "a.conf": "A=a\nZ=z\n",
        "c.txt": "C=c\n",
        ".d.conf": "D=d\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)
    return folder


def test_the_files_of_the_environment_are_read_in_the_order_of_systemd(
    environment_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (environment_folder / "e.conf").symlink_to("missing")
    (environment_folder / "f.conf").mkdir()
    os.mkfifo(environment_folder / "g.conf")
    read = driver_environment(str(environment_folder), os.getuid())
    assert read == {"A": "b", "B": "b", "Z": "z"}
    said = capsys.readouterr().out
    assert said.startswith(f"Not read, line 3 of {environment_folder}/b.conf: ") and said.count("\n") == 1
    assert "'c'" not in said  # it may be a password
    assert driver_environment(str(environment_folder / "missing"), os.getuid()) == {}


@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [
        ("a.conf", 0o666, f"a.conf (of {ME.pw_name}) can be changed by everybody: its mode is 0666"),
        (".", 0o777, f"environment.d (of {ME.pw_name}) can be changed by everybody: its mode is 0777"),
        (".", 0o1777, f"environment.d (of {ME.pw_name}) can be changed by everybody: its mode is 1777"),
        ("c.txt", 0o666, None),  # nobody reads it
    ],
)
def test_an_environment_that_others_can_write_is_refused(
    environment_folder: Path, path: str, mode: int, said: str | None
) -> None:
    (environment_folder / path).chmod(mode)
    if said is None:
        environment_files(str(environment_folder), os.getuid())
        return
    with pytest.raises(Problem) as caught:
        environment_files(str(environment_folder), os.getuid())
    assert caught.value.code == EXIT_SETTINGS
    assert said in str(caught.value) and f"chmod -R go-w {environment_folder}" in str(caught.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_strangers_environment_is_refused(environment_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(environment_folder / "a.conf", nobody.pw_uid, nobody.pw_gid)
    with pytest.raises(Problem, match=r"a\.conf belongs to nobody"):
        environment_files(str(environment_folder), os.getuid())


def test_the_unit_reads_the_environment_where_the_program_does_and_can_do_without() -> None:
    assert unit()["EnvironmentFile"] == [f"-{settings().environment_dir}/*.conf"]


# --- who holds the port

# Recorded from /proc/net/tcp and tcp6 on x86_64: 8888 on loopback by uid 1000, on another address by uid 5, an
# established connection, 22 on all addresses.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 41 1 0000000000000000 100 0 0 10 0
   1: 0300A8C0:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     5        0 42 1 0000000000000000 100 0 0 10 0
   2: 0100007F:22B8 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 43 1 0000000000000000 100 0 0 10 0
   3: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 44 1 0000000000000000 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:22B8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 51 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 52 1 0000000000000000 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     7        0 53 1 0000000000000000 100 0 0 10 0
"""


def fake_process(proc: Path, pid: int, words: list[str], inodes: list[int]) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
    (proc / str(pid) / "comm").write_text(Path(words[0]).name + "\n", encoding="utf-8")
    for number, inode in enumerate(inodes):
        (proc / str(pid) / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


@pytest.mark.skipif(sys.byteorder != "little", reason="the recorded tables are from a little-endian machine")
def test_the_holder_is_named_with_pid_program_and_user(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP.replace(" 1000 ", f" {os.getuid()} "), encoding="ascii")
    fake_process(tmp_path, 300, ["/usr/sbin/sshd"], [44])
    fake_process(tmp_path, 4711, ["/usr/bin/python3", "-m", "http.server", "8888"], [7, 41])
    holder = describe_holder(8888, str(tmp_path))
    assert holder.startswith("pid 4711 (python3 -m http.server, user ")
    assert ME.pw_name in holder


@pytest.mark.skipif(sys.byteorder != "little", reason="the recorded tables are from a little-endian machine")
def test_a_holder_that_may_not_be_looked_at_is_named_by_its_user(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp6").write_text(TCP6.replace(" 1001 ", f" {os.getuid()} "), encoding="ascii")
    holder = describe_holder(8888, str(tmp_path))
    assert ME.pw_name in holder and "sudo ss -ltnp" in holder


def name_in(proc: Path, pid: int) -> str:
    found = process(pid, str(proc))
    assert found is not None
    return program_name(found)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/sbin/nginx", "-g", "secret"], "nginx"),
        (["/usr/bin/python3.11", "/home/u/.local/bin/jupyter-notebook", "--port=1"], "python3.11 jupyter-notebook"),
        (["python3", "-I", "-m", "jupyter_server", "--token=secret"], "python3 -m jupyter_server"),
        (["python3", "-c", "import secret"], "python3 -c"),
        (["python3"], "python3"),
    ],
)
def test_a_program_is_named_without_its_arguments(tmp_path: Path, words: list[str], name: str) -> None:
    fake_process(tmp_path, 5, words, [])
    assert name_in(tmp_path, 5) == name


def test_no_name_of_a_program_writes_to_a_terminal(tmp_path: Path) -> None:
    fake_process(tmp_path, 7, ["\x1b[2J"], [])
    (tmp_path / "7" / "comm").write_text("\x1b]0;X\x07\n")
    assert name_in(tmp_path, 7) == "]0;X"
    fake_process(tmp_path, 8, ["python3", "\x1b[2J\u202e"], [])
    assert name_in(tmp_path, 8) == "python3 [2J"


# --- who holds the port


def test_the_port_is_taken_on_every_address_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "account", ME)
    with socket.socket() as chooser:
        chooser.bind(("127.0.0.1", 0))
        ours = settings(port=chooser.getsockname()[1])
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as other:
            try:
                other.bind((address, ours.port))
            except OSError:
                continue  # no IPv6 here
            other.listen()
            with pytest.raises(Problem, match=rf"is taken by pid {os.getpid()} \(.* choose another port: ") as caught:
                listen(ours)
            assert caught.value.code == EXIT_LATER
            assert describe_holder(ours.port).startswith(f"pid {os.getpid()} (")
    first = listen(ours)
    assert [one.uid for one in listeners_on(ours.port) or []] == [os.getuid()] * len(first)
    with pytest.raises(Problem, match="is taken by"):
        listen(ours)
    second = listen(ours, beside_own=True)
    for one in first:
        one.close()
    with socket.create_connection(("127.0.0.1", ours.port), 5) as client:
        assert second[0].accept()[1] == client.getsockname()
    for one in second:
        one.close()
    assert not listeners_on(ours.port)


def test_a_port_that_the_user_may_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "account", ME)

    class Refusing(socket.socket):
        def bind(self, address: Any) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(
        Problem, match=r"cannot listen on port 80 of 127.0.0.1: Permission denied. Do: .*colab_port=8888"
    ):
        listen(settings(port=80))


def test_systemds_sockets_are_taken_where_they_are_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert handed_sockets() == []
    monkeypatch.setenv("LISTEN_FDS", "2")
    assert handed_sockets() == []
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    assert handed_sockets() == []
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    assert handed_sockets() == [3, 4]


def test_under_systemd_the_server_does_not_take_the_port_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for taken, said in ((None, rf"{SOCKET} does not hold port 8888\. Do: sudo"), ("bob", "Port 8888 is taken by")):
        monkeypatch.setattr("colab_runtime.server.stranger", lambda settings, taken=taken: taken)
        with pytest.raises(Problem, match=said) as caught:
            require_sockets(settings(service_manager="systemd"), [])
        assert caught.value.code == EXIT_LATER


@pytest.mark.parametrize(
    ("manager", "uids", "held", "foreign"),
    [
        ("systemd", [0, 0], True, False),
        ("systemd", [0, 0], False, True),  # root's own program
        ("systemd", [0, 0], None, False),  # systemd does not speak to this user; each connection says whose it is
        ("systemd", [0, 4711], True, True),
        ("colab-runtime", [0], True, True),
        ("colab-runtime", [1000], None, False),
        ("systemd", [], None, False),
    ],
)
def test_a_listener_of_roots_is_ours_where_systemd_holds_the_port(
    monkeypatch: pytest.MonkeyPatch, manager: str, uids: list[int], held: bool | None, foreign: bool
) -> None:
    monkeypatch.setattr(Settings, "account", SimpleNamespace(pw_uid=1000))
    found = [Listener("127.0.0.1", 8888, uid, number) for number, uid in enumerate(uids)]
    monkeypatch.setattr("colab_runtime.ports.listeners_on", lambda port, proc="/proc": found)
    monkeypatch.setattr("colab_runtime.ports.socket_unit_holds", lambda port: held)
    assert (stranger(settings(service_manager=manager)) is not None) is foreign


# --- what Jupyter gets to see


def test_the_server_sees_this_configuration_and_no_other() -> None:
    outside = {
        "JUPYTER_CONFIG_PATH": "/home/evil",
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_TOKEN": "secret",
        "JUPYTERHUB_API_TOKEN": "secret",
        "JUPYTER_CONFIG_DIR": "/home/evil",
        "PYTHONPATH": "/home/evil",
        "VIRTUAL_ENV": "/home/evil",
        "CONDA_PREFIX": "/home/evil",
        "XDG_DATA_HOME": "/home/evil",
        "WSL_INTEROP": "/run/WSL/9_interop",
        "HOME": "/root",
        "LANG": "ko_KR.UTF-8",
        "CUDA_VISIBLE_DEVICES": "0",
        "PATH": "/usr/bin",
    }
    seen = server_environment(outside, settings(), ME)
    assert "evil" not in str(seen) and "secret" not in str(seen) and "WSL_INTEROP" not in seen
    assert {key: value for key, value in seen.items() if key.startswith("JUPYTER")} == {
        "JUPYTER_CONFIG_DIR": "/etc/colab-ready/jupyter",
        "JUPYTER_PATH": "/opt/colab-ready/share/jupyter",
        "JUPYTER_RUNTIME_DIR": "/run/colab-ready/jupyter",
        "JUPYTER_TOKEN_FILE": "/etc/colab-ready/token",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTERLAB_SETTINGS_DIR": f"{ME.pw_dir}/.local/share/jupyter/lab/user-settings",
        "JUPYTERLAB_WORKSPACES_DIR": f"{ME.pw_dir}/.local/share/jupyter/lab/workspaces",
    }
    assert (seen["HOME"], seen["LANG"], seen["CUDA_VISIBLE_DEVICES"]) == (ME.pw_dir, "ko_KR.UTF-8", "0")


def test_a_service_without_a_language_gets_utf_8() -> None:
    assert server_environment({}, settings(), ME)["LANG"] == "C.UTF-8"


def test_a_background_server_gets_language_and_proxies_from_the_shell_and_nothing_else() -> None:
    outside = {"LANG": "ko_KR.UTF-8", "HTTPS_PROXY": "http://proxy:3128", "SSH_AUTH_SOCK": "/x", "PATH": "/home/evil"}
    seen = background_environment(outside, ME)
    assert seen["LANG"] == "ko_KR.UTF-8" and seen["HTTPS_PROXY"] == "http://proxy:3128"
    assert seen["PATH"] == SAFE_PATH
    assert set(seen) == {"LANG", "HTTPS_PROXY", "HOME", "USER", "LOGNAME", "SHELL", "PATH"}


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false", ""])
def test_a_system_user_gets_a_shell_that_a_terminal_can_run(shell: str) -> None:
    assert os.access(login_shell(shell), os.X_OK)


def test_the_token_is_in_no_argument() -> None:
    assert "token" not in " ".join(server_command(settings())).lower()


def test_the_server_is_started_without_the_folders_that_others_can_change(tmp_path: Path) -> None:
    """The launcher as a program, on stand-ins for the modules of Jupyter and of ours that it uses."""
    for name, text in {
        "jupyter_core/__init__.py": "",
        "jupyter_core/paths.py": """
SYSTEM_CONFIG_PATH = ["/etc/jupyter"]
def jupyter_path(*below):
    tops = ["/opt/p/share/jupyter", "/usr/local/share/jupyter", "/usr/local/share/jupyter2", "/usr/share/jupyter"]
    return ["/".join([top, *below]) for top in tops]
""",
        "colab_http_over_ws/__init__.py": "",
        "colab_http_over_ws/fair_share.py": "def install(): print('shared')",
        "colab_http_over_ws/service_manager.py": "def install(sockets): print(sockets)",
        "jupyter_server/__init__.py": "",
        "jupyter_server/serverapp.py": """
from jupyter_core.paths import SYSTEM_CONFIG_PATH, jupyter_path
def main():
    print(SYSTEM_CONFIG_PATH, *jupyter_path("kernels"), *jupyter_path())
""",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def started(closed: list[str]) -> list[str]:
        _, *options, program = server_command(settings(), closed, [3])
        assert options == ["-I", "-c"]
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        shared, sockets, *found = done.stdout.split()
        assert (shared, sockets) == ("shared", "[3]")
        return found

    tops = ["/opt/p/share/jupyter", "/usr/local/share/jupyter", "/usr/local/share/jupyter2", "/usr/share/jupyter"]
    assert started([]) == ["[]", *(f"{top}/kernels" for top in tops), *tops]
    left = [tops[0], tops[2]]
    assert started([tops[1], tops[3]]) == ["[]", *(f"{top}/kernels" for top in left), *left]
    assert started(["/it's {odd}"])[0] == "[]"


# --- who can change what the server reads


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share" / "jupyter"
    (folder / "kernels" / "ir").mkdir(parents=True)
    (folder / "kernels" / "ir" / "kernel.json").write_text("{}")
    (folder / "lab").mkdir()
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [
        (".", 0o755, None),
        (".", 0o777, f"share/jupyter (of {ME.pw_name}) can be changed by everybody: its mode is 0777"),
        (".", 0o1777, f"share/jupyter (of {ME.pw_name}) can be changed by everybody: its mode is 1777"),
        ("..", 0o777, f"share (of {ME.pw_name}) can be changed by everybody"),
        ("..", 0o1777, None),  # as in /tmp: others can put nothing in the place of what is ours
        ("kernels", 0o777, f"kernels (of {ME.pw_name}) can be changed by everybody"),
        ("kernels/ir", 0o757, f"ir (of {ME.pw_name}) can be changed by everybody"),
        ("kernels/ir/kernel.json", 0o666, f"kernel.json (of {ME.pw_name}) can be changed by everybody"),
        ("lab", 0o777, None),  # the server runs nothing from there
    ],
)
def test_a_folder_of_kernels_that_others_can_change_is_closed(
    share: Path, path: str, mode: int, said: str | None
) -> None:
    (share / path).resolve().chmod(mode)
    found = closed_data([str(share)], os.getuid())
    assert list(found) == ([str(share)] if said else [])
    assert said is None or said in found[str(share)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("path", [".", "kernels", "kernels/ir", "kernels/ir/kernel.json"])
def test_a_strangers_kernel_closes_the_folder_and_the_users_own_does_not(share: Path, path: str) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(share / path, nobody.pw_uid, nobody.pw_gid)
    assert "belongs to nobody" in closed_data([str(share)], 0)[str(share)]
    assert closed_data([str(share)], nobody.pw_uid) == {}


def test_a_group_of_ones_own_is_no_stranger_and_another_group_is(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (share / "kernels").chmod(0o775)
    monkeypatch.setattr("colab_ready.files.trust.others_in_group", lambda gid, uids: frozenset())
    assert closed_data([str(share)], os.getuid()) == {}
    monkeypatch.setattr("colab_ready.files.trust.others_in_group", lambda gid, uids: frozenset([1]))
    assert "can be changed by its group: its mode is 0775" in closed_data([str(share)], os.getuid())[str(share)]


def test_a_link_is_followed_to_where_it_leads(share: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "kernel"
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text("{}")
    (share / "kernels" / "linked").symlink_to(elsewhere)
    (share / "kernels" / "round").symlink_to(share / "kernels")
    assert closed_data([str(share)], os.getuid()) == {}
    (elsewhere / "kernel.json").chmod(0o666)
    assert f"kernel.json (of {ME.pw_name}) can be changed" in closed_data([str(share)], os.getuid())[str(share)]
    (elsewhere / "kernel.json").chmod(0o644)
    elsewhere.parent.chmod(0o777)
    assert f"elsewhere (of {ME.pw_name}) can be changed" in closed_data([str(share)], os.getuid())[str(share)]


def test_a_folder_that_is_not_there_is_closed_where_others_could_make_it(tmp_path: Path) -> None:
    missing = tmp_path / "open" / "share" / "jupyter"
    assert closed_data([str(missing)], os.getuid()) == {}
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert list(closed_data([str(missing)], os.getuid())) == [str(missing)]


def test_more_than_can_be_looked_at_is_not_read(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_runtime.trust.DATA_FILES_MAX", 1)
    assert "more than 1 files" in closed_data([str(share)], os.getuid())[str(share)]


def test_the_servers_own_configuration_and_kernels_must_be_out_of_reach(tmp_path: Path) -> None:
    require_own_places(str(tmp_path), os.getuid())
    extra = tmp_path / "server" / "etc" / "jupyter" / "jupyter_server_config.d"
    extra.mkdir(parents=True)
    for path in (extra, *list(extra.parents)[:3]):
        path.chmod(0o755)
    require_own_places(str(tmp_path), os.getuid())
    extra.chmod(0o777)
    with pytest.raises(Problem, match="can be changed by everybody") as caught:
        require_own_places(str(tmp_path), os.getuid())
    assert caught.value.code == EXIT_SETTINGS and f"chmod -R go-w {tmp_path}/server" in str(caught.value)


# --- a new token


def test_a_token_is_made_as_the_playbook_makes_it() -> None:
    variables = (PROJECT / "roles" / "colab_runtime" / "vars" / "main.yml").read_text(encoding="utf-8")
    assert f"generate: {TOKEN_RANDOM_BYTES}, owner" in variables


@pytest.mark.parametrize(
    ("sessions", "kernels", "terminals", "names"),
    [
        ([], [], [], []),
        ([{"path": "a.ipynb", "name": "", "kernel": {"id": "k1"}}], [{"id": "k1"}], [], ["'a.ipynb'"]),
        ([{"path": "", "name": "b", "kernel": {"id": "k1"}}], [{"id": "k1"}], [], ["'b'"]),
        ([{"path": "a.ipynb", "kernel": {"id": "k1"}}], [], [], []),  # its kernel has ended
        ([], [{"id": "0123456789"}], [{"name": "1"}], ["'kernel 01234567'", "terminal 1"]),
        ([{"path": "x\n" + "y" * 90, "kernel": {"id": "k"}}], [{"id": "k"}], [], ["'x " + "y" * 58 + "'"]),
    ],
)
def test_what_a_restart_ends_is_named(sessions: Any, kernels: Any, terminals: Any, names: list[str]) -> None:
    assert what_would_end(sessions, kernels, terminals, 0.0) == names


@pytest.mark.parametrize(
    ("change", "used"),
    [
        ({}, False),
        ({"execution_state": "busy"}, True),
        ({"execution_state": "starting"}, True),
        ({"execution_state": None}, True),
        ({"connections": 1}, True),
        ({"connections": None}, True),
        ({"last_activity": "1970-01-02T23:59:59Z"}, True),
        ({"last_activity": "1970-01-09T00:00:00.123456Z"}, True),  # of a clock that was set back since
        ({"last_activity": "yesterday"}, True),
        ({"last_activity": None}, True),
    ],
)
def test_a_kernel_is_in_use_while_it_executes_has_a_page_or_was_active_within_a_day(
    change: dict[str, Any], used: bool
) -> None:
    kernel = {"execution_state": "idle", "connections": 0, "last_activity": "1970-01-01T23:59:59.5Z", **change}
    assert is_in_use(kernel, 2 * 86400.0) is used


@pytest.mark.parametrize(
    "change",
    [
        "f" * 64,  # as an older program wrote it
        {"digest": "f"},
        {"stamp": {"settings": 7}},
        {"stamp": "f"},
        {"port": 70000},
        {"port": "8888"},
        {"gid": -1},
        {"groups": [2**70]},
        {"groups": 7},
        {"http_over_ws": 1},
        "[" * 100000,
    ],
)
def test_a_note_that_says_nothing_counts_as_another_versions(tmp_path: Path, change: Any) -> None:
    ours = settings(run_dir=str(tmp_path))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        note_start(ours, one.fileno())
        note = read_note(ours)
        assert note is not None and note.port == one.getsockname()[1]
    path = Path(ours.stamp_file)
    old = json.loads(path.read_text())
    path.write_text(change if isinstance(change, str) else json.dumps({**old, **change}))
    assert read_note(ours) is None and as_served(ours) == ours
    assert what_waits(ours) == ["the server was started by another version of colab-runtime"]


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/api/sessions": (403, b"{}")},
        {"/api/sessions": (200, b"{"), "/api/kernels": (200, b"[]"), "/api/terminals": (200, b"[]")},
        {"/api/sessions": (200, b"[]"), "/api/kernels": (200, b"[7]"), "/api/terminals": (200, b"[]")},
        {"/api/sessions": (200, b"[]"), "/api/kernels": (404, b""), "/api/terminals": (200, b"[]")},
        {"/api/sessions": (200, b"{}"), "/api/kernels": (200, b"null"), "/api/terminals": (200, b"[]")},
    ],
)
def test_a_server_that_answers_nonsense_does_not_count_as_idle(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, bytes]]
) -> None:
    monkeypatch.setattr("colab_runtime.activity.serves", lambda settings: True)
    monkeypatch.setattr("colab_runtime.activity.stranger", lambda settings: None)
    monkeypatch.setattr(Settings, "account", ME)
    monkeypatch.setattr("colab_runtime.activity.fetch", lambda settings, path, token: answers.get(path))
    assert at_stake(settings(), TOKEN) is None
    good = {"/api/sessions": (200, b"[]"), "/api/kernels": (200, b"[]"), "/api/terminals": (404, b"")}
    monkeypatch.setattr("colab_runtime.activity.fetch", lambda settings, path, token: good[path])
    assert at_stake(settings(), TOKEN) == []
    assert at_stake(settings(), None) is None
    monkeypatch.setattr("colab_runtime.activity.serves", lambda settings: False)
    assert at_stake(settings(), None) == []


def test_a_token_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)

    def full(fd: int, data: bytes) -> int:
        return 0

    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            write_token(str(path), "f" * 48, ME)
    assert path.read_text() == TOKEN and [one.name for one in tmp_path.iterdir()] == ["token"]
    (tmp_path / ".token.colab-ready-new").write_text("left by a run that was killed")
    write_token(str(path), "f" * 48, ME)
    assert path.read_text() == "f" * 48 and [one.name for one in tmp_path.iterdir()] == ["token"]
    assert path.stat().st_mode & 0o7777 == 0o600
    assert given[-1] == (ME.pw_uid, ME.pw_gid), "as the playbook gives it, which would correct it otherwise"
    monkeypatch.setattr(os, "access", lambda name, mode: False)  # a folder that is root's
    number = path.stat().st_ino
    path.write_text("x" * 100)
    path.chmod(0o644)
    write_token(str(path), "e" * 48, ME)
    assert path.read_text() == "e" * 48 and path.stat().st_ino == number
    assert path.stat().st_mode & 0o7777 == 0o600


def test_a_token_is_not_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "token").symlink_to("precious")
    with monkeypatch.context() as users:
        users.setattr(os, "access", lambda name, mode: False)
        with pytest.raises(OSError, match="symbolic links"):
            write_token(str(tmp_path / "token"), "e" * 48, ME)
    write_token(str(tmp_path / "token"), "e" * 48, ME)
    assert not (tmp_path / "token").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


# --- the server's configuration


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "jupyter"
    (folder / "jupyter_server_config.d").mkdir(parents=True)
    (folder / "jupyter_server_config.json").write_text('{"ServerApp": {}}', encoding="utf-8")
    (folder / "jupyter_server_config.d" / "x.json").write_text("{}", encoding="utf-8")
    (folder / "migrated").touch()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def test_a_sound_configuration_is_accepted(config: Path) -> None:
    require_config(str(config), os.getuid())


@pytest.mark.parametrize(
    ("piece", "damage", "said"),
    [
        ("jupyter_server_config.json", lambda path: path.write_text('{"ServerApp": {'), "is not JSON"),
        ("jupyter_server_config.json", lambda path: path.write_text("[]"), "is not a JSON object"),
        ("jupyter_server_config.json", lambda path: path.unlink(), "cannot be read"),
        ("jupyter_server_config.json", lambda path: path.chmod(0o666), "can be changed by everybody: its mode is 0666"),
        ("jupyter_server_config.d/x.json", lambda path: path.write_text("x"), "is not JSON"),
        ("jupyter_server_config.d", lambda path: path.chmod(0o777), "can be changed by everybody: its mode is 0777"),
        (".", lambda path: path.chmod(0o757), "can be changed by everybody: its mode is 0757"),
    ],
)
def test_a_broken_or_open_configuration_is_refused(config: Path, piece: str, damage: Any, said: str) -> None:
    damage(config / piece)
    with pytest.raises(Problem) as caught:
        require_config(str(config), os.getuid())
    assert said in str(caught.value) and "./colab-ready" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"ServerApp": {"allow_origin": "https://colab.research.google.com"}}, None),
        ({"IdentityProvider": {"token": ""}}, "IdentityProvider.token"),
        ({"ServerApp": {"token": "somebody-else's"}}, "ServerApp.token"),
        ({"PasswordIdentityProvider": {"hashed_password": ""}}, "PasswordIdentityProvider.hashed_password"),
        ({"ServerApp": {"identity_provider_class": "x.Y"}}, "ServerApp.identity_provider_class"),
        ({"version": 1, "ServerApp": {}}, None),
    ],
)
def test_a_setting_that_would_take_the_place_of_the_tokens_file_is_seen(
    config: dict[str, object], said: str | None
) -> None:
    assert secret_setting(config) == said


# --- processes


def fake_stat(proc: Path, pid: int, parent: int, state: str = "S", name: str = "x", started: int = 7) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    rest = " ".join(["0"] * 17)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {state} {parent} {rest} {started} 0 0\n", encoding="utf-8")


def test_descendants_are_found_across_sessions_and_odd_names(tmp_path: Path) -> None:
    for pid, parent, state, name in [
        (10, 1, "S", "supervisor"),
        (11, 10, "S", "python"),
        (12, 11, "S", "a) S 1 (b"),
        (13, 12, "R", "sh"),
        (14, 10, "Z", "gone"),
        (20, 1, "S", "foreign"),
    ]:
        fake_stat(tmp_path, pid, parent, state, name)
    assert sorted(descendants(10, str(tmp_path))) == [11, 12, 13]
    assert started_ticks(12, str(tmp_path)) == 7


def test_a_process_is_known_by_its_start_time() -> None:
    assert started_ticks(os.getpid()) is not None
    assert alive(os.getpid())
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid)  # a zombie
    child.wait()
    assert not alive(child.pid)


@pytest.mark.parametrize(("status", "text"), [(0, "exit code 0"), (78 << 8, "exit code 78"), (9, "SIGKILL")])
def test_an_exit_is_said_in_words(status: int, text: str) -> None:
    assert text in describe_exit(status)


# --- the supervisor's parts


def test_the_next_try_comes_later_each_time_and_at_most_after_30_seconds() -> None:
    assert [backoff_seconds(n) for n in (0, 1, 2, 3, 4, 5, 6, 1000)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_the_log_is_rotated_and_nothing_recent_is_lost(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path / "server.log"), bytes_max=100, files=3)
    for number in range(40):
        log.write(f"line {number:04d}\n".encode())
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert set(files) == {"server.log", "server.log.1", "server.log.2"}
    assert all(len(text) <= 100 for text in files.values())
    kept = "".join(files[name] for name in ("server.log.2", "server.log.1", "server.log")).splitlines()
    assert kept == [f"line {number:04d}" for number in range(40 - len(kept), 40)]
    assert len(kept) > 20


def test_a_log_that_cannot_be_written_does_not_stop_the_server(tmp_path: Path) -> None:
    RotatingLog(str(tmp_path / "missing" / "server.log")).write(b"x\n")


def test_the_log_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "server.log").symlink_to("elsewhere")
    RotatingLog(str(tmp_path / "server.log")).write(b"x\n")
    assert not (tmp_path / "elsewhere").exists()


def test_the_lock_decides_whether_a_supervisor_runs(tmp_path: Path) -> None:
    run_dir = RunDir(str(tmp_path))
    assert run_dir.state() is None
    run_dir.write({"pid": os.getpid(), "started_ticks": started_ticks(os.getpid())})
    assert run_dir.state() is None and run_dir.supervisors() == []  # a living pid alone proves nothing
    lock = run_dir.take_lock(0)
    assert lock is not None and run_dir.locked() and run_dir.take_lock(0) is None
    assert run_dir.supervisors() == [os.getpid()]
    os.close(lock)
    assert run_dir.state() is None


@pytest.mark.parametrize("text", ['{"pid": OWN, "started_ticks": 1}', "[" * 200_000, '{"pid": 1e999}', "7", ""])
def test_where_the_state_is_nonsense_or_of_another_process_who_has_the_lock_open_is_the_supervisor(
    tmp_path: Path, text: str
) -> None:
    run_dir = RunDir(str(tmp_path))
    program = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program, run_dir.lock_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        Path(run_dir.state_path).write_text(text.replace("OWN", str(os.getpid())), encoding="ascii")
        assert run_dir.state() == {}
        assert run_dir.supervisors(seconds=0) == [holder.pid]
        os.unlink(run_dir.lock_path)
        os.mkfifo(run_dir.lock_path)
        assert run_dir.supervisors(seconds=0) == [holder.pid]
        holder.kill()
    assert run_dir.supervisors(seconds=0) == []


def test_a_process_of_somebody_else_is_no_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even to root, who could end it: the folder is the user's."""
    run_dir = RunDir(str(tmp_path))
    run_dir.write({"pid": 1, "started_ticks": started_ticks(1)})
    lock = run_dir.take_lock(0)
    assert lock is not None
    rights = {1: {os.getuid()}, os.getpid(): {os.getuid()}}
    monkeypatch.setattr("colab_runtime.supervisor.uids_of", lambda pid: rights[pid])
    assert run_dir.supervisors(seconds=0) == [1]
    rights[1] = {os.getuid() + 1}
    assert run_dir.supervisors(seconds=0) == [os.getpid()]  # who has the lock open
    os.close(lock)


def test_the_sentence_of_a_refusal_is_found_between_systemds_lines() -> None:
    lines = ["Starting colab-ready.service...", "colab-runtime: The token is short. Do: x", "Main process exited"]
    assert refusal(lines) == "The token is short. Do: x"
    assert refusal(["[I 2026] ServerApp", "Traceback"]) is None


# --- what a server was started with


@pytest.mark.parametrize(
    ("has", "lacks"),
    [
        ((100, 44, 109, 4242), []),
        ((100, 44, 109, 4242, 999), []),  # more than the account has: a drop-in gave it
        ((100, 44), ["render", "4242"]),
        ((), ["video", "render", "4242"]),
    ],
)
def test_the_groups_that_a_server_lacks_are_named(
    monkeypatch: pytest.MonkeyPatch, has: tuple[int, ...], lacks: list[str]
) -> None:
    monkeypatch.setattr(Settings, "account", ME)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 44, 109, 4242])
    named = {44: "video", 109: "render"}
    monkeypatch.setattr(grp, "getgrgid", lambda gid: types.SimpleNamespace(gr_name=named[gid]))
    assert lacks_groups(settings(), 1000, has) == lacks


def test_a_process_that_got_its_groups_from_the_database_lacks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "account", ME)
    assert lacks_groups(settings(), ME.pw_gid, os.getgrouplist(ME.pw_name, ME.pw_gid)) == []


@pytest.mark.parametrize(
    ("euid", "lacks", "ending", "did", "said"),
    [
        (0, ["render"], [], ["daemon-reload", "restart"], "Restarting the server: "),
        (0, [], [], [], "already running"),
        # systemd reads the unit for a server that comes back after a crash
        (0, ["render"], ["'a.ipynb'"], ["daemon-reload"], "A restart ends 'a.ipynb'. Do: "),
        (0, ["render"], None, ["daemon-reload"], "A restart ends what runs in it, which it does not say. Do: "),
        (1000, ["render"], [], [], "Do: sudo colab-runtime restart"),  # who may not speak to systemd
    ],
)
def test_under_systemd_root_alone_gives_an_idle_server_its_new_groups(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    euid: int,
    lacks: list[str],
    ending: list[str] | None,
    did: list[str],
    said: str,
) -> None:
    """With a stand-in for systemd and for the server."""
    ours = settings(run_dir=str(tmp_path))
    calls: list[str] = []
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        ours = replace(ours, port=one.getsockname()[1])
        note_start(ours, one.fileno())
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    for name, value in {
        "require_owner": None,
        "unit_is_active": True,
        "has_old_token": False,
        "good_token": TOKEN,
        "accepts": True,
        "answers": True,
        "at_stake": ending,
        "tell_boot": None,
        "stale_units": [],
    }.items():
        monkeypatch.setattr(f"colab_runtime.commands.{name}", lambda *given, value=value: value)

    def systemctl(given: Any, verb: str) -> int:
        calls.append(verb)
        return 0

    for name in ("commands", "systemd"):
        monkeypatch.setattr(f"colab_runtime.{name}.systemctl", systemctl)
    monkeypatch.setattr("colab_runtime.served.lacks_groups", lambda *given: lacks)
    monkeypatch.setattr("colab_runtime.commands.lacks_groups", lambda *given: lacks)
    monkeypatch.setattr(subprocess, "run", lambda words, **more: calls.append(words[1]))
    monkeypatch.setattr(Settings, "account", ME)
    assert command_start(ours) == 0
    out = capsys.readouterr().out
    assert calls == did and said in out
    assert ("already running" in out) is ("restart" not in did)  # by which the role knows whether something changed
    assert len(out.splitlines()) <= 2


def test_a_kernel_of_an_environment_that_was_changed_since_or_is_another_counts_as_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "account", ME)
    ours = settings(prefix=str(tmp_path), kernel="cpu")
    python = tmp_path / "kernels" / "cpu" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/sh")
    made = tmp_path / "kernels" / "cpu" / "colab-ready.json"
    made.touch()
    os.utime(made, (0, 0))
    with subprocess.Popen([python, "-c", "read x", "/run/kernel-1.json"], stdin=subprocess.PIPE) as kernel:
        began = time.time()
        assert [name for name, when in kernels_of(ours) if abs(when - began) < 60] == ["cpu"]
        assert not has_old_kernels(ours) and has_old_kernels(replace(ours, kernel="rocm"))
        os.utime(made, (began + 100, began + 100))
        assert has_old_kernels(ours)
        kernel.kill()
    assert kernels_of(ours) == [] and not has_old_kernels(ours)


# --- at boot


def test_a_unit_that_does_not_start_at_boot_is_told_of_as_the_role_listens_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, name = BOOT_LINK.rpartition("/")
    assert folder == f"/etc/systemd/system/{unit()['WantedBy'][0]}.wants" and name == UNIT
    monkeypatch.setattr("colab_runtime.systemd.BOOT_LINK", str(tmp_path / "link"))
    tasks = (PROJECT / "roles" / "colab_runtime" / "tasks" / "main.yml").read_text(encoding="utf-8")
    tell_boot()
    assert "does not start at boot" in capsys.readouterr().out and "'does not start at boot' in" in tasks
    (tmp_path / "link").symlink_to("/gone")
    tell_boot()
    assert capsys.readouterr().out == ""


# --- the unit


def unit(name: str = UNIT, **changes: str) -> dict[str, list[str]]:
    variables = {
        "colab_runtime_host": {"user": "student", "user_home": "/home/student", "port": 8888},
        "colab_runtime_prefix": "/opt/colab-ready",
        **changes,
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    text = environment.from_string((TEMPLATES / f"{name}.j2").read_text(encoding="utf-8")).render(variables)
    assert text.endswith("\n")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_runs_the_server_as_the_user_and_brings_it_back() -> None:
    directives = unit()
    assert directives["User"] == ["student"]
    assert directives["ExecStart"] == ["/usr/local/bin/colab-runtime serve"]
    assert directives["Restart"] == ["always"]
    assert directives["StartLimitIntervalSec"] == ["0"]
    assert directives["WantedBy"] == ["multi-user.target"]
    # As long as the supervisor waits.
    assert directives["WatchdogSec"] == [f"{WATCHDOG_SECONDS:.0f}"]
    assert directives["TimeoutStartSec"] == [f"{SLOW_START_SECONDS:.0f}"]
    assert directives["OOMPolicy"] == ["continue"]


def test_the_socket_holds_every_address_of_localhost_and_nothing_makes_it_let_go() -> None:
    directives = unit(SOCKET)
    assert directives["ListenStream"] == ["127.0.0.1:8888", "[::1]:8888"]
    assert directives["StartLimitIntervalSec"] == directives["TriggerLimitIntervalSec"] == ["0"]
    assert directives["FlushPending"] == ["yes"]
    service = unit()
    # Started with the service, and so at boot; a taken port stops neither for good.
    assert SOCKET in service["Wants"][0].split() and SOCKET in service["After"][0].split() and "Requires" not in service


@pytest.mark.parametrize(
    ("verb", "listens", "holds", "did"),
    [
        ("start", True, True, [["start", UNIT]]),
        ("restart", True, True, [["restart", UNIT]]),
        ("stop", True, True, [["stop", UNIT, SOCKET]]),
        # Another port, or a server that has taken the port itself (an older version).
        ("restart", False, True, [["stop", UNIT, SOCKET], ["restart", UNIT]]),
        ("start", True, False, [["stop", UNIT, SOCKET], ["start", UNIT]]),
        # Read while its file named another port, it says that it has this one, and has none.
        ("restart", True, None, [["stop", UNIT, SOCKET], ["restart", UNIT]]),
    ],
)
def test_the_port_is_let_go_only_where_another_one_is_wanted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    listens: bool,
    holds: bool | None,
    did: list[list[str]],
) -> None:
    """With a stand-in for systemd."""
    found = [Listener("127.0.0.1", 8888, 0, 1)] if listens else []
    monkeypatch.setattr("colab_runtime.systemd.listeners_on", lambda port: found)
    # Where systemd has let go of the port, its unit says that it has it all the same.
    monkeypatch.setattr("colab_runtime.systemd.socket_unit_holds", lambda port: holds is not False)
    monkeypatch.setattr("colab_runtime.systemd.systemd_let_go", lambda port: holds is None)
    monkeypatch.setattr("os.path.isdir", lambda path: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    calls: list[list[str]] = []

    def run(words: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        calls.append(list(words[1:]))
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("colab_runtime.systemd.answers", lambda settings: True)
    assert systemctl(settings(token_file=str(tmp_path / "token")), verb) == 0
    assert [call for call in calls if call[0] not in ("show", "daemon-reload")] == did
    assert len(capsys.readouterr().out.splitlines()) == (
        1 if verb == "stop" else 2
    )  # and that it does not start at boot


IS_BOOTED = ("is-active", "sockets.target")


def test_a_new_token_is_made_each_time_the_port_is_taken_but_at_the_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a stand-in for systemd."""
    status = 3
    monkeypatch.setattr(
        "colab_runtime.rotation.run_quietly",
        lambda *words, **more: subprocess.CompletedProcess(words, 1 if words[1:] != IS_BOOTED else status),
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Settings, "account", ME)
    ours = settings(token_file=str(tmp_path / "token"))
    write_token(ours.token_file, TOKEN, ME)
    assert renew_token(ours) == 0 and Path(ours.token_file).read_text() == TOKEN
    assert capsys.readouterr().out == ""
    status = 0
    assert renew_token(ours) == 0 and Path(ours.token_file).read_text() != TOKEN
    assert "The token is new" in capsys.readouterr().out
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="is for systemd"):
        renew_token(ours)


@pytest.mark.parametrize("waits", [1, 2])
def test_who_asks_systemd_for_more_time_is_killed_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: int
) -> None:
    """With a stand-in for systemd."""
    monkeypatch.setattr("os.path.isdir", lambda path: True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    calls: list[list[str]] = []

    def run(words: list[str], timeout: float | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        assert timeout, "without a limit"
        if words[1] == "show":
            return subprocess.CompletedProcess(words, 0, "", "")
        calls.append(list(words[1:]))
        if words[1] == "stop" and calls.count(calls[-1]) <= waits:
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    ours = settings(token_file=str(tmp_path / "token"))
    stop, kill = ["stop", UNIT, SOCKET], ["kill", "--signal=SIGKILL", UNIT]
    if waits == 1:
        assert systemctl(ours, "stop") == 0
        assert calls == [stop, kill, stop]
    else:
        with pytest.raises(Problem, match="could not stop .* in time.* token --rotate --force"):
            systemctl(ours, "stop")
        assert calls == [stop, kill] * 2


@pytest.mark.parametrize(
    ("shown", "there"),
    [
        ({"ActiveState": "active", "SubState": "running"}, True),
        ({"ActiveState": "activating", "SubState": "start"}, True),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, False),
        ({"ActiveState": "failed", "SubState": "failed"}, False),
        ({"ActiveState": "inactive", "SubState": "dead"}, False),
        ({}, True),  # who is told nothing has to ask
    ],
)
def test_nobody_asks_a_server_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, shown: dict[str, str], there: bool
) -> None:
    monkeypatch.setattr("colab_runtime.activity.unit_properties", lambda: shown)
    assert serves(settings(service_manager="systemd")) is there


@pytest.mark.parametrize(
    "directive",
    ["PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "MemoryDenyWriteExecute", "ProtectHome"]
    + ["PrivateTmp", "PrivateUsers", "ProtectProc", "ProcSubset", "PrivateNetwork", "RemoveIPC", "IPAddressDeny"],
)
def test_the_unit_leaves_open_what_notebooks_and_gpus_need(directive: str) -> None:
    assert directive not in unit()
    assert f"`{directive}" in (PROJECT / "docs" / "service.md").read_text(encoding="utf-8"), (
        "say why in docs/service.md"
    )


def test_every_door_that_the_unit_shuts_is_explained() -> None:
    page = (PROJECT / "docs" / "service.md").read_text(encoding="utf-8")
    missing = [
        key for key in {**unit(), **unit(SOCKET)} if key not in ("Description", "ExecStart") and f"`{key}" not in page
    ]
    assert not missing


def test_windows_programs_can_be_started_from_a_notebook() -> None:
    assert "AF_VSOCK" in unit()["RestrictAddressFamilies"][0]
    assert "AF_UNIX" in unit()["RestrictAddressFamilies"][0]


def test_a_percent_sign_in_a_path_is_no_specifier() -> None:
    assert unit(colab_runtime_prefix="/opt/100%")["ReadWritePaths"] == ['"-/opt/100%%/kernels"']

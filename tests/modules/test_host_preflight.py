"""host_preflight, as Ansible runs it: facts of this host, or all that is in the way in one message."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import RunModule

PROJECT = Path(__file__).resolve().parents[2]

# Says its port when it listens, and ends with its standard input.
STAND_IN_SERVER = """
import socket, sys
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def stand_in_server(python: str = sys.executable) -> Iterator[tuple[int, int]]:
    """A stand-in for a server: pid and port of a process that listens."""
    with subprocess.Popen(
        [python, "-c", STAND_IN_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=30)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def wishes(tmp_path: Path, free_port: int) -> dict[str, Any]:
    """What this host can fulfil, whatever its size."""
    return {
        "port": free_port,
        # Below a folder of one's own it is refused.
        "prefix": str(tmp_path / "prefix") if os.getuid() == 0 else "/srv/no-colab-ready",
        "python_requires": ">=3.8",
        "runtime_config": str(tmp_path / "runtime.json"),
    }


@pytest.mark.smoke("host_preflight")
def test_a_good_host_passes_with_its_facts_and_nothing_is_changed(
    run_module: RunModule, wishes: dict[str, Any], free_port: int
) -> None:
    result = run_module("host_preflight", wishes, env={"SUDO_USER": ""})
    assert not result.get("failed"), result.get("msg")
    assert result["changed"] is False
    assert result["problems"] == []
    assert result["caller"] == pwd.getpwuid(os.getuid()).pw_name
    assert result["root_caller"] is (os.getuid() == 0)
    assert result["port"] == free_port
    assert result["python"]["path"].startswith("/usr/bin/python3")
    assert result["architecture"] == os.uname().machine
    assert result["hostname"] == os.uname().nodename
    assert not Path(wishes["prefix"]).exists()
    if os.getuid() == 0:
        assert (result["user"], result["user_chosen_by"]) == ("colab", "system_user")
    else:
        assert (result["user"], result["user_chosen_by"]) == (result["caller"], "caller")


def test_all_that_is_in_the_way_is_in_one_message(run_module: RunModule, wishes: dict[str, Any]) -> None:
    bad = {"backend": "cdua", "port": 80, "user": "root", "prefix": "/usr", "python_requires": ">=4"}
    result = run_module("host_preflight", {**wishes, **bad})
    assert result["failed"] is True
    assert [problem["id"] for problem in result["problems"]] == [
        "backend",
        "colab_port",
        "user_root",
        "python",
        "prefix",
    ]
    for number, words in enumerate(("colab_backend=cuda", "does not run as root", "that is root", ">=4", "/usr, a"), 1):
        assert any(line.startswith(f"{number}. ") and words in line for line in result["msg"].splitlines()), words


def test_a_taken_port_is_refused_with_the_process_that_holds_it(run_module: RunModule, wishes: dict[str, Any]) -> None:
    with stand_in_server() as (pid, port):
        result = run_module("host_preflight", {**wishes, "port": str(port)})
    assert result["failed"] is True
    assert [problem["id"] for problem in result["problems"]] == ["port_taken"]
    assert f"process {pid}, python" in result["msg"]
    assert f"of user {pwd.getpwuid(os.getuid()).pw_name}" in result["msg"]


def test_the_port_of_our_own_server_is_not_taken(run_module: RunModule, wishes: dict[str, Any], tmp_path: Path) -> None:
    program = tmp_path / "prefix" / "server" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    user = pwd.getpwuid(os.getuid()).pw_name
    with stand_in_server(str(program)) as (_, port):
        settings = {"user": user, "port": port, "prefix": wishes["prefix"]}
        Path(wishes["runtime_config"]).write_text(json.dumps(settings))
        ours = run_module("host_preflight", {**wishes, "port": port})
        Path(wishes["runtime_config"]).write_text(json.dumps({**settings, "prefix": "/opt/elsewhere"}))
        strangers = run_module("host_preflight", {**wishes, "port": port})
    assert "port_taken" not in [problem["id"] for problem in ours["problems"]]
    assert "port_taken" in [problem["id"] for problem in strangers["problems"]]


@pytest.mark.parametrize(
    ("said", "restart", "busy"),
    [
        ('{"kernels": ["cpu"]}', False, True),
        ('{"kernels": []}', False, False),
        ("what?", False, False),
        ('{"kernels": ["cpu"]}', True, False),
    ],
)
def test_the_notebooks_of_the_account_before_are_asked_about(
    run_module: RunModule, wishes: dict[str, Any], tmp_path: Path, said: str, restart: bool, busy: bool
) -> None:
    command = tmp_path / "colab-runtime"
    command.write_text(f"#!/bin/sh\n[ \"$*\" = 'status --json' ] && echo '{said}'\n")
    command.chmod(0o755)
    Path(wishes["runtime_config"]).write_text(json.dumps({"user": "somebody-else", "prefix": wishes["prefix"]}))
    result = run_module("host_preflight", {**wishes, "runtime_command": str(command), "restart": restart})
    assert ("user_busy" in [problem["id"] for problem in result["problems"]]) is busy


def test_a_range_that_is_none_is_said_to_be_none(run_module: RunModule, wishes: dict[str, Any]) -> None:
    result = run_module("host_preflight", {**wishes, "python_requires": "three"})
    assert result["failed"] is True
    assert "python_requires is 'three'" in result["msg"] and "Expected one such as >=3.10" in result["msg"]


def test_what_else_does_not_fit_is_in_the_same_message_and_once(run_module: RunModule, wishes: dict[str, Any]) -> None:
    port = run_module("host_preflight", {**wishes, "port": 80})["problems"]
    more = {"id": "x", "what": "x is 'maybe'", "expected": "true or false", "do": "set x to one of them"}
    result = run_module("host_preflight", {**wishes, "port": 80, "user": "root", "problems": [more, *port]})
    assert [problem["id"] for problem in result["problems"]] == ["x", "colab_port", "user_root"]
    assert "1. x is 'maybe'. Expected: true or false. Do: set x to one of them." in result["msg"]


def test_what_later_roles_would_refuse_is_in_the_first_message_of_the_real_playbook(tmp_path: Path) -> None:
    wrong = {
        "colab_port": 80,
        "colab_keep_kernels": "maybe",
        "browser_policy_enabled": "x",
        "browser_policy_browsers": ["firefox"],
        "jupyter_config_dir_mode": "banana",
        "wsl_host_systemd": "perhaps",
        "rocm_experimental": 2,
        "directml_torch_build": "gpu",
        "readiness_timeout_seconds": "long",
    }
    misspelt = {"colab_prot": 9000}
    fine = {"colab_http_over_ws": "no", "browser_policy_older_browsers": True, "jupyter_config_dir_create": "never"}
    ended = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            str(PROJECT / "playbooks/site.yml"),
            *(
                "-e",
                json.dumps(
                    {**wrong, **fine, **misspelt, "ansible_become": False, "colab_prefix": str(tmp_path / "prefix")}
                ),
            ),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "ansible")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "stopped at: Check that the host and what was asked for fit" in ended.stdout
    lines = [line.strip() for line in ended.stdout.splitlines()]
    for name in wrong:
        assert [line for line in lines if f". {name} " in line and ". Expected: " in line and ". Do: " in line], name
    warned = " ".join(ended.stderr.split())
    assert warned.count("is no variable of colab-ready") == 1
    assert "colab_prot is no variable of colab-ready and changes nothing. Do: write colab_port if" in warned
    assert not [name for name in fine if f"{name} is" in ended.stdout]

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
        "prefix": str(tmp_path / "prefix"),
        "needs_bytes": 1,
        "python_requires": ">=3.8",
        "runtime_config": str(tmp_path / "runtime.json"),
    }


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
    assert [problem["id"] for problem in result["problems"]] == ["backend", "port", "user_root", "python", "prefix"]
    for number, words in enumerate(("perhaps cuda", "does not run as root", "that is root", ">=4", "/usr, a"), 1):
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


def test_a_disk_too_small_is_refused_before_anything_is_fetched(run_module: RunModule, wishes: dict[str, Any]) -> None:
    result = run_module("host_preflight", {**wishes, "needs_bytes": 1 << 60})
    assert [problem["id"] for problem in result["problems"]] == ["disk_space"]
    assert "1073741824.0 GiB" in result["msg"]


def test_a_range_that_is_none_is_said_to_be_none(run_module: RunModule, wishes: dict[str, Any]) -> None:
    result = run_module("host_preflight", {**wishes, "python_requires": "three"})
    assert result["failed"] is True
    assert "Expected: a range such as >=3.10,<3.15" in result["msg"]

"""The inventory of a room, with Ansible's own ansible-inventory: the list, and the group_vars of inventory/lab.example."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ansible_environment

TOOLS = Path(sys.executable).parent
PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE = PROJECT / "inventory" / "lab.example"
# docs/lab.md has it.
WITHOUT_INI = "lab_csv,host_list,script,auto,yaml,toml"
GOOD = "name;address;user;colab_user\npc-01;192.0.2.11;teacher;student\n"


def ansible(
    program: str, *arguments: str | Path, enabled: str | None = WITHOUT_INI
) -> subprocess.CompletedProcess[str]:
    environ = ansible_environment() | ({"ANSIBLE_INVENTORY_ENABLED": enabled} if enabled else {})
    command = [TOOLS / program, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def plain(value: Any) -> Any:
    """What a variable is; ansible-inventory marks those that are no templates."""
    return value["__ansible_unsafe"] if isinstance(value, dict) and "__ansible_unsafe" in value else value


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    """What ansible-inventory makes of the example."""
    done = ansible("ansible-inventory", "-i", EXAMPLE, "--list")
    assert done.returncode == 0 and not done.stderr, done.stderr
    return dict(json.loads(done.stdout))


def test_every_host_is_in_colab_hosts_and_in_the_group_of_its_transport(listed: dict[str, Any]) -> None:
    groups = {name: entry["hosts"] for name, entry in listed.items() if "hosts" in entry}
    assert groups == {"colab_hosts": ["pc-01", "pc-02", "pc-21"], "linux": ["pc-01", "pc-02"], "wsl": ["pc-21"]}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("pc-01", {"ansible_host": "192.0.2.11", "ansible_user": "teacher", "colab_user": "student"}),
        ("pc-21", {"ansible_host": "192.0.2.31", "ansible_user": "root", "ansible_become": False, "colab_user": None}),
    ],
)  # fmt: skip
def test_a_host_of_the_example_has_the_variables_of_its_connection(
    listed: dict[str, Any], host: str, expected: dict[str, Any]
) -> None:
    variables = {name: plain(value) for name, value in listed["_meta"]["hostvars"][host].items()}
    assert {name: variables.get(name) for name in expected} == expected
    assert variables["ansible_connection"] == "ssh"
    assert variables["ansible_python_interpreter"] == "/usr/bin/python3"
    assert "-o ServerAliveInterval=15" in variables["ansible_ssh_common_args"]


def test_values_of_the_list_are_no_templates(listed: dict[str, Any]) -> None:
    variables = listed["_meta"]["hostvars"]["pc-21"]
    ours = {name for name, value in variables.items() if value != plain(value)}
    assert ours == {"ansible_host", "lab_windows_user", "lab_distribution"}


@pytest.mark.parametrize("enabled", [WITHOUT_INI, None], ids=["without ini", "as ansible.cfg has it"])
def test_a_csv_alone_is_read_too_and_this_computer_needs_no_connection(tmp_path: Path, enabled: str | None) -> None:
    lab = tmp_path / "a lab"
    lab.mkdir()
    (lab / "group_vars").symlink_to(EXAMPLE / "group_vars")
    (lab / "Room.CSV").write_bytes(
        b"\xef\xbb\xbfname,transport,colab_user,colab_port\r\ndesk,localhost,student,8899\r\n"
    )
    done = ansible("ansible-inventory", "-i", lab / "Room.CSV", "--host", "desk", enabled=enabled)
    assert done.returncode == 0, done.stderr
    variables = json.loads(done.stdout)
    assert (variables["ansible_connection"], variables["colab_port"]) == ("local", 8899)


def test_wsl_is_entered_through_ssh_to_windows_and_an_sshd_for_this_connection(tmp_path: Path) -> None:
    """As a shell, ssh and Windows' command line take it apart. Ssh is a stand-in."""
    arguments = "var=ansible_ssh_common_args"
    done = ansible("ansible", "-i", EXAMPLE, "pc-21", "-m", "ansible.builtin.debug", "-a", arguments)
    assert done.returncode == 0, done.stderr
    options = shlex.split(json.loads(done.stdout.partition("=>")[2])["ansible_ssh_common_args"])
    assert "HostKeyAlias=pc-21.wsl" in options
    (proxy,) = [option.partition("=")[2] for option in options if option.startswith("ProxyCommand=")]
    stand_in = tmp_path / "ssh"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    command = f"exec {proxy.replace('%h', '192.0.2.31')}"
    done = subprocess.run(
        ["sh", "-c", command],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-5:] == [
        *("-l", "labadmin", "--", "192.0.2.31"),
        'wsl.exe -d Ubuntu -u root --exec sh -c "mkdir -p /run/sshd && exec /usr/sbin/sshd -i"',
    ]


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (GOOD.replace("name", "hostname").encode(), 2),
        (GOOD.replace("192", "x 192").encode(), 1),
        ((GOOD + GOOD.splitlines()[1]).encode(), 2),
        (GOOD.replace("student", "{{ lookup('pipe', 'id') }}").encode(), 1),
        (b"pc-01,192.0.2.11\n", 1),
        (b"", 1),
        (b"name\n" + b"#" * (1 << 20), 1),
        (None, 1),
    ],
    ids=["column", "address", "twice", "template", "no columns", "empty", "too long", "missing"],
)  # fmt: skip
def test_a_refused_list_is_one_message_and_no_host(tmp_path: Path, data: bytes | None, problems: int) -> None:
    path = tmp_path / "room.csv"
    if data is not None:
        path.write_bytes(data)
    done = ansible("ansible-inventory", "-i", path, "--list")
    assert done.returncode == 1 and done.stdout == "", done.stdout
    count = "one problem" if problems == 1 else f"{problems} problems"
    assert done.stderr.count(f"{path} cannot be used ({count}). No computer was taken from it.\n1. ") == 1
    assert done.stderr.count("Expected: ") == done.stderr.count("Do: ") == problems
    assert f"Completely failed to parse inventory source {path}" in done.stderr


def test_a_bad_list_beside_a_good_one_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text("name;user\npc-02;teacher\n")
    done = ansible("ansible-inventory", "-i", tmp_path, "--list")
    assert done.returncode == 1 and done.stdout == "" and "b.csv cannot be used (one problem)" in done.stderr


def test_with_ini_enabled_a_refused_list_is_named_and_the_playbook_ends(tmp_path: Path) -> None:
    """Ansible hands it on to ini: ansible.cfg leaves that for other inventories."""
    (tmp_path / "room.csv").write_text(GOOD.replace("name", "hostname"))
    playbook = PROJECT / "playbooks" / "verify.yml"
    done = ansible("ansible-playbook", "-i", tmp_path / "room.csv", playbook, enabled=None)
    assert done.returncode == 1 and done.stderr.count("room.csv cannot be used (2 problems)") == 1
    assert "Could not match supplied host pattern, ignoring: colab_hosts" in done.stderr


def test_other_inventories_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "lab.ini").write_text("[colab_hosts]\npc01 ansible_host=192.0.2.11\n")
    for inventory in (tmp_path / "lab.ini", "pc01,pc02.csv"):
        done = ansible("ansible-inventory", "-i", inventory, "--list", enabled=None)
        assert done.returncode == 0 and '"pc01"' in done.stdout, done.stderr


def test_the_plugin_is_documented() -> None:
    done = ansible("ansible-doc", "--json", "-t", "inventory", "lab_csv")
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)["lab_csv"]
    assert page["doc"]["description"] and page["examples"]

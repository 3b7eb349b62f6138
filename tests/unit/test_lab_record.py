"""What a run made of each computer, and what they come to together."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready.lab import record

# As OpenSSH 9 and Ansible print them.
UNREACHABLE = [
    ("ssh: connect to host 192.0.2.7 port 22: Connection timed out", "no answer at 192.0.2.7", "switch it on"),
    ("ssh: connect to host 192.0.2.7 port 22: No route to host", "no answer at 192.0.2.7", "switch it on"),
    ("Connection timed out during banner exchange\nConnection to 192.0.2.7 port 22 timed out", "no answer", "switch it on"),
    ("ssh: connect to host 192.0.2.7 port 22: Connection refused", "nothing there listens for ssh", "openssh-server"),
    ("kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535", "Windows' ssh server", "wsl.exe --list"),
    ("root@192.0.2.7: Permission denied (publickey,password).", "neither the key nor the password", "ssh-add"),
    ("ssh: Could not resolve hostname pc-7: Name or service not known", "no computer of the network", "correct its address"),
    ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.", "another host key", "ssh-keygen -R 192.0.2.7"),
    ("client_loop: send disconnect: Broken pipe\nShared connection to 192.0.2.7 closed.", "broke off", "start again"),
    ("Timeout, server 192.0.2.7 not responding.", "broke off", "start again"),
    ("wsl.exe: something new\nin two lines", "cannot be reached: wsl.exe: something new in two lines", "ssh 192.0.2.7 by hand"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "cause", "do"), UNREACHABLE)
def test_why_a_computer_is_not_reached_is_said_with_what_to_do(said: str, cause: str, do: str) -> None:
    found = record.why_unreachable(f"Failed to connect to the host via ssh: {said}", "192.0.2.7")
    assert cause in found[0] and do in found[1]


def made(name: str, state: str, cause: str = "", do: str = "", address: str = "") -> dict[str, Any]:
    return {"name": name, "state": state, "cause": cause, "do": do, "address": address or name}


ROOM = [
    made("pc-10", "ready"),
    made("pc-2", "off", "no answer at 192.0.2.2", "switch it on", "192.0.2.2"),
    made("pc-1", "stopped", "port 8888 is taken", "end it"),
    made("pc-3", "off", "no answer at 192.0.2.3", "switch it on", "192.0.2.3"),
    made("pc-4", "ready"),
]


def test_the_worst_comes_first_and_names_are_in_the_order_of_their_numbers() -> None:
    assert [one["name"] for one in record.ordered(ROOM)] == ["pc-1", "pc-2", "pc-3", "pc-4", "pc-10"]
    assert record.counts(ROOM) == "2 READY, 2 off, 1 STOPPED"
    assert record.limit(ROOM) == "pc-1,pc-2,pc-3"


def test_what_most_need_comes_first_and_the_address_of_one_is_not_said_of_several() -> None:
    assert record.causes(ROOM) == [
        ("no answer at ADDRESS", "switch it on", ["pc-2", "pc-3"]),
        ("port 8888 is taken", "end it", ["pc-1"]),
    ]
    assert record.causes(ROOM[1:2]) == [("no answer at 192.0.2.2", "switch it on", ["pc-2"])]
    many = record.sentence("no answer.", "switch it on", [f"pc-{number}" for number in range(9)])
    assert many.startswith("9 computers (pc-0, pc-1,") and many.endswith("and others): no answer. Do: switch it on")


MESSAGES = [
    ("port 80 is no port. Expected: 1024 to 65535. Do: ./colab-ready -e colab_port=9000.", "port 80 is no port", "./colab-ready -e colab_port=9000"),
    ("This host does not fit (2 problems).\n1. a is wrong. Expected: b. Do: c.\n2. d is. Expected: e. Do: f.", "a is wrong", "c"),
    ("uv fell over.\nMore of it", "uv fell over.", ""),
    ("", "no message", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what", "do"), MESSAGES)
def test_of_a_message_the_first_problem_is_taken(text: str, what: str, do: str) -> None:
    assert record.of_problems(text) == (what, do)


def test_a_report_becomes_the_parts_of_a_record() -> None:
    report: dict[str, Any] = {
        "ready": False,
        "reasons": ["tensor_add: it hangs"],
        "backend": {"name": "cuda", "adapter": 1},
        "adapters": [{"index": 0, "name": "UHD"}, {"index": 1, "name": "RTX 3060", "driver_version": "580.1"}],
        "versions": {"torch": "2.13.0+cu130"},
        "checks": {"tensor_add": {"ok": False, "device": "cuda", "throughput": {"device_bytes_per_second": 9}}},
        "remedies": [{"id": "browser_x", "do": "not this"}, {"id": "y", "cause": "The driver hangs", "do": "restart"}],
    }
    parts = record.of_report(report)
    assert (parts["state"], parts["cause"], parts["do"]) == ("not ready", "The driver hangs", "restart")
    assert (parts["gpu"], parts["driver"], parts["torch"], parts["throughput"]) == (
        "RTX 3060",
        "580.1",
        "2.13.0+cu130",
        9,
    )
    ready = record.of_report({**report, "ready": True, "reasons": [], "remedies": []})
    assert (ready["state"], ready["cause"], ready["do"]) == ("ready", "", "")
    assert record.of_report({})["state"] == "not ready"

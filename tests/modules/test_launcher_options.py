"""Every option of ansible-playbook that people use, on a READY and on a broken host: the right exit status, the right last line.

`./colab-ready` runs for real (tests/launcher_sandbox.py), and so do Ansible, the callbacks and the role readiness. Stand-ins are
the module that proves, and the playbooks, which are as short as can be.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from launcher_sandbox import ONLY_ROOT, PROJECT, Ended, Sandbox, sandbox

pytestmark = ONLY_ROOT

# Writes the report as the real module does, and proves nothing.
REPORT_STAND_IN = """#!/usr/bin/python
# STAND-IN for library/readiness_report.py
import json
import os
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"gpu": {"type": "dict"}, "report": {}, "timeout_seconds": {"type": "float"}})
    path = module.params["report"]
    ready = not os.path.exists(os.path.dirname(path) + "/server-down")
    remedy = {"id": "down", "cause": "The server is down", "do": "colab-runtime start", "where": "linux"}
    report = {"ready": ready, "remedies": [] if ready else [remedy]}
    with open(path, "w") as file:
        json.dump(report, file)
    summary = {"host": "uname", "ready": ready, "reasons": [] if ready else ["refused"], "address_hint": "./colab-ready url"}
    module.exit_json(ready=ready, report=report, report_path=path, summary=summary, message="a message")


main()
"""
HEAD = "- name: A play\n  hosts: colab_hosts\n  become: true\n  gather_facts: false\n"
VERIFY = f"---\n{HEAD}  roles:\n    - {{role: readiness, tags: [verify]}}\n"
SITE = f"""---
{HEAD}  pre_tasks:
    - {{name: Build a thing, ansible.builtin.command: "true", tags: [python]}}
  roles:
    - {{role: readiness, tags: [verify]}}
  post_tasks:
    - {{name: Tidy up, ansible.builtin.debug: {{}}}}
"""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.use_real_ansible()
        (made.checkout / "playbooks" / "site.yml").write_text(SITE)
        (made.checkout / "playbooks" / "verify.yml").write_text(VERIFY)
        (made.checkout / "library" / "readiness_report.py").write_text(REPORT_STAND_IN)
        shutil.copytree(PROJECT / "roles" / "readiness", made.checkout / "roles" / "readiness")
        defaults = made.checkout / "roles" / "readiness" / "defaults" / "main.yml"
        defaults.write_text(f"---\nreadiness_report: '{made.state}/report.json'\nreadiness_timeout_seconds: 9\n")
        made.unset("new-report", "proofs")
        yield made


# What a run ends with: its exit status, and its last lines.
READY = (0, r"READY  \d changed, \S+ s\naddress: \./colab-ready url")
PROVEN = (0, r"READY  0 changed, \S+ s")
NOT_READY = (
    2,
    r"NOT READY  \d changed, \S+ s\n  refused\n  to do: The server is down: colab-runtime start \(in Linux\)",
)
LEFT_OUT = (
    0,
    r"done  \d changed, \S+ s\n  the proof was left out, and nothing is said of READY\. Do: \./colab-ready verify",
)
CHECK = (0, r"check mode  \d would change; nothing was changed, nothing proven")
NO_TASK = (1, r"colab-ready: the run ended without proving that the computer is READY\.")
NO_HOST = (1, r".*Could not match supplied host pattern, ignoring: nobody")
NO_TERMINAL = (2, r"colab-ready: --step asks at a terminal before each task, and there is none\. .*Do: .*")
LOOKED = (0, r"(?s:(?!.*READY).*)")
PROOF = "Prove the tensor sum and the way from Colab"

SAME: dict[tuple[str, ...], tuple[int, str]] = {
    ("--check",): CHECK,
    ("--check", "-v"): CHECK,
    ("--tags", "python"): LEFT_OUT,
    ("--skip-tags", "verify", "-v"): LEFT_OUT,
    ("--start-at-task", "Tidy up"): LEFT_OUT,
    ("--start-at-task", "No such task"): NO_TASK,
    ("--limit", "nobody"): NO_HOST,
    ("--step",): NO_TERMINAL,
    ("--list-tasks",): LOOKED,
    ("--list-tags",): LOOKED,
    ("--list-hosts",): LOOKED,
    ("--syntax-check",): LOOKED,
}
PROVING = [
    (),
    ("-v",),
    ("-vv",),
    ("-vvvv",),
    ("--diff",),
    ("--tags", "verify"),
    ("--tags", "python,verify", "-v"),
    ("--skip-tags", "python"),
    ("--limit", "localhost"),
    ("--start-at-task", PROOF),
    ("--start-at-task", f"readiness : {PROOF}", "-v"),
]
ROWS = [
    *((options, *expected, *expected) for options, expected in SAME.items()),
    *((options, *READY, *NOT_READY) for options in PROVING),
    *((("verify", *options), *PROVEN, *NOT_READY) for options in ((), ("-vvv",), ("--tags", "verify"))),
    *(
        (("verify", *options), *expected, *expected)
        for options, expected in ((("--tags", "python"), LEFT_OUT), (("-C",), CHECK))
    ),
]


def ends(ended: Ended, status: int, last: str) -> None:
    out = ended.out + ended.err
    assert ended.status == status, out
    assert re.search(rf"(?:\A|\n){last}\n*\Z", out), out
    assert "undefined" not in out and "Traceback" not in out


@pytest.mark.parametrize(
    ("arguments", "status", "last", "broken_status", "broken_last"), ROWS, ids=[" ".join(row[0]) or "-" for row in ROWS]
)
def test_an_option_ends_with_the_right_status_and_the_right_last_line(
    box: Sandbox, arguments: tuple[str, ...], status: int, last: str, broken_status: int, broken_last: str
) -> None:
    ends(box.run(*arguments), status, last)
    if (status, last) not in (LOOKED, NO_HOST, NO_TERMINAL):  # they look at no host
        box.set(**{"server-down": ""})
        ends(box.run(*arguments), broken_status, broken_last)


@pytest.mark.parametrize("callback", ["default", "minimal"])
def test_another_stdout_callback_changes_neither_the_status_nor_the_verdict(box: Sandbox, callback: str) -> None:
    box.use_real_ansible(callback)
    for arguments, (status, last) in (((), READY), (("verify", "--json"), PROVEN), (("--tags", "python"), LEFT_OUT)):
        ended = box.run(*arguments)
        assert ended.status == status, ended.err
        # What a foreign callback prints may be read by a program: the verdict stands beside it.
        assert re.search(last.partition(r"\naddress")[0], ended.err) and "READY  " not in ended.out
    box.set(**{"server-down": ""})
    ends(box.run(), *NOT_READY)
    (box.checkout / "callback_plugins" / "colab_verdict.py").unlink()
    assert box.run().status == 2
    box.unset("server-down")
    assert (box.run().status, box.run("--tags", "python").status) == (0, 1), "the report says so, whoever listens"


def test_hosts_are_called_by_their_names_in_the_inventory(box: Sandbox) -> None:
    local = "{ansible_connection: local, ansible_python_interpreter: /usr/bin/python3}"
    (box.cwd / "hosts.yml").write_text(f"colab_hosts: {{hosts: {{pc-1: {local}, pc-2: {local}}}}}")
    ended = box.run("-i", "hosts.yml", "-v")
    ends(ended, *READY)
    assert re.findall(r"(?m)^(pc-\d) +-", ended.out) == ["pc-1", "pc-2"] and "uname  " not in ended.out
    box.set(**{"server-down": ""})
    assert "\n  pc-1: refused\n" in box.run("-i", "hosts.yml").out
    ended = box.run("-i", "hosts.yml", "--limit", "nobody")
    assert ended.status == 1 and "or --limit names none of its hosts" in ended.err


def test_with_the_real_ansible_and_callback_a_run_that_proves_nothing_is_not_ready(box: Sandbox) -> None:
    tasks = "  tasks:\n    - name: Do a thing\n      ansible.builtin.command: 'test {{ given }} = {{ of_group }}'\n"
    play = f"---\n- name: A play\n  hosts: colab_hosts\n  become: true\n  gather_facts: false\n{tasks}"
    (box.checkout / "playbooks" / "site.yml").write_text(play)
    (box.cwd / "vars.yml").write_text("given: 2\n")
    ended = box.run("-e", "@vars.yml", "-e", "of_group=2")
    assert ended.status == 1, ended.out + ended.err
    assert "Do a thing" in ended.out and "done  1 changed" in ended.out
    assert "without proving that the computer is READY" in ended.err
    assert not (box.home / ".ansible").exists(), "nothing is left in the home"
    (box.cwd / "group_vars").mkdir()
    (box.cwd / "group_vars" / "colab_hosts.yml").write_text('of_group: "{{ 1 + 1 }}"\n')
    (box.cwd / "hosts.yml").write_text("colab_hosts:\n  hosts:\n    here:\n      ansible_connection: local\n")
    again = box.run("-i", "hosts.yml", "-e", "@vars.yml")
    assert "done  1 changed" in again.out, again.out + again.err

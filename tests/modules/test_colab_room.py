"""The callback of a room, in real runs of ansible-playbook with modules that stand in, and the command `lab` around it."""

from __future__ import annotations

import csv
import html.parser
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher_sandbox import PROJECT, Sandbox, sandbox

HOSTILE = "<script>alert(1)</script>"
REPORT_STAND_IN = f"""#!/usr/bin/python3
# STAND-IN for readiness_report
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({{"ready": {{"type": "bool"}}}})
ready = module.params["ready"]
remedies = [] if ready else [{{"id": "x", "cause": "{HOSTILE}", "do": "=cmd()", "where": "linux"}}]
report = {{"ready": ready, "reasons": [] if ready else ["no"], "remedies": remedies, "backend": {{"name": "cpu"}}}}
module.exit_json(summary={{"ready": ready}}, report=report, report_path="/x")
"""
ROOM = """
- name: Set up a room
  hosts: colab_hosts
  gather_facts: false
  tasks:
    - name: Say what is
      ansible.builtin.set_fact: {ready: "{{ inventory_hostname == 'good' }}"}
    - name: Look whether it is there
      ansible.builtin.command: "true"
      changed_when: false
    - name: Refuse a wrong port
      ansible.builtin.fail: {msg: "port 80 is no port. Expected: 1024 to 65535. Do: ./colab-ready -e colab_port=9000."}
      when: inventory_hostname == 'refused'
    - name: Prove it
      readiness_report: {ready: "{{ ready }}"}
      register: proof
    - name: Say READY, or why not
      ansible.builtin.assert: {that: proof.report.ready, quiet: true}
"""
# Port 9, discard: nothing listens there.
HOSTS = """
[colab_hosts]
good ansible_connection=local
bad ansible_connection=local
refused ansible_connection=local
away ansible_host=127.0.0.1 ansible_port=9 ansible_connection=ssh
[colab_hosts:vars]
ansible_python_interpreter=%s
"""


class Text(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def play(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    library = folder / "library"
    library.mkdir(exist_ok=True)
    (library / "readiness_report.py").write_text(REPORT_STAND_IN)
    (folder / "playbook.yml").write_text(ROOM)
    (folder / "hosts.ini").write_text(HOSTS % sys.executable)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environ = {
        **kept,
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_LIBRARY": str(library),
        "ANSIBLE_STDOUT_CALLBACK": "colab_room",
        "ANSIBLE_STRATEGY": "host_pinned",
        "ANSIBLE_TIMEOUT": "3",
        "COLAB_READY_ROOM": str(folder / "room"),
        "LC_ALL": "C.UTF-8",
    }
    books = [str(folder / "hosts.ini"), str(folder / "playbook.yml")]
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", *books, *options]
    return subprocess.run(command, env=environ, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def ended(room: Path) -> subprocess.CompletedProcess[str]:
    return play(room)


def test_each_computer_is_one_line_with_what_became_of_it(ended: subprocess.CompletedProcess[str]) -> None:
    lines = [line.split() for line in ended.stdout.splitlines()]
    found = {line[1]: line[2:] for line in lines if line and line[0] in "✓✗-"}
    assert found.keys() == {"good", "bad", "refused", "away"}, ended.stdout + ended.stderr
    assert found["good"][0] == "READY" and found["good"][-1] == "cpu"
    assert found["bad"][:2] == ["NOT", "READY"] and found["away"][0] == "off"
    assert "STOPPED" in found["refused"] and "“Refuse a wrong port”" in ended.stdout
    assert "NOT READY  " not in ended.stderr and "STOPPED  0 changed" not in ended.stdout


def test_the_end_says_what_is_to_be_done_and_for_whom_again(ended: subprocess.CompletedProcess[str]) -> None:
    end = ended.stdout.splitlines()
    assert "  refused: port 80 is no port. Do: ./colab-ready -e colab_port=9000" in end
    assert any(line.startswith("  away: it answers, and nothing there listens for ssh.") for line in end)
    assert any(line.startswith("1 READY, 1 off, 1 STOPPED, 1 NOT READY  of 4") for line in end)
    assert "again, for these alone: --limit bad,refused,away" in end
    assert ended.returncode not in (0, 250), ended.stderr


def test_the_records_the_table_and_the_page_are_there_and_nothing_in_them_is_run(
    room: Path, ended: subprocess.CompletedProcess[str]
) -> None:
    folder = room / "room"
    records = {path.stem: json.loads(path.read_text()) for path in (folder / "hosts").iterdir()}
    assert {name: one["state"] for name, one in records.items()} == {
        "good": "ready", "bad": "not ready", "refused": "stopped", "away": "off",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    page = Text((folder / "room.html").read_text())
    assert (
        "script" not in page.tags
        and HOSTILE in page.text
        and "default-src 'none'" in (folder / "room.html").read_text()
    )
    rows = list(csv.DictReader((folder / "room.csv").open()))
    assert [row["name"] for row in rows] == ["bad", "refused", "away", "good"] and rows[0]["do"] == "'=cmd()"


def test_a_run_for_some_keeps_what_is_known_of_the_others(room: Path, ended: subprocess.CompletedProcess[str]) -> None:
    again = play(room, "--limit", "good")
    assert again.returncode == 0 and "1 READY  of 1" in again.stdout
    known = json.loads((room / "room" / "room.json").read_text())["hosts"]
    assert [one["name"] for one in known] == ["bad", "refused", "away", "good"]


def test_with_v_the_tasks_are_shown_as_well(tmp_path: Path) -> None:
    shown = play(tmp_path, "-v", "--limit", "good,refused")
    assert "TASK [Look whether it is there]" in shown.stdout and "1 READY, 1 STOPPED  of 2" in shown.stdout


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        (made.checkout / "playbooks").mkdir(exist_ok=True)
        yield made


LISTED = {"_meta": {"hostvars": {"pc-1": {}, "pc-2": {}}}, "colab_hosts": {"hosts": ["pc-1", "pc-2"]}}
REFUSED = [
    ([], "which room is not said"),
    (["-i", "nowhere.csv"], "there is no nowhere.csv"),
    (["--plan", "--remove", "-i", "room.csv"], "--plan and --remove cannot be done at once"),
    (["-i", "room.csv", "--nonsense"], "--nonsense"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_is_no_room_is_one_message(box: Sandbox, words: list[str], said: str) -> None:
    (box.cwd / "room.csv").write_text("name\npc-1\n")
    ended = box.run("lab", *words)
    assert (ended.status, ended.out) == (2, "") and ended.err.count("colab-ready: ") == 1
    assert said in ended.err and "Do: " in ended.err and not box.calls()


@pytest.mark.parametrize(
    ("mode", "playbook", "plans"),
    [([], "site", ""), (["--plan"], "plan", "1"), (["--verify"], "verify", ""), (["--addresses"], "addresses", "")],
)
def test_a_room_is_one_run_with_the_callers_rights(box: Sandbox, mode: list[str], playbook: str, plans: str) -> None:
    (box.cwd / "room.csv").write_text("name\npc-1\n")
    box.set(listed=json.dumps(LISTED), proofs='{"pc-1": {"ready": true}, "pc-2": {"ready": true}}')
    ended = box.run("lab", "-i", "room.csv", *mode)
    assert ended.status == 0, ended.err
    assert box.arguments().startswith(f"{playbook}.yml [--inventory=room.csv]") and not box.calls("sudo")
    seen = box.seen_environment()
    assert seen["ANSIBLE_INVENTORY_ENABLED"].split(",")[0] == "lab_csv" and "ini" not in seen[
        "ANSIBLE_INVENTORY_ENABLED"
    ].split(",")
    assert (seen["ANSIBLE_STRATEGY"], seen["ANSIBLE_FORKS"]) == ("host_pinned", "2")
    assert "BatchMode=yes" in seen["ANSIBLE_SSH_ARGS"] and seen["COLAB_READY_ROOM_PLANS"] == plans
    # A run that fetches addresses says nothing new of the computers.
    assert seen["COLAB_READY_ROOM"].startswith(str(box.home)) is (mode != ["--addresses"])
    assert ("lab_addresses" in box.arguments()) is (mode == ["--addresses"])


def test_a_room_is_well_only_where_every_computer_is_ready(box: Sandbox) -> None:
    (box.cwd / "room.csv").write_text("name\npc-1\n")
    box.set(listed=json.dumps(LISTED), proofs='{"pc-1": {"ready": true}, "pc-2": {"ready": false}}')
    assert box.run("lab", "-i", "room.csv").status == 1


def test_two_runs_for_one_room_are_not_at_once(box: Sandbox) -> None:
    (box.cwd / "room.csv").write_text("name\npc-1\n")
    box.set(**{"listed": json.dumps(LISTED), "ansible-waits": ""})
    first = box.start("lab", "-i", "room.csv")
    box.wait_for("ansible-started")
    second = box.run("lab", "-i", "room.csv")
    box.unset("ansible-waits")
    first.communicate(timeout=30)
    assert second.status == 1 and "another ./colab-ready lab works on this room" in second.err


def test_a_list_with_mistakes_is_what_its_plugin_says_and_no_more(box: Sandbox) -> None:
    (box.cwd / "room.csv").write_text("name;adress\npc 1;x\n")
    box.use_real_ansible()
    ended = box.run("lab", "-i", "room.csv")
    lines = ended.err.splitlines()
    assert ended.status == 1 and lines[0].endswith("No computer was taken from it."), ended.err
    assert [line[:3] for line in lines[1:-1]] == ["1. ", "2. ", "3. "] and lines[-1].startswith(
        "colab-ready: this list is no room."
    )

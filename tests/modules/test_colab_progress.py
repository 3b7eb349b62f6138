"""The callbacks in real runs of ansible-playbook: without a terminal, on one, with -v, interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
SECRET = "hunter2-must-not-be-seen"

# Answers as the real module does, and proves nothing.
REPORT_STAND_IN = """#!/usr/bin/python
# STAND-IN for library/readiness_report.py
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"ready": {"type": "bool", "default": True}}, supports_check_mode=True)
    ready = module.params["ready"]
    module.warn("this report comes from a stand-in")
    remedy = {"id": "down", "cause": "The server is down", "do": "colab-runtime start", "where": "linux"}
    summary = {
        "host": "stand-in",
        "ready": ready,
        "backend": "cpu",
        "gpu": "none",
        "tensor_sum": "ok (cpu)",
        "handshake": "ok" if ready else "failed",
        "seconds": 3.14159,
        "reasons": [] if ready else ["colab_handshake: connection refused"],
        "address_hint": "./colab-ready url",
    }
    module.exit_json(changed=False, report={"remedies": [] if ready else [remedy]}, summary=summary)


main()
"""

HEAD = """---
- name: Try the output
  hosts: all
  gather_facts: false
  tasks:
"""

EVERYTHING = (
    HEAD
    + """
    - name: Have {{ 'a templated' }} name
      ansible.builtin.command: "true"
      changed_when: true
    - name: Set a fact
      ansible.builtin.set_fact:
        secret: """
    + SECRET
    + """
    - name: Leave this out
      ansible.builtin.command: "false"
      when: false
    - name: Include more
      ansible.builtin.include_tasks: more.yml
    - name: Hide the secret
      ansible.builtin.command: "ls {{ secret }}"
      no_log: true
      ignore_errors: true
      changed_when: false
    - name: Hide the secret of an item
      ansible.builtin.command: "ls {{ item }}"
      loop: ["{{ secret }}"]
      no_log: true
      ignore_errors: true
      changed_when: false
    - name: Take a list
      ansible.builtin.command: "ls /nowhere/{{ item }}"
      loop: [one, two]
      ignore_errors: true
      changed_when: false
    - name: Tell something
      ansible.builtin.debug:
        msg: a message for the reader
    - name: Take long
      ansible.builtin.command: sleep 11.2
      changed_when: false
    - name: Write the report
      readiness_report:
"""
)

STOPPING = (
    HEAD
    + """
    - name: Refuse a taken port
      ansible.builtin.fail:
        msg: |-
          port 8888 is taken by python3 (pid 4711).
          Do: -e colab_port=9000
"""
)

REPORTING = (
    HEAD
    + """
    - name: Take a moment
      ansible.builtin.command: sleep {{ nap | default(1.5) }}
      changed_when: change | default(false) | bool
    - name: Write the report
      readiness_report:
        ready: "{{ ready | default(true) | bool }}"
      register: report
    - name: Refuse to call it ready
      ansible.builtin.fail:
        msg: "{{ report.summary.reasons }}"
      when: not report.summary.ready
"""
)


WSL_STAND_IN = """#!/usr/bin/python
# STAND-IN for library/wsl_host.py
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"problem": {"type": "bool"}}, supports_check_mode=True)
    remedy = {"id": "wsl_shutdown", "cause": "WSL waits", "do": "wsl --shutdown", "where": "windows"}
    if module.params["problem"]:
        module.fail_json(msg="Windows is out of reach", changed=True, remedies=[remedy])
    module.exit_json(changed=True, remedies=[remedy])


main()
"""

GPU_STAND_IN = """#!/usr/bin/python
# STAND-IN for library/gpu_device.py
from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={"work": {"type": "dict"}}, supports_check_mode=True)
    module.exit_json(changed=False, backend={"work": module.params["work"]})


main()
"""

BUILDING = (
    HEAD.replace("  tasks:", "  roles:\n    - role: python_env\n  post_tasks:")
    + """
    - name: Decide
      gpu_device:
        work: {text: CPU is to be set up}
    - name: Decide once more, when it is there
      gpu_device: {}
"""
)

WITHOUT_REPORT = (
    HEAD
    + """
    - name: Change WSL
      wsl_host:
        problem: "{{ problem | default(false) | bool }}"
"""
)


@dataclass
class Ended:
    status: int
    out: str
    err: str
    ready: dict[str, bool | None] | None  # by host, as the launcher learns it
    # What came at one time.
    pieces: list[str] = field(default_factory=list)

    def line(self, text: str) -> str:
        """The one line that has the text."""
        found = [line for line in self.out.splitlines() if text in line]
        assert len(found) == 1, (text, self.out)
        return found[0]


class Runs:
    """Playbooks of a temporary folder, run with the checkout's configuration and the stand-in for the report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.proofs = folder / "proofs"
        (folder / "library").mkdir()
        (folder / "library" / "readiness_report.py").write_text(REPORT_STAND_IN)
        (folder / "library" / "wsl_host.py").write_text(WSL_STAND_IN)
        (folder / "library" / "gpu_device.py").write_text(GPU_STAND_IN)
        for role in ("python_env", "readiness"):
            (folder / "roles" / role / "tasks").mkdir(parents=True)
            (folder / "roles" / role / "tasks" / "main.yml").write_text("[]\n")
        (folder / "more.yml").write_text("---\n- name: Do an included thing\n  ansible.builtin.command: 'true'\n")

    def command(self, playbook: str, *options: str, hosts: str = "localhost,") -> list[str]:
        path = self.folder / "playbook.yml"
        path.write_text(playbook)
        self.proofs.unlink(missing_ok=True)
        local = ["-i", hosts, "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"]
        return [ANSIBLE_PLAYBOOK, str(path), *local, *options]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        return {
            **kept,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_LIBRARY": str(self.folder / "library"),
            "COLAB_READY_PROOFS": str(self.proofs),
            "LC_ALL": "C.UTF-8",
            # A pipe's buffer, as with everybody; empty counts as not set.
            "PYTHONUNBUFFERED": "",
            **more,
        }

    def plain(self, playbook: str, *options: str, hosts: str = "localhost,", **environment: str) -> Ended:
        pieces = []
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                self.command(playbook, *options, hosts=hosts),
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            assert process.stdout is not None
            while piece := os.read(process.stdout.fileno(), 65536):
                pieces.append(piece.decode())
            status = process.wait(120)
            errors.seek(0)
            err = errors.read().decode()
        return Ended(status, "".join(pieces), err, self._ready(), pieces)

    def on_terminal(self, playbook: str, *options: str, press: str = "", when: str = "", **environment: str) -> Ended:
        """The same on a pseudo terminal; out is all that was written to it. `press` is typed once `when` is there."""
        command = self.command(playbook, *options)
        variables = self.environment(**{"TERM": "xterm-256color", "COLUMNS": "100", **environment})
        child, terminal = pty.fork()
        if child == 0:
            os.execve(command[0], command, variables)
        out = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                out += piece
            if press and when.encode() in out:
                os.write(terminal, press.encode())
                press = ""
        else:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"still running after 60 s: {out.decode()!r}")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        return Ended(status, out.decode(), "", self._ready())

    def _ready(self) -> dict[str, bool | None] | None:
        if not self.proofs.exists():
            return None
        return {host: proof and proof["ready"] for host, proof in json.loads(self.proofs.read_text()).items()}


def visible(raw: str) -> str:
    """What is left on the terminal: lines as they were last drawn, without colours."""
    lines = [line.rsplit("\r\x1b[2K", 1)[-1] for line in raw.replace("\r\n", "\n").split("\n")]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return Runs(tmp_path_factory.mktemp("everything")).plain(EVERYTHING)


def test_a_finished_step_is_one_line_with_its_seconds(everything: Ended) -> None:
    assert everything.status == 0, everything.out + everything.err
    assert re.fullmatch(r"changed +[\d.]+ s  Have a templated name", everything.line("Have a templated name"))
    assert re.fullmatch(r"changed +[\d.]+ s  Do an included thing", everything.line("Do an included thing"))


def test_skipped_steps_and_the_machinery_are_not_shown(everything: Ended) -> None:
    assert "Leave this out" not in everything.out
    assert "Include more" not in everything.out
    assert "Set a fact" not in everything.out


def test_a_step_of_more_than_ten_seconds_says_that_it_lives(everything: Ended) -> None:
    lines = [line for line in everything.out.splitlines() if "Take long" in line]
    assert len(lines) >= 2, everything.out
    assert re.fullmatch(r"running +10 s  Take long", lines[0])
    assert re.fullmatch(r"ok +\d+ s  Take long", lines[-1])


def test_what_is_said_to_a_pipe_is_not_kept_until_the_end(everything: Ended) -> None:
    """Ansible flushes nothing while a step runs: to who reads a log, a long step was silence."""
    (lives,) = [piece for piece in everything.pieces if re.search(r"running +10 s", piece)]
    assert not re.search(r"ok .*Take long", lives)


def test_no_log_is_respected(everything: Ended) -> None:
    assert re.match(r"ignored ", everything.line("  Hide the secret of an item"))
    assert SECRET not in everything.out + everything.err


def test_a_failed_loop_tells_the_failures_of_its_items(everything: Ended) -> None:
    assert "/nowhere/one" in everything.out and "/nowhere/two" in everything.out
    assert "{" not in everything.out, "a failure is text, no JSON"


def test_debug_messages_are_shown(everything: Ended) -> None:
    assert everything.line("a message for the reader") == "    a message for the reader"


def test_a_warning_of_a_module_is_shown_once(everything: Ended) -> None:
    assert (everything.out + everything.err).count("comes from a stand-in") == 1


def test_the_end_is_the_table_and_the_number_of_changes(everything: Ended) -> None:
    tail = everything.out.splitlines()[-4:]
    assert tail.pop(2) == ""
    assert tail[0].split() == ["host", "backend", "GPU", "tensor", "sum", "handshake", "seconds"]
    assert tail[1].split() == ["localhost", "cpu", "none", "ok", "(cpu)", "ok", "3.1"]
    assert tail[2].startswith("READY  2 changed, ")
    assert everything.ready == {"localhost": True}


def test_a_failure_is_the_message_of_the_module_as_one_block(runs: Runs) -> None:
    ended = runs.plain(STOPPING)
    assert ended.status == 2
    assert "\n\n    port 8888 is taken by python3 (pid 4711).\n    Do: -e colab_port=9000\n\n" in ended.out
    assert "STOPPED  0 changed" in ended.out and "stopped at: Refuse a taken port" in ended.out
    assert "{" not in ended.out + ended.err and "Traceback" not in ended.out + ended.err
    assert ended.ready == {"localhost": None}


def test_who_reads_only_the_beginning_reads_no_complaint_and_gets_the_status(runs: Runs) -> None:
    command = f"set -o pipefail; {shlex.join(runs.command(STOPPING))} | head -1"
    done = subprocess.run(["bash", "-c", command], env=runs.environment(), text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "")


def test_not_ready_shows_reasons_and_remedies_once(runs: Runs) -> None:
    ended = runs.plain(REPORTING, "-e", "ready=false", "-e", "nap=0")
    assert ended.status == 2 and ended.ready == {"localhost": False}
    assert "NOT READY  0 changed" in ended.out
    assert ended.line("connection refused") == "  colab_handshake: connection refused"
    assert ended.line("to do:") == "  to do: The server is down: colab-runtime start (in Linux)"


def test_a_run_without_a_report_ends_with_what_waits_for_windows(runs: Runs) -> None:
    ended = runs.plain(WITHOUT_REPORT)
    assert (ended.status, ended.ready) == (0, {"localhost": None})
    assert ended.out.splitlines()[-1] == "  to do: WSL waits: wsl --shutdown (in Windows)"
    several = runs.plain(WITHOUT_REPORT, hosts="one,two,")
    assert [line.split(": ")[0] for line in several.out.splitlines()[-2:]] == ["  one", "  two"]
    stopped = runs.plain(WITHOUT_REPORT, "-e", "problem=true")
    assert (stopped.status, stopped.ready) == (2, {"localhost": None})
    assert stopped.out.splitlines()[-2:] == [
        "  stopped at: Change WSL",
        "  to do: WSL waits: wsl --shutdown (in Windows)",
    ]
    assert "shutdown" not in runs.plain(WITHOUT_REPORT, "--check").out


def test_check_mode_says_so_and_proves_nothing(runs: Runs) -> None:
    ended = runs.plain(REPORTING, "--check")
    assert ended.status == 0
    assert ended.out.startswith("check mode: nothing will be changed\n")
    assert "0 would change; nothing was changed, nothing proven" in ended.out
    assert "READY" not in ended.out


@pytest.mark.parametrize("hosts", ["localhost,", "one,two,"])
@pytest.mark.parametrize("check", [False, True])
def test_what_is_to_be_fetched_is_said_once_before_it_begins_and_by_check_mode_at_the_end(
    runs: Runs, hosts: str, check: bool
) -> None:
    out = runs.plain(BUILDING, *(["--check"] if check else []), hosts=hosts).out
    names = hosts.rstrip(",").split(",")
    lines = [f"{name}: CPU is to be set up" if len(names) > 1 else "CPU is to be set up" for name in names]
    assert sorted(line.strip() for line in out.splitlines() if "CPU" in line) == lines, out
    assert ("once more" in out.split("CPU is to be set up")[0]) is check
    assert "CPU" not in runs.plain(BUILDING.replace("role: python_env", "role: readiness"), hosts=hosts).out or check


def test_several_hosts_get_a_row_each_and_lines_with_their_names(runs: Runs) -> None:
    ended = runs.plain(REPORTING, "-e", "nap=0", "-e", "change=true", hosts="one,two,")
    assert ended.status == 0 and ended.ready == {"one": True, "two": True}
    assert "Take a moment [one]" in ended.out and "Take a moment [two]" in ended.out
    assert re.findall(r"(?m)^(\w+) +cpu", ended.out) == ["one", "two"]
    assert "READY  2 changed" in ended.out


def test_the_launchers_file_is_optional(runs: Runs) -> None:
    ended = runs.plain(REPORTING, "-e", "nap=0", COLAB_READY_PROOFS="")
    assert ended.status == 0
    assert "address: ./colab-ready url" in ended.out, "nobody else tells where the address is"


def masked(text: str) -> str:
    return re.sub(r"\d+(:\d+)*\.?\d*", "N", text)


def test_with_v_the_output_is_that_of_the_default_callback_and_then_the_verdict(runs: Runs) -> None:
    options = ("-e", "ready=false", "-e", "nap=0", "-v")
    ours = runs.plain(REPORTING, *options)
    default = runs.plain(REPORTING, *options, ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default")
    assert "PLAY RECAP" in default.out and masked(ours.out).startswith(masked(default.out))
    end = masked(ours.out.removeprefix(ours.out[: len(default.out)]))
    assert "NOT READY  N changed, N s\n  colab_handshake: connection refused\n  to do: The server is down" in end
    assert masked(default.err) == masked(ours.err) + end, "what a foreign callback prints may be read by a program"
    assert ours.ready == default.ready == {"localhost": False}


def test_a_play_on_another_host_does_not_spoil_the_verdict(runs: Runs) -> None:
    beside = "\n- name: Beside it\n  hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n"
    ended = runs.plain(REPORTING.replace("hosts: all", "hosts: one") + beside, "-e", "nap=0", hosts="one,localhost,")
    assert ended.status == 0 and re.search(r"(?m)^READY  0 changed", ended.out), ended.out
    assert ended.ready == {"one": True, "localhost": None}
    assert not re.search(r"(?m)^localhost +", ended.out)


def test_on_a_terminal_the_running_step_ticks_and_leaves_no_trace(runs: Runs) -> None:
    ended = runs.on_terminal(REPORTING)
    assert ended.status == 0, ended.out
    drawn = re.findall(r"\r\x1b\[2K  (.) +(\d+) s  Take a moment", ended.out)
    assert {"0", "1"} <= {seconds for _frame, seconds in drawn}, "the time ticks"
    assert len({frame for frame, _seconds in drawn}) > 3, "the sign of life moves"
    left = visible(ended.out)
    assert re.search(r"(?m)^  ✓ +[\d.]+ s  Take a moment$", left), left
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", left), left
    assert re.search(r"(?m)^\[WARNING\]: this report comes from a stand-in$", left), "a warning has its own line"
    assert re.search(r"(?m)^READY  0 changed", left)


def test_a_terminal_that_moves_no_cursor_gets_plain_lines(runs: Runs) -> None:
    ended = runs.on_terminal(REPORTING, "-e", "nap=0", TERM="dumb", ANSIBLE_NOCOLOR="1")
    assert ended.status == 0, ended.out
    assert "\x1b[" not in ended.out
    assert re.search(r"(?m)^ok +[\d.]+ s  Take a moment\r$", ended.out), ended.out


def test_a_terminal_without_colours_gets_none(runs: Runs) -> None:
    ended = runs.on_terminal(REPORTING, "-e", "nap=0", NO_COLOR="1")
    assert ended.status == 0, ended.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", ended.out), ended.out


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_ends_the_run_and_clears_the_line(runs: Runs) -> None:
    ended = runs.on_terminal(REPORTING, "-e", "nap=31.4159", press="\x03", when="Take a moment")
    assert ended.status != 0
    assert ended.ready is None
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", visible(ended.out)), ended.out

    def gone() -> bool:
        return subprocess.run(["pgrep", "-f", "sleep 31.4159"], capture_output=True).returncode != 0

    assert wait_until(gone), "the interrupted step is ended, too"

"""`./colab-ready` as a new user meets it: a bare host, a checkout, one command, and a way to become root."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import docker_engine
import pytest
import readme_commands
import terminal
import websockets

CHECKS = Path(__file__).resolve().parent
MINUTE = 60


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a shell on a fresh host and a checkout in the home directory."""

    host: Any
    user: str
    home: str
    folder: str = "my checkout"  # a blank in the path is nothing special

    @property
    def checkout(self) -> str:
        return f"{self.home}/{self.folder}"

    def colab_ready(self, *arguments: str, timeout: float = 15 * MINUTE) -> subprocess.CompletedProcess[str]:
        return self.host.run("./colab-ready", *arguments, user=self.user, cwd=self.checkout, timeout=timeout)

    def shell(self, command: str, cwd: str = "") -> subprocess.CompletedProcess[str]:
        words = ["bash", "-c", command]
        return self.host.run(*words, user=self.user, cwd=cwd or self.checkout, timeout=15 * MINUTE)

    def address(self) -> str:
        answer = self.colab_ready("url")
        assert answer.returncode == 0, said(answer)
        assert re.fullmatch(r"http://localhost:8888/\?token=\S{32,}\n", answer.stdout)
        return answer.stdout

    def client(self, address: str) -> dict[str, Any]:
        """What a client that is not ours sees at that address."""
        answer = docker_engine.docker(
            "exec", "--interactive", self.host.name, "python3", "/var/tmp/checks/independent_client.py",
            check=False, stdin=address, timeout=5 * MINUTE,
        )  # fmt: skip
        assert answer.stdout.startswith("{"), said(answer)
        return dict(json.loads(answer.stdout))


def said(answer: subprocess.CompletedProcess[str]) -> str:
    return f"exit {answer.returncode}\n{answer.stdout[-6000:]}\n{answer.stderr[-6000:]}"


def arrive(host: Any, user: str, home: str, **more: str) -> Newcomer:
    newcomer = Newcomer(host, user, home, **more)
    host.receive(checkout.archive(), newcomer.checkout, user=user)
    host.run("mkdir", "-p", "/var/tmp/checks")
    for source in (str(CHECKS / "independent_client.py"), websockets.__path__[0]):
        docker_engine.docker("cp", source, f"{host.name}:/var/tmp/checks/")
    return newcomer


def root_on_systemd(start_host: Callable[..., Any]) -> Newcomer:
    return arrive(start_host("fresh-root", init="systemd"), "root", "/root")


def student_without_systemd(start_host: Callable[..., Any]) -> Newcomer:
    host = start_host("fresh-student", init="plain")
    allow = "echo 'student ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/student"
    made = host.run("sh", "-c", f"useradd --create-home --shell /bin/bash student && {allow}")
    assert made.returncode == 0, said(made)
    return arrive(host, "student", "/home/student", folder="origin")


def clone_and_run(newcomer: Newcomer) -> tuple[Newcomer, subprocess.CompletedProcess[str]]:
    """README's block of commands, but for its address, which is that of a folder here."""
    get_git, *rest = readme_commands.block()
    got = newcomer.shell(get_git)
    assert got.returncode == 0, said(got)
    commit = "git init -q -b main && git add -A && git -c user.name=x -c user.email=x@x.invalid commit -qm x"
    made = newcomer.shell(commit)
    assert made.returncode == 0, said(made)
    ran = newcomer.shell("\n".join(rest).replace(readme_commands.ADDRESS, newcomer.checkout), cwd=newcomer.home)
    return Newcomer(newcomer.host, newcomer.user, newcomer.home, folder="colab-ready"), ran


def address_of(newcomer: Newcomer, done: subprocess.CompletedProcess[str], port: int) -> str:
    """A run ended READY and says what holds beyond the defaults; the address with this port, where the server listens."""
    assert done.returncode == 0, said(done)
    line = f"settings: colab_port={port} (./colab-ready settings)"
    assert (line in done.stdout, "settings: " in done.stdout) == (port != 8888, port != 8888), said(done)
    address = newcomer.colab_ready("url").stdout
    assert address.startswith(f"http://localhost:{port}/?token=")
    assert f":{port:04X} 00000000:0000 0A" in newcomer.host.run("cat", "/proc/net/tcp").stdout
    return address


def what_the_readme_says(newcomer: Newcomer) -> None:
    """Each command of README that can be tried here, in README's words, and what must come of it."""
    for command, (status, wanted) in readme_commands.EXECUTED.items():
        words = command.replace("NAME", "bottle")
        if command[0] in "!%":
            words = f"/opt/colab-ready/kernels/cpu/bin/python -m IPython -c {shlex.quote(words)}"
        answer = newcomer.shell(words)
        assert answer.returncode == status, f"{command}\n{said(answer)}"
        assert re.search(wanted.replace("NAME", "bottle"), answer.stdout + answer.stderr), f"{command}\n{said(answer)}"


def what_was_asked_last_holds_by_ansible_itself(newcomer: Newcomer) -> None:
    """What an inventory sets is remembered, for ansible-playbook without the launcher too; what was refused is not."""
    found = newcomer.host.run(
        "sh", "-c", "echo /var/cache/colab-ready/controller-*/bin/ansible-playbook"
    ).stdout.strip()

    def ansible(*arguments: str) -> subprocess.CompletedProcess[str]:
        return newcomer.host.run(found, "playbooks/site.yml", *arguments, cwd=newcomer.checkout, timeout=15 * MINUTE)

    own = {"colab_hosts": {"hosts": {"localhost": {"ansible_connection": "local", "colab_port": "{{ 9000 + 2 }}"}}}}
    newcomer.host.run("sh", "-c", 'printf "%s" "$1" >/root/own.yml', "sh", json.dumps(own))
    address = address_of(newcomer, ansible("-i", "/root/own.yml"), 9002)
    refused = ansible("-e", "colab_backend=cuda")
    assert refused.returncode == 2, said(refused)
    assert address_of(newcomer, ansible(), 9002) == address
    assert newcomer.colab_ready("settings", "--reset").returncode == 0
    address_of(newcomer, newcomer.colab_ready(), 8888)


@pytest.mark.timeout(25 * MINUTE)
@pytest.mark.parametrize("story", [root_on_systemd, student_without_systemd], ids=lambda story: story.__name__)
def test_one_command_makes_a_bare_host_ready(start_host: Callable[..., Any], story: Callable[..., Newcomer]) -> None:
    newcomer = story(start_host)

    if story is root_on_systemd:
        first = newcomer.colab_ready()
    else:
        newcomer, first = clone_and_run(newcomer)
    assert first.returncode == 0, said(first)
    assert "READY" in first.stdout and "CPU is to be set up: about 0.4 GB to fetch" in first.stdout
    address = newcomer.address()
    assert address.strip() not in first.stdout + first.stderr, "without a terminal the token is printed on request only"

    seen = newcomer.client(address)
    assert seen["ok"], seen["failed"]

    second = newcomer.colab_ready()
    assert second.returncode == 0 and "to fetch" not in second.stdout, said(second)
    assert re.search(r"\b0 changed\b|\bchanged[=:]\s?0\b", second.stdout), said(second)

    proof = newcomer.colab_ready("verify", "--json")
    assert proof.returncode == 0, said(proof)
    assert json.loads(proof.stdout)["ready"] is True

    if story is root_on_systemd:
        what_was_asked_last_holds_by_ansible_itself(newcomer)
    else:
        what_the_readme_says(newcomer)
        again = newcomer.colab_ready()
        assert again.returncode == 0, said(again)
    # It went to other ports, of which each has a token of its own.
    address = newcomer.address()

    docker_engine.docker("restart", newcomer.host.name)
    if story is root_on_systemd:
        docker_engine.wait_for_boot(newcomer.host.name)
    else:
        again = newcomer.colab_ready()
        assert again.returncode == 0, said(again)
        assert "The token is new" in again.stdout, "nobody held the port at the boot, and the address is another one"
    answers = docker_engine.wait_until(
        lambda: newcomer.host.run("/usr/local/bin/colab-runtime", "status").returncode == 0, MINUTE
    )
    assert answers, "the server does not come back"
    assert (newcomer.address() == address) is (story is root_on_systemd)
    seen = newcomer.client(newcomer.address())
    assert seen["ok"], seen["failed"]

    stopped = newcomer.host.run("/usr/local/bin/colab-runtime", "stop")
    assert stopped.returncode == 0, said(stopped)
    proof = newcomer.colab_ready("verify", "-v")
    assert proof.returncode == 2 and re.search(r"(?m)^NOT READY  .*\n  .*colab_handshake", proof.stdout), said(proof)

    removed = newcomer.colab_ready("remove")
    assert removed.returncode == 0, said(removed)
    assert newcomer.colab_ready("url").returncode == 1


# --- becoming root, as a person at a terminal meets it --------------------------------------------------------------

SUDO = "sudo did not let student become root; nothing was changed. Expected: "


@dataclass(frozen=True)
class Way:
    """How a host lets student become root, what is typed, and what comes of it."""

    host: str  # shell commands of root's
    types: tuple[str, ...]
    asked: int
    status: int
    said: str = "playbook: /var/cache/colab-ready/run."
    lines: int = 0  # of ours


WAYS = {
    "sudo asks once": Way("usermod -aG sudo student", ("pw",), 1, 0),
    "mistyped once": Way("usermod -aG sudo student", ("wrong", "pw"), 2, 0),
    "wrong password": Way("usermod -aG sudo student", ("no", "no", "no"), 3, 1, SUDO, 1),
    "Ctrl-C": Way("usermod -aG sudo student", (terminal.CTRL_C,), 1, 130, "interrupted", 1),
    "no password": Way("echo 'student ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/student", (), 0, 0),
    "requiretty": Way(
        "printf 'Defaults requiretty\\nstudent ALL=(ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/student", (), 0, 0
    ),
    "use_pty": Way("printf 'Defaults use_pty\\nstudent ALL=(ALL) ALL\\n' >/etc/sudoers.d/student", ("pw",), 1, 0),
    "no sudoer": Way("true", ("pw",), 1, 1, SUDO, 1),
    "no sudo": Way(
        "for name in sudo doas; do mv /usr/bin/$name /usr/bin/$name.away; done",
        (),
        0,
        1,
        "this needs root, and there is no sudo here. Do: ",
        1,
    ),
    "doas alone": Way("mv /usr/bin/sudo /usr/bin/sudo.away; echo 'permit student' >/etc/doas.conf", ("pw",), 1, 0),
    "doas refuses": Way("mv /usr/bin/sudo /usr/bin/sudo.away; echo >/etc/doas.conf", (), 0, 1, "doas did not let", 1),
}
UNDO = (
    "rm -f /etc/sudoers.d/student /etc/doas.conf; gpasswd -d student sudo >/dev/null 2>&1;"
    " for name in sudo doas; do [ ! -e /usr/bin/$name.away ] || mv /usr/bin/$name.away /usr/bin/$name; done; rm -rf /run/sudo/ts"
)


@pytest.fixture(scope="module")
def student(start_shared_host: Callable[..., Any]) -> Newcomer:
    """A student with a password; root's environment is there already."""
    host = start_shared_host("becoming-root", init="plain")
    made = host.run(
        "sh", "-c", "useradd --create-home --shell /bin/bash student && printf 'student:pw\nroot:rootpw\n' | chpasswd"
        " && apt-get -qq update && apt-get -qq install --yes --no-install-recommends doas",
    )  # fmt: skip
    assert made.returncode == 0, said(made)
    newcomer = arrive(host, "student", "/home/student")
    done = host.run("env", "SUDO_UID=1000", f"{newcomer.checkout}/colab-ready", "--syntax-check", timeout=5 * MINUTE)
    assert done.returncode == 0, said(done)
    return newcomer


def test_without_sudo_a_student_may_become_root_with_su_and_root_alone_trusts_no_student(student: Newcomer) -> None:
    student.host.run("mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
    command = ["docker", "exec", "--interactive", "--tty", "--user", "student", "--workdir", student.checkout]
    seen = terminal.at_terminal(
        [*command, "--env", "USER=student", student.host.name, "su", "-c", "./colab-ready --syntax-check"], ("rootpw",)
    )
    alone = student.host.run(f"{student.checkout}/colab-ready", "--syntax-check")
    student.host.run("sh", "-c", UNDO)
    assert (seen.status, seen.asked) == (0, 1), seen.text
    assert alone.returncode == 2 and "of student, mode 755)" in alone.stderr, said(alone)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_root_is_asked_for_once_or_refused_in_one_message(student: Newcomer, way: Way) -> None:
    student.host.run("sh", "-c", way.host)
    try:
        command = ["docker", "exec", "--interactive", "--tty", "--user", "student", "--workdir", student.checkout]
        seen = terminal.at_terminal([*command, student.host.name, "./colab-ready", "--syntax-check"], way.types)
    finally:
        student.host.run("sh", "-c", UNDO)
    assert (seen.status, seen.asked) == (way.status, way.asked), seen.text
    assert way.said in seen.text and "BECOME" not in seen.text and "Traceback" not in seen.text
    assert seen.text.count("colab-ready: ") == way.lines, seen.text


@pytest.mark.parametrize(
    ("sudoers", "before", "message"),
    [
        ("student ALL=(ALL) ALL", [], "there is no terminal here"),
        ("Defaults requiretty\nstudent ALL=(ALL) NOPASSWD: ALL", [], "there is no terminal here"),
        ("student ALL=(ALL) NOPASSWD: ALL", ["setpriv", "--no-new-privs"], "not from a notebook"),
        ("student ALL=(ALL) NOPASSWD: ALL", [], ""),
    ],
)
def test_without_a_terminal_it_works_or_is_one_message(
    student: Newcomer, sudoers: str, before: list[str], message: str
) -> None:
    student.host.run("sh", "-c", 'printf "%s\\n" "$1" >/etc/sudoers.d/student', "sh", sudoers)
    done = student.host.run(*before, "./colab-ready", "--syntax-check", user="student", cwd=student.checkout)
    student.host.run("sh", "-c", UNDO)
    assert done.returncode == (1 if message else 0), said(done)
    assert message in done.stderr and done.stderr.count("colab-ready: ") == bool(message), said(done)

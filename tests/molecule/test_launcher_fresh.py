"""`./colab-ready` as a new user meets it: a bare host, a checkout, one command.."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import docker_engine
import pytest
import websockets

CHECKS = Path(__file__).resolve().parent
MINUTE = 60


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a shell on a fresh host and a checkout in the home directory."""

    host: Any
    user: str
    home: str

    @property
    def checkout(self) -> str:
        return f"{self.home}/my checkout"  # a blank in the path is nothing special

    def colab_ready(self, *arguments: str, timeout: float = 15 * MINUTE) -> subprocess.CompletedProcess[str]:
        return self.host.run("./colab-ready", *arguments, user=self.user, cwd=self.checkout, timeout=timeout)

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


def arrive(host: Any, user: str, home: str) -> Newcomer:
    newcomer = Newcomer(host, user, home)
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
    return arrive(host, "student", "/home/student")


@pytest.mark.timeout(25 * MINUTE)
@pytest.mark.parametrize("story", [root_on_systemd, student_without_systemd], ids=lambda story: story.__name__)
def test_one_command_makes_a_bare_host_ready(start_host: Callable[..., Any], story: Callable[..., Newcomer]) -> None:
    newcomer = story(start_host)

    first = newcomer.colab_ready()
    assert first.returncode == 0, said(first)
    assert "READY" in first.stdout
    address = newcomer.address()
    assert address.strip() not in first.stdout + first.stderr, "without a terminal the token is printed on request only"

    seen = newcomer.client(address)
    assert seen["ok"], seen["failed"]

    second = newcomer.colab_ready()
    assert second.returncode == 0, said(second)
    assert re.search(r"\b0 changed\b|\bchanged[=:]\s?0\b", second.stdout), said(second)

    proof = newcomer.colab_ready("verify", "--json")
    assert proof.returncode == 0, said(proof)
    assert json.loads(proof.stdout)["ready"] is True

    docker_engine.docker("restart", newcomer.host.name)
    if story is root_on_systemd:
        docker_engine.wait_for_boot(newcomer.host.name)
    else:
        again = newcomer.colab_ready()
        assert again.returncode == 0, said(again)
    answers = docker_engine.wait_until(
        lambda: newcomer.host.run("/usr/local/bin/colab-runtime", "status").returncode == 0, MINUTE
    )
    assert answers, "the server does not come back"
    assert newcomer.address() == address
    seen = newcomer.client(address)
    assert seen["ok"], seen["failed"]

    stopped = newcomer.host.run("/usr/local/bin/colab-runtime", "stop")
    assert stopped.returncode == 0, said(stopped)
    proof = newcomer.colab_ready("verify")
    assert proof.returncode != 0
    assert "colab_handshake" in proof.stdout + proof.stderr, said(proof)

    removed = newcomer.colab_ready("remove")
    assert removed.returncode == 0, said(removed)
    assert newcomer.colab_ready("url").returncode == 1

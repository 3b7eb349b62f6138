"""The hosts that are attacked: three kinds, each converged once, and what a test does on them.

A mark is what an attacker leaves where the attack has worked: a file of root's in /root, or one in /var/tmp/owned, where
everybody may write. No marks is the observable end of most tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import docker_engine

HERE = Path(__file__).resolve().parent
RUNTIME = "/usr/local/bin/colab-runtime"
PREFIX = "/opt/colab-ready"
KERNEL = f"{PREFIX}/kernels/cpu"
SERVER = f"{PREFIX}/server"
INSIDE = "/var/tmp/security"
ATTACKS = f"{INSIDE}/attacks"
MARKS = "/var/tmp/owned"
ROOTS_MARK = "/root/owned"
# Room for slow computers; the promises are 10 s of silence, 30 s for a command, and no waiting without an end.
SILENCE_SECONDS = 15
RUN_SECONDS = 240
COMMAND_SECONDS = 30
ROOT_MEGABYTES = 300
# A traceback of ours begins a line; one of the user's Python may be quoted in a reason.
DIED = re.compile(r"^Traceback|Module failed|maximum recursion depth|please report|MODULE FAILURE", re.MULTILINE)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Seen:
    """A command that was watched."""

    status: int
    seconds: float
    silence: float
    megabytes: int
    biggest: str
    stopped: str
    waiting: list[str]
    output: str

    def __str__(self) -> str:
        ended = f"was ended for its {self.stopped} (waiting: {self.waiting})" if self.stopped else f"exit {self.status}"
        return (
            f"{ended} after {self.seconds} s, silent for {self.silence} s, root's biggest {self.megabytes} MB "
            f"({self.biggest})\n{self.output[-5000:]}"
        )

    def faults(self) -> list[str]:
        """What no command may do, whatever it was given to read."""
        died = DIED.search(self.output)
        wrong = [
            (bool(self.stopped), f"it did not end ({self.stopped})"),
            (self.megabytes > ROOT_MEGABYTES, f"{self.megabytes} MB in {self.biggest}"),
            (died is not None, f"it died: {died and died.group()}"),
        ]
        return [text for is_wrong, text in wrong if is_wrong]

    def ended_well(self) -> Seen:
        assert not self.faults(), f"{self.faults()}: {self}"
        return self

    def is_ready(self) -> Seen:
        self.ended_well()
        assert self.status == 0, str(self)
        assert re.search(r"^READY\b", self.output, re.MULTILINE), str(self)
        return self

    def is_refused(self, *named: str) -> Seen:
        """It ended with a message that names these."""
        self.ended_well()
        assert self.status != 0, str(self)
        for text in named:
            assert text in self.output, f"{text} is not named: {self}"
        return self


@dataclass(frozen=True)
class SecurityHost:
    """`caller` runs ./colab-ready; `user` runs the notebooks."""

    name: str
    kind: str
    caller: str
    user: str
    systemd: bool

    @property
    def home(self) -> str:
        return f"/home/{self.user}"

    @property
    def checkout(self) -> str:
        return "/root/colab-ready" if self.caller == "root" else f"/home/{self.caller}/colab-ready"

    # --- commands

    def run(
        self, *command: str, user: str = "root", stdin: str | bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        pipe = ["--interactive"] if stdin is not None else []
        return docker_engine.docker(
            "exec", *pipe, "--user", user, self.name, *command, check=False, stdin=stdin, timeout=timeout
        )

    def must(self, *command: str, user: str = "root", stdin: str | bytes | None = None, timeout: float = 60) -> str:
        done = self.run(*command, user=user, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sh(self, script: str, user: str = "root", timeout: float = 60) -> str:
        return self.must("sh", "-ec", script, user=user, timeout=timeout)

    def watched(self, *command: str, user: str = "root", seconds: float = RUN_SECONDS, **more: Any) -> Seen:
        """Run a command within bounds; it is ended where it goes beyond them."""
        wish = {"command": command, "user": user, "seconds": seconds, "megabytes": 2 * ROOT_MEGABYTES, **more}
        said = self.must("python3", f"{INSIDE}/watch.py", json.dumps(wish), timeout=seconds + 60)
        return Seen(**json.loads(said))

    def colab_ready(self, *arguments: str, seconds: float = RUN_SECONDS, **more: Any) -> Seen:
        return self.watched(f"{self.checkout}/colab-ready", *arguments, user=self.caller, seconds=seconds, **more)

    def runtime(self, *arguments: str, user: str = "root", seconds: float = COMMAND_SECONDS, **more: Any) -> Seen:
        return self.watched(RUNTIME, *arguments, user=user, seconds=seconds, **more)

    # --- attackers

    def attack(self, name: str, *arguments: str, user: str, timeout: float = 60) -> str:
        return self.must("python3", "-I", f"{ATTACKS}/{name}", *arguments, user=user, timeout=timeout)

    @contextlib.contextmanager
    def attacking(self, name: str, *arguments: str, user: str, path: str = "") -> Iterator[None]:
        """An attack that goes on in the background; it has said "ready" when this begins."""
        program = path or f"{ATTACKS}/{name}"
        command = ["docker", "exec", "--user", user, self.name, "python3", "-I", program, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        try:
            answers, _, _ = select.select([process.stdout], [], [], 30)
            first = process.stdout.readline().strip() if answers else "no answer"
            assert first == "ready", f"{name}: {first}{process.stdout.read() if process.poll() is not None else ''}"
            yield
        finally:
            self.end(program)
            process.kill()
            process.wait()
            process.stdout.close()

    def end(self, *texts: str) -> None:
        self.run("python3", f"{INSIDE}/end.py", *texts)

    def marks(self) -> list[str]:
        """What the attackers have reached: the owner's name and the file."""
        found = self.must("find", MARKS, "/root", "-maxdepth", "1", "-path", "*/owned?*", "-printf", "%u %p\\n")
        return found.splitlines()

    def wipe_marks(self) -> None:
        self.sh(f"rm -rf {ROOTS_MARK}* {MARKS}; mkdir -m 1777 {MARKS}")

    # --- files

    @contextlib.contextmanager
    def aside(self, *paths: str) -> Iterator[None]:
        """Without these files, which are put back afterwards, in the place of whatever is there then."""
        for path in paths:
            self.sh(f"[ ! -e '{path}' ] || mv -T '{path}' '{path}.aside'")
        try:
            yield
        finally:
            for path in paths:
                self.sh(f"rm -rf '{path}'; [ ! -e '{path}.aside' ] || mv -T '{path}.aside' '{path}'")

    @contextlib.contextmanager
    def damaged(self, package: str, environment: str = KERNEL) -> Iterator[None]:
        """With a byte more in a file of a package, so that a run has something to repair; without, afterwards."""
        site = f"{environment}/lib/python3.*/site-packages"
        files = f"for file in {site}/{package}.py {site}/{package}/__init__.py; do"
        self.sh(f"{files} [ ! -e $file ] || {{ cp -p $file /var/tmp/undamaged; echo >>$file; }}; done")
        try:
            yield
        finally:
            self.sh(f"{files} [ ! -e $file ] || cp -p /var/tmp/undamaged $file; done")


# --- making them ------------------------------------------------------------------------------------------------------


def kinds(prefix: str) -> dict[str, SecurityHost]:
    return {
        "root": SecurityHost(f"{prefix}root", "root", caller="root", user="colab", systemd=True),
        "student": SecurityHost(f"{prefix}student", "student", caller="student", user="student", systemd=True),
        "plain": SecurityHost(f"{prefix}plain", "plain", caller="root", user="colab", systemd=False),
    }


def prepare(host: SecurityHost) -> None:
    """A host with the accounts, the checkout and the attackers' programs."""
    docker_engine.create(host.name, "systemd" if host.systemd else "plain", outfitted=True)
    host.sh("useradd --create-home --shell /bin/sh bob")
    if host.caller != "root":
        host.sh(
            f"useradd --create-home --shell /bin/bash {host.caller}\n"
            f"echo '{host.caller} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{host.caller}"
        )
    unpack = f"mkdir {host.checkout} && tar -x --no-same-owner -C {host.checkout}"
    host.must("sh", "-ec", unpack, user=host.caller, stdin=checkout.archive())
    copy_programs(host)
    host.wipe_marks()


def copy_programs(host: SecurityHost) -> None:
    host.sh(f"rm -rf {INSIDE} && mkdir -p {INSIDE}")
    for source in (f"{HERE}/inside/.", f"{HERE}/attacks"):
        docker_engine.docker("cp", source, f"{host.name}:{INSIDE}/")
    host.sh(f"chown -R root: {INSIDE} && chmod -R a+rX,go-w {INSIDE}")


@contextlib.contextmanager
def converged(kind: str) -> Iterator[SecurityHost]:
    """A host of this kind. COLAB_READY_TEST_SECURITY=PREFIX: the container PREFIXKIND, which is kept for the next time."""
    kept = os.environ.get("COLAB_READY_TEST_SECURITY", "")
    host = kinds(kept or f"colab-ready-security-{os.getpid()}-")[kind]
    try:
        if kept and docker_engine.docker("inspect", host.name, check=False).returncode == 0:
            copy_programs(host)
            host.wipe_marks()
        else:
            prepare(host)
            host.colab_ready(seconds=900).is_ready()
        yield host
    finally:
        if not kept:
            docker_engine.remove(host.name)

"""A checkout in which `./colab-ready` runs for real, between stand-ins, for the tests of the launcher.

Both halves run, in a copy of the checkout with blanks in its path, and meet through the real pipe. Stand-ins
stand at the edges: sudo, ansible-playbook, the server's command, and what builds an environment. They write down how they
were called; files in `state` tell them what to do. A short driver names the places: the folder of sudo, root's cache.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "module_utils")]

from launcher import controller  # noqa: E402 - the path comes first

NOBODY = 65534
SETTINGS = "roles/host_settings/files/settings.json"
AM_ROOT = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not AM_ROOT, reason="the stand-in for sudo has to be root's")
PYTHON = getattr(sys, "_base_executable", sys.executable)

PREAMBLE = """#!/bin/sh
# STAND-IN for {name}
{first}
state={state}
{{ printf '%s' {name}; printf ' [%s]' "$@"; echo; }} >>"$state/calls"
"""

# As the callback writes it: every host of the run, and what the module said of it.
PROVEN, NOT_PROVEN = '{"localhost": {"ready": true, "report": null}}', '{"localhost": null}'

ANSIBLE_STAND_IN = """
env >"$state/environment"
pwd >"$state/directory"
for argument do
    case $argument in
        *=@*) cat "${argument#*=@}" >"$state/named" ;;
        --inventory=*) cat "${argument#*=}" >"$state/named" ;;
    esac
done
printf 'the output of the playbook\\n'
cat "$state/proofs" >"$COLAB_READY_PROOFS"
umask >"$state/umask"
place=$(cat "$state/report-path" 2>/dev/null || echo "$state/report.json")
if [ -e "$state/new-report" ]; then cat "$state/new-report" >"$place"; fi
if [ -e "$state/asks" ]; then printf 'Password: '; read -r answer; echo "the answer is $answer"; fi
if [ -e "$state/leaves" ]; then sh "$state/leaves" & fi
touch "$state/ansible-started"
while [ -e "$state/ansible-waits" ]; do sleep 0.05; done
exit "$(cat "$state/ansible-status")"
"""

INVENTORY_STAND_IN = """
cat "$state/listed"
"""

# It says what sudo says. A ticket is a file; a password is taken from the terminal, once.
SUDO_STAND_IN = """
if [ -e "$state/sudo-refuses" ]; then echo "sudo: me is not in the sudoers file" >&2; exit 1; fi
if [ "$1" = -n ]; then shift; [ -e "$state/sudo-without-password" ] || { echo "sudo: a password is required" >&2; exit 1; }; fi
if [ ! -e "$state/sudo-without-password" ]; then printf 'Password: ' >/dev/tty; read -r password </dev/tty; fi
[ "$1" = -- ] && shift
SUDO_UID=$(id -u) SUDO_USER=$(id -un) SOME_SECRET=of-sudo exec "$@"
"""

RUNTIME_STAND_IN = """
if [ -e "$state/server-down" ]; then echo "the server is not running" >&2; exit 1; fi
echo "http://localhost:8888/?token=stand-in"
"""

ROOTS_HALF = """
import json, sys
from pathlib import Path
s = sys.stdin.buffer
boot = {'__name__': 'boot'}
exec(compile(s.read(int(s.readline(20))), 'boot', 'exec'), boot)
header, folder = boot['unpack'](s, CACHE)
from colab_ready.settings import memory
from launcher import root
memory.FILE = STATE + '/settings.json'
root.REPORT, root.RUNTIME = Path(STATE, 'report.json'), RUNTIME
sys.exit(root.main(header, folder, 0))
"""

DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = [CHECKOUT, CHECKOUT + '/module_utils']
from colab_ready.settings import memory
from launcher import caller, commands
memory.FILE = STATE + '/settings.json'
caller.FOLDERS, caller.FIRST, commands.RUNTIME, commands.TOKEN = (BIN,), FIRST, RUNTIME, TOKEN
sys.exit(commands.main(sys.argv[1:], Path(CHECKOUT)))
"""


@dataclass
class Ended:
    status: int
    out: str
    err: str


class Sandbox:
    """A checkout, a home, places of root's, and stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "a check out"
        self.home, self.state, self.bin = folder / "home", folder / "state", folder / "bin"
        self.cwd, self.cache = folder / "somewhere else", folder / "roots cache"
        for directory in (self.checkout, self.checkout / ".git", self.home, self.state, self.bin, self.cwd, self.cache):
            directory.mkdir(mode=0o755)
        self.launcher = self.checkout / "colab-ready"
        shutil.copy(PROJECT / "colab-ready", self.launcher)
        for name in ("launcher", "module_utils"):
            shutil.copytree(PROJECT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (
            "playbooks",
            "requirements",
            "library",
            "roles/host_settings/files",
            "inventory",
            "callback_plugins",
            "inventory_plugins",
            "tests/unit",
            "tests/modules",
        ):
            (self.checkout / name).mkdir(parents=True)
        (self.checkout / "ansible.cfg").write_text("[defaults]\n")
        shutil.copy(PROJECT / SETTINGS, self.checkout / SETTINGS)
        for kind in ("controller", "dev"):
            (self.checkout / "requirements" / f"{kind}.txt").write_text(f"# the {kind} lock\n")
        for path in [self.checkout, *self.checkout.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path == self.launcher else 0o644)
        self.stand_in(self.bin / "sudo", "sudo", SUDO_STAND_IN)
        self.stand_in(self.bin / "colab-runtime", "colab-runtime", RUNTIME_STAND_IN)
        self.set(**{"ansible-status": "0", "proofs": PROVEN, "new-report": '{"ready": true}\n'})
        self.environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        self.user: int | None = None
        self.give_environment(self.cache, "controller")
        self.give_environment(self.own_cache, "controller")

    def stand_in(self, path: Path, name: str, body: str, first: str = "") -> None:
        path.write_text(PREAMBLE.format(name=name, state=f"'{self.state}'", first=first) + body)
        path.chmod(0o755)

    def give_environment(self, cache: Path, kind: str) -> Path:
        """An environment that is complete, so that none is built."""
        lock = self.checkout / "requirements" / f"{kind}.txt"
        folder = controller.Builder(
            kind, lock, cache, {}, None, lock, controller.sources([], {}, ""), python=PYTHON
        ).folder
        (folder / "bin").mkdir(parents=True)
        (folder / ".complete").touch()
        # A program of Ansible's is started through it (launcher/playbook.py, START).
        starts = 'case $3 in */bin/ansible-*) shift 2; exec "$@" ;; esac'
        self.stand_in(
            folder / "bin" / "python", "python", 'env >"$state/environment"; pwd >"$state/directory"\n', starts
        )
        self.stand_in(folder / "bin" / "ansible-playbook", "ansible-playbook", ANSIBLE_STAND_IN)
        self.stand_in(folder / "bin" / "ansible-inventory", "ansible-inventory", INVENTORY_STAND_IN)
        return folder

    def set(self, **values: str) -> None:
        for name, value in values.items():
            (self.state / name).write_text(value)
            if AM_ROOT:
                (self.state / name).chmod(0o666)

    def unset(self, *names: str) -> None:
        for name in names:
            (self.state / name).unlink()

    def become_nobody(self) -> None:
        """From here on the caller is not root, and sudo wants a password. (It cannot make root of nobody, so root's half has
        nobody's uid as well; the places that are root's are nobody's then.)"""
        self.user = NOBODY
        for path in self.folder.rglob("*"):
            if self.bin not in (path, path.parent):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def command(self, *arguments: str) -> list[str]:
        def with_names(text: str, **names: str) -> str:
            return "\n".join([*(f"{name} = {value!r}" for name, value in names.items()), text])

        runtime = str(self.bin / "colab-runtime")
        first = with_names(ROOTS_HALF, CACHE=str(self.cache), STATE=str(self.state), RUNTIME=runtime)
        names = {"CHECKOUT": str(self.checkout), "BIN": str(self.bin), "FIRST": first, "RUNTIME": runtime}
        driver = with_names(DRIVER, STATE=str(self.state), TOKEN=str(self.state / "token"), **names)
        return [PYTHON, "-I", "-B", "-c", driver, *arguments]

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Without a terminal; in a process group of its own, and not deaf to a hangup, as below nohup."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.cwd,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )

    def run(self, *arguments: str, **more: str) -> Ended:
        return finished(self.start(*arguments, **more))

    def run_on_terminal(self, *arguments: str, types: str = "", **more: str) -> Ended:
        """On a pseudo terminal, where `types` is typed at a prompt (^C if it is that); out is all that was written to it."""
        child, terminal = pty.fork()
        if child == 0:
            if self.user is not None:
                os.setgroups([])
                os.setgid(self.user)
                os.setuid(self.user)
            os.chdir(self.cwd)
            command = self.command(*arguments)
            os.execve(command[0], command, {**self.environment, **more})
        out = b""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                out += piece
                if types and b"Password: " in out:
                    os.write(terminal, types.encode())
                    types = ""
        else:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"still running: {out.decode()!r}")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(terminal)
        return Ended(status, out.decode().replace("\r\n", "\n"), "")

    def calls(self, name: str = "") -> list[str]:
        """The calls of stand-ins so far: `name [argument] [argument]`."""
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if not name or line.startswith(f"{name} [") or line == name]

    def arguments(self) -> str:
        """What ansible-playbook got behind the playbook, and which playbook that was."""
        (call,) = self.calls("ansible-playbook")
        found = re.fullmatch(r"ansible-playbook \[.*/playbooks/(\w+\.yml)\](.*)", call)
        assert found, call
        return found[1] + found[2]

    def seen_environment(self) -> dict[str, str]:
        lines = (self.state / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def own_cache(self) -> Path:
        return self.home / ".cache" / "colab-ready"

    def wait_for(self, name: str) -> None:
        assert wait_until(lambda: (self.state / name).exists()), f"{name} did not appear"

    def use_real_ansible(self, stdout_callback: str = "colab_progress") -> None:
        """From here on Ansible is the one of the tests, with our callbacks and configuration."""
        for cache in (self.cache, self.own_cache):
            (folder,) = cache.glob("controller-*")
            for name in ("ansible-playbook", "ansible-inventory", "python"):
                real = Path(sys.executable).parent / name
                starts = f'case $3 in */bin/ansible-*) exec {real} "$@" ;; esac' if name == "python" else ""
                self.stand_in(folder / "bin" / name, name, f'exec {real} "$@"\n', starts)
        for name in ("inventory", "inventory_plugins", "callback_plugins"):
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / name, self.checkout / name, ignore=left_out, dirs_exist_ok=True)
        settings = (PROJECT / "ansible.cfg").read_text().replace("= colab_progress", f"= {stdout_callback}")
        (self.checkout / "ansible.cfg").write_text(settings)

    def runs(self) -> list[Path]:
        return [*self.cache.glob("run.*"), *self.cache.glob("new.*"), *self.own_cache.glob("run.*")]


def finished(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=30)
    return Ended(process.returncode, out, err)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that is gone afterwards."""
    # Not tmp_path: its parents are closed to the other user that some tests are. Python warns where it parses 1is.
    folder = Path(tempfile.mkdtemp(prefix="1is-colab-ready-launcher-"))
    folder.chmod(0o755)
    try:
        yield Sandbox(folder)
    finally:
        shutil.rmtree(folder)

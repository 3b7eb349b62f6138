"""The launcher as a program, in fair and in bad weather.

It runs in a copy of the checkout (with spaces in its path), with a PATH that holds the ordinary tools and stand-ins for
uv, sudo, apt-get, dpkg and Python. The stand-ins write down how they were called; files in `state` tell them what to do.
"""

from __future__ import annotations

import json
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

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = 65534
AM_ROOT = os.geteuid() == 0

TOOLS = (
    "cat chown cut dirname env find flock getent grep head id locale mkdir mktemp readlink rm sed sh sha256sum sleep stat"
    " tail touch true tty"
).split()

# What every stand-in begins with: $0 says who it is; the call goes into calls, the environment and directory beside it.
PREAMBLE = """#!/bin/sh
# STAND-IN for {name}
state={state}
if [ ! -e "$state/no-calls" ]; then
    {{ printf '%s' {name}; printf ' [%s]' "$@"; echo; }} >>"$state/calls"
fi
"""

ANSIBLE_STAND_IN = """
env >"$state/environment"
pwd >"$state/directory"
printf 'the output of the playbook\\n'
printf '%s' "$COLAB_READY_RESULT" >"$state/result-path"
cat "$state/verdict" >"$COLAB_READY_RESULT"
if [ -e "$state/new-report" ]; then cat "$state/new-report" >"$COLAB_READY_REPORT"; fi
touch "$state/ansible-started"
while [ -e "$state/ansible-waits" ]; do sleep 0.05; done
exit "$(cat "$state/ansible-status")"
"""

# The Python of an environment, and (with the state file python-minor) one to build from.
PYTHON_STAND_IN = """
case "$*" in
    *sys.version_info*) echo "3 $(cat "$state/python-minor") $0" ;;
    *ensurepip*) [ -e "$state/ensurepip" ] || { echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1; } ;;
    *"-m venv "*)
        for directory do :; done
        mkdir -p "$directory/bin"
        cat "$0" >"$directory/bin/python"
        cat "$state/ansible-playbook" >"$directory/bin/ansible-playbook"
        chmod 755 "$directory/bin/python" "$directory/bin/ansible-playbook" ;;
    *"-m pip install"*) [ ! -e "$state/pip-fails" ] || { echo "ERROR: no route to the index" >&2; exit 1; } ;;
    *"-m pytest"*) env >"$state/environment"; pwd >"$state/directory"; echo "pytest's last words" ;;
esac
"""

UV_STAND_IN = """
if [ -e "$state/uv-fails" ]; then
    for directory do :; done
    mkdir -p "$directory" && touch "$directory/half-of-one"
    echo "error: first line"
    echo "  Caused by: dns error"
    exit 2
fi
touch "$state/uv-started"
while [ -e "$state/uv-waits" ]; do sleep 0.05; done
if [ "$1" = venv ]; then
    for directory do :; done
    mkdir -p "$directory/bin"
    cat "$state/python" >"$directory/bin/python"
    cat "$state/ansible-playbook" >"$directory/bin/ansible-playbook"
    chmod 755 "$directory/bin/python" "$directory/bin/ansible-playbook"
fi
"""

# Knows a ticket that was typed into this terminal before: only -k keeps sudo from using it.
SUDO_STAND_IN = """
if [ -e "$state/sudo-without-password" ]; then may=yes; else may=; fi
case "$*" in
    "-k -n true") [ "$may" ] ; exit ;;
    "-n true") exit 0 ;;
esac
if [ "$1" = -n ]; then shift; [ "$may" ] || { echo "sudo: a password is required" >&2; exit 1; }; fi
exec "$@"
"""

APT_STAND_IN = """
[ ! -e "$state/apt-fails" ] || { echo "E: Unable to locate package" >&2; exit 100; }
case "$*" in *install*) touch "$state/ensurepip" ;; esac
"""

RUNTIME_STAND_IN = """
if [ -e "$state/server-down" ]; then echo "the server is not running" >&2; exit 1; fi
echo "http://localhost:8888/?token=stand-in"
"""


@dataclass
class Ended:
    status: int
    out: str
    err: str


class Sandbox:
    """A checkout, a home and a PATH of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkout = folder / "a check out"
        self.home = folder / "home"
        self.state = folder / "state"
        self.bin = folder / "bin"
        self.cwd = folder / "somewhere else"
        for directory in (self.checkout, self.home, self.state, self.bin, self.cwd):
            directory.mkdir()
        self.launcher = self.checkout / "colab-ready"
        shutil.copy(PROJECT / "colab-ready", self.launcher)
        (self.checkout / "ansible.cfg").write_text("[defaults]\n")
        for name in ("playbooks", "requirements", "tests/static", "tests/unit", "tests/abi"):
            (self.checkout / name).mkdir(parents=True)
        for lock in ("controller", "dev"):
            (self.checkout / "requirements" / f"{lock}.txt").write_text(f"# the {lock} lock\n")
        for tool in (*TOOLS, "chmod"):
            found = shutil.which(tool, path="/usr/bin:/bin")
            assert found, tool
            (self.bin / tool).symlink_to(found)
        for name, body in (
            ("uv", UV_STAND_IN),
            ("sudo", SUDO_STAND_IN),
            ("apt-get", APT_STAND_IN),
            ("dpkg", ""),
            ("colab-runtime", RUNTIME_STAND_IN),
        ):
            self.stand_in(self.bin / name, name, body)
        self.stand_in(self.state / "python", "python", PYTHON_STAND_IN)
        self.stand_in(self.state / "ansible-playbook", "ansible-playbook", ANSIBLE_STAND_IN)
        self.set(**{"ansible-status": "0", "verdict": "ready", "python-minor": "11"})
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLAB_READY_PYTHON": str(self.state / "python"),
            "COLAB_READY_REPORT": str(self.state / "report.json"),
        }
        self.user: int | None = None
        if not AM_ROOT:
            self.set(**{"sudo-without-password": ""})

    def stand_in(self, path: Path, name: str, body: str) -> None:
        path.write_text(PREAMBLE.format(name=name, state=f"'{self.state}'") + body)
        path.chmod(0o755)

    def set(self, **values: str) -> None:
        for name, value in values.items():
            (self.state / name).write_text(value)

    def unset(self, *names: str) -> None:
        for name in names:
            (self.state / name).unlink()

    def become_nobody(self) -> None:
        """From here on the caller is not root, and sudo wants a password."""
        (self.state / "sudo-without-password").unlink(missing_ok=True)
        if AM_ROOT:
            self.user = NOBODY
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Without a terminal; in a process group of its own."""
        return subprocess.Popen(
            [str(self.launcher), *arguments],
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
        )

    def run(self, *arguments: str, **more: str) -> Ended:
        return finished(self.start(*arguments, **more))

    def run_on_terminal(self, *arguments: str, **more: str) -> Ended:
        """On a pseudo terminal; out is all that was written to it."""
        child, terminal = pty.fork()
        if child == 0:
            if self.user is not None:
                os.setgroups([])
                os.setgid(self.user)
                os.setuid(self.user)
            os.chdir(self.cwd)
            os.execve(self.launcher, [str(self.launcher), *arguments], {**self.environment, **more})
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

    def forget_calls(self) -> None:
        (self.state / "calls").unlink(missing_ok=True)

    def seen_environment(self) -> dict[str, str]:
        lines = (self.state / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "colab-ready"

    def environments(self, kind: str = "controller") -> list[Path]:
        return sorted(path for path in self.cache.glob(f"{kind}-*") if path.is_dir())

    def wait_for(self, name: str) -> None:
        assert wait_until(lambda: (self.state / name).exists()), f"{name} did not appear"


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


@pytest.fixture
def box() -> Iterator[Sandbox]:
    # Not tmp_path: its parents are closed to the other user that some tests are.
    folder = Path(tempfile.mkdtemp(prefix="colab-ready-launcher-"))
    folder.chmod(0o755)
    try:
        yield Sandbox(folder)
    finally:
        shutil.rmtree(folder)


# --- commands -------------------------------------------------------------------------------------------------------


def test_no_command_converges_and_hands_the_options_on(box: Sandbox) -> None:
    ended = box.run("-e", "colab_port=9000", "-e", "x=a b", "-v")
    assert ended.status == 0, ended.err
    playbook = box.checkout / "playbooks" / "site.yml"
    assert box.calls("ansible-playbook") == [f"ansible-playbook [{playbook}] [-e] [colab_port=9000] [-e] [x=a b] [-v]"]


def test_ansible_runs_in_the_callers_directory_with_our_configuration(box: Sandbox) -> None:
    box.run("-i", "relative/inventory")
    assert (box.state / "directory").read_text().strip() == str(box.cwd)
    assert box.seen_environment()["ANSIBLE_CONFIG"] == str(box.checkout / "ansible.cfg")


def test_the_launcher_may_be_called_through_a_link(box: Sandbox) -> None:
    link = box.folder / "link"
    link.symlink_to(box.launcher)
    box.launcher, real = link, box.checkout
    assert box.run().status == 0
    assert str(real / "playbooks" / "site.yml") in box.calls("ansible-playbook")[0]


@pytest.mark.parametrize("status", [1, 2, 4, 99])
def test_the_exit_status_of_ansible_is_handed_on(box: Sandbox, status: int) -> None:
    box.set(**{"ansible-status": str(status)})
    assert box.run().status == status


@pytest.mark.parametrize("command", [(), ("verify",), ("verify", "--json")])
@pytest.mark.parametrize("verdict", ["none", "not ready", ""])
def test_zero_is_returned_only_when_ready(box: Sandbox, command: tuple[str, ...], verdict: str) -> None:
    box.set(verdict=verdict, **{"new-report": "{}"})
    ended = box.run(*command)
    assert ended.status == 1
    assert "without proving that the computer is READY" in ended.err


@pytest.mark.parametrize("option", ["--check", "-C", "--syntax-check", "--list-tasks"])
def test_an_option_that_only_looks_needs_no_proof(box: Sandbox, option: str) -> None:
    box.set(verdict="check")
    ended = box.run(option)
    assert (ended.status, ended.out) == (0, "the output of the playbook\n")


def test_verify_json_prints_the_report_and_nothing_else(box: Sandbox) -> None:
    box.set(**{"new-report": '{"ready": true}\n'})
    ended = box.run("verify", "--json", "-e", "a=b")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out) == {"ready": True}
    assert "the output of the playbook" in ended.err
    assert box.calls("ansible-playbook")[0].endswith("verify.yml] [-e] [a=b]"), "--json is not Ansible's"


def test_verify_json_keeps_the_exit_status_of_verify(box: Sandbox) -> None:
    box.set(**{"new-report": '{"ready": false}\n', "ansible-status": "2", "verdict": "not ready"})
    ended = box.run("verify", "--json")
    assert (ended.status, ended.out) == (2, '{"ready": false}\n')


@pytest.mark.parametrize(("ansible", "status"), [("0", 1), ("4", 4)])
def test_verify_json_never_prints_the_report_of_an_earlier_run(box: Sandbox, ansible: str, status: int) -> None:
    box.set(**{"report.json": '{"ready": true}\n', "ansible-status": ansible})
    ended = box.run("verify", "--json")
    assert (ended.status, ended.out) == (status, "")
    assert "this run wrote no report" in ended.err


def test_url_prints_the_address_and_nothing_else(box: Sandbox) -> None:
    ended = box.run("url")
    assert (ended.status, ended.out, ended.err) == (0, "http://localhost:8888/?token=stand-in\n", "")
    assert not box.calls("uv"), "no environment is needed for it"


def test_url_gives_the_reason_on_stderr(box: Sandbox) -> None:
    box.set(**{"server-down": ""})
    ended = box.run("url")
    assert (ended.status, ended.out, ended.err) == (1, "", "the server is not running\n")


def test_url_before_the_first_run_says_what_to_do(box: Sandbox) -> None:
    if Path("/usr/local/bin/colab-runtime").exists():
        pytest.skip("this computer is set up")
    (box.bin / "colab-runtime").unlink()
    ended = box.run("url")
    assert (ended.status, ended.out) == (1, "")
    assert "not set up yet. Do: ./colab-ready" in ended.err


def test_url_asks_sudo_where_the_caller_may_not_read_the_token(box: Sandbox) -> None:
    box.become_nobody()
    if os.access("/etc/colab-ready/token", os.R_OK) and not AM_ROOT:
        pytest.skip("this computer is set up, for the user who runs the tests")
    box.set(**{"sudo-without-password": ""})
    assert box.run("url").out == "http://localhost:8888/?token=stand-in\n"
    assert box.calls("sudo") == [f"sudo [-n] [{box.bin}/colab-runtime] [url]"]


def test_the_address_is_printed_on_a_terminal(box: Sandbox) -> None:
    ended = box.run_on_terminal()
    assert ended.status == 0, ended.out
    assert "\n  http://localhost:8888/?token=stand-in\n" in ended.out


def test_the_token_stays_out_of_logs(box: Sandbox) -> None:
    ended = box.run()
    assert "token=" not in ended.out + ended.err
    assert ended.out.endswith("address: ./colab-ready url\n")


def test_the_address_is_printed_where_it_is_asked_for(box: Sandbox) -> None:
    assert "token=stand-in" in box.run(COLAB_READY_SHOW_URL="1").out


def test_an_address_that_cannot_be_had_does_not_undo_ready(box: Sandbox) -> None:
    box.set(**{"server-down": ""})
    ended = box.run_on_terminal()
    assert ended.status == 0
    assert "address: ./colab-ready url" in ended.out


def test_remove_takes_the_environments_away(box: Sandbox) -> None:
    box.set(verdict="none")
    ended = box.run("remove")
    assert ended.status == 0, ended.err
    assert box.calls("ansible-playbook")[0].endswith("remove.yml]")
    assert not box.cache.exists()


@pytest.mark.parametrize(("option", "ansible"), [("--check", "0"), ("-v", "2")])
def test_remove_keeps_the_environments_when_it_did_not_remove(box: Sandbox, option: str, ansible: str) -> None:
    box.set(**{"ansible-status": ansible})
    assert box.run("remove", option).status == int(ansible)
    assert box.environments()


@pytest.mark.parametrize("words", [("instal",), ("colab_port=9000",)])
def test_an_unknown_command_is_one_message(box: Sandbox, words: tuple[str, ...]) -> None:
    ended = box.run(*words)
    assert ended.status == 2
    assert f"there is no command '{words[0]}'. Known: verify, url, remove, test, help" in ended.err
    assert ended.err.count("\n") == 1 and not box.calls()


def test_lab_says_that_it_is_not_there_yet(box: Sandbox) -> None:
    ended = box.run("lab", "-i", "inventory")
    assert ended.status == 2 and "not in this version" in ended.err


@pytest.mark.parametrize("word", ["help", "-h", "--help"])
def test_help_shows_every_command(box: Sandbox, word: str) -> None:
    ended = box.run(word)
    assert ended.status == 0
    for command in ("verify", "url", "remove", "test", "lab"):
        assert f"\n  {command}" in ended.out


def test_version_is_that_of_the_changelog(box: Sandbox) -> None:
    ended = box.run("--version")
    assert ended.status == 0
    version = ended.out.removeprefix("colab-ready ").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    released = re.findall(r"(?m)^## \[?(\d+\.\d+\.\d+)", (PROJECT / "CHANGELOG.md").read_text())
    assert not released or version == released[0]


# --- test -----------------------------------------------------------------------------------------------------------


def test_test_runs_pytest_in_the_checkout_as_the_last_word(box: Sandbox) -> None:
    ended = box.run("test", "unit", "-k", "some thing", "--no-docker")
    assert ended.status == 0, ended.err
    assert ended.out.endswith("pytest's last words\n")
    assert box.calls("python")[-1] == "python [-m] [pytest] [-k] [some thing] [tests/unit] [tests/abi]"
    assert (box.state / "directory").read_text().strip() == str(box.checkout)
    environment = box.seen_environment()
    assert environment["COLAB_READY_NO_DOCKER"] == "1"
    assert environment["PATH"].startswith(f"{box.environments('dev')[0]}/bin:")


def test_test_without_a_part_runs_the_parts_that_there_are(box: Sandbox) -> None:
    assert box.run("test").status == 0
    assert box.calls("python")[-1] == "python [-m] [pytest] [tests/static] [tests/unit] [tests/abi]"
    assert "COLAB_READY_NO_DOCKER" not in box.seen_environment()


def test_the_part_browser_knocks_at_the_door_too_and_here_takes_this_computer(box: Sandbox) -> None:
    (box.checkout / "tests" / "browser").mkdir()
    assert box.run("test", "browser", "--here").status == 0
    assert box.calls("python")[-1] == "python [-m] [pytest] [tests/browser] [tests/door]"
    assert box.seen_environment()["COLAB_READY_TEST_HERE"] == "1"


def test_what_fetches_gigabytes_is_a_part_that_has_to_be_named(box: Sandbox) -> None:
    (box.checkout / "tests" / "real").mkdir()
    assert box.run("test").status == 0
    assert "tests/real" not in box.calls("python")[-1]
    assert box.run("test", "directml-real", "-x").status == 0
    assert box.calls("python")[-1] == "python [-m] [pytest] [-x] [tests/real]"


def test_only_the_part_browser_may_take_this_computer(box: Sandbox) -> None:
    ended = box.run("test", "unit", "--here")
    assert ended.status == 2 and "./colab-ready test browser --here" in ended.err


@pytest.mark.parametrize(("part", "message"), [("browser", "not in this version"), ("unti", "no test part 'unti'")])
def test_a_part_that_is_not_there_is_one_message(box: Sandbox, part: str, message: str) -> None:
    ended = box.run("test", part)
    assert ended.status == 2 and message in ended.err and not box.calls()


def test_the_tests_want_python_3_11(box: Sandbox) -> None:
    box.set(**{"python-minor": "10"})
    ended = box.run("test")
    assert ended.status == 1 and "no Python 3.11 or newer found" in ended.err


# --- the environment with Ansible -----------------------------------------------------------------------------------


def test_the_environment_is_built_once_from_the_hashed_lock(box: Sandbox) -> None:
    first = box.run()
    assert "preparing the controller environment" in first.err
    lock = box.checkout / "requirements" / "controller.txt"
    assert f"[--require-hashes] [-r] [{lock}]" in box.calls("uv")[-1]
    box.forget_calls()
    second = box.run()
    assert second.err == "" and not box.calls("uv")


def test_another_lock_is_another_environment(box: Sandbox) -> None:
    box.run()
    before = box.environments()
    (box.checkout / "requirements" / "controller.txt").write_text("# changed\n")
    box.run()
    assert set(before) < set(box.environments()), "somebody may still run from the one before"


def test_environments_that_nobody_used_for_a_week_are_cleaned_away(box: Sandbox) -> None:
    box.run()
    old, half = box.cache / "controller-old", box.cache / "dev-half"
    for directory in (old, half):
        directory.mkdir()
    (old / ".complete").touch()
    eight_days_ago = time.time() - 8 * 86400
    os.utime(old / ".complete", (eight_days_ago, eight_days_ago))
    (box.checkout / "requirements" / "controller.txt").write_text("# changed\n")
    box.run()
    assert not old.exists() and not half.exists()


def test_an_environment_whose_python_is_gone_is_built_again(box: Sandbox) -> None:
    box.run()
    (box.environments()[0] / "bin" / "python").unlink()
    ended = box.run()
    assert ended.status == 0 and "preparing" in ended.err


def test_when_uv_fails_it_is_said_and_venv_is_tried(box: Sandbox) -> None:
    box.set(ensurepip="", **{"uv-fails": ""})
    ended = box.run()
    assert ended.status == 0, ended.err
    assert "colab-ready: not with uv (Caused by: dns error); trying the next way\n" in ended.err
    assert not (box.environments()[0] / "half-of-one").exists(), "the next way begins from nothing"
    assert any("[-m] [pip] [install]" in call and "[--require-hashes]" in call for call in box.calls("python"))
    assert not box.calls("apt-get")


def test_without_uv_venv_is_used_without_a_word(box: Sandbox) -> None:
    (box.bin / "uv").unlink()
    box.set(ensurepip="")
    ended = box.run()
    assert ended.status == 0 and ended.err.count("\n") == 1


@pytest.mark.parametrize("place", ["variable", ".config/pip/pip.conf", ".pip/pip.conf"])
def test_where_pip_names_an_index_pip_is_asked_first(box: Sandbox, place: str) -> None:
    box.set(ensurepip="")
    more = {}
    if place == "variable":
        more["PIP_INDEX_URL"] = "http://mirror.invalid/simple"
    else:
        path = box.home / place
        path.parent.mkdir(parents=True)
        path.write_text("[global]\nindex-url = http://mirror.invalid/simple\n")
    assert box.run(**more).status == 0
    assert not box.calls("uv")


def test_without_venv_it_comes_from_apt(box: Sandbox) -> None:
    (box.bin / "uv").unlink()
    ended = box.run()
    assert ended.status == 0, ended.err
    assert "colab-ready: not with venv (No module named 'ensurepip'); trying the next way\n" in ended.err
    assert "installing python3.11-venv and ca-certificates with apt-get" in ended.err
    update, install = box.calls("apt-get")
    assert update.endswith("[update]")
    assert install.endswith("[install] [--yes] [--no-install-recommends] [python3.11-venv] [ca-certificates]")


def test_apt_goes_through_sudo_when_the_caller_is_not_root(box: Sandbox) -> None:
    box.become_nobody()
    (box.bin / "uv").unlink()
    box.set(**{"sudo-without-password": ""})
    assert box.run().status == 0
    wanted = "sudo [-n] [env] [DEBIAN_FRONTEND=noninteractive] [apt-get]"
    assert [call for call in box.calls("sudo") if call.startswith(wanted)]


def test_apt_is_not_asked_for_a_python_that_is_not_its_own(box: Sandbox) -> None:
    (box.bin / "uv").unlink()
    box.stand_in(box.bin / "dpkg", "dpkg", 'echo "dpkg-query: no path found" >&2; exit 1\n')
    ended = box.run()
    assert ended.status == 1 and not box.calls("apt-get")
    assert "colab-ready: not with apt (dpkg-query: no path found)\n" in ended.err


def test_when_every_way_fails_the_log_is_named_and_the_next_run_recovers(box: Sandbox) -> None:
    box.set(ensurepip="", **{"uv-fails": "", "pip-fails": ""})
    ended = box.run()
    assert ended.status == 1
    assert (
        "not with uv (Caused by: dns error); trying" in ended.err
        and "not with venv (ERROR: no route to the" in ended.err
    )
    log = box.cache / "controller.log"
    assert f"all output is in {log}" in ended.err
    assert "error: first line" in log.read_text() and "no route to the index" in log.read_text()
    assert not box.calls("ansible-playbook")
    box.unset("pip-fails")
    assert box.run().status == 0


def test_after_ctrl_c_in_the_middle_of_it_the_next_run_builds_it_again(box: Sandbox) -> None:
    box.set(**{"uv-waits": ""})
    process = box.start()
    box.wait_for("uv-started")
    os.killpg(process.pid, signal.SIGINT)
    ended = finished(process)
    assert ended.status == 130 and "interrupted" in ended.err
    assert not [path for path in box.environments() if (path / ".complete").exists()]
    box.unset("uv-waits")
    assert box.run().status == 0


def test_ctrl_c_during_the_playbook_ends_with_130_and_leaves_nothing(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    process = box.start()
    box.wait_for("ansible-started")
    os.killpg(process.pid, signal.SIGINT)
    ended = finished(process)
    assert ended.status == 130
    assert not list(box.cache.glob("run.*"))


def test_a_second_copy_waits_with_a_word(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    first = box.start()
    box.wait_for("ansible-started")
    second = box.start()
    assert second.stderr is not None
    assert "another colab-ready works on this computer: waiting" in second.stderr.readline()
    assert len(box.calls("ansible-playbook")) == 1
    box.unset("ansible-waits")
    assert finished(first).status == 0 and finished(second).status == 0
    assert len(box.calls("ansible-playbook")) == 2


def test_a_second_copy_waits_for_the_environment(box: Sandbox) -> None:
    box.set(**{"uv-waits": ""})
    first = box.start()
    box.wait_for("uv-started")
    second = box.start()
    assert second.stderr is not None
    assert "another colab-ready prepares its environment: waiting" in second.stderr.readline()
    box.unset("uv-waits")
    assert finished(first).status == 0 and finished(second).status == 0
    assert len(box.calls("uv")) == 2, "it was built once"


def test_a_copy_that_was_killed_does_not_block_the_next(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    process = box.start()
    box.wait_for("ansible-started")
    os.killpg(process.pid, signal.SIGKILL)
    finished(process)
    box.unset("ansible-waits")
    ended = box.run()
    assert ended.status == 0 and "another" not in ended.err


# --- which Python ---------------------------------------------------------------------------------------------------

SHIM = "echo \"pyenv: version '3.99' is not installed (set by /home/student/.python-version)\" >&2; exit 1\n"


def test_a_pyenv_shim_on_path_is_not_stepped_on(box: Sandbox) -> None:
    """The real /usr/bin/python3 of this computer is taken, whatever python3 on PATH is."""
    box.stand_in(box.bin / "python3", "python3", SHIM)
    del box.environment["COLAB_READY_PYTHON"]
    assert box.run().status == 0
    assert box.calls("uv")[0].startswith("uv [venv] [--python] [/usr/bin/python3")
    assert not box.calls("python3")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (SHIM, "does not run (pyenv: version '3.99' is not installed (set by /home/student/.python-version))"),
        ('echo "3 9 $0"\n', "is 3.9"),
        ("echo 2 7 /usr/bin/python\n", "does not run (2 7 /usr/bin/python)"),
    ],
)
def test_without_a_python_that_will_do_it_is_said_what_was_found(box: Sandbox, body: str, reason: str) -> None:
    shim = box.folder / "shim"
    box.stand_in(shim, "shim", body)
    ended = box.run(COLAB_READY_PYTHON=str(shim))
    assert ended.status == 1
    assert f"no Python 3.10 or newer found; {shim} {reason}. Do: " in ended.err


def test_settings_for_other_pythons_and_playbooks_do_not_leak_in(box: Sandbox) -> None:
    foreign = {
        "PYTHONPATH": "/elsewhere",
        "PYTHONHOME": "/elsewhere",
        "PYTHONWARNINGS": "error",
        "VIRTUAL_ENV": "/elsewhere",
        "ANSIBLE_STDOUT_CALLBACK": "json",
        "ANSIBLE_LIBRARY": "/elsewhere",
        "ANSIBLE_INVENTORY": "/elsewhere",
        "PIP_TARGET": "/elsewhere",
        "UV_SYSTEM_PYTHON": "1",
    }
    kept = {
        "PIP_INDEX_URL": "http://mirror.invalid/simple",
        "ANSIBLE_BECOME_PASSWORD_FILE": "/somewhere",
        "SUDO_USER": "me",
    }
    box.set(ensurepip="")
    assert box.run(**foreign, **kept).status == 0
    seen = box.seen_environment()
    assert not foreign.keys() & seen.keys()
    assert kept.items() <= seen.items()


@pytest.mark.parametrize(
    ("language", "set_by_us"), [("C", "C.UTF-8"), ("xx_XX.ISO-8859-1", "C.UTF-8"), ("C.UTF-8", None)]
)
def test_ansible_gets_a_utf_8_locale(box: Sandbox, language: str, set_by_us: str | None) -> None:
    assert box.run(LANG=language).status == 0
    assert box.seen_environment().get("LC_ALL") == set_by_us


# --- where and as whom ----------------------------------------------------------------------------------------------


def test_a_checkout_that_everybody_may_write_to_is_refused(box: Sandbox) -> None:
    box.checkout.chmod(0o777)
    ended = box.run()
    assert ended.status == 2 and not box.calls()
    assert f"everybody on this computer may write to {box.checkout}" in ended.err
    assert f"Do: cp -r '{box.checkout}' ~/colab-ready" in ended.err


def test_without_apt_it_is_said_where_it_runs(box: Sandbox) -> None:
    (box.bin / "apt-get").unlink()
    ended = box.run()
    assert ended.status == 1 and "this is not Debian or Ubuntu" in ended.err and not box.calls()


def test_root_needs_no_sudo(box: Sandbox) -> None:
    if not AM_ROOT:
        pytest.skip("the tests do not run as root")
    (box.bin / "sudo").unlink()
    assert box.run().status == 0
    assert "--ask-become-pass" not in box.calls("ansible-playbook")[0]


def test_sudo_without_a_password_asks_for_none(box: Sandbox) -> None:
    box.become_nobody()
    box.set(**{"sudo-without-password": ""})
    assert box.run().status == 0
    assert "--ask-become-pass" not in box.calls("ansible-playbook")[0]


def test_sudo_with_a_password_has_ansible_ask_for_it_on_the_terminal(box: Sandbox) -> None:
    """Also when it was typed a minute ago: Ansible's sudo has no terminal and cannot use that ticket."""
    box.become_nobody()
    ended = box.run_on_terminal("-v")
    assert ended.status == 0, ended.out
    assert "[--ask-become-pass]" in box.calls("ansible-playbook")[0]


@pytest.mark.parametrize("option", ["-K", "--ask-become-pass", "--become-password-file=/x"])
def test_a_password_that_the_caller_takes_care_of_is_not_asked_for_again(box: Sandbox, option: str) -> None:
    box.become_nobody()
    assert box.run_on_terminal(option).status == 0
    assert box.calls("ansible-playbook")[0].endswith(f"site.yml] [{option}]")


def test_a_password_without_a_terminal_is_one_message(box: Sandbox) -> None:
    box.become_nobody()
    ended = box.run()
    assert ended.status == 1 and ended.err.count("\n") == 1
    assert "sudo wants a password, and there is no terminal to ask for it. Do: " in ended.err
    assert not box.calls("uv"), "nothing was built before it was said"


def test_no_sudo_is_one_message(box: Sandbox) -> None:
    box.become_nobody()
    (box.bin / "sudo").unlink()
    ended = box.run()
    assert ended.status == 1 and ended.err.count("\n") == 1
    assert "this needs root, and there is no sudo here. Do: run it as root" in ended.err


def test_without_home_the_password_database_knows_it(box: Sandbox) -> None:
    box.become_nobody()
    (box.bin / "getent").unlink()
    box.stand_in(box.bin / "getent", "getent", f"echo 'someone:x:1:1::{box.home}:/bin/sh'\n")
    box.set(**{"sudo-without-password": ""})
    del box.environment["HOME"]
    assert box.run().status == 0
    assert box.environments()


def test_root_leaves_nothing_in_the_home_of_the_caller(box: Sandbox) -> None:
    """sudo can be configured to keep HOME."""
    if not AM_ROOT:
        pytest.skip("the tests do not run as root")
    (box.bin / "getent").unlink()
    roots = box.folder / "roots home"
    roots.mkdir()
    box.stand_in(box.bin / "getent", "getent", f"echo 'root:x:0:0::{roots}:/bin/sh'\n")
    os.chown(box.home, NOBODY, NOBODY)
    assert box.run().status == 0
    assert not list(box.home.iterdir()) and (roots / ".cache" / "colab-ready").is_dir()


def test_sudo_leaves_no_files_of_root_in_the_checkout(box: Sandbox) -> None:
    if not AM_ROOT:
        pytest.skip("the tests do not run as root")
    os.chown(box.checkout, NOBODY, NOBODY)
    compiled = box.checkout / "callback_plugins" / "__pycache__"
    compiled.mkdir(parents=True)
    (compiled / "x.pyc").touch()
    assert box.run(SUDO_UID=str(NOBODY)).status == 0
    assert {compiled.stat().st_uid, (compiled / "x.pyc").stat().st_uid} == {NOBODY}


def test_a_cache_that_is_somebody_elses_is_not_run_from(box: Sandbox) -> None:
    if not AM_ROOT:
        pytest.skip("the tests do not run as root")
    box.cache.mkdir(parents=True)
    os.chown(box.cache, NOBODY, NOBODY)
    ended = box.run()
    assert ended.status == 1 and "is not yours" in ended.err and not box.calls()


# --- the real Ansible -----------------------------------------------------------------------------------------------


def test_with_the_real_ansible_and_callback_a_run_that_proves_nothing_is_not_ready(box: Sandbox) -> None:
    real = Path(sys.executable).parent / "ansible-playbook"
    box.stand_in(box.state / "ansible-playbook", "ansible-playbook", f'export PATH=/usr/bin:/bin\nexec {real} "$@"\n')
    for name in ("ansible.cfg", "inventory", "callback_plugins"):
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, box.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, box.checkout / name)
    tasks = "  tasks:\n    - name: Do a thing\n      ansible.builtin.command: 'true'\n"
    play = f"---\n- name: A play\n  hosts: colab_hosts\n  gather_facts: false\n{tasks}"
    (box.checkout / "playbooks" / "site.yml").write_text(play)
    (box.cwd / "vars.yml").write_text("a: b\n")
    ended = box.run("-e", "@vars.yml")
    assert ended.status == 1, ended.out + ended.err
    assert "Do a thing" in ended.out and "done  1 changed" in ended.out
    assert "without proving that the computer is READY" in ended.err
    assert not (box.home / ".ansible").exists(), "nothing is left in the home"
    assert box.run("-i", "missing.yml").status != 0, "a mistyped inventory is an error"

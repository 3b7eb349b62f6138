"""How the launcher comes to an environment: the ways there, hashed wheels alone, and what is left of a way that failed."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import wheel_mirror
from wheel_mirror import Mirror

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "module_utils")]

from launcher import caller, controller, lock, playbook, remote, root  # noqa: E402 - the path comes first
from launcher.commands import Launcher  # noqa: E402 - as above
from launcher.words import Stop  # noqa: E402 - as above

PREAMBLE = """#!/bin/sh
# STAND-IN for {name}
state={state}
{{ printf '%s' {name}; printf ' [%s]' "$@"; echo; }} >>"$state/calls"
env >"$state/environment-of-{name}"
"""

# The Python to build from, and the one of an environment.
PYTHON = """
case "$*" in
    *fetch.command*)
        cat >"$state/order"
        [ ! -e "$state/no-wheels" ] || { echo "no source has uv" >&2; exit 1; }
        mkdir -p "$state/../cache/wheels"
        cp "$state/../bin/uv" "$state/../cache/wheels/uv"
        touch "$state/../cache/wheels/uv-1-py3-none-any.whl" "$state/../cache/wheels/a-1-py3-none-any.whl" ;;
    *ensurepip*) [ -e "$state/ensurepip" ] || { echo "ModuleNotFoundError: No module named 'ensurepip'" >&2; exit 1; } ;;
    *"-m venv "*)
        for directory do :; done
        mkdir -p "$directory/bin"
        cp "$0" "$directory/bin/python" ;;
    *"-m pip install"*) [ ! -e "$state/pip-fails" ] || { echo "ERROR: no route to the index" >&2; exit 1; } ;;
esac
"""

UV = """
for directory do :; done
if [ -e "$state/uv-fails" ]; then
    mkdir -p "$directory" && touch "$directory/half-of-one"
    echo "error: first line"
    echo "  Caused by: dns error"
    exit 2
fi
if [ "$1" = venv ]; then mkdir -p "$directory/bin" && cp "$state/python" "$directory/bin/python"; fi
"""


# With python3-venv comes ensurepip, and the pip that says which index is asked.
APT = """
[ ! -e "$state/apt-fails" ] || { echo "E: Unable to locate package" >&2; exit 100; }
case "$*" in *install*) touch "$state/ensurepip"; rm -f "$state/no-wheels" ;; esac
"""


@dataclass
class Yard:
    """Stand-ins, a lock, and a cache."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("bin", "state", "cache"):
            (self.folder / name).mkdir()
        self.state, self.cache = self.folder / "state", self.folder / "cache"
        self.lock = self.folder / "controller.txt"
        self.lock.write_text("# the lock\n")
        self.uv_lock = self.folder / "uv.txt"
        self.uv_lock.write_text(f"uv==1 --hash=sha256:{'0' * 64}\n")
        self.touch("no-wheels")
        for name, body in (("uv", UV), ("apt-get", APT), ("dpkg", ""), ("sudo", 'shift; exec "$@"\n')):
            self.stand_in(self.folder / "bin" / name, name, body)
        self.stand_in(self.state / "python", "python", PYTHON)

    def stand_in(self, path: Path, name: str, body: str) -> None:
        path.write_text(PREAMBLE.format(name=name, state=f"'{self.state}'") + body)
        path.chmod(0o755)

    def builder(self, uv: bool = True, become: tuple[str, ...] = (), **variables: str) -> controller.Builder:
        found = controller.sources([], variables, "/home/me")
        environ = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", **variables, **found.variables}
        program = str(self.folder / "bin" / "uv") if uv else None
        python = str(self.state / "python")
        return controller.Builder(
            "controller", self.lock, self.cache, environ, program, self.uv_lock, found, become, python
        )

    def touch(self, *names: str) -> None:
        for name in names:
            (self.state / name).touch()

    def calls(self, name: str) -> list[str]:
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(f"{name} [")]

    def seen(self, name: str) -> dict[str, str]:
        lines = (self.state / f"environment-of-{name}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    monkeypatch.setattr(controller, "pips_index", lambda: "https://index.invalid/simple")
    return Yard(tmp_path)


def test_it_needs_python_and_nothing_else(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    (yard.state / "no-wheels").unlink()
    yard.lock.write_text(
        f"a==1 --hash=sha256:{'1' * 64}\nb==1 ; python_full_version < '3.4' --hash=sha256:{'2' * 64}\n"
        f"c==2 ; os_name == 'posix' --hash=sha256:{'3' * 64}\n"
    )
    folder = yard.builder(uv=False, PIP_INDEX_URL="http://me:secret@mirror.invalid/simple").get()
    order = json.loads((yard.state / "order").read_text())
    assert order["wanted"] == [["uv", "1", ["0" * 64]], ["a", "1", ["1" * 64]], ["c", "2", ["3" * 64]]]
    assert order["places"]["index_url"] == "http://me:secret@mirror.invalid/simple"
    wheels = yard.cache / "wheels"
    assert [str(path.name) for path in wheels.iterdir()] == ["uv-1-py3-none-any.whl"], (
        "this computer needs that one next"
    )
    offline = f"[--offline] [--no-index] [--find-links] [{wheels}] [--no-build] [--require-hashes] [-r] [{yard.lock}]"
    assert offline in yard.calls("uv")[-1]
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"} & set(yard.seen("uv"))
    # A killed uv leaves nothing in /tmp.
    assert yard.seen("uv")["TMPDIR"] == str(yard.cache / "controller.tmp")
    assert "secret" not in "".join(yard.calls("python")) + "".join(yard.calls("uv")) + capsys.readouterr().err
    assert (folder / ".complete").exists()


def wheel_of_uv(python: str) -> bytes:
    """A wheel whose uv is a stand-in."""
    uv = f'#!/bin/sh\nfor folder do :; done\n[ "$1" != venv ] || {{ mkdir -p "$folder/bin"; ln -s {python} "$folder/bin/python"; }}\n'
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr("uv-1.data/scripts/uv", uv)
            wheel.writestr("filler", bytes(2 * wheel_mirror.PIECE))
        return file.getvalue()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror("uv-1-py3-none-any.whl", wheel_of_uv(sys.executable))
    yield made
    made.close()


def login(handler: Any) -> None:
    wheel_mirror.send(handler, 200, b"<html><form>Log in</form></html>", {"Content-Type": "text/html"})


def for_me_alone(handler: Any) -> None:
    """A page that wants the password; the one who has none is told so."""
    if handler.headers.get("Authorization") == "Basic bWU6c2VjcmV0":
        wheel_mirror.mirror_of(handler).list_wheels(handler)
    else:
        wheel_mirror.send(handler, 401, b"")


@pytest.mark.parametrize(
    ("address", "variables", "page", "answers", "reason"),
    [
        ("http://{}/simple", {}, None, [], ""),
        ("http://me:secret@{}/simple", {}, for_me_alone, [], ""),
        ("http://me:other@{}/simple", {}, for_me_alone, [], "wants a user name and a password, or others (401)"),
        ("http://index.invalid/simple", {"http_proxy": "http://{}"}, None, [], ""),
        ("http://{}/simple", {}, None, [wheel_mirror.stall], ""),
        ("http://{}/simple", {}, None, [wheel_mirror.cut], ""),
        ("http://{}/simple", {}, None, [wheel_mirror.status(503)], ""),
        ("http://{}/simple", {}, None, [wheel_mirror.status(429, Retry_After="0")], ""),
        ("http://{}/simple", {}, None, [wheel_mirror.status(429, Retry_After="86400")], "answers 429"),
        ("http://{}/simple", {}, None, [login], "is another file than the locked one"),
        ("http://{}/simple", {}, login, [], "no source has uv==1"),
        ("", {"PIP_FIND_LINKS": "{folder}", "PIP_NO_INDEX": "1"}, None, [], ""),
    ],
    ids=["well", "password", "wrong password", "proxy", "stalls", "cut", "503", "429", "429 until tomorrow", "login for the wheel",
         "login for the page", "a folder and no network"],
)  # fmt: skip
def test_the_wheels_come_from_where_pips_configuration_says(
    yard: Yard, mirror: Mirror, capsys: pytest.CaptureFixture[str],
    address: str, variables: dict[str, str], page: Any, answers: list[Any], reason: str,
) -> None:  # fmt: skip
    mirror.answers, mirror.page = list(answers), page or mirror.page
    (yard.folder / "wheels").mkdir()
    (yard.folder / "wheels" / mirror.name).write_bytes(mirror.content)
    yard.uv_lock.write_text(f"uv==1 --hash=sha256:{mirror.sum}\n")
    told = {name: value.format(mirror.address, folder=yard.folder / "wheels") for name, value in variables.items()}
    told.update({"PIP_INDEX_URL": address.format(mirror.address)} if address else {}, PIP_TIMEOUT="1")
    builder = replace(yard.builder(False, (), **told), python=sys.executable)
    if reason:
        with open(yard.state / "log", "w+") as log, pytest.raises(controller.Failed, match=re.escape(reason)):
            builder._with_wheels(
                yard.folder / "env", controller.Steps(log.fileno(), Path(log.name), builder.environ, None)
            )
        said = (yard.state / "log").read_text()
    else:
        assert (builder.get() / ".complete").exists()
        said = capsys.readouterr().err
    assert "not with" not in said and "secret" not in said
    assert bool(mirror.asked) is bool(address)


def test_it_is_built_once_from_hashed_wheels(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    folder = yard.builder().get()
    assert "preparing the controller environment" in capsys.readouterr().err
    assert f"[--no-build] [--require-hashes] [-r] [{yard.lock}]" in yard.calls("uv")[-1]
    assert yard.builder().get() == folder
    assert len(yard.calls("uv")) == 2 and not capsys.readouterr().err


def test_pip_too_builds_nothing(yard: Yard) -> None:
    yard.touch("ensurepip")
    yard.builder(uv=False).get()
    (install,) = [call for call in yard.calls("python") if "[install]" in call]
    assert f"[--only-binary] [:all:] [--require-hashes] [-r] [{yard.lock}]" in install
    # A killed pip leaves nothing in /tmp.
    assert yard.seen("python")["TMPDIR"] == str(yard.cache / "controller.tmp")
    assert not (yard.cache / "controller.tmp").exists()


def test_another_lock_is_another_environment(yard: Yard) -> None:
    first = yard.builder().get()
    yard.lock.write_text("# changed\n")
    assert yard.builder().get() != first and first.exists(), "somebody may still run from the one before"


def test_environments_that_nobody_used_for_a_week_are_cleaned_away(yard: Yard) -> None:
    old, half, used = (yard.cache / name for name in ("controller-old", "dev-half", "dev-used"))
    for folder in (old, half, used):
        folder.mkdir()
    for folder in (old, used):
        (folder / ".complete").touch()
    eight_days_ago = time.time() - 8 * 86400
    os.utime(old / ".complete", (eight_days_ago, eight_days_ago))
    yard.builder().get()
    assert not old.exists() and not half.exists() and used.exists()


@pytest.mark.parametrize("missing", ["bin/python", ".complete"])
def test_one_without_its_python_or_half_of_one_is_built_again(yard: Yard, missing: str) -> None:
    folder = yard.builder().get()
    (folder / missing).unlink()
    (folder / "half-of-one").touch()
    assert yard.builder().get() == folder
    assert not (folder / "half-of-one").exists() and (folder / ".complete").exists()


def test_when_uv_fails_it_is_said_and_venv_is_tried(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.touch("ensurepip", "uv-fails")
    folder = yard.builder().get()
    assert "colab-ready: not with uv (Caused by: dns error); trying the next way\n" in capsys.readouterr().err
    assert not (folder / "half-of-one").exists(), "the next way begins from nothing"


def test_what_pip_is_configured_to_holds_for_both(yard: Yard) -> None:
    text = "[global]\nindex-url = http://u:secret@mirror.invalid/simple\n[install]\nfind-links = ~/wheels\n"
    network, _arguments, order = controller.sources([("/home/me/.config/pip/pip.conf", text)], {}, "/home/me")
    assert network["UV_DEFAULT_INDEX"] == network["PIP_INDEX_URL"] == "http://u:secret@mirror.invalid/simple"
    assert network["UV_FIND_LINKS"] == network["PIP_FIND_LINKS"] == "/home/me/wheels"
    assert order["places"]["index_url"] == network["UV_DEFAULT_INDEX"] and order["places"]["find_links"] == [
        "/home/me/wheels"
    ]
    assert network["PIP_CONFIG_FILE"] == os.devnull, "nothing is read a second time, as another user"
    assert network["UV_NO_CONFIG"] == "1"
    yard.builder(PIP_INDEX_URL="http://mirror.invalid/simple").get()
    assert yard.seen("uv")["UV_DEFAULT_INDEX"] == "http://mirror.invalid/simple"
    assert "mirror" not in "".join(yard.calls("uv"))


def test_a_configuration_that_pip_refuses_is_one_message() -> None:
    with pytest.raises(Stop, match="pip's configuration file /etc/pip.conf cannot be read"):
        controller.sources([("/etc/pip.conf", "no section\n")], {}, "/root")


def test_without_venv_it_comes_from_apt(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.builder(uv=False).get()
    said = capsys.readouterr().err
    assert "colab-ready: not with venv (No module named 'ensurepip'); trying the next way\n" in said
    package = f"python3.{sys.version_info[1]}-venv"
    assert f"installing {package} and ca-certificates with apt-get" in said
    update, install = yard.calls("apt-get")
    assert update.endswith("[update]")
    assert install.endswith(f"[install] [--yes] [--no-install-recommends] [{package}] [ca-certificates]")
    assert not yard.calls("sudo"), "root's half is root"


def test_where_nothing_says_which_index_is_asked_apt_brings_a_pip_without_more_words(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(controller, "pips_index", lambda: "")
    yard.builder(uv=False).get()
    assert "not with" not in capsys.readouterr().err and len(yard.calls("apt-get")) == 2


def test_apt_goes_through_sudo_where_the_caller_builds(yard: Yard) -> None:
    yard.builder(uv=False, become=(str(yard.folder / "bin" / "sudo"), "--")).get()
    begins = "sudo [--] [env] [-u] [TMPDIR] [DEBIAN_FRONTEND=noninteractive]"
    assert [call.startswith(begins) for call in yard.calls("sudo")] == [True, True]


def test_apt_is_not_asked_for_a_python_that_is_not_its_own(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    yard.stand_in(yard.folder / "bin" / "dpkg", "dpkg", 'echo "dpkg-query: no path found" >&2; exit 1\n')
    with pytest.raises(Stop):
        yard.builder(uv=False).get()
    assert "colab-ready: not with apt (dpkg-query: no path found)\n" in capsys.readouterr().err
    assert not yard.calls("apt-get")


def test_when_every_way_fails_the_log_is_named_and_the_next_run_recovers(yard: Yard) -> None:
    yard.touch("ensurepip", "uv-fails", "pip-fails")
    log = yard.cache / "controller.log"
    with pytest.raises(Stop, match=f"all output is in {log}. Expected: a package index that answers"):
        yard.builder().get()
    assert "error: first line" in log.read_text() and "no route to the index" in log.read_text()
    (yard.state / "pip-fails").unlink()
    assert (yard.builder().get() / ".complete").exists()


def test_two_launchers_of_one_user_build_one_after_the_other(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entered = threading.Event()
    monkeypatch.setattr(controller.Builder, "get", lambda self: entered.set())
    launcher = Launcher(PROJECT, {"XDG_CACHE_HOME": str(yard.folder), "HOME": caller.home_of(os.geteuid(), os.environ)})
    with lock.hold(str(remote.make_cache(launcher) / "lock"), "the first"):
        other = threading.Thread(target=remote.environment, args=(launcher, "controller"))
        other.start()
        assert not entered.wait(0.3)
    other.join(10)
    assert entered.is_set()
    assert "another colab-ready works on this computer: the first; waiting" in capsys.readouterr().err


def test_the_folder_of_a_callers_killed_run_goes_with_the_next_and_one_that_is_held_stays(yard: Yard) -> None:
    launcher = Launcher(PROJECT, {"XDG_CACHE_HOME": str(yard.folder), "HOME": caller.home_of(os.geteuid(), os.environ)})
    cache = remote.make_cache(launcher)
    dead, new = cache / "run.dead", cache / "run.new"
    for folder in (dead, new):
        folder.mkdir()
    with remote.scratch(launcher) as held:
        for folder in (dead, held):
            os.utime(folder, (0, 0))
        with remote.scratch(launcher):
            assert held.exists() and new.exists() and not dead.exists()
    assert not held.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root's uv has to be root's")
def test_root_starts_no_uv_that_somebody_else_can_change(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root.variables, "ROOT_PATH", str(yard.folder / "bin"))
    assert root.find_uv() == str(yard.folder / "bin" / "uv")
    os.chown(yard.folder / "bin" / "uv", 65534, 65534)
    assert root.find_uv() is None


# --- an index that holds it up --------------------------------------------------------------------------------------

# Of an environment the Python, whose pip was asked to come again tomorrow.
WAITING = PYTHON.replace(
    "*ensurepip*)", '*"-m pip install"*) echo $$ >"$state/pip"; exec sleep 600 ;;\n    *ensurepip*)'
)


@pytest.fixture
def waiting(yard: Yard) -> Yard:
    yard.stand_in(yard.state / "python", "python", WAITING)
    yard.stand_in(yard.folder / "bin" / "dpkg", "dpkg", "exit 1\n")
    yard.touch("ensurepip")
    return yard


def assert_pip_is_gone(yard: Yard) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(int((yard.state / "pip").read_text()), 0)


def test_what_does_not_end_is_waited_for_with_words_and_ended(
    waiting: Yard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(controller, "STEP_SECONDS", 3)
    monkeypatch.setattr(controller, "WORD_SECONDS", 1)
    with pytest.raises(Stop, match="no way led to the controller environment"):
        waiting.builder(uv=False).get()
    said = capsys.readouterr().err
    assert "python is still at it (1 s)" in said and "not with venv (python did not end within 0 minutes)" in said
    assert_pip_is_gone(waiting)


def test_a_full_folder_is_why_no_way_led_there(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.touch("apt-fails")
    monkeypatch.setattr(playbook, "ROOM_LEAST", 1 << 60)
    with pytest.raises(Stop, match="/tmp is full, .*Do: df -h /tmp"):
        yard.builder(uv=False).get()


def test_the_silence_of_steps_before_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        steps = controller.Steps(log.fileno(), tmp_path / "log", {"PATH": "/bin"}, None, said=time.monotonic() - 9)
        steps.run("sleep", "1.2")
    assert "sleep is still at it (1 s)" in capsys.readouterr().err


@pytest.mark.parametrize(("sent", "status"), [(b"", 143), (b"\x0f", 143), (b"\x02", 130), (b"\x01", 129)])
def test_it_ends_with_who_called(waiting: Yard, sent: bytes, status: int) -> None:
    builder = waiting.builder(uv=False)
    builder.talk, caller = os.pipe()
    os.write(caller, sent)

    def go_away() -> None:
        wait_for(waiting.state / "pip")
        os.close(caller)

    threading.Thread(target=go_away).start()
    with pytest.raises(SystemExit) as ended:
        builder.get()
    assert ended.value.code == status
    if not sent:
        assert_pip_is_gone(waiting)
    os.close(builder.talk)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)


def test_apt_is_not_asked_for_what_is_there(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(controller, "CERTIFICATES", str(yard.lock))
    yard.touch("ensurepip", "pip-fails")
    with pytest.raises(Stop):
        yard.builder(uv=False).get()
    assert "not with apt (" in capsys.readouterr().err and not yard.calls("apt-get")

"""colab-runtime as a process, without systemd, around a stand-in for the Jupyter server (tests/doubles)."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "roles" / "colab_runtime" / "files" / "colab_runtime"
ROOMS = PROJECT / "module_utils" / "colab_ready"
VARIABLES = yaml.safe_load((PROJECT / "roles" / "colab_runtime" / "vars" / "main.yml").read_text(encoding="utf-8"))
INSTALLED_ROOMS = VARIABLES["__colab_runtime_rooms"]
STAND_IN = PROJECT / "tests" / "doubles" / "standin_jupyter_server.py"
# The host's own Python, which other users can run, too; a test's may lie in a home folder.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
# The program of these tests differs from the installed one in this: the package lies elsewhere, a server that hangs does not hold
# up the tests, and what the account database says of the user's groups stands in a file, so that no test joins a group of this
# machine.
PROGRAM = """\
import importlib
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, {library!r})


def _listed(name, gid):
    with open({groups!r}) as file:
        return [gid, *map(int, file.read().split())]


os.getgrouplist = _listed
os.initgroups = lambda name, gid: os.setgroups(_listed(name, gid))
for module, name, value in {constants!r}:
    module = importlib.import_module("colab_runtime." + module)
    assert hasattr(module, name)
    setattr(module, name, value)

from colab_runtime.cli import main

sys.exit(main(sys.argv[1:]))
"""
JOINED = 54321
TOKEN = "0123456789abcdef" * 3
needs_root = pytest.mark.skipif(not ROOT, reason="changing to another user takes root")


def eventually(true: Callable[[], Any], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        value = true()
        if value or time.monotonic() >= end:
            return value
        time.sleep(0.05)


def living(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as chooser:
        chooser.bind(("127.0.0.1", 0))
        return int(chooser.getsockname()[1])


class Runtime:
    """A host's files in a folder of their own, and the program that acts on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.home, self.run_dir, self.log_dir = folder / "home", folder / "run", folder / "log"
        self.token, self.config = folder / "token", folder / "etc"
        self.environment = folder / "environment.d"
        self.settings = folder / "runtime.json"
        self.program = folder / "colab-runtime"
        for path in (self.home, self.run_dir, self.log_dir, self.config, folder / "server" / "bin"):
            path.mkdir(parents=True)
        self.groups = folder / "groups"
        self.groups.touch()
        for path in sorted(PACKAGE.glob("*.py")) + [ROOMS / name for name in INSTALLED_ROOMS]:
            target = folder / "lib" / path.relative_to(PACKAGE.parent if PACKAGE in path.parents else ROOMS.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        self.write_program()
        shutil.copy(STAND_IN, folder / "standin.py")
        python = folder / "server" / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec {PYTHON} {folder}/standin.py "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        self.token.write_text(TOKEN, encoding="ascii")
        self.token.chmod(0o600)
        (self.config / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": {"port": self.port}}))
        (self.config / "migrated").touch()
        self.write_settings()
        for path in (self.home, self.run_dir, self.log_dir, self.token):
            os.chown(path, USER.pw_uid, USER.pw_gid)
        self.run_dir.chmod(0o700)

    def write_settings(self, **changes: Any) -> None:
        values = {
            "schema": 1,
            "user": USER.pw_name,
            "prefix": str(self.folder),
            "port": self.port,
            "service_manager": "colab-runtime",
            "root_dir": str(self.home),
            "token_file": str(self.token),
            "config_dir": str(self.config),
            "run_dir": str(self.run_dir),
            "log_dir": str(self.log_dir),
            "environment_dir": str(self.environment),
        }
        self.settings.write_text(json.dumps({**values, **changes}), encoding="utf-8")
        self.settings.chmod(0o644)

    def write_program(self, *constants: tuple[str, str, Any]) -> None:
        """The command, with other values of these constants: (module of the package, name, value)."""
        ours = [("core", "PROGRAM", str(self.program)), ("core", "SERVER_STOP_SECONDS", 2.0), *constants]
        text = PROGRAM.format(library=str(self.folder / "lib"), groups=str(self.groups), constants=ours)
        self.program.write_text(text, encoding="utf-8")
        self.program.chmod(0o755)

    def mode(self, word: str) -> None:
        (self.home / "standin_mode").write_text(word, encoding="ascii")

    def command(self, *words: str) -> list[str]:
        return [PYTHON, "-I", str(self.program), "--settings", str(self.settings), *words]

    def __call__(self, *words: str, root: bool = False, **more: Any) -> subprocess.CompletedProcess[str]:
        who: dict[str, Any] = {}
        if ROOT and not root:
            who = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []}
        done = subprocess.run(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
            check=False,
            **{"env": {"PATH": "/nowhere", "HOME": USER.pw_dir}, **who, **more},
        )
        assert "Traceback" not in done.stderr, done.stderr
        if words != ("url",):
            assert not {TOKEN, self.secret} & set(re.findall(r"\w+", done.stdout + done.stderr))
        return done

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self("status", "--json").stdout))

    @property
    def secret(self) -> str:
        """The token as it is now: a start where nobody held the port has made a new one."""
        return self.token.read_text(encoding="ascii", errors="replace") if self.token.exists() else TOKEN

    def seen(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "standin_seen.json").read_text(encoding="utf-8")))

    def supervisor(self) -> int:
        return int((self.run_dir / "supervisor.pid").read_text(encoding="ascii"))

    def log(self) -> str:
        path = self.log_dir / "server.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    # Not tmp_path: pytest's folders are closed to the user who runs the server here.
    folder = Path(tempfile.mkdtemp(prefix="colab-runtime-test-"))
    folder.chmod(0o755)
    made = Runtime(folder)
    yield made
    made.write_settings()
    made("stop", "--force")
    shutil.rmtree(folder)


def test_start_status_url_stop(runtime: Runtime) -> None:
    assert runtime("status").returncode == 3
    started = runtime("start")
    assert started.returncode == 0, started.stderr
    assert runtime("status").returncode == 0
    seen = runtime.seen()
    assert {"running": True, "state": "running", "pid": seen["pid"], "restarts": 0}.items() <= runtime.status().items()
    address = runtime("url")
    assert (address.returncode, address.stderr) == (0, "")
    assert address.stdout == f"http://localhost:{runtime.port}/?token={runtime.secret}\n"
    supervisor = runtime.supervisor()
    assert runtime("stop").returncode == 0
    assert not [pid for pid in (supervisor, seen["pid"], seen["kernel"]) if living(pid)]
    assert runtime("status").returncode == 3
    assert runtime("stop").stdout == "Not running.\n"


def test_start_restarts_a_server_that_has_another_token_than_the_file(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    old = runtime.seen()["pid"]
    assert "already running" in runtime("start").stdout
    assert runtime.seen()["pid"] == old
    renewed = "f" * len(TOKEN)
    runtime.token.write_text(renewed)
    again = runtime("start")
    assert again.returncode == 0, again.stderr
    assert "a token that was replaced" in again.stdout and "already running" not in again.stdout
    assert not living(old)
    assert runtime("url").stdout == f"http://localhost:{runtime.port}/?token={renewed}\n"


def test_the_token_is_in_no_argument_environment_log_or_state(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    seen = runtime.seen()
    for pid in (runtime.supervisor(), seen["pid"], seen["kernel"]):
        assert runtime.secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert runtime.secret not in json.dumps(seen)
    assert runtime.secret not in runtime.log()
    assert not [path for path in runtime.run_dir.rglob("*") if path.is_file() and runtime.secret in path.read_text()]


def test_the_server_starts_in_clean_surroundings(runtime: Runtime) -> None:
    noise = {"JUPYTER_TOKEN": "planted", "PYTHONPATH": "/planted", "SOMETHING": "planted", "PATH": "/nowhere"}
    assert runtime("start", env={**noise, "LANG": "ko_KR.UTF-8"}).returncode == 0
    seen = runtime.seen()
    assert "planted" not in json.dumps(seen)
    assert seen["environment"]["LANG"] == "ko_KR.UTF-8"
    assert seen["environment"]["HOME"] == USER.pw_dir
    assert seen["environment"]["JUPYTER_CONFIG_DIR"] == str(runtime.config)
    assert seen["arguments"][0] == "-I"
    assert (seen["folder"], seen["uid"], seen["umask"]) == (str(runtime.home), USER.pw_uid, 0o022)
    held = re.findall(r"\d+", seen["arguments"][-1].partition("service_manager.install")[2])
    assert len(held) in (1, 2) and len(set(seen["files"]) - set(held)) == 4  # the fourth: the listing itself


def environment_file(runtime: Runtime, text: str) -> Path:
    runtime.environment.mkdir(exist_ok=True)
    runtime.environment.chmod(0o755)
    path = runtime.environment / "rocm.conf"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def test_the_server_has_what_a_driver_wants_in_its_environment_and_nothing_of_it_is_run(runtime: Runtime) -> None:
    touched = runtime.home / "touched"
    path = environment_file(
        runtime,
        f"# Made by colab-ready\nHSA_ENABLE_DXG_DETECTION=1\nODD=$(touch {touched})\nexport SECRET=hunter2\n"
        "JUPYTER_TOKEN=planted\nPYTHONPATH=/planted\n",
    )
    assert runtime("start").returncode == 0
    seen = runtime.seen()["environment"]
    assert (seen["HSA_ENABLE_DXG_DETECTION"], seen["ODD"]) == ("1", f"$(touch {touched})")
    assert "planted" not in json.dumps(seen) and not touched.exists()
    assert f"Not read, line 4 of {path}: expected NAME=value" in runtime.log() and "hunter2" not in runtime.log()
    environment_file(runtime, "HSA_ENABLE_DXG_DETECTION=0\n")
    assert runtime("restart").returncode == 0
    seen = runtime.seen()["environment"]
    assert seen["HSA_ENABLE_DXG_DETECTION"] == "0" and "ODD" not in seen


@pytest.mark.parametrize("command", ["start", "serve"])
def test_the_server_is_not_started_with_an_environment_that_others_can_write(runtime: Runtime, command: str) -> None:
    path = environment_file(runtime, "LD_PRELOAD=/planted.so\n")
    path.chmod(0o666)
    refused = runtime(command)
    assert refused.returncode == 78
    assert "can be changed by everybody: its mode is 0666" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (runtime.home / "standin_seen.json").exists()


@needs_root
def test_an_environment_that_the_user_may_not_read_is_named_and_stops_nothing(runtime: Runtime) -> None:
    path = environment_file(runtime, "A=1\n")
    path.chmod(0o600)
    assert runtime("start").returncode == 0
    assert f"Not read, {path}: Permission denied" in runtime.log()
    runtime.environment.chmod(0o700)
    assert runtime("restart").returncode == 0
    assert f"Not read, {runtime.environment}: Permission denied" in runtime.log()


def test_start_keeps_no_file_of_its_caller_open(runtime: Runtime) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    assert runtime("start", close_fds=False).returncode == 0
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b""  # the end of the file: nobody else holds the other end
    os.close(reader)


def test_a_second_start_changes_nothing(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    before = runtime.supervisor(), runtime.seen()["pid"]
    again = runtime("start")
    assert again.returncode == 0 and "already running" in again.stdout
    assert (runtime.supervisor(), runtime.seen()["pid"]) == before


def test_two_starts_at_once_make_one_server(runtime: Runtime) -> None:
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: results.append(runtime("start"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.returncode, result.stderr) for result in results] == [(0, ""), (0, "")]
    assert runtime("status").returncode == 0
    assert runtime.log().count("stand-in: starting") == 1


def test_restart_makes_a_new_server(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    before = runtime.seen()["pid"]
    assert runtime("restart").returncode == 0
    assert runtime.seen()["pid"] != before and not living(before)


@pytest.mark.parametrize("root", [False, pytest.param(True, marks=needs_root)])
def test_a_server_is_not_restarted_for_another_kernel(runtime: Runtime, root: bool) -> None:
    environment_file(runtime, "A=1\n")
    assert runtime("start").returncode == 0
    before = runtime.supervisor(), runtime.seen()["pid"]
    runtime.write_settings(
        kernel="directml", device_type="privateuseone", adapter="A", card={"names": ["A"]}, environment={"B": "1"}
    )
    done = runtime("start", root=root)
    assert (done.returncode, done.stderr) == (0, "") and "already running" in done.stdout.splitlines()[0]
    assert (runtime.supervisor(), runtime.seen()["pid"]) == before
    assert runtime.status()["restart_pending"] == []


def groups_of(pid: int) -> list[int]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return [int(word) for line in lines if line.startswith("Groups:") for word in line.split()[1:]]


def joins_a_group(it: Runtime) -> None:
    it.groups.write_text(f"{JOINED}\n", encoding="ascii")


@needs_root
def test_a_server_whose_user_has_joined_a_group_is_restarted_and_then_left_alone(runtime: Runtime) -> None:
    assert runtime("start", root=True).returncode == 0
    before = runtime.seen()["pid"]
    runtime.write_settings(kernel="rocm", device_type="cuda")
    joins_a_group(runtime)
    done = runtime("start", root=True)
    assert (done.returncode, done.stderr) == (0, "") and "already running" not in done.stdout
    seen = runtime.seen()
    assert seen["pid"] != before and not living(before)
    assert JOINED in groups_of(seen["pid"]) and JOINED in groups_of(seen["kernel"])
    assert "already running" in runtime("start", root=True).stdout
    assert runtime.seen()["pid"] == seen["pid"]


@needs_root
def test_a_group_that_the_server_has_and_its_user_has_not_restarts_nothing(runtime: Runtime) -> None:
    """As a drop-in of the unit can give it (SupplementaryGroups=, Group=), or a server that outlived a membership."""
    joins_a_group(runtime)
    assert runtime("start", root=True).returncode == 0
    before = runtime.seen()["pid"]
    runtime.groups.write_text("", encoding="ascii")
    assert "already running" in runtime("start", root=True).stdout
    assert runtime.seen()["pid"] == before


@pytest.mark.skipif(not ROOT, reason="takes a caller that lacks a group of its account")
def test_who_lacks_the_group_itself_says_what_waits_and_restarts_nothing(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    before = runtime.seen()["pid"]
    joins_a_group(runtime)
    said = runtime("start").stdout.splitlines()
    assert said[0].startswith("Restart pending: the server and its notebooks lack")
    assert f"{JOINED} (groups)" in said[0] and said[0].endswith("Do: sudo colab-runtime restart")
    assert "already running" in said[1] and len(said) == 2
    assert runtime.seen()["pid"] == before


def links_the_note(runtime: Runtime) -> None:
    (runtime.run_dir / "served").rename(runtime.home / "served")
    (runtime.run_dir / "served").symlink_to(runtime.home / "served")


def moves(it: Runtime) -> None:
    """As the playbook does it, the configuration too."""
    port = free_port()
    it.write_settings(port=port)
    (it.config / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": {"port": port}}))


ANOTHER = "started by another version"
CHANGES: list[Any] = [
    (lambda it: it.write_settings(http_over_ws=False), "the settings changed"),
    (lambda it: environment_file(it, "A=2\nB=1\n"), "the driver's environment changed"),
    (lambda it: (it.environment / "rocm.conf").unlink(), "the driver's environment changed"),
    (lambda it: (it.config / "jupyter_server_config.json").write_text("{}"), "the server's configuration changed"),
    (lambda it: (it.folder / "server/colab-ready.json").write_text("{}"), "the server's packages changed"),
    (lambda it: (it.folder / "lib/colab_runtime/new.py").touch(), "colab-runtime itself changed"),
    (moves, "it moves from port "),
    pytest.param(joins_a_group, f"{JOINED} (groups)", marks=needs_root),
    (lambda it: (it.run_dir / "served").unlink(), ANOTHER),
    (links_the_note, ANOTHER),
]


@pytest.mark.parametrize(("change", "why"), CHANGES)
def test_what_a_new_server_would_have_waits_while_a_notebook_is_in_use_and_comes_when_none_is(
    runtime: Runtime, change: Callable[[Runtime], Any], why: str
) -> None:
    environment_file(runtime, "A=1\n")
    assert runtime("start", root=ROOT).returncode == 0
    before, address = runtime.seen()["pid"], runtime("url").stdout
    lists(runtime, kernels=[{"id": "aaaaaaaa-1"}])
    change(runtime)
    for _ in range(2):
        waits = runtime("start", root=ROOT)
        assert (waits.returncode, waits.stderr) == (0, "")
        first, second = waits.stdout.splitlines()
        assert first.startswith("Restart pending: ") and why in first and "ends 'kernel aaaaaaaa'" in first
        assert first.endswith("at once, whatever runs: colab-runtime restart --force") and "already running" in second
    assert why in "".join(runtime.status()["restart_pending"]) and "restart pending: " in runtime("status").stdout
    assert (runtime.seen()["pid"], runtime("url").stdout) == (before, address)
    lists(runtime, kernels=[])
    done = runtime("start", root=ROOT)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("Restarting the server: ")
    assert runtime.seen()["pid"] != before and not living(before)
    port = json.loads(runtime.settings.read_text(encoding="utf-8"))["port"]
    assert runtime("start", root=ROOT).stdout == f"The server is already running: http://localhost:{port}/\n"
    assert runtime.status()["restart_pending"] == []


def test_a_change_that_is_undone_waits_for_nothing(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    before = runtime.seen()["pid"]
    config = (runtime.config / "jupyter_server_config.json").read_text()
    lists(runtime, kernels=[{"id": "aaaaaaaa-1"}])
    moves(runtime)
    assert "Restart pending" in runtime("start").stdout
    runtime.write_settings()
    (runtime.config / "jupyter_server_config.json").write_text(config)
    assert runtime("start").stdout.startswith("The server is already running") and runtime.seen()["pid"] == before


IDLE = {"id": "aaaaaaaa-1", "execution_state": "idle", "connections": 0, "last_activity": "2020-01-02T03:04:05.6Z"}
SESSIONS = [{"path": "lesson.ipynb", "name": "", "kernel": {"id": "aaaaaaaa-1"}}]


@pytest.mark.parametrize("words", [("restart",), ("stop",), ("start",), ("token", "--rotate")])
@pytest.mark.parametrize("named", ["'lesson.ipynb'", None])
def test_a_command_ends_what_is_in_use_by_force_alone(
    runtime: Runtime, words: tuple[str, ...], named: str | None
) -> None:
    """What was left behind days ago is in nobody's use."""
    assert runtime("start").returncode == 0
    before = runtime.seen()["pid"]
    lists(runtime, kernels=[{**IDLE, "connections": 1} if named else IDLE], sessions=SESSIONS)
    if words == ("start",):
        runtime.write_settings(http_over_ws=False)
    done = runtime(*words)
    assert living(before) is (named is not None)
    if named:
        assert named in done.stdout + done.stderr and "--force" in done.stdout + done.stderr
        assert done.returncode == (0 if words == ("start",) else 75)
        assert runtime(*words, "--force").returncode == 0 and not living(before)
    else:
        assert done.returncode == 0


@needs_root
def test_the_token_of_an_idle_server_is_not_sent_to_a_stranger(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    noted = (runtime.run_dir / "served").read_text()
    assert runtime("stop").returncode == 0
    (runtime.run_dir / "served").write_text(noted)
    Thief.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", runtime.port), Thief) as thief:
        threading.Thread(target=thief.serve_forever, daemon=True).start()
        assert runtime("restart", root=True).returncode == 75
        thief.shutdown()
    assert Thief.heard == []


# Takes the port as soon as it is free, on any address of localhost, and tells whoever comes there.
SNATCHER = """
import socket, sys
port, heard = int(sys.argv[1]), open(sys.argv[2], "ab", buffering=0)
print("ready", flush=True)
while True:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0")):
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                listener.bind((address, port))
                listener.listen()
            except OSError:
                continue
            heard.write(b"taken\\n")
            listener.settimeout(0.5)
            try:
                heard.write(listener.accept()[0].recv(4096))
            except OSError:
                pass
"""


@contextlib.contextmanager
def snatcher(runtime: Runtime) -> Iterator[Path]:
    """Another user who waits for the port; the file holds what that user has got."""
    heard = runtime.folder / "snatched"
    heard.touch()
    daemon = pwd.getpwnam("daemon")
    os.chown(heard, daemon.pw_uid, -1)
    arguments = [PYTHON, "-c", SNATCHER, str(runtime.port), str(heard)]
    who: dict[str, Any] = {"user": daemon.pw_uid, "group": daemon.pw_gid, "extra_groups": [], "cwd": "/"}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, **who) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield heard
        finally:
            process.kill()


@needs_root
def test_the_port_is_held_over_restarts_and_crashes_and_free_after_a_stop(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    token = runtime.secret
    with snatcher(runtime) as heard:
        assert runtime("restart").returncode == 0
        assert runtime("restart", root=True).returncode == 0
        os.kill(runtime.seen()["pid"], signal.SIGKILL)
        runtime.mode("crash")
        assert eventually(lambda: runtime.status()["state"] == "waiting")
        runtime.mode("")
        assert runtime("restart").returncode == 0
        assert runtime("url").stdout == f"http://localhost:{runtime.port}/?token={token}\n"
        assert heard.read_text() == ""
        assert runtime("stop").returncode == 0
        assert eventually(lambda: "taken" in heard.read_text())
        taken = runtime("start", root=True)
        assert taken.returncode == 75 and "'daemon'" in taken.stderr
    again = runtime("start")
    assert again.returncode == 0 and "The token is new" in again.stdout and "colab-runtime url" in again.stdout
    assert [request(runtime, one) for one in (runtime.secret, token)] == [200, 403]
    assert token not in heard.read_text()


def test_the_server_answers_on_each_address_of_localhost_and_knows_its_token_after_a_restart(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    token = runtime.secret
    assert "The token is new" not in runtime("restart").stdout
    assert (runtime.secret, request(runtime, token)) == (token, 200)
    with socket.create_connection(
        ("::1" if Path("/proc/net/if_inet6").exists() else "127.0.0.1", runtime.port), 5
    ) as one:
        one.sendall(b"GET /api HTTP/1.0\r\n\r\n")
        assert b" 200 " in one.recv(100)


@pytest.mark.parametrize("mode", ["", "mute"])
def test_a_server_that_says_nothing_any_more_is_killed_and_started_again(runtime: Runtime, mode: str) -> None:
    limits = [("supervisor", name, 2.0) for name in ("WATCHDOG_SECONDS", "SLOW_START_SECONDS")]
    runtime.write_program(*limits)
    runtime.mode(mode)
    assert runtime("start").returncode == 0
    first = runtime.seen()["pid"]
    if not mode:
        time.sleep(3.0)  # it has gone on to say that it answers
        assert runtime.seen()["pid"] == first
        os.kill(first, signal.SIGSTOP)
    runtime.mode("")
    assert eventually(lambda: runtime.seen()["pid"] != first)
    assert "has not answered for 2 s and is killed" in runtime.log()
    assert runtime("start").returncode == 0 and runtime("url").returncode == 0


def test_start_restarts_a_server_that_does_not_answer(runtime: Runtime) -> None:
    runtime.write_program(("commands", "START_SECONDS", 2.0))
    assert runtime("start").returncode == 0
    first, token = runtime.seen()["pid"], runtime.secret
    os.kill(first, signal.SIGSTOP)
    again = runtime("start")
    assert again.returncode == 0 and "Restarting it" in again.stdout and "already running" not in again.stdout
    assert runtime.seen()["pid"] != first and request(runtime, token) == 200


def test_a_killed_server_comes_back_and_its_kernels_are_ended(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    before = runtime.seen()
    os.kill(before["pid"], signal.SIGKILL)
    assert eventually(lambda: runtime.seen()["pid"] != before["pid"] and runtime("status").returncode == 0)
    assert not living(before["kernel"])
    assert runtime.status()["restarts"] == 1
    assert "was ended by SIGKILL" in runtime.log()


def test_a_killed_supervisor_takes_its_server_along(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    server = runtime.seen()["pid"]
    os.kill(runtime.supervisor(), signal.SIGKILL)
    assert eventually(lambda: not living(server))
    assert runtime("status").returncode == 3
    assert runtime("start").returncode == 0


def test_a_server_that_does_not_want_to_stop_is_killed(runtime: Runtime) -> None:
    runtime.mode("hang")
    assert runtime("start").returncode == 0
    seen = runtime.seen()
    assert runtime("stop").returncode == 0
    assert not living(seen["pid"]) and not living(seen["kernel"])
    assert "is killed" in runtime.log()


def test_a_pid_file_from_another_life_harms_nobody(runtime: Runtime) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (runtime.run_dir / "supervisor.pid").write_text(f"{bystander.pid}\n", encoding="ascii")
        state = {"pid": bystander.pid, "started_ticks": 1, "state": "running", "server_pid": bystander.pid}
        (runtime.run_dir / "supervisor.json").write_text(json.dumps(state), encoding="ascii")
        (runtime.run_dir / "supervisor.lock").touch()
        for path in runtime.run_dir.iterdir():
            os.chown(path, USER.pw_uid, USER.pw_gid)
        assert runtime("status").returncode == 3
        assert runtime("stop").stdout == "Not running.\n"
        assert bystander.poll() is None
        assert runtime("start").returncode == 0
    finally:
        bystander.kill()
        bystander.wait()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def brackets(path: Path) -> None:
    path.write_text("[" * 200_000, encoding="ascii")


def no_number(path: Path) -> None:
    path.write_text(
        '{"pid": 1e999, "started_ticks": 1, "requests": 1e999, "state": ["\\u001b]0;OWNED\\u0007"]}', "ascii"
    )


def far_too_long(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


PLANTED = [pipe, brackets, no_number, far_too_long]
OF_THE_USER = [
    "supervisor.pid",
    "supervisor.json",
    "supervisor.lock",
    "served",
    "jupyter/browser_seen.json",
    "server.log",
]


@pytest.mark.parametrize("root", [pytest.param(True, marks=needs_root), False])
@pytest.mark.parametrize("plant", PLANTED)
def test_what_a_user_leaves_in_its_folders_holds_up_no_command_and_the_server_is_stopped(
    runtime: Runtime, plant: Callable[[Path], None], root: bool
) -> None:
    assert runtime("start").returncode == 0
    supervisor, seen = runtime.supervisor(), runtime.seen()
    (runtime.run_dir / "jupyter").mkdir(exist_ok=True)
    for name in OF_THE_USER:
        path = (runtime.log_dir if name == "server.log" else runtime.run_dir) / name
        path.unlink(missing_ok=True)
        plant(path)
        os.chown(path, USER.pw_uid, USER.pw_gid)
    for command in (["status"], ["status", "--json"], ["url"], ["token"], ["logs"], ["start"], ["stop"]):
        began = time.monotonic()
        done = runtime(*command, root=root)
        assert time.monotonic() - began < 30
        assert all(letter.isprintable() or letter in "\n\t" for letter in done.stdout[:10_000] + done.stderr)
    assert done.returncode == 0 and done.stdout == "Stopped.\n"
    assert not [pid for pid in (supervisor, seen["pid"], seen["kernel"]) if living(pid)]


@pytest.mark.parametrize("mode", ["drip", "brackets"])
@pytest.mark.parametrize("root", [pytest.param(True, marks=needs_root), False])
def test_a_server_that_never_ends_its_answer_holds_up_no_command(runtime: Runtime, mode: str, root: bool) -> None:
    runtime.mode(mode)
    runtime.write_program(("core", "START_SECONDS", 2.0))
    runtime("start")
    token = runtime.secret
    for command in (["status"], ["url"], ["token"], ["token", "--rotate"]):
        began = time.monotonic()
        done = runtime(*command, root=root)
        assert time.monotonic() - began < 30
    assert "does not say" in done.stderr and runtime.secret == token
    # One that does not answer is stopped; one that answers nonsense may run what somebody needs.
    assert runtime("stop", root=root).returncode == (0 if mode == "drip" else 75)
    assert runtime("stop", "--force", root=root).returncode == 0


@needs_root
def test_what_is_in_the_way_is_named_without_a_traceback(runtime: Runtime) -> None:
    extras = runtime.config / "jupyter_server_config.d"
    extras.mkdir(mode=0o700)
    refused = runtime("start")
    assert (refused.returncode, refused.stderr) == (1, f"colab-runtime: {extras}: Permission denied\n")


def test_a_supervisor_and_a_server_that_were_stopped_are_ended(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    ending = [runtime.supervisor(), runtime.seen()["pid"]]
    for pid in ending:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert runtime("status").returncode == 3 and "does not answer" in runtime("url").stderr
    assert runtime("stop").returncode == 0
    assert time.monotonic() - began < 45
    assert not [pid for pid in ending if living(pid)]


def test_nothing_that_the_server_says_writes_to_a_terminal(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    with (runtime.log_dir / "server.log").open("a", encoding="utf-8") as file:
        file.write("\x1b]0;OWNED\x07\x1b[2K\u202e안녕\n")
    assert runtime("logs", "-n", "1").stdout == "\\x1b]0;OWNED\\x07\\x1b[2K\\u202e안녕\n"


def test_a_server_that_ends_at_once_is_shown_with_its_last_words(runtime: Runtime) -> None:
    runtime.mode("crash")
    started = runtime("start")
    assert started.returncode == 1
    assert "exit code 7" in started.stderr and "stand-in: crash" in started.stderr
    assert not (runtime.run_dir / "supervisor.pid").exists()


def foreign(path: Path, mode: int, uid: int = -1) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("c = get_config()\n", encoding="ascii")
    path.chmod(mode)
    os.chown(path, uid, -1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda it: it.token.unlink(), "is missing"),
        (lambda it: it.token.write_text(""), "is empty"),
        (lambda it: it.token.write_text(TOKEN[:16]), "is too short"),
        (lambda it: it.token.write_text(TOKEN + "\n"), "newline"),
        (lambda it: it.token.chmod(0o640), "mode 0640"),
        (lambda it: it.token.chmod(0o604), "mode 0604"),
        (lambda it: (it.config / "jupyter_server_config.json").write_text("{"), "is not JSON"),
        (lambda it: it.config.chmod(0o777), "can be changed by everybody"),
        (lambda it: foreign(it.config / "jupyter_server_config.py", 0o666), "can be changed by everybody"),
        (lambda it: foreign(it.config / "labconfig" / "page_config.json", 0o666), "can be changed by everybody"),
        pytest.param(lambda it: foreign(it.config / "jupyter_config.py", 0o644, 1), "belongs to", marks=needs_root),
    ],
)
@pytest.mark.parametrize("command", ["start", "serve"])
def test_the_server_is_not_started_on_a_weak_token_or_configuration(
    runtime: Runtime, command: str, damage: Callable[[Runtime], Any], said: str
) -> None:
    damage(runtime)
    refused = runtime(command)
    assert refused.returncode == 78
    assert said in refused.stderr and "./colab-ready" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (runtime.home / "standin_seen.json").exists()


@pytest.mark.parametrize("place", ["server/etc/jupyter", "server/share/jupyter/kernels", "share/jupyter/kernels"])
def test_the_server_is_not_started_on_what_others_can_change(runtime: Runtime, place: str) -> None:
    (runtime.folder / place).mkdir(parents=True)
    assert runtime("start").returncode == 0
    assert runtime("stop").returncode == 0
    (runtime.folder / place).chmod(0o777)
    refused = runtime("start")
    assert refused.returncode == 78 and "can be changed by everybody" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_folders_of_the_user_that_others_can_change_are_left_out_and_said(runtime: Runtime) -> None:
    # The home of who runs this is not a test's to change, so the program gets another constant.
    planted = runtime.folder / "usr" / "share" / "jupyter"
    (planted / "kernels").mkdir(parents=True)
    runtime.write_program(("trust", "SYSTEM_DATA", (str(planted),)))
    assert runtime("start").returncode == 0
    assert str(planted) not in str(runtime.seen()["arguments"]) and str(planted) not in runtime.log()
    (planted / "kernels").chmod(0o777)
    assert runtime("restart").returncode == 0
    assert f"closed, every = [*[{str(planted)!r}" in runtime.seen()["arguments"][-1]
    assert f"Not read, kernels and extensions of {planted}: {planted}/kernels (of " in runtime.log()


@pytest.mark.parametrize("command", ["start", "serve"])
def test_a_taken_port_is_named_with_its_holder(runtime: Runtime, command: str) -> None:
    who: dict[str, Any] = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []} if ROOT else {}
    arguments = [PYTHON, "-I", "-m", "http.server", "--bind", "127.0.0.1", str(runtime.port)]
    with subprocess.Popen(arguments, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who) as holder:
        try:
            assert eventually(lambda: socket.socket().connect_ex(("127.0.0.1", runtime.port)) == 0)
            refused = runtime(command)
        finally:
            holder.kill()
    assert refused.returncode == 75
    assert f"Port {runtime.port} is taken by pid {holder.pid} (" in refused.stderr
    assert "-m http.server" in refused.stderr


class Thief(http.server.BaseHTTPRequestHandler):
    heard: list[str] = []

    def do_GET(self) -> None:
        self.heard.append(f"{self.path} {self.headers}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@needs_root
def test_the_token_is_not_sent_to_a_stranger_on_the_port(runtime: Runtime) -> None:
    # This process is root's, the runtime is another user's: a stranger to it.
    Thief.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", runtime.port), Thief) as thief:
        threading.Thread(target=thief.serve_forever, daemon=True).start()
        for root in (False, True):
            refused = runtime("url", root=root)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "is held by" in refused.stderr and "not sent" in refused.stderr
        assert runtime("status").returncode == 3
        assert runtime("start", root=True).returncode == 75
        assert f"pid {os.getpid()} (" in runtime("start", root=True).stderr
        thief.shutdown()
    assert Thief.heard == []


class Says:
    """The text of a first look that was too early: who has the port took it right after."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __repr__(self) -> str:
        return f"lambda settings: {self.what}"


@needs_root
@pytest.mark.parametrize("words", [("url",), ("status",), ("restart",)])
def test_the_token_is_not_sent_to_who_takes_the_port_after_a_look_at_it(
    runtime: Runtime, words: tuple[str, ...]
) -> None:
    assert runtime("start").returncode == 0
    noted = (runtime.run_dir / "served").read_text()
    assert runtime("stop").returncode == 0
    (runtime.run_dir / "served").write_text(noted)
    constants = [(module, "stranger", Says(None)) for module in ("commands", "ports", "status", "systemd")]
    runtime.write_program(*constants, *((module, "serves", Says(True)) for module in ("activity", "status")))
    Thief.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", runtime.port), Thief) as thief:
        threading.Thread(target=thief.serve_forever, daemon=True).start()
        for root in (False, True):
            runtime(*words, root=root)
        if words == ("url",):
            assert "is served by 'root', not by 'nobody'" in runtime(*words).stderr
        thief.shutdown()
    assert Thief.heard == []


FLAPPER = """
import socket, sys, time
port, heard = int(sys.argv[1]), open(sys.argv[2], "ab", buffering=0)
print("ready", flush=True)
while True:
    time.sleep(0.004)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            continue
        listener.listen(9)
        listener.settimeout(0.002)
        try:
            connection = listener.accept()[0]
        except OSError:
            continue
        connection.settimeout(0.2)
        try:
            heard.write(b"connected\\n" + connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n[]")
        except OSError:
            pass
        connection.close()
"""


@needs_root
def test_the_token_is_not_sent_to_who_takes_the_port_for_moments(runtime: Runtime) -> None:
    heard = runtime.folder / "heard"
    runtime.write_program(("status", "serves", Says(True)))
    arguments = [PYTHON, "-c", FLAPPER, str(runtime.port), str(heard)]
    with subprocess.Popen(arguments, cwd="/", stdout=subprocess.PIPE) as flapper:
        try:
            assert flapper.stdout is not None and flapper.stdout.readline() == b"ready\n"
            for _ in range(60):
                assert runtime("url").returncode == 1
                if heard.read_bytes().count(b"connected") >= 3:
                    break
        finally:
            flapper.kill()
    text = heard.read_bytes()
    assert b"connected" in text, "nobody came by"
    assert text.replace(b"connected\n", b"") == b""


def test_url_says_why_there_is_none(runtime: Runtime) -> None:
    stopped = runtime("url")
    assert (stopped.returncode, stopped.stdout) == (1, "")
    assert "does not answer" in stopped.stderr and "colab-runtime start" in stopped.stderr
    runtime.mode("other-token")
    assert runtime("start").returncode == 0
    other = runtime("url")
    assert (other.returncode, other.stdout) == (1, "")
    assert "another token" in other.stderr and "colab-runtime restart" in other.stderr
    runtime.token.chmod(0o644)
    weak = runtime("url")
    assert (weak.returncode, weak.stdout) == (1, "")
    assert "mode 0644" in weak.stderr


def test_logs_show_the_last_lines_and_follow_new_ones(runtime: Runtime) -> None:
    assert "no log yet" in runtime("logs").stderr
    assert runtime("start").returncode == 0
    assert runtime("logs").stdout == runtime.log()
    assert runtime("logs", "-n", "1").stdout == runtime.log().splitlines(keepends=True)[-1]
    assert runtime("logs", "-n", "0").stdout == ""
    log = runtime.log_dir / "server.log"
    # The user's own output, so that nothing of root's stands between.
    who: dict[str, Any] = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []} if ROOT else {}
    with subprocess.Popen(runtime.command("logs", "-f", "-n", "1"), stdout=subprocess.PIPE, cwd="/", **who) as follower:
        assert follower.stdout is not None
        follower.stdout.readline()
        with log.open("a", encoding="utf-8") as file:
            file.write("appended\n")
        assert follower.stdout.readline() == b"appended\n"
        log.rename(f"{log}.1")
        log.write_text("after rotation\n", encoding="utf-8")
        log.chmod(0o644)
        assert follower.stdout.readline() == b"after rotation\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130


def test_after_a_reboot_the_user_is_told_to_start_once_as_root(runtime: Runtime) -> None:
    runtime.run_dir.rmdir()
    refused = runtime("start")
    assert refused.returncode == 1
    if not ROOT:
        assert "does not exist" in refused.stderr or "does not belong" in refused.stderr
    assert "Do: sudo colab-runtime start" in refused.stderr


# --- the token's life


def cookie_secret(runtime: Runtime) -> str:
    return (runtime.run_dir / "jupyter" / "jupyter_cookie_secret").read_text(encoding="ascii")


def lists(runtime: Runtime, **what: Any) -> None:
    """What the stand-in says that it runs."""
    (runtime.home / "standin_lists.json").write_text(json.dumps(what), encoding="utf-8")


RUNNING = {
    "sessions": [{"path": "first\x1b[31m.ipynb", "name": "", "kernel": {"id": "aaaaaaaa-1"}}],
    "kernels": [{"id": "aaaaaaaa-1"}, {"id": "bbbbbbbb-2"}],
    "terminals": [{"name": "1"}],
}


def request(runtime: Runtime, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/api/status", headers={"Authorization": f"token {token}"})
        return connection.getresponse().status


@pytest.mark.parametrize("root", [False, pytest.param(True, marks=needs_root)])
def test_a_rotated_token_opens_and_the_old_one_is_refused(runtime: Runtime, root: bool) -> None:
    assert runtime("start").returncode == 0
    server, secret = runtime.seen()["pid"], cookie_secret(runtime)
    done = runtime("token", "--rotate", root=root)
    assert (done.returncode, done.stderr) == (0, "")
    token = runtime.token.read_text(encoding="ascii")
    assert re.fullmatch("[0-9a-f]{48}", token) and token != TOKEN and token not in done.stdout
    assert "colab-runtime url" in done.stdout and "old address is dead" in done.stdout
    info = runtime.token.stat()
    assert (info.st_mode & 0o7777, info.st_uid) == (0o600, USER.pw_uid)
    assert not living(server)
    assert (request(runtime, token), request(runtime, TOKEN)) == (200, 403)
    assert cookie_secret(runtime) != secret
    assert runtime("url").stdout == f"http://localhost:{runtime.port}/?token={token}\n"
    assert sorted(path.name for path in runtime.folder.iterdir() if "token" in path.name) == ["token"]


def test_browsers_stay_logged_in_over_a_restart_but_not_over_a_new_token(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    secret = cookie_secret(runtime)
    assert runtime("restart").returncode == 0
    assert cookie_secret(runtime) == secret
    draft = runtime.folder / "draft"  # as the playbook replaces it
    draft.write_text("f" * 48, encoding="ascii")
    draft.chmod(0o600)
    os.chown(draft, USER.pw_uid, USER.pw_gid)
    draft.rename(runtime.token)
    assert runtime("restart").returncode == 0
    assert cookie_secret(runtime) != secret
    runtime.token.write_text(TOKEN, encoding="ascii")


@needs_root
def test_root_puts_a_new_file_in_place_of_the_token_and_the_user_writes_into_it(runtime: Runtime) -> None:
    numbers = [runtime.token.stat().st_ino]
    os.link(runtime.token, runtime.folder / "second name")  # so that the number is not given to the next file
    assert runtime("token", "--rotate").returncode == 0
    numbers.append(runtime.token.stat().st_ino)
    assert runtime("token", "--rotate", root=True).returncode == 0
    numbers.append(runtime.token.stat().st_ino)
    assert numbers[0] == numbers[1] != numbers[2]
    assert runtime.token.stat().st_uid == USER.pw_uid


def test_a_token_is_rotated_while_the_server_is_stopped_and_nothing_is_started(runtime: Runtime) -> None:
    done = runtime("token", "--rotate")
    assert done.returncode == 0 and "not running" in done.stdout
    assert runtime.token.read_text() != TOKEN
    assert runtime("status").returncode == 3
    assert runtime("start").returncode == 0
    assert runtime("url").returncode == 0


@pytest.mark.parametrize("root", [False, pytest.param(True, marks=needs_root)])
def test_what_runs_is_named_and_kept_unless_force_is_given(runtime: Runtime, root: bool) -> None:
    lists(runtime, **RUNNING)
    assert runtime("start").returncode == 0
    server, secret, token = runtime.seen()["pid"], cookie_secret(runtime), runtime.secret
    refused = runtime("token", "--rotate", root=root)
    assert (refused.returncode, refused.stdout) == (75, "")
    assert "3 running: 'first [31m.ipynb', 'kernel bbbbbbbb', terminal 1." in refused.stderr
    assert "nothing was changed" in refused.stderr and "token --rotate --force" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert (runtime.secret, runtime.seen()["pid"], cookie_secret(runtime)) == (token, server, secret)
    forced = runtime("token", "--rotate", "--force", root=root)
    assert (forced.returncode, forced.stderr) == (0, "")
    assert request(runtime, token) == 403 and not living(server)


def test_a_server_that_does_not_say_what_runs_is_not_restarted_without_force(runtime: Runtime) -> None:
    runtime.mode("other-token")
    assert runtime("start").returncode == 0
    token = runtime.secret
    refused = runtime("token", "--rotate")
    assert refused.returncode == 75 and "does not say" in refused.stderr
    assert runtime.secret == token
    runtime.mode("")
    assert runtime("token", "--rotate", "--force").returncode == 0
    assert runtime("url").returncode == 0


def test_a_server_that_does_not_come_back_leaves_the_new_token_and_a_word(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    old = runtime.secret
    runtime.mode("crash")
    failed = runtime("token", "--rotate")
    assert failed.returncode == 1
    assert "The token is new, but the server was not restarted with it: The server did not start" in failed.stderr
    assert "The old address is dead all the same" in failed.stderr
    token = runtime.secret
    assert token != old and token not in failed.stderr
    runtime.mode("")
    # Nobody has held the port since, so that one is dead, too.
    assert runtime("start").returncode == 0
    assert [request(runtime, one) for one in (runtime.secret, token, old)] == [200, 403, 403]


def test_a_server_that_comes_back_with_another_token_is_not_called_rotated(runtime: Runtime) -> None:
    runtime.mode("deaf")
    assert runtime("start").returncode == 0
    failed = runtime("token", "--rotate")
    assert failed.returncode == 1 and "it does not act on the new token" in failed.stderr
    assert "is dead: pages" not in failed.stdout


def test_a_token_that_cannot_be_written_stays_and_the_server_runs_on(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    server, token = runtime.seen()["pid"], runtime.secret
    elsewhere = runtime.folder / "elsewhere"
    elsewhere.mkdir()
    runtime.token.rename(elsewhere / "token")
    runtime.token.symlink_to(elsewhere / "token")
    runtime.folder.chmod(0o555)
    try:
        failed = runtime("token", "--rotate", "--force")
    finally:
        runtime.folder.chmod(0o755)
    assert failed.returncode == 1
    assert "The token was not changed" in failed.stderr and "sudo colab-runtime token --rotate" in failed.stderr
    assert (elsewhere / "token").read_text() == token
    assert runtime.seen()["pid"] == server and request(runtime, token) == 200


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: token.chmod(0o644),
        lambda token: token.write_text("short"),
        pytest.param(lambda token: token.unlink(), marks=needs_root),
        pytest.param(lambda token: os.chown(token, 0, 0), marks=needs_root),
    ],
)
def test_a_weak_token_is_cured_by_a_new_one(runtime: Runtime, damage: Callable[[Path], Any]) -> None:
    damage(runtime.token)
    assert runtime("token", "--rotate", root=ROOT).returncode == 0
    info = runtime.token.stat()
    assert (info.st_mode & 0o7777, info.st_uid, info.st_size) == (0o600, USER.pw_uid, 48)
    assert runtime("start").returncode == 0


def linked(runtime: Runtime) -> None:
    other = runtime.folder / "other"
    other.mkdir()
    (other / "jupyter_cookie_secret").write_text("somebody else's")
    shutil.rmtree(runtime.run_dir / "jupyter", ignore_errors=True)
    (runtime.run_dir / "jupyter").symlink_to(other)


@needs_root
def test_root_follows_no_link_of_the_user_to_another_cookie_secret(runtime: Runtime) -> None:
    linked(runtime)
    refused = runtime("token", "--rotate", root=True)
    assert refused.returncode == 1 and "The token was not changed" in refused.stderr
    assert "--rotate --force" in refused.stderr and runtime.token.read_text() == TOKEN
    assert runtime("token", "--rotate", "--force", root=True).returncode == 0
    assert (runtime.folder / "other/jupyter_cookie_secret").exists() and runtime.token.read_text() != TOKEN
    assert not (runtime.run_dir / "jupyter").exists()


def no_supervisor(runtime: Runtime) -> None:
    """The server's own kernel is left: its parent was killed, and nothing knows of it."""
    for pid in (runtime.supervisor(), runtime.seen()["pid"]):
        os.kill(pid, signal.SIGKILL)


def false_supervisor(runtime: Runtime) -> None:
    """The user names a process of root's as the supervisor."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    (runtime.run_dir / "supervisor.json").write_text(json.dumps({"pid": 1, "started_ticks": ticks}))


def stopped(runtime: Runtime) -> None:
    for pid in (runtime.supervisor(), runtime.seen()["pid"]):
        os.kill(pid, signal.SIGSTOP)


def planted(runtime: Runtime) -> None:
    for name in OF_THE_USER[:4]:
        (runtime.run_dir / name).unlink(missing_ok=True)
        (runtime.run_dir / name).mkdir()
    (runtime.run_dir / "jupyter/jupyter_cookie_secret").unlink(missing_ok=True)
    (runtime.run_dir / "jupyter/jupyter_cookie_secret").mkdir()


def dripping(runtime: Runtime) -> None:
    runtime.mode("drip")
    os.kill(runtime.seen()["pid"], signal.SIGKILL)
    assert eventually(lambda: runtime.log().count("stand-in: starting") == 2)
    runtime.mode("")


HELD: list[Callable[[Runtime], None]] = [linked, no_supervisor, false_supervisor, stopped, planted, dripping]


@needs_root
@pytest.mark.parametrize("hold", HELD)
def test_nothing_of_the_users_holds_roots_brake(runtime: Runtime, hold: Callable[[Runtime], None]) -> None:
    assert runtime("start").returncode == 0
    seen = runtime.seen()
    secret = cookie_secret(runtime)
    hold(runtime)
    began = time.monotonic()
    done = runtime("token", "--rotate", "--force", root=True)
    assert time.monotonic() - began < 50
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch("[0-9a-f]{48}", runtime.token.read_text(encoding="ascii"))
    assert not [pid for pid in (seen["pid"], seen["kernel"]) if living(pid)]
    if hold is not no_supervisor:  # then none ran
        assert runtime("url").stdout == f"http://localhost:{runtime.port}/?token={runtime.token.read_text()}\n"
        assert request(runtime, TOKEN) == 403 and cookie_secret(runtime) != secret


@needs_root
def test_what_could_read_the_new_token_before_it_ended_does_not_know_the_one_that_is_served(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    heard = runtime.home / "tokens"
    copying = f"while :; do cat {runtime.token}; echo; done >>{heard}"
    environment = {"JUPYTER_TOKEN_FILE": str(runtime.token), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(["sh", "-c", copying], user=USER.pw_uid, group=USER.pw_gid, env=environment) as notebook:
        try:
            assert eventually(lambda: heard.exists() and runtime.secret in heard.read_text())
            assert runtime("token", "--rotate", "--force", root=True).returncode == 0
            assert notebook.wait(10) == -signal.SIGKILL
        finally:
            notebook.kill()
    assert runtime.token.read_text() not in heard.read_text()


@needs_root
@pytest.mark.parametrize("hold", [no_supervisor, false_supervisor])
def test_root_stops_what_the_user_hides(runtime: Runtime, hold: Callable[[Runtime], None]) -> None:
    assert runtime("start").returncode == 0
    seen = runtime.seen()
    hold(runtime)
    assert runtime("stop", root=True).stdout == "Stopped.\n"
    assert not [pid for pid in (seen["pid"], seen["kernel"]) if living(pid)]
    assert runtime("stop", root=True).stdout == "Not running.\n"


@needs_root
def test_root_who_stops_a_persons_runtime_leaves_that_persons_login_alone(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    with subprocess.Popen(["sleep", "60"], user=USER.pw_uid, group=USER.pw_gid, env={}) as login:
        assert runtime("stop", root=True).stdout == "Stopped.\n"
        assert runtime("token", "--rotate", "--force", root=True).returncode == 0
        assert login.poll() is None
        login.kill()


def test_token_tells_all_about_the_token_but_the_token(runtime: Runtime) -> None:
    os.utime(runtime.token, (0, time.time() - 3 * 86400 - 5))
    shown = runtime("token")
    assert shown.returncode == 0
    assert f"{runtime.token}: made 3 days ago" in shown.stdout and "mode 0600" in shown.stdout
    runtime.token.chmod(0o644)
    weak = runtime("token")
    assert weak.returncode == 78 and "mode 0644" in weak.stderr
    alone = runtime("token", "--force")
    assert alone.returncode == 2 and "--force goes with --rotate" in alone.stderr


# --- who came by


def seen_file(runtime: Runtime, text: str) -> None:
    (runtime.run_dir / "jupyter").mkdir(mode=0o700, exist_ok=True)
    path = runtime.run_dir / "jupyter" / "browser_seen.json"
    path.write_text(text, encoding="utf-8")
    for one in (path.parent, path):
        os.chown(one, USER.pw_uid, USER.pw_gid)


NOTED = {
    "schema": 1,
    "origin": "https://colab.research.google.com",
    "first_at": "2026-01-02T03:04:05Z",
    "last_at": "2026-01-02T03:05:06Z",
    "last_status": 200,
    "last_request": "GET /api/kernelspecs",
    "requests": 7,
}


@pytest.mark.parametrize("root", [False, pytest.param(True, marks=needs_root)])
def test_status_tells_when_a_browser_last_asked(runtime: Runtime, root: bool) -> None:
    line = "last request from a browser: "
    assert runtime.status()["browser"] is None
    assert line not in runtime("status").stdout
    assert runtime("start").returncode == 0
    assert line + "never since the server started" in runtime("status", root=root).stdout
    assert runtime.status()["browser"] == {"seen": False}
    seen_file(runtime, json.dumps(NOTED))
    assert line + "2026-01-02T03:05:06Z, GET /api/kernelspecs, answered 200\n" in runtime("status", root=root).stdout
    assert runtime.status()["browser"] == {
        "seen": True,
        "at": "2026-01-02T03:05:06Z",
        "origin": "https://colab.research.google.com",
        "request": "GET /api/kernelspecs",
        "requests": 7,
        "status": 200,
    }
    seen_file(runtime, json.dumps({**NOTED, "last_status": 403, "last_request": "GET /api/\x1b]0;x"}))
    refused = runtime("status", root=root).stdout
    assert "answered 403 (refused: does Colab have an old address?" in refused and "\x1b" not in refused


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**NOTED, "requests": "many"}), "[" * 50000])
def test_status_does_not_trip_over_a_note_that_is_none(runtime: Runtime, text: str) -> None:
    assert runtime("start").returncode == 0
    seen_file(runtime, text)
    done = runtime("status")
    assert done.returncode == 0 and "not known: " in done.stdout
    assert runtime.status()["browser"] is None


def test_status_knows_of_no_browser_where_nothing_notes_one(runtime: Runtime) -> None:
    runtime.write_settings(http_over_ws=False)
    assert runtime("start").returncode == 0
    seen_file(runtime, json.dumps(NOTED))
    assert "not known: the extension that notes it is off" in runtime("status").stdout
    assert runtime.status()["browser"] is None


@needs_root
def test_others_are_not_told_when_a_browser_asked(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    seen_file(runtime, json.dumps(NOTED))
    daemon = pwd.getpwnam("daemon")
    asked = runtime("status", user=daemon.pw_uid, group=daemon.pw_gid)
    assert asked.returncode == 0
    assert "not known to you" in asked.stdout and "2026-01-02" not in asked.stdout


@needs_root
def test_root_starts_the_server_as_the_user_and_makes_the_folders_again(runtime: Runtime) -> None:
    runtime.run_dir.rmdir()
    runtime.log_dir.rmdir()
    assert runtime("start", root=True).returncode == 0
    assert runtime.seen()["uid"] == USER.pw_uid
    for path, mode in ((runtime.run_dir, 0o700), (runtime.log_dir, 0o750)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (USER.pw_uid, mode)
    owners = {path.stat().st_uid for top in (runtime.run_dir, runtime.log_dir) for path in top.rglob("*")}
    assert owners == {USER.pw_uid}
    assert runtime("url", root=True).stdout == runtime("url").stdout != ""
    assert runtime("stop").returncode == 0  # the user stops what root started


@needs_root
def test_root_makes_nothing_in_a_strangers_folder(runtime: Runtime) -> None:
    daemon = pwd.getpwnam("daemon")
    os.chown(runtime.run_dir, daemon.pw_uid, daemon.pw_gid)
    refused = runtime("start", root=True)
    assert refused.returncode == 1 and "belongs to 'daemon'" in refused.stderr
    runtime.run_dir.rmdir()
    (runtime.folder / "target").mkdir()
    runtime.run_dir.symlink_to("target")
    with contextlib.suppress(AssertionError):  # whatever it says: the link is not followed
        assert runtime("start", root=True).returncode != 0
    assert (runtime.folder / "target").stat().st_uid == 0
    runtime.run_dir.unlink()
    runtime.run_dir.mkdir(mode=0o700)
    os.chown(runtime.run_dir, USER.pw_uid, USER.pw_gid)


@needs_root
def test_root_believes_only_settings_of_root(runtime: Runtime) -> None:
    os.chown(runtime.settings, USER.pw_uid, USER.pw_gid)
    refused = runtime("start", root=True)
    assert refused.returncode == 78 and "belongs to" in refused.stderr
    os.chown(runtime.settings, 0, 0)
    runtime.settings.chmod(0o666)
    assert "can be changed by everybody" in runtime("start", root=True).stderr


@needs_root
@pytest.mark.parametrize(("command", "user"), [("serve", "nobody"), ("start", "root"), ("serve", "root")])
def test_the_server_never_runs_as_root(runtime: Runtime, command: str, user: str) -> None:
    runtime.write_settings(user=user)
    refused = runtime(command, root=True)
    assert refused.returncode == 78 and "root" in refused.stderr
    assert not (runtime.home / "standin_seen.json").exists()


@needs_root
@pytest.mark.parametrize("command", ["start", "stop", "restart", "logs", "url", "token"])
def test_other_users_are_sent_away_with_a_word(runtime: Runtime, command: str) -> None:
    assert runtime("start").returncode == 0
    daemon = pwd.getpwnam("daemon")
    refused = runtime(command, user=daemon.pw_uid, group=daemon.pw_gid)
    assert refused.returncode != 0 and "sudo" in refused.stderr and "'daemon'" in refused.stderr
    asked = runtime("status", user=daemon.pw_uid, group=daemon.pw_gid)
    assert asked.returncode == 0
    assert runtime("status").returncode == 0


SYSTEMCTL = """#!/bin/sh
# STAND-IN for systemctl: a unit whose server ended and is to be started again
echo LoadState=loaded
echo ActiveState=activating
echo SubState=auto-restart
echo MainPID=0
echo NRestarts=4
echo Result=exit-code
"""


@pytest.mark.skipif(ROOT and not hasattr(os, "setgroups"), reason="root's PATH is fixed, so this runs as a user")
def test_status_says_what_systemd_knows(runtime: Runtime) -> None:
    programs = runtime.folder / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
    (programs / "systemctl").chmod(0o755)
    runtime.write_settings(service_manager="systemd")
    done = runtime("status", "--json", env={"PATH": f"{programs}:/usr/bin:/bin"})
    report = json.loads(done.stdout)
    assert done.returncode == 3
    assert (report["state"], report["restarts"], report["running"]) == ("waiting", 4, False)
    assert "auto-restart" in report["detail"]


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="this machine runs systemd")
def test_settings_for_systemd_on_a_machine_without_it_are_named(runtime: Runtime) -> None:
    runtime.write_settings(service_manager="systemd")
    refused = runtime("start")
    assert refused.returncode == 1
    assert "not booted with systemd" in refused.stderr and "./colab-ready" in refused.stderr

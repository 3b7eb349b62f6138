"""colab-runtime as a process, without systemd, around a stand-in for the Jupyter server (tests/doubles)."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pwd
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

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = PROJECT / "roles" / "colab_runtime" / "files" / "colab-runtime"
STAND_IN = PROJECT / "tests" / "doubles" / "standin_jupyter_server.py"
# The host's own Python, which other users can run, too; a test's may lie in a home folder.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())
# The only thing changed in the program that is tried here, so that a server that hangs does not hold up the tests.
PATIENCE = "SERVER_STOP_SECONDS = 10.0"
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


class Runtime:
    """A host's files in a folder of their own, and the program that acts on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as chooser:
            chooser.bind(("127.0.0.1", 0))
            self.port: int = chooser.getsockname()[1]
        self.home, self.run_dir, self.log_dir = folder / "home", folder / "run", folder / "log"
        self.token, self.config = folder / "token", folder / "etc"
        self.settings = folder / "runtime.json"
        self.program = folder / "colab-runtime"
        for path in (self.home, self.run_dir, self.log_dir, self.config, folder / "server" / "bin"):
            path.mkdir(parents=True)
        text = PROGRAM.read_text(encoding="utf-8")
        assert PATIENCE in text
        self.program.write_text(text.replace(PATIENCE, "SERVER_STOP_SECONDS = 2.0"), encoding="utf-8")
        self.program.chmod(0o755)
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
        }
        self.settings.write_text(json.dumps({**values, **changes}), encoding="utf-8")
        self.settings.chmod(0o644)

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
            assert TOKEN not in done.stdout + done.stderr
        return done

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self("status", "--json").stdout))

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
    made("stop")
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
    assert address.stdout == f"http://localhost:{runtime.port}/?token={TOKEN}\n"
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
    assert "another token" in again.stdout and "already running" not in again.stdout
    assert not living(old)
    assert runtime("url").stdout == f"http://localhost:{runtime.port}/?token={renewed}\n"


def test_the_token_is_in_no_argument_environment_log_or_state(runtime: Runtime) -> None:
    assert runtime("start").returncode == 0
    seen = runtime.seen()
    for pid in (runtime.supervisor(), seen["pid"], seen["kernel"]):
        assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert TOKEN not in json.dumps(seen)
    assert TOKEN not in runtime.log()
    assert not [path for path in runtime.run_dir.rglob("*") if path.is_file() and TOKEN in path.read_text()]


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
    assert set(seen["files"]) <= {"0", "1", "2", "3"}  # 3: the listing itself


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


def test_a_server_that_ends_at_once_is_shown_with_its_last_words(runtime: Runtime) -> None:
    runtime.mode("crash")
    started = runtime("start")
    assert started.returncode == 1
    assert "exit code 7" in started.stderr and "stand-in: crash" in started.stderr
    assert not (runtime.run_dir / "supervisor.pid").exists()


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
        (lambda it: it.config.chmod(0o777), "can be changed by other users"),
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
    assert refused.returncode == 78 and "not to root" in refused.stderr
    os.chown(runtime.settings, 0, 0)
    runtime.settings.chmod(0o666)
    assert "can be written by others" in runtime("start", root=True).stderr


@needs_root
@pytest.mark.parametrize(("command", "user"), [("serve", "nobody"), ("start", "root"), ("serve", "root")])
def test_the_server_never_runs_as_root(runtime: Runtime, command: str, user: str) -> None:
    runtime.write_settings(user=user)
    refused = runtime(command, root=True)
    assert refused.returncode == 78 and "root" in refused.stderr
    assert not (runtime.home / "standin_seen.json").exists()


@needs_root
@pytest.mark.parametrize("command", ["start", "stop", "restart", "logs", "url"])
def test_other_users_are_sent_away_with_a_word(runtime: Runtime, command: str) -> None:
    assert runtime("start").returncode == 0
    daemon = pwd.getpwnam("daemon")
    refused = runtime(command, user=daemon.pw_uid, group=daemon.pw_gid)
    assert refused.returncode != 0 and "sudo" in refused.stderr and "'daemon'" in refused.stderr
    asked = runtime("status", user=daemon.pw_uid, group=daemon.pw_gid)
    assert asked.returncode == 0
    assert runtime("status").returncode == 0


def test_wait_ends_with_the_server_it_waits_for(runtime: Runtime) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert runtime("wait", "--pid", str(ended.pid)).returncode == 1
    assert runtime("start").returncode == 0
    assert runtime("wait", "--pid", str(runtime.seen()["pid"])).returncode == 0


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

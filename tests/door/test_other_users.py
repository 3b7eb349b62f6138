"""Another user of the same computer, and old or planted Jupyter settings: neither gets at the runtime."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import converged_host
import pytest
from door.visitor import COLAB, DOOR, EVIL, PROXIED, Visitor, kernel_says, log_in, notebook, session, tell_kernel

Host = converged_host.ConvergedHost
NEIGHBOUR = "neighbour"
RUN_DIR = "/run/colab-ready/jupyter"
UNIT = "/etc/systemd/system/colab-ready.service"
LOG_DIR = "/var/log/colab-ready"
STRANGER = Path(__file__).with_name("kernel_stranger.py")


@dataclass(frozen=True)
class Street:
    """The converged host with a neighbour in it, and a kernel that its owner uses."""

    host: Host
    owner: Visitor
    kernel: str
    prefix: str
    user: str
    systemd: bool

    def neighbour(self, *command: str, stdin: str | None = None) -> Any:
        return self.host.run(*command, user=NEIGHBOUR, stdin=stdin)

    def existing(self, *paths: str) -> list[str]:
        return [path for path in paths if self.host.run("test", "-e", path).returncode == 0]

    @property
    def connection_file(self) -> str:
        return f"{RUN_DIR}/kernel-{self.kernel}.json"

    @property
    def server_pid(self) -> int:
        return int(json.loads(self.host.run(converged_host.RUNTIME, "status", "--json").stdout)["pid"])

    def kernel_pids(self) -> list[str]:
        search = f"grep -ls '^PPid:[[:space:]]*{self.server_pid}$' /proc/[0-9]*/status"
        below = self.host.run("sh", "-c", search).stdout.split()
        assert below, "the server has no kernel"
        return [path.split("/")[2] for path in below]

    def ports(self, pid: str) -> set[str]:
        """The TCP sockets on which a process listens (/proc/net/tcp, state 0A), by their inodes."""
        tables = self.host.read("/proc/net/tcp") + self.host.run("cat", "/proc/net/tcp6").stdout
        fields = [line.split() for line in tables.splitlines()]
        listening = {line[9] for line in fields if len(line) > 9 and line[3] == "0A"}
        opened = self.host.must("ls", "-l", f"/proc/{pid}/fd", user=self.user)
        return listening & {*re.findall(r"socket:\[(\d+)\]", opened)}

    def secret_files(self) -> list[str]:
        listed = self.host.must("find", RUN_DIR, "-type", "f").split()
        return ["/etc/colab-ready/token", *listed]


@pytest.fixture(scope="module")
def street(converged: Host) -> Iterator[Street]:
    converged.run("userdel", "--remove", NEIGHBOUR)  # of a run that was interrupted
    converged.must("useradd", "--create-home", "--shell", "/bin/sh", NEIGHBOUR)
    settings = converged.settings
    systemd = settings["service_manager"] == "systemd"
    try:
        with contextlib.ExitStack() as kept:
            with converged.network():
                owner = Visitor(converged.port, converged.token)
                kernel = kept.enter_context(session(owner))
            yield Street(converged, owner, kernel, settings["prefix"], settings["user"], systemd)
            with converged.network():
                kept.close()
    finally:
        converged.must("userdel", "--force", NEIGHBOUR)
        converged.must("rm", "-rf", f"/home/{NEIGHBOUR}")


# --- files --------------------------------------------------------------------------------------------------------------


def test_a_neighbour_reads_no_file_that_holds_a_secret(inside: Host, street: Street) -> None:
    files = street.secret_files()
    kinds = ("token", "jpserver-", "jupyter_cookie_secret", f"kernel-{street.kernel}.json")
    assert [kind for kind in kinds if not any(kind in path for path in files)] == [], files
    for path in files:
        assert street.host.run("test", "-f", path).returncode == 0
        assert street.neighbour("cat", path).returncode != 0, path
        assert (
            street.neighbour("ls", "-l", os.path.dirname(path)).returncode != 0 or path == "/etc/colab-ready/token"
        ), path


def test_a_neighbour_writes_nothing_that_the_server_or_root_reads(inside: Host, street: Street) -> None:
    """Nor anything in the environments: who could, would run code as the runtime's user."""
    places = street.existing(
        *("/etc/colab-ready", street.prefix, "/run/colab-ready", "/var/lib/colab-ready", LOG_DIR, UNIT, f"{UNIT}.d"),
        *(
            "/usr/local/bin/colab-runtime",
            "/usr/local/bin",
            "/usr/local/lib/colab-ready",
            "/usr/etc/jupyter",
            "/usr/local/etc/jupyter",
            "/etc/jupyter",
        ),
        *(
            "/usr/share/jupyter",
            "/usr/local/share/jupyter",
            street.host.must("sh", "-c", f"echo ~{street.user}").strip(),
        ),
    )
    assert {"/etc/colab-ready", street.prefix, "/run/colab-ready", "/usr/local/bin/colab-runtime"} <= {*places}
    found = street.neighbour("find", *places, "-writable", "!", "-type", "l", "-print").stdout.split()
    assert found == []
    for folder in places:
        if street.host.run("test", "-d", folder).returncode == 0:
            assert street.neighbour("touch", f"{folder}/planted").returncode != 0, folder


def test_nothing_that_a_neighbour_can_read_holds_a_secret(inside: Host, street: Street) -> None:
    """The report, the settings, the unit, the logs, the environments' own files: readable, and harmless."""
    cookie_secret = street.host.read(f"{RUN_DIR}/jupyter_cookie_secret").split()
    secrets = [street.owner.token or "", json.loads(street.host.read(street.connection_file))["key"], *cookie_secret]
    control = f"/tmp/door-control-{uuid.uuid4().hex}"
    places = street.existing("/etc", "/run", "/var", "/tmp", "/home", "/usr/local", "/root")
    places += [f"{street.prefix}/{name}" for name in ("share", "src", "server/etc", "server/share/jupyter")]
    street.host.write(control, f"so that the search is known to find: {secrets[0]}\n")
    try:
        street.host.must("chmod", "0644", control)
        patterns = "".join(f"{secret}\n" for secret in secrets)
        search = ("grep", "-rlsF", "-D", "skip", "-f", "-", *street.existing(*places))
        assert street.neighbour(*search, stdin=patterns).stdout.split() == [control]
    finally:
        street.host.must("rm", control)


@pytest.mark.parametrize(
    "path", ["/var/lib/colab-ready/report.json", "/etc/colab-ready/runtime.json", converged_host.CONFIG]
)
def test_a_neighbour_may_read_what_the_runtime_is_like(inside: Host, street: Street, path: str) -> None:
    assert json.loads(street.neighbour("cat", path).stdout)


def test_a_neighbour_cannot_read_the_servers_log(inside: Host, street: Street) -> None:
    if street.systemd:
        seen = street.neighbour("journalctl", "--unit", "colab-ready.service", "--no-pager").stdout
    else:
        seen = street.neighbour("sh", "-c", f"cat {LOG_DIR}/*").stdout
    assert "ServerApp" not in seen
    logged = street.host.must(converged_host.RUNTIME, "logs", "-n", "100")
    assert "ServerApp" in logged and (street.owner.token or "-") not in logged


# --- processes ------------------------------------------------------------------------------------------------------------


def test_a_neighbour_sees_no_secret_in_the_list_of_processes(inside: Host, street: Street) -> None:
    secrets = [street.owner.token or "", json.loads(street.host.read(street.connection_file))["key"]]
    patterns = "".join(f"{secret}\n" for secret in secrets)
    search = (
        "sh",
        "-c",
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -F -f /dev/fd/3",
    )
    # The patterns come on a channel of their own, so that they stand in no argument list either.
    script = f"exec 3<<'END'\n{patterns}END\n{search[2]}\n"
    seen = street.neighbour("sh", "-s", stdin=script)
    assert seen.returncode == 1, "a secret is in an argument list or an environment"
    listed = street.neighbour("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
    assert f"{street.prefix}/server/bin/python" in listed, (
        "the neighbour does not see the server at all: nothing was tried"
    )
    assert street.neighbour("cat", f"/proc/{street.server_pid}/environ").returncode != 0


def test_a_neighbour_can_signal_neither_server_nor_kernel(inside: Host, street: Street) -> None:
    pid = street.server_pid
    for process in [str(pid), *street.kernel_pids()]:
        for signal in ("-0", "-TERM", "-STOP"):
            assert street.neighbour("sh", "-c", f"kill {signal} {process}").returncode != 0
    assert street.server_pid == pid
    assert street.owner.ask("GET", "/api/kernels").status == 200


REFUSED = (
    ["start"],
    ["stop"],
    ["restart"],
    ["url"],
    ["logs"],
    ["serve"],
    ["token"],
    ["token", "--rotate"],
    ["supervise"],
)


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_neighbour_gets_nothing_done_with_colab_runtime(inside: Host, street: Street, words: Sequence[str]) -> None:
    before = street.server_pid, street.host.token
    done = street.neighbour(converged_host.RUNTIME, *words)
    assert done.returncode != 0, done.stdout
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "ServerApp" not in said and before[1] not in said
    assert (street.server_pid, street.host.token) == before


def test_a_neighbour_may_ask_whether_the_runtime_runs_and_learns_no_secret(inside: Host, street: Street) -> None:
    done = street.neighbour(converged_host.RUNTIME, "status", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["running"] is True
    assert (street.owner.token or "-") not in done.stdout


def test_settings_of_a_neighbours_own_make_root_do_nothing(inside: Host, street: Street) -> None:
    """`colab-runtime --settings` of a file that somebody else wrote would run somebody else's choice of programs."""
    path = f"/tmp/door-settings-{uuid.uuid4().hex}.json"
    text = json.dumps({**street.host.settings, "token_file": "/etc/shadow"})
    try:
        street.neighbour("sh", "-c", 'cat >"$1"', "write", path, stdin=text)
        done = street.host.run(converged_host.RUNTIME, "--settings", path, "status")
        assert done.returncode == 78 and "/tmp (of root) can be changed by everybody" in done.stderr
    finally:
        street.host.must("rm", "-f", path)


# --- the kernel, past the server ------------------------------------------------------------------------------------------


def test_a_neighbour_at_the_kernels_own_sockets_gets_no_answer_and_overhears_nothing(
    inside: Host, street: Street
) -> None:
    """Messages to a kernel are signed; those from it are for whoever listens. The owner, who has the connection file, gets
    an answer the same way at the same time: the neighbour, who is even told where the kernel listens, does not."""
    known = json.loads(street.host.read(street.connection_file))
    marker = f"/tmp/door-ran-{uuid.uuid4().hex}"
    told = {**known, "seconds": 4, "code": f"open({marker!r}, 'a').close(); 'stranger was here'"}
    guesses = {"wrong key": {**told, "key": str(uuid.uuid4())}, "no key": {**told, "key": ""}}
    program = STRANGER.read_text(encoding="utf-8")
    python = f"{street.prefix}/server/bin/python"
    secret = f"only-for-the-owner-{uuid.uuid4().hex}"

    def knock(user: str, facts: dict[str, Any]) -> dict[str, list[str]]:
        # The program travels in the argument list, the facts (a key among them, for the owner) on standard input.
        done = street.host.run(python, "-I", "-c", program, user=user, stdin=json.dumps(facts))
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    try:
        with concurrent.futures.ThreadPoolExecutor(3) as knocking:
            owner = knocking.submit(knock, street.user, {**told, "code": "6 * 7"})
            strangers = {name: knocking.submit(knock, NEIGHBOUR, facts) for name, facts in guesses.items()}
            with street.owner.socket(street.owner.with_token(f"/api/kernels/{street.kernel}/channels")) as opened:
                # Not waiting for the end of each cell: the owner's program runs one on the control channel at the same time,
                # and a cell's end can then be told under the other one's name.
                while not all(one.done() for one in (owner, *strangers.values())):
                    tell_kernel(opened, f"print('{secret}')")
                    time.sleep(0.2)
        answered = owner.result()
        assert answered["shell"] and any(secret in message for message in answered["iopub"]), answered
        assert street.host.run("test", "-e", marker).returncode != 0, "a stranger's code ran"
        for name, heard in strangers.items():
            assert heard.result()["shell"] == heard.result()["control"] == [], name
            assert heard.result()["iopub"] == [], f"{name}: overheard {len(heard.result()['iopub'])} messages"
    finally:
        street.host.run("rm", "-f", marker)


def test_a_kernel_listens_on_no_port(inside: Host, street: Street) -> None:
    """Loopback is everybody's."""
    with street.owner.socket(street.owner.with_token(f"/api/kernels/{street.kernel}/channels")) as opened:
        assert kernel_says(opened) == "42"
    assert street.ports(str(street.server_pid)), "the search does not find the server's own port"
    assert [street.ports(pid) for pid in street.kernel_pids()] == [set()] * len(street.kernel_pids())


# --- settings of other places -----------------------------------------------------------------------------------------------

NASTY: dict[str, dict[str, Any]] = {
    "ServerApp": {
        "token": "",
        "password": "",
        "allow_origin": "*",
        "allow_origin_pat": ".*",
        "allow_remote_access": True,
        "allow_unauthenticated_access": True,
        "disable_check_xsrf": True,
        "ip": "0.0.0.0",
        "root_dir": "/",
        "tornado_settings": {"headers": {"X-Planted": "yes"}},
        "jpserver_extensions": {"colab_http_over_ws": False},
    },
    "IdentityProvider": {"token": ""},
    "PasswordIdentityProvider": {"token": "", "hashed_password": ""},
    "NotebookApp": {"token": "", "password": "", "allow_origin": "*", "disable_check_xsrf": True},
}
NAMES = ("jupyter_server_config", "jupyter_config", "jupyter_lab_config", "jupyter_notebook_config", "jpserver_config")
FOLDERS: tuple[str, ...] = (
    "{home}/.jupyter",
    "{home}/.local/etc/jupyter",
    "{home}/.config/jupyter",
    "{home}/.ipython",
    "{home}",
)
FOLDERS += ("/etc/jupyter", "/usr/local/etc/jupyter", "/usr/etc/jupyter", "{prefix}/share/jupyter", "/run/colab-ready")
VARIABLES = {
    "JUPYTER_TOKEN": "",
    "JUPYTER_TOKEN_FILE": "/dev/null",
    "JUPYTER_CONFIG_DIR": "{home}/.jupyter",
    "JUPYTER_CONFIG_PATH": "{home}/.jupyter",
    "JUPYTER_PREFER_ENV_PATH": "0",
    "JUPYTER_ALLOW_INSECURE_WRITES": "1",
    "JUPYTER_SERVER_CONFIG": "{home}/.jupyter/jupyter_server_config.py",
    "XDG_CONFIG_HOME": "{home}/.config",
    "XDG_CONFIG_DIRS": "{home}/.config",
    "IPYTHONDIR": "{home}/.ipython",
    "PYTHONPATH": "{home}",
    "PYTHONSTARTUP": "{home}/jupyter_server_config.py",
}


# For each path that is not there: the topmost of it and its folders that is not.
TOPMOST = """
import json, os, sys
tops = {}
for path in json.load(sys.stdin):
    top = path
    while not os.path.lexists(top):
        tops[path], top = top, os.path.dirname(top)
print(json.dumps(tops))
"""
WRITE = """
import json, os, sys
for path, text in json.load(sys.stdin).items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
"""


@contextlib.contextmanager
def planted(street: Street, marks: str) -> Iterator[None]:
    """Nasty settings in every place that a Jupyter reads somewhere, and a server that was started anew among them."""
    host, home = street.host, street.host.must("sh", "-c", f"echo ~{street.user}").strip()
    folders = [folder.format(home=home, prefix=street.prefix) for folder in FOLDERS]
    drop_in = f"{UNIT}.d/door-planted.conf"
    files: dict[str, str] = {}
    for number, folder in enumerate(folders):
        for name in NAMES:
            touch = f"import pathlib\npathlib.Path('{marks}/{number}-{name}').touch()\nc = get_config()\n"
            lines = [
                f"c.{section}.{key} = {value!r}\n" for section, keys in NASTY.items() for key, value in keys.items()
            ]
            files[f"{folder}/{name}.py"] = touch + "".join(lines)
            files[f"{folder}/{name}.json"] = json.dumps(NASTY)
            files[f"{folder}/{name}.d/planted.json"] = json.dumps(NASTY)
    files[f"{home}/random.py"] = f"import pathlib\npathlib.Path('{marks}/random').touch()\n"
    variables = {name: value.format(home=home) for name, value in VARIABLES.items()}
    # What is there already is left alone; what has to be made is taken away again from its topmost folder on.
    tops = json.loads(host.must("python3", "-c", TOPMOST, stdin=json.dumps([*files])))
    new = {path: text for path, text in files.items() if path in tops}
    assert len(new) > len(files) // 2, "there are files already where these tests would plant theirs"
    made = sorted({*tops.values()})
    try:
        host.must("sh", "-c", 'mkdir "$1" && chmod 0777 "$1"', "make", marks)
        host.must("python3", "-c", WRITE, stdin=json.dumps(new))
        host.must("chown", "-R", f"{street.user}:", *(path for path in made if path.startswith(f"{home}/")))
        if street.systemd:
            wanted = "".join(f'Environment="{name}={value}"\n' for name, value in variables.items())
            host.must("mkdir", "-p", f"{UNIT}.d")
            host.write(drop_in, f"[Service]\n{wanted}")
            host.must("systemctl", "daemon-reload")
            host.restart()
        else:
            host.must(
                "env",
                *(f"{name}={value}" for name, value in variables.items()),
                converged_host.RUNTIME,
                "restart",
                "--force",
            )
        yield
    finally:
        host.run("rm", "-rf", "--", *made, marks, drop_in)
        if street.systemd:
            host.run("rmdir", f"{UNIT}.d")
            host.must("systemctl", "daemon-reload")
        host.restart()


def test_no_old_or_planted_setting_switches_token_or_origin_check_off(inside: Host, street: Street) -> None:
    marks = f"/tmp/door-marks-{uuid.uuid4().hex}"
    with planted(street, marks):
        owner, stranger = street.owner, street.owner.but(token=None)
        cookie, xsrf = log_in(owner.port, owner.token or "")
        assert street.host.must("ls", marks).split() == [], "the server ran a planted file"
        listed = owner.ask("GET", "/api/kernelspecs")
        assert listed.status == 200 and listed.headers.get("access-control-allow-origin") == COLAB
        assert "x-planted" not in listed.headers
        for visitor in (stranger, stranger.but(origin=None), stranger.but(origin=EVIL)):
            assert visitor.ask("GET", "/api/kernelspecs").status in (403, 404)
            assert visitor.ask("POST", "/api/sessions", notebook()).status in (403, 404)
            for door in (DOOR, f"{PROXIED}/api/kernels/{street.kernel}/channels"):
                assert visitor.refusal(visitor.through_door(door)) == 403
        assert owner.but(origin=EVIL).ask("GET", "/api/kernelspecs").headers["access-control-allow-origin"] == COLAB
        assert owner.but(host=f"rebound.example:{owner.port}").ask("GET", "/api/kernelspecs").status == 403
        logged_in = stranger.but(cookie=cookie)
        assert logged_in.ask("POST", "/api/sessions", notebook()).status == 403, "the XSRF check is off"
        made = logged_in.but(xsrf=xsrf).ask("POST", "/api/sessions", notebook())
        assert made.status == 201
        owner.ask("DELETE", f"/api/sessions/{made.json()['id']}")
        assert owner.refusal(owner.through_door(DOOR)) is None
        listening = street.host.read("/proc/net/tcp") + street.host.read("/proc/net/tcp6")
        everywhere = [
            line for line in listening.splitlines() if f"00000000:{owner.port:04X} " in line and " 0A " in line
        ]
        assert everywhere == [], "the server listens on every address"

"""Who listens on a port is read right from /proc, and the runtime's own server is told from a stranger's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.process.run import Finished
from ansible.module_utils.colab_ready.system import ports
from ansible.module_utils.colab_ready.system.ports import Listener, Process

ADDRESSES = [
    ("0100007F:22B8", "little", ("127.0.0.1", 8888)),
    ("7F000001:22B8", "big", ("127.0.0.1", 8888)),
    ("00000000:0050", "little", ("0.0.0.0", 80)),
    ("00000000000000000000000000000000:22B8", "little", ("::", 8888)),
    ("00000000000000000000000001000000:22B8", "little", ("::1", 8888)),
    ("00000000000000000000000000000001:22B8", "big", ("::1", 8888)),
    ("0000000000000000FFFF00000100007F:22B8", "little", ("::ffff:127.0.0.1", 8888)),
    ("B80D01200000000067452301EFCDAB89:FFFF", "little", ("2001:db8::123:4567:89ab:cdef", 65535)),
]


@pytest.mark.parametrize(("text", "byteorder", "address"), ADDRESSES)
def test_an_address_is_read_in_the_machines_byte_order(text: str, byteorder: str, address: tuple[str, int]) -> None:
    assert ports.decode_address(text, byteorder) == address


# As a Debian kernel writes it: a listener, one that is connected, one that waits, then what no kernel writes.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 48507 1 000000001dba7e31 100
   1: 0100007F:22B8 0100007F:8E76 01 00000000:00000000 00:00000000 00000000  1000        0 48599 1 000000001dba7e32 20
   2: 0100007F:A821 0100007F:22B8 06 00000000:00000000 03:000009C9 00000000     0        0 0 3 00000000b9537299
   3: 0200A8C0:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 50001 1 00000000b9537300 100
   4: rubbish
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:22B8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 50002 1 0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    return tmp_path


def add_process(proc: Path, pid: int, program: str, argv: list[str], cgroup: str = "0::/\n", inode: int = 0) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(program + "\n")
    (folder / "cmdline").write_bytes(b"".join(part.encode() + b"\0" for part in argv))
    (folder / "cgroup").write_text(cgroup)
    (folder / "stat").write_text(f"{pid} ({program}) S 77 {pid} {pid} 0 -1\n")
    if inode:
        (folder / "fd" / "7").symlink_to(f"socket:[{inode}]")
        (folder / "fd" / "0").symlink_to("/dev/null")


def test_only_listeners_that_localhost_reaches_are_in_the_way(proc: Path) -> None:
    assert ports.listeners_on(8888, str(proc)) == [Listener("127.0.0.1", 8888, 1000, 48507)]
    (proc / "net" / "tcp6").write_text(TCP6)
    assert [listener.uid for listener in ports.listeners_on(8888, str(proc)) or []] == [1000, 33]
    assert ports.listeners_on(8889, str(proc)) == []


def test_a_kernel_that_does_not_say_who_listens_is_not_taken_for_nobody_listens(tmp_path: Path) -> None:
    assert ports.listeners_on(8888, str(tmp_path)) is None


def test_the_holder_is_the_process_that_has_the_socket_open(proc: Path) -> None:
    add_process(proc, 12, "bash", ["-bash"])
    add_process(proc, 345, "jupyter (lab) x", ["/usr/bin/python3", "/usr/bin/jupyter-lab"], inode=48507)
    holder = ports.find_holder([48507], str(proc))
    assert holder is not None
    assert (holder.pid, holder.program, holder.parent) == (345, "jupyter (lab) x", 77)
    assert holder.argv == ("/usr/bin/python3", "/usr/bin/jupyter-lab")
    assert holder.uid == os.getuid()
    assert ports.find_holder([4850], str(proc)) is None


def test_a_process_that_has_ended_meanwhile_is_passed_over(proc: Path) -> None:
    (proc / "99").mkdir()
    add_process(proc, 345, "jupyter", ["jupyter"], inode=48507)
    holder = ports.find_holder([48507], str(proc))
    assert holder is not None and holder.pid == 345
    assert ports.process(98, str(proc)) is None


def test_a_real_listener_of_this_process_is_found() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        found = ports.listeners_on(server.getsockname()[1]) or []
        assert [(listener.address, listener.uid) for listener in found] == [("127.0.0.1", os.getuid())]
        holder = ports.find_holder([listener.inode for listener in found])
    assert holder is not None
    assert holder.pid == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_learns_whose_socket_it_is_and_not_which_process() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        child = os.fork()
        if child == 0:
            port = server.getsockname()[1]
            server.close()
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            found = ports.listeners_on(port) or []
            known = [listener.uid for listener in found] == [0]
            os._exit(0 if known and ports.find_holder([found[0].inode]) is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- ours or not ----------------------------------------------------------------------------------------------------

SETTINGS = {"user": "student", "port": 8888, "prefix": "/opt/colab-ready"}
LISTENER = Listener("127.0.0.1", 8888, 1000, 48507)
SERVER = Process(
    345, 1000, "jupyter-server", ("/opt/colab-ready/server/bin/python", "/opt/colab-ready/server/bin/jupyter-server")
)
IN_UNIT = Process(345, 1000, "x", ("x",), "0::/system.slice/colab-ready.service\n")
IN_UNIT_OLD_CGROUP = replace(IN_UNIT, cgroup="1:name=systemd:/system.slice/colab-ready.service/sub\n0::/\n")
LOOKALIKE = replace(IN_UNIT, cgroup="0::/system.slice/not-colab-ready.service\n")
STRANGER = Process(345, 1000, "jupyter-noteboo", ("/usr/bin/python3", "/usr/bin/jupyter-notebook", "--port=8888"))
SUPERVISOR = Process(345, 1000, "python3", ("/usr/bin/python3", "-I", "/usr/local/bin/colab-runtime", "supervise"))
KERNEL = Process(346, 1000, "python", ("/opt/colab-ready/kernels/cpu/bin/python", "-m", "ipykernel_launcher"))

# holder, others, settings, uid of the runtime's account, ours
OURS: list[tuple[str, Process | None, list[Process], dict[str, Any] | None, int | None, bool]] = [
    ("our server", SERVER, [], SETTINGS, 1000, True),
    ("in our unit", IN_UNIT, [], SETTINGS, 1000, True),
    ("in our unit, first cgroups", IN_UNIT_OLD_CGROUP, [], SETTINGS, 1000, True),
    ("in our unit, no settings yet", IN_UNIT, [], None, None, True),
    ("in our unit, settings damaged", IN_UNIT, [], {"port": "8888"}, None, True),
    ("in a unit of nearly that name", LOOKALIKE, [], SETTINGS, 1000, False),
    ("our supervisor", SUPERVISOR, [], SETTINGS, 1000, True),
    ("our supervisor, settings damaged", SUPERVISOR, [], {"port": "8888"}, None, True),
    ("somebody else who calls himself our supervisor", replace(SUPERVISOR, uid=1001), [], SETTINGS, 1000, False),
    ("the article's notebook of the same user", STRANGER, [], SETTINGS, 1000, False),
    ("somebody else who copies our name", replace(SERVER, uid=1001), [], SETTINGS, 1000, False),
    ("our server on a port that is not its own", SERVER, [], {**SETTINGS, "port": 9999}, 1000, False),
    ("no settings", SERVER, [], None, None, False),
    ("hidden, but our server runs", None, [KERNEL, SERVER], SETTINGS, 1000, True),
    ("hidden, and only a kernel of ours runs", None, [KERNEL], SETTINGS, 1000, False),
    ("hidden, and a stranger runs", None, [STRANGER], SETTINGS, 1000, False),
    ("hidden, of another account", None, [SERVER], SETTINGS, 1001, False),
    ("all processes hidden", None, [], SETTINGS, 1000, True),
    ("all hidden and no settings", None, [], None, 1000, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("holder", "others", "settings", "uid", "ours"),
    [case[1:] for case in OURS],
    ids=[case[0] for case in OURS],
)
def test_the_runtimes_own_server_is_told_from_a_stranger(
    holder: Process | None,
    others: list[Process],
    settings: dict[str, Any] | None,
    uid: int | None,
    ours: bool,
) -> None:
    assert ports.ours(8888, [LISTENER], holder, others, settings, uid) is ours


def test_a_stranger_beside_our_server_is_in_the_way(proc: Path) -> None:
    mine = os.getuid()
    settings = {"port": 8888, "prefix": "/opt/colab-ready"}
    (proc / "net" / "tcp").write_text(TCP.replace(" 1000 ", f" {mine} "))
    add_process(proc, 345, "jupyter", ["/opt/colab-ready/server/bin/python", "x"], inode=48507)
    listeners, _, ours = ports.who_listens(8888, settings, mine, str(proc))
    assert (len(listeners), ours) == (1, True)
    (proc / "net" / "tcp6").write_text(TCP6)
    add_process(proc, 400, "apache2", ["/usr/sbin/apache2"], inode=50002)
    listeners, holder, ours = ports.who_listens(8888, settings, mine, str(proc))
    assert ([listener.address for listener in listeners], ours) == (["::1"], False)
    assert holder is not None and holder.program == "apache2"
    assert ports.who_listens(9999, settings, mine, str(proc)) == ([], None, False)


@pytest.mark.parametrize(
    ("argv", "ours"),
    [
        (["/opt/colab-ready/server/bin/python", "x"], True),
        (["/usr/bin/python3", "-I", "/usr/local/bin/colab-runtime", "supervise"], True),
        (["/usr/bin/python3", "-m", "http.server"], False),  # a notebook's, in our unit
    ],
)
def test_our_server_stays_ours_where_it_is_while_another_port_waits_for_a_restart(
    proc: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], ours: bool
) -> None:
    """Of a systemd that holds the new port already, by what its file says."""
    monkeypatch.setattr(ports, "find_holder_as", lambda uid, inodes, proc: ports.find_holder(inodes, proc))
    (proc / "net" / "tcp").write_text(TCP.replace(" 1000 ", " 0 "))
    add_process(proc, 345, "x", argv, inode=48507)
    settings = {"port": 9999, "prefix": "/opt/colab-ready"}
    assert ports.who_listens(8888, settings, 1000, str(proc))[2] is ours
    assert not ports.who_listens(8888, {**settings, "port": 8888}, 1000, str(proc))[2]


def test_no_name_of_a_process_writes_to_a_terminal(proc: Path) -> None:
    add_process(proc, 7, "\x1b]0;X\x07\x1b[2J", ["\x1b]0;Y\x07", "a\nb"])
    found = ports.process(7, str(proc))
    assert found is not None
    assert (found.program, found.argv) == ("]0;X  [2J", ("]0;Y", "a b"))


def test_nobody_waits_for_a_child_that_the_account_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("root may take another user's place")
    with subprocess.Popen(["sleep", "60"], user=65534, group=65534, extra_groups=[]) as theirs:
        monkeypatch.setattr(ports, "find_holder", lambda inodes, proc: os.kill(os.getpid(), signal.SIGSTOP))
        began = time.monotonic()
        assert ports.find_holder_as(65534, [1]) is None
        assert time.monotonic() - began < 30
        theirs.kill()


def test_nobody_looks_for_ever_through_a_users_descriptors(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_process(proc, 345, "jupyter", ["jupyter"], inode=48507)
    assert ports.find_holder([48507], str(proc))
    monkeypatch.setattr(ports, "_ANOTHER_SECONDS", -1.0)
    assert ports.find_holder([48507], str(proc)) is None


@pytest.mark.parametrize(
    ("uid", "opened", "gone"), [(0, 48507, False), (0, 48508, True), (1000, 48508, False), (0, None, False)]
)
def test_whether_systemd_has_let_go_of_the_port_stands_among_its_descriptors(
    proc: Path, uid: int, opened: int | None, gone: bool
) -> None:
    lines = TCP.splitlines()
    (proc / "net" / "tcp").write_text("\n".join([lines[0], *(one.replace(" 1000 ", f" {uid} ") for one in lines[1:])]))
    if opened is not None:
        add_process(proc, 1, "systemd", ["/sbin/init"], inode=opened)
    assert ports.systemd_let_go(8888, str(proc)) is gone
    assert ports.systemd_let_go(1, str(proc)) is False


@pytest.mark.parametrize(
    ("service", "socket_unit", "ok", "stale"),
    [
        ("loaded", "loaded", True, []),
        ("masked", "loaded", True, ["colab-ready.service"]),
        ("not-found", "bad-setting", True, ["colab-ready.service", "colab-ready.socket"]),
        ("masked", "loaded", False, []),
    ],
)
def test_what_systemd_could_not_start_is_named(
    monkeypatch: pytest.MonkeyPatch, service: str, socket_unit: str, ok: bool, stale: list[str]
) -> None:
    """As systemd 252 says it: a paragraph for each unit."""
    blocks = []
    for unit, said in ((ports.UNIT, service), (ports.SOCKET, socket_unit)):
        blocks.append(f"Id={unit}\nLoadState={said}\n")
    answer = Finished(0 if ok else 1, "\n".join(blocks).encode(), b"")
    monkeypatch.setattr(ports, "run", lambda *_arguments, **_options: answer)
    assert ports.stale_units() == stale

"""What a host says about itself is read as it stands: system, init, Python, file systems, WSL."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.core.accounts import user_name
from ansible.module_utils.colab_ready.files.mounts import mount_of
from ansible.module_utils.colab_ready.process.program import stdout_of
from ansible.module_utils.colab_ready.system import filesystem, init, interpreters, os_release, ports, runtime_account
from ansible.module_utils.colab_ready.wsl.version import wsl_facts, wsl_version

DEBIAN = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
# a comment
BUG_REPORT_URL="https://bugs.debian.org/"
"""
MINT = 'ID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME=\'Linux Mint 22\'\nVERSION_ID="22"\n'
QUOTED = 'ID=debian\nPRETTY_NAME="say \\"hi\\" for \\$5"\n'

RELEASES = [
    (DEBIAN, {"id": "debian", "id_like": [], "ubuntu": None, "version_id": "12", "codename": "bookworm", "name": "Debian GNU/Linux 12 (bookworm)"}),
    (MINT, {"id": "linuxmint", "id_like": ["ubuntu", "debian"], "ubuntu": None, "version_id": "22", "codename": None, "name": "Linux Mint 22"}),
    (QUOTED, {"id": "debian", "id_like": [], "ubuntu": None, "version_id": None, "codename": None, "name": 'say "hi" for $5'}),
    ("rubbish\n", {"id": None, "id_like": [], "ubuntu": None, "version_id": None, "codename": None, "name": None}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "facts"), RELEASES, ids=["debian", "mint", "quoted", "rubbish"])
def test_the_distribution_is_read(tmp_path: Path, text: str, facts: dict[str, object]) -> None:
    (tmp_path / "os-release").write_text(text)
    assert os_release.os_facts(str(tmp_path), str(tmp_path)) == {**facts, "apt": False}


@pytest.mark.parametrize(
    ("text", "ubuntu"),
    [
        ('ID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n', "24.04"),
        ('ID=ubuntu\nVERSION_ID="26.10"\nUBUNTU_CODENAME=of_tomorrow\n', "26.10"),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22.1"\nVERSION_CODENAME=xia\nUBUNTU_CODENAME=noble\n',
            "24.04",
        ),
        (
            'ID=pop\nID_LIKE="ubuntu debian"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n',
            "24.04",
        ),
        ('ID=zorin\nID_LIKE="ubuntu debian"\nVERSION_ID="18"\nVERSION_CODENAME=noble\n', "24.04"),
        ('ID=neon\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME="resolute"\n', "26.04"),
        ('ID=elementary\nID_LIKE=ubuntu\nVERSION_ID="7.1"\nUBUNTU_CODENAME=jammy\n', "22.04"),
        ('ID=linuxmint\nID_LIKE=debian\nVERSION_ID="6"\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n', None),
        ("ID=debian\nVERSION_CODENAME=forky\n", None),
        ('ID=kali\nID_LIKE=debian\nVERSION_ID="2026.3"\nVERSION_CODENAME=kali-rolling\n', None),
        ('ID=devuan\nID_LIKE=debian\nVERSION_CODENAME="noble"\n', None),
    ],
    ids=[
        "Ubuntu",
        "a later one",
        "Mint",
        "Pop",
        "Zorin",
        "neon",
        "elementary",
        "LMDE",
        "sid",
        "Kali",
        "no Ubuntu at all",
    ],
)
def test_the_ubuntu_that_a_system_is_built_on_is_read(tmp_path: Path, text: str, ubuntu: str | None) -> None:
    (tmp_path / "os-release").write_text(text)
    assert os_release.os_facts(str(tmp_path), str(tmp_path))["ubuntu"] == ubuntu


def test_apt_is_there_only_if_it_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text("")
    apt.chmod(0o644)
    assert os_release.os_facts(str(tmp_path), str(tmp_path))["apt"] is False
    apt.chmod(0o755)
    assert os_release.os_facts(str(tmp_path), str(tmp_path))["apt"] is True


@pytest.mark.parametrize(
    ("comm", "booted", "manager"),
    [("systemd", True, "systemd"), ("systemd", False, "none"), ("init", True, "none"), (None, True, "none")],
)
def test_systemd_manages_services_only_as_the_first_process(
    tmp_path: Path, comm: str | None, booted: bool, manager: str
) -> None:
    (tmp_path / "1").mkdir()
    if comm:
        (tmp_path / "1" / "comm").write_text(comm + "\n")
    if booted:
        (tmp_path / "systemd" / "system").mkdir(parents=True)
    assert init.service_manager(str(tmp_path), str(tmp_path)) == manager


# --- programs -------------------------------------------------------------------------------------------------------


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_program_that_fails_hangs_or_is_missing_says_nothing(tmp_path: Path) -> None:
    assert stdout_of([str(program(tmp_path / "good", "echo yes"))]) == "yes\n"
    assert stdout_of([str(program(tmp_path / "bad", "echo yes; exit 1"))]) is None
    assert stdout_of([str(program(tmp_path / "hung", "exec sleep 60"))], seconds=0.2) is None
    assert stdout_of([str(tmp_path / "missing")]) is None


def test_pythons_are_the_systems_own_in_order_of_preference(tmp_path: Path) -> None:
    for name in ("python3.9", "python3.10", "python3.14", "python3.13-config", "python3.12"):
        program(tmp_path / name, "")
    (tmp_path / "python3.12").chmod(0o644)
    (tmp_path / "python3").symlink_to("python3.10")
    names = [os.path.basename(path) for path in interpreters.python_candidates(str(tmp_path))]
    assert names == ["python3", "python3.14", "python3.9"]


def test_a_python_is_asked_and_not_guessed(tmp_path: Path) -> None:
    answer = program(tmp_path / "python3", """echo '{"version": "3.13.1"}'""")
    assert interpreters.ask_python(str(answer)) == (str(answer), "3.13.1")
    assert interpreters.ask_python(str(program(tmp_path / "broken", "echo rubbish"))) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to keep from it")
@pytest.mark.parametrize("caller", [None, "daemon"])
def test_a_python_that_somebody_else_can_change_does_not_get_roots_rights(
    monkeypatch: pytest.MonkeyPatch, caller: str | None
) -> None:
    for name in ("SUDO_USER", "DOAS_USER"):
        monkeypatch.delenv(name, raising=False)
    if caller:
        monkeypatch.setenv("SUDO_USER", caller)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)
        path = program(Path(folder) / "python", f'id -u > {folder}/who; echo \'{{"version": "3.11.2"}}\'')
        path.chmod(0o755)
        assert interpreters.ask_python(str(path)) == (str(path), "3.11.2")
        assert int((Path(folder) / "who").read_text()) == pwd.getpwnam(caller or "nobody").pw_uid


def test_the_systems_real_python_answers() -> None:
    found = [interpreters.ask_python(path) for path in interpreters.python_candidates()]
    assert found and found[0] is not None
    assert found[0].version.startswith("3.")


def test_uv_is_found_on_the_path_and_a_shim_is_none(tmp_path: Path) -> None:
    shim = program(tmp_path / "pyenv" / "shims" / "uv", "")
    assert interpreters.find_uv(str(shim.parent), str(tmp_path)) in (None, "/usr/local/bin/uv")
    real = program(tmp_path / "bin" / "uv", "")
    assert interpreters.find_uv(f"{shim.parent}:{real.parent}", str(tmp_path)) == str(real)
    at_home = program(tmp_path / ".local" / "bin" / "uv", "")
    assert interpreters.find_uv(str(shim.parent), str(tmp_path)) == str(at_home)


# --- accounts and file systems --------------------------------------------------------------------------------------


def test_an_account_is_found_by_name_or_not_at_all() -> None:
    root = runtime_account.account("root")
    assert root is not None
    assert (root.uid, root.home) == (0, "/root")
    assert runtime_account.account("nobody-of-that-name") is None
    assert runtime_account.account("") is None
    assert user_name(4_000_000_000) == "4000000000"


MOUNTS = r"""22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:5 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync
24 22 0:6 / /opt rw - ext4 /dev/sdb ro
25 22 0:7 / /opt rw,noexec - xfs /dev/sdc rw
26 22 0:8 / /my\040disk rw master:1 - btrfs /dev/sdd rw
rubbish
"""
PLACES = [
    ("/home/x", "ext4", ("rw", "relatime")),
    ("/mnt/c/lab", "9p", ("rw", "noatime", "dirsync")),
    ("/mnt/cd", "ext4", ("rw", "relatime")),
    ("/opt/colab-ready", "xfs", ("rw", "noexec")),
    ("/my disk/x", "btrfs", ("rw",)),
]


@pytest.mark.parametrize(("path", "kind", "options"), PLACES)
def test_the_file_system_of_a_path_is_the_nearest_and_newest_mount(
    path: str, kind: str, options: tuple[str, ...]
) -> None:
    assert mount_of(path, MOUNTS) == (kind, options)


def test_a_place_that_is_missing_is_measured_where_it_would_be(tmp_path: Path) -> None:
    place = filesystem.look_at(f"{tmp_path}/a/b")
    assert (place.kind, place.existing, place.entries) == ("missing", str(tmp_path), ())
    assert place.free_bytes > 0


def test_a_place_is_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file").write_text("")
    folder = filesystem.look_at(f"{tmp_path}/folder")
    assert (folder.kind, folder.entries, folder.uid) == ("directory", ("inside",), os.getuid())
    assert (filesystem.look_at(f"{tmp_path}/link").kind, filesystem.look_at(f"{tmp_path}/link").target) == (
        "symlink",
        "folder",
    )
    assert filesystem.look_at(f"{tmp_path}/file").kind == "file"


def test_a_port_that_somebody_holds_cannot_be_bound() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.listen()
        assert ports.bind_error(port) == "Address already in use"
    assert ports.bind_error(port) is None


# --- WSL ------------------------------------------------------------------------------------------------------------

# /proc/version, osrelease, /run/WSL, environment, version
KERNELS = [
    ("Linux version 6.6.87.2-microsoft-standard-WSL2 (root@x)", "6.6.87.2-microsoft-standard-WSL2", True, {}, 2),
    ("Linux version 4.19.128-microsoft-standard (oe@x)", "4.19.128-microsoft-standard", False, {}, 2),
    ("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", "4.4.0-19041-Microsoft", False, {}, 1),
    ("Linux version 6.9.0-mine (me@home)", "6.9.0-mine", True, {}, 2),
    ("Linux version 6.9.0-mine (me@home)", "6.9.0-mine", False, {"WSL_INTEROP": "/run/WSL/8_interop"}, 2),
    ("Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)", "6.1.0-18-amd64", False, {}, None),
    ("", "", False, {}, None),
]


@pytest.mark.parametrize(("version", "osrelease", "run_wsl", "environ", "wsl"), KERNELS)
def test_wsl_is_told_by_its_kernel_or_its_init(
    version: str, osrelease: str, run_wsl: bool, environ: dict[str, str], wsl: int | None
) -> None:
    assert wsl_version(version, osrelease, run_wsl, environ) == wsl


def test_wsl_says_all_of_itself_and_elsewhere_there_is_nothing_to_say(tmp_path: Path) -> None:
    proc, dev, run = tmp_path / "proc", tmp_path / "dev", tmp_path / "run"
    (proc / "1").mkdir(parents=True)
    (proc / "1" / "comm").write_text("systemd\n")
    (proc / "sys" / "kernel").mkdir(parents=True)
    (run / "systemd" / "system").mkdir(parents=True)
    dev.mkdir()
    (dev / "dxg").write_text("")
    osrelease = proc / "sys" / "kernel" / "osrelease"
    osrelease.write_text("6.6.87.2-microsoft-standard-WSL2\n")
    facts = wsl_facts(str(proc), str(dev), str(run), {})
    assert facts == {
        "version": 2,
        "kernel": "6.6.87.2-microsoft-standard-WSL2",
        "systemd": True,
        "dxg": True,
    }
    osrelease.write_text("6.1.0-18-amd64\n")
    assert wsl_facts(str(proc), str(dev), str(run), {}) is None


@pytest.mark.parametrize("place", ["", "tools", "tools/bin", "tools/bin/uv", "server", "server/bin", "pythons"])
def test_a_prefix_that_others_can_change_where_root_starts_programs_is_told(tmp_path: Path, place: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("a prefix is root's")
    prefix = tmp_path / "prefix"
    for folder in ("tools/bin", "server/bin", "pythons", "kernels"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "tools/bin/uv").touch()
    assert filesystem.look_at(str(prefix)).distrust is None
    (prefix / "kernels").chmod(0o777)
    os.chown(prefix / "kernels", 65534, -1)
    assert filesystem.look_at(str(prefix)).distrust is None
    os.chown(prefix / place, 65534, -1)
    assert f"{prefix / place} belongs to nobody" in str(filesystem.look_at(str(prefix)).distrust)


@pytest.mark.skipif(os.getuid() != 0, reason="all of it is somebody else's to root")
def test_a_prefix_below_somebody_elses_folder_is_told_though_it_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student").chmod(0o777)
    assert f"{tmp_path}/student" in str(filesystem.look_at(str(tmp_path / "student" / "cr")).distrust)


def test_a_python_that_says_nonsense_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in (
        "[" * 200_000,
        "[]",
        '{"version": []}',
        '{"version": "1e9.0.0"}',
        "Infinity",
        "",
        '{"version": "3.12"}',
    ):
        monkeypatch.setattr(interpreters, "stdout_of", lambda argv, account, said=said: said)
        assert interpreters.ask_python("/usr/bin/python3") is None


@pytest.mark.parametrize(
    ("comment", "home", "mode", "is_open"),
    [
        ("colab-ready runtime user", "/home/colab", 0o755, True),
        ("colab-ready runtime user", "/home/colab", 0o750, True),
        ("colab-ready runtime user", "/home/colab", 0o700, False),
        # Behind the comma stands what the user may change, with chfn.
        ("colab-ready runtime user,a room", "/home/colab", 0o755, True),
        # Where somebody has moved it to, others may have business.
        ("colab-ready runtime user", "/srv/data", 0o755, False),
        ("A Person,,,", "/home/colab", 0o755, False),
        ("colab-ready runtime user of old", "/home/colab", 0o755, False),
        ("colab-ready runtime user", "/home/colab", None, False),
    ],
)
def test_only_the_home_of_an_account_that_was_made_is_open(
    monkeypatch: pytest.MonkeyPatch, comment: str, home: str, mode: int | None, is_open: bool
) -> None:
    def lstat(path: str) -> os.stat_result:
        if mode is None:
            raise FileNotFoundError(path)
        return os.stat_result((mode | 0o40000, *[0] * 9))

    entry = pwd.struct_passwd(("colab", "x", 997, 997, comment, home, "/bin/bash"))
    monkeypatch.setattr(runtime_account.pwd, "getpwnam", lambda name: entry)
    monkeypatch.setattr(runtime_account.os, "lstat", lstat)
    found = runtime_account.account("colab")
    assert found is not None and found.home_open is is_open

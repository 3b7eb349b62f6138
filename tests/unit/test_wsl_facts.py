"""What a WSL says about itself: each fact from a small WSL in a folder, and if it is not known, why."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.gpu import detect
from ansible.module_utils.colab_ready.wsl import facts as wsl
from ansible.module_utils.colab_ready.wsl import windows_build
from doubles import dxcore_stand_in
from fixtures.windows_drive import open_folder
from fixtures.windows_file import library_of_windows

KERNEL = "6.6.87.2-microsoft-standard-WSL2"
HANDLER = "enabled\ninterpreter /init\nflags: PF\noffset 0\nmagic 4d5a\n"


class FakeWsl:
    """A WSL 2 with everything in order."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/sys/kernel/osrelease", KERNEL + "\n")
        self.write("proc/version", f"Linux version {KERNEL} (root@65c757a075e2)\n")
        self.write("proc/1/comm", "systemd\n")
        self.write("proc/meminfo", "MemTotal:       16331036 kB\nMemFree:         1 kB\n")
        self.write("proc/sys/fs/binfmt_misc/status", "enabled\n")
        self.write("proc/sys/fs/binfmt_misc/WSLInterop", HANDLER)
        self.write("etc/os-release", 'ID=ubuntu\nVERSION_ID="24.04"\n')
        self.write("init", "")
        self.write("dev/dxg", "")
        for name in ("libdxcore.so", "libd3d12.so", "libd3d12core.so"):
            self.write(f"usr/lib/wsl/lib/{name}", "")
        for name in ("u0413948.inf_amd64_0e4b3b4e2a9cd0c8", "acpi.inf_amd64_1", "nv_dispi.inf_amd64_2"):
            (root / "usr/lib/wsl/drivers" / name).mkdir(parents=True)
        (root / "run/systemd/system").mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def remove(self, path: str) -> None:
        place = self.root / path
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    def facts(self) -> tuple[Any, Any]:
        proc, dev, run, etc, usr = (str(self.root / name) for name in ("proc", "dev", "run", "etc", "usr"))
        return wsl.facts(proc, dev, run, etc, usr, {})

    def places(self) -> detect.Places:
        sysfs, proc, dev, run, etc, usr = (
            str(self.root / name) for name in ("sysfs", "proc", "dev", "run", "etc", "usr")
        )
        return detect.Places(sysfs, proc, dev, run, etc, usr)


@pytest.fixture
def fake() -> Iterator[FakeWsl]:
    with open_folder() as folder:
        yield FakeWsl(folder)


def test_a_wsl_in_order_says_all_of_itself(fake: FakeWsl) -> None:
    fake.write("etc/ld.so.cache", "glibc-ld.so.cache1.1\0\0\0/usr/lib/wsl/lib/libdxcore.so\0")
    said, reasons = fake.facts()
    assert said == {
        "version": 2,
        "kernel": KERNEL,
        "distribution": {"id": "ubuntu", "version_id": "24.04"},
        "systemd": True,
        "interop": True,
        "dxg": True,
        "libraries": {
            "libdxcore.so": True,
            "libd3d12.so": True,
            "libd3d12core.so": True,
            "libdirectml.so": False,
            "libcuda.so.1": False,
            "libnvidia-ml.so.1": False,
            "nvidia-smi": False,
        },
        "loader": True,
        "drivers": ["nv_dispi.inf_amd64_2", "u0413948.inf_amd64_0e4b3b4e2a9cd0c8"],
        "memory_bytes": 16331036 * 1024,
    }
    assert reasons == {}


def test_what_a_wsl_does_not_say_is_null_with_a_reason(fake: FakeWsl) -> None:
    for path in ("proc/meminfo", "proc/sys/fs/binfmt_misc", "usr/lib/wsl/drivers", "etc/os-release"):
        fake.remove(path)
    said, reasons = fake.facts()
    assert {path: why["reason"] for path, why in reasons.items()} == {
        "wsl.interop": "binfmt_unmounted",
        "wsl.loader": "no_cache",
        "wsl.drivers": "no_drivers",
        "wsl.memory_bytes": "not_said",
        "wsl.distribution.id": "not_said",
        "wsl.distribution.version_id": "not_said",
    }
    assert [said[key] for key in ("interop", "loader", "drivers", "memory_bytes")] == [None] * 4


@pytest.mark.parametrize(
    ("osrelease", "version"),
    [(KERNEL, 2), ("4.4.0-22621-Microsoft", 1), ("5.10.16.3-microsoft-standard-WSL2", 2), ("6.1.0-18-amd64", None)],
)
def test_wsl_1_and_2_and_none_are_told_apart(fake: FakeWsl, osrelease: str, version: int | None) -> None:
    fake.write("proc/sys/kernel/osrelease", osrelease + "\n")
    fake.write("proc/version", f"Linux version {osrelease}\n")
    said, reasons = fake.facts()
    assert (said and said["version"]) == version
    assert (reasons.get("wsl", {}).get("reason") == "not_wsl") is (version is None)


BINFMT = "proc/sys/fs/binfmt_misc"


@pytest.mark.parametrize(
    ("files", "works", "code"),
    [
        ({}, True, None),
        ({"etc/wsl.conf": "[interop]\nenabled = false # no\n"}, False, "switched_off"),
        ({"etc/wsl.conf": "[interop]\nappendWindowsPath=false\n[boot]\nenabled=false\n"}, True, None),
        ({f"{BINFMT}/status": "disabled\n"}, False, "binfmt_disabled"),
        ({f"{BINFMT}/WSLInterop": None}, False, "not_registered"),
        ({f"{BINFMT}/WSLInterop": None, f"{BINFMT}/WSLInterop-late": HANDLER}, True, None),
        ({f"{BINFMT}/WSLInterop": HANDLER.replace("enabled", "disabled")}, False, "handler_disabled"),
        ({BINFMT: None}, None, "binfmt_unmounted"),
        ({"init": None}, False, "no_init"),
    ],
)
def test_interop_works_or_there_is_a_reason(
    fake: FakeWsl, files: dict[str, str | None], works: bool | None, code: str | None
) -> None:
    for path, text in files.items():
        fake.remove(path) if text is None else fake.write(path, text)
    said, reasons = fake.facts()
    assert (said["interop"], reasons.get("wsl.interop", {}).get("reason")) == (works, code)


def test_a_library_that_leads_nowhere_is_not_there(fake: FakeWsl) -> None:
    (fake.root / "usr/lib/wsl/lib/libcuda.so.1").symlink_to("/nowhere/libcuda.so.1.1")
    assert fake.facts()[0]["libraries"]["libcuda.so.1"] is False


@pytest.mark.parametrize(
    ("cache", "answer", "code"),
    [
        (None, None, "no_cache"),
        (b"", None, "unknown_cache"),
        (b"not a cache", None, "unknown_cache"),
        (b"glibc-ld.so.cache1.1\0/lib/libc.so.6\0", False, None),
        (b"glibc-ld.so.cache1.1\0/wsl/lib/liba.so\0/x\0", True, None),
        (b"glibc-ld.so.cache1.1\0/old/wsl/lib/liba.so\0", False, None),
        (b"glibc-ld.so.cache1.1\0/wsl/lib/more/liba.so\0", False, None),
        (b"ld.so-1.7.0\0\0\0glibc-ld.so.cache1.1\0/wsl/lib/liba.so\0", True, None),
    ],
)
def test_the_loader_s_cache_names_the_folder_s_libraries(
    tmp_path: Path, cache: bytes | None, answer: bool | None, code: str | None
) -> None:
    path = tmp_path / "cache"
    if cache is not None:
        path.write_bytes(cache)
    found, why = wsl.loader_knows("/wsl/lib", str(path))
    assert (found, why and why["reason"]) == (answer, code)


def test_a_cache_that_ldconfig_made_is_read(tmp_path: Path) -> None:
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin")
    assert ldconfig, "there is no ldconfig; expected glibc's; do: run the tests on Debian or Ubuntu"
    (tmp_path / "other").mkdir()
    dxcore_stand_in.build(tmp_path / "lib" / "libdxcore.so")
    (tmp_path / "conf").write_text(f"{tmp_path}/lib\n")
    command = [ldconfig, "-X", "-C", str(tmp_path / "cache"), "-f", str(tmp_path / "conf")]
    subprocess.run(command, check=True, capture_output=True)
    assert wsl.loader_knows(f"{tmp_path}/lib", f"{tmp_path}/cache") == (True, None)
    assert wsl.loader_knows(f"{tmp_path}/other", f"{tmp_path}/cache") == (False, None)


@pytest.mark.parametrize(
    ("name", "graphics"),
    [
        ("nv_dispi.inf_amd64_8f1c6d9a6a0ff3a9", True),
        ("nv_dispig.inf_amd64_1", True),
        ("nvlti.inf_amd64_1", True),
        ("nvraid.inf_amd64_1", False),
        ("nvdimm.inf_amd64_1", False),
        ("u0413948.inf_amd64_1", True),
        ("c0360185.inf_amd64_1", True),
        ("iigd_dch.inf_amd64_1", True),
        ("iigd_dch_d.inf_amd64_1", True),
        ("igdlh64.inf_amd64_1", True),
        ("cui_dch.inf_amd64_1", True),
        ("qcdx8380.inf_arm64_1", True),
        ("usb.inf_amd64_1", False),
        ("c_display.inf_amd64_1", False),
    ],
)
def test_the_packages_of_graphics_are_picked_out(name: str, graphics: bool) -> None:
    assert bool(wsl.GRAPHICS_DRIVER.match(name)) is graphics


# --- what the decision wants to know --------------------------------------------------------------------------------


def test_the_decision_is_told_what_files_say(fake: FakeWsl) -> None:
    for name in ("python3.12", "python3.10", "python3.12-config", "python3.x"):
        fake.write(f"usr/bin/{name}", "")
        (fake.root / "usr/bin" / name).chmod(0o755)
    (fake.root / "usr/bin/python3").symlink_to("python3.12")
    host = detect.host_facts(fake.places(), fake.facts()[0])
    told = ("wsl", "distribution", "distribution_version", "pythons", "container", "libcuda", "d3d12", "dxcore")
    assert [host[key] for key in told] == [2, "ubuntu", "24.04", ["3.12", "3.10"], False, False, True, True]
    assert host["python_paths"] == [str(fake.root / "usr/bin/python3.12"), str(fake.root / "usr/bin/python3.10")]
    assert "kfd" not in host


def test_the_environments_that_are_there_are_told(fake: FakeWsl) -> None:
    prefix = str(fake.root / "opt/colab-ready")
    assert detect.built(prefix) == []
    fake.write("opt/colab-ready/kernels/cpu/pyvenv.cfg", "")
    # One that was being built.
    fake.write("opt/colab-ready/kernels/rocm/bin/python", "")
    assert detect.built(prefix) == ["cpu"]


def test_the_disk_is_the_one_that_the_environments_will_be_on(fake: FakeWsl, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    said = os.statvfs(fake.root)

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return said

    monkeypatch.setattr(os, "statvfs", statvfs)
    free, why = detect.disk_free_bytes(str(fake.root / "opt/colab-ready"))
    assert (free, why, asked) == (said.f_bavail * said.f_frsize, None, [str(fake.root)])


# --- which Windows ----------------------------------------------------------------------------------------------------

RADEON = {"vendor_id": "1002", "software": False}


@pytest.mark.parametrize(
    ("adapters", "open_question"),
    [
        ([], False),
        (None, False),
        ([{**RADEON, "wddm": "3.2"}], False),
        ([{**RADEON, "wddm": "3.0"}], False),
        ([{**RADEON, "wddm": "2.7"}], True),
        ([{**RADEON, "wddm": None}], True),
        ([{**RADEON, "wddm": "3.2"}, {**RADEON, "wddm": "2.7"}], True),
        ([{"vendor_id": "1414", "software": True, "wddm": "1.3"}], False),
    ],
)
def test_windows_is_asked_for_only_where_a_driver_leaves_it_open(adapters: Any, open_question: bool) -> None:
    assert detect.leaves_windows_open(adapters) is open_question


@pytest.mark.parametrize(
    ("data", "build", "code"),
    [
        (library_of_windows(19041), 19041, None),
        (library_of_windows(26100), 26100, None),
        (library_of_windows(17763, sections=9), 17763, None),
        (library_of_windows(9600, major=6), None, "not_said"),
        (library_of_windows(0), None, "not_said"),
        (library_of_windows(19041)[:600], None, "not_said"),
        (b"MZ", None, "not_said"),
        (b"", None, "no_drive"),
        (b"\x7fELF" + bytes(5000), None, "no_drive"),
        (b"MZ" + b"\xff" * 5000, None, "not_said"),
        (None, None, "no_drive"),
    ],
)
def test_the_build_is_in_a_library_of_windows(
    fake: FakeWsl, data: bytes | None, build: int | None, code: str | None
) -> None:
    fake.write("etc/wsl.conf", f"[automount]\nroot = {fake.root}/drives\n")
    if data is not None:
        fake.write(f"drives/c/{windows_build.LIBRARY}", "")
        (fake.root / "drives/c" / windows_build.LIBRARY).write_bytes(data)
    found, why = windows_build.windows_build(True, str(fake.root / "etc"), str(fake.root / "proc"))
    assert (found, why["reason"] if why else None) == (build, code)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root does it in a child, which can be left behind")
def test_a_drive_that_hangs_is_left_behind(fake: FakeWsl, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.write("etc/wsl.conf", f"[automount]\nroot = {fake.root}/drives\n")
    fake.write(f"drives/c/{windows_build.LIBRARY}", "MZ")
    monkeypatch.setattr(windows_build, "read_build", lambda path: time.sleep(600))
    found, why = windows_build.windows_build(True, str(fake.root / "etc"), str(fake.root / "proc"), 1)
    assert found is None
    assert why is not None and "no answer within 1 s" in why["detail"]


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_only_a_plain_file_is_asked_for_the_build(fake: FakeWsl, kind: str) -> None:
    fake.write("etc/wsl.conf", f"[automount]\nroot = {fake.root}/drives\n")
    library = fake.root / "drives/c" / windows_build.LIBRARY
    library.parent.mkdir(parents=True)
    if kind == "pipe":
        # Nobody ever writes into it.
        os.mkfifo(library)
    else:
        (library.parent / "real.dll").write_bytes(library_of_windows(19041))
        library.symlink_to("real.dll")
    found, why = windows_build.windows_build(True, str(fake.root / "etc"), str(fake.root / "proc"))
    assert (found, why["reason"] if why else None) == (None, "no_drive")


def test_what_is_not_known_of_the_host_has_its_reason(fake: FakeWsl) -> None:
    # Nothing can be written below /proc.
    found = detect.look(fake.places()._replace(prefix="/proc/colab-ready"), {})
    assert found["host"]["windows_build"] is None
    assert found["null_reasons"]["host.windows_build"]["reason"] == "not_asked"
    assert found["host"]["disk_free_bytes"] == 0


def test_on_native_linux_the_drivers_device_files_are_what_counts(fake: FakeWsl) -> None:
    for name in ("kfd", "dri/renderD128", "nvidiactl"):
        fake.write(f"dev/{name}", "")
    host = detect.host_facts(fake.places(), None)
    assert [host[key] for key in ("wsl", "kfd", "render_node", "nvidia_device")] == [None, True, True, False]
    assert "dxcore" not in host


@pytest.mark.parametrize(
    ("path", "text", "container"),
    [
        (".dockerenv", "", True),
        ("run/.containerenv", "", True),
        ("run/systemd/container", "lxc\n", True),
        ("run/systemd/container", "wsl\n", False),
        ("run/something", "", False),
    ],
)
def test_a_container_is_known_by_its_marks(fake: FakeWsl, path: str, text: str, container: bool) -> None:
    fake.write(path, text)
    assert detect.in_container(fake.places()) is container

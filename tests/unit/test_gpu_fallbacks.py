"""Who else knows the adapters of Windows: libdxcore, PowerShell, nvidia-smi, rocminfo. What they say is read, or why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.decision.decide import decide_on
from ansible.module_utils.colab_ready.gpu import detect
from ansible.module_utils.colab_ready.gpu.adapter import KEYS, Failure, Unknown, assemble
from ansible.module_utils.colab_ready.gpu.readers import dxcore, vendor_tools, win32_video
from ansible.module_utils.colab_ready.wsl import facts as wsl
from doubles import dxcore_stand_in
from fixtures.windows_drive import open_folder, uids, windows_program

PROJECT = Path(__file__).resolve().parent.parent.parent
DOUBLES = PROJECT / "tests" / "doubles"
RADEON = {
    "Name": "AMD Radeon RX 7900 XTX",
    "PNPDeviceID": "PCI\\VEN_1002&DEV_744C&SUBSYS_0E3B1002&REV_C8\\6&2EB3C2CF&0&00000019",
    "DriverVersion": "32.0.22029.9039",
    "AdapterRAM": 4293918720,
}
IRIS = {
    "Name": "Intel(R) Iris(R) Xe Graphics",
    "PNPDeviceID": "PCI\\VEN_8086&DEV_46A6&SUBSYS_0B081028&REV_0C\\3&11583659&0&10",
    "DriverVersion": "32.0.101.6078",
    "AdapterRAM": 134217728,
}


def known(values: dict[str, Any]) -> dict[str, Any]:
    """Values, and of what is not known the code."""
    return {key: value.reason if isinstance(value, Unknown) else value for key, value in values.items()}


def complete(adapters: list[dict[str, Any]], reasons: dict[str, Any]) -> None:
    """Every key is there, and every null has its reason."""
    for index, adapter in enumerate(adapters):
        assert list(adapter) == list(KEYS)
        nulls = {key for key in KEYS if adapter[key] is None} - {"gfx", "product"}
        assert {f"adapters[{index}].{key}" for key in nulls} <= set(reasons)
        assert all(set(why) == {"reason", "detail"} for why in reasons.values())
        assert set(adapter["source"]) == {
            key for key in KEYS if adapter[key] is not None and key not in ("index", "primary", "source")
        }


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


# --- PowerShell -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (RADEON["PNPDeviceID"], ("1002", "744c", "1002", "0e3b", "c8", False)),
        ("pci\\ven_10de&dev_2684\\4&1", ("10de", "2684", "not_said", "not_said", "not_said", False)),
        ("PCI\\VEN_1414&DEV_008C&SUBSYS_00000000&REV_00\\1", ("1414", "008c", "0000", "0000", "00", True)),
        ("ACPI\\VEN_QCOM&DEV_0C36&SUBSYS_CRD08380&REV_A2\\0", ("4d4f4351", "0c36", "not_said", "not_said", "not_said", False)),
        ("ROOT\\BASICDISPLAY\\0000", ("not_pci", "not_pci", "not_pci", "not_pci", "not_pci", True)),
        ("SWD\\REMOTEDISPLAYENUM\\RDPIDD", ("not_pci", "not_pci", "not_pci", "not_pci", "not_pci", True)),
        ("", ("not_pci", "not_pci", "not_pci", "not_pci", "not_pci", "no_ids")),
        ("PCI\\VEN_&DEV_", ("not_pci", "not_pci", "not_pci", "not_pci", "not_pci", True)),
    ],
)  # fmt: skip
def test_the_ids_are_in_windows_name_of_the_device(identity: str, expected: tuple[Any, ...]) -> None:
    keys = ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision", "software")
    assert known(win32_video.parse_device(identity)) == dict(zip(keys, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (json.dumps(RADEON), ["AMD Radeon RX 7900 XTX"]),
        (json.dumps([RADEON, IRIS]), ["AMD Radeon RX 7900 XTX", "Intel(R) Iris(R) Xe Graphics"]),
        ("\r\nWARNING: profile\r\n" + json.dumps([IRIS]) + "\r\n", ["Intel(R) Iris(R) Xe Graphics"]),
        (json.dumps({**IRIS, "Name": "a\u001b[31m\u202eb"}), ["a [31m b"]),
        (json.dumps({**IRIS, "Name": None}), ["not_said"]),
        ("", "bad_answer"),
        ("null", "bad_answer"),
        ("[1]", "bad_answer"),
        ("[]", "no_adapters"),
        ('[{"Name": "cut of', "bad_answer"),
        ("[" * 100000, "bad_answer"),
    ],
)
def test_one_adapter_or_a_list_of_them(text: str, names: list[str] | str) -> None:
    if isinstance(names, str):
        with pytest.raises(Failure) as failure:
            win32_video.parse_controllers(text)
        assert failure.value.why.reason == names
    else:
        assert [known(one)["name"] for one in win32_video.parse_controllers(text)] == names


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (2147483648, 2147483648), (0, 0), (4293918720, "capped"), (4294967295, "capped"), (24 << 30, "capped"), (None, "not_said"),
        (-1048576, "capped"), ("17", "capped"), (True, "capped"),
    ],
)  # fmt: skip
def test_memory_that_does_not_fit_into_32_bits_is_not_known(memory: Any, expected: Any) -> None:
    (found,) = win32_video.parse_controllers(json.dumps({**RADEON, "AdapterRAM": memory}))
    assert known(found)["dedicated_bytes"] == expected


class FakeWindows:
    """A drive of Windows, below another folder than /mnt, with the stand-in for powershell.exe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        drive = root / "drives" / "c"
        self.etc, self.proc, self.run = root / "etc", root / "proc", root / "run"
        for folder in (self.etc, self.proc, self.run / "WSL"):
            folder.mkdir(parents=True)
        (self.etc / "wsl.conf").write_text(f"[automount]\nroot = {root}/drives/\n")
        self.program = windows_program(root, drive / win32_video.PROGRAM, root)
        self.says([RADEON, IRIS])

    def says(self, adapters: Any, **faults: Any) -> None:
        (self.root / "adapters.json").write_text(json.dumps(adapters, ensure_ascii=False))
        (self.root / "faults.json").write_text(json.dumps(faults))

    def read(self, works: bool | None = True, seconds: float = 20) -> Any:
        return win32_video.read_adapters(str(self.etc), str(self.proc), str(self.run), works, seconds)

    @property
    def calls(self) -> list[str]:
        log = self.root / "calls.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWindows]:
    monkeypatch.delenv("WSL_INTEROP", raising=False)
    with open_folder() as folder:
        yield FakeWindows(folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp850"])
def test_powershell_tells_the_adapters_in_any_encoding(windows: FakeWindows, encoding: str) -> None:
    windows.says([RADEON, {**IRIS, "Name": "Grafikkarte für Büros"}], encoding=encoding)
    adapters, reasons = windows.read()
    complete(adapters, reasons)
    assert [(one["vendor"], one["device_id"], one["primary"]) for one in adapters] == [
        ("AMD", "744c", False),
        ("Intel", "46a6", True),
    ]
    assert (adapters[0]["dedicated_bytes"], reasons["adapters[0].dedicated_bytes"]["reason"]) == (None, "capped")
    assert adapters[0]["source"]["vendor_id"] == "powershell"
    # Started where Windows has a directory too.
    assert str(Path(windows.program).parent) in windows.calls[0]


def test_the_newest_socket_that_works_is_taken(windows: FakeWindows) -> None:
    for name in ("1_interop", "2_interop"):
        (windows.run / "WSL" / name).touch()
    os.utime(windows.run / "WSL" / "1_interop", (1, 1))
    windows.says(RADEON, socket=str(windows.run / "WSL" / "2_interop"))
    assert windows.read()[0][0]["device_id"] == "744c"
    assert len(windows.calls) == 2


@pytest.mark.parametrize(
    ("faults", "works", "code", "calls"),
    [
        ({"interop": True}, True, "no_interop", 1),
        ({}, False, "no_interop", 0),
        ({"error": "Get-CimInstance : Zugriff verweigert"}, None, "tool_failed", 1),
    ],
)
def test_a_powershell_that_cannot_tell_is_a_reason(
    windows: FakeWindows, faults: dict[str, Any], works: bool | None, code: str, calls: int
) -> None:
    windows.says([RADEON], **faults)
    adapters, reasons = windows.read(works)
    assert (adapters, reasons["adapters"]["reason"], len(windows.calls)) == (None, code, calls)


def test_a_powershell_that_hangs_is_left_behind(windows: FakeWindows) -> None:
    windows.says([RADEON], hang=True)
    started = time.monotonic()
    adapters, reasons = windows.read(seconds=1)
    assert (adapters, reasons["adapters"]["reason"]) == (None, "timeout")
    # It would answer after a minute.
    assert time.monotonic() - started < 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts as somebody else")
def test_powershell_is_asked_as_somebody_else_than_root(windows: FakeWindows) -> None:
    assert windows.read()[0]
    assert uids(windows.root) == {windows.root.stat().st_uid} != {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_a_socket_that_another_user_made_is_not_taken(windows: FakeWindows) -> None:
    planted, real = (windows.run / "WSL" / name for name in ("1_interop", "2_interop"))
    for one in (planted, real):
        one.touch()
    os.chown(planted, 12345, 12345)
    assert wsl.interop_sockets(str(windows.run)) == [str(real)]


def test_without_a_drive_of_windows_there_is_no_powershell(windows: FakeWindows) -> None:
    Path(windows.program).unlink()
    assert windows.read()[1]["adapters"]["reason"] == "tool_missing"


# --- nvidia-smi -----------------------------------------------------------------------------------------------------

GEFORCE = "NVIDIA GeForce RTX 4090, 0x268410DE, 0x167C1043, 24564, 581.29, 00000000:01:00.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GEFORCE, [("NVIDIA GeForce RTX 4090", "10de", "2684", "1043", "167c", 24564 << 20, "581.29", "0000:01:00.0")]),
        (
            "A, B, 0x2E1210DE, 0x00000000, [N/A], 580.95.05, 0000000F:01:00.0\r\n",
            [("A, B", "10de", "2e12", "0000", "0000", None, "580.95.05", "000f:01:00.0")],
        ),
        (f"warning\n{GEFORCE}\n{GEFORCE}", ["two"]),
        ("X, [Not Supported], [N/A], 1, 2, 3", []),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", []),
        ("", []),
    ],
)
def test_nvidia_smi_is_read(text: str, expected: list[Any]) -> None:
    keys = "name vendor_id device_id subsystem_vendor_id subsystem_id dedicated_bytes driver_version address".split()
    found = [tuple(one.get(key) for key in keys) for one in vendor_tools.parse_nvidia_smi(text)]
    assert len(found) == 2 if expected == ["two"] else found == expected


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (f"echo '{GEFORCE}'", None),
        ("exit 6", "no_adapters"),
        ("echo 'No devices were found'", "no_adapters"),
        ("echo 'NVIDIA-SMI has failed'; exit 9", "tool_failed"),
        ("echo nonsense", "bad_answer"),
        ("kill -SEGV $$", "tool_failed"),
        ("sleep 60 & sleep 60", "timeout"),
    ],
)
def test_nvidia_smi_answers_or_there_is_a_reason(tmp_path: Path, script: str, code: str | None) -> None:
    own = program(tmp_path / "lib/wsl/lib/nvidia-smi", f"#!/bin/sh\n{script}\n")
    assert vendor_tools.find_nvidia_smi(str(tmp_path)) == own
    adapters, reasons = vendor_tools.read_nvidia_smi(own, 1 if code == "timeout" else 20)
    if code is None:
        assert adapters is not None
        complete(adapters, reasons)
        assert (adapters[0]["vendor"], adapters[0]["source"]["device_id"], adapters[0]["primary"]) == (
            "NVIDIA",
            "nvidia-smi",
            True,
        )
    else:
        assert (adapters, reasons["adapters"]["reason"]) == (None, code)


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    own = program(tmp_path / "hangs", f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/pid\nsleep 300\n")
    with pytest.raises(Failure):
        vendor_tools._ask("hangs", own, (), 2)
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    until = time.monotonic() + 30
    while child.exists() and child.read_text().rpartition(") ")[2][0] not in "ZX":
        assert time.monotonic() < until, "the child of a killed program is still there"
        time.sleep(0.05)


# --- rocminfo -------------------------------------------------------------------------------------------------------

# Written after the facts at hand, not recorded on a machine; what is not read is left out.
ROCMINFO = """WSL environment detected.
=====================
HSA System Attributes
=====================
Runtime Version:         1.1
==========
HSA Agents
==========
*******
Agent 1
*******
  Name:                    CPU
  Marketing Name:          CPU
  Vendor Name:             CPU
  Device Type:             CPU
  Chip ID:                 0(0x0)
  BDFID:                   0
*******
Agent 2
*******
  Name:                    gfx1100
  Marketing Name:          AMD Radeon RX 7900 XTX
  Vendor Name:             AMD
  Device Type:             GPU
  Cache Info:
    L1:                      32(0x20) KB
  Chip ID:                 29772(0x744c)
  BDFID:                   768
  Pool Info:
    Pool 1
      Segment:                 GLOBAL; FLAGS: COARSE GRAINED
      Size:                    25061312(0x17e67c0) KB
  ISA Info:
    ISA 1
      Name:                    amdgcn-amd-amdhsa--gfx1100
*** Done ***
"""


def test_rocminfo_is_read() -> None:
    (found,) = vendor_tools.parse_rocminfo(ROCMINFO)
    assert found == {
        "name": "AMD Radeon RX 7900 XTX", "vendor_id": "1002", "gfx": "gfx1100", "software": False, "compute_only": False,
        "render": True, "device_id": "744c", "address": "0000:03:00.0", "dedicated_bytes": 25061312 << 10,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "ROCk module is NOT loaded", ROCMINFO.replace("GPU", "DSP"), ROCMINFO.replace("gfx1100", "what")]
)
def test_rocminfo_without_a_gpu_tells_none(text: str) -> None:
    assert vendor_tools.parse_rocminfo(text) == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("cat <<'END'\n" + ROCMINFO + "END", None),
        ("echo hsa api call failure >&2; exit 1", "tool_failed"),
        ("true", "no_adapters"),
    ],
)
def test_rocminfo_answers_or_there_is_a_reason(tmp_path: Path, script: str, code: str | None) -> None:
    own = program(tmp_path / "opt/rocm/bin/rocminfo", f"#!/bin/sh\n{script}\n")
    assert vendor_tools.find_rocminfo("/nowhere", str(tmp_path)) == own
    adapters, reasons = vendor_tools.read_rocminfo(own)
    if code is None:
        assert adapters is not None
        complete(adapters, reasons)
        assert adapters[0]["source"]["gfx"] == "rocminfo"
    else:
        assert (adapters, reasons["adapters"]["reason"]) == (None, code)


def test_a_program_that_cannot_be_started_is_a_reason(tmp_path: Path) -> None:
    assert vendor_tools.read_nvidia_smi(str(tmp_path / "missing"))[1]["adapters"]["reason"] == "cannot_start"
    assert vendor_tools.read_nvidia_smi(None)[1]["adapters"]["reason"] == "tool_missing"
    assert vendor_tools.read_rocminfo(None)[1]["adapters"]["reason"] == "tool_missing"


# --- libdxcore ------------------------------------------------------------------------------------------------------

Build = Callable[..., str]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A folder in place of /usr with the stand-in for libdxcore.so."""

    def made(*without: str) -> str:
        usr = tmp_path_factory.mktemp("usr")
        dxcore_stand_in.build(usr / "lib/wsl/lib/libdxcore.so", without)
        return str(usr)

    return made


@pytest.fixture(scope="module")
def usr(build: Build) -> str:
    return build()


@pytest.mark.parametrize("without", [(), ("ENUM3",)])
def test_libdxcore_tells_the_adapters(build: Build, without: tuple[str, ...]) -> None:
    adapters, reasons = dxcore.read_adapters_safely(build(*without))
    assert adapters is not None
    complete(adapters, reasons)
    keys = (
        "name",
        "vendor_id",
        "device_id",
        "revision",
        "dedicated_bytes",
        "driver_version",
        "wddm",
        "address",
        "primary",
    )
    assert [tuple(one[key] for key in keys) for one in adapters] == [
        (
            "STAND-IN AMD Radeon RX 7900 XTX",
            "1002",
            "744c",
            "c8",
            25753026560,
            "32.0.22029.9039",
            "3.2",
            "0000:03:00.0",
            True,
        ),
        ("STAND-IN Ü", "8086", "46a6", "0c", 134217728, "32.0.22029.9039", "3.2", "0000:04:00.0", False),
    ]
    assert set(adapters[0]["source"].values()) == {"dxcore"}


@pytest.mark.parametrize(
    ("faults", "code", "detail"),
    [
        ("hang", "timeout", "no answer within 1 s, at: listing the adapters"),
        ("crash", "crashed", "killed by SIGABRT"),
        ("enum", "enum_failed", ""),
        ("small", "enum_unstable", ""),
    ],
)
def test_a_libdxcore_that_fails_is_a_reason(
    usr: str, monkeypatch: pytest.MonkeyPatch, faults: str, code: str, detail: str
) -> None:
    monkeypatch.setenv("DXCORE_STAND_IN", faults)
    adapters, reasons = dxcore.read_adapters_safely(usr, 1 if faults == "hang" else 20)
    assert (adapters, reasons["adapters"]["reason"]) == (None, code)
    assert "/dev/dxg" not in reasons["adapters"]["detail"]
    assert detail in reasons["adapters"]["detail"]


AND_EXIT = """
import sys
import ansible.module_utils
ansible.module_utils.__path__ = [*ansible.module_utils.__path__, sys.argv[1]]
from ansible.module_utils.colab_ready.gpu.readers import dxcore
print(dxcore.read_adapters(sys.argv[2], lambda step: None)[0] is not None)
"""


@pytest.mark.parametrize(("faults", "told"), [("", True), ("small", False)])
def test_nothing_of_libdxcore_is_left_open(usr: str, faults: str, told: bool) -> None:
    """The stand-in looks when its process ends, which the copies that are asked otherwise do too quickly for it."""
    done = subprocess.run(
        [sys.executable, "-c", AND_EXIT, str(PROJECT / "module_utils"), f"{usr}/lib/wsl/lib/libdxcore.so"],
        env={**os.environ, "DXCORE_STAND_IN": faults},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(told)), done.stderr


def test_a_libdxcore_that_answers_no_question_leaves_nulls(usr: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXCORE_STAND_IN", "query")
    adapters, reasons = dxcore.read_adapters_safely(usr)
    assert adapters is not None
    complete(adapters, reasons)
    assert not detect.tells_something(adapters)
    monkeypatch.setenv("DXCORE_STAND_IN", "null")
    assert dxcore.read_adapters_safely(usr) == ([], {})


def test_a_libdxcore_that_is_none_is_a_reason(build: Build, tmp_path: Path) -> None:
    none = dxcore.read_adapters_safely(build("FLAT"))[1]["adapters"]
    assert none["reason"] == "dxcore_incomplete"
    assert "D3DKMTEnumAdapters2" in none["detail"]
    assert dxcore.read_adapters_safely(build("CLOSE"))[1]["adapters"]["reason"] == "dxcore_incomplete"
    assert dxcore.read_adapters_safely(str(tmp_path))[1]["adapters"]["reason"] == "dxcore_missing"
    program(tmp_path / "lib/wsl/lib/libdxcore.so", "no library")
    assert dxcore.read_adapters_safely(str(tmp_path))[1]["adapters"]["reason"] == "dxcore_unloadable"


# --- one after the other --------------------------------------------------------------------------------------------


def fallen_back(places: detect.Places, *readings: Any) -> tuple[detect.Found, list[str]]:
    asked: list[str] = []

    def way(name: str, reading: Any) -> tuple[str, detect.Way]:
        def ask() -> Any:
            asked.append(name)
            return reading

        return name, ask

    found = detect.of_windows(places, [way(str(number), reading) for number, reading in enumerate(readings)])
    return found, asked


def test_the_first_who_knows_an_adapter_is_believed_and_the_device_is_still_shut(tmp_path: Path) -> None:
    (tmp_path / "dxg").write_text("")
    places = detect.Places(dev=str(tmp_path))
    one = assemble([{"vendor_id": "1002", "software": False}], "test", "silent")
    nothing = (None, {"adapters": {"reason": "tool_missing", "detail": "there is none"}})
    nameless = assemble([{"vendor_id": Unknown("not_said", "silent"), "software": False}], "test", "silent")
    found, asked = fallen_back(places, nothing, ([], {}), nameless, one, one)
    assert (found.adapters, asked) == (one[0], ["0", "1", "2", "3"])
    assert (found.dxg, found.dxg_failure) == (False, "dxg_not_dxg")
    assert [way["ok"] for way in found.ways] == [False, False, True, True, True]
    found, _ = fallen_back(places, nothing, ([], {}))
    assert (found.adapters, found.reasons["adapters"]["reason"]) == (None, "dxg_not_dxg")


def test_a_wsl_without_the_device_has_no_adapters_unless_somebody_knows_one(tmp_path: Path) -> None:
    found, _ = fallen_back(detect.Places(dev=str(tmp_path)))
    assert (found.adapters, found.dxg, found.dxg_failure) == ([], False, "dxg_missing")


def test_the_primary_adapter_is_the_one_to_compute_on() -> None:
    first = {
        "vendor_id": "10de",
        "device_id": "2684",
        "driver": None,
        "software": False,
        "name": "NVIDIA GeForce RTX 4090",
    }
    second = {"vendor_id": "1002", "device_id": "744c", "driver": "amdgpu", "software": False, "revision": "c8"}
    adapters, reasons = assemble([first, second], "test", "silent")
    for adapter in adapters:
        adapter["primary"] = None
        reasons[f"adapters[{adapter['index']}].primary"] = {"reason": "not_said", "detail": "nobody says it"}
    host = {
        "wsl": None,
        "kfd": True,
        "distribution": "ubuntu",
        "distribution_version": "24.04",
        "architecture": "x86_64",
    }
    decision = decide_on({"adapters": adapters, "host": host, "null_reasons": reasons}, "auto", None)
    assert decision["recommended"]["adapter"] == 1
    assert [adapter["primary"] for adapter in adapters] == [False, True]
    assert not [path for path in reasons if path.endswith(".primary")]


def test_what_the_table_of_gpus_adds_is_said_to_be_from_there() -> None:
    values: list[dict[str, Any]] = [
        {"vendor_id": "1002", "device_id": "744c", "revision": "c8"}, {"vendor_id": "10de", "device_id": "2684"},
        {"vendor_id": "1002", "device_id": "0001", "gfx": "gfx1300"},
    ]  # fmt: skip
    adapters, reasons = assemble(values, "test", "silent")
    found = detect.Found(adapters, reasons, [])
    detect.complete(found)
    assert [(one["gfx"], one["product"]) for one in adapters] == [
        ("gfx1100", "Radeon RX 7900 XTX"),
        (None, None),
        ("gfx1300", None),
    ]
    assert [one["source"].get("gfx") for one in adapters] == ["table", None, "test"]
    assert [reasons[f"adapters[{index}].product"]["reason"] for index in (1, 2)] == ["not_in_table"] * 2
    assert reasons["adapters[1].gfx"]["reason"] == "not_amd"

"""gpu_device, as Ansible runs it, on this host and on small hosts built in a folder (stand-ins for sysfs, procfs, /dev)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.decision.decide import BACKEND_CHOICES
from ansible.module_utils.colab_ready.wsl.windows_build import LIBRARY
from conftest import RunModule
from doubles import dxcore_stand_in
from doubles.dxg_stand_in import Adapter, DxgDouble, Fault
from fixtures.sysfs_tree import AMD, NVIDIA, PCI_IDS, Sysfs
from fixtures.windows_drive import open_folder
from fixtures.windows_file import library_of_windows

WSL2 = "6.6.87.2-microsoft-standard-WSL2"
NATIVE = "6.1.0-18-amd64"


def stand_in(root: Path, osrelease: str, dxg: bool = False) -> dict[str, Any]:
    """Arguments that point at a host in a folder."""
    proc = root / "proc"
    (proc / "1").mkdir(parents=True)
    (proc / "1" / "comm").write_text("systemd\n")
    (proc / "sys" / "kernel").mkdir(parents=True)
    (proc / "sys" / "kernel" / "osrelease").write_text(osrelease + "\n")
    (proc / "version").write_text(f"Linux version {osrelease} (somebody@somewhere)\n")
    (root / "proc" / "meminfo").write_text("MemTotal:       16331036 kB\nMemFree: 1 kB\n")
    (root / "dev").mkdir()
    (root / "run" / "systemd" / "system").mkdir(parents=True)
    if dxg:
        (root / "dev" / "dxg").write_text("")
    (root / "pci.ids").write_text(PCI_IDS)
    (root / "etc").mkdir()
    (root / "etc" / "os-release").write_text('ID=ubuntu\nVERSION_ID="24.04"\n')
    (root / "usr").mkdir()
    folders = {name: str(root / name) for name in ("proc", "dev", "run", "etc", "usr")}
    return {**folders, "sysfs": str(root / "sys"), "pci_ids": [str(root / "pci.ids")]}


def nulls_of(result: dict[str, Any]) -> set[str]:
    """The paths of what is not known."""
    nulls = {key for key in ("wsl", "adapters") if result[key] is None}
    nulls |= {f"wsl.{key}" for key, value in (result["wsl"] or {}).items() if value is None}
    for index, adapter in enumerate(result["adapters"] or []):
        nulls |= {f"adapters[{index}].{key}" for key, value in adapter.items() if value is None}
    return nulls


@pytest.fixture
def look(run_module: RunModule) -> Any:
    # WSL_INTEROP of the session that runs the tests would make every stand-in a WSL.
    return lambda args, env=None, **how: run_module("gpu_device", args, env={"WSL_INTEROP": "", **(env or {})}, **how)


@pytest.mark.smoke("gpu_device")
def test_this_host_gets_a_backend_and_every_null_has_its_reason(look: Any) -> None:
    """Which one depends on the computer that the tests run on."""
    result = look({"backend": "auto"})
    assert result["changed"] is False
    decision = result["backend"]
    assert (decision["name"] in BACKEND_CHOICES[1:], decision["chosen_by"]) == (True, "auto")
    assert (decision["card"] is None) == (decision["name"] == "cpu")
    assert nulls_of(result) <= set(result["null_reasons"])


def test_a_native_host_shows_its_adapters_and_gets_the_backend_of_the_one_that_can_be_used(
    look: Any, tmp_path: Path
) -> None:
    args = stand_in(tmp_path, NATIVE)
    sysfs = Sysfs(tmp_path / "sys")
    sysfs.card(0, sysfs.pci("0000:03:00.0", AMD, driver="amdgpu"))
    sysfs.pci("0000:04:00.0", NVIDIA)
    (tmp_path / "dev" / "kfd").touch()
    result = look(args)
    assert result["wsl"] is None
    assert [(entry["vendor"], entry["driver"], entry["primary"]) for entry in result["adapters"]] == [
        ("AMD", "amdgpu", True),
        ("NVIDIA", None, False),
    ]
    assert result["backend"]["reasons"][0].startswith("found AMD Navi 31")
    assert result["backend"]["reasons"][1] == "Radeon RX 7900 XTX (gfx1100): AMD supports it with ROCm"
    assert (result["backend"]["name"], result["backend"]["gfx"]) == ("rocm", "gfx1100")
    assert (result["backend"]["card"]["names"][-1], result["backend"]["card"]["gfx"]) == (
        "Radeon RX 7900 XTX",
        ["gfx1100"],
    )
    assert (result["adapters"][0]["source"]["device_id"], result["adapters"][0]["source"]["name"]) == (
        "sysfs",
        "pci.ids",
    )
    assert nulls_of(result) <= set(result["null_reasons"])


def test_a_file_in_place_of_the_device_is_said_and_the_adapters_are_not_known(look: Any, tmp_path: Path) -> None:
    result = look(stand_in(tmp_path, WSL2, dxg=True))
    said = {key: result["wsl"][key] for key in ("version", "kernel", "systemd", "interop", "dxg", "memory_bytes")}
    assert said == {
        "version": 2, "kernel": WSL2, "systemd": True, "interop": None, "dxg": True, "memory_bytes": 16331036 * 1024,
    }  # fmt: skip
    assert result["adapters"] is None
    assert "is not a device file" in result["null_reasons"]["adapters"]
    assert [(way["name"], way["reason"]) for way in result["ways"]] == [
        ("dxg", "dxg_not_dxg"),
        ("dxcore", "dxcore_missing"),
        ("powershell", "tool_missing"),
        ("nvidia-smi", "tool_missing"),
        ("rocminfo", "tool_missing"),
    ]
    assert "something else than WSL's GPU device" in " ".join(result["backend"]["reasons"])
    assert result["backend"]["name"] == "cpu"
    assert nulls_of(result) <= set(result["null_reasons"])


# An Arc B580, and what the system says of itself: whether XPU is offered, and whether it is had where it is asked for.
SYSTEMS = {
    "mint22.1": (
        'NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\nPRETTY_NAME="Linux Mint 22.1"\nVERSION_ID="22.1"\n'
        "VERSION_CODENAME=xia\nUBUNTU_CODENAME=noble\n",
        "Linux Mint 22.1, built on Ubuntu 24.04", True,
    ),
    "zorin18": (
        'PRETTY_NAME="Zorin OS 18"\nVERSION_ID="18"\nID=zorin\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=noble\n',
        "Zorin OS 18, built on Ubuntu 24.04", True,
    ),
    "sid": (
        'PRETTY_NAME="Debian GNU/Linux forky/sid"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=forky\nID=debian\n',
        "Debian GNU/Linux forky/sid. Do:", False,
    ),
    "no name": ("ID=odd\nID_LIKE=debian\n", "this is Odd. Do:", False),
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_advised_on_a_system_works_there_when_it_is_asked_for(look: Any, tmp_path: Path, name: str) -> None:
    text, called, possible = SYSTEMS[name]
    args = stand_in(tmp_path, NATIVE)
    (tmp_path / "etc/os-release").write_text(text)
    sysfs = Sysfs(tmp_path / "sys")
    sysfs.card(0, sysfs.pci("0000:03:00.0", {**AMD, "vendor": "0x8086", "device": "0xe20b"}, driver="xe"))
    (tmp_path / "dev/dri").mkdir()
    (tmp_path / "dev/dri/renderD128").touch()
    found = look(args)["backend"]
    assert ([one["name"] for one in found["opt_in"]] == ["xpu"]) is possible
    assert called in " ".join([*found["reasons"], *(one["why"] for one in found["opt_in"])])
    asked = look({**args, "backend": "xpu"})
    if possible:
        assert asked["backend"]["name"] == "xpu"
    else:
        assert called.split(". Do")[0] in asked["msg"]
    assert "  " not in asked.get("msg", "")


WSLCONFIG_8931 = """[wsl2]
gpuSupport=false
localhostForwarding=false
networkingMode=mirrored
[WSL2]
memory = 8GB # half
"""


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("wsl.conf", b"[boot]\nsystemd=true\n\n[gpu]\nenabled=false\n", "enabled=false under [gpu] in /etc/wsl.conf"),
        ("Mia M", WSLCONFIG_8931.encode(), "gpuSupport=false under [wsl2] in {}"),
        (
            "mia",
            b"\xff\xfe" + "[WSL2]\r\nGPUSUPPORT = 0 # no\r\n".encode("utf-16-le"),
            "gpuSupport=0 under [wsl2] in {}",
        ),
        ("mia", b"\xef\xbb\xbf[wsl2]\r\nsafeMode=True\r\n", "safeMode=True under [wsl2] in {}"),
        ("mia", b"[wsl2]\nkernel=C:\\\\k\\\\bzImage\n", "kernel=C:\\k\\bzImage under [wsl2] in {}"),
        ("mia", b"[wsl2]\ngpuSupport=true\ngpuSupport=false\n", None),
        ("mia", b"[experimental]\ngpuSupport=false\n", None),
        ("wsl.conf", b"[gpu]\nenabled=true\n", None),
    ],
    ids=[
        "wsl.conf",
        "microsoft/WSL#8931",
        "UTF-16",
        "safe mode",
        "own kernel",
        "the first counts",
        "another section",
        "on",
    ],
)
def test_a_setting_that_leaves_the_gpu_out_is_named_with_its_file(
    look: Any, name: str, content: bytes, told: str | None
) -> None:
    with open_folder() as root:
        args = stand_in(root, WSL2)
        (root / "proc/self").mkdir()
        (root / "proc/self/mountinfo").write_text(f"1 0 0:50 / {root}/c rw - 9p C: rw,aname=drvfs\n")
        place = root / "etc" / name if name == "wsl.conf" else root / "c/Users" / name / ".wslconfig"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        reasons = " ".join(look(args)["backend"]["reasons"])
    if told is None:
        assert "/dev/dxg, is not there" in reasons and "wsl --update" in reasons
    else:
        assert f"a setting leaves the GPU out of WSL: {told.format(place)}. Do: take that line out" in reasons
        assert "wsl --shutdown" in reasons and "wsl --update" not in reasons


@pytest.mark.parametrize("check", [False, True])
def test_the_adapters_of_windows_come_from_the_device(look: Any, tmp_path: Path, check: bool) -> None:
    args = {**stand_in(tmp_path, WSL2), "dev": "/dev"}
    own = tmp_path / "usr" / "lib" / "wsl" / "lib"
    own.mkdir(parents=True)
    for name in ("libdxcore.so", "libd3d12.so", "libd3d12core.so"):
        (own / name).touch()
    small = Adapter(
        name="AMD Radeon(TM) Graphics", ids=(0x1002, 0x164E, 0x1043, 1, 0xC1), dedicated=1 << 29, address=(20, 0, 0)
    )
    with DxgDouble([small, Adapter()]) as double:
        result = look(args, double.env, check=check)
        assert double.violations() == []
    assert [way["name"] for way in result["ways"]] == ["dxg"]
    assert result["changed"] is False
    assert [(one["product"], one["gfx"], one["primary"]) for one in result["adapters"]] == [
        (None, "gfx1036", False),
        ("Radeon RX 7900 XTX", "gfx1100", True),
    ]
    assert (result["adapters"][1]["source"]["dedicated_bytes"], result["adapters"][1]["source"]["gfx"]) == (
        "dxg",
        "table",
    )
    taken = result["backend"]
    assert (taken["name"], taken["device_type"], taken["adapter"]) == ("rocm", "cuda", 1)
    assert taken["card"] == {
        "names": ["AMD Radeon RX 7900 XTX", "Radeon RX 7900 XTX"],
        "gfx": ["gfx1100"],
        "others": ["AMD Radeon(TM) Graphics"],
        "capability": "",
        "device_id": "744c",
        "address": "0000:03:00.0",
        "bytes": 25753026560,
    }
    assert (result["host"]["dxg"], result["host"]["d3d12"], result["host"]["libcuda"]) == (True, True, False)
    assert nulls_of(result) <= set(result["null_reasons"])


def test_where_the_device_does_not_answer_libdxcore_is_asked(look: Any, tmp_path: Path) -> None:
    args = {**stand_in(tmp_path, WSL2), "dev": "/dev"}
    dxcore_stand_in.build(tmp_path / "usr" / "lib" / "wsl" / "lib" / "libdxcore.so")
    with DxgDouble([Adapter()], faults=[Fault("enum3_count", errno.EIO)]) as double:
        result = look(args, double.env)
        assert double.violations() == []
    assert [(way["name"], way["ok"], way["reason"]) for way in result["ways"]] == [
        ("dxg", False, "enum_failed"),
        ("dxcore", True, None),
    ]
    assert [(one["device_id"], one["primary"], one["source"]["name"]) for one in result["adapters"]] == [
        ("744c", True, "dxcore"),
        ("46a6", False, "dxcore"),
    ]
    assert (result["host"]["dxg"], result["host"]["dxg_failure"]) == (True, "enum_failed")
    assert result["backend"]["name"] == "rocm"
    assert nulls_of(result) <= set(result["null_reasons"])


def test_outside_of_wsl_the_device_counts_as_well(look: Any, tmp_path: Path) -> None:
    with DxgDouble([Adapter()]) as double:
        result = look({**stand_in(tmp_path, NATIVE), "dev": "/dev"}, double.env)
    assert (result["wsl"], result["adapters"][0]["product"]) == (None, "Radeon RX 7900 XTX")


@pytest.mark.parametrize(
    ("options", "name", "primary"),
    [
        ({}, "rocm", 1),
        ({"backend": "cpu"}, "cpu", 1),
        ({"backend": "directml"}, "directml", 1),
        ({"backend": "directml", "gpu": "0"}, "directml", 0),
        ({"distribution": "debian"}, "directml", 1),
    ],
)
def test_the_primary_adapter_is_the_one_that_computes_or_would(
    look: Any, tmp_path: Path, options: dict[str, Any], name: str, primary: int
) -> None:
    args = {**stand_in(tmp_path, WSL2), "dev": "/dev", **options}
    if args.pop("distribution", None):
        (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    (tmp_path / "usr/lib/wsl/lib").mkdir(parents=True)
    for library in WSL_LIBRARIES:
        (tmp_path / "usr/lib/wsl/lib" / library).touch()
    small = Adapter(
        name="AMD Radeon(TM) Graphics", ids=(0x1002, 0x164E, 0x1043, 1, 0xC1), dedicated=1 << 29, address=(20, 0, 0)
    )
    with DxgDouble([small, Adapter()]) as double:
        result = look(args, double.env)
    assert result["backend"]["name"] == name
    assert [one["index"] for one in result["adapters"] if one["primary"]] == [primary]


def test_wsl_1_has_no_adapter_and_nobody_is_asked(look: Any, tmp_path: Path) -> None:
    result = look(stand_in(tmp_path, "4.4.0-19041-Microsoft"))
    assert (result["wsl"]["version"], result["adapters"], result["ways"]) == (1, [], [])
    assert "wsl --set-version" in " ".join(result["backend"]["reasons"])


def test_a_wsl_without_the_device_has_no_adapter(look: Any, tmp_path: Path) -> None:
    result = look(stand_in(tmp_path, WSL2))
    assert result["wsl"]["dxg"] is False
    assert result["adapters"] == []
    assert result["backend"]["reasons"][0] == "no GPU found"
    assert "wsl --update" in result["backend"]["reasons"][1]


@pytest.fixture
def drives() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


RX_580 = Adapter(name="Radeon RX 580 Series", ids=(0x1002, 0x67DF, 0x1043, 1, 0xE7), wddm=2700)
WSL_LIBRARIES = ("libdxcore.so", "libd3d12.so", "libd3d12core.so")


@pytest.mark.parametrize(
    ("adapters", "python", "options", "words"),
    [
        ([RX_580], "3.12", {}, None),
        ([RX_580], "3.13", {}, None),
        ([RX_580], "3.13", {"python_fetch": True}, None),
        ([RX_580], "3.13", {"python_fetch": False}, "this host has 3.13, and no other can be fetched"),
        ([], "3.12", {}, "Do: install the newest driver of the GPU on Windows; or ./colab-ready -e colab_backend=auto"),
    ],
)
def test_directml_is_met_or_refused_with_one_message(
    look: Any,
    tmp_path: Path,
    drives: Path,
    adapters: list[Adapter],
    python: str,
    options: dict[str, Any],
    words: str | None,
) -> None:
    args = {
        **stand_in(tmp_path, WSL2),
        "dev": "/dev",
        "backend": "directml",
        "prefix": str(tmp_path / "opt"),
        **options,
    }
    for name in WSL_LIBRARIES:
        (tmp_path / "usr/lib/wsl/lib").mkdir(parents=True, exist_ok=True)
        (tmp_path / "usr/lib/wsl/lib" / name).touch()
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / f"usr/bin/python{python}").touch(mode=0o755)
    library = drives / "c" / LIBRARY
    library.parent.mkdir(parents=True)
    library.write_bytes(library_of_windows(19041))
    (tmp_path / "etc/wsl.conf").write_text(f"[automount]\nroot = {drives}\n")
    with DxgDouble(adapters) as double:
        result = look(args, double.env)
    if words is not None:
        assert result["failed"] is True
        assert result["msg"].count("Expected: ") == result["msg"].count("Do: ") == 1
        assert words in result["msg"]
        return
    decision = result["backend"]
    assert (decision["name"], decision["chosen_by"], decision["adapter"]) == ("directml", "colab_backend", 0)
    path = str(tmp_path / "usr/bin/python3.12") if python == "3.12" else None
    assert decision["python"] == {"requires": ">=3.10,<3.13", "use": "3.12", "path": path, "fetch": path is None}
    assert (result["host"]["windows_build"], result["host"]["built"]) == (19041, [])
    assert "Microsoft promises DirectML in WSL from Windows 11 on, and this is Windows 10" in decision["cautions"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"backend": "rocm"}, "it is for AMD graphics, and there is none. Expected: auto or cpu"),
        ({"backend": "directml"}, "DirectML is a part of Windows, and this is not WSL. Expected: auto or cpu"),
        ({"backend": "cuda9"}, "is no backend. Expected: auto or cuda or rocm or xpu or directml or cpu"),
        ({"gpu": "3"}, "no GPU was found on this host. Expected: an empty colab_gpu"),
    ],
)
def test_a_wish_that_cannot_be_met_fails_with_one_message_and_the_facts(
    look: Any, tmp_path: Path, wish: dict[str, str], words: str
) -> None:
    result = look({**stand_in(tmp_path, NATIVE), **wish})
    assert result["failed"] is True
    assert words in result["msg"]
    assert result["adapters"] == []
    assert "backend" not in result


def test_settings_and_a_named_python_belong_to_the_decision(look: Any, tmp_path: Path) -> None:
    """A release has its own Pythons; a named one is the only one; one that uv fetched before will do."""
    args = {
        **stand_in(tmp_path, WSL2),
        "dev": "/dev",
        "backend": "directml",
        "python_fetch": False,
        "prefix": str(tmp_path / "prefix"),
    }
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "usr/bin/python3.13").touch(mode=0o755)
    (tmp_path / "usr/lib/wsl/lib").mkdir(parents=True)
    for name in WSL_LIBRARIES:
        (tmp_path / "usr/lib/wsl/lib" / name).touch()
    named = tmp_path / "python"
    named.write_text("""#!/bin/sh\necho '{"version": "3.12.3"}'\n""")
    named.chmod(0o755)
    card = Adapter(name="AMD Radeon RX 6600", ids=(0x1002, 0x73FF, 0x1043, 1, 0xC7))
    with DxgDouble([card]) as double:
        assert "install Python 3.12" in look(args, double.env)["msg"]
        assert look({**args, "python": str(named)}, double.env)["backend"]["python"]["path"] == str(named)
        own = {
            "directml_releases": {
                "x": {"package": "p", "version": "1", "torch": "2", "python": "==3.13.*", "lock": "=="}
            }
        }
        mine = look({**args, "settings": {"directml_release": "x", **own}}, double.env)["backend"]
        assert (mine["python"]["use"], mine["settings"]["release"]) == ("3.13", "x")
        fetched = tmp_path / "prefix/pythons/cpython-3.12.16-linux-x86_64-gnu/bin/python3.12"
        fetched.parent.mkdir(parents=True)
        fetched.touch()
        assert look(args, double.env)["backend"]["python"]["path"] == str(fetched)
        assert "no known release" in look({**args, "settings": {"directml_release": "y"}}, double.env)["msg"]

"""gpu_device, as Ansible runs it, on this host and on small hosts built in a folder (stand-ins for sysfs, procfs, /dev)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import RunModule
from fixtures.sysfs_tree import AMD, NVIDIA, PCI_IDS, Sysfs

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
    (root / "dev").mkdir()
    (root / "run" / "systemd" / "system").mkdir(parents=True)
    if dxg:
        (root / "dev" / "dxg").write_text("")
    (root / "pci.ids").write_text(PCI_IDS)
    folders = {name: str(root / name) for name in ("proc", "dev", "run")}
    return {**folders, "sysfs": str(root / "sys"), "pci_ids": [str(root / "pci.ids")]}


@pytest.fixture
def look(run_module: RunModule) -> Any:
    # WSL_INTEROP of the session that runs the tests would make every stand-in a WSL.
    return lambda args: run_module("gpu_device", args, env={"WSL_INTEROP": ""})


def test_this_host_gets_the_cpu_and_every_null_has_its_reason(look: Any) -> None:
    result = look({"backend": "auto"})
    assert result["changed"] is False
    assert (result["backend"]["name"], result["backend"]["chosen_by"]) == ("cpu", "auto")
    nulls = {key for key in ("wsl", "adapters") if result[key] is None}
    nulls |= {
        f"adapters[{index}].{key}"
        for index, adapter in enumerate(result["adapters"] or [])
        for key, value in adapter.items()
        if value is None
    }
    assert nulls <= set(result["null_reasons"])


def test_a_native_host_shows_its_adapters_and_says_that_no_backend_is_there_yet(look: Any, tmp_path: Path) -> None:
    args = stand_in(tmp_path, NATIVE)
    sysfs = Sysfs(tmp_path / "sys")
    sysfs.card(0, sysfs.pci("0000:03:00.0", AMD, driver="amdgpu"))
    sysfs.pci("0000:04:00.0", NVIDIA)
    result = look(args)
    assert result["wsl"] is None
    assert [(entry["vendor"], entry["driver"], entry["primary"]) for entry in result["adapters"]] == [
        ("AMD", "amdgpu", True),
        ("NVIDIA", None, False),
    ]
    assert result["backend"]["reasons"][0].startswith("found AMD Navi 31")
    assert "no GPU backend yet" in result["backend"]["reasons"][1]


def test_the_adapters_of_windows_are_said_to_be_unknown_and_not_to_be_none(look: Any, tmp_path: Path) -> None:
    result = look(stand_in(tmp_path, WSL2, dxg=True))
    assert result["wsl"] == {"version": 2, "kernel": WSL2, "systemd": True, "interop": None, "dxg": True}
    assert result["adapters"] is None
    assert "cannot read /dev/dxg" in result["null_reasons"]["adapters"]
    assert "cannot read /dev/dxg" in result["backend"]["reasons"][0]
    assert result["backend"]["name"] == "cpu"


def test_a_wsl_without_the_device_has_no_adapter(look: Any, tmp_path: Path) -> None:
    result = look(stand_in(tmp_path, WSL2))
    assert result["wsl"]["dxg"] is False
    assert result["adapters"] == []
    assert result["backend"]["reasons"][0] == "no GPU found"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"backend": "rocm"}, "Expected: auto or cpu"),
        ({"backend": "cuda9"}, "no backend"),
        ({"gpu": "3"}, "no adapter"),
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

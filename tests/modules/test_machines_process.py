"""Every computer of the table that has /dev/dxg, read by a process of its own from the stand-in, is decided as in the table."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.gpu.detect import leaves_windows_open
from ansible.module_utils.colab_ready.wsl.windows_build import LIBRARY
from doubles.dxg_stand_in import DxgDouble, Fault, adapter_like
from doubles.dxg_stand_in import Machine as Device
from fixtures.machines import MACHINES, Machine
from fixtures.windows_drive import open_folder
from fixtures.windows_file import library_of_windows

PROJECT = Path(__file__).resolve().parent.parent.parent
KERNEL = "6.6.87.2-microsoft-standard-WSL2"

# What has to happen at the device for a failure of the table; the others have no device.
FAULTS: Mapping[str, Device] = {
    "dxg_denied": Device(faults=[Fault("open", errno.EACCES)]),
    "dxg_no_device": Device(faults=[Fault("open", errno.ENODEV)]),
    "dxg_not_dxg": Device(device="file"),
    "enum_failed": Device(faults=[Fault("enum3_count", errno.EIO)]),
    "timeout": Device(faults=[Fault("enum3_count", "hang")]),
    "too_many_adapters": Device(announced=65),
}
LIBRARIES = {"libcuda": ("libcuda.so.1",), "d3d12": ("libd3d12.so", "libd3d12core.so"), "dxcore": ("libdxcore.so",)}
# What is the testing computer's own, so it is as the table says; and what only the roles know (uv fetches Pythons).
UNTOLD = ("architecture", "python_fetch", "python_named", "disk_free_bytes")

# Reads a line for each computer, and prints a line with what was found and decided.
PROGRAM = """
import json, sys
import ansible.module_utils
ansible.module_utils.__path__ = [*ansible.module_utils.__path__, sys.argv[1]]
from ansible.module_utils.colab_ready.gpu import detect as gpu_look
from ansible.module_utils.colab_ready.decision.decide import decide
from ansible.module_utils.colab_ready.core.problem import Refused
for line in sys.stdin:
    job = json.loads(line)
    found = gpu_look.look(gpu_look.Places(**job["places"]), {})
    host = {**found["host"], **job["untold"]}
    why = found["null_reasons"].get("adapters", {}).get("detail")
    told = job["known"] if found["adapters"] is None and job["known"] is not None else found["adapters"]
    result = {"found": found}
    try:
        result["decision"] = decide(job["wish"], told, why, job["gpu"], host, job["settings"])
    except Refused as refusal:
        result["refusal"] = str(refusal)
    print(json.dumps(result))
"""

# Not the one of which nothing is known: files tell something of every host.
WITH_DEVICE = [
    machine
    for machine in MACHINES
    if machine.host.get("wsl") == 2
    and machine.host.get("dxg_failure") in (None, *FAULTS)
    and machine.host.get("dxg") is not None
]


def describe(machine: Machine) -> Device:
    failure = machine.host.get("dxg_failure")
    return FAULTS[failure] if failure else Device([adapter_like(adapter) for adapter in machine.adapters or ()])


def minor(text: str) -> str:
    """Files tell of a Python 3.12.3 that it is 3.12."""
    return re.sub(r"\b(3\.[0-9]+)\.[0-9]+\b", r"\1", text)


def build(root: Path, host: Mapping[str, Any]) -> dict[str, Any]:
    """The rest of the computer in a folder."""
    for folder in ("proc/sys/kernel", "run", "etc", "usr/bin", "usr/lib/wsl/lib"):
        (root / folder).mkdir(parents=True)
    (root / "proc/sys/kernel/osrelease").write_text(KERNEL + "\n")
    (root / "proc/version").write_text(f"Linux version {KERNEL} (root@stand-in)\n")
    (root / "etc/os-release").write_text(f"ID={host['distribution']}\nVERSION_ID={host['distribution_version']}\n")
    for key, names in LIBRARIES.items():
        for name in names if host[key] else ():
            # Nothing to load: who tries is told so.
            (root / "usr/lib/wsl/lib" / name).touch()
    for index, version in enumerate(host["pythons"]):
        (root / f"usr/bin/python{minor(version)}").touch(mode=0o755)
        if index == 0:
            (root / "usr/bin/python3").symlink_to(f"python{minor(version)}")
    if host["container"]:
        (root / ".dockerenv").touch()
    (root / "etc/wsl.conf").write_text(f"[automount]\nroot = {root}/drives\n")
    library = root / "drives/c" / LIBRARY
    library.parent.mkdir(parents=True)
    library.write_bytes(library_of_windows(host["windows_build"]))
    places = {name: str(root / name) for name in ("proc", "run", "etc", "usr")}
    return {
        **places,
        "sysfs": str(root / "sys"),
        "pci_ids": [],
        "dxg_seconds": 1,
        "prefix": str(root / "opt/colab-ready"),
    }


@pytest.fixture(scope="module")
def computers() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def results(computers: Path) -> dict[str, dict[str, Any]]:
    """By the computers' names. All in one process, one after the other: each opens the device once."""
    lines = []
    for number, machine in enumerate(WITH_DEVICE):
        places = build(computers / str(number), machine.host)
        untold = {key: machine.host.get(key) for key in UNTOLD}
        known = list(machine.adapters) if machine.adapters and machine.host.get("dxg_failure") else None
        job = {"places": places, "untold": untold, "wish": machine.wish, "gpu": machine.gpu, "known": known}
        job["settings"] = dict(machine.settings)
        lines.append(json.dumps(job))
    # A plain file is not opened, so the computer behind it would be the next one's: those come alone.
    found: dict[str, dict[str, Any]] = {}
    files = [machine for machine in WITH_DEVICE if machine.host.get("dxg_failure") == "dxg_not_dxg"]
    others = [machine for machine in WITH_DEVICE if machine not in files]
    jobs = dict(zip((machine.name for machine in WITH_DEVICE), lines, strict=True))
    for group in (others, *([machine] for machine in files)):
        with DxgDouble(machines=[describe(machine) for machine in group]) as double:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(PROJECT / "module_utils")],
                env={**os.environ, **double.env},
                input="\n".join(jobs[machine.name] for machine in group),
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            told = double.violations()
        # A copy that hangs is killed with the device open; nothing else may be held against us.
        assert not [line for line in told if "ended with the device open" not in line], told
        found.update(zip((machine.name for machine in group), map(json.loads, done.stdout.splitlines()), strict=True))
    return found


def by_name(machine: Machine) -> str:
    return machine.name


@pytest.mark.parametrize("machine", WITH_DEVICE, ids=by_name)
def test_the_process_decides_as_the_table_says(machine: Machine, results: dict[str, dict[str, Any]]) -> None:
    result = results[machine.name]
    if machine.backend is None:
        # The reason why nothing is known is the device's own here.
        assert minor(machine.says.partition(": no end")[0]) in result["refusal"]
        return
    decision = result["decision"]
    assert (decision["name"], decision["adapter"]) == (machine.backend, machine.adapter)
    said = [*decision["reasons"], *decision["cautions"]]
    assert any(minor(machine.says.partition(": EINVAL")[0]) in sentence for sentence in said), said
    assert machine.python is None or decision["python"]["use"] == minor(machine.python)
    rejected = {entry["name"]: entry["why"] for entry in decision["rejected"]}
    assert not {name: rejected[name] for name, part in machine.rejects.items() if minor(part) not in rejected[name]}


@pytest.mark.parametrize("machine", [one for one in WITH_DEVICE if not one.host.get("dxg_failure")], ids=by_name)
def test_the_process_reads_what_the_table_describes(machine: Machine, results: dict[str, dict[str, Any]]) -> None:
    found = results[machine.name]["found"]
    filled = ("primary", "gfx", "product")
    described = [{key: value for key, value in one.items() if key not in filled} for one in machine.adapters or ()]
    for adapter, wanted in zip(found["adapters"], described, strict=True):
        # One answer of Windows holds all these: it does not come without one of them.
        if wanted["software"] is None:
            wanted.update(dict.fromkeys(("render", "compute_only", "hybrid", "detachable")))
        # Whatever the bit says, Microsoft makes no GPU.
        wanted["software"] = wanted["vendor_id"] == "1414" or wanted["software"]
        assert {key: adapter[key] for key in wanted} == wanted


@pytest.mark.parametrize("machine", WITH_DEVICE, ids=by_name)
def test_the_process_knows_of_the_host_what_the_table_says(
    machine: Machine, results: dict[str, dict[str, Any]]
) -> None:
    host = results[machine.name]["found"]["host"]
    told = ("wsl", "dxg", "dxg_failure", "distribution", "distribution_version", "container", *LIBRARIES)
    assert {key: host[key] for key in told} == {key: machine.host.get(key) for key in told}
    assert host["pythons"] == [minor(version) for version in machine.host["pythons"]]
    assert [Path(path).name for path in host["python_paths"]] == [f"python{version}" for version in host["pythons"]]
    # What a driver of WDDM 3 says already nobody looks up.
    asked = leaves_windows_open(results[machine.name]["found"]["adapters"])
    assert host["windows_build"] == (machine.host["windows_build"] if asked else None)
    assert host["disk_free_bytes"] > 0


def test_most_of_the_table_has_the_device() -> None:
    assert len(WITH_DEVICE) > 60
    on_10 = [machine for machine in WITH_DEVICE if machine.host["windows_build"] < 22000]
    assert len(on_10) >= 4 and all(leaves_windows_open(machine.adapters) for machine in on_10)
    assert {machine.host["dxg_failure"] for machine in WITH_DEVICE if machine.host.get("dxg_failure")} == set(FAULTS)


def test_none_is_left_out_but_those_without_a_device() -> None:
    names = {machine.name for machine in WITH_DEVICE}
    left = [machine for machine in MACHINES if machine.host.get("dxg") and machine.name not in names]
    assert not left

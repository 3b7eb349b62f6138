"""One folder, one role, one row: with them and nothing else a sixth backend is detected, decided on, prepared and taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ansible_environment
from fixtures import sixth_backend
from fixtures.sysfs_tree import Sysfs

# Without a capability of its own, a card is told by its name.
CARD = {"index": 0, "vendor_id": "6666", "vendor": "Hexa", "device_id": "0001", "name": "Hexa One", "software": False}
LINUX = {"wsl": None, "dxg": False, "pythons": ["3.12"], "python_fetch": True}
WSL = {**LINUX, "wsl": 2, "dxg": True}

# Decides for each line, in a process that knows the copy alone.
DECIDE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from colab_ready.core.problem import Refused
from colab_ready.decision.decide import decide
for line in sys.stdin:
    wish, card, host, settings = json.loads(line)
    try:
        print(json.dumps(decide(wish, [card], host=host, settings=settings)))
    except Refused as refusal:
        print(json.dumps({"refused": str(refusal)}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield sixth_backend.copy(tmp_path_factory.mktemp("sixth"))


def git(folder: Path, *command: str) -> list[str]:
    return subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


def test_it_is_new_files_and_one_line(copy: Path) -> None:
    assert git(copy, "diff", "--numstat") == [f"1\t0\t{sixth_backend.REGISTRY}"]
    new = git(copy, "ls-files", "--others", "--exclude-standard")
    assert new and {"/".join(path.split("/")[:-1]).split("/hexa")[0] for path in new} == {
        "module_utils/colab_ready/backends",
        "roles",
    }
    done = subprocess.run(
        [sys.executable, "tools/rooms.py", "--check"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# wish, driver, host, settings; the Python, or words of the refusal
MACHINES: list[tuple[str, str | None, dict[str, Any], dict[str, Any], str]] = [
    ("auto", "hexa", LINUX, {}, "3.12"),
    ("auto", None, WSL, {}, "3.12"),
    ("auto", "hexa", {**LINUX, "pythons": ["3.10"]}, {"hexa_release": 1}, "3.10"),
    ("auto", "hexa", {**LINUX, "pythons": ["3.10"]}, {}, "3.13"),
    ("hexa", "hexafb", LINUX, {}, "is hexafb, which HEXA cannot use. Expected: auto or cpu. Do: install Hexa's driver"),
    ("auto", "hexa", LINUX, {"hexa_release": "9"}, "there is no HEXA 9"),
]  # fmt: skip


def test_it_is_decided_on_or_refused_with_its_remedy(copy: Path) -> None:
    lines = [json.dumps([wish, {**CARD, "driver": driver}, host, more]) for wish, driver, host, more, _says in MACHINES]
    done = subprocess.run(
        [sys.executable, "-c", DECIDE, str(copy / "module_utils")],
        input="\n".join(lines), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for machine, answer in zip(MACHINES, map(json.loads, done.stdout.splitlines()), strict=True):
        if "refused" in answer:
            assert machine[-1] in answer["refused"]
            continue
        assert (answer["name"], answer["device_type"], answer["adapter"]) == ("hexa", "cuda", 0)
        assert answer["python"]["use"] == machine[-1]


def test_a_play_detects_and_prepares_it_and_takes_it_away(copy: Path, tmp_path: Path) -> None:
    tree = Sysfs(tmp_path / "sys")
    files = {
        "class": "0x030000",
        "vendor": "0x6666",
        "device": "0x0001",
        "subsystem_vendor": "0x1043",
        "subsystem_device": "0x0001",
    }
    tree.card(0, tree.pci("0000:01:00.0", files, driver="hexa"))
    for name in ("etc", "proc", "dev", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "state/hexa_backend.json.of-another").touch()
    places = {name: str(tmp_path / name) for name in ("etc", "proc", "dev")}
    out = tmp_path / "kernel.json"
    play = {
        "hosts": "localhost", "gather_facts": False,
        "module_defaults": {"gpu_device": {**places, "sysfs": str(tree.root), "pci_ids": []}},
        "vars": {"hexa_etc": places["etc"], "hexa_state_file": str(tmp_path / "state/hexa_backend.json")},
        "roles": [{"role": "gpu_backend", "vars": {"gpu_backend_prepare": True}}],
        "tasks": [
            {"ansible.builtin.copy": {"content": "{{ gpu_backend_kernel | to_json }}", "dest": str(out), "mode": "0600"}},
            {"ansible.builtin.command": {"argv": ["cat", f"{places['etc']}/hexa.conf"]}, "changed_when": False},
            {
                "ansible.builtin.include_role": {"name": "{{ item }}", "tasks_from": "remove"},
                "loop": ["hexa"],
            },
        ],
    }  # fmt: skip
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", tmp_path / "play.yml",
         "-e", f"ansible_python_interpreter={sys.executable}"],
        env={
            **ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_ROLES_PATH": str(copy / "roles"),
            "ANSIBLE_LIBRARY": str(copy / "library"), "ANSIBLE_MODULE_UTILS": str(copy / "module_utils"),
        },
        capture_output=True, text=True, cwd=copy, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    kernel = json.loads(out.read_text())
    assert (kernel["display_name"], kernel["python_requires"]) == ("Python 3 (HEXA)", ">=3.11,<3.14")
    assert [one["requirement"] for one in kernel["pinned"]] == ["torch==2.13.0+hexa"]
    assert kernel["lock"] == (copy / "roles/cpu/files/kernel_cpu.txt").read_text()
    assert os.listdir(places["etc"]) == [] and os.listdir(tmp_path / "state") == ["hexa_backend.json.of-another"]

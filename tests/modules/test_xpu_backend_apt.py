"""xpu_backend where apt, dpkg and gpgv are real: a container that plays an Ubuntu, and a signed repository with tiny packages of
the real names. What apt says of a bad signature is understood, and nothing is left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker_engine
import pytest
from conftest import Host, StartHost
from doubles.intel_repository import VERSIONS, IntelRepository
from fixtures.decisions import with_decision

PLACE = "/srv/stand-in"
CODE = "/opt/under-test"
ARC = {"index": 0, "vendor_id": "8086", "device_id": "56a0", "name": "Intel(R) Arc(TM) A770 Graphics", "driver": "xe"}
# What the module does, without Ansible around it, which is quicker.
RUNNER = f"""
import json, sys
sys.path.insert(0, "{CODE}")
from ansible.module_utils.colab_ready.backends.xpu import host as xpu_host
from ansible.module_utils.colab_ready.backends.host import settle
gpu, address, key, fingerprints, state, user = json.load(sys.stdin)
params = {{"state": state, "gpu": gpu, "apt_address": address,
    "apt_key": key, "apt_key_fingerprints": fingerprints, "user": user, "environment": {{}}, "etc": "/etc",
    "state_file": "/var/lib/colab-ready/xpu_runtime.json"}}
result, notes = settle(xpu_host.XpuHost(params, False))
packages, problem = result["packages"], (result["problems"] or [None])[0]
print(json.dumps({{"changed": result["changed"], "packages": packages, "notes": notes, "problem": problem}}))
"""


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntelRepository]:
    folder = tmp_path_factory.mktemp("intel-repository")
    # apt reads it as a user of its own.
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o755)
    made = IntelRepository(folder)
    yield made
    made.end()


class Pc:
    def __init__(self, host: Host, stand_in: IntelRepository, project: Path) -> None:
        self.host, self.stand_in = host, stand_in
        target = f"{CODE}/ansible/module_utils"
        self.must("mkdir", "-p", target)
        docker_engine.docker("cp", str(project / "module_utils/colab_ready"), f"{host.name}:{target}/")
        own = f"deb [trusted=yes] file://{PLACE}/ubuntu noble main"
        # A source of its owner's that is out of order is none of ours to refuse.
        broken = f"deb file://{PLACE}/nowhere noble main"
        script = f"rm -f /etc/apt/sources.list.d/*; echo '{own}' >/etc/apt/sources.list; apt-get -q update; "
        self.must("sh", "-c", f"{script} echo '{broken}' >/etc/apt/sources.list.d/broken.list")
        self.bare = self.listing()

    def must(self, *command: str) -> str:
        done = self.host.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def listing(self) -> list[str]:
        packages = self.must("dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Abbrev}\n")
        files = self.must("find", "/etc/apt", "/var/lib/colab-ready", "/var/lib/apt/extended_states", "-type", "f")
        return sorted([*packages.splitlines(), *files.splitlines()])

    def __call__(
        self, state: str = "present", repository: str = "good", fingerprint: str = "", user: str = ""
    ) -> dict[str, Any]:
        """With a user it is native Linux, else WSL."""
        allowed = [fingerprint or self.stand_in.fingerprint]
        host = {"wsl": None if user else 2, "distribution": "ubuntu", "distribution_version": "24.04"}
        gpu = with_decision({"adapters": [ARC], "host": host}, "xpu")
        asked = json.dumps([gpu, f"file://{PLACE}/{repository}", f"file://{PLACE}/intel.asc", allowed, state, user])
        done = docker_engine.docker("exec", "-i", self.host.name, "python3", "-c", RUNNER, stdin=asked, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture
def pc(start_host: StartHost, stand_in: IntelRepository, project: Path) -> Pc:
    host = start_host("xpu-runtime", init="plain", extra=[f"--volume={stand_in.folder}:{PLACE}:ro"])
    host.run("mkdir", "-p", "/var/lib/colab-ready")
    # Without it the folder goes with the record.
    host.run("touch", "/var/lib/colab-ready/of-another-module")
    host.run("touch", "/var/lib/apt/extended_states")
    return Pc(host, stand_in, project)


def test_it_comes_from_a_signed_repository_stays_and_goes_without_a_trace(pc: Pc) -> None:
    found = pc()
    assert found["problem"] is None and found["changed"] is True
    assert found["packages"]["intel-opencl-icd"] == VERSIONS["intel-opencl-icd"], "not the distribution's own of 2023"
    there = pc.listing()
    assert pc()["changed"] is False
    assert pc.listing() == there
    gone = pc("absent")
    assert (gone["problem"], gone["notes"]) == (None, [])
    assert pc.listing() == pc.bare


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"repository": "forged"}, "xpu_apt_signature"),
        ({"repository": "spoiled"}, "xpu_apt_checksum"),
        ({"repository": "nowhere"}, "xpu_apt_unreachable"),
        ({"repository": "unmet"}, "xpu_apt_unmet"),
        ({"fingerprint": "F" * 40}, "xpu_apt_key"),
    ],
    ids=[
        "signed by a stranger",
        "another package than is listed",
        "no repository",
        "a dependency that nobody has",
        "another key",
    ],
)
def test_a_repository_that_is_not_to_be_trusted_leaves_nothing_behind(pc: Pc, asked: dict[str, str], name: str) -> None:
    found = pc(**asked)
    assert found["problem"]["id"] == name, found["problem"]
    assert pc.listing() == pc.bare


def test_a_repository_that_its_owner_configured_already_is_said_with_its_file(pc: Pc) -> None:
    """As Intel's own guide does it, with a key file elsewhere."""
    line = f"deb [arch=amd64 signed-by=/usr/share/keyrings/intel-graphics.gpg] file://{PLACE}/good noble unified"
    pc.must("sh", "-c", f"echo '{line}' >/etc/apt/sources.list.d/intel-gpu-noble.list")
    before = pc.listing()
    problem = pc()["problem"]
    assert problem["id"] == "xpu_apt_conflict", problem
    (search,) = re.findall(r"\((grep .*?)\)", problem["do"])
    assert pc.must("sh", "-c", search) == "/etc/apt/sources.list.d/intel-gpu-noble.list\n"
    assert pc.listing() == before
    pc.must("rm", "/etc/apt/sources.list.d/intel-gpu-noble.list")
    assert pc()["problem"] is None


PLAIN = f"""
import sys
sys.path.insert(0, "{CODE}")
from ansible.module_utils.colab_ready.apt.client import install_plain
print(install_plain("intel-opencl-icd", print))
"""


def test_an_installation_that_was_broken_off_is_said_with_what_ends_it(pc: Pc) -> None:
    pc.must("touch", "/var/lib/dpkg/updates/0001")
    problem = pc()["problem"]
    assert (problem["id"], "sudo dpkg --configure -a" in problem["do"]) == ("xpu_apt_interrupted", True)
    pc.must("dpkg", "--configure", "-a")
    assert pc.listing() == pc.bare


def test_a_source_of_others_that_cannot_be_read_does_not_keep_a_package_away(pc: Pc) -> None:
    pc.must("sh", "-c", "rm -rf /var/lib/apt/lists/*")
    said = pc.must("python3", "-c", PLAIN)
    assert f"{PLACE}/nowhere noble Release' does not have a Release file" in said
    assert said.endswith("None\n") and "intel-opencl-icd 23.43.27642.40-1ubuntu3 ii " in pc.listing()
    assert pc.must("python3", "-c", PLAIN) == "None\n"


@pytest.mark.parametrize("then", ["present", "absent"])
def test_what_dpkg_left_half_done_is_mended_or_taken_back(pc: Pc, then: str) -> None:
    """A dpkg that unpacks and cannot configure, as with a full disk."""
    script = "printf '#!/bin/sh\\ncase $* in *--configure*) exit 1 ;; esac\\nexec dpkg \"$@\"\\n' >/usr/local/bin/broken-dpkg"
    conf = "/etc/apt/apt.conf.d/broken"
    pc.must("sh", "-c", f"{script}; chmod 755 /usr/local/bin/broken-dpkg")
    pc.must("sh", "-c", f"echo 'Dir::Bin::dpkg \"/usr/local/bin/broken-dpkg\";' >{conf}")
    assert pc()["problem"]["id"] == "xpu_apt"
    left = pc.listing()
    assert f"libigc2 {VERSIONS['libigc2']} iU " in left
    assert "/etc/apt/sources.list.d/intel-gpu.sources" in left
    pc.must("rm", conf)
    assert pc(then)["problem"] is None
    if then == "present":
        assert pc()["changed"] is False
        pc("absent")
    assert pc.listing() == pc.bare


@pytest.mark.parametrize(
    ("was_in", "groups_are"),
    [("", "audio"), ("video", "audio,video")],
    ids=["a new member", "a member from before"],
)
def test_natively_the_user_joins_the_groups_that_there_are_until_it_goes(pc: Pc, was_in: str, groups_are: str) -> None:
    """With the real usermod and gpasswd, on a system that has no group render."""
    pc.must("sh", "-c", "groupdel render 2>/dev/null; getent group video")
    pc.must("useradd", "--groups", f"audio,{was_in}".strip(","), "student")

    def groups() -> list[str]:
        return sorted({*pc.must("id", "-nG", "student").split()} - {"student"})

    found = pc(user="student")
    assert (found["problem"], found["changed"], groups()) == (None, True, ["audio", "video"])
    assert pc(user="student")["changed"] is False
    gone = pc("absent")
    assert (gone["problem"], gone["notes"], groups()) == (None, [], groups_are.split(","))
    assert pc.listing() == pc.bare

"""The module rocm_backend on a host of its own: apt, dpkg, gpgv and ldconfig are real, AMD's repositories are stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker_engine
import pytest
from ansible.module_utils.colab_ready.backends.rocm.judge import BACKEND as ROCM
from conftest import Host, StartHost, ansible_environment, result_in
from doubles.rocm_repository import BRIDGE, DIDS, Package, StandIn
from fixtures.decisions import with_decision

PLACE = "/srv/stand-in"
CODE = "/opt/under-test"
RECORD = "/var/lib/colab-ready/rocm_host.json"
DIDS_CONF = "/opt/rocm/share/rocdxg/dids.conf"
LOADER = "/etc/ld.so.conf.d/colab-ready-rocm.conf"
PROFILE = "/etc/profile.d/colab-ready-rocm.sh"
ENVIRONMENT = "/etc/colab-ready/environment.d/rocm.conf"
KEYRING = "/etc/apt/keyrings/amdrocm.gpg"
SOURCES = "/etc/apt/sources.list.d/amdrocm-stable.sources"
BRIDGE_FILE = "/opt/rocm/lib/librocdxg.so.1.2.2"

# What the module does, without Ansible around it, which is quicker.
RUNNER = (
    """
import json, sys
sys.path.insert(0, "%s")
from ansible.module_utils.colab_ready.backends.host import settle
from ansible.module_utils.colab_ready.backends.rocm.host import RocmHost
params, check = json.load(sys.stdin)
result, warnings = settle(RocmHost(params, check))
print(json.dumps({**result, "failed": bool(result["msg"]), "warnings": warnings}))
"""
    % CODE
)
# All that is on the host but for what every start of apt and ldconfig writes. Of large files, the size.
LISTING = """
import hashlib, os, stat
for top in ("/etc", "/opt", "/usr/local", "/usr/lib/x86_64-linux-gnu", "/var/lib/colab-ready", "/root", "/tmp", "/var/tmp"):
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(one for one in folders if one not in ("__pycache__", "under-test", ".ansible"))
        for path in [os.path.join(folder, name) for name in sorted(folders + files) if name != "ld.so.cache"]:
            info = os.lstat(path)
            seen = os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""
            if stat.S_ISREG(info.st_mode):
                seen = info.st_size if info.st_size > 99999 else hashlib.md5(open(path, "rb").read()).hexdigest()
            print(path, oct(info.st_mode), info.st_uid, seen)
"""


def radeon(device_id: str, revision: str, name: str) -> dict[str, Any]:
    card = {"vendor_id": "1002", "vendor": "AMD", "device_id": device_id, "revision": revision, "name": name}
    card["driver"] = "amdgpu"
    return {"index": 1, "primary": True, **card}


XT_9070 = radeon("7550", "c0", "AMD Radeon RX 9070 XT")
RX_7600 = radeon("7480", "cf", "AMD Radeon RX 7600")
IGPU = {**radeon("164e", "", "AMD Radeon(TM) Graphics"), "index": 0, "primary": False}


def machine(*adapters: dict[str, Any], wsl: bool = True, **host: Any) -> dict[str, Any]:
    """What gpu_device says of a PC, as far as it is read here."""
    facts: dict[str, Any] = {"distribution": "ubuntu", "distribution_version": "24.04", "architecture": "x86_64"}
    facts.update(wsl=2 if wsl else None, windows_build=26200 if wsl else None)
    return {"wsl": {"version": 2} if wsl else None, "adapters": list(adapters), "host": {**facts, **host}}


DEFAULTS: dict[str, Any] = {
    "state": "present", "gpu": machine(IGPU, XT_9070), "remove_conflicts": False, "user": "", "apt_key_sha256": "",
    "torch_index": "", "environment": {}, "timeout_seconds": 120, "ldconfig": "/sbin/ldconfig", "state_file": RECORD,
}  # fmt: skip


def parameters(args: dict[str, Any]) -> dict[str, Any]:
    """What the module is given: the settings come by way of the decision."""
    settings = {name: args[name] for name in ROCM.settings if name in args}
    rest = {name: value for name, value in args.items() if name not in settings}
    return {**rest, "gpu": with_decision(args["gpu"], "rocm", **settings)}


DETECTION = {"HSA_ENABLE_DXG_DETECTION": "1", "ROCPROFILER_REGISTER_ENABLED": "0"}
FULL: dict[str, Any] = {"system_packages": True}
CLASSIC: dict[str, Any] = {"version": "7.2.4", "apt_address": f"file://{PLACE}/amd-7.2.4"}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("rocm-repository")
    # apt reads it as a user of its own.
    for one in (folder, *folder.parents[:2]):
        one.chmod(0o755)
    made = StandIn(folder, PLACE)
    yield made
    made.end()


class RocmPc:
    """A container that plays a WSL with a Radeon, or a PC without WSL."""

    def __init__(self, host: Host, stand_in: StandIn, project: Path) -> None:
        self.host, self.stand_in, self.project = host, stand_in, project
        self.args: dict[str, Any] = {
            "apt_address": f"file://{PLACE}/amd-10.0.0",
            "apt_key": f"file://{PLACE}/amd.asc",
            "apt_key_fingerprint": stand_in.amd.fingerprint,
            "bridge_address": f"file://{PLACE}/releases/v{{version}}",
            "bridge_sha256": stand_in.bridge_sha256,
        }
        target = f"{CODE}/ansible/module_utils"
        self.must("mkdir", "-p", target)
        docker_engine.docker("cp", str(project / "module_utils/colab_ready"), f"{host.name}:{target}/")
        self.write("/etc/apt/sources.list", stand_in.distribution)
        self.must("sh", "-c", "rm -f /etc/apt/sources.list.d/*; apt-get -q update")
        self.bare = self.listing()

    def must(self, *command: str) -> str:
        done = self.host.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        docker_engine.docker(
            "exec", "-i", self.host.name, "sh", "-c", f"mkdir -p $(dirname {path}); cat >{path}", stdin=text
        )

    def read(self, path: str) -> str:
        return self.must("cat", path)

    def is_there(self, path: str) -> bool:
        return self.host.run("test", "-e", path).returncode == 0

    def listing(self) -> list[str]:
        packages = self.must("dpkg-query", "--show", "--showformat=${Package} ${Version} ${db:Status-Abbrev}\n")
        return sorted([*packages.splitlines(), *self.must("python3", "-c", LISTING).splitlines()])

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """The module, checked to be one that says what it does: no change, no diff."""
        params = json.dumps([parameters({**DEFAULTS, **self.args, **args}), check])
        done = docker_engine.docker("exec", "-i", self.host.name, "python3", "-c", RUNNER, stdin=params, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        if not found["failed"]:
            assert found["changed"] is bool(found["diff"]["before"] or found["diff"]["after"]), found
        return found

    def fine(self, **args: Any) -> dict[str, Any]:
        found = self(**args)
        assert not found["failed"], found["msg"]
        return found

    def refused(self, name: str, **args: Any) -> str:
        """One message, nothing changed."""
        before = self.listing()
        found = self(**args)
        assert found["failed"] and not found["changed"], found
        assert [one["id"] for one in found["problems"]] == [name], found["msg"]
        assert "Nothing was changed" in found["msg"]
        assert self.listing() == before
        return str(found["msg"])

    def version(self, package: str) -> str:
        done = self.host.run("dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", package)
        version, _, status = done.stdout.partition(" ")
        return version if status == "installed" else ""

    def loader_finds(self, name: str) -> str:
        lines = [line for line in self.must("ldconfig", "-p").splitlines() if line.split()[:1] == [name]]
        return lines[0].rpartition("=> ")[2] if lines else ""


@pytest.fixture
def pc(start_host: StartHost, stand_in: StandIn, project: Path) -> RocmPc:
    mounted = [f"--volume={stand_in.folder}:{PLACE}:ro"]
    return RocmPc(start_host("rocm-host", init="plain", extra=mounted), stand_in, project)


# --- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [{}, FULL, CLASSIC, {**FULL, "experimental": True, "gpu": machine(RX_7600)}],
    ids=["bridge alone", "with packages", "7.2.4", "a card for dids.conf"],
)
def test_it_comes_stays_and_goes_without_a_trace(pc: RocmPc, args: dict[str, Any]) -> None:
    planned = pc.fine(check=True, **args)
    assert planned["changed"]
    assert pc.listing() == pc.bare
    done = pc.fine(**args)
    assert done["changed"] and done["diff"] == planned["diff"]
    assert pc.version("rocdxg-roct") == "1.2.2"
    assert pc.loader_finds("librocdxg.so.1").startswith("/opt/rocm/lib/")
    there = pc.listing()
    assert pc.fine(check=True, **args)["changed"] is False
    assert pc.fine(**args)["changed"] is False
    assert pc.listing() == there
    assert pc.fine(check=True, state="absent")["changed"]
    assert pc.listing() == there
    assert pc.fine(state="absent")["changed"]
    assert pc.listing() == pc.bare
    assert pc.fine(state="absent")["changed"] is False


def test_the_bridge_alone_brings_no_repository(pc: RocmPc) -> None:
    found = pc.fine()
    assert not pc.is_there(KEYRING) and not pc.is_there(SOURCES)
    assert pc.version("libatomic1") and not pc.version("amdrocm10.0-gfx1201")
    assert (found["plan"]["line"], found["plan"]["target"]) == ("10.0.0", "gfx1201")
    # Detection of WSL is on by itself since 7.13.
    assert not pc.is_there(PROFILE) and not pc.is_there(ENVIRONMENT)


def test_packages_come_from_the_signed_repository(pc: RocmPc) -> None:
    pc.fine(**FULL)
    assert pc.version("amdrocm10.0-gfx1201") == "10.0.0-1"
    assert f"Signed-By: {KEYRING}" in pc.read(SOURCES)
    # The distribution's own apt reads it from now on.
    said = pc.must("apt-get", "-q", "update")
    assert "amd-10.0.0 stable InRelease" in said and "W:" not in said
    assert not pc.must("sh", "-c", "ls /var/cache/apt/archives/*.deb 2>/dev/null || true")


def test_an_older_line_has_its_environment_pin_and_link(pc: RocmPc) -> None:
    pc.fine(**CLASSIC)
    assert pc.must("sh", "-c", f". {PROFILE}; echo $HSA_ENABLE_DXG_DETECTION") == "1\n"
    assert "HSA_ENABLE_DXG_DETECTION=1\n" in pc.read(ENVIRONMENT)
    assert "Pin-Priority: 600" in pc.read("/etc/apt/preferences.d/rocm-pin-600")
    assert pc.must("readlink", "-f", "/opt/rocm") == "/opt/rocm-7.2.4\n"
    assert pc.loader_finds("libhsa-runtime64.so.1").startswith("/opt/rocm/lib/")


def test_a_play_runs_it(pc: RocmPc) -> None:
    command = [sys.executable, "-m", "ansible", "adhoc", pc.host.name, "--inventory", f"{pc.host.name},"]
    command += ["--connection", "community.docker.docker", "--module-name", "rocm_backend", "--diff"]
    command += ["--extra-vars", "ansible_python_interpreter=/usr/bin/python3"]
    args = {"gpu": DEFAULTS["gpu"], **pc.args}

    def run(**more: Any) -> dict[str, Any]:
        done = subprocess.run(
            [*command, "--args", json.dumps(parameters({**args, **more}))], env=ansible_environment(), capture_output=True,
            text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        found = result_in(done.stdout) or result_in(done.stderr)
        assert found is not None, done.stdout + done.stderr
        return found

    assert run()["changed"] is True
    assert run()["changed"] is False
    refused = run(bridge_sha256="0" * 64)
    assert refused["failed"] and [one["id"] for one in refused["problems"]] == ["rocm_checksum"]
    assert run(state="absent")["changed"] is True
    assert pc.listing() == pc.bare


PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: gpu_backend}
      when: false
    - ansible.builtin.import_role: {name: rocm}
    - ansible.builtin.copy: {content: "{{ gpu_backend_kernel }}", dest: /root/kernel.json, mode: "0600"}
    - ansible.builtin.import_role: {name: rocm, tasks_from: remove}
"""


@pytest.mark.parametrize(
    ("version", "torch", "extra", "constraints", "environment"),
    [
        ("", "torch[device-gfx1201]==2.13.0+rocm10.0.0", {"index", "dependencies"}, [], {}),
        (
            "7.2.4",
            "torch==2.10.0+rocm7.2.4.lw.git3d3aa833",
            {"find_links"},
            ["numpy==1.26.4"],
            DETECTION,
        ),
    ],
    ids=["10.0.0", "7.2.4"],
)
def test_the_role_says_what_the_kernel_environment_is_made_of(
    pc: RocmPc,
    tmp_path: Path,
    version: str,
    torch: str,
    extra: set[str],
    constraints: list[str],
    environment: dict[str, str],
) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    given = parameters({**pc.args, **(CLASSIC if version else {}), "gpu": DEFAULTS["gpu"]})
    told = {f"rocm_{name}": value for name, value in given.items() if name != "gpu"}
    told.update(gpu_backend_name="rocm", gpu_backend_detected=given["gpu"], gpu_backend_user="")
    told.update(ansible_connection="community.docker.docker", ansible_python_interpreter="/usr/bin/python3")
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "--inventory",
        f"{pc.host.name},",
        str(tmp_path / "play.yml"),
    ]
    command += ["--extra-vars", json.dumps(told)]
    done = subprocess.run(
        command,
        env=ansible_environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kernel = json.loads(pc.read("/root/kernel.json"))
    assert [one["requirement"] for one in kernel["pinned"]][0] == torch
    assert all(set(one) == {"requirement", "variable", *extra} for one in kernel["pinned"])
    assert constraints == kernel["constraints"]
    assert kernel["environment"] == environment
    assert "\nipykernel==" in kernel["lock"] and ("\nnumpy==1.26.4" in kernel["lock"]) is bool(version)
    pc.must("rm", "/root/kernel.json")
    assert pc.listing() == pc.bare


def test_another_line_takes_the_place_of_the_one_before(pc: RocmPc) -> None:
    pc.fine(**FULL)
    pc.fine(**CLASSIC)
    assert not pc.version("amdrocm10.0-gfx1201") and not pc.version("amdrocm-core10.0-gfx1201")
    assert not pc.is_there(SOURCES) and not pc.is_there(KEYRING)
    assert pc.must("readlink", "-f", "/opt/rocm") == "/opt/rocm-7.2.4\n"
    assert pc.fine(**CLASSIC)["changed"] is False
    pc.fine()
    assert not pc.version("rocm-core") and pc.loader_finds("librocdxg.so.1")
    assert pc.fine()["changed"] is False
    pc.fine(state="absent")
    assert pc.listing() == pc.bare


def test_packages_go_when_they_are_not_wished_any_more(pc: RocmPc) -> None:
    pc.fine(**FULL)
    pc.fine()
    assert not pc.version("amdrocm10.0-gfx1201") and not pc.is_there(SOURCES) and pc.version("libatomic1")
    assert pc.fine()["changed"] is False


# --- repair -----------------------------------------------------------------------------------------------------------


DAMAGE = [
    f"rm {BRIDGE_FILE}",
    f"echo x >{BRIDGE_FILE}",
    "dpkg --remove rocdxg-roct",
    "dpkg --purge rocdxg-roct",
    f"rm {LOADER}; ldconfig",
    "rm /etc/ld.so.cache",
    f"echo /elsewhere >{LOADER}",
    f"chmod 0666 {PROFILE}",
    f"rm {PROFILE} {ENVIRONMENT}",
    "dpkg --remove --force-depends hsa-rocr rocminfo",
    "dpkg --remove --force-depends hsa-rocr",
    "rm /etc/apt/keyrings/rocm.gpg",
    "echo >/etc/apt/sources.list.d/rocm.list",
    "apt-get purge -y libatomic1",
]


def test_what_was_broken_is_mended(pc: RocmPc) -> None:
    pc.fine(**CLASSIC)
    whole = pc.listing()
    for damage in DAMAGE:
        pc.must("sh", "-c", damage)
        assert pc.fine(check=True, **CLASSIC)["changed"], damage
        assert pc.fine(**CLASSIC)["changed"], damage
        assert pc.listing() == whole, damage
        assert pc.loader_finds("librocdxg.so.1").startswith("/opt/rocm/lib/"), damage
    assert pc.fine(**CLASSIC)["changed"] is False


# --- wrong inputs -----------------------------------------------------------------------------------------------------


def foreign_signature(stand_in: StandIn) -> dict[str, Any]:
    stand_in.copy("foreign", stand_in.current).sign_with(stand_in.stranger)
    return {"apt_address": f"file://{PLACE}/foreign"}


def no_signature(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("unsigned", stand_in.current)
    (copy.folder / "dists/stable/InRelease").unlink()
    return {"apt_address": f"file://{PLACE}/unsigned"}


def changed_list(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("changed-list", stand_in.current)
    for name in ("Packages", "Packages.gz"):
        (copy.folder / "dists/stable/main/binary-amd64" / name).write_bytes(b"Package: evil\n")
    return {"apt_address": f"file://{PLACE}/changed-list"}


def changed_package(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("changed-package", stand_in.current)
    deb = next(copy.pool.glob("amdrocm-core*"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    return {"apt_address": f"file://{PLACE}/changed-package"}


def lost_package(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("lost-package", stand_in.current)
    next(copy.pool.glob("amdrocm-core*")).unlink()
    return {"apt_address": f"file://{PLACE}/lost-package"}


def package_not_listed(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("incomplete", stand_in.current)
    next(copy.pool.glob("amdrocm10.0-gfx1201*")).unlink()
    copy.index()
    copy.sign_with(stand_in.amd)
    return {"apt_address": f"file://{PLACE}/incomplete"}


def with_a_kernel(stand_in: StandIn) -> dict[str, Any]:
    copy = stand_in.copy("with-a-kernel", stand_in.current)
    Package("amdrocm10.0-gfx1201", "10.0.0-2", depends=["amdgpu-dkms"]).build(copy.pool)
    Package("amdgpu-dkms", "1:6.16").build(copy.pool)
    copy.index()
    copy.sign_with(stand_in.amd)
    return {"apt_address": f"file://{PLACE}/with-a-kernel"}


def other_deb(stand_in: StandIn) -> dict[str, Any]:
    """A good checksum of a package that is another one."""
    folder = stand_in.folder / "other-deb"
    folder.mkdir()
    deb = Package("something-else", "1.2.2").build(folder)
    deb.rename(folder / BRIDGE.file)
    said = subprocess.run(["sha256sum", str(folder / BRIDGE.file)], capture_output=True, text=True, check=True).stdout
    return {"bridge_address": f"file://{PLACE}/other-deb", "bridge_sha256": said.split()[0]}


NOWHERE, DEAD = f"file://{PLACE}/nowhere", "http://127.0.0.1:9/rocm"
UNPINNED = {**FULL, "apt_key_fingerprint": ""}
WITH_PASSWORD = {**FULL, "apt_address": "https://me:hunter22@mirror.example.org/rocm"}

# What is wrong, the problem's name, a word of the message.
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"bridge_sha256": "a" * 64}, "rocm_checksum", "a" * 64),
    ({**FULL, "bridge_sha256": "a" * 64}, "rocm_checksum", "was not installed"),
    ({"bridge_address": NOWHERE}, "rocm_bridge_unreachable", "rocm_bridge_address"),
    ({"bridge_address": DEAD}, "rocm_bridge_unreachable", "refused"),
    ({**FULL, "apt_address": NOWHERE}, "rocm_apt_unreachable", "rocm_apt_address"),
    ({**FULL, "apt_address": DEAD}, "rocm_apt_unreachable", "127.0.0.1"),
    ({**FULL, "apt_key": NOWHERE}, "rocm_apt_key_unreachable", "rocm_apt_key"),
    ({**FULL, "apt_key": f"file://{PLACE}/nonsense.asc"}, "rocm_apt_key", "is no key"),
    ({**FULL, "apt_key": f"file://{PLACE}/stranger.asc"}, "rocm_apt_key", "rocm_apt_key_fingerprint"),
    ({**UNPINNED, "apt_key_sha256": "b" * 64}, "rocm_apt_key", "b" * 64),
    ({**UNPINNED, "apt_key": DEAD}, "rocm_apt_key_unknown", "https"),
    (WITH_PASSWORD, "rocm_address", "auth.conf.d"),
]
# The same of a repository or a folder that is spoiled for it.
SPOILED: list[tuple[Callable[[StandIn], dict[str, Any]], str, str]] = [
    (foreign_signature, "rocm_apt_signature", "signature"),
    (no_signature, "rocm_apt_signature", "signature"),
    (changed_list, "rocm_apt_checksum", "signed list"),
    (changed_package, "rocm_apt_checksum", "signed list"),
    (lost_package, "rocm_apt_unreachable", "lost-package"),
    (package_not_listed, "rocm_apt_package", "amdrocm10.0-gfx1201"),
    (with_a_kernel, "rocm_kernel_package", "amdgpu-dkms"),
    (other_deb, "rocm_bridge", "something-else"),
]


@pytest.mark.smoke("rocm_backend")
def test_a_host_without_a_decision_is_refused_before_anything_is_asked(run_module: Any) -> None:
    found = run_module("rocm_backend", {"gpu": machine()}, check=True)
    assert ([one["id"] for one in found["problems"]], found["failed"]) == (["rocm_undecided"], True)


def test_what_is_wrong_is_one_message_and_nothing_is_half_installed(pc: RocmPc) -> None:
    spoiled = [({**FULL, **spoil(pc.stand_in)}, problem, word) for spoil, problem, word in SPOILED]
    for args, problem, word in [*WRONG, *spoiled]:
        text = pc.refused(problem, **args)
        assert word in text
        assert "hunter22" not in text
    # The same host is fine with the right ones.
    pc.fine(**FULL)


def test_another_address_is_tried_before_anything_of_it_is_on_the_host(pc: RocmPc) -> None:
    pc.fine(**FULL)
    signed = pc.stand_in.copy("elsewhere", pc.stand_in.current)
    foreign = pc.stand_in.copy("of-a-stranger", pc.stand_in.current)
    foreign.sign_with(pc.stand_in.stranger)
    pc.refused("rocm_apt_signature", **FULL, apt_address=f"file://{PLACE}/{foreign.folder.name}")
    pc.refused("rocm_apt_unreachable", **FULL, apt_address=NOWHERE)
    pc.fine(**FULL, apt_address=f"file://{PLACE}/{signed.folder.name}")
    assert signed.folder.name in pc.read(SOURCES)


# --- what is there already ----------------------------------------------------------------------------------------------


def test_shadows_are_removed_only_when_told_and_come_back(pc: RocmPc) -> None:
    pc.must("apt-get", "install", "-y", "libhsa-runtime64-1")
    before = pc.listing()
    text = pc.refused("rocm_shadowed", **CLASSIC)
    assert "libhsa-runtime64-1 and libhsakmt1" in text and "Do: ./colab-ready -e rocm_remove_conflicts=true" in text
    pc.fine(**CLASSIC, remove_conflicts=True)
    assert not pc.version("libhsa-runtime64-1") and not pc.version("libhsakmt1")
    assert pc.loader_finds("libhsa-runtime64.so.1").startswith("/opt/rocm/")
    assert pc.fine(**CLASSIC)["changed"] is False
    pc.fine(state="absent")
    assert pc.listing() == before


def test_a_program_that_needs_a_shadow_is_not_taken_away_with_it(pc: RocmPc) -> None:
    pc.must("apt-get", "install", "-y", "somebodys-program")
    assert "somebodys-program" in pc.refused("rocm_would_remove", **CLASSIC, remove_conflicts=True)


def test_an_old_rocm_is_not_touched_but_its_removal_asked_for(pc: RocmPc) -> None:
    Package("rocm-core", "6.4.2.60402-120~24.04").build(pc.stand_in.folder)
    pc.must("dpkg", "-i", f"{PLACE}/rocm-core_6.4.2.60402-120~24.04_amd64.deb")
    assert "autoremove --purge rocm-core" in pc.refused("rocm_other_line")


def test_a_kernel_module_in_wsl_is_said(pc: RocmPc) -> None:
    Package("amdgpu-dkms", "1:6.10").build(pc.stand_in.folder)
    pc.must("dpkg", "-i", f"{PLACE}/amdgpu-dkms_1:6.10_amd64.deb")
    assert "amdgpu-dkms" in pc.refused("rocm_kernel_package")


def test_lines_of_dids_conf_are_kept_and_ours_go_alone(pc: RocmPc) -> None:
    card: dict[str, Any] = {"gpu": machine(RX_7600), "experimental": True}
    pc.must("dpkg", "-i", f"{PLACE}/releases/v1.2.2/{BRIDGE.file}")
    mine = f"{DIDS}0x73BF,10,3,0 # mine"
    pc.write(DIDS_CONF, mine)
    before = pc.listing()
    found = pc.fine(**card)
    assert any("dids.conf" in one for one in found["warnings"])
    assert pc.read(DIDS_CONF) == f"{mine}\n0x7480,11,0,2\n"
    again = pc.fine(**card)
    assert (again["changed"], again["warnings"]) == (False, [])
    # The bridge was there before: it stays, with what its owner wrote.
    found = pc.fine(state="absent")
    assert pc.read(DIDS_CONF) == f"{mine}\n" and pc.version("rocdxg-roct")
    assert [line for line in pc.listing() if DIDS_CONF not in line] == [
        line for line in before if DIDS_CONF not in line
    ]


def test_lines_that_somebody_added_since_outlive_the_bridge(pc: RocmPc) -> None:
    pc.fine()
    pc.write(DIDS_CONF, f"{DIDS}0x73BF,10,3,0\n")
    found = pc.fine(state="absent")
    assert not pc.version("rocdxg-roct") and pc.read(DIDS_CONF) == f"{DIDS}0x73BF,10,3,0\n"
    assert any("is kept" in one for one in found["warnings"])


def test_a_newer_bridge_keeps_the_lines_that_somebody_added(pc: RocmPc) -> None:
    older = Package("rocdxg-roct", "1.2.1", {DIDS_CONF: "# of before\n"}, conffiles=[DIDS_CONF])
    older.build(pc.stand_in.folder)
    pc.must("dpkg", "-i", f"{PLACE}/{older.file}")
    pc.write(DIDS_CONF, f"{DIDS}0x73BF,10,3,0\n")
    pc.fine()
    assert pc.version("rocdxg-roct") == "1.2.2" and pc.read(DIDS_CONF) == f"{DIDS}0x73BF,10,3,0\n"
    # It was not colab-ready that brought a bridge here.
    found = pc.fine(state="absent")
    assert pc.version("rocdxg-roct") == "1.2.2"
    assert any("1.2.1 was there before" in one for one in found["warnings"])


def test_a_bridge_that_was_there_is_not_moved_for_another_line(pc: RocmPc) -> None:
    older = Package("rocdxg-roct", "1.2.1", {DIDS_CONF: DIDS}, conffiles=[DIDS_CONF])
    older.build(pc.stand_in.folder)
    pc.must("dpkg", "-i", f"{PLACE}/{older.file}")
    pc.fine()
    assert "sudo mv -T /opt/rocm " in pc.refused("rocm_opt_folder", **CLASSIC)


def test_a_card_that_somebody_entered_otherwise_is_said(pc: RocmPc) -> None:
    pc.fine(gpu=machine(RX_7600), experimental=True)
    pc.write(DIDS_CONF, f"{DIDS}0x7480,11,0,0\n")
    # What else there is to do waits.
    pc.must("rm", LOADER)
    assert "0x7480,11,0,2" in pc.refused("dids_other", gpu=machine(RX_7600), experimental=True)


def test_a_file_that_was_there_comes_back_and_what_was_changed_stays(pc: RocmPc) -> None:
    pc.write(SOURCES, "# my own notes\n")
    pc.write(LOADER, "/my/own\n")
    pc.fine(**FULL)
    pc.write(LOADER, "/changed/since\n")
    found = pc.fine(state="absent")
    assert pc.read(SOURCES) == "# my own notes\n"
    assert pc.read(LOADER) == "/changed/since\n"
    assert any(LOADER in one and "kept" in one for one in found["warnings"])


def test_what_others_need_meanwhile_stays(pc: RocmPc) -> None:
    pc.fine()
    pc.must("apt-get", "install", "-y", "needs-the-compiler-library")
    found = pc.fine(state="absent")
    assert pc.version("libatomic1") and not pc.version("libquadmath0") and not pc.version("rocdxg-roct")
    assert any("libatomic1" in one for one in found["warnings"])


def test_a_record_that_cannot_be_read_is_said_and_begun_anew(pc: RocmPc) -> None:
    pc.fine()
    pc.write(RECORD, "{")
    assert any(RECORD in one for one in pc.fine()["warnings"])


# --- without WSL --------------------------------------------------------------------------------------------------------


def test_natively_the_user_gets_into_the_groups_that_there_are(pc: RocmPc) -> None:
    native: dict[str, Any] = {"gpu": machine(XT_9070, wsl=False), "user": "student"}
    pc.must("useradd", "student")
    pc.must("sh", "-c", "groupdel render 2>/dev/null; getent group video")
    found = pc.fine(**native)
    assert found["changed"] and any("render" in one for one in found["skipped_parts"])
    assert "video" in pc.must("id", "-nG", "student").split()
    assert not pc.version("rocdxg-roct") and not pc.is_there(LOADER)
    assert pc.fine(**native)["changed"] is False
    pc.fine(state="absent")
    assert "video" not in pc.must("id", "-nG", "student").split()


def test_natively_packages_come_without_a_bridge(pc: RocmPc) -> None:
    native: dict[str, Any] = {"gpu": machine(XT_9070, wsl=False), **FULL}
    pc.fine(**native)
    assert pc.version("amdrocm10.0-gfx1201") and not pc.version("rocdxg-roct") and not pc.is_there(LOADER)
    assert pc.fine(**native)["changed"] is False
    pc.fine(state="absent")
    assert pc.listing() == pc.bare


def test_a_member_from_before_stays_one(pc: RocmPc) -> None:
    pc.must("useradd", "--groups", "video", "student")
    pc.fine(gpu=machine(XT_9070, wsl=False), user="student")
    pc.fine(state="absent")
    assert "video" in pc.must("id", "-nG", "student").split()

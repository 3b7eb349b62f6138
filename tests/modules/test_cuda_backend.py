"""cuda_backend and the role around it, as a play runs them: small hosts in folders, with stand-ins of NVIDIA's programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.colab_ready.backends.cuda import builds as cuda_builds
from ansible.module_utils.colab_ready.backends.cuda.plan import LOCKS as SHIPPED
from ansible.module_utils.colab_ready.python import lock as lock_file
from conftest import ansible_environment
from fixtures.decisions import with_decision

DOUBLES = Path(__file__).parents[1] / "doubles"
DPKG_QUERY = shutil.which("dpkg-query")
LOCKS = ["2.14.0_cu132", "2.14.0_cu130", "2.14.0_cu126"]
CARD = "NVIDIA GeForce RTX 4070"
ADAPTER = {
    "index": 0, "vendor_id": "10de", "vendor": "NVIDIA", "name": f"{CARD} (stand-in)", "device_id": "2786", "driver": "nvidia",
}  # fmt: skip
# What gpu_device says of such a WSL and of such a Linux, as far as it is read here.
WSL = with_decision({"host": {"wsl": 2, "dxg": True, "libcuda": True}, "adapters": [ADAPTER]}, "cuda")
LINUX = with_decision({"host": {}, "adapters": [ADAPTER]}, "cuda")


class SmallHost:
    """WSL's folder of libraries, nvidia-smi in it, what dpkg and the loader say. The driver runs CUDA 13.3."""

    def __init__(self, root: Path, run_module: Any, libcuda: Path) -> None:
        self.root, self.run_module, self.libcuda = root, run_module, libcuda
        self.usr, self.proc = root / "usr", root / "proc"
        self.wsl_folder = self.usr / "lib/wsl/lib"
        self.proc.mkdir()
        self.says(ceiling="13.3")
        self.smi = self.wsl_folder / "nvidia-smi"
        self.script(self.smi, f"exec '{sys.executable}' '{DOUBLES / 'standin_nvidia_smi.py'}' '{root}' \"$@\"")
        self.script(root / "ldconfig", f"cat '{root / 'cache.txt'}'")
        self.script(root / "dpkg-query", f"cat '{root / 'packages.txt'}'")
        self.cache("/usr/lib/wsl/lib/libcuda.so.1")
        self.packages("base-files", "cuda-toolkit-13-0")
        self.args: dict[str, Any] = {
            "gpu": WSL, "usr": str(self.usr), "proc": str(self.proc), "ldconfig": str(root / "ldconfig"),
            "dpkg_query": str(root / "dpkg-query"), "library": "libcuda_nowhere.so.1", "timeout_seconds": 8,
        }  # fmt: skip

    @staticmethod
    def script(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def says(self, **said: Any) -> None:
        self.said = {"driver": "581.29", "cards": [[CARD, "8.9"]], "fault": "", **getattr(self, "said", {}), **said}
        (self.root / "nvidia_smi.json").write_text(json.dumps(self.said))

    def cache(self, *paths: str) -> None:
        lines = [f"\tlibcuda.so.1 (libc6,x86-64) => {path}\n" for path in paths]
        (self.root / "cache.txt").write_text(f"{len(lines)} libs found in cache\n{''.join(lines)}")

    def packages(self, *names: str) -> None:
        left = "nvidia-driver-470 config-files\nlibcuda1 half-installed\n"
        (self.root / "packages.txt").write_text("".join(f"{name} installed\n" for name in names) + left)

    def calls(self) -> list[str]:
        return (self.root / "calls.log").read_text().splitlines()

    def look(self, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        return dict(self.run_module("cuda_backend", {**self.args, **more}, check=True, env=env))


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in, built."""
    library = tmp_path_factory.mktemp("libcuda") / "libcuda.so.1"
    source = DOUBLES / "libcuda_stand_in" / "libcuda_stand_in.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", str(source), "-o", str(library)], check=True)
    return library


@pytest.fixture
def small_host(tmp_path: Path, run_module: Any, libcuda: Path) -> SmallHost:
    return SmallHost(tmp_path, run_module, libcuda)


@pytest.mark.smoke("cuda_backend")
def test_a_wsl_gets_the_newest_build_and_nothing_is_changed(small_host: SmallHost) -> None:
    before = {path: path.read_bytes() for path in small_host.root.rglob("*") if path.is_file()}
    found = small_host.look()
    assert (found["failed"], found["changed"], found["problems"]) == (False, False, [])
    assert found["build"]["requirements"] == ["torch==2.14.0+cu132", "torchvision==0.29.0+cu132"]
    assert (found["build"]["lock"], found["build"]["index"]) == (LOCKS[0], "https://download.pytorch.org/whl/cu132")
    assert found["driver"] == {
        "version": "581.29", "ceiling": "13.3", "source": "nvidia-smi", "card": f"{CARD} (stand-in)", "capability": "8.9",
        "library": None,
    }  # fmt: skip
    assert found["cautions"] == []
    after = {path: path.read_bytes() for path in small_host.root.rglob("*") if path.is_file()}
    assert set(after) - set(before) == {small_host.root / "calls.log"}
    assert {path: after[path] for path in before} == before
    assert small_host.calls() == ["", "--query-gpu=name,compute_cap,driver_version --format=csv,noheader"]


@pytest.mark.parametrize(
    ("said", "tag"),
    [
        ({"ceiling": "13.1"}, "cu130"),
        ({"ceiling": "12.7"}, "cu126"),
        ({"ceiling": "13.3", "fault": "new"}, "cu132"),
        ({"cards": [["NVIDIA GeForce GTX 1080", "6.1"]]}, "cu126"),
        # Without a capability the ceiling decides alone.
        ({"ceiling": "13.1", "fault": "old"}, "cu130"),
    ],
    ids=["13.1", "12.7", "heading of 610", "Pascal", "before 470"],
)
def test_driver_and_card_choose_the_build(small_host: SmallHost, said: dict[str, Any], tag: str) -> None:
    small_host.says(**said)
    assert small_host.look()["build"]["tag"] == tag


def test_a_linux_driver_in_wsl_is_reported_and_left_alone(small_host: SmallHost) -> None:
    small_host.packages("nvidia-driver-580", "libnvidia-compute-580")
    found = small_host.look()
    assert found["failed"] is True and found["build"] is None
    assert [one["id"] for one in found["problems"]] == ["cuda_linux_driver"]
    assert "sudo apt-get remove libnvidia-compute-580 nvidia-driver-580" in found["msg"]
    assert "Nothing was changed" in found["msg"]


@pytest.mark.skipif(DPKG_QUERY is None, reason="this computer has no dpkg-query")
def test_the_real_dpkg_query_is_asked_for_what_it_can_say(small_host: SmallHost) -> None:
    """What the stand-in prints whatever it is asked for; of the older driver only the configuration is left."""
    states = {"nvidia-driver-580": "install ok installed", "nvidia-driver-470": "deinstall ok config-files"}
    (small_host.root / "status").write_text(
        "".join(
            f"Package: {name}\nStatus: {state}\nVersion: 1\nArchitecture: all\n\n" for name, state in states.items()
        )
    )
    small_host.script(small_host.root / "dpkg-query", f"exec '{DPKG_QUERY}' --admindir='{small_host.root}' \"$@\"")
    assert "is installed in this WSL (nvidia-driver-580)." in small_host.look()["msg"]


def test_a_library_before_windows_own_is_reported(small_host: SmallHost) -> None:
    small_host.cache("/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
    assert "/usr/lib/x86_64-linux-gnu/libcuda.so.1" in small_host.look()["msg"]
    small_host.cache("/usr/lib/wsl/lib/libcuda.so.1")
    (small_host.proc / "modules").write_text("nvidia 9 2 - Live 0x0\n")
    assert "kernel module" in small_host.look()["msg"]


def test_what_the_loader_really_takes_counts_more_than_its_cache(small_host: SmallHost) -> None:
    """LD_LIBRARY_PATH comes before the cache, and before Windows' own."""
    found = small_host.look(library=str(small_host.libcuda))
    assert [one["id"] for one in found["problems"]] == ["cuda_linux_driver"]
    assert f"from {small_host.libcuda} instead" in found["msg"] and "LD_LIBRARY_PATH" in found["msg"]
    # The same by name, as a program asks for it.
    named = small_host.libcuda.with_name("libcuda.so.1")
    found = small_host.look(library="libcuda.so.1", env={"LD_LIBRARY_PATH": str(named.parent)})
    assert f"from {named} instead" in found["msg"]


@pytest.mark.parametrize(
    ("fault", "name", "in_wsl", "native"),
    [
        ("blocked", "cuda_blocked", "wsl --update", "ubuntu-drivers"),
        ("mismatch", "cuda_mismatch", "wsl --shutdown", "restart the computer"),
        ("no_driver", "cuda_driver", "driver on Windows", "ubuntu-drivers"),
        ("no_device", "cuda_no_device", "driver on Windows", "ubuntu-drivers"),
        ("lost", "cuda_lost", "restart Windows", "restart the computer"),
    ],
)
def test_what_the_driver_complains_of_is_said_with_what_to_do(
    small_host: SmallHost, fault: str, name: str, in_wsl: str, native: str
) -> None:
    small_host.says(fault=fault)
    for gpu, do in ((WSL, in_wsl), (LINUX, native)):
        found = small_host.look(gpu=gpu)
        assert [one["id"] for one in found["problems"]] == [name]
        assert do in found["problems"][0]["do"]
        assert "colab_backend" in found["problems"][0]["do"]


def test_a_driver_that_hangs_is_a_message(small_host: SmallHost) -> None:
    small_host.says(fault="hang")
    found = small_host.look(timeout_seconds=1)
    assert [one["id"] for one in found["problems"]] == ["cuda_driver"]
    assert "did not answer within 1 s" in found["msg"]
    # Only once: it would hang again.
    assert small_host.calls() == [""]


def test_without_nvidia_smi_the_library_tells_the_ceiling(small_host: SmallHost) -> None:
    small_host.smi.unlink()
    env = {"LIBCUDA_STAND_IN_VERSION": "13010"}
    found = small_host.look(gpu=LINUX, library=str(small_host.libcuda), env=env)
    assert found["build"]["tag"] == "cu130"
    assert (found["driver"]["ceiling"], found["driver"]["source"]) == ("13.1", "libcuda")
    assert found["driver"]["library"] == str(small_host.libcuda)
    assert found["cautions"] == [
        "nvidia-smi did not say which CUDA the driver runs (there is no nvidia-smi); libcuda did"
    ]


def test_windows_own_library_is_found_before_the_loader_knows_its_folder(small_host: SmallHost) -> None:
    """wsl_host puts the folder into the loader's cache, and that comes after this."""
    small_host.smi.unlink()
    small_host.cache()
    folder = small_host.wsl_folder / "libcuda_nowhere.so.1"
    folder.write_bytes(small_host.libcuda.read_bytes())
    found = small_host.look()
    # The folder of a test is not WSL's, which is what it is told; but it was found.
    assert found["driver"]["library"] == str(folder)


@pytest.mark.parametrize(
    ("env", "name", "word"),
    [
        ({"LIBCUDA_STAND_IN_INIT": "100"}, "cuda_no_device", "returned 100"),
        ({"LIBCUDA_STAND_IN_INIT": "802"}, "cuda_fabric", "nvidia-fabricmanager"),
        ({"LIBCUDA_STAND_IN_INIT": "803"}, "cuda_mismatch", "returned 803"),
        ({"LIBCUDA_STAND_IN_INIT": "999"}, "cuda_init", "returned 999"),
        ({"LIBCUDA_STAND_IN_FAULT": "crash"}, "cuda_driver", "SIGABRT"),
        ({"LIBCUDA_STAND_IN_FAULT": "hang"}, "cuda_driver", "no answer within 2 s in cuInit"),
    ],
    ids=["no device", "NVSwitch", "mismatch", "unknown", "crash", "hang"],
)
def test_a_library_that_does_not_start_is_a_message(
    small_host: SmallHost, env: dict[str, str], name: str, word: str
) -> None:
    small_host.smi.unlink()
    found = small_host.look(gpu=LINUX, library=str(small_host.libcuda), env=env, timeout_seconds=2)
    assert [one["id"] for one in found["problems"]] == [name]
    assert word in found["msg"]


def test_the_decided_card_is_found_by_its_name_never_by_its_place(small_host: SmallHost) -> None:
    small_host.says(cards=[["NVIDIA GeForce GTX 1080", "6.1"], [CARD, "8.9"]])
    assert small_host.look()["build"]["tag"] == "cu132"
    # Where the driver names it otherwise, the build has code for both.
    found = small_host.look(gpu={**WSL, "adapters": [{**ADAPTER, "name": "a name of its own"}]})
    assert found["build"]["tag"] == "cu126"
    assert "is not known" in found["cautions"][0]


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"build": "cu118"}, "cuda_build", ["has no build cu118", "cu132 or cu130 or cu126"]),
        ({"torch": "1.13"}, "cuda_build", ["not in the table", "-e cuda_torch=VERSION"]),
        ({"torch": "2.13.0"}, "cuda_lock", ["no lock for PyTorch 2.13.0+cu130", "cuda_locks"]),
    ],
)
def test_a_wish_that_cannot_be_is_refused_in_one_message(
    small_host: SmallHost, wish: dict[str, Any], name: str, words: list[str]
) -> None:
    found = small_host.look(**wish)
    assert [one["id"] for one in found["problems"]] == [name]
    assert all(word in found["msg"] for word in words)


def test_a_mirror_s_password_is_not_shown(small_host: SmallHost) -> None:
    found = small_host.look(index="https://kid:hunter22@mirror.example/whl", env={"ANSIBLE_VERBOSITY": "3"})
    assert "hunter22" not in json.dumps(found)
    assert found["build"]["tag"] == "cu132"


def test_nothing_is_asked_without_a_decision_for_it(small_host: SmallHost) -> None:
    found = small_host.look(gpu={**WSL, "backend": {**WSL["backend"], "name": "cpu"}})
    assert [one["id"] for one in found["problems"]] == ["cuda_undecided"]
    assert not (small_host.root / "calls.log").exists()
    assert small_host.look(gpu={}, state="absent")["kernel"] is None


# --- the role -------------------------------------------------------------------------------------------------------


def play(project: Path, tmp_path: Path, content: dict[str, Any], **variables: Any) -> subprocess.CompletedProcess[str]:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, **content}]))
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    return subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", tmp_path / "play.yml",
         "-e", f"ansible_python_interpreter={sys.executable}", "-e", f"@{tmp_path / 'variables.json'}"],
        env={**ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "default"}, capture_output=True, text=True, cwd=project,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "says"),
    [({"cuda_build": "cu118"}, "has no build cu118"), ({"cuda_torch": "1.13"}, "PyTorch 1.13 is not in the table")],
)
def test_the_role_hands_on_what_was_wished(
    small_host: SmallHost, project: Path, tmp_path: Path, wish: dict[str, str], says: str
) -> None:
    known = {key: value for key, value in small_host.args.items() if key not in ("gpu", "timeout_seconds")}
    content = {"roles": ["cuda"], "module_defaults": {"cuda_backend": known}}
    done = play(project, tmp_path, content, gpu_backend_detected=WSL, **wish)
    assert done.returncode == 2
    assert says in done.stdout


@pytest.fixture
def describe(small_host: SmallHost, project: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What the role says of the kernel environment, by way of gpu_backend_kernel as playbooks/site.yml asks for it."""

    def ask(**variables: Any) -> dict[str, Any]:
        out = tmp_path / "kernel.json"
        known = {key: value for key, value in small_host.args.items() if key not in ("gpu", "timeout_seconds")}
        content = {
            "module_defaults": {"cuda_backend": known},
            "roles": [{"role": "gpu_backend", "when": False}, "cuda"],
            "tasks": [{"copy": {"content": "{{ gpu_backend_kernel | to_json }}", "dest": str(out)}}],
        }
        done = play(project, tmp_path, content, gpu_backend_name="cuda", gpu_backend_detected=WSL, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(out.read_text()))

    return ask


@pytest.mark.parametrize("lock", LOCKS)
def test_the_kernel_of_a_build_is_torch_from_its_index_and_the_rest_locked(
    small_host: SmallHost, project: Path, lock: str
) -> None:
    release, tag = lock.split("_")
    found = small_host.look(build=tag, index="https://index.example/")["kernel"]
    *pinned, audio = found["pinned"]
    assert [one["requirement"] for one in pinned] == [f"torch=={release}+{tag}", f"torchvision==0.29.0+{tag}"]
    assert [one["default_requirement"] for one in pinned] == [f"torch=={release}", "torchvision==0.29.0"]
    assert {one["index"] for one in pinned} == {f"https://index.example/{tag}"}
    assert {one["allow_default"] for one in pinned} == {False}
    assert (audio["requirement"].startswith("torchaudio==2.11."), audio["optional"], found["constraints"]) == (
        True,
        True,
        [],
    )
    assert found["python_requires"] == ">=3.10,<3.15"
    text = (project / "roles/cuda/files" / found["lock"]).read_text()
    locked = lock_file.parse_lock(text)
    names = {one.name for one in locked}
    assert not names & {"torch", "torchvision"}
    assert {"triton", "ipykernel", "pip", "pillow", "numpy"} <= names
    assert all(one.hashes for one in locked)
    cuda = tag[2:4]
    assert any(one.name == f"nvidia-cudnn-cu{cuda}" for one in locked)
    assert not [one.name for one in locked if one.name.endswith(f"-cu{25 - int(cuda)}")], "of the other CUDA"
    assert "://" not in text


def test_the_role_ships_a_lock_for_each_build_of_the_newest_release(project: Path) -> None:
    newest = cuda_builds.RELEASES[0]
    files = {path.stem for path in (project / "roles/cuda/files").glob("kernel_[0-9]*.txt")}
    assert (
        files == {f"kernel_{newest.version}_{tag}" for tag in newest.builds} == {f"kernel_{name}" for name in SHIPPED}
    )


def test_a_mirror_and_a_lock_of_one_s_own_are_taken(project: Path, describe: Callable[..., dict[str, Any]]) -> None:
    assert describe()["lock"] == (project / "roles/cuda/files/kernel_2.14.0_cu132.txt").read_text()
    own = f"alpha==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    found = describe(
        cuda_torch="2.13.0", cuda_locks={"2.13.0_cu130": own}, python_env_torch_index="file:///srv/torch",
        python_env_allow_default_torch=True,
    )  # fmt: skip
    assert found["lock"].strip() == own.strip()
    assert {one["index"] for one in found["pinned"]} == {"file:///srv/torch"}
    assert {str(one["allow_default"]) for one in found["pinned"]} == {"True"}

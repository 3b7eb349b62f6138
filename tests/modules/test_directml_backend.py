"""directml_backend and the role around it, as a play runs them: small hosts in folders, no network but loopback."""

from __future__ import annotations

import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from ansible.module_utils.colab_ready.backends.directml import releases
from ansible.module_utils.colab_ready.python import lock as lock_file
from conftest import ansible_environment
from fixtures.decisions import with_decision

NAME = "0.2.5.dev240914"
# What gpu_device says of a WSL with a Radeon, as far as it is read here.
RADEON = {"index": 0, "vendor_id": "1002", "device_id": "73ff", "name": "AMD Radeon RX 6600"}
HOST = {"wsl": 2, "dxg": True, "pythons": ("3.12.3",), "python_fetch": True}
NEWER = {**HOST, "pythons": ("3.13.5",)}


def gpu(host: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return with_decision({"host": host, "adapters": [RADEON]}, "directml", **settings)


GPU, FETCH = gpu(HOST), gpu(NEWER)


class SmallHost:
    def __init__(self, root: Path, run_module: Any) -> None:
        self.root, self.run_module = root, run_module
        self.cache = root / "cache.txt"
        self.cache.write_text("\tlibssl.so.3 (libc6,x86-64) => /usr/lib/libssl.so.3\n")
        self.script(root / "ldconfig", f"cat '{self.cache}'")
        self.args: dict[str, Any] = {
            "gpu": GPU, "ldconfig": str(root / "ldconfig"), "timeout_seconds": 1,
        }  # fmt: skip

    def script(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def look(self, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        return dict(
            self.run_module("directml_backend", {**self.args, **more}, check=bool(more.pop("check", True)), env=env)
        )


@pytest.fixture
def small_host(tmp_path: Path, run_module: Any) -> SmallHost:
    return SmallHost(tmp_path, run_module)


@pytest.fixture
def answering() -> Iterator[str]:
    """A server that has nothing, but answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mirror"
    server.shutdown()
    server.server_close()


@pytest.mark.smoke("directml_backend")
def test_a_fitting_host_passes_and_nothing_is_changed_or_asked(small_host: SmallHost) -> None:
    before = sorted(small_host.root.rglob("*"))
    found = small_host.look(python_mirror="http://127.0.0.1:1/nobody")
    assert (found["failed"], found["changed"], found["problems"]) == (False, False, [])
    assert found["ansible_facts"] == {"colab_kernel": found["kernel"]}
    assert sorted(small_host.root.rglob("*")) == before


def test_everything_that_is_in_the_way_is_one_message(small_host: SmallHost) -> None:
    stub = f"{small_host.root}/stubs"
    small_host.cache.write_text(f"\tlibdxcore.so (libc6,x86-64) => {stub}/libdxcore.so\n")
    found = small_host.look(gpu=FETCH, python_mirror=f"file://{small_host.root}/none")
    assert found["failed"] is True and found["kernel"] is None
    assert [one["id"] for one in found["problems"]] == ["directml_stubs", "directml_python"]
    assert "2 problems" in found["msg"] and "Nothing was changed" in found["msg"]
    assert f"there is no folder {small_host.root}/none" in found["msg"]


def test_nothing_is_asked_without_a_decision_for_it(small_host: SmallHost) -> None:
    found = small_host.look(gpu={**GPU, "backend": {**GPU["backend"], "name": "cpu"}})
    assert [one["id"] for one in found["problems"]] == ["directml_undecided"]
    assert small_host.look(gpu={}, state="absent")["kernel"] is None


def test_a_mirror_that_answers_is_the_way_to_a_python(small_host: SmallHost, answering: str) -> None:
    assert small_host.look(gpu=FETCH, python_mirror=answering)["failed"] is False
    folder = small_host.root / "a folder"
    folder.mkdir()
    assert small_host.look(gpu=FETCH, python_mirror=folder.as_uri())["failed"] is False


def test_a_network_that_is_not_there_costs_seconds_and_is_named(small_host: SmallHost) -> None:
    # Three times verbose: with what the module was called with.
    found = small_host.look(
        gpu=FETCH, env={"ANSIBLE_VERBOSITY": "3"}, python_mirror="http://kid:hunter22@127.0.0.1:1/mirror"
    )
    assert found["invocation"]["module_args"]["timeout_seconds"] == 1
    assert "127.0.0.1 cannot be reached (Connection refused)" in found["msg"]
    assert "python_env_python_mirror" in found["msg"]
    assert "hunter22" not in json.dumps(found)
    # A proxy that is not there, in front of uv's own addresses.
    proxied = small_host.look(
        gpu=FETCH, environment={"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
    )
    assert "github.com cannot be reached" in proxied["msg"]


def test_a_way_to_the_network_that_uv_would_have_is_taken(small_host: SmallHost, answering: str) -> None:
    proxy = answering.rpartition("/")[0]
    config = small_host.root / "pip.conf"
    config.write_text(f"[global]\nproxy = {proxy}\n")
    dead = {"HTTP_PROXY": "http://127.0.0.1:1", "PIP_CONFIG_FILE": str(config)}
    ways: dict[str, dict[str, Any]] = {
        "pip's proxy": {"environment": dead, "python_mirror": "http://mirror.invalid/"},
        "ALL_PROXY": {"environment": {"ALL_PROXY": proxy}, "python_mirror": "http://mirror.invalid/"},
        "a proxy that is not asked here": {"environment": {"ALL_PROXY": "socks5h://127.0.0.1:1"}},
        "uv's own variable": {"environment": {"UV_PYTHON_INSTALL_MIRROR": answering}},
    }
    nothing = dict.fromkeys(("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "")
    for name, way in ways.items():
        environment = {"PIP_CONFIG_FILE": "/dev/null", **nothing, **way.pop("environment")}
        found = small_host.look(gpu=FETCH, environment=environment, env=nothing, **way)
        assert found["failed"] is False, f"{name}: {found['msg']}"


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """A server that answers with a certificate of nobody, as a school's intercepting proxy does."""

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            pass

    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = Quiet(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_whom_to_trust_is_left_to_uv(small_host: SmallHost, untrusted: str) -> None:
    direct = {"NO_PROXY": "localhost", "no_proxy": "localhost", "PIP_CONFIG_FILE": "/dev/null"}
    found = small_host.look(gpu=FETCH, python_mirror=untrusted, environment=direct)
    assert found["failed"] is False, found["msg"]


def test_stubs_on_the_search_path_are_found_unless_wsl_comes_first(small_host: SmallHost) -> None:
    stubs = small_host.root / "torch_directml"
    stubs.mkdir()
    (stubs / "libdxcore.so").touch()
    found = small_host.look(env={"LD_LIBRARY_PATH": str(stubs)})
    assert [one["id"] for one in found["problems"]] == ["directml_stubs"]
    assert str(stubs) in found["msg"]
    assert small_host.look(env={"LD_LIBRARY_PATH": f"/usr/lib/wsl/lib:{stubs}"})["failed"] is False


def test_links_to_wsls_own_libraries_are_no_stubs(small_host: SmallHost) -> None:
    """As some pages advise: ln -s /usr/lib/wsl/lib/libdxcore.so /usr/lib/x86_64-linux-gnu/."""
    link = small_host.root / "libdxcore.so"
    link.symlink_to("/usr/lib/wsl/lib/libdxcore.so")
    small_host.cache.write_text(f"\tlibdxcore.so (libc6,x86-64) => {link}\n")
    assert small_host.look()["failed"] is False
    link.unlink()
    link.touch()
    assert [one["id"] for one in small_host.look()["problems"]] == ["directml_stubs"]


# --- the role -------------------------------------------------------------------------------------------------------


def run_play(project: Path, tmp_path: Path, play: dict[str, Any], *options: str) -> None:
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", *options, tmp_path / "play.yml",
         "-e", f"ansible_python_interpreter={sys.executable}"],
        env={**ansible_environment(), "ANSIBLE_STDOUT_CALLBACK": "default"}, capture_output=True, text=True, cwd=project,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def describe(project: Path, tmp_path: Path, variables: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """What the role says of the kernel environment, by way of gpu_backend_kernel as playbooks/site.yml asks for it."""
    out = tmp_path / "kernel.json"
    told = {"gpu_backend_name": "directml", "gpu_backend_detected": gpu(HOST, **settings), **variables}
    play = {
        "hosts": "localhost", "gather_facts": False,
        "roles": [{"role": "gpu_backend", "when": False}, {"role": "directml"}],
        "tasks": [{"copy": {"content": "{{ gpu_backend_kernel | to_json }}", "dest": str(out)}, "check_mode": False}],
    }  # fmt: skip
    (tmp_path / "told.json").write_text(json.dumps(told))
    run_play(project, tmp_path, play, "--check", "-e", f"@{tmp_path / 'told.json'}")
    return dict(json.loads(out.read_text()))


def test_the_small_build_is_the_default_and_never_the_big_one_unasked(project: Path, tmp_path: Path) -> None:
    found = describe(project, tmp_path, {})
    torch, torchvision, own, audio = found["pinned"]
    assert torch == {
        "requirement": "torch==2.4.1+cpu", "default_requirement": "torch==2.4.1", "variable": "python_env_torch_index",
        "index": "https://download.pytorch.org/whl/cpu", "allow_default": False,
    }  # fmt: skip
    assert torchvision["requirement"] == "torchvision==0.19.1+cpu"
    assert own["requirement"].startswith(f"torch-directml=={NAME} --hash=sha256:")
    assert own["requirement"].count("--hash=sha256:") == 10
    assert (audio["requirement"], audio["optional"], found["constraints"]) == ("torchaudio==2.4.1+cpu", True, [])
    assert found["python_requires"] == ">=3.10,<3.13"
    assert found["display_name"] == "Python 3 (DirectML)"
    assert not [one for one in lock_file.parse_lock(found["lock"]) if one.name.startswith(("torch", "nvidia"))]


def lock_of(project: Path, kernel: dict[str, Any]) -> list[Any]:
    return lock_file.parse_lock((project / "roles/directml/files" / kernel["lock"]).read_text())


def test_the_index_build_is_locked_as_a_whole(project: Path, small_host: SmallHost) -> None:
    found = small_host.look(gpu=gpu(HOST, torch_build="index"))["kernel"]
    assert [one["requirement"].split(" ")[0] for one in found["pinned"]] == [
        f"torch-directml=={NAME}",
        "torchaudio==2.4.1",
    ]
    locked = {one.name: one for one in lock_of(project, found)}
    assert (locked["torch"].version, len(locked["torch"].hashes) > 0) == ("2.4.1", True)
    assert found["constraints"] == ["torch==2.4.1", "torchvision==0.19.1"]


def test_the_older_release_keeps_numpy_below_2(project: Path, tmp_path: Path) -> None:
    more = {"python_env_torch_index": "file:///srv/torch", "python_env_allow_default_torch": True}
    found = describe(project, tmp_path, more, release="0.2.1.dev240521")
    assert found["constraints"] == ["numpy<2"]
    mirror = "file:///srv/torch"
    assert [one.get("index") for one in found["pinned"]] == [mirror, mirror, None, mirror]
    assert found["pinned"][0]["allow_default"] is True
    numpy = [one for one in lock_file.parse_lock(found["lock"]) if one.name == "numpy"]
    assert all(one.version.startswith("1.26.") for one in numpy)


def test_a_release_of_ones_own_stands_beside_the_shipped_ones(project: Path, tmp_path: Path) -> None:
    lock = f"alpha==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    mine = {
        "package": "torch-directml-stand-in", "version": "0.0.0+stand.in", "torch": "2.13.0", "torchvision": "",
        "python": ">=3.10,<3.15", "lock": lock,
    }  # fmt: skip
    found = describe(project, tmp_path, {}, release="mine", releases={"mine": mine})
    assert found["lock"].rstrip() == lock.rstrip()
    assert [one["requirement"] for one in found["pinned"]] == [
        "torch==2.13.0+cpu", "torch-directml-stand-in==0.0.0+stand.in", "torchaudio==2.11.0+cpu",
    ]  # fmt: skip
    assert found["constraints"] == []
    assert found["python_requires"] == ">=3.10,<3.15"


def test_every_file_of_the_role_that_a_release_names_is_there(project: Path) -> None:
    names = set(os.listdir(project / "roles" / "directml" / "files"))
    wanted = {str(row[key]) for row in releases.RELEASES.values() for key in ("lock", "lock_index")}
    assert names == wanted | {name.replace(".txt", ".in") for name in wanted}

"""directml_preflight and the role around it, as a play runs them: small hosts in folders, no network but loopback."""

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
from ansible.module_utils.colab_ready.python import lock as lock_file
from conftest import ansible_environment

NAME = "0.2.5.dev240914"
RELEASES = {
    NAME: {
        "package": "torch-directml", "version": NAME, "torch": "2.4.1", "python": ">=3.10,<3.13", "lock": "x", "lock_index": "y",
    }
}  # fmt: skip
LIBRARIES = ("libdxcore.so", "libd3d12.so", "libd3d12core.so")
# What gpu_device says of a WSL with a Radeon, as far as it is read here.
GPU: dict[str, Any] = {
    "wsl": {"version": 2, "libraries": dict.fromkeys(LIBRARIES, True)},
    "host": {"architecture": "x86_64", "dxg": True, "dxg_failure": None},
    "adapters": [{"vendor_id": "1002"}],
}


class SmallHost:
    def __init__(self, root: Path, run_module: Any) -> None:
        self.root, self.run_module = root, run_module
        self.bin = root / "usr" / "bin"
        self.bin.mkdir(parents=True)
        self.cache = root / "cache.txt"
        self.cache.write_text("\tlibssl.so.3 (libc6,x86-64) => /usr/lib/libssl.so.3\n")
        self.script(root / "ldconfig", f"cat '{self.cache}'")
        self.args: dict[str, Any] = {
            "gpu": GPU, "release": NAME, "releases": RELEASES, "prefix": str(root / "prefix"), "usr": str(root / "usr"),
            "ldconfig": str(root / "ldconfig"), "timeout_seconds": 1,
        }  # fmt: skip

    def script(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def python(self, version: str, path: Path | None = None) -> Path:
        """A stand-in that says this version of itself."""
        path = path or self.bin / f"python3.{version.split('.')[1]}"
        self.script(path, f"""echo '{{"version": "{version}", "ensurepip": true}}'""")
        return path

    def look(self, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        return dict(
            self.run_module("directml_preflight", {**self.args, **more}, check=bool(more.pop("check", True)), env=env)
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


@pytest.mark.smoke("directml_preflight")
def test_a_fitting_host_passes_and_nothing_is_changed_or_asked(small_host: SmallHost) -> None:
    python = small_host.python("3.12.3")
    small_host.python("3.13.5")
    before = sorted(small_host.root.rglob("*"))
    found = small_host.look(python_mirror="http://127.0.0.1:1/nobody")
    assert (found["failed"], found["changed"], found["problems"]) == (False, False, [])
    assert found["python"] == {"path": str(python), "fetch": None}
    assert sorted(small_host.root.rglob("*")) == before


def test_everything_that_is_in_the_way_is_one_message(small_host: SmallHost) -> None:
    small_host.python("3.13.5")
    stub = f"{small_host.root}/stubs"
    small_host.cache.write_text(f"\tlibdxcore.so (libc6,x86-64) => {stub}/libdxcore.so\n")
    gpu = {**GPU, "wsl": {"version": 2, "libraries": {}}}
    found = small_host.look(gpu=gpu, python_mirror=f"file://{small_host.root}/none", release="0.2.5.dev240914")
    assert found["failed"] is True
    assert [one["id"] for one in found["problems"]] == ["directml_libraries", "directml_stubs", "directml_python"]
    assert "3 problems" in found["msg"] and "Nothing was changed" in found["msg"]
    assert f"there is no folder {small_host.root}/none" in found["msg"]


@pytest.mark.parametrize(
    ("gpu", "word"),
    [
        ({"host": {"architecture": "aarch64"}}, "aarch64"),
        ({"wsl": None}, "not WSL"),
        ({"host": {**GPU["host"], "dxg": False, "dxg_failure": "dxg_missing"}}, "/dev/dxg, is not there"),
    ],
    ids=["arm64", "bare Linux", "no adapter"],
)
def test_a_host_that_cannot_have_it_gets_one_sentence(small_host: SmallHost, gpu: dict[str, Any], word: str) -> None:
    found = small_host.look(gpu={**GPU, **gpu})
    assert found["failed"] is True
    assert len(found["problems"]) == 1
    assert word in found["msg"]


def test_on_this_computer_nothing_needs_to_be_told(run_module: Any) -> None:
    """Without what gpu_device found it looks itself."""
    found = run_module("directml_preflight", {"release": NAME, "releases": RELEASES, "python_fetch": False})
    assert {one["id"] for one in found["problems"]} <= {
        "directml_wsl",
        "directml_architecture",
        "directml_dxg",
        "directml_python",
    }


def test_a_mirror_that_answers_is_the_way_to_a_python(small_host: SmallHost, answering: str) -> None:
    small_host.python("3.13.5")
    found = small_host.look(python_mirror=answering)
    assert found["failed"] is False
    assert found["python"] == {"path": None, "fetch": "3.12"}
    folder = small_host.root / "a folder"
    folder.mkdir()
    assert small_host.look(python_mirror=folder.as_uri())["failed"] is False


def test_a_network_that_is_not_there_costs_seconds_and_is_named(small_host: SmallHost) -> None:
    small_host.python("3.13.5")
    # Three times verbose: with what the module was called with.
    found = small_host.look(env={"ANSIBLE_VERBOSITY": "3"}, python_mirror="http://kid:hunter22@127.0.0.1:1/mirror")
    assert found["invocation"]["module_args"]["release"] == NAME
    assert "127.0.0.1 cannot be reached (Connection refused)" in found["msg"]
    assert "python_env_python_mirror" in found["msg"]
    assert "hunter22" not in json.dumps(found)
    # A proxy that is not there, in front of uv's own addresses.
    proxied = small_host.look(environment={"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"})
    assert "github.com cannot be reached" in proxied["msg"]


def test_a_way_to_the_network_that_uv_would_have_is_taken(small_host: SmallHost, answering: str) -> None:
    small_host.python("3.13.5")
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
        found = small_host.look(environment=environment, env=nothing, **way)
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
    small_host.python("3.13.5")
    direct = {"NO_PROXY": "localhost", "no_proxy": "localhost", "PIP_CONFIG_FILE": "/dev/null"}
    found = small_host.look(python_mirror=untrusted, environment=direct)
    assert found["failed"] is False, found["msg"]


def test_what_was_fetched_before_will_do(small_host: SmallHost) -> None:
    small_host.python("3.13.5")
    place = small_host.root / "prefix/pythons/cpython-3.12.16-linux-x86_64-gnu/bin/python3.12"
    small_host.python("3.12.16", place)
    found = small_host.look(python_mirror="file:///nonexistent")
    assert found["python"] == {"path": str(place), "fetch": None}
    # But root starts nothing that somebody else may have put there.
    (small_host.root / "prefix/pythons").chmod(0o777)
    assert small_host.look(python_mirror="file:///nonexistent")["failed"] is True


def test_a_named_python_is_the_only_one(small_host: SmallHost) -> None:
    small_host.python("3.12.3")
    own = small_host.python("3.14.0", small_host.root / "own" / "python")
    found = small_host.look(python=str(own))
    assert "python_env_python does not fit" in found["msg"] and "3.14.0" in found["msg"]
    assert small_host.look(python=str(small_host.python("3.11.2", own)))["python"]["path"] == str(own)


def test_stubs_on_the_search_path_are_found_unless_wsl_comes_first(small_host: SmallHost) -> None:
    small_host.python("3.12.3")
    stubs = small_host.root / "torch_directml"
    stubs.mkdir()
    (stubs / "libdxcore.so").touch()
    found = small_host.look(env={"LD_LIBRARY_PATH": str(stubs)})
    assert [one["id"] for one in found["problems"]] == ["directml_stubs"]
    assert str(stubs) in found["msg"]
    assert small_host.look(env={"LD_LIBRARY_PATH": f"/usr/lib/wsl/lib:{stubs}"})["failed"] is False


def test_links_to_wsls_own_libraries_are_no_stubs(small_host: SmallHost) -> None:
    """As some pages advise: ln -s /usr/lib/wsl/lib/libdxcore.so /usr/lib/x86_64-linux-gnu/."""
    small_host.python("3.12.3")
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


def describe(project: Path, tmp_path: Path, **variables: Any) -> dict[str, Any]:
    """What the role says of the kernel environment, by way of gpu_backend_kernel as playbooks/site.yml asks for it."""
    gpu = {**GPU, "host": {**GPU["host"], "architecture": "x86_64"}}
    out = tmp_path / "kernel.json"
    play = {
        "hosts": "localhost", "gather_facts": False, "vars": {"gpu_backend_name": "directml", **variables},
        "roles": [{"role": "gpu_backend", "when": False}, {"role": "directml", "vars": {"directml_gpu": gpu}}],
        "tasks": [{"copy": {"content": "{{ gpu_backend_kernel | to_json }}", "dest": str(out)}, "check_mode": False}],
    }  # fmt: skip
    run_play(project, tmp_path, play, "--check")
    return dict(json.loads(out.read_text()))


@pytest.fixture
def own_python(tmp_path: Path) -> dict[str, Any]:
    """So that the host's Pythons do not matter."""
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh\necho '{"version": "3.12.3", "ensurepip": true}'\n""")
    python.chmod(0o755)
    return {"python_env_python": str(python)}


def test_the_small_build_is_the_default_and_never_the_big_one_unasked(
    project: Path, tmp_path: Path, own_python: dict[str, Any]
) -> None:
    found = describe(project, tmp_path, **own_python)
    assert set(found) == {
        "display_name", "lock_text", "pinned", "constraints", "python_requires",
    }  # fmt: skip
    torch, torchvision, own = found["pinned"]
    assert torch == {
        "requirement": "torch==2.4.1+cpu", "default_requirement": "torch==2.4.1", "variable": "python_env_torch_index",
        "index": "https://download.pytorch.org/whl/cpu", "allow_default": False,
    }  # fmt: skip
    assert torchvision["requirement"] == "torchvision==0.19.1+cpu"
    assert own["requirement"].startswith(f"torch-directml=={NAME} --hash=sha256:")
    assert own["requirement"].count("--hash=sha256:") == 10
    assert found["constraints"] == ["torch==2.4.1", "torchvision==0.19.1", f"torch-directml=={NAME}"]
    assert found["python_requires"] == ">=3.10,<3.13"
    assert found["display_name"] == "Python 3 (DirectML)"
    assert not [one for one in lock_file.parse_lock(found["lock_text"]) if one.name.startswith(("torch", "nvidia"))]


def test_the_index_build_is_locked_as_a_whole(project: Path, tmp_path: Path, own_python: dict[str, Any]) -> None:
    found = describe(project, tmp_path, directml_torch_build="index", **own_python)
    assert [one["requirement"].split(" ")[0] for one in found["pinned"]] == [f"torch-directml=={NAME}"]
    locked = {one.name: one for one in lock_file.parse_lock(found["lock_text"])}
    assert (locked["torch"].version, len(locked["torch"].hashes) > 0) == ("2.4.1", True)
    assert found["constraints"][0] == "torch==2.4.1"


def test_the_older_release_keeps_numpy_below_2(project: Path, tmp_path: Path, own_python: dict[str, Any]) -> None:
    more = {"python_env_torch_index": "file:///srv/torch", "python_env_allow_default_torch": True}
    found = describe(project, tmp_path, directml_release="0.2.1.dev240521", **own_python, **more)
    assert found["constraints"] == [
        "torch==2.2.1", "torchvision==0.17.1", "torch-directml==0.2.1.dev240521", "numpy<2",
    ]  # fmt: skip
    assert [one.get("index") for one in found["pinned"]] == ["file:///srv/torch", "file:///srv/torch", None]
    assert str(found["pinned"][0]["allow_default"]) == "True"
    numpy = [one for one in lock_file.parse_lock(found["lock_text"]) if one.name == "numpy"]
    assert all(one.version.startswith("1.26.") for one in numpy)


def test_a_release_of_ones_own_stands_beside_the_shipped_ones(
    project: Path, tmp_path: Path, own_python: dict[str, Any]
) -> None:
    lock = f"alpha==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    mine = {
        "package": "torch-directml-stand-in", "version": "0.0.0+stand.in", "torch": "2.13.0", "torchvision": "",
        "python": ">=3.10,<3.15", "lock": lock,
    }  # fmt: skip
    found = describe(project, tmp_path, directml_release="mine", directml_releases={"mine": mine}, **own_python)
    assert found["lock_text"].rstrip() == lock.rstrip()
    assert [one["requirement"] for one in found["pinned"]] == [
        "torch==2.13.0+cpu", "torch-directml-stand-in==0.0.0+stand.in",
    ]  # fmt: skip
    assert found["constraints"] == ["torch==2.13.0", "torch-directml-stand-in==0.0.0+stand.in"]


@pytest.mark.parametrize(
    ("variables", "fetched"),
    [
        ({}, True),
        ({"colab_python_fetch": False}, False),
        ({"colab_python_fetch": False, "python_env_python": "/opt/python3.12"}, True),
    ],
    ids=["as it comes", "forbidden", "forbidden, and one is named"],
)
def test_a_python_that_is_named_does_not_need_to_be_fetched(
    project: Path, tmp_path: Path, variables: dict[str, Any], fetched: bool
) -> None:
    """What playbooks/site.yml tells gpu_device: on Debian 13 "none may be fetched" would rule DirectML out."""
    (site,) = yaml.safe_load((project / "playbooks" / "site.yml").read_text())
    told = next(one["vars"] for one in site["roles"] if one["role"] == "gpu_backend")["gpu_backend_python_fetch"]
    out = tmp_path / "fetch.json"
    play = {
        "hosts": "localhost", "gather_facts": False, "vars": variables,
        "roles": [{"role": name, "when": False} for name in ("colab", "python_env")],
        "tasks": [{"copy": {"content": "{{ (" + told.strip("{} ") + ") | to_json }}", "dest": str(out)}}],
    }  # fmt: skip
    run_play(project, tmp_path, play)
    assert json.loads(out.read_text()) is fetched


def test_every_file_of_the_role_that_a_release_names_is_there(project: Path) -> None:
    names = set(os.listdir(project / "roles" / "directml" / "files"))
    text = yaml.safe_load((project / "roles" / "directml" / "vars" / "main.yml").read_text())
    wanted = {row[key] for row in text["__directml_known_releases"].values() for key in ("lock", "lock_index")}
    assert names == wanted | {name.replace(".txt", ".in") for name in wanted}

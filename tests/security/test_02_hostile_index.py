"""Finding 2: an index ran code in spite of the hashes, since it chose a source distribution and what builds it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker_engine
import pytest
from security.hosts import KERNEL, SERVER, SecurityHost

PORT = 8765
PLACE = "/home/bob/index"
# The lock's own versions: the source distribution of these is what the hashes allow.
LOCKS = (
    "requirements/controller.txt",
    "roles/jupyter_http_over_ws/files/server.txt",
    "roles/cpu/files/kernel_cpu.txt",
)
LAUNCHER_PACKAGE, SERVER_PACKAGE, KERNEL_PACKAGE = "resolvelib", "six", "cycler"


def locked(project: Path, name: str) -> str:
    """The newest version of a package in our locks."""
    lines = [line for lock in LOCKS for line in (project / lock).read_text().splitlines()]
    return max(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{name}=="))


def download(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def index(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real files: wheels for the launcher's environment, and of three packages the source alone."""
    folder = tmp_path_factory.mktemp("index")
    files = folder / "files"
    download(files, "--require-hashes", "--requirement", str(project / LOCKS[0]))
    for name in (LAUNCHER_PACKAGE, SERVER_PACKAGE, KERNEL_PACKAGE):
        download(files, "--no-binary", ":all:", f"{name}=={locked(project, name)}")
    for path in sorted(files.iterdir()):
        name = path.name.split("-")[0].lower().replace("_", "-")
        if not (name == LAUNCHER_PACKAGE and path.suffix == ".whl"):
            place = folder / "simple" / name
            place.mkdir(parents=True, exist_ok=True)
            os.link(path, place / path.name)
    return folder / "simple"


@contextlib.contextmanager
def served(host: SecurityHost, index: Path, home: str, owner: str) -> Iterator[None]:
    """The hostile index is there, and the pip configuration in this home names it and nothing else."""
    settings = f"{home}/.config/pip/pip.conf"
    address = f"http://127.0.0.1:{PORT}/simple"
    lines = f"index-url = {address}\\nextra-index-url = {address}\\nfind-links = {PLACE}/nothing"
    host.sh(f"rm -rf {PLACE}; mkdir -p {PLACE}/nothing")
    docker_engine.docker("cp", str(index), f"{host.name}:{PLACE}/simple")
    host.sh(f"chown -R bob: {PLACE}; chmod 755 /home/bob; chmod -R a+rX {PLACE}")
    with host.aside(settings):
        host.sh(
            f"mkdir -p {home}/.config/pip; printf '[global]\\n{lines}\\n' >{settings}; chown -R {owner}: {home}/.config"
        )
        with host.attacking("hostile_index.py", PLACE, str(PORT), user="bob"):
            yield


def test_a_hostile_index_runs_nothing_in_the_launchers_environment(root_host: SecurityHost, index: Path) -> None:
    host = root_host
    with host.aside("/root/.cache/colab-ready", "/var/cache/colab-ready"), served(host, index, "/root", "root"):
        seen = host.colab_ready("verify")
        assert host.marks() == []
    seen.ended_well()


@pytest.mark.parametrize(("package", "environment"), [(SERVER_PACKAGE, SERVER), (KERNEL_PACKAGE, KERNEL)])
def test_a_students_own_pip_configuration_makes_nothing_run(
    student_host: SecurityHost, index: Path, package: str, environment: str
) -> None:
    """As root, who builds the server's environment with it, nor as the user of the kernels' environment."""
    host = student_host
    with host.damaged(package, environment), served(host, index, host.home, host.user):
        seen = host.colab_ready()
        assert host.marks() == []
    seen.is_refused(package)

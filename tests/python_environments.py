"""The real server and kernel environments that tests talk to, built once per lock with uv and kept in the cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import host_pip
from colab_ready.python import wheel

# As roles/gpu_backend/vars/main.yml has it for the CPU; a static test compares the two.
TORCH_REQUIREMENT = "torch==2.13.0+cpu"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def cache_dir() -> Path:
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colab-ready-tests" / "environments"
    path.mkdir(parents=True, exist_ok=True)
    return path


def find_uv() -> Path:
    """uv of the development environment (requirements/dev.txt), else the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise RuntimeError("uv is missing. Expected: the development environment has it. Do: run `./colab-ready test`.")
    return Path(found)


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name: str, lock: Path, local: Path | None = None, torch: bool = False) -> Path:
    """The Python of an environment made from a lock with hashes, plus a package of this checkout, plus torch."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode() + repr(torch).encode())
    if local:
        for path in sorted(local.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(path.read_bytes())
    target = cache_dir() / f"{name}-{digest.hexdigest()[:16]}"
    python = target / "bin" / "python"
    with only_one(cache_dir() / f"{name}.lock"):
        if (target / "complete").exists():
            return python
        for old in cache_dir().glob(f"{name}-*"):
            shutil.rmtree(old)
        uv(["venv", "--quiet", "--python", sys.executable, str(target)])
        uv(
            [
                "pip",
                "install",
                "--quiet",
                "--python",
                str(python),
                "--require-hashes",
                "--no-build",
                "--requirements",
                str(lock),
            ]
        )
        if local:
            packed = wheel.read_package(str(local)).write(str(target))
            uv(["pip", "install", "--quiet", "--python", str(python), "--no-deps", "--no-build", packed])
        if torch:
            install_torch(python)
        (target / "complete").touch()
    return python


def install_torch(python: Path) -> None:
    """torch from where this computer's pip finds it; else from PyTorch's own index."""
    command = ["pip", "install", "--quiet", "--python", str(python), "--no-deps", TORCH_REQUIREMENT]
    try:
        uv(command)
    except RuntimeError as first:
        try:
            uv([*command, "--index", TORCH_INDEX])
        except RuntimeError as second:
            raise RuntimeError(f"{first}\nand from PyTorch's index:\n{second}") from second


def uv(arguments: list[str]) -> None:
    done = subprocess.run(
        [str(find_uv()), *arguments],
        env=host_pip.uv_environment(),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"`uv {' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr.strip()}")

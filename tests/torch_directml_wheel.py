"""The real torch-directml with its real torch, as the role's big build installs them (`directml_torch_build: index`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import host_pip
import python_environments
import yaml

PROJECT = Path(__file__).resolve().parent.parent
ROLE = PROJECT / "roles" / "directml"
RELEASE = "0.2.5.dev240914"


def release() -> dict[str, Any]:
    """The role's row."""
    known = yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8"))["__directml_known_releases"]
    return dict(known[RELEASE])


@dataclass(frozen=True)
class Wheel:
    """An environment with it."""

    python: Path
    packages: Path

    def run(self, code: str, environment: dict[str, str], seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """Some lines of Python there; its buffered output is lost where it dies."""
        return subprocess.run(
            [str(self.python), "-I", "-u", "-c", code],
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
            capture_output=True, text=True, timeout=seconds, check=False, cwd="/",
        )  # fmt: skip

    def needed(self, library: Path) -> list[str]:
        """What a library asks the loader for."""
        done = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True)
        return [line.split("[")[1].split("]")[0] for line in done.stdout.splitlines() if "(NEEDED)" in line]

    @property
    def native(self) -> Path:
        (found,) = self.packages.glob("torch_directml_native*.so")
        return found


def cache() -> Path:
    """Downloads (and what uv made of them, 8 GB in all) are kept here; the environment, made of links to them, is not."""
    path = python_environments.cache_dir().parent / "directml-real"
    path.mkdir(parents=True, exist_ok=True)
    return path


def uv(arguments: list[str]) -> None:
    done = subprocess.run(
        [str(python_environments.find_uv()), "--quiet", "--cache-dir", str(cache() / "uv"), *arguments],
        env=host_pip.uv_environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"`uv {' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr.strip()}")


@contextlib.contextmanager
def installed() -> Iterator[Wheel]:
    """From the role's own lock and hashes."""
    row = release()
    # The other environments of the tests have this Python, and an extension fits one minor version.
    fits = (3, 10) <= sys.version_info[:2] < (3, 13)
    place = Path(tempfile.mkdtemp(prefix="environment-", dir=cache()))
    try:
        hashes = " ".join(f"--hash=sha256:{one}" for one in row["hashes"])
        own = place / "own.txt"
        own.write_text(f"{row['package']}=={row['version']} {hashes}\n", encoding="ascii")
        home = place / "venv"
        uv(["venv", "--python", sys.executable if fits else row["python"], str(home)])
        lock = ROLE / "files" / row["lock_index"]
        python = home / "bin" / "python"
        uv(["pip", "install", "--python", str(python), "--require-hashes", "-r", str(lock), "-r", str(own)])
        (packages,) = home.glob("lib/python3.*/site-packages")
        yield Wheel(python, packages)
    finally:
        shutil.rmtree(place)

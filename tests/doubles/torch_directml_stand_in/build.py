"""Build the stand-in for torch_directml as a wheel, for the torch of one Python.

    python build.py --python PYTHON_WITH_TORCH --out FOLDER

prints the wheel's path. The compiled library is kept by torch's version and the source. Nothing but the standard library
is needed here; g++ and torch's own headers do the work.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "stand_in.cpp"
PACKAGE = HERE / "torch_directml"
DISTRIBUTION, VERSION = "torch_directml_stand_in", "0.0.0+stand.in"
WHEEL = f"{DISTRIBUTION}-{VERSION}-py3-none-linux_{platform.machine()}.whl"
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-shared", "-fvisibility-inlines-hidden", "-s", f"-ffile-prefix-map={HERE}=."]

# torch itself is imported only where something must be compiled.
ASK = """
import importlib.metadata, importlib.util, json
found = importlib.util.find_spec("torch")
print(json.dumps({"version": importlib.metadata.version("torch"), "folder": list(found.submodule_search_locations)[0]}))
"""
ASK_ABI = "import torch; print(int(torch.compiled_with_cxx11_abi()))"


class BuildError(Exception):
    """What is wrong, what was expected, what to do."""


def cache_dir() -> Path:
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colab-ready-tests" / "doubles"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ask(python: Path | str, source: str) -> str:
    try:
        done = subprocess.run(
            [str(python), "-c", source],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise BuildError(
            f"{python} cannot be run: {error}. Do: name the Python of an environment with torch."
        ) from error
    if done.returncode != 0:
        raise BuildError(f"{python} has no usable torch:\n{done.stderr.strip()}\nDo: name one that has.")
    return done.stdout.strip()


def digest(*parts: bytes) -> str:
    result = hashlib.sha256()
    for part in parts:
        result.update(hashlib.sha256(part).digest())
    return result.hexdigest()[:16]


def compiled(python: Path | str) -> tuple[Path, str]:
    """The native library for the torch of that Python, compiled if it is not kept yet, and torch's version."""
    torch = json.loads(ask(python, ASK))
    folder, version = Path(torch["folder"]), str(torch["version"])
    key = digest(version.encode(), SOURCE.read_bytes(), repr(FLAGS).encode(), platform.machine().encode())
    target = cache_dir() / f"torch_directml_stand_in-{key}.so"
    with only_one(cache_dir() / "torch_directml_stand_in.lock"):
        if not target.exists():
            compile_for(folder, ask(python, ASK_ABI), target)
    return target, version


def compile_for(torch: Path, abi: str, target: Path) -> None:
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if not compiler:
        raise BuildError("g++ is missing. Expected: a C++ compiler for the stand-in. Do: apt-get install g++.")
    descriptor, unfinished = tempfile.mkstemp(dir=target.parent, suffix=".so")
    os.close(descriptor)
    include = torch / "include"
    done = subprocess.run(
        [
            *(compiler, *FLAGS, f"-D_GLIBCXX_USE_CXX11_ABI={abi}"),
            *("-isystem", str(include), "-isystem", str(include / "torch/csrc/api/include")),
            *(str(SOURCE), "-o", unfinished, f"-L{torch / 'lib'}", "-ltorch_cpu", "-lc10"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        os.unlink(unfinished)
        raise BuildError(f"the stand-in does not compile against the torch in {torch}:\n{done.stderr[-4000:]}")
    os.chmod(unfinished, 0o644)
    os.replace(unfinished, target)


def contents(python: Path | str) -> dict[str, bytes]:
    """The files of the wheel by their path in it."""
    library, torch = compiled(python)
    files = {f"torch_directml/{path.name}": path.read_bytes() for path in sorted(PACKAGE.glob("*.*")) if path.is_file()}
    files["torch_directml/stand_in.so"] = library.read_bytes()
    info = f"{DISTRIBUTION}-{VERSION}.dist-info"
    files[f"{info}/METADATA"] = (
        "Metadata-Version: 2.1\n"
        f"Name: {DISTRIBUTION.replace('_', '-')}\n"
        f"Version: {VERSION}\n"
        "Summary: A stand-in for torch-directml, for the tests of colab-ready. It uses no GPU.\n"
        "Requires-Python: >=3.8\n"
        f"Requires-Dist: torch=={torch.partition('+')[0]}\n"
    ).encode()
    tag = f"py3-none-linux_{platform.machine()}"
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: colab-ready\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    files[f"{info}/top_level.txt"] = b"torch_directml\n"
    record = [f"{path},sha256={record_hash(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    return files


def record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def wheel(python: Path | str, folder: Path | str) -> Path:
    """The wheel in that folder. The same sources and the same torch give the same bytes."""
    files = contents(python)
    path = Path(folder) / WHEEL
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    with os.fdopen(descriptor, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    os.chmod(unfinished, 0o644)
    os.replace(unfinished, path)
    return path


def folder(python: Path | str) -> Path:
    """A kept folder to put on PYTHONPATH, with the package as it is installed. Write no `fault` into it: others use it."""
    files = contents(python)
    target = (
        cache_dir() / f"torch_directml_stand_in-{digest(*(part for item in files.items() for part in packed(item)))}"
    )
    with only_one(cache_dir() / "torch_directml_stand_in.lock"):
        if not target.exists():
            unfinished = Path(tempfile.mkdtemp(dir=target.parent))
            for name, data in files.items():
                (unfinished / name).parent.mkdir(exist_ok=True)
                (unfinished / name).write_bytes(data)
            unfinished.chmod(0o755)
            unfinished.rename(target)
    return target


def packed(item: tuple[str, bytes]) -> tuple[bytes, bytes]:
    return item[0].encode(), item[1]


def faults() -> dict[str, dict[str, Any]]:
    """The faults by name, as faults.json has them."""
    return dict(json.loads((PACKAGE / "faults.json").read_text(encoding="utf-8")))


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the stand-in for torch_directml as a wheel (tests only).")
    parser.add_argument("--python", required=True, metavar="PYTHON", help="a Python whose environment has torch")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the wheel shall lie")
    arguments = parser.parse_args()
    try:
        print(wheel(arguments.python, arguments.out))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

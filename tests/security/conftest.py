"""The hosts that are attacked, one of each kind for all tests. Who breaks something repairs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from security import hosts
from security.hosts import SecurityHost

SECONDS = 15 * 60
FAILED = pytest.StashKey[bool]()


MakeHost = Callable[[str], SecurityHost]


@pytest.fixture(scope="session")
def make_host(docker: None) -> Iterator[MakeHost]:
    """The hosts, each made when the first test wants it."""
    made: dict[str, SecurityHost] = {}
    with contextlib.ExitStack() as stack:

        def make(kind: str) -> SecurityHost:
            if kind not in made:
                made[kind] = stack.enter_context(hosts.converged(kind))
            return made[kind]

        yield make


def tried(request: pytest.FixtureRequest, make: MakeHost, kind: str) -> Iterator[SecurityHost]:
    """The host without marks; where the test fails before it has repaired what it broke, that is repaired here."""
    host = make(kind)
    host.wipe_marks()
    yield host
    if request.node.stash.get(FAILED, False):
        host.end(hosts.ATTACKS, "bin/ansible-playbook")
        host.colab_ready()


@pytest.fixture
def root_host(request: pytest.FixtureRequest, make_host: MakeHost) -> Iterator[SecurityHost]:
    """systemd, and root who calls: the system user colab runs the notebooks."""
    yield from tried(request, make_host, "root")


@pytest.fixture
def student_host(request: pytest.FixtureRequest, make_host: MakeHost) -> Iterator[SecurityHost]:
    """systemd, and a student with sudo whose checkout it is and who runs the notebooks."""
    yield from tried(request, make_host, "student")


@pytest.fixture
def plain_host(request: pytest.FixtureRequest, make_host: MakeHost) -> Iterator[SecurityHost]:
    """No systemd: colab-runtime keeps the server itself. Root calls."""
    yield from tried(request, make_host, "plain")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A first test of a host converges it, and an attack may make a command wait: the limits of these tests are longer."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))

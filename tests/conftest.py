"""What every test may use: the checkout, the modules as Ansible runs them, the real environments, a Docker engine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import ansible.module_utils
import checkout
import converged_host
import docker_engine
import pytest
import python_environments
from module_server import ModuleServer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# A shell that starts the tests in the background has them ignore Ctrl-C, and so would every program that they start and
# want to interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parent.parent
NO_DOCKER = "COLAB_READY_NO_DOCKER"

# In a module `ansible.module_utils.colab_ready` is our module_utils/colab_ready (ansible.cfg, module_utils). Tests
# import the same code by the same name.
ansible.module_utils.__path__ = [*ansible.module_utils.__path__, str(PROJECT / "module_utils")]


@pytest.fixture
def deepen() -> Iterator[Callable[[Path], None]]:
    """Puts folders in folders, deeper than Python's recursion and a path can be; they are gone after the test, or pytest's own
    removal would die of them."""
    made: list[Path] = []

    def make(top: Path, levels: int = 1500) -> None:
        made.append(top)
        handle = os.open(top, os.O_RDONLY)
        for _level in range(levels):
            os.mkdir("d", dir_fd=handle)
            below = os.open("d", os.O_RDONLY, dir_fd=handle)
            os.close(handle)
            handle = below
        os.close(handle)

    yield make
    for top in made:
        subprocess.run(["rm", "-rf", str(top)], check=True)


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return PROJECT


# --- modules as processes -------------------------------------------------------------------------------------------


class RunModule(Protocol):
    def __call__(
        self,
        name: str,
        args: dict[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        env: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> dict[str, Any]: ...


def ansible_environment() -> dict[str, str]:
    """This checkout's ansible.cfg, found whatever the folder's mode is, and plain output."""
    result = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    result.update(
        ANSIBLE_CONFIG=str(PROJECT / "ansible.cfg"),
        ANSIBLE_LIBRARY=checkout.libraries(),
        ANSIBLE_MODULE_UTILS=str(PROJECT / "module_utils"),
        ANSIBLE_ROLES_PATH=str(PROJECT / "roles"),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_DEPRECATION_WARNINGS="false",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    return result


RESULT = re.compile(r"^\S+ \| (?P<word>[A-Z]+!?) => (?=\{)", re.MULTILINE)


def result_in(output: str) -> dict[str, Any] | None:
    """The module's result in what `ansible -m` printed (`localhost | CHANGED => {...}`), warnings around it or not."""
    for found in RESULT.finditer(output):
        try:
            value, _ = json.JSONDecoder().raw_decode(output, found.end())
        except json.JSONDecodeError:
            continue
        # The callback says these two in its word, and leaves them out of what it prints.
        return {"changed": found["word"] == "CHANGED", "failed": found["word"] in ("FAILED!", "UNREACHABLE!"), **value}
    return None


@pytest.fixture(scope="session")
def module_server() -> Iterator[ModuleServer]:
    """What the modules import, loaded once for all tests of a worker."""
    server = ModuleServer()
    yield server
    server.stop()


@pytest.fixture
def run_module(request: pytest.FixtureRequest, module_server: ModuleServer) -> RunModule:
    """Run one of our modules on this computer; returns its result, a failed one too. A smoke test runs it through Ansible."""
    through_ansible = request.node.get_closest_marker("smoke") is not None

    def run(
        name: str,
        args: dict[str, Any],
        *,
        check: bool = False,
        diff: bool = False,
        env: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> dict[str, Any]:
        environment = {**ansible_environment(), **(env or {})}
        if through_ansible:
            done = adhoc(name, args, ["--check"] * check + ["--diff"] * diff, environment, timeout)
            result = result_in(done.stdout) or result_in(done.stderr)
        else:
            own = {"_ansible_check_mode": check, "_ansible_diff": diff, "_ansible_remote_tmp": tempfile.gettempdir()}
            done = module_server.run(name, {**args, **own}, environment, timeout)
            said = done.stdout.strip()
            result = {"changed": False, "failed": False, **json.loads(said)} if said.startswith("{") else None
        assert result is not None, f"{name} said nothing readable ({done.returncode}):\n{done.stdout}\n{done.stderr}"
        return result

    return run


def adhoc(
    module: str, args: dict[str, Any], options: list[str], env: dict[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `ansible -m MODULE` against this computer."""
    command = ["localhost", "--inventory", "localhost,", "--connection", "local", "--module-name", module]
    command += ["--args", json.dumps(args), "--extra-vars", f"ansible_python_interpreter={sys.executable}", *options]
    return subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", *command], env=env, cwd=PROJECT, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
    )  # fmt: skip


# --- the real environments ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def uv() -> Path:
    """The uv program of the development environment."""
    return python_environments.find_uv()


@pytest.fixture(scope="session")
def server_python() -> Path:
    """The Python of a server environment as the role builds it: the lock and our extension."""
    given = os.environ.get("COLAB_READY_TEST_SERVER_PYTHON")
    if given:
        return Path(given)
    role = PROJECT / "roles" / "jupyter_http_over_ws"
    extension = role / "files" / "colab_http_over_ws"
    return python_environments.build(
        "server", role / "files" / "server.txt", local=extension if extension.exists() else None
    )


@pytest.fixture(scope="session")
def kernel_python() -> Path:
    """The Python of a kernel environment for the CPU, with the real torch."""
    given = os.environ.get("COLAB_READY_TEST_KERNEL_PYTHON")
    if given:
        return Path(given)
    lock = PROJECT / "roles" / "cpu" / "files" / "kernel_cpu.txt"
    return python_environments.build("kernel", lock, torch=True)


# --- Docker ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """A container that plays a fresh host."""

    name: str

    def run(
        self, *command: str, user: str = "root", cwd: str | None = None, timeout: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, without a terminal; the caller looks at the exit code."""
        place = ["--workdir", cwd] if cwd else []
        return docker_engine.docker("exec", "--user", user, *place, self.name, *command, check=False, timeout=timeout)

    def restart(self) -> None:
        docker_engine.docker("restart", self.name)
        docker_engine.wait_for_boot(self.name)

    def receive(self, archive: bytes, folder: str, user: str = "root") -> None:
        """Unpack a tar archive there, as that user."""
        docker_engine.docker(
            "exec", "--interactive", "--user", user, self.name, "sh", "-c",
            'mkdir -p "$1" && tar -x --no-same-owner -C "$1"', "unpack", folder, stdin=archive,
        )  # fmt: skip


class StartHost(Protocol):
    def __call__(self, story: str, *, init: str = "systemd", extra: Sequence[str] = ()) -> Host: ...


@pytest.fixture(scope="session")
def docker() -> None:
    """A Docker engine that answers, and the base image; or the test is left out because the caller said so."""
    if os.environ.get(NO_DOCKER) == "1":
        pytest.skip("left out on request (--no-docker): the scenarios in Docker were NOT run")
    try:
        docker_engine.ensure_engine()
        docker_engine.ensure_image()
    except docker_engine.EngineError as error:
        pytest.fail(str(error), pytrace=False)


@contextlib.contextmanager
def hosts() -> Iterator[StartHost]:
    """Start containers that play fresh hosts; they are taken away at the end."""
    started: list[str] = []

    def start(story: str, *, init: str = "systemd", extra: Sequence[str] = ()) -> Host:
        name = f"colab-ready-{story}-{uuid.uuid4().hex[:8]}"
        started.append(name)
        docker_engine.create(name, init, extra)
        return Host(name)

    yield start
    for name in started:
        docker_engine.remove(name)


@pytest.fixture
def start_host(docker: None) -> Iterator[StartHost]:
    """Hosts of one test."""
    with hosts() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_host(docker: None) -> Iterator[StartHost]:
    """Hosts of all tests of a file."""
    with hosts() as start:
        yield start


@pytest.fixture(scope="session")
def converged(request: pytest.FixtureRequest) -> Iterator[converged_host.ConvergedHost]:
    """A host that `./colab-ready` converged, one for all tests. Who breaks it repairs it."""
    if not converged_host.is_this_computer():
        request.getfixturevalue("docker")
    try:
        with converged_host.converged() as host:
            yield host
    except (converged_host.HostError, docker_engine.EngineError) as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def inside(converged: converged_host.ConvergedHost) -> Iterator[converged_host.ConvergedHost]:
    """The converged host, and this test in its network: localhost is the host's."""
    with converged.network():
        yield converged


# --- what runs beside what ------------------------------------------------------------------------------------------

# Hosts that tests share, by the fixtures that give them: one worker has all the tests of one.
SHARED = ("converged", "root_host", "student_host", "plain_host", "student")
# Stories with hosts of their own: each may run beside the others of its file.
ALONE = re.compile("test_scenario|test_one_command")
# Whoever takes longest begins first, and what is quick fills the gaps at the end.
LONGEST = ("scenario[directml]", "plain_host", "scenario[cuda_xpu]", "root_host", "scenario[rocm]", "converged")


LANES = pytest.StashKey[Path]()


def lane(item: pytest.Item) -> str:
    """One worker has all tests of a lane: those that share a host, a story alone, else a file."""
    fixtures = getattr(item, "fixturenames", ())
    file = item.nodeid.split("::")[0]
    return next((name for name in SHARED if name in fixtures), item.nodeid if ALONE.search(item.name) else file)


class Lanes(LoadScopeScheduling):
    """Knows the lanes from the workers, which alone have looked at the tests."""

    lanes: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self.lanes is None:
            self.lanes = json.loads(next(self.config.stash[LANES].iterdir()).read_text(encoding="utf-8"))
        return self.lanes[nodeid]


def pytest_configure_node(node: WorkerController) -> None:
    """Tell each worker where to leave its lanes."""
    if LANES not in node.config.stash:
        folder = tempfile.TemporaryDirectory(prefix="colab-ready-lanes.")
        node.config.add_cleanup(folder.cleanup)
        node.config.stash[LANES] = Path(folder.name)
    node.workerinput["lanes"] = str(node.config.stash[LANES] / f"{node.gateway.id}.json")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    return Lanes(config, log)


def begins(item: pytest.Item) -> int:
    """The linters first, then what needs hosts, the longest first, then processes, then functions."""
    if item.path.parent.name == "static":
        return 0
    if item.get_closest_marker("docker") is None:
        return len(LONGEST) + (3 if item.path.parent.name == "unit" else 2)
    texts = (*getattr(item, "fixturenames", ()), item.name)
    found = (number for number, name in enumerate(LONGEST, 1) if any(name in text for text in texts))
    return next(found, len(LONGEST) + 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever uses the engine bears the mark, and whoever is quick; every test has its place, and its lane."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if not {"docker", "converged"}.isdisjoint(fixtures):
            item.add_marker("docker")
        if item.path.parent.name in ("static", "unit") or item.get_closest_marker("smoke"):
            item.add_marker("quick")
    items.sort(key=begins)
    told = getattr(config, "workerinput", {}).get("lanes")
    if told:
        Path(told).write_text(json.dumps({item.nodeid: lane(item) for item in items}), encoding="utf-8")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are processors, as hosts wait a lot; none for a choice of tests, which would wait for the workers."""
    if config.option.keyword or any(".py" in argument for argument in config.args):
        return 0
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if os.environ.get(NO_DOCKER) == "1":
        skipped = terminalreporter.stats.get("skipped", [])
        count = sum("docker" in report.keywords for report in skipped)
        terminalreporter.section("left out", sep="=", yellow=True, bold=True)
        terminalreporter.line(f"{count} scenarios in Docker were NOT run (--no-docker). This is not a full test.")

"""Each story of molecule/, from a virgin host to its removal, in real Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker_engine
import pytest
import yaml
from ansible.module_utils.colab_ready.backends.registry import BACKENDS

PROJECT = Path(__file__).resolve().parents[2]
BASE_CONFIG = PROJECT / ".config" / "molecule" / "config.yml"
SCENARIOS = sorted(path.parent.name for path in PROJECT.glob("molecule/*/molecule.yml"))
# The longest takes six minutes with two others beside it on two cores.
LIMIT_SECONDS = 2400
TAIL_LINES = 120


def log_dir() -> Path:
    path = docker_engine.state_dir().parent / "molecule"
    path.mkdir(parents=True, exist_ok=True)
    return path


def inventory(scenario: str) -> dict[str, Any]:
    """The scenario's hosts and their variables."""
    group: dict[str, Any] = yaml.safe_load((PROJECT / "molecule" / scenario / "inventory.yml").read_text())[
        "colab_hosts"
    ]
    return group


def play(scenario: str, work: Path, log: Path) -> int:
    """`molecule test`, its output live in the log; all of it is ended with it, and its hosts are gone."""
    suffix = f"-{os.getpid()}"
    tools = Path(sys.executable).parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment.update(
        PATH=f"{tools}{os.pathsep}{environment['PATH']}",
        MOLECULE_EPHEMERAL_DIRECTORY=str(work / "molecule"),
        ANSIBLE_HOME=str(work / "ansible"),
        COLAB_READY_TEST_SUFFIX=suffix,
        NO_COLOR="1",
        ANSIBLE_NOCOLOR="1",
        PYTHONUNBUFFERED="1",
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            # Named, since molecule finds it by itself in a git repository only.
            [tools / "molecule", "--base-config", BASE_CONFIG, "test", "--scenario-name", scenario],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(LIMIT_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            for host in inventory(scenario)["hosts"]:
                docker_engine.remove(f"{host}{suffix}")


@pytest.mark.timeout(LIMIT_SECONDS + 120)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(docker: None, tmp_path: Path, scenario: str) -> None:
    log = log_dir() / f"{scenario}.log"
    code = play(scenario, tmp_path, log)
    if code != 0:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
        pytest.fail(f"molecule test -s {scenario} ended with {code}; all of it: {log}; its end:\n{last}", pytrace=False)


def test_there_are_the_stories_of_the_main_job_and_a_host_of_each_gpu_backend() -> None:
    groups = [inventory(name) for name in SCENARIOS]
    played = {
        {**group.get("vars", {}), **(host or {})}.get("scenario_backend")
        for group in groups
        for host in group["hosts"].values()
    }
    assert {backend.name for backend in BACKENDS} - {"cpu"} <= played
    assert {"default", "no_systemd", "system_jupyter"} <= set(SCENARIOS)

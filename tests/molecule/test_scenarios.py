"""Each story of molecule/, from a virgin host to its removal, in real Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import docker_engine
import pytest

PROJECT = Path(__file__).resolve().parents[2]
BASE_CONFIG = PROJECT / ".config" / "molecule" / "config.yml"
SCENARIOS = sorted(path.parent.name for path in PROJECT.glob("molecule/*/molecule.yml"))
# A cold scenario took about four minutes on two cores.
LIMIT_SECONDS = 1500
TAIL_LINES = 120


def log_dir() -> Path:
    path = docker_engine.state_dir().parent / "molecule"
    path.mkdir(parents=True, exist_ok=True)
    return path


def run_molecule(action: str, scenario: str, work: Path, log: Path) -> int:
    """`molecule ACTION`, its output live in the log; all of it is ended with it."""
    tools = Path(sys.executable).parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment.update(
        PATH=f"{tools}{os.pathsep}{environment['PATH']}",
        MOLECULE_EPHEMERAL_DIRECTORY=str(work / "molecule"),
        ANSIBLE_HOME=str(work / "ansible"),
        COLAB_READY_TEST_SUFFIX=f"-{os.getpid()}",
        NO_COLOR="1",
        ANSIBLE_NOCOLOR="1",
        PYTHONUNBUFFERED="1",
    )
    with log.open("ab") as output:
        process = subprocess.Popen(
            # Named, since molecule finds it by itself in a git repository only.
            [tools / "molecule", "--base-config", BASE_CONFIG, action, "--scenario-name", scenario],
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


@pytest.mark.timeout(LIMIT_SECONDS + 120)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(docker: None, scenario: str, tmp_path: Path) -> None:
    log = log_dir() / f"{scenario}.log"
    log.write_bytes(b"")
    try:
        code = run_molecule("test", scenario, tmp_path, log)
    finally:
        run_molecule("destroy", scenario, tmp_path, log_dir() / f"{scenario}.destroy.log")
    if code != 0:
        last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
        pytest.fail(f"molecule test -s {scenario} ended with {code}; all of it: {log}; its end:\n{last}", pytrace=False)


def test_there_are_the_three_stories_of_the_main_job() -> None:
    assert {"default", "no_systemd", "system_jupyter"} <= set(SCENARIOS)

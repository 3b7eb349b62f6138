"""The tags of playbooks/site.yml: each runs what it is for, with what that goes by, and nothing else; none dies of a variable.

The real playbook and roles, for a host without a card and one with. Stand-ins are the modules (as action plugins, which take no
time) and the command colab-runtime; they write down what was asked of them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "module_utils")]

from launcher.extra_vars import TAGS  # noqa: E402 - the path comes first

HOSTS = ("cpu", "cuda")

# What runs: on which hosts, and by which tag; `builds` is any but verify.
STEPS = {
    "host_settings": (HOSTS, "always"),
    "host_preflight": (HOSTS, "always"),
    "gpu_device": (HOSTS, "always"),
    "cpu_backend": (("cpu",), "builds"),
    "cuda_backend": (("cuda",), "builds"),
    "wsl_host": (("cuda",), "backend"),
    "managed_files jupyter_http_over_ws": (HOSTS, "jupyter"),
    "uv_env server": (HOSTS, "python"),
    "jupyter_config_dir": (HOSTS, "jupyter"),
    "uv_env cpu": (("cpu",), "python"),
    "uv_env cuda": (("cuda",), "python"),
    "managed_files colab_runtime": (HOSTS, "service"),
    "browser_policy": (HOSTS, "service"),
    "readiness_report": (HOSTS, "verify"),
}

KERNEL = {
    "display_name": "a name", "lock": "torch==0", "pinned": [], "constraints": [], "python_requires": "", "environment": {},
    "drop_bundled_hsa": False,
}  # fmt: skip
ANSWERS = {
    "host_settings": {"recalled": {}, "problems": [], "runtime": {}, "memory": None, "beyond_defaults": []},
    "host_preflight": {
        "user": "student", "user_home": "/nowhere", "user_exists": True, "user_comment": "", "home_open": False, "port": 8888,
        "prefix": "/nowhere/colab", "service_manager": "colab-runtime", "runtime": {"user": "student"},
        "backend_settings": [],
    },
    "gpu_device": {"backend": {"device_type": "cpu", "adapter": None, "card": None}, "adapters": [], "wsl": None},
    "cpu_backend": {"ansible_facts": {"colab_kernel": KERNEL}},
    "cuda_backend": {"ansible_facts": {"colab_kernel": KERNEL}},
    "managed_files": {"changed_paths": [], "diff": []},
    "readiness_report": {"ready": True, "message": "READY", "summary": {"ready": True}, "report": {}},
}  # fmt: skip

ACTION_STAND_IN = """# STAND-IN for the module of this name
import json, os
from ansible.plugins.action import ActionBase

ANSWERS = json.loads({answers!r})

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        name, args, host = self._task.action, self._task.args, task_vars["inventory_hostname"]
        answer = {{"changed": False, **ANSWERS.get(name, {{}})}}
        if name == "gpu_device":
            answer["backend"]["name"] = host
            answer["wsl"] = {{}} if host == "cuda" else None
        names = [name]
        if name == "uv_env":
            assert "torch==" in args["lock"] + str(args["pinned"]), args
            names = [f"uv_env {{os.path.basename(one['path'])}}" for one in [args, *args["beside"]]]
        if name == "managed_files":
            names = [name + " " + self._task._role.get_name()]
            answer["changed"] = os.path.exists({state!r} + "/changes")
        with open({state!r} + "/steps", "a") as file:
            file.writelines(host + " " + name + "\\n" for name in names)
        return answer
"""
RUNTIME_STAND_IN = (
    '#!/bin/sh\n# STAND-IN for colab-runtime\necho "runtime $*" >>{state}/steps\necho "already running"\n'
)


class Site:
    """The playbook with its roles, between stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("playbooks", "roles"):
            shutil.copytree(PROJECT / name, folder / name)
        (folder / "module_utils").symlink_to(PROJECT / "module_utils")
        runtime = folder / "colab-runtime"
        runtime.write_text(RUNTIME_STAND_IN.format(state=folder))
        runtime.chmod(0o755)
        for path in folder.glob("roles/colab_runtime/tasks/*.yml"):
            path.write_text(path.read_text().replace("/usr/local/bin/colab-runtime", str(runtime)))
        (folder / "action").mkdir()
        text = ACTION_STAND_IN.format(answers=json.dumps(ANSWERS), state=str(folder))
        for module in (*PROJECT.glob("library/*.py"), *PROJECT.glob("roles/*/library/*.py")):
            (folder / "action" / module.name).write_text(text)
        local = (
            "{ansible_connection: local, ansible_python_interpreter: /usr/bin/python3, browser_policy_enabled: true}"
        )
        (folder / "hosts.yml").write_text(f"colab_hosts: {{hosts: {{cpu: {local}, cuda: {local}}}}}")

    def run(self, *options: str) -> tuple[int, str, set[str]]:
        """Run it; the exit status, the output, and the steps."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        told = {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_ACTION_PLUGINS": str(self.folder / "action")}
        done = subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                f"--inventory={self.folder}/hosts.yml",
                self.folder / "playbooks" / "site.yml",
                *options,
            ],
            env={**kept, **told, "ANSIBLE_ROLES_PATH": str(self.folder / "roles"), "ANSIBLE_BECOME": "false"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        steps = self.folder / "steps"
        return done.returncode, done.stdout, {*steps.read_text().splitlines()} if steps.exists() else set()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def expected(chosen: set[str]) -> set[str]:
    every = chosen | {"always"} | ({"builds"} if chosen - {"verify"} else set())
    found = {f"{host} {step}" for step, (hosts, tag) in STEPS.items() for host in hosts if tag in every}
    return found | ({"runtime start"} if chosen & {"jupyter", "python", "service"} else set())


CHOICES: list[tuple[str, ...]] = [(tag,) for tag in TAGS] + [("python", "verify"), ("jupyter", "service")]
# Each pair and all larger sets, for who changes tags; they take minutes.
if os.environ.get("COLAB_READY_ALL_TAGS"):
    CHOICES = [choice for number in range(1, 6) for choice in itertools.combinations(TAGS, number)]


@pytest.mark.parametrize("chosen", CHOICES, ids=lambda chosen: ",".join(chosen))
def test_a_tag_runs_what_it_is_for_and_nothing_else(site: Site, chosen: tuple[str, ...]) -> None:
    status, said, steps = site.run("--tags", ",".join(chosen))
    assert status == 0, said
    assert steps == expected({*chosen}), said
    assert ("READY" in said.replace("said of READY", "")) is ("verify" in chosen)


@pytest.mark.parametrize("left_out", [tag for tag in TAGS if tag != "backend"])
def test_what_is_left_out_by_its_tag_is_all_that_is_left_out(site: Site, left_out: str) -> None:
    status, said, steps = site.run("--skip-tags", left_out)
    assert status == 0, said
    assert steps == expected({*TAGS} - {left_out}), said


def test_a_backend_that_is_left_out_cannot_say_what_its_environment_is_made_of(site: Site) -> None:
    status, said, steps = site.run("--skip-tags", "backend")
    assert status == 2 and not [step for step in steps if "uv_env c" in step], said
    hint = "the role of the backend, which knows it, was left out. Do: without --skip-tags backend"
    assert said.count(hint) == 2, "once for each host"


def test_every_step_is_run_without_tags_and_they_are_listed(site: Site) -> None:
    status, said, steps = site.run()
    assert status == 0 and steps == expected({*TAGS}), said
    _status, said, _steps = site.run("--list-tags")
    assert re.search(r"TASK TAGS: \[(.*)\]", said)[1].split(", ") == ["always", *TAGS]  # type: ignore[index]  # None fails, too


@pytest.mark.parametrize("runtime", [True, False])
def test_what_the_server_reads_restarts_it_where_there_is_one(site: Site, runtime: bool) -> None:
    (site.folder / "changes").touch()
    if not runtime:
        for path in (site.folder / "action").glob("host_preflight.py"):
            path.write_text(path.read_text().replace('"runtime": {"user": "student"}', '"runtime": {}'))
    status, said, steps = site.run("--tags", "jupyter")
    assert status == 0, said
    assert ("runtime start" in steps) is runtime, said


@pytest.mark.parametrize(
    ("task", "step"),
    [
        ("Put the token, the kernelspec, the command and the service in place", None),
        ("gpu_backend : Make the decision known", None),
        ("Say READY, or why not", None),
        ("Let the runtime start at every boot", None),
        ("Prove the tensor sum and the way from Colab", "cpu readiness_report"),
        ("Let Colab's page reach this device without a prompt", "cpu browser_policy"),
    ],
)
def test_a_run_that_starts_at_a_task_works_or_says_what_it_lacks(site: Site, task: str, step: str | None) -> None:
    status, said, steps = site.run("--start-at-task", task)
    if step:
        assert status == 0 and step in steps, said
    else:
        assert status == 2 and not steps, said
        hint = "an earlier task that finds it out was left out (--start-at-task, --step). Do: choose by --tags"
        assert said.count(hint) == 2, "once for each host"

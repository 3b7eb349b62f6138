"""The role colab_runtime in real runs of ansible-playbook: what it hands to the runtime, and which environments it takes away."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
CARD = {
    "names": ["NVIDIA GeForce RTX 4070", "the {{ name }} of 'a' \"card\""],
    "gfx": [],
    "others": ["Intel(R) UHD Graphics 770"],
    "capability": "8.9",
}


def play(
    folder: Path, tasks: list[dict[str, Any]], *options: str, roles: Sequence[str] = (), **variables: Any
) -> dict[str, Any]:
    """Run these roles of the folder and, behind them, these tasks; what the tasks registered or set comes back, with what
    changed by the names of the tasks."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    (folder / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "roles": list(roles), "post_tasks": tasks}]),
        encoding="utf-8",
    )
    variables = {"ansible_python_interpreter": sys.executable, **variables}
    (folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
    done = subprocess.run(
        [
            ANSIBLE_PLAYBOOK,
            "-i",
            "localhost,",
            "-c",
            "local",
            *options,
            folder / "play.yml",
            "-e",
            f"@{folder}/variables.json",
        ],
        env={
            **kept,
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "json",
            "ANSIBLE_NOCOLOR": "1",
        },
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    found["rc"] = done.returncode
    found["said"] = [task["hosts"]["localhost"].get("msg", "") for one in found["plays"] for task in one["tasks"]]
    found["warned"] = done.stderr
    return found


def results(found: dict[str, Any]) -> dict[str, Any]:
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in found["plays"][0]["tasks"]}


# As the playbook hands the values on: through templates, from what a module found out, which Ansible never takes for a template.
HANDED_ON = {
    "said": "{{ found.content | b64decode | from_json }}",
    "colab_runtime_card": "{{ said.card }}",
    "colab_runtime_kernel_environment": "{{ said.environment | default({}) }}",
}


@pytest.mark.parametrize(
    ("said", "card", "environment", "kernel"),
    [
        ({"card": None}, None, {}, {}),
        ({"card": {}}, None, {}, {}),
        ({"card": CARD}, CARD, {}, {}),
        (
            {
                "card": CARD,
                "environment": {"HSA_ENABLE_DXG_DETECTION": "1", "B": "a$b", "NUMBER": 1, "PATH": "/planted"},
            },
            CARD,
            {"HSA_ENABLE_DXG_DETECTION": "1", "B": "a$b", "NUMBER": "1", "PATH": "/planted"},
            {"HSA_ENABLE_DXG_DETECTION": "1", "B": "a$$b", "NUMBER": "1"},
        ),
    ],
)
def test_card_and_environment_are_handed_to_the_runtime_and_the_kernel(
    tmp_path: Path, said: dict[str, Any], card: Any, environment: dict[str, str], kernel: dict[str, str]
) -> None:
    """The role's own variables, and its arguments as its specification takes them."""
    role = PROJECT / "roles" / "colab_runtime"
    specification = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options = specification["argument_specs"]["main"]["options"]
    (tmp_path / "said.json").write_text(json.dumps(said), encoding="utf-8")
    tasks: list[dict[str, Any]] = [
        {"name": "find out", "ansible.builtin.slurp": {"src": f"{tmp_path}/said.json"}, "register": "found"},
        {"name": "load", "ansible.builtin.include_vars": {"file": str(role / "defaults" / "main.yml")}},
        {"name": "load more", "ansible.builtin.include_vars": {"file": str(role / "vars" / "main.yml")}},
        {
            "name": "take",
            "ansible.builtin.validate_argument_spec": {
                "argument_spec": options,
                "provided_arguments": {name: "{{ %s }}" % name for name in HANDED_ON if name in options},
            },
        },
        {
            "name": "write",
            "managed_files": {
                "files": [
                    {"path": f"{tmp_path}/runtime.json", "json": True, "content": "{{ __colab_runtime_settings }}"},
                    {"path": f"{tmp_path}/kernel.json", "json": True, "content": "{{ __colab_runtime_kernelspec }}"},
                ]
            },
        },
    ]
    host = {"user": "student", "user_home": "/home/a$b", "prefix": "/opt/colab-ready", "port": 8888}
    handed_on = {**HANDED_ON, "role_path": str(role)}
    found = play(tmp_path, tasks, **handed_on, colab_runtime_host={**host, "service_manager": "none", "runtime": None})
    assert found["rc"] == 0, found["said"]
    settings = json.loads((tmp_path / "runtime.json").read_text(encoding="utf-8"))
    assert (settings["card"], settings["environment"]) == (card, environment)
    assert (settings["user"], settings["port"], settings["service_manager"]) == ("student", 8888, "colab-runtime")
    # What the next start reads, as readiness_report compares it.
    program = (role / "files/colab-runtime").read_bytes()
    assert settings["files"]["/usr/local/bin/colab-runtime"] == hashlib.sha256(program).hexdigest()
    spec = json.loads((tmp_path / "kernel.json").read_text(encoding="utf-8"))
    own = {
        "PATH": "/opt/colab-ready/kernels/cpu/bin:${PATH}",
        "PIP_CONSTRAINT": "/opt/colab-ready/kernels/cpu/constraints.txt",
        "TORCHINDUCTOR_CACHE_DIR": "/home/a$$b/.cache/torchinductor",
        "UV_CONSTRAINT": "/opt/colab-ready/kernels/cpu/constraints.txt",
        "VIRTUAL_ENV": "/opt/colab-ready/kernels/cpu",
    }
    assert spec["env"] == {**kernel, **own}


@pytest.mark.parametrize("is_open", [True, False])
def test_the_home_is_closed_where_the_host_says_that_it_is_open(tmp_path: Path, is_open: bool) -> None:
    """The role colab's own task, foreseen in check mode."""
    *_, task = yaml.safe_load((PROJECT / "roles" / "colab" / "tasks" / "main.yml").read_text(encoding="utf-8"))
    host = {"user": "no-such-colab", "user_home": "/home/no-such-colab", "home_open": is_open}
    result = results(play(tmp_path, [task], "--check", colab_host=host, colab_builds=True))[task["name"]]
    assert (result.get("changed_paths") == [host["user_home"]], result.get("skipped", False)) == (is_open, not is_open)


def test_the_command_is_installed_with_all_that_it_imports_and_is_the_last_to_come(tmp_path: Path) -> None:
    """The role's own list, written elsewhere, and the command run from there as it is in place."""
    role = PROJECT / "roles" / "colab_runtime"
    tasks: list[dict[str, Any]] = [
        {"name": "load", "ansible.builtin.include_vars": {"file": str(role / "vars" / "main.yml")}},
        {"name": "list", "ansible.builtin.debug": {"msg": "{{ __colab_runtime_command_files }}"}},
    ]
    found = play(tmp_path, tasks, role_path=str(role))
    assert found["rc"] == 0, found["said"]
    files = results(found)["list"]["msg"]
    library = "/usr/local/lib/colab-ready"
    assert all(entry["path"].startswith(f"{library}/") or entry["path"] == library for entry in files[:-1])
    assert {entry.get("mode") for entry in files[:-1]} == {None}  # the module's own: 0755 for a folder, 0644 for a file
    assert (files[-1]["path"], files[-1]["mode"]) == ("/usr/local/bin/colab-runtime", "0755")
    for entry in files:
        path = tmp_path / "host" / entry["path"].removeprefix("/usr/local/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.get("state") == "directory":
            path.mkdir(exist_ok=True)
        else:
            path.write_text(entry["content"].replace(library, str(tmp_path / "host" / "lib" / "colab-ready")))
    command = [sys.executable, "-I", str(path), "--settings", str(tmp_path / "none"), "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stdout) == (78, "") and "none does not exist" in done.stderr
    assert not [*(tmp_path / "host").rglob("__pycache__")]


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Two environments of ours (one half built), somebody's own one, and other things beside them."""
    for name, files in {
        "cpu": ["colab-ready.json", "pyvenv.cfg", "lib/python3.11/x.py"],
        "directml": ["colab-ready.json", "pyvenv.cfg", "lib/python3.11/site-packages/y/colab-ready.json"],
        "rocm": ["colab-ready.json"],
        "mine": ["pyvenv.cfg", "bin/python", "lib/colab-ready.json"],
        "notes": ["todo.txt"],
    }.items():
        for file in files:
            path = tmp_path / "prefix" / "kernels" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}", encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "colab-ready.json").write_text("{}", encoding="utf-8")
    (tmp_path / "prefix" / "kernels" / "linked").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "prefix"


def test_only_environments_of_ours_go_and_the_used_one_stays(tmp_path: Path, prefix: Path) -> None:
    take_away = {
        "name": "role",
        "ansible.builtin.import_role": {"name": "colab_runtime", "tasks_from": "other_kernels"},
    }
    variables = {"colab_runtime_prefix": str(prefix), "colab_runtime_kernel": "cpu"}
    task = "colab_runtime : Keep only the kernel environment that is used, cpu"
    names = {"cpu", "directml", "linked", "mine", "notes", "rocm"}

    predicted = play(tmp_path, [take_away], "--check", **variables)
    assert predicted["rc"] == 0 and results(predicted)[task]["changed"], predicted["said"]
    assert {path.name for path in (prefix / "kernels").iterdir()} == names

    done = play(tmp_path, [take_away], **variables)
    assert done["rc"] == 0, done["said"]
    gone = {Path(one["colab_runtime_left_kernel"]).name for one in results(done)[task]["results"] if one["changed"]}
    assert gone == {"directml", "rocm"}
    assert {path.name for path in (prefix / "kernels").iterdir()} == names - gone
    assert (prefix / "kernels" / "mine" / "bin" / "python").exists()
    assert (tmp_path / "elsewhere" / "colab-ready.json").exists()

    again = play(tmp_path, [take_away], **variables)
    assert again["rc"] == 0 and not any(result.get("changed") for result in results(again).values())


def site() -> dict[str, Any]:
    (play,) = yaml.safe_load((PROJECT / "playbooks" / "site.yml").read_text(encoding="utf-8"))
    return dict(play)


@pytest.mark.parametrize(
    ("keep", "options", "built", "ran"),
    [
        (True, [], ["cpu", "directml"], False),
        ("yes", ["--check"], ["cpu", "directml"], False),
        (False, [], ["cpu", "directml"], True),
        ("no", [], ["directml"], True),
        (False, ["--check"], ["cpu", "directml"], True),
        (False, ["--check"], [], False),  # a fresh host
        (False, [], ["cpu"], False),
    ],
)
def test_others_are_looked_for_behind_the_proof_and_only_when_they_are_not_to_be_kept(
    tmp_path: Path, prefix: Path, keep: bool | str, options: list[str], built: list[str], ran: bool
) -> None:
    """The playbook's own task, alone: those before it would change this machine."""
    found = play(
        tmp_path,
        site()["post_tasks"],
        *options,
        colab_host={"prefix": str(prefix)},
        gpu_backend_detected={"host": {"built": built}},
        gpu_backend_name="cpu",
        readiness_result={"ready": True},
        colab_keep_kernels=keep,
    )
    assert found["rc"] == 0, found["said"]
    looked = "colab_runtime : Find the kernel environments of other backends"
    assert (looked in results(found)) is ran
    kept = not ran or "--check" in options
    assert [(prefix / "kernels" / name).exists() for name in ("cpu", "directml", "mine")] == [True, kept, True]


@pytest.mark.parametrize("proof", ["ready", "not ready"])
def test_the_environments_that_worked_stay_where_the_proof_of_the_new_one_fails(
    tmp_path: Path, prefix: Path, proof: str
) -> None:
    """With a stand-in for the proof, which is the last of the tasks."""
    assert site()["tasks"][-1]["ansible.builtin.import_role"] == {"name": "readiness"}
    assert "other_kernels" not in (PROJECT / "roles/colab_runtime/tasks/main.yml").read_text(encoding="utf-8")
    proven = {"name": "prove", "ansible.builtin.assert": {"that": f"'{proof}' == 'ready'"}}
    found = play(
        tmp_path,
        [proven, *site()["post_tasks"]],
        colab_host={"prefix": str(prefix)},
        gpu_backend_detected={"host": {"built": ["cpu", "directml"]}},
        gpu_backend_name="cpu",
        readiness_result={"ready": True},
        colab_keep_kernels=False,
    )
    assert (found["rc"] == 0) is (proof == "ready")
    assert (prefix / "kernels" / "directml").exists() is (proof != "ready")

"""What was asked for last holds: the module as a process, and Ansible's real precedence over sequences of runs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import PROJECT, RunModule, ansible_environment

TABLE = json.loads((PROJECT / "roles/host_settings/files/settings.json").read_text())
PLUGINS = Path(__file__).parent / "host_settings_plugins"


@pytest.fixture
def told(tmp_path: Path) -> dict[str, Any]:
    """What the role tells the module, of a host that remembers a port."""
    (tmp_path / "settings.json").write_text(json.dumps({"schema": 1, "settings": {"colab_port": 9000}}))
    (tmp_path / "runtime.json").write_text(
        json.dumps({"user": "student", "prefix": "/srv/colab", "port": 9000, "kernel": 7})
    )
    return {"known": TABLE, "path": str(tmp_path / "settings.json"), "runtime_config": str(tmp_path / "runtime.json")}


@pytest.mark.smoke("host_settings")
def test_what_is_remembered_and_what_was_built_is_read_and_nothing_changed(
    run_module: RunModule, told: dict[str, Any]
) -> None:
    result = run_module("host_settings", {**told, "current": {"colab_gpu": "1"}, "given": ["colab_gpu"]})
    assert not result.get("failed"), result.get("msg")
    assert result["recalled"] == {"colab_port": 9000}
    wanted = {"colab_port": 9000, "colab_gpu": "1", "colab_backend": "auto"}
    assert {name: result["settings"][name] for name in wanted} == wanted
    assert result["memory"] == {"schema": 1, "settings": {"colab_gpu": "1", "colab_port": 9000}}
    assert result["beyond_defaults"] == ["colab_port=9000", "colab_gpu=1"]
    assert result["problems"] == [] and result["changed"] is False
    assert result["runtime"] == {"user": "student", "prefix": "/srv/colab"}
    assert json.loads(Path(told["path"]).read_text())["settings"] == {"colab_port": 9000}


def test_what_is_remembered_already_need_not_be_written(run_module: RunModule, told: dict[str, Any]) -> None:
    assert run_module("host_settings", {**told, "current": {"colab_port": "9000"}})["memory"] is None


def test_a_lab_neither_reads_nor_writes(run_module: RunModule, told: dict[str, Any]) -> None:
    Path(told["path"]).write_text("damaged")
    result = run_module("host_settings", {**told, "remember": "no", "current": {"colab_gpu": "1"}})
    assert (result["failed"], result["recalled"], result["memory"], result["beyond_defaults"]) == (False, {}, None, [])


def test_a_damaged_file_stops_the_run_and_what_was_built_is_still_said(
    run_module: RunModule, told: dict[str, Any]
) -> None:
    Path(told["path"]).write_text("damaged")
    result = run_module("host_settings", told)
    assert result["failed"] and "is damaged" in result["msg"] and "Do: " in result["msg"]
    assert result["runtime"]["prefix"] == "/srv/colab"


def test_a_value_that_does_not_fit_does_not_hold(run_module: RunModule, told: dict[str, Any]) -> None:
    values = {"colab_port": "banana", "colab_gpu": "1"}
    Path(told["path"]).write_text(json.dumps({"schema": 1, "settings": values}))
    result = run_module("host_settings", told)
    assert [problem["id"] for problem in result["problems"]] == ["colab_port"]
    assert (result["recalled"], result["beyond_defaults"]) == ({"colab_gpu": "1"}, ["colab_gpu=1"])
    assert "colab_port is 'banana'" in " ".join(map(str, result["warnings"]))


@pytest.mark.parametrize("text", ["{", "[]", '{"prefix": 7, "user": null}', ""])
def test_of_a_damaged_runtime_nothing_is_said(run_module: RunModule, told: dict[str, Any], text: str) -> None:
    Path(told["runtime_config"]).write_text(text)
    assert run_module("host_settings", told)["runtime"] == {}


def test_of_a_runtime_that_others_can_change_nothing_is_said(run_module: RunModule, told: dict[str, Any]) -> None:
    Path(told["runtime_config"]).chmod(0o666)
    assert run_module("host_settings", told)["runtime"] == {}


def test_a_password_is_in_no_answer(run_module: RunModule, told: dict[str, Any]) -> None:
    index = {"python_env_torch_index": "https://me:hunter22@mirror/simple"}
    result = run_module("host_settings", {**told, "current": index})
    assert "hunter22" not in json.dumps(result)
    assert result["memory"] is None
    assert "python_env_torch_index may hold a password" in " ".join(map(str, result["warnings"]))


# --- sequences ------------------------------------------------------------------------------------------------------

SEED = int(os.environ.get("COLAB_READY_SEED", "16"))
SEQUENCES, STEPS = 100, 3
# Six settings, each with the values that people give, in the forms in which they come.
VALUES: dict[str, list[Any]] = {
    "colab_port": [9000, "9001", 8888],
    "colab_backend": ["cpu", "directml", "auto"],
    "colab_http_over_ws": [False, "no", "yes", True],
    "rocm_version": ["7.2.4", "", "10.0.0"],
    "colab_extra_packages": [["seaborn"], [], ["a>=1,<2", "b"]],
    "browser_policy_enabled": [True, "true", False],
}
PLAY = {
    "name": "What the role colab does first",
    "hosts": "colab_hosts",
    "gather_facts": False,
    # Their defaults are there; of the tasks only those with the tag run.
    "roles": ["colab", "rocm", "browser_policy"],
    "pre_tasks": [
        {"import_role": {"name": "host_settings", "tasks_from": "recall"}, "tags": ["first"]},
        {"note_values": {name: "{{ %s }}" % name for name in VALUES}, "tags": ["first"]},
    ],
}


def taken(name: str, value: Any) -> Any:
    """The value as the roles take it, by the kind of its default."""
    default = TABLE[name]["default"]
    if isinstance(default, bool):
        return str(value).lower() in ("true", "yes")
    return type(default)(value) if isinstance(default, int) else value


@dataclass
class Model:
    """One host, as a person understands it: what was asked last holds, else the default."""

    memory: dict[str, Any] = field(default_factory=dict)

    def run(self, inventory: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        given = {**inventory, **extra}
        self.memory |= {name: taken(name, value) for name, value in given.items()}
        return {name: self.memory.get(name, TABLE[name]["default"]) for name in VALUES}

    def beyond_defaults(self) -> set[str]:
        return {name for name, value in self.memory.items() if value != TABLE[name]["default"]}


def choose(dice: random.Random, names: list[str]) -> dict[str, Any]:
    return {name: dice.choice(VALUES[name]) for name in names}


def start(
    folder: Path, name: str, hosts: dict[str, dict[str, Any]], extra: list[str], **more: Any
) -> subprocess.Popen[str]:
    """Run the play on these hosts; -e has names alone, and takes each host's value."""
    play = folder / f"{name}.play.json"
    play.write_text(json.dumps([PLAY | more]))
    values = json.dumps({one: "{{ with_e_%s }}" % one for one in extra})
    return start_playbook(folder, play, hosts, "--tags=first", "--skip-tags=always", "-e", values)


def start_playbook(
    folder: Path, play: Path, hosts: dict[str, dict[str, Any]], *arguments: str
) -> subprocess.Popen[str]:
    inventory = folder / f"{play.stem}.inventory.json"
    all_ = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "remembers_in": str(folder)}
    inventory.write_text(json.dumps({"colab_hosts": {"hosts": hosts, "vars": all_}}))
    environment = {
        **ansible_environment(),
        "ANSIBLE_ACTION_PLUGINS": str(PLUGINS),
        "ANSIBLE_STDOUT_CALLBACK": "default",
    }
    return subprocess.Popen(
        ["ansible-playbook", "-i", inventory, "-f4", play, *arguments], env=environment, cwd=folder,
        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_was_asked_last_holds_over_a_hundred_sequences_of_runs(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    models = {f"pc{number:03}": Model() for number in range(SEQUENCES)}
    for step in range(STEPS):
        wanted: dict[str, dict[str, Any]] = {}
        # Half of the hosts with -e, all with an inventory that may be silent. The names behind -e are those of a run.
        names = dice.sample([*VALUES], dice.randint(1, 4))
        groups: dict[str, dict[str, dict[str, Any]]] = {"plain": {}, "with_e": {}}
        for host, model in models.items():
            inventory = choose(dice, [name for name in VALUES if dice.random() < 0.25])
            extra = choose(dice, names) if dice.random() < 0.5 else {}
            wanted[host] = model.run(inventory, extra)
            hidden = {f"with_e_{name}": value for name, value in extra.items()}
            groups["with_e" if extra else "plain"][host] = inventory | hidden
        running = [
            start(tmp_path, f"{group}{step}", hosts, names if group == "with_e" else [])
            for group, hosts in groups.items()
        ]
        for process in running:
            ended(process)
        for host, model in models.items():
            values = {name: taken(name, value) for name, value in read(tmp_path / f"{host}.values").items()}
            assert values == wanted[host], (SEED, step, host)
            held = read(tmp_path / f"{host}.held")
            assert {one.partition("=")[0] for one in held} == model.beyond_defaults(), (SEED, step, host)


def test_the_variables_of_somebodys_own_play_come_before_what_is_remembered(tmp_path: Path) -> None:
    remembered = {"colab_port": 9000, "rocm_version": "7.2.4"}
    (tmp_path / "pc.json").write_text(json.dumps({"schema": 1, "settings": remembered}))
    ended(start(tmp_path, "own", {"pc": {}}, [], vars={"colab_port": 9002}))
    found = read(tmp_path / "pc.values")
    assert (found["colab_port"], found["rocm_version"]) == (9002, "7.2.4")


def test_verify_decides_on_what_the_host_was_asked_for_and_built_in(tmp_path: Path) -> None:
    remembered = {
        "colab_backend": "directml",
        "colab_gpu": "1",
        "colab_prefix": "/srv/colab",
        "colab_python_fetch": False,
    }
    (tmp_path / "pc.json").write_text(json.dumps({"schema": 1, "settings": remembered}))
    ended(start_playbook(tmp_path, PROJECT / "playbooks/verify.yml", {"pc": {"ansible_become": False}}))
    wanted = {"backend": "directml", "gpu": "1", "prefix": "/srv/colab", "python_fetch": False}
    asked = read(tmp_path / "asked")
    assert {name: asked[name] for name in wanted} == wanted


def test_verify_goes_on_where_what_was_asked_for_cannot_be_had_any_more(tmp_path: Path) -> None:
    (tmp_path / "pc.json").write_text(json.dumps({"schema": 1, "settings": {"colab_backend": "cuda"}}))
    process = start_playbook(tmp_path, PROJECT / "playbooks/verify.yml", {"pc": {"ansible_become": False}})
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "this host cannot have CUDA" in output, output
    assert "Prove the tensor sum" in output and read(tmp_path / "asked")["backend"] == "auto"

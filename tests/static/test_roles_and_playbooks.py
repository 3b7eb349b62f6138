"""Roles say what they take, playbooks parse, and what is generated from them is up to date."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkout
import pytest
import python_environments
import yaml
from ansible.module_utils.colab_ready.backends.cpu.kernel import kernel
from ansible.module_utils.colab_ready.backends.registry import BACKENDS

TOOLS = Path(sys.executable).parent


def load(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def environment(project: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {**kept, "ANSIBLE_CONFIG": str(project / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


@pytest.mark.parametrize("role", checkout.roles())
def test_argument_specs_and_defaults_name_the_same_variables(project: Path, role: str) -> None:
    folder = project / "roles" / role
    specs = load(folder / "meta" / "argument_specs.yml")["argument_specs"]
    options = {name: option for entry in specs.values() for name, option in entry.get("options", {}).items()}
    required = {name for name, option in options.items() if option.get("required")}
    defaults = load(folder / "defaults" / "main.yml")
    assert set(options) - required == set(defaults)
    # README.md takes them from the defaults: a second copy could say something else.
    assert not [name for name, option in options.items() if "default" in option]


@pytest.mark.parametrize("role", checkout.roles())
def test_every_default_has_a_comment_above_it(project: Path, role: str) -> None:
    path = project / "roles" / role / "defaults" / "main.yml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    bare = [
        line for above, line in zip(lines, lines[1:], strict=False)
        if line[:1].isalpha() and not above.startswith("#")
    ]  # fmt: skip
    assert not bare


@pytest.mark.parametrize("role", checkout.roles())
def test_every_default_and_every_fact_is_handed_on(project: Path, role: str) -> None:
    """By the role itself; what is for others, by them or the playbooks. A task that lost the line for it runs all the same."""
    parts = [path for part in ("tasks", "vars", "handlers", "templates") for path in project.glob(f"roles/*/{part}/*")]
    texts = [path.read_text(encoding="utf-8") for path in [*parts, *project.glob("playbooks/*.yml")]]
    tasks = yaml.safe_load((project / "roles" / role / "tasks" / "main.yml").read_text(encoding="utf-8"))
    names = {*load(project / "roles" / role / "defaults" / "main.yml")}
    names.update(*(task.get("ansible.builtin.set_fact", {}) for task in tasks))
    # What the decision hangs on is read by its name (gpu_backend_settings).
    names -= {f"{one.name}_{setting}" for one in BACKENDS for setting in one.settings}
    # Where it is given a value, `name:`, it is not read.
    assert not [name for name in names if not any(re.search(rf"\b{name}\b(?!:)", text) for text in texts)]


def test_the_playbook_tells_each_role_whether_a_python_may_be_fetched(project: Path) -> None:
    (play,) = yaml.safe_load((project / "playbooks" / "site.yml").read_text(encoding="utf-8"))
    told = {one["role"]: one.get("vars", {}) for one in play["roles"]}
    for role in sorted(told.keys() - {"colab"}):
        name = f"{role}_python_fetch"
        if name in load(project / "roles" / role / "defaults" / "main.yml"):
            assert "colab_python_fetch | bool" in told[role].get(name, ""), role


@pytest.fixture(scope="module")
def rendered(project: Path) -> dict[str, Any]:
    """What ansible-doc makes of all roles, in one run."""
    done = subprocess.run(
        [TOOLS / "ansible-doc", "--json", "--type", "role", "--roles-path", project / "roles", *checkout.roles()],
        capture_output=True,
        text=True,
        env=environment(project),
        cwd=project,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("role", checkout.roles())
def test_role_documentation_renders(rendered: dict[str, Any], role: str) -> None:
    entries = rendered[role]["entry_points"]
    assert entries["main"]["short_description"]
    for entry in entries.values():
        assert all(option.get("description") for option in entry.get("options", {}).values())


@pytest.mark.parametrize("path", [path for path in checkout.files() if path.parts[0] == "playbooks"], ids=str)
def test_playbook_parses(project: Path, path: Path) -> None:
    if len(path.parts) > 2 or path.suffix != ".yml":
        pytest.skip("no playbook: tasks or files that playbooks include")
    done = subprocess.run(
        [TOOLS / "ansible-playbook", "--syntax-check", path],
        capture_output=True,
        text=True,
        env=environment(project),
        cwd=project,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_role_readmes_are_what_the_generator_writes(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, project / "tools" / "role_readme.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_tests_install_the_torch_that_the_product_pins() -> None:
    pin, *_others = kernel("", "", False).pinned
    assert (pin["requirement"], pin["index"]) == (
        python_environments.TORCH_REQUIREMENT,
        python_environments.TORCH_INDEX,
    )


def test_no_task_switches_its_errors_off(project: Path) -> None:
    found = [
        f"{path}:{number}"
        for path in checkout.with_suffix(".yml")
        for number, line in enumerate((project / path).read_text(encoding="utf-8").splitlines(), 1)
        if line.strip().startswith("ignore_errors:")
    ]
    assert not found


def test_a_backend_is_a_folder_a_role_with_its_module_and_a_row(project: Path) -> None:
    """And what its decision hangs on are variables of its role."""
    folders = {path.parent.name for path in project.glob("module_utils/colab_ready/backends/*/judge.py")}
    assert [one.name for one in BACKENDS if one.name not in folders] == []
    assert len(BACKENDS) == len(folders)
    for backend in BACKENDS:
        role = project / "roles" / backend.name
        assert (role / "library" / f"{backend.name}_backend.py").is_file()
        assert {f"{backend.name}_{name}" for name in backend.settings} <= set(load(role / "defaults" / "main.yml"))

"""Every module is documented and shaped as ansible-core's own checker wants it, and parses on a host's older Python."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import checkout
import pytest

# `ansible-test sanity` fetches things from the network; its checker alone does not (facts in CONTRIBUTING.md). It wants
# a collection, so it gets a throw-away one.
NAMESPACE = ("colab", "ready")


def test_there_are_modules() -> None:
    assert checkout.modules()


def test_each_module_has_one_quick_test_as_a_process(project: Path) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in project.glob("tests/modules/test_*.py"))
    assert sorted(re.findall(r"^@pytest\.mark\.smoke\(\"(\w+)\"\)$", tests, re.MULTILINE)) == sorted(checkout.modules())


@pytest.fixture(scope="module")
def rendered(project: Path) -> dict[str, Any]:
    """What ansible-doc makes of all modules, in one run."""
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-doc",
            "--json",
            "--module-path",
            checkout.libraries(),
            *checkout.modules(),
        ],
        capture_output=True,
        text=True,
        cwd=project,
        env={**os.environ, "ANSIBLE_CONFIG": str(project / "ansible.cfg")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", checkout.modules())
def test_module_documentation_renders(rendered: dict[str, Any], name: str) -> None:
    text = rendered[name]
    assert text["doc"]["description"]
    assert text["examples"]
    assert text["return"], "RETURN is empty"


def collection(project: Path, root: Path) -> Path:
    """A collection made of copies, with our module_utils imported by the collection's name."""
    plugins = root / "ansible_collections" / NAMESPACE[0] / NAMESPACE[1] / "plugins"
    ours = "ansible.module_utils.colab_ready"
    theirs = f"ansible_collections.{'.'.join(NAMESPACE)}.plugins.module_utils.colab_ready"
    sources = [("library", "modules"), ("module_utils/colab_ready", "module_utils/colab_ready")]
    sources += [(str(path.relative_to(project)), "modules") for path in project.glob("roles/*/library")]
    for source, target in sources:
        for path in sorted((project / source).rglob("*.py")):
            copy = plugins / target / path.relative_to(project / source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text(encoding="utf-8").replace(ours, theirs), encoding="utf-8")
    (plugins / "module_utils" / "colab_ready" / "__init__.py").touch()
    return plugins.parent


def test_validate_modules_finds_nothing(project: Path, tmp_path: Path) -> None:
    folder = collection(project, tmp_path)
    spec = find_spec("ansible_test")
    assert spec is not None and spec.submodule_search_locations
    checker = Path(spec.submodule_search_locations[0]) / "_util" / "controller" / "sanity" / "validate-modules"
    environment = {
        **os.environ,
        "PYTHONPATH": str(checker),
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command: list[str | Path] = [sys.executable, checker / "validate.py", "--format", "json", "--arg-spec"]
    command += ["--collection", folder.relative_to(tmp_path), "plugins/modules"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().startswith("{"), f"the checker said nothing readable:\n{done.stdout}\n{done.stderr}"
    findings = [
        f"{Path(path).name}: {entry['code']}: {entry['msg']}"
        for path, report in json.loads(done.stdout).items()
        for entry in report["errors"] + report.get("warnings", [])
    ]
    assert not findings, "\n".join(findings)
    assert done.returncode == 0, done.stderr


def test_what_runs_on_a_host_parses_on_python_3_10(project: Path) -> None:
    """A host's interpreter may be older than the controller's; new syntax would break before any message of ours."""
    for path in checkout.with_suffix(".py"):
        if path in checkout.module_files() or path.parts[0] == "module_utils":
            ast.parse((project / path).read_text(encoding="utf-8"), str(path), feature_version=(3, 10))


def test_what_runs_on_a_host_bears_the_licence_in_its_head(project: Path) -> None:
    for path in checkout.with_suffix(".py"):
        text = (project / path).read_text(encoding="utf-8")
        # A package's empty __init__.py is nobody's work.
        ours = (
            path.parts[0] in ("module_utils", "callback_plugins", "inventory_plugins", "launcher")
            or path in checkout.module_files()
        )
        if text and ours:
            head = "\n".join(text.splitlines()[:6])
            assert "SPDX-License-Identifier: GPL-3.0-or-later" in head, path


def test_what_runs_on_a_host_imports_the_standard_library_and_ansible_only(project: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"ansible", "__future__"}
    # A probe runs under an environment's own interpreter, which is where torch and Jupyter are, and Ansible is not.
    in_probes = set(sys.stdlib_module_names) | {"tornado", "torch", "torch_directml"}
    foreign = []
    for path in checkout.with_suffix(".py"):
        if path not in checkout.module_files() and path.parts[0] != "module_utils":
            continue
        known = in_probes if "probes" in path.parts else allowed
        for node in ast.walk(ast.parse((project / path).read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            foreign += [f"{path}: {name}" for name in names if name.split(".")[0] not in known]
    assert not foreign, "\n".join(foreign)

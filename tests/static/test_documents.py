"""What the documents promise about the code: step ids, remedies, variables, links, and a notebook that can be opened."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import checkout
import pytest
import readme_commands
import yaml
from ansible.module_utils.colab_ready.backends.rocm import check as rocm_check
from ansible.module_utils.colab_ready.proof import handshake_verdict, remedies, report, tensor_verdict
from ansible.module_utils.colab_ready.wsl import conf as wsl_conf

LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]*)#([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#{1,6}) +(.+?)\s*$", re.MULTILINE)
STEP = re.compile(r"[a-z]+(_[a-z0-9]+)*")
PORTABLE_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # nbformat 4.5's schema


def text_of(project: Path, path: str | Path) -> str:
    return (project / path).read_text(encoding="utf-8")


def headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in HEADING.findall(FENCE.sub("", text))]


def anchors(text: str) -> set[str]:
    """What GitHub makes of headings: lower case, no punctuation but `-` and `_`, blanks to `-`, a number on repetition."""
    found: Counter[str] = Counter()
    result = set()
    for _level, title in headings(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        result.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return result


def written_in(module: Any, beside: str) -> set[str]:
    """The values of `id` in the dictionaries of a module's source that have this other key, too."""
    found = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict):
            entry = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            name = entry.get("id")
            if beside in entry and isinstance(name, ast.Constant) and isinstance(name.value, str):
                found.add(name.value)
    return found


def checked_in(module: Any) -> set[str]:
    """The steps of the checks of one step that a module's source has."""
    calls = [
        node
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check_of"
    ]
    return {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}


def known_steps() -> set[str]:
    tensor = {step for backend in tensor_verdict.TENSOR_BACKENDS.values() for step in backend["steps"]}
    others = {step for module in (report, rocm_check, wsl_conf) for step in checked_in(module)}
    return {*handshake_verdict.handshake_plan(True), *handshake_verdict.handshake_plan(False), *tensor, *others}


# --- docs/connect.md ------------------------------------------------------------------------------------------------


def test_every_step_that_verify_prints_has_one_heading_and_no_other_looks_like_a_step(project: Path) -> None:
    titles = (title for level, title in headings(text_of(project, "docs/connect.md")) if level == 3)
    said = Counter(title for title in titles if STEP.fullmatch(title))
    known = known_steps()
    assert {step: said[step] for step in known | set(said)} == dict.fromkeys(known, 1)


def test_every_remedy_is_mentioned_and_no_other(project: Path) -> None:
    known = {*remedies.REMEDIES, *report.REMEDIES, *written_in(wsl_conf, "cause")}
    text = text_of(project, "docs/connect.md")
    assert not {remedy for remedy in known if f"`{remedy}`" not in text}
    listed = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text))
    assert not {word for word in listed if word.startswith("open_")} - known


# --- all documents --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", checkout.with_suffix(".md"), ids=str)
def test_links_to_a_heading_lead_to_one(project: Path, path: Path) -> None:
    """That the file itself is there, test_files.py says."""
    dead = []
    for target, anchor in LINK.findall(FENCE.sub("", text_of(project, path))):
        place = project / path.parent / target if target else project / path
        if "://" not in target and place.suffix == ".md" and anchor not in anchors(text_of(project, place)):
            dead.append(f"{target}#{anchor}")
    assert not dead


def test_every_variable_of_the_settings_page_is_a_default_of_some_role(project: Path) -> None:
    named = set(re.findall(r"^\| `([a-z_]+)` \|", text_of(project, "docs/settings.md"), re.MULTILINE))
    defaults: set[str] = set()
    for role in checkout.roles():
        file = project / "roles" / role / "defaults" / "main.yml"
        defaults |= set(yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.exists() else set()
    assert named and named <= defaults


def test_every_command_of_the_readme_is_executed_by_a_test_or_said_to_be_none_of_linux() -> None:
    assert readme_commands.inline() == {*readme_commands.EXECUTED, *readme_commands.NOT_HERE} | (
        readme_commands.AT_THE_END | readme_commands.MENTIONED
    )
    first, second, third = readme_commands.block()
    assert readme_commands.ADDRESS in second and third == "./colab-ready" and "install -y git" in first


# --- docs/first-notebook.ipynb --------------------------------------------------------------------------------------


@pytest.fixture
def notebook(project: Path) -> dict[str, Any]:
    return dict(json.loads(text_of(project, "docs/first-notebook.ipynb")))


def test_the_notebook_is_nbformat_4_5_for_the_kernel_of_the_runtime(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source", *code}
        assert cell["cell_type"] in ("code", "markdown") and "".join(cell["source"]).strip()
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(PORTABLE_ID.fullmatch(name) for name in ids)


def test_the_notebook_stores_no_output(notebook: dict[str, Any]) -> None:
    ran = [cell["id"] for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count") is not None]
    assert not ran


def test_the_notebook_compiles_and_imports_nothing_but_what_the_kernel_environment_has(
    notebook: dict[str, Any],
) -> None:
    imported = set()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]), cell["id"])):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                imported |= {name.split(".")[0] for name in names}
    # torch_directml is asked for only where it is installed.
    assert imported - set(sys.stdlib_module_names) <= {"torch", "torch_directml", "matplotlib"}

"""Which variables given with -e are called misspelt."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

PLUGIN = Path(__file__).parents[2] / "callback_plugins" / "colab_verdict.py"


def load_plugin() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colab_verdict_under_test", PLUGIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


plugin = load_plugin()

OURS = {"colab": {"colab_port", "colab_gpu"}, "rocm": {"rocm_version"}, "browser_policy": {"browser_policy_enabled"}}


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("colab_prot", "Do: write colab_port if"),
        ("colba_port", "Do: write colab_port if"),
        ("colab-port", "Do: write colab_port if"),
        ("rocm_versoin", "Do: write rocm_version if"),
        ("browser_policy_enable", "Do: write browser_policy_enabled if"),
        ("rocm_zzzzzzzzzzzzzzzzzzzz", "Do: leave it out"),
    ],
)
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(name: str, guess: str) -> None:
    said = plugin.misspelt(["colab_port", name], OURS)
    assert len(said) == 1
    assert said[0].startswith(f"{name} is no variable of colab-ready and changes nothing. ") and guess in said[0]


@pytest.mark.parametrize("names", [[], ["colab_port", "rocm_version"], ["ansible_become", "school_proxy", "port", "x"]])
def test_variables_of_ours_and_of_others_are_not_called_misspelt(names: list[str]) -> None:
    assert plugin.misspelt(names, OURS) == []
    assert plugin.misspelt(["colab_prot"], {}) == [], "not where our roles are not known"


def test_every_variable_that_the_roles_document_is_known() -> None:
    roles = Path(__file__).parents[2] / "roles"
    variables = plugin.variables_of(roles)
    assert sorted(variables) == sorted(path.name for path in roles.iterdir() if path.is_dir())
    for role, names in variables.items():
        options = yaml.safe_load((roles / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"][
            "options"
        ]
        path = roles / role / "defaults/main.yml"
        assert names == {*options, *(yaml.safe_load(path.read_text()) if path.exists() else ())}, role

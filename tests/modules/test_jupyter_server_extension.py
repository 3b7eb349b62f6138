"""The module jupyter_server_extension as a play runs it, and Jupyter Server's own word on what it wrote."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAME = "colab_http_over_ws"


@pytest.fixture
def extension(run_module: Any, tmp_path: Path) -> Any:
    def run(state: str = "enabled", check: bool = False, **args: Any) -> dict[str, Any]:
        given = {"name": NAME, "config_dir": str(tmp_path / "jupyter"), "state": state, "owner": getpass.getuser()}
        result: dict[str, Any] = run_module("jupyter_server_extension", given | args, check=check, diff=True)
        return result

    return run


def jupyters_word(python: Path, config_dir: Path) -> Any:
    source = (
        "import json; from jupyter_core.paths import jupyter_config_path as path; "
        "from jupyter_server.extension.config import ExtensionConfigManager as Manager; "
        "print(json.dumps(Manager(read_config_path=path()).get_jpserver_extensions()))"
    )
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(config_dir), "JUPYTER_PREFER_ENV_PATH": "0"}
    done = subprocess.run([python, "-c", source], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout).get(NAME)


@pytest.mark.smoke("jupyter_server_extension")
def test_jupyter_sees_it_enabled_then_disabled_then_not_at_all(
    extension: Any, server_python: Path, tmp_path: Path
) -> None:
    for state, seen in (("enabled", True), ("disabled", False), ("absent", None)):
        assert extension(state)["changed"] is True
        assert jupyters_word(server_python, tmp_path / "jupyter") is seen
        assert extension(state)["changed"] is False


def test_check_mode_on_a_virgin_host_says_what_would_be_and_makes_nothing(extension: Any, tmp_path: Path) -> None:
    result = extension(check=True)
    assert result["changed"] is True
    assert list(tmp_path.iterdir()) == []
    assert result["path"] == str(tmp_path / "jupyter/jupyter_server_config.d" / f"{NAME}.json")


def test_a_corrupted_file_is_replaced_and_its_content_kept(extension: Any) -> None:
    path = Path(extension()["path"])
    path.write_text('{"ServerApp": {"jpserv')
    assert extension()["changed"] is True
    (kept,) = path.parent.glob(f"{NAME}.json.unusable-*")
    assert kept.read_text() == '{"ServerApp": {"jpserv'
    assert json.loads(path.read_text()) == {"ServerApp": {"jpserver_extensions": {NAME: True}}}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"name": "no such name"}, "Expected the name of the Python module"),
        ({"config_dir": "relative"}, "Expected an absolute path"),
        ({"owner": "nobody-of-that-name"}, "Expected an existing account"),
    ],
)
def test_bad_input_is_one_message_that_says_what_to_do(extension: Any, args: dict[str, str], says: str) -> None:
    result = extension(**args)
    assert result["failed"] is True
    assert says in result["msg"]
    assert "exception" not in result

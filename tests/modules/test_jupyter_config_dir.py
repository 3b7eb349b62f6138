"""The module jupyter_config_dir as a play runs it, on a stand-in for the system's prefix."""

from __future__ import annotations

import getpass
import grp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.files.guarded_paths import Attributes
from ansible.module_utils.colab_ready.jupyter import config_paths
from ansible.module_utils.colab_ready.jupyter.config_repair import Repair, Settings

NAME = "colab_http_over_ws"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Prefix:
    """Directories that look like the system's Python (a stand-in: its interpreter only starts the one of the tests)."""

    def __init__(self, root: Path, run_module: Any, source: Path) -> None:
        self.root = root
        self.run_module = run_module
        self.site = root / f"usr/local/lib/python{VERSION}/dist-packages"
        self.entry = root / f"usr/etc/jupyter/jupyter_server_config.d/{NAME}.json"
        self.args: dict[str, Any] = {
            "prefix": str(root / "usr"),
            "owner": getpass.getuser(),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "extension": NAME,
            "extension_source": str(source),
            "system_dirs": [str(root / "etc/jupyter")],
            "state_file": str(root / "state/jupyter_config_dir.json"),
        }
        for path in (self.site, root / "usr/lib/python3/dist-packages", root / "usr/bin", root / "etc"):
            path.mkdir(parents=True)
        python = root / f"usr/bin/python{VERSION}"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (root / "usr/bin/python3").symlink_to(python.name)

    def install(self, *names: str) -> None:
        for name in names:
            (self.root / f"usr/lib/python3/dist-packages/{name}-1.0.dist-info").mkdir()

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        """The module, as a play runs it."""
        result: dict[str, Any] = self.run_module("jupyter_config_dir", self.args | args, check=check, diff=True)
        return result

    def repair(self, extension: str | None = NAME, remove: bool = False, check: bool = False) -> Repair:
        """What the module does, in this process, which is quicker."""
        settings = Settings(
            prefix=self.args["prefix"],
            directory_as=Attributes(os.getuid(), os.getgid(), 0o755),
            extension=extension,
            create="auto",
            users=[],
            system_dirs=[],
            extension_source=self.args["extension_source"],
            state_file=self.args["state_file"],
            check=check,
        )
        repair = Repair(settings)
        repair.remove() if remove else repair.converge()
        return repair

    def listing(self) -> list[str]:
        return sorted(f"{path.relative_to(self.root)} {path.lstat().st_mode:o}" for path in self.root.rglob("*"))


@pytest.fixture
def prefix(tmp_path: Path, run_module: Any, project: Path) -> Prefix:
    source = tmp_path / "source"
    shutil.copytree(project / "roles/jupyter_http_over_ws/files" / NAME, source)
    (tmp_path / "host").mkdir()
    return Prefix(tmp_path / "host", run_module, source)


@pytest.mark.smoke("jupyter_config_dir")
def test_the_extension_is_enabled_and_importable_stays_so_and_goes_without_a_trace(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    before = prefix.listing()
    assert prefix(check=True)["changed"] is True
    assert prefix.listing() == before

    result = prefix()
    assert result["changed"] is True
    assert (result["extension_enabled"], result["reasons"], result["findings"]) == (True, [], [])
    assert result["system_jupyter"][0]["versions"]["jupyter_http_over_ws"] == "1.0"
    assert json.loads(prefix.entry.read_text()) == {"ServerApp": {"jpserver_extensions": {NAME: True}}}
    look = f"import {NAME}; print({NAME}.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", look], env={"PYTHONPATH": str(prefix.site)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(prefix.site / NAME / "__init__.py")
    assert not (prefix.site / ".lock").exists()
    assert prefix()["changed"] is False

    (prefix.site / NAME / "__pycache__/left.pyc").parent.mkdir(exist_ok=True)
    (prefix.site / NAME / "__pycache__/left.pyc").write_text("")
    assert prefix(state="absent", check=True)["changed"] is True
    assert prefix(state="absent")["changed"] is True
    assert prefix.listing() == before
    assert prefix(state="absent")["changed"] is False


def test_what_was_damaged_is_put_right(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    prefix.repair()
    (prefix.site / NAME / "compat.py").write_text("broken")
    (prefix.site / NAME / "hide_secrets.py").chmod(0o600)
    prefix.entry.write_text("{")
    prefix.entry.parent.parent.chmod(0o777)
    repair = prefix.repair()
    assert [(one["mode"], one["repaired"]) for one in repair.findings] == [("0777", True)]
    assert "StrictVersion" in (prefix.site / NAME / "compat.py").read_text()
    assert (prefix.site / NAME / "hide_secrets.py").stat().st_mode & 0o777 == 0o644
    assert json.loads(prefix.entry.read_text())
    assert prefix.repair().changes.before == ""


def test_what_somebody_may_have_planted_is_said_by_the_run_that_tightens_the_directory(prefix: Prefix) -> None:
    folder = prefix.root / "etc/jupyter"
    folder.mkdir()
    (folder / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": {"token": ""}}))
    folder.chmod(0o777)
    for check in (True, False):
        result = prefix(check=check)
        opened, planted = result["findings"]
        assert (opened["planted"], opened["repaired"]) == (None, True)
        assert planted["planted"] == "switches the token off (ServerApp.token)"
    assert prefix()["findings"] == []
    assert (folder / "jupyter_server_config.json").exists()


def test_check_mode_says_the_same_as_the_run_after_it(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    for remove in (False, True):
        would, done = prefix.repair(remove=remove, check=True), prefix.repair(remove=remove)
        assert done.changes.after
        assert (would.changes.before, would.changes.after) == (done.changes.before, done.changes.after)


def test_another_version_in_its_place_is_replaced(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    prefix.repair()
    project = Path(prefix.args["extension_source"]) / "pyproject.toml"
    project.write_text(re.sub(r'(?m)^version = ".*"$', 'version = "9.8.7"', project.read_text()))
    assert "package 9.8.7" in prefix.repair().changes.after
    assert sorted(path.name for path in prefix.site.iterdir()) == [NAME, f"{NAME}-9.8.7.dist-info"]
    assert prefix.repair().changes.before == ""


def test_a_strict_umask_does_not_hide_the_package_from_users(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    umask = os.umask(0o077)
    try:
        prefix.repair()
    finally:
        os.umask(umask)
    found = {path.stat().st_mode & 0o055 for path in [*prefix.site.rglob("*"), *prefix.entry.parents[:3]]}
    assert found <= {0o044, 0o055}


def test_what_was_installed_is_removed_though_the_record_is_lost(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    prefix.repair()
    shutil.rmtree(prefix.root / "state")
    assert prefix.repair(remove=True).changes.after
    assert not prefix.entry.exists()
    assert list(prefix.site.iterdir()) == []


def test_somebody_elses_package_of_that_name_stays(prefix: Prefix) -> None:
    (prefix.site / NAME).mkdir()
    (prefix.site / f"{NAME}-9.dist-info").mkdir()
    assert prefix.repair(remove=True).changes.before == ""
    assert len(list(prefix.site.iterdir())) == 2


def test_no_entry_is_made_that_would_only_warn(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "notebook")
    repair = prefix.repair()
    assert repair.extension_enabled is False
    assert "lacks jupyter_http_over_ws" in repair.reasons[0]
    assert prefix.entry.parent.is_dir()
    assert not prefix.entry.exists()
    assert prefix.repair().changes.before == ""


def test_switched_off_again_the_extension_goes_and_the_directory_stays(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    prefix.repair()
    assert prefix.repair(extension=None).changes.before
    assert not prefix.entry.exists()
    assert list(prefix.site.iterdir()) == []
    assert prefix.entry.parent.is_dir()
    assert prefix.repair(extension=None).changes.before == ""


def test_check_mode_on_a_virgin_host_needs_neither_source_nor_user(prefix: Prefix) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    result = prefix(check=True, extension_source="/nowhere", users=["nobody-of-that-name"])
    assert result["changed"] is True
    assert result["extension_enabled"] is True


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"mode": 511}, "Expected four octal digits in quotes"),
        ({"users": ["nobody-of-that-name"]}, "Expected existing users"),
        ({"extension_source": "/nowhere"}, "Let the role jupyter_http_over_ws put it there"),
    ],
)
def test_bad_input_is_one_message_that_says_what_to_do(prefix: Prefix, args: dict[str, Any], says: str) -> None:
    prefix.install("jupyter_server", "jupyter_http_over_ws", "six")
    result = prefix(**args)
    assert result["failed"] is True
    assert says in result["msg"]
    assert "exception" not in result


@pytest.mark.parametrize("base", ["/usr", "/an/environment"])
def test_our_rules_for_the_search_path_are_jupyters_own(server_python: Path, base: str, tmp_path: Path) -> None:
    """jupyter_core says where it looks, for a Python with this prefix."""
    source = (
        f"import json, site, sys; sys.prefix = {base!r}; sys.base_prefix = {base!r}; site.ENABLE_USER_SITE = True; "
        "from jupyter_core.paths import jupyter_config_path; print(json.dumps(jupyter_config_path()))"
    )
    done = subprocess.run(
        [server_python, "-c", source], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert config_paths.config_path(base, str(tmp_path)) == json.loads(done.stdout)

"""A source folder of our own is packed into a wheel by our own code, always the same one, and nothing else is understood."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.python import wheel
from ansible.module_utils.colab_ready.python.lock import LockError

PROJECT = """\
[build-system]
requires = ["some-backend"]
build-backend = "some_backend"

[project]
# a comment
name = "My_Pkg"
version = '0.1'
description = "What it is"
requires-python = ">=3.10"
license = "GPL-3.0-or-later"
dependencies = [
    "first",
    "second>=2 ; python_version > '3.10'",
]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "src" / "my_pkg" / "data").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "src" / "my_pkg" / "__init__.py").write_text("version = 1\n")
    (folder / "src" / "my_pkg" / "data" / "table.json").write_text("{}")
    return folder


def content(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_holds_the_package_and_says_what_it_is(source: Path, tmp_path: Path) -> None:
    package = wheel.read_package(str(source))
    assert (package.name, package.version) == ("my-pkg", "0.1")
    path = package.write(str(tmp_path))
    assert Path(path).name == "my_pkg-0.1-py3-none-any.whl"
    files = content(path)
    assert sorted(files) == [
        "my_pkg-0.1.dist-info/METADATA",
        "my_pkg-0.1.dist-info/RECORD",
        "my_pkg-0.1.dist-info/WHEEL",
        "my_pkg/__init__.py",
        "my_pkg/data/table.json",
    ]
    assert files["my_pkg-0.1.dist-info/METADATA"].decode().splitlines() == [
        "Metadata-Version: 2.1",
        "Name: My_Pkg",
        "Version: 0.1",
        "Requires-Python: >=3.10",
        "Requires-Dist: first",
        "Requires-Dist: second>=2 ; python_version > '3.10'",
    ]
    record = list(csv.reader(io.StringIO(files["my_pkg-0.1.dist-info/RECORD"].decode())))
    assert sorted(row[0] for row in record) == sorted(files)
    for name, digest, size in record:
        if not name.endswith("/RECORD"):
            wanted = urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={wanted}", str(len(files[name])))


def test_the_same_source_makes_the_same_bytes_and_any_change_another_digest(source: Path, tmp_path: Path) -> None:
    first = wheel.read_package(str(source))
    written = Path(first.write(str(tmp_path))).read_bytes()
    for leftover in ("src/my_pkg/__pycache__", "src/my_pkg/.git", "build"):
        (source / leftover).mkdir()
        (source / leftover / "x").write_text("x")
    (source / "src" / "my_pkg" / "link.py").symlink_to("/etc/passwd")
    again = wheel.read_package(str(source))
    assert again.digest == first.digest
    assert Path(again.write(str(tmp_path))).read_bytes() == written
    (source / "src" / "my_pkg" / "__init__.py").write_text("version = 2\n")
    assert wheel.read_package(str(source)).digest != first.digest


@pytest.mark.parametrize(
    ("project", "words"),
    [
        ("[tool.x]\n", "has a table [tool.x]"),
        ('[project]\nversion = "1"\n', "names no project"),
        ('[project]\nname = "my_pkg"\ndynamic = ["version"]\n', "says dynamic"),
        ('[project]\nname = "my_pkg"\nversion = "1"\nscripts = ["x"]\n', "says scripts"),
        ('[project]\nname = "my_pkg"\nversion = "one"\n', "is no version"),
        ('[project]\nname = "my_pkg"\nversion = "1"\ndependencies = ["-r x"]\n', "is no requirement"),
        ('[project]\nname = "other"\nversion = "1"\n', "has no package other"),
    ],
)
def test_what_we_do_not_pack_is_refused_in_one_message(source: Path, project: str, words: str) -> None:
    (source / "pyproject.toml").write_text(project)
    with pytest.raises(LockError, match="Expected") as caught:
        wheel.read_package(str(source))
    assert words in str(caught.value)


def test_our_own_extension_is_packed_whole(project: Path) -> None:
    folder = project / "roles/jupyter_http_over_ws/files/colab_http_over_ws"
    package = wheel.read_package(str(folder))
    assert package.name == "colab-http-over-ws"
    modules = {f"colab_http_over_ws/{path.name}" for path in (folder / "src" / "colab_http_over_ws").glob("*.py")}
    assert modules == {name for name in package.files if name.endswith(".py")}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack a source folder of our own into a wheel: pure Python, laid out as src/NAME, without any build backend.

Nothing is ever built from an index, so uv is told to build nothing at all, folders included. What such a package needs is
little: its name, version and requirements, and the files of its one package. The same folder always makes the same bytes.
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.remedy import reset
from ..files.safe_open import read_bytes
from .lock import LockError, normalize, parse_requirement, parse_version

FILE_BYTES = 16 << 20
READ_KEYS = ("name", "version", "requires-python", "dependencies")
# Said to those who read the source; no installer asks for them.
IGNORED_KEYS = ("description", "readme", "license", "authors")
_STRING = re.compile(r"\"([^\"\\]*)\"|'([^']*)'")
_LEFT_OUT = re.compile(r"__pycache__|\..*|.*\.pyc")
# The oldest date that a zip file can say.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Package:
    """A package whose source lies in a folder: what a wheel of it holds, by path."""

    name: str
    version: str
    folder: str
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Return what changes when anything in the wheel does."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()

    @property
    def info(self) -> str:
        """Return the name of the folder that describes the package."""
        return f"{_module(self.name)}-{self.version}.dist-info"

    def with_record(self, files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
        """Return the files by path, and last the record of them."""
        record = f"{self.info}/RECORD"
        lines = [f"{place},sha256={_hash(content)},{len(content)}\n" for place, content in sorted(files.items())]
        return [*sorted(files.items()), (record, "".join([*lines, f"{record},,\n"]).encode())]

    def write(self, folder: str) -> str:
        """Write the wheel into a folder and return its path."""
        path = os.path.join(folder, f"{_module(self.name)}-{self.version}-py3-none-any.whl")
        with zipfile.ZipFile(path, "w") as archive:
            for place, content in self.with_record(self.files):
                entry = zipfile.ZipInfo(place, _DATE)
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, content)
        return path


def read_package(folder: str) -> Package:
    """Read a source folder; raises OSError, or LockError with one message."""
    place = os.path.join(folder, "pyproject.toml")
    project = _project(read_bytes(place, follow=True).decode("utf-8", "replace"), place)
    name, version = project.get("name", [""])[0], project.get("version", [""])[0]
    if not name or not version:
        raise _error(place, "names no project with a version", 'name = "..." and version = "..." in [project]')
    parse_version(version)
    requires = [f"Requires-Dist: {parse_requirement(text).text}" for text in project.get("dependencies", [])]
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    head += [f"Requires-Python: {text}" for text in project.get("requires-python", [])]
    info = f"{_module(name)}-{version}.dist-info"
    files = _sources(os.path.join(folder, "src"), _module(name))
    files[f"{info}/METADATA"] = ("\n".join([*head, *requires]) + "\n").encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: colab-ready\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return Package(normalize(name), version, folder, files)


def _sources(source: str, module: str) -> dict[str, bytes]:
    """Read every file of the one package, less what running it leaves behind; a link is none of its files."""
    if not os.path.isfile(os.path.join(source, module, "__init__.py")):
        raise _error(source, f"has no package {module}", f"{module}/__init__.py in it, named as the project is")
    files = {}
    for place, folders, names in os.walk(os.path.join(source, module)):
        folders[:] = [name for name in folders if not _LEFT_OUT.fullmatch(name)]
        for name in names:
            path = os.path.join(place, name)
            if not _LEFT_OUT.fullmatch(name) and not os.path.islink(path):
                files[os.path.relpath(path, source)] = read_bytes(path, FILE_BYTES)
    return files


def _project(text: str, place: str) -> dict[str, list[str]]:
    """Read the strings of the table [project], which is all of TOML that is needed (tomllib came with Python 3.11)."""
    found: dict[str, list[str]] = {}
    table = ""
    lines = iter(text.splitlines())
    for line in lines:
        line = line.strip()
        key, _equals, value = (part.strip() for part in line.partition("="))
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            table = line
            if table not in ("[project]", "[build-system]"):
                raise _error(place, f"has a table {table}", "no table but [project] and [build-system]")
        elif table == "[project]" and key in READ_KEYS:
            while value.startswith("[") and not value.endswith("]"):
                value += next(lines, "]").strip()
            found[key] = [double or single for double, single in _STRING.findall(value)]
        elif table == "[project]" and key not in IGNORED_KEYS:
            raise _error(place, f"says {key} in [project]", f"nothing but {', '.join(READ_KEYS + IGNORED_KEYS)}")
    return found


def _module(name: str) -> str:
    return normalize(name).replace("-", "_")


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _error(place: str, what: str, expected: str) -> LockError:
    do = f"correct it, then ./colab-ready; or without that folder: {reset('python_env_local_packages')}"
    return LockError(f"{place} {what}. Expected {expected}. Do: {do}.")

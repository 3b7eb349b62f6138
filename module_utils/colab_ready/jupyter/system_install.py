# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small package of ours among the packages of the system's Python, as state."""

from __future__ import annotations

import json
import os
from typing import NamedTuple
from urllib.parse import quote

from ..core.problem import Refused
from ..files.changes import Changes
from ..files.guarded_paths import look_at, open_directory, open_entry, read
from ..files.removal import remove_at
from ..files.safe_open import parse_object
from ..python import wheel
from ..python.lock import LockError
from .config_paths import distributions

_READABLE_BY_ALL = 0o444


class Content(NamedTuple):
    version: str
    files: dict[str, bytes]


class Package(NamedTuple):
    name: str
    site: str
    source: str

    def ensure(self, changes: Changes) -> None:
        """Install it unless what is there is the same, file by file."""
        installed = self.installed()
        package = self._in_source()
        wanted = Content(package.version, self._of_the_module(package)) if package else None
        if wanted is None and changes.check:
            # The task that puts the source there has not run.
            wanted = installed or Content("of the source", {})
        if wanted is None:
            raise Refused(
                "extension_source is %s, which holds no package %s. Expected its pyproject.toml and src/%s. "
                "Let the role jupyter_http_over_ws put it there first, or correct the path."
                % (self.source, self.name, self.name)
            )
        if installed == wanted:
            return
        if package and not changes.check:
            self._install(package)
        self._note(changes, installed, wanted)

    def remove(self, changes: Changes) -> None:
        installed = self.installed()
        if installed is None:
            return
        if not changes.check:
            self._take_away()
        self._note(changes, installed, None)

    def _take_away(self) -> None:
        with open_directory(self.site) as site:
            for name in [self.name, *self._metadata(site)]:
                remove_at(site, name)

    def is_from_source(self) -> bool:
        """Whether the installed package says of itself that it was made from this source (PEP 610)."""
        try:
            with open_directory(self.site) as site:
                for name in self._metadata(site):
                    with open_entry(site, name, directory=True) as metadata:
                        data = parse_object(read(metadata, "direct_url.json")) or {}
                    return bool(data.get("url") == self._origin())
        except OSError:
            pass
        return False

    def _origin(self) -> str:
        return "file://" + quote(self.source.rstrip("/"))

    def installed(self) -> Content | None:
        """What is there, if all of it is: a file that not everybody may read counts as missing."""
        try:
            with open_directory(self.site) as site:
                versions = [distributions([name])[self.name] for name in self._metadata(site)]
                with open_entry(site, self.name, directory=True) as folder:
                    files = _python_files(folder)
        except FileNotFoundError:
            return None
        return Content(", ".join(versions), files) if versions else None

    def _in_source(self) -> wheel.Package | None:
        try:
            return wheel.read_package(self.source)
        except FileNotFoundError:
            return None
        except LockError as error:
            raise Refused(str(error)) from None

    def _of_the_module(self, package: wheel.Package) -> dict[str, bytes]:
        files = ((os.path.split(path), content) for path, content in package.files.items())
        return {name: content for (folder, name), content in files if folder == self.name}

    def _metadata(self, site: int) -> list[str]:
        return sorted(name for name in os.listdir(site) if self.name in distributions([name]))

    def _note(self, changes: Changes, *before_and_after: Content | None) -> None:
        place = os.path.join(self.site, self.name)
        told = ("absent" if one is None else "package %s" % one.version for one in before_and_after)
        changes.note(place, *("%s: %s\n" % (place, one) for one in told))

    def _install(self, package: wheel.Package) -> None:
        """Put there what a wheel of it holds, as an installer does, and note where it comes from (PEP 610)."""
        origin = {"url": self._origin(), "dir_info": {}}
        files = {**package.files, f"{package.info}/INSTALLER": b"colab-ready\n"}
        files[f"{package.info}/direct_url.json"] = json.dumps(origin).encode()
        umask = os.umask(0o022)
        try:
            self._take_away()
            for path, content in package.with_record(files):
                place = os.path.join(self.site, path)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with open(place, "xb") as stream:
                    stream.write(content)
        finally:
            os.umask(umask)


def _python_files(folder: int) -> dict[str, bytes]:
    entries = ((name, look_at(folder, name)) for name in sorted(os.listdir(folder)))
    readable = (
        name for name, one in entries if one and one.kind == "file" and one.mode & _READABLE_BY_ALL == _READABLE_BY_ALL
    )
    return {name: read(folder, name) for name in readable}

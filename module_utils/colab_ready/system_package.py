# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small package of ours among the packages of the system's Python, as state."""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple
from urllib.parse import quote

from ansible.module_utils.colab_ready.config_dirs import distributions, project_version
from ansible.module_utils.colab_ready.core.text import readable_lines
from ansible.module_utils.colab_ready.extension import Problem
from ansible.module_utils.colab_ready.files.removal import remove_at
from ansible.module_utils.colab_ready.files.safe_open import parse_object
from ansible.module_utils.colab_ready.guarded_paths import look_at, open_directory, open_entry, read
from ansible.module_utils.colab_ready.process.run import run

TIMEOUT_SECONDS = 120
_READABLE_BY_ALL = 0o444


class Content(NamedTuple):
    version: str
    files: dict[str, bytes]


class Package(NamedTuple):
    name: str
    site: str
    source: str

    def ensure(self, python: str, uv: str, check: bool) -> tuple[str, str]:
        """Install it unless what is there is the same, file by file; returns before and after."""
        installed = self.installed()
        wanted = self._in_source()
        if wanted is None and check:
            # The task that puts the source there has not run.
            wanted = installed or Content("of the source", {})
        if wanted is None:
            raise Problem(
                "extension_source is %s, which holds no package %s. Expected its pyproject.toml and src/%s. "
                "Let the role jupyter_http_over_ws put it there first, or correct the path."
                % (self.source, self.name, self.name)
            )
        if installed == wanted:
            return "", ""
        if not check:
            self._install(python, uv)
        return self._line(installed), self._line(wanted)

    def remove(self, check: bool) -> tuple[str, str]:
        installed = self.installed()
        if installed is None:
            return "", ""
        if not check:
            with open_directory(self.site) as site:
                for name in [self.name, *self._metadata(site)]:
                    remove_at(site, name)
        return self._line(installed), self._line(None)

    def is_from_source(self) -> bool:
        """Whether the installed package says of itself that it was made from this source (PEP 610)."""
        try:
            with open_directory(self.site) as site:
                for name in self._metadata(site):
                    with open_entry(site, name, directory=True) as metadata:
                        data = parse_object(read(metadata, "direct_url.json")) or {}
                    return bool(data.get("url") == "file://" + quote(self.source.rstrip("/")))
        except OSError:
            pass
        return False

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

    def _in_source(self) -> Content | None:
        try:
            with open_directory(self.source) as source:
                version = project_version(read(source, "pyproject.toml").decode("utf-8"))
            with open_directory(os.path.join(self.source, "src", self.name)) as folder:
                return Content(version or "", _python_files(folder, all_readable=False))
        except FileNotFoundError:
            return None

    def _metadata(self, site: int) -> list[str]:
        return sorted(name for name in os.listdir(site) if self.name in distributions([name]))

    def _line(self, content: Content | None) -> str:
        return "%s/%s: %s\n" % (self.site, self.name, "absent" if content is None else "package %s" % content.version)

    def _install(self, python: str, uv: str) -> None:
        # --target and not --system: uv then need not ask the interpreter where it installs to, and an interpreter that
        # is marked as managed by the distribution (PEP 668) is left alone otherwise. Nothing is fetched: uv builds with
        # the backend that it carries itself.
        command = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-config",
            "--offline",
            "--no-cache",
            "--no-deps",
            "--reinstall",
        ]
        command += ["--python", python, "--target", self.site, self.source]
        umask = os.umask(0o022)
        try:
            had_lock = os.path.lexists(os.path.join(self.site, ".lock"))
            with tempfile.TemporaryDirectory() as temporary:
                environment = {"PATH": "/usr/bin:/bin", "HOME": temporary, "TMPDIR": temporary, "LC_ALL": "C.UTF-8"}
                done = run(command, TIMEOUT_SECONDS, env=environment)
        finally:
            os.umask(umask)
        if done.problem:
            raise Problem("uv is %s: %s. Expected the uv program. Correct the path." % (uv, done.stderr))
        if done.timed_out:
            raise Problem(
                "uv did not install %s in %d seconds. Expected a few seconds. Run the task again."
                % (self.source, TIMEOUT_SECONDS)
            )
        if done.status:
            raise Problem(
                "uv could not install %s into %s: %s. Expected it to build offline. Look at the message; a full disk and a "
                "too old uv are the usual causes."
                % (self.source, self.site, " ".join(readable_lines(done.output + done.errors)))
            )
        with open_directory(self.site) as site:
            # uv's own, for that moment.
            if not had_lock and look_at(site, ".lock"):
                os.unlink(".lock", dir_fd=site)


def _python_files(folder: int, all_readable: bool = True) -> dict[str, bytes]:
    files = {}
    for name in sorted(os.listdir(folder)):
        entry = look_at(folder, name)
        if entry and entry.kind == "file" and (entry.mode & _READABLE_BY_ALL == _READABLE_BY_ALL or not all_readable):
            files[name] = read(folder, name)
    return files

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rocm_host takes from outside: key, lists of the repository, bridge. Each is fetched into a folder of the run and
checked there; nothing of it is on the host yet.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any, Mapping

from ansible.module_utils.colab_ready import openpgp
from ansible.module_utils.colab_ready import rocm_host_plan as thinking
from ansible.module_utils.colab_ready.core.refusal import Problem
from ansible.module_utils.colab_ready.pip_config import redact
from ansible.module_utils.colab_ready.programs import NotAnswered, ask
from ansible.module_utils.colab_ready.rocm_host_packages import (
    DEB_BYTES_MAX,
    QUESTION_SECONDS,
    STRICT,
    Packages,
    Stopped,
    apt_options,
    fetch,
)


class Outside:
    """What a plan names, fetched into `folder`, which nobody else writes to."""

    def __init__(self, plan: Mapping[str, Any], folder: str, packages: Packages, warnings: list[str]) -> None:
        self.plan = plan
        self.folder = folder
        self.warnings = warnings
        self._packages = packages

    def key(self) -> bytes:
        repository = self.plan["repository"]
        raw = fetch(repository["key"], openpgp.KEY_BYTES_MAX, "rocm_apt_key_unreachable", "rocm_apt_key")
        try:
            ring = openpgp.binary(raw)
            problem = thinking.judge_key(repository, hashlib.sha256(raw).hexdigest(), openpgp.fingerprints(ring))
        except openpgp.NotAKey as error:
            what = f"what {repository['key']} answers is no key: {error}"
            problem = Problem("rocm_apt_key", what, "the repository's public key", "set rocm_apt_key to it")
        if problem is not None:
            raise Stopped(problem)
        if not (repository["key_fingerprint"] or repository["key_sha256"]):
            prints = ", ".join(openpgp.fingerprints(ring))
            self.warnings.append(
                f"{repository['key']} is taken because of its address alone: its fingerprint is published nowhere that "
                f"colab-ready knows. It is {prints}; set rocm_apt_key_fingerprint to hold it to that"
            )
        return ring

    def deb(self, deb: Mapping[str, str]) -> str:
        """The path of a package that is what its checksum says. Before that dpkg never sees it."""
        raw = fetch(deb["url"], DEB_BYTES_MAX, "rocm_bridge_unreachable", "rocm_bridge_address")
        problem = thinking.judge_deb(deb, hashlib.sha256(raw).hexdigest(), "rocm_bridge_address")
        if problem is not None:
            raise Stopped(problem)
        private = f"{self.folder}/debs"
        os.makedirs(private, 0o700, exist_ok=True)
        path = f"{private}/{os.path.basename(deb['file'])}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(raw)
        said = self._packages.ask(["/usr/bin/dpkg-deb", "--field", path, "Package", "Version"], QUESTION_SECONDS)
        if said != f"Package: {deb['package']}\nVersion: {deb['version']}\n":
            what = f"{deb['file']} says of itself: {' '.join(said.split()) or 'nothing'}"
            do = "correct rocm_bridge_version or the checksum that you set"
            raise Stopped(Problem("rocm_bridge", what, f"{deb['package']} {deb['version']}", do))
        return path

    def try_repository(self, keyring: bytes | None) -> None:
        """Read the repository in a folder of this run, with the key that was fetched: nothing of it is on the host yet."""
        repository = self.plan["repository"]
        private = f"{self.folder}/apt"
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(f"{private}/{name}")
        key = repository["keyring"]
        if keyring is not None:
            key = f"{private}/key.gpg"
            with open(key, "wb") as stream:
                stream.write(keyring)
        source = f"{private}/source{os.path.splitext(repository['path'])[1]}"
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(repository["text"].replace(repository["keyring"], key))
        options = apt_options(
            {
                "Dir::Etc::SourceList": source,
                "Dir::Etc::SourceParts": "/dev/null",
                "Dir::State::Lists": f"{private}/lists",
                "Dir::Cache": f"{private}/cache",
                **STRICT,
            }
        )
        where = redact(address_of(repository))
        self._packages.apt(["update", *options], where, list_is_read=True)
        for package in self.plan["packages"]:
            try:
                answer = ask(
                    ["/usr/bin/apt-cache", *options, "show", package], QUESTION_SECONDS, self._packages.environment()
                )
            except NotAnswered as error:
                raise Stopped(Problem("rocm_apt", str(error), "an answer", "run ./colab-ready again")) from None
            if answer.status or not answer.text.strip():
                raise Stopped(thinking.apt_problem(f"E: Unable to locate package {package}", where))


def address_of(repository: Mapping[str, str]) -> str:
    found = re.search(r"(?:^URIs: |\] )(\S+)", repository["text"], re.MULTILINE)
    return found[1] if found else repository["path"]

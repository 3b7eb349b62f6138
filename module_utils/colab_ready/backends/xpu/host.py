# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Intel's compute runtime on a host: what backends/host.py keeps. Which packages a card gets is said by packages.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.problem import Problem
from ..base import HostFacts
from ..decided import decided
from ..host import GpuHost, Work
from ..host_record import Record, digest
from ..kernel import Kernel
from . import packages as xpu_packages
from .kernel import kernel


class XpuRecord(Record):
    def adopted(self, found: dict[str, Any]) -> dict[str, Any]:
        """One of the form that it had first: `files` with their content before, and `new`, the packages that came."""
        if "new" not in found:
            return found
        old = found["files"].items()
        files = {path: {"was": was, "sha256": digest(self.content(path) or b"")} for path, was in old}
        known = found["packages"]
        came = {name: known.get(name, "") for name in found["new"]}
        return {
            **found,
            "line": XpuHost.title,
            "files": files,
            "packages": came,
            "asked": [*known],
            "settled": [*known],
        }


class XpuHost(GpuHost):
    """One run over one host."""

    owner = "xpu"
    key_variable = "xpu_apt_key_fingerprints"
    more = {"package": "; on Ubuntu 26.04: sudo add-apt-repository universe"}
    title = "Intel's runtime"
    record_type = XpuRecord
    card_name = ""

    def choose(self, problems: list[Problem]) -> dict[str, Any]:
        params = self.params
        host = HostFacts.of(params["gpu"].get("host"))
        card = decided(params["gpu"], "xpu").adapter
        self.card_name = str(card.get("name") or "")
        plan = xpu_packages.choose_packages(
            card, host.ubuntu_release, host.behind_windows, params["apt_address"], params["apt_key"]
        )
        repository = plan["repository"]
        if repository:
            allowed = [one.replace(" ", "").upper() for one in params["apt_key_fingerprints"]]
            places = {name: self._at(repository[name]) for name in ("path", "keyring")}
            more = {"fingerprints": allowed, "key_sha256": "", "pin_path": "", "pin": ""}
            repository.update(places, **more)
        return {"line": self.title, "prerequisites": [], "debs": [], **plan}

    def kernel(self) -> Kernel:
        params = self.params
        requires = decided(params["gpu"], "xpu").python["requires"]
        return kernel(params["lock"], requires, params["torch_index"] or params["index"])

    def _at(self, path: str) -> str:
        return str(self.params["etc"]) + path[len("/etc") :]

    def is_missing(self, name: str, there: Mapping[str, str]) -> bool:
        """With a repository also what is there of another source: Ubuntu 24.04's own runtime knows no card after Arc A. What was
        installed from there before may be upgraded by its owner."""
        return name not in there or (bool(self.plan["repository"]) and name not in self.record.data["settled"])

    def fetch(self, work: Work, keyring: bytes | None, folder: str) -> None:
        """A source that names our key is of a run whose record was lost, and so is the key."""
        repository = self.plan["repository"]
        if repository and self.record.content(repository["path"]) == repository["text"].encode():
            for path in (repository["keyring"], repository["path"]):
                known = {"was": None, "sha256": digest(self.record.content(path) or b"")}
                self.record.data["files"].setdefault(path, known)

    def returned(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        there = self.apt.installed() if plan else {}
        packages = {name: there[name] for name in plan.get("packages", ()) if name in there}
        said = {name: plan.get(name, []) for name in ("groups", "cautions")}
        return {"card": self.card_name, "packages": packages, **said}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side of a ROCm plan: what backends/host.py keeps, and AMD's bridge to WSL with its loader's cache and dids.conf.

Key, lists of the repository and bridge are fetched into a folder of the run and tried there; nothing of it is on the host yet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...apt.client import DEB_BYTES_MAX, QUESTION_SECONDS, apt_options, fetch
from ...apt.output import judge_steps
from ...core.problem import Problem, Refused
from ...core.redact import redact, secrets_in
from ...core.remedy import give, reset
from ...process import program
from ...system import ldconfig
from ..base import HostFacts
from ..decided import decided
from ..host import GpuHost, Work, address_of
from ..host_record import digest
from ..kernel import Kernel
from . import host_plan
from . import plan as rocm_plan
from .host_dids import BRIDGE_LIBRARY, DidsFile
from .kernel import kernel

BRIDGE = "rocdxg-roct"


class RocmHost(GpuHost):
    """One run over one host."""

    owner = "rocm"
    key_variable = "rocm_apt_key_fingerprint"
    more = {
        "timeout": f"on a slow line {give('rocm_timeout_seconds=7200')}",
        "unreachable": f"; with {give('rocm_system_packages=false')} ROCm 7.14 and newer need no repository",
    }

    def __init__(self, params: Mapping[str, Any], check: bool) -> None:
        super().__init__(params, check)
        self.dids = DidsFile(self.record, [])
        self.wsl = HostFacts.of(params["gpu"].get("host")).behind_windows

    @property
    def title(self) -> str:
        return f"ROCm {self.plan['line']}"

    # ---- what is wanted -----------------------------------------------------------------------

    def choose(self, problems: list[Problem]) -> dict[str, Any]:
        params = self.params
        facts = HostFacts.of(params["gpu"].get("host"))
        below = facts.ubuntu_release
        card, settings, _python = decided(params["gpu"], "rocm")
        problems += self._without_secrets()
        addresses = {name: params[name] for name in ("apt_address", "apt_key", "bridge_address", "torch_index")}
        here = rocm_plan.Host(self.wsl, "ubuntu" if below else facts.distribution, below or facts.distribution_version)
        plan = rocm_plan.choose_line(card, here, rocm_plan.Options(**settings, **addresses))
        self.dids = DidsFile(self.record, plan["dids"])
        repository = plan["repository"]
        if repository:
            fingerprint = params["apt_key_fingerprint"].replace(" ", "").upper() or repository["key_fingerprint"]
            repository["fingerprints"] = [fingerprint] if fingerprint else []
            repository["key_sha256"] = params["apt_key_sha256"].replace(" ", "").lower() or repository["key_sha256"]
        if not (self.wsl or plan["packages"] or plan["groups"]):
            self.skipped.append("nothing of the host is needed")
        return plan

    def kernel(self) -> Kernel:
        return kernel(self.plan, decided(self.params["gpu"], "rocm").python["requires"])

    def _without_secrets(self) -> list[Problem]:
        """Addresses end up in files and messages that everybody reads."""
        # Not as words of a command, which every user sees while it runs.
        for_apt = (
            "and before that, for apt: sudo install -m 0600 /dev/null /etc/apt/auth.conf.d/rocm.conf, sudo nano "
            "/etc/apt/auth.conf.d/rocm.conf, with the line: machine HOST login USER password PASSWORD (HOST is the address's)"
        )
        without = "it has to be one that wants no password"
        return [
            Problem(
                "rocm_address",
                f"rocm_{name} has a user or a password in it",
                "an address without them",
                f"{give(f'rocm_{name}=ADDRESS')}; {for_apt if name == 'apt_address' else without}",
            )
            for name in ("apt_address", "apt_key", "bridge_address")
            if secrets_in(self.params[name])
        ]

    def shadows(self, left: Mapping[str, str], stale_debs: Sequence[str], problems: list[Problem]) -> list[str]:
        """Packages of the distribution that the loader would take in place of AMD's."""
        only_ours = BRIDGE in stale_debs and not any(name == "rocm-core" for name in left)
        folder = os.path.isdir("/opt/rocm") and not os.path.islink("/opt/rocm") and not only_ours
        asked = decided(self.params["gpu"], "rocm").settings["system_packages"]
        found = rocm_plan.conflicts(left, self.plan["line"], self.wsl, asked, folder)
        problems += found.problems
        if found.remove and not self.params["remove_conflicts"]:
            what = f"{' and '.join(found.remove)} of the distribution would be loaded in place of AMD's runtime"
            do = f"{give('rocm_remove_conflicts=true')}, which removes them (./colab-ready remove puts them back)"
            problems.append(Problem("rocm_shadowed", what, "not installed", do))
        elif found.remove:
            steps = self.apt.simulate(["purge", *found.remove])
            problems += judge_steps(steps, found.remove, self.owner, self.title)
        return found.remove

    def own_files(self, problems: list[Problem]) -> dict[str, str]:
        problems += self.dids.problems()
        try:
            return host_plan.setting_files(self.plan)
        except ValueError as error:
            problems.append(Problem("rocm_environment", str(error), "plain words and paths", "correct it"))
            return {}

    def say_more(self) -> None:
        path = self.dids.path()
        before, after = (set(text.splitlines()) for text in self.dids.texts())
        for line in sorted(before - after):
            self.changes.note(path, f"{path}: with {line}\n", "")
        for line in sorted(after - before):
            self.changes.note(path, "", f"{path}: with {line}\n")
        if self._cache_is_wrong():
            self.changes.note("/etc/ld.so.cache", "", f"/etc/ld.so.cache: with {BRIDGE_LIBRARY}\n")

    # ---- what comes from outside --------------------------------------------------------------

    def fetch(self, work: Work, keyring: bytes | None, folder: str) -> None:
        work.paths = [self._deb(deb, folder) for deb in work.debs]
        if work.read:
            self._try_repository(keyring, folder)

    def _deb(self, deb: Mapping[str, str], folder: str) -> str:
        """The path of a package that is what its checksum says. Before that dpkg never sees it."""
        raw = fetch(deb["url"], DEB_BYTES_MAX, "rocm_bridge_unreachable", "rocm_bridge_address")
        problem = host_plan.judge_deb(deb, digest(raw), "rocm_bridge_address")
        if problem is not None:
            raise Refused(problem)
        private = f"{folder}/debs"
        os.makedirs(private, 0o700, exist_ok=True)
        path = f"{private}/{os.path.basename(deb['file'])}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(raw)
        said = self.apt.ask(["/usr/bin/dpkg-deb", "--field", path, "Package", "Version"])
        if said != f"Package: {deb['package']}\nVersion: {deb['version']}\n":
            what = f"{deb['file']} says of itself: {' '.join(said.split()) or 'nothing'}"
            do = reset("rocm_bridge_version", "rocm_bridge_sha256", "rocm_amd_smi_sha256")
            raise Refused(Problem("rocm_bridge", what, f"{deb['package']} {deb['version']}", do))
        return path

    def _try_repository(self, keyring: bytes | None, folder: str) -> None:
        """Read the repository in a folder of this run, with the key that was fetched."""
        repository = self.plan["repository"]
        private = f"{folder}/apt"
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
        places = {"Dir::State::Lists": f"{private}/lists", "Dir::Cache": f"{private}/cache"}
        where = redact(address_of(repository))
        self.apt.read_source(source, where, places)
        options = apt_options({"Dir::Etc::SourceList": source, "Dir::Etc::SourceParts": "/dev/null", **places})
        for package in self.plan["packages"]:
            if not self.apt.ask(["/usr/bin/apt-cache", *options, "show", package]).strip():
                raise Refused(self.apt.problem(f"E: Unable to locate package {package}", where))

    # ---- the bridge ---------------------------------------------------------------------------

    def finish(self) -> None:
        self.dids.settle()
        if not self.plan["loader"]:
            return
        if self.record.touched or self._cache_is_wrong():
            self.record.touched = True
            program.stdout_of([self.params["ldconfig"]], QUESTION_SECONDS)
        problem = rocm_plan.loader_problem(self._cached(), self.plan["line"])
        if problem is not None:
            raise Refused(problem)

    def _cached(self) -> str:
        return program.stdout_of([self.params["ldconfig"], "-p"], QUESTION_SECONDS) or ""

    def _cache_is_wrong(self) -> bool:
        return bool(self.plan["loader"]) and ldconfig.first(self._cached(), "librocdxg.so") is None

    def let_go(self) -> None:
        if self.record.data["line"]:
            self.dids.take_back()

    def forget(self) -> None:
        if self.record.data["line"]:
            program.stdout_of([self.params["ldconfig"]], QUESTION_SECONDS)

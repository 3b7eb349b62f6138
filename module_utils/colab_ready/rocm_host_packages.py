# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt, dpkg, and what is fetched for them: each call gives an answer or is Stopped with a problem that says what to do."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.parse
import urllib.request
from typing import Callable, Mapping, Sequence

from ansible.module_utils.colab_ready import apt_words
from ansible.module_utils.colab_ready import rocm_host_plan as thinking
from ansible.module_utils.colab_ready.core.refusal import Problem
from ansible.module_utils.colab_ready.pip_config import redact
from ansible.module_utils.colab_ready.programs import Answer, NotAnswered, ask

DEB_BYTES_MAX = 256 << 20
SOCKET_SECONDS = 30
FETCH_SECONDS = 1800
QUESTION_SECONDS = 60
BUSY_SECONDS = 60
# dpkg asks nobody, keeps what somebody changed in a configuration file, and restarts nothing on its own.
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none"}
CONFIGURATION = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
WAIT = ["-o", f"DPkg::Lock::Timeout={BUSY_SECONDS}"]
# A list that cannot be read is an error, where apt knows the setting, and translations are nothing that could fail.
STRICT = {"APT::Update::Error-Mode": "any", "Acquire::Languages": "none", "Acquire::Retries": "1"}
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")


class Stopped(Exception):
    """All that is in the way, at once."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(" ".join(problem.sentence() for problem in problems))
        self.problems = problems


class Packages:
    """The packages of this host."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def simulate(self, words: Sequence[str]) -> apt_words.Steps:
        option = ["--no-install-recommends"] if words[0] == "install" else []
        return apt_words.simulated(self.apt(["--simulate", *option, *words], "apt"))

    def apt(self, words: Sequence[str], where: str, list_is_read: bool = False) -> str:
        answer = self.run(["/usr/bin/apt-get", "-q", *WAIT, *words])
        output = answer.output.decode("utf-8", "replace")
        errors = answer.errors.decode("utf-8", "replace")
        # A list that could not be read was only a warning before apt knew Error-Mode.
        failed = list_is_read and re.search(r"^W: (Failed to fetch|An error occurred)", errors, re.MULTILINE)
        if answer.status or failed:
            raise Stopped(thinking.apt_problem(f"{errors}\n{output}", where))
        return output

    def run(self, command: Sequence[str]) -> Answer:
        try:
            return ask(command, self.seconds, self.environment())
        except NotAnswered as error:
            do = "raise rocm_timeout_seconds on a slow line, and run ./colab-ready again"
            raise Stopped(Problem("rocm_apt_timeout", str(error), "an answer in time", do)) from None

    def ask(self, command: Sequence[str], seconds: float) -> str:
        """What a program says; what it says when it fails is no answer to the question."""
        try:
            return ask(command, seconds, ENVIRONMENT).output.decode("utf-8", "replace")
        except NotAnswered as error:
            raise Stopped(Problem("rocm_dpkg", str(error), "an answer", "run ./colab-ready again")) from None

    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, **{name: value for name, value in os.environ.items() if name.lower() in PROXIES}}

    def installed(self) -> dict[str, str]:
        said = self.ask(["/usr/bin/dpkg-query", "--show", f"--showformat={apt_words.LIST_FORMAT}"], QUESTION_SECONDS)
        return apt_words.installed_packages(said)

    def is_broken(self) -> bool:
        """Whether something that is installed lacks what it depends on."""
        return self.run(["/usr/bin/apt-get", "-q", *WAIT, "check"]).status != 0

    def damaged(self, package: str) -> bool:
        return bool(thinking.damaged_files(self.ask(["/usr/bin/dpkg", "--verify", package], QUESTION_SECONDS)))

    def purge(self, names: Sequence[str]) -> list[str]:
        """Take these away, but none that others need; returns what stayed."""
        there = self.installed()
        going = [name for name in names if name in there]
        if not going:
            return []
        allowed = set(going)
        if set(self.simulate(["purge", *going]).remove) - allowed:
            going = [name for name in going if not set(self.simulate(["purge", name]).remove) - allowed]
        if going:
            self.apt(["purge", "--yes", *going], "apt")
        return sorted(allowed - set(going))

    def install_options(self) -> list[str]:
        # No recommended ones: among those of a driver's packages there are kernel modules.
        return ["--yes", "--no-install-recommends", *CONFIGURATION]

    def install_deb(self, path: str, name: str) -> None:
        command = ["/usr/bin/dpkg", "--force-confdef", "--force-confold", "--install", path]
        limit = time.monotonic() + BUSY_SECONDS
        while True:
            # dpkg itself does not wait for who installs something else just now.
            answer = self.run(command)
            said = (answer.errors + answer.output).decode("utf-8", "replace")
            problem = thinking.apt_problem(said, name) if answer.status else None
            if problem is None:
                return
            if problem.id != "rocm_apt_busy" or time.monotonic() > limit:
                raise Stopped(problem)
            time.sleep(2)

    def with_changed_configuration(self, names: Sequence[str], content_of: Callable[[str], bytes | None]) -> list[str]:
        changed = []
        for name in names:
            said = self.ask(["/usr/bin/dpkg-query", "--show", "--showformat=${Conffiles}\n", name], QUESTION_SECONDS)
            for path, shipped in thinking.conffile_sums(said).items():
                content = content_of(path)
                if content is not None and hashlib.md5(content).hexdigest() != shipped and name not in changed:
                    changed.append(name)
        return changed


def take_proxies(told: Mapping[str, object]) -> None:
    """Let what is fetched here, and apt, go the way that was told."""
    os.environ.update({name: str(value) for name, value in told.items() if name.lower() in PROXIES})


def fetch(address: str, limit: int, name: str, variable: str) -> bytes:
    try:
        with urllib.request.urlopen(_plain_address(address), timeout=SOCKET_SECONDS) as answer:
            raw, end = bytearray(), time.monotonic() + FETCH_SECONDS
            while len(raw) <= limit and (piece := answer.read1(1 << 20)):
                raw += piece
                if time.monotonic() > end:
                    raise TimeoutError(f"it is not through after {FETCH_SECONDS} s")
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        what = f"{redact(address)} cannot be read ({getattr(why, 'strerror', None) or why})"
        do = f"look whether this computer reaches it (a proxy?), or set {variable} to a mirror"
        raise Stopped(Problem(name, what, "an answer", do)) from None
    if len(raw) > limit:
        raise Stopped(Problem(name, f"{redact(address)} is longer than {limit} bytes", "less", f"correct {variable}"))
    return bytes(raw)


def apt_options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _plain_address(address: str) -> str:
    if urllib.parse.urlsplit(address).scheme not in ("http", "https", "file"):
        raise ValueError("its scheme is not https, http or file")
    return address

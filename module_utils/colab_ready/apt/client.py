# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt, dpkg, and what is fetched for them: each call gives an answer, or raises Refused, which says what to do."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ..core.clock import NO_LONGER, NOT_YET, SET_CLOCK
from ..core.problem import Problem, Refused
from ..core.redact import redact
from ..core.remedy import give
from ..process.program import Answer, NotAnswered, ask
from . import output as apt_output

DEB_BYTES_MAX = 256 << 20
SOCKET_SECONDS = 30
FETCH_SECONDS = 1800
INSTALL_SECONDS = 1800.0
QUESTION_SECONDS = 60
BUSY_SECONDS = 60
# dpkg asks nobody, keeps what somebody changed in a configuration file, and restarts nothing on its own.
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1", "APT_LISTCHANGES_FRONTEND": "none"}
CONFIGURATION = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
# No recommended ones: among those of a driver's packages there are kernel modules.
INSTALL = ["--yes", "--no-install-recommends", *CONFIGURATION]
# A list that cannot be read is an error, where apt knows the setting, and translations are nothing that could fail.
STRICT = {"APT::Update::Error-Mode": "any", "Acquire::Languages": "none", "Acquire::Retries": "1"}
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")


class Apt:
    """The packages of this host. The ids of problems begin with `owner` (rocm, xpu); `more` is what else to do of some."""

    def __init__(
        self,
        owner: str,
        more: Mapping[str, str],
        seconds: float = INSTALL_SECONDS,
        apt_get: str = "/usr/bin/apt-get",
        dpkg_query: str = "/usr/bin/dpkg-query",
    ) -> None:
        self.owner = owner
        self.more = more
        self.seconds = seconds
        self.apt_get = [apt_get, "-q", "-o", f"DPkg::Lock::Timeout={BUSY_SECONDS}"]
        self.dpkg_query = dpkg_query

    # ---- asking -------------------------------------------------------------------------------

    def run(self, command: Sequence[str]) -> Answer:
        try:
            proxies = {name: value for name, value in os.environ.items() if name.lower() in PROXIES}
            return ask(command, self.seconds, {**ENVIRONMENT, **proxies})
        except NotAnswered as error:
            do = self.more.get("timeout", "see what holds it up, and run ./colab-ready again")
            late = Problem(f"{self.owner}_apt_timeout", str(error), "an answer in time", do)
            look = f"ls -l {command[0]} shows whether it is there and may be executed; then run ./colab-ready again"
            unstarted = Problem(f"{self.owner}_apt_not_started", str(error), "a program that starts", look)
            raise Refused(late if error.code == "timeout" else unstarted) from None

    def ask(self, command: Sequence[str]) -> str:
        """What a program says; what it says when it fails is no answer to the question."""
        try:
            return ask(command, QUESTION_SECONDS, ENVIRONMENT).output.decode("utf-8", "replace")
        except NotAnswered as error:
            do = "run ./colab-ready again"
            raise Refused(Problem(f"{self.owner}_dpkg", str(error), "an answer", do)) from None

    def problem(self, text: str, where: str) -> Problem:
        return apt_output.apt_problem(text, where, self.owner, self.more)

    def apt(self, words: Sequence[str], where: str = "apt", strict: bool = False) -> str:
        """Run apt-get. `strict`: a list that could not be read was only a warning before apt knew Error-Mode."""
        answer = self.run([*self.apt_get, *words])
        output = answer.output.decode("utf-8", "replace")
        errors = answer.errors.decode("utf-8", "replace")
        if answer.status or (strict and re.search(r"^W: (Failed to fetch|An error occurred)", errors, re.MULTILINE)):
            raise Refused(self.problem(f"{errors}\n{output}", where))
        return output

    def listing(self) -> str:
        # dpkg-query ends with 1 where it does not know one of the names, so all are asked for.
        return self.ask([self.dpkg_query, "--show", f"--showformat={apt_output.LIST_FORMAT}"])

    def installed(self) -> dict[str, str]:
        return apt_output.installed_packages(self.listing())

    def with_files(self) -> dict[str, str]:
        return apt_output.packages_with_files(self.listing())

    def simulate(self, words: Sequence[str], where: str = "apt") -> apt_output.Steps:
        option = ["--no-install-recommends"] if words[0] == "install" else []
        return apt_output.simulated(self.apt(["--simulate", *option, *words], where))

    def is_broken(self) -> bool:
        """Whether something that is installed lacks what it depends on."""
        return self.run([*self.apt_get, "check"]).status != 0

    def damaged(self, package: str) -> bool:
        return bool(apt_output.damaged_files(self.ask(["/usr/bin/dpkg", "--verify", package])))

    def with_changed_configuration(self, names: Sequence[str], content_of: Callable[[str], bytes | None]) -> list[str]:
        changed = []
        for name in names:
            said = self.ask([self.dpkg_query, "--show", "--showformat=${Conffiles}\n", name])
            for path, shipped in apt_output.conffile_sums(said).items():
                content = content_of(path)
                if content is not None and hashlib.md5(content).hexdigest() != shipped and name not in changed:
                    changed.append(name)
        return changed

    # ---- changing -----------------------------------------------------------------------------

    def read_source(self, source: str, where: str, more: Mapping[str, str] | None = None) -> None:
        """Read one source alone, and strictly: what else is wrong on this host is not ours to refuse."""
        one = {"Dir::Etc::SourceList": source, "Dir::Etc::SourceParts": "/dev/null", "APT::Get::List-Cleanup": "0"}
        self.apt(["update", *apt_options({**one, **STRICT, **(more or {})})], where, strict=True)

    def removable(self, names: Sequence[str]) -> list[str]:
        """Those of these packages that are there and can go without taking others along."""
        there = self.with_files() if names else {}
        going = [name for name in names if name in there]

        def takes(some: Sequence[str]) -> set[str]:
            return set(self.simulate(["purge", *some], "the removal").remove) - set(going)

        while going and takes(going):
            needed = [name for name in going if takes([name])] or going
            going = [name for name in going if name not in needed]
        return going

    def purge(self, names: Sequence[str]) -> None:
        if names:
            self.apt(["purge", "--yes", *names], "the removal")

    def install_deb(self, path: str, name: str) -> None:
        command = ["/usr/bin/dpkg", "--force-confdef", "--force-confold", "--install", path]
        limit = time.monotonic() + BUSY_SECONDS
        while True:
            # dpkg itself does not wait for who installs something else just now.
            answer = self.run(command)
            if not answer.status:
                return
            problem = self.problem((answer.errors + answer.output).decode("utf-8", "replace"), name)
            if problem.id != f"{self.owner}_apt_busy" or time.monotonic() > limit:
                raise Refused(problem)
            time.sleep(2)


def install_plain(name: str, warn: Callable[[str], None], apt_get: str = "/usr/bin/apt-get") -> Problem | None:
    """Install a package of the distribution's, or return why not. A source that cannot be read is a warning: others have it."""
    apt = Apt("", {}, apt_get=apt_get)
    with suppress(Refused):
        apt.apt(["install", *INSTALL, name], name)
        return None
    try:
        apt.apt(["update"], "apt-get update", strict=True)
    except Refused as error:
        warn(str(error))
    try:
        apt.apt(["install", *INSTALL, name], name)
    except Refused as error:
        return error.problems[0]
    return None


def take_proxies(told: Mapping[str, object]) -> None:
    """Let what is fetched here, and apt, go the way that was told."""
    os.environ.update({name: str(value) for name, value in told.items() if name.lower() in PROXIES})


def fetch(address: str, limit: int, name: str, variable: str) -> bytes:
    try:
        if urllib.parse.urlsplit(address).scheme not in ("http", "https", "file"):
            raise ValueError("its scheme is not https, http or file")
        with urllib.request.urlopen(address, timeout=SOCKET_SECONDS) as answer:
            raw, end = bytearray(), time.monotonic() + FETCH_SECONDS
            while len(raw) <= limit and (piece := answer.read1(1 << 20)):
                raw += piece
                if time.monotonic() > end:
                    raise TimeoutError(f"it is not through after {FETCH_SECONDS} s")
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        what = f"{redact(address)} cannot be read ({getattr(why, 'strerror', None) or why})"
        do = f"look whether this computer reaches it (a proxy?); or {give(f'{variable}=ADDRESS')} with a mirror's"
        do = SET_CLOCK if re.search(f"{NOT_YET}|{NO_LONGER}", what) else do
        raise Refused(Problem(name, what, "an answer", do)) from None
    if len(raw) > limit:
        what = f"{redact(address)} is longer than {limit} bytes"
        raise Refused(Problem(name, what, "less", give(f"{variable}=ADDRESS")))
    return bytes(raw)


def apt_options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

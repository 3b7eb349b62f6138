# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment with Ansible (or with the tests' tools), built once per lock and Python, from hashed wheels alone.

The first way needs Python and nothing else: the wheels are fetched, and uv, which is one of them, installs the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import colab_ready
from colab_ready.fetch.wheels import pips_index
from colab_ready.python import lock as lock_file
from colab_ready.python import pip_config

from .playbook import full_place, told_by
from .words import Stop, say

WEEK = 7 * 86400
STEP_SECONDS = 30 * 60
WORD_SECONDS = 10
END_SECONDS = 20
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
MINOR = sys.version_info[1]
# A process that imports the fetcher from where this program has it.
FETCH = "import sys; sys.path.insert(0, sys.argv[1]); from colab_ready.fetch.command import main; sys.exit(main())"
# What of uv's settings has no say where all is at hand.
UV_SOURCES = re.compile("UV_(DEFAULT_INDEX|INDEX.*|FIND_LINKS|HTTP.*|KEYRING_PROVIDER)")


class Failed(Exception):
    """One way to the environment did not lead there, and why."""


class Sources(NamedTuple):
    """Pip's configuration as variables for pip and uv, what uv must be told as arguments, and as the fetcher takes it."""

    variables: dict[str, str]
    uv_arguments: list[str]
    fetch_order: dict[str, Any]


def sources(pip_files: Sequence[tuple[str, str]], environ: Mapping[str, str], home: str) -> Sources:
    """Where packages come from. Raises Stop for a configuration that pip would refuse."""
    try:
        found = pip_config.with_uv_settings(pip_config.merge(pip_files, environ, home), environ)
    except pip_config.PipConfigError as error:
        raise Stop(str(error)) from None
    variables = {
        **pip_config.uv_environment(found, environ),
        **pip_config.inherited_uv_settings(environ),
        **pip_config.pip_environment(found, environ),
        "UV_NO_CONFIG": "1",
    }
    return Sources(variables, pip_config.uv_arguments(found), pip_config.fetch_order(found, environ))


@dataclass
class Builder:
    """Where an environment lies, what is in it, and what may be used to make it."""

    kind: str
    lock: Path
    cache: Path
    environ: dict[str, str]
    uv: str | None
    uv_lock: Path
    sources: Sources
    become: Sequence[str] = ()  # what stands before apt-get
    python: str = sys.executable
    talk: int | None = None  # the pipe from the caller, who may end this

    @property
    def folder(self) -> Path:
        """Where it lies. It is built under its final name, since it could not be moved."""
        key = self.lock.read_bytes() + f"{self.python} 3.{MINOR}\n".encode()
        return self.cache / f"{self.kind}-{hashlib.sha256(key).hexdigest()[:12]}"

    @property
    def is_complete(self) -> bool:
        """Without its mark it is half of one (Ctrl-C), and without its Python it is none."""
        return (self.folder / ".complete").exists() and os.access(self.folder / "bin/python", os.X_OK)

    def get(self) -> Path:
        """The folder of the environment, which is built if it is not there."""
        folder = self.folder
        if not self.is_complete:
            self._build(folder)
        (folder / ".complete").touch()
        return folder

    def _build(self, folder: Path) -> None:
        say(f"preparing the {self.kind} environment with Python 3.{MINOR} (once)")
        log_path = self.cache / f"{self.kind}.log"
        ways = {"wheels": self._with_wheels, "uv": self._with_uv, "venv": self._with_venv, "apt": self._with_apt}
        places = self.sources.fetch_order["places"]
        if not any(places.values()) and not pips_index():
            # Nothing says which index is asked, nor does a pip that could: it comes with python3-venv.
            ways = {name: ways[name] for name in ("uv", "apt")}
        names = [name for name in ways if name != "uv" or self.uv]
        # Not in /tmp, where nobody would take away what is left of a killed run, and which may be full, or noexec.
        scratch = self.cache / f"{self.kind}.tmp"
        environ = {**self.environ, "TMPDIR": str(scratch)}
        with open(log_path, "w", encoding="utf-8") as log:
            for place, name in enumerate(names, 1):
                for place_anew in (folder, scratch):
                    shutil.rmtree(place_anew, ignore_errors=True)
                scratch.mkdir(mode=0o700)
                try:
                    ways[name](folder, Steps(log.fileno(), log_path, environ, self.talk))
                    break
                except Failed as reason:
                    # Where another way follows, this is no error: a bare Debian has neither pip nor ensurepip.
                    say(f"not with {name} ({reason})" + ("; trying the next way" if place < len(names) else ""))
            else:
                if full := full_place("/tmp", str(self.cache), "/var"):
                    raise Stop(
                        f"{full} is full, so there is no way to the {self.kind} environment; all output is in {log_path}. "
                        f"Expected: room there. Do: df -h {full}; take away what is not needed, then start again."
                    )
                raise Stop(
                    f"no way led to the {self.kind} environment; all output is in {log_path}. Expected: a package index that "
                    "answers (pip's configuration is used). Do: check the network, the proxy and that configuration; start again."
                )
        shutil.rmtree(scratch, ignore_errors=True)
        (folder / ".complete").touch()
        self._forget_old()

    def _with_wheels(self, folder: Path, steps: Steps) -> None:
        here = lock_file.marker_environment(platform.python_version(), sys.implementation.name, platform.machine())
        wanted = [
            (one.name, one.version, [digest.partition(":")[2] for digest in one.hashes])
            for lock in (self.uv_lock, self.lock)
            for one in lock_file.select(lock_file.parse_lock(lock.read_text(encoding="utf-8")), here).values()
        ]
        wheels, uv = self.cache / "wheels", self.cache / "wheels" / "uv"
        order = {**self.sources.fetch_order, "wanted": wanted, "folder": str(wheels), "program": ["uv", str(uv)]}
        modules = str(Path(colab_ready.__path__[0]).parent)
        with tempfile.TemporaryFile(dir=self.cache) as stdin:
            stdin.write(json.dumps(order).encode())
            stdin.seek(0)
            steps.run(self.python, "-I", "-c", FETCH, modules, name="the download", stdin=stdin)
        steps.environ = {name: value for name, value in steps.environ.items() if not UV_SOURCES.fullmatch(name)}
        steps.run(str(uv), "venv", "--python", self.python, str(folder))
        options = ["--offline", "--no-index", "--find-links", str(wheels), "--no-build", "--require-hashes"]
        steps.run(str(uv), "pip", "install", "--python", str(folder / "bin/python"), *options, "-r", str(self.lock))
        # uv's own is for this computer, which needs it next.
        for path in wheels.iterdir():
            if not (path.name.startswith("uv-") and path.suffix == ".whl"):
                path.unlink()

    def _with_uv(self, folder: Path, steps: Steps) -> None:
        assert self.uv
        steps.run(self.uv, "venv", "--python", self.python, str(folder))
        options = ["--no-build", "--require-hashes", *self.sources.uv_arguments, "-r", str(self.lock)]
        steps.run(self.uv, "pip", "install", "--python", str(folder / "bin/python"), *options)

    def _with_venv(self, folder: Path, steps: Steps) -> None:
        steps.run(self.python, "-I", "-c", "import ensurepip, venv")
        steps.run(self.python, "-I", "-m", "venv", str(folder))
        # A wheel's hash binds; a source's would not bind the tools that build it.
        options = ["--no-user", "--no-compile", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]
        pip = [str(folder / "bin/python"), "-I", "-m", "pip", "install", *options]
        steps.run(*pip, "--require-hashes", "-r", str(self.lock))

    def _with_apt(self, folder: Path, steps: Steps) -> None:
        package = f"python3.{MINOR}-venv"
        steps.run("dpkg", "-S", os.path.realpath(self.python))  # is it apt's Python?
        lacking = not (os.path.exists(CERTIFICATES) and os.path.getsize(CERTIFICATES))
        try:
            steps.run(self.python, "-I", "-c", "import ensurepip, venv")
        except Failed:
            lacking = True
        if not lacking:
            raise Failed(f"{package} and ca-certificates are installed already")
        say(f"installing {package} and ca-certificates with apt-get")
        # Its methods are another user's, who cannot write to our TMPDIR.
        environ = ["env", "-u", "TMPDIR", "DEBIAN_FRONTEND=noninteractive"]
        apt = [*self.become, *environ, "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
        with contextlib.suppress(Failed):
            steps.run(*apt, "update")
        steps.run(*apt, "install", "--yes", "--no-install-recommends", package, "ca-certificates")
        # With python3-venv comes the pip that says which index is asked.
        self._with_wheels(folder, steps)

    def _forget_old(self) -> None:
        """Somebody may run from an environment that is not needed here: old is what was not used for a week, or not done."""
        for folder in [*self.cache.glob("controller-*"), *self.cache.glob("dev-*")]:
            mark = folder / ".complete"
            if folder.is_dir() and not (mark.exists() and mark.stat().st_mtime > time.time() - WEEK):
                shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Steps:
    """Programs whose output goes to the log; the log's last line is the reason when one fails."""

    log: int
    log_path: Path
    environ: dict[str, str]
    talk: int | None
    said: float = field(default_factory=time.monotonic)  # when the person last got a word

    def run(self, *command: str, name: str = "", stdin: IO[bytes] | int = subprocess.DEVNULL) -> None:
        """In /, so that no uv.toml and no setup.cfg of the current directory is read. `name`: what a person knows it by."""
        try:
            process = subprocess.Popen(
                command, cwd="/", env=self.environ, stdin=stdin, stdout=self.log, stderr=self.log
            )
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        try:
            self._wait(process, name or os.path.basename(command[0]))
        finally:
            if process.poll() is None:
                _end(process)
        if process.returncode:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {process.returncode}")
            raise Failed(re.sub("^ModuleNotFoundError: ", "", last)[:300])

    def _wait(self, process: subprocess.Popen[bytes], name: str) -> None:
        """With words, and not for ever: an index may send a byte now and then, or ask to be asked again tomorrow."""
        began = time.monotonic()
        while time.monotonic() - began < STEP_SECONDS:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
                return
            if self.talk is not None and select.select([self.talk], [], [], 0)[0] and (told := told_by(self.talk)):
                sys.exit(128 + told)
            # Short steps follow each other: the silence counts, not the step.
            if time.monotonic() - self.said >= WORD_SECONDS:
                self.said = time.monotonic()
                say(f"{name} is still at it ({self.said - began:.0f} s)")
        raise Failed(f"{name} did not end within {STEP_SECONDS // 60} minutes")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting as the user an environment belongs to, child processes as that user, and uv itself.

Root never writes in a user's folder with root's rights: files are touched with that user's effective ids, programs are
started with that user's real ones. A child dies with this process (PR_SET_PDEATHSIG, prctl(2)), so a run that was
killed leaves nobody behind who holds uv's lock.
"""

from __future__ import annotations

import ctypes
import glob
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, Sequence

from .. import lockfile, pip_config, uv_errors

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# UV_SYSTEM_CERTS is the youngest thing we ask of a uv that is not the locked one.
OLDEST_UV = "0.11.0"
_PR_SET_PDEATHSIG = 1
# Debian and Ubuntu keep ensurepip's pip here; everybody else keeps it beside ensurepip.
_PIP_WHEELS = "/usr/share/python-wheels/pip-*.whl"
_FIND_PIP = (
    "import ensurepip, os, venv; print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled', 'pip-*.whl'))"
)


class Failure(Exception):
    """What ends the work; the text is the one message for the user."""

    def __init__(self, message: str, problem: uv_errors.Problem | None = None, kind: str = "input") -> None:
        super().__init__(message)
        # One word for the code: what was asked for is wrong, or what kind of problem came up.
        self.kind = problem.kind if problem else kind


# ---- who --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """Who an environment belongs to."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def current_account() -> Account:
    uid = os.geteuid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        return Account(str(uid), uid, os.getegid(), tuple(os.getgroups()), "/")


def account_named(name: str) -> Account:
    try:
        return _account(pwd.getpwnam(name))
    except KeyError:
        raise Failure(
            f"There is no user '{name}' on this host. Expected a user who exists. Create it, or choose another one."
        ) from None


def _account(entry: pwd.struct_passwd) -> Account:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Touch files with the account's effective ids, where this process is root and the account is not."""
    if os.geteuid() != 0 or account.uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups(list(account.groups))
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


# ---- programs ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A program that ended, or was ended because it took too long."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.timed_out

    @property
    def text(self) -> str:
        return f"{self.stdout}\n{self.stderr}" + ("\noperation timed out" if self.timed_out else "")


def run(
    argv: Sequence[str],
    env: Mapping[str, str],
    account: Account,
    stdin: str = "",
    timeout: float | None = None,
) -> Finished:
    """Run a program as the account, in a session of its own, in /."""
    # The module may be root, the account itself, or (with a wrong `user`) somebody who will be refused by the kernel.
    switch = os.geteuid() == 0 and account.uid != 0
    identity = {"user": account.uid, "group": account.gid, "extra_groups": list(account.groups)} if switch else {}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd="/",
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent(),
            **identity,  # type: ignore[call-overload]  # mypy cannot see through a dictionary of arguments
        )
    except OSError as error:
        return Finished(127, "", f"{argv[0]}: {error.strerror or error}")
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        stdout, stderr = process.communicate()
        return Finished(process.returncode, stdout, stderr, timed_out=True)
    except BaseException:
        _kill(process)
        raise
    return Finished(process.returncode, stdout, stderr)


def _kill(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        process.kill()


def _die_with_parent() -> Callable[[], None] | None:
    """Runs between fork and exec, after the ids are switched (switching them would clear the setting)."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None

    def set_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return set_signal


def base_environment(account: Account) -> dict[str, str]:
    """What a child gets of the caller's variables: none. An activated virtualenv or PYTHONPATH would misdirect it."""
    return {
        "PATH": DEFAULT_PATH,
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }


# ---- uv itself --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Uv:
    path: str
    version: str
    made: bool = False


def uv_version(path: str, account: Account) -> str | None:
    """What `uv --version` says, or None where that does not run."""
    done = run([path, "--version"], base_environment(account), account, timeout=30)
    words = done.stdout.split()
    return words[1] if done.ok and len(words) >= 2 and words[0] == "uv" else None


def locked_version(uv_lock: str) -> str | None:
    """The version of uv that the lock pins, or None without a lock."""
    for entry in lockfile.parse_lock(uv_lock):
        if entry.name == "uv":
            return entry.version
    return None


def provide_uv(
    given: str | None,
    tools_dir: str,
    uv_lock: str,
    account: Account,
    pythons: Sequence[str],
    pip_environment: Mapping[str, str],
) -> Uv:
    """A uv that the account can run: the given one, the one in tools_dir, a newly installed one, or one from PATH."""
    if given:
        version = uv_version(given, account)
        if version is None:
            raise Failure(
                f"{given} cannot be run as {account.name}. Expected a uv program that this user may read and run. "
                "Correct the path, or leave it empty: uv is then installed from its lock."
            )
        return Uv(given, version)
    wanted = locked_version(uv_lock)
    own = os.path.join(tools_dir, "bin", "uv")
    version = uv_version(own, account) if os.path.exists(own) else None
    if version is not None and wanted in (None, version):
        return Uv(own, version)
    tried = []
    if wanted:
        for python in dict.fromkeys(pythons):
            wheels = _pip_of(python)
            if wheels is None:
                tried.append(f"{python} has no ensurepip")
                continue
            _install_uv(python, wheels, tools_dir, uv_lock, pip_environment)
            version = uv_version(own, account)
            if version == wanted:
                return Uv(own, version, made=True)
            raise Failure(
                f"uv was installed in {tools_dir} but {own} does not run as {account.name}. Expected a folder that "
                "everybody may read and run programs from. Check its mode and that its file system allows programs."
            )
    for candidate in _uv_on_path():
        version = uv_version(candidate, account)
        if version and lockfile.matches(version, ">=" + OLDEST_UV):
            return Uv(candidate, version)
        tried.append(f"{candidate} is {version or 'not usable'}")
    raise Failure(
        f"There is no uv to build with, and it cannot be installed ({'; '.join(tried) or 'no lock of uv was given'}). "
        f"Expected a Python with ensurepip, or a uv of at least {OLDEST_UV} on PATH. "
        "Run `apt-get install python3-venv`, then run this again.",
        kind="no_uv",
    )


def _pip_of(python: str) -> str | None:
    """A pip wheel of this interpreter's ensurepip; empty where only ensurepip itself can tell; None without one."""
    account = current_account()
    done = run([python, "-I", "-c", _FIND_PIP], base_environment(account), account, timeout=30)
    if not done.ok:
        return None
    found = sorted(glob.glob(done.stdout.strip())) or sorted(glob.glob(_PIP_WHEELS))
    return found[-1] if found else ""


def _install_uv(python: str, wheel: str, tools_dir: str, uv_lock: str, pip_environment: Mapping[str, str]) -> None:
    """A small environment with uv in it.

    pip is run out of its wheel instead of being installed first: that takes about half the time (measured: 2.0 s
    against 4.3 s on two cores), and nobody needs pip there.
    """
    doing = f"uv, which builds the environments, could not be installed in {tools_dir}"
    account = current_account()
    try:
        _make_room(tools_dir)
        lock = os.path.join(tools_dir, "uv.txt")
        with open(lock, "w", encoding="utf-8") as stream:
            stream.write(uv_lock)
    except OSError as error:
        problem = uv_errors.explain_os_error(error)
        raise Failure(problem.message(doing), problem) from None
    env = {**base_environment(account), **pip_environment}
    venv = [python, "-I", "-m", "venv", *(["--without-pip"] if wheel else []), tools_dir]
    done = run(venv, env, account)
    if done.ok:
        pip_env = {**env, "PYTHONPATH": wheel} if wheel else env
        pip = [os.path.join(tools_dir, "bin", "python"), "-m", "pip", "install", "--verbose", "--no-input"]
        pip += [
            "--disable-pip-version-check",
            "--no-compile",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
        ]
        done = run([*pip, "--only-binary", ":all:", "--requirement", lock], pip_env, account)
    if not done.ok:
        problem = uv_errors.explain(done.text)
        raise Failure(problem.message(doing), problem)


def _make_room(tools_dir: str) -> None:
    """An empty tools_dir; what is there and is not an environment is somebody's."""
    if os.path.islink(tools_dir) or (os.path.exists(tools_dir) and not os.path.isdir(tools_dir)):
        raise Failure(
            f"{tools_dir} is no folder. Expected a folder for uv, or nothing. Take it away, or choose another "
            "tools_dir."
        )
    if os.path.isdir(tools_dir):
        names = set(os.listdir(tools_dir))
        if names and not names & {"pyvenv.cfg", "uv.txt"}:
            raise Failure(
                f"{tools_dir} holds other things ({', '.join(sorted(names)[:5])}). Expected an empty folder, or one "
                "that this module made. Move them away, or choose another tools_dir."
            )
        shutil.rmtree(tools_dir)
    os.makedirs(tools_dir, mode=0o755)


def _uv_on_path() -> list[str]:
    """uv programs that may be run by root: nobody else may have been able to write them."""
    found = []
    for folder in dict.fromkeys([*os.environ.get("PATH", "").split(":"), "/usr/local/bin", "/usr/bin"]):
        path = os.path.join(folder, "uv")
        try:
            status = os.stat(path)
        except OSError:
            continue
        owned = os.geteuid() != 0 or (status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
        if folder.startswith("/") and os.access(path, os.X_OK) and owned:
            found.append(path)
    return found


def pip_settings(sources: pip_config.Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """The host's sources for the one call of pip, impatient: what follows would fail as well, and says so better."""
    result = pip_config.pip_environment(sources, environ)
    result.setdefault("PIP_RETRIES", "1")
    result.setdefault("PIP_TIMEOUT", "10")
    return result


def bootstrap_pythons(chosen: str | None) -> list[str]:
    """Who may make the tools: the interpreter of the environment, the distribution's, the module's own."""
    return [one for one in (chosen, "/usr/bin/python3", sys.executable) if one and os.path.exists(one)]

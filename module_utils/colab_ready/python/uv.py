# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that build environments, and uv itself: found, installed from its lock, and run.

What root executes here is a path that we know, which nobody but root can change: never one
that a process of the environment's user named. Everything else runs in that user's own process (boundary.py).
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.problem import Problem
from ..core.remedy import give
from ..fetch.client import Client, FetchError, Network
from ..fetch.command import unpack
from ..fetch.names import Computer
from ..fetch.wheels import Places, Wanted, fetch
from ..files.removal import remove_path
from ..process.identity import Account, current_account
from ..process.run import Finished, child_environment, run
from . import lock as lock_file
from . import pip_config, uv_errors
from .environment import kind_of
from .trusted import distrusted, refusal

# UV_SYSTEM_CERTS is the youngest thing we ask of a uv that is not the locked one.
OLDEST_UV = "0.11.0"
# Where launcher/controller.py leaves the wheel of uv; root's alone.
LAUNCHERS_WHEELS = "/var/cache/colab-ready/wheels"
SYSTEM_PYTHON = "/usr/bin/python3"
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
# A question that a program answers at once, and a download of some GB over a slow line.
ANSWER_SECONDS = 30.0
INSTALL_SECONDS = 3600.0
# How long a silence a second attempt bears; four times as long as was asked for, where that is more.
PATIENCE_SECONDS = 120
# How long uv waits for a lock that somebody else holds; its own is 300.
LOCK_SECONDS = "30"


class Failure(Exception):
    """What ends the work; the text is the one message for the user."""

    def __init__(self, message: str, kind: str = "input") -> None:
        super().__init__(message)
        # One word for the code: what was asked for is wrong, or what kind of problem came up.
        self.kind = kind


# What the work may end with.
ENDS = (Failure, lock_file.LockError, pip_config.PipConfigError, OSError)


def failed(doing: str, problem: uv_errors.Problem) -> Failure:
    """Return the failure that a problem is."""
    return Failure(problem.message(doing), problem.kind)


def as_failure(doing: str, error: Exception) -> Failure:
    """Return the failure that an error is, one of `ENDS`."""
    if isinstance(error, OSError):
        return failed(doing, uv_errors.explain_os_error(error))
    return error if isinstance(error, Failure) else Failure(str(error))


@dataclass(frozen=True)
class Request:
    """What the module was asked for."""

    path: str
    lock: str = ""
    packages: Sequence[str] = ()
    pinned: Sequence[Mapping[str, Any]] = ()
    local_packages: Sequence[str] = ()
    constraints: Sequence[str] = ()
    exact: bool = False
    drop_bundled_hsa: bool = False
    compile_bytecode: bool = False
    python: str | None = None
    python_requires: str = ">=3.10,<3.15"
    python_fetch: bool = False
    python_mirror: str | None = None
    pythons_dir: str = ""
    user: str | None = None
    tools_dir: str = ""
    uv: str | None = None
    uv_lock: str = ""
    cache_dir: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


# ---- programs ---------------------------------------------------------------------------------


def execute(argv: Sequence[str], env: Mapping[str, str], seconds: float, stdin: str = "") -> Finished:
    """Run a program with the rights of this process; where those are root's, nobody else may be able to change it."""
    refuse_distrusted(argv[0])
    return run(argv, seconds, env=env, stdin=stdin.encode())


def patiently(sources: pip_config.Sources, attempt: Callable[[Mapping[str, str]], Finished]) -> Finished:
    """Return what came of an attempt, which is given variables; where the line was slow or broke off, of a second one: it takes
    one file at a time, so that each that comes whole is kept."""
    done = attempt({})
    if done.ok or done.timed_out or not uv_errors.explain(said(done)).slow:
        return done
    seconds = str(max(PATIENCE_SECONDS, 4 * (sources.timeout or 0)))
    uv = {"UV_HTTP_TIMEOUT": seconds, "UV_HTTP_RETRIES": "1", "UV_CONCURRENT_DOWNLOADS": "1"}
    return attempt({**uv, "PIP_TIMEOUT": seconds})


def refuse_distrusted(place: str) -> None:
    """Raise a Failure where somebody else than root can change a program, or what lies at a place of root's."""
    message = refusal(place)
    if message:
        raise Failure(message, kind="distrusted")


def said(done: Finished) -> str:
    """Return all that a program said, as uv_errors reads it."""
    ended = uv_errors.KILLED % (-done.status, signal.strsignal(-done.status)) if -64 <= done.status < 0 else ""
    return f"{done.stdout}\n{done.stderr}\n" + ("operation timed out" if done.timed_out else ended)


def uv_environment(
    request: Request, environ: Mapping[str, str], sources: pip_config.Sources, account: Account, cache: str
) -> dict[str, str]:
    """Return the variables for uv: where packages come from, where downloads lie, and nothing of the caller's own settings."""
    certificates = any(os.path.exists(path) for path in SYSTEM_CERTIFICATES)
    return {
        **child_environment(account, {"NO_COLOR": "1"}),
        **{name: value for name, value in request.environment.items() if not name.startswith(("PIP_", "UV_"))},
        **pip_config.uv_environment(sources, environ, certificates),
        **pip_config.inherited_uv_settings(environ),
        "UV_CACHE_DIR": cache,
        **credentials_place(account, cache),
        "UV_NO_PROGRESS": "1",
        "UV_LOCK_TIMEOUT": LOCK_SECONDS,
        "UV_PYTHON_DOWNLOADS": "never",
        # A uv.toml in somebody's home is not part of what was asked for.
        "UV_NO_CONFIG": "1",
    }


def credentials_place(account: Account, cache: str) -> dict[str, str]:
    """After a 404 or a refusal uv asks its store of credentials, and leaves a lock file where that would be (uv 0.13): in the
    cache, which goes, unless the account has a store."""
    kept = os.path.isdir(os.path.join(account.home, ".local/share/uv/credentials"))
    return {} if kept else {"UV_CREDENTIALS_DIR": os.path.join(cache, "credentials")}


def make_lock(folder: str) -> None:
    """Make uv's lock file before uv does, with mode 0666: whoever can open a file can hold its lock for ever."""
    path = os.path.join(folder, ".lock")
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


# ---- uv itself --------------------------------------------------------------------------------


def uv_version(path: str) -> str | None:
    """Return what `uv --version` says, or None where that does not run."""
    done = execute([path, "--version"], child_environment(current_account(), None), ANSWER_SECONDS)
    words = done.stdout.split()
    return words[1] if done.ok and len(words) >= 2 and words[0] == "uv" else None


def provide_uv(
    request: Request,
    environ: Mapping[str, str],
    sources: pip_config.Sources,
    get_pip: Callable[[], Problem | None] | None = None,
) -> str:
    """Return the path of a uv: the given one, the one in tools_dir, one that is fetched by the lock, or one from PATH.

    The given one is not run: it may be another user's, for that user's own environment. `get_pip` gives the host a pip, which
    says where packages come from if nothing is configured, or returns why not.
    """
    if request.uv:
        return request.uv
    refuse_distrusted(request.tools_dir)
    wanted = next((entry for entry in lock_file.parse_lock(request.uv_lock) if entry.name == "uv"), None)
    own = os.path.join(request.tools_dir, "bin", "uv")
    version = uv_version(own) if os.path.exists(own) else None
    if version is not None and (wanted is None or version == wanted.version):
        return _unreadable(own)
    try:
        if wanted:
            return _fetch_uv(own, wanted, request, pip_config.fetch_order(sources, environ))
        problem = uv_errors.NO_LOCK
    except FetchError as error:
        problem = uv_errors.explain_fetch(error.kind, str(error))
    except OSError as error:
        problem = uv_errors.explain_os_error(error)
    for candidate in _uv_on_path():
        version = uv_version(candidate)
        if version and lock_file.matches(version, ">=" + OLDEST_UV):
            return candidate
    if problem.kind == "no_index" and get_pip:
        refused = get_pip()
        if refused is None:
            return provide_uv(request, environ, sources)
        problem = uv_errors.Problem(
            problem.kind, f"{problem.what}; {refused.what}", refused.expected, f"Do: {refused.do}"
        )
    raise failed(f"uv, which builds the environments, could not be fetched into {request.tools_dir}", problem)


def _unreadable(program: str) -> str:
    """Let only its owner read a program: then nobody else reads the memory of its processes either (ptrace(2)).

    A script stays as it is: its interpreter has to read it.
    """
    with open(program, "rb") as file:
        if file.read(4) == b"\x7fELF":
            os.fchmod(file.fileno(), 0o711)
    return program


def _fetch_uv(own: str, entry: lock_file.LockEntry, request: Request, order: Mapping[str, Any]) -> str:
    """Put uv where it belongs, out of its locked wheel, which does not stay. Raises FetchError, Failure and OSError."""
    # What the launcher on this computer has fetched for itself.
    known = [] if distrusted(LAUNCHERS_WHEELS) or not os.path.isdir(LAUNCHERS_WHEELS) else [LAUNCHERS_WHEELS]
    places = Places(
        order["places"]["index_url"],
        tuple(order["places"]["extra_index_urls"]),
        (*known, *order["places"]["find_links"]),
        order["places"]["no_index"],
    )
    client = Client(Network.of(order["network"], tuple(order["trusted_hosts"])))
    wanted = Wanted(entry.name, entry.version, frozenset(one.partition(":")[2] for one in entry.hashes))
    _make_room(request.tools_dir)
    with open(os.path.join(request.tools_dir, "uv.txt"), "w", encoding="utf-8") as stream:
        stream.write(request.uv_lock)
    with tempfile.TemporaryDirectory(dir=request.tools_dir) as folder:
        unpack(fetch([wanted], places, folder, client, Computer.here())[0], "uv", own)
    if uv_version(own) != entry.version:
        raise Failure(
            f"uv was fetched into {request.tools_dir}, but {own} does not run. Expected a folder that programs can be run from. "
            f"Do: findmnt -T {request.tools_dir}; if that says noexec, {give('colab_prefix=FOLDER')} with a folder of another "
            "file system."
        )
    return _unreadable(own)


def _make_room(tools_dir: str) -> None:
    """An empty tools_dir; what is there and is not an environment is somebody's."""
    kind = kind_of(tools_dir)
    if kind == "file" or (kind == "other" and not os.path.lexists(os.path.join(tools_dir, "uv.txt"))):
        raise Failure(
            f"{tools_dir} is no folder, or holds other things. Expected a folder for uv that this module made, an empty "
            "folder, or nothing. Move away what is there, or choose another tools_dir."
        )
    remove_path(tools_dir)
    os.makedirs(tools_dir, mode=0o755)


def _uv_on_path() -> list[str]:
    """uv programs on PATH; root takes only those that nobody else can change."""
    found = []
    for folder in dict.fromkeys([*os.environ.get("PATH", "").split(":"), "/usr/local/bin", "/usr/bin"]):
        path = os.path.join(folder, "uv")
        if folder.startswith("/") and os.access(path, os.X_OK) and distrusted(path) is None:
            found.append(path)
    return found

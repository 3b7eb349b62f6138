# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's part of an environment: the folders, the lock, uv and fetched Pythons. What is in the environment is the user's part.

That part (converge.py) runs behind the boundary: it gets the request as data, and its answer is data: bounded, checked,
and never the name of something that is then executed here.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

from ..core.problem import AS_ROOT
from ..core.problem import Problem as HostProblem
from ..core.remedy import give
from ..core.text import printable
from ..files.removal import remove_path
from ..process import fork as forked
from ..process.boundary import BoundaryError, run_as
from ..process.fork import run_together
from ..process.identity import Account, become, current_account
from . import environment, fetched, pip_config, uv_errors
from . import lock as lock_file
from .cache import cache_of
from .converge import attempt, scan_any
from .environment import Pin
from .installer import Outcome, Work, empty_folder
from .sources import find_account, read_sources
from .uv import (
    ENDS,
    INSTALL_SECONDS,
    Failure,
    Request,
    as_failure,
    execute,
    make_lock,
    patiently,
    provide_uv,
    refuse_distrusted,
    said,
    uv_environment,
)

# How long to wait for another run that works on the same environment.
LOCK_SECONDS = 300.0
# All that uv may take together, and what a look at an environment may.
WORK_SECONDS = 7200.0
TOGETHER_SECONDS = WORK_SECONDS + LOCK_SECONDS + 60
LOOK_SECONDS = 60.0
TEXT_CHARACTERS = 4000
# What else of uv's settings is about where a Python comes from: https://docs.astral.sh/uv/reference/environment/
PYTHON_SOURCE_VARIABLES = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")


class Answer(NamedTuple):
    """What became of one environment, and where packages come from, as data."""

    outcome: Outcome
    sources: dict[str, Any]


class Builder:
    """One environment and what is wanted of it."""

    def __init__(
        self,
        request: Request,
        environ: Mapping[str, str],
        check_mode: bool,
        get_pip: Callable[[], HostProblem | None] | None = None,
    ) -> None:
        self.request = request
        self.get_pip = get_pip
        self.environ = {**environ, **request.environment}
        self.path: str = request.path
        self.check_mode = check_mode
        self.account = self._account(request.user)
        self.cache = cache_of(request.cache_dir, self.path, self.account.uid)
        self.doing = f"The environment {self.path} could not be built"

    # -- present

    def build(self) -> Outcome:
        self._check_user()
        self._check_place()
        self._check_ours("touched")
        entries = lock_file.parse_lock(self.request.lock)
        pins = [_pin(one) for one in self.request.pinned]
        packages = [lock_file.parse_requirement(one) for one in self.request.packages]
        self.sources = read_sources(self.request, self.environ)
        work = Work(self.request, self.environ, self.account, self.check_mode, entries, pins, packages, self.sources)
        if self.check_mode:
            return self._converge(work)
        try:
            with self._only_one(self._lock):
                return self._build(work)
        except OSError as error:
            raise as_failure(self.doing, error) from None

    def _build(self, work: Work) -> Outcome:
        try:
            return self._converge(self._make_folder(work))
        finally:
            # Where nothing was built nothing stays, not even the folder that was made for it.
            for folder in (self.path, self.cache):
                with suppress(OSError):
                    os.rmdir(folder)

    def _converge(self, work: Work) -> Outcome:
        given: set[str] = set()
        while True:
            outcome = self._ask_user(work)
            needs = {"python", "uv", "room"} & set(outcome.needs)
            if not needs and outcome.failure:
                raise Failure(outcome.failure, printable(outcome.kind))
            if not needs:
                return outcome
            if self.check_mode or needs & given:
                raise Failure(
                    f"{self.doing}: {', '.join(sorted(needs))} was made for it and is missing again. Expected: nothing else "
                    f"changes that folder. Do: ./colab-ready again; if it stays, see who changes it (sudo lsof +D {self.path}) "
                    "and end that.",
                    kind="incomplete",
                )
            given |= needs
            work = replace(self._provide(needs, outcome.seen, work), before=outcome.before, reasons=outcome.reasons)

    def _provide(self, needs: Collection[str], seen: str, work: Work) -> Work:
        # One for all environments, which may be built at the same time.
        with self._only_one(os.path.join(os.path.dirname(self._lock), "uv")):
            uv = work.uv or provide_uv(self.request, self.environ, work.sources, self.get_pip)
        if "python" in needs:
            self._fetch_python(uv, seen, work.sources)
            work = replace(work, fetched=True)
        if "uv" in needs:
            self._make_cache()
            work = replace(work, uv=uv)
        if "room" in needs:
            empty_folder(self.path)
        return work

    # -- absent

    def remove(self) -> Outcome:
        self._check_place()
        if self._check_ours("removed") != "environment":
            return Outcome()
        outcome = Outcome(changed=True, before=self._owners_listing(), reasons=["it is to be absent"])
        if not self.check_mode:
            remove_path(self.path)
        return outcome

    # -- the other side of the boundary

    def _ask_user(self, work: Work) -> Outcome:
        try:
            answer = run_as(self.account, partial(attempt, work), WORK_SECONDS)
        except BoundaryError as error:
            raise Failure(
                f"{self.doing}: {error}. Expected the work in it to come to an end. Run this again; if it stays, look at "
                f"what {self.account.name} runs there, and at the memory that is free.",
                kind="boundary",
            ) from None
        return _outcome(answer)

    def _owners_listing(self) -> list[str]:
        """Say what is in an environment, whosever it is, read with its owner's rights."""
        found = os.lstat(self.path)
        owner = Account(f"the user with id {found.st_uid}", found.st_uid, found.st_gid, (), "/")
        try:
            return _texts(run_as(owner, lambda: environment.listing(scan_any(self.path)), LOOK_SECONDS))
        except BoundaryError:
            return []

    # -- checks

    def _account(self, user: str | None) -> Account:
        if not user:
            return current_account()
        try:
            return find_account(user)
        except Failure:
            if self.check_mode:
                # another task would have made the account, and then there is nothing of its own to look at
                return current_account()
            raise

    def _check_user(self) -> None:
        me = os.geteuid()
        if me not in (0, self.account.uid):
            raise Failure(
                f"{self.doing}: it is for {self.account.name}, but this runs as {current_account().name}. Expected "
                f"root or {self.account.name} itself. {AS_ROOT}."
            )

    def _check_place(self) -> None:
        if not os.path.isabs(self.path) or os.path.normpath(self.path) != self.path.rstrip("/") or self.path == "/":
            raise Failure(f"path is '{self.path}'. Expected an absolute path without '..'. Correct it.")
        self.path = self.path.rstrip("/")
        self.request = replace(self.request, path=self.path)
        if os.path.islink(self.path):
            raise Failure(
                f"{self.path} is a symbolic link. Expected a real folder: an environment is not built through a link that "
                "somebody may turn elsewhere. Take the link away, or choose another path."
            )
        refuse_distrusted(os.path.dirname(self.path))

    def _check_ours(self, what: str) -> str:
        kind = environment.kind_of(self.path)
        if kind == "other" and self._is_rest_of_ours():
            kind = "environment"
        if kind in ("other", "file"):
            shown = "a file" if kind == "file" else "a folder with other things in it"
            raise Failure(
                f"{self.path} is {shown}, so it is not {what}. Expected nothing there, an empty folder, or an environment "
                f"(with {environment.MEMORY} or pyvenv.cfg). Move it away, or choose another path."
            )
        return kind

    def _is_rest_of_ours(self) -> bool:
        """Tell whether this is what somebody left of an environment: its lock is there, which nobody else makes, and packages."""
        packages = glob.glob(os.path.join(glob.escape(self.path), "lib", "python3*", "site-packages"))
        return bool(packages) and os.path.isfile(self._lock)

    # -- folders

    def _make_folder(self, work: Work) -> Work:
        """Make the folder and give it to its user. What another user left in it is nobody's to keep: they could have
        prepared it."""
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        if not os.path.lexists(self.path):
            os.mkdir(self.path, 0o755)
        elif os.lstat(self.path).st_uid != self.account.uid and os.geteuid() == 0:
            reason = f"it belonged to another user than {self.account.name}"
            work = replace(work, before=self._owners_listing(), reasons=[reason])
            empty_folder(self.path)
        self._give(self.path)
        return work

    def _make_cache(self) -> None:
        try:
            os.mkdir(self.cache, 0o700)
            self._give(self.cache)
        except FileExistsError:
            found = os.lstat(self.cache)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.account.uid:
                raise Failure(
                    f"{self.cache} is not a folder of {self.account.name}. Expected a cache that only this user "
                    "writes. Take it away, then run ./colab-ready again."
                ) from None

    def _give(self, path: str) -> None:
        if os.geteuid() == 0:
            os.lchown(path, self.account.uid, self.account.gid)

    @property
    def _lock(self) -> str:
        return os.path.join(self.request.cache_dir, "locks", hashlib.sha256(self.path.encode()).hexdigest()[:16])

    @contextlib.contextmanager
    def _only_one(self, lock: str) -> Iterator[None]:
        """Hold a lock that only this process holds, in a folder of its own: it goes with the process."""
        refuse_distrusted(self.request.cache_dir)
        os.makedirs(os.path.dirname(lock), mode=0o700, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + LOCK_SECONDS
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > end:
                    holder = printable(os.pread(handle, 200, 0).decode("utf-8", "replace"))
                    number = re.match(r"process (\d{1,9}),", holder, re.ASCII)
                    kill = f"; if it hangs: sudo kill {number[1]}" if number else ""
                    raise Failure(
                        f"{self.doing}: this run has waited {LOCK_SECONDS:.0f} seconds for another one ({holder}). Expected to "
                        f"be the only one. Wait until it has ended{kill}.",
                        kind="busy",
                    )
                time.sleep(0.2)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}, for {self.path}, since {time.strftime('%H:%M:%S')}".encode(), 0)
            yield
        finally:
            os.close(handle)

    # -- a Python that the host does not have

    def _fetch_python(self, uv: str, seen: str, sources: pip_config.Sources) -> None:
        """With the rights of who runs this, so that root's Python stays root's, whoever the environment is for."""
        series = fetched.series_for(self.request.python_requires)
        folder = self.request.pythons_dir
        unsafe = fetched.folder_problem(folder)
        if unsafe or series is None:
            raise Failure(f"{self.doing}: {unsafe or 'no series of Python fits'}.")
        told = {name: self.environ[name] for name in PYTHON_SOURCE_VARIABLES if self.environ.get(name)}
        # uv goes by the hashes of the list, or by none where it has none: who stands in the middle could write it.
        if told.get("UV_PYTHON_DOWNLOADS_JSON_URL", "").lower().startswith("http://"):
            raise Failure(
                f"{self.doing}: UV_PYTHON_DOWNLOADS_JSON_URL is an http:// address, which everybody on the way can answer for. "
                "Expected https:// or file://. Correct it."
            )
        if self.request.python_mirror:
            told["UV_PYTHON_INSTALL_MIRROR"] = self.request.python_mirror
        settings = {**told, "UV_PYTHON_INSTALL_DIR": folder, "UV_PYTHON_DOWNLOADS": "manual"}
        try:
            os.makedirs(folder, mode=0o755, exist_ok=True)
            make_lock(folder)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".cache-") as cache:
                env = uv_environment(self.request, self.environ, sources, current_account(), cache)
                # It checks the archive against a sha256 that it carries itself.
                command = [uv, "python", "install", "--no-bin", f"cpython-{series}"]
                done = patiently(sources, lambda more: execute(command, {**env, **settings, **more}, INSTALL_SECONDS))
        finally:
            with suppress(OSError):
                os.unlink(os.path.join(folder, ".lock"))
        if not done.ok:
            problem = uv_errors.explain(said(done))
            given = give("python_env_python_mirror=ADDRESS")
            mirror = (
                f"Correct it: {given}"
                if self.request.python_mirror
                else f"Name a mirror of that download (file:///FOLDER for a folder): {given}"
            )
            raise Failure(
                f"{self.doing}: no Python of this host fits ({seen}), and uv could not fetch Python {series}: "
                f"{problem.what}. Expected a Python that fits {self.request.python_requires}, or a download that can be "
                f"reached. {mirror}, or install such a Python and name it: {give('python_env_python=PATH')}.",
                problem.kind,
            )


# ---- several at the same time -----------------------------------------------------------------


def build_all(builders: Sequence[Builder], present: bool = True) -> list[Answer]:
    """Build environments, or take them away, all at the same time; the first failure ends the work on the others.

    Raises Failure, with what is wrong with each.
    """
    works = [_work(builder, present) for builder in builders]
    if len(builders) == 1 or not present:
        return [work() for work in works]
    die_with_parent = become(current_account())
    outcomes = run_together(
        [partial(_in_a_copy, work) for work in works],
        TOGETHER_SECONDS,
        prepare=lambda _writer: die_with_parent(),
        ends_all=_is_failure,
    )
    failures = [
        _failure_of(one, outcome) for one, outcome in zip(builders, outcomes, strict=True) if _is_failure(outcome)
    ]
    if failures:
        ended = [one.path for one, outcome in zip(builders, outcomes, strict=True) if outcome.kind == "ended"]
        left = f" The work on {' and '.join(ended)} was ended; what it fetched is kept." if ended else ""
        raise Failure("\n".join(map(str, failures)) + left, failures[0].kind)
    return [Answer(_outcome(one.value["outcome"]), one.value["sources"]) for one in outcomes]


def _work(builder: Builder, present: bool) -> Callable[[], Answer]:
    def work() -> Answer:
        try:
            if not present:
                return Answer(builder.remove(), {})
            return Answer(builder.build(), builder.sources.describe())
        except ENDS as error:
            raise as_failure(builder.doing, error) from None

    return work


def _in_a_copy(work: Callable[[], Answer], _say: forked.Say) -> dict[str, Any]:
    try:
        answer = work()
    except Failure as failure:
        return {"failure": str(failure), "kind": failure.kind}
    return {"outcome": asdict(answer.outcome), "sources": answer.sources}


def _is_failure(outcome: forked.Outcome) -> bool:
    return outcome.kind not in ("ok", "ended") or (outcome.kind == "ok" and "failure" in outcome.value)


def _failure_of(builder: Builder, outcome: forked.Outcome) -> Failure:
    if outcome.kind == "ok":
        return Failure(outcome.value["failure"], outcome.value["kind"])
    return Failure(f"{builder.doing}: {outcome.text}. Expected it to come to an end. Run this again.", "boundary")


# ---- what was asked for -----------------------------------------------------------------------


def _pin(data: Mapping[str, Any]) -> Pin:
    text, *hashes = str(data["requirement"]).split("--hash=")
    requirement = lock_file.parse_requirement(text)
    if requirement.version is None:
        raise Failure(
            f"The pinned requirement '{text.strip()}' leaves the version open. Expected one such as "
            "torch==2.13.0+cpu. Correct it."
        )
    index, place = data.get("index") or None, data.get("find_links") or None
    if index and place:
        raise Failure(
            f"The pinned requirement '{text.strip()}' names both index and find_links. Expected one of them. Take the "
            "other out."
        )
    if place and not place.startswith("/") and "://" not in place:
        raise Failure(
            f"The pinned requirement '{text.strip()}' has find_links '{place}'. Expected the address of a page of wheels, "
            "or the absolute path of a folder of them. Correct it."
        )
    default = data.get("default_requirement") if data.get("allow_default") else None
    return Pin(
        requirement=requirement,
        hashes=tuple(one.strip() for one in hashes),
        index=index,
        find_links=place,
        dependencies=bool(data.get("dependencies")),
        optional=bool(data.get("optional")),
        variable=str(data.get("variable") or ""),
        default=lock_file.parse_requirement(str(default)) if default else None,
        default_refused=bool(data.get("default_requirement")) and default is None,
    )


# ---- what came back ---------------------------------------------------------------------------


def _outcome(answer: Any) -> Outcome:
    """Take the outcome out of an answer; whoever wrote it, it has the right shape and no control characters."""
    data = answer if isinstance(answer, dict) else {}
    shapes: dict[type, Callable[[Any], Any]] = {bool: bool, str: _lines, list: _texts, dict: _table}
    empty = asdict(Outcome())
    return Outcome(**{name: shapes[type(value)](data.get(name, value)) for name, value in empty.items()})


def _texts(found: Any) -> list[str]:
    return [printable(one, TEXT_CHARACTERS) for one in found] if isinstance(found, list) else []


def _table(found: Any) -> dict[str, str]:
    pairs = found.items() if isinstance(found, dict) else ()
    return {printable(key): printable(value, TEXT_CHARACTERS) for key, value in pairs}


def _lines(text: Any) -> str:
    """A message may have several lines: uv's own words stand in lines of their own."""
    return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in str(text).split("\n"))[: 1 << 16]

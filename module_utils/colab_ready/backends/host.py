# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GPU's backend needs of the host as one state: a repository with its key, packages, files, and who may open the GPU.

First it is looked at and said what is in the way, all of it, and only then anything is changed. What comes from outside is
checked before a package is touched; what was done is recorded before it is done (host_record.py).
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..apt import key as apt_key
from ..apt import openpgp
from ..apt import output as apt_output
from ..apt.client import INSTALL, Apt, fetch, take_proxies
from ..core.problem import Problem, Refused, explain, message
from ..core.redact import redact
from ..core.remedy import give
from ..files.changes import Changes
from ..system import groups as gpu_groups
from . import kernel as kernels
from .host_record import Record, digest
from .kernel import Kernel

LEFT = "what was done before is not taken back with the rest"


@dataclass
class Work:
    """What is to be done. All of it is known before anything is touched."""

    files: dict[str, bytes]
    fetch_key: bool
    # Whether apt has to read the repository.
    read: bool
    packages: list[str]
    debs: list[dict[str, str]]
    stale_packages: list[str]
    stale_debs: list[str]
    shadows: list[str]
    groups: list[str]
    # Of `debs`, where they were fetched to.
    paths: list[str] = field(default_factory=list)


class GpuHost:
    """One run over one host. What it finds and changes is collected in its attributes.

    A backend says in `choose` what is wanted: {line, packages, prerequisites, repository {path, text, keyring, key, fingerprints,
    key_sha256, pin_path, pin} or None, debs [{package, file, url, sha256}], groups, cautions}.
    """

    owner = ""
    key_variable = ""
    # What else is to be done of some complaints of apt's.
    more: Mapping[str, str] = {}
    record_type = Record

    def __init__(self, params: Mapping[str, Any], check: bool) -> None:
        self.params = params
        self.changes = Changes(check)
        self.plan: dict[str, Any] = {}
        self.skipped: list[str] = []
        self.record = self.record_type(self.changes, params["state_file"])
        settings = {"seconds": "timeout_seconds", "apt_get": "apt_get", "dpkg_query": "dpkg_query"}
        self.apt = Apt(self.owner, self.more, **{key: params[name] for key, name in settings.items() if name in params})

    # ---- what a backend says ------------------------------------------------------------------

    @property
    def title(self) -> str:
        raise NotImplementedError

    def choose(self, problems: list[Problem]) -> dict[str, Any]:
        raise NotImplementedError

    def is_missing(self, name: str, there: Mapping[str, str]) -> bool:
        return name not in there

    def shadows(self, left: Mapping[str, str], stale_debs: Sequence[str], problems: list[Problem]) -> list[str]:
        """Packages of others that have to go; what else does not go with ours is a problem."""
        return []

    def own_files(self, problems: list[Problem]) -> dict[str, str]:
        """Path and text of files besides those of the repository."""
        return {}

    def say_more(self) -> None:
        """What else would change."""

    def fetch(self, work: Work, keyring: bytes | None, folder: str) -> None:
        """Fetch and try what comes from outside, in a folder which nobody else writes to."""

    def finish(self) -> None:
        """What is left when packages and files are there."""

    def kernel(self) -> Kernel:
        """What the kernel environment is made of, when the host is ready for it."""
        raise NotImplementedError

    def returned(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """What the module returns besides what all do."""
        return {"plan": plan}

    def let_go(self) -> None:
        """What has to be taken back before the packages are."""

    def forget(self) -> None:
        """What has to be done when the files are gone."""

    # ---- present ------------------------------------------------------------------------------

    def present(self) -> None:
        self.record.read(LEFT)
        problems: list[Problem] = []
        self.plan = self.choose(problems)
        if self.plan["repository"]:
            problems += apt_key.check_key(self.plan["repository"], self.key_variable)
        work = self._compare(problems)
        if problems:
            raise Refused(*problems)
        self._say(work)
        if self.changes.check:
            return
        with tempfile.TemporaryDirectory(prefix="colab-ready-") as folder:
            # apt reads what it checks as its own user, _apt; nobody else writes here.
            os.chmod(folder, 0o755)
            keyring = self._key() if work.fetch_key else None
            if keyring is not None:
                work.files[self.plan["repository"]["keyring"]] = keyring
            self.fetch(work, keyring, folder)
            self._act(work)
        self.finish()
        self._join(work.groups)

    def _compare(self, problems: list[Problem]) -> Work:
        """What is there, what should be, and the difference."""
        plan, record = self.plan, self.record.data
        needs_dpkg = bool(plan["packages"] or plan["debs"] or record["packages"] or record["debs"])
        if needs_dpkg and not os.access(self.apt.apt_get[0], os.X_OK):
            do = f"{give('colab_backend=cpu')}, or, in WSL, {give('colab_backend=directml')}"
            raise Refused(
                *problems, Problem(f"{self.owner}_no_apt", f"there is no {self.apt.apt_get[0]}", "apt and dpkg", do)
            )
        there = self.apt.installed() if needs_dpkg else {}
        names = [deb["package"] for deb in plan["debs"]]
        switched = record["line"] not in ("", plan["line"])
        # Of another line nothing of ours stays: AMD supports no upgrade in place.
        over = bool(record["asked"]) and (switched or not plan["packages"])
        stale = [name for name in record["packages"] if over and name in there and name not in plan["prerequisites"]]
        stale_debs = [name for name in record["debs"] if name in there and (switched or name not in names)]
        # What was there before us is its owner's.
        stale_debs = [name for name in stale_debs if not record["debs"][name]["was"]]
        left = {name: version for name, version in there.items() if name not in {*stale, *stale_debs}}
        shadows = self.shadows(left, stale_debs, problems)
        missing = [name for name in (*plan["prerequisites"], *plan["packages"]) if self.is_missing(name, left)]
        # What those depend on, only if it is missed: a newer release may do without it.
        gone = [name for name in record["packages"] if name not in {*there, *missing}]
        missing += gone if gone and self.apt.is_broken() else []
        debs = []
        for deb in plan["debs"]:
            ours = record["debs"].get(deb["package"]) or {}
            same = left.get(deb["package"]) == deb["version"] and ours.get("sha256", deb["sha256"]) == deb["sha256"]
            if not same or deb["package"] in stale_debs or self.apt.damaged(deb["package"]):
                debs.append(deb)
        files = {path: text.encode("utf-8") for path, text in {**self._sources(), **self.own_files(problems)}.items()}
        fetch_key = self._key_is_wanted()
        return Work(
            files=files,
            fetch_key=fetch_key,
            read=bool(plan["repository"]) and (fetch_key or bool(missing) or self._is_new_source(files)),
            packages=missing,
            debs=debs,
            stale_packages=stale,
            stale_debs=stale_debs,
            shadows=shadows,
            groups=self._groups(problems),
        )

    def _sources(self) -> dict[str, str]:
        """Without the keyring, which is known when it has been fetched."""
        repository = self.plan["repository"] or {"path": "", "text": "", "pin_path": "", "pin": ""}
        files = {repository["path"]: repository["text"], repository["pin_path"]: repository["pin"]}
        return {path: text for path, text in files.items() if path}

    def _key_is_wanted(self) -> bool:
        repository = self.plan["repository"]
        if not repository:
            return False
        known = self.record.data["files"].get(repository["keyring"]) or {}
        now = self.record.content(repository["keyring"])
        if now is None:
            return True
        if known.get("sha256") == digest(now) and known.get("from") == _key_source(repository):
            return False
        # Whoever followed the maker's page has it already. In an empty file there is none.
        with suppress(openpgp.NotAKey):
            found = set(openpgp.fingerprints(now))
            return not found or not found <= set(repository["fingerprints"])
        return True

    def _is_new_source(self, files: Mapping[str, bytes]) -> bool:
        """Whether apt is to read another address than before; one that was only damaged is put back unasked."""
        path = self.plan["repository"]["path"]
        known = self.record.data["files"].get(path) or {}
        return known.get("sha256") != digest(files[path]) and self.record.content(path) != files[path]

    def _groups(self, problems: list[Problem]) -> list[str]:
        user, wanted = self.params["user"], self.plan["groups"]
        if not user or not wanted:
            return []
        nobody = gpu_groups.user_problem(user, self.owner)
        if nobody is not None and not self.changes.check:
            problems.append(nobody)
            return []
        found = gpu_groups.look(user, wanted)
        if found.missing:
            missing = " and no group ".join(found.missing)
            self.skipped.append(f"there is no group {missing}, so nobody needs to be in it")
        return found.to_join

    def _key(self) -> bytes:
        repository = self.plan["repository"]
        address, name = repository["key"], f"{self.owner}_apt_key"
        raw = fetch(address, openpgp.KEY_BYTES_MAX, f"{name}_unreachable", name)
        try:
            ring = openpgp.binary(raw)
            found = openpgp.fingerprints(ring)
            problem = apt_key.judge(repository, self.key_variable, digest(raw), found)
        except openpgp.NotAKey as error:
            what = f"what {redact(address)} answers is no key: {error}"
            problem = Problem(name, what, "the repository's public key", f"{give(f'{name}=ADDRESS')} with its address")
        if problem is not None:
            raise Refused(problem)
        if not (repository["fingerprints"] or repository["key_sha256"]):
            self.changes.warnings.append(
                f"{redact(address)} is taken because of its address alone: its fingerprint is published nowhere that "
                f"colab-ready knows. It is {', '.join(found)}; to hold it to that: {give(self.key_variable + '=FINGERPRINT')}"
            )
        return ring

    # ---- telling ------------------------------------------------------------------------------

    def _say(self, work: Work) -> None:
        """The diff. In check mode it is all that comes of it."""
        there = self.apt.installed() if work.packages or work.debs or work.stale_packages or work.shadows else {}
        going = {*work.stale_packages, *work.stale_debs, *work.shadows}
        for name in sorted({*going, *work.packages, *(deb["package"] for deb in work.debs)}):
            deb = next((one for one in work.debs if one["package"] == name), None)
            becomes = deb["version"] if deb else "newest of its repository" if name in work.packages else "absent"
            again = " (again, as it is damaged)" if deb and there.get(name) == deb["version"] else ""
            self._say_package(name, there.get(name, "absent"), becomes + again)
        for path, content in work.files.items():
            if not self.record.is_right(path, content):
                self._say_file(path, content)
        if work.fetch_key:
            path = self.plan["repository"]["keyring"]
            was = "another key" if os.path.exists(path) else "absent"
            self.changes.note(path, f"{path}: {was}\n", f"{path}: the repository's key\n")
        for path in self._stale_files(work):
            self._say_file(path, None)
        self.say_more()
        for name in work.groups:
            self.changes.note(f"group {name}", "", f"group {name}: with {self.params['user']}\n")

    def _say_package(self, name: str, was: str, becomes: str) -> None:
        self.changes.note(f"package {name}", f"package {name}: {was}\n", f"package {name}: {becomes}\n")

    def _say_file(self, path: str, content: bytes | None) -> None:
        now = self.record.content(path)
        before, after = (
            f"{path}: absent\n" if one is None else f"{path}:\n{one.decode('utf-8', 'replace')}"
            for one in (now, content)
        )
        if before == after:
            before, after = f"{path}: another owner or mode\n", f"{path}: root:root 0644\n"
        self.changes.note(path, before, after)

    def _stale_files(self, work: Work) -> list[str]:
        """Files of ours that the plan has no use for any more."""
        kept = {*work.files, *([self.plan["repository"]["keyring"]] if self.plan["repository"] else [])}
        return [path for path in self.record.data["files"] if path not in kept]

    # ---- acting -------------------------------------------------------------------------------

    def _act(self, work: Work) -> None:
        """Until the end of the download only three text files of apt's are touched, and they are put back if it fails."""
        repository = self.plan["repository"] or {}
        # The source last: apt never sees it without its key.
        places = [repository[name] for name in ("keyring", "pin_path", "path") if repository.get(name)]
        apt_files = [path for path in places if path in work.files]
        before, contents = json.dumps(self.record.data), {path: self.record.content(path) for path in apt_files}
        self.record.data["line"] = self.plan["line"]
        try:
            for path in apt_files:
                origin = _key_source(repository) if path == repository["keyring"] else ""
                self.record.put(path, work.files[path], origin)
            self._download(work)
        except BaseException:
            self.record.roll_back(contents, json.loads(before))
            raise
        if work.stale_debs or work.stale_packages or work.shadows:
            self._take_away(work)
        if work.packages:
            self._install(work)
        for deb, path in zip(work.debs, work.paths, strict=False):
            self._install_deb(deb, path)
        for path in self._stale_files(work):
            self.record.restore(path)
        for path in work.files:
            if path not in apt_files:
                self.record.put(path, work.files[path])

    def _download(self, work: Work) -> None:
        repository = self.plan["repository"]
        where = redact(address_of(repository)) if repository else "the distribution's packages"
        if work.read:
            self.apt.read_source(repository["path"], where)
        if not work.packages:
            return
        try:
            steps = self.apt.simulate(["install", *work.packages], where)
        except Refused:
            # The lists of the distribution may be old, or not there at all; or what ours depend on was forced away.
            unread = self._update()
            there = self.apt.installed()
            work.packages += [name for name in self.record.data["packages"] if name not in {*there, *work.packages}]
            try:
                steps = self.apt.simulate(["install", *work.packages], where)
            except Refused as error:
                # What is in no list may be in the one that could not be read.
                lacks = error.problems[0].id == f"{self.owner}_apt_package"
                raise (unread if unread and lacks else error) from None
            self.changes.warnings += [str(unread)] if unread else []
        problems = apt_output.judge_steps(steps, [*work.stale_packages, *work.shadows], self.owner, self.title)
        if problems:
            raise Refused(*problems)
        self.apt.apt(["install", "--download-only", *INSTALL, *work.packages], where)
        for name in steps.new:
            self.record.data["packages"].setdefault(name, steps.install[name])
        self.record.data["asked"] = list(self.plan["packages"])

    def _update(self) -> Refused | None:
        """Read all of apt's lists, or return why not all: one source of others' that fails says nothing of the rest."""
        try:
            self.apt.apt(["update"], "the distribution's packages")
        except Refused as error:
            return error
        return None

    def _install(self, work: Work) -> None:
        self.record.write()
        self.record.touched = True
        tidy = ["-o", "APT::Keep-Downloaded-Packages=false"]
        self.apt.apt(["install", *tidy, *INSTALL, *work.packages], "the installation")
        there = self.apt.installed()
        gone = [name for name in work.packages if name not in there]
        if gone:
            raise Refused(self.apt.problem(f"E: {', '.join(gone)} did not get installed", "the installation"))
        self.record.data["settled"] = list(self.plan["packages"])
        self.record.write()

    def _install_deb(self, deb: Mapping[str, str], path: str) -> None:
        was = self.apt.installed().get(deb["package"])
        before = self.record.data["debs"].get(deb["package"])
        self.record.data["debs"][deb["package"]] = {
            "version": deb["version"],
            "sha256": deb["sha256"],
            "was": before["was"] if before else was,
        }
        self.record.write()
        self.record.touched = True
        self.apt.install_deb(path, deb["file"])

    def _take_away(self, work: Work) -> None:
        there, record = self.apt.installed(), self.record.data
        record["removed"].update({name: there[name] for name in work.shadows})
        self.record.write()
        self.record.touched = True
        if work.stale_debs:
            self.let_go()
            self.apt.purge(self.apt.removable(work.stale_debs))
        gone = self.apt.removable([*work.stale_packages, *work.shadows])
        self.apt.purge(gone)
        for name in {*work.stale_packages, *work.stale_debs}:
            if name in gone or name in work.stale_debs:
                record["packages"].pop(name, None)
                record["debs"].pop(name, None)
        if not self.plan["packages"]:
            record["asked"] = []
        self.record.write()

    def _join(self, groups: Sequence[str]) -> None:
        recorded = self.record.data["groups"]
        for name in groups:
            self.record.touched = True
            problem = gpu_groups.join(self.params["user"], name, recorded, self.record.write, self._status, self.owner)
            if problem is not None:
                raise Refused(problem)

    def _status(self, command: Sequence[str]) -> int:
        return self.apt.run(command).status

    # ---- absent -------------------------------------------------------------------------------

    def absent(self) -> None:
        """Take back what the record names, newest first, and nothing else."""
        record, warnings = self.record.read(LEFT), self.changes.warnings
        there = self.apt.with_files() if record["packages"] or record["debs"] or record["removed"] else {}
        debs = [name for name, one in record["debs"].items() if name in there and not one["was"]]
        packages = [name for name in record["packages"] if name in there]
        going = self.apt.removable([*debs, *packages])
        stay = sorted({*debs, *packages} - {*going})
        if stay:
            warnings.append(f"{', '.join(stay)} stays: other packages need it")
        back = [name for name in record["removed"] if name not in there]
        self._say_absent(going, back, there)
        if self.changes.check:
            return
        for user, name in gpu_groups.still_there(record["groups"]):
            stays = gpu_groups.leave(user, name, self._status)
            warnings += [stays] if stays else []
        self.record.touched = self.record.touched or bool(record["groups"])
        record["groups"] = []
        for name, one in record["debs"].items():
            if one["was"] and name in there:
                warnings.append(f"{name} {there[name]} stays: {one['was']} was there before colab-ready")
        self.let_go()
        kept = self.apt.with_changed_configuration([name for name in debs if name in going], self.record.content)
        try:
            if kept:
                self.apt.apt(["remove", "--yes", *kept])
                warnings.append(f"the configuration of {', '.join(kept)} is kept: it has been changed by others")
            # The bridge first: the link that leads to its files may be a package's.
            self.apt.purge([name for name in going if name in debs and name not in kept])
            self.apt.purge([name for name in going if name not in debs])
        finally:
            self.record.touched = self.record.touched or bool(going and self.apt.with_files() != there)
        record["debs"], record["packages"] = {}, {}
        for path in reversed(list(record["files"])):
            self.record.restore(path)
        self.forget()
        if back:
            try:
                self.apt.apt(["install", *INSTALL, *back])
            except Refused:
                names = " ".join(back)
                warnings.append(f"removed for {self.owner}, and not put back: {names} (sudo apt-get install {names})")
        self.record.clear()

    def _say_absent(self, going: Sequence[str], back: Sequence[str], there: Mapping[str, str]) -> None:
        record = self.record.data
        for name in sorted(going):
            self._say_package(name, there[name], "absent")
        for name in back:
            self._say_package(name, "absent", record["removed"][name])
        for path, known in record["files"].items():
            if self.record.is_as_we_left_it(path):
                self._say_file(path, base64.b64decode(known["was"]) if known["was"] is not None else None)
        for line in record["dids"].get("added") or []:
            self.changes.note(record["dids"]["path"], f"{record['dids']['path']}: with {line}\n", "")
        for user, name in record["groups"]:
            self.changes.note(f"group {name}", f"group {name}: with {user}\n", "")


def _key_source(repository: Mapping[str, Any]) -> str:
    return " ".join([redact(repository["key"]), " ".join(repository["fingerprints"]), repository["key_sha256"]]).strip()


def address_of(repository: Mapping[str, str]) -> str:
    found = re.search(r"(?:^URIs: |\] )(\S+)", repository["text"], re.MULTILINE)
    return found[1] if found else repository["path"]


def settle(host: GpuHost) -> tuple[dict[str, Any], list[str]]:
    """What a module does with its parameters; its result, with the problems in it, and warnings."""
    take_proxies(host.params["environment"])
    problems: Sequence[Problem] = ()
    text = ""
    try:
        if host.params["state"] == "present":
            host.present()
        else:
            host.absent()
    except Refused as refusal:
        problems = refusal.problems
        said = message(problems, after="") if host.record.touched else message(problems)
        text = said if problems else str(refusal)
    except OSError as error:
        text = explain(error, host.params["state_file"])
    touched = host.record.touched
    if text and touched:
        done = "What was done before it is recorded; run ./colab-ready again, or ./colab-ready remove takes it back."
        text = f"{text}\n{done}"
    shown = Changes(check=True) if text and not touched else host.changes
    plan = {} if text else host.plan
    result = {
        "changed": touched or (host.changes.check and bool(shown.places)),
        "msg": text,
        "problems": [problem.as_dict() for problem in problems],
        "skipped_parts": host.skipped,
        "changed_paths": [place for place in shown.places if place.startswith("/")],
        "diff": shown.diff,
        **host.returned(plan),
    }
    # What is always so is said when something comes to the host, and not at each run.
    cautions = plan["cautions"] if plan and result["changed"] else []
    return result, [*cautions, *host.changes.warnings]


def serve(module: Any, backend: type[GpuHost]) -> None:
    """What the module of a backend does."""
    kernels.hide_secrets(module)
    host = backend(module.params, module.check_mode)
    result, warnings = settle(host)
    kernels.end(module, host.kernel() if host.plan and not result["msg"] else None, warnings, **result)

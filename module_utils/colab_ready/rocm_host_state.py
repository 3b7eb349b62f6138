# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side of a ROCm plan as one state: look, say all that is in the way, and only then change anything.

What comes from outside (key, lists of the repository, bridge) is fetched into a folder of this run and checked there. What
was done is recorded before it is done, so that an interrupted run can be taken back like a whole one.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import os
import re
import tempfile
from contextlib import suppress
from typing import Any, Mapping, NamedTuple, Sequence

from ansible.module_utils.colab_ready import dids, host, loader_cache, openpgp, rocm_lines, rocm_plan
from ansible.module_utils.colab_ready import rocm_host_plan as thinking
from ansible.module_utils.colab_ready.extension import Problem as FileProblem
from ansible.module_utils.colab_ready.extension import write_record
from ansible.module_utils.colab_ready.guarded_paths import Attributes, UnsafePath
from ansible.module_utils.colab_ready.lockfile import matches
from ansible.module_utils.colab_ready.managed import explain, primary_gid
from ansible.module_utils.colab_ready.pip_config import redact, secrets_in
from ansible.module_utils.colab_ready.preflight import Problem, message
from ansible.module_utils.colab_ready.programs import NotAnswered, ask
from ansible.module_utils.colab_ready.rocm_host_packages import (
    DEB_BYTES_MAX,
    QUESTION_SECONDS,
    STRICT,
    Packages,
    Stopped,
    apt_options,
    fetch,
    take_proxies,
)
from ansible.module_utils.colab_ready.wsl_host_repair import File

SCHEMA = 1
BRIDGE = "rocdxg-roct"
# Without the folder of its libraries nothing of it is on the loader's path.
BRIDGE_LIBRARY = f"{rocm_lines.BRIDGE_FOLDER}/librocdxg.so"
OWN = Attributes(0, 0, 0o644)


class Work(NamedTuple):
    """What is to be done. All of it is known before anything is touched."""

    files: dict[str, bytes]
    fetch_key: bool
    packages: list[str]
    debs: list[dict[str, str]]
    stale_packages: list[str]
    stale_debs: list[str]
    shadows: list[str]
    groups: list[str]


class RocmHost:
    """One run over one host. What it finds and changes is collected in its attributes."""

    def __init__(self, params: Mapping[str, Any], check: bool) -> None:
        self.params = params
        self.check = check
        self.lines: list[tuple[str, str]] = []
        self.warnings: list[str] = []
        self.plan: dict[str, Any] = {}
        self.skipped: list[str] = []
        self.touched = False
        self._record: dict[str, Any] = {}
        self._folder = ""
        self._packages = Packages(params["timeout_seconds"])

    # ---- present ------------------------------------------------------------------------------

    def present(self) -> None:
        self._record = self._read_record()
        work = self._prepare()
        self._say(work)
        if self.check:
            return
        with tempfile.TemporaryDirectory(prefix="colab-ready-rocm-") as folder:
            self._folder = folder
            # apt reads what it checks as its own user, _apt; nobody else writes here.
            os.chmod(folder, 0o755)
            keyring = self._fetched_key() if work.fetch_key else None
            debs = [self._fetched_deb(deb) for deb in work.debs]
            if keyring is not None:
                work.files[self.plan["repository"]["keyring"]] = keyring
            if self.plan["packages"] and (work.fetch_key or work.packages):
                self._try_repository(keyring)
            self._act(work, debs)
        self._settle_dids()
        self._settle_loader()
        self._join(work.groups)

    def _prepare(self) -> Work:
        """What is to be done, or Stopped."""
        params = self.params
        gpu = params["gpu"]
        facts, said = gpu.get("host") or {}, gpu.get("wsl") or {}
        wsl = said.get("version") == 2 or facts.get("wsl") == 2
        card = thinking.choose_card(gpu, wsl)
        if card.problem is not None:
            raise Stopped(card.problem)
        problems = self._without_secrets()
        named = params["python"]
        asked = host.ask_python(named) if named else None
        if named and asked is None:
            what = f"{named} does not start"
            problems.append(
                Problem("rocm_python", what, "an interpreter", "correct python_env_python, or leave it empty")
            )
        distribution = said.get("distribution") or {}
        wish = rocm_plan.Wish(
            version=params["version"],
            torch=params["torch"],
            system_packages=params["system_packages"],
            amd_smi=params["amd_smi"],
            experimental=params["experimental"],
            bridge=params["bridge_version"],
            bridge_sha256=params["bridge_sha256"],
            amd_smi_sha256=params["amd_smi_sha256"],
            apt_address=params["apt_address"],
            apt_key=params["apt_key"],
            bridge_address=params["bridge_address"],
            torch_address=params["torch_address"],
        )
        here = rocm_plan.Host(
            wsl=wsl,
            distribution=facts.get("distribution") or distribution.get("id"),
            version=facts.get("distribution_version") or distribution.get("version_id"),
            architecture=facts.get("architecture"),
            python=asked["version"] if asked else None,
            windows_build=facts.get("windows_build"),
        )
        try:
            self.plan = rocm_plan.choose_line(card.adapter, here, wish)
        except rocm_plan.Refused as refused:
            raise Stopped(*problems, *refused.problems) from None
        plan = self.plan
        problems += self._pythons()
        repository = plan["repository"]
        if repository:
            for name in ("key_sha256", "key_fingerprint"):
                given = params[f"apt_{name}"].replace(" ", "")
                if given:
                    repository[name] = given.lower() if name == "key_sha256" else given.upper()
            problems += thinking.check_key_wish(repository)
        self.warnings += plan["cautions"]
        if not (wsl or plan["packages"] or plan["groups"]):
            self.skipped.append("nothing of the host is needed")
        work = self._compare(wsl, problems)
        if problems:
            raise Stopped(*problems)
        return work

    def _without_secrets(self) -> list[Problem]:
        """Addresses end up in files and messages that everybody reads."""
        return [
            Problem(
                "rocm_address",
                f"rocm_{name} has a user or a password in it",
                "an address alone",
                "give apt a file in /etc/apt/auth.conf.d instead, and let the folder of the bridge be readable in your network",
            )
            for name in ("apt_address", "apt_key", "bridge_address")
            if secrets_in(self.params[name])
        ]

    def _pythons(self) -> list[Problem]:
        """Whether the kernel environment will find a Python; uv_env says it too, but after gigabytes were fetched."""
        params, requires = self.params, self.plan["python_requires"]
        if params["python"] or params["python_fetch"]:
            return []
        seen = [(path, host.ask_python(path)) for path in host.python_candidates(f"{params['usr']}/bin")]
        if any(found and matches(found["version"], requires) for _, found in seen):
            return []
        have = ", ".join(f"{path} is {found['version']}" for path, found in seen if found) or "there is none"
        what = f"PyTorch for ROCm {self.plan['line']} has no wheels for a Python of this host ({have})"
        do = "set rocm_python_fetch: true, or install one of them beside it"
        return [Problem("rocm_python", what, f"Python {requires}", do)]

    def _compare(self, wsl: bool, problems: list[Problem]) -> Work:
        """What is there, what should be, and the difference."""
        params, plan, record = self.params, self.plan, self._record
        needs_dpkg = bool(plan["packages"] or plan["debs"] or record["packages"] or record["debs"])
        there = self._packages.installed() if needs_dpkg else {}
        wanted = [*plan["prerequisites"], *plan["packages"]]
        names = [deb["package"] for deb in plan["debs"]]
        switched = record["line"] not in ("", plan["line"])
        # Of another line nothing of ours stays: AMD supports no upgrade in place.
        over = bool(record["asked"]) and (switched or not plan["packages"])
        stale = [name for name in record["packages"] if over and name in there and name not in plan["prerequisites"]]
        stale_debs = [name for name in record["debs"] if name in there and (switched or name not in names)]
        # What was there before us is its owner's.
        stale_debs = [name for name in stale_debs if not record["debs"][name]["was"]]
        left = {name: version for name, version in there.items() if name not in {*stale, *stale_debs}}
        only_ours = BRIDGE in stale_debs and not any(name == "rocm-core" for name in left)
        folder = os.path.isdir("/opt/rocm") and not os.path.islink("/opt/rocm") and not only_ours
        found = rocm_plan.conflicts(left, plan["line"], wsl, params["system_packages"], folder)
        problems += found.problems
        if found.remove and not params["remove_conflicts"]:
            what = f"{' and '.join(found.remove)} of the distribution would be loaded in place of AMD's runtime"
            do = "set rocm_remove_conflicts: true, which removes them (./colab-ready remove puts them back)"
            problems.append(Problem("rocm_shadowed", what, "not installed", do))
        elif found.remove:
            steps = self._packages.simulate(["purge", *found.remove])
            problems += thinking.judge_steps(steps, found.remove, plan["line"])
        missing = [name for name in wanted if name not in left]
        debs = []
        for deb in plan["debs"]:
            ours = record["debs"].get(deb["package"]) or {}
            same = left.get(deb["package"]) == deb["version"] and ours.get("sha256", deb["sha256"]) == deb["sha256"]
            if not same or deb["package"] in stale_debs or self._packages.damaged(deb["package"]):
                debs.append(deb)
        files = {path: text.encode("utf-8") for path, text in thinking.repository_files(plan["repository"]).items()}
        try:
            files.update({path: text.encode("utf-8") for path, text in thinking.setting_files(plan).items()})
        except ValueError as error:
            problems.append(Problem("rocm_environment", str(error), "plain words and paths", "correct it"))
        for program in ("/usr/bin/apt-get", "/usr/bin/dpkg"):
            if needs_dpkg and not os.access(program, os.X_OK):
                problems.append(Problem("rocm_no_apt", f"there is no {program}", "apt and dpkg", rocm_plan.DIRECTML))
        problems += self._dids_problems()
        return Work(
            files=files,
            fetch_key=self._key_is_wanted(),
            packages=missing,
            debs=debs,
            stale_packages=stale,
            stale_debs=stale_debs,
            shadows=found.remove,
            groups=self._groups(problems),
        )

    def _key_is_wanted(self) -> bool:
        repository = self.plan["repository"]
        if not repository:
            return False
        known = self._record["files"].get(repository["keyring"]) or {}
        now = self._content(repository["keyring"])
        if now is None:
            return True
        sum_now = hashlib.sha256(now).hexdigest()
        if known.get("sha256") == sum_now and known.get("from") == _key_source(repository):
            return False
        # Whoever followed AMD's page has it already.
        with suppress(openpgp.NotAKey):
            if repository["key_fingerprint"] and openpgp.fingerprints(now) == [repository["key_fingerprint"]]:
                return False
        return True

    def _dids_problems(self) -> list[Problem]:
        if not self.plan["dids"]:
            return []
        content = self._content(self._dids_path())
        return dids.merge(
            (content or b"").decode("utf-8", "replace"), dids.parse("\n".join(self.plan["dids"])).entries
        ).problems

    def _groups(self, problems: list[Problem]) -> list[str]:
        user, wanted = self.params["user"], self.plan["groups"]
        if not user or not wanted:
            return []
        if host.account(user) is None and not self.check:
            what = f"there is no user {user}"
            problems.append(Problem("rocm_user", what, "the user who runs the kernels", "correct colab_user"))
            return []
        account = host.account(user)
        own = primary_gid(account.uid) if account else None
        members = {one.gr_name: [*one.gr_mem, *([user] if one.gr_gid == own else [])] for one in grp.getgrall()}
        absent = [name for name in wanted if name not in members]
        if absent:
            self.skipped.append(f"there is no group {' and no group '.join(absent)}, so nobody needs to be in it")
        return thinking.groups_to_join(wanted, members, user)

    def _say(self, work: Work) -> None:
        """The diff. In check mode it is all that comes of it."""
        there = self._packages.installed() if work.packages or work.debs or work.stale_packages or work.shadows else {}
        going = {*work.stale_packages, *work.stale_debs, *work.shadows}
        for name in sorted({*going, *work.packages, *(deb["package"] for deb in work.debs)}):
            was = f"package {name}: {there[name]}\n" if name in there else f"package {name}: absent\n"
            deb = next((one for one in work.debs if one["package"] == name), None)
            becomes = deb["version"] if deb else "newest of its repository" if name in work.packages else "absent"
            again = " (again, as it is damaged)" if deb and there.get(name) == deb["version"] else ""
            self.lines.append((was, f"package {name}: {becomes}{again}\n"))
        for path, content in work.files.items():
            if not self._is_right(path, content):
                self._say_file(path, content)
        if work.fetch_key:
            path = self.plan["repository"]["keyring"]
            was = "another key" if os.path.exists(path) else "absent"
            self.lines.append((f"{path}: {was}\n", f"{path}: the repository's key\n"))
        for path in self._stale_files(work):
            self._say_file(path, None)
        text, after = self._dids_texts()
        lines = [set(one.splitlines()) for one in (text, after)]
        path = self._dids_path()
        self.lines += [(f"{path}: with {line}\n", "") for line in sorted(lines[0] - lines[1])]
        self.lines += [("", f"{path}: with {line}\n") for line in sorted(lines[1] - lines[0])]
        if self._cache_is_wrong():
            self.lines.append(("", f"/etc/ld.so.cache: with {BRIDGE_LIBRARY}\n"))
        user = self.params["user"]
        self.lines += [("", f"group {name}: with {user}\n") for name in work.groups]

    def _say_file(self, path: str, content: bytes | None) -> None:
        now = self._content(path)
        shown = [
            f"{path}: absent\n" if one is None else f"{path}:\n{one.decode('utf-8', 'replace')}"
            for one in (now, content)
        ]
        if shown[0] == shown[1]:
            shown = [f"{path}: another owner or mode\n", f"{path}: root:root 0644\n"]
        self.lines.append((shown[0], shown[1]))

    def _stale_files(self, work: Work) -> list[str]:
        """Files of ours that the plan has no use for any more."""
        kept = {*work.files, *([self.plan["repository"]["keyring"]] if self.plan["repository"] else [])}
        return [path for path in self._record["files"] if path not in kept]

    def _act(self, work: Work, debs: Sequence[str]) -> None:
        """Until the end of the download only three text files of apt's are touched, and they are put back if it fails."""
        repository = self.plan["repository"] or {}
        # The source last: apt never sees it without its key.
        places = [repository[name] for name in ("keyring", "pin_path", "path") if repository.get(name)]
        apt_files = [path for path in places if path in work.files]
        before, contents = json.dumps(self._record), {path: self._content(path) for path in apt_files}
        self._record["line"] = self.plan["line"]
        try:
            for path in apt_files:
                origin = _key_source(repository) if path == repository["keyring"] else ""
                self._put(path, work.files[path], origin)
            self._download(work)
        except BaseException:
            self._roll_back(contents, json.loads(before))
            raise
        if work.stale_debs or work.stale_packages or work.shadows:
            self._take_away(work)
        if work.packages:
            self._install(work)
        for deb, path in zip(work.debs, debs):
            self._install_deb(deb, path)
        for path in self._stale_files(work):
            self._restore(path)
        for path in work.files:
            if path not in apt_files:
                self._put(path, work.files[path])

    def _roll_back(self, contents: Mapping[str, bytes | None], record: dict[str, Any]) -> None:
        """The files as they were, and the record with them."""
        for path, content in contents.items():
            if content is not None:
                File(path).write(content, OWN)
            elif os.path.lexists(path):
                File(path).remove()
        for folder in reversed(self._record["folders"]):
            if folder not in record["folders"]:
                with suppress(OSError):
                    os.rmdir(folder)
        self._record = record
        self._write_record()
        self.touched = False

    # ---- from outside -------------------------------------------------------------------------

    def _fetched_key(self) -> bytes:
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

    def _fetched_deb(self, deb: Mapping[str, str]) -> str:
        """The path of a package that is what its checksum says. Before that dpkg never sees it."""
        raw = fetch(deb["url"], DEB_BYTES_MAX, "rocm_bridge_unreachable", "rocm_bridge_address")
        problem = thinking.judge_deb(deb, hashlib.sha256(raw).hexdigest(), "rocm_bridge_address")
        if problem is not None:
            raise Stopped(problem)
        private = f"{self._folder}/debs"
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

    def _try_repository(self, keyring: bytes | None) -> None:
        """Read the repository in a folder of this run, with the key that was fetched: nothing of it is on the host yet."""
        repository = self.plan["repository"]
        private = f"{self._folder}/apt"
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
        where = redact(_address_of(repository))
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

    # ---- packages -----------------------------------------------------------------------------

    def _download(self, work: Work) -> None:
        if not work.packages:
            return
        repository = self.plan["repository"]
        where = redact(_address_of(repository)) if repository else "the distribution's packages"
        if repository:
            one = {"Dir::Etc::SourceList": repository["path"], "Dir::Etc::SourceParts": "/dev/null", **STRICT}
            self._packages.apt(
                ["update", *apt_options({**one, "APT::Get::List-Cleanup": "0"})], where, list_is_read=True
            )
        try:
            steps = self._packages.simulate(["install", *work.packages])
        except Stopped:
            # The lists of the distribution may be old, or not there at all; or what ours depend on was forced away.
            self._packages.apt(["update"], "the distribution's packages", list_is_read=True)
            there = self._packages.installed()
            work.packages.extend(name for name in self._record["packages"] if name not in {*there, *work.packages})
            steps = self._packages.simulate(["install", *work.packages])
        problems = thinking.judge_steps(steps, [*work.stale_packages, *work.shadows], self.plan["line"])
        if problems:
            raise Stopped(*problems)
        self._packages.apt(["install", "--download-only", *self._packages.install_options(), *work.packages], where)
        for name in steps.new:
            self._record["packages"].setdefault(name, steps.install[name])
        self._record["asked"] = list(self.plan["packages"])

    def _install(self, work: Work) -> None:
        self._write_record()
        self.touched = True
        tidy = ["-o", "APT::Keep-Downloaded-Packages=false"]
        self._packages.apt(["install", *tidy, *self._packages.install_options(), *work.packages], "apt")

    def _install_deb(self, deb: Mapping[str, str], path: str) -> None:
        was = self._packages.installed().get(deb["package"])
        before = self._record["debs"].get(deb["package"])
        self._record["debs"][deb["package"]] = {
            "version": deb["version"],
            "sha256": deb["sha256"],
            "was": before["was"] if before else was,
        }
        self._write_record()
        self.touched = True
        self._packages.install_deb(path, deb["file"])

    def _take_away(self, work: Work) -> None:
        there = self._packages.installed()
        for name in work.shadows:
            self._record["removed"][name] = there[name]
        self._write_record()
        self.touched = True
        if work.stale_debs:
            self._take_dids_back()
            self._packages.purge(work.stale_debs)
        stayed = self._packages.purge([*work.stale_packages, *work.shadows])
        for name in work.stale_packages:
            if name not in stayed:
                self._record["packages"].pop(name, None)
        if not self.plan["packages"]:
            self._record["asked"] = []
        for name in work.stale_debs:
            self._record["debs"].pop(name, None)
        self._write_record()

    # ---- files --------------------------------------------------------------------------------

    def _content(self, path: str) -> bytes | None:
        try:
            return File(path).read()
        except FileNotFoundError:
            return None

    def _is_right(self, path: str, content: bytes) -> bool:
        file = File(path)
        try:
            return file.read() == content and file.entry is not None and file.entry.attributes == OWN
        except FileNotFoundError:
            return False

    def _put(self, path: str, content: bytes, origin: str = "") -> None:
        """A file of ours; what was in its place is recorded."""
        if self._is_right(path, content) and (not origin or self._record["files"].get(path, {}).get("from") == origin):
            return
        now = self._content(path)
        known = self._record["files"].get(path)
        was = known["was"] if known else None if now is None else base64.b64encode(now).decode("ascii")
        self._record["files"][path] = {
            "was": was,
            "sha256": hashlib.sha256(content).hexdigest(),
            **({"from": origin} if origin else {}),
        }
        if was is not None and known is None:
            self.warnings.append(f"{path} was there, and is replaced; ./colab-ready remove puts it back")
        self._make_folder(os.path.dirname(path))
        self._write_record()
        self.touched = True
        File(path).write(content, OWN)

    def _make_folder(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        self._make_folder(os.path.dirname(folder))
        self._record["folders"].append(folder)
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)

    def _restore(self, path: str) -> None:
        """What was there before us. What somebody else wrote since then stays."""
        known = self._record["files"].pop(path)
        now = self._content(path)
        if now is not None and hashlib.sha256(now).hexdigest() != known["sha256"]:
            self.warnings.append(f"{path} is kept: it has been changed by others since then")
        elif now is not None and known["was"] is None:
            File(path).remove()
            self.touched = True
        elif now is not None:
            File(path).write(base64.b64decode(known["was"]), OWN)
            self.touched = True
        for folder in reversed(self._record["folders"]):
            with suppress(OSError):
                os.rmdir(folder)
                self._record["folders"].remove(folder)
        self._write_record()

    # ---- dids.conf ----------------------------------------------------------------------------

    def _dids_path(self) -> str:
        known = self._record["dids"].get("path")
        return str(known) if known else dids.path_beside(os.path.realpath(BRIDGE_LIBRARY))

    def _dids_texts(self) -> tuple[str, str]:
        """The text now and as it should be. Lines that somebody else wrote are never touched."""
        text = (self._content(self._dids_path()) or b"").decode("utf-8", "surrogateescape")
        known = self._record["dids"].get("added") or []
        stale = [line for line in known if line not in self.plan["dids"]]
        return text, dids.merge(dids.without(text, stale), dids.parse("\n".join(self.plan["dids"])).entries).text

    def _settle_dids(self) -> None:
        text, after = self._dids_texts()
        if not self.plan["dids"] and not self._record["dids"]:
            return
        path = self._dids_path()
        merged = dids.merge(text, dids.parse("\n".join(self.plan["dids"])).entries)
        if merged.problems:
            raise Stopped(*merged.problems)
        known = self._record["dids"]
        kept = [line for line in known.get("added") or [] if line in self.plan["dids"]]
        self._record["dids"] = {
            "path": path,
            "added": [*kept, *(line for line in merged.added if line not in kept)],
            "created": bool(known.get("created")) or self._content(path) is None,
        }
        if not self._record["dids"]["added"]:
            self._record["dids"] = {}
        if text != after:
            self._make_folder(os.path.dirname(path))
            self._write_record()
            self.touched = True
            File(path).write(after.encode("utf-8", "surrogateescape"), OWN)
        self._write_record()

    def _take_dids_back(self) -> None:
        known = self._record["dids"]
        if not known:
            return
        path = known["path"]
        content = self._content(path)
        if content is not None:
            text = content.decode("utf-8", "surrogateescape")
            after = dids.without(text, known["added"])
            if not after.strip() and known["created"]:
                File(path).remove()
            elif after != text:
                File(path).write(after.encode("utf-8", "surrogateescape"), OWN)
        self._record["dids"] = {}
        self._write_record()

    # ---- the loader's cache -------------------------------------------------------------------

    def _cached(self) -> str:
        return host.run([self.params["ldconfig"], "-p"], QUESTION_SECONDS) or ""

    def _cache_is_wrong(self) -> bool:
        return bool(self.plan["loader"]) and loader_cache.first(self._cached(), "librocdxg.so") is None

    def _settle_loader(self) -> None:
        if not self.plan["loader"]:
            return
        if self.touched or self._cache_is_wrong():
            self.touched = True
            host.run([self.params["ldconfig"]], QUESTION_SECONDS)
        problem = rocm_plan.loader_problem(self._cached(), self.plan["line"])
        if problem is not None:
            raise Stopped(problem)

    # ---- groups -------------------------------------------------------------------------------

    def _join(self, groups: Sequence[str]) -> None:
        user = self.params["user"]
        for name in groups:
            self._record["groups"].append([user, name])
            self._write_record()
            self.touched = True
            if self._packages.run(["/usr/sbin/usermod", "--append", "--groups", name, user]).status:
                do = f"sudo usermod -aG {name} {user}"
                raise Stopped(Problem("rocm_group", f"{user} could not be put into the group {name}", "a member", do))

    # ---- absent -------------------------------------------------------------------------------

    def absent(self) -> None:
        """Take back what the record names, newest first, and nothing else."""
        record = self._record = self._read_record()
        there = self._packages.installed() if record["packages"] or record["debs"] or record["removed"] else {}
        ours = [name for name, one in record["debs"].items() if name in there and not one["was"]]
        packages = [name for name in record["packages"] if name in there]
        back = [name for name in record["removed"] if name not in there]
        self._say_absent(ours, packages, back, there)
        if self.check:
            return
        for user, name in list(record["groups"]):
            # A member may have gone, and so may the group or the user.
            self._packages.run(["/usr/bin/gpasswd", "--delete", user, name])
            record["groups"].remove([user, name])
            self.touched = True
        for name, one in record["debs"].items():
            if one["was"] and name in there:
                self.warnings.append(f"{name} {there[name]} stays: {one['was']} was there before colab-ready")
        if record["line"]:
            self._take_dids_back()
        kept = self._packages.with_changed_configuration(ours, self._content)
        if kept:
            self._packages.apt(["remove", "--yes", *kept], "apt")
            self.warnings.append(f"the configuration of {', '.join(kept)} is kept: it has been changed by others")
        # The bridge first: the link that leads to its files may be a package's.
        stayed = [*self._packages.purge([name for name in ours if name not in kept]), *self._packages.purge(packages)]
        if stayed:
            self.warnings.append(f"{', '.join(stayed)} stays: other packages need it")
        self.touched = self.touched or bool(ours or packages)
        record["debs"], record["packages"] = {}, {}
        for path in list(record["files"]):
            self._restore(path)
        if record["line"]:
            host.run([self.params["ldconfig"]], QUESTION_SECONDS)
        if back:
            try:
                self._packages.apt(["install", *self._packages.install_options(), *back], "apt")
            except Stopped:
                names = " ".join(back)
                self.warnings.append(f"removed for ROCm, and not put back: {names} (sudo apt-get install {names})")
        self._record = _empty()
        self._write_record()

    def _say_absent(
        self, ours: Sequence[str], packages: Sequence[str], back: Sequence[str], there: Mapping[str, str]
    ) -> None:
        record = self._record
        for name in sorted({*ours, *packages}):
            self.lines.append((f"package {name}: {there[name]}\n", f"package {name}: absent\n"))
        for name in back:
            self.lines.append((f"package {name}: absent\n", f"package {name}: {record['removed'][name]}\n"))
        for path, known in record["files"].items():
            now = self._content(path)
            if now is not None and hashlib.sha256(now).hexdigest() == known["sha256"]:
                self._say_file(path, base64.b64decode(known["was"]) if known["was"] is not None else None)
        for line in record["dids"].get("added") or []:
            self.lines.append((f"{record['dids']['path']}: with {line}\n", ""))
        self.lines += [(f"group {name}: with {user}\n", "") for user, name in record["groups"]]

    # ---- the record ---------------------------------------------------------------------------

    def _read_record(self) -> dict[str, Any]:
        path = self.params["state_file"]
        data = host.read_json(path)
        if data is None and os.path.lexists(path):
            self.warnings.append(
                f"{path}, the record of what was put here, could not be read. It is begun anew; what was done before is not "
                "taken back with the rest."
            )
        if not data or data.get("schema") != SCHEMA:
            return _empty()
        shape = _empty()
        fits = all(isinstance(data.get(name), type(value)) for name, value in shape.items())
        return {name: data[name] for name in shape} if fits else shape

    def _write_record(self) -> None:
        path = self.params["state_file"]
        if self._record == _empty():
            if os.path.lexists(path):
                write_record(path, None)
        elif host.read_json(path) != self._record:
            write_record(path, self._record)


def _empty() -> dict[str, Any]:
    lists: dict[str, Any] = {"folders": [], "asked": [], "groups": []}
    return {"schema": SCHEMA, "line": "", "files": {}, "packages": {}, "debs": {}, "dids": {}, "removed": {}, **lists}


def _key_source(repository: Mapping[str, str]) -> str:
    return " ".join(repository[name] for name in ("key", "key_fingerprint", "key_sha256")).strip()


def _address_of(repository: Mapping[str, str]) -> str:
    found = re.search(r"(?:^URIs: |\] )(\S+)", repository["text"], re.MULTILINE)
    return found[1] if found else repository["path"]


def settle(params: Mapping[str, Any], check: bool) -> tuple[dict[str, Any], list[str]]:
    """What the module rocm_host does with its parameters; its result, with the problems in it, and warnings."""
    take_proxies(params["environment"])
    state = RocmHost(params, check)
    problems: Sequence[Problem] = ()
    text = ""
    try:
        if params["state"] == "present":
            state.present()
        else:
            state.absent()
    except Stopped as stopped:
        problems = stopped.problems
    except FileProblem as error:
        text = str(error)
    except UnsafePath as error:
        text = f"{error}. Expected folders that only root writes to. Replace the link."
    except OSError as error:
        text = explain(error, str(error.filename or params["state_file"]))
    failed = bool(problems or text)
    text = text or (message(problems) if problems else "")
    if failed and state.touched:
        done = "What was done before it is recorded; run ./colab-ready again, or ./colab-ready remove takes it back."
        text = f"{text.replace(' Nothing was changed.', '')}\n{done}"
    shown = state.lines if not failed or state.touched else []
    plan = state.plan if not failed else {}
    result = {
        "changed": state.touched or (check and bool(shown)),
        "msg": text,
        "problems": [problem.as_dict() for problem in problems],
        "skipped_parts": state.skipped,
        "plan": plan,
        "diff": {"before": "".join(before for before, _ in shown), "after": "".join(after for _, after in shown)},
    }
    return result, state.warnings

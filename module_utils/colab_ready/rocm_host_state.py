# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side of a ROCm plan as one state: look, say all that is in the way, and only then change anything.

What comes from outside is checked before any of it is on the host (rocm_host_outside.py); what was done is recorded before it
is done (rocm_host_record.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from typing import Any, Mapping, NamedTuple, Sequence

from ansible.module_utils.colab_ready import gpu_groups, host, loader_cache, openpgp, rocm_plan
from ansible.module_utils.colab_ready import rocm_host_plan as thinking
from ansible.module_utils.colab_ready.core.problem import Problem as FileProblem
from ansible.module_utils.colab_ready.core.problem import explain
from ansible.module_utils.colab_ready.core.refusal import Problem, message
from ansible.module_utils.colab_ready.lockfile import matches
from ansible.module_utils.colab_ready.pip_config import redact, secrets_in
from ansible.module_utils.colab_ready.rocm_host_dids import BRIDGE_LIBRARY, DidsFile
from ansible.module_utils.colab_ready.rocm_host_outside import Outside, address_of
from ansible.module_utils.colab_ready.rocm_host_packages import (
    QUESTION_SECONDS,
    STRICT,
    Packages,
    Stopped,
    apt_options,
    take_proxies,
)
from ansible.module_utils.colab_ready.rocm_host_record import Record, empty

BRIDGE = "rocdxg-roct"


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
        self.record = Record(params["state_file"], self.warnings)
        self.dids = DidsFile(self.record, [])
        self._packages = Packages(params["timeout_seconds"])

    # ---- present ------------------------------------------------------------------------------

    def present(self) -> None:
        self.record.read()
        work = self._prepare()
        self._say(work)
        if self.check:
            return
        with tempfile.TemporaryDirectory(prefix="colab-ready-rocm-") as folder:
            # apt reads what it checks as its own user, _apt; nobody else writes here.
            os.chmod(folder, 0o755)
            outside = Outside(self.plan, folder, self._packages, self.warnings)
            keyring = outside.key() if work.fetch_key else None
            debs = [outside.deb(deb) for deb in work.debs]
            if keyring is not None:
                work.files[self.plan["repository"]["keyring"]] = keyring
            if self.plan["packages"] and (work.fetch_key or work.packages or self._is_new_source(work)):
                outside.try_repository(keyring)
            self._act(work, debs)
        self.dids.settle()
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
        except rocm_plan.Refusal as refused:
            raise Stopped(*problems, *refused.problems) from None
        plan = self.plan
        self.dids = DidsFile(self.record, plan["dids"])
        problems += self._pythons()
        repository = plan["repository"]
        if repository:
            for name in ("key_sha256", "key_fingerprint"):
                given = params[f"apt_{name}"].replace(" ", "")
                if given:
                    repository[name] = given.lower() if name == "key_sha256" else given.upper()
            problems += thinking.check_key_wish(repository)
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
        do = "set colab_python_fetch: true, or install one of them beside it"
        return [Problem("rocm_python", what, f"Python {requires}", do)]

    def _compare(self, wsl: bool, problems: list[Problem]) -> Work:
        """What is there, what should be, and the difference."""
        params, plan, record = self.params, self.plan, self.record.data
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
        # What those depend on, only if it is missed: a newer release may do without it.
        gone = [name for name in record["packages"] if name not in {*there, *missing}]
        missing += gone if gone and self._packages.is_broken() else []
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
        problems += self.dids.problems()
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
        known = self.record.data["files"].get(repository["keyring"]) or {}
        now = self.record.content(repository["keyring"])
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

    def _is_new_source(self, work: Work) -> bool:
        """Whether apt is to read another address than before; one that was only damaged is put back unasked."""
        path = self.plan["repository"]["path"]
        known = self.record.data["files"].get(path) or {}
        same = known.get("sha256") == hashlib.sha256(work.files[path]).hexdigest()
        return not same and self.record.content(path) != work.files[path]

    def _groups(self, problems: list[Problem]) -> list[str]:
        user, wanted = self.params["user"], self.plan["groups"]
        if not user or not wanted:
            return []
        nobody = gpu_groups.user_problem(user, "rocm")
        if nobody is not None and not self.check:
            problems.append(nobody)
            return []
        found = gpu_groups.look(user, wanted)
        if found.missing:
            missing = " and no group ".join(found.missing)
            self.skipped.append(f"there is no group {missing}, so nobody needs to be in it")
        return found.to_join

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
            if not self.record.is_right(path, content):
                self._say_file(path, content)
        if work.fetch_key:
            path = self.plan["repository"]["keyring"]
            was = "another key" if os.path.exists(path) else "absent"
            self.lines.append((f"{path}: {was}\n", f"{path}: the repository's key\n"))
        for path in self._stale_files(work):
            self._say_file(path, None)
        text, after = self.dids.texts()
        lines = [set(one.splitlines()) for one in (text, after)]
        path = self.dids.path()
        self.lines += [(f"{path}: with {line}\n", "") for line in sorted(lines[0] - lines[1])]
        self.lines += [("", f"{path}: with {line}\n") for line in sorted(lines[1] - lines[0])]
        if self._cache_is_wrong():
            self.lines.append(("", f"/etc/ld.so.cache: with {BRIDGE_LIBRARY}\n"))
        user = self.params["user"]
        self.lines += [("", f"group {name}: with {user}\n") for name in work.groups]

    def _say_file(self, path: str, content: bytes | None) -> None:
        now = self.record.content(path)
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
        return [path for path in self.record.data["files"] if path not in kept]

    def _act(self, work: Work, debs: Sequence[str]) -> None:
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
        for deb, path in zip(work.debs, debs):
            self._install_deb(deb, path)
        for path in self._stale_files(work):
            self.record.restore(path)
        for path in work.files:
            if path not in apt_files:
                self.record.put(path, work.files[path])

    # ---- packages -----------------------------------------------------------------------------

    def _download(self, work: Work) -> None:
        if not work.packages:
            return
        repository = self.plan["repository"]
        where = redact(address_of(repository)) if repository else "the distribution's packages"
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
            work.packages.extend(name for name in self.record.data["packages"] if name not in {*there, *work.packages})
            steps = self._packages.simulate(["install", *work.packages])
        problems = thinking.judge_steps(steps, [*work.stale_packages, *work.shadows], self.plan["line"])
        if problems:
            raise Stopped(*problems)
        self._packages.apt(["install", "--download-only", *self._packages.install_options(), *work.packages], where)
        for name in steps.new:
            self.record.data["packages"].setdefault(name, steps.install[name])
        self.record.data["asked"] = list(self.plan["packages"])

    def _install(self, work: Work) -> None:
        self.record.write()
        self.record.touched = True
        tidy = ["-o", "APT::Keep-Downloaded-Packages=false"]
        self._packages.apt(["install", *tidy, *self._packages.install_options(), *work.packages], "apt")

    def _install_deb(self, deb: Mapping[str, str], path: str) -> None:
        was = self._packages.installed().get(deb["package"])
        before = self.record.data["debs"].get(deb["package"])
        self.record.data["debs"][deb["package"]] = {
            "version": deb["version"],
            "sha256": deb["sha256"],
            "was": before["was"] if before else was,
        }
        self.record.write()
        self.record.touched = True
        self._packages.install_deb(path, deb["file"])

    def _take_away(self, work: Work) -> None:
        there = self._packages.installed()
        for name in work.shadows:
            self.record.data["removed"][name] = there[name]
        self.record.write()
        self.record.touched = True
        if work.stale_debs:
            self.dids.take_back()
            self._packages.purge(work.stale_debs)
        stayed = self._packages.purge([*work.stale_packages, *work.shadows])
        for name in work.stale_packages:
            if name not in stayed:
                self.record.data["packages"].pop(name, None)
        if not self.plan["packages"]:
            self.record.data["asked"] = []
        for name in work.stale_debs:
            self.record.data["debs"].pop(name, None)
        self.record.write()

    # ---- the loader's cache -------------------------------------------------------------------

    def _cached(self) -> str:
        return host.run([self.params["ldconfig"], "-p"], QUESTION_SECONDS) or ""

    def _cache_is_wrong(self) -> bool:
        return bool(self.plan["loader"]) and loader_cache.first(self._cached(), "librocdxg.so") is None

    def _settle_loader(self) -> None:
        if not self.plan["loader"]:
            return
        if self.record.touched or self._cache_is_wrong():
            self.record.touched = True
            host.run([self.params["ldconfig"]], QUESTION_SECONDS)
        problem = rocm_plan.loader_problem(self._cached(), self.plan["line"])
        if problem is not None:
            raise Stopped(problem)

    # ---- groups -------------------------------------------------------------------------------

    def _join(self, groups: Sequence[str]) -> None:
        recorded = self.record.data["groups"]
        for name in groups:
            self.record.touched = True
            problem = gpu_groups.join(self.params["user"], name, recorded, self.record.write, self._status, "rocm")
            if problem is not None:
                raise Stopped(problem)

    def _status(self, command: Sequence[str]) -> int:
        return self._packages.run(command).status

    # ---- absent -------------------------------------------------------------------------------

    def absent(self) -> None:
        """Take back what the record names, newest first, and nothing else."""
        self.record.read()
        record = self.record.data
        there = self._packages.installed() if record["packages"] or record["debs"] or record["removed"] else {}
        ours = [name for name, one in record["debs"].items() if name in there and not one["was"]]
        packages = [name for name in record["packages"] if name in there]
        back = [name for name in record["removed"] if name not in there]
        self._say_absent(ours, packages, back, there)
        if self.check:
            return
        for user, name in gpu_groups.still_there(record["groups"]):
            stays = gpu_groups.leave(user, name, self._status)
            self.warnings += [stays] if stays else []
        self.record.touched = self.record.touched or bool(record["groups"])
        record["groups"] = []
        for name, one in record["debs"].items():
            if one["was"] and name in there:
                self.warnings.append(f"{name} {there[name]} stays: {one['was']} was there before colab-ready")
        if record["line"]:
            self.dids.take_back()
        kept = self._packages.with_changed_configuration(ours, self.record.content)
        if kept:
            self._packages.apt(["remove", "--yes", *kept], "apt")
            self.warnings.append(f"the configuration of {', '.join(kept)} is kept: it has been changed by others")
        # The bridge first: the link that leads to its files may be a package's.
        stayed = [*self._packages.purge([name for name in ours if name not in kept]), *self._packages.purge(packages)]
        if stayed:
            self.warnings.append(f"{', '.join(stayed)} stays: other packages need it")
        self.record.touched = self.record.touched or bool(ours or packages)
        record["debs"], record["packages"] = {}, {}
        for path in list(record["files"]):
            self.record.restore(path)
        if record["line"]:
            host.run([self.params["ldconfig"]], QUESTION_SECONDS)
        if back:
            try:
                self._packages.apt(["install", *self._packages.install_options(), *back], "apt")
            except Stopped:
                names = " ".join(back)
                self.warnings.append(f"removed for ROCm, and not put back: {names} (sudo apt-get install {names})")
        self.record.data = empty()
        self.record.write()

    def _say_absent(
        self, ours: Sequence[str], packages: Sequence[str], back: Sequence[str], there: Mapping[str, str]
    ) -> None:
        record = self.record.data
        for name in sorted({*ours, *packages}):
            self.lines.append((f"package {name}: {there[name]}\n", f"package {name}: absent\n"))
        for name in back:
            self.lines.append((f"package {name}: absent\n", f"package {name}: {record['removed'][name]}\n"))
        for path, known in record["files"].items():
            now = self.record.content(path)
            if now is not None and hashlib.sha256(now).hexdigest() == known["sha256"]:
                self._say_file(path, base64.b64decode(known["was"]) if known["was"] is not None else None)
        for line in record["dids"].get("added") or []:
            self.lines.append((f"{record['dids']['path']}: with {line}\n", ""))
        self.lines += [(f"group {name}: with {user}\n", "") for user, name in record["groups"]]


def _key_source(repository: Mapping[str, str]) -> str:
    return " ".join(repository[name] for name in ("key", "key_fingerprint", "key_sha256")).strip()


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
    except (FileProblem, OSError) as error:
        text = explain(error, params["state_file"])
    failed = bool(problems or text)
    text = text or (message(problems) if problems else "")
    if failed and state.record.touched:
        done = "What was done before it is recorded; run ./colab-ready again, or ./colab-ready remove takes it back."
        text = f"{text.replace(' Nothing was changed.', '')}\n{done}"
    shown = state.lines if not failed or state.record.touched else []
    plan = state.plan if not failed else {}
    result = {
        "changed": state.record.touched or (check and bool(shown)),
        "msg": text,
        "problems": [problem.as_dict() for problem in problems],
        "skipped_parts": state.skipped,
        "plan": plan,
        "diff": {"before": "".join(before for before, _ in shown), "after": "".join(after for _, after in shown)},
    }
    # What is always so is said when something comes to the host, and not at each run.
    cautions = plan["cautions"] if plan and result["changed"] else []
    return result, [*cautions, *state.warnings]

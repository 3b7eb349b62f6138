# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the rules of conf.py to this host: look, report, and (except in check mode) repair."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..core.problem import Refused, explain
from ..files.changes import Changes, describe
from ..files.guarded_paths import Attributes, read_own_file, write_file
from ..files.guarded_paths import Entry as Found
from ..files.journal import Journal
from ..files.plain import open_plain, replace_plain
from ..files.safe_open import read_system_text
from ..process.program import NotAnswered, stdout_of
from ..system import ldconfig
from ..system.init import service_manager
from . import conf as wsl_conf
from .conf import KEEP_RUNNING, SYSTEMD, Edit, Key
from .facts import LIBRARY_FOLDER, automount_root
from .interop import DRIVE_SECONDS, as_caller, ask_windows, ways_to_windows, windows_program
from .version import wsl_facts

STATE_FILE = "/var/lib/colab-ready/wsl_host.json"
BACKUP = ".colab-ready-backup"
CMD = "Windows/System32/cmd.exe"
# /u: what its own commands print is UTF-16, so that every user's name arrives. /d: without what AutoRun would print.
ASK_PROFILE = ["/d", "/u", "/c", "echo", "%USERPROFILE%"]
LOADER_FILE = "colab-ready-wsl.conf"
# More than anybody writes; what is longer is not read whole, so it is not written.
FILE_BYTES = 1 << 20
_EDIT = {"was": [(str,)], "added": str, "created": bool, "backup": bool, "boot_id": str}
RECORD = {"wsl_conf": (_EDIT,), "wslconfig": ({**_EDIT, "path": str},), "loader": bool}


class Repair:
    """One run over one host. What it finds and changes is collected in its attributes."""

    def __init__(self, params: Mapping[str, Any], check: bool) -> None:
        self.params = params
        self.changes = Changes(check)
        self.journal = Journal(self.changes, os.path.abspath(params["state_file"]), RECORD)
        self.skipped: list[str] = []
        self.codes: list[str] = []
        self.problems: list[str] = []
        self._boot_id = (read_system_text(f"{params['proc']}/sys/kernel/random/boot_id") or "").strip()
        self._wsl_conf: bytes | None = None

    def run(self, wanted: bool) -> None:
        """Make it so, or (not `wanted`) take away what was done here."""
        params = self.params
        elsewhere = why_not_here(params)
        record = self.journal.read(
            f"what was changed before is not taken back with the rest (there are backups: *{BACKUP})"
        )
        if elsewhere:
            self.skipped.append(elsewhere)
            return
        try:
            for part in (self._systemd, self._keep_running, self._loader):
                try:
                    part(wanted)
                except (Refused, OSError) as error:
                    self.problems.append(explain(error, params["etc"]))
        finally:
            self.journal.write()
        if wanted:
            runs = service_manager(params["proc"], params["run"]) == "systemd"
            self.codes = wsl_conf.restart_codes(record, self._wsl_conf or b"", runs, self._boot_id)

    # ---- systemd ------------------------------------------------------------------------------

    def _systemd(self, wanted: bool) -> None:
        file = File(os.path.join(self.params["etc"], "wsl.conf"))
        with suppress(FileNotFoundError, Refused):
            self._wsl_conf = file.read()
        if wanted and not self.params["systemd"]:
            self.skipped.append("systemd is left as it is (wsl_host_systemd)")
        elif wanted and os.path.basename(os.path.realpath(f"{_root(self.params)}/sbin/init")) != "systemd":
            # WSL does not look whether it is systemd that it starts there.
            self.skipped.append("systemd is not switched on: it is not installed here (sudo apt install systemd-sysv)")
        elif wanted:
            self._wsl_conf = self._set("wsl_conf", file, SYSTEMD)
        elif self.journal.data["wsl_conf"]:
            changed = len(self.changes.places)
            self._wsl_conf = self._unset("wsl_conf", file, SYSTEMD)
            runs = service_manager(self.params["proc"], self.params["run"]) == "systemd"
            if len(self.changes.places) > changed and runs and not wsl_conf.is_systemd_on(self._wsl_conf or b""):
                self.codes.append(wsl_conf.SYSTEMD_GOES)

    # ---- no idle shutdown ---------------------------------------------------------------------

    def _keep_running(self, wanted: bool) -> None:
        known = (self.journal.data["wslconfig"] or {}).get("path")
        try:
            if wanted and self.params["keep_running"]:
                if known and self._is_kept(known):
                    return
                path = os.path.join(self._profile(), ".wslconfig")
                self._set("wslconfig", WindowsFile(path), KEEP_RUNNING, path=path)
            elif not wanted and known:
                changed = len(self.changes.places)
                self._unset("wslconfig", WindowsFile(known), KEEP_RUNNING)
                self.codes += [wsl_conf.KEEP_RUNNING_GOES] if len(self.changes.places) > changed else []
        except OSError as error:
            raise wsl_conf.by_hand("%s: %s" % (error.filename or ".wslconfig", error.strerror)) from None

    def _is_kept(self, path: str) -> bool:
        """Whether the file that was changed before says it still. Then nothing of Windows is started."""
        try:
            return wsl_conf.set_in(WindowsFile(path).read() or b"", KEEP_RUNNING, windows=True).edit is None
        except (OSError, ValueError, Refused):
            return False

    def _profile(self) -> str:
        """The Windows user's folder, as a path in WSL."""
        params = self.params
        profile = ask_profile(params)
        drives = automount_root(read_system_text(f"{params['etc']}/wsl.conf") or "")

        def find() -> list[Any]:
            said = (
                stdout_of([params["wslpath"], "-u", profile], params["timeout_seconds"]) if params["wslpath"] else None
            )
            path = (said or "").strip() or wsl_conf.drive_path(profile, drives)
            return [path, os.path.isdir(path)]

        path, is_there = as_caller(find, params["timeout_seconds"] + DRIVE_SECONDS)
        if not is_there or not path.isprintable():
            raise wsl_conf.by_hand("%r, the folder %s, is not there" % (path, profile))
        return str(path)

    # ---- one key of one file ------------------------------------------------------------------

    def _set(self, name: str, file: File, key: Key, **about: str) -> bytes:
        """The file with the key; what it takes to undo that is recorded."""
        content = file.read()
        try:
            changed = wsl_conf.set_in(content or b"", key, file.windows)
        except ValueError as error:
            raise wsl_conf.unusable(file.path, str(error), key) from None
        if changed.edit is None:
            return changed.content
        before = self.journal.data[name] or {}
        if before.get("path", file.path) != file.path:
            before = {}
        backup = type(file)(file.path + BACKUP)
        makes_backup = content is not None and not backup.is_there()
        self.journal.data[name] = {
            **about,
            "was": changed.edit.was,
            "added": changed.edit.added,
            # Not ours where it was there when the file was first changed, even if it came and went since.
            "created": content is None or bool(before.get("created")),
            "backup": makes_backup or bool(before.get("backup")),
            "boot_id": self._boot_id,
        }
        if makes_backup:
            self._put(backup, None, content, like=file)
        self._put(file, content, changed.content)
        return changed.content

    def _unset(self, name: str, file: File, key: Key) -> bytes | None:
        record = self.journal.data[name]
        edit = Edit(list(record["was"]), str(record["added"]))
        after = content = file.read()
        if content is not None:
            try:
                after = wsl_conf.unset_in(content, key, edit, file.windows)
            except ValueError as error:
                raise wsl_conf.unusable(file.path, str(error), key) from None
            if record["created"] and not after.strip():
                after = None
        if after != content:
            self._put(file, content, after)
        backup = type(file)(file.path + BACKUP)
        # Where something else was changed meanwhile it is all there is of the file before that, so it stays.
        if record["backup"] and after is not None:
            kept = None
            with suppress(OSError, Refused):
                kept = backup.read()
            if kept == after:
                self._put(backup, kept, None)
            elif kept is not None:
                self.changes.warnings.append(
                    "%s is kept: %s has been changed by others since then" % (backup.path, file.path)
                )
        self.journal.data[name] = None
        return after

    def _put(self, file: File, before: bytes | None, after: bytes | None, like: File | None = None) -> None:
        entry = file.entry
        result = (like or file).entry or Found("file", os.geteuid(), os.getegid(), 0o644, links=1)
        if not self.changes.check:
            file.write(after, result.attributes)
        self.changes.note(
            file.path,
            describe(file.path, entry if before is not None else None, file.shown(before)),
            describe(file.path, result if after is not None else None, file.shown(after)),
        )

    # ---- the loader's cache -------------------------------------------------------------------

    def _loader(self, wanted: bool) -> None:
        params = self.params
        folder = f"{params['usr']}/{LIBRARY_FOLDER}"
        file = File(f"{params['etc']}/ld.so.conf.d/{LOADER_FILE}")
        now, record = file.read(), self.journal.data
        if not wanted:
            if now is not None and record["loader"]:
                self._put(file, now, None)
                self._fill_cache([])
            record["loader"] = False
            return
        needed = {name for name in wsl_conf.GPU_LIBRARIES if os.path.exists(f"{folder}/{name}")}
        if not needed:
            self.skipped.append("the loader's cache is left as it is: WSL has no GPU libraries in %s" % folder)
            return
        if not os.access(params["ldconfig"], os.X_OK):
            self.skipped.append("the loader's cache is left as it is: there is no %s" % params["ldconfig"])
            return
        # It fails where there is no cache at all.
        said = stdout_of([params["ldconfig"], "-p"], params["timeout_seconds"]) or ""
        missing = needed - ldconfig.names_in(said, folder)
        # WSL's own is ld.wsl.conf. It is not written with ldconfig=false under [automount].
        others = self._others_name(folder)
        content = None
        if not others and (missing or now is not None):
            content = b"# Made by colab-ready, since WSL's own ld.wsl.conf is not there.\n%s\n" % os.fsencode(folder)
        if content != now:
            self._put(file, now, content)
            record["loader"] = content is not None
        if content != now or missing:
            self._fill_cache(sorted(needed))

    def _others_name(self, folder: str) -> bool:
        etc = self.params["etc"]
        names = os.listdir(f"{etc}/ld.so.conf.d") if os.path.isdir(f"{etc}/ld.so.conf.d") else []
        paths = [f"{etc}/ld.so.conf.d/{name}" for name in names if name.endswith(".conf") and name != LOADER_FILE]
        return any(
            wsl_conf.names_folder(read_system_text(path) or "", folder) for path in [f"{etc}/ld.so.conf", *paths]
        )

    def _fill_cache(self, needed: Sequence[str]) -> None:
        """Run ldconfig. What it says of libcuda.so.1 ("is not a symbolic link") is so on every WSL, and harmless."""
        params = self.params
        place = f"{params['etc']}/ld.so.cache"
        folder = f"{params['usr']}/{LIBRARY_FOLDER}"
        self.changes.note(place, "", "%s: %s %s\n" % (place, "with" if needed else "without", folder))
        if self.changes.check:
            return
        done = stdout_of([params["ldconfig"]], params["timeout_seconds"])
        said = stdout_of([params["ldconfig"], "-p"], params["timeout_seconds"]) or ""
        missing = set(needed) - ldconfig.names_in(said, folder)
        if done is None or missing:
            raise Refused(
                "The loader does not find %s. Expected %s to put the libraries of %s into its cache. Run sudo %s and see what "
                "it says." % (", ".join(sorted(missing)) or "its cache", params["ldconfig"], folder, params["ldconfig"])
            )


# ---- files ------------------------------------------------------------------------------------


class File:
    """A file of the system: replaced in one step, its owner and mode kept."""

    windows = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.entry: Found | None = None

    def is_there(self) -> bool:
        return os.path.lexists(self.path)

    def read(self) -> bytes | None:
        self.entry, content = read_own_file(self.path)
        return content

    def write(self, content: bytes | None, attributes: Attributes) -> None:
        write_file(self.path, content, attributes)

    def shown(self, content: bytes | None) -> bytes | None:
        return content


class WindowsFile(File):
    """A file on a drive of Windows, whose way there is anybody's. It gets the rights that its folder gives there; a file that is
    hidden is hidden no more."""

    windows = True

    def is_there(self) -> bool:
        return bool(as_caller(lambda: os.path.lexists(self.path)))

    def read(self) -> bytes | None:
        def work() -> list[Any]:
            with open_plain(self.path) as handle, os.fdopen(handle, "rb", closefd=False) as stream:
                info = os.fstat(handle)
                found = [info.st_uid, info.st_gid, info.st_mode & 0o7777, info.st_nlink]
                return [stream.read(FILE_BYTES + 1).decode("latin-1"), found]

        self.entry = None
        try:
            content, found = as_caller(work)
        except FileNotFoundError:
            return None
        self.entry = Found("file", *found)
        if len(content) > FILE_BYTES:
            raise Refused(
                "%s is longer than %d bytes. Expected a small text file. Look at it." % (self.path, FILE_BYTES)
            )
        return bytes(content.encode("latin-1"))

    def write(self, content: bytes | None, attributes: Attributes) -> None:
        as_caller(lambda: replace_plain(self.path, content, *attributes))

    def shown(self, content: bytes | None) -> bytes | None:
        if content is None:
            return None
        try:
            mark, encoding, text = wsl_conf.decode(content, windows=True)
        except ValueError:
            return content
        return text.encode("utf-8", "replace") if encoding != "latin-1" else content[len(mark) :]


# ---- Windows ----------------------------------------------------------------------------------


def ask_profile(params: Mapping[str, Any]) -> str:
    """The folder of the Windows user whose WSL this is, as Windows calls it. Sockets to Windows are tried in turn, as sudo
    takes away the variable that names ours."""
    said = program = ""
    for socket in ways_to_windows(params["run"]):
        try:
            program = params["cmd"] or windows_program(CMD, params["etc"], params["proc"])
            answer = ask_windows([program, *ASK_PROFILE], params["timeout_seconds"], socket, params["etc"])
        except NotAnswered as error:
            raise wsl_conf.by_hand(str(error)) from None
        profile = wsl_conf.profile_in(answer.text)
        if profile:
            return profile
        said = said or answer.words
    raise wsl_conf.by_hand("%s says %r" % (program, said))


# ---- looking ----------------------------------------------------------------------------------


def _root(params: Mapping[str, Any]) -> str:
    return os.path.dirname(params["etc"].rstrip("/")).rstrip("/")


def why_not_here(params: Mapping[str, Any]) -> str:
    """Empty on a WSL 2 itself."""
    facts = wsl_facts(params["proc"], run_dir=params["run"])
    if facts is None:
        return "this is not WSL"
    if facts["version"] == 1:
        return "this is WSL 1, which has neither systemd nor GPUs (in Windows: wsl --set-version <name> 2)"
    if os.path.exists(f"{_root(params)}/.dockerenv") or os.path.exists(f"{params['run']}/.containerenv"):
        return "this is a container inside of WSL, whose settings are not WSL's"
    return ""


def restart_codes_here(
    etc: str = "/etc", proc: str = "/proc", run_dir: str = "/run", state_file: str = STATE_FILE
) -> list[str]:
    """What waits for `wsl --shutdown` on this host; nothing is changed or started."""
    facts = wsl_facts(proc, run_dir=run_dir)
    if facts is None or facts["version"] == 1:
        return []
    content = b""
    with suppress(OSError, Refused):
        content = File(f"{etc}/wsl.conf").read() or b""
    boot_id = (read_system_text(f"{proc}/sys/kernel/random/boot_id") or "").strip()
    record = Journal(Changes(check=True), state_file, RECORD).read("it is only looked at")
    return wsl_conf.restart_codes(record, content, bool(facts["systemd"]), boot_id)


# ---- all of it --------------------------------------------------------------------------------


def settle(params: Mapping[str, Any], check: bool) -> tuple[dict[str, Any], list[str]]:
    """What the module wsl_host does with its parameters; its result, with the problems in it, and warnings."""
    repair = Repair(params, check)
    try:
        repair.run(params["state"] == "present")
    except (Refused, OSError) as error:
        repair.problems.append(explain(error, params["etc"]))
    result = {
        "changed": bool(repair.changes.places),
        "changed_places": repair.changes.places,
        "restart_needed": wsl_conf.restart_reasons(repair.codes),
        "remedies": wsl_conf.restart_remedies(repair.codes),
        "skipped_parts": repair.skipped,
        "problems": repair.problems,
        "diff": repair.changes.diff,
    }
    return result, repair.changes.warnings

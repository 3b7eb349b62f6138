# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the rules of config_paths.py to this host: look, report, and (except in check mode) repair."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..core.accounts import group_name, user_name
from ..core.problem import UnsafePath
from ..files.changes import Changes
from ..files.guarded_paths import Attributes, Entry, look, look_at, open_directory, open_entry, read
from ..files.journal import Journal
from ..files.mounts import drive_without_modes
from ..files.safe_open import read_system_text
from ..files.trust import others_in_group
from . import (
    config_paths,
    planted_config,
)
from . import (
    server_extension as extension,
)
from . import (
    system_install as system_package,
)
from .config_paths import Installation, User

DEPTH_MAX = 40
ENTRIES_MAX = 20_000
# Some file systems answer so for what a user mounted: nobody else may look, root neither.
_NOT_FOR_US = (PermissionError, NotADirectoryError)


class Settings(NamedTuple):
    """What the module was asked for; as it is here, for a look alone."""

    prefix: str = "/usr"
    directory_as: Attributes = Attributes(0, 0, 0o755)
    extension: str | None = None
    create: str = "never"
    users: Sequence[User] = ()
    system_dirs: Sequence[str] = config_paths.SYSTEM_CONFIG_DIRS
    extension_source: str = "/nonexistent"
    state_file: str = "/nonexistent"
    check: bool = True
    mountinfo: str = "/proc/self/mountinfo"

    @property
    def config_dir(self) -> str:
        return os.path.join(self.prefix, "etc", "jupyter")

    @property
    def folder(self) -> str:
        return os.path.join(self.config_dir, extension.FOLDER)

    @property
    def owner(self) -> tuple[int, int]:
        return self.directory_as.uid, self.directory_as.gid


LEFT = "directories made before are not removed with the rest"
RECORD = {"directories": [str], "entry": (str,), "packages": [{"name": str, "site": str}]}


class Repair:
    """One run over one host. What it finds and changes is collected in its attributes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.changes = Changes(settings.check)
        self.journal = Journal(self.changes, settings.state_file, RECORD)
        self.findings: list[dict[str, Any]] = []
        self.reasons: list[str] = []
        self.installations: list[Installation] = []
        self.extension_enabled = False
        self._wants_directory = False
        self._mountinfo = read_system_text(settings.mountinfo) or ""
        self._looked_at = 0
        # Whose the system's directories are; nobody's home.
        self._system = User(user_name(settings.owner[0]), *settings.owner, home="")

    # ---- the two ways -------------------------------------------------------------------------

    def converge(self) -> None:
        settings = self.settings
        record = self.journal.read(LEFT)
        self.installations = find_installations(settings)
        wanted = config_paths.decide(settings.create, settings.extension, self.installations)
        self.reasons = wanted.reasons
        self._wants_directory = wanted.directory
        self._audit()

        made: list[str] = []
        if wanted.directory:
            danger = config_paths.danger_of(settings.config_dir, settings.directory_as.mode)
            self.changes.warnings += [danger] if danger else []
            parents = Attributes(*settings.owner, mode=0o755)
            for path in dict.fromkeys((settings.config_dir, settings.folder)):
                made += self.changes.ensure_directory(path, settings.directory_as, parents)
        self._packages(wanted.pythons)
        entry = settings.extension if wanted.entry else None
        self._drop_entries({settings.extension, record["entry"]} - {entry})
        if entry:
            self._entry(entry, True)
            self.extension_enabled = True
        if not wanted.directory:
            record["directories"] = self.changes.remove_directories(record["directories"])
        record["directories"] += [path for path in made if path not in record["directories"]]
        record["entry"] = entry
        self.journal.write()

    def remove(self) -> None:
        """Take away what was put here: the entry, the packages, and the directories that were made if they are empty."""
        record = self.journal.read(LEFT)
        self._packages([])
        self._drop_entries({self.settings.extension, record["entry"]})
        self.changes.remove_directories(record["directories"])
        record.update(directories=[], entry=None)
        self.journal.write()

    def audit(self) -> list[dict[str, Any]]:
        """Only look: what `converge` would find, and nothing changed."""
        self.changes.check = True
        self._audit()
        return self.findings

    def audit_data(self, system_dirs: Sequence[str]) -> list[dict[str, Any]]:
        """The same for data directories (kernels, extensions of the page), which are looked at and never changed."""
        self.changes.check = True
        for path in system_dirs:
            self._audit_parent(os.path.dirname(path), self._system)
            self._audit_data_directory(path, self._system)
        for user in self.settings.users:
            for path in config_paths.user_data_dirs(user.home):
                for parent in _parents_below(path, user.home):
                    self._audit_parent(parent, user)
                self._audit_data_directory(path, user)
        return self.findings

    def audit_trees(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """Whole trees that only root may have written."""
        self.changes.check = True
        for path in paths:
            with self._looking(path, self._system), open_directory(path) as handle:
                self._judge(handle, path, look(handle), self._system, repair=False)
                for one, entry in self._weak_below(handle, path, self._system):
                    self._judge(None, one, entry, self._system)
        return self.findings

    # ---- who could write where ----------------------------------------------------------------

    def _audit(self) -> None:
        settings = self.settings
        for path in (settings.config_dir, *settings.system_dirs):
            self._audit_parent(os.path.dirname(path), self._system)
            self._audit_directory(path, self._system)
        for user in settings.users:
            places = config_paths.config_path(settings.prefix, user.home, system_dirs=settings.system_dirs)
            inside = [path for path in places if path not in (settings.config_dir, *settings.system_dirs)]
            parents = {parent for path in inside for parent in _parents_below(path, user.home)}
            for path in sorted(parents):
                self._audit_parent(path, user)
            for path in inside:
                self._audit_directory(path, user)

    @contextmanager
    def _looking(self, path: str, user: User) -> Iterator[None]:
        """What cannot be looked at is a finding where it is suspicious, and no matter where it is not there."""
        try:
            yield
        except FileNotFoundError:
            pass
        except UnsafePath as error:
            if any(finding["why"] == str(error) for finding in self.findings):
                return
            self._find(path, None, str(error), False, "replace the link by a directory that belongs to %s" % user.name)
        except _NOT_FOR_US as error:
            self._find(path, None, "it cannot be looked at (%s)" % error.strerror, False, "run as root, or look there")
        except OSError as error:
            self._find(path, None, "it cannot be read (%s)" % error.strerror, False, "see who put it there")

    def _audit_parent(self, path: str, user: User) -> None:
        with self._looking(path, user), open_directory(path, _uids(user)) as handle:
            # Only the directory that is here for Jupyter alone is ours to repair.
            ours = path == os.path.dirname(self.settings.config_dir)
            self._judge(handle, path, look(handle), user, repair=ours)

    def _audit_directory(self, path: str, user: User) -> None:
        with self._looking(path, user), open_directory(path, _uids(user)) as handle:
            found = self._weakness(look(handle), user)  # as it was, before it is tightened
            self._judge(handle, path, look(handle), user)
            self._audit_children(handle, path, user, found)

    def _audit_children(
        self,
        parent: int,
        parent_path: str,
        user: User,
        parent_weakness: config_paths.Weakness | None,
        folder: str | None = None,
    ) -> None:
        """`folder` is the directory below the configuration directory that this is; None is that directory itself."""
        for name in self._names(parent, parent_path):
            path = os.path.join(parent_path, name)
            with self._looking(path, user):
                entry = look_at(parent, name)
                if entry is None:
                    continue
                if entry.kind not in ("directory", "file"):
                    self._judge(None, path, entry, user)
                    if entry.kind == "link" and planted_config.is_config(name, folder) and self._weakness(entry, user):
                        target = planted_config.shown(os.readlink(name, dir_fd=parent))
                        self._plant(path, entry, user, [planted_config.Effect("leads to %s" % target)], None)
                    continue
                is_directory = entry.kind == "directory"
                with open_entry(parent, name, directory=is_directory) as handle:
                    before = look(handle)
                    found = self._weakness(before, user)
                    self._judge(handle, path, before, user)
                    if is_directory and folder is None and config_paths.is_read(name):
                        self._audit_children(handle, path, user, found, name)
                if not is_directory and planted_config.is_config(name, folder) and (found or parent_weakness):
                    effects = planted_config.config_effects(name, read(parent, name))
                    self._plant(path, before, user, effects, parent_weakness)

    def _audit_data_directory(self, path: str, user: User) -> None:
        with self._looking(path, user), open_directory(path, _uids(user)) as handle:
            self._judge(handle, path, look(handle), user, repair=False)
            for kind in planted_config.DATA_READ:
                below = os.path.join(path, kind)
                entry = look_at(handle, kind)
                if entry is None:
                    continue
                with self._looking(below, user), open_entry(handle, kind, directory=True) as inner:
                    found = self._weakness(look(inner), user)
                    self._judge(inner, below, look(inner), user, repair=False)
                    for item in self._names(inner, below):
                        self._audit_item(inner, below, kind, item, user, found)

    def _audit_item(
        self,
        parent: int,
        parent_path: str,
        kind: str,
        item: str,
        user: User,
        parent_weakness: config_paths.Weakness | None,
    ) -> None:
        """One kernel, one extension: it is suspicious if any part of it is."""
        path = os.path.join(parent_path, item)
        with self._looking(path, user):
            entry = look_at(parent, item)
            if entry is None:
                return
            weak = self._weakness(entry, user)
            suspects = [(path, entry)] if weak else []
            text: bytes | None = None
            if entry.kind == "directory":
                with open_entry(parent, item, directory=True) as handle:
                    name = planted_config.MAIN_FILES.get(kind, "")
                    main = look_at(handle, name) if name else None
                    if main and main.kind == "file":
                        text = read(handle, name)
                    if not weak:
                        suspects = self._weak_below(handle, path, user, most=1)
                    elif main:
                        suspects = [(os.path.join(path, name), main)]
            effects = planted_config.data_effects(kind, item, text)
            for where, what in suspects:
                self._judge(None, where, what, user)
                self._plant(where, what, user, effects, weak)
            if parent_weakness and not suspects:
                self._plant(path, entry, user, effects, parent_weakness)

    def _weak_below(self, handle: int, path: str, user: User, most: int = 5, depth: int = 0) -> list[tuple[str, Entry]]:
        """What in this tree others could have changed, the first few. Below such a directory nothing more is looked
        at; links are looked at and not followed."""
        found: list[tuple[str, Entry]] = []
        for name in self._names(handle, path, depth):
            here = os.path.join(path, name)
            entry = look_at(handle, name)
            if entry is None or len(found) >= most:
                continue
            with self._looking(here, user):
                if entry.kind == "directory" or (entry.kind == "file" and entry.mode & stat.S_IWGRP):
                    with open_entry(handle, name, directory=entry.kind == "directory") as inner:
                        entry = look(inner)  # with its access control list
                        weak = self._weakness(entry, user)
                        if entry.kind == "directory" and not weak:
                            found += self._weak_below(inner, here, user, most - len(found), depth + 1)
                else:
                    weak = self._weakness(entry, user)
                found += [(here, entry)] if weak else []
        return found[:most]

    def _names(self, handle: int, path: str, depth: int = 0) -> list[str]:
        """What is in this folder; nothing where somebody has made it so deep or so full that a look would not end."""
        with os.scandir(handle) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, ENTRIES_MAX + 1))
        self._looked_at += len(names)
        if depth <= DEPTH_MAX and self._looked_at <= ENTRIES_MAX:
            return names
        why = "it is deeper or has more in it than Jupyter's own folders, and is not looked at further"
        self._find(path, None, why, False, "remove it")
        return []

    def _plant(
        self,
        path: str,
        entry: Entry,
        user: User,
        effects: list[planted_config.Effect],
        parent_weakness: config_paths.Weakness | None,
    ) -> None:
        """Note what this file does, if others may have put it there. One that does no harm and belongs to who may
        write there is not worth a word: the finding about its directory is."""
        if entry.uid in (0, user.uid) and not any(effect.known for effect in effects):
            return
        finding = next((one for one in self.findings if one["path"] == path), None)
        if finding is None:
            why = "it lies where others could have put it"
            why += " (%s)" % parent_weakness.why if parent_weakness else ""
            on_drive = drive_without_modes(path, self._mountinfo)
            todo = config_paths.drive_advice(user.name) if on_drive else config_paths.advice(path, entry, user.name)
            finding = self._find(path, entry, why, False, todo)
        finding["planted"] = planted_config.sentence(effects)

    def _judge(self, handle: int | None, path: str, entry: Entry, user: User, repair: bool = True) -> None:
        found = self._weakness(entry, user)
        if found is None:
            return
        drive = drive_without_modes(path, self._mountinfo)
        if drive:
            # Once for all that lies there: a chmod would change nothing.
            why = "this drive keeps no modes, so everybody may write to what lies there, such as %s" % path
            known = any(one["path"] == drive for one in self.findings)
            if not known:
                self._find(drive, None, why, False, config_paths.drive_advice(user.name))
            return
        wanted = found.wanted if repair and handle is not None else None
        todo = ""
        if wanted is not None and self._wants_directory and path in (self.settings.config_dir, self.settings.folder):
            # These get what was asked for at once, and that may be weak too; the warning about it comes with it.
            wanted = self.settings.directory_as
            if self._weakness(entry._replace(**wanted._asdict()), user):
                todo = "this is the mode that was asked for; ask for 0755"
        elif wanted is None:
            todo = config_paths.advice(path, entry, user.name)
        if handle is not None and wanted is not None and wanted != entry.attributes:
            self.changes.attributes(path, handle, entry, wanted)
        self._find(path, entry, found.why, not todo, todo)

    def _weakness(self, entry: Entry, user: User) -> config_paths.Weakness | None:
        def others(gid: int) -> list[str]:
            return sorted(user_name(uid) for uid in others_in_group(gid, frozenset([user.uid])))

        return config_paths.weakness(entry, (user.uid, user.gid), bool(user.home), others, user_name)

    def _find(self, path: str, entry: Entry | None, why: str, repaired: bool, todo: str) -> dict[str, Any]:
        finding = {
            "path": path,
            "owner": user_name(entry.uid) if entry else None,
            "group": group_name(entry.gid) if entry else None,
            "mode": "%04o" % entry.mode if entry else None,
            "why": why,
            "repaired": repaired,
            "do": todo,
            "planted": None,
        }
        for one in self.findings:
            if one["path"] == path and one["why"] == why:
                return one  # a directory on the way to several places
        self.findings.append(finding)
        return finding

    # ---- the extension ------------------------------------------------------------------------

    def _entry(self, name: str, enabled: bool | None) -> None:
        settings = self.settings
        # The directories are made, and removed, by the record of what was made.
        extension.converge_entry(self.changes, settings.config_dir, name, enabled, settings.owner)

    def _drop_entries(self, names: set[str | None]) -> None:
        for name in sorted(name for name in names if name):
            self._entry(name, None)

    def _packages(self, pythons: list[str]) -> None:
        """Install the extension for these Pythons and take it away from the others."""
        settings = self.settings
        kept = []
        for python in pythons:
            site = config_paths.system_sites(settings.prefix, str(config_paths.python_version(python)))[0]
            package = system_package.Package(str(settings.extension), site, settings.extension_source)
            package.ensure(self.changes)
            kept.append({"name": package.name, "site": site})
        candidates = list(self.journal.data["packages"])
        if settings.extension:
            # Also what an earlier run left whose record is lost: the package itself says where it came from.
            for _python, version in interpreters(settings.prefix):
                site = config_paths.system_sites(settings.prefix, version)[0]
                if system_package.Package(settings.extension, site, settings.extension_source).is_from_source():
                    candidates.append({"name": settings.extension, "site": site})
        for index, one in enumerate(candidates):
            if one not in kept and one not in candidates[:index]:
                package = system_package.Package(one["name"], one["site"], settings.extension_source)
                package.remove(self.changes)
        self.journal.data["packages"] = kept


# ---- looking ----------------------------------------------------------------------------------


def _uids(user: User) -> frozenset[int]:
    """Whose directories may be behind a link, besides root's."""
    return frozenset([user.uid]) if user.home else frozenset()


def _parents_below(path: str, home: str) -> list[str]:
    """The directories from the home to this path, without it."""
    parents = []
    while path != home and len(path) > len(home):
        path = os.path.dirname(path)
        parents.append(path)
    return parents


def interpreters(prefix: str) -> list[tuple[str, str]]:
    """Path and version of the Pythons in the system's bin, the one called python3 first. None of them is run."""
    bin_dir = os.path.join(prefix, "bin")
    try:
        names = os.listdir(bin_dir)
    except FileNotFoundError:
        return []
    main = os.path.basename(os.path.realpath(os.path.join(bin_dir, "python3")))
    found = [(os.path.join(bin_dir, name), config_paths.python_version(name)) for name in names]
    pythons = [(path, version) for path, version in found if version and os.access(path, os.X_OK)]
    return sorted(pythons, key=lambda one: (os.path.basename(one[0]) != main, one))


def _distributions(path: str, owners: frozenset[int] = frozenset()) -> dict[str, str]:
    try:
        with open_directory(path, owners) as handle:
            with os.scandir(handle) as entries:
                return config_paths.distributions([entry.name for entry in itertools.islice(entries, ENTRIES_MAX)])
    except (FileNotFoundError, UnsafePath, *_NOT_FOR_US):
        return {}


def find_installations(settings: Settings) -> list[Installation]:
    """Every Jupyter that the system's Pythons would import, from the names of what lies in their directories."""
    found: list[Installation | None] = []
    for index, (python, version) in enumerate(interpreters(settings.prefix)):
        local, shared = config_paths.system_sites(settings.prefix, version)
        # apt's packages are made for the Python that is called python3.
        system = {**(_distributions(shared) if index == 0 else {}), **_distributions(local)}
        found.append(config_paths.installation(python, None, system))
        for user in settings.users:
            own = _distributions(config_paths.user_site(user.home, version), _uids(user))
            found.append(config_paths.installation(python, user.name, own))
    return [one for one in found if one]

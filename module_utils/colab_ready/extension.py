# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Jupyter Server extension, enabled or not in one configuration directory, as state.

Jupyter Server reads `<config_dir>/jupyter_server_config.d/*.json`. The file is written here and not by
`jupyter server extension enable`: that command exits 0 when it fails, and since jupyter_server 2.16 it refuses every
extension that has no entry yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible.module_utils.colab_ready.guarded_paths import (
    Attributes,
    Entry,
    look,
    look_at,
    make_directory,
    open_directory,
    open_entry,
    read,
    set_attributes,
    write,
)
from ansible.module_utils.colab_ready.managed import group_name, user_name

FOLDER = "jupyter_server_config.d"
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class Problem(Exception):
    """What is wrong, what was expected, what to do."""


class Outcome(NamedTuple):
    before: str
    after: str
    warnings: list[str]

    @property
    def changed(self) -> bool:
        return self.before != self.after


class Decision(NamedTuple):
    """What becomes of the file: None leaves it, b"" removes it, anything else is its new content."""

    content: bytes | None
    trouble: str = ""


def check_name(name: str) -> None:
    if not _MODULE_NAME.fullmatch(name):
        raise Problem(
            "name is %r. Expected the name of the Python module of a server extension, such as colab_http_over_ws. "
            "Correct it." % name
        )


def path_of(config_dir: str, name: str) -> str:
    return os.path.join(config_dir, FOLDER, name + ".json")


def parse(content: bytes) -> tuple[dict[str, Any], str]:
    """The configuration in a file, or why Jupyter could not use it as one."""
    try:
        data = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:
        return {}, "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return {}, "it is not JSON (%s)" % error
    server = data.get("ServerApp", {}) if isinstance(data, dict) else None
    extensions = server.get("jpserver_extensions", {}) if isinstance(server, dict) else None
    if isinstance(extensions, dict):
        return data, ""
    # Jupyter Server does not start with such a file: it merges dictionaries without looking.
    return {}, "it is JSON of another shape"


def decide(content: bytes | None, name: str, enabled: bool | None) -> Decision:
    """What to write so that this extension is enabled, disabled or (None) not mentioned, and nothing else is touched."""
    data, trouble = parse(content) if content is not None else ({}, "")
    extensions = data.get("ServerApp", {}).get("jpserver_extensions", {})
    if enabled is None:
        if content is None:
            return Decision(None)
        if not trouble and name not in extensions:
            return Decision(None)
        extensions.pop(name, None)
        if "ServerApp" in data and not extensions:
            data["ServerApp"].pop("jpserver_extensions", None)
        if not data.get("ServerApp", True):
            del data["ServerApp"]
        return Decision(_render(data) if data else b"", trouble)
    if not trouble and extensions.get(name) is enabled:
        return Decision(None)
    data.setdefault("ServerApp", {}).setdefault("jpserver_extensions", {})[name] = enabled
    return Decision(_render(data), trouble)


def _render(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def backup_name(name: str, content: bytes) -> str:
    """Where unusable content is kept: not ending in .json, so that Jupyter does not read it; the same for the same."""
    return "%s.json.unusable-%s" % (name, hashlib.sha256(content).hexdigest()[:8])


# ---- doing it ---------------------------------------------------------------------------------


def describe(path: str, entry: Entry | None, content: bytes | None = None) -> str:
    """One thing, as it stands in the diff."""
    if entry is None:
        return "%s: absent\n" % path
    text = "%s: %s %s:%s %04o\n" % (path, entry.kind, user_name(entry.uid), group_name(entry.gid), entry.mode)
    if content is not None:
        text += content.decode("utf-8", "replace")
        text += "" if text.endswith("\n") else "\n"
    return text


def ensure_directories(wanted: Mapping[str, Attributes], parents: Attributes, check: bool) -> tuple[list[str], Outcome]:
    """These directories, outermost first, with these attributes. Missing parents are made, others stay as they are.

    Returns what was made, in order, and what changed.
    """
    made: list[str] = []
    before, after = [], []

    def ensure(path: str, attributes: Attributes, exact: bool) -> None:
        found = None
        try:
            with open_directory(path) as handle:
                found = look(handle)
                if not exact or found.attributes == attributes:
                    return
                if not check:
                    set_attributes(handle, attributes)
        except FileNotFoundError:
            parent, name = os.path.split(path)
            if parent not in made:
                ensure(parent, parents, exact=False)
            if not check:
                with open_directory(parent) as handle:
                    make_directory(handle, name, attributes)
            made.append(path)
        before.append(describe(path, found))
        after.append(describe(path, Entry("directory", *attributes, links=0)))

    for path, attributes in wanted.items():
        ensure(path, attributes, exact=True)
    return made, Outcome("".join(before), "".join(after), [])


def converge(config_dir: str, name: str, enabled: bool | None, owner: tuple[int, int], check: bool) -> Outcome:
    """The entry and the directories that it needs; None takes the entry away, and its directory if that is empty then."""
    folder = os.path.join(config_dir, FOLDER)
    outcomes = []
    if enabled is not None:
        plain = Attributes(*owner, mode=0o755)
        outcomes.append(ensure_directories({folder: plain}, plain, check)[1])
    outcomes.append(converge_entry(config_dir, name, enabled, owner, check))
    if enabled is None and outcomes[-1].changed:
        outcomes.append(_remove_folder(config_dir, folder, path_of(config_dir, name), check))
    return combined(outcomes)


def combined(outcomes: list[Outcome]) -> Outcome:
    warnings = [warning for one in outcomes for warning in one.warnings]
    return Outcome("".join(one.before for one in outcomes), "".join(one.after for one in outcomes), warnings)


def converge_entry(config_dir: str, name: str, enabled: bool | None, owner: tuple[int, int], check: bool) -> Outcome:
    """The file alone, in directories that are there; where they are not, there is no entry."""
    path, wanted = path_of(config_dir, name), Attributes(*owner, mode=0o644)
    try:
        with open_directory(os.path.dirname(path)) as handle:
            return _converge_file(handle, path, name, enabled, wanted, check)
    except FileNotFoundError:
        content = decide(None, name, enabled).content
        if not content:
            return Outcome("", "", [])
        if not check:
            raise
        return Outcome(describe(path, None), describe(path, Entry("file", *wanted, links=1), content), [])


def _converge_file(folder: int, path: str, name: str, enabled: bool | None, wanted: Attributes, check: bool) -> Outcome:
    file = os.path.basename(path)
    entry = look_at(folder, file)
    if entry is not None and entry.kind not in ("file", "link"):
        raise Problem("%s is a %s. Expected a file, or nothing. Move it away." % (path, entry.kind))
    # A link's target may be another user's choice; the link is replaced, unread.
    content = read(folder, file) if entry is not None and entry.kind == "file" else None
    decision = decide(content, name, enabled)
    if entry is not None and entry.kind == "link" and enabled is None:
        decision = Decision(b"")
    after = decision.content
    if after is None and enabled is not None and entry is not None and entry.attributes != wanted:
        # A new file, also where only the attributes differ: the old one may have other names (hard links).
        after = content
    if after is None:
        return Outcome("", "", [])

    warnings: list[str] = []
    if decision.trouble and content:
        backup = backup_name(name, content)
        warnings.append(
            "%s could not be used as configuration: %s. It was replaced; what it held is kept beside it as %s."
            % (path, decision.trouble, backup)
        )
        if not check:
            write(folder, backup, content, Attributes(wanted.uid, wanted.gid, 0o600))
    if not check:
        if after:
            write(folder, file, after, wanted)
        else:
            os.unlink(file, dir_fd=folder)
    result = Entry("file", *wanted, links=1) if after else None
    return Outcome(describe(path, entry, content), describe(path, result, after or None), warnings)


def _remove_folder(config_dir: str, folder: str, path: str, check: bool) -> Outcome:
    """The directory of the file that was just removed, if that was all it held."""
    with open_directory(config_dir) as parent, open_entry(parent, FOLDER, directory=True) as handle:
        left = set(os.listdir(handle)) - ({os.path.basename(path)} if check else set())
        entry = look(handle)
        if left:
            return Outcome("", "", [])
        if not check:
            os.rmdir(FOLDER, dir_fd=parent)
    return Outcome(describe(folder, entry), describe(folder, None), [])


def write_record(path: str, data: dict[str, Any] | None) -> None:
    """Note what was put on this host, for everybody to read; None: nothing is left, and neither are the record and its
    folder, unless something else is in there."""
    parent, name = os.path.split(path)
    if data is None:
        with open_directory(parent) as handle:
            os.unlink(name, dir_fd=handle)
            empty = not os.listdir(handle)
        if empty:
            os.rmdir(parent)
        return
    own = Attributes(os.geteuid(), os.getegid(), 0o644)
    if not os.path.isdir(parent):
        directory = own._replace(mode=0o755)
        ensure_directories({parent: directory}, directory, False)
    with open_directory(parent) as handle:
        write(handle, name, (json.dumps(data, indent=2) + "\n").encode("utf-8"), own)

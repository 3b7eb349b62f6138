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
from typing import Any, NamedTuple

from ansible.module_utils.colab_ready.guarded_paths import Attributes
from ansible.module_utils.colab_ready.guarded_paths import Entry
from ansible.module_utils.colab_ready.guarded_paths import look
from ansible.module_utils.colab_ready.guarded_paths import look_at
from ansible.module_utils.colab_ready.guarded_paths import make_directory
from ansible.module_utils.colab_ready.guarded_paths import open_directory
from ansible.module_utils.colab_ready.guarded_paths import open_entry
from ansible.module_utils.colab_ready.guarded_paths import read
from ansible.module_utils.colab_ready.guarded_paths import set_attributes
from ansible.module_utils.colab_ready.guarded_paths import write
from ansible.module_utils.colab_ready.managed import group_name
from ansible.module_utils.colab_ready.managed import user_name

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


def ensure_directory(
    path: str, wanted: Attributes, check: bool, parents: Attributes | None = None
) -> tuple[list[str], Outcome]:
    """A directory with these attributes. Missing parents are made with theirs, those that exist stay as they are.

    Returns what was made, outermost first, and what changed.
    """
    try:
        with open_directory(path) as handle:
            found = look(handle)
            if found.attributes == wanted:
                return [], Outcome("", "", [])
            if not check:
                set_attributes(handle, wanted)
        return [], Outcome(describe(path, found), describe(path, Entry("directory", *wanted, links=0)), [])
    except FileNotFoundError:
        pass
    parent, name = os.path.split(path)
    made, outcome = _ensure_exists(parent, parents or wanted, check)
    if not check:
        with open_directory(parent) as handle:
            make_directory(handle, name, wanted)
    before = outcome.before + describe(path, None)
    after = outcome.after + describe(path, Entry("directory", *wanted, links=0))
    return [*made, path], Outcome(before, after, [])


def _ensure_exists(path: str, wanted: Attributes, check: bool) -> tuple[list[str], Outcome]:
    try:
        with open_directory(path):
            return [], Outcome("", "", [])
    except FileNotFoundError:
        return ensure_directory(path, wanted, check)


def converge(
    config_dir: str,
    name: str,
    enabled: bool | None,
    owner: tuple[int, int],
    check: bool,
    folder_attributes: Attributes | None = None,
) -> tuple[list[str], Outcome]:
    """Make it so; None takes the entry away. Returns the directories that had to be made, and what changed."""
    folder, path = os.path.join(config_dir, FOLDER), path_of(config_dir, name)
    directory_as = folder_attributes or Attributes(*owner, mode=0o755)
    file_as = Attributes(*owner, mode=0o644)
    made: list[str] = []
    outcome = Outcome("", "", [])
    if enabled is not None:
        made, outcome = ensure_directory(folder, directory_as, check, parents=Attributes(*owner, mode=0o755))
    try:
        with open_directory(folder) as handle:
            done = _converge_file(handle, path, name, enabled, file_as, check)
    except FileNotFoundError:
        content = decide(None, name, enabled).content
        done = Outcome("", "", [])
        if content:
            done = Outcome(describe(path, None), describe(path, Entry("file", *file_as, links=1), content), [])
    emptied = _remove_folder(config_dir, folder, path, check) if enabled is None and done.changed else Outcome("", "", [])
    outcomes = (outcome, done, emptied)
    return made, Outcome("".join(o.before for o in outcomes), "".join(o.after for o in outcomes), done.warnings)


def _converge_file(
    folder: int, path: str, name: str, enabled: bool | None, wanted: Attributes, check: bool
) -> Outcome:
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

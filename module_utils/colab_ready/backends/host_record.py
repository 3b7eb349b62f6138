# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a GPU's backend put on a host, and the files that it names.

The record is written before each step, so that an interrupted run can be taken back like a whole one.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..files.changes import Changes
from ..files.guarded_paths import Attributes, read_own_file, write_file
from ..files.journal import Journal

# `files` has what was in the place of each of ours; `asked` and `settled` are the packages of a repository that were wanted and
# have come; `packages` came with them; `removed` are those of others.
SHAPE = {
    "line": str,
    "files": {str: dict},
    "packages": {str: str},
    "debs": {str: dict},
    "dids": dict,
    "removed": {str: str},
    "folders": [str],
    "asked": [str],
    "settled": [str],
    "groups": [[str]],
}


class Record(Journal):
    """What is there because of us, with what was in its place. `touched`: whether this run has changed the host."""

    def __init__(self, changes: Changes, path: str) -> None:
        super().__init__(changes, path, SHAPE)
        self.own = Attributes(os.geteuid(), os.getegid(), 0o644)
        self.touched = False

    def content(self, path: str) -> bytes | None:
        return read_own_file(path)[1]

    def is_right(self, path: str, content: bytes) -> bool:
        entry, now = read_own_file(path)
        return entry is not None and now == content and entry.attributes == self.own

    def put(self, path: str, content: bytes, origin: str = "") -> None:
        """A file of ours; what was in its place is recorded."""
        known = self.data["files"].get(path)
        if self.is_right(path, content) and (not origin or (known or {}).get("from") == origin):
            return
        now = self.content(path)
        was = known["was"] if known else None if now is None else base64.b64encode(now).decode("ascii")
        self.data["files"][path] = {"was": was, "sha256": digest(content), **({"from": origin} if origin else {})}
        if known is None and now not in (None, content):
            self.changes.warnings.append(f"{path} was there, and is replaced; ./colab-ready remove puts it back")
        self.make_folder(os.path.dirname(path))
        self.write()
        self.touched = True
        write_file(path, content, self.own)

    def make_folder(self, folder: str) -> None:
        wanted = self.own._replace(mode=0o755)
        # Not worth a word: it comes and goes with its file.
        self.data["folders"] += Changes(check=False).ensure_directory(folder, wanted, wanted, exact=False)

    def is_as_we_left_it(self, path: str) -> bool:
        now = self.content(path)
        return now is not None and digest(now) == self.data["files"][path]["sha256"]

    def restore(self, path: str) -> None:
        """What was there before us. What somebody else wrote since then stays."""
        is_ours = self.is_as_we_left_it(path)
        was = self.data["files"].pop(path)["was"]
        if is_ours:
            write_file(path, None if was is None else base64.b64decode(was), self.own)
            self.touched = True
        elif os.path.lexists(path):
            self.changes.warnings.append(f"{path} is kept: it has been changed by others since then")
        self.drop_folders(self.data["folders"])
        self.write()

    def drop_folders(self, made: list[str]) -> None:
        for folder in reversed(made):
            with suppress(OSError):
                os.rmdir(folder)
                self.data["folders"].remove(folder)

    def roll_back(self, contents: Mapping[str, bytes | None], record: dict[str, Any]) -> None:
        """The files as they were, and the record with them."""
        for path, content in contents.items():
            if self.content(path) != content:
                write_file(path, content, self.own)
        self.drop_folders([folder for folder in self.data["folders"] if folder not in record["folders"]])
        self.data = record
        self.write()
        self.touched = False


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

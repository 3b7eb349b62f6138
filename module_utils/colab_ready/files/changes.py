# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run changes in places where others may write: told as a diff and, but for check mode, done."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..core.accounts import group_name, user_name
from .guarded_paths import (
    Attributes,
    Entry,
    look,
    make_directory,
    open_directory,
    open_entry,
    read_file,
    set_attributes,
    write_file,
)


def describe(path: str, entry: Entry | None, content: bytes | None = None) -> str:
    """One thing, as it stands in the diff."""
    if entry is None:
        return "%s: absent\n" % path
    text = "%s: %s %s:%s %04o\n" % (path, entry.kind, user_name(entry.uid), group_name(entry.gid), entry.mode)
    if content is not None:
        text += content.decode("utf-8", "replace")
        text += "" if text.endswith("\n") else "\n"
    return text


class Changes:
    """The places that changed, in order, and the diff of all of them."""

    def __init__(self, check: bool) -> None:
        self.check = check
        self.places: list[str] = []
        self.warnings: list[str] = []
        self.before = ""
        self.after = ""
        # What is put and what is taken away; in check mode it is not there yet, or there still.
        self._kept: set[str] = set()
        self._gone: set[str] = set()

    @property
    def diff(self) -> dict[str, str]:
        return {"before": self.before, "after": self.after}

    def note(self, place: str, before: str, after: str) -> None:
        self.places.append(place)
        self.before += before
        self.after += after

    def put(self, path: str, content: bytes | None, attributes: Attributes) -> None:
        """A file with this content and these attributes, or (None) none. A link in its place is replaced, unread.

        A new file, also where only the attributes differ: the old one may have other names (hard links).
        """
        found, now = read_file(path)
        (self._gone if content is None else self._kept).add(path)
        if (found is None) if content is None else (now == content and found and found.attributes == attributes):
            return
        if not self.check:
            write_file(path, content, attributes)
        result = Entry("file", *attributes, links=1) if content is not None else None
        self.note(path, describe(path, found, now), describe(path, result, content))

    def attributes(self, path: str, handle: int, found: Entry, wanted: Attributes) -> None:
        """Give what is open there this owner and mode."""
        if not self.check:
            set_attributes(handle, wanted)
        self.note(path, describe(path, found), describe(path, found._replace(**wanted._asdict())))

    def ensure_directory(self, path: str, wanted: Attributes, parents: Attributes, exact: bool = True) -> list[str]:
        """A directory with these attributes. Missing parents are made, others stay as they are; returns what was made."""
        made: list[str] = []
        try:
            with open_directory(path) as handle:
                found = look(handle)
                if exact and found.attributes != wanted:
                    self.attributes(path, handle, found, wanted)
            return made
        except FileNotFoundError:
            parent, name = os.path.split(path)
        if parent not in self.places:
            made += self.ensure_directory(parent, parents, parents, exact=False)
        if not self.check:
            with open_directory(parent) as handle:
                make_directory(handle, name, wanted)
        self.note(path, describe(path, None), describe(path, Entry("directory", *wanted, links=0)))
        return [*made, path]

    def remove_directories(self, paths: Sequence[str]) -> list[str]:
        """Remove those of these directories, outermost first, that are empty; returns the others."""
        gone: set[str] = set()
        for path in reversed(paths):
            parent, name = os.path.split(path)
            try:
                with open_directory(parent) as handle, open_entry(handle, name, directory=True) as itself:
                    entry = look(itself)
                    inside = {os.path.join(path, child) for child in os.listdir(itself)} - self._gone
                    if inside or any(kept.startswith(path + "/") for kept in self._kept):
                        continue
                    if not self.check:
                        os.rmdir(name, dir_fd=handle)
                self.note(path, describe(path, entry), describe(path, None))
            except FileNotFoundError:
                pass
            gone.add(path)
            self._gone.add(path)
        return [path for path in paths if path not in gone]

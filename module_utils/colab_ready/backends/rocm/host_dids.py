# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of dids.conf beside AMD's bridge as state: those that somebody else wrote are never touched."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...core.problem import Problem, Refused
from ...files.guarded_paths import write_file
from ..host_record import Record
from . import dids
from . import releases as rocm_releases

# Without the folder of its libraries nothing of it is on the loader's path.
BRIDGE_LIBRARY = f"{rocm_releases.BRIDGE_FOLDER}/librocdxg.so"


class DidsFile:
    """The file of this host, and the lines that a plan wants in it."""

    def __init__(self, record: Record, wanted: Sequence[str]) -> None:
        self.record = record
        self.wanted = wanted

    def path(self) -> str:
        known = self.record.data["dids"].get("path")
        return str(known) if known else dids.path_beside(os.path.realpath(BRIDGE_LIBRARY))

    def _text(self) -> str:
        return (self.record.content(self.path()) or b"").decode("utf-8", "surrogateescape")

    def _write(self, text: str | None) -> None:
        write_file(self.path(), None if text is None else text.encode("utf-8", "surrogateescape"), self.record.own)

    def _merged(self, text: str) -> dids.Merged:
        return dids.merge(text, dids.parse("\n".join(self.wanted)))

    def problems(self) -> list[Problem]:
        return self._merged(self._text()).problems if self.wanted else []

    def texts(self) -> tuple[str, str]:
        """The text now and as it should be."""
        text = self._text()
        known = self.record.data["dids"].get("added") or []
        return text, self._merged(dids.without(text, [line for line in known if line not in self.wanted])).text

    def settle(self) -> None:
        known = self.record.data["dids"]
        if not self.wanted and not known:
            return
        path, (text, after) = self.path(), self.texts()
        merged = self._merged(text)
        if merged.problems:
            raise Refused(*merged.problems)
        kept = [line for line in known.get("added") or [] if line in self.wanted]
        added = [*kept, *(line for line in merged.added if line not in kept)]
        created = bool(known.get("created")) or self.record.content(path) is None
        self.record.data["dids"] = {"path": path, "added": added, "created": created} if added else {}
        if text != after:
            self.record.make_folder(os.path.dirname(path))
            self.record.write()
            self.record.touched = True
            self._write(after)
        self.record.write()

    def take_back(self) -> None:
        known = self.record.data["dids"]
        if not known:
            return
        if self.record.content(known["path"]) is not None:
            text = self._text()
            after = dids.without(text, known["added"])
            if not after.strip() and known["created"]:
                self._write(None)
            elif after != text:
                self._write(after)
        self.record.data["dids"] = {}
        self.record.write()

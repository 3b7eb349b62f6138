# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of dids.conf beside AMD's bridge as state: those that somebody else wrote are never touched."""

from __future__ import annotations

import os
from typing import Sequence

from ansible.module_utils.colab_ready import dids, rocm_lines
from ansible.module_utils.colab_ready.core.refusal import Problem
from ansible.module_utils.colab_ready.rocm_host_packages import Stopped
from ansible.module_utils.colab_ready.rocm_host_record import OWN, Record
from ansible.module_utils.colab_ready.wsl_host_repair import File

# Without the folder of its libraries nothing of it is on the loader's path.
BRIDGE_LIBRARY = f"{rocm_lines.BRIDGE_FOLDER}/librocdxg.so"


class DidsFile:
    """The file of this host, and the lines that a plan wants in it."""

    def __init__(self, record: Record, wanted: Sequence[str]) -> None:
        self.record = record
        self.wanted = wanted

    def path(self) -> str:
        known = self.record.data["dids"].get("path")
        return str(known) if known else dids.path_beside(os.path.realpath(BRIDGE_LIBRARY))

    def problems(self) -> list[Problem]:
        if not self.wanted:
            return []
        content = self.record.content(self.path())
        return dids.merge(
            (content or b"").decode("utf-8", "replace"), dids.parse("\n".join(self.wanted)).entries
        ).problems

    def texts(self) -> tuple[str, str]:
        """The text now and as it should be."""
        text = (self.record.content(self.path()) or b"").decode("utf-8", "surrogateescape")
        known = self.record.data["dids"].get("added") or []
        stale = [line for line in known if line not in self.wanted]
        return text, dids.merge(dids.without(text, stale), dids.parse("\n".join(self.wanted)).entries).text

    def settle(self) -> None:
        text, after = self.texts()
        if not self.wanted and not self.record.data["dids"]:
            return
        path = self.path()
        merged = dids.merge(text, dids.parse("\n".join(self.wanted)).entries)
        if merged.problems:
            raise Stopped(*merged.problems)
        known = self.record.data["dids"]
        kept = [line for line in known.get("added") or [] if line in self.wanted]
        self.record.data["dids"] = {
            "path": path,
            "added": [*kept, *(line for line in merged.added if line not in kept)],
            "created": bool(known.get("created")) or self.record.content(path) is None,
        }
        if not self.record.data["dids"]["added"]:
            self.record.data["dids"] = {}
        if text != after:
            self.record.make_folder(os.path.dirname(path))
            self.record.write()
            self.record.touched = True
            File(path).write(after.encode("utf-8", "surrogateescape"), OWN)
        self.record.write()

    def take_back(self) -> None:
        known = self.record.data["dids"]
        if not known:
            return
        path = known["path"]
        content = self.record.content(path)
        if content is not None:
            text = content.decode("utf-8", "surrogateescape")
            after = dids.without(text, known["added"])
            if not after.strip() and known["created"]:
                File(path).write(None, OWN)
            elif after != text:
                File(path).write(after.encode("utf-8", "surrogateescape"), OWN)
        self.record.data["dids"] = {}
        self.record.write()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what rocm_host put on a host, and the files that it names.

The record is written before each step, so that an interrupted run can be taken back like a whole one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from contextlib import suppress
from typing import Any, Mapping

from ansible.module_utils.colab_ready.files.safe_open import read_object
from ansible.module_utils.colab_ready.guarded_paths import Attributes, write_file
from ansible.module_utils.colab_ready.wsl_host_repair import File

SCHEMA = 1
OWN = Attributes(0, 0, 0o644)


class Record:
    """What is there because of us, with what was in its place. `touched`: whether this run has changed the host."""

    def __init__(self, path: str, warnings: list[str]) -> None:
        self.path = path
        self.warnings = warnings
        self.data = empty()
        self.touched = False

    def read(self) -> None:
        path = self.path
        data = read_object(path)
        if data is None and os.path.lexists(path):
            self.warnings.append(
                f"{path}, the record of what was put here, could not be read. It is begun anew; what was done before is not "
                "taken back with the rest."
            )
        if not data or data.get("schema") != SCHEMA:
            return
        shape = empty()
        fits = all(isinstance(data.get(name), type(value)) for name, value in shape.items())
        self.data = {name: data[name] for name in shape} if fits else shape

    def write(self) -> None:
        path = self.path
        if self.data == empty():
            if os.path.lexists(path):
                write_record(path, None)
        elif read_object(path) != self.data:
            write_record(path, self.data)

    # ---- the files that it names ----------------------------------------------------------------

    def content(self, path: str) -> bytes | None:
        try:
            return File(path).read()
        except FileNotFoundError:
            return None

    def is_right(self, path: str, content: bytes) -> bool:
        file = File(path)
        try:
            return file.read() == content and file.entry is not None and file.entry.attributes == OWN
        except FileNotFoundError:
            return False

    def put(self, path: str, content: bytes, origin: str = "") -> None:
        """A file of ours; what was in its place is recorded."""
        if self.is_right(path, content) and (not origin or self.data["files"].get(path, {}).get("from") == origin):
            return
        now = self.content(path)
        known = self.data["files"].get(path)
        was = known["was"] if known else None if now is None else base64.b64encode(now).decode("ascii")
        self.data["files"][path] = {
            "was": was,
            "sha256": hashlib.sha256(content).hexdigest(),
            **({"from": origin} if origin else {}),
        }
        if was is not None and known is None:
            self.warnings.append(f"{path} was there, and is replaced; ./colab-ready remove puts it back")
        self.make_folder(os.path.dirname(path))
        self.write()
        self.touched = True
        File(path).write(content, OWN)

    def make_folder(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        self.make_folder(os.path.dirname(folder))
        self.data["folders"].append(folder)
        os.mkdir(folder, 0o755)
        os.chmod(folder, 0o755)

    def restore(self, path: str) -> None:
        """What was there before us. What somebody else wrote since then stays."""
        known = self.data["files"].pop(path)
        now = self.content(path)
        if now is not None and hashlib.sha256(now).hexdigest() != known["sha256"]:
            self.warnings.append(f"{path} is kept: it has been changed by others since then")
        elif now is not None and known["was"] is None:
            File(path).write(None, OWN)
            self.touched = True
        elif now is not None:
            File(path).write(base64.b64decode(known["was"]), OWN)
            self.touched = True
        for folder in reversed(self.data["folders"]):
            with suppress(OSError):
                os.rmdir(folder)
                self.data["folders"].remove(folder)
        self.write()

    def roll_back(self, contents: Mapping[str, bytes | None], record: dict[str, Any]) -> None:
        """The files as they were, and the record with them."""
        for path, content in contents.items():
            if content is not None:
                File(path).write(content, OWN)
            elif os.path.lexists(path):
                File(path).write(None, OWN)
        for folder in reversed(self.data["folders"]):
            if folder not in record["folders"]:
                with suppress(OSError):
                    os.rmdir(folder)
        self.data = record
        self.write()
        self.touched = False


def empty() -> dict[str, Any]:
    lists: dict[str, Any] = {"folders": [], "asked": [], "groups": []}
    return {"schema": SCHEMA, "line": "", "files": {}, "packages": {}, "debs": {}, "dids": {}, "removed": {}, **lists}


def write_record(path: str, data: dict[str, Any] | None) -> None:
    """Note what is there, for everybody to read; None: nothing is left, and neither are the record and its empty folder."""
    if data is not None:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        write_file(path, (json.dumps(data, indent=2) + "\n").encode(), OWN)
        return
    os.unlink(path)
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))

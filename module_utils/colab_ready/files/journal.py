# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a module put on this host, so that it takes away that and nothing else."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from typing import Any

from ..core.problem import Refused
from .changes import Changes
from .guarded_paths import Attributes, open_directory, read_file, write_file
from .safe_open import parse_object

SCHEMA = 1


def fits(value: Any, shape: Any) -> bool:
    """Whether data has a shape: a type, [shape of items], {name: shape}, {str: shape of values}, or (shape,) for that or null."""
    if isinstance(shape, tuple):
        return value is None or fits(value, shape[0])
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict) and str in shape:
        return isinstance(value, dict) and all(fits(item, shape[str]) for item in value.values())
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(name), part) for name, part in shape.items())
    return isinstance(value, shape)


def nothing(shape: Mapping[str, Any]) -> dict[str, Any]:
    """What a record of this shape is where nothing was done."""
    return {
        name: part() if isinstance(part, type) else None if isinstance(part, tuple) else type(part)()
        for name, part in shape.items()
    }


class Journal:
    """`data`, a JSON object of this shape, in a file of root's that everybody may read; no file where nothing was done."""

    def __init__(self, changes: Changes, path: str, shape: Mapping[str, Any]) -> None:
        self.changes = changes
        self.path = path
        self.shape = shape
        self.data = nothing(shape)
        self._written: dict[str, Any] | None = nothing(shape)

    def read(self, left: str) -> dict[str, Any]:
        """Read it and return `data`. One that cannot be used is begun anew, with a warning about what is `left` then."""
        problem = "it is of another shape"
        try:
            entry, text = read_file(self.path)
            found = self.adopted({**self.data, **(parse_object(text) or {})})
        except (OSError, Refused, KeyError, TypeError, AttributeError) as error:
            problem = str(error)
        else:
            if entry is None:
                return self.data
            if found.get("schema") == SCHEMA and fits(found, self.shape):
                self.data = {name: found[name] for name in self.shape}
                self._written = copy.deepcopy(self.data)
                return self.data
        self._written = None
        self.changes.warnings.append(
            f"{self.path}, the record of what was put here, could not be read ({problem}). It is begun anew; {left}."
        )
        return self.data

    def adopted(self, found: dict[str, Any]) -> dict[str, Any]:
        """What was found, in today's form."""
        return found

    def write(self) -> None:
        """Note what is there now, if that is something else than before."""
        if self.changes.check or self.data == self._written:
            return
        parent, name = os.path.split(self.path)
        if self.data == nothing(self.shape):
            with open_directory(parent) as folder:
                os.unlink(name, dir_fd=folder)
                is_empty = not os.listdir(folder)
            if is_empty:
                os.rmdir(parent)
        else:
            own = Attributes(os.geteuid(), os.getegid(), 0o644)
            if not os.path.isdir(parent):
                directory = own._replace(mode=0o755)
                Changes(check=False).ensure_directory(parent, directory, directory)
            write_file(self.path, (json.dumps({"schema": SCHEMA, **self.data}, indent=2) + "\n").encode(), own)
        self._written = copy.deepcopy(self.data)

    def clear(self) -> None:
        """Nothing is there any more."""
        self.data = nothing(self.shape)
        self.write()

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

from ..core.problem import Refused
from ..files.changes import Changes
from ..files.guarded_paths import Attributes, read_file, write_file

FOLDER = "jupyter_server_config.d"
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class Decision(NamedTuple):
    """What becomes of the file: None leaves it, b"" removes it, anything else is its new content."""

    content: bytes | None
    trouble: str = ""


def check_name(name: str) -> None:
    if not _MODULE_NAME.fullmatch(name):
        raise Refused(
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


def converge_entry(changes: Changes, config_dir: str, name: str, enabled: bool | None, owner: tuple[int, int]) -> None:
    """The file alone, in directories that are there; where they are not, there is no entry."""
    path, wanted = path_of(config_dir, name), Attributes(*owner, mode=0o644)
    _entry, content = read_file(path)
    decision = decide(content, name, enabled)
    after = content if decision.content is None else decision.content
    # A link's target may be another user's choice; the link is replaced, or goes, unread.
    if enabled is None and decision.content is None and content is not None:
        return
    if decision.trouble and content:
        backup = backup_name(name, content)
        changes.warnings.append(
            "%s could not be used as configuration: %s. It was replaced; what it held is kept beside it as %s."
            % (path, decision.trouble, backup)
        )
        if not changes.check:
            write_file(os.path.join(os.path.dirname(path), backup), content, wanted._replace(mode=0o600))
    changes.put(path, after or None, wanted)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a piece of Jupyter configuration does to whoever starts a Jupyter that reads it: from its text, running nothing.

Only what is known to be a way in is named. The values stay in the file: a report that everybody may read must not tell
the token or the password that somebody set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..files.safe_open import parse_json, parse_object

# What the server runs, or sends to the browser, from below a data directory (`jupyter --paths`, data).
DATA_READ = ("kernels", "labextensions", "nbextensions", "nbconvert")
# The file without which such a folder is nothing.
MAIN_FILES = {"kernels": "kernel.json", "labextensions": "package.json"}
_OWN_EXTENSION = "colab_http_over_ws"
# traitlets reads NAME.py and NAME.json, for each application its name and "jupyter".
_CONFIG_NAME = re.compile(r"jupyter(_[a-z0-9]+)*_config\.(py|json)")
_LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
_EXTENSIONS = ("jpserver_extensions", "nbserver_extensions", "server_extensions", "load_extensions")
_RUNS = ("browser", "kernel_cmd", "shell_command", "terminado_settings", "logging_config", "env")
_PATHS = re.compile(r"(extra_\w+|template|kernel|static_file|labextensions|nbextensions)_(paths?|dirs?)|custom_css_dir")
_FOLDERS = ("root_dir", "notebook_dir", "preferred_dir")
_SECRETS = ("password", "hashed_password", "token", "cookie_secret", "cookie_secret_file")


class Effect(NamedTuple):
    """`known` is a way in that has a name here; what is not known changes something all the same."""

    text: str
    known: bool = True


def shown(text: Any, length: int = 80) -> str:
    """A text that somebody else chose, harmless in a terminal."""
    cleaned = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return cleaned if len(cleaned) <= length else cleaned[: length - 3] + "..."


def is_config(name: str, folder: str | None) -> bool:
    """Whether Jupyter takes a file of this name for configuration: in a configuration directory, or in a directory
    there that it reads."""
    return bool(_CONFIG_NAME.fullmatch(name)) if folder is None else name.endswith((".json", ".py"))


def config_effects(name: str, content: bytes) -> list[Effect]:
    """What a file of configuration does."""
    if name.endswith(".py"):
        return [Effect("is code, which runs as whoever starts Jupyter")]
    data = parse_json(content)
    if data is None:
        return [Effect("is not JSON, so it cannot be told what it does", known=False)]
    if not isinstance(data, Mapping):
        return [Effect("is not a JSON object, so Jupyter takes nothing from it", known=False)]
    return list(dict.fromkeys(_settings(data)))


def _settings(data: Mapping[str, Any]) -> Iterator[Effect]:
    for section, values in data.items():
        # nbconfig has its keys at the top, an application's file below the name of a class.
        named = {section: values} if section in _EXTENSIONS or not isinstance(values, Mapping) else values
        for key, value in named.items():
            where = shown(key if named is not values else "%s.%s" % (section, key))
            if key in _EXTENSIONS and isinstance(value, Mapping):
                for module, wanted in value.items():
                    if wanted and module != _OWN_EXTENSION:
                        what = "script %s in the page" if key == "load_extensions" else "Python module %s in the server"
                        yield Effect("runs the " + what % shown(module))
                continue
            yield _effect(key, value, where)


def _effect(key: str, value: Any, where: str) -> Effect:
    if key == "token" and value == "":
        return Effect("switches the token off (%s)" % where)
    if key in _SECRETS and value:
        return Effect("sets a secret that its author knows (%s)" % where)
    if key in ("allow_origin", "allow_origin_pat") and value:
        return Effect("lets every web page in (%s)" % where if value == "*" else "lets other web pages in (%s)" % where)
    if key == "disable_check_xsrf" and value:
        return Effect("lets other web pages act for who is logged in (%s)" % where)
    if (key == "allow_remote_access" and value) or (key == "ip" and value not in _LOOPBACK):
        return Effect("opens the server to the network (%s)" % where)
    if key == "allow_root" and value:
        return Effect("lets Jupyter run as root (%s)" % where)
    if key in _RUNS or key.endswith(("_class", "_hook", "_factory", "_cmd")):
        return Effect("runs code that its author names (%s)" % where)
    if _PATHS.fullmatch(key):
        return Effect("takes pages, scripts or kernels from a folder of its author (%s)" % where)
    if key in _FOLDERS:
        return Effect("shows another folder (%s)" % where)
    return Effect("sets %s" % where, known=False)


def data_effects(kind: str, item: str, kernel_json: bytes | None = None) -> list[Effect]:
    """What an item below a data directory does: a kernel, an extension of the page, a template of nbconvert."""
    if kind == "labextensions":
        return [Effect("is a script in the page of who opens JupyterLab")]
    if kind == "nbextensions":
        return [Effect("is a script in the page of who opens a notebook")]
    if kind == "nbconvert":
        return [Effect("is a template, which can run code as who exports a notebook")]
    argv = (parse_object(kernel_json) or {}).get("argv")
    program = "runs %s" % shown(argv[0]) if isinstance(argv, list) and argv else "runs"
    text = "is a kernel, '%s': it %s as who chooses it or opens a notebook that asks for it"
    return [Effect(text % (shown(item), program))]


def sentence(effects: list[Effect], most: int = 4) -> str:
    """The effects in words, the known ones first."""
    known = [effect.text for effect in effects if effect.known]
    texts = known or [effect.text for effect in effects] or ["changes nothing that is known here"]
    more = " and %d more" % (len(texts) - most) if len(texts) > most else ""
    return ", ".join(texts[:most]) + more

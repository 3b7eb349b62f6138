# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others could change of that which the server reads."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from colab_ready.files.safe_open import read_bytes
from colab_ready.files.trust import distrust_tree, distrust_way

from .core import EXIT_SETTINGS, Problem, parse_json, say

ENVIRONMENT_BYTES_MAX = 64 * 1024


def parse_environment(text: str) -> tuple[dict[str, str], list[int]]:
    """The variables of one file as systemd's EnvironmentFile= takes them, and the numbers of the lines that are none.

    One NAME=value in a line, and the value means itself: nothing is expanded, nothing is run. What systemd would
    unquote (quotation marks, backslashes) is not taken: the playbook writes no such line.
    """
    found: dict[str, str] = {}
    wrong = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        line = line.strip(" \t")
        if not line or line.startswith(("#", ";")):
            continue
        pair = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*([^\x00-\x1f\x7f-\U0010ffff\"'\\]*)", line)
        if pair:
            found[pair[1]] = pair[2]
        else:
            wrong.append(number)
    return found, wrong


def environment_files(folder: str, uid: int) -> list[str]:
    """The files in environment.d, in the order in which systemd reads them; or a Problem where others could write."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".conf") and not name.startswith("."))
    except FileNotFoundError:
        return []
    paths = [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]
    for path in (folder, *paths):
        wrong = distrust_way(path, (0, uid))
        if wrong:
            raise Problem(
                f"{wrong}, and what stands in {folder} gets into the server and every notebook. Expected: root alone can "
                "change it. Do: look who wrote there, remove what is foreign, then "
                f"sudo chown -R root: {folder} and sudo chmod -R go-w {folder}",
                EXIT_SETTINGS,
            )
    return paths


def driver_environment(folder: str, uid: int) -> dict[str, str]:
    """What environment.d says, a later file over an earlier one as with systemd. What cannot be taken is named in the
    log by file and line; its text is not shown, since somebody may keep a password there."""
    found: dict[str, str] = {}
    path = folder
    try:
        for path in environment_files(folder, uid):
            variables, wrong = parse_environment(
                read_bytes(path, ENVIRONMENT_BYTES_MAX, follow=True).decode("utf-8", "replace")
            )
            found.update(variables)
            for number in wrong:
                say(f"Not read, line {number} of {path}: expected NAME=value without quotes or backslashes")
    except OSError as error:
        say(f"Not read, {path}: {error.strerror}")
    return found


# Of a folder of data the server runs, or sends to the browser, what lies in these.
DATA_READ = ("kernels", "labextensions", "nbextensions", "nbconvert")
SYSTEM_DATA = ("/usr/local/share/jupyter", "/usr/share/jupyter")
DATA_FILES_MAX = 20000


def distrust_trees(tops: Sequence[str], uid: int) -> str | None:
    """The first thing in these trees that others than root and this user can change, or None."""
    reasons = (distrust_tree(top, (0, uid), DATA_FILES_MAX, follow=True) for top in tops)
    return next(filter(None, reasons), None)


def closed_data(folders: Sequence[str], uid: int) -> dict[str, str]:
    """The folders of kernels and pages that a server of this user must not read, and why."""
    found = {}
    for folder in folders:
        wrong = distrust_way(folder, (0, uid)) or distrust_trees(
            [os.path.join(folder, name) for name in DATA_READ], uid
        )
        if wrong:
            found[folder] = wrong
    return found


def config_problem(path: str) -> str | None:
    """What is wrong with one file of the server's configuration, or None."""
    try:
        config = parse_json(read_bytes(path, follow=True))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return f"is not JSON: {error}"
    if not isinstance(config, dict):
        return "is not a JSON object"
    secret = secret_setting(config)
    return f"sets {secret}, which would take the place of the token in its file" if secret else None


def secret_setting(config: dict[str, Any]) -> str | None:
    """A setting by which the server would take another token than the file's, or none: "IdentityProvider.token".

    The setting wins over JUPYTER_TOKEN_FILE (jupyter_server.auth.identity), and one that is empty lets everybody in.
    """
    for section, values in config.items():
        for name in values if isinstance(values, dict) else ():
            if name in ("token", "password", "hashed_password", "identity_provider_class"):
                return f"{section}.{name}"
    return None


def require_config(config_dir: str, uid: int) -> None:
    """Jupyter only warns about a broken file and then runs on its defaults (another port, no Colab origin); and
    whoever can write here runs code as the user, by a jupyter_server_config.py."""
    extras = os.path.join(config_dir, "jupyter_server_config.d")
    pieces = [os.path.join(config_dir, "jupyter_server_config.json")]
    # Jupyter reads these, too.
    others = [os.path.join(config_dir, f"jupyter_{name}config.json") for name in ("", "lab_", "notebook_")]
    pieces += [path for path in others if os.path.lexists(path)]
    if os.path.isdir(extras):
        pieces += sorted(os.path.join(extras, name) for name in os.listdir(extras) if name.endswith(".json"))
    for path in pieces:
        wrong = config_problem(path)
        if wrong:
            ours = path not in others
            todo = "./colab-ready, which writes it again" if ours else f"remove {path}"
            raise Problem(f"The server's configuration {path} {wrong}. Do: {todo}.", EXIT_SETTINGS)
    # Whatever else is there, code (.py) above all: of whom the folder is, and of nobody else.
    wrong = distrust_way(config_dir, (0, uid)) or distrust_trees([config_dir], os.stat(config_dir).st_uid)
    if wrong:
        raise Problem(
            f"{wrong}, and the server reads its configuration there. Expected: root alone can change it. "
            "Do: ./colab-ready, which takes away what is foreign there.",
            EXIT_SETTINGS,
        )
    # Without this marker Jupyter looks for files to move over from IPython 3 as soon as ~/.ipython exists, which the
    # first kernel makes, and ends with a traceback because it may not write here (jupyter_core, migrate_config).
    marker = os.path.join(config_dir, "migrated")
    if not os.path.exists(marker) and not os.access(config_dir, os.W_OK):
        raise Problem(
            f"The marker {marker} is missing; without it Jupyter would end with an error. "
            "Do: ./colab-ready, which writes it again.",
            EXIT_SETTINGS,
        )


def require_own_places(prefix: str, uid: int) -> None:
    """What came with the server configures it too (its etc/jupyter even before our own folder) and holds its kernels."""
    places = ("server/etc/jupyter", "server/share/jupyter", "share/jupyter")
    wrong = distrust_trees([os.path.join(prefix, place) for place in places], uid)
    if wrong:
        raise Problem(
            f"{wrong}, and the server runs what lies there. Expected: root alone can change it. Do: look who put what "
            f"there, remove what is foreign, then sudo chown -R root: {prefix}/server {prefix}/share and "
            f"sudo chmod -R go-w {prefix}/server {prefix}/share",
            EXIT_SETTINGS,
        )

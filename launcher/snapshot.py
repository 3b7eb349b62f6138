# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product's files on their way to root's half: read as the caller, sent through a pipe, written by root alone.

So root opens nothing below the caller's home (which may be on NFS with root_squash) and writes nothing into it.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colab_ready.files.safe_open import read_bytes

from .words import Stop

PRODUCT = (
    "ansible.cfg callback_plugins colab-ready inventory inventory_plugins launcher library module_utils playbooks requirements "
    "roles"
).split()
FILES_MAX = 5000
BYTES_MAX = 64 << 20


def collect(checkout: Path) -> list[tuple[str, bytes]]:
    """Read every file of the product, by its name in the checkout; links are followed, no compiled file is taken."""
    files: list[tuple[str, bytes]] = []
    size = 0
    for path in product_files(checkout):
        data = _read(path)
        if data is None:
            continue
        size += len(data)
        files.append((os.path.relpath(path, checkout), data))
        if size > BYTES_MAX or len(files) > FILES_MAX:
            raise Stop(
                f"{checkout} holds more than {FILES_MAX} files or {BYTES_MAX >> 20} MiB where the product should be. Expected: "
                "a checkout. Do: clone again, or take away what was put there."
            )
    return files


def product_files(checkout: Path) -> Iterator[str]:
    """Name the product's files, those of `inventory` and the like included, whatever they are."""
    for name in PRODUCT:
        top = os.path.join(checkout, name)
        if not os.path.isdir(top):
            yield top
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(one for one in folders if one != "__pycache__")
            yield from (os.path.join(folder, one) for one in sorted(names) if not one.endswith(".pyc"))


def pack(
    boot: bytes, header: dict[str, Any], product: list[tuple[str, bytes]], named: list[tuple[str, bytes]]
) -> bytes:
    """Join boot.py, the header, the product's files and those that the caller named, as boot.py reads them."""
    sizes = {
        kind: [(name, len(data)) for name, data in files] for kind, files in (("product", product), ("named", named))
    }
    told = json.dumps({**header, **sizes}).encode()
    return b"".join(
        [b"%d\n" % len(boot), boot, b"%d\n" % len(told), told, *(data for _name, data in [*product, *named])]
    )


def _read(path: str) -> bytes | None:
    """What is in a regular file; nothing of a pipe."""
    try:
        return read_bytes(path, BYTES_MAX, follow=True)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise Stop(
            f"{path} cannot be read: {error.strerror}. Expected: a whole checkout. Do: get the project again."
        ) from None

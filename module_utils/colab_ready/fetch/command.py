# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch wheels as a process of its own, which who waits for it can end; and take a program out of a wheel.

A program such as uv lies in its wheel, which is a zip file, as one binary.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import zipfile

from .client import Client, FetchError, Network
from .names import Computer
from .wheels import Places, Wanted, fetch

PROGRAM_BYTES = 1 << 28


def unpack(wheel: str, name: str, place: str) -> None:
    """Put the program of a wheel at a place, all at once. Raises FetchError where the wheel has none of that name."""
    folder = os.path.dirname(place)
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [one for one in archive.infolist() if one.filename.endswith(f".data/scripts/{name}")]
            if len(found) != 1 or found[0].file_size > PROGRAM_BYTES:
                raise FetchError("answer", f"{wheel} has no program {name}")
            os.makedirs(folder, mode=0o755, exist_ok=True)
            with archive.open(found[0]) as source, tempfile.NamedTemporaryFile(dir=folder, delete=False) as target:
                shutil.copyfileobj(source, target)
        os.chmod(target.name, 0o755)
        os.replace(target.name, place)
    except zipfile.BadZipFile:
        raise FetchError("answer", f"{wheel} is no wheel") from None
    except OSError as error:
        raise FetchError("disk", f"{place}: {error.strerror}") from None


def main() -> int:
    """Fetch what standard input says, in JSON, and say on stderr why that does not go: {wanted, places, network, trusted_hosts,
    folder, program}. `wanted` is a list of [name, version, sha256 sums]; `program` names one of these, and where it goes.

    On standard input, since an address may hold a password.
    """
    told = json.load(sys.stdin)
    wanted = [Wanted(name, version, frozenset(hashes)) for name, version, hashes in told["wanted"]]
    places = told["places"]
    where = Places(
        places["index_url"], tuple(places["extra_index_urls"]), tuple(places["find_links"]), places["no_index"]
    )
    client = Client(Network.of(told["network"], tuple(told["trusted_hosts"])))
    name, place = told["program"]
    try:
        os.makedirs(told["folder"], mode=0o700, exist_ok=True)
        wheels = fetch(wanted, where, told["folder"], client, Computer.here())
        unpack(wheels[[one.name for one in wanted].index(name)], name, place)
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0

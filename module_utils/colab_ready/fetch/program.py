# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that lies in a wheel, as uv does: a zip file with the binary in it."""

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
    """Fetch a program as standard input says, in JSON, and print what went wrong: {wanted, places, network, wheels, name, place}.

    On standard input, since an address may hold a password.
    """
    told = json.load(sys.stdin)
    one = told["wanted"]
    wanted = Wanted(one["name"], one["version"], frozenset(one["hashes"]))
    places = Places(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in told["places"].items()}
    )
    client = Client(Network.of(told["network"], tuple(told["trusted_hosts"])))
    try:
        os.makedirs(told["wheels"], mode=0o700, exist_ok=True)
        [wheel] = fetch([wanted], places, told["wheels"], client, Computer.here())
        unpack(wheel, told["name"], told["place"])
    except (FetchError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

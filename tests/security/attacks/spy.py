"""Looks for a text in what the processes of its own uid were started with, and prints every place where it is.

spy.py TEXT FILE
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def main(wanted: bytes, places: Path) -> None:
    print("ready", flush=True)
    known: set[str] = set()
    while True:
        for name in filter(str.isdigit, os.listdir("/proc")):
            for what in ("environ", "cmdline"):
                with contextlib.suppress(OSError):
                    if int(name) != os.getpid() and wanted in Path("/proc", name, what).read_bytes():
                        program = os.readlink(f"/proc/{name}/exe")
                        if (place := f"{what} of {program}") not in known:
                            known.add(place)
                            with places.open("a") as file:
                                file.write(place + "\n")


if __name__ == "__main__":
    main(sys.argv[1].encode(), Path(sys.argv[2]))

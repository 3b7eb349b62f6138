"""A stand-in for WSL's /init where it starts a program of Windows, as the kernel's handler for .exe or somebody has it do.

    python standin_wsl_init.py FOLDER PROGRAM NAME ARGUMENT...

PROGRAM is the file's full path, and NAME what it is called by (microsoft/WSL, src/linux/init/binfmt.cpp). The file begins with
MZ, as every program of Windows does, and cannot be started by Linux; what answers is the stand-in of that name beside this
one, with FOLDER for its state. FOLDER/uids.log gets the uid of each call: Windows does not ask for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(folder: str, program: str, name: str, *arguments: str) -> None:
    with Path(folder, "uids.log").open("a", encoding="utf-8") as log:
        log.write(f"{os.getuid()}\n")
    stand_in = Path(__file__).with_name(f"standin_{Path(program).stem}_exe.py")
    if Path(program).read_bytes()[:2] != b"MZ" or not stand_in.exists() or name != program:
        sys.exit(f"<3>STAND-IN for WSL ERROR: CreateProcess: {program} is nothing that Windows starts")
    os.execv(sys.executable, [sys.executable, "-I", str(stand_in), folder, *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])

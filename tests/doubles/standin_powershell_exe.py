"""A stand-in for Windows' powershell.exe: it answers the one question about Win32_VideoController, from a JSON file.

    python standin_powershell_exe.py FOLDER ... -Command "... Get-CimInstance Win32_VideoController ..."

FOLDER/adapters.json holds what ConvertTo-Json would print; FOLDER/calls.log gets a line for each call; FOLDER/faults.json can
switch on what goes wrong on real computers:

    encoding  of what it prints: utf-8 (the default), utf-8-sig, utf-16, cp850
    hang      no answer, and a child of its own that holds the pipe
    interop   WSL's own /init answers, unable to start Windows programs
    socket    the same, but where WSL_INTEROP is this one
    error     PowerShell ends with status 1 and this on stderr

No Windows was at hand to compare it with.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(folder: Path, arguments: list[str]) -> int:
    path = folder / "faults.json"
    faults = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    socket = os.environ.get("WSL_INTEROP", "")
    with (folder / "calls.log").open("a", encoding="utf-8") as log:
        log.write(f"{socket} {os.getcwd()} {' '.join(arguments)}\n")
    if faults.get("hang"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)
    if faults.get("interop") or ("socket" in faults and faults["socket"] != socket):
        print("<3>WSL (11 - ) ERROR: UtilAcceptVsock:271: accept4 failed 110")
        return 1
    if faults.get("error"):
        sys.stderr.write(faults["error"] + "\r\n")
        return 1
    if "Win32_VideoController" not in arguments[-1] or arguments[-2] != "-Command":
        sys.stderr.write("STAND-IN for powershell.exe: only Win32_VideoController is known.\r\n")
        return 64
    text = (folder / "adapters.json").read_text(encoding="utf-8").strip().replace("\n", "\r\n") + "\r\n"
    sys.stdout.buffer.write(text.encode(faults.get("encoding", "utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))

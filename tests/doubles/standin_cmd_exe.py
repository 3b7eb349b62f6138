"""A stand-in for Windows' cmd.exe that knows one thing: echo %USERPROFILE%.

    python standin_cmd_exe.py FOLDER /d /u /c echo %USERPROFILE%

FOLDER/profile.txt holds the folder of the user, as Windows calls it; FOLDER/calls.log gets a line for each call;
FOLDER/faults.json can switch on what goes wrong on real computers:

    hang      no answer
    interop   WSL's own /init answers, unable to start Windows programs
    socket    the same, but where WSL_INTEROP is this one
    unset     there is no such variable, and cmd.exe prints its name, as it does then
    autorun   what a command in the registry's AutoRun prints, unless /d keeps it from running

With /u it prints UTF-16, and without code page 437, as Microsoft documents it; no Windows was at hand to compare it with.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(folder: Path, arguments: list[str]) -> int:
    with (folder / "calls.log").open("a", encoding="utf-8") as log:
        log.write(" ".join(arguments) + "\n")
    faults = json.loads((folder / "faults.json").read_text()) if (folder / "faults.json").exists() else {}
    if faults.get("hang"):
        time.sleep(600)
    socket = faults.get("socket")
    if faults.get("interop") or (socket and os.environ.get("WSL_INTEROP") != socket):
        sys.stderr.write("<3>WSL (25) ERROR: UtilAcceptVsock:250: accept4 failed 110\n")
        return 1
    switches = [one for one in arguments if one.startswith("/")]
    if arguments[len(switches) :] != ["echo", "%USERPROFILE%"] or switches[-1:] != ["/c"]:
        sys.stderr.write("STAND-IN for cmd.exe: only echo %USERPROFILE% is known.\r\n")
        return 1
    text = "" if "/d" in switches else faults.get("autorun", "")
    text += "%USERPROFILE%" if faults.get("unset") else (folder / "profile.txt").read_text(encoding="utf-8").strip()
    encoding = "utf-16-le" if "/u" in switches else "cp437"
    sys.stdout.buffer.write((text + "\r\n").encode(encoding, "replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))

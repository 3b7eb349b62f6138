#!/usr/bin/env python3
"""Questions about a host that no module answers. Runs on the host itself, as root.

host_checks.py server-owners     the names of the users that the server's processes run as
host_checks.py kill-server       SIGKILL to the server and to what watches over it, as an out-of-memory day would
host_checks.py token-places      the files, logs and argument lists that hold the token; nothing when there are none
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOKEN_FILE = Path("/etc/colab-ready/token")
SERVER = "/opt/colab-ready/server/bin/"
SUPERVISOR = "/usr/local/bin/colab-runtime"
# Where a token ends up when somebody is careless. /etc/colab-ready/token and /run/colab-ready (0700) are its places.
SEARCHED = (
    "/etc/colab-ready/jupyter",
    "/etc/colab-ready/runtime.json",
    "/etc/systemd/system",
    "/opt/colab-ready/share",
    "/opt/colab-ready/src",
    "/tmp",
    "/usr/local/bin",
    "/var/lib/colab-ready",
    "/var/log",
    "/var/tmp",
)


def command_lines() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def runtime_processes(supervisor: bool) -> list[int]:
    return [
        number
        for number, line in command_lines()
        if number != os.getpid() and (SERVER in line or (supervisor and SUPERVISOR in line))
    ]


def server_owners() -> set[str]:
    owners = set()
    for number in runtime_processes(supervisor=False):
        with contextlib.suppress(OSError):
            owners.add(pwd.getpwuid(os.stat(f"/proc/{number}").st_uid).pw_name)
    return owners


def kill_server() -> None:
    for number in runtime_processes(supervisor=True):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def files_below(place: str) -> Iterator[Path]:
    top = Path(place)
    if top.is_file():
        yield top
    for folder, _, names in os.walk(top):
        yield from (Path(folder) / name for name in names)


def token_places() -> Iterator[str]:
    token = TOKEN_FILE.read_text(encoding="ascii").strip()
    assert len(token) >= 32, f"{TOKEN_FILE} holds no token"
    for number, line in command_lines():
        if token in line:
            yield f"argument list of process {number}"
    for path in (path for place in SEARCHED for path in files_below(place)):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink() and token.encode() in path.read_bytes():
                yield str(path)
    if Path("/run/systemd/system").is_dir():
        journal = subprocess.run(["journalctl", "--no-pager", "--quiet", "--all"], capture_output=True, check=True)
        if token.encode() in journal.stdout:
            yield "the journal"


def main() -> int:
    actions = {"server-owners": server_owners, "token-places": token_places}
    if sys.argv[1] == "kill-server":
        kill_server()
    else:
        print("\n".join(sorted(actions[sys.argv[1]]())))
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Questions about a host that no module answers. Runs on the host itself, as root.

host_checks.py look USER BACKEND   what there is, as one JSON object (`look`); no token in it
host_checks.py kill-server         SIGKILL to the server and to what watches over it, as an out-of-memory day would
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKS = Path("/var/tmp/checks")
COMMAND = "/usr/local/bin/colab-runtime"
# The places of the contract, whose owners and modes the story knows; USER and BACKEND stand for the story's.
PLACES = (
    "/opt/colab-ready",
    "/opt/colab-ready/server",
    "/opt/colab-ready/kernels/BACKEND",
    "/etc/colab-ready",
    "/etc/colab-ready/runtime.json",
    "/etc/colab-ready/token",
    "/etc/colab-ready/jupyter/jupyter_server_config.json",
    "/var/lib/colab-ready/report.json",
    COMMAND,
    "/usr/local/lib/colab-ready/colab_runtime",
    "/usr/local/lib/colab-ready/colab_runtime/cli.py",
    "/run/colab-ready",
)
JUPYTER_FOLDERS = ("/usr/etc/jupyter", "/usr/local/etc/jupyter", "/etc/jupyter")
OF_WSL = ("/etc/wsl.conf", "/etc/ld.so.conf.d/colab-ready-wsl.conf", "/var/lib/colab-ready/wsl_host.json")
OURS = ("/opt/colab-ready", "/etc/colab-ready", "/var/lib/colab-ready", "/run/colab-ready")
ROOTS_ALONE = ("/opt/colab-ready/server", "/opt/colab-ready/share", "/etc/colab-ready/jupyter")
BROWSERS = ("chromium", "chromium-browser", "opt/chrome", "opt/edge")
ADDRESS = re.compile(r"http://localhost:8888/\?token=[^&\s]{32,}\n")
EXPOSURE = re.compile(r"Overall exposure level for colab-ready\.service: ([0-9.]+)")

TOKEN_FILE = Path("/etc/colab-ready/token")
SERVER = "/opt/colab-ready/server/bin/"
# Where a token ends up when somebody is careless. /etc/colab-ready/token and /run/colab-ready (0700) are its places.
SEARCHED = (
    "/etc/colab-ready/jupyter",
    "/etc/colab-ready/runtime.json",
    "/etc/systemd/system",
    "/opt/colab-ready/share",
    "/opt/colab-ready/src",
    "/tmp",
    "/usr/local/bin",
    "/usr/local/lib/colab-ready",
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
        if number != os.getpid() and (SERVER in line or (supervisor and COMMAND in line))
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


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mode_and_owner(path: str) -> str:
    """Such as "0755 root"; empty for what is not there."""
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(path)
        return f"{found.st_mode & 0o7777:04o} {pwd.getpwuid(found.st_uid).pw_name}"
    return ""


def knock(address: str) -> Any:
    """What the client that is not ours says was not as it must be: doors that should be open, and the others."""
    done = subprocess.run(
        ["/usr/bin/python3", str(CHECKS / "independent_client.py")], input=address, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return []
    return json.loads(done.stdout)["failed"] if done.stdout.startswith("{") else done.stderr or done.returncode


def unit() -> dict[str, Any]:
    """What systemd says of the service; nothing where there is no systemd."""
    if not Path("/run/systemd/system").is_dir():
        return {}
    names = "--property=ActiveState,UnitFileState,User,Restart"
    properties = output("systemctl", "show", "colab-ready.service", names).splitlines()
    exposure = EXPOSURE.search(output("systemd-analyze", "--no-pager", "security", "colab-ready.service"))
    assert exposure is not None
    return {**dict(line.split("=", 1) for line in properties), "exposure": float(exposure[1])}


def policies() -> list[str]:
    """Each browser's policy: the file's mode and owner, its folder's, and its text."""
    files = [Path("/etc", browser, "policies/managed/colab-ready.json") for browser in BROWSERS]
    return [
        " ".join((mode_and_owner(str(file)), mode_and_owner(str(file.parent)), "".join(file.read_text().split())))
        for file in files
        if file.exists()
    ]


def look(user: str, backend: str) -> dict[str, Any]:
    address = output(COMMAND, "url")
    server = json.loads(output(COMMAND, "status", "--json"))["pid"]
    # As the user: root of a container may not look into other users' processes.
    environ = output("runuser", "-u", user, "--", "cat", f"/proc/{server}/environ")
    return {
        "server_owners": sorted(server_owners()),
        "server_environment": dict(entry.split("=", 1) for entry in environ.split("\0") if "=" in entry),
        "settings": json.loads(Path("/etc/colab-ready/runtime.json").read_text()),
        "kernel": json.loads(Path("/opt/colab-ready/share/jupyter/kernels/python3/kernel.json").read_text()),
        "report": json.loads(Path("/var/lib/colab-ready/report.json").read_text()),
        "unit": unit(),
        "places": {path: mode_and_owner(path.replace("BACKEND", backend)) for path in PLACES},
        "writable_by_all": output("find", *OURS, "!", "-type", "l", "-perm", "/0002").splitlines(),
        "not_roots": output("find", *ROOTS_ALONE, "!", "-user", "root").splitlines(),
        "jupyter_folders": {path: mode_and_owner(path) for path in JUPYTER_FOLDERS if os.path.exists(path)},
        "address_is_right": ADDRESS.fullmatch(address) is not None,
        "doors": knock(address),
        "token_places": sorted(token_places()),
        "of_wsl": [path for path in OF_WSL if os.path.exists(path)],
        "policies": policies(),
    }


def main() -> int:
    if sys.argv[1] == "kill-server":
        kill_server()
    else:
        print(json.dumps(look(*sys.argv[2:])))
    return 0


if __name__ == "__main__":
    sys.exit(main())

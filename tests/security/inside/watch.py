"""Run a command as somebody and watch it: how long, how quiet, how big; end it where it goes beyond its bounds.

    watch.py '{"command": [...], "user": "student", "cwd": "/", "seconds": 60, "megabytes": 1000}'

Runs on the host, as root. Prints one JSON object (hosts.Seen). What the command started is counted and ended with it, also
when it has left its session: whoever loses its parent becomes a child of this program. Services that systemd started are
no part of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
OUTPUT_BYTES = 1 << 22
SAMPLE_SECONDS = 0.1


def descendants(ancestor: int) -> list[int]:
    """All processes below this one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
            parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found = [ancestor]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def root_memory(pid: int) -> float:
    """The most memory that a process of root's had so far, in MB; 0 for everybody else's."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024 if "0" in fields["Uid"].split() else 0
    except (OSError, KeyError, ValueError):
        return 0


def program(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(300).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def end_all() -> None:
    """End everything below this process. Stopped ones too: SIGKILL does not wait."""
    until = time.monotonic() + 5
    while (left := descendants(os.getpid())) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.05)


def environment(account: pwd.struct_passwd, more: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **more,
    }


def watch(wish: dict[str, Any]) -> dict[str, Any]:
    account = pwd.getpwnam(wish["user"])
    reader, writer = os.openpty() if wish.get("terminal") else os.pipe()
    began = spoke = time.monotonic()
    process = subprocess.Popen(
        wish["command"],
        stdin=writer if wish.get("terminal") else subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        cwd=wish.get("cwd", "/"),
        env=environment(account, wish.get("environment", {})),
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
        start_new_session=True,
    )
    os.close(writer)
    output, silence, megabytes, biggest, stopped = b"", 0.0, 0.0, "", ""
    drain_until = None
    while True:
        if select.select([reader], [], [], SAMPLE_SECONDS)[0]:
            data = b""
            with contextlib.suppress(OSError):  # a terminal whose last program is gone
                data = os.read(reader, 1 << 16)
            if not data:
                break
            output = (output + data)[-OUTPUT_BYTES:]
            if b"\n" in data:
                now = time.monotonic()
                silence, spoke = max(silence, now - spoke), now
        for pid in descendants(os.getpid()):
            size = root_memory(pid)
            if size > megabytes:
                megabytes, biggest = size, program(pid)
        if process.poll() is not None:
            # Those who stay and keep the output are nobody to wait for.
            drain_until = drain_until or time.monotonic() + 0.5
            if time.monotonic() > drain_until:
                break
        elif time.monotonic() - began > wish["seconds"]:
            stopped = "time"
        elif megabytes > wish["megabytes"]:
            stopped = "memory"
        if stopped:
            waiting = [program(pid) for pid in descendants(os.getpid())]
            end_all()
            break
    seconds = time.monotonic() - began
    return {
        "status": process.wait(),
        "seconds": round(seconds, 1),
        "silence": round(max(silence, time.monotonic() - spoke), 1),
        "megabytes": round(megabytes),
        "biggest": biggest,
        "stopped": stopped,
        "waiting": waiting if stopped else [],
        "output": output.decode(errors="replace"),
    }


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    print(json.dumps(watch(json.loads(sys.argv[1]))))

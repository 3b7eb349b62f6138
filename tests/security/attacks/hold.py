"""Somebody makes root wait.

hold.py lock FILE      hold a lock on a file or folder that everybody may open
hold.py drip PORT      answer on the port, one byte each 2.5 seconds
hold.py freeze PORT    listen on the port, and stop every other process of the same uid, again and again
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time


def lock(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    print("ready", flush=True)
    time.sleep(3600)


def listen(port: int) -> list[socket.socket]:
    found = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError):
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(100)
            found.append(listener)
    print("ready" if found else "the port is taken", flush=True)
    return found


def drip_to(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(4096)
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b" " * 1000000:
            connection.send(bytes([byte]))
            time.sleep(2.5)


def serve(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=drip_to, args=(listener.accept()[0],), daemon=True).start()


def drip(port: str) -> None:
    threads = [threading.Thread(target=serve, args=(listener,)) for listener in listen(int(port))]
    for thread in threads:
        thread.start()


def freeze(port: str) -> None:
    kept = listen(int(port))
    before = {os.getpid(), os.getppid()}
    while kept:
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/comm") as file:
                    # The engine's own way into the container; stopped, it would hang every `ps` of the computer.
                    of_the_engine = file.read().startswith("runc")
                mine = os.stat(f"/proc/{name}").st_uid == os.getuid()
                if mine and not of_the_engine and int(name) not in before:
                    os.kill(int(name), signal.SIGSTOP)


if __name__ == "__main__":
    {"lock": lock, "drip": drip, "freeze": freeze}[sys.argv[1]](sys.argv[2])

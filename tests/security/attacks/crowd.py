"""Idle connections to a port of this computer, as many as it takes.

crowd.py PORT COUNT
"""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import sys

port, count = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
with contextlib.suppress(OSError):  # the server takes no more
    for _ in range(count):
        held.append(socket.create_connection(("127.0.0.1", port), timeout=2))
print("ready", flush=True)
signal.pause()

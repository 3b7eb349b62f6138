"""End every process of the host whose command line holds one of the given texts. Runs on the host, as root."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

for name in filter(str.isdigit, os.listdir("/proc")):
    with contextlib.suppress(OSError):
        with open(f"/proc/{name}/cmdline", "rb") as file:
            line = file.read().replace(b"\0", b" ").decode(errors="replace")
        if int(name) != os.getpid() and any(text in line for text in sys.argv[1:]) and "inside/end.py" not in line:
            os.kill(int(name), signal.SIGKILL)

"""A notebook ends every `uv --version` that runs with its uid, so that uv seems to be broken."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

print("ready", flush=True)
while True:
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"uv") and b"--version" in words:
                os.kill(int(name), signal.SIGKILL)

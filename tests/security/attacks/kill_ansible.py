"""What an out-of-memory kill does: SIGKILL to ansible-playbook alone, in the middle of a step. Runs as root, prints the step.

kill_ansible.py TEXT...    as soon as a process with all of these words in its command line runs
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def command_lines() -> dict[int, str]:
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found[int(name)] = Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def main(words: list[str]) -> None:
    print("ready", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = command_lines()
        if any(all(word in line.split(" ")[0:4] for word in words) for line in lines.values()):
            # Its workers are its forks and have the same command line; it is the oldest.
            playbook = min(pid for pid, line in lines.items() if "bin/ansible-playbook" in line)
            os.kill(playbook, signal.SIGKILL)
            print(f"killed {playbook}", flush=True)
            return
        time.sleep(0.02)
    sys.exit("no such step came")


if __name__ == "__main__":
    main(sys.argv[1:])

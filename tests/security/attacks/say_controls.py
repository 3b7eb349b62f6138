"""A Python that answers root's questions itself: with commands for a terminal in every text that root might show.

    say_controls.py THE_REAL_PYTHON ARGUMENT...

It knows how a probe reports (one JSON object in a line, on a descriptor that was left open for it), and tries them all. A
kernel is the real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

OWNED = "\x1b]0;OWNED TITLE\x07\x1b[2K\x1b[1A\x9b2J\r"
STEPS = ("import_torch", "import_backend", "device", "alloc_a", "add", "value", "print")

if any(word.endswith("/launch_kernel.py") for word in sys.argv):
    os.execv(sys.argv[1], sys.argv[1:])
lines = [{"step": step, "begin": True} for step in STEPS]
lines += [{"step": step, "ok": False, "seconds": 0.1, "detail": OWNED, "problem": OWNED} for step in STEPS]
lines += [{"result": {"device": OWNED, "name": OWNED}}, {"exception": {"class": OWNED, "text": OWNED}}]
told = "".join(json.dumps(line) + "\n" for line in lines) + OWNED + "\n"
for descriptor in range(1, 100):
    with contextlib.suppress(OSError):
        os.write(descriptor, told.encode())
sys.exit(1)

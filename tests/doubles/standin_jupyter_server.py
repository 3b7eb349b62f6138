#!/usr/bin/env python3
"""STAND-IN for the server environment's Python when it runs Jupyter. It is not Jupyter and proves nothing about it.

tests/abi/test_colab_runtime.py puts it at <prefix>/server/bin/python. It takes port and token from where the real
server takes them (JUPYTER_CONFIG_DIR, JUPYTER_TOKEN_FILE), answers /api and /api/status like it, and writes what it
saw of its surroundings to standin_seen.json in the folder it was started in. standin_mode in that folder changes it:

    crash         says "stand-in: crash" and ends with 7 before it listens
    hang          listens, and ignores SIGTERM
    other-token   listens, and accepts a token that is not in the file
    deaf          as other-token, but only from its second start on
    drip          answers, one byte each half second, without end
    brackets      answers 200 and two hundred thousand brackets, whatever it is asked
"""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MODE = Path("standin_mode").read_text(encoding="ascii").strip() if Path("standin_mode").exists() else ""


class Answers(http.server.BaseHTTPRequestHandler):
    token = ""

    def do_GET(self) -> None:
        if MODE == "drip":
            while True:
                self.wfile.write(b"H")
                time.sleep(0.5)
        if MODE == "brackets":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"[" * 200_000)
            return
        known = self.headers.get("Authorization") == f"token {self.token}"
        lists = Path("standin_lists.json")
        name = self.path.replace("/api/", "")
        listed = json.loads(lists.read_text("utf-8")) if lists.exists() else {}
        answer = listed.get(name, []) if name in ("sessions", "kernels", "terminals") else {}
        status = 200 if self.path == "/api" or (known and (answer == [] or answer or name == "status")) else 403
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer if status == 200 else {}).encode())


def main() -> None:
    print("stand-in: starting, this is not Jupyter", flush=True)
    if MODE == "crash":
        print("stand-in: crash", flush=True)
        sys.exit(7)
    config = json.loads(Path(os.environ["JUPYTER_CONFIG_DIR"], "jupyter_server_config.json").read_text("utf-8"))
    Answers.token = Path(os.environ["JUPYTER_TOKEN_FILE"]).read_text("ascii")
    if MODE == "other-token" or (MODE == "deaf" and Path("standin_seen.json").exists()):
        Answers.token = "f" * 48
    secret = Path(os.environ["JUPYTER_RUNTIME_DIR"], "jupyter_cookie_secret")
    if not secret.exists():
        secret.write_text(os.urandom(8).hex(), encoding="ascii")
    signal.signal(signal.SIGTERM, signal.SIG_IGN if MODE == "hang" else lambda number, frame: sys.exit(0))
    # A session of its own, as jupyter_client gives to kernels: no signal to a process group reaches it.
    kernel = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path("standin_seen.json").write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "kernel": kernel.pid,
                "arguments": sys.argv[1:],
                "environment": dict(os.environ),
                "folder": os.getcwd(),
                "umask": os.umask(0),
                "uid": os.getuid(),
                "files": sorted(os.listdir("/proc/self/fd")),
            }
        ),
        encoding="utf-8",
    )
    http.server.ThreadingHTTPServer(("127.0.0.1", config["ServerApp"]["port"]), Answers).serve_forever()


main()

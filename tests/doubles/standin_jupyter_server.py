#!/usr/bin/env python3
"""STAND-IN for the server environment's Python when it runs Jupyter. It is not Jupyter and proves nothing about it.

tests/modules/test_colab_runtime.py puts it at <prefix>/server/bin/python. It takes port and token from where the real
server takes them (the sockets named in its program, JUPYTER_TOKEN_FILE), answers /api and /api/status like it, says that
it does (NOTIFY_SOCKET), and writes what it saw of its surroundings to standin_seen.json in the folder it was started in.
standin_mode in that folder changes it:

    crash         says "stand-in: crash" and ends with 7 before it listens
    hang          listens, and ignores SIGTERM
    mute          answers, and never says so to its manager
    other-token   listens, and accepts a token that is not in the file
    deaf          as other-token, but only from its second start on
    drip          answers, one byte each half second, without end
    brackets      answers 200 and two hundred thousand brackets, whatever it is asked
"""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
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


def say_that_it_answers() -> None:
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1\nWATCHDOG=1", os.environ["NOTIFY_SOCKET"])
        time.sleep(float(os.environ["WATCHDOG_USEC"]) / 4e6)


def answer(handed: socket.socket) -> None:
    server = http.server.ThreadingHTTPServer(handed.getsockname()[:2], Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = handed
    server.serve_forever()


def main() -> None:
    print("stand-in: starting, this is not Jupyter", flush=True)
    if MODE == "crash":
        print("stand-in: crash", flush=True)
        sys.exit(7)
    named = re.search(r"service_manager[.]install[(](.*)[)]", sys.argv[-1])
    assert named, sys.argv
    sockets = [socket.socket(fileno=one) for one in json.loads(named.group(1))]
    for one in sockets:
        one.set_inheritable(False)
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
    if MODE != "mute" and "NOTIFY_SOCKET" in os.environ:
        threading.Thread(target=say_that_it_answers, daemon=True).start()
    for one in sockets[1:]:
        threading.Thread(target=answer, args=(one,), daemon=True).start()
    answer(sockets[0])


main()

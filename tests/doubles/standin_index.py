"""A stand-in for a package index that fails: standin_index.py MODE, on port 3141.

hangs (accepts and says nothing), drips (a byte of the page each second), busy (503), login (200 with a captive portal's page).
"""

from __future__ import annotations

import http.server
import sys
import time

PORT = 3141
PAGE = (
    b"<!DOCTYPE html><html><title>Sign in</title><body><form action=/login>Accept the terms of use</form></body></html>"
)


class Index(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        mode = sys.argv[1]
        if mode == "hangs":
            time.sleep(3600)
        self.send_response(503 if mode == "busy" else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        for byte in PAGE:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(1.0 if mode == "drips" else 0.0)

    do_HEAD = do_GET


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Index).serve_forever()

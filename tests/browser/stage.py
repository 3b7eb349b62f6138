"""The page that plays Colab's, served over TLS under the true origin; and how a browser is told to believe it.

What is forced here is only what the internet would do: the name colab.research.google.com leads to a server, its
certificate is accepted (this one alone, by the hash of its key), and its address counts as public. The way from the page
to the runtime, http://localhost:PORT, is the browser's own, with all its checks.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

COLAB = "https://colab.research.google.com"
EVIL = "https://evil.example"
ORIGINS = (COLAB, EVIL)
PAGE = Path(__file__).resolve().parent / "page"


@dataclass(frozen=True)
class Stage:
    """Where the page is, as command line options of Chromium."""

    port: int
    key_hash: str

    def options(self) -> list[str]:
        here = f"127.0.0.1:{self.port}"
        rules = ", ".join(f"MAP {urlsplit(origin).hostname}:443 {here}" for origin in ORIGINS)
        return [
            f"--host-resolver-rules={rules}",
            f"--ignore-certificate-errors-spki-list={self.key_hash}",
            f"--ip-address-space-overrides={here}=public",
        ]


class _Files(http.server.SimpleHTTPRequestHandler):
    # What this computer's /etc/mime.types says shall not decide whether a module script runs.
    extensions_map = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Files, directory=str(PAGE)))
        self._tls = tls

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """The handshake is left to the connection's own thread: browsers open connections that they may never use."""
        connection, address = self.socket.accept()
        connection.settimeout(_Files.timeout)
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the browser gave up is no news."""


@contextlib.contextmanager
def served() -> Iterator[Stage]:
    """The page on this thread's loopback."""
    certificate = trustme.CA().issue_cert(*(str(urlsplit(origin).hostname) for origin in ORIGINS))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    key = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    server = _Server(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Stage(server.server_address[1], base64.b64encode(hashlib.sha256(public).digest()).decode())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

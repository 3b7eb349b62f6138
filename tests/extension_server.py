"""A real Jupyter Server with our extension in it, for the tests of what the extension does, and a client of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any

import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

EXTENSION = Path(__file__).parents[1] / "roles/jupyter_http_over_ws/files/colab_http_over_ws/src"
ORIGIN = "https://colab.research.google.com"
TOKEN = "b5c1-a-token-that-no-log-may-hold-77f0"
SECONDS = 40

# A module that is not there, for a Python or an environment that has it: what `import` says then is what Python says.
NOT_INSTALLED = 'raise ModuleNotFoundError("No module named " + repr(__name__), name=__name__)\n'


class Server:
    """A Jupyter Server of the given Python with our extension enabled, and a client that talks as Colab's page does."""

    def __init__(
        self,
        folder: Path,
        python: str,
        kernel_python: str,
        extension: Path = EXTENSION,
        missing: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.log_file = folder / "server.log"
        config, runtime, blockers = folder / "config", folder / "runtime", folder / "blockers"
        for path in (config / "jupyter_server_config.d", folder / "root", folder / "data/kernels/python3", blockers):
            path.mkdir(parents=True)
        for name in missing:
            (blockers / f"{name}.py").write_text(NOT_INSTALLED)
        (folder / "token").write_text(TOKEN)
        (folder / "data/kernels/python3/kernel.json").write_text(
            json.dumps(
                {
                    "argv": [kernel_python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    "display_name": "test",
                    "language": "python",
                }
            )
        )
        others = dict.fromkeys(
            ("jupyterlab", "notebook", "notebook_shim", "jupyter_lsp", "jupyter_server_terminals"), False
        )
        good = {"allow_origin": ORIGIN, "allow_credentials": True, "port": 0, "root_dir": str(folder / "root")}
        allow = {"Access-Control-Allow-Origin": ORIGIN, "Access-Control-Allow-Credentials": "true"}
        app = good | {"tornado_settings": {"headers": allow}, "jpserver_extensions": others}
        (config / "jupyter_server_config.json").write_text(json.dumps({"ServerApp": app} | (settings or {})))
        (config / "jupyter_server_config.d/colab_http_over_ws.json").write_text(
            json.dumps({"ServerApp": {"jpserver_extensions": {"colab_http_over_ws": True}}})
        )
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": f"{blockers}:{extension}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SETUPTOOLS_USE_DISTUTILS": "stdlib",
            "JUPYTER_CONFIG_DIR": str(config),
            "JUPYTER_PREFER_ENV_PATH": "0",
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTER_PATH": str(folder / "data"),
        }
        if "IdentityProvider" not in (settings or {}):
            environment["JUPYTER_TOKEN_FILE"] = str(folder / "token")
        self.runtime = runtime
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "jupyter_server", "--no-browser", "--allow-root"],
                cwd=folder / "root",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.host = f"localhost:{self._port(runtime)}"

    def _port(self, runtime: Path) -> int:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            for path in runtime.glob("jpserver-*.json"):
                try:
                    port = json.loads(path.read_text())["port"]
                    requests.get(f"http://localhost:{port}/api", timeout=SECONDS)
                except (ValueError, requests.ConnectionError):
                    continue
                return int(port)
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the server did not start:\n{self.log}")

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def socket(
        self,
        path: str = "",
        token: str | None = TOKEN,
        origin: str | None = ORIGIN,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        host: str = "",
    ) -> ClientConnection:
        """As Colab's page opens one: the token travels in the auth URL. `host`: another Host header."""
        name, port = self.host.split(":")
        asked = {} if token is None else {"jupyter_http_over_ws_auth_url": f"http://{self.host}/?token={token}"}
        address = f"/http_over_websocket{path}?{urllib.parse.urlencode(asked | (query or {}))}"
        return connect(
            f"ws://{host or self.host}{address}",
            sock=socket.create_connection((name, int(port)), timeout=SECONDS),
            origin=None if origin is None else Origin(origin),
            additional_headers=headers,
            open_timeout=SECONDS,
            close_timeout=1,
            proxy=None,
        )

    def opening(self, path: str = "", **options: Any) -> int:
        """With what status a websocket's opening is answered."""
        try:
            with self.socket(path, **options):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    def ask(
        self, method: str, path: str, body: Any = None, seconds: float = SECONDS, text: bool = False, **options: Any
    ) -> tuple[int, Any]:
        """One request through the socket: its status and its body, from JSON unless it is text."""
        message: dict[str, Any] = {"path": path, "method": method, "message_id": "1"}
        if body is not None:
            message["body_base64"] = base64.b64encode(json.dumps(body).encode()).decode()
        query = {"min_version": "0.0.7", **options.pop("query", {})}
        with self.socket(query=query, **options) as opened:
            opened.send(json.dumps(message))
            answer, data = whole_answer(opened, seconds)
        return answer["status"], data if text else json.loads(data) if data else None


def whole_answer(opened: ClientConnection, seconds: float = SECONDS) -> tuple[dict[str, Any], bytes]:
    """The pieces of one answer, put together: what its first one says, and the data of all."""
    first: dict[str, Any] = {}
    data = b""
    while True:
        piece = json.loads(opened.recv(timeout=seconds))
        first = first or piece
        data += base64.b64decode(piece.get("data", ""))
        if piece["done"]:
            return {**first, "status": piece.get("status", first.get("status", 0))}, data

"""Our extension in a real Jupyter Server: Colab's way through /http_over_websocket, and each repair that it needs."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websockets.exceptions
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

EXTENSION = Path(__file__).parents[2] / "roles/jupyter_http_over_ws/files/colab_http_over_ws/src"
ORIGIN = "https://colab.research.google.com"
TOKEN = "b5c1-a-token-that-no-log-may-hold-77f0"
SECONDS = 40

# A module that is not there, for a Python or an environment that has it: what `import` says then is what Python says.
NOT_INSTALLED = 'raise ModuleNotFoundError("No module named " + repr(__name__), name=__name__)\n'


class Server:
    """A Jupyter Server of the given Python with our extension enabled, and a client that talks as Colab's page does."""

    def __init__(
        self, folder: Path, python: str, kernel_python: str, extension: Path, missing: tuple[str, ...]
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
        settings = {"allow_origin": ORIGIN, "allow_credentials": True, "port": 0, "root_dir": str(folder / "root")}
        (config / "jupyter_server_config.json").write_text(
            json.dumps({"ServerApp": settings | {"jpserver_extensions": others}})
        )
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
            "JUPYTER_TOKEN_FILE": str(folder / "token"),
        }
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

    def socket(self, path: str = "", token: str | None = TOKEN, origin: str = ORIGIN, **query: str) -> ClientConnection:
        if token is not None:
            query["jupyter_http_over_ws_auth_url"] = f"http://{self.host}/?token={token}"
        address = f"ws://{self.host}/http_over_websocket{path}?{urllib.parse.urlencode(query)}"
        return connect(address, origin=Origin(origin), open_timeout=SECONDS, close_timeout=1, proxy=None)

    def ask(
        self, method: str, path: str, body: Any = None, seconds: float = SECONDS, **options: Any
    ) -> tuple[int, Any]:
        """One request through the socket: its status and its decoded body."""
        with self.socket(min_version="0.0.7", **options) as socket:
            message: dict[str, Any] = {"path": path, "method": method, "message_id": "1"}
            if body is not None:
                message["body_base64"] = base64.b64encode(json.dumps(body).encode()).decode()
            socket.send(json.dumps(message))
            status, data = 0, b""
            while True:
                answer = json.loads(socket.recv(timeout=seconds))
                status = answer.get("status", status)
                data += base64.b64decode(answer.get("data", ""))
                if answer["done"]:
                    return status, json.loads(data) if data else None


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, server_python: str, kernel_python: str) -> Iterator[Any]:
    started: dict[Any, Server] = {}

    def server(extension: Path = EXTENSION, missing: tuple[str, ...] = ()) -> Server:
        key = (extension, missing)
        if key not in started:
            folder = tmp_path_factory.mktemp("server")
            started[key] = Server(folder, str(server_python), str(kernel_python), extension, missing)
        return started[key]

    yield server
    for one in started.values():
        one.stop()


@pytest.fixture(scope="module")
def server(servers: Any) -> Server:
    found: Server = servers()
    return found


def without(function: str, folder: Path) -> Path:
    """A copy of our extension in which one repair does nothing."""
    shutil.copytree(EXTENSION, folder, dirs_exist_ok=True)
    source = folder / "colab_http_over_ws/compat.py"
    text = source.read_text()
    assert f"\ndef {function}(" in text
    source.write_text(f"{text}\n\ndef {function}(*_):\n    return {{}}\n")
    return folder


def closed(socket: ClientConnection) -> bool:
    """The server closes this socket without a word."""
    with socket, pytest.raises(websockets.exceptions.ConnectionClosed):
        socket.recv(timeout=SECONDS)
    return True


def test_a_get_passes_through_the_socket(server: Server) -> None:
    status, body = server.ask("GET", "/api/kernelspecs")
    assert (status, list(body["kernelspecs"])) == (200, ["python3"])


def test_a_long_answer_comes_whole_and_in_pieces(server: Server) -> None:
    content = "0123456789" * 30_000
    model = {"type": "file", "format": "text", "content": content}
    assert server.ask("PUT", "/api/contents/long.txt", model)[0] == 201
    status, body = server.ask("GET", "/api/contents/long.txt")
    assert (status, body["content"]) == (200, content)


def test_a_session_is_made_a_cell_runs_through_the_proxied_socket_and_the_session_ends(server: Server) -> None:
    notebook = {"path": "x.ipynb", "name": "x", "type": "notebook", "kernel": {"name": "python3"}}
    status, session = server.ask("POST", "/api/sessions", notebook)
    assert status == 201, session

    kernel = session["kernel"]["id"]
    request = uuid.uuid4().hex
    with server.socket(f"/proxied_ws/api/kernels/{kernel}/channels", session_id="s") as socket:
        header = {"msg_id": request, "msg_type": "execute_request", "version": "5.3", "username": "", "session": "s"}
        content = {
            "code": "6 * 7",
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
        }
        empty: dict[str, Any] = {"parent_header": {}, "metadata": {}}
        socket.send(json.dumps(empty | {"header": header, "content": content, "channel": "shell"}))
        seen = {}
        while "execute_reply" not in seen or "execute_result" not in seen:
            answer = json.loads(socket.recv(timeout=SECONDS))
            if answer["parent_header"].get("msg_id") == request:
                seen[answer["msg_type"]] = answer["content"]
    assert seen["execute_reply"]["status"] == "ok"
    assert seen["execute_result"]["data"]["text/plain"] == "42"

    assert server.ask("DELETE", f"/api/sessions/{session['id']}")[0] == 204
    assert server.ask("GET", "/api/sessions") == (200, [])


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_the_token_nothing_is_answered(server: Server, token: str | None) -> None:
    assert server.ask("GET", "/api/kernelspecs", token=token)[0] == 403
    assert server.ask("POST", "/api/sessions", {"path": "x"}, token=token)[0] == 403
    assert closed(server.socket("/proxied_ws/api/kernels/none/channels", token=token))


@pytest.mark.parametrize("origin", ["https://evil.example", ORIGIN + "/", "http://colab.research.google.com"])
@pytest.mark.parametrize("path", ["", "/diagnose", "/proxied_ws/api/kernels/none/channels"])
def test_another_origin_gets_no_socket(server: Server, path: str, origin: str) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        server.socket(path, origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("min_version", "outdated"), [("0.0.7", False), ("0.0.1", False), ("0.0.8", True), ("1.0", True), ("junk", False)]
)
def test_diagnose_tells_its_version(server: Server, min_version: str, outdated: bool) -> None:
    with server.socket("/diagnose", min_version=min_version) as socket:
        socket.send("a word")
        answer = json.loads(socket.recv(timeout=SECONDS))
    assert answer == {
        "message_id": "a word",
        "extension_version": "0.0.7",
        "has_authentication_cookie": False,
        "is_outdated_extension": outdated,
    }


@pytest.mark.parametrize("min_version", ["0.0.8", "junk"])
def test_a_version_that_is_too_new_or_none_closes_the_socket(server: Server, min_version: str) -> None:
    assert closed(server.socket(min_version=min_version))


def test_the_token_never_reaches_the_log(server: Server) -> None:
    missing = f"http://{server.host}/api/contents/var/colab/app.log?token={TOKEN}"
    assert requests.get(missing, timeout=SECONDS).status_code == 404
    # An auth URL at another host is refused, and the old package logs it with its query.
    elsewhere = f"http://elsewhere.example/?token={TOKEN}"
    assert server.ask("GET", "/api", token=None, jupyter_http_over_ws_auth_url=elsewhere)[0] == 500
    assert closed(server.socket("/proxied_ws/api/kernels/none/channels", session_id="s"))
    # JSON, but no object: an exception that the old package does not catch.
    with server.socket() as socket:
        socket.send("[]")
        with pytest.raises((TimeoutError, websockets.exceptions.ConnectionClosed)):
            socket.recv(timeout=2)

    refused, proxied, uncaught = "Invalid cross-domain request", "proxying WebSocket", "has no attribute 'keys'"
    for written in ("app.log", refused, proxied, uncaught):
        assert written in server.log
    assert TOKEN not in server.log


def test_without_the_distutils_stand_in_it_does_not_load_on_a_python_without_distutils(
    servers: Any, tmp_path: Path
) -> None:
    broken = servers(without("distutils_stand_ins", tmp_path / "copy"), missing=("distutils",))
    assert requests.get(f"http://{broken.host}/http_over_websocket", timeout=SECONDS).status_code == 404
    assert "No module named 'distutils'" in broken.log


def test_with_the_distutils_stand_in_it_works_on_a_python_without_distutils(servers: Any) -> None:
    assert servers(missing=("distutils",)).ask("GET", "/api/kernelspecs")[0] == 200


def test_without_the_notebook_stand_ins_it_does_not_load(servers: Any, tmp_path: Path) -> None:
    broken = servers(without("notebook_stand_ins", tmp_path / "copy"))
    assert requests.get(f"http://{broken.host}/http_over_websocket", timeout=SECONDS).status_code == 404
    assert "No module named 'notebook" in broken.log


def test_it_works_where_no_notebook_is_installed_at_all(servers: Any) -> None:
    assert servers(missing=("notebook",)).ask("GET", "/api/kernelspecs")[0] == 200


def test_without_the_cookie_repair_only_diagnose_still_looks_well(servers: Any, tmp_path: Path) -> None:
    broken = servers(without("repair_cookies", tmp_path / "copy"))
    with broken.socket("/diagnose", min_version="0.0.7") as socket:
        socket.send("1")
        assert json.loads(socket.recv(timeout=SECONDS))["is_outdated_extension"] is False
    with pytest.raises((TimeoutError, websockets.exceptions.ConnectionClosed)):
        broken.ask("GET", "/api/kernelspecs", seconds=3)


def test_a_server_without_jupyter_http_over_ws_starts_and_says_what_is_missing(servers: Any) -> None:
    poor = servers(missing=("jupyter_http_over_ws",))
    assert requests.get(f"http://{poor.host}/http_over_websocket", timeout=SECONDS).status_code == 404
    (line,) = [line for line in poor.log.splitlines() if line.startswith("[E ")]
    assert "No module named 'jupyter_http_over_ws'" in line
    assert "pip install --no-deps jupyter_http_over_ws" in line
    assert "colab_http_over_ws | extension was successfully loaded" not in poor.log

"""Our extension in a real Jupyter Server: Colab's way through /http_over_websocket, and each repair that it needs."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websockets.exceptions
from extension_server import EXTENSION, SECONDS, TOKEN, Server
from websockets.sync.client import ClientConnection


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


def without(function: str, folder: Path, module: str = "compat") -> Path:
    """A copy of our extension in which one repair does nothing."""
    shutil.copytree(EXTENSION, folder, dirs_exist_ok=True)
    source = folder / f"colab_http_over_ws/{module}.py"
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
    # A text where the parts of a binary message are counted stops Jupyter's own handler for half a minute.
    with server.socket(f"/proxied_ws/api/kernels/{kernel}/channels") as socket:
        socket.send(b'{"header": {}}')
        with pytest.raises(websockets.exceptions.ConnectionClosed) as ended:
            while True:
                socket.recv(timeout=SECONDS)
    assert ended.value.rcvd is not None and ended.value.rcvd.code == 1007

    request = uuid.uuid4().hex
    with server.socket(f"/proxied_ws/api/kernels/{kernel}/channels", query={"session_id": "s"}) as socket:
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


@pytest.mark.parametrize(
    ("min_version", "outdated"), [("0.0.7", False), ("0.0.1", False), ("0.0.8", True), ("1.0", True), ("junk", False)]
)
def test_diagnose_tells_its_version(server: Server, min_version: str, outdated: bool) -> None:
    with server.socket("/diagnose", query={"min_version": min_version}) as socket:
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
    assert closed(server.socket(query={"min_version": min_version}))


def test_the_token_never_reaches_the_log(server: Server) -> None:
    missing = f"http://{server.host}/api/contents/var/colab/app.log?token={TOKEN}"
    assert requests.get(missing, timeout=SECONDS).status_code == 404
    elsewhere = f"http://elsewhere.example/?token={TOKEN}"
    assert server.opening(query={"jupyter_http_over_ws_auth_url": elsewhere}) == 403
    # An address that is no text: tornado writes the exception and the whole address.
    odd = f"http://{server.host}/http_over_websocket?jupyter_http_over_ws_auth_url={elsewhere}&min_version=%ff"
    assert requests.get(odd, timeout=SECONDS).status_code == 400
    assert closed(server.socket("/proxied_ws/api/kernels/none/channels", query={"session_id": "s"}))
    with server.socket() as socket:
        socket.send("[]")
        socket.recv(timeout=SECONDS)

    for written in ("app.log", "403 GET /http_over_websocket?jupyter_http_over_ws_auth_url="):
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


def test_googles_own_handlers_open_to_anybody_and_answer_nobody(servers: Any, tmp_path: Path) -> None:
    """What the guard is for, on the same server without it."""
    broken = servers(without("install", tmp_path / "copy", "guard"))
    assert broken.opening(token=None) == 101
    assert broken.opening(token=None, origin="https://evil.example", query={"token": TOKEN}) == 101
    assert broken.opening("/proxied_ws/api/kernels/none/channels", token=None) == 101
    with broken.socket("/diagnose", query={"min_version": "0.0.7"}) as socket:
        socket.send("1")
        assert json.loads(socket.recv(timeout=SECONDS))["is_outdated_extension"] is False
    # tornado 6.5 and newer refuse the Cookie header that Google's handler builds.
    with pytest.raises((TimeoutError, websockets.exceptions.ConnectionClosed)):
        broken.ask("GET", "/api/kernelspecs", seconds=3)


def test_a_server_without_jupyter_http_over_ws_starts_and_says_what_is_missing(servers: Any) -> None:
    poor = servers(missing=("jupyter_http_over_ws",))
    assert requests.get(f"http://{poor.host}/http_over_websocket", timeout=SECONDS).status_code == 404
    (line,) = [line for line in poor.log.splitlines() if line.startswith("[E ")]
    assert "No module named 'jupyter_http_over_ws'" in line
    assert "pip install --no-deps jupyter_http_over_ws" in line
    assert "colab_http_over_ws | extension was successfully loaded" not in poor.log

"""The extension that makes jupyter_http_over_ws load: what it supplies, and that nothing stays behind."""

from __future__ import annotations

import json
import logging
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

PACKAGE = Path(__file__).parents[2] / "roles/jupyter_http_over_ws/files/colab_http_over_ws"
sys.path.insert(0, str(PACKAGE / "src"))

import colab_http_over_ws  # noqa: E402  the path above comes first
from colab_http_over_ws import browser_seen, build_info, compat, door, hide_secrets, quiet  # noqa: E402  as above

NAMES = ("distutils", "notebook", "jupyter_server", "jupyter_http_over_ws")


@pytest.fixture(autouse=True)
def no_jupyter_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts where none of these was imported, and leaves it so."""
    for name in list(sys.modules):
        if name.split(".")[0] in NAMES:
            monkeypatch.delitem(sys.modules, name)
    # setuptools puts a finder there that supplies a distutils of its own; what is tested is what we supply.
    finders = [one for one in sys.meta_path if type(one).__module__ != "_distutils_hack"]
    monkeypatch.setattr(sys, "meta_path", finders)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write packages that shadow whatever this Python has; None is one that is not installed."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: dict[str, str | None]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("raise ModuleNotFoundError(name=__name__)\n" if text is None else text)

    write(
        {
            "jupyter_server/__init__.py": "",
            "jupyter_server/base/__init__.py": "",
            "jupyter_server/base/handlers.py": "class JupyterHandler: pass\n",
            "jupyter_server/utils.py": "def url_path_join(*parts): return 'jupyter_server'\n",
            # The imports of jupyter_http_over_ws 0.0.8, in its order.
            "jupyter_http_over_ws/__init__.py": "from . import handlers\nfrom notebook import utils\n",
            "jupyter_http_over_ws/handlers.py": "from distutils import version\nfrom notebook.base import handlers\n",
        }
    )
    return write


NOTEBOOK_6 = {
    "notebook/__init__.py": "",
    "notebook/base/__init__.py": "",
    "notebook/base/handlers.py": "class IPythonHandler: pass\n",
    "notebook/utils.py": "def url_path_join(*parts): return 'notebook'\n",
}
NOTEBOOK_7 = {"notebook/__init__.py": "real = True\n"}


@pytest.mark.parametrize(
    ("files", "supplied"),
    [
        pytest.param(NOTEBOOK_6, set(), id="notebook 6"),
        pytest.param(NOTEBOOK_7, {"notebook.base", "notebook.base.handlers", "notebook.utils"}, id="notebook 7"),
        pytest.param(
            {"notebook.py": None},
            {"notebook", "notebook.base", "notebook.base.handlers", "notebook.utils"},
            id="no notebook",
        ),
    ],
)
def test_only_what_notebook_lacks_is_supplied(packages: Any, files: dict[str, str], supplied: set[str]) -> None:
    packages(files)
    assert set(compat.notebook_stand_ins()) == supplied


@pytest.mark.parametrize(
    ("files", "supplied"),
    [
        pytest.param({"distutils/__init__.py": "", "distutils/version.py": "StrictVersion = int\n"}, set(), id="there"),
        pytest.param({"distutils.py": None}, {"distutils", "distutils.version"}, id="Python 3.12"),
    ],
)
def test_distutils_is_supplied_only_where_python_has_none(
    packages: Any, files: dict[str, str | None], supplied: set[str]
) -> None:
    packages(files)
    assert set(compat.distutils_stand_ins()) == supplied


@pytest.mark.parametrize("notebook", [NOTEBOOK_7, {"notebook.py": None}], ids=["notebook 7", "no notebook"])
def test_the_old_package_loads_and_no_stand_in_stays_importable(packages: Any, notebook: dict[str, Any]) -> None:
    packages({**notebook, "distutils.py": None})
    package = compat.import_jupyter_http_over_ws()
    assert package.handlers.version.StrictVersion is Version
    assert package.handlers.handlers.IPythonHandler.__name__ == "JupyterHandler"
    assert package.utils.url_path_join() == "jupyter_server"
    left = {name for name in sys.modules if name.split(".")[0] in ("notebook", "distutils")}
    assert left == ({"notebook"} if notebook is NOTEBOOK_7 else set())
    assert all(hasattr(sys.modules[name], "real") for name in left)


def test_on_notebook_6_the_real_modules_are_used_and_kept(packages: Any) -> None:
    packages({**NOTEBOOK_6, "distutils.py": None})
    package = compat.import_jupyter_http_over_ws()
    assert package.utils.url_path_join() == "notebook"
    assert sys.modules["notebook.base.handlers"] is package.handlers.handlers


def test_a_failing_import_leaves_no_stand_in_either(packages: Any) -> None:
    packages({"notebook.py": None, "distutils.py": None, "jupyter_http_over_ws/__init__.py": None})
    with pytest.raises(ModuleNotFoundError):
        compat.import_jupyter_http_over_ws()
    assert not {"notebook", "distutils"} & set(sys.modules)


class App:
    def __init__(self, folder: Path) -> None:
        self.log = logging.getLogger("test-app")
        self.web_app = types.SimpleNamespace(settings={})
        self.runtime_dir = str(folder)
        self.config: dict[str, Any] = {}


def test_the_extension_says_what_is_missing_and_raises(
    packages: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    packages({"notebook.py": None, "jupyter_http_over_ws/__init__.py": 'raise ModuleNotFoundError("no such thing")\n'})
    with pytest.raises(ModuleNotFoundError):
        colab_http_over_ws._load_jupyter_server_extension(App(tmp_path))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "no such thing" in record.message
    assert "pip install --no-deps jupyter_http_over_ws" in record.message


@pytest.fixture
def strict_version(packages: Any) -> Any:
    packages({"distutils.py": None})
    return compat.distutils_stand_ins()["distutils.version"].StrictVersion


@pytest.mark.parametrize("text", ["", "1.", "1.2c3d", "x1.2", "0.0.7; drop", "١.٢", "1" * 5000 + "x"])
def test_what_is_no_version_is_a_value_error(strict_version: Any, text: str) -> None:
    with pytest.raises(ValueError):
        strict_version(text)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("0.0.7", "0.0.8"),
        ("0.0.7", "0.0.10"),
        ("0.9", "0.10"),
        ("1.0a1", "1.0b1"),
        ("1.0b9", "1.0"),
        ("1.0", "1.0.1a1"),
    ],
)
def test_versions_compare_by_their_numbers(strict_version: Any, lower: str, higher: str) -> None:
    assert strict_version(higher) > strict_version(lower)
    assert not strict_version(lower) > strict_version(higher)
    assert str(strict_version(lower)) == lower


# --- the door: who proves the token, what a message asks for ---------------------------------------------------------

KNOWN = "b6f1c2d9a0e84b7c9d5e3f2a1b0c9d8e"


@pytest.mark.parametrize(
    ("token", "known", "same"),
    [
        (KNOWN, KNOWN, True),
        ("", "", False),
        ("", KNOWN, False),
        (KNOWN, "", False),
        (KNOWN[:-1], KNOWN, False),
        (KNOWN + "0", KNOWN, False),
        (KNOWN.upper(), KNOWN, False),
        ("ü\ud800", KNOWN, False),
        ("ü", "ü", True),
    ],
)
def test_only_the_very_token_is_the_token_and_no_token_is_none(token: str, known: str, same: bool) -> None:
    assert door.same(token, known) is same


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://localhost:8888/?token=x", True),
        ("http://localhost:8888/tree/a?token=x#y", True),
        ("http://localhost:8888", True),
        ("https://localhost:8888/", False),
        ("http://localhost/", False),
        ("http://localhost:8889/", False),
        ("http://127.0.0.1:8888/", False),
        ("http://evil.example:8888/", False),
        ("http://localhost:8888@evil.example/", False),
        ("http://localhost:8888\\@evil.example/", False),
        ("http://evil.example\\@localhost:8888/", False),
        ("http://user@localhost:8888/", False),
        ("http://localhost:8888.evil.example/", False),
        ("http://evil.example/http://localhost:8888/", False),
        ("//localhost:8888/", False),
        ("localhost:8888/", False),
        ("http:///localhost:8888/", False),
        ("http://[::1", False),
        ("http://localhost:8888\u2100/", False),
        ("", False),
    ],
)
def test_an_auth_url_is_ours_only_with_our_scheme_and_the_very_text_of_the_host_header(url: str, ours: bool) -> None:
    assert door.is_this_server(url, "http", "localhost:8888") is ours
    assert door.is_this_server(url, "http", "") is False


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("http://h/?token=abc", "abc"),
        ("http://h/?a=1&token=abc&b=2", "abc"),
        ("http://h/?token=a%2Bb+c", "a+b c"),
        ("http://h/?token=first&token=last", "last"),
        ("http://h/?token=", ""),
        ("http://h/?xtoken=abc", ""),
        ("http://h/#?token=abc", ""),
        ("http://h/?" + "&" * 500 + "token=abc", ""),
        ("http://[/?token=abc", ""),
        ("", ""),
    ],
)
def test_the_token_of_an_auth_url_is_what_jupyter_would_read_there(url: str, token: str) -> None:
    assert door.token_in(url) == token


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/kernelspecs", "/api/kernelspecs"),
        ("/api/contents/a%20b?x=1&y=%2F", "/api/contents/a%20b?x=1&y=%2F"),
        ("/api/contents/ü b", "/api/contents/%C3%BC%20b"),
        ("/@evil.example/", "/@evil.example/"),
        ("/a#b", "/a%23b"),
        ("/\\evil.example/", "/%5Cevil.example/"),
    ],
)
def test_a_path_is_asked_for_as_a_browser_would_write_it(path: str, target: str) -> None:
    assert door.request_target(path) == target


@pytest.mark.parametrize(
    "path",
    ["", " ", " /api", "api", "//evil.example/", "@evil.example/", ":1/", "http://evil.example/", "?x", "#", "*"]
    + ["/a\r\nX: y", "/a\nb", "/a\x00b", "/a\tb", "/a\x7fb", "/\ud800", None, 7, b"/api", ["/api"], {}],
)
def test_what_is_no_path_of_this_server_is_not_asked_for(path: Any) -> None:
    with pytest.raises(ValueError):
        door.request_target(path)


def test_a_message_is_read_as_the_protocol_has_it() -> None:
    asked = door.read_message('{"path": "/api/x?y=1", "method": "put", "message_id": "7", "body": "ü"}')
    assert asked == ("7", "PUT", "/api/x?y=1", "ü".encode())
    asked = door.read_message(
        b'{"path": "/api", "method": "POST", "message_id": 7, "body": "x", "body_base64": "eQ=="}'
    )
    assert asked == (7, "POST", "/api", b"y")
    assert door.read_message('{"path": "/", "method": "GET", "message_id": "7", "body_base64": ""}').body is None


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "7", "null", '"x"', b"\xff", "[" * 100_000, '{"message_id": ' + "9" * 9999 + "}"]
)
def test_what_is_no_message_at_all_is_told_to_nobody_in_particular(message: str | bytes) -> None:
    with pytest.raises(door.BadMessage) as bad:
        door.read_message(message)
    assert bad.value.message_id is None


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        (
            "/http_over_websocket/proxied_ws/api/kernels/1/channels",
            "session_id=a%26b",
            "/api/kernels/1/channels?session_id=a%26b",
        ),
        ("/base/http_over_websocket/proxied_ws/api/x", "", "/base/api/x"),
        ("/http_over_websocket/proxied_ws/x", "jupyter_http_over_ws_auth_url=http%3A%2F%2Fh&a=&min_version=1", "/x?a="),
        ("/http_over_websocket/proxied_ws/@evil/", "a=%ff", "/@evil/?a=%FF"),
    ],
)
def test_a_proxied_websocket_leads_to_the_address_behind_ours_without_the_auth_url(
    path: str, query: str, target: str
) -> None:
    assert door.proxied_target(path, query, "/http_over_websocket/proxied_ws/") == target


@pytest.mark.parametrize(
    ("base", "rest"),
    [
        ("", "/evil.example/"),
        ("", "http_over_websocket"),
        ("", "http_over_websocket/proxied_ws/api"),
        ("/base", "http_over_websocket/proxied_ws/api"),
    ],
)
def test_a_proxied_websocket_that_leads_nowhere_or_back_is_refused(base: str, rest: str) -> None:
    with pytest.raises(ValueError):
        door.proxied_target(f"{base}/http_over_websocket/proxied_ws/{rest}", "", "/http_over_websocket/proxied_ws/")


@pytest.mark.parametrize(
    ("message", "whole"),
    [
        (b"\0\0\0\1" + b"\0\0\0\x08" + b"{}", True),
        (b"\0\0\0\2" + b"\0\0\0\x0c" + b"\0\0\0\x0e" + b"{}x", True),
        (b'{"header": {"msg_type": "execute_request"}}', False),
        (b"\0\0\0\2" + b"\0\0\0\x0c", False),
        (b"\xff\xff\xff\xff", False),
        (b"\0\0\0\0", False),
        (b"\0\0\1", False),
        (b"", False),
    ],
)
def test_a_binary_message_for_a_kernel_is_as_long_as_it_says(message: bytes, whole: bool) -> None:
    assert door.is_whole(message) is whole


def test_a_request_inside_inherits_who_asks_and_nothing_of_the_websocket() -> None:
    given = ["Cookie", "Origin", "User-Agent", "Accept-Language", "Upgrade", "Connection", "Host", "Sec-WebSocket-Key"]
    given += ["Sec-Fetch-Site", "Content-Length", "Accept-Encoding", "Transfer-Encoding"]
    assert [name for name, _ in door.passed_on([(name, "x") for name in given])] == given[:4]


# --- the note of a browser -------------------------------------------------------------------------------------------

ORIGIN = "https://colab.research.google.com"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def answered(status: int = 200, path: str = "/api", origin: str = ORIGIN, agent: str = "Mozilla/5.0") -> Any:
    headers = {"Origin": origin, "User-Agent": agent}
    request = types.SimpleNamespace(headers=headers, method="GET", path=path)
    return types.SimpleNamespace(request=request, get_status=lambda: status)


def test_the_note_is_written_at_once_when_the_first_browser_comes_or_its_luck_changes_and_else_seldom(
    tmp_path: Path,
) -> None:
    clock = Clock()
    note = tmp_path / "browser_seen.json"
    note.write_text("of an earlier server")
    seen = browser_seen.BrowserSeen(str(tmp_path), ORIGIN, clock)
    assert not note.exists()
    written = []
    for seconds, status in ((0, 200), (1, 200), (1, 101), (1, 403), (1, 404), (6, 403), (1, 500)):
        clock.now += seconds
        seen(answered(status))
        written.append(json.loads(note.read_text())["requests"])
    assert written == [1, 1, 3, 4, 4, 6, 7]
    assert json.loads(note.read_text())["first_at"] == "1970-01-12T13:46:40+00:00"
    assert json.loads(note.read_text())["last_at"] == "1970-01-12T13:46:51+00:00"


@pytest.mark.parametrize(
    "other", [{"origin": "https://evil.example"}, {"origin": ORIGIN + "/"}, {"agent": "colab-ready"}, {"agent": ""}]
)
def test_who_is_no_browser_with_colabs_page_is_not_noted(tmp_path: Path, other: dict[str, Any]) -> None:
    browser_seen.BrowserSeen(str(tmp_path), ORIGIN)(answered(**other))
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_cannot_be_written_disturbs_nobody_and_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    browser_seen.BrowserSeen(str(tmp_path / "not there"), ORIGIN)(answered())
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".browser_seen.json.new").symlink_to("victim")
    (tmp_path / "browser_seen.json").symlink_to("victim")
    browser_seen.BrowserSeen(str(tmp_path), ORIGIN)(answered())
    assert (tmp_path / "victim").read_text() == "mine"
    assert json.loads((tmp_path / "browser_seen.json").read_text())["requests"] == 1


@pytest.mark.parametrize(
    ("config", "tag"),
    [
        ({}, ""),
        ({"ColabHttpOverWs": {}}, ""),
        ({"ColabHttpOverWs": {"build_info": ""}}, ""),
        ({"ColabHttpOverWs": {"build_info": "r1"}}, "r1"),
    ],
)
def test_a_release_tag_is_told_only_if_the_configuration_has_one(config: dict[str, Any], tag: str) -> None:
    assert build_info.tag(config) == tag


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("404 GET /api/x?token=abc (127.0.0.1): none", "404 GET /api/x?token=[secret] (127.0.0.1): none"),
        ("/x?token=abc&session_id=1", "/x?token=[secret]&session_id=1"),
        ("?u=http%3A%2F%2Fh%2F%3Ftoken%3Dabc%26x%3D1&y", "?u=http%3A%2F%2Fh%2F%3Ftoken%3D[secret]%26x%3D1&y"),
        ("?u=token%253Dabc%2526x", "?u=token%253D[secret]%2526x"),
        ("Request(uri='/x?token=abc', version='1')", "Request(uri='/x?token=[secret]', version='1')"),
        ("?TOKEN=a%2Bb", "?TOKEN=[secret]"),
        # A token can hide from us behind a quoted letter; an auth URL is nobody's to read in a log.
        (
            "?jupyter_http_over_ws_auth_url=http%3A%2F%2Fh%2F%3Ft%6fken%3Dabc&y",
            "?jupyter_http_over_ws_auth_url=[secret]&y",
        ),
        ("?jupyter_http_over_ws_auth_url=http://h/?t%6fken=abc (x)", "?jupyter_http_over_ws_auth_url=[secret] (x)"),
        ("no secret, the word token alone stays", "no secret, the word token alone stays"),
    ],
)
def test_the_value_of_a_token_is_hidden(text: str, hidden: str) -> None:
    assert hide_secrets.hide(text) == hidden


def record_of(message: str, *args: Any, module: str = "web") -> logging.LogRecord:
    try:
        raise ValueError("http://x/?token=abc")
    except ValueError:
        return logging.LogRecord("x", logging.ERROR, f"/x/{module}.py", 1, message, args, sys.exc_info())


def test_a_log_handler_with_the_filter_writes_no_token_in_message_arguments_or_traceback() -> None:
    record = record_of("%d %s", 404, "/?token=abc")
    assert hide_secrets.HideSecrets().filter(record) is True
    text = logging.Formatter().format(record)
    assert "abc" not in text
    assert text.startswith("404 /?token=[secret]\n")
    assert "ValueError: http://x/?token=[secret]" in text


def test_the_address_that_a_starting_server_prints_for_its_user_stays_whole() -> None:
    record = record_of("http://localhost:8888/?token=abc", module="serverapp")
    hide_secrets.HideSecrets().filter(record)
    assert record.getMessage() == "http://localhost:8888/?token=abc"


def test_a_browser_that_went_away_leaves_no_traceback_and_other_faults_do() -> None:
    gone = type("WebSocketClosedError", (Exception,), {})
    kinds: list[tuple[type[Exception] | None, bool]] = [(gone, False), (ValueError, True), (None, True)]
    for kind, kept in kinds:
        record = record_of("Task exception was never retrieved")
        record.exc_info = (kind, kind(), None) if kind else None
        assert quiet.CutConnections().filter(record) is kept


@pytest.mark.parametrize(
    "wrap", [lambda log: log, lambda log: logging.LoggerAdapter(log, {})], ids=["logger", "adapter"]
)
def test_the_filter_is_put_on_each_handler_once(wrap: Any) -> None:
    log = logging.Logger("app")
    log.addHandler(logging.NullHandler())
    hide_secrets.install(wrap(log))
    hide_secrets.install(wrap(log))
    assert [type(one) for one in log.handlers[0].filters] == [hide_secrets.HideSecrets]


def test_the_version_is_the_packages_own() -> None:
    found = re.search(r'^version = "(.+)"$', (PACKAGE / "pyproject.toml").read_text(), re.MULTILINE)
    assert found and found[1] == colab_http_over_ws.__version__

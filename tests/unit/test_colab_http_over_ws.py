"""The extension that makes jupyter_http_over_ws load: what it supplies, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "roles/jupyter_http_over_ws/files/colab_http_over_ws"
sys.path.insert(0, str(PACKAGE / "src"))

import colab_http_over_ws  # noqa: E402  the path above comes first
from colab_http_over_ws import compat, hide_secrets  # noqa: E402  as above

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
    assert package.handlers.version.StrictVersion is compat.StrictVersion
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
    def __init__(self) -> None:
        self.log = logging.getLogger("test-app")


def test_the_extension_says_what_is_missing_and_raises(packages: Any, caplog: pytest.LogCaptureFixture) -> None:
    packages({"notebook.py": None, "jupyter_http_over_ws/__init__.py": 'raise ModuleNotFoundError("no such thing")\n'})
    with pytest.raises(ModuleNotFoundError):
        colab_http_over_ws._load_jupyter_server_extension(App())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "no such thing" in record.message
    assert "pip install --no-deps jupyter_http_over_ws" in record.message


@pytest.mark.parametrize("text", ["", "1", "1.", "1.2.3.4", "1.2c3", "v1.2", " 1.2", "1.2\n", "0.0.7; drop", "١.٢"])
def test_what_is_no_version_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        compat.StrictVersion(text)


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
def test_versions_compare_by_their_numbers(lower: str, higher: str) -> None:
    assert compat.StrictVersion(higher) > compat.StrictVersion(lower)
    assert not compat.StrictVersion(lower) > compat.StrictVersion(higher)
    assert compat.StrictVersion(lower) != compat.StrictVersion(higher)


@pytest.mark.parametrize(
    ("text", "said"), [("0.0.7", "0.0.7"), ("0.1.0", "0.1"), ("1.2", "1.2"), ("1.2.3b4", "1.2.3b4")]
)
def test_a_version_prints_as_distutils_did(text: str, said: str) -> None:
    assert str(compat.StrictVersion(text)) == said


def test_versions_that_mean_the_same_are_equal() -> None:
    assert compat.StrictVersion("1.0") == compat.StrictVersion("1.0.0")
    assert len({compat.StrictVersion("1.0"), compat.StrictVersion("1.0.0")}) == 1


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        (" _xsrf=2|a|b", "_xsrf=2|a|b"),
        (' username-localhost="2|1:0|x=";  _xsrf=1', 'username-localhost="2|1:0|x="; _xsrf=1'),
        (" a=1\r\n b=2", "a=1; b=2"),
        ("; a=1; ", "a=1"),
        ("a=1; b=2", "a=1; b=2"),
        ("", ""),
    ],
)
def test_a_cookie_header_comes_out_well_formed(value: str, clean: str) -> None:
    assert compat.clean_cookie(value) == clean


def test_the_cookie_repair_leaves_other_headers_alone_and_is_made_once() -> None:
    async def original(*_: Any) -> dict[str, str]:
        return {"Cookie": " a=1", "Other": " x"}

    handlers = types.SimpleNamespace(_perform_request_and_extract_cookies=original)
    compat.repair_cookies(handlers)
    once = handlers._perform_request_and_extract_cookies
    compat.repair_cookies(handlers)
    assert handlers._perform_request_and_extract_cookies is once
    assert asyncio.run(once(None, None, None)) == {"Cookie": "a=1", "Other": " x"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("404 GET /api/x?token=abc (127.0.0.1): none", "404 GET /api/x?token=[secret] (127.0.0.1): none"),
        ("/x?token=abc&session_id=1", "/x?token=[secret]&session_id=1"),
        ("?u=http%3A%2F%2Fh%2F%3Ftoken%3Dabc%26x%3D1&y", "?u=http%3A%2F%2Fh%2F%3Ftoken%3D[secret]%26x%3D1&y"),
        ("?u=token%253Dabc%2526x", "?u=token%253D[secret]%2526x"),
        ("Request(uri='/x?token=abc', version='1')", "Request(uri='/x?token=[secret]', version='1')"),
        ("?TOKEN=a%2Bb", "?TOKEN=[secret]"),
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

"""A server that is broken in one place turns exactly the steps red that need it: in the browser, and in colab_handshake.

The steps have the same names in both. A step that is not reached, because one before it failed, is not red.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple

import pytest
from browser.conftest import StartBrowser
from browser.stage import COLAB
from converged_host import CONFIG, ConvergedHost

Break = Callable[[ConvergedHost], AbstractContextManager[None]]


def settings(**changes: object) -> Break:
    return lambda host: host.server_settings(**changes)


def extension_off(host: ConvergedHost) -> AbstractContextManager[None]:
    path = CONFIG.replace("jupyter_server_config.json", "jupyter_server_config.d/colab_http_over_ws.json")
    return host.changed({path: json.dumps({"ServerApp": {"jpserver_extensions": {"colab_http_over_ws": False}}})})


def handlers_as_published(host: ConvergedHost) -> AbstractContextManager[None]:
    """jupyter_http_over_ws 0.0.8 made to load, and nothing more: its own handlers, whose Cookie header tornado refuses
    since 6.5, and whose sockets open without a token."""
    python = f"{host.settings['prefix']}/server/bin/python"
    path = host.must(python, "-I", "-c", "import colab_http_over_ws; print(colab_http_over_ws.__file__)").strip()
    text = host.read(path)
    repair = "    guard.install(package.handlers)\n"
    assert text.count(repair) == 1, f"{path} repairs the published package in another way than this test knows"
    return host.changed({path: text.replace(repair, "")})


class Broken(NamedTuple):
    """The red steps in each. `differs` says why they are not the same."""

    how: Break
    browser: list[str]
    probe: list[str]
    differs: str = ""


CASES = {
    # The setting, and the header of that name that every answer has besides.
    "nothing allows credentials": Broken(
        settings(allow_credentials=None, tornado_settings={"headers": {"Access-Control-Allow-Origin": COLAB}}),
        browser=["preflight"],
        probe=["preflight"],
    ),
    "allow_origin ends with a slash": Broken(
        settings(allow_origin=f"{COLAB}/"),
        browser=["preflight", "ws_diagnose"],
        probe=["preflight", "ws_diagnose"],
    ),
    "the extension is off": Broken(extension_off, browser=["ws_diagnose"], probe=["ws_diagnose"]),
    "the extension works as it was published": Broken(
        handlers_as_published,
        browser=["ws_kernelspecs"],
        probe=["ws_kernelspecs", "shut_ws_no_token", "shut_ws_wrong_token", "shut_ws_auth_url"],
        differs="Colab's page does not try what has to stay shut",
    ),
    "errors are answered without Colab's headers": Broken(
        settings(tornado_settings=None), browser=["build_info"], probe=["build_info"]
    ),
}


@pytest.mark.parametrize("broken", CASES.values(), ids=CASES)
def test_a_broken_server_turns_exactly_these_steps_red(
    inside: ConvergedHost, start_browser: StartBrowser, address: str, broken: Broken
) -> None:
    with broken.how(inside), ThreadPoolExecutor(1) as beside:
        verifying = beside.submit(inside.verify)
        page = start_browser().open()
        page.connect(address)
        report = verifying.result()
    red = [step["id"] for step in report["checks"]["colab_handshake"]["steps"] if not step["ok"]]
    assert page.ids("failed") == broken.browser
    assert red == broken.probe
    assert (broken.browser != broken.probe) == bool(broken.differs)
    assert not report["ready"]

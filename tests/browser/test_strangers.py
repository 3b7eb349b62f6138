"""Pages that should not get in, in a real browser that has given them the permission: what a page can see and open.

The same page from an origin of its own, or without the token. Every way in is tried by itself.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from browser.conftest import Address, StartBrowser
from browser.stage import COLAB, EVIL
from converged_host import ConvergedHost

# A page of another origin reads nothing. Its websockets to Colab's endpoint stay shut, token or not.
FOREIGN = {
    "GET": "unreadable",
    "GET without credentials": "unreadable",
    "GET without CORS": "opaque, nothing in it",
    "POST": "unreadable",
    "POST as text": "unreadable",
    "kernel socket": "shut",
    "diagnose": "shut",
    "http_over_websocket": "shut",
    "proxied kernel socket": "shut",
}
# Colab's page without the token reads that it is refused. The diagnosis tells it the protocol's version, as Colab asks
# for it before it shows its token.
NO_TOKEN = {
    "GET": "403",
    "GET without credentials": "403",
    "GET without CORS": "opaque, nothing in it",
    "POST": "403",
    "POST as text": "403",
    "kernel socket": "shut",
    "diagnose": "answers",
    "http_over_websocket": "shut",
    "proxied kernel socket": "shut",
}
# The other side of the table: the same tries, by the page that may.
COLABS = {
    "GET": "200",
    "GET without credentials": "200",
    "GET without CORS": "opaque, nothing in it",
    "POST": "201",
    "POST as text": "201",
    "kernel socket": "open",
    "diagnose": "answers",
    "http_over_websocket": "200",
    "proxied kernel socket": "open",
}
# Who has the token is let in by jupyter_server whatever the page's origin is: a request that needs no preflight is
# executed, though its answer cannot be read, and the socket of a kernel opens to who knows the kernel's id. The token is
# the whole defence against other sites (docs/connect.md).
FOREIGN_WITH_TOKEN = {**FOREIGN, "kernel socket": "open"}
CASES = {
    "a foreign origin without a token": (EVIL, None, FOREIGN, 0),
    "a foreign origin with a wrong token": (EVIL, "0" * 48, FOREIGN, 0),
    "a foreign origin with the token": (EVIL, "the token", FOREIGN_WITH_TOKEN, 1),
    "Colab's origin without a token": (COLAB, None, NO_TOKEN, 0),
    "Colab's origin with a wrong token": (COLAB, "0" * 48, NO_TOKEN, 0),
    "Colab's origin with the token": (COLAB, "the token", COLABS, 2),
}


def api(host: ConvergedHost, path: str, method: str = "GET") -> Any:
    """Ask as the host's owner, past every browser."""
    request = urllib.request.Request(f"{host.base}{path}", method=method)
    request.add_header("Authorization", f"token {host.token}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def sessions(host: ConvergedHost) -> set[str]:
    return {session["id"] for session in api(host, "/api/sessions")}


@pytest.fixture
def before(inside: ConvergedHost) -> Iterator[set[str]]:
    """The server's sessions; those that come are ended after the test."""
    found = sessions(inside)
    yield found
    for session in sessions(inside) - found:
        api(inside, f"/api/sessions/{session}", "DELETE")


@pytest.mark.parametrize(("origin", "token", "expected", "started"), CASES.values(), ids=CASES)
def test_a_page_gets_what_its_origin_and_token_open_and_no_more(
    inside: ConvergedHost,
    start_browser: StartBrowser,
    address: str,
    before: set[str],
    origin: str,
    token: str | None,
    expected: dict[str, str],
    started: int,
) -> None:
    browser = start_browser()
    browser.decide("granted", EVIL)
    # Somebody's notebook is open in another tab; the other page is even told which kernel it has.
    notebook = browser.open().notebook(address)
    known = inside.token if token == "the token" else token
    asked = Address(f"{inside.base}/" + (f"?token={known}" if known else ""))
    page = browser.open(origin)
    own = len(sessions(inside) - before)
    assert page.knock(asked, notebook.kernel) == expected
    assert len(sessions(inside) - before) - own == started, "sessions that the page started"
    assert notebook.run("1 + 1") == "2"


def test_the_whole_way_ends_at_the_first_step_for_a_foreign_page_with_the_token(
    inside: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    browser = start_browser("granted", EVIL)
    page = browser.open(EVIL)
    assert page.permission() == "granted"
    page.connect(address)
    assert page.ids("ok") == []
    assert page.ids("failed") == ["preflight", "ws_diagnose"]

"""The browser's own permission (Chrome 142 and newer): without it a page's request never leaves the browser."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import docker_engine
import pytest
from browser import wire
from browser.conftest import StartBrowser
from converged_host import RUNTIME, ConvergedHost

# What a page may ask first, one for each door; the rest is not reached.
FIRST = ["preflight", "ws_diagnose"]
REFUSAL = "Permission was denied for this request to access the `loopback` address space"


def log_lines(host: ConvergedHost) -> list[str]:
    return host.must(RUNTIME, "logs", "-n", "100000").splitlines()


@contextmanager
def unasked(host: ConvergedHost) -> Iterator[None]:
    """Nothing is said to the server in here, and its log gets no line. Connections prove nothing against that: Chromium
    looks for the permission when it has connected and knows the address, and then hangs up without a word."""
    before = len(log_lines(host))
    with wire.listening(host.port) as tap:
        yield
        assert tap.traffic().bytes == 0
        # That all this counts: one request by somebody who needs no browser's permission, one that is logged.
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{host.port}/api/kernelspecs", timeout=30)
        assert tap.traffic().bytes > 0
        control = ["wrote error: 'Forbidden'", "403 GET /api/kernelspecs (@127.0.0.1)"]

        def is_logged() -> bool:
            return any(control[-1] in line for line in log_lines(host)[before:])

        assert docker_engine.wait_until(is_logged, 10)
        new = log_lines(host)[before:]
        assert [line for line in new if not any(words in line for words in control)] == []
        assert len(new) == len(control)


@pytest.mark.parametrize(("answer", "state"), [("denied", "denied"), (None, "prompt")], ids=["denied", "not answered"])
def test_without_the_permission_the_first_step_fails_and_nothing_reaches_the_server(
    inside: ConvergedHost, start_browser: StartBrowser, address: str, answer: str | None, state: str
) -> None:
    page = start_browser(answer).open()
    assert page.permission() == state
    with unasked(inside):
        page.connect(address)
    assert page.ids("failed") == FIRST
    assert page.ids("ok") == []
    assert REFUSAL in page.console[0], page.console
    assert page.steps()["preflight"]["saw"] == "TypeError: Failed to fetch"


def test_verify_names_the_permission_while_no_browser_came_through(
    inside: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    """And not any more when one did: test_both_doors."""
    inside.restart()
    start_browser("denied").open().connect(address)
    report = inside.verify()
    assert report["ready"], report["reasons"]
    remedies = [remedy for remedy in report["remedies"] if remedy["where"] == "browser"]
    assert [remedy["id"] for remedy in remedies] == ["browser_permission"]
    assert "docs/connect.md" in remedies[0]["do"]

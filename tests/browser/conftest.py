"""What the browser tests share: the stage, and browsers with an answer given to the permission prompt."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from browser import chromium
from browser.stage import COLAB, Stage, served
from converged_host import ConvergedHost
from playwright.sync_api import Playwright, sync_playwright


class StartBrowser(Protocol):
    def __call__(self, permission: str | None = "granted", origin: str = COLAB) -> chromium.Browser: ...


@pytest.fixture(scope="session")
def chromium_program() -> Path:
    try:
        return chromium.program()
    except chromium.BrowserMissing as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module")
def backstage(converged: ConvergedHost, chromium_program: Path) -> Iterator[tuple[Playwright, Stage]]:
    """The page's server and Playwright, both in the host's network; what they start stays there."""
    with contextlib.ExitStack() as stack:
        with converged.network():
            stage = stack.enter_context(served())
            playwright = stack.enter_context(sync_playwright())
        yield playwright, stage


@pytest.fixture
def start_browser(
    backstage: tuple[Playwright, Stage],
    inside: ConvergedHost,
    tmp_path: Path,
    picture_name: str,
) -> Iterator[StartBrowser]:
    """Start a browser whose user has answered the prompt for `origin` so (None: has not been asked). Each page's last
    look is kept as a picture."""
    playwright, stage = backstage
    with contextlib.ExitStack() as stack:
        count = 0

        def start(permission: str | None = "granted", origin: str = COLAB) -> chromium.Browser:
            nonlocal count
            count += 1
            scratch = tmp_path / f"browser-{count}"
            scratch.mkdir()
            browser = stack.enter_context(chromium.started(playwright, inside, stage, scratch))
            stack.callback(browser.keep_pictures, picture_name if count == 1 else f"{picture_name}-{count}")
            if permission is not None:
                browser.decide(permission, origin)
            return browser

        yield start


@pytest.fixture
def picture_name(request: pytest.FixtureRequest) -> str:
    """What the test's pictures are called; a test may override it."""
    return re.sub(r"[^\w.-]+", "-", request.node.name.removeprefix("test_")).strip("-")


class Address(str):
    """It holds the token: a failed test shows its arguments, and shall not show this one."""

    def __repr__(self) -> str:
        return "(the address with the token)"


@pytest.fixture
def address(inside: ConvergedHost) -> str:
    """What `./colab-ready url` prints: what the student pastes."""
    return Address(inside.must(f"{inside.checkout}/colab-ready", "url").strip())

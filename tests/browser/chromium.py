"""A real browser on the converged host: found or installed, started with the host's policies, its permission set.

The program runs from the computer that runs the tests, in the host's network. What it would read on the host and cannot
see from here, its policy folder, is put in its place in a mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker_engine
import playwright
from browser.stage import COLAB, Stage
from converged_host import ConvergedHost
from playwright.sync_api import BrowserContext, CDPSession, JSHandle, Page, Playwright

GIVEN = "COLAB_READY_TEST_CHROMIUM"
# Program: the folder under which it looks for managed policies.
POLICIES = {
    "chromium": "/etc/chromium",
    "chromium-browser": "/etc/chromium-browser",
    "google-chrome": "/etc/opt/chrome",
    "google-chrome-stable": "/etc/opt/chrome",
}
PERMISSION = "loopback-network"
# Without the first, no picture on a computer without a screen; without the others it asks for updates on the internet.
OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZE = {"width": 1000, "height": 800}
MINUTE = 60_000.0


class BrowserMissing(RuntimeError):
    """No Chromium, or no way to drive it, and what to do about it."""


def find() -> Path | None:
    given = os.environ.get(GIVEN)
    names = [given] if given else list(POLICIES)
    return next((Path(found) for found in map(shutil.which, names) if found), None)


def driver_answers() -> bool:
    """Whether the Node.js that comes with Playwright starts. It needs a library that a bare Debian has not."""
    node = Path(playwright.__file__).parent / "driver" / "node"
    return subprocess.run([node, "--version"], capture_output=True, check=False).returncode == 0


def install(package: str, reason: str) -> str:
    """Install it where that is allowed; what went wrong."""
    if os.geteuid() != 0 or not docker_engine.distribution() & {"debian", "ubuntu"} or not shutil.which("apt-get"):
        return ""
    with docker_engine.only_one("chromium"):
        docker_engine.say(f"{reason}: installing {package} with apt")
        try:
            docker_engine.apt_install(package)
        except docker_engine.EngineError as error:
            return f"\n{error}"
    return ""


@functools.lru_cache(maxsize=1)
def program() -> Path:
    """The browser's program, and what drives it; the distribution's packages are installed where that is allowed."""
    trouble = ""
    if find() is None and not os.environ.get(GIVEN):
        trouble = install("chromium", "no Chromium here")
    found = find()
    if found is None:
        raise BrowserMissing(
            f"No Chromium or Google Chrome is installed; the browser tests drive one. Expected: {', '.join(POLICIES)} in "
            f"PATH, or a program named by {GIVEN}. Do: install it (Debian: apt install chromium; on Ubuntu Google's "
            f"package, since its chromium is a snap), or run the tests as root on Debian, where they do so.{trouble}"
        )
    if not driver_answers():
        trouble = install("libatomic1", "Playwright's Node.js does not start")
        if not driver_answers():
            raise BrowserMissing(
                "Playwright's own Node.js does not start; it drives the browser. Expected: the libraries it needs. Do: "
                f"install libatomic1, or run the tests as root on Debian or Ubuntu, where they do so.{trouble}"
            )
    return found


def screenshots() -> Path:
    """Where the pictures go: each test's page as it was at the end."""
    given = os.environ.get("COLAB_READY_TEST_SCREENSHOTS")
    folder = Path(given) if given else docker_engine.state_dir().parent / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# --- what a test holds in its hands ---------------------------------------------------------------------------------


@dataclass
class Notebook:
    """An open notebook in a page (page.js, Notebook)."""

    handle: JSHandle

    @property
    def kernel(self) -> str:
        return str(self.handle.evaluate("notebook => notebook.kernelId"))

    def start(self, code: str) -> JSHandle:
        """Begin a cell and come back at once; `finish` waits for it."""
        return self.handle.evaluate_handle("(notebook, code) => ({ text: notebook.run(code) })", code)

    @staticmethod
    def finish(running: JSHandle) -> str:
        return str(running.evaluate("running => running.text"))

    def run(self, code: str) -> str:
        """What the cell printed, or the error it ended with."""
        return self.finish(self.start(code))

    def closed(self) -> dict[str, Any]:
        """Wait until the kernel's socket is closed; its code and reason."""
        return dict(self.handle.evaluate("notebook => notebook.closed()"))

    def end(self) -> int:
        return int(self.handle.evaluate("notebook => notebook.end()"))


@dataclass
class ColabPage:
    """The page that plays Colab's, in one tab."""

    page: Page
    devtools: CDPSession
    console: list[str] = field(default_factory=list)
    preflights: list[str] = field(default_factory=list)

    def connect(self, address: str) -> None:
        """Paste the address and click, as a student does; wait until the page is through."""
        self.page.fill("#address", address)
        self.page.click("button")
        self.page.wait_for_selector("body[data-state=done]", timeout=5 * MINUTE)

    def steps(self) -> dict[str, dict[str, str]]:
        """Step id: {state: ok | failed | not-reached, saw}, in the page's order."""
        return {row["id"]: row for row in self.page.evaluate("colab.results()")}

    def ids(self, state: str) -> list[str]:
        return [name for name, step in self.steps().items() if step["state"] == state]

    def permission(self) -> str:
        return str(self.page.evaluate("colab.permission()"))

    def knock(self, address: str, kernel: str) -> dict[str, str]:
        """Every way in, each tried by itself: what the page got."""
        return dict(self.page.evaluate("([address, kernel]) => colab.knock(address, kernel)", [address, kernel]))

    def notebook(self, address: str, title: str = "notebook") -> Notebook:
        return Notebook(self.page.evaluate_handle("([address, title]) => colab.open(address, title)", [address, title]))


class Browser:
    """One browser with one profile, as one student has it."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self.pages: list[ColabPage] = []

    def decide(self, setting: str, origin: str) -> None:
        """What the user answered when the browser asked: granted or denied."""
        wish = {"permission": {"name": PERMISSION}, "setting": setting, "origin": origin}
        self._context.new_cdp_session(self._context.pages[0]).send("Browser.setPermission", wish)

    def open(self, origin: str = COLAB) -> ColabPage:
        tab = self._context.new_page()
        devtools = self._context.new_cdp_session(tab)
        opened = ColabPage(tab, devtools)
        tab.on("console", lambda message: opened.console.append(message.text))
        tab.on("pageerror", lambda error: opened.console.append(str(error)))

        def note(event: dict[str, Any]) -> None:
            if event["request"]["method"] == "OPTIONS":
                opened.preflights.append(urlsplit(event["request"]["url"]).path)

        devtools.on("Network.requestWillBeSent", note)
        devtools.send("Network.enable")
        tab.goto(f"{origin}/")
        tab.wait_for_selector("body[data-state=ready]")
        self.pages.append(opened)
        return opened

    def keep_pictures(self, name: str) -> list[Path]:
        kept = []
        for number, opened in enumerate(self.pages, 1):
            path = screenshots() / (f"{name}.png" if len(self.pages) == 1 else f"{name}-{number}.png")
            opened.page.screenshot(path=path, full_page=True)
            kept.append(path)
        return kept


def policy_folder() -> str:
    """Where the browser that was found looks for its policies, below which is policies/managed."""
    return POLICIES.get(program().name, "/etc/chromium")


def policy_copy(host: ConvergedHost, folder: str, place: Path) -> Path:
    """The host's folder, as it is now. A copy: a mount of the container cannot be mounted in another namespace."""
    there = host.root() / folder.lstrip("/")
    if there.is_dir():
        shutil.copytree(there, place)
    else:
        place.mkdir()
    place.chmod(0o755)
    return place


def wrapper(host: ConvergedHost, scratch: Path) -> Path:
    """A program that starts the browser with the host's policy folder in the place of this computer's."""
    if host.container is None:
        return program()
    folder = policy_folder()
    Path(folder).mkdir(parents=True, exist_ok=True)
    policies = policy_copy(host, folder, scratch / "policies")
    mount = shlex.join(["mount", "--bind", str(policies), folder])
    start = f'{mount} && exec {shlex.quote(str(program()))} "$@"'
    path = scratch / "browser"
    path.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(start)} browser "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def started(
    driver: Playwright, host: ConvergedHost, stage: Stage, scratch: Path, more: Sequence[str] = ()
) -> Iterator[Browser]:
    """A browser with an empty profile. `driver` was started in the host's network, and so is the browser."""
    context = driver.chromium.launch_persistent_context(
        scratch / "profile",
        executable_path=wrapper(host, scratch),
        headless=True,
        args=[*OPTIONS, *stage.options(), *more],
        viewport={"width": SIZE["width"], "height": SIZE["height"]},
        timeout=MINUTE,
    )
    try:
        context.set_default_timeout(MINUTE / 2)
        yield Browser(context)
    finally:
        context.close()

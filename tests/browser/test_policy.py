"""A managed policy of the lab gives the permission, so that no student sees a prompt (role browser_policy)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from browser import chromium
from browser.conftest import StartBrowser
from browser.stage import COLAB, EVIL
from converged_host import ConvergedHost

NOBODY = json.dumps({"browser_policy_enabled": True, "browser_policy_browsers": []})


@pytest.fixture
def lab(inside: ConvergedHost) -> Iterator[ConvergedHost]:
    """The host, converged with the lab's policy; without it afterwards."""
    inside.converge("-e", "browser_policy_enabled=true")
    try:
        yield inside
    finally:
        inside.converge("-e", NOBODY)


def test_the_role_browser_policy_lets_colabs_page_through_without_a_prompt(
    lab: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    browser = start_browser(None)
    page = browser.open()
    assert page.permission() == "granted"
    page.connect(address)
    assert page.ids("failed") == []
    assert page.ids("not-reached") == []
    assert browser.open(EVIL).permission() == "prompt", "the policy is for Colab's page alone"


# What the role's choice stands on: what Chromium makes of each policy that might do. LocalNetworkAccessAllowedForUrls is
# known since Chrome 140 and opens the whole local network to the page as well; the loopback's own since Chrome 146.
POLICIES = {
    "LocalNetworkAccessAllowedForUrls": "granted",
    "LoopbackNetworkAllowedForUrls": "granted",
    "LocalNetworkAllowedForUrls": "prompt",
    "LoopbackNetworkBlockedForUrls": "denied",
}


@pytest.fixture
def policy_file(inside: ConvergedHost, chromium_program: object) -> Iterator[str]:
    """A file of policies that is not there yet; and gone, with the folders that were made for it, afterwards."""
    folder = f"{chromium.policy_folder()}/policies/managed"
    made = inside.must(
        "sh", "-c", 'while [ ! -d "$1" ]; do echo "$1"; set -- "${1%/*}"; done', "missing", folder
    ).split()
    path = f"{folder}/colab-ready-browser-test.json"
    inside.must("mkdir", "-p", folder)
    yield path
    inside.must("rm", "-f", path)
    if made:
        inside.must("rmdir", *made)


@pytest.mark.parametrize(("policy", "state"), POLICIES.items(), ids=POLICIES)
def test_what_a_policy_for_colabs_page_does_to_the_permission(
    inside: ConvergedHost, start_browser: StartBrowser, policy_file: str, policy: str, state: str
) -> None:
    inside.write(policy_file, json.dumps({policy: [COLAB]}))
    browser = start_browser(None)
    assert browser.open().permission() == state
    assert browser.open(EVIL).permission() == "prompt"

"""Which of Intel's GPUs counts, what is missing on a host, what apt must not do, and what its complaints mean."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready import xpu_runtime_plan as plan
from ansible.module_utils.colab_ready.apt_words import Steps

ARC = {"index": 0, "vendor_id": "8086", "device_id": "56a0", "name": "Arc A770"}
UHD = {"index": 1, "vendor_id": "8086", "device_id": "3e92", "name": "UHD 630", "primary": True}
BASIC = {"index": 2, "vendor_id": "8086", "device_id": "56a0", "name": "not a GPU", "software": True}


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ({"adapters": [UHD, ARC], "wsl": {}}, "Arc A770"),
        ({"adapters": [ARC, UHD]}, "Arc A770"),
        ({"adapters": [UHD]}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "xpu", "adapter": 1}}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "cpu", "recommended": {"name": "xpu", "adapter": 1}}}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "directml", "adapter": 1}}, "Arc A770"),
        ({"adapters": [BASIC]}, None),
        ({"adapters": [{"index": 0, "vendor_id": "10de"}]}, None),
        ({"adapters": None}, None),
    ],
)
def test_the_decided_card_counts_or_else_the_best_one(gpu: dict[str, Any], name: str | None) -> None:
    card = plan.choose_card(gpu)
    assert (card or {}).get("name") == name


@pytest.mark.parametrize(
    ("installed", "recorded", "missing"),
    [
        ({}, {}, ["a", "b"]),
        ({"a": "1", "b": "1"}, {"a": "1", "b": "1"}, []),
        # Upgraded by its owner.
        ({"a": "2", "b": "1"}, {"a": "1", "b": "1"}, []),
        # Of another source than the repository.
        ({"a": "1", "b": "1"}, {}, ["a", "b"]),
        # Without a repository it does not matter where they came from.
        ({"a": "1", "b": "1"}, None, []),
        ({"a": "1"}, {"a": "1", "b": "1"}, ["b"]),
    ],
)
def test_what_is_missing(installed: dict[str, str], recorded: dict[str, str] | None, missing: list[str]) -> None:
    assert plan.wanting(["a", "b"], installed, recorded) == missing


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        (Steps(dict.fromkeys(["libze1", "libigc2"], "1"), ["libze1"], []), None),
        (Steps(dict.fromkeys(["libze1", "intel-i915-dkms"], "1"), [], []), "xpu_kernel_package"),
        (Steps(dict.fromkeys(["linux-image-6.14.0-1009-oem"], "1"), [], []), "xpu_kernel_package"),
        (Steps(dict.fromkeys(["linux-firmware"], "1"), [], []), "xpu_kernel_package"),
        (Steps(dict.fromkeys(["dkms"], "1"), [], []), "xpu_kernel_package"),
        (Steps(dict.fromkeys(["libze1"], "1"), ["libze1"], ["somebodys"]), "xpu_would_remove"),
    ],
)
def test_no_kernel_comes_and_nothing_of_others_goes(steps: Steps, name: str | None) -> None:
    problem = plan.judge_steps(steps)
    assert (problem.id if problem else None) == name


SAID = [
    ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 12 (apt)", "xpu_apt_busy"),
    ("E: You don't have enough free space in /var/cache/apt/archives/.", "xpu_apt_space"),
    ("E: Failed to fetch https://x/libze1.deb  Hash Sum mismatch", "xpu_apt_checksum"),
    (
        "W: GPG error: https://x noble InRelease: NO_PUBKEY 28DA432DAAC8BAEA\nE: The repository 'https://x noble InRelease' is not signed.",
        "xpu_apt_signature",
    ),
    ("E: The repository 'https://x noble Release' no longer signed.", "xpu_apt_signature"),
    ("E: Unable to locate package libze-intel-gpu1", "xpu_apt_package"),
    ("E: Package 'libze1' has no installation candidate", "xpu_apt_package"),
    ("E: Failed to fetch https://x/InRelease  Could not resolve 'x'", "xpu_apt_unreachable"),
    ("E: The repository 'https://x noble Release' does not have a Release file.", "xpu_apt_unreachable"),
    ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "xpu_apt"),
    ("", "xpu_apt"),
]


@pytest.mark.parametrize(("text", "name"), SAID)
def test_what_apt_complains_of_is_understood(text: str, name: str) -> None:
    problem = plan.apt_problem(f"Reading package lists...\n{text}\n", "Intel's repository")
    assert problem.id == name
    assert problem.what.startswith("Intel's repository: ")
    assert problem.expected and problem.do


ONE, TWO = "A" * 40, "B" * 40


@pytest.mark.parametrize(
    ("found", "allowed", "fits"),
    [
        ([ONE], [ONE, TWO], True),
        ([ONE, TWO], [ONE, TWO], True),
        ([ONE], [f"{'aaaa ' * 10}".strip()], True),
        # One more in the ring would be trusted as well.
        ([ONE, TWO], [ONE], False),
        ([TWO], [ONE], False),
        ([TWO], [], True),
    ],
)
def test_no_key_but_a_known_one_is_trusted(found: list[str], allowed: list[str], fits: bool) -> None:
    assert (plan.key_problem(found, allowed, "https://x/key") is None) is fits


@pytest.mark.parametrize(
    ("allowed", "address", "name"),
    [
        ([ONE], "http://x/key", None),
        ([], "https://x/key", None),
        ([], "file:///x", None),
        ([], "http://x/key", "xpu_apt_key_unknown"),
        (["28DA432DAAC8BAEA"], "https://x/key", "xpu_apt_fingerprint"),
    ],
)
def test_a_key_over_http_wants_a_fingerprint(allowed: list[str], address: str, name: str | None) -> None:
    problem = plan.fingerprints_problem(allowed, address)
    assert (problem.id if problem else None) == name

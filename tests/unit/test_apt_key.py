"""A repository's key is the one that is meant, and that alone, or it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready.apt.key import check_key, judge

REPOSITORY: dict[str, Any] = {"key": "https://x/key", "key_sha256": "", "fingerprints": []}
ONE, TWO = "CA8BB4727A47B4D09B4EE8969386B48A1A693C5C", "B" * 40


@pytest.mark.parametrize(
    ("more", "ids"),
    [
        ({}, []),
        ({"key": "file:///srv/key"}, []),
        ({"key": "http://x/key"}, ["rocm_apt_key_unknown"]),
        ({"key": "http://x/key", "fingerprints": [ONE]}, []),
        ({"key": "http://x/key", "key_sha256": "a" * 64}, []),
        ({"fingerprints": [ONE[:39]]}, ["rocm_apt_fingerprint"]),
        ({"fingerprints": [ONE, "9386B48A1A693C5C"]}, ["rocm_apt_fingerprint"]),
    ],
)
def test_a_key_that_nothing_protects_is_not_fetched(more: dict[str, Any], ids: list[str]) -> None:
    problems = check_key({**REPOSITORY, **more}, "rocm_apt_key_fingerprint")
    assert [problem.id for problem in problems] == ids


def test_a_password_in_an_address_is_not_said() -> None:
    (problem,) = check_key({**REPOSITORY, "key": "http://kid:hunter22@x/key"}, "xpu_apt_key_fingerprints")
    assert problem.id == "xpu_apt_key_unknown" and "hunter22" not in problem.sentence()


@pytest.mark.parametrize(
    ("found", "more", "good"),
    [
        ([ONE], {}, True),
        ([ONE], {"fingerprints": [ONE]}, True),
        ([ONE], {"fingerprints": [ONE, TWO]}, True),
        ([ONE, TWO], {"fingerprints": [ONE, TWO]}, True),
        # One more in the ring would be trusted as well.
        ([ONE, TWO], {"fingerprints": [ONE]}, False),
        ([TWO], {"fingerprints": [ONE]}, False),
        ([ONE], {"key_sha256": "a" * 64}, True),
        ([ONE], {"key_sha256": "b" * 64}, False),
        # A key with one more signature on it is the same key.
        ([ONE], {"fingerprints": [ONE], "key_sha256": "b" * 64}, True),
        ([TWO], {"fingerprints": [ONE], "key_sha256": "a" * 64}, False),
    ],
)
def test_a_key_is_the_one_that_is_meant_or_refused(found: list[str], more: dict[str, Any], good: bool) -> None:
    problem = judge({**REPOSITORY, **more}, "rocm_apt_key_fingerprint", "a" * 64, found)
    assert problem is None if good else problem is not None and problem.id == "rocm_apt_key"

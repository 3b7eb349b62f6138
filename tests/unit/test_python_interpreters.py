"""One order and one choice say which Python a kernel gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.python import fetched, interpreters


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        (">=3.11,<3.15", "3.11 to 3.14"),
        (">=3.10,<3.13,!=3.11.*", "3.10 and 3.12"),
        (">=3.12,<3.14", "3.12 and 3.13"),
        ("==3.11.*", "3.11"),
        (">=3.8,<3.9", ">=3.8,<3.9"),
    ],
)
def test_a_range_is_said_as_people_say_it(requires: str, words: str) -> None:
    assert interpreters.in_words(requires) == words


# Pythons of a host, whether one is named; what is used, and whether uv has to bring it
CHOICES: list[tuple[list[str] | None, bool, str | None, bool | None]] = [
    (None, False, None, None),
    (["3.10", "3.12", "3.11"], False, "3.12", False),
    (["3.10"], False, "3.14", True),
    ([], False, "3.14", True),
    (["", "3", "2.7", "nonsense"], False, "3.14", True),
    (["3.12.3"], True, "3.12.3", False),
    (["3.10.1"], True, None, False),
    ([], True, None, False),
]


@pytest.mark.parametrize(("pythons", "named", "use", "fetch"), CHOICES)
def test_the_first_that_fits_is_taken_or_the_newest_fetched(
    pythons: list[str] | None, named: bool, use: str | None, fetch: bool | None
) -> None:
    paths = [f"/{version}" for version in pythons or ()]
    choice = interpreters.choose(">=3.11,<3.15", pythons, paths, named)
    assert (choice["requires"], choice["use"], choice["fetch"]) == (">=3.11,<3.15", use, fetch)
    assert choice["path"] == (f"/{use}" if fetch is False and use else None)


def test_what_uv_fetched_before_comes_after_the_systems(tmp_path: Path) -> None:
    place = tmp_path / "cpython-3.12.16-linux-x86_64-gnu/bin/python3.12"
    place.parent.mkdir(parents=True)
    place.touch()
    host: dict[str, Any] = {"pythons": ["3.13"], "python_paths": ["/usr/bin/python3.13"]}
    known = interpreters.known(host, None, str(tmp_path))
    assert known["pythons"] == ["3.13", "3.12.16"]
    assert known["python_paths"] == ["/usr/bin/python3.13", str(place)]
    # Root starts nothing that somebody else may have put there.
    tmp_path.chmod(0o777)
    assert fetched.folder_problem(str(tmp_path)) and interpreters.known(host, None, str(tmp_path))["pythons"] == [
        "3.13"
    ]
    assert interpreters.known({}, None, "/nowhere/pythons")["pythons"] is None


def test_one_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    named = tmp_path / "python"
    named.write_text("""#!/bin/sh\necho '{"version": "3.11.2"}'\n""")
    named.chmod(0o755)
    host: dict[str, Any] = {"pythons": ["3.13"], "python_paths": ["/usr/bin/python3.13"]}
    expected = {"pythons": ["3.11.2"], "python_paths": [str(named)], "python_named": True}
    assert interpreters.known(host, str(named), "/nowhere") == expected
    assert interpreters.known(host, "/no/python", "/nowhere")["pythons"] == []
    assert interpreters.candidates(named=str(named)) == [str(named)]

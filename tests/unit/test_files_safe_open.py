"""A file that somebody else may have made is read without a wait, a link, a limit passed, or an exception that nobody expects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.files import safe_open


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "it"


def test_a_file_is_read(place: Path) -> None:
    place.write_bytes(b'{"word": "\xc3\xa4"}')
    assert safe_open.read_text(str(place)) == '{"word": "ä"}'
    assert safe_open.read_object(str(place)) == {"word": "ä"}


def test_what_the_kernel_says_has_no_size_and_is_read(place: Path) -> None:
    assert (safe_open.read_text("/proc/self/stat") or "").startswith(str(os.getpid()))


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "device", "link"])
def test_what_is_no_file_is_none(place: Path, kind: str) -> None:
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place = Path("/dev/zero")
    elif kind == "link":
        (place.parent / "secret").write_text("secret")
        place.symlink_to("secret")
    assert safe_open.read_text(str(place)) is None
    assert safe_open.read_object(str(place)) is None


def test_a_link_of_the_systems_is_followed_where_that_is_said(place: Path) -> None:
    (place.parent / "target").write_text("x")
    place.symlink_to("target")
    assert safe_open.read_text(str(place), follow=True) == "x"


def test_no_more_is_read_than_was_allowed(place: Path) -> None:
    place.write_bytes(b"x" * 11)
    assert safe_open.read_text(str(place), 11) == "x" * 11
    assert safe_open.read_text(str(place), 10) is None


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 200_000, "{" * 5, '{"a": ' * 100_000, "[1]", "null", "1" * 10_000, '{"a": 1e999', "\0", "NaN"],
)
def test_nonsense_is_no_object(place: Path, text: str) -> None:
    place.write_text(text)
    assert safe_open.read_object(str(place)) is None

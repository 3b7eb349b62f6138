# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a page of an index, or a page of wheels, offers.

Pure. https://packaging.python.org/en/latest/specifications/simple-repository-api/ has both forms, JSON and HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NoIndex(ValueError):
    """What came is no page of an index."""


class Link(NamedTuple):
    """A file that is offered. `sha256` and `size` (bytes) are None where the page does not state them."""

    filename: str
    url: str
    sha256: str | None = None
    size: int | None = None


def read_page(url: str, content_type: str, body: bytes) -> list[Link]:
    """Return the wheels that a page offers; raises NoIndex for what is neither JSON of that form nor HTML."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json"):
        return list(_of_json(url, body))
    if kind not in ("text/html", "application/vnd.pypi.simple.v1+html", "application/xhtml+xml"):
        raise NoIndex(f"it is {kind or 'of no stated type'}")
    return list(_of_html(url, body))


def _of_json(url: str, body: bytes) -> Iterator[Link]:
    try:
        page = json.loads(body)
        files = page["files"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoIndex("it is JSON without a list of files") from None
    for one in files if isinstance(files, list) else ():
        if not isinstance(one, dict) or not str(one.get("filename")).endswith(".whl"):
            continue
        hashes, size = one.get("hashes"), one.get("size")
        stated = _sha256(hashes.get("sha256")) if isinstance(hashes, dict) else None
        yield Link(str(one["filename"]), urljoin(url, str(one.get("url"))), stated, size if _is_size(size) else None)


def _of_html(url: str, body: bytes) -> Iterator[Link]:
    anchors = _Anchors()
    anchors.feed(body.decode("utf-8", "replace"))
    base = urljoin(url, anchors.base) if anchors.base else url
    for place in anchors.places:
        address, _mark, fragment = urljoin(base, place).partition("#")
        filename = unquote(urlsplit(address).path.rpartition("/")[2])
        if filename.endswith(".whl"):
            algorithm, _equals, digest = fragment.partition("=")
            yield Link(filename, address, _sha256(digest) if algorithm == "sha256" else None)


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.places: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        place = dict(attrs).get("href")
        if tag == "a" and place:
            self.places.append(place)
        elif tag == "base" and place and not self.base:
            self.base = place


def _sha256(said: Any) -> str | None:
    return said.lower() if isinstance(said, str) and _SHA256.fullmatch(said.lower()) else None


def _is_size(said: Any) -> bool:
    return isinstance(said, int) and not isinstance(said, bool) and said >= 0

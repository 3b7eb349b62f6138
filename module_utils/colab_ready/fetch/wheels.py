# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels by their hashes, from wherever pip's configuration says: indexes, pages and folders of wheels, several at a time.

What is at the place already is not fetched again, and what was cut off goes on where it ended (`NAME.part`).
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..core.redact import redact
from .client import Client, FetchError
from .names import Computer, fits, parse_name
from .pages import ACCEPT, Link, NoIndex, read_page

AT_A_TIME = 6
# Debian and Ubuntu keep ensurepip's pip here; everybody else keeps it beside ensurepip.
PIP_WHEELS = ("/usr/share/python-wheels/pip-*.whl", "/usr/lib/python3*/ensurepip/_bundled/pip-*.whl")


class Wanted(NamedTuple):
    """One package of a lock: its name (normalized), its version, and the sha256 sums of its files."""

    name: str
    version: str
    hashes: frozenset[str]


class Places(NamedTuple):
    """Where wheels come from. An empty index_url is pip's own default, where this computer has a pip that says it."""

    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False

    @property
    def indexes(self) -> tuple[str, ...]:
        """The index and the extra ones; the first is empty where nothing says which it is."""
        return () if self.no_index else (self.index_url or pips_index(), *self.extra_index_urls)


def pips_index() -> str:
    """Return the index that pip asks where nothing is configured, as the pip of this computer has it; empty without one."""
    for path in sorted(one for pattern in PIP_WHEELS for one in glob.glob(pattern)):
        try:
            with zipfile.ZipFile(path) as pip:
                text = pip.read("pip/_internal/models/index.py").decode()
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            continue
        found = re.search(r'^PyPI = PackageIndex\(\s*"(https://[^"\s]+)"', text, re.MULTILINE)
        if found:
            return f"{found[1].rstrip('/')}/simple"
    return ""


class Progress:
    """How many bytes have come; asked by whoever shows it."""

    def __init__(self) -> None:
        self.count, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.count += count


def fetch(
    wanted: Iterable[Wanted],
    places: Places,
    folder: str,
    client: Client,
    computer: Computer,
    progress: Progress | None = None,
) -> list[str]:
    """Return the paths of the wheels in `folder`, in the order of `wanted`; raises FetchError."""
    told = (progress or Progress()).add
    offers = Offers(places, client)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        tasks = [pool.submit(_fetch_one, one, offers, folder, client, computer, told) for one in wanted]
        try:
            return [task.result() for task in tasks]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Offers:
    """What the places offer of a project; pages of wheels are asked once."""

    def __init__(self, places: Places, client: Client) -> None:
        self.places, self._client = places, client
        self._pages: dict[str, list[Link]] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> tuple[list[Link], list[FetchError]]:
        """Return the links of all places, folders first, and what went wrong at others."""
        links: list[Link] = []
        problems: list[FetchError] = []
        asked = [(self._of_wheels, place) for place in self.places.find_links]
        asked += [(self._of_index, f"{index.rstrip('/')}/{name}/") for index in self.places.indexes if index]
        for ask, place in asked:
            try:
                links += ask(place)
            except FetchError as error:
                problems.append(error)
        return links, problems

    def _of_wheels(self, place: str) -> list[Link]:
        path = local_path(place)
        if path is not None:
            return _of_folder(path) if os.path.isdir(path) or not path.endswith((".html", ".htm")) else _of_file(path)
        with self._lock:
            if place not in self._pages:
                self._pages[place] = self._of_page(place)
            return self._pages[place]

    def _of_index(self, place: str) -> list[Link]:
        path = local_path(place)
        return self._of_page(place) if path is None else _of_file(os.path.join(path, "index.html"))

    def _of_page(self, place: str) -> list[Link]:
        try:
            return read_page(*self._client.page(place, ACCEPT))
        except NoIndex as error:
            raise FetchError("answer", f"{redact(place)} is no page of an index: {error}") from None


def local_path(place: str) -> str | None:
    """Return the path of a place that is a folder or a file; None for an address on the network."""
    if place.startswith("file:"):
        return unquote(urlsplit(place).path)
    return None if "://" in place else place


def _of_folder(folder: str) -> list[Link]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise FetchError("not_found", f"{folder} cannot be read: {error.strerror}") from None
    return [Link(name, os.path.join(folder, name)) for name in names if name.endswith(".whl")]


def _of_file(path: str) -> list[Link]:
    try:
        with open(path, "rb") as file:
            return read_page(f"file://{path}", "text/html", file.read(1 << 24))
    except OSError as error:
        raise FetchError("not_found", f"{path} cannot be read: {error.strerror}") from None


def choose(wanted: Wanted, links: Sequence[Link], computer: Computer) -> list[Link]:
    """Return the links that may be it: the right project and version, fitting here, and of no other hash."""
    found = []
    for link in links:
        wheel = parse_name(link.filename)
        if wheel is None or wheel.project != wanted.name or not fits(wheel, computer):
            continue
        stated = link.sha256 in wanted.hashes if link.sha256 else wheel.version == wanted.version
        if stated:
            found.append(link)
    # The most special platform is the one that was made for it: a wheel for any may lack what is built.
    return sorted(found, key=lambda link: link.filename.endswith("-any.whl"))


def _fetch_one(
    wanted: Wanted, offers: Offers, folder: str, client: Client, computer: Computer, told: Callable[[int], None]
) -> str:
    for link in choose(wanted, _of_folder(folder), computer):
        if digest(link.url) in wanted.hashes:
            return link.url
    links, problems = offers.of(wanted.name)
    for link in choose(wanted, links, computer):
        place = os.path.join(folder, link.filename)
        if os.path.exists(place) and digest(place) in wanted.hashes:
            return place
        # What an earlier run left may be the beginning of another file: then once more, from nothing.
        for _number in range(2 if os.path.exists(f"{place}.part") else 1):
            try:
                _bring(link, f"{place}.part", client, told)
            except FetchError as error:
                problems.append(error)
                break
            found = digest(f"{place}.part")
            if found in wanted.hashes:
                os.replace(f"{place}.part", place)
                return place
            kind = "hash" if zipfile.is_zipfile(f"{place}.part") else "answer"
            os.unlink(f"{place}.part")
            shown = redact(link.url)
            problems.append(FetchError(kind, f"{shown} is another file than the locked one (its sha256 is {found})"))
    # That one of several does not have it is nothing to say.
    telling = [problem for problem in problems if problem.kind != "not_found"]
    if telling:
        raise telling[-1]
    if "" in offers.places.indexes:
        raise FetchError(
            "no_index", "pip's configuration names no index, and there is no pip here to say which it asks then"
        )
    where = f" ({'; '.join(map(str, problems))})" if problems else ""
    raise FetchError(
        "not_found",
        f"no source has {wanted.name}=={wanted.version} for {computer.machine} and Python 3.{computer.minor}{where}",
    )


def _bring(link: Link, place: str, client: Client, told: Callable[[int], None]) -> None:
    path = local_path(link.url)
    if path is None:
        client.file(link.url, place, told)
        return
    try:
        shutil.copyfile(path, place)
        told(os.path.getsize(place))
    except OSError as error:
        raise FetchError("disk", f"{path} cannot be copied to {place}: {error.strerror}") from None


def digest(path: str) -> str:
    """Return the sha256 sum of a file."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            total.update(piece)
    return total.hexdigest()

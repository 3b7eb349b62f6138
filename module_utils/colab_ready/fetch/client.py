# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages and files over HTTP, with the standard library alone: bounded, patient where that helps, resumed where that goes.

What comes is believed by its hash only. A password goes to the host that it is for, over a verified connection or to an http://
address that names it, and into no message.
"""

from __future__ import annotations

import base64
import contextlib
import email.message
import http.client
import os
import socket
import ssl
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

from ..core.redact import redact

# How long nothing may come, and how long all tries for one page or file may take.
IDLE_SECONDS = 20.0
TRIES = 4
WHOLE_SECONDS = 1800.0
# The longest that a server may ask to be left alone (Retry-After).
WAIT_SECONDS = 20.0
PAGE_BYTES = 64 << 20
CHUNK_BYTES = 1 << 17
AGAIN = (408, 425, 429, 500, 502, 503, 504)
# Of what a client says of itself; some mirrors refuse Python-urllib.
AGENT = "colab-ready"


class FetchError(Exception):
    """A page or file that does not come. `kind`: not_found, refused, certificate, no_roots, no_index, unreachable, slow, cut,
    server, hash, answer, disk.

    `again` tells whether trying once more may help, `wait` after how many seconds, where the server said so.
    """

    def __init__(self, kind: str, what: str, again: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.kind, self.again, self.wait = kind, again, wait


@dataclass(frozen=True)
class Network:
    """How to reach the network: variables as curl has them (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), and certificates."""

    proxies: dict[str, str] = field(default_factory=dict)
    # A file of roots that is the whole trust; None: the system's.
    roots: str | None = None
    client_certificate: str | None = None
    # Hosts, with or without a port, whose certificate is not asked for (pip's trusted-host).
    trusted_hosts: tuple[str, ...] = ()
    idle_seconds: float = IDLE_SECONDS
    tries: int = TRIES
    # How long all of it may take: a server may send a byte now and then.
    whole_seconds: float = WHOLE_SECONDS

    @classmethod
    def of(cls, variables: dict[str, str], trusted_hosts: tuple[str, ...] = ()) -> Network:
        """From variables in the environment's form, SSL_CERT_FILE and SSL_CLIENT_CERT among them."""
        names = {"HTTP_PROXY": "http", "HTTPS_PROXY": "https", "ALL_PROXY": "all", "NO_PROXY": "no"}
        proxies = {scheme: variables[name] for name, scheme in names.items() if variables.get(name)}
        timeout = variables.get("UV_HTTP_TIMEOUT") or variables.get("PIP_TIMEOUT") or ""
        idle = float(timeout) if timeout.isdigit() and int(timeout) else IDLE_SECONDS
        roots, own = variables.get("SSL_CERT_FILE"), variables.get("SSL_CLIENT_CERT")
        return cls(proxies, roots or None, own or None, trusted_hosts, idle)


class Answer(NamedTuple):
    """The last address, the headers, and the body to read."""

    url: str
    status: int
    headers: email.message.Message
    body: http.client.HTTPResponse


class Client:
    """Asks one address after the other; may be used by several threads at once."""

    def __init__(self, network: Network, sleep: Callable[[float], None] = time.sleep) -> None:
        self.network, self._sleep = network, sleep
        self._end = time.monotonic() + network.whole_seconds
        # What an address had before its @, by scheme and host: an index's files lie on the same host, named without it.
        self._userinfos: dict[tuple[str, str], str] = {}
        self.has_roots = network.roots is not None or _system_has_roots()

    def page(self, url: str, accept: str) -> tuple[str, str, bytes]:
        """Return a page: its last address, its Content-Type and its body. Raises FetchError."""

        def once() -> tuple[str, str, bytes]:
            with self._ask(url, {"Accept": accept, "Accept-Encoding": "gzip"}) as answer:
                body = b"".join(self._pieces(answer, url, PAGE_BYTES))
                if answer.headers.get("Content-Encoding", "").lower() == "gzip":
                    body = _unzipped(body, url)
                return answer.url, answer.headers.get("Content-Type", ""), body

        return self._patiently(once)

    def file(self, url: str, place: str, told: Callable[[int], None] = lambda count: None) -> None:
        """Fetch a file whose hash is checked later; what is at `place` already is the beginning of it. Raises FetchError."""

        def once() -> None:
            have = os.path.getsize(place) if os.path.exists(place) else 0
            more = {"Range": f"bytes={have}-"} if have else {}
            try:
                with (
                    self._ask(url, more) as answer,
                    open(place, "ab" if answer.status == 206 else "wb") as file,
                ):
                    told(have if answer.status == 206 else 0)
                    for piece in self._pieces(answer, url, None):
                        file.write(piece)
                        told(len(piece))
            except _PastTheEnd:
                # More than there is: another file, which the hash will tell.
                os.unlink(place)
                raise FetchError("cut", f"{_shown(url)} has another length now", again=True) from None
            except OSError as error:
                raise FetchError("disk", f"{place}: {error.strerror}") from None

        self._patiently(once)

    def _patiently(self, once: Callable[[], Any]) -> Any:
        """Try several times what may succeed when it is tried again."""
        for number in range(self.network.tries):
            try:
                return once()
            except FetchError as error:
                if not error.again or number + 1 == self.network.tries:
                    raise
                self._sleep(min(WAIT_SECONDS, error.wait if error.wait is not None else 0.5 * 3**number))
        raise AssertionError("at least one try")

    def _pieces(self, answer: Answer, url: str, most: int | None) -> Iterator[bytes]:
        count = 0
        length = answer.headers.get("Content-Length")
        while True:
            try:
                piece = answer.body.read1(CHUNK_BYTES)
            except TimeoutError:
                raise FetchError("slow", f"{_shown(url)} stopped sending", again=True) from None
            except (http.client.HTTPException, ssl.SSLError, ConnectionError) as error:
                raise FetchError("cut", f"{_shown(url)} broke off ({_reason(error)})", again=True) from None
            if not piece:
                break
            count += len(piece)
            if time.monotonic() > self._end:
                raise FetchError(
                    "slow", f"{_shown(url)} sends too slowly: not all came within {self.network.whole_seconds:.0f} s"
                )
            if most is not None and count > most:
                raise FetchError("answer", f"{_shown(url)} sends more than {most >> 20} MiB")
            yield piece
        if length is not None and length.isdigit() and count < int(length):
            raise FetchError("cut", f"{_shown(url)} broke off", again=True)

    @contextlib.contextmanager
    def _ask(self, url: str, headers: dict[str, str]) -> Iterator[Answer]:
        bare, userinfo = _without_userinfo(url)
        place = (urlsplit(bare).scheme, urlsplit(bare).netloc)
        userinfo = self._userinfos.setdefault(place, userinfo) if userinfo else self._userinfos.get(place, "")
        trusted = self._is_trusted(bare)
        headers = {"User-Agent": AGENT, **headers}
        if userinfo:
            if place[0] == "https" and not self.has_roots and not trusted:
                raise FetchError(
                    "no_roots", f"{_shown(url)} wants a password, and this system has no certificates to know it by"
                )
            headers["Authorization"] = "Basic " + base64.b64encode(unquote(userinfo).encode()).decode()
        # What a hash binds may come from anybody, where nobody can be known.
        opener = self._opener(bare, verified=self.has_roots and not trusted)
        try:
            response = opener.open(urllib.request.Request(bare, headers=headers), timeout=self.network.idle_seconds)
        except HTTPError as error:
            with error:
                raise _of_status(error, url) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _of_error(error, url) from None
        with response:
            yield Answer(response.geturl(), response.status, response.headers, response)

    def _is_trusted(self, url: str) -> bool:
        parts = urlsplit(url)
        return {parts.hostname, parts.netloc} & set(self.network.trusted_hosts) != set()

    def _opener(self, url: str, verified: bool) -> urllib.request.OpenerDirector:
        proxies = dict(self.network.proxies)
        without, everywhere = proxies.pop("no", ""), proxies.pop("all", None)
        if everywhere:
            proxies = {"http": everywhere, "https": everywhere, **proxies}
        if _is_without_proxy(url, without):
            proxies = {}
        context = (
            ssl.create_default_context(cafile=self.network.roots) if verified else ssl._create_unverified_context()
        )
        if self.network.client_certificate:
            context.load_cert_chain(self.network.client_certificate)
        return urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context), _Redirects()
        )


class _PastTheEnd(Exception):
    """The server has not that much of the file."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To another host without the password, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, _without_userinfo(newurl)[0])
        old, there = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and there.scheme != "https":
            raise URLError(f"it leads from https:// to {there.scheme}://")
        if new is not None and (old.scheme, old.netloc) != (there.scheme, there.netloc):
            new.remove_header("Authorization")
        return new


def _is_without_proxy(url: str, without: str) -> bool:
    """Whether NO_PROXY names the host, or a domain that it is in."""
    host = urlsplit(url).hostname or ""
    names = [one.strip().lstrip("*").lstrip(".").partition(":")[0] for one in without.split(",") if one.strip()]
    return any(not name or host == name or host.endswith(f".{name}") for name in names)


def _without_userinfo(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    userinfo, _at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), userinfo


def _shown(url: str) -> str:
    return redact(url)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error or type(error).__name__)[:200]


def _of_status(error: HTTPError, url: str) -> Exception:
    shown = _shown(url)
    if error.code == 416:
        return _PastTheEnd()
    if error.code in (404, 410):
        return FetchError("not_found", f"{shown} is not there ({error.code})")
    if error.code in (401, 403, 407):
        return FetchError("refused", f"{shown} wants a user name and a password, or others ({error.code})")
    wait = error.headers.get("Retry-After", "") if error.headers else ""
    seconds = float(wait) if wait.isdigit() else None
    again = error.code in AGAIN and (seconds is None or seconds <= WAIT_SECONDS)
    return FetchError("server", f"{shown} answers {error.code}", again, seconds)


def _of_error(error: Exception, url: str) -> FetchError:
    shown, reason = _shown(url), getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError("certificate", f"the certificate of {shown} is not accepted ({reason.verify_message})")
    if isinstance(reason, TimeoutError):
        return FetchError("slow", f"{shown} did not answer in time", again=True)
    broken_off = isinstance(reason, (http.client.HTTPException, ConnectionError, ssl.SSLError))
    if broken_off and not isinstance(reason, ConnectionRefusedError):
        return FetchError("cut", f"the connection to {shown} broke off ({_reason(reason)})", again=True)
    return FetchError(
        "unreachable", f"{shown} cannot be reached ({redact(_reason(error))})", isinstance(reason, socket.gaierror)
    )


def _unzipped(body: bytes, url: str) -> bytes:
    """A page that came compressed; never more than a page may be."""
    try:
        reader = zlib.decompressobj(wbits=31)
        page = reader.decompress(body, PAGE_BYTES)
    except zlib.error:
        raise FetchError("answer", f"{_shown(url)} sends what is no gzip") from None
    if reader.unconsumed_tail or not reader.eof:
        raise FetchError("answer", f"{_shown(url)} sends more than {PAGE_BYTES >> 20} MiB, or less than it began")
    return page


def _system_has_roots() -> bool:
    """Whether this Python finds any root certificate, as on a minimal Debian without ca-certificates it does not."""
    paths = ssl.get_default_verify_paths()
    file = paths.cafile and os.path.exists(paths.cafile) and os.path.getsize(paths.cafile)
    folder = paths.capath and os.path.isdir(paths.capath) and os.listdir(paths.capath)
    return bool(file or folder)

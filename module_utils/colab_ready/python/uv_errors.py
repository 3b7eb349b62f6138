# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv and pip print when they fail, said again as: what is wrong, what was expected, what to do.

Pure: text in, a Problem out. The texts are those of uv 0.13.9 and of the pips of Debian 12 and Ubuntu 22.04/24.04; the
tests keep recorded ones. What the code goes on from and what people meet is known here; all else is quoted, never guessed.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from ..core.clock import NO_LONGER, NOT_YET, SET_CLOCK, TRUE_TIME
from ..core.redact import redact
from ..core.remedy import give, reset

# A line that is slow or breaks off: the same may come with more patience.
LINE = "line"
# What is added to the words of a program that a signal ended.
KILLED = "it was ended by signal %d (%s)"
# Kinds that say "this source cannot be reached now", as opposed to "it answered, and the answer was no".
UNREACHABLE = ("no_network", "index_silent", "proxy", "tls", "clock", LINE)
# One whose address uv does not name.
SOME_INDEX = "the package index"
_NOT_IN_TIME = "does not answer in time"
_QUOTED_LINES = 12
_ADDRESS = re.compile(
    r"(?:Failed to (?:fetch: |download )|--find-links` URL: |\(Caused by .*?url: |for url \(|index(?: URL)? \(|"
    r"Could not fetch URL |while getting |Error: [^\n]* for url: |> URL: )[`<]?((?:https?|file)://[^\s`>)]+[^\s`>):])"
)
_AGAIN = "then ./colab-ready again; what was fetched already is kept"
_CHECK_INDEX = f"Check the network, the proxy and the index address (`pip config list`), {_AGAIN}"
_AN_ANSWER = "an index that answers"
_SET_CLOCK = SET_CLOCK[:1].upper() + SET_CLOCK[1:]
_WHOLE = "the whole file (it was tried again, with more patience)"
_BETTER_LINE = (
    "Run this again, on a better line if there is one: what came whole is kept. `timeout` in pip's configuration says how many "
    "seconds of silence are borne, and a mirror nearby may be quicker"
)
_LET_THROUGH = "the proxy of the host's pip configuration or HTTPS_PROXY to let requests through"
_CORRECT_PROXY = (
    "Correct the proxy, http://USER:PASSWORD@HOST:PORT, where it is set: in the variable HTTPS_PROXY (echo $HTTPS_PROXY), or as "
    f"`proxy` in pip's configuration (pip config list), {_AGAIN}"
)
_LOOK = "See what the disk has (sudo dmesg, df -h), and who may write there (ls -ld), then ./colab-ready again"
_WRITABLE = "a folder that the environment's owner may write"
_CORRECT_MODE = "Correct the owner or mode of the folder, or choose another one"
_LIST = """'{"colab_extra_packages": ["NAME"]}'"""
_OTHER_LIST = f"{give(_LIST)} with all that is still wanted; or {reset('colab_extra_packages')}"

# Kind, pattern, what is wrong, what was expected, what to do. The first group of the pattern that matched is {name}; {at} is the
# address that failed. The order matters: the innermost cause first (a full disk also looks like a failed download, a proxy like
# a dead index, a wrong Python like a conflict).
_KNOWN = (
    (
        "disk_full", r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b",
        "the disk is full{place}",
        "room for the packages (about 1 GB for the server and the CPU build of torch, more for a GPU's)",
        f"Make room (`df -h` shows where), {_AGAIN}",
    ),
    (
        "killed", r"it was ended by signal (\d+ \([^)]*\))", "uv was ended by signal {name}", "it to end by itself",
        "Where memory ran out the kernel says so (`dmesg`): close other programs, or give WSL more memory ([wsl2] memory= in "
        f".wslconfig on Windows, then wsl --shutdown), {_AGAIN}",
    ),
    (
        "hash_mismatch", r"Hash mismatch for `([^`]+)`|THESE PACKAGES DO NOT MATCH THE HASHES.*?\n\s+(\S+==\S+|\S+)",
        "what is handed out for {name} is not the file whose hash is locked",
        "the very files that the lock was made from",
        "Look at which mirror, extra index or wheel folder has another build of it (`pip config list`) and take it "
        f"out, {_AGAIN}. If none has, somebody tampers with the download",
    ),
    (
        "proxy", r"proxy authori[sz]ation|proxy authentication|407 Proxy",
        "the proxy on the way to {at} does not accept the user name and the password, or got none", _LET_THROUGH, _CORRECT_PROXY,
    ),
    (
        "proxy", r"tunnel error|Tunnel connection failed|ProxyError|Cannot connect to proxy",
        "the proxy does not answer on the way to {at}", _LET_THROUGH, _CORRECT_PROXY,
    ),
    (
        "clock", NOT_YET,
        "by this computer's clock the certificate of {at} is not valid yet", TRUE_TIME, f"{_SET_CLOCK}, {_AGAIN}",
    ),
    (
        "clock", NO_LONGER,
        "by this computer's clock the certificate of {at} has expired", f"{TRUE_TIME}, and an index that renews its certificate",
        f"{_SET_CLOCK}, {_AGAIN}. If the clock is right, tell who runs that index, or take another",
    ),
    (
        LINE,
        r"due to network timeout|error decoding response body|error reading a body|without sending TLS close_notify|"
        r"IncompleteRead|incomplete-download|Connection broken: |Response ended prematurely|handshake eof|"
        r"EOF occurred in violation|connection closed before message completed|RemoteDisconnected|stream error received",
        "the line is slow or broke off{coming}", _WHOLE, _BETTER_LINE,
    ),
    (
        LINE,
        r"Failed to extract archive: ([^\s-]+)|The structure of `([^`]+)`[^\n]*was invalid|Wheel '([^']+)' [^\n]*is invalid\.",
        "what came of {name} is not a whole file", _WHOLE,
        f"{_BETTER_LINE}. If it stays, something on the way answers in place of the index (a login page of the network: open the "
        "address in a browser; a filter), or the index has it broken",
    ),
    (
        "index_silent", r"InvalidContentType|WRONG_VERSION_NUMBER|wrong version number|record layer failure|invalid HTTP ",
        "{at} speaks another protocol than that", "https:// where the server has it, http:// where it has not", _CHECK_INDEX,
    ),
    (
        "tls", r"invalid peer certificate: (?:certificate )?not valid for name|NotValidForName|[Hh]ostname mismatch|"
        r"IP address mismatch|doesn't match",
        "the certificate that came from {at} is another server's", "one for this name",
        "Open the address in a browser: a network that wants a login first, or a filter, answers in its place. Otherwise correct "
        f"the address (`pip config list`), {_AGAIN}",
    ),
    (
        "tls", r"invalid peer certificate|CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError",
        "the certificate of {at} is not trusted",
        "a certificate that the host's bundle vouches for (a school's proxy has one of its own)",
        "Install that certificate (copy it to /usr/local/share/ca-certificates and run update-ca-certificates), or "
        f"name its file as `cert` in pip's configuration, {_AGAIN}",
    ),
    (
        "no_network",
        r"dns error|failed to lookup address|Name or service not known|Temporary failure in name resolution|"
        r"NameResolutionError|No address associated with hostname",
        "there is no network, or its name service does not know the host of {at}",
        "to reach the package index of the host's pip configuration",
        f"Check the network connection and the index address (`pip config list`), {_AGAIN}",
    ),
    (
        "index_silent", r"Network is unreachable|No route to host|os error 101\b|os error 113\b",
        "{at} cannot be reached over this network", _AN_ANSWER, _CHECK_INDEX,
    ),
    (
        "index_silent", r"Connection refused|Connection reset|os error 111\b|os error 104\b",
        "{at} refuses connections", _AN_ANSWER, _CHECK_INDEX,
    ),
    (
        "index_silent",
        r"operation timed out|ConnectTimeoutError|Read timed out|ReadTimeoutError|deadline has elapsed|os error 110\b",
        f"{{at}} {_NOT_IN_TIME}", _AN_ANSWER, _CHECK_INDEX,
    ),
    (
        "index_silent", r"client error \(((?:408|425|429)[^)]*)\)|((?:408|425|429) Client Error[^\n]*?) for url",
        "{at} has too much to do, or has had too many requests from this network ({name})", _AN_ANSWER,
        f"Wait some minutes, {_AGAIN}. In a room full of computers, set up a mirror",
    ),
    (
        "index_silent", r"HTTP status server error \((5\d\d[^)]*)\)|(5\d\d Server Error[^\n]*?) for url|HTTP error (5\d\d)",
        "{at} answers with an error of its own ({name})", _AN_ANSWER, _CHECK_INDEX,
    ),
    (
        "not_there",
        r"HTTP status client error \(404[^)]*\) for url \(([^)]+)\)|"
        r"failed to (?:query metadata of|open) file `([^`]+)`: No such file|"
        r"Failed to read `--find-links` directory: ([^\n]+)\n\s*cause: No such file",
        "there is no {name}", "a source that has the file", "Correct the address, or complete the mirror",
    ),
    (
        "credentials", r"\b(401|403)\b[^\n]*(?:Unauthorized|Forbidden)|(401|403) Client Error",
        "{at} refuses us (HTTP {name})",
        "an index address whose user and password, if it needs them, are right",
        f"Correct the index address in the host's pip configuration (`pip config list`), {_AGAIN}",
    ),
    (
        "damaged",
        r"`RECORD` file is invalid|`METADATA`[^\n]*(?:invalid|not found)|Failed to uninstall|Directory not empty|"
        r"Not a directory \(os error 20\)|Is a directory \(os error 21\)",
        "the environment is damaged ({causes})", "an environment that uv can read",
        "Take the folder away, then run ./colab-ready again",
    ),
    ("permission", r"Read-only file system|os error 30\b", "the file system is read-only{place}", _WRITABLE, _CORRECT_MODE),
    (
        "permission", r"Permission denied|os error 13\b|Operation not permitted",
        "permission is denied{place}", _WRITABLE, _CORRECT_MODE,
    ),
    (
        "wrong_python",
        r"Because (\S+) has no wheels with a matching|has no (?:usable )?wheels with a matching|"
        r"Because only [^\n]*?(\S+) (?:are|is) available and[^\n]*matching Python|"
        r"Because the current Python version[^\n]*does not satisfy[^\n]*?and (\S+) depends",
        "there is no file of {name} for this Python and this machine{hint}",
        "a Python version and a processor for which the package is made",
        f"Choose another Python: {give('python_env_python=PATH')}, or a source that has the fitting file",
    ),
    (
        "no_wheel",
        r"Wheels are required for `([^`]+)` because building from source is disabled|"
        r"Building source distributions for `([^`]+)` is disabled",
        "of {name} there is source alone, and nothing is built from source here, since that runs its code unchecked",
        "a wheel of it for this Python and this machine",
        f"Choose a version that has a wheel, or take it out: {_OTHER_LIST}. Who trusts its source can install it in a "
        "notebook (`%pip install`), or put a wheel of it into a find-links folder of pip's configuration",
    ),
    (
        "no_version",
        r"Because there (?:is|are) no versions? of (\S+)[^\n]*we can conclude|"
        r"Because (\S+) was not found in the (?:package registry|provided package locations)|"
        r"No matching distribution found for ([^\s(]+)",
        "no configured source has {name}", "an index, mirror or wheel folder that has it",
        "Check its spelling, that the mirror is complete (`pip config list` shows the sources), and that no login page of the "
        f"network answers in its place (open the address in a browser), {_AGAIN}",
    ),
    (
        "conflict", r"No solution found when resolving|ResolutionImpossible|conflicting dependencies",
        "the wanted packages do not fit together ({reason})",
        "packages that agree with each other, with the locked versions and with the backend's torch",
        f"Take one of them out, or name a version of it that fits: {_OTHER_LIST}",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One failure in words for a person, and in one word for the code."""

    kind: str
    what: str
    expected: str
    do: str
    # The address that failed, without credentials, where the text names one.
    address: str | None = None
    # The package that it is about, where the text names one.
    package: str = ""

    @property
    def unreachable(self) -> bool:
        return self.kind in UNREACHABLE

    @property
    def slow(self) -> bool:
        """Whether more patience may help."""
        return self.kind == LINE or self.what.endswith(_NOT_IN_TIME)

    def message(self, doing: str) -> str:
        """The one message; `doing` says what could not be done."""
        return f"{doing}: {self.what}. Expected {self.expected}. {self.do}."


def explain(output: str) -> Problem:
    """The first known failure in what uv or pip printed."""
    text = _without_warnings(redact(output))
    address = _first(_ADDRESS, text)
    for kind, pattern, what, expected, do in _KNOWN:
        match = re.search(pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            name = next((group for group in match.groups() if group), "")
            words = {"name": name.strip().rstrip(".") or "a package", "at": address or SOME_INDEX}
            what = what.format(**words, **_words(text, address))
            found = name if kind == "not_there" else address
            return Problem(kind, what, expected, do, found, re.split("[ =]", name)[0])
    return Problem(
        kind="unknown",
        what=f"uv ended with an error this project does not know:\n{_tail(text)}\n",
        expected="it to end well",
        do="Look at the lines above",
        address=address,
    )


# By the kind of a FetchError: what uv or pip would say of it, which tells what to do.
_OF_FETCH = {
    "not_found": "HTTP status client error (404) for url (x)",
    "refused": "401 Client Error",
    "certificate": "CERTIFICATE_VERIFY_FAILED",
    "slow": "operation timed out",
    "cut": "IncompleteRead",
    "server": "HTTP error 500",
    "hash": "Hash mismatch for `x`",
    "answer": "Wheel 'x' is invalid.",
    "disk": "",
    "unreachable": "",
}


def explain_fetch(kind: str, text: str) -> Problem:
    """What our own fetcher said, in its words, with what is expected and what to do of the same failure of uv."""
    if kind == "no_roots":
        return Problem("tls", text, "root certificates", f"Install the distribution's ca-certificates, {_AGAIN}")
    if kind == "no_index":
        do = f"sudo apt-get install python3-venv, which brings a pip, or name an index in pip's configuration, {_AGAIN}"
        return Problem("no_index", text, "a source of packages", do)
    found = explain(f"{text}\n{_OF_FETCH[kind]}")
    if found.kind == "unknown" and kind == "unreachable":
        found = Problem("index_silent", text, _AN_ANSWER, _CHECK_INDEX)
    elif found.kind == "unknown":
        found = Problem("os_error", text, "files and folders that can be read and written", _LOOK)
    return replace(found, what=text)


def missing_extra(output: str, names: Collection[str]) -> Problem | None:
    """uv only warns where a package lacks an extra: a torch without the kernels for the card would come, and fail later."""
    lacking = re.findall(r"The package `([^`=]+)(=[^`]*)` does not have an extra named `([^`]+)`", output)
    found = sorted({f"{name}{rest} has no extra {extra}" for name, rest, extra in lacking if name in names})
    if not found:
        return None
    return Problem(
        kind="no_extra",
        what=", ".join(found),
        expected="a build that has it",
        do="Choose another version of it, or correct the extra",
    )


NO_LOCK = Problem("input", "no lock of uv was given", "one, or a uv", "Set uv_lock to it, or uv to the path of a uv")


def not_there(place: str) -> Problem:
    """A file or folder that is not where it should be."""
    return explain(f"failed to open file `{place}`: No such file")


def explain_os_error(error: OSError) -> Problem:
    """A failure of our own reading or writing."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
        return explain(f"{error.strerror} to '{error.filename}'")
    place = f" ({error.filename})" if error.filename else ""
    return Problem(
        kind="os_error",
        what=f"{error.strerror or error}{place}",
        expected="files and folders that can be read and written",
        do=_LOOK,
    )


def _without_warnings(text: str) -> str:
    """A warning of uv, and the causes below it, is not why it failed, but may use the words of one that is (a WARNING of pip
    often is the why)."""
    kept, of_a_warning = [], False
    for line in text.splitlines():
        of_a_warning = line.lstrip().startswith("warning:") or (of_a_warning and line.lstrip().startswith("cause:"))
        kept += [] if of_a_warning else [line]
    return "\n".join(kept)


def _words(text: str, address: str | None) -> dict[str, str]:
    """What else a message may tell of the text."""
    # uv puts each cause in a line of its own.
    lines = [re.sub(r"^(error|cause):\s*", "", line.strip()) for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("Using Python", "hint:", "warning:", "Resolved "))]
    causes = "; ".join(kept[:4])
    reason = _first(re.compile(r"cause: (Because .*?)(?:\n\s*\n|\n\s*hint:|\Z)", re.DOTALL), text)
    hint = _first(re.compile(r"hint: (You require [^\n]*)"), text)
    place = _first(re.compile(r"[`'](/[^`']+)[`']|--find-links` directory: (/[^\n]+)"), text)
    coming = _first(re.compile(r"Failed to download `([^`:]+)`|> URL: \S*/([^/\s]+)"), text)
    return {
        "causes": causes,
        "reason": " ".join((reason or causes).split()).rstrip("."),
        "hint": f" ({hint})" if hint else "",
        "place": f" ({place})" if place else "",
        "coming": f" while {coming} came" if coming else (address and f" on the way to {address}") or "",
    }


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return next((group for group in match.groups() if group), None) if match else None


def _tail(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    return "\n".join("    " + line for line in lines[-_QUOTED_LINES:]) or "    (it printed nothing)"

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uv and pip print when they fail, said again as: what is wrong, what was expected, what to do.

Pure: text in, a Problem out. The texts are those of uv 0.13.9 and of the pips of Debian 12 and Ubuntu 22.04/24.04; the
tests keep recorded ones. What is not known is quoted, never guessed.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, replace
from typing import Callable, Collection

from ansible.module_utils.colab_ready.pip_config import redact

_AGAIN = "then run this again; what was fetched already is kept"
# Kinds that say "this source cannot be reached now", as opposed to "it answered, and the answer was no".
UNREACHABLE = ("no_network", "index_silent", "proxy", "tls")
_QUOTED_LINES = 12
_ADDRESS = re.compile(
    r"(?:Failed to (?:fetch: |download )|--find-links` URL: |\(Caused by .*?url: |for url \()[`<]?((?:https?|file)://[^\s`>)]+)"
)


@dataclass(frozen=True)
class Problem:
    """One failure in words for a person, and in one word for the code."""

    kind: str
    what: str
    expected: str
    do: str
    # The address that failed, without credentials, where the text names one.
    address: str | None = None
    # The package that it is about, where the code asks for that.
    package: str = ""

    @property
    def unreachable(self) -> bool:
        return self.kind in UNREACHABLE

    def message(self, doing: str) -> str:
        """The one message; `doing` says what could not be done."""
        return f"{doing}: {self.what}. Expected {self.expected}. {self.do}."


Words = Callable[[str, "re.Match[str]"], Problem]


def explain(output: str) -> Problem:
    """The first known failure in what uv or pip printed."""
    text = _without_warnings(redact(output))
    for pattern, words in _KNOWN:
        match = pattern.search(text)
        if match:
            return words(text, match)
    return Problem(
        kind="unknown",
        what=f"uv ended with an error this project does not know:\n{_tail(text)}\n",
        expected="it to end well",
        do="Look at the lines above",
        address=_address(text),
    )


def _without_warnings(text: str) -> str:
    """A warning of uv, and the causes below it, is not why it failed, but may use the words of one that is (a WARNING of pip
    often is the why)."""
    kept, of_a_warning = [], False
    for line in text.splitlines():
        of_a_warning = line.lstrip().startswith("warning:") or (of_a_warning and line.lstrip().startswith("cause:"))
        kept += [] if of_a_warning else [line]
    return "\n".join(kept)


def missing_extra(output: str, names: Collection[str]) -> Problem | None:
    """uv only warns where a package lacks an extra: a torch without the kernels for the card would come, and fail later."""
    for name in names:
        match = re.search(rf"The package `({re.escape(name)}=[^`]*)` does not have an extra named `([^`]+)`", output)
        if match:
            return Problem(
                kind="no_extra",
                what=f"{match.group(1)} has no extra {match.group(2)}",
                expected="a build that has it",
                do="Choose another version of it, or correct the extra",
            )
    return None


def not_there(address: str) -> Problem:
    """A file or folder that is not where it should be."""
    return Problem(
        kind="not_there",
        what=f"there is no {address}",
        expected="a source that has the file",
        do="Correct the address, or complete the mirror",
        address=address,
    )


def explain_download(output: str) -> Problem:
    """The same of `uv python install`, which asks no package index."""
    problem = explain(output)
    what = problem.what.replace("the package index", "the download").replace(
        "what the index hands out", "what is handed out"
    )
    return replace(problem, what=what)


def explain_os_error(error: OSError) -> Problem:
    """A failure of our own reading or writing."""
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(place)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        read_only = error.errno == errno.EROFS
        return Problem(
            kind="permission",
            what=f"{'the file system is read-only' if read_only else 'permission is denied'}{place}",
            expected="a folder that the environment's owner may write",
            do="Correct the owner or mode of the folder, or choose another one",
        )
    return Problem(
        kind="os_error",
        what=f"{error.strerror or error}{place}",
        expected="files and folders that can be read and written",
        do="Look at that place",
    )


def _address(text: str) -> str | None:
    match = _ADDRESS.search(text)
    return match.group(1) if match else None


def _tail(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    return "\n".join("    " + line for line in lines[-_QUOTED_LINES:]) or "    (it printed nothing)"


def _host_of(text: str) -> tuple[str | None, str]:
    address = _address(text)
    return address, f" {address}" if address else ""


def _causes(text: str) -> str:
    """The chain of causes in one line; uv puts each in a line of its own."""
    lines = [re.sub(r"^(error|cause):\s*", "", line.strip()) for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("Using Python", "hint:", "warning:", "Resolved "))]
    return "; ".join(kept[:4])


def _no_network(text: str, match: re.Match[str]) -> Problem:
    address, named = _host_of(text)
    return Problem(
        kind="no_network",
        what=f"there is no network, or its name service does not know the host of the package index{named}",
        expected="to reach the package index of the host's pip configuration",
        do=f"Check the network connection and the index address (`pip config list`), {_AGAIN}",
        address=address,
    )


def _index_silent(text: str, match: re.Match[str]) -> Problem:
    address, named = _host_of(text)
    how = "refuses connections"
    if re.search(r"timed? ?out", match.group(0), re.IGNORECASE):
        how = "does not answer in time"
    elif re.search(r"unreachable|No route", match.group(0)):
        how = "cannot be reached over this network"
    elif re.search(r"server error|\b5\d\d\b", match.group(0)):
        status = re.search(r"\b5\d\d\b[^)\n]{0,30}", match.group(0))
        how = f"answers with an error of its own ({status.group(0).strip() if status else '5xx'})"
    return Problem(
        kind="index_silent",
        what=f"the package index{named} {how}",
        expected="an index that answers",
        do=f"Check the network, the proxy and the index address (`pip config list`), {_AGAIN}",
        address=address,
    )


def _proxy(text: str, match: re.Match[str]) -> Problem:
    address, named = _host_of(text)
    refused = re.search(r"407|authentication|authorization", text, re.IGNORECASE)
    return Problem(
        kind="proxy",
        what=f"the proxy {'wants other credentials' if refused else 'does not answer'} on the way to the index{named}",
        expected="the proxy of the host's pip configuration or HTTPS_PROXY to let requests through",
        do=f"Correct the proxy setting (`pip config list`, and HTTPS_PROXY in the environment), {_AGAIN}",
        address=address,
    )


def _tls(text: str, match: re.Match[str]) -> Problem:
    address, named = _host_of(text)
    return Problem(
        kind="tls",
        what=f"the certificate of the package index{named} is not trusted",
        expected="a certificate that the host's bundle vouches for (a school's proxy has one of its own)",
        do=(
            "Install that certificate (copy it to /usr/local/share/ca-certificates and run update-ca-certificates), or "
            f"name its file as `cert` in pip's configuration, {_AGAIN}"
        ),
        address=address,
    )


def _credentials(text: str, match: re.Match[str]) -> Problem:
    named = re.search(r"index(?: URL)? \(([^)\s]+)\)", text)
    address = named.group(1) if named else _address(text)
    status = "401" if "401" in match.group(0) else "403"
    return Problem(
        kind="credentials",
        what=f"the package index{' ' + address if address else ''} refuses us (HTTP {status})",
        expected="an index address whose user and password, if it needs them, are right",
        do=f"Correct the index address in the host's pip configuration (`pip config list`), {_AGAIN}",
        address=address,
    )


def _hash_mismatch(text: str, match: re.Match[str]) -> Problem:
    package = next((group for group in match.groups() if group), "a package")
    return Problem(
        kind="hash_mismatch",
        what=f"what the index hands out for {package} is not the file whose hash is locked",
        expected="the very files that the lock was made from",
        do=(
            "Look at which mirror, extra index or wheel folder has another build of it (`pip config list`) and take it "
            f"out, {_AGAIN}. If none has, somebody tampers with the download"
        ),
    )


def _no_hash(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="lock",
        what=f"the lock has no hash for {match.group(1)}",
        expected="a hash for each locked package",
        do="Compile the lock again with `uv pip compile --universal --generate-hashes`",
    )


def _disk_full(place: str) -> Problem:
    return Problem(
        kind="disk_full",
        what=f"the disk is full{place}",
        expected="room for the packages (about 1 GB for the server and the CPU build of torch, more for a GPU's)",
        do=f"Make room (`df -h` shows where), {_AGAIN}",
    )


def _disk_full_seen(text: str, match: re.Match[str]) -> Problem:
    named = re.search(r"(?:file|directory|to|create) [`'](/[^`']+)[`']", text)
    return _disk_full(f" ({named.group(1)})" if named else "")


def _not_there(text: str, match: re.Match[str]) -> Problem:
    return not_there(match.group("address"))


def _bad_archive(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="bad_archive",
        what=f"the archive {match.group(1)} is damaged ({_causes(match.group(0))})",
        expected="a whole archive",
        do=f"Look at what the mirror has of it, {_AGAIN}",
    )


def _no_download(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="no_download",
        what=f"uv knows no download of {match.group(1)}",
        expected="a Python that is made for this host",
        do="Install one, and name it with python_env_python",
    )


def _wrong_python(text: str, match: re.Match[str]) -> Problem:
    package = next((group for group in match.groups() if group), "a package")
    found = re.search(r"You require (CPython [0-9.]+)[^,]*, but we only found wheels for .*?: (`[^\n]*`)", text)
    tail = f" (wanted: {found.group(1)}; there are files for {found.group(2)})" if found else ""
    return Problem(
        kind="wrong_python",
        what=f"there is no file of {package} for this Python and this machine{tail}",
        expected="a Python version and a processor for which the package is made",
        do="Choose another Python with python_env_python, or a source that has the fitting file",
    )


def _no_version(text: str, match: re.Match[str]) -> Problem:
    package = next((group for group in match.groups() if group), "a package")
    return Problem(
        kind="no_version",
        what=f"no configured source has {package}",
        expected="an index, mirror or wheel folder that has it",
        do=f"Check its spelling, and that the mirror is complete (`pip config list` shows the sources), {_AGAIN}",
    )


def _conflict(text: str, match: re.Match[str]) -> Problem:
    reason = re.search(r"cause: (Because .*?)(?:\n\s*\n|\n\s*hint:|\Z)", text, re.DOTALL)
    told = " ".join(reason.group(1).split()) if reason else _causes(text)
    return Problem(
        kind="conflict",
        what=f"the wanted packages do not fit together ({told.rstrip('.')})",
        expected="packages that agree with each other, with the locked versions and with the backend's torch",
        do="Take one of them out, or name a version of it that fits (colab_extra_packages)",
    )


def _interpreter(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="interpreter",
        what=f"there is no usable Python ({match.group(0).strip().rstrip('.')})",
        expected="a Python that starts",
        do="Install python3, or name a Python with python_env_python",
    )


def _permission(text: str, match: re.Match[str]) -> Problem:
    named = re.search(r"[`'](/[^`']+)[`']", text)
    return Problem(
        kind="permission",
        what=f"permission is denied{f' ({named.group(1)})' if named else ''}",
        expected="a folder that the environment's owner may write",
        do="Correct the owner or mode of the folder, or choose another one",
    )


def _damaged(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="damaged",
        what=f"the environment is damaged ({_causes(text)})",
        expected="an environment that uv can read",
        do="Take the folder away, then run this again",
    )


def _locked_by_other(text: str, match: re.Match[str]) -> Problem:
    return Problem(
        kind="busy",
        what="another uv holds the lock of this environment or cache",
        expected="to be the only one that changes it",
        do="Wait until the other run has ended, then run this again",
    )


def _no_wheel(text: str, match: re.Match[str]) -> Problem:
    package = next((group for group in match.groups() if group), "a package")
    return Problem(
        kind="no_wheel",
        what=f"of {package} there is source alone, and nothing is built from source here, since that runs its code unchecked",
        expected="a wheel of it for this Python and this machine",
        do=(
            "Choose a version that has a wheel, or take it out (colab_extra_packages). Who trusts its source can install it in a "
            "notebook (`%pip install`), or put a wheel of it into a find-links folder of pip's configuration"
        ),
        package=package.partition(" ")[0].partition("=")[0],
    )


def _build(text: str, match: re.Match[str]) -> Problem:
    package = next((group for group in match.groups() if group), "a package")
    return Problem(
        kind="build",
        what=f"{package} has no ready-made file for this host and cannot be built here:\n{_tail(text)}\n",
        expected="a wheel, or the compilers and headers its source needs",
        do="Choose a version that has a wheel for this Python, or install what the lines above miss",
    )


def _rule(pattern: str, words: Words) -> tuple[re.Pattern[str], Words]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL), words


# The order matters: the innermost cause first (a full disk also looks like a failed download, a proxy like a dead
# index, a wrong Python like a conflict).
_KNOWN: tuple[tuple[re.Pattern[str], Words], ...] = (
    _rule(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b", _disk_full_seen),
    _rule(r"Hash mismatch for `([^`]+)`", _hash_mismatch),
    _rule(r"THESE PACKAGES DO NOT MATCH THE HASHES.*?\n\s+(\S+==\S+|\S+)", _hash_mismatch),
    _rule(r"must have a hash, but none were provided for: ([^\n]+)", _no_hash),
    _rule(r"tunnel error|ProxyError|Cannot connect to proxy|407 Proxy|proxy auth", _proxy),
    _rule(r"invalid peer certificate|CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError", _tls),
    _rule(
        r"dns error|failed to lookup address|Name or service not known|Temporary failure in name resolution|"
        r"NameResolutionError|No address associated with hostname",
        _no_network,
    ),
    _rule(r"Network is unreachable|No route to host|os error 101\b|os error 113\b", _index_silent),
    _rule(r"Connection refused|Connection reset|os error 111\b|os error 104\b", _index_silent),
    _rule(
        r"operation timed out|ConnectTimeoutError|Read timed out|ReadTimeoutError|deadline has elapsed|os error 110\b",
        _index_silent,
    ),
    _rule(r"HTTP status server error \(5\d\d[^)]*\)|5\d\d Server Error[^\n]*", _index_silent),
    _rule(r"HTTP status client error \(404[^)]*\) for url \((?P<address>[^)]+)\)", _not_there),
    _rule(r"failed to (?:query metadata of|open) file `(?P<address>[^`]+)`: No such file", _not_there),
    _rule(r"Failed to read `--find-links` directory: (?P<address>[^\n]+)\n\s*cause: No such file", _not_there),
    _rule(r"No download found for request: (\S+)", _no_download),
    _rule(r"Failed to extract archive: (\S+).*", _bad_archive),
    _rule(r"\b401\b[^\n]*Unauthorized|401 Client Error|\b403 Forbidden|403 Client Error", _credentials),
    _rule(
        r"`RECORD` file is invalid|`METADATA`[^\n]*(?:invalid|not found)|Failed to uninstall|Directory not empty|"
        r"Not a directory \(os error 20\)|Is a directory \(os error 21\)",
        _damaged,
    ),
    _rule(r"Permission denied|os error 13\b|Read-only file system|os error 30\b", _permission),
    _rule(r"Timeout[^\n]*lock|waiting to acquire lock[^\n]*timed out|Failed to acquire lock", _locked_by_other),
    _rule(
        r"No interpreter found[^\n]*|No virtual environment or system Python installation found[^\n]*|"
        r"Failed to inspect Python interpreter[^\n]*|Broken symlink at[^\n]*|Querying Python at[^\n]*failed[^\n]*",
        _interpreter,
    ),
    _rule(r"Because (\S+) has no wheels with a matching|has no (?:usable )?wheels with a matching", _wrong_python),
    _rule(r"Because only [^\n]*?(\S+) (?:are|is) available and[^\n]*matching Python", _wrong_python),
    _rule(r"Because the current Python version[^\n]*does not satisfy[^\n]*?and (\S+) depends", _wrong_python),
    _rule(
        r"Wheels are required for `([^`]+)` because building from source is disabled|"
        r"Building source distributions for `([^`]+)` is disabled",
        _no_wheel,
    ),
    _rule(r"Failed to build `([^`]+)`|Building wheel for (\S+)[^\n]*error|Call to `[^`]+` failed", _build),
    _rule(r"Because there (?:is|are) no versions? of (\S+)[^\n]*we can conclude", _no_version),
    _rule(r"Because (\S+) was not found in the (?:package registry|provided package locations)", _no_version),
    _rule(r"No matching distribution found for ([^\s(]+)", _no_version),
    _rule(r"No solution found when resolving|ResolutionImpossible|conflicting dependencies", _conflict),
)  # fmt: skip

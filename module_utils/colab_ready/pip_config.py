# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's pip configuration, read as pip reads it and said again in uv's words.

uv reads neither pip.conf nor PIP_* on purpose (its manual, "Compatibility with pip"), but a school sets its mirror,
its proxy and its certificate exactly there. Nothing here touches the disk or the network: text comes in, data goes
out. Addresses may carry credentials, so they leave this file through environment variables only, and `redact` goes
over whatever a human reads.
"""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Mapping, Sequence
from urllib.parse import quote, unquote, urlsplit

# pip's own long names for one destination (pip/_internal/cli/cmdoptions.py): all of them work in a file and as PIP_*.
ALIASES = {
    "pypi-url": "index-url",
    "default-timeout": "timeout",
}
# The options of `pip install` that say where packages come from and how to get there.
KEYS = (
    "index-url",
    "extra-index-url",
    "find-links",
    "no-index",
    "cert",
    "client-cert",
    "proxy",
    "trusted-host",
    "timeout",
    "retries",
    "keyring-provider",
)
LISTS = ("extra-index-url", "find-links", "trusted-host")
SECTIONS = ("global", "install")

# What a child may inherit besides our own translation: how to reach the network, and what uv was told directly.
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT")
UV_SOURCE_VARIABLES = (
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_INDEX_STRATEGY",
    "UV_KEYRING_PROVIDER",
    "UV_OFFLINE",
    "UV_SYSTEM_CERTS",
    "UV_CONFIG_FILE",
)
UV_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")

_TRUE = ("y", "yes", "t", "true", "on", "1")
_FALSE = ("n", "no", "f", "false", "off", "0")
# A password may hold what belongs percent-encoded: then nobody can use the address, and it stands in the message that says so.
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<userinfo>[^/\s'\"]+(:(?!\d*/)[^\s'\"]*)?)@")


class PipConfigError(Exception):
    """A configuration that pip itself would refuse; the text is the one message for the user."""


@dataclass(frozen=True)
class Sources:
    """Where packages come from on this host."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout: int | None = None
    retries: int | None = None
    keyring_provider: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Nothing is left that a package could come from."""
        return self.no_index and not self.find_links

    def note(self, text: str) -> Sources:
        return replace(self, notes=self.notes + (text,))

    def without(self, address: str) -> Sources:
        """The sources less the one that `address` belongs to: a dead index is skipped by pip, but ends a uv run."""
        for known in self.extra_index_urls:
            if _belongs(address, known):
                return replace(self, extra_index_urls=tuple(one for one in self.extra_index_urls if one != known))
        for known in self.find_links:
            if _belongs(address, known):
                return replace(self, find_links=tuple(one for one in self.find_links if one != known))
        if self.no_index:
            return self
        # Neither extra nor a folder: it is the main index, be it the configured one or uv's built-in one.
        if self.extra_index_urls:
            return replace(self, index_url=self.extra_index_urls[0], extra_index_urls=self.extra_index_urls[1:])
        return replace(self, index_url=None, no_index=True)

    def only_index(self, address: str) -> Sources:
        """The same network settings, but this one index and nothing else."""
        return replace(self, index_url=address, extra_index_urls=(), find_links=(), no_index=False)

    def only_links(self, place: str) -> Sources:
        """The same network settings, but this one page or folder of wheels and nothing else."""
        return replace(self, index_url=None, extra_index_urls=(), find_links=(place,), no_index=True)

    def led_by(self, index: str | None, place: str | None = None) -> Sources:
        """All sources, and before them this index, or beside them this page or folder of wheels."""
        if place:
            return replace(self, find_links=(place, *(one for one in self.find_links if one != place)))
        if not index:
            return self
        if self.no_index:
            return replace(self, index_url=index, extra_index_urls=(), no_index=False)
        return replace(self, extra_index_urls=(index, *(one for one in self.extra_index_urls if one != index)))

    def secrets(self) -> list[str]:
        """What must not be read in a log or a result."""
        proxy = [f"http://{self.proxy}"] if self.proxy and "://" not in self.proxy else [self.proxy or ""]
        found: list[str] = []
        for address in (self.index_url or "", *self.extra_index_urls, *self.find_links, *proxy):
            found.extend(one for one in secrets_in(address) if one not in found)
        return found

    def describe(self) -> dict[str, object]:
        """For a result that people read: no credentials."""
        return {
            "index": redact(self.index_url) if self.index_url and not self.no_index else None,
            "extra_indexes": [redact(one) for one in self.extra_index_urls],
            "find_links": [redact(one) for one in self.find_links],
            "no_index": self.no_index,
        }


def redact(text: str) -> str:
    """The text with the user and password of every address in it covered."""
    return _USERINFO.sub(lambda match: match.group("scheme") + "***@", text)


def secrets_in(text: str) -> list[str]:
    """Every userinfo in the text and every password alone, plain and percent-decoded, for a log filter."""
    found: list[str] = []
    for match in _USERINFO.finditer(text):
        userinfo = match.group("userinfo")
        name, separator, password = userinfo.partition(":")
        # A token is often written as the user with no password behind it.
        secret = password if separator else name
        for one in (userinfo, secret, unquote(secret)):
            if len(one) >= 4 and one not in found:
                found.append(one)
    return found


def user_config_files(home: str, environ: Mapping[str, str]) -> list[str]:
    """The files of one user, the weaker first (pip: legacy ~/.pip, then the XDG place)."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    return [os.path.join(home, ".pip", "pip.conf"), os.path.join(base, "pip", "pip.conf")]


def global_config_files(environ: Mapping[str, str]) -> list[str]:
    """The files of the whole host, the weaker first (pip: every XDG_CONFIG_DIRS entry, then /etc)."""
    folders = [one for one in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if one]
    return [os.path.join(folder, "pip", "pip.conf") for folder in folders] + ["/etc/pip.conf"]


def config_files(environ: Mapping[str, str], homes: Sequence[str], exists: bool | None = None) -> list[str]:
    """Every file pip would look at, the weakest first.

    `homes` are the users' home directories, the strongest first. PIP_CONFIG_FILE comes last; when that file exists pip
    leaves the users' files out, and /dev/null switches all files off (pip/_internal/configuration.py). `exists` says
    whether the PIP_CONFIG_FILE is there (None: look).
    """
    extra = environ.get("PIP_CONFIG_FILE")
    if extra == os.devnull:
        return []
    files = global_config_files(environ)
    extra_exists = bool(extra) and (os.path.exists(extra or "") if exists is None else exists)
    if not extra_exists:
        for place, home in enumerate(reversed(homes)):
            # XDG_CONFIG_HOME belongs to the caller, who is the strongest.
            xdg = environ if place == len(homes) - 1 else {}
            files.extend(user_config_files(home, xdg))
    if extra:
        files.append(extra)
    return list(dict.fromkeys(files))


def parse_config(text: str, path: str) -> dict[str, dict[str, str]]:
    """The [global] and [install] sections of one file, keys as pip spells them."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, source=path)
    except configparser.Error as error:
        # The parser's own text quotes lines of the file, and a line may hold a password.
        line = getattr(error, "lineno", None)
        numbers = [number for number, _text in getattr(error, "errors", [])]
        where = f" (line {line or numbers[0]})" if line or numbers else ""
        raise PipConfigError(
            f"pip's configuration file {path} cannot be read{where}: {type(error).__name__}. Expected sections such as "
            "[global] with 'name = value' lines. Repair the file (`pip config debug` shows it), or take it away."
        ) from None
    sections: dict[str, dict[str, str]] = {}
    for section in parser.sections():
        if section.lower() not in SECTIONS:
            continue
        values = sections.setdefault(section.lower(), {})
        for name, value in parser.items(section):
            values[_key(name)] = value
    return sections


def merge(files: Sequence[tuple[str, str]], environ: Mapping[str, str], home: str | None = None) -> Sources:
    """One set of sources from the files (path and text, the weakest first) and the environment.

    As in pip: within a section a later file replaces an earlier one key by key (lists too), [install] replaces
    [global] whatever file it is in, PIP_* replaces both, and an empty value counts as not said.
    """
    sections: dict[str, dict[str, str]] = {name: {} for name in SECTIONS}
    for path, text in files:
        for section, values in parse_config(text, path).items():
            sections[section].update(values)
    merged: dict[str, tuple[str, str]] = {}
    for section in SECTIONS:
        for key, value in sections[section].items():
            if value and key in KEYS:
                merged[key] = (value, f"[{section}] {key} in pip's configuration")
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            key = _key(name[len("PIP_") :])
            if key in KEYS:
                merged[key] = (value, name)
    return _sources(merged, home)


def network_environment(sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """Proxy and certificate variables, understood alike by uv, pip and Python itself."""
    result: dict[str, str] = {}
    for name in PROXY_VARIABLES:
        value = environ.get(name) or environ.get(name.lower())
        if value:
            result[name] = value
    for name in CERTIFICATE_VARIABLES:
        if environ.get(name):
            result[name] = environ[name]
    if sources.proxy:
        # pip: an explicit proxy is for every host and puts NO_PROXY out of force.
        proxy = sources.proxy if "://" in sources.proxy else "http://" + sources.proxy
        result.pop("NO_PROXY", None)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            result[name] = proxy
    bundle = sources.cert or environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if sources.cert or (bundle and "SSL_CERT_FILE" not in result):
        # As with pip, a bundle given by name is the whole trust, not an addition.
        result.pop("SSL_CERT_DIR", None)
        result["SSL_CERT_FILE"] = bundle or ""
    if sources.client_cert:
        result["SSL_CLIENT_CERT"] = sources.client_cert
    for name in PROXY_VARIABLES:
        if name in result:
            result[name.lower()] = result[name]
    return result


def uv_environment(sources: Sources, environ: Mapping[str, str], system_certificates: bool = True) -> dict[str, str]:
    """The variables that make uv use these sources (names: uv 0.13.9, `uv help pip install`)."""
    result = network_environment(sources, environ)
    if system_certificates:
        # uv brings its own roots; a school's intercepting proxy is only in the system's bundle.
        result["UV_SYSTEM_CERTS"] = "1"
    if sources.index_url and not sources.no_index:
        result["UV_DEFAULT_INDEX"] = sources.index_url
    if sources.extra_index_urls and not sources.no_index:
        result["UV_INDEX"] = " ".join(sources.extra_index_urls)
        # pip looks at all indexes and takes the best version; uv would stop at the first that knows the name.
        result["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if sources.find_links:
        result["UV_FIND_LINKS"] = ",".join(_uv_find_link(one) for one in sources.find_links)
    if sources.trusted_hosts:
        result["UV_INSECURE_HOST"] = " ".join(sources.trusted_hosts)
    if sources.timeout is not None:
        result["UV_HTTP_TIMEOUT"] = str(sources.timeout)
    if sources.retries is not None:
        result["UV_HTTP_RETRIES"] = str(sources.retries)
    if sources.keyring_provider:
        result["UV_KEYRING_PROVIDER"] = sources.keyring_provider
    return result


def with_uv_settings(sources: Sources, environ: Mapping[str, str]) -> Sources:
    """The sources, with what the caller told uv itself, which wins."""
    found: dict[str, Any] = {}
    index = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    if index:
        found["index_url"] = index
    extra = environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL")
    if extra:
        found["extra_index_urls"] = tuple(extra.split())
    if environ.get("UV_FIND_LINKS"):
        found["find_links"] = tuple(one for one in environ["UV_FIND_LINKS"].split(",") if one)
    if environ.get("UV_INSECURE_HOST"):
        found["trusted_hosts"] = tuple(environ["UV_INSECURE_HOST"].split())
    return replace(sources, **found)


def inherited_uv_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What else the caller told uv about sources. The rest of UV_* (UV_PYTHON, UV_TARGET ...) would misdirect us."""
    return {
        name: value
        for name, value in environ.items()
        if value and (name in UV_SOURCE_VARIABLES or UV_CREDENTIALS.fullmatch(name))
    }


def uv_arguments(sources: Sources) -> list[str]:
    """uv has no variable for this one."""
    return ["--no-index"] if sources.no_index else []


def pip_environment(sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """The same sources for a pip that must not read the configuration a second time (it may run as another user)."""
    result = network_environment(sources, environ)
    result["PIP_CONFIG_FILE"] = os.devnull
    values: dict[str, object] = {
        "PIP_INDEX_URL": sources.index_url,
        "PIP_EXTRA_INDEX_URL": " ".join(sources.extra_index_urls),
        "PIP_FIND_LINKS": " ".join(_pip_find_link(one) for one in sources.find_links),
        "PIP_NO_INDEX": "1" if sources.no_index else None,
        "PIP_CERT": sources.cert,
        "PIP_CLIENT_CERT": sources.client_cert,
        "PIP_PROXY": sources.proxy,
        "PIP_TRUSTED_HOST": " ".join(sources.trusted_hosts),
        "PIP_TIMEOUT": sources.timeout,
        "PIP_RETRIES": sources.retries,
    }
    result.update({name: str(value) for name, value in values.items() if value not in (None, "")})
    if "SSL_CERT_FILE" in result and "PIP_CERT" not in result:
        # pip's own bundle (certifi) wins over SSL_CERT_FILE unless it is told.
        result["PIP_CERT"] = result["SSL_CERT_FILE"]
    return result


def _key(name: str) -> str:
    key = name.lower().replace("_", "-")
    if key.startswith("--"):
        key = key[2:]
    return ALIASES.get(key, key)


def _sources(merged: Mapping[str, tuple[str, str]], home: str | None) -> Sources:
    notes: list[str] = []

    def text(key: str) -> str | None:
        return merged[key][0].strip() or None if key in merged else None

    def words(key: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(merged[key][0].split())) if key in merged else ()

    def number(key: str) -> int | None:
        if key not in merged:
            return None
        value, origin = merged[key]
        try:
            return max(0, int(float(value)))
        except (ValueError, OverflowError):
            raise PipConfigError(
                f"{origin} is '{value}'. Expected a whole number. Correct it: `pip config debug` shows where it is set."
            ) from None

    def boolean(key: str) -> bool:
        if key not in merged:
            return False
        value, origin = merged[key]
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() in _FALSE:
            return False
        raise PipConfigError(
            f"{origin} is '{value}'. Expected true or false. Correct it: `pip config debug` shows where it is set."
        )

    def expanded(value: str) -> str:
        if home and (value == "~" or value.startswith("~/")):
            return home + value[1:]
        return value

    keyring = text("keyring-provider")
    if keyring not in (None, "disabled", "subprocess"):
        if keyring == "import":
            notes.append("pip's keyring-provider 'import' does not exist in uv: credentials in a keyring are not used")
        keyring = None
    cert, client_cert = text("cert"), text("client-cert")
    for name, place in (("cert", cert), ("client-cert", client_cert)):
        # Who opens a pipe waits for whoever made it, and root opens this one.
        if place and os.path.exists(expanded(place)) and not os.path.isfile(expanded(place)):
            raise PipConfigError(
                f"{merged[name][1]} is '{place}', which is no plain file. Expected a file of certificates. Correct it: "
                "`pip config debug` shows where it is set."
            )
    return Sources(
        index_url=text("index-url"),
        extra_index_urls=words("extra-index-url"),
        find_links=tuple(expanded(one) for one in words("find-links")),
        no_index=boolean("no-index"),
        cert=expanded(cert) if cert else None,
        client_cert=expanded(client_cert) if client_cert else None,
        proxy=text("proxy"),
        trusted_hosts=words("trusted-host"),
        timeout=number("timeout"),
        retries=number("retries"),
        keyring_provider=keyring,
        notes=tuple(notes),
    )


def _belongs(address: str, source: str) -> bool:
    """Whether a fetched address lies under a source, whatever credentials either carries."""
    return _bare(address).startswith(_bare(source))


def _bare(address: str) -> str:
    parts = urlsplit(address)
    if not parts.netloc:
        return address.rstrip("/") + "/"
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{host}{path}/"


def _uv_find_link(value: str) -> str:
    """UV_FIND_LINKS is split at commas, so a path with one must become an address."""
    if "," in value and "://" not in value:
        return "file://" + quote(os.path.abspath(value))
    return value.replace(",", "%2C")


def _pip_find_link(value: str) -> str:
    """PIP_FIND_LINKS is split at blanks."""
    if " " in value and "://" not in value:
        return "file://" + quote(os.path.abspath(value))
    return value.replace(" ", "%20")

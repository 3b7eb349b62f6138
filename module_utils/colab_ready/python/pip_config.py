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
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from ..core.redact import redact

# pip's own long names for one destination (pip/_internal/cli/cmdoptions.py): all of them work in a file and as PIP_*.
ALIASES = {
    "pypi-url": "index-url",
    "default-timeout": "timeout",
}
# The options of `pip install` that say where packages come from and how to get there, and what they are called in Sources.
OPTIONS = {
    "index-url": "index_url",
    "extra-index-url": "extra_index_urls",
    "find-links": "find_links",
    "no-index": "no_index",
    "cert": "cert",
    "client-cert": "client_cert",
    "proxy": "proxy",
    "trusted-host": "trusted_hosts",
    "timeout": "timeout",
    "retries": "retries",
    "keyring-provider": "keyring_provider",
}
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
)
UV_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")
MAY_HOLD_PASSWORD = re.compile(
    rf"UV_DEFAULT_INDEX|UV_INDEX|UV_FIND_LINKS|{UV_CREDENTIALS.pattern}|(?i:(http|https|all)_proxy)"
)

_BOOLEANS = {
    **dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True),
    **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False),
}
# A password may hold what belongs percent-encoded: then nobody can use the address, and it stands in the message that says so.


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
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing is left that a package could come from."""
        return self.no_index and not self.find_links

    @property
    def addresses(self) -> list[str]:
        """What is asked, without credentials; empty where the configuration names nothing."""
        indexes = () if self.no_index else (self.index_url or "the usual index", *self.extra_index_urls)
        is_named = bool(self.index_url or self.extra_index_urls or self.find_links)
        return [redact(one) for one in (*indexes, *self.find_links)] if is_named else []

    def note(self, text: str) -> Sources:
        return replace(self, notes=self.notes + (text,))

    def without(self, address: str) -> Sources:
        """The sources less the one that `address` belongs to: a dead index is skipped by pip, but ends a uv run."""
        indexes = tuple(one for one in self.extra_index_urls if not _belongs(address, one))
        links = tuple(one for one in self.find_links if not _belongs(address, one))
        if (indexes, links) != (self.extra_index_urls, self.find_links):
            return replace(self, extra_index_urls=indexes, find_links=links)
        if self.no_index:
            return self
        # Neither extra nor a folder: it is the main index, be it the configured one or uv's built-in one.
        if self.extra_index_urls:
            return replace(self, index_url=self.extra_index_urls[0], extra_index_urls=self.extra_index_urls[1:])
        return replace(self, index_url=None, no_index=True)

    def only(self, index: str | None, place: str | None) -> Sources:
        """The same network settings, but this one index, or page or folder of wheels, and nothing else."""
        links = (place,) if place else ()
        return replace(self, index_url=index, extra_index_urls=(), find_links=links, no_index=not index)

    def led_by(self, index: str | None, place: str | None) -> Sources:
        """All sources, and before them this index, or beside them this page or folder of wheels."""
        if place:
            return replace(self, find_links=(place, *(one for one in self.find_links if one != place)))
        if self.no_index:
            return replace(self, index_url=index, extra_index_urls=(), no_index=False)
        others = (one for one in self.extra_index_urls if one != index)
        return replace(self, extra_index_urls=(index or "", *others))

    def describe(self) -> dict[str, object]:
        """For a result that people read: no credentials."""
        return {
            "index": redact(self.index_url) if self.index_url and not self.no_index else None,
            "extra_indexes": [redact(one) for one in self.extra_index_urls],
            "find_links": [redact(one) for one in self.find_links],
            "no_index": self.no_index,
        }


def global_config_files(environ: Mapping[str, str]) -> list[str]:
    """The files of the whole host, the weaker first (pip: every XDG_CONFIG_DIRS entry, then /etc)."""
    folders = [one for one in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":") if one]
    return [os.path.join(folder, "pip", "pip.conf") for folder in folders] + ["/etc/pip.conf"]


def config_files(environ: Mapping[str, str], homes: Sequence[str]) -> list[str]:
    """Every file pip would look at, the weakest first.

    `homes` are the users' home directories, the strongest first. PIP_CONFIG_FILE comes last; when that file exists pip
    leaves the users' files out, and /dev/null switches all files off (pip/_internal/configuration.py).
    """
    extra = environ.get("PIP_CONFIG_FILE")
    if extra == os.devnull:
        return []
    files = global_config_files(environ)
    for home in reversed(homes if not (extra and os.path.exists(extra)) else []):
        # XDG_CONFIG_HOME belongs to the caller, who is the strongest.
        xdg = environ.get("XDG_CONFIG_HOME") if home == homes[0] else None
        files += [
            os.path.join(home, ".pip/pip.conf"),
            os.path.join(xdg or os.path.join(home, ".config"), "pip/pip.conf"),
        ]
    return list(dict.fromkeys([*files, *([extra] if extra else [])]))


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
            f"pip's configuration file {path} cannot be read{where}: {type(error).__name__}. Expected a section such as "
            f"[global], and below it lines 'name = value'. Correct the file, or move it away (sudo mv {path} {path}.old), then "
            "start again."
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
    sections: dict[str, dict[str, tuple[str, str]]] = {name: {} for name in SECTIONS}
    for path, text in files:
        for section, values in parse_config(text, path).items():
            sections[section].update({key: (value, f"{key} in {path}") for key, value in values.items()})
    merged: dict[str, tuple[str, str]] = {}
    for section in SECTIONS:
        merged.update({key: told for key, told in sections[section].items() if told[0] and key in OPTIONS})
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            key = _key(name[len("PIP_") :])
            if key in OPTIONS:
                merged[key] = (value, name)
    return _sources(merged, home)


def network_environment(sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """Proxy and certificate variables, understood alike by uv, pip and Python itself."""
    proxies = {name: environ.get(name) or environ.get(name.lower()) for name in PROXY_VARIABLES}
    result = _said({**proxies, **{name: environ.get(name) for name in CERTIFICATE_VARIABLES}})
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


def fetch_order(sources: Sources, environ: Mapping[str, str]) -> dict[str, Any]:
    """The same sources for fetch/command.py: {places, network, trusted_hosts}, as JSON can say it."""
    variables = {**inherited_uv_settings(environ), **network_environment(sources, environ)}
    if sources.timeout:
        variables["UV_HTTP_TIMEOUT"] = str(sources.timeout)
    places = {
        "index_url": _with_credentials(sources.index_url or "", environ),
        "extra_index_urls": [_with_credentials(one, environ) for one in sources.extra_index_urls],
        "find_links": list(sources.find_links),
        "no_index": sources.no_index,
    }
    return {"places": places, "network": variables, "trusted_hosts": list(sources.trusted_hosts)}


def uv_environment(sources: Sources, environ: Mapping[str, str], system_certificates: bool = True) -> dict[str, str]:
    """The variables that make uv use these sources (names: uv 0.13.9, `uv help pip install`)."""
    values = {
        # uv brings its own roots; a school's intercepting proxy is only in the system's bundle.
        "UV_SYSTEM_CERTS": "1" if system_certificates else None,
        "UV_DEFAULT_INDEX": None if sources.no_index else sources.index_url,
        "UV_INDEX": "" if sources.no_index else " ".join(sources.extra_index_urls),
        "UV_FIND_LINKS": ",".join(_link(one, ",") for one in sources.find_links),
        "UV_INSECURE_HOST": " ".join(sources.trusted_hosts),
        "UV_HTTP_TIMEOUT": sources.timeout,
        "UV_HTTP_RETRIES": sources.retries,
        "UV_KEYRING_PROVIDER": sources.keyring_provider,
    }
    if values["UV_INDEX"]:
        # pip looks at all indexes and takes the best version; uv would stop at the first that knows the name.
        values["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {**network_environment(sources, environ), **_said(values)}


def with_uv_settings(sources: Sources, environ: Mapping[str, str]) -> Sources:
    """The sources, with what the caller told uv itself, which wins."""
    told: dict[str, Any] = {
        "index_url": environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL"),
        "extra_index_urls": tuple((environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL") or "").split()),
        "find_links": tuple(one for one in environ.get("UV_FIND_LINKS", "").split(",") if one),
        "trusted_hosts": tuple(environ.get("UV_INSECURE_HOST", "").split()),
    }
    return replace(sources, **{name: value for name, value in told.items() if value})


def inherited_uv_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What else the caller told uv about sources. The rest of UV_* (UV_PYTHON, UV_TARGET ...) would misdirect us."""
    return {
        name: value
        for name, value in environ.items()
        if value and (name in UV_SOURCE_VARIABLES or UV_CREDENTIALS.fullmatch(name))
    }


def withhold(variables: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Split uv's variables: those that hold no password, and the others as the text of a uv.toml.

    Every process of a user can read the environment of the user's other processes, and uv hands its own on to the Python that
    it asks about itself, which is whatever lies in the user's environment.
    """
    kept = {name: value for name, value in variables.items() if not MAY_HOLD_PASSWORD.fullmatch(name)}
    default = variables.get("UV_DEFAULT_INDEX")
    other_proxies = variables.get("ALL_PROXY")
    settings = {
        "index-url": default and _with_credentials(default, variables),
        "extra-index-url": [_with_credentials(one, variables) for one in variables.get("UV_INDEX", "").split()],
        "find-links": [one for one in variables.get("UV_FIND_LINKS", "").split(",") if one],
        "http-proxy": variables.get("HTTP_PROXY") or other_proxies,
        "https-proxy": variables.get("HTTPS_PROXY") or other_proxies,
        "no-proxy": [one.strip() for one in variables.get("NO_PROXY", "").split(",") if one.strip()],
    }
    # What JSON says of texts and lists, TOML says alike.
    return kept, "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items() if value)


def _with_credentials(index: str, variables: Mapping[str, str]) -> str:
    """The address of an index (`URL` or `NAME=URL`), with the credentials that variables hold for its name."""
    name, is_named, address = index.partition("=")
    if not is_named or "/" in name:
        return index
    prefix = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', name.upper())}_"
    user, password = (quote(variables.get(prefix + part, ""), safe="") for part in ("USERNAME", "PASSWORD"))
    scheme, _separator, rest = address.partition("://")
    return f"{scheme}://{user}:{password}@{rest}" if user or password else address


def uv_arguments(sources: Sources) -> list[str]:
    """uv has no variable for this one."""
    return ["--no-index"] if sources.no_index else []


def pip_environment(sources: Sources, environ: Mapping[str, str]) -> dict[str, str]:
    """The same sources for a pip that must not read the configuration a second time (it may run as another user)."""
    values: dict[str, Any] = {}
    for option, name in OPTIONS.items():
        value = getattr(sources, name)
        values["PIP_" + option.upper().replace("-", "_")] = (
            " ".join(_link(one, " ") for one in value) if isinstance(value, tuple) else value
        )
    result = {**network_environment(sources, environ), "PIP_CONFIG_FILE": os.devnull, **_said(values)}
    if "SSL_CERT_FILE" in result:
        # pip's own bundle (certifi) wins over SSL_CERT_FILE unless it is told.
        result.setdefault("PIP_CERT", result["SSL_CERT_FILE"])
    return result


def _said(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value not in (None, "") and value is not False}


def _key(name: str) -> str:
    key = name.lower().replace("_", "-")
    if key.startswith("--"):
        key = key[2:]
    return ALIASES.get(key, key)


def _sources(merged: Mapping[str, tuple[str, str]], home: str | None) -> Sources:
    found: dict[str, Any] = {OPTIONS[key]: _read(key, *value) for key, value in merged.items()}
    if found.get("keyring_provider") == "import":
        found["notes"] = (
            "pip's keyring-provider 'import' does not exist in uv: credentials in a keyring are not used",
        )
    if found.get("keyring_provider") not in ("disabled", "subprocess"):
        found["keyring_provider"] = None
    found["find_links"] = tuple(_expanded(one, home) for one in found.get("find_links", ()))
    for key in ("cert", "client-cert"):
        place = found[OPTIONS[key]] = _expanded(found.get(OPTIONS[key]) or "", home) or None
        # Who opens a pipe waits for whoever made it, and root opens this one.
        if place and os.path.exists(place) and not os.path.isfile(place):
            raise _refused(*merged[key], "a file of certificates", ", which is no plain file")
    return Sources(**found)


def _read(key: str, value: str, origin: str) -> Any:
    """One option's value, as pip reads it."""
    if key in ("extra-index-url", "find-links", "trusted-host"):
        return tuple(dict.fromkeys(value.split()))
    if key in ("timeout", "retries"):
        try:
            return max(0, int(float(value)))
        except (ValueError, OverflowError):
            raise _refused(value, origin, "a whole number") from None
    if key != "no-index":
        return value.strip() or None
    if value.strip().lower() not in _BOOLEANS:
        raise _refused(value, origin, "true or false")
    return _BOOLEANS[value.strip().lower()]


def _refused(value: str, origin: str, expected: str, what: str = "") -> PipConfigError:
    return PipConfigError(f"{origin} is '{value}'{what}. Expected {expected}. Correct it there, then start again.")


def _expanded(path: str, home: str | None) -> str:
    return f"{home}{path[1:]}" if home and (path == "~" or path.startswith("~/")) else path


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


def _link(place: str, separator: str) -> str:
    """A find-links place for a variable that is split at commas (uv) or blanks (pip): a path with one becomes an address."""
    if separator in place and "://" not in place:
        return "file://" + quote(os.path.abspath(place))
    return place.replace(separator, quote(separator))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the caller's variables reach root's half, and the environment that is made of them there.

They travel as data through a pipe: they may hold passwords, and what is not on this list may change what a program of
root's does (PYTHONPATH, LD_PRELOAD, ANSIBLE_LIBRARY, UV_PYTHON, PIP_TARGET).
"""

from __future__ import annotations

import locale
import re
from collections.abc import Mapping

ALLOWED = re.compile(
    # Where packages come from, and how to get there: a school's mirror or an offline folder of wheels.
    r"PIP_(INDEX_URL|PYPI_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CERT|CLIENT_CERT|PROXY|TRUSTED_HOST|(DEFAULT_)?TIMEOUT"
    r"|RETRIES|KEYRING_PROVIDER|CONFIG_FILE)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST|INDEX_STRATEGY|KEYRING_PROVIDER"
    r"|OFFLINE|SYSTEM_CERTS|NATIVE_TLS|HTTP_TIMEOUT|HTTP_CONNECT_TIMEOUT|HTTP_RETRIES|INDEX_[A-Z0-9_]+_(USERNAME"
    r"|PASSWORD)|PYTHON_INSTALL_MIRROR|PYTHON_DOWNLOADS_JSON_URL)"
    r"|(HTTP|HTTPS|FTP|ALL|NO)_PROXY|(http|https|ftp|all|no)_proxy"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|SSL_CLIENT_CERT|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    # How to speak to a person.
    r"|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|COLORTERM|NO_COLOR|COLUMNS|ANSIBLE_FORCE_COLOR|ANSIBLE_NOCOLOR"
    r"|ANSIBLE_VAULT_(IDENTITY|ID_MATCH)"
    # The way to Windows, of which sudo knows nothing.
    r"|WSL_INTEROP|WSL_DISTRO_NAME"
)
# Of Ansible's in the user's own process: a password, and where its log goes.
KEPT = re.compile(r"ANSIBLE_(BECOME_PASS\w*|VAULT_\w+|FORCE_COLOR|NOCOLOR|LOG_PATH)")
FOREIGN = re.compile(
    r"(PYTHON|ANSIBLE_)[A-Z0-9_]*|VIRTUAL_ENV|CONDA_PREFIX|UV_(SYSTEM_)?PYTHON|PIP_(TARGET|PREFIX|ROOT)"
)
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """Choose what may reach root's half, in a locale that Ansible runs in."""
    return with_utf_8({name: value for name, value in environ.items() if ALLOWED.fullmatch(name)})


def own(environ: Mapping[str, str]) -> dict[str, str]:
    """Keep the caller's environment but for what is meant for other Pythons and other playbooks."""
    kept = {name: value for name, value in environ.items() if KEPT.fullmatch(name) or not FOREIGN.fullmatch(name)}
    return with_utf_8(kept)


def for_root(variables: Mapping[str, str], caller: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of root's programs from nothing; `caller` names who called, as sudo does."""
    chosen = {name: value for name, value in variables.items() if ALLOWED.fullmatch(name)}
    # Ansible becomes root with sudo where it does not learn from USER that it is root.
    return {**chosen, "PATH": ROOT_PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root", **caller}


def with_utf_8(variables: dict[str, str]) -> dict[str, str]:
    """Add a locale of UTF-8 where there is none: Ansible stops in another."""
    return variables if speaks_utf_8() else {**variables, "LC_ALL": "C.UTF-8"}


def speaks_utf_8() -> bool:
    """Tell whether this process's own locale is there, and is one of UTF-8."""
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return False
    # A Python that was started in the locale C has set LC_CTYPE already, unless LC_ALL forbids it.
    return locale.nl_langinfo(locale.CODESET) == "UTF-8"

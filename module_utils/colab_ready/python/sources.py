# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from on this host: pip's configuration, each user's part of it read with that user's rights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ..core.remedy import give
from ..files.safe_open import read_text
from ..process.boundary import BoundaryError, run_as
from ..process.identity import Account, account_named, current_account
from . import pip_config
from .uv import Failure, Request

READ_SECONDS = 10.0


def find_account(name: str) -> Account:
    """Look an account up; raises Failure where the host has none of that name."""
    try:
        return account_named(name)
    except KeyError:
        raise Failure(
            f"There is no user '{name}' on this host. Expected a user who exists. Do: {give('colab_user=NAME')} with one."
        ) from None


def read_sources(request: Request, environ: Mapping[str, str]) -> pip_config.Sources:
    """Return the host's pip configuration and the environment, as sources; raises PipConfigError or Failure."""
    accounts = _accounts(request, environ)
    homes = list(dict.fromkeys(account.home for account in accounts))
    texts: dict[str, str] = {}
    paths = pip_config.config_files(environ, homes)
    hosts_own = pip_config.global_config_files({})
    for account in (current_account(), *reversed(accounts)):
        texts.update(_read_files(account, [path for path in paths if _reader(path, accounts, hosts_own) == account]))
    files = [(path, texts[path]) for path in paths if path in texts]
    sources = pip_config.with_uv_settings(pip_config.merge(files, environ, homes[0] if homes else None), environ)
    places = sources.find_links
    missing = [one for one in places if one.startswith("/") and not (os.path.isdir(one) or os.path.isfile(one))]
    notes = (f"the wheel folder {one} of pip's configuration does not exist" for one in missing)
    kept = tuple(one for one in places if one not in missing)
    return replace(sources, find_links=kept, notes=(*sources.notes, *notes))


def _reader(path: str, accounts: Sequence[Account], hosts_own: Sequence[str]) -> Account:
    """Tell who reads a file: the owner of the home it lies in, this process what is the host's, the caller all else.

    A file in somebody's home may be a link to one that they may not read, and so may one that a variable names.
    """
    owner = next((one for one in accounts if path.startswith(one.home.rstrip("/") + "/")), None)
    return owner or (current_account() if path in hosts_own or not accounts else accounts[0])


def _read_files(account: Account, paths: Sequence[str]) -> dict[str, str]:
    try:
        found = run_as(account, lambda: _texts(paths), READ_SECONDS) if paths else {}
    except BoundaryError as error:
        raise Failure(
            f"The pip configuration of {account.name} cannot be read: {error}. Expected an answer within "
            f"{READ_SECONDS:.0f} s. Look at {' and '.join(paths)}, then run ./colab-ready again.",
            kind="boundary",
        ) from None
    return {path: str(found[path]) for path in paths if path in found} if isinstance(found, dict) else {}


def _texts(paths: Sequence[str]) -> dict[str, str]:
    # pip passes over a file it cannot open.
    texts = {path: read_text(path, follow=True) for path in paths}
    return {path: text for path, text in texts.items() if text is not None}


def _accounts(request: Request, environ: Mapping[str, str]) -> list[Account]:
    """Who called (behind sudo or become), then who the environment is for: the first one's word wins."""
    caller = (environ.get("SUDO_USER") or environ.get("DOAS_USER")) if os.geteuid() == 0 else None
    known = []
    for name in dict.fromkeys([caller or current_account().name, *([request.user] if request.user else [])]):
        with suppress(KeyError):
            known.append(account_named(name))
    return known

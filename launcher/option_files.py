# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that options name: read as the caller, and named as they will lie in root's snapshot."""

from __future__ import annotations

import functools
import os
import re
import select
import stat
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from colab_ready.files.trust import distrust_tree, distrust_way

from .options import Option
from .words import Stop

FILE_BYTES_MAX = 16 << 20
FILE_SECONDS = 30


@dataclass
class Shipped:
    """Options as root's half gets them, and the files that go with them."""

    arguments: list[str] = field(default_factory=list)
    files: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, base: str, data: bytes) -> str:
        """Take a file along; its name there."""
        name = f"named/{len(self.files)}/{base}"
        self.files.append((name, data))
        return name


def asks_inventory(parsed: Iterable[Option], trusted: frozenset[int]) -> bool:
    """Whether the options can change which hosts are meant, or how they are reached."""
    for option in parsed:
        value = option.value or ""
        if option.name == "--inventory" or (option.name == "--connection" and value != "local"):
            return True
        if option.name == "--extra-vars":
            text = read_named(value[1:], trusted).decode(errors="replace") if value.startswith("@") else value
            if re.search(r"ansible_(connection|host)\b", text):
                return True
    return False


def check_inventories(parsed: Iterable[Option], trusted: frozenset[int] | None) -> None:
    """Stop where an inventory is not there, or somebody else than the trusted users can change it."""
    for path in [option.value or "" for option in parsed if option.name == "--inventory"]:
        if "," not in path:
            real = full(path)
            if not os.path.exists(real):
                raise Stop(f"the inventory {path} is not there. Expected: a file or a folder. Do: correct its name.")
            if trusted is not None:
                # Ansible reads the variables that lie beside it, too.
                beside = os.path.dirname(real)
                for place in (real, f"{beside}/group_vars", f"{beside}/host_vars"):
                    _refuse_foreign(place, trusted)


def check_programs(parsed: Iterable[Option], environ: Mapping[str, str], trusted: frozenset[int]) -> None:
    """Stop where somebody else can change what ansible-inventory, run by root, would run: inventories, programs for passwords."""
    options = [*parsed, *_vault_options(environ)]
    check_inventories(options, trusted)
    for option in options:
        path = full((option.value or "").rpartition("@")[2])
        if option.name in ("--vault-id", "--vault-password-file") and os.path.isfile(path):
            _refuse_foreign(path, trusted)


def ship(options: Iterable[Option], environ: Mapping[str, str], uids: frozenset[int]) -> Shipped:
    """Read the files that the options name, as the caller, and name them as they will lie in the snapshot."""
    shipped = Shipped()
    for option in [*options, *_vault_options(environ)]:
        if option.name == "--module-path":
            raise Stop(
                "--module-path is not for a run as root. Do: leave it out; the modules of this checkout are used.", 2
            )
        value = option.value
        if option.name in ("--extra-vars", "--limit") and value and value.startswith("@"):
            value = "@" + _take(shipped, value[1:], uids)
        elif option.name == "--connection-password-file" and value:
            value = _take(shipped, value, uids)
        elif option.name == "--vault-password-file" and value:
            value = _secret(shipped, value, "", uids)
        elif option.name == "--vault-id" and value:
            label, at, path = value.rpartition("@")
            if path != "prompt" and not path.startswith("prompt_"):
                value = label + at + _secret(shipped, path, label, uids)
        if option.name != "--inventory":
            shipped.arguments.append(Option(option.name, value).argument())
    return shipped


def _vault_options(environ: Mapping[str, str]) -> list[Option]:
    """Say as options what Ansible's variables say about files."""
    found = [
        Option("--vault-id", one.strip()) for one in environ.get("ANSIBLE_VAULT_IDENTITY_LIST", "").split(",") if one
    ]
    path = environ.get("ANSIBLE_VAULT_PASSWORD_FILE")
    return [*found, Option("--vault-password-file", path)] if path else found


def _take(shipped: Shipped, path: str, uids: frozenset[int]) -> str:
    return shipped.add(os.path.basename(path) or "file", read_named(path, uids))


def _secret(shipped: Shipped, path: str, label: str, uids: frozenset[int]) -> str:
    """A password file, or what the caller's program for it prints, run as the caller."""
    real = full(path)
    if not (os.path.isfile(real) and os.access(real, os.X_OK)):
        return _take(shipped, path, uids)
    _refuse_foreign(real, uids)
    client = ["--vault-id", label] if label and os.path.splitext(os.path.basename(real))[0].endswith("-client") else []
    done = subprocess.run([real, *client], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Stop(f"{path}, which should print a password, ended with {done.returncode}. Do: try it by itself.")
    return shipped.add("password", done.stdout)


def full(path: str) -> str:
    """The absolute path, as Ansible understands one."""
    try:
        return os.path.abspath(os.path.expandvars(os.path.expanduser(path)))
    except FileNotFoundError:
        raise Stop(
            f"the folder that this was started in is gone, and {path} is looked for there. Expected: a folder. Do: cd to it."
        ) from None


def _refuse_foreign(path: str, uids: frozenset[int]) -> None:
    reason = distrust_way(path, uids) or distrust_tree(path, uids)
    if reason:
        raise Stop(
            f"{reason}, and root would go by it. Expected: a file that only you can change. Do: copy it to your home."
        )


@functools.cache
def read_named(path: str, uids: frozenset[int]) -> bytes:
    """What is in a file that the caller named; a pipe (`-e @<(...)`), which has it once, will do as well."""
    real = full(path)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Stop(f"{path} cannot be read: {error.strerror}. Expected: a file. Do: correct its name.") from None
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise Stop(f"{path} is a folder. Expected: a file. Do: correct its name.")
        if stat.S_ISREG(mode):
            _refuse_foreign(real, uids)
        return _read_all(stream.fileno(), path)


def _read_all(descriptor: int, path: str) -> bytes:
    pieces: list[bytes] = []
    end = time.monotonic() + FILE_SECONDS
    while (
        sum(map(len, pieces)) <= FILE_BYTES_MAX
        and select.select([descriptor], [], [], max(0, end - time.monotonic()))[0]
    ):
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    raise Stop(f"{path} has more than {FILE_BYTES_MAX >> 20} MiB, or is no file that ends. Do: correct its name.")

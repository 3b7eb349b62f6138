# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first thing that root's half runs: sent through the pipe before the files that it unpacks, so it imports none of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import sys
from typing import IO, Any

CACHE = "/var/cache/colab-ready"
HEADER_MAX = 64 << 20
FILE_MAX = 64 << 20


def run(stream: IO[bytes], cache: str = CACHE) -> int:
    """Unpack the snapshot, and hand the rest to its root.py."""
    header, folder = unpack(stream, cache)
    from launcher.root import main  # only now is it there

    return main(header, folder, stream.fileno())


def unpack(stream: IO[bytes], cache: str) -> tuple[dict[str, Any], str]:
    """Put what the caller named into a folder of this run's, with the product beside it, from which Python then imports."""
    os.umask(0o077)
    header = json.loads(read(stream, length(stream)))
    folder = make_folder(cache)
    product, named = ([(name, read(stream, size)) for name, size in header[kind]] for kind in ("product", "named"))
    write_all(folder, named)
    tree = os.path.join(folder, "tree")
    os.symlink(keep(cache, folder, product), tree)
    sys.path[:0] = [tree, os.path.join(tree, "module_utils")]
    # Root's own folder, which nobody else can open: the next run need not compile it again.
    sys.dont_write_bytecode = False
    return header, folder


def keep(cache: str, folder: str, product: list[tuple[str, bytes]]) -> str:
    """Return the folder of exactly these files, which stays for the next run: to write them takes 0.1 to 0.3 s."""
    digest = hashlib.sha256(json.dumps([(name, len(data)) for name, data in product]).encode())
    for _name, data in product:
        digest.update(data)
    tree = os.path.join(cache, f"tree-{digest.hexdigest()}")
    if not os.path.isdir(tree):
        new = os.path.join(folder, "new")
        write_all(new, product)
        with contextlib.suppress(OSError):  # another run was first
            os.rename(new, tree)
    os.utime(tree)
    return tree


def length(stream: IO[bytes]) -> int:
    line = stream.readline(20)
    if not line.strip().isdigit() or int(line) > HEADER_MAX:
        raise SystemExit("colab-ready: what came through the pipe is no snapshot. Do: start ./colab-ready again.")
    return int(line)


def read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size) if 0 <= size <= FILE_MAX else b""
    if len(data) != size:
        raise SystemExit("colab-ready: the snapshot broke off: who sent it is gone. Do: start ./colab-ready again.")
    return data


def make_folder(cache: str) -> str:
    """A new folder in a folder of root's that nobody else can open; locked as long as this process lives."""
    try:
        os.mkdir(cache)
    except FileExistsError:
        info = os.lstat(cache)
        # Where others may write, what runs from there may be theirs.
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o022:
            raise SystemExit(
                f"colab-ready: {cache} is no folder of root's, or others may write there. Expected: a folder that root alone can "
                "change, or nothing. Do: look what is there, and take it away."
            ) from None
        os.chmod(cache, 0o700)
    new = os.path.join(cache, f"new.{os.urandom(6).hex()}")
    os.mkdir(new)
    fcntl.flock(os.open(new, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    # Under this name it is held: where it is not, its run is dead, and the next one takes it away.
    folder = os.path.join(cache, "run" + os.path.basename(new)[3:])
    os.rename(new, folder)
    return folder


def write_all(folder: str, files: list[tuple[str, bytes]]) -> None:
    """Write regular files below the folder, and nowhere else: it is new and root's, so nothing in it is a link."""
    for name, data in files:
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\0" in name:
            raise SystemExit(f"colab-ready: {name!r} is no name for a file of the snapshot.")
        path = os.path.join(folder, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb", buffering=0) as file:
            file.write(data)


if __name__ == "__boot__":
    sys.exit(run(sys.stdin.buffer))

#!/usr/bin/env python3
"""The files of a host, to see what a run left behind. Runs on the host itself.

    file_tree.py write FILE       the tree as it is, with the packages that apt has installed
    file_tree.py compare FILE     prints how the tree differs from that one; ends with 1 when it does

What belongs to a package that apt installed meanwhile is no difference, nor is what such a package made.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator

# Not ours to keep still: the kernel's and the engine's own, what lives shortly, the package manager's books, logs of
# others, what systemd and users' programs note down, and the folder of these checks.
NOT_COMPARED = (
    "/dev",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/host-certificates.pem",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/mtab",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/etc/ssl",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/usr/lib",
    "/usr/local/share/ca-certificates",
    "/usr/share",
    "/var/backups",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/var/lib/ucf",
    "/var/log/alternatives.log",
    "/var/log/apt",
    "/var/log/btmp",
    "/var/log/dpkg.log",
    "/var/log/faillog",
    "/var/log/journal",
    "/var/log/lastlog",
    "/var/log/wtmp",
    "/var/tmp/checks",
)
# What IPython and Jupyter note down in the home of whoever runs a notebook is that person's, and stays: the history, and
# the folders themselves. A kernelspec of ours there would be a difference.
NOTES_AT_HOME = re.compile(r"/home/[^/]+/(\.ipython(/.*)?|\.local|\.local/share|\.local/share/jupyter)")
# The account tools keep the last state beside the present one.
ACCOUNT_BACKUPS = {
    f"/etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
} | {"/etc/.pwd.lock"}  # fmt: skip


def walk(top: str) -> Iterator[str]:
    with os.scandir(top) as entries:
        for entry in sorted(entries, key=lambda found: found.name):
            if entry.path in NOT_COMPARED or entry.path in ACCOUNT_BACKUPS or os.path.ismount(entry.path):
                continue
            if entry.name.startswith("systemd-private-"):
                continue
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                yield from walk(entry.path)


def look(path: str) -> list[str]:
    """Type and mode, owner, and what it holds."""
    status = os.lstat(path)
    held = ""
    if stat.S_ISLNK(status.st_mode):
        held = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            held = hashlib.sha256(file.read()).hexdigest()
    return [stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}", held]


def tree() -> dict[str, list[str]]:
    return {path: look(path) for path in walk("/")}


def package_files() -> set[str]:
    """What dpkg knows, under both names where /bin is a link to /usr/bin."""
    installed = subprocess.run(["dpkg-query", "--show", "--showformat", "${Package}\n"], capture_output=True, text=True)
    listed = subprocess.run(["dpkg", "--listfiles", *installed.stdout.split()], capture_output=True, text=True)
    names = set(listed.stdout.splitlines())
    return names | {os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name)) for name in names}


def differences(before: dict[str, list[str]], after: dict[str, list[str]], packaged: set[str]) -> list[str]:
    found = []
    for path in sorted(set(before) | set(after)):
        if before.get(path) == after.get(path) or path in packaged:
            continue
        if path not in before and NOTES_AT_HOME.fullmatch(path):
            continue
        if path not in before:
            found.append(f"left behind: {path} {' '.join(after[path][:2])}")
        elif path not in after:
            found.append(f"gone: {path}")
        else:
            found.append(f"changed: {path}: {' '.join(before[path])} -> {' '.join(after[path])}")
    return found


def main() -> int:
    action, file = sys.argv[1:]
    if action == "write":
        with open(file, "w", encoding="utf-8") as output:
            json.dump(tree(), output)
        return 0
    with open(file, encoding="utf-8") as source:
        before = json.load(source)
    found = differences(before, tree(), package_files())
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and directories as one state: what is there, what should be, and the few steps between.

The whole list is planned before anything is touched, so check mode and the real run decide alike and
a mistake in the last entry leaves the first one alone. The steps work on an opened parent directory
and never follow a symbolic link at the end of a path: some of these paths belong to the runtime's
user while root does the work.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..core.accounts import gid_of, group_name, primary_gid, uid_of, user_name
from ..core.problem import AS_ROOT, Refused, explain
from .atomic import replace_at
from .mounts import parse_mounts
from .removal import remove_at
from .safe_open import read_bytes
from .trust import distrust_way

# 16 bytes are 128 bits: a token below that can be guessed by another local user.
GENERATE_BYTES_MIN = 16
GENERATE_BYTES_MAX = 1024
# An existing file above this is not read: it is not what we are about to write, and no diff to read.
READ_BYTES_MAX = 4 * 1024 * 1024

FILE_MODE = 0o644
SECRET_MODE = 0o600
DIRECTORY_MODE = 0o755

# With two components or more, yet never one project's to remove. (One component is refused by rule,
# home directories and mount points by what the host says of itself.)
PROTECTED = frozenset(
    f"/{path}"
    for path in (
        "etc/apt etc/default etc/init.d etc/jupyter etc/pam.d etc/profile.d etc/ssh etc/ssl etc/systemd "
        "etc/systemd/system etc/systemd/user run/lock run/systemd run/user usr/bin usr/etc usr/games usr/include "
        "usr/lib usr/lib32 usr/lib64 usr/libexec usr/libx32 usr/lib/python3 usr/lib/systemd usr/lib/systemd/system "
        "usr/lib/wsl usr/lib/wsl/drivers usr/lib/wsl/lib usr/local usr/local/bin usr/local/etc usr/local/games "
        "usr/local/include usr/local/lib usr/local/sbin usr/local/share usr/local/src usr/sbin usr/share usr/src "
        "var/backups var/cache var/cache/apt var/lib var/lib/apt var/lib/dpkg var/lib/systemd var/local var/lock "
        "var/log var/mail var/opt var/run var/spool var/tmp"
    ).split()
)

NumberOf = Callable[[str], int | None]


@dataclass(frozen=True)
class Entry:
    """What one path should be; nothing is left open, so that a later wrong owner or mode is repaired."""

    path: str
    state: str = "file"
    content: bytes | None = None
    generate: int | None = None
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    secret: bool = False
    recursive: bool = False
    purge_foreign: bool = False


@dataclass(frozen=True)
class Seen:
    """What one path is now. `content` only of a regular file of readable size."""

    kind: str = "missing"
    mode: int = 0
    uid: int = -1
    gid: int = -1
    content: bytes | None = None
    target: str = ""
    links: int = 1


MISSING = Seen()


@dataclass(frozen=True)
class Change:
    """One step. `action`: write, attributes, make_directory, remove, remove_tree."""

    path: str
    action: str
    created: bool = False
    content: bytes | None = None
    generate: int | None = None
    mode: int = 0
    uid: int | None = None
    gid: int | None = None
    before: str = ""
    after: str = ""
    warning: str = ""

    def diff(self) -> dict[str, str]:
        return {
            "before_header": self.path,
            "after_header": self.path,
            "before": self.before,
            "after": self.after,
        }


# ---- what should be ---------------------------------------------------------------------------


def canonical_json(data: Any) -> bytes:
    """One text for one meaning: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def parse_mode(text: str) -> int:
    """Four octal digits. Fewer are refused: YAML reads an unquoted 0644 as the number 420."""
    if not re.fullmatch(r"[0-7]{4}", text):
        raise Refused(f'mode is {text!r}. Expected a quoted string of four octal digits. Write it as in mode: "0644".')
    return int(text, 8)


def _content(raw: Mapping[str, Any]) -> bytes | None:
    given = raw.get("secret_content")
    if given is None:
        given = raw.get("content")
    if raw.get("json"):
        if given is None:
            raise Refused("json is true without content. Expected the data. Give it as content.")
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except ValueError as error:
                raise Refused(
                    f"content is text that is not JSON ({error}). Expected data, or JSON text. "
                    "Correct it, or leave json out."
                ) from error
        return canonical_json(given)
    if given is None:
        return None
    if not isinstance(given, str):
        raise Refused(
            f"content is {type(given).__name__}, not text. Expected text. Quote it, or set json: true to write data."
        )
    try:
        return given.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused("content holds characters that UTF-8 has no bytes for. Expected text. Correct it.") from error


def parse_entry(raw: Mapping[str, Any]) -> Entry:
    path = str(raw.get("path") or "")
    parts = path.split("/")
    if not path.startswith("/") or not any(parts) or "." in parts or ".." in parts or "\0" in path or "\n" in path:
        raise Refused("the path is not absolute and plain. Expected one that starts with / and has no . or .. in it.")
    path = "/" + "/".join(part for part in parts if part)
    state = raw.get("state") or "file"
    given = {key for key, value in raw.items() if value is not None and value is not False} - {"path", "state"}

    allowed = {
        "file": {"content", "secret_content", "generate", "owner", "group", "mode", "json"},
        "directory": {"owner", "group", "mode", "purge_foreign"},
        "absent": {"recursive", "owner"},
    }
    if state not in allowed:
        raise Refused(f"state is {state!r}. Expected one of absent, directory, file.")
    foreign = given - allowed[state]
    if foreign:
        raise Refused(
            f"{' and '.join(sorted(foreign))} means nothing for state {state}. "
            f"Expected only {', '.join(sorted(allowed[state]))}. Remove it."
        )
    generate = raw.get("generate")
    if generate is not None and not GENERATE_BYTES_MIN <= generate <= GENERATE_BYTES_MAX:
        raise Refused(
            f"generate is {generate}. Expected a number of random bytes "
            f"from {GENERATE_BYTES_MIN} to {GENERATE_BYTES_MAX}. Correct it."
        )
    sources = [key for key in ("content", "secret_content", "generate") if raw.get(key) is not None]
    if state == "file" and len(sources) != 1:
        raise Refused(
            f"{' and '.join(sources) or 'no content'} given. "
            "Expected exactly one of content, secret_content and generate. Keep one."
        )
    if raw.get("json") and generate is not None:
        raise Refused("json is true together with generate. Expected one of them. Leave json out.")
    mode = raw.get("mode")
    return Entry(
        path=path,
        state=state,
        content=_content(raw),
        generate=generate,
        owner=raw.get("owner") or None,
        group=raw.get("group") or None,
        mode=None if mode is None else parse_mode(mode),
        secret=generate is not None or raw.get("secret_content") is not None,
        recursive=bool(raw.get("recursive")),
        purge_foreign=bool(raw.get("purge_foreign")),
    )


def parse_entries(raws: Sequence[Mapping[str, Any]]) -> tuple[list[Entry], list[str]]:
    """The entries, and every problem of the list."""
    entries: list[Entry] = []
    problems: list[str] = []
    paths = set()
    for raw in raws:
        try:
            entry = parse_entry(raw)
            if entry.path in paths:
                raise Refused("the path is listed twice. Expected one entry for one path. Take one out of `files`.")
        except Refused as error:
            problems.append(f"{raw.get('path') or '(no path)'}: {error}")
        else:
            paths.add(entry.path)
            entries.append(entry)
    return entries, problems


# ---- what is ----------------------------------------------------------------------------------


def look(path: str) -> Seen:
    """What `path` is now; a symbolic link is a symbolic link, whatever it points at."""
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    content = None
    target = ""
    if stat.S_ISREG(info.st_mode):
        kind = "file"
        # Its owner can hold a lease on it (fcntl(2)): what nobody else can read now is made anew.
        with suppress(BlockingIOError):
            if info.st_size <= READ_BYTES_MAX:
                content = read_bytes(path, READ_BYTES_MAX)
    elif stat.S_ISDIR(info.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(info.st_mode):
        kind = "symlink"
        target = os.readlink(path)
    else:
        kind = "special file"
    return Seen(kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, content, target, info.st_nlink)


def foreign_in(folder: str, uid: int) -> list[str]:
    """Return what lies in a directory of this account and is another's, or can be written by others; of a folder only itself."""
    found = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if info.st_uid not in (0, uid) or (info.st_mode & 0o022 and not stat.S_ISLNK(info.st_mode)):
                    found.append(entry.path)
                elif stat.S_ISDIR(info.st_mode):
                    waiting.append(entry.path)
    return sorted(found)


@dataclass(frozen=True)
class Host:
    """What the plan asks of the host, so that a test can answer instead."""

    look: Callable[[str], Seen] = look
    foreign_in: Callable[[str, int], list[str]] = foreign_in
    distrust: Callable[[str, Collection[int]], str | None] = distrust_way
    is_directory: Callable[[str], bool] = os.path.isdir
    is_empty: Callable[[str], bool] = lambda path: not os.listdir(path)
    uid_of: NumberOf = uid_of
    gid_of: NumberOf = gid_of
    primary_gid: Callable[[int], int] = primary_gid
    mounts: frozenset[str] = frozenset()
    homes: frozenset[str] = frozenset()
    euid: int = 0
    groups: frozenset[int] = frozenset()

    @classmethod
    def here(cls) -> Host:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            mounts = parse_mounts(stream.read())
        return cls(
            mounts=frozenset(point for point, _kind, _options in mounts),
            homes=frozenset(os.path.normpath(account.pw_dir) for account in pwd.getpwall() if account.pw_dir),
            euid=os.geteuid(),
            groups=frozenset(os.getgroups()) | {os.getegid()},
        )


# ---- the steps between ------------------------------------------------------------------------


def is_good_token(content: bytes | None, random_bytes: int) -> bool:
    """Whether generated text is still there: long enough, printable, and no newline, which its readers would keep."""
    text = content or b""
    return len(text) >= 2 * random_bytes and all(0x21 <= byte <= 0x7E for byte in text)


def _lies_under(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def why_protected(path: str, mounts: Iterable[str] = (), homes: Iterable[str] = ()) -> str | None:
    """Why a whole directory is not ours to remove, or None."""
    if path.count("/") < 2:
        return "it is a directory of the system"
    if path in PROTECTED or any(_lies_under(protected, path) for protected in PROTECTED):
        return "it is a directory of the system"
    for home in sorted(homes):
        if home == path or _lies_under(home, path):
            return f"{home} is the home directory of an account"
    for mount in sorted(mounts):
        if mount == path or _lies_under(mount, path):
            return f"another file system is mounted on {mount}"
    return None


def _shown(content: bytes | None, secret: bool, new: bool) -> str:
    if secret:
        return "content: hidden, new\n" if new else "content: hidden, as it was\n"
    if content is None:
        return "content: too large to show\n"
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return f"content: {len(content)} bytes that are not text\n"


def _attribute_lines(lines: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in lines)


def decide(entry: Entry, seen: Seen, host: Host, check: bool = False) -> Change | None:
    """The one step that makes `entry` true, or None when it is true already."""
    if entry.state == "absent":
        return _decide_absent(entry, seen, host)
    _require_its_place(entry, seen, host)
    directory = entry.state == "directory"
    # A link in a file's place is not looked through: where it leads may be another user's choice.
    present = seen.kind == entry.state
    mode = entry.mode
    if mode is None:
        mode = DIRECTORY_MODE if directory else SECRET_MODE if entry.secret else FILE_MODE
    uid, gid = _accounts(entry, host, check)
    touched = present and _others_could_touch(entry, seen, mode, uid)
    good = seen.content == entry.content if entry.generate is None else is_good_token(seen.content, entry.generate)
    rewrite = not directory and (touched or not (present and good))
    before, after = _differences(entry, seen, mode, uid, gid, present)
    if not rewrite and not after:
        return None
    if not rewrite and seen.kind == "file" and seen.links > 1:
        # In a directory of somebody else's, the other name may be a file of the system's.
        raise Refused("the file has other names (hard links). Expected a file of its own. Remove it; it is made again.")
    _need_root(seen, host, uid, gid, rewrite or not present)

    known = ""
    if touched and entry.generate:
        about = f"owner {user_name(seen.uid)}, mode {seen.mode:04o}"
        known = f"{entry.path} gets new content: others could know the old one ({about})"
    return Change(
        path=entry.path,
        action="write" if rewrite else "make_directory" if directory and not present else "attributes",
        created=seen.kind == "missing",
        content=entry.content,
        generate=entry.generate,
        mode=mode,
        uid=uid,
        gid=gid,
        before=_attribute_lines(before) + (_shown(seen.content, entry.secret, False) if rewrite and present else ""),
        after=_attribute_lines(after) + (_shown(entry.content, entry.secret, True) if rewrite else ""),
        warning=known,
    )


def _require_its_place(entry: Entry, seen: Seen, host: Host) -> None:
    """Refuse what is not a file in a file's place, but for an empty directory, or not a directory in a directory's."""
    if entry.state == "directory":
        if seen.kind not in ("missing", "directory"):
            target = f" to {seen.target}" if seen.target else ""
            raise Refused(f"a {seen.kind}{target} is there. Expected a directory, or nothing. Move it away.")
    elif seen.kind == "directory" and not host.is_empty(entry.path):
        raise Refused("a directory is there. Expected a file, or nothing. Move it away.")
    elif seen.kind == "special file":
        raise Refused("a device, pipe or socket is there. Expected a file, or nothing. Move it away.")


def _others_could_touch(entry: Entry, seen: Seen, mode: int, uid: int | None) -> bool:
    """Whoever owned it or could write to it may have it open for writing; what was made for few must not be known to more."""
    others = 0o022 if entry.generate is None else 0o077
    return (uid is not None and seen.uid not in (uid, 0)) or bool(seen.mode & others & ~mode)


def _differences(
    entry: Entry, seen: Seen, mode: int, uid: int | None, gid: int | None, present: bool
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the attributes that change, as they are and as they will be."""
    before: list[tuple[str, str]] = []
    after: list[tuple[str, str]] = []
    if not present:
        known = {"missing": "absent", "directory": "directory"}
        before.append(("state", known.get(seen.kind) or f"symlink to {seen.target}"))
        after.append(("state", entry.state))
    # In check mode an account may be unknown: another task would have made it, so the file is not its yet.
    for key, now, wanted, differs in (
        ("mode", f"{seen.mode:04o}", f"{mode:04o}", mode != seen.mode),
        ("owner", user_name(seen.uid), entry.owner or user_name(uid or 0), uid != seen.uid),
        ("group", group_name(seen.gid), entry.group or group_name(gid or 0), gid != seen.gid),
    ):
        if key == "group" and gid is None and not entry.group:
            continue
        if differs or not present:
            before += [(key, now)] if present else []
            after.append((key, wanted))
    return before, after


def _decide_absent(entry: Entry, seen: Seen, host: Host) -> Change | None:
    if seen.kind == "missing":
        return None
    if seen.kind == "directory":
        if not entry.recursive:
            raise Refused("a directory is there. Expected a file, or recursive: true to remove a directory.")
        why = why_protected(entry.path, host.mounts, host.homes)
        if why:
            raise Refused(f"it is not removed: {why}. Expected a directory of our own. Correct the path.")
        uid = host.uid_of(entry.owner) if entry.owner else None
        why = host.distrust(os.path.dirname(entry.path), {0, host.euid, *([] if uid is None else [uid])})
        if why:
            raise Refused(
                f"it is not removed: {why}, and could lead us elsewhere. Expected folders above it that nobody else can "
                "change. Look into it, remove it by hand, and run ./colab-ready again."
            )
    return _removal(entry.path, seen, seen.kind)


def _purge(path: str, host: Host) -> Change:
    seen = host.look(path)
    about = f"{seen.kind}, owner {user_name(seen.uid)}, mode {seen.mode:04o}"
    why = "it lies where root alone writes, and others could have put it there"
    return _removal(path, seen, about, f"{path} is taken away: {why} ({about})")


def _removal(path: str, seen: Seen, about: str, warning: str = "") -> Change:
    action = "remove_tree" if seen.kind == "directory" else "remove"
    return Change(path, action, before=f"state: {about}\n", after="state: absent\n", warning=warning)


def _accounts(entry: Entry, host: Host, check: bool) -> tuple[int | None, int | None]:
    """The numbers behind the names; unset, who runs the task, and the owner's own group.

    None only in check mode, where another task may be the one that makes the account.
    """
    uid = host.euid if entry.owner is None else host.uid_of(entry.owner)
    gid = None
    if entry.group is not None:
        gid = host.gid_of(entry.group)
    elif uid is not None:
        gid = host.primary_gid(uid)
    for key, name, number in (("owner", entry.owner, uid), ("group", entry.group, gid)):
        if name is not None and number is None and not check:
            raise Refused(
                f"{key} is {name!r}, which this host does not have. Expected an existing account. "
                "Create it first, or correct it."
            )
    return uid, gid


def _need_root(seen: Seen, host: Host, uid: int | None, gid: int | None, new: bool) -> None:
    if host.euid == 0:
        return
    reachable = {None, *host.groups} | (set() if new else {seen.gid})
    if uid not in (None, host.euid) or (not new and seen.uid != host.euid) or gid not in reachable:
        raise Refused(f"it is not ours to change, or to give away. Expected to run as root. {AS_ROOT}.")


def plan(entries: Iterable[Entry], host: Host, check: bool = False) -> tuple[list[Change], list[str]]:
    """Every step in order, and every problem. Earlier entries count as done for later ones."""
    changes: list[Change] = []
    problems: list[str] = []
    made: set[str] = set()
    gone: set[str] = set()
    entries = list(entries)
    listed = {entry.path for entry in entries}
    for entry in entries:
        parent = os.path.dirname(entry.path)
        above_is_gone = any(_lies_under(entry.path, path) for path in gone)
        try:
            seen = MISSING if above_is_gone or parent in made else host.look(entry.path)
            if entry.state != "absent" and parent not in made and (above_is_gone or not host.is_directory(parent)):
                raise Refused(
                    f"its directory {parent} does not exist. Expected it to exist, or to be made by an earlier entry. "
                    "List it first with state: directory."
                )
            change = decide(entry, seen, host, check)
        except Refused as error:
            problems.append(f"{entry.path}: {error}")
        except OSError as error:
            problems.append(explain(error, entry.path))
        else:
            if entry.purge_foreign and seen.kind == "directory":
                uid = _accounts(entry, host, check)[0] or 0
                changes += [_purge(path, host) for path in host.foreign_in(entry.path, uid) if path not in listed]
            if change is None:
                continue
            changes.append(change)
            if change.action == "make_directory":
                made.add(entry.path)
            elif change.action == "remove_tree":
                gone.add(entry.path)
    return changes, problems


# ---- doing it ---------------------------------------------------------------------------------


def _set_attributes(handle: int, change: Change) -> None:
    os.fchown(handle, *(-1 if number is None else number for number in (change.uid, change.gid)))
    # After chown, which clears the set-id bits.
    os.fchmod(handle, change.mode)


@contextmanager
def _opened(name: str, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    handle = os.open(name, flags | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        yield handle
    finally:
        os.close(handle)


def apply(change: Change) -> None:
    """Do one planned step."""
    folder, name = os.path.split(change.path)
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as parent:
        if change.action == "write":
            # no newline: Jupyter's JUPYTER_TOKEN_FILE takes every byte of the file for the token
            generated = secrets.token_hex(change.generate).encode("ascii") if change.generate is not None else b""
            replace_at(parent, name, change.content or generated, lambda handle: _set_attributes(handle, change))
            os.fsync(parent)
        elif change.action == "remove":
            os.unlink(name, dir_fd=parent)
        elif change.action == "remove_tree":
            remove_at(parent, name)
        else:
            if change.action == "make_directory":
                os.mkdir(name, 0o700, dir_fd=parent)
            with _opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, parent) as handle:
                _set_attributes(handle, change)

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that holds the token."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import secrets
import stat

from colab_ready.files.safe_open import open_file

from .core import EXIT_SETTINGS, Problem, user_name
from .settings import Settings

TOKEN_CHARACTERS_MIN = 32
TOKEN_RANDOM_BYTES = 24  # as the playbook makes it (role colab_runtime, `generate`): 48 hexadecimal digits
RENEWED = (
    "The token is new: while the runtime was stopped nobody held its port, and a page that asked there may have told the old one "
    "to another user. The new address: colab-runtime url"
)


def token_file_problem(mode: int, owner: int, uid: int) -> str | None:
    """What is wrong with the file that holds the token, or None. `uid` is who runs the server."""
    if owner != uid:
        return f"belongs to {user_name(owner)}, expected {user_name(uid)}, who runs the server"
    if mode & 0o077:
        return f"can be reached by other users (mode {stat.S_IMODE(mode):04o}), expected 0600"
    return None


def token_problem(token: str) -> str | None:
    """What is wrong with the token itself, or None; the token never appears in the answer."""
    if not token.strip():
        return "is empty"
    # Jupyter takes the file as it is, so a newline at its end would be part of the token and no address would match.
    if not re.fullmatch(r"[A-Za-z0-9._~-]+", token):
        return "holds white space (perhaps a newline at its end) or characters that an address cannot carry"
    if len(token) < TOKEN_CHARACTERS_MIN:
        return f"is too short: {len(token)} characters, expected at least {TOKEN_CHARACTERS_MIN}"
    return None


def read_token(path: str, uid: int) -> str:
    """The token, or a Problem. The token is the whole defence of the server, so a weak one counts as none."""
    repair = f"Do: sudo rm {path}, then ./colab-ready, which makes a new one."
    try:
        fd = open_file(path)
    except FileNotFoundError:
        raise Problem(f"The token file {path} is missing. Do: ./colab-ready, which makes one.", EXIT_SETTINGS) from None
    except PermissionError:
        raise Problem(
            f"The token file {path} cannot be read by {user_name(os.geteuid())}; only its owner can. "
            f"Run this as {user_name(uid)} or with sudo. If it should be yours: ./colab-ready repairs owner and mode.",
            EXIT_SETTINGS,
        ) from None
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
        raise Problem(f"The token file {path} {why}. {repair}", EXIT_SETTINGS) from None
    with os.fdopen(fd, encoding="ascii", errors="replace") as file:
        info = os.fstat(fd)
        wrong = token_file_problem(info.st_mode, info.st_uid, uid)
        if wrong:
            raise Problem(
                f"The token file {path} {wrong}. Somebody else may know the token by now. {repair}", EXIT_SETTINGS
            )
        token = file.read(4096)
    wrong = token_problem(token)
    if wrong:
        raise Problem(f"The token in {path} {wrong}. {repair}", EXIT_SETTINGS)
    return token


def good_token(settings: Settings) -> str | None:
    """The token, or None where its file or the token itself is not as it should be."""
    with contextlib.suppress(Problem):
        return read_token(settings.token_file, settings.account.pw_uid)
    return None


def forget_cookies(settings: Settings) -> None:
    """A browser that logged in has a cookie that holds whatever the token is: it is signed with a secret of its own.
    Without this file Jupyter makes another secret at its next start (serverapp.py, _default_cookie_secret).

    The folders are the user's, so no link in them leads root elsewhere.
    """
    directory = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError):
        handle = os.open(settings.run_dir, directory)
        stack.callback(os.close, handle)
        inner = os.open(os.path.basename(settings.jupyter_dir), directory, dir_fd=handle)
        stack.callback(os.close, inner)
        os.unlink("jupyter_cookie_secret", dir_fd=inner)


def forget_cookies_of_another_token(settings: Settings) -> None:
    """Log browsers out whose cookie is older than the token: `rotate` has done so, the playbook replaces the file alone."""
    with contextlib.suppress(OSError):
        made = os.stat(os.path.join(settings.jupyter_dir, "jupyter_cookie_secret")).st_ctime_ns
        if made < os.stat(settings.token_file).st_ctime_ns:
            forget_cookies(settings)


def fill(fd: int, data: bytes, path: str) -> None:
    """Make this all that is in an open file, for its owner alone, and on the disk. Raises OSError."""
    os.fchmod(fd, 0o600)
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    os.ftruncate(fd, len(data))
    os.fsync(fd)


def write_token(path: str, token: str, owner: pwd.struct_passwd) -> None:
    """All of the new token or all of the old: a new file takes the place of the old one where we may write to the folder (root),
    with the owner and the group that the playbook gives it. The user may write to the file alone, and there overwrites one text
    by another of the same length."""
    folder, name = os.path.split(path)
    data = token.encode("ascii")
    if not os.access(folder, os.W_OK):
        with os.fdopen(open_file(path, os.O_WRONLY), "wb", buffering=0) as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
            fill(file.fileno(), data, path)
        return
    draft = os.path.join(folder, f".{name}.colab-ready-new")  # the playbook's name for it: what is left it takes away
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    try:
        with os.fdopen(open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb", buffering=0) as file:
            os.fchown(file.fileno(), owner.pw_uid, owner.pw_gid)
            fill(file.fileno(), data, path)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    with contextlib.suppress(OSError):  # the file is in place; only a power cut within the second could undo that
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def make_token(settings: Settings) -> None:
    """Put a new token in place of the old one. Raises OSError."""
    write_token(settings.token_file, secrets.token_hex(TOKEN_RANDOM_BYTES), settings.account)


def token_made(settings: Settings) -> int | None:
    """When the token was made, in nanoseconds; None where there is none."""
    try:
        return os.stat(settings.token_file).st_mtime_ns
    except OSError:
        return None

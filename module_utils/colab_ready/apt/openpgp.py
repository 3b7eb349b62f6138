# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of OpenPGP (RFC 4880, RFC 9580) as it takes to put a repository's key where apt reads it: text form to binary form,
and the fingerprints of the keys in it. gpg is not installed everywhere. Checking signatures is apt's work."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

PUBLIC_KEY = 6
KEY_BYTES_MAX = 1 << 20

_BLOCK = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)


class NotAKey(ValueError):
    """What was read is no public key."""


def binary(data: bytes) -> bytes:
    """The key as apt wants it in a file that ends in .gpg; several blocks become one ring."""
    if data.lstrip()[:5] == b"-----":
        blocks = [_dearmored(block) for block in _BLOCK.findall(data)]
        data = b"".join(blocks)
    if not fingerprints(data):
        raise NotAKey("there is no public key in it")
    return data


def _dearmored(block: bytes) -> bytes:
    lines = [line.strip() for line in block.splitlines()]
    # Headers end at the first empty line; what begins with = is a checksum over the rest.
    body = lines[lines.index(b"") + 1 :] if b"" in lines else lines
    text = b"".join(line for line in body if not line.startswith(b"="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NotAKey(f"its text form is damaged ({error})") from None


def fingerprints(data: bytes) -> list[str]:
    """Of each primary key in a ring in binary form, in capitals."""
    return [_fingerprint(body) for tag, body in _packets(data) if tag == PUBLIC_KEY]


def _fingerprint(body: bytes) -> str:
    version = body[:1]
    if version == b"\x04":
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest()
    elif version == b"\x06":
        digest = hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest()
    else:
        raise NotAKey("its form is older or newer than apt reads")
    return digest.upper()


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise NotAKey("it is neither the text form nor the binary form of a key")
        at += 1
        if head & 0x40:
            tag = head & 0x3F
            first = data[at] if at < len(data) else 0
            size = 1 if first < 192 else 2 if first < 224 else 5
            if 224 <= first < 255:
                raise NotAKey("it is cut into pieces, which a key never is")
            raw = data[at : at + size]
            length = first if size == 1 else ((first - 192) << 8) + raw[-1] + 192 if size == 2 else _number(raw[1:])
        else:
            tag = (head >> 2) & 0x0F
            size = (1, 2, 4, 0)[head & 3]
            length = _number(data[at : at + size]) if size else len(data) - at
        at += size
        if at + length > len(data):
            raise NotAKey("its end is missing")
        yield tag, data[at : at + length]
        at += length


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")

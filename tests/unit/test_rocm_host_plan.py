"""A package and a key are what they should be, and settings become files."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from ansible.module_utils.colab_ready.apt import openpgp
from ansible.module_utils.colab_ready.backends.rocm.host_plan import judge_deb, setting_files


def test_a_package_with_another_checksum_is_refused() -> None:
    deb = {"file": "rocdxg-roct_1.2.2_amd64.deb", "url": "https://x/a.deb", "sha256": "a" * 64}
    assert judge_deb(deb, "a" * 64, "rocm_bridge_address") is None
    problem = judge_deb(deb, "b" * 64, "rocm_bridge_address")
    assert problem is not None and "b" * 64 in problem.what and problem.expected == "a" * 64


def packet(tag: int, body: bytes, form: str) -> bytes:
    """An OpenPGP packet, with its length in one of the forms of RFC 4880, 4.2."""
    if form == "old":
        return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body
    if form == "one":
        return bytes([0xC0 | tag, len(body)]) + body
    if form == "two":
        return bytes([0xC0 | tag, (len(body) - 192 >> 8) + 192, len(body) - 192 & 0xFF]) + body
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big") + body


SHORT, LONG = b"\x04" + bytes(99), b"\x04" + bytes(range(256)) * 2


@pytest.mark.parametrize(
    ("body", "form"), [(SHORT, "old"), (SHORT, "one"), (LONG, "two"), (LONG, "five"), (LONG, "old")]
)
def test_a_fingerprint_is_that_of_the_primary_key_in_every_form(body: bytes, form: str) -> None:
    expected = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()
    ring = (
        packet(6, body, form)
        + packet(13, b"somebody", "old")
        + packet(2, b"signature", "old")
        + packet(14, SHORT, "old")
    )
    assert openpgp.fingerprints(ring) == [expected]
    assert openpgp.binary(ring) == ring


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", "Version: GnuPG v1\n", "Comment: a\nHash: b\n"])
def test_the_text_form_gives_the_binary_one(header: str, newline: str) -> None:
    ring = packet(6, LONG, "old")
    body = base64.encodebytes(ring).decode()
    text = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n{header}\n{body}=aBcD\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert openpgp.binary((text + text).replace("\n", newline).encode()) == ring * 2


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>log in</html>", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n", packet(6, LONG, "old")[:-1],
        packet(13, b"nobody's", "old"), packet(6, b"\x03" + bytes(9), "old"), b"\x99", b"\xc6", b"\xc6\xe5" + bytes(40),
    ],
)  # fmt: skip
def test_what_is_no_key_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(openpgp.NotAKey):
        openpgp.binary(data)


# --- files ------------------------------------------------------------------------------------------------------


def test_files_are_written_only_for_what_is_to_be_said() -> None:
    assert setting_files({"line": "10.0.0", "environment": {}, "loader": []}) == {}
    files = setting_files({"line": "7.2.4", "environment": {"B": "0", "A": "1"}, "loader": ["/opt/rocm/lib"]})
    assert [re.sub(r"^#.*\n", "", text) for text in files.values()] == [
        "export A=1\nexport B=0\n",
        "A=1\nB=0\n",
        "/opt/rocm/lib\n",
    ]
    with pytest.raises(ValueError, match="BAD"):
        setting_files({"line": "7.2.4", "environment": {"BAD": "$(reboot)"}, "loader": []})

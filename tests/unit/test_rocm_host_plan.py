"""What apt and dpkg print is understood, a key is known by its fingerprint, and each complaint is one problem with what to do."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from ansible.module_utils.colab_ready import openpgp
from ansible.module_utils.colab_ready.apt_words import Steps
from ansible.module_utils.colab_ready.gpu_groups import groups_to_join
from ansible.module_utils.colab_ready.rocm_host_plan import (
    apt_problem,
    check_key_wish,
    choose_card,
    conffile_sums,
    damaged_files,
    judge_deb,
    judge_key,
    judge_steps,
    repository_files,
    setting_files,
)

XT = {"index": 1, "vendor_id": "1002", "device_id": "7550", "revision": "c0", "dedicated_bytes": 16 << 30}
IGPU = {"index": 0, "vendor_id": "1002", "device_id": "164e", "primary": True}
RX_7600 = {"index": 2, "vendor_id": "1002", "device_id": "7480", "revision": "cf", "primary": True}
NVIDIA = {"index": 3, "vendor_id": "10de", "device_id": "2684", "primary": True}
SOFTWARE = {"index": 4, "vendor_id": "1002", "device_id": "7550", "software": True}

# --- the card -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpu", "index"),
    [
        ({"adapters": [XT]}, 1),
        ({"adapters": [IGPU, XT]}, 1),
        ({"adapters": [XT, IGPU]}, 1),
        ({"adapters": [NVIDIA, IGPU, RX_7600, XT]}, 1),
        ({"adapters": [IGPU, RX_7600]}, 2),
        ({"adapters": [RX_7600, XT], "backend": {"name": "rocm", "adapter": 2}}, 2),
        (
            {
                "adapters": [RX_7600, XT],
                "backend": {"name": "cpu", "adapter": None, "recommended": {"name": "rocm", "adapter": 2}},
            },
            2,
        ),
        ({"adapters": [RX_7600, XT], "backend": {"name": "directml", "adapter": 2}}, 1),
    ],
)
def test_the_card_is_chosen_by_what_it_is_and_not_by_its_place(gpu: dict[str, Any], index: int) -> None:
    card = choose_card(gpu, wsl=True)
    assert card.problem is None
    assert card.adapter["index"] == index


@pytest.mark.parametrize("adapters", [None, [], [NVIDIA], [SOFTWARE]])
def test_without_a_card_of_amd_nothing_is_chosen(adapters: Any) -> None:
    problem = choose_card({"adapters": adapters}, wsl=True).problem
    assert problem is not None and problem.id == "rocm_no_card"


# --- dpkg -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", []),
        ("missing     /opt/rocm/lib/librocdxg.so.1\n", ["/opt/rocm/lib/librocdxg.so.1"]),
        ("??5??????   /opt/rocm/lib/a b.so\n", ["/opt/rocm/lib/a b.so"]),
        ("??5?????? c /opt/rocm/share/rocdxg/dids.conf\n", []),
        ("missing   c /etc/x.conf\n", []),
        ("missing     /usr/share/doc/rocdxg-roct/copyright\nmissing     /usr/share/man/man1/x.1.gz\n", []),
    ],
)
def test_damage_is_what_the_package_lacks_and_not_what_its_owner_wrote(text: str, paths: list[str]) -> None:
    assert damaged_files(text) == paths


def test_configuration_files_have_the_sum_they_came_with() -> None:
    text = "\n /opt/rocm/share/rocdxg/dids.conf 0123456789abcdef0123456789abcdef\n /etc/old ffffffffffffffffffffffffffffffff obsolete\n"
    assert conffile_sums(text) == {
        "/opt/rocm/share/rocdxg/dids.conf": "0123456789abcdef0123456789abcdef",
        "/etc/old": "f" * 32,
    }


# --- apt ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("install", "remove", "ids"),
    [
        (["rocm-core", "libdrm-amdgpu1"], [], []),
        (["rocm-core"], ["libhsakmt1"], []),
        (["rocm-core"], ["hipcc"], ["rocm_would_remove"]),
        (["rocm-core", "amdgpu-dkms"], [], ["rocm_kernel_package"]),
        (["amdgpu-dkms-firmware"], [], ["rocm_kernel_package"]),
        (["linux-oem-24.04c"], [], ["rocm_kernel_package"]),
        (["linux-image-6.14.0-1011-oem"], [], ["rocm_kernel_package"]),
        (["linux-headers-generic", "dkms"], ["hipcc"], ["rocm_kernel_package", "rocm_would_remove"]),
        (["linux-libc-dev"], [], []),
    ],
)
def test_no_kernel_comes_and_nothing_of_others_goes(install: list[str], remove: list[str], ids: list[str]) -> None:
    steps = Steps(dict.fromkeys(install, "1"), install, remove)
    assert [problem.id for problem in judge_steps(steps, ["libhsakmt1"], "10.0.0")] == ids


# As apt 2.4 to 3.0 and dpkg print them; addresses and numbers of keys are others.
COMPLAINTS = [
    (
        "rocm_apt_unreachable",
        "Err:1 https://x stable InRelease\n  Could not resolve 'x'\nE: Failed to fetch https://x/dists/stable/InRelease  Could not resolve 'x'\n",
    ),
    ("rocm_apt_unreachable", "E: The repository 'file:/srv/x stable Release' does not have a Release file.\n"),
    (
        "rocm_apt_unreachable",
        "E: Failed to fetch http://x/a.deb  404  Not Found [IP: 10.0.0.1 80]\nE: Unable to fetch some archives, maybe run apt-get update?\n",
    ),
    (
        "rocm_apt_unreachable",
        "W: Failed to fetch https://x/  Certificate verification failed: The certificate is NOT trusted.\n",
    ),
    (
        "rocm_apt_signature",
        "W: GPG error: https://x noble InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 9386B48A1A693C5C\nE: The repository 'https://x noble InRelease' is not signed.\n",
    ),
    ("rocm_apt_signature", "E: The repository 'https://x noble InRelease' is not signed.\n"),
    (
        "rocm_apt_signature",
        "Err:1 file:/x stable InRelease\n  The following signatures were invalid: BADSIG 9386B48A1A693C5C ROCm\n",
    ),
    (
        "rocm_apt_signature",
        "Err:1 https://x noble InRelease\n  Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 9386\n",
    ),
    ("rocm_apt_checksum", "E: Failed to fetch https://x/Packages.gz  Hash Sum mismatch\n"),
    (
        "rocm_apt_checksum",
        "E: Failed to fetch https://x/Packages  File has unexpected size (14 != 805). Mirror sync in progress?\n",
    ),
    ("rocm_apt_package", "E: Unable to locate package hsa-runtime-rocr4wsl-amdgpu\n"),
    ("rocm_apt_package", "E: Package 'rocm-libs' has no installation candidate\n"),
    ("rocm_apt_busy", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt-get)\n"),
    ("rocm_apt_busy", "dpkg: error: dpkg frontend lock was locked by another process with pid 4711\n"),
    ("rocm_apt_space", "E: You don't have enough free space in /var/cache/apt/archives/.\n"),
    (
        "rocm_apt_space",
        "dpkg: error processing archive x.deb (--install):\n cannot copy extracted data: No space left on device\n",
    ),
    ("rocm_apt", "E: Unable to correct problems, you have held broken packages.\n"),
    ("rocm_apt", ""),
]


@pytest.mark.parametrize(("name", "text"), COMPLAINTS)
def test_a_complaint_becomes_one_problem_with_what_to_do(name: str, text: str) -> None:
    problem = apt_problem(text, "https://x")
    assert problem.id == name
    assert "https://x" in problem.what and problem.do
    assert "\n" not in problem.sentence()


# --- the key --------------------------------------------------------------------------------------------------------

REPOSITORY = {"key": "https://x/key", "key_sha256": "", "key_fingerprint": ""}
PRINT, OTHER = "CA8BB4727A47B4D09B4EE8969386B48A1A693C5C", "0" * 40


@pytest.mark.parametrize(
    ("more", "ids"),
    [
        ({}, []),
        ({"key": "file:///srv/key"}, []),
        ({"key": "http://x/key"}, ["rocm_apt_key_unknown"]),
        ({"key": "http://x/key", "key_fingerprint": PRINT}, []),
        ({"key": "http://x/key", "key_sha256": "a" * 64}, []),
        ({"key_fingerprint": PRINT[:39]}, ["rocm_apt_fingerprint"]),
        ({"key_fingerprint": "9386B48A1A693C5C"}, ["rocm_apt_fingerprint"]),
    ],
)
def test_a_key_that_nothing_protects_is_not_fetched(more: dict[str, str], ids: list[str]) -> None:
    assert [problem.id for problem in check_key_wish({**REPOSITORY, **more})] == ids


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({}, True),
        ({"key_fingerprint": PRINT}, True),
        ({"key_fingerprint": OTHER}, False),
        ({"key_sha256": "a" * 64}, True),
        ({"key_sha256": "b" * 64}, False),
        # A key with one more signature on it is the same key.
        ({"key_fingerprint": PRINT, "key_sha256": "b" * 64}, True),
        ({"key_fingerprint": OTHER, "key_sha256": "a" * 64}, False),
    ],
)
def test_a_key_is_the_one_that_is_meant_or_refused(more: dict[str, str], good: bool) -> None:
    assert (judge_key({**REPOSITORY, **more}, "a" * 64, [PRINT]) is None) is good


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


# --- files and groups -----------------------------------------------------------------------------------------------


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


def test_a_pin_is_a_file_only_where_there_is_one() -> None:
    repository = {"path": "/s", "text": "deb", "pin_path": "", "pin": "", "keyring": "/k"}
    assert repository_files(None) == {}
    assert repository_files(repository) == {"/s": "deb"}
    assert repository_files({**repository, "pin_path": "/p", "pin": "Pin"}) == {"/s": "deb", "/p": "Pin"}


@pytest.mark.parametrize(
    ("members", "joined"),
    [
        ({}, []),
        ({"video": []}, ["video"]),
        ({"video": ["me"], "render": ["you"]}, ["render"]),
        ({"video": ["me"], "render": ["me"]}, []),
    ],
)
def test_groups_are_joined_that_there_are(members: dict[str, list[str]], joined: list[str]) -> None:
    assert groups_to_join(["render", "video"], members, "me") == joined

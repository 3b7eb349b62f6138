"""The table of GPUs is sound in itself, and looking something up in it never guesses."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.xpu import packages as xpu_packages
from ansible.module_utils.colab_ready.gpu import catalog


def adapter(vendor: str | None, device: str | None, revision: str | None = None) -> dict[str, Any]:
    return {"vendor_id": vendor, "device_id": device, "revision": revision}


LOOK_UPS = [
    ("1002", "744c", "c8", "gfx1100", "Radeon RX 7900 XTX"),
    ("1002", "744c", "cc", "gfx1100", "Radeon RX 7900 XT"),
    ("1002", "744c", "C8", "gfx1100", "Radeon RX 7900 XTX"),
    ("1002", "744c", "99", "gfx1100", None),
    ("1002", "744c", None, "gfx1100", None),
    ("1002", "7448", "99", "gfx1100", "Radeon PRO W7900"),
    ("1002", "1586", "d4", "gfx1151", "Radeon 8050S"),
    ("1002", "15bf", "07", "gfx1103", "Radeon 740M"),
    ("1002", "6863", "00", "gfx900", None),
    ("1002", "15d8", "c2", "gfx902", None),
    ("1002", "6779", "00", None, None),
    ("1002", "ffff", "00", None, None),
    ("10de", "744c", "c8", None, None),
    ("8086", "e20b", "00", None, None),
    ("1002", "rubbish", "00", None, None),
    (None, None, None, None, None),
]


@pytest.mark.parametrize(("vendor", "device", "revision", "gfx", "product"), LOOK_UPS)
def test_a_chip_is_told_by_its_id_and_a_product_by_the_revision(
    vendor: str | None, device: str | None, revision: str | None, gfx: str | None, product: str | None
) -> None:
    asked = adapter(vendor, device, revision)
    assert (catalog.gfx_of(asked), catalog.product_of(asked)) == (gfx, product)


NVIDIA_GENERATIONS = [
    ("0fc6", catalog.KEPLER),
    ("128b", catalog.KEPLER),
    ("1340", catalog.MAXWELL),
    ("13c2", catalog.MAXWELL),
    ("15f8", catalog.PASCAL),
    ("1617", catalog.MAXWELL),
    ("1725", catalog.PASCAL),
    ("17c8", catalog.MAXWELL),
    ("1b80", catalog.PASCAL),
    ("1db6", catalog.PASCAL),
    ("1e04", catalog.TURING),
    ("2b85", catalog.TURING),
]


@pytest.mark.parametrize(("device", "family"), NVIDIA_GENERATIONS)
def test_a_generation_of_nvidia_is_told_by_the_id(device: str, family: catalog.Family) -> None:
    assert catalog.family_of(adapter("10de", device)) is family


# name, vendor, device, revision, what it may be called
NAMES: list[tuple[str | None, str, str, str, list[str]]] = [
    ("AMD Radeon RX 7900 XTX", catalog.AMD, "744c", "c8", ["AMD Radeon RX 7900 XTX", "Radeon RX 7900 XTX"]),
    (
        "Navi 31 [Radeon RX 7900 XT/7900 XTX]",
        catalog.AMD,
        "744c",
        "c8",
        ["Navi 31 [Radeon RX 7900 XT/7900 XTX]", "Radeon RX 7900 XTX"],
    ),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX]", catalog.AMD, "744c", "99", ["Navi 31 [Radeon RX 7900 XT/7900 XTX]"]),
    ("Battlemage G21 [Arc B580]", catalog.INTEL, "e20b", "00", ["Battlemage G21 [Arc B580]", "Arc B580"]),
    (
        "GA106 [GeForce RTX 3060 Lite Hash Rate]",
        catalog.NVIDIA,
        "2504",
        "a1",
        ["GA106 [GeForce RTX 3060 Lite Hash Rate]", "GeForce RTX 3060"],
    ),
    ("NVIDIA GeForce RTX 4090", catalog.NVIDIA, "2684", "a1", ["NVIDIA GeForce RTX 4090"]),
    ("Radeon RX 6800 XT", catalog.AMD, "73bf", "c1", ["Radeon RX 6800 XT"]),
    (None, catalog.AMD, "73bf", "c1", ["Radeon RX 6800 XT"]),
    (None, catalog.NVIDIA, "2684", "a1", []),
]


@pytest.mark.parametrize(("name", "vendor", "device", "revision", "called"), NAMES)
def test_what_an_adapter_may_be_called_is_its_name_and_the_one_on_the_box(
    name: str | None, vendor: str, device: str, revision: str, called: list[str]
) -> None:
    assert catalog.names_of({"name": name, "vendor_id": vendor, "device_id": device, "revision": revision}) == called


def test_intels_runtime_is_where_its_role_finds_it() -> None:
    assert sorted(catalog.INTELS_RUNTIME) == sorted(xpu_packages.RELEASES)


def test_an_empty_adapter_is_nothing() -> None:
    assert (catalog.family_of({}), catalog.gfx_of({}), catalog.product_of({})) == (None, None, None)


def test_no_two_families_claim_the_same_id() -> None:
    claims = [
        (family.vendor_id, *pair, family.name) for family in catalog.FAMILIES for pair in catalog.id_ranges(family)
    ]
    assert all(low <= high for _, low, high, _ in claims)
    overlaps = [
        (one, two) for one, two in combinations(claims, 2) if one[0] == two[0] and one[1] <= two[2] and two[1] <= one[2]
    ]
    assert not overlaps


def test_every_line_of_devices_is_well_formed_and_the_only_one_of_its_id() -> None:
    ids = [(family.vendor_id, device) for device, family, _ in catalog.DEVICES]
    assert len(set(ids)) == len(ids)
    for device, family, products in catalog.DEVICES:
        assert family in catalog.FAMILIES
        assert re.fullmatch("[0-9a-f]{4}", device)
        revisions = " ".join(products.values()).split()
        assert all(re.fullmatch("[0-9a-f]{2}", revision) for revision in revisions), device
        assert len(set(revisions)) == len(revisions), device
        assert "" not in products.values() or len(products) == 1, device


@pytest.mark.parametrize("family", catalog.FAMILIES, ids=lambda family: family.name)
def test_a_family_is_whole(family: catalog.Family) -> None:
    assert family.ids or any(owner is family for _, owner, _ in catalog.DEVICES), "no id leads to it"
    assert not family.chip or re.fullmatch("gfx[0-9a-f]{3,4}", family.chip)
    for support in (family.wsl, family.linux, family.directml):
        assert support.level in (catalog.YES, catalog.OPT_IN, catalog.NO, None)
        assert support.why and not support.why.endswith(".")
    if family.vendor_id != catalog.NVIDIA and catalog.YES in (family.wsl.level, family.linux.level):
        # Which Ubuntu its vendor names has to be known; Intel's server cards come with other systems as well.
        assert family.line in catalog.UBUNTU or family is catalog.PONTE_VECCHIO

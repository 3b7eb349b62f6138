"""The adapters of a native Linux host are read from sysfs as they are; what is not said there is null, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.gpu.readers import sysfs as drm
from fixtures.sysfs_tree import AMD, NETWORK, NVIDIA, PCI_IDS, QEMU, Sysfs


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    (tmp_path / "pci.ids").write_text(PCI_IDS)
    return Sysfs(tmp_path / "sys")


# What Linux does not say of any adapter.
NOT_IN_SYSFS = {
    "wddm": "not_windows", "render": "not_said", "hybrid": "not_said", "detachable": "not_said", "luid": "not_windows",
}  # fmt: skip


def read(sysfs: Sysfs, ids: str = "pci.ids") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return drm.read_adapters(str(sysfs.root), [str(sysfs.root.parent / "nowhere"), str(sysfs.root.parent / ids)])


def test_a_card_is_read_whole(sysfs: Sysfs) -> None:
    sysfs.card(0, sysfs.pci("0000:03:00.0", AMD, driver="amdgpu", version="6.12.12"))
    (adapter,), reasons = read(sysfs)
    assert adapter == {
        "index": 0,
        "name": "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]",
        "vendor": "AMD",
        "vendor_id": "1002",
        "device_id": "744c",
        "subsystem_vendor_id": "1002",
        "subsystem_id": "0e3b",
        "revision": "c8",
        "address": "0000:03:00.0",
        "driver": "amdgpu",
        "driver_version": "6.12.12",
        "dedicated_bytes": 25753026560,
        "software": False,
        "compute_only": False,
        "primary": True,
        "source": {**dict.fromkeys(adapter["source"], "sysfs"), "name": "pci.ids"},
        **dict.fromkeys(NOT_IN_SYSFS),
        "gfx": None,
        "product": None,
    }
    assert set(adapter["source"]) == {key for key, value in adapter.items() if value is not None} - {
        "index",
        "primary",
        "source",
    }
    assert {path: why["reason"] for path, why in reasons.items()} == {
        f"adapters[0].{key}": why for key, why in NOT_IN_SYSFS.items()
    }


def test_every_null_has_its_reason(sysfs: Sysfs) -> None:
    sysfs.card(0, sysfs.pci("0000:03:00.0", {"vendor": "0xabcd", "device": "0x0001"}, driver="amdgpu"))
    sysfs.pci("0000:04:00.0", NVIDIA)
    sysfs.card(1, sysfs.other("platform/soc/gpu", "platform", driver="panfrost"))
    adapters, reasons = read(sysfs)
    nulls = {
        f"adapters[{entry['index']}].{key}"
        for entry in adapters
        for key, value in entry.items()
        if value is None and key not in ("gfx", "product")
    }
    assert len(adapters) == 3
    assert nulls == set(reasons)
    assert "no driver" in reasons["adapters[2].driver"]["detail"]
    assert "not a PCI device" in reasons["adapters[1].vendor_id"]["detail"]


def test_cards_come_in_their_order_and_undriven_displays_after_them(sysfs: Sysfs) -> None:
    sysfs.card(10, sysfs.pci("0000:0a:00.0", AMD, driver="amdgpu"))
    sysfs.card(2, sysfs.pci("0000:81:00.0", NVIDIA, driver="nvidia"))
    sysfs.pci("0000:82:00.0", NVIDIA)
    sysfs.pci("0000:01:00.0", NETWORK, driver="igc")
    adapters, _ = read(sysfs)
    assert [(entry["index"], entry["address"]) for entry in adapters] == [
        (0, "0000:81:00.0"),
        (1, "0000:0a:00.0"),
        (2, "0000:82:00.0"),
    ]
    assert [entry["primary"] for entry in adapters] == [False, True, False]


SOFTWARE = [
    ("bochs-drm", True),
    ("simple-framebuffer", True),
    ("virtio-pci", True),
    ("amdgpu", False),
    ("nvidia", False),
]


@pytest.mark.parametrize(("driver", "software"), SOFTWARE)
def test_displays_without_a_gpu_behind_them_are_flagged(sysfs: Sysfs, driver: str, software: bool) -> None:
    sysfs.card(0, sysfs.pci("0000:00:02.0", QEMU, driver=driver))
    assert [entry["software"] for entry in read(sysfs)[0]] == [software]


def test_a_virtio_display_bears_the_ids_of_the_pci_device_above_it(sysfs: Sysfs) -> None:
    above = sysfs.pci("0000:00:02.0", {**QEMU, "vendor": "0x1af4", "device": "0x1050"}, driver="virtio-pci")
    sysfs.card(0, sysfs.other(f"pci0000:00/{above.name}/virtio0", "virtio", driver="virtio_gpu"))
    adapters, _ = read(sysfs)
    assert [(entry["vendor_id"], entry["device_id"], entry["software"]) for entry in adapters] == [
        ("1af4", "1050", True)
    ]


NAMES = [
    ("1002", "73bf", ("Advanced Micro Devices, Inc. [AMD/ATI]", "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]")),
    ("10de", "2684", ("NVIDIA Corporation", "AD102 [GeForce RTX 4090]")),
    ("10de", "744c", ("NVIDIA Corporation", None)),
    ("10de", "73bf", ("NVIDIA Corporation", None)),
    ("1b4c", "73bf", ("GALAX", "a device of another vendor")),
    ("8086", "73bf", (None, None)),
]


@pytest.mark.parametrize(("vendor", "device", "names"), NAMES)
def test_a_name_is_looked_up_under_its_own_vendor(
    vendor: str, device: str, names: tuple[str | None, str | None]
) -> None:
    assert drm.pci_name(b"\n" + PCI_IDS.encode(), vendor, device) == names


def test_without_a_list_of_names_there_is_no_name_and_no_guess(sysfs: Sysfs) -> None:
    sysfs.card(0, sysfs.pci("0000:03:00.0", AMD, driver="amdgpu"))
    adapters, reasons = read(sysfs, ids="missing")
    assert adapters[0]["name"] is None
    assert "no pci.ids" in reasons["adapters[0].name"]["detail"]
    assert adapters[0]["vendor"] == "AMD"


def test_rubbish_in_sysfs_is_null(sysfs: Sysfs) -> None:
    odd = {**AMD, "vendor": "rubbish", "mem_info_vram_total": "-1", "boot_vga": "yes"}
    sysfs.card(0, sysfs.pci("0000:03:00.0", odd, driver="amdgpu"))
    adapters, _ = read(sysfs)
    assert [adapters[0][key] for key in ("vendor_id", "vendor", "dedicated_bytes", "primary")] == [None] * 4


def test_a_host_without_graphics_has_no_adapters(tmp_path: Path) -> None:
    assert drm.read_adapters(str(tmp_path)) == ([], {})

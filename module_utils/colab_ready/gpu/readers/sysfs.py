# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of a native Linux host, from sysfs.

/sys/class/drm has those that a driver drives; an adapter without one (no NVIDIA driver yet, say) is only
on the PCI bus, so both are read. What a file does not say is null, with the reason beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from ...files.safe_open import read_text
from ..adapter import ID_KEYS, Adapters, Reasons, Unknown, assemble

# Where Debian (pci.ids) and others (hwdata) keep the names.
PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")

# Kernel drivers (drivers/gpu/drm) behind which there is no GPU to compute on: framebuffers, virtual and test displays.
SOFTWARE_DRIVERS = frozenset(
    "bochs bochs-drm cirrus cirrus-qemu efi-framebuffer evdi gud hyperv_drm hyperv-drm ofdrm qxl simple-framebuffer "
    "simpledrm udl vboxvideo vesa-framebuffer vesadrm vgem virtio_gpu virtio-pci vkms vmwgfx".split()
)


def _read(path: str) -> str | None:
    text = read_text(path, follow=True)
    return None if text is None else text.strip()


def _id(device: str, name: str) -> str | None:
    """A PCI id as four digits (two for the revision), from "0x1002"."""
    match = re.fullmatch(r"0x([0-9a-f]{1,8})", (_read(f"{device}/{name}") or "").lower())
    if not match:
        return None
    return match.group(1).zfill(2 if name == "revision" else 4)


def _link(path: str) -> str | None:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]+", text, re.ASCII) else None


def _names(folder: str, pattern: str) -> list[str]:
    """The names in a folder that fit, by the numbers (hexadecimal) that the pattern's groups catch."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [match for match in (re.fullmatch(pattern, name) for name in names) if match]
    return [match.group(0) for match in sorted(found, key=lambda match: [int(part, 16) for part in match.groups()])]


def find_devices(sysfs: str) -> list[str]:
    """The device folders: first those with a card, by number, then displays on the PCI bus that have none."""
    found = []
    for card in _names(f"{sysfs}/class/drm", r"card([0-9]+)"):
        device = os.path.realpath(f"{sysfs}/class/drm/{card}/device")
        # virtio: the ids are in the PCI device above.
        if not os.path.exists(f"{device}/vendor") or _link(f"{device}/subsystem") == "virtio":
            above = os.path.dirname(device)
            device = above if _link(f"{above}/subsystem") == "pci" else device
        if os.path.isdir(device) and device not in found:
            found.append(device)
    for slot in _names(f"{sysfs}/bus/pci/devices", r"([0-9a-f]{4,}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])"):
        device = os.path.realpath(f"{sysfs}/bus/pci/devices/{slot}")
        # Base class 03 is display: VGA, XGA, 3D, other.
        if device not in found and re.match(r"0x03", _read(f"{device}/class") or ""):
            found.append(device)
    return found


def pci_name(ids: bytes, vendor_id: str, device_id: str | None) -> tuple[str | None, str | None]:
    """The names of vendor and device in the text of a pci.ids; the device's is indented below its vendor's."""
    start = ids.find(b"\n%s  " % vendor_id.encode("ascii"))
    if start < 0:
        return None, None
    line_end = ids.find(b"\n", start + 1)
    line_end = len(ids) if line_end < 0 else line_end
    vendor = ids[start + 7 : line_end].decode("utf-8", "replace").strip()
    following = re.compile(rb"\n[^\t#\n]").search(ids, line_end)
    section = ids[line_end : following.start() if following else len(ids)]
    device = re.search(rb"\n\t%s  ([^\n]*)" % (device_id or "none").encode("ascii"), section)
    return vendor, device.group(1).decode("utf-8", "replace").strip() if device else None


def _load_ids(paths: Sequence[str]) -> bytes | None:
    for path in paths:
        try:
            with open(path, "rb") as stream:
                return b"\n" + stream.read()
        except OSError:
            continue
    return None


_FILES = dict(zip(ID_KEYS, ("vendor", "device", "subsystem_vendor", "subsystem_device", "revision"), strict=False))
_ONLY_WINDOWS = Unknown("not_windows", "only Windows has it")


def read_adapter(device: str, sysfs: str, ids: bytes | None) -> dict[str, Any]:
    """The values of one adapter, each Unknown where it is not known."""
    driver = _link(f"{device}/driver")
    found = {key: _id(device, file) for key, file in _FILES.items()}
    vendor_id = found["vendor_id"]
    vendor = name = None
    no_id = no_name = "not a PCI device"
    if vendor_id is not None:
        vendor, name = pci_name(ids or b"", vendor_id, found["device_id"])
        no_id = "sysfs does not say it"
        no_name = f"the host's pci.ids does not know {vendor_id}:{found['device_id']}"
        if ids is None:
            no_name = "no pci.ids on this host (Debian has it in the package pci.ids)"
    module = _link(f"{device}/driver/module") or (driver or "").replace("-", "_")
    driver_version = _read(f"{sysfs}/module/{module}/version") if module else None
    no_driver = "no driver has taken the device"
    no_version = "the driver is the kernel's own and has no version besides" if driver else no_driver
    dedicated = _number(_read(f"{device}/mem_info_vram_total"))
    return {
        **{key: _or_why(value, no_id) for key, value in found.items()},
        "name": _or_why(name, no_name),
        "vendor": vendor,
        "address": os.path.basename(device),
        "driver": _or_why(driver, no_driver),
        "driver_version": _or_why(driver_version, no_version),
        "wddm": _ONLY_WINDOWS,
        "dedicated_bytes": _or_why(dedicated, "only the amdgpu driver says it in sysfs"),
        "software": driver in SOFTWARE_DRIVERS,
        "compute_only": False,
        "luid": _ONLY_WINDOWS,
    }


def _or_why(value: Any, why: str) -> Any:
    return Unknown("not_said", why) if value is None else value


def read_adapters(sysfs: str = "/sys", pci_ids: Sequence[str] = PCI_IDS) -> tuple[Adapters, Reasons]:
    """Every adapter, and for each null in them `adapters[index].key` and the reason."""
    devices = find_devices(sysfs)
    ids = _load_ids(pci_ids) if devices else None
    described = [read_adapter(device, sysfs, ids) for device in devices]
    adapters, reasons = assemble(described, "sysfs", "sysfs does not say it")
    for adapter, device in zip(adapters, devices, strict=False):
        if adapter["name"] is not None:
            adapter["source"]["name"] = "pci.ids"
        adapter["primary"] = {"0": False, "1": True}.get(_read(f"{device}/boot_vga") or "")
        if adapter["primary"] is None:
            why = "the kernel does not say which adapter the firmware started with"
            reasons[f"adapters[{adapter['index']}].primary"] = Unknown("not_said", why).said()
    return adapters, reasons

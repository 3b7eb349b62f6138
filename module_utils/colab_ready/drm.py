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
from typing import Any, Sequence

from ansible.module_utils.colab_ready.files.safe_open import read_text

# Where Debian (pci.ids) and others (hwdata) keep the names.
PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")

VENDORS = {
    "1002": "AMD",
    "1013": "Cirrus Logic",
    "102b": "Matrox",
    "106b": "Apple",
    "10de": "NVIDIA",
    "1234": "QEMU",
    "1414": "Microsoft",
    "15ad": "VMware",
    "1a03": "ASPEED",
    "1af4": "Red Hat (virtio)",
    "1b36": "Red Hat",
    "80ee": "VirtualBox",
    "8086": "Intel",
}

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


def read_adapter(device: str, sysfs: str, ids: bytes | None) -> tuple[dict[str, Any], dict[str, str]]:
    """One adapter, and why each null in it is one."""
    why: dict[str, str] = {}
    driver = _link(f"{device}/driver")
    vendor_id, device_id = _id(device, "vendor"), _id(device, "device")
    if vendor_id is None:
        for key in ("vendor", "vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision", "name"):
            why[key] = "not a PCI device"
    vendor = VENDORS.get(vendor_id or "")
    name = None
    if vendor_id is not None:
        if ids is None:
            why["name"] = "no pci.ids on this host (Debian has it in the package pci.ids)"
        else:
            said, name = pci_name(ids, vendor_id, device_id)
            vendor = vendor or said
            if name is None:
                why["name"] = f"the host's pci.ids does not know {vendor_id}:{device_id}"
        if vendor is None:
            why["vendor"] = f"nothing on this host knows the vendor {vendor_id}"

    if driver is None:
        why["driver"] = "no driver has taken the device"
        why["driver_version"] = "no driver has taken the device"
    module = _link(f"{device}/driver/module") or (driver or "").replace("-", "_")
    driver_version = _read(f"{sysfs}/module/{module}/version") if module else None
    if driver and driver_version is None:
        why["driver_version"] = "the driver is the kernel's own and has no version besides"

    boot = _read(f"{device}/boot_vga")
    if boot not in ("0", "1"):
        why["primary"] = "the kernel does not say which adapter the firmware started with"
    dedicated = _number(_read(f"{device}/mem_info_vram_total"))
    if dedicated is None:
        why["dedicated_bytes"] = "only the amdgpu driver says it in sysfs"
    ids_read = {
        "vendor_id": vendor_id,
        "device_id": device_id,
        "subsystem_vendor_id": _id(device, "subsystem_vendor"),
        "subsystem_id": _id(device, "subsystem_device"),
        "revision": _id(device, "revision"),
    }
    for key, value in ids_read.items():
        if value is None:
            why.setdefault(key, "sysfs does not say it")
    adapter = {
        "name": name,
        "vendor": vendor,
        **ids_read,
        "address": os.path.basename(device),
        "driver": driver,
        "driver_version": driver_version,
        "dedicated_bytes": dedicated,
        "software": driver in SOFTWARE_DRIVERS,
        "primary": boot == "1" if boot in ("0", "1") else None,
    }
    return adapter, why


def read_adapters(sysfs: str = "/sys", pci_ids: Sequence[str] = PCI_IDS) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every adapter, and for each null in them `adapters[index].key` and the reason."""
    adapters: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    devices = find_devices(sysfs)
    ids = _load_ids(pci_ids) if devices else None
    for index, device in enumerate(devices):
        adapter, why = read_adapter(device, sysfs, ids)
        adapters.append({"index": index, **adapter})
        reasons.update({f"adapters[{index}].{key}": reason for key, reason in why.items()})
    return adapters, reasons

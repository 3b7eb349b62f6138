# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs that torch counts under cuda (CUDA and ROCm) and xpu: what each says of itself, which one was decided on, and
whether the one that added is it.

tensor_probe runs in the kernel environment's Python, where nothing of ours is, and this text goes there with it. So it needs
nothing but the standard library, and torch is only ever an argument. A device is chosen by its PCI address, its chip's id and its
gfx; a name only breaks ties, since a runtime may call all of them "AMD Radeon Graphics" (ROCm/TheRock#4693). Never by its place:
an iGPU can be the first (ROCm/TheRock#3392), and CUDA_VISIBLE_DEVICES moves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class TorchDevices(NamedTuple):
    """What a backend is to torch: `device_type` its word for the devices (torch.cuda, torch.xpu), `version` the name in
    torch.version that a build for it has (ROCm's devices are cuda too, and its builds have hip). `chip`: what a device says of
    itself beside its name, gfx or capability, or nothing."""

    name: str
    title: str
    device_type: str
    version: str
    chip: str = ""


class Built(NamedTuple):
    """What this torch was made for: version.cuda, version.hip, version.xpu; what it was not made for is empty."""

    torch: str
    cuda: str
    hip: str
    xpu: str


@dataclass(frozen=True)
class Device:
    """One that torch counts. What its backend does not say is empty or 0."""

    index: int
    name: str
    gfx: str = ""
    capability: str = ""
    bytes: int = 0
    # The chip's id and the place on the PCI bus, as sysfs writes them: 7550, 0000:03:00.0.
    device_id: str = ""
    address: str = ""


class Wanted(NamedTuple):
    """The card that was decided on. `gfx`: what it may be called, its own first, then that of an override. `names`: by its
    driver and by its box. `others`: the names of the host's other adapters."""

    names: Sequence[str] = ()
    gfx: Sequence[str] = ()
    others: Sequence[str] = ()
    capability: str = ""
    device_id: str = ""
    address: str = ""
    bytes: int = 0


class Found(NamedTuple):
    """A device, or a word for the verdict; and the sentence for it."""

    device: Device | None
    problem: str
    why: str


# --- what torch says ------------------------------------------------------------------------------------------------


def built_for(torch: Any) -> Built:
    version = getattr(torch, "version", None)

    def said(name: str) -> str:
        return str(getattr(version, name, None) or "")

    return Built(str(getattr(torch, "__version__", "")), said("cuda"), said("hip"), said("xpu"))


def build_problem(side: TorchDevices, built: Built) -> tuple[str, str] | None:
    """A torch of another backend adds nothing here: (word for the verdict, sentence). None: the right one."""
    fits = bool(getattr(built, side.version, "")) and (side.version != "cuda" or not built.hip)
    # torch.version.xpu came with 2.5; before, and in builds of one's own, only the version tells.
    if fits or built.torch.endswith(f"+{side.version}"):
        return None
    makers = ((built.hip, f"ROCm {built.hip}"), (built.cuda, f"CUDA {built.cuda}"), (built.xpu, "XPU"))
    made = next((title for there, title in makers if there), "the CPU alone")
    return f"{side.name}_other_torch", f"torch {built.torch} is made for {made}, not for {side.title}"


def describe(side: TorchDevices, index: int, properties: Any) -> Device:
    """From torch.cuda.get_device_properties(index), or torch.xpu's."""
    chip = str(getattr(properties, "gcnArchName", None) or "") if side.chip == "gfx" else ""
    capability = ""
    if side.chip == "capability" and getattr(properties, "major", None) is not None:
        capability = f"{properties.major}.{properties.minor}"
    return Device(
        index,
        " ".join(str(getattr(properties, "name", "")).replace("\0", " ").split()),
        # Without the features behind it: gfx90a:sramecc+:xnack-.
        chip.partition(":")[0],
        capability,
        int(getattr(properties, "total_memory", 0) or 0),
        address=_address(properties),
    )


def _address(properties: Any) -> str:
    """Return the PCI address, which an older torch does not tell. Where there is no bus, each number is 0."""
    numbers = [getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")]
    domain, bus, device = (one if isinstance(one, int) else 0 for one in numbers)
    return f"{domain:04x}:{bus:02x}:{device:02x}.0" if bus or device else ""


def devices(side: TorchDevices, namespace: Any) -> list[Device]:
    """All that torch counts. `namespace` is torch.cuda or torch.xpu."""
    count = int(namespace.device_count())
    return [describe(side, index, namespace.get_device_properties(index)) for index in range(count)]


def shown(device: Device) -> str:
    """For a step's detail: 1: AMD Radeon RX 9070 XT (gfx1201)."""
    chip = device.gfx or (f"capability {device.capability}" if device.capability else "")
    return f"{device.index}: {device.name or 'without a name'}{f' ({chip})' if chip else ''}"


# --- which one ------------------------------------------------------------------------------------------------------


def choose(side: TorchDevices, found: Sequence[Device], wanted: Wanted, index: int | None = None) -> Found:
    """The decided card among what torch counts. A number that was named is taken if it is there, whatever it is."""
    there = "; ".join(shown(device) for device in found)
    if not found:
        return Found(None, f"{side.name}_no_device", "torch sees no GPU")
    if index is not None:
        named = next((device for device in found if device.index == index), None)
        if named is None:
            return Found(None, "no_such_device", f"there is no device number {index}; there is {there}")
        return Found(named, "", f"{shown(named)}, which was asked for")
    mine = {plain(name) for name in wanted.names if name}
    bare_mine = {plain(bare(name)) for name in wanted.names if name}
    foreign = {plain(name) for name in wanted.others} - mine

    def is_foreign(device: Device) -> bool:
        if _says_nothing(device, found) or _has_the_memory(device, wanted):
            return False
        return plain(device.name) in foreign or (
            plain(device.name) not in mine and plain(bare(device.name)) in foreign - bare_mine
        )

    fitting = _certain(found, wanted) or [
        device
        for device in found
        if not (wanted.device_id and device.device_id)
        and (not wanted.gfx or not device.gfx or device.gfx in wanted.gfx)
        # A runtime has called an iGPU by the card's gfx (ROCm/rocm-systems#11549).
        and not is_foreign(device)
        and (not wanted.capability or not device.capability or device.capability == wanted.capability)
    ]
    card = f"{next(iter(wanted.names), '') or 'the decided GPU'}{f' ({wanted.gfx[0]})' if wanted.gfx else ''}"
    if not fitting:
        return Found(None, "adapter_not_seen", f"torch does not see {card}; it sees {there}")
    called = [device for device in fitting if plain(device.name) in mine] or [
        device for device in fitting if plain(bare(device.name)) in bare_mine
    ]
    if called:
        twins = f"; {len(called)} devices have this name" if len(called) > 1 else ""
        return Found(called[0], "", f"{shown(called[0])}{twins}")
    if _certain(found, wanted):
        return Found(fitting[0], "", f"{shown(fitting[0])}, by its {'address' if fitting[0].address else 'chip'}")
    if len(fitting) == 1 and wanted.gfx and fitting[0].gfx:
        return Found(fitting[0], "", f"{shown(fitting[0])}, by its gfx")
    if len(fitting) == 1 and wanted.capability and fitting[0].capability:
        return Found(fitting[0], "", f"{shown(fitting[0])}, by its capability")
    if len(found) == 1:
        return Found(fitting[0], "", f"{shown(fitting[0])}, the only one")
    # Intel's driver may call a card by its id alone: Intel(R) Graphics [0x56a5] (pytorch/pytorch#147226).
    others = [device for device in found if is_foreign(device)]
    if len(fitting) == 1 and len(others) == len(found) - 1 and _all_are_there(wanted.others, others):
        return Found(fitting[0], "", f"{shown(fitting[0])}, since the others are this host's other ones")
    if not mine and not wanted.gfx:
        return Found(fitting[0], "", f"{shown(fitting[0])}; no card was named, so it is the first")
    return Found(None, "adapter_unclear", f"which of torch's devices is {card} cannot be told; it sees {there}")


def _certain(found: Sequence[Device], wanted: Wanted) -> list[Device]:
    """Return the one with the card's PCI address, or else those with its chip; nothing where neither is told."""
    at = [device for device in found if wanted.address and device.address == wanted.address]
    return at or [device for device in found if wanted.device_id and device.device_id == wanted.device_id]


def _says_nothing(device: Device, found: Sequence[Device]) -> bool:
    """Return whether a name is of several chips, so that it tells none of them."""
    return any(plain(one.name) == plain(device.name) and one.gfx != device.gfx for one in found)


def _has_the_memory(device: Device, wanted: Wanted) -> bool:
    """Return whether a device has as much memory as the card has of its own. An iGPU has a little, or half of the computer's."""
    return bool(wanted.bytes and wanted.gfx and device.gfx) and abs(device.bytes - wanted.bytes) * 20 < wanted.bytes


def _all_are_there(names: Sequence[str], found: Sequence[Device]) -> bool:
    """Whether each adapter of these names is among the devices. pci.ids has two for one, the second in brackets behind the
    chip's: AlderLake-S GT1 [UHD Graphics 770]."""
    called = {plain(form) for device in found for form in (device.name, bare(device.name))}
    return all(plain(re.sub(r"^.*\[([^][]+)\]$", r"\1", name)) in called for name in names)


def bare(name: str) -> str:
    """Without a remark in brackets at its end, as (16GB)."""
    return re.sub(r"\s*\([^()]*\)$", "", name)


def plain(name: Any) -> str:
    """Drivers, firmware and boxes write one name in several ways."""
    words = re.sub(r"\((tm|r)\)|[^a-z0-9 ]", " ", str(name).lower()).split()
    return " ".join(word for word in words if word not in ("amd", "nvidia", "intel", "graphics", "gpu"))


# --- what the result shows ------------------------------------------------------------------------------------------


def facts(side: TorchDevices, device: Device, built: Built) -> dict[str, Any]:
    """What the report has to show beside the sum: the name, and where a device tells its chip, that and what torch was built
    with."""
    said: dict[str, Any] = {"name": device.name, "index": device.index, "memory_bytes": device.bytes or None}
    if side.chip:
        said.update({side.version: getattr(built, side.version, ""), side.chip: getattr(device, side.chip) or None})
    return said


def lacks(side: TorchDevices, said: Mapping[str, Any]) -> list[str]:
    """What the report has to show and the run did not tell. A build for CUDA may be one of one's own."""
    needed = [side.chip] if side.version == "cuda" else [side.version, side.chip] if side.chip else []
    return [key for key in ("name", *needed) if key and not said.get(key)]


def same_device(device_type: str, index: int | None, chosen: Device, side: TorchDevices) -> str:
    """Empty, or what is wrong with the device of the sum: torch may write one without a number, which is the current one."""
    wanted = f"{side.device_type}:{chosen.index}"
    at = device_type if index is None else f"{device_type}:{index}"
    if device_type != side.device_type or (index is not None and index != chosen.index):
        return f"the sum is on {at}, expected {wanted} ({chosen.name})"
    return ""

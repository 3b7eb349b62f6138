"""Of torch's devices the decided card is taken, wherever it stands, and what added is shown to be it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends import torch_devices
from ansible.module_utils.colab_ready.backends.registry import TORCH_DEVICES
from ansible.module_utils.colab_ready.backends.torch_devices import Built, Device, Wanted
from ansible.module_utils.colab_ready.core.remedy import Evidence
from ansible.module_utils.colab_ready.proof import remedies, torch_faults

IGPU = Device(0, "AMD Radeon(TM) Graphics", "gfx1036")
CARD = Device(1, "AMD Radeon RX 9070 XT", "gfx1201")
OLD = Device(0, "NVIDIA GeForce GTX 1080", capability="6.1")
NEW = Device(1, "NVIDIA GeForce RTX 4070", capability="8.9")
ARC = Device(0, "Intel(R) Arc(TM) A770 Graphics")
UHD = Device(1, "Intel(R) UHD Graphics 770")

# As a runtime says them that has no names, and what sysfs and pci.ids say of the same computer.
GENERIC = [
    Device(0, "AMD Radeon Graphics", "gfx1036", bytes=1 << 29),
    Device(1, "AMD Radeon Graphics", "gfx1201", bytes=16304 << 20),
]
NAVI48 = Wanted(
    ["Navi 48 [Radeon RX 9070/9070 XT/9070 GRE]"], ["gfx1201"], ["Granite Ridge [Radeon Graphics]", "Radeon Graphics"]
)

# backend, what torch counts, what was decided; the index, or the word for the verdict
CASES: list[tuple[str, str, list[Device], Wanted, int | None, int | str]] = [
    ("the card beside an iGPU that comes first", "rocm", [IGPU, CARD], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, 1),
    ("the same the other way round", "rocm", [replace(CARD, index=0), replace(IGPU, index=1)], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, 0),
    ("an iGPU that was decided on", "rocm", [IGPU, CARD], Wanted(["AMD Radeon(TM) Graphics"], ["gfx1036"], ["AMD Radeon RX 9070 XT"]), None, 0),
    ("by gfx where the box has another name", "rocm", [IGPU, CARD], Wanted(["Sapphire Pulse"], ["gfx1201"]), None, 1),
    ("the gfx of an override", "rocm", [replace(CARD, index=0, gfx="gfx1030")], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201", "gfx1030"]), None, 0),
    ("an iGPU that was called by the card's gfx", "rocm", [replace(IGPU, gfx="gfx1201"), CARD], Wanted(["Navi 48"], ["gfx1201"], ["AMD Radeon(TM) Graphics"]), None, 1),
    ("only the iGPU is seen", "rocm", [IGPU], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, "adapter_not_seen"),
    ("features behind the gfx are no part of it", "rocm", [torch_devices.describe(TORCH_DEVICES["rocm"], 0, SimpleNamespace(name="AMD Instinct MI210", gcnArchName="gfx90a:sramecc+:xnack-"))], Wanted([], ["gfx90a"]), None, 0),
    ("two of a name", "rocm", [replace(CARD, index=0), CARD], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, 0),
    ("two of a gfx, none of the name", "rocm", [replace(CARD, index=0), replace(CARD, name="Another")], Wanted(["Navi 48"], ["gfx1201"]), None, "adapter_unclear"),
    ("the newer card by its name", "cuda", [OLD, NEW], Wanted(["GeForce RTX 4070"]), None, 1),
    ("by its capability where the name is another", "cuda", [OLD, NEW], Wanted(["Some box"], capability="8.9"), None, 1),
    ("two of a capability, none of the name", "cuda", [NEW, replace(NEW, index=0)], Wanted(["Some box"], capability="8.9"), None, "adapter_unclear"),
    ("the only one, whatever it is called", "cuda", [replace(NEW, index=0)], Wanted(["AD104"]), None, 0),
    ("the only one, but of another capability", "cuda", [OLD], Wanted(["AD104"], capability="8.9"), None, "adapter_not_seen"),
    ("nobody decided", "cuda", [OLD, NEW], Wanted(), None, 0),
    ("an Arc beside the processor's", "xpu", [replace(UHD, index=0), replace(ARC, index=1)], Wanted(["Intel Arc A770 Graphics"], [], ["Intel(R) UHD Graphics 770"]), None, 1),
    ("the processor's own left out by name", "xpu", [replace(UHD, index=0), replace(ARC, index=1)], Wanted(["Arc"], [], ["Intel(R) UHD Graphics 770"]), None, 1),
    ("an id in place of a name, and all others known", "xpu", [replace(UHD, index=0), Device(1, "Intel(R) Graphics [0x56a5]")], Wanted(["Intel(R) Arc(TM) A770 Graphics"], [], ["Intel(R) UHD Graphics 770"]), None, 1),
    ("an id in place of a name, and another one that is nobody", "xpu", [Device(0, "Intel(R) Graphics [0x4680]"), Device(1, "Intel(R) Graphics [0x56a5]")], Wanted(["Intel(R) Arc(TM) A770 Graphics"], [], ["Intel(R) UHD Graphics 770"]), None, "adapter_unclear"),
    ("pci.ids has two names for the processor's", "xpu", [replace(UHD, index=0), Device(1, "Intel(R) Graphics [0x56a5]")], Wanted(["DG2 [Arc A770]", "Arc A770"], [], ["AlderLake-S GT1 [UHD Graphics 770]", "UHD Graphics 770"]), None, 1),
    ("pci.ids has two names for each, and the other card is not seen", "xpu", [replace(UHD, index=0), Device(1, "Intel(R) Graphics [0x56a5]")], Wanted(["DG2 [Arc A770]", "Arc A770"], [], ["AlderLake-S GT1 [UHD Graphics 770]", "UHD Graphics 770", "DG2 [Arc A380]", "Arc A380"]), None, "adapter_unclear"),
    ("twins of another name beside the one that is left", "xpu", [replace(UHD, index=0), UHD, Device(2, "Intel(R) Graphics [0x56a5]")], Wanted(["DG2 [Arc A770]", "Arc A770"], [], ["AlderLake-S GT1 [UHD Graphics 770]", "UHD Graphics 770"]), None, 2),
    ("one left of two, and a third adapter that torch may not see", "xpu", [replace(UHD, index=0), Device(1, "Intel(R) Graphics [0x56a5]")], Wanted(["Intel(R) Arc(TM) A770 Graphics"], [], ["Intel(R) UHD Graphics 770", "Intel(R) Arc(TM) A380 Graphics"]), None, "adapter_unclear"),
    ("one left of two, but of another gfx", "rocm", [IGPU, replace(CARD, gfx="gfx1100", name="Another")], Wanted(["Navi 48"], ["gfx1201"], ["AMD Radeon(TM) Graphics"]), None, "adapter_not_seen"),
    ("Windows adds the memory in brackets", "xpu", [replace(UHD, index=0), Device(1, "Intel(R) Arc(TM) 140V GPU")], Wanted(["Intel(R) Arc(TM) 140V GPU (16GB)"]), None, 1),
    ("torch adds a remark in brackets", "cuda", [OLD, replace(NEW, name="NVIDIA GeForce RTX 4070 (a remark)")], Wanted(["NVIDIA GeForce RTX 4070"]), None, 1),
    ("the name itself counts more than one with a remark", "cuda", [replace(NEW, index=0, name="NVIDIA GeForce RTX 4070 (a remark)"), NEW], Wanted(["NVIDIA GeForce RTX 4070"]), None, 1),
    ("another adapter with a remark", "rocm", [replace(IGPU, name="AMD Radeon(TM) Graphics (a remark)", gfx="gfx1201")], Wanted(["Navi 48"], ["gfx1201"], ["AMD Radeon(TM) Graphics"]), None, "adapter_not_seen"),
    ("the runtime has one name for both", "rocm", GENERIC, NAVI48, None, 1),
    ("one name for both, and the iGPU was decided on", "rocm", GENERIC, Wanted(["Granite Ridge [Radeon Graphics]", "Radeon Graphics"], ["gfx1036"], NAVI48.names), None, 0),
    ("the iGPU is hidden, and the name is its own, but the memory is the card's", "rocm", [replace(GENERIC[1], index=0)], NAVI48._replace(bytes=16 << 30), None, 0),
    ("by its chip, whatever it is called", "rocm", [replace(GENERIC[0], gfx="gfx1201", device_id="164e"), replace(GENERIC[1], device_id="7550")], NAVI48._replace(device_id="7550"), None, 1),
    ("by its chip, alone under the iGPU's name", "rocm", [replace(GENERIC[1], index=0, device_id="7550")], NAVI48._replace(device_id="7550"), None, 0),
    ("another chip under the card's gfx", "rocm", [replace(CARD, index=0, device_id="164e")], Wanted([CARD.name], ["gfx1201"], device_id="7550"), None, "adapter_not_seen"),
    ("one of twins by its address", "rocm", [replace(CARD, index=0, address="0000:03:00.0"), replace(CARD, address="0000:43:00.0")], Wanted([CARD.name], ["gfx1201"], address="0000:43:00.0"), None, 1),
    ("an address that nobody has says nothing", "cuda", [replace(OLD, address="0000:01:00.0"), replace(NEW, address="0000:02:00.0")], Wanted([NEW.name], address="0000:0b:00.0"), None, 1),
    ("the address where torch tells it", "cuda", [torch_devices.describe(TORCH_DEVICES["cuda"], number, SimpleNamespace(name="NVIDIA Graphics Device", major=12, minor=0, pci_domain_id=0, pci_bus_id=bus, pci_device_id=0)) for number, bus in enumerate((1, 65))], Wanted(["GB202"], address="0000:41:00.0"), None, 1),
    ("none", "cuda", [], Wanted(["GeForce RTX 4070"]), None, "cuda_no_device"),
    ("none", "rocm", [], Wanted(), None, "rocm_no_device"),
    ("the driver's short name, by gfx", "rocm", [IGPU, Device(1, "AMD Radeon Graphics", "gfx1201")], Wanted(["Radeon RX 9070 XT"], ["gfx1201"]), None, 1),
    ("the name spelled another way, no gfx", "rocm", [IGPU, CARD], Wanted(["Radeon RX 9070 XT"]), None, 1),
    ("one of the names empty", "rocm", [IGPU, CARD], Wanted(["", "AMD Radeon(TM) RX 9070 XT"], ["gfx1201"]), None, 1),
    ("only an iGPU that was called by the card's gfx", "rocm", [replace(IGPU, gfx="gfx1100")], Wanted(["AMD Radeon RX 7900 XTX"], ["gfx1100"], ["AMD Radeon(TM) Graphics"]), None, "adapter_not_seen"),
    ("both drivers say the same name", "rocm", [Device(0, "AMD Radeon Graphics", "gfx1201")], Wanted(["AMD Radeon Graphics"], ["gfx1201"], ["AMD Radeon Graphics"]), None, 0),
    ("the gfx of an override, another name", "rocm", [Device(0, "AMD Radeon Graphics", "gfx1030")], Wanted(["Radeon RX 6700 XT"], ["gfx1031", "gfx1030"]), None, 0),
    ("by its name where torch says no gfx", "rocm", [Device(0, "AMD Radeon RX 9070 XT")], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, 0),
    ("the only one, without a gfx", "rocm", [Device(0, "AMD Radeon Graphics")], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), None, 0),
    ("a number that was named", "rocm", [IGPU, CARD], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), 0, 0),
    ("a number that is not there", "rocm", [IGPU, CARD], Wanted(), 7, "no_such_device"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("_name", "backend", "found", "wanted", "index", "expected"), CASES, ids=[case[0] for case in CASES]
)
def test_the_decided_card_is_taken_wherever_it_stands(
    _name: str, backend: str, found: list[Device], wanted: Wanted, index: int | None, expected: int | str
) -> None:
    answer = torch_devices.choose(TORCH_DEVICES[backend], found, wanted, index)
    assert answer.why
    if isinstance(expected, int):
        assert answer.device is not None and (answer.device.index, answer.problem) == (expected, "")
    else:
        assert (answer.device, answer.problem) == (None, expected)


def torch(version: str, **made: str | None) -> Any:
    return SimpleNamespace(__version__=version, version=SimpleNamespace(**made))


BUILT: list[tuple[str, Any, str | None]] = [
    ("cuda", torch("2.14.0+cu132", cuda="13.2", hip=None), None),
    ("cuda", torch("2.14.0+cpu"), "made for the CPU alone, not for CUDA"),
    ("cuda", torch("2.9.1+rocm7.2", cuda=None, hip="7.2.1"), "made for ROCm 7.2.1, not for CUDA"),
    ("rocm", torch("2.9.1+rocm7.2", cuda=None, hip="7.2.1"), None),
    ("rocm", torch("2.14.0+cu130", cuda="13.0", hip=None), "made for CUDA 13.0, not for ROCm"),
    ("xpu", torch("2.13.0+xpu", xpu="20260000"), None),
    ("xpu", torch("2.6.0+xpu"), None),
    ("xpu", torch("2.14.0", cuda="13.0", hip=None), "made for CUDA 13.0, not for XPU"),
    (
        "rocm",
        SimpleNamespace(__version__="2.13.0+xpu", version=SimpleNamespace(xpu="20260000")),
        "made for XPU, not for ROCm",
    ),
]


@pytest.mark.parametrize(("backend", "module", "what"), BUILT)
def test_a_torch_of_another_backend_is_told_from_the_right_one(backend: str, module: Any, what: str | None) -> None:
    found = torch_devices.build_problem(TORCH_DEVICES[backend], torch_devices.built_for(module))
    assert (found is None) is (what is None)
    if found is not None and what is not None:
        assert found[0] == f"{backend}_other_torch"
        assert what in found[1]


@pytest.mark.parametrize(
    ("found", "wanted", "why"),
    [
        ([], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), "torch sees no GPU"),
        (
            [IGPU],
            Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]),
            "does not see AMD Radeon RX 9070 XT (gfx1201); it sees 0: AMD Radeon(TM) Graphics (gfx1036)",
        ),
        ([replace(CARD, index=0), CARD], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), "2 devices have this name"),
        ([IGPU, CARD], Wanted(["Navi 48"], ["gfx1201"]), "by its gfx"),
        (
            [Device(0, "A", "gfx1100"), Device(1, "B", "gfx1100")],
            Wanted(["Radeon RX 7900 GRE"], ["gfx1100"]),
            "cannot be told",
        ),
        ([Device(0, "AMD Radeon Graphics")], Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"]), "the only one"),
    ],
)
def test_why_it_is_that_one_is_said(found: list[Device], wanted: Wanted, why: str) -> None:
    assert why in torch_devices.choose(TORCH_DEVICES["rocm"], found, wanted).why


class Namespace:
    """torch.cuda of a machine with these."""

    def __init__(self, *properties: Any) -> None:
        self.properties = properties

    def device_count(self) -> int:
        return len(self.properties)

    def get_device_properties(self, index: int) -> Any:
        return self.properties[index]


def test_what_torch_says_of_its_devices_is_read() -> None:
    card = SimpleNamespace(name="NVIDIA GeForce RTX 4070", major=8, minor=9, total_memory=12 << 30)
    assert torch_devices.devices(TORCH_DEVICES["cuda"], Namespace(card)) == [Device(0, card.name, "", "8.9", 12 << 30)]
    # On ROCm major and minor are the gfx's, which is shown by its name.
    radeon = SimpleNamespace(
        name="AMD Radeon RX 9070 XT\0", gcnArchName="gfx1201", major=12, minor=0, total_memory=16 << 30
    )
    assert torch_devices.devices(TORCH_DEVICES["rocm"], Namespace(radeon)) == [
        Device(0, "AMD Radeon RX 9070 XT", "gfx1201", "", 16 << 30)
    ]
    arc = SimpleNamespace(name="Intel(R) Arc(TM) A770 Graphics", total_memory=16 << 30, gcnArchName="gfx1")
    assert torch_devices.devices(TORCH_DEVICES["xpu"], Namespace(arc)) == [Device(0, arc.name, "", "", 16 << 30)]
    assert torch_devices.devices(TORCH_DEVICES["xpu"], Namespace()) == []


def test_the_result_shows_what_each_backend_owes() -> None:
    rocm = torch_devices.facts(TORCH_DEVICES["rocm"], CARD, Built("2.9.1+rocm7.2", "", "7.2.53211", ""))
    assert (rocm["hip"], rocm["gfx"], rocm["name"]) == ("7.2.53211", "gfx1201", "AMD Radeon RX 9070 XT")
    cuda = torch_devices.facts(TORCH_DEVICES["cuda"], NEW, Built("2.14.0+cu132", "13.2", "", ""))
    assert (cuda["capability"], cuda["cuda"]) == ("8.9", "13.2")
    xpu = torch_devices.facts(TORCH_DEVICES["xpu"], ARC, Built("2.13.0+xpu", "", "", "20260000"))
    assert xpu["name"] == "Intel(R) Arc(TM) A770 Graphics"
    assert (
        torch_devices.lacks(TORCH_DEVICES["rocm"], rocm)
        == torch_devices.lacks(TORCH_DEVICES["cuda"], cuda)
        == torch_devices.lacks(TORCH_DEVICES["xpu"], xpu)
        == []
    )
    assert torch_devices.lacks(TORCH_DEVICES["rocm"], {"name": "AMD Radeon", "hip": "", "gfx": None}) == ["hip", "gfx"]
    assert torch_devices.lacks(TORCH_DEVICES["cuda"], {"name": ""}) == ["name", "capability"]


@pytest.mark.parametrize(
    ("backend", "device_type", "index", "wrong"),
    [
        ("rocm", "cuda", 1, ""),
        ("rocm", "cuda", None, ""),
        ("rocm", "cuda", 0, "the sum is on cuda:0, expected cuda:1 (AMD Radeon RX 9070 XT)"),
        ("rocm", "cpu", None, "the sum is on cpu, expected cuda:1"),
        ("xpu", "cuda", 1, "the sum is on cuda:1, expected xpu:1"),
        ("xpu", "xpu", 1, ""),
    ],
)
def test_the_device_that_added_is_the_device_that_was_decided(
    backend: str, device_type: str, index: int | None, wrong: str
) -> None:
    said = torch_devices.same_device(device_type, index, CARD, TORCH_DEVICES[backend])
    assert said.startswith(wrong) if wrong else said == ""


# As tensor_probe gets it: with its parameters, into a module of that name.
BOOT = """
import json, sys, types
assert not any("ansible" in name for name in sys.modules)
devices = sys.modules["torch_devices"] = types.ModuleType("torch_devices")
exec(compile(sys.stdin.read(), "<torch_devices>", "exec"), devices.__dict__)
cards = [devices.Device(0, "AMD Radeon(TM) Graphics", "gfx1036"), devices.Device(1, "AMD Radeon RX 9070 XT", "gfx1201")]
print(devices.choose(devices.TorchDevices("rocm", "ROCm", "cuda", "hip", "gfx"), cards, devices.Wanted(["AMD Radeon RX 9070 XT"], ["gfx1201"])).device.index)
"""


def test_its_text_runs_where_nothing_of_ours_is() -> None:
    source = Path(torch_devices.__file__ or "").read_text(encoding="utf-8")
    command = [sys.executable, "-I", "-S", "-c", BOOT]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_every_word_for_the_verdict_has_a_remedy() -> None:
    words = {expected for *_rest, expected in CASES if isinstance(expected, str)}
    words |= {f"{backend}_{what}" for backend in TORCH_DEVICES for what in ("no_device", "other_torch")}
    for backend in TORCH_DEVICES:
        # those that torch_faults makes of a death, a hang and of words that nobody knows
        words |= {
            torch_faults.remedy_for(backend, Evidence(step="copy", usual="x", ended=ended))
            for ended in ("", "signal", "timeout")
        }
    for table in torch_faults.TEXTS.values():
        words |= {remedy for _pattern, remedy in table}
    assert words <= set(remedies.REMEDIES)


def test_no_remedy_for_cuda_and_xpu_stands_there_for_nothing() -> None:
    reached = {remedy for table in torch_faults.TEXTS.values() for _pattern, remedy in table}
    reached |= {
        f"{backend}_{what}"
        for backend in ("cuda", "xpu")
        for what in ("no_device", "other_torch", "hangs", "crashes", "unknown")
    }
    assert set(torch_faults.REMEDIES) == (
        reached | {"adapter_unclear", "no_such_device", "gpu_facts", "rocm_no_device"}
    ) - {"out_of_memory"}


@pytest.mark.parametrize("remedy", torch_faults.REMEDIES)
def test_no_remedy_puts_a_driver_into_wsl(remedy: str) -> None:
    cause, do, where = torch_faults.REMEDIES[remedy]
    # DirectML is nowhere but in WSL.
    assert "colab_backend=directml" not in do or "in WSL perhaps ./colab-ready -e colab_backend=directml" in do
    assert where in ("linux", "windows")
    assert not re.search(r"apt(-get)? install|LD_LIBRARY_PATH=|\.run\b", cause + do)

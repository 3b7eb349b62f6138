"""rocminfo's output is read whatever ROCm printed it, and torch's device is the decided card, wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready import gpu_tools, rocminfo
from ansible.module_utils.colab_ready.rocminfo import Agent

FIXTURES = Path(__file__).parents[1] / "fixtures/rocminfo"
GOOD = {
    "good_6.1.3_rx_7900_xtx": ("wsl", "1.1", [("AMD Radeon RX 7900 XTX", "gfx1100", "744c", "", 25061312)]),
    "good_6.3.4_pro_w7900_pasted": ("wsl", "1.1", [("AMD Radeon PRO W7900", "gfx1100", "7448", "", 50313216)]),
    "good_7.2.1_rx_9060_xt": ("wsl", "1.18", [("AMD Radeon RX 9060 XT", "gfx1200", "7590", "0000:03:00.0", 16693248)]),
    "good_7.2.4_native": ("linux", "1.18", [("AMD Instinct MI210", "gfx90a", "740f", "0000:31:00.0", 67092480)]),
    "good_7.14.0_ai_max_395": ("wsl", "1.21", [("AMD Radeon(TM) 8060S Graphics", "gfx1151", "1586", "0000:c4:00.0", 100663296)]),
    "good_10.0.0_card_beside_igpu": (
        "wsl", "1.22",
        [
            ("AMD Radeon(TM) Graphics", "gfx1036", "164e", "0000:10:00.0", 524288),
            ("AMD Radeon RX 9070 XT", "gfx1201", "7550", "0000:03:00.0", 16695296),
        ],
    ),
    "good_10.0.0_from_the_wheels": ("wsl", "1.22", [("AMD Radeon RX 7800 XT", "gfx1101", "747e", "0000:03:00.0", 16695296)]),
    "cpu_only_6.3.4_rx_6800_xt": ("wsl", "1.1", []),
}  # fmt: skip


def read(name: str) -> str:
    return (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_release_s_output_tells_its_gpus(name: str, newline: str) -> None:
    where, runtime, gpus = GOOD[name]
    found = rocminfo.parse(read(name).replace("\n", newline))
    assert (found.where, found.runtime, found.complete) == (where, runtime, True)
    assert found.gpus == [Agent("GPU", model, gfx, chip, address, kb << 10) for model, gfx, chip, address, kb in gpus]
    assert [agent.kind for agent in found.agents] == ["CPU"] + ["GPU"] * len(gpus)
    assert found.agents[0].name and not found.agents[0].gfx


def test_every_fixture_is_tested() -> None:
    names = {path.stem for path in FIXTURES.glob("*.txt")}
    assert {name for name in names if not name.startswith("bad_")} == {*GOOD, "cut_off_7.2.1"}


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("bad_*.txt")), ids=lambda path: path.stem)
def test_a_failure_is_no_gpu(path: Path) -> None:
    found = rocminfo.parse(path.read_text(encoding="utf-8"))
    assert (found.agents, found.complete) == ([], False)


def test_an_output_that_is_cut_off_says_so_and_tells_what_came() -> None:
    found = rocminfo.parse(read("cut_off_7.2.1"))
    assert not found.complete
    assert [agent.gfx for agent in found.gpus] == ["gfx1101"]


@pytest.mark.parametrize("text", ["", "\n", "Agent 1\n", "*******\nAgent 2\n*******\n  Name:\n", "Agent\x00 1\n  Name: gfx1100"])
def test_what_is_no_output_of_it_is_no_gpu(text: str) -> None:
    assert rocminfo.parse(text).gpus == []


@pytest.mark.parametrize("name", ["gfx11-generic", "amdgcn-amd-amdhsa--gfx1100", "gfx0000", "gfx", "aie2"])
def test_an_instruction_set_is_no_gpu(name: str) -> None:
    text = read("good_7.2.1_rx_9060_xt").replace("  Name:                    gfx1200\n", f"  Name:                    {name}\n")
    assert name in text
    assert rocminfo.parse(text).gpus == []


def test_an_agent_of_another_kind_is_no_gpu() -> None:
    text = read("good_7.2.1_rx_9060_xt").replace("Device Type:             GPU", "Device Type:             DSP")
    assert [agent.kind for agent in rocminfo.parse(text).agents] == ["CPU", "DSP"]
    assert rocminfo.parse(text).gpus == []


@pytest.mark.parametrize("name", [name for name in GOOD if not name.endswith("_pasted")])
def test_the_detection_reads_the_same(name: str) -> None:
    """gpu_tools has a reader of its own; until it takes this one, they agree."""
    mine = [(agent.name, agent.gfx, agent.device_id) for agent in rocminfo.parse(read(name)).gpus]
    text = "\n".join(line.rstrip() for line in read(name).splitlines())
    assert [(one["name"], one["gfx"], one["device_id"]) for one in gpu_tools.parse_rocminfo(text)] == mine


# --- which device ---------------------------------------------------------------------------------------------------

IGPU = ("AMD Radeon(TM) Graphics", "gfx1036")
CARD = ("AMD Radeon RX 9070 XT", "gfx1201")
XTX = ("AMD Radeon RX 7900 XTX", "gfx1100")
# As ROCm/rocm-systems#11549 has it.
MISNAMED = ("AMD Radeon(TM) Graphics", "gfx1100")


def devices(*of: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"index": index, "name": name, "gfx": gfx} for index, (name, gfx) in enumerate(of)]


# what torch lists, the decided card's gfx, its names, the other adapters' names, the index, a word of the reason
CHOICES: list[tuple[list[dict[str, Any]], list[str], list[str], list[str], int | None, str]] = [
    (devices(CARD), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [], 0, "by its name"),
    (devices(IGPU, CARD), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [IGPU[0]], 1, "by its name"),
    (devices(CARD, IGPU), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [IGPU[0]], 0, "by its name"),
    # The driver says no more than "AMD Radeon Graphics": the gfx decides.
    (devices(IGPU, ("AMD Radeon Graphics", "gfx1201")), ["gfx1201"], ["Radeon RX 9070 XT"], [], 1, "by its gfx"),
    # Spelled another way.
    (devices(IGPU, CARD), [], ["Radeon RX 9070 XT"], [], 1, "by its name"),
    (devices(IGPU, CARD), ["gfx1201"], ["", "AMD Radeon(TM) RX 9070 XT"], [], 1, "by its name"),
    # Both are called by the card's gfx.
    (devices(MISNAMED, XTX), ["gfx1100"], ["AMD Radeon RX 7900 XTX"], [IGPU[0]], 1, "by its name"),
    (devices(MISNAMED), ["gfx1100"], ["AMD Radeon RX 7900 XTX"], [IGPU[0]], None, "torch does not see"),
    # Both adapters' drivers say the same name: then it tells nothing against a device.
    (devices(("AMD Radeon Graphics", "gfx1201")), ["gfx1201"], ["AMD Radeon Graphics"], ["AMD Radeon Graphics"], 0, "by its name"),
    # Features behind the gfx; an override's gfx.
    (devices(("AMD Instinct MI210", "gfx90a:sramecc+:xnack-")), ["gfx90a"], ["AMD Instinct MI210"], [], 0, "by its name"),
    (devices(("AMD Radeon Graphics", "gfx1030")), ["gfx1031", "gfx1030"], ["Radeon RX 6700 XT"], [], 0, "by its gfx"),
    # The decided one is missing.
    ([], ["gfx1201"], ["AMD Radeon RX 9070 XT"], [], None, "torch sees no GPU"),
    (devices(IGPU), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [], None, "does not see AMD Radeon RX 9070 XT (gfx1201), only AMD Radeon(TM) Graphics (gfx1036)"),
    # Twins: either will do.
    (devices(XTX, XTX), ["gfx1100"], ["AMD Radeon RX 7900 XTX"], [], 0, "first of 2"),
    # Two that fit, and no name that says which.
    (devices(("A", "gfx1100"), ("B", "gfx1100")), ["gfx1100"], ["Radeon RX 7900 GRE"], [], None, "cannot be told"),
    # torch says no gfx.
    (devices(("AMD Radeon RX 9070 XT", "")), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [], 0, "by its name"),
    (devices(("AMD Radeon Graphics", "")), ["gfx1201"], ["AMD Radeon RX 9070 XT"], [], 0, "only GPU"),
]


@pytest.mark.parametrize(("there", "gfx", "names", "others", "index", "why"), CHOICES)
def test_the_device_is_the_decided_card_wherever_it_stands(
    there: list[dict[str, Any]], gfx: list[str], names: list[str], others: list[str], index: int | None, why: str
) -> None:
    chosen = rocminfo.choose_device(there, gfx, names, others)
    assert chosen.device == index
    assert why in chosen.why

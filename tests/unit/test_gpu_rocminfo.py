"""rocminfo's output is read whatever ROCm printed it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.gpu.readers import rocminfo, vendor_tools
from ansible.module_utils.colab_ready.gpu.readers.rocminfo import Agent

FIXTURES = Path(__file__).parents[1] / "fixtures/rocminfo"
GOOD = {
    "good_6.1.3_rx_7900_xtx": ("wsl", "1.1", [("AMD Radeon RX 7900 XTX", "gfx1100", "744c", "", 25061312)]),
    "good_6.3.4_pro_w7900_pasted": ("wsl", "1.1", [("AMD Radeon PRO W7900", "gfx1100", "7448", "", 50313216)]),
    "good_7.2.1_rx_9060_xt": ("wsl", "1.18", [("AMD Radeon RX 9060 XT", "gfx1200", "7590", "0000:03:00.0", 16693248)]),
    "good_7.2.4_native": ("linux", "1.18", [("AMD Instinct MI210", "gfx90a", "740f", "0000:31:00.0", 67092480)]),
    "good_7.2_native_generic_names": (
        "linux", "1.22",
        [("AMD Radeon Graphics", "gfx1036", "164e", "0000:10:00.0", 524288), ("AMD Radeon Graphics", "gfx1201", "7550", "0000:03:00.0", 16695296)],
    ),
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


@pytest.mark.parametrize(
    "text", ["", "\n", "Agent 1\n", "*******\nAgent 2\n*******\n  Name:\n", "Agent\x00 1\n  Name: gfx1100"]
)
def test_what_is_no_output_of_it_is_no_gpu(text: str) -> None:
    assert rocminfo.parse(text).gpus == []


@pytest.mark.parametrize("name", ["gfx11-generic", "amdgcn-amd-amdhsa--gfx1100", "gfx0000", "gfx", "aie2"])
def test_an_instruction_set_is_no_gpu(name: str) -> None:
    text = read("good_7.2.1_rx_9060_xt").replace(
        "  Name:                    gfx1200\n", f"  Name:                    {name}\n"
    )
    assert name in text
    assert rocminfo.parse(text).gpus == []


def test_a_number_that_is_no_size_is_not_read() -> None:
    text = read("good_7.2.1_rx_9060_xt").replace("16693248(", f"{'9' * 5000}(")
    assert [(agent.gfx, agent.bytes) for agent in rocminfo.parse(text).gpus] == [("gfx1200", 0)]


def test_an_agent_of_another_kind_is_no_gpu() -> None:
    text = read("good_7.2.1_rx_9060_xt").replace("Device Type:             GPU", "Device Type:             DSP")
    assert [agent.kind for agent in rocminfo.parse(text).agents] == ["CPU", "DSP"]
    assert rocminfo.parse(text).gpus == []


@pytest.mark.parametrize("name", [name for name in GOOD if not name.endswith("_pasted")])
def test_the_detection_reads_the_same(name: str) -> None:
    """gpu_device reads through the same parser, and loses nothing of it."""
    mine = [(agent.name, agent.gfx, agent.device_id) for agent in rocminfo.parse(read(name)).gpus]
    text = "\n".join(line.rstrip() for line in read(name).splitlines())
    assert [(one["name"], one["gfx"], one["device_id"]) for one in vendor_tools.parse_rocminfo(text)] == mine

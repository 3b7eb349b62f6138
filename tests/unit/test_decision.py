"""Which backend a host gets follows from the table, and every other one is said to be out, and why."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.torch_devices import Wanted
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.decision import decide as backend
from ansible.module_utils.colab_ready.decision.decide import BACKENDS
from ansible.module_utils.colab_ready.gpu import catalog
from hypothesis import given, settings
from hypothesis import strategies as st

RADEON = {"index": 0, "name": "Navi 31 [Radeon RX 7900 XTX]", "vendor": "AMD", "vendor_id": "1002", "device_id": "744c",
          "revision": "c8", "address": "0000:03:00.0", "driver": "amdgpu", "software": False}  # fmt: skip
GEFORCE = {"index": 1, "name": None, "vendor": "NVIDIA", "vendor_id": "10de", "device_id": "2684",
           "address": "0000:04:00.0", "driver": "nvidia", "software": False}  # fmt: skip
VIRTUAL = {"index": 0, "name": None, "vendor": "QEMU", "vendor_id": "1234", "device_id": "1111",
           "address": "0000:00:02.0", "software": True}  # fmt: skip

ARC = {"index": 0, "name": "Battlemage G21 [Arc B580]", "vendor": "Intel", "vendor_id": "8086", "device_id": "e20b",
       "address": "0000:03:00.0", "driver": "xe", "software": False}  # fmt: skip

CUDA = "NVIDIA 10de:2684: NVIDIA's driver brings CUDA"
ROCM = "Radeon RX 7900 XTX (gfx1100): AMD supports it with ROCm"
BOTH = "found AMD Navi 31 [Radeon RX 7900 XTX], NVIDIA 10de:2684"
EVEN = "Radeon RX 7900 XTX (gfx1100) is as good; ./colab-ready -e colab_gpu=0 takes that one"

# wish, adapters, why they are unknown, gpu, the backend, torch's word, chosen_by, reasons
DECISIONS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, str | None, tuple[str, str, str], list[str]]] = [
    ("nothing", "auto", [], None, None, ("cpu", "cpu", "auto"), ["no GPU found"]),
    ("a Radeon", "auto", [RADEON], None, None, ("rocm", "cuda", "auto"), ["found AMD Navi 31 [Radeon RX 7900 XTX]", ROCM]),
    ("a card without a name", "auto", [GEFORCE], None, None, ("cuda", "cuda", "auto"), ["found NVIDIA 10de:2684", CUDA]),
    ("an Arc", "auto", [ARC], None, None, ("xpu", "xpu", "auto"),
     ["found Intel Battlemage G21 [Arc B580]", "Intel Battlemage G21 [Arc B580]: PyTorch lists it for Intel's XPU"]),
    ("no real card", "auto", [VIRTUAL], None, None, ("cpu", "cpu", "auto"), ["no GPU found, only QEMU 1234:1111 (software)"]),
    ("unknown", "auto", None, "not yet", None, ("cpu", "cpu", "auto"), ["which graphics this host has is not known: not yet"]),
    ("cpu asked for", "cpu", [], None, None, ("cpu", "cpu", "colab_backend"), ["colab_backend asks for it", "no GPU found"]),
    ("cpu asked for beside a card", "cpu", [RADEON], None, "0", ("cpu", "cpu", "colab_backend"),
     ["colab_backend asks for it", "found AMD Navi 31 [Radeon RX 7900 XTX]", "colab_gpu (0) has no effect on the CPU"]),
    ("two cards", "auto", [RADEON, GEFORCE], None, None, ("cuda", "cuda", "auto"), [BOTH, CUDA, EVEN]),
    ("a card asked for", "auto", [RADEON, GEFORCE], None, "1", ("cuda", "cuda", "colab_gpu"), [BOTH, CUDA]),
    ("the other card asked for", "auto", [RADEON, GEFORCE], None, "0", ("rocm", "cuda", "colab_gpu"), [BOTH, ROCM]),
    ("a backend asked for", "rocm", [RADEON, GEFORCE], None, None, ("rocm", "cuda", "colab_backend"),
     ["colab_backend asks for it", BOTH, ROCM, "NVIDIA 10de:2684 cannot run it"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "adapters", "unknown", "gpu", "taken", "reasons"),
    [case[1:] for case in DECISIONS],
    ids=[case[0] for case in DECISIONS],
)
def test_on_native_linux_the_vendors_own_backend_is_taken_and_the_reasons_are_said(
    wish: str,
    adapters: list[dict[str, Any]] | None,
    unknown: str | None,
    gpu: str | None,
    taken: tuple[str, str, str],
    reasons: list[str],
) -> None:
    decision = backend.decide(wish, adapters, unknown, gpu)
    assert (decision["name"], decision["device_type"], decision["chosen_by"]) == taken
    assert decision["reasons"] == reasons


def test_every_other_backend_is_rejected_with_a_reason() -> None:
    rejected = {entry["name"]: entry["why"] for entry in backend.decide("auto", [])["rejected"]}
    assert list(rejected) == ["cuda", "rocm", "xpu", "directml"]
    assert rejected.pop("directml") == "DirectML is a part of Windows, and this is not WSL"
    assert all("and there is none" in why for why in rejected.values())


@pytest.mark.parametrize(
    ("wish", "name"), [("auto", "rocm"), ("cpu", "cpu"), ("directml", "directml"), ("rocm", "rocm")]
)
def test_what_would_be_taken_without_a_wish_is_recommended_beside_it(wish: str, name: str) -> None:
    decision = backend.decide(wish, [RADEON], host={"wsl": 2})
    assert decision["name"] == name
    assert decision["recommended"] == {
        "name": "rocm",
        "device_type": "cuda",
        "adapter": 0,
        "gfx": "gfx1100",
        "why": "Radeon RX 7900 XTX (gfx1100): AMD supports it in WSL with ROCm",
    }


def test_nobody_with_a_card_is_told_how_to_get_more_out_of_the_processors_own() -> None:
    in_the_processor = {**ARC, "name": "Intel(R) Arc(TM) Graphics", "device_id": "7d55", "driver": None}
    host = {"wsl": 2, "libcuda": True, "distribution": "debian", "distribution_version": "13"}
    decision = backend.decide("auto", [in_the_processor, GEFORCE], host=host)
    assert decision["name"] == "cuda"
    assert not [reason for reason in decision["reasons"] if "XPU" in reason]
    assert any("wsl --install" in entry["why"] for entry in decision["rejected"] if entry["name"] == "xpu")


# --- the card, for whoever has to find it among torch's devices -------------------------------------------------------

RX_6600 = {"index": 1, "name": "AMD Radeon RX 6600", "vendor": "AMD", "vendor_id": "1002", "device_id": "73ff", "revision": "c7",
           "software": False}  # fmt: skip
IN_THE_PROCESSOR = {"index": 0, "name": "AMD Radeon(TM) Graphics", "vendor": "AMD", "vendor_id": "1002", "device_id": "164e",
                    "revision": "d8", "software": False}  # fmt: skip
BASIC = {"index": 2, "name": "Microsoft Basic Render Driver", "vendor": "Microsoft", "vendor_id": "1414", "device_id": "008c",
         "software": True}  # fmt: skip
UNLISTED = {
    "index": 0,
    "name": None,
    "vendor": "AMD",
    "vendor_id": "1002",
    "device_id": "7fff",
    "gfx": "gfx1300",
    "software": False,
}

CARDS: list[tuple[str, dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ("by its driver and by its box", RADEON, [RADEON], {"names": ["Navi 31 [Radeon RX 7900 XTX]", "Radeon RX 7900 XTX"], "gfx": ["gfx1100"], "others": []}),
    ("one that borrows a target: its own first", RX_6600, [RX_6600], {"names": ["AMD Radeon RX 6600", "Radeon RX 6600"], "gfx": ["gfx1032", "gfx1030"]}),
    ("the other GPUs, and no software", RX_6600, [IN_THE_PROCESSOR, RX_6600, BASIC], {"others": ["AMD Radeon(TM) Graphics", "Radeon 610M"]}),
    ("another vendor's has no gfx", GEFORCE, [RADEON, GEFORCE], {"names": [], "gfx": [], "others": ["Navi 31 [Radeon RX 7900 XTX]", "Radeon RX 7900 XTX"], "capability": ""}),
    ("a gfx that only a tool told", UNLISTED, [UNLISTED], {"names": [], "gfx": ["gfx1300"]}),
    ("two of one name", RADEON, [RADEON, {**RADEON, "index": 1}], {"others": ["Navi 31 [Radeon RX 7900 XTX]", "Radeon RX 7900 XTX"]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("adapter", "adapters", "expected"), [case[1:] for case in CARDS], ids=[case[0] for case in CARDS]
)
def test_a_card_is_told_by_names_and_gfx_and_from_the_others(
    adapter: dict[str, Any], adapters: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    card = backend.card_of(adapter, adapters)
    assert {key: card[key] for key in expected} == expected
    assert sorted(card) == sorted(Wanted._fields)


def test_the_decision_says_the_card_of_its_adapter_and_none_for_the_cpu() -> None:
    adapters = [IN_THE_PROCESSOR, RX_6600, BASIC]
    decision = backend.decide("auto", adapters, host={"wsl": 2})
    assert (decision["name"], decision["adapter"]) == ("directml", 1)
    assert decision["card"] == backend.card_of(RX_6600, adapters)
    assert backend.decide("cpu", adapters, host={"wsl": 2})["card"] is None


@pytest.mark.parametrize(
    ("name", "requires", "use"),
    [("rocm", ">=3.11,<3.15", "3.14"), ("directml", ">=3.10,<3.13", "3.12"), ("cpu", ">=3.10,<3.15", "3.14")],
)
def test_the_python_of_the_backend_is_part_of_the_decision(name: str, requires: str, use: str) -> None:
    host = {"wsl": 2, "pythons": ["3.15.0"], "python_fetch": True}
    decision = backend.decide(name, [RADEON], host=host)
    assert decision["python_requires"] == requires
    assert decision["python"] == {"requires": requires, "use": use, "path": None, "fetch": True}


def test_the_interpreter_of_the_host_is_named() -> None:
    paths = ["/usr/bin/python3.13", "/usr/bin/python3.11"]
    host = {"wsl": 2, "pythons": ["3.13", "3.11"], "python_paths": paths}
    decision = backend.decide("directml", [RADEON], host=host)
    assert decision["python"] == {"requires": ">=3.10,<3.13", "use": "3.11", "path": paths[1], "fetch": False}
    assert backend.decide("cpu", [RADEON], host=host)["python"]["path"] == paths[0]


def test_why_directml_takes_fewer_pythons_than_its_wheels_is_said() -> None:
    host = {"wsl": 2, "pythons": ["3.9"], "python_fetch": False}
    with pytest.raises(
        Refused, match=re.escape("needs Python 3.10 to 3.12 (torch-directml's last wheels are for 3.8 to 3.12, and")
    ):
        backend.decide("directml", [RADEON], host=host)


@pytest.mark.parametrize(
    ("wish", "host", "words"),
    [
        (
            "auto",
            {},
            [
                "5 GB are free",
                "ROCm takes about 8.3 GB. Expected: that much",
                "use the CPU: ./colab-ready -e colab_backend=cpu",
            ],
        ),
        ("rocm", {"disk_free_bytes": 10**9}, ["1 GB are free", "ROCm takes about", "colab_prefix=PATH."]),
        ("cpu", {"disk_free_bytes": 10**9}, ["CPU takes about 1.5 GB", "colab_prefix=PATH."]),
        ("auto", {"built": ["cpu"], "disk_free_bytes": 10**6}, ["ROCm takes about 8 GB", "use the CPU"]),
        ("auto", {"built": ["rocm"]}, []),
        ("auto", {"begun": ["rocm"]}, []),
        ("cpu", {}, []),
        ("auto", {"disk_free_bytes": None}, []),
    ],
)
def test_a_run_that_the_disk_has_no_room_for_is_not_begun(wish: str, host: dict[str, Any], words: list[str]) -> None:
    host = {"wsl": 2, "disk_free_bytes": 5 * 10**9, **host}
    assert backend.decide(wish, [RADEON], host=host)["name"]
    if not words:
        assert backend.decide(wish, [RADEON], host=host, settings={})["name"]
        return
    with pytest.raises(Refused) as refusal:
        backend.decide(wish, [RADEON], host=host, settings={})
    assert all(word in str(refusal.value) for word in words)


def test_what_is_to_be_fetched_is_told_for_the_settings_and_until_it_is_there() -> None:
    def work(name: str, built: list[str], **settings: Any) -> dict[str, Any] | None:
        host = {"wsl": 2, "built": built, "disk_free_bytes": 40 * 10**9, "distribution": "ubuntu"}
        host["distribution_version"] = "24.04"
        found: dict[str, Any] | None = backend.decide(name, [RADEON], host=host, settings=settings)["work"]
        return found

    first, server_there = work("cpu", []), work("cpu", ["rocm"])
    assert first and server_there and work("cpu", ["cpu"]) is None
    assert first["download_bytes"] - server_there["download_bytes"] == 75 * 10**6
    assert first["text"] == (
        "CPU is to be set up: about 0.4 GB to fetch, 1.5 GB of disk (40 GB are free), 2 min on a line of 100 Mbit/s"
    )
    small, index = work("directml", []), work("directml", [], directml_torch_build="index")
    assert small and index and index["download_bytes"] > 2.5 * 10**9 > 0.5 * 10**9 > small["download_bytes"]
    wheels, packages = work("rocm", []), work("rocm", [], rocm_system_packages=True)
    assert wheels and packages and packages["disk_bytes"] - wheels["disk_bytes"] == 6.2 * 10**9


@pytest.mark.parametrize(("build", "said"), [(None, True), (22621, True), (19041, False)])
def test_nobody_on_windows_10_is_told_to_get_a_driver_that_there_is_not(build: int | None, said: bool) -> None:
    cautions = backend.decide("auto", [{**RADEON, "wddm": "2.7"}], host={"wsl": 2, "windows_build": build})["cautions"]
    assert any("is older than GPUs in WSL (WDDM 2.7)" in caution for caution in cautions) is said


def test_facts_that_the_decision_does_not_know_are_ignored() -> None:
    assert backend.decide("auto", [RADEON], host={"colour": "beige"})["name"] == "rocm"


REFUSALS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, list[str]]] = [
    (
        "a backend without its card",
        "cuda",
        [RADEON],
        None,
        ["'cuda'", "for NVIDIA graphics, and there is none", "Expected: auto or rocm or cpu"],
    ),
    (
        "no backend",
        "rocmm",
        [],
        None,
        ["'rocmm'", "is no backend", "Expected: auto or cuda or rocm or xpu or directml or cpu"],
    ),
    ("no backend by letter case", "CPU", [], None, ["'CPU'", "is no backend"]),
    ("an adapter that is not there", "auto", [RADEON], "1", ["fits no adapter", "0: AMD Navi 31"]),
    (
        "an adapter where there is none",
        "auto",
        [],
        "0",
        [
            "'0', but no GPU was found on this host",
            "Expected: an empty colab_gpu. Do: ./colab-ready settings --reset colab_gpu, then ./colab-ready without it.",
        ],
    ),
    ("an adapter where adapters are unknown", "auto", None, "7", ["'7'", "is not known"]),
    ("an adapter that is none", "auto", [VIRTUAL], "0", ["QEMU 1234:1111", "it is software, not a GPU"]),
    ("an adapter that is ambiguous", "auto", [RADEON, GEFORCE], "0000:0", ["fits 2 adapters", "1: NVIDIA 10de:2684"]),
]


@pytest.mark.parametrize(
    ("wish", "adapters", "gpu", "words"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_a_wish_that_cannot_be_met_is_refused_with_what_can(
    wish: str, adapters: list[dict[str, Any]] | None, gpu: str | None, words: list[str]
) -> None:
    with pytest.raises(Refused) as refusal:
        backend.decide(wish, adapters, gpu=gpu)
    assert all(word in str(refusal.value) for word in [*words, "Do:"])


ADAPTERS = [("0", 0), ("1", 1), ("radeon", 0), ("NVIDIA", 1), ("04:00.0", 1), ("7900", 0), ("gfx1100", 0)]


@pytest.mark.parametrize(("wish", "index"), ADAPTERS)
def test_an_adapter_is_asked_for_by_index_name_vendor_or_address(wish: str, index: int) -> None:
    chosen = backend.choose_adapter(wish, [RADEON, GEFORCE])
    assert chosen is not None
    assert chosen["index"] == index


@pytest.mark.parametrize("wish", ["", None])
def test_no_wish_for_an_adapter_is_no_wish(wish: str | None) -> None:
    assert backend.choose_adapter(wish, [RADEON]) is None


def test_for_the_cpu_no_adapter_needs_to_be_known() -> None:
    assert backend.decide("cpu", None, "not yet", gpu="7")["name"] == "cpu"


def test_who_asks_for_a_backend_reads_that_the_others_were_not_asked_for() -> None:
    decision = backend.decide("rocm", [RADEON], host={"wsl": 2})
    assert {"name": "cpu", "why": "colab_backend asks for another one"} in decision["rejected"]
    assert {"name": "directml", "why": "colab_backend asks for another one"} in decision["rejected"]


def test_a_setting_of_a_card_that_is_not_taken_anyway_refuses_nobody() -> None:
    host = {"wsl": 2, "libcuda": True}
    assert backend.decide("auto", [RADEON, GEFORCE], host=host, settings={"rocm_version": "9"})["name"] == "cuda"
    assert backend.decide("auto", [RX_6600], host=host, settings={"rocm_version": "9"})["name"] == "directml"
    for wish, card in (("auto", RADEON), ("rocm", RADEON), ("rocm", RX_6600)):
        with pytest.raises(Refused, match="ROCm 9 is not in the table"):
            backend.decide(wish, [card], host=host, settings={"rocm_version": "9"})
    assert backend.decide("directml", [RADEON], host=host, settings={"rocm_version": "9"})["name"] == "directml"


def test_the_settings_that_the_decision_hangs_on_are_handed_on_as_what_they_are() -> None:
    given = {"rocm_version": 7.14, "rocm_experimental": "yes", "rocm_torch": "", "rocm_apt_key": "x", "xpu_lock": "y"}
    settings = backend.decide("rocm", [RADEON], host={"wsl": 2}, settings=given)["settings"]
    assert (settings["version"], settings["experimental"], settings["torch"]) == ("7.14", True, "")
    assert "apt_key" not in settings and backend.decide("cpu", [], settings=given)["settings"] == {}


def test_the_wishes_are_the_ones_of_the_contract() -> None:
    assert sorted(backend.BACKEND_CHOICES) == ["auto", "cpu", "cuda", "directml", "rocm", "xpu"]


# --- whatever a host says ---------------------------------------------------------------------------------------------

WORDS = st.one_of(st.none(), st.text(max_size=8))
FLAGS = st.one_of(st.none(), st.booleans())
DEVICES = [(family.vendor_id, device) for device, family, _ in catalog.DEVICES]
DEVICES += [(family.vendor_id, f"{low:04x}") for family in catalog.FAMILIES for low, _ in catalog.id_ranges(family)]
DEVICES += [("1414", "008c"), ("4d4f4351", "36334330"), ("ffff", "ffff"), ("", ""), ("1002", "zzzz")]
ODD_ADAPTERS = st.fixed_dictionaries(
    {"ids": st.sampled_from(DEVICES), "software": FLAGS},
    optional={
        **dict.fromkeys(("name", "vendor", "revision", "driver", "wddm", "address"), WORDS),
        **dict.fromkeys(("compute_only", "render", "detachable"), FLAGS),
        "hybrid": st.sampled_from([None, "discrete", "integrated"]),
        "dedicated_bytes": st.one_of(st.none(), st.integers(0, 2**48)),
    },
)
HOSTS = st.fixed_dictionaries(
    {"wsl": st.sampled_from([None, 1, 2])},
    optional={
        **dict.fromkeys(
            ("dxg", "libcuda", "d3d12", "dxcore", "kfd", "nvidia_device", "render_node", "python_fetch"), FLAGS
        ),
        "container": FLAGS,
        "dxg_failure": st.sampled_from([None, "dxg_missing", "dxg_denied", "timeout", "of_tomorrow"]),
        "windows_build": st.sampled_from([None, 19045, 26100]),
        "distribution": st.sampled_from([None, "ubuntu", "debian", ""]),
        "distribution_version": st.sampled_from([None, "22.04", "24.04", "x"]),
        "architecture": st.sampled_from([None, "x86_64", "aarch64", "riscv64"]),
        "pythons": st.one_of(
            st.none(), st.lists(st.sampled_from(["3.10.12", "3.12.3", "3.13.5", "", "3", "2.7"]), max_size=3)
        ),
        "disk_free_bytes": st.one_of(st.none(), st.integers(0, 10**13)),
    },
)


@given(adapters=st.one_of(st.none(), st.lists(ODD_ADAPTERS, max_size=5)), host=HOSTS)
@settings(deadline=None, max_examples=300)
def test_whatever_is_found_the_answer_is_whole_and_takes_nothing_that_is_only_on_request(
    adapters: list[dict[str, Any]] | None, host: dict[str, Any]
) -> None:
    found = None
    if adapters is not None:
        found = [
            {**adapter, "index": index, "vendor_id": adapter["ids"][0], "device_id": adapter["ids"][1]}
            for index, adapter in enumerate(adapters)
        ]
    decision = backend.decide("auto", found, "not yet", host=host)
    assert sorted([decision["name"], *(entry["name"] for entry in decision["rejected"])]) == sorted(
        entry.name for entry in BACKENDS
    )
    assert all(decision["reasons"]) and all(entry["why"] for entry in decision["rejected"])
    assert (decision["adapter"] is None) == (decision["card"] is None) == (decision["name"] == "cpu")
    assert all(hint["do"].startswith(f"./colab-ready -e colab_backend={hint['name']}") for hint in decision["opt_in"])
    taken = [
        hint
        for hint in decision["opt_in"]
        if hint["name"] == decision["name"] and hint["adapter"] == decision["adapter"]
    ]
    assert not taken
    if decision["adapter"] is not None:
        assert found is not None and host["wsl"] != 1
        assert found[decision["adapter"]]["software"] is False

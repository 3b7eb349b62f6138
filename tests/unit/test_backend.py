"""Which backend a host gets follows from the table, and every other one is said to be out, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.colab_ready import backend, gpus
from ansible.module_utils.colab_ready.backend import BACKENDS, Refusal
from hypothesis import given, settings
from hypothesis import strategies as st

RADEON = {"index": 0, "name": "Navi 31 [Radeon RX 7900 XTX]", "vendor": "AMD", "vendor_id": "1002", "device_id": "744c",
          "revision": "c8", "address": "0000:03:00.0", "driver": "amdgpu", "software": False}  # fmt: skip
GEFORCE = {"index": 1, "name": None, "vendor": "NVIDIA", "vendor_id": "10de", "device_id": "2684",
           "address": "0000:04:00.0", "driver": "nvidia", "software": False}  # fmt: skip
VIRTUAL = {"index": 0, "name": None, "vendor": "QEMU", "vendor_id": "1234", "device_id": "1111",
           "address": "0000:00:02.0", "software": True}  # fmt: skip

NO_ROCM, NO_CUDA = (
    f"this version of colab-ready does not build {title} yet, so PyTorch runs on the CPU" for title in ("ROCm", "CUDA")
)
CUDA = "this machine would get CUDA. NVIDIA 10de:2684: NVIDIA's driver brings CUDA"
ROCM = "this machine would get ROCm. Radeon RX 7900 XTX (gfx1100): AMD supports it with ROCm"

# wish, adapters, why they are unknown, gpu, chosen_by, reasons
DECISIONS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, str | None, str, list[str]]] = [
    ("nothing", "auto", [], None, None, "auto", ["no GPU found"]),
    ("a card", "auto", [RADEON], None, None, "auto", ["found AMD Navi 31 [Radeon RX 7900 XTX]", NO_ROCM, ROCM]),
    ("a card without a name", "auto", [GEFORCE], None, None, "auto", ["found NVIDIA 10de:2684", NO_CUDA, CUDA]),
    ("no real card", "auto", [VIRTUAL], None, None, "auto", ["no GPU found, only QEMU 1234:1111 (software)"]),
    ("unknown", "auto", None, "not yet", None, "auto", ["which graphics this host has is not known: not yet"]),
    ("cpu asked for", "cpu", [], None, None, "colab_backend", ["colab_backend asks for it", "no GPU found"]),
    ("a card asked for", "auto", [RADEON, GEFORCE], None, "1", "auto",
     ["found AMD Navi 31 [Radeon RX 7900 XTX], NVIDIA 10de:2684", NO_CUDA, CUDA, "colab_gpu (1) has no effect on the CPU"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "adapters", "unknown", "gpu", "chosen_by", "reasons"),
    [case[1:] for case in DECISIONS],
    ids=[case[0] for case in DECISIONS],
)
def test_on_native_linux_this_version_decides_for_the_cpu_and_says_why(
    wish: str,
    adapters: list[dict[str, Any]] | None,
    unknown: str | None,
    gpu: str | None,
    chosen_by: str,
    reasons: list[str],
) -> None:
    decision = backend.decide(wish, adapters, unknown, gpu)
    assert (decision["name"], decision["device_type"], decision["chosen_by"]) == ("cpu", "cpu", chosen_by)
    assert decision["reasons"] == reasons


def test_every_other_backend_is_rejected_with_a_reason() -> None:
    rejected = {entry["name"]: entry["why"] for entry in backend.decide("auto", [])["rejected"]}
    assert list(rejected) == ["cuda", "rocm", "xpu", "directml"]
    assert rejected.pop("directml") == "DirectML is a part of Windows, and this is not WSL"
    assert all("and there is none" in why for why in rejected.values())


def test_a_backend_that_only_this_version_lacks_is_said_to_be_possible() -> None:
    decision = backend.decide("auto", [RADEON])
    assert {"name": "rocm", "why": "not in this version of colab-ready; Radeon RX 7900 XTX (gfx1100) could have it"} in decision["rejected"]
    assert decision["recommended"] == {
        "name": "rocm",
        "device_type": "cuda",
        "adapter": 0,
        "gfx": "gfx1100",
        "available": False,
        "why": "Radeon RX 7900 XTX (gfx1100): AMD supports it with ROCm",
    }


def test_the_better_backend_of_a_later_version_is_named_beside_the_one_of_this() -> None:
    decision = backend.decide("auto", [RADEON], host={"wsl": 2})
    assert (decision["name"], decision["recommended"]["name"]) == ("directml", "rocm")
    assert "Radeon RX 7900 XTX (gfx1100) would get ROCm, but this version of colab-ready does not build it yet" in decision["reasons"]


@pytest.mark.parametrize(("name", "requires"), [("rocm", ">=3.11,<3.15"), ("directml", ">=3.10,<3.13"), ("cpu", ">=3.10,<3.15")])
def test_the_python_of_the_backend_is_part_of_the_decision(name: str, requires: str) -> None:
    table = tuple(replace(entry, available_in_this_version=True) for entry in BACKENDS)
    host = {"wsl": 2, "pythons": ["3.15.0"], "python_fetch": True}
    decision = backend.decide(name, [RADEON], backends=table, host=host)
    assert decision["python_requires"] == requires
    assert decision["python"] == {"requires": requires, "use": "3.12", "path": None, "fetch": True}


def test_the_interpreter_of_the_host_is_named() -> None:
    paths = ["/usr/bin/python3.13", "/usr/bin/python3.11"]
    host = {"wsl": 2, "pythons": ["3.13", "3.11"], "python_paths": paths}
    decision = backend.decide("directml", [RADEON], host=host)
    assert decision["python"] == {"requires": ">=3.10,<3.13", "use": "3.11", "path": paths[1], "fetch": False}
    assert backend.decide("cpu", [RADEON], host=host)["python"]["path"] == paths[0]


def test_why_directml_takes_fewer_pythons_than_its_wheels_is_said() -> None:
    host = {"wsl": 2, "pythons": ["3.9"], "python_fetch": False}
    with pytest.raises(Refusal, match=re.escape("needs Python 3.10 to 3.12 (torch-directml's last wheels are for 3.8 to 3.12, and")):
        backend.decide("directml", [RADEON], host=host)


@pytest.mark.parametrize(("free", "built", "said"), [(2 * 10**9, [], False), (10**9, [], True), (10**9, ["directml"], False)])
def test_a_disk_that_is_too_small_is_said_until_the_environment_is_there(free: int, built: list[str], said: bool) -> None:
    host = {"wsl": 2, "disk_free_bytes": free, "built": built}
    cautions = backend.decide("directml", [RADEON], host=host)["cautions"]
    assert ("building DirectML takes about 2 GB of disk, and 1 GB are free" in cautions) is said


@pytest.mark.parametrize(("build", "said"), [(None, True), (22621, True), (19041, False)])
def test_nobody_on_windows_10_is_told_to_get_a_driver_that_there_is_not(build: int | None, said: bool) -> None:
    cautions = backend.decide("auto", [{**RADEON, "wddm": "2.7"}], host={"wsl": 2, "windows_build": build})["cautions"]
    assert any("is older than GPUs in WSL (WDDM 2.7)" in caution for caution in cautions) is said


def test_facts_that_the_decision_does_not_know_are_ignored() -> None:
    assert backend.decide("auto", [RADEON], host={"colour": "beige"})["name"] == "cpu"


REFUSALS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, list[str]]] = [
    ("a backend of a later version", "rocm", [RADEON], None, ["'rocm'", "does not bring yet", "Expected: auto or directml or cpu"]),
    ("no backend", "rocmm", [], None, ["'rocmm'", "is no backend", "Expected: auto or directml or cpu"]),
    ("no backend by letter case", "CPU", [], None, ["'CPU'", "Expected: auto or directml or cpu"]),
    ("an adapter that is not there", "auto", [RADEON], "1", ["fits no adapter", "0: AMD Navi 31"]),
    ("an adapter where there is none", "auto", [], "0", ["fits no adapter", "one of none"]),
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
    with pytest.raises(Refusal) as refusal:
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


def test_a_backend_that_enters_the_table_can_be_asked_for() -> None:
    table = tuple(
        replace(entry, available_in_this_version=True) if entry.name == "rocm" else entry for entry in BACKENDS
    )
    decision = backend.decide("rocm", [RADEON], backends=table)
    assert (decision["name"], decision["device_type"]) == ("rocm", "cuda")
    assert {"name": "cpu", "why": "colab_backend asks for another one"} in decision["rejected"]


def test_the_wishes_are_the_ones_of_the_contract() -> None:
    assert sorted(backend.BACKEND_WISHES) == ["auto", "cpu", "cuda", "directml", "rocm", "xpu"]


# --- whatever a host says ---------------------------------------------------------------------------------------------

WORDS = st.one_of(st.none(), st.text(max_size=8))
FLAGS = st.one_of(st.none(), st.booleans())
DEVICES = [(family.vendor_id, device) for device, family, _ in gpus.DEVICES]
DEVICES += [(family.vendor_id, f"{low:04x}") for family in gpus.FAMILIES for low, _ in gpus.id_ranges(family)]
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
        **dict.fromkeys(("dxg", "libcuda", "d3d12", "dxcore", "kfd", "nvidia_device", "render_node", "python_fetch"), FLAGS),
        "container": FLAGS,
        "dxg_failure": st.sampled_from([None, "dxg_missing", "dxg_denied", "timeout", "of_tomorrow"]),
        "windows_build": st.sampled_from([None, 19045, 26100]),
        "distribution": st.sampled_from([None, "ubuntu", "debian", ""]),
        "distribution_version": st.sampled_from([None, "22.04", "24.04", "x"]),
        "architecture": st.sampled_from([None, "x86_64", "aarch64", "riscv64"]),
        "pythons": st.one_of(st.none(), st.lists(st.sampled_from(["3.10.12", "3.12.3", "3.13.5", "", "3", "2.7"]), max_size=3)),
        "disk_free_bytes": st.one_of(st.none(), st.integers(0, 10**13)),
    },
)


@given(
    adapters=st.one_of(st.none(), st.lists(ODD_ADAPTERS, max_size=5)),
    host=HOSTS,
    built=st.sets(st.sampled_from([entry.name for entry in BACKENDS])),
)
@settings(deadline=None, max_examples=300)
def test_whatever_is_found_the_answer_is_whole_and_takes_nothing_that_is_only_on_request(
    adapters: list[dict[str, Any]] | None, host: dict[str, Any], built: set[str]
) -> None:
    table = tuple(replace(entry, available_in_this_version=entry.name in (*built, "cpu")) for entry in BACKENDS)
    found = None
    if adapters is not None:
        found = [
            {**adapter, "index": index, "vendor_id": adapter["ids"][0], "device_id": adapter["ids"][1]}
            for index, adapter in enumerate(adapters)
        ]
    decision = backend.decide("auto", found, "not yet", backends=table, host=host)
    assert decision["name"] in (*built, "cpu")
    assert sorted([decision["name"], *(entry["name"] for entry in decision["rejected"])]) == sorted(entry.name for entry in table)
    assert all(decision["reasons"]) and all(entry["why"] for entry in decision["rejected"])
    assert (decision["adapter"] is None) == (decision["name"] == "cpu")
    taken = [hint for hint in decision["opt_in"] if hint["name"] == decision["name"] and hint["adapter"] == decision["adapter"]]
    assert not taken
    if decision["adapter"] is not None:
        assert found is not None and host["wsl"] != 1
        assert found[decision["adapter"]]["software"] is False

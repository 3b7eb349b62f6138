"""Which backend a host gets follows from the table, and every other one is said to be out, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.colab_ready import backend
from ansible.module_utils.colab_ready.backend import BACKENDS, Refusal

RADEON = {"index": 0, "name": "Navi 31 [Radeon RX 7900 XTX]", "vendor": "AMD", "vendor_id": "1002", "device_id": "744c",
          "address": "0000:03:00.0", "software": False}  # fmt: skip
GEFORCE = {"index": 1, "name": None, "vendor": "NVIDIA", "vendor_id": "10de", "device_id": "2684",
           "address": "0000:04:00.0", "software": False}  # fmt: skip
VIRTUAL = {"index": 0, "name": None, "vendor": "QEMU", "vendor_id": "1234", "device_id": "1111",
           "address": "0000:00:02.0", "software": True}  # fmt: skip

NO_BACKEND = "this version of colab-ready brings no GPU backend yet, so PyTorch runs on the CPU"

# wish, adapters, why they are unknown, gpu, chosen_by, reasons
DECISIONS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, str | None, str, list[str]]] = [
    ("nothing", "auto", [], None, None, "auto", ["no GPU found", NO_BACKEND]),
    ("a card", "auto", [RADEON], None, None, "auto", ["found AMD Navi 31 [Radeon RX 7900 XTX]", NO_BACKEND]),
    ("a card without a name", "auto", [GEFORCE], None, None, "auto", ["found NVIDIA 10de:2684", NO_BACKEND]),
    ("no real card", "auto", [VIRTUAL], None, None, "auto", ["no GPU found, only QEMU 1234:1111 (software)", NO_BACKEND]),
    ("unknown", "auto", None, "not yet", None, "auto", ["which graphics this host has is not known: not yet", NO_BACKEND]),
    ("cpu asked for", "cpu", [], None, None, "colab_backend", ["colab_backend asks for it", "no GPU found"]),
    ("a card asked for", "auto", [RADEON, GEFORCE], None, "1", "auto",
     ["found AMD Navi 31 [Radeon RX 7900 XTX], NVIDIA 10de:2684", NO_BACKEND, "colab_gpu (1) has no effect on the CPU"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "adapters", "unknown", "gpu", "chosen_by", "reasons"),
    [case[1:] for case in DECISIONS],
    ids=[case[0] for case in DECISIONS],
)
def test_this_version_decides_for_the_cpu_and_says_why(
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
    rejected = backend.decide("auto", [])["rejected"]
    assert [entry["name"] for entry in rejected] == ["cuda", "rocm", "xpu", "directml"]
    assert all("not in this version" in entry["why"] for entry in rejected)


REFUSALS: list[tuple[str, str, list[dict[str, Any]] | None, str | None, list[str]]] = [
    ("a backend of a later version", "rocm", [RADEON], None, ["'rocm'", "does not bring yet", "Expected: auto or cpu"]),
    ("no backend", "rocmm", [], None, ["'rocmm'", "is no backend", "Expected: auto or cpu"]),
    ("no backend by letter case", "CPU", [], None, ["'CPU'", "Expected: auto or cpu"]),
    ("an adapter that is not there", "auto", [RADEON], "1", ["fits no adapter", "0: AMD Navi 31"]),
    ("an adapter where there is none", "auto", [], "0", ["fits no adapter", "one of none"]),
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


ADAPTERS = [("0", 0), ("1", 1), ("radeon", 0), ("NVIDIA", 1), ("04:00.0", 1)]


@pytest.mark.parametrize(("wish", "index"), ADAPTERS)
def test_an_adapter_is_asked_for_by_index_name_vendor_or_address(wish: str, index: int) -> None:
    chosen = backend.choose_adapter(wish, [RADEON, GEFORCE])
    assert chosen is not None
    assert chosen["index"] == index


@pytest.mark.parametrize("wish", ["", None])
def test_no_wish_for_an_adapter_is_no_wish(wish: str | None) -> None:
    assert backend.choose_adapter(wish, [RADEON]) is None


def test_an_adapter_cannot_be_checked_where_adapters_are_unknown() -> None:
    assert backend.decide("auto", None, "not yet", gpu="7")["name"] == "cpu"


def test_a_backend_that_enters_the_table_can_be_asked_for() -> None:
    table = tuple(
        replace(entry, available_in_this_version=True) if entry.name == "rocm" else entry for entry in BACKENDS
    )
    decision = backend.decide("rocm", [RADEON], backends=table)
    assert (decision["name"], decision["device_type"]) == ("rocm", "cuda")
    assert {"name": "cpu", "why": "colab_backend asks for another one"} in decision["rejected"]


def test_the_wishes_are_the_ones_of_the_contract() -> None:
    assert sorted(backend.BACKEND_WISHES) == ["auto", "cpu", "cuda", "directml", "rocm", "xpu"]

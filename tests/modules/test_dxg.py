"""The reader of /dev/dxg as a process, against a stand-in for the device that is as strict as the kernel, and stricter."""

from __future__ import annotations

import errno
import json
import os
from typing import Any

import pytest
from doubles.dxg_stand_in import (
    COMPUTE_ONLY,
    DISCRETE,
    INTEGRATED,
    NOT_FOUND,
    REGISTRY,
    RENDER,
    SOFTWARE,
    TYPE_RENDER,
    Adapter,
    DxgDouble,
    Fault,
    adapter_like,
)
from dxg_reader import read_with, run_reader

# Time enough for a loaded computer to answer; nobody waits for it to run out.
LONG = 60

RADEON = Adapter()
IGPU = Adapter(
    name="AMD Radeon(TM) Graphics",
    ids=(0x1002, 0x164E, 0x1043, 0x8877, 0xC1),
    dedicated=512 << 20,
    bits=RENDER | INTEGRATED,
    address=(0x10, 0, 0),
    luid=(5, -1),
)
BASIC = Adapter(
    name="Microsoft Basic Render Driver",
    ids=(0x1414, 0x8C, 0, 0, 0),
    dedicated=0,
    driver_version=(10, 0, 26100, 1),
    bits=RENDER | SOFTWARE,
    address=(0, 0, 0xFFFF),
)
NPU = Adapter(
    name="Intel(R) AI Boost",
    ids=(0x8086, 0x7D1D, 0x1043, 0x1234, 4),
    dedicated=0,
    bits=COMPUTE_ONLY,
    address=(0, 0xB, 0),
)
ADRENO = Adapter(
    name="Qualcomm(R) Adreno(TM) X1-85 GPU",
    ids=(0x4D4F4351, 0x36334330, 0, 0, 0x87),
    dedicated=0,
    driver_version=(31, 0, 121, 1),
    bits=RENDER,
    address=(0, 0, 0xFFFF),
)


def test_what_is_described_is_what_is_read() -> None:
    with DxgDouble([IGPU, RADEON, BASIC]) as double:
        adapters, reasons = read_with(double)
        assert double.violations() == []
    assert adapters[1] == {
        "index": 1,
        "name": "AMD Radeon RX 7900 XTX",
        "vendor": "AMD",
        "vendor_id": "1002",
        "device_id": "744c",
        "subsystem_vendor_id": "1eae",
        "subsystem_id": "7901",
        "revision": "c8",
        "address": "0000:03:00.0",
        "driver": None,
        "driver_version": "32.0.22029.9039",
        "wddm": "3.2",
        "dedicated_bytes": 25753026560,
        "software": False,
        "render": True,
        "compute_only": False,
        "hybrid": "discrete",
        "detachable": False,
        "primary": True,
        "luid": "00000000:0000abcd",
        "gfx": None,
        "product": None,
        "source": dict.fromkeys(
            "name vendor vendor_id device_id subsystem_vendor_id subsystem_id revision address driver_version wddm "
            "dedicated_bytes software render compute_only hybrid detachable luid".split(),
            "dxg",
        ),
    }
    assert [(one["name"], one["software"], one["primary"], one["luid"]) for one in adapters] == [
        ("AMD Radeon(TM) Graphics", False, False, "ffffffff:00000005"),
        ("AMD Radeon RX 7900 XTX", False, True, "00000000:0000abcd"),
        ("Microsoft Basic Render Driver", True, False, "00000000:0000abcd"),
    ]
    assert {path: why["reason"] for path, why in reasons.items()} == {
        **{f"adapters[{index}].driver": "not_said" for index in range(3)},
        "adapters[2].hybrid": "not_hybrid",
        "adapters[2].address": "not_pci",
    }


def test_a_copy_of_the_process_reads_the_same() -> None:
    with DxgDouble([IGPU, RADEON, BASIC, NPU, ADRENO]) as double:
        assert read_with(double, LONG) == read_with(double)
        assert double.violations() == []


def test_an_adapter_that_was_read_can_be_described_again() -> None:
    with DxgDouble([RADEON, IGPU, BASIC, NPU, ADRENO]) as double:
        adapters, _ = read_with(double)
    with DxgDouble([adapter_like(adapter) for adapter in adapters]) as double:
        again, _ = read_with(double)
    assert again == adapters


def test_vendors_of_acpi_devices_have_their_names() -> None:
    with DxgDouble([ADRENO]) as double:
        adapters, _ = read_with(double)
    assert (adapters[0]["vendor"], adapters[0]["vendor_id"], adapters[0]["primary"]) == ("Qualcomm", "4d4f4351", True)


def test_as_many_adapters_as_the_kernel_lists_are_read() -> None:
    with DxgDouble([RADEON] * 64) as double:
        adapters, _ = read_with(double, LONG)
        assert double.violations() == []
    assert [adapter["index"] for adapter in adapters] == list(range(64))


def test_it_needs_no_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("this is not root: every other test here has shown it already")
    with DxgDouble([RADEON]) as double:
        told = run_reader(
            double, "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(dxg.read_adapters_safely()[0])"
        )
        assert "AMD Radeon RX 7900 XTX" in told
        assert double.violations() == []


# --- how kernels list adapters --------------------------------------------------------------------------------------

OVERFLOW = Fault("enum3", errno.EOVERFLOW, last=2)
LISTS: dict[str, tuple[dict[str, Any], list[str | None]]] = {
    "none": ({"adapters": []}, []),
    "newer kernel": ({"hides_compute_only": True}, ["AMD", "Intel", "Microsoft"]),
    # Three announced, two returned: the count holds the adapter that the older call hides.
    "newer kernel, older call": ({"hides_compute_only": True, "has_enum3": False}, ["AMD", "Microsoft"]),
    "older kernel": ({"has_enum3": False}, ["AMD", "Intel", "Microsoft"]),
    "a kernel that refuses the newer call": (
        {"faults": [Fault("enum3_count", errno.EINVAL)]},
        ["AMD", "Intel", "Microsoft"],
    ),
    "it grows between the steps": ({"faults": [OVERFLOW]}, ["AMD", "Intel", "Microsoft"]),
    "it grows, older call": (
        {"has_enum3": False, "faults": [Fault("enum2", errno.EOVERFLOW, last=1)]},
        ["AMD", "Intel", "Microsoft"],
    ),
    "interrupted": (
        {"faults": [Fault(step, errno.EINTR, last=3) for step in ("enum3_count", "enum3", "close")]},
        ["AMD", "Intel", "Microsoft"],
    ),
    "an NTSTATUS that is no error": ({"faults": [Fault("enum3", status=0x40000000)]}, ["AMD", "Intel", "Microsoft"]),
    "fewer returned than filled in": ({"returned": 1}, ["AMD"]),
    "more announced than there are": ({"announced": 9}, ["AMD", "Intel", "Microsoft"]),
    "zero handles": ({"adapters": [Adapter(zero_handle=True), RADEON, Adapter(zero_handle=True)]}, ["AMD"]),
}


@pytest.mark.parametrize(("machine", "vendors"), LISTS.values(), ids=LISTS)
def test_every_way_to_list_adapters_is_understood(machine: dict[str, Any], vendors: list[str | None]) -> None:
    with DxgDouble(**{"adapters": [RADEON, NPU, BASIC], **machine}) as double:
        adapters, _ = read_with(double)
        assert double.violations() == []
    assert [adapter["vendor"] for adapter in adapters] == vendors


def test_a_compute_only_adapter_says_so_and_is_not_the_primary_one() -> None:
    for hides in (False, True):
        with DxgDouble([NPU, RADEON], hides_compute_only=hides) as double:
            adapters, _ = read_with(double)
        assert [(one["compute_only"], one["render"], one["primary"]) for one in adapters] == [
            (True, False, False),
            (False, True, True),
        ]


# --- faults of everything -------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing": ({"device": "missing"}, "dxg_missing", "ENOENT"),
    "no right": ({"faults": [Fault("open", errno.EACCES)]}, "dxg_denied", "EACCES"),
    "a container without the device": ({"faults": [Fault("open", errno.EPERM)]}, "dxg_forbidden", "EPERM"),
    "no driver": ({"faults": [Fault("open", errno.ENXIO)]}, "dxg_no_driver", "ENXIO"),
    "no device": ({"faults": [Fault("open", errno.ENODEV)]}, "dxg_no_device", "ENODEV"),
    "no process": ({"faults": [Fault("open", errno.EBADF)]}, "dxg_unopenable", "EBADF"),
    "a file": ({"device": "file"}, "dxg_not_dxg", "not a device file"),
    "another device": ({"device": (1, 3)}, "dxg_not_dxg", "device 1:3"),
    "a device of the same kind": (
        {"has_enum3": False, "faults": [Fault("enum2_count", errno.ENOTTY)]},
        "dxg_not_dxg",
        "does not know the call",
    ),
    "count fails": ({"faults": [Fault("enum3_count", errno.EIO)]}, "enum_failed", "EIO"),
    "list fails": ({"faults": [Fault("enum3", errno.ENOMEM)]}, "enum_failed", "ENOMEM"),
    "both lists fail": (
        {"faults": [Fault("enum3", errno.EINVAL), Fault("enum2", errno.EINVAL)]},
        "enum_failed",
        "EINVAL",
    ),
    "interrupted for ever": ({"faults": [Fault("enum3", errno.EINTR)]}, "enum_failed", "EINTR"),
    "grows for ever": ({"faults": [Fault("enum3", errno.EOVERFLOW)]}, "enum_unstable", "4 times"),
    "too many": ({"adapters": [RADEON] * 65}, "too_many_adapters", "65"),
    "too many, older call": ({"adapters": [RADEON] * 65, "has_enum3": False}, "too_many_adapters", "65"),
    "too many after all": ({"returned": 70}, "too_many_adapters", "70"),
    "crash": ({"faults": [Fault("query", "crash", type=TYPE_RENDER)]}, "crashed", "SIGSEGV, at: query 57 of adapter 0"),
    "crash at once": ({"faults": [Fault("open", "crash")]}, "crashed", "SIGSEGV, at: opening the device"),
}


@pytest.mark.parametrize(("machine", "reason", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_everything_has_its_reason(machine: dict[str, Any], reason: str, words: str) -> None:
    with DxgDouble(**{"adapters": [RADEON], **machine}) as double:
        adapters, reasons = read_with(double, LONG)
        assert double.violations() == []
    assert adapters is None
    assert list(reasons) == ["adapters"]
    assert reasons["adapters"]["reason"] == reason
    assert words in reasons["adapters"]["detail"]


HANGS = {
    "opening the device": Fault("open", "hang"),
    "listing the adapters": Fault("enum3", "hang"),
    "query 8 of adapter 1": Fault("query", "hang", type=REGISTRY, adapter=1),
    "closing the adapters": Fault("close", "hang"),
}


@pytest.mark.parametrize("step", HANGS)
def test_a_call_that_hangs_is_ended_and_named(step: str) -> None:
    with DxgDouble([RADEON, IGPU], faults=[HANGS[step]]) as double:
        # Long enough to get there; it is always used up.
        adapters, reasons = read_with(double, 1.5)
    assert adapters is None
    assert reasons == {"adapters": {"reason": "timeout", "detail": f"no answer within 1.5 s, at: {step}"}}


# --- faults of one question -----------------------------------------------------------------------------------------

FIELDS = {
    31: {"vendor", "vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision"},
    8: {"name"},
    3: {"dedicated_bytes"},
    18: {"driver_version"},
    13: {"wddm"},
    6: {"address"},
}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOENT, errno.EPERM, errno.ENODEV, errno.EINTR])
def test_a_question_that_fails_is_null_with_its_errno_and_the_rest_stays(code: int) -> None:
    for kind, fields in FIELDS.items():
        with DxgDouble([IGPU, RADEON], faults=[Fault("query", code, type=kind, adapter=1)]) as double:
            adapters, reasons = read_with(double)
            assert double.violations() == []
        nulls = {key for key, value in adapters[1].items() if value is None}
        assert nulls == fields | {"driver", "gfx", "product"}
        for field in fields:
            assert reasons[f"adapters[1].{field}"]["reason"] == "query_failed"
            assert f"{errno.errorcode[code]} " in reasons[f"adapters[1].{field}"]["detail"]
        assert adapters[0]["vendor_id"] == "1002"


def test_the_type_is_asked_in_two_ways() -> None:
    with DxgDouble([RADEON, BASIC], faults=[Fault("query", errno.EINVAL, type=57)]) as double:
        adapters, _ = read_with(double)
    assert [adapter["software"] for adapter in adapters] == [False, True]


def test_an_adapter_that_answers_nothing_is_reported_and_not_guessed() -> None:
    silent = Adapter(name=None, ids=None, dedicated=None, driver_version=None, wddm=None, bits=None, address=None)
    with DxgDouble([silent]) as double:
        adapters, reasons = read_with(double)
        assert double.violations() == []
    assert len(adapters) == 1
    known = {key for key, value in adapters[0].items() if value is not None}
    assert known == {"index", "primary", "luid", "source"}
    assert adapters[0]["primary"] is False
    assert {path.partition(".")[2] for path in reasons} == set(adapters[0]) - known - {"gfx", "product"}


def test_ids_of_nobody_make_no_hardware_of_it() -> None:
    with DxgDouble(
        [Adapter(ids=(0, 0, 0, 0, 0)), Adapter(ids=(0x1414, 0x8C, 0, 0, 0), bits=RENDER | DISCRETE)]
    ) as double:
        adapters, reasons = read_with(double)
    assert [(adapter["software"], adapter["vendor"], adapter["primary"]) for adapter in adapters] == [
        (None, None, False),
        (True, "Microsoft", False),
    ]
    assert reasons["adapters[0].software"]["reason"] == "no_ids"


def test_an_answer_that_is_still_pending_is_none() -> None:
    with DxgDouble([RADEON], faults=[Fault("query", type=31, status=0x103)]) as double:
        adapters, reasons = read_with(double)
    assert adapters[0]["vendor_id"] is None
    assert reasons["adapters[0].vendor_id"]["reason"] == "query_pending"


def test_an_optional_answer_may_be_missing() -> None:
    with DxgDouble([Adapter(answers={13: NOT_FOUND})]) as double:
        adapters, reasons = read_with(double)
    assert adapters[0]["wddm"] is None
    assert json.dumps(reasons).count("query_failed") == 1

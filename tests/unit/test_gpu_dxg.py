"""What /dev/dxg says is decoded as it stands, a question that fails costs its own answer only, and nothing stays open."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.colab_ready.gpu.adapter import Failure, Unknown, mark_primary
from ansible.module_utils.colab_ready.gpu.readers import dxg

# --- numbers --------------------------------------------------------------------------------------------------------

NUMBERS = [
    (dxg.QUERY_ADAPTER_INFO, 0x09, 24, 0xC0184709),
    (dxg.ENUM_ADAPTERS2, 0x14, 16, 0xC0104714),
    (dxg.CLOSE_ADAPTER, 0x15, 4, 0xC0044715),
    (dxg.ENUM_ADAPTERS3, 0x3E, 24, 0xC018473E),
]


@pytest.mark.parametrize(("number", "nr", "size", "golden"), NUMBERS)
def test_an_ioctl_has_the_number_that_its_layout_gives_it(number: int, nr: int, size: int, golden: int) -> None:
    assert number == 3 << 30 | size << 16 | 0x47 << 8 | nr == golden


# query types, the size of the buffer (facts: the table of the raw ioctl)
SIZES = {(31,): 28, (57, 15): 4, (8,): 2080, (3,): 24, (18,): 8, (13,): 4, (6,): 12}


def test_every_query_has_the_size_that_windows_insists_on() -> None:
    assert {query.types: query.size for query in dxg.QUERIES} == SIZES


def test_every_query_says_all_of_its_fields_whatever_comes() -> None:
    for query in dxg.QUERIES:
        for data in (bytes(query.size), b"\xff" * query.size, os.urandom(query.size)):
            assert set(query.decode(data)) == set(query.fields)


# --- decoding -------------------------------------------------------------------------------------------------------

IDS = [
    ((0x1002, 0x744C, 0x1EAE, 0x7901, 0xC8), ["1002", "744c", "1eae", "7901", "c8"]),
    ((0x10DE, 0x2684, 0, 0, 0xA1), ["10de", "2684", "0000", "0000", "a1"]),
    ((0x1414, 0x8C, 0, 0, 0), ["1414", "008c", "0000", "0000", "00"]),
    # An ACPI device: "QCOM" and "0C36" as letters.
    ((0x4D4F4351, 0x36334330, 0, 0, 0x87), ["4d4f4351", "36334330", "0000", "0000", "87"]),
]


@pytest.mark.parametrize(("numbers", "texts"), IDS)
def test_ids_are_lowercase_hex(numbers: tuple[int, ...], texts: list[str]) -> None:
    # Bit 31 of the first word, which is the question, must not get into the answer.
    assert list(dxg.decode_ids(struct.pack("<7I", 0x80000001, *numbers, 1)).values()) == texts


@pytest.mark.parametrize("vendor", [0, 0xFFFF, 0xFFFFFFFF])
def test_ids_of_nobody_are_no_ids(vendor: int) -> None:
    said = dxg.decode_ids(struct.pack("<7I", 0, vendor, 0x744C, 0x1002, 1, 2, 3))
    assert {value.reason for value in said.values()} == {"no_ids"}


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


NAMES: list[tuple[str, bytes, str | None]] = [
    ("plain", utf16("AMD Radeon RX 7900 XTX"), "AMD Radeon RX 7900 XTX"),
    ("a null ends it", utf16("Radeon\0 RX"), "Radeon"),
    ("not ASCII", utf16("Графика ™ 显卡"), "Графика ™ 显卡"),
    ("beyond 16 bits", utf16("GPU 🎮"), "GPU 🎮"),
    ("a lone high surrogate", utf16("GPU \ud83c."), "GPU \ufffd."),
    ("a lone low surrogate", utf16("\udfae GPU"), "\ufffd GPU"),
    ("no null in the array", utf16("x" * 260), "x" * 260),
    ("cut inside a character", utf16("y" * 259 + "\ud83c"), "y" * 259 + "\ufffd"),
    ("the next array is not its", utf16("GPU") + bytes(514) + utf16("BIOS"), "GPU"),
    ("what moves a cursor", utf16("GPU\x1b[2J\r\n\t evil\u202e"), "GPU [2J evil"),
    ("blanks", utf16("   "), None),
    ("nothing", b"", None),
]


@pytest.mark.parametrize(("data", "name"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES])
def test_a_name_is_readable_or_null(data: bytes, name: str | None) -> None:
    said = dxg.decode_name(data.ljust(2080, b"\0"))["name"]
    assert (said if name is not None else said.reason) == (name if name is not None else "not_said")


NUMBERS_DECODED: list[tuple[Callable[[bytes], dict[str, Any]], bytes, Any]] = [
    (dxg.decode_segments, struct.pack("<3Q", 25753026560, 1, 2), 25753026560),
    (dxg.decode_segments, struct.pack("<3Q", 0, 1, 2), 0),
    (dxg.decode_segments, struct.pack("<3Q", 1 << 63, 1, 2), "bad_answer"),
    (dxg.decode_wddm, struct.pack("<I", 3200), "3.2"),
    (dxg.decode_wddm, struct.pack("<I", 2900), "2.9"),
    (dxg.decode_wddm, struct.pack("<I", 1105), "1.1"),
    (dxg.decode_wddm, struct.pack("<I", 0), "bad_answer"),
    (dxg.decode_wddm, struct.pack("<I", 0xFFFFFFFF), "bad_answer"),
    (dxg.decode_driver_version, struct.pack("<Q", 32 << 48 | 22029 << 16 | 9039), "32.0.22029.9039"),
    (dxg.decode_driver_version, struct.pack("<4H", 0xFFFF, 1, 2, 31), "31.2.1.65535"),
    (dxg.decode_driver_version, bytes(8), "not_said"),
    (dxg.decode_address, struct.pack("<3I", 3, 0, 0), "0000:03:00.0"),
    (dxg.decode_address, struct.pack("<3I", 0xC1, 0x1F, 7), "0000:c1:1f.7"),
    (dxg.decode_address, struct.pack("<3I", 0, 0, 0xFFFF), "not_pci"),
    (dxg.decode_address, struct.pack("<3I", 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), "not_pci"),
    (dxg.decode_address, struct.pack("<3I", 0x10001, 0, 0), "bad_answer"),
    (dxg.decode_address, struct.pack("<3I", 1, 32, 0), "bad_answer"),
    (dxg.decode_address, struct.pack("<3I", 1, 0, 8), "bad_answer"),
]


@pytest.mark.parametrize(("decode", "data", "expected"), NUMBERS_DECODED)
def test_a_number_is_what_it_means_or_null(
    decode: Callable[[bytes], dict[str, Any]], data: bytes, expected: Any
) -> None:
    (said,) = decode(data).values()
    assert (said.reason if isinstance(said, Unknown) else said) == expected


# bits, then render, software, hybrid, detachable, compute_only
TYPES = [
    (0b0000_0000_0001, True, False, "not_hybrid", False, False),
    (0b0000_0001_0001, True, False, "discrete", False, False),
    (0b0000_0010_0001, True, False, "integrated", False, False),
    (0b0000_0011_0001, True, False, "bad_answer", False, False),
    (0b0000_0000_0101, True, True, "not_hybrid", False, False),
    (0b0100_0000_0001, True, False, "not_hybrid", True, False),
    (0b1000_0000_0000, False, False, "not_hybrid", False, True),
    # Display, post, indirect display, paravirtualized, acg, set timings, prototype: nothing that is asked here.
    (0b1_0011_1100_1010, False, False, "not_hybrid", False, False),
]


@pytest.mark.parametrize(("bits", "render", "software", "hybrid", "detachable", "compute_only"), TYPES)
def test_the_type_is_read_bit_by_bit(
    bits: int, render: bool, software: bool, hybrid: str, detachable: bool, compute_only: bool
) -> None:
    said = dxg.decode_type(struct.pack("<I", bits))
    said["hybrid"] = said["hybrid"].reason if isinstance(said["hybrid"], Unknown) else said["hybrid"]
    assert said == {
        "render": render,
        "software": software,
        "hybrid": hybrid,
        "detachable": detachable,
        "compute_only": compute_only,
    }


# --- judging --------------------------------------------------------------------------------------------------------

FAILED, NO_IDS = Unknown("query_failed", "…"), Unknown("no_ids", "…")
SOFTWARE = [
    (False, "1002", False),
    (False, "4d4f4351", False),
    # Not asked for its ids, but called hardware: it is hardware of which the maker is not known.
    (False, FAILED, False),
    (True, "1002", True),
    (True, FAILED, True),
    (False, "1414", True),
    (FAILED, "1414", True),
    (False, NO_IDS, "no_ids"),
    (True, NO_IDS, True),
    (FAILED, "1002", "query_failed"),
    (FAILED, FAILED, "query_failed"),
    (FAILED, NO_IDS, "query_failed"),
]


@pytest.mark.parametrize(("bit", "vendor_id", "expected"), SOFTWARE)
def test_an_adapter_is_called_hardware_only_where_nothing_objects(bit: Any, vendor_id: Any, expected: Any) -> None:
    said = dxg.judge_software(bit, vendor_id)
    assert (said.reason if isinstance(said, Unknown) else said) is expected or said.reason == expected


def candidate(**more: Any) -> dict[str, Any]:
    return {"software": False, "render": True, "compute_only": False, "dedicated_bytes": 0, "hybrid": None, **more}


PRIMARY = [
    ("none", [], None),
    ("software only", [candidate(software=True)], None),
    ("nobody knows whether it is hardware", [candidate(software=None)], None),
    ("an NPU", [candidate(compute_only=True)], None),
    (
        "the bigger one, in whatever place",
        [candidate(dedicated_bytes=512 << 20), candidate(dedicated_bytes=8 << 30)],
        1,
    ),
    ("not the software one, whatever it claims", [candidate(software=True, dedicated_bytes=1 << 40), candidate()], 1),
    (
        "the discrete one, where memory does not tell",
        [candidate(hybrid="integrated"), candidate(), candidate(hybrid="discrete")],
        2,
    ),
    ("memory not known", [candidate(dedicated_bytes=None), candidate(dedicated_bytes=1)], 1),
    ("all alike", [candidate(), candidate()], 0),
]


@pytest.mark.parametrize(("adapters", "expected"), [case[1:] for case in PRIMARY], ids=[case[0] for case in PRIMARY])
def test_the_primary_one_is_chosen_by_memory_and_kind(adapters: list[dict[str, Any]], expected: int | None) -> None:
    for index, adapter in enumerate(adapters):
        adapter["index"] = index
    mark_primary(adapters)
    assert [adapter["primary"] for adapter in adapters] == [index == expected for index in range(len(adapters))]


# --- asking, of a stand-in for the ioctl function --------------------------------------------------------------------


class StandInIoctl:
    """Answers as the kernel does, as far as these tests ask; raises or returns what a test puts into `odd`."""

    def __init__(self, handles: tuple[int, ...] = (0x40000041, 0x40000081)) -> None:
        self.handles = handles
        self.open: list[int] = []
        self.asked: list[tuple[int, ...]] = []
        self.odd: dict[tuple[int, ...], Any] = {}
        self.announced: int | None = None
        self.returned: int | None = None

    def __call__(self, descriptor: int, request: int, arguments: bytearray, mutate: bool = True) -> int:
        assert mutate and descriptor == 7
        return {
            dxg.ENUM_ADAPTERS3: self.enum3,
            dxg.ENUM_ADAPTERS2: self.enum2,
            dxg.QUERY_ADAPTER_INFO: self.query,
            dxg.CLOSE_ADAPTER: self.close,
        }[request](arguments)

    def at(self, *what: int) -> int:
        self.asked.append(what)
        odd = self.odd.get(what, 0)
        if isinstance(odd, list):
            odd = odd.pop(0) if odd else 0
        if isinstance(odd, BaseException):
            raise odd
        return int(odd)

    def fill(self, step: int, room: int, address: int) -> tuple[int, int]:
        status = self.at(step, 1 if address else 0)
        if not address:
            return status, len(self.handles) if self.announced is None else self.announced
        data = b"".join(struct.pack("<IIiII", handle, 5, -1, 1, 0) for handle in self.handles)
        assert len(data) <= room * 20
        ctypes.memmove(address, data, len(data))
        self.open += [handle for handle in self.handles if handle]
        return status, len(self.handles) if self.returned is None else self.returned

    def enum3(self, arguments: bytearray) -> int:
        filters, room, reserved, address = struct.unpack("<QIIQ", arguments)
        assert (filters, reserved) == (1, 0)
        status, count = self.fill(3, room, address)
        struct.pack_into("<I", arguments, 8, count)
        return status

    def enum2(self, arguments: bytearray) -> int:
        room, reserved, address = struct.unpack("<IIQ", arguments)
        assert reserved == 0
        status, count = self.fill(2, room, address)
        struct.pack_into("<I", arguments, 0, count)
        return status

    def query(self, arguments: bytearray) -> int:
        handle, kind, address, size, padding = struct.unpack("<IIQII", arguments)
        assert handle in self.open and padding == 0
        status = self.at(9, kind)
        data = {31: struct.pack("<7I", 0, 0x1002, 0x744C, 1, 2, 0xC8, 1), 57: b"\1", 15: b"\5", 8: utf16("GPU")}.get(
            kind, b"\1"
        )
        ctypes.memmove(address, data, min(len(data), size))
        return status

    def close(self, arguments: bytearray) -> int:
        status = self.at(21)
        self.open.remove(struct.unpack("<I", arguments)[0])
        return status


def read(ioctl: StandInIoctl) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    return dxg.read_device(7, ioctl)


def test_a_question_that_fails_costs_only_its_own_fields() -> None:
    for query in dxg.QUERIES:
        ioctl = StandInIoctl()
        ioctl.odd = {(9, kind): OSError(errno.EINVAL, "") for kind in query.types}
        adapters, reasons = read(ioctl)
        failed = {path.partition(".")[2] for path, why in reasons.items() if why["reason"] == "query_failed"}
        derived = {"vendor"} if query.types == (31,) else set()
        assert failed == set(query.fields) | derived
        assert len(adapters) == 2 and not ioctl.open


def test_the_older_type_is_asked_only_where_the_newer_one_fails() -> None:
    ioctl = StandInIoctl()
    assert [adapter["software"] for adapter in read(ioctl)[0]] == [False, False]
    assert (9, 15) not in ioctl.asked
    ioctl = StandInIoctl()
    ioctl.odd[9, 57] = OSError(errno.ENOENT, "")
    assert [adapter["software"] for adapter in read(ioctl)[0]] == [True, True]


@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EINVAL])
def test_an_older_kernel_is_asked_in_the_older_way(code: int) -> None:
    ioctl = StandInIoctl()
    ioctl.odd[3, 0] = OSError(code, "")
    assert len(read(ioctl)[0]) == 2
    assert (2, 1) in ioctl.asked and not ioctl.open


def failure_of(ioctl: StandInIoctl) -> Unknown:
    with pytest.raises(Failure) as caught:
        read(ioctl)
    assert not ioctl.open
    return caught.value.why


def test_a_list_that_grows_is_asked_for_again_but_not_for_ever() -> None:
    ioctl = StandInIoctl()
    ioctl.odd[3, 1] = [OSError(errno.EOVERFLOW, ""), OSError(errno.EOVERFLOW, "")]
    assert len(read(ioctl)[0]) == 2
    ioctl.odd[3, 1] = OSError(errno.EOVERFLOW, "")
    assert failure_of(ioctl).reason == "enum_unstable"


def test_more_adapters_than_the_kernel_lists_are_said_to_be_too_many() -> None:
    ioctl = StandInIoctl()
    ioctl.announced = 65
    assert failure_of(ioctl).reason == "too_many_adapters"
    assert (3, 1) not in ioctl.asked
    ioctl = StandInIoctl()
    ioctl.returned = 65
    assert failure_of(ioctl).reason == "too_many_adapters"


def test_what_is_listed_counts_and_not_what_was_announced() -> None:
    ioctl = StandInIoctl((0x41, 0, 0x81))
    ioctl.announced = 5
    assert len(read(ioctl)[0]) == 2
    ioctl.returned = 1
    assert len(read(ioctl)[0]) == 1
    assert not ioctl.open
    ioctl.announced = 0
    assert read(ioctl) == ([], {})


@pytest.mark.parametrize("code", [errno.EIO, errno.ENODEV, errno.EINTR])
def test_a_listing_that_fails_says_with_what(code: int) -> None:
    ioctl = StandInIoctl()
    ioctl.odd[3, 0] = OSError(code, "")
    why = failure_of(ioctl)
    assert why.reason == "enum_failed"
    assert errno.errorcode[code] in why.detail


def test_an_interrupted_call_is_made_again() -> None:
    ioctl = StandInIoctl()
    interrupted = OSError(errno.EINTR, "")
    ioctl.odd = {(3, 0): [interrupted], (3, 1): [interrupted], (9, 31): [interrupted] * 3, (21,): [interrupted]}
    adapters, _ = read(ioctl)
    assert adapters[0]["vendor_id"] == "1002" and not ioctl.open


def test_an_ntstatus_that_is_no_error_is_none_unless_it_means_that_there_is_no_answer() -> None:
    ioctl = StandInIoctl()
    ioctl.odd = {(3, 1): 0x40000000, (9, 31): 0x00000105, (9, 8): 0x103}
    adapters, reasons = read(ioctl)
    assert (adapters[0]["vendor"], adapters[0]["name"]) == ("AMD", None)
    assert reasons["adapters[0].name"]["reason"] == "query_pending"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(errno.EBADF, "")])
def test_every_handle_is_closed_whatever_happens(error: BaseException) -> None:
    ioctl = StandInIoctl()
    ioctl.odd[9, 18] = error
    try:
        read(ioctl)
    except (KeyboardInterrupt, MemoryError):
        pass
    assert ioctl.asked.count((21,)) == 2 and not ioctl.open


def test_a_handle_that_cannot_be_closed_does_not_keep_the_next_one_open() -> None:
    ioctl = StandInIoctl()
    ioctl.odd[21,] = [OSError(errno.EIO, "")]
    assert len(read(ioctl)[0]) == 2
    assert ioctl.asked.count((21,)) == 2


# --- opening --------------------------------------------------------------------------------------------------------

OPEN_ERRORS = [
    (errno.ENOENT, "dxg_missing"),
    (errno.EACCES, "dxg_denied"),
    (errno.EPERM, "dxg_forbidden"),
    (errno.ENXIO, "dxg_no_driver"),
    (errno.ENODEV, "dxg_no_device"),
    (errno.EBADF, "dxg_unopenable"),
    (errno.EMFILE, "dxg_unopenable"),
]


@pytest.mark.parametrize(("code", "reason"), OPEN_ERRORS)
def test_a_device_that_cannot_be_opened_has_its_own_reason(
    code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(dxg.os, "stat", lambda _: SimpleNamespace(st_mode=0o020666, st_rdev=os.makedev(10, 125)))
    monkeypatch.setattr(dxg.os, "open", refuse)
    adapters, reasons = dxg.read_adapters("/dev")
    assert adapters is None
    assert reasons["adapters"]["reason"] == reason
    assert errno.errorcode[code] in reasons["adapters"]["detail"]


def test_what_is_no_dxg_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: Any) -> int:
        raise AssertionError("it was opened")

    monkeypatch.setattr(dxg.os, "open", opened)
    for look in (dxg.read_adapters, dxg.read_adapters_safely):
        assert look(str(tmp_path))[1]["adapters"]["reason"] == "dxg_missing"
    (tmp_path / "dxg").write_text("")
    for look in (dxg.read_adapters, dxg.read_adapters_safely):
        assert look(str(tmp_path)) == (
            None,
            {"adapters": {"reason": "dxg_not_dxg", "detail": f"{tmp_path}/dxg is not a device file"}},
        )
    (tmp_path / "dxg").unlink()
    (tmp_path / "dxg").symlink_to("/dev/null")
    assert "is device 1:3" in dxg.read_adapters(str(tmp_path))[1]["adapters"]["detail"]

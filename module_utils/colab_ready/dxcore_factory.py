# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of Windows, asked of the factory that libdxcore.so makes (DXCoreCreateAdapterFactory).

What torch-directml itself asks. It knows less than the flat functions (no PCI address, no NPU without DirectX 12), and
each call goes through a table of functions whose layout has to be right, so dxcore.py comes here second. Ids, slots and
structures: dxcore_interface.h of microsoft/DirectX-Headers (Debian's directx-headers-dev 1.606.4). On Linux every method
has the C calling convention, with the object first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import uuid
from typing import Any, Callable

from ansible.module_utils.colab_ready import dxg
from ansible.module_utils.colab_ready.dxg import ADAPTERS_MAX, Adapters, Failure, Reasons, Unknown
from ansible.module_utils.colab_ready.process.fork import Say

FACTORY = uuid.UUID("78ee5945-c36e-4b13-a669-005dd11c0f06").bytes_le
LIST = uuid.UUID("526c7776-40e9-459b-b711-f32ad76dfc28").bytes_le
ADAPTER = uuid.UUID("f0db4c7f-fe5a-42a2-bd62-f2a6cf6fc83e").bytes_le
# What an adapter can do: the first is asked for, the second tells a GPU from a neural processor.
CORE_COMPUTE = uuid.UUID("248e2800-a793-4724-abaa-23a6de1be090").bytes_le
GRAPHICS = uuid.UUID("0c9ece4d-2f6e-4f01-8c96-e89e331b47b1").bytes_le

# Places in the tables of functions; the first three are IUnknown's.
RELEASE = 2
CREATE_ADAPTER_LIST = 3
GET_ADAPTER, GET_ADAPTER_COUNT = 3, 4
IS_ATTRIBUTE_SUPPORTED, IS_PROPERTY_SUPPORTED, GET_PROPERTY, GET_PROPERTY_SIZE = 4, 5, 6, 7

# DXCoreAdapterProperty.
LUID, DRIVER_VERSION, DESCRIPTION, HARDWARE_ID, KMD_MODEL = 0, 1, 2, 3, 4
DEDICATED_MEMORY, IS_HARDWARE, IS_INTEGRATED, IS_DETACHABLE, HARDWARE_ID_PARTS = 7, 11, 12, 13, 14
DESCRIPTION_BYTES_MAX = 4096

HRESULT, POINTER, SIZE = ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t


class _Object:
    """An object with a table of functions. It is given back at the end of a `with`."""

    def __init__(self, address: int | None, what: str) -> None:
        # The empty library that torch-directml's wheel brings says that all went well and hands out nothing.
        if not address:
            raise Failure("dxcore_null", f"libdxcore gave nothing instead of {what}")
        self._address = address
        self._table = ctypes.cast(address, ctypes.POINTER(ctypes.POINTER(POINTER)))[0]

    def call(self, slot: int, result: Any, types: tuple[Any, ...], *arguments: Any) -> Any:
        function = self._table[slot]
        if not function:
            raise Failure("dxcore_null", f"a function of libdxcore is missing (slot {slot})")
        return ctypes.CFUNCTYPE(result, POINTER, *types)(function)(self._address, *arguments)

    def make(self, slot: int, what: str, types: tuple[Any, ...], *arguments: Any) -> _Object:
        made = POINTER()
        status = self.call(slot, HRESULT, (*types, ctypes.c_char_p, POINTER), *arguments, ctypes.byref(made))
        return _made(status, made, what)

    def __enter__(self) -> _Object:
        return self

    def __exit__(self, *_: object) -> None:
        self.call(RELEASE, ctypes.c_uint32, ())


def _made(status: int, made: ctypes.c_void_p, what: str) -> _Object:
    if status < 0:
        raise Failure("enum_failed", f"libdxcore answered HRESULT {status & 0xFFFFFFFF:#010x} when asked for {what}")
    return _Object(made.value, what)


def open_factory(path: str) -> _Object:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_LOCAL | os.RTLD_NOW)
        function = library.DXCoreCreateAdapterFactory
    except OSError as error:
        raise Failure("dxcore_unloadable", f"{path} cannot be loaded: {error}") from error
    except AttributeError:
        raise Failure("dxcore_incomplete", f"{path} does not have DXCoreCreateAdapterFactory") from None
    function.restype, function.argtypes = HRESULT, [ctypes.c_char_p, POINTER]
    made = POINTER()
    return _made(function(FACTORY, ctypes.byref(made)), made, "its factory")


# --- one adapter ----------------------------------------------------------------------------------------------------


def _property(adapter: _Object, number: int, size: int | None = None) -> bytes:
    """A property's bytes; as many as `size` says, if it says so. Or a Failure."""
    if not adapter.call(IS_PROPERTY_SUPPORTED, ctypes.c_bool, (ctypes.c_uint32,), number):
        raise Failure("not_said", f"libdxcore does not know property {number} of it")
    room = SIZE()
    status = adapter.call(GET_PROPERTY_SIZE, HRESULT, (ctypes.c_uint32, POINTER), number, ctypes.byref(room))
    length = room.value
    if status >= 0 and (length != size if size is not None else not 0 < length <= DESCRIPTION_BYTES_MAX):
        raise Failure("bad_answer", f"libdxcore says that property {number} has {length} bytes")
    data = ctypes.create_string_buffer(max(length, 1))
    if status >= 0:
        types = (ctypes.c_uint32, SIZE, POINTER)
        status = adapter.call(GET_PROPERTY, HRESULT, types, number, length, ctypes.addressof(data))
    if status < 0:
        raise Failure("query_failed", f"libdxcore answered HRESULT {status & 0xFFFFFFFF:#010x} to property {number}")
    return data.raw[:length]


def decode_description(data: bytes) -> dict[str, Any]:
    """UTF-8, as the documentation has it; or in units of 32 bits, as the library widens other texts of Windows on Linux."""
    wide = len(data) % 4 == 0 and data[1:4] == b"\0\0\0" and data[:1] != b"\0"
    text = data.decode("utf-32-le" if wide else "utf-8", "replace").partition("\0")[0]
    return dxg.decode_name(text.encode("utf-16-le", "replace")[:518])


def decode_parts(data: bytes) -> dict[str, Any]:
    vendor, device, subsystem, subvendor, revision = struct.unpack("<5I", data)
    return dxg.decode_ids(struct.pack("<7I", 0, vendor, device, subvendor, subsystem, revision, 0))


def decode_hardware_id(data: bytes) -> dict[str, Any]:
    """The older form: Windows' SUBSYS_0E3B1002 as one number."""
    vendor, device, both, revision = struct.unpack("<4I", data)
    return decode_parts(struct.pack("<5I", vendor, device, both >> 16, both & 0xFFFF, revision))


def _asked(fields: tuple[str, ...], *ways: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the first way that knows it says; else why the first did not."""
    troubles = []
    for way in ways:
        try:
            return way()
        except Failure as failure:
            troubles.append(failure.why)
    return dict.fromkeys(fields, troubles[0])


def _flag(adapter: _Object, number: int) -> bool:
    return _property(adapter, number, 1) != b"\0"


def _hybrid(adapter: _Object) -> dict[str, Any]:
    return {"hybrid": "integrated" if _flag(adapter, IS_INTEGRATED) else "discrete"}


def _kind(adapter: _Object) -> dict[str, Any]:
    graphics = bool(adapter.call(IS_ATTRIBUTE_SUPPORTED, ctypes.c_bool, (ctypes.c_char_p,), GRAPHICS))
    return {"software": not _flag(adapter, IS_HARDWARE), "render": graphics, "compute_only": not graphics}


def describe(index: int, adapter: _Object) -> tuple[dict[str, Any], Reasons]:
    ids = ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision")
    answers: dict[str, Any] = {"address": Unknown("not_said", "libdxcore does not say it")}
    for fields, ways in (
        (
            ids,
            (
                lambda: decode_parts(_property(adapter, HARDWARE_ID_PARTS, 20)),
                lambda: decode_hardware_id(_property(adapter, HARDWARE_ID, 16)),
            ),
        ),
        (("software", "render", "compute_only"), (lambda: _kind(adapter),)),
        (("hybrid",), (lambda: _hybrid(adapter),)),
        (("detachable",), (lambda: {"detachable": _flag(adapter, IS_DETACHABLE)},)),
        (("name",), (lambda: decode_description(_property(adapter, DESCRIPTION)),)),
        (
            ("dedicated_bytes",),
            (lambda: dxg.decode_segments(_property(adapter, DEDICATED_MEMORY, 8) + bytes(16)),),
        ),
        (("driver_version",), (lambda: dxg.decode_driver_version(_property(adapter, DRIVER_VERSION, 8)),)),
        (("wddm",), (lambda: dxg.decode_wddm(_property(adapter, KMD_MODEL, 4)),)),
    ):
        answers.update(_asked(fields, *ways))
    try:
        low, high = struct.unpack("<II", _property(adapter, LUID, 8))
        luid: Any = f"{high:08x}:{low:08x}"
    except Failure as failure:
        luid = failure.why
    return dxg.describe(index, luid, answers)


# --- all of them ----------------------------------------------------------------------------------------------------


def read_factory(path: str, say: Say) -> tuple[Adapters, Reasons]:
    """Every adapter that can compute with DirectX 12. Or a Failure."""
    adapters: Adapters = []
    reasons: Reasons = {}
    with contextlib.ExitStack() as held:
        say("making libdxcore's factory")
        factory = held.enter_context(open_factory(path))
        say("listing the adapters")
        types = (ctypes.c_uint32, ctypes.c_char_p)
        found = held.enter_context(
            factory.make(CREATE_ADAPTER_LIST, "a list of adapters", types, 1, CORE_COMPUTE, LIST)
        )
        count = found.call(GET_ADAPTER_COUNT, ctypes.c_uint32, ())
        if count > ADAPTERS_MAX:
            raise Failure(
                "too_many_adapters", f"libdxcore has {count} adapters; {ADAPTERS_MAX} is all that WSL can list"
            )
        for index in range(count):
            say(f"adapter {index}")
            with found.make(GET_ADAPTER, f"adapter {index}", (ctypes.c_uint32,), index, ADAPTER) as adapter:
                described, why = describe(index, adapter)
            adapters.append(described)
            reasons.update({f"adapters[{index}].{key}": reason for key, reason in why.items()})
    dxg.mark_primary(adapters)
    return adapters, reasons

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of Windows, asked of /dev/dxg with its own ioctls: no library, nothing installed, no root.

Behind the device is the kernel's dxgkrnl (microsoft/WSL2-Linux-Kernel, drivers/hv/dxgkrnl), which hands each question
to Windows. Numbers and layouts: include/uapi/misc/d3dkmthk.h there, and the Windows SDK for what only Windows decodes;
x86-64 and arm64 lay them out alike. Where a comment says "the kernel", it means that driver.

What is not known is null, with {"reason": code, "detail": text} beside it. The codes:

    of everything  dxg_missing dxg_denied dxg_forbidden dxg_no_driver dxg_no_device dxg_unopenable dxg_not_dxg
                   enum_failed enum_unstable too_many_adapters timeout crashed no_child unexpected
    of a field     query_failed query_pending bad_answer not_said no_ids unknown_vendor not_pci not_hybrid
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from array import array
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ...process.fork import Say
from ..adapter import (
    ADAPTERS_MAX,
    ID_KEYS,
    MICROSOFT,
    Adapters,
    Failure,
    Reading,
    Reasons,
    Unknown,
    assemble,
    failed,
    plain,
    read_forked,
)

# A look takes a few milliseconds; a host that is just waking up its GPU may need a second or two.
TIMEOUT_SECONDS = 5.0

ENUM_ADAPTERS2 = 0xC0104714
ENUM_ADAPTERS3 = 0xC018473E
QUERY_ADAPTER_INFO = 0xC0184709
CLOSE_ADAPTER = 0xC0044715

# Query types (KMTQUERYADAPTERINFOTYPE).
SEGMENT_SIZE = 3
ADAPTER_ADDRESS = 6
REGISTRY_INFO = 8
WDDM_VERSION = 13
ADAPTER_TYPE = 15
UMD_DRIVER_VERSION = 18
DEVICE_IDS = 31
ADAPTER_TYPE_RENDER = 57

ADAPTER_INFO = struct.Struct("<IIiII")
INCLUDE_COMPUTE_ONLY = 1
ENUM_ATTEMPTS = 4
EINTR_ATTEMPTS = 16
# misc_register() always takes this major number.
MISC_MAJOR = 10

# NTSTATUS that the kernel returns as they are because they are no errors (NT_SUCCESS), but which bring no answer either.
NTSTATUS_WITHOUT_ANSWER = {0x102: "STATUS_TIMEOUT", 0x103: "STATUS_PENDING"}

Ioctl = Callable[[int, int, bytearray, bool], int]


# --- decoding -------------------------------------------------------------------------------------------------------


def decode_ids(data: bytes) -> dict[str, Any]:
    """The first word is the question (which of several linked GPUs), the rest the answer."""
    _, vendor, device, subvendor, subsystem, revision, _bus_type = struct.unpack("<7I", data)
    # What a PCI slot without a device reads, too.
    if vendor in (0, 0xFFFF, 0xFFFFFFFF):
        return dict.fromkeys(ID_KEYS, Unknown("no_ids", f"Windows gives {vendor:04x} as the vendor, which is nobody's"))
    return {
        **dict(zip(ID_KEYS, (f"{number:04x}" for number in (vendor, device, subvendor, subsystem)), strict=False)),
        "revision": f"{revision:02x}",
    }


def decode_name(data: bytes) -> dict[str, Any]:
    """The first of four arrays of 260 UTF-16 units, ended by a null unit, or by the end of the array."""
    text = data[:520].decode("utf-16-le", "replace").partition("\0")[0]
    return {"name": plain(text) or Unknown("not_said", "Windows gives no name")}


def decode_segments(data: bytes) -> dict[str, Any]:
    video, _system, _shared = struct.unpack("<3Q", data)
    # No sum of a machine's memories needs more than 48 bits of address.
    if video >> 48:
        return {"dedicated_bytes": Unknown("bad_answer", f"{video} bytes of dedicated memory are more than can be")}
    return {"dedicated_bytes": video}


def decode_wddm(data: bytes) -> dict[str, Any]:
    """3200 is 3.2. 1105 is 1.1."""
    (number,) = struct.unpack("<I", data)
    if not 1000 <= number <= 9999:
        return {"wddm": Unknown("bad_answer", f"{number} is no WDDM version")}
    return {"wddm": f"{number // 1000}.{number % 1000 // 100}"}


def decode_driver_version(data: bytes) -> dict[str, Any]:
    """Four parts of 16 bits, the highest first."""
    (number,) = struct.unpack("<Q", data)
    if number == 0:
        return {"driver_version": Unknown("not_said", "Windows gives no version of the driver")}
    return {"driver_version": ".".join(str(number >> shift & 0xFFFF) for shift in (48, 32, 16, 0))}


def decode_address(data: bytes) -> dict[str, Any]:
    bus, device, function = struct.unpack("<3I", data)
    if function in (0xFFFF, 0xFFFFFFFF) or 0xFFFFFFFF in (bus, device):
        return {"address": Unknown("not_pci", "Windows says that the adapter is not a PCI device")}
    if bus > 0xFF or device > 0x1F or function > 7:
        return {"address": Unknown("bad_answer", f"{bus:x}:{device:x}.{function:x} is no PCI address")}
    return {"address": f"0000:{bus:02x}:{device:02x}.{function:x}"}


def decode_type(data: bytes) -> dict[str, Any]:
    """What kind of adapter. The other bits are of displays, or made up by the kernel for the guest."""
    (bits,) = struct.unpack("<I", data)
    discrete, integrated = bool(bits & 1 << 4), bool(bits & 1 << 5)
    hybrid: Any
    if discrete and integrated:
        hybrid = Unknown("bad_answer", "Windows calls it both the discrete and the integrated one of a pair")
    elif discrete or integrated:
        hybrid = "discrete" if discrete else "integrated"
    else:
        hybrid = Unknown("not_hybrid", "Windows does not call it one of a pair of a discrete and an integrated one")
    return {
        "render": bool(bits & 1 << 0),
        "software": bool(bits & 1 << 2),
        "hybrid": hybrid,
        "detachable": bool(bits & 1 << 10),
        "compute_only": bool(bits & 1 << 11),
    }


class Query(NamedTuple):
    """One question: its types, in order of preference, the size that Windows insists on, and what the answer says."""

    types: tuple[int, ...]
    size: int
    decode: Callable[[bytes], dict[str, Any]]
    fields: tuple[str, ...]


QUERIES = (
    Query((DEVICE_IDS,), 28, decode_ids, ID_KEYS),
    # 57 is 15 for the half of the adapter that renders. Not asked for both: a query that fails leaves a line in dmesg.
    Query(
        (ADAPTER_TYPE_RENDER, ADAPTER_TYPE),
        4,
        decode_type,
        ("render", "software", "hybrid", "detachable", "compute_only"),
    ),
    Query((REGISTRY_INFO,), 2080, decode_name, ("name",)),
    Query((SEGMENT_SIZE,), 24, decode_segments, ("dedicated_bytes",)),
    Query((UMD_DRIVER_VERSION,), 8, decode_driver_version, ("driver_version",)),
    Query((WDDM_VERSION,), 4, decode_wddm, ("wddm",)),
    Query((ADAPTER_ADDRESS,), 12, decode_address, ("address",)),
)


# --- judging --------------------------------------------------------------------------------------------------------


def judge_software(software: Any, vendor_id: Any) -> Any:
    """Whether there is no GPU behind it: by the bit, and by the ids. It is called hardware only where nothing objects."""
    # Microsoft makes no GPU: 1414:008c is its Basic Render Driver.
    if software is True or vendor_id == MICROSOFT:
        return True
    if software is False and isinstance(vendor_id, Unknown) and vendor_id.reason == "no_ids":
        return Unknown("no_ids", "Windows does not call it a software adapter, but gives no ids of any hardware either")
    return software


def describe(luid: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an adapter from what was answered, each a value or Unknown."""
    software = judge_software(answers["software"], answers["vendor_id"])
    return {
        **answers,
        "software": software,
        "luid": luid,
        "driver": Unknown("not_said", "Windows does not give its driver's name here"),
    }


# --- asking ---------------------------------------------------------------------------------------------------------


class _Device:
    """An open /dev/dxg."""

    def __init__(self, descriptor: int, ioctl: Ioctl) -> None:
        self._descriptor = descriptor
        self._ioctl = ioctl

    def call(self, request: int, arguments: bytearray) -> int:
        """The result, which is 0 or an NTSTATUS that is no error; OSError otherwise."""
        for _ in range(EINTR_ATTEMPTS - 1):
            try:
                return self._ioctl(self._descriptor, request, arguments, True)
            except InterruptedError:
                # fcntl.ioctl() does not try again by itself, unlike the calls that PEP 475 lists.
                continue
        return self._ioctl(self._descriptor, request, arguments, True)

    def enum3(self, capacity: int, address: int) -> int:
        arguments = bytearray(struct.pack("<QIIQ", INCLUDE_COMPUTE_ONLY, capacity, 0, address))
        self.call(ENUM_ADAPTERS3, arguments)
        return int(struct.unpack_from("<I", arguments, 8)[0])

    def enum2(self, capacity: int, address: int) -> int:
        arguments = bytearray(struct.pack("<IIQ", capacity, 0, address))
        self.call(ENUM_ADAPTERS2, arguments)
        return int(struct.unpack_from("<I", arguments, 0)[0])

    def query(self, handle: int, kind: int, size: int) -> bytes:
        memory = array("B", bytes(size))
        status = self.call(
            QUERY_ADAPTER_INFO, bytearray(struct.pack("<IIQII", handle, kind, memory.buffer_info()[0], size, 0))
        )
        if status in NTSTATUS_WITHOUT_ANSWER:
            raise Failure("query_pending", f"Windows said {NTSTATUS_WITHOUT_ANSWER[status]} to query {kind}")
        return memory.tobytes()

    def close(self, handle: int) -> None:
        try:
            self.call(CLOSE_ADAPTER, bytearray(struct.pack("<I", handle)))
        except OSError:
            # Nothing is left to do about it: the kernel closes what is open when the descriptor is closed.
            pass


def named(error: OSError) -> str:
    number = error.errno or 0
    return f"{errno.errorcode.get(number, f'error {number}')} ({os.strerror(number)})"


def _enumerate(device: _Device, opened: list[int]) -> list[tuple[int, str]]:
    """Handle and LUID of each adapter. Every handle goes into `opened` too, used or not: the caller closes them."""
    try:
        # Kernels since 2023 leave compute-only adapters (NPUs) out of the older call.
        return _list(device.enum3, opened)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
    return _list(device.enum2, opened)


def _list(ask: Callable[[int, int], int], opened: list[int]) -> list[tuple[int, str]]:
    announced = 0
    for _ in range(ENUM_ATTEMPTS):
        announced = ask(0, 0)
        if announced > ADAPTERS_MAX:
            raise Failure(
                "too_many_adapters", f"/dev/dxg has {announced} adapters; the kernel lists {ADAPTERS_MAX} at most"
            )
        if announced == 0:
            return []
        # Room for all that there may be, not for those announced: older kernels write past the end of their own copy
        # of a list that has grown meanwhile.
        room = array("B", bytes(ADAPTERS_MAX * ADAPTER_INFO.size))
        try:
            returned = ask(ADAPTERS_MAX, room.buffer_info()[0])
        except OSError as error:
            if error.errno != errno.EOVERFLOW:
                raise
            continue
        entries = list(ADAPTER_INFO.iter_unpack(room.tobytes()))
        opened += dict.fromkeys(handle for handle, *_ in entries if handle)
        if returned <= ADAPTERS_MAX:
            # Fewer than announced is normal: the count may hold adapters that the kernel keeps to itself.
            listed = {handle: f"{high & 0xFFFFFFFF:08x}:{low:08x}" for handle, low, high, *_ in entries[:returned]}
            return [(handle, luid) for handle, luid in listed.items() if handle]
        # The newer call says in this way, and not with an error, that the list did not fit.
        announced = returned
    if announced > ADAPTERS_MAX:
        raise Failure(
            "too_many_adapters", f"/dev/dxg has {announced} adapters; the kernel lists {ADAPTERS_MAX} at most"
        )
    raise Failure("enum_unstable", f"/dev/dxg had more adapters than it had announced, {ENUM_ATTEMPTS} times in a row")


def _ask(device: _Device, handle: int, query: Query) -> dict[str, Any]:
    trouble = Unknown("query_failed", "not asked")
    for kind in query.types:
        try:
            return query.decode(device.query(handle, kind, query.size))
        except OSError as error:
            trouble = Unknown("query_failed", f"/dev/dxg answered {named(error)} to query {kind}")
        except Failure as failure:
            trouble = failure.why
    return dict.fromkeys(query.fields, trouble)


def _no_say(step: str) -> None:
    pass


def read_device(descriptor: int, ioctl: Ioctl = fcntl.ioctl, say: Say = _no_say) -> tuple[Adapters, Reasons]:
    """Every adapter behind an open /dev/dxg, and `adapters[index].key` with the reason for each null. Or a Failure."""
    device = _Device(descriptor, ioctl)
    described: list[dict[str, Any]] = []
    opened: list[int] = []
    try:
        say("listing the adapters")
        try:
            found = _enumerate(device, opened)
        except OSError as error:
            if error.errno == errno.ENOTTY:
                raise Failure("dxg_not_dxg", "the device does not know the call that lists adapters") from error
            raise Failure("enum_failed", f"/dev/dxg answered {named(error)} when asked for its adapters") from error
        for index, (handle, luid) in enumerate(found):
            answers: dict[str, Any] = {}
            for query in QUERIES:
                say(f"query {query.types[0]} of adapter {index}")
                answers.update(_ask(device, handle, query))
            described.append(describe(luid, answers))
        say("closing the adapters")
    finally:
        for handle in opened:
            device.close(handle)
    return assemble(described, "dxg", "Windows does not say it")


# --- opening --------------------------------------------------------------------------------------------------------

OPEN_ERRORS = {
    errno.ENOENT: (
        "dxg_missing",
        "there is no {path}: this is not WSL 2, or its kernel brings no GPU driver (wsl --update)",
    ),
    errno.EACCES: (
        "dxg_denied",
        "{path} may not be opened for reading and writing by this user; WSL gives it mode 0666",
    ),
    errno.EPERM: ("dxg_forbidden", "{path} may not be opened in this container; it has to be given the device"),
    errno.ENXIO: ("dxg_no_driver", "{path} is there, but no driver behind it"),
    errno.ENODEV: (
        "dxg_no_device",
        "{path} is there, but the driver has lost its device; wsl --shutdown may bring it back",
    ),
}


def _open_failure(path: str, error: OSError) -> Failure:
    code, text = OPEN_ERRORS.get(error.errno or 0, ("dxg_unopenable", "{path} cannot be opened"))
    return Failure(code, f"{text.format(path=path)}: {named(error)}")


def _look(path: str) -> None:
    """A Failure if it need not be opened. Opening what is not /dev/dxg might start something."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise _open_failure(path, error) from error
    if not stat.S_ISCHR(found.st_mode):
        raise Failure("dxg_not_dxg", f"{path} is not a device file")
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    if major != MISC_MAJOR:
        raise Failure("dxg_not_dxg", f"{path} is device {major}:{minor}, which is another kind (dxg: {MISC_MAJOR}:…)")


def _open(path: str) -> int:
    _look(path)
    try:
        # The kernel does not look at the mode of the descriptor; what the backends use opens it for both.
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _open_failure(path, error) from error


def read_adapters(dev: str = "/dev", ioctl: Ioctl = fcntl.ioctl, say: Say = _no_say) -> Reading:
    """The adapters and why each null in them is one. Hangs if Windows does."""
    try:
        say("opening the device")
        # By the process that asks: to another one, a copy by fork() included, the kernel answers ENOTTY.
        descriptor = _open(f"{dev}/dxg")
        try:
            return read_device(descriptor, ioctl, say)
        finally:
            os.close(descriptor)
    except Failure as failure:
        return failed(failure.why)


def read_adapters_safely(
    dev: str = "/dev", timeout_seconds: float = TIMEOUT_SECONDS, ioctl: Ioctl = fcntl.ioctl
) -> Reading:
    """The same by a copy of this process, which may hang in the driver or be killed by it."""
    try:
        # So that a host without the device costs no process.
        _look(f"{dev}/dxg")
    except Failure as failure:
        return failed(failure.why)
    return read_forked(lambda say: read_adapters(dev, ioctl, say), timeout_seconds)

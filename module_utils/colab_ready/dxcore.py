# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of Windows, asked of libdxcore.so, which Windows puts into WSL's own folder.

Its flat functions (D3DKMT...) take the same structures as the calls of /dev/dxg, so dxg.py asks and decodes; this file
only hands the questions on. One answer differs: text is in units of 32 bits here, where the device has 16
(ROCm/rocm-systems, rocprofiler-sdk, platform/wsl/agent.cpp). They come first because they know as much as the device and
are read by the same code; where they are missing or fail, dxcore_factory.py asks what DirectX programs ask.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Any, Callable

from ansible.module_utils.colab_ready import dxcore_factory, dxg
from ansible.module_utils.colab_ready.dxg import Adapters, Failure, Reading, Reasons, Unknown
from ansible.module_utils.colab_ready.process.fork import Say, run_forked
from ansible.module_utils.colab_ready.wsl import LIBRARY_FOLDER

LIBRARY = "libdxcore.so"
TIMEOUT_SECONDS = 5.0

FUNCTIONS = {
    dxg.ENUM_ADAPTERS2: "D3DKMTEnumAdapters2",
    dxg.ENUM_ADAPTERS3: "D3DKMTEnumAdapters3",
    dxg.QUERY_ADAPTER_INFO: "D3DKMTQueryAdapterInfo",
    dxg.CLOSE_ADAPTER: "D3DKMTCloseAdapter",
}
# Without these it is of no use. The newer list is missing from older Windows.
NEEDED = ("D3DKMTEnumAdapters2", "D3DKMTQueryAdapterInfo", "D3DKMTCloseAdapter")
# NTSTATUS as the errno that the device answers with instead; any other is EIO.
ERRORS = {
    0xC000000D: errno.EINVAL,
    0xC0000023: errno.EOVERFLOW,
    0xC0000022: errno.EACCES,
    0xC0000034: errno.ENOENT,
    0xC00000BB: errno.ENOTTY,
    0xC0000002: errno.ENOTTY,
    0xC0000017: errno.ENOMEM,
}
UNITS = 4 * 260


class Library:
    """An open libdxcore, called as fcntl.ioctl() is."""

    def __init__(self, path: str) -> None:
        try:
            library = ctypes.CDLL(path, mode=os.RTLD_LOCAL | os.RTLD_NOW)
        except OSError as error:
            raise Failure("dxcore_unloadable", f"{path} cannot be loaded: {error}") from error
        self._functions: dict[str, Any] = {}
        for name in FUNCTIONS.values():
            try:
                function = getattr(library, name)
            except AttributeError:
                continue
            function.restype, function.argtypes = ctypes.c_int32, [ctypes.c_void_p]
            self._functions[name] = function
        missing = [name for name in NEEDED if name not in self._functions]
        if missing:
            raise Failure("dxcore_incomplete", f"{path} does not have {' and '.join(missing)}")

    def ioctl(self, _descriptor: int, request: int, arguments: bytearray, _mutate: bool = True) -> int:
        name = FUNCTIONS[request]
        if request == dxg.QUERY_ADAPTER_INFO:
            handle, kind, address, size = struct.unpack_from("<IIQI", arguments)
            if kind == dxg.REGISTRY_INFO:
                return self._text(handle, kind, address, size)
        return self._call(name, arguments)

    def _call(self, name: str, arguments: bytearray) -> int:
        if name not in self._functions:
            raise OSError(errno.ENOTTY, f"libdxcore has no {name}")
        memory = (ctypes.c_char * len(arguments)).from_buffer(arguments)
        status = int(self._functions[name](ctypes.addressof(memory)))
        del memory
        if status < 0:
            code = status & 0xFFFFFFFF
            raise OSError(ERRORS.get(code, errno.EIO), f"NTSTATUS {code:#010x}")
        return status

    def _text(self, handle: int, kind: int, address: int, size: int) -> int:
        wide = ctypes.create_string_buffer(4 * UNITS)
        arguments = bytearray(struct.pack("<IIQII", handle, kind, ctypes.addressof(wide), len(wide), 0))
        status = self._call(FUNCTIONS[dxg.QUERY_ADAPTER_INFO], arguments)
        if status == 0:
            units = struct.unpack(f"<{UNITS}I", wide.raw)
            # Windows widened each unit of 16 bits by itself; what does not fit into one is none of its own.
            narrow = struct.pack(f"<{UNITS}H", *(unit if unit <= 0xFFFF else 0xFFFD for unit in units))
            ctypes.memmove(address, narrow, min(size, len(narrow)))
        return status


def read_flat(path: str, say: Say) -> tuple[Adapters, Reasons]:
    say("loading libdxcore.so")
    return dxg.read_device(-1, Library(path).ioctl, say)


def read_adapters(path: str, say: Say, read: Callable[[str, Say], tuple[Adapters, Reasons]] = read_flat) -> Reading:
    """By this process, which the library may end."""
    try:
        adapters, reasons = read(path, say)
    except Failure as failure:
        return None, {"adapters": _ours(failure.why.said())}
    for adapter in adapters:
        adapter["source"] = dict.fromkeys(adapter["source"], "dxcore")
    return adapters, {path: _ours(why) for path, why in reasons.items()}


def _ours(why: dict[str, str]) -> dict[str, str]:
    return {**why, "detail": why["detail"].replace("/dev/dxg", "libdxcore")}


# After these the library is not asked again.
LAST_WORDS = ("dxcore_unloadable", "timeout", "no_child")


def read_adapters_safely(usr: str = "/usr", timeout_seconds: float = TIMEOUT_SECONDS) -> Reading:
    """The adapters, asked by a copy of this process. Only WSL's own folder is looked in: another library is not Windows'."""
    path = f"{usr}/{LIBRARY_FOLDER}/{LIBRARY}"
    if not os.path.exists(path):
        return None, {"adapters": Unknown("dxcore_missing", f"there is no {path}").said()}
    first = _read_safely(path, read_flat, timeout_seconds)
    if _knows(first[0]) or (first[0] is None and first[1]["adapters"]["reason"] in LAST_WORDS):
        return first
    second = _read_safely(path, dxcore_factory.read_factory, timeout_seconds)
    if _knows(second[0]) or first[0] is None is not second[0]:
        return second
    if first[0] is None and second[0] is None:
        why, also = first[1]["adapters"], second[1]["adapters"]
        return None, {"adapters": {**why, "detail": f"{why['detail']}; and then: {also['detail']}"}}
    return first


def _knows(adapters: Adapters | None) -> bool:
    """Whether it is said of some adapter what it is."""
    return any(adapter["vendor_id"] is not None for adapter in adapters or ())


def _read_safely(path: str, read: Callable[[str, Say], tuple[Adapters, Reasons]], timeout_seconds: float) -> Reading:
    outcome = run_forked(lambda say: read_adapters(path, say, read), timeout_seconds)
    if outcome.kind == "ok":
        adapters, reasons = outcome.value
        return adapters, reasons
    return None, {"adapters": dxg.why_no_answer(outcome).said()}

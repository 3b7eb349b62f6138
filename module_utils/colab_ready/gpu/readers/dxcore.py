# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The graphics adapters of Windows, asked of libdxcore.so, which Windows puts into WSL's own folder.

Its flat functions (D3DKMT...) take the same structures as the calls of /dev/dxg, so dxg.py asks and decodes; this file
only hands the questions on. One answer differs: text is in units of 32 bits here, where the device has 16
(ROCm/rocm-systems, rocprofiler-sdk, platform/wsl/agent.cpp). The library's adapter factory, which DirectX programs ask, is
built on these functions and knows less, so it is not asked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Any

from ...process.fork import Say
from ...wsl.facts import LIBRARY_FOLDER
from ..adapter import Failure, Reading, Unknown, failed, read_forked
from . import dxg

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


def read_adapters(path: str, say: Say) -> Reading:
    """Ask the library in this process, which it may end."""
    say("loading libdxcore.so")
    try:
        adapters, reasons = dxg.read_device(-1, Library(path).ioctl, say)
    except Failure as failure:
        return None, {"adapters": _ours(failure.why.said())}
    for adapter in adapters:
        adapter["source"] = dict.fromkeys(adapter["source"], "dxcore")
    return adapters, {name: _ours(why) for name, why in reasons.items()}


def _ours(why: dict[str, str]) -> dict[str, str]:
    return {**why, "detail": why["detail"].replace("/dev/dxg", "libdxcore")}


def read_adapters_safely(usr: str = "/usr", timeout_seconds: float = TIMEOUT_SECONDS) -> Reading:
    """Return the adapters, asked by a copy of this process, of the library in WSL's own folder: another is not Windows'."""
    path = f"{usr}/{LIBRARY_FOLDER}/{LIBRARY}"
    if not os.path.exists(path):
        return failed(Unknown("dxcore_missing", f"there is no {path}"))
    return read_forked(lambda say: read_adapters(path, say), timeout_seconds)

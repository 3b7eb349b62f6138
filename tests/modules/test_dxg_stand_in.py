"""The stand-in for /dev/dxg fails a caller who is wrong: a test against it that is green has shown something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from doubles.dxg_stand_in import Adapter, DxgDouble, Fault, Machine, build

# A caller in the small: open, list, ask, close, each with something to be wrong in.
CALLER = """
import ctypes, fcntl, os, struct, sys
def call(request, data):
    data = bytearray(data)
    try:
        return fcntl.ioctl(fd, request, data, True), bytes(data)
    except OSError as error:
        return -error.errno, bytes(data)
memory = ctypes.create_string_buffer(8192)
here = ctypes.addressof(memory)
fd = os.open("/dev/dxg", os.O_RDWR | os.O_CLOEXEC)
def enum3(room=64, at=here, filters=1, reserved=0):
    return call(0xC018473E, struct.pack("<QIIQ", filters, room, reserved, at))
def enum2(room=64, at=here, reserved=0):
    return call(0xC0104714, struct.pack("<IIQ", room, reserved, at))
def query(handle, kind=13, size=4, at=here + 4096, padding=0):
    return call(0xC0184709, struct.pack("<IIQII", handle, kind, at, size, padding))
def close(handle):
    return call(0xC0044715, struct.pack("<I", handle))
def first():
    return struct.unpack_from("<I", memory)[0]
def done():
    close(first())
    os.close(fd)
"""

# What the caller does, and the words of its violation; none where it does nothing wrong.
CALLERS: dict[str, tuple[str, str | None]] = {
    "faultless": (
        "enum3(0, 0); enum3(); assert query(first())[0] == 0; assert memory[4096:4098] == b'\\x80\\x0c'; done()",
        None,
    ),
    "faultless, older call": ("enum2(0, 0); enum2(); query(first()); done()", None),
    "handle not closed": ("enum3(); os.close(fd)", "closed with 1 handles of adapters open"),
    "handle of the older call not closed": ("enum2(); os.close(fd)", "closed with 1 handles of adapters open"),
    "listed twice, closed once": ("enum3(); enum3(); done()", "closed with 1 handles of adapters open"),
    "device not closed": ("enum3(); close(first())", "ended with the device open and 0 handles"),
    "neither closed, at an end without farewell": ("enum3(); os._exit(0)", "ended with the device open and 1 handles"),
    "closed twice": ("enum3(); close(first()); assert close(first())[0] == -22; os.close(fd)", "close of a handle"),
    "unknown handle": ("enum3(); assert query(5)[0] == -22; done()", "query 13 of a handle 5"),
    "short buffer": ("enum3(); assert query(first(), 31, 24)[0] == -22; done()", "query 31 for 24 bytes instead of 28"),
    "the size of libdxcore": (
        "enum3(); assert query(first(), 8, 4160)[0] == -22; done()",
        "query 8 for 4160 bytes instead of 2080",
    ),
    "no buffer": ("enum3(); assert query(first(), 13, 0)[0] == -22; done()", "query 13 for 0 bytes"),
    "a buffer that is no memory": (
        "enum3(); assert query(first(), 13, 4, 8)[0] == -22; done()",
        "the buffer of a query is not memory",
    ),
    "a list that is no memory": ("assert enum3(64, 8)[0] == -22; os.close(fd)", "the list of adapters is not memory"),
    "too little room": (
        "assert enum3(2, 0)[0] == 0; assert enum2(0)[0] == -75; os.close(fd)",
        "room for 0 adapters after 1 were announced",
    ),
    "too much room": ("assert enum2(65)[0] == -22; os.close(fd)", "room for 65 adapters"),
    "reserved, older call": ("enum2(0, 0, reserved=1); os.close(fd)", "reserved is not zero in enumadapters2"),
    "reserved, newer call": ("enum3(0, 0, reserved=1); os.close(fd)", "reserved is not zero in enumadapters3"),
    "padding": ("enum3(); query(first(), padding=7); done()", "padding"),
    "filter": ("enum3(0, 0, filters=4); os.close(fd)", "filter bits that nobody knows"),
    "another GPU's ids": ("enum3(); memory[4096] = 1; query(first(), 31, 28); done()", "query 31 of another GPU"),
    "wrong number": ("assert call(0xC0184701, bytes(24))[0] == -25; os.close(fd)", "ioctl c0184701"),
    "without the size in it": ("assert call(0x4709, bytes(24))[0] == -25; os.close(fd)", "ioctl 4709"),
    "another process": (
        "pid = os.fork()\nif pid == 0:\n    os._exit(enum3(0, 0)[0] + 25)\nassert os.waitpid(pid, 0)[1] == 0; os.close(fd)",
        "call from another process",
    ),
}  # fmt: skip


def run_caller(double: DxgDouble, source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CALLER + source],
        env={**os.environ, **double.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("source", "words"), CALLERS.values(), ids=CALLERS)
def test_a_wrong_caller_is_told(source: str, words: str | None) -> None:
    with DxgDouble([Adapter()]) as double:
        done = run_caller(double, source)
        assert done.returncode == 0, done.stderr
        told = double.violations()
    assert len(told) == (0 if words is None else 1), told
    assert words is None or words in told[0]


def test_a_descriptor_without_cloexec_is_told() -> None:
    with DxgDouble([Adapter()]) as double:
        library = "ctypes.CDLL(None)"
        done = run_caller(double, f"os.close(fd); fd = {library}.open(b'/dev/dxg', 2); os.close(fd)")
        assert done.returncode == 0, done.stderr
        assert ["without O_CLOEXEC" in line for line in double.violations()] == [True]


def test_it_is_seen_at_its_path_only() -> None:
    with DxgDouble([Adapter()], path="/nowhere/dxg") as double:
        done = run_caller(double, "")
        assert "FileNotFoundError" in done.stderr or os.path.exists("/dev/dxg")


def test_each_open_gets_the_next_machine() -> None:
    machines = [Machine([Adapter()] * count) for count in (3, 1, 2)]
    source = """
counts = [struct.unpack_from("<I", enum3(0, 0)[1], 8)[0]]
for _ in range(3):
    os.close(fd)
    fd = os.open("/dev/dxg", os.O_RDWR | os.O_CLOEXEC)
    counts.append(struct.unpack_from("<I", enum3(0, 0)[1], 8)[0])
os.close(fd)
print(counts)
"""
    with DxgDouble(machines=machines) as double:
        assert run_caller(double, source).stdout == "[3, 1, 2, 3]\n"


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RuntimeError, match="apt install gcc libc6-dev"):
        build.__wrapped__()


def test_a_crash_is_one() -> None:
    with DxgDouble([Adapter()], faults=[Fault("enum3_count", "crash")]) as double:
        assert run_caller(double, "enum3(0, 0)").returncode == -11

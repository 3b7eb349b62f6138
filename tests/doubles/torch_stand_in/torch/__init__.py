"""A STAND-IN for torch, for tests only: lists of floats that add, and the ways in which the real one fails.

It says what it is in its version. TORCH_STAND_IN_FAULT names the fault; the texts and the deaths are recorded ones.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import os
import random
import signal
import sys
from types import SimpleNamespace

__version__ = "0.0.0+stand.in"
FAULT = os.environ.get("TORCH_STAND_IN_FAULT", "")
STRAY_LINE = b"Dropped Escape call with ulEscapeCode : 0x03007703\n"


def _single(value: float) -> float:
    """As a 32-bit float holds it."""
    return array.array("f", [value])[0]


def _hang() -> None:
    """As a driver's ioctl does: no signal but SIGKILL gets through."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
    while True:
        signal.sigwait([signal.SIGUSR2])


def _flood() -> None:
    for descriptor in (1, 2):
        for _ in range(400):
            os.write(descriptor, b"no end of words, some of them \xff\xfe\x00 no words at all\n" * 100)
        os.write(descriptor, b"and a line without an end" * 10000)


def _fault(place: str) -> None:
    """Do what is asked for at this place, if anything is."""
    if not FAULT.startswith(f"{place}:"):
        return
    kind = FAULT.partition(":")[2]
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "abort":
        os.write(2, b"terminate called after throwing an instance of 'std::runtime_error'\n")
        os.abort()
    elif kind == "illegal":
        os.kill(os.getpid(), signal.SIGILL)
    elif kind == "oom_killer":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "hang":
        _hang()
    elif kind == "child_hangs":
        if os.fork() == 0:
            _hang()
        _hang()
    elif kind == "os_exit":
        os._exit(0)
    elif kind == "os_exit_3":
        os._exit(3)
    elif kind == "sys_exit":
        sys.exit("torch said good-bye")
    elif kind == "raise":
        raise RuntimeError("Unknown error -2147024809")
    elif kind == "memory":
        raise MemoryError
    elif kind == "library":
        raise OSError("libtorch_cpu.so: cannot open shared object file: No such file or directory")
    elif kind == "noise":
        print("a library says hello on stdout")
        print('{"step": "compare", "begin": false, "ok": true}', flush=True)
        os.write(1, STRAY_LINE)
        os.write(2, STRAY_LINE)
    elif kind == "flood":
        _flood()
    elif kind == "die_at_exit":
        atexit.register(os.abort)
    elif kind == "hang_at_exit":
        atexit.register(_hang)
    elif kind == "warn":
        import warnings

        warnings.warn("aten::add is not currently supported and will fall back to run on the CPU", stacklevel=2)


class device:
    def __init__(self, name: str) -> None:
        self.type = name.partition(":")[0]
        self._name = name

    def __str__(self) -> str:
        return self._name


class Tensor:
    def __init__(self, values: list[float], where: device) -> None:
        self._values = values
        self.device = where

    def to(self, where: device | str) -> Tensor:
        _fault("copy_back" if isinstance(where, str) else "copy")
        return Tensor(self._values, device(where) if isinstance(where, str) else where)

    def __add__(self, other: Tensor) -> Tensor:
        _fault("add")
        values = [_single(a + b) for a, b in zip(self._values, other._values, strict=True)]
        where = self.device
        if FAULT == "add:wrong_sum" and SUMS.count == 0:
            values[3] = 0.0
        if FAULT == "add:nan" and SUMS.count == 0:
            values[3] = float("nan")
        if FAULT == "add:wrong_device":
            where = device("privateuseone:0")
        SUMS.count += 1
        return Tensor(values, where)

    def tolist(self) -> list[float]:
        return list(self._values)

    def __repr__(self) -> str:
        return f"tensor([{', '.join(f'{value:.4f}' for value in self._values)}])"


SUMS = SimpleNamespace(count=0)


def rand(count: int) -> Tensor:
    return Tensor([_single(random.random()) for _ in range(count)], device("cpu"))


_fault("import_torch")

"""A STAND-IN for torch, for tests only: lists of floats that add, and the ways in which the real one fails.

It says what it is in its version, or, as a wheel that has a real version's name, in its description and its devices' names.
TORCH_STAND_IN_FAULT, else the first line of the file `fault` beside this one, names the fault: `<step>:<kind>` (below), or a key
of faults.json. The texts and the deaths are recorded ones, see there.
"""

from __future__ import annotations

import array
import atexit
import builtins
import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from . import version
from .version import __version__ as __version__

_HERE = Path(__file__).resolve().parent
STRAY_LINE = b"Dropped Escape call with ulEscapeCode : 0x03007703\n"
# Above this, a tensor only knows how many values it has: the throughput's four million are not made.
KEPT = 1000


class OutOfMemoryError(RuntimeError):
    pass


class AcceleratorError(RuntimeError):
    pass


# --- faults ---------------------------------------------------------------------------------------------------------


def _named_fault() -> str:
    name = os.environ.get("TORCH_STAND_IN_FAULT")
    if name is None:
        try:
            name = (_HERE / "fault").read_text(encoding="utf-8").partition("\n")[0]
        except FileNotFoundError:
            return ""
    return name.strip()


def _known_fault(name: str) -> dict[str, Any]:
    if not name or ":" in name:
        return {}
    known = json.loads((_HERE / "faults.json").read_text(encoding="utf-8"))
    if name not in known:
        raise ValueError(f"the stand-in for torch has no fault {name!r}; it has: {', '.join(known)}")
    return dict(known[name])


FAULT = _named_fault()
_TABLE = _known_fault(FAULT)


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
    if _TABLE:
        if place in _TABLE.get("at", "").split(","):
            _strike(_TABLE)
        return
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


def _strike(fault: dict[str, Any]) -> None:
    if fault.get("once") and SPARED:
        return
    for key, descriptor in (("stdout", 1), ("stderr", 2)):
        if fault.get(key):
            os.write(descriptor, fault[key].encode() + b"\n")
    does = fault.get("does", "nothing")
    if does == "raise":
        kind = globals().get(fault["class"]) or getattr(builtins, fault["class"])
        raise kind(fault["text"].replace("{device}", fault.get("device", "0")))
    if does == "warn":
        import warnings

        warnings.warn(fault["text"], stacklevel=4)
    elif does == "segfault":
        ctypes.string_at(0)
    elif does == "abort":
        os.abort()
    elif does == "hang":
        _hang()


def _struck_before() -> bool:
    """Every second process is spared; the one before has left a file."""
    name = hashlib.sha256(f"{_HERE} {FAULT} {os.environ.get('TORCH_STAND_IN_MEMORY', '')}".encode()).hexdigest()[:16]
    folder = os.environ.get("TORCH_STAND_IN_MEMORY") or tempfile.gettempdir()
    mark = Path(folder) / f"torch-stand-in-{os.getuid()}-{name}"
    with contextlib.suppress(FileNotFoundError):
        mark.unlink()
        return True
    mark.touch()
    return False


# --- devices --------------------------------------------------------------------------------------------------------

_BACKEND = str(version.settings["backend"])
_TYPE = {"cuda": "cuda", "rocm": "cuda", "xpu": "xpu"}.get(_BACKEND, "")
_TITLE = {"cuda": "CUDA", "rocm": "HIP", "xpu": "XPU"}.get(_BACKEND, "")
_MISSING = {
    "cuda": "No CUDA GPUs are available",
    "rocm": "No HIP GPUs are available",
    "xpu": "No XPU devices are available.",
}


def _devices() -> list[dict[str, Any]]:
    """Those of its settings, in whose place a fault may put others; none where the program lacks what they need."""
    needed = version.settings.get("environment", {})
    if any(os.environ.get(name) != value for name, value in needed.items()):
        return []
    return list(_TABLE.get("devices", version.settings["devices"]))


def _properties(index: int) -> SimpleNamespace:
    _fault("name")
    there = _devices()
    if not there:
        raise RuntimeError(_MISSING[_BACKEND])
    if not 0 <= index < len(there):
        raise AssertionError("Invalid device id")
    one = there[index]
    said = SimpleNamespace(name=one["name"], total_memory=one.get("bytes", 0))
    if _BACKEND == "rocm":
        said.gcnArchName = one.get("gfx", "")
    if _BACKEND == "cuda":
        said.major, said.minor = (int(number) for number in one.get("capability", "8.9").split("."))
    return said


class _Namespace:
    """torch.cuda, or torch.xpu; of a build for something else it counts nothing."""

    OutOfMemoryError = OutOfMemoryError

    def __init__(self, kind: str) -> None:
        self._mine = kind == _TYPE

    def is_available(self) -> bool:
        return self.device_count() > 0

    def device_count(self) -> int:
        if not self._mine:
            return 0
        _fault("count")
        return len(_devices())

    def get_device_properties(self, index: Any = 0) -> SimpleNamespace:
        if not self._mine:
            raise AssertionError("Torch not compiled with CUDA enabled")
        return _properties(device(index).index or 0 if isinstance(index, str) else int(getattr(index, "index", index)))

    def get_device_name(self, index: Any = 0) -> str:
        return str(self.get_device_properties(index or 0).name)

    def get_device_capability(self, index: Any = 0) -> tuple[int, int]:
        said = self.get_device_properties(index or 0)
        return getattr(said, "major", 0), getattr(said, "minor", 0)

    def current_device(self) -> int:
        return 0

    def init(self) -> None:
        _fault("init")
        _properties(0)

    def synchronize(self, _index: Any = None) -> None:
        _fault("synchronize")

    def mem_get_info(self, index: Any = 0) -> tuple[int, int]:
        _fault("free")
        total = int(self.get_device_properties(index or 0).total_memory)
        return int(_TABLE.get("free", total)), total


cuda, xpu = _Namespace("cuda"), _Namespace("xpu")


class device:
    def __init__(self, name: Any, index: int | None = None) -> None:
        kind, _, number = str(name).partition(":")
        self.type = kind
        self.index = index if index is not None else int(number) if number else None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        more = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{more})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def _reached(where: device) -> device:
    """The device that a tensor gets onto: one without a number is the current one, and one that is not there is an error."""
    if where.type not in ("cuda", "xpu"):
        return where
    if where.type != _TYPE:
        raise AssertionError(f"Torch not compiled with {where.type.upper()} enabled")
    there = _devices()
    if not there:
        raise RuntimeError(_MISSING[_BACKEND])
    index = where.index or 0
    if not 0 <= index < len(there):
        raise AcceleratorError(f"{_TITLE} error: invalid device ordinal")
    return device(where.type, index)


# --- tensors --------------------------------------------------------------------------------------------------------


def _single(value: float) -> float:
    """As a 32-bit float holds it."""
    return array.array("f", [value])[0]


class Tensor:
    def __init__(self, values: list[float], where: device, count: int | None = None) -> None:
        self._values = values
        self._count = len(values) if count is None else count
        self.device = where

    def to(self, where: Any) -> Tensor:
        target = device(where) if isinstance(where, str) else where
        if self._count > KEPT:
            _fault("throughput")
        else:
            _fault("copy_back" if target.type == "cpu" and isinstance(where, str) else "copy")
        return Tensor(self._values, _reached(target), self._count)

    def cpu(self) -> Tensor:
        return self.to("cpu")

    def cuda(self, index: int = 0) -> Tensor:
        return self.to(device("cuda", index))

    def __add__(self, other: Tensor) -> Tensor:
        if self._count > KEPT:
            _fault("throughput")
            return Tensor(self._values, self.device, self._count)
        if self.device != other.device:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"{self.device} and {other.device}!"
            )
        _fault("add")
        values = [_single(a + b) for a, b in zip(self._values, other._values, strict=True)]
        where = self.device
        # The first addition is the device's, the second one the CPU's.
        does = _TABLE.get("does", "") or FAULT.partition("add:")[2]
        if SUMS.count == 0 and (_TABLE.get("at", "add") == "add"):
            if does in ("wrong", "wrong_sum"):
                values[3] = 0.0
            elif does == "nan":
                values[3] = float("nan")
            elif does == "cpu":
                where = device("cpu")
            elif does == "elsewhere":
                where = device(_TYPE or "cuda", (self.device.index or 0) + 1)
        if does == "wrong_device":
            where = device("privateuseone:0")
        SUMS.count += 1
        return Tensor(values, where)

    def __getitem__(self, index: int) -> Tensor:
        return Tensor([self._values[index % len(self._values)]], self.device)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self._values)))

    def __len__(self) -> int:
        return self._count

    def item(self) -> float:
        return self._values[0]

    def tolist(self) -> list[float]:
        return list(self._values)

    def numel(self) -> int:
        return self._count

    def numpy(self) -> Any:
        if self.device.type != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy.")
        return importlib.import_module("numpy").array(self._values, dtype="float32")

    def __repr__(self) -> str:
        where = "" if self.device.type == "cpu" else f", device='{self.device}'"
        return f"tensor([{', '.join(f'{value:.4f}' for value in self._values)}]{where})"


SUMS = SimpleNamespace(count=0)


def _made(count: int, value: Callable[[], float], where: Any) -> Tensor:
    target = _reached(device(where) if isinstance(where, str) else where)
    return Tensor([_single(value()) for _ in range(min(count, KEPT))], target, count)


def rand(count: int, *, device: Any = "cpu") -> Tensor:
    return _made(count, random.random, device)


def zeros(count: int, *, device: Any = "cpu") -> Tensor:
    return _made(count, lambda: 0.0, device)


def ones(count: int, *, device: Any = "cpu") -> Tensor:
    return _made(count, lambda: 1.0, device)


def tensor(values: list[float], *, device: Any = "cpu") -> Tensor:
    rest = iter(values)
    return _made(len(values), lambda: next(rest), device)


def allclose(one: Tensor, other: Tensor) -> bool:
    return all(abs(a - b) <= 1e-5 for a, b in zip(one.tolist(), other.tolist(), strict=True))


SPARED = bool(_TABLE.get("once")) and _struck_before()
_fault("import_torch")
if _TABLE and "exit" in _TABLE.get("at", "").split(","):
    atexit.register(_strike, _TABLE)

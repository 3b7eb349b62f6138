"""Describe adapters and faults to the stand-in for /dev/dxg (README.md), and read what it holds against its caller."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("dxg_stand_in.c")

# What dxg_stand_in.c calls them.
OPERATIONS = {"open": 0, "enum2_count": 1, "enum2": 2, "enum3_count": 3, "enum3": 4, "query": 5, "close": 6}
ACTIONS = {"errno": 0, "status": 1, "hang": 2, "crash": 3}

RENDER, SOFTWARE, DISCRETE, INTEGRATED = 1 << 0, 1 << 2, 1 << 4, 1 << 5
DETACHABLE, COMPUTE_ONLY = 1 << 10, 1 << 11

IDS, REGISTRY, SEGMENTS, UMD_VERSION, WDDM, ADDRESS, TYPE, TYPE_RENDER = 31, 8, 3, 18, 13, 6, 15, 57


@dataclass(frozen=True)
class Answer:
    """What Windows says to one query: data (shorter than the buffer means nulls behind it), or an errno, or an NTSTATUS."""

    data: bytes = b""
    error: int = 0
    status: int = 0


@dataclass(frozen=True)
class Adapter:
    """One adapter. `None` for a field makes its query fail with ENOENT; `answers` overrides single queries."""

    name: str | None = "AMD Radeon RX 7900 XTX"
    ids: tuple[int, int, int, int, int] | None = (0x1002, 0x744C, 0x1EAE, 0x7901, 0xC8)
    dedicated: int | None = 25753026560
    driver_version: tuple[int, int, int, int] | None = (32, 0, 22029, 9039)
    wddm: int | None = 3200
    bits: int | None = RENDER | DISCRETE
    address: tuple[int, int, int] | None = (3, 0, 0)
    luid: tuple[int, int] = (0xABCD, 0)
    zero_handle: bool = False
    answers: Mapping[int, Answer] = field(default_factory=dict)

    def all_answers(self) -> dict[int, Answer]:
        found: dict[int, Answer] = {}
        if self.ids is not None:
            found[IDS] = Answer(struct.pack("<6I", *self.ids, 1))
        if self.name is not None:
            words = [text.encode("utf-16-le") for text in (self.name, "dxg stand-in", "", "dxg stand-in")]
            found[REGISTRY] = Answer(b"".join(word[:518].ljust(520, b"\0") for word in words).rstrip(b"\0"))
        if self.dedicated is not None:
            found[SEGMENTS] = Answer(struct.pack("<3Q", self.dedicated, 0, 16 << 30))
        if self.driver_version is not None:
            found[UMD_VERSION] = Answer(struct.pack("<4H", *reversed(self.driver_version)))
        if self.wddm is not None:
            found[WDDM] = Answer(struct.pack("<I", self.wddm))
        if self.address is not None:
            found[ADDRESS] = Answer(struct.pack("<3I", *self.address))
        if self.bits is not None:
            found[TYPE] = found[TYPE_RENDER] = Answer(struct.pack("<I", self.bits))
        return {**found, **self.answers}


def adapter_like(described: Mapping[str, Any]) -> Adapter:
    """The adapter of which gpu_device would say this: a field that is null, or missing, is a query that fails."""

    def number(key: str) -> int:
        return int(str(described[key]), 16)

    bits: int | None = None
    if described.get("software") is not None:
        hybrid = {"discrete": DISCRETE, "integrated": INTEGRATED}.get(str(described.get("hybrid")), 0)
        bits = (RENDER if described.get("render", True) else 0) | hybrid
        bits |= SOFTWARE if described["software"] else 0
        bits |= COMPUTE_ONLY if described.get("compute_only") else 0
        bits |= DETACHABLE if described.get("detachable") else 0
    ids = None
    if described.get("vendor_id") is not None:
        parts = ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id", "revision")
        given = [number(key) if described.get(key) is not None else 0 for key in parts]
        ids = (given[0], given[1], given[2], given[3], given[4])
    address = None
    if described.get("address") is not None:
        _, bus, rest = str(described["address"]).split(":")
        device, _, function = rest.partition(".")
        address = (int(bus, 16), int(device, 16), int(function, 16))
    version = None
    if described.get("driver_version") is not None:
        a, b, c, d = (int(part) for part in str(described["driver_version"]).split("."))
        version = (a, b, c, d)
    wddm = None
    if described.get("wddm") is not None:
        major, _, minor = str(described["wddm"]).partition(".")
        wddm = int(major) * 1000 + int(minor) * 100
    low, high = 0xABCD, 0
    if described.get("luid") is not None:
        first, _, second = str(described["luid"]).partition(":")
        low, high = int(second, 16), int(first, 16) - (1 << 32 if int(first, 16) >> 31 else 0)
    return Adapter(
        name=described.get("name"),
        ids=ids,
        dedicated=described.get("dedicated_bytes"),
        driver_version=version,
        wddm=wddm,
        bits=bits,
        address=address,
        luid=(low, high),
    )


@dataclass(frozen=True)
class Fault:
    """At which call (the `first` to the `last` of its kind, 0 for no end) something else happens than the answer.

    `what` is an errno, or "hang", or "crash"; `status` is an NTSTATUS that is no error. type and adapter narrow a query.
    """

    operation: str
    what: int | str = 0
    type: int = -1
    adapter: int = -1
    first: int = 1
    last: int = 0
    status: int = 0

    def line(self) -> str:
        action, argument = (self.what, 0) if isinstance(self.what, str) else ("errno", self.what)
        if self.status:
            action, argument = "status", self.status
        numbers = (
            OPERATIONS[self.operation],
            self.type,
            self.adapter,
            self.first,
            self.last,
            ACTIONS[action],
            argument,
        )
        return "fault " + " ".join(str(number) for number in numbers)


@dataclass(frozen=True)
class Machine:
    """What is at /dev/dxg. `device` is the numbers of the device file, or "file" for a regular one, or "missing"."""

    adapters: Sequence[Adapter] = ()
    faults: Sequence[Fault] = ()
    device: tuple[int, int] | str = (10, 125)
    # Whether the kernel knows the newer call to list adapters, and hides compute-only ones from the older.
    has_enum3: bool = True
    hides_compute_only: bool = False
    # What the two steps of listing say instead of the true counts.
    announced: int = -1
    returned: int = -1

    def lines(self) -> Iterable[str]:
        yield "machine"
        if isinstance(self.device, str):
            yield f"kind {'r' if self.device == 'file' else '-'} 0 0"
        else:
            yield f"kind c {self.device[0]} {self.device[1]}"
        yield f"enum3 {int(self.has_enum3)}"
        yield f"hides_compute_only {int(self.hides_compute_only)}"
        yield f"announced {self.announced}"
        yield f"returned {self.returned}"
        yield from (fault.line() for fault in self.faults)
        for adapter in self.adapters:
            low, high = adapter.luid
            compute_only = bool((adapter.bits or 0) & COMPUTE_ONLY)
            yield f"adapter {low} {high} {int(compute_only)} {int(adapter.zero_handle)}"
            for kind, answer in adapter.all_answers().items():
                yield f"answer {kind} {answer.error} {answer.status} {answer.data.hex()}"
        yield "end"


@cache
def build() -> Path:
    """The compiled library, from the cache where its source is the same."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError(
            "The stand-in for /dev/dxg cannot be compiled: there is no C compiler. Expected: cc, gcc or clang. "
            "Do: apt install gcc libc6-dev."
        )
    command = [compiler, "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    digest = hashlib.sha256(SOURCE.read_bytes() + repr((command, os.uname().machine)).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "colab-ready-tests" / "doubles"
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"dxg_stand_in-{digest}.so"
    with open(folder / "dxg_stand_in.lock", "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not library.exists():
            new = folder / "dxg_stand_in.new"
            done = subprocess.run(
                [*command, "-o", str(new), str(SOURCE), "-ldl", "-pthread"], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"The stand-in for /dev/dxg cannot be compiled by {compiler}:\n{done.stderr}")
            new.replace(library)
    return library


class DxgDouble:
    """A context with the environment (`env`) in which a program finds the described machine at `path`."""

    def __init__(
        self,
        adapters: Sequence[Adapter] = (),
        *,
        machines: Sequence[Machine] | None = None,
        path: str = "/dev/dxg",
        **machine: Any,
    ) -> None:
        self.machines = [Machine(adapters, **machine)] if machines is None else list(machines)
        self.path = path
        self.env: dict[str, str] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._log = Path()

    def __enter__(self) -> DxgDouble:
        library = build()
        self._folder = tempfile.TemporaryDirectory(prefix="dxg-stand-in-")
        folder = Path(self._folder.name)
        # A program under test may be another user's.
        folder.chmod(0o755)
        description = folder / "description"
        with open(description, "w", encoding="ascii") as stream:
            for machine in self.machines:
                stream.writelines(f"{line}\n" for line in machine.lines())
        self._log = folder / "violations"
        self._log.touch()
        self._log.chmod(0o666)
        preload = " ".join(filter(None, (str(library), os.environ.get("LD_PRELOAD"))))
        self.env = {
            "LD_PRELOAD": preload,
            "DXG_STAND_IN": str(description),
            "DXG_STAND_IN_LOG": str(self._log),
            "DXG_STAND_IN_PATH": self.path,
        }
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def violations(self) -> list[str]:
        """What the caller did wrong so far."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()


NOT_FOUND = Answer(error=errno.ENOENT)

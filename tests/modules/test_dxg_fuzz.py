"""Whatever /dev/dxg answers, its reader comes back with something of the right shape, and invents no GPU.

The stand-in for the device gets a new machine, made at random, for each open; what it was told is the truth that the
reader's answer is held against.
"""

from __future__ import annotations

import errno
import json
import random
import struct
from dataclasses import dataclass
from typing import Any

import pytest
from ansible.module_utils.colab_ready.gpu.adapter import KEYS
from doubles.dxg_stand_in import (
    ADDRESS,
    COMPUTE_ONLY,
    DISCRETE,
    IDS,
    INTEGRATED,
    REGISTRY,
    RENDER,
    SEGMENTS,
    SOFTWARE,
    TYPE,
    TYPE_RENDER,
    UMD_VERSION,
    WDDM,
    Adapter,
    Answer,
    DxgDouble,
    Fault,
    Machine,
)
from dxg_reader import run_reader

# Change it and other machines are tried; a failure names the number of its machine.
SEED = 20261125
MACHINES = 10_000
CRASHING = 60
HANGING = 12
# Long enough to reach the call that hangs; it is always used up.
PATIENCE = 0.4

WHOLE = set(
    "dxg_missing dxg_denied dxg_forbidden dxg_no_driver dxg_no_device dxg_unopenable dxg_not_dxg enum_failed enum_unstable "
    "too_many_adapters".split()
)
OF_A_FIELD = set("query_failed query_pending bad_answer not_said no_ids unknown_vendor not_pci not_hybrid".split())

SIZES = {IDS: 24, REGISTRY: 2080, SEGMENTS: 24, UMD_VERSION: 8, WDDM: 4, ADDRESS: 12, TYPE: 4, TYPE_RENDER: 4}
NOBODY = (0, 0xFFFF, 0xFFFFFFFF)
ERRNOS = sorted(errno.errorcode)

# --- machines at random ---------------------------------------------------------------------------------------------


def random_name(rng: random.Random) -> bytes:
    kind = rng.randrange(7)
    if kind == 0:
        return rng.randbytes(rng.choice((1, 3, 17, 519, 520, 2080)))
    if kind == 1:
        # Surrogates alone, in the wrong order, and at the end of the array.
        units = [rng.choice((0xD83C, 0xDFAE, 0x41, 0xDC00, 0xDBFF)) for _ in range(rng.randint(1, 12))]
        return struct.pack(f"<{len(units)}H", *units)
    if kind == 2:
        return ("x" * 259).encode("utf-16-le") + b"\x3c\xd8"
    if kind == 3:
        return "".join(chr(rng.randrange(1, 0x250)) for _ in range(rng.randint(1, 260))).encode("utf-16-le")[:520]
    return rng.choice(("", "AMD Radeon RX 6800", "NVIDIA GeForce RTX 4090", "Intel(R) Arc(TM)")).encode("utf-16-le")


def random_ids(rng: random.Random) -> bytes:
    vendor = rng.choice(
        (0x1002, 0x10DE, 0x8086, 0x1414, 0x1414, 0, 0, 0xFFFF, 0xFFFFFFFF, 0x4D4F4351, rng.getrandbits(32))
    )
    return struct.pack(
        "<6I", vendor, *(rng.choice((0, 0x744C, rng.getrandbits(16), rng.getrandbits(32))) for _ in range(5))
    )


def random_answer(rng: random.Random, kind: int) -> Answer | None:
    chance = rng.random()
    if chance < 0.06:
        return None
    if chance < 0.14:
        return Answer(error=rng.choice(ERRNOS))
    status = rng.choice((0x102, 0x103, 0x105, 0x40000000, 0x7FFFFFFF)) if chance < 0.18 else 0
    if chance < 0.24:
        # Fewer bytes than asked for, or more, or none.
        return Answer(rng.randbytes(rng.randrange(SIZES[kind] + 8)), status=status)
    if kind == REGISTRY:
        return Answer(random_name(rng), status=status)
    if kind == IDS:
        return Answer(random_ids(rng), status=status)
    if kind in (TYPE, TYPE_RENDER):
        bits = rng.choice(
            (RENDER, RENDER | DISCRETE, RENDER | INTEGRATED, RENDER | SOFTWARE, COMPUTE_ONLY, 0, rng.getrandbits(32))
        )
        return Answer(struct.pack("<I", bits), status=status)
    return Answer(rng.choice((bytes(SIZES[kind]), b"\xff" * SIZES[kind], rng.randbytes(SIZES[kind]))), status=status)


def random_adapter(rng: random.Random) -> Adapter:
    answers = {kind: random_answer(rng, kind) for kind in SIZES}
    return Adapter(
        **dict.fromkeys(("name", "ids", "dedicated", "driver_version", "wddm", "address")),
        # By this the stand-in knows whom newer kernels hide; the answers are what it says.
        bits=COMPUTE_ONLY if rng.random() < 0.1 else 0,
        luid=(rng.getrandbits(32), rng.choice((0, -1, -(1 << 31), (1 << 31) - 1, rng.getrandbits(31)))),
        zero_handle=rng.random() < 0.06,
        answers={kind: answer if answer else Answer(error=errno.ENOENT) for kind, answer in answers.items()},
    )


def random_faults(rng: random.Random) -> list[Fault]:
    operations = ("open", "enum2_count", "enum2", "enum3_count", "enum3", "query", "close")
    found = []
    while rng.random() < 0.2:
        last = rng.choice((0, 1, 2, 5))
        if rng.random() < 0.1:
            # open() knows no NTSTATUS: what is no error there is a descriptor.
            found.append(Fault(rng.choice(operations[1:]), status=rng.randrange(1, 1 << 31), last=last))
        else:
            # Listing that overflows and closing that is interrupted are the likely ones.
            code = rng.choice((errno.EOVERFLOW, errno.EINTR, errno.ENOTTY, rng.choice(ERRNOS)))
            # An open that is interrupted is tried again, at the next machine: that one would be lost to the check.
            operation = rng.choice(operations[1:] if code == errno.EINTR else operations)
            found.append(Fault(operation, code, last=1 if code == errno.EINTR else last))
    return found


def random_machine(rng: random.Random) -> Machine:
    count = rng.choice((0, 1, 1, 2, 2, 2, 3, 3, 4, 6, rng.randint(0, 64) if rng.random() < 0.15 else 2))
    if rng.random() < 0.01:
        count = rng.choice((63, 64, 65, 80))
    lies = rng.random() < 0.08
    return Machine(
        adapters=[random_adapter(rng) for _ in range(count)],
        faults=random_faults(rng),
        has_enum3=rng.random() < 0.7,
        hides_compute_only=rng.random() < 0.5,
        announced=rng.choice((0, 1, 5, 64, 65, 0x7FFFFFFF)) if lies and rng.random() < 0.5 else -1,
        returned=rng.choice((0, 1, 2, 64, 65, 70, 0xFFFFFFFF)) if lies else -1,
    )


# --- what may be said of them ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """What of an adapter was answered at all."""

    vendor: int | None
    bits: int | None


def truth_of(machine: Machine, adapter: Adapter) -> Truth:
    def data(kind: int) -> bytes | None:
        answer = adapter.all_answers()[kind]
        if answer.error or answer.status in (0x102, 0x103):
            return None
        return answer.data[: SIZES[kind]].ljust(SIZES[kind], b"\0")

    ids, render, both = data(IDS), data(TYPE_RENDER), data(TYPE)
    bits = render if render is not None else both
    return Truth(
        struct.unpack_from("<I", ids)[0] if ids is not None else None,
        struct.unpack("<I", bits)[0] if bits is not None else None,
    )


TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        "name vendor vendor_id device_id subsystem_vendor_id subsystem_id revision "
        "address driver_version wddm hybrid luid".split(),
        (str, type(None)),
    ),
    **dict.fromkeys("software render compute_only detachable".split(), (bool, type(None))),
    "index": (int,),
    "dedicated_bytes": (int, type(None)),
    "primary": (bool,),
    "source": (dict,),
    **dict.fromkeys("driver gfx product".split(), (type(None),)),
}


def check_shape(adapters: Any, reasons: Any) -> None:
    assert isinstance(reasons, dict)
    for reason in reasons.values():
        assert set(reason) == {"reason", "detail"} and reason["detail"]
    if adapters is None:
        assert list(reasons) == ["adapters"]
        assert reasons["adapters"]["reason"] in WHOLE
        return
    assert len(adapters) <= 64
    nulls = set()
    for index, adapter in enumerate(adapters):
        assert list(adapter) == list(KEYS)
        assert adapter["index"] == index
        for key, value in adapter.items():
            assert isinstance(value, TYPES[key]), (key, value)
            if value is None and key not in ("gfx", "product"):
                nulls.add(f"adapters[{index}].{key}")
        assert adapter["name"] is None or (adapter["name"].isprintable() and adapter["name"].strip())
        json.dumps(adapter, ensure_ascii=False).encode()
        assert set(adapter["source"]) == {
            key for key, value in adapter.items() if value is not None and key not in ("index", "primary", "source")
        }
    assert nulls == set(reasons)
    assert {reason["reason"] for reason in reasons.values()} <= OF_A_FIELD
    assert sum(adapter["primary"] for adapter in adapters) <= 1


def check_no_invention(machine: Machine, adapters: list[dict[str, Any]]) -> None:
    """Each adapter is one that was described, in their order, and says no more than was answered about it."""
    described = iter(machine.adapters)
    query_faults = any(fault.operation == "query" for fault in machine.faults)
    for adapter in adapters:
        low, high = int(adapter["luid"][9:], 16), int(adapter["luid"][:8], 16)
        truth = next(
            (truth_of(machine, one) for one in described if (one.luid[0], one.luid[1] & 0xFFFFFFFF) == (low, high)),
            None,
        )
        assert truth is not None, "an adapter that nobody described"
        if adapter["vendor_id"] is None:
            assert adapter["vendor"] is None and adapter["device_id"] is None
        else:
            assert truth.vendor is not None and int(adapter["vendor_id"], 16) == truth.vendor
            assert truth.vendor not in NOBODY
        if adapter["software"] is False:
            assert truth.vendor not in NOBODY or query_faults
            assert truth.bits is not None
            if not query_faults:
                assert not truth.bits & SOFTWARE
                assert truth.vendor != 0x1414
        if adapter["primary"]:
            assert adapter["software"] is False and adapter["compute_only"] is not True


def check(number: int, machine: Machine, line: str) -> None:
    adapters, reasons = json.loads(line)
    try:
        check_shape(adapters, reasons)
        check_no_invention(machine, adapters or [])
    except AssertionError as error:
        raise AssertionError(f"machine {number} of seed {SEED}: {error}\n{line[:3000]}") from error


def test_ten_thousand_random_answers_neither_break_the_reader_nor_make_a_gpu() -> None:
    rng = random.Random(SEED)
    machines = [random_machine(rng) for _ in range(MACHINES)]
    call = f"for _ in range({MACHINES}): print(json.dumps(dxg.read_adapters()))"
    with DxgDouble(machines=machines) as double:
        lines = run_reader(double, call, timeout=240).splitlines()
        assert double.violations() == []
    assert len(lines) == MACHINES
    outcomes = {"adapters": 0, "hardware": 0, "null": 0}
    for number, (machine, line) in enumerate(zip(machines, lines, strict=True)):
        check(number, machine, line)
        adapters = json.loads(line)[0]
        outcomes["null" if adapters is None else "adapters"] += 1
        outcomes["hardware"] += sum(adapter["software"] is False for adapter in adapters or [])
    # Else nothing was shown: most machines can be read, some cannot, and there is hardware among it all.
    assert min(outcomes.values()) > MACHINES / 50, outcomes


@pytest.mark.parametrize(("what", "reason", "number"), [("crash", "crashed", CRASHING), ("hang", "timeout", HANGING)])
def test_a_driver_that_crashes_or_hangs_anywhere_is_survived(what: str, reason: str, number: int) -> None:
    rng = random.Random(SEED)
    machines = []
    for _ in range(number):
        operation = rng.choice(("open", "enum3_count", "enum3", "query", "close"))
        fault = Fault(operation, what, first=rng.randint(1, 7) if operation == "query" else 1)
        adapters = [Adapter(answers={kind: Answer(rng.randbytes(SIZES[kind])) for kind in SIZES}) for _ in range(3)]
        machines.append(Machine(adapters, [fault]))
    seconds = PATIENCE if what == "hang" else 60
    call = f"for _ in range({number}): print(json.dumps(dxg.read_adapters_safely(timeout_seconds={seconds})))"
    with DxgDouble(machines=machines) as double:
        lines = run_reader(double, call, timeout=240).splitlines()
        assert double.violations() == []
    for line in lines:
        adapters, reasons = json.loads(line)
        assert adapters is None
        assert reasons["adapters"]["reason"] == reason
    assert len(lines) == number

"""A STAND-IN for torch_directml, for tests only: its one device is the CPU's memory, and it fails on demand.

The functions and what they answer are those of torch-directml 0.2.5.dev240914 as far as a program asks for them. The
fault is named by TORCH_DIRECTML_STAND_IN_FAULT, else by the first line of the file `fault` beside this one; the names are
the keys of faults.json. The devices' names stand in TORCH_DIRECTML_STAND_IN_DEVICES or the file `devices`, one a line.
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import torch

__version__ = "0.0.0+stand.in"

_HERE = Path(__file__).resolve().parent
_LIBRARY = _HERE / "stand_in.so"
_DEFAULT_DEVICES = ["AMD Radeon RX 6700 XT (CPU stand-in)"]


def _setting(variable: str, name: str) -> list[str] | None:
    """The lines of a variable, else of a file in this folder; None where neither is."""
    text = os.environ.get(variable)
    if text is None:
        try:
            text = (_HERE / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _chosen_fault() -> dict[str, Any]:
    name = (_setting("TORCH_DIRECTML_STAND_IN_FAULT", "fault") or [""])[0]
    if not name:
        return {}
    known = json.loads((_HERE / "faults.json").read_text(encoding="utf-8"))
    if name not in known:
        raise ValueError(f"the stand-in for torch_directml has no fault {name!r}; it has: {', '.join(known)}")
    return dict(known[name])


def _chosen_devices() -> list[str]:
    if "devices" in _fault:
        return list(_fault["devices"])
    given = _setting("TORCH_DIRECTML_STAND_IN_DEVICES", "devices")
    return _DEFAULT_DEVICES if given is None else given


def _error() -> Exception:
    """The fault's exception with the recorded text, and the one behind it where there is one."""
    text = _fault["text"].replace("{folder}", str(_HERE)).replace("{site}", str(_HERE.parent))
    # Stub libraries answer with whatever lies in a register.
    text = text.replace("{random}", str(-random.randrange(1, 2**31)))
    error: Exception = getattr(builtins, _fault.get("class", "RuntimeError"))(text)
    if "cause" in _fault:
        error.__cause__ = getattr(builtins, _fault.get("class", "RuntimeError"))(_fault["cause"])
    return error


def _load() -> Any:
    # PyDLL: like the real one it keeps Python's lock while it is inside.
    native = ctypes.PyDLL(str(_LIBRARY))
    texts = [_fault.get(key, "").encode() for key in ("at", "does", "text", "stdout", "stderr")]
    native.stand_in_set(len(_devices), _fault.get("float64", True), *map(ctypes.c_char_p, texts))
    return native


def _reach(place: str) -> None:
    if _native is not None and _native.stand_in_reach(place.encode()):
        raise _error()


def is_available() -> bool:
    _reach("count")
    return bool(_fault.get("available", bool(_devices)))


def device_count() -> int:
    _reach("count")
    return len(_devices)


def default_device() -> int:
    _reach("count")
    return 0


def current_device() -> int:
    return 0


def device_name(device_id: int) -> str:
    _reach("name")
    return _devices[device_id] if 0 <= device_id < len(_devices) else ""


def device(device_id: int | None = None) -> torch.device:
    """Without a number it is device 0, be there one or not: so is the real one."""
    _reach("device")
    if device_id is None:
        return torch.device("privateuseone", 0)
    if not 0 <= device_id < len(_devices):
        raise Exception(
            f"Invalid device_id argument supplied {device_id}. device_id must be in range [0, {len(_devices)})."
        )
    return torch.device("privateuseone", device_id)


def has_float64_support(device_id: int = 0) -> bool:
    if _native is not None:
        _native.stand_in_needs_a_device()
    return bool(_fault.get("float64", True))


def gpu_memory(device_id: int = 0, mb_per_tile: int = 1) -> list[float]:
    if _native is not None:
        _native.stand_in_needs_a_device()
    return [0.0]


def _is_in_bad_fork() -> bool:
    return False


_fault = _chosen_fault()
_devices = _chosen_devices()
# Some faults are that this very thing is missing, and then torch says what it says.
_native = None if "without" in _fault else _load()
if _fault.get("without") == "module":
    importlib.import_module("torch_directml_native")
_reach("import")
if _fault.get("without") != "registration":
    torch._register_device_module("privateuseone", sys.modules[__name__])

"""What this stand-in says it was made for, in torch.version's words."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent


def _settings() -> dict[str, Any]:
    """stand_in.json is in a wheel (build.py); without one, the variables say what this torch is."""
    try:
        made = json.loads((_HERE / "stand_in.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        made = {
            "version": os.environ.get("TORCH_STAND_IN_VERSION", "0.0.0+stand.in"),
            "backend": os.environ.get("TORCH_STAND_IN_BACKEND", "cpu"),
            "devices": [],
        }
    # Not in RECORD, so that a test that changes it does not damage the installation.
    try:
        made["devices"] = json.loads((_HERE / "devices").read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    if "TORCH_STAND_IN_DEVICES" in os.environ:
        made["devices"] = json.loads(os.environ["TORCH_STAND_IN_DEVICES"])
    return dict(made)


settings = _settings()
__version__ = str(settings["version"])
_local = __version__.partition("+")[2]
_rocm = re.match(r"rocm(\d+(?:\.\d+)*)", _local)
_cuda = re.match(r"cu(\d+)(\d)$", _local)
_backend = settings["backend"]
hip: str | None = f"{_rocm.group(1) if _rocm else '0.0.0'}-stand-in" if _backend == "rocm" else None
cuda: str | None = (f"{_cuda.group(1)}.{_cuda.group(2)}" if _cuda else "0.0") if _backend == "cuda" else None
xpu: str | None = "20260000" if _backend == "xpu" else None

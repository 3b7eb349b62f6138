"""Our reader of /dev/dxg in a process of its own, where the stand-in for the device can be preloaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from doubles.dxg_stand_in import DxgDouble

MODULE_UTILS = Path(__file__).resolve().parent.parent / "module_utils"

# `call` is a line of Python: dxg and json are at hand; what it prints comes back.
PROGRAM = """
import json, os, sys
import ansible.module_utils
ansible.module_utils.__path__ = [*ansible.module_utils.__path__, sys.argv[1]]
from ansible.module_utils.colab_ready.gpu.readers import dxg
exec(sys.argv[2])
"""


def run_reader(double: DxgDouble, call: str, timeout: float = 60) -> str:
    """What the line printed. A reader that hangs, crashes or fails is an error."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(MODULE_UTILS), call],
        env={**os.environ, **double.env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done.stdout


def read_with(double: DxgDouble, timeout_seconds: float | None = None) -> tuple[Any, dict[str, dict[str, str]]]:
    """adapters and reasons, as this process reads them, or a copy of it where there is a timeout."""
    safely = f"read_adapters_safely(timeout_seconds={timeout_seconds})"
    call = f"print(json.dumps(dxg.{'read_adapters()' if timeout_seconds is None else safely}))"
    adapters, reasons = json.loads(run_reader(double, call))
    return adapters, reasons

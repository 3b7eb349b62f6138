# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cell that the handshake runs: the article's program on the backend's device, and what its kernel answers."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

from .handshake_ledger import TEXT_CHARACTERS, Problem

OUTPUT_CHARACTERS = 2000
# As tensor_probe.py has it.
COUNT = 10
TOLERANCE = 1e-6

# How a cell comes to its device, by torch's word for its type. On DirectML it asks first: device() answers without any
# adapter too, and the first tensor on it ends the kernel.
DEVICE_IN_CELL = {
    "cpu": "device = torch.device('cpu')",
    "privateuseone": """\
import torch_directml
if not torch_directml.is_available():
    raise RuntimeError("torch_directml found 0 compatible adapters")
device = torch_directml.device({index})""",
}
# On all others the first tensor raises, with the driver's own words.
OTHER_DEVICE_IN_CELL = "device = torch.device({device_type!r}, {index})"

# The article's program. What it prints is made from copies on the CPU (see tensor_probe.py).
CELL = """
import json, platform, torch
{device}
a, b = torch.rand({count}), torch.rand({count})
x, y = a.to(device), b.to(device)
c = x + y
for tensor in (x, y, c):
    shown = str(tensor.to("cpu"))
    print(shown if c.device.type == "cpu" else shown[:-1] + ", device='" + str(tensor.device) + "')")
print({mark!r} + json.dumps({{
    "a": a.tolist(), "b": b.tolist(), "sum": c.to("cpu").tolist(), "device": str(c.device),
    "device_type": c.device.type, "index": c.device.index, "torch": str(torch.__version__), "python": platform.python_version(),
}}))
"""
# A driver writes it to the descriptors, at any place (see proof/steps.py).
STRAY_LINE = re.compile(r"Dropped Escape call with ulEscapeCode : 0x[0-9A-Fa-f]+\n?")


async def execute(socket: Any, code: str) -> dict[str, str]:
    """Run a cell; {stdout, result}. Messages as jupyter_server's default (JSON text) protocol has them."""
    message_id = uuid.uuid4().hex
    header = {
        "msg_id": message_id,
        "msg_type": "execute_request",
        "session": uuid.uuid4().hex,
        "username": "",
        "version": "5.3",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    request = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
    await socket.write_message(json.dumps({**request, "buffers": []}))
    said = {"stdout": "", "result": ""}
    replied = idle = False
    while not (replied and idle):
        text = await socket.read_message()
        if text is None:
            reason = f"{socket.close_code or 'without a word'} {socket.close_reason or ''}".strip()
            raise Problem("kernel_socket_closed", f"the kernel's websocket was closed ({reason})")
        message = json.loads(text)
        kind, content = message.get("msg_type"), message.get("content", {})
        if kind == "status" and content.get("execution_state") in ("restarting", "autorestarting", "dead"):
            raise Problem("kernel_died", "the kernel died; jupyter_server says it is " + content["execution_state"])
        if message.get("parent_header", {}).get("msg_id") != message_id:
            continue
        if kind == "stream" and content.get("name") == "stdout":
            said["stdout"] = (said["stdout"] + content.get("text", ""))[-(1 << 16) :]
        elif kind == "execute_result":
            said["result"] = str(content.get("data", {}).get("text/plain", ""))
        elif kind == "error":
            raise Problem(*cell_error(content))
        elif kind == "execute_reply":
            replied = True
            if content.get("status") != "ok":
                raise Problem(*cell_error(content))
        elif kind == "status":
            idle = content.get("execution_state") == "idle"
    return said


def cell_error(content: dict[str, Any]) -> tuple[str, str]:
    name, value = str(content.get("ename")), str(content.get("evalue"))
    missing = name == "ModuleNotFoundError" and "'torch'" in value
    return ("torch_missing" if missing else "cell_failed", f"the cell ended with {name}: {value}")


def read_cell(stdout: str, mark: str, device_type: str, index: int = 0) -> dict[str, Any]:
    """What the torch cell printed: checked against plain Python's own addition, and against the device that was named."""
    shown, found, rest = STRAY_LINE.sub("", stdout).partition(mark)
    if not found:
        raise Problem("cell_failed", f"the cell did not print its values, but: {stdout[-TEXT_CHARACTERS:]}")
    values, _end = json.JSONDecoder().raw_decode(rest)
    a, b, c = values["a"], values["b"], values["sum"]
    if not {len(a), len(b), len(c)} == {COUNT}:
        raise Problem("wrong_sum", f"expected {COUNT} values, got {len(a)}, {len(b)} and {len(c)}")
    for place in range(COUNT):
        if not abs(a[place] + b[place] - c[place]) <= TOLERANCE:
            text = f"value {place}: {a[place]!r} + {b[place]!r} gave {c[place]!r}"
            raise Problem("wrong_sum", text)
    if values["device_type"] != device_type:
        raise Problem("wrong_device", f"the sum is on {values['device']}, expected a device of type {device_type}")
    if device_type != "cpu" and values.get("index") not in (None, index):
        raise Problem("wrong_device", f"the sum is on {values['device']}, expected number {index}")
    return {"output": shown.strip()[:OUTPUT_CHARACTERS], **values}


def cell_code(device_type: str, index: int, mark: str) -> str:
    way = DEVICE_IN_CELL.get(device_type, OTHER_DEVICE_IN_CELL)
    return CELL.format(device=way.format(index=index, device_type=device_type), mark=mark, count=COUNT)


async def torch_cell(socket: Any, device_type: str, index: int) -> dict[str, Any]:
    mark = f"colab-ready-{uuid.uuid4().hex}:"
    code = cell_code(device_type, index, mark)
    return read_cell((await execute(socket, code))["stdout"], mark, device_type, index)

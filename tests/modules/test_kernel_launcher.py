"""roles/colab_runtime/files/launch_kernel.py with the real ipykernel of a kernel environment."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LAUNCHER = PROJECT / "roles" / "colab_runtime" / "files" / "launch_kernel.py"
SECONDS = 60

# In the kernel's environment, with jupyter_client as the server has it: what cells say, and what the kernel listens on.
PROGRAM = """
import contextlib, json, os, sys
from jupyter_client import KernelManager

CELLS = json.loads(sys.argv[1])
FOLDER = os.environ["JUPYTER_RUNTIME_DIR"]
manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=f"{FOLDER}/kernel-1.json")
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)

def run(code, stdin=None):
    said, typed = [], lambda message: client.input(stdin)
    def hear(message):
        content = message["content"]
        said.append(content.get("text") or content.get("ename") or content.get("data", {}).get("text/plain"))
    client.execute_interactive(code, timeout=60, output_hook=hear, stdin_hook=typed, allow_stdin=stdin is not None)
    return "".join(text for text in said if text)

def listening():
    # All processes that have our environment: the debugger has one of its own.
    found = []
    for folder in (f"/proc/{name}" for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            if FOLDER not in open(f"{folder}/environ").read():
                continue
            opened = {os.readlink(f"{folder}/fd/{fd}") for fd in os.listdir(f"{folder}/fd")}
            lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"{folder}/net/{name}")]
            found += [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in opened]
    return found

def interrupted():
    number = client.execute("import time; print('begun'); time.sleep(60)")
    while client.get_iopub_msg(timeout=60)["content"].get("text") != "begun\\n":
        pass
    manager.interrupt_kernel()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != number:
        pass
    return reply["content"].get("ename")

def debug():
    client.control_channel.send(client.session.msg(
        "debug_request", {"type": "request", "seq": 1, "command": "initialize", "arguments": {}}))
    return client.get_control_msg(timeout=60)["content"]

found = {"cells": [run(cell) for cell in CELLS], "typed": run("print(input())", "a name"), "interrupted": interrupted()}
found["features"] = client.kernel_info(reply=True, timeout=60)["content"].get("supported_features", [])
found["debug"], found["listening"] = debug(), listening()
manager.restart_kernel()
client.wait_for_ready(timeout=60)
found["restarted"], found["after"] = run("print('again' if 'x' not in dir() else 'old')"), listening()
found["sockets"] = sorted(os.listdir(FOLDER))
client.stop_channels()
manager.shutdown_kernel()
found["alive"], found["left"] = manager.is_alive(), sorted(os.listdir(FOLDER))
print(json.dumps(found))
"""

FORK = """
import os, sys, time
if os.fork() == 0:
    print("from a forked process", flush=True)
    os._exit(0)
os.wait()
time.sleep(1)
"""


@pytest.fixture
def converse(tmp_path: Path, kernel_python: Path) -> Any:
    """Run cells in a kernel, and return what was found out."""

    def run(argv: list[str], *cells: str) -> dict[str, Any]:
        spec = tmp_path / "data" / "kernels" / "python3"
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "test", "language": "python"}))
        (tmp_path / "runtime").mkdir(mode=0o700)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "JUPYTER_PATH": str(tmp_path / "data"),
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        }
        command = [str(kernel_python), "-I", "-c", PROGRAM, json.dumps(["x = 1", *cells])]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=4 * SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout), "log": done.stderr}

    return run


def test_a_kernel_listens_on_no_port_and_does_all_that_one_does(
    tmp_path: Path, kernel_python: Path, converse: Any
) -> None:
    (tmp_path / ".ipython").mkdir(mode=0o755)
    found = converse(
        [str(kernel_python), str(LAUNCHER), "-f", "{connection_file}"],
        FORK,
        "import sys, os; print(os.getcwd(), [path for path in sys.path if 'colab_runtime' in path])",
        "!echo from a shell",
    )
    assert found["cells"] == ["", "from a forked process\n", f"{tmp_path} []\n", "from a shell\r\n"]
    assert (found["typed"], found["interrupted"], found["restarted"]) == ("a name\n", "KeyboardInterrupt", "again\n")
    assert "debugger" not in found["features"]
    assert (found["listening"], found["after"]) == ([], [])
    assert any(name.endswith("-forked") for name in found["sockets"]), found["sockets"]
    assert (found["alive"], found["left"]) == (False, [])
    assert stat.S_IMODE(os.stat(tmp_path / ".ipython").st_mode) == 0o700


def test_ipykernel_by_itself_has_the_ports_that_the_launcher_closes(kernel_python: Path, converse: Any) -> None:
    """Where it no longer has, the launcher can go: one always, and more once the debugger was asked for."""
    found = converse([str(kernel_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    assert len(found["listening"]) > len(found["after"]) > 0

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe brought home (child.run_probe), judged: ok or not, why, what to do. Data in, data out.

Step ids and remedy ids are names that documents refer to: they may be added, not changed.
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

from ..backends import torch_devices
from ..backends.directml import faults as directml_faults
from ..backends.rocm import faults as rocm_faults
from ..core.remedy import AGAIN, AGAIN_FIRST, ANEW, BUILD_ANEW, Evidence, Remedy
from . import torch_faults

T = TypeVar("T")

# --- remedies -------------------------------------------------------------------------------------------------------

_RESTORED = "it restores the server's configuration."
_RESTORE = f"{AGAIN_FIRST}: {_RESTORED}"
_STOP_NOW = f"Run colab-runtime stop now; then {AGAIN}"
_NEW_TOKEN = f"Remove the token's file and {AGAIN}"
_NEW_ADDRESS = "Run colab-runtime restart, then take the new address from ./colab-ready url."
_READ_LOGS = "Read colab-runtime logs for the reason, then colab-runtime restart."

REMEDIES: dict[str, Remedy] = {
    # the child process
    "python_missing": Remedy(
        "The environment's Python is not there.", f"{AGAIN_FIRST}: it builds the environment anew."
    ),
    "python_not_executable": Remedy(
        "The environment's Python may not be executed by the user who needs it.",
        "Look at the owner and the mode of the environment's folders (`namei -l` on its bin/python), or remove the "
        f"environment and {AGAIN}.",
    ),
    "python_broken": Remedy(
        "The environment's Python does not get as far as the check itself.",
        f"Remove the environment's folder and {AGAIN}.",
    ),
    "no_such_user": Remedy(
        "The user who should run the kernels does not exist.", "Set colab_user to an existing user, or leave it out."
    ),
    "not_root": Remedy(
        "Only root can check what another user's kernel would do.",
        "Run ./colab-ready verify, which asks for the rights it needs.",
    ),
    "out_of_memory": Remedy(
        "The process was killed, most likely because memory ran out.",
        "Close other programs, or give WSL more memory ([wsl2] memory= in .wslconfig on Windows, then wsl --shutdown).",
    ),
    "check_hangs": Remedy(
        "The check did not end in time: a driver that hangs, or a host that is very busy.",
        "Try once more when the host is idle; if it hangs at the same step again, run wsl --shutdown on Windows and "
        "start anew.",
    ),
    # tensor_add, and the cell
    "torch_missing": Remedy(
        "PyTorch is not installed in the kernel environment.", f"{AGAIN_FIRST}: it installs what is missing."
    ),
    "torch_broken": Remedy(
        "PyTorch is installed in the kernel environment but cannot be used: files are missing or of another build.",
        BUILD_ANEW,
    ),
    "torch_crashes": Remedy(
        "PyTorch's native code ended the process: a broken installation, or a driver fault.",
        f"{ANEW}; if it stays, report the step and the signal.",
    ),
    "cpu_too_old": Remedy(
        "This processor lacks instructions that this build of PyTorch uses (SIGILL).",
        "Use an older PyTorch (the backend's pin), or a processor with AVX2.",
    ),
    "wrong_device": Remedy(
        "The sum was not computed on the device that was asked for.",
        "Choose the backend that this host really has (colab_backend), or repair its driver.",
    ),
    "wrong_sum": Remedy("The device computes wrong values.", "Update the driver; until then use colab_backend: cpu."),
    # the token
    "token_missing": Remedy("The token's file is not there.", f"{AGAIN_FIRST}: it makes one."),
    "token_unreadable": Remedy(
        "The user who runs the kernels cannot read the token.", f"{AGAIN_FIRST}: it repairs the file's owner and mode."
    ),
    "token_mode": Remedy(
        "Other users of this host can read the token, and whoever has it can run code as its owner.",
        f"{_NEW_TOKEN}: it makes a new one with mode 0600.",
    ),
    "token_owner": Remedy(
        "The token belongs to another user than the one who runs the kernels.",
        f"{AGAIN_FIRST}: it repairs the file's owner.",
    ),
    "token_empty": Remedy("An empty token switches authentication off for every user of this host.", f"{_NEW_TOKEN}."),
    "token_weak": Remedy("The token is so short that it can be guessed.", f"{_NEW_TOKEN}."),
    "token_malformed": Remedy(
        "jupyter_server takes the file's text as the token, line ends included, and no request can carry those.",
        f"{_NEW_TOKEN}.",
    ),
    "token_refused": Remedy(
        "The server does not know this token: it started before the token was changed, or with another one.",
        _NEW_ADDRESS,
    ),
    # the server
    "port_refused": Remedy(
        "Nothing listens on the port: the server is not running.",
        "Run colab-runtime start; if it does not stay up, colab-runtime logs says why.",
    ),
    "no_http_answer": Remedy(
        "Something listens on the port but does not answer: the server hangs, or another program has the port.",
        "Look who has it (colab-runtime status, ss -ltnp), then colab-runtime restart or another colab_port.",
    ),
    "peer_foreign": Remedy(
        "The port is served by another user than the one who runs the kernels. This check has not sent the token there, but "
        "Colab's page may have.",
        "Look who has the port (sudo colab-runtime status), end that program, then colab-runtime restart and "
        "colab-runtime token --rotate.",
    ),
    "peer_unseen": Remedy(
        "The port is served by nobody of this system: in WSL (networkingMode=mirrored) a Windows program may have it.",
        "Look who has it (netstat -ano in Windows), end that program, then colab-runtime restart; or set another colab_port.",
    ),
    "peer_silent": Remedy(
        "What listens on the port does not accept connections: the server hangs.",
        "Run colab-runtime restart; read colab-runtime logs if it stays so.",
    ),
    "peer_unknown": Remedy(
        "This system does not say whose a connection is (/proc/net/tcp), so the token was not sent.",
        "Mount /proc with its net folder, as every Linux has it, and run ./colab-ready verify.",
    ),
    "not_jupyter": Remedy(
        "What answers on the port is not a Jupyter server that this project configured.",
        "Look who has the port (ss -ltnp); stop it, or set another colab_port.",
    ),
    "host_refused": Remedy(
        "The server refuses the name in the address: it only accepts local ones.", "Use http://localhost and the port."
    ),
    "allow_origin_wrong": Remedy(
        "The server's allow_origin is not exactly Colab's origin (no slash at the end, lower case), so a browser hides "
        "every answer from the page.",
        _RESTORE,
    ),
    "allow_credentials_missing": Remedy(
        "The server lacks allow_credentials, without which a browser hides every answer to a request that carries "
        "credentials (googlecolab/colabtools#5302).",
        _RESTORE,
    ),
    "preflight_too_narrow": Remedy(
        "The server's preflight does not allow what the page sends.",
        f"Take Access-Control settings out of the server's own configuration (tornado_settings), or {AGAIN}.",
    ),
    "build_info_unreadable": Remedy(
        "The server's errors carry no Access-Control headers, so a browser makes a broken network of the 404 with which it "
        "answers /api/colab/build-info (googlecolab/colabtools#5302).",
        f"{AGAIN_FIRST}: it restores the server's configuration (tornado_settings).",
    ),
    "broken_answer": Remedy(
        "The server's answer was not what Jupyter answers.",
        "Read colab-runtime logs for the error, then colab-runtime restart.",
    ),
    "no_answer": Remedy(
        "The server did not answer in time.", "Run colab-runtime restart; read colab-runtime logs if it stays so."
    ),
    # kernel and cell
    "kernel_not_listed": Remedy(
        "The server does not find the kernel's description (kernel.json).", f"{AGAIN_FIRST}: it writes the kernelspec."
    ),
    "session_refused": Remedy("The server refuses to make a session.", "Read colab-runtime logs for the reason."),
    "kernel_not_started": Remedy(
        "The server could not start the kernel: its program is missing or broken.",
        f"{AGAIN_FIRST}: it repairs the kernel environment; colab-runtime logs has the error.",
    ),
    "session_not_deleted": Remedy(
        "The server did not end the kernel when it was told to.",
        "Run colab-runtime restart, which ends every kernel; colab-runtime logs has the reason.",
    ),
    "kernel_socket_refused": Remedy("The kernel was made but its websocket was refused.", _READ_LOGS),
    "kernel_socket_closed": Remedy("The kernel's websocket was closed before the cell had ended.", _READ_LOGS),
    "kernel_silent": Remedy(
        "The kernel was started but never answered: its environment is broken (ipykernel), or the host is very slow.",
        f"colab-runtime logs says how it died; remove the kernel environment's folder and {AGAIN}.",
    ),
    "kernel_died": Remedy(
        "The kernel died: its environment is broken (ipykernel), or memory ran out.",
        f"Read colab-runtime logs; remove the kernel environment's folder and {AGAIN}.",
    ),
    "cell_failed": Remedy(
        "The cell ended with an error.",
        f"The step's text has the error; if it is about a package, {AGAIN} to repair the kernel environment.",
    ),
    # /http_over_websocket
    "ws_not_loaded": Remedy(
        "The server runs without the /http_over_websocket extension.",
        f"{AGAIN_FIRST}: it enables the extension and restarts the server; or set colab_http_over_ws: "
        "false to do without.",
    ),
    "ws_origin_refused": Remedy(
        "/http_over_websocket refuses Colab's origin: allow_origin is not exactly it.", _RESTORE
    ),
    "ws_outdated": Remedy(
        "The extension speaks an older protocol than Colab asks for.",
        f"{AGAIN_FIRST}: it installs the version it was tested with.",
    ),
    "ws_token_refused": Remedy("Through /http_over_websocket the server does not know this token.", _NEW_ADDRESS),
    "ws_authentication_broken": Remedy(
        "The extension cannot reach its own server: jupyter_http_over_ws 0.0.8 as published breaks on tornado 6.5 and newer.",
        f"{AGAIN_FIRST}: it installs the extension that repairs this.",
    ),
    "ws_closed": Remedy("The server closed the websocket.", _READ_LOGS),
    # doors that should be shut
    "open_no_token": Remedy(
        "The server answers without a token: every user of this host, and with luck a web page, can run code here.",
        f"{_STOP_NOW}.",
    ),
    "open_wrong_token": Remedy("The server accepts any token: authentication is off.", f"{_STOP_NOW}."),
    "open_foreign_origin": Remedy(
        "The server lets pages of other origins in (allow_origin is *, or a pattern that is too wide).",
        f"{_STOP_NOW}: {_RESTORED}",
    ),
    "open_foreign_host": Remedy(
        "The server answers under names that are not local (allow_remote_access, or ip: 0.0.0.0), which lets a page "
        "reach it by DNS rebinding.",
        f"{_STOP_NOW}: {_RESTORED}",
    ),
    "open_ws_off": Remedy(
        "/http_over_websocket answers although it is switched off.",
        f"{AGAIN_FIRST}: it disables the extension and restarts the server.",
    ),
    **directml_faults.REMEDIES,
    **rocm_faults.REMEDIES,
    **torch_faults.REMEDIES,
}
# The same doors, seen through /http_over_websocket.
REMEDIES["open_ws_foreign_origin"] = REMEDIES["open_foreign_origin"]
for _name in ("no_token", "wrong_token", "auth_url"):
    REMEDIES[f"open_ws_{_name}"] = Remedy(
        "/http_over_websocket opens without this server's token: the extension is Google's as published, or another one, "
        "and every user of this host can use it to look for a way in.",
        f"{AGAIN_FIRST}: it installs the extension that asks for the token first, and restarts the server.",
    )


# What to do instead where there is no WSL, and so no Windows beside it.
_NATIVE: dict[str, str] = {
    "out_of_memory": "Close other programs.",
    "check_hangs": "Try once more when the host is idle; if it hangs at the same step again, restart the computer.",
    "adapter_not_seen": (
        f"Look whether the kernel's driver has the card (lspci -k), and {AGAIN}; or set colab_gpu to the card that it sees."
    ),
}


def remedies_for(problems: list[str]) -> list[dict[str, str]]:
    """One remedy per problem, in order, none twice."""
    names = (problem if problem in REMEDIES else "broken_answer" for problem in dict.fromkeys(problems))
    return [REMEDIES[name].told(name) for name in names]


# --- common to both -------------------------------------------------------------------------------------------------

# Written by a GPU driver straight to the descriptors, on runs that work and on runs that fail (microsoft/DirectML#672,
# nix-community/NixOS-WSL#623): says nothing. It may be glued to another line.
STRAY_LINE = re.compile(r"Dropped Escape call with ulEscapeCode : 0x[0-9A-Fa-f]+")
# How faulthandler begins; the signal itself is known from the exit status.
SIGNAL_DUMP = re.compile(
    r"Fatal Python error: (Segmentation fault|Aborted|Bus error|Illegal instruction|Floating[ -]point exception)"
)
EXCEPTION_LINE = re.compile(r"\w+(Error|Exception): ")
QUOTED_LINES = 3


def ended_badly(ended: dict[str, Any]) -> str:
    """How the child ended, in words; empty when it ended well."""
    kind = ended["kind"]
    if kind == "ok":
        return ""
    if kind == "exception":
        return f"{ended['class']}: {ended['text']}" if ended["text"] else str(ended["class"])
    return str(ended["text"])


def ended_problem(ended: dict[str, Any], otherwise: str) -> str:
    """The remedy for a child that ended in the middle."""
    kind = ended["kind"]
    if kind == "not_started":
        known = ended["problem"] in ("python_missing", "python_not_executable", "no_such_user", "not_root")
        return str(ended["problem"]) if known else "python_broken"
    if kind == "timeout":
        return "check_hangs"
    if kind == "signal":
        return {"SIGILL": "cpu_too_old", "SIGKILL": "out_of_memory"}.get(ended["signal"], otherwise)
    return otherwise


def last_words(outcome: dict[str, Any]) -> str:
    """The end of stderr, for a death that left nothing else: what native code said, and of faulthandler's dump
    (https://docs.python.org/3/library/faulthandler.html) the place that died, which comes first."""
    said: list[str] = []
    place: list[str] = []
    dumping = False
    for line in outcome["stderr_tail"]:
        if line.startswith("Fatal Python error"):
            dumping = True
            if not SIGNAL_DUMP.match(line):
                # Python could not even start; it has listed its paths before, which nobody wants to read.
                said = [line]
        elif dumping:
            if line.startswith("File ") and not place:
                place.append("at " + line)
            elif EXCEPTION_LINE.match(line):
                said.append(line)
        elif not STRAY_LINE.search(line):
            said.append(line)
    return " / ".join(said[-QUOTED_LINES:] + place)


def _end_of(outcome: dict[str, Any]) -> str:
    """How a child ended that gave no result, with its last words."""
    words = last_words(outcome) if outcome["exit"]["kind"] in ("exit", "signal") else ""
    bad = ended_badly(outcome["exit"]) or "the process ended without a result"
    return f"{bad} ({words})" if words else bad


def noise_warnings(outcome: dict[str, Any]) -> list[str]:
    result = []
    heard = outcome["noise"] + outcome["stderr_tail"]
    stray = sum(len(STRAY_LINE.findall(line)) for line in heard)
    if stray:
        result.append(f"the GPU driver wrote its harmless 'Dropped Escape call' line ({stray} times)")
    others = [line for line in (STRAY_LINE.sub("", line).strip() for line in outcome["noise"]) if line]
    if others:
        more = max(outcome["noise_lines"], len(others)) - QUOTED_LINES
        also = f" (and {more} lines more)" if more > 0 else ""
        result.append(f"the process also printed: {' / '.join(others[:QUOTED_LINES])}{also}")
    return result


def exit_warnings(outcome: dict[str, Any]) -> list[str]:
    """A crash after the work is done (seen with torch-directml's sibling for TensorFlow): passed, but said."""
    bad = ended_badly(outcome["exit"])
    return [f"everything was done, but then the process did not end well: {bad}"] if bad else []


def settle_steps(outcome: dict[str, Any], planned: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """(steps in order, ids not reached). A step that began and never ended is the one the child died in."""
    told = {step["step"]: step for step in outcome["steps"]}
    steps = []
    for name in planned:
        step = told.get(name)
        if step is not None:
            settled = {
                "id": name,
                "ok": step.get("ok") is True,
                "seconds": _number(step.get("seconds")),
                "detail": str(step.get("detail", "")),
                "problem": str(step.get("problem") or ""),
                "error": _table(step.get("error")),
            }
        elif name in outcome["running"]:
            bad = ended_badly(outcome["exit"]) or "the process ended without a word"
            settled = {
                "id": name,
                "ok": False,
                "seconds": None,
                "detail": bad,
                "problem": "",
                "error": {},
                "died": True,
            }
        else:
            continue
        steps.append(settled)
    seen = {step["id"] for step in steps}
    return steps, [name for name in planned if name not in seen]


def _number(value: Any) -> float | None:
    try:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return None
    return float(value) if good else None


def _of_type(kind: type[T], value: Any) -> T | None:
    """The value if it is of this very type; True is no number."""
    return value if type(value) is kind else None


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def plain(value: Any) -> Any:
    """Ready for JSON that others read: NaN and infinities are written as words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def public(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": step["id"], **more, "ok": step["ok"], "seconds": step["seconds"], "detail": step["detail"]}


# --- tensor_add -----------------------------------------------------------------------------------------------------

_SUM = ["copy", "add", "copy_back", "compare"]
_GPU = ["import_torch", "build", "count", "name", "device", *_SUM]
# One entry per backend: torch's word for its device, and the steps of the probe.
TENSOR_BACKENDS: dict[str, dict[str, Any]] = {
    "cpu": {"device_type": "cpu", "steps": ["import_torch", "device", *_SUM]},
    "directml": {
        "device_type": "privateuseone",
        "steps": ["import_torch", "import_backend", "count", "name", "device", *_SUM],
    },
    **{name: {"device_type": kind, "steps": _GPU} for name, kind in torch_devices.DEVICE_TYPES.items()},
}
# It comes after the result, and is in no list of steps: nothing depends on it.
THROUGHPUT = "throughput"
VALUES = ("a", "b", "sum", "expected")
COUNT = 10
TOLERANCE = 1e-6


def wrong_values(values: Any) -> str:
    """Empty, or what is wrong with the probe's numbers by plain arithmetic; the probe's own word is not enough."""
    if not isinstance(values, dict) or any(not isinstance(values.get(key), list) for key in VALUES):
        return "the probe gave no values"
    a, b, total, expected = (values[key] for key in VALUES)
    if any(len(values[key]) != COUNT for key in VALUES):
        return f"expected {COUNT} values each, got {', '.join(str(len(values[key])) for key in VALUES)}"
    if any(_number(number) is None for key in VALUES for number in values[key]):
        return "not every value is a finite number"
    for index in range(COUNT):
        for name, got in (("the device", total[index]), ("the CPU", expected[index])):
            if abs(a[index] + b[index] - got) > TOLERANCE:
                return f"value {index}: {a[index]!r} + {b[index]!r} is not {got!r}, as {name} says"
    return ""


def tensor_problem(step: dict[str, Any], ended: dict[str, Any]) -> str:
    """Which remedy a failed step of tensor_add wants, whatever the backend."""
    if step.get("died"):
        return ended_problem(ended, "torch_crashes" if ended["kind"] == "signal" else "torch_broken")
    if step["problem"]:
        return str(step["problem"])
    kind, text = step["error"].get("class"), str(step["error"].get("text", ""))
    if kind == "ModuleNotFoundError" and "'torch'" in text:
        return "torch_missing"
    return "out_of_memory" if kind == "MemoryError" else "torch_broken"


def evidence_of(step: dict[str, Any], outcome: dict[str, Any], told: _Told, warned: list[str]) -> Evidence:
    """What is known of a failed step, for the tables of faults."""
    died, ended = step.get("died"), outcome["exit"]
    return Evidence(
        said=[step["detail"], *(str(step["error"].get(key, "")) for key in ("class", "text"))]
        + _texts(step["error"].get("chain")),
        heard=[*native_lines(outcome), *warned],
        ended=ended["kind"] if died else "",
        signal=str(ended["signal"] or "") if died else "",
        step=step["id"],
        usual=tensor_problem({**step, "problem": ""}, ended),
        problem=step["problem"],
        torch=str(told.versions.get("torch") or ""),
        python=str(told.versions.get("python") or ""),
        count=told.count,
        bundled_hsa=told.bundled_hsa,
        host=told.host,
    )


class _Told:
    """What the probe told on its way, for the case that it did not live to give a result."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self.steps = {str(step["step"]): step for step in outcome["steps"]}
        self.result = _table(outcome["result"])
        self.host = _table(self._of("import_torch").get("host"))
        versions = {"torch": self._of("import_torch").get("version")}
        versions["torch_directml"] = self._of("import_backend").get("version")
        self.versions = {**versions, **{k: v for k, v in _table(self.result.get("versions")).items() if v}}
        self.index = _of_type(int, self._of("name").get("index"))
        self.adapter = str(self._of("name").get("adapter") or "") or None
        self.count = _of_type(int, self._of("count").get("count"))
        self.bundled_hsa = _of_type(bool, self._of("build").get("bundled_hsa"))

    def _of(self, step: str) -> dict[str, Any]:
        return self.steps.get(step, {})

    def devices(self) -> list[dict[str, Any]]:
        listed = self._of("name").get("devices")
        found = [_table(one) for one in listed] if isinstance(listed, list) else []
        more = ("memory_bytes", "hip", "gfx", "cuda", "capability")
        return [
            {
                "index": one.get("index"),
                "name": str(one.get("name", "")),
                **{key: one[key] for key in more if key in one},
            }
            for one in found
        ]

    def gpu(self) -> dict[str, Any] | None:
        """torch_devices.facts of the device that was taken, with what was free of its memory when the sum was right."""
        known = _table(self._of("name").get("gpu"))
        if not known:
            return None
        free = _number(self._of(THROUGHPUT).get("free_bytes"))
        return plain({**known, "free_bytes": None if free is None else int(free)})

    def throughput(self) -> dict[str, Any] | None:
        step = self._of(THROUGHPUT)
        keys = ("device_bytes_per_second", "cpu_bytes_per_second", "bytes")
        values = {key: _number(step.get(key)) for key in keys}
        if step.get("ok") is not True or None in values.values():
            return None
        return {key: int(value or 0) for key, value in values.items()}

    def throughput_warnings(self, outcome: dict[str, Any]) -> list[str]:
        """The sum is right, but when it was repeated with many values something went wrong."""
        step = self._of(THROUGHPUT)
        if THROUGHPUT in outcome["running"]:
            bad = ended_badly(outcome["exit"]) or "the process ended without a word"
        elif step and step.get("ok") is not True:
            bad = str(step.get("detail", ""))
        else:
            return []
        return [f"the sum is right, but adding {THROUGHPUT_VALUES} did not end well: {directml_faults.with_names(bad)}"]


THROUGHPUT_VALUES = "four million values (the throughput)"


def native_lines(outcome: dict[str, Any]) -> list[str]:
    """What native code wrote to the descriptors, without the line that says nothing."""
    lines = (STRAY_LINE.sub("", line).strip() for line in [*outcome["noise"], *outcome["stderr_tail"]])
    return [line for line in lines if line]


def _late_on_gpu(told: _Told, result: dict[str, Any], backend: str) -> list[tuple[str, str]]:
    """That it is the device that was named, and that the report can show what it is."""
    device, index = str(result.get("device")), told.index
    if index is not None and device not in (
        torch_devices.DEVICE_TYPES[backend],
        f"{result.get('device_type')}:{index}",
    ):
        return [("wrong_device", f"add: the sum is on {device}, and device {index} was taken ({told.adapter})")]
    lacks = torch_devices.lacks(backend, told.gpu() or {})
    if lacks or index is None:
        return [("gpu_facts", f"name: torch does not say of the device: {', '.join(lacks or ['index'])}")]
    return []


def _not_the_first(told: _Told, backend: str) -> list[str]:
    """What calls itself cuda, or xpu, is the first, whatever that is (ROCm/TheRock#3392)."""
    kind, index = torch_devices.DEVICE_TYPES.get(backend), told.index
    if not kind or not index:
        return []
    return [
        f"the card is the device {kind}:{index}, and {kind} alone is another: say torch.device('{kind}:{index}') in a notebook"
    ]


def _late_findings(outcome: dict[str, Any], result: dict[str, Any], backend: str, told: _Told) -> list[tuple[str, str]]:
    """(problem, reason) for what no step of a complete run has seen."""
    plan = TENSOR_BACKENDS[backend]
    found = []
    wrong = wrong_values(result.get("values"))
    if wrong:
        found.append(("wrong_sum", f"compare: {wrong}"))
    if result.get("device_type") != plan["device_type"]:
        text = f"add: the sum is on {result.get('device')}, expected a device of type {plan['device_type']}"
        found.append(("wrong_device", text))
    if backend in torch_devices.DEVICE_TYPES:
        found += _late_on_gpu(told, result, backend)
    if backend == "directml":
        said = [*_texts(result.get("warnings")), *native_lines(outcome)]
        fallback = next((line for line in said if directml_faults.ADD_FELL_BACK.search(line)), "")
        if fallback:
            found.append(("directml_cpu_fallback", f"add: {fallback}"))
        clash = str(result.get("numpy_clash") or "")
        clash = clash or next((line for line in said if directml_faults.NUMPY_CLASH.search(line)), "")
        if clash:
            found.append(("directml_numpy", f"compare: tensors cannot become numpy arrays: {clash}"))
    return found


def judge_tensor(
    outcome: dict[str, Any], backend: str, state: rocm_faults.State | None = None, wsl: bool | None = None
) -> dict[str, Any]:
    """Everything that tensor_add returns. `state` is what is known of a host with ROCm, for the remedy. `wsl`: whether this
    is one; None: as the probe says, if it lived to say it."""
    plan = TENSOR_BACKENDS[backend]
    ended = outcome["exit"]
    result = outcome["result"] or {}
    told = _Told(outcome)
    steps, not_reached = settle_steps(outcome, plan["steps"])
    finished = [step["id"] for step in steps if step["ok"]]
    reasons, problems = [], []
    for step in steps:
        if not step["ok"]:
            died = step.get("died")
            words = last_words(outcome) if died and ended["kind"] in ("signal", "exit") else ""
            last = f"; the last finished step is {finished[-1]}" if died and finished else ""
            step["detail"] = directml_faults.with_names(step["detail"])
            reasons.append(f"{step['id']}: {step['detail']}" + (f" ({words})" if words else "") + last)
            if backend == "directml":
                problems.append(directml_faults.step_remedy(evidence_of(step, outcome, told, [])))
            elif backend in torch_devices.DEVICE_TYPES:
                evidence = evidence_of(step, outcome, told, _texts(told.result.get("warnings")))
                problems.append(torch_faults.remedy_for(backend, evidence, state))
            else:
                problems.append(tensor_problem(step, ended))
    if not reasons and (not_reached or not outcome["result"]):
        where = f"{not_reached[0]} was not reached" if not_reached else "no result came"
        last = f"; the last finished step is {finished[-1]}" if finished else ""
        reasons.append(f"{where}: {_end_of(outcome)}{last}")
        problems.append(ended_problem(ended, "python_broken"))
    elif not reasons:
        for problem, reason in _late_findings(outcome, result, backend, told):
            problems.append(problem)
            reasons.append(reason)
    ok = not reasons
    values = result.get("values")
    versions = told.versions
    known = ("python", "torch", "numpy") + (("torch_directml",) if backend == "directml" else ())
    late = told.throughput_warnings(outcome) if ok else []
    wsl = told.host.get("wsl") if wsl is None else wsl
    return {
        "ok": ok,
        "device": str(result["device"]) if result.get("device") else None,
        "device_type": str(result["device_type"]) if result.get("device_type") else None,
        "index": told.index,
        "devices": told.devices(),
        "adapter": told.adapter,
        "gpu": told.gpu(),
        "values": plain({key: values.get(key) for key in VALUES}) if isinstance(values, dict) else None,
        "text": str(result.get("text", "")),
        "steps": [public(step) for step in steps],
        "not_reached": not_reached,
        "last_finished": finished[-1] if finished else None,
        "exit": {key: ended[key] for key in ("kind", "signal", "code", "text")},
        "throughput": told.throughput(),
        "versions": {key: versions.get(key) for key in known},
        "warnings": _texts(result.get("warnings"))
        + (_not_the_first(told, backend) if ok else [])
        + late
        + (exit_warnings(outcome) if ok and not late else [])
        + noise_warnings(outcome),
        "reasons": reasons,
        "remedies": on_this_host(remedies_for(problems), plan["device_type"], wsl),
        "seconds": outcome["seconds"],
    }


def on_this_host(remedies: list[dict[str, str]], device_type: str, wsl: Any) -> list[dict[str, str]]:
    """Without WSL there is no Windows beside it to do anything in; DirectML is nowhere else."""
    if wsl is not False or device_type == TENSOR_BACKENDS["directml"]["device_type"]:
        return remedies
    return [
        {**one, "do": _NATIVE.get(one["id"], one["do"]), "where": "wsl" if one["where"] == "windows" else one["where"]}
        for one in remedies
    ]


# --- colab_handshake ------------------------------------------------------------------------------------------------

_DIRECT = (
    "token_file port port_owner preflight build_info api kernelspecs session kernel_socket cell session_delete".split()
)
_OVER = "ws_diagnose ws_open ws_kernelspecs ws_session ws_kernel_socket ws_cell ws_session_delete".split()
_SHUT = ("shut_no_token", "shut_wrong_token", "shut_foreign_origin", "shut_foreign_host")
_SHUT_OVER = ("shut_ws_no_token", "shut_ws_wrong_token", "shut_ws_auth_url", "shut_ws_foreign_origin")
DEVICE_TYPES = ("cpu", "privateuseone", "cuda", "xpu")
# What a cell that failed is called by handshake_probe.py, and how it ended in the words of process/run.py.
_CELL_ENDED = {"cell_failed": "", "kernel_died": "signal", "check_hangs": "timeout"}


def handshake_plan(http_over_ws: bool) -> dict[str, str]:
    """Step id: door, in the order in which they are told."""
    plan = dict.fromkeys(_DIRECT, "direct")
    if http_over_ws:
        plan.update(dict.fromkeys(_OVER, "http_over_ws"))
    plan.update(dict.fromkeys(_SHUT, "shut"))
    plan.update(dict.fromkeys(_SHUT_OVER if http_over_ws else ("shut_ws_off",), "shut"))
    return plan


def handshake_problem(
    step: dict[str, Any], ended: dict[str, Any], device_type: str, backend: str = "", wsl: bool = True
) -> str:
    """Which remedy a failed step wants. A cell that fails on a GPU mostly has the driver's reasons."""
    problem = str(step["problem"] or ended_problem(ended, "broken_answer"))
    if device_type == "cpu" or step["id"] not in ("cell", "ws_cell") or problem not in _CELL_ENDED:
        return problem
    how = _CELL_ENDED[problem]
    if device_type != "privateuseone":
        fits = torch_devices.DEVICE_TYPES.get(backend) == device_type
        return torch_faults.cell_remedy(backend if fits else "", device_type, step["detail"], how, wsl) or problem
    if how == "timeout":
        return "directml_hangs"
    found = directml_faults.remedy_for(Evidence(said=[step["detail"]], ended=how))
    return problem if found == "directml_unknown" else found


def judge_handshake(
    outcome: dict[str, Any], http_over_ws: bool, device_type: str = "cpu", backend: str = "", *, wsl: bool = True
) -> dict[str, Any]:
    """Everything that colab_handshake returns. `backend` tells ROCm from CUDA where the cell runs on a device of cuda."""
    plan = handshake_plan(http_over_ws)
    ended = outcome["exit"]
    result = outcome["result"] or {}
    steps, not_reached = settle_steps(outcome, list(plan))
    failed = [step for step in steps if not step["ok"]]
    problems = [handshake_problem(step, ended, device_type, backend, wsl) for step in failed]
    for step in failed:
        step["detail"] = directml_faults.with_names(step["detail"])
    reasons = [f"{step['id']}: {step['detail']}" for step in failed]
    if not failed and (not_reached or not outcome["result"]):
        reasons.append(f"the handshake could not be tried: {_end_of(outcome)}")
        problems.append(ended_problem(ended, "python_broken"))
    ok = not reasons
    notes = _texts(result.get("warnings"))
    return {
        "ok": ok,
        "steps": [public(step, door=plan[step["id"]]) for step in steps],
        "not_reached": not_reached,
        "reasons": reasons,
        "remedies": on_this_host(remedies_for(problems), device_type, wsl),
        "warnings": notes + (exit_warnings(outcome) if ok else []),
        "cell": plain(_table(result.get("cell"))),
        "versions": plain(_table(result.get("versions"))),
        "seconds": outcome["seconds"],
    }

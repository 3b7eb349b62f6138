"""What colab_handshake says of what its child brought home, and the child's own pure parts."""

from __future__ import annotations

import ast
import copy
import errno
import inspect
import itertools
import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from ansible.module_utils.colab_ready.backends.registry import BACKENDS
from ansible.module_utils.colab_ready.proof import handshake, handshake_verdict, remedies
from ansible.module_utils.colab_ready.proof.probes import (
    handshake_cell,
    handshake_ledger,
    handshake_page,
    handshake_visit,
)
from ansible.module_utils.colab_ready.system import peer

PROJECT = Path(__file__).parents[2]
TOKEN = "b6f1c2d9a0e84b7c9d5e3f2a1b0c9d8e"
GOOD: dict[str, Any] = {
    "steps": [
        {"step": name, "ok": True, "seconds": 0.01, "detail": "fine"}
        for name in handshake_verdict.handshake_plan(http_over_ws=True)
    ],
    "running": [],
    "last_step": "session_delete",
    "result": {
        "cell": {"direct": {"output": "tensor([1.0]) cpu"}, "http_over_ws": {"output": "2\ntensor([1.0]) cpu"}},
        "versions": {"jupyter_server": "2.21.1"},
        "warnings": [],
    },
    "exit": {"kind": "ok", "signal": None, "code": 0, "class": None, "text": "", "problem": None},
    "noise": [],
    "noise_lines": 0,
    "stderr_tail": [],
    "seconds": 2.2,
}


def outcome(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GOOD), **changes}


def without(*names: str, **failed: str) -> dict[str, Any]:
    """The good outcome where some steps were not begun and some failed with a problem."""
    steps = []
    for step in copy.deepcopy(GOOD["steps"]):
        if step["step"] in failed:
            step.update(ok=False, detail="it did not", problem=failed[step["step"]])
        if step["step"] not in names:
            steps.append(step)
    return outcome(steps=steps)


def ended(kind: str, **more: Any) -> dict[str, Any]:
    return {**GOOD["exit"], "kind": kind, **more}


# --- the plan -------------------------------------------------------------------------------------------------------


def test_the_second_door_is_left_out_when_it_is_off_and_must_be_shut_then() -> None:
    on, off = handshake_verdict.handshake_plan(True), handshake_verdict.handshake_plan(False)
    assert set(on.values()) == {"direct", "http_over_ws", "shut"}
    assert set(off.values()) == {"direct", "shut"}
    assert "shut_ws_off" in off and "shut_ws_off" not in on
    assert not any(name.startswith("ws_") for name in off)


def test_the_names_of_steps_are_the_documented_ones() -> None:
    """Documents refer to them: add to this list, do not change it."""
    assert list(handshake_verdict.handshake_plan(True)) == [
        *(
            "token_file",
            "port",
            "port_owner",
            "preflight",
            "build_info",
            "api",
            "kernelspecs",
            "session",
            "kernel_socket",
            "cell",
            "session_delete",
        ),
        *("ws_diagnose", "ws_open", "ws_kernelspecs", "ws_session", "ws_kernel_socket", "ws_cell", "ws_session_delete"),
        *("shut_no_token", "shut_wrong_token", "shut_foreign_origin", "shut_foreign_host"),
        *("shut_ws_no_token", "shut_ws_wrong_token", "shut_ws_auth_url", "shut_ws_foreign_origin"),
    ]


def steps_and_problems() -> tuple[set[str], set[str]]:
    """As written in the probe's source: the first arguments of step() and Problem(), and the tables of refusals."""
    steps, problems = set(), {"no_answer", "broken_answer"}
    trees = [ast.parse(inspect.getsource(module)) for module in handshake.PROBE]
    for node in itertools.chain(*map(ast.walk, trees)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("shut_"):
            steps.add(node.value)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "step" and isinstance(node.args[0], ast.Constant):
            steps.add(str(node.args[0].value))
            problems |= {
                str(word.value.value)
                for word in node.keywords
                if word.arg == "silence" and hasattr(word.value, "value")
            }
        elif name == "Problem" and isinstance(node.args[0], ast.Constant):
            problems.add(str(node.args[0].value))
        elif name == "refused_socket" and isinstance(node.args[0], ast.Dict):
            problems |= {str(value.value) for value in node.args[0].values if isinstance(value, ast.Constant)}
            problems.add(str(node.args[1].value) if isinstance(node.args[1], ast.Constant) else "broken_answer")
    return steps - {"shut_"}, problems


def test_the_probe_runs_the_planned_steps_and_no_others() -> None:
    steps, _problems = steps_and_problems()
    assert steps == set(handshake_verdict.handshake_plan(True)) | set(handshake_verdict.handshake_plan(False))


def test_every_problem_that_the_probe_can_name_has_a_remedy() -> None:
    steps, problems = steps_and_problems()
    assert len(problems) > 25
    problems |= set(re.findall(r'ForeignPeer\(\s*"(\w+)"', Path(peer.__file__).read_text()))
    assert "peer_unseen" in problems
    problems |= {name.replace("shut_", "open_", 1) for name in steps if name.startswith("shut_")}
    problems |= {
        handshake_page.answer_problem(method, path, status)
        for method in ("GET", "POST", "DELETE")
        for path in ("/api/sessions", "/base/api/sessions/1", "/api/kernelspecs")
        for status in (400, 404, 500)
    } - {"session_gone"}  # which is as good as deleted
    problems |= {
        handshake_cell.cell_error({"ename": name, "evalue": "'torch'"})[0] for name in ("E", "ModuleNotFoundError")
    }
    assert problems - set(remedies.REMEDIES) == set()


def test_every_remedy_is_a_sentence_and_says_where() -> None:
    for name, (cause, do, where) in remedies.REMEDIES.items():
        assert where in ("linux", "windows", "bios", "browser"), name
        named = ("./colab-ready", "colab", "jupyter", "/", "amdgpu-install", "rocminfo", "libcuda", "ldconfig", "sudo ")
        assert all(text[0].isupper() or text.startswith(named) for text in (cause, do)), name
        assert all(text.endswith(".") and "  " not in text for text in (cause, do)), name
        linux = re.split(r"\./colab-ready|colab-runtime|sudo ", do)
        assert where != "windows" or len(linux) == 1 or "in the wsl window" in linux[0].lower(), name


# --- the verdict ----------------------------------------------------------------------------------------------------


def test_a_good_outcome_is_ok_and_complete() -> None:
    answer = handshake_verdict.judge_handshake(GOOD, True)
    assert (answer["ok"], answer["reasons"], answer["remedies"], answer["not_reached"]) == (True, [], [], [])
    assert answer["steps"][0] == {"id": "token_file", "door": "direct", "ok": True, "seconds": 0.01, "detail": "fine"}
    assert (answer["cell"], answer["versions"]) == (GOOD["result"]["cell"], GOOD["result"]["versions"])


AFTER_PORT = [name for name in handshake_verdict.handshake_plan(True) if name not in ("token_file", "port")]

# name: (outcome, what the reasons begin with, remedies, not reached)
BAD: dict[str, tuple[dict[str, Any], list[str], list[str], list[str]]] = {
    "the server is dead": (
        without(*AFTER_PORT, port="port_refused"),
        ["port: it did not"],
        ["port_refused"],
        AFTER_PORT,
    ),
    "the server is a stranger's": (
        without(*AFTER_PORT[1:], port_owner="peer_foreign"),
        ["port_owner: it did not"],
        ["peer_foreign"],
        AFTER_PORT[1:],
    ),
    "one remedy for two steps": (
        without("session_delete", "ws_session_delete", cell="torch_missing", ws_cell="torch_missing"),
        ["cell: it did not", "ws_cell: it did not"],
        ["torch_missing"],
        ["session_delete", "ws_session_delete"],
    ),
    "an open door": (without(shut_no_token="open_no_token"), ["shut_no_token: it did not"], ["open_no_token"], []),
    "a word that nobody knows": (without(api="surprise"), ["api: it did not"], ["broken_answer"], []),
    "a step that was not begun for no reason": (
        without("ws_cell"),
        ["the handshake could not be tried: the process ended without a result"],
        ["python_broken"],
        ["ws_cell"],
    ),
    "killed in the middle": (
        {
            **without("cell", "session_delete"),
            "running": ["cell"],
            "result": None,
            "exit": ended("signal", signal="SIGKILL", code=-9, text="killed by SIGKILL"),
        },
        ["cell: killed by SIGKILL"],
        ["out_of_memory"],
        ["session_delete"],
    ),
    "ended by the parent's clock": (
        {**without("cell"), "running": ["cell"], "result": None, "exit": ended("timeout", text="no end within 150 s")},
        ["cell: no end within 150 s"],
        ["check_hangs"],
        [],
    ),
    "no tornado": (
        outcome(
            steps=[],
            result=None,
            exit=ended(
                "exception", code=1, text="ModuleNotFoundError: No module named 'tornado'", **{"class": "ProbeFailed"}
            ),
        ),
        ["the handshake could not be tried: ProbeFailed: ModuleNotFoundError: No module named 'tornado'"],
        ["python_broken"],
        list(handshake_verdict.handshake_plan(True)),
    ),
    "no server environment": (
        outcome(steps=[], result=None, exit=ended("not_started", problem="python_missing", text="/x does not exist")),
        ["the handshake could not be tried: /x does not exist"],
        ["python_missing"],
        list(handshake_verdict.handshake_plan(True)),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_went_wrong_is_named_with_its_remedy(name: str) -> None:
    given, reasons, remedies, not_reached = BAD[name]
    answer = handshake_verdict.judge_handshake(given, True)
    assert answer["ok"] is False
    assert answer["reasons"] == reasons
    assert [one["id"] for one in answer["remedies"]] == remedies
    assert answer["not_reached"] == not_reached


def test_the_steps_of_a_door_that_is_off_do_not_count() -> None:
    steps = [{"step": name, "ok": True, "seconds": 0.01} for name in handshake_verdict.handshake_plan(False)]
    assert handshake_verdict.judge_handshake(outcome(steps=steps), False)["ok"] is True
    assert handshake_verdict.judge_handshake(outcome(steps=steps), True)["ok"] is False


def test_what_was_left_behind_and_a_bad_end_are_warnings() -> None:
    result = {**GOOD["result"], "warnings": ["a kernel of this probe may still run: x"]}
    bad_end = ended("signal", signal="SIGSEGV", code=-11, text="killed by SIGSEGV")
    answer = handshake_verdict.judge_handshake(outcome(result=result, exit=bad_end), True)
    assert answer["ok"] is True
    assert len(answer["warnings"]) == 2


@pytest.mark.parametrize(
    "junk",
    [
        {"steps": [{"step": "port", "ok": 1, "problem": ["x"], "detail": {"a": 1}, "error": "e"}]},
        {"result": {"cell": "none", "versions": 3, "warnings": 5}, "steps": []},
        {"result": {"cell": {"direct": {"sum": [float("nan")]}}}, "steps": GOOD["steps"][:3]},
    ],
)
def test_nonsense_from_the_child_is_never_ok_and_never_an_error(junk: dict[str, Any]) -> None:
    answer = handshake_verdict.judge_handshake(outcome(**junk), True)
    assert answer["ok"] is False
    assert answer["reasons"] and answer["remedies"]
    json.dumps(answer, allow_nan=False)


# --- the probe's pure parts -----------------------------------------------------------------------------------------

ODD_TOKEN = 'a b/c?d&e"f\\g%20h'
AUTH = "jupyter_http_over_ws_auth_url="
TEXTS = [
    "{0}",
    "GET http://localhost:8888/api?token={0} failed",
    "GET /x?" + AUTH + "http%3A%2F%2Flocalhost%3A8888%2F%3Ftoken%3D{0}&a=b",
    "Authorization: token {0}",
    '{{"url": "{0}"}}',
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("token", [TOKEN, ODD_TOKEN])
@pytest.mark.parametrize("form", ["plain", "quoted", "plus", "twice", "json"])
def test_no_form_of_the_token_gets_through(text: str, token: str, form: str) -> None:
    shape = {
        "plain": token,
        "quoted": quote(token, safe=""),
        "plus": quote_plus(token),
        "twice": quote(quote(token, safe=""), safe=""),
        "json": json.dumps(token)[1:-1],
    }[form]
    redactor = handshake_ledger.Redactor()
    redactor.learn(token)
    told = redactor.any({"detail": [text.format(shape)], "number": 3, "nothing": None})
    assert shape not in told["detail"][0]
    assert "[token]" in told["detail"][0]
    assert (told["number"], told["nothing"]) == (3, None)


def test_a_token_in_an_address_is_taken_out_even_when_it_is_not_ours() -> None:
    assert handshake_ledger.Redactor().text("/?token=abc&x=1 token%3Dabc") == "/?token=[token]&x=1 token%3D[token]"


def test_a_token_of_one_letter_does_not_turn_every_text_into_dots() -> None:
    redactor = handshake_ledger.Redactor()
    redactor.learn("a")
    assert redactor.text("an answer") == "an answer"


def printed(mark: str = "MARK:", before: str = "tensor([1.0]) cpu\n", after: str = "\n", **changes: Any) -> str:
    values = {"a": [0.5] * 10, "b": [0.25] * 10, "sum": [0.75] * 10, "device": "cpu", "device_type": "cpu"}
    return before + mark + json.dumps({**values, **changes}) + after


STRAY = "Dropped Escape call with ulEscapeCode : 0x03007703"


@pytest.mark.parametrize(
    "stdout", [printed(), printed(before=""), printed(after=STRAY), printed(before=f"x {STRAY}\n"), printed(after="")]
)
def test_a_right_cell_is_read_whatever_else_was_printed(stdout: str) -> None:
    cell = handshake_cell.read_cell(stdout, "MARK:", "cpu")
    assert cell["sum"] == [0.75] * 10
    assert "MARK" not in cell["output"]


@pytest.mark.parametrize(
    ("stdout", "problem"),
    [
        ("", "cell_failed"),
        ("tensor([1.0]) cpu\n", "cell_failed"),
        (printed(mark="OTHER:"), "cell_failed"),
        (printed(sum=[0.75] * 9 + [0.7]), "wrong_sum"),
        (printed(sum=[0.75] * 9), "wrong_sum"),
        (printed(a=[], b=[], sum=[]), "wrong_sum"),
        (printed(sum=[float("nan")] * 10), "wrong_sum"),
        (printed(device="meta", device_type="meta"), "wrong_device"),
        (printed(device="cuda:0", device_type="cuda", index=0), "wrong_device"),
    ],
)
def test_a_cell_that_is_not_right_is_a_problem(stdout: str, problem: str) -> None:
    with pytest.raises(handshake_ledger.Problem) as caught:
        handshake_cell.read_cell(stdout, "MARK:", "cpu")
    assert caught.value.problem == problem


@pytest.mark.parametrize(("index", "right"), [(1, True), (None, True), (0, False)])
def test_a_cell_on_another_card_than_the_proven_one_is_a_problem(index: int | None, right: bool) -> None:
    text = printed(device=f"cuda:{index}", device_type="cuda", index=index)
    if right:
        assert handshake_cell.read_cell(text, "MARK:", "cuda", 1)["sum"] == [0.75] * 10
        return
    with pytest.raises(handshake_ledger.Problem, match="the sum is on cuda:0, expected number 1") as caught:
        handshake_cell.read_cell(text, "MARK:", "cuda", 1)
    assert caught.value.problem == "wrong_device"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ModuleNotFoundError", "No module named 'torch'", "torch_missing"),
        ("ModuleNotFoundError", "No module named 'numpy'", "cell_failed"),
        ("RuntimeError", "no 'torch' for you", "cell_failed"),
    ],
)
def test_an_error_in_the_cell_is_told_apart(name: str, value: str, problem: str) -> None:
    assert handshake_cell.cell_error({"ename": name, "evalue": value}) == (
        problem,
        f"the cell ended with {name}: {value}",
    )


@pytest.mark.parametrize("device_type", sorted({backend.device_type for backend in BACKENDS} | {"npu"}))
def test_the_cell_is_python_and_runs_as_written(device_type: str) -> None:
    code = handshake_cell.cell_code(device_type, 3, "MARK:")
    compile(code, "<cell>", "exec")
    assert ("torch_directml.device(3)" in code) is (device_type == "privateuseone")
    assert (f"torch.device('{device_type}', 3)" in code) is (device_type in ("cuda", "xpu", "npu"))


def test_the_cell_asks_directml_whether_there_is_a_device_before_it_names_one() -> None:
    code = handshake_cell.cell_code("privateuseone", 0, "MARK:")
    assert 0 < code.index("is_available()") < code.index("torch_directml.device(")


def test_the_drivers_stray_line_may_stand_anywhere_in_what_the_cell_prints() -> None:
    text = printed(device="privateuseone:0", device_type="privateuseone")
    for place in range(len(text) + 1):
        cell = handshake_cell.read_cell(text[:place] + STRAY + "\n" + text[place:], "MARK:", "privateuseone")
        assert (cell["device"], cell["output"]) == ("privateuseone:0", "tensor([1.0]) cpu")


# problem of the cell, its text: (remedy on the CPU, remedy on DirectML)
CELLS = {
    ("cell_failed", "the cell ended with RuntimeError: Unknown error -2147024809"): (
        "cell_failed",
        "directml_invalid_argument",
    ),
    ("cell_failed", "the cell ended with RuntimeError: torch_directml found 0 compatible adapters"): (
        "cell_failed",
        "directml_no_adapter",
    ),
    ("cell_failed", "the cell ended with NameError: name 'x' is not defined"): ("cell_failed", "cell_failed"),
    ("kernel_died", "the kernel died; jupyter_server says it is restarting"): ("kernel_died", "directml_crashes"),
    ("check_hangs", "no answer within 72 s"): ("check_hangs", "directml_hangs"),
    ("torch_missing", "the cell ended with ModuleNotFoundError: 'torch'"): ("torch_missing", "torch_missing"),
    ("wrong_sum", "value 0"): ("wrong_sum", "wrong_sum"),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_cell_on_directml_fails_for_the_drivers_reasons(case: tuple[str, str]) -> None:
    given = without("session_delete", cell=case[0])
    next(step for step in given["steps"] if step["step"] == "cell")["detail"] = case[1]
    for device_type, remedy in zip(("cpu", "privateuseone"), CELLS[case], strict=True):
        answer = handshake_verdict.judge_handshake(given, True, device_type)
        assert [one["id"] for one in answer["remedies"]] == [remedy]
    assert ("0x80070057" in answer["reasons"][0]) is ("-2147024809" in case[1])


# type of the device, backend, problem of the cell, its text: the remedy
GPU_CELLS = [
    ("cuda", "cuda", "cell_failed", "RuntimeError: No CUDA GPUs are available", "cuda_no_device"),
    ("cuda", "", "cell_failed", "RuntimeError: No CUDA GPUs are available", "cuda_no_device"),
    ("cuda", "rocm", "cell_failed", "RuntimeError: No HIP GPUs are available", "rocm_no_device"),
    ("cuda", "", "cell_failed", "RuntimeError: No HIP GPUs are available", "rocm_no_device"),
    ("cuda", "", "cell_failed", "AcceleratorError: HIP error: device kernel image is invalid", "rocm_wrong_device"),
    ("cuda", "", "cell_failed", "OutOfMemoryError: HIP out of memory. Tried to allocate 2 GiB", "gpu_memory"),
    ("cuda", "", "cell_failed", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "gpu_memory"),
    ("xpu", "", "cell_failed", "RuntimeError: No XPU devices are available.", "xpu_no_device"),
    ("xpu", "xpu", "cell_failed", "RuntimeError: level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)", "xpu_lost"),
    ("cuda", "cuda", "kernel_died", "the kernel died; jupyter_server says it is restarting", "cuda_crashes"),
    ("cuda", "rocm", "kernel_died", "the kernel died; jupyter_server says it is restarting", "rocm_start_failed"),
    ("cuda", "", "kernel_died", "the kernel died; jupyter_server says it is restarting", "kernel_died"),
    ("xpu", "", "kernel_died", "the kernel died; jupyter_server says it is restarting", "xpu_crashes"),
    ("cuda", "rocm", "check_hangs", "no answer within 72 s", "rocm_hangs"),
    ("cuda", "cuda", "check_hangs", "no answer within 72 s", "cuda_hangs"),
    ("cuda", "", "check_hangs", "no answer within 72 s", "check_hangs"),
    ("xpu", "", "check_hangs", "no answer within 72 s", "xpu_hangs"),
    ("cuda", "cuda", "cell_failed", "NameError: name 'x' is not defined", "cell_failed"),
    ("cuda", "rocm", "cell_failed", "NameError: name 'x' is not defined", "cell_failed"),
    ("cuda", "rocm", "wrong_sum", "value 0", "wrong_sum"),
    ("xpu", "xpu", "torch_missing", "ModuleNotFoundError: No module named 'torch'", "torch_missing"),
]  # fmt: skip


@pytest.mark.parametrize(("device_type", "backend", "problem", "detail", "remedy"), GPU_CELLS)
def test_a_cell_on_a_gpu_fails_for_the_drivers_reasons(
    device_type: str, backend: str, problem: str, detail: str, remedy: str
) -> None:
    given = without("session_delete", cell=problem)
    next(step for step in given["steps"] if step["step"] == "cell")["detail"] = detail
    answer = handshake_verdict.judge_handshake(given, True, device_type, backend)
    assert [one["id"] for one in answer["remedies"]] == [remedy]
    assert remedy in remedies.REMEDIES


# The same without WSL; the backend that does not go with the device's type is none.
NATIVE_CELLS = [
    ("cuda", "rocm", "kernel_died", "the kernel died; jupyter_server says it is restarting", "rocm_native_driver"),
    ("cuda", "rocm", "check_hangs", "no answer within 72 s", "rocm_native_driver"),
    ("cuda", "rocm", "cell_failed", "RuntimeError: hsa_init Failed", "rocm_native_no_gpu"),
    ("cuda", "", "cell_failed", "RuntimeError: No HIP GPUs are available", "rocm_no_device"),
    ("cuda", "rocm", "cell_failed", "OutOfMemoryError: HIP out of memory. of which 0 bytes is free", "gpu_memory"),
    ("cuda", "rocm", "cell_failed", "NameError: name 'x' is not defined", "cell_failed"),
    ("cuda", "cuda", "cell_failed", "RuntimeError: Found no NVIDIA driver on your system", "cuda_no_driver"),
    ("cuda", "cuda", "kernel_died", "the kernel died; jupyter_server says it is restarting", "cuda_crashes"),
    ("cuda", "xpu", "kernel_died", "the kernel died; jupyter_server says it is restarting", "kernel_died"),
    ("xpu", "", "check_hangs", "no answer within 72 s", "xpu_hangs"),
    ("cpu", "cpu", "check_hangs", "no answer within 72 s", "check_hangs"),
]  # fmt: skip


@pytest.mark.parametrize(("device_type", "backend", "problem", "detail", "remedy"), NATIVE_CELLS)
def test_outside_of_wsl_nothing_is_to_be_done_on_windows(
    device_type: str, backend: str, problem: str, detail: str, remedy: str
) -> None:
    given = without("session_delete", cell=problem)
    next(step for step in given["steps"] if step["step"] == "cell")["detail"] = detail
    told = handshake_verdict.judge_handshake(given, True, device_type, backend, wsl=False)["remedies"]
    assert [(one["id"], one["where"]) for one in told] == [(remedy, "linux")]
    assert "Adrenalin" not in told[0]["do"]
    # What is only for WSL says so.
    assert "wsl --shutdown" not in told[0]["do"] or re.search(r"\b[Ii]n WSL: ", told[0]["do"])


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "port_refused"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "port_refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "no_localhost"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "no_http_answer"),
        (TimeoutError(), "no_http_answer"),
        (EOFError(), "no_http_answer"),
    ],
)
def test_a_port_that_nobody_listens_on_is_told_from_one_that_is_silent(error: Exception, problem: str) -> None:
    assert handshake_visit.port_problem(error) == problem

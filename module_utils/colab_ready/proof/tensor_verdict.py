# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe of tensor_add brought home, judged: ok or not, why, what to do. Data in, data out."""

from __future__ import annotations

from typing import Any

from ..backends import torch_devices
from ..backends.directml import faults as directml_faults
from ..backends.registry import TORCH_DEVICES
from ..backends.rocm import faults as rocm_faults
from ..core.remedy import Evidence
from . import torch_faults
from .remedies import on_this_host, remedies_for
from .steps import (
    STRAY_LINE,
    end_of,
    ended_badly,
    ended_problem,
    exit_warnings,
    last_words,
    noise_warnings,
    number_of,
    plain,
    public,
    settle_steps,
    table_of,
    texts_of,
    value_of,
)

_SUM = ["copy", "add", "copy_back", "compare"]
_GPU = ["import_torch", "build", "count", "name", "device", *_SUM]
# One entry per backend: torch's word for its device, and the steps of the probe.
TENSOR_BACKENDS: dict[str, dict[str, Any]] = {
    "cpu": {"device_type": "cpu", "steps": ["import_torch", "device", *_SUM]},
    "directml": {
        "device_type": "privateuseone",
        "steps": ["import_torch", "import_backend", "count", "name", "device", *_SUM],
    },
    **{name: {"device_type": side.device_type, "steps": _GPU} for name, side in TORCH_DEVICES.items()},
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
    if any(number_of(number) is None for key in VALUES for number in values[key]):
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
        + texts_of(step["error"].get("chain")),
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
        self.result = table_of(outcome["result"])
        self.host = table_of(self._of("import_torch").get("host"))
        versions = {"torch": self._of("import_torch").get("version")}
        versions["torch_directml"] = self._of("import_backend").get("version")
        self.versions = {**versions, **{k: v for k, v in table_of(self.result.get("versions")).items() if v}}
        self.index = value_of(int, self._of("name").get("index"))
        self.adapter = str(self._of("name").get("adapter") or "") or None
        self.count = value_of(int, self._of("count").get("count"))
        self.bundled_hsa = value_of(bool, self._of("build").get("bundled_hsa"))

    def _of(self, step: str) -> dict[str, Any]:
        return self.steps.get(step, {})

    def devices(self) -> list[dict[str, Any]]:
        listed = self._of("name").get("devices")
        found = [table_of(one) for one in listed] if isinstance(listed, list) else []
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
        known = table_of(self._of("name").get("gpu"))
        if not known:
            return None
        free = number_of(self._of(THROUGHPUT).get("free_bytes"))
        return plain({**known, "free_bytes": None if free is None else int(free)})

    def throughput(self) -> dict[str, Any] | None:
        step = self._of(THROUGHPUT)
        keys = ("device_bytes_per_second", "cpu_bytes_per_second", "bytes")
        values = {key: number_of(step.get(key)) for key in keys}
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
        TORCH_DEVICES[backend].device_type,
        f"{result.get('device_type')}:{index}",
    ):
        return [("wrong_device", f"add: the sum is on {device}, and device {index} was taken ({told.adapter})")]
    lacks = torch_devices.lacks(TORCH_DEVICES[backend], told.gpu() or {})
    if lacks or index is None:
        return [("gpu_facts", f"name: torch does not say of the device: {', '.join(lacks or ['index'])}")]
    return []


def _not_the_first(told: _Told, backend: str) -> list[str]:
    """What calls itself cuda, or xpu, is the first, whatever that is (ROCm/TheRock#3392)."""
    index = told.index
    if backend not in TORCH_DEVICES or not index:
        return []
    kind = TORCH_DEVICES[backend].device_type
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
    if backend in TORCH_DEVICES:
        found += _late_on_gpu(told, result, backend)
    if backend == "directml":
        said = [*texts_of(result.get("warnings")), *native_lines(outcome)]
        fallback = next((line for line in said if directml_faults.ADD_FELL_BACK.search(line)), "")
        if fallback:
            found.append(("directml_cpu_fallback", f"add: {fallback}"))
        clash = str(result.get("numpy_clash") or "")
        clash = clash or next((line for line in said if directml_faults.NUMPY_CLASH.search(line)), "")
        if clash:
            found.append(("directml_numpy", f"compare: tensors cannot become numpy arrays: {clash}"))
    return found


def _failure(
    step: dict[str, Any], outcome: dict[str, Any], backend: str, told: _Told, last: str, state: rocm_faults.State | None
) -> tuple[str, str]:
    """(problem, reason) for a step that failed. `last` names the last one that did not, for a step that the child died in."""
    ended, died = outcome["exit"], step.get("died")
    words = last_words(outcome) if died and ended["kind"] in ("signal", "exit") else ""
    reason = f"{step['id']}: {step['detail']}" + (f" ({words})" if words else "") + (last if died else "")
    if backend == "directml":
        return directml_faults.step_remedy(evidence_of(step, outcome, told, [])), reason
    if backend in TORCH_DEVICES:
        evidence = evidence_of(step, outcome, told, texts_of(told.result.get("warnings")))
        return torch_faults.remedy_for(backend, evidence, state), reason
    return tensor_problem(step, ended), reason


def _unfinished(outcome: dict[str, Any], not_reached: list[str], last: str) -> list[tuple[str, str]]:
    """(problem, reason) for a run that ended between its steps, or after them without a result."""
    if outcome["result"] and not not_reached:
        return []
    where = f"{not_reached[0]} was not reached" if not_reached else "no result came"
    return [(ended_problem(outcome["exit"], "python_broken"), f"{where}: {end_of(outcome)}{last}")]


def _warnings(outcome: dict[str, Any], told: _Told, backend: str, ok: bool) -> list[str]:
    warned = texts_of(told.result.get("warnings"))
    if ok:
        late = told.throughput_warnings(outcome)
        warned += _not_the_first(told, backend) + (late or exit_warnings(outcome))
    return warned + noise_warnings(outcome)


def judge_tensor(
    outcome: dict[str, Any], backend: str, state: rocm_faults.State | None = None, wsl: bool | None = None
) -> dict[str, Any]:
    """Everything that tensor_add returns. `state` is what is known of a host with ROCm, for the remedy. `wsl`: whether this
    is one; None: as the probe says, if it lived to say it."""
    plan = TENSOR_BACKENDS[backend]
    result = outcome["result"] or {}
    told = _Told(outcome)
    steps, not_reached = settle_steps(outcome, plan["steps"])
    finished = [step["id"] for step in steps if step["ok"]]
    last = f"; the last finished step is {finished[-1]}" if finished else ""
    failed = [step for step in steps if not step["ok"]]
    for step in failed:
        step["detail"] = directml_faults.with_names(step["detail"])
    findings = (
        [_failure(step, outcome, backend, told, last, state) for step in failed]
        or _unfinished(outcome, not_reached, last)
        or _late_findings(outcome, result, backend, told)
    )
    values = result.get("values")
    known = ("python", "torch", "numpy") + (("torch_directml",) if backend == "directml" else ())
    wsl = told.host.get("wsl") if wsl is None else wsl
    return {
        "ok": not findings,
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
        "exit": {key: outcome["exit"][key] for key in ("kind", "signal", "code", "text")},
        "throughput": told.throughput(),
        "versions": {key: told.versions.get(key) for key in known},
        "warnings": _warnings(outcome, told, backend, not findings),
        "reasons": [reason for _problem, reason in findings],
        "remedies": on_this_host(remedies_for([problem for problem, _reason in findings]), plan["device_type"], wsl),
        "seconds": outcome["seconds"],
    }

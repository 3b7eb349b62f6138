"""Which device readiness_report proves, and in which order: on a GPU the cell takes the one that the sum was on."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).parents[2] / "library/readiness_report.py"
GPU: dict[str, Any] = {
    "adapters": [{"index": 0, "name": "AMD Radeon(TM) Graphics"}, {"index": 1, "name": "AMD Radeon RX 6700 XT"}],
    "backend": {"name": "directml", "adapter": 1},
}
SETTINGS = {
    "kernel": "directml", "device_type": "privateuseone", "prefix": "/opt/x", "user": "student", "port": 8888,
    "token_file": "/etc/token", "http_over_ws": True,
}  # fmt: skip


class Proofs:
    """The module's functions, with its child processes and the other checks taken out: what it would ask them for."""

    def __init__(self) -> None:
        self.functions = runpy.run_path(str(MODULE), run_name="read")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.tensor: dict[str, Any] = {"ok": True, "index": 1, "warnings": []}
        names = self.functions["prove"].__globals__
        names["run_probe"] = self.run_probe
        names["judge_tensor"] = lambda outcome, backend: {**self.tensor, "judged": backend}
        names["judge_handshake"] = lambda outcome, over, device_type: {
            "ok": True,
            "judged": device_type,
            "warnings": [],
        }
        names["config_dirs_check"] = lambda settings: {}
        names["side_by_side"] = lambda checks: {name: check() for name, check in checks.items()}

    def run_probe(self, source: str, params: dict[str, Any], python: str, seconds: float, **more: Any) -> None:
        self.asked.append((python, params))

    def prove(self, gpu: dict[str, Any], **settings: Any) -> dict[str, Any]:
        return dict(self.functions["prove"]({**SETTINGS, **settings}, gpu, 120.0))


@pytest.fixture
def proofs() -> Proofs:
    return Proofs()


def test_the_sum_is_asked_of_the_decided_adapter_and_the_cell_of_the_same_device(proofs: Proofs) -> None:
    checks = proofs.prove(GPU)
    (_python, tensor), (_server, cell) = proofs.asked
    assert (tensor["backend"], tensor["adapter"]) == ("directml", "AMD Radeon RX 6700 XT")
    assert (cell["device_type"], cell["device"]) == ("privateuseone", 1)
    assert (checks["tensor_add"]["judged"], checks["colab_handshake"]["judged"]) == ("directml", "privateuseone")
    assert checks["colab_handshake"]["warnings"] == []


def test_where_the_sum_fails_the_doors_are_tried_with_a_cell_on_the_cpu_and_that_is_said(proofs: Proofs) -> None:
    proofs.tensor = {"ok": False, "index": 1, "warnings": []}
    checks = proofs.prove(GPU)
    cell = proofs.asked[1][1]
    assert (cell["device_type"], cell["device"]) == ("cpu", None)
    assert "ran on the CPU" in checks["colab_handshake"]["warnings"][0]
    assert checks["tensor_add"]["ok"] is False


def test_the_cpu_is_proven_without_any_adapter(proofs: Proofs) -> None:
    checks = proofs.prove(GPU, kernel="cpu", device_type="cpu")
    tensor, cell = (params for _python, params in proofs.asked)
    assert (tensor["backend"], tensor["adapter"]) == ("cpu", None)
    assert (cell["device_type"], cell["device"]) == ("cpu", None)
    assert set(checks) == {"tensor_add", "config_dirs", "colab_handshake"}


@pytest.mark.parametrize(("adapter", "asked"), [("AMD Radeon(TM) Graphics", "AMD Radeon(TM) Graphics"), ("", None)])
def test_the_adapter_of_the_run_counts_more_than_the_one_that_would_be_taken_now(
    proofs: Proofs, adapter: str, asked: str | None
) -> None:
    """./colab-ready -e colab_gpu=0, then ./colab-ready verify."""
    proofs.prove(GPU, adapter=adapter)
    assert proofs.asked[0][1]["adapter"] == asked


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "nothing is known": dict,
    "nothing was found": lambda: {"adapters": None, "backend": None},
    "the decision is another backend's": lambda: {**GPU, "backend": {"name": "cpu", "adapter": 1}},
    "the decision has no adapter": lambda: {**GPU, "backend": {"name": "directml", "adapter": None}},
    "the adapter has gone": lambda: {**GPU, "adapters": GPU["adapters"][:1]},
}


@pytest.mark.parametrize("case", CASES)
def test_without_a_decision_for_this_backend_no_adapter_is_asked_for(proofs: Proofs, case: str) -> None:
    proofs.prove(CASES[case]())
    assert proofs.asked[0][1]["adapter"] is None

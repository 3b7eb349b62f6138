"""Which device readiness_report proves, and in which order: on a GPU the cell takes the one that the sum was on; with ROCm
rocminfo speaks first."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.rocm import check as rocm_check
from ansible.module_utils.colab_ready.backends.rocm.faults import State
from ansible.module_utils.colab_ready.proof import handshake as handshake_run

MODULE = Path(__file__).parents[2] / "library/readiness_report.py"
GPU: dict[str, Any] = {
    "adapters": [{"index": 0, "name": "AMD Radeon(TM) Graphics"}, {"index": 1, "name": "AMD Radeon RX 6700 XT"}],
    "backend": {"name": "directml", "adapter": 1},
}
SETTINGS = {
    "kernel": "directml", "device_type": "privateuseone", "prefix": "/opt/x", "user": "student", "port": 8888,
    "token_file": "/etc/token", "http_over_ws": True,
}  # fmt: skip


CARD = {"names": ["AMD Radeon RX 9070 XT"], "gfx": ["gfx1201"], "others": [], "capability": ""}
ROCM = {
    "kernel": "rocm", "device_type": "cuda", "adapter": "AMD Radeon RX 9070 XT", "card": CARD,
    "environment": {"HSA_ENABLE_DXG_DETECTION": "1"},
}  # fmt: skip


class Proofs:
    """The module's functions, with its child processes and the other checks taken out: what it would ask them for."""

    def __init__(self) -> None:
        self.functions = runpy.run_path(str(MODULE), run_name="read")
        self.order: list[str] = []
        self.sums: list[dict[str, Any]] = []
        self.cells: list[dict[str, Any]] = []
        self.tensor: dict[str, Any] = {"ok": True, "index": 1, "warnings": []}
        self.looked: Any = rocm_check.Looked(rocm_check.not_asked("it is not there"), State(line="10.0.0"))
        names = self.functions["prove"].__globals__
        names["run_tensor"] = self.run_tensor
        names["rocm_look"] = self.rocm_look
        # What the handshakes come to, one after the other; then they succeed.
        self.remedies: list[str] = []
        names["run_handshake"] = self.run_handshake
        names["config_dirs_check"] = lambda settings: {}
        names["next_start_check"] = lambda settings: {}
        names["side_by_side"] = lambda checks: {name: check() for name, check in checks.items()}

    def run_tensor(self, backend: str, python: str, **more: Any) -> dict[str, Any]:
        self.order.append("sum")
        self.sums.append({"backend": backend, "python": python, **more})
        return dict(self.tensor)

    def run_handshake(self, params: dict[str, Any], python: str, user: str, backend: str) -> dict[str, Any]:
        self.order.append("cell")
        self.cells.append(params)
        wrong = self.remedies[:1]
        del self.remedies[:1]
        return {
            "ok": not wrong, "judged": params["device_type"], "backend": backend, "warnings": [], "reasons": [f"cell: {one}" for one in wrong],
            "remedies": [{"id": one} for one in wrong],
        }  # fmt: skip

    def rocm_look(self, settings: dict[str, Any], gpu: dict[str, Any], seconds: float) -> Any:
        self.order.append("rocminfo")
        return self.looked

    def prove(self, gpu: dict[str, Any], **settings: Any) -> dict[str, Any]:
        return dict(self.functions["prove"]({**SETTINGS, **settings}, gpu, 120.0))


@pytest.fixture
def proofs() -> Proofs:
    return Proofs()


def test_the_sum_is_asked_of_the_decided_adapter_and_the_cell_of_the_same_device(proofs: Proofs) -> None:
    checks = proofs.prove(GPU, adapter="AMD Radeon RX 6700 XT")
    (tensor,), (cell,) = proofs.sums, proofs.cells
    assert (tensor["backend"], tensor["adapter"], tensor["card"]) == ("directml", "AMD Radeon RX 6700 XT", None)
    assert (tensor["python"], tensor["user"]) == ("/opt/x/kernels/directml/bin/python", "student")
    assert (cell["device_type"], cell["device"]) == ("privateuseone", 1)
    assert (checks["tensor_add"]["ok"], checks["colab_handshake"]["judged"]) == (True, "privateuseone")
    assert checks["colab_handshake"]["warnings"] == []
    assert "rocminfo" not in checks


def test_where_the_sum_fails_the_doors_are_tried_with_a_cell_on_the_cpu_and_that_is_said(proofs: Proofs) -> None:
    proofs.tensor = {"ok": False, "index": 1, "warnings": []}
    checks = proofs.prove(GPU)
    (cell,) = proofs.cells
    assert (cell["device_type"], cell["device"]) == ("cpu", None)
    assert "ran on the CPU" in checks["colab_handshake"]["warnings"][0]
    assert checks["tensor_add"]["ok"] is False


def test_the_cpu_is_proven_without_any_adapter(proofs: Proofs) -> None:
    checks = proofs.prove(GPU, kernel="cpu", device_type="cpu")
    (tensor,), (cell,) = proofs.sums, proofs.cells
    assert (tensor["backend"], tensor["adapter"], tensor["card"], tensor["env"]) == ("cpu", None, None, {})
    assert (cell["device_type"], cell["device"]) == ("cpu", None)
    assert set(checks) == {"tensor_add", "config_dirs", "next_start", "colab_handshake"}


@pytest.mark.parametrize(("adapter", "asked"), [("AMD Radeon(TM) Graphics", "AMD Radeon(TM) Graphics"), ("", None)])
def test_the_adapter_of_the_run_counts_more_than_the_one_that_would_be_taken_now(
    proofs: Proofs, adapter: str, asked: str | None
) -> None:
    """./colab-ready -e colab_gpu=0, then ./colab-ready verify."""
    proofs.prove(GPU, adapter=adapter)
    assert proofs.sums[0]["adapter"] == asked


def test_without_a_decided_adapter_none_is_asked_for_whatever_would_be_taken_now(proofs: Proofs) -> None:
    proofs.prove(GPU)
    assert (proofs.sums[0]["adapter"], proofs.sums[0]["card"]) == (None, None)


# --- ROCm, CUDA, XPU ------------------------------------------------------------------------------------------------


def test_with_rocm_rocminfo_speaks_first_and_what_it_tells_goes_with_the_sum(proofs: Proofs) -> None:
    checks = proofs.prove(GPU, **ROCM)
    assert proofs.order == ["rocminfo", "sum", "cell"]
    tensor = proofs.sums[0]
    assert (tensor["backend"], tensor["card"], tensor["env"]) == ("rocm", CARD, {"HSA_ENABLE_DXG_DETECTION": "1"})
    assert tensor["rocm_state"] == State(line="10.0.0")
    assert checks["rocminfo"]["ok"] is None
    assert proofs.cells[0]["device_type"] == "cuda"
    assert (checks["colab_handshake"]["judged"], checks["colab_handshake"]["backend"]) == ("cuda", "rocm")


@pytest.mark.parametrize(
    ("remedies", "backend", "wsl", "handshakes", "ok"),
    [
        ([], "rocm", True, 1, True),
        (["rocm_start_failed"], "rocm", True, 2, True),
        (["rocm_start_failed"] * 2, "rocm", True, 3, True),
        (["rocm_start_failed"] * 4, "rocm", True, 3, False),
        (["rocm_hangs"], "rocm", True, 1, False),
        (["rocm_start_failed"], "rocm", False, 1, False),
        (["rocm_start_failed"], "cuda", True, 1, False),
    ],
)
def test_a_kernel_that_amds_bridge_failed_to_start_is_tried_again_and_that_is_said(
    proofs: Proofs, remedies: list[str], backend: str, wsl: bool, handshakes: int, ok: bool
) -> None:
    proofs.remedies = remedies
    proofs.functions["prove"].__globals__["wsl_facts"] = lambda: {"version": 2} if wsl else None
    check = proofs.prove(GPU, **{**ROCM, "kernel": backend})["colab_handshake"]
    assert (proofs.order.count("cell"), check["ok"]) == (handshakes, ok)
    told = [text for text in check["warnings"] if "failed at the first try (cell: rocm_start_failed)" in text]
    assert len(told) == handshakes - 1


def test_a_rocminfo_check_that_died_leaves_the_sum_its_turn(proofs: Proofs) -> None:
    proofs.looked = {"ok": False, "seconds": 0.0, "steps": [], "reasons": ["the check itself died; please report this"]}
    checks = proofs.prove(GPU, **ROCM)
    assert proofs.order == ["rocminfo", "sum", "cell"]
    assert (checks["tensor_add"]["ok"], checks["rocminfo"]["ok"]) == (True, None)
    assert "died" in checks["rocminfo"]["reasons"][0]


@pytest.mark.parametrize("wsl", [True, False])
def test_whether_this_is_wsl_goes_with_the_sum(proofs: Proofs, wsl: bool) -> None:
    """Outside of it there is no Windows to be told of."""
    proofs.functions["prove"].__globals__["wsl_facts"] = lambda: {"version": 2} if wsl else None
    proofs.looked = {"reasons": ["the check itself died; please report this"]}
    proofs.prove(GPU, **ROCM)
    assert (proofs.sums[0]["wsl"], proofs.sums[0]["rocm_state"]) == (wsl, State(wsl=wsl))


@pytest.mark.parametrize("wsl", [True, False])
def test_whether_this_is_wsl_goes_with_the_handshake(monkeypatch: pytest.MonkeyPatch, wsl: bool) -> None:
    monkeypatch.setattr(handshake_run, "wsl_facts", lambda: {"version": 2} if wsl else None)
    monkeypatch.setattr(handshake_run, "run_probe", lambda *given, **more: "what came of it")
    monkeypatch.setattr(handshake_run, "judge_handshake", lambda *given, **more: (*given, more["wsl"]))
    params = {"http_over_ws": True, "device_type": "cuda", "timeout_seconds": 9.0}
    said: Any = handshake_run.run_handshake(params, "/x/python", "student", "rocm")
    assert said == ("what came of it", True, "cuda", "rocm", wsl)


@pytest.mark.parametrize(("kernel", "device_type"), [("cuda", "cuda"), ("xpu", "xpu")])
def test_the_others_are_proven_on_the_card_of_the_run(proofs: Proofs, kernel: str, device_type: str) -> None:
    proofs.prove(GPU, kernel=kernel, device_type=device_type, card=CARD)
    assert proofs.order == ["sum", "cell"]
    assert (proofs.sums[0]["backend"], proofs.sums[0]["card"], proofs.sums[0]["env"]) == (kernel, CARD, {})
    assert (proofs.cells[0]["device_type"], proofs.cells[0]["device"]) == (device_type, 1)

"""cpu_backend: the kernel of the CPU, from what was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.python import lock as lock_file
from fixtures.decisions import with_decision

GPU = with_decision({"adapters": [], "host": {"pythons": ["3.12"]}}, "cpu")


@pytest.mark.smoke("cpu_backend")
def test_the_kernel_is_torch_from_its_index_and_the_rest_locked(run_module: Any, project: Path) -> None:
    found = run_module("cpu_backend", {"gpu": GPU}, check=True)
    assert (found["changed"], found["problems"]) == (False, [])
    assert found["ansible_facts"] == {"colab_kernel": found["kernel"]}
    kernel = found["kernel"]
    torch, *others = kernel["pinned"]
    assert torch == {
        "requirement": "torch==2.13.0+cpu", "default_requirement": "torch==2.13.0", "variable": "python_env_torch_index",
        "index": "https://download.pytorch.org/whl/cpu", "allow_default": False,
    }  # fmt: skip
    found = [(one["requirement"], one["index"], one["optional"]) for one in others]
    assert found == [(one, torch["index"], True) for one in ("torchvision==0.28.0+cpu", "torchaudio==2.11.0+cpu")]
    assert (kernel["constraints"], kernel["python_requires"]) == ([], ">=3.10,<3.15")
    locked = {one.name for one in lock_file.parse_lock((project / "roles/cpu/files" / kernel["lock"]).read_text())}
    assert "ipykernel" in locked and "torch" not in locked


def test_a_mirror_is_taken_and_nothing_without_a_decision(run_module: Any) -> None:
    found = run_module("cpu_backend", {"gpu": GPU, "torch_index": "file:///srv/torch", "allow_default_torch": True})
    assert [(one["index"], one["allow_default"]) for one in found["kernel"]["pinned"]] == [
        ("file:///srv/torch", True)
    ] * 3
    refused = run_module("cpu_backend", {})
    assert (refused["failed"], [one["id"] for one in refused["problems"]]) == (True, ["cpu_undecided"])
    assert run_module("cpu_backend", {"state": "absent"})["kernel"] is None

"""STAND-IN for the module gpu_device: notes what it was asked, and has no CUDA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        Path((task_vars or {})["remembers_in"], "asked").write_text(json.dumps(self._task.args), encoding="utf-8")
        if self._task.args["backend"] == "cuda":
            return {"failed": True, "msg": "this host cannot have CUDA"}
        return {"backend": {"name": "cpu", "device_type": "cpu", "adapter": None}, "adapters": [], "wsl": None}

"""Writes the values that the roles would see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        path = Path((task_vars or {})["remembers_in"], (task_vars or {})["inventory_hostname"])
        Path(f"{path}.values").write_text(json.dumps(self._task.args), encoding="utf-8")
        return {}

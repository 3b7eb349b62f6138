"""What is written by a tool is what the tool would write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("tool", ["backends_page.py", "settings_table.py"])
def test_it_is_what_its_tool_would_write_now(project: Path, tool: str) -> None:
    done = subprocess.run(
        [sys.executable, project / "tools" / tool, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

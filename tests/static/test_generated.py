"""What is written by a tool is what the tool would write now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_page_of_backends_says_what_the_table_and_the_decision_say(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, project / "tools" / "backends_page.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

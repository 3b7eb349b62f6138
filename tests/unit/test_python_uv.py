"""What uv is told, and what lies ready for it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.python import uv


@pytest.mark.parametrize("left", [False, True])
def test_nobody_else_can_open_the_lock_that_uv_waits_for(tmp_path: Path, left: bool) -> None:
    lock = tmp_path / ".lock"
    if left:  # by an interrupted uv; somebody else holds it
        lock.touch()
        lock.chmod(0o666)
    before = lock.stat().st_ino if left else None
    with open(lock, encoding="ascii") if left else open(os.devnull, encoding="ascii"):
        uv.make_lock(str(tmp_path))
        assert lock.stat().st_ino != before
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600

"""Finding 1: a notebook became root at root's next ./colab-ready."""

from __future__ import annotations

import contextlib

import pytest
from security.hangs import file
from security.hosts import ATTACKS, KERNEL, PREFIX, SecurityHost

PYTHON = f"{KERNEL}/bin/python"
# Each is there before the run, but for the last: it ends every `uv --version` of its own uid, so that uv seems to be broken.
KEYS = {"tools gone": ["executable"], "tools gone, every name": ["executable", "base"], "race": ["executable"]}


@pytest.mark.parametrize("way", KEYS)
def test_a_notebook_does_not_become_root(root_host: SecurityHost, way: str) -> None:
    """Its Python names the program that root may want to run, in each of the answers that root asks for."""
    host = root_host
    with contextlib.ExitStack() as stack:
        liar = f'exec /usr/bin/python3 -I {ATTACKS}/liar.py {",".join(KEYS[way])} $real "$@"'
        stack.enter_context(file("program", PYTHON, liar)(host))
        stack.enter_context(host.damaged("comm"))
        if way == "race":
            stack.enter_context(host.attacking("end_uv.py", user=host.user))
        else:
            # As after an upgrade: root wants a new uv, and nothing else of its own.
            host.sh(f"rm -rf {PREFIX}/tools")
        seen = host.colab_ready()
        assert host.marks() == []
    seen.ended_well()


def test_what_the_notebook_broke_is_repaired(root_host: SecurityHost) -> None:
    root_host.colab_ready().is_ready()

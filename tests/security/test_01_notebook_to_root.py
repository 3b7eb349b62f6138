"""Finding 1: a notebook became root at root's next ./colab-ready."""

from __future__ import annotations

from security.hosts import KERNEL, PREFIX, SecurityHost


def test_a_notebook_does_not_become_root(root_host: SecurityHost) -> None:
    """Its Python names the program that root may want to run, in each of the answers that root asks for."""
    host = root_host
    for keys in (["executable"], ["executable", "base"]):
        host.attack("notebook_to_root.py", "plant", KERNEL, *keys, user=host.user)
        # As after an upgrade: root wants a new uv, and nothing else of its own.
        host.sh(f"rm -rf {PREFIX}/tools")
        seen = host.colab_ready()
        assert host.marks() == []
        seen.ended_well()

    host.attack("notebook_to_root.py", "plant", KERNEL, "executable", user=host.user)
    with host.attacking("notebook_to_root.py", "race", user=host.user):
        seen = host.colab_ready()
    assert host.marks() == []
    seen.ended_well()

    host.heal()
    assert host.marks() == []

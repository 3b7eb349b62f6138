"""Finding 10: a run and a removal died of folders that lie 1500 deep, for ever. The removal: test_99_remove.py."""

from __future__ import annotations

from security.hosts import KERNEL, SecurityHost


def test_a_deep_folder_stops_no_run_and_no_rebuild(root_host: SecurityHost) -> None:
    host = root_host
    kernels = f"{host.home}/.local/share/jupyter/kernels"
    host.attack("plant.py", "deep", f"{KERNEL}/lib/deep", user=host.user)
    host.attack("plant.py", "deep", f"{kernels}/deep", user=host.user)
    try:
        with host.damaged("comm"):
            host.colab_ready().is_ready()
        # Now all of it is built anew: its Python is gone.
        host.sh(f"rm -f {KERNEL}/bin/python* {KERNEL}/pyvenv.cfg")
        host.colab_ready().is_ready()
        assert host.run("test", "-e", f"{KERNEL}/lib/deep").returncode != 0, "the old environment is still there"
    finally:
        host.sh(f"rm -rf {kernels}/deep {KERNEL}/lib/deep")

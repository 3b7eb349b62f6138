"""Finding 8: other users read the notebooks, the data and the text of all cells."""

from __future__ import annotations

from security.hosts import SecurityHost


def test_nobody_else_reads_the_home_that_was_made_nor_the_history_of_cells(root_host: SecurityHost) -> None:
    """One that an earlier version left open is closed by the next run."""
    host = root_host
    history = f"{host.home}/.ipython/profile_default/history.sqlite"
    host.sh(f"echo secret >{host.home}/data.csv; chmod 0755 {host.home} {host.home}/.ipython")
    assert host.run("cat", f"{host.home}/data.csv", history, user="bob").returncode == 0
    host.colab_ready().is_ready()
    assert host.run("cat", f"{host.home}/data.csv", user="bob").returncode != 0
    host.sh(f"chmod 0755 {host.home}")
    assert host.run("cat", history, user="bob").returncode != 0
    host.sh(f"chmod 0700 {host.home}; rm {host.home}/data.csv")

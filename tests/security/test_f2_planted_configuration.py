"""F2 of the faults: a run that repairs ran another user's configuration first."""

from __future__ import annotations

from security.hosts import MARKS, RUNTIME, SecurityHost

FOLDER = "/etc/colab-ready/jupyter"
NAMES = ("jupyter_server_config.py", "jupyter_config.py", "jupyter_lab_config.py")
CODE = f"import getpass; open('{MARKS}/ran-by-' + getpass.getuser(), 'a').write(__file__)\n"


def test_a_run_that_repairs_executes_no_configuration_of_others(root_host: SecurityHost) -> None:
    host = root_host
    host.sh(f"chmod 0777 {FOLDER}")
    for name in NAMES:
        host.must("sh", "-c", f'cat >"{FOLDER}/{name}"', user="bob", stdin=CODE)
    try:
        host.run("timeout", "60", RUNTIME, "restart", "--force")
        assert host.marks() == []
        host.colab_ready().ended_well()
        assert host.marks() == []
        host.run("timeout", "60", RUNTIME, "restart", "--force")
        assert host.marks() == []
    finally:
        host.sh(f"cd {FOLDER} && rm -f {' '.join(NAMES)}")
    mode = host.must("stat", "-c", "%U %a", FOLDER).split()
    assert mode == ["root", "755"]

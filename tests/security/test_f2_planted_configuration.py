"""F2 of the faults: a run that repairs ran another user's configuration first."""

from __future__ import annotations

import pytest
from security.hosts import MARKS, RUNTIME, SecurityHost

FOLDER = "/etc/colab-ready/jupyter"
NAMES = ("jupyter_server_config.py", "jupyter_config.py", "jupyter_lab_config.py", "jupyter_server_config.d/x.json")
CODE = f"import getpass; open('{MARKS}/ran-by-' + getpass.getuser(), 'a').write(__file__)"
JSON = '{"ServerApp": {"jpserver_extensions": {"planted_by_bob": true}}}'


@pytest.mark.parametrize("kind", ["root", "plain"])
def test_a_run_that_repairs_executes_no_configuration_of_others(request: pytest.FixtureRequest, kind: str) -> None:
    host: SecurityHost = request.getfixturevalue(f"{kind}_host")
    host.sh(f"chmod 0777 {FOLDER} {FOLDER}/jupyter_server_config.d")
    for name in NAMES:
        text = JSON if name.endswith(".json") else CODE
        host.must("sh", "-c", f'cat >"{FOLDER}/{name}"', user="bob", stdin=text + "\n")
    try:
        host.run("timeout", "60", RUNTIME, "restart")
        assert host.marks() == []
        host.colab_ready().ended_well()
        assert host.marks() == []
        host.run("timeout", "60", RUNTIME, "restart")
        assert host.marks() == []
    finally:
        host.sh(f"cd {FOLDER} && rm -f {' '.join(NAMES)}")
    host.heal()
    mode = host.must("stat", "-c", "%U %a", FOLDER).split()
    assert mode == ["root", "755"]

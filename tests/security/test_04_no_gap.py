"""Finding 4: between two servers the port was free, another user took it, and the page told him the token."""

from __future__ import annotations

import json

from security.hosts import RUNTIME, SecurityHost

PORT = "8888"
VISITS = "/var/tmp/visits"
TOKEN = "/etc/colab-ready/token"
TAKEN = "the port is taken"
RESTARTS = 5
CRASHES = 3


def server_pid(host: SecurityHost) -> int:
    return int(json.loads(host.run(RUNTIME, "status", "--json").stdout)["pid"] or 0)


def crash(host: SecurityHost) -> None:
    """End the server by force; return when another one answers."""
    before = server_pid(host)
    host.sh(f"kill -9 {before}")
    again = f"until {RUNTIME} status --json | grep -q '\"running\": true'; do sleep 0.2; done"
    host.must("timeout", "60", "sh", "-c", again, timeout=70)
    assert server_pid(host) != before


def hold_the_port(host: SecurityHost) -> None:
    token = host.must("cat", TOKEN)
    host.sh(f"rm -f {VISITS}")
    with host.attacking("steal.py", "flap", PORT, VISITS, user="bob"):
        for _ in range(RESTARTS):
            host.must(RUNTIME, "restart", "--force", timeout=120)
        for _ in range(CRASHES):
            crash(host)
        if host.systemd:
            # A server that refuses to start, for its token could be known to others. Who asks makes systemd try again.
            host.must("chmod", "0644", TOKEN)
            assert host.run(RUNTIME, "restart", "--force", timeout=120).returncode != 0
            assert host.attack("steal.py", "serve", PORT, VISITS, user="bob").strip() == TAKEN
            host.must("chmod", "0600", TOKEN)
            host.must(RUNTIME, "start", timeout=120)
    assert host.must("cat", TOKEN) == token
    assert host.run("cat", VISITS).stdout == ""
    assert host.marks() == []


def give_up_the_port(host: SecurityHost) -> None:
    token = host.must("cat", TOKEN)
    host.must(RUNTIME, "stop", "--force", timeout=60)
    with host.attacking("steal.py", "serve", PORT, VISITS, user="bob"):
        said = host.run(RUNTIME, "start", timeout=120)
        assert said.returncode != 0 and "'bob'" in said.stderr, said
    said = host.run(RUNTIME, "start", timeout=120)
    assert said.returncode == 0 and "The token is new" in said.stdout, said
    assert host.must("cat", TOKEN) != token
    host.colab_ready("verify").is_ready()


def test_systemd_holds_the_port_between_two_servers(root_host: SecurityHost) -> None:
    hold_the_port(root_host)
    give_up_the_port(root_host)


def test_the_supervisor_holds_the_port_between_two_servers(plain_host: SecurityHost) -> None:
    hold_the_port(plain_host)
    give_up_the_port(plain_host)

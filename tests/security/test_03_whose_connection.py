"""Findings 3, 4 and 7 (and 15): the token goes to the runtime alone, and root's emergency brake always works."""

from __future__ import annotations

import json

from security.hosts import RUNTIME, SecurityHost
from security.intruders import of_uid

PORT = "8888"
VISITS = "/var/tmp/visits"
TOKEN = "/etc/colab-ready/token"
SECRET = "/run/colab-ready/jupyter/jupyter_cookie_secret"
CALLS = 8


def visits(host: SecurityHost) -> int:
    return len(host.run("cat", VISITS).stdout)


def test_verify_gives_a_strangers_server_nothing_and_is_not_ready_on_it(plain_host: SecurityHost) -> None:
    """Finding 3."""
    host = plain_host
    host.must(RUNTIME, "stop", "--force")
    host.sh(f"rm -f {VISITS}")
    with host.attacking("steal.py", "serve", PORT, VISITS, user="bob"):
        host.colab_ready("verify").is_refused("port_owner", "'bob'")
    assert visits(host) > 0
    assert host.marks() == []
    report = json.loads(host.must("cat", "/var/lib/colab-ready/report.json"))
    assert report["ready"] is False
    host.must(RUNTIME, "start", timeout=120)


def test_who_has_the_port_for_moments_is_told_nothing(plain_host: SecurityHost) -> None:
    """Finding 4, the moment between look and question."""
    host = plain_host
    host.must(RUNTIME, "stop", "--force")
    host.sh(f"rm -f {VISITS}")
    with host.attacking("steal.py", "flap", PORT, VISITS, user="bob"):
        for _ in range(CALLS):
            host.colab_ready("verify").is_refused()
            if visits(host):
                break
    assert visits(host) > 0, "nobody came by"
    assert host.marks() == []
    host.must(RUNTIME, "start", timeout=120)


def pull_brake(host: SecurityHost) -> None:
    secret = host.must("cat", SECRET)
    before, uid = host.must("cat", TOKEN), host.must("id", "-u", host.user).strip()
    with host.attacking("hide.py", user=host.user):
        assert len(of_uid(host, uid)) >= 3
        host.runtime("token", "--rotate", "--force", seconds=120).ended_well()
        assert [line for line in of_uid(host, uid) if "hide.py" in line] == []
    assert host.must("cat", TOKEN) != before
    assert host.run("cat", SECRET).stdout != secret, "who was logged in is so still"
    with host.attacking("hide.py", user=host.user):
        host.runtime("stop", "--force", seconds=60).ended_well()
        assert of_uid(host, uid) == []
    host.must(RUNTIME, "start", timeout=120)


def test_an_intruder_neither_keeps_the_token_nor_outlives_the_brake(plain_host: SecurityHost) -> None:
    """Findings 7 and 15."""
    pull_brake(plain_host)


def test_the_brake_reaches_beyond_the_units_processes(root_host: SecurityHost) -> None:
    """Findings 7 and 15 with systemd: an attacker of these tests has no place in the unit's cgroup."""
    pull_brake(root_host)

"""Finding 16: idle connections of another user shut the owner out, and wrote 8.8 MB into the journal."""

from __future__ import annotations

from security.hosts import SecurityHost

# The server raises its limit of open files to 4096.
MANY = 4300
LINES = 200


def test_idle_connections_of_another_user_neither_shut_out_nor_fill_the_log(root_host: SecurityHost) -> None:
    host = root_host
    since = host.must("date", "+%s").strip()
    with host.attacking("crowd.py", "8888", str(MANY), user="bob"):
        address = host.runtime("url")
        status = host.runtime("status")
    assert address.ended_well().output.startswith("http://localhost:8888/?token="), str(address)
    assert status.ended_well().status == 0, str(status)
    log = host.must("journalctl", "--unit", "colab-ready.service", "--since", f"@{since}", "--output", "cat")
    assert "connections open; more are closed" in log and len(log.splitlines()) < LINES, log[-3000:]

"""A change that needs a restart, while a notebook is in use: `./colab-ready` leaves the notebook alone, and says so."""

from __future__ import annotations

import converged_host
from door.visitor import Visitor, kernel_says, notebook

Host = converged_host.ConvergedHost
RUNTIME = converged_host.RUNTIME
OTHER_PORT = 8899


def test_a_run_that_changes_the_port_ends_no_notebook_and_the_change_comes_when_it_is_told_to(inside: Host) -> None:
    port = inside.port
    owner = Visitor(port, inside.token)
    kernel = owner.ask("POST", "/api/sessions", notebook("pending.ipynb")).json()["kernel"]["id"]
    with owner.socket(owner.with_token(f"/api/kernels/{kernel}/channels?session_id=pending")) as opened:
        assert kernel_says(opened, "x = 42; x") == "42"
        done = inside.colab_ready("-e", f"colab_port={OTHER_PORT}")
        try:
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Restart pending: it moves from port" in done.stdout and "'pending.ipynb'" in done.stdout
            report = inside.verify()
            waits = [one for one in report["remedies"] if one["id"] == "restart_pending"]
            assert report["ready"] and str(OTHER_PORT) in waits[0]["cause"] and "pending.ipynb" not in str(report)
            assert inside.must(RUNTIME, "url").startswith(f"http://localhost:{port}/")
            assert kernel_says(opened, "x") == "42"
            refused = inside.run(RUNTIME, "restart")
            assert refused.returncode == 75 and "'pending.ipynb'" in refused.stderr
        finally:
            # Back again, which ends nothing either: nothing waits then.
            inside.converge("-e", f"colab_port={port}")
        assert kernel_says(opened, "x") == "42"
        assert '"restart_pending": []' in inside.must(RUNTIME, "status", "--json")
    owner.ask("DELETE", f"/api/kernels/{kernel}")
    # The port was held all the time: nobody else can have had it, and known the token.
    token = inside.token
    inside.restart()
    assert inside.token == token


def test_a_port_that_systemd_has_let_go_of_waits_for_a_restart_and_comes_back_with_it(inside: Host) -> None:
    """Packages make systemd read its units again, also while the socket's file names another port."""
    unit = "/etc/systemd/system/colab-ready.socket"
    kept = inside.read(unit)
    try:
        inside.write(unit, kept.replace(f":{inside.port}", f":{OTHER_PORT}"))
        inside.must("systemctl", "daemon-reload")
    finally:
        inside.write(unit, kept)
        inside.must("systemctl", "daemon-reload")
    assert f"systemd does not hold port {inside.port} any more" in inside.must(RUNTIME, "status", "--json")
    inside.restart()
    assert '"restart_pending": []' in inside.must(RUNTIME, "status", "--json")

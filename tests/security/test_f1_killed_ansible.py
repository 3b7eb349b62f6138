"""F1 of the faults: after SIGKILL of ansible-playbook alone every later run waited for ever."""

from __future__ import annotations

import re
import subprocess
import threading

from security.hosts import ATTACKS, PREFIX, SecurityHost, Seen


def test_the_run_after_a_killed_one_does_not_wait_for_ever(root_host: SecurityHost) -> None:
    host = root_host
    first: list[Seen] = []
    run = threading.Thread(target=lambda: first.append(host.colab_ready()))
    killer = [
        "docker",
        "exec",
        host.name,
        "python3",
        "-I",
        f"{ATTACKS}/kill_ansible.py",
        f"{PREFIX}/tools/bin/uv",
        "pip",
    ]
    try:
        with host.damaged("comm"), subprocess.Popen(killer, stdout=subprocess.PIPE, text=True) as process:
            run.start()
            said, _ = process.communicate(timeout=90)
            assert "killed" in said
            # At once: the worker that is left is still in its step.
            second = host.colab_ready()
            run.join()
        second.is_ready()
        waits = [line for line in second.output.splitlines() if line.startswith("colab-ready:")]
        if waits:
            assert re.search(r"\b\d{2,}\b", " ".join(waits)), f"nobody is named: {waits}"
        assert first[0].status != 0
    finally:
        host.end("bin/ansible-playbook")

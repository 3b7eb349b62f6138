"""F1 of the faults: after SIGKILL of ansible-playbook alone every later run waited for ever."""

from __future__ import annotations

import re
import subprocess
import threading

from security.hosts import ATTACKS, KERNEL, PREFIX, SecurityHost, Seen


def test_the_run_after_a_killed_one_does_not_wait_for_ever(root_host: SecurityHost) -> None:
    host = root_host
    host.damage("comm")
    first: list[Seen] = []
    # The whole lock is checked, and uv runs for long enough to be hit.
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
    with subprocess.Popen(killer, stdout=subprocess.PIPE, text=True) as process:
        run.start()
        said, _ = process.communicate(timeout=90)
        assert "killed" in said
        # At once: the worker that is left is still in its step.
        second = host.colab_ready()
        run.join()
    waits = [line for line in second.output.splitlines() if line.startswith("colab-ready:")]
    try:
        second.is_ready()
        if waits:
            assert re.search(r"\b\d{2,}\b", " ".join(waits)), f"nobody is named: {waits}"
        assert first[0].status != 0
        assert host.run("test", "-e", KERNEL).returncode == 0
    finally:
        host.end("bin/ansible-playbook")

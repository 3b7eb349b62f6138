"""Finding 6: root gave files of its own to the user who had moved them into the kernels' environment."""

from __future__ import annotations

from security.hosts import KERNEL, SecurityHost

SECRET = "the-content-of-a-file-of-roots"


def test_a_file_of_roots_is_given_to_nobody(root_host: SecurityHost) -> None:
    host = root_host
    left = f"{host.home}/left-by-root"
    host.sh(f"rm -rf {left} {left}.d; mkdir {left}.d; chown {host.user}: {left}.d")
    host.sh(f"umask 077; echo {SECRET} | tee {left} {left}.d/inner")
    host.attack("hand_over.py", left, KERNEL, user=host.user)
    host.attack("hand_over.py", f"{left}.d/inner", KERNEL, user=host.user)
    with host.damaged("comm"):
        seen = host.colab_ready()
    read = host.run("grep", "-rs", SECRET, KERNEL, host.home, "/tmp", "/var/tmp", user=host.user)
    assert SECRET not in read.stdout
    for name in ("left-by-root", "inner"):
        assert host.must("find", KERNEL, host.home, "-user", host.user, "-name", name) == ""
    seen.ended_well()
    host.sh(f"rm -rf {KERNEL}/lib/python3.*/site-packages/handed-* {left}.d")

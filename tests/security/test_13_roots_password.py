"""Finding 13: the runtime's user could read the password of root's own package index."""

from __future__ import annotations

from security.hosts import MARKS, SecurityHost

PASSWORD = "password-of-roots-index"


def test_the_password_of_roots_index_is_in_no_process_of_the_user(root_host: SecurityHost) -> None:
    host = root_host
    settings = "/root/.config/pip/pip.conf"
    address = f"http://teacher:{PASSWORD}@127.0.0.1:8766/simple"
    with host.aside(settings):
        host.sh(
            "mkdir -p /root/.config/pip /srv/empty/simple; chmod -R a+rX /srv\n"
            "extra=$(sed -n 's/^extra-index-url *= *//p' /etc/pip.conf 2>/dev/null || :)\n"
            f"(umask 077; printf '[global]\\nextra-index-url = %s {address}\\n' \"$extra\" >{settings})"
        )
        served = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", "/srv/empty", "8766"]
        host.run("sh", "-c", f"setsid python3 {' '.join(served)} >/dev/null 2>&1 &", user="bob")
        # Over a process of its own uid the kernel lets a user look; this one does for as long as the run lasts.
        with host.damaged("comm"), host.attacking("spy.py", PASSWORD, f"{MARKS}/seen", user=host.user):
            seen = host.colab_ready()
        host.end("--bind 127.0.0.1")
    assert host.run("cat", f"{MARKS}/seen").stdout == ""
    seen.ended_well()

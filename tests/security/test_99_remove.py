"""Findings 10, 17, and the removal's part of 9. These take the hosts away, so they come last."""

from __future__ import annotations

from security.hosts import CONTROL, KERNEL, PREFIX, RUNTIME, SecurityHost
from security.intruders import of_uid

PLACES = (PREFIX, "/etc/colab-ready", "/var/lib/colab-ready", "/var/cache/colab-ready", RUNTIME, "/run/colab-ready")


def left(host: SecurityHost) -> list[str]:
    return [place for place in PLACES if host.run("test", "-e", place).returncode == 0]


def test_removal_keeps_a_home_with_work_that_is_hidden(root_host: SecurityHost) -> None:
    """Finding 17."""
    host = root_host
    host.sh("mkdir ~/.work; echo 'a notebook' >~/.work/n.ipynb", user=host.user)
    seen = host.colab_ready("remove").ended_well()
    assert seen.status == 0, str(seen)
    assert host.run("cat", f"{host.home}/.work/n.ipynb").stdout == "a notebook\n"
    assert host.home in seen.output, "that the home is kept is not said"
    assert host.run("getent", "passwd", host.user).returncode != 0
    assert left(host) == []


def test_removal_leaves_nothing_whatever_the_user_has_put_there(plain_host: SecurityHost) -> None:
    """Findings 9, 10, 14 and 15; and of 17 that what the runtime itself has put into the home is no work."""
    host = plain_host
    for path in ("supervisor.json", "supervisor.lock", "supervisor.pid"):
        host.attack("plant.py", "pipe", f"/run/colab-ready/{path}", user=host.user)
    host.attack("plant.py", "pipe", "/var/log/colab-ready/server.log", user=host.user)
    host.attack("plant.py", "pipe", f"{KERNEL}/pyvenv.cfg", user=host.user)
    host.attack("plant.py", "brackets", f"{KERNEL}/colab-ready.json", user=host.user)
    host.attack("plant.py", "deep", f"{KERNEL}/lib/deep", user=host.user)
    host.sh("rm -rf ~/.config", user=host.user)
    # As chfn leaves it: it is still the account that was made here.
    host.must("usermod", "--comment", "colab-ready runtime user,a room", host.user)
    uid = host.must("id", "-u", host.user).strip()
    with (
        host.attacking("hold.py", "lock", "/etc/os-release", user="bob"),
        host.attacking("hide.py", user=host.user),
    ):
        seen = host.colab_ready("remove").ended_well()
        assert of_uid(host, uid) == [], "they have a uid that nobody has any more"
    assert seen.status == 0, str(seen)
    assert CONTROL.findall(seen.output) == []
    assert left(host) == []
    assert host.run("test", "-e", host.home).returncode != 0
    assert host.colab_ready("remove").ended_well().status == 0

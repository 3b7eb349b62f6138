"""Finding 5: root ran what lay in places where others may write."""

from __future__ import annotations

import json

import pytest
from security.hosts import PREFIX, SecurityHost

LAB = "/srv/lab"
CHECKOUT = f"{LAB}/colab-ready"
# What makes the place unsafe, and what bob does there.
UNSAFE = {
    "a folder in it": (f"chmod 0777 {CHECKOUT}/library", [CHECKOUT]),
    "a file in it": (f"chmod 0666 {CHECKOUT}/library/gpu_device.py", [CHECKOUT]),
    "another folder in it": (f"chmod 0777 {CHECKOUT}/module_utils/colab_ready", [CHECKOUT]),
    "the folder above": (f"chmod 0777 {LAB}", [CHECKOUT, f"{LAB}/copy"]),
    "a group": (f"chgrp -R lab {LAB}; chmod -R g+w {LAB}", [CHECKOUT]),
    "another owner": (f"chown -R bob: {CHECKOUT}", [CHECKOUT]),
}


@pytest.mark.parametrize("place", UNSAFE)
def test_a_checkout_that_others_may_change_is_refused(root_host: SecurityHost, place: str) -> None:
    host = root_host
    unsafe, arguments = UNSAFE[place]
    host.sh(
        f"rm -rf {LAB}; mkdir {LAB}; cp -r {host.checkout} {CHECKOUT}; chown -R root: {LAB}; chmod -R a+rX,go-w {LAB}"
    )
    host.sh("getent group lab || { groupadd lab; usermod -aG lab bob; }")
    host.sh(unsafe)
    host.attack("edit_module.py", *arguments, user="bob")
    seen = host.watched(f"{CHECKOUT}/colab-ready", "verify")
    assert host.marks() == []
    seen.is_refused(LAB)
    host.sh(f"rm -rf {LAB}")


def test_the_students_own_checkout_is_refused_where_others_may_change_it(student_host: SecurityHost) -> None:
    host = student_host
    library = f"{host.checkout}/library"
    host.sh(f"cp -a {library} {library}.aside; chmod 0777 {library}; chmod a+x {host.home} {host.checkout}")
    try:
        host.attack("edit_module.py", host.checkout, user="bob")
        seen = host.colab_ready("verify")
    finally:
        host.sh(f"rm -rf {library}; mv -T {library}.aside {library}")
    assert host.marks() == []
    seen.is_refused(host.checkout)


def test_a_prefix_below_a_users_folder_is_refused(student_host: SecurityHost) -> None:
    host = student_host
    prefix = f"{host.home}/cr"
    uv = host.must(f"{PREFIX}/tools/bin/uv", "--version").split()[1]
    settings = "/etc/colab-ready/runtime.json"
    with host.aside(settings):
        # Where an earlier version has built there; the user has put another folder in its place.
        host.attack("plant_prefix.py", prefix, uv, user=host.user)
        text = json.loads(host.must("cat", f"{settings}.aside"))
        host.must("sh", "-c", f"cat >{settings}", stdin=json.dumps({**text, "prefix": prefix}))
        seen = host.colab_ready("-e", f"colab_prefix={prefix}")
        assert host.marks() == []
        seen.is_refused(prefix, host.user)
        # And where nothing is built yet.
        host.sh(f"rm -rf {prefix} {settings}")
        host.colab_ready("-e", f"colab_prefix={prefix}", "--check").is_refused(prefix, host.user)

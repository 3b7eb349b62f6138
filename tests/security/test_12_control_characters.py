"""Finding 12: control characters of a user's went to root's terminal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from security.hangs import file
from security.hosts import ATTACKS, CONTROL, KERNEL, RUNTIME, SecurityHost, Seen

# The title of the window, a bell, a line that is wiped, and the C1 code of the same.
OWNED = r"\033]0;OWNED TITLE\007\033[2K\033[1A\302\233 2J"
LOG = "/var/log/colab-ready/server.log"


def clean(seen: Seen) -> Seen:
    found = CONTROL.findall(seen.output)
    assert not found, f"{found[:10]}: {seen.output!r}"
    return seen.ended_well()


@contextlib.contextmanager
def stranger_on_the_port(host: SecurityHost) -> Iterator[None]:
    """bob's process; one name in its command line, another one as the kernel has it."""
    program = "/home/bob/\x1b]0;X\x07\x1b[2J.py"
    host.must(RUNTIME, "stop")
    host.must("cp", f"{ATTACKS}/named_with_controls.py", program)
    host.sh("chmod 755 /home/bob")
    try:
        with host.attacking("", "8888", user="bob", path=program):
            yield
    finally:
        host.run("rm", "-f", program)
        host.run(RUNTIME, "start")


def test_what_a_users_python_says_has_no_control_characters(root_host: SecurityHost) -> None:
    host = root_host
    says = f'exec /usr/bin/python3 -I {ATTACKS}/say_controls.py $real "$@"'
    with file("program", f"{KERNEL}/bin/python", says)(host):
        clean(host.colab_ready("verify"))
        # The running step is drawn with some, but never with these.
        seen = host.colab_ready("verify", terminal=True)
        assert not re.findall("\x1b]|\x07|\x9b", seen.output), repr(seen.output)


def test_the_name_of_a_process_is_shown_without_control_characters(root_host: SecurityHost) -> None:
    host = root_host
    with stranger_on_the_port(host):
        for command in ("status", "url", "start"):
            clean(host.runtime(command)).is_refused()
        clean(host.colab_ready("verify")).is_refused()


def test_the_log_is_shown_without_control_characters(plain_host: SecurityHost) -> None:
    host = plain_host
    host.sh(f"printf 'a line {OWNED}\\n' >>{LOG}", user=host.user)
    seen = clean(host.runtime("logs"))
    assert "a line" in seen.output
    host.sh(f"sed -i '/a line/d' {LOG}", user=host.user)

"""Finding 14: nonsense in a user's files ended root's commands in tracebacks. What is nonsense counts as no note."""

from __future__ import annotations

import contextlib

import pytest
from security.hangs import KERNELS_RUN, file
from security.hosts import KERNEL, RUNTIME, SecurityHost

MEMORY = f"{KERNEL}/colab-ready.json"
HUGE = "1" + "0" * 400
# One run for each, with all of its files at once.
NOTES: dict[str, list[tuple[str, ...]]] = {
    "brackets": [("brackets", MEMORY)],
    "types": [
        ("text", MEMORY, '{"schema": 1, "state": 7, "python": [1], "packages": {"resolved": 5, "specs": 1e999}}'),
    ],
}
# What its Python answers, whatever it is asked.
ANSWERS = {
    "nested": "head -c 200000 /dev/zero | tr '\\0' '['; echo",
    "huge": f"""echo '{{"version": [{HUGE}, 1e999, Infinity], "executable": 1, "base": [], "suffix": {{}}}}'""",
    "no version": """echo '{"executable": "/usr/bin/python3", "base": "/usr", "version": [], "suffix": ""}'""",
}


@pytest.mark.parametrize("notes", NOTES)
def test_nonsense_in_the_users_files_is_no_note(root_host: SecurityHost, notes: str) -> None:
    host = root_host
    with contextlib.ExitStack() as planted:
        for how, path, *more in NOTES[notes]:
            planted.enter_context(file(how, path, *more)(host))
        # What it remembers is asked for where packages without a lock are wanted.
        host.colab_ready("--check", "-e", "{colab_extra_packages: [six]}").ended_well()
        host.colab_ready().is_ready()


def test_nonsense_in_the_users_pip_configuration_is_one_message(root_host: SecurityHost) -> None:
    with file("brackets", "~/.config/pip/pip.conf")(root_host):
        root_host.colab_ready().ended_well()
    with file("text", "~/.config/pip/pip.conf", f"[global]\\ntimeout = {HUGE}\\nretries = -1\\n")(root_host):
        root_host.colab_ready().ended_well()


def test_nonsense_from_the_users_python_is_no_answer(root_host: SecurityHost) -> None:
    host = root_host
    for name, answer in ANSWERS.items():
        with file("program", f"{KERNEL}/bin/python", f"{KERNELS_RUN}\n{answer}")(host):
            # The proof reads what every Python says in the same way.
            if name == "huge":
                host.colab_ready("verify").is_refused()
            else:
                host.colab_ready("--check").ended_well()


def test_nonsense_about_the_supervisor_does_not_stop_the_emergency_brake(plain_host: SecurityHost) -> None:
    host = plain_host
    state = "/run/colab-ready/supervisor.json"
    for how, *more in (("brackets",), ("text", f'{{"pid": {HUGE}, "started_ticks": 1e999}}'), ("text", '{"pid": [1]}')):
        with file(how, state, *more)(host):
            host.runtime("status").ended_well()
            host.runtime("stop", "--force").ended_well()
    host.must(RUNTIME, "restart", "--force", timeout=120)

"""Ansible's command `ansible`, loaded once: each call is a fork of it that does all that the command does.

Half of such a call is the import of Ansible. What Ansible reads at its import has to be as it was when this started, so a call
whose environment differs there starts `ansible` itself (`run`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

PROJECT = Path(__file__).resolve().parent.parent
READ_AT_IMPORT = ("ANSIBLE_", "LANG", "LC_", "HOME", "TMPDIR", "PYTHON", "PATH")


class AnsibleServer:
    """The loaded Ansible, started at the first call."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.loaded_with: dict[str, str] = {}

    def run(self, arguments: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run `ansible` with these arguments in the checkout; the caller looks at what it printed."""
        needed = {name: value for name, value in env.items() if name.startswith(READ_AT_IMPORT)}
        if self.process is None or self.process.poll() is not None:
            self.start(needed, env)
        if needed != self.loaded_with:
            return subprocess.run(
                [sys.executable, "-m", "ansible", "adhoc", *arguments], env=dict(env), cwd=PROJECT, text=True,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
            )  # fmt: skip
        return self.ask(arguments, env, timeout)

    def start(self, needed: dict[str, str], env: Mapping[str, str]) -> None:
        self.loaded_with = needed
        self.process = subprocess.Popen(
            [sys.executable, __file__], env=dict(env), cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip

    def ask(self, arguments: Sequence[str], env: Mapping[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        with tempfile.TemporaryFile("w+b") as output, tempfile.TemporaryFile("w+b") as errors:
            places = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (output, errors)]
            print(json.dumps([list(arguments), dict(env), *places]), file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                self.kill()
                raise subprocess.TimeoutExpired(["ansible", *arguments], timeout, read(output), read(errors))
            answer = self.process.stdout.readline()
            return subprocess.CompletedProcess(
                ["ansible", *arguments], int(answer), read(output).decode(), read(errors).decode()
            )

    def kill(self) -> None:
        """End it and what it started, which is where a call hangs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Let it clean up after itself."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(60)


def read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def serve() -> None:
    """Answer each line of stdin, the arguments and the environment of a call, with its exit status."""
    # Loaded before the fork.
    import ansible.cli.adhoc
    import ansible.executor.module_common
    import ansible.executor.task_executor
    import ansible.executor.task_queue_manager
    import ansible.plugins.action.normal
    import ansible.plugins.connection.local

    for line in sys.stdin:
        arguments, env, output, errors = json.loads(line)
        child = os.fork()
        if child == 0:
            call(ansible.cli.adhoc.AdHocCLI, arguments, env, output, errors)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def call(command: Any, arguments: list[str], env: dict[str, str], output: str, errors: str) -> NoReturn:
    """Be `ansible` in this fork. Nothing that the server registered to be done at its exit is done here."""
    for path, number in ((os.devnull, 0), (output, 1), (errors, 2)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    status = 1
    try:
        command.cli_executor(["ansible", *arguments])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()

"""The modules, run as Ansible runs them on a host, each call a fork of one process that has loaded what they import.

`ansible -m` takes ten times as long, most of it for its own start and for packing the module. So it runs the one test of each
module that bears the mark `smoke`, and this the others: the same file as `__main__`, with the arguments as AnsiballZ hands them
over, an environment of its own, nothing on stdin, and the result as JSON on stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

PROJECT = Path(__file__).resolve().parent.parent


# What the loader and Python read when a process starts, so that a fork does not see it.
READ_AT_START = ("LD_", "PYTHON")


class ModuleServer:
    """The loaded process, started at the first call."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self.env = env
        self.process: subprocess.Popen[str] | None = None

    def run(
        self, name: str, arguments: Mapping[str, Any], env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a module with arguments that hold Ansible's own (`_ansible_check_mode`); the caller reads its output."""
        if read_at_start(env) == read_at_start(self.env):
            return self.ask(name, arguments, env, timeout)
        other = ModuleServer(env)
        try:
            return other.ask(name, arguments, env, timeout)
        finally:
            other.stop()

    def ask(
        self, name: str, arguments: Mapping[str, Any], env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, __file__], env=dict(self.env), cwd=PROJECT, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        with tempfile.TemporaryFile("w+b") as output, tempfile.TemporaryFile("w+b") as errors:
            places = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (output, errors)]
            print(json.dumps([name, dict(arguments), dict(env), *places]), file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                self.kill()
                raise subprocess.TimeoutExpired([name], timeout, read(output), read(errors))
            status = int(self.process.stdout.readline())
            return subprocess.CompletedProcess([name], status, read(output).decode(), read(errors).decode())

    def kill(self) -> None:
        """End it and what it started, which is where a call hangs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Let it end by itself."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait(60)


def read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_AT_START)}


def read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def load() -> None:
    """Import Ansible's basic module and the rooms, which every fork then has."""
    import ansible.module_utils.basic

    ansible.module_utils.__path__ = [*ansible.module_utils.__path__, str(PROJECT / "module_utils")]
    rooms = import_module("ansible.module_utils.colab_ready")
    for found in pkgutil.walk_packages(rooms.__path__, f"{rooms.__name__}."):
        import_module(found.name)


def serve() -> None:
    """Answer each line of stdin, a module with its arguments and environment, with its exit status."""
    load()
    for line in sys.stdin:
        name, arguments, env, output, errors = json.loads(line)
        child = os.fork()
        if child == 0:
            call(name, arguments, env, output, errors)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def call(name: str, arguments: dict[str, Any], env: dict[str, str], output: str, errors: str) -> NoReturn:
    """Be the module in this fork."""
    from ansible.module_utils import basic

    for path, number in ((os.devnull, 0), (output, 1), (errors, 2)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    status = 1
    try:
        (place,) = [*PROJECT.glob(f"library/{name}.py"), *PROJECT.glob(f"roles/*/library/{name}.py")]
        runpy.run_path(str(place), run_name="__main__")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()

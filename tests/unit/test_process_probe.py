"""A probe is another user's program that may do anything: run_probe comes back, with the truth, and leaves nothing."""

from __future__ import annotations

import importlib
import json
import os
import pwd
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest
from ansible.module_utils.colab_ready.core import text
from ansible.module_utils.colab_ready.process import probe as child
from ansible.module_utils.colab_ready.process import run as program_run

HELLO = """
def main(params, report):
    report({"step": "one", "begin": True})
    report({"step": "one", "ok": True, "seconds": 0.5, "detail": "fine"})
    report({"result": {"got": params}})
"""


def probe(body: str, timeout: float = 10, python: str = sys.executable, **more: Any) -> dict[str, Any]:
    """Run the body of a probe's main; `params` and `report` are at hand, and the modules that these tests need."""
    indented = textwrap.indent(textwrap.dedent(body), "    ")
    imports = "import ctypes, os, resource, signal, subprocess, sys, time\n"
    source = f"{imports}def main(params, report):\n{indented}"
    params = more.pop("params", {})
    return child.run_probe(source, params, python, timeout, **more)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pid: int, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_a_good_probe_returns_its_steps_and_its_result() -> None:
    outcome = child.run_probe(HELLO, {"word": "ä"}, sys.executable, 10)
    assert outcome["result"] == {"got": {"word": "ä"}}
    assert outcome["steps"] == [{"step": "one", "ok": True, "seconds": 0.5, "detail": "fine"}]
    assert (outcome["exit"]["kind"], outcome["running"], outcome["last_step"]) == ("ok", [], "one")
    assert 0 < outcome["seconds"] < 10


def test_neither_source_nor_parameters_are_on_the_command_line() -> None:
    outcome = probe("report({'result': {'argv': open('/proc/self/cmdline').read()}})", params={"password": "s3cr3t"})
    assert "s3cr3t" not in outcome["result"]["argv"]
    assert "result" not in outcome["result"]["argv"]


def test_the_callers_environment_does_not_reach_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "HTTP_PROXY", "JUPYTER_TOKEN"):
        monkeypatch.setenv(name, "/from/the/caller")
    outcome = probe("report({'result': {'env': dict(os.environ), 'cwd': os.getcwd()}})", env={"EXTRA": "yes"})
    seen = outcome["result"]["env"]
    assert seen["EXTRA"] == "yes"
    assert "/from/the/caller" not in seen.values()
    assert outcome["result"]["cwd"] == "/"


def test_a_file_in_the_working_directory_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('not me')")
    monkeypatch.chdir(tmp_path)
    assert "" not in probe("report({'result': {'path': sys.path}})")["result"]["path"]


DEATHS = [
    # what the probe does, kind, signal, code
    ("ctypes.string_at(0)", "signal", "SIGSEGV", -11),
    ("os.abort()", "signal", "SIGABRT", -6),
    ("os.kill(os.getpid(), signal.SIGKILL)", "signal", "SIGKILL", -9),
    ("os._exit(0)", "ok", None, 0),
    ("os._exit(3)", "exit", None, 3),
    ("sys.exit('enough')", "exception", None, 1),
    ("raise ValueError('no')", "exception", None, 1),
    ("raise KeyboardInterrupt", "exception", None, 1),
    ("os.close(int(params['fd'])) if 'fd' in params else os.closerange(0, 64)", "ok", None, 0),
]


@pytest.mark.parametrize(("does", "kind", "name", "code"), DEATHS, ids=[death[0] for death in DEATHS])
def test_every_death_is_told_with_the_step_it_came_in(does: str, kind: str, name: str | None, code: int) -> None:
    outcome = probe(f"report({{'step': 'danger', 'begin': True}})\n{does}")
    assert (outcome["exit"]["kind"], outcome["exit"]["signal"], outcome["exit"]["code"]) == (kind, name, code)
    assert (outcome["result"], outcome["running"], outcome["last_step"]) == (None, ["danger"], "danger")


def test_an_exception_is_told_by_class_and_text() -> None:
    outcome = probe("raise ValueError('no')")
    assert (outcome["exit"]["class"], outcome["exit"]["text"]) == ("ValueError", "no")


def test_a_syntax_error_in_the_probe_is_an_exception_too() -> None:
    assert probe("this is no python")["exit"]["class"] == "SyntaxError"


def test_a_result_survives_a_death_at_exit() -> None:
    outcome = probe("import atexit\natexit.register(os.abort)\nreport({'result': {'sum': 3}})")
    assert outcome["result"] == {"sum": 3}
    assert outcome["exit"]["signal"] == "SIGABRT"


def test_a_hang_at_exit_is_cut_short_and_the_result_kept() -> None:
    outcome = probe("report({'result': {'sum': 3}})\ntime.sleep(60)", timeout=30, exit_seconds=0.2)
    assert outcome["result"] == {"sum": 3}
    assert outcome["exit"]["kind"] == "timeout"
    assert outcome["seconds"] < 10


def test_a_hang_ends_at_the_timeout_and_takes_its_children_along() -> None:
    outcome = probe(
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        pid = os.fork()
        if pid:
            report({'step': 'hang', 'begin': True})
            report({'step': 'pids', 'ok': True, 'pids': [pid, os.getpid()]})
        while True:
            time.sleep(60)
        """,
        timeout=0.6,
    )
    assert outcome["exit"]["kind"] == "timeout"
    assert outcome["running"] == ["hang"]
    assert "0.6 s" in outcome["exit"]["text"]
    assert outcome["seconds"] < 5
    assert all(gone(pid) for pid in outcome["steps"][0]["pids"])


def test_a_grandchild_that_keeps_the_pipes_open_does_not_keep_us() -> None:
    for escape in ("", "os.setsid()"):
        outcome = probe(
            f"if os.fork() == 0:\n    {escape or 'pass'}\n    time.sleep(8)\n    os._exit(0)\nreport({{'result': {{}}}})"
        )
        assert outcome["exit"]["kind"] == "ok"
        assert outcome["seconds"] < 5


def test_a_probe_that_is_told_to_end_may_still_clear_away() -> None:
    body = (
        "signal.signal(signal.SIGTERM, lambda *a: (report({'result': {'cleared': True}}), sys.exit(0)))\ntime.sleep(60)"
    )
    outcome = probe(body, timeout=0.5, grace_seconds=10)
    assert outcome["result"] == {"cleared": True}
    assert outcome["exit"]["kind"] == "timeout"
    assert outcome["seconds"] < 8


def test_a_flood_is_read_to_its_end_and_kept_small() -> None:
    outcome = probe(
        """
        for fd in (1, 2):
            for _ in range(300):
                os.write(fd, b'x' * 9999 + b'\\n' + b'\\xff\\x00\\x1b[31m' * 999)
        report({'result': {'alive': True}})
        """
    )
    assert outcome["result"] == {"alive": True}
    assert len(outcome["noise"]) <= child.NOISE_LINES
    assert len(outcome["stderr_tail"]) <= program_run.STDERR_LINES
    assert all(len(line) <= text.LINE_CHARACTERS for line in outcome["noise"] + outcome["stderr_tail"])
    assert outcome["noise_lines"] == 300


def test_a_flood_without_end_stops_at_the_timeout() -> None:
    outcome = probe("while True:\n    os.write(1, b'x' * 65536)", timeout=0.5)
    assert outcome["exit"]["kind"] == "timeout"
    assert len(json.dumps(outcome)) < 40_000


def test_noise_on_stdout_is_not_taken_for_a_report() -> None:
    outcome = probe('print(\'{"result": {"sum": 4}}\', flush=True)\nos.write(1, b\'{"step": "x", "ok": true}\\n\')')
    assert outcome["result"] is None
    assert outcome["steps"] == []
    assert len(outcome["noise"]) == 2


def test_nonsense_on_the_report_channel_is_passed_over() -> None:
    outcome = probe(
        """
        fd = report.__globals__['channel']
        for junk in (b'no json', b'[1, 2]', b'null', b'{"step": 7}', b'{"result": 3}', b'[' * 100000, b'\\xff', b'{"step":'):
            os.write(fd, junk + b'\\n')
        report({'result': {'alive': True}})
        """
    )
    assert outcome["result"] == {"alive": True}
    assert outcome["steps"] == []


def test_a_flood_on_the_report_channel_is_bounded() -> None:
    outcome = probe("for _ in range(200):\n    report({'step': 'x', 'ok': True, 'detail': 'y' * 99999})")
    assert len(json.dumps(outcome["steps"])) <= child.CHANNEL_BYTES + (1 << 16)
    assert outcome["exit"]["kind"] == "ok"


def not_a_python(folder: Path, what: str) -> str:
    path = folder / "python"
    if what == "not executable":
        path.write_text("#!/bin/sh\n")
    elif what == "dangling link":
        path.symlink_to(folder / "nowhere")
    elif what == "no interpreter":
        path.write_text("#!/no/such/interpreter\n")
        path.chmod(0o755)
    elif what == "no program":
        path.write_bytes(b"\x7fELF but not really")
        path.chmod(0o755)
    elif what == "a directory":
        path.mkdir()
    return str(path)


NOT_STARTED = [
    ("missing", "python_missing", "does not exist"),
    ("dangling link", "python_missing", "is a link to"),
    ("no interpreter", "python_missing", "needs an interpreter"),
    ("not executable", "python_not_executable", "may not execute"),
    ("a directory", "python_not_executable", "may not execute"),
    ("no program", "python_not_a_program", "not a program for this machine"),
]


@pytest.mark.parametrize(("what", "problem", "words"), NOT_STARTED, ids=[case[0] for case in NOT_STARTED])
def test_a_python_that_cannot_start_is_an_answer(tmp_path: Path, what: str, problem: str, words: str) -> None:
    outcome = child.run_probe(HELLO, {}, not_a_python(tmp_path, what), 5)
    assert (outcome["exit"]["kind"], outcome["exit"]["problem"]) == ("not_started", problem)
    assert words in outcome["exit"]["text"]
    assert str(tmp_path) in outcome["exit"]["text"]


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false", "/bin/cat", "/bin/sh"])
def test_a_program_that_is_no_python_gives_no_result(program: str) -> None:
    # More than a pipe holds, and nobody reads it.
    outcome = child.run_probe("#" * 300_000, {}, program, 2)
    assert outcome["result"] is None
    assert outcome["exit"]["kind"] in ("ok", "exit")


def test_an_unknown_user_is_an_answer() -> None:
    outcome = child.run_probe(HELLO, {}, sys.executable, 5, user="nobody-of-this-name")
    assert (outcome["exit"]["kind"], outcome["exit"]["problem"]) == ("not_started", "no_such_user")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_only_root_runs_probes_as_somebody_else() -> None:
    assert child.run_probe(HELLO, {}, sys.executable, 5, user="root")["exit"]["problem"] == "not_root"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_root_the_probe_is_the_other_user_before_it_starts() -> None:
    nobody = pwd.getpwnam("nobody")
    body = """
        ids = [os.getresuid(), os.getresgid()]
        report({'result': {'ids': ids, 'groups': os.getgroups(), 'env': dict(os.environ), 'umask': os.umask(0)}})
        """
    outcome = probe(body, python="/usr/bin/python3", user="nobody")
    seen = outcome["result"]
    assert seen["ids"] == [[nobody.pw_uid] * 3, [nobody.pw_gid] * 3]
    assert 0 not in seen["groups"]
    assert (seen["env"]["USER"], seen["env"]["HOME"]) == ("nobody", nobody.pw_dir)
    assert seen["umask"] == 0o077


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_python_out_of_the_other_users_reach_is_an_answer(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.symlink_to("/usr/bin/python3")
    tmp_path.chmod(stat.S_IRWXU)
    outcome = child.run_probe(HELLO, {}, str(python), 5, user="nobody")
    assert outcome["exit"]["problem"] == "python_not_executable"
    assert "nobody may not execute" in outcome["exit"]["text"]


def test_a_probe_leaves_no_core_and_cannot_outlive_a_killed_parent_for_long() -> None:
    body = "report({'result': {'core': resource.getrlimit(resource.RLIMIT_CORE)[0], 'alarm': signal.alarm(0)}})"
    seen = probe(body, timeout=100, grace_seconds=3, exit_seconds=2)["result"]
    assert seen["core"] in (0, 1)
    assert 100 < seen["alarm"] <= 115


def test_an_interrupted_parent_takes_the_probe_along() -> None:
    program = f"""
import sys
import ansible.module_utils
ansible.module_utils.__path__ = {list(ansible.module_utils.__path__)!r}
from ansible.module_utils.colab_ready.process import probe as child
source = "import os, time\\ndef main(p, r):\\n    open(p['path'], 'w').write(str(os.getpid()))\\n    time.sleep(60)"
child.run_probe(source, {{"path": sys.argv[1]}}, sys.executable, 60)
"""
    reader, writer = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", program, f"/proc/{os.getpid()}/fd/{writer}"], stderr=subprocess.DEVNULL
    )
    try:
        pid = int(os.read(reader, 32))
        parent.send_signal(signal.SIGINT)
        assert parent.wait(10) != 0
        assert gone(pid)
    finally:
        parent.kill()
        parent.wait()
        os.close(reader)
        os.close(writer)


def test_no_descriptor_is_left_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    child.run_probe(HELLO, {}, sys.executable, 10)
    child.run_probe(HELLO, {}, "/no/such/python", 10)
    probe("time.sleep(60)", timeout=0.2)
    assert set(os.listdir("/proc/self/fd")) == before


MODULES = {
    "house/one/probe.py": """
        from ..two import helper
        from .beside import WORD
        def main(params, report):
            report({"result": {"said": helper.say(WORD), "names": [__name__, helper.__name__]}})
        """,
    "house/one/beside.py": "WORD = 'ä'",
    "house/two/helper.py": """
        from dataclasses import dataclass
        @dataclass
        class Said:
            word: 'str'
        def say(word):
            return Said(word).word
        """,
}


def test_a_probe_of_several_modules_imports_them_where_nothing_of_ours_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = [importlib.import_module(name[:-3].replace("/", ".")) for name in MODULES]
    outcome = child.run_probe(child.probe_source(*modules), {}, sys.executable, 10)
    assert outcome["result"] == {"said": "ä", "names": ["house.one.probe", "house.two.helper"]}
    lacking = child.run_probe(child.probe_source(*modules[:2]), {}, sys.executable, 10)
    assert lacking["exit"]["class"] == "ModuleNotFoundError"


def test_a_module_that_came_in_a_zip_file_has_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        archive.writestr("zipped_probe.py", HELLO)
    monkeypatch.syspath_prepend(str(tmp_path / "sent.zip"))
    source = child.probe_source(importlib.import_module("zipped_probe"))
    assert child.run_probe(source, {}, sys.executable, 10)["result"] == {"got": {}}


def test_lines_for_a_report_are_printable() -> None:
    assert text.readable_lines(b"one\r\n\r\n\x1b[31mtwo\x00\n\xff") == ["one", "[31mtwo", "\ufffd"]


# --- a program that is no probe -------------------------------------------------------------------------------------


def program(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return [str(path)]


def test_a_program_brings_home_what_it_printed_and_how_it_ended(tmp_path: Path) -> None:
    ran = program_run.run_program(program(tmp_path, "echo out; echo err >&2; cat; exit 3"), 10)
    assert (ran["output"], ran["errors"], ran["cut_off"]) == ("out\n", ["err"], False)
    assert (ran["exit"]["kind"], ran["exit"]["text"]) == ("exit", "ended with status 3")


def test_a_program_has_the_environment_that_is_given_and_nothing_of_the_caller_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/planted")
    ran = program_run.run_program(program(tmp_path, 'echo "$HSA_X/$LD_LIBRARY_PATH/"'), 10, env={"HSA_X": "1"})
    assert ran["output"] == "1//\n"


def test_a_program_that_crashes_leaves_no_core_dump(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        ran = program_run.run_program(["/bin/cat", "/proc/self/limits"], 10)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    (line,) = (line for line in ran["output"].splitlines() if line.startswith("Max core file size"))
    assert line.split()[4] == ("1" if hard else "0")


def test_what_a_program_printed_before_it_hung_is_kept_and_nothing_of_it_stays(tmp_path: Path) -> None:
    ran = program_run.run_program(program(tmp_path, "echo $$; sleep 60 & echo $!; sleep 60"), 0.5)
    assert ran["exit"]["kind"] == "timeout"
    pids = [int(line) for line in ran["output"].split()]
    assert len(pids) == 2 and all(gone(pid) for pid in pids)


def test_after_its_last_words_a_program_is_not_waited_for_long(tmp_path: Path) -> None:
    ran = program_run.run_program(
        program(tmp_path, "echo 'the end'; sleep 60"), 60, last_words=b"the end", exit_seconds=0.2
    )
    assert (ran["output"], ran["exit"]["kind"]) == ("the end\n", "timeout")
    assert "the result came" in ran["exit"]["text"] and ran["seconds"] < 30


def test_a_program_that_floods_is_heard_up_to_a_limit(tmp_path: Path) -> None:
    ran = program_run.run_program(program(tmp_path, "printf abc; sleep 0.1; exec yes"), 1)
    assert (len(ran["output"]), ran["cut_off"], ran["exit"]["kind"]) == (program_run.OUTPUT_BYTES, True, "timeout")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_program_runs_as_the_user_who_is_named(tmp_path: Path) -> None:
    ran = program_run.run_program(["/usr/bin/id", "-un"], 10, "nobody")
    assert (ran["output"], ran["exit"]["kind"]) == ("nobody\n", "ok")
    (tmp_path / "closed").mkdir(mode=0o700)
    ran = program_run.run_program(program(tmp_path / "closed", "echo reached"), 10, "nobody")
    assert (ran["output"], ran["exit"]["kind"]) == ("", "not_started")
    assert "nobody may not execute" in ran["exit"]["text"]


def test_a_program_that_cannot_be_started_is_an_answer(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none", "does not exist"), (tmp_path, "may not execute")):
        ran = program_run.run_program([str(path)], 10)
        assert ran["exit"]["kind"] == "not_started" and words in ran["exit"]["text"]
    assert program_run.run_program(["/bin/true"], 10, "no-such-user-here")["exit"]["problem"] == "no_such_user"

"""The launcher as a program, in fair and in bad weather (tests/launcher_sandbox.py)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher_sandbox import (
    AM_ROOT,
    NOBODY,
    NOT_PROVEN,
    ONLY_ROOT,
    PROJECT,
    PROVEN,
    Ended,
    Sandbox,
    finished,
    sandbox,
    wait_until,
)

from launcher import words


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


@pytest.fixture
def other(box: Sandbox) -> Sandbox:
    """The caller is not root."""
    if AM_ROOT:
        box.become_nobody()
    return box


# --- commands -------------------------------------------------------------------------------------------------------


@ONLY_ROOT
def test_no_command_converges_and_hands_the_options_on(box: Sandbox) -> None:
    ended = box.run("-e", "colab_port=9000", "-e", "x=a y='b c'", "-v")
    assert ended.status == 0, ended.err
    assert box.arguments() == "site.yml [--extra-vars=colab_port=9000] [--extra-vars=x=a y='b c'] [--verbose]"
    assert not box.calls("sudo"), "root needs none"


@ONLY_ROOT
def test_root_runs_the_snapshot_in_a_folder_of_its_own_and_leaves_nothing(box: Sandbox) -> None:
    assert box.run().status == 0
    seen = box.seen_environment()
    folder = Path((box.state / "directory").read_text().strip())
    assert folder.parent == box.cache and folder.name.startswith("run.")
    assert seen["ANSIBLE_CONFIG"] == f"{folder}/tree/ansible.cfg" and seen["ANSIBLE_LOCAL_TEMP"].startswith(
        f"{folder}/"
    )
    assert f"[{folder}/tree/playbooks/site.yml]" in box.calls("ansible-playbook")[0]
    assert not box.runs() and box.cache.stat().st_mode & 0o777 == 0o700
    assert (box.state / "umask").read_text().strip() in ("0022", "022"), "what modules make is not root's alone"
    assert not list(box.checkout.rglob("__pycache__")), "nobody wrote into the checkout"
    assert sorted(path.name for path in box.home.rglob("*") if path.is_file() and path.parent == box.home) == []


@ONLY_ROOT
@pytest.mark.parametrize("status", [1, 2, 4, 99])
def test_the_exit_status_of_ansible_is_handed_on(box: Sandbox, status: int) -> None:
    box.set(**{"ansible-status": str(status)})
    assert box.run().status == status


WITHOUT_PROOF = "the run ended without proving that the computer is READY"


@ONLY_ROOT
@pytest.mark.parametrize("command", [(), ("verify",), ("verify", "--json")])
@pytest.mark.parametrize("report", ['{"ready": false}', '{"ready": "yes"}', "{}", "no JSON"])
@pytest.mark.parametrize("proofs", [PROVEN, ""])
def test_the_report_alone_says_ready(box: Sandbox, command: tuple[str, ...], report: str, proofs: str) -> None:
    box.set(**{"proofs": proofs, "new-report": report})
    ended = box.run(*command)
    assert ended.status == 1
    assert "NOT READY: the report has the reasons. Do: " in ended.err
    box.set(**{"new-report": '{"ready": true}'})
    assert box.run(*command).status == 0, "whether a callback heard of it or not"


@ONLY_ROOT
@pytest.mark.parametrize("command", [(), ("verify",)])
@pytest.mark.parametrize("proofs", [NOT_PROVEN, "{}", ""])
def test_a_run_without_a_report_is_no_success_unless_the_options_left_the_proof_out(
    box: Sandbox, command: tuple[str, ...], proofs: str
) -> None:
    box.unset("new-report")
    box.set(**{"proofs": proofs, "report.json": '{"ready": true}'})  # an earlier run's
    ended = box.run(*command)
    assert ended.status == 1 and WITHOUT_PROOF in ended.err
    for options in (["--tags", "python"], ["--skip-tags=verify"], ["--start-at-task", "Behind it"]):
        chosen = box.run(*command, *options)
        # Where not one task was run, as behind a name that is none, that is no success either.
        assert (chosen.status, WITHOUT_PROOF in chosen.err) == ((0, False) if proofs == NOT_PROVEN else (1, True))


@ONLY_ROOT
def test_a_report_in_another_place_is_found(box: Sandbox) -> None:
    report = str(box.state / "elsewhere.json")
    box.set(proofs=json.dumps({"localhost": {"ready": True, "report": report}}))
    assert box.run().status == 1, "nothing is there"
    box.set(**{"report-path": report, "report.json": '{"ready": false}'})
    ended = box.run("verify", "--json")
    assert (ended.status, ended.out) == (0, '{"ready": true}\n')


@ONLY_ROOT
def test_step_asks_at_the_terminal_or_is_one_message(box: Sandbox) -> None:
    box.set(asks="")
    ended = box.run_on_terminal("--step", types="yes\n")
    assert ended.status == 0 and "the answer is yes" in ended.out
    ended = box.run("--step")
    assert ended.status == 2 and ended.err.count("\n") == 1 and "there is none. Expected: a terminal. Do: " in ended.err


@ONLY_ROOT
@pytest.mark.parametrize("option", ["--check", "-C", "--syntax-check", "--list-tasks"])
def test_an_option_that_only_looks_needs_no_proof(box: Sandbox, option: str) -> None:
    box.unset("new-report")
    box.set(proofs=NOT_PROVEN)
    ended = box.run(option)
    assert (ended.status, ended.out) == (0, "the output of the playbook\n")


@ONLY_ROOT
def test_verify_json_prints_the_report_and_nothing_else(box: Sandbox) -> None:
    box.set(**{"new-report": '{"ready": true}\n'})
    ended = box.run("verify", "--json", "-e", "a=b")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out) == {"ready": True}
    assert "the output of the playbook" in ended.err
    assert box.arguments() == "verify.yml [--extra-vars=a=b]", "--json is not Ansible's"


@ONLY_ROOT
def test_verify_json_keeps_the_exit_status_of_verify(box: Sandbox) -> None:
    box.set(**{"new-report": '{"ready": false}\n', "ansible-status": "2"})
    ended = box.run("verify", "--json")
    assert (ended.status, ended.out) == (2, '{"ready": false}\n')


@ONLY_ROOT
@pytest.mark.parametrize(("ansible", "status"), [("0", 1), ("4", 4)])
def test_verify_json_never_prints_the_report_of_an_earlier_run(box: Sandbox, ansible: str, status: int) -> None:
    box.unset("new-report")
    box.set(**{"report.json": '{"ready": true}\n', "ansible-status": ansible})
    ended = box.run("verify", "--json")
    assert (ended.status, ended.out) == (status, "")
    assert "this run wrote no report" in ended.err


def test_url_prints_the_address_and_nothing_else(box: Sandbox) -> None:
    box.set(token="x")
    ended = box.run("url")
    assert (ended.status, ended.out, ended.err) == (0, "http://localhost:8888/?token=stand-in\n", "")


def test_url_gives_the_reason_on_stderr(box: Sandbox) -> None:
    box.set(**{"server-down": "", "token": "x"})
    ended = box.run("url")
    assert (ended.status, ended.out, ended.err) == (1, "", "the server is not running\n")


def test_url_before_the_first_run_says_what_to_do(box: Sandbox) -> None:
    (box.bin / "colab-runtime").unlink()
    ended = box.run("url")
    assert (ended.status, ended.out) == (1, "")
    assert "not set up yet. Do: ./colab-ready" in ended.err


@ONLY_ROOT
def test_url_asks_sudo_where_the_caller_may_not_read_the_token(other: Sandbox) -> None:
    other.set(**{"sudo-without-password": ""})
    assert other.run("url").out == "http://localhost:8888/?token=stand-in\n"
    assert other.calls("sudo") == [f"sudo [-n] [--] [{other.bin}/colab-runtime] [url]"]


@ONLY_ROOT
def test_the_address_is_printed_on_a_terminal_alone(box: Sandbox) -> None:
    assert "\n  http://localhost:8888/?token=stand-in\n" in box.run_on_terminal().out
    ended = box.run()
    assert "token=" not in ended.out + ended.err and ended.out.endswith("address: ./colab-ready url\n")
    assert "token=stand-in" in box.run(COLAB_READY_SHOW_URL="1").out


@ONLY_ROOT
def test_an_address_that_cannot_be_had_does_not_undo_ready(box: Sandbox) -> None:
    box.set(**{"server-down": ""})
    ended = box.run_on_terminal()
    assert ended.status == 0 and "address: ./colab-ready url" in ended.out


@ONLY_ROOT
def test_remove_takes_every_environment_and_the_lock_away(box: Sandbox) -> None:
    box.unset("new-report")
    box.set(proofs=NOT_PROVEN)
    ended = box.run("remove")
    assert ended.status == 0, ended.err
    assert box.arguments() == "remove.yml"
    assert not box.cache.exists() and not box.own_cache.exists()


@ONLY_ROOT
@pytest.mark.parametrize(("option", "ansible"), [("--check", "0"), ("-v", "2")])
def test_remove_keeps_the_environments_when_it_did_not_remove(box: Sandbox, option: str, ansible: str) -> None:
    box.set(**{"ansible-status": ansible})
    assert box.run("remove", option).status == int(ansible)
    assert list(box.cache.glob("controller-*")) and list(box.own_cache.glob("controller-*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "there is no command 'nonsense'.*Do: ./colab-ready help"),
        (["colab_port=9000"], "there is no command .*Do: ./colab-ready -e colab_port=9000"),
        (["verfy"], "there is no command .*Do: ./colab-ready verify"),
        (["status"], "there is no command .*Do: colab-runtime status"),
        (["uninstall"], "there is no command .*Do: ./colab-ready remove"),
        (["update"], "there is no command .*Do: git pull && ./colab-ready"),
        (["--verfy"], "unrecognized arguments: --verfy.*Do: ./colab-ready verify"),
        (["--port", "9000"], "unrecognized arguments: --port 9000.*Do: -e colab_port=VALUE"),
        (["-p", "9000"], "unrecognized arguments: -p 9000.*Do: -e colab_port=VALUE"),
        (["--json"], "unrecognized arguments: --json.*Do: ./colab-ready verify --json"),
        (["-e", "colab_port"], "gives 'colab_port' no value.*Do: write -e colab_port=VALUE"),
        (["-e", "colab_port = 9000"], "gives 'colab_port' no value"),
        (["-e", "x=a b"], "gives 'b' no value"),
        (["-e", "x='a b"], "a quote that is not closed"),
        (["-e", "colab_prot=9000"], "there is no variable colab_prot.*Do: write colab_port"),
        (["-e", '{"colab_prot": 9000}'], "there is no variable colab_prot.*Do: write colab_port"),
        (["--tags", "python,nonsense"], "there is no tag 'nonsense'.*Expected: backend, jupyter, python, service, verify"),
        (["verify", "--skip-tags", "x"], "there is no tag 'x'"),
        (["remove", "--tags", "python"], "there is no tag 'python'. Expected: none: remove has no parts"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_means_nothing_is_one_message_with_what_does(box: Sandbox, words: list[str], told: str) -> None:
    ended = box.run(*words)
    assert ended.status == 2 and re.search(told, ended.err), ended.err
    assert ended.err.count("\n") == 1 and not box.calls()


@pytest.mark.parametrize("words", [["test"], ["url"], ["verify"], ["lab"], ["-v"]])
def test_help_is_ours_and_at_once(box: Sandbox, words: list[str]) -> None:
    ended = box.run(*words, "--help")
    assert ended.status == 0 and ended.out.startswith("Usage: ./colab-ready") and not box.calls()


@ONLY_ROOT
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\ncolab_port: [9000\n", "line 3 of my.yml cannot be read: "),
        ("- a\n", "line 1 of my.yml cannot be read: that is no NAME: VALUE"),
        ('{"colab_port": 9000', '-e {"colab_port": 9000 cannot be read: '),
    ],
)
def test_variables_that_are_no_yaml_are_one_message(box: Sandbox, text: str, told: str) -> None:
    box.use_real_ansible()
    (box.cwd / "my.yml").write_text(text)
    ended = box.run("-e", text if text.startswith("{") else "@my.yml")
    assert (ended.status, ended.out) == (2, ""), ended.out
    assert ended.err.startswith(f"colab-ready: {told}") and ended.err.count("\n") == 1, ended.err


@ONLY_ROOT
def test_verify_installs_nothing_to_say_that_nothing_is_set_up(box: Sandbox) -> None:
    shutil.rmtree(next(box.cache.glob("controller-*")))
    (box.bin / "colab-runtime").unlink()
    ended = box.run("verify")
    assert (ended.status, box.calls(), [*box.cache.glob("controller-*")]) == (2, [], [])
    assert "this computer is not set up. " in ended.err and ended.err.endswith("Do: ./colab-ready\n")


def test_a_folder_that_is_gone_is_one_message(box: Sandbox) -> None:
    gone = box.folder / "gone"
    gone.mkdir()
    program = f'cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))} && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", program, "sh", *box.command("-e", "@my.yml")], capture_output=True, text=True, env=box.environment
    )
    assert done.returncode == 1 and "the folder that this was started in is gone" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("help",), ("-h",), ("--help",), ("verify", "--help"), ("settings", "-h")])
def test_help_shows_every_command(box: Sandbox, arguments: tuple[str, ...]) -> None:
    ended = box.run(*arguments)
    assert ended.status == 0 and not box.calls()
    for command in ("verify", "url", "settings", "remove", "test", "lab"):
        assert f"\n  {command}" in ended.out


def test_version_is_that_of_the_changelog(box: Sandbox) -> None:
    assert box.run("--version").out == f"colab-ready {words.VERSION}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", words.VERSION)
    released = re.findall(r"(?m)^## \[?(\d+\.\d+\.\d+)", (PROJECT / "CHANGELOG.md").read_text())
    assert not released or words.VERSION == released[0]


# --- what is remembered ---------------------------------------------------------------------------------------------


def remember(
    box: Sandbox, text: str = '{"schema": 1, "settings": {"colab_port": 9000, "colab_colour": "red"}}'
) -> Path:
    path = box.state / "settings.json"
    path.write_text(text)
    path.chmod(0o644)
    return path


@ONLY_ROOT
def test_settings_says_what_is_remembered_and_with_all_the_defaults(box: Sandbox) -> None:
    assert "Nothing is remembered" in box.run("settings").out
    remember(box)
    shown = [line.split() for line in box.run("settings").out.splitlines()]
    assert shown[:2] == [
        ["colab_colour", "red", *"remembered, and not known to this version".split()],
        ["colab_port", "9000", "remembered"],
    ]
    everything = [line.split() for line in box.run("settings", "--all").out.splitlines()]
    assert shown[1] in everything and ["colab_backend", "auto", "default"] in everything
    assert ["colab_port", "8888", "default"] not in everything
    assert not box.calls()


@ONLY_ROOT
@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["colab_port"], {"colab_colour": "red"}),
        (["colab_port", "colab_colour"], {}),
        (["colab_backend"], {"colab_port": 9000, "colab_colour": "red"}),
        ([], None),
    ],
)
def test_reset_forgets_those_or_all(box: Sandbox, names: list[str], left: dict[str, Any] | None) -> None:
    path = remember(box)
    ended = box.run("settings", "--reset", *names)
    assert ended.status == 0, ended.err
    assert (json.loads(path.read_text())["settings"] if path.exists() else None) == left
    assert ("forgotten: colab_port; its default is 8888" in ended.out) is (names != ["colab_backend"])
    assert not box.calls() and not box.runs()


@ONLY_ROOT
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--reset", "colab_prot"),
            "there is no setting 'colab_prot'. Expected: a variable of colab-ready. Do: write colab_port",
        ),
        (("--reset", "x"), "there is no setting 'x'"),
        (("--rset",), "unrecognized arguments: --rset. Expected: ./colab-ready settings [--all], or --reset [NAME...]"),
        (("colab_port",), "unrecognized arguments: colab_port"),
    ],
)
def test_what_is_no_setting_is_one_message(box: Sandbox, arguments: tuple[str, ...], message: str) -> None:
    path = remember(box)
    ended = box.run("settings", *arguments)
    assert ended.status == 2 and message in ended.err and ended.err.count("\n") == 1
    assert json.loads(path.read_text())["settings"]["colab_port"] == 9000


@ONLY_ROOT
def test_damaged_settings_are_one_message_and_can_be_forgotten(box: Sandbox) -> None:
    path = remember(box, "{")
    for arguments in ((), ("--all",), ("--reset", "colab_port")):
        ended = box.run("settings", *arguments)
        assert ended.status == 1 and "is damaged" in ended.err and ended.err.count("\n") == 1, arguments
    assert box.run("settings", "--reset").status == 0
    assert not path.exists()


# --- becoming root --------------------------------------------------------------------------------------------------


@ONLY_ROOT
def test_sudo_is_asked_once_at_the_terminal_and_nothing_secret_is_among_its_arguments(other: Sandbox) -> None:
    (other.cwd / "my.yml").write_text("token: hunter2\n")
    os.chown(other.cwd / "my.yml", NOBODY, NOBODY)
    ended = other.run_on_terminal("-e", "@my.yml", types="pw\n", PIP_INDEX_URL="http://u:hunter2@mirror.invalid/simple")
    assert ended.status == 0, ended.out
    assert ended.out.count("Password: ") == 1 and "BECOME" not in ended.out
    calls = "\n".join(other.calls("sudo"))
    assert calls.count("sudo [") == 1 and "hunter2" not in (other.state / "calls").read_text()
    assert (other.state / "named").read_text() == "token: hunter2\n"
    assert other.seen_environment()["PIP_INDEX_URL"] == "http://u:hunter2@mirror.invalid/simple"


@ONLY_ROOT
def test_root_gets_an_environment_made_from_nothing(other: Sandbox) -> None:
    other.set(**{"sudo-without-password": ""})
    foreign = {"PYTHONPATH": "/x", "ANSIBLE_LIBRARY": "/x", "PIP_TARGET": "/x", "LD_PRELOAD": "", "ANYTHING": "x"}
    assert other.run(**foreign, NO_PROXY="localhost", WSL_INTEROP="/run/WSL/1_interop").status == 0
    seen = other.seen_environment()
    assert not (foreign.keys() | {"SOME_SECRET"}) & seen.keys()
    expected = {"SUDO_USER": "nobody", "SUDO_UID": str(NOBODY), "USER": "root", "LOGNAME": "root", "HOME": "/root"}
    assert {**expected, "NO_PROXY": "localhost", "WSL_INTEROP": "/run/WSL/1_interop"}.items() <= seen.items()


@ONLY_ROOT
def test_what_sudo_refuses_is_its_own_words_and_one_sentence(other: Sandbox) -> None:
    other.set(**{"sudo-refuses": ""})
    ended = other.run_on_terminal()
    assert ended.status == 1
    first, second = ended.out.strip().splitlines()
    assert first == "sudo: me is not in the sudoers file"
    assert "sudo did not let nobody become root; nothing was changed. Expected: " in second and "Do: " in second


@ONLY_ROOT
def test_a_password_without_a_terminal_is_one_message(other: Sandbox) -> None:
    ended = other.run()
    first, second = ended.err.strip().splitlines()
    assert (ended.status, first) == (1, "sudo: a password is required")
    assert "there is no terminal here" in second and "./colab-ready -e colab_user=" in second
    assert not other.calls("ansible-playbook") and not other.runs()


@ONLY_ROOT
def test_no_sudo_is_one_message(other: Sandbox) -> None:
    (other.bin / "sudo").unlink()
    ended = other.run()
    assert ended.status == 1 and ended.err.count("\n") == 1
    assert "this needs root, and there is no sudo here. Do: run it as root" in ended.err


@ONLY_ROOT
def test_from_a_notebook_it_is_one_sentence(other: Sandbox) -> None:
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("no setpriv here")
    before = other.command
    other.command = lambda *words_: [setpriv, "--no-new-privs", *before(*words_)]  # type: ignore[method-assign]  # one test's
    ended = other.run()
    assert ended.status == 1 and ended.err.count("\n") == 1 and "not from a notebook" in ended.err
    assert not other.calls("sudo")


@ONLY_ROOT
def test_ctrl_c_at_the_prompt_ends_in_peace(other: Sandbox) -> None:
    ended = other.run_on_terminal(types="\x03")
    assert ended.status == 130 and "interrupted" in ended.out and "Traceback" not in ended.out


@pytest.mark.parametrize("arguments", [("-K",), ("--become-password-file=/x",), ("--become-method", "su")])
def test_there_is_no_other_way_to_become_root(box: Sandbox, arguments: tuple[str, ...]) -> None:
    ended = box.run(*arguments)
    assert ended.status == 2 and ended.err.count("\n") == 1
    assert "has no meaning here" in ended.err and not box.calls()
    assert "ANSIBLE_BECOME_PASS has no meaning here" in box.run(ANSIBLE_BECOME_PASS="x").err


@ONLY_ROOT
def test_a_locale_that_is_not_utf_8_is_replaced(box: Sandbox) -> None:
    for told in ({"LANG": "C"}, {"LC_ALL": "C"}, {"LANG": "xx_XX.ISO-8859-1"}, {"LC_ALL": "POSIX", "LANG": "C.UTF-8"}):
        assert box.run(**told).status == 0
        seen = box.seen_environment()
        assert "UTF-8" in (seen.get("LC_ALL") or seen.get("LC_CTYPE") or seen["LANG"]), told
    assert box.run(LANG="C.UTF-8").status == 0 and "LC_ALL" not in box.seen_environment()


# --- which computer -------------------------------------------------------------------------------------------------

LOCAL = {"_meta": {"hostvars": {"here": {"ansible_connection": "local"}}}, "colab_hosts": {"hosts": ["here"]}}
REMOTE = {"_meta": {"hostvars": {"far": {}}}, "colab_hosts": {"hosts": ["far"]}}


@ONLY_ROOT
def test_an_inventory_of_this_computer_alone_runs_as_root(box: Sandbox) -> None:
    (box.cwd / "inv").write_text("x")
    box.set(listed=json.dumps(LOCAL))
    assert box.run("-i", "inv", "-l", "here").status == 0
    assert box.arguments() == "site.yml [--limit=here] [--inventory=named/0/inventory.yml]"
    assert box.calls("ansible-inventory") == ["ansible-inventory [--list] [--inventory=inv] [--limit=here]"]
    assert json.loads((box.state / "named").read_text())["all"]["hosts"] == {"here": {"ansible_connection": "local"}}


def test_other_computers_are_the_callers_own_process(box: Sandbox) -> None:
    (box.cwd / "inv").write_text("x")
    box.set(listed=json.dumps(REMOTE))
    ended = box.run("-i", "inv", "-K", SSH_AUTH_SOCK="/x", ANSIBLE_BECOME_PASS="pw", ANSIBLE_LIBRARY="/x")
    assert ended.status == 0, ended.err
    assert not box.calls("sudo")
    assert box.calls("ansible-playbook") == [
        f"ansible-playbook [{box.checkout}/playbooks/site.yml] [--inventory=inv] [--ask-become-pass]"
    ]
    assert (box.state / "directory").read_text().strip() == str(box.cwd)
    seen = box.seen_environment()
    assert seen["SSH_AUTH_SOCK"] == "/x" and seen["ANSIBLE_BECOME_PASS"] == "pw" and "ANSIBLE_LIBRARY" not in seen
    assert not box.runs() and not list(box.checkout.rglob("__pycache__"))
    said = {"null": 1, '{"ready": false}': 1, '{"ready": true}': 0}
    for proof, status in said.items():
        proofs = f'{{"far": {proof}, "here": null}}'
        box.set(proofs=proofs)
        assert box.run("-i", "inv").status == status, proofs
    box.set(**{"ansible-status": "4"})
    assert box.run("-i", "inv").status == 4
    for listed in ({}, {"_meta": {"hostvars": {}}, "colab_hosts": {"hosts": []}}):
        box.set(listed=json.dumps(listed))
        ended = box.run("-i", "inv", "-l", "x")
        assert ended.status == 1 and "no host of the group colab_hosts is meant" in ended.err


@ONLY_ROOT
@pytest.mark.parametrize(
    ("words", "planted"),
    [
        (["-i", "inv"], "inv"),
        (["-i", "inv"], "group_vars/all.yml"),
        (["-i", "inv", "--vault-password-file=program"], "program"),
        (["-c", "local", "-i", "far,", "--vault-id=a@program"], "program"),
    ],
)
def test_root_asks_no_inventory_that_somebody_else_can_change(box: Sandbox, words: list[str], planted: str) -> None:
    (box.cwd / "inv").write_text("x")
    (box.cwd / planted).parent.mkdir(exist_ok=True)
    (box.cwd / planted).write_text("x")
    os.chown(box.cwd / planted, NOBODY, NOBODY)
    box.set(listed=json.dumps(REMOTE))
    ended = box.run(*words)
    assert ended.status == 1 and f"{planted} belongs to nobody, and root would go by it" in ended.err
    assert not box.calls()


def test_an_inventory_that_is_not_there_is_one_message(box: Sandbox) -> None:
    ended = box.run("-i", "gone.yml")
    assert ended.status == 1 and ended.err.count("\n") == 1 and "the inventory gone.yml is not there" in ended.err


# --- test -----------------------------------------------------------------------------------------------------------


def test_test_runs_pytest_in_the_checkout_as_the_last_word(box: Sandbox) -> None:
    folder = box.give_environment(box.own_cache, "dev")
    ended = box.run("test", "unit", "-k", "some thing", "--no-docker")
    assert ended.status == 0, ended.err
    assert box.calls("python") == ["python [-m] [pytest] [-k] [some thing] [tests/unit] [tests/modules]"]
    assert (box.state / "directory").read_text().strip() == str(box.checkout)
    environment = box.seen_environment()
    assert environment["COLAB_READY_NO_DOCKER"] == "1" and environment["PATH"].startswith(f"{folder}/bin:")
    assert not box.calls("sudo")


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (
            (),
            "[tests/static] [tests/unit] [tests/modules] [tests/molecule] [tests/browser] [tests/door] [tests/security]",
        ),
        (("browser", "--here"), "[tests/browser] [tests/door]"),
        (("security", "-x"), "[-x] [tests/security]"),
        (("directml-real", "-x"), "[-x] [tests/upstream]"),
        (("quick", "-x"), "[-m] [quick] [-x] [tests/static] [tests/unit] [tests/modules]"),
    ],
)
def test_test_runs_the_folders_of_the_parts(box: Sandbox, arguments: tuple[str, ...], places: str) -> None:
    box.give_environment(box.own_cache, "dev")
    assert box.run("test", *arguments).status == 0
    assert box.calls("python") == [f"python [-m] [pytest] {places}"]
    assert box.seen_environment().get("COLAB_READY_TEST_HERE") == ("1" if "--here" in arguments else None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unti",), "no test part 'unti'"),
        (("unit", "--here"), "./colab-ready test browser --here"),
    ],
)
def test_a_part_that_is_not_there_is_one_message(box: Sandbox, arguments: tuple[str, ...], message: str) -> None:
    ended = box.run("test", *arguments)
    assert ended.status == 2 and message in ended.err and not box.calls()


# --- the checkout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("verify",), ("remove",), ("test", "unit")])
def test_a_checkout_that_everybody_may_write_to_is_refused(box: Sandbox, command: tuple[str, ...]) -> None:
    box.checkout.chmod(0o777)
    ended = box.run(*command)
    assert ended.status == 2 and not box.calls()
    assert f"everybody on this computer may write to {box.checkout}" in ended.err
    assert f"Do: cp -r '{box.checkout}' ~/colab-ready" in ended.err


@pytest.mark.parametrize("place", ["library", "roles", "playbooks", "tests/unit", "ansible.cfg"])
def test_nothing_runs_that_somebody_else_can_change(box: Sandbox, place: str) -> None:
    (box.checkout / place).chmod(0o777)
    ended = box.run()
    assert ended.status == 2 and not box.calls() and ended.err.count("\n") == 1
    assert re.search(rf"{box.checkout}/{place} \(of \w+\) can be changed by everybody.* runs as root.*Do: ", ended.err)


def test_nothing_runs_below_a_folder_that_somebody_else_can_change(box: Sandbox) -> None:
    box.folder.chmod(0o777)
    ended = box.run("verify")
    assert ended.status == 2 and f"{box.folder} (of " in ended.err and not box.calls()


@ONLY_ROOT
def test_nothing_of_somebody_elses_runs(box: Sandbox) -> None:
    os.chown(box.checkout / "library", NOBODY, NOBODY)
    ended = box.run("verify")
    assert ended.status == 2 and f"{box.checkout}/library belongs to nobody" in ended.err and not box.calls()
    # who calls through sudo may own it
    assert box.run("verify", SUDO_UID=str(NOBODY)).status == 0


# --- one at a time, and the end -------------------------------------------------------------------------------------


@ONLY_ROOT
def test_a_second_copy_waits_and_names_the_first(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    first = box.start()
    box.wait_for("ansible-started")
    second = box.start("verify")
    assert second.stderr is not None
    line = second.stderr.readline()
    assert re.search(
        r"another colab-ready works on this computer: ./colab-ready, process \d+, of root, since \S+; waiting", line
    )
    assert len(box.calls("ansible-playbook")) == 1
    box.unset("ansible-waits")
    assert finished(first).status == 0 and finished(second).status == 0
    assert len(box.calls("ansible-playbook")) == 2


@ONLY_ROOT
@pytest.mark.parametrize(
    ("number", "whom", "status"),
    [
        (signal.SIGINT, "group", 130),
        (signal.SIGINT, "launcher", 130),
        (signal.SIGTERM, "launcher", 143),
        (signal.SIGHUP, "launcher", 129),
    ],
)
def test_a_run_that_is_ended_ends_whole_and_leaves_nothing(box: Sandbox, number: int, whom: str, status: int) -> None:
    box.set(**{"ansible-waits": ""})
    process = box.start()
    box.wait_for("ansible-started")
    (os.killpg if whom == "group" else os.kill)(process.pid, number)
    ended = finished(process)
    assert ended.status == status, ended.err
    assert ("interrupted" in ended.err) == (status == 130) and "Traceback" not in ended.err
    assert not box.runs() and not still_there(box)


@ONLY_ROOT
def test_a_caller_that_is_killed_takes_roots_half_with_it(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    process = box.start()
    box.wait_for("ansible-started")
    process.kill()
    finished(process)
    assert wait_until(lambda: not still_there(box) and not box.runs())


@ONLY_ROOT
def test_a_killed_ansible_leaves_no_process_that_could_hold_anything(box: Sandbox) -> None:
    """Its forked worker and the module that it ran lived on, and with them the lock (F1)."""
    worker = f"exec 3>&1; trap '' TERM; while :; do sleep 0.1; done # playbooks/site.yml {box.cache}"
    box.set(**{"ansible-waits": "", "leaves": f'sh -c "{worker}"\n'})
    process = box.start()
    box.wait_for("ansible-started")
    # Beside it stands, for a moment, its fork.
    ansible = min(pid for pid, line in still_there(box).items() if "/bin/ansible-playbook" in line)
    began = time.monotonic()
    os.kill(ansible, signal.SIGKILL)
    ended = finished(process)
    # The stand-in's own shell may say "Killed" before it goes.
    said = [line for line in ended.err.splitlines() if line != "Killed"]
    assert ended.status == 137 and len(said) == 1 and "ansible-playbook was ended by signal 9" in said[0]
    assert time.monotonic() - began < 20 and not still_there(box)
    box.unset("ansible-waits", "leaves")
    again = box.run()
    assert again.status == 0 and again.err == ""


@ONLY_ROOT
def test_roots_half_that_was_killed_blocks_nobody_and_is_cleaned_up_after(box: Sandbox) -> None:
    box.set(**{"ansible-waits": ""})
    process = box.start()
    box.wait_for("ansible-started")
    os.killpg(process.pid, signal.SIGKILL)
    finished(process)
    assert box.runs()
    box.unset("ansible-waits")
    ended = box.run()
    assert ended.status == 0 and "another" not in ended.err and not box.runs()


def still_there(box: Sandbox) -> dict[int, str]:
    """The processes whose command line names a place of the sandbox."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path("/proc", name, "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if int(name) != os.getpid() and str(box.cache) in line:
            found[int(name)] = line
    return found


# --- the first file: which Python, and whose ------------------------------------------------------------------------

SHIM = "echo \"pyenv: version '3.99' is not installed (set by /home/student/.python-version)\" >&2; exit 1\n"
SHOW = "import sys\nprint(sys.executable, sys.flags.isolated, sys.flags.dont_write_bytecode, sys.argv[1:])\n"


def run_first_file(box: Sandbox, *arguments: str, **more: str) -> Ended:
    (box.checkout / "launcher" / "__main__.py").write_text(SHOW)
    done = subprocess.run(
        [box.launcher, *arguments],
        env={**box.environment, **more},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_pyenv_shim_on_path_is_not_stepped_on(box: Sandbox) -> None:
    """The real /usr/bin/python3 of this computer is taken, whatever python3 on PATH is."""
    box.stand_in(box.bin / "python3", "python3", SHIM)
    ended = run_first_file(box, "-e", "x=a b", PATH=f"{box.bin}:/usr/bin:/bin", PYTHONPATH="/elsewhere")
    assert ended.out == "/usr/bin/python3 1 1 ['-e', 'x=a b']\n", ended.err
    assert not box.calls("python3")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (SHIM, "does not run (pyenv: version '3.99' is not installed (set by /home/student/.python-version))"),
        ('echo "3 9 $0"\n', "is 3.9"),
        ("echo 2 7 /usr/bin/python\n", "does not run (2 7 /usr/bin/python)"),
    ],
)
def test_without_a_python_that_will_do_it_is_said_what_was_found(box: Sandbox, body: str, reason: str) -> None:
    shim = box.folder / "shim"
    box.stand_in(shim, "shim", body)
    ended = run_first_file(box, COLAB_READY_PYTHON=str(shim))
    assert ended.status == 1
    assert f"no Python 3.10 or newer found; {shim} {reason}. Do: " in ended.err


def test_the_tests_want_python_3_11(box: Sandbox) -> None:
    shim = box.folder / "shim"
    box.stand_in(shim, "shim", 'echo "3 10 $0"\n')
    ended = run_first_file(box, "test", COLAB_READY_PYTHON=str(shim))
    assert ended.status == 1 and "no Python 3.11 or newer found" in ended.err


def test_the_launcher_may_be_called_through_a_link(box: Sandbox) -> None:
    link = box.folder / "link"
    link.symlink_to(box.launcher)
    box.launcher = link
    assert run_first_file(box, "verify").out.endswith("['verify']\n")


@pytest.mark.parametrize("place", ["launcher", "launcher/__main__.py", "module_utils/colab_ready/files/trust.py"])
def test_the_next_file_is_not_run_where_somebody_else_can_change_it(box: Sandbox, place: str) -> None:
    (box.checkout / "launcher" / "__main__.py").write_text(SHOW)
    (box.checkout / place).chmod(0o777)
    ended = run_first_file(box)
    assert (ended.status, ended.out) == (2, "")
    assert re.search(
        rf"somebody else can change {box.checkout}/{place} \([a-z ]+ of \w+, mode 777\), which would run now", ended.err
    )


@pytest.mark.parametrize("place", ["launcher", "launcher/words.py"])
def test_the_next_file_is_not_run_where_it_is_a_link(box: Sandbox, place: str) -> None:
    (box.checkout / place).rename(box.folder / "elsewhere")
    (box.checkout / place).symlink_to(box.folder / "elsewhere")
    ended = run_first_file(box)
    assert (ended.status, ended.out) == (2, "") and f"{box.checkout}/{place} (symbolic link of " in ended.err


@pytest.mark.parametrize("name", ["json.py", "msvcrt.py"])
def test_what_lies_beside_the_launcher_is_not_imported(box: Sandbox, name: str) -> None:
    (box.checkout / name).write_text("raise SystemExit('planted')")
    done = subprocess.run(
        [box.launcher, "--version"], env=box.environment, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@ONLY_ROOT
def test_the_next_file_is_not_run_where_it_is_somebody_elses(box: Sandbox) -> None:
    os.chown(box.checkout / "launcher" / "lock.py", NOBODY, NOBODY)
    ended = run_first_file(box)
    assert (ended.status, ended.out) == (2, "") and "launcher/lock.py (regular file of nobody, mode 644)" in ended.err
    for more in ({"SUDO_UID": str(NOBODY)}, {"DOAS_USER": "nobody"}, {"USER": "nobody"}):
        assert run_first_file(box, **more).status == 0

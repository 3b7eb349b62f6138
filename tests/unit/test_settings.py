"""What may be set, and what a host remembers of it: each value of its type, memory between what is given and the defaults."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.settings import memory
from ansible.module_utils.colab_ready.settings.values import RULES, TYPES, Setting, convert, parse_table

PROJECT = Path(__file__).parents[2]
KNOWN = parse_table(json.loads((PROJECT / "roles/host_settings/files/settings.json").read_text()))
BROWSERS = ["chrome", "edge"]
OURS = (os.geteuid(), 0)

# --- the values -----------------------------------------------------------------------------------------------------

# name, type, choices; what fits, and as what it is taken; what does not fit
VALUES: list[tuple[str, Setting, list[tuple[Any, Any]], list[Any]]] = [
    # "y" and "t" are true to Ansible's type bool and false to its filter
    ("x", Setting("bool", False), [(True, True), (0, False), (1, True), ("true", True), ("False", False), ("YES", True), ("off", False), ("0", False)],
     ["maybe", "", " true", "y", "t", "n", None, 2, 1.0, [], [True], {}]),
    ("x", Setting("str", "", ["cpu", "index"]), [("cpu", "cpu")], ["CPU", "", None, True, ["cpu"], {}]),
    ("x", Setting("list", [], BROWSERS), [([], []), (["edge"], ["edge"]), ("chrome", ["chrome"]), ("chrome,edge", BROWSERS)],
     [["firefox"], "chrome, edge", "", "Edge", None, {}, [["edge"]], 1]),
    ("x", Setting("list", []), [([], []), (["a>1,<2"], ["a>1,<2"]), ("a,b", ["a", "b"])], ["", [""], [1], [None], [["a"]], None, {}, 1, True]),
    ("x", Setting("str", ""), [("a", "a"), ("", ""), (None, ""), (7, "7"), (7.2, "7.2")], [True, ["a"], {}]),
    ("x", Setting("path", "/a"), [("/b", "/b")], [True, ["/b"], {}]),
    ("x", Setting("int", 1), [(0, 0), ("12", 12)], [-1, "1.5", "ten", None, True, [1]]),
    ("a_seconds", Setting("float", 1), [(1, 1.0), (2.5, 2.5), ("10", 10.0), ("0.5", 0.5)],
     [0, 0.0, "0", -1, "-1", "ten", "", None, True, "1e3", "nan", "inf", "1\n", [1]]),
    ("a_seconds", Setting("int", 1), [(1, 1), ("3600", 3600)], [0, "0", 2.5, "2.5", -1, "ten", "", None, True, "1\n", [1]]),
    ("colab_port", Setting("int", 8888), [(8888, 8888), (" 1024 ", 1024), ("65535", 65535)], [0, 80, 65536, True, None, 8888.0, "", "http", [8888]]),
    ("jupyter_config_dir_mode", Setting("str", "0755"), [("0755", "0755"), ("0000", "0000"), (1777, "1777")],
     ["banana", 493, "755", "0o755", "0888", "", "u=rwx", "00755", "0755\n", None, True, "٠٧٥٥"]),
    ("an_origin", Setting("str", ""), [("https://colab.research.google.com", "https://colab.research.google.com"), ("http://localhost:8080", "http://localhost:8080")],
     ["*", "https://*.google.com", "https://a.b/", "a.b", "", None, 1]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "setting", "value", "taken"),
    [(name, setting, *pair) for name, setting, good, _bad in VALUES for pair in good],
    ids=repr,
)
def test_a_value_of_its_type_is_taken_as_the_roles_take_it(
    name: str, setting: Setting, value: object, taken: object
) -> None:
    found = convert(name, setting, value)
    assert (found, type(found)) == (taken, type(taken))
    assert convert(name, setting, found) == found, "what is remembered is taken as the same again"


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [(name, setting, value) for name, setting, _good, bad in VALUES for value in bad],
    ids=repr,
)
def test_a_value_of_another_type_is_named_with_what_was_expected(name: str, setting: Setting, value: object) -> None:
    with pytest.raises(Refused) as refused:
        convert(name, setting, value)
    (problem,) = refused.value.problems
    assert problem.id == name
    assert problem.what.startswith((f"{name} is ", f"{name} has ")) and name in problem.do
    assert problem.do.startswith("./colab-ready -e ")
    assert problem.do.endswith(f"; or ./colab-ready settings --reset {name}, then ./colab-ready without it")


DEFAULT = "or ./colab-ready settings --reset x, then ./colab-ready without it."
SENTENCES = [
    (Setting("bool", False), "maybe", "x is 'maybe'. Expected: true or false. Do: ./colab-ready -e x=true; " + DEFAULT),
    (Setting("str", "cpu", ["cpu", "index"]), "Idnex", "x is 'Idnex'. Expected: one of cpu, index. Do: ./colab-ready -e x=VALUE with one of them, perhaps index; " + DEFAULT),
    (Setting("list", [], BROWSERS), ["edge", "firefox"], "x has 'firefox'. Expected: a list of some of chrome, edge. Do: ./colab-ready -e '{\"x\": [\"chrome\"]}'; " + DEFAULT),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "value", "sentence"), SENTENCES, ids=lambda value: str(value)[:20])
def test_what_is_wrong_is_one_sentence(setting: Setting, value: object, sentence: str) -> None:
    with pytest.raises(Refused, match="^x ") as refused:
        convert("x", setting, value)
    assert str(refused.value) == sentence


def test_every_rule_is_tried_and_meant_for_a_setting() -> None:
    tried = {
        f"{setting.type} seconds" if name == "a_seconds" else setting.type for name, setting, _good, _bad in VALUES
    }
    assert tried >= {*TYPES, "list"}
    assert len({name for name, *_rest in VALUES}) == len(RULES) + 2
    assert set(RULES) - {".*_origin"} <= KNOWN.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_every_default_fits(name: str) -> None:
    assert convert(name, KNOWN[name], KNOWN[name].default) == KNOWN[name].default


# --- what holds -----------------------------------------------------------------------------------------------------

# the play's values, the names that are surely given, what was remembered; what is recalled, and what is remembered then
HOLDS: list[tuple[str, dict[str, Any], list[str], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("nothing", {}, [], {}, {}, {}),
    ("given", {"colab_port": "9000"}, ["colab_port"], {}, {}, {"colab_port": 9000}),
    ("remembered", {"colab_port": 8888}, [], {"colab_port": 9000}, {"colab_port": 9000}, {"colab_port": 9000}),
    ("given again", {"colab_port": 9000}, ["colab_port"], {"colab_port": 9000}, {}, {"colab_port": 9000}),
    ("another one", {"colab_port": 9001}, ["colab_port"], {"colab_port": 9000}, {}, {"colab_port": 9001}),
    ("the default, by name", {"colab_port": 8888}, ["colab_port"], {"colab_port": 9000}, {}, {"colab_port": 8888}),
    ("a play's own variable", {"colab_port": 9001}, [], {"colab_port": 9000}, {}, {"colab_port": 9001}),
    ("a role that comes later", {}, [], {"rocm_version": "7.2.4"}, {"rocm_version": "7.2.4"}, {"rocm_version": "7.2.4"}),
    ("one of two", {"colab_gpu": "1"}, ["colab_gpu"], {"colab_backend": "cpu"}, {"colab_backend": "cpu"}, {"colab_backend": "cpu", "colab_gpu": "1"}),
    ("a list, emptied", {"colab_extra_packages": []}, ["colab_extra_packages"], {"colab_extra_packages": ["a"]}, {}, {"colab_extra_packages": []}),
    ("what is not to be remembered", {"colab_restart": True}, ["colab_restart"], {}, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("current", "given", "before", "recalled", "after"), [one[1:] for one in HOLDS], ids=[one[0] for one in HOLDS]
)
def test_what_is_given_comes_before_what_is_remembered_and_that_before_a_default(
    current: dict[str, Any], given: list[str], before: dict[str, Any], recalled: dict[str, Any], after: dict[str, Any]
) -> None:
    found = memory.resolve(KNOWN, current, given, before)
    assert (found.recalled, found.memory, found.problems, found.warnings) == (recalled, after, [], [])


SECRETS = [
    ("python_env_torch_index", "https://me:hunter22@mirror/simple"),
    ("rocm_apt_address", "https://token-of-mine@mirror/rocm"),
    ("colab_extra_packages", ["seaborn", "own @ https://me:hunter22@mirror/own.whl"]),
    ("python_env_python_mirror", "https://mirror/x?sig=hunter22"),
    ("xpu_lock", "torch==1\nnumpy==2\n"),
    ("xpu_lock", "x" * 2000),
]


@pytest.mark.parametrize(("name", "value"), SECRETS, ids=repr)
def test_what_may_hold_a_password_is_not_remembered_nor_is_what_it_replaces(name: str, value: Any) -> None:
    found = memory.resolve(KNOWN, {name: value}, [name], {name: ["old"] if isinstance(value, list) else "old"})
    assert (found.recalled, found.memory, found.problems) == ({}, {}, [])
    (warning,) = found.warnings
    assert warning.startswith(f"{name} ") and "is not remembered. Do: " in warning
    assert "hunter22" not in warning


def test_a_password_is_in_no_message() -> None:
    with pytest.raises(Refused) as refused:
        convert("colab_port", KNOWN["colab_port"], "https://me:hunter22@mirror/")
    assert "hunter22" not in str(refused.value)


def test_an_address_without_a_password_is_remembered() -> None:
    address = {"python_env_torch_index": "https://mirror:8443/simple"}
    assert memory.resolve(KNOWN, address, [*address], {}).memory == address


@pytest.mark.parametrize("value", ["banana", None, True, 80, [9000], {"port": 9000}], ids=repr)
def test_a_damaged_value_is_refused_and_never_another_port(value: object) -> None:
    found = memory.resolve(KNOWN, {"colab_port": 8888}, [], {"colab_port": value, "colab_gpu": "1"})
    (problem,) = found.problems
    assert problem.id == "colab_port" and memory.FILE in problem.what
    assert "./colab-ready settings --reset colab_port" in problem.do
    assert found.recalled == {"colab_gpu": "1"}
    assert found.warnings == [problem.sentence()]
    # What is given now mends it.
    given = memory.resolve(KNOWN, {"colab_port": 9000}, ["colab_port"], {"colab_port": value})
    assert (given.problems, given.memory) == ([], {"colab_port": 9000})


def test_what_another_version_has_left_is_kept_and_named() -> None:
    before = {"colab_colour": "red", "colab_remember": False, "colab_port": 9000}
    found = memory.resolve(KNOWN, {}, [], before)
    assert (found.recalled, found.memory, found.problems) == ({"colab_port": 9000}, before, [])
    (warning,) = found.warnings
    assert warning.endswith("Do: ./colab-ready settings --reset colab_colour colab_remember")


def test_what_is_given_and_does_not_fit_is_a_problem_and_is_not_remembered() -> None:
    found = memory.resolve(
        KNOWN, {"colab_port": 80, "browser_policy_enabled": "x"}, ["colab_port"], {"colab_port": 9000}
    )
    assert [problem.id for problem in found.problems] == ["colab_port", "browser_policy_enabled"]
    assert found.recalled == {} and found.memory == {"colab_port": 9000}


def test_what_holds_beyond_the_defaults_is_on_one_line() -> None:
    held = {
        "colab_port": 9000,
        "colab_backend": "auto",
        "colab_gpu": "a\x1b[2Jb\n" * 40,
        "colab_extra_packages": ["a"],
        "gone": 1,
    }
    port, gpu, packages = memory.beyond_defaults(KNOWN, held)
    assert (port, packages) == ("colab_port=9000", 'colab_extra_packages=["a"]')
    assert gpu.isprintable() and len(gpu) < 80


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that remembers two settings."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(memory.content({"colab_port": 9000, "colab_gpu": "1"})))
    file.chmod(0o644)
    return file


def test_what_was_written_is_read(path: Path) -> None:
    assert memory.read(str(path), OURS) == {"colab_port": 9000, "colab_gpu": "1"}
    path.unlink()
    assert memory.read(str(path), OURS) == {}


DAMAGED = [
    "",
    "{",
    "[]",
    "null",
    '{"schema": 1}',
    '{"schema": 1, "settings": []}',
    '{"schema": 2, "settings": {}}',
    '{"settings": {}}',
    "[" * 9999,
]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: repr(text[:30]))
def test_a_damaged_file_is_one_message(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(Refused, match=r"is damaged.*\. Expected: .*\. Do: .*--reset"):
        memory.read(str(path), OURS)


def test_a_file_that_somebody_else_can_change_is_not_believed(path: Path, tmp_path: Path) -> None:
    path.chmod(0o666)
    with pytest.raises(Refused, match=r"can be changed by everybody.*\. Do: "):
        memory.read(str(path), OURS)
    path.chmod(0o644)
    with pytest.raises(Refused, match="belongs to"):
        memory.read(str(path), [4711])
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused, match="is damaged"):
        memory.read(str(path), OURS)


@pytest.mark.skipif(os.geteuid() != 0, reason="the file is root's")
def test_what_is_forgotten_is_gone_and_the_rest_stays(path: Path) -> None:
    path.chmod(0o600)
    assert memory.forget(["colab_port", "colab_backend"], str(path)) == ["colab_port"]
    assert memory.read(str(path)) == {"colab_gpu": "1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert memory.forget(["colab_backend"], str(path)) == []
    assert memory.forget([], str(path)) == ["colab_gpu"]
    assert not path.exists()
    assert memory.forget([], str(path)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the file is root's")
def test_a_damaged_file_can_be_forgotten_whole(path: Path) -> None:
    path.write_text("{")
    with pytest.raises(Refused):
        memory.forget(["colab_port"], str(path))
    assert memory.forget([], str(path)) == [str(path)]
    assert not path.exists()

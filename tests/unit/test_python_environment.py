"""An environment is read from its files, and compared with its desired state: what is to be done, why, and nothing more."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.python import environment
from ansible.module_utils.colab_ready.python import lock as lock_file
from ansible.module_utils.colab_ready.python.environment import Desired, Installed, Pin, Plan
from ansible.module_utils.colab_ready.python.lock import LockEntry
from ansible.module_utils.colab_ready.python.wheel import Package

HASH = ("sha256:" + "a" * 64,)
MARKERS = lock_file.marker_environment("3.11.2", "cpython", "x86_64")


def package(
    site: Path, name: str, version: str = "1.0", files: dict[str, str] | None = None, requires: tuple[str, ...] = ()
) -> Path:
    """A package as an installer leaves it."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
    content = {f"{name}/__init__.py": "", f"{folder.name}/METADATA": f"Name: {name}\nVersion: {version}\n{lines}\n"}
    content.update(files or {})
    record = []
    for path, text in content.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        quoted = f'"{path}"' if "," in path else path
        record.append(f"{quoted},sha256=x,{len(text.encode())}")
    record += [f"{name}/__pycache__/__init__.cpython-311.pyc,,", f"{folder.name}/RECORD,,"]
    (folder / "RECORD").write_text("\n".join(record) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def in_time() -> Iterator[None]:
    """What waits for ever for a writer fails."""

    def given_up(number: int, frame: Any) -> None:
        # No OSError, which the code under test would take for an answer.
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, given_up)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("planted", ["fifo", "link"])
@pytest.mark.parametrize(
    ("name", "needed", "problem"), [("METADATA", {"a"}, None), ("RECORD", {"a", "b"}, environment.NO_RECORD)]
)
def test_what_a_user_put_in_the_place_of_a_package_s_file_is_not_waited_for_nor_followed(
    tmp_path: Path, name: str, needed: set[str], problem: str | None, planted: str
) -> None:
    """Root reads the environment of a user."""
    site = tmp_path / "site"
    package(site, "b")
    path = package(site, "a", requires=("b",)) / name
    roots = [lock_file.parse_requirement("a")]
    assert environment.required_by(str(site), environment.scan(str(site)), roots, MARKERS) == {"a", "b"}
    moved = path.rename(tmp_path / name)
    if planted == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(moved)
    found = environment.scan(str(site))
    assert environment.required_by(str(site), found, roots, MARKERS) == needed
    assert problem is None or environment.examine(str(site), found["a"]) == problem


def problems(site: Path) -> dict[str, str | None]:
    return {name: environment.examine(str(site), one) for name, one in environment.scan(str(site)).items()}


# --- the interpreter ------------------------------------------------------------------------------------------------


def test_an_interpreter_tells_about_itself() -> None:
    told = {"version": "3.15.0rc1", "implementation": "cpython", "executable": "/p", "base": "/b"}
    found = environment.parse_interpreter("some noise\n" + json.dumps(told) + "\n")
    assert found is not None
    assert (found.version, found.series, found.executable, found.base) == ("3.15.0rc1", "3.15", "/p", "/b")
    assert found.markers()["python_full_version"] == "3.15.0rc1"
    assert found.markers()["platform_machine"] == os.uname().machine


def test_this_python_tells_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", environment.INTERPRETER_PROBE], capture_output=True, text=True
    )
    found = environment.parse_interpreter(done.stdout)
    assert found is not None
    assert (found.version, found.base) == (platform.python_version().rstrip("+"), os.path.realpath(found.base))


GOOD = {"version": "3.11.2", "implementation": "cpython", "executable": "/p", "base": "/b"}


@pytest.mark.parametrize(
    "output",
    [
        "", "Python 3.11", "{}", '{"version": 3}', "[]", "[" * 100_000, "9" * 10_000,
        *(json.dumps({**GOOD, "version": one}) for one in (None, [3, 11, 2], "", "3.11", "3.11.2.0", "3.-1.2", "3.11.2; import", "9" * 9)),
        *(json.dumps({**GOOD, key: 7}) for key in GOOD),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_no_interpreter(output: str) -> None:
    assert environment.parse_interpreter(output) is None


# --- the folder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (None, "missing"),
        ([], "empty"),
        (["pyvenv.cfg", "bin"], "environment"),
        (["colab-ready.json"], "environment"),
        (["thesis.tex"], "other"),
    ],
)
def test_a_folder_is_ours_only_with_our_mark(tmp_path: Path, names: list[str] | None, kind: str) -> None:
    path = tmp_path / "env"
    for name in names or []:
        path.mkdir(exist_ok=True)
        (path / name).touch()
    if names == []:
        path.mkdir()
    assert environment.kind_of(str(path)) == kind


def test_a_file_or_a_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert environment.kind_of(str(tmp_path / "file")) == "file"
    assert environment.kind_of(str(tmp_path / "link")) == "file"


def test_the_configuration_is_read_or_empty(tmp_path: Path) -> None:
    assert environment.read_config(str(tmp_path)) == {}
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nVersion_Info = 3.11.2\nnonsense\n")
    assert environment.read_config(str(tmp_path)) == {"home": "/usr/bin", "version_info": "3.11.2"}
    (tmp_path / "pyvenv.cfg").write_bytes(b"\xff\xfe\x00")
    assert environment.read_config(str(tmp_path)) == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": 99}', '"x"', "[" * 200_000, '{"schema": ' + "1" * 10_000 + "}", '{"schema": NaN}'],
)
def test_a_note_that_is_not_ours_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "colab-ready.json").write_text(text)
    assert environment.read_memory(str(tmp_path)) == {}


def test_a_part_of_a_note_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    note = {"schema": 1, "state": "complete", "packages": 3, "local": ["x"], "pinned": {"torch": "there"}}
    (tmp_path / "colab-ready.json").write_text(json.dumps(note))
    assert environment.read_memory(str(tmp_path)) == {"schema": 1, "state": "complete", "pinned": {"torch": "there"}}


@pytest.mark.parametrize("resolved", [7, None, "abc", {"a": 1}, [["nested"]]])
def test_what_was_resolved_counts_only_as_a_list_of_names(resolved: Any) -> None:
    desired = Desired(packages=[lock_file.parse_requirement("top")])
    memory = {"packages": {"specs": ["top"], "resolved": resolved}}
    assert {"top"} <= desired.names(memory)
    assert environment.compare(desired, have(top="1.0"), {}, memory).reasons in ([], ["['nested'] is missing"])


@pytest.mark.parametrize(
    "line",
    ["Requires-Dist: a ; " + "(" * 5000, "Requires-Dist: a >= " + "9" * 10_000, "Requires-Dist: a ~= x", "Requires-Dist: ===",
     "Requires-Dist: a ; python_version > '" + "1" * 9000 + "'"],
    ids=["brackets", "a long number", "no version", "no name", "a long marker"],
)  # fmt: skip
def test_metadata_that_make_no_sense_are_none(tmp_path: Path, line: str) -> None:
    """They lie in a user's environment."""
    folder = package(tmp_path, "top")
    (folder / "METADATA").write_text(f"Name: top\nVersion: 1.0\n{line}\n\n")
    installed = {
        **environment.scan(str(tmp_path)),
        **have(a="1.0"),
        "b c": Installed("b c", "x y", "b c-x y.dist-info"),
    }
    pin = Pin(lock_file.parse_requirement("top==1.0"), dependencies=True)
    desired = Desired(locked={"a": LockEntry("a", "1.0", HASH)}, pins=[pin])
    assert environment.required_by(str(tmp_path), installed, [pin.requirement], MARKERS) <= {"top", "a"}
    assert environment.unneeded(str(tmp_path), installed, ["a"], desired, MARKERS) == []


def test_a_record_with_a_field_without_end_is_unreadable(tmp_path: Path) -> None:
    folder = package(tmp_path, "top")
    (folder / "RECORD").write_text((folder / "RECORD").read_text() + '"' + "x" * 200_000 + '",,1\n')
    assert problems(tmp_path) == {"top": environment.NO_RECORD}


def test_a_note_is_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text('{"schema": 1, "state": "complete"}')
    (tmp_path / "colab-ready.json").symlink_to("elsewhere")
    assert environment.read_memory(str(tmp_path)) == {}


# --- what is installed ----------------------------------------------------------------------------------------------


def test_packages_are_named_as_pep_503_compares_them(tmp_path: Path) -> None:
    package(tmp_path, "Jupyter_Server", "2.21.0")
    package(tmp_path, "torch", "2.13.0+cpu")
    (tmp_path / "stray.dist-info").mkdir()
    found = environment.scan(str(tmp_path))
    assert environment.listing(found) == ["jupyter-server==2.21.0", "torch==2.13.0+cpu"]
    assert environment.scan(str(tmp_path / "missing")) == {}


def test_an_untouched_package_has_no_problem(tmp_path: Path) -> None:
    package(tmp_path, "a", files={"a/data,with comma.txt": "x", "../bin/a": "#!/bin/sh\n"})
    assert problems(tmp_path) == {"a": None}


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda site: (site / "a/x.py").unlink(), "lacks a file (a/x.py)"),
        (lambda site: (site / "a/x.py").write_text("changed"), "has a changed file (a/x.py)"),
        (lambda site: (site / "a/x.py").write_text(""), "has a changed file (a/x.py)"),
        (lambda site: (site / "a-1.0.dist-info/METADATA").unlink(), "lacks a file (a-1.0.dist-info/METADATA)"),
        (lambda site: (site / "a-1.0.dist-info/RECORD").unlink(), "has no readable RECORD"),
        (lambda site: (site / "a-1.0.dist-info/RECORD").write_text(""), "has no readable RECORD"),
        (lambda site: (site / "a-1.0.dist-info/RECORD").write_text("nonsense\n"), "has no readable RECORD"),
        (lambda site: (site / "a-1.0.dist-info/RECORD").write_text('"nonsense\n'), "has no readable RECORD"),
        (
            lambda site: (site / "a-1.0.dist-info/RECORD").write_text("a-1.0.dist-info/METADATA,,\na/x.py,x,many\n"),
            "lacks a file (a/x.py)",
        ),
        (lambda site: (site / "a-1.0.dist-info/RECORD").write_bytes(b"\xff\xfe"), "has no readable RECORD"),
        (lambda site: package(site, "a", "0.9"), "is there more than once (a-0.9.dist-info, a-1.0.dist-info)"),
    ],
)
def test_a_damaged_package_is_noticed(tmp_path: Path, break_it: Any, expected: str) -> None:
    package(tmp_path, "a", files={"a/x.py": "print()\n"})
    break_it(tmp_path)
    assert problems(tmp_path) == {"a": expected}


def an_environment(path: Path) -> Path:
    """One as its builder leaves it; its site-packages."""
    site = path / "lib/python3.11/site-packages"
    for name in ("pinned", "locked", "users"):
        package(site, name)
    for name in ("bin/python", "bin/activate"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    (path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    made = environment.own_files(str(path), 0.0)
    note = {
        "schema": 1,
        "state": "complete",
        "pinned": {"pinned": "", "absent": ""},
        "locked": ["locked"],
        "made": made,
    }
    note["left_out"] = {"absent": "absent==1"}
    (path / environment.MEMORY).write_text(json.dumps(note))
    return site


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path, site: None, []),
        (lambda path, site: shutil.rmtree(site / "users-1.0.dist-info"), []),
        (lambda path, site: shutil.rmtree(site / "locked-1.0.dist-info"), ["locked is missing"]),
        (lambda path, site: (site / "pinned-1.0.dist-info/RECORD").unlink(), ["pinned has no readable RECORD"]),
        (lambda path, site: (path / "pyvenv.cfg").unlink(), ["its pyvenv.cfg is missing or unreadable"]),
        (lambda path, site: (path / environment.MEMORY).unlink(), ["its colab-ready.json is missing or unreadable"]),
        (lambda path, site: (path / "bin/activate").unlink(), ["files of its own are missing (bin/activate)"]),
        (lambda path, site: shutil.rmtree(path), ["its pyvenv.cfg is missing or unreadable"]),
    ],
)
def test_the_note_of_who_built_it_tells_a_damaged_environment(tmp_path: Path, break_it: Any, said: list[str]) -> None:
    path = tmp_path / "env"
    break_it(path, an_environment(path))
    assert environment.damages(str(path)) == said


def test_a_file_in_place_of_a_package_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a-1.0.dist-info").touch()
    assert problems(tmp_path) == {"a": "has no readable RECORD"}


def test_what_came_from_an_address_is_not_the_locked_one(tmp_path: Path) -> None:
    package(tmp_path, "a", files={"a-1.0.dist-info/direct_url.json": "{}", "a/x.py": "x"})
    one = environment.scan(str(tmp_path))["a"]
    assert environment.examine(str(tmp_path), one) == "was installed from an address of its own"
    assert environment.examine(str(tmp_path), one, from_address=True) is None
    (tmp_path / "a/x.py").unlink()
    assert environment.examine(str(tmp_path), one, from_address=True) == "lacks a file (a/x.py)"


def test_what_a_package_pulls_in_is_followed_with_markers_and_extras(tmp_path: Path) -> None:
    package(tmp_path, "top", requires=("mid>=1", "gone ; sys_platform == 'win32'", 'opt ; extra == "more"', "missing"))
    package(tmp_path, "mid", requires=("leaf (>=1.0)", "top"))
    for name in ("leaf", "opt", "gone", "stranger"):
        package(tmp_path, name)
    installed = environment.scan(str(tmp_path))

    def roots(text: str) -> set[str]:
        return environment.required_by(str(tmp_path), installed, [lock_file.parse_requirement(text)], MARKERS)

    assert roots("top") == {"top", "mid", "leaf"}
    assert roots("top[more]") == {"top", "mid", "leaf", "opt"}
    assert roots("missing") == set()


# --- what is to be done ---------------------------------------------------------------------------------------------


def have(**versions: str) -> dict[str, Installed]:
    return {name: Installed(name, version, f"{name}-{version}.dist-info") for name, version in versions.items()}


def locked(**versions: str) -> dict[str, LockEntry]:
    return {name: LockEntry(name, version, HASH) for name, version in versions.items()}


def asked(*texts: str) -> list[lock_file.Requirement]:
    return [lock_file.parse_requirement(text) for text in texts]


TORCH = Pin(lock_file.parse_requirement("torch==2.13.0+cpu"))
TORCH_OR_DEFAULT = Pin(TORCH.requirement, default=lock_file.parse_requirement("torch==2.13.0"))
LOCAL = Package("ours", "0.1", "/src/ours", {"ours/__init__.py": b""})


def steps(plan: Plan) -> dict[str, Any]:
    """A plan without the empty steps."""
    return {
        key: value
        for key, value in {
            "locked": [entry.name for entry in plan.locked],
            "pins": [pin.name for pin in plan.pins],
            "bringing": plan.bringing,
            "packages": plan.packages,
            "local": [one.name for one in plan.local],
            "remove": plan.remove,
            "reinstall": plan.reinstall,
        }.items()
        if value
    }


CASES: list[tuple[str, Desired, dict[str, Installed], dict[str, str], dict[str, Any], dict[str, Any], list[str]]] = [
    ("nothing wanted, nothing there", Desired(), {}, {}, {}, {}, []),
    ("all there", Desired(locked(a="1.0", b="2")), have(a="1.0.0", b="2"), {}, {}, {}, []),
    ("one missing", Desired(locked(a="1", b="2")), have(a="1"), {}, {}, {"locked": ["b"]}, ["b is missing"]),
    (
        "a moved version goes back",
        Desired(locked(a="1")),
        have(a="1.1"),
        {},
        {},
        {"locked": ["a"]},
        ["a 1.1 is installed, 1 is wanted"],
    ),
    (
        "a damaged one is put there again",
        Desired(locked(a="1", b="2")),
        have(a="1", b="2"),
        {"a": "lacks a file (a/x.py)"},
        {},
        {"locked": ["a"], "reinstall": {"a"}},
        ["a lacks a file (a/x.py)"],
    ),
    ("a user's own package stays", Desired(locked(a="1")), have(a="1", own="3"), {}, {}, {}, []),
    (
        "a foreign package goes if it is to be exact",
        Desired(locked(a="1"), exact=True),
        have(a="1", own="3"),
        {},
        {},
        {"remove": ["own"]},
        ["own==3 is not wanted here"],
    ),
    (
        "an exact environment keeps what its packages came to",
        Desired(locked(a="1"), packages=asked("top"), exact=True),
        have(a="1", top="1", dep="1", own="3"),
        {},
        {"packages": {"specs": ["top"], "resolved": ["dep", "top"]}},
        {"remove": ["own"]},
        ["own==3 is not wanted here"],
    ),
    ("the pinned build", Desired(pins=[TORCH]), have(torch="2.13.0+cpu"), {}, {}, {}, []),
    (
        "another build of the pinned version",
        Desired(pins=[TORCH]),
        have(torch="2.13.0+cu121"),
        {},
        {},
        {"pins": ["torch"], "reinstall": {"torch"}},
        ["torch 2.13.0+cu121 is installed, 2.13.0+cpu is wanted"],
    ),
    ("another build, where that is allowed", Desired(pins=[TORCH_OR_DEFAULT]), have(torch="2.13.0"), {}, {}, {}, []),
    (
        "a package without a lock",
        Desired(packages=asked("top>=1")),
        {},
        {},
        {},
        {"packages": True},
        ["top is missing"],
    ),
    (
        "a package without a lock is there",
        Desired(packages=asked("top>=1")),
        have(top="1.5", dep="1"),
        {},
        {"packages": {"specs": ["top>=1"], "resolved": ["dep", "top"]}},
        {},
        [],
    ),
    (
        "a user's newer version of it stays",
        Desired(packages=asked("top>=1")),
        have(top="7", dep="9"),
        {},
        {"packages": {"specs": ["top>=1"], "resolved": ["dep", "top"]}},
        {},
        [],
    ),
    (
        "what it needs is gone",
        Desired(packages=asked("top")),
        have(top="1"),
        {},
        {"packages": {"specs": ["top"], "resolved": ["dep", "top"]}},
        {"packages": True},
        ["dep is missing"],
    ),
    (
        "what it needs is damaged",
        Desired(packages=asked("top")),
        have(top="1", dep="1"),
        {"dep": "lacks a file (dep/x.py)"},
        {"packages": {"specs": ["top"], "resolved": ["dep", "top"]}},
        {"packages": True, "reinstall": {"dep"}},
        ["dep lacks a file (dep/x.py)"],
    ),
    (
        "its version does not do",
        Desired(packages=asked("top<2")),
        have(top="2"),
        {},
        {"packages": {"specs": ["top<2"], "resolved": ["top"]}},
        {"packages": True},
        ["top 2 is installed, top<2 is wanted"],
    ),
    (
        "another desired than last time",
        Desired(packages=asked("top[more]")),
        have(top="2"),
        {},
        {"packages": {"specs": ["top"], "resolved": ["top"]}},
        {"packages": True},
        ["other packages are asked for than last time"],
    ),
    (
        "after a moved lock, uv looks whether they still fit",
        Desired(locked(a="2"), packages=asked("top")),
        have(a="1", top="1"),
        {},
        {"packages": {"specs": ["top"], "resolved": ["a", "top"]}},
        {"locked": ["a"], "packages": True},
        ["a 1 is installed, 2 is wanted"],
    ),
    (
        "a source that changed",
        Desired(local=[LOCAL]),
        have(ours="0.1"),
        {},
        {"local": {"ours": "older"}},
        {"local": ["ours"]},
        ["the source of ours changed"],
    ),
    ("a source that did not", Desired(local=[LOCAL]), have(ours="0.1"), {}, {"local": {"ours": LOCAL.digest}}, {}, []),
    (
        "a version that is none",
        Desired(locked(a="1")),
        {"a": Installed("a", "unknown", "a-unknown.dist-info")},
        {},
        {},
        {"locked": ["a"]},
        ["a unknown is installed, 1 is wanted"],
    ),
]


@pytest.mark.parametrize(
    ("desired", "installed", "found", "memory", "expected", "reasons"),
    [case[1:] for case in CASES],
    ids=[c[0] for c in CASES],
)
def test_only_what_differs_is_done(
    desired: Desired,
    installed: dict[str, Installed],
    found: dict[str, str],
    memory: dict[str, Any],
    expected: dict[str, Any],
    reasons: list[str],
) -> None:
    plan = environment.compare(desired, installed, found, memory)
    assert steps(plan) == expected
    assert plan.reasons == reasons
    assert plan.empty is not bool(expected)


def test_the_listing_afterwards_is_known_before() -> None:
    desired = Desired(locked(a="2"), [TORCH], asked("top>=1", "a"), [LOCAL], exact=True)
    installed = have(a="1", own="3")
    plan = environment.compare(desired, installed, {}, {})
    assert environment.predicted(desired, plan, installed, {}) == [
        "a==2",
        "ours==0.1",
        "top>=1 (version decided when it is installed)",
        "torch==2.13.0+cpu",
    ]


def test_nothing_to_do_lists_what_is_there() -> None:
    desired, installed = Desired(locked(a="1")), have(a="1", own="3")
    plan = environment.compare(desired, installed, {}, {})
    assert environment.predicted(desired, plan, installed, {}) == environment.listing(installed) == ["a==1", "own==3"]


# --- pins that bring what they depend on ----------------------------------------------------------------------------

AMD = Pin(lock_file.parse_requirement("torch[device-gfx1201]==2.13.0+rocm10.0.0"), dependencies=True)


def amd_site(site: Path, **without: str) -> dict[str, Installed]:
    """torch of AMD with what it needs, but for the packages and versions in `without` (an empty version: not there)."""
    package(
        site,
        "torch",
        "2.13.0+rocm10.0.0",
        requires=(
            "core==10.0.0",
            "locked<1",
            "win ; sys_platform == 'win32'",
            "gfx1201==10.0.0 ; extra == 'device-gfx1201'",
            "gfx1100==10.0.0 ; extra == 'device-gfx1100'",
        ),
    )
    for name, version in {"core": "10.0.0", "gfx1201": "10.0.0", "below": "1", "locked": "1", **without}.items():
        if version:
            package(site, name, version, requires={"core": ("below",), "locked": ("what-a-lock-has",)}.get(name, ()))
    return environment.scan(str(site))


@pytest.mark.parametrize(
    ("without", "came"),
    [
        ({}, {"torch", "core", "gfx1201", "below", "locked"}),
        ({"gfx1100": "10.0.0"}, {"torch", "core", "gfx1201", "below", "locked"}),
        ({"core": ""}, {"torch", "gfx1201", "locked"}),
        ({"core": "1x"}, {"torch", "core", "gfx1201", "below", "locked"}),
    ],
    ids=["all there", "another extra's", "a need is missing", "no version"],
)
def test_what_a_pin_brings_is_read_from_what_is_installed(
    tmp_path: Path, without: dict[str, str], came: set[str]
) -> None:
    installed = amd_site(tmp_path, **without)
    assert environment.required_by(str(tmp_path), installed, [AMD.requirement], MARKERS) == came


@pytest.mark.parametrize(
    ("desired", "own_needs", "gone"),
    [
        (Desired(pins=[AMD]), (), ["gfx1100", "old"]),
        (Desired(pins=[AMD], packages=asked("gfx1100")), (), ["old"]),
        (Desired(locked(old="1"), [AMD]), (), ["gfx1100"]),
        (Desired(pins=[AMD]), ("old",), ["gfx1100"]),
        (Desired(), (), ["below", "core", "gfx1100", "gfx1201", "old", "torch"]),
    ],
    ids=["of another card", "asked for", "locked now", "a user's own needs it", "nothing is pinned"],
)
def test_what_came_with_a_pin_and_nothing_needs_any_more_is_known(
    tmp_path: Path, desired: Desired, own_needs: tuple[str, ...], gone: list[str]
) -> None:
    amd_site(tmp_path, gfx1100="10.0.0", old="1")
    package(tmp_path, "own", requires=own_needs)
    installed = environment.scan(str(tmp_path))
    came = ["core", "below", "gfx1201", "gfx1100", "old", "gone-long-ago", *(() if desired.pins else ("torch",))]
    assert environment.unneeded(str(tmp_path), installed, came, desired, MARKERS) == gone


CAME = {"bringing": {"torch": AMD.requirement.text}, "brought": {"core": "10", "gfx1201": "10"}}
THERE = have(torch="2.13.0+rocm10.0.0", core="10.0", gfx1201="10")


@pytest.mark.parametrize(
    ("installed", "found", "memory", "expected", "reasons"),
    [
        (THERE, {}, CAME, {}, []),
        ({}, {}, {}, {"pins": ["torch"], "bringing": True}, ["torch is missing"]),
        (
            THERE,
            {},
            {**CAME, "brought": {**CAME["brought"], "deep": "1"}},
            {"bringing": True},
            ["deep is missing"],
        ),
        (
            {**THERE, **have(core="11")},
            {},
            CAME,
            {"bringing": True},
            ["core 11 is installed, 10 is wanted"],
        ),
        (
            THERE,
            {"core": "lacks a file (x)"},
            CAME,
            {"bringing": True, "reinstall": {"core"}},
            ["core lacks a file (x)"],
        ),
        (
            THERE,
            {},
            {**CAME, "bringing": {"torch": "torch[device-gfx1100]==2.13.0+rocm10.0.0"}},
            {"bringing": True},
            ["torch[device-gfx1201]==2.13.0+rocm10.0.0 was not asked for last time"],
        ),
        (THERE, {}, {}, {"bringing": True}, ["torch[device-gfx1201]==2.13.0+rocm10.0.0 was not asked for last time"]),
    ],
    ids=["all there", "nothing there", "one is missing", "one was moved", "one is damaged", "another card", "no note"],
)
def test_uv_looks_at_a_pin_again_only_if_something_it_brings_is_wrong(
    installed: dict[str, Installed],
    found: dict[str, str],
    memory: dict[str, Any],
    expected: dict[str, Any],
    reasons: list[str],
) -> None:
    plan = environment.compare(Desired(pins=[AMD]), installed, found, memory)
    assert steps(plan) == expected
    assert plan.reasons == reasons
    assert plan.for_uv is bool(expected)


def test_what_came_with_a_pin_is_known_before_it_comes_again() -> None:
    desired = Desired(pins=[AMD])
    plan = environment.compare(desired, have(torch="2.13.0+rocm10.0.0", core="11"), {}, CAME)
    assert environment.predicted(desired, plan, {}, CAME) == ["core==10", "gfx1201==10"]


def test_an_exact_environment_keeps_what_its_pins_brought() -> None:
    installed = {**THERE, **have(own="3")}
    assert environment.compare(Desired(pins=[AMD], exact=True), installed, {}, CAME).remove == ["own"]
    assert environment.compare(Desired(pins=[AMD], exact=True), installed, {}, {}).remove == ["core", "gfx1201", "own"]
    alone = Pin(AMD.requirement)
    assert environment.compare(Desired(pins=[alone], exact=True), installed, {}, CAME).remove == [
        "core",
        "gfx1201",
        "own",
    ]


def test_a_file_that_was_taken_out_is_not_missed(tmp_path: Path) -> None:
    package(tmp_path, "torch", files={environment.BUNDLED_HSA: "x", environment.BUNDLED_HSA + ".1": "x"})
    found = environment.scan(str(tmp_path))["torch"]
    assert environment.bundled_hsa(str(tmp_path)) == [environment.BUNDLED_HSA, environment.BUNDLED_HSA + ".1"]
    for one in environment.bundled_hsa(str(tmp_path)):
        (tmp_path / one).unlink()
    assert environment.bundled_hsa(str(tmp_path)) == []
    assert environment.bundled_hsa(str(tmp_path / "nothing")) == []
    assert environment.examine(str(tmp_path), found) == f"lacks a file ({environment.BUNDLED_HSA})"
    assert environment.examine(str(tmp_path), found, taken_out=environment.BUNDLED_HSA) is None
    (tmp_path / "torch" / "__init__.py").unlink()
    assert (
        environment.examine(str(tmp_path), found, taken_out=environment.BUNDLED_HSA)
        == "lacks a file (torch/__init__.py)"
    )


def test_a_file_that_is_to_go_is_no_work_for_uv() -> None:
    plan = environment.compare(Desired(), {}, {}, {}, [environment.BUNDLED_HSA])
    assert (plan.for_uv, plan.empty, plan.take_out) == (False, False, [environment.BUNDLED_HSA])
    assert plan.reasons == [f"{environment.BUNDLED_HSA} is there, and hides the system's"]

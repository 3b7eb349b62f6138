"""Whether a host can run torch-directml: each thing in the way is said, all at once, before anything is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.colab_ready.backends import rules as gpu_rules
from ansible.module_utils.colab_ready.backends.directml import plan as directml
from ansible.module_utils.colab_ready.backends.directml.limits import warnings_for
from ansible.module_utils.colab_ready.backends.directml.plan import LIBRARIES, PythonState, Seen
from ansible.module_utils.colab_ready.python import fetched
from ansible.module_utils.colab_ready.python import lock as lock_file

NAME = "0.2.5.dev240914"
RELEASE = {"package": "torch-directml", "version": NAME, "torch": "2.4.1", "python": ">=3.10,<3.13", "lock": "a.txt"}
RELEASES = {NAME: {**RELEASE, "lock_index": "b.txt"}}
GOOD = Seen(
    architecture="x86_64", wsl=2, dxg=True, dxg_failure=None, libraries=dict.fromkeys(LIBRARIES, True), stubs={},
    python=PythonState(fitting="/usr/bin/python3"),
)  # fmt: skip
NEW = PythonState(rejected=["/usr/bin/python3 is 3.13.5"], series="3.12")
STUB = "/home/a/site-packages/torch_directml/libdxcore.so"

# what is wrong: what differs, the problems' ids, words of the message
CASES: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "nothing": ({}, [], []),
    "an arm64 PC": ({"architecture": "aarch64"}, ["directml_architecture"], ["aarch64", "x86-64", "colab_backend: cpu"]),
    "bare Linux": ({"wsl": None, "dxg": False}, ["directml_wsl"], ["not WSL", "colab_backend: auto or cpu"]),
    "WSL 1": ({"wsl": 1}, ["directml_wsl"], ["WSL 1", "wsl --set-version NAME 2"]),
    "no adapter": ({"dxg": False, "dxg_failure": "dxg_missing"}, ["directml_dxg"], ["/dev/dxg", "is not there", "wsl --update", "driver"]),
    "dxg is not for this user": ({"dxg": False, "dxg_failure": "dxg_denied"}, ["directml_dxg"], ["may not open", "wsl --shutdown", "udev"]),
    "dxg lost Windows": ({"dxg": False, "dxg_failure": "dxg_no_device"}, ["directml_dxg"], ["connection", "wsl --shutdown"]),
    "whether dxg works is not known": ({"dxg": None}, [], []),
    "arm64 and bare Linux and an old Python": (
        {"architecture": "aarch64", "wsl": None, "python": PythonState()}, ["directml_architecture"], ["aarch64"],
    ),
    "no libraries at all": ({"libraries": {}}, ["directml_libraries"], [*LIBRARIES, "are not in", "wsl --update"]),
    "one library is missing": (
        {"libraries": {**dict.fromkeys(LIBRARIES, True), "libdxcore.so": False}}, ["directml_libraries"], ["libdxcore.so is not in"],
    ),
    "the wheel's stubs": (
        {"stubs": {"libdxcore.so": STUB}}, ["directml_stubs"], ["/home/a/site-packages/torch_directml", "ld.so.conf.d", "LD_LIBRARY_PATH"],
    ),
    "files of those names among the system's own": (
        {"stubs": {"libdxcore.so": "/lib/x86_64-linux-gnu/libdxcore.so"}}, ["directml_stubs"],
        ["take /lib/x86_64-linux-gnu/libdxcore.so away", "dpkg -S /lib", "sudo ldconfig"],
    ),
    "Python 3.13, a download that answers": ({"python": NEW}, [], []),
    "Python 3.13, no network": (
        {"python": replace(NEW, unreachable="github.com cannot be reached (Name or service not known)")},
        ["directml_python"],
        ["/usr/bin/python3 is 3.13.5", "Python 3.12", "github.com", "python_env_python_mirror", "python_env_python"],
    ),
    "Python 3.13, fetching forbidden": (
        {"python": replace(NEW, fetch_allowed=False)}, ["directml_python"], ["none may be fetched", "colab_python_fetch"],
    ),
    "a named Python that does not fit": (
        {"python": PythonState(rejected=["/opt/py/bin/python is 3.14.0"], named=True, series="3.12")},
        ["directml_python"], ["python_env_python does not fit", "3.14.0"],
    ),
    "no Python at all": ({"python": PythonState(fetch_allowed=False)}, ["directml_python"], ["there is none in /usr/bin"]),
    "libraries and Python and stubs": (
        {"libraries": {}, "stubs": {"libdxcore.so": STUB}, "python": PythonState(fetch_allowed=False)},
        ["directml_libraries", "directml_stubs", "directml_python"], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_in_the_way_is_said_with_what_to_do(case: str) -> None:
    differs, ids, words = CASES[case]
    problems = directml.judge(NAME, RELEASES, "cpu", replace(GOOD, **differs))
    assert [problem.id for problem in problems] == ids
    text = " ".join(problem.sentence() for problem in problems)
    assert all(word in text for word in words), text
    for problem in problems:
        assert problem.expected and problem.do
        assert ".." not in problem.sentence().replace("FOLDER", "")


@pytest.mark.parametrize(
    ("name", "releases", "build", "words"),
    [
        ("0.3", RELEASES, "cpu", ["'0.3'", "one of 0.2.5.dev240914", "directml_releases"]),
        ("x", {"x": {**RELEASE, "torch": ""}}, "cpu", ["lacks torch"]),
        ("x", {"x": None}, "cpu", ["lacks package, version, torch, python"]),
        ("x", {"x": RELEASE}, "index", ["no lock_index", "directml_torch_build: cpu"]),
        ("x", {"x": {**RELEASE, "lock": ""}}, "cpu", ["no lock", "give it a lock"]),
        ("x", {"x": {**RELEASE, "python": "new"}}, "cpu", ["wrong python", "'new'"]),
    ],
)
def test_a_release_that_cannot_be_installed_is_refused(name: str, releases: Any, build: str, words: list[str]) -> None:
    (problem,) = directml.judge(name, releases, build, GOOD)
    assert problem.id == "directml_release"
    assert all(word in problem.sentence() for word in words), problem.sentence()


# --- the loader -----------------------------------------------------------------------------------------------------

WSL_LINES = "".join(f"\t{name} (libc6,x86-64) => /usr/lib/wsl/lib/{name}\n" for name in LIBRARIES)
STUB_LINE = f"\tlibdxcore.so (libc6,x86-64) => {STUB}\n"


@pytest.mark.parametrize(
    ("printed", "stubs"),
    [
        ("", {}),
        (f"3 libs found in cache `/etc/ld.so.cache'\n{WSL_LINES}", {}),
        (WSL_LINES + STUB_LINE, {}),
        (STUB_LINE + WSL_LINES, {"libdxcore.so": STUB}),
        (STUB_LINE, {"libdxcore.so": STUB}),
        (STUB_LINE.replace("x86-64", "x32"), {}),
        (STUB_LINE.replace("libdxcore.so ", "libdxcore.so.1 "), {}),
    ],
    ids=["nothing", "WSL's", "WSL's first", "a stub first", "a stub alone", "of another processor", "of another name"],
)
def test_a_stub_counts_where_the_loader_would_take_it(printed: str, stubs: dict[str, str]) -> None:
    assert directml.stubs_in_cache(printed) == stubs


# --- what its user should know --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torch", "named", "unnamed"),
    [
        ("2.2.1", ["CVE-2025-32434", "CVE-2026-24747"], []),
        ("2.4.1+cpu", ["PyTorch 2.4.1,", "CVE-2025-32434", "CVE-2026-24747"], ["+cpu"]),
        ("2.6.0", ["CVE-2026-24747"], ["CVE-2025-32434"]),
        ("2.13.0+cpu", [], ["CVE"]),
    ],
)
def test_the_warnings_name_the_holes_of_this_torch_and_no_others(
    torch: str, named: list[str], unnamed: list[str]
) -> None:
    text = "\n".join(warnings_for(torch))
    always = ["maintenance mode", "float64", "complex", "bfloat16", "foreach=False"]
    assert all(word in text for word in [*always, *named]), text
    assert not [word for word in unnamed if word in text]


# --- the releases that are shipped ----------------------------------------------------------------------------------


def shipped(project: Path) -> dict[str, dict[str, Any]]:
    text = (project / "roles" / "directml" / "vars" / "main.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["__directml_known_releases"])


def test_the_releases_are_those_that_were_tried(project: Path) -> None:
    found = {name: (row["torch"], row["torchvision"], row["numpy"]) for name, row in shipped(project).items()}
    assert found == {"0.2.5.dev240914": ("2.4.1", "0.19.1", ""), "0.2.1.dev240521": ("2.2.1", "0.17.1", "<2")}


@pytest.mark.parametrize("name", ["0.2.5.dev240914", "0.2.1.dev240521"])
@pytest.mark.parametrize("minor", [10, 11, 12])
def test_the_locks_hold_all_but_what_is_pinned(project: Path, name: str, minor: int) -> None:
    row = shipped(project)[name]
    assert not directml.judge(name, shipped(project), "cpu", GOOD)
    assert not directml.judge(name, shipped(project), "index", GOOD)
    assert len(row["hashes"]) == len(set(row["hashes"])) == 10
    assert lock_file.matches(f"3.{minor}.1", row["python"])
    python = lock_file.marker_environment(f"3.{minor}.1", "cpython", "x86_64")
    locks = {}
    for key in ("lock", "lock_index"):
        text = (project / "roles" / "directml" / "files" / row[key]).read_text(encoding="utf-8")
        locks[key] = lock_file.select(lock_file.parse_lock(text), python)
    small, big = locks["lock"], locks["lock_index"]
    needed = {
        "ipykernel",
        "numpy",
        "pillow",
        "sympy",
        "networkx",
        "jinja2",
        "fsspec",
        "filelock",
        "typing-extensions",
        "pip",
    }
    assert needed <= set(small)
    assert not [one for one in small if one.startswith(("torch", "nvidia", "triton"))]
    assert {one: entry.version for one, entry in small.items()} == {one: big[one].version for one in small}
    added = set(big) - set(small)
    assert {one for one in added if not one.startswith("nvidia-")} <= {"torch", "torchvision", "triton"}
    assert (big["torch"].version, big["torchvision"].version) == (row["torch"], row["torchvision"])
    assert len([one for one in added if one.startswith("nvidia-")]) == 12
    assert not row["numpy"] or lock_file.matches(small["numpy"].version, row["numpy"])


def test_the_pythons_of_a_release_are_those_for_which_there_are_wheels(project: Path) -> None:
    backend = next(one for one in gpu_rules.BACKENDS if one.name == "directml")
    for row in shipped(project).values():
        fitting = [minor for minor in range(5, 20) if lock_file.matches(f"3.{minor}.1", row["python"])]
        assert max(fitting) == backend.python[1]
        assert min(fitting) >= backend.python[0]


# --- a Python to fetch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requires", "series"),
    [
        (">=3.10,<3.13", "3.12"),
        (">=3.10,<3.15", "3.14"),
        ("==3.11.*", "3.11"),
        (">=3.8,<3.10", None),
        (">=3.12,<3.13", "3.12"),
    ],
)
def test_the_newest_python_that_fits_is_fetched(requires: str, series: str | None) -> None:
    assert fetched.series_for(requires) == series


def test_fetched_pythons_are_found_newest_first_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in (
        "cpython-3.9.20-linux-x86_64-gnu",
        "cpython-3.12.9-linux-x86_64-gnu",
        "cpython-3.12.16-linux-x86_64-gnu",
        ".temp",
    ):
        python = tmp_path / name / "bin" / f"python3.{name.split('.')[1] if name[0] == 'c' else '12'}"
        python.parent.mkdir(parents=True)
        python.touch()
    (tmp_path / "cpython-3.12-linux-x86_64-gnu").symlink_to("cpython-3.12.16-linux-x86_64-gnu")
    (tmp_path / "cpython-3.13.1-linux-x86_64-gnu").symlink_to("cpython-3.12.16-linux-x86_64-gnu")
    (tmp_path / "cpython-3.11.1-linux-x86_64-gnu").mkdir()
    found = [path.removeprefix(str(tmp_path)).split("/")[1] for path in fetched.pythons_in(str(tmp_path))]
    assert found == [f"cpython-{one}-linux-x86_64-gnu" for one in ("3.12.16", "3.12.9", "3.9.20")]
    assert fetched.pythons_in(str(tmp_path / "none")) == []

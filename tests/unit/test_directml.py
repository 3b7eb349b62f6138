"""Whether a host can run torch-directml: each thing in the way is said, all at once, before anything is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.base import SETTING, HostFacts, judge
from ansible.module_utils.colab_ready.backends.directml import plan as directml
from ansible.module_utils.colab_ready.backends.directml import releases
from ansible.module_utils.colab_ready.backends.directml.judge import BACKEND as DIRECTML
from ansible.module_utils.colab_ready.backends.directml.limits import warnings_for
from ansible.module_utils.colab_ready.backends.directml.plan import LIBRARIES
from ansible.module_utils.colab_ready.gpu.catalog import YES
from ansible.module_utils.colab_ready.python import fetched
from ansible.module_utils.colab_ready.python import lock as lock_file

NAME = "0.2.5.dev240914"
RELEASE = {"package": "torch-directml", "version": NAME, "torch": "2.4.1", "python": ">=3.10,<3.13", "lock": "a.txt"}
RELEASES = {NAME: {**RELEASE, "lock_index": "b.txt"}}
STUB = "/home/a/site-packages/torch_directml/libdxcore.so"
RADEON = {"vendor_id": "1002", "device_id": "744c", "revision": "c8"}
WSL = HostFacts(wsl=2, dxg=True, d3d12=True, dxcore=True, pythons=("3.12",))

# what the loader takes from elsewhere; words of the message
STUBS: dict[str, tuple[str, list[str]]] = {
    "the wheel's stubs": (STUB, ["/home/a/site-packages/torch_directml", "ld.so.conf.d", "LD_LIBRARY_PATH"]),
    "files of those names among the system's own": (
        "/lib/x86_64-linux-gnu/libdxcore.so",
        ["take /lib/x86_64-linux-gnu/libdxcore.so away", "dpkg -S /lib", "sudo ldconfig"],
    ),
}


@pytest.mark.parametrize("case", STUBS)
def test_stubs_are_named_with_the_way_to_get_rid_of_them(case: str) -> None:
    path, words = STUBS[case]
    (problem,) = directml.check_stubs({"libdxcore.so": path})
    assert problem.id == "directml_stubs" and problem.expected
    assert all(word in problem.sentence() for word in words), problem.sentence()
    assert not directml.check_stubs({})


def test_a_python_that_cannot_be_fetched_is_said_with_the_ways_out() -> None:
    python = {"requires": ">=3.10,<3.13", "use": "3.12", "path": None, "fetch": True}
    (problem,) = directml.check_download(python, "3.13.5", "github.com cannot be reached (Name or service not known)")
    words = ["(3.13.5)", "Python 3.12", "github.com", "python_env_python_mirror", "python_env_python"]
    assert all(word in problem.sentence() for word in words), problem.sentence()
    assert not directml.check_download(python, "3.13.5", None)


@pytest.mark.parametrize(
    ("name", "rows", "build", "words"),
    [
        ("0.3", RELEASES, "cpu", ["'0.3'", "one of 0.2.1.dev240521 and 0.2.5.dev240914", "directml_releases"]),
        ("x", {"x": {**RELEASE, "torch": ""}}, "cpu", ["lacks torch"]),
        ("x", {"x": None}, "cpu", ["lacks package, version, torch and python"]),
        ("x", {"x": RELEASE}, "index", ["no lock_index", "Do: ./colab-ready -e directml_torch_build=cpu"]),
        ("x", {"x": {**RELEASE, "lock": ""}}, "cpu", ["no lock", "give it a lock"]),
        ("x", {"x": RELEASE}, "gpu", ["no lock", "directml_torch_build=gpu"]),
        ("x", {"x": {**RELEASE, "python": "new"}}, "cpu", ["wrong python", "'new'"]),
    ],
)
def test_a_release_that_cannot_be_installed_is_refused(name: str, rows: Any, build: str, words: list[str]) -> None:
    verdict = judge(DIRECTML, RADEON, WSL, {"release": name, "releases": rows, "torch_build": build})
    assert verdict.level == SETTING and verdict.do
    assert all(word in verdict.sentence() for word in words), verdict.sentence()


def test_the_pythons_are_those_of_the_release() -> None:
    settings = {"release": "x", "releases": {"x": {**RELEASE, "python": "==3.11.*"}}, "torch_build": "cpu"}
    assert DIRECTML.python(WSL, settings) == {"requires": "==3.11.*", "use": "3.11", "path": None, "fetch": True}


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


def test_the_releases_are_those_that_were_tried() -> None:
    found = {name: (row["torch"], row["torchvision"], row["numpy"]) for name, row in releases.RELEASES.items()}
    assert found == {"0.2.5.dev240914": ("2.4.1", "0.19.1", ""), "0.2.1.dev240521": ("2.2.1", "0.17.1", "<2")}


@pytest.mark.parametrize("name", ["0.2.5.dev240914", "0.2.1.dev240521"])
@pytest.mark.parametrize("minor", [10, 11, 12])
def test_the_locks_hold_all_but_what_is_pinned(project: Path, name: str, minor: int) -> None:
    row = releases.RELEASES[name]
    for build in ("cpu", "index"):
        assert judge(DIRECTML, RADEON, WSL, {"release": name, "releases": {}, "torch_build": build}).level == YES
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


def test_the_pythons_of_a_release_are_those_for_which_there_are_wheels() -> None:
    assert {row["python"] for row in releases.RELEASES.values()} == {DIRECTML.python_requires}


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

"""A universal lock means the same to us as to uv: names, versions, markers, and which entries hold for one Python."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.python import lock as lock_file
from ansible.module_utils.colab_ready.python.lock import LockEntry, LockError, Requirement

HASH = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
PY311 = lock_file.marker_environment("3.11.2", "cpython", "x86_64")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Jinja2", "jinja2"), ("jupyter_http_over_ws", "jupyter-http-over-ws"), ("a.b__c--D", "a-b-c-d")],
)
def test_names_are_compared_as_pep_503_says(name: str, expected: str) -> None:
    assert lock_file.normalize(name) == expected


# --- versions -------------------------------------------------------------------------------------------------------

# Ascending (the order of PEP 440's own example, with local versions added).
ORDER = [
    "0.9", "1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0+abc", "1.0+cpu.1", "1.0+5",
    "1.0.post1.dev3", "1.0.post1", "1.0.1", "1.2", "1.10", "2", "1!0.1",
]  # fmt: skip


@pytest.mark.parametrize(("lower", "higher"), list(itertools.combinations(ORDER, 2)))
def test_versions_are_ordered_as_pep_440_says(lower: str, higher: str) -> None:
    assert lock_file.parse_version(lower).key() < lock_file.parse_version(higher).key()


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("1.0", "1.0.0", True), ("v1.0", "1", True), ("1.0a1", "1.0.alpha1", True), ("1.0-1", "1.0.post1", True),
        ("1.0C1", "1.0rc1", True), ("2.13.0+cpu", "2.13.0", False), ("2.13.0+cpu", "2.13.0+CPU", True),
        ("1.0", "1.0.1", False), ("no-version", "no-version", True), ("no-version", "1", False),
    ],
)  # fmt: skip
def test_two_spellings_of_one_version_are_the_same(left: str, right: str, expected: bool) -> None:
    assert lock_file.same_version(left, right) is expected


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("3.11.2", ">=3.10,<3.15", True), ("3.15.0", ">=3.10,<3.15", False), ("3.9.9", ">=3.10,<3.15", False),
        ("3.9", ">=3.10", False), ("3.15.0rc1", "<3.15", False), ("3.15.0rc1", ">=3.15", False),
        ("2.13.0+cpu", "==2.13.0", True), ("2.13.0+cpu", "==2.13.0+cpu", True), ("2.13.0", "==2.13.0+cpu", False),
        ("2.13.0+cu121", "==2.13.0+cpu", False), ("2.13.0+cpu", "!=2.13.0", False), ("2.13.0+cpu", "<=2.13.0", True),
        ("2.13.0+cpu", ">2.13.0", False), ("3.11.2", "==3.11.*", True), ("3.1", "==3.11.*", False),
        ("3.12", "!=3.11.*", True), ("4.45.1", "~=4.40", True), ("5.0", "~=4.40", False), ("4.40.9", "~=4.40.1", True),
        ("4.41", "~=4.40.1", False), ("1.7.post1", ">1.7", False), ("1.7.1", ">1.7", True), ("1.0", "===1.0", True), ("1!1.0", "==1!1.0", True),
        ("1.0.0", "===1.0", False), ("1.0", "", True), ("1.0", " >=0.5 , !=0.9 ", True),
    ],
)  # fmt: skip
def test_conditions_hold_as_pep_440_says(version: str, specifier: str, expected: bool) -> None:
    assert lock_file.matches(version, specifier) is expected


@pytest.mark.parametrize("text", ["", "abc", "1.0-", "1..0", "1.0+", "1.0 2.0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(LockError, match="is no version"):
        lock_file.parse_version(text)


@pytest.mark.parametrize("text", [">", ">=", "3.10", "=>3.10", ">=3.10 <3.15", "~3.10"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(LockError):
        lock_file.matches("3.11", text)


# --- markers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("sys_platform == 'darwin'", False),
        ("sys_platform != 'darwin'", True),
        ("python_full_version < '3.11'", False),
        ("python_full_version >= '3.11'", True),
        ("python_full_version == '3.11.*'", True),
        ("python_version == '3.11'", True),
        ("python_version >= '3.9'", True),
        ("'3.9' <= python_version", True),
        ("'3.12' <= python_version", False),
        ("platform_machine == 'x86_64' and platform_system == 'Linux'", True),
        ("os_name == 'nt' or implementation_name == 'pypy'", False),
        ("platform_python_implementation != 'PyPy'", True),
        # `and` binds tighter than `or`; brackets change that.
        ("os_name == 'posix' or os_name == 'nt' and sys_platform == 'win32'", True),
        ("(os_name == 'posix' or os_name == 'nt') and sys_platform == 'win32'", False),
        ("((python_full_version < '3.11') or (sys_platform == \"linux\"))", True),
        ("'linux' in sys_platform", True),
        ("sys_platform in 'darwin win32'", False),
        ("sys_platform not in 'darwin win32'", True),
        ("extra == 'test'", False),
        ("platform_release >= '5'", False),
    ],
)
def test_markers_hold_as_pep_508_says(marker: str, expected: bool) -> None:
    assert lock_file.evaluate_marker(marker, PY311) is expected


def test_an_extra_is_a_name() -> None:
    assert lock_file.evaluate_marker('extra == "Some_Extra"', {**PY311, "extra": "some-extra"})


@pytest.mark.parametrize(
    "marker",
    [
        "", "sys_platform", "sys_platform ==", "sys_platform == 'a' 'b'", "(sys_platform == 'a'", "nonsense == 'a'",
        "sys_platform == 'a' and", "sys_platform is 'a'", "sys_platform == linux", "os_name ~= 'posix'", "& == 'a'",
        "sys_platform == b'a'", "sys_platform == f'a'", "sys_platform == 'a\\x62'", "'a' < sys_platform < 'b'", "not os_name == 'a'",
        "python_version < 'x'", "os_name == 1", "os_name == 'a' # b\nos", "(" * 5000, "a." * 100_000 + "a", "not " * 900,
    ],
)  # fmt: skip
def test_a_marker_that_cannot_be_understood_is_refused(marker: str) -> None:
    with pytest.raises(LockError):
        lock_file.evaluate_marker(marker, PY311)


@pytest.mark.parametrize(("version", "series"), [("3.11.2", "3.11"), ("3.15.0rc1", "3.15")])
def test_the_markers_of_a_python(version: str, series: str) -> None:
    found = lock_file.marker_environment(version, "cpython", "aarch64")
    assert found["python_full_version"] == version
    assert found["python_version"] == series
    assert (found["sys_platform"], found["platform_system"], found["os_name"]) == ("linux", "Linux", "posix")
    assert (found["platform_machine"], found["platform_python_implementation"]) == ("aarch64", "CPython")


# --- requirements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "extras", "specifier", "url", "marker"),
    [
        ("transformers", "transformers", (), "", None, None),
        ("transformers>=4.40,<5", "transformers", (), ">=4.40,<5", None, None),
        (
            "Transformers [Torch, sentence_piece] == 4.*",
            "transformers",
            ("torch", "sentence-piece"),
            "== 4.*",
            None,
            None,
        ),
        ("a ; python_version < '3.12'", "a", (), "", None, "python_version < '3.12'"),
        ("a>=1; extra == 'x'", "a", (), ">=1", None, "extra == 'x'"),
        ("a (>=1.0) ; extra == 'x'", "a", (), ">=1.0", None, "extra == 'x'"),
        ("a @ https://h/a-1.0-py3-none-any.whl", "a", (), "", "https://h/a-1.0-py3-none-any.whl", None),
        ("a  # because", "a", (), "", None, None),
    ],
)
def test_requirements_are_taken_apart(
    text: str, name: str, extras: tuple[str, ...], specifier: str, url: str | None, marker: str | None
) -> None:
    found = lock_file.parse_requirement(text)
    assert (found.name, found.extras, found.specifier, found.url, found.marker) == (
        name,
        extras,
        specifier,
        url,
        marker,
    )


@pytest.mark.parametrize(
    "text",
    ["", "-r file", "--index-url https://h/", "a b", "a=1", "a\nb", "a>=", "a>=x", "a==1 --hash=x", "https://h/a.whl"],
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(LockError):
        lock_file.parse_requirement(text)


def test_an_address_takes_any_version() -> None:
    assert Requirement("a", (), "", "https://h/a.whl", None, "a @ https://h/a.whl").accepts("7")


# --- locks ----------------------------------------------------------------------------------------------------------

LOCK = f"""
# a comment
appnope==1.0.0 ; sys_platform == 'darwin' \\
    --hash={HASH}
    # via ipykernel
numpy==2.2.5 ; python_full_version < '3.11' \\
    --hash={HASH} \\
    --hash={OTHER}
    # via
    #   pandas
numpy==2.4.6 ; python_full_version >= '3.11' \\
    --hash={OTHER}
Jupyter_Server[test]==2.21.0 --hash={HASH}
"""


def test_a_lock_is_read_with_hashes_markers_and_extras() -> None:
    assert lock_file.parse_lock(LOCK) == [
        LockEntry("appnope", "1.0.0", (HASH,), "sys_platform == 'darwin'"),
        LockEntry("numpy", "2.2.5", (HASH, OTHER), "python_full_version < '3.11'"),
        LockEntry("numpy", "2.4.6", (OTHER,), "python_full_version >= '3.11'"),
        LockEntry("jupyter-server", "2.21.0", (HASH,), None, ("test",)),
    ]


@pytest.mark.parametrize(("version", "numpy"), [("3.10.12", "2.2.5"), ("3.11.2", "2.4.6"), ("3.13.0", "2.4.6")])
def test_the_entries_of_one_python_are_chosen(version: str, numpy: str) -> None:
    chosen = lock_file.select(lock_file.parse_lock(LOCK), lock_file.marker_environment(version, "cpython", "x86_64"))
    assert {name: entry.version for name, entry in chosen.items()} == {"numpy": numpy, "jupyter-server": "2.21.0"}


def test_what_is_handed_to_uv_keeps_the_hashes() -> None:
    chosen = lock_file.select(lock_file.parse_lock(LOCK), PY311)
    assert (
        lock_file.render(chosen.values())
        == f"numpy==2.4.6 --hash={OTHER}\njupyter-server[test]==2.21.0 --hash={HASH}\n"
    )


def test_a_build_with_a_name_is_not_taken_for_the_one_without() -> None:
    chosen = lock_file.select(lock_file.parse_lock(LOCK), PY311)
    assert lock_file.render(chosen.values(), {"jupyter-server"}).splitlines() == [
        f"numpy==2.4.6 --hash={OTHER}", f"jupyter-server[test]===2.21.0 --hash={HASH}",
    ]  # fmt: skip


def test_two_versions_for_one_python_are_refused() -> None:
    entries = [LockEntry("a", "1", (HASH,)), LockEntry("a", "2", (HASH,))]
    with pytest.raises(LockError, match="both as 1 and as 2"):
        lock_file.select(entries, PY311)
    assert lock_file.select([entries[0], LockEntry("a", "1.0", (HASH,))], PY311)["a"].version == "1.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a==1\n", ["`a==1` has no hash"]),
        (f"\na>=1 --hash={HASH}\n", ["`a>=1` leaves the version open"]),
        (f"a==1.* --hash={HASH}\n", ["leaves the version open"]),
        (f"a --hash={HASH}\n", ["leaves the version open"]),
        (f"a @ https://h/a.whl --hash={HASH}\n", ["leaves the version open"]),
        ("--index-url https://h/simple\n", ["`--index-url https://h/simple` is an option"]),
        ("-e .\n", ["is an option"]),
        (f"!! --hash={HASH}\n", ["is no requirement"]),
    ],
)
def test_a_lock_that_leaves_something_open_is_refused_with_the_line(text: str, words: list[str]) -> None:
    with pytest.raises(LockError) as caught:
        lock_file.parse_lock(text)
    assert all(word in str(caught.value) for word in [*words, "Expected", "Compile the lock again"]), caught.value


@pytest.mark.parametrize("version", [f"3.{minor}.1" for minor in range(10, 15)])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_lock_of_this_project_is_understood_for_every_python(project: Path, version: str, machine: str) -> None:
    locks = sorted((project / "roles").glob("*/files/*.txt"))
    assert locks
    for lock in locks:
        entries = lock_file.parse_lock(lock.read_text(encoding="utf-8"))
        chosen = lock_file.select(entries, lock_file.marker_environment(version, "cpython", machine))
        assert chosen, lock
        assert not {"appnope", "pywin32", "colorama"} & set(chosen), lock

"""Where Jupyter looks, which Jupyter is there, who could write there: the rules as tables, and one run over a tree."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.files.guarded_paths import Attributes, Entry
from ansible.module_utils.colab_ready.jupyter import config_paths
from ansible.module_utils.colab_ready.jupyter.config_paths import Installation, User
from ansible.module_utils.colab_ready.jupyter.config_repair import Repair, Settings

ME = (os.getuid(), os.getgid())
PYTHON = "/usr/bin/python3.11"

# ---- where Jupyter looks ----------------------------------------------------------------------


def test_the_systems_jupyter_looks_at_home_first_then_below_usr_then_in_etc() -> None:
    assert config_paths.config_path("/usr", "/home/a") == [
        "/home/a/.jupyter",
        "/home/a/.local/etc/jupyter",
        "/usr/etc/jupyter",
        "/usr/local/etc/jupyter",
        "/etc/jupyter",
    ]


@pytest.mark.parametrize("prefix", ["/usr/local", "/"])
def test_a_directory_that_is_the_systems_already_is_listed_once(prefix: str) -> None:
    paths = config_paths.config_path(prefix, "/home/a")
    assert len(paths) == len(set(paths)) == 4


# ---- which Jupyter there is -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("jupyter_server-2.21.1.dist-info", {"jupyter_server": "2.21.1"}),
        ("jupyter-server-1.23.3.egg-info", {"jupyter_server": "1.23.3"}),
        ("notebook-6.4.12-py3.11.egg-info", {"notebook": "6.4.12"}),
        ("Notebook-7.6.5.dist-info", {"notebook": "7.6.5"}),
        ("jupyter_http_over_ws-0.0.8.dist-info", {"jupyter_http_over_ws": "0.0.8"}),
        ("notebook_shim-0.2.4.dist-info", {"notebook_shim": "0.2.4"}),
        ("notebook", {}),
        ("notebook-7.6.5", {}),
        ("~otebook-7.6.5.dist-info", {}),
        ("-1.dist-info", {}),
        ("notebook.dist-info", {}),
    ],
)
def test_distributions_are_read_from_names(name: str, found: dict[str, str]) -> None:
    assert config_paths.distributions([name]) == found


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/bin/python3.11", "3.11"),
        ("python3.9", "3.9"),
        ("/usr/bin/python3", None),
        ("/usr/bin/python3.11-config", None),
        ("/usr/bin/python3.11.7", None),
        ("/usr/bin/pypy3", None),
    ],
)
def test_the_version_is_read_from_the_interpreters_name(path: str, version: str | None) -> None:
    assert config_paths.python_version(path) == version


def installed(user: str | None, *names: str, python: str = PYTHON) -> Installation | None:
    return config_paths.installation(python, user, dict.fromkeys(names, "1"))


ALL = ("jupyter_server", "notebook", "jupyter_http_over_ws", "six")


@pytest.mark.parametrize(
    ("found", "create", "directory", "entry", "reason"),
    [
        pytest.param([], "auto", False, False, "no Jupyter is installed", id="nothing"),
        pytest.param([], "always", True, False, "no Jupyter is installed", id="nothing, made all the same"),
        pytest.param([installed(None, *ALL)], "auto", True, True, "", id="all from the system"),
        pytest.param([installed("a", *ALL)], "auto", True, True, "", id="all from one user"),
        pytest.param(
            [installed(None, "notebook", "jupyter_server", "six"), installed("a", "jupyter_http_over_ws")],
            "auto", True, True, "", id="the bridge beside the system's Jupyter",
        ),
        pytest.param(
            [installed("a", "jupyter_server", "notebook", "six")],
            "auto", True, False, "user a (/usr/bin/python3.11) lacks jupyter_http_over_ws", id="no bridge",
        ),
        pytest.param([installed(None, "notebook", "six")], "auto", True, False, "lacks jupyter_server", id="notebook 6"),
        pytest.param([installed(None, *ALL)], "never", False, False, "create is never", id="never"),
        pytest.param([installed(None, "six")], "auto", False, False, "no Jupyter", id="nothing of Jupyter"),
        pytest.param([installed("a", *ALL), installed("b", *ALL[:2])], "auto", True, True, "", id="enough for one"),
    ],
)  # fmt: skip
def test_the_entry_is_wanted_where_the_extension_can_load(
    found: list[Installation | None], create: str, directory: bool, entry: bool, reason: str
) -> None:
    wanted = config_paths.decide(create, "colab_http_over_ws", [one for one in found if one])
    assert (wanted.directory, wanted.entry) == (directory, entry)
    assert wanted.pythons == ([PYTHON] if entry else [])
    assert reason in " ".join(wanted.reasons)
    assert bool(reason) == bool(wanted.reasons)


def test_a_missing_package_is_said_with_the_command_for_that_user() -> None:
    user = installed("a", "jupyter_server")
    system = installed(None, "jupyter_server")
    wanted = config_paths.decide("auto", "x", [one for one in (user, system) if one])
    assert (
        f"sudo {PYTHON} -m pip install --break-system-packages --no-deps jupyter_http_over_ws six" in wanted.reasons[0]
    )
    assert f"as that user: {PYTHON} -m pip install --user" in wanted.reasons[1]


def test_without_an_extension_there_is_no_entry() -> None:
    found = installed(None, *ALL)
    assert found
    assert config_paths.decide("auto", None, [found]) == config_paths.Wanted(True, False, [], [])


# ---- who could write there --------------------------------------------------------------------

ROOT, STUDENT, TEACHER = 0, 1000, 1001
ALONE, SHARED = 1000, 2000


def judge(kind: str, uid: int, gid: int, mode: int, in_home: bool, links: int = 1, acl: bool = False) -> Any:
    owner = (STUDENT, ALONE) if in_home else (ROOT, ROOT)
    members = {ALONE: {STUDENT}, SHARED: {STUDENT, TEACHER}, ROOT: set()}

    def others(group: int) -> list[str]:
        return [f"u{uid}" for uid in sorted(members[group] - {0, owner[0]})]

    entry = Entry(kind, uid, gid, mode, links, acl)
    return config_paths.weakness(entry, owner, in_home, others, lambda number: f"u{number}")


@pytest.mark.parametrize(
    ("args", "why", "wanted"),
    [
        pytest.param(("directory", ROOT, ROOT, 0o755, False), None, None, id="as it should be"),
        pytest.param(("directory", STUDENT, ALONE, 0o755, True), None, None, id="a home of its own"),
        pytest.param(("directory", ROOT, ROOT, 0o755, True), None, None, id="root's in a home (sudo jupyter)"),
        pytest.param(("directory", ROOT, ROOT, 0o777, False), "everybody", (ROOT, ROOT, 0o755), id="0777"),
        pytest.param(("directory", ROOT, ROOT, 0o1777, False), "everybody", (ROOT, ROOT, 0o1755), id="sticky"),
        pytest.param(("file", ROOT, ROOT, 0o666, False), "everybody", (ROOT, ROOT, 0o644), id="file"),
        pytest.param(("directory", ROOT, ROOT, 0o775, False), None, None, id="root's group, nobody in it"),
        pytest.param(("directory", ROOT, SHARED, 0o2775, False), "with u1000, u1001 in it", (ROOT, SHARED, 0o2755), id="group"),
        pytest.param(("directory", ROOT, ALONE, 0o2775, False), "with u1000 in it", (ROOT, ALONE, 0o2755), id="group of one"),
        pytest.param(("directory", STUDENT, ALONE, 0o775, True), None, None, id="a user's own group (umask 002)"),
        pytest.param(("directory", STUDENT, SHARED, 0o775, True), "with u1001 in it", (STUDENT, SHARED, 0o755), id="shared home"),
        pytest.param(("directory", STUDENT, ALONE, 0o755, False), "belongs to u1000", (ROOT, ROOT, 0o755), id="a user's in /usr"),
        pytest.param(("directory", STUDENT, ALONE, 0o777, False), "and it belongs", (ROOT, ROOT, 0o755), id="a user's 0777 in /usr"),
        pytest.param(("file", TEACHER, SHARED, 0o644, False), "belongs to u1001", None, id="planted in /usr"),
        pytest.param(("file", TEACHER, SHARED, 0o644, True), "belongs to u1001", None, id="planted in a home"),
        pytest.param(("directory", TEACHER, SHARED, 0o755, True), "belongs to u1001", None, id="a foreign directory in a home"),
        pytest.param(("link", TEACHER, SHARED, 0o777, False), "belongs to u1001", None, id="planted link"),
        pytest.param(("link", ROOT, ROOT, 0o777, False), None, None, id="a link's mode means nothing"),
        pytest.param(("file", ROOT, ROOT, 0o666, False, 2), "everybody", None, id="hard link"),
        pytest.param(("directory", ROOT, ROOT, 0o775, False, 1, True), "access control list", (ROOT, ROOT, 0o755), id="ACL"),
    ],
)  # fmt: skip
def test_who_could_write_there_and_what_it_becomes(
    args: Any, why: str | None, wanted: tuple[int, int, int] | None
) -> None:
    found = judge(*args)
    if why is None:
        assert found is None
        return
    assert why in found.why
    assert found.wanted == (Attributes(*wanted) if wanted else None)
    if wanted and args[0] != "link":
        again = judge(args[0], *wanted, *args[4:])
        assert again is None, "what is tightened is in order"


@pytest.mark.parametrize(
    ("mode", "dangerous"), [(0o777, True), (0o1777, True), (0o757, True), (0o775, False), (0o755, False)]
)
def test_a_mode_for_everybody_is_warned_about_with_the_reason(mode: int, dangerous: bool) -> None:
    text = config_paths.danger_of("/usr/etc/jupyter", mode)
    assert bool(text) == dangerous
    assert not dangerous or ("jupyter_server_config.py" in text and "root" in text)


# ---- one run over a tree ----------------------------------------------------------------------


class Tree:
    """A host's directories below a temporary one: <root>/usr, <root>/etc/jupyter, and a user's home."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)
        for name in ("usr/bin", "usr/local/etc", "etc/jupyter", "home"):
            (root / name).mkdir(parents=True)
        (root / "usr/bin/python3.11").write_text("never run")
        (root / "usr/bin/python3.11").chmod(0o755)
        (root / "usr/bin/python3").symlink_to("python3.11")
        self.user = User(pwd.getpwuid(ME[0]).pw_name, *ME, home=str(root / "home"))
        self.config = root / "usr/etc/jupyter"

    def install(self, folder: str, *names: str) -> None:
        for name in names:
            (self.root / folder / f"{name}-1.0.dist-info").mkdir(parents=True)

    def repair(self, check: bool = False, remove: bool = False, **changes: Any) -> Repair:
        settings = Settings(
            prefix=str(self.root / "usr"),
            directory_as=Attributes(*ME, mode=0o755),
            extension=None,
            create="auto",
            users=[self.user],
            system_dirs=[str(self.root / "usr/local/etc/jupyter"), str(self.root / "etc/jupyter")],
            extension_source=str(self.root / "source"),
            state_file=str(self.root / "state/jupyter_config_dir.json"),
            check=check,
        )
        repair = Repair(settings._replace(**changes))
        repair.remove() if remove else repair.converge()
        return repair

    def listing(self) -> dict[str, str]:
        return {str(path.relative_to(self.root)): oct(path.lstat().st_mode) for path in sorted(self.root.rglob("*"))}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


SYSTEM = "usr/lib/python3/dist-packages"
OWN = "home/.local/lib/python3.11/site-packages"


def paths(repair: Repair, tree: Tree) -> list[str]:
    return [os.path.relpath(finding["path"], tree.root) for finding in repair.findings]


def test_where_no_jupyter_is_nothing_is_made(tree: Tree) -> None:
    before = tree.listing()
    repair = tree.repair()
    assert tree.listing() == before
    assert (repair.changes.before, repair.findings) == ("", [])
    assert repair.reasons == ["no Jupyter is installed for the system's Python"]


@pytest.mark.parametrize("where", [SYSTEM, "usr/local/lib/python3.11/dist-packages", OWN])
def test_where_a_jupyter_is_the_directory_is_made_and_removed_again(tree: Tree, where: str) -> None:
    tree.install(where, "jupyter_server")
    before = tree.listing()
    would = tree.repair(check=True)
    assert tree.listing() == before
    done = tree.repair()
    assert (would.changes.before, would.changes.after) == (done.changes.before, done.changes.after)
    made = {name: mode for name, mode in tree.listing().items() if name not in before and name.startswith("usr")}
    assert made == dict.fromkeys(("usr/etc", "usr/etc/jupyter", "usr/etc/jupyter/jupyter_server_config.d"), "0o40755")
    assert tree.repair().changes.before == ""

    would = tree.repair(check=True, remove=True)
    done = tree.repair(remove=True)
    assert (would.changes.before, would.changes.after) == (done.changes.before, done.changes.after)
    assert tree.listing() == before
    assert tree.repair(remove=True).changes.before == ""


def test_a_jupyter_of_another_python_version_is_none_of_the_systems(tree: Tree) -> None:
    tree.install("home/.local/lib/python3.9/site-packages", "jupyter_server")
    assert tree.repair().installations == []


def test_directories_that_were_there_before_stay_when_ours_go(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    (tree.root / "usr/etc").mkdir()
    tree.repair()
    (tree.config / "somebody-elses.json").write_text("{}")
    tree.repair(remove=True)
    assert (tree.config / "somebody-elses.json").exists()
    assert not (tree.config / "jupyter_server_config.d").exists()


def test_an_unreadable_record_is_said_and_nothing_is_removed_on_a_guess(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    tree.repair()
    (tree.root / "state/jupyter_config_dir.json").write_text("{")
    repair = tree.repair(remove=True)
    assert "could not be read" in repair.changes.warnings[0]
    assert tree.config.is_dir()


def test_when_jupyter_is_gone_so_is_the_directory_that_was_made_for_it(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    tree.repair()
    (tree.root / SYSTEM / "jupyter_server-1.0.dist-info").rmdir()
    assert tree.repair().changes.before
    assert not (tree.root / "usr/etc").exists()
    assert tree.repair().changes.before == ""


def test_an_open_directory_is_found_tightened_and_in_order_then(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    tree.repair()
    for path in (tree.config, tree.config.parent, tree.root / "etc/jupyter"):
        path.chmod(0o777)
    (tree.root / "home/.jupyter/jupyter_server_config.d").mkdir(parents=True)
    (tree.root / "home/.jupyter/jupyter_server_config.d").chmod(0o777)
    (tree.root / "home/.jupyter/jupyter_server_config.py").write_text("")
    (tree.root / "home/.jupyter/jupyter_server_config.py").chmod(0o666)
    before = tree.listing()
    would = tree.repair(check=True)
    assert tree.listing() == before
    repair = tree.repair()
    assert would.findings == repair.findings
    assert paths(repair, tree) == [
        "usr/etc",
        "usr/etc/jupyter",
        "etc/jupyter",
        "home/.jupyter/jupyter_server_config.d",
        "home/.jupyter/jupyter_server_config.py",
    ]
    assert all(finding["repaired"] for finding in repair.findings)
    assert repair.findings[1]["mode"] == "0777"
    again = tree.repair()
    assert (again.findings, again.changes.before) == ([], "")


def test_a_parent_that_is_not_ours_is_named_and_left(tree: Tree) -> None:
    (tree.root / "usr/local/etc").chmod(0o777)
    (tree.root / "home").chmod(0o777)
    repair = tree.repair()
    assert paths(repair, tree) == ["usr/local/etc", "home"]
    assert not any(finding["repaired"] for finding in repair.findings)
    assert all("chmod go-w" in finding["do"] for finding in repair.findings)
    assert repair.changes.before == ""


def test_0777_stays_possible_is_warned_about_and_is_stable(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    wide = Attributes(*ME, mode=0o777)
    first = tree.repair(directory_as=wide)
    assert "0777 as asked for" in first.changes.warnings[0]
    assert tree.config.stat().st_mode & 0o7777 == 0o777
    assert tree.config.parent.stat().st_mode & 0o7777 == 0o755
    second = tree.repair(directory_as=wide)
    assert (second.changes.before, second.changes.warnings) == ("", first.changes.warnings)
    assert [finding["repaired"] for finding in second.findings] == [False, False]
    assert [finding["repaired"] for finding in tree.repair().findings] == [True, True]
    assert tree.config.stat().st_mode & 0o7777 == 0o755


def test_a_users_link_is_named_and_not_followed(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    elsewhere.chmod(0o777)
    (tree.root / "home").chmod(0o777)
    (tree.root / "home/.jupyter").symlink_to(elsewhere)
    repair = tree.repair()
    (finding,) = (one for one in repair.findings if one["path"].endswith(".jupyter"))
    assert "symbolic link" in finding["why"]
    assert elsewhere.stat().st_mode & 0o7777 == 0o777


@pytest.mark.timeout(30)
def test_a_pipe_and_a_socket_in_a_files_place_hang_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree.root / "home/.jupyter/jupyter_server_config.d"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.json")
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket's path may have 107 bytes, which a test's folder can exceed.
        monkeypatch.chdir(folder)
        listener.bind("socket.json")
        assert tree.repair().findings == []


def test_a_file_with_another_name_is_named_and_left(tree: Tree) -> None:
    (tree.root / "home/.jupyter").mkdir()
    (tree.root / "precious").write_text("")
    (tree.root / "precious").chmod(0o666)
    os.link(tree.root / "precious", tree.root / "home/.jupyter/jupyter_server_config.py")
    repair = tree.repair()
    assert [finding["repaired"] for finding in repair.findings] == [False]
    assert (tree.root / "precious").stat().st_mode & 0o7777 == 0o666


def test_what_lies_deeper_than_jupyter_reads_is_not_looked_at(tree: Tree) -> None:
    deep = tree.root / "home/.jupyter/lab/workspaces"
    deep.mkdir(parents=True)
    deep.chmod(0o777)
    assert tree.repair().findings == []


def planted_by(findings: Iterable[dict[str, Any]]) -> list[tuple[str, bool]]:
    return [(finding["owner"], finding["repaired"]) for finding in findings]


@pytest.mark.skipif(ME[0] != 0, reason="only root can give a file away")
def test_what_somebody_planted_is_named_on_every_run_and_never_deleted(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    tree.repair()
    nobody = pwd.getpwnam("nobody")
    planted = tree.config / "jupyter_server_config.py"
    planted.write_text("import os")
    os.chown(planted, nobody.pw_uid, nobody.pw_gid)
    os.chown(tree.config, nobody.pw_uid, nobody.pw_gid)
    assert planted_by(tree.repair().findings) == [("nobody", True), ("nobody", False)]
    again = tree.repair()
    assert planted_by(again.findings) == [("nobody", False)]
    assert "Then remove it, or keep it: sudo chown" in again.findings[0]["do"]
    assert again.changes.before == ""
    assert planted.read_text() == "import os"
    assert tree.config.stat().st_uid == 0


# ---- what somebody may have put there ---------------------------------------------------------

NASTY = json.dumps({"ServerApp": {"token": ""}})


def told(repair: Repair, tree: Tree) -> dict[str, str]:
    return {os.path.relpath(one["path"], tree.root): one["planted"] for one in repair.findings if one["planted"]}


@pytest.mark.parametrize(
    ("folder", "mode", "name", "mode_of_file", "text", "planted"),
    [
        pytest.param("etc/jupyter", 0o777, "jupyter_server_config.json", 0o644, NASTY, "switches the token off", id="token"),
        pytest.param("etc/jupyter", 0o1777, "jupyter_config.py", 0o644, "", "is code", id="code, sticky"),
        pytest.param("etc/jupyter", 0o755, "jupyter_config.py", 0o666, "", "is code", id="a file for everybody"),
        pytest.param("home/.jupyter", 0o777, "jupyter_lab_config.py", 0o644, "", "is code", id="in a home"),
        pytest.param(
            "usr/etc/jupyter/jupyter_server_config.d", 0o777, "x.json", 0o644,
            json.dumps({"ServerApp": {"jpserver_extensions": {"evil": True}}}), "runs the Python module evil", id="in .d",
        ),
        pytest.param("etc/jupyter", 0o755, "jupyter_config.py", 0o644, "", None, id="nobody else can write there"),
        pytest.param("etc/jupyter", 0o777, "x.json", 0o644, NASTY, None, id="a file that Jupyter does not read"),
        pytest.param("etc/jupyter", 0o777, "jupyter_config.json", 0o644, '{"A": {"port": 1}}', None, id="no harm"),
        pytest.param(
            "usr/etc/jupyter/jupyter_server_config.d", 0o777, "colab_http_over_ws.json", 0o644,
            json.dumps({"ServerApp": {"jpserver_extensions": {"colab_http_over_ws": True}}}), None, id="our own",
        ),
    ],
)  # fmt: skip
def test_configuration_that_others_may_have_put_there_is_named_with_what_it_does(
    tree: Tree, folder: str, mode: int, name: str, mode_of_file: int, text: str, planted: str | None
) -> None:
    place = tree.root / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text)
    (place / name).chmod(mode_of_file)
    place.chmod(mode)
    found = told(tree.repair(check=True, create="never"), tree)
    assert list(found) == ([f"{folder}/{name}"] if planted else [])
    assert planted is None or planted in found[f"{folder}/{name}"]
    assert (place / name).read_text() == text
    # The run that tightens the directory says so too: it is the last one that can.
    assert told(tree.repair(create="never"), tree) == found


@pytest.mark.skipif(ME[0] != 0, reason="only root can give a file away")
def test_a_strangers_file_is_planted_whatever_it_holds(tree: Tree) -> None:
    nobody = pwd.getpwnam("nobody")
    for name, text in (("jupyter_server_config.json", "{}"), ("jupyter_config.json", NASTY)):
        (tree.root / "etc/jupyter" / name).write_text(text)
        os.chown(tree.root / "etc/jupyter" / name, nobody.pw_uid, nobody.pw_gid)
    (tree.root / "etc/jupyter/jupyter_config.py").symlink_to("/tmp/evil.py")
    os.chown(tree.root / "etc/jupyter/jupyter_config.py", nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    assert told(tree.repair(check=True), tree) == {
        "etc/jupyter/jupyter_server_config.json": "changes nothing that is known here",
        "etc/jupyter/jupyter_config.json": "switches the token off (ServerApp.token)",
        "etc/jupyter/jupyter_config.py": "leads to /tmp/evil.py",
    }


def kernel(folder: Path, name: str = "ir") -> Path:
    (folder / "kernels" / name).mkdir(parents=True)
    (folder / "kernels" / name / "kernel.json").write_text(json.dumps({"argv": ["/tmp/evil"]}))
    return folder / "kernels" / name / "kernel.json"


def data_audit(tree: Tree) -> Repair:
    repair = tree.repair(check=True, create="never")
    repair.findings.clear()
    repair.audit_data([str(tree.root / "usr/local/share/jupyter"), str(tree.root / "usr/share/jupyter")])
    return repair


@pytest.mark.parametrize("place", ["usr/local/share/jupyter", "home/.local/share/jupyter", "home/.ipython"])
@pytest.mark.parametrize(
    ("opened", "mode", "planted"),
    [
        ("", 0o755, None),
        ("", 0o777, None),  # somebody can put another `kernels` there: the directory is the finding
        ("kernels", 0o777, "kernels/ir"),
        ("kernels/ir", 0o777, "kernels/ir/kernel.json"),
        ("kernels/ir/kernel.json", 0o666, "kernels/ir/kernel.json"),
    ],
)
def test_a_kernel_that_others_may_have_put_there_is_named(
    tree: Tree, place: str, opened: str, mode: int, planted: str | None
) -> None:
    kernel(tree.root / place)
    (tree.root / place / opened).chmod(mode)
    before = tree.listing()
    repair = data_audit(tree)
    assert list(told(repair, tree)) == ([f"{place}/{planted}"] if planted else [])
    assert all("runs /tmp/evil" in text for text in told(repair, tree).values())
    assert bool(repair.findings) is (mode & 0o022 != 0)
    assert tree.listing() == before and all(not one["repaired"] and one["do"] for one in repair.findings)


def test_a_script_deep_in_an_extension_of_the_page_is_found(tree: Tree) -> None:
    deep = tree.root / "usr/share/jupyter/labextensions/@scope/name/static"
    deep.mkdir(parents=True)
    (deep / "remoteEntry.js").write_text("")
    assert data_audit(tree).findings == []
    (deep / "remoteEntry.js").chmod(0o666)
    assert list(told(data_audit(tree), tree)) == [str((deep / "remoteEntry.js").relative_to(tree.root))]


@pytest.mark.timeout(60)
def test_a_tree_that_somebody_made_deep_does_not_end_the_look(tree: Tree) -> None:
    place = tree.root / "usr/share/jupyter/kernels/deep"
    place.mkdir(parents=True)
    place.chmod(0o777)
    handle = os.open(place, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    try:
        assert len(told(data_audit(tree), tree)) == 1
        assert len(tree.repair(check=True, create="never").audit_trees([str(tree.root / "usr/share/jupyter")])) == 1
    finally:
        subprocess.run(["rm", "-rf", place], check=True)  # deeper than shutil and pytest can remove


def test_a_whole_tree_is_roots_alone_or_what_is_not_is_named(tree: Tree) -> None:
    top = tree.root / "server/etc/jupyter"
    (top / "jupyter_server_config.d").mkdir(parents=True)
    (top / "jupyter_server_config.d/x.json").write_text("{}")
    audit = tree.repair(check=True, create="never").audit_trees
    assert audit([str(top), str(tree.root / "not/there")]) == []
    (top / "jupyter_server_config.d/x.json").chmod(0o666)
    assert [os.path.relpath(one["path"], top) for one in audit([str(top)])] == ["jupyter_server_config.d/x.json"]
    top.chmod(0o777)
    again = tree.repair(check=True, create="never").audit_trees([str(top)])
    assert [os.path.relpath(one["path"], top) for one in again] == [".", "jupyter_server_config.d/x.json"]


def test_the_record_says_what_was_made(tree: Tree) -> None:
    tree.install(SYSTEM, "jupyter_server")
    tree.repair()
    record = json.loads((tree.root / "state/jupyter_config_dir.json").read_text())
    assert record == {
        "schema": 1,
        "directories": [str(tree.config.parent), str(tree.config), str(tree.config / "jupyter_server_config.d")],
        "entry": None,
        "packages": [],
    }

"""Root and the user of an environment: root runs, follows, believes and waits for nothing of the user's, and nothing is built.

The attacks are those of a notebook's code, which has the rights of the environment's user, and of an index.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pwd
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.process import identity
from ansible.module_utils.colab_ready.python import builder, sources
from ansible.module_utils.colab_ready.python import uv as uv_module
from ansible.module_utils.colab_ready.python.builder import Builder
from ansible.module_utils.colab_ready.python.uv import Failure, Request
from modules.test_uv_env import NO_UV, NOBODY, PYTHON, Index, Place, Shop, index, open_place, uv_stand_in

__all__ = ["index", "open_place"]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who builds for another user"),
    pytest.mark.timeout(180),
]
UID = pwd.getpwnam(NOBODY).pw_uid


@pytest.fixture
def shop(open_place: Place) -> Shop:
    return Shop(open_place.root / "wheels")


@pytest.fixture
def marks(open_place: Place) -> Path:
    """A folder where everybody may leave a mark: who ran what."""
    folder = open_place.root / "marks"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def script(path: Path, text: str, uid: int = UID) -> Path:
    if path.is_symlink() or path.exists():
        path.unlink()
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    os.chown(path, uid, uid)
    return path


def other_python(place: Place, text: str) -> None:
    """A script in the place of the environment's Python, which stays a link."""
    path = place.path / "bin" / "python"
    path.unlink()
    path.symlink_to(script(place.path / "bin" / "other", text))


def series(place: Place) -> list[int]:
    """The environment's Python, as its folders say it."""
    return [*(int(part) for part in place.site.parent.name.removeprefix("python").split(".")), 0]


def owners(folder: Path) -> set[int]:
    return {path.stat().st_uid for path in folder.iterdir()}


# --- what root executes ---------------------------------------------------------------------------------------------


def test_what_a_users_python_says_chooses_nothing_that_root_runs(open_place: Place, shop: Shop, marks: Path) -> None:
    """Finding 1: the answer names an executable; uv is missing, and a package has to be repaired."""
    lock = shop.lock(shop.wheel("alpha"))
    uv_lock = shop.lock(uv_stand_in(shop, open_place.uv, "9.9.1"))
    wish: dict[str, Any] = {"lock": lock, "user": NOBODY, "uv": None, "uv_lock": uv_lock}
    open_place.build(**wish)
    evil = script(open_place.path / "evil", f'id -u > {marks}/$$; exec {PYTHON} "$@"')
    told = {
        "version": series(open_place),
        "suffix": "",
        "implementation": "cpython",
        "executable": str(evil),
        "base": str(evil),
    }
    answer = f'case "$*" in *-S*) echo \'{json.dumps(told)}\';; *) exec {PYTHON} "$@";; esac'
    other_python(open_place, f"id -u > {marks}/$$; {answer}")
    shutil.rmtree(open_place.root / "tools")
    with (open_place.site / "alpha" / "__init__.py").open("a") as stream:
        stream.write("#")
    # The environment is the user's: whether its repair succeeds is the user's doing.
    with suppress(Failure):
        open_place.build(**wish)
    assert marks_are_there(marks)
    assert owners(marks) == {UID}
    assert (open_place.root / "tools" / "bin" / "uv").exists()


def marks_are_there(marks: Path) -> bool:
    return any(marks.iterdir())


@pytest.mark.parametrize("what", ["uv", "python"])
def test_a_program_of_a_users_is_run_by_that_user_alone(open_place: Place, shop: Shop, marks: Path, what: str) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    mine = open_place.root / "mine"
    mine.mkdir()
    os.chown(mine, UID, UID)
    real = open_place.uv if what == "uv" else PYTHON
    given = script(mine / what, f'id -u > {marks}/$$; exec {real} "$@"')
    wish: dict[str, Any] = {"lock": lock, what: str(given)}
    if what == "uv":
        assert open_place.build(user=NOBODY, **wish).changed
        assert owners(marks) == {UID}
        shutil.rmtree(marks)
        marks.mkdir()
    message = open_place.fails(path=str(open_place.root / "roots"), **wish)
    assert f"{mine} belongs to {NOBODY}" in message
    assert "Expected" in message
    assert not marks_are_there(marks)


@pytest.mark.parametrize("module", ["tensor_add", "colab_handshake"])
@pytest.mark.parametrize("user", [None, "root"])
def test_a_proof_runs_no_python_of_a_users_as_root(
    open_place: Place, marks: Path, run_module: Any, module: str, user: str | None
) -> None:
    mine = open_place.root / "mine"
    mine.mkdir()
    os.chown(mine, UID, UID)
    python = script(mine / "python", f"id -u > {marks}/$$")
    args = {"python": str(python), **({"user": user} if user else {})}
    more = {"url": "http://localhost:1", "token_file": "/nonexistent"} if module == "colab_handshake" else {}
    failed = run_module(module, {**args, **more})
    assert f"{mine} belongs to {NOBODY}" in failed["msg"]
    assert not marks_are_there(marks)
    assert "msg" not in run_module(module, {**args, **more, "user": NOBODY, "timeout_seconds": 20})
    assert owners(marks) == {UID}


@pytest.mark.parametrize("what", ["path", "tools_dir", "cache_dir", "pythons_dir"])
def test_a_place_below_another_users_folder_is_refused_with_the_owner(
    open_place: Place, shop: Shop, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "pythons_dir":
        monkeypatch.setattr(
            "ansible.module_utils.colab_ready.python.interpreters.python_candidates", lambda _folder: []
        )
    shared = open_place.root / "shared"
    shared.mkdir()
    os.chown(shared, UID, UID)
    wish: dict[str, Any] = {
        "lock": shop.lock(shop.wheel("alpha")),
        "user": NOBODY,
        what: str(shared / "place"),
        **(
            {"uv": None, "uv_lock": shop.lock(uv_stand_in(shop, open_place.uv, "9.9.1"))} if what == "tools_dir" else {}
        ),
        **({"python_requires": "==3.14.*", "python_fetch": True} if what == "pythons_dir" else {}),
    }
    message = open_place.fails(**wish)
    assert f"{shared} belongs to {NOBODY}" in message
    assert list(shared.iterdir()) == []


@pytest.mark.parametrize("what", ["bin/python", "pyvenv.cfg", "a package"])
def test_an_environment_of_roots_that_somebody_can_change_is_built_anew_before_anything_runs(
    open_place: Place, shop: Shop, marks: Path, what: str
) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    open_place.build(lock=lock)
    if what == "bin/python":
        script(open_place.path / what, f"id -u > {marks}/$$")
    elif what == "pyvenv.cfg":
        os.chown(open_place.path / what, UID, UID)
    else:
        # uv runs the interpreter with what is installed.
        (open_place.site / "planted.pth").write_text(f"import os; open('{marks}/' + str(os.getpid()), 'w')\n")
        os.chown(open_place.site / "planted.pth", UID, UID)
        (open_place.site / "alpha" / "__init__.py").unlink()
    found = open_place.build(lock=lock)
    assert f"{what.replace('a package', 'planted.pth')} belongs to {NOBODY}" in found.reasons[-1]
    assert not marks_are_there(marks)
    assert open_place.imports("alpha") == "1.0"
    assert {one.lstat().st_uid for one in open_place.path.rglob("*")} == {0}


def test_whatever_root_runs_is_roots(open_place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program of a whole build, as root for root and as root for a user."""
    ran: list[str] = []
    start = uv_module.run

    def noted(argv: Any, *arguments: Any, **options: Any) -> Any:
        ran.append(argv[0])
        return start(argv, *arguments, **options)

    monkeypatch.setattr(uv_module, "run", noted)
    wish: dict[str, Any] = {
        "lock": shop.lock(shop.wheel("alpha")),
        "uv": None,
        "uv_lock": shop.lock(uv_stand_in(shop, open_place.uv, "9.9.1")),
    }
    open_place.build(**wish, user=NOBODY)
    # What the user's process ran is not seen here.
    assert {Path(one).name for one in ran} <= {"uv"}
    assert not [one for one in ran if one.startswith(str(open_place.path))]
    open_place.build(**wish, path=str(open_place.root / "roots"))
    assert {os.lstat(one).st_uid for one in ran} == {0}


# --- what root gives away -------------------------------------------------------------------------------------------


def test_a_file_of_roots_in_a_users_environment_is_never_given_away(open_place: Place, shop: Shop) -> None:
    """Finding 6: what sudo left, moved into the environment by the user, and one that is in the way."""
    lock = shop.lock(shop.wheel("alpha"))
    open_place.build(lock=lock, user=NOBODY)
    secrets = [open_place.site / "secret", open_place.site / "alpha" / "secret", open_place.path / "colab-ready.json"]
    for secret in secrets:
        secret.unlink(missing_ok=True)
        secret.write_text("precious")
        secret.chmod(0o600)
    outside = open_place.root / "outside"
    outside.write_text("precious")
    outside.chmod(0o600)
    os.link(outside, open_place.site / "second-name")
    (open_place.site / "alpha" / "__init__.py").unlink()
    assert open_place.build(lock=lock, user=NOBODY).changed
    for place in [*secrets[:2], outside]:
        assert not place.exists() or (place.stat().st_uid, place.stat().st_mode & 0o777) == (0, 0o600)
    assert open_place.note["state"] == "complete"
    assert open_place.imports("alpha") == "1.0"


def test_folders_of_roots_in_the_way_are_taken_away_and_the_environment_is_built_anew(
    open_place: Place, shop: Shop, tmp_path: Path
) -> None:
    alpha, newer = shop.wheel("alpha"), shop.wheel("alpha", "2.0")
    wish: dict[str, Any] = {"lock": shop.lock(alpha), "user": NOBODY}
    open_place.build(**wish)
    # `sudo .../bin/pip install alpha==2.0`
    command = [open_place.uv, "pip", "install", "--quiet", "--python", open_place.python, "--no-index", newer]
    subprocess.run([str(one) for one in command], check=True, env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "own")})
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("precious")
    (open_place.site / "alpha" / "link").symlink_to(victim)
    found = open_place.build(**wish)
    assert found.reasons[0] == "alpha 2.0 is installed, 1.0 is wanted"
    assert "folders of another user are in the way" in found.reasons[1]
    assert found.before == ["alpha==2.0"]
    assert {one.lstat().st_uid for one in [open_place.path, *open_place.path.rglob("*")]} == {UID}
    assert (victim / "precious").read_text() == "precious"
    assert not open_place.build(**wish, uv=NO_UV).changed


# --- what root waits for --------------------------------------------------------------------------------------------


def put_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    os.chown(path, UID, UID)


def endless_output(place: Place) -> None:
    other_python(place, "exec cat /dev/zero")


def kept_open(place: Place) -> None:
    other_python(place, "setsid sleep 60 & exit 1")


def dies_at_once(place: Place) -> None:
    other_python(place, "kill -9 $PPID; sleep 60")


def deep(place: Place) -> None:
    """1500 folders in each other, as `mkdir` in a loop makes them."""
    program = "import os\nfor _ in range(1500):\n    os.mkdir('deep')\n    os.chdir('deep')\n"
    subprocess.run([PYTHON, "-c", program], cwd=place.site, user=UID, check=True)
    (place.path / "pyvenv.cfg").unlink()


BREAKS: dict[str, Callable[[Place], Any]] = {
    "a pipe as pyvenv.cfg": lambda place: put_fifo(place.path / "pyvenv.cfg"),
    "a pipe as the note": lambda place: put_fifo(place.path / "colab-ready.json"),
    "a pipe as the constraints": lambda place: put_fifo(place.path / "constraints.txt"),
    "brackets as the note": lambda place: (place.path / "colab-ready.json").write_text("[" * 200_000),
    "an empty note": lambda place: (place.path / "colab-ready.json").write_text(""),
    "a child keeps the output open": kept_open,
    "a script as its Python": lambda place: script(place.path / "bin" / "python", f'exec {PYTHON} "$@"'),
    "1500 folders deep": deep,
}


@pytest.mark.parametrize("break_it", BREAKS.values(), ids=BREAKS.keys())
def test_what_a_user_leaves_is_repaired_in_bounded_time(
    open_place: Place, shop: Shop, break_it: Callable[[Place], Any]
) -> None:
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "user": NOBODY, "constraints": ["alpha==1.0"]}
    open_place.build(**wish)
    break_it(open_place)
    started = time.monotonic()
    assert open_place.build(**wish).changed
    assert time.monotonic() - started < 30
    assert open_place.imports("alpha") == "1.0"
    assert not open_place.build(**wish, uv=NO_UV).changed


def test_a_python_that_prints_without_end_is_bounded_in_time_and_memory(
    open_place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible.module_utils.colab_ready.python.converge.ANSWER_SECONDS", 2.0)
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "user": NOBODY}
    open_place.build(**wish)
    endless_output(open_place)
    started = time.monotonic()
    assert open_place.build(**wish).reasons == ["its Python does not start any more"]
    assert time.monotonic() - started < 30


def test_a_user_who_kills_the_own_process_gets_one_message(open_place: Place, shop: Shop) -> None:
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "user": NOBODY}
    open_place.build(**wish)
    dies_at_once(open_place)
    message = open_place.fails(**wish)
    assert "with the rights of nobody gave no answer" in message and "killed by SIGKILL" in message
    assert "Expected" in message


def test_a_deep_environment_is_removed(open_place: Place, shop: Shop) -> None:
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "user": NOBODY}
    open_place.build(**wish)
    deep(open_place)
    found = Builder(Request(**open_place.request()), {}, False).remove()
    assert found.before == ["alpha==1.0"]
    assert not open_place.path.exists()


def test_a_pip_configuration_is_read_with_its_users_rights_and_not_waited_for(
    open_place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_place.root / "home"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".pip").mkdir()
    put_fifo(home / ".pip" / "pip.conf")
    config = home / ".config" / "pip" / "pip.conf"
    entry = pwd.getpwnam(NOBODY)
    account = identity.Account(NOBODY, entry.pw_uid, entry.pw_gid, (entry.pw_gid,), str(home))
    monkeypatch.setattr(sources, "account_named", lambda name: account)
    request = Request(path="/x", user=NOBODY)
    config.write_text("[global]\nindex-url = https://of-the-user/simple\n")
    assert sources.read_sources(request, {}).index_url == "https://of-the-user/simple"
    # Links are followed, as pip does, but not to what is root's alone.
    secret = open_place.root / "secret"
    secret.write_text("[global]\nindex-url = https://of-root/simple\n")
    secret.chmod(0o600)
    config.unlink()
    config.symlink_to(secret)
    assert sources.read_sources(request, {}).index_url is None
    assert sources.read_sources(request, {"PIP_CONFIG_FILE": str(secret)}).index_url is None


def test_a_lock_is_roots_alone_and_names_its_holder(
    open_place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "user": NOBODY}
    open_place.build(**wish)
    (lock,) = (one for one in (open_place.root / "cache" / "locks").iterdir() if one.name != "uv")
    assert [oct(one.stat().st_mode & 0o777) for one in (lock, lock.parent)] == ["0o600", "0o700"]
    # What a user can lock keeps nobody out.
    theirs = os.open(open_place.path, os.O_RDONLY)
    fcntl.flock(theirs, fcntl.LOCK_EX)
    assert not open_place.build(**wish).changed
    os.close(theirs)
    monkeypatch.setattr(builder, "LOCK_SECONDS", 0.5)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        message = open_place.fails(**wish)
        os.truncate(lock, 0)
        unnamed = open_place.fails(**wish)
    assert f"(process {os.getpid()}, for {open_place.path}, since " in message
    assert message.endswith(f"if it hangs: sudo kill {os.getpid()}.") and unnamed.endswith("Wait until it has ended.")


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [7, [], {"packages": [1], "before": {"a": 1}, "python": "x", "notes": 7},
     {"reasons": ["\x1b]0;OWNED\x07"], "changed": "yes", "packages": {"\x1b[2K": 7}}],
)  # fmt: skip
def test_an_answer_of_any_shape_is_an_outcome_without_control_characters(
    open_place: Place, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    monkeypatch.setattr(builder, "attempt", lambda *_arguments: answer)
    found = open_place.build(user=NOBODY)
    assert "\x1b" not in repr(found).encode().decode("unicode_escape")


def test_needs_that_never_end_are_one_failure(open_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "attempt", lambda *_arguments: {"needs": ["room"]})
    assert "room was made for it and is missing again" in open_place.fails(user=NOBODY)
    monkeypatch.setattr(builder, "attempt", lambda *_arguments: {"failure": "\x1b[2Jx\n y", "kind": "\x1b"})
    assert open_place.fails(user=NOBODY) == " [2Jx\n y"


def test_the_users_process_imports_nothing_any_more(
    open_place: Place, shop: Shop, project: Path, tmp_path: Path
) -> None:
    """A module runs from a zip file in a folder of root's: what is not loaded before the fork cannot be loaded after it."""
    locked, pinned, extra = (
        shop.wheel("alpha"),
        shop.wheel("torch", "2.0+cpu"),
        shop.wheel("extra", requires=("alpha",)),
    )
    source = open_place.root / "source"
    (source / "src" / "ours").mkdir(parents=True)
    (source / "src" / "ours" / "__init__.py").write_text("version = 'ours'\n")
    (source / "pyproject.toml").write_text('[project]\nname = "ours"\nversion = "1"\n')
    wish = open_place.request(
        lock=shop.lock(locked), user=NOBODY, pinned=[{"requirement": "torch==2.0+cpu", "index": f"file://{tmp_path}/none"}],
        packages=["extra"], local_packages=[str(source)], constraints=["alpha==1.0"], exact=True,
    )  # fmt: skip
    shutil.copytree(project / "module_utils" / "colab_ready", open_place.root / "code" / "colab_ready")
    program = f"""
import json, os, sys, types
sys.path.insert(0, {str(open_place.root / "code")!r})
import colab_ready
for name in ("ansible", "ansible.module_utils"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.path[0]]
from ansible.module_utils.colab_ready.python import builder
from ansible.module_utils.colab_ready.python.uv import Request
class Refuser:
    def find_spec(self, name, path=None, target=None):
        raise RuntimeError("imported behind the boundary: " + name)
real = builder.attempt
def attempt(*arguments):
    assert os.geteuid() == {UID}
    sys.meta_path[:] = [Refuser()]
    return real(*arguments)
builder.attempt = attempt
request = json.loads(sys.stdin.read())
def build():
    found = builder.Builder(Request(**request), {{}}, False).build()
    print(found.changed, found.reasons)
    return found
print(build().after)
build()
site = [one for one in os.walk(request["path"]) if one[0].endswith("site-packages")][0][0]
os.unlink(site + "/alpha/__init__.py")
with open(site + "/torch-2.0+cpu.dist-info/RECORD", "a") as stream:
    stream.write('"quoted, name",sha256=x,1\\n')
build()
os.rename(request["path"] + "/pyvenv.cfg", request["path"] + "/x")
build()
request["packages"] = ["not-there"]
try:
    build()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [PYTHON, "-c", program], input=json.dumps(wish), capture_output=True, text=True, cwd="/", check=False
    )
    lines = done.stdout.splitlines()
    assert lines[1:6] == [
        "['alpha==1.0', 'extra==1.0', 'ours==1', 'torch==2.0+cpu']",
        "False []",
        "True ['torch lacks a file (quoted, name)', 'alpha lacks a file (alpha/__init__.py)']",
        "True ['its pyvenv.cfg is missing or unreadable']",
        lines[5],
    ], done.stdout + done.stderr
    assert lines[5].startswith("Failure") and "no configured source has not-there" in lines[5]
    assert (pinned.exists(), extra.exists()) == (True, True)


def test_the_module_itself_builds_for_a_user_from_ansibles_zip_file(
    open_place: Place, shop: Shop, run_module: Any
) -> None:
    args = open_place.request(lock=shop.lock(shop.wheel("alpha")), user=NOBODY, packages=["alpha"])
    done = run_module("uv_env", args)
    assert done.get("packages") == {"alpha": "1.0"}, done
    assert run_module("uv_env", args)["changed"] is False


# --- what an index hands out ----------------------------------------------------------------------------------------


def sdist(folder: Path, name: str, version: str, setup: str) -> Path:
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in (
            ("setup.py", setup),
            ("PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
        ):
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


BACKEND = """\
import os, zipfile
open({mark!r} + str(os.getpid()), "w").write(__file__)
class Legacy:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []
    get_requires_for_build_sdist = get_requires_for_build_wheel
    def prepare_metadata_for_build_wheel(self, folder, config_settings=None):
        _first, name, version = (line.split(": ")[-1] for line in open("PKG-INFO").read().splitlines())
        info = name + "-" + version + ".dist-info"
        os.makedirs(os.path.join(folder, info))
        with open(os.path.join(folder, info, "METADATA"), "w") as stream:
            stream.write("Metadata-Version: 2.1\\nName: " + name + "\\nVersion: " + version + "\\n")
        with open(os.path.join(folder, info, "WHEEL"), "w") as stream:
            stream.write("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        return info
    def build_wheel(self, folder, config_settings=None, metadata_directory=None):
        info = self.prepare_metadata_for_build_wheel(folder)
        wheel = info[:-len(".dist-info")] + "-py3-none-any.whl"
        with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
            for name in ("METADATA", "WHEEL"):
                archive.write(os.path.join(folder, info, name), info + "/" + name)
            archive.writestr(info + "/RECORD", info + "/METADATA,,\\n" + info + "/WHEEL,,\\n" + info + "/RECORD,,\\n")
        return wheel
__legacy__ = Legacy()
"""


def backend(shop: Shop, mark: Path, version: str) -> Path:
    """A setuptools that can build, and says who used it."""
    return shop.wheel(
        "setuptools", version, files={"setuptools/build_meta.py": BACKEND.format(mark=f"{mark}/{version}-")}
    )


@pytest.mark.parametrize("user", [NOBODY, None])
@pytest.mark.parametrize("how", ["locked", "pinned", "extra", "default"])
def test_nothing_of_a_source_that_an_index_offers_is_run(
    open_place: Place, shop: Shop, index: Index, marks: Path, user: str | None, how: str
) -> None:
    """Finding 2: of one package there is the source alone; its hash is right, and the build tools come from there too."""
    setup = (
        f"import os; open({str(marks)!r} + '/setup' + str(os.getpid()), 'w')\nfrom setuptools import setup\nsetup()\n"
    )
    offered = sdist(index.folder, "alpha", "1.0", setup)
    backend(Shop(index.folder), marks, "99.0")
    digest = hashlib.sha256(offered.read_bytes()).hexdigest()
    wishes: dict[str, dict[str, Any]] = {
        "locked": {"lock": f"alpha==1.0 --hash=sha256:{digest}\n"},
        "pinned": {"pinned": [{"requirement": f"alpha==1.0 --hash=sha256:{digest}", "index": index.url()}]},
        "extra": {"packages": ["alpha"]},
        "default": {
            "pinned": [{"requirement": "alpha==1.0+cpu", "default_requirement": "alpha==1.0", "allow_default": True}]
        },
    }
    settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.url()}
    message = open_place.fails(user=user, environment=settings, **wishes[how])
    assert index.asked
    assert not marks_are_there(marks)
    assert "of alpha" in message and "source alone, and nothing is built" in message
    assert "Expected" in message
    if how == "extra":
        assert "colab_extra_packages" in message
    assert not open_place.path.exists()


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_package_named_by_address_is_not_built_either(open_place: Place, shop: Shop, marks: Path, where: str) -> None:
    setup = f"import os; open({str(marks)!r} + '/setup' + str(os.getpid()), 'w')\n"
    source = sdist(open_place.root, "alpha", "1.0", setup)
    folder = open_place.root / "alpha-1.0"
    shutil.unpack_archive(str(source), open_place.root)
    place = source if where == "file" else folder
    message = open_place.fails(user=NOBODY, packages=[f"alpha @ {place.as_uri()}"])
    assert not marks_are_there(marks)
    assert "nothing is built from source" in message


@pytest.fixture
def amd(open_place: Place) -> Shop:
    """What AMD's page has: a torch that needs a package that is there as source alone."""
    amd = Shop(open_place.root / "amd")
    amd.wheel("torch", "2.13.0+rocm10.0.0", requires=("rocm==10.0.0",))
    sdist(amd.folder, "rocm", "10.0.0", "")
    return amd


def amds_torch(amd: Shop, shop: Shop, marks: Path) -> dict[str, Any]:
    pin = {"requirement": "torch==2.13.0+rocm10.0.0", "dependencies": True, "find_links": str(amd.folder)}
    return {"lock": shop.lock(backend(shop, marks, "84.0")), "pinned": [pin]}


def test_amds_one_source_is_built_by_the_user_with_the_locked_tools(
    open_place: Place, shop: Shop, amd: Shop, marks: Path
) -> None:
    backend(amd, marks, "99.0")
    wish = amds_torch(amd, shop, marks)
    found = open_place.build(**wish, user=NOBODY)
    assert found.after == ["rocm==10.0.0", "setuptools==84.0", "torch==2.13.0+rocm10.0.0"]
    assert owners(marks) == {UID}
    assert {path.name.split("-")[0] for path in marks.iterdir()} == {"84.0"}
    assert not open_place.build(**wish, user=NOBODY, uv=NO_UV).changed


def test_root_does_not_build_it(open_place: Place, shop: Shop, amd: Shop, marks: Path) -> None:
    assert "of rocm there is source alone" in open_place.fails(**amds_torch(amd, shop, marks))
    assert not marks_are_there(marks)


def test_no_other_source_is_built_with_it(open_place: Place, shop: Shop, amd: Shop, marks: Path) -> None:
    amd.wheel("torch", "2.13.0+rocm10.0.0", requires=("rocm==10.0.0", "other==1.0"))
    sdist(amd.folder, "other", "1.0", f"open({str(marks)!r} + '/other', 'w')\n")
    assert "of other there is source alone" in open_place.fails(**amds_torch(amd, shop, marks), user=NOBODY)
    assert "other" not in {path.name for path in marks.iterdir()}

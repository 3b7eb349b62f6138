"""uv_env on this computer: real uv, real environments, small wheels made here, a package index that answers or does not.

Most tests drive the builder in this process, which is what the module's main() does after reading its arguments; the
last ones run the module as Ansible does.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.python import environment, installer, pip_config
from ansible.module_utils.colab_ready.python import uv as uv_tools
from ansible.module_utils.colab_ready.python.builder import Builder
from ansible.module_utils.colab_ready.python.installer import Outcome
from ansible.module_utils.colab_ready.python.uv import Failure, Request

PYTHON = "/usr/bin/python3"
# Whom root may become for a moment; there on every Debian and Ubuntu.
NOBODY = "nobody"

pytestmark = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"needs the distribution's {PYTHON}")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who builds for another user")


# --- small wheels ---------------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A folder of wheels, and locks for them."""

    folder: Path

    def wheel(
        self,
        name: str,
        version: str = "1.0",
        files: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
    ) -> Path:
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        requirements = "".join(f"Requires-Dist: {one}\n" for one in requires)
        content = {
            f"{module}/__init__.py": f"version = {version!r}\n",
            **(files or {}),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        path = self.folder / f"{module}-{version}-py3-none-any.whl"
        self.folder.mkdir(parents=True, exist_ok=True)
        record = ""
        with zipfile.ZipFile(path, "w") as archive:
            for place, text in content.items():
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                record += f"{place},sha256={digest},{len(text.encode())}\n"
                entry = zipfile.ZipInfo(place)
                mode = 0o755 if ".data/scripts/" in place else 0o644
                entry.external_attr = (stat.S_IFREG | mode) << 16
                archive.writestr(entry, text)
            archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        return path

    def lock(self, *wheels: Path) -> str:
        lines = []
        for path in wheels:
            name, version = path.name.split("-")[:2]
            lines.append(f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
        return "".join(lines)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "wheels")


# --- an index that can be asked over HTTP ---------------------------------------------------------------------------


@dataclass
class Index:
    """A simple package index on loopback."""

    folder: Path
    server: http.server.ThreadingHTTPServer
    asked: list[str] = field(default_factory=list)
    # Refuse everybody who does not show this (user:password).
    credentials: str | None = None
    # Set while a file is being handed out that never comes.
    stalled: threading.Event = field(default_factory=threading.Event)
    stall: bool = False
    # Which files break off in the middle, of all that are handed out.
    breaking: range = range(0)
    # How long each page waits.
    delay: float = 0
    handed: int = 0

    def url(self, userinfo: str = "") -> str:
        return f"http://{userinfo}{'@' if userinfo else ''}127.0.0.1:{self.server.server_port}/simple"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            if found.credentials:
                wanted = "Basic " + base64.b64encode(found.credentials.encode()).decode()
                if self.headers.get("Authorization") != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", "Basic")
                    self.end_headers()
                    return
            parts = self.path.strip("/").split("/")
            if parts[0] == "files":
                body, kind = (found.folder / parts[1]).read_bytes(), "application/octet-stream"
                if found.stall:
                    found.stalled.set()
                    released.wait(60)
            else:
                time.sleep(found.delay)
                files = [one for one in found.folder.iterdir() if one.name.split("-")[0] == parts[-1].replace("-", "_")]
                told = [" data-dist-info-metadata" if Path(f"{one}.metadata") in files else "" for one in files]
                links = "".join(
                    f'<a href="/files/{one.name}"{more}>{one.name}</a>\n' for one, more in zip(files, told, strict=True)
                )
                body, kind = f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html"
                if not files:
                    self.send_error(404)
                    return
            with suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if parts[-1].endswith(".whl"):
                    body = body[: len(body) // 2] if found.handed in found.breaking else body
                    found.handed += 1
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            # uv then reads the whole file.
            self.send_error(405)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Index(tmp_path / "index", server)
    found.folder.mkdir()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- an environment -------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """Where an environment is built, with what, from where."""

    root: Path
    uv: Path
    # What pip would read on this host: nothing but this.
    pip: dict[str, str]

    @property
    def path(self) -> Path:
        return self.root / "env"

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    @property
    def site(self) -> Path:
        return next(self.path.glob("lib/python3.*/site-packages"))

    @property
    def note(self) -> dict[str, Any]:
        return dict(json.loads((self.path / "colab-ready.json").read_text()))

    def request(self, **options: Any) -> dict[str, Any]:
        variables = {"PIP_CONFIG_FILE": "/dev/null", **self.pip, **options.pop("environment", {})}
        return {
            "path": str(self.path),
            "uv": str(self.uv),
            "tools_dir": str(self.root / "tools"),
            "cache_dir": str(self.root / "cache"),
            "environment": {name: value for name, value in variables.items() if value},
            **options,
        }

    def build(self, *, check: bool = False, **options: Any) -> Outcome:
        return Builder(Request(**self.request(**options)), {"PATH": os.environ["PATH"]}, check).build()

    def fails(self, **options: Any) -> str:
        with pytest.raises(Failure) as caught:
            self.build(**options)
        return str(caught.value)

    def imports(self, name: str) -> str:
        done = subprocess.run(
            [self.python, "-c", f"import {name}; print({name}.version)"], capture_output=True, text=True
        )
        return done.stdout.strip() or done.stderr.strip()

    def cached(self) -> list[Path]:
        found = (self.root / "cache").rglob("*")
        return [one for one in found if one.is_file() and one.parent.name != "locks"]


@pytest.fixture
def place(tmp_path: Path, shop: Shop, uv: Path) -> Place:
    shop.folder.mkdir(exist_ok=True)
    return Place(tmp_path / "place", uv, {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop.folder)})


NO_UV = "/nonexistent/uv"


# --- building, and having nothing to do -----------------------------------------------------------------------------


@pytest.mark.smoke("uv_env")
def test_a_lock_becomes_an_environment_and_the_next_run_does_not_even_start_uv(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"), shop.wheel("beta", "2.0"))
    lock += f"gone==1 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64}\n"
    first = place.build(lock=lock)
    assert first.changed
    assert first.reasons == ["there is no environment yet"]
    assert (first.before, first.after) == ([], ["alpha==1.0", "beta==2.0"])
    assert first.packages == {"alpha": "1.0", "beta": "2.0"}
    assert first.python["path"] == str(place.python)
    assert place.imports("beta") == "2.0"
    assert place.note["state"] == "complete"
    assert place.cached() == []
    assert not [one for one in place.path.rglob("*") if one.lstat().st_mode & stat.S_IWOTH and not one.is_symlink()]

    before = {one: one.lstat().st_mtime_ns for one in place.path.rglob("*")}
    second = place.build(lock=lock, uv=NO_UV)
    assert (second.changed, second.reasons) == (False, [])
    assert second.before == second.after == first.after
    assert {one: one.lstat().st_mtime_ns for one in place.path.rglob("*")} == before


def test_what_is_installed_is_compiled_on_demand(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    place.build(lock=lock)
    assert not list(place.site.glob("alpha/__pycache__/*.pyc"))
    shutil.rmtree(place.path)
    place.build(lock=lock, compile_bytecode=True)
    assert list(place.site.glob("alpha/__pycache__/*.pyc"))
    assert not place.build(lock=lock, compile_bytecode=True, uv=NO_UV).changed
    # uv was ended when all was installed, and before it had compiled.
    shutil.rmtree(place.site / "alpha/__pycache__")
    (place.path / "colab-ready.json").write_text(json.dumps({**place.note, "state": "building"}))
    lock = shop.lock(shop.wheel("alpha"), shop.wheel("beta"))
    assert place.build(lock=lock, compile_bytecode=True).reasons == ["beta is missing"]
    assert list(place.site.glob("alpha/__pycache__/*.pyc"))


def test_check_mode_on_a_virgin_host_predicts_without_uv_and_touches_nothing(place: Place, shop: Shop) -> None:
    wish: dict[str, Any] = {
        "lock": shop.lock(shop.wheel("alpha")),
        "packages": ["extra>=1"],
        "pinned": [{"requirement": "torch==2.0+cpu"}],
        # Both would have been made by other tasks by now.
        "local_packages": [str(place.root / "src" / "our_own")],
        "user": "nobody-has-this-name",
    }
    found = place.build(check=True, uv=NO_UV, **wish)
    assert found.changed
    assert found.after == [
        "alpha==1.0",
        "extra>=1 (version decided when it is installed)",
        "our-own==0",
        "torch==2.0+cpu",
    ]
    assert not place.root.exists()


def test_check_mode_predicts_a_repair_and_leaves_the_damage(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"), shop.wheel("beta"))
    place.build(lock=lock)
    (place.site / "alpha" / "__init__.py").unlink()
    found = place.build(check=True, uv=NO_UV, lock=lock)
    assert found.changed
    assert found.reasons == ["alpha lacks a file (alpha/__init__.py)"]
    assert not (place.site / "alpha" / "__init__.py").exists()
    assert not place.build(check=True, uv=NO_UV, lock=shop.lock(shop.folder / "beta-1.0-py3-none-any.whl")).changed


def test_a_new_lock_moves_only_what_it_moves(place: Place, shop: Shop) -> None:
    alpha, beta, newer = shop.wheel("alpha"), shop.wheel("beta"), shop.wheel("beta", "1.1")
    place.build(lock=shop.lock(alpha, beta))
    untouched = (place.site / "alpha" / "__init__.py").stat().st_ino
    found = place.build(lock=shop.lock(alpha, newer))
    assert found.reasons == ["beta 1.0 is installed, 1.1 is wanted"]
    assert (found.before, found.after) == (["alpha==1.0", "beta==1.0"], ["alpha==1.0", "beta==1.1"])
    assert (place.site / "alpha" / "__init__.py").stat().st_ino == untouched


# --- repairing ------------------------------------------------------------------------------------------------------


def put_a_file(path: Path, text: str = "x") -> None:
    """A file there, whatever was there before."""
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def remove_all(folder: Path, pattern: str) -> None:
    for one in folder.glob(pattern):
        shutil.rmtree(one)


def put_a_link(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/tmp")


# How a package can be damaged, by the package's name, and what is said about it.
BREAKS: dict[str, tuple[Callable[[Path, str], Any], str]] = {
    "a-file-is-gone": (lambda site, name: (site / name / "data.txt").unlink(), "lacks a file"),
    "a-file-was-changed": (
        lambda site, name: (site / name / "__init__.py").write_text("broken("),
        "has a changed file",
    ),
    "all-files-are-gone": (lambda site, name: shutil.rmtree(site / name), "lacks a file"),
    "its-note-is-gone": (lambda site, name: shutil.rmtree(site / f"{name}-1.0.dist-info"), "is missing"),
    "all-is-gone": (lambda site, name: remove_all(site, f"{name}*"), "is missing"),
    "record-is-gone": (
        lambda site, name: (site / f"{name}-1.0.dist-info" / "RECORD").unlink(),
        "has no readable RECORD",
    ),
    "record-is-nonsense": (
        lambda site, name: (site / f"{name}-1.0.dist-info" / "RECORD").write_text("xx\n"),
        "has no readable RECORD",
    ),
    "metadata-is-gone": (lambda site, name: (site / f"{name}-1.0.dist-info" / "METADATA").unlink(), "lacks a file"),
    "an-upgrade-was-cut": (
        lambda site, name: shutil.copytree(site / f"{name}-1.0.dist-info", site / f"{name}-0.9.dist-info"),
        "is there more than once",
    ),
    "a-file-is-its-note": (lambda site, name: put_a_file(site / f"{name}-1.0.dist-info"), "has no readable RECORD"),
}


def test_damaged_packages_are_repaired_and_the_others_left_alone(place: Place, shop: Shop) -> None:
    modules = {name: name.replace("-", "_") for name in BREAKS}
    wheels = [shop.wheel(name, files={f"{module}/data.txt": "data\n"}) for name, module in modules.items()]
    lock = shop.lock(*wheels, shop.wheel("untouched"))
    place.build(lock=lock)
    inode = (place.site / "untouched" / "__init__.py").stat().st_ino
    for name, (break_it, _reason) in BREAKS.items():
        break_it(place.site, modules[name])
    found = place.build(lock=lock)
    assert sorted(f"{name} {reason}" for name, (_break, reason) in BREAKS.items()) == [
        one.partition(" (")[0] for one in found.reasons
    ]
    for name, module in modules.items():
        assert place.imports(module) == "1.0", name
        assert (place.site / module / "data.txt").read_text() == "data\n", name
    assert (place.site / "untouched" / "__init__.py").stat().st_ino == inode
    assert not place.build(lock=lock, uv=NO_UV).changed


def loses_its_python(path: Path) -> None:
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").symlink_to("/usr/bin/python3.0")


def loses_both_marks(path: Path) -> None:
    for name in ("pyvenv.cfg", "colab-ready.json"):
        (path / name).unlink()


def is_of_another_python(path: Path) -> None:
    """As after an upgrade of the distribution: /usr/bin/python3 is a newer one now."""
    next(path.glob("lib/python3.*")).rename(path / "lib" / "python3.1")
    config = path / "pyvenv.cfg"
    config.write_text(config.read_text().replace("version_info = 3.", "version_info = 3.1."))


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda path: (path / "pyvenv.cfg").unlink(), "pyvenv.cfg"),
        (lambda path: (path / "pyvenv.cfg").write_bytes(b"\xff\x00"), "pyvenv.cfg"),
        (loses_its_python, "does not start any more"),
        (lambda path: shutil.rmtree(path / "bin"), "does not start any more"),
        (is_of_another_python, "it was made for Python"),
        (lambda path: shutil.rmtree(path), "there is no environment yet"),
        (lambda path: shutil.rmtree(path / "lib"), "it was made for Python"),
        (loses_both_marks, "pyvenv.cfg"),
        (lambda path: (path / "bin/activate").unlink(), "files of its own are missing (bin/activate)"),
    ],
    ids=[
        "no configuration",
        "a broken one",
        "no interpreter",
        "no programs",
        "another Python",
        "nothing left",
        "no lib",
        "no mark of ours",
        "no activate",
    ],
)
def test_an_environment_that_is_none_any_more_is_built_anew(
    place: Place, shop: Shop, break_it: Callable[[Path], Any], reason: str
) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    place.build(lock=lock, constraints=["alpha==1.0"])
    break_it(place.path)
    found = place.build(lock=lock, constraints=["alpha==1.0"])
    assert found.changed
    assert reason in found.reasons[0]
    assert place.imports("alpha") == "1.0"
    assert (place.path / "constraints.txt").exists() and (place.path / "bin/activate").exists()
    assert not place.build(lock=lock, constraints=["alpha==1.0"], uv=NO_UV).changed


def test_what_uv_cannot_repair_is_built_anew(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    place.build(lock=lock)
    shutil.rmtree(place.site / "alpha")
    (place.site / "alpha").write_text("uv wants a folder here, and does not take a file away")
    found = place.build(lock=lock)
    assert "what was there could not be repaired and was built anew" in found.reasons
    assert found.before == ["alpha==1.0"]
    assert place.imports("alpha") == "1.0"


def test_a_build_that_did_not_end_goes_on(place: Place, shop: Shop) -> None:
    alpha, beta = shop.wheel("alpha"), shop.wheel("beta")
    place.build(lock=shop.lock(alpha))
    note = place.path / "colab-ready.json"
    made = place.note["made"]
    note.write_text(json.dumps({"schema": 1, "state": "building", "made": made}))
    assert place.build(lock=shop.lock(alpha, beta)).reasons == ["beta is missing"]
    assert place.note["made"] == made and "bin/activate" in made
    note.write_text(json.dumps({"schema": 1, "state": "building"}))
    assert place.build(lock=shop.lock(alpha, beta), uv=NO_UV).reasons == ["the last build did not end"]
    assert place.note["state"] == "complete"


def test_without_our_note_the_environment_gets_its_own_files_and_keeps_its_packages(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    place.build(lock=lock)
    made, inode = place.note["made"], (place.site / "alpha").stat().st_ino
    for name in ("colab-ready.json", "bin/activate", "bin/python3"):
        (place.path / name).unlink()
    place.build(lock=lock)
    assert (place.path / "bin" / "activate").exists() and (place.path / "bin" / "python3").exists()
    assert (place.note["made"], (place.site / "alpha").stat().st_ino) == (made, inode)
    assert not place.build(lock=lock, uv=NO_UV).changed


def running_with(words: str) -> list[int]:
    """The processes whose command line has these words."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if words in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_in_the_middle_leaves_no_child_and_the_next_one_converges(
    place: Place, shop: Shop, index: Index, project: Path, how: signal.Signals
) -> None:
    wheel = shop.wheel("alpha")
    shutil.copy(wheel, index.folder)
    index.stall = True
    request = place.request(
        lock=shop.lock(wheel), environment={"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.url()}
    )
    program = (
        "import json, sys, ansible.module_utils as utils\n"
        f"utils.__path__ = [*utils.__path__, {str(project / 'module_utils')!r}]\n"
        "from ansible.module_utils.colab_ready.python.builder import Builder\n"
        "from ansible.module_utils.colab_ready.python.uv import Request\n"
        "Builder(Request(**json.loads(sys.stdin.read())), {}, False).build()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(request))
    process.stdin.close()
    assert index.stalled.wait(30), "uv never asked for the file"
    assert running_with(str(place.python))
    process.send_signal(how)
    process.wait(10)
    end = time.monotonic() + 10
    while running_with(str(place.python)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not running_with(str(place.python))
    index.stall = False
    assert place.build(
        **{key: value for key, value in request.items() if key not in ("path", "uv", "tools_dir", "cache_dir")}
    ).changed
    assert place.imports("alpha") == "1.0"
    assert place.cached() == []


# --- what others put there ------------------------------------------------------------------------------------------


def own_package(place: Place, shop: Shop, name: str = "own") -> None:
    """What `%pip install` in a notebook leaves."""
    command = [place.uv, "pip", "install", "--quiet", "--python", place.python, "--no-index", shop.wheel(name)]
    subprocess.run(
        [str(part) for part in command], check=True, env={**os.environ, "UV_CACHE_DIR": str(place.root / "own")}
    )


def test_a_students_own_package_survives_a_repair(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    place.build(lock=lock)
    own_package(place, shop)
    assert not place.build(lock=lock, uv=NO_UV).changed
    (place.site / "alpha" / "__init__.py").unlink()
    place.build(lock=lock)
    assert place.imports("own") == "1.0"


def test_an_exact_environment_loses_what_nobody_asked_for(place: Place, shop: Shop) -> None:
    wish: dict[str, Any] = {"lock": shop.lock(shop.wheel("alpha")), "packages": ["top"], "exact": True}
    shop.wheel("dep")
    shop.wheel("top", requires=("dep",))
    place.build(**wish)
    own_package(place, shop)
    found = place.build(**wish)
    assert found.reasons == ["own==1.0 is not wanted here"]
    assert found.after == ["alpha==1.0", "dep==1.0", "top==1.0"]
    assert not place.build(**wish, uv=NO_UV).changed
    # What is no longer asked for goes with all it brought.
    assert place.build(**{**wish, "packages": []}).after == ["alpha==1.0"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda path: put_a_file(path / "thesis.tex"),
            "a folder with other things in it",
        ),
        (put_a_file, "is a file"),
        (put_a_link, "is a symbolic link"),
    ],
    ids=["a folder of somebody", "a file", "a link"],
)
@pytest.mark.parametrize("what", ["build", "check", "remove"])
def test_what_is_not_ours_is_refused_and_left(place: Place, make: Callable[[Path], Any], words: str, what: str) -> None:
    make(place.path)
    before = sorted(os.listdir(place.path.parent))
    builder = Builder(Request(**place.request()), {}, what == "check")
    with pytest.raises(Failure) as caught:
        builder.remove() if what == "remove" else builder.build()
    assert words in str(caught.value)
    assert "Expected" in str(caught.value)
    assert sorted(os.listdir(place.path.parent)) == before


def test_absent_takes_the_environment_and_nothing_else(place: Place, shop: Shop) -> None:
    place.build(lock=shop.lock(shop.wheel("alpha")))
    (place.root / "neighbour").write_text("x")

    def remove(check: bool) -> Outcome:
        return Builder(Request(**place.request()), {}, check).remove()

    assert remove(check=True).changed
    assert place.python.exists()
    found = remove(check=False)
    assert (found.changed, found.before, found.after) == (True, ["alpha==1.0"], [])
    assert not place.path.exists()
    assert (place.root / "neighbour").exists()
    assert not remove(check=False).changed


def test_a_link_in_place_of_the_constraints_is_replaced_and_not_followed(place: Place, tmp_path: Path) -> None:
    place.build(constraints=["alpha==1.0"])
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (place.path / "constraints.txt").unlink()
    (place.path / "constraints.txt").symlink_to(victim)
    (place.path / "colab-ready.json").unlink()
    (place.path / "colab-ready.json").symlink_to(victim)
    assert place.build(constraints=["alpha==1.0"]).changed
    assert victim.read_text() == "precious"
    assert (place.path / "constraints.txt").read_text().endswith("\nalpha==1.0\n")
    assert place.build(constraints=[], uv=NO_UV).reasons == ["constraints.txt says something else"]
    assert not (place.path / "constraints.txt").exists()
    assert not place.build(constraints=[], uv=NO_UV).changed


# --- packages without a lock ----------------------------------------------------------------------------------------


def test_packages_without_a_lock_are_resolved_once_and_then_only_looked_at(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    shop.wheel("dep")
    shop.wheel("top", "1.5", requires=("dep", "alpha"))
    found = place.build(lock=lock, packages=["top>=1"])
    assert found.after == ["alpha==1.0", "dep==1.0", "top==1.5"]
    assert place.note["packages"] == {"specs": ["top>=1"], "resolved": ["alpha", "dep", "top"]}
    assert not place.build(lock=lock, packages=["top>=1"], uv=NO_UV).changed
    for one in place.site.glob("dep*"):
        shutil.rmtree(one)
    assert place.build(lock=lock, packages=["top>=1"]).reasons == ["dep is missing"]
    (place.site / "dep" / "__init__.py").unlink()
    assert place.build(lock=lock, packages=["top>=1"]).reasons == ["dep lacks a file (dep/__init__.py)"]
    assert place.imports("dep") == "1.0"
    assert not place.build(lock=lock, packages=["top>=1"], uv=NO_UV).changed


@pytest.mark.parametrize("constraints", [[], ["alpha==1.0"]], ids=["locked", "constrained"])
def test_a_package_cannot_move_what_is_locked(place: Place, shop: Shop, constraints: list[str]) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    shop.wheel("alpha", "2.0")
    shop.wheel("top", requires=("alpha>=2",))
    message = place.fails(lock=lock, packages=["top"], constraints=constraints)
    assert "do not fit together" in message
    assert "alpha" in message and "colab_extra_packages" in message
    assert place.imports("alpha") == "1.0"


@pytest.mark.parametrize("text", ["--index-url https://h/", "-r /etc/passwd", "a b", "", "top\n--pre"])
def test_a_package_that_is_no_requirement_is_refused_before_anything_is_touched(place: Place, text: str) -> None:
    with pytest.raises(ValueError, match="is no requirement"):
        place.build(packages=[text])
    assert not place.path.exists()


# --- packages from an index of their own ----------------------------------------------------------------------------


def pin(**more: Any) -> list[dict[str, Any]]:
    return [
        {
            "requirement": "torch==2.0+cpu",
            "default_requirement": "torch==2.0",
            "variable": "python_env_torch_index",
            **more,
        }
    ]


def test_a_pinned_package_comes_from_its_index_alone(place: Place, shop: Shop, index: Index) -> None:
    shop.wheel("torch", "2.0+cpu", files={"torch/where.py": "shop"})
    Shop(index.folder).wheel("torch", "2.0+cpu", files={"torch/where.py": "index"}, requires=("never-installed",))
    found = place.build(pinned=pin(index=index.url()))
    assert found.pinned == {"torch": index.url()}
    assert found.after == ["torch==2.0+cpu"]
    assert (place.site / "torch" / "where.py").read_text() == "index"
    second = place.build(pinned=pin(index=index.url()), uv=NO_UV)
    assert not second.changed
    assert second.pinned == {"torch": index.url()}


def test_a_pinned_package_comes_from_the_hosts_folder_if_its_index_is_silent(
    place: Place, shop: Shop, closed_port: int
) -> None:
    shop.wheel("torch", "2.0+cpu")
    found = place.build(pinned=pin(index=f"http://127.0.0.1:{closed_port}/cpu"))
    assert found.pinned == {"torch": "the host's pip configuration"}
    assert "refuses connections" in found.notes[0]


def test_the_default_build_never_comes_unasked(place: Place, shop: Shop, index: Index) -> None:
    shop.wheel("torch", "2.0", requires=("gigabytes",))
    shop.wheel("gigabytes")
    Shop(index.folder).wheel("torch", "2.0")
    message = place.fails(pinned=pin(index=index.url()))
    assert "torch==2.0+cpu cannot be had" in message
    assert "-e python_env_torch_index=ADDRESS" in message
    assert "-e python_env_allow_default_torch=true" in message
    assert index.url() in message and "the host's pip configuration" in message
    found = place.build(pinned=pin(index=index.url(), allow_default=True))
    assert found.after == ["gigabytes==1.0", "torch==2.0"]
    assert not place.build(pinned=pin(index=index.url(), allow_default=True), uv=NO_UV).changed


def test_the_hash_of_a_pinned_package_is_checked(place: Place, shop: Shop) -> None:
    digest = hashlib.sha256(shop.wheel("torch", "2.0+cpu").read_bytes()).hexdigest()
    assert "hash is locked" in place.fails(pinned=[{"requirement": f"torch==2.0+cpu --hash=sha256:{'0' * 64}"}])
    assert place.build(pinned=[{"requirement": f"torch==2.0+cpu --hash=sha256:{digest}"}]).changed


def test_a_pin_wins_over_an_entry_of_the_lock(place: Place, shop: Shop) -> None:
    shop.wheel("torch", "2.0+cpu")
    wish: dict[str, Any] = {
        "lock": shop.lock(shop.wheel("torch", "1.9")),
        "pinned": [{"requirement": "torch==2.0+cpu"}],
    }
    assert place.build(**wish).packages == {"torch": "2.0+cpu"}
    assert not place.build(**wish, uv=NO_UV).changed


@pytest.mark.parametrize("allowed", [False, True])
def test_a_build_that_was_pinned_gives_way_to_the_locked_one_and_comes_back(
    place: Place, shop: Shop, allowed: bool
) -> None:
    """`==2.4.1` takes 2.4.1+cpu as well, so uv alone would leave it: directml_torch_build: index, and back."""
    shop.wheel("torch", "2.4.1+cpu")
    lock = shop.lock(shop.wheel("torch", "2.4.1"))
    pin = {"requirement": "torch==2.4.1+cpu", "default_requirement": "torch==2.4.1", "allow_default": allowed}
    assert place.build(pinned=[pin]).packages == {"torch": "2.4.1+cpu"}
    switched = place.build(lock=lock)
    assert switched.reasons == ["torch 2.4.1+cpu is installed, 2.4.1 is wanted"]
    assert (switched.packages, place.imports("torch")) == ({"torch": "2.4.1"}, "2.4.1")
    assert not place.build(lock=lock, uv=NO_UV).changed
    if not allowed:
        assert place.build(pinned=[pin]).packages == {"torch": "2.4.1+cpu"}


def test_a_pin_that_leaves_the_version_open_is_refused(place: Place) -> None:
    assert "leaves the version open" in place.fails(pinned=[{"requirement": "torch>=2"}])


# --- packages from a source folder ----------------------------------------------------------------------------------


def test_a_source_folder_is_built_without_the_network_and_again_when_it_changes(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "src" / "ours").mkdir(parents=True)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["uv_build>=0.8,<1"]\nbuild-backend = "uv_build"\n'
        '[project]\nname = "ours"\nversion = "0.1.0"\ndependencies = ["not-looked-for"]\n'
    )
    module = source / "src" / "ours" / "__init__.py"
    module.write_text("version = 'first'\n")
    before = sorted(source.rglob("*"))
    assert place.build(local_packages=[str(source)]).after == ["ours==0.1.0"]
    assert place.imports("ours") == "first"
    assert sorted(source.rglob("*")) == before
    assert not place.build(local_packages=[str(source)], uv=NO_UV).changed
    module.write_text("version = 'second'\n")
    assert place.build(local_packages=[str(source)]).reasons == ["the source of ours changed"]
    assert place.imports("ours") == "second"
    (place.site / "ours" / "__init__.py").unlink()
    assert place.build(local_packages=[str(source)]).changed
    assert place.imports("ours") == "second"


def test_a_source_folder_that_is_not_there_is_said(place: Place) -> None:
    assert "/nonexistent cannot be read" in place.fails(local_packages=["/nonexistent"])
    assert not place.path.exists()


# --- sources, good and bad ------------------------------------------------------------------------------------------


def test_an_index_with_a_password_works_and_the_password_is_nowhere(
    place: Place, shop: Shop, index: Index, tmp_path: Path
) -> None:
    wheel = shop.wheel("alpha")
    shutil.copy(wheel, index.folder)
    index.credentials = "kid:hunter22"
    log = tmp_path / "arguments"
    stand_in = tmp_path / "uv-that-writes-its-arguments-down"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {place.uv} "$@"\n')
    stand_in.chmod(0o755)
    settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.url("kid:hunter22")}
    found = place.build(lock=shop.lock(wheel), environment=settings, uv=str(stand_in))
    assert found.packages == {"alpha": "1.0"}
    assert log.read_text().count("pip install") >= 1
    for text in (log.read_text(), str(found), json.dumps(place.note)):
        assert "hunter22" not in text
    assert not [one for one in place.path.rglob("*") if one.is_file() and b"hunter22" in one.read_bytes()]
    wrong = {**settings, "PIP_INDEX_URL": index.url("kid:hunter23")}
    shutil.rmtree(place.path)
    message = place.fails(lock=shop.lock(wheel), environment=wrong)
    assert "HTTP 401" in message
    assert "hunter23" not in message


def test_a_pip_conf_of_the_user_is_honoured(place: Place, shop: Shop, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nno-index = true\n[install]\nfind-links =\n    {tmp_path}/nothing\n    {shop.folder}\n"
    )
    settings = {"PIP_CONFIG_FILE": str(config), "PIP_NO_INDEX": "", "PIP_FIND_LINKS": ""}
    found = place.build(lock=shop.lock(shop.wheel("alpha")), environment=settings)
    assert found.packages == {"alpha": "1.0"}
    assert found.notes == [f"the wheel folder {tmp_path}/nothing of pip's configuration does not exist"]


def test_a_silent_index_is_passed_over_if_a_folder_has_everything(place: Place, shop: Shop, closed_port: int) -> None:
    settings = {"PIP_NO_INDEX": "", "PIP_INDEX_URL": f"http://127.0.0.1:{closed_port}/simple"}
    found = place.build(lock=shop.lock(shop.wheel("alpha")), environment=settings)
    assert found.packages == {"alpha": "1.0"}
    assert "refuses connections" in found.notes[0]


def test_a_silent_extra_index_is_passed_over(place: Place, shop: Shop, index: Index, closed_port: int) -> None:
    wheel = shop.wheel("alpha")
    shutil.copy(wheel, index.folder)
    settings = {
        "PIP_NO_INDEX": "",
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": index.url(),
        "PIP_EXTRA_INDEX_URL": f"http://127.0.0.1:{closed_port}/simple",
    }
    assert place.build(lock=shop.lock(wheel), environment=settings).packages == {"alpha": "1.0"}


def from_index(index: Index, **more: str) -> dict[str, str]:
    return {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.url(), "PIP_RETRIES": "0", **more}


def test_where_the_line_breaks_off_it_is_tried_again_with_more_patience(
    place: Place, index: Index, run_module: Any
) -> None:
    lock = Shop(index.folder).lock(Shop(index.folder).wheel("alpha"))
    args = place.request(lock=lock, python=PYTHON, environment=from_index(index))
    index.breaking = range(1 << 20)
    failed = run_module("uv_env", args)
    assert failed["problem"] == "line"
    assert "broke off while alpha==1.0 came" in failed["msg"] and "tried again" in failed["msg"]
    # One is broken off for the question whether the index has it, one for the first attempt.
    index.breaking = range(index.handed, index.handed + 2)
    assert run_module("uv_env", args)["packages"] == {"alpha": "1.0"}
    assert index.handed == index.breaking.stop + 1


def test_an_index_that_is_slow_is_asked_again_with_more_patience(
    place: Place, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = {**installer.HOST_PROBE, "UV_HTTP_TIMEOUT": "1", "UV_HTTP_RETRIES": "0"}
    monkeypatch.setattr(installer, "HOST_PROBE", impatient)
    index.delay = 1.5
    lock = Shop(index.folder).lock(Shop(index.folder).wheel("alpha"))
    assert place.build(lock=lock, environment=from_index(index)).packages == {"alpha": "1.0"}
    monkeypatch.setattr(installer, "SLOW_PROBE", impatient)
    remove_all(place.site, "alpha*")
    said = place.fails(lock=lock, environment=from_index(index))
    assert "does not answer in time" in said and index.url() in said


def test_a_pin_whose_own_index_answers_and_breaks_off_comes_from_the_host_s(
    place: Place, shop: Shop, index: Index
) -> None:
    shop.wheel("torch", "2.0+cpu")
    wheel = Shop(index.folder).wheel("torch", "2.0+cpu")
    # What it is asked for, it tells without the file.
    Path(f"{wheel}.metadata").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.0+cpu\n")
    index.breaking = range(1 << 20)
    found = place.build(pinned=pin(index=index.url()), environment={"PIP_RETRIES": "0"})
    assert found.pinned == {"torch": "the host's pip configuration"}
    assert "does not come from" in found.notes[0] and "broke off" in found.notes[0]


def test_the_best_version_of_all_indexes_is_taken(place: Place, shop: Shop, index: Index) -> None:
    shop.wheel("top", "2.0")
    Shop(index.folder).wheel("top", "1.0")
    extra = index.folder.parent / "extra" / "top"
    shutil.copytree(shop.folder, extra)
    links = "".join(f'<a href="{one.name}">{one.name}</a>' for one in extra.glob("*.whl"))
    (extra / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    settings = {
        "PIP_NO_INDEX": "",
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": f"file://{extra.parent}",
        "PIP_EXTRA_INDEX_URL": index.url(),
    }
    assert place.build(packages=["top"], environment=settings).packages == {"top": "2.0"}


def test_no_index_at_all_is_said_in_one_message_and_leaves_nothing(place: Place, shop: Shop, closed_port: int) -> None:
    address = f"http://127.0.0.1:{closed_port}/simple"
    settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": address}
    message = place.fails(lock=shop.lock(shop.wheel("alpha")), environment=settings)
    assert message.startswith(f"The environment {place.path} could not be built: {address}")
    assert "refuses connections" in message and "Expected an index that answers" in message
    # The next run, with the network back, converges.
    assert place.build(lock=shop.lock(shop.folder / "alpha-1.0-py3-none-any.whl")).packages == {"alpha": "1.0"}


def test_a_source_without_the_package_names_the_one_that_was_down(place: Place, shop: Shop, closed_port: int) -> None:
    address = f"http://127.0.0.1:{closed_port}/simple"
    wheel = shop.wheel("alpha")
    lock = shop.lock(wheel)
    wheel.unlink()
    message = place.fails(lock=lock, environment={"PIP_NO_INDEX": "", "PIP_INDEX_URL": address})
    assert "alpha" in message and address in message


@pytest.mark.parametrize("has_a_store", [False, True])
def test_a_package_that_no_index_has_leaves_nothing_in_the_home(
    place: Place, index: Index, tmp_path: Path, has_a_store: bool
) -> None:
    """After a 404 uv asks its store of credentials, and makes one where there is none."""
    home = tmp_path / "home"
    home.mkdir()
    if has_a_store:
        (home / ".local/share/uv/credentials").mkdir(parents=True)
    before = sorted(home.rglob("*"))
    settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": index.url()}
    request = Request(**{**place.request(packages=["alpha"]), "environment": settings})
    builder = Builder(request, {"PATH": os.environ["PATH"]}, False)
    builder.account = dataclasses.replace(builder.account, home=str(home))
    with pytest.raises(Failure, match="alpha"):
        builder.build()
    assert index.asked
    left = [one for one in sorted(home.rglob("*")) if one not in before]
    # A store that is the user's own is used, and uv locks it.
    assert left == ([home / ".local/share/uv/credentials/credentials.toml.lock"] if has_a_store else [])


def test_another_file_than_the_locked_one_is_refused(place: Place, shop: Shop) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    shop.wheel("alpha", files={"alpha/evil.py": "x"})
    message = place.fails(lock=lock)
    assert "alpha==1.0" in message and "hash is locked" in message


def test_a_cache_survives_a_failure_and_not_a_success(place: Place, shop: Shop) -> None:
    alpha, beta = shop.wheel("alpha"), shop.wheel("beta")
    lock = shop.lock(alpha, beta)
    shop.wheel("beta", files={"beta/evil.py": "x"})
    place.fails(lock=lock)
    assert place.cached()
    shop.wheel("beta")
    place.build(lock=shop.lock(alpha, shop.folder / "beta-1.0-py3-none-any.whl"))
    assert place.cached() == []


# --- which Python ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"python": "/nonexistent/python"}, ["/nonexistent/python does not exist"]),
        ({"python": "/bin/true"}, ["/bin/true does not start"]),
        ({"python": PYTHON, "python_requires": ">=3.99"}, [PYTHON, "Expected one that fits >=3.99"]),
        ({"python_requires": "<3.0"}, [PYTHON, "Expected one that fits <3.0"]),
        ({"path": "relative/path"}, ["absolute path"]),
        ({"path": "/"}, ["absolute path"]),
        ({"path": "/opt/../etc/x"}, ["absolute path"]),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_what_cannot_be_is_said_before_anything_is_touched(
    place: Place, options: dict[str, Any], words: list[str], check: bool
) -> None:
    message = place.fails(check=check, **options)
    assert all(word in message for word in words), message
    assert "Expected" in message
    assert not place.path.exists()


def test_a_user_who_does_not_exist_is_an_error(place: Place) -> None:
    message = place.fails(user="no-such-user-here")
    assert "There is no user 'no-such-user-here'" in message and "Expected" in message
    assert not place.path.exists()


def test_an_environment_outside_the_wanted_range_is_built_anew_or_refused(place: Place) -> None:
    place.build()
    assert "no Python fits" in place.fails(python_requires=">=3.99")
    assert place.python.exists()


# --- for another user -----------------------------------------------------------------------------------------------


@pytest.fixture
def open_place(uv: Path) -> Iterator[Place]:
    """A place that another user may enter, with a uv that this user may run."""
    root = Path(tempfile.mkdtemp(prefix="colab-ready-uv-env-", dir="/var/tmp"))
    root.chmod(0o755)
    shutil.copy(uv, root / "uv")
    (root / "wheels").mkdir()
    yield Place(root, root / "uv", {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(root / "wheels")})
    shutil.rmtree(root, ignore_errors=True)


@as_root
def test_an_environment_for_a_user_is_that_users_and_built_with_that_users_rights(
    open_place: Place, tmp_path: Path
) -> None:
    shop = Shop(open_place.root / "wheels")
    lock = shop.lock(shop.wheel("alpha"), shop.wheel("beta"))
    account = pwd.getpwnam(NOBODY)
    wish: dict[str, Any] = {"lock": lock, "user": NOBODY, "constraints": ["alpha==1.0"], "packages": ["top"]}
    shop.wheel("top")
    log = open_place.root / "who"
    log.mkdir()
    log.chmod(0o777)
    stand_in = open_place.root / "uv-that-says-who-it-is"
    stand_in.write_text(
        f'#!/bin/sh\nid -u >> {log}/ids; id -G >> {log}/ids; echo "$HOME" >> {log}/ids\nexec {open_place.uv} "$@"\n'
    )
    stand_in.chmod(0o755)
    assert open_place.build(**wish, uv=str(stand_in)).changed
    assert set((log / "ids").read_text().split("\n")) == {str(account.pw_uid), str(account.pw_gid), account.pw_dir, ""}
    strangers = [one for one in [open_place.path, *open_place.path.rglob("*")] if one.lstat().st_uid != account.pw_uid]
    assert strangers == []
    assert open_place.root.stat().st_uid == 0
    assert not open_place.build(**wish, uv=NO_UV).changed
    assert os.geteuid() == 0


@as_root
def test_an_environment_of_another_user_is_built_anew(open_place: Place) -> None:
    shop = Shop(open_place.root / "wheels")
    lock = shop.lock(shop.wheel("alpha"))
    open_place.build(lock=lock, user=NOBODY)
    (open_place.site / "alpha" / "planted.py").write_text("x")
    found = open_place.build(lock=lock)
    assert "it belonged to another user than root" in found.reasons
    assert not (open_place.site / "alpha" / "planted.py").exists()
    assert {one.lstat().st_uid for one in open_place.path.rglob("*")} == {0}


@as_root
def test_root_does_not_follow_a_link_that_a_user_made(open_place: Place) -> None:
    account = pwd.getpwnam(NOBODY)
    (open_place.root / "elsewhere").mkdir()
    link = open_place.root / "link"
    link.symlink_to("elsewhere")
    os.chown(link, account.pw_uid, account.pw_gid, follow_symlinks=False)
    assert f"{link} belongs to {NOBODY}" in open_place.fails(path=str(link / "env"))
    assert list((open_place.root / "elsewhere").iterdir()) == []


@as_root
def test_the_user_alone_can_build_as_well(open_place: Place, project: Path) -> None:
    shop = Shop(open_place.root / "wheels")
    lock = shop.lock(shop.wheel("alpha"))
    home = open_place.root / "home"
    home.mkdir()
    account = pwd.getpwnam(NOBODY)
    os.chown(home, account.pw_uid, account.pw_gid)
    request = open_place.request(lock=lock, user=NOBODY, path=str(home / "env"), cache_dir=str(home / "cache"))
    shutil.copytree(project / "module_utils" / "colab_ready", open_place.root / "code" / "colab_ready")
    # Without ansible: the module's own files import each other by Ansible's name, which is given to them here.
    program = (
        "import json, sys, types\n"
        f"sys.path.insert(0, {str(open_place.root / 'code')!r})\n"
        "import colab_ready\n"
        "for name, module in (('ansible', types.ModuleType('ansible')), ('ansible.module_utils', types.ModuleType('m'))):\n"
        "    module.__path__ = []\n"
        "    sys.modules[name] = module\n"
        "sys.modules['ansible.module_utils'].__path__ = [sys.path[0]]\n"
        "from ansible.module_utils.colab_ready.python.builder import Builder\n"
        "from ansible.module_utils.colab_ready.python.uv import Request\n"
        "request = json.loads(sys.stdin.read())\n"
        "print([Builder(Request(**request), {}, False).build().changed for _round in range(2)])\n"
    )
    done = subprocess.run(
        [PYTHON, "-c", program], input=json.dumps(request), capture_output=True, text=True, cwd="/", user=account.pw_uid,
        group=account.pw_gid, extra_groups=[], check=False,
    )  # fmt: skip
    assert done.stdout == "[True, False]\n", done.stderr
    for wrong, words in (
        ({"user": "root", "path": str(home / "env2")}, "it is for root, but this runs as nobody"),
        ({"path": str(open_place.root / "env2")}, "permission is denied"),
        ({"path": str(home / "env2"), "cache_dir": str(open_place.root / "cache2")}, "permission is denied"),
    ):
        refused = open_place.request(**{"cache_dir": str(home / "cache"), **wrong})
        done = subprocess.run(
            [PYTHON, "-c", program], input=json.dumps(refused), capture_output=True, text=True, cwd="/",
            user=account.pw_uid, group=account.pw_gid, extra_groups=[], check=False,
        )  # fmt: skip
        assert words in done.stderr


@as_root
def test_a_full_disk_is_said(place: Place, shop: Shop, tmp_path: Path) -> None:
    lock = shop.lock(shop.wheel("alpha", files={"alpha/big.txt": "x" * 300_000}))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k,mode=755", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    try:
        message = place.fails(lock=lock, path=str(small / "env"))
        assert "the disk is full" in message and "df -h" in message
    finally:
        subprocess.run(["umount", str(small)], check=True)


# --- a Python that the host does not have ---------------------------------------------------------------------------

PYTHON_PROBE = (
    "import json, platform, sys; print(json.dumps([platform.machine(), *sys.version_info[:2], sys.base_prefix]))"
)


@dataclass
class Downloads:
    """A mirror of Pythons in a folder: one archive, made of this host's Python, and the list that leads uv to it."""

    series: str
    mirror: Path
    listed: Path
    pythons: Path

    def wish(self, **more: Any) -> dict[str, Any]:
        return {
            "python_requires": f"=={self.series}.*",
            "python_fetch": True,
            "python_mirror": f"file://{self.mirror}",
            "pythons_dir": str(self.pythons),
            "environment": {"UV_PYTHON_DOWNLOADS_JSON_URL": f"file://{self.listed}"},
            **more,
        }


@pytest.fixture(scope="session")
def python_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's Python as python-build-standalone packs one: python/bin and python/lib, no links that lead out of it."""
    probe = subprocess.run([PYTHON, "-I", "-c", PYTHON_PROBE], capture_output=True, text=True, check=True)
    _machine, major, minor, base = json.loads(probe.stdout)
    name = f"python{major}.{minor}"
    archive = tmp_path_factory.mktemp("python") / "python.tar.gz"
    left_out = ("__pycache__", "test", "idlelib", "ensurepip", "config-*", "dist-packages", "sitecustomize.py", "*.a")
    subprocess.run(
        ["tar", "--dereference", "-czf", archive, *(f"--exclude={one}" for one in left_out), f"--transform=s,^{base[1:]},python,",
         "-C", "/", f"{base[1:]}/bin/{name}", f"{base[1:]}/lib/{name}"],
        check=True,
    )  # fmt: skip
    return archive


@pytest.fixture
def downloads(tmp_path: Path, python_archive: Path, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    """And a host whose own Pythons do not count."""
    probe = subprocess.run([PYTHON, "-I", "-c", PYTHON_PROBE], capture_output=True, text=True, check=True)
    machine, major, minor, _base = json.loads(probe.stdout)
    found = Downloads(
        f"{major}.{minor}", tmp_path / "mirror", tmp_path / "downloads.json", tmp_path / "place" / "pythons"
    )
    (found.mirror / "20990101").mkdir(parents=True)
    shutil.copy(python_archive, found.mirror / "20990101" / "python.tar.gz")
    found.listed.write_text(json.dumps({f"cpython-{major}.{minor}.99-linux-{machine}-gnu": {
        "name": "cpython", "arch": {"family": machine, "variant": None}, "os": "linux", "libc": "gnu", "major": major,
        "minor": minor, "patch": 99, "prerelease": "", "variant": None, "build": "20990101",
        "sha256": hashlib.sha256(python_archive.read_bytes()).hexdigest(),
        "url": "https://github.com/astral-sh/python-build-standalone/releases/download/20990101/python.tar.gz",
    }}))  # fmt: skip
    monkeypatch.setattr("ansible.module_utils.colab_ready.python.interpreters.python_candidates", lambda _folder: [])
    return found


def test_where_no_python_fits_uv_fetches_one_that_stays(place: Place, shop: Shop, downloads: Downloads) -> None:
    wish = downloads.wish(lock=shop.lock(shop.wheel("alpha")))
    planned = place.build(check=True, **{**wish, "uv": NO_UV})
    assert planned.changed
    assert not place.root.exists()
    built = place.build(**wish)
    assert planned.reasons == built.reasons
    assert f"so uv fetches Python {downloads.series}" in built.reasons[1]
    own = next(downloads.pythons.glob(f"cpython-{downloads.series}.99-*/bin/python{downloads.series}"))
    assert built.python["base"] == str(own)
    assert place.imports("alpha") == "1.0"
    others = [
        one for one in downloads.pythons.rglob("*") if not one.is_symlink() and one.lstat().st_mode & stat.S_IWOTH
    ]
    assert others == []
    # Nothing to do. And built anew, from what was fetched: nobody can be asked any more.
    assert not place.build(**{**wish, "uv": NO_UV}).changed
    shutil.rmtree(downloads.mirror)
    shutil.rmtree(place.path)
    assert place.build(**wish).reasons == ["there is no environment yet"]
    # An environment outlives its Python's folder by being built anew.
    shutil.rmtree(downloads.pythons)
    assert "its Python does not start any more" in place.build(check=True, **wish).reasons


def test_a_python_of_the_host_that_fits_is_taken_before_any_is_fetched(
    place: Place, shop: Shop, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible.module_utils.colab_ready.python.interpreters.python_candidates", lambda _folder: [PYTHON]
    )
    built = place.build(**downloads.wish(lock=shop.lock(shop.wheel("alpha"))))
    assert built.python["base"] == os.path.realpath(PYTHON)
    assert not downloads.pythons.exists()


def another_archive(downloads: Downloads) -> None:
    listed = json.loads(downloads.listed.read_text())
    next(iter(listed.values()))["sha256"] = "0" * 64
    downloads.listed.write_text(json.dumps(listed))


def half_an_archive(downloads: Downloads) -> None:
    archive = downloads.mirror / "20990101" / "python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:1000])


def planted(downloads: Downloads) -> None:
    downloads.pythons.parent.mkdir(parents=True)
    downloads.pythons.symlink_to("/tmp")


def open_to_all(downloads: Downloads) -> None:
    downloads.pythons.mkdir(parents=True)
    downloads.pythons.chmod(0o777)


@pytest.mark.parametrize(
    ("break_it", "more", "words"),
    [
        (None, {"python_fetch": False}, ["no Python fits", "python_env_python"]),
        (None, {"python": "/usr/bin/python3.0"}, ["/usr/bin/python3.0 does not exist"]),
        (None, {"python_mirror": "file:///nonexistent"},
         ["there is no /nonexistent/20990101/", "Correct it: ./colab-ready -e python_env_python_mirror=ADDRESS"]),
        (None, {"python_mirror": None, "environment": {"UV_PYTHON_DOWNLOADS_JSON_URL": "file:///nonexistent"}},
         ["there is no /nonexistent", "a folder): ./colab-ready -e python_env_python_mirror=ADDRESS"]),
        (None, {"environment": {"UV_PYTHON_DOWNLOADS_JSON_URL": "HTTP://mirror.test/list.json"}},
         ["UV_PYTHON_DOWNLOADS_JSON_URL is an http:// address", "Expected https:// or file://"]),
        (None, {"python_requires": "==3.10.98"}, ["no Python fits"]),
        (another_archive, {}, ["handed out for cpython-", "not the file whose hash is locked"]),
        (half_an_archive, {},
         ["what came of python.tar.gz is not a whole file", "Correct it: ./colab-ready -e python_env_python_mirror=ADDRESS"]),
        (planted, {}, ["symbolic link", "Take the link away"]),
        (open_to_all, {}, ["others can change the Pythons", "its mode is 0777"]),
    ],
    ids=["not allowed", "one was named", "not in the mirror", "no list", "open list", "no such Python", "another archive",
         "half of one", "a link", "an open folder"],
)  # fmt: skip
def test_what_cannot_be_fetched_is_said_in_one_message_and_leaves_no_environment(
    place: Place, shop: Shop, downloads: Downloads, break_it: Any, more: dict[str, Any], words: list[str]
) -> None:
    if break_it:
        break_it(downloads)
    message = place.fails(**downloads.wish(lock=shop.lock(shop.wheel("alpha")), **more))
    assert all(word in message for word in words), message
    assert " Expected " in message
    assert not place.path.exists()


def test_a_mirror_that_does_not_answer_is_said_without_its_password(
    place: Place, shop: Shop, downloads: Downloads, closed_port: int, run_module: Any
) -> None:
    args = place.request(**downloads.wish(
        lock=shop.lock(shop.wheel("alpha")), python_requires="==3.10.*", python_mirror=f"http://kid:hunter22@127.0.0.1:{closed_port}/m",
    ))  # fmt: skip
    args["environment"].pop("UV_PYTHON_DOWNLOADS_JSON_URL")
    args["environment"]["UV_HTTP_RETRIES"] = "0"
    if os.path.exists("/usr/bin/python3.10"):
        pytest.skip("this host has Python 3.10, so none would be fetched")
    # Three times verbose: with what the module was called with.
    failed = run_module("uv_env", args, env={"ANSIBLE_VERBOSITY": "3"})
    assert failed["failed"] is True
    assert failed["invocation"]["module_args"]["path"] == args["path"]
    assert failed["problem"] == "index_silent"
    assert "could not fetch Python 3.10" in failed["msg"] and "refuses connections" in failed["msg"]
    assert "hunter22" not in json.dumps(failed)


@as_root
def test_a_fetched_python_is_roots_and_the_environment_is_the_users(
    open_place: Place, shop: Shop, downloads: Downloads
) -> None:
    pythons = open_place.root / "pythons"
    wish = downloads.wish(pythons_dir=str(pythons), user=NOBODY, lock="", packages=[])
    open_place.build(**wish)
    assert open_place.path.stat().st_uid == pwd.getpwnam(NOBODY).pw_uid
    assert {one.lstat().st_uid for one in [pythons, *pythons.rglob("*")]} == {0}
    done = subprocess.run(
        [open_place.python, "-c", "import json, sys; print(sys.base_prefix)"], capture_output=True, text=True, user=NOBODY,
        cwd="/", check=False,
    )  # fmt: skip
    assert done.stdout.startswith(str(pythons)), done.stderr


# --- uv itself ------------------------------------------------------------------------------------------------------


def uv_stand_in(shop: Shop, uv: Path, version: str) -> Path:
    """A wheel of a stand-in for uv: a script that passes everything on to the real one but says this version."""
    script = f'#!/bin/sh\nif [ "$1" = --version ]; then echo "uv {version} (stand-in)"; exit; fi\nexec {uv} "$@"\n'
    return shop.wheel("uv", version, files={f"uv-{version}.data/scripts/uv": script})


def test_uv_is_installed_from_its_lock_when_it_is_needed(place: Place, shop: Shop) -> None:
    first = shop.lock(uv_stand_in(shop, place.uv, "9.9.1"))
    lock = shop.lock(shop.wheel("alpha"))
    assert place.build(lock=lock, uv=None, uv_lock=first).packages == {"alpha": "1.0"}
    tool = place.root / "tools" / "bin" / "uv"
    assert "9.9.1" in tool.read_text()
    # Nothing to do: nobody asks for uv. Something to do: another version is wanted now.
    second = shop.lock(uv_stand_in(shop, place.uv, "9.9.2"))
    assert not place.build(lock=lock, uv=None, uv_lock=second).changed
    assert "9.9.1" in tool.read_text()
    (place.site / "alpha" / "__init__.py").unlink()
    assert place.build(lock=lock, uv=None, uv_lock=second).changed
    assert "9.9.2" in tool.read_text()


def test_a_uv_that_is_not_the_locked_one_is_refused(place: Place, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv_tools, "_uv_on_path", list)
    lock = shop.lock(uv_stand_in(shop, place.uv, "9.9.1"))
    uv_stand_in(shop, Path("/bin/false"), "9.9.1")
    message = place.fails(uv=None, uv_lock=lock)
    assert "uv, which builds the environments, could not be fetched" in message
    assert "is another file than the locked one" in message and "somebody tampers with the download" in message


def test_a_uv_that_cannot_be_run_is_said(place: Place) -> None:
    assert "/bin/false cannot be run" in place.fails(uv="/bin/false")
    assert not place.path.exists()


def test_no_way_to_a_uv_is_said_with_what_is_in_the_way(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv_tools, "_uv_on_path", list)
    lock = f"uv==9.9.1 --hash=sha256:{'0' * 64}\n"
    message = place.fails(uv=None, uv_lock=lock)
    assert "no source has uv==9.9.1 for" in message and "complete the mirror" in message
    monkeypatch.setattr(uv_tools, "_uv_on_path", lambda: [str(place.uv)])
    request = Request("/x", tools_dir=str(place.root / "tools"), uv_lock=lock)
    assert uv_tools.provide_uv(request, {}, pip_config.Sources()) == str(place.uv)


def test_a_tools_folder_with_other_things_is_left(place: Place, shop: Shop) -> None:
    tools = place.root / "tools"
    tools.mkdir(parents=True)
    (tools / "thesis.tex").write_text("x")
    assert "holds other things" in place.fails(uv=None, uv_lock=shop.lock(uv_stand_in(shop, place.uv, "9.9.1")))
    assert (tools / "thesis.tex").exists()


# --- several at the same time ---------------------------------------------------------------------------------------


def test_two_are_built_at_the_same_time_with_one_uv(place: Place, shop: Shop, run_module: Any) -> None:
    uv_lock = shop.lock(uv_stand_in(shop, place.uv, "9.9.1"))
    other: dict[str, Any] = {
        "path": str(place.root / "other"),
        "lock": shop.lock(shop.wheel("beta", "2.0")),
        "exact": True,
    }
    args = place.request(lock=shop.lock(shop.wheel("alpha")), uv=None, uv_lock=uv_lock, python=PYTHON, beside=[other])
    done = run_module("uv_env", args, diff=True)
    assert done.get("packages") == {"alpha": "1.0"}, done
    assert [(one["path"], one["packages"]) for one in done["beside"]] == [(other["path"], {"beta": "2.0"})]
    assert [one["after"] for one in done["diff"]] == ["alpha==1.0\n", "beta==2.0\n"]
    again = run_module("uv_env", args)
    assert (again["changed"], again["beside"][0]["changed"]) == (False, False)
    shutil.rmtree(other["path"])
    planned = run_module("uv_env", args, check=True)
    assert planned["changed"] and not os.path.exists(other["path"])
    repaired = run_module("uv_env", args)
    assert (repaired["reasons"], repaired["beside"][0]["reasons"]) == ([], ["there is no environment yet"])
    gone = run_module("uv_env", {**args, "state": "absent"})
    assert gone["changed"] and not place.path.exists() and not os.path.exists(other["path"])


def test_one_that_fails_ends_the_other_which_the_next_run_carries_on(
    place: Place, shop: Shop, index: Index, run_module: Any
) -> None:
    """The other waits for a file that never comes."""
    index.stall = True
    lock = Shop(index.folder).lock(Shop(index.folder).wheel("slow"))
    variables = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": index.url(), "PIP_DEFAULT_TIMEOUT": "100"}
    bad = {"path": str(place.root / "other"), "lock": f"gone==1.0 --hash=sha256:{'0' * 64}\n"}
    began = time.monotonic()
    failed = run_module("uv_env", place.request(lock=lock, python=PYTHON, environment=variables, beside=[bad]))
    assert time.monotonic() - began < 60
    assert "other could not be built" in failed["msg"] and "gone" in failed["msg"]
    assert f"The work on {place.path} was ended; what it fetched is kept." in failed["msg"]
    while processes_of(place.root):
        assert time.monotonic() - began < 90, "it outlives who started it"
        time.sleep(0.1)
    index.stall = False
    assert place.build(lock=lock, environment=variables).packages == {"slow": "1.0"}


def processes_of(folder: Path) -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [one for one in found if f"{folder}/uv" in one]


# --- as Ansible runs it ---------------------------------------------------------------------------------------------


def test_the_module_reports_a_change_with_its_diff_and_then_none(place: Place, shop: Shop, run_module: Any) -> None:
    lock = shop.lock(shop.wheel("alpha"))
    args = place.request(lock=lock, python=PYTHON)
    planned = run_module("uv_env", args, check=True, diff=True)
    assert planned["changed"] is True
    assert not place.root.exists()
    done = run_module("uv_env", args, diff=True)
    assert done["changed"] is True
    assert done["packages"] == {"alpha": "1.0"}
    assert "rc" not in done
    again = run_module("uv_env", args)
    assert again["changed"] is False
    assert again["sources"]["find_links"] == [str(shop.folder)]


def test_the_module_fails_with_one_message_and_keeps_secrets(
    place: Place, shop: Shop, run_module: Any, closed_port: int
) -> None:
    address = f"http://kid:hunter22@127.0.0.1:{closed_port}/simple"
    settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": address}
    failed = run_module(
        "uv_env", place.request(lock=shop.lock(shop.wheel("alpha")), python=PYTHON, environment=settings)
    )
    assert failed["failed"] is True
    assert failed["problem"] == "index_silent"
    assert "refuses connections" in failed["msg"]
    assert "hunter22" not in json.dumps(failed)
    bad = run_module("uv_env", place.request(lock="alpha==1.0\n"))
    assert (bad["failed"], bad["problem"]) == (True, "input")
    assert "has no hash" in bad["msg"]


def test_a_whole_environment_is_read_in_well_under_a_second(kernel_python: Path) -> None:
    site = next(kernel_python.parent.parent.glob("lib/python3.*/site-packages"))
    started = time.perf_counter()
    installed = environment.scan(str(site))
    found = {name: environment.examine(str(site), one) for name, one in installed.items()}
    # Ten times what it takes here: this is about the order of magnitude, with 30,000 files.
    assert time.perf_counter() - started < 1.5
    assert {name: problem for name, problem in found.items() if problem} == {}
    assert "torch" in found

"""What a commit must not hold, and what every file must have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import checkout
import pytest

ONE_MEBIBYTE = 1024 * 1024
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def text_files() -> list[Path]:
    return [path for path in checkout.files() if b"\0" not in (checkout.PROJECT / path).read_bytes()[:8000]]


def registry_hosts() -> set[str]:
    """The package registries as the tools on this computer know them, so that this file names none of them."""
    hosts: set[str] = set()
    ask_pip = "from pip._internal.models.index import PyPI; print(PyPI.netloc, PyPI.file_storage_netloc)"
    for python in (sys.executable, "/usr/bin/python3", "python3"):
        done = output_of(python, "-c", ask_pip)
        hosts.update(done.split())
    hosts.update(urlparse(output_of("npm", "config", "get", "registry").strip()).netloc.split())
    for source in [Path("/etc/apt/sources.list"), *Path("/etc/apt").glob("sources.list.d/*")]:
        if source.is_file():
            text = re.sub(r"#.*", "", source.read_text(encoding="utf-8", errors="replace"))
            hosts.update(urlparse(url).netloc for url in re.findall(r"https?://\S+", text))
    return {host for host in hosts if "." in host}


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except OSError:
        return ""


def test_no_package_registry_is_named(project: Path) -> None:
    """pip, uv, apt and npm use their own defaults, or a school's mirror; a host named here would overrule both."""
    hosts = registry_hosts()
    if not hosts:
        pytest.skip("neither pip, npm nor apt here to say which hosts to look for")
    named = [
        f"{path}: {host}"
        for path in text_files()
        for host in hosts
        if host in (project / path).read_text(encoding="utf-8", errors="replace")
    ]
    assert not named, "\n".join(named)


SYSTEM = ["/", "/home", "/root", "/tmp", "/opt", "/srv", "/mnt", "/media", "/run", "/etc", "/usr", "/var"]
SYSTEM += [f"/usr/{name}" for name in ("lib", "share", "src", "local", "local/lib", "local/share", "local/src")]
SYSTEM += [f"/var/{name}" for name in ("cache", "lib", "tmp")]


def is_everywhere(place: Path) -> bool:
    """A folder of every system's, somebody's home, or one of these with our name."""
    if str(place) in (*SYSTEM, str(Path.home())) or str(place.parent) == "/home":
        return True
    return place.name in ("colab-ready", "colab_ready") and is_everywhere(place.parent)


@pytest.mark.parametrize(
    ("place", "everywhere"),
    [
        ("/tmp", True),
        ("/opt/colab-ready", True),
        ("/home/someone", True),
        ("/home/someone/colab-ready", True),
        ("/home/someone/projects/colab-ready", False),
        ("/builds/colab-ready", False),
    ],
)
def test_a_place_that_any_computer_may_have_is_nobodys_own(place: str, everywhere: bool) -> None:
    assert is_everywhere(Path(place)) is everywhere


def test_no_path_of_the_machine_that_it_was_made_on_is_named(project: Path) -> None:
    # The folder around the checkout counts too, but no place that is named for what it is on every computer.
    ours = [f"{place}/" for place in (project, project.parent) if not is_everywhere(place)]
    named = [
        f"{path}: {place}"
        for path in text_files()
        for place in ours
        if re.search(rf"(?<![\w.-]){re.escape(place)}", (project / path).read_text(encoding="utf-8", errors="replace"))
    ]
    assert not named, "\n".join(named)


def test_every_text_file_ends_with_one_newline(project: Path) -> None:
    wrong = []
    for path in text_files():
        content = (project / path).read_bytes()
        if content and (not content.endswith(b"\n") or content.endswith(b"\n\n")):
            wrong.append(str(path))
    assert not wrong, "\n".join(wrong)


def test_no_text_file_has_carriage_returns(project: Path) -> None:
    assert not [str(path) for path in text_files() if b"\r" in (project / path).read_bytes()]


def test_no_file_is_larger_than_a_mebibyte(project: Path) -> None:
    assert not [str(path) for path in checkout.files() if (project / path).stat().st_size > ONE_MEBIBYTE]


def test_programs_are_executable_and_other_files_are_not(project: Path) -> None:
    wrong = []
    for path in checkout.files():
        executable = os.access(project / path, os.X_OK)
        if executable and not checkout.shebang(path):
            wrong.append(f"{path} is executable and has no interpreter line")
        if path.parts[0] == "colab-ready" and not executable:
            wrong.append(f"{path} cannot be run")
    assert not wrong, "\n".join(wrong)


def test_links_to_files_of_the_checkout_lead_somewhere(project: Path) -> None:
    dead = []
    for path in checkout.with_suffix(".md"):
        text = FENCE.sub("", (project / path).read_text(encoding="utf-8"))
        for target in LINK.findall(text):
            url = urlparse(target)
            if url.scheme or url.netloc or not url.path:
                continue
            place = project / url.path.lstrip("/") if url.path.startswith("/") else project / path.parent / url.path
            if not Path(unquote(str(place))).exists():
                dead.append(f"{path}: {target}")
    assert not dead, "\n".join(dead)

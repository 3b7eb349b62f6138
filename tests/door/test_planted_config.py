"""What another user of the host plants where Jupyter looks: `verify` names it, and the managed server does not read it."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import converged_host
import pytest
from door.visitor import Visitor

Host = converged_host.ConvergedHost
STRANGER = "nobody"
KERNEL = {"argv": ["/bin/sh", "-c", "id > /tmp/planted-kernel"], "display_name": "R", "language": "R"}
OPEN_SERVER = {
    "ServerApp": {"token": "", "allow_origin": "*", "disable_check_xsrf": True, "password": "planted-secret"}
}


@dataclass(frozen=True)
class Plant:
    """`place` is made a directory that everybody may write to; {home} is the home of the runtime's user."""

    place: str
    file: str
    content: Any
    said: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"{self.place}/{self.file}"

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else json.dumps(self.content)

    def at(self, home: str) -> Plant:
        return Plant(self.place.replace("{home}", home), self.file, self.content, self.said)


PLANTS = [
    Plant(
        "/etc/jupyter", "jupyter_server_config.json", OPEN_SERVER,
        ("switches the token off (ServerApp.token)", "lets every web page in (ServerApp.allow_origin)",
         "ServerApp.disable_check_xsrf", "sets a secret that its author knows (ServerApp.password)"),
    ),
    Plant("/usr/local/etc/jupyter", "jupyter_config.py", "open('/tmp/planted-code', 'w')\n", ("is code",)),
    Plant(
        "/usr/etc/jupyter/jupyter_server_config.d", "x.json",
        {"ServerApp": {"jpserver_extensions": {"planted_module": True}}},
        ("runs the Python module planted_module in the server",),
    ),
    Plant("{home}/.jupyter", "jupyter_lab_config.py", "import os\n", ("is code",)),
    Plant("/usr/local/share/jupyter/kernels", "ir/kernel.json", KERNEL, ("is a kernel, 'ir': it runs /bin/sh",)),
    Plant("/usr/share/jupyter/labextensions", "evil/package.json", {"name": "evil"}, ("opens JupyterLab",)),
    Plant("{home}/.local/share/jupyter/kernels", "julia/kernel.json", KERNEL, ("is a kernel, 'julia'",)),
]  # fmt: skip
NAMES = [plant.path for plant in PLANTS]


@contextlib.contextmanager
def folder(host: Host, path: str, mode: str = "0755", owner: str = "root") -> Iterator[None]:
    """This directory, of this owner and mode; afterwards what was there before."""
    found = host.run("stat", "--format", "%a", path)
    first = host.must(
        "sh", "-c", 'while [ ! -e "$(dirname "$1")" ]; do set -- "$(dirname "$1")"; done; echo "$1"', "first", path
    ).strip()
    if found.returncode != 0:
        host.must("install", "-d", "-o", owner, first)
        host.must("sh", "-c", f"umask 022; mkdir -p {shlex.quote(path)} && chown -R {owner}: {shlex.quote(first)}")
    try:
        host.must("chmod", mode, path)
        yield
    finally:
        if found.returncode != 0:
            host.must("rm", "-rf", first)
        else:
            host.must("chmod", found.stdout.strip(), path)


def plant(host: Host, path: str, text: str, user: str = STRANGER) -> None:
    host.must("sh", "-c", 'umask 022; mkdir -p "$(dirname "$1")" && cat > "$1"', "plant", path, user=user, stdin=text)


def home_of(host: Host) -> str:
    return host.must("getent", "passwd", host.user).split(":")[5]


def remedies(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {remedy["id"]: remedy for remedy in report["remedies"]}


def kernelspecs(host: Host) -> set[str]:
    with host.network():
        answer = Visitor(host.port, host.token, origin=None).ask("GET", "/api/kernelspecs")
    assert answer.status == 200
    return set(answer.json()["kernelspecs"])


@pytest.fixture(scope="module")
def planted(converged: Host) -> Iterator[dict[str, Any]]:
    """The report of a host where a stranger planted all of it."""
    home = home_of(converged)
    with contextlib.ExitStack() as stack:
        # Both are 0700, behind which nobody could plant anything: somebody has opened them.
        for opened in (home, f"{home}/.local/share/jupyter"):
            stack.enter_context(folder(converged, opened, "0755", converged.user))
        for one in [each.at(home) for each in PLANTS]:
            stack.enter_context(folder(converged, one.place, "0777", converged.user if home in one.place else "root"))
            plant(converged, one.path, one.text)
        converged.restart()
        log = converged.run("journalctl", "--unit", "colab-ready.service", "--no-pager", "-n", "200").stdout
        report = converged.verify()
        report["log"] = log
        report["kernelspecs"] = kernelspecs(converged)
        report["left"] = {one.path: converged.read(one.path) for one in [each.at(home) for each in PLANTS]}
        report["ran"] = converged.must("sh", "-c", "ls /tmp/planted-* 2>/dev/null || true")
        report["home"] = home
    converged.restart()
    yield report
    after = remedies(converged.verify())
    assert not {"config_planted", "config_dir_open"} & set(after), after


@pytest.mark.parametrize("one", PLANTS, ids=NAMES)
def test_verify_names_the_file_its_owner_and_what_it_does(planted: dict[str, Any], one: Plant) -> None:
    cause = remedies(planted)["config_planted"]["cause"]
    here = one.at(planted["home"])
    assert f"{here.path} (of {STRANGER})" in cause
    said = cause.split(here.path, 1)[1].split("; /")[0]
    for words in one.said:
        assert words in said
    assert any(here.path in warning for warning in planted["warnings"])


def test_the_directories_that_stand_open_have_a_remedy_of_their_own(planted: dict[str, Any]) -> None:
    assert "config_dir_open" in remedies(planted)
    for one in PLANTS:
        assert any(
            one.at(planted["home"]).place + " (0777)" in text for text in planted["checks"]["config_dirs"]["reasons"]
        )


def test_what_was_planted_is_not_run_not_removed_and_its_secrets_are_not_told(planted: dict[str, Any]) -> None:
    assert planted["ran"] == ""
    assert planted["left"] == {one.at(planted["home"]).path: one.text for one in PLANTS}
    told = {key: value for key, value in planted.items() if key != "left"}
    assert "planted-secret" not in json.dumps(told, default=str)


def test_the_managed_server_is_ready_and_offers_no_planted_kernel(planted: dict[str, Any]) -> None:
    assert planted["ready"] is True, planted["reasons"]
    assert planted["kernelspecs"] == {"python3"}
    assert "Not read, kernels and extensions of /usr/local/share/jupyter: " in planted["log"]


def test_kernels_of_root_and_of_the_user_stay_selectable(converged: Host) -> None:
    mine = f"{home_of(converged)}/.local/share/jupyter/kernels"
    with folder(converged, "/usr/local/share/jupyter/kernels"), folder(converged, mine, owner=converged.user):
        plant(converged, "/usr/local/share/jupyter/kernels/ir/kernel.json", json.dumps(KERNEL), user="root")
        plant(converged, f"{mine}/julia/kernel.json", json.dumps(KERNEL), user=converged.user)
        try:
            converged.restart()
            assert kernelspecs(converged) == {"python3", "ir", "julia"}
            assert not {"config_planted", "config_dir_open"} & set(remedies(converged.verify()))
        finally:
            converged.must("rm", "-rf", "/usr/local/share/jupyter/kernels/ir", f"{mine}/julia")
    converged.restart()


def test_an_open_directory_with_nothing_in_it_is_open_and_not_planted(converged: Host) -> None:
    with folder(converged, "/usr/local/share/jupyter/kernels", "0777"), folder(converged, "/etc/jupyter", "0777"):
        found = remedies(converged.verify())
    assert "config_planted" not in found
    assert "chmod go-w /usr/local/share/jupyter/kernels" in found["config_dir_open"]["do"]


def test_a_server_whose_own_configuration_others_can_change_is_not_ready_and_does_not_start(converged: Host) -> None:
    own = f"{converged.settings['prefix']}/server/etc/jupyter"
    with folder(converged, own, "0777"):
        plant(converged, f"{own}/jupyter_server_config.json", json.dumps(OPEN_SERVER))
        try:
            report = converged.verify()
            refused = converged.run(converged_host.RUNTIME, "restart", "--force")
        finally:
            converged.must("rm", f"{own}/jupyter_server_config.json")
    converged.must(converged_host.RUNTIME, "start")
    assert report["ready"] is False
    assert any(reason.startswith(f"server_config: {own} (0777)") for reason in report["reasons"])
    assert any(f"{own}/jupyter_server_config.json" in reason for reason in report["reasons"])
    assert "server_config_open" in remedies(report)
    assert refused.returncode == 1 and own in refused.stderr and "the server runs what lies there" in refused.stderr
    assert converged.verify()["ready"] is True

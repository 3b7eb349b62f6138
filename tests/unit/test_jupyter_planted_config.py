"""What a planted file does, from its text alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.colab_ready.jupyter import planted_config


def effects(content: Any, name: str = "jupyter_server_config.json") -> list[planted_config.Effect]:
    return planted_config.config_effects(name, json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ServerApp": {"token": ""}}, "switches the token off (ServerApp.token)"),
        ({"IdentityProvider": {"token": ""}}, "switches the token off (IdentityProvider.token)"),
        ({"NotebookApp": {"token": "s3cret"}}, "sets a secret that its author knows (NotebookApp.token)"),
        ({"ServerApp": {"password": "argon2:s3cret"}}, "sets a secret that its author knows (ServerApp.password)"),
        ({"PasswordIdentityProvider": {"hashed_password": "s3cret"}}, "sets a secret that its author knows"),
        ({"ServerApp": {"cookie_secret": "s3cret"}}, "sets a secret that its author knows"),
        ({"ServerApp": {"allow_origin": "*"}}, "lets every web page in (ServerApp.allow_origin)"),
        ({"ServerApp": {"allow_origin": "https://evil.example"}}, "lets other web pages in"),
        ({"ServerApp": {"allow_origin_pat": ".*"}}, "lets other web pages in"),
        ({"ServerApp": {"disable_check_xsrf": True}}, "act for who is logged in"),
        ({"ServerApp": {"allow_remote_access": True}}, "opens the server to the network"),
        ({"ServerApp": {"ip": "0.0.0.0"}}, "opens the server to the network"),
        ({"ServerApp": {"allow_root": True}}, "run as root"),
        ({"ServerApp": {"jpserver_extensions": {"evil": True}}}, "runs the Python module evil in the server"),
        ({"NotebookApp": {"nbserver_extensions": {"evil": True}}}, "runs the Python module evil in the server"),
        ({"load_extensions": {"evil/main": True}}, "runs the script evil/main in the page"),
        ({"ServerApp": {"kernel_manager_class": "evil.Manager"}}, "runs code that its author names"),
        ({"ContentsManager": {"pre_save_hook": "evil.hook"}}, "runs code that its author names"),
        ({"ServerApp": {"terminado_settings": {"shell_command": ["/tmp/x"]}}}, "runs code that its author names"),
        ({"ServerApp": {"logging_config": {"handlers": {}}}}, "runs code that its author names"),
        ({"ServerApp": {"extra_static_paths": ["/tmp"]}}, "takes pages, scripts or kernels from a folder"),
        ({"KernelSpecManager": {"kernel_dirs": ["/tmp"]}}, "takes pages, scripts or kernels from a folder"),
        ({"ServerApp": {"root_dir": "/"}}, "shows another folder"),
    ],
)
def test_a_known_way_in_is_named_without_its_value(content: Any, said: str) -> None:
    found = effects(content)
    assert all(effect.known for effect in found)
    assert said in planted_config.sentence(found)
    assert "s3cret" not in planted_config.sentence(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"ServerApp": {"port": 9999}}, "sets ServerApp.port"),
        ({"ServerApp": {"ip": "localhost", "allow_origin": "", "password": ""}}, "sets ServerApp.ip"),
        ({"ServerApp": {"disable_check_xsrf": False}}, "sets ServerApp.disable_check_xsrf"),
        ({"ServerApp": {"jpserver_extensions": {"colab_http_over_ws": True, "evil": False}}}, "changes nothing"),
        ({}, "changes nothing"),
        ([], "is not a JSON object"),
        ("x", "is not a JSON object"),
    ],
)
def test_what_is_not_known_to_be_a_way_in_is_told_apart(content: Any, said: str) -> None:
    found = effects(content)
    assert not any(effect.known for effect in found)
    assert said in planted_config.sentence(found)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b""])
def test_what_is_no_json_is_said_to_be_none(content: bytes) -> None:
    assert "is not JSON" in planted_config.sentence(planted_config.config_effects("jupyter_config.json", content))


def test_code_is_code_whatever_it_holds() -> None:
    assert planted_config.sentence(planted_config.config_effects("jupyter_config.py", b"")).startswith("is code")


@pytest.mark.parametrize(
    ("name", "folder", "read"),
    [
        ("jupyter_config.py", None, True),
        ("jupyter_server_config.json", None, True),
        ("jupyter_lab_config.py", None, True),
        ("jupyter_notebook_config.json", None, True),
        ("x.json", None, False),
        ("jupyter_server_config.json.bak", None, False),
        ("migrated", None, False),
        ("x.json", "jupyter_server_config.d", True),
        ("notebook.json", "nbconfig", True),
        ("README", "jupyter_server_config.d", False),
    ],
)
def test_jupyter_reads_files_by_their_names(name: str, folder: str | None, read: bool) -> None:
    assert planted_config.is_config(name, folder) is read


@pytest.mark.parametrize(
    ("kind", "kernel", "said"),
    [
        ("kernels", b'{"argv": ["/tmp/evil", "-x"]}', "is a kernel, 'ir': it runs /tmp/evil as who chooses it"),
        ("kernels", b'{"argv": []}', "is a kernel, 'ir': it runs as who chooses it"),
        ("kernels", b'{"argv": 7}', "it runs as who"),
        ("kernels", b"{", "it runs as who"),
        ("kernels", None, "it runs as who"),
        ("labextensions", None, "script in the page of who opens JupyterLab"),
        ("nbextensions", None, "script in the page"),
        ("nbconvert", None, "is a template"),
    ],
)
def test_a_kernel_is_named_with_what_it_runs(kind: str, kernel: bytes | None, said: str) -> None:
    (effect,) = planted_config.data_effects(kind, "ir", kernel)
    assert effect.known and said in effect.text


def test_names_that_somebody_else_chose_do_no_harm_in_a_terminal() -> None:
    text = planted_config.sentence(effects({"ServerApp": {"jpserver_extensions": {"\x1b]0;x\x07" + "y" * 500: True}}}))
    assert text.isprintable() and len(text) < 200


def test_a_long_list_is_cut_and_the_dangerous_comes_first() -> None:
    harmless = {f"setting_{number}": 1 for number in range(50)}
    text = planted_config.sentence(effects({"ServerApp": {**harmless, "token": ""}}))
    assert text == "switches the token off (ServerApp.token)"
    assert planted_config.sentence(effects({"ServerApp": harmless})).endswith("and 46 more")

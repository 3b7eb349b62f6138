#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: directml_preflight
short_description: Look whether torch-directml can work on a host, before anything is installed
version_added: "0.1.0"
description:
  - Looks whether this is WSL 2 on x86-64 with a usable C(/dev/dxg), whether Windows' three libraries are in their folder and
    nobody's stubs before them, and whether there is a Python for which torch-directml has wheels, or a way to one. Changes
    nothing and needs no root.
  - The network is asked only where a Python would have to be fetched, and for a few seconds at most.
  - Fails with one message that lists all problems, each with what is wrong, what was expected and what to do.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - Reads only, so it does the same with and without check mode.
  diff_mode:
    description: Says in diff mode what changed.
    support: none
options:
  gpu:
    description: What C(gpu_device) returned. Empty, it is looked up.
    type: dict
    default: {}
  release:
    description: The release of torch-directml that is to be installed.
    type: str
    required: true
  releases:
    description: All releases by name, each with C(package), C(version), C(torch), C(python), C(lock) and C(lock_index).
    type: dict
    required: true
  torch_build:
    description: The build of torch that is to be installed.
    type: str
    choices: [cpu, index]
    default: cpu
  prefix:
    description: The directory that everything is installed into. A Python that is there already will do.
    type: path
    default: /opt/colab-ready
  python:
    description: The interpreter that was named. Without one, the host's Pythons are looked at.
    type: path
  python_fetch:
    description: Whether uv may fetch a Python.
    type: bool
    default: true
  python_mirror:
    description: Where uv would fetch it from in place of its own addresses.
    type: str
  timeout_seconds:
    description: How long an address may take to answer.
    type: float
    default: 5
  environment:
    description:
      - Environment variables for the question to the network, such as E(HTTPS_PROXY).
      - A proxy of pip's configuration counts beside them, as it does in C(uv_env).
    type: dict
    default: {}
  ldconfig:
    description: The program that prints the loader's cache.
    type: path
    default: /sbin/ldconfig
  usr:
    description: Where the system's Pythons are, in C(bin). Another folder is for tests.
    type: path
    default: /usr
"""

EXAMPLES = r"""
- name: Check that DirectML can work here
  directml_preflight:
    gpu: "{{ gpu_backend_detected }}"
    release: 0.2.5.dev240914
    releases: "{{ directml_releases }}"
"""

RETURN = r"""
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do).
  returned: always
  type: list
  elements: dict
  sample:
    - id: directml_architecture
      what: this processor is aarch64, and torch-directml is made for x86-64 alone
      expected: an x86-64 processor
      do: "set colab_backend: cpu"
python:
  description:
    - Where the Python of the environment comes from.
    - V(path) is the one that is there and fits, or null; V(fetch) is the series that uv would fetch then.
  returned: always
  type: dict
  sample: {path: /usr/bin/python3, fetch: null}
"""

import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.directml import plan as directml
from ansible.module_utils.colab_ready.core.problem import message
from ansible.module_utils.colab_ready.core.redact import redact, secrets_in
from ansible.module_utils.colab_ready.gpu.detect import Places, look
from ansible.module_utils.colab_ready.process.fork import Say, run_forked
from ansible.module_utils.colab_ready.process.program import stdout_of
from ansible.module_utils.colab_ready.python import fetched as fetched_pythons
from ansible.module_utils.colab_ready.python import pip_config
from ansible.module_utils.colab_ready.python.interpreters import first_fitting
from ansible.module_utils.colab_ready.python.sources import read_sources
from ansible.module_utils.colab_ready.python.uv import Request
from ansible.module_utils.colab_ready.system import interpreters

# uv's own addresses: its mirror of the releases first, then the releases (uv 0.13.9, `uv python list --show-urls`).
DOWNLOADS = ("https://releases.astral.sh/", "https://github.com/")
# uv's own name for the mirror, which uv_env lets it have: https://docs.astral.sh/uv/reference/environment/
MIRROR_VARIABLE = "UV_PYTHON_INSTALL_MIRROR"


def ask(address: str, seconds: float, _say: Say) -> str | None:
    """Why nobody answers at an address; None if somebody does, whatever the answer is."""
    try:
        parts = urllib.parse.urlsplit(address)
        _ = parts.port
    except ValueError:
        return f"{redact(address)} is no address"
    if parts.scheme == "file":
        folder = urllib.parse.unquote(parts.path)
        return None if os.path.isdir(folder) else f"there is no folder {folder}"
    if parts.scheme not in ("http", "https"):
        return f"{redact(address)} is no address"
    # Without user and password: who is asked for them answers as well.
    where = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(f"{parts.scheme}://{where}{parts.path}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "reason", error)
        if isinstance(why, ssl.SSLCertVerificationError):
            # Somebody answers. Whom to trust uv is told by the host's settings, and says itself.
            return None
        return f"{parts.hostname} cannot be reached ({getattr(why, 'strerror', None) or why})"


def take_proxies(environment: Mapping[str, str]) -> None:
    """The way to the network that uv will get from uv_env: pip's configuration counts, and so do the variables."""
    environ = {**os.environ, **environment}
    try:
        sources = read_sources(Request(path="", environment=environment), environ)
    except pip_config.PipConfigError:
        # uv_env says it, with what to do.
        sources = pip_config.Sources()
    way = pip_config.network_environment(sources, environ)
    for name in pip_config.PROXY_VARIABLES:
        for spelt in (name, name.lower()):
            os.environ.pop(spelt, None)
            # Python's own client does not know ALL_PROXY.
            value = way.get(spelt) or (way.get("ALL_PROXY") if name in ("HTTP_PROXY", "HTTPS_PROXY") else None)
            if value:
                os.environ[spelt] = value


def unreachable(addresses: list[str], seconds: float, environment: Mapping[str, str]) -> str | None:
    """Why none of the addresses answers. Each in a process of its own: a name service may not come back in time."""
    take_proxies(environment)
    if any(proxy.startswith("socks") for proxy in urllib.request.getproxies().values()):
        # uv can speak to such a proxy; Python's own client cannot, so nothing is known.
        return None
    why = []
    for address in addresses:
        outcome = run_forked(partial(ask, address, seconds), seconds + 1)
        if outcome.kind == "ok" and outcome.value is None:
            return None
        why.append(outcome.value or f"{urllib.parse.urlsplit(address).hostname} does not answer within {seconds:g} s")
    return " and ".join(why)


def look_for_python(options: Mapping[str, Any], requires: str) -> directml.PythonState:
    """The first Python that fits, in the order in which uv_env looks."""
    named = options["python"]
    prefix = options["prefix"]
    pythons = f"{prefix}/pythons"
    # Not the environment's own Python: that is the student's to write, and this may be root.
    fetched = [] if named or fetched_pythons.folder_problem(pythons) else fetched_pythons.pythons_in(pythons)
    found, rejected = first_fitting(
        [*([named] if named else interpreters.python_candidates(f"{options['usr']}/bin")), *fetched], requires
    )
    if found is not None:
        return directml.PythonState(fitting=found["path"])
    series = fetched_pythons.series_for(requires)
    why = None
    if options["python_fetch"] and not named and series:
        told = options["environment"].get(MIRROR_VARIABLE) or os.environ.get(MIRROR_VARIABLE)
        mirror = options["python_mirror"] or told
        addresses = [mirror] if mirror else list(DOWNLOADS)
        why = unreachable(addresses, options["timeout_seconds"], options["environment"])
    return directml.PythonState(None, rejected, bool(named), series, options["python_fetch"], why)


def is_wsls(path: str) -> bool:
    """Whether a library is WSL's own, by whatever link: some pages advise links to it in the system's folder."""
    return os.path.realpath(path).startswith(os.path.realpath(directml.LIBRARY_FOLDER) + "/")


def look_for_stubs(ldconfig: str, search_path: str) -> tuple[dict[str, str], bool | None]:
    """Where the loader takes the libraries from, if not from WSL, and whether it knows a libssl (None: not known)."""
    printed = stdout_of([ldconfig, "-p"])
    stubs = directml.stubs_in_cache(printed or "")
    for folder in reversed([one for one in search_path.split(":") if one.startswith("/")]):
        if os.path.realpath(folder) == os.path.realpath(directml.LIBRARY_FOLDER):
            stubs = {}
            continue
        stubs.update({name: f"{folder}/{name}" for name in directml.LIBRARIES if os.path.exists(f"{folder}/{name}")})
    stubs = {name: path for name, path in stubs.items() if not is_wsls(path)}
    return stubs, None if printed is None else directml.has_ssl(printed)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gpu": {"type": "dict", "default": {}},
            "release": {"type": "str", "required": True},
            "releases": {"type": "dict", "required": True},
            "torch_build": {"type": "str", "choices": ["cpu", "index"], "default": "cpu"},
            "prefix": {"type": "path", "default": "/opt/colab-ready"},
            "python": {"type": "path"},
            "python_fetch": {"type": "bool", "default": True},
            "python_mirror": {"type": "str"},
            "timeout_seconds": {"type": "float", "default": 5},
            # Logged by nobody: it may hold a proxy's address with a password.
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "ldconfig": {"type": "path", "default": "/sbin/ldconfig"},
            "usr": {"type": "path", "default": "/usr"},
        },
        supports_check_mode=True,
    )
    options = module.params
    options["environment"] = {str(name): str(value) for name, value in options["environment"].items()}
    texts = [*options["environment"].values(), options["python_mirror"] or ""]
    module.no_log_values = {secret for text in texts for secret in secrets_in(text)}
    found = options["gpu"] or look(Places(usr=options["usr"]))
    said, facts = found.get("wsl") or {}, found.get("host") or {}
    release = options["releases"].get(options["release"])
    release = release if isinstance(release, dict) else {}

    machine = directml.Seen(
        architecture=facts.get("architecture") or os.uname().machine,
        wsl=said.get("version"),
        dxg=facts.get("dxg"),
        dxg_failure=facts.get("dxg_failure"),
        libraries=said.get("libraries") or {},
        stubs={},
        python=directml.PythonState(fitting="not asked"),
    )
    python = directml.PythonState()
    if directml.check_machine(machine) is None:
        stubs, has_ssl = look_for_stubs(options["ldconfig"], os.environ.get("LD_LIBRARY_PATH", ""))
        if directml.check_release(options["release"], options["releases"], options["torch_build"]) is None:
            python = look_for_python(options, str(release["python"]))
        machine = replace(machine, stubs=stubs, python=python)
        if has_ssl is False and any(one.get("vendor_id") == "1002" for one in found.get("adapters") or []):
            module.warn(
                "The loader knows no libssl, which AMD's driver library for WSL was reported to want. "
                "Should the tensor sum fail, install it: sudo apt-get install libssl3"
            )
    problems = directml.judge(options["release"], options["releases"], options["torch_build"], machine)
    result: dict[str, Any] = {
        "problems": [problem.as_dict() for problem in problems],
        "python": {"path": python.fitting, "fetch": None if python.fitting else python.series},
    }
    if problems:
        module.fail_json(msg=message(problems), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: directml_backend
short_description: Look whether torch-directml can work on a host, before anything is installed
version_added: "0.1.0"
description:
  - Looks whether nobody's stubs come before Windows' three libraries, and whether there is a way to the Python that has to be
    fetched, if one has. Changes nothing and needs no root.
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
  state:
    description:
      - Whether the host is to have what the backend needs. Nothing is put there, so there is nothing to take back.
    type: str
    choices: [present, absent]
    default: present
  gpu:
    description:
      - What C(gpu_device) returned, with its decision for this backend; nothing of that is judged again. The card, the Python
        and the settings that the decision hangs on are taken from it.
      - Needed with O(state=present).
    type: dict
    default: {}
  torch_index:
    description: Where PyTorch comes from, in place of the backend's own index.
    type: str
    default: ""
  allow_default_torch:
    description: Whether the default index's PyTorch may come where the backend's own build cannot be had.
    type: bool
    default: false
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
"""

EXAMPLES = r"""
- name: Check that DirectML can work here
  directml_backend:
    gpu: "{{ gpu_backend_detected }}"
"""

RETURN = r"""
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do).
  returned: always
  type: list
  elements: dict
  sample:
    - id: directml_stubs
      what: programs on this host get libdxcore.so from /opt/lib, not from WSL
      expected: "/usr/lib/wsl/lib first: files of these names elsewhere are mostly empty stubs, and crash Python"
      do: "take /opt/lib out of LD_LIBRARY_PATH and of /etc/ld.so.conf.d, then run: sudo ldconfig"
kernel:
  description:
    - What the kernel environment is made of, as C(uv_env) takes it; null where there are problems, and with O(state=absent).
      It is the fact C(colab_kernel) too.
    - V(lock) is a text, or the name of a file of this role.
  returned: always
  type: dict
  sample:
    display_name: Python 3 (DirectML)
    lock: kernel_0.2.5.dev240914.txt
    pinned: [{requirement: torch==2.4.1+cpu, index: "https://download.pytorch.org/whl/cpu"}]
    constraints: [torch==2.4.1]
    python_requires: ">=3.10,<3.13"
    environment: {}
    drop_bundled_hsa: false
"""

import http.client
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.decided import decided
from ansible.module_utils.colab_ready.backends.directml import plan as directml
from ansible.module_utils.colab_ready.backends.directml.kernel import kernel
from ansible.module_utils.colab_ready.backends.kernel import ARGUMENTS, end, hide_secrets
from ansible.module_utils.colab_ready.core.problem import Refused, message
from ansible.module_utils.colab_ready.core.redact import redact
from ansible.module_utils.colab_ready.core.text import listed
from ansible.module_utils.colab_ready.process.fork import Say, run_forked
from ansible.module_utils.colab_ready.process.program import stdout_of
from ansible.module_utils.colab_ready.python import pip_config
from ansible.module_utils.colab_ready.python.sources import read_sources
from ansible.module_utils.colab_ready.python.uv import Request

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


def why_unreachable(options: Mapping[str, Any]) -> str | None:
    """Why the Python that has to be fetched cannot be."""
    told = options["environment"].get(MIRROR_VARIABLE) or os.environ.get(MIRROR_VARIABLE)
    mirror = options["python_mirror"] or told
    return unreachable([mirror] if mirror else list(DOWNLOADS), options["timeout_seconds"], options["environment"])


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
            **ARGUMENTS,
            "python_mirror": {"type": "str"},
            "timeout_seconds": {"type": "float", "default": 5},
            # Logged by nobody: it may hold a proxy's address with a password.
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "ldconfig": {"type": "path", "default": "/sbin/ldconfig"},
        },
        supports_check_mode=True,
    )
    options = module.params
    options["environment"] = {str(name): str(value) for name, value in options["environment"].items()}
    hide_secrets(module)
    if options["state"] == "absent":
        end(module, None)
    try:
        adapter, settings, python = decided(options["gpu"], "directml")
    except Refused as refusal:
        end(module, None, msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    stubs, has_ssl = look_for_stubs(options["ldconfig"], os.environ.get("LD_LIBRARY_PATH", ""))
    problems = directml.check_stubs(stubs)
    if python["fetch"]:
        there = listed((options["gpu"].get("host") or {}).get("pythons"), "there is none in /usr/bin")
        problems += directml.check_download(python, there, why_unreachable(options))
    warnings = []
    if has_ssl is False and adapter.get("vendor_id") == "1002":
        warnings.append(
            "The loader knows no libssl, which AMD's driver library for WSL was reported to want. "
            "Should the tensor sum fail, install it: sudo apt-get install libssl3"
        )
    end(
        module,
        None
        if problems
        else kernel(settings, python["requires"], options["torch_index"], options["allow_default_torch"]),
        warnings,
        msg=message(problems) if problems else "",
        problems=[problem.as_dict() for problem in problems],
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_preflight
short_description: Check that a host and what is requested fit, before anything is changed
version_added: "0.1.0"
description:
  - Looks at the host without the network, and changes nothing. It needs no root, but only root can name the program of
    another account that holds the port.
  - Returns what the roles need to know of the host.
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
  backend:
    description: The backend that was asked for, or V(auto).
    type: str
    default: auto
  backends:
    description: What may be asked for. Empty, V(auto) and the backends that this version knows.
    type: list
    elements: str
    default: []
  port:
    description: The port on loopback for the server, a whole number from 1024 to 65535.
    type: raw
    default: 8888
  user:
    description:
      - The account that runs the kernels, never root.
      - Empty means who called; if that is root by way of sudo, who called sudo; else the system user V(colab), which
        need not exist yet.
    type: str
    default: ""
  prefix:
    description: The directory that everything is installed into.
    type: str
    default: /opt/colab-ready
  python_requires:
    description: The versions of Python that fit.
    type: str
    default: ">=3.10,<3.15"
  restart:
    description: Whether notebooks that run may be ended, if the account that runs them changes.
    type: bool
    default: false
  problems:
    description:
      - What else does not fit, by the module C(host_settings), to be said in the same message; each with C(id), C(what),
        C(expected) and C(do).
    type: list
    elements: dict
    default: []
  runtime_config:
    description: The settings of an earlier run, by which our own server and prefix are recognised.
    type: path
    default: /etc/colab-ready/runtime.json
  runtime_command:
    description: The command of an earlier run, which reports what notebooks run.
    type: path
    default: /usr/local/bin/colab-runtime
"""

EXAMPLES = r"""
- name: Check that the host and what was asked for fit
  host_preflight:
    backend: auto
    port: 8888
    problems: "{{ host_settings_result.problems }}"
  become: false
  register: colab_host
"""

RETURN = r"""
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do).
  returned: always
  type: list
  elements: dict
  sample:
    - id: colab_port
      what: colab_port is 80 (a port below 1024 needs root, and a notebook server does not run as root)
      expected: a whole number from 1024 to 65535
      do: "./colab-ready -e colab_port=8888, or with another one; or ./colab-ready settings --reset colab_port,
        then ./colab-ready without it"
backend_settings:
  description: The variables of the backends' roles on which the decision of C(gpu_device) hangs.
  returned: always
  type: list
  elements: str
  sample: [rocm_version, rocm_experimental, directml_release]
caller:
  description: The account that runs this module.
  returned: always
  type: str
  sample: student
uid:
  description: Its number.
  returned: always
  type: int
  sample: 1000
root_caller:
  description: Whether that is root.
  returned: always
  type: bool
  sample: false
sudo_user:
  description: Who called sudo, where sudo is in play.
  returned: always
  type: str
  sample: student
user:
  description: The account that runs the kernels.
  returned: always
  type: str
  sample: student
user_chosen_by:
  description: Where RV(user) comes from, one of V(colab_user), V(caller), V(sudo), V(system_user).
  returned: always
  type: str
  sample: caller
user_exists:
  description: Whether the host has RV(user); only the system user V(colab) need not exist.
  returned: always
  type: bool
  sample: true
user_comment:
  description: What an account that this project makes bears in the host's list of accounts, by which it is known again.
  returned: always
  type: str
  sample: colab-ready runtime user
home_open:
  description: Whether RV(user) was made by this project, or is to be, and others may enter its home (in its usual place).
  returned: always
  type: bool
  sample: false
user_home:
  description: Its home, also where it is still to be made.
  returned: always
  type: str
  sample: /home/student
port:
  description: The port as a number, or nothing if it is none.
  returned: always
  type: int
  sample: 8888
prefix:
  description: The prefix as it was given, without a slash at the end.
  returned: always
  type: str
  sample: /opt/colab-ready
backend:
  description: The backend as it was asked for.
  returned: always
  type: str
  sample: auto
disk:
  description: The free space, with V(path) (what exists of the prefix) and V(free_bytes).
  returned: always
  type: dict
  sample: {path: /opt, free_bytes: 812345678901}
service_manager:
  description: V(systemd) where it is the first process, else V(none).
  returned: always
  type: str
  sample: systemd
systemd:
  description: The version of systemd, running or only installed.
  returned: always
  type: str
  sample: "252"
os:
  description: The distribution, with V(id), V(version_id), V(codename) and V(name).
  returned: always
  type: dict
  sample: {id: debian, version_id: "12", codename: bookworm, name: Debian GNU/Linux 12 (bookworm)}
architecture:
  description: The processor, as C(uname -m) has it.
  returned: always
  type: str
  sample: x86_64
python:
  description: The system's Python that fits, with V(path) and V(version).
  returned: always
  type: dict
  sample: {path: /usr/bin/python3, version: 3.11.2}
uv:
  description: The uv on the caller's path.
  returned: always
  type: str
  sample: /usr/local/bin/uv
hostname:
  description: The host's name.
  returned: always
  type: str
  sample: pc-07
runtime:
  description: What an earlier run set up, C(user), C(service_manager), C(prefix) and C(port); null where unknown.
  returned: always
  type: dict
  sample: {user: student, service_manager: systemd, prefix: /opt/colab-ready, port: 8888}
"""

import json
import os
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.registry import BACKENDS
from ansible.module_utils.colab_ready.core.accounts import user_name
from ansible.module_utils.colab_ready.core.problem import Problem, message
from ansible.module_utils.colab_ready.files.safe_open import read_object
from ansible.module_utils.colab_ready.files.trust import distrust_way
from ansible.module_utils.colab_ready.host_check.preflight import (
    SYSTEM_USER,
    PortState,
    Requested,
    Seen,
    choose_user,
    former_user,
    judge,
    parse_port,
    prefix_shape,
)
from ansible.module_utils.colab_ready.process.identity import current_account
from ansible.module_utils.colab_ready.process.run import child_environment, run
from ansible.module_utils.colab_ready.python.interpreters import candidates, first_fitting
from ansible.module_utils.colab_ready.python.lock import LockError
from ansible.module_utils.colab_ready.system import (
    clock,
    filesystem,
    init,
    interpreters,
    os_release,
    ports,
    runtime_account,
)
from ansible.module_utils.colab_ready.system.interpreters import Python

# The command answers within 25 s, whatever another user does meanwhile.
STATUS_SECONDS = 30.0


def look_at_port(port: int, settings: dict[str, Any] | None) -> PortState:
    runtime = runtime_account.account(str((settings or {}).get("user", "")))
    listeners, holder, ours = ports.who_listens(port, settings, runtime.uid if runtime else None)
    return PortState(
        listeners=listeners,
        holder=holder,
        ours=ours,
        bind_error=None if listeners else ports.bind_error(port),
        users=[user_name(holder.uid)] if holder else [user_name(listener.uid) for listener in listeners],
    )


def running_kernels(command: str) -> list[str]:
    """The environments in which notebooks run, as colab-runtime reports them; none where it reports nothing."""
    try:
        env = child_environment(current_account(), None)
        said = run([command, "status", "--json"], STATUS_SECONDS, env=env).stdout
        return [str(name) for name in json.loads(said)["kernels"]]
    except (ValueError, LookupError, TypeError):
        return []


def look(requested: Requested, settings: dict[str, Any] | None, python: Python | None, rejected: list[str]) -> Seen:
    """What the host says of itself; `python` is the interpreter that fits, `rejected` why others do not."""
    uid = os.getuid()
    caller = user_name(uid)
    sudo_user = os.environ.get("SUDO_USER") or None
    port = parse_port(requested.port)[0]
    return Seen(
        uid=uid,
        caller=caller,
        sudo_user=sudo_user,
        accounts={
            name: runtime_account.account(name) for name in {requested.user, caller, sudo_user, SYSTEM_USER} if name
        },
        hostname=os.uname().nodename,
        architecture=os.uname().machine,
        os=os_release.os_facts(),
        service_manager=init.service_manager(),
        systemd=init.systemd_version(),
        uv=interpreters.find_uv(),
        python=python,
        rejected=rejected,
        place=None if prefix_shape(requested.prefix) else filesystem.look_at(requested.prefix),
        settings=settings,
        port=PortState() if port is None else look_at_port(port, settings),
        clock=clock.wrong_clock(os.uname().release, time.time()),
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "default": "auto"},
            "backends": {"type": "list", "elements": "str", "default": []},
            "port": {"type": "raw", "default": 8888},
            "user": {"type": "str", "default": ""},
            "prefix": {"type": "str", "default": "/opt/colab-ready"},
            "python_requires": {"type": "str", "default": ">=3.10,<3.15"},
            "restart": {"type": "bool", "default": False},
            "problems": {"type": "list", "elements": "dict", "default": []},
            "runtime_config": {"type": "path", "default": "/etc/colab-ready/runtime.json"},
            "runtime_command": {"type": "path", "default": "/usr/local/bin/colab-runtime"},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    command, restart = options.pop("runtime_command"), options.pop("restart")
    config, known = options.pop("runtime_config"), [Problem(**problem) for problem in options.pop("problems")]
    # What others could have written says nothing of an earlier run.
    settings = None if distrust_way(config, {0, os.geteuid()}) else read_object(config)
    options["prefix"] = options["prefix"].rstrip("/") or "/"
    options["backends"] = options["backends"] or ["auto", *(one.name for one in BACKENDS)]
    requested = Requested(**options)
    try:
        python, rejected = first_fitting(candidates(), requested.python_requires, interpreters.ask_python)
    except LockError as error:
        module.fail_json(msg=f"python_requires is {requested.python_requires!r}: {error}")

    seen = look(requested, settings, python, rejected)
    if not restart and former_user(choose_user(requested.user, seen).name, settings):
        seen = replace(seen, kernels=running_kernels(command))
    facts, problems = judge(requested, seen)
    # The port is known to the settings too.
    problems = list(dict.fromkeys([*known, *problems]))
    facts["backend_settings"] = [f"{one.name}_{setting}" for one in BACKENDS for setting in one.settings]
    facts["problems"] = [problem.as_dict() for problem in problems]
    if problems:
        module.fail_json(msg=message(problems), **facts)
    module.exit_json(changed=False, **facts)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_settings
short_description: Read what a host remembers of what was asked for, and validate all settings
version_added: "0.2.0"
description:
  - Returns which remembered settings hold for this run, those that nobody gives, and what the host should remember after it.
  - Changes nothing. What it returns as RV(memory) is written once the run has been accepted.
  - Fails where the file is damaged, or where somebody else than root can change it.
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
  known:
    description: The settings, by name, each with C(type), C(default), C(choices) and C(remembered).
    type: dict
    required: true
  current:
    description: The values that the play has without what is remembered, by name. One that differs from its default was given.
    type: dict
    default: {}
  given:
    description: The names that an inventory or C(-e) gives, also where the value is the default.
    type: list
    elements: str
    default: []
  remember:
    description: With V(false) the file is not read, and RV(memory) is null.
    type: raw
    default: true
  path:
    description: Where the host remembers.
    type: path
    default: /etc/colab-ready/settings.json
  runtime_config:
    description: The settings of the runtime that an earlier run set up. Where others can change it, it says nothing.
    type: path
    default: /etc/colab-ready/runtime.json
"""

EXAMPLES = r"""
- name: Read what this host remembers
  host_settings:
    known: "{{ lookup('ansible.builtin.file', 'settings.json') | from_json }}"
    current: {colab_port: "{{ colab_port }}"}
    given: [colab_port]
  register: host_settings_result
"""

RETURN = r"""
settings:
  description: The values that hold for this run, by name, but for those that do not fit; passwords are covered.
  returned: success
  type: dict
  sample: {colab_backend: directml, colab_port: 8888}
recalled:
  description: The remembered values that hold for this run.
  returned: success
  type: dict
  sample: {colab_backend: directml}
memory:
  description: What the file should hold after this run; null where that is what it holds.
  returned: success
  type: dict
  sample: {schema: 1, settings: {colab_backend: directml, colab_port: 9000}}
beyond_defaults:
  description: What is remembered after this run and is not the default.
  returned: success
  type: list
  elements: str
  sample: [colab_port=9000]
problems:
  description: The values that do not fit, each with V(id), V(what), V(expected) and V(do).
  returned: success
  type: list
  elements: dict
  sample: []
runtime:
  description: Where and for whom an earlier run set up the runtime; nothing where that is unknown.
  returned: always
  type: dict
  sample: {user: student, prefix: /opt/colab-ready}
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.core.redact import secrets_in
from ansible.module_utils.colab_ready.files.safe_open import read_object
from ansible.module_utils.colab_ready.files.trust import distrust_way
from ansible.module_utils.colab_ready.settings import memory
from ansible.module_utils.colab_ready.settings.values import BOOLEANS, parse_table


def read_runtime(path: str) -> dict[str, str]:
    """Return where and for whom an earlier run set up the runtime, as far as that is known and believed."""
    said = {} if distrust_way(path, {0, os.geteuid()}) else read_object(path) or {}
    return {name: said[name] for name in ("prefix", "user") if isinstance(said.get(name), str)}


def answer(params: Mapping[str, Any], warn: Callable[[str], object]) -> dict[str, Any]:
    """Return what holds for this run, and what is remembered after it. Raises Refused."""
    known, current = parse_table(params["known"]), params["current"]
    # What is no boolean is among the problems.
    remembers = BOOLEANS.get(str(params["remember"]).lower(), False)
    remembered = memory.read(params["path"], {0, os.geteuid()}) if remembers else {}
    found = memory.resolve(known, current, params["given"], remembered)
    for warning in found.warnings:
        warn(warning)
    wrong = {problem.id for problem in found.problems}
    held = {name: value for name, value in found.memory.items() if remembers and name not in wrong}
    return {
        "settings": found.values,
        "recalled": found.recalled,
        "memory": memory.content(found.memory) if remembers and found.memory != remembered else None,
        "beyond_defaults": memory.beyond_defaults(known, held),
        "problems": [problem.as_dict() for problem in found.problems],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "known": {"type": "dict", "required": True},
            "current": {"type": "dict", "default": {}},
            "given": {"type": "list", "elements": "str", "default": []},
            "remember": {"type": "raw", "default": True},
            "path": {"type": "path", "default": memory.FILE},
            "runtime_config": {"type": "path", "default": "/etc/colab-ready/runtime.json"},
        },
        supports_check_mode=True,
        # Addresses with passwords are among the values.
        no_log=True,
    )
    module.no_log_values = set(secrets_in(str(module.params["current"])))
    runtime = read_runtime(module.params["runtime_config"])
    try:
        module.exit_json(changed=False, runtime=runtime, **answer(module.params, module.warn))
    except Refused as error:
        module.fail_json(msg=str(error), runtime=runtime)


if __name__ == "__main__":
    main()

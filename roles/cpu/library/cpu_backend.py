#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cpu_backend
short_description: Say what the kernel environment of the CPU is made of
version_added: "0.2.0"
description:
  - Needs nothing of the host, changes nothing and needs no root.
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
"""

EXAMPLES = r"""
- name: Have the kernel of the CPU described
  cpu_backend:
    gpu: "{{ gpu_backend_detected }}"
"""

RETURN = r"""
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do).
  returned: always
  type: list
  elements: dict
  sample: []
kernel:
  description:
    - What the kernel environment is made of, as C(uv_env) takes it; null where there are problems, and with O(state=absent).
      It is the fact C(colab_kernel) too.
    - V(lock) is a text, or the name of a file of this role.
  returned: always
  type: dict
  sample:
    display_name: Python 3 (CPU)
    lock: kernel_cpu.txt
    pinned: [{requirement: torch==2.13.0+cpu, index: "https://download.pytorch.org/whl/cpu"}]
    constraints: [torch==2.13.0]
    python_requires: ">=3.10,<3.15"
    environment: {}
    drop_bundled_hsa: false
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.cpu.kernel import kernel
from ansible.module_utils.colab_ready.backends.decided import decided
from ansible.module_utils.colab_ready.backends.kernel import ARGUMENTS, end, hide_secrets
from ansible.module_utils.colab_ready.core.problem import Refused


def main() -> None:
    module = AnsibleModule(argument_spec=dict(ARGUMENTS), supports_check_mode=True)
    options = module.params
    hide_secrets(module)
    if options["state"] == "absent":
        end(module, None)
    try:
        python = decided(options["gpu"], "cpu").python
    except Refused as refusal:
        end(module, None, msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    end(module, kernel(python["requires"], options["torch_index"], options["allow_default_torch"]))


if __name__ == "__main__":
    main()

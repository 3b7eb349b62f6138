#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cuda_preflight
short_description: Look whether NVIDIA's driver can run PyTorch, and choose the build, before anything is installed
version_added: "0.1.0"
description:
  - Asks C(nvidia-smi) and C(libcuda) which CUDA the driver runs and of which generation the card is, and chooses the newest build
    of PyTorch that fits both. Changes nothing and needs no root.
  - In WSL, the driver is the one on Windows. A driver for Linux that was installed there hides it, and is reported. Without WSL,
    the driver is the one that is there.
  - Both are asked with a limit, and C(libcuda) in a process of its own, so that a driver that hangs or dies is a message.
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
  torch:
    description: The release of PyTorch. Empty, the newest.
    type: str
    default: ""
  build:
    description: The build of it, such as V(cu130). Empty, the newest that driver and card allow.
    type: str
    default: ""
  index:
    description: Where PyTorch's builds are. The name of the build is put behind it.
    type: str
    default: https://download.pytorch.org/whl/
  locks:
    description: The releases and builds that can be had, each as V(2.14.0_cu130).
    type: list
    elements: str
    required: true
  timeout_seconds:
    description: How long one question to the driver may take.
    type: float
    default: 10
  library:
    description: The library of the driver, by name or by path.
    type: str
    default: libcuda.so.1
  ldconfig:
    description: The program that prints the loader's cache.
    type: path
    default: /sbin/ldconfig
  dpkg_query:
    description: The program that lists what is installed.
    type: path
    default: /usr/bin/dpkg-query
  usr:
    description: Where C(nvidia-smi) is, in C(lib/wsl/lib), C(bin) or C(local/bin). Another folder is for tests.
    type: path
    default: /usr
  proc:
    description: Where procfs is. Another folder is for tests.
    type: path
    default: /proc
"""

EXAMPLES = r"""
- name: Check that CUDA can work here
  cuda_preflight:
    gpu: "{{ gpu_backend_detected }}"
    locks: [2.14.0_cu132, 2.14.0_cu130, 2.14.0_cu126]

- name: Choose the build that an old card has code in
  cuda_preflight:
    build: cu126
    locks: [2.14.0_cu126]
"""

RETURN = r"""
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do).
  returned: always
  type: list
  elements: dict
  sample:
    - id: cuda_linux_driver
      what: a Linux driver of NVIDIA is installed in this WSL (nvidia-driver-580)
      expected: "none: CUDA in WSL comes with the driver on Windows"
      do: "sudo apt-get remove nvidia-driver-580; then in PowerShell: wsl --shutdown"
build:
  description: The build that fits; null where there are problems.
  returned: always
  type: dict
  contains:
    tag:
      description: PyTorch's name for it.
      type: str
    torch:
      description: The release.
      type: str
    torchvision:
      description: The release of torchvision that goes with it.
      type: str
    index:
      description: Where it is.
      type: str
    requirements:
      description: What is to be installed from there.
      type: list
      elements: str
    lock:
      description: Which of O(locks) it is.
      type: str
    why:
      description: Why this one.
      type: str
  sample:
    tag: cu132
    torch: 2.14.0
    torchvision: 0.29.0
    index: https://download.pytorch.org/whl/cu132
    requirements: ["torch==2.14.0+cu132", "torchvision==0.29.0+cu132"]
    lock: 2.14.0_cu132
    why: the driver runs CUDA up to 13.3, and the card is of compute capability 8.9
driver:
  description:
    - What the driver said. RV(driver.source) is V(nvidia-smi) or V(libcuda), whichever told RV(driver.ceiling), the newest
      CUDA that it runs. What is not known is null.
  returned: always
  type: dict
  contains:
    version:
      description: The driver's version, by NVIDIA's own count.
      type: str
    ceiling:
      description: The newest CUDA that it runs.
      type: str
    source:
      description: Who said so.
      type: str
    card:
      description: The card.
      type: str
    capability:
      description: Its compute capability.
      type: str
    library:
      description: The libcuda that programs get.
      type: str
  sample:
    version: "581.29"
    ceiling: "13.3"
    source: nvidia-smi
    card: NVIDIA GeForce RTX 4070
    capability: "8.9"
    library: /usr/lib/wsl/lib/libcuda.so.1
cautions:
  description: What the user should know of it, a sentence each.
  returned: always
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.cuda import host as cuda_host
from ansible.module_utils.colab_ready.backends.cuda import plan as cuda_plan
from ansible.module_utils.colab_ready.core.problem import message
from ansible.module_utils.colab_ready.core.redact import secrets_in
from ansible.module_utils.colab_ready.gpu.detect import Places, look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gpu": {"type": "dict", "default": {}},
            "torch": {"type": "str", "default": ""},
            "build": {"type": "str", "default": ""},
            "index": {"type": "str", "default": "https://download.pytorch.org/whl/"},
            "locks": {"type": "list", "elements": "str", "required": True},
            "timeout_seconds": {"type": "float", "default": 10},
            "library": {"type": "str", "default": "libcuda.so.1"},
            "ldconfig": {"type": "path", "default": "/sbin/ldconfig"},
            "dpkg_query": {"type": "path", "default": "/usr/bin/dpkg-query"},
            "usr": {"type": "path", "default": "/usr"},
            "proc": {"type": "path", "default": "/proc"},
        },
        supports_check_mode=True,
    )
    options = module.params
    # A mirror's address may hold a password.
    module.no_log_values = set(secrets_in(options["index"]))
    gpu = options["gpu"] or look(Places(usr=options["usr"], proc=options["proc"]))
    seen = cuda_host.look(
        gpu,
        options["usr"],
        options["proc"],
        options["ldconfig"],
        options["dpkg_query"],
        options["library"],
        options["timeout_seconds"],
    )
    wish = cuda_plan.Wish(
        options["torch"], options["build"], options["index"], options["locks"], cuda_plan.decided_name(gpu)
    )
    verdict = cuda_plan.judge(seen, wish)
    result: dict[str, Any] = {
        "problems": [problem.as_dict() for problem in verdict.problems],
        "build": verdict.build,
        "driver": dict(verdict.driver),
        "cautions": list(verdict.cautions),
    }
    for caution in verdict.cautions:
        module.warn(caution)
    if verdict.problems:
        module.fail_json(msg=message(verdict.problems), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cuda_backend
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
    description: Locks by release and build, such as V(2.14.0_cu130), as texts, beside those that the role has.
    type: dict
    default: {}
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
  cuda_backend:
    gpu: "{{ gpu_backend_detected }}"

- name: Choose the build that an old card has code in
  cuda_backend:
    gpu: "{{ gpu_backend_detected }}"
    build: cu126
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
      description: Its lock, a key of O(locks) or of the role's own.
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
kernel:
  description:
    - What the kernel environment is made of, as C(uv_env) takes it; null where there are problems, and with O(state=absent).
      It is the fact C(colab_kernel) too.
    - V(lock) is a text, or the name of a file of this role.
  returned: always
  type: dict
  sample:
    display_name: Python 3 (CUDA)
    lock: kernel_2.14.0_cu132.txt
    pinned: [{requirement: torch==2.14.0+cu132, index: "https://download.pytorch.org/whl/cu132"}]
    constraints: [torch==2.14.0]
    python_requires: ">=3.10,<3.15"
    environment: {}
    drop_bundled_hsa: false
cautions:
  description: What the user should know of it, a sentence each.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.cuda import host as cuda_host
from ansible.module_utils.colab_ready.backends.cuda import plan as cuda_plan
from ansible.module_utils.colab_ready.backends.cuda.kernel import kernel
from ansible.module_utils.colab_ready.backends.decided import decided
from ansible.module_utils.colab_ready.backends.kernel import ARGUMENTS, end, hide_secrets
from ansible.module_utils.colab_ready.core.problem import Refused, message


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "torch": {"type": "str", "default": ""},
            "build": {"type": "str", "default": ""},
            "index": {"type": "str", "default": "https://download.pytorch.org/whl/"},
            "locks": {"type": "dict", "default": {}},
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
    hide_secrets(module)
    if options["state"] == "absent":
        end(module, None)
    try:
        adapter, _settings, python = decided(options["gpu"], "cuda")
    except Refused as refusal:
        end(module, None, msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    places = {name: options[name] for name in ("usr", "proc", "ldconfig", "dpkg_query", "library")}
    seen = cuda_host.look(options["gpu"], **places, seconds=options["timeout_seconds"])
    locks = [*cuda_plan.LOCKS, *options["locks"]]
    asked = cuda_plan.Options(
        options["torch"], options["build"], options["index"], locks, str(adapter.get("name") or "")
    )
    verdict = cuda_plan.judge(seen, asked)
    described = None
    if verdict.build is not None:
        index, allowed = options["torch_index"], options["allow_default_torch"]
        described = kernel(verdict.build, options["locks"], python["requires"], index, allowed)
    end(
        module,
        described,
        verdict.cautions,
        msg=message(verdict.problems) if verdict.problems else "",
        problems=[problem.as_dict() for problem in verdict.problems],
        build=verdict.build,
        driver=dict(verdict.driver),
        cautions=list(verdict.cautions),
    )


if __name__ == "__main__":
    main()

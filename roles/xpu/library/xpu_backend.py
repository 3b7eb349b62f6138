#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: xpu_backend
short_description: Keep Intel's compute runtime for PyTorch's XPU as one state
version_added: "0.1.0"
description:
  - Puts Intel's repository with its key in place and installs the compute runtime that an Intel GPU needs under PyTorch, or the
    distribution's own packages where those are new enough (Ubuntu 26.04). In WSL the driver is the one on Windows.
  - The key is compared with the fingerprints that are known before it is written, the repository is read and the installation
    simulated before a package is touched, and what was written is taken back where one of these fails. A package of a kernel or
    of its modules is never installed, and none is taken away for the runtime.
  - Without WSL the O(user) gets into the groups C(render) and C(video), into those of the two that there are.
  - What is done is recorded before it is done, with the files and memberships that were there before, so that O(state=absent)
    takes back that and nothing else, also after a run that was ended half-way.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - Nothing is fetched in check mode, so an address that does not answer or another key shows only in the real run.
  diff_mode:
    description: Says in diff mode what changed.
    support: full
options:
  state:
    description:
      - Whether the runtime is there, or what this module put there is taken away.
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
    description: Whether the default index's PyTorch may come in place of the backend's own build. For XPU it would not do.
    type: bool
    default: false
  index:
    description: Where PyTorch's XPU build is. O(torch_index) comes first.
    type: str
    default: https://download.pytorch.org/whl/xpu
  lock:
    description: The lock of everything that torch wants but torch, torchvision and triton-xpu, as text. Empty, the role's own.
    type: str
    default: ""
  apt_address:
    description: Intel's repository, or a mirror of it.
    type: str
    default: https://repositories.intel.com/gpu/ubuntu
  apt_key:
    description: The key of the repository, in text or binary form. V(file:///FILE) takes a file.
    type: str
    default: https://repositories.intel.com/gpu/intel-graphics.key
  apt_key_fingerprints:
    description: The fingerprints that keys may have. Empty, any key is taken, over https only.
    type: list
    elements: str
    default: [E0258B57D9C442D5DB1855C271740E4DE392BFE3, 4E9EFCDEF82800256C1E7C64B02DB9BD8C321DCB]
  user:
    description:
      - Who runs the kernels, and so has to be in the groups that may open the GPU. Empty, nobody. In WSL everybody may open it.
    type: str
    default: ""
  environment:
    description: Proxies, in E(https_proxy) and the like, for what is fetched.
    type: dict
    default: {}
  etc:
    description: Where the configuration of the system is. Another folder is for tests.
    type: path
    default: /etc
  apt_get:
    description: The program that installs.
    type: path
    default: /usr/bin/apt-get
  dpkg_query:
    description: The program that lists what is installed.
    type: path
    default: /usr/bin/dpkg-query
  state_file:
    description: Where is recorded what this module did.
    type: path
    default: /var/lib/colab-ready/xpu_runtime.json
"""

EXAMPLES = r"""
- name: Install Intel's compute runtime
  xpu_backend:
    gpu: "{{ gpu_backend_detected }}"
    user: student

- name: Install it from a school's mirror
  xpu_backend:
    gpu: "{{ gpu_backend_detected }}"
    apt_address: https://mirror.example/intel/gpu/ubuntu
    apt_key: https://mirror.example/intel/intel-graphics.key

- name: Take it away again
  xpu_backend:
    state: absent
"""

RETURN = r"""
kernel:
  description:
    - What the kernel environment is made of, as C(uv_env) takes it; null where there are problems, and with O(state=absent).
      It is the fact C(colab_kernel) too.
    - V(lock) is a text, or the name of a file of this role.
  returned: always
  type: dict
  sample:
    display_name: Python 3 (XPU)
    lock: kernel_2.13.0_xpu.txt
    pinned: [{requirement: torch==2.13.0+xpu, index: "https://download.pytorch.org/whl/xpu"}]
    constraints: [torch==2.13.0+xpu]
    python_requires: ">=3.10,<3.14"
    environment: {}
    drop_bundled_hsa: false
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do). The module fails if there is any.
  returned: always
  type: list
  elements: dict
  sample:
    - id: xpu_apt_signature
      what: "Intel's repository: the repository's signature is not by its key (NO_PUBKEY 28DA432DAAC8BAEA)"
      expected: a list signed by the key that was fetched
      do: "try again later; if it stays, fetch the key that its maker names now"
card:
  description: The name of the GPU that it is for; empty with O(state=absent).
  returned: always
  type: str
  sample: Intel(R) Arc(TM) A770 Graphics
packages:
  description: The packages of the runtime that are installed, with their versions.
  returned: always
  type: dict
  sample: {libze1: 1.21.1.0-1123~24.04}
groups:
  description: The groups that may open the GPU, where there are such; none in WSL.
  returned: always
  type: list
  elements: str
  sample: []
cautions:
  description: What the user should know of it, a sentence each.
  returned: always
  type: list
  elements: str
  sample: []
changed_paths:
  description: The files that were changed, made or removed, in order.
  returned: always
  type: list
  elements: str
  sample: [/etc/apt/keyrings/intel-graphics.gpg, /etc/apt/sources.list.d/intel-gpu.sources]
skipped_parts:
  description: What was left as it is, and why.
  returned: always
  type: list
  elements: str
  sample: ["there is no group render, so nobody needs to be in it"]
diff:
  description: What was and what is, for each package and file that changed, and each group that O(user) joins or leaves.
  returned: always
  type: dict
  sample:
    before: "package libze1: absent\n"
    after: "package libze1: newest of its repository\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.host import serve
from ansible.module_utils.colab_ready.backends.kernel import ARGUMENTS
from ansible.module_utils.colab_ready.backends.xpu.host import XpuHost


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "index": {"type": "str", "default": "https://download.pytorch.org/whl/xpu"},
            "lock": {"type": "str", "default": ""},
            "apt_address": {"type": "str", "default": "https://repositories.intel.com/gpu/ubuntu"},
            "apt_key": {
                "type": "str",
                "default": "https://repositories.intel.com/gpu/intel-graphics.key",
                "no_log": False,
            },
            # That of today and that of 2024; both are in the file that Intel offers. Read off it by two others who pin it, as
            # nobody here reaches it; what signs is a subkey of the second, 28DA432DAAC8BAEA.
            "apt_key_fingerprints": {
                "type": "list",
                "elements": "str",
                "default": ["E0258B57D9C442D5DB1855C271740E4DE392BFE3", "4E9EFCDEF82800256C1E7C64B02DB9BD8C321DCB"],
                "no_log": False,
            },
            "user": {"type": "str", "default": ""},
            # Logged by nobody: it may hold a proxy's address with a password.
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "etc": {"type": "path", "default": "/etc"},
            "apt_get": {"type": "path", "default": "/usr/bin/apt-get"},
            "dpkg_query": {"type": "path", "default": "/usr/bin/dpkg-query"},
            "state_file": {"type": "path", "default": "/var/lib/colab-ready/xpu_runtime.json"},
        },
        supports_check_mode=True,
    )
    serve(module, XpuHost)


if __name__ == "__main__":
    main()

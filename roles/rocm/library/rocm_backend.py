#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rocm_backend
short_description: Keep what ROCm needs of the host as one state
version_added: "0.1.0"
description:
  - Chooses a ROCm for the card and the host, looks what is in its way, and puts there what it needs beside the wheels in the
    kernel environment. In WSL that is AMD's bridge C(rocdxg-roct), verified by its SHA-256 sum before dpkg sees it, a line in
    the loader's cache, the environment, and lines of C(dids.conf); natively the groups C(render) and C(video).
  - AMD's apt repository, with its key and pin, and packages from it come only with C(rocm_system_packages), or with a release
    that does not work without them.
  - All that is in the way is said in one message, and nothing is changed then. Key, lists and bridge are fetched into a folder
    of the run and checked there before anything is put on the host.
  - Never installs a kernel package, C(amdgpu-dkms) least of all. Never takes away an older ROCm; asks for it.
  - What was done is recorded, so that O(state=absent) takes back that and nothing else.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - Nothing is fetched in check mode, so an address that does not answer or a wrong checksum shows only in the real run.
  diff_mode:
    description: Says in diff mode what changed.
    support: full
options:
  state:
    description:
      - With V(present), the host has what ROCm needs.
      - With V(absent), what this module did is taken back. What was changed by others since then stays.
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
    description: Whether the default index's PyTorch may come in place of the backend's own build. For ROCm it would not do.
    type: bool
    default: false
  remove_conflicts:
    description: Whether the distribution's own packages are removed that the loader would take in place of AMD's.
    type: bool
    default: false
  user:
    description: Who runs the kernels. Natively that user is put into C(render) and C(video), as far as they exist.
    type: str
    default: ""
  bridge_address:
    description: The folder that the bridge is fetched from. C({version}) stands for its release.
    type: str
    default: ""
  apt_address:
    description: A mirror of AMD's repository. C({release}) stands for 2404, C({codename}) for noble.
    type: str
    default: ""
  apt_key:
    description: Where its key is. http alone will do only together with O(apt_key_fingerprint) or O(apt_key_sha256).
    type: str
    default: ""
  apt_key_fingerprint:
    description: The fingerprint that the key must have. Empty, the known one of AMD's key, where one is known.
    type: str
    default: ""
  apt_key_sha256:
    description: The SHA-256 sum of the key as it is served.
    type: str
    default: ""
  environment:
    description: Proxies, in E(https_proxy) and the like, for what is fetched.
    type: dict
    default: {}
  timeout_seconds:
    description: How long one run of apt or dpkg may take.
    type: float
    default: 3600
  ldconfig:
    description: The program that fills and prints the loader's cache.
    type: path
    default: /sbin/ldconfig
  state_file:
    description: Where is recorded what this module did.
    type: path
    default: /var/lib/colab-ready/rocm_host.json
"""

EXAMPLES = r"""
- name: Let this WSL have AMD's bridge
  rocm_backend:
    gpu: "{{ gpu_backend_detected }}"

- name: Have a pinned older ROCm, from a school's mirror
  rocm_backend:
    # decided with the setting rocm_version: 7.2.4
    gpu: "{{ gpu_backend_detected }}"
    apt_address: https://mirror.example.org/rocm/7.2.4
    apt_key: https://mirror.example.org/rocm/rocm.gpg.key
    apt_key_fingerprint: CA8BB4727A47B4D09B4EE8969386B48A1A693C5C
    bridge_address: https://mirror.example.org/librocdxg/{version}

- name: Take back what was done
  rocm_backend:
    state: absent
"""

RETURN = r"""
plan:
  description:
    - What this host gets, and what its kernel environment is to be made of.
    - V(line) and V(target) are the release and what its wheels are made for; V(environment) is to be set before anything
      looks for the card; V(torch) says where torch comes from.
  returned: success
  type: dict
  sample:
    line: 10.0.0
    gfx: gfx1201
    target: gfx1201
    environment: {}
    python_requires: ">=3.11,<3.15"
    torch:
      index: https://stable.repo.amd.com/rocm/whl-next/
      find_links: ""
      requirements: ["torch[device-gfx1201]==2.13.0+rocm10.0.0"]
      constraints: []
      drop_bundled_hsa: false
kernel:
  description:
    - What the kernel environment is made of, as C(uv_env) takes it; null where there are problems, and with O(state=absent).
      It is the fact C(colab_kernel) too.
    - V(lock) is a text, or the name of a file of this role.
  returned: always
  type: dict
  sample:
    display_name: Python 3 (ROCm)
    lock: kernel.txt
    pinned: [{requirement: "torch[device-gfx1201]==2.13.0+rocm10.0.0", dependencies: true}]
    constraints: [torch==2.13.0]
    python_requires: ">=3.11,<3.15"
    environment: {}
    drop_bundled_hsa: false
problems:
  description: What is in the way, each with V(id), V(what), V(expected) and V(do). The module fails if there are any.
  returned: always
  type: list
  elements: dict
  sample:
    - id: rocm_shadowed
      what: libhsa-runtime64-1 of the distribution would be loaded in place of AMD's runtime
      expected: not installed
      do: "./colab-ready -e rocm_remove_conflicts=true, which removes them (./colab-ready remove puts them back)"
skipped_parts:
  description: What was left as it is, and why.
  returned: always
  type: list
  elements: str
  sample: ["there is no group render, so nobody needs to be in it"]
changed_paths:
  description: The files that were changed, made or removed, in order.
  returned: always
  type: list
  elements: str
  sample: [/etc/ld.so.conf.d/colab-ready-rocm.conf]
diff:
  description: What was and what is, for each package and file that changed.
  returned: always
  type: dict
  sample:
    before: "package rocdxg-roct: absent\n"
    after: "package rocdxg-roct: 1.2.2\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.host import serve
from ansible.module_utils.colab_ready.backends.kernel import ARGUMENTS
from ansible.module_utils.colab_ready.backends.rocm.host import RocmHost


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "remove_conflicts": {"type": "bool", "default": False},
            "user": {"type": "str", "default": ""},
            "bridge_address": {"type": "str", "default": ""},
            "apt_address": {"type": "str", "default": ""},
            "apt_key": {"type": "str", "default": "", "no_log": False},
            "apt_key_fingerprint": {"type": "str", "default": "", "no_log": False},
            "apt_key_sha256": {"type": "str", "default": "", "no_log": False},
            # Logged by nobody: it may hold a proxy's address with a password.
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "timeout_seconds": {"type": "float", "default": 3600},
            "ldconfig": {"type": "path", "default": "/sbin/ldconfig"},
            "state_file": {"type": "path", "default": "/var/lib/colab-ready/rocm_host.json"},
        },
        supports_check_mode=True,
    )
    serve(module, RocmHost)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wsl_host
short_description: Keep what WSL itself needs as one state
version_added: "0.1.0"
description:
  - Switches systemd on in C(/etc/wsl.conf), keeps WSL running without a window (C(.wslconfig) of the Windows user), and
    puts the folder of the GPU libraries into the loader's cache where WSL does not.
  - Of the two files only the one key each is written; everything else in them stays byte for byte. Before the first change
    a copy is laid beside the file, ending in C(.colab-ready-backup).
  - What concerns Windows is done with the rights of who called (C(SUDO_USER)), or of C(nobody) where root did, and over no link.
  - On a host that is not WSL 2, and in a container, nothing is done, and RV(skipped_parts) says so.
  - WSL itself is never stopped. RV(restart_needed) says what waits for C(wsl --shutdown), in later runs too until it is done.
  - What was done is recorded, so that O(state=absent) takes back that and nothing else.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - Windows is asked for the user's folder in check mode, too.
  diff_mode:
    description: Says in diff mode what changed.
    support: full
options:
  state:
    description:
      - With V(present), WSL is as the other options say.
      - With V(absent), what this module did is taken back. What was changed by others since then stays.
    type: str
    choices: [present, absent]
    default: present
  systemd:
    description:
      - Whether systemd is switched on, also where the file says V(false). With V(false), it is left as it is.
      - It is never switched on where C(/sbin/init) is not systemd.
    type: bool
    default: true
  keep_running:
    description:
      - Whether WSL keeps running when its last window is closed (C([general] instanceIdleTimeout=-1), WSL 2.5.4 or newer). It
        holds for every distribution of that Windows user. With V(false), it is left as it is.
    type: bool
    default: false
  cmd:
    description: Windows' cmd.exe, a plain file that begins with C(MZ). Empty, the one on the drives that WSL mounts.
    type: str
    default: ""
  wslpath:
    description: The program that says where a folder of Windows is in WSL. Empty, C([automount] root) of C(wsl.conf) says it.
    type: str
    default: /usr/bin/wslpath
  ldconfig:
    description: The program that fills the loader's cache.
    type: path
    default: /sbin/ldconfig
  timeout_seconds:
    description: How long one start of a program may take.
    type: float
    default: 60
  etc:
    description: Where the configuration of the system is. Another folder is for tests.
    type: path
    default: /etc
  usr:
    description: Where WSL mounts the GPU libraries, in C(lib/wsl/lib). Another folder is for tests.
    type: path
    default: /usr
  proc:
    description: Where procfs is. Another folder is for tests.
    type: path
    default: /proc
  run:
    description: Where the run-time files are. Another folder is for tests.
    type: path
    default: /run
  state_file:
    description: Where is recorded what this module did.
    type: path
    default: /var/lib/colab-ready/wsl_host.json
"""

EXAMPLES = r"""
- name: Let this WSL have systemd and find its GPU libraries
  wsl_host:

- name: Keep WSL running without a window, too
  wsl_host:
    keep_running: true

- name: Take back what was done
  wsl_host:
    state: absent
"""

RETURN = r"""
changed_places:
  description: The files that were changed, made or removed, in order.
  returned: always
  type: list
  elements: str
  sample: [/etc/wsl.conf.colab-ready-backup, /etc/wsl.conf]
restart_needed:
  description: What takes effect only after C(wsl --shutdown); empty if nothing waits for it.
  returned: always
  type: list
  elements: str
  sample: ["systemd is switched on in /etc/wsl.conf, and starts when WSL starts next"]
remedies:
  description: The same as the report has it.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: V(wsl_shutdown), or V(wsl_update) where a restart did not help.
      type: str
    cause:
      description: What is wrong.
      type: str
    do:
      description: What a person has to do.
      type: str
    where:
      description: V(windows).
      type: str
  sample: []
skipped_parts:
  description: What was left as it is, and why.
  returned: always
  type: list
  elements: str
  sample: [this is not WSL]
problems:
  description: What could not be done, with what to do. The module fails if there are any, after it did the rest.
  returned: always
  type: list
  elements: str
  sample: []
diff:
  description: What was and what is, for each file that changed.
  returned: always
  type: dict
  sample:
    before: "/etc/wsl.conf: absent\n"
    after: "/etc/wsl.conf: file root:root 0644\n[boot]\nsystemd=true\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.wsl.repair import settle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "systemd": {"type": "bool", "default": True},
            "keep_running": {"type": "bool", "default": False},
            "cmd": {"type": "str", "default": ""},
            "wslpath": {"type": "str", "default": "/usr/bin/wslpath"},
            "ldconfig": {"type": "path", "default": "/sbin/ldconfig"},
            "timeout_seconds": {"type": "float", "default": 60},
            "etc": {"type": "path", "default": "/etc"},
            "usr": {"type": "path", "default": "/usr"},
            "proc": {"type": "path", "default": "/proc"},
            "run": {"type": "path", "default": "/run"},
            "state_file": {"type": "path", "default": "/var/lib/colab-ready/wsl_host.json"},
        },
        supports_check_mode=True,
    )
    result, warnings = settle(module.params, module.check_mode)
    for warning in warnings:
        module.warn(warning)
    if result["problems"]:
        module.fail_json(msg=" ".join(result["problems"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: browser_policy
short_description: Let one web page reach this device in Chrome, Chromium, Edge or Brave without a prompt
version_added: "0.1.0"
description:
  - Writes the managed policy by which a browser lets the pages of one origin reach the loopback address without asking
    the user. Nothing is granted to another page, and, for browsers from version 146 on, no other device of the network.
  - On Linux it is a file of its own in the policy folder of each browser, whether that browser is installed or not. On WSL
    it is an entry in the registry of Windows too, since the browser runs there; this needs the rights of an administrator,
    but only when something changes.
  - What others made stays in force as it is. A browser takes the list of one file, so where another file sets the same
    policy, nothing is written beside it, and the module fails with what to add where. In the registry the entry is added
    to the list that is there.
  - What was put on the host is recorded, so that O(state=absent) takes away that and nothing else.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - The registry is read in check mode, too.
  diff_mode:
    description: Says in diff mode what changed.
    support: full
options:
  state:
    description:
      - With V(present), the browsers listed let the page in, and others that this module let in before do not any more.
      - With V(absent), what this module put there is gone. Windows is not asked unless something was put there.
    type: str
    choices: [present, absent]
    default: present
  origin:
    description: The origin of the page; scheme and host, without a path or a wildcard.
    type: str
    default: https://colab.research.google.com
  browsers:
    description: The browsers whose policy is written.
    type: list
    elements: str
    choices: [chrome, chromium, edge, brave]
    default: [chrome, chromium, edge]
  older_browsers:
    description:
      - Whether to write the policy of the versions 139 to 145 (C(LocalNetworkAccessAllowedForUrls)) beside the one of newer
        versions (C(LoopbackNetworkAllowedForUrls)).
      - It lets the page reach every device of the local network, in newer versions too, where these allow it by themselves.
    type: bool
    default: false
  windows:
    description: With V(auto), the registry of Windows is written on WSL; with V(never), Windows is left as it is.
    type: str
    choices: [auto, never]
    default: auto
  reg:
    description: Windows' reg.exe. Empty, the one on the drives that WSL mounts.
    type: str
    default: ""
  timeout_seconds:
    description: How long one start of reg.exe may take.
    type: float
    default: 20
  etc:
    description: Where the configuration of the system is. Another folder is for tests.
    type: path
    default: /etc
  proc:
    description: Where procfs is. Another folder is for tests.
    type: path
    default: /proc
  run:
    description: Where the run-time files are. Another folder is for tests.
    type: path
    default: /run
  state_file:
    description: Where is recorded what this module put on the host.
    type: path
    default: /var/lib/colab-ready/browser_policy.json
"""

EXAMPLES = r"""
- name: Let Colab's page reach this device without a prompt
  browser_policy:

- name: Let it, in Chrome alone, also in a Chrome that is held back at 145
  browser_policy:
    browsers: [chrome]
    older_browsers: true

- name: Take away what was put there
  browser_policy:
    state: absent
"""

RETURN = r"""
changed_places:
  description: The files, directories, values and keys of the registry that were changed, made or removed, in order.
  returned: always
  type: list
  elements: str
  sample: [/etc/opt/chrome/policies/managed/colab-ready.json]
grants:
  description: What lets the page in, in each browser; a file or a key of somebody else's where that does it already.
  returned: always
  type: list
  elements: dict
  contains:
    browser:
      description: The browser.
      type: str
    policy:
      description: The policy that is in force.
      type: str
    place:
      description: The file or the key of the registry that sets it.
      type: str
  sample:
    - browser: chrome
      policy: LoopbackNetworkAllowedForUrls
      place: /etc/opt/chrome/policies/managed/colab-ready.json
    - browser: chrome
      policy: LoopbackNetworkAllowedForUrls
      place: HKLM\SOFTWARE\Policies\Google\Chrome\LoopbackNetworkAllowedForUrls
problems:
  description: What keeps a browser from letting the page in, with what to do. The module fails if there are any.
  returned: always
  type: list
  elements: str
  sample: []
diff:
  description: What was and what is, for each path and each value that changed.
  returned: always
  type: dict
  sample:
    before: "/etc/opt/chrome/policies/managed/colab-ready.json: absent\n"
    after: "/etc/opt/chrome/policies/managed/colab-ready.json: file root:root 0644\n..."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.browser.policy_files import settle


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "origin": {"type": "str", "default": "https://colab.research.google.com"},
            "browsers": {
                "type": "list",
                "elements": "str",
                "choices": ["chrome", "chromium", "edge", "brave"],
                "default": ["chrome", "chromium", "edge"],
            },
            "older_browsers": {"type": "bool", "default": False},
            "windows": {"type": "str", "choices": ["auto", "never"], "default": "auto"},
            "reg": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "float", "default": 20},
            "etc": {"type": "path", "default": "/etc"},
            "proc": {"type": "path", "default": "/proc"},
            "run": {"type": "path", "default": "/run"},
            "state_file": {"type": "path", "default": "/var/lib/colab-ready/browser_policy.json"},
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

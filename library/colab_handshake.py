#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: colab_handshake
short_description: Prove that Colab's page can run a cell on a Jupyter server
version_added: "0.1.0"
description:
  - Does what Colab's page does when it connects to a local runtime, in its order and with its Origin, through both doors,
    and ends with a cell that adds two tensors. The direct door is HTTP with CORS and the kernel's websocket; the other
    is C(/http_over_websocket).
  - Tries the doors that must stay shut as well, without a token, with a wrong one, with the good one in an
    authentication URL that leads elsewhere, from another origin, and under another host name.
  - Every session that it makes is deleted again, and no file is left behind.
  - The token is read from its file by the child process that asks, and is in no argument, output or error text.
  - A negative answer does not fail the module. It returns C(ok=false) with reasons and remedies.
  - Reads only, so it runs in check mode too, and never reports a change.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Runs the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
options:
  python:
    description: The Python interpreter of the server environment (it has tornado), as an absolute path.
    type: path
    required: true
  url:
    description:
      - The server's address without a token, such as V(http://localhost:8888). Colab accepts C(localhost) only.
    type: str
    required: true
  token_file:
    description: The file that holds the server's token.
    type: path
    required: true
  origin:
    description: The origin of the page.
    type: str
    default: https://colab.research.google.com
  kernel_name:
    description: Name of the kernel that runs the cell.
    type: str
    default: python3
  http_over_ws:
    description:
      - Whether the server has to answer on C(/http_over_websocket) too. If not, it must not answer there.
    type: bool
    default: true
  device_type:
    description: The type of the device that the cell's tensors have to be on, in torch's words. With ROCm it is V(cuda).
    type: str
    default: cpu
  backend:
    description:
      - The backend of the kernel, for the remedies of a cell that fails; it tells ROCm from CUDA, whose devices have one type.
      - One that does not go with O(device_type) is none. Without it the words of the failure have to tell.
    type: str
    default: ""
  device:
    description:
      - Number of the device, as C(tensor_add) found it (its C(index)). It is not asked for on the CPU.
    type: int
    default: 0
  user:
    description:
      - The user to run the checks as, usually the one who runs the kernels and owns the token. Needs root unless it is
        the caller.
      - The caller when left out. Root does not run a Python that another user can change, so then it has to be named.
    type: str
  wait_seconds:
    description: How long to wait for a first answer on the port; a server that was just started needs a moment.
    type: float
    default: 30.0
  timeout_seconds:
    description: How long all steps together may take; clearing away may take a little longer.
    type: float
    default: 120.0
"""

EXAMPLES = r"""
- name: Prove that Colab could connect
  colab_handshake:
    python: /opt/colab-ready/server/bin/python
    url: http://localhost:8888
    token_file: /etc/colab-ready/token
    user: student
  register: handshake

- name: Stop where it could not
  ansible.builtin.assert:
    that: handshake.ok
    fail_msg: "{{ handshake.reasons | join('; ') }}"
"""

RETURN = r"""
ok:
  description: Whether every step passed.
  type: bool
  returned: always
  sample: true
steps:
  description: The steps that were begun, door by door.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: Name of the step; names stay the same from version to version.
      type: str
      sample: kernelspecs
    door:
      description: V(direct), V(http_over_ws), or V(shut) for a door that has to stay shut.
      type: str
      sample: direct
    ok:
      description: Whether it passed.
      type: bool
    seconds:
      description: How long it took; null when it did not end.
      type: float
    detail:
      description: What it found, or what went wrong.
      type: str
  sample: [{id: api, door: direct, ok: true, seconds: 0.01, detail: jupyter_server 2.21.1}]
not_reached:
  description: Names of the steps that were not begun because one that they need had failed.
  type: list
  elements: str
  returned: always
  sample: []
reasons:
  description: Why C(ok) is false, one text for each failed step.
  type: list
  elements: str
  returned: always
  sample: ["port: no answer from http://localhost:8888 within 30 s"]
remedies:
  description: What to do about it, and where.
  type: list
  elements: dict
  returned: always
  sample: [{id: port_refused, cause: Nothing listens on the port., do: Run colab-runtime start., where: linux}]
cell:
  description: What the cells gave, by door (C(direct), C(http_over_ws)); without a door whose cell was not reached.
  type: dict
  returned: always
  sample:
    direct: {output: "tensor([0.5000])\ntensor([0.2500])\ntensor([0.7500])", device: cpu, device_type: cpu, sum: [0.75]}
versions:
  description: Versions that were met on the way.
  type: dict
  returned: always
  sample: {jupyter_server: 2.21.1, tornado: 6.6.1, http_over_ws_protocol: 0.0.7, torch: 2.13.0+cpu}
warnings:
  description: What did not change the answer but should be known.
  type: list
  elements: str
  returned: when there are any
  sample: []
seconds:
  description: How long it took.
  type: float
  returned: always
  sample: 2.3
"""

import re
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.proof.handshake import run_handshake
from ansible.module_utils.colab_ready.python.trusted import refusal


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "url": {"type": "str", "required": True},
            "token_file": {"type": "path", "required": True, "no_log": False},
            "origin": {"type": "str", "default": "https://colab.research.google.com"},
            "kernel_name": {"type": "str", "default": "python3"},
            "http_over_ws": {"type": "bool", "default": True},
            "device_type": {"type": "str", "default": "cpu"},
            "backend": {"type": "str", "default": ""},
            "device": {"type": "int", "default": 0},
            "user": {"type": "str"},
            "wait_seconds": {"type": "float", "default": 30.0},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    url = urlsplit(given["url"])
    if url.query or url.fragment or url.username or url.password:
        # Arguments are shown and logged; whatever secret is in there must not be.
        module.no_log_values.add(given["url"])
        module.fail_json(
            msg="url has more than an address in it, expected http://HOST:PORT: name the token's file instead"
        )
    if url.scheme != "http" or not url.hostname:
        module.fail_json(msg=f"url is {given['url']}, expected http://HOST:PORT such as http://localhost:8888")
    if not re.fullmatch(r"[a-z]{1,40}", given["device_type"]):
        module.fail_json(
            msg=f"device_type is {given['device_type']!r}, expected torch's word for it, such as cpu or cuda"
        )
    refused = refusal(given["python"], given["user"])
    if refused:
        module.fail_json(msg=f"{refused} Where it is a user's, set user to that one.")
    params = {name: value for name, value in given.items() if name not in ("python", "user", "backend")}
    answer = run_handshake(params, given["python"], given["user"], given["backend"])
    for text in answer.pop("warnings"):
        module.warn(text)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tensor_add
short_description: Prove that PyTorch adds two tensors on a device
version_added: "0.1.0"
description:
  - Adds two tensors of ten random values with the Python of a kernel environment, on the device of a backend, and
    compares the sum with the CPU's own and with plain arithmetic.
  - The program runs step by step in a child process with a timeout. That it crashes, aborts, hangs, prints whatever it
    likes or dies at its very end is an answer and not an error of this module.
  - A negative answer does not fail the module. It returns C(ok=false) with reasons and remedies.
  - On DirectML it asks how many devices there are before it names one, because there the first tensor on a device that is
    not there ends the process. Then it looks for the adapter by its name.
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
    description: The Python interpreter of the kernel environment, as an absolute path.
    type: path
    required: true
  backend:
    description: The backend whose device has to add, such as V(cpu), V(rocm) or V(directml).
    type: str
    default: cpu
  device:
    description:
      - Number of the backend's device; the backend's default device when left out.
      - The CPU is one device, number 0.
    type: int
  adapter:
    description:
      - Name of the graphics adapter that has to add, as C(gpu_device) gives it. That no device has this name is an answer.
      - Not asked for on the CPU, nor where O(device) or O(card) is given.
    type: str
  card:
    description:
      - The graphics card that has to add on CUDA, ROCm or XPU, as C(gpu_device) gives it (C(backend.card)). That none of
        PyTorch's devices is this card is an answer.
    type: dict
    suboptions:
      names:
        description: What the card is called, by its driver and by its maker.
        type: list
        elements: str
        default: []
      gfx:
        description: What ROCm may call its chip, its own name first.
        type: list
        elements: str
        default: []
      others:
        description: The names of the host's other graphics adapters.
        type: list
        elements: str
        default: []
      capability:
        description: CUDA's number for what the card can; empty where it is not known.
        type: str
        default: ""
      device_id:
        description: The chip's PCI id, such as V(7550).
        type: str
        default: ""
      address:
        description: The card's PCI address, such as V(0000:03:00.0).
        type: str
        default: ""
      bytes:
        description: The memory of its own that the card has; 0 where it is not known.
        type: int
        default: 0
  user:
    description:
      - The user to run the program as, usually the one who runs the kernels. Needs root unless it is the caller.
      - The caller when left out. Root does not run a Python that another user can change, so then it has to be named.
    type: str
  timeout_seconds:
    description: How long the whole program may take before it is ended; each try, where it is tried twice.
    type: float
    default: 120.0
  environment:
    description:
      - Environment variables for the program, such as those of the kernel's description.
      - Apart from these it sees only what a service would have, nothing of the caller's environment.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Prove the tensor sum
  tensor_add:
    python: /opt/colab-ready/kernels/cpu/bin/python
    backend: cpu
    user: student
  register: sum

- name: Prove it on the card that was chosen
  tensor_add:
    python: /opt/colab-ready/kernels/directml/bin/python
    backend: directml
    adapter: AMD Radeon RX 6700 XT
    user: student

- name: Prove it with ROCm, on the card that was decided on
  tensor_add:
    python: /opt/colab-ready/kernels/rocm/bin/python
    backend: rocm
    card: "{{ gpu_backend_detected.backend.card }}"
    environment: "{{ gpu_backend_kernel.environment }}"
    user: student

- name: Stop where the sum is not right
  ansible.builtin.assert:
    that: sum.ok
    fail_msg: "{{ sum.reasons | join('; ') }}"
"""

RETURN = r"""
ok:
  description: Whether every step passed and the values are right.
  type: bool
  returned: always
  sample: true
device:
  description: The device that the sum is on, in torch's words; null when it was not reached.
  type: str
  returned: always
  sample: cpu
device_type:
  description: The type of that device; null when it was not reached.
  type: str
  returned: always
  sample: cpu
index:
  description: Number of that device among C(devices); null for a backend that numbers none, and when it was not reached.
  type: int
  returned: always
  sample: 0
devices:
  description: The devices that the backend lists; empty for a backend that lists none. With what C(gpu) has of them.
  type: list
  elements: dict
  returned: always
  sample: [{index: 0, name: AMD Radeon RX 6700 XT}]
adapter:
  description: The backend's name of the device that added; null when it has none.
  type: str
  returned: always
  sample: AMD Radeon RX 6700 XT
gpu:
  description:
    - What PyTorch says of the graphics card that added. On ROCm also C(hip) and C(gfx), on CUDA C(cuda) and C(capability).
    - Null on the CPU and on DirectML, and when it was not reached. C(free_bytes) is null where the driver does not tell.
  type: dict
  returned: always
  sample:
    {name: AMD Radeon RX 9070 XT, index: 0, memory_bytes: 17095983104, free_bytes: 14401142784, hip: 10.0.25264, gfx: gfx1201}
throughput:
  description:
    - How many bytes are added per second on the device and on the CPU, with tensors of C(bytes) bytes, measured after the
      answer. It tells a card from software, and judges nothing.
    - Null on the CPU, and when it was not reached or failed, which is a warning.
  type: dict
  returned: always
  sample: {device_bytes_per_second: 51000000000, cpu_bytes_per_second: 6200000000, bytes: 16777216}
values:
  description: The two tensors C(a) and C(b), the device's C(sum) and the CPU's (C(expected)); null when not reached.
  type: dict
  returned: always
  sample: {a: [0.5], b: [0.25], sum: [0.75], expected: [0.75]}
text:
  description: What the three print statements of the well-known test program show.
  type: str
  returned: always
  sample: "tensor([0.5000])\ntensor([0.2500])\ntensor([0.7500])"
steps:
  description: The steps that were begun, in order. A step that did not end is one that the program died in.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: Name of the step.
      type: str
      sample: import_torch
    ok:
      description: Whether it passed.
      type: bool
    seconds:
      description: How long it took; null when it did not end.
      type: float
    detail:
      description: What it found, or what went wrong.
      type: str
  sample: [{id: import_torch, ok: true, seconds: 1.2, detail: torch 2.13.0+cpu}]
not_reached:
  description: Names of the steps that were not begun.
  type: list
  elements: str
  returned: always
  sample: []
last_finished:
  description: The last step that passed; null when there is none.
  type: str
  returned: always
  sample: compare
exit:
  description:
    - How the program ended. C(kind) is V(ok), V(exception), V(exit) (a status other than 0), V(signal), V(timeout) or
      V(not_started).
  type: dict
  returned: always
  sample: {kind: signal, signal: SIGSEGV, code: -11, text: killed by SIGSEGV}
versions:
  description: Versions of Python, torch, numpy and the backend's package in the kernel environment; null when unknown.
  type: dict
  returned: always
  sample: {python: 3.11.2, torch: 2.13.0+cpu, numpy: 2.4.6}
warnings:
  description: What did not change the answer but should be known, such as a death after the work was done.
  type: list
  elements: str
  returned: when there are any
  sample: ["the process also printed: hello"]
reasons:
  description: Why C(ok) is false, the first failed step first.
  type: list
  elements: str
  returned: always
  sample: ["import_torch: ModuleNotFoundError: No module named 'torch'"]
remedies:
  description: What to do about it, and where.
  type: list
  elements: dict
  returned: always
  sample: [{id: torch_missing, cause: PyTorch is not installed., do: Run ./colab-ready again., where: linux}]
tries:
  description: How often the program was run. It is 2 where the first try failed as ROCm in WSL does now and then.
  type: int
  returned: always
  sample: 1
seconds:
  description: How long the program took, in the last try.
  type: float
  returned: always
  sample: 1.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.registry import BACKENDS
from ansible.module_utils.colab_ready.proof.tensor import run_tensor
from ansible.module_utils.colab_ready.python.trusted import refusal
from ansible.module_utils.colab_ready.wsl.version import wsl_facts


def main() -> None:
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "backend": {"type": "str", "default": "cpu"},
            "device": {"type": "int"},
            "adapter": {"type": "str"},
            "card": {
                "type": "dict",
                "options": {
                    "names": texts,
                    "gfx": texts,
                    "others": texts,
                    "capability": {"type": "str", "default": ""},
                    "device_id": {"type": "str", "default": ""},
                    "address": {"type": "str", "default": ""},
                    "bytes": {"type": "int", "default": 0},
                },
            },
            "user": {"type": "str"},
            "timeout_seconds": {"type": "float", "default": 120.0},
            "environment": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    refused = refusal(given["python"], given["user"])
    if refused:
        module.fail_json(msg=f"{refused} Where it is a user's, set user to that one.")
    names = [one.name for one in BACKENDS]
    if given["backend"] not in names:
        module.fail_json(msg=f"backend is {given['backend']!r}, expected one of {', '.join(names)}: name one of them")
    if given["timeout_seconds"] <= 0:
        module.fail_json(
            msg=f"timeout_seconds is {given['timeout_seconds']:g}, expected more than 0: give it some seconds"
        )
    answer = run_tensor(
        given["backend"],
        given["python"],
        device=given["device"],
        adapter=given["adapter"],
        card=given["card"],
        wsl=wsl_facts() is not None,
        user=given["user"],
        env=given["environment"],
        timeout_seconds=given["timeout_seconds"],
    )
    for text in answer.pop("warnings"):
        module.warn(text)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()

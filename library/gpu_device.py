#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gpu_device
short_description: Say which graphics adapters a host has and which backend it gets
version_added: "0.1.0"
description:
  - Reads files only, without root, and changes nothing.
  - Knows native Linux (sysfs). Adapters that come from Windows (C(/dev/dxg)) this version cannot read, and says so.
  - What cannot be known is null, with the reason in RV(null_reasons).
  - Fails if a backend or an adapter is asked for that is not there.
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
  backend:
    description: The backend that is asked for, or V(auto).
    type: str
    default: auto
  gpu:
    description: The adapter that is asked for, by index or by part of its name; unset or empty, none in particular.
    type: str
  sysfs:
    description: Where sysfs is. Another folder is for tests.
    type: path
    default: /sys
  proc:
    description: Where procfs is. Another folder is for tests.
    type: path
    default: /proc
  dev:
    description: Where the device files are. Another folder is for tests.
    type: path
    default: /dev
  run:
    description: Where the run-time files are. Another folder is for tests.
    type: path
    default: /run
  pci_ids:
    description: Where the names of PCI devices may be; the first file that is there is read.
    type: list
    elements: path
    default: [/usr/share/misc/pci.ids, /usr/share/hwdata/pci.ids]
"""

EXAMPLES = r"""
- name: Look which backend this host gets
  gpu_device:
    backend: auto
  register: gpu
"""

RETURN = r"""
wsl:
  description:
    - What WSL says of itself, with V(version), V(kernel), V(systemd), V(interop) and V(dxg); null outside of WSL.
  returned: always
  type: dict
  sample: {version: 2, kernel: 6.6.87.2-microsoft-standard-WSL2, systemd: true, interop: true, dxg: true}
adapters:
  description: The graphics adapters; null where this version cannot read them.
  returned: always
  type: list
  elements: dict
  sample:
    - index: 0
      name: Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]
      vendor: AMD
      vendor_id: "1002"
      device_id: 744c
      subsystem_vendor_id: "1002"
      subsystem_id: 0e3b
      revision: c8
      address: "0000:03:00.0"
      driver: amdgpu
      driver_version: null
      dedicated_bytes: 25753026560
      software: false
      primary: true
backend:
  description: The decision, with V(name), V(device_type), V(chosen_by), V(reasons) and V(rejected).
  returned: success
  type: dict
  sample:
    name: cpu
    device_type: cpu
    chosen_by: auto
    reasons: [no GPU found, "this version of colab-ready brings no GPU backend yet, so PyTorch runs on the CPU"]
    rejected: [{name: cuda, why: not in this version of colab-ready (it is for NVIDIA graphics)}]
null_reasons:
  description: Why a field is null, by the field's path.
  returned: always
  type: dict
  sample: {"adapters[0].driver_version": the driver is the kernel's own and has no version besides}
seconds:
  description: How long the look took, without Ansible around it.
  returned: always
  type: float
  sample: 0.004
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backend import Refusal, decide
from ansible.module_utils.colab_ready.drm import PCI_IDS, read_adapters
from ansible.module_utils.colab_ready.host import wsl_facts

DXG_UNREAD = "this version of colab-ready cannot read /dev/dxg, the adapters of Windows, yet"


def look(sysfs: str, proc: str, dev: str, run: str, pci_ids: list[str]) -> dict[str, Any]:
    """wsl, adapters and null_reasons, from where this kind of host has its adapters."""
    wsl = wsl_facts(proc, dev, run)
    adapters: list[dict[str, Any]] | None
    if os.path.exists(f"{dev}/dxg"):
        # Also on a Hyper-V guest that is not WSL: the adapters are the host's either way.
        adapters, reasons = None, {"adapters": DXG_UNREAD}
    elif wsl:
        # WSL has no display on its PCI bus and no DRM card: microsoft/WSL#40464.
        adapters, reasons = [], {}
    else:
        adapters, reasons = read_adapters(sysfs, pci_ids)
    if wsl is None:
        reasons["wsl"] = "this is not WSL"
    else:
        if wsl["interop"] is None:
            reasons["wsl.interop"] = "binfmt_misc, where the kernel says it, is not mounted"
        if wsl["kernel"] is None:
            reasons["wsl.kernel"] = "osrelease cannot be read"
    return {"wsl": wsl, "adapters": adapters, "null_reasons": reasons}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "default": "auto"},
            "gpu": {"type": "str"},
            "sysfs": {"type": "path", "default": "/sys"},
            "proc": {"type": "path", "default": "/proc"},
            "dev": {"type": "path", "default": "/dev"},
            "run": {"type": "path", "default": "/run"},
            "pci_ids": {"type": "list", "elements": "path", "default": list(PCI_IDS)},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    backend, gpu = options.pop("backend"), options.pop("gpu")
    started = time.monotonic()
    found = look(**options)
    refusal = None
    try:
        found["backend"] = decide(backend, found["adapters"], found["null_reasons"].get("adapters"), gpu)
    except Refusal as error:
        refusal = str(error)
    found["seconds"] = round(time.monotonic() - started, 4)
    if found["adapters"] is None:
        module.warn(f"The graphics adapters are not known: {found['null_reasons']['adapters']}.")
    if refusal:
        module.fail_json(msg=refusal, **found)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

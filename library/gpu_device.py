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
  - Needs no root, no driver and no library, and changes nothing.
  - On native Linux it reads sysfs. In WSL 2 it asks C(/dev/dxg), which takes a few milliseconds. Only if that does not tell,
    it asks the library C(libdxcore.so), Windows' PowerShell, C(nvidia-smi) and C(rocminfo), in this order, each with a limit.
  - What cannot be known is null, with the reason in RV(null_reasons).
  - C(libdxcore.so) is loaded only from WSL's own folder. Its flat functions take the same questions as C(/dev/dxg).
  - Fails if a backend or an adapter is asked for that is not there; with O(settings), too where the disk has no room for the
    backend and no run has begun to build it.
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
  prefix:
    description: Where the environments are, or will be; how much disk is free there is reported.
    type: path
    default: /opt/colab-ready
  settings:
    description:
      - Variables of the backends' roles on which the decision hangs, such as V(rocm_version); the others are passed over.
      - What was asked for that no release has, or that the card or the host cannot have, is refused.
      - Unset, they are not known, and forbid nothing.
    type: dict
  python:
    description: The interpreter that was named for the kernel; then there is no other.
    type: path
  python_fetch:
    description: Whether another Python may be fetched for a backend that needs one; unset, not known.
    type: bool
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
  etc:
    description: Where the settings are. Another folder is for tests.
    type: path
    default: /etc
  usr:
    description: Where programs and libraries are, WSL's own too. Another folder is for tests.
    type: path
    default: /usr
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
    - What WSL says of itself; null outside of WSL.
    - V(version) is 1 or 2.
    - V(interop) is whether programs of Windows can be started; where it is false, RV(null_reasons) says why.
    - V(libraries) says which of the GPU libraries WSL has from Windows; V(loader), whether programs find them by themselves.
    - V(drivers) is a hint only, the packages of graphics drivers on Windows. V(memory_bytes) is all that WSL may use.
  returned: always
  type: dict
  sample:
    version: 2
    kernel: 6.6.87.2-microsoft-standard-WSL2
    distribution: {id: ubuntu, version_id: "24.04"}
    systemd: true
    interop: true
    dxg: true
    libraries:
      libdxcore.so: true
      libd3d12.so: true
      libd3d12core.so: true
      libdirectml.so: false
      libcuda.so.1: false
      libnvidia-ml.so.1: false
      nvidia-smi: false
    loader: true
    drivers: [u0413948.inf_amd64_0e4b3b4e2a9cd0c8]
    memory_bytes: 16722640896
adapters:
  description:
    - The graphics adapters; null where nobody tells.
    - V(source) says of each field who told it, V(dxg), V(dxcore), V(powershell), V(nvidia-smi), V(rocminfo), V(sysfs),
      V(pci.ids) or V(table), colab-ready's own table of GPUs.
    - V(primary) is the one that the machine computes on, or would; if there is none such, the one it started with, or the
      largest.
    - V(luid) is Windows' own number of it, until Windows is started again.
  returned: always
  type: list
  elements: dict
  sample:
    - index: 0
      name: AMD Radeon RX 7900 XTX
      vendor: AMD
      vendor_id: "1002"
      device_id: 744c
      subsystem_vendor_id: "1002"
      subsystem_id: 0e3b
      revision: c8
      address: "0000:03:00.0"
      driver: null
      driver_version: 32.0.22029.9039
      wddm: "3.2"
      dedicated_bytes: 25753026560
      software: false
      render: true
      compute_only: false
      hybrid: null
      detachable: false
      primary: true
      luid: "00000000:0000abcd"
      gfx: gfx1100
      product: Radeon RX 7900 XTX
      source: {name: dxg, vendor_id: dxg, gfx: table, product: table}
ways:
  description:
    - Who was asked for the adapters, in this order, each V({name, ok, reason, detail}).
    - The last one told them, if it is ok.
  returned: always
  type: list
  elements: dict
  sample: [{name: dxg, ok: true, reason: null, detail: null}]
host:
  description:
    - What else the decision is based on; what is null or missing is not known.
    - V(windows_build) is looked up only where something hangs on it, that is with a driver that Windows 10 may have as well.
    - V(built) are the backends whose environments are there, V(begun) those that a run has begun to build.
  returned: always
  type: dict
  sample:
    wsl: 2
    dxg: true
    dxg_failure: null
    distribution: ubuntu
    distribution_version: "24.04"
    architecture: x86_64
    pythons: ["3.12"]
    python_paths: [/usr/bin/python3.12]
    python_fetch: null
    container: false
    windows_build: null
    disk_free_bytes: 214748364800
    built: []
    libcuda: false
    d3d12: true
    dxcore: true
backend:
  description:
    - The decision, with V(name), V(device_type) (torch's word), V(adapter) (its index), V(gfx), V(chosen_by), V(reasons),
      V(cautions), V(rejected), V(opt_in), V(python), V(python_requires) and V(settings), those of O(settings) that are the
      backend's own.
    - V(card) is what tells the adapter among the devices that torch counts; null for the CPU. V(names) and V(gfx) are its own,
      the borrowed one of an experimental card last; V(others) are the names of the host's other GPUs.
      V(device_id), V(address) and V(bytes) say which it is where a runtime has one name for all.
    - V(recommended) is what would be taken with O(backend=auto).
    - V(work) is what is to be fetched and built for it, about, with V(download_bytes), V(disk_bytes), V(seconds), and V(text),
      which says them; null where its environment is there.
    - V(opt_in) is what would run only on request; V(do) says which variables ask for it.
  returned: success
  type: dict
  sample:
    name: rocm
    device_type: cuda
    chosen_by: auto
    adapter: 0
    gfx: gfx1100
    card:
      names: [AMD Radeon RX 7900 XTX, Radeon RX 7900 XTX]
      gfx: [gfx1100]
      others: []
      capability: ""
      device_id: "744c"
      address: "0000:03:00.0"
      bytes: 25753026560
    recommended:
      name: rocm
      device_type: cuda
      adapter: 0
      gfx: gfx1100
      why: "Radeon RX 7900 XTX (gfx1100): AMD supports it in WSL with ROCm"
    reasons:
      - found AMD Radeon RX 7900 XTX
      - "Radeon RX 7900 XTX (gfx1100): AMD supports it in WSL with ROCm"
    cautions: []
    rejected: [{name: cuda, why: "it is for NVIDIA graphics, and there is none"}]
    opt_in: []
    python: {requires: ">=3.11,<3.15", use: "3.12", path: /usr/bin/python3.12, fetch: false}
    python_requires: ">=3.11,<3.15"
    settings: {version: "", torch: "", experimental: false}
    work:
      download_bytes: 1275000000
      disk_bytes: 8270000000
      seconds: 235
      text: >-
        ROCm is to be set up: about 1.3 GB to fetch, 8.3 GB of disk (215 GB are free),
        4 min on a line of 100 Mbit/s
null_reasons:
  description: Why a field is null, by the field's path. For V(wsl.interop), also why it is false.
  returned: always
  type: dict
  sample: {"adapters[0].driver": "Windows does not give its driver's name here"}
seconds:
  description: How long the look took, without Ansible around it.
  returned: always
  type: float
  sample: 0.004
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.registry import BACKENDS
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.decision.decide import decide_on
from ansible.module_utils.colab_ready.gpu.detect import Places, look
from ansible.module_utils.colab_ready.gpu.readers.sysfs import PCI_IDS
from ansible.module_utils.colab_ready.python.cache import begun
from ansible.module_utils.colab_ready.python.interpreters import known


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "backend": {"type": "str", "default": "auto"},
            "gpu": {"type": "str"},
            "prefix": {"type": "path", "default": "/opt/colab-ready"},
            "settings": {"type": "dict"},
            "python": {"type": "path"},
            "python_fetch": {"type": "bool"},
            "sysfs": {"type": "path", "default": "/sys"},
            "proc": {"type": "path", "default": "/proc"},
            "dev": {"type": "path", "default": "/dev"},
            "run": {"type": "path", "default": "/run"},
            "etc": {"type": "path", "default": "/etc"},
            "usr": {"type": "path", "default": "/usr"},
            "pci_ids": {"type": "list", "elements": "path", "default": list(PCI_IDS)},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    asked = {name: options.pop(name) for name in ("backend", "gpu", "settings", "python", "python_fetch")}
    started = time.monotonic()
    found = look(Places(**options))
    pythons = known(found["host"], asked["python"], f"{options['prefix']}/pythons")
    there = begun(options["prefix"], [backend.name for backend in BACKENDS])
    found["host"].update(pythons, python_fetch=asked["python_fetch"], begun=there)
    refusal = None
    try:
        found["backend"] = decide_on(found, asked["backend"], asked["gpu"], asked["settings"])
    except Refused as error:
        refusal = str(error)
    found["seconds"] = round(time.monotonic() - started, 4)
    # Of the reasons people read the words; the codes are for programs, in `ways`.
    found["null_reasons"] = {path: why["detail"] for path, why in found["null_reasons"].items()}
    if found["adapters"] is None:
        module.warn(f"The graphics adapters are not known: {found['null_reasons']['adapters']}.")
    if refusal:
        module.fail_json(msg=refusal, **found)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

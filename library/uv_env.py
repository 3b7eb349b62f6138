#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: uv_env
short_description: Python environments as state, built with uv
version_added: "0.1.0"
description:
  - Makes a virtual environment hold what a lock with hashes, pinned packages, further packages and source folders
    say. What is right already is left alone; when everything is, uv is not even started.
  - A package counts as right when its version is the wanted one and every file that its RECORD names is there with
    the recorded size. A missing, moved or damaged one is installed again. An environment whose interpreter is gone
    (after an upgrade of the distribution) or that uv cannot read is built anew.
  - Packages that nobody asked for stay, unless O(exact=true).
  - Reads the pip configuration of the host, of who called (behind sudo) and of O(user) as pip does, the caller's being the
    strongest, and hands it to uv, which reads none itself. Addresses with
    credentials travel in the environment of the child processes, never in their arguments, and are covered in
    messages and results.
  - As root with O(user), the environment belongs to that user. Everything in it is looked at, changed and run by one process
    that has that user's rights and no others; a file of another user's in it is never given away. Where such files are in the
    way, or uv cannot read what is there, root empties the folder and it is built anew.
  - Nothing is built from source, so a package has to have a wheel. AMD's package C(rocm), which comes with a pin, is the one
    exception; it is built with the C(setuptools) of O(lock), by the user alone.
  - What root runs (uv, the Python that installs it) and the folders that it uses have to be root's along their whole way.
options:
  path:
    description: The folder of the environment. One that holds other things is refused, and so is a symbolic link.
    type: path
    required: true
  state:
    description: Whether the environment is there as described, or not at all.
    type: str
    choices: [present, absent]
    default: present
  lock:
    description:
      - The text of a requirements file with hashes for every package, as C(uv pip compile --universal
        --generate-hashes) writes it. The entries whose markers hold for the environment's Python are wanted.
    type: str
    default: ""
  packages:
    description:
      - More requirements, without a lock, such as V(transformers) or V(transformers>=4.40). They are resolved when
        they are first installed or change, with everything locked and pinned as constraints, and remembered.
        Only wheels are taken.
    type: list
    elements: str
    default: []
  pinned:
    description:
      - Packages that come from a source of their own, one exact build each. They are installed without their
        dependencies, which belong into O(lock), unless O(pinned[].dependencies). An entry of the same name there is passed over.
    type: list
    elements: dict
    default: []
    suboptions:
      requirement:
        description:
          - The exact build, such as V(torch==2.13.0+cpu); C(--hash=sha256:...) may follow. With O(pinned[].dependencies) it
            may have extras, as V(torch[device-gfx1201]==2.13.0+rocm10.0.0). A build that lacks one is refused.
        type: str
        required: true
      index:
        description:
          - The index to take it from. Without one, or when it does not answer within 5 seconds, the host's own
            sources are asked for the same build.
        type: str
      find_links:
        description:
          - In place of O(pinned[].index), a page with links to wheels, or a folder of wheels.
        type: str
      dependencies:
        description:
          - Install what it depends on as well, as far as that is neither in O(lock) nor pinned, and keep it repaired. It
            comes from the same source; what that lacks, from the host's own sources. An index of the pin has the first word on
            each package that it knows.
          - What came with a pin, and is needed by nothing any more after a change, is taken away.
        type: bool
        default: false
      optional:
        description:
          - Leave it out where no source has it, with a warning, unless O(packages) names it. It is asked for again when another
            pin is installed. C(constraints.txt) has it nevertheless, so that no other build of it comes.
        type: bool
        default: false
      variable:
        description:
          - The variable that sets O(pinned[].index) or O(pinned[].find_links), for the message when the build cannot be had.
        type: str
      allow_default:
        description: Take O(pinned[].default_requirement) when the exact build cannot be had. That may be several GB.
        type: bool
        default: false
      default_requirement:
        description: What O(pinned[].allow_default) allows, such as V(torch==2.13.0); installed with its dependencies.
        type: str
  local_packages:
    description:
      - Source folders of packages in pure Python, laid out as C(src/NAME) with a C(pyproject.toml), to pack into wheels
        and install, without their dependencies.
    type: list
    elements: path
    default: []
  constraints:
    description:
      - Further lines of C(constraints.txt) in the environment's folder, which O(packages) follow too; a notebook's pip can be
        pointed at it with C(PIP_CONSTRAINT), and uv with C(UV_CONSTRAINT). With O(pinned), their builds stand there, ipykernel's
        version, and the versions that these say that they need.
    type: list
    elements: str
    default: []
  exact:
    description: Take away every package that is not asked for.
    type: bool
    default: false
  drop_bundled_hsa:
    description:
      - Take torch's own copy of AMD's runtime, C(torch/lib/libhsa-runtime64.so*), out of the environment, so that torch finds
        the system's. AMD's wheels up to ROCm 7.2 need that in WSL.
    type: bool
    default: false
  compile_bytecode:
    description:
      - Compile what is installed. Worth its time where those who run the environment cannot write into it.
    type: bool
    default: false
  python:
    description:
      - The interpreter to build with. Without one, the first of C(/usr/bin/python3) and C(/usr/bin/python3.14) to
        C(/usr/bin/python3.10) that starts and fits O(python_requires). For root's own environment it has to be
        root's.
    type: path
  python_requires:
    description: The versions of Python that will do.
    type: str
    default: ">=3.10,<3.15"
  python_fetch:
    description:
      - Let uv fetch the newest Python that fits O(python_requires), where no interpreter of the host does and O(python)
        names none. uv checks it against a sha256 that it carries itself.
    type: bool
    default: false
  python_mirror:
    description:
      - Where O(python_fetch) fetches from in place of the releases of python-build-standalone. V(file:///FOLDER) takes a
        folder; its files lie in it as there, C(20261110/cpython-3.12....tar.gz).
    type: str
  beside:
    description:
      - Further environments, each described by the options of the same names. All are built at the same time; the first that
        fails ends the work on the others.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: As O(path).
        type: path
        required: true
      lock:
        description: As O(lock).
        type: str
        default: ""
      packages:
        description: As O(packages).
        type: list
        elements: str
        default: []
      local_packages:
        description: As O(local_packages).
        type: list
        elements: path
        default: []
      exact:
        description: As O(exact).
        type: bool
        default: false
      compile_bytecode:
        description: As O(compile_bytecode).
        type: bool
        default: false
      python:
        description: As O(python). Empty, none.
        type: str
        default: ""
      user:
        description: As O(user). Empty, who runs the module.
        type: str
        default: ""
  pythons_dir:
    description: Where fetched Pythons lie. They belong to who runs the module, and stay when the environment goes.
    type: path
    default: /opt/colab-ready/pythons
  user:
    description: Who the environment belongs to. Without one, who runs the module.
    type: str
  tools_dir:
    description: The folder of the environment that holds uv, when O(uv) is not given.
    type: path
    default: /opt/colab-ready/tools
  uv:
    description:
      - The uv program to use. Without one, the one in O(tools_dir); its wheel is fetched there when a build needs it and
        it is missing or not the locked version. Where that fails, one from E(PATH) will do. Root
        does not run one that somebody else can change.
    type: path
  uv_lock:
    description: The text of the requirements file with hashes that pins uv itself.
    type: str
    default: ""
  cache_dir:
    description:
      - Where downloads lie while an environment is built, by user and environment. Kept after a failure, emptied after a
        success. The locks lie there too.
    type: path
    default: /opt/colab-ready/cache
  environment:
    description:
      - Environment variables for the child processes. C(PIP_*) count as part of the pip configuration, C(UV_*) about
        sources win over it.
    type: dict
    default: {}
requirements:
  - Python 3.10 or newer on the host, Linux
attributes:
  check_mode:
    description: Says what would change without uv, network or interpreter of the environment being there yet.
    support: full
  diff_mode:
    description: The packages with their versions, before and after.
    support: full
author:
  - the colab-ready authors (@colab-ready)
"""

EXAMPLES = r"""
- name: Build the server environment
  uv_env:
    path: /opt/colab-ready/server
    lock: "{{ lookup('ansible.builtin.file', 'server.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'uv.txt') }}"
    exact: true

- name: Build a kernel environment with the CPU build of torch for a user
  uv_env:
    path: /opt/colab-ready/kernels/cpu
    user: student
    lock: "{{ lookup('ansible.builtin.file', 'kernel_cpu.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'uv.txt') }}"
    pinned:
      - requirement: torch==2.13.0+cpu
        index: https://download.pytorch.org/whl/cpu
        variable: python_env_torch_index
        default_requirement: torch==2.13.0
    packages:
      - transformers
    constraints:
      - torch==2.13.0

- name: Build one with AMD's torch and the kernels of one card, which are packages of their own
  uv_env:
    path: /opt/colab-ready/kernels/rocm
    user: student
    lock: "{{ lookup('ansible.builtin.file', 'kernel.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'uv.txt') }}"
    pinned:
      - requirement: torch[device-gfx1201]==2.13.0+rocm10.0.0
        index: https://stable.repo.amd.com/rocm/whl-next/
        dependencies: true

- name: Build an environment for which the distribution's Python may be too new
  uv_env:
    path: /opt/colab-ready/kernels/directml
    user: student
    lock: "{{ lookup('ansible.builtin.file', 'kernel.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'uv.txt') }}"
    python_requires: ">=3.10,<3.13"
    python_fetch: true

- name: Build two at the same time
  uv_env:
    path: /opt/colab-ready/kernels/cpu
    user: student
    lock: "{{ lookup('ansible.builtin.file', 'kernel_cpu.txt') }}"
    uv_lock: "{{ lookup('ansible.builtin.file', 'uv.txt') }}"
    beside:
      - path: /opt/colab-ready/server
        lock: "{{ lookup('ansible.builtin.file', 'server.txt') }}"
        exact: true

- name: Take an environment away
  uv_env:
    path: /opt/colab-ready/kernels/cpu
    state: absent
"""

RETURN = r"""
packages:
  description: What is installed, name and version. In check mode, what is installed now.
  returned: when O(state=present)
  type: dict
  sample: {jupyter-server: 2.21.0}
python:
  description: The environment's interpreter.
  returned: when O(state=present)
  type: dict
  contains:
    path:
      description: The program.
      type: str
      sample: /opt/colab-ready/server/bin/python
    version:
      description: Its version.
      type: str
      sample: 3.11.2
    base:
      description: The interpreter that it was made from.
      type: str
      sample: /usr/bin/python3.11
sources:
  description: Where packages come from on this host, without credentials.
  returned: when O(state=present)
  type: dict
  contains:
    index:
      description: The main index that is configured, or null for uv's own default.
      type: str
      sample: null
    extra_indexes:
      description: The further indexes.
      type: list
      elements: str
      sample: []
    find_links:
      description: The wheel folders and pages.
      type: list
      elements: str
      sample: [/srv/wheels]
    no_index:
      description: Whether indexes are left out altogether.
      type: bool
      sample: false
    pinned:
      description: The source of each pinned package.
      type: dict
      sample: {torch: https://download.pytorch.org/whl/cpu}
    notes:
      description: What was passed over, and why.
      type: list
      elements: str
      sample: []
reasons:
  description: Why something changed or would change.
  returned: success
  type: list
  elements: str
  sample: ["torch is missing"]
beside:
  description: The same for each environment in O(beside), with its path.
  returned: success
  type: list
  elements: dict
  sample: [{path: /opt/colab-ready/server, changed: false, reasons: []}]
diff:
  description: The packages before and after, for each environment.
  returned: success
  type: list
  elements: dict
  sample: [{before: "idna==3.19\n", after: "idna==3.20\n"}]
problem:
  description: One word for what failed.
  returned: failure
  type: str
  sample: no_network
"""

import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.apt.client import install_plain
from ansible.module_utils.colab_ready.core.redact import redact, secrets_in
from ansible.module_utils.colab_ready.python.builder import Answer, Builder, build_all
from ansible.module_utils.colab_ready.python.installer import Outcome
from ansible.module_utils.colab_ready.python.uv import ENDS, Request, as_failure

PINNED = {
    "requirement": {"type": "str", "required": True},
    "index": {"type": "str"},
    "find_links": {"type": "str"},
    "dependencies": {"type": "bool", "default": False},
    "optional": {"type": "bool", "default": False},
    "variable": {"type": "str"},
    "allow_default": {"type": "bool", "default": False},
    "default_requirement": {"type": "str"},
}
# What each of several environments may have of its own.
BESIDE = {
    "path": {"type": "path", "required": True},
    "lock": {"type": "str", "default": ""},
    "packages": {"type": "list", "elements": "str", "default": []},
    "local_packages": {"type": "list", "elements": "path", "default": []},
    "exact": {"type": "bool", "default": False},
    "compile_bytecode": {"type": "bool", "default": False},
    "python": {"type": "str", "default": ""},
    "user": {"type": "str", "default": ""},
}
SHARED = ("python_mirror", "pythons_dir", "tools_dir", "uv", "uv_lock", "cache_dir", "environment")
ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lock": {"type": "str", "default": ""},
    "packages": {"type": "list", "elements": "str", "default": []},
    "pinned": {"type": "list", "elements": "dict", "default": [], "options": PINNED},
    "local_packages": {"type": "list", "elements": "path", "default": []},
    "constraints": {"type": "list", "elements": "str", "default": []},
    "exact": {"type": "bool", "default": False},
    "drop_bundled_hsa": {"type": "bool", "default": False},
    "compile_bytecode": {"type": "bool", "default": False},
    "python": {"type": "path"},
    "python_requires": {"type": "str", "default": ">=3.10,<3.15"},
    "python_fetch": {"type": "bool", "default": False},
    "python_mirror": {"type": "str"},
    "beside": {"type": "list", "elements": "dict", "default": [], "options": BESIDE},
    "pythons_dir": {"type": "path", "default": "/opt/colab-ready/pythons"},
    "user": {"type": "str"},
    "tools_dir": {"type": "path", "default": "/opt/colab-ready/tools"},
    "uv": {"type": "path"},
    "uv_lock": {"type": "str", "default": ""},
    "cache_dir": {"type": "path", "default": "/opt/colab-ready/cache"},
    # Logged by nobody: it may hold an index address with a password.
    "environment": {"type": "dict", "default": {}, "no_log": True},
}
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|USERNAME", re.IGNORECASE)


def keep_secrets(module: AnsibleModule, environment: dict[str, str]) -> None:
    """Censor what is secret, and only that: every value of a no_log dictionary would also hide versions and paths."""
    texts = [*environment.values(), *map(str, module.params["pinned"]), *module.params["packages"]]
    texts.append(module.params["python_mirror"] or "")
    texts += [value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))]
    texts += [value if "://" in value else f"http://{value}" for value in texts if "@" in value]
    secrets = {one for text in texts for one in secrets_in(text)}
    secrets |= {value for name, value in environment.items() if SECRET_NAME.search(name) and len(value) >= 4}
    module.no_log_values = secrets
    module.params["environment"] = {name: redact(value) for name, value in environment.items()}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    os.umask(0o022)
    params = dict(module.params)
    state, beside = params.pop("state"), params.pop("beside")
    params["environment"] = {str(name): str(value) for name, value in params["environment"].items()}
    keep_secrets(module, params["environment"])
    shared = {name: params[name] for name in SHARED}
    requests = [params, *({**shared, **one, "python": one["python"] or None} for one in beside)]
    try:
        # Where a uv is to be fetched, nothing is configured, and no pip says where from.
        get_pip = None if os.geteuid() else (lambda: install_plain("python3-venv", module.warn))
        builders = [Builder(Request(**one), dict(os.environ), module.check_mode, get_pip) for one in requests]
        answers = build_all(builders, state == "present")
    except ENDS as error:
        failure = as_failure(f"The environment {params['path']} could not be handled", error)
        module.fail_json(msg=redact(str(failure)), problem=failure.kind)
    for one in dict.fromkeys(text for answer in answers for text in answer.outcome.left_out):
        module.warn(one)
    results = [told(answer, state) for answer in answers]
    module.exit_json(
        **{
            **results[0],
            "changed": any(one["changed"] for one in results),
            "beside": [{"path": builder.path, **one} for builder, one in zip(builders[1:], results[1:], strict=True)],
            "diff": [
                difference(builder.path, answer.outcome) for builder, answer in zip(builders, answers, strict=True)
            ],
        }
    )


def told(answer: Answer, state: str) -> dict[str, Any]:
    outcome = answer.outcome
    result: dict[str, Any] = {"changed": outcome.changed, "reasons": outcome.reasons}
    if state == "present":
        sources = {**answer.sources, "pinned": outcome.pinned, "notes": outcome.notes}
        result.update(packages=outcome.packages, python=outcome.python, sources=sources)
    return result


def difference(path: str, outcome: Outcome) -> dict[str, str]:
    before, after = ("".join(line + "\n" for line in lines) for lines in (outcome.before, outcome.after))
    return {"before_header": path, "after_header": path, "before": before, "after": after}


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: home_work
short_description: Look whether somebody's work lies in the home of an account
version_added: "0.1.0"
description:
  - Tells what somebody made in a home, hidden or not, from caches and empty files that a Jupyter server and IPython make by
    themselves. IPython's history counts as work as soon as one cell stands in it.
  - Looks with the rights of the account, for a few seconds at most; where it cannot be told, there is work.
  - Looks only at the home of an account that was made for the runtime (RV(made)).
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
  user:
    description: The account.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look for work that was left in the home
  home_work:
    user: colab
  register: colab_left_work
"""

RETURN = r"""
made:
  description: Whether there is such an account and it was made for the runtime.
  returned: always
  type: bool
  sample: true
home:
  description: The account's home.
  returned: always
  type: str
  sample: /home/colab
work:
  description: What somebody made there, relative to RV(home), the first five.
  returned: always
  type: list
  elements: str
  sample: [exercise.ipynb]
litter:
  description: What may be removed of RV(home) where there is no work.
  returned: always
  type: list
  elements: str
  sample: [.cache, .ipython]
"""

import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.core.accounts import is_runtime_account
from ansible.module_utils.colab_ready.core.text import cleaned
from ansible.module_utils.colab_ready.process.boundary import BoundaryError, run_as
from ansible.module_utils.colab_ready.process.identity import account_named
from ansible.module_utils.colab_ready.system.home import TOPS, find_work

LOOK_SECONDS = 10.0


def main() -> None:
    module = AnsibleModule(argument_spec={"user": {"type": "str", "required": True}}, supports_check_mode=True)
    name = module.params["user"]
    try:
        made = is_runtime_account(pwd.getpwnam(name).pw_gecos)
    except KeyError:
        made = False
    if not made:
        module.exit_json(changed=False, made=False, home="", work=[], litter=[])
    account = account_named(name)
    home = account.home

    def look() -> list[str]:
        try:
            return find_work(home)
        except FileNotFoundError:
            return []
        except OSError as error:
            return [f"(it cannot be looked at: {error.strerror})"]

    try:
        work = run_as(account, look, LOOK_SECONDS)
    except BoundaryError as error:
        work = [f"(it cannot be told: {error})"]
    litter = [] if work else [os.path.join(home, top) for top in TOPS]
    module.exit_json(changed=False, made=True, home=home, work=cleaned(work), litter=litter)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a room's computers as an inventory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

# As modules find it (ansible.cfg, module_utils); for plugins Ansible does not look there.
ansible.module_utils.__path__ = [
    *ansible.module_utils.__path__,
    str(Path(__file__).resolve().parents[1] / "module_utils"),
]

from ansible.module_utils.colab_ready.core.problem import Problem, Refused  # noqa: E402 - the path comes first
from ansible.module_utils.colab_ready.files.safe_open import TEXT_BYTES, read_bytes  # noqa: E402 - the same
from ansible.module_utils.colab_ready.lab.room import message, read_room  # noqa: E402 - the same

DOCUMENTATION = r"""
name: lab_csv
short_description: The computers of a room, from a CSV file
version_added: "0.2.0"
author: the colab-ready authors (@colab-ready)
description:
  - Reads files whose name ends with C(.csv), as spreadsheets write them. The first line names the columns, each other line is a
    computer. Commas, semicolons or tabs separate the values; empty lines and those that begin with C(#) say nothing.
  - Every computer is put into the group C(colab_hosts), and into that of its transport, C(linux), C(wsl) or C(localhost).
    How the hosts of a group are reached stands in its C(group_vars); C(inventory/lab.example) has them.
  - No value of the list is a template.
  - A list with a mistake gives no host at all, and one message with all mistakes.
  - 'The columns: C(name); C(address), by default the name; C(user), the account that ssh logs in with; C(colab_user), the account
    that runs notebooks; C(transport), C(ssh) (default), C(wsl) or C(localhost); C(windows_user) and C(distribution), for C(wsl);
    C(colab_port) and C(colab_backend). C(name) is needed, and C(colab_user) where neither root nor C(wsl) is the way in.'
notes:
  - Ansible offers a file that was refused to the next enabled plugin, and C(ini) takes any text for host names. So the variable
    E(ANSIBLE_INVENTORY_ENABLED) has to leave it out, with V(lab_csv,host_list,script,auto,yaml,toml). With C(ini), the message is
    shown all the same, and a playbook ends since the group C(colab_hosts) is missing.
"""

EXAMPLES = r"""
# room.csv, in a folder with the group_vars of inventory/lab.example
# name;address;transport;user;colab_user;windows_user
# pc-01;192.0.2.11;ssh;teacher;student;
# pc-21;192.0.2.31;wsl;;;labadmin

# ANSIBLE_INVENTORY_ENABLED=lab_csv,host_list,script,auto,yaml,toml ansible-inventory -i lab/room.csv --list
"""


class InventoryModule(BaseInventoryPlugin):
    NAME = "lab_csv"

    def verify_file(self, path: str) -> bool:
        """Take every list, one that cannot be read too: what is wrong with it is said here, and by no other plugin."""
        return path.lower().endswith(".csv") and ("," not in path or os.path.lexists(path))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        try:
            hosts = read_room(_read(path))
        except Refused as error:
            # In the text of an exception, ansible-core 2.17 joins the lines, and 2.19 and newer have it twice.
            Display().error(message(path, error.problems), wrap_text=False)
            raise AnsibleParserError("the list is refused for the reasons above") from None
        for host in hosts:
            for group in ("colab_hosts", host.group):
                inventory.add_group(group)
                inventory.add_host(host.name, group)
            for name, value in host.variables.items():
                inventory.set_variable(host.name, name, _untemplated(value))


def _untemplated(value: str | int) -> Any:
    """Return the value so that it is no template. Since ansible-core 2.19 these have to be marked; before, all other texts."""
    if hasattr(BaseInventoryPlugin, "trusted_by_default"):
        return value
    from ansible.utils.unsafe_proxy import wrap_var

    return wrap_var(value)


def _read(path: str) -> bytes:
    """Return what is in the list. Raises Refused."""
    try:
        return read_bytes(path, TEXT_BYTES, follow=True)
    except OSError as error:
        expected = f"a file of at most {TEXT_BYTES >> 20} MiB that you may read"
        problem = Problem("0", f"it cannot be read: {error.strerror}", expected, "correct its name or its rights")
        raise Refused(problem) from None

#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: jupyter_config_dir
short_description: Repair the configuration directories of a Jupyter that is installed for the system's Python
version_added: "0.1.0"
description:
  - A Jupyter of the system's Python has its environment's configuration in C(/usr/etc/jupyter), which nothing creates, so
    that enabling a server extension fails. This module creates it, safely, with the entry that enables an extension, and
    makes that extension importable there.
  - Every directory where such a Jupyter looks for configuration (C(jupyter --paths)) is looked through for places that
    somebody else may write to. Whoever can write there runs code as everybody who starts a Jupyter, as root too. What is
    too open is tightened. Files of somebody else are named and never deleted.
  - Nothing that a user could have put there is run or imported, and no symbolic link of a user's is followed.
  - What was put on the host is recorded, so that O(state=absent) takes away that and nothing else.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
  diff_mode:
    description: Says in diff mode what changed.
    support: full
options:
  state:
    description:
      - With V(present), the directories are as described here.
      - With V(absent), what this module put there is gone. Permissions that it tightened stay so.
    type: str
    choices: [present, absent]
    default: present
  prefix:
    description: The prefix of the system's Python (C(sys.prefix)).
    type: path
    default: /usr
  create:
    description:
      - With V(auto), C(<prefix>/etc/jupyter) is made if a Jupyter is installed for the system's Python.
      - With V(always) and V(never), it is made in any case, or not.
    type: str
    choices: [auto, always, never]
    default: auto
  mode:
    description:
      - The permissions of C(<prefix>/etc/jupyter) and C(jupyter_server_config.d) in it, as a quoted string of four digits.
      - Anything that lets others write there, as the widespread V(0777), is done and warned about.
    type: str
    default: "0755"
  owner:
    description: Who owns those directories and what is made in them.
    type: str
    default: root
  group:
    description: The group of those directories.
    type: str
    default: root
  users:
    description: The users whose own Jupyter (C(pip install --user)) counts, and whose configuration is looked through.
    type: list
    elements: str
    default: []
  extension:
    description:
      - The server extension that is enabled for the system's Jupyter. It is enabled only where it can be loaded; RV(reasons)
        says what is missing otherwise.
      - Empty for none; one that this module enabled before is then taken away.
    type: str
    default: ""
  extension_source:
    description:
      - A directory with the extension's source, of the same name, which is installed for the system's Python.
    type: path
    default: /opt/colab-ready/src/colab_http_over_ws
  system_dirs:
    description: Where every Jupyter looks for configuration.
    type: list
    elements: path
    default: [/usr/local/etc/jupyter, /etc/jupyter]
  state_file:
    description: Where is recorded what this module put on the host.
    type: path
    default: /var/lib/colab-ready/jupyter_config_dir.json
"""

EXAMPLES = r"""
- name: Let the system's Jupyter have a safe configuration directory, and the extension
  jupyter_config_dir:
    extension: colab_http_over_ws
    users: [student]

- name: Take away what was put there
  jupyter_config_dir:
    state: absent
    extension: colab_http_over_ws
"""

RETURN = r"""
config_dir:
  description: The configuration directory of the system's Python.
  returned: success
  type: str
  sample: /usr/etc/jupyter
findings:
  description:
    - Where somebody else could have written, as it was found. In check mode RV(findings[].repaired) says what would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: What was found.
      type: str
    owner:
      description: Its owner, null where it could not be looked at.
      type: str
    group:
      description: Its group.
      type: str
    mode:
      description: Its permissions.
      type: str
    why:
      description: What is wrong with it.
      type: str
    repaired:
      description: Whether it is tightened now.
      type: bool
    do:
      description: What a human should do about it, empty if it was repaired.
      type: str
    planted:
      description: What it does to who starts Jupyter, if somebody else may have put it there; else null.
      type: str
  sample:
    - path: /usr/etc/jupyter
      owner: root
      group: root
      mode: "0777"
      why: everybody may write to it
      repaired: true
      do: ""
      planted: null
system_jupyter:
  description: The Jupyter installations that the system's Python finds.
  returned: success
  type: list
  elements: dict
  contains:
    python:
      description: The interpreter.
      type: str
    user:
      description: Whose own packages these are; null for the system's.
      type: str
    versions:
      description: The distributions that matter here, and their versions.
      type: dict
  sample:
    - python: /usr/bin/python3.11
      user: student
      versions: {jupyter_server: 2.21.1, jupyter_http_over_ws: 0.0.8, notebook: 7.6.5, six: 1.17.0, tornado: 6.6.1}
extension_enabled:
  description: Whether the extension is enabled for the system's Jupyter.
  returned: success
  type: bool
  sample: true
reasons:
  description: Why the extension is not enabled, or not for everybody, with what to do.
  returned: success
  type: list
  elements: str
  sample: [no Jupyter is installed for the system's Python]
diff:
  description: What was and what is, for each path that changed.
  returned: success
  type: dict
  sample:
    before: "/usr/etc/jupyter: directory root:root 0777\n"
    after: "/usr/etc/jupyter: directory root:root 0755\n"
"""

import grp
import os
import pwd
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.core.problem import Refused, explain
from ansible.module_utils.colab_ready.files.guarded_paths import Attributes
from ansible.module_utils.colab_ready.jupyter.config_paths import User
from ansible.module_utils.colab_ready.jupyter.config_repair import Repair, Settings
from ansible.module_utils.colab_ready.jupyter.server_extension import check_name


def settings_of(module: AnsibleModule) -> Settings:
    params = module.params
    for key in ("prefix", "extension_source", "state_file"):
        if not os.path.isabs(params[key]):
            raise Refused("%s is %r. Expected an absolute path. Correct it." % (key, params[key]))
    if not re.fullmatch(r"[0-7]{4}", params["mode"]):
        raise Refused('mode is %r. Expected four octal digits in quotes, such as "0755". Correct it.' % params["mode"])
    if params["extension"]:
        check_name(params["extension"])
    try:
        uid, gid = pwd.getpwnam(params["owner"]).pw_uid, grp.getgrnam(params["group"]).gr_gid
    except KeyError as error:
        raise Refused("%s. Expected an owner and a group that this host has. Correct it." % error.args[0]) from None
    return Settings(
        prefix=params["prefix"].rstrip("/") or "/",
        directory_as=Attributes(uid, gid, int(params["mode"], 8)),
        extension=params["extension"] or None,
        create=params["create"],
        users=accounts(params["users"], module.check_mode),
        system_dirs=params["system_dirs"],
        extension_source=params["extension_source"],
        state_file=params["state_file"],
        check=module.check_mode,
    )


def accounts(names: list[str], check: bool) -> list[User]:
    """These users; in check mode without those that another task would have made."""
    users = []
    for name in names:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            if check:
                continue
            raise Refused(
                "users has %r, which this host does not have. Expected existing users. Correct it." % name
            ) from None
        # As Jupyter does: the home may be reached over a link.
        users.append(User(found.pw_name, found.pw_uid, found.pw_gid, os.path.realpath(found.pw_dir)))
    return users


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "prefix": {"type": "path", "default": "/usr"},
            "create": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
            "mode": {"type": "str", "default": "0755"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "users": {"type": "list", "elements": "str", "default": []},
            "extension": {"type": "str", "default": ""},
            "extension_source": {"type": "path", "default": "/opt/colab-ready/src/colab_http_over_ws"},
            "system_dirs": {
                "type": "list",
                "elements": "path",
                "default": ["/usr/local/etc/jupyter", "/etc/jupyter"],
            },
            "state_file": {"type": "path", "default": "/var/lib/colab-ready/jupyter_config_dir.json"},
        },
        supports_check_mode=True,
    )
    try:
        repair = Repair(settings_of(module))
        if module.params["state"] == "present":
            repair.converge()
        else:
            repair.remove()
    except (Refused, OSError) as error:
        module.fail_json(msg=explain(error, module.params["prefix"]))

    settings = repair.settings
    for warning in repair.changes.warnings:
        module.warn(warning)
    for finding in repair.findings:
        todo = "It is tightened." if finding["repaired"] else "Do: %s." % finding["do"]
        if finding["planted"]:
            todo = "Who put it there? It %s. %s" % (finding["planted"], todo)
        module.warn("%s (%s): %s. %s" % (finding["path"], finding["mode"] or "unknown mode", finding["why"], todo))
    module.exit_json(
        changed=bool(repair.changes.places),
        config_dir=settings.config_dir,
        findings=repair.findings,
        system_jupyter=[one._asdict() for one in repair.installations],
        extension_enabled=repair.extension_enabled,
        reasons=repair.reasons,
        diff=repair.changes.diff,
    )


if __name__ == "__main__":
    main()

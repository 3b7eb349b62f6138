#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: jupyter_server_extension
short_description: Enable or disable a Jupyter Server extension in one configuration directory
version_added: "0.1.0"
description:
  - Keeps C(<config_dir>/jupyter_server_config.d/<name>.json), where Jupyter Server reads which extensions to load.
  - The file is written directly. C(jupyter server extension enable) exits 0 when it fails, and since jupyter_server 2.16
    it refuses an extension that has no entry yet.
  - Whether the extension loads is not checked here; only a running server can tell.
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
  name:
    description: The name of the extension, which is that of its Python module.
    type: str
    required: true
  config_dir:
    description:
      - The configuration directory, an absolute path. Made with mode 0755, with its parents, if it is missing; left as it
        is otherwise.
      - Symbolic links on the way that somebody else could have placed are an error.
    type: path
    required: true
  state:
    description:
      - With V(enabled) and V(disabled), the file says so. Other entries in it stay. A file that Jupyter could not use is
        replaced, and what it held is kept beside it.
      - With V(absent), the entry is gone; the file too if it held nothing else, and then its directory
        C(jupyter_server_config.d) if that is empty.
    type: str
    choices: [enabled, disabled, absent]
    default: enabled
  owner:
    description: Who owns the file and the directories that are made, with its own group.
    type: str
    default: root
"""

EXAMPLES = r"""
- name: Make the extension load with the server
  jupyter_server_extension:
    name: colab_http_over_ws
    config_dir: /etc/colab-ready/jupyter
    state: enabled
"""

RETURN = r"""
path:
  description: The file that says whether the extension is enabled.
  returned: success
  type: str
  sample: /etc/colab-ready/jupyter/jupyter_server_config.d/colab_http_over_ws.json
diff:
  description: What was and what is, for each path that changed.
  returned: success
  type: dict
  sample:
    before: "/etc/colab-ready/jupyter/jupyter_server_config.d/colab_http_over_ws.json: absent\n"
    after: |
      /etc/colab-ready/jupyter/jupyter_server_config.d/colab_http_over_ws.json: file root:root 0644
      {
        "ServerApp": {
          "jpserver_extensions": {
            "colab_http_over_ws": true
          }
        }
      }
"""

import os
import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.core.problem import Refused, explain
from ansible.module_utils.colab_ready.files.changes import Changes
from ansible.module_utils.colab_ready.jupyter.server_extension import check_name, converge, path_of

ENABLED = {"enabled": True, "disabled": False, "absent": None}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "config_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["enabled", "disabled", "absent"], "default": "enabled"},
            "owner": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    name, config_dir = module.params["name"], module.params["config_dir"]
    changes = Changes(module.check_mode)
    try:
        check_name(name)
        if not os.path.isabs(config_dir):
            raise Refused("config_dir is %r. Expected an absolute path. Correct it." % config_dir)
        account = pwd.getpwnam(module.params["owner"])
        converge(changes, config_dir, name, ENABLED[module.params["state"]], (account.pw_uid, account.pw_gid))
    except KeyError:
        module.fail_json(
            msg="owner is %r, which this host does not have. Expected an existing account. Create it first, or correct it."
            % module.params["owner"]
        )
    except (Refused, OSError) as error:
        module.fail_json(msg=explain(error, path_of(config_dir, name)))
    for warning in changes.warnings:
        module.warn(warning)
    module.exit_json(changed=bool(changes.places), path=path_of(config_dir, name), diff=changes.diff)


if __name__ == "__main__":
    main()

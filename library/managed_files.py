#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: managed_files
short_description: Keep a set of files and directories as one state
version_added: "0.1.0"
description:
  - Makes a list of files and directories true in one task, in the order of the list.
  - The whole list is checked before anything is touched, and every problem is said in one message.
  - Files are replaced atomically, by a new file in the same directory.
  - A symbolic link in the place of a file is replaced, never followed; in the place of a directory it is an error. An empty
    directory in the place of a file is replaced, too.
  - Directories are never made silently on the way to a path.
  - Owner, group and mode are always part of the state, so list only what is this project's own.
author:
  - the colab-ready authors (@colab-ready)
attributes:
  check_mode:
    description: Can run in check mode and report what would change, without changing it.
    support: full
    details:
      - An account that does not exist yet counts as one that another task creates; in the real run it is an error.
  diff_mode:
    description: Says in diff mode what changed, one entry for each changed path.
    support: full
    details:
      - The content of generated and secret files is never shown.
options:
  files:
    description: What each path should be. One entry for one path.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The absolute path.
        type: path
        required: true
      state:
        description:
          - With V(file), a regular file with the given content.
          - With V(directory), a directory; what lies in it is not looked at without O(files[].purge_foreign=true).
          - With V(absent), nothing; a directory goes only with O(files[].recursive=true).
        type: str
        choices: [file, directory, absent]
        default: file
      content:
        description: The content of the file, as text; with O(files[].json=true) also as data.
        type: raw
      secret_content:
        description:
          - The content of a file that nobody else may read. Never shown in the diff, the result or the journal.
        type: str
      generate:
        description:
          - Fill the file with so many random bytes, as hexadecimal digits and nothing else (no newline, since
            programs such as Jupyter take every byte of a token file for the token), from 16 to 1024 bytes.
          - Only when the file is missing, shorter than that, not printable text without a newline, or when others could know
            it (a warning says so), since it belongs to another account than O(files[].owner) and root, or its permissions
            are wider than O(files[].mode). Never shown.
        type: int
      json:
        description:
          - Write O(files[].content) as JSON with sorted keys, two spaces of indentation and a newline at the end.
          - Text is taken as JSON and written in that form.
        type: bool
        default: false
      owner:
        description:
          - The owning account, by name or number. Unset, the account that runs the task.
          - With O(files[].state=absent), who may own the folders on the way to a directory that is removed, besides root.
        type: str
      group:
        description: The owning group, by name or number. Unset, the owner's own group.
        type: str
      mode:
        description:
          - The permissions, as a quoted string of four octal digits.
          - Unset, V(0644) for a file, V(0600) for a generated or secret one, V(0755) for a directory.
        type: str
      recursive:
        description:
          - Lets O(files[].state=absent) remove a directory with all that is in it.
          - Refused for directories of the system, home directories and what other file systems are mounted on.
        type: bool
        default: false
      purge_foreign:
        description:
          - Lets O(files[].state=directory) remove, with a warning, what lies in the directory and belongs to another account than
            its owner and root, or can be written by others; what has an entry of its own gets what that says.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: Keep the settings of the runtime
  managed_files:
    files:
      - path: /etc/colab-ready
        state: directory
        owner: root
        group: root
        mode: "0755"
      - path: /etc/colab-ready/runtime.json
        json: true
        content:
          schema: 1
          port: 8888
        owner: root
        group: root
        mode: "0644"
      - path: /etc/colab-ready/token
        generate: 32
        owner: student
        mode: "0600"

- name: Keep nothing of the runtime's state
  managed_files:
    files:
      - path: /var/lib/colab-ready
        state: absent
        recursive: true
"""

RETURN = r"""
changed_paths:
  description: Every path that was changed, made or removed, in order; on failure those changed before it.
  returned: when the list itself is in order
  type: list
  elements: str
  sample: [/etc/colab-ready, /etc/colab-ready/token]
created_paths:
  description: Those of RV(changed_paths) where nothing was before.
  returned: when the list itself is in order
  type: list
  elements: str
  sample: [/etc/colab-ready/token]
diff:
  description: One entry for each changed path, with V(before) and V(after); no secret content.
  returned: success
  type: list
  elements: dict
  sample:
    - before_header: /etc/colab-ready/token
      after_header: /etc/colab-ready/token
      before: "state: absent\n"
      after: "state: file\nmode: 0600\nowner: student\ngroup: student\ncontent: hidden, new\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.core.problem import explain
from ansible.module_utils.colab_ready.files.desired import Change, Host, apply, parse_entries, plan


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "state": {"type": "str", "choices": ["file", "directory", "absent"], "default": "file"},
                    "content": {"type": "raw"},
                    "secret_content": {"type": "str", "no_log": True},
                    "generate": {"type": "int"},
                    "json": {"type": "bool", "default": False},
                    "owner": {"type": "str"},
                    "group": {"type": "str"},
                    "mode": {"type": "str"},
                    "recursive": {"type": "bool", "default": False},
                    "purge_foreign": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    entries, problems = parse_entries(module.params["files"])
    changes: list[Change] = []
    if not problems:
        changes, problems = plan(entries, Host.here(), module.check_mode)
    if problems:
        module.fail_json(msg="Nothing was changed. " + " ".join(problems))

    done: list[Change] = []
    for change in changes:
        try:
            if not module.check_mode:
                apply(change)
        except OSError as error:
            module.fail_json(
                msg=explain(error, change.path),
                changed=bool(done),
                changed_paths=[before.path for before in done],
                created_paths=[before.path for before in done if before.created],
            )
        if change.warning:
            module.warn(change.warning)
        done.append(change)
    module.exit_json(
        changed=bool(done),
        changed_paths=[change.path for change in done],
        created_paths=[change.path for change in done if change.created],
        diff=[change.diff() for change in done],
    )


if __name__ == "__main__":
    main()

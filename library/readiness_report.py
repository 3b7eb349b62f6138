#!/usr/bin/python
# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: readiness_report
short_description: Prove a Colab runtime and write down what was proven
version_added: "0.1.0"
description:
  - Runs the proofs of the modules C(tensor_add) and C(colab_handshake) side by side (each spends its time waiting for
    a process of its own; on a GPU one after the other, with the same device), compares the extension's state, looks
    for Jupyter configuration that others may write to or have put there, says whether a browser has come yet and, in
    WSL, what waits for C(wsl --shutdown), and writes the report.
  - With ROCm it asks C(rocminfo) before the sum, as the user of the kernels. What that says explains a sum that fails, and
    never makes a host not ready by itself.
  - What to prove is read from the settings that the runtime itself uses, not from variables, so that it is the
    runtime that is there which is proven.
  - A failed proof does not fail the module; C(ready) is false then.
options:
  gpu:
    description: What the module C(gpu_device) returned.
    type: dict
    default: {}
  runtime_config:
    description: The settings of the runtime.
    type: path
    default: /etc/colab-ready/runtime.json
  report:
    description: Where the report goes. It is readable by everybody (0644) and holds no secrets.
    type: path
    default: /var/lib/colab-ready/report.json
  timeout_seconds:
    description: How long one proof may take.
    type: float
    default: 120
attributes:
  check_mode:
    description: Can run in check mode and return the same without writing the report.
    support: full
  diff_mode:
    description: The report is a record, not a state; there is no difference to show.
    support: none
author:
  - the colab-ready authors (@colab-ready)
"""

EXAMPLES = r"""
- name: Prove the tensor sum and the way from Colab
  readiness_report:
    gpu: "{{ gpu_backend_detected }}"
  register: readiness_result
"""

RETURN = r"""
ready:
  description: Whether every proof succeeded.
  type: bool
  returned: always
  sample: true
report:
  description: What was written, see docs/report.md.
  type: dict
  returned: always
  sample: {schema: 2, ready: true, reasons: []}
report_path:
  description: Where it was written; null in check mode.
  type: str
  returned: always
  sample: /var/lib/colab-ready/report.json
summary:
  description: One row for a table of hosts.
  type: dict
  returned: always
  sample:
    {host: pc-07, ready: true, backend: cpu, gpu: none, tensor_sum: ok (cpu), handshake: ok, seconds: 3.1, reasons: [],
     address_hint: ./colab-ready url, hint: null}
message:
  description: READY, with a line for each thing that is left to do in Windows or the browser, or why not and what to do.
  type: str
  returned: always
  sample: READY
"""

import datetime
import errno
import json
import multiprocessing
import os
import pwd
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.colab_ready.backends.directml.limits import warnings_for
from ansible.module_utils.colab_ready.backends.rocm import check as rocm_check
from ansible.module_utils.colab_ready.backends.rocm.faults import State
from ansible.module_utils.colab_ready.core.problem import Problem
from ansible.module_utils.colab_ready.core.text import printable
from ansible.module_utils.colab_ready.files.guarded_paths import Attributes, open_directory, read, write_file
from ansible.module_utils.colab_ready.files.safe_open import parse_object, read_bytes
from ansible.module_utils.colab_ready.files.trust import distrust_way
from ansible.module_utils.colab_ready.jupyter.config_paths import SYSTEM_DATA_DIRS, User
from ansible.module_utils.colab_ready.jupyter.config_repair import Repair, Settings
from ansible.module_utils.colab_ready.process.boundary import BoundaryError, run_as
from ansible.module_utils.colab_ready.process.identity import account_named, current_account
from ansible.module_utils.colab_ready.process.run import DEFAULT_PATH, run
from ansible.module_utils.colab_ready.proof import torch_faults
from ansible.module_utils.colab_ready.proof.handshake import run_handshake
from ansible.module_utils.colab_ready.proof.next_start import judge_next_start
from ansible.module_utils.colab_ready.proof.report import (
    build_report,
    judge_browser,
    judge_config_dirs,
    judge_extension,
    judge_restart,
    judge_server_config,
    not_set_up,
    parse_browser_note,
    person_message,
    summarize,
    with_runtime,
)
from ansible.module_utils.colab_ready.proof.tensor import run_tensor
from ansible.module_utils.colab_ready.python.environment import damages
from ansible.module_utils.colab_ready.system.ports import PROGRAM, stale_units
from ansible.module_utils.colab_ready.wsl.conf import judge_wsl_host
from ansible.module_utils.colab_ready.wsl.repair import restart_codes_here
from ansible.module_utils.colab_ready.wsl.version import wsl_facts

EXTENSION = "colab_http_over_ws"
# A handshake starts a kernel at each of the two doors, and in WSL about one start of ROCm 10.0 in six fails (ROCm/librocdxg#33).
HANDSHAKE_RETRIES = 2
# Each check has limits of its own; this is for one whose file system does not answer.
CHECK_SECONDS = 900.0
STATUS_SECONDS = 30.0


def running_server(path: str) -> dict[str, Any]:
    """Return what colab-runtime says of the server; nothing where it does not say."""
    said = run([PROGRAM, "--settings", path, "status", "--json"], STATUS_SECONDS, env={"PATH": DEFAULT_PATH})
    return parse_object(said.stdout) or {}


def tensor_check(settings: dict[str, Any], timeout_seconds: float, rocm_state: State | None = None) -> dict[str, Any]:
    return run_tensor(
        settings["kernel"],
        "%s/bin/python" % kernel_environment(settings),
        adapter=settings.get("adapter") or None,
        card=settings.get("card"),
        wsl=wsl_facts() is not None,
        user=settings["user"],
        env=settings.get("environment") or {},
        timeout_seconds=timeout_seconds,
        rocm_state=rocm_state,
    )


def kernel_environment(settings: dict[str, Any]) -> str:
    return "%s/kernels/%s" % (settings["prefix"], settings["kernel"])


def rocm_look(settings: dict[str, Any], gpu: dict[str, Any], timeout_seconds: float) -> rocm_check.Looked:
    place = rocm_check.Place(kernel_environment(settings))
    return rocm_check.look(place, settings, gpu, wsl_facts() is not None, timeout_seconds)


def handshake_check(
    settings: dict[str, Any], timeout_seconds: float, tensor: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`tensor` is the tensor check's answer where the cell runs on a GPU. One that failed would only fail once more, or
    hang, in the kernel: then the cell runs on the CPU, for the doors' sake."""
    on_gpu = tensor is not None and tensor["ok"] is True
    device_type = settings["device_type"] if tensor is None or on_gpu else "cpu"
    device = tensor.get("index") if tensor is not None and on_gpu else None
    retries = HANDSHAKE_RETRIES if settings["kernel"] == "rocm" and wsl_facts() is not None else 0
    answer, _ = torch_faults.tried(lambda: ask_the_doors(settings, timeout_seconds, device_type, device), retries)
    if device_type != settings["device_type"]:
        answer["warnings"].append("its cell ran on the CPU, since the tensor sum fails on the GPU")
    return answer


def ask_the_doors(
    settings: dict[str, Any], timeout_seconds: float, device_type: str, device: int | None
) -> dict[str, Any]:
    params = {
        "url": "http://localhost:%d" % settings["port"],
        "token_file": settings["token_file"],
        "origin": "https://colab.research.google.com",
        "kernel_name": "python3",
        "http_over_ws": settings["http_over_ws"],
        "device_type": device_type,
        "device": device,
        # as long as the service manager takes to start a server again that was killed
        "wait_seconds": 8.0,
        "timeout_seconds": timeout_seconds,
    }
    backend = "" if device_type == "cpu" else settings["kernel"]
    return run_handshake(params, "%s/server/bin/python" % settings["prefix"], settings["user"], backend)


def believed_settings(path: str) -> tuple[dict[str, Any] | None, str]:
    """Return the settings, unless others could have written them or can change what they lead to; and why there are none."""
    ours = {0, os.geteuid()}
    try:
        settings = parse_object(read_bytes(path))
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, "%s cannot be read (%s)" % (path, "it is a folder" if os.path.isdir(path) else error.strerror)
    if settings is None or not isinstance(settings.get("prefix"), str):
        return None, "%s cannot be read (it is no JSON object with a prefix)" % path
    wrong = distrust_way(path, ours) or distrust_way(settings["prefix"], ours)
    if wrong:
        return None, "%s cannot be read (nothing there is believed or run: %s)" % (path, wrong)
    try:
        pwd.getpwnam(settings["user"])
    except KeyError:
        return None, "there is no user '%s', who ran the notebooks" % settings["user"]
    return settings, ""


def prove(settings: dict[str, Any], gpu: dict[str, Any], timeout_seconds: float) -> dict[str, dict[str, Any]]:
    """The proofs, and what can be looked at meanwhile."""

    def cell(tensor: dict[str, Any] | None = None) -> dict[str, Any]:
        return handshake_check(settings, timeout_seconds, tensor)

    checks: dict[str, Callable[[], Any]] = {
        "config_dirs": lambda: config_dirs_check(settings),
        "next_start": lambda: next_start_check(settings),
    }
    rocm = settings["kernel"] == "rocm"
    if rocm:
        # Before the sum, whose remedy hangs on it; and not beside it, since two that open the card at once disturb each other.
        checks["rocminfo"] = lambda: rocm_look(settings, gpu, timeout_seconds)
    else:
        checks["tensor_add"] = lambda: tensor_check(settings, timeout_seconds)
    if settings["device_type"] == "cpu":
        return side_by_side({**checks, "colab_handshake": cell})
    # One after the other: the cell takes the device that the tensor check has found, and a driver that fails is met once.
    found = side_by_side(checks)
    if rocm:
        # Behind the sum, whose remedies come first.
        known = found.pop("rocminfo")
        if not isinstance(known, rocm_check.Looked):
            known = rocm_check.Looked(rocm_check.not_asked(known["reasons"][0]), State(wsl=wsl_facts() is not None))
        found.update(side_by_side({"tensor_add": lambda: tensor_check(settings, timeout_seconds, known.state)}))
        found["rocminfo"] = rocm_check.settle(known, found["tensor_add"])
    return {**found, **side_by_side({"colab_handshake": lambda: cell(found["tensor_add"])})}


def config_dirs_check(settings: dict[str, Any]) -> dict[str, Any]:
    """Two checks in one, since both are quick: what every Jupyter of this host reads, and what the server reads."""
    account = pwd.getpwnam(settings["user"])
    home = os.path.realpath(account.pw_dir)
    known = Settings(users=[User(account.pw_name, account.pw_uid, account.pw_gid, home)])
    everybodys = Repair(known)
    everybodys.audit()
    everybodys.audit_data(SYSTEM_DATA_DIRS)
    prefix = settings["prefix"]
    ours = [settings["config_dir"], prefix + "/server/etc/jupyter", prefix + "/server/share/jupyter"]
    return {
        "config_dirs": judge_config_dirs(everybodys.findings),
        "server_config": judge_server_config(Repair(known).audit_trees([*ours, prefix + "/share/jupyter"])),
    }


def next_start_check(settings: dict[str, Any]) -> dict[str, Any]:
    """The server's environment is root's; that of the kernels is the user's, and is read with the user's rights."""
    places = {
        "%s/server" % settings["prefix"]: current_account(),
        kernel_environment(settings): account_named(settings["user"]),
    }
    damaged = {}
    for path, account in places.items():
        try:
            damaged[path] = list(map(printable, run_as(account, partial(damages, path), CHECK_SECONDS)))
        except BoundaryError as error:
            damaged[path] = [str(error)]
    stale = stale_units() if settings.get("service_manager") == "systemd" else []
    return judge_next_start(settings, damaged, stale)


def browser_check(settings: dict[str, Any], handshake_ok: bool) -> dict[str, Any]:
    """What the extension noted. The folder is the user's: what root finds there is a text, and no more."""
    note: dict[str, Any] | None = None
    problem = ""
    path = os.path.join(settings.get("run_dir") or "/run/colab-ready", "jupyter", "browser_seen.json")
    if not settings["http_over_ws"]:
        problem = "the extension that notes it is off (colab_http_over_ws)"
    else:
        try:
            with open_directory(os.path.dirname(path)) as folder:
                note = parse_browser_note(read(folder, os.path.basename(path)).decode("utf-8"))
        except FileNotFoundError:
            note = {}
        except (OSError, ValueError) as error:
            problem = "%s cannot be read (%s)" % (path, error)
    return judge_browser(note, problem, handshake_ok)


def side_by_side(checks: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run each check in a process of its own; one that dies is a failed check, not a failed module."""
    context = multiprocessing.get_context("fork")
    end = time.monotonic() + CHECK_SECONDS
    running = {}
    for name, check in checks.items():
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=lambda send, work: send.send(work()), args=(writer, check))
        process.start()
        writer.close()
        running[name] = (process, reader)
    results: dict[str, Any] = {}
    for name, (process, reader) in running.items():
        reason = "the check itself died; please report this"
        try:
            if reader.poll(max(0.0, end - time.monotonic())):
                results[name] = reader.recv()
            else:
                process.kill()
                reason = "no answer within %g s" % CHECK_SECONDS
        except EOFError:
            pass
        results.setdefault(name, {"ok": False, "seconds": 0.0, "steps": [], "reasons": [reason]})
        process.join()
    return results


def write_report(path: str, report: dict[str, Any]) -> None:
    """Replace the report in one step, so that a reader never sees half of one."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    text = json.dumps(report, indent=2, sort_keys=True) + "\n"
    write_file(path, text.encode(), Attributes(os.geteuid(), os.getegid(), 0o644))


def unwritten(path: str, error: OSError) -> Problem:
    """Why the report cannot be written, and what to do about that."""
    first = {
        errno.EISDIR: f"sudo mv -T {path} {path}.old",
        errno.ENOSPC: f"make room (df -h {os.path.dirname(path)})",
        errno.EROFS: f"sudo mount -o remount,rw $(findmnt -no TARGET -T {os.path.dirname(path)})",
    }.get(error.errno or 0, f"see what is wrong there (ls -ld {os.path.dirname(path)})")
    do = f"{first}, then ./colab-ready verify; or ./colab-ready -e readiness_report=/PLACE/report.json"
    return Problem(
        "report",
        "the report cannot be written to %s (%s)" % (path, error.strerror),
        "a place that can be written to",
        do,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gpu": {"type": "dict", "default": {}},
            "runtime_config": {"type": "path", "default": "/etc/colab-ready/runtime.json"},
            "report": {"type": "path", "default": "/var/lib/colab-ready/report.json"},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    started = time.monotonic()
    limits: list[str] = []
    gpu = given["gpu"]
    settings, problem = believed_settings(given["runtime_config"])
    if settings is None:
        path = given["runtime_config"]
        checks = not_set_up(problem, path if os.path.isdir(path) and os.listdir(path) else "")
    else:
        server = running_server(given["runtime_config"])
        # What is proven is the server that runs; it may have settings of before.
        waiting = server.get("restart_pending")
        served = {**settings, **({key: server[key] for key in ("port", "http_over_ws")} if waiting else {})}
        checks = {"restart": judge_restart(waiting), **prove(served, gpu, given["timeout_seconds"])}
        gpu = with_runtime(gpu, settings["kernel"], settings["device_type"], settings.get("card"))
        torch = (checks["tensor_add"].get("versions") or {}).get("torch")
        if settings["kernel"] == "directml" and torch:
            limits = warnings_for(torch)
        # One process does both; if it died, the one that counts has failed too.
        places = checks.pop("config_dirs")
        checks.update(places if "config_dirs" in places else {"server_config": places})
        if wsl_facts() is not None:
            checks["wsl_host"] = judge_wsl_host(restart_codes_here())
        checks["browser"] = browser_check(served, checks["colab_handshake"]["ok"] is True)
        checks["extension"] = judge_extension(settings["config_dir"], EXTENSION, settings["http_over_ws"])
    report = build_report(
        {"hostname": os.uname().nodename, "prefix": (settings or {}).get("prefix")},
        gpu,
        checks,
        datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        limits,
    )
    if not module.check_mode:
        try:
            write_report(given["report"], report)
        except OSError as error:
            # The verdict comes first: of a host that is fine this is all that is wrong.
            module.fail_json(msg="%s\n%s" % (person_message(report), unwritten(given["report"], error).sentence()))
    for warning in report["warnings"]:
        module.warn(warning)
    module.exit_json(
        changed=False,
        ready=report["ready"],
        report=report,
        report_path=None if module.check_mode else given["report"],
        summary=dict(summarize(report), seconds=round(time.monotonic() - started, 1)),
        message=person_message(report),
    )


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run made of each computer of a room: a record per computer, and what they come to together.

Pure functions. A record is written as JSON, and its shape is a contract (`schema` counts its changes): schema, name (the
inventory's), address, transport, state (see STATES), step (where it stopped), cause, do, seconds (until its end), at (ISO 8601,
UTC), user, backend, gpu, driver, torch, device (torch's), tensor_sum (bool or null), throughput (bytes per second, or null).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.text import listed

SCHEMA = 1
# What a person reads of each state, the best last.
STATES = {
    "not ready": "NOT READY",
    "stopped": "STOPPED",
    "lost": "lost",
    "off": "off",
    "done": "done",
    "planned": "can be set up",
    "ready": "READY",
}
# Those with which a run is well.
GOOD = ("ready", "planned", "done")

# What ssh prints where it gets no connection (OpenSSH 9), what that means, and what to do. The first that fits counts.
# {at} is the address.
UNREACHABLE: Sequence[tuple[str, str, str]] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed",
        "it shows another host key than last time, as a computer does that was set up anew, or that has another's address",
        "see that it is the one; then ssh-keygen -R {at}, and start again",
    ),
    (
        r"UNKNOWN port 65535",  # behind a ProxyCommand
        "the way to it through Windows' ssh server gives no connection: it is off, refuses the key, or its WSL does not start",
        "try it by hand: ssh {at} wsl.exe --list; docs/lab.md has what Windows needs",
    ),
    (
        r"Permission denied",
        "it answers, and takes neither the key nor the password",
        "try ssh {at} by hand; a key with a passphrase goes into an agent first: ssh-add",
    ),
    (r"Could not resolve hostname", "no computer of the network has the name {at}", "correct its address in the list"),
    (
        r"Connection refused",
        "it answers, and nothing there listens for ssh",
        "start an ssh server there: sudo apt-get install openssh-server (docs/lab.md has Windows')",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "no answer at {at}",
        "switch it on, or correct its address in the list; then start again",
    ),
    (
        r"closed by remote host|Connection reset|Broken pipe|not responding|Shared connection to \S+ closed|mux_client",
        "the connection broke off",
        "start again: it continues",
    ),
)
UNKNOWN = ("it cannot be reached: {said}", "try ssh {at} by hand")


def why_unreachable(said: str, address: str) -> tuple[str, str]:
    """Return why a computer cannot be reached, and what to do, by what ssh or Ansible said."""
    fitting = ((cause, do) for pattern, cause, do in UNREACHABLE if re.search(pattern, said, re.IGNORECASE))
    cause, do = next(fitting, UNKNOWN)
    told = said.replace("Failed to connect to the host via ssh:", "")
    known = {"at": address, "said": " ".join(told.split())[:200]}
    return cause.format(**known), do.format(**known)


def of_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a record that a host's report knows."""
    backend, checks = report.get("backend") or {}, report.get("checks") or {}
    adapters = report.get("adapters") or []
    chosen: Mapping[str, Any] = next((one for one in adapters if one.get("index") == backend.get("adapter")), {})
    tensor = checks.get("tensor_add") or {}
    remedies = [one for one in report.get("remedies") or [] if not str(one.get("id")).startswith("browser_")]
    ready = report.get("ready") is True
    first = {} if ready or not remedies else remedies[0]
    return {
        "state": "ready" if ready else "not ready",
        "cause": "" if ready else str(first.get("cause") or next(iter(report.get("reasons") or []), "")),
        "do": str(first.get("do") or ""),
        "backend": backend.get("name"),
        "gpu": chosen.get("name"),
        "driver": chosen.get("driver_version"),
        "torch": (report.get("versions") or {}).get("torch"),
        "device": tensor.get("device"),
        "tensor_sum": tensor.get("ok") if tensor else None,
        "throughput": (tensor.get("throughput") or {}).get("device_bytes_per_second"),
    }


def of_problems(text: str) -> tuple[str, str]:
    """Return cause and remedy of a message that has `Expected:` and `Do:`; of several problems the first."""
    found = re.search(r"(?ms)^(?:\d+\. )?(?P<what>[^\n]*?)\.? Expected:.*?Do: (?P<do>.*?)\.?$", text)
    if found:
        return found["what"], found["do"].split("\n")[0].rstrip(".")
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    return first, ""


def ordered(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records, the worst first, those of one state by name."""
    order = list(STATES)
    return sorted(records, key=lambda one: (order.index(one["state"]), natural(one["name"])))


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key by which pc-2 comes before pc-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def counts(records: Iterable[Mapping[str, Any]]) -> str:
    """Return how many are in which state, the best first: `9 READY, 2 off, 1 STOPPED`."""
    states = [one["state"] for one in records]
    return ", ".join(f"{states.count(one)} {STATES[one]}" for one in reversed(STATES) if one in states)


def causes(records: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Return what is to be done, with the names of those that it is for: what most need comes first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in ordered(records):
        if one["state"] not in GOOD:
            # What is said of several has the address of none.
            cause, do = (str(one[key]).replace(str(one["address"]), "ADDRESS") for key in ("cause", "do"))
            found.setdefault((cause, do), []).append(one)
    return [
        (*(said if several[1:] else (several[0]["cause"], several[0]["do"])), [str(one["name"]) for one in several])
        for said, several in sorted(found.items(), key=lambda item: -len(item[1]))
    ]


def limit(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the value of --limit that means those with which a run is not well."""
    return ",".join(str(one["name"]) for one in ordered(records) if one["state"] not in GOOD)


def sentence(cause: str, do: str, names: Sequence[str]) -> str:
    """Return one line for a cause: how many computers, which, why, and what to do."""
    many = f"{len(names)} computers ({listed(names[:6]) + (' and others' if len(names) > 6 else '')})"
    who = many if len(names) > 1 else names[0]
    return f"{who}: {cause.rstrip('.')}." + (f" Do: {do}" if do else "")

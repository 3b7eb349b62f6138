# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a host: what was found, what was proven, and the one word that follows from it.

Pure functions: facts and proofs go in, a report comes out. The shape is a contract (``schema`` counts its changes):

schema, generated_at (ISO 8601, UTC), host, ready (bool), reasons [str], wsl {..} or null, backend {..},
adapters [..] or null, checks {name: {ok, seconds, steps, reasons, ..}}, versions {name: version}, warnings [str],
remedies [{id, cause, do, where: wsl|windows|browser}]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SCHEMA = 1

# What a host must show before it may be called ready. A check that is missing counts as failed: ready is no default.
REQUIRED_CHECKS = ("tensor_add", "colab_handshake", "extension")

# Results of modules carry these beside their answer; the report holds the answer alone.
_NOT_PART_OF_AN_ANSWER = frozenset(("changed", "failed", "invocation", "diff", "warnings", "remedies", "ansible_facts"))


def build_report(
    host: Mapping[str, Any],
    gpu: Mapping[str, Any],
    checks: Mapping[str, Mapping[str, Any]],
    generated_at: str,
    warnings: Sequence[str] = (),
    remedies: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Put facts and proofs together; ``ready`` only if every required check is there and ok."""
    reasons: list[str] = []
    for name in REQUIRED_CHECKS:
        check = checks.get(name)
        if check is None:
            reasons.append("%s: not run" % name)
        elif check.get("ok") is not True:
            reasons.extend("%s: %s" % (name, reason) for reason in check.get("reasons") or ["failed without a reason"])

    versions: dict[str, str] = {}
    said: list[str] = list(gpu.get("warnings") or []) + list(warnings)
    advice: list[Mapping[str, Any]] = list(remedies)
    for name, check in checks.items():
        versions.update({key: value for key, value in (check.get("versions") or {}).items() if value})
        said.extend("%s: %s" % (name, warning) for warning in check.get("warnings") or [])
        advice.extend(check.get("remedies") or [])

    return {
        "schema": SCHEMA,
        "generated_at": generated_at,
        "host": host.get("hostname"),
        "ready": not reasons,
        "reasons": reasons,
        "wsl": gpu.get("wsl"),
        "backend": gpu.get("backend"),
        "adapters": gpu.get("adapters"),
        "null_reasons": gpu.get("null_reasons") or {},
        "checks": {
            name: {key: value for key, value in check.items() if key not in _NOT_PART_OF_AN_ANSWER}
            for name, check in checks.items()
        },
        "versions": versions,
        "warnings": _once(said),
        "remedies": _once_by_id(advice),
    }


def summarize(report: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the table that ends a run: every value is short text, a bool or a number."""
    backend = report.get("backend") or {}
    checks = report.get("checks") or {}
    return {
        "host": report.get("host"),
        "ready": report.get("ready") is True,
        "backend": backend.get("name"),
        "gpu": _gpu_text(report.get("adapters")),
        "tensor_sum": _check_text(checks.get("tensor_add"), "device"),
        "handshake": _check_text(checks.get("colab_handshake")),
        "seconds": round(max([float(check.get("seconds") or 0.0) for check in checks.values()] or [0.0]), 1),
        "reasons": list(report.get("reasons") or []),
        "address_hint": "./colab-ready url",
    }


def person_message(report: Mapping[str, Any]) -> str:
    """READY; or every reason, and under them what to do and where."""
    if report.get("ready") is True:
        return "READY"
    lines = ["NOT READY"]
    lines.extend("- %s" % reason for reason in report.get("reasons") or [])
    for remedy in report.get("remedies") or []:
        lines.append("  do (%s): %s" % (remedy.get("where"), remedy.get("do")))
    return "\n".join(lines)


def not_set_up(path: str, problem: str) -> dict[str, dict[str, Any]]:
    """The checks of a host that has no settings to prove anything by."""
    return {
        name: {
            "ok": False,
            "seconds": 0.0,
            "steps": [],
            "reasons": ["this host is not set up: %s cannot be read (%s)" % (path, problem)],
            "remedies": [
                {
                    "id": "not_set_up",
                    "cause": "There is no runtime on this host.",
                    "do": "Run ./colab-ready.",
                    "where": "wsl",
                }
            ],
        }
        for name in REQUIRED_CHECKS
    }


def judge_config_dirs(findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Places where somebody else could plant Jupyter configuration; the managed server does not read them.

    So this is no reason not to be ready, but a warning, with what to do.
    """
    reasons = [
        "%s (%s): %s" % (finding["path"], finding["mode"] or "unknown mode", finding["why"]) for finding in findings
    ]
    advice = [str(finding["do"]) or "run ./colab-ready, which tightens it" for finding in findings]
    return {
        "ok": not findings,
        "seconds": 0.0,
        "steps": [
            {"id": "config_dirs", "ok": not findings, "seconds": 0.0, "detail": "; ".join(reasons) or "all safe"}
        ],
        "reasons": reasons,
        "warnings": ["%s. Do: %s" % pair for pair in zip(reasons, advice)],
        "remedies": []
        if not findings
        else [
            {
                "id": "config_dir_open",
                "cause": "Who can write into a Jupyter configuration directory runs code as everybody who starts Jupyter.",
                "do": "; ".join(dict.fromkeys(advice)),
                "where": "wsl",
            }
        ],
    }


def judge_extension(config_dir: str, name: str, wanted: bool) -> dict[str, Any]:
    """Whether the server's configuration enables the extension just as the settings want it.

    A running server does not show this: it keeps what it loaded at its start.
    """
    path = "%s/jupyter_server_config.d/%s.json" % (config_dir, name)
    problem = ""
    enabled = False
    try:
        with open(path, encoding="utf-8") as stream:
            enabled = json.load(stream)["ServerApp"]["jpserver_extensions"][name] is True
    except FileNotFoundError:
        problem = "%s is missing" % path
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = "%s is no configuration that enables anything (%s)" % (path, error)
    ok = enabled == wanted and (not problem or not wanted)
    reasons = [] if ok else ["extension_enabled: " + (problem or "%s says %s, expected %s" % (path, enabled, wanted))]
    return {
        "ok": ok,
        "seconds": 0.0,
        "steps": [
            {
                "id": "extension_enabled",
                "ok": ok,
                "seconds": 0.0,
                "detail": problem or ("enabled" if enabled else "disabled"),
            }
        ],
        "reasons": reasons,
        "remedies": []
        if ok
        else [
            {
                "id": "extension_disabled",
                "cause": "The server will start without /http_over_websocket next time.",
                "do": "Run ./colab-ready; it writes the file again.",
                "where": "wsl",
            }
        ],
    }


def _gpu_text(adapters: Sequence[Mapping[str, Any]] | None) -> str:
    if adapters is None:
        return "unknown"
    names = [
        str(adapter.get("name") or "%s:%s" % (adapter.get("vendor_id"), adapter.get("device_id")))
        for adapter in adapters
        if not adapter.get("software")
    ]
    return ", ".join(names) or "none"


def _check_text(check: Mapping[str, Any] | None, detail: str = "") -> str:
    if check is None:
        return "not run"
    if check.get("ok") is not True:
        return "failed"
    return "ok (%s)" % check[detail] if detail and check.get(detail) else "ok"


def _once(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _once_by_id(remedies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    seen: dict[str, dict[str, Any]] = {}
    for remedy in remedies:
        seen.setdefault(str(remedy.get("id")), dict(remedy))
    return list(seen.values())

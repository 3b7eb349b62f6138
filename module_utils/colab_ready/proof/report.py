# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a host: what was found, what was proven, and the one word that follows from it.

Pure functions: facts and proofs go in, a report comes out. The shape is a contract (``schema`` counts its changes):

schema, generated_at (ISO 8601, UTC), host, ready (bool), reasons [str], wsl {..} or null, backend {..},
adapters [..] or null, checks {name: {ok, seconds, steps, reasons, ..}}, versions {name: version}, warnings [str],
remedies [{id, cause, do, where: linux|windows|bios|browser}]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.remedy import PREFIX, Remedy, check_of
from ..files import safe_open
from ..gpu.kind import why_no_gpu

SCHEMA = 2

# What a host must show before it may be called ready. A check that is missing counts as failed: ready is no default.
REQUIRED_CHECKS = ("tensor_add", "colab_handshake", "extension", "server_config", "next_start")
NOT_SET_UP = "this host is not set up"
# A directory that everybody may write to can hold any number of files.
FINDINGS_MAX = 20

# Chrome 142 asked for one permission for all of the local network; 145 split it, and calls this part of it "Apps on
# device" (chromestatus 5152728072060928, 5197681148428288).
REMEDIES = {
    "browser_permission": Remedy(
        "No browser has reached the server since it started. If Colab does not connect, Chrome (142 and later) keeps "
        "the page from reaching this device, and sends nothing",
        'in Chrome, on Colab\'s page: the icon left of the address, Site settings, allow "Apps on device" (older: '
        '"Local network access"), reload the page, connect again. More: docs/connect.md#browser',
        "browser",
    ),
    "browser_token": Remedy(
        "The last request of a browser came without the token of today, as from an old address",
        "in Colab: Connect to a local runtime, and paste the address that ./colab-ready url prints now. More: "
        "docs/connect.md#browser",
        "browser",
    ),
    "not_set_up": Remedy("There is no runtime on this host.", "%s"),
    "restart_pending": Remedy(
        "The server and its notebooks run as they were started, and a restart, which takes their variables, waits: %s.",
        "./colab-ready once no notebook is in use; or at once, whatever runs: ./colab-ready --restart",
    ),
    "config_planted": Remedy(
        "Somebody else may have put there what Jupyter runs: %s. Every Jupyter on this host reads it but the server of Colab.",
        "look at each (nothing was run or removed): remove what nobody here wants, and give the rest to its rightful owner. %s",
    ),
    "config_dir_open": Remedy(
        "Who can write into a Jupyter configuration directory runs code as everybody who starts Jupyter.", "%s"
    ),
    "server_config_open": Remedy(
        "Others can change what the server reads, or have done so.",
        "see what somebody put there (ls -la %s) and remove it; then sudo chown -R root: and sudo chmod -R go-w the same, "
        "sudo colab-runtime restart, ./colab-ready verify",
    ),
    "extension_disabled": Remedy(
        "The server will start without /http_over_websocket next time.", "Run ./colab-ready; it writes the file again."
    ),
}

# What is left to do on a host that is ready, a line each; the remedy of the same id says more.
HINTS = {
    "browser_permission": "no browser has come yet; if Colab does not connect: docs/connect.md#browser",
    "browser_token": "the last browser that came had an old address: paste the new one",
    "restart_pending": "restart pending (colab-runtime status says why): ./colab-ready, once no notebook is in use; at once: "
    "./colab-ready --restart",
    # Of the check wsl_host (wsl/conf.py).
    "wsl_shutdown": "a setting of WSL takes effect when WSL starts next; close what runs in WSL, then in Windows' "
    "PowerShell: wsl --shutdown",
    "wsl_update": "systemd is switched on and WSL does not start it; close what runs in WSL, then in Windows' PowerShell: "
    "wsl --update; wsl --shutdown",
}

# Results of modules carry these beside their answer; the report holds the answer alone.
_NOT_PART_OF_AN_ANSWER = frozenset(("changed", "failed", "invocation", "diff", "warnings", "remedies", "ansible_facts"))


def build_report(
    host: Mapping[str, Any],
    gpu: Mapping[str, Any],
    checks: Mapping[str, Mapping[str, Any]],
    generated_at: str,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the report of a host (`hostname`, `prefix`): ready only if every required check is there and ok."""
    failed: dict[str, list[str]] = {}
    for name in REQUIRED_CHECKS:
        check = checks.get(name)
        if check is None:
            failed.setdefault("not run", []).append(name)
        elif check.get("ok") is not True:
            for reason in dict.fromkeys(check.get("reasons") or ["failed without a reason"]):
                failed.setdefault(reason, []).append(name)
    # What is true of the host, and not of a check, needs no check's name.
    reasons = [
        reason if reason.startswith(NOT_SET_UP) else "%s: %s" % (", ".join(names), reason)
        for reason, names in failed.items()
    ]

    versions: dict[str, str] = {}
    said: list[str] = list(gpu.get("warnings") or []) + list(warnings)
    advice: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        versions.update({key: value for key, value in (check.get("versions") or {}).items() if value})
        said.extend("%s: %s" % (name, warning) for warning in check.get("warnings") or [])
        for remedy in check.get("remedies") or []:
            do = str(remedy.get("do")).replace(PREFIX, host.get("prefix") or PREFIX)
            advice.setdefault(str(remedy.get("id")), {**remedy, "do": do})

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
        "warnings": list(dict.fromkeys(said)),
        "remedies": list(advice.values()),
    }


def with_runtime(
    gpu: Mapping[str, Any], kernel: str, device_type: str, card: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """What gpu_device said, with the backend that the runtime has. `verify` decides without the options that the run had, so
    its decision may be another one; what is proven is what is there."""
    decision = gpu.get("backend") or {}
    if decision.get("name") in (None, kernel):
        return gpu
    unknown: dict[str, Any] = {key: [] if isinstance(value, list) else None for key, value in decision.items()}
    why = "; ".join(decision.get("reasons") or []) or "no reason was given"
    would = "without colab_backend ./colab-ready would take %s now: %s" % (decision["name"], why)
    known = {
        "name": kernel,
        "device_type": device_type,
        "chosen_by": "runtime",
        "card": card,
        "recommended": decision.get("recommended"),
        "reasons": ["this host was set up with %s; %s" % (kernel, would)],
    }
    return {**gpu, "backend": {**unknown, **known}}


def summarize(report: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the table that ends a run: every value is short text, a bool or a number."""
    backend = report.get("backend") or {}
    checks = report.get("checks") or {}
    return {
        "host": report.get("host"),
        "ready": report.get("ready") is True,
        "backend": backend.get("name"),
        "why": "; ".join(backend.get("reasons") or []),
        "gpu": _gpu_text(report.get("adapters")),
        "tensor_sum": _check_text(checks.get("tensor_add"), "device"),
        "handshake": _check_text(checks.get("colab_handshake")),
        "seconds": round(max([float(check.get("seconds") or 0.0) for check in checks.values()] or [0.0]), 1),
        "reasons": list(report.get("reasons") or []),
        "address_hint": "./colab-ready url",
        "hint": hints(report),
    }


def hints(report: Mapping[str, Any]) -> str | None:
    """The lines below READY: what is left to do or to see outside of this host, in Windows or in the browser."""
    if report.get("ready") is not True:
        return None
    known = [str(remedy.get("id")) for remedy in report.get("remedies") or []]
    return "\n".join(HINTS[one] for one in known if one in HINTS) or None


def person_message(report: Mapping[str, Any]) -> str:
    """READY; or every reason, and under them what to do and where."""
    if report.get("ready") is True:
        return "\n".join(filter(None, ["READY", hints(report)]))
    lines = ["NOT READY"]
    lines.extend("- %s" % reason for reason in report.get("reasons") or [])
    for remedy in report.get("remedies") or []:
        if str(remedy.get("id")).startswith("browser_"):
            continue  # what a page in a browser makes of it comes after READY
        lines.append("  do (%s): %s" % (remedy.get("where"), remedy.get("do")))
    return "\n".join(lines)


def not_set_up(problem: str, in_the_way: str = "") -> dict[str, dict[str, Any]]:
    """The checks of a host that has nothing to prove anything by; why, and which folder is in the place of its settings."""
    reason = ": ".join(filter(None, [NOT_SET_UP, problem]))
    do = "sudo mv -T %s %s.old, then ./colab-ready" % (in_the_way, in_the_way) if in_the_way else "run ./colab-ready"
    check = {"ok": False, "seconds": 0.0, "steps": [], "reasons": [reason], "remedies": [_remedy("not_set_up", do=do)]}
    return dict.fromkeys(REQUIRED_CHECKS, check)


def _remedy(name: str, cause: str = "", do: str = "") -> dict[str, str]:
    """A remedy as it is told, with what was found in its cause and in what to do."""
    remedy = REMEDIES[name]
    return Remedy(remedy.cause.replace("%s", cause), remedy.do.replace("%s", do), remedy.where).told(name)


def judge_restart(waiting: Sequence[str] | None) -> dict[str, Any]:
    """Whether something waits for a restart of the server; no reason not to be ready, since what is proven is what runs."""
    why = "; ".join(map(str, waiting or ()))
    remedies = [_remedy("restart_pending", why)] if waiting else []
    detail = f"restart pending: {why}" if waiting else "not known" if waiting is None else "nothing waits for a restart"
    return check_of("restart", None if waiting is None else not waiting, detail, [], remedies)


def judge_config_dirs(findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where somebody else could plant Jupyter configuration, kernels or extensions, and what lies there already.

    The managed server does not read them (docs/service.md), so this is no reason not to be ready, but a warning, with
    what to do.
    """
    planted = [finding for finding in findings if finding.get("planted")]
    opened = [finding for finding in findings if not finding.get("planted")]
    findings = [*planted, *opened]
    reasons = _few(map(_finding_text, findings))
    remedies = []
    if planted:
        remedies.append(_remedy("config_planted", "; ".join(_few(map(_planted_text, planted))), _advice_on(planted)))
    if opened:
        remedies.append(_remedy("config_dir_open", do=_advice_on(opened)))
    return check_of(
        "config_dirs",
        not findings,
        "%s (what a user's own JUPYTER_CONFIG_PATH or JUPYTER_PATH adds cannot be known)"
        % ("; ".join(reasons) or "all safe"),
        reasons,
        remedies,
        warnings=_few("%s. Do: %s" % (_finding_text(finding), _advice(finding)) for finding in findings),
    )


def judge_server_config(findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether only root could have written what the managed server reads: its configuration, its kernels, its pages.

    This one is a reason: who can write there runs code as the runtime's user, or opens the server.
    """
    reasons = _few(map(_finding_text, findings))
    remedy = _remedy("server_config_open", do=" ".join(_few(str(finding["path"]) for finding in findings)))
    detail = "; ".join(reasons) or "root's alone"
    return check_of("server_config", not findings, detail, reasons, [remedy] if findings else [])


def _finding_text(finding: Mapping[str, Any]) -> str:
    effects = "; it %s" % finding["planted"] if finding.get("planted") else ""
    return "%s (%s): %s%s" % (finding["path"], finding["mode"] or "unknown mode", finding["why"], effects)


def _planted_text(finding: Mapping[str, Any]) -> str:
    return "%s (of %s) %s" % (finding["path"], finding["owner"], finding["planted"])


def _advice(finding: Mapping[str, Any]) -> str:
    return str(finding["do"]) or "run ./colab-ready, which tightens it"


def _advice_on(findings: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(_few(dict.fromkeys(map(_advice, findings))))


def _few(found: Iterable[str]) -> list[str]:
    texts = list(found)
    more = ["%d more like these" % (len(texts) - FINDINGS_MAX)] if len(texts) > FINDINGS_MAX else []
    return [*texts[:FINDINGS_MAX], *more]


def judge_browser(note: Mapping[str, Any] | None, problem: str, handshake_ok: bool) -> dict[str, Any]:
    """Whether Colab's page has reached the server since it started, from what the server's extension noted.

    `note` is empty where nobody came and None where that cannot be known, for the reason in `problem`. A browser that
    is not allowed to reach this device sends nothing: that nobody came is all there is to see of it on this side. It
    never makes a host not ready, since the page is opened after that.
    """
    known: dict[str, Any] = {
        key: (note or {}).get(key) for key in ("origin", "first_at", "last_at", "last_status", "requests")
    }
    ok, reasons, remedies, last_request = None, [], [], None
    if note is None:
        detail = "not known: %s" % problem
    elif not note:
        detail = "no browser has asked this server for anything since it started"
        remedies = [_remedy("browser_permission")] if handshake_ok else []
    else:
        # Behind the second folder stand names of notebooks, and this report is for everybody.
        method, _, path = str(note["last_request"]).partition(" ")
        short = "/".join(path.split("/")[:3])
        last_request = "%s %s" % (method, short if short == path else short + "/...")
        detail = "last at %s: %s, answered %d" % (note["last_at"], last_request, note["last_status"])
        ok = note["last_status"] not in (401, 403)
        if not ok:
            reasons = ["browser: the last request of a browser was refused (%d)" % note["last_status"]]
            remedies = [_remedy("browser_token")]
    return check_of("browser", ok, detail, reasons, remedies, **known, last_request=last_request)


def parse_browser_note(text: str) -> dict[str, Any]:
    """What the extension wrote (browser_seen.json), checked; ValueError where it is something else."""
    data = safe_open.parse_object(text) or {}
    texts = {key: data.get(key) for key in ("origin", "first_at", "last_at", "last_request")}
    numbers = {key: data.get(key) for key in ("last_status", "requests")}
    if data.get("schema") != 1:
        raise ValueError("schema is not 1")
    if not all(isinstance(value, str) and value.isprintable() and len(value) <= 300 for value in texts.values()):
        raise ValueError("it is not what the extension writes")
    if not all(isinstance(value, int) and not isinstance(value, bool) for value in numbers.values()):
        raise ValueError("it is not what the extension writes")
    return {**texts, **numbers}


def judge_extension(config_dir: str, name: str, wanted: bool) -> dict[str, Any]:
    """Whether the server's configuration enables the extension just as the settings want it.

    A running server does not show this: it keeps what it loaded at its start.
    """
    path = "%s/jupyter_server_config.d/%s.json" % (config_dir, name)
    problem = ""
    enabled = False
    try:
        data = safe_open.parse_object(safe_open.read_bytes(path)) or {}
        enabled = data["ServerApp"]["jpserver_extensions"][name] is True
    except FileNotFoundError:
        problem = "%s is missing" % path
    except (OSError, KeyError, TypeError) as error:
        problem = "%s is no configuration that enables anything (%s)" % (path, error)
    ok = enabled == wanted and (not problem or not wanted)
    reason = "extension_enabled: " + (problem or "%s says %s, expected %s" % (path, enabled, wanted))
    detail = problem or ("enabled" if enabled else "disabled")
    remedies = [_remedy("extension_disabled")]
    return check_of("extension_enabled", ok, detail, [] if ok else [reason], [] if ok else remedies)


def _gpu_text(adapters: Sequence[Mapping[str, Any]] | None) -> str:
    if adapters is None:
        return "unknown"
    names = [
        str(adapter.get("name") or "%s:%s" % (adapter.get("vendor_id"), adapter.get("device_id")))
        for adapter in adapters
        if why_no_gpu(adapter) is None
    ]
    return ", ".join(names) or "none"


def _check_text(check: Mapping[str, Any] | None, detail: str = "") -> str:
    if check is None:
        return "not run"
    if check.get("ok") is not True:
        return "failed"
    return "ok (%s)" % check[detail] if detail and check.get(detail) else "ok"

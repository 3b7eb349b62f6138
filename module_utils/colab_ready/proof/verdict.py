# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that end a run: a row for each host that was proven, whether all are READY, and what is left to do.

Pure functions: what the module readiness_report returned goes in, lines come out. None decides that a host is READY.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.text import duration

# A line is a list of (text, style); where Ansible writes without colours, the texts alone are taken.
Line = list[tuple[str, str]]
# As ECMA-48 numbers them (SGR).
STYLES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "bold green": "1;32", "bold red": "1;31"}

# The titles of the table; the summary's keys are these in small letters, with underscores.
COLUMNS = ("host", "backend", "GPU", "tensor sum", "handshake", "seconds")
PLACES = {"windows": "in Windows", "browser": "in the browser", "linux": "in Linux", "bios": "in the BIOS"}
TITLES = {"none": "done", "ready": "READY", "not ready": "NOT READY", "stopped": "STOPPED"}

# What moves the cursor, changes colours, titles or the order of letters; the text that carries it may be another user's.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
DEPTH_MAX = 50


class Summary(NamedTuple):
    """What the report says of one host, what to do about it, and where the report lies."""

    row: Mapping[str, Any]
    remedies: list[Mapping[str, Any]]
    path: str | None = None

    @property
    def ready(self) -> bool:
        return self.row.get("ready") is True


def harmless(value: Any, depth: int = 0) -> Any:
    """Return a result without control characters in its texts; lines stay lines."""
    if isinstance(value, str):
        return CONTROL.sub(" ", value)
    if depth > DEPTH_MAX:
        return None
    if isinstance(value, Mapping):
        return {harmless(key): harmless(one, depth + 1) for key, one in value.items()}
    return [harmless(one, depth + 1) for one in value] if isinstance(value, (list, tuple)) else value


def rendered(parts: Iterable[tuple[str, str]], colours: bool) -> str:
    """Return a line as one line for the terminal."""
    clean = [(harmless(text).replace("\n", " "), style) for text, style in parts]
    plain = "".join(text for text, _style in clean).rstrip()
    return "".join(styled(text, style) for text, style in clean) if plain and colours else plain


def styled(text: str, style: str) -> str:
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style else text


def cell(value: Any) -> str:
    """One value of the table: never None, True or a float with 15 digits."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "ok" if value else "failed"
    if isinstance(value, float):
        return f"{value:.1f}"
    return " ".join(str(value).split())


def table(summaries: Mapping[str, Summary]) -> list[Line]:
    """The table that ends a run, its heading first; hosts have the inventory's names."""
    keys = [title.lower().replace(" ", "_") for title in COLUMNS]
    rows = [{**summary.row, "host": host} for host, summary in sorted(summaries.items())]
    texts = aligned([list(COLUMNS), *([cell(row.get(key)) for key in keys] for row in rows)])
    return [[(text, "" if number else "bold")] for number, text in enumerate(texts)]


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows as aligned text, two blanks between the columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def remedy_text(remedy: Mapping[str, Any]) -> str:
    """One thing to do: cause, remedy, place."""
    place = PLACES.get(str(remedy.get("where")), "")
    cause, do = str(remedy.get("cause") or ""), str(remedy.get("do") or "")
    between = ". " if do[:1].isupper() else ": "
    text = between.join(part.rstrip(" .") for part in (cause, do) if part)
    return f"{text} ({place})" if place else text


def to_do(remedies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What leads to READY: what a page in a browser makes of it comes after that (the check `browser` of the report)."""
    return [remedy for remedy in remedies if not str(remedy.get("id")).startswith("browser_")]


def left_to_do(remedies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What waits, whether the host is ready or not: for a restart of WSL or of the server (the checks wsl_host, restart)."""
    return [one for one in remedies if str(one.get("id")).startswith("wsl_") or one.get("id") == "restart_pending"]


def verdict(summaries: Mapping[str, Summary], stopped: Iterable[str], check: bool) -> str:
    """Return one word for a run: what its reports say, unless a task failed beside them.

    A host without a report, which did not fail either, was in another play, and does not count.
    """
    if not all(summary.ready for summary in summaries.values()):
        return "not ready"
    if [*stopped]:
        return "stopped"
    return "check" if check else "ready" if summaries else "none"


def verdict_lines(
    word: str,
    summaries: Mapping[str, Summary],
    stopped_at: Mapping[str, str],
    changed: int,
    seconds: float,
    unproven: Mapping[str, Sequence[Mapping[str, Any]]] = {},
    works: Mapping[str, str] = {},
) -> list[Line]:
    """What stands below the table.

    `unproven` is what is to do on hosts of which no report speaks, `works` what is to be fetched and built on hosts.
    """
    if word == "check":
        would: Line = [("check mode", "bold"), (f"  {changed} would change; nothing was changed, nothing proven", "")]
        return [
            would,
            *([(f"  {host}: {work}" if len(works) > 1 else f"  {work}", "")] for host, work in works.items()),
        ]
    title = (TITLES[word], "bold green" if word in ("none", "ready") else "bold red")
    lines: list[Line] = [[title, (f"  {changed} changed, {duration(seconds)}", "")]]
    hosts = sorted({*summaries, *stopped_at, *unproven})
    for host in hosts:
        prefix = f"  {host}: " if len(hosts) > 1 else "  "
        summary = summaries.get(host)
        if summary is not None and not summary.ready:
            said, remedies = summary.row.get("reasons") or [], to_do(summary.remedies)
        elif summary is not None and word == "ready" and len(hosts) == 1:
            why = [f"{summary.row.get('backend')}, since: {summary.row['why']}"] if summary.row.get("why") else []
            prefix, said, remedies = "", why + str(summary.row.get("hint") or "").splitlines(), []
        else:  # that no browser has come is true of every host of a lab, and no news
            said = [f"stopped at: {stopped_at[host]}"] if host in stopped_at else []
            remedies = left_to_do(summary.remedies) if summary else list(unproven.get(host, ()))
        lines += [[(f"{prefix}{one}", "")] for one in said]
        lines += [[(f"{prefix}to do: ", "bold"), (remedy_text(one), "")] for one in remedies]
    if word == "ready":
        hints = dict.fromkeys(str(s.row["address_hint"]) for s in summaries.values() if s.row.get("address_hint"))
        lines += [[("address: ", ""), (hint, "bold")] for hint in hints]
    return lines


def summary_of(action: str, result: Mapping[str, Any]) -> Summary | None:
    """The summary that the readiness_report module returns, if this result is one."""
    row = result.get("summary")
    if action.rpartition(".")[2] != "readiness_report" or not isinstance(row, Mapping):
        return None
    report = result.get("report")
    remedies = (report.get("remedies") if isinstance(report, Mapping) else None) or []
    return Summary(row, [one for one in remedies if isinstance(one, Mapping)], result.get("report_path"))


def unproven_of(action: str, result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What waits for Windows by the module wsl_host, for runs that end without a report, as a removal does."""
    remedies = result.get("remedies")
    if action.rpartition(".")[2] != "wsl_host" or not isinstance(remedies, list):
        return []
    return left_to_do(remedy for remedy in remedies if isinstance(remedy, Mapping))


def work_of(action: str, result: Mapping[str, Any]) -> str:
    """What is to be fetched and built, by the module gpu_device; nothing where that is there."""
    backend = result.get("backend")
    work = backend.get("work") if isinstance(backend, Mapping) else None
    return str(work["text"]) if action.rpartition(".")[2] == "gpu_device" and isinstance(work, Mapping) else ""


def settings_lines(result: Mapping[str, Any], ready: bool, host: str = "") -> list[Line]:
    """What holds beyond the defaults, by the module host_settings; of a run that was stopped what was remembered before it."""
    recalled = result.get("recalled") or {}
    held = [one for one in result.get("beyond_defaults") or [] if ready or one.partition("=")[0] in recalled]
    where = f" of {host}" if host else ""
    return [[(f"settings{where}: {', '.join(held)} (./colab-ready settings)", "")]] if held else []

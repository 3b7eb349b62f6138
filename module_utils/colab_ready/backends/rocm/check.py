# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rocminfo beside the tensor sum: what ROCm sees before torch is asked, and what else is known of a host with ROCm.

The sum has the last word on whether a host is ready. rocminfo tells why it is not: whether ROCm itself has the card. So it runs
first, as the user of the kernels and with their environment, and what it tells goes with the sum (faults.State).
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...apt.output import LIST_FORMAT, installed_packages
from ...core.remedy import check_of
from ...core.text import listed, readable_lines
from ...files.safe_open import read_object, read_text
from ...gpu import catalog
from ...gpu.adapter import plain
from ...gpu.kind import is_integrated, why_no_gpu
from ...gpu.readers import rocminfo
from ...gpu.readers.rocminfo import DONE, Agent, Rocminfo
from ...process.program import Answer, NotAnswered, ask
from ...process.run import run_program
from ...system import ldconfig
from ...system.os_release import os_facts
from ...wsl.facts import memory_bytes
from ..torch_devices import Device, Wanted, choose, shown
from . import dids
from . import releases as rocm_releases
from .faults import REMEDIES, Evidence, State, notes_for, remedy_for, worth_a_retry
from .judge import TORCH_DEVICES
from .plan import SHADOWS

# It can hang (ROCm/rocm-systems#1153); where all is well it takes less than a second.
SECONDS = 30.0
# Seen to hang after its last line (ROCm/librocdxg#17).
EXIT_SECONDS = 2.0
QUESTION_SECONDS = 10.0
AGENTS_MAX = 64
QUOTED_LINES = 3
# Says nothing of a failure, wherever it stands.
_FIRST_LINE = re.compile(r"WSL2? environment detected")
DETECTION = "HSA_ENABLE_DXG_DETECTION"

Ask = Callable[..., Answer]


class Place(NamedTuple):
    """The kernel environment, and the root of the host: another one is for tests."""

    environment: str
    root: str = "/"

    def on_host(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))


class Looked(NamedTuple):
    """The check as it is before the sum is known, and what goes with the sum."""

    check: dict[str, Any]
    state: State


def look(
    place: Place,
    settings: Mapping[str, Any],
    gpu: Mapping[str, Any],
    wsl: bool,
    timeout_seconds: float = SECONDS,
    ask: Ask = ask,
) -> Looked:
    """`settings` are those of the runtime (user, environment, card), `gpu` is what gpu_device returned."""
    environment = {str(key): str(value) for key, value in (settings.get("environment") or {}).items()}
    state = gather(place, settings, gpu, wsl, environment, ask)
    program, why = find(place)
    if program is None:
        return Looked(not_asked(why), state)

    def run() -> dict[str, Any]:
        return run_program(
            [str(program)],
            min(timeout_seconds, SECONDS),
            settings.get("user"),
            environment,
            last_words=DONE.encode(),
            exit_seconds=EXIT_SECONDS,
        )

    wanted = wanted_of(settings)
    first = run()
    looked = judge(first, state, wanted, program)
    if looked.check["ok"] is not False or not worth_a_retry(_evidence(first, looked.state)):
        return looked
    second = judge(run(), state, wanted, program)
    return second._replace(check=_as_second(looked.check, second.check))


# --- the program ----------------------------------------------------------------------------------------------------


def find(place: Place) -> tuple[str | None, str]:
    """The runtime that torch has is that of its environment, if the wheels bring it; else the system's. Or why there is none.
    Never PATH: it may be somebody else's."""
    folders = (f"{place.environment}/bin", place.on_host("/opt/rocm/bin"), place.on_host("/usr/bin"))
    there = [path for path in (f"{folder}/rocminfo" for folder in folders) if os.path.isfile(path)]
    good = next((path for path in there if os.access(path, os.X_OK)), None)
    if good is not None:
        return good, ""
    if there:
        return None, f"{there[0]} is not executable"
    return None, f"there is no rocminfo in {listed(folders)}"


def not_asked(why: str, program: str | None = None) -> dict[str, Any]:
    return _check(None, 0.0, f"not known: {why}", program=program, reasons=[f"rocminfo: {why}"])


# --- what it says ---------------------------------------------------------------------------------------------------


def judge(ran: Mapping[str, Any], state: State, wanted: Wanted, program: str) -> Looked:
    """One run of rocminfo (process.run.run_program)."""
    ended = ran["exit"]
    if ended["kind"] == "not_started":
        return Looked(not_asked(ended["text"], program), state)
    found = rocminfo.parse(ran["output"])
    found = found._replace(agents=[_harmless(agent) for agent in found.agents[:AGENTS_MAX]])
    card, listed_at_all = _card_among(found, wanted)
    state = replace(state, rocminfo=found, card_listed=listed_at_all)
    problem = _problem(ran, found, wanted, listed_at_all)
    told = {
        "where": found.where or None,
        "runtime": plain(found.runtime) or None,
        "program": program,
        "agents": [_told(agent) for agent in found.agents],
    }
    if not problem:
        bad = f"everything was printed, but then rocminfo did not end well: {ended['text']}"
        warnings = [] if ended["kind"] == "ok" else [bad]
        return Looked(_check(True, ran["seconds"], card, warnings=warnings, **told), state)
    remedy = remedy_for(_evidence(ran, state))
    what = {"reasons": [f"rocminfo: {problem}"], "remedies": [REMEDIES[remedy].told(remedy)]}
    return Looked(_check(False, ran["seconds"], problem, **what, **told), replace(state, rocminfo_remedy=remedy))


def _check(ok: bool | None, seconds: float, detail: str, **more: Any) -> dict[str, Any]:
    untold: dict[str, Any] = {
        "where": None,
        "runtime": None,
        "program": None,
        "agents": [],
        "retried": False,
        "notes": [],
        "warnings": [],
    }
    return check_of("rocminfo", ok, detail, seconds=seconds, **{**untold, **more})


def _evidence(ran: Mapping[str, Any], state: State) -> Evidence:
    ended = ran["exit"]["kind"]
    return Evidence(heard=_lines(ran), ended=ended if ended in ("signal", "timeout") else "", state=state)


def _lines(ran: Mapping[str, Any]) -> list[str]:
    """What it says apart from the agents: of a failure, all that there is."""
    return [*readable_lines(ran["output"].encode("utf-8", "replace")), *ran["errors"]]


def _harmless(agent: Agent) -> Agent:
    """Without what moves a terminal's cursor: the program may be the user's own, and the report is for everybody."""
    return agent._replace(kind=plain(agent.kind), name=plain(agent.name))


def _told(agent: Agent) -> dict[str, Any]:
    return {
        "kind": agent.kind or None,
        "name": agent.name or None,
        "gfx": agent.gfx or None,
        "device_id": agent.device_id or None,
        "address": agent.address or None,
        "memory_bytes": agent.bytes or None,
    }


def _card_among(found: Rocminfo, wanted: Wanted) -> tuple[str, bool | None]:
    """The decided card in words, and whether it is listed; None where there is no list. As torch's devices are told apart."""
    agents = [
        Device(index, agent.name, agent.gfx, "", agent.bytes, agent.device_id, agent.address)
        for index, agent in enumerate(found.gpus)
    ]
    if not agents:
        return "", None
    chosen = choose(TORCH_DEVICES, agents, wanted)
    there = "; ".join(shown(agent) for agent in agents)
    return (shown(chosen.device) if chosen.device is not None else there), chosen.problem != "adapter_not_seen"


def _problem(ran: Mapping[str, Any], found: Rocminfo, wanted: Wanted, listed_at_all: bool | None) -> str:
    """Empty where rocminfo came to its end and lists the card."""
    if not found.complete:
        if ran["cut_off"]:
            return "it prints without an end"
        # After agents the end is a line of the next one, which says nothing.
        said = [] if found.agents else [line for line in _lines(ran) if not _FIRST_LINE.match(line)]
        ended = str(ran["exit"]["text"]) or "it ended before its last line"
        return f"{ended} ({' / '.join(said[-QUOTED_LINES:])})" if said else ended
    if not found.gpus:
        return "it lists the processor alone, and no GPU" if found.agents else "it lists nothing"
    if listed_at_all is False:
        there = listed([f"{agent.name} ({agent.gfx})" for agent in found.gpus])
        card = f"{next(iter(wanted.names), '') or 'the card'}{f' ({wanted.gfx[0]})' if wanted.gfx else ''}"
        return f"it lists {there}, and not {card}, for which this runtime was set up"
    return ""


def _as_second(first: Mapping[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The second run's answer, in which the first is said."""
    why = first["steps"][0]["detail"]
    seconds = round(first["seconds"] + second["seconds"], 3)
    result = {**second, "retried": True, "seconds": seconds, "steps": [{**second["steps"][0], "seconds": seconds}]}
    if second["ok"] is True:
        said = f"rocminfo failed at its first start ({why}) and not at its second, as happens with ROCm in WSL"
        return {**result, "warnings": [said, *second["warnings"]]}
    step = {**result["steps"][0], "detail": f"{second['steps'][0]['detail']}; the first of two starts: {why}"}
    return {**result, "steps": [step]}


# --- with the sum ---------------------------------------------------------------------------------------------------


def settle(looked: Looked, tensor: Mapping[str, Any]) -> dict[str, Any]:
    """The check for the report, now that the sum is known. Its trouble is a warning: what counts is the sum. What is no fault
    and wants nothing done is a note: {id, text}."""
    check: dict[str, Any] = {**looked.check, "warnings": list(looked.check["warnings"]), "notes": []}
    right = tensor.get("ok") is True
    if check["ok"] is False:
        said = check["steps"][0]["detail"]
        check["warnings"].append(f"{said}; but the tensor sum is right" if right else said)
    if right:
        check["remedies"] = []
    gpu = tensor.get("gpu") or {}
    state = replace(looked.state, torch_bytes=gpu.get("memory_bytes"), free_bytes=gpu.get("free_bytes"))
    notes = [(name, " ".join(REMEDIES[name][:2])) for name in notes_for(state)]
    for name, text in notes:
        if REMEDIES[name].do.startswith("Nothing"):
            check["notes"].append({"id": name, "text": text})
        else:
            check["warnings"].append(text)
    return check


# --- what else is known ---------------------------------------------------------------------------------------------


def wanted_of(settings: Mapping[str, Any]) -> Wanted:
    """The card that the runtime was set up for."""
    return Wanted(**(settings.get("card") or {}))


def adapter_of(settings: Mapping[str, Any], gpu: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """That card among what detection has found: by its names, else the one that is decided on."""
    names = {*wanted_of(settings).names, settings.get("adapter")} - {None, ""}
    theirs = [
        one for one in gpu.get("adapters") or [] if one.get("vendor_id") == catalog.AMD and why_no_gpu(one) is None
    ]
    named = [one for one in theirs if {one.get("name"), catalog.product_of(one)} & names]
    decision = gpu.get("backend") or {}
    answers = [one for one in (decision, decision.get("recommended") or {}) if one.get("name") == "rocm"]
    decided = [one for one in theirs if one.get("index") in [answer.get("adapter") for answer in answers]]
    return next(iter([*named, *decided, *theirs]), None)


def gather(
    place: Place,
    settings: Mapping[str, Any],
    gpu: Mapping[str, Any],
    wsl: bool,
    environment: Mapping[str, str],
    ask: Ask = ask,
) -> State:
    """What can be looked up without ROCm."""
    facts, said = gpu.get("host") or {}, gpu.get("wsl") or {}
    adapters = gpu.get("adapters")
    card = adapter_of(settings, gpu)
    torch, bundled = torch_in(place.environment)
    record = read_object(place.on_host("/var/lib/colab-ready/rocm_host.json")) or {}
    line = str(record.get("line") or "") or line_of_torch(torch)
    distribution = (
        (facts.get("ubuntu") and "ubuntu") or facts.get("distribution") or (said.get("distribution") or {}).get("id")
    )
    known = rocm_releases.line_of(line)
    return State(
        wsl=wsl,
        windows_build=facts.get("windows_build"),
        distribution=str(distribution or os_facts(place.on_host("/etc"), place.on_host("/usr"))["id"] or ""),
        line=line,
        amd=None if adapters is None else any(one.get("vendor_id") == catalog.AMD for one in adapters),
        id_known=_id_is_known(place, card) if wsl and card is not None else None,
        gfx=next(iter(wanted_of(settings).gfx), "") or (catalog.gfx_of(card) if card is not None else None) or "",
        integrated=is_integrated(card) if card is not None else None,
        detection=environment.get(DETECTION, ""),
        packages=_shadows(ask) if wsl else (),
        bridge_cached=_bridge_is_cached(ask) if wsl else None,
        torch=torch,
        card_bytes=card.get("dedicated_bytes") if card is not None else None,
        bundled_hsa=bundled if wsl and known is not None and known.drop_bundled_hsa else None,
        wsl_bytes=(said.get("memory_bytes") or memory_bytes()[0]) if wsl else None,
    )


def torch_in(environment: str) -> tuple[str, bool | None]:
    """The version of torch in an environment, and whether it brings a runtime of its own, without starting it."""
    for packages in sorted(glob.glob(f"{glob.escape(environment)}/lib/python3*/site-packages")):
        for path in sorted(glob.glob(f"{glob.escape(packages)}/torch-*.dist-info")):
            version = os.path.basename(path)[len("torch-") : -len(".dist-info")]
            if re.fullmatch(r"[0-9][\w.+!]{0,80}", version, re.ASCII):
                return version, bool(glob.glob(f"{glob.escape(packages)}/torch/lib/libhsa-runtime64.so*"))
    return "", None


def line_of_torch(version: str) -> str:
    """The ROCm that a torch is made for: 7.2.4 of 2.10.0+rocm7.2.4.lw.git3d3aa833."""
    found = re.search(r"\+rocm([0-9]{1,3}(\.[0-9]{1,3}){1,3})(?![0-9])", version)
    return found.group(1) if found else ""


def _id_is_known(place: Place, card: Mapping[str, Any]) -> bool | None:
    """Whether AMD's bridge opens this card: built in (which is what the table calls supported in WSL), or in its list."""
    family = catalog.family_of(card)
    if family is not None and family.wsl.level == catalog.YES:
        return True
    library = os.path.realpath(place.on_host(f"{rocm_releases.BRIDGE_FOLDER}/librocdxg.so"))
    entries = dids.parse(read_text(dids.path_beside(library), follow=True) or "")
    if any(f"{entry.device_id:04x}" == card.get("device_id") for entry in entries):
        return True
    return None if family is None else False


def _shadows(ask: Ask) -> Sequence[str]:
    try:
        said = ask(["/usr/bin/dpkg-query", "--show", f"--showformat={LIST_FORMAT}", *SHADOWS], QUESTION_SECONDS)
    except NotAnswered:
        return ()
    there = {name.partition(":")[0] for name in installed_packages(said.text)}
    return [name for name in SHADOWS if name in there]


def _bridge_is_cached(ask: Ask) -> bool | None:
    try:
        said = ask(["/sbin/ldconfig", "-p"], QUESTION_SECONDS)
    except NotAnswered:
        return None
    return None if said.status else ldconfig.first(said.text, "librocdxg.so") is not None

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend a host gets, and why: one pure function.

gpu/catalog.py knows the cards, each backend of backends/registry.py judges each GPU; decide() takes the best pair, meets
what was requested or refuses it, and says what became of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..backends.base import SETTING, Backend, Candidate, HostFacts, Verdict, in_gigabytes, judge, of_windows, work_of
from ..backends.registry import BACKENDS
from ..core.problem import Problem, Refused
from ..core.remedy import ANY_BACKEND, give, pick, reset
from ..core.text import listed
from ..gpu import catalog
from ..gpu.catalog import NO, OPT_IN, YES
from ..gpu.kind import describe, is_integrated, kind_of, label, why_no_gpu

CPU = next(backend for backend in BACKENDS if backend.name == "cpu")
# What colab_backend may say.
BACKEND_CHOICES = ("auto", *(backend.name for backend in BACKENDS))
SHOWN_NONE = "Windows shows WSL no GPU. Do: install the newest driver of the GPU on Windows"


def choose_adapter(requested: str | None, adapters: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any] | None:
    """The adapter that was asked for: by index, or by part of its name, product or address."""
    if not requested or adapters is None:
        return None
    # "7900" is part of a name: no host has that many adapters (the kernel's limit is 64).
    if requested.isdecimal() and len(requested) < 3:
        found = [adapter for adapter in adapters if adapter.get("index") == int(requested)]
    else:
        keys = ("name", "vendor", "address")
        found = [
            adapter
            for adapter in adapters
            if any(requested.lower() in str(text or "").lower() for text in [*map(adapter.get, keys), label(adapter)])
        ]
    if len(found) == 1:
        return found[0]
    if not adapters:
        what = f"colab_gpu is {requested!r}, but no GPU was found on this host"
        raise Refused(Problem("gpu", what, "an empty colab_gpu", reset("colab_gpu")))
    there = "; ".join(f"{adapter.get('index')}: {describe(adapter)}" for adapter in adapters)
    fits = f"{'no' if not found else len(found)} adapter{'s' if len(found) > 1 else ''}"
    what = f"colab_gpu is {requested!r}, which fits {fits} of this host"
    raise Refused(Problem("gpu", what, f"one of {there}", pick("colab_gpu=NUMBER")))


def card_of(adapter: Mapping[str, Any], adapters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What tells an adapter among the devices that torch counts: the fields of torch_devices.Wanted."""
    own = catalog.gfx_of(adapter) or adapter.get("gfx")
    # With HSA_OVERRIDE_GFX_VERSION it says that it is the other one.
    borrowed = catalog.BORROWED_TARGETS.get(str(own))
    others = [one for one in adapters if one is not adapter and why_no_gpu(one) is None]
    return {
        "names": catalog.names_of(adapter),
        "gfx": [*([own] if own else []), *([borrowed[0]] if borrowed else [])],
        "others": list(dict.fromkeys(name for one in others for name in catalog.names_of(one))),
        # A family of NVIDIA's is of several, and a wrong one would hide the right card.
        "capability": "",
        "device_id": adapter.get("device_id") or "",
        "address": adapter.get("address") or "",
        "bytes": adapter.get("dedicated_bytes") or 0,
    }


def decide(
    requested: str,
    adapters: Sequence[Mapping[str, Any]] | None,
    why_unknown: str | None = None,
    gpu: str | None = None,
    host: Mapping[str, Any] | HostFacts | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the backend that this host gets. Raises Refused where it cannot have what was asked for.

    `adapters` is None when they cannot be known, for the reason `why_unknown`. `settings` are variables of the backends' roles;
    None: they are not known, and forbid nothing.

    name, device_type, adapter (index), gfx, card (see card_of; None for the CPU); chosen_by auto, colab_backend or colab_gpu.
    recommended {name, device_type, adapter, gfx, why}: what would be taken if colab_backend were auto. reasons, cautions,
    rejected [{name, why}], opt_in [{name, adapter, why, do}]. python {requires, use, path, fetch}, and python_requires once more.
    settings: those of its own on which this hangs; whoever installs it reads them here, so nobody can install something else.
    work: what is to be fetched and built for it (see work_of); None where that is there. Refused where the settings are known,
    the disk has no room for it, and no run has begun it.
    """
    asked_for = next((backend for backend in BACKENDS if backend.name == requested), None)
    if requested != "auto" and asked_for is None:
        what = f"colab_backend is {requested!r}, which is no backend"
        raise Refused(Problem("backend", what, " or ".join(BACKEND_CHOICES), ANY_BACKEND))
    if gpu and adapters is None and requested != "cpu":
        what = f"colab_gpu is {gpu!r}, but which graphics this host has is not known: {why_unknown}"
        raise Refused(
            Problem("gpu", what, "adapters that can be looked up", f"{reset('colab_gpu')}; or see to the cause")
        )
    asked = choose_adapter(gpu, adapters)
    case = _Case(adapters, why_unknown, HostFacts.of(host), asked if requested != "cpu" else None, settings)

    chosen = _choose(case, asked_for, gpu)
    hints = case.hints(chosen) if asked_for is None else []
    backend = chosen.backend if chosen else CPU
    work = work_of(backend, case.host, case.settings[backend.name])
    if work and case.settings_known:
        _check_disk(backend, case, work)
    python = backend.python(case.host, case.settings[backend.name])
    return {
        **_pair(chosen),
        "chosen_by": "colab_backend" if asked_for else "colab_gpu" if asked is not None and chosen else "auto",
        "card": card_of(chosen.adapter, adapters or ()) if chosen else None,
        "recommended": _recommended(case, case.best([YES])),
        "reasons": _reasons(case, asked_for, gpu, chosen, hints),
        "cautions": list(chosen.verdict.cautions) if chosen else [],
        "rejected": _rejected(case, backend, chosen, asked_for is not None),
        "opt_in": hints,
        "python": python,
        "python_requires": python["requires"],
        "settings": case.settings[backend.name],
        "work": work,
    }


def _choose(case: _Case, asked_for: Backend | None, gpu: str | None) -> Candidate | None:
    """Return the best pair that meets the request, None for the CPU. Raises Refused. `gpu` is how the
    adapter was asked for, if one was."""
    if asked_for is None:
        case.check_setting(case.best([YES, SETTING]))
        chosen = case.best([YES])
        if case.asked is not None and chosen is None:
            raise _unusable_adapter(case, case.asked, str(gpu))
        return chosen
    if asked_for.name == "cpu":
        return None
    chosen = case.best([YES, OPT_IN, SETTING], asked_for.name)
    case.check_setting(chosen)
    if chosen is None:
        raise _impossible_backend(case, asked_for)
    return chosen


class _Case:
    """Every GPU that may be taken, with every backend, judged."""

    def __init__(
        self,
        adapters: Sequence[Mapping[str, Any]] | None,
        why_unknown: str | None,
        host: HostFacts,
        asked: Mapping[str, Any] | None,
        variables: Mapping[str, Any] | None,
    ) -> None:
        self.adapters, self.why_unknown, self.host, self.asked = adapters, why_unknown, host, asked
        self.settings_known = variables is not None
        self.settings = {backend.name: backend.settings_in(variables or {}) for backend in BACKENDS}
        self.gpus = [adapter for adapter in adapters or () if why_no_gpu(adapter) is None]
        self.candidates = [
            Candidate(adapter, backend, judge(backend, adapter, host, self.settings[backend.name]))
            for adapter in (self.gpus if asked is None else [asked])
            for backend in BACKENDS
            # The CPU needs no GPU, and ROCm on a GeForce needs no sentence.
            if backend.name != "cpu" and backend.vendor_id in (None, adapter.get("vendor_id"))
        ]

    def best(
        self,
        levels: Sequence[str],
        backend: str | None = None,
        without: Mapping[str, Any] | None = None,
        on: Mapping[str, Any] | None = None,
    ) -> Candidate | None:
        """Never the first by index. A card of its own before one in the processor; then what its vendor keeps up to
        date; then the larger memory, where that is known of all; then the order of the backends."""
        fitting = [
            one
            for one in self.candidates
            if _counts(one.verdict, levels)
            and backend in (None, one.backend.name)
            and one.adapter is not without
            and (on is None or one.adapter is on)
        ]
        sizes_known = all(one.adapter.get("dedicated_bytes") is not None for one in fitting)

        def rank(one: Candidate) -> tuple[Any, ...]:
            size = int(one.adapter["dedicated_bytes"]) if sizes_known else 0
            order = BACKENDS.index(one.backend)
            willing = one.verdict.level != OPT_IN
            return (
                not willing,
                is_integrated(one.adapter),
                one.backend.tier,
                -size,
                order,
                one.adapter.get("index") or 0,
            )

        return min(fitting, key=rank, default=None)

    def on(self, adapter: Mapping[str, Any]) -> list[Candidate]:
        return [one for one in self.candidates if one.adapter is adapter]

    def blocked(self) -> str | None:
        """Why no GPU of this host can be reached, whichever it is."""
        return next((found.sentence() for found in of_windows(self.host) if found.level == NO), None)

    def why_not(self, backend: Backend) -> str:
        """Why a backend is out, in one sentence."""
        blocked = self.blocked()
        if self.adapters is None and not blocked:
            return f"which graphics this host has is not known: {self.why_unknown}"
        if self.asked is not None:
            no_gpu = why_no_gpu(self.asked)
            if no_gpu or backend.vendor_id not in (None, self.asked.get("vendor_id")):
                return f"{label(self.asked)}: {no_gpu or f'{backend.title} is for {backend.on}'}"
        first = self.best([YES, OPT_IN, SETTING, NO], backend.name)
        if blocked:
            return blocked
        if first is None and backend.needs_windows and not self.host.behind_windows:
            return backend.needs_windows
        if first is None:
            advice = f"; {SHOWN_NONE}" if backend.vendor_id is None and not self.gpus else ""
            return f"it is for {backend.on}, and there is none{advice}"
        return f"{label(first.adapter)}: {first.verdict.sentence()}"

    def why_none(self) -> list[str]:
        """Why no GPU is used: one sentence for each, or one for all."""
        blocked = self.blocked()
        if blocked:
            return [blocked]
        if self.adapters is None:
            return [found.sentence() for found in of_windows(self.host)]
        sentences = []
        for adapter in self.gpus:
            # That DirectML needs Windows is no news to who runs Linux.
            about = [one for one in self.on(adapter) if one.backend.vendor_id or self.host.behind_windows]
            why = "; ".join(one.verdict.about(one.backend.title) for one in about)
            sentences.append(f"{label(adapter)}: {why or 'PyTorch has no backend for it here'}")
        if not self.gpus and self.host.behind_windows:
            sentences.append(SHOWN_NONE)
        return sentences

    def why_this(self, chosen: Candidate) -> str:
        """Why this backend runs on its adapter, and if it is not the vendor's own, why not that one."""
        own = next((one for one in self.on(chosen.adapter) if one.backend.vendor_id), None)
        before = f"{own.verdict.why}; " if own is not None and own is not chosen and own.verdict.level != YES else ""
        return f"{label(chosen.adapter)}: {before}{chosen.verdict.why}"

    def check_setting(self, chosen: Candidate | None) -> None:
        """A setting that cannot be met stops the run, and so does one that is missing. Raises Refused."""
        lacks = chosen.verdict.lacks if chosen and self.settings_known else ()
        if chosen is None or (chosen.verdict.level != SETTING and not lacks):
            return
        title, do = chosen.backend.title, chosen.verdict.do
        expected = f"settings with which {title} runs here"
        if lacks:
            expected = f"a card that {title} is made for, or the wish to try"
            do = f"to try it: {give(*lacks)}; or {give('colab_backend=auto')}"
        raise Refused(Problem("setting", f"{title} on {label(chosen.adapter)}: {chosen.verdict.why}", expected, do))

    def remedies(self, chosen: Candidate) -> list[str]:
        """What would have to be done for the vendor's own backend, where that is not the one."""
        return [
            f"for {one.backend.title} on it: {one.verdict.do}"
            for one in self.on(chosen.adapter)
            if one is not chosen and one.verdict.level == NO and one.verdict.do and not one.verdict.at_best_opt_in
        ]

    def passed_over(self, chosen: Candidate) -> list[Candidate]:
        """Other cards of their own, whose vendor's backend lacks only what somebody could do."""
        return [
            one
            for one in self.candidates
            if one.adapter is not chosen.adapter and one.backend.vendor_id and not is_integrated(one.adapter)
            if one.verdict.level == NO and one.verdict.do and not one.verdict.at_best_opt_in
        ]

    def hints(self, chosen: Candidate | None) -> list[dict[str, Any]]:
        """What would run only when asked for: on the adapter that was chosen, or on any where none was."""
        return [
            {
                "name": one.backend.name,
                "adapter": one.adapter.get("index"),
                "why": f"{label(one.adapter)}: {one.verdict.why}",
                "do": give(*one.verdict.settings),
            }
            for one in self.candidates
            if one.verdict.level == OPT_IN and one is not chosen and (chosen is None or one.adapter is chosen.adapter)
        ]


def _counts(verdict: Verdict, levels: Sequence[str]) -> bool:
    """Whether it is one of these; what would be only on request is nobody's who has not asked, whatever its settings say."""
    return verdict.level in levels and (verdict.level != SETTING or OPT_IN in levels or not verdict.at_best_opt_in)


# --- telling --------------------------------------------------------------------------------------------------------


def _what_there_is(adapters: Sequence[Mapping[str, Any]] | None, why_unknown: str | None) -> str:
    if adapters is None:
        return f"which graphics this host has is not known: {why_unknown}"
    hardware = [describe(adapter) for adapter in adapters if why_no_gpu(adapter) is None]
    if hardware:
        return f"found {', '.join(hardware)}"
    if adapters:
        return "no GPU found, only " + ", ".join(f"{describe(adapter)} ({kind_of(adapter)})" for adapter in adapters)
    return "no GPU found"


def _reasons(
    case: _Case,
    asked_for: Backend | None,
    gpu: str | None,
    chosen: Candidate | None,
    hints: Sequence[Mapping[str, Any]],
) -> list[str]:
    reasons = ["colab_backend asks for it"] if asked_for else []
    reasons.append(_what_there_is(case.adapters, case.why_unknown))
    if chosen is not None:
        reasons.append(case.why_this(chosen))
        reasons += _before_others(case, asked_for, chosen)
        reasons += case.remedies(chosen)
        titles = {backend.name: backend.title for backend in BACKENDS}
        reasons += [f"experimental {titles[hint['name']]}: {hint['do']}" for hint in hints]
    elif asked_for is None:
        reasons += case.why_none()
    if gpu and chosen is None:
        reasons.append(f"colab_gpu ({gpu}) has no effect on the CPU")
    return reasons


def _before_others(case: _Case, asked_for: Backend | None, chosen: Candidate) -> list[str]:
    """Why this one of several GPUs: what `rank` in best() found, in words."""
    others = [adapter for adapter in case.gpus if adapter is not chosen.adapter]
    if not others or case.asked is not None:
        return []
    other = case.best([YES, OPT_IN], asked_for.name if asked_for else None, without=chosen.adapter)
    passed_over = [] if asked_for else case.passed_over(chosen)
    why = [f"{label(one.adapter)}: {one.verdict.about(one.backend.title)}" for one in passed_over]
    if other is None:
        rest = [label(adapter) for adapter in others if not any(one.adapter is adapter for one in passed_over)]
        return why + ([f"{listed(rest)} cannot {'run it' if asked_for else 'be used'}"] if rest else [])
    return [_before(chosen, other), *why]


def _before(chosen: Candidate, other: Candidate) -> str:
    name = label(other.adapter)
    if other.verdict.level != YES and chosen.verdict.level == YES:
        return f"{name} would run {other.backend.title} only on request"
    if is_integrated(other.adapter) and not is_integrated(chosen.adapter):
        return f"it is a card of its own, so it comes before {name} in the processor"
    if other.backend.tier != chosen.backend.tier:
        return f"{chosen.backend.title} comes before {other.backend.title}, which {name} would get"
    sizes = [candidate.adapter.get("dedicated_bytes") for candidate in (chosen, other)]
    if None not in sizes and sizes[0] != sizes[1]:
        return f"it has more memory than {name}"
    how = give(f"colab_gpu={other.adapter.get('index')}")
    return f"{name} is as good; {how} takes that one"


def _pair(candidate: Candidate | None) -> dict[str, Any]:
    """A backend and its adapter; the CPU needs none."""
    backend = candidate.backend if candidate else CPU
    return {
        "name": backend.name,
        "device_type": backend.device_type,
        "adapter": candidate.adapter.get("index") if candidate else None,
        "gfx": catalog.gfx_of(candidate.adapter) if candidate else None,
    }


def _recommended(case: _Case, candidate: Candidate | None) -> dict[str, Any]:
    why = case.why_this(candidate) if candidate else "; ".join(case.why_none()) or "no GPU found"
    return {**_pair(candidate), "why": why}


def _rejected(case: _Case, taken: Backend, chosen: Candidate | None, asked_for: bool) -> list[dict[str, str]]:
    result = []
    for backend in BACKENDS:
        if backend is taken:
            continue
        possible = case.best([YES], backend.name)
        if backend.name == "cpu":
            why = "colab_backend asks for another one" if asked_for else f"{taken.title} on a GPU is faster"
        elif possible is None:
            why = case.why_not(backend)
        elif asked_for or chosen is None:
            why = "colab_backend asks for another one"
        elif any(one.backend is backend and one.verdict.level == YES for one in case.on(chosen.adapter)):
            why = f"{taken.title} is the better one for {label(chosen.adapter)}"
        else:
            how = give(f"colab_gpu={possible.adapter.get('index')}")
            if case.best([YES], on=possible.adapter) is not possible:
                how += f" -e colab_backend={backend.name}"
            why = f"{label(chosen.adapter)} was chosen; {how} takes it, on {label(possible.adapter)}"
        result.append({"name": backend.name, "why": why})
    return result


# --- refusing -------------------------------------------------------------------------------------------------------


def _check_disk(backend: Backend, case: _Case, work: Mapping[str, Any]) -> None:
    free = case.host.disk_free_bytes
    if free is None or free >= work["disk_bytes"] or backend.name in (case.host.begun or ()):
        return
    smaller = work_of(CPU, case.host, {})
    fits = backend is not CPU and (smaller is None or smaller["disk_bytes"] <= free)
    raise Refused(
        Problem(
            "disk_space",
            f"{in_gigabytes(free)} are free where the environments are to be, and {backend.title} takes about "
            f"{in_gigabytes(work['disk_bytes'])}",
            "that much",
            "free some space there (in WSL on the drive of Windows, too); or take a path on a disk with more: "
            f"{give('colab_prefix=PATH')}" + (f"; or use the CPU: {give('colab_backend=cpu')}" if fits else ""),
        )
    )


def _impossible_backend(case: _Case, asked_for: Backend) -> Refused:
    able = {one.backend.name for one in case.candidates if one.verdict.level != NO}
    expected = " or ".join(["auto", *(backend.name for backend in BACKENDS if backend.name in (*able, "cpu"))])
    where = f" on {label(case.asked)}, which colab_gpu asks for" if case.asked is not None else ""
    why, _, do = case.why_not(asked_for).partition(". Do: ")
    also = f"{do}; or " if do else ""
    what = f"colab_backend is {asked_for.name!r}, which this host cannot have{where}: {why}"
    return Refused(Problem("backend", what, expected, f"{also}{ANY_BACKEND}"))


def _unusable_adapter(case: _Case, asked: Mapping[str, Any], gpu: str) -> Refused:
    tried = [one.verdict.about(one.backend.title) for one in case.on(asked)]
    why = why_no_gpu(asked) or case.blocked() or "; ".join(tried) or "no backend is for it"
    what = f"colab_gpu is {gpu!r}, which is {label(asked)}, and PyTorch cannot use that here: {why}"
    do = f"{reset('colab_gpu')}; or {give('colab_backend=cpu')}"
    return Refused(Problem("gpu", what, "a GPU with a backend", do))


def decide_on(
    found: Mapping[str, Any], backend: str, gpu: str | None, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """decide() for what look() found. The primary adapter is then the one that the machine computes on, or would."""
    why = found["null_reasons"].get("adapters", {}).get("detail")
    decision = decide(backend, found["adapters"], why, gpu, host=found["host"], settings=settings)
    best = decision["adapter"]
    if best is None:
        best = decision["recommended"]["adapter"]
    if best is not None:
        for adapter in found["adapters"]:
            adapter["primary"] = adapter["index"] == best
            found["null_reasons"].pop(f"adapters[{adapter['index']}].primary", None)
    return decision

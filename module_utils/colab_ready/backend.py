# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backend a host gets, and why: one pure function.

gpus.py knows the cards, gpu_rules.py judges each backend on each GPU; decide() takes the best pair, meets the user's
wishes or refuses them, and says what became of the others.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible.module_utils.colab_ready import gpus
from ansible.module_utils.colab_ready.gpu_rules import (
    BACKENDS,
    NOT_WINDOWS,
    Backend,
    Candidate,
    HostFacts,
    describe,
    is_integrated,
    judge,
    kind_of,
    label,
    listed,
    of_windows,
    python_for,
    why_no_gpu,
)
from ansible.module_utils.colab_ready.gpus import NO, OPT_IN, YES

# What colab_backend may say.
BACKEND_WISHES = ("auto", *(backend.name for backend in BACKENDS))
SHOWN_NONE = "Windows shows WSL no GPU. Do: install the newest driver of the GPU on Windows"


class Refusal(ValueError):
    """A wish that cannot be met: what is wrong, what was expected, what to do."""


def choose_adapter(wish: str | None, adapters: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any] | None:
    """The adapter that was asked for: by index, or by part of its name, product or address."""
    if not wish or adapters is None:
        return None
    # "7900" is part of a name: no host has that many adapters (the kernel's limit is 64).
    if wish.isdecimal() and len(wish) < 3:
        found = [adapter for adapter in adapters if adapter.get("index") == int(wish)]
    else:
        keys = ("name", "vendor", "address")
        found = [
            adapter
            for adapter in adapters
            if any(wish.lower() in str(text or "").lower() for text in [*map(adapter.get, keys), label(adapter)])
        ]
    if len(found) == 1:
        return found[0]
    there = "; ".join(f"{adapter.get('index')}: {describe(adapter)}" for adapter in adapters) or "none"
    raise Refusal(
        f"colab_gpu is {wish!r}, which fits {'no' if not found else len(found)} adapter{'s' if len(found) > 1 else ''} "
        f"of this host. Expected: one of {there}. Do: set colab_gpu to the number in front, or leave it empty."
    )


def card_for(
    gpu: Mapping[str, Any], backend: str, vendor_id: str, wsl: bool, unknown: str = NO
) -> Mapping[str, Any] | None:
    """From what gpu_device returned: the adapter that was decided on for a backend, or the vendor's best one. Never by its
    place in a list: a processor's own graphics often come first. `unknown`: as what a card counts that no table has."""
    adapters = gpu.get("adapters") or []
    decided = gpu.get("backend") or {}
    for one in (decided, decided.get("recommended") or {}):
        if one.get("name") == backend and one.get("adapter") is not None:
            return next((adapter for adapter in adapters if adapter.get("index") == one["adapter"]), None)
    levels = [NO, OPT_IN, YES]

    def rank(adapter: Mapping[str, Any]) -> tuple[int, bool, int]:
        family = gpus.family_of(adapter)
        level = ((family.wsl if wsl else family.linux).level or NO) if family else unknown
        return levels.index(level), bool(adapter.get("primary")), int(adapter.get("dedicated_bytes") or 0)

    theirs = [one for one in adapters if one.get("vendor_id") == vendor_id and not one.get("software")]
    return max(theirs, key=rank, default=None)


def decide(
    wish: str,
    adapters: Sequence[Mapping[str, Any]] | None,
    why_unknown: str | None = None,
    gpu: str | None = None,
    backends: Sequence[Backend] = BACKENDS,
    host: Mapping[str, Any] | HostFacts | None = None,
) -> dict[str, Any]:
    """The backend that this host gets, or a Refusal of a wish that cannot be met.

    `adapters` is None when they cannot be known, for the reason `why_unknown`.

    name, device_type, adapter (index), gfx: what is built on this host now; chosen_by auto, colab_backend or colab_gpu.
    recommended {name, device_type, adapter, gfx, available, why}: what the machine could have, whether or not this
    version builds it. reasons, cautions, rejected [{name, why}], opt_in [{name, adapter, why, do, available}].
    python {requires, use, path, fetch}, and python_requires once more.
    """
    available = [backend for backend in backends if backend.available_in_this_version]
    wished = next((backend for backend in backends if backend.name == wish), None)
    if wish != "auto" and (wished is None or not wished.available_in_this_version):
        raise _no_such_backend(wish, available, wished is not None)
    if gpu and adapters is None and wish != "cpu":
        raise Refusal(
            f"colab_gpu is {gpu!r}, but which graphics this host has is not known: {why_unknown}. Expected: adapters that "
            "can be looked up. Do: leave colab_gpu empty, or see to the cause."
        )
    asked = choose_adapter(gpu, adapters)
    case = _Case(adapters, why_unknown, HostFacts.of(host), backends, asked if wish != "cpu" else None)

    recommended = case.best([YES])
    if wished is None:
        chosen = case.best([YES], only_available=True)
        if asked is not None and recommended is None:
            raise _unusable_adapter(case, asked, str(gpu))
    elif wished.name == "cpu":
        chosen = None
    else:
        chosen = recommended = case.best([YES, OPT_IN], wished.name)
        if chosen is None:
            raise _impossible_backend(case, wished)

    backend = chosen.backend if chosen else next(one for one in available if one.name == "cpu")
    hints = case.hints(chosen or recommended) if wished is None else []
    python = python_for(backend, case.host)
    return {
        "name": backend.name,
        "device_type": backend.device_type,
        "chosen_by": "colab_backend" if wished else "colab_gpu" if asked is not None and chosen else "auto",
        "adapter": chosen.adapter.get("index") if chosen else None,
        "gfx": gpus.gfx_of(chosen.adapter) if chosen else None,
        "recommended": _recommended(case, recommended),
        "reasons": _reasons(case, wished, gpu, chosen, recommended, hints),
        "cautions": list(chosen.verdict.cautions) if chosen else [],
        "rejected": _rejected(case, backend, chosen, wished is not None),
        "opt_in": hints,
        "python": python,
        "python_requires": python["requires"],
    }


class _Case:
    """Every GPU that may be taken, with every backend, judged."""

    def __init__(
        self,
        adapters: Sequence[Mapping[str, Any]] | None,
        why_unknown: str | None,
        host: HostFacts,
        backends: Sequence[Backend],
        asked: Mapping[str, Any] | None,
    ) -> None:
        self.adapters, self.why_unknown, self.host, self.backends, self.asked = (
            adapters,
            why_unknown,
            host,
            backends,
            asked,
        )
        self.gpus = [adapter for adapter in adapters or () if why_no_gpu(adapter) is None]
        self.candidates = [
            Candidate(adapter, backend, judge(backend, adapter, host))
            for adapter in (self.gpus if asked is None else [asked])
            for backend in backends
            # The CPU needs no GPU, and ROCm on a GeForce needs no sentence.
            if backend.name != "cpu" and backend.vendor_id in (None, adapter.get("vendor_id"))
        ]

    def best(
        self,
        levels: Sequence[str],
        backend: str | None = None,
        only_available: bool = False,
        without: Mapping[str, Any] | None = None,
    ) -> Candidate | None:
        """Never the first by index. A card of its own before one in the processor; then what its vendor keeps up to
        date; then the larger memory, where that is known of all; then the order of the backends."""
        fitting = [
            one
            for one in self.candidates
            if one.verdict.level in levels
            and backend in (None, one.backend.name)
            and (one.backend.available_in_this_version or not only_available)
            and one.adapter is not without
        ]
        sizes_known = all(one.adapter.get("dedicated_bytes") is not None for one in fitting)

        def rank(one: Candidate) -> tuple[Any, ...]:
            size = int(one.adapter["dedicated_bytes"]) if sizes_known else 0
            order = list(self.backends).index(one.backend)
            willing = one.verdict.level == YES
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
        first = self.best([YES, OPT_IN, NO], backend.name)
        if blocked:
            return blocked
        if first is None and backend.vendor_id is None and not self.host.behind_windows:
            return NOT_WINDOWS
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

    def remedies(self, chosen: Candidate) -> list[str]:
        """What would have to be done for the vendor's own backend, where that is not the one."""
        return [
            f"for {one.backend.title} on it: {one.verdict.do}"
            for one in self.on(chosen.adapter)
            if one is not chosen and one.verdict.level == NO and one.verdict.do
            if one.backend.available_in_this_version and not one.verdict.at_best_opt_in
        ]

    def hints(self, chosen: Candidate | None) -> list[dict[str, Any]]:
        """What would run only when asked for: on the adapter that was chosen, or on any where none was."""
        return [
            {
                "name": one.backend.name,
                "adapter": one.adapter.get("index"),
                "why": f"{label(one.adapter)}: {one.verdict.why}",
                "do": f"colab_backend: {one.backend.name}",
                "available": one.backend.available_in_this_version,
            }
            for one in self.candidates
            if one.verdict.level == OPT_IN and one is not chosen and (chosen is None or one.adapter is chosen.adapter)
        ]


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
    wished: Backend | None,
    gpu: str | None,
    chosen: Candidate | None,
    recommended: Candidate | None,
    hints: Sequence[Mapping[str, Any]],
) -> list[str]:
    reasons = ["colab_backend asks for it"] if wished else []
    reasons.append(_what_there_is(case.adapters, case.why_unknown))
    if chosen is not None:
        reasons.append(case.why_this(chosen))
        reasons += _before_others(case, wished, chosen)
        reasons += case.remedies(chosen)
        titles = {backend.name: backend.title for backend in case.backends}
        reasons += [f"experimental {titles[hint['name']]}: {hint['do']}" for hint in hints if hint["available"]]
    if wished is None and recommended is not None and recommended is not chosen:
        reasons += _not_yet(case, recommended, chosen)
    elif wished is None and chosen is None:
        reasons += case.why_none()
    if gpu and chosen is None:
        reasons.append(f"colab_gpu ({gpu}) has no effect on the CPU")
    return reasons


def _before_others(case: _Case, wished: Backend | None, chosen: Candidate) -> list[str]:
    """Why this one of several GPUs: what `rank` in best() found, in words."""
    others = [adapter for adapter in case.gpus if adapter is not chosen.adapter]
    if not others or case.asked is not None:
        return []
    other = case.best([YES, OPT_IN], wished.name if wished else None, without=chosen.adapter)
    if other is None:
        return [f"{listed([label(adapter) for adapter in others])} cannot {'run it' if wished else 'be used'}"]
    name = label(other.adapter)
    if other.verdict.level != YES and chosen.verdict.level == YES:
        return [f"{name} would run {other.backend.title} only on request"]
    if is_integrated(other.adapter) and not is_integrated(chosen.adapter):
        return [f"it is a card of its own, so it comes before {name} in the processor"]
    if other.backend.tier != chosen.backend.tier:
        return [f"{chosen.backend.title} comes before {other.backend.title}, which {name} would get"]
    sizes = [candidate.adapter.get("dedicated_bytes") for candidate in (chosen, other)]
    if None not in sizes and sizes[0] != sizes[1]:
        return [f"it has more memory than {name}"]
    return [f"{name} is as good; colab_gpu: {other.adapter.get('index')} takes that one"]


def _not_yet(case: _Case, recommended: Candidate, chosen: Candidate | None) -> list[str]:
    """What the machine could have, but this version does not build."""
    title = recommended.backend.title
    if chosen is not None:
        return [
            f"{label(recommended.adapter)} would get {title}, but this version of colab-ready does not build it yet"
        ]
    first = f"this version of colab-ready does not build {title} yet, so PyTorch runs on the CPU"
    return [first, f"this machine would get {title}. {case.why_this(recommended)}"]


def _recommended(case: _Case, candidate: Candidate | None) -> dict[str, Any]:
    cpu = next(backend for backend in case.backends if backend.name == "cpu")
    backend = candidate.backend if candidate else cpu
    return {
        "name": backend.name,
        "device_type": backend.device_type,
        "adapter": candidate.adapter.get("index") if candidate else None,
        "gfx": gpus.gfx_of(candidate.adapter) if candidate else None,
        "available": backend.available_in_this_version,
        "why": case.why_this(candidate) if candidate else "; ".join(case.why_none()) or "no GPU found",
    }


def _rejected(case: _Case, taken: Backend, chosen: Candidate | None, wished: bool) -> list[dict[str, str]]:
    result = []
    for backend in case.backends:
        if backend is taken:
            continue
        possible = case.best([YES], backend.name)
        if backend.name == "cpu":
            why = "colab_backend asks for another one" if wished else f"{taken.title} on a GPU is faster"
        elif possible is None:
            why = case.why_not(backend)
        elif not backend.available_in_this_version:
            why = f"not in this version of colab-ready; {label(possible.adapter)} could have it"
        elif wished or chosen is None:
            why = "colab_backend asks for another one"
        elif any(one.backend is backend and one.verdict.level == YES for one in case.on(chosen.adapter)):
            why = f"{taken.title} is the better one for {label(chosen.adapter)}"
        else:
            only = case.best([YES], without=chosen.adapter)
            also = "" if only is possible else f", colab_backend: {backend.name}"
            how = f"colab_gpu: {possible.adapter.get('index')}{also}"
            why = f"{label(chosen.adapter)} was chosen; {how} takes it, on {label(possible.adapter)}"
        result.append({"name": backend.name, "why": why})
    return result


# --- refusing -------------------------------------------------------------------------------------------------------


def _no_such_backend(wish: str, available: Sequence[Backend], known: bool) -> Refusal:
    expected = " or ".join(["auto", *(backend.name for backend in available)])
    what, later = "is no backend", ""
    if known:
        what, later = "this version of colab-ready does not bring yet", ", or use a later version"
    return Refusal(
        f"colab_backend is {wish!r}, which {what}. Expected: {expected}. Do: set colab_backend to one of them{later}."
    )


def _impossible_backend(case: _Case, wished: Backend) -> Refusal:
    able = {
        one.backend.name for one in case.candidates if one.verdict.level != NO and one.backend.available_in_this_version
    }
    expected = " or ".join(["auto", *(backend.name for backend in case.backends if backend.name in (*able, "cpu"))])
    where = f" on {label(case.asked)}, which colab_gpu asks for" if case.asked is not None else ""
    why, _, do = case.why_not(wished).partition(". Do: ")
    also = f"{do}; or set" if do else "set"
    return Refusal(
        f"colab_backend is {wished.name!r}, which this host cannot have{where}: {why}. Expected: {expected}. "
        f"Do: {also} colab_backend to one of them."
    )


def _unusable_adapter(case: _Case, asked: Mapping[str, Any], gpu: str) -> Refusal:
    tried = [one.verdict.about(one.backend.title) for one in case.on(asked)]
    why = why_no_gpu(asked) or case.blocked() or "; ".join(tried) or "no backend is for it"
    return Refusal(
        f"colab_gpu is {gpu!r}, which is {label(asked)}, and PyTorch cannot use that here: {why}. "
        "Expected: a GPU with a backend. Do: leave colab_gpu empty, or set colab_backend: cpu."
    )

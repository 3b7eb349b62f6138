#!/usr/bin/env python3
"""Write docs/backends.md, which GPU gets which backend, and docs/computers.md, what each computer of the tests gets.

What stands there beside a computer is what decide() really says about it.

    tools/backends_page.py            writes the pages that are out of date
    tools/backends_page.py --check    says so and ends with 1 (the static tests ask this)
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import ansible.module_utils

PROJECT = Path(__file__).resolve().parent.parent
# In a module this is where our module_utils are (ansible.cfg, module_utils).
ansible.module_utils.__path__ = [*ansible.module_utils.__path__, str(PROJECT / "module_utils")]
sys.path.insert(0, str(PROJECT / "tests"))

from ansible.module_utils.colab_ready.backends.base import Backend, in_gigabytes  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.backends.registry import BACKENDS  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.core.problem import Refused  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.core.text import listed  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.decision.decide import decide  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.gpu import catalog  # noqa: E402  needs the paths above
from ansible.module_utils.colab_ready.python.interpreters import in_words  # noqa: E402  needs the paths above
from fixtures.machines import GROUPS, MACHINES, Machine  # noqa: E402  needs the paths above

DOCS = PROJECT / "docs"
TITLES = {backend.name: backend.title for backend in BACKENDS}
OWN = {backend.vendor_id: backend.title for backend in BACKENDS if backend.vendor_id}
VENDORS = ((catalog.AMD, "AMD"), (catalog.NVIDIA, "NVIDIA"), (catalog.INTEL, "Intel"))


def titles(tier: int) -> str:
    return listed([backend.title for backend in BACKENDS if backend.tier == tier])


RULES = (
    "**What counts as a GPU.** Software adapters (Microsoft Basic Render Driver, virtual machines' displays), "
    "remote displays and neural processors (NPUs) do not.",
    # Of each backend its own rule: what its `findings` say of themselves.
    *(" ".join((backend.findings.__doc__ or "").split()) for backend in BACKENDS if backend.name != "cpu"),
    "**What works for some but is promised by nobody** runs only if it is asked for with `colab_backend`, and ROCm on a "
    "card that AMD does not list with `-e rocm_experimental=true` as well. Until then the next backend is taken, and the report "
    "says what could be tried.",
    *(" ".join((backend.findings.__doc__ or "").split()) for backend in BACKENDS if backend.name == "cpu"),
    f"**Several GPUs:** a card of its own comes before graphics in the processor; then {titles(0)} "
    f"before {titles(1)}; then the larger memory. The number that the system gives a GPU decides nothing. What would have to be "
    "done for a card that was passed over is said.",
    "**Requests:** `colab_backend` asks for a backend, `colab_gpu` for a GPU (its number, or part of its name), "
    "and that GPU then gets its best backend. A request that cannot be met stops the run with the reason; nothing "
    "else is taken in its place.",
    "**Python belongs to the decision.** If the host has none that the backend has packages for, another one "
    "is fetched for its environment; if that is impossible (`colab_python_fetch: false`), so is the backend.",
    "**What is not known forbids nothing.** Driver versions are reported, not judged. A run that the disk has "
    "no room for is refused before it begins; no other backend is taken for that. In the end only the tensor "
    "sum of `./colab-ready verify` makes a host ready.",
)


def fill(text: str, mark: str = "") -> list[str]:
    """A paragraph, or an entry of a list, in lines."""
    lines = textwrap.wrap(text, 118, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False)
    return [*lines, ""] if not mark else lines


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return [*lines, *("| " + " | ".join(cell(text) for text in row) + " |" for row in rows), ""]


def releases(family: catalog.Family, place: int) -> str:
    named = catalog.UBUNTU.get(family.line, ((), ()))[place]
    return f" (Ubuntu {', '.join(named)})" if named else ""


def in_wsl(family: catalog.Family) -> str:
    """What a card gets there, and what else on request."""
    own = OWN[family.vendor_id]
    if family.wsl.level == catalog.YES:
        return f"**{own}**{releases(family, 0) if family.vendor_id != catalog.NVIDIA else ''}"
    taken = "DirectML" if family.directml.level == catalog.YES else "CPU"
    on_request = [own] if family.wsl.level != catalog.NO else []
    on_request += ["DirectML"] if family.directml.level == catalog.OPT_IN else []
    return f"**{taken}**" + (f"; {' or '.join(on_request)} on request" if on_request else "")


def on_linux(family: catalog.Family) -> str:
    own = OWN[family.vendor_id]
    if family.linux.level == catalog.YES:
        return f"**{own}**{releases(family, 1)}"
    return "**CPU**" + (f"; {own} on request" if family.linux.level != catalog.NO else "")


def special(family: catalog.Family) -> str:
    """Why something runs only on request, or nowhere; that an old card is not supported any more goes without saying."""
    words = []
    if family.wsl.level not in (catalog.YES, catalog.NO):
        words.append(family.wsl.why)
    elif family.wsl.level == catalog.NO and (family.linux.level == catalog.YES or family.linux is family.wsl):
        words.append(family.wsl.why)
    if family.linux.level not in (catalog.YES, catalog.NO) and family.linux is not family.wsl:
        words.append(f"native Linux: {family.linux.why}")
    if family.directml.level != catalog.YES:
        words.append(f"DirectML: {family.directml.why}")
    sentence = "; ".join(words)
    return " ".join(filter(None, [f"{sentence[:1].upper()}{sentence[1:]}." if sentence else "", family.note]))


def cards() -> list[str]:
    lines = []
    for vendor_id, vendor in VENDORS:
        families = [family for family in catalog.FAMILIES if family.vendor_id == vendor_id]
        has_chips = any(family.chip for family in families)
        head = [
            "card, or processor with graphics",
            *(["chip"] if has_chips else []),
            "in WSL",
            "on native Linux",
            "special",
        ]
        rows = [
            [one.name, *([one.chip] if has_chips else []), in_wsl(one), on_linux(one), special(one)] for one in families
        ]
        lines += [f"### {vendor}", "", *table(head, rows)]
    return lines


def backend_row(backend: Backend) -> tuple[str, ...]:
    size = backend.size(backend.settings_in({}))
    return (
        f"`{backend.name}`",
        backend.on,
        f"`{backend.device_type}`",
        in_words(backend.python_requires) + (f" ({backend.python_note})" if backend.python_note else ""),
        ", ".join(backend.architectures),
        in_gigabytes(size.download),
        in_gigabytes(size.disk),
    )


def machine_row(machine: Machine) -> tuple[str, ...]:
    """What it is, what it gets, and the sentence that the test looks for."""
    try:
        decision = decide(
            machine.wish, machine.adapters, machine.why_unknown, machine.gpu, machine.host, machine.settings
        )
    except Refused as refusal:
        return machine.about, "refused", str(refusal)
    said = [*decision["reasons"], *decision["cautions"]]
    why = next((sentence for sentence in said if machine.says in sentence), "")
    return machine.about, f"**{TITLES[decision['name']]}**", why


def cards_page() -> str:
    lines = [
        "# Which backend does my computer get?",
        "",
        "<!-- Written by tools/backends_page.py from module_utils/colab_ready/gpu/catalog.py and the backends;",
        "change those, not this page. -->",
        "",
        *fill(
            "A backend is the way in which PyTorch reaches your GPU. `./colab-ready` looks which GPU there is and picks the "
            "best one that runs on it; `./colab-ready verify` shows what was picked and why. Find your card below. You would "
            "rather have another backend? `./colab-ready -e colab_backend=directml` takes that one, if the computer can have it."
        ),
        "## Find your card",
        "",
    ]
    lines += fill(
        "*On request* means: it works for some, but nobody promises it, so it is only taken with `colab_backend` (for ROCm on "
        "such a card: `./colab-ready -e colab_backend=rocm -e rocm_experimental=true`). *gfx…* is "
        "AMD's name of the chip. *AMD's bridge* (`librocdxg`) is what lets ROCm in WSL reach the Windows driver; it opens the "
        "chips that it knows, and those in its file `dids.conf`. On native Linux there is no DirectML."
    )
    lines += cards()
    lines += fill(
        "Your card is not here? An AMD card that the table does not know gets DirectML in WSL, since ROCm needs to know the "
        "chip; a new Intel one gets DirectML, and XPU on request. One line in `module_utils/colab_ready/gpu/catalog.py` adds it."
    )
    lines += ["## The rules", ""]
    for number, rule in enumerate(RULES, 1):
        lines += fill(rule, f"{number}. ")
    head = ("backend", "for", "PyTorch's word", "Python", "processor", "to fetch", "on disk")
    lines += ["", "## The backends", "", *table(head, [backend_row(backend) for backend in BACKENDS])]
    lines += fill(
        "Sizes are about what the environment with PyTorch takes; the server's takes 0.1 GB to fetch and 0.3 GB more. They are "
        "measured for the CPU and DirectML, stated by the package indexes for most of CUDA and ROCm, and for XPU's disk an "
        "estimate. `./colab-ready --check` says them for this computer. ROCm's sizes and Pythons are those of the default "
        "release; another `rocm_version` has others."
    )
    lines += fill(f"What {len(MACHINES)} computers get that the tests describe: [computers.md](computers.md).")
    return "\n".join(lines).rstrip() + "\n"


def computers_page() -> str:
    lines = [
        f"# {len(MACHINES)} computers",
        "",
        "<!-- Written by tools/backends_page.py from tests/fixtures/machines.py; change that, not this page. -->",
        "",
    ]
    lines += fill(
        "Every one is a test: its adapters as Windows or Linux describes them go in, and this answer has to come out. It is "
        "what is decided, on computers that were described to a test; whether a backend then runs on yours only its own "
        "tensor sum shows."
    )
    for title, group in GROUPS:
        lines += [
            f"## {title}",
            "",
            *table(("computer", "gets", "because"), [machine_row(machine) for machine in group]),
        ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/backends.md and docs/computers.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether a page is out of date")
    wish = parser.parse_args()
    pages = {DOCS / "backends.md": cards_page(), DOCS / "computers.md": computers_page()}
    old = {page: text for page, text in pages.items() if not page.exists() or page.read_text(encoding="utf-8") != text}
    for page, text in old.items():
        state = "out of date: run tools/backends_page.py" if wish.check else "written"
        print(f"{page.relative_to(PROJECT)} is {state}")
        if not wish.check:
            page.write_text(text, encoding="utf-8")
    return 1 if old and wish.check else 0


if __name__ == "__main__":
    sys.exit(main())

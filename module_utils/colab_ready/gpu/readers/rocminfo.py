# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rocminfo prints, of any ROCm from 6.1 to 10.0.

Its words are for people and have moved over the years: blanks at the ends of lines, no indentation where
it was pasted, a runtime's own lines in between. What counts is in the agents, so only those and the first line are read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_AGENT = re.compile(r"^(?:\*+\n)?Agent +[0-9]+ *\n(?:\*+\n)?", re.MULTILINE)
_FIELD = re.compile(r"^ *([A-Z][\w .()/]*?):[ \t]*(.*)$", re.MULTILINE)
_GFX = re.compile(r"gfx[1-9][0-9a-f]{2,4}")
_SIZE = re.compile(r"^ *Segment: +GLOBAL; FLAGS: COARSE GRAINED *\n *Size: +([0-9]{1,15})\(", re.MULTILINE)
# "WSL environment detected." up to 7.2 and with some of the wheels, "WSL2 environment detected." since 7.14.
_IN_WSL = re.compile(r"^WSL2? environment detected", re.MULTILINE)
_NATIVE = re.compile(r"^ROCk module (version \S+ )?is loaded", re.MULTILINE)
# What it prints last.
DONE = "*** Done ***"


class Agent(NamedTuple):
    """A processor or a GPU. What is not said is empty, or 0. `kind` is CPU, GPU, DSP."""

    kind: str
    name: str
    gfx: str
    device_id: str
    address: str
    bytes: int


class Rocminfo(NamedTuple):
    """`where` is wsl, linux or empty. `complete`: printed to its end, whether or not it then hung (ROCm/librocdxg#17)."""

    where: str
    runtime: str
    agents: list[Agent]
    complete: bool

    @property
    def gpus(self) -> list[Agent]:
        return [agent for agent in self.agents if agent.gfx]


def parse(text: str) -> Rocminfo:
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    before, *rest = _AGENT.split(text)
    runtime = re.search(r"^ *Runtime Version: +(\S+)", before, re.MULTILINE)
    return Rocminfo(
        "wsl" if _IN_WSL.search(text) else "linux" if _NATIVE.search(text) else "",
        runtime.group(1) if runtime else "",
        [_agent(one) for one in rest],
        DONE in text,
    )


def _agent(text: str) -> Agent:
    said: dict[str, str] = {}
    for key, value in _FIELD.findall(text):
        # The first of a name is the agent's own; later ones are of its pools and of its instruction sets.
        said.setdefault(key, value.strip())
    kind = said.get("Device Type", "")
    gfx = _GFX.fullmatch(said.get("Name", ""))
    chip = re.search(r"\(0x([0-9a-f]{1,4})\)", said.get("Chip ID", "").lower())
    # bus << 8 | device << 3 | function; 0 where WSL does not tell.
    bdf = int(said["BDFID"]) if re.fullmatch(r"[0-9]{1,5}", said.get("BDFID", ""), re.ASCII) else 0
    size = _SIZE.search(text)
    return Agent(
        kind,
        said.get("Marketing Name") or said.get("Name", ""),
        gfx.group(0) if gfx and kind == "GPU" else "",
        chip.group(1).zfill(4) if chip and int(chip.group(1), 16) else "",
        f"0000:{bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7}" if 0 < bdf <= 0xFFFF else "",
        int(size.group(1)) << 10 if size else 0,
    )

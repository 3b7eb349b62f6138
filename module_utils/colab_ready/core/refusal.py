# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be done on a host: each problem in three parts, all of them in one message."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Sequence


@dataclass(frozen=True)
class Problem:
    """What is wrong, what was expected, what to do."""

    id: str
    what: str
    expected: str
    do: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def sentence(self) -> str:
        return f"{self.what}. Expected: {self.expected}. Do: {self.do}."


class Refusal(ValueError):
    """A wish that cannot be met, with all that is wrong with it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(problem.sentence() for problem in problems))
        self.problems = problems


def message(problems: Sequence[Problem]) -> str:
    """All problems as one text to act on."""
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{number}. {problem.sentence()}" for number, problem in enumerate(problems, 1)]
    return "\n".join([f"This host and what was asked for do not fit yet ({count}). Nothing was changed.", *lines])

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step of the handshake's probe may say, and how: none says the token, and each has its time."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote, quote_plus

REQUEST_SECONDS = 15.0
TEXT_CHARACTERS = 300

Report = Callable[[dict], None]


class Problem(Exception):
    """A step's bad end. `problem` is the word that the verdict looks up."""

    def __init__(self, problem: str, text: str) -> None:
        super().__init__(text)
        self.problem = problem


class DoorStays(Exception):
    """A step has failed and was reported; what depends on it is not reached."""


class Redactor:
    """Takes the token out of texts, in each form in which an address may carry it."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def learn(self, token: str) -> None:
        once = quote(token, safe="")
        forms = {token, token.strip(), once, quote_plus(token), quote(once, safe=""), json.dumps(token)[1:-1]}
        # A word of a few letters is no secret (`token_weak`), and would turn every text into dots.
        self._secrets = sorted((form for form in forms if len(form) >= 8), key=len, reverse=True)

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[token]")
        return re.sub(r"(token(?:=|%3D|%253D))[^&\s\"'\\]+", r"\1[token]", text, flags=re.IGNORECASE)

    def any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.any(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.any(item) for item in value]
        return value


class RedactedStream:
    """stdout and stderr of this process: asyncio and tornado write tracebacks there by themselves."""

    def __init__(self, stream: Any, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor

    def write(self, text: str) -> int:
        self._stream.write(self._redactor.text(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())[:TEXT_CHARACTERS]


class Ledger:
    """Runs steps and writes down how each ended."""

    def __init__(self, report: Report, deadline: float) -> None:
        self._report = report
        self._deadline = deadline

    async def step(
        self,
        name: str,
        work: Awaitable[Any],
        limit: float = REQUEST_SECONDS,
        silence: str = "no_answer",
        late: bool = False,
    ) -> Any:
        """The work's value; it returns (value, detail). `silence` is the problem if it takes too long. `late`: it may
        pass the deadline, because it clears away."""
        if not late:
            limit = max(min(limit, self._deadline - time.monotonic()), 0.01)
        self._report({"step": name, "begin": True})
        started = time.perf_counter()

        def tell(ok: bool, detail: str, **more: Any) -> None:
            seconds = round(time.perf_counter() - started, 4)
            self._report({"step": name, "ok": ok, "seconds": seconds, "detail": detail[:TEXT_CHARACTERS], **more})

        try:
            value, detail = await asyncio.wait_for(work, limit)
        except Problem as problem:
            tell(False, str(problem), problem=problem.problem)
        except asyncio.TimeoutError:
            tell(False, f"no answer within {limit:.3g} s", problem=silence)
        except Exception as error:
            tell(False, short(error), problem="broken_answer")
        else:
            tell(True, detail)
            return value
        raise DoorStays(name)

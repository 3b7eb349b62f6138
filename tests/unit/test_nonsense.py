"""What reads the words of another user's programs and files: nonsense is never an error, and nothing of it reaches a terminal."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.rocm import dids
from ansible.module_utils.colab_ready.core.text import cleaned
from ansible.module_utils.colab_ready.files import safe_open
from ansible.module_utils.colab_ready.gpu.readers import rocminfo
from ansible.module_utils.colab_ready.jupyter import config_paths, planted_config
from ansible.module_utils.colab_ready.proof import handshake_verdict, report, tensor_verdict

NONSENSE: list[Any] = [
    None,
    True,
    -1,
    10**400,
    1e999,
    float("nan"),
    "",
    "\x1b]0;OWNED\x07\x1b[2K\nREADY",
    "9" * 5000,
    [],
    [[[]]],
    {},
    {"\x1b": "\x1b"},
    [10**400, 1e999, None],
]
ENDED = {"kind": "ok", "signal": None, "code": 0, "class": None, "text": "", "problem": None}
EMPTY: dict[str, Any] = {
    "running": [],
    "last_step": None,
    "exit": ENDED,
    "noise": [],
    "noise_lines": 0,
    "stderr_tail": [],
    "seconds": 1.0,
}
TORCH = {
    "version": "2.13.0",
    "host": {"wsl": False},
    "devices": [{"index": 0, "name": "GPU", "memory_bytes": 1, "gfx": "gfx1100", "capability": "8.6"}],
    "index": 0,
    "adapter": "GPU",
    "count": 1,
    "bundled_hsa": False,
    "gpu": {"name": "GPU", "memory_bytes": 1, "torch": "2.13.0", "gfx": "gfx1100"},
    "free_bytes": 1,
    "device_bytes_per_second": 1.0,
    "cpu_bytes_per_second": 1.0,
    "bytes": 1,
    "error": {"class": "RuntimeError", "text": "no"},
    "problem": "torch_broken",
}
RESULT = {
    "values": {key: [0.5] * 10 for key in tensor_verdict.VALUES},
    "device": "cpu",
    "device_type": "cpu",
    "text": "tensor",
    "versions": {"python": "3.11", "torch": "2.13", "numpy": None},
    "warnings": ["w"],
    "numpy_clash": "",
    "cell": {"direct": {"output": "2"}},
}


def told(planned: list[str], ok: bool) -> dict[str, Any]:
    steps = [{"step": name, "ok": ok, "seconds": 0.1, "detail": "fine", **copy.deepcopy(TORCH)} for name in planned]
    return {
        **copy.deepcopy(EMPTY),
        "steps": [*steps, {"step": "throughput", "ok": True, **TORCH}],
        "result": copy.deepcopy(RESULT),
    }


def damaged(value: Any, nonsense: Any) -> Iterator[Any]:
    """The same with nonsense in one place, for each place in it."""
    if isinstance(value, dict):
        for key in value:
            for one in [*damaged(value[key], nonsense), nonsense]:
                yield {**value, key: one}
    elif isinstance(value, list) and value:
        for one in [*damaged(value[0], nonsense), nonsense]:
            yield [one, *value[1:]]


def assert_harmless(answer: Any) -> None:
    text = json.dumps(answer, allow_nan=False, ensure_ascii=False)
    assert text.isprintable()
    assert not any(f"\\{letter}" in text for letter in ("u00", "n", "r"))


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda one: repr(one)[:20])
@pytest.mark.parametrize("ok", [True, False])
@pytest.mark.parametrize("backend", sorted(tensor_verdict.TENSOR_BACKENDS))
def test_a_probe_of_tensors_that_says_nonsense_is_judged(backend: str, ok: bool, nonsense: Any) -> None:
    outcome = told(tensor_verdict.TENSOR_BACKENDS[backend]["steps"], ok)
    for result in damaged(outcome["result"], nonsense):
        assert_harmless(tensor_verdict.judge_tensor({**outcome, "result": as_heard(result)}, backend))
    for name in {step["step"] for step in outcome["steps"]}:
        index = next(number for number, step in enumerate(outcome["steps"]) if step["step"] == name)
        for step in damaged(outcome["steps"][index], nonsense):
            heard = as_heard({**step, "step": name})
            steps = [*outcome["steps"][:index], heard, *outcome["steps"][index + 1 :]]
            assert_harmless(tensor_verdict.judge_tensor({**outcome, "steps": steps}, backend))


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda one: repr(one)[:20])
@pytest.mark.parametrize("ok", [True, False])
def test_a_handshake_that_says_nonsense_is_judged(ok: bool, nonsense: Any) -> None:
    outcome = told(list(handshake_verdict.handshake_plan(True)), ok)
    for result in damaged(outcome["result"], nonsense):
        assert_harmless(
            handshake_verdict.judge_handshake({**outcome, "result": as_heard(result)}, True, "cuda", "rocm")
        )
    for index, known in enumerate(outcome["steps"][:-1]):
        for step in damaged({key: known[key] for key in ("ok", "seconds", "detail", "problem", "error")}, nonsense):
            steps = [
                *outcome["steps"][:index],
                as_heard({**step, "step": known["step"]}),
                *outcome["steps"][index + 1 :],
            ]
            assert_harmless(handshake_verdict.judge_handshake({**outcome, "steps": steps}, True, "cuda", "rocm"))


def as_heard(said: Any) -> Any:
    """As run_probe hands on what came through its pipe."""
    return cleaned(said) if isinstance(said, dict) else {}


TEXTS = [
    "",
    "[" * 200_000,
    "9" * 5000,
    "1e999",
    "NaN",
    '{"schema": 1, "requests": 1e999}',
    "\x1b]0;OWNED\x07",
    '{"schema": [1]}',
    "null",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_a_file_of_nonsense_counts_as_none(text: str, tmp_path: Path) -> None:
    assert not safe_open.parse_object(text) or text.startswith("{")
    with pytest.raises(ValueError):
        report.parse_browser_note(text)
    folder = tmp_path / "jupyter_server_config.d"
    folder.mkdir()
    (folder / "x.json").write_text(text)
    assert report.judge_extension(str(tmp_path), "x", True)["ok"] is False
    for effects in (
        planted_config.config_effects("jupyter_config.json", text.encode()),
        planted_config.data_effects("kernels", "\x1b[2K", text.encode()),
    ):
        assert planted_config.sentence(effects).isprintable()


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_tables_of_nonsense_have_nothing_in_them(text: str) -> None:
    assert dids.parse(text) == []
    assert rocminfo.parse(text).agents == []
    assert config_paths.distributions([text, f"{text[:50]}.dist-info"]) is not None

"""dids.conf is added to and taken back from, and what somebody wrote there stays as it was."""

from __future__ import annotations

import pytest
from ansible.module_utils.colab_ready.backends.rocm import dids
from ansible.module_utils.colab_ready.backends.rocm.dids import Entry

RX_7600 = dids.entry_for("7480", "gfx1102")
RX_6600 = dids.entry_for("73ff", "gfx1032")


@pytest.mark.parametrize(
    ("device", "gfx", "line"),
    [
        ("7480", "gfx1102", "0x7480,11,0,2"),
        ("73df", "gfx1031", "0x73DF,10,3,1"),
        ("15BF", "gfx1103", "0x15BF,11,0,3"),
        ("740f", "gfx90a", "0x740F,9,0,10"),
        ("7550", "gfx1201", "0x7550,12,0,1"),
    ],
)
def test_an_entry_is_made_from_id_and_gfx(device: str, gfx: str, line: str) -> None:
    entry = dids.entry_for(device, gfx)
    assert (entry.line(), entry.gfx) == (line, gfx)
    assert dids.parse(line + "\n") == [entry]


@pytest.mark.parametrize(
    ("device", "gfx"), [("7480", "gfx11"), ("7480", ""), ("", "gfx1102"), ("zzzz", "gfx1102"), ("1002:7480", "gfx1102")]
)
def test_what_is_no_card_is_no_entry(device: str, gfx: str) -> None:
    with pytest.raises(ValueError, match="no card"):
        dids.entry_for(device, gfx)


GRAMMAR = [
    ("0x7480,11,0,2", [Entry(0x7480, 11, 0, 2)]),
    ("29824,11,0,2", [Entry(0x7480, 11, 0, 2)]),
    ("0x7480, 0xB ,0, 2  # RX 7600", [Entry(0x7480, 11, 0, 2)]),
    ("  0X7480\t,11,00,02", [Entry(0x7480, 11, 0, 2)]),
    ("# 0x7480,11,0,2", []),
    ("", []),
    ("0x7480,11,0", []),
    ("7480h,11,0,2", []),
    ("0x7480;11;0;2", []),
    ("-1,11,0,2", []),
    ("# ids\n0x73FF,10,3,2\nwhat\n0x73DF,10,3,1\n", [RX_6600, Entry(0x73DF, 10, 3, 1)]),
]


@pytest.mark.parametrize(("text", "entries"), GRAMMAR)
def test_the_grammar_is_the_bridge_s(text: str, entries: list[Entry]) -> None:
    assert dids.parse(text) == entries


TEXTS = [
    "",
    "# AMD's\n",
    "# AMD's\n0x73DF,10,3,1\n",
    "0x73DF,10,3,1",
    "\n\n# by hand, badly: 0x7480\nwhat\n",
    "# from Windows\r\n0x73DF,10,3,1\r\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_entry_is_added_once_behind_what_is_there(text: str) -> None:
    merged = dids.merge(text, [RX_7600])
    assert merged.added == ["0x7480,11,0,2"]
    assert merged.text.startswith(text)
    assert RX_7600 in dids.parse(merged.text)
    assert ("\r\n" in text) is merged.text.endswith("2\r\n")
    again = dids.merge(merged.text, [RX_7600, RX_7600])
    assert again == (merged.text, [], [])


@pytest.mark.parametrize("text", [text for text in TEXTS if not text or text.endswith("\n")])
def test_what_was_added_is_taken_back_and_nothing_else(text: str) -> None:
    merged = dids.merge(text, [RX_7600, RX_6600])
    assert len(merged.added) == 2
    assert dids.without(merged.text, merged.added) == text


def test_a_line_that_the_user_had_is_not_taken_back() -> None:
    own = "0x7480,11,0,2\n"
    merged = dids.merge(own, [RX_7600])
    assert (merged.text, merged.added, merged.problems) == (own, [], [])
    assert dids.without(own, merged.added) == own
    assert dids.without("0x7480,11,0,2 # mine\n0x7480,11,0,2\n", ["0x7480,11,0,2"]) == "0x7480,11,0,2 # mine\n"
    assert dids.without("0x7480,11,0,2\n# mine\n0x7480,11,0,2\n", ["0x7480,11,0,2"]) == "0x7480,11,0,2\n# mine\n"
    assert dids.without("# nothing of ours\n", ["0x7480,11,0,2"]) == "# nothing of ours\n"


def test_another_gfx_for_the_card_is_the_user_s_to_correct() -> None:
    own = "0x7480,11,0,0\n"
    merged = dids.merge(own, [RX_7600])
    assert (merged.text, merged.added) == (own, [])
    (problem,) = merged.problems
    assert problem.id == "dids_other"
    assert "7480 is gfx1100, and it is gfx1102" in problem.sentence()


def test_a_full_list_is_said_and_not_made_longer() -> None:
    full = "".join(f"0x{number:04X},10,3,0\n" for number in range(dids.ENTRIES_MAX))
    merged = dids.merge(full, [RX_7600])
    assert (merged.text, merged.added, [problem.id for problem in merged.problems]) == (full, [], ["dids_full"])


def test_the_file_lies_where_the_bridge_looks() -> None:
    assert dids.path_beside("/opt/rocm/lib/librocdxg.so.1.2.2") == "/opt/rocm/share/rocdxg/dids.conf"

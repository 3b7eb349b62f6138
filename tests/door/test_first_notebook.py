"""docs/first-notebook.ipynb, cell by cell on a converged host, as Colab runs it: a session, then the kernel's websocket."""

from __future__ import annotations

import json
import re
import struct
import uuid
import zlib
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from converged_host import ConvergedHost
from door.visitor import SECONDS, Visitor, session
from websockets.sync.client import ClientConnection

NOTEBOOK = Path(__file__).parents[2] / "docs" / "first-notebook.ipynb"
CELLS: dict[str, str] = {
    cell["id"]: "".join(cell["source"])
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    if cell["cell_type"] == "code"
}
PRINTED = 1e-4 / 2  # torch prints four digits


@dataclass
class Shown:
    """What Colab shows below a cell."""

    text: str = ""
    error: str = ""
    images: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def shown(converged: ConvergedHost) -> dict[str, Shown]:
    """Every code cell's output, run once from top to bottom on one kernel, which ends with its session."""
    with converged.network():
        colab = Visitor(converged.port, converged.token)
        with session(colab) as kernel:
            channels = colab.with_token(f"/api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}")
            with colab.socket(channels) as opened:
                cells = {name: run(opened, code) for name, code in CELLS.items()}
        assert kernel not in {left["id"] for left in colab.ask("GET", "/api/kernels").json()}, "it outlived its session"
    return cells


def run(opened: ClientConnection, code: str) -> Shown:
    number = uuid.uuid4().hex
    header = {"msg_id": number, "msg_type": "execute_request", "session": number, "username": "", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    opened.send(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"})
    )
    cell = Shown()
    while True:
        received = json.loads(opened.recv(timeout=2 * SECONDS))
        if received["parent_header"].get("msg_id") != number:
            continue
        kind, said = received["msg_type"], received["content"]
        if kind == "stream" and said["name"] == "stdout":
            cell.text += said["text"]
        elif kind == "display_data" and "image/png" in said["data"]:
            cell.images.append(b64decode(said["data"]["image/png"]))
        elif kind == "error":
            cell.error = f"{said['ename']}: {said['evalue']}"
        elif kind == "status" and said["execution_state"] == "idle":
            return cell


@pytest.mark.parametrize("cell", CELLS)
def test_no_cell_ends_with_an_error(shown: dict[str, Shown], cell: str) -> None:
    assert shown[cell].error == ""


def test_the_first_cell_names_this_computer_and_says_that_no_gpu_is_used(
    shown: dict[str, Shown], converged: ConvergedHost
) -> None:
    text = shown["device"].text
    assert f"Computer: {converged.must('hostname').strip()} with Linux" in text
    assert "Device: cpu - the CPU. No GPU is used." in text
    assert "Google's computer" not in text


def test_the_sum_that_is_printed_is_the_sum_of_what_is_printed(shown: dict[str, Shown]) -> None:
    found = re.findall(r"^tensor\(\[(.*?)\], device='(.*?)'\)", shown["addition"].text, re.MULTILINE | re.DOTALL)
    values = [[float(number) for number in numbers.split(",")] for numbers, _device in found]
    assert [len(numbers) for numbers in values] == [10, 10, 10]
    assert values[2] == pytest.approx([a + b for a, b in zip(values[0], values[1], strict=True)], abs=3.1 * PRINTED)
    assert {device for _numbers, device in found} == {"cpu"}
    assert "The CPU finds the same sum." in shown["addition"].text
    assert "No GPU took part" in shown["addition"].text


def test_the_timing_has_numbers_for_two_sizes_and_claims_no_gpu(shown: dict[str, Shown]) -> None:
    found = re.findall(r"^ *(\d+) x (\d+) +CPU +([\d.]+) ms$", shown["timing"].text, re.MULTILINE)
    assert len({size for size, _same, _ms in found}) == 2
    assert all(size == same and float(ms) > 0 for size, same, ms in found)
    assert "There is no GPU to compare with" in shown["timing"].text
    assert "CPU / GPU" not in shown["timing"].text


def test_the_picture_is_one_png_and_not_blank(shown: dict[str, Shown]) -> None:
    assert [len(shown[cell].images) for cell in CELLS] == [int(cell == "picture") for cell in CELLS]
    rows = pixels(shown["picture"].images[0])
    height, width = len(rows), len(rows[0])
    assert height > 200 and width > 300
    # Well inside the axes, so that neither the frame nor the title counts.
    inner = {pixel for row in rows[height // 3 : height * 2 // 3] for pixel in row[width // 3 : width * 2 // 3]}
    assert len(inner) > 16, f"{len(inner)} colours in the middle"


def pixels(png: bytes) -> list[list[tuple[int, ...]]]:
    """The rows of an 8-bit RGB or RGBA picture (https://www.w3.org/TR/png-3/), as matplotlib writes them."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    place = 8
    while place < len(png):
        size, kind = struct.unpack_from(">I4s", png, place)
        chunks[kind] = chunks.get(kind, b"") + png[place + 8 : place + 8 + size]
        place += size + 12
    width, height, depth, colour, _compression, _filter, interlace = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, interlace) == (8, 0) and colour in (2, 6)
    step = 3 if colour == 2 else 4
    data = zlib.decompress(chunks[b"IDAT"])
    assert len(data) == height * (1 + width * step)
    rows = []
    above = bytes(width * step)
    for start in range(0, len(data), 1 + width * step):
        above = unfiltered(data[start], data[start + 1 : start + 1 + width * step], above, step)
        rows.append([tuple(above[at : at + step]) for at in range(0, len(above), step)])
    return rows


def unfiltered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    """A row without its filter: each byte is a difference to what stands left of it, above it, or both."""
    row = bytearray(line)
    for at in range(len(row)):
        left = row[at - step] if at >= step else 0
        up = above[at]
        corner = above[at - step] if at >= step else 0
        if kind == 1:
            row[at] = (row[at] + left) & 255
        elif kind == 2:
            row[at] = (row[at] + up) & 255
        elif kind == 3:
            row[at] = (row[at] + (left + up) // 2) & 255
        elif kind == 4:
            guess: Any = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
            row[at] = (row[at] + nearest[2]) & 255
    return bytes(row)

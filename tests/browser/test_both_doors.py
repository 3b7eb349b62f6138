"""Colab's page, in a real browser, against the server that ./colab-ready set up: through both doors to a picture."""

from __future__ import annotations

import pytest
from browser.conftest import StartBrowser
from converged_host import ConvergedHost


@pytest.fixture
def picture_name() -> str:
    """docs/colab-page.png: COLAB_READY_TEST_SCREENSHOTS=docs ./colab-ready test browser -k every_step_green"""
    return "colab-page"


NOT_BLANK = """
picture => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const brush = canvas.getContext("2d");
  brush.drawImage(picture, 0, 0);
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) colours.add(`${data[i]} ${data[i + 1]} ${data[i + 2]}`);
  return { width: canvas.width, colours: colours.size };
}
"""


def test_colabs_page_sees_every_step_green_and_the_pictures(
    inside: ConvergedHost, start_browser: StartBrowser, address: str
) -> None:
    """And `verify` sees that a browser came."""
    page = start_browser("granted").open()
    page.connect(address)
    steps = page.steps()
    assert [name for name, step in steps.items() if step["state"] != "ok"] == [], steps
    assert len(steps) == 17
    assert page.preflights[0] == "/api/kernelspecs", "the browser asked no preflight: that step proved nothing"
    for step in ("cell", "ws_cell"):
        assert steps[step]["saw"] == "tensor([11., 22., 33., 44.]) cpu"
    pictures = page.page.query_selector_all(".cell img")
    assert len(pictures) == 2
    for picture in pictures:
        seen = picture.evaluate(NOT_BLANK)
        assert seen["width"] > 100 and seen["colours"] > 10, f"the picture is blank: {seen}"
    assert inside.token not in page.page.content()
    report = inside.verify()
    assert report["checks"]["browser"]["ok"] is True
    assert [remedy["id"] for remedy in report["remedies"] if remedy["where"] == "browser"] == []

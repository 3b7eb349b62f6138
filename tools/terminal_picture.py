#!/usr/bin/env python3
"""Draw what a terminal shows as docs/terminal.svg.

The text with its colours comes on standard input, for example from tmux, after a real run in its window:

    tmux capture-pane -p -e | tools/terminal_picture.py > docs/terminal.svg
"""

from __future__ import annotations

import io
import re
import sys

from rich.ansi import AnsiDecoder
from rich.console import Console


def picture(shown: str) -> str:
    """The SVG of a terminal window with this text, without the font that rich would have fetched."""
    # One decoder for all lines: tmux says a colour once, where it begins.
    lines = list(AnsiDecoder().decode(shown.rstrip()))
    width = max(line.cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, soft_wrap=True)
    svg = console.export_svg(title="./colab-ready", unique_id="colab-ready")
    # Nothing is loaded from elsewhere when somebody opens the README; the viewer's own monospace font will do.
    return re.sub(r"\n\s*@font-face \{[^}]*\}", "", svg)


if __name__ == "__main__":
    sys.stdout.write(picture(sys.stdin.read()))

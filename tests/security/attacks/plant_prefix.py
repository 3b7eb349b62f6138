"""A folder of a user's that root is going to build in: with a uv of the user's where root expects its own.

plant_prefix.py FOLDER VERSION_OF_UV
"""

from __future__ import annotations

import sys
from pathlib import Path

UV_TEXT = """\
#!/bin/sh
[ "$(id -u)" != 0 ] || echo "$0 $*" >>/root/owned-by-a-prefix
echo "uv %s"
"""


def main(folder: Path, version: str) -> None:
    uv = folder / "tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text(UV_TEXT % version)
    uv.chmod(0o755)
    (folder / "tools" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "tools" / "uv.txt").write_text(f"uv=={version}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""A file that root left in a folder of the user's (sudo does that) is moved to where root gives things to the user.

    hand_over.py FILE ENVIRONMENT

And the same with a second name of it, where the system lets users make one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def main(file: Path, environment: Path) -> None:
    site = next(environment.glob("lib/python3.*/site-packages"))
    for name in ("one", "two"):
        (site / f"handed-{name}").mkdir(exist_ok=True)
    with contextlib.suppress(OSError):
        os.link(file, site / "handed-two" / file.name)
    file.rename(site / "handed-one" / file.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""What somebody does who may write in a checkout: a line of theirs in a module that root is going to run.

edit_module.py CHECKOUT         the line, into the file that is there or in place of it
edit_module.py CHECKOUT COPY    the same in a copy, which takes the place of the checkout
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

LINE = """\
import contextlib, getpass
with contextlib.suppress(OSError):
    open("/root/owned-by-" + getpass.getuser(), "a").write(__file__)
"""
FIRST = "from __future__ import annotations\n"


def main(checkout: Path, copy: str = "") -> None:
    if copy:
        shutil.copytree(checkout, copy)
        checkout.rename(checkout.with_name("theirs"))
        os.rename(copy, checkout)
    for module in (
        checkout / "library" / "gpu_device.py",
        checkout / "module_utils" / "colab_ready" / "proof" / "report.py",
    ):
        text = module.read_text().replace(FIRST, FIRST + LINE, 1)
        if os.access(module, os.W_OK):
            module.write_text(text)
        elif os.access(module.parent, os.W_OK):
            module.unlink()
            module.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command of ./colab-ready; started by it with `-I -B`, so that nothing of the caller's is imported or written."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

CHECKOUT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    # Not the checkout itself, where nobody has looked yet and a json.py would come before Python's own.
    sys.path.insert(0, str(CHECKOUT / "module_utils"))
    sys.modules["launcher"] = ModuleType("launcher")
    sys.modules["launcher"].__path__ = [str(CHECKOUT / "launcher")]
    from launcher.commands import main

    sys.exit(main(sys.argv[1:], CHECKOUT))

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jupyter_http_over_ws 0.0.8 needs and no longer finds: two things, each said where it is given.

The package was last changed in August 2021 and takes no outside contributions (its README), so the repair is done
around it. Where a thing is still there (notebook 6, Python 3.11, setuptools on a newer Python), it is left alone.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any


def _has(module: str, name: str) -> bool:
    with warnings.catch_warnings():
        # Python 3.10 and 3.11 say at this import that distutils will go.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return hasattr(importlib.import_module(module), name)
        except ImportError:
            return False


def _module(name: str, **contents: Any) -> types.ModuleType:
    module = types.ModuleType(name, "Stand-in by colab_http_over_ws.")
    module.__dict__.update(contents)
    return module


def distutils_stand_ins() -> dict[str, types.ModuleType]:
    """Fix 1, as modules: `from distutils import version` works where Python has no distutils (PEP 632: 3.12 and later).

    `jupyter_http_over_ws/handlers.py` compares the caller's `min_version` with its own version by StrictVersion: it needs
    a ValueError for what is no version, comparison, and `str()`. All of that has packaging, which Jupyter brings along.
    """
    if _has("distutils.version", "StrictVersion"):
        return {}
    from packaging.version import Version

    version = _module("distutils.version", StrictVersion=Version)
    return {"distutils": _module("distutils", __path__=[], version=version), "distutils.version": version}


def notebook_stand_ins() -> dict[str, types.ModuleType]:
    """Fix 2: `notebook.base.handlers.IPythonHandler` and `notebook.utils.url_path_join` on notebook 7, or without any.

    notebook 7 moved its server to jupyter_server and dropped both modules, so the import ends in "No module named
    'notebook.base'". jupyter_server's JupyterHandler is that IPythonHandler under its new name (jupyter_server was
    split off notebook 6), with the same `check_origin`, `log`, `config` and `settings`. A `notebook` that is really
    installed stays what it is; only the submodules that it lacks are given.
    """
    found: dict[str, types.ModuleType] = {}
    if not _has("notebook.base.handlers", "IPythonHandler"):
        from jupyter_server.base.handlers import JupyterHandler

        handlers = _module("notebook.base.handlers", IPythonHandler=JupyterHandler)
        found["notebook.base.handlers"] = handlers
        found["notebook.base"] = _module("notebook.base", __path__=[], handlers=handlers)
    if not _has("notebook.utils", "url_path_join"):
        from jupyter_server.utils import url_path_join

        found["notebook.utils"] = _module("notebook.utils", url_path_join=url_path_join)
    if found and not _has("notebook", "__name__"):
        found["notebook"] = _module("notebook", __path__=[])
    return found


@contextlib.contextmanager
def importable(stand_ins: Mapping[str, types.ModuleType]) -> Iterator[None]:
    """Let these modules be imported inside the block, and leave `sys.modules` as it was after it.

    jupyter_http_over_ws takes what it needs while it is imported and keeps its own references, so nothing else in the
    server ever sees a stand-in (a library that asks "is there a distutils?" still gets the true answer).
    """
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def import_jupyter_http_over_ws() -> types.ModuleType:
    """Import jupyter_http_over_ws with whatever stand-ins this Python and this Jupyter make necessary."""
    with importable({**distutils_stand_ins(), **notebook_stand_ins()}), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("jupyter_http_over_ws")

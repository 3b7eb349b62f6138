#!/usr/bin/env python3
"""Print how much of module_utils each module takes along: for every task Ansible sends all files that a module imports, whole.

tools/payload.py [CHECKOUT]    a line for each module, in KB of source, the largest first
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PREFIX = "ansible.module_utils."


def imported(path: Path, utils: Path) -> set[Path]:
    """Return the files of module_utils that a file imports, and the __init__.py of each folder above them."""
    found: set[Path] = set()
    package = path.relative_to(utils).parts if path.is_relative_to(utils) else ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            if node.level:
                parts = [*package[: -node.level], *module]
            elif (node.module or "").startswith(PREFIX):
                parts = module[2:]
            else:
                continue
            for names in [parts, *([*parts, alias.name] for alias in node.names)]:
                file = utils.joinpath(*names).with_suffix(".py")
                if file.is_file():
                    found |= {file, *(folder / "__init__.py" for folder in file.parents if utils in folder.parents)}
    return found


def closure(path: Path, utils: Path) -> set[Path]:
    """Return all files of module_utils that come with a module."""
    found: set[Path] = set()
    new = imported(path, utils)
    while new:
        found |= new
        new = {other for one in new for other in imported(one, utils)} - found
    return found


def main() -> None:
    project = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sizes = {}
    for module in [*project.glob("library/*.py"), *project.glob("roles/*/library/*.py")]:
        files = closure(module, project / "module_utils")
        sizes[module.stem] = (sum(one.stat().st_size for one in files) / 1024, len(files))
    for name, (size, count) in sorted(sizes.items(), key=lambda item: -item[1][0]):
        print(f"{size:6.0f} KB in {count:2} files  {name}")


if __name__ == "__main__":
    main()

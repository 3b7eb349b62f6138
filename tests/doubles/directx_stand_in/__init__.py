"""Compile the stand-ins for WSL's libdxcore.so and libd3d12.so into a folder, and say what they answer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = {"libdxcore.so": "dxcore_factory.c", "libd3d12.so": "d3d12.c"}
# torch-directml's libraries ask for the functions of libd3d12.so under this version.
VERSIONS = "VER_1 { global: D3D12*; local: *; };\n"


def build(folder: Path, names: Sequence[str] = tuple(SOURCES)) -> Path:
    """The folder, with these libraries in it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError(
            "The stand-ins for WSL's libraries cannot be compiled: there is no C compiler. Expected: cc, gcc or clang. "
            "Do: apt install gcc libc6-dev."
        )
    folder.mkdir(parents=True, exist_ok=True)
    versions = folder / "versions"
    versions.write_text(VERSIONS, encoding="ascii")
    for name in names:
        command = [
            compiler,
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{name}",
        ]
        if name == "libd3d12.so":
            command.append(f"-Wl,--version-script={versions}")
        command += ["-o", str(folder / name), str(HERE / SOURCES[name])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"The stand-in for {name} cannot be compiled by {compiler}:\n{done.stderr}")
    return folder


def environment(folder: Path, wish: str = "") -> dict[str, str]:
    """What a program needs to find them; `wish` as at the top of the two sources."""
    return {"LD_LIBRARY_PATH": str(folder), "DIRECTX_STAND_IN": wish}

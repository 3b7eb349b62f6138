#!/usr/bin/env python3
"""Build what the scenario `directml` needs besides a host: `directml_stage.py FOLDER`, with tests/ in PYTHONPATH.

FOLDER/lib      libdxcore.so, libd3d12.so, libd3d12core.so for /usr/lib/wsl/lib; nothing in them but that they are stand-ins
FOLDER/wsl      for /var/tmp/checks/wsl: the preloaded stand-in for /dev/dxg, its description, and python3, which preloads it
FOLDER/wheels   the stand-in for torch-directml, made for the torch of the tests' kernel environment
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import python_environments
from doubles import dxg_stand_in

TESTS = Path(__file__).resolve().parent.parent
PROJECT = TESTS.parent
IN_HOST = "/var/tmp/checks/wsl"
# Navi 22 is none that ROCm takes in WSL. Windows lists its software adapter beside every card.
CARD = dxg_stand_in.Adapter(
    name="AMD Radeon RX 6700 XT",
    ids=(0x1002, 0x73DF, 0x1EAE, 0x6601, 0xC1),
    dedicated=12 << 30,
    luid=(0xABCD, 0),
)
SOFTWARE = dxg_stand_in.Adapter(
    name="Microsoft Basic Render Driver",
    ids=(0x1414, 0x008C, 0, 0, 0),
    dedicated=0,
    bits=dxg_stand_in.RENDER | dxg_stand_in.SOFTWARE,
    address=(0, 0, 0),
    luid=(0xABCE, 0),
)
PYTHON = f"""\
#!/bin/sh
# STAND-IN for a WSL with a graphics card: the host's Python, with a /dev/dxg that answers (dxg_stand_in).
export LD_PRELOAD={IN_HOST}/dxg_stand_in.so DXG_STAND_IN={IN_HOST}/description DXG_STAND_IN_LOG={IN_HOST}/violations
export DXG_STAND_IN_PATH=/dev/dxg WSL_INTEROP=/run/WSL/1_interop
exec /usr/bin/python3 "$@"
"""


def libraries(folder: Path) -> None:
    for name in ("libdxcore.so", "libd3d12.so", "libd3d12core.so"):
        source = f'const char stand_in[] = "STAND-IN for {name}: nothing in it";'
        command = ["cc", "-shared", "-x", "c", "-", f"-Wl,-soname,{name}", "-o", str(folder / name)]
        subprocess.run(command, input=source, text=True, check=True)
        (folder / name).chmod(0o444)


def device(folder: Path) -> None:
    shutil.copy(dxg_stand_in.build(), folder / "dxg_stand_in.so")
    lines = dxg_stand_in.Machine([CARD, SOFTWARE]).lines()
    (folder / "description").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    (folder / "python3").write_text(PYTHON, encoding="ascii")
    (folder / "violations").touch()
    for name, mode in (("dxg_stand_in.so", 0o755), ("description", 0o644), ("python3", 0o755), ("violations", 0o666)):
        (folder / name).chmod(mode)


def wheel(folder: Path) -> None:
    lock = PROJECT / "roles" / "cpu" / "files" / "kernel_cpu.txt"
    python = python_environments.build("kernel", lock, torch=True)
    build = TESTS / "doubles" / "torch_directml_stand_in" / "build.py"
    subprocess.run([sys.executable, str(build), "--python", str(python), "--out", str(folder)], check=True)
    for path in folder.iterdir():
        path.chmod(0o644)


def main() -> int:
    (stage,) = (Path(argument) for argument in sys.argv[1:])
    shutil.rmtree(stage, ignore_errors=True)
    for name, fill in (("lib", libraries), ("wsl", device), ("wheels", wheel)):
        (stage / name).mkdir(parents=True)
        fill(stage / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())

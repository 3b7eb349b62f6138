#!/usr/bin/env python3
"""Build what the hosts of the scenario `cuda_xpu` have before anything of ours is there: `cuda_xpu_stage.py FOLDER`, with
tests/ in PYTHONPATH.

    FOLDER/colab-ready-cuda     the root of a tree of files: WSL's libraries with NVIDIA's driver among them, the preloaded
                                stand-in for /dev/dxg with a GeForce, indexes of torch for CUDA 13.0 and 13.2, a driver for
                                Linux as a package
    FOLDER/colab-ready-xpu      the same with an Arc and a processor's graphics, an index of torch for XPU, Intel's repository
    FOLDER/intel.fingerprint    of the key that signs that

Everything in it is a stand-in, and says so. What reads it (apt, gpgv, uv, the loader, our own code) is real.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import directml_stage
from doubles import dxg_stand_in
from doubles.dxg_stand_in import Adapter
from doubles.intel_repository import IntelRepository
from doubles.torch_stand_in.build import torch_wheel, wheel

DOUBLES = Path(__file__).resolve().parents[1] / "doubles"
CHECKS = Path("var/tmp/checks")
WSL_LIBRARIES = Path("usr/lib/wsl/lib")

GEFORCE = Adapter(
    name="NVIDIA GeForce RTX 4070 (stand-in)",
    ids=(0x10DE, 0x2786, 0x10DE, 0x16F3, 0xA1),
    dedicated=12 << 30,
    driver_version=(32, 0, 15, 8129),
)
ARC = Adapter(
    name="Intel(R) Arc(TM) A770 Graphics (stand-in)",
    ids=(0x8086, 0x56A0, 0x8086, 0x1020, 0x08),
    dedicated=16 << 30,
    driver_version=(32, 0, 101, 8132),
    luid=(0xABCD, 0),
)
UHD = Adapter(
    name="Intel(R) UHD Graphics 770 (stand-in)",
    ids=(0x8086, 0xA780, 0x1043, 0x8882, 0x04),
    dedicated=128 << 20,
    driver_version=(32, 0, 101, 7026),
    bits=dxg_stand_in.RENDER | dxg_stand_in.INTEGRATED,
    address=(0, 2, 0),
    luid=(0xABCF, 0),
)
# What torch's own metadata asks for, but the libraries of the card's maker, for which the CPU's lock stands in.
TORCH_WANTS = ("filelock", "fsspec", "jinja2", "networkx>=2.5.1", "sympy>=1.13.3", "typing-extensions>=4.10.0")


def device(root: Path, adapters: dict[str, list[Adapter]]) -> None:
    """What /dev/dxg answers: `description`, and others under their names, to be put in its place."""
    folder = root / CHECKS / "wsl"
    folder.mkdir(parents=True)
    shutil.copy(dxg_stand_in.build(), folder / "dxg_stand_in.so")
    for name, shown in adapters.items():
        lines = dxg_stand_in.Machine([*shown, directml_stage.SOFTWARE]).lines()
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    (folder / "python3").write_text(directml_stage.PYTHON, encoding="ascii")
    (folder / "violations").touch()
    for name, mode in (("dxg_stand_in.so", 0o755), ("python3", 0o755), ("violations", 0o666)):
        (folder / name).chmod(mode)
    libraries = root / WSL_LIBRARIES
    libraries.mkdir(parents=True)
    directml_stage.libraries(libraries)


def nvidia_driver(root: Path) -> None:
    """As Windows gives it to a WSL. It runs CUDA up to 13.1, which is not the newest."""
    libraries, state = root / WSL_LIBRARIES, root / CHECKS / "nvidia"
    state.mkdir(parents=True)
    source = DOUBLES / "libcuda_stand_in" / "libcuda_stand_in.c"
    options = ["-shared", "-fPIC", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1"]
    subprocess.run(["cc", *options, str(source), "-o", str(libraries / "libcuda.so.1")], check=True)
    program = f'#!/bin/sh\n# STAND-IN for nvidia-smi\nexec /usr/bin/python3 -I /{CHECKS}/nvidia/smi.py /{CHECKS}/nvidia "$@"\n'
    (libraries / "nvidia-smi").write_text(program, encoding="ascii")
    for name in ("libcuda.so.1", "nvidia-smi"):
        (libraries / name).chmod(0o555)
    shutil.copy(DOUBLES / "standin_nvidia_smi.py", state / "smi.py")
    good = {
        "ceiling": "13.1", "driver": "591.44", "fault": "",
        "cards": [[str(GEFORCE.name).removesuffix(" (stand-in)"), "8.9"]],
    }  # fmt: skip
    others: dict[str, dict[str, object]] = {
        "nvidia_smi": {},
        "good": {},
        "newer": {"ceiling": "13.3", "driver": "610.12", "fault": "new"},
        "old": {"ceiling": "11.4", "driver": "472.12"},
    }
    for name, other in others.items():
        (state / f"{name}.json").write_text(json.dumps({**good, **other}), encoding="ascii")
    (state / "calls.log").touch()
    (state / "calls.log").chmod(0o666)


def index(folder: Path, wheels: Iterable[Path]) -> None:
    """A package index of these wheels, as uv and pip read it (PEP 503)."""
    for path in wheels:
        project = folder / path.name.partition("-")[0].replace("_", "-")
        project.mkdir(parents=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path = path.replace(project / path.name)
        link = f'<a href="{quote(path.name)}#sha256={digest}">{path.name}</a>'
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>\n", encoding="ascii")


def torch_for_cuda(root: Path, stage: Path) -> None:
    shown = {"name": GEFORCE.name, "capability": "8.9", "bytes": GEFORCE.dedicated}
    for tag in ("cu130", "cu132"):
        torch = torch_wheel(stage, f"2.14.0+{tag}", "cuda", [shown], requires=TORCH_WANTS)
        vision = wheel(stage, "torchvision", f"0.29.0+{tag}", requires=["torch==2.14.0"])
        index(root / CHECKS / "index" / tag, [torch, vision])


def torch_for_xpu(root: Path, stage: Path) -> None:
    shown = [{"name": one.name, "bytes": one.dedicated} for one in (ARC, UHD)]
    wants = (*TORCH_WANTS, "triton-xpu==3.7.2")
    torch = torch_wheel(stage, "2.13.0+xpu", "xpu", shown, requires=wants)
    triton = wheel(stage, "triton-xpu", "3.7.2", files={"triton/__init__.py": "# a stand-in for triton-xpu\n"})
    vision = wheel(stage, "torchvision", "0.28.0+xpu", requires=["torch==2.13.0"])
    index(root / CHECKS / "index" / "xpu", [triton, torch, vision])


def cuda(root: Path, stage: Path) -> None:
    device(root, {"description": [GEFORCE]})
    nvidia_driver(root)
    torch_for_cuda(root, stage)


def xpu(root: Path, stage: Path) -> None:
    device(root, {"description": [UHD, ARC]})
    torch_for_xpu(root, stage)
    repository = IntelRepository(root / CHECKS / "intel")
    repository.end()
    (stage / "intel.fingerprint").write_text(f"{repository.fingerprint}\n", encoding="ascii")


def main() -> int:
    (stage,) = (Path(argument) for argument in sys.argv[1:])
    shutil.rmtree(stage, ignore_errors=True)
    for name, fill in (("colab-ready-cuda", cuda), ("colab-ready-xpu", xpu)):
        (stage / name).mkdir(parents=True)
        fill(stage / name, stage)
    return 0


if __name__ == "__main__":
    sys.exit(main())

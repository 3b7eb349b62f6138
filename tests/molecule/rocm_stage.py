#!/usr/bin/env python3
"""Build what the scenario `rocm` needs besides two hosts: `rocm_stage.py FOLDER`, with tests/ in PYTHONPATH.

FOLDER/lib                 libdxcore.so, libd3d12.so, libd3d12core.so for /usr/lib/wsl/lib
FOLDER/wsl                 for /var/tmp/checks/wsl: the preloaded stand-in for /dev/dxg, and python3, which preloads it
FOLDER/HOST/description    which adapters it shows on that host
FOLDER/rocm                for /var/tmp/checks/rocm, where the network would be:
    repository             AMD's apt repositories and the bridge's releases (doubles/rocm_repository)
    index                  AMD's index of wheels for ROCm 10.0.0, by name
    links                  AMD's folder of wheels for ROCm 7.2.4
    rocminfo               the recorded outputs of rocminfo; the file `now` names the one that is printed
FOLDER/bridge.sha256, FOLDER/fingerprint    what a user of a mirror would tell about it
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import directml_stage
from doubles import dxg_stand_in
from doubles.dxg_stand_in import INTEGRATED, RENDER, SOFTWARE, Adapter
from doubles.rocm_repository import Package, StandIn
from doubles.torch_stand_in.build import torch_wheel, wheel

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "rocminfo"
PLACE = "/var/tmp/checks/rocm"
LIGHT, PINNED = "colab-ready-rocm", "colab-ready-rocm-pinned"

XT_9070 = Adapter("AMD Radeon RX 9070 XT", (0x1002, 0x7550, 0x1EAE, 0x8801, 0xC0), 16 << 30, luid=(0xABCD, 0))
XTX_7900 = Adapter("AMD Radeon RX 7900 XTX", (0x1002, 0x744C, 0x1EAE, 0x7901, 0xC8), 24 << 30, luid=(0xABCD, 0))
# Windows lists what is in the processor first, and so does the runtime.
GRAPHICS = Adapter(
    "AMD Radeon(TM) Graphics", (0x1002, 0x164E, 0x1849, 0x364E, 0xC4), 512 << 20, bits=RENDER | INTEGRATED,
    address=(15, 0, 0), luid=(0xABCC, 0),
)  # fmt: skip
BASIC = Adapter(
    "Microsoft Basic Render Driver",
    (0x1414, 0x008C, 0, 0, 0),
    0,
    bits=RENDER | SOFTWARE,
    address=(0, 0, 0),
    luid=(0xABCE, 0),
)
MACHINES = {LIGHT: [XT_9070, BASIC], PINNED: [GRAPHICS, XTX_7900, BASIC]}

# With the wheels of 10.0.0 it is in the kernel environment's bin, of 7.2.4 in /opt/rocm/bin.
ROCMINFO = f"""\
#!/bin/sh
# STAND-IN for rocminfo: prints a recorded output and asks no driver.
cd {PLACE}/rocminfo || exit 3
name=$(cat now)
CONDITION
cat "$name"
case $name in bad_*) exit 1 ;; esac
"""
WITHOUT_CONDITION = ROCMINFO.replace("CONDITION\n", "")
# ROCm 7.2 does not look for WSL's GPU by itself.
WITH_CONDITION = ROCMINFO.replace("CONDITION", '[ "$HSA_ENABLE_DXG_DETECTION" = 1 ] || name=bad_not_loaded.txt')
HSA = "STAND-IN for libhsa-runtime64.so.1: nothing in it\n"


def rocminfo(folder: Path) -> None:
    for path in FIXTURES.glob("*.txt"):
        shutil.copy(path, folder / path.name)
    # The machines of the recorded outputs are others; what is printed about a card is the same but for its name.
    beside = (FIXTURES / "good_10.0.0_card_beside_igpu.txt").read_text(encoding="utf-8")
    alone = (FIXTURES / "good_10.0.0_from_the_wheels.txt").read_text(encoding="utf-8")
    light = alone.replace("gfx1101", "gfx1201").replace("gfx11-", "gfx12-").replace("RX 7800 XT", "RX 9070 XT")
    pinned = (
        beside.replace("WSL2 environment", "WSL environment").replace("gfx1201", "gfx1100").replace("gfx12-", "gfx11-")
    )
    (folder / f"good_{LIGHT}.txt").write_text(light, encoding="utf-8")
    (folder / f"good_{PINNED}.txt").write_text(pinned.replace("RX 9070 XT", "RX 7900 XTX"), encoding="utf-8")


def index(folder: Path) -> None:
    """For 10.0.0: torch brings AMD's runtime as packages of their own, and those of the card by an extra."""
    wheels = folder.with_name("wheels")
    wheels.mkdir()
    targets = ("gfx1100", "gfx1201")
    extras = {f"device-{gfx}": [f"rocm-sdk-device-{gfx}==10.0.0"] for gfx in targets}
    # Its index also has what is newer, and what is of another time; a version is never taken because it is the newest.
    for torch in ("2.13.0", "2.12.0"):
        torch_wheel(
            wheels,
            f"{torch}+rocm10.0.0",
            "rocm",
            [{"name": XT_9070.name, "gfx": "gfx1201", "bytes": 15 << 30}],
            requires=["filelock", "typing-extensions>=4.10.0", "rocm-sdk-core==10.0.0", "rocm-sdk-libraries==10.0.0"],
            extras=extras,
        )
    wheel(wheels, "torchvision", "0.28.0+rocm10.0.0", requires=["numpy", "torch==2.13.0+rocm10.0.0"], extras=extras)
    wheel(wheels, "torchaudio", "2.11.0.2+rocm10.0.0", requires=["torch"])
    runtime = {"_rocm_sdk_core/lib/libhsa-runtime64.so.1": HSA}
    wheel(wheels, "rocm-sdk-core", "10.0.0", files=runtime, scripts={"rocminfo": WITHOUT_CONDITION})
    wheel(wheels, "rocm-sdk-libraries", "10.0.0", requires=["rocm-sdk-core==10.0.0"])
    for gfx in targets:
        wheel(wheels, f"rocm-sdk-device-{gfx}", "10.0.0", requires=["rocm-sdk-core==10.0.0"])
    for path in sorted(wheels.iterdir()):
        package = folder / path.name.partition("-")[0].replace("_", "-")
        package.mkdir(exist_ok=True)
        path.rename(package / path.name)
    for package in folder.iterdir():
        links = [
            f'<a href="{path.name.replace("+", "%2B")}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>\n'
            for path in sorted(package.iterdir())
        ]
        (package / "index.html").write_text(f"<!DOCTYPE html>\n{''.join(links)}", encoding="utf-8")


def links(folder: Path) -> None:
    """For 7.2.4: torch carries a runtime of its own, which knows no WSL. Without the variable it counts no device there."""
    torch_wheel(
        folder,
        "2.10.0+rocm7.2.4.lw.git3d3aa833",
        "rocm",
        [
            {"name": GRAPHICS.name, "gfx": "gfx1036", "bytes": 512 << 20},
            {"name": XTX_7900.name, "gfx": "gfx1100", "bytes": 22 << 30},
        ],
        requires=["triton==3.6.0+rocm7.2.4.git4ed88892"],
        files={"torch/lib/libhsa-runtime64.so.1": HSA},
        environment={"HSA_ENABLE_DXG_DETECTION": "1"},
    )
    wheel(folder, "torchvision", "0.25.0+rocm7.2.4.git82df5f59")
    wheel(folder, "torchaudio", "2.10.0+rocm7.2.4.git5047768f")
    wheel(folder, "triton", "3.6.0+rocm7.2.4.git4ed88892")


def repository(stage: Path) -> None:
    made = StandIn(stage / "rocm" / "repository", f"{PLACE}/repository", WITH_CONDITION)
    try:
        made.copy("of-a-stranger", made.classic).sign_with(made.stranger)
        # What another release put there, for a user who has followed an older page.
        Package("rocm-core", "6.4.2.60402-120~24.04").build(made.folder)
        (stage / "bridge.sha256").write_text(made.bridge_sha256, encoding="ascii")
        (stage / "fingerprint").write_text(made.amd.fingerprint, encoding="ascii")
    finally:
        made.end()


def main() -> int:
    (stage,) = (Path(argument) for argument in sys.argv[1:])
    shutil.rmtree(stage, ignore_errors=True)
    folders = {
        "lib": directml_stage.libraries,
        "wsl": directml_stage.device,
        "rocm/rocminfo": rocminfo,
        "rocm/index": index,
    }
    for name, fill in {**folders, "rocm/links": links}.items():
        (stage / name).mkdir(parents=True)
        fill(stage / name)
    (stage / "rocm" / "repository").mkdir()
    repository(stage)
    shutil.rmtree(stage / "rocm" / "wheels")
    for host, adapters in MACHINES.items():
        (stage / host).mkdir()
        lines = dxg_stand_in.Machine(adapters).lines()
        (stage / host / "description").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        (stage / host / "now").write_text(f"good_{host}.txt\n", encoding="ascii")
    # apt reads it as a user of its own, and so does whoever runs the kernels.
    subprocess.run(["chmod", "-R", "a+rX", str(stage)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A stand-in for NVIDIA's nvidia-smi: no driver behind it, only what a file beside it says.

    python standin_nvidia_smi.py FOLDER [--query-gpu=FIELDS --format=csv,noheader]

FOLDER/nvidia_smi.json holds {"ceiling": "13.3", "driver": "581.29", "cards": [[name, compute_cap], ..], "fault": ""}; every
card's name ends in "(stand-in)". FOLDER/calls.log gets a line for each call. Faults are what the real program was seen to say:

    blocked    GPU access blocked by the operating system (WSL: microsoft/WSL#9962)
    mismatch   Driver/library version mismatch (an update without a restart)
    no_driver  it could not reach the driver
    no_device  it finds none, with status 6
    lost       a card has gone
    old        it does not know compute_cap (before driver 470)
    hang       no answer
    new        the heading of driver 610 and later: "CUDA UMD Version"

The headings are composed after those that people show of the real program; no driver was at hand to compare them with.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

FAULTS = {
    "blocked": (
        "Failed to initialize NVML: GPU access blocked by the operating system\n"
        "Failed to properly shut down NVML: GPU access blocked by the operating system",
        17,
    ),
    "mismatch": ("Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95", 18),
    "no_driver": (
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver "
        "is installed and running.\n",
        9,
    ),
    "no_device": ("No devices were found", 6),
    "lost": ("Unable to determine the device handle for GPU0: 0000:01:00.0: Unknown Error", 255),
}


def heading(said: dict[str, str], new: bool) -> str:
    driver, ceiling = said["driver"], said["ceiling"]
    if new:
        line = f"NVIDIA-SMI {driver:<21} KMD Version: {driver:<14} CUDA UMD Version: {ceiling}"
    else:
        line = f"NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {ceiling}"
    bar = "+" + "-" * 89 + "+"
    return f"Wed Nov 25 12:00:00 2026\n{bar}\n| {line:<87} |\n| {'STAND-IN for nvidia-smi':<87} |\n{bar}"


def main() -> int:
    folder = Path(sys.argv[1])
    arguments = sys.argv[2:]
    with (folder / "calls.log").open("a") as log:
        log.write(" ".join(arguments) + "\n")
    said = json.loads((folder / "nvidia_smi.json").read_text())
    fault = said.get("fault", "")
    if fault == "hang":
        time.sleep(600)
    if fault in FAULTS:
        text, status = FAULTS[fault]
        print(text)
        return status
    query = next((one.partition("=")[2].split(",") for one in arguments if one.startswith("--query-gpu=")), None)
    if query is None:
        print(heading(said, fault == "new"))
        return 0
    if fault == "old" and "compute_cap" in query:
        print('Field "compute_cap" is not a valid field to query.')
        return 2
    for name, capability in said["cards"]:
        values = {"name": f"{name} (stand-in)", "compute_cap": capability, "driver_version": said["driver"]}
        print(", ".join(values.get(field, "[N/A]") for field in query))
    return 0


if __name__ == "__main__":
    sys.exit(main())

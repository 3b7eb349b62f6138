# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which torch fails under cuda and xpu, as data: what it says, what that means, what to do, and where.

Evidence in, the id of a remedy out. For ROCm the tables are those of backends/rocm/faults.py. The texts are PyTorch's own and
those of the issues named beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..backends.registry import TORCH_DEVICES
from ..backends.rocm import faults as rocm_faults
from ..backends.rocm.faults import State
from ..backends.torch_devices import TorchDevices
from ..core.remedy import AGAIN, AGAIN_FIRST, HERE, SETTLED, USE_CPU, VERIFY, Evidence, Remedy, build_anew, give, within

# --- what to do -----------------------------------------------------------------------------------------------------

_NVIDIA = (
    "Install NVIDIA's newest driver (in WSL: on Windows, then in PowerShell: wsl --update; wsl --shutdown), then "
    f"{HERE}{VERIFY}"
)
# Both sides of WSL have a driver of Intel's, and an old one on either counts no GPU (pytorch/pytorch#194487).
_INTEL = (
    "Install Intel's newest graphics driver (in WSL: on Windows, then in PowerShell: wsl --update; wsl --shutdown), then "
    f"{HERE}{AGAIN}, which brings the packages of Intel that go with it"
)
_OTHERWISE = f"{USE_CPU}; in WSL perhaps {give('colab_backend=directml')}"
_RESTART = "In WSL: wsl --shutdown in PowerShell; else restart the computer"

# Ids are names that documents refer to: they may be added, not changed.
REMEDIES: dict[str, Remedy] = {
    # which device, whatever the backend
    "adapter_unclear": Remedy(
        "Which of PyTorch's devices is the graphics card that was chosen cannot be told by its name or its kind.",
        f"{give('colab_gpu=NAME')} with one of the cards that it sees.",
    ),
    "no_such_device": Remedy(
        "PyTorch has no device of this number.", "In the cell: the device without a number, or with one that it lists."
    ),
    "gpu_facts": Remedy(
        "The sum is right, but PyTorch does not say what the card is, so it is not shown which one added.", build_anew()
    ),
    "gpu_memory": Remedy(
        "The graphics card's memory is full; the backend itself is fine.",
        "Close what else uses the card (on Windows too), restart notebooks that hold memory; take a smaller model or batch.",
        "windows",
    ),
    # CUDA
    "cuda_other_torch": Remedy(
        "This PyTorch was not built for CUDA: another one was installed over it, such as the one for the CPU.",
        build_anew("cuda"),
    ),
    "cuda_no_device": Remedy(
        "PyTorch finds no card of NVIDIA.",
        f"{_NVIDIA}. CUDA_VISIBLE_DEVICES must be unset, and a container wants --gpus all; until then {_OTHERWISE}.",
        "windows",
    ),
    "cuda_no_driver": Remedy(
        "PyTorch finds no driver of NVIDIA (libcuda.so.1; in WSL Windows puts it into /usr/lib/wsl/lib).",
        f"{_NVIDIA}. Never install a driver in WSL itself.",
        "windows",
    ),
    "cuda_driver_old": Remedy(
        "NVIDIA's driver is older than the CUDA that this PyTorch was built for.",
        f"{_NVIDIA}. Or {HERE}{AGAIN}, which takes a build that the driver can run.",
        "windows",
    ),
    "cuda_mismatch": Remedy(
        "libcuda and NVIDIA's driver are of different versions: the driver was updated, or a library hides WSL's own.",
        f"{_RESTART}; then {HERE}{VERIFY}. In WSL also: wsl --update; and no driver of NVIDIA in WSL itself ({HERE}sudo apt-get "
        "remove 'nvidia-driver-*' 'libnvidia-compute-*').",
        "windows",
    ),
    "cuda_fabric": Remedy(
        "NVIDIA's cards of this machine are joined by NVSwitch, and the service that joins them does not run, or is not of the "
        "driver's version (error 802, pytorch/pytorch#35710).",
        "Install nvidia-fabricmanager of the very version that nvidia-smi shows for the driver (boards since B200 want nvlsm "
        f"too), then: sudo systemctl enable --now nvidia-fabricmanager; then {VERIFY}. For a container or a virtual machine that "
        "is done on its host.",
    ),
    "cuda_compat": Remedy(
        "libcuda is of a compatibility package (cuda-compat) that is not for this card (error 804).",
        f"sudo apt-get remove 'cuda-compat-*', then {VERIFY}.",
    ),
    "cuda_kernel_image": Remedy(
        "This PyTorch has no code for the card: the card is older, or newer, than the build.",
        f"{AGAIN_FIRST}, which takes a build that has it, and install nothing over torch; until then {_OTHERWISE}.",
    ),
    "cuda_busy": Remedy(
        "Another program has the card for itself, or the driver does not give it away.",
        f"End what uses it (nvidia-smi shows it). {_RESTART}.",
        "windows",
    ),
    "cuda_init": Remedy(
        "NVIDIA's driver does not start in this process (pytorch/pytorch#150048).",
        f"{_RESTART}; then {HERE}{VERIFY}. If it stays: {within(_NVIDIA)}.",
        "windows",
    ),
    "cuda_failed": Remedy(
        "The card failed while it computed.",
        f"{_RESTART}; then {HERE}{VERIFY}. If it stays: {within(_NVIDIA)}.",
        "windows",
    ),
    "cuda_crashes": Remedy(
        "NVIDIA's driver or CUDA ended the process.",
        f"{_NVIDIA}. If it stays at the same step, {_OTHERWISE}.",
        "windows",
    ),
    "cuda_hangs": Remedy(
        "NVIDIA's driver does not come back.",
        f"{_RESTART}; then {HERE}{VERIFY}. If it hangs at the same step again: {within(_NVIDIA)}.",
        "windows",
    ),
    "cuda_unknown": Remedy(
        "CUDA failed in a way that this version does not know.",
        f"{_NVIDIA}. If it stays, {_OTHERWISE}, and tell us the text.",
        "windows",
    ),
    # ROCm, besides backends/rocm/faults.py
    "rocm_no_device": Remedy(
        "PyTorch for ROCm finds no GPU, and says no reason.",
        "Run ./colab-ready verify: its check rocminfo shows whether ROCm itself sees the card. HIP_VISIBLE_DEVICES and "
        f"ROCR_VISIBLE_DEVICES must be unset; until then {_OTHERWISE}.",
    ),
    # XPU
    "xpu_other_torch": Remedy(
        "This PyTorch was not built for XPU: another one was installed over it, such as the one for CUDA "
        "(pytorch/pytorch#150260).",
        build_anew("xpu"),
    ),
    "xpu_no_device": Remedy(
        "PyTorch finds no GPU of Intel: the driver is older than it needs, or the GPU is (pytorch/pytorch#147226, #194487).",
        f"{_INTEL}. Without WSL also look whether the user who runs the kernels may open /dev/dri/renderD128 (ls -l shows its "
        f"group, a container wants --device /dev/dri); until then {_OTHERWISE}.",
        "windows",
    ),
    "xpu_runtime": Remedy(
        "Intel's runtime for computing (Level Zero) is missing or incomplete.",
        f"{AGAIN_FIRST}: it installs what is missing.",
    ),
    "xpu_lost": Remedy(
        "Intel's driver lost the GPU while it computed (UR_RESULT_ERROR_DEVICE_LOST, intel/torch-xpu-ops#4870).",
        f"{_INTEL}. If it stays, {_OTHERWISE}.",
        "windows",
    ),
    "xpu_float64": Remedy("This GPU has no double precision.", "Stay in float32."),
    "xpu_failed": Remedy("Intel's driver refused, or failed.", f"{_INTEL}. If it stays, {_OTHERWISE}.", "windows"),
    "xpu_crashes": Remedy(
        "Intel's driver ended the process (intel/torch-xpu-ops#4045, intel/intel-extension-for-pytorch#761).",
        f"{_INTEL}. If it stays at the same step, {_OTHERWISE}.",
        "windows",
    ),
    "xpu_hangs": Remedy(
        "Intel's driver does not come back.",
        f"{_RESTART}; then {HERE}{VERIFY}. If it hangs at the same step again: {within(_INTEL)}.",
        "windows",
    ),
    "xpu_unknown": Remedy(
        "XPU failed in a way that this version does not know.",
        f"{_INTEL}. If it stays, {_OTHERWISE}, and tell us the text.",
        "windows",
    ),
}

# --- what it says ---------------------------------------------------------------------------------------------------

# Matched without regard to case; what says more stands before what says less.
CUDA: Sequence[tuple[str, str]] = (
    (r"Error 802\b|system not yet initialized|SYSTEM_NOT_READY", "cuda_fabric"),
    (r"forward compatibility was attempted on non supported HW|Error 804\b", "cuda_compat"),
    # The first is of a Linux driver inside WSL as well as of an update; the second, of libraries that are older than the driver.
    (r"unsupported display driver / cuda driver combination|Error 803\b|named symbol not found", "cuda_mismatch"),
    (r"driver on your system is too old|driver version is insufficient|unsupported toolchain", "cuda_driver_old"),
    (r"Found no NVIDIA driver|libcuda\.so[.\d]*: cannot open shared object", "cuda_no_driver"),
    (r"no kernel image is available|device kernel image is invalid|invalid device function", "cuda_kernel_image"),
    (r"device\S* .{0,20}busy or unavailable|all CUDA-capable devices are busy", "cuda_busy"),
    (r"cudaGetDeviceCount|CUDA driver initialization failed|CUDA unknown error|initialization error", "cuda_init"),
    (r"CUDA out of memory|CUDA error: out of memory", "gpu_memory"),
    (r"No CUDA GPUs are available|no CUDA-capable device", "cuda_no_device"),
    (r"invalid device ordinal", "no_such_device"),
    (
        r"illegal memory access|unspecified launch failure|uncorrectable ECC|launch timed out|CUDA error: unknown error"
        r"|fallen off the bus|uncorrectable NVLink|hardware stack error"
        r"|operation not supported|illegal instruction was encountered|misaligned address",
        "cuda_failed",
    ),
    (r"not compiled with CUDA", "cuda_other_torch"),
)
XPU: Sequence[tuple[str, str]] = (
    (r"libze_loader\.so[.\d]*: cannot open shared object|libze_intel_gpu", "xpu_runtime"),
    (r"XPU out of memory|OUT_OF_DEVICE_MEMORY|OUT_OF_RESOURCES", "gpu_memory"),
    (r"OUT_OF_HOST_MEMORY", "out_of_memory"),
    (r"DEVICE_LOST|GPU HANG|\[(drm|xe)\].*(reset|wedged)", "xpu_lost"),
    (r"aspect fp64|fp64 is not supported|double precision", "xpu_float64"),
    (
        r"No XPU devices are available|Failed to initialize XPU devices|XPU device count is zero|DEVICE_NOT_FOUND"
        r"|No device of requested type",
        "xpu_no_device",
    ),
    (r"device (index|ordinal).{0,40}(out of range|invalid)|invalid device ordinal", "no_such_device"),
    (r"not compiled with XPU", "xpu_other_torch"),
    (r"backend failed with error|Native API (failed|returns)|(UR|ZE)_RESULT_ERROR", "xpu_failed"),
)
TEXTS: Mapping[str, Sequence[tuple[str, str]]] = {"cuda": CUDA, "xpu": XPU}
# The allocator's words: 0 bytes free is the bridge's or Windows' fault, and no shortage (ROCm/librocdxg#22).
_HIP_MEMORY = re.compile(
    r"(HIP|CUDA) out of memory|HIP error: out of memory|hipErrorOutOfMemory|aborting with error.*OUT_OF_RESOURCES",
    re.IGNORECASE,
)
_NOTHING_FREE = re.compile(r"of which 0 bytes is free", re.IGNORECASE)

# Words of the probe that say all there is to say. The others (no device) have causes, which the texts tell.
_SAID = frozenset(
    [
        *("adapter_unclear", "adapter_not_seen", "no_such_device", "wrong_device", "wrong_sum"),
        *(f"{one}_other_torch" for one in TORCH_DEVICES),
    ]
)


def _of_any(side: TorchDevices) -> dict[str, Remedy]:
    """What there is to say of a backend that has said nothing else."""
    driver = f"See to the driver that {side.title} needs; then {VERIFY}. If it stays, {_OTHERWISE}."
    causes = {
        "no_device": f"PyTorch for {side.title} finds no GPU.",
        "crashes": f"{side.title} ended the process.",
        "hangs": f"{side.title} does not come back.",
        "unknown": f"{side.title} failed in a way that this version does not know.",
    }
    other = Remedy(
        f"This PyTorch was not built for {side.title}: another one was installed over it.",
        build_anew(side.name),
    )
    return {
        f"{side.name}_other_torch": other,
        **{f"{side.name}_{kind}": Remedy(why, driver) for kind, why in causes.items()},
    }


# Of ROCm they are in backends/rocm/faults.py.
for _side in TORCH_DEVICES.values():
    REMEDIES.update(_of_any(_side) if _side.name not in (*TEXTS, "rocm") else {})


def remedy_for(backend: str, failure: Evidence, state: State | None = None) -> str:
    """The id of the remedy for a step that failed on cuda, rocm or xpu."""
    if failure.usual in SETTLED:
        return failure.usual
    if backend == "rocm":
        return _rocm(failure, state or State())
    if failure.problem in _SAID:
        return failure.problem
    # Where nothing was found, that it was not found says least.
    first = [*failure.said, *failure.heard] if failure.problem else failure.said
    found = by_text(backend, first) or by_text(backend, failure.heard)
    if found:
        return found
    if failure.problem or failure.early:
        return failure.problem or failure.usual
    if failure.ended:
        return f"{backend}_hangs" if failure.ended == "timeout" else f"{backend}_crashes"
    return f"{backend}_unknown"


def by_text(backend: str, lines: Sequence[str]) -> str | None:
    text = "\n".join(lines)
    return next((remedy for pattern, remedy in TEXTS.get(backend, ()) if re.search(pattern, text, re.IGNORECASE)), None)


def _rocm(failure: Evidence, state: State) -> str:
    text = "\n".join([*failure.said, *failure.heard])
    if _HIP_MEMORY.search(text):
        return "rocm_no_free_memory" if state.wsl and _NOTHING_FREE.search(text) else "gpu_memory"
    if failure.problem == "adapter_not_seen" and state.id_known is False:
        # The bridge works, since it shows another card; this one's id it does not have.
        return "rocm_rdna2" if state.rdna2_or_older else "rocm_dids_missing"
    if failure.problem in _SAID:
        return failure.problem
    known = replace(
        state,
        torch=failure.torch or state.torch,
        torch_devices=state.torch_devices if failure.count is None else failure.count,
        bundled_hsa=state.bundled_hsa if failure.bundled_hsa is None else failure.bundled_hsa,
    )
    # A death while torch is imported says nothing of the bridge, unless there are words.
    ended = "" if failure.early else failure.ended
    found = rocm_faults.remedy_for(rocm_faults.Evidence(failure.said, failure.heard, ended, state=known))
    if found == "rocm_torch_blind" and not known.card_seen:
        # Its words alone do not tell whether it is torch that is blind; a rocminfo that has come to its end does.
        if known.rocminfo is None or not known.rocminfo.agents:
            return "rocm_no_device"
        found = rocm_faults.remedy_for(rocm_faults.Evidence(state=replace(known, torch_devices=None)))
    if found not in rocm_faults.UNKNOWN:
        return found
    return failure.problem or (
        failure.usual if failure.early else "rocm_no_device" if known.torch_devices == 0 else found
    )


# --- in a cell ------------------------------------------------------------------------------------------------------

_OF_ROCM = re.compile(r"\bHIP\b|hip[A-Z]|HSA_|ROCm|CreateContext")


def cell_remedy(backend: str, device_type: str, detail: str, ended: str, wsl: bool) -> str | None:
    """The remedy for a cell that failed on a GPU; None where nothing tells. Where `backend` is empty, a device of cuda is one
    of ROCm if its words are. `ended`: signal where the kernel died, timeout where it did not come back."""
    known = backend or {"xpu": "xpu"}.get(device_type, "rocm" if _OF_ROCM.search(detail) else "")
    if known == "rocm":
        found = _rocm(Evidence(said=[detail], ended=ended), State(wsl=wsl))
        return None if found in rocm_faults.UNKNOWN else found
    found_by_text = by_text(known or "cuda", [detail])
    if found_by_text or not known or not ended:
        return found_by_text
    return f"{known}_hangs" if ended == "timeout" else f"{known}_crashes"


# --- once more ------------------------------------------------------------------------------------------------------


def worth_a_retry(answer: Mapping[str, Any]) -> bool:
    """Whether a sum on ROCm failed in the way that comes and goes (rocm_faults.worth_a_retry)."""
    return not answer["ok"] and [one["id"] for one in answer["remedies"]] == ["rocm_start_failed"]


def tried(run: Callable[[], dict[str, Any]], retries: int) -> tuple[dict[str, Any], int]:
    """Return the last answer of a proof, and how often it ran: once more, up to `retries` times, while it is worth that.

    In WSL, ROCm 10.0 has such a failure about once in six starts (ROCm/librocdxg#33, #84). What passed then is said as well.
    """
    answer = run()
    said: list[str] = []
    while len(said) < retries and worth_a_retry(answer):
        first = answer["reasons"][0]
        answer = run()
        came = "the second one passed" if answer["ok"] else "the second one failed too"
        said.append(
            f"AMD's bridge failed at the first try ({first}); {came}. It does so now and then (ROCm/librocdxg#33): a kernel "
            "that dies at once may have the same reason, and wants to be started once more"
        )
    answer["warnings"] = [*said, *answer["warnings"]]
    return answer, len(said) + 1

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which ROCm in WSL was seen to fail, as data: what it says or what is found, what that means, what to do, where.

Evidence in, the id of a remedy out. One text often has several causes, so what is known of the host decides among them.
The texts are those of the issues named beside them. `where` is wsl, windows, or bios.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core import remedy as faults
from ...core.remedy import AGAIN, AGAIN_FIRST, HERE, USE_CPU, VERIFY, Remedy, build_anew, give, rebuild, reset, within
from ...gpu.readers.rocminfo import Rocminfo
from ..base import WINDOWS_11
from . import releases as rocm_releases
from .plan import SHADOWS

# --- what to do -----------------------------------------------------------------------------------------------------

_DRIVER = (
    "On Windows: install AMD's newest Adrenalin driver (26.8.1 or newer), then in PowerShell: wsl --update; wsl --shutdown; "
    f"then {HERE}{VERIFY}"
)
_OPENS = (
    "whether the user who runs the kernels is in the groups render and video, and in a container whether it was started with "
    "--device /dev/kfd --device /dev/dri"
)
_DIRECTML = give("colab_backend=directml")
_THERE = f"{HERE}{_DIRECTML}"
_NEWEST = f"{reset('rocm_version')}: that takes {rocm_releases.DEFAULT}"
BUILD_ANEW = build_anew("rocm")
_CPU = USE_CPU.replace(HERE, "")

# Ids are names that documents refer to: they may be added, not changed.
REMEDIES: dict[str, Remedy] = {
    # which release
    "rocm_release_without_wsl": Remedy(
        "This release of ROCm has no bridge to WSL: 6.2.0, 7.0 and what came before 6.1.3 have none "
        "(ROCm/legacy-rocm-build#5361, #3051).",
        f"{_NEWEST}; or {give('rocm_version=VERSION')} with {' or '.join(rocm_releases.offered())}.",
    ),
    "rocm_usecase_gone": Remedy(
        "amdgpu-install has no usecase wsl any more: since 7.2.1 the bridge to WSL is a package of its own.",
        f"Do not use amdgpu-install in WSL; {AGAIN}, which installs the bridge.",
    ),
    "rocm_driver_pairing": Remedy(
        "A ROCm of before 7.2.1 works in WSL with one particular Windows driver only (ROCm/legacy-rocm-build#4749).",
        f"{_NEWEST}; remove the old one as ./colab-ready says.",
    ),
    "rocm_bridge_too_old": Remedy(
        "The bridge of before 7.2.1 does not know the graphics in this Ryzen processor (ROCm/legacy-rocm-build#5900).",
        f"{_DRIVER}. Before that, {HERE}{_NEWEST}.",
        "windows",
    ),
    "rocm_without_amd": Remedy(
        "ROCm is installed, but Windows shows this WSL no graphics of AMD (ROCm/rocm-systems#1153).",
        f"If there is an AMD card: {within(_DRIVER)}. If not, {HERE}{give('colab_backend=auto')}.",
        "windows",
    ),
    "rocm_only_ubuntu": Remedy(
        "AMD makes ROCm in WSL for Ubuntu only (ROCm/legacy-rocm-build#3561).",
        f"In PowerShell: wsl --install Ubuntu-24.04, and run ./colab-ready there; or {_DIRECTML}.",
    ),
    "rocm_windows_10": Remedy(
        "AMD's bridge asks the driver for what came with Windows 11; Windows 10 lacks it, and the card's memory reads as 0 "
        "(ROCm/librocdxg#22, ROCm/legacy-rocm-build#6323).",
        f"Update to Windows 11; until then {_THERE}.",
        "windows",
    ),
    # which card
    "rocm_card_unsupported": Remedy(
        "This release of ROCm does not know the card (ROCm/legacy-rocm-build#4215, #3413).",
        f"{_NEWEST}; if that does not either: {_CPU}; in WSL perhaps {_DIRECTML}.",
    ),
    "rocm_rdna2": Remedy(
        "AMD supports no Radeon RX 6000 or older in WSL (ROCm/legacy-rocm-build#4503, #4964, #4281).",
        f"{_DIRECTML}. To try ROCm all the same: {give('rocm_experimental=true')}.",
    ),
    "rocm_dids_missing": Remedy(
        "AMD's bridge does not open this card, though it could: its id is not built in (ROCm/librocdxg#37, "
        "ROCm/legacy-rocm-build#6119).",
        f"{give('rocm_experimental=true')}, which adds the card's line to dids.conf; or {_DIRECTML}.",
    ),
    "rocm_only_cpu": Remedy(
        "rocminfo lists the processor alone: the bridge works, but opens no card (ROCm/legacy-rocm-build#4456).",
        f"{_DRIVER}. If the card is not in AMD's list for WSL, {_THERE}.",
        "windows",
    ),
    "rocm_no_adapter": Remedy(
        "AMD's bridge finds no card of its own: the driver on Windows is older than the bridge, or its list does not have "
        "the card (No WDDM adapters found).",
        f"{_DRIVER}. If it stays, {_THERE}.",
        "windows",
    ),
    "rocm_card_not_listed": Remedy(
        "ROCm lists a GPU, but not the card that this runtime was set up for.",
        f"If a card was put in or taken out, {HERE}{AGAIN}. If not: {within(_DRIVER)}.",
        "windows",
    ),
    "rocm_override_wanted": Remedy(
        "The runtime does not know the card's id and asks for HSA_OVERRIDE_GFX_VERSION (microsoft/WSL#40464).",
        f"Do not set it: it makes the card run what was built for another. Take the newest ROCm: {_NEWEST}; "
        f"or {_CPU}; in WSL perhaps {_DIRECTML}.",
    ),
    # the bridge
    "rocm_detection_off": Remedy(
        "HSA_ENABLE_DXG_DETECTION is not 1, and without it this ROCm does not look for WSL's GPU (ROCm/librocdxg#34, "
        "unslothai/unsloth#9729). win_sdk is for building the bridge only.",
        f"{AGAIN_FIRST}, which sets it for the service and for login shells; then open a new terminal.",
    ),
    "rocm_detection_forbidden": Remedy(
        "HSA_ENABLE_DXG_DETECTION is 0, which forbids ROCm to look for WSL's GPU.",
        f"It comes from colab_runtime_kernel_environment: {reset('colab_runtime_kernel_environment')}.",
    ),
    "rocm_bridge_not_found": Remedy(
        "The loader does not find librocdxg.so, AMD's bridge to WSL (ROCm/librocdxg#35, #46).",
        f"{AGAIN_FIRST}: it installs the bridge and puts {rocm_releases.BRIDGE_FOLDER} into the loader's cache "
        "(sudo ldconfig).",
    ),
    "rocm_shadowed": Remedy(
        "Ubuntu's own libhsa-runtime64-1 or libhsakmt1 comes before AMD's, and knows no WSL (andweng/wsl-rocm).",
        f"sudo apt-get remove {' '.join(SHADOWS)}, then {AGAIN}.",
    ),
    "rocm_without_bridge": Remedy(
        "This runtime looks for a kernel module, which WSL does not have: it is not AMD's for WSL, or has no bridge.",
        f"{AGAIN_FIRST}, which installs the bridge; use rocminfo from its environment or from /opt/rocm/bin.",
    ),
    "rocm_module_missing": Remedy(
        "The kernel module amdgpu is not loaded, so ROCm has no GPU.",
        "Use a kernel with amdgpu (Ubuntu's own has it), and restart the computer.",
    ),
    "rocm_kernel_package": Remedy(
        "A kernel module was asked for, and WSL has none: the driver is on Windows (microsoft/WSL#13535).",
        "sudo apt-get remove amdgpu-dkms; never use modprobe, usecases with dkms or linux-oem kernels in WSL.",
    ),
    "rocm_native_devices": Remedy(
        "In WSL there is no /dev/kfd, no /dev/dri and no card in lspci; ROCm uses /dev/dxg there (microsoft/WSL#40464).",
        "Nothing is wrong with that. A container wants --device /dev/dxg and /usr/lib/wsl mounted.",
    ),
    "rocm_driver_assertion": Remedy(
        "The bridge of before 7.2.1 ends where Windows has a card of another maker beside AMD's "
        "(ROCm/legacy-rocm-build#4460, #4584).",
        f"{_NEWEST}.",
    ),
    "rocm_start_failed": Remedy(
        "AMD's bridge sometimes fails to open the card when a program starts (CreateContext, ROCm/librocdxg#33, #84).",
        f"In the WSL window: run ./colab-ready verify once more. If it stays: {within(_DRIVER)}.",
        "windows",
    ),
    "rocm_profiler": Remedy(
        "The profiler's registration ended the process, as it does in WSL before 7.13 (ROCm/rocm-systems#2981).",
        f"{AGAIN_FIRST}, which sets ROCPROFILER_REGISTER_ENABLED=0; then open a new terminal.",
    ),
    "rocm_hangs": Remedy(
        "ROCm does not come back: the driver hangs, or there is no card that it could use (ROCm/rocm-systems#1153).",
        f"In PowerShell: wsl --shutdown; then {HERE}{VERIFY}. If it stays: {within(_DRIVER)}.",
        "windows",
    ),
    "rocm_no_gpu": Remedy("ROCm started and found no GPU.", f"{_DRIVER}. If it stays, {_THERE}.", "windows"),
    "rocm_files_missing": Remedy(
        "Files of ROCm in the kernel environment, or libraries of the distribution that they need, are missing.",
        f"{AGAIN_FIRST}, which installs what is missing. If it stays: {rebuild('rocm')}.",
    ),
    # without WSL
    "rocm_native_files": Remedy(
        "Files of ROCm in the kernel environment, or libraries of the distribution that they need, are missing.",
        f"sudo apt-get install libatomic1 libquadmath0 (which no run installs outside of WSL), then {AGAIN}. "
        f"If it stays: {rebuild('rocm')}.",
    ),
    "rocm_native_unknown": Remedy(
        "ROCm failed in a way that this version does not know.",
        f"Restart the computer, then {VERIFY}. If it stays: {_CPU}; and tell us the text.",
    ),
    "rocm_native_no_gpu": Remedy(
        "ROCm started and found no GPU that it can use.",
        f"Look whether the kernel's amdgpu has the card (ls -l /dev/kfd /dev/dri), {_OPENS}; then {AGAIN}; "
        f"until then {_CPU}.",
    ),
    "rocm_kfd_permission": Remedy(
        "The user who runs the kernels may not open /dev/kfd, which ROCm computes through (ROCm/legacy-rocm-build#1211).",
        f"{AGAIN_FIRST}, which puts that user into the groups of /dev/kfd and /dev/dri (ls -l shows them), then colab-runtime "
        "restart. For another user: sudo usermod -aG render,video USER, who then logs in anew. In a container the group's number "
        "counts (ls -ln): start it with --group-add for that.",
    ),
    "rocm_kfd_container": Remedy(
        "This container has not been given /dev/kfd and /dev/dri, which ROCm computes through (ROCm/legacy-rocm-build#2232).",
        "Start the container with --device /dev/kfd --device /dev/dri, and with --group-add for the numbers of the groups that "
        f"ls -ln /dev/kfd /dev/dri shows on its host; then {AGAIN} in it.",
    ),
    # while it computed
    "rocm_gpu_hang": Remedy(
        "The card hung while it computed, and the driver has reset it: what had its memory there is lost.",
        f"Restart the notebook's kernel, then {VERIFY}. If it stays: take back overclocking, and update the driver (in WSL: on "
        "Windows AMD's newest Adrenalin, then wsl --shutdown in PowerShell; else a newer kernel, or restart the computer).",
    ),
    "rocm_memory_fault": Remedy(
        "The program reached for memory that the card does not have (a memory access fault). What was built for another chip "
        "does that, and so does a package with a mistake.",
        f"Take HSA_OVERRIDE_GFX_VERSION out wherever it is set (env | grep HSA_), and {VERIFY}. If the sum fails too: "
        f"{within(BUILD_ANEW)} If the sum is right, the package that the notebook called has the mistake.",
    ),
    "rocm_native_driver": Remedy(
        "AMD's driver in this kernel hangs, or ends programs.",
        f"Restart the computer, then {VERIFY}. If it stays, take a newer kernel; until then {_CPU}.",
    ),
    # torch
    "rocm_other_torch": Remedy(
        "rocminfo sees the card, but this PyTorch was not built for ROCm: another one was installed over it "
        "(ROCm/legacy-rocm-build#3470, #5461).",
        BUILD_ANEW,
    ),
    "rocm_bundled_hsa": Remedy(
        "PyTorch brings a runtime of its own that knows no WSL (ROCm/hip#3710).",
        f"{AGAIN_FIRST}, which takes libhsa-runtime64.so out of torch's folder.",
    ),
    "rocm_torch_blind": Remedy(
        "Nothing is known to be wrong with ROCm itself, and PyTorch does not see the card (hipErrorNoDevice).",
        f"{BUILD_ANEW} HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES must be unset.",
    ),
    "rocm_wrong_device": Remedy(
        "The program ran on graphics that it was not made for, such as those in the processor (ROCm/TheRock#3392, "
        "ROCm/rocm-cli#395).",
        "Name the device that ./colab-ready verify shows, as in torch.device('cuda:1'); or switch the processor's graphics "
        "off in the BIOS (in WSL also: in Windows' device manager).",
    ),
    "rocm_wheel_python": Remedy(
        "The wheel is for another Python: cp310 goes with Ubuntu 22.04's, cp312 with 24.04's.",
        f"Install it only through ./colab-ready, which takes a fitting Python: {rebuild('rocm')}.",
    ),
    "rocm_no_free_memory": Remedy(
        "The card's free memory reads as 0: the bridge is older than 1.2.1, or Windows is (ROCm/librocdxg#22).",
        f"{_DRIVER}. Before that, {HERE}{AGAIN}, for the current bridge.",
        "windows",
    ),
    # what is so, and no fault
    "rocm_igpu_too": Remedy(
        "The processor's graphics are listed beside the card (ROCm/legacy-rocm-build#5535, #5866).",
        "Nothing, if ./colab-ready verify passes: it takes the card by its gfx. If programs take the wrong one: switch the "
        "processor's graphics off in the BIOS (in WSL also: in Windows' device manager).",
        "bios",
    ),
    "rocm_memory_of_wsl": Remedy(
        "The card's memory ends where WSL's does, as the processor's graphics share it (ROCm/legacy-rocm-build#6022).",
        "Raise memory= under [wsl2] in .wslconfig in your Windows user folder, then in PowerShell: wsl --shutdown.",
        "windows",
    ),
    "rocm_resizable_bar": Remedy(
        "Without Resizable BAR less of the graphics' memory can be reached (ROCm/legacy-rocm-build#6022).",
        "In the BIOS: switch Resizable BAR (Above 4G Decoding) on, and give the graphics more memory if it lets you.",
        "bios",
    ),
    "rocm_reserved_memory": Remedy(
        "About 2.5 GB of the card's memory belong to Windows and WSL before anything runs (ggml-org/llama.cpp#23999).",
        "Nothing: this is normal in WSL. For more free memory close what else uses the card on Windows.",
        "windows",
    ),
    "rocm_dmesg": Remedy(
        "The kernel's log says query_adapter_info failed with -22 or -2; it says so on every WSL (microsoft/WSL#40464).",
        "Nothing: that is no fault.",
    ),
    "cuda_library_not_a_link": Remedy(
        "ldconfig says that libcuda.so.1 is not a symbolic link; it says so on every WSL (microsoft/WSL#5548, #11229).",
        "Nothing: that is no fault.",
    ),
    "rocm_unknown": Remedy(
        "ROCm failed in a way that this version does not know.",
        f"{_DRIVER}. If it stays, {_THERE}, and tell us the text.",
        "windows",
    ),
}


# --- what is known --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """Of the host and of what was looked up. None, or an empty text: not known."""

    wsl: bool = True
    windows_build: int | None = None
    distribution: str = ""
    # The ROCm that is installed or chosen.
    line: str = ""
    # Whether Windows shows WSL a card of AMD; whether AMD's bridge has its id, built in or in dids.conf.
    amd: bool | None = None
    id_known: bool | None = None
    gfx: str = ""
    integrated: bool | None = None
    # What the environment says of HSA_ENABLE_DXG_DETECTION ("" unset, None not known).
    detection: str | None = None
    packages: Sequence[str] = ()
    bridge_cached: bool | None = None
    rocminfo: Rocminfo | None = None
    # Whether the card that was decided on is among what rocminfo lists.
    card_listed: bool | None = None
    # Of rocminfo's own failure, where it was asked before.
    rocminfo_remedy: str = ""
    torch: str = ""
    torch_devices: int | None = None
    bundled_hsa: bool | None = None
    # Of the card as Windows and as torch tell it, and of WSL.
    card_bytes: int | None = None
    torch_bytes: int | None = None
    free_bytes: int | None = None
    wsl_bytes: int | None = None

    @property
    def windows_10(self) -> bool:
        return self.windows_build is not None and self.windows_build < WINDOWS_11

    @property
    def undetected(self) -> bool:
        return self.wsl and self.detection not in (None, "1") and rocm_releases.needs_detection(self.line)

    @property
    def era_a(self) -> bool:
        return self.wsl and (0,) < rocm_releases.numbers_of(self.line) < (7, 2, 1)

    @property
    def rdna2_or_older(self) -> bool:
        chip = re.match(r"gfx(\d+)\d[0-9a-f]$", self.gfx)
        return chip is not None and int(chip.group(1)) < 11

    @property
    def unlisted_in_wsl(self) -> bool:
        return self.wsl and self.rdna2_or_older and not self.id_known

    @property
    def hidden_by_torch(self) -> bool:
        """Natively torch's own runtime is the right one."""
        return self.wsl and bool(self.bundled_hsa)

    @property
    def card_seen(self) -> bool:
        return self.rocminfo is not None and bool(self.rocminfo.gpus) and self.card_listed is not False


@dataclass(frozen=True)
class Evidence(faults.Evidence):
    """With what is known of the host."""

    state: State = field(default_factory=State)


class Rule(NamedTuple):
    """A text, a state of the host, or both together; the first rule that fits names the remedy."""

    remedy: str
    text: str = ""
    when: Callable[[State], bool] | None = None


def _torch_is_rocms(state: State) -> bool:
    return not state.torch or "rocm" in state.torch


def _is_native(state: State) -> bool:
    return not state.wsl


# Texts that say that no GPU was found, which is what most causes end in.
_NOTHING_FOUND = (
    r"hsa_init Failed|No WDDM adapters found|ROCk module is NOT loaded|unsupported GPU|HSA_STATUS_ERROR_OUT_OF_RESOURCES"
    r"|VramAvail|GetSegmentId|hipErrorNoDevice|no ROCm-capable device|Device count: 0|No HIP GPUs are available"
)
_NO_CARD = r"hsa_init Failed|No WDDM adapters found"
# It is the bridge that looks for WDDM adapters, so where it says so it was found.
_WITHOUT_BRIDGE = r"(?s)\A(?!.*No WDDM adapters).*(hsa_init Failed|ROCk module is NOT loaded)"

# Matched without regard to case. What says more stands before what says less.
RULES: Sequence[Rule] = (
    # 1, 2: while packages are installed
    Rule("rocm_release_without_wsl", r"Unable to locate package hsa-runtime-rocr4wsl-amdgpu"),
    Rule("rocm_usecase_gone", r"Usecase implementation '?wsl'? is not supported"),
    # 7
    Rule(
        "rocm_kernel_package",
        r"modprobe: \w+: (Module amdgpu not found|could not insert 'amdgpu')|amdgpu-dkms|Module amdgpu not found",
        lambda state: state.wsl,
    ),
    # 26
    Rule("rocm_wheel_python", r"is not a supported wheel on this platform"),
    # 9, 10: before all that follows from it
    Rule(
        "rocm_bridge_not_found",
        r"Cannot load librocdxg\.so|librocdxg\.so[.\d]*: cannot open shared object|hsaKmtOpenKFD",
        lambda state: state.wsl,
    ),
    # While it computed: whatever else is said then, this is why.
    Rule("rocm_gpu_hang", r"HW Exception by GPU|GPU Hang\b|GPU reset|ring \S+ timeout|hipErrorLaunchTimeOut"),
    Rule(
        "rocm_memory_fault",
        r"Memory access fault by GPU|MEMORY_APERTURE_VIOLATION|HSA_STATUS_ERROR_(MEMORY_FAULT|EXCEPTION)\b|illegal memory access"
        r"|hipErrorIllegalAddress|unspecified launch failure|hipErrorLaunchFailure",
    ),
    Rule("rocm_driver_assertion", r"thunk_proxy\.cpp:\d+.*Assertion"),
    Rule("rocm_start_failed", r"\[CreateContext\] fail"),
    # The variable against it is set in WSL alone.
    Rule("rocm_profiler", r"rocprofiler[-_]register", lambda state: state.wsl),
    # 20
    Rule(
        "rocm_wrong_device",
        r"device kernel image is invalid|no kernel image is available|invalid device function"
        r"|HSA_STATUS_ERROR_(ILLEGAL_INSTRUCTION|INVALID_ISA)",
    ),
    # Who is native and may not open it is told so by rocminfo; a container's device list says EPERM, a mode EACCES.
    Rule("rocm_module_missing", r"ROCk module is NOT loaded", _is_native),
    Rule("rocm_kfd_container", r"/dev/(kfd|dri/\w+)\b.*: (Operation not permitted|No such file)", _is_native),
    Rule(
        "rocm_kfd_permission",
        r"/dev/(kfd|dri/\w+)\b.*: Permission denied|is not member of \"?(render|video)\"?|Could not open /dev/kfd",
        _is_native,
    ),
    Rule("rocm_native_no_gpu", r"(?s)\A(?!.*unsupported GPU).*OUT_OF_RESOURCES", _is_native),
    # Nothing found: why? First what forbids it altogether.
    Rule("rocm_windows_10", _NOTHING_FOUND, lambda state: state.wsl and state.windows_10),
    Rule("rocm_only_ubuntu", _NOTHING_FOUND, lambda state: state.wsl and state.distribution not in ("", "ubuntu")),
    Rule("rocm_without_amd", _NOTHING_FOUND, lambda state: state.wsl and state.amd is False),
    Rule(
        "rocm_release_without_wsl", _NOTHING_FOUND, lambda state: state.wsl and rocm_releases.has_no_bridge(state.line)
    ),
    # 11
    Rule("rocm_no_free_memory", r"VramAvail\b.*(fail|HSA_STATUS_ERROR)|GetSegmentId\b.*fail"),
    # 8, 21
    Rule("rocm_detection_forbidden", _NOTHING_FOUND, lambda state: state.wsl and state.detection == "0"),
    # 25
    Rule("rocm_shadowed", r"ROCk module is NOT loaded", lambda state: not {*SHADOWS}.isdisjoint(state.packages)),
    # 6: the runtime that says so has been shown a card
    Rule("rocm_override_wanted", r"HSA_OVERRIDE_GFX_VERSION may be needed"),
    Rule("rocm_detection_off", _WITHOUT_BRIDGE, lambda state: state.undetected),
    Rule("rocm_bridge_not_found", _WITHOUT_BRIDGE, lambda state: state.bridge_cached is False),
    Rule("rocm_without_bridge", r"ROCk module is NOT loaded"),
    # 17, 18
    Rule("rocm_rdna2", f"{_NO_CARD}|unsupported GPU|OUT_OF_RESOURCES", lambda state: state.unlisted_in_wsl),
    Rule("rocm_bridge_too_old", _NO_CARD, lambda state: state.era_a and state.gfx.startswith(("gfx115", "gfx1103"))),
    Rule("rocm_dids_missing", _NO_CARD, lambda state: state.id_known is False),
    # 16
    Rule("rocm_driver_pairing", f"{_NO_CARD}|OUT_OF_RESOURCES", lambda state: state.era_a and bool(state.id_known)),
    # 3, 4, 5, 23
    Rule("rocm_card_unsupported", r"ROCR: unsupported GPU|HSA_STATUS_ERROR_OUT_OF_RESOURCES"),
    Rule("rocm_no_adapter", r"No WDDM adapters found"),
    # 13, 14, 15
    Rule(
        "rocm_other_torch",
        when=lambda state: state.card_seen and not state.torch_devices and not _torch_is_rocms(state),
    ),
    Rule("rocm_bundled_hsa", when=lambda state: state.card_seen and state.torch_devices == 0 and state.hidden_by_torch),
    Rule("rocm_torch_blind", when=lambda state: state.card_seen and state.torch_devices == 0),
    Rule("rocm_other_torch", when=lambda state: bool(state.torch) and not _torch_is_rocms(state)),
    Rule(
        "rocm_bundled_hsa", r"hipErrorNoDevice|no ROCm-capable device|No HIP GPUs", lambda state: state.hidden_by_torch
    ),
    Rule("rocm_torch_blind", r"hipErrorNoDevice|no ROCm-capable device|Device count: 0|No HIP GPUs are available"),
    Rule("rocm_no_gpu", r"hsa_init Failed"),
    # The runtime of the wheels also says so of its own library where all is well, after "failed -".
    Rule(
        "rocm_files_missing",
        r"No module named '_?rocm_sdk|(?<!failed - )\blib(amdhip64|hsa-runtime64|hip\w+|roc\w+|MIOpen|rccl|atomic|quadmath)"
        r"\.so[.\d]*: cannot open shared object",
    ),
    # 6: somebody looks for what only native Linux has
    Rule("rocm_native_devices", r"/dev/(kfd|dri)\b", lambda state: state.wsl),
    # 6, 24: no faults; so last
    Rule("cuda_library_not_a_link", r"libcuda\.so\.1 is not a symbolic link"),
    Rule("rocm_dmesg", r"query_adapter_info: Ioctl failed: -(22|2)\b"),
)


# Without WSL there is no Windows to do anything in, and nothing of the distribution is installed.
_NATIVE = {
    "rocm_files_missing": "rocm_native_files",
    "rocm_hangs": "rocm_native_driver",
    "rocm_start_failed": "rocm_native_driver",
    "rocm_unknown": "rocm_native_unknown",
}
UNKNOWN = ("rocm_unknown", "rocm_native_unknown")


def remedy_for(evidence: Evidence) -> str:
    """The id of the remedy for a failure."""
    found = _remedy_for(evidence)
    if evidence.state.wsl:
        return found
    return _NATIVE.get(found, "rocm_native_no_gpu" if REMEDIES[found].where == "windows" else found)


def _remedy_for(evidence: Evidence) -> str:
    text = "\n".join([*evidence.said, *evidence.heard])
    found = _first(text, evidence.state)
    # Where ROCm itself fails, that torch sees nothing only follows from it.
    before = evidence.state.rocminfo_remedy
    if found in (None, "rocm_torch_blind", "rocm_no_gpu") and before not in ("", *UNKNOWN):
        return before
    if found:
        return found
    if evidence.ended == "timeout":
        return "rocm_without_amd" if evidence.state.amd is False else "rocm_hangs"
    seen = evidence.state.rocminfo
    if seen is not None and seen.agents and (not seen.gpus or evidence.state.card_listed is False):
        unlisted = "rocm_card_not_listed" if seen.gpus else "rocm_only_cpu"
        return _first("", evidence.state, WITHOUT_THE_CARD) or unlisted
    return "rocm_start_failed" if evidence.ended == "signal" else "rocm_unknown"


def worth_a_retry(evidence: Evidence) -> bool:
    """Whether it is the failure at the start that 10.0 has in WSL about once in six times; to be tried once more, and said.
    Without WSL it is another remedy."""
    return remedy_for(evidence) == "rocm_start_failed"


def _first(text: str, state: State, rules: Sequence[Rule] = RULES) -> str | None:
    for rule in rules:
        if re.search(rule.text, text, re.IGNORECASE) and (rule.when is None or rule.when(state)):
            return rule.remedy
    return None


# Where rocminfo has come to its end and listed no GPU, or others.
WITHOUT_THE_CARD: Sequence[Rule] = (
    Rule("rocm_without_amd", when=lambda state: state.amd is False),
    Rule("rocm_windows_10", when=lambda state: state.windows_10),
    Rule("rocm_detection_off", when=lambda state: state.undetected),
    Rule("rocm_rdna2", when=lambda state: state.unlisted_in_wsl),
    Rule("rocm_dids_missing", when=lambda state: state.id_known is False),
    Rule("rocm_driver_pairing", when=lambda state: state.era_a and bool(state.id_known)),
)


# --- what to know though nothing failed -----------------------------------------------------------------------------

GIB = 1 << 30


def notes_for(state: State) -> list[str]:
    """Ids of what a user should be told once about a host where the sum came out right, or may not have been tried."""
    notes = []
    gpus = state.rocminfo.gpus if state.rocminfo else []
    if len(gpus) > 1 and state.integrated is False:
        notes.append("rocm_igpu_too")
    if state.wsl and state.free_bytes == 0:
        notes.append("rocm_windows_10" if state.windows_10 else "rocm_no_free_memory")
    if state.torch_bytes:
        if state.integrated and state.wsl_bytes and abs(state.torch_bytes - state.wsl_bytes) < GIB:
            notes += ["rocm_memory_of_wsl", "rocm_resizable_bar"]
        elif state.wsl and state.card_bytes and 1.5 * GIB < state.card_bytes - state.torch_bytes < 3.5 * GIB:
            notes.append("rocm_reserved_memory")
    return notes

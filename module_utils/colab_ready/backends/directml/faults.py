# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which torch-directml was seen to fail, as data: what it says, what that means, what to do, and where.

Evidence in, the id of a remedy out. The texts come from runs of the real wheel without a GPU and from the issues that
are named beside them. Most causes are on Windows' side of WSL, so most remedies are `windows`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.remedy import AGAIN_FIRST, HERE, SETTLED, USE_CPU, Evidence, Remedy, build_anew, give, rebuild, within

# --- what to do -----------------------------------------------------------------------------------------------------

_DRIVER = (
    "On Windows: install the newest graphics driver of the card's maker, then in PowerShell: wsl --update; wsl --shutdown; "
    f"then {HERE}run ./colab-ready verify"
)
BUILD_ANEW = build_anew("directml")
_OTHERWISE = f"until then {USE_CPU}"

# Ids are names that documents refer to: they may be added, not changed.
REMEDIES: dict[str, Remedy] = {
    # the packages
    "directml_missing": Remedy(
        "The package torch-directml is not installed in the kernel environment.",
        f"{AGAIN_FIRST}: it installs what is missing.",
    ),
    "directml_python": Remedy(
        "There is no torch-directml for this Python: it exists for 3.8 to 3.12 on x86-64 alone.",
        f"Let colab-ready choose the interpreter: {rebuild('directml')}.",
    ),
    "directml_damaged": Remedy(
        "The package torch-directml is not complete: another installation has removed files of it or of torch "
        "(microsoft/DirectML#432).",
        BUILD_ANEW,
    ),
    "directml_not_loaded": Remedy(
        "PyTorch knows the device privateuseone but not the backend behind it: torch_directml was not loaded.",
        f"Write import torch_directml before the first use of the device; if that is done, {within(BUILD_ANEW)}",
    ),
    "directml_torch_mixed": Remedy(
        "Files of two PyTorch versions lie in one environment (microsoft/DirectML#648).", BUILD_ANEW
    ),
    "directml_torch_mismatch": Remedy(
        "PyTorch and torch_directml do not fit: another version, or one built by conda (microsoft/DirectML#627).",
        BUILD_ANEW,
    ),
    "directml_torch_build": Remedy(
        "With the CPU build of PyTorch, torch_directml ended the process (SIGABRT). The same was reported once, and never "
        "explained (microsoft/DirectML#570).",
        "Run ./colab-ready -e directml_torch_build=index, which fetches the index's own build of PyTorch (2.9 GB instead of "
        "0.3 GB), and is remembered; please tell us the outcome.",
    ),
    "directml_numpy": Remedy(
        "This PyTorch was built for numpy 1 and does not work with the numpy 2 that is installed (microsoft/DirectML#608).",
        'Run ./colab-ready again, which pins numpy below 2 for such a PyTorch; by hand: %pip install "numpy<2".',
    ),
    # Windows' side of WSL
    "directml_not_wsl": Remedy(
        "DirectML needs WSL 2, and this host is not in WSL.",
        f"{give('colab_backend=auto')}, or with rocm, cuda, xpu or cpu.",
    ),
    "directml_no_dxg": Remedy(
        "Windows passes no graphics card into this WSL: /dev/dxg is not there.",
        "It takes WSL 2, Windows 11 and the newest graphics driver of the card's maker. In PowerShell: wsl --update; "
        f"wsl --set-version DISTRIBUTION 2; wsl --shutdown; then {HERE}run ./colab-ready again. Windows in a virtual machine "
        f"passes none; {_OTHERWISE}.",
        "windows",
    ),
    "directml_dxg_denied": Remedy(
        "The user who runs the kernels may not open /dev/dxg.",
        "Look at its mode (ls -l /dev/dxg; WSL makes it 0666), and undo what changed it.",
    ),
    "directml_libraries": Remedy(
        "WSL lacks the libraries that Windows' graphics driver brings (libd3d12.so and its kin in /usr/lib/wsl/lib).",
        f"{_DRIVER}. Never take the libraries of the wheel's own folder: they are empty.",
        "windows",
    ),
    "directml_loader": Remedy(
        "WSL's graphics libraries are in /usr/lib/wsl/lib, but programs do not find them there.",
        f"{AGAIN_FIRST}: it puts the folder into the loader's cache (sudo ldconfig).",
    ),
    "directml_stubs": Remedy(
        "The loader takes the empty libraries of torch-directml's own folder in place of those of WSL.",
        "Take that folder out of LD_LIBRARY_PATH and of /etc/ld.so.conf.d, run sudo ldconfig, then ./colab-ready verify.",
    ),
    "directml_no_gpu_for_wsl": Remedy(
        "Windows refuses WSL its graphics (0xD0000001): no GPU paravirtualisation (microsoft/DirectML#141).",
        f"{_DRIVER}. Windows in a virtual machine, an old Windows build, and a WSL kernel of one's own lack it; {_OTHERWISE}.",
        "windows",
    ),
    # the adapter
    "directml_no_adapter": Remedy(
        "DirectML finds no adapter: the driver on Windows offers no Direct3D 12 in WSL (microsoft/DirectML#27).",
        f"{_DRIVER}. A very new card needs the newest driver; {_OTHERWISE}.",
        "windows",
    ),
    "directml_only_software": Remedy(
        "DirectML sees no graphics card, only Windows' software adapter, which is slower than the CPU.",
        f"{_DRIVER}; {_OTHERWISE}.",
        "windows",
    ),
    "adapter_not_seen": Remedy(
        "PyTorch does not see the graphics card that was chosen, only another one (microsoft/DirectML#239, ROCm/TheRock#3392).",
        f"{_DRIVER}. Or name the card that it sees, {HERE}{give('colab_gpu=NAME')}.",
        "windows",
    ),
    "directml_no_such_device": Remedy(
        "DirectML has no device of this number.", "In the cell: torch_directml.device(), or a number that it lists."
    ),
    "directml_create_device": Remedy(
        "The driver does not create a Direct3D 12 device in WSL (nix-community/NixOS-WSL#623, microsoft/WSL#14144).",
        f"{_DRIVER}. AMD's driver also needs OpenSSL's library (package libssl3) in WSL.",
        "windows",
    ),
    # what it says, and how it dies
    "directml_invalid_argument": Remedy(
        "The driver refuses what DirectML asks for (E_INVALIDARG), although it counts an adapter (microsoft/DirectML#451).",
        f"{_DRIVER}. It is not solved upstream: if it stays, {USE_CPU}.",
        "windows",
    ),
    "directml_allocator": Remedy(
        "The driver gives DirectML no memory, not even for one number (E_OUTOFMEMORY, microsoft/DirectML#361): this is no "
        "shortage.",
        f"{_DRIVER}. If it stays, {USE_CPU}.",
        "windows",
    ),
    "directml_access_denied": Remedy(
        "Windows denies DirectML the graphics card (E_ACCESSDENIED).",
        f"Start WSL as the user who sits at the screen, not from a service or a remote session. {_DRIVER}.",
        "windows",
    ),
    "directml_failed": Remedy(
        "The driver failed without saying why (E_FAIL).", f"{_DRIVER}; if it stays, start Windows anew.", "windows"
    ),
    "directml_unsupported": Remedy(
        "The graphics card or its driver lacks what DirectML needs (DXGI_ERROR_UNSUPPORTED).",
        f"{_DRIVER}; {_OTHERWISE}.",
        "windows",
    ),
    "directml_device_removed": Remedy(
        "Windows took the graphics card away from DirectML: the driver hung or was reset (microsoft/DirectML#672).",
        f"{_DRIVER}. If the sum passes and a training does this, use smaller batches.",
        "windows",
    ),
    "directml_video_memory": Remedy(
        "The graphics card's memory is full (microsoft/DirectML#579); the backend itself is fine.",
        "Close what else uses the card on Windows, restart notebooks that hold memory; take a smaller model or batch.",
        "windows",
    ),
    "directml_float64": Remedy(
        "This graphics card has no double precision (microsoft/DirectML#430); printing a tensor on it needs that.",
        'Stay in float32, and copy to the CPU before printing: print(tensor.to("cpu")).',
    ),
    "directml_unsupported_type": Remedy(
        "DirectML knows no complex numbers, no bfloat16 and no tensor of more than 8 dimensions, and ends the process "
        "(microsoft/DirectML#421, #704, #537).",
        "Compute those on the CPU, or use float32 and float16.",
    ),
    "directml_cpu_fallback": Remedy(
        "The operation is not there on this backend and ran on the CPU instead (microsoft/DirectML#604).",
        f"For the sum itself: {within(BUILD_ANEW)} In a notebook it is a warning: optimizers want foreach=False, and "
        "LSTM and some backward passes belong on the CPU.",
    ),
    "directml_crashes": Remedy(
        "The driver ended the process (microsoft/DirectML#378, #503); not solved upstream.",
        f"{_DRIVER}. If it stays at the same step, {USE_CPU}.",
        "windows",
    ),
    "directml_aborts": Remedy(
        "The driver or torch_directml ended the process (SIGABRT).",
        f"{_DRIVER}. If it stays at the same step, {USE_CPU}.",
        "windows",
    ),
    "directml_hangs": Remedy(
        "The driver does not come back.",
        f"In PowerShell: wsl --shutdown; then {HERE}run ./colab-ready verify. If it hangs at the same step again: {_DRIVER}.",
        "windows",
    ),
    "directml_unknown": Remedy(
        "DirectML failed in a way that this version does not know.",
        f"{_DRIVER}. If it stays, {USE_CPU}, and tell us the text.",
        "windows",
    ),
}

# --- what it says ---------------------------------------------------------------------------------------------------

# The signed number in `Unknown error N`: (name, remedy). Names as in winerror.h; the last is an NT status in HRESULT's
# clothes, seen where the adapters cannot be listed.
HRESULTS: dict[int, tuple[str, str]] = {
    0x80070057: ("E_INVALIDARG", "directml_invalid_argument"),
    0x8007000E: ("E_OUTOFMEMORY", "directml_allocator"),
    0x80070005: ("E_ACCESSDENIED", "directml_access_denied"),
    0x80004005: ("E_FAIL", "directml_failed"),
    0x887A0004: ("DXGI_ERROR_UNSUPPORTED", "directml_unsupported"),
    0x887A0005: ("DXGI_ERROR_DEVICE_REMOVED", "directml_device_removed"),
    0x887A0006: ("DXGI_ERROR_DEVICE_HUNG", "directml_device_removed"),
    0x887A0007: ("DXGI_ERROR_DEVICE_RESET", "directml_device_removed"),
    0xD0000001: ("STATUS_UNSUCCESSFUL", "directml_no_gpu_for_wsl"),
}
_UNKNOWN_ERROR = re.compile(r"Unknown error (-?\d{1,12})\b(?! ?\()")
_HEX_ERROR = re.compile(r"(?:HRESULT|error)[^\n]{0,40}?\b(0x[0-9a-fA-F]{8})\b")

# The first that fits counts, so what says more stands before what says less.
PATTERNS: tuple[tuple[str, str], ...] = (
    # microsoft/DirectML#554, #544: pip's words
    (r"No matching distribution found for torch-directml|satisfies the requirement torch-directml", "directml_python"),
    (r"No module named '?torch_directml_native'?", "directml_damaged"),
    (r"No module named '?torch_directml'?", "directml_missing"),
    (r"No module named '?torch\.privateuseone'?|with arguments from the 'PrivateUse1' backend", "directml_not_loaded"),
    (r"cannot import name '\w+' from 'torch[\w.]*' \(unknown location\)", "directml_torch_mixed"),
    (r"undefined symbol", "directml_torch_mismatch"),
    (r"compiled using NumPy 1\.x|_ARRAY_API not found|Numpy is not available", "directml_numpy"),
    (r"Could not allocate tensor with \d+ bytes|not enough GPU video memory", "directml_video_memory"),
    (r"DML allocator out of memory", "directml_allocator"),
    (r"does not support Double \(Float64\)", "directml_float64"),
    (r"Invalid or unsupported data type|rank <= DML_TENSOR_DIMENSION_COUNT_MAX", "directml_unsupported_type"),
    (r"found 0 compatible adapters|must be in range \[0, 0\)", "directml_no_adapter"),
    (r"Invalid device_id argument", "directml_no_such_device"),
    (r"D3D12DeviceFactory::CreateDevice failed", "directml_create_device"),
    (r"'aten::[^']*' is not currently supported on the DML backend", "directml_cpu_fallback"),
)
ADD_FELL_BACK = re.compile(r"'aten::add[^']*' is not currently supported.{0,40}fall back to run on the CPU")
NUMPY_CLASH = re.compile(r"compiled using NumPy 1\.x|_ARRAY_API not found")
# Last, because a driver says it in other troubles too.
_REMOVING = re.compile(r"D3D12: Removing Device")
_LIBRARY = re.compile(r"\b(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_LOAD_FAILED = re.compile(r"Could not load this library: \S*libdirectml")
D3D12_LIBRARIES = ("libd3d12.so", "libd3d12core.so", "libdxcore.so")
# cp38 to cp312, whatever its metadata say (Requires-Python: >=3.7).
PYTHONS = ((3, 8), (3, 12))


def with_names(text: str) -> str:
    """`Unknown error -2147024809`, with the number that can be looked up and its name."""

    def told(found: re.Match[str]) -> str:
        code = int(found.group(1)) & 0xFFFFFFFF
        name = HRESULTS.get(code, ("",))[0]
        return f"{found.group(0)} (0x{code:08X}{' ' + name if name else ''})"

    return _UNKNOWN_ERROR.sub(told, text)


def hresults_in(text: str) -> list[int]:
    codes = [int(code) & 0xFFFFFFFF for code in _UNKNOWN_ERROR.findall(text)]
    return codes + [int(code, 16) for code in _HEX_ERROR.findall(text)]


def remedy_for(evidence: Evidence) -> str:
    """The id of the remedy for a step that failed in torch_directml."""
    found = _by_text(" ".join(evidence.said), evidence) or _by_text(" ".join(evidence.heard), evidence)
    if found:
        return host_first(found, evidence.host)
    if evidence.ended == "timeout":
        return "directml_hangs"
    if evidence.signal == "SIGABRT":
        # microsoft/DirectML#570
        return "directml_torch_build" if evidence.torch.endswith("+cpu") else "directml_aborts"
    return "directml_crashes" if evidence.ended else "directml_unknown"


def step_remedy(evidence: Evidence) -> str:
    """The id of the remedy for a step of tensor_add that failed, whose word or cause may be known already."""
    if evidence.usual in SETTLED:
        return evidence.usual
    if evidence.problem:
        return host_first(evidence.problem, evidence.host)
    found = remedy_for(evidence)
    # Before the backend is imported, few things are its fault.
    return evidence.usual if evidence.early and found not in ("directml_torch_mixed", "directml_numpy") else found


def _by_text(text: str, evidence: Evidence) -> str | None:
    for pattern, remedy in PATTERNS:
        if re.search(pattern, text):
            wrong_python = remedy == "directml_missing" and not fits_python(evidence.python)
            return "directml_python" if wrong_python else remedy
    for code in hresults_in(text):
        if code in HRESULTS:
            return HRESULTS[code][1]
    library = _LIBRARY.search(text)
    if library or _LOAD_FAILED.search(text):
        return missing_library(library.group(1) if library else D3D12_LIBRARIES[0], evidence.host)
    return "directml_device_removed" if _REMOVING.search(text) else None


def missing_library(name: str, host: Mapping[str, Any]) -> str:
    """A library that the loader did not find: who has to bring it, or why it is not found."""
    if not name.startswith(D3D12_LIBRARIES):
        return "directml_damaged" if name.startswith("libdirectml") else "torch_broken"
    if host.get("wsl") is False:
        return "directml_not_wsl"
    if host.get("dxg") == "missing":
        return "directml_no_dxg"
    return "directml_loader" if name in (host.get("libraries") or ()) else "directml_libraries"


NO_ADAPTER = ("directml_no_adapter", "directml_no_gpu_for_wsl", "directml_access_denied")


def host_first(remedy: str, host: Mapping[str, Any]) -> str:
    """No driver helps where the device is not there, or may not be opened; so this is said instead."""
    if host.get("wsl") is not True or remedy not in NO_ADAPTER:
        return remedy
    return {"missing": "directml_no_dxg", "denied": "directml_dxg_denied"}.get(str(host.get("dxg")), remedy)


def fits_python(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is None or PYTHONS[0] <= (int(numbers.group(1)), int(numbers.group(2))) <= PYTHONS[1]

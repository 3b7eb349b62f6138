# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about GPUs: PCI id -> family (gfx, what runs on it where, and who says so) -> product.

Data and three look-ups. A new card is one line in DEVICES; a new chip is one Family. A family that has products with
lines of their own may name further ids as ranges. Nobody's word is None, which is never read as a yes.

Where it comes from:
  ids and names     pci.ids of 2026-08-22 (pciutils/pciids); libdrm's data/amdgpu.ids for products by revision;
                    intel/compute-runtime shared/source/dll/devices/devices_base.inl
  ROCm in WSL       the id table of librocdxg 1.2.x (which cards the bridge opens at all), and AMD's selector for ROCm 10.0:
                    ROCm/legacy-rocm-build docs/install/include/{gpu,os,ubuntu-ver}-selector.rst
  ROCm, native      the same selector; packages exist for gfx908 90a 942 950 1030 1100-1103 1150-1153 1200 1201
  gfx               ROCm/TheRock RELEASES.md; before RDNA 1, LLVM's names for AMD processors
  XPU               https://docs.pytorch.org/docs/2.15/notes/get_start_xpu.html
  CUDA              CUDA on WSL guide, 5.1 (Maxwell is not supported officially); pytorch/pytorch#157517 (which
                    builds carry code for which generation: none for Kepler, cu126 last for Maxwell to Volta)
  DirectML in WSL   Microsoft's hardware list for TensorFlow-DirectML in WSL, September 2021: GeForce GTX 900,
                    Radeon R5/R7/R9 200 and Intel HD Graphics 600 or newer
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

YES = "yes"
# Works for some, promised by nobody: only when the user asks for it.
OPT_IN = "opt_in"
NO = "no"

AMD = "1002"
NVIDIA = "10de"
INTEL = "8086"
# On Windows its software renderer and its remote displays; never a GPU.
MICROSOFT = "1414"
# Qualcomm's GPUs say their vendor in four letters: 'QCOM' backwards.
QUALCOMM = ("5143", "17cb", "4d4f4351")


@dataclass(frozen=True)
class Support:
    """A level, and why: the end of a sentence that begins with the card's name."""

    level: str | None
    why: str


ON_MICROSOFTS_LIST = Support(YES, "DirectML works on it")
OLDER_THAN_MICROSOFTS_LIST = Support(OPT_IN, "it is older than the cards that Microsoft lists for DirectML in WSL")


@dataclass(frozen=True)
class Family:
    """One chip, or several that are treated alike. wsl and linux are about the vendor's own backend."""

    name: str
    vendor_id: str
    chip: str
    integrated: bool
    wsl: Support
    linux: Support
    directml: Support = ON_MICROSOFTS_LIST
    # Which row of UBUNTU holds for it.
    line: str = ""
    # "67c0-67df 6fdf": what has no line of its own below.
    ids: str = ""
    note: str = ""


# The Ubuntu releases that the vendor names: in WSL, natively.
UBUNTU: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "radeon": (("22.04", "24.04", "26.04"), ("24.04", "26.04")),
    "ryzen": (("24.04", "26.04"), ("24.04", "26.04")),
    "instinct": ((), ("22.04", "24.04", "26.04")),
    "arc": (("24.04", "26.04"), ("24.04", "26.04")),
    "panther_lake": (("24.04", "26.04"), ("26.04",)),
}

# Where Intel's compute runtime can be had from apt, whatever PyTorch lists: backends/xpu/packages.py says from where.
INTELS_RUNTIME = ("22.04", "24.04", "26.04")

# fmt: off
# One family, a line or few: a table is read across.

# --- AMD ------------------------------------------------------------------------------------------------------------

_LISTED = Support(YES, "AMD supports it in WSL with ROCm")
_LISTED_LINUX = Support(YES, "AMD supports it with ROCm")
_ONLY_LINUX = Support(NO, "AMD does not offer ROCm in WSL for it, only on native Linux")
_NO_ROCM = Support(NO, "AMD does not support it in WSL")
_NO_ROCM_LINUX = Support(NO, "AMD's ROCm 10 has no packages for it")
_RDNA2 = Support(OPT_IN, "AMD does not support it in WSL; ROCm there is experimental and needs a line in dids.conf")
_RDNA2_SMALL = Support(
    OPT_IN,
    "AMD does not support it in WSL; ROCm there is experimental: a line in dids.conf, and packages made for gfx1030",
)
_NOT_LISTED_LINUX = Support(OPT_IN, "AMD does not list it for ROCm, though it has packages for the chip")
_SMALL_LINUX = Support(OPT_IN, "AMD does not list it for ROCm; others run it with the packages made for gfx1030")
_SOME_ON_MICROSOFTS_LIST = Support(
    OPT_IN, "only some of its kind are on Microsoft's list for DirectML in WSL, and their drivers are old"
)

NAVI_48 = Family("Radeon RX 9070, AI PRO R9700", AMD, "gfx1201", False, _LISTED, _LISTED_LINUX, line="radeon")
NAVI_44 = Family("Radeon RX 9060 and 9050", AMD, "gfx1200", False, _LISTED, _LISTED_LINUX, line="radeon")
NAVI_31 = Family("Radeon RX 7900, PRO W7900 and W7800", AMD, "gfx1100", False, _LISTED, _LISTED_LINUX, line="radeon")
NAVI_32 = Family("Radeon RX 7800 and 7700, PRO W7700", AMD, "gfx1101", False, _LISTED, _LISTED_LINUX, line="radeon")
NAVI_32_V = Family("Radeon PRO V710", AMD, "gfx1101", False, _ONLY_LINUX, _LISTED_LINUX, line="radeon")
NAVI_33 = Family(
    "Radeon RX 7600 family, PRO W7600 and W7500", AMD, "gfx1102", False,
    # AMD's page offers it, its bridge does not know the ids: ROCm/librocdxg#37.
    wsl=Support(OPT_IN, "AMD's page offers ROCm in WSL for it, but AMD's bridge opens it only with a line in dids.conf"),
    linux=_LISTED_LINUX,
    line="radeon",
    ids="748b",
)
STRIX_HALO = Family("Ryzen AI Max (Radeon 8060S, 8050S, 8040S)", AMD, "gfx1151", True, _LISTED, _LISTED_LINUX, line="ryzen")
STRIX = Family("Ryzen AI 9 (Radeon 890M, 880M)", AMD, "gfx1150", True, _LISTED, _LISTED_LINUX, line="ryzen")
KRACKAN = Family("Ryzen AI 7 and 5 (Radeon 860M, 840M)", AMD, "gfx1152", True, _LISTED, _LISTED_LINUX, line="ryzen")
KRACKAN_2 = Family("Ryzen AI 7, 5 (Radeon 840M, 820M)", AMD, "gfx1153", True, _LISTED, _LISTED_LINUX, line="ryzen")
HAWK_POINT = Family("Ryzen 8040 and 200 (Radeon 780M, 760M)", AMD, "gfx1103", True, _LISTED, _LISTED_LINUX, line="ryzen")
PHOENIX = Family(
    "Ryzen 7040, and the small 8040 and 200 (Radeon 780M to 740M)", AMD, "gfx1103", True,
    wsl=Support(OPT_IN, "AMD's bridge to WSL does not know it; its sister chip works, with a line in dids.conf this one may"),
    linux=_NOT_LISTED_LINUX,
    line="ryzen",
    ids="164f",
)
NAVI_21_PRO = Family("Radeon PRO W6800 and V620", AMD, "gfx1030", False, _RDNA2, _LISTED_LINUX, line="radeon")
NAVI_21 = Family("Radeon RX 6800, 6900 and 6950", AMD, "gfx1030", False, _RDNA2, _NOT_LISTED_LINUX, line="radeon")
NAVI_22 = Family(
    "Radeon RX 6700 and 6750, 6800M", AMD, "gfx1031", False, _RDNA2_SMALL, _SMALL_LINUX, line="radeon", ids="73c3 73ce"
)
NAVI_23 = Family("Radeon RX 6600 and 6650, PRO W6600", AMD, "gfx1032", False, _RDNA2_SMALL, _SMALL_LINUX, line="radeon")
NAVI_24 = Family("Radeon RX 6500 and 6400, PRO W6400", AMD, "gfx1034", False, _NO_ROCM, _NO_ROCM_LINUX)
NAVI_10 = Family("Radeon RX 5700 and 5600", AMD, "gfx1010", False, _NO_ROCM, _NO_ROCM_LINUX, ids="7310-731f")
NAVI_12 = Family("Radeon Pro 5600M, V520", AMD, "gfx1011", False, _NO_ROCM, _NO_ROCM_LINUX, ids="7360-7362")
NAVI_14 = Family("Radeon RX 5500 and 5300", AMD, "gfx1012", False, _NO_ROCM, _NO_ROCM_LINUX, ids="7340-734f")
VEGA_20 = Family("Radeon VII, Radeon Pro VII", AMD, "gfx906", False, _NO_ROCM, _NO_ROCM_LINUX, ids="66a0-66af")
VEGA_12 = Family("Radeon Pro Vega 16 and 20", AMD, "gfx904", False, _NO_ROCM, _NO_ROCM_LINUX, ids="69a0-69af")
VEGA_10 = Family("Radeon RX Vega 56 and 64", AMD, "gfx900", False, _NO_ROCM, _NO_ROCM_LINUX, ids="6860-687f")
POLARIS = Family(
    "Radeon RX 400 and 500", AMD, "gfx803", False, _NO_ROCM, _NO_ROCM_LINUX,
    ids="67c0-67df 67e0-67ff 694c-694f 6980-699f 6fdf",
)
GCN = Family(
    "Radeon R7, R9, Fury, HD 7700 and newer (before RX 400)", AMD, "", False, _NO_ROCM, _NO_ROCM_LINUX,
    # Microsoft's list begins with the 200 series, and one id often stands for an HD 7000 and its R7 or R9 successor.
    directml=_SOME_ON_MICROSOFTS_LIST,
    ids="6600-666f 6780-679f 67a0-67bf 6800-683f 6900-6907 6920-693f 7300-730f",
)
GCN_APU = Family(
    "A- and E-series processors with Radeon R2 to R7", AMD, "", True, _NO_ROCM, _NO_ROCM_LINUX,
    directml=_SOME_ON_MICROSOFTS_LIST,
    ids="1304-131d 9830-987f 98e4",
)
BEFORE_GCN = Family(
    "Radeon HD 6000 and older, and what was named HD 7000 or 8000 after them", AMD, "", False, _NO_ROCM, _NO_ROCM_LINUX,
    directml=Support(NO, "it is too old for DirectX 12"),
    ids="3150-5fff 6700-677f 6840-685f 6880-68ff 7100-72ff 7800-79ff 9400-982f 9900-99ff",
)
RAPHAEL = Family(
    "Ryzen 7000 and 9000 desktop, 7020 (Radeon 610M)", AMD, "gfx1036", True, _NO_ROCM, _NO_ROCM_LINUX,
    ids="164e 13c0 1506",
)
REMBRANDT = Family("Ryzen 6000 and 7035 (Radeon 680M, 660M)", AMD, "gfx1035", True, _NO_ROCM, _NO_ROCM_LINUX, ids="164d 1681")
VAN_GOGH = Family("Steam Deck", AMD, "gfx1033", True, _NO_ROCM, _NO_ROCM_LINUX, ids="163f 1435")
RENOIR = Family(
    "Ryzen 4000 and 5000 with Radeon Graphics", AMD, "gfx90c", True, _NO_ROCM, _NO_ROCM_LINUX, ids="1636 1638 164c 15e7"
)
RAVEN = Family(
    "Ryzen 2000 and 3000 with Radeon Vega", AMD, "gfx902", True, _NO_ROCM, _NO_ROCM_LINUX,
    ids="15d8 15dd",
    note="Some of these are gfx909; nothing depends on it.",
)
INSTINCT_MI350 = Family("Instinct MI350", AMD, "gfx950", False, _ONLY_LINUX, _LISTED_LINUX, line="instinct", ids="75a0-75bf")
INSTINCT_MI300 = Family("Instinct MI300", AMD, "gfx942", False, _ONLY_LINUX, _LISTED_LINUX, line="instinct", ids="74a0-74bf")
INSTINCT_MI200 = Family("Instinct MI200", AMD, "gfx90a", False, _ONLY_LINUX, _LISTED_LINUX, line="instinct", ids="7408-7410")
INSTINCT_MI100 = Family("Instinct MI100", AMD, "gfx908", False, _ONLY_LINUX, _LISTED_LINUX, line="instinct", ids="7388-738e")

# --- NVIDIA ---------------------------------------------------------------------------------------------------------
# The driver decides, not the id; but in pci.ids no GPU below 1340 is newer than Kepler, none below 1e00 newer than Volta.

_CUDA = Support(YES, "NVIDIA's driver brings CUDA")
_KEPLER = Support(NO, "no current PyTorch has code for a card this old (before the GeForce GTX 900)")

TURING = Family("GeForce GTX 16, RTX 20 and newer, RTX A and PRO", NVIDIA, "", False, _CUDA, _CUDA, ids="1e00-ffff")
PASCAL = Family(
    "GeForce GTX 10, MX 100 to 300, Titan V", NVIDIA, "", False, _CUDA, _CUDA,
    ids="15f0-15ff 1720-173f 1800-1dff",
    note="PyTorch's builds for CUDA 12.6 are the last with code for it.",
)
MAXWELL = Family(
    "GeForce GTX 900, GTX 750, 830M to 940MX, MX 110 and 130", NVIDIA, "", False,
    wsl=Support(OPT_IN, "NVIDIA does not support CUDA in WSL on it officially (Maxwell), though it may work"),
    linux=_CUDA,
    ids="1340-15ef 1600-171f 1740-17ff",
    note="PyTorch's builds for CUDA 12.6 are the last with code for it.",
)
KEPLER = Family(
    "GeForce GTX 700, 600 and older, GT 710 to 740", NVIDIA, "", False, _KEPLER, _KEPLER,
    directml=OLDER_THAN_MICROSOFTS_LIST,
    ids="0000-133f",
)

# --- Intel ----------------------------------------------------------------------------------------------------------

_XPU = Support(YES, "PyTorch lists it for Intel's XPU")
_XPU_SISTER = Support(OPT_IN, "PyTorch lists only its sisters that are called Arc for XPU; the chip is the same")
_NO_XPU = Support(NO, "PyTorch's XPU is for Arc and newer Intel GPUs")
_XPU_UNKNOWN = Support(None, "whether XPU works on it is not known")

BATTLEMAGE = Family("Arc B-series, Arc Pro B-series", INTEL, "", False, _XPU, _XPU, line="arc", ids="e202-e223")
ALCHEMIST = Family("Arc A-series, Arc Pro A-series", INTEL, "", False, _XPU, _XPU, line="arc", ids="4f80-4f88 5690-56bf")
PANTHER_LAKE = Family("Core Ultra series 3 with Arc graphics", INTEL, "", True, _XPU, _XPU, line="panther_lake", ids="b080-b087")
LUNAR_LAKE = Family("Core Ultra 200V with Arc graphics", INTEL, "", True, _XPU, _XPU, line="arc", ids="64a0")
ARROW_LAKE = Family("Core Ultra 200H with Arc graphics", INTEL, "", True, _XPU, _XPU, line="arc", ids="7d51")
METEOR_LAKE = Family("Core Ultra 100H with Arc graphics", INTEL, "", True, _XPU, _XPU, line="arc", ids="7d55")
CORE_ULTRA = Family(
    "Core Ultra with plain Intel Graphics", INTEL, "", True, _XPU_SISTER, _XPU_SISTER,
    line="arc",
    ids="7d40 7d41 7d45 7d60 7d67 7dd1 7dd5 b640 6420 64b0 b08f-b0b0 b0ff fd80-fd81",
)
PONTE_VECCHIO = Family(
    "Data Center GPU Max", INTEL, "", False,
    wsl=Support(NO, "it is a server's card that nobody offers for WSL"),
    linux=_XPU,
    ids="0b69-0bdb",
)
FLEX = Family("Data Center GPU Flex", INTEL, "", False, _XPU_UNKNOWN, _XPU_UNKNOWN, ids="56c0-56c2")
XE_LP = Family(
    "Iris Xe, UHD Graphics 700 (11th to 14th generation)", INTEL, "", True, _NO_XPU, _NO_XPU,
    ids="9a40-9af8 4c80-4c9a 4620-463a 4680-4693 46a0-46d4 a720-a7ad",
)
DG1 = Family("Iris Xe MAX", INTEL, "", False, _NO_XPU, _NO_XPU, ids="4905-4909")
GEN_9_5 = Family(
    "UHD and HD Graphics 600, Iris Plus (7th to 10th generation)", INTEL, "", True, _NO_XPU, _NO_XPU,
    ids="5900-593f 3184-3185 3e90-3ea9 87c0-87ca 8a50-8a5d 9840-9841 9b20-9bf6 4540-457f 4e50-4e7f",
)
OLD_INTEL = Family(
    "HD Graphics 530 and older (up to the 6th generation)", INTEL, "", True, _NO_XPU, _NO_XPU,
    directml=OLDER_THAN_MICROSOFTS_LIST,
    ids="0042-004a 0102-0176 0402-042e 08cf 0a02-0a2e 0be0-0bef 0c02-0c2e 0d02-0d36 0f30-0f33 1132 1240 1602-163e 1902-193d "
    "22b0-22b3 2562-2592 2772-27ae 2972-29d3 2a02-2a43 2e02-2e93 3577-358e 4100-410f 5a84-5a85 7120-712a 8108-8182 a001-a012",
)

FAMILIES: Sequence[Family] = (
    NAVI_48, NAVI_44, NAVI_31, NAVI_32, NAVI_32_V, NAVI_33,
    STRIX_HALO, STRIX, KRACKAN, KRACKAN_2, HAWK_POINT, PHOENIX,
    NAVI_21_PRO, NAVI_21, NAVI_22, NAVI_23, NAVI_24, NAVI_10, NAVI_12, NAVI_14,
    VEGA_20, VEGA_12, VEGA_10, POLARIS, GCN, GCN_APU, BEFORE_GCN,
    RAPHAEL, REMBRANDT, VAN_GOGH, RENOIR, RAVEN,
    INSTINCT_MI350, INSTINCT_MI300, INSTINCT_MI200, INSTINCT_MI100,
    TURING, PASCAL, MAXWELL, KEPLER,
    BATTLEMAGE, ALCHEMIST, PANTHER_LAKE, LUNAR_LAKE, ARROW_LAKE, METEOR_LAKE, CORE_ULTRA,
    PONTE_VECCHIO, FLEX, XE_LP, DG1, GEN_9_5, OLD_INTEL,
)

# --- products -------------------------------------------------------------------------------------------------------
# Device id, family, product by revision ("": whatever the revision). Intel's and NVIDIA's drivers name their cards
# themselves; AMD's say "AMD Radeon Graphics" for many, and the firmware's revision is what tells them apart.

DEVICES: Sequence[tuple[str, Family, Mapping[str, str]]] = (
    ("7550", NAVI_48, {"Radeon RX 9070 XT": "c0", "Radeon RX 9070 GRE": "c2", "Radeon RX 9070": "c3"}),
    ("7551", NAVI_48, {"Radeon AI PRO R9700": "c0", "Radeon AI PRO R9700S": "c1", "Radeon AI PRO R9600D": "c8"}),
    (
        "7590", NAVI_44,
        {"Radeon RX 9060 XT": "c0", "Radeon RX 9060 XT LP": "c1", "Radeon RX 9060": "c7", "Radeon RX 9050": "cf df"},
    ),
    (
        "744c", NAVI_31,
        {"Radeon RX 7900 XTX": "c8", "Radeon RX 7900 XT": "cc", "Radeon RX 7900 GRE": "ce", "Radeon RX 7900M": "cf"},
    ),
    ("7448", NAVI_31, {"Radeon PRO W7900": ""}),
    ("7449", NAVI_31, {"Radeon PRO W7800 48GB": ""}),
    ("744a", NAVI_31, {"Radeon PRO W7900 Dual Slot": ""}),
    ("744b", NAVI_31, {"Radeon PRO W7900D": ""}),
    ("745e", NAVI_31, {"Radeon PRO W7800": ""}),
    ("7470", NAVI_32, {"Radeon PRO W7700": ""}),
    (
        "747e", NAVI_32,
        {"Radeon RX 7800 XT": "c8", "Radeon RX 7700 XT": "ff", "Radeon RX 7700": "db", "Radeon RX 7800M": "d8"},
    ),
    ("7460", NAVI_32_V, {"Radeon PRO V710": ""}),
    ("7461", NAVI_32_V, {"Radeon PRO V710 MxGPU": ""}),
    (
        "7480", NAVI_33,
        {
            "Radeon RX 7600": "cf",
            "Radeon RX 7600 XT": "c0",
            "Radeon RX 7650 GRE": "c2",
            "Radeon RX 7700S": "c1",
            "Radeon RX 7600S": "c3",
            "Radeon RX 7600M XT": "c7",
            "Radeon PRO W7600": "00",
        },
    ),
    ("7481", NAVI_33, {"Steam Machine": "c7"}),
    ("7483", NAVI_33, {"Radeon RX 7600M": "cf"}),
    ("7487", NAVI_33, {}),
    ("7489", NAVI_33, {"Radeon PRO W7500": ""}),
    ("7499", NAVI_33, {"Radeon PRO W7400": "00", "Radeon RX 7400": "c0", "Radeon RX 7300": "c1"}),
    ("749f", NAVI_33, {"Radeon RX 7500": ""}),
    ("73f0", NAVI_33, {"Radeon RX 7600M XT": ""}),
    ("1586", STRIX_HALO, {"Radeon 8060S": "c1 c3 c6 d1", "Radeon 8050S": "c2 c4 d2 d4", "Radeon 8040S": "d5"}),
    ("150e", STRIX, {"Radeon 890M": "c1 c5 c6 c7 d1 d3 e1 e3 e4 f1 f3", "Radeon 880M": "c4 d2"}),
    (
        "1114", KRACKAN,
        {"Radeon 860M": "c2 d2 e2 e4 e9 ed f2 f9 fc", "Radeon 840M": "c3 d3 e5 ea ee f3 fa fd"},
    ),
    ("1902", KRACKAN_2, {"Radeon 840M": "c0 c1 c3 c7 c8 ca d1 d3 d7 d8", "Radeon 820M": "c2 c6 c9"}),
    (
        "1900", HAWK_POINT,
        {
            "Radeon 780M": "01 03 05 06 b0 b1 b2 b3 b4 b5 b6 b9 ba bb c0 c2 c4 c5 c7 c9 cb cc ce d0 d2 d4 d5 d7 d9 db dc "
            "de f0 f1 f2",
            "Radeon 760M": "02 04 07 b7 b8 c1 c3 c6 c8 ca cd cf d1 d3 d6 d8 da dd df",
        },
    ),
    ("1901", PHOENIX, {"Radeon 740M": ""}),
    ("15c8", PHOENIX, {"Radeon 740M": ""}),
    (
        "15bf", PHOENIX,
        {
            "Radeon 780M": "00 02 06 c1 c2 c4 c6 c7 c9 cf d0 d1 d2 d3 d4 d7 d9 da dd",
            "Radeon 760M": "01 03 05 c3 c8 cb cd d5 d6 db dc df f0",
            "Radeon 740M": "07 08 c5 ca cc ce d8 de",
        },
    ),
    ("73a1", NAVI_21_PRO, {"Radeon PRO V620": ""}),
    ("73ae", NAVI_21_PRO, {"Radeon PRO V620 MxGPU": ""}),
    ("73a3", NAVI_21_PRO, {"Radeon PRO W6800": ""}),
    ("73a2", NAVI_21, {"Radeon PRO W6900X": ""}),
    ("73ab", NAVI_21, {"Radeon PRO W6800X": ""}),
    ("73a5", NAVI_21, {"Radeon RX 6950 XT": ""}),
    ("73af", NAVI_21, {"Radeon RX 6900 XT": ""}),
    ("73bf", NAVI_21, {"Radeon RX 6900 XT": "c0", "Radeon RX 6800 XT": "c1", "Radeon RX 6800": "c3"}),
    (
        "73df", NAVI_22,
        {
            "Radeon RX 6750 XT": "c0",
            "Radeon RX 6700 XT": "c1 c5",
            "Radeon RX 6700": "df ff",
            "Radeon RX 6750 GRE 12GB": "d5 e5",
            "Radeon RX 6800M": "c2 c3",
            "Radeon RX 6700M": "cf",
        },
    ),
    (
        "73ff", NAVI_23,
        {
            "Radeon RX 6600 XT": "c1",
            "Radeon RX 6600": "c7",
            "Radeon RX 6600 LE": "cf",
            "Radeon RX 6750 GRE 10GB": "df",
            "Radeon RX 6600M": "c3",
            "Radeon RX 6600S": "cb",
        },
    ),
    (
        "73ef", NAVI_23,
        {
            "Radeon RX 6650 XT": "c1",
            "Radeon RX 6650M": "c3",
            "Radeon RX 6650M XT": "c4",
            "Radeon RX 6700S": "c2",
            "Radeon RX 6800S": "c0",
        },
    ),
    ("73e0", NAVI_23, {"Radeon RX 6600M": ""}),
    ("73e1", NAVI_23, {"Radeon PRO W6600M": ""}),
    ("73e3", NAVI_23, {"Radeon PRO W6600": ""}),
    (
        "743f", NAVI_24,
        {
            "Radeon RX 6500 XT": "c1",
            "Radeon RX 6400": "c7 d7",
            "Radeon RX 6500M": "c3 c8",
            "Radeon RX 6550M": "d3",
            "Radeon RX 6550S": "cc",
            "Radeon RX 6450M": "ce",
            "Radeon RX 6300M": "cf",
        },
    ),
    ("7421", NAVI_24, {"Radeon PRO W6500M": ""}),
    ("7422", NAVI_24, {"Radeon PRO W6400": ""}),
    ("7423", NAVI_24, {"Radeon PRO W6300M": "00", "Radeon PRO W6300": "01"}),
    ("7424", NAVI_24, {"Radeon RX 6300": ""}),
    (
        "731f", NAVI_10,
        {
            "Radeon RX 5700 XT": "c0 c1 c5",
            "Radeon RX 5700": "c4",
            "Radeon RX 5600 XT": "ca",
            "Radeon RX 5600": "cb",
            "Radeon RX 5700M": "c3",
            "Radeon RX 5600M": "c2",
        },
    ),
    ("731e", NAVI_10, {"Radeon RX 5700 XTB": "c6", "Radeon RX 5700B": "c7"}),
    (
        "7340", NAVI_14,
        {
            "Radeon RX 5500 XT": "c5 c9",
            "Radeon RX 5500": "c7",
            "Radeon RX 5300": "cf",
            "Radeon RX 5500M": "c1",
            "Radeon RX 5300M": "c3",
        },
    ),
    ("66af", VEGA_20, {"Radeon VII": ""}),
    ("687f", VEGA_10, {"Radeon RX Vega": ""}),
    (
        "67df", POLARIS,
        {
            "Radeon RX 590": "e1",
            "Radeon RX 580": "c1 c3 e7",
            "Radeon RX 570": "c2 c6 ef",
            "Radeon RX 480": "c4 c7",
            "Radeon RX 470": "c5 cf d7 e0 ff",
        },
    ),
    ("6fdf", POLARIS, {"Radeon RX 590 GME": "e7", "Radeon RX 580 2048SP": "ef ff"}),
    ("67ef", POLARIS, {"Radeon RX 460": "c1 c5 cf ff", "Radeon RX 560": "e0 e5 e7", "Radeon RX 560X": "e2"}),
    ("67ff", POLARIS, {"Radeon RX 560": "c1 cf ef", "Radeon RX 550": "ff"}),
    ("699f", POLARIS, {"Radeon RX 550": "c7", "Radeon 540": "c1 c9"}),
    ("1681", REMBRANDT, {"Radeon 680M": "06 0a c7 c8", "Radeon 660M": "07 0b c9"}),
    ("164e", RAPHAEL, {"Radeon 610M": "d8 d9 da db dc"}),
    ("1506", RAPHAEL, {"Radeon 610M": ""}),
)


# fmt: on

# --- look-ups -------------------------------------------------------------------------------------------------------


def id_ranges(family: Family) -> list[tuple[int, int]]:
    """A family's own `ids` as numbers, first and last."""
    pairs = (part.partition("-") for part in family.ids.split())
    return [(int(low, 16), int(high or low, 16)) for low, _, high in pairs]


_BY_ID = {(family.vendor_id, device): (family, products) for device, family, products in DEVICES}
_RANGES = [(family.vendor_id, low, high, family) for family in FAMILIES for low, high in id_ranges(family)]

# With these no backend can reach a GPU, even if another way has told which there are.
DXG_SHUT = frozenset(
    "dxg_missing dxg_no_driver dxg_no_device dxg_denied dxg_forbidden dxg_unopenable dxg_not_dxg".split()
)

# A target is what wheels and packages are made for. These chips have none of their own; others run those of gfx1030,
# which takes HSA_OVERRIDE_GFX_VERSION, so never without being asked for.
BORROWED_TARGETS: Mapping[str, tuple[str, str]] = {"gfx1031": ("gfx1030", "10.3.0"), "gfx1032": ("gfx1030", "10.3.0")}


def family_of(adapter: Mapping[str, Any]) -> Family | None:
    """The family of an adapter ({vendor_id, device_id, ..}); None where the table does not have it."""
    vendor, device = str(adapter.get("vendor_id") or ""), str(adapter.get("device_id") or "")
    if (vendor, device) in _BY_ID:
        return _BY_ID[vendor, device][0]
    try:
        number = int(device, 16)
    except ValueError:
        return None
    return next((family for owner, low, high, family in _RANGES if owner == vendor and low <= number <= high), None)


def gfx_of(adapter: Mapping[str, Any]) -> str | None:
    """AMD's name for the chip, such as "gfx1100"; None where it is not known, or not AMD's."""
    family = family_of(adapter)
    return family.chip if family is not None and family.chip.startswith("gfx") else None


def product_of(adapter: Mapping[str, Any]) -> str | None:
    """The name on the box, by id and revision; None where the table does not tell."""
    _, products = _BY_ID.get((str(adapter.get("vendor_id")), str(adapter.get("device_id"))), (None, {}))
    revision = str(adapter.get("revision") or "").lower()
    for product, revisions in products.items():
        if not revisions or revision in revisions.split():
            return product
    return None


def names_of(adapter: Mapping[str, Any]) -> list[str]:
    """What it may be called: by its driver, or by pci.ids and there in brackets, and by its box."""
    name = str(adapter.get("name") or "")
    # Several products of one id are one bracket with slashes, which names none: "[Radeon RX 7900 XT/7900 XTX]". NVIDIA's
    # driver does not tell the cards apart that pci.ids does: "GA106 [GeForce RTX 3060 Lite Hash Rate]".
    bracket = re.search(r"\[([^][/]+?)(?: Lite Hash Rate)?\]$", name)
    product = product_of(adapter) or (bracket[1] if bracket else "")
    return list(dict.fromkeys(filter(None, [name, product])))

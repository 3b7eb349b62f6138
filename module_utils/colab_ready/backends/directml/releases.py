# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of torch-directml: data, which a role's variable may add to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DEFAULT = "0.2.5.dev240914"
# What a release has to say of itself; the rest may be empty.
RELEASE_KEYS = ("package", "version", "torch", "python")
# Which lock goes with which build of torch.
TORCH_BUILDS = {"cpu": "lock", "index": "lock_index"}

# torch-directml has wheels for CPython 3.8 to 3.12 and takes exactly one torch, and torch exactly one torchvision; numpy says
# what torch was not built for. Our locks begin with Python 3.10.
# hashes: sha256 of every wheel of that version, as the package index lists them.
# lock: what goes with torch's CPU build; lock_index: the same with the package index's torch and its CUDA packages in it.
RELEASES: Mapping[str, Mapping[str, Any]] = {
    "0.2.5.dev240914": {
        "package": "torch-directml",
        "version": "0.2.5.dev240914",
        "hashes": [
            "26915aff5008a8567ea7641b74cf8cb53c1767d0c7163fc06e0a587e7c1c9dce",
            "30e29872f4d6059dd784897fa2df0cddb80f3874ed4f0860758790286e95a823",
            "3315b6c7e898685827607f1d8170dacc386ac248502aba9bd36cf82e78d930bb",
            "488509f0e8deb22f052b56f5cdad3a55878b65a7d99ee4b448fb4ab3cbb8d8ea",
            "6afb675585d30018c813e5ba203a3437073748919af8ab3e910092a0e0ec531f",
            "6e18fb706d15cc6d0d3de49f46a7edc07ae669531c851d7d8f98855f4974f9e6",
            "9b263c7d88ea225ce35b116441e1585fc753e9d69f64a8b6d83aabdc6c511517",
            "9c1988e95694520b31f1056bc038b76a62c9ca63f2d4e93f1abea1d293ec49ce",
            "9fe494ffd2c8ab9079f13404d052fc261cd8efb639a776c9075e58d9c64d6cb2",
            "ea19d11e33e9450b290311c06f7eb10924dd25c555e504d367b7b437d3eb24d0",
        ],
        "torch": "2.4.1",
        "torchvision": "0.19.1",
        "numpy": "",
        "python": ">=3.10,<3.13",
        "lock": "kernel_0.2.5.dev240914.txt",
        "lock_index": "kernel_0.2.5.dev240914_index.txt",
    },
    "0.2.1.dev240521": {
        "package": "torch-directml",
        "version": "0.2.1.dev240521",
        "hashes": [
            "01a90b25f3d1d591fdea65d41eeda1cc9bf72c6b74a81526ba9f0e94d3bb649a",
            "45e513e399067618fc944aac73078a9605c18a9b0d6c4d13f477c03a2eff675e",
            "596d8dbd3312b17261847563e04db03f66d72ab7f4a7af16b808458f5c109ce0",
            "62368fd3b72f93477c3d2ad51fcb3af1961cf16234072e31733e18ae61221225",
            "69620442d7aa2e705cba4be21a831366598bafdade1cbd1c53a218bec7613e92",
            "7231a72c63ab1e797b50c8e6e138b26f49d439a002199fb664d553c8580da8cd",
            "767a292516765e5657b8d5253967587193021d907c82ddf9d9ceb5278b34bc78",
            "d10b13988a37795c7e14c70e2e3745716a7ff3d88c1acc9cef9c350c9d014e54",
            "dcb0f1384392458516d25cdf20b0ea9e966697fee2e74af5a1f32dc893922f96",
            "ebaf1178e6636ec17ee7d5cf3652bc50323a2ef94f9363220197186cba3e6d72",
        ],
        "torch": "2.2.1",
        "torchvision": "0.17.1",
        "numpy": "<2",
        "python": ">=3.10,<3.13",
        "lock": "kernel_0.2.1.dev240521.txt",
        "lock_index": "kernel_0.2.1.dev240521_index.txt",
    },
}


def all_releases(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that this version knows, and the user's own."""
    return {**RELEASES, **settings["releases"]}

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel environment is made of, as a backend's module returns it and uv_env takes it; what those modules share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core.redact import secrets_in

# What the module of each backend takes, besides options of its own.
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "gpu": {"type": "dict", "default": {}},
    "torch_index": {"type": "str", "default": ""},
    "allow_default_torch": {"type": "bool", "default": False},
}


class Kernel(NamedTuple):
    """`lock` is a text, or the name of a file of the backend's role. `environment` is for whoever starts a program that looks for
    the GPU: the service, a kernel, the proof. The constraints are what a notebook's pip may not move, beside what is pinned."""

    display_name: str
    lock: str
    pinned: Sequence[Mapping[str, Any]]
    constraints: Sequence[str]
    python_requires: str
    environment: Mapping[str, str] = {}
    drop_bundled_hsa: bool = False


def pin(package: str, version: str, build: str, index: str, variable: str, allow_default: bool) -> dict[str, Any]:
    """A build from an index of its own; the same version from the default index, where that is allowed."""
    return {
        "requirement": f"{package}=={version}+{build}",
        "default_requirement": f"{package}=={version}",
        "index": index,
        "variable": variable,
        "allow_default": allow_default,
    }


def optional(pinned: Mapping[str, Any]) -> dict[str, Any]:
    """What notebooks import beside torch, which has to be made for the same torch and the same device: a notebook's pip would
    take the package index's, which is made for CUDA. Where no source has it, the rest works without it."""
    return {**pinned, "optional": True}


def torchaudio_of(torch: str) -> str:
    """The release that goes with one of torch: 2.11 with all from there on, before that its namesake
    (https://docs.pytorch.org/audio/2.11.0/installation.html, Compatibility Matrix)."""
    return torch if tuple(map(int, torch.split(".")[:2])) < (2, 11) else "2.11.0"


def hide_secrets(module: Any) -> None:
    """The address of a mirror or of a proxy may hold a password."""
    options = module.params
    texts = [*(options.get("environment") or {}).values(), *options.values()]
    module.no_log_values = {secret for text in texts if isinstance(text, str) for secret in secrets_in(text)}


def end(module: Any, kernel: Kernel | None, warnings: Sequence[str] = (), *, msg: str = "", **result: Any) -> None:
    """End a backend's module. The kernel is a fact of the host, by the same name whichever backend it is."""
    described = kernel._asdict() if kernel else None
    facts = {"ansible_facts": {"colab_kernel": described}} if described else {}
    for warning in warnings:
        module.warn(warning)
    if msg:
        module.fail_json(msg=msg, **{"kernel": None, **result})
    module.exit_json(**{"changed": False, "problems": [], "kernel": described, **facts, **result})

# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that the chosen ROCm puts on a host, and what is there already that stands in its way.

Pure functions over the tables of backends/rocm/releases.py and gpu/catalog.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ...core.problem import Problem
from ...core.remedy import give
from ...core.text import listed
from ...gpu import catalog
from ...gpu.kind import label
from ...system import ldconfig as loader_cache
from . import dids
from . import releases as rocm_releases
from .releases import Line


@dataclass(frozen=True)
class Options:
    """What was asked for. Empty: what the table says."""

    version: str = ""
    torch: str = ""
    # Packages of the system too, for rocminfo on everybody's path and for compiling.
    system_packages: bool = False
    amd_smi: bool = False
    # A card that AMD does not list, with a line in dids.conf or a borrowed target.
    experimental: bool = False
    # A bridge of another version, only as AMD pairs them; its checksum where the table has none.
    bridge_version: str = ""
    bridge_sha256: str = ""
    amd_smi_sha256: str = ""
    # A mirror's addresses. {release}, {codename} and {version} are filled in where they stand.
    apt_address: str = ""
    apt_key: str = ""
    bridge_address: str = ""
    torch_index: str = ""


class Host(NamedTuple):
    """What the host says. None: not known."""

    wsl: bool
    distribution: str | None
    version: str | None


def choose_line(adapter: Mapping[str, Any], host: Host, options: Options | None = None) -> dict[str, Any]:
    """What to put on a host for a card of AMD and a release that judge.py found to fit.

    line, gfx, target; repository {path, text, key, key_sha256, key_fingerprint, keyring, pin_path, pin} or None; packages,
    prerequisites; debs [{package, file, url, sha256}]; environment {..}; loader [folders]; dids [lines]; groups;
    python_requires; torch {index, find_links, requirements, constraints, drop_bundled_hsa}; windows_driver;
    cautions.
    """
    options = options or Options()
    line = _line(options)
    gfx = str(catalog.gfx_of(adapter))
    target, override = rocm_releases.target_of(gfx, line)
    torch = next(one for one in line.torch if options.torch in ("", one.version))
    full = _full(line, options)
    experimental = _support(adapter, host).level == catalog.OPT_IN
    entries = [dids.entry_for(str(adapter["device_id"]), gfx).line()] if host.wsl and experimental else []
    address = options.torch_index or line.wheels
    constraints = [f"numpy{line.numpy}"] if line.numpy else []
    return {
        "line": line.version,
        "gfx": gfx,
        "target": target,
        "repository": _repository(line, host, options) if full else None,
        "packages": [package.replace("{gfx}", target) for package in line.packages] if full else [],
        "prerequisites": [
            *(line.prerequisites if host.wsl or full else ()),
            *(rocm_releases.AMD_SMI_PREREQUISITES if host.wsl and options.amd_smi else ()),
        ],
        "debs": _debs(line, options) if host.wsl else [],
        "environment": {
            **(line.environment if host.wsl else {}),
            **({"HSA_OVERRIDE_GFX_VERSION": override} if override else {}),
        },
        "loader": [rocm_releases.BRIDGE_FOLDER] if host.wsl else [],
        "dids": entries,
        # In WSL everybody may open /dev/dxg; natively the groups own /dev/kfd and the render node.
        "groups": [] if host.wsl else ["render", "video"],
        "python_requires": rocm_releases.python_requires(line),
        "torch": {
            "index": address if line.wheels_are_index else "",
            "find_links": "" if line.wheels_are_index else address,
            "requirements": [one.replace("{gfx}", target) for one in torch.requirements],
            "constraints": constraints,
            "drop_bundled_hsa": line.drop_bundled_hsa and host.wsl,
        },
        "windows_driver": line.windows_driver if host.wsl else "",
        "cautions": list(_cautions(adapter, line, host, override, entries)),
    }


def _support(adapter: Mapping[str, Any], host: Host) -> catalog.Support:
    family = catalog.family_of(adapter)
    assert family is not None
    support = family.wsl if host.wsl else family.linux
    return support if support.level else catalog.Support(catalog.OPT_IN, support.why)


def _line(options: Options) -> Line:
    line = rocm_releases.line_of(options.version or rocm_releases.DEFAULT)
    assert line is not None
    return line


def _full(line: Line, options: Options) -> bool:
    """Whether packages of the system come too. What is not light is not offered without WSL."""
    return options.system_packages or not line.light


# --- what is to be put there ----------------------------------------------------------------------------------------


def _bridge(line: Line, options: Options) -> str:
    return options.bridge_version or line.bridges[0]


def _filled(address: str, host: Host) -> str:
    version = host.version or ""
    filled = address.replace("{release}", version.replace(".", ""))
    return filled.replace("{codename}", rocm_releases.CODENAMES.get(version, ""))


def _debs(line: Line, options: Options) -> list[dict[str, str]]:
    bridge = _bridge(line, options)
    folder = (options.bridge_address or rocm_releases.BRIDGE_ADDRESS).replace("{version}", bridge).rstrip("/")
    wanted = [(rocm_releases.BRIDGES[bridge], options.bridge_sha256)]
    if options.amd_smi:
        wanted.append((rocm_releases.AMD_SMI[bridge], options.amd_smi_sha256))
    return [
        {
            "package": asset.file.partition("_")[0],
            "version": bridge,
            "file": asset.file,
            "url": f"{folder}/{asset.file}",
            "sha256": (given or asset.sha256).lower(),
        }
        for asset, given in wanted
    ]


def _repository(line: Line, host: Host, options: Options) -> dict[str, Any] | None:
    source = line.repository
    if source is None:
        return None
    address = _filled(options.apt_address or source.address, host)
    suite = _filled(source.suite, host)
    if source.deb822:
        text = (
            f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: main\n"
            f"Architectures: amd64\nSigned-By: {source.keyring}\n"
        )
    else:
        text = f"deb [arch=amd64 signed-by={source.keyring}] {address} {suite} main\n"
    # What a mirror serves is its own key, perhaps.
    key = {"key": options.apt_key, "key_sha256": "", "key_fingerprint": ""} if options.apt_key else {}
    return {**asdict(source), **key, "address": address, "suite": suite, "text": text}


def _cautions(
    adapter: Mapping[str, Any], line: Line, host: Host, override: str, entries: Sequence[str]
) -> Iterator[str]:
    support = _support(adapter, host)
    if support.level == catalog.OPT_IN:
        yield f"{label(adapter)}: {support.why}"
    if entries:
        yield f"dids.conf of AMD's bridge gets the line {', '.join(entries)}"
    if override:
        yield f"HSA_OVERRIDE_GFX_VERSION={override} lets a program made for another chip run: results may be wrong"
    if host.wsl and line.windows_driver:
        yield f"AMD names {line.windows_driver} as the driver on Windows; colab-ready cannot see which one is there"
    named = catalog.UBUNTU.get(getattr(catalog.family_of(adapter), "line", ""), ((), ()))[1]
    if not host.wsl and named and (host.distribution != "ubuntu" or host.version not in named):
        yield f"AMD makes ROCm {line.version} for Ubuntu {listed(named)}, not for this system"


# --- what is there already ------------------------------------------------------------------------------------------

# Ubuntu's own runtime of 2023 lies in the loader's path before /opt/rocm, and knows no WSL (andweng/wsl-rocm).
SHADOWS = ("libhsa-runtime64-1", "libhsakmt1")
# A WSL starts no kernel of a package, and has nothing that such a module could drive.
NEVER_IN_WSL = re.compile(r"amdgpu-dkms(-\S*)?|linux-oem-\S+|linux-(image|headers|modules)-\S*oem\S*")
_CLASSIC = re.compile(r"rocm|rocm-(core|libs|hip-\S+|dev|utils)|hsa-rocr|hip-runtime-amd")
_ERA_A = "hsa-runtime-rocr4wsl-amdgpu"


class Conflicts(NamedTuple):
    """`remove`: packages that may go, after saying so. `problems`: what only the user may take away."""

    remove: list[str]
    problems: list[Problem]


def conflicts(
    installed: Mapping[str, str],
    line: str,
    wsl: bool,
    system_packages: bool = False,
    opt_rocm_is_folder: bool = False,
) -> Conflicts:
    """What a host has that does not go with a line. `installed`: names of packages, with their versions."""
    if not wsl and not system_packages:
        # The wheels carry all they need, and what else is there is the user's.
        return Conflicts([], [])
    packages = {name.partition(":")[0]: version for name, version in installed.items()}
    classic = rocm_releases.numbers_of(line) < (7, 13)
    problems: list[Problem] = []
    old = sorted(name for name in packages if _is_other(name, packages[name], line, classic))
    if old:
        releases = sorted({_release(packages[name]) for name in old if name != _ERA_A})
        versions = listed(releases) or "before 7.2.1"
        usable = [
            one.version for one in rocm_releases.LINES if one.offered and one.version in releases and (wsl or one.light)
        ]
        keep = f"; or {give(f'rocm_version={usable[0]}')}, which is there" if len(releases) == len(usable) == 1 else ""
        first = "sudo amdgpu-uninstall, " if "amdgpu-install" in packages else ""
        problems.append(
            Problem(
                "rocm_other_line",
                f"another ROCm is installed ({versions}: {', '.join(old)}), and AMD supports no upgrade in place",
                f"none but {line}",
                f"{first}sudo apt-get autoremove --purge {' '.join(old)}, then run ./colab-ready again{keep}",
            )
        )
    modules = sorted(name for name in packages if wsl and NEVER_IN_WSL.fullmatch(name))
    if modules:
        problems.append(
            Problem(
                "rocm_kernel_package",
                f"packages of a kernel or its modules are installed in this WSL ({', '.join(modules)})",
                "none: the driver is on Windows",
                f"sudo apt-get remove {' '.join(modules)}",
            )
        )
    if classic and opt_rocm_is_folder and "rocm-core" not in packages:
        what = "/opt/rocm is a folder, and ROCm 7.2 wants to put a link there"
        do = "sudo mv -T /opt/rocm /opt/rocm.old, then run ./colab-ready again"
        problems.append(Problem("rocm_opt_folder", what, "nothing at /opt/rocm, or a link", do))
    return Conflicts([name for name in SHADOWS if name in packages], problems)


def _is_other(name: str, version: str, line: str, classic: bool) -> bool:
    if name == _ERA_A:
        return True
    if _CLASSIC.fullmatch(name):
        # hsa-rocr is 1.18.0.70201-81~24.04: the release stands in the fourth number.
        return not classic or _release(version) not in (line, "")
    # Releases of the Core SDK live side by side, each in a folder of its own.
    return classic and name.startswith("amdrocm")


def _release(version: str) -> str:
    """The ROCm that a package's version belongs to: 7.2.1.70201-81~24.04 and 1.18.0.70201-81 are of 7.2.1."""
    found = re.search(r"\.([0-9]{1,2})([0-9]{2})([0-9]{2})-", version)
    if found:
        return ".".join(str(int(part)) for part in found.groups())
    upstream = re.match(r"(?:[0-9]+:)?([0-9]+\.[0-9]+(?:\.[0-9]+)?)", version)
    return upstream[1] if upstream else version


def loader_problem(ldconfig: str, line: str) -> Problem | None:
    """What is wrong with what `ldconfig -p` says after an installation (ROCm/librocdxg#35, #46). None: all well."""
    if loader_cache.first(ldconfig, "librocdxg.so") is None:
        do = "sudo apt-get purge rocdxg-roct, then ./colab-ready, which installs it again"
        what = "the loader does not find librocdxg.so, AMD's bridge to WSL"
        return Problem("rocm_bridge_not_found", what, f"{rocm_releases.BRIDGE_FOLDER} in the loader's cache", do)
    found = rocm_releases.line_of(line)
    runtime = loader_cache.first(ldconfig, "libhsa-runtime64.so")
    # Where the wheels bring the runtime, nobody asks the loader for it.
    if found is None or found.light or (runtime or "").startswith("/opt/rocm"):
        return None
    if runtime is None:
        do = "sudo ldconfig; if it stays, sudo apt-get install --reinstall hsa-rocr, and run ./colab-ready again"
        return Problem(
            "rocm_runtime_not_found", "the loader does not find libhsa-runtime64.so", "that of /opt/rocm", do
        )
    what = f"the loader takes {runtime} instead of AMD's runtime"
    return Problem(
        "rocm_shadowed", what, "that of /opt/rocm", f"sudo apt-get remove {' '.join(SHADOWS)}; sudo ldconfig"
    )

"""Build stand-ins for torch and for what comes with it, as wheels. The same arguments give the same bytes.

    torch_wheel(folder, "2.13.0+rocm10.0.0", "rocm", [{"name": "AMD Radeon RX 9070 XT", "gfx": "gfx1201", "bytes": 16 << 30}])
    wheel(folder, "rocm-sdk-core", "10.0.0", scripts={"rocminfo": "#!/bin/sh\\n..."})

Nothing but the standard library is needed, and the wheels are installed without torch's real ones.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODULE = HERE / "torch"
MARK = "(stand-in)"
BACKENDS = ("cuda", "rocm", "xpu")


def wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] = {},
    files: Mapping[str, str | bytes] = {},
    scripts: Mapping[str, str] = {},
    tag: str = "py3-none-any",
    requires_python: str = ">=3.10",
) -> Path:
    """NAME-VERSION-py3-none-any.whl in that folder. `files` by their path in site-packages; `scripts` go to bin, executable, and
    one that begins with #!python gets the environment's own interpreter there."""
    distribution = re.sub(r"[-_.]+", "_", name)
    info = f"{distribution}-{version}.dist-info"
    content = {path: _bytes(data) for path, data in files.items()}
    programs = {f"{distribution}-{version}.data/scripts/{path}": _bytes(data) for path, data in scripts.items()}
    content.update(programs)
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: A stand-in for {name}, for the tests of colab-ready. It is not {name} and uses no GPU.",
        f"Requires-Python: {requires_python}",
        *(f"Requires-Dist: {requirement}" for requirement in requires),
    ]
    for extra, wanted in extras.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {requirement} ; extra == "{extra}"' for requirement in wanted]
    content[f"{info}/METADATA"] = _bytes("\n".join([*lines, ""]))
    content[f"{info}/WHEEL"] = _bytes(
        f"Wheel-Version: 1.0\nGenerator: colab-ready (stand-in)\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    record = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = _bytes("\n".join([*record, f"{info}/RECORD,,", ""]))
    return _written(Path(folder) / f"{distribution}-{version}-{tag}.whl", content, set(programs))


def torch_wheel(
    folder: Path,
    version: str,
    backend: str,
    devices: Sequence[Mapping[str, Any]],
    *,
    requires: Sequence[str] = (),
    extras: Mapping[str, Sequence[str]] = {},
    files: Mapping[str, str | bytes] = {},
    scripts: Mapping[str, str] = {},
    environment: Mapping[str, str] = {},
    **more: Any,
) -> Path:
    """A torch that counts these devices ({name, gfx, capability, bytes}) and says it is `version`. Without the variables of
    `environment` it counts none, as ROCm 7.2 in WSL without HSA_ENABLE_DXG_DETECTION=1."""
    settings = {
        "version": version,
        "backend": backend,
        "devices": [marked(device) for device in devices],
        "environment": dict(environment),
    }
    if backend not in BACKENDS:
        raise ValueError(f"the stand-in for torch is made for {', '.join(BACKENDS)}, not for {backend}")
    module: dict[str, str | bytes] = {
        f"torch/{path.name}": path.read_bytes() for path in sorted(MODULE.iterdir()) if path.suffix in (".py", ".json")
    }
    module["torch/stand_in.json"] = json.dumps(settings, indent=1) + "\n"
    return wheel(
        folder,
        "torch",
        version,
        requires=requires,
        extras=extras,
        files={**module, **files},
        scripts=scripts,
        **more,
    )


def marked(device: Mapping[str, Any]) -> dict[str, Any]:
    """The device, with a name that says what it is."""
    name = str(device["name"])
    return {**device, "name": name if name.endswith(MARK) else f"{name} {MARK}"}


def faults() -> dict[str, dict[str, Any]]:
    """The faults by name, as faults.json has them."""
    return dict(json.loads((MODULE / "faults.json").read_text(encoding="utf-8")))


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _written(path: Path, content: Mapping[str, bytes], executable: set[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    with os.fdopen(descriptor, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    os.chmod(unfinished, 0o644)
    os.replace(unfinished, path)
    return path

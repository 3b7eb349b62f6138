"""How pip is set up on this computer, said again for a container and for uv. The reading is the product's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.append(str(Path(__file__).resolve().parent.parent / "module_utils"))

from colab_ready.python import pip_config


def sources(environment: Mapping[str, str] = os.environ) -> pip_config.Sources:
    home = environment.get("HOME", "/nonexistent")
    files = []
    for path in pip_config.config_files(environment, [home]):
        try:
            files.append((path, Path(path).read_text(encoding="utf-8")))
        except OSError:
            continue
    return pip_config.merge(files, environment, home)


def uv_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment in which uv finds what pip finds here. What uv was told directly stays."""
    passed = {key: value for key, value in environment.items() if key not in ("VIRTUAL_ENV", "UV_PYTHON")}
    return {**pip_config.uv_environment(sources(environment), environment), **passed}


def pip_conf(known: pip_config.Sources, certificates: str) -> str:
    """/etc/pip.conf for a container in which `certificates` (a path, or nothing) holds the roots to trust."""
    values = {
        "index-url": known.index_url,
        "extra-index-url": " ".join(known.extra_index_urls),
        "find-links": " ".join(known.find_links),
        "no-index": "true" if known.no_index else None,
        "trusted-host": " ".join(known.trusted_hosts),
        "proxy": known.proxy,
        "cert": certificates,
        "timeout": known.timeout,
        "retries": known.retries,
    }
    lines = [f"{key} = {value}" for key, value in values.items() if value not in (None, "")]
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def folders(known: pip_config.Sources) -> list[str]:
    """What of this computer's disk the sources name. An index on disk points at files beside itself: its parent."""
    found: list[Path] = []
    indexes = [known.index_url or "", *known.extra_index_urls]
    for address in (*indexes, *known.find_links):
        url = urlsplit(address)
        if not address or url.scheme not in ("", "file"):
            continue
        path = Path(unquote(url.path) if url.scheme else address)
        if address in indexes and len(path.parts) > 2:
            path = path.parent
        if path.is_absolute() and path.exists():
            found.append(path if path.is_dir() else path.parent)
    outermost = [path for path in found if not any(other in path.parents for other in found)]
    return [str(path) for path in dict.fromkeys(outermost)]

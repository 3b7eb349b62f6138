"""A stand-in for Intel's repository of the compute runtime, as rocm_repository's README.md says of AMD's: apt, dpkg and gpgv that
read it are the real ones, the packages have the real names and hold next to nothing.

    good      signed by the key in intel.asc
    forged    the same, signed by a stranger's key
    spoiled   signed by the key, and a package is not the one that the signed list names
    unmet     signed by the key, and a package depends on one that nobody has
    ubuntu    the distribution's own, not signed, with a runtime of 2023
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from doubles.rocm_repository import Key, Package, Repository

COMPONENT = "unified"
VERSIONS = {
    "libze1": "1.21.1.0-1123~24.04",
    "libze-intel-gpu1": "25.31.34666.3-1~24.04",
    "intel-opencl-icd": "25.31.34666.3-1~24.04",
    "libigc2": "2.18.0-1~24.04",
}
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
PACKAGES = (
    Package("libze1", VERSIONS["libze1"], {f"{_LIBRARIES}/libze_loader.so.1": "lib:libze_loader.so.1"}),
    Package("libze-intel-gpu1", VERSIONS["libze-intel-gpu1"], depends=["libigc2", "libze1"]),
    Package("intel-opencl-icd", VERSIONS["intel-opencl-icd"], depends=["libigc2"]),
    Package("libigc2", VERSIONS["libigc2"]),
)


class IntelRepository:
    """All of it in one folder, with keys of this run, which are kept elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._intel, self._stranger = Key("intel"), Key("stranger")
        self.fingerprint = self._intel.fingerprint
        (folder / "intel.asc").write_text(self._intel.armored, encoding="ascii")
        for name, key in (("good", self._intel), ("forged", self._stranger), ("spoiled", self._intel)):
            self._repository(name, key, PACKAGES)
        lacking = Package("libze-intel-gpu1", VERSIONS["libze-intel-gpu1"], depends=["intel-gsc (>= 0.9.5)"])
        self._repository("unmet", self._intel, [lacking if one.name == lacking.name else one for one in PACKAGES])
        spoiled = folder / "spoiled/pool" / PACKAGES[0].file
        spoiled.write_bytes(spoiled.read_bytes()[:-1] + b"\xff")
        Repository(folder / "ubuntu", "noble", [Package("intel-opencl-icd", "23.43.27642.40-1ubuntu3")]).index()

    def _repository(self, name: str, key: Key, packages: Sequence[Package]) -> None:
        repository = Repository(self.folder / name, "noble", packages)
        repository.index()
        index = repository.folder / "dists/noble"
        (index / "main").rename(index / COMPONENT)
        release = index / "Release"
        release.write_text(release.read_text().replace("main", COMPONENT))
        repository.sign_with(key)

    def end(self) -> None:
        for key in (self._intel, self._stranger):
            key.end()

"""A stand-in for AMD's apt repositories and the bridge's releases; README.md says what is real in it and what is not."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DESCRIPTION = "stand-in for tests, holds nothing of AMD's or Ubuntu's"
LINK_SCRIPT = "update-alternatives --install /opt/rocm rocm /opt/rocm-7.2.4 70204"
UNLINK_SCRIPT = "update-alternatives --remove rocm /opt/rocm-7.2.4"


@dataclass(frozen=True)
class Package:
    """A package to build. A file whose content is `lib:SONAME` becomes a library; `link:TARGET`, a link."""

    name: str
    version: str
    files: Mapping[str, str] = field(default_factory=dict)
    depends: Sequence[str] = ()
    conffiles: Sequence[str] = ()
    postinst: str = ""
    prerm: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}_{self.version}_amd64.deb"

    def build(self, folder: Path) -> Path:
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            root.chmod(0o755)
            for name, content in self.files.items():
                path = root / name.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                if content.startswith("lib:"):
                    subprocess.run(
                        ["cc", "-shared", "-x", "c", "/dev/null", f"-Wl,-soname,{content[4:]}", "-o", str(path)],
                        check=True,
                    )
                elif content.startswith("link:"):
                    path.symlink_to(content[5:])
                else:
                    path.write_text(content)
                    path.chmod(0o755 if "/bin/" in name else 0o644)
            control = root / "DEBIAN"
            control.mkdir()
            lines = {
                "Package": self.name, "Version": self.version, "Architecture": "amd64", "Maintainer": "no <no@example.org>",
                "Depends": ", ".join(self.depends), "Description": DESCRIPTION,
            }  # fmt: skip
            (control / "control").write_text("".join(f"{key}: {value}\n" for key, value in lines.items() if value))
            if self.conffiles:
                (control / "conffiles").write_text("".join(f"{one}\n" for one in self.conffiles))
            for script, line in (("postinst", self.postinst), ("prerm", self.prerm)):
                if line:
                    (control / script).write_text(f"#!/bin/sh\nset -e\n{line}\n")
                    (control / script).chmod(0o755)
            target = folder / self.file
            # The same bytes each time, so that a checksum can be said beforehand.
            command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(target)]
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1"})
        return target


DIDS = "# DEVICEID,MAJOR,MINOR,STEPPING\n"
BRIDGE = Package(
    "rocdxg-roct",
    "1.2.2",
    {
        "/opt/rocm/lib/librocdxg.so": "link:librocdxg.so.1",
        "/opt/rocm/lib/librocdxg.so.1": "link:librocdxg.so.1.2.2",
        "/opt/rocm/lib/librocdxg.so.1.2.2": "lib:librocdxg.so.1",
        "/opt/rocm/share/rocdxg/dids.conf": DIDS,
    },
    conffiles=["/opt/rocm/share/rocdxg/dids.conf"],
    postinst="ldconfig",
)
CURRENT = (
    Package("amdrocm10.0-gfx1201", "10.0.0-1", depends=["amdrocm-core10.0-gfx1201 (= 10.0.0-1)"]),
    Package("amdrocm10.0-gfx1102", "10.0.0-1", depends=["amdrocm-core10.0-gfx1201 (= 10.0.0-1)"]),
    Package("amdrocm-core10.0-gfx1201", "10.0.0-1", {"/opt/rocm/core-10.0/bin/rocminfo": "#!/bin/sh\n"}),
)
_74 = "7.2.4.70204-93~24.04"
CLASSIC = (
    Package("rocm-libs", _74, depends=["rocm-core"]),
    Package("hip-runtime-amd", _74, depends=["rocm-core", "hsa-rocr"]),
    Package(
        "hsa-rocr",
        "1.18.0.70204-93~24.04",
        {
            "/opt/rocm-7.2.4/lib/libhsa-runtime64.so.1": "link:libhsa-runtime64.so.1.18.70204",
            "/opt/rocm-7.2.4/lib/libhsa-runtime64.so.1.18.70204": "lib:libhsa-runtime64.so.1",
        },
        ["rocm-core"],
    ),
    Package("rocm-core", _74, {"/opt/rocm-7.2.4/.info/version": "7.2.4\n"}, postinst=LINK_SCRIPT, prerm=UNLINK_SCRIPT),
)


def rocminfo_7_2(program: str) -> Package:
    return Package(
        "rocminfo", "1.0.0.70204-93~24.04", {"/opt/rocm-7.2.4/bin/rocminfo": program}, ["rocm-core", "hsa-rocr"]
    )


_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
DISTRIBUTION = (
    Package("libatomic1", "14.2.0-4ubuntu2~24.04"),
    Package("libquadmath0", "14.2.0-4ubuntu2~24.04"),
    Package(
        "libhsa-runtime64-1",
        "5.7.1-2build1",
        {
            f"{_LIBRARIES}/libhsa-runtime64.so.1": "link:libhsa-runtime64.so.1.11.0",
            f"{_LIBRARIES}/libhsa-runtime64.so.1.11.0": "lib:libhsa-runtime64.so.1",
        },
        ["libhsakmt1"],
    ),
    Package("libhsakmt1", "5.7.0-1build1"),
    Package("somebodys-program", "1.0", depends=["libhsa-runtime64-1"]),
    Package("needs-the-compiler-library", "1.0", depends=["libatomic1"]),
)


class Key:
    """A key made for this run, in a folder with a short name: gpg's agent listens there, and a socket's path has 107 bytes."""

    def __init__(self, name: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.gpg("--quick-generate-key", f"{name} (stand-in) <{name}@example.org>", "rsa2048", "sign", "never")
        listing = self.gpg("--with-colons", "--list-keys")
        self.fingerprint = next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))
        self.armored = self.gpg("--armor", "--export")

    def gpg(self, *arguments: str) -> str:
        command = [
            "gpg",
            "--homedir",
            str(self.home),
            "--batch",
            "--yes",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self) -> None:
        """gpg leaves its agent behind."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False)
        # gpg's agent ends by itself, and takes its sockets away meanwhile.
        shutil.rmtree(self.home, ignore_errors=True)


class Repository:
    """An apt repository in a folder."""

    def __init__(self, folder: Path, suite: str, packages: Sequence[Package]) -> None:
        self.folder, self.suite = folder, suite
        self.pool = folder / "pool"
        self.pool.mkdir(parents=True)
        for package in packages:
            package.build(self.pool)

    def index(self) -> None:
        """The lists, not signed yet."""
        binary = self.folder / "dists" / self.suite / "main" / "binary-amd64"
        binary.mkdir(parents=True, exist_ok=True)
        entries = []
        for deb in sorted(self.pool.glob("*.deb")):
            said = subprocess.run(["dpkg-deb", "--field", str(deb)], capture_output=True, text=True, check=True).stdout
            raw = deb.read_bytes()
            sums = f"Size: {len(raw)}\nSHA256: {hashlib.sha256(raw).hexdigest()}\n"
            entries.append(f"{said.rstrip()}\nFilename: pool/{deb.name}\n{sums}")
        packages = "\n".join(entries).encode()
        (binary / "Packages").write_bytes(packages)
        (binary / "Packages.gz").write_bytes(gzip.compress(packages, mtime=0))
        listed = "".join(
            f" {hashlib.sha256(raw).hexdigest()} {len(raw)} main/binary-amd64/{name}\n"
            for name, raw in ((name, (binary / name).read_bytes()) for name in ("Packages", "Packages.gz"))
        )
        (self.folder / "dists" / self.suite / "Release").write_text(
            f"Origin: repo.radeon.com\nLabel: stand-in\nSuite: {self.suite}\nCodename: {self.suite}\nArchitectures: amd64\n"
            f"Components: main\nDate: Wed, 01 Jan 2025 00:00:00 UTC\nSHA256:\n{listed}"
        )

    def sign_with(self, key: Key) -> None:
        release = self.folder / "dists" / self.suite / "Release"
        key.gpg("--digest-algo", "SHA256", "--output", str(release.with_name("InRelease")), "--clearsign", str(release))


class StandIn:
    """All of it in one folder, which a container has at `place`. `rocminfo` is the program of ROCm 7.2's package."""

    def __init__(self, folder: Path, place: str, rocminfo: str = "#!/bin/sh\n") -> None:
        self.folder, self.place = folder, place
        self.amd, self.stranger = Key("amd"), Key("stranger")
        (folder / "amd.asc").write_text(self.amd.armored)
        (folder / "stranger.asc").write_text(self.stranger.armored)
        (folder / "nonsense.asc").write_text("<html>stand-in for a page that says please log in</html>\n")
        self.release = folder / "releases" / "v1.2.2"
        self.release.mkdir(parents=True)
        self.bridge_sha256 = hashlib.sha256(BRIDGE.build(self.release).read_bytes()).hexdigest()
        self.current = self._repository("amd-10.0.0", "stable", CURRENT)
        self.classic = self._repository("amd-7.2.4", "noble", [*CLASSIC, rocminfo_7_2(rocminfo)])
        ubuntu = Repository(folder / "ubuntu", "noble", DISTRIBUTION)
        ubuntu.index()
        self.distribution = f"deb [trusted=yes] file://{place}/ubuntu noble main\n"

    def _repository(self, name: str, suite: str, packages: Sequence[Package]) -> Repository:
        repository = Repository(self.folder / name, suite, packages)
        repository.index()
        repository.sign_with(self.amd)
        return repository

    def copy(self, name: str, repository: Repository) -> Repository:
        """Another one of the same, to be spoiled."""
        folder = self.folder / name
        shutil.copytree(repository.folder, folder)
        copied = object.__new__(Repository)
        copied.folder, copied.suite, copied.pool = folder, repository.suite, folder / "pool"
        return copied

    def end(self) -> None:
        for key in (self.amd, self.stranger):
            key.end()

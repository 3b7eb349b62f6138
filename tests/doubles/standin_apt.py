"""A stand-in for apt-get and dpkg-query: a package system in a JSON file. It checks no signature and downloads nothing.

    python standin_apt.py FOLDER apt-get [-o OPTION].. [--simulate] [--download-only] [--yes] update|install|remove [PACKAGE]..
    python standin_apt.py FOLDER dpkg-query --show --showformat=FORMAT

FOLDER/apt.json holds {"own": {package: version}, "repository": {package: version}, "source": path of the repository's
file, "depends": {package: [package, ..]}, "installed": {package: version}, "lists": bool, "fault": ""}. What is in
`repository` can be had when the file at `source` is there and `update` has read it; `own` is the distribution's, and can be
had when `lists` is true or after an `update` of everything. FOLDER/calls.log gets a line for each call of apt-get. Faults:

    unsigned, unreachable, busy   what apt says then in `update`, with status 100
    checksum    the same, in the download
    kernel      the installation would bring a kernel module
    removes     the installation would take another package away
    half        the installation fails after the first package
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SAYS = {
    "unsigned": "W: GPG error: https://apt.example noble InRelease: The following signatures couldn't be verified because the "
    "public key is not available: NO_PUBKEY 28DA432DAAC8BAEA\n"
    "E: The repository 'https://apt.example noble InRelease' is not signed.",
    "unreachable": "E: Failed to fetch https://apt.example/dists/noble/InRelease  Could not connect to apt.example:443",
    "checksum": "E: Failed to fetch https://apt.example/libze1.deb  Hash Sum mismatch",
    "busy": "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4242 (unattended-upgr)",
}


class Stopped(Exception):
    pass


class Apt:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "apt.json"
        self.state: dict[str, Any] = json.loads(self.file.read_text())
        self.fault = self.state.get("fault", "")

    def update(self, only: str | None) -> None:
        if self.fault in ("unsigned", "unreachable", "busy"):
            raise Stopped(SAYS[self.fault])
        self.state["read"] = Path(self.state["source"]).exists()
        if only is None:
            self.state["lists"] = True

    def candidates(self) -> dict[str, str]:
        found = dict(self.state["own"]) if self.state.get("lists") else {}
        if self.state.get("read") and Path(self.state["source"]).exists():
            found.update(self.state["repository"])
        return found

    def with_dependencies(self, names: list[str]) -> list[str]:
        result: list[str] = []
        for name in names:
            result += [*self.with_dependencies(self.state["depends"].get(name, [])), name]
        return list(dict.fromkeys(result))

    def install(self, names: list[str], simulate: bool, only_download: bool) -> None:
        found = self.candidates()
        for name in names:
            if name not in found:
                raise Stopped(f"E: Unable to locate package {name}")
        steps = [name for name in self.with_dependencies(names) if self.state["installed"].get(name) != found.get(name)]
        if self.fault == "kernel":
            steps.append("intel-i915-dkms")
        if self.fault == "removes":
            print("Remv intel-media [1.0]")
        for name in steps:
            was = self.state["installed"].get(name)
            print(f"Inst {name}{f' [{was}]' if was else ''} ({found.get(name, '1.0')} stand-in [amd64])")
        if simulate:
            return
        if self.fault == "checksum":
            raise Stopped(SAYS["checksum"])
        if only_download:
            return
        for number, name in enumerate(steps):
            if self.fault == "half" and number:
                raise Stopped("E: Sub-process /usr/bin/dpkg returned an error code (1)")
            self.state["installed"][name] = found[name]

    def remove(self, names: list[str], simulate: bool) -> None:
        needing = [name for name in self.state["installed"] if set(self.state["depends"].get(name, [])) & set(names)]
        for name in dict.fromkeys([*names, *needing]):
            print(f"Remv {name} [{self.state['installed'][name]}]")
            if not simulate:
                del self.state["installed"][name]

    def save(self) -> None:
        self.file.write_text(json.dumps(self.state, indent=1))


def apt_get(folder: Path, arguments: list[str]) -> int:
    with (folder / "calls.log").open("a") as log:
        log.write(" ".join(arguments) + "\n")
    words = iter(arguments)
    plain, options = [], []
    for word in words:
        if word == "-o":
            options.append(next(words))
        elif not word.startswith("-"):
            plain.append(word)
    apt = Apt(folder)
    simulate = "--simulate" in arguments
    try:
        if plain[0] == "update":
            own = [one.partition("=")[2] for one in options if one.startswith("Dir::Etc::SourceList=")]
            apt.update(own[0] if own else None)
        elif plain[0] == "install":
            apt.install(plain[1:], simulate, "--download-only" in arguments)
        else:
            apt.remove(plain[1:], simulate)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        apt.save()
        return 100
    apt.save()
    return 0


def dpkg_query(folder: Path) -> int:
    for name, version in Apt(folder).state["installed"].items():
        print(f"{name}\t{version}\tinstalled")
    print("removed-long-ago\t1.0\tconfig-files")
    return 0


def main() -> int:
    folder, program = Path(sys.argv[1]), sys.argv[2]
    return apt_get(folder, sys.argv[3:]) if program == "apt-get" else dpkg_query(folder)


if __name__ == "__main__":
    sys.exit(main())

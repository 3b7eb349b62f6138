"""A stand-in for Windows' reg.exe: it keeps a registry in a JSON file, and answers as the real program prints.

    python standin_reg_exe.py FOLDER query|add|delete KEY [/s] [/v NAME] [/t TYPE] [/d DATA] [/f]

FOLDER/registry.json holds {key: {name: [type, data]}}; FOLDER/calls.log gets a line for each call; FOLDER/faults.json can
switch on what goes wrong on real computers:

    denied    writing is refused, as without "Run as administrator"
    allowed   so many changes go well before "denied" begins
    disabled  an administrator switched registry tools off
    hang      no answer
    interop   WSL's own /init answers, unable to start Windows programs
    socket    the same, but where WSL_INTEROP is this one
    language  "de": what it says in words is German
    encoding  of what it says: cp437 (the default), cp850, utf-16

The formats and exit statuses are those that Microsoft documents and people show of the real program; no Windows was at
hand to compare them with.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

HIVES = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER"}
WORDS = {
    "en": {
        "done": "The operation completed successfully.",
        "missing": "ERROR: The system was unable to find the specified registry key or value.",
        "denied": "ERROR: Access is denied.",
        "disabled": "ERROR: Registry editing has been disabled by your administrator.",
        "usage": "STAND-IN for reg.exe: only query, add and delete are known.",
        "default": "(Default)",
    },
    "de": {
        "done": "Der Vorgang wurde erfolgreich beendet.",
        "missing": "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.",
        "denied": "FEHLER: Zugriff verweigert (Schlüssel).",
        "disabled": "FEHLER: Die Registrierungsbearbeitung wurde durch den Administrator deaktiviert.",
        "usage": "STAND-IN für reg.exe.",
        "default": "(Standard)",
    },
}

Registry = dict[str, dict[str, list[str]]]


class StandIn:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = json.loads(self.read("faults.json"))
        self.registry: Registry = json.loads(self.read("registry.json"))
        self.words = WORDS[self.faults.get("language", "en")]
        self.encoding = self.faults.get("encoding", "cp437")

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else "{}"

    def say(self, text: str, error: bool = False) -> None:
        stream = sys.stderr if error else sys.stdout
        encoding = "utf-16-le" if self.encoding == "utf-16" else self.encoding
        stream.buffer.write(text.replace("\n", "\r\n").encode(encoding, "replace"))

    def fail(self, word: str) -> int:
        self.say(self.words[word] + "\n", error=True)
        return 1

    def find(self, key: str) -> str | None:
        """The key as the registry spells it."""
        return next((one for one in self.registry if one.lower() == key.lower()), None)

    # --- the commands

    def run(self, arguments: list[str]) -> int:
        with (self.folder / "calls.log").open("a", encoding="utf-8") as log:
            log.write(" ".join(arguments) + "\n")
        if self.faults.get("hang"):
            time.sleep(600)
        socket = self.faults.get("socket")
        if self.faults.get("interop") or (socket and os.environ.get("WSL_INTEROP") != socket):
            sys.stderr.write("<3>WSL (25) ERROR: UtilAcceptVsock:250: accept4 failed 110\n")
            return 1
        if self.faults.get("disabled"):
            return self.fail("disabled")
        if len(arguments) < 2 or arguments[0] not in ("query", "add", "delete"):
            return self.fail("usage")
        hive, _, rest = arguments[1].partition("\\")
        key = "\\".join((HIVES.get(hive.upper(), hive.upper()), rest))
        options = {
            one.lower(): arguments[place + 1 : place + 2] for place, one in enumerate(arguments) if one[0] == "/"
        }
        if arguments[0] == "query":
            return self.query(key, "/s" in options)
        if self.is_refused():
            return self.fail("denied")
        name = "".join(options.get("/v", []))
        done = self.add(key, name, options) if arguments[0] == "add" else self.delete(key, name, "/v" in options)
        (self.folder / "registry.json").write_text(json.dumps(self.registry, indent=2), encoding="utf-8")
        return done

    def is_refused(self) -> bool:
        if not self.faults.get("denied"):
            return False
        if self.faults.get("allowed", 0) < 1:
            return True
        self.faults["allowed"] -= 1
        (self.folder / "faults.json").write_text(json.dumps(self.faults), encoding="utf-8")
        return False

    def query(self, key: str, deep: bool) -> int:
        found = self.find(key)
        if found is None:
            return self.fail("missing")
        below = [one for one in self.registry if one.lower().startswith(key.lower() + "\\")]
        if not deep:
            below = [one for one in below if "\\" not in one[len(key) + 1 :]]
        text = "\n"
        for one in [found, *below]:
            values = self.registry[one] if deep or one == found else {}
            if one == found and not values:
                continue
            text += f"{one}\n"
            for name, (kind, data) in values.items():
                text += f"    {name or self.words['default']}    {kind}    {data}\n"
            text += "\n" if values else ""
        self.say(text)
        return 0

    def add(self, key: str, name: str, options: dict[str, list[str]]) -> int:
        names = key.split("\\")
        for depth in range(2, len(names) + 1):
            one = "\\".join(names[:depth])
            if self.find(one) is None:
                self.registry[one] = {}
        values = self.registry[self.find(key) or key]
        values[name] = ["".join(options.get("/t", ["REG_SZ"])), "".join(options.get("/d", []))]
        self.say(self.words["done"] + "\n")
        return 0

    def delete(self, key: str, name: str, one_value: bool) -> int:
        found = self.find(key)
        if found is None or (one_value and name not in self.registry[found]):
            return self.fail("missing")
        if one_value:
            del self.registry[found][name]
        else:
            low = key.lower()
            self.registry = {k: v for k, v in self.registry.items() if f"{k.lower()}\\".startswith(f"{low}\\") is False}
        self.say(self.words["done"] + "\n")
        return 0


if __name__ == "__main__":
    sys.exit(StandIn(Path(sys.argv[1])).run(sys.argv[2:]))

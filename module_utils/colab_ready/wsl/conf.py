# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/wsl.conf and .wslconfig: read as WSL reads them, and changed by one value, byte for byte the same beside it.

Pure functions. The two files have one grammar (microsoft/WSL, src/shared/configfile/configfile.cpp), which is not that of
an .ini file: names are letters and digits in any case, a comment begins with # and never with ;, of two values the first
counts. In .wslconfig a line that WSL does not understand is skipped. In wsl.conf nothing after it is read
(src/linux/init/WslDistributionConfig.cpp), so that a value can stand there and have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core.problem import Refused
from ..core.remedy import Remedy, check_of

UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOM = b"\xff\xfe"

_BLANKS = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\n]*")
_HEADING = re.compile(r"\[([A-Za-z][A-Za-z0-9]*)\][ \t]*(?:#[^\n]*)?(?=[\r\n]|\Z)")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_REST = re.compile(r"[^\n]*\n?")
_ESCAPES = {"\\": "\\", '"': '"', "b": "\b", "n": "\n", "t": "\t"}


class Key(NamedTuple):
    """One setting of one of the files, what it should be, and what else means the same."""

    section: str
    name: str
    value: str
    same: Sequence[str]


# Since WSL 0.67.6; WSL ignores it where there is no /sbin/init.
SYSTEMD = Key("boot", "systemd", "true", ("true", "1"))
# Since WSL 2.5.4, 15000 by default (src/windows/common/WslCoreConfig.h). [wsl2] vmIdleTimeout counts only when no
# distribution runs any more, so this one is enough.
KEEP_RUNNING = Key("general", "instanceIdleTimeout", "-1", ("-1",))


class Setting(NamedTuple):
    """A value as it stands in the text: raw at begin..end, on a line that ends (its newline included) at stop."""

    section: str
    name: str
    value: str
    raw: str
    line: int
    begin: int
    end: int
    stop: int


class Heading(NamedTuple):
    section: str
    begin: int
    stop: int


class Parsed(NamedTuple):
    """`unread_from` is the line from which on WSL reads nothing, 0 where it reads all."""

    headings: list[Heading]
    settings: list[Setting]
    unread_from: int

    def of(self, key: Key) -> list[Setting]:
        return [one for one in self.settings if one.section == key.section.lower() and one.name == key.name.lower()]

    def value(self, key: Key) -> str | None:
        """What WSL takes."""
        found = self.of(key)
        return found[0].value if found else None

    def others(self, key: Key) -> list[tuple[str, str, str]]:
        """Everything but this key."""
        mine = self.of(key)
        return [(one.section, one.name, one.value) for one in self.settings if one not in mine]


class Edit(NamedTuple):
    """What was done to a text, as much as it takes to undo it: the raw values that were replaced (None: left as it was),
    or the text that was added."""

    was: list[str | None]
    added: str


# ---- reading ----------------------------------------------------------------------------------


def parse(text: str, skips_invalid: bool) -> Parsed:
    """`skips_invalid`: as Windows reads .wslconfig, where a CRLF counts as a newline everywhere, too."""
    headings: list[Heading] = []
    settings: list[Setting] = []
    section = ""
    at = 0
    while True:
        at = _end(_BLANKS, text, at)
        if at == len(text):
            return Parsed(headings, settings, 0)
        if text[at] == "#":
            at = _end(_COMMENT, text, at)
            continue
        heading = _HEADING.match(text, at)
        if heading:
            section = heading[1].lower()
            stop = _line_end(text, heading.end())
            headings.append(Heading(section, at, stop))
            at = stop
            continue
        setting = None if text[at] == "[" else _setting(text, at, section, skips_invalid)
        if setting:
            settings.append(setting)
            at = setting.stop
            continue
        if not skips_invalid:
            return Parsed(headings, settings, _line_number(text, at))
        if text[at] == "[":
            # WSL's own idea of the section is not to be relied on after this.
            section = "?"
        at = _end(_REST, text, at)


def _setting(text: str, begin: int, section: str, skips_invalid: bool) -> Setting | None:
    key = _KEY.match(text, begin)
    if key is None:
        return None
    at = end = start = key.end()
    value, kept, quoted = "", 0, False
    while at < len(text) and text[at] not in "\r\n" and (quoted or text[at] != "#"):
        letter = text[at]
        at += 1
        if letter == '"':
            quoted = not quoted
        elif letter == "\\":
            if text[at : at + 1] == "\n" or (skips_invalid and text[at : at + 2] == "\r\n"):
                at += 1 if text[at] == "\n" else 2
            elif text[at : at + 1] in _ESCAPES and at < len(text):
                value += _ESCAPES[text[at]]
                at += 1
            else:
                return None
        else:
            value += letter
        if letter not in " \t":
            end, kept = at, len(value)
    if quoted:
        return None
    if text[at : at + 1] == "#":
        at = _end(_COMMENT, text, at)
    stop = _line_end(text, at)
    line = _line_number(text, begin)
    return Setting(section, key[1].lower(), value[:kept], text[start:end], line, start, end, stop)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _line_end(text: str, at: int) -> int:
    """Behind the newline that is here, or (of a comment with a lone CR in it) behind the next."""
    found = _NEWLINE.match(text, at)
    return found.end() if found else at


def _line_number(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


# ---- changing ---------------------------------------------------------------------------------


def newline_of(text: str, default: str) -> str:
    found = re.search(r"\r?\n", text)
    return found[0] if found else default


def set_key(text: str, key: Key, skips_invalid: bool, newline: str) -> tuple[str, Edit | None]:
    """The text with the key as wanted, and what was done; the same text and None where it is so already.

    ValueError where it cannot be put so that WSL reads it.
    """
    before = parse(text, skips_invalid)
    found = before.of(key)
    if found and all(_means(one.value, key) for one in found):
        return text, None
    # Every one of several: that the first counts has not been so in all versions.
    if found:
        was = [None if _means(one.value, key) else one.raw for one in found]
        return _replaced(
            text, [(one, key.value) for one, raw in zip(found, was, strict=False) if raw is not None]
        ), Edit(was, "")
    for at, added in _places(text, before, key, newline_of(text, newline)):
        result = text[:at] + added + text[at:]
        after = parse(result, skips_invalid)
        if _means(after.value(key), key) and after.others(key) == before.others(key):
            return result, Edit([], added)
    unread = before.unread_from
    raise ValueError(
        "WSL reads nothing from line %d on" % unread if unread else "WSL reads no line that is added to it"
    )


def _places(text: str, parsed: Parsed, key: Key, newline: str) -> list[tuple[int, str]]:
    """Where the key could be put, the nicest first: in its section, at the end, at the beginning."""
    line = "%s=%s" % (key.name, key.value)
    block = "[%s]%s%s%s" % (key.section, newline, line, newline)
    places = []
    for heading in parsed.headings:
        if heading.section == key.section.lower():
            following = [one.begin for one in parsed.headings if one.begin > heading.begin] or [len(text)]
            stops = [one.stop for one in parsed.settings if heading.stop <= one.begin < following[0]]
            at = max([heading.stop, *stops])
            ends = text[:at].endswith(("\n", "\r"))
            places.append((at, line + newline if ends else newline + line))
            break
    ends = not text or text.endswith("\n")
    places.append((len(text), ("" if ends else newline) + (newline if text else "") + block))
    places.append((0, block + newline))
    return places


def unset_key(text: str, key: Key, edit: Edit, skips_invalid: bool) -> str:
    """The text without what was done to it. What somebody set to something else since then stays."""
    parsed = parse(text, skips_invalid)
    found = parsed.of(key)
    ours = [one for one in found if one.raw == key.value]
    if not ours:
        return text
    if not edit.added:
        if len(found) == len(edit.was):
            pairs = [
                (one, raw)
                for one, raw in zip(found, edit.was, strict=False)
                if raw is not None and one.raw == key.value
            ]
        else:
            pairs = [(ours[0], raw) for raw in edit.was if raw is not None][:1]
        return _replaced(text, pairs)
    one = ours[0]
    # The whole of what was added, heading and blank line too, where nothing came between and nothing into the section.
    begin = text.rfind(edit.added, 0, one.end + len(edit.added))
    results = [text[:begin] + text[begin + len(edit.added) :]] if 0 <= begin <= one.begin else []
    # From behind the line before: a newline inside of the added text may be the one that ended it.
    start = text.rfind("\n", 0, one.begin) + 1
    line_gone = text[:start] + text[one.stop :]
    heading = max((one_ for one_ in parsed.headings if one_.begin < one.begin), default=None, key=lambda h: h.begin)
    if heading is not None and edit.added.lstrip().startswith("["):
        results.append(text[: heading.begin] + text[heading.stop : start] + text[one.stop :])
    for result in results:
        if parse(result, skips_invalid).others(key) == parsed.others(key):
            return result
    return line_gone


def _replaced(text: str, pairs: Sequence[tuple[Setting, str]]) -> str:
    for setting, raw in sorted(pairs, key=lambda pair: -pair[0].begin):
        text = text[: setting.begin] + raw + text[setting.end :]
    return text


def _means(value: str | None, key: Key) -> bool:
    return value is not None and value.lower() in key.same


# ---- files ------------------------------------------------------------------------------------


def decode(content: bytes, windows: bool) -> tuple[bytes, str, str]:
    """A file's byte order mark, its encoding, its text: one letter for each byte, so that whatever the encoding is, it stays.

    WSL opens .wslconfig (`windows`) as UTF-8 unless a mark says UTF-16, and wsl.conf never as UTF-16.
    """
    if windows and content.startswith(UTF16_BOM):
        if len(content) % 2:
            raise ValueError("it is UTF-16 with half a letter at its end")
        return UTF16_BOM, "utf-16-le", content[2:].decode("utf-16-le", "surrogatepass")
    if content.startswith((UTF16_BOM, b"\xfe\xff")) or b"\0" in content:
        raise ValueError("it is UTF-16 of a kind that WSL does not read there")
    mark = UTF8_BOM if windows and content.startswith(UTF8_BOM) else b""
    return mark, "latin-1", content[len(mark) :].decode("latin-1")


def encode(mark: bytes, encoding: str, text: str) -> bytes:
    return mark + text.encode(encoding, "surrogatepass" if encoding == "utf-16-le" else "strict")


class Changed(NamedTuple):
    content: bytes
    edit: Edit | None


def set_in(content: bytes, key: Key, windows: bool) -> Changed:
    """The file's content with the key as wanted, and what was done."""
    mark, encoding, text = decode(content, windows)
    text, edit = set_key(text, key, skips_invalid=windows, newline="\r\n" if windows else "\n")
    return Changed(encode(mark, encoding, text), edit)


def unset_in(content: bytes, key: Key, edit: Edit, windows: bool) -> bytes:
    """The file's content without what was done to it."""
    mark, encoding, text = decode(content, windows)
    return encode(mark, encoding, unset_key(text, key, edit, skips_invalid=windows))


def wsl_conf_value(content: bytes, section: str, name: str) -> str | None:
    """What WSL takes from wsl.conf for one key; None where it takes its default."""
    try:
        return parse(decode(content, windows=False)[2], skips_invalid=False).value(Key(section, name, "", ()))
    except ValueError:
        return None


def is_systemd_on(content: bytes) -> bool:
    value = wsl_conf_value(content, SYSTEMD.section, SYSTEMD.name)
    return _means(value, SYSTEMD)


# ---- the loader's cache -----------------------------------------------------------------------

# Without these WSL has no GPU, whosever it is.
GPU_LIBRARIES = ("libdxcore.so", "libd3d12.so")


def names_folder(ld_so_conf: str, folder: str) -> bool:
    """Whether a file of ld.so.conf's kind has this folder."""
    lines = (re.split(r"[#=]", line, maxsplit=1)[0] for line in ld_so_conf.splitlines())
    words = [word.rstrip("/") for line in lines for word in re.split(r"[\s:,]+", line)]
    return folder.rstrip("/") in words


# ---- Windows' paths ---------------------------------------------------------------------------


def profile_in(output: str) -> str | None:
    """The user's folder in what cmd.exe printed for %USERPROFILE%; unknown, it prints that word."""
    for line in re.split(r"[\r\n]+", output):
        line = line.strip().strip('"')
        if re.match(r"[A-Za-z]:\\[^<>|?*%]+$", line) and line.isprintable():
            return line
    return None


def drive_path(windows_path: str, root: str) -> str:
    """The same file below the folder where WSL mounts the drives."""
    return "%s/%s/%s" % (root.rstrip("/"), windows_path[0].lower(), windows_path[3:].replace("\\", "/"))


# ---- when WSL has to be started again ---------------------------------------------------------

SYSTEMD_WAITS = "systemd_waits"
SYSTEMD_FAILED = "systemd_failed"
KEEP_RUNNING_WAITS = "keep_running_waits"
# Only said by the run that took it away.
SYSTEMD_GOES = "systemd_goes"
KEEP_RUNNING_GOES = "keep_running_goes"

_REASONS = {
    SYSTEMD_WAITS: "systemd is switched on in /etc/wsl.conf, and starts when WSL starts next",
    SYSTEMD_FAILED: "systemd is switched on in /etc/wsl.conf, and did not start though WSL was started since then",
    KEEP_RUNNING_WAITS: "the idle shutdown is switched off in .wslconfig, which WSL reads when it starts next",
    SYSTEMD_GOES: "systemd is not switched on in /etc/wsl.conf any more, and runs until WSL stops",
    KEEP_RUNNING_GOES: "the idle shutdown is not switched off in .wslconfig any more, which WSL reads when it starts next",
}


def restart_codes(record: Mapping[str, Any], wsl_conf: bytes, systemd_runs: bool, boot_id: str) -> list[str]:
    """What waits for `wsl --shutdown`. `record` is what the role did; `boot_id` the running kernel's.

    systemd counts whoever switched it on. Of .wslconfig nothing shows in here, so it is known of our own change only:
    it waits as long as the kernel is the one that ran then.
    """
    codes = []
    if is_systemd_on(wsl_conf) and not systemd_runs:
        then = (record.get("wsl_conf") or {}).get("boot_id")
        codes.append(SYSTEMD_FAILED if then and boot_id and then != boot_id else SYSTEMD_WAITS)
    then = (record.get("wslconfig") or {}).get("boot_id")
    if then and then == boot_id:
        codes.append(KEEP_RUNNING_WAITS)
    return codes


def restart_reasons(codes: Sequence[str]) -> list[str]:
    return [_REASONS[code] for code in codes]


def restart_remedies(codes: Sequence[str]) -> list[dict[str, str]]:
    """The entries of the report."""
    remedies = []
    waits = [code for code in codes if code != SYSTEMD_FAILED]
    if waits:
        do = "close what runs in WSL, and run wsl --shutdown in Windows' PowerShell"
        if not set(waits) <= {SYSTEMD_GOES, KEEP_RUNNING_GOES}:
            do += ", open the WSL window again and run ./colab-ready"
        cause = "WSL has to be started again: %s" % "; ".join(restart_reasons(waits))
        remedies.append(Remedy(cause, do, "windows").told("wsl_shutdown"))
    if SYSTEMD_FAILED in codes:
        do = (
            "run wsl --update and wsl --shutdown in Windows' PowerShell (systemd needs WSL 0.67.6 or newer), open the WSL window "
            "again and run ./colab-ready. The runtime works without systemd, too"
        )
        cause = _REASONS[SYSTEMD_FAILED]
        remedies.append(Remedy(cause[0].upper() + cause[1:], do, "windows").told("wsl_update"))
    return remedies


def judge_wsl_host(codes: Sequence[str]) -> dict[str, Any]:
    """The check `wsl_host` of the report. It never makes a host not ready: the runtime runs before the restart as well."""
    reasons = restart_reasons(codes)
    detail = "; ".join(reasons) or "nothing waits for a restart"
    return check_of("wsl_host", not codes, detail, reasons, restart_remedies(codes))


# ---- telling ----------------------------------------------------------------------------------


def unusable(path: str, why: str, key: Key) -> Refused:
    return Refused(
        "%s cannot be changed: %s. Expected a text file that WSL reads to its end, with lines such as [%s] and %s=%s, and "
        "comments that begin with #. Correct it there." % (path, why, key.section, key.name, key.value)
    )


def by_hand(why: str) -> Refused:
    """The user's folder in Windows cannot be reached."""
    return Refused(
        "WSL could not be told to keep running when its last window is closed: %s. Expected to reach the Windows user's "
        "folder without a link, and in it a plain file or none. Write these two lines into the file .wslconfig there (in "
        "Windows' PowerShell: notepad $env:USERPROFILE\\.wslconfig), the first only if it is not there yet: [%s] and %s=%s. "
        "Then run wsl --shutdown there. To leave it: ./colab-ready -e wsl_host_keep_running=false."
        % (why, KEEP_RUNNING.section, KEEP_RUNNING.name, KEEP_RUNNING.value)
    )

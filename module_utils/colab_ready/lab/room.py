# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a room's computers, a CSV file as spreadsheets write it: the columns in the first line, then a computer in each.

Encoding. Excel's "CSV UTF-8" begins with a byte order mark, its "CSV" is in the code page of Windows (cp1252 in Western Europe),
and its "Unicode Text" is UTF-16 with tabs (Microsoft: "Import or export text (.txt or .csv) files").
Separator. Excel takes the list separator of Windows' region: a semicolon where the comma is the decimal sign. A line `sep=;`
before the columns is for Excel alone.
Lines. RFC 4180 has CRLF, and lets a quoted value have several lines. No value here may. So each line is read by itself, and a
quote that is not closed spoils no other line.
Host names. RFC 1123, 2.1: labels of letters, digits and hyphens, of 63 characters, 253 in all. Names of Windows may have `_`,
too. What ends in a number is an IPv4 address to the resolver: inet_aton(3) takes `12` for 0.0.0.12.
Accounts. useradd(8) refuses a name of digits alone. Names of a directory have a dot or an `@` (`ada.l@school.test`).
"""

from __future__ import annotations

import codecs
import csv
import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ..backends.registry import BACKENDS
from ..core.problem import Problem, Refused
from ..core.text import listed
from ..settings.values import PORT_MAX, PORT_MIN

PROBLEMS_MAX = 50
SHOWN_MAX = 70
SEPARATORS = ";,\t"
NAMES = ("auto", *(one.name for one in BACKENDS))
# The group of each transport, and which of the columns of ELSEWHERE it has.
TRANSPORTS: dict[str, tuple[str, set[str]]] = {
    "ssh": ("linux", {"address", "user"}),
    "wsl": ("wsl", {"address", "windows_user", "distribution"}),
    "localhost": ("localhost", set()),
}
RESERVED = {"all", "ungrouped", "colab_hosts", *(group for group, _own in TRANSPORTS.values())}
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME = rf"(?=.{{1,253}}\Z){LABEL}(?:\.{LABEL})*"
ACCOUNT = r"(?![0-9]+\Z)[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}"
IN_AN_ACCOUNT = "1 to 64 of the letters A to Z, digits, and . _ - @ behind the first, not digits alone"


class Host(NamedTuple):
    """A computer of the room: its name in the inventory, the group of its transport, its variables."""

    name: str
    group: str
    variables: Mapping[str, str | int]


class Column(NamedTuple):
    """The variable of a column, what its values are, and the value as Ansible gets it; `convert` raises ValueError."""

    variable: str
    expected: str
    do: str
    convert: Callable[[str], str | int]


class Row(NamedTuple):
    """A line of the list: its number, and those of its values that are not empty, by column."""

    line: int
    values: dict[str, str]


def read_room(data: bytes) -> list[Host]:
    """Return the computers that the list names. Raises Refused with everything that is wrong with it."""
    problems: list[Problem] = []
    lines = _lines(_decode(data))
    heading = next(lines, None)
    if heading is None:
        raise Refused(_problem(0, "the list is empty", "the names of the columns, and a line for each computer", START))
    separator = max(SEPARATORS, key=lambda one: len(set(_names(_split(heading[1], one) or [])) & set(COLUMNS)))
    columns = _columns(heading, separator, problems)
    rows = list(_rows(lines, columns, separator, problems))
    if not rows and not problems:
        problems.append(_problem(heading[0], "no computer stands below the columns", "a line for each computer", START))
    hosts = [host for row in rows if (host := _host(row, problems))]
    problems += [*_twice(rows), *_nobodys(rows)]
    if problems:
        raise Refused(*sorted(problems, key=lambda problem: int(problem.id)))
    return hosts


def message(path: str, problems: tuple[Problem, ...]) -> str:
    """Return what is wrong with the list as one text to act on."""
    shown = [f"{number}. {problem.sentence()}" for number, problem in enumerate(problems[:PROBLEMS_MAX], 1)]
    more = len(problems) - len(shown)
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    first = f"{path} cannot be used ({count}). No computer was taken from it."
    return "\n".join([first, *shown, *([f"And {more} more. Do: correct these first."] if more else [])])


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = [] if b"\0" in data else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused(
        _problem(
            0, "the list is no text", "a CSV file", "save it from the spreadsheet as CSV (Excel: Save As, CSV UTF-8)"
        )
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that says something; neither `sep=;` nor comments do."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        bare = line.strip()
        if bare.strip(f'"{SEPARATORS} ') and not re.match(r'"*#|sep=.?$', bare, re.IGNORECASE):
            yield number, line


def _split(line: str, separator: str) -> list[str] | None:
    """Return the values of a line; None where its quotes do not fit."""
    try:
        return [
            value.strip() for value in next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True))
        ]
    except csv.Error:
        return None


def _names(values: list[str]) -> list[str]:
    return [re.sub(r"[\s-]+", "_", value.lower()) for value in values]


def _columns(heading: tuple[int, str], separator: str, problems: list[Problem]) -> list[str]:
    """Return the column of each place of a line. Raises Refused where the lines cannot be read without it."""
    line, text = heading
    names = _names(_split(text, separator) or [])
    if not set(names) & set(COLUMNS):
        raise Refused(_problem(line, "this line names no column that is known", f"some of {listed([*COLUMNS])}", START))
    for name in dict.fromkeys(names):
        if name and name not in COLUMNS:
            close = [ALSO[name]] if name in ALSO else difflib.get_close_matches(name, COLUMNS, n=1)
            do = f"write {close[0]}" if close else "correct it, or take the column away"
            problems.append(_problem(line, f"there is no column {_shown(name)}", f"some of {listed([*COLUMNS])}", do))
        elif name and names.count(name) > 1:
            problems.append(_problem(line, f"the column {name} stands here twice", "each once", "take one away"))
    if "name" not in names:
        wrong = _problem(line, "there is no column name", "the name of each computer", "add it, or correct its heading")
        raise Refused(*problems, wrong)
    return names


def _rows(
    lines: Iterator[tuple[int, str]], columns: list[str], separator: str, problems: list[Problem]
) -> Iterator[Row]:
    for line, text in lines:
        values = _split(text, separator)
        others = [one for one in SEPARATORS if one != separator and one in text]
        if values is None:
            wrong = "a quote is not closed, or stands inside a value"
            problems.append(
                _problem(line, wrong, 'quotes around a whole value, as in "a"', "close it, or take it away")
            )
        elif len(values) == 1 < len(columns) and others:
            wrong = f"the values are separated by {WORDS[others[0]]}, and the columns by {WORDS[separator]}"
            problems.append(_problem(line, wrong, "one separator in the whole list", f"write {WORDS[separator]} here"))
        else:
            strange = [value for name, value in _placed(values, columns) if value and not name]
            if strange:
                wrong = f"{_shown(strange[0])} stands in a column without a name"
                do = "name the column in the first line, or take the value away"
                problems.append(_problem(line, wrong, "no more values than columns", do))
            yield Row(line, {name: value for name, value in _placed(values, columns) if value and name in COLUMNS})


def _placed(values: list[str], columns: list[str]) -> Iterator[tuple[str, str]]:
    for place, value in enumerate(values):
        yield columns[place] if place < len(columns) else "", value


def _host(row: Row, problems: list[Problem]) -> Host | None:
    """Return the computer of a line; what is wrong with the line goes to the problems."""
    before = len(problems)
    variables: dict[str, str | int] = {}
    if "name" not in row.values:
        problems.append(_problem(row.line, "the name is missing", COLUMNS["name"].expected, COLUMNS["name"].do))
    for name, value in {"transport": "ssh", "address": _address(row), **row.values}.items():
        column = COLUMNS[name]
        is_the_name = name == "address" and name not in row.values
        try:
            variables[column.variable] = column.convert(value)
        except ValueError:
            # A wrong name is one problem, although the address is taken from it.
            if not is_the_name or re.fullmatch(HOST_NAME, value):
                shown = f"{name} is {_shown(value)}{', from the name' if is_the_name else ''}"
                problems.append(_problem(row.line, shown, column.expected, column.do))
    transport = str(variables.pop("transport", ""))
    group, own = TRANSPORTS.get(transport, ("", {*ELSEWHERE}))
    for name in row.values:
        if name in ELSEWHERE and name not in own:
            wrong = f"{name} is given, and transport is {transport}"
            problems.append(_problem(row.line, wrong, *ELSEWHERE[name]))
    host = str(variables.pop("name", ""))
    return Host(host, group, variables) if len(problems) == before else None


def _transport(row: Row) -> str:
    return row.values.get("transport", "ssh").lower()


def _address(row: Row) -> str:
    return "localhost" if _transport(row) == "localhost" else row.values.get("address") or row.values.get("name", "")


def _twice(rows: list[Row]) -> Iterator[Problem]:
    """Yield a problem for each name and each address that stands in two lines."""
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        for what, value in (("name", row.values.get("name", "")), ("address", _address(row))):
            line = first.setdefault((what, _same(value)), row.line) if value else row.line
            if line != row.line:
                wrong = f"the {what} {_shown(value)} stands in line {line} already"
                yield _problem(row.line, wrong, f"each {what} once", "correct one of the two, or take one line away")
                if "address" not in row.values:
                    break  # which is the name


def _nobodys(rows: list[Row]) -> Iterator[Problem]:
    """Yield one problem for all lines where the account that administers the computer would run its notebooks.

    A cell could write to that account's authorized_keys, and the account may become root. Where root logs in, colab-ready makes
    an account for the notebooks.
    """
    lines = [
        row.line
        for row in rows
        if "colab_user" not in row.values
        and _transport(row) in ("ssh", "localhost")
        and row.values.get("user") != "root"
    ]
    if lines:
        where = listed([str(line) for line in lines[1:20]]) + (f" and {len(lines) - 20} more" if lines[20:] else "")
        also = f", also in the lines {where}" if lines[1:] else ""
        wrong = (
            f"colab_user is missing{also}: notebooks would have the rights of the account that administers the computer"
        )
        do = "write the student's account into colab_user; the account of user again, if you want just this"
        yield _problem(lines[0], wrong, "the account on that computer which runs notebooks", do)


def _same(value: str) -> str:
    """Return what is alike for two spellings of one name or address."""
    try:
        return ipaddress.ip_address(value).compressed
    except ValueError:
        return value.lower().rstrip(".")


def _matching(pattern: str, refused: set[str] | None = None) -> Callable[[str], str]:
    def convert(value: str) -> str:
        if not re.fullmatch(pattern, value) or value.lower() in (refused or ()):
            raise ValueError
        return value

    return convert


def _network_address(value: str) -> str:
    # An IPv6 zone may hold anything, and ssh expands a % in its options.
    if ":" in value or value.rpartition(".")[2].isdigit():
        address = ipaddress.ip_address(value)
        if "%" in value or address.is_unspecified or address.is_multicast:
            raise ValueError
        return value
    return _matching(HOST_NAME)(value)


def _port(value: str) -> int:
    if not (re.fullmatch(r"\d{1,5}", value, re.ASCII) and PORT_MIN <= int(value) <= PORT_MAX):
        raise ValueError
    return int(value)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def convert(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError
        return value.lower()

    return convert


def _shown(value: str) -> str:
    return repr(value if len(value) <= SHOWN_MAX else f"{value[:SHOWN_MAX]}...")


def _problem(line: int, what: str, expected: str, do: str) -> Problem:
    """Return the problem of a line, which is its id; 0 is the list as a whole."""
    return Problem(str(line), f"line {line}: {what}" if line else what, expected, do)


START = "begin with the lines name;address;user;colab_user and pc-01;192.0.2.11;teacher;student"
WORDS = {";": "semicolons", ",": "commas", "\t": "tabs"}
# What else people call a column, where difflib sees no likeness.
ALSO = {"student": "colab_user", "ip": "address", "host": "name", "pc": "name", "login": "user"}
# What is expected and to do where a column has a value that its transport has no use for.
ELSEWHERE = {
    "address": ("no value there, since that is this computer", "take it away, or write ssh or wsl into transport"),
    "user": (
        "no value there, since WSL is entered as root, and this computer without ssh",
        "leave it empty; windows_user is for wsl",
    ),
    "windows_user": ("a value there for transport wsl alone", "write wsl into transport, or the account into user"),
    "distribution": ("a value there for transport wsl alone", "write wsl into transport, or take it away"),
}
COLUMNS: dict[str, Column] = {
    "name": Column(
        "name",
        f"letters A to Z, digits, hyphens, _ and dots, as in pc-01, and none of {listed(sorted(RESERVED))}",
        "write another name",
        _matching(HOST_NAME, RESERVED),
    ),
    "address": Column(
        "ansible_host",
        "an IP address, or a name that the network knows",
        "write one, as in 192.0.2.11 or pc-01.school.test",
        _network_address,
    ),
    "user": Column("ansible_user", IN_AN_ACCOUNT, "write the account that ssh logs in with", _matching(ACCOUNT)),
    "colab_user": Column(
        "colab_user", f"{IN_AN_ACCOUNT}, and not root", "write the student's account", _matching(ACCOUNT, {"root"})
    ),
    "transport": Column(
        "transport",
        f"one of {listed([*TRANSPORTS])}",
        "write one of them, or nothing for ssh",
        _one_of(tuple(TRANSPORTS)),
    ),
    "windows_user": Column(
        "lab_windows_user", IN_AN_ACCOUNT, "write the account of Windows that has the distribution", _matching(ACCOUNT)
    ),
    "distribution": Column(
        "lab_distribution",
        "a name of WSL's: 1 to 64 of the letters A to Z, digits, and . _ - behind the first",
        "write one that `wsl.exe --list` shows",
        _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    ),
    "colab_port": Column(
        "colab_port", f"a whole number from {PORT_MIN} to {PORT_MAX}", "write 8888, or nothing", _port
    ),
    "colab_backend": Column(
        "colab_backend", f"one of {listed(NAMES)}", "write one of them, or nothing", _one_of(NAMES)
    ),
}

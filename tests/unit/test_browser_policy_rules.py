"""What a browser makes of policies, what is written beside those of others, and what reg.exe's output says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.colab_ready.browser.policy import (
    BROWSERS,
    LOOPBACK,
    LOOPBACK_BLOCKED,
    MERGED,
    OLDER,
    OLDER_BLOCKED,
    Setting,
    free_number,
    in_force,
    judge,
    missing_keys,
    plan_file,
    plan_registry,
    read_policies,
    specificity,
)
from ansible.module_utils.colab_ready.core.origin import check_origin
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.core.text import decoded, first_words
from ansible.module_utils.colab_ready.wsl import facts as wsl
from ansible.module_utils.colab_ready.wsl import registry as windows_registry
from ansible.module_utils.colab_ready.wsl.registry import Entry, Value

COLAB = "https://colab.research.google.com"
OURS = "/m/colab-ready.json"
TOP = "HKLM\\SOFTWARE\\Policies"
LIST = f"{TOP}\\Google\\Chrome\\{LOOPBACK}"


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*",
        "https://[*.]google.com",
        "[*.]google.com",
        "colab.research.google.com",
        f"{COLAB}/",
        f"{COLAB}/x",
        "file:///tmp",
        "https://",
        "https://Colab.example",
        f"{COLAB} ",
        f"{COLAB}\n",
        "https://a b",
        "https://a..b",
        "https://user@host",
    ],
)
def test_what_is_more_than_one_page_is_no_origin(origin: str) -> None:
    with pytest.raises(Refused, match="Expected one page's origin"):
        check_origin(origin)


@pytest.mark.parametrize("origin", [COLAB, "http://localhost:8080", "https://10.0.0.1", "https://a-b.example:8443"])
def test_an_origin_is_taken_as_it_is(origin: str) -> None:
    assert check_origin(origin) == origin


# Each row was tried in Chromium 156 as the one entry of LoopbackNetworkAllowedForUrls.
@pytest.mark.parametrize(
    ("pattern", "granted"),
    [
        (COLAB, True),
        (f"{COLAB}/", True),
        (f"{COLAB}/x", True),
        (f"{COLAB}/*", True),
        (f"{COLAB}:443", True),
        (f"{COLAB}:*", True),
        (f" {COLAB}", True),
        ("HTTPS://Colab.Research.Google.com", True),
        ("colab.research.google.com", True),
        ("colab.research.google.com/x", True),
        ("*://colab.research.google.com", True),
        ("[*.]colab.research.google.com", True),
        ("[*.]google.com", True),
        ("https://[*.]google.com", True),
        ("https://[*.]colab.research.google.com:443/", True),
        ("[*.]com", True),
        ("[*.]", True),
        ("*", True),
        ("*:443", True),
        ("*:*", True),
        ("*/*", True),
        ("*://*", True),
        ("*://*/*", True),
        ("https://*", True),
        ("https://*:443", True),
        ("http://colab.research.google.com", False),
        (f"{COLAB}:8443", False),
        (f"{COLAB}:0", False),
        ("https://*.google.com", False),
        ("*.google.com", False),
        (".google.com", False),
        ("colab.*", False),
    ],
)
def test_a_pattern_covers_the_page_as_in_the_browser(pattern: str, granted: bool) -> None:
    assert judge({LOOPBACK: Setting((pattern,), "f")}, COLAB).allowed is (True if granted else None)


@pytest.mark.parametrize(
    "pattern",
    ["", "[*.]oogle.com", "[*.]gle.com", "https://", "colab.research.google.com.evil.example", "https://[", "a b"],
)
def test_a_pattern_of_something_else_does_not_cover_the_page(pattern: str) -> None:
    assert specificity(pattern, COLAB) is None


# Each row was tried in Chromium 156.
@pytest.mark.parametrize(
    ("allowing", "allowed", "blocking", "blocked", "verdict"),
    [
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, COLAB, False),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, f"{COLAB}:443", False),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, "*", True),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, "https://*", True),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, "[*.]google.com", True),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, "colab.research.google.com", True),
        (LOOPBACK, COLAB, LOOPBACK_BLOCKED, "[*.]colab.research.google.com", True),
        (LOOPBACK, COLAB, OLDER_BLOCKED, COLAB, True),
        (LOOPBACK, COLAB, OLDER_BLOCKED, "*", True),
        (LOOPBACK, COLAB, OLDER_BLOCKED, "[*.]google.com", True),
        (LOOPBACK, COLAB, OLDER_BLOCKED, f"{COLAB}:443", False),
        (LOOPBACK, "*", LOOPBACK_BLOCKED, COLAB, False),
        (OLDER, COLAB, LOOPBACK_BLOCKED, COLAB, False),
        (OLDER, COLAB, LOOPBACK_BLOCKED, "*", True),
        (OLDER, COLAB, LOOPBACK_BLOCKED, "[*.]google.com", True),
        (OLDER, COLAB, OLDER_BLOCKED, COLAB, False),
        (OLDER, COLAB, OLDER_BLOCKED, "*", True),
        (OLDER, COLAB, OLDER_BLOCKED, "[*.]google.com", True),
    ],
)
def test_the_more_specific_pattern_decides_as_in_the_browser(
    allowing: str, allowed: str, blocking: str, blocked: str, verdict: bool
) -> None:
    assert judge({allowing: Setting((allowed,), "a"), blocking: Setting((blocked,), "b")}, COLAB).allowed is verdict


def test_a_browser_before_146_knows_the_older_policies_alone() -> None:
    assert judge({LOOPBACK: Setting((COLAB,), "a")}, COLAB, older=True).allowed is None
    assert judge({OLDER: Setting((COLAB,), "a"), LOOPBACK_BLOCKED: Setting((COLAB,), "b")}, COLAB, older=True).allowed


# Each row was tried in Chromium 156.
@pytest.mark.parametrize(
    ("content", "policies"),
    [
        (b'{"A": [1]}', {"A": [1]}),
        (b'\xef\xbb\xbf{"A": "b"}', {"A": "b"}),
        (
            b'{ // note\n "A": ["https://x//y",], /* "B": 1, */ "C": "/* no */ , }",}',
            {"A": ["https://x//y"], "C": "/* no */ , }"},
        ),
        (b'{"A": "\\"// no"}', {"A": '"// no'}),
        (b'{"A": [1]', {}),
        (b"[1]", {}),
        (b"", {}),
        (b"\xff\xfe", {}),
        (b"[" * 100000, {}),
    ],
)
def test_a_policy_file_is_read_as_the_browser_reads_it(content: bytes, policies: dict[str, Any]) -> None:
    assert read_policies(content) == policies


def test_the_last_file_by_name_takes_the_place_of_the_others() -> None:
    files = {
        "/m/b.json": {LOOPBACK: ["b"]},
        "/m/a.json": {LOOPBACK: ["a"], OLDER: ["a"]},
        "/m/Z.json": {LOOPBACK: ["Z"]},
    }
    assert in_force(files) == {LOOPBACK: Setting(("b",), "/m/b.json"), OLDER: Setting(("a",), "/m/a.json")}


@pytest.mark.parametrize("value", [None, "https://x.example", {}, 5])
def test_a_value_that_is_no_list_takes_the_place_too(value: Any) -> None:
    files = {"/m/a.json": {LOOPBACK: ["a"]}, "/m/z.json": {LOOPBACK: value}}
    assert in_force(files) == {LOOPBACK: Setting((), "/m/z.json")}


@pytest.mark.parametrize("named", [[LOOPBACK], ["*"]])
def test_lists_are_joined_where_a_file_says_so(named: list[str]) -> None:
    files: dict[str, dict[str, Any]] = {"/m/z.json": {LOOPBACK: ["z"], MERGED: named}, "/m/a.json": {LOOPBACK: ["a"]}}
    assert in_force(files)[LOOPBACK] == Setting(("a", "z"), "/m/z.json")


@pytest.mark.parametrize(
    ("others", "wanted", "content", "granted_by", "problem"),
    [
        ({}, [LOOPBACK], [LOOPBACK], OURS, ""),
        ({}, [LOOPBACK, OLDER], [LOOPBACK, OLDER], OURS, ""),
        ({"/m/a": {"X": 1}}, [LOOPBACK], [LOOPBACK], OURS, ""),
        ({"/m/a": {OLDER: ["*"]}}, [LOOPBACK], [LOOPBACK], OURS, ""),
        ({"/m/a": {LOOPBACK: ["*"]}}, [LOOPBACK], [], "/m/a", ""),
        ({"/m/z": {LOOPBACK: [COLAB]}}, [LOOPBACK], [], "/m/z", ""),
        ({"/m/a": {LOOPBACK: ["https://x.example"]}}, [LOOPBACK], [], None, "/m/a sets"),
        ({"/m/z": {LOOPBACK: []}}, [LOOPBACK], [], None, "/m/z sets"),
        ({"/m/z": {LOOPBACK: []}}, [LOOPBACK, OLDER], [OLDER], OURS, "/m/z sets"),
        ({"/m/z": {LOOPBACK: [], MERGED: ["*"]}}, [LOOPBACK], [LOOPBACK], OURS, ""),
        ({"/m/a": {LOOPBACK_BLOCKED: ["*"]}}, [LOOPBACK], [LOOPBACK], OURS, ""),
        ({"/m/a": {LOOPBACK_BLOCKED: [COLAB]}}, [LOOPBACK], [LOOPBACK], None, f"{LOOPBACK_BLOCKED} in /m/a forbids"),
        ({"/m/a": {LOOPBACK: ["*"], LOOPBACK_BLOCKED: [COLAB]}}, [LOOPBACK], [], None, "/m/a sets"),
    ],
)
def test_our_file_stands_beside_those_of_others(
    others: dict[str, dict[str, Any]], wanted: list[str], content: list[str], granted_by: str | None, problem: str
) -> None:
    plan = plan_file("Chromium", OURS, others, wanted, COLAB)
    assert plan.content == {policy: [COLAB] for policy in content}
    assert set(plan.grants.values()) == ({granted_by} if granted_by else set())
    assert problem in " ".join(plan.problems)
    assert bool(problem) is bool(plan.problems)


# --- the registry ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "free"),
    [
        ([], "1"),
        (["1", "2"], "3"),
        (["2", "3"], "1"),
        (["1", "", "x", "(Default)", "1a"], "2"),
        (["01"], "2"),
        (["0", "-1"], "1"),
    ],
)
def test_the_next_free_number(names: list[str], free: str) -> None:
    assert free_number(names) == free


def sz(**values: str) -> list[Value]:
    return [Value(name.lstrip("_"), "REG_SZ", data) for name, data in values.items()]


@pytest.mark.parametrize(
    ("keys", "recorded", "added", "granted_by", "problem"),
    [
        ({}, [], "1", LIST, ""),
        ({LIST: sz(_1="https://x.example")}, [], "2", LIST, ""),
        ({LIST: sz(note=COLAB)}, [], "1", LIST, ""),
        ({LIST: sz(_1=COLAB)}, [], None, LIST, ""),
        ({LIST: sz(_1="*")}, [], None, LIST, ""),
        # ours, and then somebody's wider one beside it: ours stays, since taking it away needs an administrator
        ({LIST: sz(_1=COLAB)}, ["1"], None, LIST, ""),
        ({LIST: sz(_1=COLAB, _2="*")}, ["1"], None, LIST, ""),
        # what we made was overwritten
        ({LIST: sz(_1="https://x.example")}, ["1"], "2", LIST, ""),
        ({LIST.replace("HKLM", "HKCU"): sz(_1="https://x.example")}, [], None, None, "HKCU"),
        ({LIST.replace("HKLM", "HKCU"): sz(_1=COLAB)}, [], None, LIST.replace("HKLM", "HKCU"), ""),
        (
            {f"{TOP}\\Google\\Chrome": sz(**{LOOPBACK: json.dumps(["https://x.example"])})},
            [],
            None,
            None,
            f"{LOOPBACK} in {TOP}",
        ),
        (
            {f"{TOP}\\Google\\Chrome": sz(**{LOOPBACK: json.dumps([COLAB])})},
            [],
            None,
            f"{LOOPBACK} in {TOP}\\Google\\Chrome",
            "",
        ),
        ({f"{TOP}\\Google\\Chrome": sz(**{LOOPBACK: "{"})}, [], None, None, f"{LOOPBACK} in {TOP}"),
        ({f"{TOP}\\Google\\Chrome\\{LOOPBACK_BLOCKED}": sz(_1=COLAB)}, [], "1", None, "forbids"),
        ({f"{TOP}\\Google\\Chrome\\{OLDER}": sz(_1="*")}, [], None, f"{TOP}\\Google\\Chrome\\{OLDER}", ""),
    ],
)
def test_our_entry_joins_the_list_of_the_computer(
    keys: dict[str, list[Value]], recorded: list[str], added: str | None, granted_by: str | None, problem: str
) -> None:
    low = {key.lower(): values for key, values in keys.items()}
    ours = [Entry(LIST, name, COLAB) for name in recorded]
    plan = plan_registry(BROWSERS["chrome"], low, ours, [LOOPBACK], COLAB)
    assert plan.add == ([Entry(LIST, added, COLAB)] if added else [])
    # What is ours and still there stays on record.
    assert plan.entries == plan.add + [entry for entry in ours if Value(entry.name, "REG_SZ", COLAB) in keys[LIST]]
    assert set(plan.grants.values()) == ({granted_by} if granted_by else set())
    assert problem in " ".join(plan.problems)
    assert bool(problem) is bool(plan.problems)


def test_the_keys_that_an_entry_makes_are_known() -> None:
    there: dict[str, list[Value]] = {f"{TOP}\\Google".lower(): []}
    assert missing_keys([LIST, LIST], there) == [f"{TOP}\\Google\\Chrome", LIST]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", {}),
        ("\r\n", {}),
        ("ERROR: Access is denied.\r\n", {}),
        ("    1    REG_SZ    before any key\r\n", {}),
        (
            "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\A\r\n    1    REG_SZ    x\r\n\r\n",
            {"hklm\\software\\policies\\a": [Value("1", "REG_SZ", "x")]},
        ),
        (
            "HKEY_CURRENT_USER\\B\n    a name    of parts    REG_EXPAND_SZ    some    data\n",
            {"hkcu\\b": [Value("a name    of parts", "REG_EXPAND_SZ", "some    data")]},
        ),
        (
            "HKEY_LOCAL_MACHINE\\A\n    (Standard)    REG_SZ    (Wert nicht festgelegt)\n    e    REG_SZ    \n    n    REG_NONE\n",
            {
                "hklm\\a": [
                    Value("(Standard)", "REG_SZ", "(Wert nicht festgelegt)"),
                    Value("e", "REG_SZ", ""),
                    Value("n", "REG_NONE", ""),
                ]
            },
        ),
        ("HKEY_LOCAL_MACHINE\\A\n\t1\tREG_SZ\tx\n", {"hklm\\a": [Value("1", "REG_SZ", "x")]}),
        ("HKEY_LOCAL_MACHINE\\A\n\nHKEY_LOCAL_MACHINE\\A\\B\n", {"hklm\\a": [], "hklm\\a\\b": []}),
    ],
)
def test_the_output_of_a_query_is_read(text: str, keys: dict[str, list[Value]]) -> None:
    assert windows_registry.parse_query(text) == keys


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"plain\r\n", "plain\r\n"),
        ("Schlüssel".encode(), "Schlüssel"),
        ("Schlüssel".encode("cp437"), "Schlüssel"),
        ("Schlüssel".encode("utf-16"), "Schlüssel"),
        ("\r\nSchlüssel".encode("utf-16-le"), "\r\nSchlüssel"),
        (b"", ""),
        (b"\x8a\xff\xfe", "è■"[:1] + b"\xff\xfe".decode("cp437")),
    ],
)
def test_whatever_the_code_page_is_there_is_text(output: bytes, text: str) -> None:
    assert decoded(output) == text


@pytest.mark.parametrize(
    ("conf", "root"),
    [
        ("", "/mnt/"),
        ("[automount]\nroot = /windir/\n", "/windir/"),
        ("[automount]\nROOT=/windir\n", "/windir/"),
        ('[Automount]\n  root = "/my drives/" # ours\n', "/my drives/"),
        # As WSL reads it: of two values the first counts, and nothing counts after a line that it does not understand.
        ("[automount]\nroot = /first/\nroot = /second/\n", "/first/"),
        ("[ automount ]\nroot = /x/\n", "/mnt/"),
        ("; note\n[automount]\nroot = /x/\n", "/mnt/"),
        ("[automount]\nroot = /\n", "/"),
        ("[boot]\nroot = /x/\n[automount]\nenabled = true\n", "/mnt/"),
        ("# [automount]\n# root = /x/\n", "/mnt/"),
        ("[automount]\nroot =\nnonsense\n", "/mnt/"),
    ],
)
def test_windows_drives_are_where_wsl_conf_says(conf: str, root: str) -> None:
    assert wsl.automount_root(conf) == root


def test_windows_may_be_on_another_drive() -> None:
    mounts = (
        "29 1 8:32 / / rw,relatime - ext4 /dev/sdc rw\n"
        "95 29 0:60 / /mnt/d rw,noatime - 9p D:\\134 rw,dirsync,aname=drvfs;path=D:\\134\n"
        "96 29 0:61 / /mnt/c rw,noatime - 9p C:\\134 rw\n"
    )
    assert wsl.program_candidates(windows_registry.PROGRAM, "", mounts) == [
        "/mnt/c/Windows/System32/reg.exe",
        "/mnt/d/Windows/System32/reg.exe",
    ]


@pytest.mark.parametrize(
    ("output", "words"),
    [("\r\n\r\n ERROR: no \r\nmore", "ERROR: no"), ("", "nothing"), ("\x1b[31mx\x00", "[31mx"), ("y" * 300, "y" * 200)],
)
def test_a_message_quotes_the_first_words(output: str, words: str) -> None:
    assert first_words(output) == words

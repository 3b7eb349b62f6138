"""What WSL reads in wsl.conf and .wslconfig, what one key's change makes of a file, and that it can be undone."""

from __future__ import annotations

import pytest
from ansible.module_utils.colab_ready.wsl.conf import (
    KEEP_RUNNING,
    SYSTEMD,
    drive_path,
    is_systemd_on,
    judge_wsl_host,
    names_folder,
    parse,
    profile_in,
    restart_codes,
    restart_remedies,
    set_in,
    unset_in,
    wsl_conf_value,
)
from hypothesis import given
from hypothesis import strategies as st

BOOT = b"[boot]\nsystemd=true\n"
GENERAL = b"[general]\r\ninstanceIdleTimeout=-1\r\n"

# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", None),
        (b"[boot]\nsystemd=true\n", "true"),
        (b"[boot]\r\nsystemd=true\r\n", "true"),
        (b"[boot]\nsystemd=true", "true"),
        (b"  [BOOT]  # mine\n\t SystemD \t=\t TRUE  # yes\n", "TRUE"),
        (b'[boot]\nsystemd="true"\n', "true"),
        (b'[boot]\nsystemd=" true "\n', " true "),
        (b"[boot]\nsystemd=tr\\\nue\n", "true"),
        (b"#[boot]\nsystemd=true\n", None),
        (b"[boot]\n#systemd=true\n", None),
        (b"systemd=true\n[boot]\n", None),
        (b"[boot]\n[user]\nsystemd=true\n", None),
        (b"[boot]\ncommand=x\n[user]\n[boot]\nsystemd=true\n", "true"),
        # Of two values the first counts.
        (b"[boot]\nsystemd=false\nsystemd=true\n", "false"),
        # Nothing is read after a line that WSL does not understand.
        (b"; comment\n[boot]\nsystemd=true\n", None),
        (b"\xef\xbb\xbf[boot]\nsystemd=true\n", None),
        (b"[my-section]\n[boot]\nsystemd=true\n", None),
        (b"[boot] x\nsystemd=true\n", None),
        (b"[boot]\ncommand\nsystemd=true\n", None),
        (b"[boot]\ncommand=C:\\Users\nsystemd=true\n", None),
        (b'[boot]\ncommand="x\nsystemd=true\n', None),
        # Inside of quotes # is a letter.
        (b'[boot]\ncommand="x # y"\nsystemd=true\n', "true"),
    ],
)
def test_a_value_is_read_as_wsl_reads_it(content: bytes, expected: str | None) -> None:
    assert wsl_conf_value(content, "boot", "systemd") == expected
    assert is_systemd_on(content) == ((expected or "").lower() == "true")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("; comment\n[wsl2]\nkernel=C:\\x\nmemory=4GB\n", [("wsl2", "memory", "4GB")]),
        (
            "[wsl2]\r\nkernelCommandLine=a \\\r\n b\r\nmemory=4GB",
            [("wsl2", "kernelcommandline", "a  b"), ("wsl2", "memory", "4GB")],
        ),
        ("[wsl2]\nswapFile=C:\\\\Temp\\\\s.vhdx\n", [("wsl2", "swapfile", "C:\\Temp\\s.vhdx")]),
        # Which section this line is in is WSL's secret; it is not [wsl2] for us.
        ("[wsl2]\n[my-own]\nmemory=4GB\n", [("?", "memory", "4GB")]),
    ],
)
def test_windows_skips_lines_that_it_does_not_understand(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert parse(text, skips_invalid=True).others(SYSTEMD) == expected


# --- wsl.conf: before, after ----------------------------------------------------------------------------------------

WSL_CONF = [
    ("no file, or an empty one", b"", BOOT),
    ("others' sections", b"[user]\ndefault=me\n", b"[user]\ndefault=me\n\n" + BOOT),
    ("no newline at its end", b"[user]\ndefault=me", b"[user]\ndefault=me\n\n" + BOOT),
    ("CRLF", b"[user]\r\ndefault=me\r\n", b"[user]\r\ndefault=me\r\n\r\n[boot]\r\nsystemd=true\r\n"),
    (
        "the section is there",
        b"# a\n[boot]\n# b\ncommand=x # c\n\n[user]\ndefault=me\n",
        b"# a\n[boot]\n# b\ncommand=x # c\nsystemd=true\n\n[user]\ndefault=me\n",
    ),
    ("and empty", b"[boot]\n[user]\ndefault=me\n", b"[boot]\nsystemd=true\n[user]\ndefault=me\n"),
    ("and at the end without a newline", b"[user]\ndefault=me\n[Boot]", b"[user]\ndefault=me\n[Boot]\nsystemd=true"),
    ("and its last line has none", b"[boot]\ncommand=x", b"[boot]\ncommand=x\nsystemd=true"),
    (
        "and twice",
        b"[boot]\ncommand=x\n[user]\n[boot]\ninitTimeout=1\n",
        b"[boot]\ncommand=x\nsystemd=true\n[user]\n[boot]\ninitTimeout=1\n",
    ),
    (
        "another value, in the user's own spelling",
        b"[Boot]\n SystemD = false   # mine\n",
        b"[Boot]\n SystemD = true   # mine\n",
    ),
    ("a value that is none", b"[boot]\nsystemd=yes\n", b"[boot]\nsystemd=true\n"),
    ("an empty value", b"[boot]\nsystemd=\n", b"[boot]\nsystemd=true\n"),
    ("a value over two lines", b"[boot]\nsystemd=fal\\\nse\ncommand=x\n", b"[boot]\nsystemd=true\ncommand=x\n"),
    (
        "twice, the first counts",
        b"[boot]\nsystemd=false\n[user]\n[boot]\nsystemd=0\n",
        b"[boot]\nsystemd=true\n[user]\n[boot]\nsystemd=true\n",
    ),
    (
        "twice, and only the first is right",
        b"[boot]\nsystemd=true\nsystemd=0\n",
        b"[boot]\nsystemd=true\nsystemd=true\n",
    ),
    ("in a comment only", b"[boot]\n#systemd=true\n", b"[boot]\nsystemd=true\n#systemd=true\n"),
    ("bytes that are no UTF-8", b"[user]\ndefault=j\xfcrgen\n", b"[user]\ndefault=j\xfcrgen\n\n" + BOOT),
    ("unknown sections and keys", b'[wsl2]\nmemory=4GB\n[x1]\ny="#"\n', b'[wsl2]\nmemory=4GB\n[x1]\ny="#"\n\n' + BOOT),
    (
        "a line behind which WSL reads nothing",
        b"[user]\ndefault=me\n; old\n[boot]\nsystemd=false\n",
        BOOT + b"\n[user]\ndefault=me\n; old\n[boot]\nsystemd=false\n",
    ),
    (
        "the same, with the section before it",
        b"[boot]\ncommand=x\n; old\n",
        b"[boot]\ncommand=x\nsystemd=true\n; old\n",
    ),
    ("the same, at the very beginning", b"; old\n[boot]\nsystemd=true\n", BOOT + b"\n; old\n[boot]\nsystemd=true\n"),
    (
        "a byte order mark, which is such a line",
        b"\xef\xbb\xbf[user]\ndefault=me\n",
        BOOT + b"\n\xef\xbb\xbf[user]\ndefault=me\n",
    ),
    ("a backslash at its end", b"[user]\ndefault=me\\\n", b"[user]\ndefault=me\\\n\n" + BOOT),
]


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in WSL_CONF], ids=[row[0] for row in WSL_CONF])
def test_wsl_conf_gets_one_key_and_is_the_same_again_without_it(before: bytes, after: bytes) -> None:
    changed = set_in(before, SYSTEMD, False)
    assert changed.content == after
    assert changed.edit is not None
    assert is_systemd_on(after)
    assert set_in(after, SYSTEMD, False) == (after, None)
    assert unset_in(after, SYSTEMD, changed.edit, False) == before


@pytest.mark.parametrize(
    "content", [BOOT, b"[BOOT]\nSYSTEMD = True # x\n", b"[boot]\nsystemd=1", b'[boot]\nsystemd="true"\n']
)
def test_what_is_so_already_stays_as_it_is(content: bytes) -> None:
    assert set_in(content, SYSTEMD, False) == (content, None)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"default=me\n; old\n[boot]\nsystemd=true\n", "reads nothing from line 2 on"),
        ("[boot]\n".encode("utf-16"), "UTF-16"),
        ("[boot]\n".encode("utf-16-be"), "UTF-16"),
    ],
)
def test_a_file_where_the_key_would_not_be_read_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        set_in(content, SYSTEMD, False)


USERS_EDITS = [
    ("a key into our section", b"[user]\ndefault=me\n", lambda text: text + b"command=x\n", b"[user]\ndefault=me\n\n[boot]\ncommand=x\n"),
    ("a comment on our line", b"[user]\ndefault=me\n", lambda text: text.replace(b"=true", b"=true # why"), b"[user]\ndefault=me\n\n"),
    ("a section behind ours", b"", lambda text: text + b"[user]\ndefault=me\n", b"[user]\ndefault=me\n"),
    ("our value switched off", b"", lambda text: text.replace(b"true", b"false"), b"[boot]\nsystemd=false\n"),
    ("our value in another spelling", b"", lambda text: text.replace(b"true", b"True"), b"[boot]\nsystemd=True\n"),
    ("our line taken away", b"[boot]\ncommand=x\n", lambda text: text.replace(b"systemd=true\n", b""), b"[boot]\ncommand=x\n"),
    ("the lines before ours", b"[boot]\ncommand=x\n", lambda text: text.replace(b"command=x", b"command=y\ninitTimeout=1"), b"[boot]\ncommand=y\ninitTimeout=1\n"),
    ("beside a changed value", b"[boot]\nsystemd=false\n", lambda text: text + b"command=x\n", b"[boot]\nsystemd=false\ncommand=x\n"),
    ("one before ours", b"[boot]\nsystemd=false\n", lambda text: text.replace(b"]\n", b"]\nsystemd=True\n"), b"[boot]\nsystemd=True\nsystemd=false\n"),
    ("one value more", b"[boot]\nsystemd=false\n", lambda text: text + b"systemd=0\n", b"[boot]\nsystemd=false\nsystemd=0\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "edit", "left"), [row[1:] for row in USERS_EDITS], ids=[row[0] for row in USERS_EDITS]
)
def test_what_the_user_changed_meanwhile_stays(before: bytes, edit: object, left: bytes) -> None:
    changed = set_in(before, SYSTEMD, False)
    assert changed.edit is not None
    assert callable(edit)
    assert unset_in(edit(changed.content), SYSTEMD, changed.edit, False) == left


# --- .wslconfig -----------------------------------------------------------------------------------------------------

MARK = b"\xef\xbb\xbf"
WSLCONFIG = [
    ("no file", b"", GENERAL),
    ("CRLF", b"[wsl2]\r\nmemory=4GB\r\n", b"[wsl2]\r\nmemory=4GB\r\n\r\n" + GENERAL),
    ("LF", b"[wsl2]\nmemory=4GB\n", b"[wsl2]\nmemory=4GB\n\n[general]\ninstanceIdleTimeout=-1\n"),
    (
        "Notepad's UTF-8 with its mark",
        MARK + b"[general]\r\nInstanceIdleTimeout = 15000 # x\r\n",
        MARK + b"[general]\r\nInstanceIdleTimeout = -1 # x\r\n",
    ),
    (
        "Notepad's UTF-16",
        "\ufeff[wsl2]\r\nkernel=C:\\\\\u5c71\r\n".encode("utf-16-le"),
        "\ufeff[wsl2]\r\nkernel=C:\\\\\u5c71\r\n\r\n[general]\r\ninstanceIdleTimeout=-1\r\n".encode("utf-16-le"),
    ),
    ("a code page", b"[wsl2]\r\nkernel=C:\\\\J\xfcrgen", b"[wsl2]\r\nkernel=C:\\\\J\xfcrgen\r\n\r\n" + GENERAL),
    (
        "lines that WSL skips",
        b"; mine\r\n[wsl2]\r\nkernel=C:\\x\r\n",
        b"; mine\r\n[wsl2]\r\nkernel=C:\\x\r\n\r\n" + GENERAL,
    ),
    (
        "the section is there",
        b"[general]\r\ndistributionInstallPath=D\r\n\r\n[wsl2]\r\nmemory=4GB\r\n",
        b"[general]\r\ndistributionInstallPath=D\r\ninstanceIdleTimeout=-1\r\n\r\n[wsl2]\r\nmemory=4GB\r\n",
    ),
    (
        "the same key elsewhere",
        b"[wsl2]\r\ninstanceIdleTimeout=1\r\n",
        b"[wsl2]\r\ninstanceIdleTimeout=1\r\n\r\n" + GENERAL,
    ),
]


@pytest.mark.parametrize(("before", "after"), [row[1:] for row in WSLCONFIG], ids=[row[0] for row in WSLCONFIG])
def test_wslconfig_gets_one_key_and_keeps_its_encoding(before: bytes, after: bytes) -> None:
    changed = set_in(before, KEEP_RUNNING, True)
    assert changed.content == after
    assert changed.edit is not None
    assert set_in(after, KEEP_RUNNING, True) == (after, None)
    assert unset_in(after, KEEP_RUNNING, changed.edit, True) == before


@pytest.mark.parametrize(
    "content", ["\ufeff[general]\r\n".encode("utf-16-be"), "[general]\r\n".encode("utf-16-le"), b"\xff\xfe["]
)
def test_a_wslconfig_that_windows_does_not_read_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="UTF-16"):
        set_in(content, KEEP_RUNNING, True)


PIECES = [b"[boot]", b"[Boot]  # x", b"[user]", b"[bad-one]", b"systemd=true", b"systemd = false", b"systemd=", b'systemd="tr', b"x=1", b"x=a \\", b"# c", b"; c", b"  ", b"", b"\xef\xbb\xbf[boot]", b"[", b"=", b"\\", b"#"]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([b"\n", b"\r\n", b"\r", b""])), max_size=8),
    st.booleans(),
)
def test_no_file_loses_a_byte_or_another_value(lines: list[tuple[bytes, bytes]], windows: bool) -> None:
    before = b"".join(piece + end for piece, end in lines)
    try:
        changed = set_in(before, SYSTEMD, windows)
    except ValueError:
        # A backslash at the very end would join the line with one that is added.
        assert not windows or before.rstrip(b"\r").endswith(b"\\")
        return
    text, result = before.decode("latin-1"), changed.content.decode("latin-1")
    if windows and before.startswith(MARK):
        text, result = text[3:], result[3:]
    read = parse(result, windows)
    assert (read.value(SYSTEMD) or "").lower() in SYSTEMD.same
    assert read.others(SYSTEMD) == parse(text, windows).others(SYSTEMD)
    assert set_in(changed.content, SYSTEMD, windows).edit is None
    if changed.edit is None:
        assert changed.content == before
    else:
        assert unset_in(changed.content, SYSTEMD, changed.edit, windows) == before


# --- the rest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/usr/lib/wsl/lib\n", True),
        ("# x\n  /usr/lib/wsl/lib/   # y\n", True),
        ("/a:/usr/lib/wsl/lib,/b\n", True),
        ("/usr/lib/wsl/lib=libc6\n", True),
        ("#/usr/lib/wsl/lib\n", False),
        ("/usr/lib/wsl/lib2\n", False),
        ("include /etc/ld.so.conf.d/*.conf\n", False),
    ],
)
def test_a_folder_in_the_loaders_configuration_is_seen(text: str, expected: bool) -> None:
    assert names_folder(text, "/usr/lib/wsl/lib") is expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("C:\\Users\\me\r\n", "C:\\Users\\me"),
        ("\r\nC:\\Users\\山田 太郎 \r\n", "C:\\Users\\山田 太郎"),
        ("hello\r\nD:\\me\r\n", "D:\\me"),
        ("%USERPROFILE%\r\n", None),
        ("\\\\server\\homes\\me\r\n", None),
        ("<3>WSL (25) ERROR: UtilAcceptVsock:250: accept4 failed 110\n", None),
        ("", None),
        ("C:\\Users\\\x1b]0;OWNED\x07\r\n", None),
    ],
)
def test_the_users_folder_is_what_looks_like_one(output: str, expected: str | None) -> None:
    assert profile_in(output) == expected


def test_a_folder_of_windows_is_below_the_drives() -> None:
    assert drive_path("C:\\Users\\me x", "/mnt/") == "/mnt/c/Users/me x"


ON, OFF = b"[boot]\nsystemd=true\n", b""
OURS, WINDOWS = {"wsl_conf": {"boot_id": "a"}}, {"wslconfig": {"boot_id": "a"}}


@pytest.mark.parametrize(
    ("record", "wsl_conf", "systemd_runs", "boot_id", "codes", "remedies"),
    [
        ({}, OFF, False, "a", [], []),
        ({}, ON, True, "a", [], []),
        ({}, ON, False, "a", ["systemd_waits"], ["wsl_shutdown"]),
        (OURS, ON, False, "a", ["systemd_waits"], ["wsl_shutdown"]),
        (OURS, ON, True, "b", [], []),
        (OURS, ON, False, "b", ["systemd_failed"], ["wsl_update"]),
        (OURS, OFF, False, "b", [], []),
        (WINDOWS, OFF, False, "a", ["keep_running_waits"], ["wsl_shutdown"]),
        (WINDOWS, OFF, False, "b", [], []),
        ({"wslconfig": {"boot_id": ""}}, OFF, False, "", [], []),
        ({**OURS, **WINDOWS}, ON, False, "a", ["systemd_waits", "keep_running_waits"], ["wsl_shutdown"]),
        ({**OURS, **WINDOWS}, ON, True, "a", ["keep_running_waits"], ["wsl_shutdown"]),
    ],
)
def test_what_waits_for_a_restart_is_said_until_the_system_shows_it(
    record: dict[str, dict[str, str]],
    wsl_conf: bytes,
    systemd_runs: bool,
    boot_id: str,
    codes: list[str],
    remedies: list[str],
) -> None:
    assert restart_codes(record, wsl_conf, systemd_runs, boot_id) == codes
    assert [remedy["id"] for remedy in restart_remedies(codes)] == remedies
    check = judge_wsl_host(codes)
    assert (check["ok"], [remedy["id"] for remedy in check["remedies"]]) == (not codes, remedies)
    for remedy in check["remedies"]:
        assert "wsl --shutdown" in remedy["do"]
        assert remedy["where"] == "windows"

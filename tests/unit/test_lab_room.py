"""The list of a room: what spreadsheets write is read, and everything that is wrong with it is said at once."""

from __future__ import annotations

import pytest
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.lab.room import COLUMNS, PROBLEMS_MAX, Host, message, read_room

HEAD = "name;address;user;colab_user\n"
PC = Host("pc-01", "linux", {"ansible_host": "192.0.2.11", "ansible_user": "teacher", "colab_user": "student"})
LINE = "pc-01;192.0.2.11;teacher;student\n"


def refused(text: str | bytes) -> list[str]:
    """What is wrong with a list, a sentence each."""
    with pytest.raises(Refused) as error:
        read_room(text if isinstance(text, bytes) else text.encode())
    return [problem.sentence() for problem in error.value.problems]


@pytest.mark.parametrize(
    "data",
    [
        (HEAD + LINE).encode(),
        (HEAD + LINE).replace(";", ",").encode(),
        (HEAD + LINE).replace(";", "\t").encode(),
        (HEAD + LINE).replace("\n", "\r\n").encode(),
        (HEAD + LINE).replace("\n", "\r").encode(),
        (HEAD + LINE).encode("utf-8-sig"),
        (HEAD + LINE).encode("utf-16"),
        b"\xfe\xff" + (HEAD + LINE).encode("utf-16-be"),
        (HEAD + "# Für die Schüler\n" + LINE).encode("cp1252"),
        ("sep=;\n" + HEAD + LINE).encode(),
        (HEAD.upper() + LINE).encode(),
        (" Name ; Address;USER;Colab User\n" + LINE).encode(),
        b'"name";"address";"user";"colab_user"\n"pc-01"; "192.0.2.11";teacher;student',
        ("# a room\n\n;;;\n" + HEAD + '"# a comment; quoted";;;\n \n' + LINE + ";;;\n").encode(),
        ("name;address;user;colab_user;;\n" + LINE.strip() + ";;\n").encode(),
        (HEAD + "\u00a0pc-01 ; 192.0.2.11\u00a0;teacher;student\n").encode(),
        ("user;name;colab_user;address\n" + "teacher;pc-01;student;192.0.2.11").encode(),
    ],
)
def test_what_spreadsheets_write_is_read(data: bytes) -> None:
    assert read_room(data) == [PC]


@pytest.mark.parametrize(
    ("heading", "line", "host"),
    [
        ("name;colab_user", "pc-01;s", Host("pc-01", "linux", {"ansible_host": "pc-01", "colab_user": "s"})),
        ("name;address;colab_user", "a;fe80::1;s", Host("a", "linux", {"ansible_host": "fe80::1", "colab_user": "s"})),
        ("name;address;colab_user", "12;192.0.2.1;s", Host("12", "linux", {"ansible_host": "192.0.2.1", "colab_user": "s"})),
        ("name;address;colab_user", "a_1;pc.school.test;s", Host("a_1", "linux", {"ansible_host": "pc.school.test", "colab_user": "s"})),
        # asked for by name, the account that administers the computer runs notebooks, too
        ("name;user;colab_user", "a;t.eacher@school.test;t.eacher@school.test", Host("a", "linux", {"ansible_host": "a", "ansible_user": "t.eacher@school.test", "colab_user": "t.eacher@school.test"})),
        ("name;user", "a;root", Host("a", "linux", {"ansible_host": "a", "ansible_user": "root"})),
        ("name;transport;colab_user", "a;SSH;s", Host("a", "linux", {"ansible_host": "a", "colab_user": "s"})),
        ("name;transport;windows_user;distribution", "a;wsl;labadmin;Ubuntu-24.04", Host("a", "wsl", {"ansible_host": "a", "lab_windows_user": "labadmin", "lab_distribution": "Ubuntu-24.04"})),
        ("name;transport;colab_user", "desk;localhost;s", Host("desk", "localhost", {"ansible_host": "localhost", "colab_user": "s"})),
        ("name;colab_user;colab_port;colab_backend", "a;s;8899;CUDA", Host("a", "linux", {"ansible_host": "a", "colab_user": "s", "colab_port": 8899, "colab_backend": "cuda"})),
    ],
)  # fmt: skip
def test_a_line_is_a_host_with_the_group_of_its_transport(heading: str, line: str, host: Host) -> None:
    assert read_room(f"{heading}\n{line}\n".encode()) == [host]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "the list is empty"),
        (b"\xef\xbb\xbf\r\n", "the list is empty"),
        (b"# pc-01;192.0.2.11\n;;;\n", "the list is empty"),
        (HEAD.encode(), "line 1: no computer stands below the columns"),
        (LINE.encode(), "line 1: this line names no column that is known"),
        (b"PK\3\4\0\0", "the list is no text"),
        ((HEAD + LINE).encode("utf-16-le"), "the list is no text"),
        (b"\xff\xfe\0", "the list is no text"),
        (b"name\n\x81\x8d", "the list is no text"),
        (b"address;user\n192.0.2.11;a\n192.0.2.11;b\n", "line 1: there is no column name"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_one_message(data: bytes, wrong: str) -> None:
    (sentence,) = refused(data)
    assert sentence.startswith(f"{wrong}. Expected: ") and ". Do: " in sentence


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        # columns
        ("hostname;colab_user\na;s\n", ["line 1: there is no column 'hostname'. * Do: write name.", "line 1: there is no column name. *"]),
        ("name;adress;colab_user\na;b;s\n", ["line 1: there is no column 'adress'. * Do: write address."]),
        ("name;colab_usr\na;s\n", ["line 1: there is no column 'colab_usr'. * Do: write colab_user.", "line 2: colab_user is missing: *"]),
        ("name;Student;colab_user\na;x;s\n", ["line 1: there is no column 'student'. * Do: write colab_user."]),
        ("name;colab_user;qqqq\na;s;\n", ["line 1: there is no column 'qqqq'. * Do: correct it, or take the column away."]),
        ("name;name;colab_user\na;b;s\n", ["line 1: the column name stands here twice. *"]),
        # lines
        (HEAD + LINE.replace(";", ","), ["line 2: the values are separated by commas, and the columns by semicolons. * Do: write semicolons here."]),
        (HEAD + LINE.strip() + ";more\n", ["line 2: 'more' stands in a column without a name. *"]),
        (HEAD + '"a;b;c;d\n' + LINE, ["line 2: a quote is not closed, or stands inside a value. *"]),
        (HEAD + '"a"b;192.0.2.9;c;d\n' + LINE, ["line 2: a quote is not closed, or stands inside a value. *"]),
        (HEAD + '"a\nb";192.0.2.9;c;d\n', ["line 2: a quote *", "line 3: name is 'b\"'. *"]),
        (HEAD + ";192.0.2.9;c;d\n", ["line 2: the name is missing. *"]),
        # names and addresses
        *[(HEAD + f"{name};192.0.2.9;c;d\n", [f"line 2: name is {name!r}. *"]) for name in
          ("a b", "-a", "a-", "a..b", "a.", "{{ 7 }}", "a:b", "a!b", "a[1:9]", "a\x1b[31m", "ä", "a\u200b", "a" * 64, "all", "colab_hosts", "WSL", "localhost")],
        (HEAD + ".".join(["abc"] * 64) + ";192.0.2.9;c;d\n", ["line 2: name is 'abc.abc.*...'. *"]),
        (HEAD + ";".join(["a b", "", "c", "d"]) + "\n", ["line 2: name is 'a b'. *"]),
        (HEAD + "12;;c;d\n", ["line 2: address is '12', from the name. *"]),
        *[(HEAD + f"a;{address};c;d\n", [f"line 2: address is {address!r}. *"]) for address in
          ("192.0.2", "192.0.2.300", "192.0.2.01", "192.0.2.1:22", "-oProxyCommand=x", "fe80::1%$(x)", "[fe80::1]", "0.0.0.0", "224.0.0.1", "{{ x }}", "a b", "http://a")],
        # accounts
        *[(HEAD + f"a;192.0.2.9;{user};d\n", [f"line 2: user is {user!r}. *"]) for user in
          ("-x", "a b", "12", "{{ x }}", "a\tb", "a$(x)", "SCHOOL\\a", "a" * 65, "ü")],
        *[(HEAD + f"a;192.0.2.9;c;{user}\n", [f"line 2: colab_user is {user!r}. *"]) for user in ("-x", "a b", "{{ x }}", "root")],
        # the rest
        (HEAD.strip() + ";transport\na;b;c;d;wls\n", ["line 2: transport is 'wls'. Expected: one of ssh, wsl and localhost. *"]),
        ("name;colab_user;transport;distribution\na;s;wsl;-x\n", ["line 2: distribution is '-x'. *"]),
        ("name;transport;windows_user\na;wsl;a b\n", ["line 2: windows_user is 'a b'. *"]),
        ("name;colab_user;colab_port\na;s;80\n", ["line 2: colab_port is '80'. Expected: a whole number from 1024 to 65535. *"]),
        ("name;colab_user;colab_port\na;s;٨٨٨٨\n", ["line 2: colab_port is *"]),
        ("name;colab_user;colab_backend\na;s;nvidia\n", ["line 2: colab_backend is 'nvidia'. Expected: one of auto, cuda, *"]),
        # what a transport has no use for
        ("name;transport;user\na;wsl;teacher\n", ["line 2: user is given, and transport is wsl. *"]),
        ("name;colab_user;windows_user\na;s;x\n", ["line 2: windows_user is given, and transport is ssh. *"]),
        ("name;colab_user;distribution\na;s;x\n", ["line 2: distribution is given, and transport is ssh. *"]),
        ("name;colab_user;transport;address\na;s;localhost;b\n", ["line 2: address is given, and transport is localhost. *"]),
        # who runs notebooks
        ("name;user\na;teacher\n", ["line 2: colab_user is missing: notebooks would have the rights of the account that administers *"]),
        ("name;transport\na;localhost\n", ["line 2: colab_user is missing: *"]),
        ("name\na\nb\nc\n", ["line 2: colab_user is missing, also in the lines 3 and 4: *"]),
        # twice
        ("name;colab_user\na;s\nA;s\n", ["line 3: the name 'A' stands in line 2 already. *"]),
        ("name;colab_user;address\na;s;192.0.2.1\nb;s;192.0.2.1\n", ["line 3: the address '192.0.2.1' stands in line 2 already. *"]),
        ("name;colab_user;address\na;s;fe80::1\nb;s;fe80:0:0::1\n", ["line 3: the address 'fe80:0:0::1' stands in line 2 already. *"]),
        ("name;colab_user;address\na;s;\nb;s;A\n", ["line 3: the address 'A' stands in line 2 already. *"]),
        ("name;colab_user;transport\na;s;localhost\nb;s;localhost\n", ["line 3: the address 'localhost' stands in line 2 already. *"]),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_line(text: str, wrong: list[str]) -> None:
    sentences = refused(text)
    assert len(sentences) == len(wrong) and all(": " in one and ". Do: " in one for one in sentences), sentences
    for sentence, pattern in zip(sentences, wrong, strict=True):
        first, *rest = pattern.split("*")
        assert sentence.startswith(first) and all(part in sentence for part in rest)
        assert sentence.isprintable()


def test_all_mistakes_are_said_at_once_in_the_order_of_the_lines() -> None:
    text = "name;adress;user;colab_user\na b;;-x;root\n\n# no line\nc;;t;s\nC;;t;s\n"
    assert [sentence.partition(". ")[0] for sentence in refused(text)] == [
        "line 1: there is no column 'adress'",
        "line 2: name is 'a b'",
        "line 2: user is '-x'",
        "line 2: colab_user is 'root'",
        "line 6: the name 'C' stands in line 5 already",
    ]


def test_a_message_says_how_much_is_wrong_and_where_it_ends() -> None:
    with pytest.raises(Refused) as error:
        read_room(("name;colab_user\n" + "a b;s\n" * (PROBLEMS_MAX + 2)).encode())
    lines = message("room.csv", error.value.problems).splitlines()
    # each of the names is wrong, and all but the first are there twice
    count = 2 * PROBLEMS_MAX + 3
    assert lines[0] == f"room.csv cannot be used ({count} problems). No computer was taken from it."
    assert lines[1].startswith("1. line 2: name is 'a b'. ")
    assert lines[-1] == f"And {count - PROBLEMS_MAX} more. Do: correct these first." and len(lines) == PROBLEMS_MAX + 2


def test_no_column_gives_a_variable_that_says_how_to_reach_a_host() -> None:
    """That is for group_vars, which the teacher writes: a list may come from somebody else."""
    assert {column.variable for column in COLUMNS.values()} == {
        *("name", "transport", "ansible_host", "ansible_user", "colab_user"),
        *("lab_windows_user", "lab_distribution", "colab_port", "colab_backend"),
    }

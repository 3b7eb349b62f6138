"""Wheels by hash, against a server on loopback that has one fault at a time."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.fetch import client as fetch_client
from ansible.module_utils.colab_ready.fetch import wheels
from ansible.module_utils.colab_ready.fetch.client import Client, FetchError, Network
from ansible.module_utils.colab_ready.fetch.command import unpack
from ansible.module_utils.colab_ready.fetch.names import Computer, fits, parse_name
from ansible.module_utils.colab_ready.fetch.pages import Link, NoIndex, read_page
from ansible.module_utils.colab_ready.fetch.wheels import Places, Progress, Wanted, fetch
from wheel_mirror import CONTENT, NAME, PIECE, Mirror, cut, drip, send, stall, status, whole_again

PC = Computer(11, "x86_64", (2, 36))
SUM = hashlib.sha256(CONTENT).hexdigest()
TOOL = Wanted("tool", "1.0", frozenset([SUM]))


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-py2-none-any.whl", False),
        ("a-1-2-py3-none-any.whl", True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_36_x86_64.whl", True),
        ("a-1-cp311-cp311-manylinux_2_37_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux_3_0_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp311-cp311t-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp37-abi3-manylinux1_x86_64.whl", True),
        ("a-1-cp312-abi3-manylinux1_x86_64.whl", False),
        ("a-1-pp311-pypy311_pp73-manylinux_2_17_x86_64.whl", False),
        ("a-1-py3-none-musllinux_1_2_x86_64.whl", False),
        ("a-1-py3-none-manylinux_2_17_aarch64.whl", False),
        ("a-1-py3-none-linux_x86_64.whl", True),
        ("a-1-py3-none-win_amd64.whl", False),
    ],
)
def test_a_wheel_fits_by_its_name(name: str, good: bool) -> None:
    wheel = parse_name(name)
    assert wheel is not None and fits(wheel, PC) is good


@pytest.mark.parametrize(
    "name", ["a-1.tar.gz", "a.whl", "a-1-py3-none.whl", "a/b-1-py3-none-any.whl", "-1-py3-none-any.whl"]
)
def test_what_is_no_wheel_is_none(name: str) -> None:
    assert parse_name(name) is None


HTML = (
    f'<a href="../../f/{NAME}#sha256={SUM}" data-requires-python="&gt;=3.8">{NAME}</a><a href="tool-1.0.tar.gz">x</a>'
)


@pytest.mark.parametrize(
    ("kind", "body", "links"),
    [
        ("text/html; charset=UTF-8", HTML, [Link(NAME, f"http://x/f/{NAME}", SUM)]),
        ("text/html", f'<base href="http://y/z/">{HTML}', [Link(NAME, f"http://y/f/{NAME}", SUM)]),
        ("text/html", "<form>Password</form>", []),
        ("text/html", '<a href="a%2B1-1-py3-none-any.whl">', [Link("a+1-1-py3-none-any.whl", "http://x/simple/tool/a%2B1-1-py3-none-any.whl")]),
        (
            "application/vnd.pypi.simple.v1+json",
            json.dumps({"files": [{"filename": NAME, "url": "/g", "hashes": {"sha256": SUM.upper()}, "size": 5}, {"filename": "s.zip"}, 7]}),
            [Link(NAME, "http://x/g", SUM, 5)],
        ),
        ("application/json", json.dumps({"files": [{"filename": NAME, "url": "/g", "hashes": None, "size": True}]}), [Link(NAME, "http://x/g")]),
    ],
)  # fmt: skip
def test_both_forms_of_a_page_are_read(kind: str, body: str, links: list[Link]) -> None:
    assert read_page("http://x/simple/tool/", kind, body.encode()) == links


@pytest.mark.parametrize(
    ("kind", "body"), [("application/json", "{}"), ("application/json", "[" * 100000), ("text/plain", "x"), ("", "x")]
)
def test_what_is_no_page_of_an_index_is_said(kind: str, body: str) -> None:
    with pytest.raises(NoIndex):
        read_page("http://x/", kind, body.encode())


# --- over the network -----------------------------------------------------------------------------------------------


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror()
    yield made
    made.close()


class Try:
    """One fetch; `waited` are the pauses between its tries."""

    def __init__(self, folder: Path, index: str, **network: Any) -> None:
        self.waited: list[float] = []
        self.progress = Progress()
        self.folder = folder
        self._client = Client(Network(idle_seconds=0.5, **network), self.waited.append)
        self._places = Places(index)

    def get(self, wanted: Wanted = TOOL) -> str:
        return fetch([wanted], self._places, str(self.folder), self._client, PC, self.progress)[0]


@pytest.mark.parametrize(
    ("answers", "asked", "waited"),
    [
        ([], 1, []),
        ([cut], 2, [0.5]),
        ([stall], 2, [0.5]),
        ([cut, whole_again], 2, [0.5]),
        ([status(503), status(502)], 3, [0.5, 1.5]),
        ([status(429, Retry_After="7")], 2, [7.0]),
    ],
    ids=["well", "cut", "stalled", "cut, and no ranges", "503", "429"],
)
def test_a_bad_line_is_tried_again_and_goes_on_where_it_ended(
    tmp_path: Path, mirror: Mirror, answers: list[Any], asked: int, waited: list[float]
) -> None:
    mirror.answers = list(answers)
    one = Try(tmp_path, f"http://{mirror.address}/simple")
    path = Path(one.get())
    assert path == tmp_path / NAME and path.read_bytes() == CONTENT and one.waited == waited
    headers = mirror.wheels_asked()
    assert len(headers) == asked
    if answers and answers[0] in (cut, stall):
        assert headers[1]["range"] == f"bytes={PIECE}-"
    assert [one.name for one in tmp_path.iterdir()] == [NAME]
    # Nothing is fetched twice, not even the page.
    count = len(mirror.asked)
    assert Path(one.get()) == path and len(mirror.asked) == count


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ([status(404)], "not_found", "is not there (404)"),
        ([status(403)], "refused", "wants a user name and a password, or others (403)"),
        ([status(429, Retry_After="86400")], "server", "answers 429"),
        ([status(503)] * 4, "server", "answers 503"),
        ([cut, cut, stall, cut, cut], "slow", "stopped sending"),
        ([lambda handler: send(handler, 200, b"<html>Log in</html>")], "answer", "is another file than the locked one"),
        ([lambda handler: send(handler, 302, b"", {"Location": "file:///etc/passwd"})], "server", "302"),
    ],
    ids=["404", "403", "429 until tomorrow", "503", "cut", "login page", "redirect to a file"],
)
def test_what_cannot_be_had_is_one_error_and_nothing_wrong_stays(
    tmp_path: Path, mirror: Mirror, answers: list[Any], kind: str, words: str
) -> None:
    mirror.answers = list(answers)
    if kind == "slow":
        mirror.answers = [stall] * 4
    one = Try(tmp_path, f"http://me:secret@{mirror.address}/simple")
    with pytest.raises(FetchError) as error:
        one.get()
    assert error.value.kind == kind and words in str(error.value) and "secret" not in str(error.value)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".whl"]


def test_a_server_that_drips_is_not_waited_for_for_ever(tmp_path: Path, mirror: Mirror) -> None:
    mirror.answers = [drip]
    with pytest.raises(FetchError, match="sends too slowly: not all came within 1 s"):
        Try(tmp_path, f"http://{mirror.address}/simple", whole_seconds=1.0).get()


def test_what_an_earlier_run_left_of_another_file_is_thrown_away(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(b"something else")
    assert Path(Try(tmp_path, f"http://{mirror.address}/simple").get()).read_bytes() == CONTENT
    assert "range" in mirror.wheels_asked()[0] and "range" not in mirror.wheels_asked()[1]


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (gzip.compress(b"x" * 10**8), {"Content-Type": "text/html", "Content-Encoding": "gzip"}, "more than 1 MiB"),
        (b"no gzip", {"Content-Type": "text/html", "Content-Encoding": "gzip"}, "no gzip"),
        (b"x" * 10**7, {"Content-Type": "text/html"}, "more than 1 MiB"),
        (b"<form>", {"Content-Type": "text/html"}, "no source has tool==1.0 for x86_64 and Python 3.11"),
        (b"hello", {"Content-Type": "text/plain"}, "is no page of an index: it is text/plain"),
    ],
    ids=["gzip bomb", "no gzip", "endless", "login page", "text"],
)
def test_a_bad_page_is_one_error(
    tmp_path: Path, mirror: Mirror, body: bytes, headers: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_client, "PAGE_BYTES", 1 << 20)
    mirror.page = lambda handler: send(handler, 200, body, headers)
    with pytest.raises(FetchError, match=words):
        Try(tmp_path, f"http://{mirror.address}/simple").get()


def test_a_password_goes_to_its_host_and_to_no_other(tmp_path: Path, mirror: Mirror) -> None:
    elsewhere = Mirror()
    place = f"http://{elsewhere.address}/f/{NAME}"
    mirror.answers = [lambda handler: send(handler, 302, b"", {"Location": place})]
    one = Try(tmp_path, f"http://me:s%20t@{mirror.address}/simple")
    assert Path(one.get()).read_bytes() == CONTENT
    assert {headers.get("authorization") for _path, headers in mirror.asked} == {"Basic bWU6cyB0"}
    assert [headers.get("authorization") for _path, headers in elsewhere.asked] == [None]
    elsewhere.close()


def test_a_proxy_is_asked_and_a_host_in_no_proxy_is_not(tmp_path: Path, mirror: Mirror) -> None:
    proxies = {"http": f"http://{mirror.address}"}
    one = Try(tmp_path, "http://index.invalid/simple", proxies=proxies)
    assert Path(one.get()).exists()
    assert mirror.asked[0][0] == "http://index.invalid/simple/tool/"
    with pytest.raises(FetchError, match=r"index\.invalid/simple/tool/ cannot be reached"):
        Try(tmp_path / "..", "http://index.invalid/simple", proxies={**proxies, "no": ".invalid"}).get(
            Wanted("tool", "2", frozenset(["0" * 64]))
        )


def test_without_roots_a_hashed_wheel_comes_and_no_password_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_client, "_system_has_roots", lambda: False)
    asked: list[bool] = []

    def refuse(_client: Client, _url: str, verified: bool) -> None:
        asked.append(verified)
        raise ZeroDivisionError

    monkeypatch.setattr(Client, "_opener", refuse)
    client = Client(Network(tries=1))
    with pytest.raises(ZeroDivisionError):
        client.page("https://a.invalid/simple/", "text/html")
    with pytest.raises(FetchError, match="wants a password, and this system has no certificates"):
        client.page("https://me:secret@a.invalid/simple/", "text/html")
    assert asked == [False]


def test_a_folder_comes_before_the_network_and_no_index_means_none(tmp_path: Path, mirror: Mirror) -> None:
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    (wheels / NAME).write_bytes(CONTENT)
    (tmp_path / "to").mkdir()
    client = Client(Network())
    places = Places(f"http://{mirror.address}/simple", find_links=(str(wheels),), no_index=True)
    assert Path(fetch([TOOL], places, str(tmp_path / "to"), client, PC)[0]).read_bytes() == CONTENT
    assert not mirror.asked
    with pytest.raises(FetchError, match="no source has other==1"):
        fetch([Wanted("other", "1", frozenset())], places, str(tmp_path / "to"), client, PC)


def test_a_program_comes_out_of_its_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / NAME
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tool-1.0.data/scripts/tool", "#!/bin/sh\n")
    unpack(str(wheel), "tool", str(tmp_path / "bin/tool"))
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    with pytest.raises(FetchError, match="has no program other"):
        unpack(str(wheel), "other", str(tmp_path / "bin/other"))
    wheel.write_bytes(b"x")
    with pytest.raises(FetchError, match="is no wheel"):
        unpack(str(wheel), "tool", str(tmp_path / "bin/tool"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('PyPI = PackageIndex("https://index.example/", file_storage_domain="x")\n', "https://index.example/simple"),
        ('PyPI = PackageIndex(\n    "https://index.example/",\n)\n', "https://index.example/simple"),
        ("# nothing\n", ""),
        (None, ""),
    ],
)
def test_where_nothing_is_configured_the_pip_of_this_computer_says_which_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, found: str
) -> None:
    with zipfile.ZipFile(tmp_path / "pip-1-py3-none-any.whl", "w") as pip:
        pip.writestr("pip/_internal/models/index.py" if text is not None else "other", text or "")
    monkeypatch.setattr(wheels, "PIP_WHEELS", (str(tmp_path / "pip-*.whl"),))
    assert wheels.pips_index() == found
    assert wheels.Places(extra_index_urls=("https://more/",)).indexes == (found, "https://more/")
    assert wheels.Places(no_index=True).indexes == () and wheels.Places("https://own/").indexes == ("https://own/",)


@pytest.mark.parametrize(
    ("places", "kind"),
    [
        (wheels.Places(), "no_index"),
        # An extra index that has it not says nothing of the one that pip asks first.
        (wheels.Places(extra_index_urls=("file:///nonexistent",)), "no_index"),
        (wheels.Places("file:///nonexistent", ("/nonexistent",)), "not_found"),
        (wheels.Places(no_index=True), "not_found"),
        # What may have had it and did not answer is told before what has it not.
        (wheels.Places("http://127.0.0.1:9/", ("file:///nonexistent",)), "unreachable"),
    ],
)
def test_why_no_source_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: wheels.Places, kind: str
) -> None:
    monkeypatch.setattr(wheels, "PIP_WHEELS", ())
    wanted = [wheels.Wanted("uv", "1", frozenset(["0" * 64]))]
    with pytest.raises(FetchError) as error:
        wheels.fetch(wanted, places, str(tmp_path), Client(Network(tries=1)), Computer.here())
    assert error.value.kind == kind, error.value


@pytest.mark.parametrize("form", ["file://{}", "{}", "file://{}/"])
def test_an_index_on_disk_is_read_as_pip_reads_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "my index/simple/tool").mkdir(parents=True)
    (tmp_path / "my index/files").mkdir()
    (tmp_path / "my index/files" / NAME).write_bytes(CONTENT)
    (tmp_path / "my index/simple/tool/index.html").write_text(f'<a href="../../files/{NAME}#sha256={SUM}">{NAME}</a>')
    place = str(tmp_path / "my index/simple").replace(" ", "%20" if form.startswith("file:") else " ")
    (tmp_path / "to").mkdir()
    found = fetch([TOOL], Places(form.format(place)), str(tmp_path / "to"), Client(Network()), PC)
    assert Path(found[0]).read_bytes() == CONTENT

"""The host's pip configuration in uv's words: every rule of pip's that a school's set-up may lean on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.core.redact import redact, secrets_in
from ansible.module_utils.colab_ready.python import pip_config
from ansible.module_utils.colab_ready.python.pip_config import PipConfigError, Sources
from hypothesis import given
from hypothesis import strategies as st

MIRROR = "https://mirror.school.test/simple"
EXTRA = "https://extra.school.test/simple"


def merged(*texts: str, environ: dict[str, str] | None = None, home: str | None = None) -> Sources:
    return pip_config.merge([(f"file{place}", text) for place, text in enumerate(texts)], environ or {}, home)


# --- which files, in which order ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "homes", "expected"),
    [
        ({}, [], ["/etc/xdg/pip/pip.conf", "/etc/pip.conf"]),
        (
            {},
            ["/home/a"],
            ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/home/a/.pip/pip.conf", "/home/a/.config/pip/pip.conf"],
        ),
        # The first home is the strongest, so its files come last.
        (
            {"XDG_CONFIG_DIRS": "/x:/y"},
            ["/home/a", "/home/b"],
            [
                "/x/pip/pip.conf",
                "/y/pip/pip.conf",
                "/etc/pip.conf",
                "/home/b/.pip/pip.conf",
                "/home/b/.config/pip/pip.conf",
                "/home/a/.pip/pip.conf",
                "/home/a/.config/pip/pip.conf",
            ],
        ),
        # XDG_CONFIG_HOME is the caller's.
        (
            {"XDG_CONFIG_HOME": "/cfg"},
            ["/home/a", "/home/b"],
            [
                "/etc/xdg/pip/pip.conf",
                "/etc/pip.conf",
                "/home/b/.pip/pip.conf",
                "/home/b/.config/pip/pip.conf",
                "/home/a/.pip/pip.conf",
                "/cfg/pip/pip.conf",
            ],
        ),
        # An existing PIP_CONFIG_FILE takes the place of the users' files; one that does not exist does not.
        ({"PIP_CONFIG_FILE": "/etc/passwd"}, ["/home/a"], ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/etc/passwd"]),
        (
            {"PIP_CONFIG_FILE": "/nonexistent/p.conf"},
            ["/home/a"],
            [
                "/etc/xdg/pip/pip.conf",
                "/etc/pip.conf",
                "/home/a/.pip/pip.conf",
                "/home/a/.config/pip/pip.conf",
                "/nonexistent/p.conf",
            ],
        ),
        ({"PIP_CONFIG_FILE": "/dev/null"}, ["/home/a"], []),
    ],
)
def test_files_are_read_in_pips_order(environ: dict[str, str], homes: list[str], expected: list[str]) -> None:
    assert pip_config.config_files(environ, homes) == expected


# --- merging --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "environ", "expected"),
    [
        ([], {}, Sources()),
        (["[global]\nindex-url = https://one/\n", "[global]\nindex_url = https://two/\n"], {}, Sources("https://two/")),
        # [install] is stronger than [global], whatever file it is in.
        (["[install]\nindex-url = https://in/\n", "[global]\nindex-url = https://gl/\n"], {}, Sources("https://in/")),
        (["[install]\nindex-url = https://in/\n"], {"PIP_INDEX_URL": "https://env/"}, Sources("https://env/")),
        # A later list replaces an earlier one, it is not added to it.
        (
            ["[global]\nfind-links = /a /b\n", "[global]\nfind-links =\n    /c\n    /d\n"],
            {},
            Sources(find_links=("/c", "/d")),
        ),
        (["[global]\nfind-links = /a\n"], {"PIP_FIND_LINKS": "/b /c"}, Sources(find_links=("/b", "/c"))),
        (
            ["[global]\nextra-index-url =\n    https://a/\n    https://b/\n    https://a/\n"],
            {},
            Sources(extra_index_urls=("https://a/", "https://b/")),
        ),
        # Other sections, other options and empty values say nothing.
        (["[list]\nindex-url = https://x/\n[download]\nindex-url = https://y/\n"], {}, Sources()),
        (["[global]\nindex-url = https://one/\n"], {"PIP_INDEX_URL": ""}, Sources("https://one/")),
        (["[global]\nuser = true\n"], {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}, Sources()),
        (["[global]\nno-index = yes\n"], {}, Sources(no_index=True)),
        (["[global]\nno-index = yes\n"], {"PIP_NO_INDEX": "0"}, Sources(no_index=False)),
        (["[global]\ntimeout = 60\nretries = 7\n"], {"PIP_DEFAULT_TIMEOUT": "180"}, Sources(timeout=180, retries=7)),
        (["[global]\n--index-url = https://dashes/\n"], {}, Sources("https://dashes/")),
        # No interpolation: a percent sign is a percent sign.
        (["[global]\nindex-url = https://u:p%40ss@h/\n"], {}, Sources("https://u:p%40ss@h/")),
        (
            ["[global]\nproxy = proxy:3128\ntrusted-host = a b\ncert = /c.pem\nclient-cert = /k.pem\n"],
            {},
            Sources(proxy="proxy:3128", trusted_hosts=("a", "b"), cert="/c.pem", client_cert="/k.pem"),
        ),
        (["[global]\nkeyring-provider = subprocess\n"], {}, Sources(keyring_provider="subprocess")),
        (["[global]\nkeyring-provider = auto\n"], {}, Sources()),
    ],
)
def test_values_are_merged_as_pip_merges_them(texts: list[str], environ: dict[str, str], expected: Sources) -> None:
    assert merged(*texts, environ=environ) == expected


def test_a_tilde_is_the_home_of_who_wrote_it() -> None:
    assert merged("[global]\nfind-links = ~/wheels\ncert = ~/ca.pem\n", home="/home/a") == Sources(
        find_links=("/home/a/wheels",), cert="/home/a/ca.pem"
    )


def test_what_uv_cannot_do_is_noted() -> None:
    assert "keyring" in merged("[global]\nkeyring-provider = import\n").notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("index-url = https://u:hunter22@h/\n", ["file0", "line 1", "Expected a section"]),
        ("[global]\nindex-url\nhunter22\n", ["file0", "line 2"]),
        ("[global]\nindex-url = a\nindex-url = hunter22\n", ["file0", "line 3"]),
        ("[global]\ntimeout = soon\n", ["timeout in file0", "'soon'", "whole number"]),
        ("[global]\ntimeout = 1e999\n", ["timeout in file0", "'1e999'", "whole number"]),
        ("[global]\nno-index = maybe\n", ["no-index in file0", "'maybe'", "true or false"]),
    ],
)
def test_a_broken_configuration_is_one_message_without_its_lines(text: str, words: list[str]) -> None:
    with pytest.raises(PipConfigError) as caught:
        merged(text)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "hunter22" not in str(caught.value)


# --- uv's words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "environ", "expected"),
    [
        (Sources(), {}, {}),
        (Sources(index_url=MIRROR), {}, {"UV_DEFAULT_INDEX": MIRROR}),
        (
            Sources(extra_index_urls=(EXTRA, "file:///srv/simple")),
            {},
            {"UV_INDEX": f"{EXTRA} file:///srv/simple", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        (
            Sources(index_url=MIRROR, find_links=("/a", "/b c")),
            {},
            {"UV_DEFAULT_INDEX": MIRROR, "UV_FIND_LINKS": "/a,/b c"},
        ),
        # UV_FIND_LINKS is split at commas.
        (Sources(find_links=("/a,b",)), {}, {"UV_FIND_LINKS": "file:///a%2Cb"}),
        (Sources(find_links=("https://h/a,b",)), {}, {"UV_FIND_LINKS": "https://h/a%2Cb"}),
        (Sources(index_url=MIRROR, no_index=True, find_links=("/a",)), {}, {"UV_FIND_LINKS": "/a"}),
        (
            Sources(trusted_hosts=("a", "b:8080"), timeout=7, retries=0, keyring_provider="subprocess"),
            {},
            {
                "UV_INSECURE_HOST": "a b:8080",
                "UV_HTTP_TIMEOUT": "7",
                "UV_HTTP_RETRIES": "0",
                "UV_KEYRING_PROVIDER": "subprocess",
            },
        ),
        # A bundle by name is the whole trust, as with pip.
        (
            Sources(cert="/ca.pem", client_cert="/me.pem"),
            {"SSL_CERT_FILE": "/other", "SSL_CERT_DIR": "/dir"},
            {"SSL_CERT_FILE": "/ca.pem", "SSL_CLIENT_CERT": "/me.pem"},
        ),
        (Sources(), {"SSL_CERT_DIR": "/dir"}, {"SSL_CERT_DIR": "/dir"}),
        (Sources(), {"REQUESTS_CA_BUNDLE": "/r.pem"}, {"SSL_CERT_FILE": "/r.pem"}),
        (Sources(), {"REQUESTS_CA_BUNDLE": "/r.pem", "SSL_CERT_FILE": "/s.pem"}, {"SSL_CERT_FILE": "/s.pem"}),
        (
            Sources(proxy="u:p@proxy:3128"),
            {"NO_PROXY": "*", "https_proxy": "http://other"},
            dict.fromkeys(
                ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
                "http://u:p@proxy:3128",
            ),
        ),
        (
            Sources(),
            {"https_proxy": "http://p:1", "NO_PROXY": "a"},
            {"HTTPS_PROXY": "http://p:1", "https_proxy": "http://p:1", "NO_PROXY": "a", "no_proxy": "a"},
        ),
        # What would misdirect uv is not inherited.
        (Sources(), {"UV_PYTHON": "3.9", "PIP_TARGET": "/t", "VIRTUAL_ENV": "/v"}, {}),
    ],
)
def test_sources_become_uv_variables(sources: Sources, environ: dict[str, str], expected: dict[str, str]) -> None:
    assert pip_config.uv_environment(sources, environ, system_certificates=False) == expected


def test_the_system_certificates_are_used() -> None:
    assert pip_config.uv_environment(Sources(), {})["UV_SYSTEM_CERTS"] == "1"


@pytest.mark.parametrize(
    ("sources", "addresses"),
    [
        (Sources(), []),
        (Sources(index_url="https://me:secret@h/simple"), ["https://***@h/simple"]),
        (Sources(extra_index_urls=("https://more/",), find_links=("/a",)), ["the usual index", "https://more/", "/a"]),
        (Sources(index_url="https://h/", find_links=("/a",), no_index=True), ["/a"]),
    ],
)
def test_what_is_asked_is_said_without_its_password(sources: Sources, addresses: list[str]) -> None:
    assert sources.addresses == addresses


def test_no_index_is_an_argument() -> None:
    assert pip_config.uv_arguments(Sources(no_index=True)) == ["--no-index"]
    assert pip_config.uv_arguments(Sources()) == []


def test_only_settings_about_sources_are_inherited_from_uv() -> None:
    environ = {
        "UV_PYTHON": "3.9",
        "UV_TARGET": "/t",
        "UV_OFFLINE": "1",
        "UV_INDEX_X_PASSWORD": "p",
        "UV_HTTP_RETRIES": "",
    }
    assert pip_config.inherited_uv_settings(environ) == {"UV_OFFLINE": "1", "UV_INDEX_X_PASSWORD": "p"}


def test_what_uv_was_told_itself_wins() -> None:
    sources = Sources(index_url="https://pip/", find_links=("/pip",))
    told = {"UV_DEFAULT_INDEX": "https://uv/", "UV_INDEX": "https://a/ https://b/", "UV_FIND_LINKS": "/x,/y"}
    assert pip_config.with_uv_settings(sources, told) == Sources(
        index_url="https://uv/", extra_index_urls=("https://a/", "https://b/"), find_links=("/x", "/y")
    )
    assert pip_config.with_uv_settings(sources, {}) == sources


def test_pip_gets_the_same_sources_and_no_file() -> None:
    sources = Sources(index_url=MIRROR, extra_index_urls=(EXTRA,), find_links=("/a b", "/c"), cert="/ca.pem", retries=2)
    found = pip_config.pip_environment(sources, {})
    assert found["PIP_CONFIG_FILE"] == "/dev/null"
    assert found["PIP_INDEX_URL"] == MIRROR
    assert found["PIP_EXTRA_INDEX_URL"] == EXTRA
    assert found["PIP_FIND_LINKS"] == "file:///a%20b /c"
    assert found["PIP_CERT"] == "/ca.pem"
    assert found["PIP_RETRIES"] == "2"
    assert "PIP_NO_INDEX" not in found


# --- dead sources ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "address", "expected"),
    [
        (
            Sources(index_url=MIRROR, extra_index_urls=("https://u:p@extra.school.test/simple", "https://b/")),
            f"{EXTRA}/idna/",
            Sources(index_url=MIRROR, extra_index_urls=("https://b/",)),
        ),
        (Sources(find_links=("https://h/wheels", "/a")), "https://h/wheels/", Sources(find_links=("/a",))),
        # The main index: an extra one takes its place, else folders are left.
        (
            Sources(index_url=MIRROR, extra_index_urls=("https://a/", "https://b/")),
            f"{MIRROR}/idna/",
            Sources(index_url="https://a/", extra_index_urls=("https://b/",)),
        ),
        (Sources(index_url=MIRROR, find_links=("/a",)), f"{MIRROR}/idna/", Sources(no_index=True, find_links=("/a",))),
        # uv's own default index is named nowhere.
        (Sources(find_links=("/a",)), "https://default.test/simple/idna/", Sources(no_index=True, find_links=("/a",))),
        (Sources(no_index=True), "https://h/", Sources(no_index=True)),
    ],
)
def test_a_source_that_does_not_answer_can_be_left_out(sources: Sources, address: str, expected: Sources) -> None:
    assert sources.without(address) == expected


def test_leaving_out_ends_with_nothing() -> None:
    sources = Sources(index_url=MIRROR, extra_index_urls=("https://a/",))
    for _round in range(2):
        sources = sources.without(f"{sources.index_url}/idna/")
    assert sources.empty


def test_one_index_alone_keeps_the_way_to_it() -> None:
    sources = Sources(
        index_url=MIRROR, extra_index_urls=(EXTRA,), find_links=("/a",), no_index=True, proxy="p:1", cert="/c"
    )
    assert sources.only("https://torch/", None) == Sources(index_url="https://torch/", proxy="p:1", cert="/c")


def test_one_page_of_wheels_alone_keeps_the_way_to_it() -> None:
    sources = Sources(index_url=MIRROR, extra_index_urls=(EXTRA,), find_links=("/w",), proxy="p:1", cert="/c")
    assert sources.only(None, "https://amd/") == Sources(
        find_links=("https://amd/",), no_index=True, proxy="p:1", cert="/c"
    )


@pytest.mark.parametrize(
    ("sources", "index", "place", "expected"),
    [
        (Sources(), "https://amd/", None, Sources(extra_index_urls=("https://amd/",))),
        (
            Sources(index_url=MIRROR, extra_index_urls=(EXTRA, "https://amd/"), find_links=("/w",)),
            "https://amd/",
            None,
            Sources(index_url=MIRROR, extra_index_urls=("https://amd/", EXTRA), find_links=("/w",)),
        ),
        (
            Sources(index_url=MIRROR, find_links=("/w",), no_index=True),
            "https://amd/",
            None,
            Sources(index_url="https://amd/", find_links=("/w",)),
        ),
        (
            Sources(index_url=MIRROR, find_links=("/w",)),
            None,
            "https://amd/",
            Sources(index_url=MIRROR, find_links=("https://amd/", "/w")),
        ),
    ],
    ids=["the default index", "all of it", "no index", "a page"],
)
def test_one_source_goes_before_the_hosts_own(
    sources: Sources, index: str | None, place: str | None, expected: Sources
) -> None:
    assert sources.led_by(index, place) == expected


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:secret@h/x", "https://***@h/x"),
        ("see https://token@h/ and http://a:b@c:1/d", "see https://***@h/ and http://***@c:1/d"),
        ("https://u:p@ss@h/", "https://***@h/"),
        ("git+https://t0k3n@h/x.git@main", "git+https://***@h/x.git@main"),
        ("nobody@example.test https://h/@scope/x", "nobody@example.test https://h/@scope/x"),
    ],
)
def test_credentials_are_covered(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_every_spelling_of_a_secret_is_named_for_the_log_filter() -> None:
    text = "https://user:p%40ssword@h/ by http://kid:hunter22@proxy:3128"
    secrets = {"user:p%40ssword", "p%40ssword", "p@ssword", "kid:hunter22", "hunter22"}
    assert set(secrets_in(text)) == secrets


def test_a_password_that_breaks_its_address_is_covered_too() -> None:
    address = "http://me:sec/ret@pw@host.test:1/simple"
    assert redact(f"invalid value '{address}' for") == "invalid value 'http://***@host.test:1/simple' for"
    assert "sec/ret@pw" in secrets_in(address)
    assert redact("http://host.test:80/a@1") == "http://host.test:80/a@1"


@given(user=st.text("abcXYZ019%-._~", min_size=1), password=st.text("abcXYZ019%-._~", min_size=4))
def test_a_description_never_holds_a_password(user: str, password: str) -> None:
    address = f"https://{user}:{password}@host.test/simple"
    sources = Sources(index_url=address, extra_index_urls=(address,), find_links=(address,))
    assert f"{user}:{password}" not in str(sources.describe())
    assert "***@host.test" in str(sources.describe())


@pytest.mark.parametrize("option", ["cert", "client-cert"])
def test_a_certificate_that_is_a_pipe_is_refused_before_root_opens_it(tmp_path: Path, option: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PipConfigError, match="plain file"):
        merged(f"[global]\n{option} = ~/pipe\n", home=str(tmp_path))


# --- what an environment would show ---------------------------------------------------------------------------------


def test_what_may_hold_a_password_leaves_the_environment_for_a_configuration() -> None:
    sources = merged(
        f"[global]\nindex-url = https://u:secret@a.test/simple\nextra-index-url = {EXTRA} https://v:secret@b.test/\n"
        "find-links = /wheels https://w:secret@c.test/\nproxy = http://x:secret@proxy.test:3128\n"
    )
    variables = {
        **pip_config.uv_environment(sources, {}),
        "PATH": "/bin",
        "http_proxy": "http://x:secret@proxy.test:3128",
    }
    kept, configuration = pip_config.withhold(variables)
    assert not [value for value in kept.values() if "secret" in value]
    assert (
        kept["PATH"] == "/bin" and kept["UV_SYSTEM_CERTS"] == "1" and kept["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    )
    assert configuration.splitlines() == [
        'index-url = "https://u:secret@a.test/simple"',
        f'extra-index-url = ["{EXTRA}", "https://v:secret@b.test/"]',
        'find-links = ["/wheels", "https://w:secret@c.test/"]',
        'http-proxy = "http://x:secret@proxy.test:3128"',
        'https-proxy = "http://x:secret@proxy.test:3128"',
    ]


def test_the_credentials_of_a_named_index_go_into_its_address() -> None:
    variables = {
        "UV_INDEX": "school=https://a.test/simple plain=https://b.test/simple https://c.test/?x=/y",
        "UV_INDEX_SCHOOL_USERNAME": "me",
        "UV_INDEX_SCHOOL_PASSWORD": "p/w@",
        "NO_PROXY": "localhost, .school.test",
        "ALL_PROXY": "socks5://p.test",
        "https_proxy": "http://q.test",
        "HTTPS_PROXY": "http://q.test",
    }
    kept, configuration = pip_config.withhold(variables)
    assert kept == {"NO_PROXY": "localhost, .school.test"}
    assert configuration.splitlines() == [
        'extra-index-url = ["https://me:p%2Fw%40@a.test/simple", "https://b.test/simple", "https://c.test/?x=/y"]',
        'http-proxy = "socks5://p.test"',
        'https-proxy = "http://q.test"',
        'no-proxy = ["localhost", ".school.test"]',
    ]


def test_without_sources_there_is_no_configuration() -> None:
    assert pip_config.withhold({"UV_OFFLINE": "1"}) == ({"UV_OFFLINE": "1"}, "")

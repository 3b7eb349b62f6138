"""Nonsense for the sockets of /http_over_websocket, for a bounded time: the server stays the same, serves, tells nothing.

COLAB_READY_FUZZ_SECONDS says for how long in all (60), COLAB_READY_FUZZ_SEED repeats a run. What is sent grows from valid
messages and openings by mutation; what would change a file, a session or the server is left out (see `harmless`).
What was found is kept as examples of the unit and ABI tests of the extension.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote

import converged_host
import pytest
from door.visitor import COLAB, DOOR, EVIL, PROXIED, Listener, Visitor, kernel_says, listening, session
from door.wire import BINARY, CLOSE, PING, PONG, TEXT, Gone, Wire, frame, request
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Host = converged_host.ConvergedHost
FUZZ_SECONDS = float(os.environ.get("COLAB_READY_FUZZ_SECONDS", "60"))
FUZZ_SEED = int(os.environ.get("COLAB_READY_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
# Of the time in all.
SHARES = {"http_over_ws": 0.4, "proxied_ws": 0.2, "handshake": 0.25, "diagnose": 0.15}
ROUND = 100
# Nothing is there, and nothing is made there: what changes things is only ever sent to this place.
NOWHERE = "/api/door-fuzz/"
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
TELLING = (b"Traceback", b'File "/', b"site-packages")
# A failure is made smaller for so long; the first one is reported at the latest then.
SMALLER_SECONDS = 60
PATIENCE_SECONDS = 15.0
# What the extension takes from who asks without a token.
DIAGNOSE_BYTES = 4096


@dataclass(frozen=True)
class Target:
    """The server, a kernel of the owner's for proxied_ws, and the listener at which nobody of the server may arrive."""

    host: Host
    owner: Visitor
    kernel: str
    pid: int
    other: Listener
    began: int

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.owner.netloc, "Origin": COLAB}

    def log(self) -> str:
        """What the server has logged since the fuzz began."""
        if json.loads(self.host.read("/etc/colab-ready/runtime.json"))["service_manager"] == "systemd":
            command = ["journalctl", "--unit", "colab-ready.service", f"--since=@{self.began}", "--output=cat", "--all"]
            return self.host.must(*command, "--no-pager")
        return self.host.must("sh", "-c", "cat $(ls -r /var/log/colab-ready/server.log*)")


@pytest.fixture
def target(inside: Host) -> Iterator[Target]:
    owner = Visitor(inside.port, inside.token)
    with session(owner) as kernel, listening() as other:
        time.sleep(1)  # journalctl counts whole seconds
        status = json.loads(inside.must(converged_host.RUNTIME, "status", "--json"))
        yield Target(inside, owner, kernel, status["pid"], other, int(time.time()))


# --- what is said: valid messages, and what becomes of them ----------------------------------------------------------------

CHARACTERS = st.characters(exclude_categories=())  # lone surrogates too
WORDS = st.text(CHARACTERS, max_size=40) | st.sampled_from(
    ["", " ", "\x00", "\r\n", "\r\nHost: x\r\n\r\n", "..", "%", "%zz", "%00", "%0d%0a", "\\", "#", "?", "null", "\ud800",
     "\u202e", "é", "𝕏" * 50]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.just(10**400) | st.just(-(2**63))
ODD = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=5
)
TRICKS = (
    "@localhost:{other}/", "//localhost:{other}/", "///localhost:{other}/", "http://localhost:{other}/",
    "/\\localhost:{other}/", "/../..//localhost:{other}/", "/%2e%2e/%2e%2e/", "/..", "/api/../api", ":{other}/", "?", "#",
    "/x\r\nHost: localhost:{other}\r\n\r\n", "/\u3002@localhost:{other}/", "/login?next=//localhost:{other}/",
    "/http_over_websocket", "/http_over_websocket/diagnose", "/http_over_websocket/proxied_ws/api",
    "/http_over_websocket/proxied_ws/http_over_websocket/proxied_ws//", "/api/kernels/{kernel}/channels",
    "/files/", "/static/", "/static/%00", "/api/contents/%00", "/api/contents/..%2f..%2fetc", "/api/kernels/{kernel}",
    "/lab?%ff",
)  # fmt: skip
GOOD_PATHS = (
    "/api",
    "/api/status",
    "/api/kernelspecs",
    "/api/contents/door-fuzz",
    "/login",
    "/api/spec.yaml",
    "/static/favicon.ico",
)


def paths(known: dict[str, Any]) -> st.SearchStrategy[str]:
    tricks = st.sampled_from([trick.format(**known) for trick in TRICKS])
    good = st.sampled_from(GOOD_PATHS)
    return st.one_of(
        good, tricks, WORDS, st.builds(str.__add__, good, WORDS), st.builds(str.__add__, tricks, WORDS),
        st.builds(lambda path, word: f"{path}?{word}", good, WORDS), st.sampled_from(["/" + "x" * 70_000, "/" + "%41" * 30_000]),
    )  # fmt: skip


METHODS = st.sampled_from(
    [*["GET"] * 6, "get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "", " GET", "G\r\nX: y", "\uff27ET", "\u017f",
     "GET" * 9000, *CHANGING]
)  # fmt: skip
BODIES = WORDS | st.sampled_from(["{}", "[]", "\x00" * 10, "x" * 200_000])
ENCODED = (
    st.binary(max_size=50).map(lambda data: base64.b64encode(data).decode())
    | WORDS
    | st.sampled_from(["=", "====", "A", "/w==", "gIA="])
)


@st.composite
def messages(draw: st.DrawFn, known: dict[str, Any]) -> bytes:
    """One message for /http_over_websocket: a valid one, and up to three things that went wrong with it."""
    said: dict[str, Any] = {"path": draw(paths(known)), "method": draw(METHODS), "message_id": draw(WORDS)}
    if said["method"].upper() in CHANGING:
        said["path"] = NOWHERE + draw(WORDS)
    for key, values in (("body", BODIES), ("body_base64", ENCODED), ("headers", ODD)):
        if draw(st.integers(0, 3)) == 0:
            said[key] = draw(values)
    for _ in range(draw(st.integers(0, 2))):
        key = draw(st.sampled_from([*said, "x"]))
        if draw(st.booleans()):
            said[key] = draw(ODD)
        else:
            said.pop(key, None)
    return draw(spoiled(json.dumps(said, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")))


@st.composite
def spoiled(draw: st.DrawFn, text: bytes) -> bytes:
    """Mostly as it was; else cut, doubled, wrapped, or with a byte of another kind in it."""
    how = draw(st.integers(0, 15))
    place = draw(st.integers(0, len(text)))
    wrapped = {
        1: b"[" + text + b"]", 2: text + text, 3: text[:place], 4: text[place:], 5: b"[" * 5_000 + text,
        6: b'{"path":' * 3_000, 7: text[:place] + draw(st.binary(max_size=4)) + text[place:], 8: b"\xef\xbb\xbf" + text,
        9: b"", 10: b" " * 100_000 + text,
    }  # fmt: skip
    return wrapped.get(how, text)


def harmless(text: bytes) -> bool:
    """Whether the server, taking it as it is written, changes nothing by it."""
    if b"shutdown" in text:
        return False
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return True
    if not isinstance(said, dict) or str(said.get("method")).upper() not in CHANGING:
        return True
    return isinstance(said.get("path"), str) and said["path"].startswith(NOWHERE) and ".." not in said["path"]


# A step of a conversation: what is sent, and whether the rules of websockets allow it.
Step = tuple[bytes, bool]


def is_text(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        return bool(data.decode() or True)
    return False


@st.composite
def steps(draw: st.DrawFn, said: st.SearchStrategy[bytes]) -> Step:
    text = draw(said.filter(harmless))
    how = draw(st.integers(0, 24))
    cut = draw(st.integers(0, len(text)))
    lawful = {
        1: frame(text, BINARY), 2: frame(text[:cut], TEXT, final=False) + frame(text[cut:], 0), 3: frame(text[:100], PING),
        4: frame(b"", PONG), 5: frame(text[:cut], TEXT, final=False) + frame(b"", PING) + frame(text[cut:], 0),
    }  # fmt: skip
    unlawful = {
        6: frame(text, 3), 7: frame(text, TEXT, reserved=draw(st.integers(1, 7))), 8: frame(text[:50], TEXT, masked=False),
        9: frame(text, 0), 10: frame(text[:200] + b"x" * 200, PING), 11: frame(text)[:-1], 12: b"\x81\xff" + b"\xff" * 8 + text,
        13: frame(text[:cut], TEXT, final=False) + frame(text[cut:]), 14: text, 15: frame(b"\x03", CLOSE),
        16: frame(draw(st.integers(0, 65535)).to_bytes(2, "big") + b"\xff", CLOSE),
    }  # fmt: skip
    if how in lawful:
        return lawful[how], how in (3, 4, 1) or is_text(text)
    if how in unlawful:
        return unlawful[how], False
    return frame(text), is_text(text)


HOSTS = (
    "localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "localhost", "localhost:{other}", "evil.example:{port}", "", ":",
    ":{port}", "[", "[::1", "]", "localhost:{port}:{port}", "localhost:99999", "localhost:-1", "localhost:\u0663", "\xff",
    "user@localhost:{port}", "localhost:{port}@localhost:{other}", "localhost.:{port}", "LOCALHOST:{port}",
    "localhost:{port}/x", "localhost\t:{port}", "a" * 300,
)  # fmt: skip
HEADERS = (
    "Cookie", "Authorization", "X-XSRFToken", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version",
    "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-Fetch-Site", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto",
)  # fmt: skip


def openings(known: dict[str, Any], token: str) -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """An opening without the token: some door, some parameters, some headers."""
    port, other = known["port"], known["other"]
    channels = f"{PROXIED}/api/kernels/{known['kernel']}/channels"
    doors = st.sampled_from([DOOR, f"{DOOR}/diagnose", channels, f"{PROXIED}/", PROXIED, f"{DOOR}/"])
    host = st.sampled_from([name.format(port=port, other=other) for name in HOSTS])
    strange = [
        EVIL,
        "null",
        "",
        "*",
        f"{COLAB}/",
        COLAB.upper(),
        f"{COLAB}.evil.example",
        f"http://localhost:{port}",
        "[",
        "//",
    ]
    origins = st.sampled_from([COLAB] * 4 + strange)
    urls = st.builds(
        lambda scheme, name, path, word: f"{scheme}{name}{path}?token={word}",
        st.sampled_from(["http://", "https://", "//", "http:", "file://", "ws://", ""]), host, paths(known), WORDS,
    )  # fmt: skip
    words = WORDS | st.sampled_from(
        ["0.0.7", "0.0.8", "9" * 500, "0.0.7\n", "1..2", "0.0.7a1", "\u0661.0.0", "x" * 5000]
    )
    names = (
        st.sampled_from(["min_version", "jupyter_http_over_ws_auth_url", "token", "session_id", "_xsrf", ""]) | WORDS
    )
    parameters = st.lists(st.tuples(names, words | urls), max_size=4)
    escapes: list[Callable[[str], str]] = [
        lambda text: quote(text.encode("utf-8", "surrogatepass"), safe=""),
        lambda text: re.sub(r"[\s\x00-\x1f\x7f]", "+", text),
    ]
    fit = words.map(lambda text: re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "", text))
    more = st.dictionaries(st.sampled_from(HEADERS), fit, max_size=2)

    def build(
        door: str,
        tail: str,
        pairs: list[tuple[str, str]],
        escaped: Callable[[str], str],
        name: str,
        origin: str,
        extra: dict[str, str],
    ) -> tuple[str, dict[str, str]]:
        query = "&".join(f"{escaped(key)}={escaped(value)}" for key, value in pairs)
        headers = {"Host": name, "Origin": origin, **extra}
        return f"{door}{quote(tail.encode('utf-8', 'surrogatepass'))}?{query}", headers

    built = st.builds(build, doors, st.just("") | WORDS, parameters, st.sampled_from(escapes), host, origins, more)
    return built.filter(lambda opening: token not in opening[0] + str(opening[1]))


KINDS = (
    "kernel_info_request",
    "execute_request",
    "complete_request",
    "is_complete_request",
    "history_request",
    "comm_info_request",
    "nonsense",
)


@st.composite
def kernel_messages(draw: st.DrawFn) -> bytes:
    """One message for a kernel's socket; the code in it computes nothing."""
    header: dict[str, Any] = {"msg_id": draw(WORDS), "msg_type": draw(st.sampled_from(KINDS)), "session": draw(WORDS)}
    header |= {"username": "f", "version": "5.3"}
    code = draw(st.sampled_from(["", "1", "'x'", "1 +", "#", "\ud800"]))
    content: dict[str, Any] = {"code": code, "silent": True, "cursor_pos": draw(st.integers())}
    said: dict[str, Any] = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    said["channel"] = draw(st.sampled_from(["shell", "control", "stdin", "iopub", "x"]))
    for _ in range(draw(st.integers(0, 2))):
        inner = draw(st.sampled_from([said, header, content]))
        key = draw(st.sampled_from([*inner, "x"]))
        if draw(st.booleans()):
            inner[key] = draw(ODD)
        else:
            inner.pop(key, None)
    return draw(spoiled(json.dumps(said, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")))


# --- what has to hold ------------------------------------------------------------------------------------------------------


def tells_nothing(wire: Wire, *secrets: bytes) -> None:
    for said in wire.said:
        decoded = said
        with contextlib.suppress(ValueError, AttributeError):
            decoded += base64.b64decode(json.loads(said).get("data", ""))
        for secret in (*TELLING, *secrets):
            assert secret not in decoded, f"{secret!r} in an answer"


def answered(wire: Wire, number: str) -> int:
    """The status of the answer to this message, whatever is answered before it."""
    status = 0
    while True:
        said = wire.message()
        assert isinstance(said, dict)
        if said.get("message_id") == number:
            status = said.get("status", status)
            if said.get("done"):
                return int(status)


def lawful(conversation: list[Step]) -> bool:
    return all(allowed for _, allowed in conversation)


def patience(conversation: list[Step]) -> float:
    """Half a frame makes the server wait for the rest of it, and rightly so."""
    return PATIENCE_SECONDS if lawful(conversation) else 1.0


def closed_well(gone: Gone, conversation: list[Step]) -> None:
    """Whoever keeps to the rules of websockets hears a close frame."""
    assert gone.clean or not lawful(conversation), "the socket was dropped without a word"


def sent(conversation: list[Step]) -> bytes:
    return b"".join(data for data, _ in conversation)


def through_door(target: Target, conversation: list[Step], stay: bool) -> None:
    """The good token, a conversation, then a valid request: it is answered, or the socket was closed with a word."""
    number, last = request("GET", "/api/status")
    with Wire(target.owner.port, PATIENCE_SECONDS) as wire:
        assert wire.open(target.owner.through_door(), target.headers)
        wire.wait(patience(conversation))
        wire.send(sent(conversation) + (frame(last) if stay else b""))
        if stay:
            try:
                assert answered(wire, number) == 200
            except Gone as gone:
                closed_well(gone, conversation)
            except TimeoutError:
                assert not lawful(conversation), f"no answer within {PATIENCE_SECONDS:.0f} s"
        # The pages of a server to its owner hold the token; so only what shows the server's inside counts here.
        tells_nothing(wire)


def kernel_answers(target: Target, path: str, conversation: list[Step], seconds: float) -> bool | None:
    """Whether the valid request behind the conversation is answered; None if the socket was closed before."""
    header = {
        "msg_id": "last-of-the-fuzz",
        "msg_type": "kernel_info_request",
        "session": "last",
        "username": "f",
        "version": "5.3",
    }
    last = {"header": header, "parent_header": {}, "metadata": {}, "content": {}, "channel": "shell"}
    with Wire(target.owner.port, PATIENCE_SECONDS) as wire:
        assert wire.open(path, target.headers)
        wire.wait(seconds)
        wire.send(sent(conversation) + frame(json.dumps(last).encode()))
        try:
            while wire.message().get("parent_header", {}).get("msg_id") != "last-of-the-fuzz":
                pass
        except Gone as gone:
            if path.startswith(DOOR):
                closed_well(gone, conversation)
            return None
        except TimeoutError:
            return False
        finally:
            # What the kernel itself says, its own tracebacks included, is for its owner.
            wire.said = [said for said in wire.said if not said.startswith(b'{"header"')]
            tells_nothing(wire)
        return True


def through_proxy(target: Target, conversation: list[Step], stay: bool) -> None:
    """The same at a kernel's socket. Jupyter and the kernel may take a nonsense amiss and fall silent; proxied_ws may not
    be the one that loses the request: where it is silent three times, so is the kernel's own socket once."""

    def path() -> str:
        # Always another session: Jupyter takes a session's old sockets up again, and nonsense may have spoilt them.
        return f"/api/kernels/{target.kernel}/channels?session_id=fuzz-{time.monotonic_ns()}"

    if not stay:
        with Wire(target.owner.port, PATIENCE_SECONDS) as wire:
            assert wire.open(target.owner.through_door(PROXIED + path()), target.headers)
            wire.send(sent(conversation))
            return
    for seconds in (2, 4, PATIENCE_SECONDS) if lawful(conversation) else (1,):
        proxied = target.owner.through_door(PROXIED + path())
        if kernel_answers(target, proxied, conversation, seconds) is not False:
            return
    if lawful(conversation):
        heard = kernel_answers(target, target.owner.with_token(path()), conversation, PATIENCE_SECONDS)
        assert not heard, "proxied_ws is silent where the kernel's own socket answers"


def at_diagnose(target: Target, conversation: list[Step], stay: bool) -> None:
    # To a message that is too long tornado says 1009 and hangs up at once, so the word may be lost on the way.
    conversation = [(data, allowed and len(data) < DIAGNOSE_BYTES) for data, allowed in conversation]
    with Wire(target.owner.port, PATIENCE_SECONDS) as wire:
        assert wire.open(f"{DOOR}/diagnose?min_version=0.0.7", target.headers)
        wire.wait(patience(conversation))
        wire.send(sent(conversation) + (frame(b"last of the fuzz") if stay else b""))
        if stay:
            try:
                while wire.message()["message_id"] != "last of the fuzz":
                    pass
            except Gone as gone:
                closed_well(gone, conversation)
            except TimeoutError:
                assert not lawful(conversation), f"no answer within {PATIENCE_SECONDS:.0f} s"
        tells_nothing(wire, (target.owner.token or "").encode())


def own_pages(headers: dict[str, str]) -> bool:
    """Colab's page, this server's own, or a program."""
    return headers["Origin"].lower() in (COLAB, f"http://{headers['Host']}".lower(), "")


def at_the_threshold(target: Target, knock: tuple[str, dict[str, str]]) -> None:
    """No token: a refusal that is no accident (no 5xx), or Colab's page at diagnose."""
    address, headers = knock
    with Wire(target.owner.port, PATIENCE_SECONDS) as wire:
        if wire.open(address, headers):
            assert address.startswith(f"{DOOR}/diagnose") and own_pages(headers), knock
        elif wire.said[-1]:
            assert re.match(rb"HTTP/1\.1 (1|3|4)\d\d ", wire.said[-1]), (knock, wire.said[-1][:2000])
        tells_nothing(wire, (target.owner.token or "").encode())


def is_the_same(target: Target) -> None:
    """The process that it was, serving its owner through the kernel's own socket; nobody came to the listener."""
    assert json.loads(target.host.must(converged_host.RUNTIME, "status", "--json"))["pid"] == target.pid
    with target.owner.socket(
        target.owner.with_token(f"/api/kernels/{target.kernel}/channels?session_id=owner")
    ) as opened:
        assert kernel_says(opened) == "42"
    assert target.other.seen == []


OURS = re.compile(
    r"(colab|jupyter)_http_over_ws/|Uncaught exception \w+ /http_over_websocket(/diagnose|/proxied_ws/[^ ?]+)?[ ?]"
)


def logged_well(target: Target) -> None:
    """No exception that nobody caught on the way of these sockets, and never the token. What Jupyter's own handlers stumble
    over, at other addresses, is told and not judged."""
    log = target.log()
    assert (target.owner.token or "-") not in log
    assert "Suppressed " not in log, "the journal left lines out: nothing was proven"
    records = re.split(r"^(?=\[[CEWID] \d{4}-)", log, flags=re.MULTILINE)
    raised = [
        record for record in records if "Traceback (most recent call last)" in record or "Uncaught exception" in record
    ]
    ours = [record for record in raised if OURS.search(record)]
    assert not ours, f"{len(ours)} exceptions that nobody caught; the first:\n{ours[0][:4000]}"
    if raised:
        kinds = sorted({record.strip().splitlines()[-1].strip().partition(":")[0][:60] for record in raised})
        warnings.warn(f"Jupyter's own code logged {len(raised)} exceptions: {kinds}", stacklevel=1)


@dataclass
class Bounded:
    """A check that ends with its time: what is asked for later passes unseen, or fails as it did before."""

    target: Target
    check: Callable[..., None]
    end: float
    tried: int = 0
    failed: dict[str, tuple[Exception, TracebackType | None]] = field(default_factory=dict)

    def __call__(self, example: tuple[Any, ...]) -> None:
        if repr(example) in self.failed:
            error, trace = self.failed[repr(example)]
            raise error.with_traceback(trace)
        if time.monotonic() > self.end:
            return
        self.tried += 1
        try:
            self.check(self.target, *example)
        except Exception as error:
            if not self.failed:
                self.end = time.monotonic() + SMALLER_SECONDS
            self.failed[repr(example)] = error, error.__traceback__
            raise


@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", [*SHARES])
def test_no_nonsense_at_the_sockets_harms_the_server(
    target: Target, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = FUZZ_SECONDS * SHARES[what]
    known = {"port": target.owner.port, "other": target.other.port, "kernel": target.kernel}
    said = {
        "http_over_ws": messages(known),
        "diagnose": messages(known) | WORDS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    }
    talk = st.lists(steps(said.get(what, kernel_messages())), min_size=1, max_size=5)
    stay = st.sampled_from([True] * 9 + [False])
    knocks = st.tuples(openings(known, target.owner.token or ""))
    inputs: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {"handshake": knocks}
    checks: dict[str, Callable[..., None]] = {
        "http_over_ws": through_door,
        "proxied_ws": through_proxy,
        "diagnose": at_diagnose,
        "handshake": at_the_threshold,
    }
    bounded = Bounded(target, checks[what], time.monotonic() + seconds)
    chosen = settings(
        max_examples=ROUND, deadline=None, database=None, phases=(Phase.generate, Phase.shrink), print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    number = 0
    while time.monotonic() < bounded.end:

        @seed(FUZZ_SEED + number)
        @chosen
        @given(inputs.get(what, st.tuples(talk, stay)))
        def examples(example: tuple[Any, ...]) -> None:
            bounded(example)

        examples()
        is_the_same(target)
        number += 1
    with capsys.disabled():
        print(f"\nfuzz: {what}: {bounded.tried} examples in {seconds:.0f} s, COLAB_READY_FUZZ_SEED={FUZZ_SEED}")
    assert bounded.tried > 0
    is_the_same(target)
    logged_well(target)

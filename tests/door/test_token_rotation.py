"""A token that somebody else may know: what `colab-runtime token --rotate` does to everything that was opened with it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import converged_host
import pytest
from door.visitor import Visitor, kernel_says, log_in, notebook, session, through
from websockets.exceptions import ConnectionClosed

Host = converged_host.ConvergedHost
RUNTIME = converged_host.RUNTIME
KERNELSPECS = "/api/kernelspecs"


class Watch:
    """The argument lists of all programs that run meanwhile, as far as a fast look at /proc catches them."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()

    def _look(self) -> None:
        while not self._over.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(entry.read_bytes())

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def channels(kernel: str) -> str:
    return f"/api/kernels/{kernel}/channels?session_id=rotation"


def test_a_new_token_cuts_off_everything_that_the_old_one_opened(inside: Host) -> None:
    old = Visitor(inside.port, inside.token)
    assert old.token
    cookie, _ = log_in(old.port, old.token)
    browser = Visitor(old.port, origin=None, cookie=cookie)
    asked = old.ask("POST", "/api/sessions", notebook("rotation.ipynb"))
    assert asked.status == 201
    kernel = asked.json()["kernel"]["id"]
    to_kernel, to_door = old.socket(old.with_token(channels(kernel))), old.socket(old.through_door())
    with to_kernel, to_door:
        assert kernel_says(to_kernel, "x = 42; x") == "42"
        assert through(to_door, "GET", KERNELSPECS).status == 200
        assert browser.http("GET", KERNELSPECS).status == 200

        refused = inside.run(RUNTIME, "token", "--rotate")
        assert (refused.returncode, refused.stdout) == (75, "")
        assert "'rotation.ipynb'" in refused.stderr and "token --rotate --force" in refused.stderr
        assert inside.token == old.token
        assert kernel_says(to_kernel, "x") == "42"
        assert browser.http("GET", KERNELSPECS).status == 200

        watch = Watch()
        with watch.watching():
            done = inside.run(RUNTIME, "token", "--rotate", "--force")
        assert (done.returncode, done.stderr) == (0, "")

        for opened in (to_kernel, to_door):
            with pytest.raises(ConnectionClosed):
                while True:
                    opened.recv(timeout=10)

    new = old.but(token=inside.token)
    assert new.token and new.token != old.token
    journal = inside.must("journalctl", "--unit", "colab-ready.service", "--no-pager")
    for token in (old.token, new.token):
        assert token not in done.stdout + done.stderr + refused.stderr + journal
        assert not [words for words in watch.seen if token.encode() in words]
    assert any(b"token\0--rotate" in words for words in watch.seen), "nothing was watched"

    with session(new) as other:
        assert old.ask("GET", KERNELSPECS).status == 403
        assert old.http("GET", KERNELSPECS, headers={"Authorization": f"token {old.token}"}).status == 403
        assert old.refusal(old.with_token(channels(other))) == 403
        assert old.refusal(old.through_door()) == 403
        assert old.refusal(old.through_door(f"/http_over_websocket/proxied_ws{channels(other)}")) == 403
        assert browser.http("GET", KERNELSPECS).status == 403
        assert browser.refusal(channels(other)) == 403

        assert new.ask("GET", KERNELSPECS).status == 200
        with new.socket(new.with_token(channels(other))) as opened:
            assert kernel_says(opened) == "42"
        with new.socket(new.through_door()) as opened:
            assert through(opened, "GET", KERNELSPECS).status == 200
    assert inside.must(RUNTIME, "url") == f"{inside.base}/?token={new.token}\n"

    # A page that still has the old address is seen, and told apart from one that never came.
    mozilla = {"User-Agent": "Mozilla/5.0 (a stand-in, no browser)"}
    assert new.http("GET", new.with_token(KERNELSPECS), headers=mozilla).status == 200
    assert "GET /api/kernelspecs, answered 200" in inside.must(RUNTIME, "status")
    assert old.http("GET", old.with_token(KERNELSPECS), headers=mozilla).status == 403
    report = inside.verify()
    assert report["ready"] is True, report["reasons"]
    assert report["checks"]["browser"]["ok"] is False
    assert [remedy["id"] for remedy in report["remedies"]] == ["browser_token"]
    assert old.token not in json.dumps(report) and new.token not in json.dumps(report)


def test_the_user_rotates_the_token_without_root(inside: Host) -> None:
    old = Visitor(inside.port, inside.token)
    done = inside.run(RUNTIME, "token", "--rotate", "--force", user=inside.user)
    assert (done.returncode, done.stderr) == (0, "")
    new = old.but(token=inside.token)
    assert new.token != old.token
    assert (old.ask("GET", KERNELSPECS).status, new.ask("GET", KERNELSPECS).status) == (403, 200)
    assert inside.must("stat", "--format", "%U %a", "/etc/colab-ready/token").split() == [inside.user, "600"]


def test_a_notebook_cannot_change_the_token(inside: Host) -> None:
    owner = Visitor(inside.port, inside.token)
    command = [RUNTIME, "token", "--rotate", "--force"]
    code = f"import subprocess; subprocess.run({command}, capture_output=True, text=True).stderr"
    with session(owner) as kernel, owner.socket(owner.with_token(channels(kernel))) as opened:
        said = kernel_says(opened, code)
    assert "The token was not changed" in said
    assert inside.token == owner.token
    assert owner.ask("GET", KERNELSPECS).status == 200


def test_a_stopped_server_gets_the_new_token_with_its_next_start(inside: Host) -> None:
    old = Visitor(inside.port, inside.token)
    inside.must(RUNTIME, "stop", "--force")
    try:
        done = inside.run(RUNTIME, "token", "--rotate")
        assert done.returncode == 0 and "not running" in done.stdout
        assert inside.run(RUNTIME, "status").returncode == 3
    finally:
        inside.must(RUNTIME, "start")
    assert inside.token != old.token
    assert (old.ask("GET", KERNELSPECS).status, old.but(token=inside.token).ask("GET", KERNELSPECS).status) == (
        403,
        200,
    )


def test_a_server_that_does_not_start_again_is_said_and_the_old_token_opens_nothing(inside: Host) -> None:
    old = Visitor(inside.port, inside.token)
    before = inside.read(converged_host.CONFIG)
    inside.write(converged_host.CONFIG, "{")
    try:
        failed = inside.run(RUNTIME, "token", "--rotate", "--force")
        assert failed.returncode != 0
        assert "The token is new, but the server was not restarted with it" in failed.stderr
        assert "is not JSON" in failed.stderr and "The old address is dead all the same" in failed.stderr
        assert inside.token not in failed.stderr
        with pytest.raises(OSError):  # refused; where there is no IPv6, localhost's ::1 is no address
            old.ask("GET", KERNELSPECS)
    finally:
        inside.write(converged_host.CONFIG, before)
        inside.restart()
    assert inside.token != old.token
    assert (old.ask("GET", KERNELSPECS).status, old.but(token=inside.token).ask("GET", KERNELSPECS).status) == (
        403,
        200,
    )

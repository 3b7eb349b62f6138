"""Root is given up for good before the work begins, and the answer is waited for with limits."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from ansible.module_utils.colab_ready.process import boundary
from ansible.module_utils.colab_ready.process.identity import account_named, current_account

AM_ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not AM_ROOT, reason="only root has something to give up")


def as_nobody(work: Any, seconds: float = 10) -> Any:
    return boundary.run_as(account_named("nobody"), work, seconds)


def test_without_root_the_work_is_done_here() -> None:
    assert boundary.run_as(current_account(), os.getpid, 10) == os.getpid()


@root_only
def test_the_work_has_the_accounts_rights_and_no_way_back() -> None:
    def work() -> dict[str, Any]:
        attempts = []
        for back in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgroups([0])):
            try:
                back()
                attempts.append("back")
            except PermissionError:
                attempts.append("refused")
        status = open("/proc/thread-self/status").read()
        return {
            "ids": [*os.getresuid(), *os.getresgid()],
            "groups": os.getgroups(),
            "back": attempts,
            "no_new_privs": "NoNewPrivs:\t1" in status,
            "session": os.getsid(0) == os.getpid(),
            "cwd": os.getcwd(),
        }

    nobody = account_named("nobody")
    assert as_nobody(work) == {
        "ids": [nobody.uid] * 3 + [nobody.gid] * 3,
        "groups": sorted(nobody.groups),
        "back": ["refused"] * 3,
        "no_new_privs": True,
        "session": True,
        "cwd": "/",
    }
    assert os.geteuid() == 0


@root_only
def test_no_descriptor_of_roots_comes_along() -> None:
    secret = os.open("/etc/shadow", os.O_RDONLY)
    try:
        # 0, 1 and 2 lead nowhere; one is the answer's; one is the listing's own.
        assert len(as_nobody(lambda: os.listdir("/proc/thread-self/fd"))) == 5
    finally:
        os.close(secret)


@root_only
@pytest.mark.parametrize(
    ("work", "kind"),
    [
        (lambda: time.sleep(60), "timeout"),
        (lambda: os.kill(os.getpid(), signal.SIGSTOP), "stopped"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "crashed"),
        (lambda: open("/etc/shadow").read(), "exception"),
        (lambda: "x" * (64 << 20), "crashed"),
    ],
    ids=["hangs", "is stopped", "is killed", "is refused", "says too much"],
)
def test_a_child_that_gives_no_answer_ends_in_one_error(work: Any, kind: str) -> None:
    started = time.monotonic()
    with pytest.raises(boundary.BoundaryError) as caught:
        as_nobody(work, 3)
    assert caught.value.kind == kind
    assert "nobody" in str(caught.value)
    assert time.monotonic() - started < 20

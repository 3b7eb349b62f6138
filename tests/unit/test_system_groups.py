"""Who gets into the groups of a GPU's device files, and out of them again: recorded before it is done, and nothing more."""

from __future__ import annotations

import grp

import pytest
from ansible.module_utils.colab_ready.system import groups, runtime_account

MEMBERS = {"render": ["me"], "video": ["you"], "mine": []}


@pytest.fixture(autouse=True)
def small_host(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [grp.struct_group((name, "x", place, who)) for place, (name, who) in enumerate(MEMBERS.items())]
    monkeypatch.setattr(grp, "getgrall", lambda: entries)
    monkeypatch.setattr(
        runtime_account, "account", lambda name: runtime_account.Account("me", 7, "/") if name == "me" else None
    )
    monkeypatch.setattr(groups, "primary_gid", lambda uid: list(MEMBERS).index("mine"))


@pytest.mark.parametrize(
    ("user", "wanted", "to_join", "missing"),
    [
        ("me", ["render", "video"], ["video"], []),
        ("me", ["render", "kvm"], [], ["kvm"]),
        ("me", ["mine"], [], []),
        # Not there yet, so in no group.
        ("new", ["render", "mine", "kvm"], ["render", "mine"], ["kvm"]),
        ("me", [], [], []),
    ],
)
def test_only_groups_that_there_are_and_that_the_user_is_not_in(
    user: str, wanted: list[str], to_join: list[str], missing: list[str]
) -> None:
    assert groups.look(user, wanted) == (to_join, missing)


@pytest.mark.parametrize(
    ("recorded", "status", "seen", "after"),
    [
        ([], 0, [["me", "video"]], [["me", "video"]]),
        ([["me", "video"]], 0, [["me", "video"]], [["me", "video"]]),
        ([["you", "kvm"]], 0, [["you", "kvm"], ["me", "video"]], [["you", "kvm"], ["me", "video"]]),
        ([], 6, [["me", "video"]], []),
        ([["me", "video"]], 6, [["me", "video"]], [["me", "video"]]),
    ],
    ids=["new", "again", "beside another", "failed", "failed again"],
)
def test_a_membership_is_recorded_before_it_is_made_and_once(
    recorded: list[list[str]], status: int, seen: list[list[str]], after: list[list[str]]
) -> None:
    written: list[list[list[str]]] = [[*recorded]]
    at_the_call: list[list[list[str]]] = []

    def run(command: object) -> int:
        assert command == ["/usr/sbin/usermod", "--append", "--groups", "video", "me"]
        at_the_call.append(written[-1])
        return status

    problem = groups.join("me", "video", recorded, lambda: written.append([*recorded]), run, "xpu")
    assert (at_the_call, recorded, written[-1]) == ([seen], after, after)
    assert (problem.id if problem else None) == ("xpu_group" if status else None)


def test_only_memberships_that_there_still_are_are_taken_back() -> None:
    recorded = [["me", "render"], ["me", "video"], ["me", "gone"], ["nobody", "video"], ["you", "video"]]
    assert groups.still_there(recorded) == [("me", "render"), ("you", "video")]


@pytest.mark.parametrize(("status", "words"), [(0, None), (3, "sudo gpasswd --delete me render")])
def test_what_cannot_be_taken_back_is_said(status: int, words: str | None) -> None:
    asked: list[object] = []

    def run(command: object) -> int:
        asked.append(command)
        return status

    said = groups.leave("me", "render", run)
    assert asked == [["/usr/bin/gpasswd", "--delete", "me", "render"]]
    assert said is None if words is None else words in (said or "")


@pytest.mark.parametrize(
    ("user", "backend", "name"), [("me", "xpu", None), ("new", "xpu", "xpu_user"), ("new", "rocm", "rocm_user")]
)
def test_a_user_that_there_is_not_is_a_problem(user: str, backend: str, name: str | None) -> None:
    problem = groups.user_problem(user, backend)
    assert (problem.id if problem else None) == name

"""home_work as Ansible runs it; what it finds in a home is in tests/unit/test_home_work.py."""

from __future__ import annotations

import getpass
from typing import Any

import pytest


@pytest.mark.smoke("home_work")
def test_the_home_of_an_account_that_was_not_made_for_the_runtime_is_not_looked_at(run_module: Any) -> None:
    found = run_module("home_work", {"user": getpass.getuser()}, check=True)
    assert (found["changed"], found["failed"], found["made"]) == (False, False, False)
    assert (found["home"], found["work"], found["litter"]) == ("", [], [])

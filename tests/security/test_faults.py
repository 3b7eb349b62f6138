"""Twelve rows of `bench/faults`, on hosts that are converged already: what is said, and one more run that makes it good."""

from __future__ import annotations

import fault_rows
import faults
import pytest
from security.hosts import SecurityHost

ON_SYSTEMD = [
    "unit file deleted",
    "unit masked",
    "RECORD of numpy emptied",
    "dist-info of torch deleted",
    "activate of the server deleted",
    "runtime.json is an empty folder",
    "report.json is an empty folder",
    "kernelspec deleted",
    "runtime.json removed",
    "token replaced",
    "token readable by others",
]
PLAIN = ["a module of colab-runtime truncated"]


@pytest.fixture(scope="module")
def noted() -> set[str]:
    """The hosts whose tree has been noted."""
    return set()


def is_as_listed(security_host: SecurityHost, name: str, noted: set[str]) -> None:
    host = faults.Host(security_host.name, security_host.checkout)
    if host.name not in noted:
        # What the attacks before this have left is repaired first.
        security_host.colab_ready().is_ready()
        host.note_tree()
        noted.add(host.name)
    result = faults.try_row(host, faults.named(fault_rows.ROWS, [name])[0])
    assert not result.wrong, f"{result.wrong}\n{result.output[-6000:]}"


@pytest.mark.parametrize("name", ON_SYSTEMD)
def test_a_fault_is_said_and_one_more_run_makes_it_good(root_host: SecurityHost, noted: set[str], name: str) -> None:
    is_as_listed(root_host, name, noted)


@pytest.mark.parametrize("name", PLAIN)
def test_a_fault_without_systemd_is_said_and_one_more_run_makes_it_good(
    plain_host: SecurityHost, noted: set[str], name: str
) -> None:
    is_as_listed(plain_host, name, noted)

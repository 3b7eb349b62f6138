"""An Intel GPU gets the packages of its Ubuntu and no kernel driver."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.xpu import judge
from ansible.module_utils.colab_ready.backends.xpu import packages as xpu_packages
from ansible.module_utils.colab_ready.gpu import catalog

ARC = {"vendor_id": "8086", "vendor": "Intel", "device_id": "56a0", "name": "Intel(R) Arc(TM) A770 Graphics"}
LUNAR_LAKE = {**ARC, "device_id": "64a0", "name": "Intel(R) Arc(TM) 140V GPU"}
PANTHER_LAKE = {**ARC, "device_id": "b080", "name": "Intel(R) Arc(TM) B390 GPU"}
PLAIN_ULTRA = {**ARC, "device_id": "7d45", "name": "Intel(R) Graphics"}
MAX = {**ARC, "device_id": "0bd5", "name": "Intel(R) Data Center GPU Max 1550"}
NEW = {**ARC, "device_id": "f123", "name": "Intel(R) Something"}

# card, Ubuntu, in WSL; suite of Intel's repository; words of the cautions
GIVEN: list[tuple[dict[str, Any], str, bool, str | None, list[str]]] = [
    (ARC, "24.04", True, "noble unified", []),
    (ARC, "26.04", True, None, []),
    (ARC, "22.04", True, "jammy unified", ["lists Ubuntu 24.04 and 26.04"]),
    (LUNAR_LAKE, "24.04", False, "noble unified", []),
    (PANTHER_LAKE, "24.04", False, "noble unified", ["lists Ubuntu 26.04"]),
    (PLAIN_ULTRA, "24.04", True, "noble unified", ["the chip is the same"]),
    (MAX, "22.04", False, "jammy unified", []),
    (NEW, "24.04", True, "noble unified", ["the table of Intel's GPUs does not have it"]),
]


def test_the_rule_the_packages_and_the_manual_name_the_same_releases_of_ubuntu() -> None:
    assert {*xpu_packages.RELEASES} == {*catalog.INTELS_RUNTIME}
    # docs/backends.md is written from it.
    assert f"Ubuntu {', '.join(catalog.INTELS_RUNTIME)} alone" in str(judge.findings.__doc__)


@pytest.mark.parametrize(("adapter", "version", "wsl", "suite", "cautions"), GIVEN)
def test_a_card_gets_the_packages_of_its_ubuntu(
    adapter: dict[str, Any], version: str, wsl: bool, suite: str | None, cautions: list[str]
) -> None:
    plan = xpu_packages.choose_packages(adapter, version, wsl)
    assert plan["packages"] == ["libze1", "libze-intel-gpu1", "intel-opencl-icd"]
    assert not [name for name in plan["packages"] if "dkms" in name or "linux-" in name]
    repository = plan["repository"]
    assert (repository is None) is (suite is None)
    if repository is not None:
        lines = dict(line.split(": ", 1) for line in repository["text"].splitlines())
        assert f"{lines['Suites']} {lines['Components']}" == suite
        assert lines["Signed-By"] == repository["keyring"]
    assert plan["groups"] == ([] if wsl else ["render", "video"])
    assert len(plan["cautions"]) == len(cautions)
    assert all(word in said for word, said in zip(cautions, plan["cautions"], strict=True))


def test_a_mirror_is_taken() -> None:
    plan = xpu_packages.choose_packages(
        ARC,
        "24.04",
        True,
        "https://mirror.example/intel",
        "https://mirror.example/key",
    )
    assert "URIs: https://mirror.example/intel\n" in plan["repository"]["text"]
    assert plan["repository"]["key"] == "https://mirror.example/key"

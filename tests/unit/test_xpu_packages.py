"""An Intel GPU gets the packages of its Ubuntu and no kernel driver; others are refused with what to do instead."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.xpu import packages as xpu_packages
from ansible.module_utils.colab_ready.core.problem import Refused

ARC = {"vendor_id": "8086", "vendor": "Intel", "device_id": "56a0", "name": "Intel(R) Arc(TM) A770 Graphics"}
LUNAR_LAKE = {**ARC, "device_id": "64a0", "name": "Intel(R) Arc(TM) 140V GPU"}
PANTHER_LAKE = {**ARC, "device_id": "b080", "name": "Intel(R) Arc(TM) B390 GPU"}
PLAIN_ULTRA = {**ARC, "device_id": "7d45", "name": "Intel(R) Graphics"}
IRIS = {**ARC, "device_id": "46a6", "name": "Intel(R) Iris(R) Xe Graphics"}
UHD = {**ARC, "device_id": "3e92", "name": "Intel(R) UHD Graphics 630"}
MAX = {**ARC, "device_id": "0bd5", "name": "Intel(R) Data Center GPU Max 1550"}
NEW = {**ARC, "device_id": "f123", "name": "Intel(R) Something"}
RADEON = {"vendor_id": "1002", "vendor": "AMD", "device_id": "744c", "revision": "c8", "name": "AMD Radeon RX 7900 XTX"}

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


@pytest.mark.parametrize(("adapter", "version", "wsl", "suite", "cautions"), GIVEN)
def test_a_card_gets_the_packages_of_its_ubuntu(
    adapter: dict[str, Any], version: str, wsl: bool, suite: str | None, cautions: list[str]
) -> None:
    plan = xpu_packages.choose_packages(adapter, "ubuntu", version, wsl)
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


REFUSED: list[tuple[dict[str, Any], str, str, bool, str, str]] = [
    (IRIS, "ubuntu", "24.04", True, "PyTorch's XPU is for Arc and newer", "set colab_backend to directml"),
    (UHD, "ubuntu", "24.04", True, "PyTorch's XPU is for Arc and newer", "set colab_backend to directml"),
    (UHD, "ubuntu", "24.04", False, "PyTorch's XPU is for Arc and newer", "set colab_backend to cpu"),
    (MAX, "ubuntu", "24.04", True, "nobody offers for WSL", "directml"),
    (RADEON, "ubuntu", "24.04", True, "this is Radeon RX 7900 XTX (gfx1100)", "directml"),
    (ARC, "debian", "12", True, "no compute runtime for Debian 12", "wsl --install Ubuntu-24.04"),
    (ARC, "ubuntu", "25.10", False, "no compute runtime for Ubuntu 25.10", "22.04, 24.04 and 26.04"),
]


@pytest.mark.parametrize(("adapter", "distribution", "version", "wsl", "what", "do"), REFUSED)
def test_what_cannot_have_it_is_refused_in_one_message(
    adapter: dict[str, Any], distribution: str, version: str, wsl: bool, what: str, do: str
) -> None:
    with pytest.raises(Refused) as refusal:
        xpu_packages.choose_packages(adapter, distribution, version, wsl)
    text = str(refusal.value)
    assert what in text
    assert do in text
    assert " Expected: " in text and " Do: " in text


def test_a_mirror_is_taken() -> None:
    plan = xpu_packages.choose_packages(
        ARC,
        "ubuntu",
        "24.04",
        True,
        "https://mirror.example/intel",
        "https://mirror.example/key",
    )
    assert "URIs: https://mirror.example/intel\n" in plan["repository"]["text"]
    assert plan["repository"]["key"] == "https://mirror.example/key"

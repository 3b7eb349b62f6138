"""Each card, Ubuntu and Python gets one ROCm with all that it wants, or one message; what is there already is found."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.base import SETTING, HostFacts, judge
from ansible.module_utils.colab_ready.backends.rocm import releases as rocm_releases
from ansible.module_utils.colab_ready.backends.rocm.judge import BACKEND as ROCM
from ansible.module_utils.colab_ready.backends.rocm.plan import (
    NEVER_IN_WSL,
    Host,
    Options,
    choose_line,
    conflicts,
    loader_problem,
)
from ansible.module_utils.colab_ready.backends.rocm.releases import LINES
from ansible.module_utils.colab_ready.gpu import catalog
from ansible.module_utils.colab_ready.gpu.catalog import NO, YES


def amd(device: str, revision: str = "") -> dict[str, Any]:
    return {
        "vendor_id": "1002",
        "vendor": "AMD",
        "device_id": device,
        "revision": revision,
        "name": "AMD Radeon Graphics",
    }


XTX, RX_9070, RX_7600, RX_6800, RX_6700, STRIX_HALO = amd("744c", "c8"), amd("7550", "c0"), amd("7480", "cf"), amd("73bf", "c3"), amd("73df", "c1"), amd("1586", "c1")  # fmt: skip
KRACKAN, POLARIS, MI210 = amd("1114", "c2"), amd("67df", "e7"), amd("740f")
NOBLE = Host(wsl=True, distribution="ubuntu", version="24.04")
JAMMY, RESOLUTE = NOBLE._replace(version="22.04"), NOBLE._replace(version="26.04")
NATIVE = NOBLE._replace(wsl=False)

# --- the table ------------------------------------------------------------------------------------------------------


def test_the_default_is_the_first_line_and_is_offered() -> None:
    assert LINES[0].version == rocm_releases.DEFAULT == "10.0.0"
    assert rocm_releases.offered() == ["10.0.0", "7.14.0", "7.2.4", "7.2.1"]
    numbers = [rocm_releases.numbers_of(line.version) for line in LINES]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("line", [line for line in LINES if line.offered], ids=lambda line: line.version)
def test_an_offered_line_has_all_that_an_installation_needs(line: rocm_releases.Line) -> None:
    assert line.repository is not None
    assert line.repository.key.startswith("https://") and line.repository.address.startswith("https://")
    assert line.packages and line.torch and line.wheels.startswith("https://") and line.pythons and line.windows_driver
    for bridge in line.bridges:
        assert re.fullmatch(r"[0-9a-f]{64}", rocm_releases.BRIDGES[bridge].sha256)
    assert set(line.releases) <= set(rocm_releases.CODENAMES)
    # Of the Core SDK the detection is on, of what came before it is not.
    assert rocm_releases.needs_detection(line.version) is ("HSA_ENABLE_DXG_DETECTION" in line.environment)
    assert "HSA_OVERRIDE_GFX_VERSION" not in line.environment


def test_the_newest_lines_have_a_target_for_every_card_that_amd_lists_for_wsl() -> None:
    listed = {
        family.chip
        for family in catalog.FAMILIES
        if family.vendor_id == catalog.AMD and family.wsl.level == catalog.YES
    }
    assert listed <= set(LINES[0].targets)
    assert listed <= set(LINES[1].targets)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("10", "10.0.0"),
        ("10.0", "10.0.0"),
        ("7.2", "7.2.0"),
        ("7.2.4", "7.2.4"),
        ("6.4.2.1", "6.4.2.1"),
        (" 7.14.0 ", "7.14.0"),
        ("7.0.9", "7.0.9"),
        ("7.11", "7.11"),
        ("6.1", "6.1"),
        ("5.7.1", "5.7.1"),
    ],
)
def test_a_version_is_understood_as_people_write_it(text: str, version: str) -> None:
    line = rocm_releases.line_of(text)
    assert line is not None
    assert line.version == version


@pytest.mark.parametrize("text", ["", "latest", "7.2.x", "11.0", "7.5", "10.0.0.1", "-7.2"])
def test_what_is_no_known_version_is_none(text: str) -> None:
    assert rocm_releases.line_of(text) is None


# --- what is put there ----------------------------------------------------------------------------------------------


def test_the_default_in_wsl_is_the_bridge_and_the_wheels() -> None:
    plan = choose_line(XTX, NOBLE)
    assert (plan["line"], plan["gfx"], plan["target"]) == ("10.0.0", "gfx1100", "gfx1100")
    assert (plan["repository"], plan["packages"]) == (None, [])
    assert plan["prerequisites"] == ["libatomic1", "libquadmath0"]
    assert plan["debs"] == [
        {
            "package": "rocdxg-roct",
            "version": "1.2.2",
            "file": "rocdxg-roct_1.2.2_amd64.deb",
            "url": "https://github.com/ROCm/librocdxg/releases/download/v1.2.2/rocdxg-roct_1.2.2_amd64.deb",
            "sha256": "28ded1254811192ebace1f76c0227580184af7b27ab2475fb9728295a702d541",
        }
    ]
    assert (plan["environment"], plan["loader"], plan["dids"], plan["groups"]) == ({}, ["/opt/rocm/lib"], [], [])
    assert plan["torch"] == {
        "index": "https://stable.repo.amd.com/rocm/whl-next/",
        "find_links": "",
        "requirements": [
            "torch[device-gfx1100]==2.13.0+rocm10.0.0",
            "torchvision[device-gfx1100]==0.28.0+rocm10.0.0",
            "torchaudio==2.11.0.2+rocm10.0.0",
        ],
        "constraints": [],
        "drop_bundled_hsa": False,
    }
    assert (plan["python_requires"], plan["windows_driver"]) == (">=3.11,<3.15", "Adrenalin 26.8.1")


def test_system_packages_come_with_their_source_and_key() -> None:
    plan = choose_line(RX_9070, RESOLUTE, Options(system_packages=True))
    assert plan["packages"] == ["amdrocm10.0-gfx1201"]
    assert plan["repository"]["path"] == "/etc/apt/sources.list.d/amdrocm-stable.sources"
    assert plan["repository"]["text"] == (
        "Types: deb\n"
        "URIs: https://stable.repo.amd.com/rocm/core/packages/ubuntu2604/\n"
        "Suites: stable\n"
        "Components: main\n"
        "Architectures: amd64\n"
        "Signed-By: /etc/apt/keyrings/amdrocm.gpg\n"
    )
    assert plan["repository"]["key"] == "https://stable.repo.amd.com/rocm/gpg/packages.gpg"


def test_the_line_before_has_its_own_source_bridge_and_wheels() -> None:
    plan = choose_line(XTX, JAMMY, Options(version="7.14", system_packages=True))
    assert plan["packages"] == ["amdrocm7.14-gfx1100"]
    assert plan["repository"]["text"] == (
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/amdrocm.gpg] "
        "https://repo.amd.com/rocm/packages-multi-arch/ubuntu2204 stable main\n"
    )
    assert (plan["debs"][0]["version"], plan["environment"]) == ("1.2.1", {})
    assert plan["torch"]["requirements"][0] == "torch[device-gfx1100]==2.11.0+rocm7.14.0"


def test_a_pinned_older_line_brings_its_packages_its_environment_and_its_wheels() -> None:
    plan = choose_line(XTX, NOBLE, Options(version="7.2.4"))
    assert plan["packages"] == ["rocm-libs", "rocminfo", "hip-runtime-amd"]
    assert plan["repository"]["text"] == (
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/rocm.gpg] https://repo.radeon.com/rocm/apt/7.2.4 noble main\n"
    )
    assert "Pin: release o=repo.radeon.com\nPin-Priority: 600\n" in plan["repository"]["pin"]
    assert plan["repository"]["key_fingerprint"] == "CA8BB4727A47B4D09B4EE8969386B48A1A693C5C"
    assert plan["environment"] == {"HSA_ENABLE_DXG_DETECTION": "1", "ROCPROFILER_REGISTER_ENABLED": "0"}
    assert plan["debs"][0]["version"] == "1.2.2"
    assert plan["torch"]["index"] == ""
    assert plan["torch"]["find_links"] == "https://repo.radeon.com/rocm/manylinux/rocm-rel-7.2.4/"
    assert plan["torch"]["requirements"][0] == "torch==2.10.0+rocm7.2.4.lw.git3d3aa833"
    assert plan["torch"]["constraints"] == ["numpy==1.26.4"]
    assert plan["torch"]["drop_bundled_hsa"] is True
    assert choose_line(XTX, NOBLE, Options(version="7.2.4", torch="2.9.1"))["torch"]["requirements"][3].startswith(
        "triton==3.5.1"
    )
    older = choose_line(XTX, JAMMY, Options(version="7.2.1"))
    assert older["python_requires"] == ">=3.10,<3.13,!=3.11.*"
    assert " jammy main" in older["repository"]["text"]


def test_without_wsl_only_the_wheels_and_the_groups_come() -> None:
    plan = choose_line(XTX, NATIVE)
    assert (plan["debs"], plan["packages"], plan["repository"], plan["loader"], plan["environment"]) == (
        [],
        [],
        None,
        [],
        {},
    )
    assert plan["groups"] == ["render", "video"]
    assert plan["torch"]["requirements"][0] == "torch[device-gfx1100]==2.13.0+rocm10.0.0"
    assert choose_line(MI210, NATIVE)["target"] == "gfx90a"
    assert choose_line(RX_6800, NATIVE, Options(experimental=True))["dids"] == []
    on_debian = choose_line(XTX, NATIVE._replace(distribution="debian", version="13"))
    assert "Ubuntu 24.04 and 26.04, not for this system" in on_debian["cautions"][0]


def test_an_unlisted_card_gets_its_line_in_dids_conf_when_it_is_asked_for() -> None:
    plan = choose_line(RX_7600, NOBLE, Options(experimental=True))
    assert (plan["target"], plan["dids"], plan["environment"]) == ("gfx1102", ["0x7480,11,0,2"], {})
    assert any("ROCm/librocdxg" in said or "dids.conf" in said for said in plan["cautions"])
    assert choose_line(RX_6800, NOBLE, Options(experimental=True))["dids"] == ["0x73BF,10,3,0"]


def test_a_borrowed_target_is_said_and_never_without_being_asked_for() -> None:
    plan = choose_line(RX_6700, NOBLE, Options(experimental=True))
    assert (plan["target"], plan["dids"]) == ("gfx1030", ["0x73DF,10,3,1"])
    assert plan["environment"] == {"HSA_OVERRIDE_GFX_VERSION": "10.3.0"}
    assert any("HSA_OVERRIDE_GFX_VERSION=10.3.0" in said for said in plan["cautions"])


def test_a_mirror_takes_the_place_of_every_address() -> None:
    options = Options(
        system_packages=True,
        apt_address="https://mirror.example/rocm/{codename}/{release}",
        apt_key="https://mirror.example/key.gpg",
        bridge_address="https://mirror.example/bridge/{version}",
        torch_index="https://mirror.example/whl/",
    )
    plan = choose_line(XTX, NOBLE, options)
    assert "URIs: https://mirror.example/rocm/noble/2404\n" in plan["repository"]["text"]
    assert plan["repository"]["key"] == "https://mirror.example/key.gpg"
    older = choose_line(XTX, NOBLE, replace(options, version="7.2.4"))["repository"]
    assert (older["key_fingerprint"], older["key_sha256"]) == ("", "")
    assert plan["debs"][0]["url"] == "https://mirror.example/bridge/1.2.2/rocdxg-roct_1.2.2_amd64.deb"
    assert plan["torch"]["index"] == "https://mirror.example/whl/"
    assert "amd.com" not in str({**plan, "cautions": []})


def test_amd_smi_comes_when_it_is_asked_for() -> None:
    plan = choose_line(XTX, NOBLE, Options(amd_smi=True))
    assert [deb["package"] for deb in plan["debs"]] == ["rocdxg-roct", "rocdxg-amd-smi-lib"]
    assert "python3-argcomplete" in plan["prerequisites"]
    own = choose_line(XTX, NOBLE, Options(version="7.14.0", amd_smi=True, amd_smi_sha256="AB" * 32))
    assert own["debs"][1]["sha256"] == "ab" * 32


def test_no_plan_has_a_kernel_package_an_address_without_tls_or_a_deb_without_checksum() -> None:
    for version in rocm_releases.offered():
        for host in (NOBLE, NATIVE):
            if not host.wsl and version.startswith("7.2"):
                continue
            plan = choose_line(XTX, host, Options(version=version, system_packages=True))
            names = [*plan["packages"], *plan["prerequisites"], *(deb["package"] for deb in plan["debs"])]
            assert not [name for name in names if NEVER_IN_WSL.fullmatch(name) or name == "amdgpu-install"]
            assert "http://" not in str(plan)
            assert all(re.fullmatch(r"[0-9a-f]{64}", deb["sha256"]) for deb in plan["debs"])


# --- what is refused ------------------------------------------------------------------------------------------------

WSL = HostFacts(
    wsl=2, dxg=True, distribution="ubuntu", distribution_version="24.04", pythons=("3.12",), windows_build=26200
)
LINUX = replace(WSL, wsl=None, dxg=False, kfd=True)
OLD, NEW = replace(WSL, distribution_version="22.04"), replace(WSL, distribution_version="26.04")


def asked(**settings: Any) -> dict[str, Any]:
    return {**ROCM.settings, **settings}


# card, host, settings; words of the refusal
REFUSED: list[tuple[dict[str, Any], HostFacts, dict[str, Any], list[str]]] = [
    # releases
    (XTX, WSL, asked(version="6.2.0"), ["ROCm 6.2.0 has no bridge to WSL at all", "10.0.0, 7.14.0, 7.2.4 and 7.2.1"]),
    (XTX, WSL, asked(version="6.2"), ["no bridge"]),
    (XTX, WSL, asked(version="7.0"), ["ROCm 7.0 has no bridge"]),
    (XTX, WSL, asked(version="7.0.2"), ["ROCm 7.0.2 has no bridge"]),
    (XTX, WSL, asked(version="7.1.1"), ["is not known to work in WSL"]),
    (XTX, WSL, asked(version="6.3.4"), ["its own Windows driver only", "every card that it knew is in 10.0.0"]),
    (XTX, WSL, asked(version="7.2"), ["ROCm 7.2.0 uses the bridge of before 7.2.1"]),
    (XTX, WSL, asked(version="7.12"), ["was a preview"]),
    (XTX, WSL, asked(version="9"), ["ROCm 9 is not in the table", "or ./colab-ready settings --reset rocm_version, then ./colab-ready without it, which takes 10.0.0"]),
    (XTX, LINUX, asked(version="7.2.4"), ["offered here for WSL alone", "one of 10.0.0 and 7.14.0"]),
    # cards
    (RX_7600, WSL, asked(version="7.2.4", experimental=True), ["has nothing for Radeon RX 7600", "Do: ./colab-ready -e rocm_version=10.0.0"]),
    (KRACKAN, WSL, asked(version="7.2.4"), ["Do: ./colab-ready -e rocm_version=10.0.0"]),
    # systems
    (XTX, OLD, asked(version="7.2.4"), ["made for Ubuntu 24.04, this is Ubuntu 22.04"]),
    (XTX, NEW, asked(version="7.2.1"), ["Ubuntu 22.04 and 24.04"]),
    (
        XTX, replace(LINUX, distribution="debian", distribution_version="13"), asked(system_packages=True),
        ["packages of ROCm 10.0.0 for Ubuntu 22.04, 24.04 and 26.04, this is Debian 13", "Do: ./colab-ready -e rocm_system_packages=false"],
    ),
    (XTX, replace(WSL, distribution=None, distribution_version=None), asked(version="7.2.4"), ["for Ubuntu 24.04, this is another"]),
    # pairs and checksums
    (XTX, WSL, asked(bridge_version="1.2.1"), ["1.2.1 is not made for ROCm 10.0.0", "corrupts memory", "which takes 1.2.2"]),
    (XTX, WSL, asked(version="7.14.0", bridge_version="1.2.2"), ["which takes 1.2.1"]),
    (XTX, WSL, asked(version="7.2.4", bridge_version="1.2.0"), ["which takes 1.2.2"]),
    (
        XTX, WSL, asked(version="7.14.0", amd_smi=True),
        ["checksum of rocdxg-amd-smi-lib_1.2.1_amd64.deb", "is not known", "Do: ./colab-ready -e rocm_amd_smi_sha256=CHECKSUM"],
    ),
    (XTX, WSL, asked(bridge_sha256="28ded"), ["rocm_bridge_sha256 is no SHA-256"]),
    (XTX, WSL, asked(torch="2.4.1"), ["one of 2.13.0, 2.12.0 and 2.11.0"]),
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "host", "settings", "words"), REFUSED)
def test_a_setting_that_cannot_be_met_is_refused_with_what_can(
    adapter: dict[str, Any], host: HostFacts, settings: dict[str, Any], words: list[str]
) -> None:
    verdict = judge(ROCM, {"driver": "amdgpu", **adapter}, host, settings)
    assert verdict.level == SETTING
    text = verdict.sentence()
    assert " Do: " in text and "{" not in text
    for word in words:
        assert word in text
    # It is the setting, and nothing else.
    assert judge(ROCM, {"driver": "amdgpu", **adapter}, host, ROCM.settings).level != NO


# card, host; words of the refusal
IMPOSSIBLE: list[tuple[dict[str, Any], HostFacts, str]] = [
    (POLARIS, WSL, "AMD does not support it in WSL"),
    (MI210, WSL, "only on native Linux"),
    (amd("7460"), WSL, "WSL"),
    (amd("ffff"), WSL, "does not have 1002:ffff"),
    (
        XTX,
        replace(WSL, distribution="debian", distribution_version="12"),
        "Ubuntu 22.04, 24.04 and 26.04, this is Debian 12",
    ),
    (XTX, replace(WSL, distribution_version="25.10"), "this is Ubuntu 25.10"),
    (STRIX_HALO, OLD, "for Ryzen processors is made for Ubuntu 24.04 and 26.04"),
    (RX_7600, replace(WSL, distribution="debian", distribution_version="12"), "this is Debian 12"),
    (XTX, replace(WSL, windows_build=19045), "on Windows 11 only"),
    (XTX, replace(WSL, architecture="aarch64"), "x86_64 only, this is aarch64"),
    (XTX, replace(OLD, pythons=("3.10",), python_fetch=False), "needs Python 3.11 to 3.14"),
]


@pytest.mark.parametrize(("adapter", "host", "words"), IMPOSSIBLE)
def test_a_card_or_a_host_that_cannot_have_it_is_told_so(adapter: dict[str, Any], host: HostFacts, words: str) -> None:
    verdict = judge(ROCM, adapter, host, ROCM.settings)
    assert verdict.level == NO
    assert words in verdict.sentence()


def test_the_pythons_are_those_of_the_release_that_is_asked_for() -> None:
    offline = replace(OLD, pythons=("3.10",), python_fetch=False)
    assert judge(ROCM, XTX, offline, asked(version="7.2.1")).level == YES
    verdict = judge(ROCM, XTX, replace(offline, pythons=("3.11",)), asked(version="7.2.1"))
    assert (verdict.level, "ROCm needs Python 3.10 and 3.12, this host has 3.11" in verdict.why) == (NO, True)


def test_what_is_not_known_forbids_nothing() -> None:
    assert judge(ROCM, XTX, HostFacts(wsl=2), ROCM.settings).level == YES
    assert choose_line(XTX, Host(True, None, None))["line"] == "10.0.0"


# --- what is there already ------------------------------------------------------------------------------------------

ROCM_7_2 = {
    "rocm-core": "7.2.1.70201-81~24.04",
    "hsa-rocr": "1.18.0.70201-81~24.04",
    "hip-runtime-amd": "7.2.53211.70201-81~24.04",
}
# installed, line, ids of what the user has to do, packages that may go
THERE: list[tuple[dict[str, str], str, list[str], list[str]]] = [
    ({}, "10.0.0", [], []),
    ({"base-files": "13", "libc6": "2.39"}, "10.0.0", [], []),
    (
        {"libhsa-runtime64-1:amd64": "5.7.1-2build1", "libhsakmt1:amd64": "5.7.0-1build1"},
        "10.0.0",
        [],
        ["libhsa-runtime64-1", "libhsakmt1"],
    ),
    (ROCM_7_2, "10.0.0", ["rocm_other_line"], []),
    (ROCM_7_2, "7.2.1", [], []),
    (ROCM_7_2, "7.2.4", ["rocm_other_line"], []),
    ({"rocm": "7.1.0-0ubuntu1"}, "10.0.0", ["rocm_other_line"], []),
    ({"hsa-runtime-rocr4wsl-amdgpu": "25.10-2209220.24.04"}, "7.2.4", ["rocm_other_line"], []),
    ({"amdrocm10.0-gfx1100": "10.0.0-4"}, "7.2.4", ["rocm_other_line"], []),
    # Two of the Core SDK live side by side.
    ({"amdrocm7.14-gfx1100": "7.14.0-1"}, "10.0.0", [], []),
    ({"amdgpu-dkms": "1:6.16.13"}, "10.0.0", ["rocm_kernel_package"], []),
    ({"linux-oem-24.04c": "6.14"}, "10.0.0", ["rocm_kernel_package"], []),
    ({"linux-image-6.14.0-1010-oem": "6.14"}, "10.0.0", ["rocm_kernel_package"], []),
    ({"linux-libc-dev": "6.8"}, "10.0.0", [], []),
]


@pytest.mark.parametrize(("installed", "line", "ids", "remove"), THERE)
def test_what_does_not_go_with_a_line_is_found(
    installed: dict[str, str], line: str, ids: list[str], remove: list[str]
) -> None:
    found = conflicts(installed, line, wsl=True)
    assert ([problem.id for problem in found.problems], found.remove) == (ids, remove)
    for problem in found.problems:
        assert all(name.partition(":")[0] in problem.what for name in installed)


def test_the_message_names_the_old_rocm_and_its_uninstaller() -> None:
    (problem,) = conflicts({**ROCM_7_2, "amdgpu-install": "30.30"}, "10.0.0", wsl=True).problems
    assert "another ROCm is installed (7.2.1: hip-runtime-amd, hsa-rocr, rocm-core)" in problem.what
    assert problem.do.startswith("sudo amdgpu-uninstall, sudo apt-get autoremove --purge")


def test_the_message_offers_the_rocm_that_is_there_only_where_it_can_be_had() -> None:
    (problem,) = conflicts(ROCM_7_2, "10.0.0", wsl=True).problems
    assert problem.do.endswith("; or ./colab-ready -e rocm_version=7.2.1, which is there")
    (problem,) = conflicts(ROCM_7_2, "10.0.0", wsl=False, system_packages=True).problems
    assert "rocm_version" not in problem.do
    (problem,) = conflicts({"rocm-core": "6.4.2.60402-120~24.04"}, "10.0.0", wsl=True).problems
    assert "rocm_version" not in problem.do


def test_a_folder_in_the_place_of_the_link_is_found() -> None:
    (problem,) = conflicts({}, "7.2.4", wsl=True, opt_rocm_is_folder=True).problems
    assert problem.id == "rocm_opt_folder"
    assert conflicts(ROCM_7_2, "7.2.1", wsl=True, opt_rocm_is_folder=True).problems == []
    assert conflicts({}, "10.0.0", wsl=True, opt_rocm_is_folder=True).problems == []


def test_without_wsl_the_user_s_rocm_is_left_alone() -> None:
    everything = {**ROCM_7_2, "libhsakmt1": "5.7", "amdgpu-dkms": "1:6.16.13"}
    assert conflicts(everything, "10.0.0", wsl=False) == ([], [])
    found = conflicts(everything, "10.0.0", wsl=False, system_packages=True)
    assert [problem.id for problem in found.problems] == ["rocm_other_line"]


BRIDGE = "\tlibrocdxg.so.1 (libc6,x86-64) => /opt/rocm/lib/librocdxg.so.1\n"
AMDS = "\tlibhsa-runtime64.so.1 (libc6,x86-64) => /opt/rocm-7.2.4/lib/libhsa-runtime64.so.1\n"
UBUNTUS = "\tlibhsa-runtime64.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libhsa-runtime64.so.1\n"


@pytest.mark.parametrize(
    ("ldconfig", "line", "problem"),
    [
        (BRIDGE, "10.0.0", None),
        (BRIDGE + UBUNTUS, "10.0.0", None),
        ("", "10.0.0", "rocm_bridge_not_found"),
        (AMDS, "7.2.4", "rocm_bridge_not_found"),
        (BRIDGE + AMDS, "7.2.4", None),
        (BRIDGE + AMDS + UBUNTUS, "7.2.4", None),
        (BRIDGE + UBUNTUS + AMDS, "7.2.4", "rocm_shadowed"),
        (BRIDGE, "7.2.4", "rocm_runtime_not_found"),
    ],
)
def test_the_loader_finds_the_bridge_and_amd_s_runtime_first(ldconfig: str, line: str, problem: str | None) -> None:
    found = loader_problem(ldconfig, line)
    assert (found.id if found else None) == problem

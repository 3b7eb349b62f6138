"""What apt and dpkg print is read as it is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.apt.client import install_plain
from ansible.module_utils.colab_ready.apt.output import (
    Steps,
    apt_problem,
    conffile_sums,
    damaged_files,
    installed_packages,
    judge_steps,
    packages_with_files,
    simulated,
)


def test_only_what_is_installed_in_good_order_counts() -> None:
    text = "libc6\t2.39\tinstalled\nold\t1\tconfig-files\nbroken\t2\thalf-configured\nodd line\n"
    assert installed_packages(text) == {"libc6": "2.39"}


def test_what_dpkg_was_stopped_in_has_files() -> None:
    text = (
        "libc6\t2.39\tinstalled\nold\t1\tconfig-files\nbroken\t2\thalf-configured\nnever\t\tnot-installed\nodd line\n"
    )
    assert packages_with_files(text) == {"libc6": "2.39", "broken": "2"}


def test_a_repository_that_is_there_twice_is_said_with_where_to_look() -> None:
    text = """E: Conflicting values set for option Signed-By regarding source https://apt.example/gpu/ubuntu/ noble: /usr/share/keyrings/intel-graphics.gpg != /etc/apt/keyrings/intel-graphics.gpg
E: The list of sources could not be read.
"""
    problem = apt_problem(text, "the distribution's packages", "xpu", {})
    assert problem.id == "xpu_apt_conflict"
    assert "configured already, with another key file" in problem.what
    assert "/usr/share/keyrings/intel-graphics.gpg" in problem.what
    assert problem.expected == "one entry for it"
    # The file may have it without the slash.
    assert "(grep -rl apt.example/gpu/ubuntu /etc/apt/sources.list.d)" in problem.do
    assert "grep -rl ADDRESS /" in apt_problem(text.replace("regarding", "of"), "x", "xpu", {}).do


def test_a_simulation_is_read() -> None:
    text = (
        "NOTE: This is only a simulation!\nRemv libhsa-runtime64-1 [5.7.1-2build1]\nPurg libhsakmt1:amd64 [5.7.0-1build1]\n"
        "Inst rocm-core (7.2.4.70204-93~24.04 rocm:noble [amd64])\nInst libc6 [2.39-0] (2.39-1 Ubuntu:24.04 [amd64])\n"
        "Inst gcc-14-base:amd64 (14.2.0 Ubuntu:24.04 [amd64])\nConf rocm-core (7.2.4 rocm [amd64])\n"
    )
    assert simulated(text) == Steps(
        {"rocm-core": "7.2.4.70204-93~24.04", "libc6": "2.39-1", "gcc-14-base": "14.2.0"},
        ["rocm-core", "gcc-14-base"],
        ["libhsa-runtime64-1", "libhsakmt1"],
    )


def test_a_simulation_without_a_source_s_name_is_read() -> None:
    text = """Reading package lists...
Inst libigc2:amd64 (2.18 stable [amd64])
Inst intel-opencl-icd [23.43] (25.31 stable [amd64]) []
Remv old-icd [1.0]
Conf libigc2 (2.18 stable [amd64])
"""
    assert simulated(text) == Steps({"libigc2": "2.18", "intel-opencl-icd": "25.31"}, ["libigc2"], ["old-icd"])


# --- dpkg -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", []),
        ("missing     /opt/rocm/lib/librocdxg.so.1\n", ["/opt/rocm/lib/librocdxg.so.1"]),
        ("??5??????   /opt/rocm/lib/a b.so\n", ["/opt/rocm/lib/a b.so"]),
        ("??5?????? c /opt/rocm/share/rocdxg/dids.conf\n", []),
        ("missing   c /etc/x.conf\n", []),
        ("missing     /usr/share/doc/rocdxg-roct/copyright\nmissing     /usr/share/man/man1/x.1.gz\n", []),
    ],
)
def test_damage_is_what_the_package_lacks_and_not_what_its_owner_wrote(text: str, paths: list[str]) -> None:
    assert damaged_files(text) == paths


def test_configuration_files_have_the_sum_they_came_with() -> None:
    text = "\n /opt/rocm/share/rocdxg/dids.conf 0123456789abcdef0123456789abcdef\n /etc/old ffffffffffffffffffffffffffffffff obsolete\n"
    assert conffile_sums(text) == {
        "/opt/rocm/share/rocdxg/dids.conf": "0123456789abcdef0123456789abcdef",
        "/etc/old": "f" * 32,
    }


# --- apt ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("install", "remove", "ids"),
    [
        (["rocm-core", "libdrm-amdgpu1"], [], []),
        (["rocm-core"], ["libhsakmt1"], []),
        (["rocm-core"], ["hipcc"], ["rocm_would_remove"]),
        (["rocm-core", "amdgpu-dkms"], [], ["rocm_kernel_package"]),
        (["amdgpu-dkms-firmware"], [], ["rocm_kernel_package"]),
        (["linux-oem-24.04c"], [], ["rocm_kernel_package"]),
        (["linux-image-6.14.0-1011-oem"], [], ["rocm_kernel_package"]),
        (["linux-headers-generic", "dkms"], ["hipcc"], ["rocm_kernel_package", "rocm_would_remove"]),
        (["linux-libc-dev"], [], []),
    ],
)
def test_no_kernel_comes_and_nothing_of_others_goes(install: list[str], remove: list[str], ids: list[str]) -> None:
    steps = Steps(dict.fromkeys(install, "1"), install, remove)
    assert [problem.id for problem in judge_steps(steps, ["libhsakmt1"], "rocm", "ROCm 10.0.0")] == ids


# As apt 2.4 to 3.0 and dpkg print them; addresses, names and numbers of keys are others.
HELD = """The following packages have unmet dependencies:
 intel-opencl-icd : Depends: libigdgmm12 (>= 22.8.1) but 22.3.17+ds1-1 is to be installed
                    Depends: libigc2 (>= 2.20) but it is not going to be installed
 libze-intel-gpu1 : Depends: intel-gsc (>= 0.9.5) but it is not installable
E: Unable to correct problems, you have held broken packages.
"""
SOLVER = """The following packages have unmet dependencies:
 libze-intel-gpu1 : Depends: intel-gsc (>= 0.9.5) but it is not installable
E: The following information from --solver 3.0 may provide additional context:
   Unable to satisfy dependencies. Reached two conflicting decisions:
   1. libze-intel-gpu1:amd64=25.44.36015.5-1~24.04~ppa1 is selected for install
   2. libze-intel-gpu1:amd64 Depends intel-gsc (>= 0.9.5)
      but none of the choices are installable:
      [no choices]
"""
DPKG = """dpkg: dependency problems prevent configuration of libze-intel-gpu1:
 libze-intel-gpu1 depends on intel-gsc (>= 0.9.5); however:
  Package intel-gsc is not installed.

dpkg: error processing package libze-intel-gpu1 (--install):
 dependency problems - leaving unconfigured
"""
BROKEN = """You might want to run 'apt --fix-broken install' to correct these.
The following packages have unmet dependencies:
 libze-intel-gpu1 : Depends: intel-gsc (>= 0.9.5) but it is not installable
E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).
"""
COMPLAINTS = [
    (
        "rocm_apt_unreachable",
        "Err:1 https://x stable InRelease\n  Could not resolve 'x'\nE: Failed to fetch https://x/dists/stable/InRelease  Could not resolve 'x'\n",
    ),
    ("rocm_apt_unreachable", "E: The repository 'file:/srv/x stable Release' does not have a Release file.\n"),
    (
        "rocm_apt_unreachable",
        "E: Failed to fetch http://x/a.deb  404  Not Found [IP: 10.0.0.1 80]\nE: Unable to fetch some archives, maybe run apt-get update?\n",
    ),
    (
        "rocm_apt_unreachable",
        "W: Failed to fetch https://x/  Certificate verification failed: The certificate is NOT trusted.\n",
    ),
    (
        "rocm_apt_signature",
        "W: GPG error: https://x noble InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 9386B48A1A693C5C\nE: The repository 'https://x noble InRelease' is not signed.\n",
    ),
    ("rocm_apt_signature", "E: The repository 'https://x noble InRelease' is not signed.\n"),
    (
        "rocm_apt_signature",
        "Err:1 file:/x stable InRelease\n  The following signatures were invalid: BADSIG 9386B48A1A693C5C ROCm\n",
    ),
    (
        "rocm_apt_signature",
        "Err:1 https://x noble InRelease\n  Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 9386\n",
    ),
    ("rocm_apt_checksum", "E: Failed to fetch https://x/Packages.gz  Hash Sum mismatch\n"),
    (
        "rocm_apt_checksum",
        "E: Failed to fetch https://x/Packages  File has unexpected size (14 != 805). Mirror sync in progress?\n",
    ),
    ("rocm_apt_package", "E: Unable to locate package hsa-runtime-rocr4wsl-amdgpu\n"),
    ("rocm_apt_package", "E: Package 'rocm-libs' has no installation candidate\n"),
    ("rocm_apt_busy", "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt-get)\n"),
    ("rocm_apt_busy", "dpkg: error: dpkg frontend lock was locked by another process with pid 4711\n"),
    ("rocm_apt_space", "E: You don't have enough free space in /var/cache/apt/archives/.\n"),
    (
        "rocm_apt_space",
        "dpkg: error processing archive x.deb (--install):\n cannot copy extracted data: No space left on device\n",
    ),
    ("rocm_apt_unmet", "E: Unable to correct problems, you have held broken packages.\n"),
    ("rocm_apt_unmet", HELD),
    ("rocm_apt_unmet", HELD + SOLVER),
    ("rocm_apt_unmet", SOLVER),
    ("rocm_apt_unmet", DPKG),
    ("rocm_apt_broken", BROKEN),
    (
        "rocm_apt_interrupted",
        "E: dpkg was interrupted, you must manually run 'sudo dpkg --configure -a' to correct the problem. \n",
    ),
    (
        "rocm_apt_overwrites",
        "dpkg: error processing archive /srv/over2_1.deb (--unpack):\n trying to overwrite '/usr/share/over/f', which is also in package over 1.0\n",
    ),
    (
        "rocm_apt_script",
        "dpkg: error processing package bad (--configure):\n installed bad package post-installation script subprocess returned error exit status 3\n",
    ),
    ("rocm_apt_script", "E: The package hold needs to be reinstalled, but I can't find an archive for it.\n"),
    *(
        ("rocm_apt_sources", f"E: {line}\nE: The list of sources could not be read.\n")
        for line in (
            "Malformed entry 1 in list file /etc/apt/sources.list.d/b.list (Suite)",
            "Malformed entry 1 in sources file /etc/apt/sources.list.d/b.sources (Suite)",
            "Type 'dbe' is not known on line 1 in source list /etc/apt/sources.list.d/b.list",
        )
    ),
    (
        "rocm_apt_sources",
        "E: The method driver /usr/lib/apt/methods/foo could not be found.\nE: Failed to fetch foo://x/dists/y/InRelease  \n",
    ),
    *(
        (
            "rocm_apt_clock",
            f"E: Release file for http://x/dists/noble-updates/InRelease is {state}. Updates for this repository will not be applied.\n",
        )
        for state in ("not valid yet (invalid for another 14h 11min 53s)", "expired (invalid since 5d 0h 0min 0s)")
    ),
    (
        "rocm_apt_clock",
        "W: Failed to fetch https://x/  Certificate verification failed: The certificate is NOT trusted. The certificate chain uses not yet valid certificate.\n",
    ),
    (
        "rocm_apt_clock",
        "W: Failed to fetch https://x/  Certificate verification failed: The certificate is NOT trusted. The certificate chain uses expired certificate.\n",
    ),
    ("rocm_apt", ""),
]


@pytest.mark.parametrize("owner", ["rocm", "xpu"])
@pytest.mark.parametrize(("name", "text"), COMPLAINTS)
def test_a_complaint_becomes_one_problem_with_what_to_do(name: str, text: str, owner: str) -> None:
    problem = apt_problem(text, "https://x", owner, {"unreachable": "; or do without"})
    assert problem.id == name.replace("rocm", owner)
    assert "https://x" in problem.what and problem.do and "{" not in problem.do
    assert problem.do.endswith("; or do without") is (name == "rocm_apt_unreachable")
    assert "\n" not in problem.sentence()


@pytest.mark.parametrize(
    "text", [HELD, HELD + SOLVER, SOLVER, DPKG, BROKEN], ids=["2.6", "3.0", "the solver", "dpkg", "broken"]
)
def test_the_packages_that_do_not_fit_are_named_with_what_they_lack(text: str) -> None:
    problem = apt_problem(text, "Intel's packages", "xpu")
    assert "libze-intel-gpu1 depends on intel-gsc (>= 0.9.5)" in problem.what
    if text.startswith(HELD):
        assert "intel-opencl-icd depends on libigc2 (>= 2.20) but it is not going" in problem.what
    assert "apt-get -f install" not in problem.do


def test_what_is_no_backend_s_is_told_without_a_backend_s_settings() -> None:
    for _name, text in COMPLAINTS:
        problem = apt_problem(text, "python3-venv")
        assert problem.id.startswith("apt") and "_apt_" not in problem.do


THIRD_PARTY = "W: Failed to fetch https://nosuch.invalid/x/dists/stable/InRelease  Could not resolve 'nosuch.invalid'"


@pytest.mark.parametrize("has_it", [True, False])
def test_a_source_that_cannot_be_read_is_a_warning_where_another_has_the_package(tmp_path: Path, has_it: bool) -> None:
    stand_in = tmp_path / "apt-get"
    read = f"{tmp_path}/lists" if has_it else "/nonexistent"
    stand_in.write_text(f"""#!/bin/sh
case "$*" in
*update*) touch {tmp_path}/lists; echo "{THIRD_PARTY}" >&2 ;;
*) [ -e {read} ] || {{ echo "E: Package 'python3-venv' has no installation candidate" >&2; exit 100; }} ;;
esac
""")
    stand_in.chmod(0o755)
    warnings: list[str] = []
    problem = install_plain("python3-venv", warnings.append, str(stand_in))
    assert len(warnings) == 1 and "Could not resolve 'nosuch.invalid'" in warnings[0]
    assert problem is None if has_it else problem and problem.id == "apt_package"
    assert install_plain("python3-venv", warnings.append, str(stand_in)) == problem
    assert len(warnings) == (1 if has_it else 2)

"""What apt and dpkg print is read as it is meant."""

from __future__ import annotations

from ansible.module_utils.colab_ready.apt_words import (
    Steps,
    apt_problem,
    installed_packages,
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

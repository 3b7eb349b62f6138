"""What the driver says becomes a build, or one problem with what to do; what hides it is told from what it complains of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible.module_utils.colab_ready.backends.cuda import plan as cuda_plan
from ansible.module_utils.colab_ready.backends.cuda.plan import Card, Library, Options, Seen, Spoken

LOCKS = ("2.14.0_cu132", "2.14.0_cu130", "2.14.0_cu126")
HEADING = Spoken("| NVIDIA-SMI 581.29   Driver Version: 581.29   CUDA Version: 13.3 |", 0)
QUERY = Spoken("NVIDIA GeForce RTX 4070, 8.9, 581.29\n", 0)
WSLS = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/wsl/lib/libcuda.so.1\n"
OWN = "/usr/lib/wsl/lib/libcuda.so.1"
WSL = Seen(True, (), WSLS, "", HEADING, QUERY, Library(OWN, 13030, 0))
LINUX = replace(WSL, wsl=False, ldconfig="", library=Library("/usr/lib/x86_64-linux-gnu/libcuda.so.1", 13030, 0))
SILENT = Spoken(why="there is no nvidia-smi")

# the host; the tag of the build, or the ids of the problems
HOSTS: list[tuple[str, Seen, str | list[str]]] = [
    ("a WSL that is well", WSL, "cu132"),
    ("a Linux that is well", LINUX, "cu132"),
    ("a heading without a number", replace(WSL, heading=Spoken("CUDA Version: N/A", 0), library=Library(OWN, 12070, 0)), "cu126"),
    ("the library alone", replace(LINUX, heading=SILENT, query=SILENT, library=Library("/x/libcuda.so.1", 13010, 0)), "cu130"),
    ("nvidia-smi alone", replace(LINUX, library=Library(why="libcuda.so.1: cannot open shared object file")), "cu132"),
    ("a Linux driver in WSL", replace(WSL, packages=("nvidia-driver-580",)), ["cuda_linux_driver"]),
    ("what hides it is why it does not answer", replace(WSL, packages=("libnvidia-compute-580",), heading=Spoken("Driver/library version mismatch", 18)), ["cuda_linux_driver"]),
    ("LD_LIBRARY_PATH", replace(WSL, library=Library("/opt/cuda/compat/libcuda.so.1", 13000, 0)), ["cuda_linux_driver"]),
    ("the folder is not in the cache yet", replace(WSL, ldconfig=""), "cu132"),
    ("a Linux driver on Linux is the driver", replace(LINUX, packages=("nvidia-driver-580",)), "cu132"),
    ("nothing answers", replace(LINUX, heading=SILENT, query=SILENT, library=Library(why="no libcuda")), ["cuda_driver"]),
    ("a stub", replace(LINUX, library=Library("/usr/local/cuda/lib64/stubs/libcuda.so.1", None, 34)), ["cuda_stub"]),
    ("cuda-compat on a GeForce", replace(LINUX, library=Library("/usr/local/cuda/compat/libcuda.so.1", 13000, 804)), ["cuda_compat"]),
    *((f"cuInit {number}", replace(LINUX, library=Library("/x/libcuda.so.1", 13030, number)), [name]) for number, name in (
        (2, "cuda_memory"), (46, "cuda_busy"), (304, "cuda_devices"), (500, "cuda_mismatch"), (802, "cuda_fabric"), (805, "cuda_mps"),
    )),
    ("no permission for NVML", replace(LINUX, heading=Spoken("Failed to initialize NVML: Insufficient Permissions", 4)), ["cuda_devices"]),
    ("devices taken from a container", replace(LINUX, heading=Spoken("Failed to initialize NVML: Unknown Error", 255)), ["cuda_devices"]),
    ("not loaded", replace(LINUX, heading=Spoken("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9)), ["cuda_driver"]),
    ("a driver of long ago", replace(LINUX, heading=Spoken("CUDA Version: 11.4", 0)), ["cuda_build"]),
    ("a card of long ago", replace(LINUX, query=Spoken("Tesla K40c, 3.5, 470.256.02", 0)), ["cuda_build"]),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "seen", "expected"), HOSTS, ids=[case[0] for case in HOSTS])
def test_a_host_gets_a_build_or_what_is_in_the_way(_name: str, seen: Seen, expected: str | list[str]) -> None:
    verdict = cuda_plan.judge(seen, Options(locks=LOCKS))
    if isinstance(expected, str):
        assert (list(verdict.problems), verdict.build and verdict.build["tag"]) == ([], expected)
        return
    assert ([problem.id for problem in verdict.problems], verdict.build) == (expected, None)
    for problem in verdict.problems:
        assert problem.what and problem.expected and problem.do
        assert "colab_backend" in problem.do or problem.id in ("cuda_linux_driver", "cuda_build"), problem.do
        # Nobody is told to install a driver in WSL, nor to see to Windows where there is none.
        assert "ubuntu-drivers" not in problem.do if seen.wsl else "PowerShell" not in problem.do


CARDS = [Card("NVIDIA GeForce GTX 1080", (6, 1), "580.95"), Card("NVIDIA GeForce RTX 4070", (8, 9), "580.95")]


@pytest.mark.parametrize(
    ("cards", "name", "expected"),
    [
        (CARDS, "GeForce RTX 4070", CARDS[1]),
        (CARDS, "NVIDIA GeForce(TM) GTX 1080", CARDS[0]),
        (CARDS, "", None),
        (CARDS, "Another", None),
        (CARDS[:1], "Another", CARDS[0]),
        ([], "GeForce RTX 4070", None),
    ],
)
def test_a_card_is_told_by_its_name_and_never_by_its_place(cards: list[Card], name: str, expected: Card | None) -> None:
    assert cuda_plan.card_of(cards, name) == expected


def test_lines_of_cards_are_read_and_others_are_none() -> None:
    text = "NVIDIA RTX A6000, Ada, 8.9, 580.95.05\n[N/A], [N/A], 581.29\nNo devices were found\nTesla T4, 7.5, [N/A]\n"
    assert cuda_plan.parse_cards(text) == [
        Card("NVIDIA RTX A6000, Ada", (8, 9), "580.95.05"),
        Card("[N/A]", None, "581.29"),
    ]


def test_where_nobody_decided_the_build_has_code_for_all_cards() -> None:
    seen = replace(
        LINUX,
        query=Spoken(
            "".join(
                f"{one.name}, {one.capability[0]}.{one.capability[1]}, {one.driver}\n"
                for one in CARDS
                if one.capability
            ),
            0,
        ),
    )
    undecided = cuda_plan.judge(seen, Options(locks=LOCKS))
    assert undecided.build is not None and undecided.build["tag"] == "cu126"
    assert "RTX 4070" in undecided.cautions[0]
    decided = cuda_plan.judge(seen, Options(locks=LOCKS, adapter="NVIDIA GeForce RTX 4070"))
    assert decided.build is not None and decided.build["tag"] == "cu132"
    assert (decided.cautions, decided.driver["capability"]) == ([], "8.9")


@pytest.mark.parametrize(
    ("heading", "version"),
    [
        ("| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |", ", 610.43.02"),
        ("| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      CUDA Version: 13.0     |", ", 580.95.05"),
        ("", ", as nvidia-smi shows it"),
    ],
)
def test_the_service_for_nvswitch_has_to_be_of_the_driver_s_version(heading: str, version: str) -> None:
    seen = replace(LINUX, heading=Spoken(heading, 0), library=Library("/x/libcuda.so.1", 13030, 802))
    (problem,) = cuda_plan.judge(seen, Options(locks=LOCKS)).problems
    assert f"install nvidia-fabricmanager of the driver's very version{version} (boards" in problem.do
    assert "ubuntu-drivers" not in problem.do

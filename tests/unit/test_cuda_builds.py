"""The newest CUDA build of PyTorch that driver and card allow is taken, and a Linux driver in WSL is found out."""

from __future__ import annotations

import pytest
from ansible.module_utils.colab_ready.backends.cuda import builds as cuda_builds
from ansible.module_utils.colab_ready.core.problem import Refused
from ansible.module_utils.colab_ready.system import ldconfig as loader_cache

HEADINGS = [
    ("| NVIDIA-SMI 566.24                 Driver Version: 566.24         CUDA Version: 12.7     |", (12, 7)),
    ("| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: 13.3     |", (13, 3)),
    ("| NVIDIA-SMI 470.256.02   Driver Version: 470.256.02   CUDA Version: 11.4     |", (11, 4)),
    ("| NVIDIA-SMI 580.95.05              Driver Version: 581.29         CUDA Version: N/A      |", None),
    ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "ceiling"), HEADINGS)
def test_the_driver_s_ceiling_is_read_in_both_spellings(text: str, ceiling: tuple[int, int] | None) -> None:
    assert cuda_builds.parse_ceiling(f"Wed Nov 25 16:00:00 2026\n+---+\n{text}\n+---+\n") == ceiling


@pytest.mark.parametrize(
    ("number", "ceiling"), [(13020, (13, 2)), (12070, (12, 7)), (11080, (11, 8)), (13000, (13, 0))]
)
def test_the_library_s_own_number_says_the_same(number: int, ceiling: tuple[int, int]) -> None:
    assert cuda_builds.ceiling_of(number) == ceiling


@pytest.mark.parametrize(
    ("text", "capability"), [("8.9\n", (8, 9)), ("12.0\n6.1\n", (12, 0)), ("[N/A]\n7.5\n", (7, 5)), ("", None)]
)
def test_the_capability_is_read(text: str, capability: tuple[int, int] | None) -> None:
    assert cuda_builds.parse_capability(text) == capability


# the driver's ceiling, the card, torch, the build
FITTING = [
    ((13, 3), (8, 9), "", "cu132"),
    ((13, 2), (12, 0), "", "cu132"),
    ((13, 1), (8, 9), "", "cu130"),
    ((13, 0), (12, 1), "", "cu130"),
    ((12, 9), (8, 6), "", "cu126"),
    ((12, 7), (8, 6), "", "cu126"),
    # Pascal, Volta and Maxwell under a driver of today.
    ((13, 3), (6, 1), "", "cu126"),
    ((13, 3), (7, 0), "", "cu126"),
    ((13, 3), (5, 2), "", "cu126"),
    ((13, 3), (7, 5), "", "cu132"),
    ((13, 3), (8, 9), "2.13.0", "cu130"),
    ((12, 8), (12, 0), "2.11.0", "cu128"),
    ((12, 9), (7, 0), "2.11.0", "cu128"),
    ((13, 3), None, "", "cu132"),
    (None, (8, 9), "", "cu126"),
    (None, (12, 0), "", "cu130"),
]


@pytest.mark.parametrize(("ceiling", "capability", "torch", "tag"), FITTING)
def test_the_newest_build_that_fits_is_taken(
    ceiling: tuple[int, int] | None, capability: tuple[int, int] | None, torch: str, tag: str
) -> None:
    plan = cuda_builds.choose_build(ceiling, capability, torch)
    assert plan["tag"] == tag
    assert plan["index"] == f"https://download.pytorch.org/whl/{tag}"
    assert plan["requirements"] == [f"torch=={plan['torch']}+{tag}", f"torchvision=={plan['torchvision']}+{tag}"]
    assert plan["cautions"] == []


def test_an_older_driver_of_the_same_cuda_is_enough_and_said() -> None:
    plan = cuda_builds.choose_build((12, 2), (8, 0))
    assert plan["tag"] == "cu126"
    assert "made for CUDA 12.2, the build for 12.6" in str(plan["cautions"])


def test_a_wish_and_a_mirror_are_taken() -> None:
    plan = cuda_builds.choose_build((13, 3), (8, 9), requested="cu126", index="https://mirror.example/whl")
    assert (plan["tag"], plan["index"]) == ("cu126", "https://mirror.example/whl/cu126")


REFUSED = [
    # A driver of long ago; a card too new for it; a card too old for all.
    (
        {"ceiling": (11, 4), "capability": (8, 6)},
        "runs CUDA up to 11.4, and PyTorch 2.14.0 needs 12.6",
        "install NVIDIA's current driver on Windows",
    ),
    ({"ceiling": (12, 9), "capability": (12, 0)}, "needs 13.0 for this card", "install NVIDIA's current driver"),
    ({"ceiling": (13, 3), "capability": (3, 5)}, "has code for a card of compute capability 3.5", "directml"),
    ({"ceiling": (13, 3), "requested": "cu118"}, "has no build cu118", "cu132 or cu130 or cu126"),
    (
        {"ceiling": (13, 3), "capability": (6, 1), "requested": "cu132"},
        "cu132 has no code for a card of compute capability 6.1",
        "./colab-ready settings --reset cuda_build, then ./colab-ready without it",
    ),
    (
        {"ceiling": (12, 8), "capability": (8, 9), "requested": "cu132"},
        "runs CUDA up to 12.8, and PyTorch 2.14.0 cu132 needs 13.2",
        "driver",
    ),
    ({"ceiling": (13, 3), "torch": "1.13"}, "PyTorch 1.13 is not in the table", "2.14.0"),
]


@pytest.mark.parametrize(("requested", "what", "do"), REFUSED)
def test_what_cannot_run_is_refused_in_one_message(requested: dict[str, object], what: str, do: str) -> None:
    with pytest.raises(Refused) as refusal:
        cuda_builds.choose_build(**requested)  # type: ignore[arg-type]  # one dictionary for all of the arguments
    text = str(refusal.value)
    assert what in text
    assert do in text
    assert " Expected: " in text and " Do: " in text


def test_every_release_names_builds_that_are_known() -> None:
    known = [build.tag for build in cuda_builds.BUILDS]
    assert known == sorted(known, reverse=True)
    for release in cuda_builds.RELEASES:
        assert set(release.builds) <= set(known)
        assert list(release.builds) == sorted(release.builds, reverse=True)


# --- a Linux driver in WSL ------------------------------------------------------------------------------------------

WSLS = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/wsl/lib/libcuda.so.1\n"
UBUNTUS = "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1\n"
I386 = "\tlibcuda.so.1 (libc6) => /usr/lib/i386-linux-gnu/libcuda.so.1\n"


@pytest.mark.parametrize(
    "package",
    [
        "nvidia-driver-580",
        "libnvidia-compute-580:amd64",
        "nvidia-dkms-580-open",
        "nvidia-utils-570",
        "cuda-drivers",
        "cuda-drivers-580",
        "cuda",
        "cuda-12-8",
        "libcuda1",
        "cuda-compat-13-0",
        "nvidia-headless-535-server",
    ],
)
def test_a_package_with_a_driver_is_found(package: str) -> None:
    problem = cuda_builds.linux_driver_in_wsl(["base-files", package])
    assert problem is not None
    assert problem.id == "cuda_linux_driver"
    assert f"sudo apt-get remove {package.partition(':')[0]};" in problem.do


@pytest.mark.parametrize(
    "package",
    [
        "cuda-toolkit-12-8",
        "cuda-toolkit",
        "cuda-cudart-12-8",
        "libcudnn9-cuda-12",
        "nvidia-container-toolkit",
        "libcublas-12-8",
        "cuda-nvcc-13-0",
        "nvidia-cuda-toolkit",
    ],
)
def test_a_toolkit_without_a_driver_may_stay(package: str) -> None:
    assert cuda_builds.linux_driver_in_wsl([package], WSLS) is None


@pytest.mark.parametrize(
    ("ldconfig", "modules", "what"),
    [
        (WSLS, "", None),
        (WSLS + UBUNTUS, "", None),
        (I386 + WSLS, "", None),
        ("", "", None),
        (UBUNTUS + WSLS, "", "from /usr/lib/x86_64-linux-gnu/libcuda.so.1 instead"),
        (UBUNTUS, "", "from /usr/lib/x86_64-linux-gnu/libcuda.so.1 instead"),
        (WSLS, "nvidia_uvm 1 0 - Live 0x0\nnvidia 9 2 - Live 0x0\n", "kernel module"),
        (WSLS, "nvidiafb 1 0 - Live 0x0\n", None),
    ],
)
def test_a_library_before_windows_own_is_found(ldconfig: str, modules: str, what: str | None) -> None:
    problem = cuda_builds.linux_driver_in_wsl([], f"9 libs found in cache `/etc/ld.so.cache'\n{ldconfig}", modules)
    assert (problem is None) is (what is None)
    assert problem is None or what is None or what in problem.what


def test_the_loader_s_cache_tells_which_file_is_taken() -> None:
    text = f"3 libs found\n{WSLS}{UBUNTUS}{I386}\tlibrocdxg.so.1 (libc6,x86-64) => /opt/rocm/lib/librocdxg.so.1\n"
    assert loader_cache.parse(text)["libcuda.so.1"] == [
        "/usr/lib/wsl/lib/libcuda.so.1",
        "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    ]
    assert loader_cache.first(text, "librocdxg.so") == "/opt/rocm/lib/librocdxg.so.1"
    assert loader_cache.first(text, "librocdxg.so.1") == "/opt/rocm/lib/librocdxg.so.1"
    assert loader_cache.first(text, "librocdx") is None
    assert loader_cache.names_in(text, "/usr/lib/wsl/lib") == {"libcuda.so.1"}
    assert loader_cache.names_in(text, "/usr/lib") == loader_cache.names_in("", "/usr/lib/wsl/lib") == set()

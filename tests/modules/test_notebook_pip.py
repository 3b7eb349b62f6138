"""What a notebook's pip may do to the kernel of each backend: real pip and uv, wheels made here, and two indexes, the backend's
and the package index, whose builds of the same versions are for another device."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.cpu.kernel import kernel as cpu_kernel
from ansible.module_utils.colab_ready.backends.cuda.kernel import kernel as cuda_kernel
from ansible.module_utils.colab_ready.backends.directml.kernel import kernel as directml_kernel
from ansible.module_utils.colab_ready.backends.directml.releases import DEFAULT
from ansible.module_utils.colab_ready.backends.kernel import Kernel
from ansible.module_utils.colab_ready.backends.rocm.kernel import kernel as rocm_kernel
from ansible.module_utils.colab_ready.backends.rocm.releases import LINES
from ansible.module_utils.colab_ready.backends.xpu.kernel import kernel as xpu_kernel
from doubles.torch_stand_in.build import wheel
from modules.test_uv_env import NO_UV, PYTHON, Place, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "wheels")


@pytest.fixture
def place(tmp_path: Path, shop: Shop, uv: Path) -> Place:
    return Place(tmp_path / "place", uv, {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop.folder)})


pytestmark = pytest.mark.skipif(not os.path.exists(PYTHON), reason=f"needs the distribution's {PYTHON}")
REQUIRES = ">=3.10,<3.15"


def cpu(index: str) -> Kernel:
    return cpu_kernel(REQUIRES, index, False)


def cuda(tag: str, index: str) -> Kernel:
    build = {"tag": tag, "torch": "2.14.0", "torchvision": "0.29.0", "index": index, "lock": "x"}
    return cuda_kernel(build, {}, REQUIRES, "", False)


def xpu(index: str) -> Kernel:
    return xpu_kernel("", REQUIRES, index)


def directml(build: str, index: str) -> Kernel:
    found = directml_kernel({"torch_build": build, "release": DEFAULT, "releases": {}}, REQUIRES, index, False)
    for pin in found.pinned:
        # Without the published wheel's hashes.
        pin["requirement"] = pin["requirement"].split(" ")[0]  # type: ignore[index]
    return found


def rocm(index: str) -> Kernel:
    line = LINES[0]
    wheels = [one.replace("{gfx}", "gfx1201") for one in line.torch[0].requirements]
    torch = {"index": index, "requirements": wheels, "constraints": [], "drop_bundled_hsa": False}
    return rocm_kernel({"torch": torch, "line": line.version, "environment": {}}, REQUIRES)


# What describes the kernel, and what its environment is to have of the three.
KERNELS: Mapping[str, tuple[Any, Sequence[str]]] = {
    "cpu": (cpu, ["torch==2.13.0+cpu", "torchvision==0.28.0+cpu", "torchaudio==2.11.0+cpu"]),
    "cuda 12": (
        lambda index: cuda("cu126", index),
        ["torch==2.14.0+cu126", "torchvision==0.29.0+cu126", "torchaudio==2.11.0+cu126"],
    ),
    # PyTorch's index of cu132 has no torchaudio; the package index's is that build.
    "cuda 13.2": (
        lambda index: cuda("cu132", index),
        ["torch==2.14.0+cu132", "torchvision==0.29.0+cu132", "torchaudio==2.11.1"],
    ),
    "xpu": (xpu, ["torch==2.13.0+xpu", "torchvision==0.28.0+xpu", "torchaudio==2.11.0+xpu"]),
    "directml": (
        lambda index: directml("cpu", index),
        ["torch==2.4.1+cpu", "torchvision==0.19.1+cpu", "torchaudio==2.4.1+cpu"],
    ),
    "directml, the index's torch": (
        lambda index: directml("index", index),
        ["torch==2.4.1", "torchvision==0.19.1", "torchaudio==2.4.1"],
    ),
    "rocm": (rocm, ["torch==2.13.0+rocm10.0.0", "torchvision==0.28.0+rocm10.0.0", "torchaudio==2.11.0.2+rocm10.0.0"]),
}
PAIRS = {"2.13.0": "0.28.0", "2.14.0": "0.29.0", "2.4.1": "0.19.1"}


def split(text: str) -> tuple[str, str]:
    name, _, version = text.partition("==")
    return name.partition("[")[0], version


def fill(shop: Shop, backend: Path, kernel: Kernel, without: Sequence[str] = ()) -> str:
    """The package index (a folder) with builds for CUDA, the backend's with its own; return the lock."""
    for torch, vision in PAIRS.items():
        shop.wheel("torch", torch)
        shop.wheel("torchvision", vision, requires=(f"torch=={torch}",))
    for audio in ("2.4.1", "2.11.0", "2.11.0.2", "2.11.1"):
        shop.wheel("torchaudio", audio)
    shop.wheel("torch-directml", DEFAULT, requires=("torch==2.4.1", "torchvision==0.19.1"))
    shop.wheel("needs-vision", requires=("torchvision>=0.5",))
    shop.wheel("needs-audio", requires=("torchaudio",))
    shop.wheel("old-colab", requires=("ipykernel<5",))
    shop.wheel("ipykernel", "4.6.1")
    shop.wheel("tornado", "4.5.3")
    for pin in kernel.pinned:
        name, version = split(pin["requirement"])
        if name not in without and pin.get("index"):
            torch = next((one for one, vision in PAIRS.items() if vision == version.partition("+")[0]), "")
            needs = (f"torch=={torch}",) if name == "torchvision" else ()
            wheel(backend, name, version, requires=needs, extras={"device-gfx1201": ()})
    locked = [shop.wheel("ipykernel", "7.1", requires=("tornado>=6.4",)), shop.wheel("tornado", "6.5")]
    if not any(split(pin["requirement"])[0] == "torch" for pin in kernel.pinned):
        locked += [shop.folder / "torch-2.4.1-py3-none-any.whl", shop.folder / "torchvision-0.19.1-py3-none-any.whl"]
    return shop.lock(*locked)


def simple(folder: Path) -> str:
    """The wheels of a folder as an index, which file:// will do for."""
    for one in folder.glob("*.whl"):
        page = folder / "simple" / one.name.split("-")[0].replace("_", "-") / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        with page.open("a") as stream:
            stream.write(f'<a href="../../{one.name.replace("+", "%2B")}">{one.name}</a>\n')
    return (folder / "simple").as_uri()


def install(place: Place, shop: Shop, uv: Path, *arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """What a cell does, with pip and with uv."""
    listed = str(place.path / "constraints.txt")
    told = {
        "PATH": os.environ["PATH"],
        "PIP_CONSTRAINT": listed,
        "UV_CONSTRAINT": listed,
        "PIP_CONFIG_FILE": "/dev/null",
    }
    pip = [sys.executable, "-m", "pip", "--python", str(place.python), "install", "--disable-pip-version-check"]
    fast = [str(uv), "pip", "install", "--python", str(place.python)]
    where = ("--no-index", "--find-links", str(shop.folder))
    return [
        subprocess.run([*program, *where, *arguments], env=told, capture_output=True, text=True)
        for program in (pip, fast)
    ]


@pytest.mark.parametrize(("describe", "builds"), KERNELS.values(), ids=KERNELS.keys())
def test_no_installation_puts_another_build_beside_the_backends_torch(
    place: Place, shop: Shop, uv: Path, tmp_path: Path, describe: Any, builds: Sequence[str]
) -> None:
    backend = tmp_path / "backend"
    kernel = describe((backend / "simple").as_uri())
    lock = fill(shop, backend, kernel)
    simple(backend)
    wish = {"lock": lock, "pinned": kernel.pinned, "constraints": kernel.constraints, "packages": ["needs-vision"]}
    assert set(builds) <= set(place.build(**wish).after)
    assert not place.build(**wish, uv=NO_UV).changed
    for cell in (["torchvision", "torchaudio"], ["-U", "needs-audio", "torchvision"]):
        assert [done.returncode for done in install(place, shop, uv, *cell)] == [0, 0], cell
    for cell in (["torch==2.12"], ["old-colab"], ["tornado<5"]):
        pip, fast = install(place, shop, uv, *cell)
        assert 0 not in (pip.returncode, fast.returncode), cell
        assert "constraint" in pip.stdout + pip.stderr
    assert not place.build(**wish, uv=NO_UV).changed


@pytest.mark.parametrize("has_torch", [True, False])
def test_the_default_build_comes_with_the_default_torch_alone(
    place: Place, shop: Shop, tmp_path: Path, has_torch: bool
) -> None:
    backend = tmp_path / "backend"
    kernel = cpu_kernel(REQUIRES, (backend / "simple").as_uri(), True)
    lock = fill(shop, backend, kernel, without=["torchvision", "torchaudio", *([] if has_torch else ["torch"])])
    simple(backend)
    wish: dict[str, Any] = {"lock": lock, "pinned": kernel.pinned}
    versions = place.build(**wish).packages
    three = [versions.get(name) for name in ("torch", "torchvision", "torchaudio")]
    assert three == (["2.13.0+cpu", None, None] if has_torch else ["2.13.0", "0.28.0", "2.11.0"])
    assert not place.build(**wish, uv=NO_UV).changed
    if has_torch:
        assert "torchvision==0.28.0+cpu cannot be had" in place.fails(**wish, packages=["torchvision"])


@pytest.mark.parametrize("name", ["cpu", "cuda 12", "xpu", "directml"])
def test_a_build_that_no_source_has_is_left_out_and_no_other_comes(
    place: Place, shop: Shop, uv: Path, tmp_path: Path, name: str
) -> None:
    backend = tmp_path / "backend"
    kernel = KERNELS[name][0]((backend / "simple").as_uri())
    lock = fill(shop, backend, kernel, without=["torchaudio"])
    simple(backend)
    wish = {"lock": lock, "pinned": kernel.pinned, "constraints": kernel.constraints}
    found = place.build(**wish)
    audio = KERNELS[name][1][2]
    assert "torchaudio" not in found.packages
    assert f"{audio} is left out, as no source has it" in found.left_out[0]
    assert not place.build(**wish, uv=NO_UV).changed
    pip, fast = install(place, shop, uv, "torchaudio")
    assert 0 not in (pip.returncode, fast.returncode)
    assert audio in pip.stderr + pip.stdout and audio in fast.stderr
    assert f"{audio} cannot be had" in place.fails(**wish, packages=["torchaudio"])
    # Asked for again when it is named, or with the next build.
    Shop(backend).wheel(*split(audio))
    simple(backend)
    assert audio in place.build(**wish, packages=["torchaudio"]).after

"""Pins of uv_env that bring what they depend on, or come from a page of wheels, as AMD's do: real uv, wheels made here."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.python.lock import normalize
from doubles.torch_stand_in.build import wheel
from modules.test_uv_env import NO_UV, PYTHON, Place, Shop

# Where torch's own copy of AMD's runtime lies.
HSA = "torch/lib/libhsa-runtime64.so"


@dataclass
class Source:
    """Wheels, handed out as an index and as a page of files, over HTTP and from the folder."""

    root: Path
    port: int

    @property
    def wheels(self) -> Path:
        return self.root / "wheels"

    def publish(self) -> None:
        """Write the index's pages for the wheels that are there."""
        shutil.rmtree(self.root / "simple", ignore_errors=True)
        for one in sorted(self.wheels.glob("*.whl")):
            page = self.root / "simple" / normalize(one.name.split("-")[0]) / "index.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            with page.open("a") as stream:
                stream.write(f'<a href="../../wheels/{one.name.replace("+", "%2B")}">{one.name}</a><br>\n')

    def address(self, path: str = "simple") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def file(self, path: str = "simple") -> str:
        return (self.root / path).as_uri()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def amd(tmp_path: Path) -> Iterator[Source]:
    """What AMD's index has, as small wheels, and a numpy that is not the locked one."""
    root = tmp_path / "amd"
    root.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    source = Source(root, server.server_port)
    targets = ("gfx1201", "gfx1100")
    for rocm, torch, vision in (("10.0.0", "2.13.0", "0.28.0"), ("7.14.0", "2.11.0", "0.26.0")):
        devices = {f"device-{gfx}": (f"rocm-sdk-device-{gfx}=={rocm}",) for gfx in targets}
        needs = (f"rocm-sdk-core=={rocm}", "triton>=3", "numpy", "sympy>=1.13")
        wheel(source.wheels, "torch", f"{torch}+rocm{rocm}", requires=needs, extras=devices, files=module("torch"))
        wheel(
            source.wheels, "torchvision", f"{vision}+rocm{rocm}", requires=(f"torch=={torch}", "numpy"), extras=devices
        )
        for name in ("core", *(f"device-{gfx}" for gfx in targets)):
            wheel(source.wheels, f"rocm-sdk-{name}", rocm, files=module(f"rocm_sdk_{name.replace('-', '_')}"))
    wheel(source.wheels, "triton", "3.7+rocm10.0.0", files=module("triton"))
    wheel(source.wheels, "numpy", "1.0")
    source.publish()
    yield source
    server.shutdown()
    server.server_close()


def module(name: str) -> dict[str, str]:
    return {f"{name}/__init__.py": "version = 'AMD'\n", f"{name}/data.txt": "data\n"}


@pytest.fixture
def host(tmp_path: Path, uv: Path) -> Place:
    """A host whose own wheels have what is locked, and builds that must never come."""
    shop = Shop(tmp_path / "wheels")
    shop.wheel("numpy", "2.0")
    shop.wheel("sympy", "1.14")
    shop.wheel("torch", "2.13.0", requires=("nvidia-cuda",))
    shop.wheel("torch", "2.14.0", requires=("nvidia-cuda",))
    shop.wheel("nvidia-cuda", "13")
    return Place(tmp_path / "place", uv, {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop.folder)})


def hosts_shop(host: Place) -> Shop:
    return Shop(Path(host.pip["PIP_FIND_LINKS"]))


def lock(host: Place) -> str:
    shop = hosts_shop(host)
    return shop.lock(*(shop.folder / f"{one}-py3-none-any.whl" for one in ("numpy-2.0", "sympy-1.14")))


def rocm(host: Place, index: str, gfx: str = "gfx1201", rocm: str = "10.0.0", **more: Any) -> dict[str, Any]:
    """What the role rocm asks for on this host."""
    torch, vision = {"10.0.0": ("2.13.0", "0.28.0"), "7.14.0": ("2.11.0", "0.26.0")}[rocm]
    source = {"index": index, "dependencies": True, "variable": "python_env_torch_index"}
    texts = [f"torch[device-{gfx}]=={torch}+rocm{rocm}", f"torchvision[device-{gfx}]=={vision}+rocm{rocm}"]
    return {"lock": lock(host), "pinned": [{"requirement": text, **source} for text in texts], **more}


ALL = [
    "numpy==2.0",
    "rocm-sdk-core==10.0.0",
    "rocm-sdk-device-gfx1201==10.0.0",
    "sympy==1.14",
    "torch==2.13.0+rocm10.0.0",
    "torchvision==0.28.0+rocm10.0.0",
    "triton==3.7+rocm10.0.0",
]


# --- what comes with a pin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["http", "file"])
def test_a_pin_brings_what_it_needs_from_its_own_index_and_leaves_what_is_locked(
    host: Place, amd: Source, over: str
) -> None:
    # Newer, and the host's: it must not outbid the index of the pin.
    hosts_shop(host).wheel("triton", "3.9")
    hosts_shop(host).wheel("rocm-sdk-core", "99")
    index = amd.address() if over == "http" else amd.file()
    wish = rocm(host, index)
    first = host.build(**wish)
    assert first.after == ALL
    assert first.pinned == {"torch": index, "torchvision": index}
    assert first.notes == []
    brought = {"rocm-sdk-core": "10.0.0", "rocm-sdk-device-gfx1201": "10.0.0", "triton": "3.7+rocm10.0.0"}
    assert host.note["brought"] == brought
    second = host.build(**wish, uv=NO_UV)
    assert (second.changed, second.reasons, second.after) == (False, [], ALL)
    assert second.pinned == first.pinned


def test_what_came_with_a_pin_is_repaired_and_the_rest_left_alone(host: Place, amd: Source) -> None:
    wish = rocm(host, amd.file())
    host.build(**wish)
    inode = (host.site / "torch" / "data.txt").stat().st_ino
    (host.site / "rocm_sdk_core" / "data.txt").unlink()
    (host.site / "triton" / "__init__.py").write_text("broken(")
    for one in host.site.glob("rocm_sdk_device_gfx1201*"):
        shutil.rmtree(one)
    planned = host.build(**wish, check=True, uv=NO_UV)
    assert planned.reasons == [
        "rocm-sdk-core lacks a file (rocm_sdk_core/data.txt)",
        "rocm-sdk-device-gfx1201 is missing",
        "triton has a changed file (triton/__init__.py)",
    ]
    assert planned.after == ALL
    done = host.build(**wish)
    assert (done.reasons, done.after) == (planned.reasons, ALL)
    assert (host.site / "rocm_sdk_core" / "data.txt").exists()
    assert host.imports("triton") == "AMD"
    assert (host.site / "torch" / "data.txt").stat().st_ino == inode
    assert not host.build(**wish, uv=NO_UV).changed


def test_what_a_notebook_moved_goes_back_if_the_pin_needs_it_so(host: Place, amd: Source) -> None:
    wish = rocm(host, amd.file())
    host.build(**wish)
    folder = host.site / "rocm_sdk_core-10.0.0.dist-info"
    for file in ("METADATA", "RECORD"):
        (folder / file).write_text((folder / file).read_text().replace("10.0.0", "11.0.0"))
    folder.rename(host.site / "rocm_sdk_core-11.0.0.dist-info")
    done = host.build(**wish)
    assert done.reasons == ["rocm-sdk-core 11.0.0 is installed, 10.0.0 is wanted"]
    assert done.after == ALL


def test_torch_is_put_there_again_with_what_it_needs(host: Place, amd: Source) -> None:
    wish = rocm(host, amd.file())
    host.build(**wish)
    shutil.rmtree(host.site / "torch-2.13.0+rocm10.0.0.dist-info")
    assert host.build(**wish).reasons == ["torch is missing"]
    assert not host.build(**wish, uv=NO_UV).changed
    (host.site / "torch" / "data.txt").unlink()
    assert host.build(**wish).reasons == ["torch lacks a file (torch/data.txt)"]
    assert (host.site / "torch" / "data.txt").exists()


def test_another_card_is_a_difference_and_the_last_ones_kernels_go(host: Place, amd: Source) -> None:
    host.build(**rocm(host, amd.file()))
    wish = rocm(host, amd.file(), "gfx1100")
    new = [f"{pin['requirement']} was not asked for last time" for pin in wish["pinned"]]
    assert host.build(**wish, check=True, uv=NO_UV).reasons == new
    done = host.build(**wish)
    assert done.reasons == [*new, "rocm-sdk-device-gfx1201==10.0.0 is not needed any more"]
    assert done.after == [one.replace("gfx1201", "gfx1100") for one in ALL]
    assert not host.build(**wish, uv=NO_UV).changed


def test_what_came_with_a_pin_stays_if_something_of_a_users_needs_it(host: Place, amd: Source) -> None:
    host.build(**rocm(host, amd.file()))
    own = hosts_shop(host).wheel("own", requires=("rocm-sdk-device-gfx1201",))
    host.build(**rocm(host, amd.file()), packages=[f"own @ {own.as_uri()}"])
    done = host.build(**rocm(host, amd.file(), "gfx1100"))
    assert "rocm-sdk-device-gfx1201==10.0.0" in done.after and "own==1.0" in done.after


def test_another_release_moves_all_that_came_with_the_last_one(host: Place, amd: Source) -> None:
    host.build(**rocm(host, amd.file(), "gfx1100", "7.14.0"))
    done = host.build(**rocm(host, amd.file()))
    assert done.after == ALL
    assert not host.build(**rocm(host, amd.file()), uv=NO_UV).changed


def test_what_came_with_a_pin_goes_with_a_release_that_brings_nothing(host: Place, amd: Source) -> None:
    host.build(**rocm(host, amd.file()))
    wheel(amd.wheels, "torch", "2.10.0+rocm7.2.4")
    classic = {"requirement": "torch==2.10.0+rocm7.2.4", "find_links": str(amd.wheels)}
    done = host.build(lock=lock(host), pinned=[classic])
    assert done.packages["torch"] == "2.10.0+rocm7.2.4"
    assert [name for name in done.packages if name.startswith("rocm-sdk")] == []
    assert not host.build(lock=lock(host), pinned=[classic], uv=NO_UV).changed


def test_an_exact_environment_keeps_what_came_with_a_pin(host: Place, amd: Source) -> None:
    wish = rocm(host, amd.file(), exact=True)
    assert host.build(**wish).after == ALL
    assert not host.build(**wish, uv=NO_UV).changed
    done = host.build(**rocm(host, amd.file(), "gfx1100", exact=True))
    assert done.after == [one.replace("gfx1201", "gfx1100") for one in ALL]


# --- from where -----------------------------------------------------------------------------------------------------


def incomplete(amd: Source) -> None:
    """torch needs something more, which AMD's index does not have."""
    wheel(
        amd.wheels, "torch", "2.13.0+rocm10.0.0", requires=("rocm-sdk-core>=10", "colour", "triton>=3"),
        extras={"device-gfx1201": ("rocm-sdk-device-gfx1201",)},
    )  # fmt: skip
    amd.publish()


@pytest.mark.parametrize("strategy", ["", "unsafe-best-match"])
def test_what_the_index_lacks_comes_from_the_hosts_and_nothing_else_does(
    host: Place, amd: Source, tmp_path: Path, strategy: str
) -> None:
    incomplete(amd)
    for name, version in (("colour", "1.0"), ("triton", "3.9"), ("rocm-sdk-core", "99")):
        hosts_shop(host).wheel(name, version)
    mirror = Source(tmp_path, 0)
    mirror.publish()
    # The caller's own wish about indexes must not let the host's outbid AMD's.
    settings = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": mirror.file(), "UV_INDEX_STRATEGY": strategy}
    found = host.build(**rocm(host, amd.file()), environment=settings)
    assert found.after == sorted(["colour==1.0", *ALL])
    assert found.pinned["torch"] == f"{amd.file()} and the host's pip configuration"
    assert not host.build(**rocm(host, amd.file()), environment=settings, uv=NO_UV).changed


def test_what_no_source_has_is_said_and_nothing_is_half_there(host: Place, amd: Source) -> None:
    incomplete(amd)
    message = host.fails(**rocm(host, amd.file()))
    assert "no configured source has colour" in message
    assert (
        "Name an index that has it with what it depends on: ./colab-ready -e python_env_torch_index=ADDRESS" in message
    )
    assert not host.path.exists()


def test_a_dead_index_of_the_hosts_does_not_matter_where_the_pins_has_everything(
    host: Place, amd: Source, closed_port: int
) -> None:
    wish = rocm(host, amd.file())
    host.build(**wish)
    (host.site / "rocm_sdk_core" / "data.txt").unlink()
    dead = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": f"http://127.0.0.1:{closed_port}/simple"}
    assert host.build(**wish, environment=dead).after == ALL


def test_a_silent_index_gives_way_to_the_hosts_wheels_of_the_same_build(
    host: Place, amd: Source, closed_port: int
) -> None:
    for one in amd.wheels.glob("*10.0.0*.whl"):
        shutil.copy(one, hosts_shop(host).folder)
    found = host.build(**rocm(host, f"http://127.0.0.1:{closed_port}/simple"))
    assert found.after == ALL
    assert found.pinned["torch"] == "the host's pip configuration"
    assert "refuses connections" in found.notes[0]


@pytest.mark.parametrize("where", ["folder", "page", "file"])
def test_a_pin_comes_from_a_page_or_folder_of_wheels(host: Place, amd: Source, where: str) -> None:
    wheel(amd.wheels, "torch", "2.10.0+rocm7.2.4.lw.git3d3aa833", requires=("never-installed",))
    place = {"folder": str(amd.wheels), "page": amd.address("wheels/"), "file": amd.file("wheels")}[where]
    pin = {"requirement": "torch==2.10.0+rocm7.2.4.lw.git3d3aa833", "find_links": place}
    found = host.build(lock=lock(host), pinned=[pin])
    assert found.after == ["numpy==2.0", "sympy==1.14", "torch==2.10.0+rocm7.2.4.lw.git3d3aa833"]
    assert found.pinned == {"torch": place}
    assert not host.build(lock=lock(host), pinned=[pin], uv=NO_UV).changed


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


NOT_FOR_THIS_PYTHON = "torchvision-0.28.0+rocm10.0.0-cp399-cp399-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize("bringing", [True, False], ids=["bringing", "alone"])
@pytest.mark.parametrize("links", [True, False], ids=["page", "index"])
@pytest.mark.parametrize(
    ("what", "requirement", "kind", "words"),
    [
        ("closed", "torch==2.13.0+rocm10.0.0", "no_version", ["refuses connections"]),
        ("nowhere", "torch==2.13.0+rocm10.0.0", "no_version", ["there is no /nowhere"]),
        ("there", "torch==2.13.0+rocm99", "no_version", ["no configured source has torch==2.13.0+rocm99"]),
        ("there", "torchsomething==1+x", "no_version", ["no configured source has torchsomething"]),
        ("there", "torchvision==0.28.0+rocm10.0.0", "wrong_python",
         ["no file of torchvision==0.28.0+rocm10.0.0 for this Python",
          "Choose another Python: ./colab-ready -e python_env_python=PATH. Otherwise, name"]),
    ],
    ids=["silent", "no folder", "no version", "no package", "another Python"],
)  # fmt: skip
def test_a_pin_that_cannot_be_had_is_one_message_and_leaves_nothing(
    host: Place, amd: Source, closed_port: int, bringing: bool, links: bool, what: str, requirement: str, kind: str,
    words: list[str], run_module: Any,
) -> None:  # fmt: skip
    original = amd.wheels / "torchvision-0.28.0+rocm10.0.0-py3-none-any.whl"
    original.rename(amd.wheels / NOT_FOR_THIS_PYTHON)
    amd.publish()
    there = str(amd.wheels) if links else amd.file()
    place = {
        "closed": f"http://127.0.0.1:{closed_port}/simple",
        "nowhere": "/nowhere" if links else "file:///nowhere",
        "there": there,
    }
    pin = {
        "requirement": requirement,
        "find_links" if links else "index": place[what],
        "dependencies": bringing,
        "variable": "python_env_torch_index",
        "default_requirement": "torch==2.13.0",
    }
    failed = run_module("uv_env", host.request(lock=lock(host), pinned=[pin], python=PYTHON))
    message = failed["msg"]
    assert all(word in message for word in words), message
    assert f"{requirement} cannot be had" in message and " Expected a source with exactly this build" in message
    assert f"ame {'a page of wheels' if links else 'an index'} that has it" in message
    assert "-e python_env_torch_index=ADDRESS" in message
    assert "python_env_allow_default_torch" in message
    assert failed["problem"] == kind
    assert not host.path.exists()


def test_a_build_that_is_not_made_for_the_card_is_refused_before_anything_is_installed(
    host: Place, amd: Source
) -> None:
    message = host.fails(**rocm(host, amd.file(), "gfx906"))
    assert "torch==2.13.0+rocm10.0.0 has no extra device-gfx906" in message
    assert not host.path.exists()
    # And so it is where that build is there already.
    host.build(**rocm(host, amd.file()))
    planned = host.build(**rocm(host, amd.file(), "gfx906"), check=True)
    assert planned.reasons[0] == "torch[device-gfx906]==2.13.0+rocm10.0.0 was not asked for last time"
    assert "has no extra device-gfx906" in host.fails(**rocm(host, amd.file(), "gfx906"))
    assert host.build(**rocm(host, amd.file())).after == ALL


def test_the_default_build_comes_only_where_it_is_allowed(host: Place, amd: Source, closed_port: int) -> None:
    pin = {
        "requirement": "torch[device-gfx1201]==2.13.0+rocm10.0.0", "default_requirement": "torch==2.13.0", "dependencies": True,
        "index": f"http://127.0.0.1:{closed_port}/simple", "allow_default": True,
    }  # fmt: skip
    found = host.build(lock=lock(host), pinned=[pin])
    assert found.after == ["numpy==2.0", "nvidia-cuda==13", "sympy==1.14", "torch==2.13.0"]
    assert not host.build(lock=lock(host), pinned=[pin], uv=NO_UV).changed


def test_the_hash_of_a_pin_that_brings_something_is_checked(host: Place, amd: Source) -> None:
    wish = rocm(host, amd.file())
    wish["pinned"][0]["requirement"] += f" --hash=sha256:{'0' * 64}"
    assert "hash is locked" in host.fails(**wish)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"index": "https://h/", "find_links": "/x"}, "names both index and find_links"),
        ({"find_links": "wheels"}, "has find_links 'wheels'. Expected the address"),
    ],
)
def test_a_pin_whose_source_is_unclear_is_refused(host: Place, more: dict[str, str], words: str) -> None:
    message = host.fails(pinned=[{"requirement": "torch==1.0", **more}])
    assert words in message and " Expected " in message
    assert not host.path.exists()


# --- beside other wishes --------------------------------------------------------------------------------------------


def test_the_lock_has_the_last_word_and_the_disagreement_is_told(host: Place, amd: Source) -> None:
    wheel(
        amd.wheels, "torch", "2.13.0+rocm10.0.0", requires=("sympy<1.14", "rocm-sdk-core"),
        extras={"device-gfx1201": ("rocm-sdk-device-gfx1201",)},
    )  # fmt: skip
    found = host.build(**rocm(host, amd.file()))
    assert found.packages["sympy"] == "1.14"
    told = "The package `torch` requires `sympy<1.14`, but `1.14` is installed; that is locked, and stays"
    assert found.notes == [told]
    assert not host.build(**rocm(host, amd.file()), uv=NO_UV).changed


def test_a_package_without_a_lock_cannot_move_what_came_with_a_pin(host: Place, amd: Source) -> None:
    shop = hosts_shop(host)
    shop.wheel("rocm-sdk-core", "99")
    shop.wheel("fits", requires=("rocm-sdk-core>=10",))
    shop.wheel("greedy", requires=("rocm-sdk-core>=11",))
    assert host.build(**rocm(host, amd.file()), packages=["fits"]).packages["rocm-sdk-core"] == "10.0.0"
    message = host.fails(**rocm(host, amd.file()), packages=["greedy"])
    assert "do not fit together" in message and "rocm-sdk-core" in message


# --- torch's own copy of AMD's runtime ------------------------------------------------------------------------------


def with_hsa(host: Place, amd: Source, **more: Any) -> dict[str, Any]:
    files = {**module("torch"), HSA: "old", f"{HSA}.1": "old", "torch/lib/libtorch.so": "torch"}
    wheel(amd.wheels, "torch", "2.10.0+rocm7.2.4", files=files)
    pin = {"requirement": "torch==2.10.0+rocm7.2.4", "find_links": str(amd.wheels)}
    return {"lock": lock(host), "pinned": [pin], "drop_bundled_hsa": True, **more}


def hsa(host: Place) -> list[str]:
    return sorted(one.name for one in (host.site / "torch" / "lib").glob("libhsa*"))


def test_a_bundled_runtime_is_taken_out_and_its_absence_is_right(host: Place, amd: Source) -> None:
    wish = with_hsa(host, amd)
    host.build(**wish)
    assert hsa(host) == []
    assert (host.site / "torch" / "lib" / "libtorch.so").exists()
    assert not host.build(**wish, uv=NO_UV).changed


def test_a_bundled_runtime_that_came_back_is_taken_out_without_touching_torch(
    host: Place, amd: Source, tmp_path: Path
) -> None:
    wish = with_hsa(host, amd)
    host.build(**wish)
    (host.site / HSA).write_text("old")
    precious = tmp_path / "precious"
    precious.write_text("x")
    (host.site / f"{HSA}.1").symlink_to(precious)
    (host.site / "torch" / "lib" / "libhsa-runtime64.so.d").mkdir()
    planned = host.build(**wish, uv=NO_UV, check=True)
    assert planned.changed and hsa(host) != []
    done = host.build(**wish, uv=NO_UV)
    assert done.reasons == planned.reasons
    assert done.reasons == [f"{one} is there, and hides the system's" for one in (HSA, f"{HSA}.1")]
    assert hsa(host) == ["libhsa-runtime64.so.d"]
    assert precious.read_text() == "x"
    assert not host.build(**wish, uv=NO_UV).changed


def test_a_torch_that_is_repaired_loses_its_runtime_again(host: Place, amd: Source) -> None:
    wish = with_hsa(host, amd)
    host.build(**wish)
    (host.site / "torch" / "lib" / "libtorch.so").unlink()
    done = host.build(**wish)
    assert done.reasons == ["torch lacks a file (torch/lib/libtorch.so)"]
    assert (host.site / "torch" / "lib" / "libtorch.so").exists()
    assert hsa(host) == []


def test_a_runtime_that_is_wanted_again_comes_back(host: Place, amd: Source) -> None:
    host.build(**with_hsa(host, amd))
    wish = with_hsa(host, amd, drop_bundled_hsa=False)
    assert host.build(**wish).reasons == [f"torch lacks a file ({HSA})"]
    assert hsa(host) == ["libhsa-runtime64.so", "libhsa-runtime64.so.1"]
    assert not host.build(**wish, uv=NO_UV).changed
    # And goes, where it is not wanted any more.
    assert host.build(**with_hsa(host, amd), uv=NO_UV).changed
    assert hsa(host) == []


# --- as Ansible runs it ---------------------------------------------------------------------------------------------


def test_the_module_takes_what_the_role_rocm_hands_over(host: Place, amd: Source, run_module: Any) -> None:
    args = host.request(**rocm(host, amd.file(), drop_bundled_hsa=False, python=PYTHON))
    assert run_module("uv_env", args, check=True)["changed"] is True
    done = run_module("uv_env", args)
    assert [f"{name}=={version}" for name, version in done["packages"].items()] == ALL
    assert run_module("uv_env", args)["changed"] is False
    assert json.loads((host.path / "colab-ready.json").read_text())["brought"]["rocm-sdk-core"] == "10.0.0"

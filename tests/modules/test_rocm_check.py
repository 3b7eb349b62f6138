"""rocminfo as a process: each recorded output is replayed by a program in its place, good, bad, crashing, hanging, flooding,
of another user; and the report has the check."""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.rocm import check as rocm_check
from ansible.module_utils.colab_ready.backends.rocm.check import Looked, Place
from ansible.module_utils.colab_ready.process.program import Answer
from ansible.module_utils.colab_ready.proof.report import person_message

PROJECT = Path(__file__).parents[2]
FIXTURES = PROJECT / "tests/fixtures/rocminfo"
OUTPUTS = sorted(path.stem for path in FIXTURES.glob("*.txt"))
GOOD = "good_10.0.0_card_beside_igpu"
CARD = {"names": ["AMD Radeon RX 9070 XT"], "gfx": ["gfx1201"], "others": ["AMD Radeon(TM) Graphics"], "capability": ""}
# What each failure wants where nothing else is known of the host.
REMEDIES = {
    "bad_assertion_6.3.4": "rocm_driver_assertion",
    "bad_bridge_not_found": "rocm_bridge_not_found",
    "bad_create_context": "rocm_start_failed",
    "bad_hsa_init": "rocm_no_gpu",
    "bad_no_wddm_10.0": "rocm_no_adapter",
    "bad_no_wddm_7.2": "rocm_no_adapter",
    "bad_not_loaded": "rocm_without_bridge",
    "bad_out_of_resources": "rocm_card_unsupported",
    "bad_native_kfd_container": "rocm_card_unsupported",
    "bad_native_kfd_permission": "rocm_native_devices",
    "bad_override": "rocm_override_wanted",
    "bad_unsupported_gpu": "rocm_card_unsupported",
    "bad_vram_10": "rocm_no_free_memory",
    "cpu_only_6.3.4_rx_6800_xt": "rocm_only_cpu",
    "cut_off_7.2.1": "rocm_unknown",
}
# How a program ends that has printed such a thing.
ENDS = {"bad_assertion_6.3.4": "kill -ABRT $$", "bad_create_context": "kill -SEGV $$"}


class Host:
    """A root with a kernel environment, in whose place for rocminfo stands a stand-in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = root / "env/bin/rocminfo"
        self.program.parent.mkdir(parents=True)

    def rocminfo(self, body: str) -> None:
        self.program.write_text(f"#!/bin/sh\n# A stand-in for rocminfo.\n{body}\n")
        self.program.chmod(0o755)

    def look(self, wsl: bool = True, seconds: float = 20.0, **settings: Any) -> Looked:
        return rocm_check.look(
            Place(str(self.root / "env"), str(self.root)), settings, {}, wsl, seconds, lambda *_: Answer(1, b"", b"")
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def replay(name: str) -> str:
    return f"cat {FIXTURES / name}.txt"


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_recorded_output_of_a_program_is_judged(host: Host, name: str) -> None:
    host.rocminfo(f"{replay(name)}\n{ENDS.get(name, 'exit 0' if name.startswith(('good', 'cpu')) else 'exit 1')}")
    looked = host.look()
    check = looked.check
    if name.startswith("good"):
        assert (check["ok"], check["reasons"], check["remedies"], check["retried"]) == (True, [], [], False)
        assert looked.state.card_seen
    else:
        assert check["ok"] is False
        assert [remedy["id"] for remedy in check["remedies"]] == [REMEDIES[name]]
        assert check["retried"] is (name == "bad_create_context")
    assert (check["program"], [step["id"] for step in check["steps"]]) == (str(host.program), ["rocminfo"])
    json.dumps(check)


def test_the_card_is_told_by_its_chip_where_the_runtime_has_one_name_for_all(host: Host) -> None:
    host.rocminfo(replay("good_7.2_native_generic_names"))
    card = {
        "names": ["Navi 48 [Radeon RX 9070/9070 XT/9070 GRE]"], "gfx": ["gfx1201"],
        "others": ["Granite Ridge [Radeon Graphics]", "Radeon Graphics"],
    }  # fmt: skip
    for more in ({}, {"device_id": "7550"}, {"address": "0000:03:00.0"}):
        looked = host.look(wsl=False, card={**card, **more})
        assert (looked.check["ok"], looked.check["reasons"]) == (True, [])
        assert "gfx1201" in looked.check["steps"][0]["detail"]


@pytest.mark.parametrize("name", ["permission", "container"])
def test_natively_it_is_said_who_may_open_the_device(host: Host, name: str) -> None:
    host.rocminfo(f"{replay(f'bad_native_kfd_{name}')}; exit 1")
    check = host.look(wsl=False).check
    assert [remedy["id"] for remedy in check["remedies"]] == [f"rocm_kfd_{name}"]
    assert check["retried"] is False


def test_a_crash_at_the_start_is_tried_once_more_and_that_is_said(host: Host) -> None:
    host.rocminfo(
        f"test -e {host.root}/tried || {{ touch {host.root}/tried; {replay('bad_create_context')}; kill -SEGV $$; }}\n"
        f"{replay(GOOD)}"
    )
    check = host.look(card=CARD).check
    assert (check["ok"], check["retried"], check["reasons"]) == (True, True, [])
    assert "failed at its first start (killed by SIGSEGV" in check["warnings"][0]
    assert "CreateContext" in check["warnings"][0]


def test_a_crash_at_every_start_is_tried_twice_and_no_more(host: Host) -> None:
    host.rocminfo(f"echo >> {host.root}/tries; {replay('bad_create_context')}; kill -SEGV $$")
    check = host.look(card=CARD).check
    assert (check["ok"], check["retried"]) == (False, True)
    assert (host.root / "tries").read_text() == "\n\n"
    assert "the first of two starts: killed by SIGSEGV" in check["steps"][0]["detail"]


def test_without_wsl_a_crash_is_not_tried_again(host: Host) -> None:
    host.rocminfo(f"echo >> {host.root}/tries; kill -SEGV $$")
    assert host.look(wsl=False).check["retried"] is False
    assert (host.root / "tries").read_text() == "\n"


def test_a_hang_after_everything_was_printed_costs_no_answer(host: Host) -> None:
    host.rocminfo(f"{replay(GOOD)}; sleep 60")
    check = host.look(seconds=50, card=CARD).check
    assert (check["ok"], check["remedies"]) == (True, [])
    assert "everything was printed" in check["warnings"][0] and check["seconds"] < 30


def test_a_hang_before_anything_is_one_message_in_time(host: Host) -> None:
    host.rocminfo("sleep 60")
    check = host.look(seconds=1).check
    assert (check["ok"], check["retried"]) == (False, False)
    assert check["reasons"] == ["rocminfo: no end within 1 s"]
    assert [remedy["id"] for remedy in check["remedies"]] == ["rocm_hangs"]


def test_a_flood_ends_in_time_and_in_few_words(host: Host) -> None:
    host.rocminfo("exec yes 'Agent 1'")
    check = host.look(seconds=1).check
    assert check["reasons"] == ["rocminfo: it prints without an end"]
    assert len(json.dumps(check)) < 20_000


def test_a_program_of_another_user_s_cannot_write_to_the_report_what_it_likes(host: Host) -> None:
    host.rocminfo(r"printf 'hsa_init Failed\033]0;title\007\n' >&2; exit 1")
    check = host.look().check
    assert check["ok"] is False and "hsa_init Failed" in check["reasons"][0]
    assert all(character.isprintable() for character in check["reasons"][0])


@pytest.mark.parametrize("case", ["missing", "not executable", "no interpreter", "not a program"])
def test_a_rocminfo_that_cannot_be_asked_is_not_known_and_no_fault(host: Host, case: str) -> None:
    host.rocminfo("exit 0")
    if case == "missing":
        host.program.unlink()
    elif case == "not executable":
        host.program.chmod(0o644)
    elif case == "no interpreter":
        host.program.write_text("#!/nowhere/python\n")
    else:
        host.program.write_bytes(b"\x7fELF nothing")
    check = host.look().check
    assert (check["ok"], check["remedies"], check["warnings"]) == (None, [], [])
    assert check["reasons"][0].startswith("rocminfo: ") and "not known" in check["steps"][0]["detail"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_it_runs_as_the_user_of_the_kernels_with_their_environment(host: Host) -> None:
    """What root's shell exports, and what root may open, is not what a kernel has."""
    host.rocminfo(f'{replay(GOOD)}; echo "$(id -un) $HSA_ENABLE_DXG_DETECTION" > {host.root}/who')
    host.look(user="root", environment={"HSA_ENABLE_DXG_DETECTION": 1})
    assert (host.root / "who").read_text() == "root 1\n"
    host.program.parent.chmod(0o700)
    check = host.look(user="nobody").check
    assert (check["ok"], "nobody may not execute" in check["reasons"][0]) == (None, True)


# --- in the report --------------------------------------------------------------------------------------------------

NAME = "AMD Radeon RX 9070 XT"
DEVICES = [
    {"name": "AMD Radeon(TM) Graphics", "gfx": "gfx1036", "bytes": 512 << 20},
    {"name": NAME, "gfx": "gfx1201", "bytes": 16 << 30},
]


class Runtime(Host):
    """A host as ./colab-ready leaves it with ROCm, as far as the sum goes: no server, and stand-ins for torch and rocminfo."""

    def __init__(self, root: Path, run_module: Any) -> None:
        self.kernel = root / "kernels/rocm"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.kernel)], check=True)
        (packages,) = self.kernel.glob("lib/python3*/site-packages")
        wheel = torch_stand_in().torch_wheel(root / "wheels", "2.13.0+rocm10.0.0", "rocm", DEVICES)
        zipfile.ZipFile(wheel).extractall(packages)
        self.fault = packages / "torch/fault"
        self.run_module = run_module
        self.seconds = 30
        self.root = root
        self.program = self.kernel / "bin/rocminfo"
        # The name that the stand-in has, so that it is the card's.
        card = {**CARD, "names": [f"{NAME} (stand-in)"], "others": ["AMD Radeon(TM) Graphics (stand-in)"]}
        self.settings = {
            "kernel": "rocm", "device_type": "cuda", "prefix": str(root), "user": getpass.getuser(), "port": 8888,
            "token_file": str(root / "token"), "config_dir": str(root), "run_dir": str(root), "http_over_ws": True,
            "card": card, "environment": {"HSA_ENABLE_DXG_DETECTION": "1"},
        }  # fmt: skip

    def report(self) -> dict[str, Any]:
        path = self.root / "runtime.json"
        path.write_text(json.dumps(self.settings))
        # A WSL whose kernel is the user's own is known by this variable.
        environment = {"WSL_INTEROP": "/run/WSL/8_interop"}
        # ROCm in WSL is for Ubuntu alone, and this computer may be another.
        arguments = {
            "runtime_config": str(path),
            "timeout_seconds": self.seconds,
            "gpu": {"host": {"distribution": "ubuntu"}},
        }
        return dict(self.run_module("readiness_report", arguments, check=True, env=environment)["report"])


def torch_stand_in() -> ModuleType:
    path = PROJECT / "tests/doubles/torch_stand_in/build.py"
    spec = importlib.util.spec_from_file_location("torch_stand_in_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def runtime(tmp_path: Path, run_module: Any) -> Runtime:
    return Runtime(tmp_path, run_module)


def test_with_rocm_the_report_has_rocminfo_beside_the_sum_and_what_the_card_is(runtime: Runtime) -> None:
    runtime.rocminfo(f'{replay(GOOD)}; test "$HSA_ENABLE_DXG_DETECTION" = 1 || exit 1')
    report = runtime.report()
    check, tensor = (report["checks"][name] for name in ("rocminfo", "tensor_add"))
    assert (check["ok"], check["program"]) == (True, str(runtime.program))
    assert [agent["gfx"] for agent in check["agents"]] == [None, "gfx1036", "gfx1201"]
    assert (tensor["ok"], tensor["device"], tensor["index"]) == (True, "cuda:1", 1)
    assert (tensor["gpu"]["gfx"], tensor["gpu"]["name"], bool(tensor["gpu"]["hip"])) == (
        "gfx1201",
        f"{NAME} (stand-in)",
        True,
    )
    # The card is the second, and a notebook that says cuda alone gets the processor's graphics.
    assert sum("torch.device('cuda:1')" in warning for warning in report["warnings"]) == 1
    assert not any(remedy["id"].startswith("rocm_") for remedy in report["remedies"])


@pytest.mark.parametrize("output", ["bad_no_wddm_10.0", "bad_create_context"])
def test_a_bad_rocminfo_does_not_outvote_a_right_sum(runtime: Runtime, output: str) -> None:
    runtime.rocminfo(f"{replay(output)}; exit 1")
    report = runtime.report()
    assert (report["checks"]["rocminfo"]["ok"], report["checks"]["tensor_add"]["ok"]) == (False, True)
    assert not any(reason.startswith(("rocminfo", "tensor_add")) for reason in report["reasons"])
    assert any(text.startswith("rocminfo: ") and "the tensor sum is right" in text for text in report["warnings"])
    assert not any(remedy["id"].startswith("rocm_") for remedy in report["remedies"])


@pytest.mark.parametrize(
    ("output", "fault", "remedy"),
    [
        (GOOD, "rocm_blind", "rocm_torch_blind"),
        (GOOD, "rocm_create_context", "rocm_start_failed"),
        (GOOD, "rocm_kernel_image", "rocm_wrong_device"),
        (GOOD, "rocm_only_igpu", "adapter_not_seen"),
        ("bad_no_wddm_10.0", "rocm_blind", "rocm_no_adapter"),
        ("bad_unsupported_gpu", "rocm_blind", "rocm_card_unsupported"),
        ("bad_vram_10", "rocm_blind", "rocm_no_free_memory"),
        ("bad_bridge_not_found", "rocm_blind", "rocm_bridge_not_found"),
        ("bad_override", "rocm_blind", "rocm_override_wanted"),
        ("cpu_only_6.3.4_rx_6800_xt", "rocm_blind", "rocm_only_cpu"),
        ("bad_no_wddm_10.0", "rocm_hang", "rocm_no_adapter"),
        ("bad_no_wddm_10.0", "gpu_wrong_sum", "wrong_sum"),
    ],
)
def test_where_the_sum_fails_what_rocminfo_said_decides_about_the_remedy(
    runtime: Runtime, output: str, fault: str, remedy: str
) -> None:
    runtime.rocminfo(f"{replay(output)}; exit {0 if output in (GOOD, 'cpu_only_6.3.4_rx_6800_xt') else 1}")
    runtime.fault.write_text(fault)
    if fault.endswith("hang"):
        runtime.seconds = 5
    report = runtime.report()
    tensor = report["checks"]["tensor_add"]
    assert tensor["ok"] is False
    ids = [one["id"] for one in report["remedies"] if one["id"].startswith("rocm_") or one["id"] == remedy]
    assert ids[0] == remedy, tensor["reasons"]
    assert report["ready"] is False
    assert next(one["do"] for one in report["remedies"] if one["id"] == remedy) in person_message(report)

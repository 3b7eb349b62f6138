"""What rocminfo said becomes a check of the report, and what is known of a host with ROCm is gathered for the remedies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.rocm import check as rocm_check
from ansible.module_utils.colab_ready.backends.rocm.check import Looked, Place, gather, judge, settle, wanted_of
from ansible.module_utils.colab_ready.backends.rocm.faults import State
from ansible.module_utils.colab_ready.backends.torch_devices import Wanted
from ansible.module_utils.colab_ready.gpu.readers import rocminfo
from ansible.module_utils.colab_ready.process.program import Answer, NotAnswered
from ansible.module_utils.colab_ready.proof.report import build_report

FIXTURES = Path(__file__).parents[1] / "fixtures/rocminfo"
GIB = 1 << 30
CARD = Wanted(("AMD Radeon RX 9070 XT",), ("gfx1201",), ("AMD Radeon(TM) Graphics",))
FINE = State(
    distribution="ubuntu", line="10.0.0", amd=True, id_known=True, gfx="gfx1201", integrated=False, detection=""
)
BOTH = "good_10.0.0_card_beside_igpu"


def ran(name: str = "", kind: str = "ok", text: str = "", **more: Any) -> dict[str, Any]:
    """As process.run.run_program gives it."""
    output = (FIXTURES / f"{name}.txt").read_text(encoding="utf-8") if name else ""
    ended = {"kind": kind, "text": text, "problem": None}
    return {"output": output, "errors": [], "cut_off": False, "exit": ended, "seconds": 0.25, **more}


def check_of(name: str, wanted: Wanted = CARD, state: State = FINE, **more: Any) -> dict[str, Any]:
    return judge(ran(name, **more), state, wanted, "/opt/rocm/bin/rocminfo").check


# --- one run --------------------------------------------------------------------------------------------------------


def test_the_card_that_was_decided_on_is_found_beside_another_gpu() -> None:
    looked = judge(ran(BOTH), FINE, CARD, "/opt/rocm/bin/rocminfo")
    check = looked.check
    assert (check["ok"], check["where"], check["runtime"], check["retried"]) == (True, "wsl", "1.22", False)
    assert check["steps"] == [
        {"id": "rocminfo", "ok": True, "seconds": 0.25, "detail": "1: AMD Radeon RX 9070 XT (gfx1201)"}
    ]
    assert [agent["gfx"] for agent in check["agents"]] == [None, "gfx1036", "gfx1201"]
    assert check["agents"][2] == {
        "kind": "GPU", "name": "AMD Radeon RX 9070 XT", "gfx": "gfx1201", "device_id": "7550", "address": "0000:03:00.0",
        "memory_bytes": 16695296 << 10,
    }  # fmt: skip
    assert (check["reasons"], check["warnings"], check["remedies"]) == ([], [], [])
    assert looked.state.card_listed is True and looked.state.card_seen
    json.dumps(check)


def test_another_gpu_alone_is_not_the_card() -> None:
    looked = judge(ran("good_7.2.1_rx_9060_xt"), FINE, CARD, "/x")
    assert looked.check["reasons"] == [
        "rocminfo: it lists AMD Radeon RX 9060 XT (gfx1200), and not AMD Radeon RX 9070 XT (gfx1201), for which this runtime was set up"
    ]
    assert [remedy["id"] for remedy in looked.check["remedies"]] == ["rocm_card_not_listed"]
    assert (looked.state.card_listed, looked.state.card_seen) == (False, False)
    assert looked.state.rocminfo_remedy == "rocm_card_not_listed"


def test_without_a_decided_card_any_gpu_will_do() -> None:
    assert check_of(BOTH, Wanted())["ok"] is True


@pytest.mark.parametrize("kind", ["timeout", "signal", "exit"])
def test_after_a_complete_list_a_bad_end_is_a_warning(kind: str) -> None:
    check = check_of(BOTH, kind=kind, text="it ended somehow")
    assert (check["ok"], check["reasons"]) == (True, [])
    assert "it ended somehow" in check["warnings"][0]


FAILURES: list[tuple[str, dict[str, Any], State, str, str]] = [
    ("bad_hsa_init", {"kind": "exit", "text": "ended with status 1"}, FINE, "ended with status 1 (hsa_init Failed, possibly no supported GPU devices)", "rocm_no_gpu"),
    ("bad_hsa_init", {}, replace(FINE, line="7.2.4", detection=""), "it ended before its last line (hsa_init Failed", "rocm_detection_off"),
    ("bad_create_context", {"kind": "signal", "text": "killed by SIGSEGV"}, FINE, "killed by SIGSEGV (pid:812", "rocm_start_failed"),
    ("bad_no_wddm_10.0", {}, replace(FINE, amd=False), "No WDDM adapters found", "rocm_without_amd"),
    ("bad_not_loaded", {}, replace(FINE, packages=["libhsakmt1"]), "ROCk module is NOT loaded", "rocm_shadowed"),
    ("cpu_only_6.3.4_rx_6800_xt", {}, FINE, "it lists the processor alone, and no GPU", "rocm_only_cpu"),
    ("cpu_only_6.3.4_rx_6800_xt", {}, replace(FINE, gfx="gfx1030", id_known=False), "the processor alone", "rocm_rdna2"),
    ("cut_off_7.2.1", {"kind": "timeout", "text": "no end within 30 s"}, FINE, "no end within 30 s", "rocm_hangs"),
    ("", {"kind": "timeout", "text": "no end within 30 s"}, FINE, "no end within 30 s", "rocm_hangs"),
    ("", {"kind": "timeout", "text": "no end within 30 s"}, replace(FINE, amd=False), "no end within 30 s", "rocm_without_amd"),
    ("", {"kind": "timeout", "text": "no end", "cut_off": True, "output": "y\n" * 9}, FINE, "it prints without an end", "rocm_hangs"),
    ("", {"kind": "exit", "text": "ended with status 1", "errors": ["ModuleNotFoundError: No module named 'rocm_sdk'"]}, FINE, "status 1 (ModuleNotFoundError", "rocm_files_missing"),
    ("", {}, FINE, "it ended before its last line", "rocm_unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "more", "state", "reason", "remedy"), FAILURES)
def test_a_failure_has_its_own_words_and_a_remedy_with_its_place(
    name: str, more: dict[str, Any], state: State, reason: str, remedy: str
) -> None:
    check = check_of(name, state=state, **more)
    assert check["ok"] is False
    assert reason in check["reasons"][0] and check["reasons"][0] == f"rocminfo: {check['steps'][0]['detail']}"
    assert [(one["id"], set(one)) for one in check["remedies"]] == [(remedy, {"id", "cause", "do", "where"})]
    assert "WSL environment detected" not in check["reasons"][0]


def test_a_program_that_cannot_be_started_says_nothing_about_the_card() -> None:
    looked = judge(ran(kind="not_started", text="mia may not execute /x"), FINE, CARD, "/x")
    assert (looked.check["ok"], looked.check["reasons"]) == (None, ["rocminfo: mia may not execute /x"])
    assert (looked.state, looked.check["remedies"]) == (FINE, [])


def test_what_moves_a_cursor_does_not_get_into_the_report() -> None:
    text = (
        (FIXTURES / "good_7.2.1_rx_9060_xt.txt").read_text(encoding="utf-8").replace("AMD Radeon", "\x1b[2JAMD Radeon")
    )
    check = judge(ran(output=text), FINE, Wanted(), "/x").check
    assert "\x1b" not in str(check["agents"][1]["name"])
    assert "AMD Radeon RX 9060 XT" in check["agents"][1]["name"]


# --- with the sum ---------------------------------------------------------------------------------------------------

RIGHT: dict[str, Any] = {"ok": True, "index": 0, "gpu": {"memory_bytes": 16 * GIB}}


def looked_at(name: str, state: State = FINE, **more: Any) -> Looked:
    return judge(ran(name, **more), state, CARD, "/x")


def test_where_the_sum_is_right_a_bad_rocminfo_is_a_warning_and_the_host_is_ready() -> None:
    check = settle(looked_at("bad_hsa_init"), RIGHT)
    assert (check["ok"], check["remedies"]) == (False, [])
    others = ("colab_handshake", "extension", "server_config", "next_start")
    checks = {"tensor_add": RIGHT, "rocminfo": check, **{name: {"ok": True} for name in others}}
    report = build_report({"hostname": "pc"}, {}, checks, "2026-01-01T00:00:00Z")
    assert (report["ready"], report["reasons"], report["remedies"]) == (True, [], [])
    assert "hsa_init Failed" in report["warnings"][0] and "the tensor sum is right" in report["warnings"][0]
    assert report["checks"]["rocminfo"]["steps"][0]["id"] == "rocminfo"


def test_where_the_sum_fails_too_rocminfo_s_remedy_stays() -> None:
    check = settle(looked_at("bad_hsa_init"), {"ok": False})
    assert [remedy["id"] for remedy in check["remedies"]] == ["rocm_no_gpu"]
    assert "the sum" not in check["warnings"][0]


def test_an_igpu_beside_the_card_is_a_note_and_nothing_to_do() -> None:
    check = settle(looked_at(BOTH), RIGHT)
    assert ([note["id"] for note in check["notes"]], check["warnings"]) == (["rocm_igpu_too"], [])


def test_memory_that_windows_keeps_is_a_note_and_memory_that_wsl_caps_is_a_warning() -> None:
    reserved = settle(looked_at("good_10.0.0_from_the_wheels", replace(FINE, card_bytes=int(18.4 * GIB))), RIGHT)
    assert ([note["id"] for note in reserved["notes"]], "2.5 GB" in reserved["notes"][0]["text"]) == (
        ["rocm_reserved_memory"],
        True,
    )
    state = replace(FINE, integrated=True, wsl_bytes=16 * GIB)
    capped = settle(looked_at("good_10.0.0_from_the_wheels", state), RIGHT)
    assert [".wslconfig" in text or "Resizable BAR" in text for text in capped["warnings"][-2:]] == [True, True]


def test_memory_that_reads_as_nothing_is_a_warning_on_a_host_that_is_ready() -> None:
    check = settle(
        looked_at("good_10.0.0_from_the_wheels"), {**RIGHT, "gpu": {"memory_bytes": 16 * GIB, "free_bytes": 0}}
    )
    assert "reads as 0" in check["warnings"][-1]


def test_nothing_is_noted_of_a_sum_that_was_not_reached() -> None:
    check = settle(Looked(rocm_check.not_asked("it is not there"), FINE), {"ok": False})
    assert (check["ok"], check["warnings"], check["notes"], check["remedies"]) == (None, [], [], [])


# --- where it is ----------------------------------------------------------------------------------------------------


def put(path: Path, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["env", "opt/rocm", "usr"], "env"),
        (["opt/rocm", "usr"], "opt/rocm"),
        (["usr"], "usr"),
        (["env:644", "usr"], "usr"),
        (["env:644"], ""),
        ([], ""),
    ],
)
def test_the_environment_s_own_rocminfo_comes_first(tmp_path: Path, there: list[str], found: str) -> None:
    for one in there:
        folder, _, mode = one.partition(":")
        put(tmp_path / folder / "bin/rocminfo", int(mode or "755", 8))
    program, why = rocm_check.find(Place(str(tmp_path / "env"), str(tmp_path)))
    assert program == (str(tmp_path / found / "bin/rocminfo") if found else None)
    assert bool(why) is not bool(found)
    assert found or ("is not executable" in why if there else "there is no rocminfo" in why)


# --- what is known of a host ----------------------------------------------------------------------------------------

ADAPTERS: list[dict[str, Any]] = [
    {
        "index": 0,
        "name": "AMD Radeon(TM) Graphics",
        "vendor_id": "1002",
        "device_id": "164e",
        "dedicated_bytes": GIB // 2,
    },
    {
        "index": 1,
        "name": "AMD Radeon RX 7600",
        "vendor_id": "1002",
        "device_id": "7480",
        "revision": "cf",
        "dedicated_bytes": 8 * GIB,
    },
    {"index": 2, "name": "Microsoft Basic Render Driver", "vendor_id": "1414", "device_id": "008c", "software": True},
]
GPU: dict[str, Any] = {
    "host": {"windows_build": 26100, "distribution": "ubuntu"},
    "wsl": {"version": 2, "memory_bytes": 16 * GIB},
    "adapters": ADAPTERS,
    "backend": {"name": "rocm", "adapter": 1, "card": {"names": ["AMD Radeon RX 7600"], "gfx": ["gfx1102"]}},
}
LDCONFIG = b"2 libs\n\tlibrocdxg.so.1 (libc6,x86-64) => /opt/rocm/lib/librocdxg.so.1\n"


def asked(dpkg: bytes = b"", ldconfig: bytes | None = LDCONFIG) -> Any:
    def ask(argv: list[str], seconds: float) -> Answer:
        if "dpkg-query" in argv[0]:
            return Answer(1, dpkg, b"")
        if ldconfig is None:
            raise NotAnswered("cannot_start", "no ldconfig")
        return Answer(0, ldconfig, b"")

    return ask


def place(tmp_path: Path, torch: str = "2.13.0+rocm10.0.0", record: str = "", dids: str = "") -> Place:
    packages = tmp_path / "env/lib/python3.12/site-packages"
    (packages / f"torch-{torch}.dist-info").mkdir(parents=True)
    (packages / "torchvision-0.28.0+rocm10.0.0.dist-info").mkdir()
    (packages / "torch/lib").mkdir(parents=True)
    (packages / "torch/lib/libhsa-runtime64.so").touch()
    for path, text in (("var/lib/colab-ready/rocm_host.json", record), ("opt/rocm/share/rocdxg/dids.conf", dids)):
        if text:
            (tmp_path / path).parent.mkdir(parents=True)
            (tmp_path / path).write_text(text)
    return Place(str(tmp_path / "env"), str(tmp_path))


def test_what_is_known_of_a_wsl_is_gathered_without_starting_rocm(tmp_path: Path) -> None:
    where = place(tmp_path, record='{"line": "10.0.0"}')
    packages = b"libhsakmt1\t5.7.0\tinstalled\nlibhsa-runtime64-1:amd64\t5.7.1\tinstalled\n"
    state = gather(where, {"card": GPU["backend"]["card"]}, GPU, True, {}, asked(packages))
    assert state == State(
        wsl=True, windows_build=26100, distribution="ubuntu", line="10.0.0", amd=True, id_known=False, gfx="gfx1102",
        integrated=False, detection="", packages=["libhsa-runtime64-1", "libhsakmt1"], bridge_cached=True,
        torch="2.13.0+rocm10.0.0", card_bytes=8 * GIB, wsl_bytes=16 * GIB,
    )  # fmt: skip


def test_a_card_in_dids_conf_is_known_to_the_bridge(tmp_path: Path) -> None:
    assert gather(place(tmp_path, dids="# mine\n0x7480,11,0,2\n"), {}, GPU, True, {}, asked()).id_known is True


def test_a_card_that_amd_supports_is_built_in_and_one_of_no_table_is_not_known(tmp_path: Path) -> None:
    where = place(tmp_path)
    for device, known in (("744c", True), ("ffff", None)):
        gpu = {**GPU, "adapters": [{**ADAPTERS[1], "device_id": device}], "backend": {}}
        assert gather(where, {}, gpu, True, {}, asked()).id_known is known


def test_an_older_line_s_own_traps_are_looked_for(tmp_path: Path) -> None:
    where = place(tmp_path, "2.10.0+rocm7.2.4.lw.git3d3aa833")
    state = gather(where, {}, GPU, True, {"HSA_ENABLE_DXG_DETECTION": "1"}, asked(ldconfig=b"1 libs\n"))
    assert (state.line, state.bundled_hsa, state.detection, state.bridge_cached) == ("7.2.4", True, "1", False)
    assert gather(where, {}, GPU, True, {}, asked(ldconfig=None)).bridge_cached is None


def test_without_wsl_nothing_of_wsl_is_asked(tmp_path: Path) -> None:
    def never(argv: list[str], seconds: float) -> Answer:
        raise AssertionError(argv)

    state = gather(place(tmp_path), {}, {**GPU, "wsl": None}, False, {}, never)
    assert (state.wsl, state.id_known, state.bridge_cached, state.packages, state.wsl_bytes) == (
        False,
        None,
        None,
        (),
        None,
    )


def test_where_detection_said_nothing_nothing_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=ubuntu\n")
    state = gather(Place(str(tmp_path / "env"), str(tmp_path)), {}, {}, True, {}, asked())
    assert (state.distribution, state.amd, state.id_known, state.gfx, state.integrated) == (
        "ubuntu",
        None,
        None,
        "",
        None,
    )
    assert (state.line, state.torch, state.bundled_hsa, state.windows_build) == ("", "", None, None)


def test_the_card_of_the_run_counts_more_than_that_of_today() -> None:
    card = {
        "names": ["AMD Radeon(TM) Graphics"],
        "gfx": ["gfx1036"],
        "others": ["AMD Radeon RX 7600"],
        "capability": "",
    }
    assert wanted_of({"card": card}) == Wanted(["AMD Radeon(TM) Graphics"], ["gfx1036"], ["AMD Radeon RX 7600"])
    assert wanted_of({}) == wanted_of({"card": None}) == Wanted()
    found = rocm_check.adapter_of({"card": card}, GPU)
    assert found is not None and found["index"] == 0


@pytest.mark.parametrize(
    ("version", "line"),
    [("2.13.0+rocm10.0.0", "10.0.0"), ("2.9.1+rocm7.2.1.lw.gitff65f5bc", "7.2.1"), ("2.11.0+rocm7.2", "7.2"),
     ("2.13.0+cpu", ""), ("2.4.0+rocm6.3.4.git7cecbf6d", "6.3.4"), ("", "")],
)  # fmt: skip
def test_a_torch_tells_its_rocm(version: str, line: str) -> None:
    assert rocm_check.line_of_torch(version) == line


def test_every_recorded_output_has_an_answer() -> None:
    for path in FIXTURES.glob("*.txt"):
        check = check_of(path.stem, Wanted())
        good = path.stem.startswith("good_")
        assert (check["ok"], bool(check["remedies"])) == (good, not good)
        assert len(check["agents"]) == len(rocminfo.parse(path.read_text(encoding="utf-8")).agents)

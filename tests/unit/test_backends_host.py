"""Which card the host side of a backend is for, and that a record of before is understood."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.colab_ready.backends.rocm.host import RocmHost
from ansible.module_utils.colab_ready.backends.xpu.host import XpuHost
from ansible.module_utils.colab_ready.core.problem import Refused

XT = {"index": 1, "vendor_id": "1002", "device_id": "7550", "revision": "c0", "dedicated_bytes": 16 << 30}
IGPU = {"index": 0, "vendor_id": "1002", "device_id": "164e", "primary": True}
RX_7600 = {"index": 2, "vendor_id": "1002", "device_id": "7480", "revision": "cf", "primary": True}
NVIDIA = {"index": 3, "vendor_id": "10de", "device_id": "2684", "primary": True}
SOFTWARE = {"index": 4, "vendor_id": "1002", "device_id": "7550", "software": True}
ARC = {"index": 0, "vendor_id": "8086", "device_id": "56a0", "name": "Arc A770"}
UHD = {"index": 1, "vendor_id": "8086", "device_id": "3e92", "name": "UHD 630", "primary": True}
BASIC = {"index": 2, "vendor_id": "8086", "device_id": "56a0", "name": "not a GPU", "software": True}


@pytest.mark.parametrize(
    ("gpu", "index"),
    [
        ({"adapters": [XT]}, 1),
        ({"adapters": [IGPU, XT]}, 1),
        ({"adapters": [XT, IGPU]}, 1),
        ({"adapters": [NVIDIA, IGPU, RX_7600, XT]}, 1),
        ({"adapters": [IGPU, RX_7600]}, 2),
        ({"adapters": [RX_7600, XT], "backend": {"name": "rocm", "adapter": 2}}, 2),
        (
            {
                "adapters": [RX_7600, XT],
                "backend": {"name": "cpu", "adapter": None, "recommended": {"name": "rocm", "adapter": 2}},
            },
            2,
        ),
        ({"adapters": [RX_7600, XT], "backend": {"name": "directml", "adapter": 2}}, 1),
    ],
)
def test_amd_s_card_is_chosen_by_what_it_is_and_not_by_its_place(gpu: dict[str, Any], index: int) -> None:
    assert RocmHost({"gpu": {**gpu, "wsl": {"version": 2}}, "state_file": "/x"}, True).card()["index"] == index


@pytest.mark.parametrize("adapters", [None, [], [NVIDIA], [SOFTWARE]])
def test_without_a_card_of_amd_nothing_is_chosen(adapters: Any) -> None:
    with pytest.raises(Refused) as refusal:
        RocmHost({"gpu": {"adapters": adapters}, "state_file": "/x"}, True).card()
    assert [problem.id for problem in refusal.value.problems] == ["rocm_no_card"]


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ({"adapters": [UHD, ARC], "wsl": {}}, "Arc A770"),
        ({"adapters": [ARC, UHD]}, "Arc A770"),
        ({"adapters": [UHD]}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "xpu", "adapter": 1}}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "cpu", "recommended": {"name": "xpu", "adapter": 1}}}, "UHD 630"),
        ({"adapters": [ARC, UHD], "backend": {"name": "directml", "adapter": 1}}, "Arc A770"),
        ({"adapters": [BASIC]}, None),
        ({"adapters": [{"index": 0, "vendor_id": "10de"}]}, None),
        ({"adapters": None}, None),
    ],
)
def test_intel_s_decided_card_counts_or_else_the_best_one(gpu: dict[str, Any], name: str | None) -> None:
    host = XpuHost({"gpu": gpu, "state_file": "/x"}, True)
    if name is not None:
        assert host.card()["name"] == name
        return
    with pytest.raises(Refused) as refusal:
        host.card()
    assert [problem.id for problem in refusal.value.problems] == ["xpu_no_card"]


def test_a_record_of_intel_s_runtime_of_before_is_understood(tmp_path: Path) -> None:
    """`files` had what was there, and `new` the packages that came."""
    source = tmp_path / "intel-gpu.sources"
    source.write_text("ours")
    theirs = base64.b64encode(b"theirs").decode()
    old = {
        "schema": 1, "packages": {"libze1": "1.21", "intel-opencl-icd": "25.31"}, "new": ["libigc2", "libze1"],
        "files": {str(source): theirs, "/nowhere": None}, "folders": ["/etc/x"], "key": "https://x/key", "groups": [["me", "video"]],
    }  # fmt: skip
    (tmp_path / "record.json").write_text(json.dumps(old))
    host = XpuHost({"gpu": {}, "state_file": str(tmp_path / "record.json")}, False)
    found = host.record.read("")
    assert host.changes.warnings == []
    assert found["packages"] == {"libigc2": "", "libze1": "1.21"}
    assert found["settled"] == found["asked"] == ["libze1", "intel-opencl-icd"]
    assert (found["folders"], found["groups"]) == (["/etc/x"], [["me", "video"]])
    assert found["files"][str(source)] == {"was": theirs, "sha256": hashlib.sha256(b"ours").hexdigest()}
    host.record.restore(str(source))
    assert source.read_text() == "theirs"


def test_a_record_of_rocm_of_before_is_understood(tmp_path: Path) -> None:
    old = {
        "schema": 1, "line": "10.0.0", "files": {"/x": {"was": None, "sha256": "a", "from": "y"}}, "packages": {"libatomic1": "14"},
        "debs": {"rocdxg-roct": {"version": "1.2.2", "sha256": "b", "was": None}}, "dids": {}, "removed": {}, "folders": [], "asked": [],
        "groups": [],
    }  # fmt: skip
    (tmp_path / "record.json").write_text(json.dumps(old))
    host = RocmHost({"gpu": {}, "state_file": str(tmp_path / "record.json")}, False)
    found = host.record.read("")
    assert host.changes.warnings == []
    assert found == {**{name: value for name, value in old.items() if name != "schema"}, "settled": []}


@pytest.mark.parametrize("content", [None, b"", b"no key"])
def test_the_key_is_wanted_where_there_is_none_in_its_file(tmp_path: Path, content: bytes | None) -> None:
    keyring = tmp_path / "intel-graphics.gpg"
    if content is not None:
        keyring.write_bytes(content)
    host = XpuHost({"gpu": {}, "state_file": str(tmp_path / "record.json")}, False)
    repository = {"keyring": str(keyring), "fingerprints": ["4E9EFCDE"], "key": "https://x.test/key", "key_sha256": ""}
    host.plan = {"repository": repository}
    assert host._key_is_wanted()

"""A record of before is understood, and a key is fetched where there is none."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from ansible.module_utils.colab_ready.backends.rocm.host import RocmHost
from ansible.module_utils.colab_ready.backends.xpu.host import XpuHost


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
